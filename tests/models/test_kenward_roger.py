"""Kenward and Roger's interval against pbkrtest (make_kenward_roger.R) and base R (make_measures.R)."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.intervals import critical
from mtmeta.models.kenward_roger import kenward_roger
from mtmeta.models.pool import RandomEffects

Load = Callable[[str], Any]
SETS = ("six", "three", "ten", "uneven", "weak")


@pytest.mark.parametrize("name", SETS)
def test_pbkrtest(load: Load, name: str) -> None:
    """What an estimated residual variance adds halves when the rows double, and ours is where it ends."""
    rows = [r for r in load("reference/kenward_roger.json")["fits"] if r["id"] == name]
    assert [r["scale"] for r in rows] == [4, 8, 16]
    excess, own = [], []
    for row in rows:
        vi = np.array(row["vi"])
        se, df = kenward_roger(vi, row["tau2"])
        total = float((1.0 / (vi + row["tau2"])).sum())
        assert_allclose(row["unadjusted"], 1.0 / total, rtol=1e-6)
        excess.append(row["adjusted"] / se**2 - 1.0)
        # Kenward and Roger's own degrees of freedom, with the unadjusted variance
        own.append(row["df"] / (df * (se**2 * total) ** 2) - 1.0)
    for gap in (excess, own):
        assert abs(2.0 * gap[2] - gap[1]) < 3e-5, gap
        assert abs(gap[2]) < 0.6 * abs(gap[1]) + 3e-6 < 0.4 * abs(gap[0]) + 1e-5, gap


def test_equal_variances_are_hksj_s_degrees_of_freedom() -> None:
    """There REML makes HKSJ's factor 1, so that both intervals are one."""
    es = EffectSizes.of([0.1, 0.9, -0.4, 0.6, 1.4], [0.1] * 5)
    assert_allclose(RandomEffects(ci="KR").fit(es).ci(), RandomEffects(ci="HKSJ").fit(es).ci(), rtol=1e-8)


def test_scale_and_interval() -> None:
    y, v = np.array([0.9, 1.1, -0.6, 0.8, 0.1]), np.array([0.02, 0.3, 0.2, 0.4, 0.1])
    one = RandomEffects(ci="KR").fit(EffectSizes.of(y, v))
    thousand = RandomEffects(ci="KR").fit(EffectSizes.of(1e3 * y, 1e6 * v))
    assert_allclose(thousand.ci(), np.multiply(1e3, one.ci()), rtol=1e-9)
    assert_allclose(thousand.df, one.df, rtol=1e-9)
    assert_allclose(one.ci(0.9).width, 2.0 * critical(0.9, one.df) * one.se)


def _in_fractions(vi: list[Fraction]) -> tuple[float, float]:
    w = [1 / x for x in vi]
    w1, w2, w3 = (sum((x**j for x in w), Fraction(0)) for j in (1, 2, 3))
    information = w2 / 2 - w3 / w1 + (w2 / w1) ** 2 / 2
    var = (1 + 2 * (w3 / w1 - (w2 / w1) ** 2) / information) / w1
    return float(var), float(2 * information / (var * w2) ** 2)


def test_one_large_study() -> None:
    """No digit is lost to it, and beyond what the method can carry there is no interval."""
    for small in (2, 4):
        vi = [Fraction(1, small), Fraction(1), Fraction(1, 2), Fraction(2), Fraction(1)]
        se, df = kenward_roger(np.array([float(x) for x in vi]), 0.0)
        assert_allclose([se**2, df], _in_fractions(vi), rtol=1e-13)
    vi = [Fraction(1, 10**7), Fraction(1), Fraction(1, 2)]
    assert _in_fractions(vi)[1] < 1e-20
    with pytest.raises(ModelError, match=r"100% of the weight; use ci='HKSJ'"):
        kenward_roger(np.array([float(x) for x in vi]), 0.0)


def test_hard_inputs(hard_input: Callable[..., Any]) -> None:
    rng = np.random.default_rng(6)
    fitted, refused = 0, []
    for i in range(300):
        es = EffectSizes.of(*hard_input(rng, i % 10))
        try:
            fit = RandomEffects(ci="KR").fit(es)
        except ModelError as error:
            refused.append(str(error))
            continue
        fitted += 1
        low, high = fit.ci()
        assert -math.inf < low <= fit.estimate <= high < math.inf, i
        assert fit.df <= fit.k - 1 + 1e-9, i
        assert fit.se >= fit.se_classic * (1.0 - 1e-12), i
    assert fitted > 200
    assert all("degrees of freedom" in why for why in refused), refused


def test_what_it_is_not_for() -> None:
    with pytest.raises(UsageError, match="use tau2='REML', not 'DL'"):
        RandomEffects(tau2="DL", ci="KR")
    with pytest.raises(ModelError, match="the interval KR needs at least 2"):
        RandomEffects(ci="KR").fit(EffectSizes.of([0.1], [0.2]))


def test_words() -> None:
    fit = RandomEffects(ci="KR").fit(EffectSizes.of([0.1, 0.9, -0.4], [0.1, 0.2, 0.3]))
    assert "Kenward and Roger (1997), as Partlett and Riley (2017)" in fit.methods
    assert fit.ci_method == "KR"
    assert fit.to_frame()["df"].iloc[0] == fit.df
