"""Effects seen through their precision: radial, drapery, caterpillar and rainforest plots, L'Abbé."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import axis_ticks, normal_quantile
from mtmeta.figures.layout.base import number, percent
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
    named_axis,
    spread,
)
from mtmeta.figures.layout.protocols import PooledLike, axis_name, has_null, model_words, predicts, shown
from mtmeta.figures.layout.ticks import robust_range
from mtmeta.figures.layout.words import level_words
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import check_choice, check_level

__all__ = [
    "caterpillar_layout",
    "drapery_layout",
    "labbe_layout",
    "orchard_layout",
    "radial_layout",
    "rainforest_layout",
]


def radial_layout(
    result: PooledLike,
    *,
    level: float = 0.95,
    labels: Literal["none", "outside", "all"] = "none",
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out a radial (Galbraith) plot: standardised effects against precision.

    Each point is ``y / s`` at ``1 / s`` with ``s² = v + tau²``; a line from the origin has the pooled
    estimate as its slope, and a share `level` of points lies within the band around it when the model holds.

    Parameters
    ----------
    result : pooled result
    level, labels, title, style
        As everywhere; `labels` names no study, those outside the band, or all.

    References
    ----------
    Galbraith 1988, Technometrics 30:271.
    """
    look, es = style_of(style), result.effects
    z = normal_quantile(level)
    spread_of = np.sqrt(es.vi + float(result.tau2))
    x, y = floats(1.0 / spread_of), floats(es.yi / spread_of)
    far = 1.08 * max(x)
    slope = float(result.estimate)
    ends = spread([*y, slope * far + z, slope * far - z, z, -z])
    check_choice("labels", labels, ("none", "outside", "all"))
    far_off = [abs(b - slope * a) > z for a, b in zip(x, y, strict=True)]
    named = tuple(
        s if labels == "all" or (labels == "outside" and off) else ""
        for s, off in zip(es.study, far_off, strict=True)
    )
    tau = ", τ² added to each variance" if float(result.tau2) > 0 else ""
    layers: tuple[Layer, ...] = (
        Area((0.0, far, far, 0.0), (z, slope * far + z, slope * far - z, -z), tone="diamond", shade=0.14),
        Line((0.0, far), (0.0, 0.0), tone="null", width=0.8),
        Line((0.0, far), (0.0, slope * far), tone="diamond", width=1.4),
        Points(x, y, labels=named if any(named) else ()),
    )
    back = shown(es.measure)
    return PlotLayout(
        figure="radial plot",
        x=make_axis(0.0, far, look, label="Precision (1 / standard error)"),
        y=make_axis(*ends, look, label="Effect / standard error"),
        layers=layers,
        summary=(("slope", slope), ("k", float(es.k))),
        title=title,
        foot=(
            f"Slope: {model_words(result)} estimate {number(back(slope), look)}; band: "
            f"{level_words(level, look, interval=False)} of points{tau}",
        ),
        style=look,
    )


def drapery_layout(
    result: PooledLike,
    *,
    levels: Sequence[float] = (0.9, 0.95, 0.99),
    points: int = 201,
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out a drapery plot: P value curves of the studies and the pooled effect over all null values.

    Parameters
    ----------
    result : pooled result
    levels : sequence of float
        Confidence levels marked by hairlines.
    points : int
        Places at which curves are drawn.
    title, style
        As everywhere.

    References
    ----------
    Rücker and Schwarzer 2021, Res Synth Methods 12:6.
    """
    look, es = style_of(style), result.effects
    for level in levels:
        check_level(level)
    sei = np.sqrt(es.vi)
    pooled_low, pooled_high = result.ci(0.999)
    low, high = robust_range(
        floats(es.yi), floats(es.yi - 2.6 * sei), floats(es.yi + 2.6 * sei), [pooled_low, pooled_high]
    )
    # every curve has its own peak among its places, else it would seem to end below 1
    at = np.union1d(np.linspace(low, high, points), [*es.yi, float(result.estimate)])
    at = at[(at >= low) & (at <= high)]
    layers: list[Layer] = []
    if predicts(result):
        pi_low, pi_high = result.pi(0.95)
        scale = (float(pi_high) - float(pi_low)) / 2.0 / _quantile(0.95, result.effects.k - 1)
        curve = _p_curve(at, float(result.estimate), scale, result.effects.k - 1)
        layers.append(
            Area(
                (low, *floats(at), high), (0.0, *curve, 0.0), tone="prediction", shade=0.16, name="new study"
            )
        )
    if has_null(es.measure):
        layers.append(Line((es.measure.null,) * 2, (0.0, 1.0), tone="null"))
    layers += [Line((low, high), (1.0 - v, 1.0 - v), tone="muted", dash="dotted", width=0.7) for v in levels]
    for i, (y, s) in enumerate(zip(es.yi, sei, strict=True)):
        layers.append(
            Line(
                floats(at),
                _p_curve(at, float(y), float(s), math.inf),
                tone="#9A9A9A",
                width=0.7,
                name="studies" if i == 0 else "",
            )
        )
    curve = _p_curve(at, float(result.estimate), float(result.se), float(result.df))
    layers.append(Line(floats(at), curve, tone="diamond", width=2.2, name="pooled"))
    ticks, values, words = axis_ticks(low, high, es.measure, look)
    return PlotLayout(
        figure="drapery plot",
        x=Axis(low, high, ticks, values, words, axis_name(es.measure, look)),
        y=make_axis(0.0, 1.0, look, label="P value"),
        layers=tuple(layers),
        summary=(("estimate", float(result.estimate)), ("k", float(es.k))),
        title=title,
        foot=(f"{model_words(result)}; dotted: " + ", ".join(level_words(v, look) for v in levels),),
        style=look,
    )


def _quantile(level: float, df: float) -> float:
    from scipy.special import stdtrit

    return normal_quantile(level) if math.isinf(df) else float(stdtrit(df, 0.5 + level / 2.0))


def _p_curve(
    at: np.ndarray[Any, np.dtype[np.float64]], centre: float, se: float, df: float
) -> tuple[float, ...]:
    from scipy.special import ndtr, stdtr

    t = -np.abs(at - centre) / se
    return floats(2.0 * (ndtr(t) if math.isinf(df) else stdtr(df, t)))


def caterpillar_layout(
    result: PooledLike, *, level: float = 0.95, title: str = "", style: Style | StyleName = "plain"
) -> PlotLayout:
    """Lay out a caterpillar plot: all effects in order of size, without names, for very many studies.

    Parameters
    ----------
    result : pooled result
    level, title, style
        As everywhere.
    """
    look, es = style_of(style), result.effects
    z = normal_quantile(level)
    order = np.argsort(es.yi, kind="stable")
    y = es.yi[order]
    half = z * np.sqrt(es.vi[order])
    low, high = result.ci(level)
    at = tuple(float(i) for i in range(es.k))
    ends = robust_range(floats(y), floats(y - half), floats(y + half), [float(low), float(high)])
    ticks, values, words = axis_ticks(*ends, es.measure, look)
    thin = min(1.0, 90.0 / es.k)
    layers: list[Layer] = []
    if has_null(es.measure):
        layers.append(Line((es.measure.null,) * 2, (-1.0, es.k + 0.0), tone="null"))
    layers += [
        Area(
            (low, high, high, low),
            (-1.0, -1.0, float(es.k), float(es.k)),
            tone="diamond",
            shade=0.22,
            name=model_words(result),
        ),
        Line((float(result.estimate),) * 2, (-1.0, float(es.k)), tone="diamond", width=1.2),
        Ranges(at, floats(y - half), floats(y + half), upright=False, tone="muted", width=thin),
        Points(floats(y), at, area=(min(0.5, 25.0 / es.k),) * es.k, tone="ink"),
    ]
    return PlotLayout(
        figure="caterpillar plot",
        x=Axis(*ends, ticks, values, words, axis_name(es.measure, look)),
        y=Axis(float(es.k), -1.0, (), (), (), f"{es.k} effects in order of size"),
        layers=tuple(layers),
        summary=(("estimate", float(result.estimate)), ("k", float(es.k))),
        title=title,
        style=look,
    )


def rainforest_layout(
    result: PooledLike, *, level: float = 0.95, title: str = "", style: Style | StyleName = "plain"
) -> PlotLayout:
    """Lay out a rainforest plot: each study as a drop whose height is its likelihood times its weight.

    Parameters
    ----------
    result : pooled result
    level : float
        Of the interval that the drop covers.
    title, style
        As everywhere.

    References
    ----------
    Schild and Voracek 2015, Res Synth Methods 6:74.
    """
    look, es = style_of(style), result.effects
    z = normal_quantile(level)
    weights = np.asarray(result.weights, dtype=float)
    sei = np.sqrt(es.vi)
    layers: list[Layer] = []
    if has_null(es.measure):
        layers.append(Line((es.measure.null,) * 2, (-0.5, es.k + 0.5), tone="null"))
    steps = np.linspace(-z, z, 41)
    densest = max(weights / sei)
    for i in range(es.k):
        x = es.yi[i] + steps * sei[i]
        tall = 0.44 * np.exp(-0.5 * steps**2) * (weights[i] / sei[i] / densest) ** 0.5
        outline = (*floats(x), *floats(x[::-1])), (*floats(i - tall), *floats((i + tall)[::-1]))
        layers.append(Area(*outline, tone="diamond", shade=0.25 + 0.65 * float(weights[i] / weights.max())))
        layers.append(
            Line(
                (float(es.yi[i]),) * 2,
                (i - float(tall.max()), i + float(tall.max())),
                tone="paper",
                width=1.0,
            )
        )
    low, high = (float(v) for v in result.ci(level))
    layers.append(
        Area(
            (low, float(result.estimate), high, float(result.estimate)),
            (es.k, es.k - 0.3, es.k, es.k + 0.3),
            tone="ink",
            shade=1.0,
        )
    )
    ends = robust_range(floats(es.yi), floats(es.yi - z * sei), floats(es.yi + z * sei), [low, high])
    ticks, values, words = axis_ticks(*ends, es.measure, look)
    names = (*es.study, model_words(result))
    return PlotLayout(
        figure="rainforest plot",
        x=Axis(*ends, ticks, values, words, axis_name(es.measure, look)),
        y=named_axis(names, flip=True),
        layers=tuple(layers),
        summary=(("estimate", float(result.estimate)), ("low", low), ("high", high)),
        title=title,
        foot=(f"Drops: likelihood of each effect within its {level_words(level, look)}; heights by weight",),
        width=54.0,
        height=7.0 + 1.7 * len(names),
        style=look,
    )


def orchard_layout(
    effects: EffectSizes,
    summaries: Sequence[tuple[str, PooledLike]],
    groups: Sequence[Any],
    *,
    level: float = 0.95,
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out an orchard plot: every effect, grouped, with confidence and prediction interval of each group.

    Parameters
    ----------
    effects : EffectSizes
    summaries : sequence of (name, pooled result)
        From the top down.
    groups : sequence of length k
        Name of each effect's group.
    level, title, style
        As everywhere.

    References
    ----------
    Nakagawa et al. 2021, Res Synth Methods 12:4.
    """
    look = style_of(style)
    named = [str(g) for g in groups]
    if len(named) != effects.k:
        raise UsageError(f"groups has {len(named)} labels for {effects.k} effects; give one a row")
    strange = sorted(set(named) - {name for name, _ in summaries})
    if strange:
        raise UsageError(f"group {strange[0]!r} has no summary; summaries are {[n for n, _ in summaries]}")
    layers: list[Layer] = []
    if has_null(effects.measure):
        layers.append(Line((effects.measure.null,) * 2, (-0.5, len(summaries) - 0.5), tone="null"))
    precise = 1.0 / np.sqrt(effects.vi)
    must: list[float] = []
    rows = []
    for j, (name, fit) in enumerate(summaries):
        own = [i for i, g in enumerate(named) if g == name]
        x = floats(effects.yi[own])
        area = floats(0.25 + 2.2 * (precise[own] / precise.max()) ** 2)
        layers.append(Points(x, tuple(j + d for d in _swarm(x)), area=area, tone=f"palette {j}", alpha=0.6))
        if predicts(fit):
            low, high = (float(v) for v in fit.pi(level))
            layers.append(Ranges((float(j),), (low,), (high,), upright=False, tone="ink", width=1.0))
            must += [low, high]
        low, high = (float(v) for v in fit.ci(level))
        layers.append(Ranges((float(j),), (low,), (high,), upright=False, tone="ink", width=3.0))
        layers.append(Points((float(fit.estimate),), (float(j),), area=(1.6,), tone=f"palette {j}", rim=True))
        must += [low, high]
        rows.append(f"{name} (k = {len(own)})")
    ends = robust_range(floats(effects.yi), floats(effects.yi), floats(effects.yi), must)
    ticks, values, words = axis_ticks(*ends, effects.measure, look)
    said = level_words(level, look, interval=False)
    return PlotLayout(
        figure="orchard plot",
        x=Axis(*ends, ticks, values, words, axis_name(effects.measure, look)),
        y=named_axis(rows, flip=True),
        layers=tuple(layers),
        summary=tuple((name, float(fit.estimate)) for name, fit in summaries),
        title=title,
        foot=(f"Areas by precision; thick bars: {said} CI, thin bars: {said} prediction interval",),
        width=54.0,
        height=8.0 + 6.5 * len(rows),
        style=look,
    )


def _swarm(x: Sequence[float], *, reach: float = 0.36) -> tuple[float, ...]:
    """Offsets above and below the bars, in turn from left to right, in as many lanes as neighbours need."""
    order = sorted(range(len(x)), key=lambda i: x[i])
    near = ((max(x) - min(x)) or 1.0) / 16.0
    lanes: list[float] = []  # last value in each lane
    chosen = [0] * len(x)
    for turn, i in enumerate(order):
        free = [lane for lane, last in enumerate(lanes) if x[i] - last > near and lane % 2 == turn % 2]
        if not free:
            free = [len(lanes) + (len(lanes) % 2 != turn % 2)]
            lanes += [-math.inf] * (free[0] + 1 - len(lanes))
        chosen[i] = free[0]
        lanes[free[0]] = x[i]
    rings = max(1, (len(lanes) + 1) // 2)
    step = 0.0 if rings == 1 else min(0.12, (reach - 0.15) / (rings - 1))
    return tuple((-1.0 if lane % 2 else 1.0) * (0.15 + step * (lane // 2)) for lane in chosen)


def labbe_layout(
    effects: EffectSizes,
    *,
    estimate: float | None = None,
    arms: tuple[str, str] = ("music", "control"),
    labels: bool = False,
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out a L'Abbé plot: risk in the treated against risk in the controls.

    Parameters
    ----------
    effects : EffectSizes
        Of OR, RR or RD, with events ``a`` and ``c`` among its columns and ``n1`` and ``n2``.
    estimate : float, optional
        Pooled effect on the scale of analysis, drawn as the curve of equal effect.
    arms, labels, title, style
        As everywhere.

    References
    ----------
    L'Abbé, Detsky, O'Rourke 1987, Ann Intern Med 107:224.
    """
    look = style_of(style)
    table = effects.columns
    check_choice("measure", effects.measure.code, ("OR", "RR", "RD", "PETO"))
    if (
        table is None
        or "a" not in table.columns
        or "c" not in table.columns
        or effects.n1 is None
        or effects.n2 is None
    ):
        raise UsageError("L'Abbé's plot needs events a and c among the columns, and n1 and n2")
    treated = floats(np.asarray(table["a"], dtype=float) / effects.n1)
    control = floats(np.asarray(table["c"], dtype=float) / effects.n2)
    top = min(1.0, 1.12 * max((*treated, *control, 0.02)))
    size = effects.n1 + effects.n2
    area = floats(0.3 + 5.0 * size / size.max())
    layers: list[Layer] = [Line((0.0, top), (0.0, top), tone="null", name="no difference")]
    if estimate is not None:
        at = np.linspace(0.0, top, 101)
        code = effects.measure.code
        if code == "RD":
            curve = at + estimate
        elif code == "RR":
            curve = at * math.exp(estimate)
        else:
            odds = np.exp(estimate) * at / np.maximum(1.0 - at, 1e-12)
            curve = odds / (1.0 + odds)
        inside = (curve >= 0.0) & (curve <= 1.0)
        layers.append(
            Line(floats(at[inside]), floats(curve[inside]), tone="diamond", width=1.5, name="pooled effect")
        )
    layers.append(
        Points(control, treated, area=area, tone="square", alpha=0.5, labels=effects.study if labels else ())
    )
    ticks = tuple(make_axis(0.0, top, look).ticks)
    places = 0 if all(abs(100 * t - round(100 * t)) < 1e-9 for t in ticks) else 1
    words = tuple(percent(100 * t, look, decimals=places) for t in ticks)
    return PlotLayout(
        figure="L'Abbé plot",
        x=Axis(0.0, top, ticks, ticks, words, f"Risk with {arms[1]}"),
        y=Axis(0.0, top, ticks, ticks, words, f"Risk with {arms[0]}"),
        layers=tuple(layers),
        summary=(("k", float(effects.k)),),
        title=title,
        foot=("Areas of circles are by participants",),
        width=40.0,
        height=36.0,
        style=look,
    )
