"""Figures in one call: layout and ink together, on a new page or on any ax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from mtmeta.figures.layout.axes import Better
from mtmeta.figures.layout.flow import FlowLayout
from mtmeta.figures.layout.forest import forest_layout
from mtmeta.figures.layout.frame import ColumnLike
from mtmeta.figures.layout.funnel import PetPeeseLike, SelectionLike, TrimFillLike, funnel_layout
from mtmeta.figures.layout.lights import RobTable
from mtmeta.figures.layout.plot import GridLayout, PlotLayout
from mtmeta.figures.layout.protocols import PooledLike, SubgroupLike
from mtmeta.figures.layout.table import ForestLayout
from mtmeta.figures.style import Style, StyleName, Width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AnyLayout", "draw_layout", "forest", "funnel"]

AnyLayout = ForestLayout | PlotLayout | GridLayout | FlowLayout


def draw_layout(layout: AnyLayout, ax: Axes | None = None, *, width: float | Width | None = None) -> Axes:
    """Ink any layout, on a new page or on any ax.

    Parameters
    ----------
    layout : ForestLayout, PlotLayout, GridLayout or FlowLayout
        What a ``..._layout`` function returned.
    ax : Axes, optional
        Whose place the figure fills; a new page of the right size by default.
    width : float or {"single", "one-and-half", "double"}, optional
        Of a new page, in millimetres or in columns of the style's journal.

    Returns
    -------
    Axes
        ``ax.figure`` is what :func:`save` takes.
    """
    if isinstance(layout, ForestLayout):
        from mtmeta.figures.draw.forest import draw_forest, forest_axes

        return draw_forest(layout, forest_axes(layout, width=width) if ax is None else ax)
    if isinstance(layout, FlowLayout):
        from mtmeta.figures.draw.flow import draw_flow, flow_axes

        return draw_flow(layout, flow_axes(layout, width=width) if ax is None else ax)
    from mtmeta.figures.draw.plot import draw_plot, plot_axes

    return draw_plot(layout, plot_axes(layout, width=width) if ax is None else ax)


def forest(
    result: PooledLike | SubgroupLike | Sequence[PooledLike],
    ax: Axes | None = None,
    *,
    left: Sequence[ColumnLike] | None = None,
    right: Sequence[ColumnLike] | None = None,
    sort: str | None = None,
    group: str | None = None,
    rob: RobTable | None = None,
    better: Better | None = None,
    arms: tuple[str, str] = ("music", "control"),
    mid: float | Sequence[float] = (),
    xlim: tuple[float, float] | None = None,
    prediction: Literal["bar", "shade", "density", "none"] = "bar",
    level: float = 0.95,
    title: str = "",
    style: Style | StyleName = "plain",
    width: float | Width | None = None,
) -> Axes:
    """Draw a forest plot.

    Parameters
    ----------
    result : pooled result, result of subgroups, or several results of the same effects
    ax : Axes, optional
        Whose place the plot fills; a new page of the right size by default.
    left, right, sort, group, rob, better, arms, mid, xlim, prediction, level, title, style
        See :func:`mtmeta.figures.layout.forest.forest_layout`.
    width : float or {"single", "one-and-half", "double"}, optional
        Of a new page, in millimetres or in columns of the style's journal.

    Returns
    -------
    Axes
        Its x axis is the effect on the scale of analysis. ``ax.figure`` is what :func:`save` takes.

    Examples
    --------
    BCG vaccine: the axis is logarithmic, the labels are relative risks, and the diamond stands at
    0.49 [0.34, 0.70] (Viechtbauer 2010, J Stat Softw 36(3), p. 21).

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.pool import RandomEffects
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> ax = forest(RandomEffects(ci="Wald").fit(EffectSizes.of(y, v, measure="RR")))
    >>> [text.get_text() for text in ax.texts][:3]
    ['Study', 'RR [95% CI]', 'Weight']
    >>> "0.49 [0.34, 0.70]" in " ".join(text.get_text() for text in ax.texts)
    True
    """
    layout = forest_layout(
        result,
        left=left,
        right=right,
        sort=sort,
        group=group,
        rob=rob,
        better=better,
        arms=arms,
        mid=mid,
        xlim=xlim,
        prediction=prediction,
        level=level,
        title=title,
        style=style,
    )
    return draw_layout(layout, ax, width=width)


def funnel(
    result: PooledLike,
    ax: Axes | None = None,
    *,
    contours: Sequence[float] = (),
    filled: tuple[Any, Any] | TrimFillLike | None = None,
    curves: Sequence[tuple[str, Any, Any]] | PetPeeseLike | SelectionLike = (),
    power: float | None = None,
    labels: Literal["none", "outside", "all"] = "none",
    level: float = 0.95,
    xlim: tuple[float, float] | None = None,
    title: str = "",
    style: Style | StyleName = "plain",
    width: float | Width | None = None,
) -> Axes:
    """Draw a funnel plot.

    Parameters
    ----------
    result : pooled result
    ax : Axes, optional
        Whose place the plot fills; a new page by default.
    contours, filled, curves, power, labels, level, xlim, title, style
        See :func:`mtmeta.figures.layout.funnel.funnel_layout`.
    width : float or {"single", "one-and-half", "double"}, optional
        Of a new page, in millimetres or in columns of the style's journal.

    Returns
    -------
    Axes
        In the plot's own units: effect across, standard error down.

    Examples
    --------
    BCG vaccine, log relative risks: the axis of standard errors points down.

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.pool import RandomEffects
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> ax = funnel(RandomEffects().fit(EffectSizes.of(y, v, measure="RR")))
    >>> bottom, top = ax.get_ylim()
    >>> bool(bottom > max(v) ** 0.5 > top)
    True
    """
    layout = funnel_layout(
        result,
        contours=contours,
        filled=filled,
        curves=curves,
        power=power,
        labels=labels,
        level=level,
        xlim=xlim,
        title=title,
        style=style,
    )
    return draw_layout(layout, ax, width=width)
