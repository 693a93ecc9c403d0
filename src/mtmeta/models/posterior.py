"""Posterior distributions as objects: density, probabilities, quantiles, moments, intervals."""
# ruff: noqa: D102 - members that override a documented one are described there

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, check_choice, check_level
from mtmeta.models.posterior_panels import Panels, resolve
from mtmeta.models.priors_base import FloatArray

__all__ = [
    "CiKind",
    "Distribution",
    "NormalMixture",
    "Tabulated",
    "central_intervals",
    "climb",
    "far_moments",
    "mixture_quantiles",
    "tabulate",
]

CiKind = Literal["central", "shortest"]
_KINDS = ("central", "shortest")
_CHUNK = 1 << 20
_ROUNDS = 400
_CLIMBS = 100
_NINE, _SEVENTEEN = np.linspace(-1.0, 1.0, 9), np.linspace(0.0, 1.0, 17)
_LOG_2PI = math.log(2.0 * math.pi)


class Distribution(ABC):
    """A distribution on the real line, of one quantity. Immutable.

    Functions take numbers or arrays and give the same shape back.

    Examples
    --------
    >>> d = NormalMixture(np.ones(1), np.zeros(1), np.ones(1))
    >>> d.ci(0.95)
    Interval(low=-1.959963984540..., high=1.959963984540...)
    >>> round(d.prob(low=1.6448536269514722), 12)
    0.05
    """

    # -- what each kind defines on flat arrays --------------------------------------------------------
    @abstractmethod
    def _log_pdf(self, x: FloatArray) -> FloatArray: ...
    @abstractmethod
    def _cdf(self, x: FloatArray) -> FloatArray: ...
    @abstractmethod
    def _sf(self, x: FloatArray) -> FloatArray: ...
    @abstractmethod
    def _quantile(self, p: FloatArray) -> FloatArray: ...
    @abstractmethod
    def _upper(self, q: FloatArray) -> FloatArray:
        """Value above which the probability is q."""

    @property
    @abstractmethod
    def mean(self) -> float:
        """Expectation; inf or nan where it does not exist."""

    @property
    @abstractmethod
    def sd(self) -> float:
        """Standard deviation; inf where it does not exist."""

    @property
    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Lowest and highest possible value."""

    # -- what everybody asks ----------------------------------------------------------------------------
    def pdf(self, x: npt.ArrayLike) -> Any:
        """Density."""
        with np.errstate(over="ignore", under="ignore"):
            return _shaped(lambda v: np.exp(self._log_pdf(v)), x)

    def logpdf(self, x: npt.ArrayLike) -> Any:
        """Logarithm of the density."""
        return _shaped(self._log_pdf, x)

    def cdf(self, x: npt.ArrayLike) -> Any:
        """Probability of a value up to `x`."""
        return _shaped(self._cdf, x)

    def sf(self, x: npt.ArrayLike) -> Any:
        """Probability of a value above `x`."""
        return _shaped(self._sf, x)

    def quantile(self, p: npt.ArrayLike) -> Any:
        """Value below which the probability is `p`, 0 <= p <= 1.

        Raises
        ------
        UsageError
            Not a probability.
        """
        q = np.asarray(p, dtype=np.float64)
        if not bool(np.all((q >= 0.0) & (q <= 1.0))):
            raise UsageError("probabilities must lie between 0 and 1")
        return _shaped(self._any_quantile, q)

    def _any_quantile(self, p: FloatArray) -> FloatArray:
        low, high = self.support
        out = np.where(p == 0.0, low, high)
        lower, upper = (p > 0.0) & (p <= 0.5), (p > 0.5) & (p < 1.0)
        if lower.any():
            out[lower] = self._quantile(p[lower])
        if upper.any():
            out[upper] = self._upper(1.0 - p[upper])
        return out

    def prob(self, low: float = -math.inf, high: float = math.inf) -> float:
        """Probability of a value between `low` and `high`."""
        if not low <= high:
            raise UsageError(f"low={low!r} must not be above high={high!r}")
        if low == -math.inf:
            return float(self.cdf(high)) if high < math.inf else 1.0
        if high == math.inf:
            return float(self.sf(low))
        below, above = float(self.cdf(low)), float(self.sf(high))
        if below > 0.5:
            return max(float(self.sf(low)) - above, 0.0)
        if above > 0.5:
            return max(float(self.cdf(high)) - below, 0.0)
        return max(1.0 - below - above, 0.0)

    @cached_property
    def median(self) -> float:
        """Value with probability one half on either side."""
        return float(self._quantile(np.array([0.5]))[0])

    @cached_property
    def mode(self) -> float:
        """Value of the highest density; 0 where a density of a heterogeneity has no bound at 0."""
        return self._find_mode()

    def ci(self, level: float = 0.95, kind: CiKind = "central") -> Interval:
        """Return a credible interval.

        Parameters
        ----------
        level : float in (0, 1)
        kind : {"central", "shortest"}
            Equal tails, or the shortest interval of that probability (bayesmeta's default).
        """
        check_level(level)
        if check_choice("kind", kind, _KINDS) == "shortest":
            return self._shortest(level)
        tail = 0.5 * (1.0 - level)
        # the median comes with the interval for little more than nothing
        low, median, high = self._both(np.array([tail, 0.5]), np.array([tail]))
        self.__dict__.setdefault("median", float(median))
        return Interval(float(low), float(high))

    def _both(self, p: FloatArray, q: FloatArray) -> FloatArray:
        """Values below which the probabilities are p, then values above which they are q."""
        return np.concatenate([self._quantile(p), self._upper(q)])

    def sample(self, size: int, seed: int | np.random.Generator) -> FloatArray:
        """Draw values; the same seed gives the same draws."""
        draws: FloatArray = np.asarray(self._any_quantile(np.random.default_rng(seed).random(size)))
        return draws

    def __repr__(self) -> str:
        low, high = self.ci(0.95)
        return f"{type(self).__name__}(median {self.median:.4g}, 95% {low:.4g} to {high:.4g})"

    # -- numerics ---------------------------------------------------------------------------------------
    def _find_mode(self) -> float:
        ends = self._any_quantile(np.array([1e-9, 1e-4, 0.02, 0.98, 1.0 - 1e-4]))
        x = [np.linspace(ends[i], ends[j], n) for i, j, n in ((0, 1, 5), (1, 4, 33), (2, 3, 33))]
        return climb(self._log_pdf, np.unique(np.concatenate([*x, self._landmarks()])))

    def _landmarks(self) -> FloatArray:
        """Points that the search for the mode should not miss."""
        return np.zeros(0)

    def _ends(self, p: FloatArray, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Intervals of probability `level` with probability p below, and log density ratio of their ends."""
        low, high = self.support
        a, b = np.full(p.shape, low), np.full(p.shape, high)
        rest = (1.0 - level) - p
        a[p > 0.0] = self._any_quantile(p[p > 0.0])
        b[rest > 0.0] = self._any_upper(rest[rest > 0.0])
        with np.errstate(invalid="ignore"):
            return a, b, self._log_pdf(a) - self._log_pdf(b)

    def _any_upper(self, q: FloatArray) -> FloatArray:
        return np.where(q <= 0.5, self._upper(np.minimum(q, 0.5)), self._any_quantile(1.0 - q))

    def _shortest(self, level: float) -> Interval:
        p = (1.0 - level) * np.linspace(0.0, 1.0, 13)
        a, b, lead = self._ends(p, level)
        with np.errstate(invalid="ignore"):
            width = np.nan_to_num(b - a, nan=math.inf)
        best = int(width.argmin())
        if best == 0 and lead[0] >= 0.0:
            return Interval(float(a[0]), float(b[0]))
        if best == p.size - 1 and lead[-1] <= 0.0:
            return Interval(float(a[-1]), float(b[-1]))
        inner = min(max(best, 1), p.size - 2)
        found = self._equal_heights(float(a[inner]), float(b[inner]), level)
        if found is not None and found.width <= width[best] * (1.0 + 1e-9):
            return found
        low, high = p[max(best - 1, 0)], p[min(best + 1, p.size - 1)]
        for _ in range(20):
            p = np.linspace(low, high, 9)
            a, b, lead = self._ends(p, level)
            above = np.flatnonzero(lead > 0.0)
            i = int(above[0]) if above.size else p.size - 1
            low, high = p[max(i - 1, 0)], p[i]
        return Interval(float(a[i]), float(b[i]))

    def _equal_heights(self, a: float, b: float, level: float) -> Interval | None:
        """Newton's method for ends of equal density with probability `level` between; None if it fails."""
        low, high = self.support
        for _ in range(25):
            h = 1e-5 * (b - a)
            log_f = self._log_pdf(np.array([a, b, a - h, a + h, b - h, b + h]))
            f = np.exp(log_f[:2])
            slope = (log_f[[3, 5]] - log_f[[2, 4]]) / (2.0 * h)
            miss = np.array(
                [
                    1.0 - level - float(self._cdf(np.array([a]))[0]) - float(self._sf(np.array([b]))[0]),
                    log_f[0] - log_f[1],
                ]
            )
            jacobian = np.array([[-f[0], f[1]], [slope[0], -slope[1]]])
            if not (bool(np.all(np.isfinite(jacobian))) and abs(np.linalg.det(jacobian)) > 0.0):
                return None
            da, db = np.linalg.solve(jacobian, -miss)
            a, b = a + float(da), b + float(db)
            if not low < a < b < high:
                return None
            if max(abs(da), abs(db)) <= 1e-12 * (b - a):
                return Interval(a, b)
        return None


def central_intervals(about: list[Distribution], level: float) -> list[Interval]:
    """Return what ``ci(level)`` gives for each; mixtures with the same weights are solved in one go."""
    check_level(level)
    tail = 0.5 * (1.0 - level)
    mixtures = [d for d in about if isinstance(d, NormalMixture)]
    first = mixtures[0] if mixtures else None
    alike = [d for d in mixtures if first is not None and d.weight is first.weight]
    found: dict[int, Interval] = {}
    if first is not None and len(alike) > 1:
        n = len(alike)
        ends = mixture_quantiles(
            first.weight,
            np.repeat([d.centres for d in alike], 3, axis=0),
            np.repeat([d.sds for d in alike], 3, axis=0),
            np.tile([tail, 0.5, tail], n),
            np.tile([1.0, 1.0, -1.0], n),
        )
        for d, (low, median, high) in zip(alike, ends.reshape(n, 3).tolist(), strict=True):
            d.__dict__.setdefault("median", median + d.shift)
            found[id(d)] = Interval(low + d.shift, high + d.shift)
    return [found[id(d)] if id(d) in found else d.ci(level) for d in about]


def _shaped(function: Callable[[FloatArray], FloatArray], x: npt.ArrayLike) -> Any:
    values = np.asarray(x, dtype=np.float64)
    out = np.asarray(function(np.atleast_1d(values).ravel()), dtype=np.float64)
    return float(out[0]) if values.ndim == 0 else out.reshape(values.shape)


def climb(
    log_pdf: Callable[[FloatArray], FloatArray], x: FloatArray, values: FloatArray | None = None
) -> float:
    """Highest point of a smooth function, from the best of ascending points, by narrowing a grid.

    `values` are those of the function at `x`, where they are known. A narrow grid about the vertex of the
    parabola through the three best points is tried first; where the maximum is not inside it, a grid over all
    that lies between the neighbours of the best point takes its place.
    """
    values = log_pdf(x) if values is None else values
    low, high = float(x[0]), float(x[-1])
    tried = False
    for _ in range(_CLIMBS):
        i = int(values.argmax())
        inside = 0 < i < x.size - 1
        if tried and not inside:
            x, tried = low + (high - low) * _SEVENTEEN, False
            values = log_pdf(x)
            continue
        low, high = float(x[max(i - 1, 0)]), float(x[min(i + 1, x.size - 1)])
        spread = float(values[i] - min(values[max(i - 1, 0)], values[min(i + 1, x.size - 1)]))
        if spread < 1e-9 or high - low <= 1e-12 * max(abs(low), abs(high)):
            break
        tried = inside and math.isfinite(spread)
        if tried:
            narrow = (high - low) / 64.0
            x = min(max(_vertex(x, values, i), low + narrow), high - narrow) + narrow * _NINE
        else:
            x = low + (high - low) * _SEVENTEEN
        values = log_pdf(x)
    return _vertex(x, values, i) if 0 < i < x.size - 1 else float(x[i])


def _vertex(x: FloatArray, values: FloatArray, i: int) -> float:
    """Vertex of the parabola through the points before, at and after the highest one."""
    left, right = float(x[i] - x[i - 1]), float(x[i + 1] - x[i])
    before, after = float(values[i] - values[i - 1]) * right, float(values[i] - values[i + 1]) * left
    bend = before + after
    shift = 0.5 * (before * right - after * left) / bend if 0.0 < bend < math.inf else 0.0
    return float(x[i]) + shift


def mixture_quantiles(
    weight: FloatArray, mean: FloatArray, sd: FloatArray, p: FloatArray, sign: FloatArray
) -> FloatArray:
    """Quantiles of mixtures of normals, one a row.

    Parameters
    ----------
    weight : ndarray (M,)
        Summing to 1.
    mean, sd : ndarray (R, M) or (1, M)
    p : ndarray (R,)
        Probabilities in (0, 1), best up to 0.5.
    sign : ndarray (R,)
        1 where `p` is the probability below the value, -1 where it is the one above.

    Returns
    -------
    ndarray (R,)
        Found to rounding by Halley's method on the logarithm of the probability, within a bracket.
    """
    mean = mean * sign[:, None]
    z = np.asarray(special.ndtri(p))[:, None]
    ends = mean + sd * z
    low, high = ends.min(axis=1), ends.max(axis=1)
    centre = mean @ weight
    spread = np.sqrt((np.square(sd) + np.square(mean - centre[:, None])) @ weight)
    x = np.minimum(np.maximum(centre + spread * z[:, 0], low), high)
    inverse = 1.0 / sd
    height = np.broadcast_to(weight * inverse * (1.0 / math.sqrt(2.0 * math.pi)), mean.shape)
    before, fine, least = high - low, 1e-14 * spread, sd.min(axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(_ROUNDS):
            u = (x[:, None] - mean) * inverse
            f = np.asarray(special.ndtr(u)) @ weight
            part = np.exp(-0.5 * np.square(u)) * height
            slope = np.add.reduce(part, 1)
            bend = -np.vecdot(part, u * inverse)
            gap = np.log(f / p)
            rate = slope / f
            # Halley's step on log f, whose second derivative is bend/f - rate**2
            step = -gap / (rate - 0.5 * gap * (bend / slope - rate))
            over = gap > 0.0
            high, low = np.where(over, x, high), np.where(over, low, x)
            new = x + step
            # steps that do not halve would creep along a plateau, unless they are rounding
            size = np.abs(step)
            good = (new >= low) & (new <= high) & ((size <= 0.5 * before) | (size <= fine))
            new = np.where(good, new, 0.5 * (low + high))
            # the step after a gap of 2e-6 leaves one of about its cube
            done = good & (np.abs(gap) <= 2e-6) | (high - low <= 4e-16 * (np.abs(x) + least))
            before, x = np.abs(new - x), new
            if np.count_nonzero(done) == done.size:
                break
        else:
            raise ModelError(f"a quantile was not found in {_ROUNDS} rounds")
    return np.asarray(x * sign)


@dataclass(frozen=True, eq=False, repr=False)
class NormalMixture(Distribution):
    """A finite mixture of normal distributions.

    Parameters
    ----------
    weight, centres, sds : ndarray (M,)
        Weights summing to 1; means, less `shift`, and standard deviations above 0.
    shift : float
        Added to every value; keeps the digits of centres that lie close to it.
    moments : tuple of float, optional
        Mean (less `shift`) and standard deviation of what the mixture stands for, where its nodes leave
        out far tails that count for them; nan and inf where they do not exist.
    """

    weight: FloatArray
    centres: FloatArray
    sds: FloatArray
    shift: float = 0.0
    moments: tuple[float, float] | None = None

    @property
    def support(self) -> tuple[float, float]:
        return -math.inf, math.inf

    @cached_property
    def _mean(self) -> float:
        return float(np.dot(self.weight, self.centres))

    @property
    def mean(self) -> float:
        return (self.moments[0] if self.moments else self._mean) + self.shift

    @cached_property
    def sd(self) -> float:
        if self.moments:
            return self.moments[1]
        square = np.square(self.sds) + np.square(self.centres - self._mean)
        return math.sqrt(float(np.dot(self.weight, square)))

    def _find_mode(self) -> float:
        spread = math.sqrt(
            float(np.dot(self.weight, np.square(self.sds) + np.square(self.centres - self._mean)))
        )
        narrow = self.centres[np.argsort(self.weight / self.sds)[-8:]]
        grid = np.concatenate([self._mean + spread * np.linspace(-3.0, 3.0, 31), narrow])
        x = float(grid[self._log_pdf(grid + self.shift).argmax()])
        height = self.weight / self.sds
        for _ in range(50):  # Newton's method on the logarithm of the density
            u = (x - self.centres) / self.sds
            f = height * np.exp(-0.5 * np.square(u))
            first, second = -(u / self.sds), (np.square(u) - 1.0) / np.square(self.sds)
            total = float(f.sum())
            slope = float(np.dot(f, first)) / total
            bend = float(np.dot(f, second)) / total - slope**2
            if not bend < 0.0:
                break
            step = slope / bend
            if abs(step) > spread:
                break
            x -= step
            if abs(step) <= 1e-14 * (abs(x) + spread):
                return x + self.shift
        return super()._find_mode()

    def _landmarks(self) -> FloatArray:
        top = np.argsort(self.weight / self.sds)[-24:]
        return self.shift + self.centres[top]

    def _rows(self, x: FloatArray, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Apply a function of standardised values (rows of x by components), some rows at a time."""
        rows = max(1, _CHUNK // self.weight.size)
        out = np.empty(x.shape)
        with np.errstate(invalid="ignore", over="ignore"):
            for start in range(0, x.size, rows):
                part = slice(start, start + rows)
                out[part] = function(((x[part] - self.shift)[:, None] - self.centres) / self.sds)
        return out

    def _log_pdf(self, x: FloatArray) -> FloatArray:
        height = np.log(self.weight / self.sds) - 0.5 * _LOG_2PI

        def log_sum(u: FloatArray) -> FloatArray:
            parts = height - 0.5 * np.square(u)
            top = parts.max(axis=1)
            safe = np.where(np.isfinite(top), top, 0.0)
            with np.errstate(divide="ignore", under="ignore"):
                return np.asarray(safe + np.log(np.exp(parts - safe[:, None]).sum(axis=1)))

        return self._rows(x, log_sum)

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.clip(self._rows(x, lambda u: np.asarray(special.ndtr(u)) @ self.weight), 0.0, 1.0)

    def _sf(self, x: FloatArray) -> FloatArray:
        return np.clip(self._rows(x, lambda u: np.asarray(special.ndtr(-u)) @ self.weight), 0.0, 1.0)

    def _quantile(self, p: FloatArray) -> FloatArray:
        return self._solve(p, np.ones(p.shape))

    def _upper(self, q: FloatArray) -> FloatArray:
        return self._solve(q, -np.ones(q.shape))

    def _both(self, p: FloatArray, q: FloatArray) -> FloatArray:
        return self._solve(np.concatenate([p, q]), np.repeat([1.0, -1.0], [p.size, q.size]))

    def _solve(self, p: FloatArray, sign: FloatArray) -> FloatArray:
        rows = max(1, _CHUNK // self.weight.size)
        parts = [
            mixture_quantiles(
                self.weight, self.centres[None], self.sds[None], p[i : i + rows], sign[i : i + rows]
            )
            for i in range(0, p.size, rows)
        ]
        return np.concatenate(parts) + self.shift

    def sample(self, size: int, seed: int | np.random.Generator) -> FloatArray:
        rng = np.random.default_rng(seed)
        j = rng.choice(self.weight.size, size=size, p=self.weight)
        draws: FloatArray = self.shift + self.centres[j] + self.sds[j] * rng.standard_normal(size)
        return draws


@dataclass(frozen=True, eq=False, repr=False)
class Tabulated(Distribution):
    """A distribution known by its log density and resolved by adaptive quadrature.

    Parameters
    ----------
    log_density : callable
        Log density, not normalised, takes (n,) and gives (n,).
    panels : Panels
        On the axis z of ``x = centre + scale*sinh(z)``.
    centre, scale : float
    ends : tuple of float
        Support.
    moments : tuple of float, optional
        Mean and standard deviation where the panels do not give them: nan and inf where they do not exist.
    """

    log_density: Callable[[FloatArray], FloatArray]
    panels: Panels
    centre: float
    scale: float
    ends: tuple[float, float]
    moments: tuple[float, float] | None = None

    @property
    def support(self) -> tuple[float, float]:
        return self.ends

    def _x(self, z: FloatArray) -> FloatArray:
        return np.clip(self.centre + self.scale * np.sinh(z), *self.ends)

    def _z(self, x: FloatArray) -> FloatArray:
        return np.clip(np.arcsinh((x - self.centre) / self.scale), self.panels.left[0], self.panels.right[-1])

    def expect(self, function: Callable[[FloatArray], FloatArray]) -> float:
        """Return the expectation of a smooth function."""
        x = self.centre + self.scale * np.sinh(self.panels.nodes)
        return float(np.sum(self.panels.weights * function(x)))

    @cached_property
    def mean(self) -> float:
        return self.moments[0] if self.moments else self.centre + self.expect(lambda x: x - self.centre)

    @cached_property
    def sd(self) -> float:
        if self.moments:
            return self.moments[1]
        return math.sqrt(self.expect(lambda x: np.square(x - self.mean)))

    def _log_pdf(self, x: FloatArray) -> FloatArray:
        low, high = self.ends
        inside = (x >= low) & (x <= high) & np.isfinite(x)
        safe = np.where(inside, x, self.centre)
        return np.where(inside, self.log_density(safe) - self.panels.log_integral, -math.inf)

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.where(x >= self.ends[1], 1.0, self.panels.share_below(self._z(x)))

    def _sf(self, x: FloatArray) -> FloatArray:
        return np.where(x >= self.ends[1], 0.0, self.panels.share_above(self._z(x)))

    def _quantile(self, p: FloatArray) -> FloatArray:
        return self._x(self.panels.invert(p, p[:0]))

    def _upper(self, q: FloatArray) -> FloatArray:
        return self._x(self.panels.invert(q[:0], q))


def tabulate(
    log_density: Callable[[FloatArray], FloatArray],
    *,
    centre: float,
    scale: float,
    ends: tuple[float, float],
    what: str,
    moments: tuple[float, float] | None = None,
) -> Tabulated:
    """Resolve a log density on ``x = centre + scale*sinh(z)``.

    Raises
    ------
    ModelError
        It cannot be integrated to nine digits.
    """
    if not (math.isfinite(centre) and scale > 0.0):
        raise ModelError(f"{what} has no finite location and scale")
    reach = math.asinh(1e14)
    low, high = (
        -reach if ends[0] == -math.inf else math.asinh((ends[0] - centre) / scale),
        reach if ends[1] == math.inf else math.asinh((ends[1] - centre) / scale),
    )
    edges = np.linspace(low, high, max(3, math.ceil((high - low) / 0.5) + 1))

    def log_function(z: FloatArray) -> FloatArray:
        x = np.clip(centre + scale * np.sinh(z), *ends)
        return log_density(x) + math.log(scale) + np.log(np.cosh(z))

    panels = resolve(log_function, edges, what=what)
    return Tabulated(log_function_of(log_density), panels, centre, scale, ends, moments)


def far_moments(table: Tabulated) -> tuple[float, float]:
    """Mean and standard deviation of a distribution with heavy tails, each resolved for itself."""
    edges = np.append(table.panels.left, table.panels.right[-1])

    def expect(log_g: Callable[[FloatArray], FloatArray]) -> float:
        def log_function(z: FloatArray) -> FloatArray:
            u = table.scale * np.sinh(z)
            x = np.clip(table.centre + u, *table.ends)
            return table.log_density(x) + math.log(table.scale) + np.log(np.cosh(z)) + log_g(u)

        whole = resolve(log_function, edges, what="a moment of a posterior")
        return math.exp(whole.log_integral - table.panels.log_integral)

    def length(u: FloatArray) -> FloatArray:
        return np.hypot(u, table.scale)

    def lean(u: FloatArray) -> FloatArray:
        """Return ``length(u) + u`` without cancellation."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(u >= 0.0, length(u) + u, table.scale**2 / (length(u) - u))

    # both integrands are positive; half their difference is the mean less the centre
    shift = 0.5 * (expect(lambda u: np.log(lean(u))) - expect(lambda u: np.log(lean(-u))))
    square = expect(lambda u: 2.0 * np.log(length(u))) - table.scale**2
    return table.centre + shift, math.sqrt(square - shift**2)


def log_function_of(log_density: Callable[[FloatArray], FloatArray]) -> Callable[[FloatArray], FloatArray]:
    """Return the log density so that it takes arrays of any length, the empty one included."""
    return lambda x: log_density(x) if x.size else np.zeros(0)
