"""The figures of an analysis, as their files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mtmeta.audit.run import AnalysisRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mtmeta.figures.api import AnyLayout
    from mtmeta.figures.layout.plot import GridLayout, PlotLayout
    from mtmeta.figures.layout.table import ForestLayout

__all__ = [
    "LONGEST",
    "drawn",
    "forest_files",
    "forest_of",
    "funnel_of",
    "layout_svg",
    "posterior_of",
    "report_layouts",
    "save_figures",
    "stale_figures",
]

_Name = TypeVar("_Name", str, Path)

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


def forest_files(layout: ForestLayout, name: str) -> tuple[tuple[str, ForestLayout], ...]:
    """Return what of a forest plot goes to which file: all to one, or a page each where it is too long."""
    from mtmeta.figures.layout.pages import forest_pages

    pages = forest_pages(layout)
    if len(pages) == 1:
        return ((name, layout),)
    return tuple((f"{name}-page-{i}", page) for i, page in enumerate(pages, 1))


def posterior_of(run: AnalysisRun, *, style: str = "plain") -> GridLayout | None:
    """Return the layout of prior and posterior, a row of panels for each pair of priors; None without."""
    if not run.bayes:
        return None
    from mtmeta.figures.layout.posterior import posterior_layout
    from mtmeta.figures.layout.protocols import prior_words

    return posterior_layout(
        [one.result for one in run.bayes],
        names=[prior_words(one.result.tau_prior) for one in run.bayes],
        title=run.analysis.title,
        style=style,  # type: ignore[arg-type]  # checked there
    )


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
        yield from forest_files(forest_of(run), name)
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

    A forest plot of more than 50 rows becomes several files, ``-page-1``, ``-page-2`` …

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
    from mtmeta.figures.files import save
    from mtmeta.figures.layout.words import alt_text

    written: list[Path] = []
    for name, layout, figure in drawn(list(_layouts(run, path, style=style)), width=width):
        written += save(
            figure, name, formats=formats, dpi=dpi, outline=outline, alt=alt_text(layout), layout=layout
        )
    return tuple(written)


def drawn(
    layouts: Sequence[tuple[_Name, AnyLayout]], *, width: float | str | None = None
) -> Iterator[tuple[_Name, AnyLayout, Figure]]:
    """Draw layouts one after the other; the pages of one forest plot are as wide as the widest of them."""
    from mtmeta.figures.api import draw_layout
    from mtmeta.figures.draw.forest import natural_width
    from mtmeta.figures.layout.table import ForestLayout

    pages = [layout for _, layout in layouts if isinstance(layout, ForestLayout)]
    paged = width
    if width is None and len(pages) > 1:
        paged = max(map(natural_width, pages))
    for name, layout in layouts:
        wide = paged if isinstance(layout, ForestLayout) else width
        figure = draw_layout(layout, width=wide).get_figure(root=True)  # type: ignore[arg-type]
        assert figure is not None
        yield name, layout, figure


def _layouts(run: AnalysisRun, path: Path, *, style: str) -> Iterator[tuple[Path, ForestLayout | GridLayout]]:
    for name, layout in forest_files(forest_of(run, style=style), path.name):
        yield path.with_name(name), layout
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
        Numbers are compared with tolerance, image bytes never. A page that the forest plot no longer has
        is told too.
    """
    from mtmeta.figures.layout.base import as_json, differences
    from mtmeta.figures.layout.words import document

    current = {name.name for name, _ in _layouts(run, path, style="plain")}
    told = [
        f"{page} is a page that the forest plot no longer has; delete it and its images"
        for page in sorted(path.parent.glob(f"{escape(path.name)}-page-*.json"))
        if page.stem not in current
    ]
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
