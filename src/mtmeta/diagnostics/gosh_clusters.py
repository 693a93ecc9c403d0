"""Which studies make the clouds of a GOSH plot: cluster the subsets, and see who is in which cluster."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GoshClusters", "gosh_clusters"]

Method = Literal["k-means", "DBSCAN", "mixture"]
_METHODS = ("k-means", "DBSCAN", "mixture")
_OWN = ("estimate", "tau2", "i2", "k")
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class GoshClusters:
    """Clusters of subsets, and the studies whose presence tells them apart. Frozen.

    Attributes
    ----------
    method : str
    labels : ndarray of int
        Cluster of each subset that was looked at, numbered from the lowest median estimate; -1 for noise
        (DBSCAN).
    rows : ndarray of int
        Positions of these subsets in the GOSH table.
    clusters : DataFrame
        A row a cluster: subsets, share, and medians of estimate, i2 and tau2.
    studies : DataFrame
        A row a study, the one that tells most first: ``association`` (Cramér's V between being in a subset
        and the subset's cluster: 0 none, 1 perfect) and ``in 0``, ``in 1`` ...: the share of each cluster's
        subsets that hold it.
    """

    method: str
    labels: IntArray
    rows: IntArray
    clusters: pd.DataFrame
    studies: pd.DataFrame

    def __repr__(self) -> str:
        found = len(self.clusters)
        if found < 2:
            return f"GoshClusters({self.method}: {found} cluster of {len(self.rows):,} subsets)"
        first = self.studies.iloc[0]
        return (
            f"GoshClusters({self.method}: {found} clusters of {len(self.rows):,} subsets; told apart most by "
            f"{first['study']}, association {first['association']:.2f})"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def gosh_clusters(
    table: pd.DataFrame,
    method: Method = "k-means",
    *,
    clusters: int | None = None,
    eps: float = 0.15,
    least: int = 20,
    most: int = 10_000,
    seed: int = 0,
) -> GoshClusters:
    r"""Cluster the subsets of a GOSH table by estimate and heterogeneity; needs the extra ``gosh``.

    Parameters
    ----------
    table : DataFrame
        As from ``gosh``.
    method : {"k-means", "DBSCAN", "mixture"}
        k-means; density-based clusters; a mixture of normal distributions.
    clusters : int, optional
        Of k-means (3 by default) and of the mixture (by default the number from 1 to 6 with the lowest
        BIC). DBSCAN finds its own.
    eps, least : float, int
        Of DBSCAN: how near, in standard deviations, and how many neighbours a core has.
    most : int, default 10_000
        A larger table is sampled down to so many subsets.
    seed : int, default 0
        Of that sample and of the starts.

    Returns
    -------
    GoshClusters

    Raises
    ------
    UsageError
        An unknown method, a table of other columns, or scikit-learn is not installed.
    ModelError
        Fewer subsets than clusters, or all of them alike.

    Notes
    -----
    Estimate and :math:`I^2` of each subset are divided by their standard deviations. Subsets of one study
    (whose :math:`I^2` is 0 by definition) take no part. A study drives the clusters when its presence and the
    cluster go together; Cramér's :math:`V=\sqrt{\chi^2/(n\min(1,c-1))}` of the table present-by-cluster
    measures that (noise is left out). It is a description: subsets overlap, so that there is no test, and
    k-means always finds as many clusters as asked for.

    References
    ----------
    Olkin, I., Dahabreh, I. J. and Trikalinos, T. A. (2012). Res Synth Methods 3:214-223. Harrer, M.,
    Cuijpers, P., Furukawa, T. A. and Ebert, D. D. (2021). Doing Meta-Analysis with R, section 5.4.3: the
    three methods. Cramér, H. (1946). Mathematical Methods of Statistics, p. 282.

    Examples
    --------
    Seven small trials that agree and one that does not, which tells the two clusters apart:

    >>> from mtmeta.diagnostics.gosh import gosh
    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.pool import RandomEffects
    >>> es = EffectSizes.of([.1, .2, .15, .12, .18, .11, .16, 2.0], [.02] * 8, "SMD", study=list("abcdefgh"))
    >>> found = gosh_clusters(gosh(RandomEffects("DL"), es), clusters=2)
    >>> found
    GoshClusters(k-means: 2 clusters of 247 subsets; told apart most by h, association 1.00)
    """
    import pandas as pd

    check_choice("method", method, _METHODS)
    missing = [name for name in _OWN if name not in table]
    if missing or len(table.columns) == len(_OWN):
        raise UsageError(
            "gosh_clusters needs the table that gosh gives: estimate, tau2, i2, k and a column a study"
        )
    if clusters is not None and (isinstance(clusters, bool) or clusters < 2):
        raise UsageError(f"clusters={clusters!r} must be 2 or more")
    names = [c for c in table.columns if c not in _OWN]
    rows = _rows(table, most, seed)
    part = table.iloc[rows]
    scaled = _scaled(part)
    raw = _labels(scaled, method, clusters, eps, least, seed)
    labels = _ordered(raw, part["estimate"].to_numpy())
    count = int(labels.max(initial=-1)) + 1
    members = part[names].to_numpy(dtype=np.bool_)
    inside = [labels == c for c in range(count)]
    described = pd.DataFrame(
        {
            "cluster": range(count),
            "subsets": [int(x.sum()) for x in inside],
            "share": [float(x.mean()) for x in inside],
            **{name: [float(part[name][x].median()) for x in inside] for name in ("estimate", "i2", "tau2")},
        }
    )
    studies = pd.DataFrame(
        {
            "study": names,
            "association": _association(members, labels, count),
            **{f"in {c}": members[x].mean(axis=0) for c, x in enumerate(inside)},
        }
    )
    studies = studies.sort_values("association", ascending=False, kind="stable", ignore_index=True)
    return GoshClusters(method, labels, rows, described, studies)


# inside -----------------------------------------------------------------------------------------------------


def _rows(table: pd.DataFrame, most: int, seed: int) -> IntArray:
    usable = np.flatnonzero(table["k"].to_numpy() > 1)
    if len(usable) <= most:
        return usable
    return np.sort(np.random.default_rng(seed).choice(usable, size=most, replace=False))


def _scaled(part: pd.DataFrame) -> FloatArray:
    values = part[["estimate", "i2"]].to_numpy(dtype=np.float64)
    spread = values.std(axis=0)
    if len(values) < 2 or not (spread[0] > 0.0):
        raise ModelError("all subsets have the same estimate: there is nothing to cluster")
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0))


def _labels(
    scaled: FloatArray, method: str, clusters: int | None, eps: float, least: int, seed: int
) -> IntArray:
    try:
        from sklearn.cluster import DBSCAN, KMeans
        from sklearn.mixture import GaussianMixture
    except ImportError:
        raise UsageError(
            "clusters need the package scikit-learn, which is not installed: pip install scikit-learn"
        ) from None
    distinct = len(np.unique(scaled, axis=0))
    wanted = clusters or 3
    if method != "DBSCAN" and distinct < wanted:
        raise ModelError(f"{distinct} different subsets make no {wanted} clusters; ask for fewer")
    if method == "k-means":
        found: Any = KMeans(wanted, n_init=10, random_state=seed).fit_predict(scaled)
    elif method == "DBSCAN":
        found = DBSCAN(eps=eps, min_samples=least).fit_predict(scaled)
    else:
        sizes = range(1, min(6, distinct) + 1) if clusters is None else (clusters,)
        fits = [GaussianMixture(c, random_state=seed, n_init=3, reg_covar=1e-6).fit(scaled) for c in sizes]
        found = min(fits, key=lambda fit: float(fit.bic(scaled))).predict(scaled)
    return np.asarray(found, dtype=np.intp)


def _ordered(labels: IntArray, estimate: FloatArray) -> IntArray:
    """Give clusters the order of their median estimates: no name depends on a random start."""
    known = [c for c in np.unique(labels) if c >= 0]
    known.sort(key=lambda c: float(np.median(estimate[labels == c])))
    out = np.full_like(labels, -1)
    for new, old in enumerate(known):
        out[labels == old] = new
    return out


def _association(members: npt.NDArray[np.bool_], labels: IntArray, count: int) -> FloatArray:
    """Cramér's V between each study's presence and the cluster; 0 where one of them does not vary."""
    clear = labels >= 0
    if count < 2:
        return np.zeros(members.shape[1])
    sizes = np.bincount(labels[clear], minlength=count).astype(np.float64)
    total = sizes.sum()
    inside = np.stack([members[labels == c].sum(axis=0) for c in range(count)]).astype(np.float64)
    share = inside.sum(axis=0) / total
    expected = sizes[:, None] * share
    with np.errstate(divide="ignore", invalid="ignore"):
        chi2 = ((inside - expected) ** 2 / (expected * (1.0 - share))).sum(axis=0)
    varies = (share > 0.0) & (share < 1.0)
    return np.where(varies, np.sqrt(np.where(varies, chi2, 0.0) / total), 0.0)
