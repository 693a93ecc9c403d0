"""Priors whose value may be of either sign, those of the mean effect; and the uniform one."""
# ruff: noqa: D102 - members that override a documented one are described there

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from mtmeta.errors import UsageError
from mtmeta.models.priors_base import FloatArray, Prior, Tail, Truncated, check_number

__all__ = ["LOG_2PI", "Cauchy", "Flat", "Normal", "StudentT", "Uniform", "t_logpdf", "t_quantile"]

LOG_2PI = math.log(2.0 * math.pi)


def t_logpdf(z: FloatArray, df: float) -> FloatArray:
    """Log density of Student's t distribution, for any size of z."""
    const = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * math.log(df * math.pi)
    # log1p of the square overflows to inf for |z| > 1e154; the logarithm of |z| does not
    large = np.abs(z) > 1e100
    small = np.log1p(np.square(np.where(large, 0.0, z)) / df)
    out = const - (df + 1) / 2 * np.where(
        large, 2 * np.log(np.abs(np.where(large, z, 1.0))) - math.log(df), small
    )
    return np.asarray(out, dtype=np.float64)


def t_quantile(df: float, p: FloatArray) -> FloatArray:
    """Quantile of Student's t distribution, 0 <= p <= 1."""
    inner = np.clip(p, 1e-300, 1.0 - 2.0**-53)
    out = np.asarray(special.stdtrit(df, inner))
    return np.where(p <= 0.0, -math.inf, np.where(p >= 1.0, math.inf, out))


@dataclass(frozen=True, repr=False)
class Normal(Prior):
    """Normal distribution, of the mean effect.

    Parameters
    ----------
    mean : float
    sd : float > 0
        Standard deviation (not the variance).

    Examples
    --------
    >>> Normal(0, 2).quantile(0.975).__round__(4)
    3.9199
    """

    mean: float
    sd: float

    def _check(self) -> None:
        check_number(self, "mean", self.mean)
        check_number(self, "sd", self.sd, positive=True)

    @property
    def _range(self) -> tuple[float, float]:
        return -math.inf, math.inf

    @property
    def light(self) -> bool:
        return True

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return -0.5 * np.square((u - self.mean) / self.sd) - math.log(self.sd) - 0.5 * LOG_2PI

    def _cdf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.ndtr((u - self.mean) / self.sd))

    def _sf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.ndtr((self.mean - u) / self.sd))

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self.mean + self.sd * np.asarray(special.ndtri(p))

    def _isf(self, p: FloatArray) -> FloatArray:
        return self.mean - self.sd * np.asarray(special.ndtri(p))


@dataclass(frozen=True, repr=False)
class StudentT(Prior):
    """Student's t distribution with location and scale, of the mean effect.

    Parameters
    ----------
    df : float > 0
    loc : float
    scale : float > 0

    Examples
    --------
    Standardised mean differences of Cochrane reviews, all topics (Bartoš et al. 2021, Stat Med 40).

    >>> StudentT(5, 0, 0.43).cdf(0.0)
    0.5
    """

    df: float
    loc: float
    scale: float

    def _check(self) -> None:
        check_number(self, "df", self.df, positive=True)
        check_number(self, "loc", self.loc)
        check_number(self, "scale", self.scale, positive=True)

    @property
    def _range(self) -> tuple[float, float]:
        return -math.inf, math.inf

    @property
    def _tail(self) -> Tail:
        return Tail(self.df + 1.0)

    def _z(self, u: FloatArray) -> FloatArray:
        return (u - self.loc) / self.scale

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return t_logpdf(self._z(u), self.df) - math.log(self.scale)

    def _cdf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.stdtr(self.df, self._z(u)))

    def _sf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.stdtr(self.df, -self._z(u)))

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self.loc + self.scale * t_quantile(self.df, p)

    def _isf(self, p: FloatArray) -> FloatArray:
        return self.loc - self.scale * t_quantile(self.df, p)


@dataclass(frozen=True, repr=False)
class Cauchy(Prior):
    """Cauchy distribution, of the mean effect: t with one degree of freedom.

    Parameters
    ----------
    loc : float
    scale : float > 0

    Examples
    --------
    >>> round(Cauchy(0, 0.707).quantile(0.75), 3)
    0.707
    """

    loc: float
    scale: float

    def _check(self) -> None:
        check_number(self, "loc", self.loc)
        check_number(self, "scale", self.scale, positive=True)

    @property
    def _range(self) -> tuple[float, float]:
        return -math.inf, math.inf

    @property
    def _tail(self) -> Tail:
        return Tail(2.0)

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return t_logpdf((u - self.loc) / self.scale, 1.0) - math.log(self.scale)

    def _cdf(self, u: FloatArray) -> FloatArray:
        # atan2 keeps the far lower tail: 1/2 + atan(z)/pi cancels there
        return np.arctan2(1.0, -(u - self.loc) / self.scale) / math.pi

    def _sf(self, u: FloatArray) -> FloatArray:
        return np.arctan2(1.0, (u - self.loc) / self.scale) / math.pi

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self.loc - self._above(p)

    def _isf(self, p: FloatArray) -> FloatArray:
        return self.loc + self._above(p)

    def _above(self, p: FloatArray) -> FloatArray:
        z = 1.0 / np.tan(math.pi * np.where((p > 0.0) & (p < 1.0), p, 0.5))
        return self.scale * np.where(p <= 0.0, math.inf, np.where(p >= 1.0, -math.inf, z))


@dataclass(frozen=True, repr=False)
class Flat(Prior):
    """Constant density, improper: of the mean effect, or of tau (``on="tau2"``: of its square).

    Allowed where the posterior is proper: for tau that takes three studies with a flat mean and two with
    a proper one. No marginal likelihood exists then, and no Bayes factor of the flat parameter.

    Examples
    --------
    >>> Flat().proper
    False
    """

    @property
    def proper(self) -> bool:
        return False

    @property
    def _range(self) -> tuple[float, float]:
        return -math.inf, math.inf

    @property
    def _tail(self) -> Tail:
        return Tail(0.0)

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return np.zeros_like(u)

    def truncated(self, low: float = -math.inf, high: float = math.inf) -> Prior:
        if math.isfinite(low) and math.isfinite(high) and self.on == "tau":
            return Uniform(low, high, source=self.source)
        return Truncated(self, low, high, source=self.source)


@dataclass(frozen=True, repr=False)
class Uniform(Prior):
    """Uniform distribution between two values, of tau, of tau squared, or of the mean effect.

    Parameters
    ----------
    low, high : float, low < high
        For heterogeneity low is at least 0.

    Examples
    --------
    >>> Uniform(0, 4).quantile(0.25)
    1.0
    >>> Uniform(0, 4, on="tau2").quantile(0.25)
    1.0
    """

    low: float
    high: float

    def _check(self) -> None:
        low, high = check_number(self, "low", self.low), check_number(self, "high", self.high)
        if not low < high:
            raise UsageError(f"Uniform: low={low:g} must be below high={high:g}")
        if self.on == "tau2" and low < 0:
            raise UsageError(f"Uniform: low={low:g} is below 0, and tau squared is not")

    @property
    def _range(self) -> tuple[float, float]:
        return float(self.low), float(self.high)

    def _logpdf(self, u: FloatArray) -> FloatArray:
        inside = (u >= self.low) & (u <= self.high)
        return np.where(inside, -math.log(self.high - self.low), -math.inf)

    def _cdf(self, u: FloatArray) -> FloatArray:
        return np.clip((u - self.low) / (self.high - self.low), 0.0, 1.0)

    def _sf(self, u: FloatArray) -> FloatArray:
        return np.clip((self.high - u) / (self.high - self.low), 0.0, 1.0)

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self.low + p * (self.high - self.low)

    def _isf(self, p: FloatArray) -> FloatArray:
        return self.high - p * (self.high - self.low)
