"""What the checks look at: rows with their effect, and what they say of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from mtmeta.effects.compute import Computed, computed_rows
from mtmeta.effects.select import Row, Selection
from mtmeta.errors import AnalysisError, EffectError
from mtmeta.records.schema import Outcome, Study

__all__ = ["EffectRow", "Suspicion", "effect_rows"]

SOURCE = (
    "Cochrane Handbook 6.5 and 10.10.4; Maassen 2020, PLoS One 15:e0233107 (errors found on re-extraction)"
)


@dataclass(frozen=True, slots=True)
class EffectRow:
    """An outcome with its standardised mean difference."""

    study: Study
    outcome: Outcome
    g: float
    v: float
    n1: float
    n2: float
    n: float

    @property
    def arm_size(self) -> float:
        """Harmonic mean of the arm sizes, half of all where only those are known; 0 when unknown."""
        sizes = sizes_of(self.outcome)
        if sizes is not None:
            return 2.0 * sizes[0] * sizes[1] / (sizes[0] + sizes[1])
        if self.n1 == self.n1 and self.n2 == self.n2:
            return 2.0 * self.n1 * self.n2 / (self.n1 + self.n2)
        return self.n / 2.0 if self.n == self.n else 0.0


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A finding before its place is looked up."""

    code: str
    row: EffectRow | Row
    message: str
    evidence: dict[str, float | str] = field(default_factory=dict)
    remedy: str = ""
    others: tuple[str, ...] = ()
    """Further ids, ``trial/outcome``."""
    source: str = SOURCE


def sizes_of(outcome: Outcome) -> tuple[float, float] | None:
    """Return both arm sizes of a reported effect, whichever is which."""
    data = outcome.data
    unordered = getattr(data, "n_unordered", None)
    if unordered is not None:
        return float(unordered[0]), float(unordered[1])
    one, two = getattr(data, "n_music", None), getattr(data, "n_control", None)
    return None if one is None or two is None else (float(one), float(two))


def effect_rows(studies: Iterable[Study]) -> tuple[EffectRow, ...]:
    """Compute g for every row that gives one, by its own route."""
    rows = [Row(study, outcome) for study in studies for outcome in study.outcomes]
    if not rows:
        return ()
    try:
        computed, _ = computed_rows(Selection(tuple(rows), ()), measure="SMD")
    except (AnalysisError, EffectError):
        computed = _one_by_one(rows)
    return tuple(
        EffectRow(c.row.study, c.row.outcome, c.yi, c.vi, c.printed.n1, c.printed.n2, c.printed.n)
        for c in computed
        if math.isfinite(c.yi) and math.isfinite(c.vi)
    )


def _one_by_one(rows: list[Row]) -> tuple[Computed, ...]:
    """Where one row cannot be computed the others still are."""
    found: list[Computed] = []
    for row in rows:
        try:
            found += computed_rows(Selection((row,), ()), measure="SMD")[0]
        except (AnalysisError, EffectError):
            # what cannot be computed has no effect to compare; the integrity checks speak of it
            continue
    return tuple(found)
