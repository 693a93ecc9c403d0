"""What the integrity checks find, with its place, its evidence and a remedy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Cost", "Finding", "Pooled", "Severity"]

Severity = Literal["error", "suspect", "note"]


@dataclass(frozen=True, slots=True)
class Pooled:
    """A pooled estimate on the model's scale: ratios as logarithms."""

    k: int
    estimate: float
    se: float
    ci_low: float
    ci_high: float
    tau2: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a finding moves in one analysis.

    Attributes
    ----------
    analysis : str
    pool : str
        ``today``: the row stands in today's answer; ``as selected``: only in the rows before the
        exclusions of today.
    before : Pooled
    without : Pooled or None
        The row left out; None where no row remains.
    mended : Pooled or None
        The row as the remedy says; None where the remedy is no number.
    moves : float
        Largest move of the estimate, in standard errors of `before`.
    """

    analysis: str
    pool: str
    before: Pooled
    without: Pooled | None
    mended: Pooled | None
    moves: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at.

    Attributes
    ----------
    code : str
        Kind of finding; ``checked:`` answers by it.
    severity : {"error", "suspect", "note"}
        error: cannot be right; suspect: evidence is shown; note: for information.
    path : str
    line : int
        From 1; 0 when the whole file is meant.
    ids : tuple of str
        Trials, or ``trial/outcome``.
    message : str
    evidence : dict of str to float or str
        The numbers on which it rests.
    remedy : str
        What to look at or to do.
    source : str
        Where the check comes from.
    cost : tuple of Cost
        What it moves in each analysis that uses its row, where that was asked for.
    """

    code: str
    severity: Severity
    path: str
    line: int
    ids: tuple[str, ...]
    message: str
    evidence: dict[str, float | str] = field(default_factory=dict)
    remedy: str = ""
    source: str = ""
    cost: tuple[Cost, ...] = ()

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.severity}: {self.code}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return {**asdict(self), "ids": list(self.ids), "cost": [asdict(c) for c in self.cost]}
