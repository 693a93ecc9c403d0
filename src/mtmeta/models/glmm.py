"""Random-effects models of the counts themselves: no effect sizes, no variances, nothing added to zeros."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.optimize import brentq

from mtmeta.effects.checks import RowError, columns, frozen, labels, require, rows_of
from mtmeta.errors import EffectError, ModelError, UsageError
from mtmeta.measures import MEASURES, Interval, Measure, check_choice, check_level
from mtmeta.models import counts_likelihood as lik, intervals
from mtmeta.models.counts_likelihood import Likelihood, Maximum
from mtmeta.models.events import EventCounts
from mtmeta.models.stack import FloatArray
from mtmeta.models.words import p_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CountsModel", "CountsResult", "RateCounts"]

Kind = Literal["CM.EL", "CM.AL", "UM.FS"]
_KINDS = ("CM.EL", "CM.AL", "UM.FS")
_NAMES = {"OR": "log OR", "IRR": "log IRR", "PLO": "log odds", "IRLN": "log rate"}
_FARTHEST = 20.0  # largest tau that an interval is followed to


@dataclass(frozen=True, eq=False)
class RateCounts:
    """Events and person-time of two groups, one row a study. Frozen; made by :meth:`of`.

    Attributes
    ----------
    x1, t1 : ndarray (k,)
        Events and person-time in the treatment group.
    x2, t2 : ndarray (k,)
        Events and person-time in the control group.
    study : tuple of str
    """

    x1: FloatArray
    t1: FloatArray
    x2: FloatArray
    t2: FloatArray
    study: tuple[str, ...]

    @classmethod
    def of(
        cls,
        x1: npt.ArrayLike,
        t1: npt.ArrayLike,
        x2: npt.ArrayLike,
        t2: npt.ArrayLike,
        *,
        study: Sequence[Any] | npt.ArrayLike | None = None,
    ) -> RateCounts:
        """Check counts and keep them.

        Parameters
        ----------
        x1, t1, x2, t2 : array_like (k,)
            Events >= 0 and person-time > 0.
        study : sequence of length k, optional
            Labels; "1" to "k" by default.

        Raises
        ------
        EffectError
            A missing or negative number, no person-time, unequal lengths; study and value are named.

        Examples
        --------
        >>> RateCounts.of([4, 6], [123, 306], [11, 29], [139, 303])
        RateCounts(k=2, 50 events in 871 units of time)
        """
        k = rows_of(x1)
        names = tuple(str(i + 1) for i in range(k)) if study is None else labels("study", study, k)
        try:
            x1, t1, x2, t2 = (np.atleast_1d(x) for x in columns(x1=x1, t1=t1, x2=x2, t2=t2))
        except RowError as error:
            raise error.named(names) from None
        return cls(x1, t1, x2, t2, names)

    def __post_init__(self) -> None:
        if not self.study:
            raise EffectError("no counts: the table has no rows; give at least one study")
        for name in ("x1", "t1", "x2", "t2"):
            values = getattr(self, name)
            if values.shape != (self.k,):
                raise EffectError(f"{name} has {values.size} rows for {self.k} studies; give one a study")
            good = values > 0.0 if name[0] == "t" else values >= 0.0
            what = "person-time must be above 0" if name[0] == "t" else "events must not be negative"
            require(good, name, values, what, self.study)
            object.__setattr__(self, name, frozen(values))

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.study)

    def __repr__(self) -> str:
        events, time = float((self.x1 + self.x2).sum()), float((self.t1 + self.t2).sum())
        return f"RateCounts(k={self.k}, {events:g} events in {time:g} units of time)"


class Counted(Protocol):
    """Counts of k studies, of any kind."""

    @property
    def k(self) -> int:
        """Number of studies."""
        ...


class CountsConfig(Protocol):
    """What the result says of its model."""

    @property
    def kind(self) -> str:
        """Code of the likelihood."""
        ...

    @property
    def random(self) -> bool:
        """Whether tau2 was estimated."""
        ...


@dataclass(frozen=True)
class CountsModel:
    r"""Generalised linear mixed model of counts: log odds ratios or log rate ratios, normal between studies.

    Every study has its own log ratio, ``theta_i ~ N(theta, tau2)``, and its counts are binomial or Poisson
    given that; theta and tau2 are estimated by maximum likelihood, with the integral over theta_i done to
    machine accuracy. Zero counts are ordinary data. Studies without any event (or without anybody who had
    none) say nothing of an odds ratio and are set aside by the likelihood itself.

    Parameters
    ----------
    kind : {"CM.EL", "CM.AL", "UM.FS"}
        metafor's codes.

        - "CM.EL": conditional on the total of events, exact: noncentral hypergeometric for odds ratios
          (van Houwelingen, Zwinderman, Stijnen 1993, Stat Med 12:2273; Stijnen, Hamza, Ozdemir 2010,
          Stat Med 29:3046), binomial for rate ratios.
        - "CM.AL": conditional, the hypergeometric replaced by a binomial, for odds ratios of rare events.
        - "UM.FS": unconditional, each study with a fixed baseline of its own; the log ratio is split evenly
          around it (``coding = 1/2``).
    random : bool
        Whether tau2 is estimated; False holds it at 0 (metafor's ``method="EE"``).

    Raises
    ------
    UsageError
        An unknown kind; "CM.AL" with rates, which "CM.EL" treats exactly.

    Notes
    -----
    Where metafor calls lme4 (Laplace or few nodes) or integrates to 1e-8, this takes the integrals to 1e-12
    and the maximum to 1e-10, so that its likelihood is never lower; tests hold both against each other. The
    standard error comes from the observed information of theta and tau, as metafor's does for "CM.EL".

    Examples
    --------
    BCG vaccine, counts of 13 trials.

    >>> vaccinated = [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27]
    >>> n1 = [123, 306, 231, 13598, 5069, 1541, 2545, 88391, 7499, 1716, 50634, 2498, 16913]
    >>> control = [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29]
    >>> n2 = [139, 303, 220, 12867, 5808, 1451, 629, 88391, 7277, 1665, 27338, 2341, 17854]
    >>> CountsModel("CM.AL").fit(EventCounts.of(vaccinated, n1, control, n2))
    CountsModel (CM.AL): log OR -0.722 [-1.064, -0.380], k = 13, tau2 = 0.289
    """

    kind: Kind = "CM.EL"
    random: bool = True

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, _KINDS)

    def fit(self, counts: EventCounts | RateCounts) -> CountsResult:
        """Pool the counts.

        Parameters
        ----------
        counts : EventCounts or RateCounts
            Odds ratios come from the first, rate ratios from the second.

        Raises
        ------
        ModelError
            No finite estimate: one group without events (or with nothing else) in all studies, or counts
            that do not limit tau2. "CM.EL" with counts that are not whole numbers.
        """
        if isinstance(counts, EventCounts):
            measure, likelihood, kept = _of_events(counts, self.kind)
        else:
            measure, likelihood, kept = _of_rates(counts, self.kind)
        used = int(kept.sum())
        if self.random and used < 2:
            raise ModelError(
                f"tau2 needs at least 2 studies that say something of the ratio and there are {used}; "
                "use random=False"
            )
        best = lik.maximise(likelihood) if self.random else lik.at_tau(likelihood, 0.0)
        return CountsResult(counts, self, MEASURES[measure], used, likelihood, best)


@dataclass(frozen=True, eq=False, repr=False)
class CountsResult:
    """A pooled ratio, or a pooled odds or rate of one group, from a model of counts. Frozen.

    Attributes
    ----------
    counts : EventCounts, RateCounts or GroupCounts
    model : CountsModel or OneGroupModel
    measure : Measure
        OR, IRR, PLO or IRLN; estimates are logarithms, `measure.back` takes them to the scale people read.
    informative : int
        Studies that say something of it.
    likelihood : Likelihood
        Of those studies.
    best : Maximum
        Where it is highest.
    """

    counts: Counted
    model: CountsConfig
    measure: Measure
    informative: int
    likelihood: Likelihood = field(repr=False)
    best: Maximum = field(repr=False)

    df: float = field(default=math.inf, init=False)
    ci_method: str = field(default="Wald", init=False)

    @property
    def k(self) -> int:
        """Number of studies given, those without information included."""
        return self.counts.k

    @property
    def estimate(self) -> float:
        """Pooled log ratio (of one group: log odds or log rate) theta."""
        return self.best.theta

    @property
    def tau2(self) -> float:
        """Between-study variance of the log ratios."""
        return self.best.tau**2

    @property
    def tau(self) -> float:
        """Between-study standard deviation of the log ratios."""
        return self.best.tau

    @property
    def se(self) -> float:
        """Standard error of `estimate`: observed information of theta and tau, of theta where tau is 0."""
        information = self.best.information
        if self.best.tau == 0.0:
            return 1.0 / math.sqrt(float(information[0, 0]))
        return math.sqrt(float(np.linalg.inv(information)[0, 0]))

    @property
    def tau2_se(self) -> float:
        """Standard error of `tau2`, ``2 tau`` times that of tau.

        Raises
        ------
        ModelError
            tau2 is 0 or was not estimated: there is no curvature to take it from.
        """
        if self.best.tau == 0.0:
            raise ModelError("tau2 is 0, where the likelihood gives it no standard error; use tau2_ci()")
        return 2.0 * self.tau * math.sqrt(float(np.linalg.inv(self.best.information)[1, 1]))

    @property
    def statistic(self) -> float:
        """``estimate / se``, standard normal without an effect."""
        return self.estimate / self.se

    @property
    def pvalue(self) -> float:
        """Two-sided p-value of `statistic`."""
        return intervals.two_sided(self.statistic)

    @property
    def loglik(self) -> float:
        """Log-likelihood with all constants; those of different kinds are not comparable."""
        return self.best.at.value

    def ci(self, level: float = 0.95) -> Interval:
        """Return Wald's interval of the log ratio."""
        half = intervals.critical(check_level(level)) * self.se
        return Interval(self.estimate - half, self.estimate + half)

    def pi(self, level: float = 0.95) -> Interval:
        """Return where the log ratio of a new study will lie: normal, ``sqrt(tau2 + se^2)``, as in metafor.

        Raises
        ------
        ModelError
            A model without random effects.
        """
        if not self.model.random:
            raise ModelError("a model with random=False says nothing of a new study")
        half = intervals.critical(check_level(level)) * math.sqrt(self.tau2 + self.se**2)
        return Interval(self.estimate - half, self.estimate + half)

    def tau2_ci(self, level: float = 0.95) -> Interval:
        """Return the profile-likelihood interval of tau2, theta maximised at every value.

        The upper limit is infinite where the likelihood stays within reach up to tau = 20.

        Raises
        ------
        ModelError
            A model without random effects.
        """
        check_level(level)
        if not self.model.random:
            raise ModelError("a model with random=False has no interval of tau2")
        cut = self.loglik - 0.5 * float(special.chdtri(1, 1.0 - level))

        def excess(tau: float) -> float:
            return lik.at_tau(self.likelihood, tau, self.best).at.value - cut

        low = 0.0
        if self.tau > 0.0 and excess(0.0) < 0.0:
            low = _root(excess, 0.0, self.tau)
        inside, outside = self.tau, max(2.0 * self.tau, 0.1)
        while excess(outside) > 0.0:
            inside, outside = outside, 2.0 * outside
            if inside > _FARTHEST:
                return Interval(low**2, math.inf)
        return Interval(low**2, _root(excess, inside, outside) ** 2)

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table of one row; prediction limits are NaN without random effects."""
        import pandas as pd

        low, high = self.ci()
        pi_low, pi_high = self.pi() if self.model.random else (math.nan, math.nan)
        row = {
            "measure": self.measure.code,
            "model": f"{type(self.model).__name__} {self.model.kind}",
            "k": self.k,
        }
        numbers = {
            "estimate": self.estimate,
            "se": self.se,
            "statistic": self.statistic,
            "pvalue": self.pvalue,
            "ci_low": low,
            "ci_high": high,
            "pi_low": pi_low,
            "pi_high": pi_high,
            "tau2": self.tau2,
            "loglik": self.loglik,
        }
        return pd.DataFrame(row | numbers, index=[0])

    @property
    def methods(self) -> str:
        """Sentences for a methods section, with sources."""
        exact = "exact noncentral hypergeometric likelihood given both margins (van Houwelingen et al. 1993)"
        binomial = "binomial likelihood of the events given their total (Stijnen et al. 2010)"
        ratio = self.measure.code in ("OR", "IRR")
        people = self.measure.code in ("OR", "PLO")
        kind = {
            "CM.EL": exact if people else binomial,
            "CM.AL": f"{binomial}, which approximates the exact one for rare events",
            "UM.FS": f"{'binomial' if people else 'Poisson'} likelihood with a fixed baseline for each study",
            "one group": f"{'binomial' if people else 'Poisson'} likelihood (Stijnen et al. 2010)",
        }[self.model.kind]
        what = "log ratio" if ratio else _NAMES[self.measure.code]
        between = (
            f"{what if what.endswith('s') else f'{what}s'} normal between studies, tau2 = {self.tau2:.3g}"
            if self.model.random
            else f"one {what} common to all studies"
        )
        aside = self.k - self.informative
        note = f" {aside} of {self.k} studies say nothing of the ratio." if aside else ""
        return (
            f"Counts were pooled by maximum likelihood ({self.measure}): {kind}, {between}; nothing was "
            f"added to zero counts, and the interval uses normal quantiles (Wald).{note}"
        )

    def __repr__(self) -> str:
        low, high = self.ci()
        spread = f", tau2 = {self.tau2:.3f}" if self.model.random else ", no random effects"
        return (
            f"{self._title}: {_NAMES[self.measure.code]} {self.estimate:.3f} "
            f"[{low:.3f}, {high:.3f}], k = {self.k}{spread}"
        )

    @property
    def _title(self) -> str:
        name = type(self.model).__name__
        return name if self.model.kind == "one group" else f"{name} ({self.model.kind})"

    def _repr_html_(self) -> str:
        low, high = self.ci()
        rows = [
            ("Measure", self.measure.label),
            ("Studies", str(self.k)),
            ("Estimate", f"{self.estimate:.4f}"),
            ("95% CI (Wald)", f"{low:.4f} to {high:.4f}"),
            ("p", p_text(self.pvalue).removeprefix("p ").removeprefix("= ")),
            ("tau²", f"{self.tau2:.4f} (ML)" if self.model.random else "0 (not estimated)"),
        ]
        if self.informative < self.k:
            rows.append(("Studies without information", str(self.k - self.informative)))
        body = "".join(f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in rows)
        return f"<table><caption>{html.escape(self._title)}</caption>{body}</table>"


# likelihoods -----------------------------------------------------------------------------------------------


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(f, low, high, xtol=1e-12, rtol=1e-12))


def _of_events(events: EventCounts, kind: Kind) -> tuple[str, Likelihood, npt.NDArray[np.bool_]]:
    total = events.a + events.c
    kept = np.asarray((total > 0.0) & (total < events.n1 + events.n2))
    a, n1, c, n2 = (x[kept] for x in (events.a, events.n1, events.c, events.n2))
    approximate = kind == "CM.AL"
    _limited(kept, (a == 0.0) | ((c == n2) & (not approximate)), (c == 0.0) | ((a == n1) & (not approximate)))
    if kind == "CM.AL":
        return "OR", lik.Binomial(a, a + c, np.log(n1 / n2)), kept
    if kind == "UM.FS":
        return "OR", lik.TwoBinomials(a, n1, c, n2), kept
    for name, values in (("a", events.a), ("n1", events.n1), ("c", events.c), ("n2", events.n2)):
        require(
            values == np.floor(values),
            name,
            values,
            "the exact conditional model counts tables and needs whole numbers; use 'UM.FS'",
            events.study,
        )
    return "OR", lik.Hypergeometric.of(a, n1, c, n2), kept


def _of_rates(rates: RateCounts, kind: Kind) -> tuple[str, Likelihood, npt.NDArray[np.bool_]]:
    if kind == "CM.AL":
        raise UsageError("kind='CM.AL' approximates odds ratios; for rates kind='CM.EL' is exact")
    kept = np.asarray(rates.x1 + rates.x2 > 0.0)
    x1, t1, x2, t2 = (x[kept] for x in (rates.x1, rates.t1, rates.x2, rates.t2))
    _limited(kept, x1 == 0.0, x2 == 0.0)
    if kind == "CM.EL":
        return "IRR", lik.Binomial(x1, x1 + x2, np.log(t1 / t2)), kept
    return "IRR", lik.TwoPoissons(x1, t1, x2, t2), kept


def _limited(
    kept: npt.NDArray[np.bool_], lowest: npt.NDArray[np.bool_], highest: npt.NDArray[np.bool_]
) -> None:
    """Refuse counts whose likelihood rises forever to one side: all studies at an end of what is possible."""
    if not kept.any():
        raise ModelError("no study has both events and people without events: nothing can be estimated")
    for ends, group in ((lowest, "treatment"), (highest, "control")):
        if ends.all():
            raise ModelError(
                f"the ratio is 0 or infinite: no study limits it from the side of the {group} group, which "
                "has no events (or the other group nothing else); use Peto, or a risk difference"
            )
