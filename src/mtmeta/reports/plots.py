"""The forest plot of an analysis, as its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtmeta.audit.run import AnalysisRun

if TYPE_CHECKING:
    from mtmeta.figures.api import AnyLayout
    from mtmeta.figures.layout.table import ForestLayout

__all__ = ["forest_of", "layout_svg", "save_forest", "stale_figure"]


def forest_of(run: AnalysisRun, *, style: str = "plain") -> ForestLayout:
    """Return the layout of an analysis' forest plot; groups stand apart where the analysis has them."""
    from mtmeta.figures.layout.forest import forest_layout

    return forest_layout(
        run.result if run.subgroups is None else run.subgroups,
        better=run.analysis.better,
        title=run.analysis.title,
        level=run.analysis.model.level,
        style=style,  # type: ignore[arg-type]
    )


def layout_svg(layout: AnyLayout) -> str:
    """Draw a layout and return its SVG as text."""
    from mtmeta.figures.api import draw_layout
    from mtmeta.figures.files import render
    from mtmeta.figures.layout.words import alt_text

    figure = draw_layout(layout).get_figure(root=True)
    assert figure is not None
    return render(figure, "svg", alt=alt_text(layout)).decode()


def save_forest(
    run: AnalysisRun,
    path: Path,
    *,
    formats: Sequence[str] = ("svg", "pdf", "png"),
    dpi: float = 300,
    style: str = "plain",
    width: float | str | None = None,
    outline: bool = False,
) -> tuple[Path, ...]:
    """Draw the forest plot of an analysis and write it with its layout, all files or none.

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
        The files written; the last is the layout as JSON, which holds every number drawn.
    """
    from mtmeta.figures.draw.forest import draw_forest, forest_axes
    from mtmeta.figures.files import save
    from mtmeta.figures.layout.words import alt_text

    layout = forest_of(run, style=style)
    ax = forest_axes(layout, width=width)  # type: ignore[arg-type]  # checked there
    figure = draw_forest(layout, ax).get_figure(root=True)
    assert figure is not None
    return save(figure, path, formats=formats, dpi=dpi, outline=outline, alt=alt_text(layout), layout=layout)


def stale_figure(run: AnalysisRun, path: Path) -> list[str]:
    """Say where the figure beside a layout no longer follows from its data; empty when it does.

    Parameters
    ----------
    run : AnalysisRun
    path : Path
        Of the figure, without suffix; its ``.json`` is read.

    Returns
    -------
    list of str
        Numbers are compared with tolerance, image bytes never.
    """
    from mtmeta.figures.layout.base import differences

    beside = path.with_name(f"{path.name}.json")
    if not beside.is_file():
        return [f"there is no {beside}; draw the figure with mtmeta figures"]
    old: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    style = old.get("style", {}).get("name", "plain")
    return differences(old, json.loads(forest_of(run, style=style).to_json()))
