r"""Likelihood of effects seen through a weight function of their p-values, and its maximum.

All weight functions here have the form :math:`w(p)=\exp(\sum_m\theta_m L_m(p))`: steps (L are indicators,
theta the log weights), beta (log p and log(1 - p)), half-normal (-p²), negative exponential (-p), power
(log(1 - p)). Study i adds

.. math:: \log w(p_i)+\log N(y_i;\mu,v_i+\tau^2)-\log\sum_n w(p_n)K_{in}(\mu,\tau^2),

where K are the probabilities of the p intervals, or quadrature weights times the density of y where z = y/s
has a node. Value, gradient and Hessian are exact; many starting points are followed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.errors import ModelError

__all__ = ["Derivatives", "Optimum", "Weighted", "cells", "maximise", "nodes"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
_LOG_2PI = 1.8378770664093453
_STEPS = 0.5 ** np.arange(1, 12)


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Log-likelihood at S points of P parameters: value (S,), gradient (S, P), Hessian (S, P, P)."""

    value: FloatArray
    gradient: FloatArray
    hessian: FloatArray


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best point found, with the inverse of the negative Hessian of the free parameters (0 elsewhere)."""

    x: FloatArray
    value: float
    cov: FloatArray
    free: npt.NDArray[np.bool_]


_Kernel = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def _bell(u: FloatArray) -> FloatArray:
    out: FloatArray = np.exp(-0.5 * u * u - 0.5 * _LOG_2PI)
    return out


def cells(cuts: FloatArray, mu: FloatArray, s2: FloatArray) -> _Kernel:
    """Probabilities of the cells between falling cut points, and their derivatives.

    Parameters
    ----------
    cuts : ndarray (k, J)
        Cut points of y, falling along the second axis.
    mu : ndarray (S, 1)
    s2 : ndarray (S, k)
        ``v + tau2``.

    Returns
    -------
    tuple of six ndarrays (S, k, J + 1)
        The probabilities from the highest cell down, and their derivatives by mu, tau2, mu², mu tau2, tau2².
    """
    s = np.sqrt(s2)[:, :, None]
    u = (mu[:, :, None] - cuts[None]) / s
    ends = np.full((*u.shape[:2], 1), np.inf)
    edges = np.concatenate([-ends, u, ends], axis=2)
    low, high = edges[:, :, :-1], edges[:, :, 1:]
    upper_tail = low + high > 0.0  # difference of the smaller tails: no cancellation
    upper_tail[:, :, 0], upper_tail[:, :, -1] = False, True
    probability = np.where(
        upper_tail, special.ndtr(-low) - special.ndtr(-high), special.ndtr(high) - special.ndtr(low)
    )
    bell = _bell(u)
    q = s2[:, :, None]
    parts = (
        bell / s,
        -0.5 * u * bell / q,
        -u * bell / q,
        0.5 * (u * u - 1.0) * bell / (q * s),
        0.25 * (3.0 * u - u**3) * bell / (q * q),
    )
    zero = np.zeros_like(ends)
    first, *rest = (np.diff(np.concatenate([zero, part, zero], axis=2), axis=2) for part in parts)
    return (probability, first, rest[0], rest[1], rest[2], rest[3])


def nodes(root: FloatArray, z: FloatArray, weight: FloatArray, mu: FloatArray, s2: FloatArray) -> _Kernel:
    """Quadrature of the density of y over z = y/root, and over both tails beyond the outer nodes.

    Parameters
    ----------
    root : ndarray (k,)
        Standard errors.
    z, weight : ndarray (N,)
        Nodes and weights of a rule on ``[-limit, limit]``; the first and the last node are those limits,
        whose cells are the tails.
    mu, s2
        As in :func:`cells`.

    Returns
    -------
    tuple of six ndarrays (S, k, N)
    """
    inner = z[1:-1]
    s2_ = s2[:, :, None]
    s = np.sqrt(s2_)
    r = (root[None, :, None] * inner - mu[:, :, None]) / s
    density = _bell(r) * (root[None, :, None] * weight[1:-1] / s)
    a, b = r / s, 0.5 * (r * r - 1.0) / s2_
    parts = (
        density,
        density * a,
        density * b,
        density * (a * a - 1.0 / s2_),
        density * (a * b - a / s2_),
        density * (b * b + (0.5 - r * r) / (s2_ * s2_)),
    )
    cuts = np.stack([root * z[-1], root * z[0]], axis=1)
    tails = cells(cuts, mu, s2)
    joined = [
        np.concatenate([tail[:, :, 2:], part, tail[:, :, :1]], axis=2)
        for tail, part in zip(tails, parts, strict=True)
    ]
    return (joined[0], joined[1], joined[2], joined[3], joined[4], joined[5])


@dataclass(frozen=True, slots=True)
class Weighted:
    """A likelihood; parameters are mu, tau2, theta_1 ... theta_M.

    Attributes
    ----------
    yi, vi : ndarray (k,)
    kernel : callable (mu (S, 1), s2 (S, k)) -> six arrays (S, k, N)
    basis : ndarray (M, N)
        L of the cells or nodes.
    observed : ndarray (k, M)
        L of the observed p-values.
    own : ndarray (k,) of int, optional
        Condition each study on its own cell instead of weighting (p-uniform*); M is 0 then.
    """

    yi: FloatArray
    vi: FloatArray
    kernel: Callable[[FloatArray, FloatArray], _Kernel]
    basis: FloatArray
    observed: FloatArray
    own: IntArray | None = None

    def __call__(self, x: FloatArray) -> Derivatives:
        """Evaluate at S points, (S, 2 + M)."""
        m = self.basis.shape[0]
        mu, t, theta = x[:, :1], x[:, 1:2], x[:, 2:]
        s2 = self.vi + t
        kernel = self.kernel(mu, s2)
        value, gradient, hessian = self._density(mu, s2, 2 + m)
        if self.own is None:
            value += theta @ self.observed.sum(axis=0)
            gradient[:, 2:] += self.observed.sum(axis=0)
            log_w = theta @ self.basis
            top = log_w.max(axis=1, keepdims=True)
            w = np.exp(log_w - top)[:, :, None]
            first = w * self.basis.T
            second = (first[:, :, :, None] * self.basis.T[:, None, :]).reshape(len(x), -1, m * m)
            a, by_mu, by_t = (part @ np.concatenate([w, first], axis=2) for part in kernel[:3])
            mixed = (kernel[0] @ second).reshape(len(x), -1, m, m)
            mm, mt, tt = ((part @ w)[:, :, 0] for part in kernel[3:])
        else:
            pick = np.broadcast_to(self.own[None, :, None], (len(x), len(self.yi), 1))
            a, by_mu, by_t = (np.take_along_axis(part, pick, axis=2) for part in kernel[:3])
            mixed = np.empty((len(x), len(self.yi), 0, 0))
            mm, mt, tt = (np.take_along_axis(part, pick, axis=2)[:, :, 0] for part in kernel[3:])
            top = np.zeros((len(x), 1))
        total = a[:, :, 0]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope = np.concatenate([by_mu[:, :, :1], by_t[:, :, :1], a[:, :, 1:]], axis=2) / total[:, :, None]
            curve = np.empty((*total.shape, 2 + m, 2 + m))
            curve[:, :, 0, 0], curve[:, :, 1, 1] = mm, tt
            curve[:, :, 0, 1] = curve[:, :, 1, 0] = mt
            curve[:, :, 0, 2:] = curve[:, :, 2:, 0] = by_mu[:, :, 1:]
            curve[:, :, 1, 2:] = curve[:, :, 2:, 1] = by_t[:, :, 1:]
            curve[:, :, 2:, 2:] = mixed
            curve /= total[:, :, None, None]
            value -= np.sum(np.log(total), axis=1) + len(self.yi) * top[:, 0]
        gradient -= slope.sum(axis=1)
        hessian -= np.sum(curve - slope[:, :, :, None] * slope[:, :, None, :], axis=1)
        return Derivatives(value, gradient, hessian)

    def _density(self, mu: FloatArray, s2: FloatArray, p: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the normal log-density of the effects with its derivatives, in arrays of p parameters."""
        e = self.yi - mu
        value = -0.5 * np.sum(_LOG_2PI + np.log(s2) + e * e / s2, axis=1)
        gradient = np.zeros((len(mu), p))
        hessian = np.zeros((len(mu), p, p))
        gradient[:, 0] = np.sum(e / s2, axis=1)
        gradient[:, 1] = 0.5 * np.sum(e * e / s2**2 - 1.0 / s2, axis=1)
        hessian[:, 0, 0] = -np.sum(1.0 / s2, axis=1)
        hessian[:, 0, 1] = hessian[:, 1, 0] = -np.sum(e / s2**2, axis=1)
        hessian[:, 1, 1] = np.sum(0.5 / s2**2 - e * e / s2**3, axis=1)
        return value, gradient, hessian


def maximise(
    target: Callable[[FloatArray], Derivatives],
    starts: FloatArray,
    *,
    lower: FloatArray,
    fixed: npt.NDArray[np.bool_],
    what: str,
) -> Optimum:
    """Climb from all starts at once by projected Newton steps; the best summit that is one.

    Parameters
    ----------
    target : callable
        On parameters of order one.
    starts : ndarray (S, P)
    lower : ndarray (P,)
        Lower bounds, -inf where there is none.
    fixed : ndarray (P,) of bool
        Parameters that stay where they start.
    what : str
        For the message.

    Raises
    ------
    ModelError
        When no start leads to a point with a vanishing gradient and a falling likelihood all around.
    """
    x = np.maximum(starts, lower)
    at = target(x)
    go = np.flatnonzero(np.isfinite(at.value))
    for _ in range(200):
        held = _held(x[go], at.gradient[go], lower, fixed)
        rising = np.max(np.where(held, 0.0, np.abs(at.gradient[go])), axis=1) >= 1e-10
        go, held = go[rising], held[rising]
        if not go.size:
            break
        step = _newton(at.gradient[go], at.hessian[go], held)
        moved = _climb(target, x[go], at.value[go], step, lower)
        gain = moved.value - at.value[go]
        # near the summit rounding hides the gain: then the step is taken as it is
        better = gain >= -1e-12 * (1.0 + np.abs(at.value[go]))
        better &= np.max(np.abs(moved.x - x[go]), axis=1) > 1e-15 * (1.0 + np.max(np.abs(x[go]), axis=1))
        go, step = go[better], step[better]
        x[go] = moved.x[better]
        for name in ("value", "gradient", "hessian"):
            getattr(at, name)[go] = getattr(moved, name)[better]
    return _summit(x, at, lower=lower, fixed=fixed, what=what)


@dataclass(frozen=True, slots=True)
class _Moved:
    x: FloatArray
    value: FloatArray
    gradient: FloatArray
    hessian: FloatArray


def _climb(
    target: Callable[[FloatArray], Derivatives],
    x: FloatArray,
    value: FloatArray,
    step: FloatArray,
    lower: FloatArray,
) -> _Moved:
    """Take the full step where it does not lose, else the best of eleven shorter ones."""
    moved = np.maximum(x + step, lower)
    at = target(moved)
    lost = np.flatnonzero(~(at.value >= value - 1e-12 * (1.0 + np.abs(value))))
    if lost.size:
        trials = np.maximum(x[lost] + _STEPS[:, None, None] * step[lost], lower)
        tried = target(trials.reshape(-1, x.shape[1])).value.reshape(len(_STEPS), -1)
        best = np.argmax(np.where(np.isfinite(tried), tried, -np.inf), axis=0)
        moved[lost] = trials[best, np.arange(lost.size)]
        again = target(moved[lost])
        for name in ("value", "gradient", "hessian"):
            getattr(at, name)[lost] = getattr(again, name)
    return _Moved(moved, at.value, at.gradient, at.hessian)


def _held(
    x: FloatArray, gradient: FloatArray, lower: FloatArray, fixed: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    return fixed | ((x <= lower) & (gradient <= 0.0))


def _newton(gradient: FloatArray, hessian: FloatArray, held: npt.NDArray[np.bool_]) -> FloatArray:
    """Newton steps with curvatures made negative and lengths of at most 2; held parameters do not move."""
    h = np.where(held[:, :, None] | held[:, None, :], 0.0, -hessian)
    h[:, np.arange(h.shape[1]), np.arange(h.shape[1])] += np.where(held, 1.0, 0.0)
    g = np.where(held, 0.0, gradient)
    values, vectors = np.linalg.eigh(h)
    values = np.maximum(np.abs(values), 1e-10 * np.max(np.abs(values), axis=1, keepdims=True))
    step: FloatArray = np.matvec(vectors, np.matvec(np.swapaxes(vectors, 1, 2), g) / values)
    step[held] = 0.0
    length = np.max(np.abs(step), axis=1, keepdims=True)
    step *= np.minimum(1.0, 2.0 / np.maximum(length, 1e-300))
    return step


def _summit(
    x: FloatArray,
    at: Derivatives,
    *,
    lower: FloatArray,
    fixed: npt.NDArray[np.bool_],
    what: str,
) -> Optimum:
    for i in np.argsort(np.where(np.isfinite(at.value), -at.value, np.inf), kind="stable"):
        if not np.isfinite(at.value[i]):
            break
        held = _held(x[i : i + 1], at.gradient[i : i + 1], lower, fixed)[0]
        free = ~held
        slope = np.abs(at.gradient[i][free])
        h = -at.hessian[i][np.ix_(free, free)]
        if slope.size and (np.max(slope) > 1e-6 or np.linalg.eigvalsh(h).min() <= 1e-9):
            continue
        cov = np.zeros_like(at.hessian[i])
        if slope.size:
            cov[np.ix_(free, free)] = np.linalg.inv(h)
        return Optimum(x[i], float(at.value[i]), cov, free)
    raise ModelError(
        f"the likelihood of {what} has no maximum that could be found: these effects do not identify it; "
        "use fewer steps, or a model without selection"
    )
