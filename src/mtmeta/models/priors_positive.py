"""Priors of values above 0: of the between-study standard deviation tau, or of its square."""
# ruff: noqa: D102 - members that override a documented one are described there

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from mtmeta.models.priors_base import FloatArray, Prior, Tail, check_number
from mtmeta.models.priors_mean import LOG_2PI, t_logpdf, t_quantile

__all__ = ["HalfCauchy", "HalfNormal", "HalfT", "InverseGamma", "LogNormal", "LogStudentT", "Lomax"]

_LOG2 = math.log(2.0)


@dataclass(frozen=True, repr=False)
class HalfNormal(Prior):
    """Half-normal distribution: a normal one around 0, folded.

    Parameters
    ----------
    sd : float > 0
        The scale, which is the standard deviation of the normal distribution that is folded.

    References
    ----------
    Röver, C., Bender, R., Dias, S. et al. (2021). Res Synth Methods 12, 448–474: scale 0.5 for
    standardised mean differences and log odds ratios.

    Examples
    --------
    Röver (2020), J Stat Softw 93(6), section 3: the median of scale 0.5 is 0.337 and tau is at most 0.98
    with probability 0.95.

    >>> round(HalfNormal(0.5).quantile(0.5), 3), round(HalfNormal(0.5).cdf(0.98), 2)
    (0.337, 0.95)
    """

    sd: float

    def _check(self) -> None:
        check_number(self, "sd", self.sd, positive=True)

    @property
    def light(self) -> bool:
        return True

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return -0.5 * np.square(u / self.sd) - math.log(self.sd) - 0.5 * LOG_2PI + _LOG2

    def _cdf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.erf(np.maximum(u, 0.0) / (self.sd * math.sqrt(2.0))))

    def _sf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.erfc(np.maximum(u, 0.0) / (self.sd * math.sqrt(2.0))))

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self.sd * math.sqrt(2.0) * np.asarray(special.erfinv(p))

    def _isf(self, p: FloatArray) -> FloatArray:
        return self.sd * math.sqrt(2.0) * np.asarray(special.erfcinv(p))


@dataclass(frozen=True, repr=False)
class HalfT(Prior):
    """Half-t distribution: Student's t around 0, folded (Gelman 2006, Bayesian Anal 1, p. 519).

    Parameters
    ----------
    df, scale : float > 0

    Examples
    --------
    >>> round(HalfT(4, 0.5).quantile(0.5), 4)
    0.3703
    """

    df: float
    scale: float

    def _check(self) -> None:
        check_number(self, "df", self.df, positive=True)
        check_number(self, "scale", self.scale, positive=True)

    @property
    def _tail(self) -> Tail:
        return Tail(self.df + 1.0)

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return t_logpdf(u / self.scale, self.df) - math.log(self.scale) + _LOG2

    def _cdf(self, u: FloatArray) -> FloatArray:
        z2 = np.square(np.maximum(u, 0.0) / self.scale)
        ratio = np.where(np.isinf(z2), 1.0, z2 / (self.df + z2))
        return np.asarray(special.betainc(0.5, self.df / 2, ratio))

    def _sf(self, u: FloatArray) -> FloatArray:
        return 2.0 * np.asarray(special.stdtr(self.df, -np.maximum(u, 0.0) / self.scale))

    def _ppf(self, p: FloatArray) -> FloatArray:
        ratio = np.asarray(special.betaincinv(0.5, self.df / 2, np.minimum(p, 0.5)))
        low = np.sqrt(self.df * ratio / (1.0 - ratio))
        return self.scale * np.where(p <= 0.5, low, -t_quantile(self.df, 0.5 * (1.0 - p)))

    def _isf(self, p: FloatArray) -> FloatArray:
        return np.where(p > 0.5, self._ppf(1.0 - p), -self.scale * t_quantile(self.df, 0.5 * p))


@dataclass(frozen=True, repr=False)
class HalfCauchy(Prior):
    """Half-Cauchy distribution (Polson and Scott 2012, Bayesian Anal 7, p. 887).

    Parameters
    ----------
    scale : float > 0
        Also the median.

    Examples
    --------
    >>> round(HalfCauchy(0.5).quantile(0.5), 12)
    0.5
    """

    scale: float

    def _check(self) -> None:
        check_number(self, "scale", self.scale, positive=True)

    @property
    def _tail(self) -> Tail:
        return Tail(2.0)

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return t_logpdf(u / self.scale, 1.0) - math.log(self.scale) + _LOG2

    def _cdf(self, u: FloatArray) -> FloatArray:
        return np.arctan(np.maximum(u, 0.0) / self.scale) * (2.0 / math.pi)

    def _sf(self, u: FloatArray) -> FloatArray:
        return np.arctan2(1.0, np.maximum(u, 0.0) / self.scale) * (2.0 / math.pi)

    def _ppf(self, p: FloatArray) -> FloatArray:
        return np.where(p >= 1.0, math.inf, self.scale * np.tan(np.minimum(p, 1.0) * (math.pi / 2)))

    def _isf(self, p: FloatArray) -> FloatArray:
        inner = np.where(p > 0.0, p, 0.5)
        return np.where(p > 0.0, self.scale / np.tan(inner * (math.pi / 2)), math.inf)


@dataclass(frozen=True, repr=False)
class LogNormal(Prior):
    """Log-normal distribution: the logarithm of the value is normal.

    Parameters
    ----------
    mean : float
        Mean of the logarithm.
    sd : float > 0
        Standard deviation of the logarithm.

    Examples
    --------
    Turner et al. (2015), Stat Med 34, 984, Table IV: tau squared of log odds ratios, mental health
    outcomes, non-pharmacological treatment against control; tau has median 0.310 [0.058, 1.675].

    >>> prior = LogNormal(-2.34, 1.72, on="tau2")
    >>> prior.quantile([0.5, 0.025, 0.975]).round(3)
    array([0.31 , 0.058, 1.675])
    """

    mean: float
    sd: float

    def _check(self) -> None:
        check_number(self, "mean", self.mean)
        check_number(self, "sd", self.sd, positive=True)

    def _logpdf_of_log(self, ell: FloatArray) -> FloatArray:
        return -0.5 * np.square((ell - self.mean) / self.sd) - math.log(self.sd) - 0.5 * LOG_2PI

    def _logpdf(self, u: FloatArray) -> FloatArray:
        ell = np.log(u)
        return np.where(u > 0.0, self._logpdf_of_log(ell) - ell, -math.inf)

    def _cdf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.ndtr((np.log(np.maximum(u, 0.0)) - self.mean) / self.sd))

    def _sf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.ndtr((self.mean - np.log(np.maximum(u, 0.0))) / self.sd))

    def _ppf(self, p: FloatArray) -> FloatArray:
        return np.exp(self.mean + self.sd * np.asarray(special.ndtri(p)))

    def _isf(self, p: FloatArray) -> FloatArray:
        return np.exp(self.mean - self.sd * np.asarray(special.ndtri(p)))


@dataclass(frozen=True, repr=False)
class LogStudentT(Prior):
    """Log-t distribution: the logarithm of the value has Student's t distribution.

    Its density is not bounded near 0, with very little probability there.

    Parameters
    ----------
    df : float > 0
    loc : float
        Location of the logarithm.
    scale : float > 0
        Scale of the logarithm.

    Examples
    --------
    Rhodes et al. (2015), J Clin Epidemiol 68, 52, Table 3: tau squared of standardised mean differences,
    mental health outcomes, non-pharmacological treatment; tau has median 0.146 [0.012, 1.743].

    >>> prior = LogStudentT(5, -3.85, 1.93, on="tau2")
    >>> prior.quantile([0.5, 0.025, 0.975]).round(3)
    array([0.146, 0.012, 1.743])
    """

    df: float
    loc: float
    scale: float

    def _check(self) -> None:
        check_number(self, "df", self.df, positive=True)
        check_number(self, "loc", self.loc)
        check_number(self, "scale", self.scale, positive=True)

    @property
    def _tail(self) -> Tail:
        return Tail(1.0, self.df + 1.0)

    def _logpdf_of_log(self, ell: FloatArray) -> FloatArray:
        return t_logpdf((ell - self.loc) / self.scale, self.df) - math.log(self.scale)

    def _logpdf(self, u: FloatArray) -> FloatArray:
        ell = np.log(u)
        return np.where(u > 0.0, self._logpdf_of_log(ell) - ell, math.inf)

    def _cdf(self, u: FloatArray) -> FloatArray:
        z = (np.log(np.maximum(u, 0.0)) - self.loc) / self.scale
        return np.asarray(special.stdtr(self.df, z))

    def _sf(self, u: FloatArray) -> FloatArray:
        z = (self.loc - np.log(np.maximum(u, 0.0))) / self.scale
        return np.asarray(special.stdtr(self.df, z))

    def _ppf(self, p: FloatArray) -> FloatArray:
        return np.exp(self.loc + self.scale * t_quantile(self.df, p))

    def _isf(self, p: FloatArray) -> FloatArray:
        return np.exp(self.loc - self.scale * t_quantile(self.df, p))


@dataclass(frozen=True, repr=False)
class InverseGamma(Prior):
    """Inverse gamma distribution, density proportional to ``x**-(shape + 1) exp(-scale/x)``.

    Parameters
    ----------
    shape, scale : float > 0

    Examples
    --------
    Heterogeneity of all Cochrane reviews (Bartoš et al. 2021): the mode is scale/(shape + 1).

    >>> prior = InverseGamma(1.71, 0.40)
    >>> grid = np.linspace(0.01, 1, 1000)
    >>> round(float(grid[prior.pdf(grid).argmax()]), 2), round(0.40 / 2.71, 2)
    (0.15, 0.15)
    """

    shape: float
    scale: float

    def _check(self) -> None:
        check_number(self, "shape", self.shape, positive=True)
        check_number(self, "scale", self.scale, positive=True)

    @property
    def _tail(self) -> Tail:
        return Tail(self.shape + 1.0)

    def _logpdf_of_log(self, ell: FloatArray) -> FloatArray:
        const = self.shape * math.log(self.scale) - float(special.gammaln(self.shape))
        return const - self.shape * ell - self.scale * np.exp(-ell)

    def _logpdf(self, u: FloatArray) -> FloatArray:
        ell = np.log(u)
        return np.where(u > 0.0, self._logpdf_of_log(ell) - ell, -math.inf)

    def _cdf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.gammaincc(self.shape, self._ratio(u)))

    def _sf(self, u: FloatArray) -> FloatArray:
        return np.asarray(special.gammainc(self.shape, self._ratio(u)))

    def _ratio(self, u: FloatArray) -> FloatArray:
        return np.where(u > 0.0, self.scale / np.where(u > 0.0, u, 1.0), math.inf)

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self.scale / np.asarray(special.gammainccinv(self.shape, p))

    def _isf(self, p: FloatArray) -> FloatArray:
        return self.scale / np.asarray(special.gammaincinv(self.shape, p))


@dataclass(frozen=True, repr=False)
class Lomax(Prior):
    """Lomax distribution, density ``(shape/scale) (1 + x/scale)**-(shape + 1)``.

    Parameters
    ----------
    shape, scale : float > 0

    Examples
    --------
    With shape 1 the median is the scale (Röver 2020, J Stat Softw 93(6), p. 8).

    >>> round(Lomax(1, 0.5).quantile(0.5), 12)
    0.5
    """

    shape: float
    scale: float

    def _check(self) -> None:
        check_number(self, "shape", self.shape, positive=True)
        check_number(self, "scale", self.scale, positive=True)

    @property
    def _tail(self) -> Tail:
        return Tail(self.shape + 1.0)

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return math.log(self.shape / self.scale) - (self.shape + 1.0) * np.log1p(u / self.scale)

    def _cdf(self, u: FloatArray) -> FloatArray:
        return -np.expm1(-self.shape * np.log1p(np.maximum(u, 0.0) / self.scale))

    def _sf(self, u: FloatArray) -> FloatArray:
        return np.exp(-self.shape * np.log1p(np.maximum(u, 0.0) / self.scale))

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self.scale * np.expm1(-np.log1p(-p) / self.shape)

    def _isf(self, p: FloatArray) -> FloatArray:
        return self.scale * np.expm1(-np.log(p) / self.shape)
