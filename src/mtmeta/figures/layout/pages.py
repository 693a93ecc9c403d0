"""A forest plot too long for a page becomes several, one axis for all."""

from __future__ import annotations

import math
from dataclasses import replace

from mtmeta.errors import UsageError
from mtmeta.figures.layout.table import ForestLayout, Row

__all__ = ["forest_pages"]


def forest_pages(layout: ForestLayout, *, rows: int = 50) -> tuple[ForestLayout, ...]:
    """Split a forest plot into pages of at most `rows` rows, as even as can be.

    All pages have the columns, axis and reference lines of the whole; pooled results, notes and the foot
    stand on the last. A heading is not left alone at the end of a page, and is repeated on the next.

    Parameters
    ----------
    layout : ForestLayout
    rows : int
        Most rows on a page, 10 or more; about 50 fill a sheet of A4 or letter paper.

    Returns
    -------
    tuple of ForestLayout
        The layout itself where it fits on one page.

    Raises
    ------
    UsageError
        For fewer than 10 rows a page.
    """
    if rows < 10:
        raise UsageError(f"rows={rows!r}: a page needs 10 rows or more")
    if len(layout.rows) <= rows:
        return (layout,)
    count = math.ceil(len(layout.rows) / (rows - 1))  # a repeated heading may take one
    per = math.ceil(len(layout.rows) / count)
    pages: list[list[Row]] = [[]]
    heading: Row | None = None
    for i, row in enumerate(layout.rows):
        tied = i > 0 and row.kind in ("note", "prediction")  # stands under what it belongs to
        lone = row.kind == "heading" and len(pages[-1]) >= per - 1
        if pages[-1] and not tied and (len(pages[-1]) >= per or lone):
            pages.append([])
            if heading is not None and row.kind in ("study", "pooled") and row.indent:
                pages[-1].append(replace(heading, text=f"{heading.text} (continued)", gap=0.0))
        if row.kind == "heading":
            heading = row
        pages[-1].append(row)
    total = len(pages)
    return tuple(
        replace(
            layout,
            rows=tuple(replace(r, position=j) for j, r in enumerate(page)),
            title=f"{layout.title} (page {i + 1} of {total})".strip(),
            foot=layout.foot if i == total - 1 else (),
            legend=layout.legend if i == total - 1 else (),
        )
        for i, page in enumerate(pages)
    )
