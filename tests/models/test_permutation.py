"""Permutation tests: published, by brute force, refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.permutation import _all_orders, permutation_test
from mtmeta.models.pool import CommonEffect, IVhet, RandomEffects
from mtmeta.models.regression import MetaRegression

_Y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
      -1.371345, -0.339359, 0.445913, -0.017314]  # fmt: skip
_V = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434, 0.073025,
      0.012412, 0.532506, 0.071405]  # fmt: skip


def test_bcg_exact() -> None:
    """Viechtbauer 2010, J Stat Softw 36(3), p. 35: .0015, 12 of 8192."""
    test = permutation_test(RandomEffects(ci="Wald"), EffectSizes.of(_Y, _V, "RR"))
    assert test.exact
    assert test.permutations == 8192
    assert test.pvalue == 12 / 8192
    assert test.distribution.shape == (8192, 1)
    assert repr(test) == "PermutationResult(exact, 8192 permutations, mean p=0.001465)"


@pytest.mark.parametrize("ci", ["Wald", "HKSJ", "HKSJ-floor", "auto"])
def test_sign_flips_by_hand(ci: str) -> None:
    rng = np.random.default_rng(5)
    y, v = rng.normal(0.4, 0.5, 6), rng.uniform(0.02, 0.3, 6)
    model = RandomEffects(ci=ci)  # type: ignore[arg-type]
    test = permutation_test(model, EffectSizes.of(y, v))
    stats = [
        model.fit(EffectSizes.of(y * signs, v)).statistic
        for signs in itertools.product([1.0, -1.0], repeat=6)
    ]
    observed = model.fit(EffectSizes.of(y, v)).statistic
    assert_allclose(test.statistic, observed, rtol=1e-9)
    assert_allclose(np.sort(test.distribution[:, 0]), np.sort(stats), rtol=1e-7, atol=1e-8)
    assert test.pvalue == np.mean(np.abs(stats) >= abs(observed) - 1.5e-8)


@pytest.mark.parametrize("formula", ["x", "g", "x + g"])
@pytest.mark.parametrize("ci", ["Wald", "HKSJ"])
def test_row_orders_by_hand(formula: str, ci: str) -> None:
    rng = np.random.default_rng(6)
    y, v = rng.normal(0, 0.5, 5), rng.uniform(0.02, 0.3, 5)
    moderators = {"x": [1.0, 4.0, 2.0, 1.0, 3.0], "g": list("aabba")}
    model = MetaRegression(formula, tau2="DL", ci=ci)  # type: ignore[arg-type]
    es = EffectSizes.of(y, v, moderators=moderators)
    test = permutation_test(model, es)
    rows = list(zip(*[moderators[n] for n in formula.split(" + ")], strict=True))
    assert test.permutations == math.factorial(5) // math.prod(
        math.factorial(rows.count(row)) for row in set(rows)
    )
    fits = []
    for order in itertools.permutations(range(5)):
        shuffled = {name: [values[i] for i in order] for name, values in moderators.items()}
        fits.append(model.fit(EffectSizes.of(y, v, moderators=shuffled)))
    first = model.fit(es)
    z = np.array([fit.statistic.to_numpy() for fit in fits])
    by_hand = (np.abs(z) >= np.abs(first.statistic.to_numpy()) - 1.5e-8).mean(0)
    assert_allclose(test.pvalues, by_hand)
    assert list(test.pvalue.index) == list(first.coef.index)  # type: ignore[union-attr]
    qm = np.array([fit.qm for fit in fits])
    assert_allclose(test.qm_pvalue, (qm >= first.qm - 1.5e-8).mean())
    assert_allclose(test.qm, first.qm)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4))
@settings(max_examples=30)
def test_all_distinct_orders(sizes: list[int]) -> None:
    orders = np.concatenate(list(_all_orders(np.array(sizes), 7)))
    expected = math.factorial(sum(sizes)) // math.prod(map(math.factorial, sizes))
    assert len(np.unique(orders, axis=0)) == len(orders) == expected
    assert (np.sort(orders, axis=1) == np.repeat(np.arange(len(sizes)), sizes)).all()


def test_sampled() -> None:
    es = EffectSizes.of(_Y, _V, "RR", moderators={"x": np.arange(13.0)})
    one, two = (permutation_test(MetaRegression("x"), es, 500, seed=3) for _ in range(2))
    assert not one.exact
    assert one.permutations == 500
    assert_allclose(one.distribution, two.distribution)
    assert_allclose(one.distribution[0], one.statistic)  # the observed order counts
    assert one.pvalues.min() >= 1 / 500
    flips = permutation_test(RandomEffects(), es, 1000, seed=np.random.default_rng(1))
    assert flips.permutations == 1000
    assert abs(float(flips.pvalues[0]) - 12 / 8192) < 0.01


def test_few_permutations_are_all_taken() -> None:
    es = EffectSizes.of(_Y[:5], _V[:5])
    test = permutation_test(RandomEffects(ci="Wald"), es, 1000)
    assert test.exact
    assert test.permutations == 32


def test_common_effect() -> None:
    es = EffectSizes.of(_Y[:6], _V[:6])
    test = permutation_test(CommonEffect(), es)
    assert_allclose(test.statistic, CommonEffect().fit(es).statistic)
    given_ = permutation_test(RandomEffects(tau2=0.0, ci="Wald"), es)
    assert test.pvalue == given_.pvalue


def test_effects_that_are_all_equal() -> None:
    es = EffectSizes.of([0.3] * 4, [0.1, 0.2, 0.3, 0.4])
    test = permutation_test(RandomEffects(ci="HKSJ"), es)
    assert test.pvalue == 2 / 16
    assert not np.isnan(test.distribution).any()
    nothing = permutation_test(RandomEffects(ci="HKSJ"), EffectSizes.of([0.0] * 4, [0.1] * 4))
    assert nothing.pvalue == 1


def test_refusals() -> None:
    k = 21
    es = EffectSizes.of(np.linspace(-1, 1, k), [0.1] * k, moderators={"x": np.arange(float(k))})
    with pytest.raises(ModelError, match=r"2.1e\+06 permutations, more than 10\^6; draw some of them"):
        permutation_test(RandomEffects(), es)
    with pytest.raises(ModelError, match=r"5.11e\+19 permutations"):
        permutation_test(MetaRegression("x"), es)
    with pytest.raises(UsageError, match="no moderator to permute"):
        permutation_test(MetaRegression("1"), es)
    with pytest.raises(UsageError, match="permutations=1 must be"):
        permutation_test(RandomEffects(), es, 1)
    with pytest.raises(UsageError, match="not IVhet"):
        permutation_test(IVhet(), es)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has no use for ci='IQWiG'"):
        permutation_test(RandomEffects(ci="IQWiG"), es, 100)


def test_both_kinds_say_what_they_did() -> None:
    es = EffectSizes.of(_Y, _V, "RR", moderators={"x": np.arange(13.0)})
    assert "8192 all sign flips" in permutation_test(RandomEffects(), es).methods
    sampled = permutation_test(MetaRegression("x"), es, 50)
    assert "50 random orders of the moderators' rows" in sampled.methods
    assert list(sampled.to_frame().columns) == ["statistic", "pvalue"]
    assert "moderators p=" in repr(sampled)
    assert "<table" in sampled._repr_html_()
