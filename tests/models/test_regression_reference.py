"""Meta-regression, subgroups and permutation tests against metafor's numbers.

regression.json: metafor 5.1-12, 16 data sets by 4 estimators by 2 tests.
regression_generated.json.gz: Debian's metafor 3.8-1, 60 generated sets by 9 estimators by 3 tests
(make_regression.R beside it), iterated to 1e-13 of the data's scale.
"""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.models.compare import likelihood_ratio
from mtmeta.models.permutation import permutation_test
from mtmeta.models.pool import RandomEffects
from mtmeta.models.regression import MetaRegression, MetaRegressionResult
from mtmeta.models.subgroups import subgroups

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
CI = {"z": "Wald", "knha": "HKSJ", "adhoc": "HKSJ-floor"}
ITERATED = {"ML", "REML", "EB", "PM"}
# metafor 3.8 takes the mean from the effects before it estimates τ² and computes Q, which is wrong where the
# design spans no constant; see test_what_metafor_does_without_a_constant
_NO_CONSTANT = "x1 - 1"
# knots of cr() are quantiles of the distinct values of x1, those of R's ns of all: they differ with ties
_TIES = {"set50"}


def numbers(value: Any) -> Any:
    """Numbers are written as strings of 17 digits; what is no number stays a string."""
    if isinstance(value, dict):
        return {name: numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [numbers(part) for part in value]
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


@cache
def generated() -> Any:
    with gzip.open(REFERENCE / "regression_generated.json.gz", "rt") as file:
        return numbers(json.load(file))


@cache
def table(name: str) -> EffectSizes:
    d = next(d for d in generated()["data"] if d["id"] == name)
    return EffectSizes.of(d["yi"], d["vi"], moderators={c: d[c] for c in ("x1", "x2", "g", "pos")})


def formula_of(name: str) -> str:
    return next(d["formula"] for d in generated()["data"] if d["id"] == name)


def same(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    assert_allclose(
        np.asarray(ours, dtype=float),
        np.asarray(theirs, dtype=float),
        rtol=tolerance,
        atol=tolerance,
        err_msg=what,
    )


# metafor 5.1-12 ---------------------------------------------------------------------------------------------


def _newest() -> list[dict[str, Any]]:
    return json.loads((REFERENCE / "regression.json").read_text())["reg"]


@cache
def _newest_data() -> dict[str, dict[str, Any]]:
    return {d["id"]: d for d in json.loads((REFERENCE / "pool.json").read_text())["data"]}


# metafor's Fisher scoring stops at a τ² of 1e-13 without moderators, where it is 0: R² is 100 there, 0 here
_TINY = {("sim6", "REML"), ("sim6", "ML")}
# a variance of 1e-6 beside 0.3 costs metafor's normal equations half of its digits
_CANCELLED = {"dominated"}


@pytest.mark.parametrize("row", _newest(), ids=lambda r: f"{r['id']}-{r['method']}-{r['test']}")
def test_newest_metafor(row: dict[str, Any]) -> None:
    d = _newest_data()[row["id"]]
    es = EffectSizes.of(d["yi"], d["vi"], moderators={"x1": d["x1"], "x2": d["x2"]})
    fit = MetaRegression("x1 + x2", tau2=row["method"], ci=CI[row["test"]]).fit(es)
    tolerance = 1e-7 if row["id"] in _CANCELLED else 1e-10
    same(fit.tau2, row["tau2"], tolerance, "tau2")
    same(fit.coef, row["coef"], tolerance, "coef")
    same(fit.se, row["se"], tolerance, "se")
    same(fit.qe, row["QE"], tolerance, "QE")
    same(fit.i2, row["I2"], 100 * tolerance, "I2")
    if (row["id"], row["method"]) in _TINY:
        assert row["R2"] == 100
        assert fit.r2 == 0
    else:
        same(fit.r2, row["R2"], 1e-7, "R2")
    if row["id"] == "flat" and row["test"] == "knha":
        # all effects are 0.25: the slopes are 0 up to metafor's rounding of 1e-16, their standard errors 0
        assert row["QM"] is None
        assert (fit.qm, fit.qm_pvalue) == (
            np.inf if fit.coef.iloc[1:].any() else 0.0,
            1.0 - fit.coef.iloc[1:].any(),
        )
        assert fit.pvalue["Intercept"] == 0
        return
    same(fit.pvalue, row["pval"], tolerance, "pval")
    same(fit.qm, row["QM"], tolerance, "QM")
    same(fit.qm_pvalue, row["QMp"], tolerance, "QMp")


def test_the_newest_grid_is_complete() -> None:
    have = {(r["id"], r["method"], r["test"]) for r in _newest()}
    ids = {r["id"] for r in _newest()}
    assert len(ids) == 16
    assert have == set(itertools.product(ids, ("DL", "ML", "REML", "PM"), ("z", "knha")))


# metafor 3.8-1, generated sets ------------------------------------------------------------------------------


@cache
def _rows() -> dict[tuple[str, str], dict[str, Any]]:
    return {(r["id"], r["method"]): r for r in generated()["fits"]}


def test_the_generated_grid_is_complete() -> None:
    ref = generated()
    ids = [d["id"] for d in ref["data"]]
    assert len(ids) == 60
    assert set(_rows()) == set(itertools.product(ids, ref["methods"]))
    assert {d["formula"] for d in ref["data"]} == set(ref["formulas"])
    assert set(ref["methods"]) == {"DL", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM"}
    for key, row in _rows().items():
        answered = {"tau2", "coef", "z", "knha", "adhoc"} <= set(row)
        assert answered == (" ".join(key) not in ref["why"]), key
    assert set(ref["why"]) == {"set21 ML", "set21 REML"}  # Fisher scoring cycles there


def _check_test(fit: MetaRegressionResult, ref: dict[str, Any], named: bool, tolerance: float) -> None:
    if named:
        same(fit.se, ref["se"], tolerance, "se")
        same(fit.pvalue, ref["pval"], tolerance, "pval")
        same(fit.ci()["low"], ref["ci_lb"], tolerance, "ci")
    same(fit.qm, ref["qm"], tolerance, "QM")
    same(fit.qm_pvalue, ref["qm_p"], tolerance, "QMp")
    if fit.model.tau2 not in ("DL", "REML"):  # what follows is linear in what was compared
        return
    new = fit.predict(generated()["newdata"], pi="normal" if fit.ci_method == "Wald" else "HK")
    same(new["estimate"], ref["pred"], tolerance, "prediction")
    same(new["se"], ref["pred_se"], tolerance, "se of the prediction")
    same(new["ci_low"], ref["pred_lb"], tolerance, "ci of the prediction")
    same(new["pi_low"], ref["pi_lb"], tolerance, "prediction interval")


@pytest.mark.parametrize("name", [d["id"] for d in generated()["data"]])
def test_generated_sets(name: str) -> None:
    es, formula = table(name), formula_of(name)
    basis = any(word in formula for word in ("poly", "bs", "cr"))
    for method in generated()["methods"]:
        ref = _rows()[name, method]
        if "tau2" not in ref or formula == _NO_CONSTANT or name in _TIES:
            continue
        scale = max(1.0, float(np.median(es.vi)))
        # cr, bs and poly come from other code than R's ns, bs and poly: some digits differ
        tolerance = 1e-7 if method in ITERATED or basis else 1e-9
        first = MetaRegression(formula, tau2=method, ci="Wald").fit(es)
        for test, ci in CI.items():
            fit = replace(first, ci_method=ci)
            same(fit.tau2 / scale, ref["tau2"] / scale, tolerance, f"{method} tau2")
            if not basis:
                same(fit.coef, ref["coef"], tolerance * scale**0.5, f"{method} coef")
            _check_test(fit, ref[test], not basis, tolerance * scale**0.5)
        same(fit.qe, ref["qe"], 1e-8, "QE")
        same(fit.qe_pvalue, ref["qe_p"], 1e-8, "QEp")
        same(fit.i2, ref["i2"], 100 * tolerance, "I2")
        same(fit.h2, ref["h2"], 10 * tolerance, "H2")
        same(fit.fitted.loglik[0], ref["loglik"], 1e-8, "loglik")
        if not basis:  # the restricted likelihood depends on the basis through log det X'X
            same(fit.fitted.loglik_reml[0], ref["loglik_reml"], 1e-8, "restricted loglik")
            if "stats" in ref:
                same([fit.aic, fit.bic, fit.aicc], ref["stats"], 1e-8, "information criteria")
        if ref["r2"]:
            same(fit.r2, ref["r2"][0] if isinstance(ref["r2"], list) else ref["r2"], 1e-5, "R2")
        if "qp" in ref:
            same(np.array(fit.tau2_ci()) / scale, np.array(ref["qp"]) / scale, 1e-9, "Q-profile")
        if "vif" in ref and not basis:
            same(fit.vif(), ref["vif"], 1e-7, "VIF")
        if "gvif_g" in ref:
            same(fit.vif(by="term")["g"], ref["gvif_g"], 1e-7, "generalised VIF")
            for test, expected in ref["anova_g"].items():
                one = MetaRegression(formula, tau2=method, ci=CI[test]).fit(es).anova(["g"])
                same(one[["statistic", "pvalue"]].to_numpy()[0], expected, 1e-7, f"anova {test}")


def test_the_set_with_ties_has_them() -> None:
    for name in _TIES:
        assert formula_of(name) == "cr(x1, df=3)"
        assert len(set(table(name).moderators["x1"])) < table(name).k


@pytest.mark.parametrize("name", [d["id"] for d in generated()["data"] if d["formula"] == _NO_CONSTANT])
def test_what_metafor_does_without_a_constant(name: str) -> None:
    es = table(name)
    moved = EffectSizes.of(es.yi - es.yi.mean(), es.vi, moderators=es.moderators)
    for method in generated()["methods"]:
        ref = _rows()[name, method]
        if "tau2" not in ref:
            continue
        wrong = MetaRegression(_NO_CONSTANT, tau2=method, ci="Wald").fit(moved)
        scale = max(1.0, float(np.median(es.vi)))
        same(wrong.tau2 / scale, ref["tau2"] / scale, 1e-7, f"{method} tau2")
        same(wrong.qe, ref["qe"], 1e-8, "QE")
        w = 1 / (es.vi + ref["tau2"])
        x = np.asarray(es.moderators["x1"])
        same((w * x * es.yi).sum() / (w * x * x).sum(), ref["coef"], 1e-7, "coef of the effects as they are")


@pytest.mark.parametrize("row", generated()["lrt"], ids=lambda r: r["id"])
def test_likelihood_ratio(row: dict[str, Any]) -> None:
    es = table(row["id"])
    full, part = (MetaRegression(f, tau2="ML").fit(es) for f in ("g + x1", "x1"))
    test = likelihood_ratio(full, part)
    same([test.statistic, test.pvalue], [row["statistic"], row["pval"]], 1e-7, "LRT")


@pytest.mark.parametrize("row", generated()["subgroups"], ids=lambda r: f"{r['id']}-{r['method']}")
def test_subgroups(row: dict[str, Any]) -> None:
    es = table(row["id"])
    model = RandomEffects(tau2=row["method"], ci="Wald")
    apart = subgroups(model, es, "g")
    levels = ["a", "b", "c"]
    for name in ("est", "se", "tau2"):
        ours = [getattr(apart.groups[g], {"est": "estimate"}.get(name, name)) for g in levels]
        same(ours, row[name], 1e-7, name)
    same([apart.q_between, apart.p_between], row["separate"], 1e-7, "separate")
    together = subgroups(model, es, "g", tau2="common")
    same([g.tau2 for g in together.groups.values()], row["common_tau2"], 1e-7, "common tau2")
    same([together.groups[g].estimate for g in levels], row["common_est"], 1e-7, "common estimates")
    same([together.groups[g].se for g in levels], row["common_se"], 1e-7, "common se")
    same([together.q_between, together.p_between], row["common_z"], 1e-7, "common, Wald")
    hksj = subgroups(RandomEffects(tau2=row["method"], ci="HKSJ"), es, "g", tau2="common")
    same([hksj.q_between, hksj.p_between], row["common_knha"], 1e-7, "common, HKSJ")


@pytest.mark.parametrize(
    "row", generated()["permutations"], ids=lambda r: f"{r['formula']}-{r['test']}-{len(r['yi'])}"
)
def test_permutation(row: dict[str, Any]) -> None:
    moderators = {name: row[name] for name in ("x1", "x2") if name in row}
    es = EffectSizes.of(row["yi"], row["vi"], moderators=moderators or None)
    if row["formula"] in (1.0, "1"):
        test = permutation_test(RandomEffects(tau2="DL", ci=CI[row["test"]]), es)
        assert test.pvalue == row["pval"]
        return
    test = permutation_test(MetaRegression(row["formula"], tau2="DL", ci=CI[row["test"]]), es)
    same(test.pvalues, row["pval"], 1e-15, "coefficients")
    same(test.qm_pvalue, row["qm_p"], 1e-15, "omnibus")
