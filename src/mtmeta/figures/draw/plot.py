"""Plots with two axes become ink, whatever they show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mtmeta.figures.draw.canvas import Canvas, Meter, box_of, new_axes
from mtmeta.figures.draw.labels import draw_labels
from mtmeta.figures.draw.marks import clip, colour, draw_points, marker, mix, readable_on
from mtmeta.figures.draw.place import (
    BETWEEN,
    LINE,
    PAD,
    SAMPLE,
    Framed,
    Named,
    Point,
    names_size,
    page_size,
    place_plots,
)
from mtmeta.figures.layout.plot import Area, Cells, GridLayout, Layer, Line, PlotLayout, Points, Ranges
from mtmeta.figures.style import Style, Width, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_plot", "plot_axes"]

DASHES: dict[str, Any] = {"solid": "solid", "dashed": (0, (5, 2.5)), "dotted": (0, (1, 1.8))}


def plot_axes(layout: PlotLayout | GridLayout, *, width: float | Width | None = None) -> Axes:
    """Return a new ax on a page of the layout's natural proportions.

    Parameters
    ----------
    layout : PlotLayout or GridLayout
    width : float or {"single", "one-and-half", "double"}, optional
        Of the page in millimetres or in columns of the style's journal.
    """
    inches = width_of(width, layout.style)
    wide, tall, _ = page_size(layout, Meter(layout.style), width=None if inches is None else inches * 72.0)
    return new_axes(wide / 72.0, tall / 72.0, layout.style)


def draw_plot(layout: PlotLayout | GridLayout, ax: Axes) -> Axes:
    """Ink a plot on an ax, whose place on the page it fills.

    The ax's data units are the plot's own (the first plot's of a grid), so more can be drawn over it.

    Parameters
    ----------
    layout : PlotLayout or GridLayout
    ax : Axes

    Returns
    -------
    Axes
        The same.
    """
    meter = Meter(layout.style)
    width, height = box_of(ax)
    size, frames, foot = place_plots(layout, meter, width, height)
    canvas = Canvas(ax, meter, width, height)
    _units(canvas, frames[0])
    plots = [layout] if isinstance(layout, PlotLayout) else list(layout.plots)
    if isinstance(layout, GridLayout) and layout.title:
        canvas.text(PAD * size, 1.9 * size, meter.clean(layout.title), size=1.15 * size, bold=True)
    for i, line in enumerate(foot):
        y = height - (PAD * 0.6 + 1.4 * (len(foot) - 1 - i) + 0.3) * size
        canvas.text(PAD * size, y, line, size=size)
    for plot, frame in zip(plots, frames, strict=True):
        _draw_one(plot, frame, canvas)
    canvas.flush()
    ax.set_gid(layout.figure)
    return ax


def _units(canvas: Canvas, frame: Framed) -> None:
    """Let the ax's data units be those of the plot."""
    x, y = frame.x, frame.y
    per_x = (x.high - x.low) / max(frame.right - frame.left, 1e-9)
    per_y = (y.high - y.low) / max(frame.bottom - frame.top, 1e-9)
    canvas.x_of = lambda p: x.low + (p - frame.left) * per_x
    canvas.y_of = lambda p: y.low + (frame.bottom - p) * per_y
    canvas.claim(canvas.x_of(0.0), canvas.x_of(canvas.width))


def _draw_one(layout: PlotLayout, frame: Framed, canvas: Canvas) -> None:
    size = frame.size
    for i, line in enumerate(frame.title):
        y = frame.box[1] + (PAD + 1.0 + 1.1 * LINE * i) * size
        canvas.text(frame.box[0] + PAD * size, y, line, size=1.1 * size, bold=True)
    _draw_axes(layout, frame, canvas)
    for i, layer in enumerate(layout.layers):
        _draw_layer(layer, frame, canvas, layout.style, 1.0 + i / 100.0)
    draw_labels(layout, frame, canvas)
    _draw_below(layout, frame, canvas)


def _draw_layer(layer: Layer, frame: Framed, canvas: Canvas, style: Style, z: float) -> None:
    if isinstance(layer, Points):
        draw_points(layer, frame, canvas, style, z)
        return
    tone = colour(style, layer.tone)
    if isinstance(layer, Area):
        face = mix(tone, style.paper, layer.shade)
        points = [_kept(frame, x, y) for x, y in zip(layer.x, layer.y, strict=True)]
        edge = {"edge": tone, "width": style.hairline} if layer.edge else {}
        canvas.shape(points, face=face, z=z, **edge)  # type: ignore[arg-type]
    elif isinstance(layer, Line):
        for piece in inside(frame, layer):
            canvas.line(piece, colour=tone, width=layer.width * style.line, dash=DASHES[layer.dash], z=z)
    elif isinstance(layer, Ranges):
        for at, low, high in zip(layer.at, layer.low, layer.high, strict=True):
            ends = (
                (frame.at(at, low), frame.at(at, high))
                if layer.upright
                else (frame.at(low, at), frame.at(high, at))
            )
            cut = clip(*ends, frame.inner)
            if cut is not None:
                canvas.line(cut, colour=tone, width=layer.width * style.line, z=z)
    elif isinstance(layer, Cells):
        _draw_cells(layer, frame, canvas, style, z)
    else:
        x, y = frame.at(layer.x, layer.y)
        text = canvas.meter.clean(layer.text)
        y += 0.36 * frame.size
        canvas.text(x, y, text, size=frame.size, align=layer.align, bold=layer.bold, colour=tone)


def _draw_cells(layer: Cells, frame: Framed, canvas: Canvas, style: Style, z: float) -> None:
    tone = colour(style, layer.tone)
    # colours in 24 steps, so that a map of thousands of cells is a few artists
    for i, level in enumerate(layer.level):
        face = mix(tone, style.paper, round(24 * min(max(level, 0.0), 1.0)) / 24)
        a, b = frame.at(layer.left[i], layer.bottom[i]), frame.at(layer.right[i], layer.top[i])
        box = [(a[0], a[1]), (b[0], a[1]), (b[0], b[1]), (a[0], b[1])]
        edge = style.paper if layer.edge else face
        canvas.shape(box, face=face, edge=edge, width=1.0 if layer.edge else 0.15, z=z)
        if layer.text and layer.text[i]:
            x, y = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2 + 0.36 * frame.size
            text = canvas.meter.clean(layer.text[i])
            wide = canvas.meter.width(text, frame.size) < abs(b[0] - a[0]) - 0.3 * frame.size
            if wide and abs(b[1] - a[1]) > 0.95 * frame.size:
                canvas.text(x, y, text, size=frame.size, align="centre", colour=readable_on(face, style))


def _kept(frame: Framed, x: float, y: float) -> Point:
    px, py = frame.at(x, y)
    return (min(max(px, frame.left), frame.right), min(max(py, frame.top), frame.bottom))


def inside(frame: Framed, line: Line) -> Iterator[list[Point]]:
    """Yield the pieces of a line that lie inside the frame."""
    points = [frame.at(x, y) for x, y in zip(line.x, line.y, strict=True)]
    piece: list[Point] = []
    for a, b in pairwise(points):
        cut = clip(a, b, frame.inner)
        if cut is not None and piece and math.dist(piece[-1], cut[0]) < 1e-6:
            piece.append(cut[1])
            continue
        if piece:
            yield piece
        piece = [] if cut is None else [*cut]
    if piece:
        yield piece


# ---- axes, legend, foot -----------------------------------------------------------------------


def _draw_axes(layout: PlotLayout, frame: Framed, canvas: Canvas) -> None:
    style, size = layout.style, frame.size
    faint = mix(style.muted, style.paper, 0.25)
    width = style.hairline * 1.2
    canvas.line(
        [(frame.left, frame.bottom), (frame.right, frame.bottom)], colour=style.rule, width=width, z=4.0
    )
    canvas.line([(frame.left, frame.top), (frame.left, frame.bottom)], colour=style.rule, width=width, z=4.0)
    tick = 0.4 * size
    for value in layout.x.ticks:
        x, _ = frame.at(value, layout.y.low)
        if not layout.x.names:
            canvas.line([(x, frame.bottom), (x, frame.bottom + tick)], colour=style.rule, width=width, z=4.0)
        if layout.x.grid:
            canvas.line([(x, frame.top), (x, frame.bottom)], colour=faint, width=style.hairline, z=0.9)
    for value in layout.y.ticks:
        _, y = frame.at(layout.x.low, value)
        if not layout.y.names:
            canvas.line([(frame.left - tick, y), (frame.left, y)], colour=style.rule, width=width, z=4.0)
        if layout.y.grid:
            canvas.line([(frame.left, y), (frame.right, y)], colour=faint, width=style.hairline, z=0.9)
    _tick_labels(layout, frame, canvas)
    meter = canvas.meter
    if layout.x.label:
        y = frame.bottom + (0.4 + LINE * frame.x_depth + LINE) * size
        middle = (frame.left + frame.right) / 2
        half = meter.width(meter.clean(layout.x.label), size) / 2
        middle = min(max(middle, frame.box[0] + PAD * size + half), frame.box[2] - PAD * size - half)
        canvas.text(middle, y, meter.clean(layout.x.label), size=size, align="centre")
    if layout.y.label:
        widest = max((meter.width(t, size) for lines in frame.y_lines for t in lines), default=0.0)
        x = frame.left - widest - 1.15 * size
        middle = (frame.top + frame.bottom) / 2
        canvas.text(x, middle, meter.clean(layout.y.label), size=size, align="centre", turn=90.0)


def _tick_labels(layout: PlotLayout, frame: Framed, canvas: Canvas) -> None:
    """Set tick labels, leaving out those that would touch the one before."""
    size, meter = frame.size, canvas.meter
    last = -math.inf
    for value, lines in zip(layout.x.ticks, frame.x_lines, strict=True):
        x, _ = frame.at(value, layout.y.low)
        half = max(meter.width(t, size) for t in lines) / 2
        if x - half > last + 0.3 * size:
            for i, text in enumerate(lines):
                canvas.text(x, frame.bottom + (1.45 + LINE * i) * size, text, size=size, align="centre")
            last = x + half
    placed = [(frame.at(layout.x.low, v)[1], t) for v, t in zip(layout.y.ticks, frame.y_lines, strict=True)]
    last = math.inf
    small = names_size(frame)
    for middle, lines in sorted(placed, key=lambda p: -p[0]):
        tall = LINE * (len(lines) - 1) * small
        if not layout.y.names and middle + tall / 2 + 0.5 * small > last:
            continue
        for i, text in enumerate(lines):
            y = middle - tall / 2 + (0.36 + LINE * i) * small
            canvas.text(frame.left - 0.7 * size, y, text, size=small, align="right")
        last = middle - tall / 2 - 0.5 * small


def _draw_below(layout: PlotLayout, frame: Framed, canvas: Canvas) -> None:
    style, size, meter = layout.style, frame.size, canvas.meter
    y = frame.bottom + (0.45 + LINE * frame.x_depth + (LINE + 0.3 if layout.x.label else 0.2)) * size
    y += 0.5 * size if frame.legend else 0.0
    for row in frame.legend:
        x = frame.box[0] + PAD * size
        for layer in row:
            _sample(layer, x, y + 0.75 * size, size, style, canvas)
            text = meter.clean(layer.name)
            canvas.text(x + SAMPLE * size, y + 1.1 * size, text, size=size)
            x += (SAMPLE + BETWEEN) * size + meter.width(text, size)
        y += 1.6 * size
    y += 0.5 * size if frame.foot else 0.0
    for line in frame.foot:
        canvas.text(frame.box[0] + PAD * size, y + size, line, size=size)
        y += 1.4 * size


def _sample(layer: Named, x: float, y: float, size: float, style: Style, canvas: Canvas) -> None:
    tone = colour(style, layer.tone)
    if isinstance(layer, Line | Ranges):
        dash = DASHES[layer.dash] if isinstance(layer, Line) else "solid"
        ends = [(x, y), (x + 1.7 * size, y)]
        canvas.line(ends, colour=tone, width=layer.width * style.line, dash=dash)
    elif isinstance(layer, Points):
        face = style.paper if layer.hollow else mix(tone, style.paper, layer.alpha)
        edge = style.muted if layer.rim else tone
        outline = marker(layer.shape, x + 0.85 * size, y, 0.36 * size)
        canvas.shape(outline, face=face, edge=edge, width=style.hairline if layer.rim else style.line)
    else:
        share = layer.shade if isinstance(layer, Area) else max(layer.level, default=1.0)
        h = 0.45 * size
        box = [(x, y - h), (x + 1.6 * size, y - h), (x + 1.6 * size, y + h), (x, y + h)]
        canvas.shape(box, face=mix(tone, style.paper, share), edge=style.muted, width=style.hairline)
