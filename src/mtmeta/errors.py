"""What can go wrong, said so that a person can put it right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

__all__ = [
    "AnalysisError",
    "ConvergenceWarning",
    "DataWarning",
    "EffectError",
    "LeftOutWarning",
    "MixedScoresWarning",
    "ModelError",
    "MtmetaError",
    "MtmetaWarning",
    "Problem",
    "RecordError",
    "UsageError",
]


class MtmetaError(Exception):
    """Base of every error that mtmeta raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place of one file.

    Parameters
    ----------
    path : str
        The file, as the user gave it.
    line : int
        Line counted from 1; 0 when the whole file is meant.
    field : str
        Dotted path of the field inside the document, empty for the document.
    message : str
        What is wrong and what to write instead.

    Examples
    --------
    >>> print(Problem("studies/a.yaml", 7, "outcomes.0.data.n", "is 0; write how many were analysed"))
    studies/a.yaml:7: outcomes.0.data.n: is 0; write how many were analysed
    """

    path: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return ": ".join(part for part in (place, self.field, self.message) if part)


class RecordError(MtmetaError):
    """Records or analysis files that cannot be read; carries every problem of every file.

    Parameters
    ----------
    problems : iterable of Problem
        At least one; printed one a line in the order given.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))

    @classmethod
    def at(cls, path: str | PurePath, line: int, field: str, message: str) -> RecordError:
        """Build an error of a single problem."""
        return cls([Problem(str(path), line, field, message)])


class AnalysisError(MtmetaError):
    """A question that its records cannot answer as asked: no row, several rows, an unknown study."""


class EffectError(MtmetaError, ValueError):
    """Numbers from which no effect size follows; names the study, the value and the remedy."""


class ModelError(MtmetaError, ValueError):
    """A model that does not fit these data, with the reason."""


class UsageError(MtmetaError, ValueError):
    """A call that is wrong whatever the data: an unknown option, an impossible level."""


class MtmetaWarning(UserWarning):
    """Base of every warning that mtmeta gives."""


class DataWarning(MtmetaWarning):
    """Data that can be used but should be looked at."""


class MixedScoresWarning(DataWarning):
    """Final, change and adjusted values stand under one standardised mean difference."""


class LeftOutWarning(DataWarning):
    """Rows that answer a question are not pooled: their numbers cannot be true or allow no effect."""


class ConvergenceWarning(MtmetaWarning):
    """An optimiser stopped where its estimating equation is not met to the usual tolerance."""
