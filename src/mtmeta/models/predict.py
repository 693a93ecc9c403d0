"""Where the effect of a new study will lie: the rules in use, and Nagashima's bootstrap."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from scipy import special

from mtmeta.errors import ModelError
from mtmeta.models.kernel import fit
from mtmeta.models.quadform import q_distribution, q_statistic
from mtmeta.models.stack import FloatArray

__all__ = [
    "PI_RULES",
    "PredictionRule",
    "bootstrap_draws",
    "confidence_draws",
    "predictive_cdf",
    "rule_needs",
]

PredictionRule = Literal["V", "HTS", "normal", "HK", "HK-PR", "bootstrap"]
PI_RULES: tuple[str, ...] = get_args(PredictionRule)

_FEWEST = {"V": 3, "HTS": 3, "normal": 2, "HK": 2, "HK-PR": 3, "bootstrap": 3}
_TABLE = 400  # points of the tabulated distribution of tau2
_NEVER = 1e-11  # probabilities below it lie under the accuracy of the distribution function


def rule_needs(rule: str, k: int) -> float:
    """Return the degrees of freedom that `rule` gives to `k` studies.

    Raises
    ------
    ModelError
        Too few studies: with fewer than 3 the rules V, HTS and HK-PR have no meaning, with fewer than 2 none.
    """
    if k < _FEWEST[rule]:
        raise ModelError(
            f"a prediction interval by rule {rule!r} needs at least {_FEWEST[rule]} studies and there are {k}"
        )
    if rule == "normal":
        return math.inf
    return float(k - 2 if rule in ("HTS", "HK-PR") else k - 1)


def predictive_cdf(value: float, *, centre: float, scale: float, df: float) -> float:
    """Return the probability that a new effect is at most `value` under a t (or normal) rule."""
    if scale == 0.0:
        return float(value >= centre)
    z = (value - centre) / scale
    return float(special.ndtr(z)) if math.isinf(df) else float(special.stdtr(df, z))


def bootstrap_draws(
    yi: FloatArray, vi: FloatArray, *, draws: int, seed: int | np.random.Generator
) -> FloatArray:
    """Draw effects of a new study by Nagashima, Noma and Furukawa's parametric bootstrap.

    tau2 is drawn from its confidence distribution, that is from the exact distribution of the untruncated
    estimator of DerSimonian and Laird; given tau2 the mean has Hartung's t distribution with k - 1 degrees
    of freedom, and the new effect is normal around it.

    Parameters
    ----------
    draws : int
        How many; the paper takes 25,000.
    seed : int or Generator

    Returns
    -------
    ndarray (draws,)

    Notes
    -----
    Nagashima, Noma, Furukawa 2019, Stat Methods Med Res 28:1689, algorithm 1. The inverse of the distribution
    is read from a table of 400 points; its error is far below that of 25,000 draws.
    """
    rng = np.random.default_rng(seed)
    mean, tau2 = confidence_draws(yi, vi, draws=draws, rng=rng)
    return np.asarray(mean + rng.standard_normal(draws) * np.sqrt(tau2))


def confidence_draws(
    yi: FloatArray, vi: FloatArray, *, draws: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw mean and tau2, each (draws,), from the confidence distribution of :func:`bootstrap_draws`."""
    tau2 = _draw_tau2(yi, vi, rng.random(draws))
    t = rng.standard_t(len(yi) - 1, draws)
    one = fit(np.broadcast_to(yi, (draws, len(yi))), vi, tau2=tau2)
    return np.asarray(one.estimate - t * np.sqrt(one.scale * one.cov[:, 0, 0])), tau2


def _draw_tau2(yi: FloatArray, vi: FloatArray, uniform: FloatArray) -> FloatArray:
    """Return the tau2 at which ``P(Q <= q)`` equals the uniform numbers, 0 where even tau2 = 0 has less."""
    from scipy.interpolate import PchipInterpolator

    unit = float(np.median(vi))
    v = vi / unit
    w = v.min() / v
    q = q_statistic(yi / math.sqrt(unit), w)

    def below(t: FloatArray) -> FloatArray:
        return q_distribution(q, t, vi=v, weights=w)

    top = 1.0
    while below(np.array([top]))[0] > _NEVER and top < 1e30:
        top *= 10.0
    grid = np.expm1(np.linspace(0.0, math.log1p(top), _TABLE))
    values = below(grid)
    keep = np.concatenate([[True], values[1:] < np.minimum.accumulate(values)[:-1]])
    at_zero = float(values[0])
    if keep.sum() < 2 or at_zero <= _NEVER:
        return np.zeros_like(uniform)
    # of the logarithms, so that the upper tail of tau2, a power law, is a straight line
    curve = PchipInterpolator(
        np.log(np.maximum(values[keep], 1e-300))[::-1], np.log1p(grid[keep])[::-1], extrapolate=False
    )
    lowest = float(values[keep][-1])
    inside = np.clip(uniform, max(lowest, 1e-300), at_zero)
    t = np.expm1(curve(np.log(inside)))
    return np.where(uniform >= at_zero, 0.0, np.maximum(t, 0.0)) * unit
