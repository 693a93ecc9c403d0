"""What a row prints beside its numbers: the P value that should follow, the middle of the interval."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mtmeta.audit.checks.rows import Arm, EffectRow, Limits, Suspicion, arms_of, ulp
from mtmeta.effects.select import Row
from mtmeta.records import schema as rec

__all__ = ["contradicted_p", "contradicted_report", "contradicted_statistic", "off_centre"]

RATIOS = frozenset({"OR", "RR", "HR", "IRR", "PETO", "ROM"})

_DEFAULT = Limits()


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


def contradicted_p(row: Row, limits: Limits = _DEFAULT) -> Iterator[Suspicion]:
    """Recompute the test from means, spreads and sizes and hold it against the printed P value, t and F.

    Where what is printed follows from the same numbers with the spreads read as standard errors, that is said
    instead: an SE was called an SD. Each is compared as a normal deviate, to its printed digits; one finding
    a row is enough.
    """
    groups = _groups(row)
    if groups is None:
        return
    for name, text, (low, high) in _tests_beside(row, groups):
        p, p_se = _p_of(groups), _p_of(groups, spread_is_se=True)

        def gap(value: float, low: float = low, high: float = high) -> float:
            z = _deviate(value)
            return max(low - z, z - high, 0.0)

        if gap(p) <= limits.gap:
            continue
        ours, ours_se = (_in_terms(name, groups, spread_is_se=se) for se in (False, True))
        evidence: dict[str, float | str] = {
            f"{name.lower()}_printed": text,
            f"{name.lower()}_from_values": ours,
            f"{name.lower()}_if_sd_is_se": ours_se,
        }
        if p < p_se and gap(p_se) <= limits.gap:
            yield Suspicion(
                "se-as-sd",
                row,
                f"the printed values give {name} {ours:.2g} and the source prints {text}; read as standard "
                f"errors they give {ours_se:.2g}",
                evidence,
                "look up whether the printed ± is an SE; if so write se instead of sd",
            )
        else:
            yield Suspicion(
                "p-contradicts-values",
                row,
                f"the printed values give {name} {ours:.2g}, the source prints {text}; as standard errors "
                f"they would give {ours_se:.2g}",
                evidence,
                "look up the values and the test; do not pool before it is clear",
            )
        return


def _tests_beside(row: Row, groups: list[_Group]) -> Iterator[tuple[str, str, tuple[float, float]]]:
    """Yield what is printed of a test: its name, its text, and the range of deviates that it leaves open."""
    data = row.outcome.data
    printed_p = None if data.p is None else _printed(data.p)
    if data.p is not None and printed_p is not None:
        yield "P", data.p, printed_p
    if not isinstance(data, rec.Means | rec.Changes | rec.Arms):
        return
    _, df1, df2 = _anova(groups)
    for name, value in (("t", data.t), ("F", data.f)):
        if value is None or (name == "t" and len(groups) != 2):
            continue
        half = 0.5 * ulp(value)
        small, large = max(abs(value) - half, 0.0), abs(value) + half
        yield name, f"{value:g}", (_deviate_of(name, small, df1, df2), _deviate_of(name, large, df1, df2))


def _deviate_of(name: str, value: float, df1: float, df2: float) -> float:
    from scipy.special import fdtrc

    return _deviate(float(fdtrc(df1, df2, value * value if name == "t" else value)))


def _in_terms(name: str, groups: list[_Group], *, spread_is_se: bool) -> float:
    """Return P, the size of t, or F, as it follows from the values."""
    if name == "P":
        return _p_of(groups, spread_is_se=spread_is_se)
    f = _anova(groups, spread_is_se=spread_is_se)[0]
    return math.sqrt(f) if name == "t" else f


def off_centre(row: Row) -> Iterator[Suspicion]:
    """Find an interval that does not centre its estimate on the scale on which it was made."""
    data = row.outcome.data
    if not isinstance(data, rec.IntervalEffect | rec.Effect) or data.ci_low is None or data.ci_high is None:
        return
    low, high, estimate = data.ci_low, data.ci_high, data.estimate
    if not low < estimate < high:
        return
    if data.measure in RATIOS and data.scale == "natural":
        if low <= 0:
            return
        # a lower limit of 0.05 was anything from 0.045 to 0.055: rounding alone moves the centre so much
        slack = 0.5 * (ulp(low) / low + ulp(high) / high) / 2.0 + 0.5 * ulp(estimate) / estimate
        low, high, estimate = math.log(low), math.log(high), math.log(estimate)
    else:
        slack = 0.5 * (ulp(low) + ulp(high)) / 2.0 + 0.5 * ulp(estimate)
    centre, width = (low + high) / 2.0, high - low
    if abs(estimate - centre) > slack + 0.04 * width:
        evidence: dict[str, float | str] = {
            "estimate": data.estimate,
            "ci_low": data.ci_low,
            "ci_high": data.ci_high,
        }
        other = _other_scale(data, data.ci_low, data.ci_high)
        if other is not None:
            yield Suspicion(
                "log-as-natural" if data.scale == "natural" else "natural-as-log",
                row,
                f"[{data.ci_low:g}, {data.ci_high:g}] centres {data.estimate:g} on the {other} scale, not on "
                f"the {data.scale} one under which it stands",
                evidence,
                f"look up whether the source prints {data.measure} or its logarithm; write scale accordingly",
            )
            return
        yield Suspicion(
            "asymmetric-interval",
            row,
            f"the estimate {data.estimate:g} is not in the middle of [{data.ci_low:g}, {data.ci_high:g}]",
            evidence,
            "look up estimate and limits; one of them may have lost a digit",
        )


def _other_scale(data: rec.IntervalEffect | rec.Effect, low: float, high: float) -> str | None:
    """Name the scale on which the interval of a ratio does centre its estimate, if that is the other one."""
    if data.measure not in RATIOS:
        return None
    estimate = data.estimate
    slack = 0.25 * (ulp(low) + ulp(high)) + 0.5 * ulp(estimate)
    if data.scale == "log":
        if min(low, estimate) <= 0:
            return None
        slack = 0.25 * (ulp(low) / low + ulp(high) / high) + 0.5 * ulp(estimate) / estimate
        low, high, estimate = math.log(low), math.log(high), math.log(estimate)
    if abs(estimate - (low + high) / 2.0) > slack + 0.01 * (high - low):
        return None
    return "logarithmic" if data.scale == "natural" else "natural"


def contradicted_statistic(row: Row, limits: Limits = _DEFAULT) -> Iterator[Suspicion]:
    """Hold the P value that follows from a printed t, z or F against the printed one."""
    data = row.outcome.data
    if not isinstance(data, rec.Test) or data.p is None or data.value is None:
        return
    open_range, p = _printed(data.p), _p_of_test(data)
    if open_range is None or p is None:
        return
    low, high = open_range
    z = _deviate(p)
    if max(low - z, z - high) > limits.gap:
        yield Suspicion(
            "p-contradicts-values",
            row,
            f"{data.statistic} {data.value:g} gives P {p:.2g}, the source prints {data.p}",
            {"p_printed": data.p, "p_from_statistic": p},
            "look up statistic, degrees of freedom and P; do not pool before it is clear",
        )


def _p_of_test(data: rec.Test) -> float | None:
    from scipy.special import erfc, fdtrc, stdtr

    value = data.value
    assert value is not None
    df = data.df
    if df is None and data.n_music and data.n_control and data.groups == 2:
        df = data.n_music + data.n_control - 2.0
    if data.statistic == "z":
        return float(erfc(abs(value) / math.sqrt(2.0)))
    if df is None or df <= 0:
        return None
    if data.statistic == "t":
        return float(2.0 * stdtr(df, -abs(value)))
    if data.statistic == "F" and value >= 0:
        return float(fdtrc(data.df1 or float(max(data.groups - 1, 1)), df, value))
    return None


def contradicted_report(row: Row, own: EffectRow | None) -> Iterator[Suspicion]:
    """Hold the effect that the source itself computed from the row against the one that follows from it.

    A review prints arms and effect side by side; where the effect does not follow from the arms, one of them
    was mistyped. Only SMDs and mean differences of raw means are compared. With or without correction and
    with either SD, an SMD moves by a tenth of itself; more than that and more than rounding is told.
    """
    told, arms, data = row.outcome.reported, arms_of(row.outcome), row.outcome.data
    if told is None or told.estimate is None:
        return
    if isinstance(data, rec.Effect | rec.IntervalEffect):
        yield from _two_effects(row, data.measure, data.estimate, told)
        return
    if arms is None:
        return
    if told.measure == "SMD" and own is not None:
        ours = own.g
    elif told.measure == "MD" and not (math.isnan(arms[0].mean) or math.isnan(arms[1].mean)):
        ours = arms[0].mean - arms[1].mean
    else:
        return
    rounding = 0.5 * ulp(told.estimate) + _rounding(arms, told.measure)
    slack = rounding + (0.1 * abs(told.estimate) if told.measure == "SMD" else 0.0)
    if abs(ours - told.estimate) <= slack:
        if told.measure == "SMD" and own is not None:
            yield from _other_width(row, own, told)
        return
    opposite = abs(ours + told.estimate) <= slack
    evidence: dict[str, float | str] = {"from_values": ours, "printed_effect": told.estimate}
    message = f"the values give {told.measure} {ours:.2f}, the source computed {told.estimate:.2f} from them"
    remedy = "look the row up: one of means, SDs, sizes and effect was mistyped"
    code = "effect-contradicts-values"
    if opposite:
        code, remedy = "sign-contradicts-report", "the arms are exchanged, or one sign is turned; look it up"
    elif told.measure == "SMD" and own is not None and own.arm_size > 1:
        as_se = ours / math.sqrt(own.arm_size)
        if (
            abs(as_se - told.estimate)
            <= rounding + 0.2 * abs(told.estimate)
            < abs(ours - told.estimate) / 2.0
        ):
            code, remedy = "se-as-sd", "the typed SDs are standard errors: write se instead of sd"
            evidence["g_if_sd_is_se"] = as_se
    yield Suspicion(code, row, message, evidence, remedy)


def _two_effects(row: Row, measure: str, estimate: float, told: rec.Reported) -> Iterator[Suspicion]:
    """Hold an effect against the one under ``reported``, of the same measure, a correction apart."""
    if told.estimate is None or told.measure != measure:
        return
    slack = 0.5 * (ulp(estimate) + ulp(told.estimate)) + 0.1 * abs(told.estimate)
    if abs(estimate - told.estimate) > slack:
        opposite = measure not in RATIOS and abs(estimate + told.estimate) <= slack
        yield Suspicion(
            "sign-contradicts-report" if opposite else "effect-contradicts-values",
            row,
            f"{measure} {estimate:g} in the row, {told.estimate:g} as the source computed it",
            {"row": estimate, "printed_effect": told.estimate},
            "a sign is turned or a digit mistyped; look both up",
        )


def _other_width(row: Row, own: EffectRow, told: rec.Reported) -> Iterator[Suspicion]:
    """Hold the width of the interval that the source computed for an SMD against the one n gives."""
    from scipy.special import ndtri

    if told.ci_low is None or told.ci_high is None or not own.n1 > 1 or not own.n2 > 1:
        return
    half = (told.ci_high - told.ci_low) / 2.0
    se, n = half / float(ndtri(0.5 + told.level / 2.0)), own.n1 + own.n2
    revman = math.sqrt(n / (own.n1 * own.n2) + own.g**2 / (2.0 * max(n - 3.94, 1.0)))
    slack = 0.03 + 0.5 * (ulp(told.ci_low) + ulp(told.ci_high)) / (2.0 * half) if half > 0 else 1.0
    if all(abs(se / ours - 1.0) > slack for ours in (math.sqrt(own.v), revman)):
        yield Suspicion(
            "n-contradicts-interval",
            row,
            f"{own.n1:g} and {own.n2:g} people give an SE of {math.sqrt(own.v):.3g}, the source's interval "
            f"{se:.3g}",
            {"se_from_n": math.sqrt(own.v), "se_from_interval": se},
            "look up both sizes, and whether the source allowed for clusters or a shared arm",
        )


def _rounding(arms: tuple[Arm, Arm], measure: str) -> float:
    """How far the effect moves when means and SDs move within their printed digits."""
    means = 0.5 * (ulp(arms[0].mean) + ulp(arms[1].mean))
    if measure == "MD":
        return means
    sds = [a.sd for a in arms if a.sd > 0]
    if not sds:
        return 0.05
    typical = min(sds)
    part = max(0.5 * ulp(sd) / sd for sd in sds)
    return means / typical + part * abs(arms[0].mean - arms[1].mean) / typical
