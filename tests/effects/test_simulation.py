"""Variances that no reference at hand prints, against the spread of repeated samples."""

from __future__ import annotations

import numpy as np
import pytest

from mtmeta.effects.continuous import glass_delta, heteroscedastic_smd, standardized_mean_difference
from mtmeta.effects.paired import standardized_mean_change

REPEATS = 40_000


def _two_groups(sd1: float, sd2: float, n1: int, n2: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(20261123)
    x, y = rng.normal(0.5, sd1, (REPEATS, n1)), rng.normal(0.0, sd2, (REPEATS, n2))
    return (
        x.mean(1),
        x.std(1, ddof=1),
        np.full(REPEATS, n1),
        y.mean(1),
        y.std(1, ddof=1),
        np.full(REPEATS, n2),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SMD1H", "SMDH", "SMD UB", "SMCRH", "SMCRP"])
def test_variances_are_those_of_repeated_samples(name: str) -> None:
    """The mean variance lies within 5 % of the variance of the effects (Monte Carlo error: 0.7 %)."""
    if name == "SMD1H":
        yi, vi = glass_delta(*_two_groups(1.5, 1.0, 60, 80), heteroscedastic=True)
    elif name == "SMDH":
        yi, vi = heteroscedastic_smd(*_two_groups(1.5, 1.0, 60, 80))
    elif name == "SMD UB":
        yi, vi = standardized_mean_difference(*_two_groups(1.0, 1.0, 12, 9), variance="UB")
    else:
        rng = np.random.default_rng(7)
        spread = 1.4 if name == "SMCRH" else 1.0
        both = rng.multivariate_normal(
            [0.6, 0.0], [[1, 0.5 * spread], [0.5 * spread, spread**2]], (REPEATS, 60)
        )
        sd = both.std(1, ddof=1)
        m = both.mean(1)
        r = np.array([np.corrcoef(pair.T)[0, 1] for pair in both])
        kind = {"SMCRH": "first heteroscedastic", "SMCRP": "pooled"}[name]
        data = (m[:, 0], m[:, 1], sd[:, 0], sd[:, 1], np.full(REPEATS, 60), r)
        yi, vi = standardized_mean_change(*data, standardizer=kind)
    assert float(np.mean(vi)) == pytest.approx(float(np.var(yi)), rel=0.05)


@pytest.mark.slow
def test_the_exact_correction_takes_the_bias_away() -> None:
    """With 5 and 6 people: the mean of g is the true effect within four standard errors; that of d is not."""
    data = _two_groups(1.0, 1.0, 5, 6)
    g, _ = standardized_mean_difference(*data)
    d, _ = standardized_mean_difference(*data, correction="none")
    error = float(np.std(g)) / np.sqrt(REPEATS)
    assert abs(float(np.mean(g)) - 0.5) < 4 * error
    assert float(np.mean(d)) - 0.5 > 4 * error
