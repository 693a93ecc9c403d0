"""The forest plot of an analysis, as its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtmeta.audit.run import AnalysisRun

__all__ = ["forest_of", "save_forest"]


def forest_of(run: AnalysisRun, *, style: str = "plain") -> object:
    """Return the layout of an analysis' forest plot; groups stand apart where the analysis has them."""
    from mtmeta.figures.layout.forest import forest_layout

    return forest_layout(
        run.result,
        better=run.analysis.better,
        title=run.analysis.title,
        level=run.analysis.model.level,
        style=style,  # type: ignore[arg-type]
    )


def save_forest(
    run: AnalysisRun,
    path: Path,
    *,
    formats: Sequence[str] = ("svg", "pdf", "png"),
    dpi: float = 300,
    style: str = "plain",
) -> tuple[Path, ...]:
    """Draw the forest plot of an analysis and write it, all formats or none.

    Parameters
    ----------
    run : AnalysisRun
    path : Path
        Without suffix.
    formats, dpi, style
        See :func:`mtmeta.figures.save`.

    Returns
    -------
    tuple of Path
        The files written.
    """
    from mtmeta.figures.draw.forest import draw_forest, forest_axes
    from mtmeta.figures.layout.words import alt_text
    from mtmeta.figures.files import save

    layout = forest_of(run, style=style)
    ax = draw_forest(layout, forest_axes(layout))  # type: ignore[arg-type]
    return save(ax.figure, path, formats=formats, dpi=dpi, alt=alt_text(layout))  # type: ignore[arg-type]
