"""The forest plot of an analysis, as its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtmeta.audit.run import AnalysisRun

if TYPE_CHECKING:
    from mtmeta.figures.layout.table import ForestLayout

__all__ = ["forest_of", "save_forest"]


def forest_of(run: AnalysisRun, *, style: str = "plain") -> ForestLayout:
    """Return the layout of an analysis' forest plot; groups stand apart where the analysis has them."""
    from mtmeta.figures.layout.forest import forest_layout

    return forest_layout(
        run.result if run.subgroups is None else run.subgroups,
        left=_left(run),
        better=run.analysis.better,
        title=run.analysis.title,
        level=run.analysis.model.level,
        style=style,  # type: ignore[arg-type]
    )


def _left(run: AnalysisRun) -> tuple[str, ...] | None:
    """Show the participants of both arms together where a source does not tell which arm is which."""
    n1, n = run.effects.n1, run.effects.n
    if n is not None and (n1 is None or np.isnan(n1).any()):
        return ("study", "n")
    return None


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
    from mtmeta.figures.files import save
    from mtmeta.figures.layout.words import alt_text

    layout = forest_of(run, style=style)
    figure = draw_forest(layout, forest_axes(layout)).get_figure(root=True)
    assert figure is not None
    return save(figure, path, formats=formats, dpi=dpi, alt=alt_text(layout))
