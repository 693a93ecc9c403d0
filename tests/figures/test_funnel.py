"""Funnel plots: effects, standard errors, contours."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import bcg, many, random
from ink import outside, overlaps
from matplotlib.figure import Figure

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.figures import funnel, funnel_layout
from mtmeta.figures.layout.plot import Area, Line


def test_points_are_effects_and_standard_errors():
    fit = random(bcg())
    points = funnel_layout(fit).points()
    assert points.x == tuple(fit.effects.yi)
    assert points.y == pytest.approx(np.sqrt(fit.effects.vi), rel=1e-12)


def test_region_holds_95_percent_without_heterogeneity():
    fit = random(bcg())
    layout = funnel_layout(fit)
    (line,) = [layer for layer in layout.layers if isinstance(layer, Line) and layer.dash == "dashed"]
    slopes = [(x - fit.estimate) / y for x, y in zip(line.x, line.y, strict=True) if y]
    assert slopes == pytest.approx([-1.959963984540054, 1.959963984540054], rel=1e-12)
    assert dict(layout.summary)["outside"] == sum(
        abs(fit.effects.yi - fit.estimate) > 1.959963984540054 * np.sqrt(fit.effects.vi)
    )


def test_contours_are_p_values_around_the_null():
    layout = funnel_layout(random(many(30)), contours=(0.1, 0.05, 0.01))
    areas = [layer for layer in layout.layers if isinstance(layer, Area)]
    assert [a.name for a in areas] == ["p < 0.01", "0.01 < p < 0.05", "0.05 < p < 0.1", "p > 0.1"]
    for area, z in zip(areas[1:], (2.5758293035489, 1.95996398454005, 1.64485362695147), strict=True):
        edge = [(x, y) for x, y in zip(area.x, area.y, strict=True) if layout.x.low < x < layout.x.high and y]
        edge += [(x, y) for x, y in zip(area.x, area.y, strict=True) if x in (layout.x.low, layout.x.high)][
            -1:
        ]
        assert any(abs(x) / y == pytest.approx(z, rel=1e-9) for x, y in edge)
    with pytest.raises(UsageError, match="between 0 and 1"):
        funnel_layout(random(many(5)), contours=(95,))
    with pytest.raises(UsageError, match="a null, which PLO"):
        funnel_layout(random(EffectSizes.of([0.1, 0.2], [0.1, 0.1], "PLO")), contours=(0.05,))


@pytest.mark.parametrize("k", [1, 2, 13, 100])
@pytest.mark.parametrize("contours", [(), (0.1, 0.05, 0.01)])
def test_text_stays_apart(k, contours):
    fit = random(bcg() if k == 13 else many(k))
    ax = funnel(fit, contours=contours, labels="outside", title="Small-study effects", filled=([0.4], [0.1]))
    assert overlaps(ax.figure) == [] == outside(ax.figure)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_any_ax():
    figure = Figure(figsize=(3, 3))
    ax = figure.subplots()
    assert funnel(random(bcg()), ax, labels="all") is ax
    assert overlaps(figure) == [] == outside(figure)
