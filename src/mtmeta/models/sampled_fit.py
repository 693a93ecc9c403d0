"""How sampled models are run by PyMC (extra ``mtmeta[pymc]``), and their result."""

from __future__ import annotations

import html
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import MEASURES, Measure, check_choice
from mtmeta.models.events import EventCounts
from mtmeta.models.glmm import RateCounts
from mtmeta.models.posterior_draws import Draws
from mtmeta.models.priors_base import FloatArray
from mtmeta.models.sampled_priors import import_pymc

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SampledResult", "Sampling", "checked", "row_names", "sample"]

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

    Examples
    --------
    >>> Sampling(draws=2000, sampler="pymc").engine
    'pymc'
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


@contextmanager
def quiet(*, unless: bool = False) -> Iterator[None]:
    """Keep PyMC's messages about its own progress back; warnings pass."""
    log = logging.getLogger("pymc")
    level = log.level
    if not unless:
        log.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(level)


def _sample(pm: Any, model: Any, how: Sampling, seed: int) -> Any:
    bars = sys.stderr.isatty() if how.progress is None else how.progress
    with model, quiet(unless=bars):
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


def checked(data: Any, names: list[str]) -> dict[str, dict[str, float]]:
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

    data: EffectSizes | EventCounts | RateCounts
    model: Any
    inference_data: Any
    pymc_model: Any
    diagnostics_by_name: dict[str, dict[str, float]]
    seed: int
    _taus: tuple[str, ...] = field(default=("tau",), repr=False)

    def _values(self, name: str) -> FloatArray:
        return np.asarray(self.inference_data.posterior[name].values, dtype=np.float64)

    @property
    def measure(self) -> Measure:
        """What the effects are: that of effect sizes, the odds ratio of events, the rate ratio of rates."""
        if isinstance(self.data, EffectSizes):
            return self.data.measure
        return MEASURES["OR" if isinstance(self.data, EventCounts) else "IRR"]

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
        """Return draws of mu, tau, a new study's effect and data from the prior (arviz.InferenceData).

        Raises
        ------
        ModelError
            A flat prior predicts nothing.
        """
        pm = import_pymc()
        if not self.model.mu_of(self.data).proper:
            raise ModelError("a flat prior of the mean predicts nothing; give mu a proper prior")
        model, names = self.model.generative(self.data)
        with model, quiet():
            return pm.sample_prior_predictive(
                draws=draws, var_names=names, random_seed=self.seed if seed is None else seed
            )

    def posterior_predictive(self, seed: int | None = None) -> Any:
        """Return draws of repeated data from the posterior (arviz.InferenceData)."""
        pm = import_pymc()
        with self.pymc_model, quiet():
            return pm.sample_posterior_predictive(
                self.inference_data, random_seed=self.seed if seed is None else seed, progressbar=False
            )

    def loo(self) -> Any:
        """Return PSIS leave-one-out cross-validation by study (arviz.ELPDData), with its Pareto k.

        A study's own effect is integrated out of its likelihood: it is predicted from the others. Three
        levels: predicted are rows, given the effect of their cluster.
        """
        import arviz as az

        by_study = self.model.log_likelihood(self.data, self.inference_data.posterior)
        draws = {name: self._values(name) for name in ("mu", *self._taus)}
        data = az.from_dict(
            posterior=draws,
            log_likelihood={"y": by_study},
            coords={"study": row_names(self.data)["study"]},
            dims={"y": ["study"]},
        )
        return az.loo(data, pointwise=True)

    @property
    def methods(self) -> str:
        """What was done, in sentences for a methods section."""
        how = self.model.sampling
        return (
            f"{self.model.sentence(self.data)} Posteriors were sampled with the No-U-Turn sampler of "
            "Hoffman and Gelman (2014) "
            f"({'PyMC' if how.engine == 'pymc' else how.engine}), {how.chains} chains of {how.draws} draws "
            f"after {how.tune} for adaptation, seed {self.seed}; R-hat is at most {_RHAT} and the effective "
            f"sample size at least {_ESS:.0f} for every parameter (Vehtari et al. 2021), without "
            "divergent transitions."
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


def sample(
    config: Any, data: EffectSizes | EventCounts | RateCounts, seed: int, taus: tuple[str, ...]
) -> SampledResult:
    """Sample a model's posterior; a failed chain is an error.

    Raises
    ------
    ModelError
        Divergent transitions that smaller steps leave, R-hat above 1.01, fewer than 400 effective draws.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"seed={seed!r} must be a whole number, so that the run can be repeated")
    pm = import_pymc()
    model = config.build(data)
    found = _sample(pm, model, config.sampling, seed)
    if int(found.sample_stats["diverging"].sum()) and config.sampling.target_accept < _CAREFUL:
        # a few divergences mostly go with smaller steps; what is left then is an error
        found = _sample(pm, model, replace(config.sampling, target_accept=_CAREFUL), seed)
    names = ["mu", *taus, "theta", "new_study"]
    diagnostics = checked(found, names)
    return SampledResult(data, config, found, model, diagnostics, seed, taus)


def row_names(data: EffectSizes | EventCounts | RateCounts) -> dict[str, list[str]]:
    """Coordinates of the rows by study; they are unique: a second row of a study is numbered."""
    seen: dict[str, int] = {}
    names = []
    for study in data.study:
        seen[study] = seen.get(study, 0) + 1
        names.append(study if seen[study] == 1 else f"{study} ({seen[study]})")
    return {"study": names}
