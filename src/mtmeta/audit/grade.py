"""Certainty of the evidence by GRADE: what rules propose from the numbers, and what a person decided.

GRADE is a judgement. The rules here only propose, each with its reason, so that two people who look at the
same numbers begin at the same place; what a person writes under ``grade:`` of the analysis file wins, and
both are shown. The rules, their sources and what in them is our own choice stand in ``docs/grade.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mtmeta.audit.anchors import Thresholds, pooled_studies, thresholds_of
from mtmeta.audit.grade_rules import (
    describe_mix,
    rate_bias,
    rate_imprecision,
    rate_inconsistency,
    rate_publication_bias,
    start_of,
)

if TYPE_CHECKING:
    from mtmeta.audit.run import AnalysisRun

__all__ = ["DOMAINS", "Certainty", "Domain", "Level", "Rating", "grade_of"]

Domain = Literal["risk of bias", "inconsistency", "indirectness", "imprecision", "publication bias"]
Level = Literal["very low", "low", "moderate", "high"]
DOMAINS: tuple[Domain, ...] = (
    "risk of bias",
    "inconsistency",
    "indirectness",
    "imprecision",
    "publication bias",
)
_LEVELS: tuple[Level, ...] = ("very low", "low", "moderate", "high")
_SERIOUS = {0: "not serious", 1: "serious", 2: "very serious", 3: "extremely serious"}


@dataclass(frozen=True, slots=True)
class Rating:
    """One domain. Frozen.

    Attributes
    ----------
    domain : str
    proposed : int or None
        Levels down by the rule; None where no rule can tell (indirectness).
    why : str
        The numbers behind it, in a sentence.
    decided : int or None
        Levels down by a person.
    reason, by, when : str or None
        The person's reason and name, and the day.
    """

    domain: Domain
    proposed: int | None
    why: str
    decided: int | None = None
    reason: str | None = None
    by: str | None = None
    when: str | None = None

    @property
    def down(self) -> int:
        """Levels taken off: the person's where there is one, else the rule's, else none."""
        return self.decided if self.decided is not None else self.proposed or 0

    @property
    def words(self) -> str:
        """``serious``, ``not serious``, …, or ``not judged``."""
        if self.decided is None and self.proposed is None:
            return "not judged"
        return _SERIOUS[self.down]

    def as_dict(self) -> dict[str, Any]:
        """Return the rating as plain data."""
        return {
            "proposed": self.proposed,
            "why": self.why,
            "decided": self.decided,
            "reason": self.reason,
            "down": self.down,
        }


@dataclass(frozen=True, slots=True)
class Certainty:
    """Certainty of one outcome. Frozen.

    Attributes
    ----------
    start : str
        "high" or "low", where rating begins.
    start_why : str
    ratings : tuple of Rating
        The five domains in GRADE's order.
    up : int
        Levels up, which only a person gives.
    up_why : str
    thresholds : Thresholds
        What intervals were held against.
    """

    start: Literal["high", "low"]
    start_why: str
    ratings: tuple[Rating, ...]
    thresholds: Thresholds
    start_decided: bool = False
    up: int = 0
    up_why: str = ""
    start_proposed: Literal["high", "low"] = "high"

    @property
    def proposed(self) -> Level:
        """By the rules alone, with nothing off for what they cannot judge."""
        return _level(self.start_proposed, sum(r.proposed or 0 for r in self.ratings))

    @property
    def decided(self) -> Level | None:
        """With a person's decisions in place of the rules'; None where nobody decided anything."""
        if not (self.start_decided or self.up or any(r.decided is not None for r in self.ratings)):
            return None
        return self.level

    @property
    def level(self) -> Level:
        """The certainty: a person's decisions where there are any, the rules' proposals elsewhere."""
        return _level(self.start, sum(r.down for r in self.ratings) - self.up)

    @property
    def not_judged(self) -> tuple[Domain, ...]:
        """Domains that neither a rule nor a person judged: the level is an upper bound for them."""
        return tuple(r.domain for r in self.ratings if r.decided is None and r.proposed is None)

    def rating(self, domain: Domain) -> Rating:
        """Return the rating of a domain."""
        return next(r for r in self.ratings if r.domain == domain)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data, for lock files."""
        return {
            "start": self.start,
            "start_why": self.start_why,
            "proposed": self.proposed,
            "decided": self.decided,
            "level": self.level,
            "not_judged": list(self.not_judged),
            "up": self.up,
            "up_why": self.up_why,
            "threshold": {
                "values": [float(f"{x:.12g}") for x in self.thresholds.shown],
                "origin": self.thresholds.origin,
                "source": self.thresholds.source,
            },
            "domains": {r.domain: r.as_dict() for r in self.ratings},
        }


def _level(start: Literal["high", "low"], down: int) -> Level:
    return _LEVELS[min(max((3 if start == "high" else 1) - down, 0), 3)]


def grade_of(run: AnalysisRun) -> Certainty:
    """Rate the certainty of an analysis' pooled effect.

    Parameters
    ----------
    run : AnalysisRun

    Returns
    -------
    Certainty

    Notes
    -----
    Schünemann et al., Cochrane Handbook chapter 14; Guyatt et al. 2011, J Clin Epidemiol 64 (GRADE guidelines
    4 to 8); Zeng et al. 2022, J Clin Epidemiol 150:216-224 (GRADE guidance 34). The rules are in
    ``docs/grade.md``.
    """
    studies = pooled_studies(run)
    cuts = thresholds_of(run)
    rules: dict[Domain, Callable[[], tuple[int | None, str]]] = {
        "risk of bias": lambda: rate_bias(studies, run.result.weights),
        "inconsistency": lambda: rate_inconsistency(run, cuts),
        "indirectness": lambda: (None, describe_mix(run, studies)),
        "imprecision": lambda: rate_imprecision(run, cuts),
        "publication bias": lambda: rate_publication_bias(run),
    }
    start, start_why = start_of(studies, run.result.weights)
    decided = run.analysis.grade
    ratings = []
    for domain in DOMAINS:
        proposed, why = rules[domain]()
        decision = getattr(decided, domain.replace(" ", "_"))
        if decision is None:
            ratings.append(Rating(domain, proposed, why))
        else:
            ratings.append(
                Rating(domain, proposed, why, decision.down, decision.why, decision.by, decision.when)
            )
    return Certainty(
        start=start if decided.start is None else decided.start.level,
        start_why=start_why if decided.start is None else decided.start.why,
        ratings=tuple(ratings),
        thresholds=cuts,
        start_decided=decided.start is not None,
        up=0 if decided.up is None else decided.up.up,
        up_why="" if decided.up is None else decided.up.why,
        start_proposed=start,
    )
