"""The engine: tau2 and the pooled coefficients of many meta-analyses in one call.

A single fit is a batch of one. Whatever refits (leave-one-out, subsets, sign flips, bootstrap samples,
permuted moderators) calls :func:`fit` once with a stack of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtmeta.models.compiled import fit_compiled, pays
from mtmeta.models.stack import (
    BoolArray,
    FloatArray,
    IntArray,
    Stack,
    log_determinants,
    log_gram,
    moments,
    stretch,
    take,
)
from mtmeta.models.stacking import stack_of
from mtmeta.models.tau2 import TAU2_METHODS, Tau2Method, estimate, polish, polish_q, solve_q, tau2_method

__all__ = ["TAU2_METHODS", "KernelFit", "Tau2Method", "fit", "q_profile"]

_CHUNK = 1 << 14  # numbers a chunk of rows holds; with a grid of a dozen points it stays within cache
_CHUNK_DESIGN = 1 << 17  # the same with a design, whose many small steps are dearer than the cache
_FAR = 100.0  # an entry of the transformed design beyond which digits may be lost at tau2 > 0
_LOG_2PI = 1.8378770664093453


@dataclass(frozen=True, slots=True)
class KernelFit:
    """Fits of B meta-analyses with p coefficients; plain arrays, on the scale of the effects.

    Attributes
    ----------
    tau2 : ndarray (B,)
        Between-study variance.
    beta : ndarray (B, p)
        Coefficients.
    cov : ndarray (B, p, p)
        ``(X'WX)^-1``, the classic covariance, W = 1/(v + tau2).
    q : ndarray (B,)
        Cochran's Q, weighted residual sum of squares at tau2 = 0 (QE with moderators).
    rss : ndarray (B,)
        The same sum at the estimated tau2; ``rss / df`` is the scale factor of Knapp and Hartung.
    vt : ndarray (B,)
        Typical sampling variance ``(k - p)/tr P`` (Higgins and Thompson 2002); 0 without degrees of freedom.
    loglik, loglik_reml : ndarray (B,)
        Log-likelihood and restricted log-likelihood with all constants, the latter with ``log|X'X|/2``.
    k : ndarray (B,)
        Number of effects.
    p : int
        Number of coefficients.
    """

    tau2: FloatArray
    beta: FloatArray
    cov: FloatArray
    q: FloatArray
    rss: FloatArray
    vt: FloatArray
    loglik: FloatArray
    loglik_reml: FloatArray
    k: FloatArray
    p: int

    @property
    def df(self) -> FloatArray:
        """Degrees of freedom k - p, (B,)."""
        return self.k - self.p

    @property
    def estimate(self) -> FloatArray:
        """First coefficient, (B,): the pooled mean when the design is an intercept."""
        return self.beta[:, 0]

    @property
    def se(self) -> FloatArray:
        """Classic standard errors, (B, p)."""
        return np.sqrt(np.diagonal(self.cov, axis1=1, axis2=2))

    @property
    def scale(self) -> FloatArray:
        """Knapp and Hartung's factor ``rss/df``, (B,); 1 without degrees of freedom."""
        return np.where(self.df > 0, self.rss / np.maximum(self.df, 1.0), 1.0)

    @property
    def i2(self) -> FloatArray:
        """``100 tau2/(tau2 + vt)`` in percent, (B,)."""
        return 100.0 * np.divide(
            self.tau2, self.tau2 + self.vt, out=np.zeros_like(self.tau2), where=self.tau2 > 0.0
        )

    @property
    def h2(self) -> FloatArray:
        """``1 + tau2/vt``, (B,); 1 without degrees of freedom."""
        return 1.0 + np.divide(self.tau2, self.vt, out=np.zeros_like(self.tau2), where=self.vt > 0.0)


def fit(
    yi: npt.ArrayLike,
    vi: npt.ArrayLike,
    *,
    method: str = "REML",
    design: npt.ArrayLike | None = None,
    present: npt.ArrayLike | None = None,
    tau2: npt.ArrayLike | None = None,
    compiled: bool | None = None,
) -> KernelFit:
    """Fit one or many random-effects models.

    Parameters
    ----------
    yi, vi : array_like (k,) or (B, k)
        Effects and sampling variances, finite, variances positive. One of them may be shared by all rows.
        Variances given once (k,) for many rows of effects take a faster path.
    method : {"DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM"}
        Estimator of tau2, see :func:`mtmeta.models.tau2.estimate`.
    design : array_like (k, p) or (B, k, p), optional
        Columns of the design, the intercept included; None is an intercept alone.
    present : array_like (k,) or (B, k) of bool, optional
        Which effects take part in a row; values elsewhere are ignored (but must be numbers).
    tau2 : float or array_like (B,), optional
        A given tau2 >= 0; nothing is estimated then. 0 is the common-effect model.
    compiled : bool, optional
        Whether rows without a design go through compiled code (numba, extra ``fast``); None: batches of four
        million effects and more, if it is installed and the environment does not say ``MTMETA_COMPILED=0``.

    Returns
    -------
    KernelFit

    Raises
    ------
    ModelError
        Fewer effects than coefficients, a design without full rank, variances over 100 orders of magnitude.
    UsageError
        An unknown method; compiled code asked for without numba.

    Notes
    -----
    Without degrees of freedom (k = p) tau2 is 0, as in metafor. Accuracy: the difference of any two tau2
    solving the same equation is below 1e-12 of tau2 plus the smallest variance, as far as the conditioning
    of the equation allows; the pivoting of :mod:`mtmeta.models.stack` keeps the sums free of cancellation.

    Examples
    --------
    BCG vaccine, log relative risks, REML: 0.3132 and -0.7145 (Viechtbauer 2010, J Stat Softw 36(3), p. 14).

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> one = fit(y, v)
    >>> round(float(one.tau2[0]), 4), round(float(one.estimate[0]), 4), round(float(one.se[0, 0]), 4)
    (0.3132, -0.7145, 0.1798)
    """
    method = tau2_method(method)
    y, v = np.asarray(yi, dtype=np.float64), np.asarray(vi, dtype=np.float64)
    X = None if design is None else np.asarray(design, dtype=np.float64)
    mask = None if present is None else np.asarray(present, dtype=np.bool_)
    rows = _rows(y, v, X, mask)
    given = None if tau2 is None else np.broadcast_to(np.asarray(tau2, dtype=np.float64), (rows,))
    if X is None and pays(rows, y.shape[-1], compiled):
        done = fit_compiled(y, v, mask, rows=rows, method=method, tau2=given)
        if done is not None:
            t, mean, variance, q, rss, vt, ml, reml, n = done
            return KernelFit(t, mean[:, None], variance[:, None, None], q, rss, vt, ml, reml, n, 1)
    chunks = _chunks(y, X, rows, mask)
    if len(chunks) == 1:
        return _fit_at(y, v, X, mask, slice(0, rows), method, given)
    p = 1 if X is None else X.shape[-1]
    out = KernelFit(
        tau2=np.empty(rows),
        beta=np.empty((rows, p)),
        cov=np.empty((rows, p, p)),
        q=np.empty(rows),
        rss=np.empty(rows),
        vt=np.empty(rows),
        loglik=np.empty(rows),
        loglik_reml=np.empty(rows),
        k=np.empty(rows),
        p=p,
    )
    for at in chunks:
        part = _fit_at(y, v, X, mask, at, method, None if given is None else given[at])
        for name in ("tau2", "beta", "cov", "q", "rss", "vt", "loglik", "loglik_reml", "k"):
            getattr(out, name)[at] = getattr(part, name)
    return out


def q_profile(
    yi: npt.ArrayLike,
    vi: npt.ArrayLike,
    *,
    target: npt.ArrayLike,
    design: npt.ArrayLike | None = None,
    present: npt.ArrayLike | None = None,
) -> FloatArray:
    """Solve ``Q(tau2) = target`` for each row; 0 where ``Q(0) <= target``.

    Parameters
    ----------
    yi, vi, design, present
        As in :func:`fit`.
    target : array_like (B,) or (M, B)
        Positive values; quantiles of chi2(k - p) give the Q-profile interval of tau2
        (Viechtbauer 2007, Stat Med 26:37, equation 20).

    Returns
    -------
    ndarray, shaped as `target` broadcast to rows
    """
    y, v = np.asarray(yi, dtype=np.float64), np.asarray(vi, dtype=np.float64)
    X = None if design is None else np.asarray(design, dtype=np.float64)
    mask = None if present is None else np.asarray(present, dtype=np.bool_)
    rows = _rows(y, v, X, mask)
    goals = np.asarray(target, dtype=np.float64)
    goals = np.broadcast_to(goals, (*goals.shape[:-1], rows) if goals.ndim else (rows,))
    flat = goals.reshape(-1, rows)
    out = np.empty(flat.shape)
    for at in _chunks(y, X, rows, mask):
        stack = _stack_at(y, v, X, mask, at)
        unit = stack.root * stack.root
        bad = stretch(stack) > _FAR
        every = np.arange(at.start, at.stop) if isinstance(at, slice) else at
        for goal, answer in zip(flat, out, strict=True):
            answer[at] = solve_q(stack, goal[at]) * unit
            again = every[bad & (answer[at] > 0.0)]
            if again.size:
                better = _stack_at(y, v, X, mask, again, answer[again])
                square = better.root * better.root
                answer[again] = polish_q(better, goal[again], answer[again] / square) * square
    return out.reshape(goals.shape)


def _rows(y: FloatArray, v: FloatArray, X: FloatArray | None, mask: BoolArray | None) -> int:
    sizes = [a.shape[0] for a in (y, v) if a.ndim == 2]
    if X is not None and X.ndim == 3:
        sizes.append(X.shape[0])
    if mask is not None and mask.ndim == 2:
        sizes.append(mask.shape[0])
    return max(sizes, default=1)


def _chunks(y: FloatArray, X: FloatArray | None, rows: int, mask: BoolArray | None) -> list[IntArray | slice]:
    """Cut the rows so that a chunk stays small; ragged rows go with others of their length."""
    width = y.shape[-1] * (1 if X is None else max(1, X.shape[-1] ** 2))
    most = _CHUNK if X is None else _CHUNK_DESIGN
    if rows * width <= most:
        return [slice(0, rows)]
    if mask is None or mask.ndim == 1:
        size = max(1, most // width)
        return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
    k = mask.shape[1]
    length = k - np.argmax(mask[:, ::-1], axis=1)
    order = np.argsort(-length, kind="stable")
    chunks: list[IntArray | slice] = []
    start = 0
    while start < rows:
        size = max(1, most * k // (width * int(length[order[start]])))
        chunks.append(order[start : start + size])
        start += size
    return chunks


def _fit_at(
    y: FloatArray,
    v: FloatArray,
    X: FloatArray | None,
    mask: BoolArray | None,
    at: IntArray | slice,
    method: str,
    given: FloatArray | None,
) -> KernelFit:
    """Fit some rows; those whose basis is bad at their tau2 once more, on one chosen for it."""
    stack = _stack_at(y, v, X, mask, at)
    t = estimate(stack, method) if given is None else given / (stack.root * stack.root)
    first = _fit_stack(stack, t)
    if X is None:
        return first
    again = np.flatnonzero((stretch(stack) > _FAR) & ((t > 0.0) | (method in ("HE", "SJ"))))
    if not again.size:
        return first
    rows = (np.arange(at.start, at.stop) if isinstance(at, slice) else at)[again]
    origin = take(stack, again)
    unit = origin.root * origin.root
    near = t[again] if method not in ("HE", "SJ") else np.maximum(t[again], origin.spread)
    better = _stack_at(y, v, X, mask, rows, near * unit)
    t = polish(better, method, t[again], origin) if given is None else t[again]
    second = _fit_stack(better, t)
    for name in ("tau2", "beta", "cov", "rss", "loglik", "loglik_reml"):  # q and vt belong to tau2 = 0
        getattr(first, name)[again] = getattr(second, name)
    return first


def _stack_at(
    y: FloatArray,
    v: FloatArray,
    X: FloatArray | None,
    mask: BoolArray | None,
    at: IntArray | slice,
    near: FloatArray | None = None,
) -> Stack:
    part = mask[at] if mask is not None and mask.ndim == 2 else mask
    used = slice(None)
    if not isinstance(at, slice) and part is not None:
        used = slice(0, int(np.flatnonzero(part.any(axis=0))[-1]) + 1)
        part = part[:, used]
    return stack_of(
        y[at][:, used] if y.ndim == 2 else y[used],
        v[at][:, used] if v.ndim == 2 else v[used],
        design=None if X is None else (X[at][:, used] if X.ndim == 3 else X[used]),
        present=part,
        near=near,
    )


def _fit_stack(stack: Stack, t: FloatArray) -> KernelFit:
    """Collect a fit at tau2 = t, in units of the stack."""
    unit = stack.root * stack.root
    both = np.zeros((len(t), 2))
    both[:, 1] = t
    at = moments(stack, both)
    q, rss = at.q[:, 0], at.q[:, 1]
    logs, information, inverse = log_determinants(stack, t)
    n, p = stack.n, stack.p
    free = n - p
    coefficients = stack.origin + stack.root[:, None] * at.shift[:, 1]
    cov = inverse * unit[:, None, None]
    log_unit = np.log(unit)
    ml = -0.5 * (n * _LOG_2PI + logs + n * log_unit + rss)
    gram = log_gram(stack)
    if stack.back is not None:
        back = np.linalg.inv(stack.back)
        coefficients = np.matvec(back, coefficients)
        cov = back @ cov @ np.swapaxes(back, 1, 2)
    reml = ml + 0.5 * (p * (_LOG_2PI + log_unit) - information + gram)
    vt = unit * free / np.where(free > 0, at.trace[:, 0], 1.0)
    return KernelFit(t * unit, coefficients, cov, q, rss, vt, ml, reml, n, p)
