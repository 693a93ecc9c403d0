"""Lines of statistics, alt text and captions: numbers of a layout turned into words."""

from __future__ import annotations

import math
from dataclasses import replace

from mtmeta.figures.layout.base import count, interval_parts, number, p_value, percent
from mtmeta.figures.layout.flow import FlowLayout
from mtmeta.figures.layout.plot import GridLayout, PlotLayout, Points
from mtmeta.figures.layout.protocols import (
    PooledLike,
    SubgroupLike,
    axis_name,
    has_null,
    is_bayesian,
    is_random,
    shown,
)
from mtmeta.figures.layout.table import ForestLayout
from mtmeta.figures.style import Style
from mtmeta.measures import measure_of

__all__ = [
    "alt_text",
    "caption",
    "heterogeneity_words",
    "level_words",
    "overall_words",
    "tau2_words",
    "test_words",
    "tested",
]


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
    if fit.effects.k < 2:
        return "Heterogeneity: not applicable (one effect)"
    tau2, q, i2 = style.terms
    parts = [f"{tau2} = {tau2_words(float(fit.tau2), style)}"] if is_random(fit) else []
    between, within = getattr(fit, "sigma2_between", None), getattr(fit, "sigma2_within", None)
    if between is not None and within is not None:
        parts[0] += f" ({tau2_words(between, style)} between, {tau2_words(within, style)} within clusters)"
    parts.append(f"{i2} = {percent(float(fit.i2), style, decimals=style.i2_decimals)}")
    df = number(float(fit.q_df), style, decimals=0)
    test = f"df = {df}{style.list_mark}{p_value(float(fit.q_pvalue), style)}"
    parts.append(f"{q} = {number(float(fit.q), style)} ({test})")
    return "Heterogeneity: " + style.list_mark.join(parts)


def test_words(statistic: float, df: float, pvalue: float, style: Style) -> str:
    """A z or t statistic with its P value."""
    name = "z" if math.isinf(df) else f"t({number(df, style, decimals=0 if float(df).is_integer() else 1)})"
    if math.isinf(statistic):
        return p_value(pvalue, style)
    return f"{name} = {number(statistic, style)}{style.list_mark}{p_value(pvalue, style)}"


def between_words(result: SubgroupLike, style: Style) -> tuple[str, ...]:
    """Return the test between subgroups: chi-squared, or F where the groups share HKSJ's scale."""
    test = getattr(result, "test", None)
    df = number(float(result.df_between), style, decimals=0)
    kind = getattr(test, "kind", "chi2")
    if kind == "chi2":
        name, freedom = style.terms[1], f"df = {df}"
    else:
        df2 = float(test.df2)  # type: ignore[union-attr]
        name, freedom = "F", f"df = {df}, {number(df2, style, decimals=0 if df2.is_integer() else 1)}"
    statistic = number(float(result.q_between), style)
    value = p_value(float(result.p_between), style)
    return (f"Differences between subgroups: {name} = {statistic} ({freedom}{style.list_mark}{value})",)


def probability(value: float, style: Style) -> str:
    """Return a probability with three decimals, never rounded to certainty.

    Examples
    --------
    >>> probability(0.9971, Style()), probability(0.99999, Style())
    ('0.997', '>0.999')
    """
    if value > 0.9995:
        return f">{number(0.999, style, decimals=3)}"
    return f"<{number(0.001, style, decimals=3)}" if value < 0.0005 else number(value, style, decimals=3)


def tested(fit: PooledLike) -> bool:
    """Whether the interval comes with a test; Henmi and Copas's does not."""
    return fit.ci_method not in ("Henmi-Copas", "credible")


def overall_words(fit: PooledLike, style: Style, *, level: float) -> str:
    """Test of the pooled effect and the interval method used; of a posterior its mass on one side."""
    null = fit.effects.measure.null
    if is_bayesian(fit):
        percent_words = level_words(level, style, interval=False)
        said = f"Mean effect: posterior median with {percent_words} credible interval"
        if not has_null(fit.effects.measure):
            return said
        below = float(fit.mu.cdf(null))  # type: ignore[attr-defined]
        side = "below" if below > 0.5 else "above"
        return f"{said}; probability {side} the null {probability(max(below, 1.0 - below), style)}"
    if not tested(fit) or not has_null(fit.effects.measure):
        return f"Overall effect: {level_words(level, style)} by {fit.ci_method}"
    test = test_words(float(fit.statistic), float(fit.df), float(fit.pvalue), style)
    return f"Overall effect: {test} ({level_words(level, style)}: {fit.ci_method})"


def alt_text(layout: ForestLayout | PlotLayout | GridLayout | FlowLayout) -> str:
    """Say in words what a figure shows, from the numbers it draws, for readers who do not see it.

    Parameters
    ----------
    layout : ForestLayout, PlotLayout, GridLayout or FlowLayout

    Returns
    -------
    str
        One paragraph of plain text.
    """
    if isinstance(layout, ForestLayout):
        return _forest_alt(layout)
    if isinstance(layout, FlowLayout):
        told = "; ".join(" ".join((b.head.rstrip(":"), ", ".join(b.lines))).strip() for b in layout.boxes)
        return f"Flow diagram. {told}."
    if isinstance(layout, GridLayout):
        inner = "; ".join(f"{p.title or p.y.label}" for p in layout.plots)
        return f"{_lead(layout.figure, layout.title)} {len(layout.plots)} panels: {inner}."
    return _plot_alt(layout)


def caption(layout: ForestLayout | PlotLayout | GridLayout | FlowLayout) -> str:
    """Write a caption: what is shown, by which model, from how many effects and people, what signs mean."""
    if isinstance(layout, FlowLayout):
        return " ".join((layout.title or "Flow of studies through the review (PRISMA 2020).", *layout.foot))
    if not isinstance(layout, ForestLayout):
        return " ".join((_lead(layout.figure, layout.title), *(f"{line}." for line in layout.foot)))
    size = (
        ""
        if math.isnan(layout.participants)
        else f", {count(layout.participants, layout.style)} participants"
    )
    effects = f"{layout.k} effect{'s' if layout.k != 1 else ''}{size}"
    by = f" ({level_words(layout.level, layout.style)}: {layout.ci_method})" if layout.ci_method else ""
    parts = [f"{layout.title or 'Forest plot'}: {effects}. {layout.model}{by}."]
    shapes = {m.shape for row in layout.rows for m in row.marks}
    level = level_words(layout.level, layout.style, interval=False)
    if "square" in shapes:
        parts.append(
            f"Squares are study estimates (areas by weight), lines their {level} confidence intervals."
        )
    if "diamond" in shapes:
        parts.append(f"Diamonds are pooled estimates with {level} confidence intervals.")
    if any(row.kind == "prediction" for row in layout.rows):
        parts.append(f"The prediction interval covers {level} of the effects of new studies.")
    parts += [f"{line}." for line in layout.foot]
    return " ".join(parts)


def _lead(figure: str, title: str) -> str:
    name = f"{figure[:1].upper()}{figure[1:]}"
    return f"{name}: {title}." if title else f"{name}."


def _forest_alt(layout: ForestLayout) -> str:
    measure, style = measure_of(layout.measure), layout.style
    numbers = dict(layout.summary)
    back = shown(measure)

    def said(low: str, high: str) -> str:
        return "".join(
            interval_parts(back(numbers[low]), back(numbers[high]), replace(style, interval=("", " to ", "")))
        )

    name = axis_name(measure, style)
    name = name[:1].lower() + name[1:]
    title = f", {layout.title}," if layout.title else ""
    parts = [f"Forest plot{title} of {layout.k} effect{'s' if layout.k != 1 else ''} ({name})."]
    points = [back(m.estimate) for row in layout.rows if row.kind == "study" for m in row.marks]
    points = [p for p in points if math.isfinite(p)]
    if len(points) > 1:
        parts.append(
            f"Study estimates run from {number(min(points), style)} to {number(max(points), style)}."
        )
    if "estimate" in numbers:
        level = level_words(layout.level, style)
        pooled = number(back(numbers["estimate"]), style)
        parts.append(f"{layout.model}: {pooled} ({level} {said('low', 'high')}).")
    if "pi_low" in numbers:
        level = level_words(layout.level, style, interval=False)
        parts.append(f"{level} prediction interval {said('pi_low', 'pi_high')}.")
    parts += [f"{line}." for line in layout.foot[:1]]
    return " ".join(parts)


def _plot_alt(layout: PlotLayout) -> str:
    style = layout.style
    parts = [_lead(layout.figure, layout.title)]
    axes = [a.label[:1].lower() + a.label[1:] for a in (layout.y, layout.x) if a.label]
    if len(axes) == 2:
        parts.append(f"{axes[0][:1].upper()}{axes[0][1:]} against {axes[1]}.")
    for layer in layout.layers:
        if isinstance(layer, Points) and layer.x:
            name = f"{layer.name}: " if layer.name else ""
            parts.append(f"{name}{len(layer.x)} point{'s' if len(layer.x) != 1 else ''}.")
    if layout.summary:
        told = ", ".join(f"{name} {number(value, style)}" for name, value in layout.summary)
        parts.append(f"{told[:1].upper()}{told[1:]}.")
    return " ".join(parts)
