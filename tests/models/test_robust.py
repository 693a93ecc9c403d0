"""Cluster-robust inference: published numbers, exact properties, refusals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import DataWarning, ModelError, UsageError
from mtmeta.models.dependent import Multilevel
from mtmeta.models.linear import Sandwich
from mtmeta.models.pool import CommonEffect, IVhet, RandomEffects
from mtmeta.models.regression import MetaRegression
from mtmeta.models.robust import robust

Printed = Callable[[float, str], None]
few = pytest.mark.filterwarnings("ignore:.*Satterthwaite degrees of freedom")

_Y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
      -1.371345, -0.339359, 0.445913, -0.017314]  # fmt: skip
_V = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434, 0.073025,
      0.012412, 0.532506, 0.071405]  # fmt: skip
_ALLOC = ["random"] * 4 + ["alternate"] * 2 + ["random"] * 3 + ["systematic"] * 4
_ABLAT = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]


def bcg() -> EffectSizes:
    return EffectSizes.of(_Y, _V, "RR", moderators={"ablat": _ABLAT, "alloc": _ALLOC})


@few
def test_bcg(as_printed: Printed) -> None:
    """metafor with clubSandwich: CR1 by trial, CR2 by allocation."""
    fit = RandomEffects(ci="Wald").fit(bcg())
    by_trial = robust(fit, kind="CR1p")
    as_printed(by_trial.se, "0.1792")
    as_printed(by_trial.statistic, "-3.9878")
    assert by_trial.df == 12
    by_allocation = robust(fit, cluster=_ALLOC)
    as_printed(by_allocation.se, "0.2132")
    as_printed(by_allocation.df, "1.72")
    as_printed(by_allocation.pvalue, "0.0960")
    assert by_allocation.clusters == 3


def test_it_warns_below_four_degrees_of_freedom() -> None:
    fit = RandomEffects().fit(bcg())
    with pytest.warns(DataWarning, match=r"1\.7 Satterthwaite degrees of freedom from 3 clusters"):
        robust(fit, cluster=_ALLOC)


def test_kinds_differ_by_their_factor() -> None:
    fit = MetaRegression("ablat").fit(bcg())
    cluster = [str(i // 2) for i in range(13)]
    m, k, p = 7, 13, 2
    base = robust(fit, cluster=cluster, kind="CR0").coefficients.vcov
    for kind, factor in (
        ("CR1", m / (m - 1)),
        ("CR1p", m / (m - p)),
        ("CR1S", m * (k - 1) / ((m - 1) * (k - p))),
    ):
        other = robust(fit, cluster=cluster, kind=kind)  # type: ignore[arg-type]
        assert_allclose(other.coefficients.vcov, factor * base, rtol=1e-12)
        assert_allclose(other.coefficients.df, m - p)
        assert other.joint(["ablat"]).kind == "F"


@few
@pytest.mark.parametrize("formula", ["1", "ablat", "alloc + ablat"])
def test_cr2_is_unbiased_under_the_working_model(formula: str) -> None:
    """Its expectation is (X'WX)⁻¹ exactly, as long as no cluster has a coefficient to itself."""
    es = bcg()
    fit = MetaRegression(formula).fit(es)
    cluster = [str(i % 5) for i in range(13)]
    x, phi = fit.design.matrix, np.diag(es.vi + fit.tau2)
    # e e' has the expectation Φ − X Q X': take the covariance with that in place of the residuals
    w = np.linalg.inv(phi)
    q = np.linalg.inv(x.T @ w @ x)
    sandwich = robust(fit, cluster=cluster).coefficients.sandwich
    assert isinstance(sandwich, Sandwich)
    expected = sum(
        q @ (own - shared.T @ q @ shared) @ q
        for own, shared in zip(sandwich.own, sandwich.shared, strict=True)
    )
    assert_allclose(expected, q, rtol=1e-9, atol=1e-12 * np.abs(q).max())


def test_one_row_a_cluster_and_equal_variances_is_the_t_test() -> None:
    """CR2 of a plain mean is the usual standard error, with k − 1 degrees of freedom."""
    y = np.array([0.3, 0.1, -0.4, 0.8, 0.5, 0.2])
    fit = robust(CommonEffect().fit(EffectSizes.of(y, [0.2] * 6)))
    assert_allclose(fit.se, y.std(ddof=1) / 6**0.5, rtol=1e-12)
    assert_allclose(fit.df, 5, rtol=1e-12)


def test_two_groups_of_equal_variances_is_welch() -> None:
    """CR2 of a difference of two groups is Welch's test, Satterthwaite's formula taken at equal variances.

    df = (1/n1 + 1/n2)² / (1/(n1²(n1 − 1)) + 1/(n2²(n2 − 1)))
    """
    y = np.array([0.3, 0.1, -0.4, 0.8, 0.5, 0.2, 0.9, 1.4, 0.7])
    g = list("aaaaabbbb")
    fit = MetaRegression("g", tau2=0.0, ci="Wald").fit(EffectSizes.of(y, [0.2] * 9, moderators={"g": g}))
    out = robust(fit).coefficients
    a, b = y[:5], y[5:]
    assert_allclose(out.se[1], (a.var(ddof=1) / 5 + b.var(ddof=1) / 4) ** 0.5, rtol=1e-10)
    assert_allclose(out.df[1], (1 / 5 + 1 / 4) ** 2 / (1 / (25 * 4) + 1 / (16 * 3)), rtol=1e-9)


def test_several_balanced_groups_have_zhang_s_degrees_of_freedom() -> None:
    """In a one-way layout of G groups of n with equal variances, Zhang's η is (G + 1)(n − 1)/2.

    The variances of the G means are independent, each with n − 1 degrees of freedom, so the standardised
    covariance is diagonal with entries of variance 2/(n − 1), and η = G(G + 1)/(2G/(n − 1)).
    """
    n, groups = 6, 3
    rng = np.random.default_rng(2)
    g = [name for name in "abc" for _ in range(n)]
    es = EffectSizes.of(rng.normal(size=n * groups), [0.3] * (n * groups), moderators={"g": g})
    fit = MetaRegression("0 + g", tau2=0.0, ci="Wald").fit(es)
    sandwich = robust(fit).coefficients.sandwich
    assert sandwich is not None
    assert_allclose(sandwich.zhang(np.eye(groups)), (groups + 1) * (n - 1) / 2, rtol=1e-9)


@few
def test_robust_of_a_three_level_model_is_its_own() -> None:
    rng = np.random.default_rng(4)
    label = np.repeat(np.arange(9), 3)
    y = 0.3 + rng.normal(0, 0.3, 9)[label] + rng.normal(0, 0.4, 27)
    es = EffectSizes.of(y, rng.uniform(0.05, 0.2, 27), cluster=label)
    fit = Multilevel().fit(es)
    again = robust(Multilevel(robust=False).fit(es))
    assert_allclose(
        [again.estimate, again.se, again.df, again.pvalue, *again.ci()],
        [fit.estimate, fit.se, fit.df, fit.pvalue, *fit.ci()],
        rtol=1e-12,
    )
    larger = robust(fit, cluster=[str(c // 3) for c in label])
    assert larger.clusters == 3
    assert larger.se != fit.se


def test_a_cluster_that_fits_itself_exactly() -> None:
    """A cluster alone at a level of a moderator has no residual; a pseudo-inverse adjusts it, without NaN."""
    y = [0.1, 0.4, 0.2, 0.9, 0.3, 0.6, 0.5]
    g = list("aaaabbc")
    es = EffectSizes.of(y, [0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 0.2], moderators={"g": g})
    with pytest.warns(DataWarning):
        out = robust(MetaRegression("g").fit(es), cluster=["1", "1", "2", "3", "4", "5", "6"])
    assert np.isfinite(out.coefficients.vcov).all()


def test_refusals() -> None:
    es = bcg()
    fit = RandomEffects().fit(es)
    with pytest.raises(ModelError, match="at least two clusters; all rows belong to one"):
        robust(fit, cluster=["a"] * 13)
    with pytest.raises(UsageError, match="cluster has 3 labels for 13 effects"):
        robust(fit, cluster=["a", "b", "c"])
    with pytest.raises(UsageError, match="kind='CR9' is not known"):
        robust(fit, kind="CR9")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="IVhet has others"):
        robust(IVhet().fit(es))
    moderated = MetaRegression("alloc").fit(es)
    with pytest.raises(
        ModelError, match="CR1 needs more clusters than coefficients; there are 3 clusters and 3"
    ):
        robust(moderated, cluster=_ALLOC, kind="CR1")
    with pytest.raises(ModelError, match="has moderators and so no single mean"):
        _ = robust(moderated, kind="CR0").estimate
    label = [str(i // 4) for i in range(13)]
    three = Multilevel(robust=False).fit(EffectSizes.of(_Y, _V, cluster=label))
    with pytest.raises(ModelError, match="the clusters cut through clusters of the model"):
        robust(three, cluster=[str(i) for i in range(13)])


@few
def test_htz_refuses_what_the_clusters_cannot_carry() -> None:
    fit = MetaRegression("alloc + ablat").fit(bcg())
    out = robust(fit, cluster=["a", *"bbbbbccccccc"])
    with pytest.raises(ModelError, match="too few clusters"):
        out.joint(["alloc[random]", "alloc[systematic]", "ablat"])


def test_result_is_readable() -> None:
    with pytest.warns(DataWarning, match="3.7 Satterthwaite"):
        out = robust(MetaRegression("ablat").fit(bcg()))
    assert repr(out).startswith("RobustResult(CR2, 13 clusters, Intercept=")
    assert "<table" in out._repr_html_()
    assert "Pustejovsky and Tipton 2018" in out.methods
    assert list(out.to_frame().index) == ["Intercept", "ablat"]


@pytest.mark.slow
@few
def test_htz_keeps_its_level() -> None:
    """Type I error of HTZ at .05 under the null, 12 clusters, two slopes: at most the level, as Tipton and
    Pustejovsky (2015) found; 3,000 simulations leave a Monte Carlo error of .004."""
    rng = np.random.default_rng(20261126)
    label = np.repeat(np.arange(12), 4)
    rejected = 0
    for _ in range(3000):
        moderators = {"x": rng.normal(size=48), "z": rng.normal(size=12)[label]}
        y = rng.normal(0, 0.3, 12)[label] + rng.normal(0, 0.5, 48)
        es = EffectSizes.of(y, [0.2] * 48, cluster=label, moderators=moderators)
        fit = robust(MetaRegression("x + z", tau2=0.0).fit(es))
        rejected += fit.joint(["x", "z"]).pvalue < 0.05
    assert 0.01 < rejected / 3000 < 0.05 + 3 * 0.004
