"""Where text has little room: names beside points, names on axes, directions under narrow panels."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from drawn import bcg, common, many, random
from ink import boxes, outside, overlaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal

from mtmeta.figures import (
    STYLES,
    baujat_layout,
    bubble_layout,
    compare_layout,
    drapery_layout,
    draw_layout,
    forest,
    forest_layout,
    funnel_layout,
    rob_summary_layout,
)
from mtmeta.figures.draw.canvas import Canvas, Meter
from mtmeta.figures.draw.marks import clip
from mtmeta.figures.layout.lights import TOOLS, RobTable
from mtmeta.figures.style import Style


def mostly_slow(styles, *always):
    """The styles named always, the others in the long run."""
    return [s if s in always else pytest.param(s, marks=pytest.mark.slow) for s in sorted(styles)]


def crowd(k=14, seed=3):
    """Most points in a corner, as in a Baujat plot with one outlier."""
    rng = np.random.default_rng(seed)
    x, y = rng.exponential(0.3, k), rng.exponential(0.03, k)
    x[0], y[0] = 8.0, 2.7
    return pd.DataFrame(
        {"study": [f"Author{i} {1990 + i}" for i in range(k)], "contribution": x, "influence": y}
    )


def leaders(ax):
    """Segments from points to their names, in pixels."""
    (lines,) = [c for c in ax.collections if c.get_zorder() == 1.9] or [None]
    return (
        [] if lines is None else [[tuple(p) for p in ax.transData.transform(s)] for s in lines.get_segments()]
    )


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(s, marks=pytest.mark.slow) for s in range(2, 12))])
def test_no_leader_crosses_a_name(seed):
    ax = draw_layout(baujat_layout(crowd(seed=seed), labelled=5))
    figure = ax.figure
    placed = boxes(figure)  # sets the resolution
    names = {t: b for t, b in placed if t.startswith("Author")}
    assert len(names) == 5
    assert overlaps(figure) == [] == outside(figure)
    drawn = leaders(ax)
    for a, b in drawn:
        for text, box in names.items():
            inner = (box.x0 + 2, box.y0 + 2, box.x1 - 2, box.y1 - 2)
            assert clip(a, b, inner) is None, text


@pytest.mark.parametrize("size", [None, (3.2, 1.6), (7.0, 1.2), (2.0, 2.0)])
@pytest.mark.parametrize("style", mostly_slow(STYLES, "plain"))
def test_every_name_on_a_y_axis_is_drawn(style, size):
    keys = [k for k, _ in TOOLS["RoB 1"]]
    table = RobTable.of({s: dict.fromkeys(keys, "low") for s in ("a", "b")}, tool="RoB 1")
    layout = rob_summary_layout(table, style=style)
    ax = draw_layout(layout) if size is None else draw_layout(layout, Figure(figsize=size).subplots())
    said = " ".join(t for t, _ in boxes(ax.figure)).replace(" ", "")
    for name in layout.y.labels:
        assert all(word in said for word in name.split())
    assert overlaps(ax.figure) == [] == outside(ax.figure)


@pytest.mark.parametrize("style", mostly_slow(STYLES, "plain", "jama"))
@pytest.mark.parametrize("panels", [2, 3])
def test_directions_of_narrow_panels_stay_apart(panels, style):
    es = bcg()
    fits = {"Random": random(es), "Common": common(es), "Again": random(es)}
    layout = compare_layout(
        dict(list(fits.items())[:panels]),
        better="lower",
        arms=("BCG vaccine", "no vaccine at all"),
        style=style,
    )
    for ax in (draw_layout(layout), draw_layout(layout, Figure(figsize=(6.5, 4.0)).subplots())):
        assert overlaps(ax.figure) == [] == outside(ax.figure)
        said = " ".join(t for t, _ in boxes(ax.figure))
        assert said.count("vaccine at all") + said.count("all →") >= 1
    narrow = draw_layout(layout, Figure(figsize=(4.6, 4.0)).subplots())
    assert overlaps(narrow.figure) == [] == outside(narrow.figure)


def ink_of(figure):
    """Left, bottom, right, top of what is inked, in pixels."""
    agg = FigureCanvasAgg(figure)
    agg.draw()
    rows, columns = np.nonzero(np.asarray(agg.buffer_rgba())[:, :, 0] < 128)
    return (columns.min(), -rows.max(), columns.max(), -rows.min())


@pytest.mark.parametrize("align", ["left", "centre", "right"])
@pytest.mark.parametrize("turn", [0.0, 90.0])
def test_a_label_is_set_where_matplotlib_would_set_it(align, turn):
    def drawn(change):
        figure = Figure(figsize=(3, 3), dpi=300)
        canvas = Canvas(figure.add_axes((0, 0, 1, 1)), Meter(Style()), 216.0, 216.0)
        canvas.claim(0.0, 216.0)
        canvas.text(108.0, 108.0, "Hxlines", size=12.0, align=align, turn=turn)
        canvas.flush()
        (label,) = canvas.ax.texts
        change(label)
        return ink_of(figure)

    ours = drawn(lambda label: None)
    theirs = drawn(lambda label: label.set_path_effects([Normal()]))  # takes matplotlib's own way
    assert ours == pytest.approx(theirs, abs=6)  # half a point: side bearings, which matplotlib leaves out


def test_a_changed_label_is_drawn_as_changed():
    figure = Figure(figsize=(3, 3), dpi=100)
    canvas = Canvas(figure.add_axes((0, 0, 1, 1)), Meter(Style()), 216.0, 216.0)
    canvas.claim(0.0, 216.0)
    canvas.text(108.0, 108.0, "one", size=12.0, align="right")
    (label,) = canvas.ax.texts
    agg = FigureCanvasAgg(figure)
    agg.draw()
    before = (np.asarray(agg.buffer_rgba())[:, :, 0] < 128).sum()
    label.set_text("one and two")
    agg.draw()
    assert (np.asarray(agg.buffer_rgba())[:, :, 0] < 128).sum() > 2 * before


def test_a_diamond_ends_where_its_interval_ends():
    fit = random(bcg())
    layout = forest_layout(fit, prediction="none")
    ax = draw_layout(layout)
    diamonds = [
        c
        for c in ax.collections
        for p in c.get_paths()
        if len(p.vertices) == 7 and c.get_linewidth()[0] == 0.0
    ]
    (diamond,) = diamonds
    ends = diamond.get_paths()[0].get_extents()
    assert (ends.x0, ends.x1) == pytest.approx(tuple(fit.ci()), abs=1e-9)


def test_a_bubble_plot_holds_its_prediction_band():
    es = many(8)
    at = np.linspace(0, 7, 15)
    line = pd.DataFrame(
        {"x": at, "estimate": -0.4, "ci_low": -0.8, "ci_high": 0.0, "pi_low": -3.0, "pi_high": 2.5}
    )
    layout = bubble_layout(es, np.arange(8.0), line)
    assert layout.y.low <= -3.0 < 2.5 <= layout.y.high


def test_curves_of_a_drapery_plot_reach_one():
    layout = drapery_layout(random(bcg()), points=40)
    peaks = [max(line.y) for line in layout.layers if line.kind == "line" and len(line.x) > 2]
    assert len(peaks) == 14
    assert peaks == [1.0] * 14


def test_a_funnel_says_what_is_shaded_and_filled():
    fit = random(many(10))
    assert "Dotted: Random effects (DL) estimate" in funnel_layout(fit, contours=(0.05,)).foot[0]
    assert funnel_layout(fit, filled=([0.1], [0.2])).foot[-1] == "Filled in: 1 effect by trim and fill"
    assert "true effect of −0.30" in funnel_layout(fit, power=-0.3).foot[-1]


def test_a_selection_curve_is_drawn_from_the_model():
    class Selected:
        estimate = -0.2

        def expected(self, se):
            return -0.2 - np.asarray(se)

    layout = funnel_layout(random(many(10)), curves=Selected())
    mean, reported = (
        x
        for x in layout.layers
        if getattr(x, "name", "") in ("all studies, by the selection model", "those reported")
    )
    assert set(mean.x) == {-0.2}
    assert [x + s for x, s in zip(reported.x, reported.y, strict=True)] == pytest.approx(
        [-0.2] * len(reported.x)
    )
    ax = draw_layout(layout)
    assert overlaps(ax.figure) == [] == outside(ax.figure)


def test_many_pages_of_a_long_forest_hold_every_study():
    from mtmeta.figures import forest_pages

    layout = forest_layout(random(many(200)))
    pages = forest_pages(layout)
    names = [r.cells[0].text for p in pages for r in p.rows if r.kind == "study"]
    assert names == [r.cells[0].text for r in layout.rows if r.kind == "study"]
    assert len(pages) == math.ceil(len(layout.rows) / 49)
    assert {(p.panels[0].low, p.panels[0].high) for p in pages} == {
        (layout.panels[0].low, layout.panels[0].high)
    }


def test_forest_on_a_page_of_two_results_has_both_in_its_own_place():
    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    forest(random(many(4)), left, left=("study",), right=("effect",))
    forest(random(bcg().subset(np.arange(13) < 4)), right, left=("study",), right=("effect",))
    assert overlaps(figure) == [] == outside(figure)
