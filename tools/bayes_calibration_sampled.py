"""Simulation-based calibration of the sampled binomial-normal model.

    python tools/bayes_calibration_sampled.py [--seed 612026] [--replications 100] [--out FILE]

As tools/bayes_calibration.py, with draws: parameters from the priors, event counts from the model, the share
of posterior draws below the true value. A run is added to those of other seeds in the file, and the ranks of
all are tested together. Needs the extra mtmeta[pymc].
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special, stats

from mtmeta.errors import ModelError
from mtmeta.models.events import EventCounts
from mtmeta.models.priors import HalfNormal, Normal
from mtmeta.models.sampled_events import SampledBinomial
from mtmeta.models.sampled_fit import Sampling

QUANTITIES = ("mu", "tau", "new_study", "theta")
MU, TAU, BASELINE = Normal(0, 0.8), HalfNormal(0.5), Normal(-1, 1)


def ranks(replications: int, seed: int) -> tuple[dict[str, list[float]], int]:
    """Return shares of draws below the true values by quantity, and how often a chain failed."""
    rng = np.random.default_rng(seed)
    how = Sampling(draws=1500, tune=1000, chains=2, progress=False, cores=1, sampler="pymc")
    out: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    failed = 0
    for i in range(replications):
        mu, tau = float(MU.sample(1, rng)[0]), float(TAU.sample(1, rng)[0])
        k = 5
        theta = mu + tau * rng.standard_normal(k)
        new = mu + tau * rng.standard_normal()
        alpha = BASELINE.sample(k, rng)
        n1, n2 = rng.integers(8, 60, k), rng.integers(8, 60, k)
        a, c = rng.binomial(n1, special.expit(alpha + theta)), rng.binomial(n2, special.expit(alpha))
        model = SampledBinomial(MU, TAU, BASELINE, how)
        try:
            fit = model.fit(EventCounts.of(a, n1, c, n2), seed=seed + i)
        except ModelError:
            failed += 1
            continue
        out["mu"].append(fit.mu.cdf(mu))
        out["tau"].append(fit.tau.cdf(tau))
        out["new_study"].append(fit.new_study.cdf(new))
        draws = fit.inference_data.posterior["theta"].values.reshape(-1, k)[:, 0]
        out["theta"].append(float((draws <= theta[0]).mean()))
    return out, failed


def combined(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Test the ranks of all runs together for uniformity."""
    return {q: ks_pvalue([u for run in runs for u in run["ranks"][q]]) for q in QUANTITIES}


def ks_pvalue(shares: list[float]) -> float:
    """Kolmogorov and Smirnov's P against the uniform distribution."""
    return round(float(stats.kstest(shares, "uniform").pvalue), 4)


def main() -> int:
    """Simulate, test for uniformity, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replications", type=int, default=100)
    parser.add_argument("--seed", type=int, default=61_2026)
    parser.add_argument("--out", type=Path, default=Path("docs/bayes_calibration_sampled.json"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pymc").setLevel(logging.ERROR)
    found, failed = ranks(args.replications, args.seed)
    import pymc

    run = {
        "seed": args.seed,
        "replications": args.replications,
        "pymc": pymc.__version__,
        "failed_chains": failed,
        "ranks": {q: [round(u, 4) for u in values] for q, values in found.items()},
        "ks_pvalue": {q: ks_pvalue(values) for q, values in found.items()},
    }
    kept = json.loads(args.out.read_text(encoding="utf-8"))["runs"] if args.out.exists() else []
    runs = [*(r for r in kept if r["seed"] != args.seed), run]
    write(args.out, runs)
    sys.stdout.write(f"{run['ks_pvalue']}, {failed} failed; all runs {combined(runs)}\n")
    return 0


def write(out: Path, runs: list[dict[str, Any]]) -> None:
    """Write the runs of all seeds."""
    report = {
        "made_by": "tools/bayes_calibration_sampled.py",
        "model": "SampledBinomial, k = 5, arms of 8 to 59",
        "priors": {"mu": repr(MU), "tau": repr(TAU), "baseline": repr(BASELINE)},
        "runs": sorted(runs, key=lambda r: int(r["seed"])),
        "combined_ks_pvalue": combined(runs),
    }
    out.write_text(json.dumps(report) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
