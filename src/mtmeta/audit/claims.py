"""Claims made in prose, held against the pooled numbers by written rules, and the works they cite.

A part of a claim is bound to a question: whom (``condition``), what (``category``, ``approach``), against
what (``comparator``), which outcome (``construct``), in which direction (``effect``) and how strongly
(``size``, ``clear``, ``general``). The verdict on a part is the first of these that applies:

- ``not tested here``: no analysis answers it
- ``wrong outcome or population``: what was pooled is another outcome, or less than half of its weight is
  known to be of the people, the music or the comparison that the claim names; a person may say so too
  (``mismatch``)
- ``contradicted``: the interval excludes no difference, in the other direction
- ``not supported``: the interval includes no difference
- ``too strong``: the interval excludes no difference in the claimed direction, but the estimate is below the
  size claimed (small 0.2, moderate 0.5, large 0.8 standard deviations), or the claim holds for every setting
  and the prediction interval includes no difference, or the certainty of the evidence (GRADE) does not carry
  the words: a plain statement needs low certainty at least, a clear one moderate
- ``supported``: none of these

A claim as a whole gets the least favourable verdict of its tested parts; where those are all supported and
another part was not tested, it is ``too strong``: it says more than was tested. A claim that is said of
every setting, and is not supported in some of them while it is in others, is ``too strong`` too. ``not
tested here`` is said of the whole only when no part was tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mtmeta.audit.claim_rules import (
    ORDER,
    SIZES,
    Bound,
    Verdict,
    misfit,
    prediction,
    verdict_of,
    what_would_change,
)
from mtmeta.audit.grade import grade_of
from mtmeta.audit.run import AnalysisRun
from mtmeta.errors import AnalysisError
from mtmeta.models.result import PoolResult
from mtmeta.records import vocabulary as voc
from mtmeta.records.schema import Doi, Model, Slug, Text

__all__ = ["SIZES", "ClaimVerdict", "Claims", "PartVerdict", "judge", "read_claims"]

_ALPHA = 0.05


class Work(Model):
    """A work that claims cite, as it is and not as it is cited."""

    text: Text
    doi: Doi | None = None
    year: Annotated[int, Field(ge=1900, le=2100)]
    conditions: Annotated[tuple[voc.Condition, ...], Field(strict=False)] = ()
    constructs: Annotated[tuple[voc.Construct, ...], Field(strict=False)] = ()
    """Outcomes of which it holds results that are at hand."""
    published_in: Text | None = None
    superseded_by: Slug | None = None


class Cite(Model):
    """How a claim cites a work."""

    work: Slug | None = None
    """The work meant; absent where none can be named."""
    given: Text
    """What the reference list says, in short."""
    year: Annotated[int, Field(ge=1900, le=2100)] | None = None
    doi: Doi | None = None
    published_in: Text | None = None


class Part(Model):
    """One statement of a claim, bound to one question."""

    says: Text
    construct_: Annotated[voc.Construct, Field(alias="construct")]
    condition: voc.Condition | None = None
    """Whom it is about."""
    category: voc.Category | None = None
    """Music therapy or music medicine, where the claim tells."""
    approach: voc.Approach | None = None
    comparator: voc.Comparator | voc.ComparatorClass | None = None
    """What it is compared with, one comparator or a class of them such as ``inactive``."""
    analysis: Slug | None = None
    group: Text | None = None
    """The subgroup of the analysis that is meant."""
    effect: Literal["benefit", "harm", "difference between groups"] = "benefit"
    size: Literal["any", "small", "moderate", "large"] = "any"
    general: bool = False
    """Whether it is said to hold wherever it is done."""
    clear: bool = False
    """Whether it is said without doubt ("clearly", "much")."""
    note: Text | None = None
    """What a reader should know of the evidence beside the numbers."""
    mismatch: Text | None = None
    """Why the analysis tests another outcome, population or intervention than the claim names."""
    why: Text | None = None
    """Why nothing here tests it."""
    would_change: Text
    """What would change the verdict."""

    @model_validator(mode="after")
    def _bound(self) -> Part:
        if self.analysis is None and self.why is None:
            raise ValueError("why: say why nothing here tests it, or name the analysis that does")
        return self


class Claim(Model):
    """A statement made in prose."""

    id: Annotated[str, Field(pattern=r"^C\d+$")]
    says: Text
    cites: Annotated[tuple[Cite, ...], Field(strict=False)] = ()
    parts: Annotated[tuple[Part, ...], Field(strict=False, min_length=1)]


class Claims(Model):
    """The claims file."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    source: Text
    works: dict[Slug, Work]
    claims: Annotated[tuple[Claim, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _known(self) -> Claims:
        for claim in self.claims:
            for cite in claim.cites:
                if cite.work is not None and cite.work not in self.works:
                    raise ValueError(f"works: {claim.id} cites {cite.work!r}, which is not among the works")
        for name, work in self.works.items():
            if work.superseded_by is not None and work.superseded_by not in self.works:
                raise ValueError(
                    f"works: {name} is superseded by {work.superseded_by!r}, which is not listed"
                )
        return self


@dataclass(frozen=True, slots=True)
class PartVerdict:
    """The verdict on one statement, with its numbers.

    Attributes
    ----------
    says, verdict, because : str
    analysis : str or None
    numbers : dict
        ``measure k estimate ci pi certainty``, and ``published``: the review's own figure beside it.
    would_change : str
        In words, by a person.
    sensitivity : tuple of str
        What would change the verdict, computed: trials without which it would be another, the review's own
        method, a further trial that found nothing.
    note : str or None
    """

    says: str
    verdict: Verdict
    because: str
    analysis: str | None
    numbers: dict[str, Any]
    would_change: str
    sensitivity: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """The verdict on a claim, its parts, and what is wrong with its references."""

    id: str
    says: str
    verdict: Verdict
    parts: tuple[PartVerdict, ...]
    references: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data."""
        return {
            "id": self.id,
            "says": self.says,
            "verdict": self.verdict,
            "parts": [
                {name: getattr(part, name) for name in PartVerdict.__dataclass_fields__}
                for part in self.parts
            ],
            "references": list(self.references),
        }


def read_claims(path: str | Path) -> Claims:
    """Read a claims file.

    Raises
    ------
    RecordError
        With every problem and its line.
    """
    from mtmeta.records.yamltext import load_model

    return load_model(path, Claims)


def judge(claims: Claims, runs: Iterable[AnalysisRun]) -> tuple[ClaimVerdict, ...]:
    """Hold claims against the answers of analyses.

    Parameters
    ----------
    claims : Claims
    runs : iterable of AnalysisRun

    Returns
    -------
    tuple of ClaimVerdict
        In the order of the file.

    Raises
    ------
    AnalysisError
        When a claim names an analysis or a group that does not exist.
    """
    by_name = {run.analysis.name: run for run in runs}
    found = []
    for claim in claims.claims:
        parts = tuple(_judge(claim.id, part, by_name) for part in claim.parts)
        whole = _whole(claim.parts, tuple(part.verdict for part in parts))
        found.append(ClaimVerdict(claim.id, claim.says, whole, parts, _references(claims, claim)))
    return tuple(found)


# ---- one statement ------------------------------------------------------------------------


def _whole(parts: tuple[Part, ...], verdicts: tuple[Verdict, ...]) -> Verdict:
    """Return the verdict on a claim of several parts."""
    worst = min(verdicts, key=ORDER.index)
    if worst == "supported" and "not tested here" in verdicts:
        return "too strong"
    everywhere = all(p.general for p, v in zip(parts, verdicts, strict=True) if v != "not tested here")
    if worst == "not supported" and everywhere and {"supported", "too strong"} & set(verdicts):
        return "too strong"
    return worst


def _judge(claim: str, part: Part, runs: Mapping[str, AnalysisRun]) -> PartVerdict:
    if part.analysis is None:
        why = str(part.why)
        return PartVerdict(part.says, "not tested here", why, None, {}, part.would_change, note=part.note)
    if part.analysis not in runs:
        raise AnalysisError(f"{claim}: there is no analysis {part.analysis!r}; name one of analyses/")
    run = runs[part.analysis]
    if part.effect == "difference between groups":
        return _between(claim, part, run)
    result = _result(claim, part, run)
    certainty = grade_of(run).level if part.group is None else None
    numbers = {**_numbers(result, run), "certainty": certainty, "published": _published(run)}
    bound = Bound(part.effect == "benefit", part.size, part.clear, part.general)
    wrong = part.mismatch or misfit(part, run, result)
    if wrong is not None:
        verdict: Verdict = "wrong outcome or population"
        return PartVerdict(
            part.says, verdict, wrong, part.analysis, numbers, part.would_change, note=part.note
        )
    verdict, because = verdict_of(bound, result, run, certainty)
    return PartVerdict(
        part.says,
        verdict,
        because,
        part.analysis,
        numbers,
        part.would_change,
        sensitivity=what_would_change(bound, result, run, certainty),
        note=part.note,
    )


def _result(claim: str, part: Part, run: AnalysisRun) -> PoolResult:
    if part.group is None:
        return run.result
    groups = {} if run.subgroups is None else run.subgroups.groups
    if part.group not in groups:
        raise AnalysisError(
            f"{claim}: {run.analysis.name} has no group {part.group!r}; it has "
            + (", ".join(groups) or "no groups")
        )
    return groups[part.group]


def _numbers(result: PoolResult, run: AnalysisRun) -> dict[str, Any]:
    back = result.effects.measure.back
    low, high = result.ci(run.analysis.model.level)
    pi = prediction(result, run)
    return {
        "measure": run.analysis.measure,
        "k": result.effects.k,
        "estimate": back(result.estimate),
        "ci": [back(low), back(high)],
        "pi": None if pi is None else [back(pi[0]), back(pi[1])],
    }


def _published(run: AnalysisRun) -> dict[str, Any] | None:
    """Return the first figure that a review printed for the question, as it printed it."""
    for item in run.published:
        printed = item.published
        if printed.estimate is not None and printed.measure == run.analysis.measure:
            return {
                "review": printed.review,
                "label": printed.label,
                "measure": printed.measure,
                "estimate": printed.estimate,
                "ci": None if printed.ci is None else list(printed.ci),
                "k": printed.k,
                "n": printed.n,
                "reproduced": item.agreement,
            }
    return None


def _between(claim: str, part: Part, run: AnalysisRun) -> PartVerdict:
    if run.subgroups is None:
        raise AnalysisError(f"{claim}: {run.analysis.name} has no groups to tell apart")
    p = float(run.subgroups.pvalue)
    numbers: dict[str, Any] = {
        "p_between": p,
        "groups": {name: _numbers(group, run) for name, group in run.subgroups.groups.items()},
    }
    if part.mismatch is not None:
        verdict: Verdict = "wrong outcome or population"
        because = part.mismatch
    elif p < _ALPHA:
        verdict, because = (
            "supported",
            f"the groups differ (p {p:.3f}); a comparison between trials, not within",
        )
    else:
        verdict, because = "not supported", f"the groups do not differ clearly (p {p:.3f})"
    return PartVerdict(part.says, verdict, because, part.analysis, numbers, part.would_change, note=part.note)


# ---- references ---------------------------------------------------------------------------


def _references(claims: Claims, claim: Claim) -> tuple[str, ...]:
    """Say what is wrong with the references of a claim; empty when nothing is."""
    told = []
    for cite in claim.cites:
        if cite.work is None:
            told.append(f"{cite.given}: names no work that could be found")
            continue
        work = claims.works[cite.work]
        if cite.year is not None and cite.year != work.year:
            told.append(f"{cite.given}: is {work.text}, of {work.year}, not {cite.year}")
        if cite.doi is not None and work.doi is not None and cite.doi.casefold() != work.doi.casefold():
            owner = next(
                (w.text for w in claims.works.values() if (w.doi or "").casefold() == cite.doi.casefold()),
                None,
            )
            whose = "" if owner is None else f", but that of {owner}"
            told.append(f"{cite.given}: the DOI {cite.doi} is not that of {work.text} ({work.doi}){whose}")
        if work.superseded_by is not None:
            newer = claims.works[work.superseded_by]
            told.append(f"{cite.given}: superseded by {newer.text}")
        where = cite.published_in, work.published_in
        if None not in where and str(where[0]).casefold() != str(where[1]).casefold():
            told.append(f"{cite.given}: is {work.text}, in {where[1]}, not {where[0]}")
        outcomes = (
            sorted({p.construct_ for p in claim.parts} - set(work.constructs)) if work.constructs else []
        )
        if outcomes:
            told.append(f"{cite.given}: no result of it on {', '.join(outcomes)} is at hand")
        people = sorted({p.condition for p in claim.parts if p.condition} - set(work.conditions))
        if people and work.conditions:
            told.append(f"{cite.given}: is about {', '.join(work.conditions)}, not {', '.join(people)}")
    return tuple(told)
