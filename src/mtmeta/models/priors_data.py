"""Priors of heterogeneity that take a number from the sampling variances."""
# ruff: noqa: D102 - members that override a documented one are described there

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtmeta.errors import UsageError
from mtmeta.models.priors_base import FloatArray, Prior, Tail
from mtmeta.models.priors_positive import Lomax

__all__ = ["DuMouchel", "Jeffreys", "UniformShrinkage"]


def _harmonic_mean(prior: Prior, vi: npt.ArrayLike) -> float:
    v = np.asarray(vi, dtype=np.float64)
    if v.ndim != 1 or v.size == 0 or not bool(np.all((v > 0.0) & np.isfinite(v))):
        raise UsageError(f"{prior!r} needs the sampling variances of the studies, all above 0")
    return float(v.size / np.sum(1.0 / v))


@dataclass(frozen=True, repr=False)
class _OfTheData(Prior):
    """Priors that take a number from the sampling variances."""

    def _check(self) -> None:
        if self.on != "tau":
            raise UsageError(f"{type(self).__name__} is a prior of tau; it takes no on=")

    def _unbound(self) -> UsageError:
        return UsageError(
            f"{self!r} depends on the sampling variances; ask {self!r}.for_variances(vi) for its density"
        )

    def _logpdf(self, u: FloatArray) -> FloatArray:
        raise self._unbound()

    def _cdf(self, u: FloatArray) -> FloatArray:
        raise self._unbound()

    def _sf(self, u: FloatArray) -> FloatArray:
        raise self._unbound()

    def _ppf(self, p: FloatArray) -> FloatArray:
        raise self._unbound()

    def _isf(self, p: FloatArray) -> FloatArray:
        raise self._unbound()


@dataclass(frozen=True, repr=False)
class DuMouchel(_OfTheData):
    """DuMouchel's prior ``s0/(s0 + tau)**2`` with s0 squared the harmonic mean of the sampling variances.

    A Lomax distribution of shape 1; the median is s0.

    References
    ----------
    DuMouchel, W. H. & Normand, S.-L. (2000), in Meta-analysis in Medicine and Health Policy, ch. 6.
    Röver (2020), J Stat Softw 93(6), p. 10.

    Examples
    --------
    >>> DuMouchel().for_variances([0.04, 0.04])
    Lomax(1, 0.2)
    """

    def for_variances(self, vi: npt.ArrayLike) -> Prior:
        return Lomax(1.0, math.sqrt(_harmonic_mean(self, vi)), source=self.source)


@dataclass(frozen=True, repr=False)
class UniformShrinkage(_OfTheData):
    """Uniform distribution of the average shrinkage ``s0**2/(s0**2 + tau**2)``.

    s0 squared is the harmonic mean of the sampling variances (Daniels 1999, Can J Stat 27, p. 569), so
    tau squared has a Lomax distribution of shape 1; the median of tau is s0.

    Examples
    --------
    >>> UniformShrinkage().for_variances([0.04, 0.04])
    Lomax(1, 0.04, on="tau2")
    """

    def for_variances(self, vi: npt.ArrayLike) -> Prior:
        return Lomax(1.0, _harmonic_mean(self, vi), on="tau2", source=self.source)


@dataclass(frozen=True, repr=False)
class Jeffreys(_OfTheData):
    """Jeffreys' prior of tau, ``sqrt(sum (tau/(v_i + tau**2))**2)``, improper.

    References
    ----------
    Röver (2020), J Stat Softw 93(6), p. 9.

    Examples
    --------
    >>> Jeffreys().proper
    False
    """

    @property
    def proper(self) -> bool:
        return False

    @property
    def _tail(self) -> Tail:
        return Tail(1.0)

    def for_variances(self, vi: npt.ArrayLike) -> Prior:
        _harmonic_mean(self, vi)
        return _JeffreysOf(tuple(np.asarray(vi, dtype=np.float64).tolist()), source=self.source)


@dataclass(frozen=True, repr=False)
class _JeffreysOf(Prior):
    """Jeffreys' prior for given sampling variances."""

    vi: tuple[float, ...]

    @property
    def proper(self) -> bool:
        return False

    @property
    def _tail(self) -> Tail:
        return Tail(1.0)

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return self._logpdf_of_log(np.log(u)) - np.log(u)

    def _logpdf_of_log(self, ell: FloatArray) -> FloatArray:
        v = np.array(self.vi)
        # u^2/(v + u^2) in every term, so that neither a small nor a large value leaves the range of numbers
        share = 1.0 / (1.0 + v / np.exp(2.0 * ell)[:, None])
        return np.asarray(0.5 * np.log(np.sum(np.square(share), axis=1)))

    def __repr__(self) -> str:
        return "Jeffreys()"
