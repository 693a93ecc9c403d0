"""Lines of statistics, alt text and captions: numbers of a layout turned into words."""

from __future__ import annotations

import math

from mtmeta.figures.layout.base import interval_parts, number, p_value, percent
from mtmeta.figures.layout.protocols import PooledLike, is_random
from mtmeta.figures.style import Style

__all__ = ["heterogeneity_words", "level_words", "overall_words", "tau2_words", "test_words"]


def level_words(level: float, style: Style, *, interval: bool = True) -> str:
    """Return the level as readers know it: "95% CI", or "95%" alone.

    Examples
    --------
    >>> level_words(0.95, Style())
    '95% CI'
    """
    text = f"{100 * level:.10g}".replace(".", style.decimal_mark)
    return f"{text}% CI" if interval else f"{text}%"


def tau2_words(value: float, style: Style) -> str:
    """Return a between-study variance with two of its digits, at most five decimals.

    Examples
    --------
    >>> tau2_words(0.3132, Style()), tau2_words(0.00912, Style()), tau2_words(0.0, Style())
    ('0.31', '0.0091', '0')
    """
    if value == 0:
        return "0"
    if math.isnan(value):
        return ""
    decimals = max(style.decimals, min(5, 1 - math.floor(math.log10(abs(value)))))
    return number(value, style, decimals=decimals)


def heterogeneity_words(fit: PooledLike, style: Style) -> str:
    """Heterogeneity in one line: variance, share, statistic with degrees of freedom and P value."""
    if fit.k < 2:
        return "Heterogeneity: not applicable (one effect)"
    tau2, q, i2 = style.terms
    parts = [f"{tau2} = {tau2_words(float(fit.tau2), style)}"] if is_random(fit) else []
    parts.append(f"{i2} = {percent(float(fit.i2), style, decimals=style.i2_decimals)}")
    df = number(float(fit.q_df), style, decimals=0)
    test = f"df = {df}{style.list_mark}{p_value(float(fit.q_pvalue), style)}"
    parts.append(f"{q} = {number(float(fit.q), style)} ({test})")
    return "Heterogeneity: " + style.list_mark.join(parts)


def test_words(statistic: float, df: float, pvalue: float, style: Style) -> str:
    """A z or t statistic with its P value."""
    name = "z" if math.isinf(df) else f"t({number(df, style, decimals=0 if float(df).is_integer() else 1)})"
    return f"{name} = {number(statistic, style)}{style.list_mark}{p_value(pvalue, style)}"


def overall_words(fit: PooledLike, style: Style, *, level: float) -> str:
    """Test of the pooled effect and the interval method that was used."""
    test = test_words(float(fit.statistic), float(fit.df), float(fit.pvalue), style)
    return f"Overall effect: {test} ({level_words(level, style)}: {fit.ci_method})"


def pooled_words(
    estimate: float, low: float, high: float, style: Style, *, level: float, name: str = ""
) -> str:
    """Return an estimate with its interval inside a sentence."""
    limits = "".join(interval_parts(low, high, style)).strip("[]()")
    lead = f"{name} " if name else ""
    return f"{lead}{number(estimate, style)} ({level_words(level, style)} {limits})"
