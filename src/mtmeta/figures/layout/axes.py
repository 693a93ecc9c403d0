"""Effect axes: limits, ticks, reference lines, and what the two sides mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.figures.layout.base import number
from mtmeta.figures.layout.protocols import axis_name, forward, has_null, two_arms
from mtmeta.figures.layout.table import Mark, Panel
from mtmeta.figures.layout.ticks import bent_ticks, linear_ticks, log_ticks, robust_range, tick_decimals
from mtmeta.figures.style import Style
from mtmeta.measures import Measure, check_choice, check_level

__all__ = ["Better", "axis_panel", "axis_ticks", "favours_words", "normal_quantile", "several", "t_curve"]

Better = Literal["lower", "higher"]


def axis_panel(
    marks: Sequence[Mark],
    *,
    measure: Measure,
    style: Style,
    xlim: tuple[float, float] | None = None,
    mid: float | Sequence[float] = (),
    pooled: tuple[float, ...] = (),
    shade: tuple[float, ...] = (),
    favours: tuple[str, str] = ("", ""),
    header: str = "",
) -> Panel:
    """Choose the axis of a panel from what is drawn in it."""
    to = forward(measure)
    null = measure.null if has_null(measure) else None
    lines = tuple(to(float(m)) for m in several(mid))
    if xlim is not None:
        low, high = (to(float(x)) for x in xlim)
        if not low < high:
            raise UsageError(f"xlim={xlim!r} must be a lower and a higher value on the printed scale")
    else:
        studies = [m for m in marks if m.shape in ("square", "dot")]
        summaries = [x for m in marks if m.shape not in ("square", "dot") for x in (m.low, m.high)]
        must = [*summaries, *lines, *pooled, *shade, *([] if null is None else [null])]
        low, high = robust_range(
            [m.estimate for m in studies], [m.low for m in studies], [m.high for m in studies], must
        )
    ticks, values, labels = axis_ticks(low, high, measure, style)
    return Panel(
        low=low,
        high=high,
        ticks=ticks,
        tick_values=values,
        labels=labels,
        null=null,
        mid=lines,
        pooled=pooled,
        shade=shade,
        axis_label=axis_name(measure, style),
        header=header,
        favours=favours,
    )


def axis_ticks(
    low: float, high: float, measure: Measure, style: Style
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
    """Positions on the scale of analysis, printed values, and labels."""
    to = forward(measure)
    if measure.scale == "log":
        ticks = log_ticks(low, high)
        values = tuple(float(f"{math.exp(t):.10g}") for t in ticks)
        labels = tuple(number(v, style, decimals=tick_decimals([v])) for v in values)
        return ticks, values, labels
    if to(0.25) == 0.25:  # identity, or a scale without an inverse
        values = linear_ticks(low, high)
        ticks = values
    else:
        ticks, values = bent_ticks(low, high, measure.scale, to)
        return ticks, values, tuple(number(v, style, decimals=tick_decimals([v])) for v in values)
    decimals = tick_decimals(values)
    return ticks, values, tuple(number(v, style, decimals=decimals) for v in values)


def favours_words(
    measure: Measure, better: Better | None, arms: tuple[str, str], style: Style
) -> tuple[str, str]:
    """Return what the two sides of the null mean."""
    if better is not None:
        check_choice("better", better, ("lower", "higher"))
        verb = "Favors" if style.spelling == "American" else "Favours"
        sides = arms if better == "lower" else arms[::-1]
        return (f"{verb} {sides[0]}", f"{verb} {sides[1]}")
    if not two_arms(measure):
        return ("", "")
    return (f"Lower with {arms[0]}", f"Higher with {arms[0]}")


def normal_quantile(level: float) -> float:
    """Two-sided normal quantile of a level: 1.96 for 0.95."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + check_level(level) / 2.0)


def t_curve(
    centre: float, low: float, high: float, level: float, df: float, *, points: int = 81
) -> tuple[tuple[float, float], ...]:
    """Density of the t distribution whose central interval is ``[low, high]``, highest point 1."""
    from scipy.special import stdtrit

    scale = (high - low) / 2.0 / float(stdtrit(df, 0.5 + level / 2.0))
    reach = 1.35 * (high - low) / 2.0
    xs = np.linspace(centre - reach, centre + reach, points)
    heights = (1.0 + ((xs - centre) / scale) ** 2 / df) ** (-(df + 1.0) / 2.0)
    return tuple((float(x), float(h)) for x, h in zip(xs, heights, strict=True))


def several(mid: float | Sequence[float]) -> tuple[float, ...]:
    """Return a number or numbers as a tuple."""
    return (float(mid),) if isinstance(mid, (int, float)) else tuple(mid)
