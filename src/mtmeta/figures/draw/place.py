"""Where the parts of a plot go inside its box: measured, in points from the top left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mtmeta.figures.draw.canvas import Meter
from mtmeta.figures.layout.plot import Area, Axis, Cells, GridLayout, Line, PlotLayout, Points, Ranges

__all__ = ["Box", "Framed", "Point", "frame_plot", "names_size", "page_size", "place_plots"]

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Named = Points | Line | Area | Ranges | Cells

# all in multiples of the text size
PAD = 0.9
LINE = 1.25
NAMES = 26.0  # width at which names on the y axis are wrapped
SAMPLE = 2.2  # legend sample with the gap after it
BETWEEN = 1.6  # legend entries
LEAST = 0.62  # share of the natural size down to which text keeps its size


@dataclass(frozen=True)
class Framed:
    """The rectangle of the axes inside the page, and the lines of text around it.

    Attributes
    ----------
    left, top, right, bottom : float
        Of the axes, in points.
    size : float
        Text size.
    box : Box
        Of the whole plot.
    x_lines, y_lines : tuple of tuple of str
        Tick labels, broken into lines.
    title, foot : tuple of str
    legend : tuple of tuple of layers
        Named layers row by row.
    """

    left: float
    top: float
    right: float
    bottom: float
    size: float
    box: Box
    x: Axis
    y: Axis
    x_lines: tuple[tuple[str, ...], ...]
    y_lines: tuple[tuple[str, ...], ...]
    title: tuple[str, ...]
    foot: tuple[str, ...]
    legend: tuple[tuple[Named, ...], ...]

    def at(self, x: float, y: float) -> Point:
        """Place of a data point in points."""
        across = (x - self.x.low) / (self.x.high - self.x.low)
        up = (y - self.y.low) / (self.y.high - self.y.low)
        return (self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top))

    @property
    def inner(self) -> Box:
        """The rectangle of the axes."""
        return (self.left, self.top, self.right, self.bottom)

    @property
    def x_depth(self) -> int:
        """Lines that the x tick labels take."""
        return max((len(lines) for lines in self.x_lines), default=0)


def frame_plot(
    layout: PlotLayout, meter: Meter, box: Box, size: float, *, left: float = 0.0, right: float = 0.0
) -> Framed:
    """Measure everything around a plot's axes and give the axes the rest of the box.

    Parameters
    ----------
    layout : PlotLayout
    meter : Meter
    box : Box
    size : float
        Text size in points.
    left, right : float
        Least room left and right of the axes, so that plots under each other share their edges.
    """
    clean = meter.clean
    room = box[2] - box[0] - 2 * PAD * size
    title = meter.wrap(clean(layout.title), 1.1 * size, room, bold=True) if layout.title else ()
    foot = tuple(p for line in layout.foot for p in meter.wrap(clean(line), size, room))
    legend = _legend(layout, meter, size, room)
    limit = min(NAMES * size, 0.42 * (box[2] - box[0]))
    y_lines = tuple(
        meter.wrap(clean(t), size, limit) if layout.y.names else (clean(t),) for t in layout.y.labels
    )
    widest = max((meter.width(t, size) for lines in y_lines for t in lines), default=0.0)
    x_left = box[0] + max(left, left_room(layout, widest, size))
    last = clean(layout.x.labels[-1]) if layout.x.labels and not layout.x.names else ""
    x_right = box[2] - max(right, PAD * size, meter.width(last, size) / 2 + 0.4 * size)
    slot = (x_right - x_left) / max(len(layout.x.ticks), 1) - 0.7 * size
    x_lines = tuple(
        meter.wrap(clean(t), size, max(slot, 2 * size)) if layout.x.names else (clean(t),)
        for t in layout.x.labels
    )
    depth = max((len(lines) for lines in x_lines), default=0)
    below = 0.45 + LINE * depth + (LINE + 0.3 if layout.x.label else 0.2)
    below += 1.6 * len(legend) + (0.5 if legend else 0.0) + 1.4 * len(foot) + (0.5 if foot else 0.0)
    above = PAD + (0.8 + 1.1 * LINE * len(title) if title else 0.3)
    return Framed(
        left=x_left,
        top=box[1] + above * size,
        right=x_right,
        bottom=box[3] - (PAD * 0.6 + below) * size,
        size=size,
        box=box,
        x=layout.x,
        y=layout.y,
        x_lines=x_lines,
        y_lines=y_lines,
        title=title,
        foot=foot,
        legend=legend,
    )


def left_room(layout: PlotLayout, widest: float, size: float) -> float:
    """Room left of the axes for tick labels of a width and the axis name."""
    label = (LINE + 0.25) * size if layout.y.label else 0.0
    return PAD * size + label + widest + (0.7 * size if layout.y.labels else 0.0)


def _legend(layout: PlotLayout, meter: Meter, size: float, room: float) -> tuple[tuple[Named, ...], ...]:
    rows: list[list[Named]] = []
    x = 0.0
    for layer in layout.layers:
        name = getattr(layer, "name", "")
        if not name or not isinstance(layer, Points | Line | Area | Ranges | Cells):
            continue
        wide = (SAMPLE + BETWEEN) * size + meter.width(meter.clean(name), size)
        if not rows or x + wide - BETWEEN * size > room:
            rows.append([])
            x = 0.0
        rows[-1].append(layer)
        x += wide
    return tuple(tuple(row) for row in rows)


def page_size(
    layout: PlotLayout | GridLayout, meter: Meter, *, width: float | None = None
) -> tuple[float, float, float]:
    """Return width, height and text size in points for a page as wide as given, or of natural size.

    Parameters
    ----------
    layout : PlotLayout or GridLayout
    meter : Meter
    width : float, optional
        In points.
    """
    base = layout.style.size
    if isinstance(layout, PlotLayout):
        wide = layout.width * base if width is None else width
        size = base * min(1.0, wide / (LEAST * layout.width * base))
        shrink = min(1.0, max(wide / (layout.width * base), 0.8 * size / base))
        return (wide, layout.height * base * shrink + _below(layout, meter, wide, size), size)
    columns = layout.columns
    natural = max(p.width for p in layout.plots) * base * columns
    wide = natural if width is None else width
    each = [page_size(p, meter, width=wide / columns) for p in layout.plots]
    rows = [each[i : i + columns] for i in range(0, len(each), columns)]
    size = min(e[2] for e in each)
    lines = len(_grid_foot(layout, meter, wide, size))
    extra = (2.6 if layout.title else 0.0) + (1.4 * lines + 0.8 if lines else 0.0)
    return (wide, sum(max(e[1] for e in row) for row in rows) + extra * size, size)


def _grid_foot(layout: GridLayout, meter: Meter, width: float, size: float) -> tuple[str, ...]:
    return tuple(p for t in layout.foot for p in meter.wrap(meter.clean(t), size, width - 2 * PAD * size))


def _below(layout: PlotLayout, meter: Meter, width: float, size: float) -> float:
    """Height of legend, foot and further title lines, which come on top of the plot's natural height."""
    probe = frame_plot(layout, meter, (0.0, 0.0, width, 40.0 * size), size)
    lines = 1.4 * len(probe.foot) + 1.6 * len(probe.legend) + LINE * max(0, probe.x_depth - 1)
    lines += 1.1 * LINE * max(0, len(probe.title) - 1)
    have = layout.height - (probe.box[3] - probe.bottom + probe.top - probe.box[1]) / size + lines
    need = names_depth(probe) * len(probe.y_lines) if layout.y.names else 0.0
    return (lines + max(0.0, need - have)) * size


def names_depth(frame: Framed) -> float:
    """Distance in text sizes that names on the y axis need from one to the next."""
    counts = [len(lines) for lines in frame.y_lines]
    return LINE * max(((a + b) / 2 for a, b in pairwise(counts)), default=max(counts, default=0)) + 0.15


def names_size(frame: Framed) -> float:
    """Text size at which no name on the y axis need be left out."""
    if not frame.y.names or not frame.y_lines:
        return frame.size
    slot = (frame.bottom - frame.top) / abs(frame.y.high - frame.y.low)
    return min(frame.size, slot / names_depth(frame))


def place_plots(
    layout: PlotLayout | GridLayout, meter: Meter, width: float, height: float
) -> tuple[float, list[Framed], tuple[str, ...]]:
    """Place a layout on a page: text size, one frame a plot, and the grid's own foot.

    Parameters
    ----------
    layout : PlotLayout or GridLayout
    meter : Meter
    width, height : float
        Of the page in points; text is made smaller where they are too small.
    """
    _, tall, size = page_size(layout, meter, width=width)
    size *= min(1.0, height / (LEAST * tall))
    if isinstance(layout, PlotLayout):
        return (size, [frame_plot(layout, meter, (0.0, 0.0, width, height), size)], ())
    foot = _grid_foot(layout, meter, width, size)
    top = (2.6 if layout.title else 0.0) * size
    bottom = height - ((1.4 * len(foot) + 0.8) * size if foot else 0.0)
    columns = layout.columns
    each = [page_size(p, meter, width=width / columns)[1] for p in layout.plots]
    tallest = [max(each[i : i + columns]) for i in range(0, len(each), columns)]
    scale = (bottom - top) / sum(tallest)
    frames, y = [], top
    for r, row in enumerate(tallest):
        for c, plot in enumerate(layout.plots[r * columns : (r + 1) * columns]):
            box = (c * width / columns, y, (c + 1) * width / columns, y + row * scale)
            frames.append((plot, box))
        y += row * scale
    edges = [_edges(frames[c::columns], meter, size) for c in range(columns)]
    placed = [
        frame_plot(plot, meter, box, size, left=edges[i % columns][0], right=edges[i % columns][1])
        for i, (plot, box) in enumerate(frames)
    ]
    rows = [placed[i : i + columns] for i in range(0, len(placed), columns)]
    return (size, [frame for row in rows for frame in _level(row)], foot)


def _level(row: Sequence[Framed]) -> list[Framed]:
    """Let plots beside each other begin and end at one height, whatever stands above and below each."""
    top, bottom = max(frame.top for frame in row), min(frame.bottom for frame in row)
    return [replace(frame, top=top, bottom=bottom) for frame in row]


def _edges(column: Sequence[tuple[PlotLayout, Box]], meter: Meter, size: float) -> tuple[float, float]:
    """Room left and right of the axes that all plots of a column of a grid take."""
    own = [frame_plot(plot, meter, box, size) for plot, box in column]
    return (max(f.left - f.box[0] for f in own), max(f.box[2] - f.right for f in own))
