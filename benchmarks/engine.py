"""Cases of the models: single fits, thousands at once, refits, dependent effects; time against size."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

import mtmeta as mt
from common import FULL, PATIENCE, SEED, Size, peers, simulated
from harness import Case, Contender, Measured, metafor
from mtmeta.models import kernel
from mtmeta.models.batch import pool_many


def fits(name: str, what: str, k: int, r_loops: int, aim: float, no_r: str = "") -> Case:
    yi, vi = (values[0] for values in simulated(k))
    table = mt.EffectSizes.of(yi, vi, measure="SMD")
    model = mt.RandomEffects(tau2="REML", ci="HKSJ")

    def ours() -> object:
        fit = model.fit(table)
        return fit.estimate, fit.ci()

    def arrays() -> object:
        fit = model.fit(mt.EffectSizes.of(yi, vi, measure="SMD"))
        return fit.estimate, fit.ci()

    def statsmodels() -> Contender:
        from statsmodels.stats.meta_analysis import combine_effects

        return lambda: combine_effects(yi, vi, method_re="iterated", use_t=True).conf_int()

    def pymare() -> Contender:
        from pymare import Dataset
        from pymare.estimators import VarianceBasedLikelihoodEstimator

        def fit() -> object:
            estimator = VarianceBasedLikelihoodEstimator(
                method="REML", small_sample_correction="knapp-hartung"
            )
            return estimator.fit_dataset(Dataset(yi, vi)).summary().get_fe_stats()

        return fit

    work = "rma(yi, vi, method='REML', test='knha')"
    here, absent = peers(
        {
            "statsmodels (Paule-Mandel: no REML)": ("statsmodels", statsmodels),
            "PyMARE REML, Knapp-Hartung": ("pymare", pymare),
            "metafor rma REML, knha": (
                "metafor",
                lambda: metafor({"yi": yi, "vi": vi}, "", work, loops=r_loops),
            ),
        }
    )
    if no_r and here.pop("metafor rma REML, knha", None):
        absent["metafor rma REML, knha"] = no_r
    return Case(name, what, {"mtmeta": ours, "mtmeta from bare arrays": arrays, **here}, aim, absent)


def single(size: Size) -> Case:
    return fits("fit", "one REML fit with its HKSJ interval, k = 13", 13, size.r_loops, 0.3e-3)


def large(size: Size) -> Case:
    what = f"one REML fit with its HKSJ interval, k = {size.studies:,}"
    return fits("large", what, size.studies, 1, 5e-3, "" if size.patient else PATIENCE)


def many(size: Size) -> Case:
    k = 7  # Cochrane's average; one size for all, so that PyMARE may take them at once
    y, v = simulated(k, batch=size.batch)

    def statsmodels() -> Contender:
        from statsmodels.stats.meta_analysis import combine_effects

        return lambda: [combine_effects(yi, vi, method_re="iterated") for yi, vi in zip(y, v, strict=True)]

    def pymare() -> Contender:
        from pymare.estimators import VarianceBasedLikelihoodEstimator

        x = np.ones((k, 1))
        return lambda: VarianceBasedLikelihoodEstimator(method="REML").fit(y.T, v.T, x)

    part = max(1, size.batch // 50)
    setup = f"y <- matrix(y, ncol={k}, byrow=TRUE); v <- matrix(v, ncol={k}, byrow=TRUE)"
    steps = "control=list(maxiter=10000, stepadj=.5)"  # else its Fisher scoring fails on some of them
    work = f"for (b in seq_len({part})) rma(y[b,], v[b,], method='REML', test='knha', {steps})"
    data = {"y": y[:part].ravel(), "v": v[:part].ravel()}
    here, absent = peers(
        {
            "PyMARE REML, all at once": ("pymare", pymare),
            "statsmodels, a loop (Paule-Mandel)": ("statsmodels", statsmodels),
            "metafor rma, a loop": (
                "metafor",
                lambda: times(metafor(data, setup, work, loops=1), round(size.batch / part)),
            ),
        }
    )
    return Case(
        "many",
        f"{size.batch:,} meta-analyses of {k} trials, REML",
        {
            "mtmeta pool_many, with CI and PI": lambda: pool_many(y, v),
            "mtmeta kernel alone": lambda: kernel.fit(y, v, method="REML"),
            **here,
        },
        None,
        absent,
    )


# ---- refits ----


def refits(
    name: str, what: str, size: Size, ours: Callable[[mt.EffectSizes], object], work: str, aim: float
) -> Case:
    """Time 13 trials refitted in every way there is; fewer trials for a smoke test."""
    k = 13 if size.batch == FULL.batch else 6
    yi, vi = (values[0] for values in simulated(k))
    table = mt.EffectSizes.of(yi, vi, measure="SMD")
    label = f"metafor {work.split('(')[0]}"
    here, absent = peers(
        {label: ("metafor", lambda: metafor({"yi": yi, "vi": vi}, "res <- rma(yi, vi)", work, loops=1))}
    )
    if not size.patient and here.pop(label, None):
        absent[label] = PATIENCE
    return Case(name, f"{what}, k = {k}", {"mtmeta": lambda: ours(table), **here}, aim, absent)


def subsets(size: Size) -> Case:
    return refits(
        "gosh",
        "REML fits of all subsets",
        size,
        lambda es: mt.gosh(mt.RandomEffects(ci="Wald"), es, subsets="all"),
        "gosh(res, progbar=FALSE)",
        0.05,
    )


def _twenty(size: Size) -> tuple[str, mt.EffectSizes, mt.RandomEffects]:
    k = 20 if size.batch == FULL.batch else 8
    table = mt.EffectSizes.of(*(values[0] for values in simulated(k)), measure="SMD")
    return f"REML fits of all {2**k - 1:,} subsets, k = {k}", table, mt.RandomEffects(ci="Wald")


def million(size: Size) -> Case:
    what, table, model = _twenty(size)
    work = {"mtmeta in numpy": lambda: mt.gosh(model, table, compiled=False)}
    return Case("gosh20", f"{what}, in numpy", work, 15.0)


def million_compiled(size: Size) -> Case:
    """Compile, or load the code, before the clock runs; without numba there is numpy alone, and no aim."""
    what, table, model = _twenty(size)

    def compiled() -> Contender:
        mt.gosh(model, table.subset(range(2)), compiled=True)
        return lambda: mt.gosh(model, table, compiled=True)

    fast, absent = peers({"mtmeta, compiled by numba": ("numba", compiled)})
    work = {**fast, "mtmeta in numpy": lambda: mt.gosh(model, table, compiled=False)}
    return Case("gosh20-compiled", f"{what}, in compiled code", work, 3.0 if fast else None, absent)


def flips(size: Size) -> Case:
    return refits(
        "permutation",
        "exact permutation test of the mean, all sign flips",
        size,
        lambda es: mt.permutation_test(mt.RandomEffects(ci="Wald"), es, permutations="exact"),
        "permutest(res, exact=TRUE, progbar=FALSE)",
        0.03,
    )


def shuffles(size: Size) -> Case:
    """10,000 orders of two moderators; metafor does a hundredth of them, times a hundred."""
    k, count = (40, 10_000) if size.batch == FULL.batch else (12, 100)
    yi, vi = (values[0] for values in simulated(k))
    moderators = np.random.default_rng(SEED).normal(size=(k, 2))
    table = mt.EffectSizes.of(
        yi, vi, measure="SMD", moderators=pd.DataFrame(moderators, columns=["dose", "year"])
    )
    model = mt.MetaRegression("dose + year", tau2="REML", ci="HKSJ")
    data = {"yi": yi, "vi": vi, "dose": moderators[:, 0], "year": moderators[:, 1]}
    steps = "control=list(maxiter=1000, stepadj=.5)"
    setup = f"res <- rma(yi, vi, mods = ~ dose + year, test='knha', {steps})"
    some = max(2, count // 100)
    work = f"permutest(res, iter={some}, progbar=FALSE)"
    here, absent = peers(
        {"metafor permutest": ("metafor", lambda: times(metafor(data, setup, work, loops=1), count // some))}
    )
    return Case(
        "moderators",
        f"permutation test of two moderators, {count:,} orders, k = {k}",
        {"mtmeta": lambda: mt.permutation_test(model, table, permutations=count), **here},
        0.5,
        absent,
    )


def times(peer: Measured, factor: int) -> Measured:
    """A contender that does one part in `factor` of the work; its time is multiplied."""
    return Measured(lambda: factor * peer.call())


# ---- thousands at once ----


def ragged(batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulated meta-analyses of 2 to 120 trials, 7 on average, many of them small, as Cochrane's are."""
    rng = np.random.default_rng(SEED)
    sizes = np.minimum(1 + rng.geometric(1 / 6, size=batch), 120)
    y, v = simulated(int(sizes.max()), batch=batch)
    return y, v, np.arange(y.shape[1]) < sizes[:, None]


def cochrane(size: Size) -> Case:
    """REML, HKSJ, prediction and Q-profile of all; metafor does the first fiftieth, times fifty."""
    y, v, present = ragged(size.batch)
    part = max(1, size.batch // 50)
    inside = present[:part]
    study = np.nonzero(inside)[0]
    data = {"y": y[:part][inside], "v": v[:part][inside], "id": study + 1.0}
    steps = "control=list(maxiter=10000, stepadj=.5)"
    work = (
        f"for (b in seq_len({part})) {{ r <- rma(y[id == b], v[id == b], test='knha', {steps}); "
        "predict(r); confint(r) }"
    )
    here, absent = peers(
        {
            "metafor rma, predict, confint": (
                "metafor",
                lambda: times(metafor(data, "", work, loops=1), round(size.batch / part)),
            )
        }
    )
    return Case(
        "cochrane",
        f"{size.batch:,} meta-analyses of 2 to {y.shape[1]} trials: REML, HKSJ, PI, Q-profile",
        {"mtmeta pool_many": lambda: pool_many(y, v, present=present), **here},
        1.0,
        absent,
    )


# ---- dependent effects ----


def nested(clusters: int) -> mt.EffectSizes:
    """Five effects in every cluster, both variances 0.09."""
    rng = np.random.default_rng(SEED)
    label = np.repeat(np.arange(clusters), 5)
    vi = rng.uniform(0.02, 0.2, label.size)
    yi = 0.3 + rng.normal(0, 0.3, clusters)[label] + rng.normal(0, np.sqrt(0.09 + vi))
    return mt.EffectSizes.of(yi, vi, measure="SMD", cluster=[str(name) for name in label])


def three_levels(
    name: str, what: str, size: Size, ours: Callable[[mt.EffectSizes], object], work: str
) -> Case:
    table = nested(300 if size.batch == FULL.batch else 6)
    label = "metafor rma.mv" + (", confint" if "confint" in work else "")
    cluster = [float(one) for one in table.cluster]
    data = {"yi": table.yi, "vi": table.vi, "cluster": cluster}
    setup = (
        "row <- seq_along(yi); m <- function() rma.mv(yi, vi, random = ~ 1 | cluster/row, sparse=TRUE); "
        "res <- m()"
    )
    here, absent = peers({label: ("metafor", lambda: metafor(data, setup, work, loops=1))})
    if not size.patient and here.pop(label, None):
        absent[label] = PATIENCE
    clusters = len(set(table.cluster))
    what = f"{what}, k = {table.k:,} in {clusters} clusters"
    aim = {"multilevel": 0.3, "profile": 2.0}[name]
    return Case(name, what, {"mtmeta": lambda: ours(table), **here}, aim, absent)


def multilevel(size: Size) -> Case:
    return three_levels(
        "multilevel",
        "three-level model, REML, CR2",
        size,
        lambda es: mt.Multilevel().fit(es).ci(),
        "m()",
    )


def profiled(size: Size) -> Case:
    table = nested(300 if size.batch == FULL.batch else 6)
    fit = mt.Multilevel().fit(table)
    return three_levels(
        "profile",
        "profile intervals of both variances of a three-level model",
        size,
        lambda es: (fit.sigma2_ci("between"), fit.sigma2_ci("within")),
        "confint(res)",
    )


# ---- time against size ----


def shortest(work: Callable[[], object], *, rounds: int) -> float:
    """Least CPU seconds of some rounds, after one to warm up: growth is about work, not about waiting."""
    work()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def growth(size: Size) -> dict[str, list[tuple[int, float]]]:
    """CPU seconds of REML fits against k (one fit) and against B (fits of 7 trials at once)."""
    most = 2_000_000 if size.batch == FULL.batch else 2_000
    steps = [n for n in (10, 100, *(s * 10**e for e in range(3, 7) for s in (1, 2, 4, 8))) if n <= most]
    rounds = 7 if size.batch == FULL.batch else 1
    y, v = (values[0] for values in simulated(steps[-1]))
    by_k = [(k, shortest(lambda k=k: kernel.fit(y[:k], v[:k]), rounds=rounds)) for k in steps]
    y, v = simulated(7, batch=steps[-1] // 4)
    counts = [n for n in steps if n <= len(y)]
    by_batch = [(b, shortest(lambda b=b: kernel.fit(y[:b], v[:b]), rounds=rounds)) for b in counts]
    return {"k": by_k, "B": by_batch}


CASES: dict[str, Callable[[Size], Case]] = {
    "fit": single,
    "large": large,
    "many": many,
    "cochrane": cochrane,
    "gosh": subsets,
    "gosh20": million,
    "gosh20-compiled": million_compiled,
    "permutation": flips,
    "moderators": shuffles,
    "multilevel": multilevel,
    "profile": profiled,
}
