"""The posterior of tau by adaptive quadrature, and with it everything else as a mixture over tau.

The axis is ``log(tau) = c + sinh(z)``: spikes near 0, tails over 300 orders of magnitude and the ordinary
case all take a few dozen panels. Below the first panel the likelihood does not change any more, so the
posterior is the prior times a constant; the same above the last one where the likelihood is flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
from scipy import special

from mtmeta.errors import ModelError, UsageError
from mtmeta.models.bayes_conditional import (
    Given,
    MeanPrior,
    Rows,
    check_mixture,
    condensed,
    given,
    log_normal_between,
    mean_prior,
    posterior_of_mean,
)
from mtmeta.models.posterior_panels import Panels, resolve
from mtmeta.models.priors_base import FloatArray, Prior, Tail

__all__ = ["Joint", "KnownTau", "TauPosterior", "check_tau_prior", "integrate"]

_FAR = 345.0  # |log tau| up to which tau**2 stays within the range of numbers
_KEEP = 1e-16  # nodes of smaller share are left out of mixtures
_STEP = 0.8  # width of the first panels in z
_FEW, _MORE = 24, 36  # nodes that may stand for all in mixtures
_FEWER_ERROR = 1e-12  # of any probability
_LEAN_NODES, _LEAN_WEIGHTS = np.polynomial.legendre.leggauss(10)  # exact to degree 19 where 15 resolve


Components = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


class Joint(Protocol):
    """A joint posterior of tau and the mean effect as a mixture."""

    @property
    def rows(self) -> Rows:
        """The data."""

    @property
    def mean(self) -> MeanPrior:
        """Prior of the mean."""

    @property
    def components(self) -> Components:
        """Weight, tau, mean and standard deviation of the (shifted) mean effect, each (M,)."""

    @property
    def tail(self) -> Tail:
        """How the posterior density of tau falls."""

    @property
    def prior_tail(self) -> Tail:
        """How the prior density of tau falls."""

    @property
    def mean_moments(self) -> tuple[float, float]:
        """Expectation and variance of the (shifted) mean effect, not truncated."""

    def moment(self, order: int) -> float:
        """Return the expectation of ``tau**order``."""


@dataclass(frozen=True, eq=False)
class KnownTau:
    """The posterior where tau is known.

    Attributes
    ----------
    rows : Rows
    mean : MeanPrior
    tau : float
    """

    rows: Rows
    mean: MeanPrior
    tau: float

    @cached_property
    def given(self) -> Given:
        """The model at that tau."""
        return given(self.rows, self.mean, np.array([self.tau]))

    @property
    def log_integral(self) -> float:
        """Logarithm of the marginal likelihood."""
        return float(self.given.log_likelihood[0])

    @cached_property
    def components(self) -> Components:
        """The mixture over the components of the mean's prior."""
        return _components(self.mean, np.ones(1), np.array([self.tau]), self.given)

    @property
    def tail(self) -> Tail:
        """Tau does not reach far."""
        return Tail(math.inf)

    @property
    def prior_tail(self) -> Tail:
        """Nor does its prior."""
        return Tail(math.inf)

    @property
    def mean_moments(self) -> tuple[float, float]:
        """Expectation and variance of the (shifted) mean effect, not truncated."""
        w, _, m, s = self.components
        mean = float(w @ m)
        return mean, float(w @ (np.square(s) + np.square(m - mean)))

    def moment(self, order: int) -> float:
        """Return ``tau**order``."""
        return self.tau**order


def _condensed_range(
    mean: MeanPrior, at: Given, inner: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Condense a mixture whose mean is kept in a range; leave it whole where the range is far out."""
    centre, sd = posterior_of_mean(mean, at)
    log_share = log_normal_between((mean.low - centre) / sd, (mean.high - centre) / sd)
    free = at.components - log_share
    top = free.max(axis=1, keepdims=True)
    height = np.exp(free - top)
    total = height.sum(axis=1, keepdims=True)
    weight, few, few_sd = condensed(mean, at, height / total)
    share = weight * np.exp(log_normal_between((mean.low - few) / few_sd, (mean.high - few) / few_sd))
    kept = share.sum(axis=1)
    with np.errstate(divide="ignore"):
        gap = np.log(kept) + (top + np.log(total))[:, 0] - at.log_likelihood
    if not float(np.abs(gap).max()) <= 1e-10:
        return inner, centre, sd
    return share / kept[:, None], few, few_sd


def _components(mean: MeanPrior, weight: FloatArray, tau: FloatArray, at: Given) -> Components:
    if at.components.shape[1] == 1:
        centre, sd = posterior_of_mean(mean, at)
        return weight, tau, centre[:, 0], sd[:, 0]
    inner = np.exp(at.components - at.log_likelihood[:, None])
    if mean.bounded:
        inner, centre, sd = _condensed_range(mean, at, inner)
    else:
        inner, centre, sd = condensed(mean, at, inner)
    joint = weight[:, None] * inner
    kept = joint > _KEEP
    w = joint[kept]
    return w / w.sum(), np.broadcast_to(tau[:, None], joint.shape)[kept], centre[kept], sd[kept]


def _apart(rows: Rows, one: Components, two: Components) -> float:
    """Largest difference of two mixtures in a probability of the mean, a new study or the extreme studies."""
    w, tau, m, s = one
    centre = float(w @ m)
    narrow = math.sqrt(float(w @ (np.square(s) + np.square(m - centre))))
    median = float(np.sort(tau)[tau.size // 2])
    x = centre + np.concatenate([narrow * np.linspace(-2.7, 2.7, 9), median * np.array([-3, -1.2, 0.8, 2.1])])
    worst = 0.0
    for row in (-1, int(rows.v.argmin()), int(rows.v.argmax())):
        values = []
        for weight, t, mean, sd in (one, two):
            if row < 0:
                spreads: tuple[FloatArray, ...] = (sd, np.hypot(sd, t))
                at = mean
            else:
                share = np.square(t) / (np.square(t) + rows.v[row])
                at = rows.d[row] * share + (1.0 - share) * mean
                spreads = (np.hypot((1.0 - share) * sd, np.sqrt(rows.v[row] * share)),)
            values.append([special.ndtr((x[:, None] - at) / spread) @ weight for spread in spreads])
        worst = max(worst, float(np.abs(np.array(values[0]) - np.array(values[1])).max()))
    return worst


@dataclass(frozen=True, eq=False)
class TauPosterior:
    """The posterior of tau for given data and priors.

    Attributes
    ----------
    rows : Rows
    mean : MeanPrior
    prior : Prior
        Prior of tau, with what it takes from the data put in.
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

    rows: Rows
    mean: MeanPrior
    prior: Prior
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

    @cached_property
    def _mixture(self) -> tuple[FloatArray, FloatArray, Given]:
        """Nodes of a leaner rule that is as exact for the mixtures: weight, tau, the model there."""
        panels = self.panels
        held = panels.weights.sum(axis=1) > _KEEP
        left, right = panels.left[held], panels.right[held]
        half = 0.5 * (right - left)[:, None]
        z = (0.5 * (left + right)[:, None] + half * _LEAN_NODES).ravel()
        log_tau = self.centre + np.sinh(z)
        at = given(self.rows, self.mean, np.exp(np.concatenate([log_tau, [self.low, self.high]])))
        log_f = self.prior.log_density_of_log(log_tau) + at.log_likelihood[:-2] + np.log(np.cosh(z))
        weight = np.empty(z.size + 2)
        weight[:-2] = np.exp(log_f - panels.log_integral) * (half * _LEAN_WEIGHTS).ravel()
        weight[:-2] *= self.share_panels / weight[:-2].sum()
        weight[-2:] = self.share_low, self.share_high
        kept = weight > _KEEP
        tau = np.exp(np.concatenate([log_tau, [self.low, self.high]])[kept])
        lean = Given(*(part[kept] for part in (at.log_likelihood, at.precision, at.mean, at.components)))
        return weight[kept] / weight[kept].sum(), tau, lean

    @property
    def weight(self) -> FloatArray:
        """Posterior probabilities of the nodes of the mixtures, (T,)."""
        return self._mixture[0]

    @property
    def tau(self) -> FloatArray:
        """Nodes of the mixtures, (T,)."""
        return self._mixture[1]

    @cached_property
    def components(self) -> Components:
        """The joint mixture: weight, tau, mean and sd of the (shifted) mean effect, each (M,).

        With a truncated prior the normals are those before truncation and the weights those after.
        """
        if self.mean.bounded or self.mean.is_point or self.tau.size < 2 * _MORE:
            return _components(self.mean, *self._mixture)
        simple = self.mean.log_weight.size == 1
        jacobi, centre, s = self._jacobi(_FEW if simple else _MORE)
        few = _components(self.mean, *self._gauss(jacobi[:_FEW, :_FEW], centre, s))
        # without a mixture over lambda the whole is cheap to have; else a longer rule stands for it
        judge = self._mixture if simple else self._gauss(jacobi, centre, s)
        more = _components(self.mean, *judge)
        if _apart(self.rows, few, more) <= _FEWER_ERROR:
            return few
        whole = more if simple else _components(self.mean, *self._mixture)
        return more if not simple and _apart(self.rows, more, whole) <= _FEWER_ERROR else whole

    def _jacobi(self, n: int) -> tuple[FloatArray, float, float]:
        """Return the recurrence of polynomials orthogonal under the posterior of ``atan(tau/s)`` (Lanczos).

        All conditional posteriors are analytic in that angle from no heterogeneity to infinite; a leading
        part of the matrix gives the shorter rules (Golub and Welsch 1969, Math Comput 23, p. 221).
        """
        weight, tau, _ = self._mixture
        s = math.sqrt(self.rows.k / float((1.0 / self.rows.v).sum()))
        angle = np.arctan(tau / s)
        centre = float(weight @ angle)
        x = angle - centre
        basis, jacobi = np.zeros((n, x.size)), np.zeros((n, n))
        basis[0] = np.sqrt(weight)
        for j in range(n):
            step = x * basis[j]
            jacobi[j, j] = step @ basis[j]
            if j + 1 == n:
                break
            held = basis[: j + 1]
            step -= (held @ step) @ held  # twice is enough to stay orthogonal
            step -= (held @ step) @ held
            beta = math.sqrt(float(step @ step))
            if beta < 1e-14:  # no more than j + 1 points
                return jacobi[: j + 1, : j + 1], centre, s
            basis[j + 1] = step / beta
            jacobi[j, j + 1] = jacobi[j + 1, j] = beta
        return jacobi, centre, s

    def _gauss(self, jacobi: FloatArray, centre: float, s: float) -> tuple[FloatArray, FloatArray, Given]:
        """Weights, tau and the model at the nodes of a Gauss rule."""
        nodes, vectors = np.linalg.eigh(jacobi)
        few = s * np.tan(np.clip(nodes + centre, 0.0, 0.5 * math.pi * (1.0 - 1e-15)))
        w = np.square(vectors[0])
        return w / w.sum(), few, given(self.rows, self.mean, few)

    @cached_property
    def mean_moments(self) -> tuple[float, float]:
        """Expectation and variance of the (shifted) mean effect, not truncated, over all nodes."""
        first, second = self._mean_given(self.every_log_tau)
        w = self.every_weight
        mean = float(w @ first)
        if self._light or (self.mean.proper and self.mean.tail.power == math.inf):
            return mean, float(w @ (second + np.square(first - mean)))

        def log_square(log_tau: FloatArray) -> FloatArray:
            centre, square = self._mean_given(log_tau)
            return np.asarray(np.log(square + np.square(centre - mean)))

        return mean, self._expect(log_square)

    def _mean_given(self, log_tau: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return expectation and variance of the (shifted) mean effect, not truncated, given log(tau)."""
        at = given(self.rows, self.mean, np.exp(log_tau))
        centre, sd = posterior_of_mean(self.mean, at)
        if at.components.shape[1] == 1:
            return centre[:, 0], np.square(sd[:, 0])
        inner = np.exp(at.components - at.log_likelihood[:, None])
        first = np.einsum("tl,tl->t", inner, centre)
        return first, np.einsum("tl,tl->t", inner, np.square(sd) + np.square(centre - first[:, None]))

    @property
    def prior_tail(self) -> Tail:
        """How the prior density of tau falls."""
        return self.prior.tail

    @property
    def likelihood_tail(self) -> Tail:
        """How the likelihood, the mean integrated out, falls for large tau."""
        lost = (
            1
            if self.mean.flat and not (math.isfinite(self.mean.low) and math.isfinite(self.mean.high))
            else 0
        )
        return Tail(float(self.rows.k - lost))

    @property
    def tail(self) -> Tail:
        """How the posterior density of tau falls."""
        return self.prior.tail.times(self.likelihood_tail.power)

    def log_density(self, log_tau: FloatArray) -> FloatArray:
        """Log posterior density of tau at ``log(tau)``, (T,)."""
        inside = np.clip(log_tau, -_FAR, _FAR)
        like = given(self.rows, self.mean, np.exp(inside)).log_likelihood
        return self.prior.log_density_of_log(log_tau) - log_tau + like - self.log_integral

    @property
    def _light(self) -> bool:
        """Whether what the panels leave out of the mass counts for no moment either."""
        # nodes resolve the mass to 1e-13, so second moments to that to the power (p - 3)/(p - 1)
        power = self.prior.tail.power if self.prior.tail.power < math.inf else 1.0
        return self.prior.light or power + self.likelihood_tail.power >= 14.0

    def _expect(self, log_g: Callable[[FloatArray], FloatArray]) -> float:
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
        if self._light:
            return float(self.every_weight @ np.power(np.exp(self.every_log_tau) - centre, order))
        # beyond the panels: exact where the likelihood cancels the power, negligible elsewhere
        beyond = 0.0
        above = float(self.prior.sf(math.exp(self.high))) if self.prior.proper else 0.0
        if above > 0.0:
            last = float(given(self.rows, self.mean, np.exp(np.array([self.high]))).log_likelihood[0])
            beyond = math.exp(min(last - self.log_integral + order * self.high + math.log(above), 700.0))
        if order == 1:
            return self._expect(lambda log_tau: log_tau) - centre + beyond
        with np.errstate(divide="ignore"):
            return self._expect(lambda log_tau: 2.0 * np.log(np.abs(np.exp(log_tau) - centre))) + beyond


def check_tau_prior(prior: Prior) -> None:
    """Raise a UsageError for a prior that gives negative tau a probability."""
    if prior.support[0] < 0.0 and prior.proper:
        raise UsageError(
            f"tau={prior!r} gives values below 0 a probability; use HalfNormal, HalfT, HalfCauchy or "
            f"{prior!r}.truncated(low=0)"
        )


def _require_proper(rows: Rows, mean: MeanPrior, prior: Prior) -> None:
    lost = 0 if mean.proper else 1
    power = rows.k - lost
    tail = prior.tail.times(float(power))
    if prior.proper or prior.support[1] < math.inf or tail.has_moment(0.0):
        return
    needed = rows.k
    while not prior.tail.times(float(needed - lost)).has_moment(0.0):
        needed += 1
    raise ModelError(
        f"the posterior is not proper: with tau ~ {prior!r} and a {'flat' if lost else 'proper'} prior of "
        f"the mean at least {needed} studies are needed, and there {'is' if rows.k == 1 else 'are'} "
        f"{rows.k}; use a proper prior of tau, such as HalfNormal(0.5) for standardised mean differences"
    )


@lru_cache(maxsize=256)
def _log_landmarks(prior: Prior) -> FloatArray:
    with np.errstate(divide="ignore"):
        marks: FloatArray = np.log(prior.landmarks())
    marks.setflags(write=False)
    return marks


def _edges(rows: Rows, prior: Prior, centre: float, low: float, high: float) -> FloatArray:
    ends = np.arcsinh(np.array([low, high]) - centre)
    count = max(2, math.ceil(float(ends[1] - ends[0]) / _STEP))
    edges = np.linspace(ends[0], ends[1], count + 1)
    marks = _log_landmarks(prior) if prior.proper else 0.5 * np.log(np.sort(rows.v)[[0, rows.k // 2, -1]])
    marks = np.arcsinh(np.unique(marks[(marks > low) & (marks < high)]) - centre)
    if prior.proper and marks.size > 1 and float(np.diff(marks).min()) < 0.5 * _STEP:
        # the prior is narrower than the panels: let its quantiles be edges
        edges = np.union1d(edges, marks)
        gaps = np.diff(edges) > 1e-13 * np.maximum(1.0, np.abs(edges[1:]))
        edges = np.concatenate([edges[:1], edges[1:][gaps]])
        edges[-1] = ends[1]
    return edges


def integrate(rows: Rows, mu: Prior | MeanPrior, tau: Prior) -> TauPosterior:
    """Integrate prior times likelihood over tau, the mean integrated out.

    Parameters
    ----------
    rows : Rows
    mu : Prior or MeanPrior
    tau : Prior
        Bound to the data already (see :meth:`Prior.for_variances`).

    Raises
    ------
    ModelError
        The posterior is not proper, or the integral cannot be vouched for.
    """
    check_tau_prior(tau)
    mean = mu if isinstance(mu, MeanPrior) else mean_prior(mu, rows)
    _require_proper(rows, mean, tau)
    start = given(rows, mean, np.zeros(1))
    # L(tau)/L(0) - 1 is below 1e-17 here: its slope in tau**2 is at most (k + Q)/(2 min v)
    w0 = 1.0 / rows.v
    q0 = float(np.dot(w0, np.square(rows.d - start.mean[0])))
    pull = 0.0 if mean.flat else _pull(mean, start)
    flat_below = 0.5 * math.log(1e-17 * float(rows.v.min()) / (rows.k + q0 + pull))
    bottom, ceiling = tau.support
    # the panels also reach down to where the prior has probability, for moments and quantiles of tau
    reach = min(flat_below, float(_log_landmarks(tau)[0])) if tau.proper else -_FAR
    low = max(reach, -_FAR, math.log(bottom) if bottom > 0.0 else -math.inf)
    high = min(_FAR, math.log(ceiling) if ceiling < math.inf else math.inf)
    centre = min(max(math.log(rows.scale), low), high) if low < high else low
    log_low = log_high = -math.inf
    if tau.proper and low > (math.log(bottom) if bottom > 0.0 else -math.inf):
        with np.errstate(divide="ignore"):
            log_low = float(np.log(tau.cdf(math.exp(min(low, high))))) + float(start.log_likelihood[0])
    if low >= high:  # all of the prior lies where tau does not matter
        low = high - 1e-3
    edges = _edges(rows, tau, centre, low, high)

    def log_function(z: FloatArray) -> FloatArray:
        log_tau = centre + np.sinh(z)
        like = given(rows, mean, np.exp(log_tau)).log_likelihood
        return tau.log_density_of_log(log_tau) + like + np.log(np.cosh(z))

    panels = resolve(log_function, edges, what="the posterior of tau")
    if tau.proper and ceiling == math.inf and (above := float(tau.sf(math.exp(high)))) > 0.0:
        last = float(given(rows, mean, np.exp(np.array([high]))).log_likelihood[0])
        log_high = math.log(above) + last
    post = TauPosterior(rows, mean, tau, panels, centre, low, high, log_low, log_high, log_function)
    if mean.log_weight.size > 1:
        heaviest = np.argsort(post.weight)[-40::5]
        check_mixture(rows, mean, post.tau[heaviest])
    return post


def _pull(mean: MeanPrior, start: Given) -> float:
    """How strongly a proper prior of the mean can add to the slope of the likelihood at tau = 0."""
    miss = (start.mean[0] - mean.loc) ** 2 * start.precision[0] / (1.0 + start.precision[0] * mean.variance)
    return float(np.max(miss)) + 1.0
