"""The rules by which GRADE ratings are proposed: each returns levels down and the numbers in a sentence.

What each rests on stands in ``docs/grade.md``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

from mtmeta.audit.anchors import Thresholds
from mtmeta.audit.information import information_size, information_size_events
from mtmeta.audit.run import participants
from mtmeta.diagnostics.selection import SelectionModel
from mtmeta.diagnostics.small_study import FEWEST, egger
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, measure_of
from mtmeta.models.words import p_text
from mtmeta.records.schema import NotAssessed, RoB1, RoB2, RobinsI

if TYPE_CHECKING:
    from mtmeta.audit.run import AnalysisRun
    from mtmeta.records.schema import RiskOfBias, Study

__all__ = [
    "bias_shares",
    "describe_mix",
    "overall_bias",
    "rate_bias",
    "rate_imprecision",
    "rate_inconsistency",
    "rate_publication_bias",
    "start_of",
]

_PI_FEWEST = 5
"""Fewest trials whose prediction interval is read (docs/grade.md)."""
_FAR_LESS = 0.3
"""Share of the optimal information size below which two levels are proposed (docs/grade.md)."""
_ALPHA = 0.10
"""For tests of heterogeneity and of asymmetry, which have little power."""


# ---- where rating starts --------------------------------------------------------------------------


def _shares(names: Iterable[str], weights: Iterable[float]) -> dict[str, float]:
    out: Counter[str] = Counter()
    for name, weight in zip(names, weights, strict=True):
        out[name] += float(weight)  # type: ignore[assignment]  # a Counter of floats adds all the same
    return dict(sorted(((k, float(v)) for k, v in out.items()), key=lambda kv: (-kv[1], kv[0])))


def start_of(
    studies: tuple[Study | None, ...], weights: Iterable[float]
) -> tuple[Literal["high", "low"], str]:
    """Return where rating begins, and why: low where non-randomised studies have most of the weight."""
    shares = _shares(["unclear" if s is None else s.design.allocation for s in studies], weights)
    told = _told(shares)
    if shares.get("non-randomised", 0.0) > 0.5:
        return "low", f"most of the weight comes from non-randomised studies (allocation by weight: {told})"
    if shares.get("unclear", 0.0) > 0.5:
        return "high", (
            "the records of most of the weight do not tell how people were allotted; rating begins as for "
            f"randomised trials, which a person should confirm (allocation by weight: {told})"
        )
    return "high", f"randomised trials begin high (allocation by weight: {told})"


# ---- risk of bias ---------------------------------------------------------------------------------

_ROB1_GROUPS: dict[str, tuple[str, ...]] = {
    "allocation": ("random_sequence", "allocation_concealment"),
    "blinding": (
        "blinding_participants",
        "blinding_outcome",
        "blinding_outcome_subjective",
        "blinding_outcome_objective",
    ),
    "incomplete outcome data": ("incomplete_outcome",),
    "selective reporting": ("selective_reporting",),
    "other": ("other",),
}
_ROB1_NEEDED = ("allocation", "blinding", "incomplete outcome data")
_RISK = {
    "low": "low",
    "unclear": "unclear",
    "some concerns": "unclear",
    "moderate": "unclear",
    "no information": "unclear",
    "high": "high",
    "serious": "high",
    "critical": "high",
}
_WORST = ("low", "unclear", "high")


def overall_bias(judged: RiskOfBias | None) -> tuple[str, tuple[str, ...]]:
    """Sum up one trial's risk of bias: the worst of its domains, as all three tools do.

    Parameters
    ----------
    judged : RoB1, RoB2, RobinsI, NotAssessed or None

    Returns
    -------
    level : {"low", "unclear", "high", "not assessed"}
        "unclear" also where the judgements held do not reach for "low": RoB 1 without allocation, blinding
        or incomplete outcome data.
    high : tuple of str
        Domains at high risk; those of RoB 1 about blinding count as one.

    Examples
    --------
    >>> from mtmeta.records.schema import RoB1
    >>> overall_bias(RoB1(tool="RoB 1", random_sequence="low", blinding_participants="high"))
    ('high', ('blinding',))
    >>> overall_bias(RoB1(tool="RoB 1", random_sequence="low"))
    ('unclear', ())
    """
    if judged is None or isinstance(judged, NotAssessed):
        return "not assessed", ()
    if isinstance(judged, RoB1):
        found = {
            group: [getattr(judged, name) for name in names if getattr(judged, name) is not None]
            for group, names in _ROB1_GROUPS.items()
        }
        high = tuple(group for group, values in found.items() if "high" in values)
        if not any(found.values()):
            return "not assessed", ()
        if high:
            return "high", high
        whole = all(found[group] for group in _ROB1_NEEDED)
        unclear = any("unclear" in values for values in found.values())
        return ("low" if whole and not unclear else "unclear"), ()
    return _overall_of_new_tools(judged)


def _overall_of_new_tools(judged: RoB2 | RobinsI) -> tuple[str, tuple[str, ...]]:
    names = [n for n in type(judged).model_fields if n not in ("tool", "judged_by", "note", "overall")]
    values = {name: _RISK[v] for name in names if (v := getattr(judged, name)) is not None}
    high = tuple(name.replace("_", " ") for name, value in values.items() if value == "high")
    if judged.overall is not None:
        return _RISK[judged.overall], high
    if not values:
        return "not assessed", ()
    worst = max(values.values(), key=_WORST.index)
    return ("unclear" if worst == "low" and len(values) < len(names) else worst), high


def bias_shares(studies: tuple[Study | None, ...], weights: Iterable[float]) -> dict[str, float]:
    """Return the share of the weight by risk of bias of the trial, between 0 and 1.

    Returns
    -------
    dict
        ``low``, ``unclear``, ``high``, ``not assessed``, which add up to 1; ``high twice`` for trials at high
        risk in two domains or more, ``blinding only`` for those at high risk by blinding alone, ``nothing
        known`` for those without any judgement whose allocation is not told either.
    """
    names = ("low", "unclear", "high", "not assessed", "high twice", "blinding only", "nothing known")
    out = dict.fromkeys(names, 0.0)
    for study, weight in zip(studies, weights, strict=True):
        level, high = overall_bias(None if study is None else study.risk_of_bias)
        out[level] += float(weight)
        out["high twice"] += float(weight) * (len(high) >= 2)
        out["blinding only"] += float(weight) * (high == ("blinding",))
        blank = level == "not assessed" and (study is None or study.design.allocation == "unclear")
        out["nothing known"] += float(weight) * blank
    return out


def rate_bias(studies: tuple[Study | None, ...], weights: Iterable[float]) -> tuple[int, str]:
    """Propose levels down for risk of bias, by shares of the weight.

    Two where at least half is at high risk in two domains or more, or where at least half has neither a
    judgement nor a known allocation; one where at least half is not known to be at low risk; else none.
    """
    share = bias_shares(studies, weights)
    told = ", ".join(
        f"{name} {_percent(share[name])}"
        for name in ("high", "unclear", "low", "not assessed")
        if share[name] > 0
    )
    why = f"Risk of bias by weight of the trials: {told}."
    if share["blinding only"] > 0:
        why += (
            f" {_percent(share['blinding only'])} is high by blinding alone; people know whether they were "
            "given music, which weighs on outcomes they report themselves."
        )
    if share["high twice"] >= 0.5:
        return 2, (
            f"{why} At least half of the weight ({_percent(share['high twice'])}) is at high risk in two "
            "domains or more."
        )
    if share["nothing known"] >= 0.5:
        return 2, (
            f"{why} For {_percent(share['nothing known'])} neither a judgement nor the way of allocation is "
            "on record: whether these were sound trials is not known at all."
        )
    if share["high"] + share["unclear"] + share["not assessed"] >= 0.5:
        if share["not assessed"] >= 0.5:
            why += " Judgements are missing for most of the weight, which cannot count as low risk."
        return 1, f"{why} Less than half of the weight is known to be at low risk."
    return 0, f"{why} More than half of the weight is at low risk."


# ---- inconsistency --------------------------------------------------------------------------------


def rate_inconsistency(run: AnalysisRun, cuts: Thresholds) -> tuple[int, str]:
    """Propose levels down for inconsistency.

    From 5 trials on by the prediction interval: none where tau² is 0, where it crosses no threshold, or where
    I² is below 40%; two where it crosses every threshold and I² is 75% or more; one where it crosses one that
    the confidence interval does not, or where I² is 50% or more. With fewer trials: one where I² is 50% or
    more, two where it is 75% or more and trials lie on opposite sides beyond their intervals; both only where
    the test for heterogeneity has P < 0.10.
    """
    result = run.result
    if result.k < 2:
        return 0, "One trial cannot disagree with itself."
    why = (
        f"I² {result.i2:.0f}%, Q {result.q:.2f} on {_count(result.k - 1, 'degree')} of freedom, "
        f"{p_text(result.q_pvalue)}"
    )
    if result.tau2_method != "none":
        why += f", tau² {result.tau2:.3f}"
    why += "."
    differ = result.q_pvalue < _ALPHA
    pi = _prediction(run)
    if pi is None:
        return _without_prediction(run, why, differ=differ)
    why += f" A new trial's effect is expected from {_shown(run, pi)}"
    why += ", which includes no effect." if result.effects.measure.null in pi else "."
    if result.tau2 == 0:
        return 0, f"{why} The trials differ no more than chance would have it (tau² is 0)."
    crossed, by_ci = cuts.crossed(pi), cuts.crossed(result.ci(0.95))
    if not crossed:
        return 0, f"{why} It crosses nothing that intervals are held against ({_against(cuts)})."
    if result.i2 >= 75 and differ and len(crossed) == len(cuts.cuts):
        both = "effects that matter in both directions" if cuts.matter else "effects in both directions"
        return 2, f"{why} It holds {both}, and I² is considerable (75% or more)."
    if result.i2 < 40:
        return 0, f"{why} Heterogeneity of that size (I² below 40%) might not be important."
    if set(crossed) - set(by_ci):
        return 1, f"{why} It reaches effects that the confidence interval leaves out ({_against(cuts)})."
    if result.i2 >= 50 and differ:
        return 1, f"{why} I² is substantial (50% or more) and the test for heterogeneity agrees."
    return 0, (
        f"{why} It crosses nothing that the confidence interval does not cross already ({_against(cuts)})."
    )


def _without_prediction(run: AnalysisRun, why: str, *, differ: bool) -> tuple[int, str]:
    result = run.result
    z = 1.959963984540054  # 97.5% quantile of the normal distribution
    half = z * np.sqrt(result.effects.vi)
    null = result.effects.measure.null
    opposite = bool(np.any(result.effects.yi + half < null)) and bool(np.any(result.effects.yi - half > null))
    few = (
        f" With {_count(result.k, 'trial')} no prediction interval is read."
        if result.k < _PI_FEWEST
        else " The model has no prediction interval."
    )
    if result.i2 >= 75 and differ and opposite:
        return 2, f"{why}{few} I² is considerable, and trials contradict each other beyond their intervals."
    if result.i2 >= 50 and differ:
        return 1, f"{why}{few} I² is substantial (50% or more) and the test for heterogeneity agrees."
    return 0, f"{why}{few} Nothing speaks for more than chance between the trials, as far as so few can tell."


def _prediction(run: AnalysisRun) -> Interval | None:
    if run.result.k < _PI_FEWEST:
        return None
    try:
        return run.result.pi(0.95, method=run.analysis.model.pi)
    except ModelError:
        return None


# ---- indirectness ---------------------------------------------------------------------------------


def describe_mix(run: AnalysisRun, studies: tuple[Study | None, ...]) -> str:
    """Tell conditions, comparators, kinds of music and settings by weight: what directness rests on."""
    weights = [float(w) for w in run.result.weights]
    columns = run.effects.columns
    parts = []
    for name, column in (("conditions", "condition"), ("comparators", "comparator"), ("music", "category")):
        if columns is not None and column in columns:
            parts.append(f"{name}: {_told(_shares([str(x) for x in columns[column]], weights))}")
    settings = ["not recorded" if s is None else s.intervention.setting for s in studies]
    parts.append(f"settings: {_told(_shares(settings, weights))}")
    return (
        "Whether these people, this music and this comparison are those of the question is for a person to "
        f"judge. By weight, {'; '.join(parts)}."
    )


def _told(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {_percent(share)}" for name, share in shares.items())


# ---- imprecision ----------------------------------------------------------------------------------


def _information(run: AnalysisRun) -> tuple[float, str] | None:
    measure = run.analysis.measure
    if measure in ("SMD", "SMDH", "SMD1", "MD"):
        return information_size(), "a difference of 0.2 standard deviations with 80% power"
    given = run.analysis.assumptions.control_response
    if measure in ("RR", "OR", "PETO", "RD") and given is not None:
        return (
            information_size_events(given.value),
            f"a quarter fewer events than {_percent(given.value)} with 80% power",
        )
    return None


def rate_imprecision(run: AnalysisRun, cuts: Thresholds) -> tuple[int, str]:
    """Propose levels down for imprecision, the larger of two.

    By the 95% confidence interval: one for each threshold it crosses. By size: one where fewer people took
    part than the optimal information size, two where fewer than 30% of it did.
    """
    ci = run.result.ci(0.95)
    crossed = cuts.crossed(ci)
    why = f"95% interval {_shown(run, ci)}, held against {_against(cuts)}."
    if len(crossed) == 2:
        by_ci, text = 2, " It holds effects that matter in both directions."
    elif crossed and cuts.matter:
        by_ci, text = 1, " It holds effects that matter and effects that do not."
    elif crossed:
        by_ci, text = 1, " It holds effects in both directions."
    else:
        by_ci, text = 0, " It crosses neither." if cuts.matter else " It lies on one side of it."
    why += text
    by_size, text = _size(run)
    return max(by_ci, by_size), why + text


def _size(run: AnalysisRun) -> tuple[int, str]:
    n, wanted = participants(run.effects), _information(run)
    if wanted is None:
        return 0, " No optimal information size follows without an assumed risk in the control group."
    size, what = wanted
    people = math.ceil(size)
    if n is None:
        return (
            0,
            f" One trial would need {people} people to find {what}; how many took part is not known of all.",
        )
    told = f" {_count(n, 'person', 'people')} took part; one trial would need {people} to find {what}"
    if n < _FAR_LESS * size:
        return 2, f"{told}: far fewer."
    if n < size:
        return 1, f"{told}: fewer."
    return 0, f"{told}: enough."


# ---- publication bias -----------------------------------------------------------------------------


def rate_publication_bias(run: AnalysisRun) -> tuple[int, str]:
    """Propose levels down for publication bias: one where 10 trials or more show it, else none.

    Shown is: a regression test with P < 0.10 by which small trials are more favourable, or a selection model
    that fits better (likelihood ratio P < 0.10) and lies nearer to no effect.
    """
    k = run.result.k
    if k < FEWEST:
        return 0, (
            f"Not tested: with {_count(k, 'trial')} (fewer than {FEWEST}) asymmetry cannot be told from "
            "chance (Sterne 2011). Not rated down for it, which does not mean that nothing is missing."
        )
    lower = run.analysis.better == "lower"
    try:
        test = egger(run.effects)
    except (ModelError, UsageError) as error:  # unknown sizes, or trials that are all of one size
        return 0, f"Not tested: {error}. Not rated down for it."
    toward = test.bias < 0 if lower else test.bias > 0
    suspect = test.pvalue < _ALPHA and toward
    way = "more favourable than large ones" if toward else "less favourable than large ones"
    found = (
        f"Small trials are {way}" if test.pvalue < _ALPHA else "Small and large trials do not differ clearly"
    )
    why = f"{found} (regression on {test.predictor}: {p_text(test.pvalue)})."
    selected, text = _selected(run, "less" if lower else "greater")
    why += text
    if suspect or selected:
        return 1, f"{why} Missing results are suspected."
    return 0, f"{why} This gives no reason to suspect missing results; other reasons may."


def _selected(run: AnalysisRun, alternative: Literal["less", "greater"]) -> tuple[bool, str]:
    try:
        fit = SelectionModel(alternative=alternative).fit(run.effects)
    except ModelError as error:
        return False, f" A selection model has no answer: {error}."
    measure = measure_of(run.analysis.measure)
    nearer = abs(fit.estimate - measure.null) < abs(fit.unadjusted - measure.null)
    text = (
        f" A selection model puts the effect at {_two(measure.back(fit.estimate))} beside "
        f"{_two(measure.back(fit.unadjusted))} without selection (likelihood ratio {p_text(fit.lrt_pvalue)})."
    )
    return fit.lrt_pvalue < _ALPHA and nearer, text


# ---- words ----------------------------------------------------------------------------------------


def _two(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _count(value: int, one: str, many: str | None = None) -> str:
    return f"{value} {one if value == 1 else many or one + 's'}"


def _shown(run: AnalysisRun, interval: Interval) -> str:
    back = measure_of(run.analysis.measure).back
    return f"{_two(back(interval.low))} to {_two(back(interval.high))}"


def _against(cuts: Thresholds) -> str:
    if not cuts.matter:
        return f"no effect ({_two(cuts.shown[0])})"
    low, high = (_two(x) for x in cuts.shown)
    even = f"{high} either way" if cuts.shown[0] == -cuts.shown[1] else f"{low} and {high}"
    kind = {
        "convention": "by convention, no smallest difference that matters being known",
        "outcome": "the smallest difference that matters to people",
        "scale library": "the smallest difference that matters to people",
        "analysis file": "the smallest difference that matters by the analysis file",
    }[cuts.origin]
    return f"{even}, {kind} ({cuts.source})"
