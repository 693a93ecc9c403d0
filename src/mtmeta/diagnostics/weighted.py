r"""Likelihood of effects seen through a weight function of their p-values, and its maximum.

Weight functions have the form :math:`w(p)=\exp(\sum_m\theta_m L_m(p))`: steps (L are indicators, theta the
log weights), beta (log p and log(1 - p)), half-normal (-p²), negative exponential (-p), power (log(1 - p));
or, for the logistic one, :math:`w(p)=2/(1+\exp(-\theta L(p)))` with L = -p. Study i adds

.. math:: \log w(p_i)+\log N(y_i;\mu,v_i+\tau^2)-\log\sum_n w(p_n)K_{in}(\mu,\tau^2),

where K are the probabilities of the p intervals, or quadrature weights times the density of y where z = y/s
has a node. Value, gradient and Hessian are exact; many starting points are followed at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.errors import ModelError

__all__ = [
    "Derivatives",
    "Kernel",
    "Optimum",
    "Parts",
    "Weighted",
    "cells",
    "contract",
    "maximise",
    "nodes",
    "pieces",
]

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


Parts = tuple[FloatArray, ...]
"""Sums over cells or nodes, (S, k, columns) each: of the probabilities, and of their derivatives by mu, tau2,
mu², mu tau2 and tau2²; the probabilities alone where only a value is asked for."""


class Kernel(Protocol):
    """Sums of the probabilities of cells or nodes, times columns of weights."""

    def __call__(
        self, mu: FloatArray, s2: FloatArray, columns: FloatArray, counts: tuple[int, int, int]
    ) -> Parts:
        """Sum at means and variances (S, k) with columns (S, N, C).

        The first so many columns are summed for the probabilities, the first and the second derivatives;
        counts of 0 for the derivatives leave them out.
        """


def _bell(u: FloatArray) -> FloatArray:
    out: FloatArray = np.exp(-0.5 * u * u - 0.5 * _LOG_2PI)
    return out


def pieces(cuts: FloatArray, mu: FloatArray, s2: FloatArray, *, derivatives: bool) -> Parts:
    """Return probabilities of the cells between falling cut points, and their derivatives.

    Parameters
    ----------
    cuts : ndarray (k, J)
        Cut points of y, falling along the second axis.
    mu : ndarray (S, k) or (S, 1)
    s2 : ndarray (S, k)
        ``v + tau2``.
    derivatives : bool

    Returns
    -------
    tuple of six ndarrays (S, k, J + 1), or of one
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
    if not derivatives:
        return (probability,)
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
    rest = (np.diff(np.concatenate([zero, part, zero], axis=2), axis=2) for part in parts)
    return (probability, *rest)


def cells(
    cuts: FloatArray, mu: FloatArray, s2: FloatArray, columns: FloatArray, counts: tuple[int, int, int]
) -> Parts:
    """Sum over the cells between falling cut points: a :class:`Kernel` with the cut points (k, J) given."""
    return contract(pieces(cuts, mu, s2, derivatives=counts[1] > 0), columns, counts)


def contract(parts: Parts, columns: FloatArray, counts: tuple[int, int, int]) -> Parts:
    """Sum parts (S, k, N) with the columns wanted."""
    wanted = (counts[0], counts[1], counts[1], counts[2], counts[2], counts[2])
    return tuple(part @ columns[:, :, :n] for part, n in zip(parts, wanted, strict=False))


def nodes(
    root: FloatArray,
    z: FloatArray,
    weight: FloatArray,
    mu: FloatArray,
    s2: FloatArray,
    columns: FloatArray,
    counts: tuple[int, int, int],
) -> Parts:
    r"""Sum over a quadrature of the density of y in z = y/root, and over both tails beyond the outer nodes.

    With :math:`r=(z\,\mathrm{root}-\mu)/s` every derivative of the normal density is that density times a
    polynomial in r, so that the sums of density times :math:`1, r, \dots, r^4` give them all.

    Parameters
    ----------
    root : ndarray (k,)
        Standard errors.
    z, weight : ndarray (N,)
        Nodes and weights of a rule on ``[-limit, limit]``; the first and the last node are those limits,
        whose cells are the tails.
    mu, s2, columns, counts
        As in :class:`Kernel`.
    """
    s2_ = s2[:, :, None]
    s = np.sqrt(s2_)
    r = root[:, None] * z[1:-1]
    r = (r - mu[:, :, None]) / s
    density = np.exp(-0.5 * r * r)
    density *= (root * weight.max() / math.sqrt(2.0 * math.pi))[:, None] / s
    inner = columns[:, 1:-1] * (weight[1:-1] / weight.max())[:, None]
    tails = pieces(np.stack([root * z[-1], root * z[0]], axis=1), mu, s2, derivatives=counts[1] > 0)
    outer = contract(
        tuple(tail[:, :, ::2] for tail in tails), np.stack([columns[:, -1], columns[:, 0]], axis=1), counts
    )
    powers = [density @ inner[:, :, : counts[0]]]
    if counts[1] == 0:
        return (powers[0] + outer[0],)
    for n in (counts[1], counts[1], counts[2], counts[2]):
        density *= r
        powers.append(density @ inner[:, :, :n])
    two = counts[2]
    d0, d1, d2, d3, d4 = powers
    parts = (
        d0,
        d1 / s,
        0.5 * (d2 - d0[:, :, : counts[1]]) / s2_,
        (d2[:, :, :two] - d0[:, :, :two]) / s2_,
        (0.5 * d3 - 1.5 * d1[:, :, :two]) / (s2_ * s),
        (0.25 * d4 - 1.5 * d2[:, :, :two] + 0.75 * d0[:, :, :two]) / (s2_ * s2_),
    )
    return tuple(part + tail for part, tail in zip(parts, outer, strict=True))


@dataclass(frozen=True, slots=True)
class Weighted:
    """A likelihood; parameters are the coefficients of the mean, tau2, theta_1 ... theta_M.

    Attributes
    ----------
    yi, vi : ndarray (k,)
    kernel : Kernel
    basis : ndarray (M, N)
        L of the cells or nodes.
    observed : ndarray (k, M)
        L of the observed p-values.
    own : ndarray (k,) of int, optional
        Condition each study on its own cell instead of weighting (p-uniform*); M is 0 then.
    design : ndarray (k, p), optional
        Columns of the mean; None is an intercept alone.
    logistic : bool
        Whether the weight is logistic in theta L (one row of `basis`) instead of its exponential.
    """

    yi: FloatArray
    vi: FloatArray
    kernel: Kernel
    basis: FloatArray
    observed: FloatArray
    own: IntArray | None = None
    design: FloatArray | None = None
    logistic: bool = False

    @property
    def p(self) -> int:
        """Number of coefficients of the mean."""
        return 1 if self.design is None else self.design.shape[1]

    def value(self, x: FloatArray) -> FloatArray:
        """Log-likelihood at S points, without derivatives."""
        mu, s2, theta = self._unpack(x)
        e = self.yi - mu
        value: FloatArray = -0.5 * np.sum(_LOG_2PI + np.log(s2) + e * e / s2, axis=1)
        columns, top = self._columns(theta, derivatives=False)
        parts = self._parts(mu, s2, columns, (1, 0, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            value -= np.sum(np.log(parts[0][:, :, 0]), axis=1) + len(self.yi) * top
        value += self._logs(theta, self.observed.T)[0].sum(axis=1)
        return value

    def scores(self, x: FloatArray) -> FloatArray:
        """Return what each study adds to the gradient at one point (P,): (k, P)."""
        slope: FloatArray = self._local(x[None])[1][0]
        if self.design is None:
            return slope
        return np.concatenate([slope[:, :1] * self.design, slope[:, 1:]], axis=1)

    def __call__(self, x: FloatArray) -> Derivatives:
        """Evaluate at S points, (S, p + 1 + M)."""
        local = self._local(x)
        m, p, X = self.basis.shape[0], self.p, self.design
        if X is None:
            return Derivatives(*(part.sum(axis=1) for part in local))
        value, slope, curve = local
        gradient = np.concatenate([slope[:, :, 0] @ X, slope[:, :, 1:].sum(axis=1)], axis=1)
        hessian = np.empty((len(x), p + 1 + m, p + 1 + m))
        hessian[:, :p, :p] = np.einsum("sk,ka,kb->sab", curve[:, :, 0, 0], X, X)
        cross = np.einsum("skm,ka->sam", curve[:, :, 0, 1:], X)
        hessian[:, :p, p:], hessian[:, p:, :p] = cross, np.swapaxes(cross, 1, 2)
        hessian[:, p:, p:] = curve[:, :, 1:, 1:].sum(axis=1)
        return Derivatives(value.sum(axis=1), gradient, hessian)

    def _unpack(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        p = self.p
        mu = x[:, :1] if self.design is None else x[:, :p] @ self.design.T
        return mu, self.vi + x[:, p : p + 1], x[:, p + 1 :]

    def _logs(self, theta: FloatArray, L: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return log weights at L (M, N) with their derivatives by theta: (S, N), (S, N, M), (S, N, M, M)."""
        m = len(L)
        if not self.logistic:
            return theta @ L, L.T[None], np.zeros((1, 1, m, m))
        at = theta @ L
        rest = special.expit(-at)[:, :, None]
        slope = L.T * rest
        bend = -slope * (L.T * (1.0 - rest))
        return math.log(2.0) + special.log_expit(at), slope, bend[:, :, :, None]

    def _columns(self, theta: FloatArray, *, derivatives: bool) -> tuple[FloatArray, FloatArray]:
        """Return weights over their largest, times 1, L and L L' (S, N, C), and the log of the largest."""
        if self.own is not None:
            return np.eye(int(self.own.max()) + 1)[None], np.zeros(len(theta))
        log_w, slope, bend = self._logs(theta, self.basis)
        top = log_w.max(axis=1)
        w = np.exp(log_w - top[:, None])[:, :, None]
        if not derivatives:
            return w, top
        first = w * slope
        m = len(self.basis)
        curved = first[:, :, :, None] * slope[:, :, None, :]
        if self.logistic:
            curved += w[:, :, :, None] * bend
        second = curved.reshape(len(theta), -1, m * m)
        return np.concatenate([w, first, second], axis=2), top

    def _parts(
        self, mu: FloatArray, s2: FloatArray, columns: FloatArray, counts: tuple[int, int, int]
    ) -> Parts:
        if self.own is None:
            return self.kernel(mu, s2, columns, counts)
        n = columns.shape[2]
        pick = np.broadcast_to(self.own[None, :, None], (*s2.shape, 1))
        parts = self.kernel(mu, s2, columns, (n, n, n) if counts[1] else (n, 0, 0))
        return tuple(np.take_along_axis(part, pick, axis=2) for part in parts)

    def _local(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Each study's value (S, k), gradient and Hessian by its own mean, tau2 and theta."""
        m = self.basis.shape[0]
        mu, s2, theta = self._unpack(x)
        columns, top = self._columns(theta, derivatives=True)
        a, by_mu, by_t, mm, mt, tt = self._parts(mu, s2, columns, (1 + m + m * m, 1 + m, 1))
        total = a[:, :, 0]
        value, slope, curve = self._density(mu, s2)
        seen, rise, turn = self._logs(theta, self.observed.T)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value += seen - np.log(total) - top[:, None]
            ours = np.concatenate([by_mu[:, :, :1], by_t[:, :, :1], a[:, :, 1 : 1 + m]], axis=2)
            ours /= total[:, :, None]
            bent = np.empty((*total.shape, 2 + m, 2 + m))
            bent[:, :, 0, 0], bent[:, :, 1, 1] = mm[:, :, 0], tt[:, :, 0]
            bent[:, :, 0, 1] = bent[:, :, 1, 0] = mt[:, :, 0]
            bent[:, :, 0, 2:] = bent[:, :, 2:, 0] = by_mu[:, :, 1:]
            bent[:, :, 1, 2:] = bent[:, :, 2:, 1] = by_t[:, :, 1:]
            bent[:, :, 2:, 2:] = a[:, :, 1 + m :].reshape(*total.shape, m, m)
            bent /= total[:, :, None, None]
        slope[:, :, 2:] += rise
        curve[:, :, 2:, 2:] += turn
        curve -= bent - ours[:, :, :, None] * ours[:, :, None, :]
        return value, slope - ours, curve

    def _density(self, mu: FloatArray, s2: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the normal log-density of the effects with its derivatives by mean and tau2."""
        q = 2 + self.basis.shape[0]
        e, one = self.yi - mu, 1.0 / s2
        pull = e * one
        value = -0.5 * (_LOG_2PI + np.log(s2) + e * pull)
        slope, curve = np.zeros((*s2.shape, q)), np.zeros((*s2.shape, q, q))
        slope[:, :, 0] = pull
        slope[:, :, 1] = 0.5 * (pull * pull - one)
        curve[:, :, 0, 0] = -one
        curve[:, :, 0, 1] = curve[:, :, 1, 0] = -pull * one
        curve[:, :, 1, 1] = (0.5 * one - pull * pull) * one
        return value, slope, curve


def maximise(
    target: Weighted,
    starts: FloatArray,
    *,
    lower: FloatArray,
    fixed: npt.NDArray[np.bool_],
    what: str,
) -> Optimum:
    """Climb from all starts at once by projected Newton steps; the best summit that is one.

    Parameters
    ----------
    target : Weighted
        With parameters of order one.
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
    target: Weighted,
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
        tried = target.value(trials.reshape(-1, x.shape[1])).reshape(len(_STEPS), -1)
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
