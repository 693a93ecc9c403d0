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

from mtmeta.errors import ModelError

__all__ = ["Blocks", "Point", "arrange", "log_likelihood", "point"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_LOG_2PI = float(np.log(2 * np.pi))
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
    """
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

    def apply(self, z: FloatArray) -> FloatArray:
        """Inverse covariance applied to z of shape (B, q, k)."""
        mean, _, inner = self.split(z)
        return inner + self.a[:, None] * (mean * self.shrink[:, None])[..., self.blocks.index]

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


def _regress(inverse: _Inverse) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weighted least squares at B points: coefficients on q (B, p), residuals (B, k), ``q M⁻¹ q'``."""
    blocks = inverse.blocks
    p = blocks.p
    every = inverse.products(np.vstack([blocks.q, blocks.y])[None])
    gram, cross = every[:, :p, :p], every[:, :p, p]
    scale = np.sqrt(np.einsum("bii->bi", gram))
    unit = gram / (scale[:, :, None] * scale[:, None, :])
    beta = np.linalg.solve(unit, (cross / scale)[..., None])[..., 0] / scale
    return beta, blocks.y - beta @ blocks.q, gram


def _log_likelihood(inverse: _Inverse, restricted: bool) -> FloatArray:
    _, residual, gram = _regress(inverse)
    quad = inverse.products(residual[:, None])[:, 0, 0]
    k, p = inverse.blocks.k, inverse.blocks.p
    if not restricted:
        return np.asarray(-0.5 * (k * _LOG_2PI + inverse.log_det + quad))
    return np.asarray(-0.5 * ((k - p) * _LOG_2PI + inverse.log_det + np.linalg.slogdet(gram)[1] + quad))


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


def point(blocks: Blocks, theta: FloatArray, restricted: bool) -> Point:
    """Likelihood, score, information and regression at one pair of variances (see :class:`Point`)."""
    inverse = _invert(blocks, theta[:1], theta[1:])
    beta, residual, gram = (part[0] for part in _regress(inverse))
    full = inverse.apply(np.vstack([blocks.q, residual])[None])[0]
    design, weighted = full[:-1], full[-1]
    cov = np.linalg.inv(gram)
    trace, curvature = _traces(inverse)
    # M_b F', M_w F' for F = [M⁻¹ q; M⁻¹ residual], and their products with M⁻¹
    summed = blocks.sums(full)[:, blocks.index]
    moved = np.stack([summed, full])  # (2, p + 1, k)
    again = inverse.apply(moved.reshape(1, -1, blocks.k))[0].reshape(moved.shape)
    quad = np.einsum("iqk,qk->iq", moved, full)[:, -1]
    first = np.einsum("iak,bk->iab", moved[:, :-1], design)  # q M⁻¹ M_i M⁻¹ q'
    lean = np.einsum("ik,bk->ib", moved[:, -1], design)
    second = np.einsum("iak,lbk->ilab", moved, again)
    information = second[:, :, -1, -1] - np.einsum("ia,ab,lb->il", lean, cov, lean)
    if restricted:
        part = np.einsum("iab,bc->iac", first, cov)
        trace_used = trace - np.einsum("iaa->i", part)
        curvature = (
            curvature
            - 2 * np.einsum("ilab,ba->il", second[:, :, :-1, :-1], cov)
            + np.einsum("iab,lba->il", part, part)
        )
    else:
        trace_used = trace
    trace_p = float(trace[1] - np.trace(first[1] @ cov))
    value = float(_log_likelihood(inverse, restricted)[0])
    to_x = np.linalg.inv(blocks.r)
    return Point(
        theta=theta,
        value=value,
        score=-0.5 * (trace_used - quad),
        observed=information - 0.5 * curvature,
        average=0.5 * information,
        beta=blocks.start + to_x @ beta,
        vcov=to_x @ cov @ to_x.T,
        residual=residual,
        weighted=weighted,
        projected=design.T @ blocks.r,
        trace=trace_p,
        quad=float(residual @ weighted),
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
