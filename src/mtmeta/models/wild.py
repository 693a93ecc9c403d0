"""Cluster wild bootstrap: tests of coefficients that hold their level with few clusters."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import PoolResult
from mtmeta.models.robust import HasWorking, Working, pooled_working
from mtmeta.models.words import p_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WildBootstrap", "wild_bootstrap"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_MOST = 20  # clusters whose flips are all taken: 2^19, as a flip of all changes nothing
_CHUNK = 2_000_000  # numbers in the largest temporary
_TIE = 1.4901161193847656e-08  # statistics this close count as equal, as in permutation_test


@dataclass(frozen=True, eq=False, repr=False)
class WildBootstrap:
    """A cluster wild bootstrap test. Frozen.

    Attributes
    ----------
    terms : tuple of str
        Coefficients that are zero together under the null hypothesis.
    statistic : float
        Wald's F with the cluster-robust covariance CR1.
    pvalue : float
        Share of the draws whose statistic is at least as large.
    clusters, draws : int
    exact : bool
        Whether all sign flips were taken.
    distribution : ndarray of shape (draws,)
    """

    terms: tuple[str, ...]
    statistic: float
    pvalue: float
    clusters: int
    draws: int
    exact: bool
    distribution: FloatArray = field(repr=False)

    def __post_init__(self) -> None:
        self.distribution.setflags(write=False)

    def to_frame(self) -> pd.DataFrame:
        """Return the test as a table of one row."""
        import pandas as pd

        names = ("statistic", "pvalue", "clusters", "draws", "exact")
        return pd.DataFrame({name: getattr(self, name) for name in names}, index=[" + ".join(self.terms)])

    @property
    def methods(self) -> str:
        """What was done, in words with citations, for a methods section."""
        how = (
            f"all {self.draws} sign flips of {self.clusters} clusters"
            if self.exact
            else f"{self.draws} random sign flips of {self.clusters} clusters"
        )
        return (
            f"{' and '.join(self.terms)} tested by a cluster wild bootstrap with {how}, residuals of the "
            "null model and the weights of the fit (Cameron, Gelbach and Miller 2008; Joshi, Pustejovsky and "
            "Beretvas 2022)."
        )

    def __repr__(self) -> str:
        kind = "exact" if self.exact else "sampled"
        return (
            f"WildBootstrap({kind}, {self.draws} flips of {self.clusters} clusters, {', '.join(self.terms)}: "
            f"F = {self.statistic:.4g}, {p_text(self.pvalue)})"
        )

    def _repr_html_(self) -> str:
        table: str = self.to_frame().to_html(float_format=lambda x: f"{x:.4g}", border=0)
        return f"<p>{html.escape(repr(self))}</p>{table}"


def wild_bootstrap(
    result: PoolResult | HasWorking,
    terms: Sequence[str] | None = None,
    *,
    cluster: Sequence[str] | None = None,
    draws: Literal["auto"] | int = "auto",
    seed: int | np.random.Generator = 0,
) -> WildBootstrap:
    r"""Test coefficients by flipping the signs of whole clusters' residuals under the null hypothesis.

    Parameters
    ----------
    result : PoolResult, MetaRegressionResult, MultilevelResult or MultivariateResult
        Of CommonEffect or RandomEffects, a regression, a three-level or a multivariate model.
    terms : sequence of str, optional
        Coefficients to be tested together; all but the intercept by default, the mean where there is no
        other.
    cluster : sequence of length k, optional
        ``es.cluster`` by default.
    draws : "auto" or int
        "auto": all 2^m flips for up to 12 clusters, else 1,999 random ones beside the observed. A number:
        that many in all, the observed among them; all flips where there are no more.
    seed : int or Generator

    Returns
    -------
    WildBootstrap

    Raises
    ------
    ModelError
        Fewer than 5 clusters: the smallest possible p-value would be above .1.
    UsageError
        A term that does not exist, a number of labels or draws that does not fit.

    Notes
    -----
    With :math:`\tilde e` the residuals of the model without the tested columns, fitted with the same weights,
    each draw has :math:`y^* = \tilde y + \eta_g\tilde e` with signs :math:`\eta_g` by cluster; the full model
    is refitted and tested with Wald's F and the covariance CR1. The between-study variances stay as they
    are. A flip of all signs changes nothing, so p is a multiple of 2/2^m when all are taken.

    References
    ----------
    Cameron, A. C., Gelbach, J. B. & Miller, D. L. (2008). Rev Econ Stat 90, 414-427.
    Joshi, M., Pustejovsky, J. E. & Beretvas, S. N. (2022). Res Synth Methods 13, 457-477.

    Examples
    --------
    Six trials of two effects each.

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.regression import MetaRegression
    >>> y = [0.21, 0.35, 0.62, 0.48, 0.15, 0.09, 0.71, 0.55, 0.33, 0.41, 0.05, 0.18]
    >>> dose = [1, 1, 4, 4, 1, 1, 5, 5, 2, 2, 0, 0]
    >>> es = EffectSizes.of(y, [0.02] * 12, cluster=list("aabbccddeeff"), moderators={"dose": dose})
    >>> wild_bootstrap(MetaRegression("dose").fit(es))
    WildBootstrap(exact, 64 flips of 6 clusters, dose: F = 159.2, p = 0.062)
    """
    work = pooled_working(result) if isinstance(result, PoolResult) else result.working()
    es = result.effects
    labels = es.cluster if cluster is None else tuple(str(label) for label in cluster)
    if len(labels) != es.k:
        raise UsageError(f"cluster has {len(labels)} labels for {es.k} effects; give one a row")
    tested = _columns(work, terms)
    _, index = np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)
    index = index.reshape(-1).astype(np.intp)
    m = int(index.max()) + 1
    if m < 5:
        raise ModelError(
            f"a wild bootstrap of {m} clusters has {2 ** max(m - 1, 0)} different draws, too few for a "
            "test at .1; it needs at least 5 clusters, and 6 for one at .05"
        )
    flips, exact = _flips(m, draws, seed)
    chunk = max(1, _CHUNK // es.k)
    parts = [_statistics(work, tested, index, flips[i : i + chunk]) for i in range(0, len(flips), chunk)]
    values = np.concatenate(parts)
    observed = float(values[0])
    share = float((values >= observed - _TIE * max(1.0, observed)).mean())
    total = 2 * len(flips) if exact else len(flips)
    distribution = np.repeat(values, 2) if exact else values
    names = tuple(work.names[i] for i in tested)
    return WildBootstrap(names, observed, share, m, total, exact, distribution)


def _columns(work: Working, terms: Sequence[str] | None) -> list[int]:
    if terms is None:
        rest = [i for i, name in enumerate(work.names) if name != "Intercept"]
        return rest or list(range(len(work.names)))
    unknown = [term for term in terms if term not in work.names]
    if unknown or not terms:
        told = ", ".join(map(repr, work.names))
        raise UsageError(f"there is no term {unknown[0] if unknown else ''!r}; the terms are {told}")
    return [work.names.index(term) for term in terms]


def _flips(m: int, draws: Literal["auto"] | int, seed: int | np.random.Generator) -> tuple[FloatArray, bool]:
    """Return signs (B, m), none flipped first; of all flips, one of each pair of opposites."""
    if draws == "auto":
        draws = 2**m if m <= 12 else 2000
    if not isinstance(draws, int) or isinstance(draws, bool) or draws < 2:
        raise UsageError(f"draws={draws!r} must be 'auto' or a whole number of at least 2, such as 1999")
    if m <= _MOST and draws >= 2**m:
        bits = (np.arange(2 ** (m - 1))[:, None] >> np.arange(m)) & 1
        return np.asarray(1.0 - 2.0 * bits, dtype=np.float64), True
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, m))
    signs[0] = 1.0
    return signs, False


def _statistics(work: Working, tested: list[int], index: IntArray, flips: FloatArray) -> FloatArray:
    """Return Wald's F with CR1 for each draw, shape (B,)."""
    kept = [i for i in range(len(work.names)) if i not in tested]
    y = work.x @ work.beta + work.residual
    null = np.zeros_like(y)
    if kept:
        x, wx = work.x[:, kept], work.projected[:, kept]
        null = x @ np.linalg.solve(wx.T @ x, wx.T @ y)
    sample = null + flips[:, index] * (y - null)
    beta = sample @ work.projected @ work.bread
    e = sample - beta @ work.x.T
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    m, q = len(starts), len(tested)
    # scores of the clusters in the tested coefficients, (B, m, q)
    influence = (work.projected @ work.bread)[:, tested]
    scores = np.stack([np.add.reduceat((e * c)[:, order], starts, axis=1) for c in influence.T], axis=2)
    covariance = np.einsum("bmi,bmj->bij", scores, scores) * (m / (m - 1))
    gap = beta[:, tested]
    scale = np.sqrt(np.einsum("bii->bi", covariance))
    if not (scale > 0.0).all():
        raise ModelError(
            "a draw leaves a tested coefficient without any variance: too few clusters tell of it"
        )
    unit = covariance / (scale[:, :, None] * scale[:, None, :])
    if np.linalg.cond(unit).max() > 1e14:
        raise ModelError(f"too few clusters for a test of {q} coefficients together; test fewer")
    z = gap / scale
    return np.asarray(np.vecdot(z, np.linalg.solve(unit, z[..., None])[..., 0]) / q)
