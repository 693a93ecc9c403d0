"""Location-scale models against metafor 3.8-1 (make_multivariate.R) and by second routes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.location_scale import LocationScale
from mtmeta.models.regression import MetaRegression

Load = Callable[[str], Any]
SETS = ("k30", "k60", "k120")
MODS, SCALES = ("~ 1", "~ x"), ("~ 1", "~ x", "~ x + g")


def _table(load: Load, name: str) -> EffectSizes:
    d = next(d for d in load("reference/multivariate.json.gz")["scales"] if d["id"] == name)
    return EffectSizes.of(d["yi"], d["vi"], moderators={"x": d["x"], "g": d["g"]})


def test_the_grid_is_complete(load: Load) -> None:
    reference = load("reference/multivariate.json.gz")
    have = {(r["id"], r["method"], r["mods"], r["scale"]) for r in [*reference["located"], *reference["why"]]}
    assert have == set(itertools.product(SETS, ("REML", "ML"), MODS, SCALES))
    assert not reference["why"]
    assert sum(np.max(row["se_alpha"]) > 1e3 for row in reference["located"]) == 2


@pytest.mark.parametrize("name", SETS)
def test_metafor(load: Load, name: str) -> None:
    es = _table(load, name)
    for row in (r for r in load("reference/multivariate.json.gz")["located"] if r["id"] == name):
        model = LocationScale(row["scale"].removeprefix("~ "), row["mods"].removeprefix("~ "), row["method"])
        if np.max(row["se_alpha"]) > 1e3:  # one group's tau2 goes to 0: metafor stops on the way
            with pytest.raises(ModelError, match="tau2 is 0 or infinite"):
                model.fit(es)
            continue
        fit = model.fit(es)
        assert fit.loglik >= row["loglik"] - 1e-9
        assert_allclose(fit.loglik, row["loglik"], atol=1e-6)
        alpha, alpha_se = (np.atleast_1d(row[part]) for part in ("alpha", "se_alpha"))
        assert_allclose(fit.alpha, alpha, atol=1e-3 * alpha_se.max())
        assert_allclose(fit.alpha_se, alpha_se, rtol=3e-3)
        assert_allclose(fit.coef, np.atleast_1d(row["coef"]), atol=1e-4 * float(np.max(row["se"])))
        assert_allclose(fit.se, np.atleast_1d(row["se"]), rtol=1e-4)
        assert_allclose(fit.tau2, np.broadcast_to(row["tau2"], es.k), rtol=5e-3)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_a_constant_scale_is_meta_regression(load: Load, method: str) -> None:
    es = _table(load, "k60")
    fit = LocationScale("1", "x + g", method=method).fit(es)
    plain = MetaRegression("x + g", tau2=method, ci="Wald").fit(es)
    assert_allclose(fit.tau2, plain.tau2, rtol=1e-9)
    assert_allclose(fit.coef, plain.coef, rtol=1e-9)
    assert_allclose(fit.se, plain.se, rtol=1e-9)
    assert_allclose(fit.loglik, plain.loglik, rtol=1e-11)


def test_separate_groups_are_separate_fits(load: Load) -> None:
    es = _table(load, "k60")
    fit = LocationScale("0 + g", "0 + g", method="ML").fit(es)
    g = np.array(es.moderators["g"])  # type: ignore[index]
    for i, name in enumerate("pq"):
        alone = MetaRegression("1", tau2="ML", ci="Wald").fit(es.subset(np.flatnonzero(g == name)))
        assert_allclose(np.exp(fit.alpha.iloc[i]), alone.tau2, rtol=1e-7)
        assert_allclose(fit.coef.iloc[i], alone.coef.iloc[0], rtol=1e-8)


def test_a_change_of_unit(load: Load) -> None:
    es = _table(load, "k60")
    larger = EffectSizes.of(10 * es.yi, 100 * es.vi, moderators=es.moderators)
    for scale in ("x", "0 + g"):
        one, other = LocationScale(scale).fit(es), LocationScale(scale).fit(larger)
        assert_allclose(other.tau2, 100 * one.tau2, rtol=1e-7)
        assert_allclose(other.alpha_se, one.alpha_se, rtol=1e-5)
    # without a constant the moderator alone carries the unit
    assert LocationScale("0 + x").fit(es).unit == 1.0


def test_what_cannot_be_fitted_is_said(load: Load) -> None:
    same = EffectSizes.of([0.1] * 12, [0.1] * 12, moderators={"x": list(range(12))})
    with pytest.raises(ModelError, match="tau2 is 0 or infinite"):
        LocationScale("x").fit(same)
    with pytest.raises(ModelError, match="cannot carry"):
        LocationScale("x").fit(same.subset(np.arange(3)))
    with pytest.raises(UsageError, match="method='EB' is not known"):
        LocationScale("x", method="EB")


def test_words(load: Load) -> None:
    fit = LocationScale("x + g", "x").fit(_table(load, "k60"))
    assert "Viechtbauer and López-López 2022" in fit.methods
    assert "<table" in fit._repr_html_()
    assert fit.to_frame().index.nlevels == 2
    assert fit.scale_omnibus.df1 == 2
    assert fit.omnibus.df1 == 1
    new = fit.predict({"x": [0.0, 1.0], "g": ["p", "q"]})
    assert (new["pi_low"] < new["ci_low"]).all()
    assert fit.aic == pytest.approx(-2 * fit.loglik + 10)
