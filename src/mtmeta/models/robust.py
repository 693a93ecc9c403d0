"""Cluster-robust inference for any weighted model: CR0 to CR2, Satterthwaite and HTZ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.errors import ModelError
from mtmeta.models.linear import Coefficients, Sandwich

__all__ = ["Kind", "Working", "cluster_robust"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Kind = Literal["CR0", "CR1", "CR1p", "CR1S", "CR2"]


@dataclass(frozen=True, eq=False)
class Working:
    """A fitted weighted model, as cluster-robust inference needs it.

    Attributes
    ----------
    names : tuple of str, length p
    beta : ndarray of shape (p,)
    x : ndarray of shape (k, p)
    residual : ndarray of shape (k,)
    projected : ndarray of shape (k, p)
        ``W x``.
    bread : ndarray of shape (p, p)
        ``(x' W x)⁻¹``.
    covariance : callable
        Takes rows (g, n) and gives the working covariance Φ = W⁻¹ of each group, (g, n, n).
    groups : tuple of str, length k
        Rows of different groups are independent in the working model: what is clustered on may
        join these groups, not split them.
    """

    names: tuple[str, ...]
    beta: FloatArray
    x: FloatArray
    residual: FloatArray
    projected: FloatArray
    bread: FloatArray
    covariance: Callable[[IntArray], FloatArray]
    groups: tuple[str, ...]


def _adjust(phi: FloatArray, x: FloatArray, bread: FloatArray) -> FloatArray:
    """CR2 adjustment matrices of g clusters of one size: ``D' (D (Φ − X Q X') D')^(+1/2) D``, Φ = D'D."""
    left = phi - x @ bread @ x.swapaxes(-1, -2)
    if phi.shape[-1] == 1:
        share = left / phi
        return np.where(share > 1e-12, 1 / np.sqrt(np.where(share > 1e-12, share, 1.0)), 0.0)
    lower = np.linalg.cholesky(phi)
    upper = lower.swapaxes(-1, -2)
    values, vectors = np.linalg.eigh(upper @ left @ lower)
    top = np.linalg.eigvalsh(upper @ lower)[:, -1:]
    keep = values > 1e-12 * top
    root = np.where(keep, 1 / np.sqrt(np.where(keep, values, 1.0)), 0.0)
    inner: FloatArray = (vectors * root[:, None, :]) @ vectors.swapaxes(-1, -2)
    return np.asarray(lower @ inner @ upper)


def _by_size(index: IntArray, sizes: IntArray) -> list[tuple[IntArray, IntArray]]:
    """Clusters and their rows (g, n), for each size n that occurs."""
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    out = []
    for n in np.unique(sizes):
        which = np.flatnonzero(sizes == n)
        out.append((which, order[starts[which][:, None] + np.arange(n)]))
    return out


def cluster_robust(work: Working, cluster: Sequence[str], kind: Kind) -> Coefficients:
    r"""Coefficients with a cluster-robust covariance.

    .. math:: V = Q \Big[\sum_i X_i'W_iA_i\,e_ie_i'\,A_iW_iX_i\Big] Q,\quad Q=(X'WX)^{-1}

    Parameters
    ----------
    work : Working
    cluster : sequence of length k
    kind : {"CR0", "CR1", "CR1p", "CR1S", "CR2"}
        :math:`A_i` is 1 (CR0), or its square is m/(m−1) (CR1), m/(m−p) (CR1p, metafor's
        ``robust(adjust=TRUE)``), m(k−1)/((m−1)(k−p)) (CR1S, Stata), for m clusters, k rows and p
        coefficients; with CR2 it makes the covariance unbiased under the working model, and tests
        have Satterthwaite's degrees of freedom. With the others they have m − p, as in metafor.

    Raises
    ------
    ModelError
        With fewer than two clusters, no more clusters than coefficients (except for CR2), or
        clusters that cut through rows the model holds to be dependent.
    """
    k, p = work.x.shape
    labels, index = np.unique(np.asarray(cluster, dtype=object).astype(str), return_inverse=True)
    sizes = np.bincount(index)
    m = len(labels)
    if m < 2:
        raise ModelError("cluster-robust inference needs at least two clusters; all rows belong to one")
    if kind != "CR2" and m <= p:
        raise ModelError(f"{kind} needs more clusters than coefficients; there are {m} clusters and {p}")
    _, group = np.unique(np.asarray(work.groups, dtype=object).astype(str), return_inverse=True)
    if len({*zip(group.tolist(), index.tolist(), strict=True)}) != group.max() + 1:
        raise ModelError(
            "the clusters cut through clusters of the model; cluster on the model's own or on larger ones"
        )
    factor = {"CR0": 1.0, "CR2": 1.0, "CR1": m / (m - 1), "CR1p": m / max(m - p, 1)}.get(
        kind, m * (k - 1) / ((m - 1) * (k - p))
    )
    meat = np.zeros((p, p))
    own, shared = np.empty((m, p, p)), np.empty((m, p, p))
    for which, rows in _by_size(index.astype(np.intp), sizes.astype(np.intp)):
        x, wx, e = work.x[rows], work.projected[rows], work.residual[rows]
        if kind == "CR2":
            phi = work.covariance(rows)
            a = _adjust(phi, x, work.bread) @ wx
            own[which] = a.swapaxes(-1, -2) @ phi @ a
            shared[which] = x.swapaxes(-1, -2) @ a
        else:
            a = wx * np.sqrt(factor)
        score = np.einsum("gnp,gn->gp", a, e)
        meat += score.T @ score
    vcov = work.bread @ meat @ work.bread
    vcov = (vcov + vcov.T) / 2
    if kind != "CR2":
        return Coefficients(work.names, work.beta, vcov, np.full(p, float(m - p)))
    sandwich = Sandwich(kind, work.bread, own, shared)
    return Coefficients(work.names, work.beta, vcov, sandwich.satterthwaite(np.eye(p)), sandwich)
