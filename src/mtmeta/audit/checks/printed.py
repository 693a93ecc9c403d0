"""What a row prints beside its numbers: the P value that should follow, the middle of the interval."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mtmeta.audit.checks.rows import Suspicion
from mtmeta.effects.select import Row
from mtmeta.records import schema as rec

__all__ = ["contradicted_p", "off_centre"]

# Two statistics that tell the same story differ by rounding and by the test used (pooled or Welch, adjusted
# or not); half a standard normal deviate is more than these make in samples of ten and more
_GAP = 0.5


@dataclass(frozen=True, slots=True)
class _Group:
    n: float
    mean: float
    spread: float


def _groups(row: Row) -> list[_Group] | None:
    data = row.outcome.data
    if isinstance(data, rec.Means):
        parts: list[tuple[int | None, rec.MeanSD]] = [(g.n, g) for g in (data.music, data.control)]
    elif isinstance(data, rec.Changes):
        parts = [(data.music.n, data.music.change), (data.control.n, data.control.change)]
    elif isinstance(data, rec.Arms) and data.form in ("means", "changes"):
        found = [(a.n, a.mean, a.sd) for a in data.arms]
        if any(x is None for arm in found for x in arm):
            return None
        return [_Group(float(n), float(m), float(s)) for n, m, s in found]  # type: ignore[arg-type]
    else:
        return None
    out = []
    for n, value in parts:
        if n is None or n < 2 or value.mean is None or value.sd is None or not value.sd > 0:
            return None
        out.append(_Group(float(n), value.mean, value.sd))
    return out


def _anova(groups: list[_Group], *, spread_is_se: bool = False) -> tuple[float, float, float]:
    """Return F and its degrees of freedom from sizes, means and spreads."""
    total = sum(g.n for g in groups)
    centre = sum(g.n * g.mean for g in groups) / total
    between = sum(g.n * (g.mean - centre) ** 2 for g in groups) / (len(groups) - 1)
    squares = sum((g.n - 1) * g.spread**2 * (g.n if spread_is_se else 1.0) for g in groups)
    within = squares / (total - len(groups))
    return between / within, len(groups) - 1.0, total - len(groups)


def _p_of(groups: list[_Group], *, spread_is_se: bool = False) -> float:
    from scipy.special import fdtrc

    f, df1, df2 = _anova(groups, spread_is_se=spread_is_se)
    return float(fdtrc(df1, df2, f))


def _deviate(p: float) -> float:
    from scipy.special import ndtri

    return -float(ndtri(max(p, 1e-300) / 2.0))


def _printed(text: str) -> tuple[float, float] | None:
    """Return the range of two-sided normal deviates that a printed P value leaves open."""
    text = text.strip().replace(" ", "").replace("−", "-").lower().removeprefix("p").removeprefix("=")
    sign = text[:1] if text[:1] in "<>≤≥" else ""
    try:
        value = float(text.lstrip("<>≤≥="))
    except ValueError:
        return None
    if not 0 <= value <= 1:
        return None
    if sign in ("<", "≤"):
        return _deviate(value), math.inf
    if sign in (">", "≥"):
        return 0.0, _deviate(value)
    decimals = len(text.partition(".")[2])
    half = 0.5 * 10.0**-decimals
    high = math.inf if value - half <= 0 else _deviate(value - half)
    return _deviate(min(value + half, 1.0)), high


def contradicted_p(row: Row) -> Iterator[Suspicion]:
    """Recompute the P value from means, spreads and sizes and hold it against the printed one.

    Where the printed P follows from the same numbers with the spreads read as standard errors, that is said
    instead: an SE was called an SD.
    """
    data = row.outcome.data
    groups = _groups(row)
    if groups is None or data.p is None:
        return
    open_range = _printed(data.p)
    if open_range is None:
        return
    low, high = open_range
    p, p_se = _p_of(groups), _p_of(groups, spread_is_se=True)

    def gap(value: float) -> float:
        z = _deviate(value)
        return max(low - z, z - high, 0.0)

    if gap(p) <= _GAP:
        return
    evidence: dict[str, float | str] = {"p_printed": data.p, "p_from_values": p, "p_if_sd_is_se": p_se}
    if p < p_se and gap(p_se) <= _GAP:
        yield Suspicion(
            "se-as-sd",
            row,
            f"the printed values give P {p:.2g} and the source prints {data.p}; read as standard errors they "
            f"give {p_se:.2g}",
            evidence,
            "look up whether the printed ± is an SE; if so write se instead of sd",
        )
    else:
        yield Suspicion(
            "p-contradicts-values",
            row,
            f"the printed values give P {p:.2g}, the source prints {data.p}; as standard errors they would "
            f"give {p_se:.2g}",
            evidence,
            "look up the values and the test; do not pool before it is clear",
        )


def off_centre(row: Row) -> Iterator[Suspicion]:
    """Find an interval that does not centre its estimate on the scale on which it was made."""
    data = row.outcome.data
    if not isinstance(data, rec.IntervalEffect):
        return
    low, high, estimate = data.ci_low, data.ci_high, data.estimate
    if not low < estimate < high:
        return
    if data.measure in ("OR", "RR", "HR", "IRR", "PETO", "ROM") and data.scale == "natural":
        if low <= 0:
            return
        # a lower limit of 0.05 was anything from 0.045 to 0.055: rounding alone moves the centre so much
        slack = 0.5 * (_ulp(low) / low + _ulp(high) / high) / 2.0 + 0.5 * _ulp(estimate) / estimate
        low, high, estimate = math.log(low), math.log(high), math.log(estimate)
    else:
        slack = 0.5 * (_ulp(low) + _ulp(high)) / 2.0 + 0.5 * _ulp(estimate)
    centre, width = (low + high) / 2.0, high - low
    if abs(estimate - centre) > slack + 0.04 * width:
        yield Suspicion(
            "asymmetric-interval",
            row,
            f"the estimate {data.estimate:g} is not in the middle of [{data.ci_low:g}, {data.ci_high:g}]",
            {"estimate": data.estimate, "ci_low": data.ci_low, "ci_high": data.ci_high},
            "look up estimate and limits; one of them may have lost a digit",
        )


def _ulp(value: float) -> float:
    """One unit in the last decimal that was written."""
    text = repr(float(value))
    decimals = len(text.partition(".")[2]) if "e" not in text else 12
    return float(10.0 ** -min(decimals if not text.endswith(".0") else 0, 12))
