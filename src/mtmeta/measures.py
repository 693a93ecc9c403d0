"""What the effect measures *are*: code, label, null value, scale and back-transform; and an interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mtmeta.errors import UsageError

__all__ = ["MEASURES", "Interval", "Measure", "check_choice", "check_level", "measure_of"]

Scale = Literal["identity", "log", "logit", "fisher z", "arcsine root", "Freeman-Tukey"]


class Interval(NamedTuple):
    """A closed interval ``[low, high]`` on the scale of the estimate it belongs to.

    Attributes
    ----------
    low, high : float
        Its ends; infinite where it is open.

    Examples
    --------
    BCG vaccine, log relative risk, REML with HKSJ: [-1.1084, -0.3206] leaves no effect out.

    >>> low, high = interval = Interval(-1.1084, -0.3206)
    >>> 0.0 in interval, round(interval.width, 4)
    (False, 0.7878)
    """

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    @property
    def width(self) -> float:
        """Length of the interval."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Measure:
    """An effect measure as the field names it.

    Parameters
    ----------
    code : str
        metafor's code, the name everywhere in mtmeta.
    label : str
        What an axis or a table prints.
    needs : str
        Columns of the raw data it is computed from (see ``EffectSizes.from_frame``).
    scale : str
        Scale on which ``yi`` is analysed.
    null : float
        Value of no difference on that scale.
    """

    code: str
    label: str
    needs: str
    scale: Scale = "identity"
    null: float = 0.0

    @property
    def back_label(self) -> str:
        """Label of the back-transformed value: that of the measure without its scale."""
        if self.scale != "log":
            return self.label
        label = self.label.removeprefix("Log ")
        return label[:1].upper() + label[1:]

    @property
    def is_ratio(self) -> bool:
        """Whether effects are analysed as logarithms and printed as ratios."""
        return self.scale == "log"

    def back(self, value: float) -> float:
        """Take a value from the scale of analysis to the scale people read.

        Examples
        --------
        BCG vaccine, REML: mean log relative risk -0.7145 is a relative risk of 0.49
        (Viechtbauer 2010, J Stat Softw 36(3), p. 21).

        >>> round(measure_of("RR").back(-0.7145), 2)
        0.49
        """
        return _BACK[self.scale](value)

    def __str__(self) -> str:
        return self.code


def _expit(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def _sin_squared(x: float) -> float:
    return math.sin(min(max(x, 0.0), math.pi / 2)) ** 2


_BACK: dict[str, Callable[[float], float]] = {
    "identity": lambda x: x,
    "log": math.exp,
    "logit": _expit,
    "fisher z": math.tanh,
    "arcsine root": _sin_squared,
    # Freeman-Tukey needs the sample sizes for its inverse (Miller 1978); see effects.proportions
    "Freeman-Tukey": _sin_squared,
}

_TWO_MEANS = "m1 sd1 n1 m2 sd2 n2"
_EVENTS = "a n1 c n2"
_PAIRED = "m1 m2 sd1 sd2 n r"
_RATES = "x1 t1 x2 t2"

_ALL = (
    Measure("GEN", "Effect", "yi vi"),
    # two groups, means
    Measure("MD", "Mean difference", _TWO_MEANS),
    Measure("SMD", "Standardised mean difference", _TWO_MEANS),
    Measure("SMDH", "Standardised mean difference (heteroscedastic)", _TWO_MEANS),
    Measure("SMD1", "Standardised mean difference (SD of group 2)", _TWO_MEANS),
    Measure("SMD1H", "Standardised mean difference (SD of group 2, heteroscedastic)", _TWO_MEANS),
    Measure("ROM", "Log ratio of means", _TWO_MEANS, "log"),
    Measure("CVR", "Log ratio of coefficients of variation", _TWO_MEANS, "log"),
    Measure("VR", "Log ratio of standard deviations", "sd1 n1 sd2 n2", "log"),
    # events
    Measure("OR", "Log odds ratio", _EVENTS, "log"),
    Measure("RR", "Log risk ratio", _EVENTS, "log"),
    Measure("RD", "Risk difference", _EVENTS),
    Measure("PETO", "Log odds ratio (Peto)", _EVENTS, "log"),
    Measure("AS", "Arcsine square root risk difference", _EVENTS),
    Measure("PHI", "Phi coefficient", _EVENTS),
    Measure("YUQ", "Yule's Q", _EVENTS),
    Measure("HR", "Log hazard ratio", "yi vi", "log"),
    # rates
    Measure("IRR", "Log incidence rate ratio", _RATES, "log"),
    Measure("IRD", "Incidence rate difference", _RATES),
    Measure("IRSD", "Square root incidence rate difference", _RATES),
    # paired
    Measure("MC", "Mean change", _PAIRED),
    Measure("SMCC", "Standardised mean change (SD of change)", _PAIRED),
    Measure("SMCR", "Standardised mean change (SD of first)", _PAIRED),
    Measure("SMCRH", "Standardised mean change (SD of first, heteroscedastic)", _PAIRED),
    Measure("SMCRP", "Standardised mean change (pooled SD)", _PAIRED),
    Measure("ROMC", "Log ratio of means (paired)", _PAIRED, "log"),
    # one group
    Measure("MN", "Mean", "m sd n"),
    Measure("PR", "Proportion", "x n"),
    Measure("PLO", "Log odds", "x n", "logit"),
    Measure("PLN", "Log proportion", "x n", "log"),
    Measure("PAS", "Arcsine square root proportion", "x n", "arcsine root"),
    Measure("PFT", "Freeman-Tukey proportion", "x n", "Freeman-Tukey"),
    Measure("IR", "Incidence rate", "x t"),
    Measure("IRLN", "Log incidence rate", "x t", "log"),
    Measure("IRS", "Square root incidence rate", "x t"),
    # association
    Measure("COR", "Correlation", "r n"),
    Measure("ZCOR", "Fisher z", "r n", "fisher z"),
    Measure("D2ORL", "Log odds ratio (from d, logistic)", _TWO_MEANS, "log"),
    Measure("D2ORN", "Log odds ratio (from d, normal)", _TWO_MEANS, "log"),
    Measure("RPB", "Point-biserial correlation", _TWO_MEANS),
    Measure("RBIS", "Biserial correlation", _TWO_MEANS),
    Measure("OR2DL", "Standardised mean difference (from odds ratio, logistic)", _EVENTS),
    Measure("OR2DN", "Standardised mean difference (from odds ratio, normal)", _EVENTS),
    Measure("PBIT", "Standardised mean difference (probit)", _EVENTS),
)

MEASURES: dict[str, Measure] = {m.code: m for m in _ALL}


def check_choice(name: str, value: object, allowed: tuple[str, ...] | list[str]) -> str:
    """Return `value` when it is one of `allowed`, else raise with the list.

    Raises
    ------
    UsageError
        For anything that is not one of the named choices.
    """
    if isinstance(value, str) and value in allowed:
        return value
    raise UsageError(f"{name}={value!r} is not known; use one of {', '.join(map(repr, allowed))}")


def check_level(level: float) -> float:
    """Return a confidence level strictly between 0 and 1.

    Raises
    ------
    UsageError
        Outside of (0, 1); 95 is taken for a slip and the message says so.
    """
    if isinstance(level, (int, float)) and not isinstance(level, bool) and 0.0 < level < 1.0:
        return float(level)
    raise UsageError(f"level={level!r} must lie between 0 and 1, such as 0.95")


def measure_of(measure: Measure | str) -> Measure:
    """Return the measure for a code or the measure itself.

    Raises
    ------
    UsageError
        For an unknown code.

    Examples
    --------
    >>> measure_of("SMD").label
    'Standardised mean difference'
    """
    if isinstance(measure, Measure):
        return measure
    return MEASURES[check_choice("measure", measure, tuple(MEASURES))]
