"""Influence of single studies: Baujat plot, influence panels, GOSH."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mtmeta.figures.layout.axes import axis_ticks
from mtmeta.figures.layout.base import number, percent
from mtmeta.figures.layout.plot import (
    Axis,
    Cells,
    GridLayout,
    Layer,
    PlotLayout,
    Points,
    floats,
    make_axis,
    need_columns,
    spread,
)
from mtmeta.figures.layout.protocols import axis_name
from mtmeta.figures.layout.table import Cell, Column, ForestLayout, Mark, Panel, Row, numbered
from mtmeta.figures.layout.ticks import linear_ticks, tick_decimals
from mtmeta.figures.layout.words import tau2_words
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import Measure, check_choice, measure_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["baujat_layout", "gosh_layout", "influence_layout"]


def baujat_layout(
    data: pd.DataFrame,
    *,
    study: str = "study",
    x: str = "contribution",
    y: str = "influence",
    labelled: int = 5,
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out a Baujat plot: what each study adds to heterogeneity against what it does to the estimate.

    Parameters
    ----------
    data : DataFrame
        A row a study: its contribution to Cochran's Q, and the standardised squared difference of the
        estimates with and without it (Baujat 2002, Stat Med 21:2641).
    study, x, y : str
        Columns.
    labelled : int
        How many studies are named: those with the largest product of both.
    title, style
        As everywhere.

    Raises
    ------
    UsageError
        For a table without these columns or rows.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"study": ["a", "b"], "contribution": [1.2, 0.1], "influence": [0.4, 0.2]})
    >>> baujat_layout(table, labelled=1).points().labels
    ('a', '')
    """
    need_columns(data, study, x, y)
    look = style_of(style)
    across, up = floats(data[x]), floats(data[y])
    rank = sorted(range(len(across)), key=lambda i: -across[i] * up[i])[: max(labelled, 0)]
    names = tuple(str(s) if i in rank else "" for i, s in enumerate(data[study]))
    return PlotLayout(
        figure="Baujat plot",
        x=make_axis(0.0, spread(across)[1], look, label="Contribution to heterogeneity (Q)"),
        y=make_axis(0.0, spread(up)[1], look, label="Influence on the pooled effect"),
        layers=(Points(across, up, labels=names),),
        summary=(("studies", float(len(across))),),
        title=title,
        style=look,
    )


# column, heading, decimals; how the reference value and the limits follow from k (and from the overall tau2)
_STATISTICS = (
    ("rstudent", "Studentised\nresidual"),
    ("dffits", "DFFITS"),
    ("cook", "Cook's\ndistance"),
    ("cov_ratio", "Covariance\nratio"),
    ("tau2_deleted", "τ² without\nthe study"),
    ("hat", "Hat value"),
    ("weight", "Weight (%)"),
)
_ALL = ("rstudent", "dffits", "cook", "cov_ratio", "tau2_deleted", "hat", "weight")


def influence_layout(
    data: pd.DataFrame,
    *,
    study: str = "study",
    tau2: float | None = None,
    statistics: Sequence[str] = _ALL,
    title: str = "",
    style: Style | StyleName = "plain",
) -> ForestLayout:
    """Lay out the influence diagnostics of each study, one panel a statistic.

    Parameters
    ----------
    data : DataFrame
        A row a study, with the columns of ``statistics`` (metafor's meanings); studies in the column `study`
        or in the index.
    tau2 : float, optional
        Of all studies, the reference of ``tau2_deleted``.
    statistics : sequence of str
        Which of rstudent, dffits, cook, cov_ratio, tau2_deleted, hat, weight.
    title, style
        As everywhere.

    Notes
    -----
    Studies drawn in colour are those of the column ``influential``; without it, the dashed limits and the
    rule are those of Viechtbauer and Cheung 2010
    (Res Synth Methods 1:112) for one coefficient: ``|rstudent| > 1.96``, ``|DFFITS| > 3 sqrt(1/(k - 1))``,
    Cook's distance above the median of chi-squared with 1 df (0.4549), hat above ``3/k``. The first is
    only drawn; each of the other three makes a study influential.

    Raises
    ------
    UsageError
        For a table without these columns or rows, or an unknown statistic.
    """
    look = style_of(style)
    known = dict(_STATISTICS)
    for name in statistics:
        check_choice("statistics", name, tuple(known))
    frame = data.reset_index() if study not in data.columns and data.index.name == study else data
    need_columns(frame, study, *statistics)
    k = len(frame)
    flagged = [_influential(frame, i, k) for i in range(k)]
    panels = tuple(_panel(known[s], floats(frame[s]), *_reference(s, k, tau2), look) for s in statistics)
    rows = []
    for i in range(k):
        marks = []
        for j, name in enumerate(statistics):
            value = float(frame[name].iloc[i])
            null = panels[j].null
            base = value if null is None else null
            tone = 1 if flagged[i] else -1
            marks.append(Mark(j, "dot", value, min(base, value), max(base, value), tone=tone))
        name = str(frame[study].iloc[i])
        rows.append(Row("study", i, (Cell((name,)),), marks=tuple(marks), bold=flagged[i], id=name))
    dashed = any(p.mid for p in panels)
    found = [str(s) for s, f in zip(frame[study], flagged, strict=True) if f]
    said = f"Influential: {', '.join(found)}" if found else "No study is influential by these limits"
    return ForestLayout(
        figure="influence diagnostics",
        measure="GEN",
        k=k,
        participants=math.nan,
        columns=(Column("study", "Study", align="left"),),
        rows=numbered(rows),
        panels=panels,
        foot=(f"{said}. Dashed lines: limits beyond which a study stands out",) if dashed else (said,),
        title=title,
        style=replace(look, bold_pooled=False),
    )


def _influential(frame: pd.DataFrame, i: int, k: int) -> bool:
    if "influential" in frame.columns:
        return bool(frame["influential"].iloc[i])
    limits = {
        "dffits": 3.0 * math.sqrt(1.0 / (k - 1)) if k > 1 else math.inf,
        "cook": _CHI_MEDIAN,
        "hat": 3.0 / k,
    }
    return any(
        name in frame.columns and abs(float(frame[name].iloc[i])) > limit for name, limit in limits.items()
    )


_CHI_MEDIAN = 0.45493642311957283  # scipy.stats.chi2.median(1)


def _reference(name: str, k: int, tau2: float | None) -> tuple[float | None, tuple[float, ...]]:
    limit = 3.0 * math.sqrt(1.0 / (k - 1)) if k > 1 else math.nan
    table: dict[str, tuple[float | None, tuple[float, ...]]] = {
        "rstudent": (0.0, (-1.959963984540054, 1.959963984540054)),
        "dffits": (0.0, (-limit, limit) if k > 1 else ()),
        "cook": (0.0, (_CHI_MEDIAN,)),
        "cov_ratio": (1.0, ()),
        "tau2_deleted": (tau2, ()),
        "hat": (1.0 / k, (3.0 / k,)),
        "weight": (100.0 / k, ()),
    }
    return table[name]


def _panel(
    head: str, values: Sequence[float], reference: float | None, limits: tuple[float, ...], style: Style
) -> Panel:
    base = [] if reference is None else [reference]
    low, high = spread(values, also=base, margin=0.1)
    # a limit far beyond all values would squeeze them: it is left out of the picture
    near = tuple(v for v in limits if low - 1.5 * (high - low) <= v <= high + 1.5 * (high - low))
    low, high = spread(values, also=[*base, *near], margin=0.1)
    ticks = linear_ticks(low, high, target=3)
    decimals = tick_decimals(ticks)
    labels = tuple(number(t, style, decimals=decimals) for t in ticks)
    return Panel(low, high, ticks, ticks, labels, null=reference, mid=near, header=head)


def gosh_layout(
    data: pd.DataFrame,
    *,
    measure: Measure | str,
    y: str = "i2",
    study: str | None = None,
    scatter: int = 1500,
    bins: tuple[int, int] = (64, 44),
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout | GridLayout:
    """Lay out a GOSH plot: estimate and heterogeneity of many subsets of the studies.

    Parameters
    ----------
    data : DataFrame
        A row a subset: ``estimate``, ``tau2``, ``i2``, ``k``, and a column a study: is it in?
    measure : Measure or str
    y : {"i2", "tau2"}
        Heterogeneity on the y axis.
    study : str, optional
        Draw subsets with this study beside those without it.
    scatter : int
        Up to so many subsets are drawn as points, more as density.
    bins : (int, int)
        Cells of the density across and up.
    title, style
        As everywhere.

    References
    ----------
    Olkin, Dahabreh, Trikalinos 2012, Res Synth Methods 3:214.
    """
    check_choice("y", y, ("i2", "tau2"))
    need_columns(data, "estimate", y, *([study] if study is not None else []))
    look, kind = style_of(style), measure_of(measure)
    low, high = spread(floats(data["estimate"]), margin=0.03)
    bottom, top = spread(floats(data[y]))
    bottom, top = max(0.0, bottom), min(100.0, top) if y == "i2" else top
    label = "I² (%)" if y == "i2" else "τ²"

    def one(part: pd.DataFrame, tone: str, name: str) -> PlotLayout:
        ticks, values, words = axis_ticks(low, high, kind, look)
        middle = float(np.median(part["estimate"])) if len(part) else math.nan
        said = f"; median {label.split(' ')[0]} {_typical(part[y], y, look)}" if len(part) else ""
        return PlotLayout(
            figure="GOSH plot",
            x=Axis(low, high, ticks, values, words, axis_name(kind, look)),
            y=make_axis(bottom, top, look, label=label),
            layers=_cloud(part, y, tone, scatter, bins, (low, high, bottom, top)),
            summary=(("subsets", float(len(part))), ("median estimate", middle)),
            title=name,
            foot=(f"{len(part):,} subsets{said}",),
            width=40.0,
            height=30.0,
            style=look,
        )

    if study is None:
        return replace(one(data, "diamond", title))
    inside = data[study].astype(bool)
    plots = (
        one(data[inside], "palette 1", f"With {study}"),
        one(data[~inside], "palette 0", f"Without {study}"),
    )
    return GridLayout("GOSH plot", plots, 2, title, (), look)


def _typical(values: pd.Series, y: str, style: Style) -> str:
    middle = float(np.median(values))
    return percent(middle, style, decimals=0) if y == "i2" else tau2_words(middle, style)


def _cloud(
    part: pd.DataFrame,
    y: str,
    tone: str,
    scatter: int,
    bins: tuple[int, int],
    limits: tuple[float, float, float, float],
) -> tuple[Layer, ...]:
    across, up = floats(part["estimate"]), floats(part[y])
    if len(across) <= scatter:
        return (Points(across, up, area=(0.35,) * len(across), tone=tone, alpha=0.7),)
    counts, xs, ys = np.histogram2d(across, up, bins=bins, range=(limits[:2], limits[2:]))
    i, j = np.nonzero(counts)
    shade = 0.15 + 0.85 * np.log1p(counts[i, j]) / np.log1p(counts.max())
    return (
        Cells(floats(xs[i]), floats(xs[i + 1]), floats(ys[j]), floats(ys[j + 1]), floats(shade), tone=tone),
    )
