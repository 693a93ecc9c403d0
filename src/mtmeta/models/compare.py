"""Comparison of meta-regressions: likelihood ratios and information criteria."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from mtmeta.errors import ModelError, UsageError
from mtmeta.models.linear import JointTest, quantile
from mtmeta.models.regression import MetaRegressionResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["average_models", "compare_models", "likelihood_ratio"]


def likelihood_ratio(full: MetaRegressionResult, reduced: MetaRegressionResult) -> JointTest:
    """Likelihood-ratio test of two nested meta-regressions, both fitted with ``tau2="ML"``.

    Parameters
    ----------
    full, reduced : MetaRegressionResult
        Of the same effects; the columns of `reduced` lie in the space of those of `full`.

    Returns
    -------
    JointTest
        χ² with the difference in coefficients as degrees of freedom.

    Raises
    ------
    ModelError
        Not fitted by ML, of different effects, or not nested.

    Examples
    --------
    BCG vaccine: "LRT 9.9588, p .0016" for latitude (Viechtbauer 2010, J Stat Softw 36(3), p. 34).

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.regression import MetaRegression
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
    ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> ablat = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]
    >>> es = EffectSizes.of(y, v, "RR", moderators={"ablat": ablat})
    >>> fits = [MetaRegression(formula, tau2="ML").fit(es) for formula in ("ablat", "1")]
    >>> test = likelihood_ratio(*fits)
    >>> print(f"{test.statistic:.4f} {test.pvalue:.4f}")
    9.9588 0.0016
    """
    _require_comparable(full, reduced)
    wide, narrow = full.design.matrix, reduced.design.matrix
    rest = narrow - wide @ np.linalg.lstsq(wide, narrow, rcond=None)[0]
    if full.p <= reduced.p or np.abs(rest).max() > 1e-8 * max(1.0, np.abs(narrow).max()):
        hint = "; give the larger model first" if full.p < reduced.p else ""
        raise ModelError(
            f"{reduced.model.formula!r} is not a smaller model within {full.model.formula!r}{hint}"
        )
    statistic = max(2 * (full.loglik - reduced.loglik), 0.0)
    df = full.p - reduced.p
    return JointTest(statistic, df, np.inf, float(special.chdtrc(df, statistic)), "chi2")


def compare_models(fits: Sequence[MetaRegressionResult]) -> pd.DataFrame:
    """Rank meta-regressions of the same effects, fitted by ML, by their corrected AIC.

    Parameters
    ----------
    fits : sequence of MetaRegressionResult

    Returns
    -------
    DataFrame
        By formula, best first: p, tau2, loglik, aic, aicc, bic, delta (AICc above the best), weight
        (Akaike weights ``exp(−delta/2)`` over their sum; Burnham and Anderson 2002).

    Examples
    --------
    BCG vaccine: latitude is ahead by 6.492 (metafor, difference of ``fitstats()``, AICc by ML).

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.regression import MetaRegression
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
    ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> latitude = {"latitude": [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]}
    >>> es = EffectSizes.of(y, v, "RR", moderators=latitude)
    >>> fits = [MetaRegression(f, tau2="ML", ci="Wald").fit(es) for f in ("1", "latitude")]
    >>> print(compare_models(fits)["delta"].round(3).to_string())
    formula
    latitude    0.000
    1           6.492
    """
    import pandas as pd

    if not fits:
        raise UsageError("give at least one fitted meta-regression")
    for other in fits:
        _require_comparable(fits[0], other)
    columns = ("p", "tau2", "loglik", "aic", "aicc", "bic")
    frame = pd.DataFrame(
        {name: [getattr(one, name) for one in fits] for name in columns},
        index=pd.Index([one.model.formula for one in fits], name="formula"),
    )
    frame["delta"] = frame["aicc"] - frame["aicc"].min()
    relative = np.exp(-0.5 * frame["delta"])
    frame["weight"] = relative / relative.sum()
    return frame.sort_values("aicc", kind="stable")


def average_models(fits: Sequence[MetaRegressionResult], level: float = 0.95) -> pd.DataFrame:
    r"""Average coefficients over meta-regressions by their Akaike weights.

    A term that a model leaves out counts there as 0 with variance 0, so that weak moderators are drawn
    towards 0 and none is kept or dropped for good.

    Parameters
    ----------
    fits : sequence of MetaRegressionResult
        Of the same effects, by ML; usually all subsets of some moderators.
    level : float

    Returns
    -------
    DataFrame
        By term: estimate, se, ci_low, ci_high (normal), importance (sum of the weights of the models that
        have the term), models (how many do).

    Notes
    -----
    :math:`\bar b = \sum_m w_m b_m`, unconditional standard error
    :math:`\sqrt{\sum_m w_m (s_m^2 + (b_m - \bar b)^2)}`, with the weights of :func:`compare_models` (Burnham
    and Anderson 2002, Model Selection and Multimodel Inference, 2nd ed., section 4.3).

    Examples
    --------
    BCG vaccine: latitude carries nearly all the weight.

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.regression import MetaRegression
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
    ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> latitude = {"latitude": [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]}
    >>> es = EffectSizes.of(y, v, "RR", moderators=latitude)
    >>> fits = [MetaRegression(f, tau2="ML", ci="Wald").fit(es) for f in ("1", "latitude")]
    >>> average_models(fits).loc["latitude", ["estimate", "importance"]].round(4).tolist()
    [-0.0284, 0.9625]
    """
    import pandas as pd

    weights = compare_models(fits)["weight"]
    by_formula = {one.model.formula: one for one in fits}
    if len(by_formula) < len(fits):
        raise UsageError("a formula occurs twice among the models; give each model once")
    half = quantile(level, np.full(1, np.inf))[0]
    rows: dict[str, list[float]] = {}
    for name in dict.fromkeys(name for one in fits for name in one.design.names):
        w, b, s2, has = [], [], [], []
        for formula, one in by_formula.items():
            inside = name in one.design.names
            at = one.design.names.index(name) if inside else 0
            w.append(float(weights[formula]))
            b.append(float(one.coefficients.beta[at]) if inside else 0.0)
            s2.append(float(one.coefficients.se[at]) ** 2 if inside else 0.0)
            has.append(inside)
        share, coefficient = np.array(w), np.array(b)
        mean = float(share @ coefficient)
        se = float(np.sqrt(share @ (np.array(s2) + (coefficient - mean) ** 2)))
        importance = float(share[has].sum())
        rows[name] = [mean, se, mean - half * se, mean + half * se, importance, sum(has)]
    columns = ["estimate", "se", "ci_low", "ci_high", "importance", "models"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("term")
    return frame.astype({"models": int})


def _require_comparable(one: MetaRegressionResult, other: MetaRegressionResult) -> None:
    for part in (one, other):
        if part.tau2_method != "ML":
            raise ModelError(
                f"models with different moderators compare only when fitted with tau2='ML', not "
                f"{part.model.tau2!r}: restricted likelihoods of different designs do not compare"
            )
    same = one.k == other.k and all(
        np.array_equal(getattr(one.effects, n), getattr(other.effects, n)) for n in ("yi", "vi")
    )
    if not same:
        raise ModelError("the models were not fitted to the same effects")
