"""From one family to another and back, and what an effect means."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtmeta.effects import association, continuous, convert
from mtmeta.effects.reported import smd_from_p, smd_from_reported, smd_from_t
from mtmeta.errors import EffectError, UsageError

R: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[1] / "reference" / "escalc_recover.json").read_text()
)


@pytest.mark.parametrize("distribution", ["logistic", "normal"])
def test_odds_ratios_and_back(distribution: Any) -> None:
    yi, vi = np.array([0.5, -1.2]), np.array([0.04, 0.1])
    there = convert.log_odds_ratio_from_smd(yi, vi, distribution=distribution)
    again = convert.smd_from_log_odds_ratio(*there, distribution=distribution)
    np.testing.assert_allclose(again, (yi, vi), rtol=1e-14)


def test_correlations_and_back() -> None:
    yi, vi = np.array([0.5, -1.2]), np.array([0.04, 0.1])
    again = convert.smd_from_correlation(*convert.correlation_from_smd(yi, vi))
    np.testing.assert_allclose(again, (yi, vi), rtol=1e-14)


def test_a_correlation_from_an_smd_is_the_point_biserial_one_of_a_large_trial() -> None:
    n1, n2 = 40_000, 10_000
    d, v = continuous.standardized_mean_difference(10.4, 1, n1, 10, 1, n2, correction="none")
    r, vr = convert.correlation_from_smd(d, v, n1=n1, n2=n2)
    expected, variance = association.point_biserial(10.4, 1, n1, 10, 1, n2)
    assert float(r) == pytest.approx(float(expected), rel=1e-4)
    assert float(vr) == pytest.approx(float(variance), rel=1e-3)


def test_what_an_smd_means() -> None:
    c = {name: np.array(values) for name, values in R["meaning"].items()}
    np.testing.assert_allclose(convert.cohen_u3(c["d"]), c["u3"], rtol=1e-12)
    np.testing.assert_allclose(convert.common_language(c["d"]), c["cl"], rtol=1e-12)
    np.testing.assert_allclose(convert.response_rates(c["d"], c["rate"]), c["treated"], rtol=1e-12)
    nnt = convert.number_needed_to_treat(c["d"], c["rate"])
    moved = c["d"] != 0
    np.testing.assert_allclose(nnt[moved], 1 / c["gain"][moved], rtol=1e-11)
    assert np.isinf(nnt[~moved]).all()
    assert (nnt[c["d"] < 0] < 0).all()


def test_scale_points_are_linear() -> None:
    np.testing.assert_allclose(convert.scale_points([-0.5, 0.2], 10.5), [-5.25, 2.1], rtol=1e-15)


def test_hazard_ratios_from_what_is_printed() -> None:
    log_hr, se = -0.35, 0.17
    z = 1.959963984540054
    low, high = np.exp(log_hr - z * se), np.exp(log_hr + z * se)
    from_interval = convert.hazard_ratio(np.exp(log_hr), low=low, high=high)
    np.testing.assert_allclose(from_interval, (log_hr, se**2), rtol=1e-12)
    from scipy.special import ndtr

    p = 2 * ndtr(-abs(log_hr) / se)
    np.testing.assert_allclose(convert.hazard_ratio(np.exp(log_hr), p=p), (log_hr, se**2), rtol=1e-9)
    yi, vi = convert.hazard_ratio_from_logrank([30, 12], [40, 9], [20, 5])
    np.testing.assert_allclose(yi, [-0.5, 0.6])
    np.testing.assert_allclose(vi, [0.05, 0.2])


def test_t_p_and_means_give_one_smd() -> None:
    m1, sd1, n1, m2, sd2, n2 = 10, 2, 20, 8.5, 3, 25
    direct = continuous.standardized_mean_difference(m1, sd1, n1, m2, sd2, n2)
    from scipy import stats

    test = stats.ttest_ind_from_stats(m1, sd1, n1, m2, sd2, n2)
    np.testing.assert_allclose(smd_from_t(test.statistic, n1, n2), direct, rtol=1e-12)
    np.testing.assert_allclose(smd_from_p(test.pvalue, n1, n2, sign=1), direct, rtol=1e-9)
    mirrored = smd_from_p(test.pvalue, n1, n2, sign=-1)
    np.testing.assert_allclose(mirrored, (-direct[0], direct[1]), rtol=1e-9)


@pytest.mark.parametrize("convention", ["LS", "LS2", "UB", "AV", "RevMan"])
@pytest.mark.parametrize("correction", ["exact", "approximate", "none"])
def test_a_reported_g_is_restated_as_from_the_arms(convention: Any, correction: Any) -> None:
    data = ([10, 9], [2, 2.5], [20, 9], [8.5, 9.5], [3, 2.5], [25, 8])
    printed, _ = continuous.standardized_mean_difference(*data, correction=correction)
    restated = smd_from_reported(printed, data[2], data[5], correction_from=correction, convention=convention)
    direct = continuous.standardized_mean_difference(*data, variance=convention)
    np.testing.assert_allclose(restated, direct, rtol=1e-13)


@pytest.mark.parametrize("correction", ["exact", "approximate", "none"])
@pytest.mark.parametrize("standardizer", ["control", "treatment"])
def test_glass_with_either_sd(correction: Any, standardizer: Any) -> None:
    data = (10, 2, 20, 8.5, 3, 25)
    yi, vi = continuous.glass_delta(*data, standardizer=standardizer, correction=correction)
    sd, n = (3, 25) if standardizer == "control" else (2, 20)
    j = continuous.hedges_correction(n - 1, correction=correction)
    assert float(yi) == pytest.approx(j * 1.5 / sd, rel=1e-14)
    assert float(vi) == pytest.approx(1 / 20 + 1 / 25 + float(yi) ** 2 / (2 * n), rel=1e-14)


def _exact(m: int) -> float:
    """J of a whole m by exact fractions: its gamma functions are factorials and a root of pi."""
    f = math.factorial
    if m % 2 == 0:
        k = m // 2
        return float(Fraction(4 ** (k - 1) * f(k - 1) ** 2, f(2 * k - 2))) / math.sqrt(math.pi * k)
    k = m // 2
    return float(Fraction(f(2 * k), 4**k * f(k) * f(k - 1))) * math.sqrt(math.pi / (k + 0.5))


@pytest.mark.parametrize("m", [*range(2, 60), 99, 100, 1000, 1501])
def test_the_correction_of_whole_df_is_exact(m: int) -> None:
    assert float(continuous.hedges_correction(m)) == pytest.approx(_exact(m), rel=3e-15)


@pytest.mark.parametrize("m", [1.01, 1.5, 2.25, 7.25, 23.999, 24.001, 33.3, 60.5])
def test_the_correction_of_broken_df_is_that_of_the_gamma_functions(m: float) -> None:
    expected = math.exp(math.lgamma(m / 2) - math.lgamma((m - 1) / 2)) / math.sqrt(m / 2)
    assert float(continuous.hedges_correction(m)) == pytest.approx(expected, rel=2e-14)


def test_the_correction_joins_its_parts_without_a_step() -> None:
    m = np.linspace(23.9, 24.1, 201)
    assert np.all(np.diff(continuous.hedges_correction(m)) > 0)
    assert np.all(continuous.hedges_correction([1e6, 1e9, 1e12]) <= 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: continuous.hedges_correction(1), r"df = 1: .*more than 1 degree"),
        (lambda: convert.smd_from_correlation(1.0, 0.1), r"r = 1: .*strictly"),
        (lambda: convert.smd_from_log_odds_ratio(1.0, 0.0), r"vi = 0"),
        (lambda: convert.correlation_from_smd(1.0, 0.1, n1=0, n2=3), r"n1 = 0|size1 = 0"),
        (lambda: convert.response_rates(0.5, 0), r"control_rate = 0: .*such as 0.2"),
        (lambda: convert.number_needed_to_treat(0.5, 20), r"control_rate = 20"),
        (lambda: convert.scale_points(0.5, 0), r"sd = 0"),
        (lambda: convert.cohen_u3(np.nan), r"d = nan"),
        (lambda: convert.hazard_ratio(-0.2, p=0.1), r"hazard_ratio = -0.2: .*not its logarithm"),
        (lambda: convert.hazard_ratio(0.2, low=0.5, high=0.9), r"estimate = 0.2: lies outside"),
        (lambda: convert.hazard_ratio_from_logrank(1, 2, 0), r"variance = 0"),
        (lambda: association.correlation_from_t(2, 0), r"df = 0"),
        (lambda: continuous.mean_difference([1, 2], 1, 5, [1, 2, 3], 1, 5), r"different lengths: m1 \(2,\)"),
    ],
)
def test_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(EffectError, match=words):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: convert.hazard_ratio(0.5),
        lambda: convert.hazard_ratio(0.5, low=0.2),
        lambda: convert.hazard_ratio(0.5, low=0.2, high=0.9, p=0.1),
        lambda: convert.log_odds_ratio_from_smd(1, 1, distribution="t"),  # type: ignore[arg-type]
        lambda: continuous.standardized_mean_difference(1, 1, 5, 1, 1, 5, variance="ls"),  # type: ignore[arg-type]
        lambda: continuous.standardized_mean_difference(1, 1, 5, 1, 1, 5, variance="UB", correction="none"),
        lambda: continuous.glass_delta(1, 1, 5, 1, 1, 5, variance="LS2", heteroscedastic=True),
        lambda: continuous.glass_delta(1, 1, 5, 1, 1, 5, variance="UB", correction="approximate"),
        lambda: continuous.hedges_correction(5, correction="small"),  # type: ignore[arg-type]
    ],
)
def test_wrong_use(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        call()
