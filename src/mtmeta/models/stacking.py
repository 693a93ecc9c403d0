"""Effects, variances, design and presence brought to one stack: scaled, and relative to a basis.

What a stack is, and why, stands in :mod:`mtmeta.models.stack`.
"""

from __future__ import annotations

import math

import numpy as np

from mtmeta.errors import ModelError
from mtmeta.models.stack import LONG, BoolArray, FloatArray, IntArray, Stack

__all__ = ["stack_of"]

_RANK = 1e-10  # a pivot this small beside its column's largest entry: the column adds nothing
_WIDEST = 1e100  # ratios beyond this leave the range in which third powers of weights are finite


def stack_of(
    yi: FloatArray,
    vi: FloatArray,
    *,
    design: FloatArray | None = None,
    present: BoolArray | None = None,
    near: FloatArray | None = None,
) -> Stack:
    """Bring effects, variances, design and presence to one stack.

    Parameters
    ----------
    yi, vi : ndarray (k,) or (B, k)
        Finite effects and variances > 0; values of absent effects do not matter.
    design : ndarray (k, p) or (B, k, p), optional
        Columns of the design; None is an intercept.
    present : ndarray (k,) or (B, k) of bool, optional
        Which effects belong to a row.
    near : ndarray (B,), optional
        The tau2 at which sums will be formed, on the scale of `vi`; the basis of a design is chosen for it.

    Raises
    ------
    ModelError
        Fewer effects than coefficients, a design without full column rank, or variances or effects that
        span more than 100 orders of magnitude.
    """
    y, v, mask = _aligned(yi, vi, design, present)
    n = np.full(y.shape[0], float(y.shape[1])) if mask is None else mask.sum(axis=1)
    p = 1 if design is None else design.shape[-1]
    if n.size and (y.shape[1] if mask is None else n.min()) < p:
        row = int(np.argmin(n))
        raise ModelError(
            f"{int(n[row])} effects cannot determine {p} coefficients"
            + (f" (row {row} of the batch)" if len(n) > 1 else "")
        )
    if mask is not None:
        v = np.where(mask > 0.0, v, np.inf)
        y = np.where(mask > 0.0, y, 0.0)
    if design is None:
        return _intercept_stack(y, v, mask, n)
    return _design_stack(y, v, mask, n, design, near)


def _aligned(
    yi: FloatArray, vi: FloatArray, design: FloatArray | None, present: BoolArray | None
) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Return effects (B, k), variances (B, k) or (1, k), presence (B, k) or None."""
    y = np.asarray(yi, dtype=np.float64)
    v = np.asarray(vi, dtype=np.float64)
    rows = max(
        y.shape[0] if y.ndim == 2 else 1,
        v.shape[0] if v.ndim == 2 else 1,
        design.shape[0] if design is not None and design.ndim == 3 else 1,
        present.shape[0] if present is not None and present.ndim == 2 else 1,
    )
    shape = (rows, y.shape[-1])
    y = y.reshape(shape) if y.size == rows * shape[1] else np.broadcast_to(y, shape)
    if v.ndim == 1 and present is None and (design is None or design.ndim == 2):
        v = v[None, :]
    else:
        v = np.broadcast_to(v, shape)
    mask = None if present is None else np.broadcast_to(present, shape).astype(np.float64)
    if mask is not None and mask.all():
        mask = None
    return y, v, mask


def _units(vmin: FloatArray, vmax: FloatArray, reach: FloatArray) -> FloatArray:
    """Return the power of two near the smallest standard error."""
    near = (vmax <= _WIDEST * vmin) & (reach <= math.sqrt(_WIDEST) * np.sqrt(vmin))
    if np.count_nonzero(near) < near.size:
        raise ModelError(
            "variances or squared effects span more than 100 orders of magnitude; a variance is wrong, "
            "or the scale of the effects is"
        )
    root: FloatArray = np.ldexp(1.0, np.frexp(vmin)[1] // 2)
    return root


def _for_rows(values: FloatArray, rows: int) -> FloatArray:
    return values if len(values) == rows else np.broadcast_to(values, rows)


def _intercept_stack(y: FloatArray, v: FloatArray, mask: FloatArray | None, n: FloatArray) -> Stack:
    rows, k = y.shape
    pivot = v.argmin(axis=1)
    if len(v) == 1:
        j = int(pivot[0])
        if j:
            y, v = y.copy(), v.copy()
            for a in (y, v):
                first = a[:, 0].copy()
                a[:, 0] = a[:, j]
                a[:, j] = first
    elif pivot.any():
        every = np.arange(rows)
        y, v = y.copy(), v.copy()
        mask = None if mask is None else mask.copy()
        for a in (y, v) if mask is None else (y, v, mask):
            first = a[:, 0].copy()
            a[:, 0] = a[every, pivot]
            a[every, pivot] = first
    origin = y[:, :1]
    d = y - origin
    vmin = v[:, 0]
    if mask is None:
        vmax = np.maximum.reduce(v, 1)
        centred = d - (np.add.reduce(d, 1) / k)[:, None]
    else:
        v = np.where(mask > 0.0, v, vmin[:, None])
        vmax = v.max(axis=1)
        d = d * mask
        centred = (d - (d.sum(axis=1) / n)[:, None]) * mask
    root = _units(vmin, vmax, np.abs(d).max(axis=1))
    d = d / root[:, None]
    centred = centred / root[:, None]
    unit = root * root
    return Stack(
        d,
        v / unit[:, None],
        mask,
        None,
        None,
        n,
        1,
        _for_rows(vmin / unit, rows),
        _for_rows(vmax / unit, rows),
        _squares(centred) / n,
        _for_rows(root, rows),
        origin,
        None,
    )


def _squares(a: FloatArray) -> FloatArray:
    """Return the sum of squares of each row; long rows without threads, as in `moments`."""
    total: FloatArray = np.add.reduce(a * a, axis=1) if a.shape[1] > LONG else np.vecdot(a, a)
    return total


def _design_stack(
    y: FloatArray,
    v: FloatArray,
    mask: FloatArray | None,
    n: FloatArray,
    design: FloatArray,
    near: FloatArray | None,
) -> Stack:
    rows, k = y.shape
    if near is not None:
        v = np.broadcast_to(v, y.shape)
    X = np.asarray(design, dtype=np.float64)
    X = X[None] if X.ndim == 2 else X
    X = np.broadcast_to(X, (len(v), *X.shape[1:]))
    p = X.shape[2]
    basis = _basis(X, v if near is None else v + near[:, None])
    # basis first, the others in their order
    key = np.full((len(v), k), p, dtype=np.intp)
    np.put_along_axis(key, basis, np.arange(p)[None, :], axis=1)
    order = np.argsort(key, axis=1, kind="stable")
    X = np.take_along_axis(X, order[:, :, None], axis=1)
    v = np.take_along_axis(v, order, axis=1)
    y = y[:, order[0]] if len(order) == 1 else np.take_along_axis(y, order, axis=1)
    R = X[:, :p, :]
    L = np.swapaxes(np.linalg.solve(np.swapaxes(R, 1, 2), np.swapaxes(X, 1, 2)), 1, 2)
    L[:, :p, :] = np.eye(p)
    origin = y[:, :p]
    d = y - np.matvec(L, origin)
    d[:, :p] = 0.0
    dy = y - y[:, :1]
    if mask is not None:
        mask = np.take_along_axis(mask, order, axis=1)
        d, dy = d * mask, dy * mask
        L = L * mask[:, :, None]
        vmin = v.min(axis=1)
        v = np.where(mask > 0.0, v, vmin[:, None])
        centred = (dy - (dy.sum(axis=1) / n)[:, None]) * mask
    else:
        vmin = v.min(axis=1)
        centred = dy - dy.mean(axis=1, keepdims=True)
    vmax = v.max(axis=1)
    root = _units(vmin, vmax, np.maximum(np.abs(d).max(axis=1), np.abs(dy).max(axis=1)))
    d = d / root[:, None]
    centred = centred / root[:, None]
    unit = root * root
    rest = np.ascontiguousarray(np.swapaxes(L[:, p:, :], 1, 2))
    first, second = np.triu_indices(p)
    return Stack(
        d,
        v / unit[:, None],
        mask,
        rest,
        rest[:, first] * rest[:, second],
        n,
        p,
        _for_rows(vmin / unit, rows),
        _for_rows(vmax / unit, rows),
        _squares(centred) / n,
        _for_rows(root, rows),
        origin,
        R,
    )


def _basis(X: FloatArray, v: FloatArray) -> IntArray:
    """Choose p independent rows a meta-analysis, most precise first (elimination with complete pivoting)."""
    rows, k, p = X.shape
    largest = np.abs(np.where(np.isfinite(v)[:, :, None], X, 0.0)).max(axis=1)
    if not (largest > 0.0).all():
        raise ModelError("a column of the design is zero throughout; leave it out")
    Z = X / largest[:, None, :]
    precision = 1.0 / np.sqrt(v)  # 0 for absent effects, whose variance is infinite
    every = np.arange(rows)
    basis = np.empty((rows, p), dtype=np.intp)
    for step in range(p):
        size = np.abs(Z)
        weight = np.where(size > _RANK, size, 0.0) * precision[:, :, None]
        flat = weight.reshape(rows, k * p).argmax(axis=1)
        row, column = flat // p, flat % p
        pivot = Z[every, row, column]
        if not (weight[every, row, column] > 0.0).all():
            raise ModelError(
                f"the design has {p} columns but only {step} of them are independent of one another; "
                "leave out moderators that are constant or that others already determine"
            )
        basis[:, step] = row
        factor = Z[every, row] / pivot[:, None]
        Z = Z - Z[every, :, column][:, :, None] * factor[:, None, :]
        Z[every, row] = 0.0
        Z[every, :, column] = 0.0
    return basis
