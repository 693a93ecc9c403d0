"""Effects against a moderator: bubble plot with its band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import axis_ticks
from mtmeta.figures.layout.plot import (
    Area,
    Axis,
    Layer,
    Line,
    PlotLayout,
    Points,
    floats,
    make_axis,
    need_columns,
    spread,
)
from mtmeta.figures.layout.protocols import axis_name, has_null
from mtmeta.figures.layout.ticks import robust_range
from mtmeta.figures.layout.words import level_words
from mtmeta.figures.style import Style, StyleName, style_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["bubble_layout"]


def bubble_layout(
    effects: EffectSizes,
    moderator: str | Any,
    line: pd.DataFrame,
    *,
    weights: Any = None,
    labels: bool = False,
    x_label: str = "",
    level: float = 0.95,
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out a bubble plot: effects against a moderator with the regression line and its band.

    Parameters
    ----------
    effects : EffectSizes
    moderator : str or array of length k
        A column of ``effects.moderators``, or the values.
    line : DataFrame
        The line's places in the column named as the moderator (or ``x``), with ``estimate``, ``ci_low``,
        ``ci_high`` and, if a prediction band is to be drawn, ``pi_low``, ``pi_high``: what
        ``fit.predict`` returns for them, joined with them.
    weights : array of length k, optional
        Bubble areas; inverse variances by default.
    labels : bool
        Name the studies.
    x_label, level, title, style
        As everywhere.

    Raises
    ------
    UsageError
        For an unknown moderator, or a line without these columns.
    """
    look = style_of(style)
    name = moderator if isinstance(moderator, str) else "x"
    if isinstance(moderator, str):
        table = effects.moderators
        if table is None or moderator not in table.columns:
            have = [] if table is None else [str(c) for c in table.columns]
            raise UsageError(f"there is no moderator {moderator!r}; the moderators are {have}")
        x = floats(table[moderator])
    else:
        x = floats(moderator)
    if len(x) != effects.k:
        raise UsageError(f"the moderator has {len(x)} values for {effects.k} effects; give one a row")
    where = name if name in line.columns else "x"
    need_columns(line, where, "estimate", "ci_low", "ci_high")
    at = floats(line[where])
    layers: list[Layer] = []
    percent = level_words(level, look, interval=False)
    if "pi_low" in line.columns:
        low, high = floats(line["pi_low"]), floats(line["pi_high"])
        for edge, said in ((low, f"{percent} prediction band"), (high, "")):
            layers.append(Line(at, edge, tone="prediction", dash="dashed", width=0.9, name=said))
    low, high = floats(line["ci_low"]), floats(line["ci_high"])
    layers.append(
        Area(
            (*at, *at[::-1]),
            (*low, *high[::-1]),
            tone="diamond",
            shade=0.18,
            name=f"{percent} CI of the line",
        )
    )
    ends = spread((*x, *at), margin=0.05)
    if has_null(effects.measure):
        layers.append(Line(ends, (effects.measure.null,) * 2, tone="null", width=0.8))
    layers.append(Line(at, floats(line["estimate"]), tone="diamond", width=1.6))
    y = floats(effects.yi)
    big = floats(1.0 / effects.vi if weights is None else weights)
    area = tuple(0.35 + 4.0 * w / max(big) for w in big)
    names = tuple(effects.study) if labels else ()
    layers.append(Points(x, y, area=area, tone="square", alpha=0.55, labels=names))
    must = [effects.measure.null] if has_null(effects.measure) else []
    if "pi_low" in line.columns:
        must += [*floats(line["pi_low"]), *floats(line["pi_high"])]
    bottom, top = robust_range(y, low, high, must)
    ticks, values, words = axis_ticks(bottom, top, effects.measure, look)
    return PlotLayout(
        figure="bubble plot",
        x=make_axis(*ends, look, label=x_label or name.replace("_", " ").capitalize()),
        y=Axis(bottom, top, ticks, values, words, axis_name(effects.measure, look)),
        layers=tuple(layers),
        summary=(("k", float(effects.k)),),
        title=title,
        foot=(
            "Areas of bubbles are by inverse variance"
            if weights is None
            else "Areas of bubbles are by weight",
        ),
        style=look,
    )
