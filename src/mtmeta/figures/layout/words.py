"""Lines of statistics, alt text and captions: numbers of a layout turned into words."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from mtmeta.figures.layout.base import capital, count, interval_parts, number, p_value, percent
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

AnyLayout = ForestLayout | PlotLayout | GridLayout | FlowLayout

__all__ = [
    "alt_text",
    "caption",
    "document",
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


def heterogeneity_words(fit: PooledLike, style: Style, *, statistic: bool = True) -> str:
    """Heterogeneity in one line: variance, share and, unless told before, Q with degrees of freedom and P.

    The statistic is the same for every model of the same effects.
    """
    if fit.effects.k < 2:
        return "Heterogeneity: not applicable (one effect)"
    tau2, q, i2 = style.terms
    parts = [f"{tau2} = {tau2_words(float(fit.tau2), style)}"] if is_random(fit) else []
    between, within = getattr(fit, "sigma2_between", None), getattr(fit, "sigma2_within", None)
    if between is not None and within is not None:
        parts[0] += f" ({tau2_words(between, style)} between, {tau2_words(within, style)} within clusters)"
    parts.append(f"{i2} = {percent(float(fit.i2), style, decimals=style.i2_decimals)}")
    if statistic:
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


def document(layout: AnyLayout) -> dict[str, Any]:
    """Return a layout with its alternative text and caption: what the JSON beside a figure holds."""
    return {**layout.to_dict(), "alt": alt_text(layout), "caption": caption(layout)}


def alt_text(layout: AnyLayout) -> str:
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
        names = [
            p.title or " against ".join(filter(None, (p.y.label, lower_first(p.x.label))))
            for p in layout.plots
        ]
        said = [f"{_lead(layout.figure, layout.title)} {len(layout.plots)} panels: {'; '.join(names)}."]
        said += [
            f"{line}." for line in dict.fromkeys((*layout.foot, *(f for p in layout.plots for f in p.foot)))
        ]
        return " ".join(said)
    return _plot_alt(layout)


def caption(layout: AnyLayout) -> str:
    """Write a caption: what is shown, by which model, from how many effects and people, what signs mean."""
    if isinstance(layout, FlowLayout):
        lead = f"{layout.title}. Flow of studies." if layout.title else "Flow of studies (PRISMA 2020)."
        return " ".join((lead, *(f"{line}." for line in layout.foot)))
    if not isinstance(layout, ForestLayout):
        parts = [_lead(layout.figure, layout.title)]
        parts += [f"{line}." for line in (*_axes_words(layout), *layout.foot)]
        k = dict(layout.summary).get("k") if isinstance(layout, PlotLayout) else None
        return " ".join((*parts, f"k = {count(k, layout.style)}.") if k is not None else parts)
    style = layout.style
    parts = [f"{layout.title or capital(layout.figure)}: {_size_words(layout)}."]
    if layout.model:
        by = f" ({level_words(layout.level, style)}: {layout.ci_method})" if layout.ci_method else ""
        parts.append(f"{layout.model}{by}.")
    parts += [f"{line}." for line in (*_sign_words(layout), *layout.foot)]
    return " ".join(parts)


def _size_words(layout: ForestLayout) -> str:
    """Say how many effects and participants, results or studies there are."""
    what = {
        "influence diagnostics": "study/studies",
        "risk of bias": "study/studies",
        "leave-one-out forest plot": "estimate, one study left out/estimates, each without one study",
        "cumulative forest plot": "estimate/estimates, each with one study more",
        "forest plot of results": "result/results",
    }.get(layout.figure, "effect/effects")
    words = f"{layout.k} {what.split('/')[layout.k != 1]}"
    if math.isnan(layout.participants):
        return words
    return f"{words}, {count(layout.participants, layout.style)} participants"


def _sign_words(layout: ForestLayout) -> list[str]:
    """Say what squares, dots, diamonds and the bar of the prediction are."""
    if not layout.panels or layout.measure == "GEN":
        return []
    shapes = {m.shape for row in layout.rows for m in row.marks}
    level = level_words(layout.level, layout.style, interval=False)
    if layout.figure == "Bayesian forest plot":
        return [f"Lines and densities: {level} intervals, credible where the effects are shrunken"]
    parts = []
    if "square" in shapes:
        parts.append(
            f"Squares are study estimates (areas by weight), lines their {level} confidence intervals"
        )
    elif "dot" in shapes:
        parts.append(f"Dots are estimates, lines their {level} intervals")
    if "diamond" in shapes:
        parts.append(f"Diamonds are pooled estimates with {level} intervals")
    if any(row.kind == "prediction" for row in layout.rows):
        parts.append(f"The prediction interval covers {level} of the effects of new studies")
    return parts


def lower_first(text: str) -> str:
    """Return text as inside a sentence: its first letter lowered, unless an abbreviation begins it."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _lead(figure: str, title: str) -> str:
    return f"{capital(figure)}: {title}." if title else f"{capital(figure)}."


def _forest_alt(layout: ForestLayout) -> str:
    name = axis_name(measure_of(layout.measure), layout.style)
    scale = "" if layout.measure == "GEN" or not layout.panels else f" ({name[:1].lower()}{name[1:]})"
    title = f", {layout.title}," if layout.title else ""
    lead = f"{capital(layout.figure)}{title}"
    if layout.title.casefold().startswith(layout.figure):
        lead = layout.title  # its name is in its title
    parts = [f"{lead} of {_size_words(layout).split(', ')[0]}{scale}."]
    if layout.domains:
        parts += _judgements_told(layout)
    if layout.measure == "GEN":
        parts += [f"{line}." for line in layout.foot if layout.panels]
    elif layout.model and "estimate" in dict(layout.summary):
        parts += _pooled_told(layout)
    else:
        parts += _rows_told(layout)
    return " ".join(parts)


def _pooled_told(layout: ForestLayout) -> list[str]:
    """Range of the studies, pooled estimate, prediction interval, heterogeneity."""
    style, numbers = layout.style, dict(layout.summary)
    back = shown(measure_of(layout.measure))

    def limits(low: str, high: str) -> str:
        plain = replace(style, interval=("", " to ", ""))
        return "".join(interval_parts(back(numbers[low]), back(numbers[high]), plain))

    points = [back(m.estimate) for row in layout.rows if row.kind == "study" for m in row.marks]
    points = [p for p in points if math.isfinite(p)]
    parts = []
    if len(points) > 1:
        ends = (number(min(points), style), number(max(points), style))
        parts.append(f"Study estimates run from {ends[0]} to {ends[1]}.")
    pooled = number(back(numbers["estimate"]), style)
    interval = level_words(layout.level, style)
    if layout.ci_method == "credible":
        interval = interval.replace("CI", "credible interval")
    parts.append(f"{layout.model}: {pooled} ({interval} {limits('low', 'high')}).")
    if "pi_low" in numbers:
        level = level_words(layout.level, style, interval=False)
        parts.append(f"{level} prediction interval {limits('pi_low', 'pi_high')}.")
    return [*parts, *(f"{line}." for line in layout.foot[:1])]


def _rows_told(layout: ForestLayout, most: int = 40) -> list[str]:
    """Rows as they are printed: results that stand ready, or the pooled rows of results side by side."""
    ready = layout.figure in ("forest plot of results", "cumulative forest plot", "leave-one-out forest plot")
    told, head = [], ""
    study = layout.column("study")
    for row in layout.rows:
        if row.kind == "heading":
            head = f"{row.text}, "
        if not row.cells or (not ready and row.kind == "study"):
            continue
        said = [
            f"{layout.columns[j].group} {cell.text}".strip()
            for j, cell in enumerate(row.cells)
            if layout.columns[j].key.startswith(("effect", "shrunken")) and cell.text
        ]
        told.append(f"{head}{row.cells[study].text}: {', '.join(said)}")
    if len(told) > most:
        told = [*told[: most // 2], "and so on to", told[-1]]
    return [f"{'; '.join(told)}."] if told else []


def _judgements_told(layout: ForestLayout) -> list[str]:
    """Say how many studies have which judgement, a domain."""
    told = []
    for j, head in enumerate(layout.domains):
        words = [row.lights[j].judgement for row in layout.rows if len(row.lights) > j]
        counts = [f"{words.count(w)} {w}" for w in dict.fromkeys(sorted(filter(None, words)))]
        told.append(f"{head}: {', '.join(counts)}")
    return [f"Risk of bias, {'; '.join(told)}."]


def _plot_alt(layout: PlotLayout) -> str:
    style = layout.style
    parts = [_lead(layout.figure, layout.title)]
    parts += [f"{line}." for line in _axes_words(layout)]
    layers = [p for p in layout.layers if isinstance(p, Points) and p.x]
    for layer in layers:
        if layer.name or len(layers) == 1:
            name = f"{capital(layer.name)}: " if layer.name else ""
            parts.append(f"{name}{len(layer.x)} point{'s' if len(layer.x) != 1 else ''}.")
    if layout.summary:
        told = ", ".join(f"{name} {_figure_of(value, style)}" for name, value in layout.summary)
        parts.append(f"{capital(told)}.")
    return " ".join((*parts, *(f"{line}." for line in layout.foot)))


def _axes_words(layout: PlotLayout | GridLayout) -> list[str]:
    """Say what is drawn against what."""
    if isinstance(layout, GridLayout) or not (layout.x.label and layout.y.label):
        return []
    return [f"{capital(layout.y.label)} against {lower_first(layout.x.label)}"]


def _figure_of(value: float, style: Style) -> str:
    return count(value, style) if float(value).is_integer() else number(value, style)
