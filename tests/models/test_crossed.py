"""Crossed random effects against metafor 3.8-1 (make_crossed.R) and by second routes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.crossed import Crossed
from mtmeta.models.dependent import Multilevel
from mtmeta.models.regression import MetaRegression
from mtmeta.models.robust import robust

Load = Callable[[str], Any]
SETS = ("small", "wide", "nob", "norow")


def _table(load: Load, name: str) -> EffectSizes:
    d = next(d for d in load("reference/crossed.json.gz")["data"] if d["id"] == name)
    labels = {side: [f"{level:g}" for level in d[side]] for side in ("a", "b")}
    return EffectSizes.of(d["yi"], d["vi"], cluster=labels["a"], moderators={**labels, "x": d["x"]})


def test_the_grid_is_complete(load: Load) -> None:
    fits = load("reference/crossed.json.gz")["fits"]
    have = [(r["id"], r["method"], r["formula"], r["rows"]) for r in fits]
    assert have == list(itertools.product(SETS, ("REML", "ML"), ("1", "x"), (1.0, 0.0)))


@pytest.mark.parametrize("name", SETS)
def test_metafor(load: Load, name: str) -> None:
    es = _table(load, name)
    for row in (r for r in load("reference/crossed.json.gz")["fits"] if r["id"] == name):
        formula = None if row["formula"] == "1" else row["formula"]
        fit = Crossed(("a", "b"), rows=bool(row["rows"]), formula=formula, method=row["method"]).fit(es)
        assert fit.loglik >= row["loglik"] - 1e-9
        assert_allclose(fit.loglik, row["loglik"], atol=1e-6)
        assert_allclose(fit.sigma2, row["sigma2"], atol=3e-5)
        assert_allclose(fit.q, row["qe"], rtol=1e-10)
        assert_allclose(fit.coefficients.beta, np.atleast_1d(row["coef"]), atol=1e-5)
        assert_allclose(fit.coefficients.se, np.atleast_1d(row["se"]), rtol=3e-4)


@pytest.mark.parametrize("restricted", [True, False])
def test_the_likelihood_is_the_dense_one(load: Load, restricted: bool) -> None:
    es = _table(load, "small")
    fit = Crossed(("a", "b"), formula="x", method="REML" if restricted else "ML").fit(es)
    X, k = fit.design.matrix, es.k
    same = [
        np.equal.outer(np.array(es.moderators[side]), np.array(es.moderators[side]))  # type: ignore[index]
        for side in ("a", "b")
    ]

    def dense(theta: np.ndarray) -> float:
        M = np.diag(es.vi / fit.unit + theta[2]) + theta[0] * same[0] + theta[1] * same[1]
        inverse = np.linalg.inv(M)
        A = X.T @ inverse @ X
        y = es.yi / math.sqrt(fit.unit)
        r = y - X @ np.linalg.solve(A, X.T @ inverse @ y)
        value = -0.5 * (k * math.log(2 * math.pi) + np.linalg.slogdet(M)[1] + r @ inverse @ r)
        if restricted:
            gram = np.linalg.slogdet(X.T @ X)[1]
            value += 0.5 * (2 * math.log(2 * math.pi) - np.linalg.slogdet(A)[1] + gram)
        return float(value)

    theta = np.array([0.4, 1.3, 0.7])
    value, slopes, _, _ = fit.problem.at(np.sqrt(theta))
    assert_allclose(value, dense(theta), rtol=1e-12)
    h = 1e-5
    numeric = [(dense(theta + e) - dense(theta - e)) / (2 * h) for e in h * np.eye(3)]
    assert_allclose(slopes, numeric, rtol=1e-6, atol=1e-7)


def test_one_grouping_is_the_three_level_model(load: Load) -> None:
    es = _table(load, "wide")
    one, two = Crossed(("cluster",)).fit(es), Multilevel(robust=False).fit(es)
    assert_allclose(one.sigma2, [two.sigma2_between, two.sigma2_within], rtol=1e-7)
    assert_allclose([one.estimate, one.se], [two.estimate, two.se], rtol=1e-9)
    assert_allclose(one.loglik, two.loglik, rtol=1e-12)
    assert_allclose(one.sigma2_ci("cluster"), two.sigma2_ci("between"), rtol=1e-6)
    assert_allclose(one.sigma2_ci("row"), two.sigma2_ci("within"), rtol=1e-6, atol=1e-9)


def test_no_variance_is_the_common_effect(load: Load) -> None:
    rng = np.random.default_rng(4)
    v = np.full(24, 0.1)
    es = EffectSizes.of(
        rng.normal(0.2, 0.05, 24), v, moderators={"a": list("abcdef") * 4, "b": ["p", "q", "r", "s"] * 6}
    )
    fit = Crossed(("a", "b")).fit(es)
    assert fit.sigma2.tolist() == [0.0, 0.0, 0.0]
    plain = MetaRegression("1", tau2=0.0, ci="Wald").fit(es)
    assert_allclose([fit.estimate, fit.se], [plain.coef.iloc[0], plain.se.iloc[0]], rtol=1e-12)


def test_the_ends_of_an_interval_lie_at_one_height(load: Load) -> None:
    fit = Crossed(("a", "b")).fit(_table(load, "wide"))
    drop = 0.5 * special.chdtri(1, 0.1)
    top = fit.problem.at(fit.sd)[0]
    low, high = fit.sigma2_ci("b", 0.9)
    assert low < fit.sigma2["b"] < high
    for end in (low, high):
        if end > 0.0:
            sd = fit.problem.maximise(1, math.sqrt(end / fit.unit))
            assert_allclose(top - fit.problem.at(sd)[0], drop, rtol=1e-6)


def test_what_cannot_be_fitted_is_said(load: Load) -> None:
    es = _table(load, "small")
    with pytest.raises(UsageError, match="no moderator 'rater'"):
        Crossed(("rater",)).fit(es)
    with pytest.raises(UsageError, match="names of columns"):
        Crossed("a")
    with pytest.raises(UsageError, match="twice"):
        Crossed(("a", "a"))
    with pytest.raises(ModelError, match="group the rows in the same way"):
        Crossed(("a", "cluster")).fit(es)
    with pytest.raises(ModelError, match="that is what rows=True is for"):
        Crossed(("study",)).fit(es)
    one = EffectSizes.of(es.yi, es.vi, moderators={"a": ["x"] * es.k})
    with pytest.raises(ModelError, match="one level"):
        Crossed(("a",)).fit(one)


def test_words(load: Load) -> None:
    fit = Crossed(("a", "b"), formula="x").fit(_table(load, "small"))
    assert repr(fit).startswith("CrossedResult(REML: k=")
    assert "crossed random effects of a and b and of every row" in fit.methods
    assert "<table" in fit._repr_html_()
    assert {"sigma2_a", "sigma2_b", "sigma2_row"} <= set(fit.to_frame().columns)
    assert fit.omnibus.df1 == 1
    assert fit.predict({"x": [0.0]})["estimate"].iloc[0] == pytest.approx(fit.coef.iloc[0])
    with pytest.raises(ModelError, match="no single mean"):
        _ = fit.estimate
    with pytest.raises(UsageError, match="no component 'c'"):
        fit.sigma2_ci("c")


# cluster-robust tests (make_crossed_robust.R) --------------------------------------------------------------


def _clustered(load: Load, name: str) -> EffectSizes:
    d = next(d for d in load("reference/crossed_robust.json")["data"] if d["id"] == name)
    moderators = {"a": d["a"], "b": d["b"], "x": d["x"]}
    return EffectSizes.of(d["yi"], d["vi"], cluster=[str(c) for c in d["cluster"]], moderators=moderators)


@pytest.mark.filterwarnings("ignore:.*Satterthwaite degrees of freedom")
@pytest.mark.parametrize("name", ["eight", "fifteen", "plain"])
def test_clubsandwich(load: Load, name: str) -> None:
    es = _clustered(load, name)
    rows = [r for r in load("reference/crossed_robust.json")["fits"] if r["id"] == name]
    assert len(rows) == 12
    for row in rows:
        formula = None if row["formula"] == "1" else row["formula"]
        fit = Crossed(("a", "b"), rows=row["rows"], formula=formula).fit(es)
        assert_allclose(fit.sigma2, row["sigma2"], atol=1e-4)
        # metafor's optimiser stops early: at its variances nothing of that is left
        there = replace(fit, sd=np.sqrt(np.array(row["sigma2"]) / fit.unit))
        ours = robust(there, kind=row["kind"])
        assert_allclose(ours.coefficients.beta, row["beta"], rtol=1e-7)
        assert_allclose(ours.coefficients.se, row["se"], rtol=1e-7)
        if row["kind"] == "CR2":
            assert_allclose(ours.coefficients.df, row["df"], rtol=1e-6)
        if "htz" in row:
            test = ours.joint(list(fit.coef.index))
            assert_allclose([test.statistic, test.df2, test.pvalue], row["htz"], rtol=1e-6)


def test_clusters_must_hold_the_groupings(load: Load) -> None:
    es = _clustered(load, "eight")
    fit = Crossed(("a", "b")).fit(es)
    with pytest.raises(ModelError, match="cluster"):
        robust(fit, cluster=list(es.moderators["a"]))  # type: ignore[index]
    with pytest.raises(ModelError, match="connect all rows"):
        robust(Crossed(("a", "b")).fit(_table(load, "small")))
