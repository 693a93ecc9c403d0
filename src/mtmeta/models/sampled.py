"""Models that need sampling, by PyMC (extra ``mtmeta[pymc]``): t effects and three levels.

Where the exact model of :mod:`mtmeta.models.bayes` applies, use it: it has no Monte Carlo error. The normal
model is here as well so that one can be checked against the other. Counts of events stand in
:mod:`mtmeta.models.sampled_events`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice
from mtmeta.models.bayes_words import default_priors
from mtmeta.models.priors_base import FloatArray, Prior
from mtmeta.models.sampled_fit import SampledResult, Sampling, row_names, sample
from mtmeta.models.sampled_priors import import_pymc, mean_variable, tau_variable

__all__ = ["SampledRandomEffects", "SampledThreeLevel"]


@dataclass(frozen=True)
class SampledRandomEffects:
    r"""Random-effects model by sampling, with normal or t-distributed true effects.

    Parameters
    ----------
    mu, tau : Prior, optional
        As for :class:`~mtmeta.models.bayes.BayesRandomEffects`, with the same defaults.
    effects : {"normal", "t"}
        Distribution of the true effects. t: :math:`\theta_i = \mu + \tau t_i`, so that tau is the scale, not
        the standard deviation; one outlying study then moves the mean less.
    df : float, default 4
        Degrees of freedom for "t".
    sampling : Sampling

    Notes
    -----
    The true effects are integrated out of the likelihood and drawn afterwards from their conditional normal
    distributions, so that the geometry stays benign for few studies.

    References
    ----------
    Lee, K. J. & Thompson, S. G. (2008). Flexible parametric models for random-effects distributions. Stat
    Med 27, 418-434.

    Examples
    --------
    ``fit(es, seed=1)`` samples; before, the sentence says with which priors.

    >>> es = EffectSizes.of([0.1, 0.2, 0.15, 2.4], [0.02, 0.03, 0.02, 0.04], "SMD")
    >>> print(SampledRandomEffects(effects="t").sentence(es))
    Effects were pooled with a Bayesian random-effects model with t-distributed (df 4) true effects; priors:
    mu ~ Normal(0, 2), tau ~ HalfNormal(0.5).
    """

    mu: Prior | None = None
    tau: Prior | None = None
    effects: Literal["normal", "t"] = "normal"
    df: float = 4.0
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        check_choice("effects", self.effects, ("normal", "t"))
        if not (isinstance(self.df, (int, float)) and self.df > 0):
            raise UsageError(f"df={self.df!r} must be above 0")

    def mu_of(self, es: EffectSizes) -> Prior:
        """Prior of the mean, the default filled in."""
        return self.mu or default_priors(es.measure)[0]

    def tau_of(self, es: EffectSizes) -> Prior:
        """Prior of tau, the default filled in and what it takes from the data put in."""
        return (self.tau or default_priors(es.measure)[1]).for_variances(es.vi)

    def sentence(self, es: EffectSizes) -> str:
        """Model and priors in words."""
        kind = "normal" if self.effects == "normal" else f"t-distributed (df {self.df:g})"
        return (
            f"Effects were pooled with a Bayesian random-effects model with {kind} true effects; priors: "
            f"mu ~ {self.mu_of(es)!r}, tau ~ {self.tau_of(es)!r}."
        )

    def proper(self, es: EffectSizes) -> bool:
        """Whether the prior is one that predicts data."""
        return self.mu_of(es).proper

    def build(self, es: EffectSizes) -> Any:
        """Return the PyMC model.

        Raises
        ------
        UsageError
            PyMC is not installed, or a prior that cannot be sampled.
        """
        pm = import_pymc()
        with pm.Model(coords=row_names(es)) as model:
            mu = mean_variable(pm, "mu", self.mu_of(es))
            tau = tau_variable(pm, "tau", self.tau_of(es))
            spread2 = tau**2
            if self.effects == "t":
                half = 0.5 * self.df
                spread2 = spread2 / pm.Gamma("precision", alpha=half, beta=half, dims="study")
            pm.Normal("y", mu, pm.math.sqrt(es.vi + spread2), observed=es.yi, dims="study")
            # given everything else the true effects are normal; drawn from standard normals of their own
            share = spread2 / (spread2 + es.vi)
            centre = share * es.yi + (1 - share) * mu
            z = pm.Normal("z", 0.0, 1.0, dims="study")
            pm.Deterministic("theta", centre + pm.math.sqrt(es.vi * share) * z, dims="study")
            unit = (
                pm.Normal("z_new", 0.0, 1.0) if self.effects == "normal" else pm.StudentT("z_new", nu=self.df)
            )
            pm.Deterministic("new_study", mu + tau * unit)
        return model

    def generative(self, es: EffectSizes) -> tuple[Any, list[str]]:
        """Return the model that draws from the prior, and what to draw."""
        return self.build(es), ["mu", "tau", "new_study", "y"]

    def log_likelihood(self, es: EffectSizes, posterior: Any) -> FloatArray:
        """Log likelihood of each study, its effect integrated out: (chain, draw, study)."""
        mu, tau = (np.asarray(posterior[n].values, dtype=np.float64)[..., None] for n in ("mu", "tau"))
        if self.effects == "normal":
            return _normal_log_pdf(es.yi - mu, es.vi + tau**2)
        # t effects are normal ones with a gamma precision, integrated out by the trapezoidal rule in its log
        half = 0.5 * self.df
        log_p = np.linspace(-40.0 / half, np.log1p(80.0 / half), 241)
        w, precision = np.exp(half * (log_p - np.exp(log_p))), np.exp(log_p)
        parts = _normal_log_pdf((es.yi - mu)[..., None], es.vi[:, None] + (tau**2)[..., None] / precision)
        return np.asarray(special.logsumexp(parts, b=w / w.sum(), axis=-1))

    def fit(self, es: EffectSizes, seed: int) -> SampledResult:
        """Sample the posterior.

        Raises
        ------
        ModelError
            A chain failed: divergent transitions, R-hat above 1.01, fewer than 400 effective draws.
        UsageError
            PyMC is not installed, or a prior that cannot be sampled.
        """
        return sample(self, es, seed, ("tau",))


@dataclass(frozen=True)
class SampledThreeLevel:
    """Three-level model by sampling: effects in clusters, heterogeneity between and within.

    Parameters
    ----------
    mu : Prior, optional
    tau_between, tau_within : Prior, optional
        Of the standard deviations between clusters (``es.cluster``) and between rows of a cluster.
    sampling : Sampling

    References
    ----------
    Konstantopoulos, S. (2011). Res Synth Methods 2, 61-76.

    Examples
    --------
    ``fit(es, seed=1)`` samples; before, the sentence says with which priors.

    >>> es = EffectSizes.of([0.1, 0.2, 0.4], [0.02, 0.03, 0.02], "SMD", cluster=["a", "a", "b"])
    >>> print(SampledThreeLevel().sentence(es))
    Effects were pooled with a Bayesian three-level model, rows within 2 clusters; priors: mu ~ Normal(0, 2),
    tau between clusters ~ HalfNormal(0.5), within ~ HalfNormal(0.5).
    """

    mu: Prior | None = None
    tau_between: Prior | None = None
    tau_within: Prior | None = None
    sampling: Sampling = field(default_factory=Sampling)

    def mu_of(self, es: EffectSizes) -> Prior:
        """Prior of the mean, the default filled in."""
        return self.mu or default_priors(es.measure)[0]

    def _tau_of(self, es: EffectSizes, prior: Prior | None) -> Prior:
        return (prior or default_priors(es.measure)[1]).for_variances(es.vi)

    def sentence(self, es: EffectSizes) -> str:
        """Model and priors in words."""
        return (
            "Effects were pooled with a Bayesian three-level model, rows within "
            f"{len(set(es.cluster))} clusters; priors: mu ~ {self.mu_of(es)!r}, tau between clusters ~ "
            f"{self._tau_of(es, self.tau_between)!r}, within ~ {self._tau_of(es, self.tau_within)!r}."
        )

    def proper(self, es: EffectSizes) -> bool:
        """Whether the prior is one that predicts data."""
        return self.mu_of(es).proper

    def build(self, es: EffectSizes) -> Any:
        """Return the PyMC model.

        Raises
        ------
        ModelError
            One cluster, or one row in every cluster: the two heterogeneities cannot be told apart.
        UsageError
            PyMC is not installed, or a prior that cannot be sampled.
        """
        clusters = sorted(set(es.cluster), key=es.cluster.index)
        if len(clusters) < 2 or len(clusters) == es.k:
            raise ModelError(
                f"{es.k} rows in {len(clusters)} clusters do not tell heterogeneity between clusters from "
                "that within; use BayesRandomEffects"
            )
        pm = import_pymc()
        place = np.array([clusters.index(c) for c in es.cluster])
        member = (place[:, None] == np.arange(len(clusters))).astype(float)
        with pm.Model(coords={**row_names(es), "cluster": clusters}) as model:
            mu = mean_variable(pm, "mu", self.mu_of(es))
            between = tau_variable(pm, "tau_between", self._tau_of(es, self.tau_between))
            within = tau_variable(pm, "tau_within", self._tau_of(es, self.tau_within))
            _cluster_model(pm, es, member, mu, between, within)
            # given data and parameters the effects are normal: clusters first, then rows
            w = 1.0 / (es.vi + within**2)
            total = pm.math.dot(w, member)
            shrunk = between**2 / (1.0 + between**2 * total)
            z_cluster = pm.Normal("z_cluster", 0.0, 1.0, dims="cluster")
            pull = pm.math.dot(w * (es.yi - mu), member)
            u = pm.Deterministic("u", shrunk * pull + pm.math.sqrt(shrunk) * z_cluster, dims="cluster")
            centre = mu + u[place]
            share = within**2 * w
            z = pm.Normal("z", 0.0, 1.0, dims="study")
            theta = share * es.yi + (1 - share) * centre + pm.math.sqrt(es.vi * share) * z
            pm.Deterministic("theta", theta, dims="study")
            unit = pm.Normal("z_new", 0.0, 1.0)
            pm.Deterministic("new_study", mu + pm.math.sqrt(between**2 + within**2) * unit)
        return model

    def generative(self, es: EffectSizes) -> tuple[Any, list[str]]:
        """Return the model that draws from the prior, and what to draw."""
        return self.build(es), ["mu", "tau_between", "tau_within", "new_study", "y"]

    def log_likelihood(self, es: EffectSizes, posterior: Any) -> FloatArray:
        """Log density of each row given the other rows and the parameters: (chain, draw, row).

        Bürkner, P.-C., Gabry, J. & Vehtari, A. (2021). Comput Stat 36, 1243-1261, equation 10.
        """
        mu, between2, within2 = (
            np.square(x) if name != "mu" else x
            for name in ("mu", "tau_between", "tau_within")
            for x in [np.asarray(posterior[name].values, dtype=np.float64)[..., None]]
        )
        names = np.array(es.cluster)
        member = (names[:, None] == names).astype(float)
        w, r = 1.0 / (es.vi + within2), es.yi - mu
        shrunk = between2 / (1.0 + between2 * (w @ member))
        precision = w - shrunk * w**2
        pull = w * (r - shrunk * ((w * r) @ member))
        return _normal_log_pdf(pull / precision, 1.0 / precision)

    def fit(self, es: EffectSizes, seed: int) -> SampledResult:
        """Sample the posterior; see :meth:`SampledRandomEffects.fit`."""
        return sample(self, es, seed, ("tau_between", "tau_within"))


def _cluster_model(pm: Any, es: EffectSizes, member: FloatArray, mu: Any, between: Any, within: Any) -> None:
    """Put observed effects into the open model, the effects of clusters and rows integrated out."""

    def logp(value: Any, mu: Any, between: Any, within: Any) -> Any:
        w, r = 1.0 / (es.vi + within**2), value - mu
        total, pull = pm.math.dot(w, member), pm.math.dot(w * r, member)
        extra = 1.0 + between**2 * total
        square = (w * r**2).sum() - (between**2 * pull**2 / extra).sum()
        return -0.5 * (square - pm.math.log(w / (2 * np.pi)).sum() + pm.math.log(extra).sum())

    def draw(mu: Any, between: Any, within: Any, rng: np.random.Generator, size: Any) -> FloatArray:
        shape = tuple(size) if size is not None else ()
        b, w = (np.broadcast_to(x, shape)[..., None] for x in (between, within))
        u = rng.standard_normal((*shape, member.shape[1])) @ member.T
        e = rng.standard_normal((*shape, es.k))
        drawn: FloatArray = mu + b * u + np.sqrt(es.vi + np.square(w)) * e
        return drawn

    pm.CustomDist(
        "y",
        mu * np.ones(es.k),
        between,
        within,
        logp=logp,
        random=draw,
        signature="(k),(),()->(k)",
        observed=es.yi,
        dims="study",
    )


def _normal_log_pdf(deviation: FloatArray, variance: FloatArray) -> FloatArray:
    return np.asarray(-0.5 * (np.square(deviation) / variance + np.log(2 * np.pi * variance)))
