"""What the checks look at: rows with their effect, and what they say of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from mtmeta.audit.findings import Severity
from mtmeta.effects.compute import Computed, computed_rows
from mtmeta.effects.select import Row, Selection
from mtmeta.errors import AnalysisError, EffectError
from mtmeta.records import schema as rec
from mtmeta.records.schema import Outcome, Study

__all__ = ["Arm", "EffectRow", "Limits", "Suspicion", "arms_of", "effect_rows", "ulp"]

SOURCE = (
    "Cochrane Handbook 6.5 and 10.10.4; Maassen 2020, PLoS One 15:e0233107 (errors found on re-extraction)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How strong evidence must be before it is told; the benchmark of planted errors varies them.

    Parameters
    ----------
    gap : float
        Standard normal deviates between a printed P value and the recomputed one. Half a deviate is more
        than rounding and another test (pooled or Welch, adjusted or not) make in samples of ten and more.
    ratio : float
        Likelihood ratio of the error against its absence. A hundred outweighs a prior of one such error in
        fifty rows twice over.
    turned : float
        The same for a sign that another time of the trial contradicts. At ten, 2 of 100 pairs of times in
        clean simulated trials are named.
    apart : float
        Distance from the set in standard deviations: 95 of 100 Cochrane effects are nearer to theirs.
    large, huge : float
        Size of g that 90 and 99 of 100 Cochrane effects do not reach; None takes the shipped table's.
    """

    gap: float = 0.5
    ratio: float = 100.0
    turned: float = 10.0
    apart: float | None = None
    large: float | None = None
    huge: float | None = None


@dataclass(frozen=True, slots=True)
class Arm:
    """What is printed of one arm at one time, with NaN for what is not."""

    n: float
    mean: float
    sd: float
    se: float = math.nan


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
    severity: Severity = "suspect"


def _arm(n: int | None, value: rec.MeanSD) -> Arm:
    mean, sd, se = (math.nan if x is None else x for x in (value.mean, value.sd, value.se))
    return Arm(math.nan if n is None else float(n), mean, sd, se)


def arms_of(outcome: Outcome, when: str = "outcome") -> tuple[Arm, Arm] | None:
    """Return the music and the control arm of raw means.

    Parameters
    ----------
    outcome : Outcome
    when : {"outcome", "baseline", "final", "change"}
        ``outcome``: what the row is about, final values or changes. The others where they are printed.

    Returns
    -------
    tuple of Arm or None
        None where the row holds no raw means of two arms at that time.
    """
    data = outcome.data
    parts: list[tuple[int | None, rec.MeanSD | None]]
    if isinstance(data, rec.Means):
        if when not in ("outcome", "baseline"):
            return None
        parts = [(g.n, g if when == "outcome" else g.baseline) for g in (data.music, data.control)]
    elif isinstance(data, rec.Changes):
        name = "change" if when == "outcome" else when
        parts = [(g.n, getattr(g, name)) for g in (data.music, data.control)]
    else:
        return None
    (n1, one), (n2, two) = parts
    return None if one is None or two is None else (_arm(n1, one), _arm(n2, two))


def ulp(value: float) -> float:
    """One unit in the last decimal that was written.

    Examples
    --------
    >>> ulp(3.25), ulp(12.0)
    (0.01, 1.0)
    """
    text = repr(float(value))
    decimals = len(text.partition(".")[2]) if "e" not in text else 12
    return float(10.0 ** -min(decimals if not text.endswith(".0") else 0, 12))


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
