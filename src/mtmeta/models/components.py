"""The two variance components of a three-level model: global maximum of the likelihood, profile intervals."""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from mtmeta.errors import ConvergenceWarning
from mtmeta.measures import Interval, check_level
from mtmeta.models.blocks import Blocks, Point, log_likelihood, point

__all__ = ["maximise", "profile_interval"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_STARTS = 6  # local maxima of the grid that are refined
_STEPS = 100


def _axis(blocks: Blocks, component: int) -> FloatArray:
    """Values of one variance from 0 to beyond the residual sum of squares, some three a decade."""
    spread = float(blocks.y @ blocks.y)
    if component == 0:
        weights = 1.0 / blocks.v
        low = 0.02 / float(blocks.sums(weights).max())
    else:
        low = 0.02 * float(blocks.v.min())
    high = max(4.0 * spread / max(blocks.k - blocks.p, 1), 2.0 * spread / blocks.k**0.5, 100.0 * low)
    count = int(min(max(3.0 * math.log10(high / low), 8.0), 60.0))
    return np.concatenate([[0.0], np.geomspace(low, high, count)])


def _peaks(values: FloatArray) -> list[tuple[int, ...]]:
    """Find the local maxima of a grid (plateaus included), the highest first."""
    padded = np.pad(values, 1, constant_values=-np.inf)
    top = np.ones(values.shape, dtype=bool)
    for shift in np.ndindex(*(3,) * values.ndim):
        window = tuple(slice(s, s + n) for s, n in zip(shift, values.shape, strict=True))
        top &= values >= padded[window]
    found = [tuple(int(i) for i in at) for at in np.argwhere(top)]
    return sorted(found, key=lambda at: -values[at])[:_STARTS]


def _gain(at: Point, free: BoolArray) -> tuple[FloatArray, float]:
    """Newton step in the free components, and the squared length of the score in its metric.

    A score within its rounding error counts as 0; a component at 0 with a score that is not positive
    stays there.
    """
    score = np.where(np.abs(at.score) > at.noise, at.score, 0.0)
    use = np.flatnonzero(free & ((at.theta > 0) | (score > 0)))
    step = np.zeros(2)
    if not score[use].any():
        return step, 0.0
    score = score[use]
    for matrix in (at.observed, at.average):
        part = matrix[np.ix_(use, use)]
        scale = np.sqrt(np.maximum(np.diag(part), 0.0))
        if not (scale > 0).all():
            continue
        unit = part / scale[:, None] / scale
        if np.linalg.eigvalsh(unit)[0] > 1e-13:
            step[use] = np.linalg.solve(unit, score / scale) / scale
            return step, float(score @ step[use])
    step[use] = 0.5 * np.sign(score) * at.theta[use]  # no curvature to go by
    return step, abs(float(score @ step[use]))


def _climb(blocks: Blocks, theta: FloatArray, restricted: bool, free: BoolArray) -> tuple[Point, bool]:
    """Newton's method within σ² ≥ 0 by projection, with a line search; the point and whether it converged."""
    at = point(blocks, theta, restricted)
    step, gain = _gain(at, free)
    for _ in range(_STEPS):
        size = max(1.0, abs(at.value))
        if gain <= 1e-22 * size:
            break
        for halving in range(40):
            new = np.maximum(at.theta + step * 0.5**halving, 0.0)
            trial = point(blocks, new, restricted)
            rise = float(at.score @ (new - at.theta))
            if rise < 1e-10 * size and trial.value > at.value - 1e-7 * size:
                # the likelihood is flat to rounding, but its score still tells
                next_step, next_gain = _gain(trial, free)
                taken = next_gain < 0.5 * gain
                break
            taken = trial.value >= at.value + 1e-4 * rise
            if taken:
                next_step, next_gain = _gain(trial, free)
                break
        if not taken:
            break
        at, step, gain = trial, next_step, next_gain
    return at, gain <= 1e-13 * max(1.0, abs(at.value))


def maximise(blocks: Blocks, *, restricted: bool, component: int | None = None, value: float = 0.0) -> Point:
    """Global maximum of the likelihood over both variances, or over one with the other held.

    A grid over all scales of the data finds the basins; each is climbed with Newton's method
    (analytic score and Hessian) under σ² ≥ 0, and the highest wins. A variance whose score at 0 is
    not positive is 0 exactly.

    Parameters
    ----------
    blocks : Blocks
    restricted : bool
        REML or ML.
    component : {0, 1} or None
        Component held at `value`; None frees both.
    value : float

    Returns
    -------
    Point
    """
    axes = [np.array([value]) if i == component else _axis(blocks, i) for i in (0, 1)]
    grid = np.meshgrid(*axes, indexing="ij")
    heights = log_likelihood(blocks, grid[0].ravel(), grid[1].ravel(), restricted).reshape(grid[0].shape)
    free = np.array([component != 0, component != 1])
    climbed = [
        _climb(blocks, np.array([axes[0][i], axes[1][j]]), restricted, free) for i, j in _peaks(heights)
    ]
    best, converged = max(climbed, key=lambda pair: pair[0].value)
    if not converged:
        warnings.warn(
            f"the variances {best.theta[0]:.4g} and {best.theta[1]:.4g} were found to less than the usual "
            "precision: the likelihood is flat there",
            ConvergenceWarning,
            stacklevel=2,
        )
    return best


def profile_interval(
    blocks: Blocks, best: Point, *, component: int, restricted: bool, level: float
) -> Interval:
    """Profile-likelihood interval of one variance, the other maximised at every value.

    Bounds solve ``2 (l_max − l_profile(σ²)) = χ²₁(level)``; the lower one is 0 where 0 fits.
    """
    drop = 0.5 * float(special.chdtri(1, 1 - check_level(level)))
    centre = float(best.theta[component])

    def short(value: float) -> float:
        return (
            best.value
            - drop
            - maximise(blocks, restricted=restricted, component=component, value=value).value
        )

    tight = 1e-10
    low = 0.0
    if centre > 0 and short(0.0) > 0:
        step = centre
        while short(step / 4) < 0:
            step /= 4
        low = math.exp(
            optimize.brentq(lambda u: short(math.exp(u)), math.log(step / 4), math.log(step), xtol=tight)
        )
    unit = float(_axis(blocks, component)[1])
    base = max(centre, unit)
    high = base * 2
    while short(high) < 0:
        base, high = high, high * 2
    root = optimize.brentq(lambda u: short(math.exp(u)), math.log(base), math.log(high), xtol=tight)
    return Interval(low, math.exp(root))
