"""Models that need sampling, by PyMC (extra ``mtmeta[pymc]``): t effects, event counts, three levels.

Where the exact model of :mod:`mtmeta.models.bayes` applies, use it: it has no Monte Carlo error. The normal
model is here as well so that one can be checked against the other.
"""

from __future__ import annotations

import html
import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice
from mtmeta.models.bayes_words import default_priors
from mtmeta.models.events import EventCounts
from mtmeta.models.posterior_draws import Draws
from mtmeta.models.priors import HalfNormal, Normal
from mtmeta.models.priors_base import FloatArray, Prior
from mtmeta.models.sampled_priors import import_pymc, mean_variable, tau_variable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SampledBinomial", "SampledRandomEffects", "SampledResult", "SampledThreeLevel", "Sampling"]

_RHAT = 1.01  # Vehtari et al. 2021, Bayesian Anal 16, p. 667
_CAREFUL = 0.995  # target acceptance of the second try, after divergences
_ESS = 400.0  # bulk and tail, of all chains together; the same paper
Sampler = Literal["auto", "pymc", "nutpie", "numpyro"]


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Parameters
    ----------
    draws, tune : int
        A chain, kept and for adaptation.
    chains : int, at least 2
        R-hat compares them.
    target_accept : float in (0, 1)
        Higher takes smaller steps. After divergences the whole run is repeated once with 0.995.
    sampler : {"auto", "pymc", "nutpie", "numpyro"}
        "auto" is nutpie where it is installed, else PyMC's own.
    progress : bool, optional
        Progress bars; by default on a terminal only.
    cores : int, optional
        Chains at once; by default as many as the machine has processors, 4 at most.
    """

    draws: int = 1500
    tune: int = 1500
    chains: int = 4
    target_accept: float = 0.95
    sampler: Sampler = "auto"
    progress: bool | None = None
    cores: int | None = None

    def __post_init__(self) -> None:
        check_choice("sampler", self.sampler, ("auto", "pymc", "nutpie", "numpyro"))
        for name, least in (("draws", 100), ("tune", 100), ("chains", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise UsageError(f"{name}={value!r} must be a whole number, at least {least}")
        if not 0.0 < self.target_accept < 1.0:
            raise UsageError(f"target_accept={self.target_accept!r} must lie between 0 and 1")

    @property
    def engine(self) -> str:
        """The sampler that is used."""
        if self.sampler != "auto":
            return self.sampler
        return "nutpie" if find_spec("nutpie") is not None else "pymc"


def _sample(pm: Any, model: Any, how: Sampling, seed: int) -> Any:
    bars = sys.stderr.isatty() if how.progress is None else how.progress
    with model:
        return pm.sample(
            draws=how.draws,
            tune=how.tune,
            chains=how.chains,
            cores=how.cores,
            target_accept=how.target_accept,
            random_seed=seed,
            nuts_sampler=how.engine,
            progressbar=bars,
            compute_convergence_checks=False,
        )


def _checked(data: Any, names: list[str]) -> dict[str, dict[str, float]]:
    """R-hat and effective sample sizes; a chain that failed is an error.

    Raises
    ------
    ModelError
        Divergent transitions, R-hat above 1.01, or fewer than 400 effective draws.
    """
    import arviz as az

    summary = az.summary(data, var_names=names, kind="diagnostics", round_to="none")
    bad = []
    divergent = int(data.sample_stats["diverging"].sum())
    if divergent:
        bad.append(f"{divergent} divergent transitions")
    for name, row in summary.iterrows():
        if not row["r_hat"] <= _RHAT:
            bad.append(f"R-hat of {name} is {row['r_hat']:.3f}")
        elif not min(row["ess_bulk"], row["ess_tail"]) >= _ESS:
            bad.append(f"{name} has {min(row['ess_bulk'], row['ess_tail']):.0f} effective draws")
    if bad:
        raise ModelError(
            f"sampling failed: {'; '.join(bad[:4])}; draw more (Sampling(draws=..., tune=...)), start "
            "from another seed, or use a prior of tau with a lighter tail"
        )
    return {str(n): {str(c): float(row[c]) for c in summary.columns} for n, row in summary.iterrows()}


@dataclass(frozen=True, eq=False, repr=False)
class SampledResult:
    """Draws from the posterior of a sampled model. Frozen.

    Attributes
    ----------
    data : EffectSizes or EventCounts
    model : object
        The configuration that was fitted.
    inference_data : arviz.InferenceData
        What ``pm.sample`` returned, with coordinate ``study``.
    pymc_model : pymc.Model
    diagnostics_by_name : dict
        R-hat, effective sample sizes by parameter.
    seed : int
    """

    data: EffectSizes | EventCounts
    model: Any
    inference_data: Any
    pymc_model: Any
    diagnostics_by_name: dict[str, dict[str, float]]
    seed: int
    _taus: tuple[str, ...] = field(default=("tau",), repr=False)

    def _values(self, name: str) -> FloatArray:
        return np.asarray(self.inference_data.posterior[name].values, dtype=np.float64)

    @cached_property
    def mu(self) -> Draws:
        """Mean effect."""
        return Draws(self._values("mu").ravel())

    @cached_property
    def tau(self) -> Draws:
        """Between-study standard deviation; between clusters if there are three levels."""
        return Draws(self._values(self._taus[0]).ravel(), low=0.0)

    @cached_property
    def tau_within(self) -> Draws:
        """Standard deviation within clusters.

        Raises
        ------
        ModelError
            The model has no third level.
        """
        if len(self._taus) < 2:
            raise ModelError("there is no heterogeneity within clusters in this model; use SampledThreeLevel")
        return Draws(self._values(self._taus[1]).ravel(), low=0.0)

    @cached_property
    def new_study(self) -> Draws:
        """True effect of a new study (of a new cluster and row, if three levels)."""
        return Draws(self._values("new_study").ravel())

    @property
    def shrinkage(self) -> pd.DataFrame:
        """Posterior of every study's effect: study, mean, sd, low, high (95%, equal tails)."""
        import pandas as pd

        theta = self._values("theta")
        theta = theta.reshape(-1, theta.shape[-1])
        low, high = np.quantile(theta, [0.025, 0.975], axis=0)
        columns = {"mean": theta.mean(axis=0), "sd": theta.std(axis=0, ddof=1), "low": low, "high": high}
        return pd.DataFrame({"study": list(self.data.study), **columns})

    @property
    def diagnostics(self) -> pd.DataFrame:
        """R-hat, bulk and tail effective sample size, Monte Carlo errors, one parameter a row."""
        import pandas as pd

        return pd.DataFrame.from_dict(self.diagnostics_by_name, orient="index")

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, sd, median, low, high and the Monte Carlo error of the mean, one quantity a row."""
        import pandas as pd

        rows = {}
        about = {"mu": self.mu, "tau": self.tau, "new_study": self.new_study}
        if len(self._taus) > 1:
            about["tau_within"] = self.tau_within
        for name, d in about.items():
            low, high = d.ci(level)
            key = {"tau": self._taus[0], "tau_within": self._taus[-1]}.get(name, name)
            ess = self.diagnostics_by_name[key]["ess_bulk"]
            rows[name] = {
                "mean": d.mean,
                "sd": d.sd,
                "median": d.median,
                "low": low,
                "high": high,
                "mcse": d.mcse(ess),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def prior_predictive(self, draws: int = 500, seed: int | None = None) -> Any:
        """Return draws of parameters and data from the prior (arviz.InferenceData).

        Raises
        ------
        ModelError
            A flat prior predicts nothing.
        """
        pm = import_pymc()
        if not self.model.mu_of(self.data).proper:
            raise ModelError("a flat prior of the mean predicts nothing; give mu a proper prior")
        with self.pymc_model:
            return pm.sample_prior_predictive(draws=draws, random_seed=self.seed if seed is None else seed)

    def posterior_predictive(self, seed: int | None = None) -> Any:
        """Return draws of repeated data from the posterior (arviz.InferenceData)."""
        pm = import_pymc()
        with self.pymc_model:
            return pm.sample_posterior_predictive(
                self.inference_data, random_seed=self.seed if seed is None else seed, progressbar=False
            )

    def loo(self) -> Any:
        """Return PSIS leave-one-out cross-validation by study (arviz.ELPDData), with its Pareto k."""
        import arviz as az

        pm = import_pymc()
        data = self.inference_data.copy()
        with self.pymc_model:
            pm.compute_log_likelihood(data, progressbar=False)
        return az.loo(data, pointwise=True)

    @property
    def methods(self) -> str:
        """What was done, in sentences for a methods section."""
        how = self.model.sampling
        return (
            f"{self.model.sentence(self.data)} Posteriors were sampled with the No-U-Turn sampler "
            f"({'PyMC' if how.engine == 'pymc' else how.engine}), {how.chains} chains of {how.draws} draws "
            f"after {how.tune} for adaptation, seed {self.seed}; R-hat is at most {_RHAT} and the effective "
            f"sample size at least {_ESS:.0f} for every parameter, without divergent transitions."
        )

    def __repr__(self) -> str:
        low, high = self.mu.ci(0.95)
        return (
            f"SampledResult({type(self.model).__name__}, k={self.data.k}: {self.mu.median:.3f} "
            f"[{low:.3f}, {high:.3f}], tau {self.tau.median:.3f}; seed {self.seed})"
        )

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(float_format=lambda x: f"{x:.3f}", border=0)
        return f"<p>{html.escape(self.methods)}</p>{table}"


def _fit(config: Any, data: EffectSizes | EventCounts, seed: int, taus: tuple[str, ...]) -> SampledResult:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"seed={seed!r} must be a whole number, so that the run can be repeated")
    pm = import_pymc()
    model = config.build(data)
    found = _sample(pm, model, config.sampling, seed)
    if int(found.sample_stats["diverging"].sum()) and config.sampling.target_accept < _CAREFUL:
        # a few divergences mostly go with smaller steps; what is left then is an error
        found = _sample(pm, model, replace(config.sampling, target_accept=_CAREFUL), seed)
    names = ["mu", *taus, "theta", "new_study"]
    checked = _checked(found, names)
    return SampledResult(data, config, found, model, checked, seed, taus)


def _coords(data: EffectSizes | EventCounts) -> dict[str, list[str]]:
    seen: dict[str, int] = {}
    names = []
    for study in data.study:  # coordinates are unique: a second row of a study is numbered
        seen[study] = seen.get(study, 0) + 1
        names.append(study if seen[study] == 1 else f"{study} ({seen[study]})")
    return {"study": names}


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

    def build(self, es: EffectSizes) -> Any:
        """Return the PyMC model.

        Raises
        ------
        UsageError
            PyMC is not installed, or a prior that cannot be sampled.
        """
        pm = import_pymc()
        with pm.Model(coords=_coords(es)) as model:
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

    def fit(self, es: EffectSizes, seed: int) -> SampledResult:
        """Sample the posterior.

        Raises
        ------
        ModelError
            A chain failed: divergent transitions, R-hat above 1.01, fewer than 400 effective draws.
        UsageError
            PyMC is not installed, or a prior that cannot be sampled.
        """
        return _fit(self, es, seed, ("tau",))


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
        with pm.Model(coords={**_coords(es), "cluster": clusters}) as model:
            mu = mean_variable(pm, "mu", self.mu_of(es))
            between = tau_variable(pm, "tau_between", self._tau_of(es, self.tau_between))
            within = tau_variable(pm, "tau_within", self._tau_of(es, self.tau_within))
            u = between * pm.Normal("u_unit", 0.0, 1.0, dims="cluster")
            centre = mu + u[place]
            pm.Normal("y", centre, pm.math.sqrt(es.vi + within**2), observed=es.yi, dims="study")
            share = within**2 / (within**2 + es.vi)
            z = pm.Normal("z", 0.0, 1.0, dims="study")
            theta = share * es.yi + (1 - share) * centre + pm.math.sqrt(es.vi * share) * z
            pm.Deterministic("theta", theta, dims="study")
            unit = pm.Normal("z_new", 0.0, 1.0)
            pm.Deterministic("new_study", mu + pm.math.sqrt(between**2 + within**2) * unit)
        return model

    def fit(self, es: EffectSizes, seed: int) -> SampledResult:
        """Sample the posterior; see :meth:`SampledRandomEffects.fit`."""
        return _fit(self, es, seed, ("tau_between", "tau_within"))


@dataclass(frozen=True)
class SampledBinomial:
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
    """

    mu: Prior = field(default_factory=lambda: Normal(0, 4))
    tau: Prior = field(default_factory=lambda: HalfNormal(0.5))
    baseline: Prior = field(default_factory=lambda: Normal(0, 10))
    sampling: Sampling = field(default_factory=Sampling)

    def mu_of(self, events: EventCounts) -> Prior:
        """Prior of the mean."""
        return self.mu

    def sentence(self, events: EventCounts) -> str:
        """Model and priors in words."""
        return (
            "Event counts were pooled with the Bayesian binomial-normal model (Smith et al. 1995); priors: "
            f"mean log odds ratio ~ {self.mu!r}, tau ~ {self.tau!r}, control log odds of each study ~ "
            f"{self.baseline!r}."
        )

    def build(self, events: EventCounts) -> Any:
        """Return the PyMC model.

        Raises
        ------
        UsageError
            Counts that are not whole, PyMC missing, or a prior that cannot be sampled.
        """
        counts = {name: getattr(events, name) for name in ("a", "n1", "c", "n2")}
        if any(bool(np.any(values != np.round(values))) for values in counts.values()):
            raise UsageError(
                "the binomial model needs whole counts; counts adjusted for a design effect are not"
            )
        a, n1, c, n2 = (values.astype(np.int64) for values in counts.values())
        pm = import_pymc()
        with pm.Model(coords=_coords(events)) as model:
            mu = mean_variable(pm, "mu", self.mu)
            tau = tau_variable(pm, "tau", self.tau.for_variances(_rough_variances(events)))
            alpha = mean_variable(pm, "alpha", self.baseline, dims="study")
            theta = pm.Deterministic("theta", mu + tau * pm.Normal("z", 0.0, 1.0, dims="study"), dims="study")
            pm.Binomial("c", n=n2, logit_p=alpha, observed=c, dims="study")
            pm.Binomial("a", n=n1, logit_p=alpha + theta, observed=a, dims="study")
            pm.Deterministic("new_study", mu + tau * pm.Normal("z_new", 0.0, 1.0))
        return model

    def fit(self, events: EventCounts, seed: int) -> SampledResult:
        """Sample the posterior; see :meth:`SampledRandomEffects.fit`."""
        return _fit(self, events, seed, ("tau",))


def _rough_variances(events: EventCounts) -> FloatArray:
    """Variances of log odds ratios with half a person added to every cell, for priors that ask for them."""
    a, b = events.a + 0.5, events.n1 - events.a + 0.5
    c, d = events.c + 0.5, events.n2 - events.c + 0.5
    return np.asarray(1 / a + 1 / b + 1 / c + 1 / d)
