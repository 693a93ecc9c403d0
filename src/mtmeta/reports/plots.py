"""The figures of an analysis, as their files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtmeta.audit.run import AnalysisRun

if TYPE_CHECKING:
    from mtmeta.figures.api import AnyLayout
    from mtmeta.figures.layout.plot import GridLayout, PlotLayout
    from mtmeta.figures.layout.table import ForestLayout

__all__ = [
    "LONGEST",
    "forest_of",
    "funnel_of",
    "layout_svg",
    "posterior_of",
    "report_layouts",
    "save_figures",
    "stale_figures",
]

LONGEST = 300
"""Effects above which no figure is drawn: nobody reads it, and a browser takes long to show it."""


def forest_of(run: AnalysisRun, *, style: str = "plain") -> ForestLayout:
    """Return the layout of an analysis' forest plot.

    Groups stand apart where the analysis has them; else the Bayesian answers stand under the classical one.
    """
    from mtmeta.figures.layout.forest import forest_layout

    return forest_layout(
        [run.result, *(b.result for b in run.bayes)] if run.subgroups is None else run.subgroups,
        better=run.analysis.better,
        title=run.analysis.title,
        level=run.analysis.model.level,
        style=style,  # type: ignore[arg-type]
    )


def posterior_of(run: AnalysisRun, *, style: str = "plain") -> GridLayout | None:
    """Return the layout of prior and posterior, a row of panels for each pair of priors; None without."""
    if not run.bayes:
        return None
    from mtmeta.figures.layout.posterior import posterior_layout
    from mtmeta.figures.layout.protocols import prior_words

    plots: list[PlotLayout] = []
    for one in run.bayes:
        grid = posterior_layout(one.result, style=style)  # type: ignore[arg-type]  # checked there
        words = prior_words(one.result.tau_prior)
        plots += [replace(plot, title=words if i == 0 else "") for i, plot in enumerate(grid.plots)]
    return replace(grid, plots=tuple(plots), columns=2, title=run.analysis.title)


def funnel_of(run: AnalysisRun) -> PlotLayout | None:
    """Return the layout of a funnel plot with contours of significance; None below three effects."""
    if not 3 <= run.effects.k <= LONGEST:
        return None
    from mtmeta.figures.layout.funnel import funnel_layout

    return funnel_layout(run.result, contours=(0.1, 0.05, 0.01), level=run.analysis.model.level)


def report_layouts(run: AnalysisRun) -> Iterator[tuple[str, AnyLayout]]:
    """Yield the figures of a report, each with the name of its file."""
    name = run.analysis.name
    if run.effects.k <= LONGEST:
        yield name, forest_of(run)
    for part, layout in (("funnel", funnel_of(run)), ("posterior", posterior_of(run))):
        if layout is not None:
            yield f"{name}-{part}", layout
    if run.analysis.multiverse is not None:
        from mtmeta.audit.multiverse import run_multiverse
        from mtmeta.reports.multiverse import curve_layouts

        yield from curve_layouts(run_multiverse(run.analysis, run.studies))


def layout_svg(layout: AnyLayout) -> str:
    """Draw a layout and return its SVG as text."""
    from mtmeta.figures.api import draw_layout
    from mtmeta.figures.files import render
    from mtmeta.figures.layout.words import alt_text

    figure = draw_layout(layout).get_figure(root=True)
    assert figure is not None
    return render(figure, "svg", alt=alt_text(layout)).decode()


def save_figures(
    run: AnalysisRun,
    path: Path,
    *,
    formats: Sequence[str] = ("svg", "pdf", "png"),
    dpi: float = 300,
    style: str = "plain",
    width: float | str | None = None,
    outline: bool = False,
) -> tuple[Path, ...]:
    """Draw what an analysis has: its forest plot and, with priors, ``-posterior``; all files or none each.

    Parameters
    ----------
    run : AnalysisRun
    path : Path
        Without suffix.
    formats, dpi, style, outline
        See :func:`mtmeta.figures.save`.
    width : float or str, optional
        Of the page, in millimetres or in the style's columns (single, one-and-half, double).

    Returns
    -------
    tuple of Path
        The files written; with each figure its layout as JSON, which holds every number drawn.
    """
    from mtmeta.figures.api import draw_layout
    from mtmeta.figures.files import save
    from mtmeta.figures.layout.words import alt_text

    written: list[Path] = []
    for name, layout in _layouts(run, path, style=style):
        figure = draw_layout(layout, width=width).get_figure(root=True)  # type: ignore[arg-type]
        assert figure is not None
        written += save(
            figure, name, formats=formats, dpi=dpi, outline=outline, alt=alt_text(layout), layout=layout
        )
    return tuple(written)


def _layouts(run: AnalysisRun, path: Path, *, style: str) -> Iterator[tuple[Path, ForestLayout | GridLayout]]:
    yield path, forest_of(run, style=style)
    posterior = posterior_of(run, style=style)
    if posterior is not None:
        yield path.with_name(f"{path.name}-posterior"), posterior


def stale_figures(run: AnalysisRun, path: Path) -> list[str]:
    """Say where the figures beside their layouts no longer follow from the data; empty when they do.

    Parameters
    ----------
    run : AnalysisRun
    path : Path
        Of the forest plot, without suffix; the ``.json`` of each figure is read.

    Returns
    -------
    list of str
        Numbers are compared with tolerance, image bytes never.
    """
    from mtmeta.figures.layout.base import as_json, differences
    from mtmeta.figures.layout.words import document

    told: list[str] = []
    for name, _ in _layouts(run, path, style="plain"):
        beside = name.with_name(f"{name.name}.json")
        if not beside.is_file():
            told.append(f"there is no {beside}; draw the figure with mtmeta figures")
            continue
        old: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        style = old.get("style", {}).get("name", "plain")
        layout = dict(_layouts(run, path, style=style))[name]
        told += differences(old, json.loads(as_json(document(layout))))
    return told
