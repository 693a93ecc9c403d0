"""Intervals for tau2 and for the mean, as functions of arrays; results call them.

Each returns what its equation says over tau2 >= 0. Where metafor searches up to a bound (100 by default),
these go on until the root.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from mtmeta.errors import ModelError
from mtmeta.measures import Interval
from mtmeta.models.kernel import fit, q_profile
from mtmeta.models.quadform import q_distribution, q_statistic
from mtmeta.models.stack import FloatArray, moments, take
from mtmeta.models.stacking import stack_of
from mtmeta.models.tau2 import log_likelihoods

__all__ = [
    "biggerstaff_tweedie",
    "critical",
    "generalised_q",
    "henmi_copas",
    "profile_mean",
    "profile_tau2",
    "q_profile_interval",
    "sidik_jonkman",
    "signed_root",
    "tau2_standard_error",
    "two_sided",
]

_GRID_STEP = 0.1


def critical(level: float, df: float = math.inf) -> float:
    """Return the two-sided critical value of t with `df`, of the normal where `df` is infinite."""
    p = 0.5 + 0.5 * level
    return float(special.ndtri(p)) if math.isinf(df) else float(special.stdtrit(df, p))


def two_sided(statistic: float, df: float = math.inf) -> float:
    """Return the two-sided p-value of a t statistic, of a normal one where `df` is infinite."""
    if math.isinf(df):
        return math.erfc(abs(statistic) / math.sqrt(2.0))
    return float(2.0 * special.stdtr(df, -abs(statistic)))


def _chi2(p: float, df: float) -> float:
    return float(2.0 * special.gammaincinv(0.5 * df, p))


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(f, low, high, xtol=1e-300, rtol=8.9e-16, maxiter=500))


def _last_above(f: Callable[[float], float], start: float) -> float:
    """Return the root of a function positive at `start` and negative far out (f decreasing beyond it)."""
    low, high = 0.0, start
    while f(high) > 0.0:
        low, high = high, 4.0 * high
        if not math.isfinite(high):
            raise ModelError("the upper end of the interval of tau2 lies beyond the largest number")
    return _root(f, low, high)


# tau2 ------------------------------------------------------------------------------------------------------


def q_profile_interval(yi: FloatArray, vi: FloatArray, *, level: float) -> Interval:
    """Q-profile interval: tau2 at which Q(tau2) equals the quantiles of chi2(k - 1).

    Where even Q(0) is below the lower quantile no tau2 fits the data at this level; the empty set is given
    as [0, 0], as metafor does (Viechtbauer 2007, Stat Med 26:37, section 2.2).
    """
    df = len(yi) - 1.0
    tail = 0.5 * (1.0 - level)
    low, high = q_profile(yi, vi, target=[[_chi2(1.0 - tail, df)], [_chi2(tail, df)]])
    return Interval(float(low[0]), float(high[0]))


def profile_tau2(yi: FloatArray, vi: FloatArray, *, level: float, restricted: bool, tau2: float) -> Interval:
    """Profile-likelihood interval: where twice the log-likelihood is within chi2(1) of its maximum.

    Hardy and Thompson 1996, Stat Med 15:619. The outermost ends are given should the set have gaps.
    """
    stack = stack_of(yi, vi)
    unit = float(stack.root[0]) ** 2
    best = tau2 / unit
    which = int(restricted)

    def values(t: FloatArray) -> FloatArray:
        rows = take(stack, np.zeros(len(t), dtype=np.intp))
        return log_likelihoods(rows, t)[which]

    cut = float(values(np.array([best]))[0]) - 0.5 * _chi2(level, 1.0)

    def excess(t: float) -> float:
        return float(values(np.array([t]))[0]) - cut

    vmin = float(stack.vmin[0])
    top = max(4.0 * best, vmin)
    while excess(top) > 0.0:
        top *= 4.0
    # beyond `top` the profile may rise above the cut once more only where the score is still positive
    spread = float(stack.n[0] * stack.spread[0])
    top = max(top, spread + math.sqrt(spread * float(stack.vmax[0])))
    length = math.log1p(top / vmin)
    grid = vmin * np.expm1(np.linspace(0.0, length, max(8, math.ceil(length / _GRID_STEP))))
    grid = np.unique(np.append(grid, best))
    inside = values(grid) >= cut
    inside[np.searchsorted(grid, best)] = True
    first, last = int(np.argmax(inside)), len(grid) - 1 - int(np.argmax(inside[::-1]))
    low = 0.0 if first == 0 else _root(excess, float(grid[first - 1]), float(grid[first]))
    high = _last_above(excess, float(grid[last])) if last == len(grid) - 1 else 0.0
    if last < len(grid) - 1:
        high = _root(excess, float(grid[last]), float(grid[last + 1]))
    return Interval(low * unit, high * unit)


def generalised_q(yi: FloatArray, vi: FloatArray, *, level: float, weights: FloatArray) -> Interval:
    """Interval by the exact distribution of Q with fixed weights.

    Weights 1/v: Biggerstaff and Jackson 2008, Stat Med 27:6093. Weights 1/sqrt(v): Jackson 2013, Res Synth
    Methods 4:220. An empty set is given as [0, 0].
    """
    unit = float(np.median(vi))
    v = vi / unit
    w = weights / weights.max()
    q = q_statistic(yi / math.sqrt(unit), w)
    tail = 0.5 * (1.0 - level)

    def root(p: float) -> float:
        def excess(tau2: float) -> float:
            return float(q_distribution(q, tau2, vi=v, weights=w)[0]) - p

        return _last_above(excess, 1.0) if excess(0.0) > 0.0 else 0.0

    return Interval(root(1.0 - tail) * unit, root(tail) * unit)


def biggerstaff_tweedie(yi: FloatArray, vi: FloatArray, *, level: float) -> Interval:
    """Interval by a gamma distribution with the mean and variance of Q.

    Biggerstaff and Tweedie 1997, Stat Med 16:753; Viechtbauer 2007, Stat Med 26:37, section 2.4.
    """
    w = vi.min() / vi
    s1, s2, s3 = (float((w**p).sum()) for p in (1, 2, 3))
    q = q_statistic(yi, w) / float(vi.min())
    k = len(yi)
    tail = 0.5 * (1.0 - level)
    slope = s1 - s2 / s1
    curve = 2.0 * (s2 - 2.0 * s3 / s1 + (s2 / s1) ** 2)

    def root(p: float) -> float:
        def excess(t: float) -> float:
            mean = k - 1.0 + slope * t
            variance = 2.0 * (k - 1.0) + 4.0 * slope * t + curve * t * t
            return float(special.gammainc(mean * mean / variance, q * mean / variance)) - p

        return _last_above(excess, 1.0) if excess(0.0) > 0.0 else 0.0

    unit = float(vi.min())
    return Interval(root(1.0 - tail) * unit, root(tail) * unit)


def sidik_jonkman(yi: FloatArray, vi: FloatArray, *, level: float) -> Interval:
    """Interval ``(k - 1) tau2_SJ / chi2(k - 1)`` around the estimate of Sidik and Jonkman.

    Sidik and Jonkman 2005, Appl Stat 54:367; Viechtbauer 2007, Stat Med 26:37, section 2.6.
    """
    df = len(yi) - 1.0
    tail = 0.5 * (1.0 - level)
    total = df * float(fit(yi, vi, method="SJ").tau2[0])
    return Interval(total / _chi2(1.0 - tail, df), total / _chi2(tail, df))


def tau2_standard_error(yi: FloatArray, vi: FloatArray, *, method: str, tau2: float) -> float:
    """Return the asymptotic standard error of an estimate of tau2.

    ML and REML: expected information; DL, HE, HS, HSk, SJ: variance of the quadratic form under normality;
    EB, PM, PMM: metafor's formula (Viechtbauer 2005, J Educ Behav Stat 30:261; Viechtbauer et al. 2015,
    Br J Math Stat Psychol 68:1).
    """
    stack = stack_of(yi, vi)
    unit = float(stack.root[0]) ** 2
    t = tau2 / unit
    k = float(stack.n[0])
    at = moments(stack, np.array([t]), derivatives=True)
    at0 = moments(stack, np.zeros(1), derivatives=True)
    start = {name: float(getattr(at0, name)[0]) for name in ("w", "trace", "trace2")}
    if method == "ML":
        variance = 2.0 / float(at.w2[0])
    elif method == "REML":
        variance = 2.0 / float(at.trace2[0])
    elif method in ("EB", "PM", "PMM"):
        variance = 2.0 * k * k / (k - 1.0) / float(at.w[0]) ** 2
    elif method in ("DL", "HS", "HSk"):
        spread = 2.0 * (k - 1.0) + 4.0 * t * start["trace"] + 2.0 * t * t * start["trace2"]
        by = start["trace"] if method == "DL" else start["w"]
        factor = k / (k - 1.0) if method == "HSk" else 1.0
        variance = (factor / by) ** 2 * spread
    elif method in ("HE", "SJ"):
        v = stack.v[0]
        start_value = float(stack.spread[0])
        a = np.ones_like(v) if method == "HE" else start_value / (v + start_value)
        share = a / max(float(a.sum()), np.finfo(np.float64).tiny)
        # sums over the elements of P squared, times v v', v and 1
        pp = [
            float((a * a * b * c * (1.0 - 2.0 * share)).sum() + (a * share * b).sum() * (a * share * c).sum())
            for b, c in ((v, v), (v, np.ones_like(v)), (np.ones_like(v), np.ones_like(v)))
        ]
        variance = (2.0 * pp[0] + 4.0 * t * pp[1] + 2.0 * t * t * pp[2]) / (k - 1.0) ** 2
    else:
        raise ModelError(f"no standard error of tau2 is known for tau2={method!r}")
    return unit * math.sqrt(variance)


# mean ------------------------------------------------------------------------------------------------------


def _deviance(yi: FloatArray, vi: FloatArray, mean: float, top: float) -> float:
    """Return twice the drop of the profile log-likelihood from its maximum `top` to that at `mean`."""
    known = fit(yi - mean, vi, method="ML", design=np.empty((len(yi), 0)))
    return max(0.0, 2.0 * (top - float(known.loglik[0])))


def profile_mean(
    yi: FloatArray, vi: FloatArray, *, level: float, estimate: float, se: float, loglik: float
) -> Interval:
    """Profile-likelihood interval of the mean, tau2 maximised at every value.

    Hardy and Thompson 1996, Stat Med 15:619. `estimate`, `se` and `loglik` are those of the ML fit.
    """
    allowed = _chi2(level, 1.0)

    def excess(mean: float) -> float:
        return _deviance(yi, vi, mean, loglik) - allowed

    ends = []
    for sign in (-1.0, 1.0):
        inner, step = estimate, sign * se
        while excess(inner + step) <= 0.0:
            inner, step = inner + step, 1.5 * step
        ends.append(_root(excess, inner, inner + step))
    return Interval(*ends)


def signed_root(yi: FloatArray, vi: FloatArray, *, estimate: float, loglik: float, null: float) -> float:
    """Return the signed root of the likelihood ratio against `null`; standard normal if it is true."""
    return math.copysign(math.sqrt(_deviance(yi, vi, null, loglik)), estimate - null)


def henmi_copas(yi: FloatArray, vi: FloatArray, *, level: float) -> float:
    """Return the critical value of Henmi and Copas.

    The mean is that of the common-effect model; its distribution, with tau2 estimated by DL in the
    denominator, is approximated through a gamma distribution of Q given the mean (Henmi and Copas 2010,
    Stat Med 29:2969, section 3). The interval is ``estimate +- critical * se``.
    """
    from scipy.integrate import quad

    stack = stack_of(yi, vi)
    unit = float(stack.root[0]) ** 2
    k = len(yi)
    t = float(fit(yi, vi, method="DL").tau2[0]) / unit
    at0 = moments(stack, np.zeros(1), derivatives=True)
    trace, trace2 = float(at0.trace[0]), float(at0.trace2[0])
    w = 1.0 / stack.v[0]
    share = w / w.sum()
    apart = w - w.max()
    apart = apart - np.dot(share, apart)  # from the weighted mean weight, which one study may dominate
    m2 = float(np.dot(share, w))
    u2, u3 = float(np.dot(share, apart**2)), float(np.dot(share * w, apart**2))
    ratio = 1.0 + t * m2

    def q_below(r: float, x: float) -> float:
        # P(Q <= f(r / x)) given that the standardised mean is r
        z = (r * r - 1.0) / ratio
        mean = k - 1.0 + t * trace + t * t * z * u2
        variance = 2.0 * (k - 1.0 + t * (2.0 * trace + t * trace2)) + 4.0 * t * t * z * (u2 + t * u3)
        variance += 2.0 * (t * t * u2 / ratio) ** 2 * (1.0 - 2.0 * r * r)
        at = trace / m2 * ((r / x) ** 2 - 1.0) + k - 1.0
        return float(special.gammainc(mean * mean / variance, at * mean / variance))

    def excess(x: float) -> float:
        def density(r: float) -> float:
            return q_below(r, x) * math.exp(-0.5 * r * r) / math.sqrt(2.0 * math.pi)

        area = quad(density, x, x + 2.0, epsabs=1e-14, epsrel=1e-12, limit=400)[0]
        area += quad(density, x + 2.0, max(x + 10.0, 40.0), epsabs=1e-14, epsrel=1e-12, limit=400)[0]
        return float(area) - 0.5 * (1.0 - level)

    high = 2.0
    while excess(high) > 0.0:
        high *= 1.5
    spread = math.sqrt(ratio)  # with much heterogeneity the root is of the order of its inverse
    return _root(excess, 1e-3 / spread, high) * spread
