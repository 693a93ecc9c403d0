"""Adaptive quadrature of a positive function whose logarithm is smooth between known edges.

A panel holds the function at 16 Gauss-Legendre points. Its Legendre coefficients tell whether the panel is
fine enough: the last ones bound the error of the interpolating polynomial, and the Gauss rule, exact to
degree 31, is better still. The resolved function is an object: integrals of any smooth factor, the
cumulative integral at any point, and its inverse all come from the same nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev, legendre

from mtmeta.errors import ModelError

__all__ = ["Panels", "resolve"]

FloatArray = npt.NDArray[np.float64]
LogFunction = Callable[[FloatArray], FloatArray]

_N = 16
_NODES, _WEIGHTS = legendre.leggauss(_N)
_P = legendre.legvander(_NODES, _N)  # (node, degree)
# values at the nodes to Legendre coefficients 0 .. 15
_TO_COEF = (_P[:, :_N] * _WEIGHTS[:, None]) * (2.0 * np.arange(_N) + 1.0) / 2.0
_DEGREES = np.arange(_N + 1.0)
_SIGNS = (-1.0) ** np.arange(_N)
_LIMIT = 3000  # panels; a smooth integrand takes some dozen
_ROUNDS = 60
_GOAL = 1e-13  # of the total, a panel
_ACCEPT = 1e-9  # of the total, all panels; beyond it nothing is vouched for
_CUTS = {parts: np.linspace(0.0, 1.0, parts + 1) for parts in (2, 4)}
_CLIMB = 2.0  # log units between neighbours beyond which a local maximum is not seen well enough


def _maps() -> tuple[FloatArray, FloatArray]:
    """Values at the nodes to Chebyshev coefficients of the polynomial, and of its integral from -1."""
    value, integral = np.zeros((_N, _N + 1)), np.zeros((_N, _N + 1))
    # a polynomial of degree 16 through the 17 Chebyshev points is itself
    points = np.cos(np.pi * (np.arange(_N + 1) + 0.5) / (_N + 1))
    to_series = np.linalg.inv(chebyshev.chebvander(points, _N))
    for n in range(_N):
        unit = np.zeros(n + 1)
        unit[n] = 1.0
        value[n] = to_series @ legendre.legval(points, unit)
        integral[n] = to_series @ legendre.legval(points, legendre.legint(unit, lbnd=-1))
    return _TO_COEF @ value, _TO_COEF @ integral


_TO_VALUE, _TO_INTEGRAL = _maps()


def _basis(x: FloatArray) -> FloatArray:
    """Chebyshev polynomials 0 .. 16 at points of [-1, 1], (n, 17)."""
    return np.asarray(np.cos(np.arccos(np.minimum(np.maximum(x, -1.0), 1.0))[:, None] * _DEGREES))


_STEPS = _basis(np.linspace(-1.0, 1.0, _N + 1)).T  # from a series to values at 17 even points


@dataclass(frozen=True, eq=False)
class Panels:
    """A positive function on [left[0], right[-1]], known to about 1e-12 of its integral.

    Attributes
    ----------
    left, right : ndarray (P,)
        Ends of the panels, in ascending order without gaps.
    nodes, values : ndarray (P, 16)
        Gauss-Legendre points and the function there, divided by ``exp(top)``.
    top : float
        Logarithm of the scale.
    error : float
        Bound of the relative error of the integral.
    """

    left: FloatArray
    right: FloatArray
    nodes: FloatArray
    values: FloatArray
    top: float
    error: float

    @cached_property
    def weights(self) -> FloatArray:
        """Share of every node in the integral, (P, 16), summing to 1."""
        raw = self.values * _WEIGHTS * (0.5 * (self.right - self.left))[:, None]
        return np.asarray(raw / raw.sum())

    @cached_property
    def log_integral(self) -> float:
        """Logarithm of the integral."""
        raw = self.values * _WEIGHTS * (0.5 * (self.right - self.left))[:, None]
        return self.top + math.log(float(raw.sum()))

    @cached_property
    def _mass(self) -> FloatArray:
        return np.asarray(self.weights.sum(axis=1))

    @cached_property
    def _series(self) -> tuple[FloatArray, FloatArray]:
        """Chebyshev coefficients by panel of the density and of its integral, as shares."""
        shares = self.values * math.exp(self.top - self.log_integral)
        return shares @ _TO_VALUE, (0.5 * (self.right - self.left))[:, None] * (shares @ _TO_INTEGRAL)

    @cached_property
    def _below(self) -> FloatArray:
        """Share of the integral below each panel, and 1 at the end, (P + 1,)."""
        return np.concatenate([[0.0], np.cumsum(self._mass)])

    @cached_property
    def _above(self) -> FloatArray:
        """Share of the integral above each edge, (P + 1,), summed from above."""
        return np.concatenate([np.cumsum(self._mass[::-1])[::-1], [0.0]])

    def _part(self, panel: npt.NDArray[np.intp], z: FloatArray) -> FloatArray:
        """Share of the integral from the left end of a panel to a point in it."""
        basis = _basis(2.0 * (z - self.left[panel]) / (self.right[panel] - self.left[panel]) - 1.0)
        part = np.einsum("ij,ij->i", basis, self._series[1][panel])
        return np.asarray(np.clip(part, 0.0, self._mass[panel]))

    def share_below(self, z: FloatArray) -> FloatArray:
        """Share of the integral below each point."""
        panel = np.clip(np.searchsorted(self.left, z, side="right") - 1, 0, self.left.size - 1)
        return np.minimum(self._below[panel] + self._part(panel, z), 1.0)

    def share_above(self, z: FloatArray) -> FloatArray:
        """Share of the integral above each point; relative accuracy goes down to panel by panel."""
        panel = np.clip(np.searchsorted(self.left, z, side="right") - 1, 0, self.left.size - 1)
        return np.maximum(self._above[panel + 1] + (self._mass[panel] - self._part(panel, z)), 0.0)

    def invert(self, below: FloatArray, above: FloatArray) -> FloatArray:
        """Points below which the first shares of the integral lie, then points above which the others do."""
        last = self.left.size - 1
        lower = np.clip(np.searchsorted(self._below, below, side="right") - 1, 0, last)
        upper = np.clip(np.searchsorted(-self._above, -above, side="left") - 1, 0, last)
        panel = np.concatenate([lower, upper])
        mass, left, width = self._mass[panel], self.left[panel], self.right[panel] - self.left[panel]
        want = np.concatenate(
            [below - self._below[lower], self._mass[upper] - (above - self._above[upper + 1])]
        )
        want = np.minimum(np.maximum(want, 0.0), mass)
        density, integral = self._series[0][panel] * width[:, None], self._series[1][panel]
        # u in [0, 1] within the panel, first from a straight line between two of 17 points
        low, high = np.zeros_like(want), np.ones_like(want)
        steps = integral @ _STEPS
        at = np.minimum((steps[:, 1:] <= want[:, None]).sum(axis=1), _N - 1)
        every = np.arange(want.size)
        start = steps[every, at]
        rise = steps[every, at + 1] - start
        share = np.divide(want - start, rise, out=np.full_like(want, 0.5), where=rise > 0.0)
        u = (at + np.minimum(np.maximum(share, 0.0), 1.0)) / _N
        with np.errstate(divide="ignore", invalid="ignore"):
            for _ in range(80):
                basis = _basis(2.0 * u - 1.0)
                gap = np.vecdot(basis, integral) - want
                new = u - gap / np.vecdot(basis, density)
                over = gap > 0.0
                high, low = np.where(over, u, high), np.where(over, low, u)
                inside = (new >= low) & (new <= high)
                new = np.where(inside, new, 0.5 * (low + high))
                # the step after a gap of 1e-9 of the panel leaves about its square
                done = inside & (np.abs(gap) <= 1e-9 * mass) | (high - low <= 1e-15) | (mass <= 0.0)
                u = new
                if np.count_nonzero(done) == done.size:
                    break
        return np.asarray(left + width * u)


def _spread(left: FloatArray, right: FloatArray) -> FloatArray:
    return 0.5 * (left + right)[:, None] + 0.5 * (right - left)[:, None] * _NODES


def _peaks(h: FloatArray, top: float) -> npt.NDArray[np.bool_]:
    """Panels that hold a local maximum which might stand higher than any point shows, (P,)."""
    flat = h.ravel()
    with np.errstate(invalid="ignore"):
        steps = flat[1:] - flat[:-1]
    tops = np.empty(flat.size, dtype=bool)
    tops[0], tops[1:] = True, steps >= 0.0
    tops[:-1] &= steps <= 0.0
    peak = np.zeros(flat.size, dtype=bool)
    for i in tops.nonzero()[0].tolist():  # few, whatever the size
        fall = 0.0
        if i and math.isfinite(steps[i - 1]):
            fall = float(steps[i - 1])
        if i < steps.size and math.isfinite(steps[i]):
            fall = max(fall, -float(steps[i]))
        peak[i] = fall > _CLIMB and flat[i] + 4.0 * fall > top - 40.0
    found = peak.reshape(h.shape)
    flags = np.asarray(np.any(found, axis=1))
    # the maximum may lie beyond the first or last point of its panel
    flags[:-1] |= found[1:, 0]
    flags[1:] |= found[:-1, -1]
    return np.asarray(flags)


def _jumps(coef: FloatArray, width: FloatArray, tolerance: float) -> npt.NDArray[np.bool_]:
    """Panels whose polynomials do not meet those of their neighbours: one of them has missed something."""
    start, end = coef @ _SIGNS, coef.sum(axis=1)
    lost = np.abs(end[:-1] - start[1:]) * np.minimum(width[:-1], width[1:])
    flags = np.zeros(width.size, dtype=bool)
    # what is wide has missed it
    apart = lost > tolerance
    flags[1:] |= apart & (width[1:] >= width[:-1])
    flags[:-1] |= apart & (width[1:] <= width[:-1])
    return flags


def resolve(log_function: LogFunction, edges: FloatArray, *, what: str) -> Panels:
    """Resolve a function given by its logarithm between the first and the last edge.

    Parameters
    ----------
    log_function : callable
        Takes (n,), gives the logarithm (n,), -inf allowed; smooth between neighbouring edges.
    edges : ndarray (P + 1,)
        Ascending, a first partition: its panels of 16 points show where the function lives.
    what : str
        Name of the function, for errors.

    Returns
    -------
    Panels

    Raises
    ------
    ModelError
        The integral cannot be brought below a relative error of 1e-9, or there is nothing to integrate.
    """
    left, right = edges[:-1], edges[1:]
    nodes = _spread(left, right)
    h = log_function(nodes.ravel()).reshape(nodes.shape)
    sharp = True
    for _ in range(_ROUNDS):
        top = float(h.max())
        if not math.isfinite(top):
            raise ModelError(f"{what} is nowhere above 0 in the range of numbers: look at data and priors")
        values = np.exp(h - top)
        width = right - left
        total = 0.5 * float(width @ (values @ _WEIGHTS))
        coef = values @ _TO_COEF
        errors = width * np.abs(coef[:, -2:]).sum(axis=1)
        peaks = _peaks(h, top)
        sharp = bool(peaks.any())
        coarse = errors > _GOAL * total
        coarse |= peaks
        coarse |= _jumps(coef, width, 10.0 * _GOAL * total)
        relative = float(errors.sum()) / total
        if not coarse.any() or left.size > _LIMIT:
            break
        parts = 4 if bool(np.any(errors[coarse] > 1e-4 * total)) else 2
        ends = left[coarse, None] + width[coarse, None] * _CUTS[parts]
        ends[:, -1] = right[coarse]
        new_left, new_right = ends[:, :-1].ravel(), ends[:, 1:].ravel()
        if not bool(np.all(new_left < new_right)):
            break
        new_nodes = _spread(new_left, new_right)
        new_h = log_function(new_nodes.ravel()).reshape(new_nodes.shape)
        left, right = np.concatenate([left[~coarse], new_left]), np.concatenate([right[~coarse], new_right])
        order = np.argsort(left)
        left, right = left[order], right[order]
        nodes = np.concatenate([nodes[~coarse], new_nodes])[order]
        h = np.concatenate([h[~coarse], new_h])[order]
    else:
        sharp = True  # what was cut last was not looked at
    if sharp or not relative <= _ACCEPT:
        raise ModelError(
            f"{what} could not be integrated to nine digits (reached {relative:.1e} with {left.size} "
            "panels): the prior and the data contradict each other too sharply, or a prior is a spike"
        )
    return Panels(left, right, nodes, values, top, relative)
