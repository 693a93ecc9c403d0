"""Too many significant results, and how many unpublished ones would undo the answer."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from mtmeta.diagnostics.refit import FloatArray
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice
from mtmeta.models.pool import CommonEffect
from mtmeta.models.result import PoolModel
from mtmeta.models.words import p_text

__all__ = ["ExcessTest", "excess_significance", "fail_safe_n"]

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True, slots=True)
class ExcessTest:
    """The test of excess significance. Frozen.

    Attributes
    ----------
    observed : int
        Significant studies.
    expected : float
        Sum of the studies' powers for the pooled effect.
    power : tuple of float
        Of each study.
    pvalue : float
        One-sided: of as many significant studies, or more.
    test : str
        "exact" or "chi2".
    """

    observed: int
    expected: float
    power: tuple[float, ...]
    pvalue: float
    test: str

    def __repr__(self) -> str:
        return (
            f"ExcessTest({self.observed} of {len(self.power)} significant, {self.expected:.2f} expected, "
            f"{p_text(self.pvalue)}, {self.test})"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def excess_significance(
    es: EffectSizes,
    *,
    model: PoolModel | None = None,
    alternative: Alternative = "two-sided",
    alpha: float = 0.05,
    test: Literal["exact", "chi2"] = "exact",
) -> ExcessTest:
    r"""Test whether more studies are significant than their power lets expect (Ioannidis and Trikalinos).

    Parameters
    ----------
    es : EffectSizes
    model : PoolModel, optional
        Gives the effect, and tau2, for which the power is computed; ``CommonEffect()`` by default.
    alternative : {"two-sided", "greater", "less"}
        Which studies count as significant.
    alpha : float, default 0.05
        Level of the studies' own tests.
    test : {"exact", "chi2"}
        The distribution of a sum of unequal chances, or the paper's chi-squared with one degree of freedom.

    Returns
    -------
    ExcessTest

    Raises
    ------
    UsageError
        An unknown choice; alpha outside (0, 1).

    Notes
    -----
    The power of study i is the chance of :math:`|y_i|/s_i` (or its signed form) to exceed the critical value
    when :math:`y_i\sim N(\hat\mu,s_i^2+\hat\tau^2)`. Heterogeneity and small studies make such an excess
    without any bias, and the power comes from the same studies: the test has little to say with few of them.

    References
    ----------
    Ioannidis, J. P. A. and Trikalinos, T. A. (2007). Clin Trials 4:245-253. metafor's ``tes``.

    Examples
    --------
    BCG vaccine: 8 of 13, 6.0927 expected, p = 0.1344; with the random-effects model 7.8088, p = 0.5841
    (metafor, ``tes``).

    >>> from mtmeta.effects.binary import risk_ratio
    >>> from mtmeta.models.pool import RandomEffects
    >>> y, v = risk_ratio(
    ...     [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27],
    ...     [123, 306, 231, 13598, 5069, 1541, 2545, 88391, 7499, 1716, 50634, 2498, 16913],
    ...     [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29],
    ...     [139, 303, 220, 12867, 5808, 1451, 629, 88391, 7277, 1665, 27338, 2341, 17854])
    >>> es = EffectSizes.of(y, v, "RR")
    >>> for one in (excess_significance(es), excess_significance(es, model=RandomEffects())):
    ...     print(f"{one.observed} {one.expected:.4f} {one.pvalue:.4f}")
    8 6.0927 0.1344
    8 7.8088 0.5841
    """
    check_choice("alternative", alternative, ("two-sided", "greater", "less"))
    check_choice("test", test, ("exact", "chi2"))
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha={alpha!r} must lie between 0 and 1")
    fit = (CommonEffect() if model is None else model).fit(es)
    null, se = es.measure.null, es.sei
    spread = np.sqrt(es.vi + fit.tau2)
    cut = float(special.ndtri(1.0 - (alpha / 2 if alternative == "two-sided" else alpha))) * se
    gap = fit.estimate - null
    upper, lower = special.ndtr((gap - cut) / spread), special.ndtr((-gap - cut) / spread)
    y = es.yi - null
    power = {"greater": upper, "less": lower}.get(alternative, upper + lower)
    reached = {"greater": y >= cut, "less": y <= -cut}.get(alternative, np.abs(y) >= cut)
    observed, expected = int(reached.sum()), float(power.sum())
    if test == "exact":
        pvalue = float(_sum_of_chances(power)[observed:].sum())
    else:
        x2 = (observed - expected) ** 2 * (1.0 / expected + 1.0 / (es.k - expected))
        pvalue = float(special.ndtr(-math.copysign(math.sqrt(x2), observed - expected)))
    return ExcessTest(observed, expected, tuple(power.tolist()), min(1.0, pvalue), test)


def fail_safe_n(
    es: EffectSizes,
    *,
    method: Literal["Rosenthal", "Rosenberg", "Orwin"] = "Rosenthal",
    alpha: float = 0.05,
    target: float | None = None,
) -> int:
    r"""Count the null studies that would undo the answer. Obsolete: shown because old reviews print it.

    Parameters
    ----------
    es : EffectSizes
    method : {"Rosenthal", "Rosenberg", "Orwin"}
        Stouffer's sum of z at the one-sided level; the common-effect mean at the two-sided level with null
        studies of average weight; the unweighted mean brought down to `target`.
    alpha : float, default 0.05
    target : float, optional
        For Orwin, on the scale of the effects: half the mean by default.

    Returns
    -------
    int
        At least 0.

    Raises
    ------
    UsageError
        An unknown method; a target that is null or beyond the mean.
    ModelError
        Orwin with a mean that is exactly null.

    Notes
    -----
    :math:`(\sum z_i)^2/z_\alpha^2-k`; :math:`((\sum w_iy_i)^2/z_{\alpha/2}^2-\sum w_i)/\bar w`;
    :math:`k(\bar y-t)/t`; each rounded up. It assumes that unpublished studies show nothing on average, looks
    at significance alone and knows no heterogeneity: the Cochrane Handbook advises against it (version 5.1,
    10.4.4.3). Use :func:`mtmeta.bias_panel`.

    References
    ----------
    Rosenthal, R. (1979). Psychol Bull 86:638-641. Rosenberg, M. S. (2005). Evolution 59:464-468. Orwin, R. G.
    (1983). J Educ Stat 8:157-159.

    Examples
    --------
    BCG vaccine: 598 (Rosenthal), 370 (Rosenberg) by metafor's ``fsn``.

    >>> from mtmeta.effects.binary import risk_ratio
    >>> y, v = risk_ratio(
    ...     [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27],
    ...     [123, 306, 231, 13598, 5069, 1541, 2545, 88391, 7499, 1716, 50634, 2498, 16913],
    ...     [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29],
    ...     [139, 303, 220, 12867, 5808, 1451, 629, 88391, 7277, 1665, 27338, 2341, 17854])
    >>> es = EffectSizes.of(y, v, "RR")
    >>> fail_safe_n(es), fail_safe_n(es, method="Rosenberg")
    (598, 370)
    """
    check_choice("method", method, ("Rosenthal", "Rosenberg", "Orwin"))
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha={alpha!r} must lie between 0 and 1")
    if target is not None and method != "Orwin":
        raise UsageError(f"target={target!r} belongs to method='Orwin', not to {method!r}")
    y = es.yi - es.measure.null
    if method == "Rosenthal":
        edge = float(special.ndtri(1.0 - alpha))
        count = (float((y / es.sei).sum()) / edge) ** 2 - es.k
    elif method == "Rosenberg":
        w, edge = 1.0 / es.vi, float(special.ndtri(1.0 - alpha / 2.0))
        count = ((float(w @ y) / edge) ** 2 - float(w.sum())) / float(w.mean())
    else:
        count = _orwin(y, target)
    return max(0, math.ceil(count - 1e-9 * max(1.0, abs(count))))


# inside -----------------------------------------------------------------------------------------------------


def _orwin(y: FloatArray, target: float | None) -> float:
    mean = float(y.mean())
    if mean == 0.0:
        raise ModelError("the mean effect is exactly null: there is nothing that further studies could undo")
    goal = mean / 2.0 if target is None else float(target)
    if goal * mean <= 0.0 or abs(goal) > abs(mean):
        raise UsageError(
            f"target={goal!r} must lie between null and the mean of {mean:.4g}, null not included"
        )
    return len(y) * (mean - goal) / goal


def _sum_of_chances(power: FloatArray) -> FloatArray:
    """Return the distribution of how many of independent events of these chances happen."""
    found = np.ones(1)
    for p in power:
        found = np.convolve(found, (1.0 - p, p))
    return found
