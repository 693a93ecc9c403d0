"""Pooling counts of events without a step through effect sizes: Mantel and Haenszel, Peto.

Both work on the 2x2 tables as they are: nothing is added to zero cells. A study without events in either
group says nothing of an odds or risk ratio and has weight 0 there; it counts for the risk difference.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.effects.binary import odds_ratio, peto_odds_ratio, risk_difference, risk_ratio
from mtmeta.effects.checks import RowError, columns, frozen, labels, require, rows_of
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import EffectError, ModelError, UsageError
from mtmeta.measures import MEASURES, Interval, Measure, check_choice, check_level, measure_of
from mtmeta.models import intervals
from mtmeta.models.stack import FloatArray
from mtmeta.models.words import p_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EventCounts", "EventResult", "MantelHaenszel", "Peto"]


@dataclass(frozen=True, eq=False)
class EventCounts:
    """Events and sizes of two groups, one row a study. Frozen; made by :meth:`of`.

    Attributes
    ----------
    a, n1 : ndarray (k,)
        Events and people in the treatment group.
    c, n2 : ndarray (k,)
        Events and people in the control group.
    study : tuple of str
    """

    a: FloatArray
    n1: FloatArray
    c: FloatArray
    n2: FloatArray
    study: tuple[str, ...]

    @classmethod
    def of(
        cls,
        a: npt.ArrayLike,
        n1: npt.ArrayLike,
        c: npt.ArrayLike,
        n2: npt.ArrayLike,
        *,
        study: Sequence[Any] | npt.ArrayLike | None = None,
    ) -> EventCounts:
        """Check counts and keep them.

        Parameters
        ----------
        a, n1, c, n2 : array_like (k,)
            ``0 <= a <= n1`` and ``0 <= c <= n2``, groups of at least one person; counts adjusted for a
            design effect need not be whole.
        study : sequence of length k, optional
            Labels; "1" to "k" by default.

        Raises
        ------
        EffectError
            A missing or negative count, more events than people, unequal lengths; study and value are named.

        Examples
        --------
        >>> EventCounts.of([4, 6], [123, 306], [11, 29], [139, 303])
        EventCounts(k=2, 50 events among 871 people)
        """
        k = rows_of(a)
        names = tuple(str(i + 1) for i in range(k)) if study is None else labels("study", study, k)
        try:
            a, n1, c, n2 = (np.atleast_1d(x) for x in columns(events=True, a=a, n1=n1, c=c, n2=n2))
        except RowError as error:
            raise error.named(names) from None
        return cls(a, n1, c, n2, names)

    def __post_init__(self) -> None:
        if not self.study:
            raise EffectError("no counts: the table has no rows; give at least one study")
        a, n1, c, n2 = columns(events=True, a=self.a, n1=self.n1, c=self.c, n2=self.n2)
        names = self.study
        require(a <= n1, "a", a, "more events than people in the treatment group; check a and n1", names)
        require(c <= n2, "c", c, "more events than people in the control group; check c and n2", names)
        for name, values in (("a", a), ("n1", n1), ("c", c), ("n2", n2)):
            if values.shape != (self.k,):
                raise EffectError(
                    f"{name} has {values.size} rows for {self.k} studies; give one count a study"
                )
            object.__setattr__(self, name, frozen(values))

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.study)

    def __repr__(self) -> str:
        events, people = float((self.a + self.c).sum()), float((self.n1 + self.n2).sum())
        return f"EventCounts(k={self.k}, {events:g} events among {people:g} people)"


@dataclass(frozen=True)
class MantelHaenszel:
    """Mantel and Haenszel's common odds ratio, risk ratio or risk difference.

    Parameters
    ----------
    measure : {"OR", "RR", "RD"} or Measure
    variance : {"Sato", "GR"}
        Of the risk difference alone: Sato's, which also serves sparse data (metafor), or Greenland and
        Robins's (RevMan).

    Raises
    ------
    UsageError
        Another measure; "GR" with a ratio (the risk ratio always has Greenland and Robins's variance, the
        odds ratio that of Robins, Breslow and Greenland).

    Notes
    -----
    Odds ratio ``sum(ad/N) / sum(bc/N)``: Mantel and Haenszel 1959, J Natl Cancer Inst 22:719; variance:
    Robins, Breslow, Greenland 1986, Biometrics 42:311. Risk ratio ``sum(a n2/N) / sum(c n1/N)`` and its
    variance: Greenland and Robins 1985, Biometrics 41:55. Risk difference with weights ``n1 n2/N``; variance:
    Sato 1989, Biometrics 45:1323, or Greenland and Robins 1985. Heterogeneity Q is taken around the pooled
    estimate over studies with an effect of their own (one half added where a cell is 0, studies without
    events or with nothing but events left out), as metafor's ``rma.mh`` does.

    Examples
    --------
    Twelve simulated trials, two with zero cells; metafor 5.1-12: 0.0057 (0.1292), Q 35.54.

    >>> events = EventCounts.of(
    ...     [0, 29, 84, 6, 14, 21, 17, 13, 6, 18, 11, 7], [39, 87, 84, 19, 40, 65, 46, 32, 20, 46, 40, 25],
    ...     [13, 0, 9, 24, 17, 13, 29, 36, 29, 27, 37, 24], [43, 51, 22, 56, 39, 36, 87, 79, 54, 61, 90, 64])
    >>> odds = MantelHaenszel("OR").fit(events)
    >>> round(odds.estimate, 4), round(odds.se, 4), round(odds.q, 2)
    (0.0057, 0.1292, 35.54)
    """

    measure: Measure | str = "OR"
    variance: Literal["Sato", "GR"] = "Sato"

    def __post_init__(self) -> None:
        code = measure_of(self.measure).code
        check_choice("measure", code, ("OR", "RR", "RD"))
        check_choice("variance", self.variance, ("Sato", "GR"))
        if self.variance == "GR" and code != "RD":
            raise UsageError(f"variance='GR' chooses between two for measure='RD'; leave it out for {code!r}")

    def fit(self, events: EventCounts) -> EventResult:
        """Pool the counts.

        Raises
        ------
        ModelError
            A ratio that is 0, infinite or undefined, because one group has no events (or nothing but events)
            in all studies; a difference when no study has both events and people without.
        """
        code = measure_of(self.measure).code
        a, n1, c, n2 = events.a, events.n1, events.c, events.n2
        if code == "OR":
            estimate, se, weights = _odds_ratio(a, n1, c, n2)
        elif code == "RR":
            estimate, se, weights = _risk_ratio(a, n1, c, n2)
        else:
            estimate, se, weights = _risk_difference(a, n1, c, n2, self.variance)
        own = {"OR": odds_ratio, "RR": risk_ratio, "RD": risk_difference}[code]
        kept = _informative(events)
        yi, vi = own(a[kept], n1[kept], c[kept], n2[kept])
        q = float((np.square(yi - estimate) / vi).sum())
        effects = _effects(events, kept, yi, vi, MEASURES[code])
        return EventResult(events, self, MEASURES[code], estimate, se, q, effects, frozen(weights))


@dataclass(frozen=True)
class Peto:
    """Peto's one-step odds ratio: observed minus expected events over their hypergeometric variance.

    Meant for rare events, groups of similar size and small effects; biased otherwise (Greenland and Salvan
    1990, Stat Med 9:247).

    Notes
    -----
    ``sum(a - E) / sum(V)`` with ``E = n1 m/N``, ``V = n1 n2 m (N - m) / (N^2 (N - 1))`` and m events among N
    people (Yusuf et al. 1985, Prog Cardiovasc Dis 27:335). Each study's own effect is ``(a - E)/V`` with
    variance 1/V, no half being added anywhere; metafor's ``rma.peto`` pools the same, though it lists the
    studies' own effects with a half added to zero cells.

    Examples
    --------
    The trials of :class:`MantelHaenszel`; metafor 5.1-12: 0.0060 (0.1327), Q 99.56.

    >>> events = EventCounts.of(
    ...     [0, 29, 84, 6, 14, 21, 17, 13, 6, 18, 11, 7], [39, 87, 84, 19, 40, 65, 46, 32, 20, 46, 40, 25],
    ...     [13, 0, 9, 24, 17, 13, 29, 36, 29, 27, 37, 24], [43, 51, 22, 56, 39, 36, 87, 79, 54, 61, 90, 64])
    >>> peto = Peto().fit(events)
    >>> round(peto.estimate, 4), round(peto.se, 4), round(peto.q, 2)
    (0.006, 0.1327, 99.56)
    """

    def fit(self, events: EventCounts) -> EventResult:
        """Pool the counts.

        Raises
        ------
        ModelError
            No study has both events and people without.
        """
        kept = _informative(events)
        measure = MEASURES["PETO"]
        yi, vi = peto_odds_ratio(
            events.a[kept], events.n1[kept], events.c[kept], events.n2[kept], zero_cells="RevMan"
        )
        v = 1.0 / vi
        total = float(v.sum())
        estimate = float(np.dot(v, yi)) / total
        q = float(np.dot(v, np.square(yi - estimate)))
        weights = np.zeros(events.k)
        weights[kept] = v / total
        effects = _effects(events, kept, yi, vi, measure)
        return EventResult(
            events, self, measure, estimate, 1.0 / math.sqrt(total), q, effects, frozen(weights)
        )


@dataclass(frozen=True, eq=False)
class EventResult:
    """A pooled ratio or difference from counts. Frozen.

    Attributes
    ----------
    events : EventCounts
    model : MantelHaenszel or Peto
    measure : Measure
        What `estimate` is; ratios are logarithms.
    estimate, se : float
    q : float
        Heterogeneity around the pooled estimate.
    effects : EffectSizes
        Effects of the studies that have both events and people without, for figures.
    study_weights : ndarray (k,)
        Share of every study given, summing to 1; 0 for a study that says nothing.
    """

    events: EventCounts
    model: MantelHaenszel | Peto
    measure: Measure
    estimate: float
    se: float
    q: float
    effects: EffectSizes = field(repr=False)
    study_weights: FloatArray = field(repr=False)

    df: float = field(default=math.inf, init=False, repr=False)
    tau2: float = field(default=0.0, init=False, repr=False)
    ci_method: str = field(default="Wald", init=False, repr=False)

    @property
    def k(self) -> int:
        """Number of studies given, those without information included."""
        return self.events.k

    @property
    def weights(self) -> FloatArray:
        """Shares of the studies in `effects`; a risk difference also weighs studies without events."""
        return frozen(self.study_weights[_informative(self.events)])

    @property
    def statistic(self) -> float:
        """``estimate / se``, standard normal without an effect; 0 when both are 0."""
        if self.se > 0.0:
            return self.estimate / self.se
        return math.copysign(math.inf, self.estimate) if self.estimate else 0.0

    @property
    def pvalue(self) -> float:
        """Two-sided p-value of `statistic`."""
        return intervals.two_sided(self.statistic)

    @property
    def q_df(self) -> int:
        """Studies with an effect of their own, less one."""
        return self.effects.k - 1

    @property
    def q_pvalue(self) -> float:
        """p-value of `q`; 1 without degrees of freedom."""
        return float(special.chdtrc(self.q_df, self.q)) if self.q_df else 1.0

    @property
    def i2(self) -> float:
        """``max(0, (Q - df)/Q)`` in percent."""
        return 100.0 * max(0.0, 1.0 - self.q_df / self.q) if self.q > 0.0 else 0.0

    @property
    def h2(self) -> float:
        """``Q/df``; 1 without degrees of freedom."""
        return self.q / self.q_df if self.q_df else 1.0

    def ci(self, level: float = 0.95) -> Interval:
        """Return Wald's interval on the scale of analysis."""
        half = intervals.critical(check_level(level)) * self.se
        return Interval(self.estimate - half, self.estimate + half)

    def tarone(self) -> tuple[float, int, float]:
        """Return Tarone's test that the odds ratios are equal: statistic, degrees of freedom, p-value.

        Breslow and Day's statistic with Tarone's correction (Tarone 1985, Biometrika 72:91), around
        Mantel and Haenszel's odds ratio.

        Raises
        ------
        ModelError
            For another measure, or with fewer than two studies that count.
        """
        if self.measure.code != "OR":
            raise ModelError(f"Tarone's test compares odds ratios; the measure is {self.measure}")
        return _tarone(self.events, math.exp(self.estimate))

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table of one row."""
        import pandas as pd

        low, high = self.ci()
        return pd.DataFrame(
            {
                "measure": self.measure.code,
                "model": type(self.model).__name__,
                "k": self.k,
                "estimate": self.estimate,
                "se": self.se,
                "statistic": self.statistic,
                "pvalue": self.pvalue,
                "ci_low": low,
                "ci_high": high,
                "i2": self.i2,
                "h2": self.h2,
                "q": self.q,
                "q_df": self.q_df,
                "q_pvalue": self.q_pvalue,
            },
            index=[0],
        )

    @property
    def methods(self) -> str:
        """Sentences for a methods section, with sources."""
        if isinstance(self.model, Peto):
            return (
                "Odds ratios were pooled by the one-step method of Peto (Yusuf et al. 1985), without adding "
                "to zero cells; the interval uses normal quantiles."
            )
        source = {
            "OR": "variance of Robins, Breslow and Greenland (1986)",
            "RR": "variance of Greenland and Robins (1985)",
            "RD": "variance of Sato (1989)"
            if self.model.variance == "Sato"
            else "variance of Greenland and Robins (1985)",
        }[self.measure.code]
        return (
            f"Counts were pooled by the method of Mantel and Haenszel (1959), measure {self.measure}, "
            f"{source}, without adding to zero cells; the interval uses normal quantiles."
        )

    def __repr__(self) -> str:
        low, high = self.ci()
        code = "OR" if self.measure.code == "PETO" else self.measure.code
        scale = "log " if self.measure.is_ratio else ""
        return (
            f"{type(self.model).__name__}: {scale}{code} {self.estimate:.3f} "
            f"[{low:.3f}, {high:.3f}], k = {self.k}, "
            f"Q = {self.q:.1f} (df {self.q_df}, {p_text(self.q_pvalue)})"
        )

    def _repr_html_(self) -> str:
        low, high = self.ci()
        rows = (
            ("Measure", self.measure.label),
            ("Studies", str(self.k)),
            ("Estimate", f"{self.estimate:.4f}"),
            ("95% CI", f"{low:.4f} to {high:.4f}"),
            ("I²", f"{self.i2:.1f}%"),
            ("Q", f"{self.q:.2f} (df {self.q_df}, {p_text(self.q_pvalue)})"),
        )
        body = "".join(f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in rows)
        return f"<table><caption>{type(self.model).__name__}</caption>{body}</table>"


# sums -----------------------------------------------------------------------------------------------------


def _informative(events: EventCounts) -> npt.NDArray[np.bool_]:
    """Return which studies have both events and people without; at least one must."""
    total = events.a + events.c
    kept = np.asarray((total > 0.0) & (total < events.n1 + events.n2))
    if not kept.any():
        raise ModelError("no study has both events and people without events: nothing can be estimated")
    return kept


def _effects(
    events: EventCounts, kept: npt.NDArray[np.bool_], yi: FloatArray, vi: FloatArray, measure: Measure
) -> EffectSizes:
    names = [name for name, use in zip(events.study, kept, strict=True) if use]
    return EffectSizes.of(yi, vi, measure, study=names, n1=events.n1[kept], n2=events.n2[kept])


def _odds_ratio(
    a: FloatArray, n1: FloatArray, c: FloatArray, n2: FloatArray
) -> tuple[float, float, FloatArray]:
    total = n1 + n2
    b, d = n1 - a, n2 - c
    r, s = a * d / total, b * c / total
    top, bottom = float(r.sum()), float(s.sum())
    if top == 0.0 or bottom == 0.0:
        raise ModelError(
            "the odds ratio is 0, infinite or undefined: a d or b c is 0 in every 2x2 table "
            f"(their sums over N are {top:g} and {bottom:g}); use Peto, or a risk difference"
        )
    p, q = (a + d) / total, (b + c) / total
    variance = 0.5 * (
        float((p * r).sum()) / top**2
        + float((p * s + q * r).sum()) / (top * bottom)
        + float((q * s).sum()) / bottom**2
    )
    return math.log(top / bottom), math.sqrt(variance), s / bottom


def _risk_ratio(
    a: FloatArray, n1: FloatArray, c: FloatArray, n2: FloatArray
) -> tuple[float, float, FloatArray]:
    total = n1 + n2
    top, lower = float((a * n2 / total).sum()), c * n1 / total
    bottom = float(lower.sum())
    if top == 0.0 or bottom == 0.0:
        group = "treatment" if top == 0.0 else "control"
        raise ModelError(
            f"the risk ratio is 0, infinite or undefined: no study has an event in the {group} group; "
            "use a risk difference"
        )
    variance = float(((n1 / total) * (n2 / total) * (a + c) - a * c / total).sum()) / (top * bottom)
    return math.log(top / bottom), math.sqrt(max(0.0, variance)), lower / bottom


def _risk_difference(
    a: FloatArray, n1: FloatArray, c: FloatArray, n2: FloatArray, kind: str
) -> tuple[float, float, FloatArray]:
    total = n1 + n2
    w = n1 * (n2 / total)
    size = float(w.sum())
    estimate = float((a * (n2 / total) - c * (n1 / total)).sum()) / size
    if kind == "GR":
        each = np.square(w) * (a * (n1 - a) / n1**3 + c * (n2 - c) / n2**3)
        variance = float(each.sum()) / size**2
    else:
        f1, f2 = n1 / total, n2 / total
        p = float((c * f1**2 - a * f2**2 + f1 * f2 * (n2 - n1) / 2.0).sum())
        q = float((a * (n2 - c) / total + c * (n1 - a) / total).sum()) / 2.0
        variance = (estimate * p + q) / size**2
    return estimate, math.sqrt(max(0.0, variance)), w / size


def _tarone(events: EventCounts, ratio: float) -> tuple[float, int, float]:
    """Compare the events with those expected under one odds ratio, margins kept."""
    use = _informative(events)
    a, n1, c, n2 = (x[use] for x in (events.a, events.n1, events.c, events.n2))
    m = a + c
    if use.sum() < 2:
        raise ModelError("Tarone's test needs at least 2 studies with events and people without")
    # the root of e (n2 - m + e) = ratio (n1 - e)(m - e) that is a possible count, in the form without loss
    sum_ = ratio * (n1 + m) + (n2 - m)
    root = np.sqrt(np.maximum(0.0, sum_**2 - 4.0 * (ratio - 1.0) * ratio * n1 * m))
    expected = 2.0 * ratio * n1 * m / (sum_ + root)
    v = 1.0 / (1.0 / expected + 1.0 / (n1 - expected) + 1.0 / (m - expected) + 1.0 / (n2 - m + expected))
    statistic = float((np.square(a - expected) / v).sum()) - float((a - expected).sum()) ** 2 / float(v.sum())
    df = int(use.sum()) - 1
    statistic = max(0.0, statistic)
    return statistic, df, float(special.chdtrc(df, statistic))
