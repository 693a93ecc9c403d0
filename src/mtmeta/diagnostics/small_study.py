"""Tests of small-study effects: regression on precision, rank correlation, and their kin for event counts.

A small-study effect is not publication bias: poorer methods in small studies, other patients and chance look
the same in a funnel plot (Sterne et al. 2011).
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from mtmeta.diagnostics.refit import FloatArray
from mtmeta.effects.binary import peto_odds_ratio
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, check_choice, check_level
from mtmeta.models import kernel
from mtmeta.models.events import EventCounts
from mtmeta.models.intervals import critical, two_sided
from mtmeta.models.pool import RandomEffects
from mtmeta.models.words import p_text

__all__ = [
    "FEWEST",
    "Precision",
    "RankTest",
    "RegressionTest",
    "begg",
    "egger",
    "enough",
    "harbord",
    "peters",
    "regress",
]

Precision = Literal["auto", "SE", "vi", "n", "arms", "ninv", "ni", "sqrtni"]
_PRECISION: tuple[str, ...] = get_args(Precision)
FEWEST = 10
"""Below so many studies the tests are refused unless forced (Sterne et al. 2011, BMJ 343:d4002)."""

# measures whose variance contains the effect itself, so that SE and effect correlate without any bias
_SMD = ("SMD", "SMDH", "SMD1", "SMD1H", "SMCC", "SMCR", "SMCRH", "SMCRP")
_WORDS = {
    "SE": "standard error",
    "vi": "sampling variance",
    "n": "1/sqrt(n)",
    "arms": "sqrt(1/n1 + 1/n2)",
    "ninv": "1/n",
    "ni": "n",
    "sqrtni": "sqrt(n)",
}


@dataclass(frozen=True, slots=True)
class RegressionTest:
    """A test of funnel asymmetry by regression of the effects on (im)precision. Frozen.

    Attributes
    ----------
    name : str
        "Egger", "Pustejovsky", "Harbord" or "Peters".
    predictor : str
        What the effects were regressed on, in words.
    model : str
        "weighted least squares" or the random-effects model used.
    bias, bias_se : float
        Slope on the predictor and its standard error; in Egger's test with the standard error it is the
        intercept of his original, standardised regression.
    statistic, df : float
        ``bias / bias_se`` and its degrees of freedom (infinite: normal).
    pvalue : float
        Two-sided.
    limit, limit_se : float
        Effect predicted for an infinitely precise study; NaN where the predictor grows with precision
        ("ni", "sqrtni"), because no such study is at 0 there.
    tau2 : float
        Residual heterogeneity of the random-effects model; NaN in weighted least squares, which scales the
        variances instead.
    k : int
        Number of effects.
    """

    name: str
    predictor: str
    model: str
    bias: float
    bias_se: float
    statistic: float
    df: float
    pvalue: float
    limit: float
    limit_se: float
    tau2: float
    k: int

    def limit_ci(self, level: float = 0.95) -> Interval:
        """Interval of the effect of an infinitely precise study."""
        half = critical(check_level(level), self.df) * self.limit_se
        return Interval(self.limit - half, self.limit + half)

    def __repr__(self) -> str:
        sign = f"t({self.df:g})" if math.isfinite(self.df) else "z"
        return (
            f"{self.name} ({self.predictor}, {self.model}): {sign} = {self.statistic:.3f}, "
            f"{p_text(self.pvalue)}, k = {self.k}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


@dataclass(frozen=True, slots=True)
class RankTest:
    """A rank test of funnel asymmetry. Frozen.

    Attributes
    ----------
    tau : float
        Kendall's tau-b between standardised effects and variances.
    pvalue : float
        Two-sided.
    exact : bool
        Whether the p-value counts permutations (no ties) or uses a normal distribution (ties).
    k : int
        Number of effects.
    """

    tau: float
    pvalue: float
    exact: bool
    k: int

    def __repr__(self) -> str:
        how = "exact" if self.exact else "normal, ties"
        return f"Begg: Kendall's tau = {self.tau:.3f} ({how}), {p_text(self.pvalue)}, k = {self.k}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def egger(
    es: EffectSizes,
    *,
    precision: Precision = "auto",
    model: RandomEffects | None = None,
    force: bool = False,
) -> RegressionTest:
    r"""Regression test of funnel asymmetry (Egger; with n, Pustejovsky and Rodgers; with tau2, Thompson).

    Parameters
    ----------
    es : EffectSizes of k rows
    precision : {"auto", "SE", "vi", "n", "arms", "ninv", "ni", "sqrtni"}
        What the effects are regressed on: the standard error, the sampling variance, ``1/sqrt(n)`` ("n",
        metafor's "sqrtninv"), ``sqrt(1/n1 + 1/n2)`` ("arms", whose square replaces the variances as well:
        Pustejovsky and Rodgers 2019), ``1/n``, ``n`` (Macaskill et al. 2001) or ``sqrt(n)``. "auto" is "n"
        for standardised mean differences and "SE" for all other measures.
    model : RandomEffects, optional
        By default weighted least squares with weights 1/v and a multiplicative dispersion, t(k - 2), as
        published. A RandomEffects model instead adds tau2 (Thompson and Sharp 1999 with "DL", metafor's
        default with "REML" and Wald); its `ci` says which test.
    force : bool
        Test fewer than 10 studies all the same.

    Returns
    -------
    RegressionTest

    Raises
    ------
    UsageError
        No `n` where the predictor needs it: an SMD's standard error contains the SMD, so that Egger's test
        with it finds asymmetry where there is none; ``precision="SE"`` asks for it nevertheless.
    ModelError
        Fewer than 10 studies without `force`; fewer than 3 at all; equal precision everywhere.

    Notes
    -----
    :math:`y_i=\beta_0+\beta_1 x_i+e_i`, :math:`e_i\sim N(0,\phi v_i)`, equal to Egger's
    :math:`y_i/s_i=\beta_1+\beta_0/s_i` when x is the standard error. metafor's ``regtest(model="lm")`` and
    meta's ``metabias(method.bias="Egger")`` agree; metafor's default is the random-effects one.

    References
    ----------
    Egger, M. et al. (1997). BMJ 315:629-634. Thompson, S. G. and Sharp, S. J. (1999). Stat Med 18:2693-2708.
    Macaskill, P. et al. (2001). Stat Med 20:641-654. Sterne, J. A. C. et al. (2011). BMJ 343:d4002.
    Pustejovsky, J. E. and Rodgers, M. A. (2019). Res Synth Methods 10:57-71.

    Examples
    --------
    BCG vaccine: t = -1.4013, df = 11, p = 0.1887 (Viechtbauer 2010, J Stat Softw 36(3), p. 30).

    >>> from mtmeta.effects.binary import risk_ratio
    >>> y, v = risk_ratio(
    ...     [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27],
    ...     [123, 306, 231, 13598, 5069, 1541, 2545, 88391, 7499, 1716, 50634, 2498, 16913],
    ...     [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29],
    ...     [139, 303, 220, 12867, 5808, 1451, 629, 88391, 7277, 1665, 27338, 2341, 17854])
    >>> test = egger(EffectSizes.of(y, v, "RR"))
    >>> print(f"t = {test.statistic:.4f}, df = {test.df:g}, p = {test.pvalue:.4f}")
    t = -1.4013, df = 11, p = 0.1887
    """
    check_choice("precision", precision, _PRECISION)
    if model is not None and not isinstance(model, RandomEffects):
        raise UsageError(f"model={model!r} must be RandomEffects or None (weighted least squares)")
    enough(es.k, "a test of funnel asymmetry", force=force)
    chosen = precision
    if precision == "auto":
        chosen = "n" if es.measure.code in _SMD else "SE"
    x, vi = _predictor(es, chosen, asked=precision != "auto"), es.vi
    if chosen == "arms":
        vi = np.square(x)
    name = "Pustejovsky" if chosen == "arms" else "Egger"
    return regress(name, es.yi, vi, x, chosen=chosen, model=model)


def harbord(events: EventCounts, *, force: bool = False) -> RegressionTest:
    """Harbord's score test of funnel asymmetry for odds ratios.

    Parameters
    ----------
    events : EventCounts
        Studies without events, or with nothing but events, say nothing and are left out.
    force : bool
        Test fewer than 10 studies all the same.

    Returns
    -------
    RegressionTest
        Egger's regression of the one-step (Peto) log odds ratio Z/V on 1/sqrt(V) with weights V, Z the score
        and V its hypergeometric variance: Z, unlike the log odds ratio, does not correlate with its own
        variance.

    Raises
    ------
    ModelError
        Fewer than 10 studies without `force`.

    References
    ----------
    Harbord, R. M., Egger, M. and Sterne, J. A. C. (2006). Stat Med 25:3443-3457.

    Examples
    --------
    >>> events = EventCounts.of([4, 6, 3], [123, 306, 231], [11, 29, 11], [139, 303, 220])
    >>> harbord(events, force=True).k
    3
    """
    use = _informative(events)
    enough(int(use.sum()), "Harbord's test", force=force)
    yi, vi = peto_odds_ratio(events.a[use], events.n1[use], events.c[use], events.n2[use])
    return regress("Harbord", yi, vi, np.sqrt(vi), chosen="SE", model=None)


def peters(events: EventCounts, *, force: bool = False) -> RegressionTest:
    """Peters' test of funnel asymmetry for odds ratios.

    Parameters
    ----------
    events : EventCounts
        Studies without events, or with nothing but events, are left out; 1/2 is added to all four cells of a
        study with one zero.
    force : bool
        Test fewer than 10 studies all the same.

    Returns
    -------
    RegressionTest
        Weighted regression of the log odds ratio on 1/N, weights ``1/(1/E + 1/(N - E))`` with E events among
        N people of both groups.

    Raises
    ------
    ModelError
        Fewer than 10 studies without `force`.

    References
    ----------
    Peters, J. L. et al. (2006). JAMA 295:676-680.

    Examples
    --------
    >>> events = EventCounts.of([4, 6, 3], [123, 306, 231], [11, 29, 11], [139, 303, 220])
    >>> peters(events, force=True).df
    1.0
    """
    from mtmeta.effects.binary import odds_ratio

    use = _informative(events)
    enough(int(use.sum()), "Peters' test", force=force)
    a, n1, c, n2 = (x[use] for x in (events.a, events.n1, events.c, events.n2))
    yi = odds_ratio(a, n1, c, n2)[0]
    total, happened = n1 + n2, a + c
    return regress(
        "Peters", yi, 1.0 / happened + 1.0 / (total - happened), 1.0 / total, chosen="ninv", model=None
    )


def begg(es: EffectSizes, *, force: bool = False) -> RankTest:
    r"""Rank correlation of effects and variances (Begg and Mazumdar).

    Parameters
    ----------
    es : EffectSizes of k rows
    force : bool
        Test fewer than 10 studies all the same.

    Returns
    -------
    RankTest

    Raises
    ------
    ModelError
        Fewer than 10 studies without `force`; fewer than 3 at all.

    Notes
    -----
    Kendall's tau of :math:`(y_i-\hat\theta)/\sqrt{v_i-1/\sum w}` and :math:`v_i`, with the common-effect mean
    :math:`\hat\theta`. Without ties the p-value is exact, else normal without correction of continuity, as
    in metafor's ``ranktest``; meta's ``metabias`` uses the normal distribution throughout.

    References
    ----------
    Begg, C. B. and Mazumdar, M. (1994). Biometrics 50:1088-1101.

    Examples
    --------
    BCG vaccine: Kendall's tau 0.0256, p = 0.9524 (metafor documentation, ``ranktest``).

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> begg(EffectSizes.of(y, v, "RR"))
    Begg: Kendall's tau = 0.026 (exact), p = 0.952, k = 13
    """
    from scipy.stats import kendalltau

    enough(es.k, "a test of funnel asymmetry", force=force)
    common = kernel.fit(es.yi, es.vi, tau2=0.0)
    spread = np.sqrt(es.vi - float(common.cov[0, 0, 0]))
    standard = (es.yi - float(common.estimate[0])) / spread
    if np.ptp(standard) == 0.0 or np.ptp(es.vi) == 0.0:
        raise ModelError(
            "all effects, or all variances, are equal: there is no order to correlate; look at the funnel"
        )
    exact = len(np.unique(standard)) == es.k and len(np.unique(es.vi)) == es.k
    found = kendalltau(standard, es.vi, method="exact" if exact else "asymptotic")
    return RankTest(float(found.statistic), float(found.pvalue), exact, es.k)


# inside -----------------------------------------------------------------------------------------------------


def enough(k: int, what: str, *, force: bool) -> None:
    """Refuse fewer than 10 studies unless forced, and fewer than 3 always."""
    if k < 3:
        raise ModelError(f"{what} needs at least 3 studies and there {'is' if k == 1 else 'are'} {k}")
    if k < FEWEST and not force:
        raise ModelError(
            f"{what} has too little power with {k} studies to tell chance from asymmetry: at least {FEWEST} "
            "are wanted (Sterne et al. 2011, BMJ 343:d4002); force=True tests nevertheless"
        )


def _predictor(es: EffectSizes, chosen: str, *, asked: bool) -> FloatArray:
    if chosen == "SE":
        return es.sei
    if chosen == "vi":
        return es.vi
    if chosen == "arms":
        if es.n1 is None or es.n2 is None:
            raise UsageError("precision='arms' needs n1 and n2, and the effects have none; give them")
        return np.sqrt(1.0 / _known(es, es.n1) + 1.0 / _known(es, es.n2))
    if es.n is None:
        if asked:
            raise UsageError(f"precision={chosen!r} needs n, and the effects have none; give n, or n1 and n2")
        raise UsageError(
            f"{es.measure.code} needs n for this test, because its standard error contains the effect itself "
            "and correlates with it without any bias; give n (or n1 and n2), or ask for precision='SE'"
        )
    n = _known(es, es.n)
    return {"n": 1.0 / np.sqrt(n), "ninv": 1.0 / n, "ni": n, "sqrtni": np.sqrt(n)}[chosen]


def _known(es: EffectSizes, n: FloatArray) -> FloatArray:
    missing = [s for s, x in zip(es.study, n, strict=True) if np.isnan(x)]
    if missing:
        raise UsageError(f"the number of participants is missing for {', '.join(missing)}; give it")
    return n


def _informative(events: EventCounts) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if not isinstance(events, EventCounts):
        raise UsageError(
            "this test needs the events and people of both groups; give EventCounts.of(a, n1, c, n2)"
        )
    happened, total = events.a + events.c, events.n1 + events.n2
    return (happened > 0) & (happened < total)


def regress(
    name: str, yi: FloatArray, vi: FloatArray, x: FloatArray, *, chosen: str, model: RandomEffects | None
) -> RegressionTest:
    """Regress on ``1, x`` with known variances up to a factor, or with tau2 added."""
    if np.ptp(x) <= 1e-12 * np.max(np.abs(x)):
        raise ModelError(
            f"all studies are equally precise ({_WORDS[chosen]}), so that no slope can be estimated; "
            "small-study effects need studies of different size"
        )
    scale = float(np.max(np.abs(x)))
    design = np.column_stack([np.ones_like(x), x / scale])
    fit, dispersion, df = _fit(yi, vi, design, model)
    beta, cov = fit.beta[0], fit.cov[0]
    se = np.sqrt(np.diagonal(cov) * dispersion)
    bias, bias_se = float(beta[1]) / scale, float(se[1]) / scale
    grows = chosen in ("ni", "sqrtni")
    words = "weighted least squares"
    if model is not None:
        words = f"random effects, tau2 {model.tau2}"
    statistic = bias / bias_se if bias_se > 0.0 else math.copysign(math.inf, bias)
    return RegressionTest(
        name=name,
        predictor=_WORDS[chosen],
        model=words,
        bias=bias,
        bias_se=bias_se,
        statistic=statistic,
        df=df,
        pvalue=two_sided(statistic, df),
        limit=math.nan if grows else float(beta[0]),
        limit_se=math.nan if grows else float(se[0]),
        tau2=math.nan if model is None else float(fit.tau2[0]),
        k=len(yi),
    )


def _fit(
    yi: FloatArray, vi: FloatArray, design: FloatArray, model: RandomEffects | None
) -> tuple[kernel.KernelFit, float, float]:
    """Fit; the factor of the covariance; the degrees of freedom."""
    if model is None:
        fit = kernel.fit(yi, vi, design=design, tau2=0.0)
        return fit, float(fit.scale[0]), float(fit.df[0])
    if isinstance(model.tau2, str):
        fit = kernel.fit(yi, vi, design=design, method=model.tau2)
    else:
        fit = kernel.fit(yi, vi, design=design, tau2=float(model.tau2))
    ci = model.ci
    if ci == "auto":
        ci = "HKSJ" if float(fit.tau2[0]) > 0.0 else "Wald"
    if ci == "Wald":
        return fit, 1.0, math.inf
    if ci not in ("HKSJ", "HKSJ-floor"):
        raise UsageError(f"ci={ci!r} is not defined for a regression; use 'Wald', 'HKSJ' or 'HKSJ-floor'")
    factor = float(fit.scale[0])
    if ci == "HKSJ-floor":
        factor = max(1.0, factor)
    return fit, factor, float(fit.df[0])
