"""Likelihoods of single studies with their own effects integrated out, for cross-validation of draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import interpolate, special

from mtmeta.errors import ModelError
from mtmeta.models.priors import Flat
from mtmeta.models.priors_base import FloatArray, Prior

__all__ = ["Arms", "binomial_arms", "log_likelihood_of_arms", "poisson_arms"]

_PLACES = np.sinh(np.linspace(-5.3, 5.3, 401))  # dense in the middle, to 100 units on either side
_STEP = np.cosh(np.linspace(-5.3, 5.3, 401)) * (10.6 / 400)
_NODES, _WEIGHTS = special.roots_hermitenorm(48)
_LOG_WEIGHTS = np.log(_WEIGHTS) - np.log(_WEIGHTS.sum())


@dataclass(frozen=True)
class Arms:
    """Two arms a study: rough effects with a half added to counts, and the exact log likelihood.

    Attributes
    ----------
    effect, variance : ndarray (k,)
        Rough log odds or rate ratio, from counts with a half added.
    middle, middle_variance : ndarray (k,)
        Of the mean of the two arms' log odds or log rates.
    log_likelihood : callable
        (study, alpha, theta) to the log probability of that study's counts.
    names : tuple of str
        Of the observed counts.
    """

    effect: FloatArray
    variance: FloatArray
    middle: FloatArray
    middle_variance: FloatArray
    log_likelihood: Callable[[int, FloatArray, FloatArray], FloatArray]
    names: tuple[str, str]


def _arms(
    one: FloatArray, v1: FloatArray, two: FloatArray, v2: FloatArray, exact: Any, names: tuple[str, str]
) -> Arms:
    return Arms(one - two, v1 + v2, 0.5 * (one + two), 0.25 * (v1 + v2), exact, names)


def binomial_arms(a: FloatArray, n1: FloatArray, c: FloatArray, n2: FloatArray) -> Arms:
    """Return arms of events among people."""

    def exact(i: int, alpha: FloatArray, theta: FloatArray) -> FloatArray:
        out = np.zeros(np.broadcast_shapes(alpha.shape, theta.shape))
        for x, n, at in ((a[i], n1[i], alpha + theta), (c[i], n2[i], alpha)):
            ways = special.gammaln(n + 1) - special.gammaln(x + 1) - special.gammaln(n - x + 1)
            out = out + ways + x * special.log_expit(at) + (n - x) * special.log_expit(-at)
        return out

    one, two = np.log((a + 0.5) / (n1 - a + 0.5)), np.log((c + 0.5) / (n2 - c + 0.5))
    v1, v2 = (1 / (x + 0.5) + 1 / (n - x + 0.5) for x, n in ((a, n1), (c, n2)))
    return _arms(one, v1, two, v2, exact, ("a", "c"))


def poisson_arms(x1: FloatArray, t1: FloatArray, x2: FloatArray, t2: FloatArray) -> Arms:
    """Return arms of events over person-time."""

    def exact(i: int, alpha: FloatArray, theta: FloatArray) -> FloatArray:
        out = np.zeros(np.broadcast_shapes(alpha.shape, theta.shape))
        for x, t, at in ((x1[i], t1[i], alpha + theta), (x2[i], t2[i], alpha)):
            with np.errstate(over="ignore"):
                out = out + x * (at + np.log(t)) - t * np.exp(at) - special.gammaln(x + 1)
        return out

    one, two = np.log((x1 + 0.5) / t1), np.log((x2 + 0.5) / t2)
    return _arms(one, 1 / (x1 + 0.5), two, 1 / (x2 + 0.5), exact, ("x1", "x2"))


def log_likelihood_of_arms(arms: Arms, baseline: Prior, mu: FloatArray, tau: FloatArray) -> FloatArray:
    """Return the log likelihood of every study at draws of mu and tau, (draws, k).

    For each study the baseline is integrated out by the trapezoidal rule on a sinh-stretched axis around
    its best value, once for a table of effects; then the effect by Gauss-Hermite quadrature centred where
    effect and data meet, with the table interpolated.

    Raises
    ------
    ModelError
        A baseline prior without a density that is smooth everywhere.
    """
    if isinstance(baseline, Flat) or not np.isfinite(baseline.logpdf([-50.0, 50.0])).all():
        raise ModelError(
            f"cross-validation needs a proper baseline prior without ends, not {baseline!r}; "
            "use Normal(0, 10)"
        )
    out = np.empty((mu.size, arms.effect.size))
    for i in range(arms.effect.size):
        y, s = arms.effect[i], np.sqrt(arms.variance[i])
        at = y + s * _PLACES
        table = interpolate.CubicSpline(_PLACES, _without_baseline(arms, i, baseline, at))
        share = tau**2 / (tau**2 + s**2)
        sd = s * np.sqrt(share)
        theta = (share * y + (1 - share) * mu)[:, None] + sd[:, None] * _NODES
        height = table(np.clip((theta - y) / s, _PLACES[0], _PLACES[-1]))
        slope2 = (s**2 / (tau**2 + s**2))[:, None]
        u = (tau / (tau**2 + s**2) * (y - mu))[:, None] + np.sqrt(slope2) * _NODES  # (theta - mu)/tau
        # the density of u over that of the rule, both standard normal, and the slope of u in the nodes
        log_ratio = 0.5 * (np.square(_NODES) - np.square(u) + np.log(slope2))
        out[:, i] = special.logsumexp(height + log_ratio + _LOG_WEIGHTS, axis=1)
    return out


def _without_baseline(arms: Arms, i: int, baseline: Prior, theta: FloatArray) -> FloatArray:
    def log_joint(alpha: FloatArray) -> FloatArray:
        prior: FloatArray = np.asarray(baseline.logpdf(alpha))
        return arms.log_likelihood(i, alpha, theta[:, None]) + prior

    # best value by a coarse search and golden-section steps; its curvature gives the unit of the axis
    rough = arms.middle[i] - 0.5 * theta[:, None] + np.linspace(-0.5, 0.5, 41) * (4 + np.abs(theta[:, None]))
    j = np.argmax(log_joint(rough), axis=1)
    rows = np.arange(theta.size)
    low, high = rough[rows, np.maximum(j - 1, 0)], rough[rows, np.minimum(j + 1, 40)]
    for _ in range(50):
        third = (high - low) / 3
        left, right = (low + third)[:, None], (high - third)[:, None]
        better = (log_joint(left) < log_joint(right))[:, 0]
        low, high = np.where(better, left[:, 0], low), np.where(better, high, right[:, 0])
    best = 0.5 * (low + high)[:, None]
    step = 1e-2
    bend = (2 * log_joint(best) - log_joint(best + step) - log_joint(best - step)) / step**2
    unit = 1 / np.sqrt(np.maximum(bend, 1e-4))
    alpha = best + unit * _PLACES
    found: FloatArray = special.logsumexp(log_joint(alpha) + np.log(unit * _STEP), axis=1)
    return found
