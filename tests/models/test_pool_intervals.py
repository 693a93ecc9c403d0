"""Intervals whose outside reference is quadrature, simulation or a printed number of another program."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chi2, norm

from mtmeta.effects.binary import odds_ratio
from mtmeta.effects.table import EffectSizes
from mtmeta.models import intervals, kernel
from mtmeta.models.pool import HenmiCopas, IVhet, RandomEffects
from mtmeta.models.predict import bootstrap_draws
from mtmeta.models.quadform import q_distribution, q_statistic

Array = npt.NDArray[np.float64]
Load = Callable[[str], Any]
HardInput = Callable[[np.random.Generator, int], tuple[Array, Array]]


def _set(load: Load, name: str) -> tuple[Array, Array]:
    data = load("reference/pool_generated.json.gz")["data"]
    found = next(d for d in data if d["id"] == name)
    return np.array(found["yi"]), np.array(found["vi"])


# distribution of Q -----------------------------------------------------------------------------------------


def _imhof(q: float, eigenvalues: Array) -> float:
    """P(Q <= q) by Imhof's integral (1961, Biometrika 48:419), Gauss-Legendre on 4000 short panels."""
    x, weight = np.polynomial.legendre.leggauss(20)
    # eight eigenvalues make the integrand fall off as u^-5
    ends = np.linspace(0.0, 1500.0 / float(eigenvalues.max()), 4001)
    half = 0.5 * np.diff(ends)[:, None]
    u = ends[:-1, None] + half * (1.0 + x)
    scaled = eigenvalues * u[..., None]
    angle = 0.5 * np.arctan(scaled).sum(axis=-1) - 0.5 * q * u
    rho = np.prod((1.0 + scaled**2) ** 0.25, axis=-1)
    return 0.5 - float((half * weight * np.sin(angle) / (u * rho)).sum()) / math.pi


@pytest.mark.parametrize("kind", ["DL", "root"])
@pytest.mark.parametrize("tau2", [0.0, 0.05, 3.0])
def test_distribution_of_q_by_imhof(kind: str, tau2: float) -> None:
    rng = np.random.default_rng(3)
    v = rng.uniform(0.02, 0.8, 9)
    w = 1.0 / v if kind == "DL" else 1.0 / np.sqrt(v)
    half = np.sqrt(v + tau2)
    P = np.diag(w) - np.outer(w, w) / w.sum()
    eigenvalues = np.linalg.eigvalsh(half[:, None] * P * half)[1:]
    for share in (0.2, 1.0, 2.5):
        q = share * float(eigenvalues.sum())
        ours = float(q_distribution(q, tau2, vi=v, weights=w)[0])
        assert ours == pytest.approx(_imhof(q, eigenvalues), abs=1e-9)


@pytest.mark.parametrize("k", [2, 3, 10, 200])
def test_distribution_of_q_is_chi_squared_without_heterogeneity(k: int) -> None:
    v = np.geomspace(0.01, 2.0, k)
    q = np.array([1e-6, 0.3, 1.0, 3.0]) * (k - 1)
    ours = [float(q_distribution(x, 0.0, vi=v, weights=1.0 / v)[0]) for x in q]
    np.testing.assert_allclose(ours, chi2.cdf(q, k - 1), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    "name", ["k10-tau2=0.2", "k40-tau2=0.02", "dominating-near", "k5-tau2=0", "scale-1e3"]
)
@pytest.mark.parametrize("method", ["BJ", "J"])
def test_ends_of_the_exact_intervals_have_their_tails(load: Load, name: str, method: str) -> None:
    y, v = _set(load, name)
    low, high = RandomEffects(tau2="DL").fit(EffectSizes.of(y, v)).tau2_ci(method=method)
    w = 1.0 / v if method == "BJ" else 1.0 / np.sqrt(v)
    q = q_statistic(y, w)
    for end, tail in ((low, 0.975), (high, 0.025)):
        at = float(q_distribution(q, end, vi=v, weights=w)[0])
        assert at == pytest.approx(tail, abs=1e-9) if end > 0.0 else at <= tail
    assert low <= float(kernel.fit(y, v, method="DL").tau2[0]) * (1.0 + 1e-9) + 1e-12 <= high or low == 0.0


@pytest.mark.slow
def test_exact_intervals_cover_as_they_say() -> None:
    rng = np.random.default_rng(12)
    v, tau2, runs = np.array([0.05, 0.1, 0.2, 0.4, 0.1, 0.3]), 0.15, 600
    hits = dict.fromkeys(("BJ", "J", "QP"), 0)
    for _ in range(runs):
        es = EffectSizes.of(rng.normal(0, np.sqrt(v + tau2)), v)
        fit = RandomEffects(tau2="DL").fit(es)
        for method in hits:
            hits[method] += tau2 in fit.tau2_ci(method=method)
    for count in hits.values():
        assert abs(count / runs - 0.95) < 3.5 * math.sqrt(0.95 * 0.05 / runs)


# Henmi and Copas -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bimodal-likelihood", "dominating-1e4", "k5-tau2=0.2", "imprecise-outlier"])
def test_henmi_copas_by_exact_integration(load: Load, name: str) -> None:
    """The defining equation with 30 digits, moments as the paper writes them."""
    y, v = _set(load, name)
    fit = HenmiCopas().fit(EffectSizes.of(y, v))
    critical = (fit.ci().high - fit.estimate) / fit.se
    with mpmath.workdps(30):
        yy, w = [mpmath.mpf(float(a)) for a in y], [1 / mpmath.mpf(float(a)) for a in v]
        k, total = len(yy), mpmath.fsum(w)
        w2, w3, w4 = (mpmath.fsum(a**p for a in w) / total for p in (2, 3, 4))
        mean = mpmath.fsum(a * b for a, b in zip(w, yy, strict=True)) / total
        q = mpmath.fsum(a * (b - mean) ** 2 for a, b in zip(w, yy, strict=True))
        t = max(mpmath.mpf(0), (q - (k - 1)) / (total - w2))
        vr = 1 + t * w2
        x = mpmath.mpf(critical) / mpmath.sqrt(vr)

        def density(z: mpmath.mpf) -> mpmath.mpf:
            r2 = vr * z * z
            gap = r2 / vr**2 - 1 / vr
            expected = (k - 1) + t * (total - w2) + t**2 * gap * (w3 - w2**2)
            variance = (
                2 * (k - 1)
                + 4 * t * (total - w2)
                + 2 * t**2 * (total * w2 - 2 * w3 + w2**2)
                + 4 * t**2 * gap * (w3 - w2**2)
                + 4 * t**3 * gap * (w4 - 2 * w2 * w3 + w2**3)
                + 2 * t**4 * (1 / vr**2 - 2 * r2 / vr**3) * (w3 - w2**2) ** 2
            )
            at = (total / w2 - 1) * ((z / x) ** 2 - 1) + (k - 1)
            share = mpmath.gammainc(expected**2 / variance, 0, at * expected / variance, regularized=True)
            return share * mpmath.npdf(z)

        cuts = [x + step for step in (0, 0.01, 0.1, 0.5, 1, 2, 4, 8, 16)]
        assert abs(mpmath.quad(density, cuts) - mpmath.mpf("0.025")) < 1e-10


# profile likelihood ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["k10-tau2=0.2", "k4-tau2=2", "imprecise-outlier", "identical-effects"])
def test_the_ends_of_the_profile_interval_lie_at_the_same_height(load: Load, name: str) -> None:
    y, v = _set(load, name)
    fit = RandomEffects(tau2="ML", ci="PL").fit(EffectSizes.of(y, v))
    for level in (0.8, 0.95, 0.99):
        for end in fit.ci(level):
            known = kernel.fit(y - end, v, method="ML", design=np.empty((len(y), 0)))
            drop = 2.0 * (fit.loglik - float(known.loglik[0]))
            assert drop == pytest.approx(float(chi2.ppf(level, 1)), rel=1e-9)


def test_the_profile_test_agrees_with_its_interval(load: Load) -> None:
    y, v = _set(load, "k10-tau2=0.2")
    shifted = RandomEffects(tau2="ML", ci="PL").fit(EffectSizes.of(y, v))
    at_the_end = RandomEffects(tau2="ML", ci="PL").fit(EffectSizes.of(y - shifted.ci().low, v))
    assert at_the_end.pvalue == pytest.approx(0.05, abs=1e-8)
    assert at_the_end.statistic > 0.0


# IQWiG's rule ----------------------------------------------------------------------------------------------


def test_iqwig_takes_the_floor_only_where_hksj_is_narrower_than_dl(load: Load) -> None:
    """Against metafor's own intervals of both kinds on all sets with at least 2 studies."""
    made = load("reference/pool_generated.json.gz")
    rows = {(r["id"], r["method"]): r for r in made["fits"]}
    seen = set()
    for d in made["data"]:
        es = EffectSizes.of(d["yi"], d["vi"])
        plain, floored = rows[d["id"], "REML"]["knha"], rows[d["id"], "REML"]["adhoc"]
        wald = rows[d["id"], "DL"]["z"]
        narrower = plain[4] - plain[3] < wald[4] - wald[3]
        fit = RandomEffects(ci="IQWiG").fit(es)
        expected = floored if narrower else plain
        assert fit.ci_method == f"IQWiG ({'HKSJ-floor' if narrower else 'HKSJ'})"
        room = 1e-7 * (expected[4] - expected[3] + 1e-3 * abs(es.yi).max())
        np.testing.assert_allclose(fit.ci(), expected[3:], atol=room, rtol=0)
        seen.add(narrower)
    assert seen == {True, False}


# prediction ------------------------------------------------------------------------------------------------


def cisapride() -> EffectSizes:
    """Hartung and Knapp 2001, Stat Med 20:1771: 13 trials of cisapride, half an event added to each cell."""
    a = np.array([15, 12, 29, 42, 14, 44, 14, 29, 10, 17, 38, 19, 21])
    n1 = np.array([16, 16, 34, 56, 22, 54, 17, 58, 14, 26, 44, 29, 38])
    c = np.array([9, 1, 18, 31, 6, 17, 7, 23, 3, 6, 12, 22, 19])
    n2 = np.array([16, 16, 34, 56, 22, 55, 15, 58, 15, 27, 45, 30, 38])
    return EffectSizes.of(*odds_ratio(a + 0.5, n1 + 1, c + 0.5, n2 + 1, zero_cells="none"), "OR")


def test_bootstrap_prediction_of_the_cisapride_trials(as_printed: Callable[[float, str], None]) -> None:
    """The R package pimeta prints 4.141 [0.533, 33.692], tau2 0.718 and 0.075 below 1, from 25,000 draws."""
    fit = RandomEffects(tau2="DL").fit(cisapride())
    as_printed(math.exp(fit.estimate), "4.141")
    as_printed(fit.tau2, "0.718")
    as_printed(fit.i2, "69.9")
    draws = 200_000
    values = np.sort(bootstrap_draws(fit.effects.yi, fit.effects.vi, draws=draws, seed=1))
    # their limits are quantiles of 25,000 draws, so their place in our distribution has a standard error
    for printed, tail in ((0.533, 0.025), (33.692, 0.975)):
        place = float(np.searchsorted(values, math.log(printed))) / draws
        error = math.sqrt(tail * (1 - tail) * (1 / 25_000 + 1 / draws))
        assert abs(place - tail) < 4.0 * error
    share = fit.probability_beyond(0.0, side="below", method="bootstrap", draws=draws, seed=2)
    assert abs(share - 0.075) < 4.0 * math.sqrt(0.075 * 0.925 * (1 / 25_000 + 1 / draws)) + 0.0005


def test_bootstrap_is_reproducible_and_takes_a_generator() -> None:
    fit = RandomEffects().fit(cisapride())
    assert fit.pi(method="bootstrap", seed=5, draws=2000) == fit.pi(method="bootstrap", seed=5, draws=2000)
    same = fit.pi(method="bootstrap", seed=np.random.default_rng(5), draws=2000)
    assert same == fit.pi(method="bootstrap", seed=5, draws=2000)
    assert fit.pi(method="bootstrap", seed=6, draws=2000) != same


def test_drawn_tau2_follow_their_confidence_distribution() -> None:
    from mtmeta.models.predict import _draw_tau2

    es = cisapride()
    uniform = (np.arange(2000) + 0.5) / 2000
    tau2 = _draw_tau2(es.yi, es.vi, uniform)
    w = 1.0 / es.vi
    back = q_distribution(q_statistic(es.yi, w), tau2, vi=es.vi, weights=w)
    inside = tau2 > 0.0
    np.testing.assert_allclose(back[inside], uniform[inside], atol=2e-6)
    assert (np.diff(tau2) <= 0.0).all()


@pytest.mark.slow
def test_bootstrap_covers_a_new_study_with_few_studies() -> None:
    rng = np.random.default_rng(21)
    v, tau2, runs, hits = np.array([0.05, 0.1, 0.2, 0.15]), 0.2, 600, 0
    for run in range(runs):
        theta = rng.normal(0.3, math.sqrt(tau2), 5)
        fit = RandomEffects().fit(EffectSizes.of(rng.normal(theta[:4], np.sqrt(v)), v))
        hits += float(theta[4]) in fit.pi(method="bootstrap", draws=3000, seed=run)
    assert abs(hits / runs - 0.95) < 0.03  # the paper reports 0.94 to 0.96 from 3 studies on


@pytest.mark.parametrize("rule", ["V", "HTS", "normal", "HK", "HK-PR"])
def test_probability_beyond_the_end_of_an_interval_is_its_tail(rule: str) -> None:
    fit = RandomEffects().fit(cisapride())
    low, high = fit.pi(0.9, method=rule)
    assert fit.probability_beyond(high, method=rule) == pytest.approx(0.05, rel=1e-10)
    assert fit.probability_beyond(low, side="below", method=rule) == pytest.approx(0.05, rel=1e-10)
    total = fit.probability_beyond(1.0, method=rule) + fit.probability_beyond(1.0, side="below", method=rule)
    assert total == pytest.approx(1.0, rel=1e-14)


def test_probability_below_zero_as_pimeta_prints_it() -> None:
    """HTS on the systolic pressure data of Riley 2011: -0.3341 [-0.7598, 0.0917] on 8 df gives 0.9460."""
    from mtmeta.models.predict import predictive_cdf

    scale = (0.0917 + 0.7598) / 2.0 / intervals.critical(0.95, 8)
    assert predictive_cdf(0.0, centre=-0.3341, scale=scale, df=8) == pytest.approx(0.9460, abs=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("k", "tau2"), [(4, 0.2), (12, 0.05)])
def test_interval_of_the_probability_covers(k: int, tau2: float) -> None:
    rng = np.random.default_rng(31)
    v, runs, hits = np.geomspace(0.04, 0.3, k), 400, 0
    share = float(norm.sf((0.5 - 0.3) / math.sqrt(tau2)))
    for run in range(runs):
        fit = RandomEffects().fit(EffectSizes.of(rng.normal(0.3, np.sqrt(v + tau2)), v))
        hits += share in fit.probability_beyond_ci(0.5, draws=2000, seed=run)
    assert hits / runs > 0.95 - 3.0 * math.sqrt(0.95 * 0.05 / runs)
    assert hits / runs < 0.99


def test_interval_of_the_probability_holds_the_estimate() -> None:
    fit = RandomEffects(tau2="DL").fit(cisapride())
    low, high = fit.probability_beyond_ci(0.5)
    assert low < fit.probability_beyond(0.5) < high
    below = fit.probability_beyond_ci(0.5, side="below")
    assert below == pytest.approx((1.0 - high, 1.0 - low), abs=1e-12)
    narrow = fit.probability_beyond_ci(0.5, 0.5)
    assert low < narrow.low < narrow.high < high


# hard inputs -----------------------------------------------------------------------------------------------


def _check_every_interval(y: Array, v: Array, draws: int) -> None:
    es = EffectSizes.of(y, v)
    reml, ml = RandomEffects().fit(es), RandomEffects(tau2="ML", ci="PL").fit(es)
    found = [reml.tau2_ci(method=m) for m in ("QP", "PL", "BJ", "J", "BT", "SJ", "Wald")]
    found += [ml.tau2_ci(method="PL"), ml.ci(), HenmiCopas().fit(es).ci(), IVhet().fit(es).ci()]
    found += [reml.ci(), RandomEffects(ci="IQWiG").fit(es).ci()]
    if es.k > 2:
        found += [reml.pi(), reml.pi(method="bootstrap", draws=draws)]
    for low, high in found:
        assert math.isfinite(low)
        assert math.isfinite(high)
        assert low <= high
    assert 0.0 <= ml.pvalue <= 1.0


@pytest.mark.parametrize("kind", range(10))
def test_every_interval_on_hard_inputs(hard_input: HardInput, kind: int) -> None:
    rng = np.random.default_rng([13, kind])
    for _ in range(4):
        _check_every_interval(*hard_input(rng, kind), draws=100)


@pytest.mark.slow
@pytest.mark.parametrize("kind", range(10))
def test_every_interval_on_many_hard_inputs(hard_input: HardInput, kind: int) -> None:
    rng = np.random.default_rng([17, kind])
    for _ in range(60):
        _check_every_interval(*hard_input(rng, kind), draws=100)
