"""Subgroups, ready rows, results side by side, lights."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from drawn import bcg, common, many, random
from ink import outside, overlaps

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.figures import STYLES, forest, forest_layout
from mtmeta.figures.draw.forest import draw_forest, forest_axes
from mtmeta.figures.layout.forest import members_of
from mtmeta.figures.layout.lights import JUDGEMENTS, TOOLS, RobTable, tally
from mtmeta.figures.layout.rows import compare_layout, cumulative_layout, leave_one_out_layout, rows_layout
from mtmeta.models.pool import RandomEffects
from mtmeta.models.subgroups import subgroups

# Viechtbauer 2010, J Stat Softw 36(3), p. 12
ALLOCATION = ["random"] * 4 + ["alternate"] * 2 + ["random"] * 3 + ["systematic"] * 4


def by_allocation():
    return subgroups(RandomEffects(ci="Wald"), bcg(), ALLOCATION, tau2="common")


def rob(tool="RoB 2", studies=None):
    words = {"RoB 1": ("low", "unclear", "high"), "RoB 2": ("low", "some concerns", "high")}
    levels = words.get(tool, ("low", "moderate", "serious", "critical", "no information"))
    keys = [k for k, _ in TOOLS[tool]]
    names = bcg().study if studies is None else studies
    rows = {s: {k: levels[(i + j) % len(levels)] for j, k in enumerate(keys)} for i, s in enumerate(names)}
    return RobTable.of(rows, tool=tool)


def ink(layout):
    figure = draw_forest(layout, forest_axes(layout)).figure
    assert overlaps(figure) == []
    assert outside(figure) == []
    return figure


def test_subgroups_have_their_own_numbers():
    result = by_allocation()
    layout = forest_layout(result, better="lower", arms=("vaccine", "control"))
    pooled = [r for r in layout.rows if r.kind == "pooled"]
    fits = [*result.groups.values(), result.overall]
    assert [r.marks[0].estimate for r in pooled] == [f.estimate for f in fits]
    assert [(r.marks[0].low, r.marks[0].high) for r in pooled] == [tuple(f.ci()) for f in fits]
    assert [r.text for r in layout.rows if r.kind == "heading"] == ["Random", "Alternate", "Systematic"]
    notes = [r.text for r in layout.rows if r.kind == "note"]
    assert [n.split("Q = ")[1].split(" ")[0] for n in notes] == [f"{f.q:.2f}" for f in result.groups.values()]
    weight = layout.column("weight")
    shares = [r.cells[weight].values[0] for r in pooled]
    own = [
        100 * sum(w for w, a in zip(result.overall.weights, ALLOCATION, strict=True) if a == g)
        for g in result.groups
    ]
    assert shares == pytest.approx([*own, 100.0], rel=1e-12)
    # Viechtbauer 2010, p. 19: QM(2) = 1.7675, p = .4132
    assert "Differences between subgroups: Q = 1.77 (df = 2, p = 0.413)" in layout.foot
    assert dict(layout.summary)["q_between"] == result.q_between


def test_every_row_stands_under_its_own_group():
    result = by_allocation()
    names = list(result.groups)
    for name, members in zip(names, members_of(result), strict=True):
        assert members == {i for i, a in enumerate(ALLOCATION) if a == name}
    twins = EffectSizes.of([0.1, 0.1, 0.1, 0.3], [0.2] * 4, "SMD", study=list("aaab"))
    split = members_of(subgroups(RandomEffects(), twins, ["x", "y", "x", "y"]))
    assert sorted(len(m) for m in split) == [2, 2]
    assert set.union(*split) == {0, 1, 2, 3}


def test_f_test_between_groups_says_so():
    result = subgroups(RandomEffects(), bcg(), ALLOCATION, tau2="common")
    layout = forest_layout(result)
    assert any(
        line.startswith("Differences between subgroups: F = ") and "df = 2, 10" in line
        for line in layout.foot
    )


def test_a_group_of_one_study_has_no_diamond():
    es = many(4)
    layout = forest_layout(subgroups(RandomEffects(), es, ["a", "b", "b", "b"]))
    kinds = [r.kind for r in layout.rows]
    assert kinds[:2] == ["heading", "study"]
    assert kinds[2] == "heading"
    assert kinds.count("pooled") == 2


@pytest.mark.parametrize(("style", "tool"), list(zip(sorted(STYLES), sorted(TOOLS) * 3, strict=False)))
def test_subgroups_with_lights_stay_apart(style, tool):
    ax = forest(by_allocation(), rob=rob(tool), better="lower", arms=("vaccine", "control"), style=style)
    assert overlaps(ax.figure) == [] == outside(ax.figure)


def test_headings_without_pooling():
    es = many(6)
    es = EffectSizes.of(es.yi, es.vi, "SMD", study=es.study, cluster=list("aabbcc"))
    layout = forest_layout(random(es), group="cluster")
    assert [r.text for r in layout.rows if r.kind == "heading"] == ["a", "b", "c"]
    assert [r.kind for r in layout.rows].count("pooled") == 1
    with pytest.raises(UsageError, match="'site' names no column"):
        forest_layout(random(es), group="site")


def test_lights_are_the_judgements():
    table = RobTable.of(
        {"a": {"randomisation": "low"}, "b": {"randomisation": "High", "overall": None}}, tool="RoB 2"
    )
    assert table.domains == ("randomisation",)
    assert table.judgements == (("low",), ("high",))
    assert table.lights("b")[0].sign == JUDGEMENTS["high"][0]
    assert table.lights("nobody") == ()
    assert [words for _, _, words in table.legend()] == ["Low", "High"]
    frame = pd.DataFrame({"randomisation": ["low", "high"]}, index=["a", "b"])
    assert RobTable.of(frame, tool="RoB 2") == table
    with pytest.raises(UsageError, match="a: RoB 2 has no domain 'confounding'"):
        RobTable.of({"a": {"confounding": "low"}}, tool="RoB 2")
    with pytest.raises(UsageError, match="a, randomisation: 'unclear' is no judgement of RoB 2"):
        RobTable.of({"a": {"randomisation": "unclear"}}, tool="RoB 2")


def test_robins_2025_has_six_domains_in_its_own_order():
    keys = [k for k, _ in TOOLS["ROBINS-I V2"] if k != "overall"]
    assert keys[:3] == ["confounding", "classification", "selection"]
    assert len(keys) == 6
    assert [k for k, _ in TOOLS["ROBINS-I"]][1:3] == ["selection", "classification"]


def test_lights_survive_colour_blindness_and_grey():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for tool, levels in {"RoB 2": ("low", "some concerns", "high")}.items():
        assert len({JUDGEMENTS[w][0] for w in levels}) == 3, tool
        values = sorted(luminance(JUDGEMENTS[w][1]) for w in levels)
        # 1.3 is a visible step of grey; the signs carry the judgement besides
        assert all((b + 0.05) / (a + 0.05) > 1.3 for a, b in pairwise(values))
    for sign, colour, *_ in JUDGEMENTS.values():
        assert (luminance(colour) + 0.05) / 0.05 > 4.0, (sign, colour)  # black sign on the disc


def test_shares_of_judgements():
    table = RobTable.of({"a": {"other": "low"}, "b": {"other": "high"}, "c": {"other": "low"}}, tool="RoB 1")
    assert tally(table) == (pytest.approx((2 / 3, 1 / 3)),)
    assert tally(table, [1, 2, 1]) == (pytest.approx((0.5, 0.5)),)
    with pytest.raises(UsageError, match="2 weights for 3 studies"):
        tally(table, [1, 2])


def refits(es):
    model, rows = RandomEffects(), np.arange(es.k)
    out, grown = [], []
    for i in rows:
        fit, sofar = model.fit(es.subset(rows != i)), model.fit(es.subset(rows <= i))
        out.append(
            {"study": es.study[i], "estimate": fit.estimate, "se": fit.se, "tau2": fit.tau2, "i2": fit.i2}
        )
        low, high = sofar.ci()
        grown.append(
            {"study": es.study[i], "estimate": sofar.estimate, "ci_low": low, "ci_high": high, "k": i + 1}
        )
    return pd.DataFrame(out), pd.DataFrame(grown)


def test_leave_one_out_and_cumulative_draw_their_tables():
    es = bcg()
    left_out, grown = refits(es)
    overall = RandomEffects().fit(es)
    layout = leave_one_out_layout(left_out, overall, better="lower")
    marks = [r.marks[0] for r in layout.rows if r.kind == "study"]
    assert [m.estimate for m in marks] == list(left_out["estimate"])
    half = 1.959963984540054 * left_out["se"]
    assert [m.low for m in marks] == pytest.approx(list(left_out["estimate"] - half), rel=1e-12)
    assert [v[0] for v in layout.values("tau2")] == list(left_out["tau2"])
    (row,) = [r for r in layout.rows if r.kind == "pooled"]
    assert row.marks[0].estimate == overall.estimate
    assert layout.foot == ("Intervals: estimate ± 1.96 standard errors",)
    ink(layout)
    layout = cumulative_layout(grown, measure="RR")
    marks = [r.marks[0] for r in layout.rows]
    assert [(m.estimate, m.low, m.high) for m in marks] == list(
        zip(grown["estimate"], grown["ci_low"], grown["ci_high"], strict=True)
    )
    assert [r.cells[0].text[:2] for r in layout.rows][:2] == ["Ar", "+ "]
    ink(layout)


def test_sorted_leave_one_out():
    left_out, _ = refits(bcg())
    layout = leave_one_out_layout(left_out, RandomEffects().fit(bcg()), sort=True)
    estimates = [r.marks[0].estimate for r in layout.rows if r.kind == "study"]
    assert estimates == sorted(estimates)


def test_results_side_by_side():
    es = bcg()
    few = es.subset(np.arange(13) < 10)
    layout = compare_layout({"Random": random(es), "Common, ten studies": common(few)}, better="lower")
    assert len(layout.panels) == 2
    assert layout.panels[0].low == layout.panels[1].low
    assert [r.marks[1].estimate for r in layout.rows[:10]] == list(few.yi)
    assert [len(r.marks) for r in layout.rows] == [2] * 10 + [1] * 3 + [2]
    assert layout.rows[-1].marks[1].estimate == common(few).estimate
    ink(layout)
    with pytest.raises(UsageError, match="two results or more"):
        compare_layout({"one": random(es)})
    with pytest.raises(UsageError, match="share no axis"):
        compare_layout({"a": random(es), "b": random(many(3))})


def test_ready_rows_are_checked():
    table = pd.DataFrame({"label": ["a"], "estimate": [0.1]})
    with pytest.raises(UsageError, match="ci_low and ci_high, or se"):
        rows_layout(table, measure="SMD")
    with pytest.raises(UsageError, match="no column 'estimate'"):
        rows_layout(table.drop(columns="estimate"), measure="SMD")
    with pytest.raises(UsageError, match="no rows"):
        rows_layout(table.assign(se=0.1).iloc[:0], measure="SMD")
    with pytest.raises(UsageError, match="no column 'k'"):
        rows_layout(table.assign(se=0.1), measure="SMD", columns=("k",))


def test_published_beside_ours():
    # Cochrane CD006577, anxiety, as printed: SMD -0.70 [-1.17, -0.22]
    table = pd.DataFrame(
        {
            "label": ["Published", "Ours"],
            "estimate": [-0.70, -0.701],
            "low": [-1.17, -1.171],
            "high": [-0.22, -0.221],
            "q": ["x", "x"],
        }
    )
    layout = rows_layout(table, measure="SMD", diamonds=("Published",), group="q", better="lower")
    assert [r.kind for r in layout.rows] == ["heading", "pooled", "study"]
    assert layout.rows[1].cells[-1].text == "−0.70 [−1.17, −0.22]"
    ink(layout)
