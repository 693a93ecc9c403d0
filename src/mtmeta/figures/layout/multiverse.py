"""Specification curve: every defensible analysis, sorted, above the choices it made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import axis_ticks
from mtmeta.figures.layout.base import number, percent
from mtmeta.figures.layout.plot import (
    Axis,
    Cells,
    GridLayout,
    Layer,
    Line,
    PlotLayout,
    Points,
    Ranges,
    floats,
    named_axis,
    need_columns,
    spread,
)
from mtmeta.figures.layout.protocols import axis_name, has_null, short_name, shown
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import Measure, measure_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["specification_layout"]


FloatArray = npt.NDArray[np.float64]
_MANY = 200  # more analyses than this are drawn in columns
_COLUMNS = 128
_SPELLED = {"tau2": "τ²", "ci": "CI", "pi": "PI"}


def specification_layout(
    data: pd.DataFrame | MultiverseLike,
    *,
    measure: Measure | str | None = None,
    choices: Sequence[str] = (),
    main: int | None = None,
    title: str = "",
    style: Style | StyleName = "plain",
) -> GridLayout:
    """Lay out a specification curve.

    Parameters
    ----------
    data : result of ``multiverse``, or DataFrame
        A row an analysis: ``estimate``, ``ci_low``, ``ci_high`` on the scale of analysis; a column a choice.
    measure : Measure or str, optional
        Of a DataFrame; a multiverse knows its own.
    choices : sequence of str
        Columns of the choices, shown from the top down; all choices of a multiverse by default.
    main : int, optional
        Position (row number) of the main analysis, marked.
    title, style
        As everywhere.

    Notes
    -----
    More than 200 analyses are drawn in columns of neighbours: the reach of their intervals, the medians of
    limits and estimates, and how many of them took each option.

    References
    ----------
    Simonsohn, Simmons, Nelson 2020, Nat Hum Behav 4:1208; Voracek, Kossmeier, Tran 2019, Z Psychol 227:64.

    Raises
    ------
    UsageError
        For a table without these columns or rows.
    """
    frame, kind, choices = _table(data, measure, choices)
    need_columns(frame, "estimate", "ci_low", "ci_high", *choices)
    look = style_of(style)
    order = np.argsort(np.asarray(frame["estimate"], dtype=float), kind="stable")
    table = frame.iloc[order]
    at = tuple(float(i + 1) for i in range(len(table)))
    estimate, low, high = (floats(table[c]) for c in ("estimate", "ci_low", "ci_high"))
    null = kind.null if has_null(kind) else math.nan
    clear = [(lo > null) or (hi < null) for lo, hi in zip(low, high, strict=True)]
    ends = spread([*low, *high], also=[null])
    ticks, values, words = axis_ticks(*ends, kind, look)
    x = Axis(0.0, len(at) + 1.0, (), (), ())
    columns = _columns(len(at))
    layers: list[Layer] = (
        _each(at, estimate, low, high, clear) if columns is None else _summed(columns, estimate, low, high)
    )
    if math.isfinite(null):
        layers.insert(0 if columns is None else 2, Line((0.0, len(at) + 1.0), (null, null), tone="null"))
    if main is not None:
        where = int(np.flatnonzero(order == main)[0])
        layers.append(
            Points(
                (at[where],),
                (estimate[where],),
                area=(2.2,),
                shape="diamond",
                tone="prediction",
                name="main analysis",
            )
        )
    top = PlotLayout(
        figure="specification curve",
        x=x,
        y=Axis(ends[0], ends[1], ticks, values, words, axis_name(kind, look)),
        layers=tuple(layers),
        width=64.0,
        height=20.0,
        style=look,
    )
    if columns is None:
        below, rows = _choices(table, choices, at, look)
    else:
        below, rows = _shares(table, choices, columns, clear)
    back = shown(kind)
    low_end, high_end = back(min(estimate)), back(max(estimate))
    share = 100.0 * sum(clear) / len(clear)
    foot: tuple[str, ...] = (
        f"{len(at):,} analyses: {short_name(kind)} from {number(low_end, look)} to {number(high_end, look)}, "
        f"median {number(back(float(np.median(estimate))), look)}; "
        f"{percent(share, look, decimals=0)} of the intervals exclude the null",
    )
    if columns is not None:
        each = len(at) / (len(columns) - 1)
        foot += (
            f"Each column stands for about {number(each, look, decimals=0)} analyses; below, the darker a "
            "cell, the more of them made the choice",
        )
    bottom = PlotLayout(
        figure="specification curve",
        x=Axis(0.0, len(at) + 1.0, (), (), (), "Analyses in the order of their estimates"),
        y=named_axis(rows, flip=True, grid=True),
        layers=below,
        width=64.0,
        height=4.0 + 1.5 * len(rows),
        style=look,
    )
    return GridLayout("specification curve", (top, bottom), 1, title, foot, look)


def _columns(count: int) -> FloatArray | None:
    """Return the edges of the columns that many analyses are gathered in, None for few."""
    if count <= _MANY:
        return None
    return np.round(np.linspace(0.0, count, _COLUMNS + 1))


def _each(
    at: tuple[float, ...],
    estimate: tuple[float, ...],
    low: tuple[float, ...],
    high: tuple[float, ...],
    clear: list[bool],
) -> list[Layer]:
    """Draw every analysis: its interval, and its estimate coloured by what the interval says."""
    layers: list[Layer] = [Ranges(at, low, high, width=min(1.0, 60.0 / len(at)))]
    for wanted, tone, name in (
        (False, "muted", "interval includes the null"),
        (True, "diamond", "interval excludes the null"),
    ):
        some = [i for i, c in enumerate(clear) if c is wanted]
        if some:
            size = (min(0.6, 40.0 / len(at)),) * len(some)
            layers.append(
                Points(
                    tuple(at[i] for i in some),
                    tuple(estimate[i] for i in some),
                    area=size,
                    tone=tone,
                    name=name,
                )
            )
    return layers


def _summed(
    edges: FloatArray, estimate: tuple[float, ...], low: tuple[float, ...], high: tuple[float, ...]
) -> list[Layer]:
    """Draw columns of analyses: the widest reach of their intervals, the middle interval, the estimates."""
    parts = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    left, right = floats(edges[:-1] + 0.5), floats(edges[1:] + 0.5)
    ends = np.asarray(low), np.asarray(high)
    widest = floats([ends[0][p].min() for p in parts]), floats([ends[1][p].max() for p in parts])
    middle = floats([np.median(ends[0][p]) for p in parts]), floats([np.median(ends[1][p]) for p in parts])
    line = [float(np.median(estimate[p])) for p in parts]
    levels = (0.15,) * len(parts), (0.45,) * len(parts)
    return [
        Cells(left, right, *widest, levels[0], tone="muted", name="reach of all intervals"),
        Cells(left, right, *middle, levels[1], tone="muted", name="median limits"),
        Line(
            floats((edges[:-1] + edges[1:] + 1.0) / 2.0), tuple(line), tone="ink", width=1.6, name="estimate"
        ),
    ]


def _shares(
    table: pd.DataFrame, choices: Sequence[str], edges: FloatArray, clear: list[bool]
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """One row of cells an option: the share of a column's analyses that took it."""
    rows = ["interval excludes the null"]
    taken = [np.array(clear)]
    tones = ["diamond"]
    for choice in choices:
        values = np.array([str(v) for v in table[choice]])
        for option in sorted(set(values)):
            taken.append(values == option)
            tones.append("ink")
            rows.append(f"{_SPELLED.get(choice, choice.replace('_', ' '))}: {option}")
    left, right = floats(edges[:-1] + 0.5), floats(edges[1:] + 0.5)
    size = np.diff(edges)
    layers: list[Layer] = []
    for place, (mask, tone) in enumerate(zip(taken, tones, strict=True)):
        level = np.add.reduceat(mask.astype(float), edges[:-1].astype(int)) / size
        ends = (place - 0.34,) * len(left), (place + 0.34,) * len(left)
        layers.append(Cells(left, right, *ends, floats(level), tone=tone))
    return tuple(layers), tuple(rows)


class MultiverseLike(Protocol):
    """The answers of many specifications: their table, its choices, the measure."""

    @property
    def choices(self) -> tuple[str, ...]: ...
    @property
    def measure(self) -> Measure: ...
    def to_frame(self) -> pd.DataFrame: ...


def _table(
    data: pd.DataFrame | MultiverseLike, measure: Measure | str | None, choices: Sequence[str]
) -> tuple[pd.DataFrame, Measure, Sequence[str]]:
    import pandas as pd

    if not isinstance(data, pd.DataFrame):
        return data.to_frame(), data.measure, choices or data.choices
    if measure is None:
        raise UsageError("a table needs measure=…; a multiverse knows its own")
    return data, measure_of(measure), choices


def _choices(
    table: pd.DataFrame, choices: Sequence[str], at: tuple[float, ...], style: Style
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """One row of dots an option, grouped by choice."""
    layers: list[Layer] = []
    rows: list[str] = []
    size = min(0.5, 30.0 / len(at))
    for c, choice in enumerate(choices):
        values = [str(v) for v in table[choice]]
        for option in dict.fromkeys(sorted(values)):
            some = tuple(a for a, v in zip(at, values, strict=True) if v == option)
            tone = "ink" if c % 2 == 0 else "muted"
            layers.append(
                Points(
                    some, (float(len(rows)),) * len(some), area=(size,) * len(some), shape="square", tone=tone
                )
            )
            rows.append(f"{_SPELLED.get(choice, choice.replace('_', ' '))}: {option}")
    return tuple(layers), tuple(rows)
