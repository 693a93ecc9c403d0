"""Numbers of a run as they stand in its lock file, each with the place where it stands there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mtmeta.audit.run import AnalysisRun
from mtmeta.figures.layout.words import tau2_words
from mtmeta.figures.style import Style
from mtmeta.reports.document import Number, Spans, spans
from mtmeta.reports.summary import run_summary
from mtmeta.reports.words import count, fixed, percent, pvalue

__all__ = ["Locked", "number_at", "tau2_text"]

_PLAIN = Style(minus="-")


def tau2_text(value: float) -> str:
    """Write a between-study variance with two of its digits, at most five decimals.

    Examples
    --------
    >>> tau2_text(0.0281), tau2_text(0.0), tau2_text(1.234)
    ('0.028', '0', '1.23')
    """
    return tau2_words(value, _PLAIN)


def number_at(results: Any, path: str) -> Any:
    """Return what stands at a path of keys and positions, such as ``today/ci/0``.

    Raises
    ------
    KeyError
        Where there is no such place.
    """
    here = results
    for key in path.split("/"):
        here = here[int(key)] if isinstance(here, list) else here[key]
    return here


@dataclass(frozen=True, slots=True)
class Locked:
    """The results that the lock of one analysis holds, as numbers of a report.

    Attributes
    ----------
    name : str
        Of the analysis.
    results : dict
        What :func:`mtmeta.reports.summary.run_summary` gives.
    decimals : int
        Of effects.
    """

    name: str
    results: dict[str, Any] = field(repr=False)
    decimals: int = 2

    @classmethod
    def of(cls, run: AnalysisRun) -> Locked:
        """Collect the numbers of a run."""
        return cls(run.analysis.name, run_summary(run))

    def get(self, path: str) -> Any:
        """Return the plain value at a path."""
        return number_at(self.results, path)

    def number(self, path: str, write: Callable[[float], str], jump: str = "") -> Number:
        """Return the number at a path, written by `write`; a dash where there is none."""
        value = self.get(path)
        if value is None:
            return Number("-")
        return Number(write(value), float(value), f"{self.name}/{path}", jump)

    def effect(self, path: str, jump: str = "") -> Number:
        """Return an effect, with the decimals of effects."""
        return self.number(path, partial(fixed, decimals=self.decimals), jump)

    def interval(self, path: str, jump: str = "") -> Spans:
        """Return an interval, as ``[low, high]``."""
        if self.get(path) is None:
            return spans(Number("-"))
        low, high = self.effect(f"{path}/0", jump), self.effect(f"{path}/1", jump)
        return spans("[", low, ", ", high, "]")

    def estimate(self, path: str = "today", jump: str = "") -> Spans:
        """Return estimate and interval below a path."""
        prefix = f"{path}/" if path else ""
        if self.get(f"{prefix}estimate") is None:
            return spans(Number("-"))
        return spans(self.effect(f"{prefix}estimate", jump), " ", self.interval(f"{prefix}ci", jump))

    def count(self, path: str, jump: str = "") -> Number:
        """Return a count; ``?`` where it is not known."""
        return Number("?") if self.get(path) is None else self.number(path, count, jump)

    def percent(self, path: str, jump: str = "") -> Number:
        """Return a percentage."""
        return self.number(path, percent, jump)

    def p(self, path: str, jump: str = "") -> Spans:
        """Return a P value with its letter, ``p = 0.031`` or ``p <0.001``."""
        number = self.number(path, pvalue, jump)
        return spans("p " if number.text.startswith("<") else "p = ", number)

    def tau2(self, path: str, jump: str = "") -> Number:
        """Return a between-study variance."""
        return self.number(path, tau2_text, jump)

    def plain(self, path: str, decimals: int = 2, jump: str = "") -> Number:
        """Return a number with so many decimals."""
        return self.number(path, partial(fixed, decimals=decimals), jump)
