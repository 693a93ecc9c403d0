"""Pooling effect sizes: the models, and the one result that figures and reports read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.measures import check_choice
from mtmeta.models import intervals
from mtmeta.models.kenward_roger import kenward_roger
from mtmeta.models.kernel import KernelFit, fit
from mtmeta.models.result import PoolModel, PoolResult, at_least
from mtmeta.models.tau2 import Tau2Method, tau2_method

__all__ = ["CI_METHODS", "CommonEffect", "HenmiCopas", "IVhet", "PoolResult", "RandomEffects"]

MeanInterval = Literal["auto", "Wald", "HKSJ", "HKSJ-floor", "IQWiG", "KR", "PL"]
CI_METHODS: tuple[str, ...] = get_args(MeanInterval)


@dataclass(frozen=True)
class CommonEffect:
    """The common-effect (fixed-effect, equal-effects) model: all studies estimate one effect.

    Weights are inverse variances, the interval is Wald's, tau2 is 0.

    Examples
    --------
    Borenstein et al. (2009), chapter 14, data set 1: 0.4143 (0.0640), Q 12.0033.

    >>> from mtmeta.effects.continuous import standardized_mean_difference
    >>> y, v = standardized_mean_difference(
    ...     [94, 98, 98, 94, 98, 96], [22, 21, 28, 19, 21, 21], [60, 65, 40, 200, 50, 85],
    ...     [92, 92, 88, 82, 88, 92], [20, 22, 26, 17, 22, 22], [60, 65, 40, 200, 45, 85], variance="LS2")
    >>> CommonEffect().fit(EffectSizes.of(y, v, "SMD"))
    CommonEffect (Wald): SMD 0.414 [0.289, 0.540], k = 6, Q = 12.0 (df 5, p = 0.035)
    """

    def fit(self, es: EffectSizes) -> PoolResult:
        """Pool the effects; see :class:`PoolResult`."""
        one = fit(es.yi, es.vi, tau2=0.0)
        choice = _Choice("Wald", math.sqrt(float(one.cov[0, 0, 0])), math.inf)
        return _result(es, self, one, choice, method="none")


@dataclass(frozen=True)
class RandomEffects:
    """The normal-normal random-effects model.

    Parameters
    ----------
    tau2 : {"REML", "DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "EB", "PM", "PMM"} or float
        Estimator of the between-study variance (:func:`mtmeta.models.tau2.estimate`), or its given value.
        HO, CA and VC are taken for HE, MP for PM.
    ci : {"auto", "Wald", "HKSJ", "HKSJ-floor", "IQWiG", "KR", "PL"}
        Interval and test of the mean.

        - "Wald": normal quantiles (metafor ``test="z"``).
        - "HKSJ": Hartung, Knapp, Sidik, Jonkman: t(k - 1), variance times Q(tau2)/(k - 1) (``test="knha"``).
        - "HKSJ-floor": the same with that factor at least 1 (``test="adhoc"``).
        - "auto": HKSJ when k > 2 and tau2 > 0, else Wald; ``ci_method`` and ``note`` say what was done.
        - "IQWiG": HKSJ, but HKSJ-floor when the 95% interval of HKSJ is narrower than that of Wald with DL
          (IQWiG, General Methods 6.1, 2022; ``adhoc.hakn.ci = "IQWiG6"`` of the R package meta).
        - "KR": Kenward and Roger, for ``tau2="REML"``, as Partlett and Riley (2017) have it
          (:func:`mtmeta.models.kenward_roger.kenward_roger`; ``method.random.ci = "KR"`` of meta).
        - "PL": profile likelihood, for ``tau2="ML"`` (Hardy and Thompson 1996); the test is the likelihood
          ratio's.

        A named method is never replaced by another: HKSJ on one study raises.

    Raises
    ------
    UsageError
        Unknown choices, a negative tau2, "PL" without "ML", or "KR" without "REML".

    Examples
    --------
    BCG vaccine, log relative risk, REML: -0.7145 [-1.0669, -0.3622], tau2 0.3132, I2 92.22%
    (Viechtbauer 2010, J Stat Softw 36(3), p. 14).

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> bcg = RandomEffects(ci="Wald").fit(EffectSizes.of(y, v, "RR"))
    >>> round(bcg.estimate, 4), round(bcg.ci().low, 4), round(bcg.tau2, 4), round(bcg.i2, 2)
    (-0.7145, -1.0669, 0.3132, 92.22)
    >>> RandomEffects().fit(EffectSizes.of(y, v, "RR"))
    RandomEffects (REML, HKSJ): log RR -0.715 [-1.108, -0.321], k = 13, tau2 = 0.313, I2 = 92.2%
    """

    tau2: Tau2Method | float = "REML"
    ci: MeanInterval = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.tau2, str):
            object.__setattr__(self, "tau2", tau2_method(self.tau2))  # HO, CA and VC are HE, MP is PM
        elif isinstance(self.tau2, bool) or not 0.0 <= float(self.tau2) < math.inf:
            raise UsageError(f"tau2={self.tau2!r} must be an estimator or a number not below 0")
        check_choice("ci", self.ci, CI_METHODS)
        if self.ci == "PL" and self.tau2 != "ML":
            raise UsageError(f"ci='PL' is the profile of the likelihood: use tau2='ML', not {self.tau2!r}")
        if self.ci == "KR" and self.tau2 != "REML":
            raise UsageError(
                f"ci='KR' adjusts for estimating tau2 by REML: use tau2='REML', not {self.tau2!r}"
            )

    def fit(self, es: EffectSizes) -> PoolResult:
        """Pool the effects; see :class:`PoolResult`.

        Raises
        ------
        ModelError
            An interval that so few studies do not allow, or variances over 100 orders of magnitude.
        """
        if isinstance(self.tau2, str):
            one = fit(es.yi, es.vi, method=self.tau2)
        else:
            one = fit(es.yi, es.vi, tau2=self.tau2)
        method = self.tau2 if isinstance(self.tau2, str) else "given"
        return _result(es, self, one, _choose(self.ci, es, one), method=method)


@dataclass(frozen=True)
class HenmiCopas:
    """The common-effect estimate with an interval that allows for heterogeneity.

    The estimate is less moved by small studies than the random-effects one; its interval uses the DL
    estimate of tau2 (Henmi and Copas 2010, Stat Med 29:2969; metafor's ``hc``).

    Examples
    --------
    BCG vaccine: -0.4303 (0.2835) [-1.1555, 0.2949] by metafor.

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> HenmiCopas().fit(EffectSizes.of(y, v, "RR"))
    HenmiCopas (DL, Henmi-Copas): log RR -0.430 [-1.156, 0.295], k = 13, tau2 = 0.309, I2 = 92.1%
    """

    def fit(self, es: EffectSizes) -> PoolResult:
        """Pool the effects; see :class:`PoolResult`. One study raises ModelError."""
        at_least(es.k, 2, "Henmi and Copas's interval")
        tau2 = float(fit(es.yi, es.vi, method="DL").tau2[0])
        one = fit(es.yi, es.vi, tau2=0.0)
        choice = _Choice("Henmi-Copas", _common_se(es, tau2), math.inf)
        return _result(es, self, one, choice, method="DL", tau2=tau2)


@dataclass(frozen=True)
class IVhet:
    """The common-effect estimate with a quasi-likelihood variance that allows for heterogeneity.

    Variance ``sum w^2 (v + tau2) / (sum w)^2`` with w = 1/v (Doi et al. 2015, Contemp Clin Trials 45:130);
    metafor's ``rma(yi, vi, weights=1/vi)``.

    Parameters
    ----------
    tau2 : str
        Estimator of tau2; DL in the paper.

    Examples
    --------
    BCG vaccine: -0.4303, standard error 0.2835 (metafor, ``rma(yi, vi, weights=1/vi, method="DL")``).

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> fit = IVhet().fit(EffectSizes.of(y, v, measure="RR"))
    >>> print(f"{fit.estimate:.4f} {fit.se:.4f}")
    -0.4303 0.2835
    """

    tau2: Tau2Method = "DL"

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau2", tau2_method(self.tau2))

    def fit(self, es: EffectSizes) -> PoolResult:
        """Pool the effects; see :class:`PoolResult`. One study raises ModelError."""
        at_least(es.k, 2, "an estimate of tau2")
        tau2 = float(fit(es.yi, es.vi, method=self.tau2).tau2[0])
        one = fit(es.yi, es.vi, tau2=0.0)
        choice = _Choice("IVhet", _common_se(es, tau2), math.inf)
        return _result(es, self, one, choice, method=self.tau2, tau2=tau2)


@dataclass(frozen=True, slots=True)
class _Choice:
    method: str
    se: float
    df: float
    note: str = ""


def _common_se(es: EffectSizes, tau2: float) -> float:
    """Return the standard error of the common-effect estimate when there is heterogeneity after all."""
    w = es.vi.min() / es.vi
    return math.sqrt(float(np.dot(w * w, es.vi + tau2))) / float(w.sum())


def _choose(ci: str, es: EffectSizes, one: KernelFit) -> _Choice:
    """Turn the option `ci` into a standard error and degrees of freedom."""
    classic = math.sqrt(float(one.cov[0, 0, 0]))
    note = ""
    if ci == "auto":
        if es.k <= 2:
            note = f"Wald instead of HKSJ, because k = {es.k} leaves it no usable degrees of freedom"
        elif float(one.tau2[0]) == 0.0:
            note = "Wald instead of HKSJ, because tau2 is 0"
        ci = "Wald" if note else "HKSJ"
        note = note or "HKSJ, because k > 2 and tau2 > 0"
    if ci in ("Wald", "PL"):
        return _Choice(ci, classic, math.inf, note)
    at_least(es.k, 2, f"the interval {ci}")
    if ci == "KR":
        return _Choice(ci, *kenward_roger(es.vi, float(one.tau2[0])))
    df = es.k - 1.0
    factor = float(one.rss[0]) / df
    plain = classic * math.sqrt(factor)
    floored = classic * math.sqrt(max(1.0, factor))
    if ci == "HKSJ":
        return _Choice(ci, plain, df, note)
    if ci == "HKSJ-floor":
        return _Choice(ci, floored, df, note)
    rival = intervals.critical(0.95) * math.sqrt(float(fit(es.yi, es.vi, method="DL").cov[0, 0, 0]))
    if intervals.critical(0.95, df) * plain < rival:
        return _Choice("IQWiG (HKSJ-floor)", floored, df, "floor, because HKSJ is narrower than Wald with DL")
    return _Choice("IQWiG (HKSJ)", plain, df, "no floor, because HKSJ is not narrower than Wald with DL")


def _result(
    es: EffectSizes,
    model: PoolModel,
    one: KernelFit,
    choice: _Choice,
    *,
    method: str,
    tau2: float | None = None,
) -> PoolResult:
    """Collect a result; `tau2` is given where it did not enter the weights."""
    used = float(one.tau2[0])
    return PoolResult(
        effects=es,
        model=model,
        estimate=float(one.estimate[0]),
        se=choice.se,
        df=choice.df,
        tau2=used if tau2 is None else tau2,
        tau2_method=method,
        weighted_by=used,
        predicts=isinstance(model, RandomEffects),
        se_classic=math.sqrt(float(one.cov[0, 0, 0])),
        q=float(one.q[0]),
        vt=float(one.vt[0]),
        loglik=float(one.loglik[0]),
        loglik_reml=float(one.loglik_reml[0]),
        ci_method=choice.method,
        note=choice.note,
    )
