"""Profile-likelihood intervals of what describes the outcomes' covariance between studies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special
from scipy.optimize import brentq, minimize

from mtmeta.measures import Interval
from mtmeta.models.structures import Clusters, FloatArray, evaluate, sharpen

__all__ = ["Component", "components", "profile_interval"]

_STARTS = (0.0, 0.5, -0.5)  # correlations that the other components start from
_EDGE = 1e-9

# free parameters -> covariance and its derivatives
Covariance = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


class Component(NamedTuple):
    """One number of G: the variance of outcome `i` (`j` is None), or the correlation of `i` and `j`."""

    i: int
    j: int | None


def components(structure: str, q: int) -> list[Component]:
    """Return what a structure estimates: variances first, then correlations."""
    one = [Component(0, None)]
    if structure == "ID" or q == 1:
        return one
    if structure in ("CS", "AR"):
        return [*one, Component(0, 1)]
    variances = [Component(i, None) for i in range(q)]
    if structure == "DIAG":
        return variances
    return variances + [Component(i, j) for i in range(q) for j in range(i + 1, q)]


def profile_interval(
    data: Clusters,
    structure: str,
    G: FloatArray,
    component: Component,
    *,
    restricted: bool,
    best: float,
    level: float,
) -> Interval:
    """Return where twice the log-likelihood, the rest maximised, is within chi2(1) of its maximum `best`.

    Parameters
    ----------
    data : Clusters
    structure : str
    G : ndarray (q, q)
        Where the likelihood is highest.
    component : Component
    restricted : bool
    best : float
        The likelihood there.
    level : float

    Returns
    -------
    Interval
        A variance from 0 on; a correlation within what the structure allows, those ends included where the
        likelihood does not exclude them.
    """
    drop = 0.5 * float(special.chdtri(1, 1.0 - level))
    warm: list[FloatArray] = []

    def excess(value: float) -> float:
        covariance, size = _held(structure, data.q, component, value)
        reached, phi = _highest(data, covariance, _starts(structure, component, G, size, warm), restricted)
        warm[:] = [phi]
        return best - reached - drop

    if component.j is None:
        return _of_variance(excess, float(G[component.i, component.i]), float(np.square(data.y).mean()))
    return _of_correlation(excess, _correlation(G, component), _lowest(structure, data.q))


def _of_variance(excess: Callable[[float], float], centre: float, spread: float) -> Interval:
    def by_root(root: float) -> float:
        return excess(root * root)

    middle = math.sqrt(max(centre, 0.0))
    low = 0.0
    if middle > 0.0 and by_root(0.0) > 0.0:
        low = float(brentq(by_root, 0.0, middle, xtol=1e-10, rtol=1e-10)) ** 2
    inside, outside = middle, max(2.0 * middle, 0.1 * math.sqrt(spread))
    while by_root(outside) < 0.0:
        inside, outside = outside, 2.0 * outside
    return Interval(low, float(brentq(by_root, inside, outside, xtol=1e-10, rtol=1e-10)) ** 2)


def _of_correlation(excess: Callable[[float], float], centre: float, lowest: float) -> Interval:
    ends = []
    for end in (lowest, 1.0):
        if abs(end - centre) < _EDGE or excess(end) <= 0.0:
            ends.append(end)
        else:
            ends.append(float(brentq(excess, centre, end, xtol=1e-10, rtol=1e-10)))
    return Interval(*ends)


def _correlation(G: FloatArray, component: Component) -> float:
    i, j = component
    assert j is not None
    product = math.sqrt(float(G[i, i] * G[j, j]))
    return min(1.0, max(-1.0, float(G[i, j]) / product)) if product > 0.0 else 0.0


def _lowest(structure: str, q: int) -> float:
    return -1.0 / (q - 1) if structure == "CS" else -1.0


# covariances with one number held -------------------------------------------------------------------------


def _held(structure: str, q: int, component: Component, value: float) -> tuple[Covariance, int]:
    """Return G as a function of the other parameters, and how many those are."""
    if structure in ("ID", "DIAG") or q == 1:
        return _held_diagonal(structure, q, component, value)
    if structure == "UN":
        return _held_unstructured(q, component, value), q * (q + 1) // 2 - 1
    if component.j is None:
        return _held_level(structure, q, value), 1
    R, _ = _pattern(structure, q, value)

    def scaled(phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        return phi[0] ** 2 * R, 2.0 * phi[0] * R[None]

    return scaled, 1


def _held_diagonal(structure: str, q: int, component: Component, value: float) -> tuple[Covariance, int]:
    if structure == "ID" or q == 1:
        return lambda phi: (value * np.eye(q), np.empty((0, q, q))), 0
    others = [k for k in range(q) if k != component.i]

    def diagonal(phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        variances = np.insert(phi**2, component.i, value)
        d = np.zeros((q - 1, q, q))
        d[np.arange(q - 1), others, others] = 2.0 * phi
        return np.diag(variances), d

    return diagonal, q - 1


def _pattern(structure: str, q: int, rho: float) -> tuple[FloatArray, FloatArray]:
    """Return the correlation matrix of CS or AR and its derivative by rho."""
    lag = np.abs(np.subtract.outer(np.arange(q), np.arange(q))).astype(np.float64)
    if structure == "CS":
        lag = np.minimum(lag, 1.0)
    dR = np.where(lag > 0.0, lag * rho ** np.maximum(lag - 1.0, 0.0), 0.0)
    return np.where(lag > 0.0, rho**lag, 1.0), dR


def _held_level(structure: str, q: int, value: float) -> Covariance:
    """Variance held, the correlation free between its lowest value and 1."""
    low = _lowest(structure, q)

    def curve(phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        share = float(special.expit(phi[0]))
        R, dR = _pattern(structure, q, low + (1.0 - low) * share)
        return value * R, (value * (1.0 - low) * share * (1.0 - share) * dR)[None]

    return curve


def _lower(q: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(q) for j in range(i + 1)]


def _held_unstructured(q: int, component: Component, value: float) -> Covariance:
    """Cholesky factor of G with the held outcomes first; there they fix one number of it."""
    first = [component.i] if component.j is None else [component.i, component.j]
    order = np.array([*first, *(k for k in range(q) if k not in first)])
    back = np.argsort(order)
    sine = math.sqrt(max(0.0, 1.0 - value * value)) if component.j is not None else 0.0
    # places of the factor that follow each free number, and by how much; where a correlation is held, both
    # standard deviations are squares, as a negative one would turn its sign
    places: list[list[tuple[int, int, float]]] = []
    squared: list[bool] = []
    for i, j in _lower(q):
        if (i, j) == ((0, 0) if component.j is None else (1, 0)):
            continue
        both = component.j is not None and (i, j) == (1, 1)
        places.append([(1, 0, value), (1, 1, sine)] if both else [(i, j, 1.0)])
        squared.append(component.j is not None and (i, j) in ((0, 0), (1, 1)))
    square = np.array(squared)

    def factor(phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        L = np.zeros((q, q))
        if component.j is None:
            L[0, 0] = math.sqrt(value)
        for number, where in zip(np.where(square, phi * phi, phi), places, strict=True):
            for i, j, share in where:
                L[i, j] = share * number
        d = np.zeros((len(places), q, q))
        for n, where in enumerate(places):
            for i, j, share in where:
                d[n, i] += share * L[:, j]
                d[n, :, i] += share * L[:, j]
        d *= np.where(square, 2.0 * phi, 1.0)[:, None, None]
        return (L @ L.T)[np.ix_(back, back)], d[:, back][:, :, back]

    return factor


# maxima ---------------------------------------------------------------------------------------------------


def _starts(
    structure: str, component: Component, G: FloatArray, size: int, warm: list[FloatArray]
) -> list[FloatArray]:
    """Return where to begin: at the last maximum, and at G's standard deviations with some correlations."""
    q = len(G)
    sd = np.sqrt(np.maximum(np.diag(G), 1e-3 * max(float(np.diag(G).max()), 1e-12)))
    if size == 0:
        return [np.empty(0)]
    if structure == "DIAG":
        cold = [np.delete(sd, component.i)]
    elif structure != "UN":
        low = _lowest(structure, q)
        cold = (
            [np.array([sd[0]])]
            if component.j is not None
            else [np.array([special.logit((max(r, low + 0.05) - low) / (1.0 - low))]) for r in _STARTS]
        )
    else:
        first = [component.i] if component.j is None else [component.i, component.j]
        order = [*first, *(k for k in range(q) if k not in first)]
        cold = [_factor_start(sd[order], r, component) for r in _STARTS]
    return [*warm, *cold]


def _factor_start(sd: FloatArray, rho: float, component: Component) -> FloatArray:
    q = len(sd)
    low = max(rho, -0.9 / (q - 1))
    L = np.linalg.cholesky(np.outer(sd, sd) * ((1.0 - low) * np.eye(q) + low))
    start = []
    for i, j in _lower(q):
        if component.j is None:
            start += [] if (i, j) == (0, 0) else [L[i, j]]
        elif (i, j) in ((0, 0), (1, 1)):
            start.append(math.sqrt(sd[i]))
        elif (i, j) != (1, 0):
            start.append(L[i, j])
    return np.array(start)


def _highest(
    data: Clusters, covariance: Covariance, starts: list[FloatArray], restricted: bool
) -> tuple[float, FloatArray]:
    """Return the likelihood's maximum over the free parameters, and where it is."""

    def negative(phi: FloatArray) -> tuple[float, FloatArray]:
        G, d = covariance(phi)
        if not np.isfinite(G).all() or np.abs(G).max() > 1e12:
            return 1e100, np.zeros_like(phi)
        at = evaluate(data, G, restricted)
        return -at.value, -0.5 * np.einsum("nab,ab->n", d, at.slope)

    if len(starts[0]) == 0:
        return -negative(starts[0])[0], starts[0]
    found = [minimize(negative, start, jac=True, method="BFGS") for start in starts]
    best = min(found, key=lambda one: float(one.fun))
    phi, value, _ = sharpen(negative, np.asarray(best.x))
    return -value, phi
