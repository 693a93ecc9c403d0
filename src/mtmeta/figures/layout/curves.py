"""Curves that an analysis gives as a table: p-curve, profile of τ², dose and response."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import axis_ticks
from mtmeta.figures.layout.base import percent
from mtmeta.figures.layout.plot import (
    Area,
    Axis,
    Layer,
    Line,
    PlotLayout,
    Points,
    Ranges,
    floats,
    make_axis,
    need_columns,
    spread,
)
from mtmeta.figures.layout.protocols import axis_name, has_null
from mtmeta.figures.layout.words import level_words, tau2_words
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import Interval, Measure, measure_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["dose_response_layout", "p_curve_layout", "tau2_profile_layout"]


def p_curve_layout(
    pvalues: Sequence[float],
    *,
    expected: Sequence[float] = (),
    expected_name: str = "33% power",
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out a p-curve: how significant P values spread over 0 to 0.05.

    Parameters
    ----------
    pvalues : sequence of float
        Two-sided, of all results; those of 0.05 and above are counted in the foot and not drawn.
    expected : sequence of 5 float, optional
        Shares (summing to 1) that some power would give, as the analysis computes them.
    expected_name : str
    title, style
        As everywhere.

    Raises
    ------
    UsageError
        Without a significant value, for a value outside [0, 1], or another number of expected shares.

    References
    ----------
    Simonsohn, Nelson, Simmons 2014, J Exp Psychol Gen 143:534.
    """
    look = style_of(style)
    values = floats(pvalues)
    if any(not 0.0 <= p <= 1.0 for p in values):
        raise UsageError("P values lie between 0 and 1")
    small = [p for p in values if p < 0.05]
    if not small:
        raise UsageError("no P value lies below 0.05; a p-curve has nothing to draw")
    if expected and len(expected) != 5:
        raise UsageError(f"expected has {len(expected)} shares; give 5, one for each hundredth")
    counts = [sum(1 for p in small if i / 100 <= p < (i + 1) / 100) for i in range(5)]
    shares = tuple(100.0 * c / len(small) for c in counts)
    at = tuple((i + 1) / 100 for i in range(5))
    top = max((*shares, 25.0, *(100.0 * e for e in expected)))
    layers: list[Layer] = [Line(at, (20.0,) * 5, tone="null", dash="dotted", name="no effect")]
    if expected:
        layers.append(
            Line(
                at,
                floats([100.0 * e for e in expected]),
                tone="prediction",
                dash="dashed",
                name=expected_name,
            )
        )
    layers += [
        Line(at, shares, tone="diamond", width=1.6, name="observed"),
        Points(at, shares, tone="diamond", labels=tuple(percent(s, look, decimals=0) for s in shares)),
    ]
    rest = len(values) - len(small)
    return PlotLayout(
        figure="p-curve",
        x=make_axis(0.005, 0.055, look, label="P value", ticks=at),
        y=make_axis(0.0, min(112.0, 1.15 * top), look, label="Share of significant results (%)"),
        layers=tuple(layers),
        summary=tuple((f"share below {a:.2f}", s) for a, s in zip(at, shares, strict=True)),
        title=title,
        foot=(
            f"{len(small)} significant P values"
            + (f"; {rest} of 0.05 or more are not drawn" if rest else ""),
        ),
        style=look,
    )


def tau2_profile_layout(
    data: pd.DataFrame,
    *,
    estimate: float,
    interval: Interval | tuple[float, float] | None = None,
    level: float = 0.95,
    method: str = "profile likelihood",
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out the profile of the between-study variance.

    Parameters
    ----------
    data : DataFrame
        Columns ``tau2`` and ``loglik`` (log-likelihood with everything else at its best).
    estimate : float
    interval : (float, float), optional
    level : float
    method : str
        Of the interval.
    title, style
        As everywhere.
    """
    need_columns(data, "tau2", "loglik")
    look = style_of(style)
    x, y = floats(data["tau2"]), floats(data["loglik"])
    ends, best = spread(y, margin=0.08), max(y)
    layers: list[Layer] = []
    foot = f"Dotted: estimate {tau2_words(estimate, look)}"
    if interval is not None:
        low, high = interval
        layers.append(
            Area((low, high, high, low), (ends[0], ends[0], ends[1], ends[1]), tone="diamond", shade=0.15)
        )
        ends_words = f"{tau2_words(low, look)} to {tau2_words(high, look)}"
        foot += f"; band: {level_words(level, look)} by {method}, {ends_words}"
    layers += [
        Line((estimate, estimate), (ends[0], best), tone="muted", dash="dotted"),
        Line(x, y, tone="diamond", width=1.6),
    ]
    return PlotLayout(
        figure="profile of τ²",
        x=make_axis(min(x), max(x), look, label="Between-study variance τ²"),
        y=make_axis(*ends, look, label="Log-likelihood"),
        layers=tuple(layers),
        summary=(("tau2", estimate),),
        title=title,
        foot=(foot,),
        style=look,
    )


def dose_response_layout(
    line: pd.DataFrame,
    *,
    measure: Measure | str,
    observed: pd.DataFrame | None = None,
    dose: str = "dose",
    study: str = "study",
    reference: float | None = None,
    x_label: str = "Dose",
    level: float = 0.95,
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out a dose-response curve with its band, over the studies' own contrasts.

    Parameters
    ----------
    line : DataFrame
        Columns `dose`, ``estimate``, ``ci_low``, ``ci_high`` on the scale of analysis.
    measure : Measure or str
    observed : DataFrame, optional
        Contrasts: `study`, `dose`, ``estimate`` and, where known, ``se``; those of a study are joined.
    dose, study : str
        Columns.
    reference : float, optional
        Dose that all are compared with.
    x_label, level, title, style
        As everywhere.
    """
    need_columns(line, dose, "estimate", "ci_low", "ci_high")
    look, kind = style_of(style), measure_of(measure)
    x = floats(line[dose])
    low, high = floats(line["ci_low"]), floats(line["ci_high"])
    percent_words = level_words(level, look)
    layers: list[Layer] = [
        Area(
            (*x, *x[::-1]),
            (*low, *high[::-1]),
            tone="diamond",
            shade=0.18,
            name=f"{percent_words} of the curve",
        )
    ]
    reach = [*low, *high]
    across = list(x)
    if observed is not None:
        need_columns(observed, study, dose, "estimate")
        for i, (_, part) in enumerate(observed.groupby(study, sort=False)):
            part = part.sort_values(dose, kind="stable")
            px, py = floats(part[dose]), floats(part["estimate"])
            if len(px) > 1:
                layers.append(Line(px, py, tone="muted", width=0.5))
            if "se" in part.columns:
                half = 1.959963984540054 * np.asarray(part["se"], dtype=float)
                layers.append(
                    Ranges(
                        px, floats(np.array(py) - half), floats(np.array(py) + half), tone="muted", width=0.6
                    )
                )
            layers.append(
                Points(px, py, area=(0.6,) * len(px), tone="muted", name="studies" if i == 0 else "")
            )
            reach += py
            across += px
    layers.append(Line(x, floats(line["estimate"]), tone="diamond", width=1.8, name="dose-response"))
    bottom, top = spread(reach, also=[kind.null] if has_null(kind) else [])
    if has_null(kind):
        layers.insert(0, Line(spread(across, margin=0.04), (kind.null,) * 2, tone="null", width=0.8))
    ticks, values, words = axis_ticks(bottom, top, kind, look)
    foot = () if reference is None or math.isnan(reference) else (f"Compared with a dose of {reference:g}",)
    return PlotLayout(
        figure="dose-response curve",
        x=make_axis(*spread(across, margin=0.04), look, label=x_label),
        y=Axis(bottom, top, ticks, values, words, axis_name(kind, look)),
        layers=tuple(layers),
        title=title,
        foot=foot,
        style=look,
    )
