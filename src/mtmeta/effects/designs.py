"""Trials that are not two parallel groups of people: several arms, the same people twice, clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mtmeta.effects.continuous import hedges_correction
from mtmeta.effects.printed import Given, NoRouteError, Printed, RouteChoices, Shared, Step
from mtmeta.effects.recover import pre_post_correlation, sd_from_p, sd_of_change
from mtmeta.effects.select import Row
from mtmeta.effects.spread import ArmNumbers, arm_of, assumed_correlation, combined, printed_p, size_of
from mtmeta.records import schema as rec

__all__ = [
    "Cells",
    "Contrast",
    "contrasts_of",
    "events_of",
    "paired_contrast",
    "rule_of",
    "shared_smd",
    "with_clusters",
]

_HANDBOOK = "Cochrane Handbook 6, {}"

# ---- several arms -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two groups to compare, and how they were made of a trial's arms."""

    music: ArmNumbers
    control: ArmNumbers
    told: str = ""
    block: tuple[ArmNumbers, ...] = ()
    """All arms of the row, where its contrasts share some of them."""


def roles_of(data: rec.Arms) -> tuple[list[rec.ArmValues], list[rec.ArmValues]]:
    """Return the music arms and the control arms.

    Raises
    ------
    NoRouteError
        When there is none of one kind.
    """
    music = [a for a in data.arms if a.role == "music"]
    control = [a for a in data.arms if a.role == "control"]
    if not music or not control:
        raise NoRouteError("the record names no music arm or no control arm among the arms")
    return music, control


def _marks(count: int, i: str) -> list[str]:
    return [i] if count == 1 else [f"{i}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"[:count]]


def _role(name: str, side: str) -> str:
    """Name an arm in a message: with its side, where the name does not tell."""
    return name if name == side else f"{name} ({side})"


def rule_of(data: rec.Arms, choices: RouteChoices) -> str:
    """Return what becomes of several arms: the analysis' word, the record's, else "combine"."""
    return choices.arms or data.rule or "combine"


def contrasts_of(data: rec.Arms, choices: RouteChoices) -> list[Contrast]:
    """Return the contrasts of means that the arms of a row give under the rule for them.

    Raises
    ------
    NoRouteError
        When an arm lacks size, mean or SD.
    """
    arms, controls = roles_of(data)
    what = "mean change" if data.form == "changes" else "mean"
    music, control = (
        [
            arm_of(a, a.n, _role(a.name, "music" if i == "1" else "control"), mark, choices, what=what)
            for a, mark in zip(group, _marks(len(group), i), strict=True)
        ]
        for group, i in ((arms, "1"), (controls, "2"))
    )
    for arm in (*music, *control):
        if math.isnan(arm.sd):
            raise NoRouteError(f"no SD, SE or interval is printed for the arm {arm.role}")
    if len(music) == len(control) == 1:
        return [Contrast(music[0], control[0])]
    rule = rule_of(data, choices)
    if rule == "combine":
        return [Contrast(combined(music, "1", "music"), combined(control, "2", "control"), "arms combined")]
    everybody = (*music, *control)
    if rule == "separate":
        return [
            Contrast(m, c, f"{m.role} against {c.role}, whose rows share arms", everybody)
            for m in music
            for c in control
        ]
    return [
        Contrast(
            _share(m, len(control)),
            _share(c, len(music)),
            f"{m.role} against {c.role}, people of shared arms divided among their rows",
        )
        for m in music
        for c in control
    ]


def _share(arm: ArmNumbers, rows: int) -> ArmNumbers:
    """Divide an arm's people among the rows that it stands in (Cochrane Handbook 6, 23.3.4)."""
    if rows == 1:
        return arm
    n = arm.n / rows
    if n < 2:
        raise NoRouteError(f"the arm {arm.role} has too few people to be divided among {rows} rows")
    mark = f"{arm.i}s"
    people = Step(
        f"people of {arm.role} for this row", f"n{mark}", f"n{arm.i} / {rows}", _HANDBOOK.format("23.3.4")
    )
    same = [
        Step(f"{what}, as printed", f"{s}{mark}", f"{s}{arm.i}") for s, what in (("m", "mean"), ("sd", "SD"))
    ]
    return replace(arm, i=mark, n=n, steps=(*arm.steps, people, *same))


class Cells(NamedTuple):
    """A 2×2 table as a calculator takes it, and how it was made of a trial's arms."""

    raw: dict[str, float]
    told: str
    given: tuple[Given, ...]
    steps: tuple[Step, ...]
    names: dict[str, str]
    shared: Shared | None


def events_of(data: rec.Arms, choices: RouteChoices) -> list[Cells]:
    """Return the 2×2 tables that the arms of a row give under the rule for them."""
    arms, controls = roles_of(data)
    for arm in (*arms, *controls):
        if arm.events is None or arm.n is None:
            raise NoRouteError(
                f"{'events' if arm.events is None else 'n'} of the arm {arm.name!r} is not printed"
            )
    rule = rule_of(data, choices)
    if len(arms) == len(controls) == 1 or rule == "combine":
        return [_together(arms, controls)]
    found = []
    for j, m in enumerate(arms):
        for k, c in enumerate(controls):
            marks = _marks(len(arms), "1")[j], _marks(len(controls), "2")[k]
            found.append(_pair(m, c, marks, (len(controls), len(arms)), split=rule == "split control"))
    return found


def _cell_givens(arm: rec.ArmValues, letter: str, mark: str) -> tuple[Given, Given]:
    return (
        Given(f"{letter}{mark}", float(arm.events or 0), f"events, {arm.name}"),
        Given(f"n{mark}", float(arm.n or 0), f"participants, {arm.name}"),
    )


def _together(arms: Sequence[rec.ArmValues], controls: Sequence[rec.ArmValues]) -> Cells:
    raw: dict[str, float] = {}
    given: list[Given] = []
    steps: list[Step] = []
    for group, i, letter, role in ((arms, "1", "a", "music"), (controls, "2", "c", "control")):
        marks = _marks(len(group), i)
        one = len(group) == 1
        for arm, mark in zip(group, marks, strict=True):
            events, people = _cell_givens(arm, letter, "" if one else mark[1:])
            given += [events, replace(people, symbol=f"n{mark}")]
        raw[letter] = float(sum(a.events or 0 for a in group))
        raw[f"n{i}"] = float(sum(a.n or 0 for a in group))
        if not one:
            steps += [
                Step(f"events, {role} arms together", letter, " + ".join(f"{letter}{m[1:]}" for m in marks)),
                Step(f"participants, {role} arms together", f"n{i}", " + ".join(f"n{m}" for m in marks)),
            ]
    told = "arms combined" if steps else ""
    return Cells(raw, told, tuple(given), tuple(steps), {}, None)


def _pair(
    m: rec.ArmValues, c: rec.ArmValues, marks: tuple[str, str], rows: tuple[int, int], *, split: bool
) -> Cells:
    given: list[Given] = []
    steps: list[Step] = []
    raw: dict[str, float] = {}
    names: dict[str, str] = {}
    for arm, mark, letter, i, share in ((m, marks[0], "a", "1", rows[0]), (c, marks[1], "c", "2", rows[1])):
        own = f"{letter}{mark[1:]}"
        events, people = _cell_givens(arm, letter, mark[1:])
        given += [events, replace(people, symbol=f"n{mark}")]
        parts = share if split else 1
        raw[letter], raw[f"n{i}"] = float(arm.events or 0) / parts, float(arm.n or 0) / parts
        names[letter], names[f"n{i}"] = own, f"n{mark}"
        if parts > 1:
            names[letter], names[f"n{i}"] = f"{own}s", f"n{mark}s"
            where = _HANDBOOK.format("23.3.4")
            steps += [
                Step(f"events of {arm.name} for this row", f"{own}s", f"{own} / {parts}", where),
                Step(f"people of {arm.name} for this row", f"n{mark}s", f"n{mark} / {parts}", where),
            ]
    names = {name: symbol for name, symbol in names.items() if name != symbol}
    told = f"{m.name} against {c.name}, " + (
        "people of shared arms divided among their rows" if split else "whose rows share arms"
    )
    shared = None if split else Shared("", m.name, c.name, math.nan, math.nan)
    return Cells(raw, told, tuple(given), tuple(steps), names, shared)


def shared_smd(contrast: Contrast, name: str, route: str) -> Printed:
    """Return an SMD by the SD of all arms of the trial, so that rows that share an arm have a covariance.

    Gleser and Olkin (2009, in Cooper, Hedges and Valentine, Handbook of Research Synthesis, 2nd ed.,
    eqs. 19.17 to 19.19).
    """
    block = contrast.block
    total = sum(a.n for a in block)
    df = total - len(block)
    sd = math.sqrt(sum((a.n - 1.0) * a.sd**2 for a in block) / df)
    j = float(hedges_correction(df))
    m, c = contrast.music, contrast.control
    g = j * (m.mean - c.mean) / sd
    v1, v2 = 1.0 / m.n, 1.0 / c.n
    sizes = " + ".join(f"n{a.i}" for a in block)
    squares = " + ".join(f"(n{a.i} − 1) × sd{a.i}²" for a in block)
    cited = "Gleser & Olkin 2009"
    steps = (
        Step("participants of all arms", "N", sizes),
        Step("SD of all arms, pooled", "sp", f"√(({squares}) / (N − {len(block)}))", cited),
        Step("small-sample factor", "J", f"J(N − {len(block)})"),
        Step("Hedges' g", "y", f"J × (m{m.i} − m{c.i}) / sp", cited),
        Step("its standard error", "SE", f"√(1 / n{m.i} + 1 / n{c.i} + y² / (2 × N))", cited),
    )
    return Printed(
        name=name,
        route=route,
        effect=(g, math.sqrt(v1 + v2 + g * g / (2.0 * total))),
        n1=m.n,
        n2=c.n,
        n=m.n + c.n,
        standardiser="SD of all arms, pooled",
        given=tuple(g for a in block for g in a.given),
        steps=(*(s for a in block for s in a.steps), *steps),
        shared=Shared("", m.role, c.role, v1, v2, total),
    )


# ---- crossover ----------------------------------------------------------------------------


def paired_contrast(data: rec.Paired, measure: str, choices: RouteChoices, needs: str) -> Printed:
    """Compare two measurements of the same people (Cochrane Handbook 6, 23.2.7).

    Parameters
    ----------
    data : Paired
    measure : str
    choices : RouteChoices
    needs : str
        Columns of the measure's calculator.

    Raises
    ------
    NoRouteError
        When neither the spread of the differences nor the correlation is told.
    """
    n = size_of(data.n, "only")
    if measure == "MD":
        return _paired_md(data, n, choices)
    if measure != "SMD" and needs != "m1 m2 sd1 sd2 n r":
        raise NoRouteError(f"paired (crossover) means are printed, from which no {measure} is computed")
    music, control = _periods(data, choices)
    r, band, whence = _paired_r(data, n, music.sd, control.sd, choices)
    given = (*_both(music, control), Given("r", r, f"correlation of both measurements ({whence})"))
    told = [f"r {r:.3g}, {whence}"]
    notes = () if whence == "printed" else (f"r {r:.3g}, {whence}",)
    if measure != "SMD":
        raw = {"m1": music.mean, "m2": control.mean, "sd1": music.sd, "sd2": control.sd, "n": n, "r": r}
        name = "means and SDs of both periods and their correlation"
        return Printed(
            name,
            "; ".join([name, *told]),
            raw=raw,
            n=n,
            given=given,
            steps=(*music.steps, *control.steps),
            notes=notes,
        )
    return _paired_smd(music, control, n, (r, band), told, notes, given)


def _paired_smd(
    music: ArmNumbers,
    control: ArmNumbers,
    n: float,
    correlation: tuple[float, tuple[float, float]],
    told: list[str],
    notes: tuple[str, ...],
    given: tuple[Given, ...],
) -> Printed:
    """Divide by the SD of people, both periods pooled (Handbook 23.2.7.2; Elbourne 2002)."""
    r, band = correlation
    if r >= 1:
        raise NoRouteError("a correlation of 1 leaves no spread of the differences")
    sd = math.sqrt((music.sd**2 + control.sd**2) / 2.0)
    d = (music.mean - control.mean) / sd

    def se(at: float) -> float:
        return math.sqrt((1.0 / n + d * d / (2.0 * n)) * 2.0 * (1.0 - at))

    where = _HANDBOOK.format("23.2.7.2")
    steps = (
        Step("SD of people, both periods pooled", "sp", "√((sd1² + sd2²) / 2)", where),
        Step("standardised mean difference", "y", "(m1 − m2) / sp", where),
        Step("its standard error", "SE", "√(1 / n + y² / (2 × n)) × √(2 × (1 − r))", where),
    )
    if band[0] < band[1]:
        notes = (
            *notes,
            f"the standard error lies between {se(band[1]):.3g} and {se(band[0]):.3g} over that range",
        )
    name = "means and SDs of both periods and their correlation"
    return Printed(
        name=name,
        route="; ".join([name, "no small-sample correction, as in the Cochrane Handbook 23.2.7", *told]),
        effect=(d, se(r)),
        n=n,
        standardiser="SD of people, both periods pooled",
        notes=notes,
        given=given,
        steps=(*music.steps, *control.steps, *steps),
    )


def _periods(data: rec.Paired, choices: RouteChoices) -> tuple[ArmNumbers, ArmNumbers]:
    music = arm_of(data.music, data.n, "music", "1", choices)
    control = arm_of(data.control, data.n, "control", "2", choices)
    for arm in (music, control):
        if math.isnan(arm.sd):
            raise NoRouteError(
                f"paired (crossover) means are printed without the SD of the {arm.role} period, so that no "
                "standardised difference follows"
            )
    return music, control


def _both(music: ArmNumbers, control: ArmNumbers) -> tuple[Given, ...]:
    """Givens of both periods, whose people are the same."""
    people = Given("n", music.n, "participants, each measured with music and with control")
    same = [Given("n1", music.n, "participants, music"), Given("n2", control.n, "participants, control")]
    others = [g for g in (*music.given, *control.given) if g.symbol not in ("n1", "n2")]
    needed = same if music.steps or control.steps else []
    return (*others, *needed, people)


def _difference(data: rec.Paired, n: float) -> tuple[float, list[Given], list[Step], list[str]]:
    """Return the SD of the paired differences, NaN where neither it nor what gives it is printed."""
    printed = data.difference
    if printed is not None:
        arm = arm_of(
            printed.model_copy(update={"mean": printed.mean or 0.0}),
            data.n,
            "paired difference",
            "d",
            RouteChoices(),
        )
        if not math.isnan(arm.sd):
            given = [g for g in arm.given if g.symbol != "md" and (g.symbol != "nd" or arm.steps)]
            return arm.sd, given, list(arm.steps), list(arm.told)
    mean = _mean_difference(data)
    if data.p is None or mean is None or mean == 0:
        return math.nan, [], [], []
    p, relation = printed_p(data.p)
    if relation != "=":
        return math.nan, [], [], []
    found = sd_from_p(mean, p, n)
    steps = [
        Step("size of t that has this P value", "tp", "t(1 − p / 2; n − 1)"),
        Step("SD of the differences behind that t", "sdd", "|y| / tp × √n", _HANDBOOK.format("23.2.7.1")),
    ]
    return float(found), [Given("p", p, "P value of the paired t test")], steps, [str(found.route)]


def _mean_difference(data: rec.Paired) -> float | None:
    if data.difference is not None and data.difference.mean is not None:
        return data.difference.mean
    if data.music.mean is None or data.control.mean is None:
        return None
    return data.music.mean - data.control.mean


def _paired_md(data: rec.Paired, n: float, choices: RouteChoices) -> Printed:
    mean = _mean_difference(data)
    if mean is None:
        raise NoRouteError("the mean of a period is not printed")
    people = Given("n", n, "participants, each measured with music and with control")
    if data.difference is not None and data.difference.mean is not None:
        given = [Given("e", mean, "mean paired difference"), people]
        steps = [Step("mean difference", "y", "e")]
    else:
        given = [
            Given("m1", data.music.mean or 0.0, "mean, music"),
            Given("m2", data.control.mean or 0.0, "mean, control"),
            people,
        ]
        steps = [Step("mean difference", "y", "m1 − m2")]
    sd, more, way, told = _difference(data, n)
    notes: tuple[str, ...] = ()
    name = "mean paired difference and its SD"
    if math.isnan(sd):
        music, control = _periods(data, choices)
        r, band, whence = _paired_r(data, n, music.sd, control.sd, choices)
        found = sd_of_change(music.sd, control.sd, r)
        sd, name = float(found), "means and SDs of both periods and their correlation"
        told = [str(found.route), f"r {r:.3g}, {whence}"]
        have = {g.symbol for g in given}
        more = [g for g in _both(music, control) if g.symbol not in have]
        more.append(Given("r", r, f"correlation of both measurements ({whence})"))
        spread = "√(sd1² + sd2² − 2 × r × sd1 × sd2)"
        way = [
            *music.steps,
            *control.steps,
            Step("SD of the differences", "sdd", spread, _HANDBOOK.format("23.2.7.1")),
        ]
        notes = () if whence == "printed" else (f"r {r:.3g}, {whence}",)
        if band[0] < band[1]:
            ends = sorted(float(sd_of_change(music.sd, control.sd, end)) / math.sqrt(n) for end in band)
            notes = (
                *notes,
                f"the standard error lies between {ends[0]:.3g} and {ends[1]:.3g} over that range",
            )
    return Printed(
        name=name,
        route="; ".join([name, *told]),
        effect=(mean, sd / math.sqrt(n)),
        n=n,
        notes=notes,
        given=(*given, *more),
        steps=(*steps, *way, Step("standard error", "SE", "sdd / √n", _HANDBOOK.format("23.2.7.1"))),
    )


def _paired_r(
    data: rec.Paired, n: float, sd1: float, sd2: float, choices: RouteChoices
) -> tuple[float, tuple[float, float], str]:
    if data.r is not None:
        return data.r, (data.r, data.r), "printed"
    sd = _difference(data, n)[0]
    if not math.isnan(sd):
        found = pre_post_correlation(sd1, sd2, sd)
        return float(found), (float(found), float(found)), str(found.route)
    return assumed_correlation(data.r_range, choices)


# ---- clusters -----------------------------------------------------------------------------

_ARM_LEVEL = frozenset({"means", "changes", "events", "rates", "quartiles", "arms", "correlation", "paired"})
_SIZES = ("n1", "n2", "n", "a", "c", "x1", "x2", "t1", "t2")
_DIVIDED = {"a": "events", "c": "events", "x1": "events", "x2": "events", "t1": "time", "t2": "time"}


def with_clusters(printed: Printed, row: Row) -> Printed:
    """Divide sizes by the design effect of a cluster trial, once, where the print does not allow for it.

    The design effect is the one printed for the row, else ``1 + (M − 1) × ICC`` from the trial's mean
    cluster size and ICC (Cochrane Handbook 5.1, 16.3.4 and 16.3.6). Sizes of arms are taken as people unless
    the record says that they are effective ones; an effect or a test that the source computed is left as it
    is unless the record says that it does not allow for clusters.
    """
    outcome, design = row.outcome, row.study.design
    known = outcome.design_effect is not None or (
        design.icc is not None and design.mean_cluster_size is not None
    )
    if design.unit != "cluster" and outcome.design_effect is None:
        return printed
    if outcome.clusters == "allowed for":
        return replace(printed, route=f"{printed.route}; clusters allowed for by the source")
    if outcome.clusters is None and outcome.data.kind not in _ARM_LEVEL:
        note = "cluster trial: whether the printed result allows for clusters is not told"
        return replace(printed, notes=(*printed.notes, note))
    if not known:
        note = "cluster trial without ICC or design effect: people count as independent; it weighs too much"
        return replace(printed, notes=(*printed.notes, note))
    factor, given, steps = _design_effect(row)
    return _inflated(printed, factor, given, steps)


def _design_effect(row: Row) -> tuple[float, tuple[Given, ...], tuple[Step, ...]]:
    outcome, design = row.outcome, row.study.design
    if outcome.design_effect is not None:
        return outcome.design_effect, (Given("DE", outcome.design_effect, "design effect"),), ()
    icc, size = design.icc or 0.0, design.mean_cluster_size or 1.0
    given = (Given("ICC", icc, "correlation within clusters"), Given("M", size, "mean cluster size"))
    step = Step("design effect", "DE", "1 + (M − 1) × ICC", "Cochrane Handbook 5.1, 16.3.4")
    return 1.0 + (size - 1.0) * icc, given, (step,)


def _inflated(printed: Printed, factor: float, given: tuple[Given, ...], steps: tuple[Step, ...]) -> Printed:
    n1, n2, n = printed.n1 / factor, printed.n2 / factor, printed.n / factor
    if min(n1, n2) < 2:
        raise NoRouteError(f"a design effect of {factor:g} leaves a group of fewer than 2")
    route = f"{printed.route}; sizes divided by the design effect {factor:.4g} of clusters"
    given = (*printed.given, *given)
    if printed.effect is not None:
        value, se = printed.effect
        more = (
            *printed.steps,
            *steps,
            Step("standard error with clusters", "SEc", "SE × √DE", "Cochrane Handbook 5.1, 16.3.6"),
        )
        return replace(
            printed,
            route=route,
            effect=(value, se * math.sqrt(factor)),
            n1=n1, n2=n2, n=n,
            given=given, steps=more, names={**printed.names, "SE": "SEc"},
        )  # fmt: skip
    raw = {name: value / factor if name in _SIZES else value for name, value in printed.raw.items()}
    used = [name for name in _SIZES if name in printed.raw] if printed.raw else ["n1", "n2"]
    divided = tuple(
        Step(
            f"effective {_DIVIDED.get(name, 'size')}",
            f"{printed.names.get(name, name)}e",
            f"{printed.names.get(name, name)} / DE",
            "Cochrane Handbook 5.1, 16.3.4",
        )
        for name in used
    )
    names = {**printed.names, **{name: f"{printed.names.get(name, name)}e" for name in used}}
    return replace(
        printed,
        route=route, raw=raw, n1=n1, n2=n2, n=n,
        given=given, steps=(*printed.steps, *steps, *divided), names=names,
    )  # fmt: skip
