"""Mixtures of whole distributions, and distributions with a point that has probability of its own."""
# ruff: noqa: D102 - members that override a documented one are described there

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.measures import Interval
from mtmeta.models.posterior import CiKind, Distribution, NormalMixture
from mtmeta.models.priors_base import FloatArray

__all__ = ["Blend", "Spiked", "blend"]


def blend(weights: Sequence[float], parts: Sequence[Distribution]) -> Distribution:
    """Return the mixture of distributions; one of normals where all are."""
    w = np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    kept = [(float(a), part) for a, part in zip(w, parts, strict=True) if a > 0.0]
    if len(kept) == 1:
        return kept[0][1]
    normal = [(a, part) for a, part in kept if isinstance(part, NormalMixture)]
    if len(normal) == len(kept):
        shift = normal[0][1].shift
        whole = Blend(tuple(a for a, _ in kept), tuple(part for _, part in kept))
        return NormalMixture(
            np.concatenate([a * part.weight for a, part in normal]),
            np.concatenate([part.centres + (part.shift - shift) for _, part in normal]),
            np.concatenate([part.sds for _, part in normal]),
            shift,
            (whole.mean - shift, whole.sd),
        )
    return Blend(tuple(a for a, _ in kept), tuple(part for _, part in kept))


@dataclass(frozen=True, eq=False, repr=False)
class Blend(Distribution):
    """A mixture of distributions.

    Parameters
    ----------
    weights : tuple of float
        Summing to 1.
    parts : tuple of Distribution
    """

    weights: tuple[float, ...]
    parts: tuple[Distribution, ...]

    @property
    def support(self) -> tuple[float, float]:
        ends = [part.support for part in self.parts]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @cached_property
    def mean(self) -> float:
        return float(np.dot(self.weights, [part.mean for part in self.parts]))

    @cached_property
    def sd(self) -> float:
        means, sds = (np.array([getattr(part, name) for part in self.parts]) for name in ("mean", "sd"))
        if not bool(np.all(np.isfinite(sds))):
            return math.inf
        return math.sqrt(float(np.dot(self.weights, np.square(sds) + np.square(means - self.mean))))

    def _log_pdf(self, x: FloatArray) -> FloatArray:
        parts = np.array([math.log(a) + p._log_pdf(x) for a, p in zip(self.weights, self.parts, strict=True)])
        return np.asarray(np.logaddexp.reduce(parts, axis=0))

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.asarray(np.dot(self.weights, [part._cdf(x) for part in self.parts]))

    def _sf(self, x: FloatArray) -> FloatArray:
        return np.asarray(np.dot(self.weights, [part._sf(x) for part in self.parts]))

    def _quantile(self, p: FloatArray) -> FloatArray:
        return self._solve(p, upper=False)

    def _upper(self, q: FloatArray) -> FloatArray:
        return self._solve(q, upper=True)

    def _solve(self, p: FloatArray, *, upper: bool) -> FloatArray:
        """Newton's method between the least and the greatest quantile of the parts."""
        ends = np.array([(part._upper(p) if upper else part._quantile(p)) for part in self.parts])
        low, high = ends.min(axis=0), ends.max(axis=0)
        x = np.clip(np.dot(self.weights, ends), low, high)
        for _ in range(200):
            gap = p - self._sf(x) if upper else self._cdf(x) - p
            high, low = np.where(gap > 0.0, x, high), np.where(gap > 0.0, low, x)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                new = x - gap / np.exp(self._log_pdf(x))
            new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
            step, x = np.abs(new - x), new
            if bool(np.all((step <= 1e-15 * np.abs(x)) | (np.abs(gap) <= 1e-15 * p) | (high - low <= 0.0))):
                break
        return np.asarray(x)


@dataclass(frozen=True, eq=False, repr=False)
class Spiked(Distribution):
    """A distribution with probability at one point, and a density elsewhere.

    ``pdf`` is the density of the continuous part times its probability; the mode is the point.

    Parameters
    ----------
    probability : float
        Of the point, above 0.
    point : float
    rest : Distribution
    """

    probability: float
    point: float
    rest: Distribution

    @property
    def _free(self) -> float:
        return 1.0 - self.probability

    @property
    def support(self) -> tuple[float, float]:
        low, high = self.rest.support
        return min(low, self.point), max(high, self.point)

    @property
    def mean(self) -> float:
        return self.probability * self.point + self._free * self.rest.mean

    @property
    def sd(self) -> float:
        inner = self.rest.sd**2 + (self.rest.mean - self.mean) ** 2
        return math.sqrt(self._free * inner + self.probability * (self.point - self.mean) ** 2)

    def _log_pdf(self, x: FloatArray) -> FloatArray:
        return self.rest._log_pdf(x) + math.log(self._free)

    def _cdf(self, x: FloatArray) -> FloatArray:
        return self._free * self.rest._cdf(x) + self.probability * (x >= self.point)

    def _sf(self, x: FloatArray) -> FloatArray:
        return self._free * self.rest._sf(x) + self.probability * (x < self.point)

    def _quantile(self, p: FloatArray) -> FloatArray:
        below = self._free * float(self.rest._cdf(np.array([self.point]))[0])
        out = np.full(p.shape, self.point)
        under, over = p < below, p > below + self.probability
        if under.any():
            out[under] = self.rest._any_quantile(p[under] / self._free)
        if over.any():
            out[over] = self.rest._any_quantile((p[over] - self.probability) / self._free)
        return out

    def _upper(self, q: FloatArray) -> FloatArray:
        above = self._free * float(self.rest._sf(np.array([self.point]))[0])
        out = np.full(q.shape, self.point)
        over, under = q < above, q > above + self.probability
        if over.any():
            out[over] = self.rest._any_upper(q[over] / self._free)
        if under.any():
            out[under] = self.rest._any_upper((q[under] - self.probability) / self._free)
        return out

    def _find_mode(self) -> float:
        return self.point

    def ci(self, level: float = 0.95, kind: CiKind = "central") -> Interval:
        if kind == "shortest":
            raise UsageError(
                f"no shortest interval of a distribution with probability {self.probability:.3g} at "
                f"{self.point:g}; use kind='central', or the conditional posterior"
            )
        return super().ci(level, kind)
