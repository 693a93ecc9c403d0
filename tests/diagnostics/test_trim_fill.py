"""Trim and fill: printed values, metafor 5.1-12 and 3.8-1 by estimator, model and side."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given as property_of, strategies as st

from mtmeta.diagnostics.trim_fill import trim_and_fill
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import CommonEffect, IVhet, RandomEffects

OPTIMISER = 1e-7
GIVEN = ("sim1", "sim2", "sim3", "sim4", "sim5", "sim6", "sim8", "sim11", "sim14", "sim15")
SETS = (
    "k6", "k10", "k10-biased", "k15-homogeneous", "k20-biased", "k30-null", "k40-biased", "k60",
    "k25-negative", "ties",
)  # fmt: skip
MODELS = {
    "EE": CommonEffect(),
    "DL": RandomEffects("DL", ci="Wald"),
    "REML": RandomEffects("REML", ci="Wald"),
}
GRID = list(itertools.product(SETS, MODELS, ("L0", "R0", "Q0"), ("auto", "left", "right")))
Table = Callable[[str], EffectSizes]


def _near(got: float, want: float, tolerance: float = OPTIMISER) -> None:
    assert abs(got - want) <= tolerance * (1.0 + abs(want)), (got, want)


def test_the_grid_is_complete(generated: Any) -> None:
    have = {(r["id"], r["method"], r["estimator"], r["side"]) for r in generated["fills"]}
    without = {tuple(key.split()) for key in generated["why"] if len(key.split()) == 4}
    assert have | without == set(GRID)
    assert not have & without
    assert all(estimator == "Q0" for _, _, estimator, _ in without)  # a root of a negative number


@pytest.mark.parametrize("name", GIVEN)
def test_metafor_5_1(name: str, given: Any, data: Table) -> None:
    want, es = given("bias")[name], data(name)
    found = trim_and_fill(es, model=MODELS["REML"])
    assert (found.k0, found.side) == (want["tf_L0_k0"], want["tf_L0_side"])
    _near(found.estimate, want["tf_L0_est"])
    assert trim_and_fill(es, model=MODELS["REML"], estimator="R0").k0 == want["tf_R0_k0"]


@pytest.mark.parametrize(("name", "method", "estimator", "side"), GRID)
def test_estimators_models_sides(
    name: str, method: str, estimator: Any, side: Any, generated: Any, data: Table
) -> None:
    key = (name, method, estimator, side)
    if " ".join(key) in generated["why"]:
        with pytest.raises(ModelError, match="no value on these effects"):
            trim_and_fill(data(name), model=MODELS[method], estimator=estimator, side=side)
        return
    want = next(r for r in generated["fills"] if (r["id"], r["method"], r["estimator"], r["side"]) == key)
    found = trim_and_fill(data(name), model=MODELS[method], estimator=estimator, side=side)
    assert (found.k0, found.side) == (want["k0"], want["on"])
    _near(found.estimate, want["est"])
    _near(found.se, want["se"])
    _near(found.filled.tau2, want["tau2"])
    _near(found.filled.q, want["q"])
    if want["se_k0"] is None:
        assert found.k0_se == 0.0  # the formula's variance is negative there: metafor's is NaN
    else:
        _near(found.k0_se, want["se_k0"])
    if estimator == "R0":
        _near(found.k0_pvalue, want["p_k0"], 1e-12)
    else:
        assert math.isnan(found.k0_pvalue)


def test_printed(bcg: EffectSizes) -> None:
    found = trim_and_fill(bcg, model=CommonEffect())
    printed = f"{found.k0} {found.side} {found.estimate:.4f} {found.se:.4f} {found.filled.q:.4f}"
    assert printed == "4 right -0.2910 0.0383 262.7316"
    assert trim_and_fill(bcg, model=RandomEffects(ci="Wald")).k0 == 1


@pytest.mark.r
def test_printed_of_other_packages(rscript: Callable[..., str]) -> None:
    """Raudenbush: 3 left, 0.0282; Hackshaw: 7 left, .1745 (metafor's data sets, read where metafor is)."""
    code = """suppressMessages({library(metafor); library(jsonlite)})
    cat(toJSON(list(r = dat.raudenbush1985[c("yi", "vi")], h = dat.hackshaw1998[c("yi", "vi")]), digits = NA,
               dataframe = "columns"))"""
    sets = json.loads(rscript(code))
    for key, want, model in (("r", "3 left 0.0282", "REML"), ("h", "7 left 0.1745", "REML")):
        found = trim_and_fill(EffectSizes.of(sets[key]["yi"], sets[key]["vi"]), model=MODELS[model])
        assert f"{found.k0} {found.side} {found.estimate:.4f}" == want


def test_filled_studies_are_marked_and_mirrored(bcg: EffectSizes) -> None:
    found = trim_and_fill(bcg, model=CommonEffect())
    filled = found.filled.effects
    assert filled.study[13:] == ("Filled 1", "Filled 2", "Filled 3", "Filled 4")
    assert filled.cluster[13:] == filled.study[13:]
    assert found.original.k == 13
    assert sorted(filled.vi[13:]) == sorted(bcg.vi[np.argsort(bcg.yi)[:4]])
    assert filled.yi[13:].min() > found.original.estimate


def test_any_model(bcg: EffectSizes) -> None:
    found = trim_and_fill(bcg, model=IVhet())
    assert found.k0 == trim_and_fill(bcg, model=CommonEffect()).k0  # the same estimates, so the same ranks
    assert found.filled.ci_method == "IVhet"


def test_refused(bcg: EffectSizes) -> None:
    with pytest.raises(UsageError):
        trim_and_fill(bcg, estimator="L1")
    with pytest.raises(ModelError, match="at least 3 effects"):
        trim_and_fill(bcg.subset([0, 1]))
    flat = EffectSizes.of([0.1, 0.2, 0.9, 0.4], [0.1] * 4)
    with pytest.raises(ModelError, match="say side='left' or side='right'"):
        trim_and_fill(flat)
    assert trim_and_fill(flat, side="left").side == "left"


@property_of(st.permutations(range(14)), st.floats(0.05, 20.0))
def test_order_sign_and_scale(order: list[int], scale: float) -> None:
    rng = np.random.default_rng(11)
    v = rng.uniform(0.01, 0.3, 14)
    y = rng.normal(0.2, 0.3, 14) + np.sqrt(v)
    base = trim_and_fill(EffectSizes.of(y, v))
    mixed = trim_and_fill(EffectSizes.of(-scale * y[order], scale**2 * v[order]))
    assert mixed.k0 == base.k0
    assert {mixed.side, base.side} == {"left", "right"}
    assert mixed.estimate == pytest.approx(-scale * base.estimate, rel=1e-7)


def test_a_regression_has_no_centre() -> None:
    from mtmeta.models.regression import MetaRegression

    es = EffectSizes.of([0.1, 0.3, 0.2, 0.5, 0.4], [0.1] * 5, moderators={"x": [1.0, 2.0, 3.0, 5.0, 4.0]})
    with pytest.raises(UsageError, match="no one mean to mirror effects at"):
        trim_and_fill(es, model=MetaRegression("x"))
