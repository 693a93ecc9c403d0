"""One model of publication bias, and its marginal likelihood by importance sampling with a known error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special
from scipy.stats import qmc

from mtmeta.errors import ModelError
from mtmeta.models.priors_base import FloatArray, Prior

__all__ = ["INTERVALS", "Bias", "BiasModel", "Points", "sample_model"]

Kind = Literal["none", "one-sided", "two-sided", "PET", "PEESE"]
INTERVALS = (0.025, 0.05, 0.5, 0.95, 0.975)
"""Ends of the intervals of one-sided p that all weight functions of the ensemble share."""
_DF = 5.0  # of the proposal, whose tails are then heavier than those of any posterior here
_REPEATS = 8
_T_POINTS, _PRIOR_POINTS = 1024, 128


@dataclass(frozen=True)
class Bias:
    """How results were selected or distorted.

    Parameters
    ----------
    kind : {"none", "one-sided", "two-sided", "PET", "PEESE"}
    steps : tuple of float
        p-values at which the probability of publication falls, for the weight functions.
    """

    kind: Kind
    steps: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Such as ``one-sided .025, .05``."""
        words = ", ".join(f"{s:g}".removeprefix("0") for s in self.steps)
        return f"{self.kind} {words}".strip()

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return {"none": 0, "PET": 1, "PEESE": 1}.get(self.kind, len(self.steps))

    def cuts(self, se: FloatArray) -> FloatArray:
        """Effects at the steps, (2m or m, k), from high to low."""
        steps = np.asarray(self.steps)
        z = -special.ndtri(steps) if self.kind == "one-sided" else -special.ndtri(steps / 2)
        z = z if self.kind == "one-sided" else np.concatenate([z, -z[::-1]])
        return np.asarray(z[:, None] * se)

    def weight_index(self) -> npt.NDArray[np.intp]:
        """Which of the weights holds between the cuts, from high effects to low."""
        m = len(self.steps)
        if self.kind == "one-sided":
            return np.arange(m + 1)
        return np.concatenate([np.arange(m + 1), np.arange(m)[::-1]])


@dataclass(frozen=True)
class Points:
    """Weighted points of one model's posterior.

    Attributes
    ----------
    log_z, error : float
        Log marginal likelihood and its standard error.
    log_z_each : ndarray (R,)
        Of the independent repeats.
    weight : ndarray (R, S)
        Weights, their sum 1 in every repeat.
    mu, tau, pet, peese : ndarray (R, S)
    omega : ndarray (R, S, 6)
        Relative probabilities of publication in the intervals of one-sided p.
    """

    log_z: float
    error: float
    log_z_each: FloatArray
    weight: FloatArray
    mu: FloatArray
    tau: FloatArray
    pet: FloatArray
    peese: FloatArray
    omega: FloatArray


@dataclass(frozen=True)
class BiasModel:
    """Likelihood and priors of one model, in coordinates without bounds.

    The coordinates are mu, log tau, and of the bias: log of the PET or PEESE slope, or logits of the ratios
    of neighbouring weights to the power that makes them uniform: under the cumulative Dirichlet prior with
    all parameters 1 the weights below the first are the order statistics of uniform variables.
    """

    y: FloatArray
    """Turned so that selection favours high values."""
    v: FloatArray
    sign: float
    mu: Prior | None
    tau: Prior | None
    bias: Bias
    slope: Prior | None

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return (self.mu is not None) + (self.tau is not None) + self.bias.parameters

    def split(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mu, tau and the coordinates of the bias at points (S, d)."""
        at = 0
        mu, tau = np.zeros(len(x)), np.zeros(len(x))
        if self.mu is not None:
            mu, at = x[:, 0], 1
        if self.tau is not None:
            tau, at = np.exp(np.minimum(x[:, at], 300.0)), at + 1
        return mu, tau, x[:, at:]

    def weights(self, b: FloatArray) -> FloatArray:
        """Return the weights of a weight function, (S, m + 1), from 1 down."""
        m = self.bias.parameters
        ratios = special.log_expit(b) / np.arange(m, 0, -1)
        logs = np.cumsum(ratios, axis=1)
        out: FloatArray = np.exp(np.concatenate([np.zeros((len(b), 1)), logs], axis=1))
        return out

    def log_prior(self, x: FloatArray) -> FloatArray:
        """Log prior density in the coordinates."""
        total, at = np.zeros(len(x)), 0
        if self.mu is not None:
            total, at = total + np.asarray(self.mu.logpdf(x[:, 0])), 1
        if self.tau is not None:
            total, at = total + self.tau.log_density_of_log(x[:, at]), at + 1
        if self.slope is not None:
            return np.asarray(total + self.slope.log_density_of_log(x[:, at]))
        rest = x[:, at:]
        return np.asarray(total + (special.log_expit(rest) + special.log_expit(-rest)).sum(1))

    def from_prior(self, u: FloatArray) -> FloatArray:
        """Turn uniform numbers (S, d) into points of the prior."""
        x, at = special.logit(u), 0
        if self.mu is not None:
            x[:, 0], at = self.mu.quantile(u[:, 0]), 1
        with np.errstate(divide="ignore"):
            if self.tau is not None:
                x[:, at] = np.log(self.tau.quantile(u[:, at]))
                at += 1
            if self.slope is not None:
                x[:, at] = np.log(self.slope.quantile(u[:, at]))
        bounded: FloatArray = np.clip(x, -600.0, 600.0)
        return bounded

    def log_likelihood(self, x: FloatArray) -> FloatArray:
        """Log likelihood at points (S, d)."""
        mu, tau, b = self.split(x)
        mean = self.sign * mu[:, None]
        if self.slope is not None:
            size = np.sqrt(self.v) if self.bias.kind == "PET" else self.v
            mean = mean + np.exp(np.minimum(b[:, :1], 300.0)) * size
        variance = self.v + np.square(tau)[:, None]
        total = -0.5 * (np.square(self.y - mean) / variance + np.log(2 * np.pi * variance)).sum(1)
        if not self.bias.steps:
            return np.asarray(total)
        weights, cuts = self.weights(b), self.bias.cuts(np.sqrt(self.v))
        index = self.bias.weight_index()
        observed = index[(self.y < cuts).sum(0)]  # 0 above the highest cut
        total = total + np.log(np.maximum(weights[:, observed], 1e-300)).sum(1)
        # P(published) as a sum of drops at the cuts: w_0 + sum of (w_{j+1} - w_j) P(effect below cut j)
        norm = np.ones((len(x), self.y.size))
        sd = np.sqrt(variance)
        for j, cut in enumerate(cuts):
            drop = weights[:, index[j + 1]] - weights[:, index[j]]
            norm = norm + drop[:, None] * special.ndtr((cut - mean) / sd)
        return np.asarray(total - np.log(np.maximum(norm, 1e-300)).sum(1))

    def log_joint(self, x: FloatArray) -> FloatArray:
        """Log of prior times likelihood; -inf where it is no number."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            value = self.log_prior(x) + self.log_likelihood(x)
        return np.where(np.isnan(value), -np.inf, value)


def sample_model(model: BiasModel, rng: np.random.Generator, *, most: float, doublings: int = 3) -> Points:
    """Integrate one model: a t distribution at the mode, adapted once, mixed with the prior.

    Points are scrambled Sobol sequences, eight of them independent, whose spread is the standard error.

    Raises
    ------
    ModelError
        The standard error of the log marginal likelihood stays above `most`.
    """
    d = model.size
    if d == 0:
        log_z = float(model.log_likelihood(np.zeros((1, 0)))[0])
        return _points(model, np.zeros((_REPEATS, 1, 0)), np.full((_REPEATS, 1), log_z))
    centre, cov = _laplace(model)
    factor = 1
    found = _importance(model, centre, cov, rng, 1)
    for _ in range(doublings + 1):
        x, log_w = found
        w = np.exp(log_w - log_w.max()).ravel()
        flat = x.reshape(-1, d)
        w /= w.sum()
        if 1.0 / float(np.square(w).sum()) > 10.0 * d:  # enough to take moments from
            centre = w @ flat
            cov = (w[:, None] * (flat - centre)).T @ (flat - centre) + 1e-9 * np.eye(d)
        found = _importance(model, centre, cov, rng, factor)
        points = _points(model, *found)
        if points.error <= most:
            return points
        factor *= 2
    raise ModelError(
        f"the log marginal likelihood of the model with bias {model.bias.name!r} has a standard error of "
        f"{points.error:.2g} (asked: {most:g}); the data lie far from what the priors expect: use "
        "priors that are less diffuse"
    )


def _laplace(model: BiasModel) -> tuple[FloatArray, FloatArray]:
    """Mode and inverse curvature, from the best of points of the prior."""
    d = model.size
    start = model.from_prior(qmc.Sobol(d, scramble=True, rng=1).random(256) * 0.98 + 0.01)
    best = start[int(np.argmax(model.log_joint(start)))]

    def down(x: FloatArray) -> float:
        value = float(model.log_joint(x[None])[0])
        return -value if math.isfinite(value) else 1e10

    mode = optimize.minimize(down, best, method="BFGS", options={"gtol": 1e-3, "maxiter": 60}).x
    h = 1e-3
    steps = h * np.eye(d)
    grid = np.array(
        [mode + a * steps[i] + b * steps[j] for i in range(d) for j in range(d) for a, b in _SIGNS]
    )
    values = model.log_joint(grid).reshape(d, d, 4)
    bend = -(values[..., 0] - values[..., 1] - values[..., 2] + values[..., 3]) / (4 * h * h)
    spread, turn = np.linalg.eigh(0.5 * (bend + bend.T) if np.isfinite(bend).all() else np.eye(d))
    return mode, np.asarray((turn / np.clip(spread, 0.05, None)) @ turn.T)


_SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def _importance(
    model: BiasModel, centre: FloatArray, cov: FloatArray, rng: np.random.Generator, factor: int
) -> tuple[FloatArray, FloatArray]:
    d, n_t, n_p = model.size, factor * _T_POINTS, factor * _PRIOR_POINTS
    root = np.linalg.cholesky(1.3 * cov)
    parts = []
    for _ in range(_REPEATS):
        u = np.clip(qmc.Sobol(d + 1, scramble=True, rng=rng).random(n_t), 1e-12, 1 - 1e-12)
        scale = np.sqrt(2 * special.gammaincinv(0.5 * _DF, u[:, d]) / _DF)
        wide = np.clip(qmc.Sobol(d, scramble=True, rng=rng).random(n_p), 1e-12, 1 - 1e-12)
        parts.append(
            np.concatenate(
                [centre + (special.ndtri(u[:, :d]) / scale[:, None]) @ root.T, model.from_prior(wide)]
            )
        )
    x = np.concatenate(parts)
    z = np.linalg.solve(root, (x - centre).T)
    log_t = (
        special.gammaln(0.5 * (_DF + d))
        - special.gammaln(0.5 * _DF)
        - 0.5 * d * math.log(_DF * math.pi)
        - np.log(np.diag(root)).sum()
        - 0.5 * (_DF + d) * np.log1p(np.square(z).sum(0) / _DF)
    )
    share = n_t / (n_t + n_p)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        prior = model.log_prior(x)
    prior = np.where(np.isnan(prior), -np.inf, prior)
    log_q = np.logaddexp(math.log(share) + log_t, math.log1p(-share) + prior)
    log_w = model.log_joint(x) - log_q
    return x.reshape(_REPEATS, n_t + n_p, d), log_w.reshape(_REPEATS, n_t + n_p)


def _points(model: BiasModel, x: FloatArray, log_w: FloatArray) -> Points:
    each = special.logsumexp(log_w, axis=1) - math.log(log_w.shape[1])
    log_z = float(special.logsumexp(each) - math.log(_REPEATS))
    error = float(np.std(np.exp(each - log_z), ddof=1) / math.sqrt(_REPEATS))
    weight = np.exp(log_w - special.logsumexp(log_w, axis=1, keepdims=True))
    shape = log_w.shape
    mu, tau, b = model.split(x.reshape(shape[0] * shape[1], model.size))
    slope = np.exp(np.minimum(b[:, 0], 300.0)) if model.slope is not None else np.zeros(len(mu))
    omega = np.ones((len(mu), len(INTERVALS) + 1))
    if model.bias.steps:
        omega = model.weights(b)[:, _interval_weights(model.bias)]
    zero = np.zeros(shape)
    return Points(
        log_z,
        error,
        each,
        weight,
        mu.reshape(shape),
        tau.reshape(shape),
        slope.reshape(shape) if model.bias.kind == "PET" else zero,
        slope.reshape(shape) if model.bias.kind == "PEESE" else zero,
        omega.reshape(*shape, -1),
    )


def _interval_weights(bias: Bias) -> Sequence[int]:
    ends = np.array([0.0, *INTERVALS, 1.0])
    middle = 0.5 * (ends[1:] + ends[:-1])
    p = middle if bias.kind == "one-sided" else 2 * np.minimum(middle, 1 - middle)
    index: list[int] = np.searchsorted(np.asarray(bias.steps), p).tolist()
    return index
