"""A turned sign or exchanged arms, seen from the other times of the trial and from the other trials."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

from mtmeta.audit.checks.outliers import Around
from mtmeta.audit.checks.rows import EffectRow, Limits, Suspicion
from mtmeta.records.schema import Outcome, Study

__all__ = ["turned", "turned_signs"]

_DEFAULT = Limits()
# Assumptions: the sampling errors of one contrast at two times correlate by a half, and the effects
# themselves differ between two times by a standard deviation of 0.2. With 30 people an arm the difference of
# the two then has 0.7 of the sum of both variances; it has 0.9 of it in the clean trials of
# benchmarks/hunt_planted.py and 0.4 in the 17 pairs of the shipped records.
_RHO, _BETWEEN_TIMES = 0.5, 0.2
# A trial may go against the others of its set for a reason: alone they never make the case, and beside a
# second view they weigh at most this much.
_MOST_FROM_OTHERS = 10.0


def turned(y: float, v: float, b: float, w: float, others: Around | None) -> float:
    r"""Likelihood ratio of "the sign of y is turned" against "it is not".

    Parameters
    ----------
    y, v : float
        The effect in question and its variance.
    b, w : float
        The effect of the same contrast at another time, and its variance.
    others : Around or None
        Median and variance of the other trials' effects.

    Returns
    -------
    float
        Alone, the second view gives :math:`\exp(-2yb/V)` with
        :math:`V=v+w-2\rho\sqrt{vw}+\tau_t^2`. With the others (median m, variance s²) both effects come
        from :math:`N(m, s^2)`, and the ratio is that of two bivariate normal densities, at :math:`(-y, b)`
        and at :math:`(y, b)`; it counts for at most ten times the first.

    Examples
    --------
    +0.6 beside -0.6 half a year later, 50 people an arm:

    >>> round(turned(0.6, 0.04, -0.6, 0.04, None))
    8103
    >>> round(turned(0.6, 0.04, 0.6, 0.04, None), 4)
    0.0001
    """
    c = _RHO * math.sqrt(v * w)
    pair = -2.0 * y * b / (v + w - 2.0 * c + _BETWEEN_TIMES**2)
    if others is not None and not math.isnan(others.variance):
        m, s2 = others.centre, others.variance
        both = _log_density(-y - m, b - m, v, w, c, s2) - _log_density(y - m, b - m, v, w, c, s2)
        pair = min(both, pair + math.log(_MOST_FROM_OTHERS))
    return math.exp(min(pair, 700.0))


def _log_density(x: float, z: float, v: float, w: float, c: float, s2: float) -> float:
    """Log density, up to its constant, of two effects around their median with common variance s2."""
    a, d, e = v + s2, w + s2 + _BETWEEN_TIMES**2, c + s2
    return -0.5 * (d * x * x - 2.0 * e * x * z + a * z * z) / (a * d - e * e)


def turned_signs(
    study: Study,
    own: dict[str, EffectRow],
    around: dict[tuple[str, str], Around],
    limits: Limits = _DEFAULT,
) -> Iterator[Suspicion]:
    """Hold the signs of one contrast at two times against each other.

    Only results of the same instrument, comparator and people are compared. What two times cannot tell is
    which of them is turned: the one that the others of its set speak against more stands first.
    """
    if len(study.outcomes) < 2:
        return
    for a, b in combinations([o for o in study.outcomes if o.id in own], 2):
        if not _same_contrast(a, b):
            continue
        one, two = own[a.id], own[b.id]
        if one.g * two.g >= 0:
            continue
        ratios = [
            (turned(y.g, y.v, z.g, z.v, around.get((study.id, y.outcome.id))), y, z)
            for y, z in ((one, two), (two, one))
        ]
        ratio, row, other = max(ratios, key=lambda r: r[0])
        if ratio >= limits.turned:
            yield Suspicion(
                "sign-contradicts-report",
                row,
                f"g {row.g:+.2f} and {other.g:+.2f} ({other.outcome.id}) on "
                f"{row.outcome.instrument}: one sign is probably turned or its arms exchanged "
                f"(likelihood ratio {ratio:.2g})",
                {"g": row.g, "other_time": other.g, "likelihood_ratio": ratio},
                "look up which arm is which, and the direction of the scale, at both times",
                others=(f"{study.id}/{other.outcome.id}",),
            )


def _same_contrast(a: Outcome, b: Outcome) -> bool:
    return (
        a.instrument is not None
        and (a.construct_, a.instrument, a.comparator, a.intervention, a.subset)
        == (b.construct_, b.instrument, b.comparator, b.intervention, b.subset)
        and (a.time, a.weeks) != (b.time, b.weeks)
    )
