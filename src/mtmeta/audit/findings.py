"""What the integrity checks find, with its place, its evidence and a remedy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Finding", "Severity"]

Severity = Literal["error", "suspect", "note"]


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

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.severity}: {self.code}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return {**asdict(self), "ids": list(self.ids)}
