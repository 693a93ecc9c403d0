"""From one printed row to what an effect is computed from, by the row's own route.

Every kind of data of a record has its route to a measure, or a reason why there is none. A route
is a short sentence that tells how the number came about; it stays with the effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mtmeta.effects.continuous import hedges_correction
from mtmeta.effects.select import Row
from mtmeta.errors import MtmetaError
from mtmeta.records import schema as rec

__all__ = ["NoRouteError", "Printed", "printed_of"]

RATIOS = frozenset({"OR", "RR", "PETO", "HR", "IRR", "ROM"})
EVENT_MEASURES = frozenset({"OR", "RR", "RD", "PETO"})
MEAN_MEASURES = frozenset({"MD", "SMD", "SMDH", "SMD1", "ROM"})


class NoRouteError(MtmetaError):
    """No effect of the measure asked for follows from the row; the message says why."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What an effect is computed from.

    Exactly one of `raw` (columns of a calculator), `d` (an uncorrected standardised difference)
    and `effect` (estimate and SE taken as they stand) is given.
    """

    route: str
    raw: dict[str, float] = field(default_factory=dict)
    d: float | None = None
    effect: tuple[float, float] | None = None
    n1: float = math.nan
    n2: float = math.nan
    n: float = math.nan
    notes: tuple[str, ...] = ()


def printed_of(row: Row, measure: str) -> Printed:
    """Return what the row's effect of a measure is computed from.

    Raises
    ------
    NoRouteError
        With the reason, when no effect of the measure follows from what was printed.
    """
    data = row.outcome.data
    return _ROUTES[data.kind](data, measure)


# ---- spread of one arm --------------------------------------------------------------------


def _sd(spread: rec.MeanSD | rec.ArmValues, n: float, arm: str) -> tuple[float, str]:
    """Return an arm's SD and how it was got."""
    if spread.sd is not None:
        return spread.sd, ""
    if spread.se is not None:
        return spread.se * math.sqrt(n), "SD from SE"
    low, high = getattr(spread, "ci_low", None), getattr(spread, "ci_high", None)
    if low is not None and high is not None:
        from scipy.special import stdtrit

        width = 2.0 * float(stdtrit(n - 1.0, 0.975))
        return (high - low) / width * math.sqrt(n), "SD from 95% CI (t)"
    raise NoRouteError(f"no SD, SE or interval is printed for the {arm} arm")


def _need_n(n: int | None, arm: str) -> float:
    if n is None:
        raise NoRouteError(f"the number of participants of the {arm} arm is not printed")
    if n < 2:
        raise NoRouteError(
            f"the {arm} arm has {n} participant{'s' if n != 1 else ''}; a standard deviation needs two"
        )
    return float(n)


def _two_means(
    music: rec.MeanSD, n_music: int | None, control: rec.MeanSD, n_control: int | None, what: str
) -> Printed:
    n1, n2 = _need_n(n_music, "music"), _need_n(n_control, "control")
    if music.mean is None or control.mean is None:
        raise NoRouteError(f"the {what} of an arm is not printed")
    sd1, how1 = _sd(music, n1, "music")
    sd2, how2 = _sd(control, n2, "control")
    for sd, arm in ((sd1, "music"), (sd2, "control")):
        if not sd > 0:
            raise NoRouteError(f"the SD of the {arm} arm is {sd:g}")
    hows = [h for h in dict.fromkeys((how1, how2)) if h]
    return Printed(
        route="; ".join([f"{what}s and SDs", *hows]),
        raw={"m1": music.mean, "sd1": sd1, "n1": n1, "m2": control.mean, "sd2": sd2, "n2": n2},
        n1=n1,
        n2=n2,
        n=n1 + n2,
    )


def _means_only(measure: str, kind: str) -> None:
    if measure not in MEAN_MEASURES:
        raise NoRouteError(f"{kind} are printed, from which no {measure} follows")


def _from_means(data: rec.Means, measure: str) -> Printed:
    _means_only(measure, "means")
    return _two_means(data.music, data.music.n, data.control, data.control.n, "mean")


def _from_changes(data: rec.Changes, measure: str) -> Printed:
    _means_only(measure, "changes from baseline")
    if measure == "ROM":
        raise NoRouteError("changes from baseline have no ratio of means")
    return _two_means(data.music.change, data.music.n, data.control.change, data.control.n, "mean change")


# ---- events and rates ---------------------------------------------------------------------


def _four(a: float, n1: float, c: float, n2: float, measure: str, route: str) -> Printed:
    if measure not in EVENT_MEASURES:
        raise NoRouteError(
            f"events are printed, from which no {measure} is computed unless asked for (OR, RR, RD)"
        )
    return Printed(route=route, raw={"a": a, "n1": n1, "c": c, "n2": n2}, n1=n1, n2=n2, n=n1 + n2)


def _from_events(data: rec.Events, measure: str) -> Printed:
    music, control = data.music, data.control
    return _four(music.events, music.n, control.events, control.n, measure, "events")


def _from_rates(data: rec.Rates, measure: str) -> Printed:
    if measure != "IRR":
        raise NoRouteError(f"events over time are printed, from which no {measure} follows")
    raw = {
        "x1": float(data.music.events),
        "t1": data.music.time,
        "x2": float(data.control.events),
        "t2": data.control.time,
    }
    return Printed(route="events over person-time", raw=raw)


# ---- reported effects ---------------------------------------------------------------------


def _sizes(data: rec.Effect | rec.IntervalEffect) -> tuple[float, float, float]:
    """Return n1, n2 and n, NaN where unknown; unordered sizes stand smaller first."""
    n1, n2 = data.n_music, data.n_control
    if (n1 is None or n2 is None) and data.n_unordered is not None:
        n1, n2 = data.n_unordered
    if n1 is not None and n2 is not None:
        return float(n1), float(n2), float(n1 + n2)
    return math.nan, math.nan, math.nan if data.n_total is None else float(data.n_total)


def _z(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2.0))


def _interval_se(data: rec.IntervalEffect, *, log: bool) -> float:
    low, high = data.ci_low, data.ci_high
    if log:
        low, high = math.log(low), math.log(high)
    return (high - low) / (2.0 * _z(data.level))


def _from_effect(data: rec.Effect | rec.IntervalEffect, measure: str) -> Printed:
    if data.measure == measure == "SMD":
        return _reported_smd(data)
    if data.measure == measure:
        return _as_printed(data)
    if data.measure == "MD" and measure == "SMD":
        return _md_to_smd(data)
    raise NoRouteError(f"the source prints a {data.measure}, from which no {measure} follows")


def _reported_smd(data: rec.Effect | rec.IntervalEffect) -> Printed:
    n1, n2, n = _sizes(data)
    if not math.isnan(n1) and data.correction != "unknown":
        j = float(hedges_correction(n1 + n2 - 2.0, correction=data.correction))
        route = f"printed SMD ({data.correction} correction) and arm sizes"
        notes = (
            ()
            if data.n_music is not None
            else ("which arm is which is not told; g and its SE do not depend on it",)
        )
        return Printed(route=route, d=data.estimate / j, n1=n1, n2=n2, n=n, notes=notes)
    return _as_printed(data)


def _as_printed(data: rec.Effect | rec.IntervalEffect) -> Printed:
    n1, n2, n = _sizes(data)
    ratio = data.measure in RATIOS and data.scale == "natural"
    if ratio and not data.estimate > 0:
        raise NoRouteError(f"a {data.measure} of {data.estimate:g} cannot be: ratios are above 0")
    estimate = math.log(data.estimate) if ratio else data.estimate
    if isinstance(data, rec.IntervalEffect):
        if ratio and not data.ci_low > 0:
            raise NoRouteError(
                f"the interval of the {data.measure} begins at {data.ci_low:g}; its logarithm has no SE"
            )
        se = _interval_se(data, log=ratio)
        route = f"printed {data.measure} and {data.level:.0%} interval" + (
            ", on the log scale" if ratio else ""
        )
    else:
        if ratio:
            raise NoRouteError(
                f"the SE of a {data.measure} on its natural scale is not that of its logarithm"
            )
        se, route = data.se, f"printed {data.measure} and SE"
    if not se > 0:
        raise NoRouteError(f"the standard error is {se:g}")
    return Printed(route=route, effect=(estimate, se), n1=n1, n2=n2, n=n)


def _md_to_smd(data: rec.Effect | rec.IntervalEffect) -> Printed:
    """SD from the SE of a difference in means (Cochrane Handbook 6.5.2.3)."""
    n1, n2, n = _sizes(data)
    if math.isnan(n1):
        raise NoRouteError(
            "the source prints a MD without the arms' sizes, so that its SD cannot be recovered"
        )
    if data.adjusted_for is not None:
        raise NoRouteError(
            f"the printed MD is adjusted for {data.adjusted_for}; its SE is not that of unadjusted means, "
            "so that no SD follows"
        )
    if isinstance(data, rec.IntervalEffect):
        from scipy.special import stdtrit

        width = 2.0 * float(stdtrit(n1 + n2 - 2.0, 0.5 + data.level / 2.0))
        se, how = (data.ci_high - data.ci_low) / width, f"{data.level:.0%} interval (t)"
    else:
        se, how = data.se, "SE"
    if not se > 0:
        raise NoRouteError(f"the standard error is {se:g}")
    sd = se / math.sqrt(1.0 / n1 + 1.0 / n2)
    return Printed(
        route=f"printed MD over the SD recovered from its {how}", d=data.estimate / sd, n1=n1, n2=n2, n=n
    )


# ---- test statistics ----------------------------------------------------------------------


def _sign(data: rec.Test) -> float:
    if data.mean_music is not None and data.mean_control is not None:
        return math.copysign(1.0, data.mean_music - data.mean_control)
    if data.music_is == "unknown":
        raise NoRouteError(
            "the source does not tell which arm had the higher value, so that the sign is unknown"
        )
    return -1.0 if data.music_is == "lower" else 1.0


def _exact_p(text: str | None) -> float:
    if text is None:
        raise NoRouteError("no P value is printed")
    if text.strip()[:1] in "<>≤≥":
        raise NoRouteError(f"P {text.strip()} bounds the effect and does not give it")
    try:
        p = float(text)
    except ValueError as error:
        raise NoRouteError(f"P {text!r} is no number") from error
    if not 0.0 < p < 1.0:
        raise NoRouteError(f"P = {text} is rounded to {p:g}, from which no statistic follows")
    return p


def _from_test(data: rec.Test, measure: str) -> Printed:
    if measure != "SMD":
        raise NoRouteError(f"a test statistic is printed, from which no {measure} follows")
    if data.groups != 2 or (data.df1 is not None and data.df1 > 1):
        raise NoRouteError(
            f"the {data.statistic} compares {data.groups} groups; no two-group effect follows from it"
        )
    n1, n2 = _need_n(data.n_music, "music"), _need_n(data.n_control, "control")
    t, route = _t_of(data, n1 + n2 - 2.0)
    return Printed(
        route=route, d=_sign(data) * abs(t) * math.sqrt(1.0 / n1 + 1.0 / n2), n1=n1, n2=n2, n=n1 + n2
    )


def _t_of(data: rec.Test, df: float) -> tuple[float, str]:
    from scipy.special import stdtrit

    if data.statistic == "t" and data.value is not None:
        return data.value, "printed t and arm sizes"
    if data.statistic == "F" and data.value is not None:
        if data.value < 0:
            raise NoRouteError(f"F = {data.value:g} cannot be: F is not negative")
        return math.sqrt(data.value), "printed F of two groups (t = √F) and arm sizes"
    if data.statistic == "p" or data.value is None:
        p = data.p if data.p is not None else (None if data.value is None else f"{data.value:g}")
        return float(stdtrit(df, 1.0 - _exact_p(p) / 2.0)), "printed P (two-sided t test) and arm sizes"
    raise NoRouteError(f"no standardised difference is computed from a {data.statistic} statistic")


# ---- quartiles ----------------------------------------------------------------------------


def _quartile_arm(arm: rec.GroupQuartiles | rec.ArmValues, n: float, name: str) -> tuple[float, float]:
    """Mean and SD from quartiles (Wan 2014, BMC Med Res Methodol 14:135, scenario C3)."""
    from scipy.special import ndtri

    if arm.median is None or arm.q1 is None or arm.q3 is None:
        raise NoRouteError(f"the quartiles of the {name} arm are not printed in full")
    width = 2.0 * float(ndtri((0.75 * n - 0.125) / (n + 0.25)))
    return (arm.q1 + arm.median + arm.q3) / 3.0, (arm.q3 - arm.q1) / width


def _from_quartiles(data: rec.Quartiles, measure: str) -> Printed:
    _means_only(measure, "medians")
    n1, n2 = _need_n(data.music.n, "music"), _need_n(data.control.n, "control")
    m1, sd1 = _quartile_arm(data.music, n1, "music")
    m2, sd2 = _quartile_arm(data.control, n2, "control")
    if not (sd1 > 0 and sd2 > 0):
        raise NoRouteError("the quartiles of an arm coincide, so that no SD follows")
    return Printed(
        route="means and SDs estimated from medians and quartiles (Wan 2014)",
        raw={"m1": m1, "sd1": sd1, "n1": n1, "m2": m2, "sd2": sd2, "n2": n2},
        n1=n1,
        n2=n2,
        n=n1 + n2,
        notes=("estimated from quartiles, which assumes a normal distribution",),
    )


# ---- several arms -------------------------------------------------------------------------


def _combined(arms: list[rec.ArmValues], role: str) -> tuple[float, float, float]:
    """Combine arms into one: size, mean, SD (Cochrane Handbook, table 6.5.a)."""
    n = mean = ss = 0.0
    for arm in arms:
        size = _need_n(arm.n, role)
        if arm.mean is None:
            raise NoRouteError(f"the mean of the arm {arm.name!r} is not printed")
        sd, _ = _sd(arm, size, role)
        total = n + size
        delta = arm.mean - mean
        ss += (size - 1.0) * sd * sd + delta * delta * n * size / total
        mean += delta * size / total
        n = total
    sd = math.sqrt(ss / (n - 1.0))
    if not sd > 0:
        raise NoRouteError(f"the SD of the {role} arm is {sd:g}")
    return n, mean, sd


def _from_arms(data: rec.Arms, measure: str) -> Printed:
    music = [a for a in data.arms if a.role == "music"]
    control = [a for a in data.arms if a.role == "control"]
    if not music or not control:
        raise NoRouteError("the record names no music arm or no control arm among the arms")
    if data.rule not in (None, "combine"):
        raise NoRouteError(f"the rule {data.rule!r} makes several effects of one row; ask for combined arms")
    how = "" if len(music) == len(control) == 1 else "; arms combined"
    if data.form == "events":
        counts = [(_total(arms, "events"), _total(arms, "n")) for arms in (music, control)]
        (a, n1), (c, n2) = counts
        return _four(a, n1, c, n2, measure, "events" + how)
    _means_only(measure, data.form)
    if data.form == "quartiles":
        if len(music) != 1 or len(control) != 1:
            raise NoRouteError("medians of several arms cannot be combined")
        n1, n2 = _need_n(music[0].n, "music"), _need_n(control[0].n, "control")
        m1, sd1 = _quartile_arm(music[0], n1, "music")
        m2, sd2 = _quartile_arm(control[0], n2, "control")
        route, notes = (
            "means and SDs estimated from medians and quartiles (Wan 2014)",
            ("estimated from quartiles",),
        )
        if not (sd1 > 0 and sd2 > 0):
            raise NoRouteError("the quartiles of an arm coincide, so that no SD follows")
    else:
        n1, m1, sd1 = _combined(music, "music")
        n2, m2, sd2 = _combined(control, "control")
        what = "mean changes" if data.form == "changes" else "means"
        route, notes = f"{what} and SDs{how}", ()
    raw = {"m1": m1, "sd1": sd1, "n1": n1, "m2": m2, "sd2": sd2, "n2": n2}
    return Printed(route=route, raw=raw, n1=n1, n2=n2, n=n1 + n2, notes=notes)


def _total(arms: list[rec.ArmValues], what: str) -> float:
    values = [getattr(arm, what) for arm in arms]
    if any(v is None for v in values):
        raise NoRouteError(f"{what} of an arm is not printed")
    return float(sum(values))


# ---- the rest -----------------------------------------------------------------------------


def _from_correlation(data: rec.Correlation, measure: str) -> Printed:
    if measure not in ("COR", "ZCOR"):
        raise NoRouteError(f"a correlation is printed, from which no {measure} is computed unless asked for")
    return Printed(route="correlation", raw={"r": data.r, "n": float(data.n)}, n=float(data.n))


def _from_paired(data: rec.Paired, measure: str) -> Printed:
    """Crossover means: MD with the SE of paired differences (Cochrane Handbook 23.2.7)."""
    if measure != "MD":
        raise NoRouteError(
            f"paired (crossover) means are printed; only a MD is computed from them, not {measure}"
        )
    n = _need_n(data.n, "only")
    music, control, diff = data.music, data.control, data.difference
    if diff is not None and diff.mean is not None:
        sd, how = _sd(diff, n, "paired difference")
        return Printed(
            route="mean paired difference and its SD" + (f"; {how}" if how else ""),
            effect=(diff.mean, sd / math.sqrt(n)),
            n=n,
        )
    if music.mean is None or control.mean is None:
        raise NoRouteError("the mean of a period is not printed")
    if data.r is None:
        raise NoRouteError("neither the SD of paired differences nor their correlation is printed")
    sd1, _ = _sd(music, n, "music")
    sd2, _ = _sd(control, n, "control")
    variance = sd1**2 + sd2**2 - 2.0 * data.r * sd1 * sd2
    if not variance > 0:
        raise NoRouteError("the SD of paired differences is 0")
    route = "period means, SDs and their correlation"
    return Printed(route=route, effect=(music.mean - control.mean, math.sqrt(variance / n)), n=n)


def _never(reason: str) -> Callable[[Any, str], Printed]:
    def route(data: Any, measure: str) -> Printed:
        raise NoRouteError(reason)

    return route


_ROUTES: dict[str, Callable[[Any, str], Printed]] = {
    "means": _from_means,
    "changes": _from_changes,
    "events": _from_events,
    "rates": _from_rates,
    "effect": _from_effect,
    "interval": _from_effect,
    "test": _from_test,
    "quartiles": _from_quartiles,
    "arms": _from_arms,
    "correlation": _from_correlation,
    "paired": _from_paired,
    "one group": _never("a change within the music group alone is no contrast with a control"),
    "coefficient": _never("a model coefficient is no plain difference between the arms"),
    "narrative": _never("the source prints no number from which an effect follows"),
}
