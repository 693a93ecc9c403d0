"""Unrestricted weighted least squares, its well-powered part, and the worst case of publication bias."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError
from mtmeta.measures import Interval, check_choice, check_level
from mtmeta.models import kernel
from mtmeta.models.intervals import critical, two_sided
from mtmeta.models.pool import RandomEffects
from mtmeta.models.result import PoolModel, PoolResult, at_least

__all__ = ["LeastSquares", "WorstCase", "unrestricted_wls", "waap", "worst_case"]

_POWERED = 2.8  # 1.96 + 0.84: effect over standard error at 80% power, two-sided 5%


@dataclass(frozen=True, slots=True)
class LeastSquares:
    """The common-effect mean with a standard error scaled by the dispersion. Frozen.

    Attributes
    ----------
    estimate, se, df : float
    dispersion : float
        ``Q/(k - 1)``, by which the variance is multiplied.
    k : int
        Studies used.
    powered : int
        How many studies have 80% power for the estimate of all of them.
    used : {"all", "powered"}
    """

    estimate: float
    se: float
    df: float
    dispersion: float
    k: int
    powered: int
    used: str

    def ci(self, level: float = 0.95) -> Interval:
        """Interval, t(k - 1)."""
        half = critical(check_level(level), self.df) * self.se
        return Interval(self.estimate - half, self.estimate + half)

    @property
    def pvalue(self) -> float:
        """Two-sided, of 0."""
        return two_sided(self.estimate / self.se if self.se > 0.0 else math.inf, self.df)

    def __repr__(self) -> str:
        low, high = self.ci()
        return f"LeastSquares({self.estimate:.3f} [{low:.3f}, {high:.3f}], {self.used} studies, k = {self.k})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def unrestricted_wls(es: EffectSizes) -> LeastSquares:
    r"""Pool by weighted least squares with an unrestricted (multiplicative) dispersion.

    Parameters
    ----------
    es : EffectSizes
        At least two.

    Returns
    -------
    LeastSquares

    Notes
    -----
    Regression of :math:`y_i` on a constant with weights :math:`1/v_i`: the common-effect estimate, whose
    variance is multiplied by :math:`Q/(k-1)`, be that above or below 1; t(k - 1).

    References
    ----------
    Stanley, T. D. and Doucouliagos, H. (2015). Stat Med 34:2116-2127.

    Examples
    --------
    Teacher expectancy: the common-effect estimate 0.0604 with the standard error 0.0515 (Raudenbush 2009, p.
    303: Knapp and Hartung's for equal effects).

    >>> y = [.03, .12, -.14, 1.18, .26, -.06, -.02, -.32, .27, .80, .54, .18, -.02, .23, -.18, -.06, .30, .07,
    ...      -.07]
    >>> v = [.0156, .0216, .0279, .1391, .1362, .0106, .0106, .0484, .0269, .0630, .0912, .0497, .0835, .0841,
    ...      .0253, .0279, .0193, .0088, .0303]
    >>> found = unrestricted_wls(EffectSizes.of(y, v, "SMD"))
    >>> print(f"{found.estimate:.4f} {found.se:.4f}")
    0.0604 0.0515
    """
    at_least(es.k, 2, "weighted least squares")
    fit = kernel.fit(es.yi, es.vi, tau2=0.0)
    estimate, scale = float(fit.estimate[0]), float(fit.scale[0])
    powered = int((es.sei <= abs(estimate - es.measure.null) / _POWERED).sum())
    se = math.sqrt(float(fit.cov[0, 0, 0]) * scale)
    return LeastSquares(estimate, se, es.k - 1.0, scale, es.k, powered, "all")


def waap(es: EffectSizes) -> LeastSquares:
    """Pool the adequately powered studies by unrestricted weighted least squares, else all (WAAP-WLS).

    A study is adequately powered when its standard error is at most the estimate of all studies over 2.8
    (80% power, two-sided 5%). With fewer than two of them all studies are used; `used` says which.

    Parameters
    ----------
    es : EffectSizes
        At least two.

    Returns
    -------
    LeastSquares

    References
    ----------
    Stanley, T. D., Doucouliagos, H. and Ioannidis, J. P. A. (2017). Stat Med 36:1580-1598.

    Examples
    --------
    Two large studies and two small ones:

    >>> found = waap(EffectSizes.of([0.3, 0.25, 0.9, 0.8], [0.001, 0.002, 0.1, 0.12], "MD"))
    >>> found.used, found.k
    ('powered', 2)
    """
    every = unrestricted_wls(es)
    if every.powered < 2:
        return every
    enough = es.sei <= abs(every.estimate - es.measure.null) / _POWERED
    part = unrestricted_wls(es.subset(np.flatnonzero(enough)))
    return LeastSquares(part.estimate, part.se, part.df, part.dispersion, part.k, every.powered, "powered")


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The pooled effect of the studies that publication bias would hide. Frozen.

    Attributes
    ----------
    result : PoolResult
        Of the nonaffirmative studies alone.
    affirmative, nonaffirmative : int
        Studies that are significant in the favoured direction, and the others.
    """

    result: PoolResult
    affirmative: int
    nonaffirmative: int

    @property
    def estimate(self) -> float:
        """The pooled effect of the nonaffirmative studies."""
        return self.result.estimate

    def ci(self, level: float = 0.95) -> Interval:
        """Its interval."""
        return self.result.ci(level)

    def __repr__(self) -> str:
        low, high = self.ci()
        return (
            f"WorstCase({self.estimate:.3f} [{low:.3f}, {high:.3f}], {self.nonaffirmative} nonaffirmative "
            f"of {self.affirmative + self.nonaffirmative} studies)"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def worst_case(
    es: EffectSizes,
    *,
    alternative: Literal["greater", "less"],
    model: PoolModel | None = None,
    alpha: float = 0.05,
) -> WorstCase:
    """Pool the nonaffirmative studies alone: the estimate if bias hid all but the significant ones.

    Parameters
    ----------
    es : EffectSizes
    alternative : {"greater", "less"}
        Direction of results that are thought to be favoured.
    model : PoolModel, optional
        ``RandomEffects()`` by default.
    alpha : float, default 0.05
        Two-sided level of significance.

    Returns
    -------
    WorstCase

    Raises
    ------
    ModelError
        No nonaffirmative study.

    Notes
    -----
    A study is affirmative when it is significant (two-sided) and in the favoured direction. As affirmative
    studies become ever more likely to be published than others, the corrected estimate tends to that of the
    nonaffirmative ones (Mathur and VanderWeele 2020). It is a bound under that kind of selection, no estimate
    of the truth.

    References
    ----------
    Mathur, M. B. and VanderWeele, T. J. (2020). Sensitivity analysis for publication bias in meta-analyses.
    J R Stat Soc C 69:1091-1119.

    Examples
    --------
    >>> es = EffectSizes.of([0.5, 0.6, 0.1, -0.1], [0.01, 0.02, 0.02, 0.03], "SMD")
    >>> found = worst_case(es, alternative="greater")
    >>> found.affirmative, round(found.estimate, 4)
    (2, 0.02)
    """
    check_choice("alternative", alternative, ("greater", "less"))
    sign = 1.0 if alternative == "greater" else -1.0
    z = sign * (es.yi - es.measure.null) / es.sei
    affirmative = z >= float(special.ndtri(1.0 - alpha / 2.0))
    if affirmative.all():
        raise ModelError("all studies are affirmative: there is none of which the worst case could be made")
    chosen: PoolModel = RandomEffects() if model is None else model
    result = chosen.fit(es.subset(np.flatnonzero(~affirmative)))
    return WorstCase(result, int(affirmative.sum()), int((~affirmative).sum()))
