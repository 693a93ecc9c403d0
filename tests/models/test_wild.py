"""The cluster wild bootstrap against all flips as metafor fits and clubSandwich tests them (make_wild.R)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.dependent import Multilevel
from mtmeta.models.pool import RandomEffects
from mtmeta.models.regression import MetaRegression
from mtmeta.models.robust import robust
from mtmeta.models.wild import wild_bootstrap

pytestmark = pytest.mark.filterwarnings("ignore:.*Satterthwaite degrees of freedom")
Load = Callable[[str], Any]
SETS = {"m6": 6, "m7": 7, "m8": 8}


def _table(load: Load, name: str) -> EffectSizes:
    d = next(d for d in load("reference/wild.json.gz")["data"] if d["id"] == name)
    cluster = [f"{c:g}" for c in d["cluster"]]
    return EffectSizes.of(d["yi"], d["vi"], cluster=cluster, moderators={"x": d["x"], "z": d["z"]})


def test_the_grid_is_complete(load: Load) -> None:
    cells = [(r["id"], r["tau2"], r["terms"]) for r in load("reference/wild.json.gz")["tests"]]
    assert cells == list(itertools.product(SETS, (0.0, 0.06), ("mean", "x", "x z")))


@pytest.mark.parametrize("name", SETS)
def test_all_flips(load: Load, name: str) -> None:
    es = _table(load, name)
    for row in (r for r in load("reference/wild.json.gz")["tests"] if r["id"] == name):
        if row["terms"] == "mean":
            test = wild_bootstrap(RandomEffects(tau2=row["tau2"], ci="Wald").fit(es))
        else:
            fit = MetaRegression("x + z", tau2=row["tau2"], ci="Wald").fit(es)
            test = wild_bootstrap(fit, row["terms"].split())
        assert (test.exact, test.draws, test.clusters) == (True, 2 ** SETS[name], SETS[name])
        assert_allclose(test.statistic, row["f"], rtol=1e-9)
        assert_allclose(np.sort(test.distribution), row["all"], rtol=1e-8, atol=1e-10)
        assert test.pvalue == pytest.approx(row["p"], abs=1e-12)


def test_the_statistic_is_that_of_cr1(load: Load) -> None:
    fit = Multilevel(robust=False).fit(_table(load, "m8"))
    cr1 = robust(fit, kind="CR1")
    assert wild_bootstrap(fit).statistic == pytest.approx(cr1.statistic**2, rel=1e-10)


def test_sampled_flips_come_near_all(load: Load) -> None:
    fit = MetaRegression("x + z").fit(_table(load, "m8"))
    every = wild_bootstrap(fit, ["x"])
    some = wild_bootstrap(fit, ["x"], draws=200, seed=3)
    assert (some.exact, some.draws) == (False, 200)
    assert some.pvalue == pytest.approx(every.pvalue, abs=4 * (0.25 / 200) ** 0.5)
    assert some.pvalue == wild_bootstrap(fit, ["x"], draws=200, seed=3).pvalue


@pytest.mark.slow
def test_it_keeps_its_level() -> None:
    """Under the null with 8 clusters it rejects about 5 of 100; 1,500 simulations leave an error of .0056."""
    rng = np.random.default_rng(20261128)
    label = np.repeat(np.arange(8), 4)
    rejected = 0
    for _ in range(1500):
        y = rng.normal(0, 0.3, 8)[label] + rng.normal(0, 0.4, 32)
        z = rng.normal(size=8)[label]
        es = EffectSizes.of(y, [0.16] * 32, cluster=label, moderators={"z": z})
        rejected += wild_bootstrap(MetaRegression("z", tau2=0.0).fit(es)).pvalue <= 0.05
    assert 0.02 < rejected / 1500 < 0.05 + 3 * 0.0056


def test_refusals(load: Load) -> None:
    es = _table(load, "m6")
    fit = MetaRegression("x").fit(es)
    with pytest.raises(UsageError, match="no term 'w'"):
        wild_bootstrap(fit, ["w"])
    with pytest.raises(UsageError, match="3 labels"):
        wild_bootstrap(fit, cluster=["a", "b", "c"])
    with pytest.raises(UsageError, match="draws=1 must be"):
        wild_bootstrap(fit, draws=1)
    with pytest.raises(ModelError, match="at least 5 clusters"):
        wild_bootstrap(fit, cluster=["1", "2"] * (es.k // 2) + ["1"] * (es.k % 2))


def test_words(load: Load) -> None:
    test = wild_bootstrap(MetaRegression("x").fit(_table(load, "m6")))
    assert repr(test).startswith("WildBootstrap(exact, 64 flips of 6 clusters, x: F = ")
    assert "Joshi" in test.methods
    assert "<table" in test._repr_html_()
    assert list(test.to_frame().index) == ["x"]
