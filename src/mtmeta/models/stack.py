"""Many meta-analyses in one array, put into the form in which their sums lose no digits.

A *stack* holds B meta-analyses of up to k effects each. Before anything is summed, every row is

* scaled by a power of four near its smallest variance, so that all later numbers are near one and scaling
  the input by a power of two changes no bit of the answer;
* reparametrised so that its p most informative effects (the *basis*) are fitted exactly by the origin:
  ``X = L R`` with ``L[basis] = I`` and ``d = y - L y[basis]``. For an intercept this means: effects are
  differences from the most precise study. One study of variance 1e-12 beside others of variance 1 then
  costs no accuracy, because the difference that would cancel is never formed (Gaussian elimination with
  row pivoting before weighted least squares; Bjorck 1996, Numerical Methods for Least Squares Problems,
  section 4.4).

The basis always stands in the first p columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "LONG",
    "Moments",
    "Stack",
    "intercept_moments",
    "log_determinants",
    "log_gram",
    "moments",
    "quadratic_form",
    "stretch",
    "take",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

_NOTHING: FloatArray = np.empty(0)
LONG = 1 << 13  # effects of one row beyond which sums go block by block, and the longest block
_BLOCK = 1 << 16  # numbers of a block, which stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Stack:
    """B meta-analyses ready to be summed; made by :func:`mtmeta.models.stacking.stack_of`.

    Attributes
    ----------
    d : ndarray (B, k)
        Effects relative to the basis, in units of ``root``; 0 where absent.
    v : ndarray (B, k) or (1, k)
        Sampling variances in units of ``root**2``; one row when all meta-analyses share them.
    present : ndarray (B, k) or None
        1.0 where an effect belongs to the row, else 0.0; None when all do.
    design : ndarray (B, p, k - p) or (1, p, k - p) or None
        The transformed design L below its basis, where it is the identity, columns first; None for an
        intercept.
    pairs : ndarray (B, p (p + 1)/2, k - p) or (1, ...) or None
        Products of each two columns of `design`.
    n : ndarray (B,)
        Number of effects of each row.
    p : int
        Number of coefficients.
    vmin, vmax, spread : ndarray (B,)
        Smallest and largest variance, and mean squared deviation of the effects, in units of ``root**2``.
    root : ndarray (B,)
        Unit of the effects, a power of two.
    origin : ndarray (B, p)
        Effects of the basis on their own scale.
    back : ndarray (B, p, p) or (1, p, p) or None
        The rows R of the design at the basis; None for an intercept.
    """

    d: FloatArray
    v: FloatArray
    present: FloatArray | None
    design: FloatArray | None
    pairs: FloatArray | None
    n: FloatArray
    p: int
    vmin: FloatArray
    vmax: FloatArray
    spread: FloatArray
    root: FloatArray
    origin: FloatArray
    back: FloatArray | None


class Moments(NamedTuple):
    """Sums at given tau2; P is the projection ``W - W X (X'WX)^-1 X'W`` with ``W = 1/(v + tau2)``.

    ``q`` = y'Py, ``qq`` = y'PPy, ``qqq`` = y'PPPy, ``trace`` = tr P, ``trace2`` = tr PP, ``w`` = tr W,
    ``w2`` = tr WW; ``shift`` the coefficients in the basis. ``qqq`` and ``trace2`` are
    empty unless asked for.
    """

    q: FloatArray
    qq: FloatArray
    trace: FloatArray
    w: FloatArray
    w2: FloatArray
    shift: FloatArray
    qqq: FloatArray
    trace2: FloatArray


def stretch(stack: Stack) -> FloatArray:
    """Return the largest entry of the transformed design of each row, 1 without one.

    Where the most precise effects differ little in their moderators, the others are far extrapolations from
    them; that is harmless while those effects dominate, and costs digits once tau2 is larger than their
    variances.
    """
    if stack.design is None or not stack.design.size:
        return np.ones_like(stack.n)
    far = np.abs(stack.design).max(axis=(1, 2))
    return far if len(far) == len(stack.n) else np.broadcast_to(far, len(stack.n))


def take(stack: Stack, rows: IntArray | BoolArray | slice) -> Stack:
    """Return the stack of some rows."""

    def pick(a: FloatArray) -> FloatArray:
        return a if len(a) == 1 and len(stack.n) > 1 else a[rows]

    return Stack(
        stack.d[rows],
        pick(stack.v),
        None if stack.present is None else stack.present[rows],
        None if stack.design is None else pick(stack.design),
        None if stack.pairs is None else pick(stack.pairs),
        stack.n[rows],
        stack.p,
        stack.vmin[rows],
        stack.vmax[rows],
        stack.spread[rows],
        stack.root[rows],
        stack.origin[rows],
        None if stack.back is None else pick(stack.back),
    )


def moments(stack: Stack, tau2: FloatArray, *, derivatives: bool = False) -> Moments:
    """Sum at tau2 in the stack's own units.

    Parameters
    ----------
    tau2 : ndarray (B,) or (B, G)
        One value a row, or a grid of them.
    derivatives : bool
        Whether ``qqq`` and ``trace2``, from which derivatives follow, are wanted too.
    """
    d, v, mask, L, pairs = stack.d, stack.v, stack.present, stack.design, stack.pairs
    if d.shape[1] > LONG and (L is None or pairs is None):
        return _long_moments(stack, tau2, derivatives)
    if tau2.ndim == 2:
        d, v = d[:, None], v[:, None]
        mask = None if mask is None else mask[:, None]
        L = None if L is None else L[:, None]
        pairs = None if pairs is None else pairs[:, None]
    w = np.reciprocal(v + tau2[..., None])
    if mask is not None:
        w *= mask
    if L is None or pairs is None:
        return intercept_moments(d, w, derivatives=derivatives)
    return _design_moments(d, w, L, pairs, derivatives)


def intercept_moments(d: FloatArray, w: FloatArray, *, derivatives: bool = False) -> Moments:
    """Sum as :func:`moments` does, for an intercept; effects and weights (..., k), the reference first."""
    # every difference below is between terms of which the smaller is at most half the larger
    plain = w.ndim == 1  # then sums are numbers, and numbers are quicker than arrays of one
    dot = np.dot if plain else np.vecdot
    w0, wr = w[0] if plain else w[..., 0], w[..., 1:]
    rest = np.add.reduce(wr, -1)
    total = w0 + rest
    shift = dot(w, d) / total
    e = d - shift[..., None]
    z = w * e
    sq = dot(wr, wr)
    trace = (rest * (w0 + total) - sq) / total
    qq = dot(z, z)
    q = dot(z, e)
    w0w0 = w0 * w0
    qqq = trace2 = _NOTHING
    if derivatives:
        cube = dot(wr * wr, wr)
        r = rest / total
        trace2 = w0w0 * r * r + sq - 2.0 * cube / total + (2.0 * w0w0 + sq) * sq / (total * total)
        f = z - (dot(w, z) / total)[..., None]
        qqq = dot(w * f, f)
    return Moments(q, qq, trace, total, w0w0 + sq, shift[..., None], qqq, trace2)


def _long_moments(stack: Stack, tau2: FloatArray, derivatives: bool) -> Moments:
    """Sum as :func:`intercept_moments` does, block by block.

    Temporaries of many megabytes would be taken from the system and given back each time, and products of
    long vectors are split among threads that wait for each other; both then cost more than the sums. Weights
    are computed anew in every pass.
    """
    size = max(LONG // 8, min(LONG, _BLOCK // tau2.size))
    places = [slice(start, start + size) for start in range(0, stack.d.shape[1], size)]

    def block(at: slice) -> tuple[FloatArray, FloatArray]:
        d, v, mask = stack.d[:, at], stack.v[:, at], stack.present
        part = None if mask is None else mask[:, at]
        if tau2.ndim == 2:
            d, v = d[:, None], v[:, None]
            part = None if part is None else part[:, None]
        w = np.reciprocal(v + tau2[..., None])
        if part is not None:
            w *= part
        return d, w

    rest, sq, cube, wd = (np.zeros_like(tau2) for _ in range(4))
    w0 = np.zeros_like(tau2)
    for n, at in enumerate(places):
        d, w = block(at)
        wd += np.vecdot(w, d)
        if n == 0:
            w0 = w[..., 0].copy()
            w = w[..., 1:]
        rest += w.sum(axis=-1)
        sq += np.vecdot(w, w)
        if derivatives:
            cube += np.vecdot(w * w, w)
    total = w0 + rest
    shift = wd / total
    q, qq, wz = (np.zeros_like(tau2) for _ in range(3))
    for at in places:
        d, w = block(at)
        e = d - shift[..., None]
        z = w * e
        q += np.vecdot(z, e)
        qq += np.vecdot(z, z)
        if derivatives:
            wz += np.vecdot(w, z)
    trace = (rest * (w0 + total) - sq) / total
    w0w0 = w0 * w0
    qqq = trace2 = _NOTHING
    if derivatives:
        r = rest / total
        trace2 = w0w0 * r * r + sq - 2.0 * cube / total + (2.0 * w0w0 + sq) * sq / (total * total)
        qqq = np.zeros_like(tau2)
        for at in places:
            d, w = block(at)
            f = w * (d - shift[..., None]) - (wz / total)[..., None]
            qqq += np.vecdot(w * f, f)
    return Moments(q, qq, trace, total, w0w0 + sq, shift[..., None], qqq, trace2)


def _design_moments(
    d: FloatArray, w: FloatArray, L: FloatArray, pairs: FloatArray, derivatives: bool
) -> Moments:
    p = L.shape[-2]
    wb, wr = _ahead(w[..., :p]), w[..., p:]
    sq = wr * wr
    S, S2 = _gram(pairs, wr), _gram(pairs, sq)
    inverse, _ = _information(wb, S)
    shift = _apply(inverse, _ahead(np.vecdot(L, (wr * d[..., p:])[..., None, :])))
    e = _residuals(d, L, shift)
    z = w * e
    # of P the corner of the basis is D (A^-1 S), D = diag(wb), which forms no difference
    weighted = inverse * wb[:, None]
    trace = _inner(weighted, S) + (wr.sum(axis=-1) - _inner(inverse, S2))
    qqq = trace2 = _NOTHING
    if derivatives:
        corner, H = _times(weighted, S), _times(inverse, S2)
        trace2 = (
            _inner(corner, np.swapaxes(corner, 0, 1))
            + 2.0 * _inner(_times(weighted, S2), weighted)
            + sq.sum(axis=-1)
            - 2.0 * _inner(inverse, _gram(pairs, sq * wr))
            + _inner(H, np.swapaxes(H, 0, 1))
        )
        u = w * z
        f = _residuals(z, L, _apply(inverse, _ahead(u[..., :p] + np.vecdot(L, u[..., None, p:]))))
        qqq = np.vecdot(w * f, f)
    back = np.moveaxis(shift, 0, -1)
    return Moments(
        np.vecdot(z, e), np.vecdot(z, z), trace, w.sum(axis=-1), np.vecdot(w, w), back, qqq, trace2
    )


# Small matrices stand with their own axes first, (p, p, ...), so that every operation runs along the batch.


def _ahead(values: FloatArray) -> FloatArray:
    """Bring the last axis to the front."""
    return np.ascontiguousarray(np.moveaxis(values, -1, 0))


def _residuals(d: FloatArray, L: FloatArray, shift: FloatArray) -> FloatArray:
    """Return ``d - X shift`` with the identity in the basis; `shift` is (p, ...)."""
    p = L.shape[-2]
    e = np.empty((*shift.shape[1:], d.shape[-1])) if p else np.array(d)
    e[...] = d
    rest = e[..., p:]
    for j in range(p):
        e[..., j] -= shift[j]
        rest -= shift[j][..., None] * L[..., j, :]
    return e


def _gram(pairs: FloatArray, weights: FloatArray) -> FloatArray:
    """Return ``L'WL`` below the basis, (p, p, ...), from the products of columns."""
    packed = np.vecdot(pairs, weights[..., None, :])
    return _ahead(packed)[_square(packed.shape[-1])]


@cache
def _square(packed: int) -> IntArray:
    """Return where the entries of a symmetric matrix stand among the `packed` products of its columns."""
    p = (math.isqrt(8 * packed + 1) - 1) // 2
    place = np.zeros((p, p), dtype=np.intp)
    upper = np.triu_indices(p)
    place[upper] = np.arange(packed)
    place.T[upper] = np.arange(packed)
    return place


def _times(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the products of two stacks of matrices."""
    product = np.zeros_like(a)
    for j in range(len(b)):
        product += a[:, j, None] * b[j]
    return product


def _apply(a: FloatArray, x: FloatArray) -> FloatArray:
    """Return the products of a stack of matrices and one of vectors."""
    product: FloatArray = (a * x).sum(axis=1)
    return product


def _inner(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the sum of the products of the entries of two stacks of matrices."""
    total: FloatArray = (a * b).sum(axis=(0, 1))
    return total


def _information(wb: FloatArray, S: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the inverse of X'WX in the basis, and the logarithm of its determinant.

    The diagonal is scaled to one first; then Gauss and Jordan's elimination, safe without pivoting for a
    positive definite matrix, runs over all matrices at once.
    """
    p = len(S)
    A = S.copy()
    index = np.arange(p)
    A[index, index] += wb
    diagonal = A[index, index]
    s = 1.0 / np.sqrt(diagonal)
    scale = s[:, None] * s
    A *= scale
    logs: FloatArray = np.log(diagonal).sum(axis=0)
    for j in range(p):
        pivot = A[j, j].copy()
        logs = logs + np.log(pivot)
        row, column = A[j] / pivot, A[:, j].copy()
        A -= column[:, None] * row
        A[:, j] = column / -pivot
        A[j] = row
        A[j, j] = 1.0 / pivot
    A *= scale
    return A, logs


def quadratic_form(stack: Stack, a: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return ``y'P y``, ``tr P`` and ``tr P V`` for arbitrary weights `a` (B, k).

    The generalised moment estimator is ``(y'Py - tr PV) / tr P`` (DerSimonian and Kacker 2007,
    Contemp Clin Trials 28:105, equation 6).
    """
    w = a if stack.present is None else a * stack.present
    w = np.broadcast_to(w, stack.d.shape)
    v = stack.v
    if stack.design is None or stack.pairs is None:
        total = w.sum(axis=-1)
        others = np.concatenate([w[:, 1:].sum(axis=-1, keepdims=True), total[:, None] - w[:, 1:]], axis=1)
        free = w * others / total[:, None]  # diagonal of P
        e = stack.d - (np.vecdot(w, stack.d) / total)[:, None]
    else:
        p, L = stack.p, stack.design
        S = _gram(stack.pairs, w[:, p:])
        inverse, _ = _information(_ahead(w[:, :p]), S)
        corner = (inverse * S).sum(axis=1)  # the diagonal of their product, both being symmetric
        leverage = sum(inverse[i, j][:, None] * L[:, i] * L[:, j] for i in range(p) for j in range(p))
        free = w * np.concatenate([corner.T, 1.0 - w[:, p:] * leverage], axis=1)
        e = _residuals(stack.d, L, _apply(inverse, _ahead(np.vecdot(L, (w * stack.d)[:, None, p:]))))
    return np.vecdot(w * e, e), free.sum(axis=-1), np.vecdot(free, np.broadcast_to(v, free.shape))


def log_determinants(stack: Stack, tau2: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return ``log|V + tau2|``, ``log|X'WX|`` and the inverse of X'WX, in basis and units of the stack."""
    t = stack.v + tau2[:, None]
    w = np.reciprocal(t)
    logs = np.log(t)
    if stack.present is not None:
        w *= stack.present
        logs *= stack.present
    if stack.pairs is None:
        total = w.sum(axis=-1)
        return logs.sum(axis=-1), np.log(total), (1.0 / total)[:, None, None]
    p = stack.p
    inverse, determinant = _information(_ahead(w[:, :p]), _gram(stack.pairs, w[:, p:]))
    return logs.sum(axis=-1), determinant, np.ascontiguousarray(np.moveaxis(inverse, 2, 0))


def log_gram(stack: Stack) -> FloatArray:
    """Return ``log|X'X|`` in the basis of the stack."""
    if stack.pairs is None:
        return np.log(stack.n)
    below = _gram(stack.pairs, np.ones((1, stack.pairs.shape[-1])))
    return _information(np.ones(below.shape[1:]), below)[1]
