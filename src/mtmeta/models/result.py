"""The one result of pooling that figures, reports and diagnostics read."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, check_choice, check_level
from mtmeta.models import intervals, predict
from mtmeta.models.kernel import fit
from mtmeta.models.predict import PI_RULES, PredictionRule
from mtmeta.models.stack import FloatArray
from mtmeta.models.words import halves_text, methods_text, p_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PoolModel", "PoolResult", "Tau2Interval", "at_least"]

Tau2Interval = Literal["QP", "PL", "BJ", "J", "BT", "SJ", "Wald"]
_TAU2_CI: tuple[str, ...] = get_args(Tau2Interval)


class PoolModel(Protocol):
    """What can be fitted to effect sizes and gives one pooled estimate."""

    def fit(self, es: EffectSizes) -> PoolResult:
        """Pool the effects."""
        ...


def at_least(k: int, fewest: int, what: str) -> None:
    """Raise a ModelError that names what needs more studies than there are."""
    if k < fewest:
        raise ModelError(f"{what} needs at least {fewest} studies and there {'is' if k == 1 else 'are'} {k}")


@dataclass(frozen=True, eq=False)
class PoolResult:
    """One pooled estimate with everything that was asked of it. Frozen.

    Attributes
    ----------
    effects : EffectSizes
        What was pooled.
    model : CommonEffect, RandomEffects, HenmiCopas or IVhet
        How: the frozen configuration that was fitted.
    estimate, se : float
        Pooled effect on the scale of analysis and the standard error of the method used: for HKSJ the
        HKSJ one, which may be 0 when all effects are equal.
    df : float
        Degrees of freedom of test and interval, infinite for normal quantiles.
    tau2 : float
        Between-study variance; 0 in the common-effect model.
    tau2_method : str
        Its estimator, "given" for a number, "none" in the common-effect model.
    weighted_by : float
        The tau2 that the weights ``1/(v + tau2)`` contain: 0 unless the model is RandomEffects.
    predicts : bool
        Whether the model says anything of a new study's effect.
    se_classic : float
        ``1/sqrt(sum w)``, the standard error of Wald's interval and of prediction rule V.
    q : float
        Cochran's Q.
    vt : float
        Typical sampling variance; 0 for one study.
    loglik, loglik_reml : float
        Log-likelihoods at tau2, all constants included.
    ci_method : str
        Interval used: "Wald", "HKSJ", "HKSJ-floor", "IQWiG (HKSJ)", "IQWiG (HKSJ-floor)", "PL" ...
    note : str
        Why `ci_method` was chosen when a rule chose it, else empty.

    Examples
    --------
    BCG vaccine, log relative risk, REML: tau2 0.3132 (standard error 0.1664), Q 152.23, H2 12.86, and the
    Q-profile interval of tau2, 0.1197 to 1.1115 (Viechtbauer 2010, J Stat Softw 36(3), p. 14).

    >>> from mtmeta.models.pool import RandomEffects
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> bcg = RandomEffects().fit(EffectSizes.of(y, v, "RR"))
    >>> [round(x, 4) for x in (bcg.tau2, bcg.tau2_se)], round(bcg.q, 2), round(bcg.h2, 2)
    ([0.3132, 0.1664], 152.23, 12.86)
    >>> [round(x, 4) for x in bcg.tau2_ci()]
    [0.1197, 1.1115]

    Notes
    -----
    Edge cases, defined so: one study has tau2 = 0, Q = 0 and I2 = 0, as in metafor. Identical effects have
    tau2 = 0; Wald's interval keeps its width, HKSJ's shrinks to a point (statistic infinite, p = 0), which
    "auto" avoids. I2 is ``100 tau2/(tau2 + vt)`` and H2 ``1 + tau2/vt``, as in metafor; in the common-effect
    model they come from Q (there they are `i2_q` and Q/df).
    """

    effects: EffectSizes
    model: PoolModel
    estimate: float
    se: float
    df: float
    tau2: float
    tau2_method: str
    weighted_by: float
    predicts: bool
    se_classic: float
    q: float
    vt: float
    loglik: float
    loglik_reml: float
    ci_method: str
    note: str = field(default="", repr=False)

    # what follows from these --------------------------------------------------------------------------------

    @property
    def k(self) -> int:
        """Number of effects pooled."""
        return self.effects.k

    @property
    def tau(self) -> float:
        """Between-study standard deviation."""
        return math.sqrt(self.tau2)

    @property
    def statistic(self) -> float:
        """Test statistic against the measure's null; t with `df`, normal where `df` is infinite."""
        gap = self.estimate - self.effects.measure.null
        if self.ci_method == "PL":
            null = self.effects.measure.null
            yi, vi = self.effects.yi, self.effects.vi
            return intervals.signed_root(yi, vi, estimate=self.estimate, loglik=self.loglik, null=null)
        if self.ci_method == "Henmi-Copas":
            raise ModelError("Henmi and Copas give an interval and no test statistic; look at ci()")
        if self.se > 0.0:
            return gap / self.se
        return math.copysign(math.inf, gap) if gap else 0.0

    @property
    def pvalue(self) -> float:
        """Two-sided p-value of `statistic`."""
        return intervals.two_sided(self.statistic, self.df)

    @property
    def q_df(self) -> int:
        """Degrees of freedom of Q, k - 1."""
        return self.k - 1

    @property
    def q_pvalue(self) -> float:
        """p-value of Q; 1 for one study."""
        return float(special.chdtrc(self.q_df, self.q)) if self.q_df else 1.0

    @property
    def i2(self) -> float:
        """Percentage of variance due to heterogeneity, from tau2 (from Q in the common-effect model)."""
        if self.tau2_method == "none":
            return self.i2_q
        return self._i2_of(self.tau2)

    @property
    def i2_q(self) -> float:
        """Higgins and Thompson's ``max(0, (Q - df)/Q)`` in percent, as older papers print it."""
        return 100.0 * max(0.0, 1.0 - self.q_df / self.q) if self.q > 0.0 else 0.0

    @property
    def h2(self) -> float:
        """Total over sampling variance, ``1 + tau2/vt`` (``Q/df`` in the common-effect model)."""
        if self.tau2_method == "none":
            return self.q / self.q_df if self.q_df else 1.0
        return self._h2_of(self.tau2)

    @property
    def tau2_se(self) -> float:
        """Standard error of the estimate of tau2, metafor's ``se.tau2``."""
        self._needs_estimated_tau2("a standard error of tau2")
        yi, vi = self.effects.yi, self.effects.vi
        if self.tau2_method == "DL2":
            raise ModelError("no standard error is known for the two-step estimator DL2")
        return intervals.tau2_standard_error(yi, vi, method=self.tau2_method, tau2=self.tau2)

    @property
    def weights(self) -> FloatArray:
        """Share of each study in the estimate, (k,), summing to 1."""
        total = self.effects.vi + self.weighted_by
        w: FloatArray = total.min() / total
        w /= w.sum()
        w.setflags(write=False)
        return w

    # intervals ----------------------------------------------------------------------------------------------

    def ci(self, level: float = 0.95) -> Interval:
        """Return the confidence interval of the pooled effect by `ci_method`."""
        check_level(level)
        yi, vi = self.effects.yi, self.effects.vi
        if self.ci_method == "PL":
            return intervals.profile_mean(
                yi, vi, level=level, estimate=self.estimate, se=self.se, loglik=self.loglik
            )
        if self.ci_method == "Henmi-Copas":
            half = intervals.henmi_copas(yi, vi, level=level) * self.se
        else:
            half = intervals.critical(level, self.df) * self.se
        return Interval(self.estimate - half, self.estimate + half)

    def pi(
        self,
        level: float = 0.95,
        method: PredictionRule = "V",
        *,
        draws: int = 25_000,
        seed: int | np.random.Generator = 0,
    ) -> Interval:
        """Return the prediction interval: where the effect of a new study will lie.

        Parameters
        ----------
        level : float
        method : {"V", "HTS", "normal", "HK", "HK-PR", "bootstrap"}
            - "V": t(k - 1), classic standard error (Veroniki et al. 2019; default of the R package meta).
            - "HTS": t(k - 2), classic standard error (Higgins, Thompson, Spiegelhalter 2009).
            - "normal": normal quantiles, classic standard error (metafor's default).
            - "HK": t(k - 1), HKSJ's standard error (metafor with ``test="knha"``); where the fit itself
              used the floor, with it.
            - "HK-PR": t(k - 2), HKSJ's standard error (Partlett and Riley 2017).
            - "bootstrap": Nagashima, Noma and Furukawa 2019; tau2 is DL's whatever the model estimates.
        draws, seed
            Of the bootstrap only.

        Raises
        ------
        ModelError
            Fewer than 3 studies (2 for "normal" and "HK"), or a model without random effects.

        Examples
        --------
        BCG vaccine, log relative risk, REML: the normal rule gives risk ratios of 0.15 to 1.55
        (Viechtbauer 2010, J Stat Softw 36(3), p. 21).

        >>> from mtmeta.models.pool import RandomEffects
        >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
        ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
        >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
        ...      0.073025, 0.012412, 0.532506, 0.071405]
        >>> bcg = RandomEffects().fit(EffectSizes.of(y, v, "RR"))
        >>> [round(math.exp(x), 2) for x in bcg.pi(0.95, method="normal")]
        [0.15, 1.55]
        """
        check_level(level)
        check_choice("method", method, PI_RULES)
        if method == "bootstrap":
            values = self._new_study_draws(draws, seed)
            tails = (0.5 * (1.0 - level), 0.5 * (1.0 + level))
            low, high = (float(x) for x in np.quantile(values, tails))
            return Interval(low, high)
        scale, df = self._new_study(method)
        half = intervals.critical(level, df) * scale
        return Interval(self.estimate - half, self.estimate + half)

    def probability_beyond(
        self,
        threshold: float,
        *,
        side: Literal["above", "below"] = "above",
        method: PredictionRule = "V",
        draws: int = 25_000,
        seed: int | np.random.Generator = 0,
    ) -> float:
        """Return the probability that a new study's effect lies beyond `threshold`.

        It belongs to the same predictive distribution as ``pi(method=...)``: the interval of level L ends
        where this probability is (1 - L)/2.

        Parameters
        ----------
        threshold : float
            On the scale of analysis, such as a smallest important difference.
        side : {"above", "below"}
        method, draws, seed
            As in :meth:`pi`.
        """
        check_choice("method", method, PI_RULES)
        check_choice("side", side, ("above", "below"))
        if method == "bootstrap":
            values = self._new_study_draws(draws, seed)
            share = values > threshold if side == "above" else values < threshold
            return float(share.mean())
        scale, df = self._new_study(method)
        sign = -1.0 if side == "above" else 1.0
        return predict.predictive_cdf(sign * threshold, centre=sign * self.estimate, scale=scale, df=df)

    def probability_beyond_ci(
        self,
        threshold: float,
        level: float = 0.95,
        *,
        side: Literal["above", "below"] = "above",
        draws: int = 25_000,
        seed: int | np.random.Generator = 0,
    ) -> Interval:
        """Return a confidence interval for the share of true effects beyond `threshold`.

        The share is ``1 - Phi((threshold - mu)/tau)``. Mean and tau2 are drawn from the confidence
        distribution on which the bootstrap prediction interval rests, and the quantiles of the shares are
        taken. The reference is simulation: see ``tests/models/test_pool_intervals.py``.

        Parameters
        ----------
        threshold, side, draws, seed
            As in :meth:`probability_beyond`.
        level : float
        """
        check_level(level)
        check_choice("side", side, ("above", "below"))
        self._needs_draws(draws)
        yi, vi = self.effects.yi, self.effects.vi
        mean, tau2 = predict.confidence_draws(yi, vi, draws=draws, rng=np.random.default_rng(seed))
        gap = mean - threshold if side == "above" else threshold - mean
        tau = np.sqrt(np.maximum(tau2, np.finfo(np.float64).tiny))
        shares = np.quantile(special.ndtr(gap / tau), (0.5 * (1.0 - level), 0.5 * (1.0 + level)))
        return Interval(float(shares[0]), float(shares[1]))

    def blup(self, level: float = 0.95) -> pd.DataFrame:
        """Return the empirical Bayes estimate of every study's own effect.

        Each effect is drawn towards the mean by the share ``v/(tau2 + v)`` (metafor's ``blup``; Raudenbush
        and Bryk 1985, J Educ Stat 10:75). The limits use quantiles and standard error of :meth:`ci`.

        Returns
        -------
        DataFrame
            One row a study: study, estimate, se, low, high.

        Raises
        ------
        ModelError
            A model without random effects.
        """
        import pandas as pd

        check_level(level)
        self._needs_random_effects()
        keep = self.tau2 / (self.tau2 + self.effects.vi)
        estimate = keep * self.effects.yi + (1.0 - keep) * self.estimate
        se = np.sqrt(keep * self.effects.vi + np.square((1.0 - keep) * self.se))
        half = intervals.critical(level, self.df) * se
        columns = {"estimate": estimate, "se": se, "low": estimate - half, "high": estimate + half}
        return pd.DataFrame({"study": list(self.effects.study), **columns})

    def tau2_ci(self, level: float = 0.95, method: Tau2Interval = "QP") -> Interval:
        """Return the confidence interval of tau2.

        Parameters
        ----------
        level : float
        method : {"QP", "PL", "BJ", "J", "BT", "SJ", "Wald"}
            Q-profile; profile likelihood (ML and REML fits); Biggerstaff and Jackson's exact distribution of
            Q, and Jackson's with weights 1/sqrt(v); Biggerstaff and Tweedie's gamma approximation; Sidik and
            Jonkman; Wald (ML and REML fits).

        Raises
        ------
        ModelError
            One study, or a model in which tau2 is not estimated.
        UsageError
            "PL" or "Wald" for an estimator that is not a maximum of a likelihood.
        """
        check_level(level)
        check_choice("method", method, _TAU2_CI)
        self._needs_estimated_tau2("an interval of tau2")
        yi, vi = self.effects.yi, self.effects.vi
        if method in ("PL", "Wald") and self.tau2_method not in ("ML", "REML"):
            raise UsageError(
                f"method={method!r} needs tau2='ML' or 'REML', not {self.tau2_method!r}; 'QP' suits all"
            )
        if method == "QP":
            return intervals.q_profile_interval(yi, vi, level=level)
        if method == "PL":
            restricted = self.tau2_method == "REML"
            return intervals.profile_tau2(yi, vi, level=level, restricted=restricted, tau2=self.tau2)
        if method == "BT":
            return intervals.biggerstaff_tweedie(yi, vi, level=level)
        if method == "SJ":
            return intervals.sidik_jonkman(yi, vi, level=level)
        if method == "Wald":
            half = intervals.critical(level) * self.tau2_se
            return Interval(max(0.0, self.tau2 - half), self.tau2 + half)
        weights = 1.0 / vi if method == "BJ" else 1.0 / np.sqrt(vi)
        return intervals.generalised_q(yi, vi, level=level, weights=weights)

    def i2_ci(self, level: float = 0.95, method: Tau2Interval = "QP") -> Interval:
        """Return the interval of I2 in percent that follows from :meth:`tau2_ci`."""
        low, high = self.tau2_ci(level, method)
        return Interval(self._i2_of(low), self._i2_of(high))

    def h2_ci(self, level: float = 0.95, method: Tau2Interval = "QP") -> Interval:
        """Return the interval of H2 that follows from :meth:`tau2_ci`."""
        low, high = self.tau2_ci(level, method)
        return Interval(self._h2_of(low), self._h2_of(high))

    # words --------------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table of one row; prediction limits are NaN where none is defined."""
        import pandas as pd

        low, high = self.ci()
        try:
            pi_low, pi_high = self.pi()
        except ModelError:
            pi_low = pi_high = math.nan
        tested = self.ci_method != "Henmi-Copas"
        return pd.DataFrame(
            {
                "measure": self.effects.measure.code,
                "model": type(self.model).__name__,
                "k": self.k,
                "estimate": self.estimate,
                "se": self.se,
                "df": self.df,
                "statistic": self.statistic if tested else math.nan,
                "pvalue": self.pvalue if tested else math.nan,
                "ci_low": low,
                "ci_high": high,
                "ci_method": self.ci_method,
                "pi_low": pi_low,
                "pi_high": pi_high,
                "tau2": self.tau2,
                "tau2_method": self.tau2_method,
                "i2": self.i2,
                "h2": self.h2,
                "q": self.q,
                "q_df": self.q_df,
                "q_pvalue": self.q_pvalue,
            },
            index=[0],
        )

    @property
    def methods(self) -> str:
        """Sentences for a methods section: model, estimator, interval and fallback, with their sources."""
        name = type(self.model).__name__
        text = methods_text(name, self.tau2_method, self.tau2, self.ci_method, self.note)
        return text + halves_text(self.effects.half_added, self.k)

    def __repr__(self) -> str:
        low, high = self.ci()
        used = self.ci_method if self.tau2_method == "none" else f"{self.tau2_method}, {self.ci_method}"
        spread = (
            f"Q = {self.q:.1f} (df {self.q_df}, {p_text(self.q_pvalue)})"
            if self.tau2_method == "none"
            else f"tau2 = {self.tau2:.3f}, I2 = {self.i2:.1f}%"
        )
        scale = "log " if self.effects.measure.is_ratio else ""
        return (
            f"{type(self.model).__name__} ({used}): {scale}{self.effects.measure} {self.estimate:.3f} "
            f"[{low:.3f}, {high:.3f}], k = {self.k}, {spread}"
        )

    def _repr_html_(self) -> str:
        low, high = self.ci()
        rows = [
            ("Measure", self.effects.measure.label),
            ("Studies", str(self.k)),
            ("Estimate", f"{self.estimate:.4f}"),
            (f"95% CI ({self.ci_method})", f"{low:.4f} to {high:.4f}"),
            ("tau²", f"{self.tau2:.4f} ({self.tau2_method})"),
            ("I²", f"{self.i2:.1f}%"),
            ("Q", f"{self.q:.2f} (df {self.q_df}, {p_text(self.q_pvalue)})"),
        ]
        if self.predicts and self.k >= 3:
            low, high = self.pi()
            rows.insert(4, ("95% prediction interval (V)", f"{low:.4f} to {high:.4f}"))
        if self.note:
            rows.append(("Note", self.note))
        body = "".join(f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in rows)
        return f"<table><caption>{type(self.model).__name__}</caption>{body}</table>"

    # inside -------------------------------------------------------------------------------------------------

    def _i2_of(self, tau2: float) -> float:
        return 100.0 * tau2 / (tau2 + self.vt) if tau2 > 0.0 else 0.0

    def _h2_of(self, tau2: float) -> float:
        return 1.0 + tau2 / self.vt if self.vt > 0.0 else 1.0

    def _needs_estimated_tau2(self, what: str) -> None:
        if self.tau2_method in ("none", "given"):
            raise ModelError(f"{what} needs a model that estimates tau2; here it is {self.tau2_method}")
        at_least(self.k, 2, what)

    def _new_study(self, rule: str) -> tuple[float, float]:
        """Return scale and degrees of freedom of the predictive distribution."""
        self._needs_random_effects()
        df = predict.rule_needs(rule, self.k)
        se = self.se_classic
        if rule in ("HK", "HK-PR"):
            factor = float(fit(self.effects.yi, self.effects.vi, tau2=self.tau2).scale[0])
            se *= math.sqrt(max(1.0, factor) if self.ci_method.endswith(("-floor", "-floor)")) else factor)
        return math.sqrt(self.tau2 + se * se), df

    def _new_study_draws(self, draws: int, seed: int | np.random.Generator) -> FloatArray:
        self._needs_draws(draws)
        return predict.bootstrap_draws(self.effects.yi, self.effects.vi, draws=draws, seed=seed)

    def _needs_draws(self, draws: int) -> None:
        self._needs_random_effects()
        predict.rule_needs("bootstrap", self.k)
        if not isinstance(draws, int) or isinstance(draws, bool) or draws < 1:
            raise UsageError(f"draws={draws!r} must be a whole number above 0, such as 25_000")

    def _needs_random_effects(self) -> None:
        if not self.predicts:
            raise ModelError(
                f"{type(self.model).__name__} says nothing of a new study; fit RandomEffects for a prediction"
            )
