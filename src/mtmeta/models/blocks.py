"""Block-diagonal algebra of the three-level model: likelihood, score and information in time linear in k.

Rows stand sorted by cluster. Cluster j has the covariance

    M_j = (1 − ρ) diag(v) + ρ s s' + σ_w² I + σ_b² 1 1',   s = √v,

a diagonal plus two rank-one terms, inverted by Sherman and Morrison twice. Quadratic forms are
taken about each cluster's own weighted mean, so that nothing cancels when σ_b² is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from mtmeta.errors import ModelError

__all__ = ["Blocks", "Point", "arrange", "log_likelihood", "point"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_LOG_2PI = float(np.log(2 * np.pi))
_SMALL = 1e-80
_CHUNK = 2_000_000  # elements of the largest temporary in batched likelihoods


@dataclass(frozen=True, eq=False)
class Blocks:
    """Data of a three-level model, sorted by cluster, design orthonormalised.

    Attributes
    ----------
    order : ndarray of int, shape (k,)
        Row of the effect table each sorted row came from.
    starts, sizes : ndarray of int, shape (m,)
        First row and number of rows of each cluster.
    index : ndarray of int, shape (k,)
        Cluster of each sorted row.
    v : ndarray of shape (k,)
    q : ndarray of shape (p, k)
        Orthonormal basis of the design: ``X = q.T @ r``.
    r : ndarray of shape (p, p)
    start : ndarray of shape (p,)
        Least-squares coefficients, the centre everything is computed about.
    y : ndarray of shape (k,)
        Least-squares residuals.
    rho : ndarray of shape (m,)
        Sampling correlation within each cluster; 0 for clusters of one row.
    """

    order: IntArray
    starts: IntArray
    sizes: IntArray
    index: IntArray
    v: FloatArray
    q: FloatArray
    r: FloatArray
    start: FloatArray
    y: FloatArray
    rho: FloatArray

    @property
    def k(self) -> int:
        """Number of rows."""
        return len(self.v)

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return len(self.q)

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum over the rows of each cluster, along the last axis."""
        return np.add.reduceat(values, self.starts, axis=-1)


def arrange(y: FloatArray, v: FloatArray, x: FloatArray, cluster: Sequence[str], rho: float | None) -> Blocks:
    """Sort by cluster and split the design into an orthonormal basis and a triangle.

    Parameters
    ----------
    y, v : ndarray of shape (k,)
    x : ndarray of shape (k, p)
        Of full column rank.
    cluster : sequence of length k
    rho : float or None
        Sampling correlation within clusters; None for independent sampling errors.

    Raises
    ------
    ModelError
        Numbers too large or too small to be squared and cubed safely.
    """
    reach = max(float(v.max()), float(np.abs(y).max()) ** 2)
    if float(v.min()) < _SMALL or reach > 1 / _SMALL or reach / float(v.min()) > 1 / _SMALL:
        raise ModelError(
            "variances or squared effects span more than 80 orders of magnitude, or are that far from 1; a "
            "variance is wrong, or the scale of the effects is"
        )
    labels, index = np.unique(np.asarray(cluster, dtype=object).astype(str), return_inverse=True)
    order = np.argsort(index, kind="stable")
    sizes = np.bincount(index, minlength=len(labels))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    basis, triangle = np.linalg.qr(x[order])
    start = np.linalg.solve(triangle, basis.T @ y[order])
    residual = y[order] - x[order] @ start
    residual = residual - basis @ (basis.T @ residual)
    return Blocks(
        order=order,
        starts=starts.astype(np.intp),
        sizes=sizes.astype(np.intp),
        index=index[order].astype(np.intp),
        v=v[order],
        q=np.ascontiguousarray(basis.T),
        r=triangle,
        start=start,
        y=residual,
        rho=np.where(sizes > 1, rho or 0.0, 0.0),
    )


@dataclass(frozen=True, eq=False)
class _Inverse:
    """Inverse of the covariance at B points: everything a product with it needs."""

    blocks: Blocks
    d: FloatArray  # (B, k) inverse diagonal
    ds: FloatArray  # (B, k) d √v
    kappa: FloatArray  # (B, m) of the sampling correlation, 0 without
    a: FloatArray  # (B, k) inverse without σ_b², applied to 1
    g: FloatArray  # (B, m) sums of a
    shrink: FloatArray  # (B, m) 1 / (1 + σ_b² g)
    log_det: FloatArray  # (B,)

    def split(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Cluster means of z (B, q, m), z about them (B, q, k), and the inner inverse applied to that."""
        blocks = self.blocks
        mean = blocks.sums(self.a[:, None] * z) / self.g[:, None]
        centred = z - mean[..., blocks.index]
        return mean, centred, self.inner(centred)

    def inner(self, z: FloatArray) -> FloatArray:
        """Inverse without σ_b², applied to z of shape (B, q, k)."""
        blocks = self.blocks
        out = self.d[:, None] * z
        if blocks.rho.any():
            weight = self.kappa[:, None] * blocks.sums(self.ds[:, None] * z)
            out = out - self.ds[:, None] * weight[..., blocks.index]
        return out

    def whiten(self, z: FloatArray) -> FloatArray:
        """Whiten z (q, k) at one point: rows (k + m, q) with plain products ``z M⁻¹ z'``."""
        blocks = self.blocks
        mean, centred, _ = self.split(z[None])
        lean = self.ds[0] / np.sqrt(self.d[0])  # √d √v
        load = blocks.sums(lean * lean)
        # (1 − α t t')² = 1 − κ t t' for t = lean
        alpha = self.kappa[0] / (1.0 + np.sqrt(np.maximum(1.0 - self.kappa[0] * load, 0.0)))
        part = np.sqrt(self.d[0]) * centred[0]
        part = part - lean * (alpha * blocks.sums(lean * part))[..., blocks.index]
        return np.concatenate([part, mean[0] * np.sqrt(self.g[0] * self.shrink[0])], axis=-1).T

    def apply(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Inverse covariance applied to z (B, q, k), and the result's sums by cluster (B, q, m).

        The sums are not those of the rows, whose digits cancel when σ_b² is large.
        """
        mean, _, inner = self.split(z)
        shrunk = mean * self.shrink[:, None]
        return inner + self.a[:, None] * shrunk[..., self.blocks.index], shrunk * self.g[:, None]

    def products(self, z: FloatArray) -> FloatArray:
        """``z M⁻¹ z'`` of shape (B, q, q)."""
        mean, centred, inner = self.split(z)
        weighted = mean * (self.g * self.shrink)[:, None]
        return centred @ inner.swapaxes(-1, -2) + weighted @ mean.swapaxes(-1, -2)


def _invert(blocks: Blocks, between: FloatArray, within: FloatArray) -> _Inverse:
    rho = blocks.rho
    root = np.sqrt(blocks.v)
    d = 1.0 / ((1.0 - rho[blocks.index]) * blocks.v + within[:, None])
    ds = d * root
    own = rho * blocks.sums(ds * root)
    kappa = rho / (1.0 + own)
    a = d - ds * (kappa * blocks.sums(ds))[:, blocks.index] if rho.any() else d
    g = blocks.sums(a)
    load = between[:, None] * g
    log_det = np.log1p(load).sum(1) + np.log1p(own).sum(1) - np.log(d).sum(1)
    return _Inverse(blocks, d, ds, kappa, a, g, 1.0 / (1.0 + load), log_det)


def _regress(inverse: _Inverse) -> tuple[FloatArray, FloatArray]:
    """Weighted least squares at B points by normal equations: residuals (B, k), log det ``q M⁻¹ q'`` (B,).

    Good enough to compare points of a grid; :func:`point` orthogonalises instead.
    """
    blocks = inverse.blocks
    p = blocks.p
    every = inverse.products(np.vstack([blocks.q, blocks.y])[None])
    gram, cross = every[:, :p, :p], every[:, :p, p]
    scale = np.sqrt(np.einsum("bii->bi", gram))
    unit = gram / (scale[:, :, None] * scale[:, None, :])
    values, vectors = np.linalg.eigh(unit)
    values = np.maximum(values, 1e-15)
    beta = np.matvec(vectors, np.vecmat(cross / scale, vectors) / values) / scale
    return blocks.y - beta @ blocks.q, np.log(values).sum(1) + 2 * np.log(scale).sum(1)


def _log_likelihood(inverse: _Inverse, restricted: bool) -> FloatArray:
    residual, log_gram = _regress(inverse)
    quad = inverse.products(residual[:, None])[:, 0, 0]
    k, p = inverse.blocks.k, inverse.blocks.p
    if not restricted:
        return np.asarray(-0.5 * (k * _LOG_2PI + inverse.log_det + quad))
    return np.asarray(-0.5 * ((k - p) * _LOG_2PI + inverse.log_det + log_gram + quad))


def log_likelihood(blocks: Blocks, between: FloatArray, within: FloatArray, restricted: bool) -> FloatArray:
    """Log-likelihood at B points; time and memory linear in k.

    Parameters
    ----------
    blocks : Blocks
    between, within : ndarray of shape (B,)
        Variances σ_b² and σ_w².
    restricted : bool
        REML (with the ½ log det X'X that metafor adds) or ML.

    Returns
    -------
    ndarray of shape (B,)
    """
    step = max(1, _CHUNK // (blocks.k * (blocks.p + 1)))
    parts = [
        _log_likelihood(_invert(blocks, between[i : i + step], within[i : i + step]), restricted)
        for i in range(0, len(between), step)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Point:
    """Likelihood and its derivatives at one pair of variances.

    Attributes
    ----------
    theta : ndarray of shape (2,)
        σ_b², σ_w².
    value : float
        Log-likelihood.
    score : ndarray of shape (2,)
        Its gradient.
    observed, average : ndarray of shape (2, 2)
        Minus its Hessian, and the average of that and its expectation (never indefinite).
    beta : ndarray of shape (p,)
        Coefficients of the design as given.
    vcov : ndarray of shape (p, p)
        ``(X' M⁻¹ X)⁻¹``.
    residual, weighted : ndarray of shape (k,)
        Residuals and ``M⁻¹`` times them, sorted by cluster.
    projected : ndarray of shape (k, p)
        ``M⁻¹ X``, sorted by cluster.
    trace : float
        Trace of ``M⁻¹ − M⁻¹X(X'M⁻¹X)⁻¹X'M⁻¹``.
    quad : float
        Generalised residual sum of squares.
    noise : ndarray of shape (2,)
        Rounding error to expect in `score`.
    """

    theta: FloatArray
    value: float
    score: FloatArray
    observed: FloatArray
    average: FloatArray
    beta: FloatArray
    vcov: FloatArray
    residual: FloatArray
    weighted: FloatArray
    projected: FloatArray
    trace: float
    quad: float
    noise: FloatArray


def _traces(inverse: _Inverse) -> tuple[FloatArray, FloatArray]:
    """Traces of M⁻¹M_i and of M⁻¹M_i M⁻¹M_l for the two components."""
    blocks = inverse.blocks
    d, a, g, shrink = inverse.d[0], inverse.a[0], inverse.g[0], inverse.shrink[0]
    kappa, v = inverse.kappa[0], blocks.v
    one = blocks.sizes == 1
    second = blocks.sums(d * d * v)
    square = blocks.sums(a * a)
    spread = np.where(one, 0.0, blocks.sums(d) - kappa * second - square / g)
    trace = np.array([(g * shrink).sum(), (spread + square / g * shrink).sum()])
    inner = blocks.sums(d * d) - 2 * kappa * blocks.sums(d**3 * v) + (kappa * second) ** 2
    load = np.where(g > 0, (1.0 - shrink) / g, 0.0)  # σ_b² / (1 + σ_b² g)
    middle = a * inverse.inner(a[None, None])[0, 0]
    both = inner - 2 * load * blocks.sums(middle) + (load * square) ** 2
    both = np.where(one, (g * shrink) ** 2, both)
    mixed = (square * shrink**2).sum()
    return trace, np.array([[((g * shrink) ** 2).sum(), mixed], [mixed, both.sum()]])


def _orthogonal(inverse: _Inverse) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]:
    """Regress: orthonormal basis (p, k), its map from q, coefficients on q, residuals, log det.

    By Householder's reflections with the largest rows first and column pivoting, which keeps the digits
    of imprecise rows beside very precise ones (Björck 1996, section 4.4). The basis is orthonormal in
    M⁻¹; the determinant is that of ``q M⁻¹ q'``.
    """
    blocks = inverse.blocks
    rows = inverse.whiten(blocks.q)
    order = np.argsort(-np.abs(rows).max(1), kind="stable")
    unit, triangle, pivot = linalg.qr(rows[order], mode="economic", pivoting=True, check_finite=False)
    to_basis = np.zeros_like(triangle)
    to_basis[pivot] = linalg.solve_triangular(triangle, np.eye(len(triangle)), check_finite=False)
    basis = to_basis.T @ blocks.q
    beta, residual = np.zeros(blocks.p), blocks.y
    for _ in range(2):  # the second time refines
        step = inverse.whiten(residual[None])[order, 0] @ unit
        beta, residual = beta + step, residual - step @ basis
    log_det = 2 * float(np.log(np.abs(np.diag(triangle))).sum())
    return basis, to_basis, to_basis @ beta, residual, log_det


def point(blocks: Blocks, theta: FloatArray, restricted: bool) -> Point:
    """Likelihood, score, information and regression at one pair of variances (see :class:`Point`)."""
    inverse = _invert(blocks, theta[:1], theta[1:])
    basis, to_basis, beta, residual, log_gram = _orthogonal(inverse)
    design, design_sums = (part[0] for part in inverse.apply(basis[None]))
    weighted, weighted_sums = (part[0] for part in inverse.apply(residual[None, None]))
    full, sums = np.vstack([design, weighted]), np.vstack([design_sums, weighted_sums])
    trace, curvature = _traces(inverse)
    # M_b F', M_w F' for F = [M⁻¹ basis; M⁻¹ residual], and their products with M⁻¹
    moved = np.stack([sums[:, blocks.index], full])  # (2, p + 1, k)
    twice = inverse.apply(moved.reshape(1, -1, blocks.k))[0].reshape(moved.shape)
    first = np.stack([sums @ sums.T, full @ full.T])  # F M_i F'
    quad = first[:, -1, -1]
    second = np.einsum("iak,lbk->ilab", moved, twice)
    lean = first[:, -1, :-1]
    information = second[:, :, -1, -1] - lean @ lean.T
    part = first[:, :-1, :-1]
    trace_p = trace - np.einsum("iaa->i", part)
    if restricted:
        curvature = (
            curvature
            - 2 * np.einsum("ilaa->il", second[:, :, :-1, :-1])
            + np.einsum("iab,lba->il", part, part)
        )
    used = trace_p if restricted else trace
    rss = float(inverse.products(residual[None, None])[0, 0, 0])
    constant = (blocks.k - blocks.p) * _LOG_2PI + log_gram if restricted else blocks.k * _LOG_2PI
    to_x = np.linalg.solve(blocks.r, to_basis)
    largest = float(np.abs(blocks.y).max())
    rough = largest * np.array(
        [np.abs(weighted_sums[0]) @ (inverse.g[0] * inverse.shrink[0]), np.abs(weighted[0]) @ inverse.d[0]]
    )
    return Point(
        theta=theta,
        value=-0.5 * (constant + float(inverse.log_det[0]) + rss),
        score=-0.5 * (used - quad),
        observed=information - 0.5 * curvature,
        average=0.5 * information,
        beta=blocks.start + np.linalg.solve(blocks.r, beta),
        vcov=to_x @ to_x.T,
        residual=residual,
        weighted=weighted[0],
        projected=np.linalg.solve(to_basis.T, design).T @ blocks.r,
        trace=float(trace_p[1]),
        quad=rss,
        noise=16 * np.finfo(float).eps * (trace + quad + rough),
    )


def require_identified(blocks: Blocks) -> None:
    """Refuse designs in which the two variances cannot be told apart or one is absorbed.

    The information about (σ_b², σ_w²) at equal sampling variances is the Gram matrix of ``PZZ'P``
    and ``P``, ``P`` the residual projector of the design and ``Z`` the cluster indicators.

    Raises
    ------
    ModelError
        Naming the reason and the model to use instead.
    """
    k, p, m = blocks.k, blocks.p, len(blocks.sizes)
    if m == 1:
        raise ModelError(
            "all rows belong to one cluster: a variance between clusters cannot be estimated; "
            "use RandomEffects, or name the clusters"
        )
    if (blocks.sizes == 1).all():
        raise ModelError(
            "every cluster holds one row: variances between clusters and within them cannot be told "
            "apart; use RandomEffects, or MetaRegression with moderators"
        )
    if k <= p:
        raise ModelError(f"{k} rows cannot carry {p} coefficients and two variances")
    lean = blocks.sums(blocks.q)  # (p, m)
    sizes = blocks.sizes.astype(np.float64)
    own = sizes.sum() - (lean**2).sum()
    cross = lean @ lean.T
    square = (sizes**2).sum() - 2 * (sizes * lean**2).sum() + (cross**2).sum()
    if own <= 1e-10 * k:
        raise ModelError(
            "the moderators take up every difference between clusters: a variance between them cannot "
            "be estimated; leave out moderators or use MetaRegression"
        )
    if own**2 >= (1 - 1e-10) * square * (k - p):
        raise ModelError(
            "after the moderators, variances between clusters and within them cannot be told apart; "
            "leave out moderators or use MetaRegression"
        )
