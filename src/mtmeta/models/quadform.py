"""The exact distribution of a weighted heterogeneity statistic under the random-effects model."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["q_distribution", "q_statistic"]

FloatArray = npt.NDArray[np.float64]

_NODES = 56  # of half the contour, evenly up to _REACH; what is cut off is below 1e-17 of the peak
_REACH = 5.0
_LEFTWARD = 0.7
_BLOCK = 1 << 18


def q_statistic(yi: FloatArray, weights: FloatArray) -> float:
    """Return ``sum w (y - ybar_w)^2``."""
    d = yi - yi[weights.argmax()]
    e = d - np.dot(weights, d) / weights.sum()
    return float(np.dot(weights * e, e))


def q_distribution(q: float, tau2: npt.ArrayLike, *, vi: FloatArray, weights: FloatArray) -> FloatArray:
    r"""Return the probability that Q is at most `q`, for each tau2.

    Parameters
    ----------
    q : float
        Value of ``sum w (y - ybar_w)^2``, at least 0.
    tau2 : array_like (T,)
        Between-study variances.
    vi, weights : ndarray (k,)
        Sampling variances and the fixed weights w of the statistic, at least two of them.

    Returns
    -------
    ndarray (T,)

    Notes
    -----
    Q is a sum of independent chi-squared variables of one degree of freedom, weighted by the eigenvalues of
    ``S^1/2 (W - w w'/sum w) S^1/2`` with ``S = diag(v + tau2)``. These need not be computed: the matrix is
    diagonal minus rank one, so the Laplace transform of the density is

    .. math:: \Big[\prod_i (1 + 2 s D_i) \cdot \tfrac{1}{\sum w}\sum_i \frac{w_i}{1 + 2 s D_i}\Big]^{-1/2},
              \qquad D_i = w_i (v_i + \tau^2),

    whose singularities all lie on the negative axis. It is inverted by the trapezoidal rule on a hyperbola
    through the saddle point that bends towards them, which converges geometrically (Trefethen and Weideman
    2014, SIAM Rev 56:385); the lower tail keeps its relative accuracy. Farebrother's algorithm, which
    metafor takes from CompQuadForm, sums a series for the same number.

    Examples
    --------
    Two studies of variance 1: Q is a chi-squared variable with one degree of freedom.

    >>> two = np.ones(2)
    >>> q_distribution(3.841459, 0.0, vi=two, weights=two).round(6)
    array([0.95])
    """
    t = np.atleast_1d(np.asarray(tau2, dtype=np.float64))
    if q <= 0.0:
        return np.zeros_like(t)
    out = np.empty_like(t)
    size = max(1, _BLOCK // (len(vi) * _NODES))
    for start in range(0, len(t), size):
        out[start : start + size] = _invert(q, t[start : start + size], vi, weights)
    return np.clip(out, 0.0, 1.0)


def _slope(s: FloatArray, D: FloatArray, share: FloatArray) -> FloatArray:
    """Return the derivative of the logarithm of ``exp(s) transform(s) / s``."""
    factor = 1.0 / (1.0 + 2.0 * s[:, None] * D)
    weighted = share * factor
    drop = (weighted * factor * D).sum(axis=1) / weighted.sum(axis=1)
    total: FloatArray = 1.0 - 1.0 / s - (D * factor).sum(axis=1) + drop
    return total


def _saddle(D: FloatArray, share: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the saddle point on the positive axis, between 1 and (k + 1)/2, and the width of its peak."""
    low = np.zeros(len(D))
    high = np.full(len(D), np.log(0.5 * (D.shape[1] + 1.0)))
    for _ in range(12):  # it only places the contour
        middle = 0.5 * (low + high)
        right = _slope(np.exp(middle), D, share) > 0.0
        low, high = np.where(right, low, middle), np.where(right, middle, high)
    s = np.exp(0.5 * (low + high))
    step = 1e-3 * s
    return s, np.sqrt(2.0 * step / (_slope(s + step, D, share) - _slope(s - step, D, share)))


def _invert(q: float, tau2: FloatArray, vi: FloatArray, weights: FloatArray) -> FloatArray:
    D = weights * (vi + tau2[:, None]) / q  # s is in units of 1/q
    share = weights / weights.sum()
    centre, width = _saddle(D, share)
    h = _REACH / _NODES
    u = (np.arange(_NODES) + 0.5) * h
    s = centre[:, None] + width[:, None] * (1j * np.sinh(u) - _LEFTWARD * (np.cosh(u) - 1.0))
    slope = width[:, None] * (1j * np.cosh(u) - _LEFTWARD * np.sinh(u))
    factor = 1.0 + 2.0 * s[:, :, None] * D[:, None, :]  # (T, nodes, k)
    logs = np.log(factor).sum(axis=-1)
    logs += np.log((share / factor).sum(axis=-1))
    values = np.exp(s - 0.5 * logs) * slope / s
    total: FloatArray = (h / math.pi) * values.imag.sum(axis=-1)
    return total
