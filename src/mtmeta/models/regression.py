"""Meta-regression: moderators of the effect by a formula, with τ² left over between studies."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, check_choice, check_level
from mtmeta.models import kernel
from mtmeta.models.formula import Design, design_of
from mtmeta.models.linear import Coefficients, JointTest, adjusted, quantile
from mtmeta.models.robust import IntArray, Working
from mtmeta.models.words import halves_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MetaRegression", "MetaRegressionResult"]

FloatArray = npt.NDArray[np.float64]
CiMethod = Literal["auto", "Wald", "HKSJ", "HKSJ-floor"]
PiMethod = Literal["V", "normal", "HK"]
_CI = ("auto", "Wald", "HKSJ", "HKSJ-floor")


@dataclass(frozen=True)
class MetaRegression:
    r"""Mixed-effects meta-regression, :math:`y_i = x_i'\beta + u_i + e_i`, :math:`u_i\sim N(0,\tau^2)`.

    Parameters
    ----------
    formula : str
        Moderators, such as ``"alloc + ablat"``. Allowed are column names of ``es.moderators``,
        ``+ : * - ( )``, 0 and 1, and ``C(x)``, ``C(x, base="level")``, ``bs(x, df=4)``, ``cr(x, df=3)``,
        ``poly(x, 2)``, ``log(x)``. Text columns are categories, the first level in order the reference.
    tau2 : str or float, default "REML"
        Estimator: DL DL2 HE HS HSk SJ ML REML EB PM PMM; or a given value, 0 for common effects.
    ci : {"auto", "Wald", "HKSJ", "HKSJ-floor"}
        Wald uses the normal distribution; HKSJ t with k − p degrees of freedom and the scale factor of
        Knapp and Hartung (2003); with floor that factor is at least 1. "auto" is HKSJ when
        k − p > 1 and τ² > 0, else Wald; the result's ``ci_method`` names what was used.

    Notes
    -----
    Same model and tests as metafor's ``rma(yi, vi, mods = ~ …)``. Differences: coefficients are called
    ``Intercept`` and ``alloc[random]``; ``cr`` is a natural cubic spline without its constant, the space
    of R's ``ns``; R² is also given without an intercept when the design spans one.

    References
    ----------
    Knapp, G. & Hartung, J. (2003). Stat Med 22, 2693–2710.
    Viechtbauer, W. (2010). J Stat Softw 36(3), 1–48, sections 3.2 and 4.3.

    Examples
    --------
    BCG vaccine, latitude and year: τ² 0.1108, QM 12.20, p .0022, ablat -0.0280 (0.0102), year 0.0019
    (0.0147) (Viechtbauer 2010, p. 16; from effects rounded to six digits).

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
    ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> ablat = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]
    >>> year = [1948, 1949, 1960, 1977, 1973, 1953, 1973, 1980, 1968, 1961, 1974, 1969, 1976]
    >>> es = EffectSizes.of(y, v, "RR", moderators={"ablat": ablat, "year": year})
    >>> fit = MetaRegression("ablat + year", ci="Wald").fit(es)
    >>> print(f"{fit.tau2:.4f} {fit.qm:.2f} {fit.qm_pvalue:.4f}")
    0.1108 12.20 0.0022
    >>> print(f"{fit.coef['ablat']:.4f} {fit.se['ablat']:.4f} {fit.coef['year']:.4f} {fit.se['year']:.4f}")
    -0.0280 0.0102 0.0019 0.0147
    """

    formula: str
    tau2: kernel.Tau2Method | float = "REML"
    ci: CiMethod = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.tau2, str):
            check_choice("tau2", self.tau2, kernel.TAU2_METHODS)
        elif isinstance(self.tau2, bool) or not 0.0 <= float(self.tau2) < np.inf:
            raise UsageError(f"tau2={self.tau2!r} must be an estimator or a number not below 0")
        check_choice("ci", self.ci, _CI)

    def fit(self, es: EffectSizes) -> MetaRegressionResult:
        """Fit the model.

        Raises
        ------
        UsageError
            A formula that is not allowed, or a column that does not exist.
        ModelError
            Missing moderator values (the studies are named), collinear columns (they are named), or no
            more studies than coefficients.
        """
        design = design_of(self.formula, es.moderators, es.study)
        p = len(design.names)
        if es.k <= p:
            raise ModelError(
                f"{es.k} studies cannot carry {p} coefficients ({', '.join(design.names)}) and τ²; "
                "use fewer moderators"
            )
        if isinstance(self.tau2, str):
            fitted = kernel.fit(es.yi, es.vi, method=self.tau2, design=design.matrix)
        else:
            fitted = kernel.fit(es.yi, es.vi, tau2=self.tau2, design=design.matrix)
        method = self.ci
        if method == "auto":
            method = "HKSJ" if es.k - p > 1 and fitted.tau2[0] > 0 else "Wald"
        return MetaRegressionResult(es, self, design, fitted, method)


@dataclass(frozen=True, eq=False, repr=False)
class MetaRegressionResult:
    """A fitted meta-regression. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : MetaRegression
    design : Design
        Columns, terms and levels.
    fitted : KernelFit
        A batch of one.
    ci_method : str
        "Wald", "HKSJ" or "HKSJ-floor".
    """

    effects: EffectSizes
    model: MetaRegression
    design: Design
    fitted: kernel.KernelFit
    ci_method: str

    # numbers -------------------------------------------------------------------------------------------

    @cached_property
    def coefficients(self) -> Coefficients:
        """Coefficients as arrays, with the covariance and degrees of freedom the tests use."""
        return self._coefficients(self.ci_method)

    def _coefficients(self, method: str) -> Coefficients:
        scale = 1.0 if method == "Wald" else float(self.fitted.scale[0])
        if method == "HKSJ-floor":
            scale = max(scale, 1.0)
        df = np.inf if method == "Wald" else float(self.k - self.p)
        beta, vcov = self.fitted.beta[0], self.fitted.cov[0] * scale
        return Coefficients(self.design.names, beta, vcov, np.full(self.p, df))

    @property
    def k(self) -> int:
        """Number of effects."""
        return self.effects.k

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return len(self.design.names)

    @property
    def df(self) -> float:
        """Degrees of freedom of the tests of coefficients: k − p, infinite for Wald."""
        return float(self.coefficients.df[0])

    @property
    def coef(self) -> pd.Series[float]:
        """Coefficients by term."""
        return self._series(self.coefficients.beta)

    @property
    def se(self) -> pd.Series[float]:
        """Standard errors by term."""
        return self._series(self.coefficients.se)

    @property
    def statistic(self) -> pd.Series[float]:
        """Coefficients over standard errors, by term."""
        return self._series(self.coefficients.statistic)

    @property
    def pvalue(self) -> pd.Series[float]:
        """Two-sided p-values by term."""
        return self._series(self.coefficients.pvalue)

    @property
    def tau2(self) -> float:
        """Residual variance between studies."""
        return float(self.fitted.tau2[0])

    @property
    def tau(self) -> float:
        """Residual standard deviation between studies."""
        return float(np.sqrt(self.tau2))

    @property
    def i2(self) -> float:
        """Residual I², percent: ``100 τ²/(τ² + (k − p)/tr P)``."""
        return float(self.fitted.i2[0])

    @property
    def tau2_method(self) -> str:
        """Estimator of τ², "given" for a number."""
        return self.model.tau2 if isinstance(self.model.tau2, str) else "given"

    @property
    def h2(self) -> float:
        """Residual H²."""
        return float(self.fitted.h2[0])

    @cached_property
    def r2(self) -> float:
        """R², percent: how much smaller τ² is than without moderators; NaN when no constant is spanned.

        ``max(0, 100 (τ₀² − τ²)/τ₀²)``, and 0 where τ₀² is 0, as in metafor (Raudenbush 2009).
        NaN, too, when τ² is given.
        """
        if not isinstance(self.model.tau2, str):
            return float("nan")
        ones = np.ones(self.k)
        rest = ones - self.design.matrix @ np.linalg.lstsq(self.design.matrix, ones, rcond=None)[0]
        if np.abs(rest).max() > 1e-8:
            return float("nan")
        empty = float(kernel.fit(self.effects.yi, self.effects.vi, method=self.model.tau2).tau2[0])
        return max(0.0, 100.0 * (empty - self.tau2) / empty) if empty > 0 else 0.0

    @cached_property
    def omnibus(self) -> JointTest:
        """Test that all coefficients but the intercept are zero: χ² (Wald) or F (HKSJ)."""
        return self._joint(self.design.tested())

    @property
    def qm(self) -> float:
        """Statistic of the omnibus test; under HKSJ the F, as metafor's QM."""
        return self.omnibus.statistic

    @property
    def qm_df(self) -> tuple[float, float]:
        """Degrees of freedom of the omnibus test; the second is infinite for χ²."""
        return self.omnibus.df1, self.omnibus.df2

    @property
    def qm_pvalue(self) -> float:
        """P-value of the omnibus test."""
        return self.omnibus.pvalue

    @property
    def qe(self) -> float:
        """Cochran's Q of the residual heterogeneity."""
        return float(self.fitted.q[0])

    @property
    def qe_df(self) -> int:
        """Degrees of freedom of QE, k − p."""
        return self.k - self.p

    @property
    def qe_pvalue(self) -> float:
        """P-value of QE from the χ² distribution."""
        return float(special.chdtrc(self.qe_df, self.qe))

    @property
    def loglik(self) -> float:
        """Log-likelihood: the restricted one unless τ² is estimated by ML, as metafor's ``logLik``."""
        part = self.fitted.loglik if self.model.tau2 == "ML" else self.fitted.loglik_reml
        return float(part[0])

    @property
    def aic(self) -> float:
        """Akaike's criterion; compare models with different moderators only under ``tau2="ML"``."""
        return -2 * self.loglik + 2 * (self.p + 1)

    @property
    def aicc(self) -> float:
        """AIC with the small-sample correction, over k (ML) or k − p (REML) observations."""
        parameters = self.p + 1
        n = max(self._observations, parameters + 2)
        return -2 * self.loglik + 2 * parameters * n / (n - parameters - 1)

    @property
    def bic(self) -> float:
        """Schwarz's criterion, over k (ML) or k − p (REML) observations."""
        return float(-2 * self.loglik + (self.p + 1) * np.log(self._observations))

    @property
    def _observations(self) -> int:
        return self.k if self.model.tau2 == "ML" else self.k - self.p

    @property
    def weights(self) -> FloatArray:
        """Weights ``1/(v + τ²)`` of the studies, summing to 1; shape (k,)."""
        raw = 1.0 / (self.effects.vi + self.tau2)
        return np.asarray(raw / raw.sum())

    def _series(self, values: FloatArray) -> pd.Series[float]:
        import pandas as pd

        return pd.Series(values, index=pd.Index(self.design.names, name="term"), dtype=float)

    # intervals and tests ---------------------------------------------------------------------------------

    def ci(self, level: float = 0.95) -> pd.DataFrame:
        """Confidence intervals of the coefficients: columns low and high, by term."""
        import pandas as pd

        half = quantile(level, self.coefficients.df) * self.coefficients.se
        beta = self.coefficients.beta
        index = pd.Index(self.design.names, name="term")
        return pd.DataFrame({"low": beta - half, "high": beta + half}, index=index)

    def tau2_ci(self, level: float = 0.95, method: Literal["QP"] = "QP") -> Interval:
        """Q-profile interval of the residual τ² (Viechtbauer 2007, Stat Med 26, 37–52)."""
        check_choice("method", method, ("QP",))
        tail = (1 - check_level(level)) / 2
        goals = special.chdtri(self.k - self.p, np.array([[tail], [1 - tail]]))
        found = kernel.q_profile(self.effects.yi, self.effects.vi, target=goals, design=self.design.matrix)
        return Interval(float(found[0, 0]), float(found[1, 0]))

    def joint(self, terms: Sequence[str]) -> JointTest:
        """Test that all coefficients of the named terms are zero.

        Parameters
        ----------
        terms : sequence of str
            Terms of the formula ("alloc", "alloc:ablat") or single coefficients ("alloc[random]").
        """
        return self._joint(tuple(dict.fromkeys(i for term in terms for i in self._columns(term))))

    def anova(self, terms: Sequence[str] | None = None) -> pd.DataFrame:
        """Joint test of each term given all others: columns statistic, df1, df2, pvalue, by term.

        Parameters
        ----------
        terms : sequence of str, optional
            All terms but the intercept by default.
        """
        import pandas as pd

        names = [t for t in self.design.terms if t != "Intercept"] if terms is None else list(terms)
        tests = [self.joint([name]) for name in names]
        columns = {
            part: [getattr(test, part) for test in tests] for part in ("statistic", "df1", "df2", "pvalue")
        }
        return pd.DataFrame(columns, index=pd.Index(names, name="term"))

    def _columns(self, term: str) -> tuple[int, ...]:
        found = self.design.terms.get(term)
        return found if found is not None else (self.coefficients.position(term),)

    def _joint(self, columns: tuple[int, ...]) -> JointTest:
        if not columns:
            raise UsageError("name at least one term to test")
        return self.coefficients.joint(np.eye(self.p)[list(columns)])

    def vif(self, *, by: Literal["coefficient", "term"] = "coefficient") -> pd.Series[float]:
        """Variance inflation factors, generalised ones for terms of several columns.

        Of a set S: ``det R_S det R_rest / det R``, R the correlation matrix of the estimates without the
        intercept (Fox and Monette 1992, J Am Stat Assoc 87, 178–183); metafor's ``vif``.
        """
        import pandas as pd

        check_choice("by", by, ("coefficient", "term"))
        use = [i for i in range(self.p) if i not in self.design.terms.get("Intercept", ())]
        if by == "term":
            sets = {t: list(c) for t, c in self.design.terms.items() if t != "Intercept"}
        else:
            sets = {self.design.names[i]: [i] for i in use}
        vcov = self.fitted.cov[0]
        scale = np.sqrt(np.diag(vcov))
        correlation = vcov / np.outer(scale, scale)

        def log_det(part: list[int]) -> float:
            return float(np.linalg.slogdet(correlation[np.ix_(part, part)])[1])

        whole = log_det(use)
        values = [
            float(np.exp(log_det(s) + log_det([i for i in use if i not in s]) - whole)) for s in sets.values()
        ]
        return pd.Series(values, index=pd.Index(list(sets), name="term"), dtype=float)

    # predictions -----------------------------------------------------------------------------------------

    def predict(
        self, newdata: pd.DataFrame | Mapping[str, Any], level: float = 0.95, *, pi: PiMethod = "V"
    ) -> pd.DataFrame:
        """Predict the expected effect, with its confidence and prediction intervals.

        Parameters
        ----------
        newdata : DataFrame or mapping of columns
            The moderators of the formula; n rows.
        level : float
        pi : {"V", "normal", "HK"}
            "V": t with k − p degrees of freedom and the classic standard error; "normal": the normal
            distribution (metafor's z test); "HK": t(k − p) and the HKSJ standard error (metafor's knha),
            with the floor where the tests use it.

        Returns
        -------
        DataFrame of n rows
            estimate, se, ci_low, ci_high, pi_low, pi_high; on the scale of the effects.

        Raises
        ------
        UsageError
            A column is missing, or a level the fit has not seen.
        """
        check_choice("pi", pi, ("V", "normal", "HK"))
        return self._frame(self.design.rows(newdata), level, pi, getattr(newdata, "index", None))

    def _frame(self, rows: FloatArray, level: float, pi: PiMethod, index: Any) -> pd.DataFrame:
        import pandas as pd

        estimate, se, df = self.coefficients.contrast(rows)
        half = quantile(level, df) * se
        scaled = "HKSJ-floor" if self.ci_method == "HKSJ-floor" else "HKSJ"
        _, spread, _ = self._coefficients(scaled if pi == "HK" else "Wald").contrast(rows)
        free = np.full(len(rows), np.inf if pi == "normal" else float(self.k - self.p))
        reach = quantile(level, free) * np.sqrt(spread**2 + self.tau2)
        columns = {
            "estimate": estimate,
            "se": se,
            "ci_low": estimate - half,
            "ci_high": estimate + half,
            "pi_low": estimate - reach,
            "pi_high": estimate + reach,
        }
        return pd.DataFrame(columns, index=index)

    def marginal_means(self, term: str, level: float = 0.95) -> pd.DataFrame:
        """Average the expected effect at each level of a categorical moderator over the others.

        Other categories count with equal weight for each level, numeric moderators stand at their
        mean over the studies (the convention of emmeans).

        Parameters
        ----------
        term : str
            Name of a categorical column of the formula.

        Returns
        -------
        DataFrame
            By level: estimate, se, ci_low, ci_high, pi_low, pi_high.
        """
        import pandas as pd

        rows = self._marginal_rows(term)
        return self._frame(rows, level, "V", pd.Index(self.design.levels[term], name=term))

    def curve(
        self, moderator: str, level: float = 0.95, *, points: int = 101, pi: PiMethod = "V"
    ) -> pd.DataFrame:
        """Predict along one numeric moderator: a line or, with ``log``, ``poly``, ``bs`` or ``cr``, a curve.

        Dose and response, for instance: ``MetaRegression("cr(minutes, df=3)").fit(es).curve("minutes")``.
        The other moderators stand as in :meth:`marginal_means`.

        Parameters
        ----------
        moderator : str
            A numeric column of the formula.
        level : float
        points : int
            Places, evenly between the smallest and the largest value.
        pi : {"V", "normal", "HK"}
            See :meth:`predict`.

        Returns
        -------
        DataFrame of `points` rows
            The moderator, estimate, se, ci_low, ci_high, pi_low, pi_high; what a bubble plot draws.
        """
        if moderator not in self.design.means:
            known = ", ".join(map(repr, self.design.means)) or "there are none"
            raise UsageError(f"{moderator!r} is not a numeric moderator of this model; {known}")
        if points < 2:
            raise UsageError(f"points={points!r} must be at least 2")
        values = np.asarray(self.effects.moderators[moderator], dtype=float)  # type: ignore[index]
        places = np.linspace(values.min(), values.max(), points)
        frame = self._frame(self._averaged({moderator: places}), level, pi, None)
        frame.insert(0, moderator, places)
        return frame

    def _marginal_rows(self, term: str) -> FloatArray:
        if term not in self.design.levels:
            known = ", ".join(map(repr, self.design.levels)) or "there are none"
            raise UsageError(f"{term!r} is not a categorical moderator of this model; {known}")
        return self._averaged({term: list(self.design.levels[term])})

    def _averaged(self, wanted: Mapping[str, Sequence[Any] | FloatArray]) -> FloatArray:
        """Design rows at the wanted values of one column, averaged over all levels of the others."""
        import pandas as pd

        (name, values), *_ = wanted.items()
        others = {n: levels for n, levels in self.design.levels.items() if n != name}
        cells = list(product(*others.values()))
        if len(cells) * len(values) > 100_000:
            raise UsageError("the other categories have too many combinations to average over")
        frame = pd.DataFrame(cells * len(values), columns=list(others), index=range(len(cells) * len(values)))
        frame[name] = np.repeat(np.asarray(values), len(cells))
        for column, mean in self.design.means.items():
            if column != name:
                frame[column] = mean
        rows = self.design.rows(frame)
        return np.asarray(rows.reshape(len(values), len(cells), -1).mean(axis=1))

    def pairwise(
        self, term: str, level: float = 0.95, *, adjust: Literal["none", "bonferroni", "holm"] = "none"
    ) -> pd.DataFrame:
        """Differences between the levels of a categorical moderator, each with its test.

        Parameters
        ----------
        term : str
        level : float
            Of the intervals, which are not adjusted.
        adjust : {"none", "bonferroni", "holm"}
            Adjustment of the p-values for the number of pairs.

        Returns
        -------
        DataFrame
            By "level − level": estimate, se, statistic, pvalue, ci_low, ci_high.
        """
        check_choice("adjust", adjust, ("none", "bonferroni", "holm"))
        means = self._marginal_rows(term)
        levels = self.design.levels[term]
        pairs = [(i, j) for i in range(len(levels)) for j in range(i)]
        rows = np.array([means[i] - means[j] for i, j in pairs])
        covariance = rows @ self.coefficients.vcov @ rows.T
        names = tuple(f"{levels[i]} − {levels[j]}" for i, j in pairs)
        free = np.full(len(rows), self.df)
        frame = Coefficients(names, rows @ self.coefficients.beta, covariance, free).frame(level)
        frame["pvalue"] = adjusted(frame["pvalue"].to_numpy(), adjust)
        return frame.drop(columns="df").rename_axis("pair")

    # what others need ------------------------------------------------------------------------------------

    def working(self) -> Working:
        """Hand the fitted model to cluster-robust inference."""
        v = self.effects.vi + self.tau2
        x = self.design.matrix
        beta = self.fitted.beta[0]

        def covariance(rows: IntArray) -> FloatArray:
            return np.asarray(v[rows][:, :, None] * np.eye(rows.shape[1]))

        groups = tuple(map(str, range(self.k)))
        residual = self.effects.yi - x @ beta
        return Working(
            self.design.names, beta, x, residual, x / v[:, None], self.fitted.cov[0], covariance, groups
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a coefficient: estimate, se, df, statistic, pvalue, ci_low, ci_high."""
        return self.coefficients.frame()

    @property
    def methods(self) -> str:
        """What was done, in words with citations, for a methods section."""
        test = {
            "Wald": "Wald tests from the normal distribution",
            "HKSJ": f"tests by Knapp and Hartung (2003) with t({self.k - self.p})",
            "HKSJ-floor": f"tests by Knapp and Hartung (2003) with t({self.k - self.p}), scale at least 1",
        }[self.ci_method]
        why = ""
        if self.model.ci == "auto" and self.ci_method == "Wald":
            why = " (HKSJ was not used because τ² is 0 or fewer than two degrees of freedom are left)"
        return (
            f"Mixed-effects meta-regression of {self.k} effects ({self.effects.measure.label}) on "
            f"{self.model.formula}, residual τ² {self._estimator}; {test}{why}; R² against the model "
            "without moderators, same estimator (Raudenbush 2009)."
            f"{halves_text(self.effects.half_added, self.k)}"
        )

    @property
    def _estimator(self) -> str:
        return f"by {self.model.tau2}" if self.tau2_method != "given" else "given"

    def __repr__(self) -> str:
        return (
            f"MetaRegressionResult({self.model.formula!r}, k={self.k}, τ²={self.tau2:.4g} "
            f"({self.tau2_method}), I²={self.i2:.1f}%, {self.omnibus}, {self.ci_method})"
        )

    def _repr_html_(self) -> str:
        table: str = self.to_frame().to_html(float_format=lambda x: f"{x:.4g}", border=0)
        return f"<p>{html.escape(repr(self))}</p>{table}"
