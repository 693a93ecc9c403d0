"""The joint posterior of tau and the mean effect, as a mixture over tau."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Protocol

import numpy as np
from numpy.polynomial import chebyshev
from scipy import special

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
from mtmeta.models.bayes_tau import KEEP, Axis, TauIntegral, check_tau_prior, integrate_tau, require_proper
from mtmeta.models.priors_base import FloatArray, Prior, Tail

__all__ = ["Joint", "KnownTau", "TauPosterior", "integrate"]

_FEW, _MORE = 24, 36  # nodes that may stand for all in mixtures
_FEWER_ERROR = 1e-12  # of any probability
_LEFT_OUT = 1e-13  # mass of the nodes that a mixture leaves out, and more
_PLACES = np.linspace(-2.6, 2.6, 5)  # of the mean's standard deviation, where mixtures are compared
_FAR_PLACES = np.array([-2.4, -1.0, 1.6])  # of the median tau

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
    kept = joint > KEEP
    w = joint[kept]
    return w / w.sum(), np.broadcast_to(tau[:, None], joint.shape)[kept], centre[kept], sd[kept]


def _apart(rows: Rows, one: Components, two: Components) -> float:
    """Largest difference of two mixtures in a probability of the mean, a new study or the extreme studies."""
    w, tau, m, s = one
    centre = float(w @ m)
    narrow = math.sqrt(float(w @ (np.square(s) + np.square(m - centre))))
    median = float(np.sort(tau)[tau.size // 2])
    x = centre + np.concatenate([narrow * _PLACES, median * _FAR_PLACES])
    extremes = [int(rows.v.argmin()), int(rows.v.argmax())]
    v, d = rows.v[extremes], rows.d[extremes]
    values = []
    for weight, t, mean, sd in (one, two):
        t2 = np.square(t)
        share = t2 / (t2 + v[:, None])
        at = np.stack([mean, mean, *(d[:, None] * share + (1.0 - share) * mean)])
        spread = np.stack([sd, np.hypot(sd, t), *np.hypot((1.0 - share) * sd, np.sqrt(v[:, None] * share))])
        values.append(special.ndtr((x[:, None, None] - at) / spread) @ weight)
    return float(np.abs(values[0] - values[1]).max())


@dataclass(frozen=True, eq=False)
class TauPosterior(TauIntegral):
    """The posterior of tau in the random-effects model, and with it that of the mean.

    Attributes
    ----------
    rows : Rows
    mean : MeanPrior
    """

    rows: Rows
    mean: MeanPrior

    @cached_property
    def _mixture(self) -> tuple[FloatArray, FloatArray, Given]:
        """Weight and tau of the nodes, and the model there, which gives the weights too."""
        z, weight, log_tau = self._lean_axis()
        tau = np.exp(log_tau)
        at = given(self.rows, self.mean, tau)
        log_values = self.prior.log_density_of_log(log_tau[:-2]) + at.log_likelihood[:-2] + np.log(np.cosh(z))
        share = self._lean_shares(log_values, weight)
        kept = share > KEEP
        return share[kept] / share[kept].sum(), tau[kept], at.some(kept)

    @cached_property
    def _lean(self) -> tuple[FloatArray, FloatArray]:
        return self._mixture[:2]

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
        """Return the recurrence of polynomials orthogonal under the posterior of ``atan(tau/s)``.

        All conditional posteriors are analytic in that angle from no heterogeneity to infinite; a leading
        part of the matrix gives the shorter rules (Golub and Welsch 1969, Math Comput 23, p. 221). The
        polynomials come from Chebyshev's by orthogonalisation.
        """
        weight, tau, _ = self._mixture
        s = math.sqrt(self.rows.k / float((1.0 / self.rows.v).sum()))
        angle = np.arctan(tau / s)
        centre = float(weight @ angle)
        x = angle - centre
        # most of the weight lies within three standard deviations, where the polynomials are to differ
        low, high = float(x.min()), float(x.max())
        z = (2.0 * x - (low + high)) / (high - low)
        basis, _ = np.linalg.qr(np.sqrt(weight)[:, None] * chebyshev.chebvander(z, n - 1))
        return basis.T @ (x[:, None] * basis), centre, s

    def _gauss(self, jacobi: FloatArray, centre: float, s: float) -> tuple[FloatArray, FloatArray, Given]:
        """Weights, tau and the model at the nodes of a Gauss rule."""
        nodes, vectors = np.linalg.eigh(jacobi)
        few = s * np.tan(np.clip(nodes + centre, 0.0, 0.5 * math.pi * (1.0 - 1e-15)))
        w = np.square(vectors[0])
        return w / w.sum(), few, given(self.rows, self.mean, few)

    @cached_property
    def mean_moments(self) -> tuple[float, float]:
        """Expectation and variance of the (shifted) mean effect, not truncated."""
        narrow = self.light or (self.mean.proper and self.mean.tail.power == math.inf)
        if narrow and self.mean.log_weight.size == 1 and not self.mean.flat:
            w, _, at = self._mixture
            first, second = _moments_given(self.mean, at)
            mean = float(w @ first)
            variance = float(w @ (second + np.square(first - mean)))
            reach = float(np.abs(np.append(self.rows.d, self.mean.loc)).max()) + abs(mean)
            # what the mixture leaves out can add no more than its mass times this
            if (float(self.mean.variance[0]) + reach * reach) * _LEFT_OUT <= 1e-10 * variance:
                return mean, variance
        first, second = self._mean_given(self.every_log_tau)
        mean = float(self.every_weight @ first)
        if narrow:
            return mean, float(self.every_weight @ (second + np.square(first - mean)))

        def log_square(log_tau: FloatArray) -> FloatArray:
            centre, square = self._mean_given(log_tau)
            return np.asarray(np.log(square + np.square(centre - mean)))

        return mean, self.expect(log_square)

    def _mean_given(self, log_tau: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return expectation and variance of the (shifted) mean effect, not truncated, given log(tau)."""
        return _moments_given(self.mean, given(self.rows, self.mean, np.exp(log_tau)))


def _moments_given(mean: MeanPrior, at: Given) -> tuple[FloatArray, FloatArray]:
    """Return expectation and variance of the (shifted) mean effect, not truncated, at each tau."""
    centre, sd = posterior_of_mean(mean, at)
    if at.components.shape[1] == 1:
        return centre[:, 0], np.square(sd[:, 0])
    inner = np.exp(at.components - at.log_likelihood[:, None])
    first = np.einsum("tl,tl->t", inner, centre)
    return first, np.einsum("tl,tl->t", inner, np.square(sd) + np.square(centre - first[:, None]))


def integrate(
    rows: Rows, mu: Prior | MeanPrior, tau: Prior, like: TauPosterior | None = None
) -> TauPosterior:
    """Integrate prior times likelihood over tau, the mean integrated out.

    Parameters
    ----------
    rows : Rows
    mu : Prior or MeanPrior
    tau : Prior
        Bound to the data already (see :meth:`Prior.for_variances`).
    like : TauPosterior, optional
        Of the same data and prior of tau with another prior of the mean, whose panels save the search.

    Raises
    ------
    ModelError
        The posterior is not proper, or the integral cannot be vouched for.
    """
    check_tau_prior(tau)
    mean = mu if isinstance(mu, MeanPrior) else mean_prior(mu, rows)
    lost = 0 if mean.proper else 1
    require_proper(tau, rows.k, lost, f"a {'flat' if lost else 'proper'} prior of the mean")
    start = given(rows, mean, np.zeros(1))
    # L(tau)/L(0) - 1 is below 1e-17 here: its slope in tau**2 is at most (k + Q)/(2 min v)
    q0 = float(np.dot(1.0 / rows.v, np.square(rows.d - start.mean[0])))
    pull = 0.0 if mean.flat else _pull(mean, start)
    free = mean.flat and not (math.isfinite(mean.low) and math.isfinite(mean.high))
    axis = Axis(
        scale=rows.scale,
        flat_below=0.5 * math.log(1e-17 * float(rows.v.min()) / (rows.k + q0 + pull)),
        fall=float(rows.k - (1 if free else 0)),
        marks=np.sqrt(np.sort(rows.v)[[0, rows.k // 2, -1]]),
    )
    found = integrate_tau(tau, partial(_log_likelihood, rows, mean), axis, like)
    post = TauPosterior(**{f.name: getattr(found, f.name) for f in fields(found)}, rows=rows, mean=mean)
    if mean.log_weight.size > 1:
        heaviest = np.argsort(post.weight)[-40::5]
        check_mixture(rows, mean, post.tau[heaviest])
    return post


def _log_likelihood(rows: Rows, mean: MeanPrior, tau: FloatArray) -> FloatArray:
    return given(rows, mean, tau).log_likelihood


def _pull(mean: MeanPrior, start: Given) -> float:
    """How strongly a proper prior of the mean can add to the slope of the likelihood at tau = 0."""
    miss = (start.mean[0] - mean.loc) ** 2 * start.precision[0] / (1.0 + start.precision[0] * mean.variance)
    return float(np.max(miss)) + 1.0
