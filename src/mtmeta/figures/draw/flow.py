"""A flow diagram's layout becomes ink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmeta.figures.draw.canvas import Canvas, Meter, box_of, new_axes
from mtmeta.figures.draw.marks import mix
from mtmeta.figures.layout.flow import FlowBox, FlowLayout
from mtmeta.figures.style import Width, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_flow", "flow_axes"]

# all in multiples of the text size
PAD = 0.9
INSET = 0.7
LINE = 1.3
BETWEEN = 2.2  # lanes
STEP = 2.0  # rows
BAR = 2.0  # phase bars
BOX = 26.0  # natural width of a box
LANES = ("previous", "main", "out", "other", "other out")


@dataclass(frozen=True)
class _Arranged:
    size: float
    width: float
    height: float
    places: dict[str, tuple[float, float, float, float]]
    texts: dict[str, tuple[str, ...]]
    lanes: dict[str, tuple[float, float]]
    rows: dict[int, tuple[float, float]]
    heads: dict[str, tuple[str, ...]]
    heads_top: float
    title: tuple[str, ...]
    foot: tuple[str, ...]
    foot_top: float


def _arrange(layout: FlowLayout, meter: Meter, width: float | None, height: float | None) -> _Arranged:
    size = layout.style.size
    while True:
        placed = _place(layout, meter, size, width)
        fits = height is None or placed.height <= height + 0.01
        narrow = width is not None and min(b - a for a, b in placed.lanes.values()) < 13.0 * size
        if (fits and not narrow) or size < 0.5:
            return placed
        size *= 0.96


def _place(layout: FlowLayout, meter: Meter, size: float, width: float | None) -> _Arranged:
    used = [lane for lane in LANES if any(b.lane == lane for b in layout.boxes)]
    fixed = (2 * PAD + BAR + 1.0 + BETWEEN * (len(used) - 1)) * size
    page = fixed + len(used) * BOX * size if width is None else width
    each = (page - fixed) / len(used)
    lanes, x = {}, (PAD + BAR + 1.0) * size
    for lane in used:
        lanes[lane] = (x, x + each)
        x += each + BETWEEN * size
    room = page - 2 * PAD * size
    title = meter.wrap(meter.clean(layout.title), 1.15 * size, room, bold=True) if layout.title else ()
    y = PAD * size + (1.15 * LINE * len(title) + (0.6 if title else 0.0)) * size
    heads_top = y
    heads = {
        lane: meter.wrap(meter.clean(t), size, _span(lane, lanes, size), bold=True)
        for lane, t in layout.heads
    }
    y += (LINE * max((len(h) for h in heads.values()), default=0) + (0.8 if heads else 0.0)) * size
    texts = {b.key: _text(b, meter, size, each - 2 * INSET * size) for b in layout.boxes}
    rows: dict[int, tuple[float, float]] = {}
    beside = {  # a phase of one row is as tall as its name, which stands upright
        first: meter.width(name, size, bold=True) / 0.9
        for name, first, last in layout.phases
        if first == last
    }
    for row in sorted({b.row for b in layout.boxes}):
        lines = max(len(texts[b.key]) for b in layout.boxes if b.row == row)
        tall = max((LINE * lines + 2 * INSET) * size, beside.get(row, 0.0))
        rows[row] = (y, y + tall)
        y += tall + STEP * size
    y -= STEP * size
    places = {}
    for b in layout.boxes:
        top, bottom = rows[b.row]
        own = (LINE * len(texts[b.key]) + 2 * INSET) * size
        middle = (top + bottom) / 2
        places[b.key] = (lanes[b.lane][0], middle - own / 2, lanes[b.lane][1], middle + own / 2)
    foot = tuple(p for line in layout.foot for p in meter.wrap(meter.clean(line), size, room))
    foot_top = y + (0.9 * size if foot else 0.0)
    tall = foot_top + 1.4 * size * len(foot) + PAD * size
    return _Arranged(size, page, tall, places, texts, lanes, rows, heads, heads_top, title, foot, foot_top)


def _span(lane: str, lanes: dict[str, tuple[float, float]], size: float) -> float:
    """Width of a head: its lane, with the lane of what leaves where that is beside it."""
    beside = {"main": "out", "other": "other out"}.get(lane, "")
    return lanes[beside][1] - lanes[lane][0] if beside in lanes else lanes[lane][1] - lanes[lane][0]


def _text(box: FlowBox, meter: Meter, size: float, limit: float) -> tuple[str, ...]:
    out = list(meter.wrap(meter.clean(box.head), size, limit))
    for line in box.lines:
        wrapped = meter.wrap(meter.clean(line), size, limit - size)
        out += [f"\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}{p}" for p in wrapped]
    return tuple(out)


def flow_axes(layout: FlowLayout, *, width: float | Width | None = None) -> Axes:
    """Return a new ax on a page of the size that the diagram needs.

    Parameters
    ----------
    layout : FlowLayout
    width : float or {"single", "one-and-half", "double"}, optional
        Of the page in millimetres or in columns of the style's journal.
    """
    inches = width_of(width, layout.style)
    placed = _arrange(layout, Meter(layout.style), None if inches is None else inches * 72.0, None)
    return new_axes(placed.width / 72.0, placed.height / 72.0, layout.style)


def draw_flow(layout: FlowLayout, ax: Axes) -> Axes:
    """Ink a flow diagram on an ax, whose place on the page it fills.

    Parameters
    ----------
    layout : FlowLayout
    ax : Axes

    Returns
    -------
    Axes
        The same; its units are points from the top left.
    """
    meter, style = Meter(layout.style), layout.style
    width, height = box_of(ax)
    placed = _arrange(layout, meter, width, height)
    size = placed.size
    canvas = Canvas(ax, meter, width, height)
    canvas.claim(0.0, width)
    for i, line in enumerate(placed.title):
        canvas.text(PAD * size, (PAD + 1.1 + 1.15 * LINE * i) * size, line, size=1.15 * size, bold=True)
    tint = mix(style.diamond, style.paper, 0.16)
    for lane, lines in placed.heads.items():
        for i, line in enumerate(lines):
            canvas.text(
                placed.lanes[lane][0], placed.heads_top + (1.0 + LINE * i) * size, line, size=size, bold=True
            )
    small = _phase_size(layout, placed, meter)
    for name, first, last in layout.phases:
        top, bottom = placed.rows[first][0], placed.rows[last][1]
        left = PAD * size
        box = [(left, top), (left + BAR * size, top), (left + BAR * size, bottom), (left, bottom)]
        canvas.shape(box, face=tint, z=1.0)
        x = left + (BAR / 2) * size + 0.36 * small
        canvas.text(x, (top + bottom) / 2, name, size=small, align="centre", bold=True, turn=90.0)
    for b in layout.boxes:
        x0, y0, x1, y1 = placed.places[b.key]
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        canvas.shape(corners, face=style.paper, edge=style.rule, width=style.line, z=2.0)
        for i, line in enumerate(placed.texts[b.key]):
            canvas.text(x0 + INSET * size, y0 + (INSET + 0.98 + LINE * i) * size, line, size=size)
    for arrow in layout.arrows:
        _arrow(placed.places[arrow.start], placed.places[arrow.end], canvas, layout, size)
    for i, line in enumerate(placed.foot):
        canvas.text(
            PAD * size, placed.foot_top + (1.0 + 1.4 * i) * size, line, size=size, colour=style.prediction
        )
    canvas.flush()
    ax.set_gid("flow diagram")
    return ax


def _phase_size(layout: FlowLayout, placed: _Arranged, meter: Meter) -> float:
    """Text size at which the name of every phase fits beside its rows: one for all."""
    fits = [placed.size]
    for name, first, last in layout.phases:
        tall = placed.rows[last][1] - placed.rows[first][0]
        fits.append(0.95 * placed.size * tall / max(meter.width(name, placed.size, bold=True), 1e-9))
    return min(fits)


def _arrow(
    start: tuple[float, float, float, float],
    end: tuple[float, float, float, float],
    canvas: Canvas,
    layout: FlowLayout,
    size: float,
) -> None:
    """Straight where boxes face each other, else down and across into the side of the lower box."""
    style = layout.style
    head = 0.55 * size
    middle = (start[0] + start[2]) / 2
    if start[2] <= end[0] and start[1] < end[3] and end[1] < start[3]:  # to the right, on one level
        y = (max(start[1], end[1]) + min(start[3], end[3])) / 2
        path = [(start[2], y), (end[0], y)]
    elif end[0] <= middle <= end[2]:
        path = [(middle, start[3]), (middle, end[1])]
    else:
        y = (end[1] + end[3]) / 2
        side = end[2] if middle > end[2] else end[0]
        path = [(middle, start[3]), (middle, y), (side, y)]
    (xa, ya), (xb, yb) = path[-2], path[-1]
    dx, dy = (xb > xa) - (xb < xa), (yb > ya) - (yb < ya)
    stop = (xb - dx * head * 0.8, yb - dy * head * 0.8)
    canvas.line([*path[:-1], stop], colour=style.rule, width=style.line, z=1.5)
    wide = head * 0.42
    canvas.shape(
        [
            (xb, yb),
            (xb - dx * head - dy * wide, yb - dy * head - dx * wide),
            (xb - dx * head + dy * wide, yb - dy * head + dx * wide),
        ],
        face=style.rule,
        z=2.5,
    )
