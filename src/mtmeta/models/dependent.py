"""Effects that depend on each other: three-level models, with known sampling correlation or without."""

from __future__ import annotations

import html
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import DataWarning, ModelError, UsageError
from mtmeta.measures import Interval, check_choice
from mtmeta.models.blocks import Blocks, Point, arrange, point, require_identified
from mtmeta.models.components import maximise, profile_interval
from mtmeta.models.formula import Design, design_of
from mtmeta.models.linear import Coefficients, JointTest, quantile
from mtmeta.models.one_mean import OneMean, single
from mtmeta.models.robust import FEW, IntArray, Working, cluster_robust, few_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Multilevel", "MultilevelResult", "rho_sensitivity"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Multilevel:
    r"""Three-level model: effects in clusters, :math:`y_{ij} = x_{ij}'\beta + u_j + w_{ij} + e_{ij}`.

    Parameters
    ----------
    within_rho : float in [0, 1), optional
        Correlation of the sampling errors of effects in one cluster. None: they are independent. With
        a number this is the correlated and hierarchical effects model (CHE); both variances are still
        estimated.
    robust : bool, default True
        Standard errors of kind CR2 by ``es.cluster`` with Satterthwaite's degrees of freedom; tests of
        several coefficients by HTZ. False: model-based, normal distribution (metafor's default).
    method : {"REML", "ML"}
    formula : str, optional
        Moderators, as for :class:`~mtmeta.models.regression.MetaRegression`.

    Notes
    -----
    :math:`u_j\sim N(0,\sigma_b^2)` by cluster, :math:`w_{ij}\sim N(0,\sigma_w^2)` by row, as metafor's
    ``rma.mv(yi, V, random = ~ 1 | cluster/row)``. The likelihood is searched for its global maximum and a
    variance whose score at 0 is not positive is 0 exactly, where metafor's optimiser stops at a small
    positive number. Time is linear in the number of rows.

    References
    ----------
    Konstantopoulos, S. (2011). Res Synth Methods 2, 61–76.
    Pustejovsky, J. E. & Tipton, E. (2022). Prev Sci 23, 425–438 (CHE).
    Pustejovsky, J. E. & Tipton, E. (2018). J Bus Econ Stat 36(4), 672–683 (CR2).

    Examples
    --------
    Simulated effects of 7 clusters; metafor 5.1-12 and clubSandwich 0.5.8 give variances 0 and
    0.02416678, mean 0.0018, CR2 standard error 0.0765 with 4.05 degrees of freedom.

    >>> y = [0.32112, 0.19429, 0.36163, 0.10442, 0.59057, -0.32687, -0.91968, -0.62709, -0.04089,
    ...      -0.15741, 0.32331, 0.03065, -0.092, -0.0513]
    >>> v = [0.15375, 0.15615, 0.08732, 0.04681, 0.18, 0.10093, 0.20785, 0.09066, 0.08509, 0.0538,
    ...      0.04129, 0.18248, 0.17653, 0.08258]
    >>> fit = Multilevel().fit(EffectSizes.of(y, v, cluster=list("12333334456777")))
    >>> print(f"{fit.sigma2_between} {fit.sigma2_within:.8f}")
    0.0 0.02416685
    >>> print(f"{fit.estimate:.4f} {fit.se:.4f} {fit.df:.2f}")
    0.0018 0.0765 4.05
    """

    within_rho: float | None = None
    robust: bool = True
    method: Literal["REML", "ML"] = "REML"
    formula: str | None = None

    def __post_init__(self) -> None:
        check_choice("method", self.method, ("REML", "ML"))
        rho = self.within_rho
        if rho is not None and not (isinstance(rho, (int, float)) and 0 <= rho < 1):
            raise UsageError(
                f"within_rho={rho!r} must be a correlation from 0 to below 1, such as 0.6, or None"
            )
        if not isinstance(self.robust, bool):
            raise UsageError(f"robust={self.robust!r} must be True or False")

    def fit(self, es: EffectSizes) -> MultilevelResult:
        """Fit the model.

        Raises
        ------
        ModelError
            One cluster only, or one row in every cluster (the two variances cannot be told apart), or
            moderators that take up what would identify them; the message names the model to use.
        UsageError
            A formula that is not allowed.

        Warns
        -----
        DataWarning
            Fewer than 4 Satterthwaite degrees of freedom.
        """
        design = design_of(self.formula or "1", es.moderators, es.study)
        if es.k <= len(design.names):
            raise ModelError(f"{es.k} rows cannot carry {len(design.names)} coefficients and two variances")
        blocks = arrange(es.yi, es.vi, design.matrix, es.cluster, self.within_rho)
        require_identified(blocks)
        best = maximise(blocks, restricted=self.method == "REML")
        result = MultilevelResult(es, self, design, blocks, best)
        if self.robust:
            few = result.coefficients.df.min()
            if few < FEW:
                warnings.warn(few_text(float(few), result.clusters), DataWarning, stacklevel=2)
        return result


@dataclass(frozen=True, eq=False, repr=False)
class MultilevelResult(OneMean):
    """A fitted three-level model. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : Multilevel
    design : Design
    blocks : Blocks
        The data sorted by cluster.
    at : Point
        Likelihood and regression at the estimated variances.
    """

    effects: EffectSizes
    model: Multilevel
    design: Design
    blocks: Blocks
    at: Point

    # variances -------------------------------------------------------------------------------------------

    @property
    def sigma2_between(self) -> float:
        """Variance between clusters."""
        return float(self.at.theta[0])

    @property
    def sigma2_within(self) -> float:
        """Variance between rows within clusters."""
        return float(self.at.theta[1])

    @property
    def tau2(self) -> float:
        """Total variance of true effects, between and within clusters."""
        return self.sigma2_between + self.sigma2_within

    @property
    def tau(self) -> float:
        """Total standard deviation of true effects."""
        return float(np.sqrt(self.tau2))

    @property
    def icc(self) -> float:
        """Share of the variance that lies between clusters; NaN when both variances are 0."""
        return self.sigma2_between / self.tau2 if self.tau2 > 0 else float("nan")

    def sigma2_ci(self, component: Literal["between", "within"], level: float = 0.95) -> Interval:
        """Profile-likelihood interval of a variance (metafor's ``confint.rma.mv``).

        Parameters
        ----------
        component : {"between", "within"}
        level : float
        """
        check_choice("component", component, ("between", "within"))
        which = 0 if component == "between" else 1
        restricted = self.model.method == "REML"
        return profile_interval(self.blocks, self.at, component=which, restricted=restricted, level=level)

    @cached_property
    def _typical(self) -> float:
        """Typical sampling variance ``(k − p)/tr P`` at variances of 0."""
        return (self.k - self.p) / self._null.trace

    @cached_property
    def _null(self) -> Point:
        return point(self.blocks, np.zeros(2), True)

    @property
    def i2_between(self) -> float:
        """Percent of the total variance that lies between clusters (Nakagawa and Santos 2012)."""
        return 100 * self.sigma2_between / (self.tau2 + self._typical)

    @property
    def i2_within(self) -> float:
        """Percent of the total variance that lies between rows within clusters."""
        return 100 * self.sigma2_within / (self.tau2 + self._typical)

    @property
    def i2(self) -> float:
        """Percent of the total variance that is not sampling error."""
        return 100 * self.tau2 / (self.tau2 + self._typical)

    @property
    def h2(self) -> float:
        """Total variance in units of the typical sampling variance."""
        return 1 + self.tau2 / self._typical

    @property
    def q(self) -> float:
        """Cochran's Q of the residual heterogeneity, with the known sampling covariances."""
        return self._null.quad

    @property
    def q_df(self) -> int:
        """Degrees of freedom of Q."""
        return self.k - self.p

    @property
    def q_pvalue(self) -> float:
        """P-value of Q."""
        return float(special.chdtrc(self.q_df, self.q))

    @property
    def loglik(self) -> float:
        """Log-likelihood, restricted under REML (with metafor's ½ log det X'X)."""
        return self.at.value

    @property
    def aic(self) -> float:
        """Akaike's criterion; compare moderators only under ``method="ML"``."""
        return -2 * self.loglik + 2 * (self.p + 2)

    # coefficients ----------------------------------------------------------------------------------------

    @cached_property
    def coefficients(self) -> Coefficients:
        """Coefficients as arrays, with the covariance and degrees of freedom the tests use."""
        if self.model.robust:
            return cluster_robust(self.working(), self.effects.cluster, "CR2")
        return self._classic

    @property
    def _classic(self) -> Coefficients:
        return Coefficients(self.design.names, self.at.beta, self.at.vcov, np.full(self.p, np.inf))

    @property
    def k(self) -> int:
        """Number of rows."""
        return self.effects.k

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return len(self.design.names)

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return len(self.blocks.sizes)

    @property
    def estimate(self) -> float:
        """Mean effect; a model with moderators has none and raises ModelError."""
        return single(self.at.beta)  # known also where no robust covariance is

    @property
    def ci_method(self) -> str:
        """Name of the interval: "CR2" or "Wald"."""
        return "CR2" if self.model.robust else "Wald"

    @property
    def coef(self) -> pd.Series[float]:
        """Coefficients by term."""
        import pandas as pd

        return pd.Series(self.at.beta, index=pd.Index(self.design.names, name="term"), dtype=float)

    @cached_property
    def omnibus(self) -> JointTest:
        """Test that all coefficients but the intercept are zero: HTZ (robust) or χ²."""
        return self.coefficients.joint(np.eye(self.p)[list(self.design.tested())])

    def pi(self, level: float = 0.95) -> Interval:
        """Prediction interval of the effect in a row of a new cluster.

        ``estimate ± t √(se² + σ_b² + σ_w²)`` with the standard error and the degrees of freedom of
        :meth:`ci`, as metafor's ``predict`` after ``robust``.
        """
        mean = self.estimate
        half = quantile(level, self.coefficients.df)[0] * np.sqrt(self.se**2 + self.tau2)
        return Interval(float(mean - half), float(mean + half))

    def predict(self, newdata: pd.DataFrame | Mapping[str, Any], level: float = 0.95) -> pd.DataFrame:
        """Predict for new data: estimate, se, df, ci_low, ci_high, pi_low, pi_high."""
        import pandas as pd

        estimate, se, df = self.coefficients.contrast(self.design.rows(newdata))
        t = quantile(level, df)
        reach = t * np.sqrt(se**2 + self.tau2)
        columns = {
            "estimate": estimate,
            "se": se,
            "df": df,
            "ci_low": estimate - t * se,
            "ci_high": estimate + t * se,
            "pi_low": estimate - reach,
            "pi_high": estimate + reach,
        }
        return pd.DataFrame(columns, index=getattr(newdata, "index", None))

    @cached_property
    def _rows(self) -> IntArray:
        """Place in the sorted rows of each row of the effect table."""
        return np.argsort(self.blocks.order).astype(np.intp)

    @property
    def weights(self) -> FloatArray:
        """Weights of the rows in the mean, summing to 1; some may be negative under a known correlation."""
        if self.p > 1:
            raise ModelError("a model with moderators has no single mean and so no weights")
        raw = self.at.projected[self._rows, 0]
        return np.asarray(raw / raw.sum())

    def cluster_effects(self) -> pd.DataFrame:
        """Best linear predictions ``σ_b² 1'M⁻¹(y − Xβ)`` of the clusters' deviations: rows, effect."""
        import pandas as pd

        first = self.blocks.order[self.blocks.starts]
        names = [self.effects.cluster[i] for i in first]
        effect = self.sigma2_between * self.blocks.sums(self.at.weighted)
        return pd.DataFrame(
            {"rows": self.blocks.sizes, "effect": effect}, index=pd.Index(names, name="cluster")
        )

    def working(self) -> Working:
        """Hand the fitted model to cluster-robust inference."""
        back, blocks = self._rows, self.blocks
        index = blocks.index[back]
        v, root, rho = self.effects.vi, np.sqrt(self.effects.vi), blocks.rho[index]

        def covariance(rows: IntArray) -> FloatArray:
            same = index[rows][:, :, None] == index[rows][:, None, :]
            pair = root[rows][:, :, None] * root[rows][:, None, :]
            out = np.where(same, self.sigma2_between + rho[rows][:, :, None] * pair, 0.0)
            out[:, np.eye(rows.shape[1], dtype=bool)] = v[rows] + self.tau2
            return out

        return Working(
            self.design.names,
            self.at.beta,
            self.design.matrix,
            self.at.residual[back],
            self.at.projected[back],
            self.at.vcov,
            covariance,
            self.effects.cluster,
        )

    # printing --------------------------------------------------------------------------------------------

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient, with the variances, Q, I² and counts beside it."""
        frame = self.coefficients.frame(level)
        for name in ("sigma2_between", "sigma2_within", "i2", "q", "q_pvalue", "loglik", "k", "clusters"):
            frame[name] = getattr(self, name)
        return frame

    @property
    def methods(self) -> str:
        """What was done, in words with citations, for a methods section."""
        rho = self.model.within_rho
        known = (
            "with independent sampling errors (Konstantopoulos 2011)"
            if rho is None
            else f"with sampling errors correlated {rho:g} within clusters (CHE, Pustejovsky and Tipton 2022)"
        )
        tests = (
            "cluster-robust standard errors CR2 with Satterthwaite degrees of freedom (Pustejovsky and "
            "Tipton 2018)"
            if self.model.robust
            else "Wald tests from the normal distribution"
        )
        on = f" on {self.model.formula}" if self.model.formula else ""
        return (
            f"Three-level random-effects model of {self.k} effects ({self.effects.measure.label}) in "
            f"{self.clusters} clusters{on}, {known}; variances between and within clusters by "
            f"{self.model.method}; {tests}."
        )

    def __repr__(self) -> str:
        variances = f"σ²_between={self.sigma2_between:.4g}, σ²_within={self.sigma2_within:.4g}"
        if self.p > 1:
            middle = f"{self.model.formula!r} with {self.p} coefficients"
        else:
            low, high = self.ci()
            middle = f"estimate={self.estimate:.4g} [{low:.3g}, {high:.3g}]"
        return (
            f"MultilevelResult(k={self.k} in {self.clusters} clusters, {middle}, {variances}, "
            f"{self.model.method}{', CR2' if self.model.robust else ''})"
        )

    def _repr_html_(self) -> str:
        table: str = self.coefficients.frame().to_html(float_format=lambda x: f"{x:.4g}", border=0)
        return f"<p>{html.escape(repr(self))}</p>{table}"


def rho_sensitivity(
    model: Multilevel, es: EffectSizes, *, rhos: Sequence[float] = (0.2, 0.4, 0.6, 0.8)
) -> pd.DataFrame:
    """Refit under several sampling correlations, none of which is known.

    Parameters
    ----------
    model : Multilevel
        Its ``within_rho`` is replaced.
    es : EffectSizes
    rhos : sequence of float

    Returns
    -------
    DataFrame
        One row a correlation and coefficient: rho, term, estimate, se, df, pvalue, ci_low, ci_high,
        sigma2_between, sigma2_within.

    Examples
    --------
    BCG vaccine, taken as if two trials each came from one team: -0.7079 and -0.6971, within-team variance
    0.3088 and 0.3059 (metafor 3.8-1, ``rma.mv`` with ``V = vcalc(vi, cluster, obs, rho=)``).

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> es = EffectSizes.of(y, v, measure="RR", cluster=list("aabbccddeeffg"))
    >>> table = rho_sensitivity(Multilevel(), es, rhos=(0.2, 0.6))
    >>> print(table[["rho", "estimate", "sigma2_within"]].round(4).to_string(index=False))
     rho  estimate  sigma2_within
     0.2   -0.7079         0.3088
     0.6   -0.6971         0.3059
    """
    import pandas as pd

    parts = []
    for rho in rhos:
        frame = replace(model, within_rho=float(rho)).fit(es).to_frame().reset_index()
        frame.insert(0, "rho", float(rho))
        parts.append(frame)
    tests = ["rho", "term", "estimate", "se", "df", "pvalue", "ci_low", "ci_high"]
    return pd.concat(parts, ignore_index=True)[[*tests, "sigma2_between", "sigma2_within"]]
