"""Simulation-based calibration of the exact Bayesian models.

    python tools/bayes_calibration.py [--replications 2000] [--out docs/bayes_calibration.json] [--plot]

Parameters are drawn from the priors, effects from the model, the posterior is computed, and the posterior
probability below the true value is noted. If the computation is right these probabilities are uniform
(Talts et al. 2018, arXiv:1804.06788; with a posterior known exactly the rank is a probability). For the model
average, the probability of an effect is compared with how often there was one.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from mtmeta.effects.table import EffectSizes
from mtmeta.models import priors
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.bayes_average import BayesModelAverage

BINS = 20
QUANTITIES = ("mu", "tau", "new_study", "theta")
DESIGNS: list[tuple[str, str, int]] = [
    ("Normal(0, 1)", "HalfNormal(0.5)", 2),
    ("Normal(0, 1)", "HalfNormal(0.5)", 12),
    ("Normal(0, 1)", "HalfCauchy(0.5)", 3),
    ("StudentT(5, 0, 0.43)", "InverseGamma(1.71, 0.4)", 5),
    ("Normal(0, 1)", 'LogStudentT(5, -3.85, 1.93, on="tau2")', 4),
    ("Cauchy(0, 0.7)", "Uniform(0, 1)", 3),
    ("Normal(0, 1).truncated(0, inf)", "LogNormal(-2, 0.8)", 4),
    ("Uniform(-1, 1)", "UniformShrinkage()", 30),
]


def made(text: str) -> priors.Prior:
    """Return the prior that a design names."""
    names = {name: getattr(priors, name) for name in priors.__all__}
    return eval(text, {"__builtins__": {}}, {**names, "inf": math.inf})  # the designs stand above


def ranks(mu: str, tau: str, k: int, replications: int, seed: int) -> dict[str, np.ndarray]:
    """Return posterior probabilities below the true values, by quantity."""
    rng = np.random.default_rng(seed)
    mean_prior, tau_prior = made(mu), made(tau)
    out: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    for _ in range(replications):
        v = np.exp(rng.uniform(math.log(0.005), math.log(0.3), k))
        mean, t = (float(p.for_variances(v).sample(1, rng)[0]) for p in (mean_prior, tau_prior))
        theta = mean + t * rng.standard_normal(k)
        new = mean + t * rng.standard_normal()
        es = EffectSizes.of(theta + np.sqrt(v) * rng.standard_normal(k), v)
        fit = BayesRandomEffects(mean_prior, tau_prior).fit(es)
        out["mu"].append(fit.mu.cdf(mean))
        out["tau"].append(fit.tau.cdf(t))
        out["new_study"].append(fit.new_study.cdf(new))
        out["theta"].append(fit.theta(0).cdf(theta[0]))
    return {name: np.array(values) for name, values in out.items()}


def inclusion(replications: int, seed: int) -> dict[str, list[float]]:
    """Return how often there was an effect or heterogeneity, in five classes of probability given."""
    rng = np.random.default_rng(seed)
    mu, tau = priors.StudentT(5, 0, 0.43), priors.InverseGamma(1.71, 0.4)
    said, true = np.empty((replications, 2)), np.empty((replications, 2))
    for i in range(replications):
        there = rng.random(2) < 0.5
        v = np.exp(rng.uniform(math.log(0.005), math.log(0.3), 6))
        mean = float(mu.sample(1, rng)[0]) * there[0]
        t = float(tau.sample(1, rng)[0]) * there[1]
        y = mean + np.sqrt(v + t**2) * rng.standard_normal(6)
        fit = BayesModelAverage(mu, tau).fit(EffectSizes.of(y, v))
        said[i] = fit.probability("effect"), fit.probability("heterogeneity")
        true[i] = there
    result: dict[str, list[float]] = {}
    for j, part in enumerate(("effect", "heterogeneity")):
        z = float((true[:, j] - said[:, j]).sum() / np.sqrt((said[:, j] * (1 - said[:, j])).sum()))
        result[f"{part}_z"] = [round(z, 3)]
        group = np.minimum((said[:, j] * 5).astype(int), 4)
        result[f"{part}_said"] = [round(float(said[group == g, j].mean()), 4) for g in range(5)]
        result[f"{part}_true"] = [round(float(true[group == g, j].mean()), 4) for g in range(5)]
        result[f"{part}_n"] = [int((group == g).sum()) for g in range(5)]
    return result


def plot(report: dict, path: Path) -> None:
    """Draw the histograms with the band that 99% of the bars of uniform ranks keep to."""
    import matplotlib.pyplot as plt

    designs = report["designs"]
    fig, axes = plt.subplots(len(designs), len(QUANTITIES), figsize=(9, 1.25 * len(designs)), sharex=True)
    n = report["replications"]
    low, high = stats.binom.ppf([0.005, 0.995], n, 1 / BINS)
    for i, (row, design) in enumerate(zip(axes, designs, strict=True)):
        for ax, name in zip(row, QUANTITIES, strict=True):
            ax.axhspan(low, high, color="0.88")
            ax.bar((np.arange(BINS) + 0.5) / BINS, design["counts"][name], 1 / BINS, color="#4477aa")
            ax.set_yticks([])
            ax.set_xlim(0, 1)
            ax.set_ylim(0, 1.9 * n / BINS)
            if i == 0:
                ax.set_title(name, fontsize=9)
        label = f"{design['mu']}\n{design['tau']}, k = {design['k']}"
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=6.5)
    fig.tight_layout(h_pad=0.2)
    fig.savefig(path, dpi=110, metadata={"Software": None})


def main() -> int:
    """Simulate, test for uniformity, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=60_2026)
    parser.add_argument("--out", type=Path, default=Path("docs/bayes_calibration.json"))
    parser.add_argument("--plot", action="store_true")
    args = parser.parse_args()
    designs = []
    for i, (mu, tau, k) in enumerate(DESIGNS):
        found = ranks(mu, tau, k, args.replications, args.seed + i)
        counts = {q: np.histogram(u, BINS, (0.0, 1.0))[0] for q, u in found.items()}
        designs.append(
            {
                "mu": mu,
                "tau": tau,
                "k": k,
                "seed": args.seed + i,
                "counts": {q: c.tolist() for q, c in counts.items()},
                "ks_pvalue": {
                    q: round(float(stats.kstest(u, "uniform").pvalue), 4) for q, u in found.items()
                },
                "chi2_pvalue": {q: round(float(stats.chisquare(c).pvalue), 4) for q, c in counts.items()},
            }
        )
        sys.stdout.write(f"{mu} {tau} k={k}: {designs[-1]['ks_pvalue']}\n")
    report = {
        "made_by": "tools/bayes_calibration.py",
        "replications": args.replications,
        "designs": designs,
        "average": {"replications": args.replications, **inclusion(args.replications, args.seed + 99)},
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if args.plot:
        plot(report, args.out.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
