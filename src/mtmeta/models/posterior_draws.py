"""Distributions known by draws, for models that need sampling."""
# ruff: noqa: D102 - members that override a documented one are described there

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from mtmeta.measures import Interval
from mtmeta.models.posterior import Distribution
from mtmeta.models.priors_base import FloatArray

__all__ = ["Draws"]


@dataclass(frozen=True, eq=False, repr=False)
class Draws(Distribution):
    """The distribution of draws from a posterior; every number carries Monte Carlo error.

    Density and mode come from a Gaussian kernel (Silverman's width), mirrored at a bound.

    Parameters
    ----------
    values : ndarray (n,)
    low, high : float
        Support.

    Examples
    --------
    >>> d = Draws(np.arange(1.0, 100.0))
    >>> d.median, d.cdf(25.0).__round__(3)
    (50.0, 0.253)
    """

    values: FloatArray
    low: float = -math.inf
    high: float = math.inf

    @cached_property
    def _sorted(self) -> FloatArray:
        return np.sort(self.values)

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def sd(self) -> float:
        return float(self.values.std(ddof=1))

    @cached_property
    def _width(self) -> float:
        q75, q25 = np.quantile(self.values, [0.75, 0.25])
        spread = min(self.sd, float(q75 - q25) / 1.349) or self.sd
        return float(0.9 * spread * self.values.size**-0.2)

    def _log_pdf(self, x: FloatArray) -> FloatArray:
        out = np.full(x.shape, -math.inf)
        inside = np.flatnonzero((x >= self.low) & (x <= self.high))
        for i in inside:
            height = 0.0
            for at in (x[i], 2 * self.low - x[i], 2 * self.high - x[i]):
                if math.isfinite(at):
                    height += float(np.exp(-0.5 * np.square((at - self.values) / self._width)).mean())
            out[i] = math.log(height) if height > 0.0 else -math.inf
        return out - math.log(self._width * math.sqrt(2.0 * math.pi))

    def _cdf(self, x: FloatArray) -> FloatArray:
        return np.searchsorted(self._sorted, x, side="right") / self.values.size

    def _sf(self, x: FloatArray) -> FloatArray:
        return 1.0 - self._cdf(x)

    def _quantile(self, p: FloatArray) -> FloatArray:
        return np.asarray(np.quantile(self.values, p))

    def _upper(self, q: FloatArray) -> FloatArray:
        return np.asarray(np.quantile(self.values, 1.0 - q))

    def _shortest(self, level: float) -> Interval:
        held = max(1, math.ceil(level * self.values.size))
        width = self._sorted[held - 1 :] - self._sorted[: self.values.size - held + 1]
        i = int(width.argmin())
        return Interval(float(self._sorted[i]), float(self._sorted[i + held - 1]))

    def mcse(self, effective: float) -> float:
        """Return the Monte Carlo standard error of the mean for an effective number of draws."""
        return self.sd / math.sqrt(effective)

    def quantile_error(self, p: float, effective: float) -> tuple[float, float]:
        """Return the quantiles between which that of `p` lies with probability 0.95 (beta, Vehtari 2021)."""
        a, b = effective * p + 1.0, effective * (1.0 - p) + 1.0
        low, high = special.betaincinv(a, b, [0.025, 0.975])
        return float(np.quantile(self.values, low)), float(np.quantile(self.values, high))
