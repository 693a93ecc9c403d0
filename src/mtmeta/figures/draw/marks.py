"""Markers, colours, and what of a segment lies in a box."""

from __future__ import annotations

import math

from mtmeta.figures.draw.canvas import Canvas
from mtmeta.figures.draw.place import Box, Framed, Point
from mtmeta.figures.layout.plot import Points
from mtmeta.figures.style import Style

__all__ = [
    "clip",
    "colour",
    "contrast",
    "draw_points",
    "luminance",
    "marker",
    "mix",
    "radius",
    "readable_on",
]


def colour(style: Style, tone: str) -> str:
    """Return the colour of a role: a field of the style, "palette i", or a colour itself."""
    if tone.startswith("palette "):
        return style.palette[int(tone.split()[1]) % len(style.palette)]
    return tone if tone.startswith("#") else str(getattr(style, tone))


def mix(front: str, back: str, share: float) -> str:
    """Return a colour between two, so that no transparency is needed in print."""
    a, b = (tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in (front, back))
    return "#" + "".join(f"{round(share * p + (1 - share) * q):02X}" for p, q in zip(a, b, strict=True))


def readable_on(face: str, style: Style) -> str:
    """Return ink or paper, whichever stands out more against a colour."""
    return style.ink if contrast(style.ink, face) > contrast(style.paper, face) else style.paper


def contrast(a: str, b: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.1)."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def luminance(tone: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.1)."""
    parts = [int(tone[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def clip(a: Point, b: Point, box: Box) -> tuple[Point, Point] | None:
    """Return the part of a segment inside a box (Liang and Barsky 1984), None where it misses it."""
    if not all(map(math.isfinite, (*a, *b))):
        return None
    start, end = 0.0, 1.0
    dx, dy = b[0] - a[0], b[1] - a[1]
    sides = ((-dx, a[0] - box[0]), (dx, box[2] - a[0]), (-dy, a[1] - box[1]), (dy, box[3] - a[1]))
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


def radius(layer: Points, i: int, size: float) -> float:
    """Return the radius in points of a layer's marker."""
    area = layer.area[i] if layer.area else 1.0
    return 0.36 * size * math.sqrt(max(area, 0.0))


def draw_points(layer: Points, frame: Framed, canvas: Canvas, style: Style, z: float) -> None:
    """Ink the markers of a layer that lie inside the axes."""
    tone = colour(style, layer.tone)
    face = style.paper if layer.hollow else mix(tone, style.paper, layer.alpha)
    edge = tone if layer.hollow else style.muted if layer.rim else style.paper
    width = style.line if layer.hollow else style.hairline if layer.rim else 0.4
    for i, (x, y) in enumerate(zip(layer.x, layer.y, strict=True)):
        px, py = frame.at(x, y)
        if frame.left - 1 <= px <= frame.right + 1 and frame.top - 1 <= py <= frame.bottom + 1:
            outline = marker(layer.shape, px, py, radius(layer, i, frame.size))
            canvas.shape(outline, face=face, edge=edge, width=width, z=z)
            if layer.inner and layer.inner[i]:
                text = canvas.meter.clean(layer.inner[i])
                ink = readable_on(face, style)
                canvas.text(px, py + 0.36 * frame.size, text, size=frame.size, align="centre", colour=ink)
