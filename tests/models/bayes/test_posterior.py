"""Posterior distributions: quantiles of hard mixtures, the highest point of a function, together as alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import ndtr

from mtmeta.models.posterior import NormalMixture, central_intervals, climb, mixture_quantiles

Array = npt.NDArray[np.float64]


def _below(x: Array, weight: Array, mean: Array, sd: Array, sign: Array) -> Array:
    return np.asarray(ndtr(sign[:, None] * (x[:, None] - mean) / sd) @ weight)


def test_quantiles_of_mixtures_whose_components_differ_by_five_orders() -> None:
    """Plateaus and cliffs: the probability is on either side of the one asked for within a few roundings."""
    rng = np.random.default_rng(1)
    for _ in range(1500):
        m = int(rng.integers(1, 40))
        weight = np.maximum(rng.dirichlet(np.full(m, 0.3)), 1e-16)
        weight /= weight.sum()
        mean = rng.normal(0.0, rng.choice([1e-3, 1.0, 100.0]), (1, m))
        sd = 10.0 ** rng.uniform(-3, 2, (1, m))
        p, sign = 10.0 ** rng.uniform(-12, np.log10(0.5), 4), rng.choice([-1.0, 1.0], 4)
        x = mixture_quantiles(weight, mean, sd, p, sign)
        near = sign * 4e-15 * np.abs(x)
        assert np.all(_below(x - near, weight, mean, sd, sign) * (1.0 - 1e-13) <= p)
        assert np.all(p <= _below(x + near, weight, mean, sd, sign) * (1.0 + 1e-13))


def test_a_median_at_zero_ends_too() -> None:
    weight, sd = np.array([0.5, 0.5]), np.array([[0.3, 0.3]])
    found = mixture_quantiles(weight, np.array([[0.0, 2e-311]]), sd, np.array([0.5]), np.ones(1))
    assert abs(found[0]) <= 1e-16


def test_intervals_found_together_are_those_found_alone() -> None:
    rng = np.random.default_rng(2)
    weight = rng.dirichlet(np.ones(9))

    def mixtures() -> list[NormalMixture]:
        draw = np.random.default_rng(3)
        return [NormalMixture(weight, draw.normal(0, 1, 9), draw.uniform(0.1, 2, 9), s) for s in (0.0, 3.0)]

    together, alone = mixtures(), mixtures()
    other = NormalMixture(np.ones(1), np.ones(1), np.ones(1))
    found = central_intervals([together[0], other, together[1]], 0.9)
    for got, want in zip(found, [alone[0].ci(0.9), other.ci(0.9), alone[1].ci(0.9)], strict=True):
        assert tuple(got) == pytest.approx(tuple(want), rel=1e-13, abs=1e-14)
    assert together[1].median == pytest.approx(alone[1].median, rel=1e-13)
    assert found[1].high == pytest.approx(1.0 + 1.6448536269514722, rel=1e-14)


@pytest.mark.parametrize("points", [[-5.0, -1.0, 0.0, 0.2, 4.0], np.linspace(-5, 5, 17)])
def test_the_highest_point(points: list[float]) -> None:
    x = np.array(points)
    assert climb(lambda u: -np.cosh(u - 0.77), x) == pytest.approx(0.77, abs=2e-10)
    assert climb(lambda u: -np.abs(u - 0.2), x) == pytest.approx(0.2, abs=1e-9)  # a kink, not a parabola
    assert climb(lambda u: u, x) == x[-1]
    assert climb(lambda u: np.where(u < 0.5, -np.inf, -u), x) == pytest.approx(0.5, abs=1e-8)
    # two hills: that of the best point is climbed
    hills = climb(
        lambda u: np.exp(-8 * (u + 1) ** 2) + 0.9 * np.exp(-8 * (u - 1) ** 2), np.linspace(-3, 3, 41)
    )
    assert hills == pytest.approx(-1.0, abs=1e-6)
