"""Plots with two axes become ink, whatever they show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from mtmeta.figures.draw.canvas import Canvas, Meter, box_of, new_axes
from mtmeta.figures.layout.plot import Area, Axis, GridLayout, Line, Note, PlotLayout, Points
from mtmeta.figures.style import Style, Width, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_plot", "plot_axes"]

Point = tuple[float, float]
Box = tuple[float, float, float, float]

PAD = 0.9
LINE = 1.25
DASHES = {"solid": "solid", "dashed": (0, (5, 2.5)), "dotted": (0, (1, 1.8))}


@dataclass(frozen=True)
class _Frame:
    """The rectangle of the axes inside the page, in points, and how data get there."""

    left: float
    top: float
    right: float
    bottom: float
    size: float
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place of a data point in points."""
        across = (x - self.x.low) / (self.x.high - self.x.low)
        up = (y - self.y.low) / (self.y.high - self.y.low)
        return (self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top))


def colour(style: Style, tone: str) -> str:
    """Return the colour of a role: a field of the style, "palette i", or a colour itself."""
    if tone.startswith("palette "):
        return style.palette[int(tone.split()[1]) % len(style.palette)]
    return tone if tone.startswith("#") else str(getattr(style, tone))


def mix(front: str, back: str, share: float) -> str:
    """Return a colour between two, so that no transparency is needed in print."""
    a, b = (tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in (front, back))
    return "#" + "".join(f"{round(share * p + (1 - share) * q):02X}" for p, q in zip(a, b, strict=True))


def plot_axes(layout: PlotLayout | GridLayout, *, width: float | Width | None = None) -> Axes:
    """Return a new ax on a page of the layout's natural proportions.

    Parameters
    ----------
    layout : PlotLayout or GridLayout
    width : float or {"single", "one-and-half", "double"}, optional
        Of the page in millimetres or in columns of the style's journal.
    """
    wide, tall = natural_size(layout)
    inches = width_of(width, layout.style)
    if inches is None:
        return new_axes(wide / 72.0, tall / 72.0, layout.style)
    return new_axes(inches, tall / 72.0 * min(1.0, inches * 72.0 / wide), layout.style)


def natural_size(layout: PlotLayout | GridLayout) -> tuple[float, float]:
    """Return width and height in points at the style's text size."""
    if isinstance(layout, PlotLayout):
        size = layout.style.size
        return (layout.width * size, (layout.height + _below(layout, Meter(layout.style))) * size)
    sizes = [natural_size(p) for p in layout.plots]
    rows = [sizes[i : i + layout.columns] for i in range(0, len(sizes), layout.columns)]
    head = _grid_head(layout)
    return (max(sum(s[0] for s in row) for row in rows), sum(max(s[1] for s in row) for row in rows) + head)


def _grid_head(layout: GridLayout) -> float:
    return (2.4 if layout.title else 0.0) * layout.style.size


def _below(layout: PlotLayout, meter: Meter) -> float:
    """Lines under the axis in multiples of the text size: legend and foot."""
    size, room = layout.style.size, (layout.width - 2 * PAD) * layout.style.size
    foot = sum(len(meter.wrap(meter.clean(line), size, room)) for line in layout.foot)
    legend = len(_legend_rows(layout, meter, size, room))
    return 1.4 * foot + (0.4 if foot else 0.0) + 1.6 * legend + (0.4 if legend else 0.0)


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
    wide, tall = natural_size(layout)
    size = layout.style.size * min(1.0, width / wide, height / tall)
    canvas = Canvas(ax, meter, width, height)
    plots = list(_places(layout, width, height, size))
    frames = [_frame(p, meter, box, size) for p, box in plots]
    _units(canvas, frames[0], width, height)
    if isinstance(layout, GridLayout) and layout.title:
        canvas.text(PAD * size, 1.9 * size, meter.clean(layout.title), size=1.15 * size, bold=True)
    for (plot, box), frame in zip(plots, frames, strict=True):
        _draw_one(plot, frame, box, canvas)
    canvas.flush()
    ax.set_gid(layout.figure)
    return ax


def _places(
    layout: PlotLayout | GridLayout, width: float, height: float, size: float
) -> Iterator[tuple[PlotLayout, tuple[float, float, float, float]]]:
    if isinstance(layout, PlotLayout):
        yield layout, (0.0, 0.0, width, height)
        return
    top = _grid_head(layout) * size / layout.style.size
    rows = -(-len(layout.plots) // layout.columns)
    w, h = width / layout.columns, (height - top) / rows
    for i, plot in enumerate(layout.plots):
        row, column = divmod(i, layout.columns)
        yield plot, (column * w, top + row * h, (column + 1) * w, top + (row + 1) * h)


def _units(canvas: Canvas, frame: _Frame, width: float, height: float) -> None:
    """Let the ax's data units be those of the plot."""
    x, y = frame.x, frame.y
    per_x = (x.high - x.low) / max(frame.right - frame.left, 1e-9)
    per_y = (y.high - y.low) / max(frame.bottom - frame.top, 1e-9)
    canvas.x_of = lambda p: x.low + (p - frame.left) * per_x
    canvas.y_of = lambda p: y.low + (frame.bottom - p) * per_y
    canvas.claim(canvas.x_of(0.0), canvas.x_of(width))


def _frame(layout: PlotLayout, meter: Meter, box: tuple[float, float, float, float], size: float) -> _Frame:
    left, top, right, bottom = box
    widest = max((meter.width(meter.clean(t), size) for t in layout.y.labels), default=0.0)
    overhang = meter.width(meter.clean(layout.x.labels[-1]), size) / 2 if layout.x.labels else 0.0
    room = right - left - 2 * PAD * size
    foot = sum(len(meter.wrap(meter.clean(line), size, room)) for line in layout.foot)
    legend = len(_legend_rows(layout, meter, size, room))
    below = 0.45 + 1.2 + (LINE + 0.3 if layout.x.label else 0.2) + 1.4 * foot + (0.4 if foot else 0.0)
    below += 1.6 * legend + (0.4 if legend else 0.0)
    label = (LINE + 0.25) * size if layout.y.label else 0.0
    return _Frame(
        left=left + PAD * size + label + widest + 0.7 * size,
        top=top + (PAD + (2.0 if layout.title else 0.3)) * size,
        right=right - max(PAD * size, overhang + 0.4 * size),
        bottom=bottom - (PAD * 0.6 + below) * size,
        size=size,
        x=layout.x,
        y=layout.y,
    )


def _draw_one(
    layout: PlotLayout, frame: _Frame, box: tuple[float, float, float, float], canvas: Canvas
) -> None:
    style, size, meter = layout.style, frame.size, canvas.meter
    if layout.title:
        lines = meter.wrap(meter.clean(layout.title), size * 1.1, box[2] - box[0] - 2 * PAD * size, bold=True)
        canvas.text(box[0] + PAD * size, box[1] + 1.9 * size, lines[0], size=1.1 * size, bold=True)
    _draw_axes(layout, frame, canvas)
    for z, layer in enumerate(layout.layers):
        if isinstance(layer, Area):
            face = mix(colour(style, layer.tone), style.paper, layer.shade)
            edge = colour(style, layer.tone) if layer.edge else "none"
            points = [_kept(frame, x, y) for x, y in zip(layer.x, layer.y, strict=True)]
            canvas.shape(
                points, face=face, edge=edge, width=style.hairline if layer.edge else 0.0, z=1 + z / 100
            )
        elif isinstance(layer, Line):
            for piece in _inside(frame, layer):
                canvas.line(
                    piece,
                    colour=colour(style, layer.tone),
                    width=layer.width * style.line,
                    dash=DASHES[layer.dash],
                    z=1 + z / 100,
                )
        elif isinstance(layer, Points):
            _draw_points(layout, frame, layer, canvas, 2 + z / 100)
        elif isinstance(layer, Note):
            x, y = frame.at(layer.x, layer.y)
            tone = colour(style, layer.tone)
            canvas.text(
                x,
                y + 0.36 * size,
                meter.clean(layer.text),
                size=size,
                align=layer.align,
                bold=layer.bold,
                colour=tone,
            )
    _draw_labels(layout, frame, canvas)
    _draw_below(layout, frame, box, canvas)


def _kept(frame: _Frame, x: float, y: float) -> tuple[float, float]:
    px, py = frame.at(x, y)
    return (min(max(px, frame.left), frame.right), min(max(py, frame.top), frame.bottom))


def _inside(frame: _Frame, line: Line) -> Iterator[list[tuple[float, float]]]:
    """Pieces of a line that lie inside the frame (Liang-Barsky, segment by segment)."""
    points = [frame.at(x, y) for x, y in zip(line.x, line.y, strict=True)]
    piece: list[tuple[float, float]] = []
    for a, b in pairwise(points):
        cut = _clip(a, b, (frame.left, frame.top, frame.right, frame.bottom))
        if cut is None:
            if piece:
                yield piece
            piece = []
            continue
        if piece and math.dist(piece[-1], cut[0]) < 1e-6:
            piece.append(cut[1])
        else:
            if piece:
                yield piece
            piece = [cut[0], cut[1]]
    if piece:
        yield piece


def _clip(a: Point, b: Point, box: Box) -> tuple[Point, Point] | None:
    """Return the part of a segment inside a box (Liang and Barsky 1984), None where it misses it."""
    if not all(map(math.isfinite, (*a, *b))):
        return None
    start, end = 0.0, 1.0
    dx, dy = b[0] - a[0], b[1] - a[1]
    sides = (
        (-dx, a[0] - box[0]),
        (dx, box[2] - a[0]),
        (-dy, a[1] - box[1]),
        (dy, box[3] - a[1]),
    )
    for p, q in sides:
        if p == 0:
            if q < -1e-9:
                return None
        elif p < 0:
            start = max(start, q / p)
        else:
            end = min(end, q / p)
    if start > end:
        return None
    return ((a[0] + start * dx, a[1] + start * dy), (a[0] + end * dx, a[1] + end * dy))


# ---- axes, legend, foot -----------------------------------------------------------------------


def _draw_axes(layout: PlotLayout, frame: _Frame, canvas: Canvas) -> None:
    style, size, meter = layout.style, frame.size, canvas.meter
    ink = {"colour": style.rule, "width": style.hairline * 1.2}
    canvas.line([(frame.left, frame.bottom), (frame.right, frame.bottom)], z=4.0, **ink)  # type: ignore[arg-type]
    canvas.line([(frame.left, frame.top), (frame.left, frame.bottom)], z=4.0, **ink)  # type: ignore[arg-type]
    tick = 0.4 * size
    faint = mix(style.muted, style.paper, 0.25)
    last = -math.inf
    for value, label in zip(layout.x.ticks, layout.x.labels, strict=True):
        x, _ = frame.at(value, layout.y.low)
        canvas.line([(x, frame.bottom), (x, frame.bottom + tick)], z=4.0, **ink)  # type: ignore[arg-type]
        if layout.x.grid:
            canvas.line([(x, frame.top), (x, frame.bottom)], colour=faint, width=style.hairline, z=0.9)
        half = meter.width(meter.clean(label), size) / 2
        if x - half > last + 0.4 * size:
            canvas.text(x, frame.bottom + 1.45 * size, meter.clean(label), size=size, align="centre")
            last = x + half
    last = math.inf
    for value, label in sorted(
        zip(layout.y.ticks, layout.y.labels, strict=True), key=lambda t: -frame.at(0.0, t[0])[1]
    ):
        _, y = frame.at(layout.x.low, value)
        canvas.line([(frame.left - tick, y), (frame.left, y)], z=4.0, **ink)  # type: ignore[arg-type]
        if layout.y.grid:
            canvas.line([(frame.left, y), (frame.right, y)], colour=faint, width=style.hairline, z=0.9)
        if y + 0.36 * size < last - 0.9 * size or last == math.inf:
            canvas.text(
                frame.left - 0.7 * size, y + 0.36 * size, meter.clean(label), size=size, align="right"
            )
            last = y + 0.36 * size
    if layout.x.label:
        middle = (frame.left + frame.right) / 2
        canvas.text(
            middle,
            frame.bottom + (1.65 + LINE) * size,
            meter.clean(layout.x.label),
            size=size,
            align="centre",
        )
    if layout.y.label:
        widest = max((meter.width(meter.clean(t), size) for t in layout.y.labels), default=0.0)
        x = frame.left - widest - 1.15 * size
        middle = (frame.top + frame.bottom) / 2
        canvas.text(x, middle, meter.clean(layout.y.label), size=size, align="centre", turn=90.0)


def _named(layout: PlotLayout) -> list[Points | Line | Area]:
    return [layer for layer in layout.layers if not isinstance(layer, Note) and layer.name]


def _legend_rows(
    layout: PlotLayout, meter: Meter, size: float, room: float
) -> list[list[Points | Line | Area]]:
    rows: list[list[Points | Line | Area]] = []
    x = 0.0
    for layer in _named(layout):
        wide = (2.2 + 1.6) * size + meter.width(meter.clean(layer.name), size)
        if not rows or x + wide - 1.6 * size > room:
            rows.append([])
            x = 0.0
        rows[-1].append(layer)
        x += wide
    return rows


def _draw_below(
    layout: PlotLayout, frame: _Frame, box: tuple[float, float, float, float], canvas: Canvas
) -> None:
    style, size, meter = layout.style, frame.size, canvas.meter
    room = box[2] - box[0] - 2 * PAD * size
    y = frame.bottom + (0.45 + 1.2 + (LINE + 0.3 if layout.x.label else 0.2)) * size
    rows = _legend_rows(layout, meter, size, room)
    y += 0.4 * size if rows else 0.0
    for row in rows:
        x = box[0] + PAD * size
        for layer in row:
            _sample(layer, x, y + 0.75 * size, size, style, canvas)
            text = meter.clean(layer.name)
            canvas.text(x + 2.2 * size, y + 1.1 * size, text, size=size)
            x += (2.2 + 1.6) * size + meter.width(text, size)
        y += 1.6 * size
    y += 0.4 * size if layout.foot else 0.0
    for line in layout.foot:
        for piece in meter.wrap(meter.clean(line), size, room):
            canvas.text(box[0] + PAD * size, y + size, piece, size=size)
            y += 1.4 * size


def _sample(
    layer: Points | Line | Area, x: float, y: float, size: float, style: Style, canvas: Canvas
) -> None:
    tone = colour(style, layer.tone)
    if isinstance(layer, Line):
        ends = [(x, y), (x + 1.7 * size, y)]
        canvas.line(ends, colour=tone, width=layer.width * style.line, dash=DASHES[layer.dash])
    elif isinstance(layer, Area):
        face = mix(tone, style.paper, layer.shade)
        box = [(x, y - 0.45 * size), (x + 1.6 * size, y - 0.45 * size), (x + 1.6 * size, y + 0.45 * size)]
        canvas.shape([*box, (x, y + 0.45 * size)], face=face, edge=style.muted, width=style.hairline)
    else:
        face = style.paper if layer.hollow else tone
        canvas.shape(
            marker(layer.shape, x + 0.85 * size, y, 0.36 * size), face=face, edge=tone, width=style.line
        )


# ---- points and their labels ------------------------------------------------------------------


def marker(shape: str, x: float, y: float, r: float) -> list[tuple[float, float]]:
    """Return the outline of a marker of radius `r`; all shapes have about the same area."""
    if shape == "square":
        h = 0.89 * r
        return [(x - h, y - h), (x + h, y - h), (x + h, y + h), (x - h, y + h)]
    if shape == "diamond":
        h = 1.25 * r
        return [(x, y - h), (x + h, y), (x, y + h), (x - h, y)]
    if shape == "triangle":
        h = 1.35 * r
        return [(x + h * math.sin(t), y - h * math.cos(t)) for t in (0.0, 2 * math.pi / 3, 4 * math.pi / 3)]
    if shape == "cross":
        a, b = 0.3 * r, 1.1 * r
        arms = [
            (-a, -b),
            (a, -b),
            (a, -a),
            (b, -a),
            (b, a),
            (a, a),
            (a, b),
            (-a, b),
            (-a, a),
            (-b, a),
            (-b, -a),
        ]
        return [(x + p, y + q) for p, q in (*arms, (-a, -a))]
    steps = 12 if r < 2.0 else 28
    return [
        (x + r * math.cos(2 * math.pi * i / steps), y + r * math.sin(2 * math.pi * i / steps))
        for i in range(steps)
    ]


def _radius(layer: Points, i: int, size: float) -> float:
    area = layer.area[i] if layer.area else 1.0
    return 0.36 * size * math.sqrt(max(area, 0.0))


def _draw_points(layout: PlotLayout, frame: _Frame, layer: Points, canvas: Canvas, z: float) -> None:
    style = layout.style
    tone = colour(style, layer.tone)
    face = style.paper if layer.hollow else mix(tone, style.paper, layer.alpha)
    edge = tone if layer.hollow else style.paper
    for i, (x, y) in enumerate(zip(layer.x, layer.y, strict=True)):
        px, py = frame.at(x, y)
        if frame.left - 1 <= px <= frame.right + 1 and frame.top - 1 <= py <= frame.bottom + 1:
            width = style.line if layer.hollow else 0.4
            canvas.shape(
                marker(layer.shape, px, py, _radius(layer, i, frame.size)),
                face=face,
                edge=edge,
                width=width,
                z=z,
            )


def _draw_labels(layout: PlotLayout, frame: _Frame, canvas: Canvas) -> None:
    """Name points where there is room: beside, above, below, then further out with a leader."""
    size, meter = frame.size, canvas.meter
    small = 0.9 * size
    taken: list[Box] = []
    wanted: list[tuple[float, float, float, str]] = []
    for layer in layout.layers:
        if isinstance(layer, Points):
            for i, (x, y) in enumerate(zip(layer.x, layer.y, strict=True)):
                px, py = frame.at(x, y)
                r = _radius(layer, i, size)
                taken.append((px - r, py - r, px + r, py + r))
                if layer.labels and layer.labels[i]:
                    wanted.append((px, py, r, meter.clean(layer.labels[i])))
        elif isinstance(layer, Note):
            px, py = frame.at(layer.x, layer.y)
            w = meter.width(meter.clean(layer.text), size, bold=layer.bold)
            x0 = px - {"left": 0.0, "right": w, "centre": w / 2}[layer.align]
            taken.append((x0, py - 0.6 * size, x0 + w, py + 0.6 * size))
    lines = [
        (a, b)
        for line in layout.layers
        if isinstance(line, Line)
        for piece in _inside(frame, line)
        for a, b in pairwise(piece)
    ]
    for px, py, r, text in wanted:
        w, h = meter.width(text, small), 1.1 * small
        spots = list(_spots(px, py, r, w, h, small))
        free = [s for s in spots if _is_free(s[0], s[1], w, h, frame, taken)]
        near = [s for s in free if s[2] <= 3 and not any(_crosses(a, b, s[0], s[1], w, h) for a, b in lines)]
        if not free:
            continue
        x0, y0, step = (near or free)[0]
        taken.append((x0, y0, x0 + w, y0 + h))
        canvas.text(x0, y0 + 0.9 * small, text, size=small)
        if step > 1:
            end = (min(max(px, x0), x0 + w), y0 if py < y0 else y0 + h)
            canvas.line([(px, py), end], colour=layout.style.muted, width=layout.style.hairline, z=1.9)


def _spots(
    px: float, py: float, r: float, w: float, h: float, size: float
) -> Iterator[tuple[float, float, int]]:
    """Top left corners for a label of a point, the nearest first."""
    for step in range(16):
        gap = r + (0.3 + 0.7 * step) * size
        slant = 0.7 * gap
        yield (px + gap, py - h / 2, step)
        yield (px - gap - w, py - h / 2, step)
        yield (px + slant, py - slant - h, step)
        yield (px + slant, py + slant, step)
        yield (px - slant - w, py - slant - h, step)
        yield (px - slant - w, py + slant, step)
        yield (px - w / 2, py - gap - h, step)
        yield (px - w / 2, py + gap, step)


def _is_free(x: float, y: float, w: float, h: float, frame: _Frame, taken: Sequence[Box]) -> bool:
    edge = 0.2 * frame.size
    if x < frame.left + edge or x + w > frame.right or y < frame.top or y + h > frame.bottom - edge:
        return False
    return not any(x < t[2] + 1 and x + w > t[0] - 1 and y < t[3] + 1 and y + h > t[1] - 1 for t in taken)


def _crosses(a: Point, b: Point, x: float, y: float, w: float, h: float) -> bool:
    """Whether a segment enters a box."""
    return _clip(a, b, (x, y, x + w, y + h)) is not None
