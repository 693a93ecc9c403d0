"""Where an effect axis begins and ends, and the ticks a reader can use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

__all__ = ["bent_ticks", "linear_ticks", "log_ticks", "robust_range", "tick_decimals"]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LADDERS: tuple[tuple[float, ...], ...] = (
    (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    (1.0, 2.0, 5.0),
    (1.0, 3.0),
    (1.0,),
)


def linear_ticks(low: float, high: float, *, target: int = 5) -> tuple[float, ...]:
    """Round numbers inside ``[low, high]``, about `target` of them, zero among them when inside.

    Examples
    --------
    >>> linear_ticks(-2.0, 1.0)
    (-2.0, -1.0, 0.0, 1.0)
    """
    span = high - low
    if not span > 0:
        return (low,)
    best: tuple[float, ...] = (low, high)
    best_cost = math.inf
    base = 10.0 ** math.floor(math.log10(span / target))
    for step in (base * s for s in (*_STEPS, 20.0)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        ticks = tuple(round(i * step, 12) + 0.0 for i in range(first, last + 1))
        # 2.5 needs a decimal more than its neighbours, so it must be clearly the better number of ticks
        cost = abs(len(ticks) - target) + (1.25 if step / base == 2.5 else 0.0) + (len(ticks) < 3) * 5
        if cost < best_cost:
            best, best_cost = ticks, cost
    return best


def log_ticks(low: float, high: float, *, target: int = 5) -> tuple[float, ...]:
    """Ratios readers know (0.1 0.2 0.5 1 2 5 …) inside ``[exp(low), exp(high)]``, as logarithms.

    Examples
    --------
    >>> [round(math.exp(t), 3) for t in log_ticks(math.log(0.1), math.log(4.0))]
    [0.1, 0.2, 0.5, 1.0, 2.0]
    """
    if not high > low:
        return (low,)
    best: tuple[float, ...] = ()
    best_cost = math.inf
    decade_low, decade_high = math.floor(low / math.log(10)) - 1, math.ceil(high / math.log(10)) + 1
    stride = max(1, math.ceil((decade_high - decade_low) / (2 * target)))
    for ladder in _LADDERS:
        steps = range(decade_low, decade_high + 1, stride if ladder == (1.0,) else 1)
        # below one the ladder is mirrored in its reciprocals where those are round: 0.5 0.2 0.1
        values = sorted({_round(m * 10.0**d) for d in steps for m in ladder})
        ticks = tuple(math.log(v) for v in values if low - 1e-9 <= math.log(v) <= high + 1e-9)
        missing = target - len(ticks)
        cost = (1.4 * missing if missing > 0 else -missing) + (len(ticks) < 2) * 5 + _unevenness(ticks)
        cost += 0.3 if ladder == (1.0, 3.0) else 0.0  # 2 and 5 are read more easily than 3
        if cost < best_cost - 1e-12:
            best, best_cost = ticks, cost
    return best if len(best) > 1 else tuple(sorted({*best, low, high}))


def _unevenness(ticks: Sequence[float]) -> float:
    gaps = [b - a for a, b in pairwise(ticks)]
    return 0.5 * (max(gaps) / min(gaps) - 1.0) if gaps else 0.0


def _round(value: float) -> float:
    return float(f"{value:.10g}")


def tick_decimals(ticks: Iterable[float], *, limit: int = 6) -> int:
    """Fewest decimals that print every tick exactly."""
    for decimals in range(limit):
        if all(abs(round(t, decimals) - t) < 1e-9 * max(1.0, abs(t)) for t in ticks):
            return decimals
    return limit


def robust_range(
    estimates: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    must: Sequence[float],
) -> tuple[float, float]:
    """Limits that show every estimate and all of `must`, and clip only intervals that dwarf the rest.

    An interval is followed to its end unless that lies further beyond estimates and pooled results than
    these span themselves and than three times the median width of the intervals.

    Examples
    --------
    >>> low, high = robust_range([0.1, 0.2, 0.3], [-0.1, 0.0, -900.0], [0.3, 0.4, 900.0], [0.0])
    >>> -0.2 < low < high < 0.5
    True
    """
    points = [x for x in (*estimates, *must) if math.isfinite(x)]
    pairs = [(a, b) for a, b in zip(lows, highs, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if not points and not pairs:
        return (-1.0, 1.0)
    core = points or [sum(p) / 2.0 for p in pairs]
    span = max(core) - min(core)
    widths = sorted(b - a for a, b in pairs)
    reach = max(span, 3.0 * widths[len(widths) // 2] if widths else 0.0)
    low = min([*core, *(a for a, _ in pairs if min(core) - a <= reach)])
    high = max([*core, *(b for _, b in pairs if b - max(core) <= reach)])
    margin = 0.04 * (high - low) or 0.5 * max(abs(low), 1.0)
    return (low - margin, high + margin)


_PRIORITY = {
    "logit": (0.5, 0.1, 0.9, 0.2, 0.8, 0.01, 0.99, 0.3, 0.7, 0.05, 0.95, 0.4, 0.6, 0.02, 0.98, 0.001, 0.999),
    "fisher z": (
        0.0,
        *(s * v for v in (0.5, 0.9, 0.8, 0.3, 0.2, 0.95, 0.6, 0.4, 0.7, 0.1, 0.99) for s in (1, -1)),
    ),
    "arcsine root": (0.5, 0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.0, 1.0, 0.4, 0.6, 0.05, 0.95, 0.01, 0.99),
}


def bent_ticks(
    low: float, high: float, scale: str, forward: Callable[[float], float], *, target: int = 6
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Positions and printed values for a scale that bends (logit, Fisher z, arcsine): readable and apart.

    Examples
    --------
    >>> from math import log
    >>> bent_ticks(log(0.05 / 0.95), log(0.95 / 0.05), "logit", lambda p: log(p / (1 - p)))[1]
    (0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95)
    """
    apart = (high - low) / (target + 3)
    kept: list[tuple[float, float]] = []
    for value in _PRIORITY[scale]:
        at = forward(value)
        if low <= at <= high and all(abs(at - other) >= apart for other, _ in kept):
            kept.append((at, value))
    if len(kept) < 2:
        return ((low, high), (low, high)) if not kept else tuple(zip(*kept, strict=True))  # type: ignore[return-value]
    kept.sort()
    return tuple(at for at, _ in kept), tuple(value for _, value in kept)
