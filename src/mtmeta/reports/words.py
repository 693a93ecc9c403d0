"""Numbers to words: the one place that rounds."""

from __future__ import annotations

import math
import re

from mtmeta.measures import Interval, Measure

__all__ = ["count", "estimate_ci", "fixed", "interval", "minus", "percent", "pvalue", "significant"]

_MINUS = re.compile(r"(?<![\w-])-(?=[\d.])")


def fixed(value: float | None, decimals: int = 2) -> str:
    """Write a number with so many decimals, without a negative zero; ``-`` for none.

    Examples
    --------
    >>> fixed(-0.699), fixed(-0.001), fixed(None)
    ('-0.70', '0.00', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def interval(ci: Interval | None, decimals: int = 2) -> str:
    """Write an interval as ``[low, high]``.

    Examples
    --------
    >>> interval(Interval(-1.168, -0.222))
    '[-1.17, -0.22]'
    """
    return "-" if ci is None else f"[{fixed(ci.low, decimals)}, {fixed(ci.high, decimals)}]"


def estimate_ci(value: float | None, ci: Interval | None, decimals: int = 2) -> str:
    """Write ``estimate [low, high]``."""
    return "-" if value is None else f"{fixed(value, decimals)} {interval(ci, decimals)}"


def percent(value: float | None) -> str:
    """Write a percentage without decimals."""
    return "-" if value is None or math.isnan(value) else f"{value:.0f}%"


def pvalue(p: float) -> str:
    """Write a P value: three decimals, ``<0.001`` below.

    Examples
    --------
    >>> pvalue(0.0347), pvalue(0.00002)
    ('0.035', '<0.001')
    """
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def count(value: int | float | None) -> str:
    """Write a count; ``?`` for unknown."""
    return "?" if value is None or math.isnan(value) else f"{value:.0f}"


def significant(value: float, digits: int = 12) -> float:
    """Round to significant digits, as lock files keep numbers.

    Examples
    --------
    >>> significant(0.123456789012345)
    0.123456789012
    """
    return float(f"{value:.{digits}g}")


def back(measure: Measure, value: float, ci: Interval | None) -> tuple[float, Interval | None]:
    """Take an estimate and its interval to the scale people read."""
    moved = None if ci is None else Interval(measure.back(ci.low), measure.back(ci.high))
    return measure.back(value), moved


def minus(text: str) -> str:
    """Give numbers a true minus sign, as figures have.

    Examples
    --------
    >>> minus("-0.48 [-0.61, -0.35], 2010-11")
    '−0.48 [−0.61, −0.35], 2010-11'
    """
    return _MINUS.sub("\N{MINUS SIGN}", text)
