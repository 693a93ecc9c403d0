"""PRISMA 2020 flow diagram: boxes, their counts, and the arrows between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mtmeta.errors import UsageError
from mtmeta.figures.layout.base import Layout, count
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import check_choice

__all__ = ["FlowArrow", "FlowBox", "FlowLayout", "prisma_layout"]

Lane = Literal["previous", "main", "out", "other", "other out"]
_LANES: tuple[str, ...] = ("previous", "main", "out", "other", "other out")
_PHASES = ("Identification", "Screening", "Included")


@dataclass(frozen=True, slots=True)
class FlowBox:
    """One box of the diagram.

    Attributes
    ----------
    key : str
    lane : str
        Which column: "previous", "main", "out" (what leaves), "other" (other methods), "other out".
    row : int
        From the top.
    head : str
        First line.
    lines : tuple of str
        Further lines: counts, or reasons with counts.
    numbers : tuple of float
        Every count in the box, in order.
    """

    key: str
    lane: Lane
    row: int
    head: str
    lines: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowArrow:
    """From one box to another."""

    start: str
    end: str


@dataclass(frozen=True)
class FlowLayout(Layout):
    """A flow diagram as data.

    Attributes
    ----------
    boxes : tuple of FlowBox
    arrows : tuple of FlowArrow
    phases : tuple of (str, int, int)
        Bars at the left: name, first and last row.
    heads : tuple of (str, str)
        Heads above lanes.
    foot : tuple of str
        What does not add up, if anything.
    title : str
    style : Style
    """

    boxes: tuple[FlowBox, ...]
    arrows: tuple[FlowArrow, ...]
    phases: tuple[tuple[str, int, int], ...]
    heads: tuple[tuple[str, str], ...] = ()
    foot: tuple[str, ...] = ()
    title: str = ""
    style: Style = field(default_factory=Style)

    def box(self, key: str) -> FlowBox:
        """Return the box with a key."""
        return next(b for b in self.boxes if b.key == key)


# key: lane, row, head, what each count is called (None for the number alone)
_BOXES: dict[str, tuple[Lane, int, str]] = {
    "previous": ("previous", 0, "Studies included in previous version of review"),
    "identified": ("main", 0, "Records identified from:"),
    "removed": ("out", 0, "Records removed before screening:"),
    "screened": ("main", 1, "Records screened"),
    "excluded": ("out", 1, "Records excluded"),
    "sought": ("main", 2, "Reports sought for retrieval"),
    "not_retrieved": ("out", 2, "Reports not retrieved"),
    "assessed": ("main", 3, "Reports assessed for eligibility"),
    "reports_excluded": ("out", 3, "Reports excluded:"),
    "other_identified": ("other", 0, "Records identified from:"),
    "other_sought": ("other", 2, "Reports sought for retrieval"),
    "other_not_retrieved": ("other out", 2, "Reports not retrieved"),
    "other_assessed": ("other", 3, "Reports assessed for eligibility"),
    "other_reports_excluded": ("other out", 3, "Reports excluded:"),
    "included": ("main", 4, "Included in review"),
    "total": ("main", 5, "Total included in review"),
}
_ARROWS = (
    ("identified", "removed"),
    ("identified", "screened"),
    ("screened", "excluded"),
    ("screened", "sought"),
    ("sought", "not_retrieved"),
    ("sought", "assessed"),
    ("assessed", "reports_excluded"),
    ("assessed", "included"),
    ("other_identified", "other_sought"),
    ("other_sought", "other_not_retrieved"),
    ("other_sought", "other_assessed"),
    ("other_assessed", "other_reports_excluded"),
    ("other_assessed", "included"),
    ("previous", "total"),
    ("included", "total"),
)
# what enters, what leaves, what is left
_SUMS = (
    ("identified", "removed", "screened"),
    ("screened", "excluded", "sought"),
    ("sought", "not_retrieved", "assessed"),
    ("other_sought", "other_not_retrieved", "other_assessed"),
)

Counts = float | Mapping[str, float]


def prisma_layout(
    counts: Mapping[str, Counts],
    *,
    extra: Sequence[FlowBox] = (),
    without: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    title: str = "",
    style: Style | StyleName = "plain",
) -> FlowLayout:
    """Lay out a PRISMA 2020 flow diagram; boxes are those that have counts.

    Parameters
    ----------
    counts : mapping
        Box to its number, or to a mapping of lines to numbers (databases, reasons of exclusion). Boxes:
        previous, identified, removed, screened, excluded, sought, not_retrieved, assessed,
        reports_excluded, included, total, and for other methods other_identified, other_sought,
        other_not_retrieved, other_assessed, other_reports_excluded.
    extra : sequence of FlowBox
        Further boxes, in a lane and row of your own; an arrow leads to each from the box above it, or from
        the main box of its row when it stands aside.
    without : sequence of str
        Boxes to leave out although they have counts; arrows close over the gap.
    labels : mapping of str to str, optional
        Other heads for boxes.
    title, style
        As everywhere.

    Returns
    -------
    FlowLayout
        Its foot names every step whose counts do not add up; nothing is corrected.

    Raises
    ------
    UsageError
        For an unknown box, a negative count, or no box at all.

    References
    ----------
    Page et al. 2021, BMJ 372:n71.

    Examples
    --------
    >>> layout = prisma_layout({"screened": 988, "excluded": 850, "sought": 130})
    >>> layout.box("screened").head
    'Records screened (n = 988)'
    >>> layout.foot
    ('Does not add up: reports sought for retrieval is 130, 988 less 850 is 138',)
    """
    look = style_of(style)
    unknown = [k for k in (*counts, *without, *(labels or {})) if k not in _BOXES]
    if unknown:
        raise UsageError(f"there is no box {unknown[0]!r}; boxes are {', '.join(_BOXES)}")
    kept = [k for k in _BOXES if k in counts and k not in without]
    if not kept:
        raise UsageError("no box has a count; give at least {'included': …}")
    named = labels or {}
    boxes = [_box(k, counts[k], named.get(k, _BOXES[k][2]), look) for k in kept]
    for box in extra:
        check_choice("lane", box.lane, _LANES)
    boxes += list(extra)
    arrows = _arrows(kept, boxes, extra)
    phases = _phases(boxes)
    return FlowLayout(
        boxes=tuple(boxes),
        arrows=arrows,
        phases=phases,
        heads=_heads({b.lane for b in boxes}),
        foot=_disagreements(counts, look),
        title=title,
        style=look,
    )


def _total(value: Counts) -> float:
    return float(sum(value.values())) if isinstance(value, Mapping) else float(value)


def _box(key: str, value: Counts, head: str, style: Style) -> FlowBox:
    lane, row, _ = _BOXES[key]
    items = list(value.items()) if isinstance(value, Mapping) else [("", value)]
    for name, number in items:
        if not float(number) >= 0:
            raise UsageError(f"{key} {name}: a count is 0 or more, not {number!r}")
    if not isinstance(value, Mapping):
        return FlowBox(
            key, lane, row, f"{head.rstrip(':')} (n = {count(float(value), style)})", (), (float(value),)
        )
    lines = tuple(f"{name} (n = {count(float(n), style)})" for name, n in items)
    return FlowBox(key, lane, row, head, lines, tuple(float(n) for _, n in items))


def _arrows(kept: Sequence[str], boxes: Sequence[FlowBox], extra: Sequence[FlowBox]) -> tuple[FlowArrow, ...]:
    arrows = []
    for start, end in _ARROWS:
        if start not in kept:
            continue
        while end not in kept:  # a box left out: its successor in the same lane takes the arrow
            onward = next((e for s, e in _ARROWS if s == end and _BOXES[e][0] != "out"), "")
            if not onward or _BOXES[end][0] in ("out", "other out"):
                break
            end = onward
        if end in kept and FlowArrow(start, end) not in arrows:
            arrows.append(FlowArrow(start, end))
    for box in extra:
        aside = box.lane in ("out", "other out")
        lane = {"out": "main", "other out": "other"}.get(box.lane, box.lane)
        above = [
            b
            for b in boxes
            if b.lane == lane and (b.row == box.row if aside else b.row < box.row) and b != box
        ]
        if above:
            arrows.append(FlowArrow(max(above, key=lambda b: b.row).key, box.key))
    return tuple(arrows)


def _phases(boxes: Sequence[FlowBox]) -> tuple[tuple[str, int, int], ...]:
    spans = ((0, 0), (1, 3), (4, 99))
    found = []
    for name, (first, last) in zip(_PHASES, spans, strict=True):
        rows = [b.row for b in boxes if first <= b.row <= last]
        if rows:
            found.append((name, min(rows), max(rows)))
    return tuple(found)


def _heads(lanes: set[Lane]) -> tuple[tuple[str, str], ...]:
    heads: list[tuple[str, str]] = []
    if "previous" in lanes:
        heads.append(("previous", "Previous studies"))
    if lanes & {"previous", "other"}:
        heads.append(("main", "New studies via databases and registers"))
    if "other" in lanes:
        heads.append(("other", "New studies via other methods"))
    return tuple(heads)


def _disagreements(counts: Mapping[str, Counts], style: Style) -> tuple[str, ...]:
    lines = []
    for enters, leaves, left in _SUMS:
        if enters in counts and left in counts:
            gone = _total(counts[leaves]) if leaves in counts else 0.0
            have, had = _total(counts[left]), _total(counts[enters])
            if abs(had - gone - have) > 1e-9:
                said, entered, lost, due = (count(v, style) for v in (have, had, gone, had - gone))
                name = _BOXES[left][2].lower()
                lines.append(f"Does not add up: {name} is {said}, {entered} less {lost} is {due}")
    return tuple(lines)
