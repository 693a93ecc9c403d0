"""Funnel plots: effects against their precision, with contours of significance."""
# ruff: noqa: D102 - members of the protocols are described where results define them

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import axis_ticks, normal_quantile
from mtmeta.figures.layout.base import number
from mtmeta.figures.layout.plot import Area, Axis, Layer, Line, PlotLayout, Points, floats, make_axis
from mtmeta.figures.layout.protocols import PooledLike, axis_name, has_null, model_words, shown
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import check_choice, check_level

__all__ = ["PetPeeseLike", "SelectionLike", "TrimFillLike", "funnel_layout"]

Labels = Literal["none", "outside", "all"]


def funnel_layout(
    result: PooledLike,
    *,
    contours: Sequence[float] = (),
    filled: tuple[Any, Any] | TrimFillLike | None = None,
    curves: Sequence[tuple[str, Any, Any]] | PetPeeseLike | SelectionLike = (),
    power: float | None = None,
    labels: Labels = "none",
    level: float = 0.95,
    xlim: tuple[float, float] | None = None,
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out a funnel plot: each effect against its standard error, the most precise on top.

    Parameters
    ----------
    result : pooled result
    contours : sequence of float
        Two-sided P values whose contours around the null are shaded, such as ``(0.1, 0.05, 0.01)``
        (Peters 2008, J Clin Epidemiol 61:991). Without them the lines are the region in which a share
        `level` of effects would lie about the pooled estimate without heterogeneity and bias.
    filled : (array, array) or result of trim and fill, optional
        Effects and variances added by trim and fill, drawn hollow.
    curves : sequence of (name, x, se), result of PET-PEESE or of a selection model with steps
        Further lines: effects at standard errors. Of a selection model the mean of all studies, and the mean
        of those that are reported at each standard error.
    power : float, optional
        Shade by the power of each standard error to find this true effect (on the scale of analysis) at a
        two-sided 5% level: a sunset plot (Kossmeier, Tran, Voracek 2020, Z Psychol 228:43).
    labels : {"none", "outside", "all"}
        Which effects are named.
    level : float
    xlim : (float, float), optional
        On the scale of analysis.
    title : str
    style : Style or str

    Returns
    -------
    PlotLayout

    Raises
    ------
    UsageError
        For a P value outside (0, 1), or contours of a measure without a null.

    Examples
    --------
    BCG vaccine, REML: mean log relative risk -0.7145 (Viechtbauer 2010, J Stat Softw 36(3), p. 14).

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.pool import RandomEffects
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
    ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> layout = funnel_layout(RandomEffects().fit(EffectSizes.of(y, v, "RR")))
    >>> round(dict(layout.summary)["estimate"], 4), len(layout.points().x)
    (-0.7145, 13)
    """
    check_level(level)
    check_choice("labels", labels, ("none", "outside", "all"))
    look, es, measure = style_of(style), result.effects, result.effects.measure
    y, se, centre = floats(es.yi), floats(np.sqrt(es.vi)), float(result.estimate)
    added = _added(filled)
    added_se = floats(np.sqrt(added[1])) if added[1] else ()
    deepest = 1.06 * max((*se, *added_se))
    half = normal_quantile(level) * deepest
    low, high = _reach((*y, *added[0]), centre, half) if xlim is None else (float(xlim[0]), float(xlim[1]))
    layers: list[Layer] = []
    if power is not None:
        if contours:
            raise UsageError("contours and power shade the same ground; choose one")
        layers += _sunset(abs(float(power) - measure.null), deepest, low, high, look)
    if contours:
        if not has_null(measure):
            raise UsageError(f"contours need a null, which {measure.code} does not have; leave contours out")
        layers += _contours(contours, measure.null, deepest, low, high, look)
        layers.append(Line((measure.null,) * 2, (0.0, deepest), tone="null"))
    else:
        sides = (centre - half, centre, centre + half)
        layers.append(Line(sides, (deepest, 0.0, deepest), tone="muted", dash="dashed", width=0.8))
    layers.append(
        Line((centre, centre), (0.0, deepest), tone="diamond", dash="dotted" if contours else "solid")
    )
    for i, (name, at, depth) in enumerate(_lines(curves, deepest)):
        layers.append(Line(floats(at), floats(depth), tone=f"palette {i + 1}", width=1.2, name=name))
    outside = [abs(v - centre) > normal_quantile(level) * s for v, s in zip(y, se, strict=True)]
    named = tuple(
        s if labels == "all" or (labels == "outside" and o) else ""
        for s, o in zip(es.study, outside, strict=True)
    )
    name = "observed" if added[0] else ""
    layers.append(Points(y, se, shape="circle", tone="square", labels=named if any(named) else (), name=name))
    if added[0]:
        layers.append(
            Points(added[0], added_se, shape="circle", tone="square", hollow=True, name="filled in")
        )
    ticks, values, words = axis_ticks(low, high, measure, look)
    return PlotLayout(
        figure="funnel",
        x=Axis(low, high, ticks, values, words, axis_name(measure, look)),
        y=make_axis(0.0, deepest, look, label="Standard error", flip=True),
        layers=tuple(layers),
        summary=(("estimate", centre), ("k", float(len(y))), ("outside", float(sum(outside)))),
        title=title,
        foot=_foot_words(result, level, look, contours=bool(contours), power=power, added=len(added[0])),
        style=look,
    )


class TrimFillLike(Protocol):
    """A result of trim and fill: how many effects were added, and the fit whose last effects they are."""

    @property
    def k0(self) -> int: ...
    @property
    def filled(self) -> PooledLike: ...


@runtime_checkable
class SelectionLike(Protocol):
    """A result of a selection model with steps: means of all studies, and of those reported."""

    @property
    def estimate(self) -> float: ...
    def expected(self, se: Any) -> Any: ...


class PetPeeseLike(Protocol):
    """A result of PET-PEESE: two regressions with the limit for a standard error of 0 and the slope."""

    @property
    def pet(self) -> Any: ...
    @property
    def peese(self) -> Any: ...


def _added(filled: tuple[Any, Any] | TrimFillLike | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if filled is None:
        return ((), ())
    if isinstance(filled, tuple):
        return (floats(filled[0]), floats(filled[1]))
    effects, first = filled.filled.effects, len(filled.filled.effects.study) - filled.k0
    return (floats(effects.yi[first:]), floats(effects.vi[first:]))


def _lines(
    curves: Sequence[tuple[str, Any, Any]] | PetPeeseLike | SelectionLike, deepest: float
) -> Sequence[tuple[str, Any, Any]]:
    """Return lines as (name, effects, standard errors); PET is straight in s, PEESE in s squared."""
    if isinstance(curves, Sequence):
        return curves
    se = np.linspace(0.0, deepest, 61)
    if isinstance(curves, SelectionLike):
        mean = np.full(len(se), float(curves.estimate))
        return [
            ("all studies, by the selection model", mean, se),
            ("those reported", curves.expected(se), se),
        ]
    pet, peese = curves.pet, curves.peese
    return [("PET", pet.limit + pet.bias * se, se), ("PEESE", peese.limit + peese.bias * se**2, se)]


def _reach(effects: Sequence[float], centre: float, half: float) -> tuple[float, float]:
    low, high = min((*effects, centre - half)), max((*effects, centre + half))
    margin = 0.05 * (high - low)
    return (low - margin, high + margin)


def _foot_words(
    result: PooledLike, level: float, style: Style, *, contours: bool, power: float | None, added: int
) -> tuple[str, ...]:
    """Say what the lines and shades are."""
    back = shown(result.effects.measure)
    model = f"{model_words(result)} estimate {number(back(float(result.estimate)), style)}"
    if contours:
        lines = [f"Dotted: {model}; shades: two-sided P values"]
    else:
        share = f"{100 * level:.10g}".replace(".", style.decimal_mark)
        lines = [f"{model}; dashed: where {share}% of effects lie without heterogeneity or bias"]
    if power is not None:
        value = back(float(power))
        lines.append(f"Power: to find a true effect of {number(value, style)} by a two-sided test at 5%")
    if added:
        lines.append(f"Filled in: {added} effect{'s' if added != 1 else ''} by trim and fill")
    return tuple(lines)


def _contours(
    levels: Sequence[float], null: float, deepest: float, low: float, high: float, style: Style
) -> list[Layer]:
    """Shade the regions between contours, the least significant in the middle and unshaded."""
    ps = sorted((float(p) for p in levels), reverse=True)
    if any(not 0.0 < p < 1.0 for p in ps):
        raise UsageError(
            f"contours={tuple(levels)!r} must be P values between 0 and 1, such as (0.1, 0.05, 0.01)"
        )
    steps = np.linspace(0.34, 0.1, len(ps)) if len(ps) > 1 else [0.2]

    def says(p: float) -> str:
        return number(p, style, decimals=len(f"{p:.10g}") - 2)

    layers: list[Layer] = []
    for i in reversed(range(len(ps))):  # the outermost lies lowest
        box: tuple[tuple[float, ...], tuple[float, ...]]
        name = f"p < {says(ps[i])}" if i == len(ps) - 1 else f"{says(ps[i + 1])} < p < {says(ps[i])}"
        if i == len(ps) - 1:
            box = ((low, low, high, high), (0.0, deepest, deepest, 0.0))
        else:
            reach = normal_quantile(1.0 - ps[i + 1]) * deepest
            box = _wedge(null, reach, deepest, low, high)
        layers.append(Area(*box, tone="muted", shade=float(steps[i]), name=name))
    reach = normal_quantile(1.0 - ps[0]) * deepest
    layers.append(
        Area(*_wedge(null, reach, deepest, low, high), tone="paper", shade=1.0, name=f"p > {says(ps[0])}")
    )
    return layers


def _sunset(effect: float, deepest: float, low: float, high: float, style: Style) -> list[Layer]:
    """Bands of standard errors with power of at most 10%, 20%, … 100% to find an effect."""
    if not effect > 0:
        raise UsageError("power needs a true effect that differs from the null")
    edges = [0.0, *(_se_of_power(effect, p) for p in (0.8, 0.5, 0.3)), math.inf]
    names = ("power above 80%", "50 to 80%", "30 to 50%", "below 30%")
    tones = ("#4FA36F", "#C7DE8C", "#FBD26A", "#E98B62")
    layers: list[Layer] = []
    for top, bottom, name, tone in zip(edges, edges[1:], names, tones, strict=False):
        a, b = min(top, deepest), min(bottom, deepest)
        if a < b:
            layers.append(Area((low, high, high, low), (a, a, b, b), tone=tone, shade=0.45, name=name))
    return layers


def _se_of_power(effect: float, power: float) -> float:
    """Return the standard error at which a two-sided 5% test has a power: root of a falling function."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    z = normal_quantile(0.95)

    def gap(log_se: float) -> float:
        d = effect / math.exp(log_se)
        return float(ndtr(d - z) + ndtr(-d - z)) - power

    return math.exp(brentq(gap, math.log(effect) - 3.0, math.log(effect) + 6.0, xtol=1e-12))


def _wedge(
    null: float, reach: float, deepest: float, low: float, high: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Triangle from the null at the top down to `reach` on both sides, cut at the plot's edges."""
    x: list[float] = []
    y: list[float] = []
    for side, edge in ((-1.0, low), (1.0, high)):
        end = null + side * reach
        beyond = end < edge if side < 0 else end > edge
        at = deepest * abs(edge - null) / reach if beyond else deepest
        piece = [(edge, deepest), (edge, at)] if beyond else [(end, deepest)]
        piece = piece if side < 0 else piece[::-1]
        x += [p[0] for p in piece]
        y += [p[1] for p in piece]
        if side < 0:
            x.append(null)
            y.append(0.0)
    return tuple(x), tuple(y)
