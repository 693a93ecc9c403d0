"""What a result must offer to be drawn, and how its measure is read."""
# ruff: noqa: D102 - members of the protocols are described where results define them

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from mtmeta.effects.table import EffectSizes
from mtmeta.figures.style import Style
from mtmeta.measures import Interval, Measure

__all__ = [
    "PooledLike",
    "SubgroupLike",
    "axis_name",
    "forward",
    "has_null",
    "is_bayesian",
    "is_random",
    "model_words",
    "predicts",
    "prior_words",
    "short_name",
    "shown",
    "two_arms",
]


@runtime_checkable
class PooledLike(Protocol):
    """One pooled result: what a forest plot reads from it."""

    @property
    def effects(self) -> EffectSizes: ...
    @property
    def model(self) -> Any: ...
    @property
    def k(self) -> int: ...
    @property
    def estimate(self) -> float: ...
    @property
    def se(self) -> float: ...
    @property
    def df(self) -> float: ...
    @property
    def statistic(self) -> float: ...
    @property
    def pvalue(self) -> float: ...
    @property
    def tau2(self) -> float: ...
    @property
    def i2(self) -> float: ...
    @property
    def q(self) -> float: ...
    @property
    def q_df(self) -> float: ...
    @property
    def q_pvalue(self) -> float: ...
    @property
    def weights(self) -> Any: ...
    @property
    def ci_method(self) -> str: ...
    def ci(self, level: float = 0.95) -> Interval: ...
    def pi(self, level: float = 0.95) -> Interval: ...


@runtime_checkable
class SubgroupLike(Protocol):
    """Results of subgroups with the one over all, and the test between them."""

    @property
    def groups(self) -> Mapping[str, PooledLike]: ...
    @property
    def overall(self) -> PooledLike: ...
    @property
    def q_between(self) -> float: ...
    @property
    def df_between(self) -> float: ...
    @property
    def p_between(self) -> float: ...


_FORWARD: dict[str, Callable[[float], float]] = {
    "identity": lambda x: x,
    "log": math.log,
    "logit": lambda p: math.log(p / (1.0 - p)),
    "fisher z": math.atanh,
    "arcsine root": lambda p: math.asin(math.sqrt(p)),
}

_SHORT = {
    "SMD": "SMD",
    "MD": "MD",
    "OR": "OR",
    "PETO": "Peto OR",
    "RR": "RR",
    "RD": "RD",
    "HR": "HR",
    "IRR": "IRR",
    "ROM": "RoM",
    "ZCOR": "r",
    "COR": "r",
    "PLO": "Proportion",
    "PR": "Proportion",
    "PLN": "Proportion",
    "PAS": "Proportion",
    "MC": "MC",
}
_NATURAL = {"ZCOR": "Correlation", "PLO": "Proportion", "PLN": "Proportion", "PAS": "Proportion"}
_ONE_GROUP = ("x n", "x t", "m sd n")
_TWO_ARM = ("m1 sd1 n1 m2 sd2 n2", "sd1 n1 sd2 n2", "a n1 c n2", "x1 t1 x2 t2")


def shown(measure: Measure) -> Callable[[float], float]:
    """Return the map from the scale of analysis to the scale that is printed.

    A Freeman-Tukey value goes back only with its sample size (Miller 1978), so a plot keeps its scale.
    """
    return measure.back if measure.scale in _FORWARD else (lambda x: x)


def forward(measure: Measure) -> Callable[[float], float]:
    """Return the map from the printed scale to the scale of analysis."""
    return _FORWARD.get(measure.scale, lambda x: x)


def has_null(measure: Measure) -> bool:
    """Whether "no difference" means anything: a single group's mean or proportion has no such value."""
    return measure.needs not in _ONE_GROUP


def two_arms(measure: Measure) -> bool:
    """Whether the sign says which of two arms had more."""
    return measure.needs in _TWO_ARM


def _spelled(text: str, style: Style) -> str:
    return text.replace("tandardised", "tandardized") if style.spelling == "American" else text


def short_name(measure: Measure) -> str:
    """Heading of an effect column."""
    return _SHORT.get(measure.code, "SMD" if measure.code.startswith("SMD") else "Effect")


def axis_name(measure: Measure, style: Style) -> str:
    """Label of an effect axis, on the scale that is printed."""
    name = _NATURAL.get(measure.code, measure.back_label)
    return _spelled(name[:1].upper() + name[1:], style)


def is_random(result: PooledLike) -> bool:
    """Whether the result's model has a between-study variance."""
    if hasattr(result, "sigma2_between") or hasattr(result, "new_study"):
        return True
    return getattr(result, "tau2_method", "none") != "none"


def is_bayesian(result: PooledLike) -> bool:
    """Whether the result is a posterior: credible intervals, no test."""
    return result.ci_method == "credible"


def predicts(result: PooledLike) -> bool:
    """Whether a prediction interval is defined: the model says where new studies lie, and k >= 3."""
    said = getattr(result, "predicts", None)
    return bool(is_random(result) if said is None else said) and result.effects.k >= 3


_MODELS = {
    "CommonEffect": "Common effect",
    "RandomEffects": "Random effects",
    "MantelHaenszel": "Mantel-Haenszel",
    "Peto": "Peto",
    "Multilevel": "Multilevel model",
    "BayesRandomEffects": "Bayes",
    "HenmiCopas": "Henmi-Copas",
    "IVhet": "IVhet",
}


def prior_words(prior: Any) -> str:
    """Return a prior of the heterogeneity in a few signs, such as ``τ ~ half-normal(0.5)``."""
    words = repr(prior).replace(', on="tau2"', "").replace("-", "−")
    for name, short in (("LogStudentT", "log-t"), ("HalfT(", "half-t(")):
        words = words.replace(name, short)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", words).lower()
    return f"{'τ²' if prior.on == 'tau2' else 'τ'} ~ {words}"


def model_words(result: PooledLike) -> str:
    """Name of a result's model with its estimator or prior, as a pooled row is labelled."""
    name = type(result.model).__name__
    words = _MODELS.get(name, name)
    prior = getattr(result, "tau_prior", None)
    if prior is not None:
        return f"{words} ({prior_words(prior)})"
    estimator = getattr(result, "tau2_method", "none")
    given = f"τ² = {result.tau2:.4g}" if estimator == "given" else estimator
    return f"{words} ({given})" if estimator != "none" else words
