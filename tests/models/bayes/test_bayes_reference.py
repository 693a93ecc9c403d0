"""Every case of bayes_quadrature.json: brute force in 80-bit numbers, against the adaptive rule."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mtmeta.effects.table import EffectSizes
from mtmeta.models import priors
from mtmeta.models.bayes import BayesRandomEffects

REFERENCE = Path(__file__).resolve().parents[2] / "reference" / "bayes_quadrature.json"
TABLE = json.loads(REFERENCE.read_text(encoding="utf-8"))
PRIORS = {name: getattr(priors, name) for name in priors.__all__} | {"inf": np.inf}
# where the reference integrates the mean numerically it is worth what its two rules agree to
TOLERANCE = 1e-9


def prior(text: str) -> priors.Prior:
    """Return the prior that the reference names, which its repr must give back."""
    made = eval(text, {"__builtins__": {}}, PRIORS)
    assert repr(made) == text
    return made


def check(case: dict, name: str, got: float, scale: float) -> None:
    want = case[name]
    assert abs(got - want) <= max(TOLERANCE, case["agreement"]) * scale, (name, got, want)


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda c: f"{c['data']}-{c['mu']}-{c['tau']}")
def test_quadrature_meets_brute_force(case: dict) -> None:
    data = TABLE["data"][case["data"]]
    es = EffectSizes.of(data["yi"], np.square(data["sei"]))
    fit = BayesRandomEffects(prior(case["mu"]), prior(case["tau"])).fit(es)
    theta = fit.theta(0)
    if "log_marginal" in case:
        check(case, "log_marginal", fit.log_marginal, 1.0)
    if "mu_mean" in case:
        check(case, "mu_mean", fit.mu.mean, case.get("mu_sd", abs(case["mu_mean"])))
    if "mu_sd" in case:
        check(case, "mu_sd", fit.mu.sd, case["mu_sd"])
    if "new_sd" in case:
        check(case, "new_sd", fit.new_study.sd, case["new_sd"])
    if "tau_mean" in case:
        check(case, "tau_mean", fit.tau.mean, case["tau_mean"])
    if "tau_sd" in case:
        check(case, "tau_sd", fit.tau.sd, case["tau_sd"])
    check(case, "mu_below_first", fit.mu.cdf(es.yi[0]), 1.0)
    check(case, "theta_mean", theta.mean, case["theta_sd"])
    check(case, "theta_sd", theta.sd, case["theta_sd"])
    check(case, "tau_below_cut", fit.tau.cdf(case["tau_cut"]), 1.0)


def test_the_reference_agrees_with_itself_and_with_mpmath() -> None:
    assert max(c["agreement"] for c in TABLE["cases"]) < 2e-9
    closed = [c for c in TABLE["cases"] if c["mu"].startswith(("Normal(0, 4)", "Normal(0, 0.3)", "Flat"))]
    assert max(c["agreement"] for c in closed if "truncated" not in c["mu"]) < 1e-14
    thrice = [c for c in TABLE["cases"] if "mpmath" in c]
    assert len(thrice) >= 10
    for c in thrice:
        for name, value in c["mpmath"].items():
            assert float(value) == pytest.approx(c[name], rel=1e-12)


def test_the_grid_is_complete() -> None:
    have = {(c["data"], c["mu"], c["tau"]) for c in TABLE["cases"]}
    proper = [
        "HalfNormal(0.5)",
        "HalfNormal(1e-06)",
        "HalfCauchy(0.5)",
        "HalfT(4, 0.3)",
        "Uniform(0, 4)",
        'LogNormal(-2.34, 1.72, on="tau2")',
        "LogNormal(-2, 0.001)",
        'LogStudentT(5, -3.85, 1.93, on="tau2")',
        "InverseGamma(1.71, 0.4)",
        "Lomax(1, 0.3)",
        "DuMouchel()",
        "UniformShrinkage()",
        "HalfNormal(1).truncated(0.2, 0.6)",
    ]
    assert set(TABLE["data"]) == {
        "crins",
        "one study",
        "two studies",
        "homogeneous",
        "outlier",
        "two camps",
        "eight orders",
        "tiny errors",
        "huge errors",
        "k 40",
        "k 500",
    }
    missing = {(d, "Normal(0, 4)", t) for d, t in product(TABLE["data"], proper)} - have
    assert not missing
    improper = {t for _, m, t in have if m == "Flat()"}
    assert improper == {"HalfNormal(0.5)", "UniformShrinkage()", "Flat()", "Jeffreys()"}
    means = {m for _, m, _ in have}
    assert means == {
        "Normal(0, 4)",
        "Normal(0, 0.3)",
        "Flat()",
        "StudentT(5, 0, 0.43)",
        "Cauchy(0, 0.7)",
        "Normal(0, 1).truncated(0, inf)",
        "Uniform(-1, 1)",
    }
