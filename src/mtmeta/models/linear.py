"""Coefficients of a weighted linear model: their tests, intervals, contrasts and joint tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_level

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Coefficients", "JointTest", "Sandwich", "adjusted", "quantile", "ratio", "two_sided"]

FloatArray = npt.NDArray[np.float64]


def two_sided(statistic: FloatArray, df: FloatArray) -> FloatArray:
    """Two-sided p-value of a t statistic, of a normal one where ``df`` is infinite."""
    size = -np.abs(statistic)
    finite = np.isfinite(df)
    t = special.stdtr(np.where(finite, df, 1.0), size)
    return np.asarray(np.where(finite, 2 * t, 2 * special.ndtr(size)))


def quantile(level: float, df: FloatArray) -> FloatArray:
    """Half-width of a two-sided interval in standard errors: t with `df`, normal where `df` is infinite."""
    upper = 0.5 + check_level(level) / 2
    finite = np.isfinite(df)
    t = special.stdtrit(np.where(finite, df, 1.0), upper)
    return np.asarray(np.where(finite, t, special.ndtri(upper)))


@dataclass(frozen=True, slots=True)
class JointTest:
    """Test that several contrasts of the coefficients are all zero.

    Attributes
    ----------
    statistic : float
        A χ² when ``df2`` is infinite, else an F (already divided by ``df1``).
    df1, df2 : float
        Degrees of freedom; ``df2`` is infinite for the χ² test.
    pvalue : float
    kind : str
        "chi2", "F" or "HTZ" (Hotelling's T² approximated with Zhang's degrees of freedom).
    """

    statistic: float
    df1: float
    df2: float
    pvalue: float
    kind: str

    def __str__(self) -> str:
        if self.kind == "chi2":
            return f"χ²({self.df1:g}) = {self.statistic:.4g}, p = {self.pvalue:.4g}"
        return f"F({self.df1:g}, {self.df2:.4g}) = {self.statistic:.4g}, p = {self.pvalue:.4g} ({self.kind})"


@dataclass(frozen=True, eq=False)
class Sandwich:
    r"""What small-sample corrections of a cluster-robust covariance need, by cluster.

    With bread :math:`Q=(X'WX)^{-1}`, working covariance :math:`\Phi=W^{-1}` and adjustment
    matrices :math:`A_i`, the contrast :math:`c'\hat\beta` has the robust variance
    :math:`\sum_i (a_i'e_i)^2`, :math:`a_i=A_iW_iX_iQc`, whose terms have covariances

    .. math:: \Omega_{ij}=\delta_{ij}\,c'QT_iQc-(R_iQc)'Q(R_jQc)

    under the working model, :math:`T_i=X_i'W_iA_i\Phi_iA_iW_iX_i`, :math:`R_i=X_i'A_iW_iX_i`.

    Attributes
    ----------
    kind : str
        "CR0", "CR1", "CR1p", "CR1S" or "CR2".
    bread : ndarray of shape (p, p)
    own : ndarray of shape (m, p, p)
        The :math:`T_i` of the m clusters.
    shared : ndarray of shape (m, p, p)
        The :math:`R_i`.

    References
    ----------
    Pustejovsky, J. E. & Tipton, E. (2018). J Bus Econ Stat 36(4), 672–683.
    Tipton, E. & Pustejovsky, J. E. (2015). J Educ Behav Stat 40(6), 604–634.
    """

    kind: str
    bread: FloatArray
    own: FloatArray
    shared: FloatArray

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return len(self.own)

    def _in_contrasts(self, contrasts: FloatArray) -> tuple[FloatArray, FloatArray]:
        to = self.bread @ contrasts.T  # (p, q)
        values, vectors = np.linalg.eigh(self.bread)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return to.T @ self.own @ to, root.T @ self.shared @ to  # (m, q, q), (m, p, q)

    def satterthwaite(self, contrasts: FloatArray) -> FloatArray:
        """Satterthwaite's degrees of freedom of each contrast; shape (q,).

        Parameters
        ----------
        contrasts : ndarray of shape (q, p)
        """
        own, shared = self._in_contrasts(contrasts)
        own = np.einsum("mqq->mq", own)
        norm = np.einsum("mpq,mpq->mq", shared, shared)
        gram = np.einsum("mpq,mrq->qpr", shared, shared)
        expected = (own - norm).sum(0)
        square = ((own - norm) ** 2 - norm**2).sum(0) + (gram**2).sum((1, 2))
        return np.asarray(expected**2 / square)

    def zhang(self, contrasts: FloatArray) -> float:
        """Degrees of freedom η of Zhang's approximation to Hotelling's T² for the joint test."""
        own, shared = self._in_contrasts(contrasts)
        total = (own - np.einsum("mps,mpt->mst", shared, shared)).sum(0)
        values, vectors = np.linalg.eigh(total)
        if values[0] <= 1e-12 * values[-1]:
            raise ModelError("the tested contrasts are linearly dependent; leave out those that follow")
        half = vectors / np.sqrt(values) @ vectors.T
        own, shared = half @ own @ half, shared @ half
        cross = np.einsum("mas,mbt->asbt", shared, shared)
        same = np.einsum("mps,mpt->mst", shared, shared)
        left = own - same
        spread = float((cross**2).sum() + np.einsum("asbt,atbs->", cross, cross))
        for part, sign in ((left, 1.0), (same, -1.0)):
            trace = np.einsum("mss->m", part)
            spread += sign * float((trace**2).sum() + np.einsum("mst,mts->", part, part))
        q = len(contrasts)
        return float(q * (q + 1) / spread)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Estimates of a linear predictor with their covariance. Frozen.

    Attributes
    ----------
    names : tuple of str, length p
    beta : ndarray of shape (p,)
    vcov : ndarray of shape (p, p)
        Covariance that tests and intervals use.
    df : ndarray of shape (p,)
        Degrees of freedom of each coefficient's t; infinite for the normal distribution.
    sandwich : Sandwich or None
        Where `vcov` is cluster-robust with Satterthwaite's degrees of freedom (CR2).
    """

    names: tuple[str, ...]
    beta: FloatArray
    vcov: FloatArray
    df: FloatArray
    sandwich: Sandwich | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("beta", "vcov", "df"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def se(self) -> FloatArray:
        """Standard errors; shape (p,)."""
        return np.sqrt(np.diag(self.vcov))

    @property
    def statistic(self) -> FloatArray:
        """Estimates over standard errors; shape (p,)."""
        return ratio(self.beta, self.se)

    @property
    def pvalue(self) -> FloatArray:
        """Two-sided p-values; shape (p,)."""
        return two_sided(self.statistic, self.df)

    def position(self, name: str) -> int:
        """Index of a term.

        Raises
        ------
        UsageError
            With the list of terms, when there is none of that name.
        """
        if name in self.names:
            return self.names.index(name)
        raise UsageError(f"there is no term {name!r}; the terms are {', '.join(map(repr, self.names))}")

    def contrast(self, rows: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Estimate, standard error and degrees of freedom of linear combinations.

        Parameters
        ----------
        rows : ndarray of shape (q, p)

        Returns
        -------
        tuple of three ndarrays of shape (q,)
        """
        se = np.sqrt(np.maximum(np.einsum("qi,ij,qj->q", rows, self.vcov, rows), 0.0))
        if self.sandwich is not None:
            df = self.sandwich.satterthwaite(rows)
        else:
            df = np.full(len(rows), self.df[0])
        return rows @ self.beta, se, df

    def joint(self, rows: FloatArray) -> JointTest:
        """Test ``rows @ beta == 0``: χ² (normal), F (t) or HTZ (cluster-robust CR2).

        Parameters
        ----------
        rows : ndarray of shape (q, p)
            Linearly independent rows.

        Raises
        ------
        ModelError
            Where HTZ has no degrees of freedom left (fewer clusters than the test needs), or the
            covariance of the contrasts is singular.
        """
        q = len(rows)
        covariance = rows @ self.vcov @ rows.T
        scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        if not scale.any() and np.isfinite(self.df[0]) and self.sandwich is None:
            # effects that lie exactly on the regression: HKSJ's scale factor, and with it every se, is 0
            value, p = (np.inf, 0.0) if (rows @ self.beta).any() else (0.0, 1.0)
            return JointTest(value, q, float(self.df[0]), p, "F")
        if not (scale > 0).all() or np.linalg.cond(covariance / np.outer(scale, scale)) > 1e15:
            raise ModelError(
                "the tested contrasts have a singular covariance: too few clusters or rows for them"
            )
        unit = (rows @ self.beta) / scale
        square = max(float(unit @ np.linalg.solve(covariance / np.outer(scale, scale), unit)), 0.0)
        if self.sandwich is not None:
            eta = self.sandwich.zhang(rows)
            df2 = eta - q + 1
            if df2 <= 0:
                raise ModelError(
                    f"too few clusters ({self.sandwich.clusters}) for a joint test of {q} contrasts: its "
                    f"denominator has {df2:.3g} degrees of freedom; test fewer contrasts"
                )
            f = df2 / (eta * q) * square
            return JointTest(f, q, df2, float(special.fdtrc(q, df2, f)), "HTZ")
        df2 = float(self.df[0])
        if np.isfinite(df2):
            return JointTest(square / q, q, df2, float(special.fdtrc(q, df2, square / q)), "F")
        return JointTest(square, q, np.inf, float(special.chdtrc(q, square)), "chi2")

    def frame(self, level: float = 0.95) -> pd.DataFrame:
        """Table by term: estimate, se, df, statistic, pvalue, ci_low, ci_high."""
        import pandas as pd

        half = quantile(level, self.df) * self.se
        columns = {
            "estimate": self.beta,
            "se": self.se,
            "df": self.df,
            "statistic": self.statistic,
            "pvalue": self.pvalue,
            "ci_low": self.beta - half,
            "ci_high": self.beta + half,
        }
        return pd.DataFrame(columns, index=pd.Index(self.names, name="term"))


def ratio(value: FloatArray, se: FloatArray) -> FloatArray:
    """``value / se``, where a standard error of 0 gives 0 for a value of 0 and ±inf otherwise."""
    safe = np.where(se > 0, se, 1.0)
    return np.where(se > 0, value / safe, np.where(value == 0, 0.0, np.copysign(np.inf, value)))


def adjusted(pvalues: FloatArray, adjust: str) -> FloatArray:
    """Adjust p-values for their number: "none", "bonferroni" or "holm" (Holm 1979, Scand J Stat 6, 65–70)."""
    n = len(pvalues)
    if adjust == "none":
        return pvalues
    if adjust == "bonferroni":
        return np.minimum(pvalues * n, 1.0)
    order = np.argsort(pvalues, kind="stable")
    stepped = np.maximum.accumulate(pvalues[order] * (n - np.arange(n)))
    out = np.empty(n)
    out[order] = np.minimum(stepped, 1.0)
    return out
