"""A report as Markdown: what GitHub, pandoc and editors read alike.

Text from records is text: whatever Markdown or HTML would take for markup gets a backslash or becomes a
character reference, and a line never begins with a sign that would make it a list, a heading or a quotation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mtmeta.reports.document import (
    Block,
    Cite,
    Code,
    Document,
    Figure,
    Inline,
    Jump,
    Link,
    Listing,
    Note,
    Number,
    Paragraph,
    Section,
    Span,
    Spans,
    Table,
)
from mtmeta.reports.words import minus
from mtmeta.reports.written import CONTROL, SPACE, labels_of, printed_rows, sections_on_paper

__all__ = ["markdown_text"]

_SIGNS = re.compile(r"([\\`*_{}\[\]|~$^@!])")
_FIRST = re.compile(r"^(\d+)([.)])(?=\s|$)|^()([-+=:#])")
_AUTOLINK = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp|www)(?=[:.])")
_KINDS = {"note": "", "warning": "**Warning:** ", "refusal": "**Not done:** "}


def markdown_text(document: Document) -> str:
    """Write a document as Markdown with tables as GitHub has them.

    Figures are ``figures/NAME.svg``, which :func:`mtmeta.reports.publish.write_report` writes beside. What
    only a page can do (trials to tick off) is left out.
    """
    labels = labels_of(document)
    out = [f"# {escaped(document.title)}"]
    if document.subtitle:
        out.append(escaped(document.subtitle))
    for section in sections_on_paper(document.sections):
        out += _section(section, 2, labels)
    if document.references:
        out.append('## <a id="references"></a>References')
        lines = [
            f'{i}. <a id="ref-{entry.key}"></a>{_inline(entry.spans, labels)}'
            for i, entry in enumerate(document.references, 1)
        ]
        out.append("\n".join(lines))
    return "\n\n".join(out) + "\n"


def escaped(text: str) -> str:
    r"""Return text that Markdown and HTML leave as it is, on one line without space at its ends.

    Examples
    --------
    >>> print(escaped("<b>1*2</b> [x](y)"))
    &lt;b&gt;1\*2&lt;/b&gt; \[x\](y)
    """
    flat = SPACE.sub(" ", CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)).strip()
    signed = _SIGNS.sub(r"\\\1", flat.replace("&", "&amp;"))
    out = signed.replace("<", "&lt;").replace(">", "&gt;")
    # a line may begin here, and a sign there would make it a list or a heading
    out = _FIRST.sub(r"\1\3\\\2\4", out)
    return _AUTOLINK.sub(r"\1<!-- -->", out)  # an address is no link where nobody asked for one


def _inline(parts: Spans, labels: Mapping[str, str]) -> str:
    return "".join(_one(part, labels) for part in parts)


def _one(part: Inline, labels: Mapping[str, str]) -> str:
    if isinstance(part, Cite):
        return f"[{escaped(labels[part.key])}](#ref-{part.key})"
    text = _kept(part.text)
    if isinstance(part, Number):
        number = _kept(minus(part.text))
        return f"[{number}](#{part.jump})" if part.jump else number
    if isinstance(part, Jump):
        return f"[{text}](#{part.target})"
    if isinstance(part, Link):
        return f"[{text}](<{part.address}>)" if part.address else text
    return _styled(part, text)


def _kept(text: str) -> str:
    """Escape a part of a line; a space at its ends stays, as the neighbours need it."""
    if not text:
        return ""
    inner = escaped(text)
    return f"{' ' if text[:1].isspace() else ''}{inner}{' ' if text[-1:].isspace() and text.strip() else ''}"


def _styled(part: Span, text: str) -> str:
    mark = {"strong": "**", "emphasis": "*"}.get(part.style, "")
    bare = text.strip()
    if part.style == "code":
        return f"<code>{text}</code>"
    if not mark or not bare:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{mark}{bare}{mark}{after}"


# ---- blocks ---------------------------------------------------------------------------------------


def _section(section: Section, level: int, labels: Mapping[str, str]) -> Iterator[str]:
    yield f'{"#" * min(level, 6)} <a id="{section.id}"></a>{escaped(section.title)}'
    for block in section.blocks:
        yield from _block(block, labels)
    for inner in section.sections:
        yield from _section(inner, level + 1, labels)


def _block(block: Block, labels: Mapping[str, str]) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield _inline(block.spans, labels).strip()
    elif isinstance(block, Listing):
        marks = (f"{i}." if block.ordered else "-" for i in range(1, len(block.items) + 1))
        yield "\n".join(
            f"{m} {_inline(item, labels).strip()}" for m, item in zip(marks, block.items, strict=True)
        )
    elif isinstance(block, Note):
        yield f"> {_KINDS[block.kind]}{_inline(block.spans, labels).strip()}"
    elif isinstance(block, Code):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
        if block.title:
            yield f"{escaped(block.title)}:"
        text = CONTROL.sub("\N{REPLACEMENT CHARACTER}", block.text.replace("\r\n", "\n").replace("\r", "\n"))
        yield f"{fence}text\n{text}\n{fence}"
    elif isinstance(block, Table):
        yield from _table(block, labels)
    elif isinstance(block, Figure):
        alt = escaped(block.alt)
        image = "\n\n".join(f"![{alt}](figures/{file}.svg)" for file in block.files) or f"*{alt}*"
        yield f'<a id="{block.id}"></a>\n\n{image}'
        yield _inline(block.caption, labels).strip()


def _table(table: Table, labels: Mapping[str, str]) -> Iterator[str]:
    yield f'<a id="{table.id}"></a>**{escaped(table.caption)}**'
    ends = ["---:" if column.kind == "number" else "---" for column in table.columns]
    lines = [_line(escaped(column.title) for column in table.columns), _line(ends)]
    for row, printed in zip(table.rows, printed_rows(table), strict=True):
        cells = [_inline(cell, labels).strip() for cell in printed]
        if row.id:
            cells[0] = f'<a id="{row.id}"></a>{cells[0]}'
        lines.append(_line(f"**{c}**" if row.head and c else c for c in cells))
    yield "\n".join(lines)
    for row in table.rows:
        for block in row.detail:
            yield from _block(block, labels)
    for note in table.notes:
        yield _inline(note, labels).strip()


def _line(cells: Iterator[str] | list[str]) -> str:
    return f"| {' | '.join(cell or ' ' for cell in cells)} |"
