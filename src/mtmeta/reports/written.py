"""What Markdown and LaTeX have in common: neither holds what only a page on screen can do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from mtmeta.reports.document import Cell, Column, Document, Explorer, Inline, Section, Span, Spans, Table
from mtmeta.reports.words import minus

__all__ = ["CONTROL", "SPACE", "labels_of", "printed", "printed_rows", "sections_on_paper"]

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
"""Characters that no reader sees, and that a program may act upon."""

SPACE = re.compile(r"\s+")


def labels_of(document: Document) -> Mapping[str, str]:
    """Return how a citation of each reference reads."""
    return {entry.key: entry.label for entry in document.references}


def sections_on_paper(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """Leave out the sections made of trials to tick off: on paper there is nothing to tick."""
    return tuple(
        replace(section, sections=sections_on_paper(section.sections))
        for section in sections
        if not any(isinstance(block, Explorer) for block in section.blocks)
    )


def printed_rows(table: Table) -> Iterator[tuple[Spans, ...]]:
    """Yield the cells of each row as they are printed: with a minus sign where numbers stand."""
    for row in table.rows:
        yield tuple(printed(cell, column) for cell, column in zip(row.cells, table.columns, strict=True))


def printed(cell: Cell, column: Column) -> Spans:
    """Return the content of a cell as it is printed."""
    return tuple(map(_signed, cell.spans)) if column.kind == "number" else cell.spans


def _signed(part: Inline) -> Inline:
    return Span(minus(part.text), part.style) if isinstance(part, Span) else part
