"""One arm's size, mean and SD from whatever was printed for it, by the functions of ``effects.recover``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mtmeta.effects.printed import Given, NoRouteError, RouteChoices, Step
from mtmeta.effects.recover import (
    Recovered,
    combine_groups,
    mean_sd_from_quantiles,
    pre_post_correlation,
    sd_from_interval,
    sd_from_p,
    sd_from_se,
    sd_of_change,
)
from mtmeta.records import schema as rec

__all__ = ["ArmNumbers", "arm_of", "combined", "correlation_of", "pooled_from_p", "printed_p", "size_of"]

_HANDBOOK = "Cochrane Handbook 6, {}"


@dataclass(frozen=True, slots=True)
class ArmNumbers:
    """Size, mean and SD of one arm, with the way there.

    `i` marks the arm's symbols: ``m1``, ``sd1``, ``n1``. `sd` is NaN where none was printed and none
    follows from the arm alone.
    """

    i: str
    role: str
    n: float
    mean: float
    sd: float
    given: tuple[Given, ...] = ()
    steps: tuple[Step, ...] = ()
    told: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def size_of(n: int | None, role: str) -> float:
    """Return an arm's size, at least 2.

    Raises
    ------
    NoRouteError
        When it is not printed, or too small for a standard deviation.
    """
    if n is None:
        raise NoRouteError(f"the number of participants of the {role} arm is not printed")
    if n < 2:
        people = "participant" if n == 1 else "participants"
        raise NoRouteError(f"the {role} arm has {n} {people}; a standard deviation needs two")
    return float(n)


def _told(what: str, found: Recovered) -> str:
    return f"{what}: {found.route}"


def arm_of(
    values: rec.MeanSD | rec.GroupQuartiles | rec.ArmValues,
    n: int | None,
    role: str,
    i: str,
    choices: RouteChoices,
    *,
    what: str = "mean",
) -> ArmNumbers:
    """Return the numbers of one arm at one time.

    Parameters
    ----------
    values : MeanSD, GroupQuartiles or ArmValues
        What was printed.
    n : int or None
    role : str
        Arm in words, such as ``music``.
    i : str
        Mark of its symbols.
    choices : RouteChoices
    what : str
        What its mean is a mean of, in words.

    Raises
    ------
    NoRouteError
        When size or mean are not printed.
    """
    size = size_of(n, role)
    people = Given(f"n{i}", size, f"participants, {role}")
    mean = getattr(values, "mean", None)
    if mean is None and getattr(values, "median", None) is not None:
        return _of_quantiles(values, size, role, i, choices)
    if mean is None:
        raise NoRouteError(f"the {what} of the {role} arm is not printed")
    base = ArmNumbers(i, role, size, mean, math.nan, (Given(f"m{i}", mean, f"{what}, {role}"), people))
    return _with_sd(base, values)


def _with_sd(arm: ArmNumbers, values: object) -> ArmNumbers:
    """Add the SD: printed, from the SE, or from a 95% interval with a quantile of t."""
    i, role = arm.i, arm.role
    sd, se = getattr(values, "sd", None), getattr(values, "se", None)
    low, high = getattr(values, "ci_low", None), getattr(values, "ci_high", None)
    if sd is not None:
        if not sd > 0:
            raise NoRouteError(f"the SD of the {role} arm is {sd:g}")
        return replace(arm, sd=sd, given=(*arm.given, Given(f"sd{i}", sd, f"SD, {role}")))
    if se is not None:
        found = sd_from_se(se, arm.n)
        step = Step(f"SD, {role}, from its SE", f"sd{i}", f"SE{i} × √n{i}", _HANDBOOK.format("6.5.2.2"))
        return _recovered(arm, found, [Given(f"SE{i}", se, f"standard error, {role}")], [step])
    if low is not None and high is not None:
        found = sd_from_interval(low, high, arm.n)
        steps = [
            Step("quantile of t", f"q{i}", f"t(0.975; n{i} − 1)"),
            Step(
                f"SD, {role}, from its 95% interval",
                f"sd{i}",
                f"(high{i} − low{i}) / (2 × q{i}) × √n{i}",
                _HANDBOOK.format("6.5.2.2"),
            ),
        ]
        limits = [
            Given(f"low{i}", low, f"lower limit, {role}"),
            Given(f"high{i}", high, f"upper limit, {role}"),
        ]
        return _recovered(arm, found, limits, steps)
    return arm


def _recovered(
    arm: ArmNumbers, found: Recovered, given: Sequence[Given], steps: Sequence[Step]
) -> ArmNumbers:
    return replace(
        arm,
        sd=float(found),
        given=(*arm.given, *given),
        steps=(*arm.steps, *steps),
        told=(*arm.told, _told(arm.role, found)),
    )


# ---- medians ------------------------------------------------------------------------------


def _of_quantiles(values: object, size: float, role: str, i: str, choices: RouteChoices) -> ArmNumbers:
    named = {
        "median": ("md", getattr(values, "median", None)),
        "q1": ("qa", getattr(values, "q1", None)),
        "q3": ("qb", getattr(values, "q3", None)),
        "minimum": ("lo", getattr(values, "min", None)),
        "maximum": ("hi", getattr(values, "max", None)),
    }
    known = {name: value for name, (_, value) in named.items() if value is not None}
    for pair in (("q1", "q3"), ("minimum", "maximum")):
        if sum(name in known for name in pair) == 1:
            known = {name: value for name, value in known.items() if name not in pair}
    median = known.pop("median", None)
    if median is None or not known:
        raise NoRouteError(f"the quartiles (or the range) of the {role} arm are not printed in full")
    found = mean_sd_from_quantiles(median, size, method=choices.quantiles, **known)
    words = {
        "median": "median",
        "q1": "lower quartile",
        "q3": "upper quartile",
        "minimum": "minimum",
        "maximum": "maximum",
    }
    given = [
        Given(f"{named[name][0]}{i}", value, f"{words[name]}, {role}")
        for name, value in {"median": median, **known}.items()
    ]
    mean, sd = float(found.mean), float(found.sd)
    steps = _quantile_steps(i, role, frozenset(known), choices.quantiles)
    if not steps:  # fitted by a search: no formula leads there
        given += [Given(f"m{i}", mean, f"fitted mean, {role}"), Given(f"sd{i}", sd, f"fitted SD, {role}")]
    return ArmNumbers(
        i,
        role,
        size,
        mean,
        sd,
        (Given(f"n{i}", size, f"participants, {role}"), *given),
        steps,
        (_told(role, found.mean), _told(role, found.sd)),
        (
            "mean and SD are estimated from quantiles, as if values were normally distributed"
            if steps
            else "mean and SD are estimated from quantiles",
        ),
    )


_WAN, _LUO, _SHI = "Wan et al. 2014, {}", "Luo et al. 2018, {}", "Shi et al. 2020, eq. 10"


def _quantile_steps(i: str, role: str, known: frozenset[str], method: str) -> tuple[Step, ...]:
    """Spell out the closed formulas of Luo, Wan and Shi; none for the fits QE and BC."""
    if method not in ("Luo", "Wan"):
        return ()
    both, quartiles = len(known) == 4, "q1" in known
    if method == "Luo":
        steps = _luo_mean(i, both=both, quartiles=quartiles)
    elif both:
        steps = [("", f"m{i}", f"(lo{i} + 2 × qa{i} + 2 × md{i} + 2 × qb{i} + hi{i}) / 8", "eq. 10")]
    elif quartiles:
        steps = [("", f"m{i}", f"(qa{i} + md{i} + qb{i}) / 3", "eq. 14")]
    else:
        steps = [("", f"m{i}", f"(lo{i} + 2 × md{i} + hi{i}) / 4", "eq. 2")]
    steps += _wan_sd(i, both=both, quartiles=quartiles, shi=method == "Luo")
    last = {f"m{i}": f"mean, {role}, from quantiles", f"sd{i}": f"SD, {role}, from quantiles"}
    cited = _LUO if method == "Luo" else _WAN
    return tuple(
        Step(
            last.get(symbol, title),
            symbol,
            formula,
            "" if not where else where if " " in where and "et al." in where else cited.format(where),
        )
        for title, symbol, formula, where in steps
    )


def _luo_mean(i: str, *, both: bool, quartiles: bool) -> list[tuple[str, str, str, str]]:
    if both:
        mean = f"wa{i} × (lo{i} + hi{i}) / 2 + wb{i} × (qa{i} + qb{i}) / 2 + (1 − wa{i} − wb{i}) × md{i}"
        return [
            ("weight of the range", f"wa{i}", f"2.2 / (2.2 + n{i}^0.75)", ""),
            ("weight of the quartiles", f"wb{i}", f"0.7 − 0.72 / n{i}^0.55", ""),
            ("", f"m{i}", mean, "eq. 15"),
        ]
    if quartiles:
        return [
            ("weight of the quartiles", f"wa{i}", f"0.7 + 0.39 / n{i}", ""),
            ("", f"m{i}", f"wa{i} × (qa{i} + qb{i}) / 2 + (1 − wa{i}) × md{i}", "eq. 11"),
        ]
    return [
        ("weight of the range", f"wa{i}", f"4 / (4 + n{i}^0.75)", ""),
        ("", f"m{i}", f"wa{i} × (lo{i} + hi{i}) / 2 + (1 − wa{i}) × md{i}", "eq. 7"),
    ]


def _wan_sd(i: str, *, both: bool, quartiles: bool, shi: bool) -> list[tuple[str, str, str, str]]:
    of_range = ("normal quantile of the range", f"za{i}", f"z((n{i} − 0.375) / (n{i} + 0.25))", "")
    of_quartiles = (
        "normal quantile of the quartiles",
        f"zb{i}",
        f"z((0.75 × n{i} − 0.125) / (n{i} + 0.25))",
        "",
    )
    if both:
        first = f"((2 + 0.14 × n{i}^0.6) × za{i})" if shi else f"(4 × za{i})"
        second = f"((2 + 2 / (0.07 × n{i}^0.6)) × zb{i})" if shi else f"(4 × zb{i})"
        sd = f"(hi{i} − lo{i}) / {first} + (qb{i} − qa{i}) / {second}"
        return [of_range, of_quartiles, ("", f"sd{i}", sd, _SHI if shi else _WAN.format("eq. 13"))]
    if quartiles:
        sd = f"(qb{i} − qa{i}) / (2 × zb{i})"
        return [of_quartiles, ("", f"sd{i}", sd, _WAN.format("eq. 16"))]
    return [of_range, ("", f"sd{i}", f"(hi{i} − lo{i}) / (2 × za{i})", _WAN.format("eq. 9"))]


# ---- changes ------------------------------------------------------------------------------


def correlation_of(
    group: rec.GroupChanges, other: rec.GroupChanges, choices: RouteChoices
) -> tuple[float, tuple[float, float], str]:
    """Return the correlation of baseline and final values, its range, and where it comes from.

    In this order: printed for the arm; recovered from the three SDs of the other arm; a range declared
    in the record; the analysis' own.

    Raises
    ------
    NoRouteError
        When nobody tells it.
    """
    if group.r is not None:
        return group.r, (group.r, group.r), "printed"
    sds = [None if part is None else part.sd for part in (other.baseline, other.final, other.change)]
    if None not in sds:
        found = pre_post_correlation(*sds)  # type: ignore[arg-type]
        return float(found), (float(found), float(found)), f"of the other arm, {found.route}"
    if other.r is not None:
        return other.r, (other.r, other.r), "printed for the other arm"
    return assumed_correlation(group.r_range, choices)


def assumed_correlation(
    declared: tuple[float, float] | None, choices: RouteChoices
) -> tuple[float, tuple[float, float], str]:
    """Return a correlation that nobody printed: the record's declared range, else the analysis' own.

    Raises
    ------
    NoRouteError
        When neither is there.
    """
    if declared is not None:
        return sum(declared) / 2.0, declared, f"assumed, declared {declared[0]:g} to {declared[1]:g}"
    if isinstance(choices.r, tuple):
        low, high = choices.r
        return (low + high) / 2.0, choices.r, f"assumed by the analysis, {low:g} to {high:g}"
    if choices.r is not None:
        return choices.r, (choices.r, choices.r), "assumed by the analysis"
    raise NoRouteError(
        "no correlation of the two measurements is printed and none follows from SDs; declare r_range in "
        "the record or r in the analysis"
    )


def change_arm(
    group: rec.GroupChanges, other: rec.GroupChanges, role: str, i: str, choices: RouteChoices
) -> ArmNumbers:
    """Return the numbers of one arm's change, where needed from baseline and final values.

    Raises
    ------
    NoRouteError
        When size or mean change are not printed and do not follow.
    """
    size = size_of(group.n, role)
    given: list[Given] = []
    steps: list[Step] = []
    told: list[str] = []
    before, after = group.baseline, group.final
    mean = group.change.mean
    if mean is None:
        if before is None or after is None or before.mean is None or after.mean is None:
            raise NoRouteError(f"the mean change of the {role} arm is not printed")
        mean = after.mean - before.mean
        given += [
            Given(f"before{i}", before.mean, f"baseline mean, {role}"),
            Given(f"after{i}", after.mean, f"final mean, {role}"),
        ]
        steps.append(Step(f"mean change, {role}", f"m{i}", f"after{i} − before{i}"))
        told.append(f"{role}: mean change {after.mean:g} − {before.mean:g} = {mean:g}")
    else:
        given.append(Given(f"m{i}", mean, f"mean change, {role}"))
    given.append(Given(f"n{i}", size, f"participants, {role}"))
    arm = _with_sd(
        ArmNumbers(i, role, size, mean, math.nan, tuple(given), tuple(steps), tuple(told)), group.change
    )
    if not math.isnan(arm.sd) or before is None or after is None or before.sd is None or after.sd is None:
        return arm
    r, band, whence = correlation_of(group, other, choices)
    found = sd_of_change(before.sd, after.sd, r)
    step = Step(
        f"SD of the change, {role}",
        f"sd{i}",
        f"√(sdb{i}² + sda{i}² − 2 × r{i} × sdb{i} × sda{i})",
        _HANDBOOK.format("6.5.2.8"),
    )
    numbers = [
        Given(f"sdb{i}", before.sd, f"baseline SD, {role}"),
        Given(f"sda{i}", after.sd, f"final SD, {role}"),
        Given(f"r{i}", r, f"correlation of baseline and final values, {role} ({whence})"),
    ]
    arm = _recovered(arm, found, numbers, [step])
    notes = [f"{role}: r {r:.3g}, {whence}"] if whence != "printed" else []
    if band[0] < band[1]:
        ends = sorted(float(sd_of_change(before.sd, after.sd, end)) for end in band)
        notes.append(
            f"{role}: the SD of the change lies between {ends[0]:.3g} and {ends[1]:.3g} over that range"
        )
    return replace(arm, notes=(*arm.notes, *notes))


# ---- an SD for both arms from the P value of their comparison -----------------------------

_P = re.compile(r"^[pP]?\s*([<>=≤≥]?)\s*(=?)\s*(0?\.\d+|[01](?:\.0*)?)$")


def printed_p(text: str | None) -> tuple[float, str]:
    """Return a printed P value and its relation: ``=``, ``<`` or ``>``.

    Raises
    ------
    NoRouteError
        For text that is no P value, and for one that was rounded to 0 or 1.
    """
    if text is None:
        raise NoRouteError("no P value is printed")
    match = _P.match(text.strip().replace(",", "."))
    if match is None:
        raise NoRouteError(f"P {text!r} is no number")
    p = float(match[3])
    sign = {"": "=", "=": "=", "<": "<", "≤": "<", ">": ">", "≥": ">"}[match[1]]
    if not 0.0 < p < 1.0:
        raise NoRouteError(f"P = {text} is rounded to {p:g}, from which no statistic follows")
    return p, sign


def pooled_from_p(
    music: ArmNumbers, control: ArmNumbers, text: str | None, choices: RouteChoices
) -> tuple[ArmNumbers, ArmNumbers]:
    """Give both arms the SD that makes the P value of their t test the printed one.

    Raises
    ------
    NoRouteError
        When no exact P value is printed, or only a bound that the analysis does not take.
    """
    if text is None:
        raise NoRouteError(f"no SD, SE or interval is printed for the {_lacking(music, control)} arm")
    if not (math.isnan(music.sd) and math.isnan(control.sd)):
        raise NoRouteError(f"no SD, SE or interval is printed for the {_lacking(music, control)} arm")
    difference = music.mean - control.mean
    if difference == 0:
        raise NoRouteError("no SD is printed, and means that are equal say nothing of it, whatever their P")
    p, relation = printed_p(text)
    found = sd_from_p(difference, p, music.n, control.n, relation=relation)  # type: ignore[arg-type]
    if relation == ">" or (relation == "<" and not choices.bounds):
        word = "at most" if relation == "<" else "at least"
        other = "at least" if relation == "<" else "at most"
        size = abs(difference) / float(found)
        raise NoRouteError(
            f"no SD is printed and P {text.strip()} only bounds it: SD {word} {float(found):.3g}, "
            f"standardised difference {other} {size:.2f} in size"
            + ("; bounds: true takes the limit" if relation == "<" else "")
        )
    i, k = music.i, control.i
    size1, size2 = f"n{i}", f"n{k}"
    steps = (
        Step("size of t that has this P value", "tp", f"t(1 − p / 2; {size1} + {size2} − 2)"),
        Step(
            "pooled SD behind that t",
            f"sd{i}",
            f"|m{i} − m{k}| / tp / √(1 / {size1} + 1 / {size2})",
            _HANDBOOK.format("6.5.2.3"),
        ),
        Step("the same SD in the other arm", f"sd{k}", f"sd{i}"),
    )
    sd = float(found)
    notes = ["the SD is the one that a t test of these two means needs for the printed P value"]
    if relation == "<":
        notes.append(f"P {text.strip()} is a bound: the effect is at least this large")
    given = (*music.given, Given("p", p, "P value"))
    told = (*music.told, _told("both arms", found))
    return (
        replace(music, sd=sd, given=given, steps=music.steps, told=told, notes=(*music.notes, *notes)),
        replace(control, sd=sd, steps=(*control.steps, *steps)),
    )


def _lacking(music: ArmNumbers, control: ArmNumbers) -> str:
    return "music" if math.isnan(music.sd) else "control"


# ---- several arms as one ------------------------------------------------------------------


def combined(arms: Sequence[ArmNumbers], i: str, role: str) -> ArmNumbers:
    """Take arms together as one group: what all their people would have given."""
    if len(arms) == 1:
        return arms[0]
    found = combine_groups([a.mean for a in arms], [a.sd for a in arms], [a.n for a in arms])
    marks = [a.i for a in arms]
    total = " + ".join(f"n{k}" for k in marks)
    mean = " + ".join(f"n{k} × m{k}" for k in marks)
    within = " + ".join(f"(n{k} − 1) × sd{k}²" for k in marks)
    between = " + ".join(f"n{k} × (m{k} − m{i})²" for k in marks)
    table = _HANDBOOK.format("table 6.5.a")
    steps = (
        Step(f"participants, {role} arms together", f"n{i}", total),
        Step(f"mean, {role} arms together", f"m{i}", f"({mean}) / n{i}", table),
        Step(f"SD, {role} arms together", f"sd{i}", f"√(({within} + {between}) / (n{i} − 1))", table),
    )
    return ArmNumbers(
        i,
        role,
        float(found.n),
        float(found.mean),
        float(found.sd),
        tuple(g for a in arms for g in a.given),
        (*(s for a in arms for s in a.steps), *steps),
        (*(t for a in arms for t in a.told), f"{_told(role, found.mean)} and the SD {float(found.sd):.6g}"),
        tuple(dict.fromkeys(n for a in arms for n in a.notes)),
    )
