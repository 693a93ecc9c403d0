"""What a report says, before any page is made of it: sections of paragraphs, tables and figures.

A document is data. It knows nothing of HTML, Markdown or LaTeX; each backend writes the same content and
escapes every string in it. Text from records may therefore stand anywhere as it is. A link can only be made
from a DOI or a PubMed number of the right form, never from an address.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from mtmeta.errors import UsageError

__all__ = [
    "Block",
    "Cell",
    "Cite",
    "Code",
    "Column",
    "Detail",
    "Document",
    "Explorer",
    "Figure",
    "Inline",
    "Jump",
    "Link",
    "Listing",
    "Note",
    "Number",
    "Paragraph",
    "Reference",
    "Section",
    "Span",
    "Spans",
    "Table",
    "TableRow",
    "Tone",
    "blocks_of",
    "cites_of",
    "doi_address",
    "numbers_of",
    "plain",
    "pmid_address",
    "spans",
]

# Crossref's own pattern for what is deposited since 2008, and the older signs of SICI numbers
_DOI = re.compile(r"10\.[0-9]{4,9}/[-._;()/:A-Za-z0-9<>\[\]+#]{1,180}")
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")

Tone = Literal["", "good", "fair", "poor", "unknown"]
"""Colour of a cell beside its words, never instead of them."""


# ---- inline ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text in one style."""

    text: str
    style: Literal["plain", "strong", "emphasis", "code"] = "plain"


@dataclass(frozen=True, slots=True)
class Number:
    """A number in words, with its value and the place of that value in a lock file.

    Attributes
    ----------
    text : str
        As it is read, such as ``-0.48``.
    value : float or None
        What the text was rounded from, at full precision.
    at : str
        Where it stands: ``analysis/key/key`` under ``results`` of the lock of that analysis, such as
        ``depression/today/ci/0``; empty for a number that lock files do not hold.
    jump : str
        Id of the section, table or figure where it comes from; a link there, empty for none.
    """

    text: str
    value: float | None = None
    at: str = ""
    jump: str = ""


@dataclass(frozen=True, slots=True)
class Cite:
    """A citation: the key of a :class:`Reference` of the document."""

    key: str


@dataclass(frozen=True, slots=True)
class Jump:
    """A link to a section, table or figure of the same document."""

    text: str
    target: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a DOI or a PubMed record, the only ones a report has; plain text where the form is wrong."""

    text: str
    doi: str | None = None
    pmid: int | None = None

    @property
    def address(self) -> str | None:
        """The address, or None where neither number has the right form."""
        return doi_address(self.doi) or pmid_address(self.pmid)


Inline = Span | Number | Cite | Jump | Link
Spans = tuple[Inline, ...]


def doi_address(doi: str | None) -> str | None:
    """Return the address of a DOI, or None where it has not the form of one.

    Examples
    --------
    >>> doi_address("10.4037/ajcc1999.8.4.220")
    'https://doi.org/10.4037/ajcc1999.8.4.220'
    >>> doi_address("javascript:alert(1)"), doi_address('10.1000/"onclick="x')
    (None, None)
    """
    if doi is None or _DOI.fullmatch(doi) is None:
        return None
    return "https://doi.org/" + quote(doi, safe="/:;()._-")


def pmid_address(pmid: int | None) -> str | None:
    """Return the address of a PubMed record, or None where the number cannot be one.

    Examples
    --------
    >>> pmid_address(10392221)
    'https://pubmed.ncbi.nlm.nih.gov/10392221/'
    """
    if not isinstance(pmid, int) or isinstance(pmid, bool) or not 0 < pmid < 10**9:
        return None
    return f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/"


def spans(*parts: str | Inline | Iterable[Inline]) -> Spans:
    """Join strings and inline parts to spans; empty strings vanish.

    Examples
    --------
    >>> spans("SMD ", Number("-0.48", -0.4812), ".")[2]
    Span(text='.', style='plain')
    """
    out: list[Inline] = []
    for part in parts:
        if isinstance(part, str):
            if part:
                out.append(Span(part))
        elif isinstance(part, Span | Number | Cite | Jump | Link):
            out.append(part)
        else:
            out += part
    return tuple(out)


def plain(parts: str | Spans) -> str:
    """Return the words alone; a citation gives its key in brackets."""
    if isinstance(parts, str):
        return parts
    return "".join(f"[{p.key}]" if isinstance(p, Cite) else p.text for p in parts)


# ---- blocks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    spans: Spans

    @classmethod
    def of(cls, *parts: str | Inline | Iterable[Inline]) -> Paragraph:
        """Make a paragraph of strings and inline parts."""
        return cls(spans(*parts))


@dataclass(frozen=True, slots=True)
class Listing:
    """A list, with bullets or numbers."""

    items: tuple[Spans, ...]
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Something set apart: a remark, a warning, or why something is not shown."""

    spans: Spans
    kind: Literal["note", "warning", "refusal"] = "note"

    @classmethod
    def of(
        cls,
        *parts: str | Inline | Iterable[Inline],
        kind: Literal["note", "warning", "refusal"] = "note",
    ) -> Note:
        """Make a note of strings and inline parts."""
        return cls(spans(*parts), kind)


@dataclass(frozen=True, slots=True)
class Code:
    """Text in fixed width, every character as it stands: a calculation, a command, a list of versions."""

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers stand to the right and sort as numbers."""

    title: str
    kind: Literal["text", "number"] = "text"
    note: str = ""
    """What the heading means, where a reader may not know."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its words, and what it sorts by where that is another thing."""

    spans: Spans
    sort: float | str | None = None
    tone: Tone = ""

    @classmethod
    def of(
        cls,
        *parts: str | Inline | Iterable[Inline],
        sort: float | str | None = None,
        tone: Tone = "",
    ) -> Cell:
        """Make a cell of strings and inline parts; a lone number sorts by its value."""
        made = spans(*parts)
        if sort is None and len(made) == 1 and isinstance(made[0], Number):
            sort = made[0].value
        return cls(made, sort, tone)

    @property
    def text(self) -> str:
        """The words alone."""
        return plain(self.spans)


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table; `head` marks a row that names the rows below it."""

    cells: tuple[Cell, ...]
    id: str = ""
    head: bool = False
    detail: tuple[Block, ...] = ()
    """What opens below the row, such as the reasons of a rating."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. The first column heads its row.

    Raises
    ------
    UsageError
        When a row has not as many cells as there are columns.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[Spans, ...] = ()
    sortable: bool = False
    filterable: bool = False
    folded: bool = False
    """Whether a page shows it only when asked to; paper shows it always."""

    def __post_init__(self) -> None:
        _check_id(self.id)
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise UsageError(
                    f"table {self.id}: a row has {len(row.cells)} cells for {len(self.columns)} columns"
                )


@dataclass(frozen=True, slots=True)
class Detail:
    """What stands behind one row of a figure: shown when the row is pointed at, focused or tapped."""

    gid: str
    """Id of the row's group in the SVG, such as ``row-white-1999``."""
    title: str
    pairs: tuple[tuple[str, Spans], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as SVG text, once for each style it can be switched to.

    `svg` is trusted no further than any record: the HTML backend rebuilds it from an allow-list.
    """

    id: str
    caption: Spans
    alt: str
    svgs: tuple[tuple[str, str], ...]
    """(name of the style, SVG text); the first is shown."""
    details: tuple[Detail, ...] = ()
    files: tuple[str, ...] = ()
    """Names of the same figure as files, without suffix, for backends that cannot hold an SVG.

    Several where the figure is too long for a page.
    """

    def __post_init__(self) -> None:
        _check_id(self.id)


@dataclass(frozen=True, slots=True)
class Explorer:
    """Studies that can be ticked off, and the pooled estimate that follows; nothing on paper."""

    id: str
    data: Mapping[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        _check_id(self.id)


Block = Paragraph | Listing | Note | Code | Table | Figure | Explorer


# ---- the whole ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """A section with its heading; `id` is unique in the document and what jumps go to."""

    id: str
    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()

    def __post_init__(self) -> None:
        _check_id(self.id)


@dataclass(frozen=True, slots=True)
class Reference:
    """One entry of the list of references.

    Attributes
    ----------
    key : str
        Lower-case letters, digits and hyphens.
    label : str
        How a citation in the text reads, such as ``White 1999``.
    spans : tuple
        The entry as printed.
    csl : mapping
        The same as a CSL-JSON item.
    """

    key: str
    label: str
    spans: Spans
    csl: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _check_id(self.key)


@dataclass(frozen=True, slots=True)
class Document:
    """A report.

    Raises
    ------
    UsageError
        When an id stands twice, a citation has no reference, or a jump has no target: a report with a
        dead end is not written.
    """

    title: str
    sections: tuple[Section, ...]
    references: tuple[Reference, ...] = ()
    subtitle: str = ""
    language: str = "en"

    def __post_init__(self) -> None:
        ids = [name for section in self.sections for name in _ids(section)]
        twice = sorted(name for name, times in Counter(ids).items() if times > 1)
        if twice:
            raise UsageError(f"ids stand twice in the report: {', '.join(twice)}")
        keys = {reference.key for reference in self.references}
        known = set(ids)
        for part in _inlines(self.sections):
            if isinstance(part, Cite) and part.key not in keys:
                raise UsageError(f"the report cites {part.key}, which is not among its references")
            target = part.target if isinstance(part, Jump) else part.jump if isinstance(part, Number) else ""
            if target and target not in known:
                raise UsageError(f"the report points to {target}, which it does not have")


def _check_id(name: str) -> None:
    if _ID.fullmatch(name) is None:
        raise UsageError(f"{name!r} cannot be an id; write lower-case letters, digits and single hyphens")


def _ids(section: Section) -> Iterator[str]:
    yield section.id
    for block in section.blocks:
        if isinstance(block, Table | Figure | Explorer):
            yield block.id
        if isinstance(block, Table):
            yield from (row.id for row in block.rows if row.id)
    for inner in section.sections:
        yield from _ids(inner)


def blocks_of(sections: Sequence[Section]) -> Iterator[Block]:
    """Yield every block of sections, in reading order, those that open below a table's row too."""
    for section in sections:
        yield from _nested(section.blocks)
        yield from blocks_of(section.sections)


def _nested(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Table):
            for row in block.rows:
                yield from _nested(row.detail)


def _inlines(sections: Sequence[Section]) -> Iterator[Inline]:
    for block in blocks_of(sections):
        if isinstance(block, Paragraph | Note):
            yield from block.spans
        elif isinstance(block, Listing):
            for item in block.items:
                yield from item
        elif isinstance(block, Table):
            for row in block.rows:
                for cell in row.cells:
                    yield from cell.spans
            for note in block.notes:
                yield from note
        elif isinstance(block, Figure):
            yield from block.caption
            for detail in block.details:
                for _, words in detail.pairs:
                    yield from words


def cites_of(sections: Sequence[Section]) -> Iterator[str]:
    """Yield the key of every citation, in reading order."""
    for part in _inlines(sections):
        if isinstance(part, Cite):
            yield part.key


def numbers_of(document: Document) -> Iterator[Number]:
    """Yield every number of a document, in reading order."""
    for part in _inlines(document.sections):
        if isinstance(part, Number):
            yield part
