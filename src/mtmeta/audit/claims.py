"""Claims made in prose, held against the pooled numbers by written rules, and the works they cite.

The rules, for a part of a claim that is bound to an analysis (Δ is the estimate in the claimed direction):

- ``contradicted``: the interval excludes no difference, in the other direction
- ``not supported``: the interval includes no difference
- ``too strong``: the interval excludes no difference in the claimed direction, but Δ is below the size
  claimed (small 0.2, moderate 0.5, large 0.8), or the claim holds for every setting and the prediction
  interval includes no difference
- ``supported``: neither of these
- ``wrong outcome or population``: what was tested is another outcome, another population, or another
  intervention than the claim names
- ``not tested here``: no analysis answers it

A claim as a whole gets the least favourable verdict of its tested parts; ``not tested here`` only when none
was tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mtmeta.audit.run import AnalysisRun
from mtmeta.errors import AnalysisError, ModelError
from mtmeta.models.result import PoolResult
from mtmeta.records import vocabulary as voc
from mtmeta.records.schema import Doi, Model, Slug, Text

__all__ = ["ClaimVerdict", "Claims", "PartVerdict", "judge", "read_claims"]

Verdict = Literal[
    "supported",
    "too strong",
    "not supported",
    "contradicted",
    "wrong outcome or population",
    "not tested here",
]
# from the least favourable to the most; a part that was not tested decides nothing
_ORDER: tuple[Verdict, ...] = (
    "contradicted",
    "wrong outcome or population",
    "not supported",
    "too strong",
    "supported",
    "not tested here",
)
SIZES = {"any": 0.0, "small": 0.2, "moderate": 0.5, "large": 0.8}
_ALPHA = 0.05


class Work(Model):
    """A work that claims cite, as it is and not as it is cited."""

    text: Text
    doi: Doi | None = None
    year: Annotated[int, Field(ge=1900, le=2100)]
    conditions: Annotated[tuple[voc.Condition, ...], Field(strict=False)] = ()
    constructs: Annotated[tuple[voc.Construct, ...], Field(strict=False)] = ()
    """Outcomes it tests."""
    superseded_by: Slug | None = None


class Cite(Model):
    """How a claim cites a work."""

    work: Slug | None = None
    """The work meant; absent where none can be named."""
    given: Text
    """What the reference list says, in short."""
    year: Annotated[int, Field(ge=1900, le=2100)] | None = None
    doi: Doi | None = None


class Part(Model):
    """One statement of a claim, bound to one question."""

    says: Text
    construct_: Annotated[voc.Construct, Field(alias="construct")]
    condition: voc.Condition | None = None
    analysis: Slug | None = None
    group: Text | None = None
    """The subgroup of the analysis that is meant."""
    effect: Literal["benefit", "harm", "difference between groups"] = "benefit"
    size: Literal["any", "small", "moderate", "large"] = "any"
    general: bool = False
    """Whether it is said to hold wherever it is done."""
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
    """The verdict on one statement, with its numbers."""

    says: str
    verdict: Verdict
    because: str
    analysis: str | None
    numbers: dict[str, Any]
    would_change: str


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
        worst = min(parts, key=lambda p: _ORDER.index(p.verdict)).verdict
        found.append(ClaimVerdict(claim.id, claim.says, worst, parts, _references(claims, claim)))
    return tuple(found)


# ---- one statement ------------------------------------------------------------------------


def _judge(claim: str, part: Part, runs: Mapping[str, AnalysisRun]) -> PartVerdict:
    if part.analysis is None:
        return PartVerdict(part.says, "not tested here", str(part.why), None, {}, part.would_change)
    if part.analysis not in runs:
        raise AnalysisError(f"{claim}: there is no analysis {part.analysis!r}; name one of analyses/")
    run = runs[part.analysis]
    if part.effect == "difference between groups":
        return _between(claim, part, run)
    result = _result(claim, part, run)
    numbers = _numbers(result, run)
    if part.mismatch is not None:
        return PartVerdict(
            part.says, "wrong outcome or population", part.mismatch, part.analysis, numbers, part.would_change
        )
    verdict, because = _rule(part, result, run)
    return PartVerdict(part.says, verdict, because, part.analysis, numbers, part.would_change)


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


def _prediction(result: PoolResult, run: AnalysisRun) -> tuple[float, float] | None:
    try:
        low, high = result.pi(run.analysis.model.level, method=run.analysis.model.pi)
    except ModelError:
        return None
    return low, high


def _numbers(result: PoolResult, run: AnalysisRun) -> dict[str, Any]:
    back = result.effects.measure.back
    low, high = result.ci(run.analysis.model.level)
    pi = _prediction(result, run)
    return {
        "measure": run.analysis.measure,
        "k": result.effects.k,
        "estimate": back(result.estimate),
        "ci": [back(low), back(high)],
        "pi": None if pi is None else [back(pi[0]), back(pi[1])],
    }


def _rule(part: Part, result: PoolResult, run: AnalysisRun) -> tuple[Verdict, str]:
    null = result.effects.measure.null
    benefit = 1.0 if run.analysis.better == "higher" else -1.0
    sign = benefit if part.effect == "benefit" else -benefit
    low, high = sorted(sign * (x - null) for x in result.ci(run.analysis.model.level))
    size = sign * (result.estimate - null)
    if high < 0:
        return "contradicted", "the interval lies wholly on the other side of no difference"
    if low <= 0:
        return "not supported", "the interval includes no difference"
    if size < SIZES[part.size]:
        return (
            "too strong",
            f"an effect, but {size:.2f} is below what is called {part.size} ({SIZES[part.size]:g})",
        )
    if part.general:
        pi = _prediction(result, run)
        if pi is None:
            return (
                "too strong",
                f"an effect on average; {result.effects.k} trials predict nothing for other settings",
            )
        if min(sign * (x - null) for x in pi) <= 0:
            return (
                "too strong",
                "an effect on average; the prediction interval for another setting includes none",
            )
    return "supported", "the interval excludes no difference in the claimed direction"


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
    return PartVerdict(part.says, verdict, because, part.analysis, numbers, part.would_change)


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
            told.append(f"{cite.given}: the DOI {cite.doi} is not that of {work.text} ({work.doi})")
        if work.superseded_by is not None:
            newer = claims.works[work.superseded_by]
            told.append(f"{cite.given}: superseded by {newer.text}")
        missing = (
            sorted({p.construct_ for p in claim.parts} - set(work.constructs)) if work.constructs else []
        )
        if missing:
            told.append(f"{cite.given}: does not test {', '.join(missing)}")
    return tuple(told)
