"""Specification curve: every defensible analysis, sorted, above the choices it made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import axis_ticks
from mtmeta.figures.layout.base import number, percent
from mtmeta.figures.layout.plot import (
    Axis,
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
    layers: list[Layer] = [Ranges(at, low, high, width=min(1.0, 60.0 / len(at)))]
    if math.isfinite(null):
        layers.insert(0, Line((0.0, len(at) + 1.0), (null, null), tone="null"))
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
    below, rows = _choices(table, choices, at, look)
    back = shown(kind)
    low_end, high_end = back(min(estimate)), back(max(estimate))
    share = 100.0 * sum(clear) / len(clear)
    foot = (
        f"{len(at):,} analyses: {short_name(kind)} from {number(low_end, look)} to {number(high_end, look)}, "
        f"median {number(back(float(np.median(estimate))), look)}; "
        f"{percent(share, look, decimals=0)} of the intervals exclude the null",
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
