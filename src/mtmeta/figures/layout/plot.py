"""Plots with two axes as data: points, lines, areas and notes in the plot's own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.figures.layout.base import Layout, number
from mtmeta.figures.layout.ticks import linear_ticks, log_ticks, tick_decimals
from mtmeta.figures.style import Style

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Area",
    "Axis",
    "Cells",
    "GridLayout",
    "Layer",
    "Line",
    "Note",
    "PlotLayout",
    "Points",
    "Ranges",
    "floats",
    "make_axis",
    "named_axis",
    "need_columns",
    "spread",
]

Dash = Literal["solid", "dashed", "dotted"]
Shape = Literal["circle", "square", "diamond", "triangle", "cross"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: limits, tick positions and what they print.

    `low` may lie above `high` (upside down). With `names` the labels are words, which are wrapped.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    tick_values: tuple[float, ...]
    labels: tuple[str, ...]
    label: str = ""
    grid: bool = False
    names: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """Markers.

    `area` is 1 for the usual size, `tone` a role of the style ("ink", "square", "palette 2") or a colour.
    `labels` stand beside the markers where there is room, `inner` in them; `rim` draws an outline in ink.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    area: tuple[float, ...] = ()
    shape: Shape = "circle"
    tone: str = "square"
    hollow: bool = False
    labels: tuple[str, ...] = ()
    name: str = ""
    alpha: float = 1.0
    inner: tuple[str, ...] = ()
    rim: bool = False
    kind: str = "points"


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    tone: str = "ink"
    dash: Dash = "solid"
    width: float = 1.0
    name: str = ""
    kind: str = "line"


@dataclass(frozen=True, slots=True)
class Area:
    """A filled polygon: `shade` is how much of the tone it has (0 paper, 1 full)."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    tone: str = "muted"
    shade: float = 0.2
    edge: bool = False
    name: str = ""
    kind: str = "area"


@dataclass(frozen=True, slots=True)
class Ranges:
    """Intervals at places of the other axis: vertical when `upright`, else horizontal."""

    at: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    upright: bool = True
    tone: str = "muted"
    width: float = 1.0
    name: str = ""
    kind: str = "ranges"


@dataclass(frozen=True, slots=True)
class Cells:
    """Filled rectangles; `level` (0 to 1) is how much of the tone each has. `text` stands in the middle."""

    left: tuple[float, ...]
    right: tuple[float, ...]
    bottom: tuple[float, ...]
    top: tuple[float, ...]
    level: tuple[float, ...]
    tone: str = "diamond"
    text: tuple[str, ...] = ()
    edge: bool = False
    name: str = ""
    kind: str = "cells"


@dataclass(frozen=True, slots=True)
class Note:
    """Text at a place of the plot."""

    x: float
    y: float
    text: str
    align: Literal["left", "right", "centre"] = "left"
    bold: bool = False
    tone: str = "ink"
    kind: str = "note"


Layer = Points | Line | Area | Ranges | Cells | Note


@dataclass(frozen=True)
class PlotLayout(Layout):
    """A plot with two axes as data.

    Attributes
    ----------
    figure : str
        Which figure it is, such as "funnel".
    x, y : Axis
    layers : tuple of Points, Line, Area, Note
        From the bottom up.
    summary : tuple of (str, float)
        Numbers of the figure's message, by name.
    title : str
    foot : tuple of str
    width, height : float
        Natural size in multiples of the text size.
    style : Style
    """

    figure: str
    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    summary: tuple[tuple[str, float], ...] = ()
    title: str = ""
    foot: tuple[str, ...] = ()
    width: float = 44.0
    height: float = 34.0
    style: Style = field(default_factory=Style)

    def points(self, name: str = "") -> Points:
        """Return the first layer of points, or that with a name."""
        return next(p for p in self.layers if isinstance(p, Points) and (not name or p.name == name))


@dataclass(frozen=True)
class GridLayout(Layout):
    """Several plots on one page, row by row; plots under each other share their left edge."""

    figure: str
    plots: tuple[PlotLayout, ...]
    columns: int = 2
    title: str = ""
    foot: tuple[str, ...] = ()
    style: Style = field(default_factory=Style)


def floats(values: Any) -> tuple[float, ...]:
    """Return an array, Series or sequence as a tuple of Python floats."""
    return tuple(float(v) for v in np.asarray(values, dtype=np.float64).ravel())


def make_axis(
    low: float,
    high: float,
    style: Style,
    *,
    label: str = "",
    log: bool = False,
    target: int = 5,
    grid: bool = False,
    flip: bool = False,
    ticks: Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
) -> Axis:
    """Make an axis with round ticks.

    Parameters
    ----------
    low, high : float
        Limits; logarithms when `log`.
    style : Style
    label : str
    log : bool
        Positions are logarithms, labels the ratios.
    target : int
        About how many ticks.
    grid : bool
        Hairlines across the plot.
    flip : bool
        Low values at the top or right.
    ticks, labels : sequence, optional
        Instead of round ones.
    """
    if ticks is None:
        places = log_ticks(low, high, target=target) if log else linear_ticks(low, high, target=target)
    else:
        places = tuple(float(t) for t in ticks)
    values = tuple(float(f"{np.exp(t):.10g}") for t in places) if log else places
    if labels is None:
        together = tick_decimals(values)
        labels = [number(v, style, decimals=tick_decimals([v]) if log else together) for v in values]
    ends = (high, low) if flip else (low, high)
    return Axis(ends[0], ends[1], places, values, tuple(labels), label, grid)


def spread(
    values: Sequence[float], *, margin: float = 0.06, also: Sequence[float] = ()
) -> tuple[float, float]:
    """Limits around finite values with a margin on both sides."""
    finite = [v for v in (*values, *also) if np.isfinite(v)]
    if not finite:
        return (0.0, 1.0)
    low, high = min(finite), max(finite)
    room = (high - low) or max(abs(low), 1.0)
    return (low - margin * room, high + margin * room)


def named_axis(names: Sequence[str], *, label: str = "", grid: bool = False, flip: bool = False) -> Axis:
    """Make an axis of categories at 0, 1, 2 …, with half a step of room at both ends."""
    places = tuple(float(i) for i in range(len(names)))
    ends = (len(names) - 0.5, -0.5) if flip else (-0.5, len(names) - 0.5)
    return Axis(ends[0], ends[1], places, places, tuple(map(str, names)), label, grid, names=True)


def need_columns(data: pd.DataFrame, *names: str) -> None:
    """Raise a UsageError that names the first column a table lacks, and those it has.

    Raises
    ------
    UsageError
    """
    have = [str(c) for c in data.columns]
    for name in names:
        if name not in have:
            raise UsageError(f"the table has no column {name!r}; it has {', '.join(have)}")
    if not len(data):
        raise UsageError("the table has no rows; there is nothing to draw")
