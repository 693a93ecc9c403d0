"""Likelihoods of counts whose log ratio varies from study to study: integrals over the normal, maxima.

A study's counts have the log-likelihood ``g(u, a)``, u its own log ratio and a its own baseline where the
model has one. With ``u = theta + tau z``, z standard normal, the study contributes
``log E exp g(theta + tau z, a)``. g is concave, so that integral is log-concave in theta and a for every tau
(Prekopa 1973, Acta Sci Math 34:335): for a given tau Newton's iteration cannot go astray, and only tau is
searched.

The integral is a trapezoidal sum in t with ``z = mode + s sinh(t)``, s the width at the mode: it converges
geometrically, whatever the shape, also where a zero count leaves one side flat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from scipy import special
from scipy.optimize import brentq

from mtmeta.errors import ModelError
from mtmeta.models.stack import FloatArray

__all__ = [
    "Binomial",
    "Hypergeometric",
    "Likelihood",
    "Maximum",
    "Poisson",
    "TwoBinomials",
    "TwoPoissons",
    "at_tau",
    "maximise",
]

_STEP = 0.15  # of the trapezoidal rule in t, at most
_DIGITS = 30.0  # natural logarithm of the accuracy that a smaller step is chosen for
_REACH = 12.0  # standard deviations of the normal that are covered on either side of the mode
_FALL = 4.0  # of u, over which exp(-exp(u)) goes from 1 to nothing
_ROUNDS = 100
_TAU = (0.02, 0.05, 0.1, 0.18, 0.3, 0.45, 0.65, 0.9, 1.25, 1.7, 2.3, 3.2, 4.5, 6.5, 9.0)


class Terms(NamedTuple):
    """g and its derivatives, each (k, J): by u, and by the baseline a where there is one (else None)."""

    g: FloatArray
    u: FloatArray
    uu: FloatArray
    a: FloatArray | None = None
    ua: FloatArray | None = None
    aa: FloatArray | None = None


class Likelihood(Protocol):
    """Log-likelihoods of the counts of k studies."""

    @property
    def k(self) -> int:
        """Number of studies."""
        ...

    def start(self) -> tuple[float, FloatArray | None]:
        """Return a first guess of theta, and of the baselines where the model has them."""
        ...

    def terms(self, u: FloatArray, a: FloatArray | None) -> Terms:
        """Evaluate g at log ratios (k, J) and baselines (k, 1)."""
        ...


@dataclass(frozen=True)
class Binomial:
    """``x ~ Bin(m, p)``, ``logit p = u + offset``: rate ratios, and nearly odds ratios, given totals."""

    x: FloatArray
    m: FloatArray
    offset: FloatArray

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.x)

    def start(self) -> tuple[float, None]:
        """Return the log ratio of the sums."""
        share = (self.x.sum() + 0.5) / (self.m.sum() + 1.0)
        return float(special.logit(share) - np.average(self.offset, weights=self.m)), None

    def terms(self, u: FloatArray, a: FloatArray | None) -> Terms:
        """Evaluate g at log ratios (k, J)."""
        eta = u + self.offset[:, None]
        x, m = self.x[:, None], self.m[:, None]
        p = special.expit(eta)
        constant = special.gammaln(m + 1) - special.gammaln(x + 1) - special.gammaln(m - x + 1)
        return Terms(constant + x * eta - m * np.logaddexp(0.0, eta), x - m * p, -m * p * (1.0 - p))


@dataclass(frozen=True)
class Poisson:
    """``x ~ Poisson(t exp(u))``: rates of one group."""

    x: FloatArray
    t: FloatArray

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.x)

    def start(self) -> tuple[float, None]:
        """Return the log rate of the sums."""
        return math.log((float(self.x.sum()) + 0.5) / float(self.t.sum())), None

    def terms(self, u: FloatArray, a: FloatArray | None) -> Terms:
        """Evaluate g at log rates (k, J)."""
        return Terms(*_poisson(self.x[:, None], u + np.log(self.t)[:, None]))


@dataclass(frozen=True)
class Hypergeometric:
    """Events of the first group given both margins: Fisher's noncentral hypergeometric distribution.

    `log_ways` (k, S) are the logarithms of the numbers of tables with ``shift`` events more than observed,
    less that of the observed table; -inf where there is none.
    """

    log_ways: FloatArray
    shift: FloatArray
    guess: float

    @classmethod
    def of(cls, a: FloatArray, n1: FloatArray, c: FloatArray, n2: FloatArray) -> Hypergeometric:
        """Prepare 2x2 tables of whole numbers."""
        m = a + c
        low, high = np.maximum(0.0, m - n2), np.minimum(m, n1)
        s = low[:, None] + np.arange(float((high - low).max()) + 1.0)
        inside = s <= high[:, None]
        s = np.minimum(s, high[:, None])

        def ways(x: FloatArray) -> FloatArray:
            one, two = n1[:, None], n2[:, None]
            rest = m[:, None] - x
            value: FloatArray = -(
                special.gammaln(x + 1)
                + special.gammaln(one - x + 1)
                + special.gammaln(rest + 1)
                + special.gammaln(two - rest + 1)
            )
            return value

        log_ways = np.where(inside, ways(s) - ways(a[:, None]), -np.inf)
        guess = math.log(((a + 0.5) * (n2 - c + 0.5)).sum() / ((c + 0.5) * (n1 - a + 0.5)).sum())
        return cls(log_ways, s - a[:, None], guess)

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.shift)

    def start(self) -> tuple[float, None]:
        """Return the log odds ratio of sums of products."""
        return self.guess, None

    def terms(self, u: FloatArray, a: FloatArray | None) -> Terms:
        """Evaluate g at log odds ratios (k, J)."""
        out = [np.empty_like(u) for _ in range(3)]
        for i in range(self.k):  # supports differ much in length
            at = np.isfinite(self.log_ways[i])
            shift = self.shift[i, at]
            t = self.log_ways[i, at] + shift * u[i, :, None]
            top = t.max(axis=1, keepdims=True)
            np.exp(t - top, out=t)
            total = t.sum(axis=1)
            mean = (t @ shift) / total
            out[0][i] = -(np.log(total) + top[:, 0])
            out[1][i] = -mean
            out[2][i] = -(np.einsum("js,js->j", t, np.square(shift - mean[:, None])) / total)
        return Terms(*out)


@dataclass(frozen=True)
class TwoBinomials:
    """Events of both groups, ``logit p = a + u/2`` and ``a - u/2``, each study with its own baseline a."""

    x1: FloatArray
    n1: FloatArray
    x2: FloatArray
    n2: FloatArray

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.x1)

    def start(self) -> tuple[float, FloatArray]:
        """Return log odds from counts with one half added."""
        one = special.logit((self.x1 + 0.5) / (self.n1 + 1.0))
        two = special.logit((self.x2 + 0.5) / (self.n2 + 1.0))
        return float(np.average(one - two, weights=self.n1 + self.n2)), 0.5 * (one + two)

    def terms(self, u: FloatArray, a: FloatArray | None) -> Terms:
        """Evaluate g at log odds ratios (k, J) and baselines (k, 1)."""
        base = np.zeros_like(u) if a is None else a
        parts = []
        for x, n, sign in ((self.x1, self.n1, 0.5), (self.x2, self.n2, -0.5)):
            eta = base + sign * u
            x, n = x[:, None], n[:, None]
            p = special.expit(eta)
            ways = special.gammaln(n + 1) - special.gammaln(x + 1) - special.gammaln(n - x + 1)
            parts.append((ways + x * eta - n * np.logaddexp(0.0, eta), x - n * p, -n * p * (1.0 - p)))
        return _two(parts)


@dataclass(frozen=True)
class TwoPoissons:
    """Events of both groups, ``log rate = a + u/2`` and ``a - u/2``, each study with its own baseline a."""

    x1: FloatArray
    t1: FloatArray
    x2: FloatArray
    t2: FloatArray

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.x1)

    def start(self) -> tuple[float, FloatArray]:
        """Return log rates from counts with one half added."""
        one = np.log((self.x1 + 0.5) / self.t1)
        two = np.log((self.x2 + 0.5) / self.t2)
        return float(np.average(one - two, weights=self.t1 + self.t2)), 0.5 * (one + two)

    def terms(self, u: FloatArray, a: FloatArray | None) -> Terms:
        """Evaluate g at log rate ratios (k, J) and baselines (k, 1)."""
        base = np.zeros_like(u) if a is None else a
        parts = []
        for x, t, sign in ((self.x1, self.t1, 0.5), (self.x2, self.t2, -0.5)):
            parts.append(_poisson(x[:, None], base + sign * u + np.log(t)[:, None]))
        return _two(parts)


def _poisson(x: FloatArray, eta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Poisson's log-likelihood of counts (k, 1) at log means (k, J), and two derivatives by those.

    Written around its maximum, so that a million of events cost no digits.
    """
    some = np.where(x > 0.0, x, 1.0)
    off = np.minimum(eta - np.log(some), 300.0)
    excess = np.expm1(off)
    top = x * np.log(some) - x - special.gammaln(x + 1.0)
    none = x == 0.0
    rate = some * (excess + 1.0)
    return np.where(none, -rate, top - x * (excess - off)), np.where(none, -rate, -x * excess), -rate


def _two(parts: list[tuple[FloatArray, FloatArray, FloatArray]]) -> Terms:
    """Join two groups with baselines ``a`` and log ratios ``+u/2`` and ``-u/2``."""
    (g1, d1, h1), (g2, d2, h2) = parts
    return Terms(g1 + g2, 0.5 * (d1 - d2), 0.25 * (h1 + h2), d1 + d2, 0.5 * (h1 - h2), h1 + h2)


# integrals -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class At:
    """Log-likelihood and derivatives at theta, tau and the baselines.

    Attributes
    ----------
    value : float
    gradient : ndarray (k, d)
        By theta, tau and, where there is one, the study's baseline.
    hessian : ndarray (k, d, d)
    """

    value: float
    gradient: FloatArray
    hessian: FloatArray


def integrate(likelihood: Likelihood, theta: float, tau: float, a: FloatArray | None) -> At:
    """Integrate every study's likelihood over its own log ratio, with first and second derivatives."""
    base = None if a is None else a[:, None]
    mode, width = _mode(likelihood, theta, tau, base)
    reach = math.asinh(_REACH / float(width.min()))
    # beside the real axis a count's likelihood does not grow up to |Im u| = pi/2; how near in t that is
    # depends on how far u goes before the integrand is nothing: by _FALL where a 0 leaves one side flat
    size = tau * float(width.max())
    far = math.hypot(size, min(_FALL, _REACH * size))
    near = math.asin(min(1.0, 0.5 * math.pi / max(far, 1e-9)))
    step = min(_STEP, 2.0 * math.pi * near / _DIGITS)
    t = np.linspace(-reach, reach, 2 * math.ceil(reach / step) + 1)
    z = mode + width * np.sinh(t)
    terms = likelihood.terms(theta + tau * z, base)
    log_weight = terms.g - 0.5 * z * z + np.log(np.cosh(t))
    top = log_weight.max(axis=1, keepdims=True)
    w = np.exp(log_weight - top)
    total = w.sum(axis=1, keepdims=True)
    value = np.log(total * (t[1] - t[0]) * width / math.sqrt(2.0 * math.pi)) + top
    w /= total
    first = [terms.u, z * terms.u]
    second = [[terms.uu, z * terms.uu], [z * terms.uu, z * z * terms.uu]]
    if terms.a is not None and terms.ua is not None and terms.aa is not None:
        first.append(terms.a)
        second[0].append(terms.ua)
        second[1].append(z * terms.ua)
        second.append([terms.ua, z * terms.ua, terms.aa])
    d = len(first)
    gradient = np.stack([(w * part).sum(axis=1) for part in first], axis=1)
    hessian = np.empty((likelihood.k, d, d))
    for i in range(d):
        for j in range(i + 1):
            one = (w * (second[i][j] + first[i] * first[j])).sum(axis=1) - gradient[:, i] * gradient[:, j]
            hessian[:, i, j] = hessian[:, j, i] = one
    return At(float(value.sum()), gradient, hessian)


def _mode(
    likelihood: Likelihood, theta: float, tau: float, base: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return where each integrand is highest, and its width there; both (k, 1)."""
    z = np.zeros((likelihood.k, 1))
    terms = likelihood.terms(theta + tau * z, base)
    for _ in range(_ROUNDS):
        height = terms.g - 0.5 * z * z
        slope, curve = tau * terms.u - z, tau * tau * terms.uu - 1.0
        # concave: Newton's step, no longer than the way so far, halved where it overshoots; it places nodes
        far = 1.0 + np.abs(z)
        step = np.clip(-slope / curve, -far, far)
        for _ in range(_ROUNDS):
            trial = likelihood.terms(theta + tau * (z + step), base)
            down = trial.g - 0.5 * (z + step) ** 2 < height - 1e-9 * (1.0 + np.abs(height))
            if not down.any():
                break
            step = np.where(down, 0.5 * step, step)
        z, terms = z + step, trial
        if np.abs(step).max() < 1e-4:
            break
    curve = tau * tau * terms.uu - 1.0
    return z, 1.0 / np.sqrt(-curve)


# maxima ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Maximum:
    """Maximum of a likelihood, or its maximum over theta (and baselines) at a given tau."""

    theta: float
    tau: float
    baseline: FloatArray | None
    at: At

    @property
    def information(self) -> FloatArray:
        """Observed information of theta and tau, baselines maximised; (2, 2)."""
        return -_reduced(self.at)[1]

    @property
    def pull(self) -> float:
        """Derivative of the profile likelihood by tau, over tau; its limit where tau is 0."""
        if self.tau > 0.0:
            return float(self.at.gradient[:, 1].sum()) / self.tau
        return float(self.at.hessian[:, 1, 1].sum())


def _reduced(at: At) -> tuple[FloatArray, FloatArray]:
    """Gradient and Hessian of theta and tau when every study's baseline follows them."""
    gradient, hessian = at.gradient[:, :2].sum(axis=0), at.hessian[:, :2, :2].sum(axis=0)
    if at.gradient.shape[1] == 3:
        own = at.hessian[:, 2, 2]
        cross = at.hessian[:, :2, 2]
        gradient = gradient - (cross * (at.gradient[:, 2] / own)[:, None]).sum(axis=0)
        hessian = hessian - np.einsum("ki,kj->ij", cross / own[:, None], cross)
    return gradient, hessian


def at_tau(likelihood: Likelihood, tau: float, start: Maximum | None = None) -> Maximum:
    """Maximise over theta and the baselines at a given tau, by Newton's iteration on a concave function."""
    theta, a = likelihood.start() if start is None else (start.theta, start.baseline)
    at = integrate(likelihood, theta, tau, a)
    for _ in range(_ROUNDS):
        gradient, hessian = _reduced(at)
        step = -gradient[0] / hessian[0, 0]
        own = None
        if a is not None:
            own = -(at.gradient[:, 2] + at.hessian[:, 0, 2] * step) / at.hessian[:, 2, 2]
        size = max(abs(step), 0.0 if own is None else float(np.abs(own).max()))
        # what the step can gain: below the rounding of the likelihood there is nothing left to do
        gain = gradient[0] * step
        if own is not None:
            gain += float(np.abs(at.gradient[:, 2] ** 2 / at.hessian[:, 2, 2]).sum())
        share = min(1.0, 2.0 / size) if size > 0.0 else 1.0
        for _ in range(40):
            trial = integrate(likelihood, theta + share * step, tau, None if own is None else a + share * own)
            if trial.value >= at.value - 1e-12 * max(1.0, abs(at.value)):
                break
            share *= 0.5
        theta, at = theta + share * step, trial
        a = None if own is None or a is None else a + share * own
        if size < 1e-10 or abs(gain) < 1e-16 * max(1.0, abs(at.value)):
            return Maximum(theta, tau, a, at)
    raise ModelError(
        f"the likelihood has no maximum near a log ratio of {theta:.3g} (tau {tau:.3g}): "
        "too few events to estimate it"
    )


def maximise(likelihood: Likelihood) -> Maximum:
    """Return the global maximum over theta, tau >= 0 and the baselines.

    The profile of tau is followed on a grid; each place where its slope falls through zero is solved, and
    the highest of these and of tau = 0 wins.

    Raises
    ------
    ModelError
        The likelihood still rises at the largest tau: the counts do not limit it.
    """
    points = [at_tau(likelihood, 0.0)]
    for tau in _TAU:
        points.append(at_tau(likelihood, tau, points[-1]))
    pulls = np.array([point.pull for point in points])
    noise = 1e-12 * max(1.0, abs(points[0].at.value))
    if pulls[-1] * points[-1].tau > noise and points[-1].at.value >= max(p.at.value for p in points) - 1e-9:
        raise ModelError(
            "the between-study variance has no finite estimate: the likelihood still rises at "
            f"tau = {points[-1].tau:g}; too few studies limit it (of two groups, too few have events in both)"
        )
    found = [points[0]] if pulls[0] <= noise else []
    for low, high in pairwise(points):
        if low.pull > 0.0 >= high.pull and not (low.tau == 0.0 and low.pull <= noise):
            found.append(_between(likelihood, low, high))
    return max(found, key=lambda one: one.at.value)


def _between(likelihood: Likelihood, low: Maximum, high: Maximum) -> Maximum:
    """Return the maximum over tau between two points of its profile, rising at the first only."""

    def pull(tau: float) -> float:
        return at_tau(likelihood, tau, low).pull

    # from another start a pull of nearly 0 may have the other sign
    if pull(low.tau) <= 0.0:
        return low
    if pull(high.tau) > 0.0:
        return high
    return at_tau(likelihood, float(brentq(pull, low.tau, high.tau, xtol=1e-13, rtol=1e-13)), low)
