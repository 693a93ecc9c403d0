"""Cases of the Bayesian models: exact posteriors beside PyMC's sampling of the same one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import mtmeta as mt
from common import SEED, Size, peers, simulated
from harness import Case, Contender

PRIORS = mt.Normal(0, 2), mt.HalfNormal(0.5)
WORKERS = 2


def _summaries(fit: mt.BayesResult) -> object:
    """Everything a report prints: both tables, evidence, probabilities."""
    return (
        fit.to_frame(),
        fit.shrinkage,
        fit.i2,
        fit.log_marginal,
        fit.bayes_factor(mu=0),
        fit.bayes_factor(tau=0),
        fit.prob_beyond(0.2),
    )


def single(size: Size) -> Case:
    yi, vi = (values[0] for values in simulated(13))
    table = mt.EffectSizes.of(yi, vi, measure="SMD")
    model = mt.BayesRandomEffects(*PRIORS)

    def pymc() -> Contender:
        how = mt.Sampling(draws=1000, tune=1000, progress=False, sampler="pymc", cores=WORKERS)
        sampled = mt.SampledRandomEffects(*PRIORS, sampling=how)
        return lambda: sampled.fit(table, seed=SEED).to_frame()

    here, absent = peers({"PyMC NUTS, the same posterior": ("pymc", pymc)})
    return Case(
        "bayes",
        "one exact Bayesian fit, k = 13",
        {
            "mtmeta, all summaries": lambda: _summaries(model.fit(table)),
            "mtmeta, mean, interval, tau": lambda: _short(model.fit(table)),
            **here,
        },
        5e-3,
        absent,
    )


def _short(fit: mt.BayesResult) -> tuple[float, ...]:
    return (fit.mu.mean, fit.mu.sd, *fit.ci(), *fit.pi(), fit.tau.median, *fit.tau.ci(0.95))


def _some(tables: list[mt.EffectSizes]) -> list[tuple[float, ...]]:
    model = mt.BayesRandomEffects(*PRIORS)
    return [_short(model.fit(table)) for table in tables]


def many(size: Size) -> Case:
    """The sizes of Cochrane's meta-analyses of standardised mean differences: mostly small, a long tail."""
    count = 6_053 if size.batch > 1_000 else size.batch
    sizes = np.clip(np.random.default_rng(SEED).geometric(1 / 7, count) + 1, 2, 60)
    tables = [mt.EffectSizes.of(*_one(k, i), measure="SMD") for i, k in enumerate(sizes)]

    def ours() -> object:
        with ProcessPoolExecutor(WORKERS) as pool:
            return list(pool.map(_some, [tables[i::8] for i in range(8)]))

    return Case(
        "bayes-many",
        f"{count:,} simulated meta-analyses of 2 to 60 trials, exactly: mean, intervals, tau; two processes",
        {"mtmeta": ours},
        20.0,
        {},
    )


def _one(k: int, i: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([SEED, i])
    vi = 2 / rng.integers(10, 101, size=int(k)) + 0.01
    return rng.normal(rng.normal(0, 0.4), np.sqrt(rng.gamma(1, 0.1) + vi)), vi


def averaged(size: Size) -> Case:
    yi, vi = (values[0] for values in simulated(13))
    table = mt.EffectSizes.of(yi, vi, measure="SMD")
    model = mt.BayesModelAverage()

    def evidence() -> object:
        fit = model.fit(table)
        return fit.models, fit.inclusion_bf("effect"), fit.inclusion_bf("heterogeneity")

    def everything() -> object:
        fit = model.fit(table)
        return fit.models, fit.to_frame()

    return Case(
        "bayes-average",
        "four models averaged, k = 13",
        {
            "mtmeta, probabilities, Bayes factors": evidence,
            "mtmeta, all averaged and conditional": everything,
        },
        20e-3,
        {},
    )


def robust(size: Size) -> Case:
    yi, vi = (values[0] for values in simulated(13))
    table = mt.EffectSizes.of(yi, vi, measure="SMD")
    model = mt.RobustBayesAverage(seed=1)

    def ours() -> object:
        fit = model.fit(table)
        return fit.models, fit.to_frame(), fit.omega

    what = "36 models with and without publication bias averaged, with their errors, k = 13"
    return Case("bayes-bias", what, {"mtmeta": ours}, 5.0, {})


CASES: dict[str, Callable[[Size], Case]] = {
    "bayes": single,
    "bayes-many": many,
    "bayes-average": averaged,
    "bayes-bias": robust,
}
