"""How sampled models are run by PyMC (extra ``mtmeta[pymc]``), and their result."""

from __future__ import annotations

import html
import logging
import sys
from abc import ABC, abstractmethod
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

__all__ = ["Sampled", "SampledResult", "Sampling", "checked", "draw", "row_names", "sample"]

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
        "auto" is the first that is installed of nutpie, numpyro and PyMC's own, fastest first.
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
        return next((name for name in ("nutpie", "numpyro") if find_spec(name) is not None), "pymc")


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
class Sampled(ABC):
    """Draws from the posterior of a sampled model, and what all such results can do. Frozen.

    Attributes
    ----------
    data : EffectSizes, EventCounts or RateCounts
    model : object
        The configuration that was fitted.
    inference_data : arviz.InferenceData
        What ``pm.sample`` returned, with named coordinates.
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
    _plan: Any = field(repr=False)
    _names: tuple[str, ...] = field(repr=False)

    def _values(self, name: str) -> FloatArray:
        return np.asarray(self.inference_data.posterior[name].values, dtype=np.float64)

    @property
    def k(self) -> int:
        """Number of rows."""
        return self.data.k

    @property
    def measure(self) -> Measure:
        """What the effects are: that of effect sizes, the odds ratio of events, the rate ratio of rates."""
        if isinstance(self.data, EffectSizes):
            return self.data.measure
        return MEASURES["OR" if isinstance(self.data, EventCounts) else "IRR"]

    @property
    def shrinkage(self) -> pd.DataFrame:
        """Posterior of every row's effect: study, mean, sd, low, high (95%, equal tails)."""
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

    def prior_predictive(self, draws: int = 500, seed: int | None = None) -> Any:
        """Return draws of the parameters, a new study's effect and data from the prior (arviz.InferenceData).

        Raises
        ------
        ModelError
            A flat prior predicts nothing.
        """
        pm = import_pymc()
        if not self._plan.proper(self.data):
            raise ModelError("a flat prior of the mean predicts nothing; give mu a proper prior")
        model, names = self._plan.generative(self.data)
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

    def _units(self) -> dict[str, list[str]]:
        """Return what cross-validation leaves out, as a coordinate."""
        return row_names(self.data)

    def loo(self) -> Any:
        """Return PSIS leave-one-out cross-validation by study (arviz.ELPDData), with its Pareto k.

        A study's own effects are integrated out of its likelihood: it is predicted from the others. Three
        levels: predicted are rows, given the effect of their cluster. Several outcomes: predicted are whole
        studies.
        """
        import arviz as az

        by_unit = self._plan.log_likelihood(self.data, self.inference_data.posterior)
        units = self._units()
        data = az.from_dict(
            posterior={name: self._values(name) for name in self._names},
            log_likelihood={"y": by_unit},
            coords=units,
            dims={"y": list(units)},
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

    def _summary(self, d: Draws, key: str, level: float) -> dict[str, float]:
        """Return mean, sd, median, limits and Monte Carlo error of a parameter whose draws were checked."""
        low, high = d.ci(level)
        error = d.mcse(self.diagnostics_by_name[key]["ess_bulk"])
        return {"mean": d.mean, "sd": d.sd, "median": d.median, "low": low, "high": high, "mcse": error}

    @abstractmethod
    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, sd, median, low, high and the Monte Carlo error of the mean, one quantity a row."""

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(float_format=lambda x: f"{x:.3f}", border=0)
        return f"<p>{html.escape(self.methods)}</p>{table}"


@dataclass(frozen=True, eq=False, repr=False)
class SampledResult(Sampled):
    """Draws from the posterior of a model with one mean and one or two heterogeneities. Frozen.

    Attributes
    ----------
    data : EffectSizes, EventCounts or RateCounts
    model : object
        The configuration that was fitted.
    inference_data : arviz.InferenceData
        What ``pm.sample`` returned, with coordinate ``study``.
    pymc_model : pymc.Model
    diagnostics_by_name : dict
        R-hat, effective sample sizes by parameter.
    seed : int
    """

    @property
    def _taus(self) -> tuple[str, ...]:
        return tuple(name for name in self._names if name.startswith("tau"))

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

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, sd, median, low, high and the Monte Carlo error of the mean, one quantity a row."""
        import pandas as pd

        about = {
            "mu": (self.mu, "mu"),
            "tau": (self.tau, self._taus[0]),
            "new_study": (self.new_study, "new_study"),
        }
        if len(self._taus) > 1:
            about["tau_within"] = self.tau_within, self._taus[1]
        rows = {name: self._summary(d, key, level) for name, (d, key) in about.items()}
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        low, high = self.mu.ci(0.95)
        return (
            f"SampledResult({type(self.model).__name__}, k={self.data.k}: {self.mu.median:.3f} "
            f"[{low:.3f}, {high:.3f}], tau {self.tau.median:.3f}; seed {self.seed})"
        )


def draw(
    plan: Any, data: EffectSizes | EventCounts | RateCounts, how: Sampling, seed: int, names: tuple[str, ...]
) -> tuple[Any, Any, dict[str, dict[str, float]]]:
    """Build a model, sample it and check its chains; return the draws, the model, the diagnostics.

    Parameters
    ----------
    plan : object
        Has ``build(data)``; and ``complete(data, posterior, rng)`` where variables that were integrated out
        of the model are drawn afterwards: a dict of name to (dimensions, draws).
    names : tuple of str
        Variables whose chains are checked.

    Raises
    ------
    ModelError
        Divergent transitions that smaller steps leave, R-hat above 1.01, fewer than 400 effective draws.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"seed={seed!r} must be a whole number, so that the run can be repeated")
    pm = import_pymc()
    model = plan.build(data)
    found = _sample(pm, model, how, seed)
    if int(found.sample_stats["diverging"].sum()) and how.target_accept < _CAREFUL:
        # a few divergences mostly go with smaller steps; what is left then is an error
        found = _sample(pm, model, replace(how, target_accept=_CAREFUL), seed)
    if hasattr(plan, "complete"):
        rest = plan.complete(data, found.posterior, np.random.default_rng(seed))
        more = {name: (("chain", "draw", *dims), values) for name, (dims, values) in rest.items()}
        used = {dim for dims, _ in rest.values() for dim in dims}
        coords = {dim: list(values) for dim, values in model.coords.items() if dim in used}
        found.posterior = found.posterior.assign_coords(coords).assign(more)
    return found, model, checked(found, list(names))


def sample(
    config: Any, data: EffectSizes | EventCounts | RateCounts, seed: int, taus: tuple[str, ...]
) -> SampledResult:
    """Sample the posterior of a model with one mean; see :func:`draw`."""
    found, model, checks = draw(config, data, config.sampling, seed, ("mu", *taus, "theta", "new_study"))
    return SampledResult(data, config, found, model, checks, seed, config, ("mu", *taus))


def row_names(data: EffectSizes | EventCounts | RateCounts) -> dict[str, list[str]]:
    """Coordinates of the rows by study; they are unique: a second row of a study is numbered."""
    seen: dict[str, int] = {}
    names = []
    for study in data.study:
        seen[study] = seen.get(study, 0) + 1
        names.append(study if seen[study] == 1 else f"{study} ({seen[study]})")
    return {"study": names}
