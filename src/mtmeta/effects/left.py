"""What was looked at and not pooled."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LeftOut"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A trial or a row that was looked at and not pooled, and why.

    Attributes
    ----------
    study : str
    outcome : str or None
        None for a trial as a whole.
    reason : str
    answers : bool
        Whether the row does answer the question, and is not pooled because its numbers cannot be true or
        allow no effect. Such a row is for a person to decide on; the others were not asked for.
    """

    study: str
    outcome: str | None
    reason: str
    answers: bool = False

    def __str__(self) -> str:
        return f"{self.study}{'/' + self.outcome if self.outcome else ''}: {self.reason}"
