"""Three-level models: second routes, boundaries, refusals, properties, speed of growth."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.testing import assert_allclose
from scipy import optimize

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ConvergenceWarning, DataWarning, ModelError, UsageError
from mtmeta.models.blocks import arrange, log_likelihood, point
from mtmeta.models.components import maximise
from mtmeta.models.dependent import Multilevel, rho_sensitivity
from mtmeta.models.pool import RandomEffects

few = pytest.mark.filterwarnings("ignore:.*Satterthwaite degrees of freedom")


def simulate(
    seed: int, *, clusters: int = 8, rows: int = 4, between: float = 0.1, within: float = 0.05
) -> EffectSizes:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, rows + 1, clusters)
    sizes[0] = rows
    label = np.repeat(np.arange(clusters), sizes)
    k = len(label)
    vi = np.exp(rng.uniform(np.log(0.01), np.log(0.4), k))
    yi = 0.3 + rng.normal(0, between**0.5, clusters)[label] + rng.normal(0, np.sqrt(vi + within))
    moderators = {"x": rng.normal(size=k), "z": rng.normal(size=clusters)[label]}
    return EffectSizes.of(yi, vi, cluster=label, moderators=moderators)


def covariance(es: EffectSizes, rho: float | None, theta: tuple[float, float]) -> np.ndarray:
    """The dense covariance, from its definition."""
    cluster = np.array(es.cluster)
    same = cluster[:, None] == cluster[None, :]
    root = np.sqrt(es.vi)
    known = np.where(same, (rho or 0.0) * np.outer(root, root), 0.0)
    np.fill_diagonal(known, es.vi)
    return known + theta[0] * same + theta[1] * np.eye(es.k)


def dense(
    es: EffectSizes, x: np.ndarray, rho: float | None, theta: tuple[float, float], restricted: bool
) -> float:
    """Log-likelihood by textbook algebra on the dense covariance."""
    m = covariance(es, rho, theta)
    w = np.linalg.inv(m)
    gram = x.T @ w @ x
    r = es.yi - x @ np.linalg.solve(gram, x.T @ w @ es.yi)
    value = np.linalg.slogdet(m)[1] + r @ w @ r
    k, p = x.shape
    if not restricted:
        return float(-0.5 * (value + k * np.log(2 * np.pi)))
    value += np.linalg.slogdet(gram)[1] - np.linalg.slogdet(x.T @ x)[1]
    return float(-0.5 * (value + (k - p) * np.log(2 * np.pi)))


# the block algebra against the dense ------------------------------------------------------------------------

THETAS = [(0.0, 0.0), (0.2, 0.0), (0.0, 0.3), (0.05, 0.4), (30.0, 1e-4)]


@pytest.mark.parametrize("rho", [None, 0.3, 0.9])
@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("p", [1, 3])
def test_likelihood_and_its_derivatives(rho: float | None, restricted: bool, p: int) -> None:
    es = simulate(3)
    x = np.column_stack([np.ones(es.k), es.moderators[["x", "z"]]])[:, :p]  # type: ignore[index]
    blocks = arrange(es.yi, es.vi, x, es.cluster, rho)
    batch = log_likelihood(blocks, *np.array(THETAS).T, restricted)
    for theta, value in zip(THETAS, batch, strict=True):
        at = point(blocks, np.array(theta), restricted)
        truth = dense(es, x, rho, theta, restricted)
        assert_allclose([at.value, value], truth, rtol=1e-12, atol=1e-10)
        w = np.linalg.inv(covariance(es, rho, theta))
        assert_allclose(at.vcov, np.linalg.inv(x.T @ w @ x), rtol=1e-9)
        assert_allclose(at.beta, at.vcov @ x.T @ w @ es.yi, rtol=1e-9)
        proj = w - w @ x @ at.vcov @ x.T @ w
        same = np.equal.outer(np.array(es.cluster), np.array(es.cluster)).astype(float)
        parts = (same, np.eye(es.k))
        left = proj if restricted else w
        score = [-0.5 * (np.trace(left @ m) - es.yi @ proj @ m @ proj @ es.yi) for m in parts]
        assert_allclose(at.score, score, rtol=1e-8, atol=1e-8 * np.abs(score).max())
        hessian = [
            [es.yi @ proj @ a @ proj @ b @ proj @ es.yi - 0.5 * np.trace(left @ a @ left @ b) for b in parts]
            for a in parts
        ]
        assert_allclose(at.observed, hessian, rtol=1e-7, atol=1e-7 * np.abs(hessian).max())
        assert_allclose(at.trace, np.trace(proj), rtol=1e-9)


@few
@pytest.mark.parametrize("rho", [None, 0.6])
def test_profile_bounds_solve_their_equation(rho: float | None) -> None:
    es = simulate(7, clusters=7)
    fit = Multilevel(within_rho=rho, robust=False).fit(es)
    x = np.ones((es.k, 1))
    for i, component in enumerate(("between", "within")):
        low, high = fit.sigma2_ci(component)  # type: ignore[arg-type]

        def profile(value: float, i: int = i) -> float:
            def minus(u: float) -> float:
                theta = (value, np.exp(u)) if i == 0 else (np.exp(u), value)
                return -dense(es, x, rho, theta, True)

            edge = dense(es, x, rho, (value, 0.0) if i == 0 else (0.0, value), True)
            best = optimize.minimize_scalar(
                minus, bounds=(-12, 5), method="bounded", options={"xatol": 1e-10}
            )
            return max(-best.fun, edge)

        assert low <= (fit.sigma2_between, fit.sigma2_within)[i] <= high
        assert_allclose(2 * (fit.loglik - profile(high)), 3.841458820694124, rtol=1e-6)
        if low > 0:
            assert_allclose(2 * (fit.loglik - profile(low)), 3.841458820694124, rtol=1e-6)
        else:
            assert 2 * (fit.loglik - profile(0.0)) <= 3.8414589


# what follows from the model --------------------------------------------------------------------------------


@few
def test_weights_and_icc_and_i2() -> None:
    es = simulate(11)
    fit = Multilevel().fit(es)
    theta = (fit.sigma2_between, fit.sigma2_within)
    w = np.linalg.inv(covariance(es, None, theta)).sum(0)
    assert_allclose(fit.weights, w / w.sum(), rtol=1e-9)
    assert_allclose(fit.weights @ es.yi, fit.estimate, rtol=1e-12)
    assert_allclose(fit.icc, theta[0] / sum(theta))
    assert_allclose(fit.i2_between + fit.i2_within, fit.i2)
    # metafor's page on I² of multilevel models: 100 σ²/(σ² + (k − p)/tr P)
    v = 1 / es.vi
    trace = v.sum() - (v**2).sum() / v.sum()
    assert_allclose(fit.i2, 100 * sum(theta) / (sum(theta) + (es.k - 1) / trace), rtol=1e-10)
    low, high = fit.pi()
    assert low < fit.ci().low < fit.ci().high < high
    assert_allclose(fit.predict({"none": [0]})["estimate"], fit.estimate)


@few
def test_a_second_route_through_moderators() -> None:
    es = simulate(13, clusters=12)
    fit = Multilevel(formula="x + z").fit(es)
    means = fit.predict(es.moderators)  # type: ignore[arg-type]
    assert_allclose(means["estimate"], fit.design.matrix @ fit.coef, rtol=1e-12)
    assert (means["pi_low"] < means["ci_low"]).all()
    rows = np.eye(3)[[1]]
    assert_allclose(fit.coefficients.joint(rows).statistic, fit.coefficients.statistic[1] ** 2, rtol=1e-9)
    assert_allclose(fit.coefficients.joint(rows).df2, fit.coefficients.df[1], rtol=1e-9)
    assert_allclose(fit.coefficients.joint(rows).pvalue, fit.coefficients.pvalue[1], rtol=1e-9)
    # HTZ does not depend on how the hypothesis is written
    a = fit.coefficients.joint(np.eye(3)[1:])
    b = fit.coefficients.joint(np.array([[1.0, 2.0], [3.0, -1.0]]) @ np.eye(3)[1:])
    assert_allclose([a.statistic, a.df2], [b.statistic, b.df2], rtol=1e-9)
    with pytest.raises(ModelError, match="has moderators and so no single mean"):
        _ = fit.estimate


@few
def test_no_heterogeneity_at_all() -> None:
    rng = np.random.default_rng(0)
    vi = rng.uniform(0.1, 0.4, 20)
    es = EffectSizes.of(0.2 + 1e-3 * rng.normal(size=20), vi, cluster=np.repeat(np.arange(5), 4))
    fit = Multilevel(robust=False).fit(es)
    assert fit.at.theta.tolist() == [0.0, 0.0]
    assert np.isnan(fit.icc)
    assert fit.i2 == 0
    w = 1 / vi
    assert_allclose(fit.estimate, (w * es.yi).sum() / w.sum(), rtol=1e-10)
    assert_allclose(fit.se, w.sum() ** -0.5, rtol=1e-10)


@few
def test_rho_sensitivity() -> None:
    es = simulate(17)
    frame = rho_sensitivity(Multilevel(), es, rhos=(0.2, 0.6))
    assert list(frame["rho"]) == [0.2, 0.6]
    fit = Multilevel(within_rho=0.6).fit(es)
    assert_allclose(frame.iloc[1][["estimate", "se", "df"]].astype(float), [fit.estimate, fit.se, fit.df])


@few
def test_result_is_readable() -> None:
    fit = Multilevel(within_rho=0.6).fit(simulate(19))
    assert "correlated 0.6 within clusters (CHE" in fit.methods
    assert "in 8 clusters" in repr(fit)
    assert "CR2" in repr(fit)
    assert "<table" in fit._repr_html_()
    assert fit.ci_method == "CR2"
    assert {"estimate", "sigma2_between", "i2", "clusters"} <= set(fit.to_frame().columns)
    assert Multilevel(robust=False).fit(simulate(19)).df == np.inf


# what cannot be fitted --------------------------------------------------------------------------------------


def test_one_cluster_is_refused() -> None:
    es = EffectSizes.of([0.1, 0.5, 0.3], [0.1] * 3, cluster=["a"] * 3)
    with pytest.raises(
        ModelError, match="all rows belong to one cluster: a variance between clusters cannot"
    ):
        Multilevel().fit(es)


def test_singletons_are_refused() -> None:
    es = EffectSizes.of([0.1, 0.5, 0.3], [0.1] * 3)
    with pytest.raises(ModelError, match=r"every cluster holds one row: .* use RandomEffects"):
        Multilevel().fit(es)


def test_moderators_that_are_the_clusters_are_refused() -> None:
    es = EffectSizes.of(
        np.arange(9) / 10, [0.1] * 9, cluster=list("aaabbbccc"), moderators={"g": list("aaabbbccc")}
    )
    with pytest.raises(ModelError, match="the moderators take up every difference between clusters"):
        Multilevel(formula="g").fit(es)


def test_moderators_that_leave_one_kind_of_variance_are_refused() -> None:
    # with the pair told apart by x only singletons are left
    es = EffectSizes.of(
        [0.1, 0.4, 0.2, 0.6, 0.3], [0.1] * 5, cluster=list("aabcd"), moderators={"x": [1, 0, 0, 0, 0]}
    )
    with pytest.raises(ModelError, match="cannot be told apart; leave out moderators"):
        Multilevel(formula="x").fit(es)


def test_too_many_coefficients_are_refused() -> None:
    es = EffectSizes.of([0.1, 0.4, 0.2], [0.1] * 3, cluster=list("aab"), moderators={"g": list("abc")})
    with pytest.raises(ModelError, match="3 rows cannot carry 3 coefficients and two variances"):
        Multilevel(formula="g").fit(es)


@pytest.mark.parametrize(("y", "v"), [(0.1, 1e-300), (0.1, 1e200), (1e150, 0.1)])
def test_numbers_out_of_reach_are_refused(y: float, v: float) -> None:
    es = EffectSizes.of([y, 0.4, 0.2, 0.3], [v, 0.1, 0.1, 0.1], cluster=list("aabb"))
    with pytest.raises(ModelError, match="span more than 80 orders of magnitude"):
        Multilevel().fit(es)


@pytest.mark.parametrize("rho", [1.0, -0.1, 2, "0.6"])
def test_impossible_correlations(rho: object) -> None:
    with pytest.raises(UsageError, match="must be a correlation from 0 to below 1"):
        Multilevel(within_rho=rho)  # type: ignore[arg-type]


def test_other_options() -> None:
    with pytest.raises(UsageError, match="method='DL'"):
        Multilevel(method="DL")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="robust='yes'"):
        Multilevel(robust="yes")  # type: ignore[arg-type]


def test_the_smallest_table_that_can_be_fitted() -> None:
    es = EffectSizes.of([0.1, 0.5, -0.3], [0.1, 0.2, 0.1], cluster=list("aab"))
    with pytest.warns(DataWarning, match="Satterthwaite degrees of freedom from 2 clusters"):
        fit = Multilevel().fit(es)
    assert np.isfinite([fit.estimate, fit.se, fit.df, fit.loglik]).all()


# properties -------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.sampled_from([None, 0.5]), st.sampled_from(["REML", "ML"]))
@settings(max_examples=25)
def test_row_order_scale_and_sign(seed: int, rho: float | None, method: str) -> None:
    es = simulate(seed, between=[0, 0.1][seed % 2], within=[0, 0.2][seed // 2 % 2])
    model = Multilevel(within_rho=rho, method=method, robust=False)  # type: ignore[arg-type]
    one = model.fit(es)
    order = np.random.default_rng(seed).permutation(es.k)
    two = model.fit(es.subset(order))
    moved = model.fit(EffectSizes.of(5 - 3 * es.yi, 9 * es.vi, cluster=es.cluster))
    assert_allclose(two.at.theta, one.at.theta, rtol=1e-6, atol=1e-9)
    assert_allclose([two.estimate, two.se], [one.estimate, one.se], rtol=1e-7, atol=1e-10)
    assert_allclose(moved.at.theta, 9 * one.at.theta, rtol=1e-6, atol=1e-8)
    assert_allclose(moved.estimate, 5 - 3 * one.estimate, rtol=1e-6, atol=1e-9)
    assert_allclose(moved.se, 3 * one.se, rtol=1e-6)


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_singletons_beside_a_pair_with_no_within_variance_are_the_two_level_model(seed: int) -> None:
    """With σ_w² = 0 held, clusters of one row each are RandomEffects with τ² = σ_b²."""
    rng = np.random.default_rng(seed)
    k = 12
    es = EffectSizes.of(rng.normal(0, 0.6, k), rng.uniform(0.02, 0.3, k))
    blocks = arrange(es.yi, es.vi, np.ones((k, 1)), es.cluster, None)
    best = maximise(blocks, restricted=True, component=1, value=0.0)
    assert_allclose(best.theta[0], RandomEffects().fit(es).tau2, rtol=1e-7, atol=1e-10)


def adversarial(seed: int) -> tuple[EffectSizes, np.ndarray, float | None]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, rng.integers(2, 14))
    if seed % 10 == 0:
        sizes[:] = 1
    sizes[0] = max(sizes[0], 2)
    label = np.repeat(np.arange(len(sizes)), sizes)
    k = len(label)
    vi = [
        rng.uniform(0.01, 0.4, k),
        10 ** rng.uniform(-12, 0, k),
        10 ** rng.uniform(-6, 6, k),
        np.full(k, 0.1),
        rng.choice([1e-8, 1.0], k),
    ][seed % 5]
    between, within = rng.choice([0, 0, 0.1, 1, 100], 2)
    yi = rng.normal(0, between**0.5, len(sizes))[label] + rng.normal(0, np.sqrt(vi + within))
    if seed % 7 == 0:
        yi = np.round(yi, 1)
    if seed % 23 == 0:
        yi = np.zeros(k)
    p = int(rng.integers(1, max(2, min(4, k - 1))))
    x = np.column_stack([np.ones(k), rng.normal(size=(k, p - 1))])
    return EffectSizes.of(yi, vi, cluster=label), x, rng.choice([None, 0.3, 0.6, 0.95])  # type: ignore[arg-type]


def check_adversarial(seed: int) -> str:
    es, x, rho = adversarial(seed)
    restricted = seed % 3 != 0
    blocks = arrange(es.yi, es.vi, x, es.cluster, rho)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        at = maximise(blocks, restricted=restricted)
    assert all(w.category is ConvergenceWarning for w in said), [str(w.message) for w in said]
    assert np.isfinite([at.value, *at.score, *at.theta, *at.beta]).all()
    for theta, score, noise in zip(at.theta, at.score, at.noise, strict=True):
        if theta == 0:  # the boundary condition; else the estimating equation, in the likelihood's own units
            assert score <= noise
        elif not said:
            assert abs(score * theta) <= 1e-5
    top = 30 * max(es.vi.max(), np.var(es.yi))
    axis = np.concatenate([[0.0], np.geomspace(1e-2 * es.vi.min(), top, 40)])
    grid = np.meshgrid(axis, axis)
    highest = log_likelihood(blocks, grid[0].ravel(), grid[1].ravel(), restricted).max()
    assert highest <= at.value + 1e-6 * max(1.0, abs(at.value))
    return "stopped early" if said else "converged"


@pytest.mark.parametrize("start", range(0, 100, 25))
def test_adversarial_inputs(start: int) -> None:
    assert [check_adversarial(seed) for seed in range(start, start + 25)].count("converged") >= 24


@pytest.mark.slow
def test_two_thousand_adversarial_inputs() -> None:
    found = [check_adversarial(seed) for seed in range(100, 2100)]
    assert found.count("converged") >= 1990
