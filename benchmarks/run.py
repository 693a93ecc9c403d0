"""Benchmarks: `make bench`, or `.venv/bin/python benchmarks/run.py [--smoke] [--json FILE] [NAME ...]`.

Every case gives the same input to us and to each peer that is installed, in turns, and prints medians and how
many times as long as ours a peer takes. Input is simulated from a fixed seed. Nothing here is a test: a busy
machine gives other times, and only ratios within one run compare.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import mtmeta as mt
from harness import (
    ROOT,
    Case,
    Contender,
    Measured,
    Timing,
    measure,
    metafor,
    process,
    python,
    r_packages,
    surroundings,
    tell,
    version,
    write_json,
)
from mtmeta.models import kernel
from mtmeta.models.batch import pool_many

SEED = 20261123
PROGRAM = Path(sys.executable).with_name("mtmeta")
NO_R = "R with metafor is not installed"
PATIENCE = "takes minutes: ask with --patient"


@dataclass(frozen=True)
class Size:
    """How much work: `full` for times that mean something, `smoke` to see that every case runs."""

    arms: int
    batch: int
    studies: int
    r_loops: int
    patient: bool = False


FULL = Size(arms=1_000_000, batch=6_034, studies=4_000, r_loops=50)
SMOKE = Size(arms=1_000, batch=20, studies=60, r_loops=1, patient=True)


def peers(
    contenders: Mapping[str, tuple[str, Callable[[], Contender]]],
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Split ``{label: (package, maker)}`` into those whose package is here and why the others are not."""
    here: dict[str, Contender] = {}
    absent: dict[str, str] = {}
    for label, (package, make) in contenders.items():
        if package == "metafor" and not r_packages():
            absent[label] = NO_R
        elif package != "metafor" and version(package) is None:
            absent[label] = f"{package} is not installed (make bench installs it)"
        else:
            here[label] = make()
    return here, absent


def simulated(k: int, *, batch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Effects and variances as in trials of 20 to 200 people: SMDs around 0.3, tau 0.3; shape (batch, k)."""
    rng = np.random.default_rng(SEED)
    n = rng.integers(10, 101, size=(batch, k))
    vi = 2 / n + 0.01
    return rng.normal(0.3, np.sqrt(0.09 + vi)), vi


# ---- starting ----


def starting(size: Size) -> Case:
    here, absent = peers(
        {
            "import statsmodels' meta-analysis": (
                "statsmodels",
                lambda: python("import statsmodels.stats.meta_analysis"),
            ),
            "import pymare": ("pymare", lambda: python("import pymare")),
        }
    )
    return Case(
        "import",
        "import, beyond Python's own start",
        {"import mtmeta": python("import mtmeta"), **here},
        0.15,
        absent,
    )


def helping(size: Size) -> Case:
    program = Path(sys.executable).with_name("mtmeta")
    return Case(
        "help", "mtmeta --help, the whole process", {"mtmeta --help": process(str(program), "--help")}, 0.4
    )


# ---- records ----


def reading(size: Size) -> Case:
    import yaml

    files = sorted((ROOT / "studies").rglob("*.yaml"))
    texts = [path.read_bytes() for path in files]

    def parse_only() -> None:
        for text in texts:
            yaml.load(text, Loader=yaml.CSafeLoader)

    return Case(
        "records",
        f"reading and checking all {len(files)} records (aim: 2 ms each)",
        {
            "mt.read_studies": lambda: mt.read_studies(ROOT / "studies"),
            "PyYAML's C parser, no checks": parse_only,
        },
        0.002 * len(files),
    )


# ---- effect sizes ----


def arms(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(SEED)
    return {
        "m1": rng.normal(10, 1, count),
        "sd1": rng.uniform(1, 4, count),
        "n1": rng.integers(10, 200, count).astype(float),
        "m2": rng.normal(9, 1, count),
        "sd2": rng.uniform(1, 4, count),
        "n2": rng.integers(10, 200, count).astype(float),
    }


def effects(size: Size) -> Case:
    data = arms(size.arms)
    m1, sd1, n1, m2, sd2, n2 = data.values()

    def statsmodels() -> Contender:
        from statsmodels.stats.meta_analysis import effectsize_smd

        return lambda: effectsize_smd(m1, sd1, n1, m2, sd2, n2)

    work = "escalc('SMD', m1i=m1, sd1i=sd1, n1i=n1, m2i=m2, sd2i=sd2, n2i=n2)"
    here, absent = peers(
        {
            "statsmodels effectsize_smd": ("statsmodels", statsmodels),
            "metafor escalc": ("metafor", lambda: metafor(data, "", work, loops=1)),
        }
    )

    def ours() -> object:
        return mt.standardized_mean_difference(m1, sd1, n1, m2, sd2, n2)

    return Case("smd", f"{size.arms:,} standardised mean differences", {"mtmeta": ours, **here}, None, absent)


# ---- models ----


def fits(name: str, what: str, k: int, r_loops: int, no_r: str = "") -> Case:
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
    return Case(name, what, {"mtmeta": ours, "mtmeta from bare arrays": arrays, **here}, None, absent)


def single(size: Size) -> Case:
    return fits("fit", "one REML fit with its HKSJ interval, k = 13", 13, size.r_loops)


def large(size: Size) -> Case:
    what = f"one REML fit with its HKSJ interval, k = {size.studies:,}"
    return fits("large", what, size.studies, 1, "" if size.patient else PATIENCE)


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

    setup = f"y <- matrix(y, ncol={k}, byrow=TRUE); v <- matrix(v, ncol={k}, byrow=TRUE)"
    steps = "control=list(maxiter=10000, stepadj=.5)"  # else its Fisher scoring fails on some of them
    work = f"for (b in seq_len({size.batch})) rma(y[b,], v[b,], method='REML', test='knha', {steps})"
    here, absent = peers(
        {
            "PyMARE REML, all at once": ("pymare", pymare),
            "statsmodels, a loop (Paule-Mandel)": ("statsmodels", statsmodels),
            "metafor rma, a loop": (
                "metafor",
                lambda: metafor({"y": y.ravel(), "v": v.ravel()}, setup, work, loops=1),
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


def refits(name: str, what: str, size: Size, ours: Callable[[mt.EffectSizes], object], work: str) -> Case:
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
    return Case(name, f"{what}, k = {k}", {"mtmeta": lambda: ours(table), **here}, None, absent)


def subsets(size: Size) -> Case:
    return refits(
        "gosh",
        "REML fits of all subsets",
        size,
        lambda es: mt.gosh(mt.RandomEffects(ci="Wald"), es, subsets="all"),
        "gosh(res, progbar=FALSE)",
    )


def flips(size: Size) -> Case:
    return refits(
        "permutation",
        "exact permutation test of the mean, all sign flips",
        size,
        lambda es: mt.permutation_test(mt.RandomEffects(ci="Wald"), es, permutations="exact"),
        "permutest(res, exact=TRUE, progbar=FALSE)",
    )


# ---- the main job ----


def everything(size: Size) -> Case:
    """On a copy: a benchmark changes no file of the repository."""
    questions = len(list((ROOT / "analyses").glob("*.yaml")))

    def seconds() -> float:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("studies", "analyses"):
                shutil.copytree(ROOT / name, Path(folder) / name)
            return process(str(PROGRAM), "run", folder=Path(folder)).call()

    return Case(
        "run", f"mtmeta run: {questions} questions, locks, figures", {"mtmeta run": Measured(seconds)}, 30.0
    )


CASES: dict[str, Callable[[Size], Case]] = {
    "import": starting,
    "help": helping,
    "records": reading,
    "smd": effects,
    "fit": single,
    "large": large,
    "many": many,
    "gosh": subsets,
    "permutation": flips,
    "run": everything,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"cases to run, all by default: {', '.join(CASES)}"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="every case once with little work: does it run at all?"
    )
    parser.add_argument("--patient", action="store_true", help="also peers that take minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write medians and surroundings to FILE")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.names) - CASES.keys()):
        parser.error(f"no case is called {', '.join(unknown)}; there are {', '.join(CASES)}")
    size = SMOKE if asked.smoke else replace(FULL, patient=asked.patient)
    print(", ".join(f"{name} {value}" for name, value in surroundings().items()))
    results: dict[str, dict[str, Timing]] = {}
    for name in asked.names or CASES:
        case = CASES[name](size)
        results[name] = measure(case, rounds=1 if asked.smoke else 11, budget=20.0)
        tell(case, results[name])
    if asked.json:
        write_json(asked.json, results)


if __name__ == "__main__":
    main()
