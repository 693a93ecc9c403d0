"""Names beside points: apart from each other, from markers and from leaders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from mtmeta.figures.draw.canvas import Canvas
from mtmeta.figures.draw.marks import clip, radius
from mtmeta.figures.draw.place import Box, Framed, Point
from mtmeta.figures.layout.plot import Line, Note, PlotLayout, Points

__all__ = ["draw_labels"]

Segment = tuple[Point, Point]
_Wanted = tuple[float, float, float, str]
_ANGLES = (0, 180, -45, 45, -135, 135, -90, 90, -22, 22, -158, 158, -68, 68, -112, 112)
_FINE = tuple(range(-180, 180, 7))  # in a crowd
_REACH = 22  # distances at which a name is tried, each 0.7 of the text size further out


@dataclass
class _Ground:
    """What stands in a plot already, in points."""

    frame: Framed
    markers: list[tuple[float, float, float]] = field(default_factory=list)
    texts: list[Box] = field(default_factory=list)
    lines: list[Segment] = field(default_factory=list)
    leaders: list[Segment] = field(default_factory=list)


def draw_labels(layout: PlotLayout, frame: Framed, canvas: Canvas) -> None:
    """Name points beside them where there is room, else further out with a leader.

    A name covers no marker and no other name, and no leader crosses a name. Of the places that are left the
    nearest is taken; a leader, a line under the name, and what the leader crosses count as distance.
    """
    small = 0.9 * frame.size
    ground, wanted = _survey(layout, frame, canvas)
    tries = [_set(ground, order, canvas, small) for order in _orders(wanted)]
    for text, box, leader in min(tries, key=lambda found: found[0], default=(0.0, []))[1]:
        canvas.text(box[0], box[1] + 0.95 * small, text, size=small)
        if leader is not None:
            canvas.line(leader, colour=layout.style.muted, width=layout.style.hairline, z=1.9)


def _orders(wanted: list[_Wanted]) -> list[list[_Wanted]]:
    """Orders in which names are set: which comes first decides who has the near places."""
    if not wanted:
        return []
    if len(wanted) > 40:
        return [wanted]
    across, up = sorted(wanted, key=lambda w: w[0]), sorted(wanted, key=lambda w: w[1])
    return [wanted, wanted[::-1], across, across[::-1], up, up[::-1]]


def _set(
    ground: _Ground, order: list[_Wanted], canvas: Canvas, small: float
) -> tuple[float, list[tuple[str, Box, Segment | None]]]:
    """Set names one after the other: the cost of all, 40 for each that finds no place, and the places."""
    held = replace(ground, texts=list(ground.texts), leaders=list(ground.leaders))
    total, out = 0.0, []
    for x, y, r, text in order:
        extent = (canvas.meter.width(text, small), 1.22 * small)
        found = _best(held, (x, y, r), extent, small) or _best(held, (x, y, r), extent, small, _FINE)
        if found is None:
            total += 40.0
            continue
        cost, box, leader = found
        total += cost
        held.texts.append(box)
        held.leaders += [] if leader is None else [leader]
        out.append((text, box, leader))
    return (total, out)


def _survey(layout: PlotLayout, frame: Framed, canvas: Canvas) -> tuple[_Ground, list[_Wanted]]:
    ground, meter, size = _Ground(frame), canvas.meter, frame.size
    wanted = []
    for layer in layout.layers:
        if isinstance(layer, Points):
            for i, (x, y) in enumerate(zip(layer.x, layer.y, strict=True)):
                px, py = frame.at(x, y)
                r = radius(layer, i, size)
                ground.markers.append((px, py, r))
                if layer.labels and layer.labels[i]:
                    wanted.append((px, py, r, meter.clean(layer.labels[i])))
        elif isinstance(layer, Note):
            px, py = frame.at(layer.x, layer.y)
            w = meter.width(meter.clean(layer.text), size, bold=layer.bold)
            x0 = px - {"left": 0.0, "right": w, "centre": w / 2}[layer.align]
            ground.texts.append((x0, py - 0.6 * size, x0 + w, py + 0.6 * size))
        elif isinstance(layer, Line):
            places = [frame.at(x, y) for x, y in zip(layer.x, layer.y, strict=True)]
            ground.lines += list(pairwise(places))
    return ground, wanted


def _best(
    ground: _Ground,
    point: tuple[float, float, float],
    extent: tuple[float, float],
    size: float,
    angles: Sequence[int] = _ANGLES,
) -> tuple[float, Box, Segment | None] | None:
    """Return the cheapest free place of a name with its cost and leader; None where there is none."""
    best: tuple[float, Box, Segment | None] | None = None
    for step, box in _places(point, extent, size, angles):
        if best is not None and best[0] <= step:
            break  # every further place costs more
        if not _free(ground, box):
            continue
        leader = _leader(point, box) if step > 1 or _nearer(ground, point, box) else None
        if leader is not None and any(clip(*leader, text) is not None for text in ground.texts):
            continue
        cost = step + (2.0 if leader is not None else 0.0)
        cost += 5.0 * any(clip(a, b, box) is not None for a, b in ground.lines)
        if leader is not None:
            cost += 6.0 * sum(_covers(m, leader) for m in ground.markers if m != point)
            cost += 12.0 * sum(_cross(leader, other) for other in ground.leaders)
        if best is None or cost < best[0]:
            best = (cost, box, leader)
    return best


def _places(
    point: tuple[float, float, float], extent: tuple[float, float], size: float, angles: Sequence[int]
) -> Iterator[tuple[int, Box]]:
    """Boxes around a point, the nearest first: each touches the ray that leaves the point at an angle."""
    (px, py, r), (w, h) = point, extent
    for step in range(_REACH if angles is _ANGLES else 2 * _REACH):
        gap = r + (0.3 + 0.7 * step) * size
        for angle in angles:
            dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            x, y = px + gap * dx, py + gap * dy
            x0 = x - (0.0 if dx > 0.2 else w if dx < -0.2 else w / 2)
            y0 = y - (0.0 if dy > 0.2 else h if dy < -0.2 else h / 2)
            yield step, (x0, y0, x0 + w, y0 + h)
            if angle in (0, 180):  # beside the point, but with the whole line above its middle
                yield step, (x0, py - h, x0 + w, py)


def _free(ground: _Ground, box: Box) -> bool:
    frame, edge = ground.frame, 0.2 * ground.frame.size
    inside = box[0] >= frame.left + edge and box[2] <= frame.right
    if not inside or box[1] < frame.top or box[3] > frame.bottom - edge:
        return False
    if any(_gap(box, (x, y)) < r + 0.5 for x, y, r in ground.markers):
        return False
    if any(_meet(box, other) for other in ground.texts):
        return False
    return not any(clip(a, b, box) is not None for a, b in ground.leaders)


def _leader(point: tuple[float, float, float], box: Box) -> Segment:
    """From the rim of a marker to the nearest place of a box."""
    px, py, r = point
    end = (min(max(px, box[0]), box[2]), min(max(py, box[1]), box[3]))
    away = max(math.dist((px, py), end), 1e-9)
    return ((px + (end[0] - px) * r / away, py + (end[1] - py) * r / away), end)


def _nearer(ground: _Ground, point: tuple[float, float, float], box: Box) -> bool:
    """Whether another marker stands as near to a name as its own."""
    own = _gap(box, point[:2]) - point[2]
    return any(_gap(box, (x, y)) - r < 1.5 * own for x, y, r in ground.markers if (x, y, r) != point)


def _gap(box: Box, at: Sequence[float]) -> float:
    dx = max(box[0] - at[0], 0.0, at[0] - box[2])
    dy = max(box[1] - at[1], 0.0, at[1] - box[3])
    return math.hypot(dx, dy)


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] + 1 and a[2] > b[0] - 1 and a[1] < b[3] + 1 and a[3] > b[1] - 1


def _covers(marker: tuple[float, float, float], line: Segment) -> bool:
    x, y, r = marker
    return clip(*line, (x - r, y - r, x + r, y + r)) is not None


def _cross(one: Segment, other: Segment) -> bool:
    """Whether two segments cross."""

    def side(a: Point, b: Point, c: Point) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    (a, b), (c, d) = one, other
    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
