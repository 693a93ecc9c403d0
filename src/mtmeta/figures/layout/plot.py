"""Plots with two axes as data: points, lines, areas and notes in the plot's own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mtmeta.figures.layout.base import Layout, number
from mtmeta.figures.layout.ticks import linear_ticks, log_ticks, tick_decimals
from mtmeta.figures.style import Style

__all__ = ["Area", "Axis", "GridLayout", "Line", "Note", "PlotLayout", "Points", "floats", "make_axis"]

Dash = Literal["solid", "dashed", "dotted"]
Shape = Literal["circle", "square", "diamond", "triangle", "cross"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: limits, tick positions and what they print. `low` may lie above `high` (upside down)."""

    low: float
    high: float
    ticks: tuple[float, ...]
    tick_values: tuple[float, ...]
    labels: tuple[str, ...]
    label: str = ""
    grid: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """Markers; `area` is 1 for the usual size, `tone` a role of the style ("ink", "square", "palette 2")."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    area: tuple[float, ...] = ()
    shape: Shape = "circle"
    tone: str = "square"
    hollow: bool = False
    labels: tuple[str, ...] = ()
    name: str = ""
    alpha: float = 1.0
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
class Note:
    """Text at a place of the plot."""

    x: float
    y: float
    text: str
    align: Literal["left", "right", "centre"] = "left"
    bold: bool = False
    tone: str = "ink"
    kind: str = "note"


Layer = Points | Line | Area | Note


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
    """Several plots on one page, row by row."""

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
