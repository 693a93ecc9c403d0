"""What every prior is: a frozen distribution of the mean effect or of between-study standard deviation."""
# ruff: noqa: D102 - members that override a documented one are described there

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from mtmeta.errors import UsageError
from mtmeta.measures import check_choice

__all__ = ["FloatArray", "On", "Prior", "Tail", "Truncated", "check_number"]

FloatArray = npt.NDArray[np.float64]
On = Literal["tau", "tau2"]
_LOG2 = math.log(2.0)
_LANDMARKS = np.array([1e-16, 1e-13, 1e-10, 1e-7, 1e-5, 1e-3, 0.02, 0.15, 0.4])


@dataclass(frozen=True, slots=True)
class Tail:
    """How a density falls: as ``x**-power * log(x)**-logs`` for large x; power inf for any faster fall."""

    power: float
    logs: float = 0.0

    def has_moment(self, order: float) -> bool:
        """Whether the integral of ``x**order`` times the density over the tail is finite."""
        return self.power - order > 1.0 or (self.power - order == 1.0 and self.logs > 1.0)

    def times(self, power: float) -> Tail:
        """Return the tail of the density times ``x**-power``."""
        return Tail(self.power + power, self.logs)


def check_number(prior: object, name: str, value: object, *, positive: bool = False) -> float:
    """Return a finite number, above 0 where asked, or raise a UsageError that names prior and parameter."""
    ok = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if ok:
        number = float(cast(float, value))
        if math.isfinite(number) and (number > 0.0 or not positive):
            return number
    want = "a number above 0" if positive else "a finite number"
    raise UsageError(f"{type(prior).__name__}: {name}={value!r} must be {want}")


@dataclass(frozen=True)
class Prior(ABC):
    """A prior distribution. Frozen; two priors with the same parameters are equal.

    All methods answer for the quantity itself: the mean effect, or the between-study standard deviation
    tau. ``on="tau2"`` says that the *parameters* describe tau squared (the change of variables is exact);
    the methods still answer for tau.

    Attributes
    ----------
    on : {"tau", "tau2"}, keyword
        What the parameters describe when the prior stands for heterogeneity.
    source : str, keyword
        Where the numbers come from; results print it. Does not count in comparisons.
    """

    on: On = field(default="tau", kw_only=True)
    source: str = field(default="", kw_only=True, repr=False, compare=False)

    # -- what a family defines, on the scale of its parameters ---------------------------------------
    def __post_init__(self) -> None:
        check_choice("on", self.on, get_args(On))
        self._check()

    def _check(self) -> None:
        """Raise a UsageError for parameters outside of their domain."""
        return  # any will do, unless a prior says otherwise

    @property
    def _range(self) -> tuple[float, float]:
        return 0.0, math.inf

    @property
    def _tail(self) -> Tail:
        return Tail(math.inf)

    @property
    def light(self) -> bool:
        """Whether the density falls as fast as a normal one, or ends."""
        return self.support[1] < math.inf

    @abstractmethod
    def _logpdf(self, u: FloatArray) -> FloatArray: ...

    def _logpdf_of_log(self, ell: FloatArray) -> FloatArray:
        """Log density of the logarithm, at ``ell = log(u)``."""
        return self._logpdf(np.exp(ell)) + ell

    def _cdf(self, u: FloatArray) -> FloatArray:
        raise self._improper("probabilities")

    def _sf(self, u: FloatArray) -> FloatArray:
        raise self._improper("probabilities")

    def _ppf(self, p: FloatArray) -> FloatArray:
        raise self._improper("quantiles")

    def _isf(self, p: FloatArray) -> FloatArray:
        raise self._improper("quantiles")

    # -- what everybody asks -------------------------------------------------------------------------
    @property
    def proper(self) -> bool:
        """Whether the density integrates to 1."""
        return True

    @property
    def support(self) -> tuple[float, float]:
        """Lowest and highest value with a density."""
        low, high = self._range
        return (low, high) if self.on == "tau" else (math.sqrt(max(low, 0.0)), math.sqrt(high))

    @property
    def tail(self) -> Tail:
        """How the density falls for large values."""
        tail = self._tail
        return tail if self.on == "tau" else Tail(2.0 * tail.power - 1.0, tail.logs)

    def logpdf(self, x: npt.ArrayLike) -> Any:
        """Log density at `x`; -inf outside of the support."""
        return self._map(self._logpdf_at, x)

    def pdf(self, x: npt.ArrayLike) -> Any:
        """Density at `x`."""
        return self._map(lambda value: np.exp(self._logpdf_at(value)), x)

    def cdf(self, x: npt.ArrayLike) -> Any:
        """Probability of a value up to `x`."""
        self._require_proper("distribution function")
        return self._map(lambda value: self._cdf(self._native(value)), x)

    def sf(self, x: npt.ArrayLike) -> Any:
        """Probability of a value above `x`, accurate where it is small."""
        self._require_proper("distribution function")
        return self._map(lambda value: self._sf(self._native(value)), x)

    def quantile(self, p: npt.ArrayLike) -> Any:
        """Value below which the probability is `p`, 0 <= p <= 1."""
        return self._quantile(self._ppf, p)

    def upper_quantile(self, p: npt.ArrayLike) -> Any:
        """Value above which the probability is `p`, accurate where `p` is small."""
        return self._quantile(self._isf, p)

    def sample(self, size: int | tuple[int, ...], seed: int | np.random.Generator) -> FloatArray:
        """Draw from the prior by inversion; the same seed gives the same draws."""
        draws: FloatArray = np.asarray(self.quantile(np.random.default_rng(seed).random(size)))
        return draws

    def truncated(self, low: float = -math.inf, high: float = math.inf) -> Prior:
        """Return the prior restricted to ``low <= value <= high`` and normalised again.

        Raises
        ------
        UsageError
            An empty range, or one that the prior gives no probability.
        """
        return Truncated(self, low, high, source=self.source)

    def for_variances(self, vi: npt.ArrayLike) -> Prior:
        """Return the prior with what it takes from the sampling variances put in; itself if nothing."""
        return self

    def log_density_of_log(self, log_x: FloatArray) -> FloatArray:
        """Log density of ``log(value)``, which neither under- nor overflows where the value does."""
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
            scale = 1.0 if self.on == "tau" else 2.0
            out = self._logpdf_of_log(scale * log_x) + math.log(scale)
        return np.where(np.isnan(out), -math.inf, out)

    def landmarks(self) -> FloatArray:
        """Values that show where the probability lies, in ascending order."""
        with np.errstate(over="ignore", under="ignore"):
            return np.concatenate([self.quantile(_LANDMARKS), self.upper_quantile(_LANDMARKS[::-1])])

    # -- helpers -------------------------------------------------------------------------------------
    def _native(self, x: FloatArray) -> FloatArray:
        return x if self.on == "tau" else np.square(np.maximum(x, 0.0))

    def _logpdf_at(self, x: FloatArray) -> FloatArray:
        low, high = self.support
        inside = (x >= low) & (x <= high)
        if self.on == "tau":
            value = self._logpdf(np.where(inside, x, np.nan))
        else:
            value = self._logpdf(np.where(inside, np.square(x), np.nan)) + _LOG2 + np.log(np.abs(x))
        return np.where(inside & ~np.isnan(value), value, -math.inf)

    def _quantile(self, inverse: Any, p: npt.ArrayLike) -> Any:
        self._require_proper("quantiles")
        q = np.asarray(p, dtype=np.float64)
        if not bool(np.all((q >= 0.0) & (q <= 1.0))):
            raise UsageError("probabilities must lie between 0 and 1")

        def at(values: FloatArray) -> FloatArray:
            u: FloatArray = inverse(values)
            return u if self.on == "tau" else np.sqrt(np.maximum(u, 0.0))

        return self._map(at, q)

    def _map(self, function: Any, x: npt.ArrayLike) -> Any:
        values = np.asarray(x, dtype=np.float64)
        with np.errstate(all="ignore"):
            out = np.asarray(function(np.atleast_1d(values)), dtype=np.float64)
        return float(out[0]) if values.ndim == 0 else out.reshape(values.shape)

    def _require_proper(self, what: str) -> None:
        if not self.proper:
            raise self._improper(what)

    def _improper(self, what: str) -> UsageError:
        return UsageError(f"{self!r} is improper: it has no {what}")

    def __repr__(self) -> str:
        shown = [_shown(getattr(self, f.name)) for f in fields(self) if not f.kw_only]
        if self.on != "tau":
            shown.append(f'on="{self.on}"')
        return f"{type(self).__name__}({', '.join(shown)})"


def _shown(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, (int, float)) else repr(value)


@dataclass(frozen=True, repr=False)
class Truncated(Prior):
    """A prior restricted to a range and normalised again; made by :meth:`Prior.truncated`.

    Parameters
    ----------
    prior : Prior
    low, high : float
        The range, of the quantity itself (of tau, whatever ``prior.on`` is).

    Examples
    --------
    The effect prior of Oosterwijk in BayesTools, t with 3 degrees of freedom kept above 0.

    >>> from mtmeta.models.priors import StudentT
    >>> StudentT(3, 0.35, 0.102).truncated(low=0)
    StudentT(3, 0.35, 0.102).truncated(0, inf)
    """

    prior: Prior
    low: float = -math.inf
    high: float = math.inf

    def _check(self) -> None:
        if not isinstance(self.prior, Prior):
            raise UsageError(f"truncated: {self.prior!r} is not a prior")
        if isinstance(self.prior, Truncated):
            raise UsageError(f"{self.prior!r} is truncated already; give both ends at once")
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
                raise UsageError(f"truncated: {name}={value!r} must be a number")
        if self.on != "tau":
            raise UsageError("truncated: the bounds are bounds of tau itself; say on= in the prior within")
        low, high = self.support
        if not low < high:
            raise UsageError(
                f"truncated: nothing of {self.prior!r} lies between {self.low:g} and {self.high:g}"
            )
        if self.prior.proper and self._mass < 1e-280:
            raise UsageError(
                f"truncated: {self.prior!r} gives the range {self.low:g} to {self.high:g} no probability"
            )

    @property
    def proper(self) -> bool:
        return self.prior.proper

    @property
    def _range(self) -> tuple[float, float]:
        low, high = self.prior.support
        return max(low, self.low), min(high, self.high)

    @property
    def _tail(self) -> Tail:
        return self.prior.tail if self._range[1] == math.inf else Tail(math.inf)

    @property
    def light(self) -> bool:
        return self.prior.light or self._range[1] < math.inf

    @property
    def _upper(self) -> bool:
        """Whether tail probabilities from above are the accurate ones."""
        return float(self.prior.cdf(self._range[0])) > 0.5

    @property
    def _mass(self) -> float:
        low, high = self._range
        if self._upper:
            return float(self.prior.sf(low)) - float(self.prior.sf(high))
        return float(self.prior.cdf(high)) - float(self.prior.cdf(low))

    @property
    def _log_mass(self) -> float:
        return math.log(self._mass) if self.prior.proper else 0.0

    def _logpdf(self, u: FloatArray) -> FloatArray:
        return np.asarray(self.prior.logpdf(u)) - self._log_mass

    def _logpdf_of_log(self, ell: FloatArray) -> FloatArray:
        low, high = self._range
        inside = (ell >= (math.log(low) if low > 0 else -math.inf)) & (ell <= math.log(high))
        return np.where(inside, self.prior.log_density_of_log(ell) - self._log_mass, -math.inf)

    def _cdf(self, u: FloatArray) -> FloatArray:
        low, high = self._range
        x = np.clip(u, low, high)
        if self._upper:
            part = float(self.prior.sf(low)) - np.asarray(self.prior.sf(x))
        else:
            part = np.asarray(self.prior.cdf(x)) - float(self.prior.cdf(low))
        return np.clip(part / self._mass, 0.0, 1.0)

    def _sf(self, u: FloatArray) -> FloatArray:
        low, high = self._range
        x = np.clip(u, low, high)
        if self._upper or high == math.inf:
            part = np.asarray(self.prior.sf(x)) - float(self.prior.sf(high))
        else:
            part = float(self.prior.cdf(high)) - np.asarray(self.prior.cdf(x))
        return np.clip(part / self._mass, 0.0, 1.0)

    def _ppf(self, p: FloatArray) -> FloatArray:
        low, high = self._range
        if self._upper:
            x = self.prior.upper_quantile(np.clip(float(self.prior.sf(low)) - p * self._mass, 0.0, 1.0))
        else:
            x = self.prior.quantile(np.clip(float(self.prior.cdf(low)) + p * self._mass, 0.0, 1.0))
        return np.where(p <= 0.0, low, np.where(p >= 1.0, high, np.clip(x, low, high)))

    def _isf(self, p: FloatArray) -> FloatArray:
        low, high = self._range
        if self._upper or high == math.inf:
            x = self.prior.upper_quantile(np.clip(float(self.prior.sf(high)) + p * self._mass, 0.0, 1.0))
        else:
            x = self.prior.quantile(np.clip(float(self.prior.cdf(high)) - p * self._mass, 0.0, 1.0))
        return np.where(p <= 0.0, high, np.where(p >= 1.0, low, np.clip(x, low, high)))

    def for_variances(self, vi: npt.ArrayLike) -> Prior:
        inner = self.prior.for_variances(vi)
        return self if inner is self.prior else Truncated(inner, self.low, self.high, source=self.source)

    def __repr__(self) -> str:
        return f"{self.prior!r}.truncated({self.low:g}, {self.high:g})"
