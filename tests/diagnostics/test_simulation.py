"""Simulations against closed forms: exact coverage, power, and the update by one more trial."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from mtmeta.diagnostics.simulation import next_trial, simulate
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import CommonEffect, RandomEffects

VI = np.array([0.04, 0.09, 0.02, 0.15, 0.06])


def within(share: float, truth: float, replications: int) -> bool:
    """Within 4 Monte Carlo standard errors."""
    return abs(share - truth) < 4 * math.sqrt(truth * (1 - truth) / replications)


@pytest.mark.parametrize("mu", [0.0, 0.2])
def test_common_effect_is_exact(mu: float) -> None:
    found = simulate(CommonEffect(), VI, mu=mu, tau2=0.0, replications=20_000, seed=1)
    se = (1 / (1 / VI).sum()) ** 0.5
    power = norm.cdf(-1.959964 - mu / se) + norm.sf(1.959964 - mu / se)
    assert within(found.coverage, 0.95, 20_000)
    assert within(found.rejected, power, 20_000)
    assert abs(found.bias) < 4 * se / 20_000**0.5
    assert found.rmse == pytest.approx(se, rel=0.03)
    assert found.width == pytest.approx(2 * 1.959964 * se, rel=1e-6)
    assert found.tau2_bias == 0.0


def test_known_heterogeneity_is_exact() -> None:
    found = simulate(RandomEffects(tau2=0.1, ci="Wald"), VI, mu=0.3, tau2=0.1, replications=20_000)
    assert within(found.coverage, 0.95, 20_000)


def test_equal_variances_make_hksj_a_t_test() -> None:
    """With equal variances HKSJ is Student's t, whatever tau2: exact at every k."""
    found = simulate(
        RandomEffects("REML", ci="HKSJ"), np.full(4, 0.1), mu=0.0, tau2=0.05, replications=20_000
    )
    assert within(found.coverage, 0.95, 20_000)


def test_the_next_trial_in_closed_form() -> None:
    """Common effect: the updated estimate is a weighted mean of now and the new trial's normal effect."""
    es = EffectSizes.of([0.3, 0.1, 0.4, 0.2, 0.0], VI, "MD")
    table = next_trial(CommonEffect(), es, [0.01, 0.05, 0.5], replications=20_000, seed=2)
    w, est = (1 / VI).sum(), float((es.yi / VI).sum() / (1 / VI).sum())
    for row in table.itertuples():
        new = 1 / row.vi
        centre = est  # of the updated estimate, whose only randomness is the new trial
        sd = new / (w + new) * (1 / w + row.vi) ** 0.5
        edge = 1.959964 / (w + new) ** 0.5
        assert within(row.conclusive, norm.sf((edge - centre) / sd) + norm.cdf((-edge - centre) / sd), 20_000)
        own = (1 / w + row.vi) ** 0.5
        cut = 1.959964 * row.vi**0.5
        assert within(row.own, norm.sf((cut - est) / own) + norm.cdf((-cut - est) / own), 20_000)
        assert row.width == pytest.approx(2 * edge, rel=1e-6)
    assert table["now"].all() == (abs(est) > 1.959964 / w**0.5)


def test_a_given_effect_is_used() -> None:
    es = EffectSizes.of([0.3, 0.1, 0.4, 0.2, 0.0], VI, "MD")
    none, much = (
        next_trial(RandomEffects("DL", ci="Wald"), es, [0.02], effect=e, replications=2000)["own"].iloc[0]
        for e in (0.0, 1.0)
    )
    assert within(none, 0.05, 2000)
    assert much > 0.99


def test_seeds_and_length() -> None:
    model = RandomEffects("DL", ci="Wald")
    one = simulate(model, VI, mu=0.2, tau2=0.1, replications=1500, seed=1)
    assert one.coverage == simulate(model, VI, mu=0.2, tau2=0.1, replications=1500, seed=1).coverage
    assert one.bias != simulate(model, VI, mu=0.2, tau2=0.1, replications=1500, seed=2).bias


def test_refusals() -> None:
    with pytest.raises(ModelError, match="batches"):
        simulate(RandomEffects("ML", ci="PL"), VI, mu=0.0, tau2=0.0)
    for bad in ([], [0.1, -0.1], [[0.1]]):
        with pytest.raises(UsageError, match="positive variances"):
            simulate(CommonEffect(), bad, mu=0.0, tau2=0.0)
    with pytest.raises(UsageError, match="tau2"):
        simulate(CommonEffect(), VI, mu=0.0, tau2=-1.0)
    with pytest.raises(UsageError, match="replications"):
        simulate(CommonEffect(), VI, mu=0.0, tau2=0.0, replications=0)
