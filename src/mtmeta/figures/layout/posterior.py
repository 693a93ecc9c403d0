"""Bayesian figures: prior beside posterior, and shrinkage of the studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import Better, axis_panel, axis_ticks, favours_words
from mtmeta.figures.layout.base import number
from mtmeta.figures.layout.frame import Frame
from mtmeta.figures.layout.plot import (
    Area,
    Axis,
    GridLayout,
    Layer,
    Line,
    PlotLayout,
    floats,
    make_axis,
    need_columns,
)
from mtmeta.figures.layout.protocols import axis_name, has_null, shown
from mtmeta.figures.layout.table import Cell, Column, ForestLayout, Mark, Row, numbered
from mtmeta.figures.layout.words import level_words
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import Measure, check_level, measure_of

if TYPE_CHECKING:
    import pandas as pd

    from mtmeta.effects.table import EffectSizes

__all__ = ["bayes_forest_layout", "posterior_layout", "prior_posterior_layout", "shrinkage_layout"]


def prior_posterior_layout(
    densities: Mapping[str, pd.DataFrame],
    *,
    measure: Measure | str | None = None,
    effects: tuple[str, ...] = (),
    title: str = "",
    style: Style | StyleName = "plain",
) -> GridLayout:
    """Lay out prior and posterior densities, one panel a parameter.

    Parameters
    ----------
    densities : mapping of str to DataFrame
        Name of each parameter, and its table with ``x``, ``prior``, ``posterior`` and, if wanted,
        ``likelihood`` (any scale: it is drawn as high as the posterior).
    measure : Measure or str, optional
        Of the parameters named in `effects`, whose axes are then printed back-transformed.
    effects : tuple of str
        Which parameters are effects.
    title, style
        As everywhere.

    Raises
    ------
    UsageError
        For a table without these columns or rows.
    """
    look = style_of(style)
    plots = []
    for name, table in densities.items():
        need_columns(table, "x", "prior", "posterior")
        kind = measure_of(measure) if measure is not None and name in effects else None
        plots.append(_density_plot(name, table, kind, look))
    if not plots:
        raise UsageError("no densities to draw; give one table a parameter")
    return GridLayout("prior and posterior", tuple(plots), min(2, len(plots)), title, (), look)


def _density_plot(name: str, table: pd.DataFrame, measure: Measure | None, style: Style) -> PlotLayout:
    x, prior, posterior = (floats(table[c]) for c in ("x", "prior", "posterior"))
    top = 1.08 * max((*prior, *posterior))
    layers: list[Layer] = [
        Area((x[0], *x, x[-1]), (0.0, *posterior, 0.0), tone="diamond", shade=0.3),
        Line(x, posterior, tone="diamond", width=1.6, name="posterior"),
        Line(x, prior, tone="muted", dash="dashed", width=1.2, name="prior"),
    ]
    if "likelihood" in table.columns:
        likelihood = np.asarray(table["likelihood"], dtype=float)
        scaled = floats(likelihood * max(posterior) / likelihood.max())
        layers.append(Line(x, scaled, tone="prediction", dash="dotted", width=1.2, name="likelihood"))
    if measure is None:
        axis = make_axis(x[0], x[-1], style, label=name)
    else:
        ticks, values, words = axis_ticks(x[0], x[-1], measure, style)
        axis = Axis(x[0], x[-1], ticks, values, words, f"{name} ({axis_name(measure, style).lower()})")
        if has_null(measure) and x[0] < measure.null < x[-1]:
            layers.insert(0, Line((measure.null,) * 2, (0.0, top), tone="null", width=0.8))
    return PlotLayout(
        figure="prior and posterior",
        x=axis,
        y=make_axis(0.0, top, style, label="Density", target=4),
        layers=tuple(layers),
        width=36.0,
        height=24.0,
        style=style,
    )


def shrinkage_layout(
    effects: EffectSizes,
    shrinkage: pd.DataFrame,
    summaries: Mapping[str, tuple[float, float, float]],
    *,
    densities: Mapping[str, tuple[Any, Any]] | None = None,
    level: float = 0.95,
    better: Better | None = None,
    arms: tuple[str, str] = ("music", "control"),
    title: str = "",
    style: Style | StyleName = "plain",
) -> ForestLayout:
    """Lay out a Bayesian forest plot: each study as observed and as shrunken, and the posteriors.

    Parameters
    ----------
    effects : EffectSizes
    shrinkage : DataFrame
        A row a study in the order of the effects: ``mean``, ``low``, ``high`` of its true effect.
    summaries : mapping of str to (estimate, low, high)
        Rows under the studies, such as "Mean effect" and "New study".
    densities : mapping of str to (x, density), optional
        Posterior density of summaries, drawn instead of a diamond.
    level, better, arms, title, style
        As in :func:`forest_layout`.

    Raises
    ------
    UsageError
        For another number of rows than effects, or a table without these columns.
    """
    look = style_of(style)
    need_columns(shrinkage, "mean", "low", "high")
    if len(shrinkage) != effects.k:
        raise UsageError(f"shrinkage has {len(shrinkage)} rows for {effects.k} effects; give one a row")
    measure = effects.measure
    weights = np.asarray(1.0 / effects.vi)
    frame = Frame(effects, measure, floats(weights / weights.sum()), arms, check_level(level), look)
    percent = level_words(level, look, interval=False)
    columns = (
        Column("study", "Study", align="left"),
        Column("effect", f"Observed [{percent} CI]", side="right"),
        Column("shrunken", f"Shrunken [{percent} CrI]", side="right"),
    )
    rows: list[Row] = []
    for i in range(effects.k):
        low, high = frame.study_interval(i)
        y = float(effects.yi[i])
        mean, left, right = (float(shrinkage[c].iloc[i]) for c in ("mean", "low", "high"))
        cells = (
            Cell((effects.study[i],)),
            frame.effect_cell(columns[1], y, low, high),
            frame.effect_cell(Column("effect"), mean, left, right),
        )
        marks = (
            Mark(0, "square", y, low, high, share=0.3, hollow=True, offset=-0.16),
            Mark(0, "dot", mean, left, right, tone=0, offset=0.18),
        )
        rows.append(Row("study", 0, cells, marks=marks, id=effects.study[i]))
    for j, (name, summary) in enumerate(summaries.items()):
        rows.append(_summary_row(name, summary, densities or {}, frame, gap=0.35 if j == 0 else 0.0))
    panel = axis_panel(
        [m for r in rows for m in r.marks],
        measure=measure,
        style=look,
        favours=favours_words(measure, better, arms, look),
    )
    back = shown(measure)
    first = next(iter(summaries), "")
    said = f"; {first.lower()} {number(back(summaries[first][0]), look)}" if first else ""
    return ForestLayout(
        figure="Bayesian forest plot",
        measure=measure.code,
        k=effects.k,
        participants=float("nan"),
        columns=columns,
        rows=numbered(rows),
        panels=(panel,),
        foot=(f"Open squares: observed effects; dots: posterior means of the studies' true effects{said}",),
        summary=tuple(
            (f"{n}: {w}", float(v)) for n, s in summaries.items() for w, v in zip(_THREE, s, strict=True)
        ),
        model="Bayesian random effects",
        level=level,
        title=title,
        style=look,
    )


class PosteriorLike(Protocol):
    """A Bayesian result: posteriors as distributions with quantiles and densities, and their priors."""

    @property
    def effects(self) -> EffectSizes: ...
    @property
    def mu(self) -> Any: ...
    @property
    def tau(self) -> Any: ...
    @property
    def new_study(self) -> Any: ...
    @property
    def mu_prior(self) -> Any: ...
    @property
    def tau_prior(self) -> Any: ...
    def shrinkage_at(self, level: float = 0.95) -> pd.DataFrame: ...


def bayes_forest_layout(
    result: PosteriorLike,
    *,
    level: float = 0.95,
    better: Better | None = None,
    arms: tuple[str, str] = ("music", "control"),
    title: str = "",
    style: Style | StyleName = "plain",
) -> ForestLayout:
    """Lay out a Bayesian result: studies observed and shrunken, densities of the mean and of a new study.

    Parameters
    ----------
    result : result of BayesRandomEffects
    level, better, arms, title, style
        As in :func:`forest_layout`.
    """
    summaries, densities = {}, {}
    for name, about in (("Mean effect", result.mu), ("New study", result.new_study)):
        low, high = about.ci(level)
        summaries[name] = (float(about.median), float(low), float(high))
        x = _grid(about)
        densities[name] = (x, np.asarray(about.pdf(x)))
    return shrinkage_layout(
        result.effects,
        result.shrinkage_at(level),
        summaries,
        densities=densities,
        level=level,
        better=better,
        arms=arms,
        title=title,
        style=style,
    )


def posterior_layout(
    result: PosteriorLike | Sequence[PosteriorLike],
    *,
    names: Sequence[str] = (),
    title: str = "",
    style: Style | StyleName = "plain",
) -> GridLayout:
    """Lay out prior and posterior of the mean effect and of the heterogeneity of a Bayesian result.

    Parameters
    ----------
    result : result of BayesRandomEffects, or several of the same effects
        Several stand under each other, a row each, with the same axes.
    names : sequence of str
        Title of each row, where there are several.
    title, style
        As everywhere.

    Raises
    ------
    UsageError
        For no result, or names for another number of them.
    """
    results = list(result) if isinstance(result, Sequence) else [result]
    if not results or (names and len(names) != len(results)):
        raise UsageError(f"names={list(names)!r} must name each of {len(results)} results")
    spans = [
        (min(low for low, _ in ends), max(high for _, high in ends))
        for ends in zip(*(_ends(one) for one in results), strict=True)
    ]
    plots: list[PlotLayout] = []
    for i, one in enumerate(results):
        row = _row_of(one, spans, style)
        first = replace(row.plots[0], title=names[i] if names else "")
        last = i == len(results) - 1
        plots += [_unnamed(plot) if j or not last else plot for j, plot in enumerate((first, *row.plots[1:]))]
    return GridLayout("prior and posterior", tuple(plots), 2, title, (), style_of(style))


def _row_of(one: PosteriorLike, spans: Sequence[tuple[float, float]], style: Style | StyleName) -> GridLayout:
    import pandas as pd

    tables = {}
    about = (("Mean effect", one.mu, one.mu_prior), ("Heterogeneity τ", one.tau, one.tau_prior))
    for (name, posterior, prior), (low, high) in zip(about, spans, strict=True):
        x = np.linspace(low, high, _PLACES)
        tables[name] = pd.DataFrame({"x": x, "prior": prior.pdf(x), "posterior": posterior.pdf(x)})
    return prior_posterior_layout(tables, measure=one.effects.measure, effects=("Mean effect",), style=style)


def _unnamed(plot: PlotLayout) -> PlotLayout:
    """Leave a plot's layers without names, as the legend stands under one plot of a grid for all."""
    layers = tuple(
        replace(layer, name="") if isinstance(layer, Line | Area) else layer for layer in plot.layers
    )
    return replace(plot, layers=layers)


def _ends(one: PosteriorLike) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the central 99.8% of the mean's posterior, and from 0 on over 99% of the heterogeneity's."""
    low, high = (float(v) for v in one.mu.quantile([0.001, 0.999]))
    return (low, high), (0.0, float(one.tau.quantile([0.99])[0]))


_PLACES = 161


def _grid(about: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Places over the central 99.8% of a distribution."""
    low, high = (float(v) for v in about.quantile([0.001, 0.999]))
    return np.linspace(low, high, _PLACES)


_THREE = ("estimate", "low", "high")


def _summary_row(
    name: str,
    summary: tuple[float, float, float],
    densities: Mapping[str, tuple[Any, Any]],
    frame: Frame,
    *,
    gap: float,
) -> Row:
    estimate, low, high = (float(v) for v in summary)
    mark = Mark(0, "diamond", estimate, low, high)
    if name in densities:
        x, height = (np.asarray(v, dtype=float) for v in densities[name])
        top = float(height.max())
        curve = tuple((float(a), float(h) / top) for a, h in zip(x, height, strict=True))
        mark = Mark(0, "density", estimate, low, high, tone=0, curve=curve)
        gap += 0.25
    cells = (Cell((name,)), Cell(), frame.effect_cell(Column("effect"), estimate, low, high))
    return Row("pooled", 0, cells, marks=(mark,), bold=frame.style.bold_pooled, gap=gap, id=name)
