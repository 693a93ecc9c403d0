"""A forest plot's layout becomes ink."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from mtmeta.figures.draw.arrange import (
    INDENT,
    LINE,
    PAD,
    SPACE,
    Arranged,
    Placed,
    arrange,
    favours_lines,
    favours_room,
    favours_text,
    groups_of,
    name_room,
    smallest_page,
)
from mtmeta.figures.draw.canvas import Canvas, Meter, box_of, new_axes
from mtmeta.figures.layout.table import ForestLayout, Mark, Panel
from mtmeta.figures.style import Width, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_forest", "forest_axes", "natural_width"]

BASE = 0.36  # from a line's middle down to its baseline, in text sizes


def forest_axes(layout: ForestLayout, *, width: float | Width | None = None) -> Axes:
    """Return a new ax on a page of the size that the layout needs.

    Parameters
    ----------
    layout : ForestLayout
    width : float or {"single", "one-and-half", "double"}, optional
        Of the page in millimetres or in columns of the style's journal; else as wide as needed.

    Raises
    ------
    UsageError
        When the figure does not fit on that width at the style's smallest text size.
    """
    from mtmeta.errors import UsageError

    meter = Meter(layout.style)
    inches = width_of(width, layout.style)
    placed = arrange(layout, meter, width=None if inches is None else inches * 72.0)
    if placed.size < layout.style.smallest * 0.999:
        need = smallest_page(layout, meter)[0] * 25.4 / 72.0
        raise UsageError(
            f"width={width!r} is too narrow: these columns need {need:.0f} mm at {layout.style.smallest:g} pt"
            "; take a wider page or fewer columns, such as left=('study',), right=('effect',)"
        )
    return new_axes(placed.width / 72.0, placed.height / 72.0, layout.style)


def natural_width(layout: ForestLayout) -> float:
    """Return the width in millimetres that a layout takes where none is asked for."""
    return arrange(layout, Meter(layout.style)).width * 25.4 / 72.0


def draw_forest(layout: ForestLayout, ax: Axes) -> Axes:
    """Ink a forest plot on an ax, whose place on the page it fills.

    The x axis of `ax` is the (first) effect axis, on the scale of analysis, and y counts points from
    the top, so more can be drawn over it. Text is made smaller where the place is small.

    Parameters
    ----------
    layout : ForestLayout
    ax : Axes

    Returns
    -------
    Axes
        The same.
    """
    meter = Meter(layout.style)
    width, height = box_of(ax)
    placed = arrange(layout, meter, width=width, height=height + 0.01)
    style, share = layout.style, max(0.5, min(1.0, placed.size / layout.style.size))
    # lines are as much thinner as the text is smaller
    layout = replace(layout, style=replace(style, line=style.line * share, hairline=style.hairline * share))
    canvas = Canvas(ax, meter, placed.width, placed.height)
    if layout.panels:
        panel, (x0, x1) = layout.panels[0], placed.panels[0]
        per = (panel.high - panel.low) / max(x1 - x0, 1e-9)
        canvas.x_of = lambda x: panel.low + (x - x0) * per
    canvas.claim(canvas.x_of(0.0), canvas.x_of(placed.width))
    _draw_bands(layout, placed, canvas)
    _draw_title(layout, placed, canvas)
    _draw_heads(layout, placed, canvas)
    for at in placed.rows:
        with canvas.group(at.row.id or f"place-{at.row.position + 1}"):
            _draw_row(layout, placed, at, canvas)
    for i in range(len(layout.panels)):
        _draw_panel(layout, placed, i, canvas)
    _draw_foot(layout, placed, canvas)
    canvas.flush()
    ax.set_gid("forest")
    return ax


def _draw_title(layout: ForestLayout, placed: Arranged, canvas: Canvas) -> None:
    size = placed.size * 1.15
    for i, line in enumerate(placed.title):
        y = PAD * placed.size + size * (0.95 + LINE * i)
        canvas.text(PAD * placed.size, y, line, size=size, bold=True)


def _draw_heads(layout: ForestLayout, placed: Arranged, canvas: Canvas) -> None:
    style, size = layout.style, placed.size
    left, right = PAD * size, placed.width - PAD * size
    for text, first, last in groups_of(layout.columns):
        a, b = placed.columns[first][0], placed.columns[last][1]
        text = canvas.meter.clean(text)
        if first == last and len(placed.lanes[first]) == 1:
            canvas.text(b, placed.group_base, text, size=size, align="right", bold=style.bold_head)
        else:
            canvas.text((a + b) / 2, placed.group_base, text, size=size, align="centre", bold=style.bold_head)
            if first < last:
                y = placed.group_base + 0.4 * size
                canvas.line([(a, y), (b, y)], colour=style.rule, width=style.hairline)
    for column, ends, lanes, head in zip(
        layout.columns, placed.columns, placed.lanes, placed.heads, strict=True
    ):
        x = {"left": ends[0], "right": ends[1], "centre": sum(ends) / 2}[column.align]
        align = column.align
        if len(lanes) > 1:
            x, align = sum(ends) / 2, "centre"
        for i, line in enumerate(reversed(head)):
            y = placed.head_base - i * LINE * size
            canvas.text(x, y, line, size=size, align=align, bold=style.bold_head)
    for x, domain in zip(placed.lights, layout.domains, strict=True):
        canvas.text(x, placed.head_base, domain, size=size, align="centre", bold=style.bold_head)
    for panel, (a, b) in zip(layout.panels, placed.panels, strict=True):
        under = favours_lines(layout, canvas.meter, size, placed.panels, placed.width)
        under *= style.favours == "above" and any(panel.favours)
        for i, line in enumerate(reversed(panel.header.split("\n"))):
            y = placed.head_base - (i + under) * LINE * size
            canvas.text(
                (a + b) / 2, y, canvas.meter.clean(line), size=size, align="centre", bold=style.bold_head
            )
    if "top" in style.rules:
        y = placed.group_base - 1.15 * size
        canvas.line([(left, y), (right, y)], colour=style.rule, width=2 * style.hairline)
    if "head" in style.rules:
        canvas.line(
            [(left, placed.head_rule), (right, placed.head_rule)], colour=style.rule, width=style.hairline
        )
    if "foot" in style.rules:
        y = placed.rows_end
        for a, b in _beside(placed, left, right):
            canvas.line([(a, y), (b, y)], colour=style.rule, width=style.hairline)


def _beside(placed: Arranged, left: float, right: float) -> list[tuple[float, float]]:
    """Stretches of a rule that leave the axes of the panels free."""
    out, x = [], left
    for a, b in placed.panels:
        out.append((x, a - 0.5 * placed.size))
        x = b + 0.5 * placed.size
    out.append((x, right))
    return [(a, b) for a, b in out if b - a > placed.size]


def _draw_bands(layout: ForestLayout, placed: Arranged, canvas: Canvas) -> None:
    """Tint every other study, behind everything."""
    left, right = PAD * placed.size * 0.5, placed.width - PAD * placed.size * 0.5
    for at in placed.rows:
        if layout.style.band and at.row.position % 2 == 0 and at.row.kind == "study":
            box = _rectangle(left, right, at.top, at.top + at.height)
            canvas.shape(box, face=layout.style.band, z=0.5)


def _draw_row(layout: ForestLayout, placed: Arranged, at: Placed, canvas: Canvas) -> None:
    size, row = placed.size, at.row
    base = at.middle + BASE * size
    first = at.middle - (len(at.lines) - 1) * LINE * size / 2 + BASE * size
    study = layout.column("study")
    x0 = placed.columns[study if study >= 0 else 0][0] + row.indent * INDENT * size
    if study >= 0 or not row.cells:
        for i, line in enumerate(at.lines):
            canvas.text(x0, first + i * LINE * size, line, size=size, bold=row.bold)
    for j, cell in enumerate(row.cells):
        if j == study or not cell.text:
            continue
        _draw_cell(layout, placed, canvas, j, cell.parts, base, bold=row.bold)
    for x, light in zip(placed.lights, row.lights, strict=False):
        if light.sign:
            _disc(canvas, x, at.middle, 0.62 * size, light.colour)
            canvas.text(x, base, light.sign, size=size, align="centre", bold=True, colour="#000000")
    for mark in row.marks:
        _draw_mark(layout, placed, canvas, mark, at)


def _draw_cell(
    layout: ForestLayout,
    placed: Arranged,
    canvas: Canvas,
    j: int,
    parts: tuple[str, ...],
    base: float,
    *,
    bold: bool,
) -> None:
    size, ends, lanes, column = placed.size, placed.columns[j], placed.lanes[j], layout.columns[j]
    clean = canvas.meter.clean
    if len(parts) == len(lanes) > 1 and not bold:
        for i, (x, part) in enumerate(zip(lanes, parts, strict=True)):
            text = clean(part)
            if i and parts[i - 1].endswith("/"):  # fractions stand slash under slash
                canvas.text(lanes[i - 1], base, text, size=size)
            else:
                space = SPACE * size if text.endswith(" ") else 0.0
                canvas.text(x - space, base, text.rstrip(), size=size, align="right")
        return
    x = {"left": ends[0], "right": lanes[-1], "centre": sum(ends) / 2}[column.align]
    if len(parts) > 1 and parts[0].endswith("/"):
        x = lanes[0] + canvas.meter.width(clean(parts[1]), size, bold=bold)
    canvas.text(x, base, clean("".join(parts)), size=size, align=column.align, bold=bold)


# ---- marks ------------------------------------------------------------------------------------


def _draw_mark(layout: ForestLayout, placed: Arranged, canvas: Canvas, mark: Mark, at: Placed) -> None:
    panel, box = layout.panels[mark.panel], placed.panels[mark.panel]
    if math.isnan(mark.estimate):
        return
    draw = {"square": _interval, "dot": _interval, "diamond": _diamond, "bar": _bar, "density": _density}
    if mark.shape in draw:
        draw[mark.shape](layout, placed.size, canvas, mark, at, panel, box)


def _x(panel: Panel, box: tuple[float, float], value: float) -> float:
    return box[0] + (value - panel.low) / (panel.high - panel.low) * (box[1] - box[0])


def _interval(
    layout: ForestLayout,
    size: float,
    canvas: Canvas,
    mark: Mark,
    at: Placed,
    panel: Panel,
    box: tuple[float, float],
) -> None:
    style, y = layout.style, at.middle + mark.offset * layout.style.leading * size
    tone = style.palette[mark.tone % len(style.palette)] if mark.tone >= 0 else ""
    x, low, high = (_x(panel, box, v) for v in (mark.estimate, mark.low, mark.high))
    side = style.marks * size * max(math.sqrt(max(mark.share, 0.0)), 0.28)
    if mark.shape == "dot":
        side = 0.62 * size
    a, b = max(low, box[0]), min(high, box[1])
    line = tone or style.whisker
    if a < b:
        canvas.line([(a, y), (b, y)], colour=line, width=style.line, z=2.5)
        if b - a < 1.15 * side and not mark.hollow and mark.shape == "square":
            # what the square would hide is drawn on it, within its edges so that it stays one square
            within = side / 2 - style.line
            ends = [(max(a, x - within), y), (min(b, x + within), y)]
            canvas.line(ends, colour=style.paper, width=style.line, z=4)
    if style.caps:
        for end in (low, high):
            if box[0] <= end <= box[1]:
                h = style.caps * size / 2
                canvas.line([(end, y - h), (end, y + h)], colour=line, width=style.line, z=2.5)
    _arrows(canvas, low, high, y, box, size, line)
    if box[0] - 0.01 <= x <= box[1] + 0.01:
        face = style.paper if mark.hollow else (tone or style.square)
        edge = tone or style.square_edge
        if mark.shape == "dot":
            _disc(canvas, x, y, side / 2, face, edge=edge)
        else:
            half = side / 2
            canvas.shape(_rectangle(x - half, x + half, y - half, y + half), face=face, edge=edge, width=0.5)


def _arrows(
    canvas: Canvas, low: float, high: float, y: float, box: tuple[float, float], size: float, colour: str
) -> None:
    h, d = 0.3 * size, 0.5 * size
    if low < box[0] - 0.01:
        canvas.shape([(box[0], y), (box[0] + d, y - h), (box[0] + d, y + h)], face=colour)
    if high > box[1] + 0.01:
        canvas.shape([(box[1], y), (box[1] - d, y - h), (box[1] - d, y + h)], face=colour)


def _diamond(
    layout: ForestLayout,
    size: float,
    canvas: Canvas,
    mark: Mark,
    at: Placed,
    panel: Panel,
    box: tuple[float, float],
) -> None:
    style, y, h = layout.style, at.middle + mark.offset * layout.style.leading * size, 0.55 * size
    tone = style.palette[mark.tone % len(style.palette)] if mark.tone >= 0 else ""
    x, low, high = (_x(panel, box, v) for v in (mark.estimate, mark.low, mark.high))
    if high - low < 0.35 * size:  # a diamond too thin to print keeps its height and the least width
        low, high = min(low, x - 0.175 * size), max(high, x + 0.175 * size)
    outline = [(low, 0.0), (x, h), (high, 0.0)]
    upper = _cut(outline, box[0], box[1])
    points = [(px, y - py) for px, py in upper] + [(px, y + py) for px, py in reversed(upper)]
    face = style.paper if mark.hollow else (tone or style.diamond)
    edge = tone or style.diamond_edge
    if len(upper) > 1:  # an edge of the same colour would carry the points beyond the interval
        canvas.shape(points, face=face, edge=edge, width=0.0 if edge == face else style.line)
    _arrows(canvas, low, high, y, box, size, tone or style.diamond)


def _cut(line: list[tuple[float, float]], low: float, high: float) -> list[tuple[float, float]]:
    """Return the part of a polyline (x ascending) between two x, with new points on the cuts."""
    out: list[tuple[float, float]] = []
    for (xa, ya), (xb, yb) in pairwise(line):
        if xb < low or xa > high or xb <= xa:
            continue
        at = [max(xa, low), min(xb, high)]
        out += [(x, ya + (yb - ya) * (x - xa) / (xb - xa)) for x in at]
    return list(dict.fromkeys(out))


def _bar(
    layout: ForestLayout,
    size: float,
    canvas: Canvas,
    mark: Mark,
    at: Placed,
    panel: Panel,
    box: tuple[float, float],
) -> None:
    style, y, h = layout.style, at.middle + mark.offset * layout.style.leading * size, 0.16 * size
    tone = style.palette[mark.tone % len(style.palette)] if mark.tone >= 0 else style.prediction
    low, high = (_x(panel, box, v) for v in (mark.low, mark.high))
    a, b = max(low, box[0]), min(high, box[1])
    if a < b:
        canvas.shape(_rectangle(a, b, y - h, y + h), face=tone)
    _arrows(canvas, low, high, y, box, size, tone)


def _density(
    layout: ForestLayout,
    size: float,
    canvas: Canvas,
    mark: Mark,
    at: Placed,
    panel: Panel,
    box: tuple[float, float],
) -> None:
    style = layout.style
    tone = style.palette[mark.tone % len(style.palette)] if mark.tone >= 0 else style.prediction
    base, tall = at.middle + 0.55 * size, 1.25 * size
    curve = _cut([(_x(panel, box, x), h) for x, h in mark.curve], box[0], box[1])
    if len(curve) < 2:
        return
    points = [(x, base - h * tall) for x, h in curve]
    canvas.shape([(curve[0][0], base), *points, (curve[-1][0], base)], face=tone, alpha=0.35, z=2.2)
    canvas.line(points, colour=tone, width=style.line, z=2.4)
    low, high = (_x(panel, box, v) for v in (mark.low, mark.high))
    a, b = max(low, box[0]), min(high, box[1])
    canvas.line([(a, base), (b, base)], colour=tone, width=2 * style.line, z=2.4)


def _disc(canvas: Canvas, x: float, y: float, radius: float, face: str, *, edge: str = "none") -> None:
    steps = [2 * math.pi * i / 36 for i in range(36)]
    points = [(x + radius * math.cos(t), y + radius * math.sin(t)) for t in steps]
    canvas.shape(points, face=face, edge=edge, width=0.5 if edge != "none" else 0.0)


def _rectangle(left: float, right: float, top: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


# ---- axis, foot -------------------------------------------------------------------------------


def _draw_panel(layout: ForestLayout, placed: Arranged, i: int, canvas: Canvas) -> None:
    style, size, panel, box = layout.style, placed.size, layout.panels[i], placed.panels[i]
    top, y = placed.head_rule, placed.rows_end
    if panel.shade:
        a, b = (min(max(_x(panel, box, v), box[0]), box[1]) for v in panel.shade)
        canvas.shape(_rectangle(a, b, top, y), face=style.prediction, alpha=0.15, z=0.7)
    if panel.null is not None and panel.low <= panel.null <= panel.high:
        x = _x(panel, box, panel.null)
        canvas.line([(x, top), (x, y)], colour=style.null, width=style.line, z=1.0)
    for value in panel.mid:
        if panel.low <= value <= panel.high:
            x = _x(panel, box, value)
            canvas.line(
                [(x, top), (x, y)], colour=style.palette[2], width=style.line, dash=(0, (5, 2)), z=1.0
            )
    for value in panel.pooled:
        rows = [
            r for r in placed.rows if any(m.estimate == value and m.shape == "diamond" for m in r.row.marks)
        ]
        if panel.low <= value <= panel.high:
            x = _x(panel, box, value)
            end = rows[0].middle if rows else y
            canvas.line(
                [(x, placed.rows[0].top), (x, end)],
                colour=style.diamond,
                width=style.line,
                dash=(0, (1, 2)),
                z=1.1,
            )
    canvas.line([(box[0], y), (box[1], y)], colour=style.rule, width=style.hairline)
    shown = _apart(panel, box, canvas.meter, size)
    for j, (tick, label) in enumerate(zip(panel.ticks, panel.labels, strict=True)):
        x = _x(panel, box, tick)
        canvas.line([(x, y), (x, y + 0.35 * size)], colour=style.rule, width=style.hairline)
        if j in shown:
            canvas.text(x, y + 1.4 * size, label, size=size, align="centre")
    y += 1.75 * size
    names = canvas.meter.wrap(canvas.meter.clean(panel.axis_label), size, name_room(box, placed.width, size))
    for line in names:
        x = _inside((box[0] + box[1]) / 2, canvas.meter.width(line, size), placed)
        canvas.text(x, y + size, line, size=size, align="centre")
        y += LINE * size
    if any(panel.favours):
        above = favours_lines(layout, canvas.meter, size, placed.panels, placed.width) - 1
        start = placed.head_base - (1.0 + LINE * above) * size if style.favours == "above" else y + 0.1 * size
        _draw_favours(layout, placed, i, canvas, start)


def _inside(x: float, width: float, placed: Arranged) -> float:
    pad = PAD * placed.size
    return min(max(x, pad + width / 2), placed.width - pad - width / 2)


def _apart(panel: Panel, box: tuple[float, float], meter: Meter, size: float) -> set[int]:
    """Tick labels that stand apart: all, or every second, third … counted from the null or the first."""
    n = len(panel.ticks)
    anchor = min(range(n), key=lambda j: abs(panel.ticks[j] - (panel.null or 0.0)), default=0)
    for stride in range(1, n + 1):
        keep = [j for j in range(n) if (j - anchor) % stride == 0]
        spans = [(_x(panel, box, panel.ticks[j]), meter.width(panel.labels[j], size) / 2) for j in keep]
        if all(b - wb - (a + wa) > 0.5 * size for (a, wa), (b, wb) in pairwise(spans)):
            return set(keep)
    return {anchor}


def _draw_favours(layout: ForestLayout, placed: Arranged, i: int, canvas: Canvas, top: float) -> None:
    """Set the directions to the two sides of the null, or under each other where the panel is narrow."""
    size, panel, box = placed.size, layout.panels[i], placed.panels[i]
    low, high = favours_room(layout, i, box, placed.width, size, placed.panels)
    middle = _x(panel, box, panel.null) if panel.null is not None else sum(box) / 2
    middle = min(max(middle, box[0]), box[1])
    sides = favours_text(panel, canvas.meter, size, high - low, layout)
    wide = [max(canvas.meter.width(t, size) for t in side) for side in sides]
    half = 0.6 * size
    if not sides[1][0]:  # stacked
        end, start = min(max(middle, low + wide[0]), high), max(min(middle, high - wide[1]), low)
    else:
        start = min(max(middle + half, low + wide[0] + 2 * half), high - wide[1])
        end = min(max(middle - half, low + wide[0]), start - 2 * half)
    for side, x, align in ((sides[0], end, "right"), (sides[1], start, "left")):
        for j, text in enumerate(side):
            canvas.text(x, top + size * (1.0 + LINE * j), text, size=size, align=align)  # type: ignore[arg-type]


def _draw_foot(layout: ForestLayout, placed: Arranged, canvas: Canvas) -> None:
    size, pad = placed.size, PAD * placed.size
    for i, line in enumerate(placed.foot):
        canvas.text(pad, placed.foot_top + size * (1.0 + 1.4 * i), line, size=size)
    x, y = pad, placed.legend_top + size
    for (sign, colour, _), text in zip(layout.legend, placed.legend, strict=True):
        wide = 2.4 * size + canvas.meter.width(text, size)
        if x > pad and x + wide > placed.width - pad:
            x, y = pad, y + 1.6 * size
        _disc(canvas, x + 0.62 * size, y - BASE * size, 0.62 * size, colour)
        canvas.text(x + 0.62 * size, y, sign, size=size, align="centre", bold=True, colour="#000000")
        canvas.text(x + 1.7 * size, y, text, size=size)
        x += wide + 1.5 * size
