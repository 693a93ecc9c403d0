"""Fit priors of heterogeneity and effect to a corpus of meta-analyses, with their uncertainty.

    python tools/fit_empirical_prior.py CORPUS.csv.gz [--out FILE.json] [--bootstrap 200]

The corpus has one row an effect: analysis_id, review, smd, se. Heterogeneity: every analysis has its own tau
from one distribution, whose parameters maximise the product of the marginal likelihoods (type II maximum
likelihood); the mean of each analysis is integrated out with a flat prior, tau by the trapezoidal rule in
log(tau). Effect: the mean of each analysis comes from a t distribution around 0, tau from the distribution
found before. Uncertainty: reviews are resampled (the analyses of a review share trials). The families are
compared by their likelihoods. The sign of an effect is a matter of labels, so the t distribution is fitted
around 0. Of dependence between analyses of one review nothing is modelled but in the resampling.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import interpolate, optimize, special

from mtmeta.models.bayes_conditional import Rows, given, mean_prior
from mtmeta.models.priors import (
    Flat,
    HalfCauchy,
    HalfNormal,
    HalfT,
    InverseGamma,
    LogNormal,
    LogStudentT,
    Lomax,
    Prior,
    StudentT,
)

Array = npt.NDArray[np.float64]
LOG_TAU = np.arange(-12.0, 5.0001, 0.05)
COARSE = slice(0, None, 4)
SCALES = np.linspace(0.10, 0.55, 10)
DFS = np.geomspace(1.0, 12.0, 10)
# what a family is called, its start, and the prior of transformed parameters
FAMILIES: dict[str, tuple[list[float], Callable[[Array], Prior]]] = {
    "LogStudentT(5) on tau2": ([-2.5, 0.8], lambda p: LogStudentT(5, p[0], math.exp(p[1]), on="tau2")),
    "LogNormal on tau2": ([-2.5, 0.8], lambda p: LogNormal(p[0], math.exp(p[1]), on="tau2")),
    "InverseGamma on tau": ([0.5, -0.9], lambda p: InverseGamma(math.exp(p[0]), math.exp(p[1]))),
    "HalfT on tau": ([1.0, -0.9], lambda p: HalfT(math.exp(p[0]), math.exp(p[1]))),
    "Lomax on tau": ([1.0, 0.0], lambda p: Lomax(math.exp(p[0]), math.exp(p[1]))),
    "HalfCauchy on tau": ([-1.0], lambda p: HalfCauchy(math.exp(p[0]))),
    "HalfNormal on tau": ([-0.7], lambda p: HalfNormal(math.exp(p[0]))),
}


def log_likelihoods(corpus: pd.DataFrame) -> tuple[list[str], list[Rows], Array]:
    """Return reviews, data, and log likelihoods by analysis and log(tau), the mean integrated out."""
    reviews, rows, table = [], [], []
    tau = np.concatenate([[0.0], np.exp(LOG_TAU)])
    for _, part in corpus.groupby("analysis_id", sort=True):
        if len(part) < 2:
            continue  # one effect says nothing of heterogeneity
        data = Rows.of(part["smd"].to_numpy(), np.square(part["se"].to_numpy()))
        table.append(given(data, mean_prior(Flat(), data), tau).log_likelihood)
        rows.append(data)
        reviews.append(str(part["review"].iloc[0]))
    return reviews, rows, np.array(table)


def masses(prior: Prior) -> Array:
    """Return the probability of tau = 0 (all below the grid) and of each point of the grid."""
    inner = np.exp(prior.log_density_of_log(LOG_TAU)) * (LOG_TAU[1] - LOG_TAU[0])
    inner[[0, -1]] *= 0.5
    return np.concatenate([[float(prior.cdf(math.exp(LOG_TAU[0])))], inner])


def fit(
    likelihood: Array, weight: Array, start: list[float], prior_of: Callable[[Array], Prior]
) -> tuple[Array, float]:
    """Return parameters of the highest weighted likelihood, and its logarithm."""

    def loss(p: Array) -> float:
        if np.abs(p).max() > 12.0:
            return 1e12
        return -float(weight @ np.log(likelihood @ masses(prior_of(p)) + 1e-300))

    best = optimize.minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-4})
    return np.asarray(best.x), -float(best.fun)


def effect_surface(rows: list[Rows], prior: Prior) -> Array:
    """Return log likelihoods by analysis, scale and degrees of freedom of a t prior of the mean."""
    tau = np.exp(LOG_TAU[COARSE])
    mass = np.log(masses(prior)[1:][COARSE] * 4.0 + 1e-300)
    surface = np.empty((len(rows), SCALES.size, DFS.size))
    for i, data in enumerate(rows):
        for a, scale in enumerate(SCALES):
            for b, df in enumerate(DFS):
                log_l = given(data, mean_prior(StudentT(df, 0.0, scale), data), tau).log_likelihood
                surface[i, a, b] = special.logsumexp(log_l + mass)
    return surface


def best_effect(surface: Array) -> tuple[float, float]:
    """Return scale and degrees of freedom of the highest point of a spline through a surface."""
    spline = interpolate.RectBivariateSpline(SCALES, np.log(DFS), surface)
    a, b = np.unravel_index(surface.argmax(), surface.shape)
    ends = [(SCALES[0], SCALES[-1]), (math.log(DFS[0]), math.log(DFS[-1]))]
    best = optimize.minimize(
        lambda p: -float(spline(p[0], p[1])[0, 0]), [SCALES[a], math.log(DFS[b])], bounds=ends
    )
    return float(best.x[0]), math.exp(float(best.x[1]))


def summary(values: Array) -> dict[str, float]:
    """Summarise an estimate's spread over the resampled reviews."""
    low, high = np.quantile(values, [0.025, 0.975])
    return {
        "se": float(f"{values.std(ddof=1):.4g}"),
        "low": float(f"{low:.5g}"),
        "high": float(f"{high:.5g}"),
    }


def main() -> None:
    """Fit all families, print and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/bayes_empirical_prior.json"))
    parser.add_argument("--bootstrap", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--every", type=int, default=8, help="of the analyses, for the effect's prior")
    args = parser.parse_args()
    corpus = pd.read_csv(args.corpus)
    reviews, rows, table = log_likelihoods(corpus)
    top = table.max(axis=1, keepdims=True)
    likelihood = np.exp(table - top)
    names, group = np.unique(reviews, return_inverse=True)
    rng = np.random.default_rng(args.seed)
    draws = rng.multinomial(names.size, np.full(names.size, 1.0 / names.size), size=args.bootstrap)
    report: dict[str, object] = {
        "made_by": "tools/fit_empirical_prior.py",
        "corpus": args.corpus.name,
        "seed": args.seed,
        "bootstrap": args.bootstrap,
        "reviews": int(names.size),
        "analyses": len(rows),
        "effects": int(sum(r.k for r in rows)),
    }
    families = []
    for name, (start, prior_of) in FAMILIES.items():
        p, log_l = fit(likelihood, np.ones(len(rows)), start, prior_of)
        prior = prior_of(p)
        resampled = np.array([fit(likelihood, w[group].astype(float), list(p), prior_of)[0] for w in draws])
        shown = {
            f: getattr(prior, f) for f in ("mean", "loc", "df", "shape", "scale", "sd") if hasattr(prior, f)
        }
        spread = {f: summary(np.array([getattr(prior_of(q), f) for q in resampled])) for f in shown}
        medians = np.array([prior_of(q).quantile([0.025, 0.5, 0.975]) for q in resampled])
        families.append(
            {
                "family": name,
                "prior": repr(prior),
                "log_likelihood": round(log_l + float(top.sum()), 3),
                "parameters": {f: {"estimate": float(f"{v:.6g}"), **spread[f]} for f, v in shown.items()},
                "tau_quantiles": {
                    str(q): {"estimate": float(f"{prior.quantile(q):.5g}"), **summary(medians[:, j])}
                    for j, q in enumerate((0.025, 0.5, 0.975))
                },
            }
        )
        print(name, repr(prior), round(log_l, 2), flush=True)
    families.sort(key=lambda f: -float(f["log_likelihood"]))
    report["tau"] = families
    start, prior_of = FAMILIES[str(families[0]["family"])]
    prior = prior_of(fit(likelihood, np.ones(len(rows)), start, prior_of)[0])
    chosen = np.arange(0, len(rows), args.every)
    surface = effect_surface([rows[i] for i in chosen], prior)
    scale, df = best_effect(surface.sum(axis=0))
    resampled = np.array([best_effect(np.tensordot(w[group][chosen], surface, axes=1)) for w in draws])
    report["mu"] = {
        "family": "StudentT around 0",
        "given tau": repr(prior),
        "analyses": int(chosen.size),
        "parameters": {
            "df": {"estimate": float(f"{df:.5g}"), **summary(resampled[:, 1])},
            "scale": {"estimate": float(f"{scale:.5g}"), **summary(resampled[:, 0])},
        },
    }
    print("mu", scale, df)
    args.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
