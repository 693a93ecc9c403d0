"""The joint test of a multiverse: against one analysis' permutation test, brute force, its null."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from mtmeta.diagnostics.multiverse import Multiverse, Specification, multiverse
from mtmeta.diagnostics.multiverse_flips import multiverse_test
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.permutation import permutation_test
from mtmeta.models.pool import CommonEffect, HenmiCopas, RandomEffects


def small() -> EffectSizes:
    return EffectSizes.of(
        [0.5, -0.1, 0.3, 0.8, 0.1], [0.04, 0.09, 0.02, 0.10, 0.05], "SMD", study=["a", "b", "c", "d", "a"]
    )


def grid(es: EffectSizes) -> Multiverse:
    tables = {"all": es, "without the first": es.subset(np.arange(1, es.k))}
    return multiverse(
        Specification({"rows": rows, "model": name}, table, model)
        for (rows, table), (name, model) in itertools.product(
            tables.items(),
            {
                "REML": RandomEffects("REML", ci="HKSJ"),
                "DL": RandomEffects("DL", ci="Wald"),
                "common": CommonEffect(),
                "floor": RandomEffects("REML", ci="HKSJ-floor"),
            }.items(),
        )
    )


@pytest.mark.parametrize("ci", ["Wald", "HKSJ"])
@pytest.mark.parametrize("tau2", ["DL", "REML"])
def test_of_one_analysis_it_is_the_permutation_test(bcg: EffectSizes, tau2: str, ci: str) -> None:
    """`permutation_test` itself is held against metafor's permutest."""
    model = RandomEffects(tau2, ci=ci)
    one = multiverse([({"model": tau2}, bcg, model)])
    want = permutation_test(model, bcg)
    assert multiverse_test(one, flips="exact").pvalues["stouffer"] == pytest.approx(want.pvalue, abs=1e-12)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_against_fits_one_by_one(alternative: str) -> None:
    """All 2^4 flips of four trials, one of them with two rows, every model fitted by itself."""
    es = small()
    found = grid(es)

    def statistics(signs: dict[str, float]) -> tuple[float, float, float]:
        gaps, above, below, z = [], 0, 0, 0.0
        for one in found.specifications:
            at = [signs[s] for s in one.effects.study]
            flipped = EffectSizes.of(one.effects.yi * at, one.effects.vi, "SMD", study=one.effects.study)
            fit = one.model.fit(flipped)
            low, high = fit.ci()
            gaps.append(fit.estimate)
            above, below = above + (low > 0), below + (high < 0)
            z += np.sign(fit.estimate) * stats.norm.isf(fit.pvalue / 2)
        count = len(gaps)
        middle, z = float(np.median(gaps)), z / count**0.5
        return {
            "two-sided": (abs(middle), max(above, below) / count, abs(z)),
            "greater": (middle, above / count, z),
            "less": (-middle, below / count, -z),
        }[alternative]

    every = [
        statistics(dict(zip("abcd", signs, strict=True)))
        for signs in itertools.product([1.0, -1.0], repeat=4)
    ]
    test = multiverse_test(found, flips="exact", alternative=alternative)
    assert (test.flips, test.exact, test.trials, test.specifications) == (16, True, 4, 8)
    assert list(test.observed.values()) == pytest.approx(every[0], rel=1e-8)
    for j, p in enumerate(test.pvalues.values()):
        assert p == np.mean([s[j] >= every[0][j] - 1e-7 for s in every])


def test_random_flips_have_a_seed_and_grow() -> None:
    rng = np.random.default_rng(5)
    vi = rng.uniform(0.02, 0.2, 20)
    found = grid(EffectSizes.of(rng.normal(0.15, np.sqrt(vi)), vi, "SMD"))
    test = multiverse_test(found, flips=300, seed=3)
    assert test.pvalues == multiverse_test(found, flips=300, seed=3).pvalues
    assert test.pvalues != multiverse_test(found, flips=300, seed=4).pvalues
    # all values are multiples of 1/301, and few flips become all of few trials
    assert all(abs(p * 301 - round(p * 301)) < 1e-9 for p in test.pvalues.values())
    assert multiverse_test(grid(small()), flips=999).exact


@pytest.mark.slow
def test_it_holds_its_level() -> None:
    """2,000 multiverses of heterogeneous trials without an effect: 5% within 3 standard errors, at most."""
    rng = np.random.default_rng(20261128)
    reached = np.zeros(3)
    for _ in range(2000):
        vi = rng.uniform(0.02, 0.2, 8)
        test = multiverse_test(
            grid(EffectSizes.of(rng.normal(0, np.sqrt(vi + 0.1)), vi, "SMD")), flips="exact"
        )
        reached += np.array(list(test.pvalues.values())) <= 0.05
    assert (reached / 2000 <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5).all()


def test_a_ratio_is_flipped_about_its_null(bcg: EffectSizes) -> None:
    """Log ratios have the null 0; a difference in scale or sign leaves the test as it is."""
    turned = EffectSizes.of(-2.0 * bcg.yi, 4.0 * bcg.vi, "RR", study=bcg.study)
    assert multiverse_test(grid(bcg), flips=99).pvalues == multiverse_test(grid(turned), flips=99).pvalues


def test_refusals() -> None:
    es = small()
    with pytest.raises(ModelError, match="refitted often"):
        multiverse_test(multiverse([({"model": "HC"}, es, HenmiCopas())]))
    with pytest.raises(UsageError, match="1 or more"):
        multiverse_test(grid(es), flips=0)
    with pytest.raises(UsageError, match="alternative"):
        multiverse_test(grid(es), alternative="up")  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    many = EffectSizes.of(rng.normal(size=17), np.full(17, 0.1), "SMD")
    with pytest.raises(ModelError, match="131,072"):
        multiverse_test(grid(many), flips="exact")
