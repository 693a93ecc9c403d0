"""The normal-normal model given tau: everything is normal, or a mixture of normals, in closed form.

A t prior of the mean is a normal one whose variance is ``scale**2/lambda`` with lambda of a gamma
distribution; the trapezoidal rule in log(lambda) turns it into a mixture to machine accuracy. A range of the
mean (truncation) multiplies by a normal probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.errors import ModelError, UsageError
from mtmeta.models.priors import Cauchy, Flat, Normal, StudentT, Uniform
from mtmeta.models.priors_base import FloatArray, Prior, Tail, Truncated

__all__ = [
    "Given",
    "MeanPrior",
    "Rows",
    "check_mixture",
    "condensed",
    "given",
    "log_likelihood",
    "log_normal_between",
    "mean_prior",
    "point",
    "posterior_of_mean",
]

_LOG_2PI = math.log(2.0 * math.pi)
_MIXTURE_ERROR = 1e-6  # of the rule with every other node; the rule itself errs by about its square


@dataclass(frozen=True, eq=False)
class Rows:
    """Effects and variances, shifted so that the most precise effect is 0 (which keeps its digits).

    Attributes
    ----------
    d, v : ndarray (k,)
    shift : float
        What was taken from the effects.
    """

    d: FloatArray
    v: FloatArray
    shift: float

    @classmethod
    def of(cls, yi: npt.ArrayLike, vi: npt.ArrayLike) -> Rows:
        """Shift effects by the most precise one."""
        y, v = np.asarray(yi, dtype=np.float64), np.asarray(vi, dtype=np.float64)
        shift = float(y[v.argmin()])
        return cls(y - shift, v, shift)

    @property
    def k(self) -> int:
        """Number of effects."""
        return self.d.size

    @cached_property
    def scale(self) -> float:
        """A length between the smallest standard error and the spread of the effects."""
        return math.sqrt(float(np.median(self.v)))


@dataclass(frozen=True, eq=False)
class MeanPrior:
    """A prior of the mean as a scale mixture of normals on a range, on the shifted scale.

    Attributes
    ----------
    loc : float
    log_weight, variance : ndarray (L,)
        Logarithms of the mixture's weights, and the variances; one component for a normal prior. For a flat
        prior the variance is infinite, for a point 0.
    low, high : float
        Range.
    log_mass : float
        Logarithm of what the mixture has in the range; 0 for a flat prior.
    log_density : float
        Height of a flat prior.
    tail : Tail
        How its density falls for large values, inside of the range.
    proper : bool
    """

    loc: float
    log_weight: FloatArray
    variance: FloatArray
    low: float
    high: float
    log_mass: float
    log_density: float
    tail: Tail
    proper: bool

    @property
    def flat(self) -> bool:
        """Whether the density is constant in the range."""
        return math.isinf(self.variance[0])

    @property
    def is_point(self) -> bool:
        """Whether the mean is one value."""
        return bool(self.variance[0] == 0.0)

    @property
    def bounded(self) -> bool:
        """Whether the range ends somewhere."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def thinned(self) -> MeanPrior:
        """Return the mixture with every other node, twice the weight: a check of the full one."""
        return replace(self, log_weight=self.log_weight[::2] + math.log(2.0), variance=self.variance[::2])


def point(value: float, shift: float) -> MeanPrior:
    """Return the "prior" of a mean that is known."""
    return MeanPrior(
        loc=value - shift,
        log_weight=np.zeros(1),
        variance=np.zeros(1),
        low=-math.inf,
        high=math.inf,
        log_mass=0.0,
        log_density=0.0,
        tail=Tail(math.inf),
        proper=True,
    )


def mean_prior(prior: Prior, rows: Rows) -> MeanPrior:
    """Bring a prior of the mean into the form of a scale mixture of normals.

    Raises
    ------
    UsageError
        A prior that is not one of the mean.
    """
    inner = prior.prior if isinstance(prior, Truncated) else prior
    if inner.on != "tau":
        raise UsageError(f'mu={prior!r}: on="tau2" is for priors of heterogeneity')
    low, high = prior.support
    loc, log_weight, variance = 0.0, np.zeros(1), np.full(1, math.inf)
    log_mass = log_density = 0.0
    tail = Tail(math.inf)
    if isinstance(inner, Normal):
        loc, variance = inner.mean, np.full(1, float(inner.sd) ** 2)
    elif isinstance(inner, (StudentT, Cauchy)):
        df = 1.0 if isinstance(inner, Cauchy) else float(inner.df)
        loc, tail = inner.loc, inner.tail
        far = max(float(np.abs(rows.d + (rows.shift - loc)).max()), math.sqrt(float(rows.v.max())))
        log_weight, variance = _gamma_mixture(df, float(inner.scale), far)
    elif isinstance(inner, Uniform):
        log_density = -math.log(high - low)
    elif isinstance(inner, Flat):
        tail = Tail(0.0)
    else:
        raise UsageError(
            f"mu={prior!r} is not a prior of the mean; use Normal, StudentT, Cauchy, Uniform or Flat, "
            "or one of them truncated, such as Normal(0, 1).truncated(low=0)"
        )
    if isinstance(prior, Truncated) and prior.proper:
        log_mass = prior._log_mass
    if math.isfinite(low) and math.isfinite(high):
        tail = Tail(math.inf)
    s = rows.shift
    return MeanPrior(
        loc - s, log_weight, variance, low - s, high - s, log_mass, log_density, tail, prior.proper
    )


def _gamma_mixture(df: float, scale: float, far: float) -> tuple[FloatArray, FloatArray]:
    """Nodes in log(lambda) for a t prior seen from as far as `far` away: log weights and variances."""
    half = df / 2.0
    wide = math.sqrt(1.0 / half)
    # lambda**half exp(-half lambda) falls by exp(-40) where log(lambda) - lambda reaches these levels; the
    # likelihood adds half a power below, and a conflict moves the mode down
    under, over = -1.0 - 80.0 / (df + 1.0), -1.0 - 40.0 / half
    bottom = under - float(special.lambertw(-math.exp(under), 0).real) - 2.0 * math.log1p(far / scale)
    top = over - float(special.lambertw(-math.exp(over), -1).real)
    step = min(0.2, 0.5 * wide)
    q = np.arange(bottom, top + step, step)
    log_weight = half * math.log(half) - float(special.gammaln(half)) + half * q - half * np.exp(q)
    return log_weight + math.log(step), scale**2 * np.exp(-q)


@dataclass(frozen=True, eq=False)
class Given:
    """The model at T values of tau.

    Attributes
    ----------
    log_likelihood : ndarray (T,)
        Of the data, the mean integrated over its prior.
    precision, mean : ndarray (T,)
        ``sum w`` and ``sum w d / sum w`` with w = 1/(v + tau**2): the data's own word on the mean.
    """

    log_likelihood: FloatArray
    precision: FloatArray
    mean: FloatArray
    components: FloatArray  # (T, L) log likelihood by component of the prior

    def some(self, kept: npt.NDArray[np.bool_]) -> Given:
        """Return the model at some of the values of tau."""
        return Given(self.log_likelihood[kept], self.precision[kept], self.mean[kept], self.components[kept])


def log_normal_between(low: FloatArray, high: FloatArray) -> FloatArray:
    """Logarithm of the probability of a standard normal value between `low` and `high`."""
    flip = low > 0.0
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    top = special.log_ndtr(b)
    with np.errstate(divide="ignore", under="ignore", invalid="ignore"):
        out = top + np.log1p(-np.exp(special.log_ndtr(a) - top))
    return np.where(a >= b, -math.inf, out)


def log_likelihood(rows: Rows, mean: FloatArray, tau: FloatArray) -> FloatArray:
    """Log likelihood at pairs of mean (shifted) and tau, (T,)."""
    total = rows.v + np.square(tau)[:, None]
    z2 = np.square(rows.d - mean[:, None]) / total
    return np.asarray(-0.5 * (np.log(total).sum(axis=1) + z2.sum(axis=1) + rows.k * _LOG_2PI))


def given(rows: Rows, prior: MeanPrior, tau: FloatArray) -> Given:
    """Integrate the mean out at each tau.

    Parameters
    ----------
    tau : ndarray (T,)
        Between-study standard deviations, at least 0, below 1e150.
    """
    total = rows.v[:, None] + np.square(tau)  # studies ahead: sums then run along tau
    w = np.reciprocal(total)
    precision = np.add.reduce(w, 0)
    mean = (rows.d @ w) / precision
    z2 = rows.d[:, None] - mean
    z2 *= z2
    z2 *= w
    base = -0.5 * (np.add.reduce(np.log(total), 0) + np.add.reduce(z2, 0) + rows.k * _LOG_2PI)
    if prior.flat:
        log_l = base + 0.5 * (_LOG_2PI - np.log(precision)) + prior.log_density
        if prior.bounded:
            root = np.sqrt(precision)
            log_l = log_l + log_normal_between((prior.low - mean) * root, (prior.high - mean) * root)
        return Given(log_l, precision, mean, log_l[:, None])
    # N(mean; loc, 1/precision + variance) times the integral's constant; written without 1/precision so
    # that neither a tiny nor a huge precision cancels
    ratio = precision[:, None] * prior.variance  # (T, L)
    miss = np.square(mean - prior.loc)[:, None] * precision[:, None] / (1.0 + ratio)
    parts = base[:, None] - 0.5 * np.log1p(ratio) - 0.5 * miss + prior.log_weight - prior.log_mass
    if prior.bounded:
        post_mean, post_sd = _posterior(prior, precision, mean)
        parts = parts + log_normal_between(
            (prior.low - post_mean) / post_sd, (prior.high - post_mean) / post_sd
        )
    if parts.shape[1] == 1:
        return Given(parts[:, 0], precision, mean, parts)
    return Given(_log_sum(parts), precision, mean, parts)


def _log_sum(parts: FloatArray) -> FloatArray:
    top = parts.max(axis=1)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore", under="ignore"):
        return np.asarray(safe + np.log(np.exp(parts - safe[:, None]).sum(axis=1)))


def _posterior(prior: MeanPrior, precision: FloatArray, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the mean's posterior given tau and component, (T, L)."""
    if prior.flat:
        sd = np.sqrt(1.0 / precision)[:, None]
        return mean[:, None], sd
    ratio = precision[:, None] * prior.variance
    centre = mean[:, None] + (prior.loc - mean)[:, None] / (1.0 + ratio)
    return centre, np.sqrt(prior.variance / (1.0 + ratio))


def posterior_of_mean(prior: MeanPrior, at: Given) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (before truncation) of the mean given tau and component, (T, L)."""
    return _posterior(prior, at.precision, at.mean)


def check_mixture(rows: Rows, prior: MeanPrior, tau: FloatArray) -> None:
    """Raise where the mixture of a t prior is not fine enough for these data.

    Raises
    ------
    ModelError
        The rule with every other node differs by more than 1e-6.
    """
    if prior.log_weight.size == 1:
        return
    full, thin = given(rows, prior, tau), given(rows, prior.thinned(), tau)
    gap = float(np.abs(full.log_likelihood - thin.log_likelihood).max())
    if not gap <= _MIXTURE_ERROR:
        raise ModelError(
            f"the t prior of the mean could not be integrated to full accuracy (difference {gap:.1e}); "
            "use a Normal prior, or a t prior with a scale nearer to that of the data"
        )


_GAUSS = (12, 20, 30)  # nodes that may stand for the mixture over lambda
_GAUSS_ERROR = 1e-11  # of a probability, found at some tau against the whole mixture


def condensed(prior: MeanPrior, at: Given, inner: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Condense the mixture over lambda at each tau into few components: weights, means, sds, (T, n).

    With ``r = sqrt(P V/(1 + P V))`` for precision P and component variance V, the standard deviation of the
    mean effect is proportional to r and its mean linear in r squared. So everything asked of the mixture is
    smooth in r, and a Gauss rule for the distribution of r keeps its digits. What the rule loses is
    measured; where it is more than 1e-11 (a narrow prior far from the data) the whole mixture is kept.

    Parameters
    ----------
    inner : ndarray (T, L)
        Weights of the components at each tau, each row summing to 1.
    """
    whole = (inner, *_posterior(prior, at.precision, at.mean))
    some = np.unique(np.linspace(0, at.mean.size - 1, 9).astype(int))
    for n in _GAUSS:
        if 2 * n > inner.shape[1]:
            break
        part = _gauss(prior, at, inner, n)
        gap = np.abs(_probabilities(whole, part, some) - _probabilities(part, part, some))
        if float(gap.max()) <= _GAUSS_ERROR:
            return part
    return whole


_Mixture = tuple[FloatArray, FloatArray, FloatArray]


def _probabilities(mixture: _Mixture, places: _Mixture, rows: npt.NDArray[np.intp]) -> FloatArray:
    """Distribution function of a mixture at points that span another, at some tau."""
    weight, mean, sd = (part[rows] for part in mixture)
    low = (places[1][rows] - 2.0 * places[2][rows]).min(axis=1, keepdims=True)
    high = (places[1][rows] + 2.0 * places[2][rows]).max(axis=1, keepdims=True)
    x = np.concatenate([low + (high - low) * np.linspace(0.0, 1.0, 13), places[1][rows]], axis=1)
    u = (x[:, :, None] - mean[:, None, :]) / sd[:, None, :]
    return np.asarray(np.einsum("txl,tl->tx", special.ndtr(u), weight))


def _gauss(prior: MeanPrior, at: Given, inner: FloatArray, n: int) -> _Mixture:
    """Gauss rule for r at each tau by Lanczos' process (Golub and Welsch 1969, Math Comput 23, p. 221)."""
    signal = at.precision[:, None] * prior.variance
    r = np.sqrt(signal / (1.0 + signal))
    centre = np.einsum("tl,tl->t", inner, r)
    x = r - centre[:, None]
    basis = np.zeros((n, *r.shape))
    basis[0] = np.sqrt(inner / inner.sum(axis=1, keepdims=True))
    jacobi = np.zeros((r.shape[0], n, n))
    for j in range(n):
        step = x * basis[j]
        jacobi[:, j, j] = np.einsum("tl,tl->t", step, basis[j])
        if j + 1 == n:
            break
        for _ in range(2):  # twice is enough to stay orthogonal
            step -= np.einsum("it,itl->tl", np.einsum("tl,itl->it", step, basis[: j + 1]), basis[: j + 1])
        beta = np.sqrt(np.einsum("tl,tl->t", step, step))
        full = beta > 1e-14  # below it the distribution has no more than j + 1 points
        basis[j + 1] = np.where(full[:, None], step / np.where(full, beta, 1.0)[:, None], 0.0)
        jacobi[:, j, j + 1] = jacobi[:, j + 1, j] = np.where(full, beta, 0.0)
    nodes, vectors = np.linalg.eigh(jacobi)
    r2 = np.square(np.clip(nodes + centre[:, None], 1e-150, 1.0))
    mean = prior.loc + (at.mean - prior.loc)[:, None] * r2
    return np.square(vectors[:, 0, :]), mean, np.sqrt(r2 / at.precision[:, None])
