"""What notebooks show: computed sentences, figures that need no front end, sliders where there is one."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mtmeta.audit.run import AnalysisRun
    from mtmeta.figures.api import AnyLayout
    from mtmeta.records.folder import Studies

__all__ = ["question", "records", "say", "show", "slide"]

DPI = 120


def say(text: str) -> None:
    """Show Markdown text, whose numbers a notebook computes.

    Parameters
    ----------
    text : str
    """
    from IPython.display import Markdown, display

    display(Markdown(text))


def show(what: AnyLayout | Axes | Figure, *, width: float | None = None) -> None:
    """Show a figure as an image, in any front end and in none.

    Parameters
    ----------
    what : layout, Axes or Figure
        A layout is drawn first, and describes itself to readers who do not see the image.
    width : float, optional
        Of a layout's page, in millimetres.
    """
    from IPython.display import Image, display
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mtmeta.figures import alt_text, draw_layout

    alt = "figure"
    figure: Figure
    if isinstance(what, Figure):
        figure = what
    elif isinstance(what, Axes):
        top = what.get_figure(root=True)
        assert top is not None
        figure = top
    else:
        alt = alt_text(what)
        top = draw_layout(what, width=width).get_figure(root=True)
        assert top is not None
        figure = top
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", facecolor=figure.get_facecolor())
    if "matplotlib.pyplot" in sys.modules:  # where pyplot owns the figure it would be shown once more
        sys.modules["matplotlib.pyplot"].close(figure)
    pixels = figure.get_size_inches()[0] * DPI
    display(Image(data=buffer.getvalue(), format="png", width=min(900, int(pixels * 0.8)), alt=alt))


def slide(draw: Callable[..., None], **controls: Any) -> None:
    """Let the reader move what a function draws; without ipywidgets draw it once.

    Parameters
    ----------
    draw : callable
        Shows something for keyword arguments of the controls' names; their defaults are its own.
    **controls
        As ``ipywidgets.interact`` takes them: ``(low, high, step)`` a slider, a list a menu, a bool a box.
    """
    try:
        from ipywidgets import interact
    except ImportError:
        draw()
        return
    interact(draw, **controls)


@cache
def records() -> Studies:
    """Return the records that mtmeta brings along, read once."""
    from mtmeta.records.locate import example_studies

    return example_studies()


@cache
def question(name: str) -> AnalysisRun:
    """Run a shipped analysis by its name, such as ``"icu-anxiety"``.

    Parameters
    ----------
    name : str

    Returns
    -------
    AnalysisRun
        Its ``effects``, ``result``, ``published``, ``subgroups``, ``left_out``.

    Examples
    --------
    State anxiety of ventilated patients, Bradt 2014 (CD006902.pub3): -1.11 [-1.75, -0.47], 5 trials.

    >>> question("icu-anxiety").published[0].agreement
    'agrees'
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.records.locate import data_folder

    (named,) = read_analyses([data_folder("analyses") / f"{name}.yaml"])
    return run_analysis(named.analysis, records())
