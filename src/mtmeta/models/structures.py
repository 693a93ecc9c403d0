"""Covariance of several outcomes between studies: its structures, the likelihood, the maximum.

All algebra is by cluster; clusters of one size are done together. No matrix of k x k is formed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from mtmeta.errors import ModelError

__all__ = [
    "STRUCTURES",
    "Clusters",
    "Evaluation",
    "Structure",
    "evaluate",
    "maximise",
    "number_of_parameters",
    "sharpen",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Structure = Literal["UN", "CS", "AR", "DIAG", "ID"]
STRUCTURES: tuple[str, ...] = get_args(Structure)

_STARTS = ((0.6, 0.0), (0.2, 0.5), (1.5, 0.5), (0.6, -0.3), (0.05, 0.0))  # standard deviation, correlation
_FLAT = 1e-9  # of the gradient per unit of the log-likelihood, beyond which Newton's steps go on


@dataclass(frozen=True, eq=False)
class Clusters:
    """Effects of several outcomes in independent clusters, scaled to variances near one.

    Attributes
    ----------
    y : ndarray (k,)
    x : ndarray (k, p)
    outcome : ndarray (k,)
        Place of each row's outcome among the q.
    groups : tuple of (rows (g, n), V (g, n, n))
        Clusters of each size and the covariance of their sampling errors.
    q : int
    """

    y: FloatArray
    x: FloatArray
    outcome: IntArray
    groups: tuple[tuple[IntArray, FloatArray], ...]
    q: int

    def gram(self) -> float:
        """Return ``log|X'X|``."""
        return float(np.linalg.slogdet(self.x.T @ self.x)[1])


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The likelihood at one covariance G of the outcomes, coefficients at their best.

    Attributes
    ----------
    value : float
    slope : ndarray (q, q)
        ``2 d value / dG``, elements taken one by one.
    beta, vcov : ndarray (p,), (p, p)
    projected : ndarray (k, p)
        ``M^-1 X``.
    residual : ndarray (k,)
    """

    value: float
    slope: FloatArray
    beta: FloatArray
    vcov: FloatArray
    projected: FloatArray
    residual: FloatArray


def evaluate(data: Clusters, G: FloatArray, restricted: bool) -> Evaluation:
    """Evaluate the (restricted) log-likelihood with all constants, and its slope in G.

    With M the covariance of a cluster, P the projection and r the residuals, the slope is
    ``sum Z'(M^-1 r r'M^-1 - P) Z`` over clusters, P replaced by ``M^-1`` without restriction.
    """
    k, p = data.x.shape
    information, right = np.zeros((p, p)), np.zeros(p)
    logs = 0.0
    inverses = []
    for rows, V in data.groups:
        o = data.outcome[rows]
        M = V + G[o[:, :, None], o[:, None, :]]
        inverse = np.linalg.inv(M)
        logs += float(np.linalg.slogdet(M)[1].sum())
        x = data.x[rows]
        mx = inverse @ x
        information += np.einsum("gnp,gnr->pr", x, mx)
        right += np.einsum("gnp,gn->p", mx, data.y[rows])
        inverses.append((rows, o, inverse, mx))
    vcov = np.linalg.inv(information)
    vcov = 0.5 * (vcov + vcov.T)
    beta = vcov @ right
    residual = data.y - data.x @ beta
    projected = np.empty((k, p))
    slope = np.zeros((data.q, data.q))
    quadratic = 0.0
    for rows, o, inverse, mx in inverses:
        r = residual[rows]
        mr = np.einsum("gnm,gm->gn", inverse, r)
        quadratic += float((r * mr).sum())
        projected[rows] = mx
        part = mr[:, :, None] * mr[:, None, :] - inverse
        if restricted:
            part = part + mx @ vcov @ mx.swapaxes(1, 2)
        np.add.at(slope, (o[:, :, None], o[:, None, :]), part)
    value = -0.5 * (k * math.log(2.0 * math.pi) + logs + quadratic)
    if restricted:
        size = float(np.linalg.slogdet(information)[1])
        value += 0.5 * (p * math.log(2.0 * math.pi) - size + data.gram())
    return Evaluation(value, slope, beta, vcov, projected, residual)


# structures ------------------------------------------------------------------------------------------------


def number_of_parameters(structure: str, q: int) -> int:
    """Return how many parameters a structure has for q outcomes."""
    if q == 1:
        return 1
    return {"UN": q * (q + 1) // 2, "CS": 2, "AR": 2, "DIAG": q, "ID": 1}[structure]


def _covariance(structure: str, q: int, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return G and its derivatives (number, q, q) at free parameters phi.

    UN: the Cholesky factor. CS: roots of the two eigenvalues, which allows every correlation from -1/(q - 1)
    to 1. AR: standard deviation and the inverse hyperbolic tangent of the correlation of neighbours.
    """
    if structure == "UN":
        at = np.tril_indices(q)
        L = np.zeros((q, q))
        L[at] = phi
        d = np.zeros((len(phi), q, q))
        for n, (i, j) in enumerate(zip(*at, strict=True)):
            d[n, i] += L[:, j]
            d[n, :, i] += L[:, j]
        return L @ L.T, d
    if structure == "DIAG":
        d = np.zeros((q, q, q))
        each = np.arange(q)
        d[each, each, each] = 2.0 * phi
        return np.diag(phi**2), d
    if structure == "ID" or q == 1:
        return phi[0] ** 2 * np.eye(q), 2.0 * phi[0] * np.eye(q)[None]
    if structure == "CS":
        mean = np.full((q, q), 1.0 / q)
        rest = np.eye(q) - mean
        return phi[0] ** 2 * mean + phi[1] ** 2 * rest, np.stack([2.0 * phi[0] * mean, 2.0 * phi[1] * rest])
    rho = math.tanh(float(phi[1]))
    lag = np.abs(np.subtract.outer(np.arange(q), np.arange(q))).astype(np.float64)
    R = rho**lag
    dR = np.where(lag > 0.0, lag * rho ** np.maximum(lag - 1.0, 0.0), 0.0) * (1.0 - rho * rho)
    return phi[0] ** 2 * R, np.stack([2.0 * phi[0] * R, phi[0] ** 2 * dR])


def _start(structure: str, q: int, sd: float, rho: float) -> FloatArray:
    if structure in ("ID", "DIAG") or q == 1:
        return np.full(number_of_parameters(structure, q), sd)
    if structure == "AR":
        return np.array([sd, math.atanh(rho)])
    low = max(rho, -0.9 / (q - 1))
    if structure == "CS":
        return np.array([sd * math.sqrt(1.0 + (q - 1) * low), sd * math.sqrt(1.0 - low)])
    L = np.linalg.cholesky(sd**2 * ((1.0 - low) * np.eye(q) + low))
    return np.asarray(L[np.tril_indices(q)])


def maximise(data: Clusters, structure: Structure, *, restricted: bool) -> tuple[FloatArray, Evaluation, int]:
    """Return the covariance at which the likelihood is highest, the likelihood there, and its parameters.

    Quasi-Newton iterations from several starts, the best of them sharpened by Newton's with differences of
    the exact gradient.

    Raises
    ------
    ModelError
        No start led to a point where the gradient vanishes.
    """

    def negative(phi: FloatArray) -> tuple[float, FloatArray]:
        G, d = _covariance(structure, data.q, phi)
        if not np.isfinite(G).all() or np.abs(G).max() > 1e12:
            return 1e100, np.zeros_like(phi)
        at = evaluate(data, G, restricted)
        return -at.value, -0.5 * np.einsum("nab,ab->n", d, at.slope)

    spread = float(np.sqrt(np.mean(np.square(data.y - data.x @ np.linalg.lstsq(data.x, data.y)[0]))))
    found = [
        minimize(negative, _start(structure, data.q, max(spread, 0.1) * sd, rho), jac=True, method="BFGS")
        for sd, rho in _STARTS
    ]
    best = min(found, key=lambda one: float(one.fun))
    phi, value, gradient = sharpen(negative, np.asarray(best.x))
    if np.abs(gradient).max() > 1e-5 * max(1.0, abs(value)):
        raise ModelError(
            f"the likelihood of the structure {structure!r} has no clear maximum: its gradient is still "
            f"{np.abs(gradient).max():.2g}; use a simpler structure"
        )
    G, _ = _covariance(structure, data.q, phi)
    return G, evaluate(data, G, restricted), number_of_parameters(structure, data.q)


def sharpen(
    f: Callable[[FloatArray], tuple[float, FloatArray]], phi: FloatArray
) -> tuple[FloatArray, float, FloatArray]:
    """Take Newton's steps for as long as they lower the gradient."""
    value, gradient = f(phi)
    for _ in range(20):
        if np.abs(gradient).max() <= _FLAT * max(1.0, abs(value)):
            break
        h = 1e-5 * np.maximum(np.abs(phi), 0.01)
        hessian = np.array([(f(phi + e)[1] - f(phi - e)[1]) / (2.0 * e.sum()) for e in np.diag(h)])
        values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
        use = values > 1e-9 * max(values.max(), 1e-300)  # flat directions, at a singular G, are left alone
        step = -(vectors[:, use] / values[use]) @ (vectors[:, use].T @ gradient)
        new_value, new_gradient = f(phi + step)
        if new_value > value + 1e-10 * max(1.0, abs(value)) or not (
            np.abs(new_gradient).max() < np.abs(gradient).max()
        ):
            break
        phi, value, gradient = phi + step, new_value, new_gradient
    return phi, value, gradient
