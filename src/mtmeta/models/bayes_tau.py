"""The posterior of tau by adaptive quadrature, for any model whose likelihood given tau is known.

The axis is ``log(tau) = c + sinh(z)``: spikes near 0, tails over 300 orders of magnitude and the ordinary
case all take a few dozen panels. Below the first panel the likelihood does not change any more, so the
posterior is the prior times a constant; the same above the last one where the likelihood is flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np

from mtmeta.errors import ModelError, UsageError
from mtmeta.models.posterior_panels import Panels, resolve
from mtmeta.models.priors_base import FloatArray, Prior, Tail

__all__ = ["KEEP", "Axis", "TauIntegral", "check_tau_prior", "integrate_tau", "require_proper"]

_FAR = 345.0  # |log tau| up to which tau**2 stays within the range of numbers
KEEP = 1e-16  # nodes of smaller share are left out of mixtures
_STEP = 0.8  # width of the first panels in z
_ENOUGH = 100  # panels of a like function that are worth taking over
_LEAN_NODES, _LEAN_WEIGHTS = np.polynomial.legendre.leggauss(10)  # exact to degree 19 where 15 resolve

LogLikelihood = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Axis:
    """What the data say of the axis of tau.

    Attributes
    ----------
    scale : float
        A length between the smallest standard error and the spread of the effects.
    flat_below : float
        Logarithm of a tau below which the likelihood is constant to rounding.
    fall : float
        Power with which the likelihood falls for large tau.
    marks : ndarray
        Lengths that matter where the prior has no quantiles.
    """

    scale: float
    flat_below: float
    fall: float
    marks: FloatArray


@dataclass(frozen=True, eq=False)
class TauIntegral:
    """The posterior of tau.

    Attributes
    ----------
    prior : Prior
        Prior of tau, with what it takes from the data put in.
    log_likelihood : callable
        Log likelihood at each tau, everything else integrated out.
    axis : Axis
    panels : Panels
        ``prior * likelihood`` on the z axis.
    centre : float
        c of the axis.
    low, high : float
        Lowest and highest log(tau) of the panels.
    log_low, log_high : float
        Logarithm of the integral below and above the panels.
    log_function : callable
        What the panels resolve: log of prior times likelihood at z.
    """

    prior: Prior
    log_likelihood: LogLikelihood
    axis: Axis
    panels: Panels
    centre: float
    low: float
    high: float
    log_low: float
    log_high: float
    log_function: Callable[[FloatArray], FloatArray]

    @cached_property
    def log_integral(self) -> float:
        """Logarithm of the integral of prior times likelihood over tau."""
        return float(np.logaddexp(np.logaddexp(self.panels.log_integral, self.log_low), self.log_high))

    @cached_property
    def share_low(self) -> float:
        """Posterior probability below the panels."""
        return math.exp(self.log_low - self.log_integral)

    @cached_property
    def share_high(self) -> float:
        """Posterior probability above the panels."""
        return math.exp(self.log_high - self.log_integral)

    @property
    def share_panels(self) -> float:
        """Posterior probability within the panels."""
        return math.exp(self.panels.log_integral - self.log_integral)

    @cached_property
    def every_log_tau(self) -> FloatArray:
        """All nodes, as log(tau); the end of each side stands for what is beyond it."""
        inner = self.centre + np.sinh(self.panels.nodes.ravel())
        return np.concatenate([[self.low], inner, [self.high]])

    @cached_property
    def every_weight(self) -> FloatArray:
        """Posterior probability of each node, summing to 1."""
        inner = self.panels.weights.ravel() * self.share_panels
        return np.concatenate([[self.share_low], inner, [self.share_high]])

    def _lean_axis(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return z and weights in z of a leaner rule as exact for mixtures, and log(tau) with both ends."""
        panels = self.panels
        held = panels.weights.sum(axis=1) > KEEP
        left, right = panels.left[held], panels.right[held]
        half = 0.5 * (right - left)[:, None]
        z = (0.5 * (left + right)[:, None] + half * _LEAN_NODES).ravel()
        log_tau = np.concatenate([self.centre + np.sinh(z), [self.low, self.high]])
        return z, (half * _LEAN_WEIGHTS).ravel(), log_tau

    def _lean_shares(self, log_values: FloatArray, weight: FloatArray) -> FloatArray:
        """Posterior probabilities of the nodes of the leaner rule and of both ends."""
        share = np.empty(log_values.size + 2)
        share[:-2] = np.exp(log_values - self.panels.log_integral) * weight
        share[:-2] *= self.share_panels / share[:-2].sum()
        share[-2:] = self.share_low, self.share_high
        return share

    @cached_property
    def _lean(self) -> tuple[FloatArray, FloatArray]:
        """The leaner rule: weight, tau."""
        z, weight, log_tau = self._lean_axis()
        share = self._lean_shares(self.log_function(z), weight)
        kept = share > KEEP
        return share[kept] / share[kept].sum(), np.exp(log_tau[kept])

    @property
    def weight(self) -> FloatArray:
        """Posterior probabilities of the nodes of mixtures, (T,)."""
        return self._lean[0]

    @property
    def tau(self) -> FloatArray:
        """Nodes of mixtures, (T,)."""
        return self._lean[1]

    @property
    def prior_tail(self) -> Tail:
        """How the prior density of tau falls."""
        return self.prior.tail

    @property
    def tail(self) -> Tail:
        """How the posterior density of tau falls."""
        return self.prior.tail.times(self.axis.fall)

    def log_density(self, log_tau: FloatArray) -> FloatArray:
        """Log posterior density of tau at ``log(tau)``, (T,)."""
        like = self.log_likelihood(np.exp(np.clip(log_tau, -_FAR, _FAR)))
        return self.prior.log_density_of_log(log_tau) - log_tau + like - self.log_integral

    @cached_property
    def log_density_at_zero(self) -> float:
        """Log posterior density at tau = 0."""
        like = float(self.log_likelihood(np.zeros(1))[0])
        return float(self.prior.logpdf(0.0)) + like - self.log_integral

    @property
    def light(self) -> bool:
        """Whether what the panels leave out of the mass counts for no second moment either."""
        # nodes resolve the mass to 1e-13, so second moments to that to the power (p - 3)/(p - 1)
        power = self.prior.tail.power if self.prior.tail.power < math.inf else 1.0
        return self.prior.light or power + self.axis.fall >= 14.0

    def expect(self, log_g: Callable[[FloatArray], FloatArray]) -> float:
        """Return the expectation of a positive function of log(tau), with panels of its own."""
        edges = np.append(self.panels.left, self.panels.right[-1])

        def log_function(z: FloatArray) -> FloatArray:
            return self.log_function(z) + log_g(self.centre + np.sinh(z))

        whole = resolve(log_function, edges, what="a moment of the posterior of tau")
        return math.exp(whole.log_integral - self.log_integral)

    def moment(self, order: int, centre: float = 0.0) -> float:
        """Return the expectation of ``(tau - centre)**order``, order 1 or 2; inf where it does not exist.

        Raises
        ------
        ModelError
            It exists, but the tail falls too slowly to be sure of nine digits.
        """
        if not self.tail.has_moment(float(order)):
            return math.inf
        spare = self.tail.power - order - 1.0
        if 0.0 < spare < 0.08 and self.prior.support[1] == math.inf:
            raise ModelError(
                f"moment {order} of tau exists but hangs on a tail that falls as tau**-{self.tail.power:g}; "
                "use quantiles, or a prior with a lighter tail"
            )
        if self.light:
            return float(self.every_weight @ np.power(np.exp(self.every_log_tau) - centre, order))
        # beyond the panels: exact where the likelihood cancels the power, negligible elsewhere
        beyond = 0.0
        above = float(self.prior.sf(math.exp(self.high))) if self.prior.proper else 0.0
        if above > 0.0:
            last = float(self.log_likelihood(np.exp(np.array([self.high])))[0])
            beyond = math.exp(min(last - self.log_integral + order * self.high + math.log(above), 700.0))
        if order == 1:
            return self.expect(lambda log_tau: log_tau) - centre + beyond
        with np.errstate(divide="ignore"):
            return self.expect(lambda log_tau: 2.0 * np.log(np.abs(np.exp(log_tau) - centre))) + beyond


def check_tau_prior(prior: Prior) -> None:
    """Raise a UsageError for a prior that gives negative tau a probability."""
    if prior.support[0] < 0.0 and prior.proper:
        raise UsageError(
            f"tau={prior!r} gives values below 0 a probability; use HalfNormal, HalfT, HalfCauchy or "
            f"{prior!r}.truncated(low=0)"
        )


def require_proper(prior: Prior, k: int, lost: int, what: str) -> None:
    """Raise where prior times likelihood, which falls as ``tau**-(k - lost)``, cannot be integrated.

    Raises
    ------
    ModelError
        Says how many studies it takes.
    """
    if prior.proper or prior.support[1] < math.inf or prior.tail.times(float(k - lost)).has_moment(0.0):
        return
    needed = k
    while not prior.tail.times(float(needed - lost)).has_moment(0.0):
        needed += 1
    raise ModelError(
        f"the posterior is not proper: with tau ~ {prior!r} and {what} at least {needed} studies are needed, "
        f"and there {'is' if k == 1 else 'are'} {k}; use a proper prior of tau, such as HalfNormal(0.5) for "
        "standardised mean differences"
    )


@lru_cache(maxsize=256)
def _log_landmarks(prior: Prior) -> FloatArray:
    with np.errstate(divide="ignore"):
        marks: FloatArray = np.unique(np.log(prior.landmarks()))
    marks.setflags(write=False)
    return marks


def _edges(axis: Axis, prior: Prior, centre: float, low: float, high: float) -> FloatArray:
    ends = np.arcsinh(np.array([low, high]) - centre)
    count = max(2, math.ceil(float(ends[1] - ends[0]) / _STEP))
    edges = np.linspace(ends[0], ends[1], count + 1)
    marks = _log_landmarks(prior) if prior.proper else np.log(axis.marks)
    marks = np.arcsinh(marks[(marks > low) & (marks < high)] - centre)
    if prior.proper and marks.size > 1 and float((marks[1:] - marks[:-1]).min()) < 0.5 * _STEP:
        # the prior is narrower than the panels: let its quantiles be edges
        edges = np.sort(np.concatenate([edges, marks]))
        gaps = edges[1:] - edges[:-1] > 1e-13 * np.maximum(1.0, np.abs(edges[1:]))
        edges = np.concatenate([edges[:1], edges[1:][gaps]])
        edges[-1] = ends[1]
    return edges


def _on_axis(prior: Prior, log_likelihood: LogLikelihood, centre: float, z: FloatArray) -> FloatArray:
    log_tau = centre + np.sinh(z)
    like = log_likelihood(np.exp(log_tau))
    return prior.log_density_of_log(log_tau) + like + np.log(np.cosh(z))


def _edges_like(panels: Panels, centre: float, low: float, high: float) -> FloatArray:
    """Return the edges of panels that resolved a like function, between other ends."""
    ends = np.arcsinh(np.array([low, high]) - centre)
    inner = panels.left[(panels.left > ends[0] + 1e-9) & (panels.left < ends[1] - 1e-9)]
    return np.concatenate([ends[:1], inner, ends[1:]])


def integrate_tau(
    prior: Prior, log_likelihood: LogLikelihood, axis: Axis, like: TauIntegral | None = None
) -> TauIntegral:
    """Integrate prior times likelihood over tau.

    Parameters
    ----------
    prior : Prior
        Bound to the data already (see :meth:`Prior.for_variances`).
    log_likelihood : callable
        Takes tau (T,), from 0 to 1e150, gives (T,).
    axis : Axis
    like : TauIntegral, optional
        Of the same prior with another likelihood: its panels are the first partition, and are refined
        as any would be.

    Raises
    ------
    ModelError
        The integral cannot be vouched for.
    """
    bottom, ceiling = prior.support
    log_bottom = math.log(bottom) if bottom > 0.0 else -math.inf
    # the panels also reach down to where the prior has probability, for moments and quantiles of tau
    reach = min(axis.flat_below, float(_log_landmarks(prior)[0])) if prior.proper else -_FAR
    low = max(reach, -_FAR, log_bottom)
    high = min(_FAR, math.log(ceiling) if ceiling < math.inf else math.inf)
    centre = min(max(math.log(axis.scale), low), high) if low < high else low
    log_low = log_high = -math.inf
    if prior.proper and low > log_bottom:
        with np.errstate(divide="ignore"):
            log_low = float(np.log(prior.cdf(math.exp(min(low, high))))) + float(
                log_likelihood(np.zeros(1))[0]
            )
    if low >= high:  # all of the prior lies where tau does not matter
        low = high - 1e-3
    if like is not None and like.centre == centre and like.panels.left.size <= _ENOUGH:
        edges = _edges_like(like.panels, centre, low, high)
    else:
        edges = _edges(axis, prior, centre, low, high)

    log_function = partial(_on_axis, prior, log_likelihood, centre)  # a result can be pickled
    panels = resolve(log_function, edges, what="the posterior of tau")
    if prior.proper and ceiling == math.inf and (above := float(prior.sf(math.exp(high)))) > 0.0:
        log_high = math.log(above) + float(log_likelihood(np.exp(np.array([high])))[0])
    return TauIntegral(
        prior, log_likelihood, axis, panels, centre, low, high, log_low, log_high, log_function
    )
