"""Forest plots: every number drawn is the result's, and no text collides or leaves the page."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from drawn import bcg, common, many, random
from ink import outside, overlaps
from matplotlib import rcParams
from matplotlib.figure import Figure

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import DataWarning, UsageError
from mtmeta.figures import alt_text, caption, differences, forest, funnel_layout
from mtmeta.figures.draw.forest import draw_forest, forest_axes
from mtmeta.figures.layout.forest import forest_layout
from mtmeta.figures.layout.table import Column
from mtmeta.figures.style import STYLES, style_of
from mtmeta.models.dependent import Multilevel
from mtmeta.models.events import EventCounts, MantelHaenszel, Peto
from mtmeta.models.pool import HenmiCopas, IVhet, RandomEffects

KS = (1, 2, 5, 30, 100)


def texts(ax):
    return [t.get_text() for t in ax.texts] + [a.get_text() for a in ax.artists if hasattr(a, "get_text")]


@pytest.mark.parametrize("style", sorted(STYLES))
@pytest.mark.parametrize("k", [*KS[:-1], pytest.param(100, marks=pytest.mark.slow)])
def test_text_stays_apart_and_on_the_page(k, style):
    ax = forest(random(many(k)), better="lower", mid=-0.24, title="Anxiety", style=style)
    assert overlaps(ax.figure) == []
    assert outside(ax.figure) == []


def test_a_hundred_studies_stay_apart():
    ax = forest(random(many(100)), better="lower")
    assert overlaps(ax.figure) == [] == outside(ax.figure)


@pytest.mark.parametrize("size", [(6.4, 4.8), (3.0, 9.0), (12.0, 3.0)])
@pytest.mark.parametrize("k", [2, 30])
def test_any_ax_can_be_passed(k, size):
    figure = Figure(figsize=size)
    ax = figure.subplots()
    before = ax.get_position().bounds
    assert forest(random(many(k)), ax) is ax
    assert overlaps(figure) == []
    assert outside(figure) == []
    assert ax.get_position().bounds == before


def test_numbers_drawn_are_the_results():
    fit = random(bcg())
    layout = forest_layout(fit, better="lower", arms=("vaccine", "control"))
    es, z = fit.effects, 1.959963984540054
    drawn = np.array(layout.values("effect"))
    sei = np.sqrt(es.vi)
    assert drawn == pytest.approx(np.exp(np.c_[es.yi, es.yi - z * sei, es.yi + z * sei]), rel=1e-12)
    assert np.array(layout.values("weight"))[:, 0] == pytest.approx(100 * fit.weights, rel=1e-12)
    marks = [m for r in layout.rows if r.kind == "study" for m in r.marks]
    assert [m.estimate for m in marks] == list(es.yi)
    assert [m.share for m in marks] == pytest.approx(fit.weights / fit.weights.max(), rel=1e-12)
    (pooled,) = [r for r in layout.rows if r.kind == "pooled"]
    assert (pooled.marks[0].estimate, pooled.marks[0].low, pooled.marks[0].high) == (fit.estimate, *fit.ci())
    (spread,) = [r for r in layout.rows if r.kind == "prediction"]
    assert (spread.marks[0].low, spread.marks[0].high) == fit.pi()
    assert dict(layout.summary) == {
        "estimate": fit.estimate,
        "low": fit.ci().low,
        "high": fit.ci().high,
        "se": fit.se,
        "pi_low": fit.pi().low,
        "pi_high": fit.pi().high,
        "tau2": fit.tau2,
        "i2": fit.i2,
        "q": fit.q,
        "q_df": 12,
        "q_pvalue": fit.q_pvalue,
        "statistic": fit.statistic,
        "df": math.inf,
        "pvalue": fit.pvalue,
    }


def test_words_are_the_numbers_rounded():
    layout = forest_layout(random(bcg()))
    for row in layout.rows:
        for cell in row.cells:
            printed = (
                [float(p.strip("[], %").replace("−", "-")) for p in cell.parts if p.strip("[], %")]
                if cell.values
                else []
            )
            assert printed == pytest.approx(
                cell.values, abs=0.05 + 1e-9 if len(cell.values) == 1 else 0.005 + 1e-9
            )
    # Viechtbauer 2010, p. 14: Q(df = 12) = 152.2330
    assert any("Q = 152.23 (df = 12, p < 0.001)" in line for line in layout.foot)


def test_what_is_drawn_is_the_layouts_text():
    layout = forest_layout(random(bcg()), better="lower", arms=("vaccine", "control"))
    ax = draw_forest(layout, forest_axes(layout))
    drawn = [t.get_text() for t in ax.texts]
    for row in layout.rows:
        for cell in row.cells:
            for part in [cell.text] if row.bold else cell.parts:
                assert part.strip() == "" or part.strip() in drawn
    for label in layout.panels[0].labels:
        assert label in drawn
    assert "← Favours vaccine" in drawn


def test_axis_is_in_effect_units():
    layout = forest_layout(random(bcg()))
    ax = draw_forest(layout, forest_axes(layout))
    low, high = ax.get_xlim()
    panel = layout.panels[0]
    assert low < panel.low < panel.null < panel.high < high


def test_ratio_axis_has_round_ratios():
    panel = forest_layout(random(bcg())).panels[0]
    assert panel.labels == ("0.1", "0.2", "0.5", "1", "2", "5")
    assert panel.ticks == pytest.approx(np.log([0.1, 0.2, 0.5, 1, 2, 5]), rel=1e-9)


def test_sides_follow_the_direction_of_the_scale():
    fit = random(many(5))
    assert forest_layout(fit, better="lower").panels[0].favours == ("Favours music", "Favours control")
    assert forest_layout(fit, better="higher").panels[0].favours == ("Favours control", "Favours music")
    assert forest_layout(fit).panels[0].favours == ("Lower with music", "Higher with music")


def test_clipped_intervals_get_arrows():
    fit = random(bcg())
    wide = draw_forest(lay := forest_layout(fit), forest_axes(lay))
    narrow = draw_forest(lay := forest_layout(fit, xlim=(0.3, 3)), forest_axes(lay))
    assert count_triangles(wide) == 0
    clipped = sum(np.exp(r.marks[0].low) < 0.3 for r in lay.rows) + sum(
        np.exp(r.marks[0].high) > 3 for r in lay.rows
    )
    assert count_triangles(narrow) == clipped > 0
    left, right = narrow.get_xlim()
    ends = [x for c in narrow.collections for path in c.get_paths() for x in path.vertices[:, 0]]
    assert left <= min(ends) < max(ends) <= right


def count_triangles(ax):
    return sum(len(p.vertices) == 4 for c in ax.collections for p in c.get_paths())


def test_squares_have_areas_by_weight():
    fit = random(bcg())
    layout = forest_layout(fit, prediction="none")
    ax = draw_forest(layout, forest_axes(layout))
    found = [
        p for c in ax.collections for p in c.get_paths() if c.get_zorder() == 3.0 and len(p.vertices) == 5
    ]
    found = [p.get_extents() for p in found]
    sides = np.array([b.height for b in sorted(found, key=lambda b: b.y0)])
    assert sides**2 / sides.max() ** 2 == pytest.approx(fit.weights / fit.weights.max(), rel=1e-9)
    middles = [(b.x0 + b.x1) / 2 for b in sorted(found, key=lambda b: b.y0)]
    assert middles == pytest.approx(list(fit.effects.yi), abs=1e-9)


def test_height_follows_the_rows():
    heights = [forest(random(many(k))).figure.get_figheight() for k in KS]
    assert heights == sorted(heights)
    per_row = (heights[-1] - heights[-2]) / 70
    assert per_row * 72 == pytest.approx(STYLES["plain"].size * STYLES["plain"].leading, rel=1e-6)


def test_sorting_and_columns():
    es = many(5)
    es = EffectSizes.of(
        es.yi,
        es.vi,
        "SMD",
        study=list("edcba"),
        columns={"year": [2001, 1999, 2005, 1990, 2010], "country": list("UVWXY")},
    )
    fit = random(es)
    layout = forest_layout(
        fit, sort="-year", left=("study", Column("year"), "country"), right=("estimate", "interval")
    )
    assert [v[0] for v in layout.values("year")] == [2010, 2005, 2001, 1999, 1990]
    assert [r.cells[0].text for r in layout.rows if r.kind == "study"] == ["a", "c", "e", "d", "b"]
    assert layout.columns[2].align == "left"
    with pytest.raises(UsageError, match=r"'age' is not among.*year"):
        forest_layout(fit, left=("study", "age"))
    with pytest.raises(UsageError, match="sort='age'"):
        forest_layout(fit, sort="age")
    with pytest.raises(UsageError, match="twice"):
        forest_layout(fit, left=("study", "effect"), right=("effect",))


def test_arm_data_is_summed_where_sums_mean_something():
    es = many(3)
    data = {"m1": [1.0, 2.0, 3.0], "sd1": [1.0, 1.0, 1.5], "m2": [2.0, 2.0, 2.0], "sd2": [1.0, 1.0, 1.0]}
    es = EffectSizes.of(es.yi, es.vi, "SMD", n1=es.n1, n2=es.n2, columns=data)
    layout = forest_layout(random(es), style="cochrane")
    assert [c.key for c in layout.columns] == [
        "study",
        "m1",
        "sd1",
        "n1",
        "m2",
        "sd2",
        "n2",
        "weight",
        "effect",
    ]
    (total,) = [r for r in layout.rows if r.kind == "pooled"]
    assert [c.text for c in total.cells[1:7]] == ["", "", f"{es.n1.sum():.0f}", "", "", f"{es.n2.sum():.0f}"]
    ax = draw_forest(layout, forest_axes(layout))
    assert overlaps(ax.figure) == []


def test_events_of_the_lancet_kind():
    es = EffectSizes.of(
        [0.1, -0.2], [0.1, 0.2], "RR", n1=[20, 30], n2=[22, 31], columns={"a": [4, 5], "c": [3, 7]}
    )
    layout = forest_layout(
        random(es),
        left=("study", "events1", "events2"),
        style=replace(style_of("plain"), decimal_mark="·", interval=("(", "–", ")")),
    )
    assert [r.cells[1].text for r in layout.rows if r.cells] == ["4/20", "5/30", "9/50"]
    assert layout.rows[0].cells[layout.column("effect")].text == "1·11 (0·59–2·05)"


def test_common_and_random_together():
    es = bcg()
    layout = forest_layout([common(es), random(es)])
    pooled = [r for r in layout.rows if r.kind == "pooled"]
    assert [r.cells[0].text for r in pooled] == ["Common effect", "Random effects (DL)"]
    assert [r.marks[0].estimate for r in pooled] == [common(es).estimate, random(es).estimate]
    assert [r.cells[layout.column("weight")].text for r in pooled] == [
        "100.0%",
        "",
    ]  # the first one's weights
    assert layout.foot[-1] == "Weights and areas of squares: common effect"
    with pytest.raises(UsageError, match="different effects"):
        forest_layout([common(es), random(many(13))])


def test_markup_is_plain_text():
    es = EffectSizes.of([0.1, 0.2], [0.1, 0.1], study=["$\\alpha$ & <b>x</b>", "100% \\frac{1}{2} $"])
    ax = forest(random(es))
    assert "$\\alpha$ & <b>x</b>" in [t.get_text() for t in ax.texts]
    assert all(not t.get_parse_math() and not t.get_usetex() for t in ax.texts)
    assert overlaps(ax.figure) == []


def test_a_glyph_no_font_has_is_named():
    es = EffectSizes.of([0.1], [0.1], study=["\U00013000 stone"])
    with pytest.warns(DataWarning, match="EGYPTIAN HIEROGLYPH A001") as caught:
        ax = forest(random(es))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax.figure.savefig(__import__("io").BytesIO(), format="png")


def test_other_scripts_take_a_font_that_has_them():
    es = EffectSizes.of([0.1, 0.2], [0.1, 0.1], study=["כהן ועמיתים 2019", "Đặng & Škoda 2020"])
    ax = forest(random(es))
    assert "כהן ועמיתים 2019" in [t.get_text() for t in ax.texts]
    assert overlaps(ax.figure) == [] == outside(ax.figure)


def test_nothing_global_is_touched():
    before = dict(rcParams)
    forest(random(many(5)))
    assert dict(rcParams) == before


def test_page_width_in_millimetres():
    ax = forest(random(many(5)), width="double", style="cochrane")
    assert ax.figure.get_figwidth() * 25.4 == pytest.approx(174)
    assert overlaps(ax.figure) == [] == outside(ax.figure)
    with pytest.raises(UsageError, match=r"too narrow.*mm.*right=\('effect',\)"):
        forest(random(many(5)), width=30)


@pytest.mark.parametrize("style", sorted(STYLES))
def test_single_column_holds_studies_and_effects(style):
    ax = forest(
        random(many(8)), left=("study",), right=("effect",), better="lower", width="single", style=style
    )
    assert min(t.get_fontsize() for t in ax.texts) >= STYLES[style].smallest
    assert overlaps(ax.figure) == [] == outside(ax.figure)


def test_layout_is_json_with_every_number():
    layout = forest_layout(random(bcg()))
    data = json.loads(layout.to_json())
    assert data["layout"] == "ForestLayout"
    assert data["rows"][0]["marks"][0]["estimate"] == -0.889311
    assert data["style"]["name"] == "plain"


def test_no_prediction_interval_below_three_studies():
    assert [r.kind for r in forest_layout(random(many(2))).rows] == ["study", "study", "pooled"]
    assert [r.kind for r in forest_layout(common(many(5))).rows][-1] == "pooled"


@pytest.mark.parametrize("how", ["bar", "shade", "density", "none"])
def test_prediction_interval_forms(how):
    fit = random(many(6))
    layout = forest_layout(fit, prediction=how)
    assert (layout.panels[0].shade == tuple(fit.pi())) == (how == "shade")
    shapes = [m.shape for r in layout.rows if r.kind == "prediction" for m in r.marks]
    assert shapes == {"bar": ["bar"], "shade": ["none"], "density": ["density"], "none": []}[how]
    draw_forest(layout, forest_axes(layout))


def test_alt_text_and_caption_say_the_numbers():
    layout = forest_layout(random(bcg()), better="lower", arms=("vaccine", "control"), title="Tuberculosis")
    assert alt_text(layout) == (
        "Forest plot, Tuberculosis, of 13 effects (risk ratio). Study estimates run from 0.20 to 1.56. "
        "Random effects (DL): 0.49 (95% CI 0.34 to 0.70). 95% prediction interval 0.14 to 1.75. "
        "Heterogeneity: τ² = 0.31, I² = 92%, Q = 152.23 (df = 12, p < 0.001)."
    )
    assert caption(layout).startswith(
        "Tuberculosis: 13 effects. Random effects (DL) (95% CI: Wald). Squares are"
    )
    assert alt_text(funnel_layout(random(bcg()))).startswith(
        "Funnel. Standard error against risk ratio. 13 points."
    )


def fitted(name):
    es = many(12)
    clusters = EffectSizes.of(
        es.yi, es.vi, "SMD", study=es.study, cluster=list("aaabbbcccddd"), n1=es.n1, n2=es.n2
    )
    counts = EventCounts.of([0, 29, 84, 6, 0], [39, 87, 84, 19, 40], [13, 0, 9, 24, 0], [43, 51, 22, 56, 39])
    share = EffectSizes.of([-1.2, -0.5, -2.2, 0.3], [0.1, 0.2, 0.15, 0.2], "PLO", study=list("abcd"))
    return {
        "Mantel-Haenszel": lambda: MantelHaenszel("OR").fit(counts),
        "Peto": lambda: Peto().fit(counts),
        "Henmi-Copas": lambda: HenmiCopas().fit(bcg()),
        "IVhet": lambda: IVhet().fit(bcg()),
        "multilevel": lambda: Multilevel(robust=False).fit(clusters),
        "proportions": lambda: RandomEffects().fit(share),
        "correlations": lambda: RandomEffects().fit(EffectSizes.of([0.2, 0.5, 0.9], [0.02] * 3, "ZCOR")),
        "identical": lambda: RandomEffects(ci="HKSJ").fit(EffectSizes.of([0.3] * 3, [0.02] * 3, "MD")),
        "given": lambda: RandomEffects(tau2=0.1).fit(bcg()),
    }[name]()


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("Mantel-Haenszel", "Mantel-Haenszel"),
        ("Peto", "Peto"),
        ("Henmi-Copas", "Henmi-Copas (DL)"),
        ("IVhet", "IVhet (DL)"),
        ("multilevel", "Multilevel model"),
        ("proportions", "Random effects (REML)"),
        ("correlations", "Random effects (REML)"),
        ("identical", "Random effects (REML)"),
        ("given", "Random effects (τ² = 0.1)"),
    ],
)
def test_every_family_of_results_is_drawn(name, row):
    fit = fitted(name)
    layout = forest_layout(fit)
    (pooled,) = [r for r in layout.rows if r.kind == "pooled"]
    assert pooled.cells[0].text == row
    back = fit.effects.measure.back
    assert pooled.cells[layout.column("effect")].values == pytest.approx(
        [back(v) for v in (fit.estimate, *fit.ci())]
    )
    figure = draw_forest(layout, forest_axes(layout)).figure
    assert overlaps(figure) == [] == outside(figure)


def test_studies_without_events_are_told_of():
    assert forest_layout(fitted("Mantel-Haenszel")).foot[-1] == "Without events and without weight: 1 study"


def test_a_measure_without_null_has_no_null_line_and_no_test():
    layout = forest_layout(fitted("proportions"))
    assert layout.panels[0].null is None
    assert layout.panels[0].labels == ("0.01", "0.1", "0.3", "0.5", "0.7", "0.9")
    assert layout.foot[1] == "Overall effect: 95% CI by HKSJ"


def test_one_huge_interval_does_not_squeeze_the_rest():
    es = EffectSizes.of([0.1, 0.2, 0.3, 0.0], [0.02, 0.02, 0.02, 900.0], "MD")
    panel = forest_layout(common(es)).panels[0]
    assert panel.high - panel.low < 2.0


def test_layouts_load_no_matplotlib():
    code = (
        "import sys, mtmeta.figures.layout.forest, mtmeta.figures.layout.flow, mtmeta.figures.layout.rows\n"
    )
    code += "print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_differences_between_layouts():
    first = forest_layout(random(bcg())).to_dict()
    again = json.loads(forest_layout(random(bcg())).to_json())
    assert differences(again, first) == []
    es = bcg()
    moved = forest_layout(random(EffectSizes.of([*es.yi[:-1], 0.5], es.vi, "RR", study=es.study))).to_dict()
    found = differences(first, moved)
    assert any("rows.12.marks.0.estimate" in line for line in found)
