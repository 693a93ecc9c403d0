"""Printed numbers: Röver (2020), J Stat Softw 93(6), sections 3.1 to 3.4, and the prior tables."""

from __future__ import annotations

import numpy as np
import pytest

from mtmeta.effects.table import EffectSizes
from mtmeta.models.bayes import BayesRandomEffects, BayesResult
from mtmeta.models.priors import HalfNormal, Normal

# bayesmeta works on a grid of tau; its printed digits are true to about this much, where none is marked
PAPER = 5e-4
# printed numbers that the quadrature truth lies further from: (ours, by at most)
COARSE = {
    ("new_study", "sd"): 7e-4,
    ("new_study", "low"): 1.8e-3,
    ("new_study", "high"): 1.7e-3,
    ("mu", "low"): 5e-4,
    ("Gibelli", "sd"): 6e-4,
}
PRINTED = {
    ("tau", "mode"): "0.2453139",
    ("mu", "mode"): "-1.5691214",
    ("new_study", "mode"): "-1.5632732",
    ("tau", "median"): "0.3445023",
    ("mu", "median"): "-1.5734819",
    ("new_study", "median"): "-1.5701653",
    ("tau", "mean"): "0.3810562",
    ("mu", "mean"): "-1.5764365",
    ("new_study", "mean"): "-1.5764365",
    ("tau", "sd"): "0.2593672",
    ("mu", "sd"): "0.3295301",
    ("new_study", "sd"): "0.5671855",
    ("tau", "low"): "0",
    ("mu", "low"): "-2.2311251",
    ("new_study", "low"): "-2.7661319",
    ("tau", "high"): "0.8607193",
    ("mu", "high"): "-0.9263075",
    ("new_study", "high"): "-0.4072970",
}


@pytest.fixture(scope="module")
def fit(crins: EffectSizes) -> BayesResult:
    return BayesRandomEffects(mu=Normal(0, 4), tau=HalfNormal(0.5)).fit(crins)


def test_truth_row(fit: BayesResult) -> None:
    # by adaptive quadrature to 1e-12, printed with ten digits
    assert fit.log_marginal == pytest.approx(-9.632820156, abs=1e-9)
    assert fit.mu.mean == pytest.approx(-1.5764253967, abs=1e-10)
    assert fit.mu.sd == pytest.approx(0.3293681548, abs=1e-10)
    assert fit.tau.mean == pytest.approx(0.3810561975, abs=1e-10)


@pytest.mark.parametrize(("quantity", "column"), PRINTED, ids=lambda x: str(x))
def test_bayesmeta_summary_table(fit: BayesResult, quantity: str, column: str) -> None:
    got = fit.to_frame(0.95, "shortest").loc[quantity, column]
    assert got == pytest.approx(float(PRINTED[quantity, column]), abs=COARSE.get((quantity, column), PAPER))


def test_what_concerns_tau_alone_is_printed_to_the_digit(fit: BayesResult) -> None:
    # bayesmeta integrates tau adaptively and approximates only the mixtures
    table = fit.to_frame(0.95, "shortest").loc["tau"]
    for column in ("median", "mean", "sd", "high"):
        # half a unit of the last digit; the end of the interval is found by an optimiser there
        unit = 1e-7 if column == "high" else 5.1e-8
        assert table[column] == pytest.approx(float(PRINTED["tau", column]), abs=unit), column


def test_intervals_of_tau(fit: BayesResult) -> None:
    assert fit.tau.ci(0.99, kind="shortest") == pytest.approx((0.0, 1.109186), abs=5e-7)
    assert fit.tau.ci(0.99) == pytest.approx((0.003547657, 1.205400562), abs=5e-9)


def test_maxima(fit: BayesResult) -> None:
    modes = fit.modes
    printed = {
        "ML joint": (0.32581341, -1.578262),
        "ML marginal": (0.46441292, -1.578003),
        "MAP joint": (0.08690907, -1.559376),
    }
    for name, (tau, mu) in printed.items():
        assert modes.loc[name, "tau"] == pytest.approx(tau, abs=2e-5)
        assert modes.loc[name, "mu"] == pytest.approx(mu, abs=1e-4)
    # the gradient vanishes where a maximum stands
    for name in ("ML joint", "MAP joint"):
        tau, mu = modes.loc[name, "tau"], modes.loc[name, "mu"]
        here = joint(fit, tau, mu, prior=name.startswith("MAP"))
        for step in (1e-4, -1e-4):
            assert joint(fit, tau + step, mu, prior=name.startswith("MAP")) < here
            assert joint(fit, tau, mu + step, prior=name.startswith("MAP")) < here


def joint(fit: BayesResult, tau: float, mu: float, *, prior: bool) -> float:
    v = fit.effects.vi + tau**2
    height = -0.5 * np.sum(np.log(v) + (fit.effects.yi - mu) ** 2 / v)
    return height - 0.5 * (mu / 4) ** 2 - 0.5 * (tau / 0.5) ** 2 if prior else height


def test_bayes_factors(fit: BayesResult) -> None:
    assert fit.bayes_factor(tau=0) == pytest.approx(0.8832, abs=5e-5)
    assert fit.bayes_factor(mu=0) == pytest.approx(0.0037708, abs=5e-8)


def test_shrinkage(fit: BayesResult) -> None:
    table = fit.shrinkage.set_index("study")
    assert table.loc["Heffron", ["mean", "sd"]].tolist() == pytest.approx([-1.7778965, 0.4229425], abs=PAPER)
    assert table.loc["Gibelli", "mean"] == pytest.approx(-1.2339736, abs=PAPER)
    assert table.loc["Gibelli", "sd"] == pytest.approx(0.4488759, abs=COARSE["Gibelli", "sd"])
