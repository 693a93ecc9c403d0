"""Cluster-robust inference for any weighted model: CR0 to CR2, Satterthwaite and HTZ."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import DataWarning, ModelError, UsageError
from mtmeta.measures import check_choice
from mtmeta.models.linear import Coefficients, JointTest, Sandwich
from mtmeta.models.one_mean import OneMean
from mtmeta.models.pool import CommonEffect, PoolResult, RandomEffects

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FEW", "Kind", "RobustResult", "Working", "cluster_robust", "few_text", "pooled_working", "robust"]

FEW = 4.0  # degrees of freedom, below which the note under robumeta's tables says not to trust the results

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


class HasWorking(Protocol):
    """A fitted weighted model that can be handed over as a :class:`Working`."""

    @property
    def effects(self) -> EffectSizes:
        """What was fitted."""
        ...

    def working(self) -> Working:
        """Hand the model over."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class RobustResult(OneMean):
    """Cluster-robust tests of a fitted model. Frozen.

    Attributes
    ----------
    result : PoolResult, MetaRegressionResult, MultilevelResult or MultivariateResult
        The model whose coefficients are tested.
    kind : str
    cluster : tuple of str, length k
    coefficients : Coefficients
        Estimates with the robust covariance.
    """

    result: PoolResult | HasWorking
    kind: Kind
    cluster: tuple[str, ...]
    coefficients: Coefficients

    @property
    def effects(self) -> EffectSizes:
        """What was fitted."""
        return self.result.effects

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return len(set(self.cluster))

    @property
    def ci_method(self) -> str:
        """Name of the interval, that of `kind`."""
        return self.kind

    def joint(self, terms: Sequence[str]) -> JointTest:
        """Test that the named coefficients are all zero: HTZ for CR2, else F(q, m − p)."""
        if not terms:
            raise UsageError("name at least one coefficient to test")
        where = [self.coefficients.position(term) for term in dict.fromkeys(terms)]
        return self.coefficients.joint(np.eye(len(self.coefficients.names))[where])

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient: estimate, se, df, statistic, pvalue, ci_low, ci_high."""
        return self.coefficients.frame(level)

    @property
    def methods(self) -> str:
        """What was done, in words with citations, for a methods section."""
        df = "Satterthwaite" if self.kind == "CR2" else "clusters minus coefficients"
        return (
            f"Cluster-robust standard errors {self.kind} over {self.clusters} clusters; degrees of freedom: "
            f"{df} (Hedges, Tipton and Johnson 2010; Pustejovsky and Tipton 2018)."
        )

    def __repr__(self) -> str:
        parts = zip(self.coefficients.names, self.coefficients.beta, self.coefficients.se, strict=True)
        body = ", ".join(f"{name}={beta:.4g} ({se:.4g})" for name, beta, se in parts)
        return f"RobustResult({self.kind}, {self.clusters} clusters, {body})"

    def _repr_html_(self) -> str:
        table: str = self.to_frame().to_html(float_format=lambda x: f"{x:.4g}", border=0)
        return f"<p>{html.escape(repr(self))}</p>{table}"


def robust(
    result: PoolResult | HasWorking,
    *,
    cluster: Sequence[str] | npt.NDArray[np.str_] | None = None,
    kind: Kind = "CR2",
) -> RobustResult:
    """Test the coefficients of a fitted model with cluster-robust standard errors.

    Parameters
    ----------
    result : PoolResult, MetaRegressionResult, MultilevelResult, MultivariateResult or CrossedResult
        Of CommonEffect or RandomEffects, a meta-regression, or a model of dependent effects.
    cluster : sequence of length k, optional
        What makes effects dependent; ``es.cluster`` by default. For a three-level model these are its own
        clusters or larger ones.
    kind : {"CR0", "CR1", "CR1p", "CR1S", "CR2"}
        See :func:`cluster_robust`. metafor's ``robust()`` is "CR1p", with ``clubSandwich=TRUE`` "CR2".

    Returns
    -------
    RobustResult
        The coefficients with their robust tests and intervals; the fit itself is unchanged.

    Raises
    ------
    ModelError
        Fewer than two clusters, or clusters that cut through those of a three-level model.

    Warns
    -----
    DataWarning
        Fewer than 4 Satterthwaite degrees of freedom.

    Examples
    --------
    BCG vaccine, by trial: standard error 0.1792, t -3.9878 (metafor, ``robust(res, cluster=trial)``).

    >>> from mtmeta.models.pool import RandomEffects
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> fit = robust(RandomEffects().fit(EffectSizes.of(y, v, "RR")), kind="CR1p")
    >>> print(f"{fit.se:.4f} {fit.statistic:.4f}")
    0.1792 -3.9878
    """
    check_choice("kind", kind, ("CR0", "CR1", "CR1p", "CR1S", "CR2"))
    work = pooled_working(result) if isinstance(result, PoolResult) else result.working()
    es = result.effects
    labels = es.cluster if cluster is None else tuple(str(label) for label in cluster)
    if len(labels) != es.k:
        raise UsageError(f"cluster has {len(labels)} labels for {es.k} effects; give one a row")
    coefficients = cluster_robust(work, labels, kind)
    few = float(coefficients.df.min())
    if kind == "CR2" and few < FEW:
        warnings.warn(few_text(few, len(set(labels))), DataWarning, stacklevel=2)
    return RobustResult(result, kind, labels, coefficients)


def few_text(df: float, clusters: int) -> str:
    """Say that a test has too few degrees of freedom."""
    return (
        f"{df:.1f} Satterthwaite degrees of freedom from {clusters} clusters: below 4 the p-value and the "
        "interval should not be trusted"
    )


def pooled_working(result: PoolResult) -> Working:
    """Hand a pooled mean to cluster-robust inference."""
    es = result.effects
    if not isinstance(result.model, (CommonEffect, RandomEffects)):
        raise UsageError(f"robust() needs weights 1/(v + τ²); {type(result.model).__name__} has others")
    v = es.vi + result.weighted_by
    ones = np.ones((es.k, 1))

    def covariance(rows: IntArray) -> FloatArray:
        return np.asarray(v[rows][:, :, None] * np.eye(rows.shape[1]))

    return Working(
        names=("mean",),
        beta=np.array([result.estimate]),
        x=ones,
        residual=es.yi - result.estimate,
        projected=ones / v[:, None],
        bread=np.array([[1 / (1 / v).sum()]]),
        covariance=covariance,
        groups=tuple(map(str, range(es.k))),
    )
