"""What selection models maximise: the likelihood of each weight function, and where the search starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy import special

from mtmeta.diagnostics.refit import FloatArray
from mtmeta.diagnostics.weighted import IntArray, Parts, Weighted, cells, contract, nodes, pieces
from mtmeta.models import kernel as engine

__all__ = ["smooth_target", "starts", "step_target"]

_SMALLEST_P = (
    1e-5  # p-values are kept that far from 0 and 1 where a weight function has a pole (as in metafor)
)
_FAR = 8.3  # beyond so many standard errors 1 - p is 1 in double precision
_NODES = 160


def starts(target: Weighted, given: float | None) -> FloatArray:
    """Points all over the plausible: means towards 0 and beyond, little and much heterogeneity."""
    plain = engine.fit(target.yi, target.vi, method="ML", design=target.design)
    mean, t = plain.beta[0], float(plain.tau2[0])
    spread = math.sqrt(float(np.var(target.yi)) + 1e-3)
    m = target.basis.shape[0]
    down = np.ones(1) if target.design is None else target.design.mean(axis=0)  # of orthogonal columns
    means = (mean, 0.5 * mean, mean - spread * down)
    variances = (given,) if given is not None else (t, 0.2 * spread**2 + 0.1)
    tilts = (0.0, -1.0) if m else (0.0,)
    rows = [[*a, b, *([c] * m)] for a in means for b in variances for c in tilts]
    if target.basis.shape[1] > 10:  # smooth weights: theta scales log p, a tilt of one is a lot
        n = target.p + 1
        rows = [[*row[:n], *(0.3 * c for c in row[n:])] for row in rows]
    return np.array(rows, dtype=np.float64)


def step_target(
    y: FloatArray, v: FloatArray, steps: Sequence[float], *, two_sided: bool
) -> tuple[Weighted, tuple[int, ...], FloatArray]:
    """Return the likelihood of steps, the effects in each interval of p, and lower bounds of parameters."""
    root, cuts = np.sqrt(v), np.asarray(steps, dtype=np.float64)
    z = y / root
    if two_sided:
        p, quantile = 2.0 * special.ndtr(-np.abs(z)), -special.ndtri(cuts / 2.0)
        evaluate = partial(_two_tails, root[:, None] * quantile)
    else:
        p, quantile = special.ndtr(-z), -special.ndtri(cuts)
        evaluate = partial(cells, root[:, None] * quantile)
    cell: IntArray = np.searchsorted(cuts, p, side="left")
    basis = np.eye(len(cuts) + 1)[1:]
    counts = tuple(int(n) for n in np.bincount(cell, minlength=len(cuts) + 1))
    lower = np.concatenate([[-np.inf, 0.0], np.full(len(cuts), -np.inf)])
    return Weighted(y, v, evaluate, basis, basis.T[cell]), counts, lower


def _two_tails(
    cuts: FloatArray, mu: FloatArray, s2: FloatArray, columns: FloatArray, counts: tuple[int, int, int]
) -> Parts:
    """Cells of |y|: the cells between falling cut points and their mirror images."""
    both = np.concatenate([cuts, -cuts[:, ::-1]], axis=1)
    parts = pieces(both, mu, s2, derivatives=counts[1] > 0)
    j = cuts.shape[1]
    folded = (np.concatenate([p[:, :, :j] + p[:, :, :j:-1], p[:, :, j : j + 1]], axis=2) for p in parts)
    return contract(tuple(folded), columns, counts)


def smooth_target(
    y: FloatArray, v: FloatArray, weight: str, ends: Sequence[float] | None = None
) -> tuple[Weighted, FloatArray]:
    """Return the likelihood of a smooth weight function with lower bounds of its parameters.

    `ends` are the p-values below and above which a beta weight stays as it is there.
    """
    root = np.sqrt(v)
    if ends is not None:
        high, low = (-float(special.ndtri(p)) for p in ends)
    else:
        high = -float(special.ndtri(_SMALLEST_P)) if weight in ("beta", "power") else _FAR
        low = -high
    x, w = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * (high - low)
    z = np.concatenate([[low], 0.5 * (high + low) + half * x, [high]])
    rule = half * np.concatenate([[0.0], w, [0.0]])
    basis = _logs(z, weight)
    observed = _logs(np.clip(y / root, low, high), weight).T
    floor = -1.0 + _SMALLEST_P if weight == "beta" else 0.0
    lower = np.concatenate([[-np.inf, 0.0], np.full(len(basis), floor)])
    kernel = partial(nodes, root, z, rule)
    return Weighted(y, v, kernel, basis, observed, logistic=weight == "logistic"), lower


def _logs(z: FloatArray, weight: str) -> FloatArray:
    """L of the weight function at z, (M, n)."""
    p = special.ndtr(-z)
    if weight == "half-normal":
        return np.array([-p * p])
    if weight in ("negative-exponential", "logistic"):
        return np.array([-p])
    log_q = special.log_ndtr(z)
    return np.array([log_q]) if weight == "power" else np.array([special.log_ndtr(-z), log_q])
