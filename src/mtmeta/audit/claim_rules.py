"""The rules by which a statement gets its verdict, and what would change it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from mtmeta.audit.grade import Level
from mtmeta.audit.run import AnalysisRun, model_of
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, ModelError
from mtmeta.models.result import PoolResult
from mtmeta.records import vocabulary as voc

if TYPE_CHECKING:
    from mtmeta.records.schema import Study

__all__ = ["ORDER", "SIZES", "Bound", "Verdict", "misfit", "prediction", "verdict_of", "what_would_change"]

Verdict = Literal[
    "supported",
    "too strong",
    "not supported",
    "contradicted",
    "wrong outcome or population",
    "not tested here",
]
# from the least favourable to the most; a part that was not tested decides nothing
ORDER: tuple[Verdict, ...] = (
    "contradicted",
    "wrong outcome or population",
    "not supported",
    "too strong",
    "supported",
    "not tested here",
)
SIZES = {"any": 0.0, "small": 0.2, "moderate": 0.5, "large": 0.8}
_LEVELS: tuple[Level, ...] = ("very low", "low", "moderate", "high")
# participants of a further trial that found nothing, and how many such trials are tried
_SIZE, _MOST = 100, 30


@dataclass(frozen=True, slots=True)
class Bound:
    """How strongly a statement is made.

    Attributes
    ----------
    benefit : bool
        Whether music is said to help, or to harm.
    size : {"any", "small", "moderate", "large"}
    clear, general : bool
        Said without doubt; said of every setting.
    """

    benefit: bool = True
    size: Literal["any", "small", "moderate", "large"] = "any"
    clear: bool = False
    general: bool = False


class Named(Protocol):
    """What a statement names of its question."""

    @property
    def construct_(self) -> voc.Construct: ...
    @property
    def condition(self) -> voc.Condition | None: ...
    @property
    def category(self) -> voc.Category | None: ...
    @property
    def approach(self) -> voc.Approach | None: ...
    @property
    def comparator(self) -> voc.Comparator | voc.ComparatorClass | None: ...


def prediction(result: PoolResult, run: AnalysisRun) -> tuple[float, float] | None:
    """Return the prediction interval by the analysis' own rule; None where too few trials give none."""
    try:
        low, high = result.pi(run.analysis.model.level, method=run.analysis.model.pi)
    except ModelError:
        return None
    return low, high


# ---- whether the question is the one that was pooled ---------------------------------------


def misfit(part: Named, run: AnalysisRun, result: PoolResult) -> str | None:
    """Say where what was pooled is another question than the statement's; None where it is the same.

    Of the people, the music and the comparison that a statement names, half of the pooled weight must be
    known to be.
    """
    asked = run.analysis.select.constructs
    if asked and part.construct_ not in asked:
        return f"{', '.join(asked)} was pooled, not {part.construct_}"
    studies = {study.id: study for study in run.studies}
    pooled = [studies[name] for name in result.effects.study]
    checks: tuple[tuple[str, str | None, list[set[str]]], ...] = (
        ("people", part.condition, [set(s.conditions) for s in pooled]),
        ("music", part.category, [{s.intervention.category} for s in pooled]),
        ("music", part.approach, [{s.intervention.approach} for s in pooled]),
        ("comparison", part.comparator, _comparators(result.effects, pooled)),
    )
    for what, named, told in checks:
        if named is None:
            continue
        weight = sum(float(w) for w, words in zip(result.weights, told, strict=True) if named in words)
        if weight < 0.5:
            return (
                f"{named} is known of {100 * weight:.0f}% of the pooled weight ({what}: {_mix(result, told)})"
            )
    return None


def _comparators(effects: EffectSizes, pooled: list[Study]) -> list[set[str]]:
    columns = effects.columns
    own = (
        [str(x) for x in columns["comparator"]]
        if columns is not None and "comparator" in columns
        else [s.comparator.type for s in pooled]
    )
    return [{name, str(voc.comparator_class(name))} for name in own]


def _mix(result: PoolResult, told: list[set[str]]) -> str:
    shares: dict[str, float] = {}
    for weight, words in zip(result.weights, told, strict=True):
        name = "/".join(sorted(words))
        shares[name] = shares.get(name, 0.0) + float(weight)
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {100 * share:.0f}%" for name, share in ordered)


# ---- the verdict --------------------------------------------------------------------------


def verdict_of(
    bound: Bound, result: PoolResult, run: AnalysisRun, certainty: Level | None
) -> tuple[Verdict, str]:
    """Give the verdict on a statement whose question was pooled, and why.

    Parameters
    ----------
    bound : Bound
    result : PoolResult
    run : AnalysisRun
        Names level, direction of benefit and rule of prediction.
    certainty : str or None
        By GRADE; None where it was not rated (a subgroup), which carries no clear statement.
    """
    null = result.effects.measure.null
    sign = 1.0 if (run.analysis.better == "higher") == bound.benefit else -1.0
    low, high = sorted(sign * (x - null) for x in result.ci(run.analysis.model.level))
    size = sign * _standardised(result, bound)
    if high < 0:
        return "contradicted", "the interval lies wholly on the other side of no difference"
    if low <= 0:
        return "not supported", "the interval includes no difference"
    short = []
    if size < SIZES[bound.size]:
        short.append(f"{size:.2f} is below what is called {bound.size} ({SIZES[bound.size]:g})")
    if bound.general:
        pi = prediction(result, run)
        if pi is None:
            short.append(f"{result.effects.k} trials predict nothing for other settings")
        elif min(sign * (x - null) for x in pi) <= 0:
            short.append("the prediction interval for another setting includes none")
    if certainty is None:
        if bound.clear:
            short.append("the certainty of the evidence was not rated")
    else:
        needed: Level = "moderate" if bound.clear else "low"
        if _LEVELS.index(certainty) < _LEVELS.index(needed):
            short.append(f"the certainty of the evidence is {certainty}")
    if short:
        return "too strong", "an effect on average, but " + ", and ".join(short)
    return "supported", "the interval excludes no difference in the claimed direction"


def _standardised(result: PoolResult, bound: Bound) -> float:
    """Return the estimate in standard deviations; an odds ratio by Chinn 2000, Stat Med 19:3127."""
    measure = result.effects.measure
    difference = float(result.estimate - measure.null)
    if measure.code in ("OR", "PETO"):
        return difference * math.sqrt(3.0) / math.pi
    if bound.size != "any" and not measure.code.startswith("SMD"):
        raise AnalysisError(
            f"size: {bound.size} is said of standard deviations, which {measure.code} is not in; leave it out"
        )
    return difference


# ---- what would change it -----------------------------------------------------------------


def what_would_change(
    bound: Bound, result: PoolResult, run: AnalysisRun, certainty: Level | None
) -> tuple[str, ...]:
    """Compute what would change the verdict: a trial left out, the review's own method, a further trial.

    The certainty is held as it is.
    """
    verdict = verdict_of(bound, result, run, certainty)[0]
    told = [*_without_one(bound, result, run, certainty, verdict)]
    own = run.published[0] if run.published else None
    if own is not None and own.agreement == "agrees" and own.result is not None and result is run.result:
        other = verdict_of(bound, own.result, run, certainty)[0]
        if other != verdict:
            told.append(f"by the review's own method ({own.published.method.words}) it would be {other}")
    if verdict in ("supported", "too strong"):
        told += _after_nothing(bound, result, run)
        if certainty is not None:
            sure = verdict_of(bound, result, run, "high")[0]
            if sure != verdict:
                needed = "moderate" if bound.clear else "low"
                told.append(f"with {needed} certainty it would be {sure}")
    return tuple(told)


def _without_one(
    bound: Bound, result: PoolResult, run: AnalysisRun, certainty: Level | None, verdict: Verdict
) -> list[str]:
    es = result.effects
    if es.k < 3:
        return ["one trial carries it" if es.k == 1 else "two trials carry it; none can be left out"]
    model = model_of(run.analysis.model)
    changed: dict[Verdict, list[str]] = {}
    for i, study in enumerate(es.study):
        rest = model.fit(es.subset([j for j in range(es.k) if j != i]))
        other = verdict_of(bound, rest, run, certainty)[0]
        if other != verdict:
            changed.setdefault(other, []).append(_label(es, i, study))
    if not changed:
        return ["no single trial changes it when left out"]
    return [
        f"without {' or '.join(names)} it would be {other}"
        if len(names) < 4
        else f"without any one of {len(names)} trials it would be {other}"
        for other, names in changed.items()
    ]


def _label(es: EffectSizes, i: int, study: str) -> str:
    columns = es.columns
    return str(columns["label"].iloc[i]) if columns is not None and "label" in columns else study


def _after_nothing(bound: Bound, result: PoolResult, run: AnalysisRun) -> list[str]:
    """Count the further trials without effect after which the interval includes no difference."""
    es = result.effects
    if not es.measure.code.startswith("SMD"):
        return []
    model = model_of(run.analysis.model)
    plain = replace(bound, size="any", clear=False, general=False)
    for extra in range(1, _MOST + 1):
        # two arms of fifty, and an effect of 0: v = 1/50 + 1/50
        more = EffectSizes.of(
            np.append(es.yi, np.zeros(extra)), np.append(es.vi, np.full(extra, 4.0 / _SIZE)), es.measure
        )
        if verdict_of(plain, model.fit(more), run, None)[0] == "not supported":
            trials = "one further trial" if extra == 1 else f"{extra} further trials"
            found = "that found" if extra == 1 else "each that found"
            return [f"{trials} of {_SIZE} people {found} no difference would make it not supported"]
    return [f"{_MOST} further trials of {_SIZE} people each that found no difference would not undo it"]
