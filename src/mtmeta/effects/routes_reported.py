"""Routes from what a source computed itself: an effect with its spread, or a test of the difference."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from mtmeta.effects.printed import Given, NoRouteError, Printed, RouteChoices, Step
from mtmeta.effects.recover import (
    Recovered,
    sd_from_interval,
    se_from_interval,
    se_from_t,
    t_from_f,
    t_from_p,
)
from mtmeta.effects.spread import printed_p, size_of
from mtmeta.records import schema as rec

__all__ = ["RATIOS", "from_effect", "from_test"]

RATIOS = frozenset({"OR", "RR", "PETO", "HR", "IRR", "ROM"})
Reported = rec.Effect | rec.IntervalEffect
_HANDBOOK = "Cochrane Handbook 6, {}"


def _sizes(data: Reported) -> tuple[float, float, float]:
    """Return n1, n2 and n, NaN where unknown; unordered sizes stand smaller first."""
    n1, n2 = data.n_music, data.n_control
    if (n1 is None or n2 is None) and data.n_unordered is not None:
        n1, n2 = data.n_unordered
    if n1 is not None and n2 is not None:
        return float(n1), float(n2), float(n1 + n2)
    return math.nan, math.nan, math.nan if data.n_total is None else float(data.n_total)


def _people(n1: float, n2: float) -> tuple[Given, ...]:
    if math.isnan(n1):
        return ()
    return Given("n1", n1, "participants, music"), Given("n2", n2, "participants, control")


def from_effect(data: Reported, measure: str) -> Printed:
    """Take a printed effect as it stands, or restate it.

    Raises
    ------
    NoRouteError
        When it is of another measure and none follows, or its numbers cannot be.
    """
    if data.measure == measure == "SMD":
        return _reported_smd(data)
    if data.measure == measure:
        return _as_printed(data)
    if data.measure == "MD" and measure == "SMD":
        return _md_to_smd(data)
    if {data.measure, measure} == {"COR", "ZCOR"}:
        raise NoRouteError(
            f"the source prints a {data.measure} with its SE; r and n are needed for a {measure}"
        )
    raise NoRouteError(f"the source prints a {data.measure}, from which no {measure} follows")


def _reported_smd(data: Reported) -> Printed:
    n1, n2, n = _sizes(data)
    if math.isnan(n1) or data.correction == "unknown":
        return _as_printed(data)
    size_of(int(n1), "music")
    size_of(int(n2), "control")
    from mtmeta.effects.continuous import hedges_correction

    j = float(hedges_correction(n1 + n2 - 2.0, correction=data.correction))
    notes = (
        ()
        if data.n_music is not None
        else ("which arm is which is not told; g and its SE do not depend on it",)
    )
    name = f"printed SMD ({data.correction} correction) and arm sizes"
    return Printed(
        name=name,
        route=name,
        d=data.estimate / j,
        correction=data.correction,
        n1=n1,
        n2=n2,
        n=n,
        standardiser="source's own SD",
        notes=notes,
        given=(Given("gp", data.estimate, "standardised mean difference"), *_people(n1, n2)),
    )


def _as_printed(data: Reported) -> Printed:
    n1, n2, n = _sizes(data)
    ratio = data.measure in RATIOS
    natural = ratio and data.scale == "natural"
    if natural and not data.estimate > 0:
        raise NoRouteError(f"a {data.measure} of {data.estimate:g} cannot be: ratios are above 0")
    estimate = math.log(data.estimate) if natural else data.estimate
    given = [Given("e", data.estimate, ("logarithm of the " if ratio and not natural else "") + data.measure)]
    steps = [
        Step("effect on the log scale", "y", "ln(e)") if natural else Step("effect as printed", "y", "e")
    ]
    se, how, more, way, told = _spread_of(data, natural=natural)
    name = f"printed {data.measure} and {how}" + (", on the log scale" if ratio else "")
    return Printed(
        name=name,
        route="; ".join([name, *told]),
        effect=(estimate, se),
        n1=n1,
        n2=n2,
        n=n,
        standardiser="source's own SD" if data.measure.startswith("SMD") else "",
        given=(*given, *more, *_people(n1, n2)),
        steps=(*steps, *way),
    )


def _spread_of(data: Reported, *, natural: bool) -> tuple[float, str, list[Given], list[Step], list[str]]:
    """Return the standard error, what it came from, and the way there."""
    if isinstance(data, rec.Effect) and not natural:
        if not data.se > 0:
            raise NoRouteError(f"the standard error is {data.se:g}")
        return data.se, "SE", [Given("SE", data.se, "standard error")], [], []
    low, high = data.ci_low, data.ci_high
    if low is None or high is None:
        raise NoRouteError(f"the SE of a {data.measure} on its natural scale is not that of its logarithm")
    if natural and not low > 0:
        raise NoRouteError(f"the interval of the {data.measure} begins at {low:g}; its logarithm has no SE")
    found = se_from_interval(low, high, level=data.level, scale="log" if natural else "natural")
    tail = 0.5 + data.level / 2.0
    formula = "(ln(high) − ln(low)) / (2 × q)" if natural else "(high − low) / (2 × q)"
    steps = [
        Step("normal quantile", "q", f"z({tail:g})"),
        Step(f"standard error from the {data.level:.0%} interval", "SE", formula, _HANDBOOK.format("6.3.1")),
    ]
    given = [Given("low", low, "lower limit"), Given("high", high, "upper limit")]
    return float(found), f"{data.level:.0%} interval", given, steps, [cast(str, found.route)]


def _md_to_smd(data: Reported) -> Printed:
    """Divide by the SD recovered from the SE of a difference in means (Cochrane Handbook 6.5.2.3)."""
    n1, n2, n = _sizes(data)
    if math.isnan(n1):
        raise NoRouteError(
            "the source prints a MD without the arms' sizes, so that its SD cannot be recovered"
        )
    if data.adjusted_for is not None:
        raise NoRouteError(
            f"the printed MD is adjusted (for {data.adjusted_for}); its SE is not that of unadjusted means, "
            "so that no SD follows"
        )
    size_of(int(n1), "music")
    size_of(int(n2), "control")
    given = [Given("MD", data.estimate, "mean difference"), *_people(n1, n2)]
    if isinstance(data, rec.IntervalEffect):
        found = sd_from_interval(data.ci_low, data.ci_high, n1, n2, level=data.level)
        how = f"{data.level:.0%} interval (t)"
        given += [Given("low", data.ci_low, "lower limit"), Given("high", data.ci_high, "upper limit")]
        steps = [
            Step("quantile of t", "q", f"t({0.5 + data.level / 2:g}; n1 + n2 − 2)"),
            Step("standard error of the difference", "SE", "(high − low) / (2 × q)"),
        ]
    else:
        if not data.se > 0:
            raise NoRouteError(f"the standard error is {data.se:g}")
        value = data.se / math.sqrt(1.0 / n1 + 1.0 / n2)
        route = f"SD from SE of a difference: {data.se:.6g} / √(1/{n1:.6g} + 1/{n2:.6g}) = {value:.6g}"
        found, how, steps = Recovered(value, route), "SE", []
        given.append(Given("SE", data.se, "standard error of the difference"))
    steps += [
        Step("pooled SD", "sp", "SE / √(1 / n1 + 1 / n2)", _HANDBOOK.format("6.5.2.3")),
        Step("standardised difference", "d", "MD / sp"),
    ]
    name = f"printed MD over the SD recovered from its {how}"
    return Printed(
        name=name,
        route=f"{name}; {found.route}",
        d=data.estimate / float(found),
        n1=n1,
        n2=n2,
        n=n,
        standardiser="pooled SD",
        given=tuple(given),
        steps=tuple(steps),
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


def from_test(data: rec.Test, measure: str, choices: RouteChoices) -> Printed:
    """Take the t behind a printed t, F or P value.

    Raises
    ------
    NoRouteError
        For several groups, an unknown sign, a P value that only bounds the effect, and other statistics.
    """
    if measure not in ("SMD", "MD"):
        raise NoRouteError(f"a test statistic is printed, from which no {measure} follows")
    if data.groups != 2 or (data.df1 is not None and data.df1 > 1):
        groups = f"{data.groups} groups" if data.groups != 2 else "several groups"
        raise NoRouteError(f"the {data.statistic} compares {groups}; no two-group effect follows from it")
    n1, n2 = size_of(data.n_music, "music"), size_of(data.n_control, "control")
    sign = _sign(data)
    t, name, given, steps, told, notes = _t_of(data, n1, n2, sign, choices)
    given = (*given, *_people(n1, n2))
    if measure == "MD":
        return _md_of_test(
            data, t, name, Printed(name, n1=n1, n2=n2, n=n1 + n2, given=given, steps=steps, notes=notes)
        )
    root = math.sqrt(1.0 / n1 + 1.0 / n2)
    step = Step("standardised difference", "d", "t × √(1 / n1 + 1 / n2)", _HANDBOOK.format("6.5.2.3"))
    return Printed(
        name=name,
        route="; ".join([name, *told]),
        d=t * root,
        n1=n1,
        n2=n2,
        n=n1 + n2,
        standardiser="pooled SD, as in a t test",
        notes=notes,
        given=given,
        steps=(*steps, step),
    )


def _md_of_test(data: rec.Test, t: float, name: str, base: Printed) -> Printed:
    if data.mean_music is None or data.mean_control is None:
        raise NoRouteError("a test statistic is printed without the means, from which no MD follows")
    if t == 0 or data.mean_music == data.mean_control:
        raise NoRouteError("means that are equal say nothing of their spread, whatever the test")
    difference = data.mean_music - data.mean_control
    found = se_from_t(difference, t)
    return Printed(
        name=f"{name}, and means",
        route=f"{name}, and means; {found.route}",
        effect=(difference, float(found)),
        n1=base.n1,
        n2=base.n2,
        n=base.n,
        notes=base.notes,
        given=(
            Given("m1", data.mean_music, "mean, music"),
            Given("m2", data.mean_control, "mean, control"),
            *base.given,
        ),
        steps=(
            *base.steps,
            Step("mean difference", "y", "m1 − m2"),
            Step("its standard error", "SE", "|y / t|", _HANDBOOK.format("6.5.2.3")),
        ),
    )


_T = tuple[float, str, tuple[Given, ...], tuple[Step, ...], tuple[str, ...], tuple[str, ...]]


def _t_of(data: rec.Test, n1: float, n2: float, sign: float, choices: RouteChoices) -> _T:
    """Return t, the route's name, givens, steps, what was recovered, and notes."""
    minus = "−" if sign < 0 else ""
    if data.statistic == "t" and data.value is not None:
        given = (Given("tp", data.value, "t"),)
        step = Step("t, signed as music minus control", "t", f"{minus}|tp|")
        return sign * abs(data.value), "printed t and arm sizes", given, (step,), (), ()
    if data.statistic == "F" and data.value is not None:
        if data.value < 0:
            raise NoRouteError(f"F = {data.value:g} cannot be: F is not negative")
        found = t_from_f(data.value, sign=sign)
        given = (Given("F", data.value, "F with one numerator degree of freedom"),)
        step = Step("t, signed as music minus control", "t", f"{minus}√F")
        told = (cast(str, found.route),)
        return float(found), "printed F of two groups (t = √F) and arm sizes", given, (step,), told, ()
    if data.statistic == "p" or data.value is None:
        return _t_of_p(data, n1 + n2 - 2.0, sign, choices)
    raise NoRouteError(f"no standardised difference is computed from a {data.statistic} statistic")


def _t_of_p(data: rec.Test, df: float, sign: float, choices: RouteChoices) -> _T:
    text = data.p if data.p is not None else None if data.value is None else f"{data.value:g}"
    p, relation = printed_p(text)
    found = t_from_p(p, df, sign=sign)
    notes: tuple[str, ...] = ()
    if relation != "=":
        size = abs(float(found)) * math.sqrt(
            np.sum(1.0 / np.array([data.n_music, data.n_control], dtype=float))
        )
        word = "at least" if relation == "<" else "at most"
        if relation == ">" or not choices.bounds:
            raise NoRouteError(
                f"P {str(text).strip()} bounds the effect and does not give it: standardised difference "
                f"{word} {size:.2f} in size" + ("; bounds: true takes the limit" if relation == "<" else "")
            )
        notes = (f"P {str(text).strip()} is a bound: the effect is at least this large",)
    minus = "−" if sign < 0 else ""
    step = Step("t with this two-sided P", "t", f"{minus}t(1 − p / 2; n1 + n2 − 2)")
    name = "printed P (two-sided t test) and arm sizes" + (", as a bound" if notes else "")
    return float(found), name, (Given("p", p, "P value"),), (step,), (cast(str, found.route),), notes
