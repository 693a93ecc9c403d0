"""Write the computed tables of docs/bayes.md: priors by outcome, and bayesmeta's printed numbers beside ours.

    python tools/bayes_tables.py [--check]

The truth is tests/reference/bayes_quadrature.json (80-bit arithmetic, checked with mpmath), which knows
nothing of the engine; bayesmeta's digits are those printed in Röver 2020, J Stat Softw 93(6), section 3.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import get_args

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.bayes_bias import Part, RobustBayesAverage
from mtmeta.models.empirical_priors import Outcome, choose_priors
from mtmeta.models.priors import HalfCauchy, HalfNormal, InverseGamma, Normal
from mtmeta.records.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "bayes.md"
# printed in the paper, and the name of the same quantity in the reference
PRINTED = {
    "mean of the mean effect": ("-1.5764365", "mu_mean"),
    "SD of the mean effect": ("0.3295301", "mu_sd"),
    "mean of τ": ("0.3810562", "tau_mean"),
    "SD of τ": ("0.2593672", "tau_sd"),
    "SD of a new study's effect": ("0.5671855", "new_sd"),
    "mean of Heffron's effect": ("-1.7778965", "theta_mean"),
    "SD of Heffron's effect": ("0.4229425", "theta_sd"),
}


def crins_table() -> str:
    """Return ours and bayesmeta's numbers for Crins et al. 2014, with their distances from the truth."""
    reference = json.loads(
        (ROOT / "tests" / "reference" / "bayes_quadrature.json").read_text(encoding="utf-8")
    )
    data = reference["data"]["crins"]
    wanted = ("crins", "Normal(0, 4)", "HalfNormal(0.5)")
    truth = next(c for c in reference["cases"] if (c["data"], c["mu"], c["tau"]) == wanted)
    es = EffectSizes.of(data["yi"], np.square(data["sei"]), "OR")
    fit = BayesRandomEffects(Normal(0, 4), HalfNormal(0.5)).fit(es)
    ours = {
        "mu_mean": fit.mu.mean,
        "mu_sd": fit.mu.sd,
        "tau_mean": fit.tau.mean,
        "tau_sd": fit.tau.sd,
        "new_sd": fit.new_study.sd,
        "theta_mean": fit.theta(0).mean,
        "theta_sd": fit.theta(0).sd,
    }
    lines = [
        "| quantity | truth | bayesmeta, printed | its distance | ours, distance | closer |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for words, (printed, name) in PRINTED.items():
        true = truth[name]
        theirs, own = abs(float(printed) - true), abs(ours[name] - true)
        half = 0.5 * 10.0 ** -len(printed.partition(".")[2])
        # digits that are not printed cannot be held against a paper
        closer = "ours" if theirs > max(half, own) else "equal as printed"
        distance = f"{theirs:.0e}" if theirs > half else "none printed"
        small = "below 1e-12" if own < 1e-12 else f"{own:.0e}"
        lines.append(f"| {words} | {true:.10f} | {printed} | {distance} | {small} | {closer} |")
    return "\n".join(lines)


def outcome_table() -> str:
    """Return the empirical priors of tau by type of outcome, non-pharmacological against control."""
    lines = [
        "| outcome | SMD: Rhodes 2015 | τ: median [95%] | log OR: Turner 2015 | τ: median [95%] |",
        "|---|---|---:|---|---:|",
    ]
    for outcome in get_args(Outcome):
        cells = []
        for measure in ("SMD", "OR"):
            try:
                tau = choose_priors(measure, outcome).tau
            except UsageError:
                cells += ["none fitted", ""]
                continue
            low, mid, high = tau.quantile([0.025, 0.5, 0.975])
            cells += [f"`{tau!r}`", f"{mid:.3f} [{low:.3f}, {high:.3f}]"]
        lines.append(f"| {outcome} | {' | '.join(cells)} |")
    return "\n".join(lines)


def bem_table() -> str:
    """Return the 36-model ensemble for Bem 2011 beside what RoBMA's README prints."""
    d = np.array([0.25, 0.20, 0.26, 0.23, 0.22, 0.15, 0.09, 0.19, 0.42])
    se = [0.10155048, 0.08246211, 0.10323629, 0.10182427, 0.10120277, 0.08210765, 0.07085372, 0.10089846]
    n = (d**2 + 8) / (2 * np.square([*se, 0.14752627]))
    es = EffectSizes.of(np.arcsinh(d / 2), 1 / (n - 3), "ZCOR")
    fit = RobustBayesAverage(Normal(0, 0.5), InverseGamma(1, 0.075), peese=HalfCauchy(10)).fit(es)
    parts: tuple[Part, ...] = ("effect", "heterogeneity", "bias")
    ours = " | ".join(f"{fit.probability(p):.3f}" for p in parts)
    factors = " | ".join(f"{fit.inclusion_bf(p):.3g}" for p in parts)
    return "\n".join(
        [
            "| | effect | heterogeneity | bias |",
            "|---|---:|---:|---:|",
            "| RoBMA: posterior probability | 0.324 | 0.125 | 0.942 |",
            f"| ours | {ours} |",
            "| RoBMA: inclusion Bayes factor | 0.479 | 0.143 | 16.323 |",
            f"| ours | {factors} |",
        ]
    )


TABLES = {"crins": crins_table, "outcomes": outcome_table, "bem": bem_table}


def filled(page: str) -> str:
    """Return the page with its tables as they are computed now."""
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->", f"<!-- end {name} -->"
        before, _, rest = page.partition(start)
        _, _, after = rest.partition(end)
        page = f"{before}{start}\n{make()}\n{end}{after}"
    return page


def main(arguments: list[str]) -> int:
    """Write the tables, or with ``--check`` compare them."""
    page = PAGE.read_text(encoding="utf-8")
    new = filled(page)
    if arguments == ["--check"]:
        sys.stdout.write(f"{PAGE.name} is {'up to date' if new == page else 'old'}\n")
        return 0 if new == page else 1
    write_atomic(PAGE, new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
