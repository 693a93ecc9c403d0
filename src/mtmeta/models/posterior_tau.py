"""The posterior of tau as a distribution, and what follows from it without the mean."""
# ruff: noqa: D102 - members that override a documented one are described there

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mtmeta.errors import ModelError
from mtmeta.models.bayes_tau import TauIntegral
from mtmeta.models.posterior import Distribution, climb
from mtmeta.models.priors_base import FloatArray

__all__ = ["Mapped", "TauDistribution", "i2_distribution"]


@dataclass(frozen=True, eq=False, repr=False)
class TauDistribution(Distribution):
    """The posterior distribution of tau.

    Parameters
    ----------
    posterior : TauIntegral
    """

    posterior: TauIntegral

    @property
    def support(self) -> tuple[float, float]:
        low, high = self.posterior.prior.support
        return max(low, 0.0), high

    @cached_property
    def mean(self) -> float:
        return self.posterior.moment(1)

    @cached_property
    def sd(self) -> float:
        if not math.isfinite(self.mean):
            return math.inf
        square = self.posterior.moment(2, self.mean)
        return math.sqrt(square)

    def expect(self, function: Callable[[FloatArray], FloatArray]) -> float:
        """Return the expectation of a bounded function of tau."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.dot(self.posterior.weight, function(self.posterior.tau)))

    def _log_pdf(self, x: FloatArray) -> FloatArray:
        out = np.full(x.shape, -math.inf)
        inside = (x > 0.0) & np.isfinite(x)
        if inside.any():
            out[inside] = self.posterior.log_density(np.log(x[inside]))
        zero = x == 0.0
        if zero.any():
            out[zero] = self.posterior.log_density_at_zero
        return out

    def _cdf(self, x: FloatArray) -> FloatArray:
        return self._shares(x, above=False)

    def _sf(self, x: FloatArray) -> FloatArray:
        return self._shares(x, above=True)

    def _shares(self, x: FloatArray, *, above: bool) -> FloatArray:
        post = self.posterior
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.log(np.maximum(x, 0.0))
        z = np.arcsinh(np.clip(t, post.low, post.high) - post.centre)
        if above:
            out = post.share_high + post.share_panels * post.panels.share_above(z)
        else:
            out = post.share_low + post.share_panels * post.panels.share_below(z)
        below, beyond = t < post.low, t > post.high
        if below.any():
            part = post.share_low * _ratio(
                post.prior.cdf(x[below]), post.prior, math.exp(post.low), upper=False
            )
            out[below] = 1.0 - part if above else part
        if beyond.any():
            part = post.share_high * _ratio(
                post.prior.sf(x[beyond]), post.prior, math.exp(post.high), upper=True
            )
            out[beyond] = part if above else 1.0 - part
        return np.clip(out, 0.0, 1.0)

    def _quantile(self, p: FloatArray) -> FloatArray:
        return self._both(p, p[:0])

    def _upper(self, q: FloatArray) -> FloatArray:
        return self._both(q[:0], q)

    def _both(self, p: FloatArray, q: FloatArray) -> FloatArray:
        post = self.posterior
        below = np.clip((p - post.share_low) / post.share_panels, 0.0, 1.0)
        above = np.clip((q - post.share_high) / post.share_panels, 0.0, 1.0)
        out = np.exp(post.centre + np.sinh(post.panels.invert(below, above)))
        # beyond the panels the posterior is the prior, scaled
        low = np.concatenate([p < post.share_low, q > 1.0 - post.share_low])
        if low.any():
            edge = float(post.prior.cdf(math.exp(post.low)))
            share = np.concatenate([p, 1.0 - q])[low] / post.share_low
            out[low] = np.asarray(post.prior.quantile(np.clip(share, 0.0, 1.0) * edge))
        high = np.concatenate([p > 1.0 - post.share_high, q < post.share_high])
        if high.any():
            edge = float(post.prior.sf(math.exp(post.high)))
            share = np.concatenate([1.0 - p, q])[high] / post.share_high
            out[high] = np.asarray(post.prior.upper_quantile(np.clip(share, 0.0, 1.0) * edge))
        return out

    def _find_mode(self) -> float:
        post = self.posterior
        low = self.support[0]
        if low == 0.0 and self.posterior.log_density_at_zero == math.inf:
            return 0.0
        # the density of tau at the nodes, from that of z which they hold
        z = post.panels.nodes.ravel()
        log_tau = post.centre + np.sinh(z)
        with np.errstate(divide="ignore"):
            heights = np.log(post.panels.values.ravel()) - np.log(np.cosh(z)) - log_tau
        i = int(heights.argmax())
        if 0 < i < z.size - 1:
            around = slice(i - 1, i + 2)
            best = math.exp(climb(post.log_density, log_tau[around], heights[around]))
        else:
            ends = np.concatenate([[post.low], log_tau, [post.high]])[[i, i + 2]]
            best = math.exp(climb(post.log_density, np.linspace(ends[0], ends[1], 17)))
        top = float(heights[i]) + post.panels.top - post.log_integral
        if low == 0.0 and post.log_density_at_zero > top - 1e-9 * max(1.0, abs(top)):
            height = float(post.log_density(np.array([math.log(best)]))[0])
            # a maximum at 0 shows as a slope that only falls: 0 wins a tie within rounding
            if post.log_density_at_zero >= height - 1e-13 * max(1.0, abs(height)):
                return 0.0
        return best


def _ratio(part: object, prior: object, edge: float, *, upper: bool) -> FloatArray:
    whole = float(prior.sf(edge) if upper else prior.cdf(edge))  # type: ignore[attr-defined]
    shares = np.asarray(part, dtype=np.float64)
    return shares / whole if whole > 0.0 else np.zeros_like(shares)


@dataclass(frozen=True, eq=False, repr=False)
class Mapped(Distribution):
    """The distribution of an increasing, bounded function of another quantity.

    Parameters
    ----------
    base : Distribution
        With a method ``expect``.
    forward, inverse, log_slope : callable
        The function, its inverse, and the logarithm of its derivative, on arrays.
    expect : callable
        Expectation of a function of the base quantity.
    """

    base: Distribution
    forward: Callable[[FloatArray], FloatArray]
    inverse: Callable[[FloatArray], FloatArray]
    log_slope: Callable[[FloatArray], FloatArray]
    expect: Callable[[Callable[[FloatArray], FloatArray]], float]

    @property
    def support(self) -> tuple[float, float]:
        low, high = self.forward(np.array(self.base.support))
        return float(low), float(high)

    @cached_property
    def median(self) -> float:
        return float(self.forward(np.array([self.base.median]))[0])

    def _find_mode(self) -> float:
        low, high = self.support
        ends = self._log_pdf(np.array([low, high]))
        if ends[0] == math.inf:
            return low
        return high if ends[1] == math.inf else super()._find_mode()

    @cached_property
    def mean(self) -> float:
        return self.expect(self.forward)

    @cached_property
    def sd(self) -> float:
        return math.sqrt(self.expect(lambda t: np.square(self.forward(t) - self.mean)))

    def _log_pdf(self, x: FloatArray) -> FloatArray:
        low, high = self.support
        inside = (x >= low) & (x <= high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            t = self.inverse(np.where(inside, x, low))
            value = self.base._log_pdf(t) - self.log_slope(t)
        return np.where(inside, value, -math.inf)

    def _cdf(self, x: FloatArray) -> FloatArray:
        low, high = self.support
        inner = self.base._cdf(self.inverse(np.clip(x, low, high)))
        return np.where(x < low, 0.0, np.where(x >= high, 1.0, inner))

    def _sf(self, x: FloatArray) -> FloatArray:
        low, high = self.support
        inner = self.base._sf(self.inverse(np.clip(x, low, high)))
        return np.where(x < low, 1.0, np.where(x >= high, 0.0, inner))

    def _quantile(self, p: FloatArray) -> FloatArray:
        return self.forward(self.base._quantile(p))

    def _upper(self, q: FloatArray) -> FloatArray:
        return self.forward(self.base._upper(q))


def i2_distribution(tau: TauDistribution, v: FloatArray) -> Mapped:
    """Distribution of I squared in percent: ``100 tau**2/(tau**2 + v)``, v the typical sampling variance.

    Raises
    ------
    ModelError
        One study: there is no typical variance.
    """
    if v.size < 2:
        raise ModelError("I squared needs at least 2 studies and there is 1")
    w = v.min() / v
    typical = (v.size - 1) * w.sum() / (w.sum() ** 2 - np.square(w).sum()) * float(v.min())

    def forward(t: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", divide="ignore"):
            return np.asarray(100.0 / (1.0 + typical / np.square(t)))

    def inverse(i2: FloatArray) -> FloatArray:
        share = i2 / 100.0
        with np.errstate(divide="ignore"):
            return np.asarray(np.sqrt(typical * share / (1.0 - share)))

    def log_slope(t: FloatArray) -> FloatArray:
        return np.asarray(math.log(200.0 * typical) + np.log(t) - 2.0 * np.log(np.square(t) + typical))

    return Mapped(tau, forward, inverse, log_slope, tau.expect)
