"""Counts of events by sampling, without a correction of zero cells: binomial-normal, Poisson-normal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.models.events import EventCounts
from mtmeta.models.glmm import RateCounts
from mtmeta.models.priors import HalfNormal, Normal
from mtmeta.models.priors_base import FloatArray, Prior
from mtmeta.models.sampled_fit import SampledResult, Sampling, row_names, sample
from mtmeta.models.sampled_likelihood import Arms, binomial_arms, log_likelihood_of_arms, poisson_arms
from mtmeta.models.sampled_priors import import_pymc, log_density, mean_variable, tau_variable

__all__ = ["SampledBinomial", "SampledPoisson"]


@dataclass(frozen=True)
class _Events(ABC):
    """What both models share. The effect of study i is theta, its control arm's log odds or rate alpha.

    Sampled are coordinates in which data and prior together are close to a standard normal, whatever
    their balance (a centred form where a study knows its effect, a non-centred one where it does not):
    ``theta = mu + tau u``, ``u`` linear in ``z`` with the slope and centre that a normal likelihood would
    give it; and the middle of the two arms, in units of its standard error. The Jacobians are added to the
    log posterior.
    """

    mu: Prior = field(default_factory=lambda: Normal(0, 4))
    tau: Prior = field(default_factory=lambda: HalfNormal(0.5))
    baseline: Prior = field(default_factory=lambda: Normal(0, 10))
    sampling: Sampling = field(default_factory=Sampling)

    def proper(self, events: Any) -> bool:
        """Whether the prior is one that predicts data."""
        return self.mu.proper

    @abstractmethod
    def _arms(self, events: Any) -> Arms: ...

    @abstractmethod
    def _observe(self, pm: Any, events: Any, alpha: Any, theta: Any) -> None: ...

    def build(self, events: Any) -> Any:
        """Return the PyMC model that is sampled.

        Raises
        ------
        UsageError
            Counts that are not whole, PyMC missing, or a prior that cannot be sampled.
        """
        arms = self._arms(events)
        pm = import_pymc()
        y, v = arms.effect, arms.variance
        with pm.Model(coords=row_names(events)) as model:
            mu = mean_variable(pm, "mu", self.mu)
            tau = tau_variable(pm, "tau", self.tau.for_variances(v))
            z = pm.Flat("z", dims="study", initval=np.zeros(events.k))
            slope2 = v / (tau**2 + v)
            u = tau / (tau**2 + v) * (y - mu) + pm.math.sqrt(slope2) * z
            pm.Potential("effects", (-0.5 * u**2 + 0.5 * pm.math.log(slope2)).sum())
            theta = pm.Deterministic("theta", mu + tau * u, dims="study")
            middle = pm.Flat("middle", dims="study", initval=np.zeros(events.k))
            centred = arms.middle + np.sqrt(arms.middle_variance) * middle
            alpha = pm.Deterministic("alpha", centred - 0.5 * theta, dims="study")
            pm.Potential("baselines", log_density(pm, self.baseline, alpha).sum())
            self._observe(pm, events, alpha, theta)
            pm.Deterministic("new_study", mu + tau * pm.Normal("z_new", 0.0, 1.0))
        return model

    def generative(self, events: Any) -> tuple[Any, list[str]]:
        """Return the model in the order data arise, which draws from the prior; and what to draw."""
        arms = self._arms(events)
        pm = import_pymc()
        with pm.Model(coords=row_names(events)) as model:
            mu = mean_variable(pm, "mu", self.mu)
            tau = tau_variable(pm, "tau", self.tau.for_variances(arms.variance))
            alpha = mean_variable(pm, "alpha", self.baseline, dims="study")
            theta = pm.Normal("theta", mu, tau, dims="study")
            self._observe(pm, events, alpha, theta)
            pm.Normal("new_study", mu, tau)
        return model, ["mu", "tau", "new_study", "theta", "alpha", *arms.names]

    def log_likelihood(self, events: Any, posterior: Any) -> FloatArray:
        """Log likelihood of each study, its effect and baseline integrated out: (chain, draw, study)."""
        mu, tau = (np.asarray(posterior[n].values, dtype=np.float64) for n in ("mu", "tau"))
        flat = log_likelihood_of_arms(self._arms(events), self.baseline, mu.ravel(), tau.ravel())
        return flat.reshape(*mu.shape, events.k)


@dataclass(frozen=True)
class SampledBinomial(_Events):
    r"""Binomial-normal model of log odds ratios by sampling: no correction of zero cells.

    :math:`a_i\sim Bin(n_{1i}, \mathrm{logit}^{-1}(\alpha_i + \theta_i))`,
    :math:`c_i\sim Bin(n_{2i}, \mathrm{logit}^{-1}\alpha_i)`, :math:`\theta_i\sim N(\mu, \tau^2)`.

    Parameters
    ----------
    mu : Prior, default Normal(0, 4)
        Of the mean log odds ratio.
    tau : Prior, default HalfNormal(0.5)
    baseline : Prior, default Normal(0, 10)
        Of every study's log odds in the control group, independent of each other.
    sampling : Sampling

    References
    ----------
    Smith, T. C., Spiegelhalter, D. J. & Thomas, A. (1995). Stat Med 14, 2685-2699.

    Examples
    --------
    The first three BCG trials (Colditz et al. 1994); ``fit(events, seed=1)`` samples.

    >>> events = EventCounts.of([4, 6, 3], [123, 306, 231], [11, 29, 11], [139, 303, 220])
    >>> print(SampledBinomial(baseline=Normal(-3, 2)).sentence(events))
    Event counts were pooled with the Bayesian binomial-normal model (Smith et al. 1995); priors: mean log
    odds ratio ~ Normal(0, 4), tau ~ HalfNormal(0.5), control log odds of each study ~ Normal(-3, 2).
    """

    def sentence(self, events: EventCounts) -> str:
        """Model and priors in words."""
        return (
            "Event counts were pooled with the Bayesian binomial-normal model (Smith et al. 1995); priors: "
            f"mean log odds ratio ~ {self.mu!r}, tau ~ {self.tau!r}, control log odds of each study ~ "
            f"{self.baseline!r}."
        )

    def fit(self, events: EventCounts, seed: int) -> SampledResult:
        """Sample the posterior; see :meth:`SampledRandomEffects.fit`."""
        return sample(self, events, seed, ("tau",))

    def _arms(self, events: EventCounts) -> Arms:
        counts = [getattr(events, name) for name in ("a", "n1", "c", "n2")]
        _require_whole("binomial", counts)
        return binomial_arms(*counts)

    def _observe(self, pm: Any, events: EventCounts, alpha: Any, theta: Any) -> None:
        a, n1, c, n2 = (getattr(events, n).astype(np.int64) for n in ("a", "n1", "c", "n2"))
        pm.Binomial("c", n=n2, logit_p=alpha, observed=c, dims="study")
        pm.Binomial("a", n=n1, logit_p=alpha + theta, observed=a, dims="study")


@dataclass(frozen=True)
class SampledPoisson(_Events):
    r"""Poisson-normal model of log rate ratios by sampling: no correction of zero counts.

    :math:`x_{1i}\sim Poisson(t_{1i} e^{\alpha_i + \theta_i})`,
    :math:`x_{2i}\sim Poisson(t_{2i} e^{\alpha_i})`, :math:`\theta_i\sim N(\mu, \tau^2)`.

    Parameters
    ----------
    mu : Prior, default Normal(0, 4)
        Of the mean log rate ratio.
    tau : Prior, default HalfNormal(0.5)
    baseline : Prior, default Normal(0, 10)
        Of every study's log rate in the control group, independent of each other, in the data's unit of
        time. With Flat() the model is that of the counts given their sums.
    sampling : Sampling

    References
    ----------
    Böhning, D., Mylona, K. & Kimber, A. (2015). Meta-analysis of clinical trials with rare events. Biom J
    57, 633-648.

    Examples
    --------
    ``fit(events, seed=1)`` samples; a trial without events stays as it is.

    >>> events = RateCounts.of([0, 1], [12, 20], [4, 3], [15, 22])
    >>> print(SampledPoisson().sentence(events))
    Events over person-time were pooled with the Bayesian Poisson-normal model; priors: mean log rate ratio ~
    Normal(0, 4), tau ~ HalfNormal(0.5), control log rate of each study ~ Normal(0, 10).
    """

    def sentence(self, events: RateCounts) -> str:
        """Model and priors in words."""
        return (
            "Events over person-time were pooled with the Bayesian Poisson-normal model; priors: mean log "
            f"rate ratio ~ {self.mu!r}, tau ~ {self.tau!r}, control log rate of each study ~ "
            f"{self.baseline!r}."
        )

    def fit(self, events: RateCounts, seed: int) -> SampledResult:
        """Sample the posterior; see :meth:`SampledRandomEffects.fit`."""
        return sample(self, events, seed, ("tau",))

    def _arms(self, events: RateCounts) -> Arms:
        _require_whole("Poisson", [events.x1, events.x2])
        return poisson_arms(events.x1, events.t1, events.x2, events.t2)

    def _observe(self, pm: Any, events: RateCounts, alpha: Any, theta: Any) -> None:
        x1, x2 = (getattr(events, n).astype(np.int64) for n in ("x1", "x2"))
        pm.Poisson("x2", mu=events.t2 * pm.math.exp(alpha), observed=x2, dims="study")
        pm.Poisson("x1", mu=events.t1 * pm.math.exp(alpha + theta), observed=x1, dims="study")


def _require_whole(model: str, counts: list[FloatArray]) -> None:
    if any(bool(np.any(values != np.round(values))) for values in counts):
        raise UsageError(f"the {model} model needs whole counts; counts adjusted for a design effect are not")
