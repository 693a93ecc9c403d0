"""Where everything of a forest plot goes on its page: measured, in points from the top left."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mtmeta.figures.draw.canvas import Meter
from mtmeta.figures.layout.table import Column, ForestLayout, Panel, Row

__all__ = ["Arranged", "Placed", "arrange"]

# all in multiples of the text size
PAD = 0.9  # page margin
GAP = 1.3  # between columns
PANEL_GAP = 1.6  # between columns and panel
INDENT = 1.0
LINE = 1.25  # second and further lines of a wrapped label
MIN_PANEL = 11.0
SPACE = 0.32  # between the lanes of a column
LIGHT = 1.55  # width of a risk-of-bias column


@dataclass(frozen=True)
class Placed:
    """A row with its place: top and height in points, label broken into lines."""

    row: Row
    top: float
    height: float
    lines: tuple[str, ...]

    @property
    def middle(self) -> float:
        """Where marks and single-line cells are centred."""
        return self.top + self.height / 2.0


@dataclass(frozen=True)
class Arranged:
    """A forest plot's places on a page, in points.

    Attributes
    ----------
    size : float
        Text size.
    width, height : float
        Of the page.
    columns : tuple of (float, float)
        Left and right end of each column.
    lanes : tuple of tuple of float
        Right ends of each column's lanes.
    heads : tuple of tuple of str
        Header lines of each column.
    panels : tuple of (float, float)
    lights : tuple of float
        Middle of each risk-of-bias column.
    rows : tuple of Placed
    title, foot, legend : tuple of str
        Broken into lines.
    title_top, group_base, head_base, head_rule, rows_top, rows_end, foot_top, legend_top : float
    """

    size: float
    width: float
    height: float
    columns: tuple[tuple[float, float], ...]
    lanes: tuple[tuple[float, ...], ...]
    heads: tuple[tuple[str, ...], ...]
    panels: tuple[tuple[float, float], ...]
    lights: tuple[float, ...]
    rows: tuple[Placed, ...]
    title: tuple[str, ...]
    foot: tuple[str, ...]
    legend: tuple[str, ...]
    group_base: float
    head_base: float
    head_rule: float
    rows_end: float
    foot_top: float
    legend_top: float


@dataclass(frozen=True)
class _Widths:
    """Column widths at one text size and label limit."""

    columns: tuple[float, ...]
    lanes: tuple[tuple[float, ...], ...]
    heads: tuple[tuple[str, ...], ...]
    labels: tuple[tuple[str, ...], ...]


def arrange(
    layout: ForestLayout, meter: Meter, *, width: float | None = None, height: float | None = None
) -> Arranged:
    """Place a layout on a page.

    Parameters
    ----------
    layout : ForestLayout
    meter : Meter
    width, height : float, optional
        Room in points. Without them the page takes what the figure needs at the style's text size; with
        them labels are wrapped harder first, and only then is the text made smaller.

    Returns
    -------
    Arranged
    """
    size = layout.style.size
    if width is None:
        return _place(layout, meter, size, layout.style.label, None)
    has_notes = any(row.kind == "note" for row in layout.rows)
    while True:
        limits = [x for x in (layout.style.label, 18.0, 15.0, 12.0, 10.0, 8.0) if x <= layout.style.label]
        for label, roomy in [*([(limits[0], True)] if has_notes else []), *((x, False) for x in limits)]:
            placed = _place(layout, meter, size, label, width, roomy=roomy)
            low = min((b - a for a, b in placed.panels), default=least_panel(layout) * size)
            if low >= least_panel(layout) * size * 0.999 and (height is None or placed.height <= height):
                return placed if height is None else replace(placed, height=height)
        size *= 0.96
        if size < 0.5:  # a page of nothing: let it be drawn, the caller has been told
            return placed if height is None else replace(placed, height=height)


def least_panel(layout: ForestLayout) -> float:
    """Return the least width of a panel in multiples of the text size; many panels may be narrower."""
    return MIN_PANEL if len(layout.panels) < 3 else 0.5 * MIN_PANEL


def smallest_page(layout: ForestLayout, meter: Meter) -> tuple[float, float]:
    """Width and height in points that the layout needs at the smallest text size its style allows."""
    size = layout.style.smallest
    wide = _place(layout, meter, size, 15.0, None)
    spare = sum(b - a - least_panel(layout) * size for a, b in wide.panels)
    return (wide.width - max(0.0, spare), wide.height)


# ---- widths -----------------------------------------------------------------------------------


def _measure(layout: ForestLayout, meter: Meter, size: float, label: float) -> _Widths:
    labels = _labels(layout, meter, size, label)
    columns, lanes, heads = [], [], []
    for j, column in enumerate(layout.columns):
        if column.key == "study":
            own: list[float] = [
                max(
                    (
                        meter.width(line, size, bold=r.bold) + r.indent * INDENT * size
                        for r, lines in zip(layout.rows, labels, strict=True)
                        if r.cells
                        for line in lines
                    ),
                    default=0.0,
                )
            ]
        else:
            own = _lane_widths(layout, meter, size, j)
        head = _head_lines(column, meter, size, sum(own), bold=layout.style.bold_head)
        wide = max([sum(own), *(meter.width(h, size, bold=layout.style.bold_head) for h in head)])
        columns.append(wide)
        lanes.append(tuple(own))
        heads.append(head)
    return _Widths(tuple(columns), tuple(lanes), tuple(heads), labels)


def light_width(layout: ForestLayout, meter: Meter, size: float) -> float:
    """Return the width of one risk-of-bias column: a disc, or its head with room beside it."""
    bold = layout.style.bold_head
    return max([LIGHT * size, *(meter.width(d, size, bold=bold) + 0.5 * size for d in layout.domains)])


def _note_room(layout: ForestLayout, meter: Meter, size: float) -> float:
    """Width in which every note under a subgroup takes two lines at most."""
    notes = [(r, meter.width(meter.clean(r.text), size)) for r in layout.rows if r.kind == "note"]
    return max((r.indent * INDENT * size + 0.56 * w for r, w in notes), default=0.0)


def _labels(layout: ForestLayout, meter: Meter, size: float, label: float) -> tuple[tuple[str, ...], ...]:
    study = layout.column("study")
    out = []
    for row in layout.rows:
        text = meter.clean(row.cells[study].text if row.cells and study >= 0 else row.text)
        limit = (label - row.indent * INDENT) * size
        wrapped = meter.wrap(text, size, limit, bold=row.bold) if row.cells else (text,)
        out.append(wrapped)
    return tuple(out)


def _lane_widths(layout: ForestLayout, meter: Meter, size: float, j: int) -> list[float]:
    """Widths of a column's lanes, from rows that are not bold: bold cells are set in one piece."""
    cells = [(r.cells[j].parts, r.bold) for r in layout.rows if r.cells and r.cells[j].text]
    count = max((len(parts) for parts, _ in cells), default=1) or 1
    lanes = [0.0] * count
    whole = 0.0
    for parts, bold in cells:
        if bold or len(parts) < count:
            whole = max(whole, meter.width(meter.clean("".join(parts)), size, bold=bold))
            continue
        for i, part in enumerate(parts):
            space = SPACE * size if part.endswith(" ") else 0.0
            lanes[i] = max(lanes[i], meter.width(meter.clean(part).rstrip(), size) + space)
    lanes[0] += max(0.0, whole - sum(lanes))
    return lanes


def _head_lines(column: Column, meter: Meter, size: float, own: float, *, bold: bool) -> tuple[str, ...]:
    head = meter.clean(column.header)
    if column.key == "study" or meter.width(head, size, bold=bold) <= own + 3.6 * size:
        return (head,)
    return meter.wrap(head, size, max(own, 5.5 * size), bold=bold)


def groups_of(columns: tuple[Column, ...]) -> list[tuple[str, int, int]]:
    """Spanning headers as (text, first column, last column)."""
    out: list[tuple[str, int, int]] = []
    for j, c in enumerate(columns):
        if (
            out
            and c.group
            and out[-1][0] == c.group
            and out[-1][2] == j - 1
            and columns[j - 1].side == c.side
        ):
            out[-1] = (c.group, out[-1][1], j)
        else:
            out.append((c.group, j, j))
    return [g for g in out if g[0]]


def _widen_for_groups(layout: ForestLayout, meter: Meter, size: float, widths: list[float]) -> list[float]:
    for text, first, last in groups_of(layout.columns):
        have = sum(widths[first : last + 1]) + GAP * size * (last - first)
        need = meter.width(meter.clean(text), size, bold=layout.style.bold_head)
        if need > have:
            widths[first] += need - have
    return widths


# ---- places -----------------------------------------------------------------------------------


def _place(
    layout: ForestLayout, meter: Meter, size: float, label: float, width: float | None, *, roomy: bool = True
) -> Arranged:
    style = layout.style
    measured = _measure(layout, meter, size, label)
    widths = _widen_for_groups(layout, meter, size, list(measured.columns))
    left = [j for j, c in enumerate(layout.columns) if c.side == "left"]
    if roomy and left:
        have = sum(widths[j] for j in left) + GAP * size * (len(left) - 1)
        widths[left[0]] += max(0.0, _note_room(layout, meter, size) - have)
    right = [j for j, c in enumerate(layout.columns) if c.side == "right"]
    pad, gap = PAD * size, GAP * size
    lights = light_width(layout, meter, size) * len(layout.domains) + (gap if layout.domains else 0.0)
    fixed = 2 * pad + sum(widths) + gap * (max(0, len(left) - 1) + max(0, len(right) - 1)) + lights
    count = len(layout.panels)
    fixed += PANEL_GAP * size * (max(0, count - 1) + (count > 0 and bool(left)) + (count > 0 and bool(right)))
    share = 1.0 if count < 2 else 0.75 if count == 2 else 0.42
    natural = max(style.panel * size * share, _panel_need(layout, meter, size))
    page = fixed + count * natural if width is None else width
    panel = (page - fixed) / count if count else 0.0

    x = pad
    ends: dict[int, tuple[float, float]] = {}
    for j in left:
        ends[j] = (x, x + widths[j])
        x += widths[j] + gap
    x += (PANEL_GAP - GAP) * size if left and count else 0.0
    panels = []
    for _ in range(count):
        panels.append((x, x + panel))
        x += panel + PANEL_GAP * size
    if not right:
        x -= PANEL_GAP * size - (gap if layout.domains else 0.0) if count else 0.0
    for j in right:
        ends[j] = (x, x + widths[j])
        x += widths[j] + gap
    step = light_width(layout, meter, size)
    middles = tuple(x + step * (i + 0.5) for i in range(len(layout.domains)))
    columns = tuple(ends[j] for j in range(len(layout.columns)))
    lanes = tuple(
        _lane_ends(ends[j], measured.lanes[j], layout.columns[j]) for j in range(len(layout.columns))
    )
    return _stack(layout, meter, size, page, columns, lanes, measured, tuple(panels), middles)


def _panel_need(layout: ForestLayout, meter: Meter, size: float) -> float:
    """Width at which each panel's tick labels stand apart and its header fits."""
    need = least_panel(layout) * size
    for panel in layout.panels:
        bold = layout.style.bold_head
        need = max([need, *(meter.width(line, size, bold=bold) for line in panel.header.split("\n"))])
    return need


def _lane_ends(ends: tuple[float, float], lanes: tuple[float, ...], column: Column) -> tuple[float, ...]:
    """Right ends of lanes: the block of numbers stands centred under a wider header, or where aligned."""
    room = ends[1] - ends[0] - sum(lanes)
    x = ends[1] - (room / 2.0 if column.align == "centre" or len(lanes) > 1 else 0.0) - sum(lanes)
    out = []
    for lane in lanes:
        x += lane
        out.append(x)
    return tuple(out)


def _stack(
    layout: ForestLayout,
    meter: Meter,
    size: float,
    page: float,
    columns: tuple[tuple[float, float], ...],
    lanes: tuple[tuple[float, ...], ...],
    measured: _Widths,
    panels: tuple[tuple[float, float], ...],
    lights: tuple[float, ...],
) -> Arranged:
    style, pad = layout.style, PAD * size
    room = page - 2 * pad
    title = meter.wrap(meter.clean(layout.title), size * 1.15, room, bold=True) if layout.title else ()
    y = pad + len(title) * 1.15 * LINE * size + (0.6 * size if title else 0.0)
    depth = _head_depth(layout, meter, size, measured, panels, page)
    group = bool(groups_of(layout.columns))
    group_base = y + size
    y += (LINE + 0.35) * size if group else 0.0
    head_base = y + size * (1.0 + LINE * (depth - 1))
    y += size * (LINE * depth + 0.25)
    head_rule = y
    y += 0.35 * size
    rows = []
    block = (
        columns[0][0],
        max((c[1] for c, s in zip(columns, layout.columns, strict=True) if s.side == "left")),
    )
    for row, lines in zip(layout.rows, measured.labels, strict=True):
        if not row.cells:
            limit = block[1] - block[0] - row.indent * INDENT * size
            lines = tuple(p for line in lines for p in meter.wrap(line, size, limit, bold=row.bold))
        y += row.gap * style.leading * size
        tall = style.leading * size + (len(lines) - 1) * LINE * size
        if row.kind == "note":
            tall = (LINE * len(lines) + 0.15) * size
        rows.append(Placed(row, y, tall, lines))
        y += tall
    rows_end = y + 0.25 * size
    y = rows_end + (axis_depth(layout, meter, size, panels, page) if layout.panels else 0.2 * size)
    foot_top = y + (0.55 * size if layout.foot else 0.0)
    foot = tuple(p for line in layout.foot for p in meter.wrap(meter.clean(line), size, room))
    y = foot_top + len(foot) * 1.4 * size
    legend_top = y + (0.5 * size if layout.legend else 0.0)
    entries = tuple(
        (meter.clean(meaning), 2.4 * size + meter.width(meter.clean(meaning), size))
        for _, _, meaning in layout.legend
    )
    legend_rows = _flow([w for _, w in entries], room, 1.5 * size)
    y = legend_top + (max(legend_rows) + 1) * 1.6 * size if legend_rows else y
    return Arranged(
        size=size,
        width=page,
        height=y + pad * 0.8,
        columns=columns,
        lanes=lanes,
        heads=measured.heads,
        panels=panels,
        lights=lights,
        rows=tuple(rows),
        title=title,
        foot=foot,
        legend=tuple(text for text, _ in entries),
        group_base=group_base,
        head_base=head_base,
        head_rule=head_rule,
        rows_end=rows_end,
        foot_top=foot_top,
        legend_top=legend_top,
    )


def _flow(widths: list[float], room: float, gap: float) -> list[int]:
    """Row in which each legend entry stands when they are set one after the other."""
    out, x, row = [], 0.0, 0
    for w in widths:
        if x and x + w > room:
            row, x = row + 1, 0.0
        out.append(row)
        x += w + gap
    return out


def _head_depth(
    layout: ForestLayout,
    meter: Meter,
    size: float,
    measured: _Widths,
    panels: tuple[tuple[float, float], ...],
    page: float,
) -> int:
    depth = max((len(h) for h in measured.heads), default=1)
    own = max((p.header.count("\n") + 1 for p in layout.panels if p.header), default=0)
    if layout.style.favours == "above" and any(any(p.favours) for p in layout.panels):
        own += favours_lines(layout, meter, size, panels, page)
    return max(depth, own)


def axis_depth(
    layout: ForestLayout, meter: Meter, size: float, panels: tuple[tuple[float, float], ...], page: float
) -> float:
    """Height in points that axes need under the rows: ticks, labels, name, directions."""
    depth = 0.45 + 1.3
    names = [
        meter.wrap(meter.clean(p.axis_label), size, name_room(box, page, size)) if p.axis_label else ()
        for p, box in _boxes(layout, panels)
    ]
    depth += LINE * max((len(n) for n in names), default=0) + 0.1
    if layout.style.favours == "below" and any(any(p.favours) for p in layout.panels):
        depth += LINE * favours_lines(layout, meter, size, panels, page) + 0.15
    return depth * size


def name_room(box: tuple[float, float], page: float, size: float) -> float:
    """Width an axis name may take: somewhat more than its panel, never more than the page."""
    return min(page - 2 * PAD * size, max(1.35 * (box[1] - box[0]), 14.0 * size))


def _boxes(layout: ForestLayout, panels: tuple[tuple[float, float], ...]):  # type: ignore[no-untyped-def]
    return list(zip(layout.panels, panels, strict=True))


def favours_lines(
    layout: ForestLayout, meter: Meter, size: float, panels: tuple[tuple[float, float], ...], page: float
) -> int:
    """Lines that the directions take: the most of any panel."""
    rooms = [favours_room(layout, i, box, page, size, panels) for i, box in enumerate(panels)]
    texts = [
        favours_text(p, meter, size, b - a, layout) for p, (a, b) in zip(layout.panels, rooms, strict=True)
    ]
    return max((max(map(len, sides)) for sides in texts), default=0)


def favours_text(
    panel: Panel, meter: Meter, size: float, room: float, layout: ForestLayout
) -> tuple[list[str], list[str]]:
    """Break the directions of a panel into lines: beside each other while there is room, else stacked.

    Beside each other each takes one line or two; stacked, the right one has empty lines where the left one
    stands.
    """
    left, right = (meter.clean(t) for t in panel.favours)
    below = layout.style.favours == "below"

    def with_arrows(sides: list[list[str]]) -> tuple[list[str], list[str]]:
        if below:
            sides[0][0] = f"← {sides[0][0]}"
            sides[1][-1] = f"{sides[1][-1]} →"
        return (sides[0], sides[1])

    def fits(sides: tuple[list[str], list[str]]) -> bool:
        return sum(max(meter.width(t, size) for t in side) for side in sides) + 1.2 * size <= room

    for sides in ([[left], [right]], [_halves(left, meter, size), _halves(right, meter, size)]):
        found = with_arrows(sides)
        if fits(found):
            return found
    limit = room - (meter.width("← ", size) if below else 0.0)
    over, under = with_arrows([list(meter.wrap(t, size, limit)) for t in (left, right)])
    return (over, [*[""] * len(over), *under])


def _halves(text: str, meter: Meter, size: float) -> list[str]:
    """Break a text into two lines at the space that leaves the narrower block."""
    words = text.split(" ")
    cuts = [[" ".join(words[:i]), " ".join(words[i:])] for i in range(1, len(words))]
    return min(cuts, key=lambda pair: max(meter.width(p, size) for p in pair), default=[text])


def favours_room(
    layout: ForestLayout,
    i: int,
    box: tuple[float, float],
    page: float,
    size: float,
    panels: tuple[tuple[float, float], ...],
) -> tuple[float, float]:
    """Return between which points the directions of a panel may stand.

    Below, the page to both sides is free; above, columns have their headers there.
    """
    pad, half = PAD * size, 0.5 * PANEL_GAP * size
    if layout.style.favours == "above":
        return (box[0] - half, box[1] + half)
    low = pad if i == 0 else (panels[i - 1][1] + box[0]) / 2.0 + 0.6 * size
    high = page - pad if i == len(panels) - 1 else (box[1] + panels[i + 1][0]) / 2.0 - 0.6 * size
    return (low, high)
