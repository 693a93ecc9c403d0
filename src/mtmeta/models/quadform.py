"""The exact distribution of a weighted heterogeneity statistic under the random-effects model."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["q_distribution", "q_statistic"]

FloatArray = npt.NDArray[np.float64]

_NODES = 32  # of the contour: its error, 2.85^-32, is where rounding takes over
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

    whose singularities all lie on the negative axis. Its integral is inverted on a parabolic contour
    (Weideman and Trefethen 2007, Math Comput 76:1341), which converges geometrically. Farebrother's
    algorithm, which metafor takes from CompQuadForm, sums a series for the same number.

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


def _invert(q: float, tau2: FloatArray, vi: FloatArray, weights: FloatArray) -> FloatArray:
    # parabola s(u) = mu (1 + iu)^2 with the step and mu that balance truncation and discretisation
    n = _NODES
    h = 3.0 / n
    mu = math.pi * n / 12.0
    u = (np.arange(n) + 0.5) * h
    s = mu * (1.0 + 1j * u) ** 2  # in units of 1/q
    slope = 2j * mu * (1.0 + 1j * u)
    D = weights * (vi + tau2[:, None]) / q
    factor = 1.0 + 2.0 * s[:, None] * D[:, None, :]  # (T, nodes, k)
    logs = np.log(factor).sum(axis=-1)
    logs += np.log(((weights / weights.sum()) / factor).sum(axis=-1))
    values = np.exp(s - 0.5 * logs) * slope / s
    total: FloatArray = (h / math.pi) * values.imag.sum(axis=-1)
    return total
