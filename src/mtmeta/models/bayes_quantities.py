"""What follows from the joint mixture over tau: the mean, a new study, each study, modes, checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import special

from mtmeta.models.bayes_conditional import (
    MeanPrior,
    Rows,
    given,
    log_likelihood,
    log_normal_between,
)
from mtmeta.models.bayes_engine import Joint, TauPosterior, integrate
from mtmeta.models.posterior import (
    Distribution,
    NormalMixture,
    Tabulated,
    climb,
    far_moments,
    mixture_quantiles,
    tabulate,
)
from mtmeta.models.priors import Cauchy, Normal, StudentT
from mtmeta.models.priors_base import FloatArray, Prior, Truncated

__all__ = [
    "discrepancy_pvalue",
    "marginal_ml_tau",
    "mean_effect",
    "mean_log_likelihood",
    "modes",
    "new_study",
    "shrinkage_table",
    "study_effect",
    "study_weights",
]

_LOG_2PI = math.log(2.0 * math.pi)
_ROWS = 1 << 21


def mean_effect(post: Joint) -> Distribution:
    """Posterior of the mean effect."""
    w, tau, m, s = post.components
    has_mean, has_sd = (_mean_tail(post, order) for order in (1, 2))
    if not post.mean.bounded:
        mean, variance = post.mean_moments
        moments = (mean if has_mean else math.nan, math.sqrt(variance) if has_sd else math.inf)
        return NormalMixture(w, m, s, post.rows.shift, moments)
    zero = np.zeros_like(tau)
    table = _truncated(post, zero, np.ones_like(tau), zero)
    whole_range = math.isfinite(post.mean.low) and math.isfinite(post.mean.high)
    if whole_range or post.mean.tail.power == math.inf:
        return table
    mean, sd = far_moments(table) if has_sd else (math.nan, math.inf)
    return replace(table, moments=(mean, sd))


def new_study(post: Joint) -> Distribution:
    """Posterior predictive distribution of a new study's true effect."""
    w, tau, m, s = post.components
    has_mean, has_sd = (_mean_tail(post, order) and post.tail.has_moment(float(order)) for order in (1, 2))
    if not post.mean.bounded:
        mean, variance = post.mean_moments
        sd = math.sqrt(variance + post.moment(2)) if has_sd else math.inf
        return NormalMixture(w, m, np.hypot(s, tau), post.rows.shift, (mean if has_mean else math.nan, sd))
    mu = mean_effect(post)
    sd = math.sqrt(mu.sd**2 + post.moment(2)) if has_sd else math.inf
    moments = (mu.mean if has_mean else math.nan, sd)
    return _truncated(post, np.zeros_like(tau), np.ones_like(tau), tau, moments)


def _mean_tail(post: Joint, order: int) -> bool:
    """Whether the mean effect has a moment: its far tail is that of both priors and k distant studies."""
    if math.isfinite(post.mean.low) and math.isfinite(post.mean.high):
        return True
    power = post.mean.tail.power + post.rows.k - 1.0
    return post.prior_tail.times(power).has_moment(float(order))


def _shrink(post: Joint, rows: slice, tau: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Effects given tau and mean: ``a + b*mean + c*e``, e standard normal; each (rows, M)."""
    v, d = post.rows.v[rows, None], post.rows.d[rows, None]
    t2 = np.square(tau)
    share = t2 / (t2 + v)
    return d * share, v / (t2 + v), np.sqrt(v * share)


def study_effect(post: Joint, row: int) -> Distribution:
    """Posterior of one study's true effect."""
    w, tau, m, s = post.components
    a, b, c = (part[0] for part in _shrink(post, slice(row, row + 1), tau))
    if not post.mean.bounded:
        return NormalMixture(w, a + b * m, np.hypot(b * s, c), post.rows.shift)
    return _truncated(post, a, b, c)


def shrinkage_table(post: Joint, level: float) -> dict[str, FloatArray]:
    """Mean, standard deviation and central interval of every study's effect."""
    k, tail = post.rows.k, 0.5 * (1.0 - level)
    if post.mean.bounded:
        every = [study_effect(post, row) for row in range(k)]
        low, high = np.array([d.ci(level) for d in every]).T
        return {
            "mean": np.array([d.mean for d in every]),
            "sd": np.array([d.sd for d in every]),
            "low": low,
            "high": high,
        }
    w, tau, m, s = post.components
    step = max(1, _ROWS // w.size)
    out = {name: np.empty(k) for name in ("mean", "sd", "low", "high")}
    for start in range(0, k, step):
        part = slice(start, min(start + step, k))
        n = part.stop - start
        a, b, c = _shrink(post, part, tau)
        centre, sd = a + b * m, np.hypot(b * s, c)
        mean = centre @ w
        out["mean"][part] = mean
        out["sd"][part] = np.sqrt((np.square(sd) + np.square(centre - mean[:, None])) @ w)
        # every study twice: the lower end, then the upper
        ends = mixture_quantiles(
            w, np.tile(centre, (2, 1)), np.tile(sd, (2, 1)), np.full(2 * n, tail), np.repeat([1.0, -1.0], n)
        )
        out["low"][part], out["high"][part] = ends[:n], ends[n:]
    for name in ("mean", "low", "high"):
        out[name] += post.rows.shift
    return out


def study_weights(post: Joint) -> FloatArray:
    """Posterior mean of each study's weight in the mean effect, (k,); the prior has what is missing to 1."""
    w, tau, _, s = post.components
    share = np.square(s)[:, None] / (post.rows.v + np.square(tau)[:, None])
    return np.asarray(w @ share)


def _truncated(
    post: Joint, a: FloatArray, b: FloatArray, c: FloatArray, moments: tuple[float, float] | None = None
) -> Tabulated:
    """Distribution of ``a + b*mean + c*e`` where the prior keeps the mean in a range."""
    prior, shift = post.mean, post.rows.shift
    w, _, m, s = post.components
    log_height = np.log(w) - log_normal_between((prior.low - m) / s, (prior.high - m) / s)
    variance = np.square(b * s) + np.square(c)
    root = np.sqrt(variance)
    gain = b * np.square(s) / variance
    rest = s * c / root
    only_mean = not bool(np.any(c))
    log_height = log_height - np.log(root) - 0.5 * _LOG_2PI
    step = max(1, _ROWS // w.size)

    def log_density(x: FloatArray) -> FloatArray:
        out = np.empty(x.shape)
        for start in range(0, x.size, step):
            part = slice(start, start + step)
            miss = (x[part] - shift)[:, None] - (a + b * m)
            parts = log_height - 0.5 * np.square(miss / root)
            if not only_mean:
                at = m + gain * miss
                with np.errstate(divide="ignore", invalid="ignore"):
                    low, high = (prior.low - at) / rest, (prior.high - at) / rest
                parts = parts + log_normal_between(np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=0.0))
            top = parts.max(axis=1)
            safe = np.where(np.isfinite(top), top, 0.0)
            with np.errstate(divide="ignore", under="ignore"):
                out[part] = safe + np.log(np.exp(parts - safe[:, None]).sum(axis=1))
        return out

    # a truncated normal far out in its tail is as wide as s**2 over its distance
    inner = np.clip(m, prior.low, prior.high)
    width = np.hypot(b * s / (1.0 + np.abs(inner - m) / s), c)
    order = np.argsort(width)
    scale = float(width[order][np.searchsorted(np.cumsum(w[order]), 0.5)])
    order = np.argsort(a + b * inner)
    centre = float((a + b * inner)[order][np.searchsorted(np.cumsum(w[order]), 0.5)]) + shift
    ends = (prior.low + shift, prior.high + shift) if only_mean else (-math.inf, math.inf)
    return tabulate(
        log_density,
        centre=centre,
        scale=scale,
        ends=ends,
        what="the posterior of a truncated mean",
        moments=moments,
    )


def mean_log_likelihood(rows: Rows, known: MeanPrior, tau: Prior) -> float:
    """Log marginal likelihood with the mean known and tau integrated out."""
    return integrate(rows, known, tau).log_integral


def discrepancy_pvalue(post: Joint) -> float:
    """Posterior predictive p of ``sum (y - mean)**2/(v + tau**2)``, chi-squared with k degrees of freedom.

    Given tau the discrepancy is ``Q(tau)`` plus a noncentral chi-squared variable of the mean's posterior,
    integrated with 64 Gauss-Hermite points.
    """
    _, tau, m, s = post.components
    w = post.components[0]
    x, omega = np.polynomial.hermite_e.hermegauss(64)
    omega = omega / omega.sum()
    total = 0.0
    step = max(1, _ROWS // (64 * post.rows.k))
    for start in range(0, w.size, step):
        part = slice(start, start + step)
        mean = m[part, None] + s[part, None] * x
        miss = np.square(post.rows.d - mean[:, :, None]) / (post.rows.v + np.square(tau[part])[:, None, None])
        p = special.chdtrc(float(post.rows.k), miss.sum(axis=2))
        total += float(w[part] @ (p @ omega))
    return total


def modes(post: TauPosterior, mu: Prior) -> list[tuple[str, float, float]]:
    """Maxima of likelihood and posterior, joint over mean and tau: (name, tau, mean)."""
    rows = post.rows

    def no_prior(mean: FloatArray, tau: FloatArray) -> FloatArray:
        return np.zeros_like(mean)

    def both(mean: FloatArray, tau: FloatArray) -> FloatArray:
        return np.asarray(np.asarray(mu.logpdf(mean + rows.shift)) + np.asarray(post.prior.logpdf(tau)))

    found = []
    for name, log_prior, prior in (("ML", no_prior, None), ("MAP", both, mu)):
        tau, mean = _joint_maximum(rows, prior, log_prior, post.prior.support if prior else (0.0, math.inf))
        found.append((name, tau, mean + rows.shift))
    return found


def _joint_maximum(
    rows: Rows,
    mu: Prior | None,
    log_prior: Callable[[FloatArray, FloatArray], FloatArray],
    support: tuple[float, float],
) -> tuple[float, float]:
    spread = float(np.ptp(rows.d)) + math.sqrt(float(rows.v.max()))
    low, high = max(support[0], 0.0), min(support[1], 1e3 * spread)
    start = np.log(max(1e-9 * math.sqrt(float(rows.v.min())), low * (1.0 + 1e-12), 1e-150))
    tau = np.exp(np.linspace(start, math.log(high), 400))
    tau = np.unique(np.clip(np.concatenate([[low], tau]), low, high))
    for _ in range(40):
        mean = _best_mean(rows, mu, tau)
        height = log_likelihood(rows, mean, tau) + log_prior(mean, tau)
        height = np.where(np.isnan(height), -math.inf, height)
        if bool(np.any(height == math.inf)):
            i = int(np.flatnonzero(height == math.inf)[0])
            return float(tau[i]), float(mean[i])
        i = int(height.argmax())
        a, b = tau[max(i - 1, 0)], tau[min(i + 1, tau.size - 1)]
        if b - a <= 4e-9 * b or b == a:
            break
        tau = np.linspace(a, b, 21)
    if 0 < i < tau.size - 1 and tau.size == 21:
        bend = height[i - 1] - 2.0 * height[i] + height[i + 1]
        move = 0.5 * (height[i - 1] - height[i + 1]) / bend if bend < 0.0 else 0.0
        best = np.array([tau[i] + move * (tau[1] - tau[0])])
        return float(best[0]), float(_best_mean(rows, mu, best)[0])
    return float(tau[i]), float(mean[i])


def _best_mean(rows: Rows, mu: Prior | None, tau: FloatArray) -> FloatArray:
    """Mean of the highest likelihood (times prior) at each tau, on the shifted scale."""
    w = 1.0 / (rows.v + np.square(tau)[:, None])
    precision = w.sum(axis=1)
    flat = (w @ rows.d) / precision
    inner = mu.prior if isinstance(mu, Truncated) else mu
    if not isinstance(inner, (Normal, StudentT, Cauchy)):
        out = flat
    elif isinstance(inner, (StudentT, Cauchy)):
        df, scale, loc = (
            (inner.df if isinstance(inner, StudentT) else 1.0),
            inner.scale,
            inner.loc - rows.shift,
        )
        candidates = []
        for start in (flat, np.full_like(flat, loc)):
            out = start
            for _ in range(500):  # the EM steps of the scale mixture climb to the nearest maximum
                pull = (df + 1.0) / (df + np.square((out - loc) / scale)) / scale**2
                new = (precision * flat + pull * loc) / (precision + pull)
                done = bool(np.all(np.abs(new - out) <= 1e-15 * (np.abs(new) + scale)))
                out = new
                if done:
                    break
            candidates.append(out)
        heights = [
            -0.5 * precision * np.square(c - flat) + np.asarray(inner.logpdf(c + rows.shift))
            for c in candidates
        ]
        out = np.where(heights[0] >= heights[1], candidates[0], candidates[1])
    else:
        pull = 1.0 / float(inner.sd) ** 2
        out = flat + (inner.mean - rows.shift - flat) * pull / (precision + pull)
    if mu is not None:
        low, high = mu.support
        out = np.clip(out, low - rows.shift, high - rows.shift)
    return np.asarray(out)


def marginal_ml_tau(post: TauPosterior) -> float:
    """Tau of the highest likelihood, the mean integrated out over its prior."""
    rows = post.rows
    spread = float(np.ptp(rows.d)) + math.sqrt(float(rows.v.max()))
    low = 0.5 * math.log(1e-18 * float(rows.v.min()))
    tau = np.concatenate([[0.0], np.exp(np.linspace(low, math.log(1e3 * spread), 400))])
    return climb(lambda t: given(rows, post.mean, t).log_likelihood, tau)
