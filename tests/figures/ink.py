"""What tests ask of drawn figures: where text stands and whether any of it collides."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def boxes(figure):
    """Every visible text of a figure with its extent in pixels, at print resolution."""
    figure.set_dpi(300)
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts]


def overlaps(figure, *, slack=1.0):
    """Pairs of texts whose extents share more than `slack` pixels both ways."""
    found = []
    placed = sorted(boxes(figure), key=lambda b: b[1].y0)
    for i, (a, first) in enumerate(placed):
        for b, second in placed[i + 1 :]:
            if second.y0 > first.y1:
                break
            wide = min(first.x1, second.x1) - max(first.x0, second.x0)
            tall = min(first.y1, second.y1) - max(first.y0, second.y0)
            if wide > slack and tall > slack:
                found.append((a, b))
    return found


def outside(figure, *, slack=1.0):
    """Texts that leave the page."""
    page = figure.bbox
    return [
        t
        for t, b in boxes(figure)
        if b.x0 < -slack or b.y0 < -slack or b.x1 > page.width + slack or b.y1 > page.height + slack
    ]
