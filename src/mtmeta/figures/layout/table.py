"""The parts of a forest plot as data: cells, columns, rows, marks, panels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from mtmeta.figures.layout.base import Layout
from mtmeta.figures.style import Style

__all__ = ["Cell", "Column", "ForestLayout", "Light", "Mark", "Panel", "Row", "numbered"]

Align = Literal["left", "right", "centre"]
RowKind = Literal["study", "heading", "pooled", "prediction", "note"]
Shape = Literal["square", "diamond", "bar", "density", "dot", "none"]


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one column of one row.

    Attributes
    ----------
    parts : tuple of str
        Texts drawn side by side, each right-aligned in its own lane, so that decimals stand under
        decimals; joined they are the cell's text.
    values : tuple of float
        The numbers behind the text, unrounded, on the printed scale.
    """

    parts: tuple[str, ...] = ()
    values: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        """The cell as one string."""
        return "".join(self.parts)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a forest plot.

    Attributes
    ----------
    key : str
        A known key (study, n1, n2, n, m1, sd1, a, events1, weight, effect, estimate, interval, rob …) or
        the name of any column the effects carry.
    header : str
        Empty for the usual one.
    group : str
        A header spanning neighbours of the same group, such as the arm.
    align : {"left", "right", "centre"}
    decimals : int or None
        None for the style's.
    side : {"left", "right"}
        Of the panel; set by the layout.
    """

    key: str
    header: str = ""
    group: str = ""
    align: Align = "right"
    decimals: int | None = None
    side: Literal["left", "right"] = "left"


@dataclass(frozen=True, slots=True)
class Mark:
    """One estimate with its interval in one panel, on the scale of analysis.

    Attributes
    ----------
    panel : int
    shape : str
    estimate, low, high : float
    share : float
        Weight relative to the largest of the panel (0 to 1): the area of a square.
    tone : int
        Index into the style's palette, -1 for the shape's own colour.
    curve : tuple of (float, float)
        Density as (x, height up to 1) for the shape "density".
    hollow : bool
        Outline only.
    offset : float
        Down from the row's middle, in rows: for two marks in one row.
    """

    panel: int
    shape: Shape
    estimate: float
    low: float
    high: float
    share: float = 1.0
    tone: int = -1
    curve: tuple[tuple[float, float], ...] = ()
    hollow: bool = False
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Light:
    """One risk-of-bias judgement: column, judgement, and the sign and colour it is drawn with."""

    domain: str
    judgement: str
    sign: str
    colour: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row, from the top down.

    Attributes
    ----------
    kind : str
    position : int
        Counted from 0 over all rows.
    cells : tuple of Cell
        One a column; empty for headings and notes.
    text : str
        Of a heading or note: it spans the left columns.
    marks : tuple of Mark
    lights : tuple of Light
    bold : bool
    indent : int
        Steps the label is moved in.
    gap : float
        Free space above, in rows.
    id : str
        Name of the row in the figure, unique in it: "row-" and the study for studies; the ``id`` of the group
        that holds the row's ink in an SVG. See :func:`numbered`.
    """

    kind: RowKind
    position: int
    cells: tuple[Cell, ...] = ()
    text: str = ""
    marks: tuple[Mark, ...] = ()
    lights: tuple[Light, ...] = ()
    bold: bool = False
    indent: int = 0
    gap: float = 0.0
    id: str = ""


_PREFIX = {"study": "row", "heading": "group"}


def numbered(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Count rows from the top and give each a name that stays the same when other rows come or go.

    The name is what the row is ("row" for a study, "pooled", "prediction", "group" for a heading, "note")
    and, after a hyphen, its ``id`` so far or its label, in lower case with a hyphen for everything that is
    neither letter nor digit. The second of a name gets "-2", the third "-3".

    Examples
    --------
    >>> [r.id for r in numbered([Row("study", 0, id="White 1999"), Row("study", 0, id="White 1999"),
    ...                          Row("pooled", 0)])]
    ['row-white-1999', 'row-white-1999-2', 'pooled']
    """
    out: list[Row] = []
    taken: set[str] = set()
    for i, row in enumerate(rows):
        prefix = _PREFIX.get(row.kind, row.kind)
        said = re.sub(r"[\W_]+", "-", (row.id or (row.text if row.kind == "heading" else "")).lower()).strip(
            "-"
        )
        stem = f"{prefix}-{said}" if said else prefix
        name, count = stem, 1
        while name in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name)
        out.append(replace(row, position=i, id=name))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Panel:
    """One effect axis.

    Attributes
    ----------
    low, high : float
        Ends of the axis on the scale of analysis.
    ticks, tick_values : tuple of float
        Positions on the scale of analysis, and the numbers their labels print.
    labels : tuple of str
    null : float or None
        Where no difference lies.
    mid : tuple of float
        Minimal important differences.
    pooled : tuple of float
        Where a dotted line carries a pooled estimate up through the studies.
    shade : tuple of float
        Prediction interval drawn as a tinted band behind all rows; empty for none.
    axis_label, header : str
    favours : tuple of (str, str)
        What left and right of the null mean.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    tick_values: tuple[float, ...]
    labels: tuple[str, ...]
    null: float | None = 0.0
    mid: tuple[float, ...] = ()
    pooled: tuple[float, ...] = ()
    shade: tuple[float, ...] = ()
    axis_label: str = ""
    header: str = ""
    favours: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class ForestLayout(Layout):
    """A forest plot as data: everything that is drawn, with every number drawn.

    Attributes
    ----------
    measure : str
        Code of the effect measure; "GEN" where the figure shows none.
    k : int
        Effects pooled, or rows shown where nothing is pooled.
    participants : float
        Sum of the participants, NaN where unknown.
    columns : tuple of Column
    domains : tuple of str
        Heads of the risk-of-bias lights, empty without them.
    rows : tuple of Row
    panels : tuple of Panel
    foot : tuple of str
        Lines under the plot: heterogeneity, model, test.
    legend : tuple of (str, str, str)
        Sign, colour and meaning of each light that occurs.
    summary : tuple of (str, float)
        The pooled numbers by name, on the scale of analysis.
    model, ci_method : str
    level : float
    title : str
    style : Style
    figure : str
        Which figure it is, as words.
    """

    measure: str
    k: int
    participants: float
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    panels: tuple[Panel, ...]
    foot: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    legend: tuple[tuple[str, str, str], ...] = ()
    summary: tuple[tuple[str, float], ...] = ()
    model: str = ""
    ci_method: str = ""
    level: float = 0.95
    title: str = ""
    style: Style = field(default_factory=Style)
    figure: str = "forest plot"

    def column(self, key: str) -> int:
        """Index of the column with this key, -1 where there is none."""
        return next((i for i, c in enumerate(self.columns) if c.key == key), -1)

    def values(self, key: str, *, kind: RowKind = "study") -> tuple[tuple[float, ...], ...]:
        """Numbers of one column over the rows of one kind, from the top down."""
        i = self.column(key)
        return tuple(row.cells[i].values for row in self.rows if row.kind == kind and row.cells)
