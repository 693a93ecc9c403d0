"""The common odds ratio given all margins, exactly: no normal approximation, nothing added to zero cells."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
from scipy.optimize import brentq

from mtmeta.effects.checks import require
from mtmeta.errors import ModelError
from mtmeta.measures import MEASURES, Interval, Measure, check_level
from mtmeta.models.events import EventCounts
from mtmeta.models.stack import FloatArray
from mtmeta.models.words import p_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExactOddsRatio", "ExactResult"]

_SAME = 1e-7  # probabilities this close count as equal, as in R's mantelhaen.test


@dataclass(frozen=True)
class ExactOddsRatio:
    """The common odds ratio by its exact conditional distribution.

    Given the margins of every 2x2 table, the events S of the treatment group over all studies follow a
    convolution of noncentral hypergeometric distributions with one parameter, the common odds ratio. The
    estimate is its conditional maximum-likelihood one, the interval inverts the two one-sided exact tests
    (so it never covers less than its level), the p-value sums the probabilities of all totals that are no
    more probable than the one observed.

    Notes
    -----
    Cox 1970, The Analysis of Binary Data, ch. 4; Mehta, Patel and Gray 1985, J Am Stat Assoc 80:969. The
    numbers are those of R's ``mantelhaen.test(exact = TRUE)``. One common odds ratio is assumed: for odds
    ratios that vary between studies see :class:`mtmeta.CountsModel`.

    Examples
    --------
    Two trials with few events.

    >>> ExactOddsRatio().fit(EventCounts.of([0, 2], [20, 30], [4, 5], [16, 30]))
    ExactOddsRatio: OR 0.177 [0.018, 0.922], k = 2, p = 0.024
    """

    def fit(self, events: EventCounts) -> ExactResult:
        """Pool the counts.

        Raises
        ------
        EffectError
            Counts that are not whole numbers.
        ModelError
            No study has both events and people without.
        """
        for name in ("a", "n1", "c", "n2"):
            values = getattr(events, name)
            whole = values == np.floor(values)
            require(whole, name, values, "an exact test counts tables and needs whole numbers", events.study)
        total = events.a + events.c
        kept = np.asarray((total > 0.0) & (total < events.n1 + events.n2))
        if not kept.any():
            raise ModelError("no study has both events and people without events: nothing can be estimated")
        a, n1, c, n2 = (x[kept] for x in (events.a, events.n1, events.c, events.n2))
        b, d = n1 - a, n2 - c
        guess = math.log(((a + 0.5) * (d + 0.5)).sum() / ((b + 0.5) * (c + 0.5)).sum())
        shift, log_weights = _totals(a, n1, c, n2, guess)
        return ExactResult(events, int(kept.sum()), _estimate(shift, log_weights), shift, log_weights)


@dataclass(frozen=True, eq=False, repr=False)
class ExactResult:
    """An exact common odds ratio. Frozen; the estimate is a logarithm, as elsewhere.

    Attributes
    ----------
    events : EventCounts
    informative : int
        Studies with both events and people without.
    estimate : float
        Log odds ratio; -inf or inf where the observed total is the smallest or largest possible.
    shift : ndarray (S,)
        Possible totals of events in the treatment group, less the observed one.
    log_weights : ndarray (S,)
        Logarithms of their weights at an odds ratio of 1, up to a constant.
    """

    events: EventCounts
    informative: int
    estimate: float
    shift: FloatArray = field(repr=False)
    log_weights: FloatArray = field(repr=False)

    measure: Measure = field(default=MEASURES["OR"], init=False)
    ci_method: str = field(default="exact", init=False)

    @property
    def k(self) -> int:
        """Number of studies given."""
        return self.events.k

    @property
    def odds_ratio(self) -> float:
        """The estimate on its own scale: 0, a number, or infinite."""
        return math.exp(self.estimate)

    @property
    def pvalue(self) -> float:
        """Exact two-sided p-value against an odds ratio of 1."""
        p = _probabilities(self.log_weights)
        observed = p[self.shift == 0.0][0]
        return min(1.0, float(p[p <= observed * (1.0 + _SAME)].sum()))

    def ci(self, level: float = 0.95) -> Interval:
        """Return the exact interval of the log odds ratio; an end is infinite where the estimate is."""
        tail = 0.5 * (1.0 - check_level(level))
        low = -math.inf if self.shift[0] == 0.0 else self._limit(self.shift >= 0.0, tail, rising=True)
        high = math.inf if self.shift[-1] == 0.0 else self._limit(self.shift <= 0.0, tail, rising=False)
        return Interval(low, high)

    def _limit(
        self, beyond: np.ndarray[tuple[int], np.dtype[np.bool_]], tail: float, *, rising: bool
    ) -> float:
        """Log odds ratio at which the totals `beyond` have probability `tail`."""

        def excess(theta: float) -> float:
            p = _probabilities(self.log_weights + self.shift * theta)
            return float(np.log(max(float(p[beyond].sum()), 1e-300)) - math.log(tail))

        centre = self.estimate if math.isfinite(self.estimate) else 0.0
        return _crossing(excess if rising else (lambda theta: -excess(theta)), centre)

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table of one row."""
        import pandas as pd

        low, high = self.ci()
        row = {"measure": "OR", "model": "ExactOddsRatio", "k": self.k, "estimate": self.estimate}
        return pd.DataFrame(row | {"pvalue": self.pvalue, "ci_low": low, "ci_high": high}, index=[0])

    @property
    def methods(self) -> str:
        """Sentences for a methods section, with sources."""
        return (
            "The common odds ratio, its interval and its test come from the exact conditional distribution "
            "of the events given the margins of all tables (Mehta, Patel and Gray 1985); nothing was added "
            "to zero cells."
        )

    def __repr__(self) -> str:
        low, high = (math.exp(x) for x in self.ci())
        return (
            f"ExactOddsRatio: OR {self.odds_ratio:.3f} [{low:.3f}, {high:.3f}], k = {self.k}, "
            f"{p_text(self.pvalue)}"
        )

    def _repr_html_(self) -> str:
        low, high = (math.exp(x) for x in self.ci())
        rows = (
            ("Studies", str(self.k)),
            ("Odds ratio", f"{self.odds_ratio:.4f}"),
            ("95% CI (exact)", f"{low:.4f} to {high:.4f}"),
            ("p (exact)", f"{self.pvalue:.4f}"),
        )
        body = "".join(f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in rows)
        return f"<table><caption>ExactOddsRatio</caption>{body}</table>"


def _totals(
    a: FloatArray, n1: FloatArray, c: FloatArray, n2: FloatArray, guess: float
) -> tuple[FloatArray, FloatArray]:
    """Return the possible totals less the observed one, and the logarithms of their weights at odds ratio 1.

    The tables are convolved at several odds ratios between 1 and the estimate and a little beyond, and each
    total's weight is taken from the one under which it is most probable: none that matters underflows.
    """
    ends = np.linspace(min(0.0, guess) - 2.0, max(0.0, guess) + 2.0, 13)
    best = _convolved(a, n1, c, n2, float(ends[0]))
    for tilt in ends[1:]:
        best = np.where(best[0] >= (other := _convolved(a, n1, c, n2, float(tilt)))[0], best, other)
    lowest = float((np.maximum(0.0, a + c - n2) - a).sum())
    return lowest + np.arange(float(best.shape[1])), best[1]


def _convolved(a: FloatArray, n1: FloatArray, c: FloatArray, n2: FloatArray, tilt: float) -> FloatArray:
    """Return probabilities of the totals at a log odds ratio, and log weights at odds ratio 1; (2, S)."""
    together, scale = np.ones(1), 0.0
    for x, one, y, two in zip(a, n1, c, n2, strict=True):
        m = x + y
        s = np.arange(max(0.0, m - two), min(m, one) + 1.0)
        log_ways = -(
            special.gammaln(s + 1)
            + special.gammaln(one - s + 1)
            + special.gammaln(m - s + 1)
            + special.gammaln(two - m + s + 1)
        )
        tilted = log_ways + (s - x) * tilt
        scale += float(special.logsumexp(tilted))
        together = np.convolve(together, _probabilities(tilted))
    lowest = float((np.maximum(0.0, a + c - n2) - a).sum())
    with np.errstate(divide="ignore"):  # what underflows here is taken from another tilt
        logs = np.log(together) + scale - (lowest + np.arange(float(len(together)))) * tilt
    return np.stack([together, logs])


def _probabilities(logs: FloatArray) -> FloatArray:
    p = np.exp(logs - logs.max())
    return np.asarray(p / p.sum())


def _estimate(shift: FloatArray, log_weights: FloatArray) -> float:
    """Log odds ratio at which the expected total is the observed one."""
    if shift[0] == 0.0:
        return -math.inf
    if shift[-1] == 0.0:
        return math.inf
    return _crossing(lambda theta: float(_probabilities(log_weights + shift * theta) @ shift), 0.0)


def _crossing(f: Callable[[float], float], start: float) -> float:
    """Return the zero of a rising function, looked for around `start`."""
    low, high, step = start, start, 1.0
    while f(low) > 0.0:
        low, step = low - step, 2.0 * step
    step = 1.0
    while f(high) < 0.0:
        high, step = high + step, 2.0 * step
    return start if low == high else float(brentq(f, low, high, xtol=1e-14, rtol=1e-14))
