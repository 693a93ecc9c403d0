"""The other figures: numbers drawn are the table's, text collides with nothing, in every style."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from drawn import BCG_STUDY, bcg, many, random
from ink import outside, overlaps
from scipy import stats

from mtmeta.diagnostics.adjust import pet_peese
from mtmeta.diagnostics.gosh import gosh
from mtmeta.diagnostics.influence import baujat, cumulative, influence, leave_one_out
from mtmeta.diagnostics.multiverse import Specification, multiverse
from mtmeta.diagnostics.trim_fill import trim_and_fill
from mtmeta.effects.binary import risk_ratio
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.figures import STYLES, alt_text, caption, draw_layout, forest_layout, funnel_layout
from mtmeta.figures.draw.canvas import Meter
from mtmeta.figures.draw.flow import draw_flow, flow_axes
from mtmeta.figures.draw.marks import contrast, luminance
from mtmeta.figures.draw.place import place_plots
from mtmeta.figures.layout.curves import dose_response_layout, p_curve_layout, tau2_profile_layout
from mtmeta.figures.layout.flow import FlowBox, prisma_layout
from mtmeta.figures.layout.influence import baujat_layout, gosh_layout, influence_layout
from mtmeta.figures.layout.lights import TOOLS, RobTable
from mtmeta.figures.layout.multiverse import specification_layout
from mtmeta.figures.layout.overview import CERTAINTY, gap_map_layout, rob_summary_layout, traffic_light_layout
from mtmeta.figures.layout.pages import forest_pages
from mtmeta.figures.layout.plot import Area, Cells, Line, Points, Ranges
from mtmeta.figures.layout.posterior import (
    bayes_forest_layout,
    posterior_layout,
    prior_posterior_layout,
    shrinkage_layout,
)
from mtmeta.figures.layout.precision import (
    caterpillar_layout,
    drapery_layout,
    labbe_layout,
    orchard_layout,
    radial_layout,
    rainforest_layout,
)
from mtmeta.figures.layout.regression import bubble_layout
from mtmeta.figures.layout.rows import cumulative_layout, leave_one_out_layout
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.pool import RandomEffects
from mtmeta.models.priors import HalfNormal, Normal
from mtmeta.reports.plots import drawn, forest_files

STUDIES = [str(s) for s in BCG_STUDY]


def rng(seed=0):
    return np.random.default_rng(seed)


def baujat_table(k=13):
    r = rng()
    return pd.DataFrame(
        {"study": names(k), "contribution": r.gamma(1, 8, k), "influence": r.gamma(1, 0.3, k)}
    )


def names(k):
    return [STUDIES[i % 13] + ("" if i < 13 else f" ({i})") for i in range(k)]


def influence_table(k=13):
    r = rng(1)
    table = pd.DataFrame(
        {
            "study": names(k),
            "rstudent": r.normal(0, 1.2, k),
            "dffits": r.normal(0, 0.2, k),
            "cook": r.uniform(0.0, 0.2, k),
            "cov_ratio": r.normal(1, 0.1, k),
            "tau2_deleted": r.normal(0.31, 0.03, k),
            "hat": np.full(k, 1 / k),
            "weight": np.full(k, 100 / k),
        }
    )
    table.loc[3, "cook"] = 0.7
    return table


def gosh_table(n=3000):
    r = rng(2)
    table = pd.DataFrame(
        {"estimate": r.normal(-0.7, 0.2, n), "tau2": r.gamma(3, 0.1, n), "i2": r.uniform(20, 95, n), "k": 7}
    )
    return table.assign(**{"TPT Madras 1980": r.random(n) < 0.5})


def many_analyses(n=60):
    r = rng(3)
    table = pd.DataFrame(
        {
            "estimate": r.normal(-0.5, 0.3, n),
            "tau2": r.choice(["DL", "REML"], n),
            "ci": r.choice(["Wald", "HKSJ"], n),
        }
    )
    return table.assign(ci_low=table["estimate"] - 0.4, ci_high=table["estimate"] + 0.4)


def regression():
    latitude = [float(v) for v in rng(5).integers(13, 56, 13)]
    es = bcg()
    es = EffectSizes.of(es.yi, es.vi, "RR", study=es.study, moderators={"ablat": latitude})
    at = np.linspace(10, 60, 21)
    line = pd.DataFrame({"ablat": at, "estimate": 0.25 - 0.029 * at})
    return es, line.assign(
        ci_low=line.estimate - 0.2,
        ci_high=line.estimate + 0.2,
        pi_low=line.estimate - 1,
        pi_high=line.estimate + 1,
    )


def densities():
    x, t = np.linspace(-1.6, 0.4, 120), np.linspace(0, 1.5, 120)
    return {
        "Mean effect": pd.DataFrame(
            {"x": x, "prior": stats.norm.pdf(x, 0, 2), "posterior": stats.norm.pdf(x, -0.7, 0.2)}
        ),
        "Heterogeneity τ": pd.DataFrame(
            {"x": t, "prior": 2 * stats.norm.pdf(t, 0, 0.5), "posterior": stats.gamma.pdf(t, 12, scale=0.045)}
        ).assign(likelihood=stats.gamma.pdf(t, 14, scale=0.045)),
    }


def shrunken():
    es = bcg()
    table = pd.DataFrame({"mean": 0.6 * es.yi - 0.28, "low": 0.6 * es.yi - 0.6, "high": 0.6 * es.yi + 0.05})
    x = np.linspace(-1.6, 0.4, 101)
    return (
        es,
        table,
        {"Mean effect": (-0.7, -1.1, -0.3), "New study": (-0.7, -1.9, 0.5)},
        {"Mean effect": (x, stats.norm.pdf(x, -0.7, 0.2))},
    )


def gaps():
    rows = [
        ("Before surgery", "Receptive", 2051, 26, "low"),
        ("Dementia", "Active", 450, 9, "moderate"),
        ("Depression", "Mixed", 120, 3, "not rated"),
        ("Acquired brain injury", "Neurologic (rhythmic auditory stimulation)", 240, 8, "high"),
        ("Cardiac", "Receptive", 353, 10, "very low"),
    ]
    return pd.DataFrame(rows, columns=["condition", "approach", "participants", "studies", "certainty"])


def judgements(tool="RoB 2"):
    levels = {"RoB 1": ("low", "unclear", "high"), "RoB 2": ("low", "some concerns", "high")}
    words = levels.get(tool, ("low", "moderate", "serious", "critical", "no information"))
    keys = [k for k, _ in TOOLS[tool]]
    return RobTable.of(
        {s: {k: words[(i * j) % len(words)] for j, k in enumerate(keys)} for i, s in enumerate(STUDIES)},
        tool=tool,
    )


COUNTS = {
    "identified": {"Databases": 1203, "Registers": 88},
    "removed": {"Duplicates": 300, "Marked as ineligible by automation tools": 0, "Other reasons": 3},
    "screened": 988,
    "excluded": 850,
    "sought": 138,
    "not_retrieved": 4,
    "assessed": 134,
    "reports_excluded": {"Not randomised": 50, "No usable data (means without a measure of spread)": 54},
    "included": {"Studies": 26, "Reports of included studies": 30},
}
OTHER = {
    "previous": {"Studies": 13},
    "other_identified": {"Citation searching": 43},
    "other_sought": 43,
    "other_not_retrieved": 2,
    "other_assessed": 41,
    "other_reports_excluded": {"Duplicate": 30},
    "total": {"Studies": 39},
}


def two_groups():
    es = many(40)
    first = np.arange(40) < 18
    fits = [("Music therapy", random(es.subset(first))), ("Music medicine", random(es.subset(~first)))]
    return es, fits, ["Music therapy" if f else "Music medicine" for f in first]


def events():
    r = rng(6)
    n1, n2 = r.integers(40, 400, 12), r.integers(40, 400, 12)
    a, c = r.binomial(n1, 0.12), r.binomial(n2, 0.2)
    y, v = risk_ratio(a + 0.5, n1 + 1, c + 0.5, n2 + 1)
    return EffectSizes.of(y, v, "RR", study=names(12), n1=n1, n2=n2, columns={"a": a, "c": c})


def dose():
    d = np.linspace(0, 30, 31)
    line = pd.DataFrame({"dose": d, "estimate": -0.03 * d})
    line = line.assign(ci_low=line.estimate - 0.1, ci_high=line.estimate + 0.1)
    seen = pd.DataFrame(
        {
            "study": list("aabbc"),
            "dose": [5, 10, 8, 16, 25],
            "estimate": [-0.2, -0.3, -0.1, -0.5, -0.8],
            "se": 0.12,
        }
    )
    return line, seen


def profile():
    t = np.linspace(0, 1, 50)
    return pd.DataFrame({"tau2": t, "loglik": -12 - 6 * (t - 0.31) ** 2})


PVALUES = (0.001, 0.002, 0.003, 0.012, 0.02, 0.004, 0.049, 0.3)

FIGURES = {
    "radial": lambda style: radial_layout(random(bcg()), labels="all", style=style),
    "drapery": lambda style: drapery_layout(random(bcg()), style=style),
    "caterpillar": lambda style: caterpillar_layout(random(many(120)), style=style),
    "rainforest": lambda style: rainforest_layout(random(bcg()), style=style),
    "orchard": lambda style: orchard_layout(*two_groups(), style=style),
    "labbe": lambda style: labbe_layout(events(), estimate=-0.71, arms=("vaccine", "control"), style=style),
    "p-curve": lambda style: p_curve_layout(PVALUES, expected=(0.45, 0.2, 0.14, 0.11, 0.1), style=style),
    "tau profile": lambda style: tau2_profile_layout(
        profile(), estimate=0.31, interval=(0.12, 0.9), style=style
    ),
    "dose": lambda style: dose_response_layout(
        dose()[0], measure="SMD", observed=dose()[1], reference=0, style=style
    ),
    "sunset": lambda style: funnel_layout(random(many(30)), power=-0.3, style=style),
    "baujat": lambda style: baujat_layout(baujat_table(), style=style),
    "influence": lambda style: influence_layout(influence_table(), tau2=0.31, style=style),
    "gosh": lambda style: gosh_layout(gosh_table(), measure="RR", style=style),
    "gosh two": lambda style: gosh_layout(
        gosh_table(900), measure="RR", study="TPT Madras 1980", style=style
    ),
    "specification": lambda style: specification_layout(
        many_analyses(), measure="SMD", choices=["tau2", "ci"], main=4, style=style
    ),
    "bubble": lambda style: bubble_layout(
        regression()[0], "ablat", regression()[1], labels=True, style=style
    ),
    "prior": lambda style: prior_posterior_layout(
        densities(), measure="RR", effects=("Mean effect",), title="Posteriors", style=style
    ),
    "shrinkage": lambda style: shrinkage_layout(
        *shrunken()[:3], densities=shrunken()[3], better="lower", style=style
    ),
    "gap map": lambda style: gap_map_layout(gaps(), row_order=["Autism"], style=style),
    "traffic light": lambda style: traffic_light_layout(judgements(), title="Risk of bias", style=style),
    "rob summary": lambda style: rob_summary_layout(judgements(), style=style),
    "prisma": lambda style: prisma_layout(COUNTS, title="Music before surgery", style=style),
    "prisma wide": lambda style: prisma_layout({**COUNTS, **OTHER}, style=style),
}


def some_slow(styles):
    """The styles that differ most always, the others in the long run."""
    always = ("plain", "lancet", "slides")
    return [s if s in always else pytest.param(s, marks=pytest.mark.slow) for s in sorted(styles)]


@pytest.mark.parametrize("style", some_slow(STYLES))
@pytest.mark.parametrize("name", sorted(FIGURES))
def test_text_stays_apart_and_on_the_page(name, style):
    layout = FIGURES[name](style)
    figure = draw_layout(layout).figure
    assert overlaps(figure) == []
    assert outside(figure) == []
    json.loads(layout.to_json())


@pytest.mark.parametrize("width", ["single", "double"])
@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"influence", "prisma wide", "shrinkage"}))
def test_journal_widths(name, width):
    figure = draw_layout(FIGURES[name]("bmj"), width=width).figure
    assert figure.get_figwidth() * 25.4 == pytest.approx({"single": 84, "double": 178}[width])
    assert overlaps(figure) == []
    assert outside(figure) == []


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_words_for_every_figure(name):
    layout = FIGURES[name]("plain")
    for words in (alt_text(layout), caption(layout)):
        assert len(words) > 9
        assert not re.search(r"\. \.|\(\)|: ;|; \.|  |nan|None", words), words
        assert words.count("..") == 0
    assert re.search(r"\d", alt_text(layout)) or name in ("gap map", "prisma")


def test_baujat_draws_its_table():
    table = baujat_table()
    points = baujat_layout(table, labelled=2).points()
    assert points.x == tuple(table["contribution"])
    assert points.y == tuple(table["influence"])
    product = table["contribution"] * table["influence"]
    best = set(table["study"][product.nlargest(2).index])
    assert {label for label in points.labels if label} == best
    with pytest.raises(UsageError, match="no column 'influence'"):
        baujat_layout(table.drop(columns="influence"))
    with pytest.raises(UsageError, match="no rows"):
        baujat_layout(table.iloc[:0])


def test_influence_draws_its_table_and_marks_the_influential():
    table = influence_table()
    layout = influence_layout(table, tau2=0.31)
    for j, name in enumerate(["rstudent", "dffits", "cook", "cov_ratio", "tau2_deleted", "hat", "weight"]):
        assert [r.marks[j].estimate for r in layout.rows] == list(table[name])
    assert [r.bold for r in layout.rows] == [i == 3 for i in range(13)]
    assert layout.foot[0].startswith("Influential: Hart & Sutherland 1977")
    assert layout.panels[4].null == 0.31
    # Viechtbauer and Cheung 2010: the median of chi-squared with one degree of freedom
    assert layout.panels[2].mid == pytest.approx((stats.chi2.median(1),), rel=1e-12)
    with pytest.raises(UsageError, match="statistics='dfbetas'"):
        influence_layout(table, statistics=["dfbetas"])
    by_index = influence_layout(table.set_index("study"), tau2=0.31)
    assert by_index.rows == layout.rows


def test_gosh_counts_every_subset():
    table = gosh_table(3000)
    (cells,) = gosh_layout(table, measure="RR").layers
    assert isinstance(cells, Cells)
    counts = np.expm1((np.array(cells.level) - 0.15) / 0.85 * math.log1p(count_most(table)))
    assert round(counts.sum()) == 3000
    few = gosh_layout(table.iloc[:500], measure="RR").points()
    assert few.x == tuple(table["estimate"][:500])
    split = gosh_layout(table, measure="RR", study="TPT Madras 1980")
    inside = int(table["TPT Madras 1980"].sum())
    assert [dict(p.summary)["subsets"] for p in split.plots] == [inside, 3000 - inside]
    assert split.plots[0].x == split.plots[1].x


def count_most(table):
    layout = gosh_layout(table, measure="RR")
    box = ((layout.x.low, layout.x.high), (layout.y.low, layout.y.high))
    return np.histogram2d(table["estimate"], table["i2"], bins=(64, 44), range=box)[0].max()


def test_specification_curve_is_sorted_and_complete():
    table = many_analyses()
    layout = specification_layout(table, measure="SMD", choices=["tau2", "ci"], main=4)
    top, bottom = layout.plots
    (ranges,) = [x for x in top.layers if isinstance(x, Ranges)]
    order = np.argsort(table["estimate"].to_numpy(), kind="stable")
    assert ranges.low == tuple(table["ci_low"].iloc[order])
    drawn = [x for x in top.layers if isinstance(x, Points) and x.name != "main analysis"]
    assert sorted(v for p in drawn for v in p.y) == sorted(table["estimate"])
    clear = ((table["ci_low"] > 0) | (table["ci_high"] < 0)).sum()
    assert len(next(p for p in drawn if "excludes" in p.name).x) == clear
    assert next(p for p in top.layers if getattr(p, "name", "") == "main analysis").y == (
        table["estimate"][4],
    )
    assert bottom.y.labels == ("τ²: DL", "τ²: REML", "CI: HKSJ", "CI: Wald")
    dots = [p for p in bottom.layers if isinstance(p, Points)]
    assert [len(p.x) for p in dots] == [
        (table["tau2"] == "DL").sum(),
        (table["tau2"] == "REML").sum(),
        (table["ci"] == "HKSJ").sum(),
        (table["ci"] == "Wald").sum(),
    ]
    assert top.x == replace(bottom.x, label="")


def test_bubble_draws_effects_line_and_band():
    es, line = regression()
    layout = bubble_layout(es, "ablat", line)
    points = layout.points()
    assert points.x == tuple(es.moderators["ablat"])
    assert points.y == tuple(es.yi)
    areas = np.array(points.area) - 0.35
    assert areas / areas.max() == pytest.approx((1 / es.vi) / (1 / es.vi).max(), rel=1e-12)
    (band,) = [x for x in layout.layers if isinstance(x, Area)]
    assert band.y[:21] == tuple(line["ci_low"])
    assert tuple(line["estimate"]) in [x.y for x in layout.layers if isinstance(x, Line)]
    with pytest.raises(UsageError, match="no moderator 'year'; the moderators are"):
        bubble_layout(es, "year", line)
    with pytest.raises(UsageError, match="2 values for 13 effects"):
        bubble_layout(es, [1, 2], line.rename(columns={"ablat": "x"}))


def test_prior_and_posterior_are_the_densities():
    layout = prior_posterior_layout(densities(), measure="RR", effects=("Mean effect",))
    first, second = layout.plots
    lines = {x.name: x for x in first.layers if isinstance(x, Line)}
    assert lines["posterior"].y == tuple(densities()["Mean effect"]["posterior"])
    assert first.x.label == "Mean effect (risk ratio)"
    like = next(x for x in second.layers if getattr(x, "name", "") == "likelihood")
    post = next(x for x in second.layers if getattr(x, "name", "") == "posterior")
    assert max(like.y) == pytest.approx(max(post.y))
    with pytest.raises(UsageError, match="no densities"):
        prior_posterior_layout({})


def test_shrinkage_draws_both_estimates():
    es, table, summaries, curves = shrunken()
    layout = shrinkage_layout(es, table, summaries, densities=curves)
    studies = [r for r in layout.rows if r.kind == "study"]
    assert [r.marks[0].estimate for r in studies] == list(es.yi)
    assert [(r.marks[1].estimate, r.marks[1].low, r.marks[1].high) for r in studies] == list(
        zip(table["mean"], table["low"], table["high"], strict=True)
    )
    assert [r.marks[0].shape for r in layout.rows if r.kind == "pooled"] == ["density", "diamond"]
    assert dict(layout.summary)["Mean effect: low"] == -1.1
    with pytest.raises(UsageError, match="2 rows for 13 effects"):
        shrinkage_layout(es, table.iloc[:2], summaries)


def test_gap_map_keeps_empty_rows_and_counts_studies():
    layout = gap_map_layout(gaps(), row_order=["Autism"])
    assert layout.y.labels[0] == "Autism"
    inner = [t for p in layout.layers for t in p.inner]
    assert sorted(map(int, inner)) == [3, 8, 9, 10, 26]
    assert dict(layout.summary) == {"cells": 24.0, "cells with evidence": 5.0}
    sizes = {t: a for p in layout.layers for t, a in zip(p.inner, p.area, strict=True)}
    assert sizes["26"] > sizes["9"] > sizes["10"] > sizes["8"] > sizes["3"]
    with pytest.raises(UsageError, match="certainty='good'"):
        gap_map_layout(gaps().assign(certainty="good"))


def test_certainty_survives_grey():
    values = [luminance(CERTAINTY[w]) for w in ("high", "moderate", "low", "very low", "not rated")]
    assert values == sorted(values)
    tones = list(CERTAINTY.values())
    assert all(contrast(a, b) > 1.25 for a, b in pairwise(tones))


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_bars_of_the_summary_are_shares(tool):
    table = judgements(tool)
    layout = rob_summary_layout(table)
    widths = {}
    for cells in layout.layers:
        for y, left, right in zip(cells.bottom, cells.left, cells.right, strict=True):
            widths.setdefault(round(y - 0.36), []).append(right - left)
    assert all(sum(w) == pytest.approx(100.0) for w in widths.values())
    words = [t.split(" (")[0].lower() for t in (c.name for c in layout.layers)]
    first = table.judgements
    want = 100 * sum(row[0] == words[0] for row in first) / len(first)
    assert widths[0][0] == pytest.approx(want)
    draw_layout(traffic_light_layout(table))


def test_flow_boxes_are_the_counts():
    layout = prisma_layout({**COUNTS, **OTHER})
    assert layout.box("identified").lines == ("Databases (n = 1203)", "Registers (n = 88)")
    assert layout.box("identified").numbers == (1203, 88)
    assert layout.box("screened").head == "Records screened (n = 988)"
    assert layout.foot == ()
    pairs = {(a.start, a.end) for a in layout.arrows}
    assert {("identified", "removed"), ("other_assessed", "included"), ("previous", "total")} <= pairs


def test_flow_says_what_does_not_add_up():
    (line,) = prisma_layout({**COUNTS, "screened": 990, "sought": 140, "assessed": 136}).foot
    assert line == "Does not add up: records screened is 990, 1291 less 303 is 988"


def test_flow_boxes_can_be_left_out_and_added():
    layout = prisma_layout(COUNTS, without=("sought", "not_retrieved"))
    assert ("screened", "assessed") in {(a.start, a.end) for a in layout.arrows}
    box = FlowBox("pooled", "main", 5, "Pooled (n = 20)", (), (20.0,))
    aside = FlowBox("withdrawn", "out", 4, "Withdrawn (n = 1)", (), (1.0,))
    layout = prisma_layout(COUNTS, extra=(box, aside))
    assert {("included", "pooled"), ("included", "withdrawn")} <= {(a.start, a.end) for a in layout.arrows}
    figure = draw_flow(layout, flow_axes(layout)).figure
    assert overlaps(figure) == []
    with pytest.raises(UsageError, match="no box 'found'"):
        prisma_layout({"found": 3})
    with pytest.raises(UsageError, match="0 or more"):
        prisma_layout({"screened": -1})


def test_a_long_forest_becomes_pages():
    layout = forest_layout(random(many(230)), better="lower", title="Many")
    pages = forest_pages(layout, rows=70)
    assert len(pages) == 4
    assert max(len(p.rows) for p in pages) <= 71
    told = [r.cells[0].text for p in pages for r in p.rows if r.kind == "study"]
    assert told == [r.cells[0].text for r in layout.rows if r.kind == "study"]
    assert {p.panels for p in pages} == {layout.panels}
    assert [bool(p.foot) for p in pages] == [False, False, False, True]
    assert pages[0].title == "Many (page 1 of 4)"
    assert forest_pages(pages[0], rows=100) == (pages[0],)
    with pytest.raises(UsageError, match="10 rows or more"):
        forest_pages(layout, rows=3)


def test_pages_of_a_forest_are_files_of_one_width():
    layout = forest_layout(random(many(230)), better="lower", title="Many")
    files = forest_files(layout, "depression")
    assert [name for name, _ in files] == [f"depression-page-{i}" for i in range(1, 6)]
    figures = [figure for _, _, figure in drawn(files)]
    assert len({figure.get_figwidth() for figure in figures}) == 1
    assert max(figure.get_figheight() for figure in figures) < 1.5 * figures[0].get_figwidth()
    assert all(overlaps(figure) == [] for figure in figures)
    assert drawn(files, width=180).__next__()[2].get_figwidth() == pytest.approx(180 / 25.4)
    short = forest_layout(random(many(20)))
    assert forest_files(short, "few") == (("few", short),)


def test_headings_are_repeated_on_the_next_page():
    es = many(40)
    es = EffectSizes.of(es.yi, es.vi, "SMD", study=es.study, cluster=["a"] * 20 + ["b"] * 20)
    pages = forest_pages(forest_layout(random(es), group="cluster"), rows=15)
    firsts = [p.rows[0] for p in pages]
    assert all(r.kind in ("heading", "pooled") for r in firsts)
    assert any(r.text == "a (continued)" for r in firsts)
    assert all(p.rows[-1].kind != "heading" for p in pages)


def test_radial_points_are_standardised_effects():
    fit = random(bcg())
    points = radial_layout(fit).points()
    s = np.sqrt(fit.effects.vi + fit.tau2)
    assert points.x == pytest.approx(1 / s, rel=1e-12)
    assert points.y == pytest.approx(fit.effects.yi / s, rel=1e-12)


def test_drapery_crosses_the_level_at_the_interval():
    fit = random(bcg())
    layout = drapery_layout(fit, points=4001)
    pooled = next(x for x in layout.layers if getattr(x, "name", "") == "pooled")
    x, p = np.array(pooled.x), np.array(pooled.y)
    inside = x[p >= 0.05]
    assert (inside.min(), inside.max()) == pytest.approx(fit.ci(0.95), abs=2 * (x[1] - x[0]))
    assert p.max() == pytest.approx(1.0, abs=0.02)


def test_caterpillar_is_sorted():
    layout = caterpillar_layout(random(many(50)))
    points = layout.points()
    assert points.x == tuple(sorted(many(50).yi))


def test_rainforest_has_a_drop_a_study_and_the_diamond():
    fit = random(bcg())
    areas = [x for x in rainforest_layout(fit).layers if isinstance(x, Area)]
    assert len(areas) == 14
    assert (min(areas[0].x), max(areas[0].x)) == pytest.approx(
        fit.effects.yi[0] + np.array([-1, 1]) * 1.959963984540054 * math.sqrt(fit.effects.vi[0]), rel=1e-12
    )
    assert (min(areas[-1].x), max(areas[-1].x)) == tuple(fit.ci())


def test_orchard_shows_every_effect_once():
    es, fits, groups = two_groups()
    layout = orchard_layout(es, fits, groups)
    shown = sorted(v for p in layout.layers if isinstance(p, Points) and len(p.x) > 1 for v in p.x)
    assert shown == sorted(es.yi)
    bars = [x for x in layout.layers if isinstance(x, Ranges)]
    assert [(x.low[0], x.high[0]) for x in bars] == [
        v for _, f in fits for v in (tuple(f.pi()), tuple(f.ci()))
    ]
    with pytest.raises(UsageError, match="'x' has no summary"):
        orchard_layout(es, fits, ["x"] * 40)


def test_labbe_shows_risks():
    layout = labbe_layout(events(), estimate=math.log(0.5))
    points = layout.points()
    es = events()
    assert points.y == pytest.approx(es.columns["a"] / es.n1, rel=1e-12)
    assert points.x == pytest.approx(es.columns["c"] / es.n2, rel=1e-12)
    curve = next(x for x in layout.layers if getattr(x, "name", "") == "pooled effect")
    assert np.array(curve.y) == pytest.approx(np.array(curve.x) / 2)
    with pytest.raises(UsageError, match="events a and c"):
        labbe_layout(bcg())


def test_p_curve_counts_hundredths():
    layout = p_curve_layout(PVALUES)
    assert layout.points().y == pytest.approx((400 / 7, 100 / 7, 100 / 7, 0, 100 / 7))
    assert layout.foot == ("7 significant P values; 1 of 0.05 or more are not drawn",)
    with pytest.raises(UsageError, match="nothing to draw"):
        p_curve_layout([0.2])
    with pytest.raises(UsageError, match="between 0 and 1"):
        p_curve_layout([1.2])


def test_profile_and_dose_draw_their_tables():
    layout = tau2_profile_layout(profile(), estimate=0.31, interval=(0.12, 0.9))
    curve = [x for x in layout.layers if isinstance(x, Line)][-1]
    assert curve.y == tuple(profile()["loglik"])
    assert "0.12 to 0.90" in layout.foot[0]
    line, seen = dose()
    layout = dose_response_layout(line, measure="SMD", observed=seen)
    dots = [x for x in layout.layers if isinstance(x, Points)]
    assert [v for p in dots for v in p.y] == list(seen["estimate"])


def test_sunset_bands_end_at_their_power():
    layout = funnel_layout(random(many(30)), power=-0.3)
    bands = [x for x in layout.layers if isinstance(x, Area)]
    for band, power in zip(bands[:-1], (0.8, 0.5, 0.3), strict=False):
        d = 0.3 / band.y[-1]
        assert stats.norm.cdf(d - 1.959963984540054) + stats.norm.cdf(
            -d - 1.959963984540054
        ) == pytest.approx(power)
    with pytest.raises(UsageError, match="choose one"):
        funnel_layout(random(many(3)), power=0.2, contours=(0.05,))


# ---- what the diagnostics and the Bayesian model give is drawn as it is ------------------------


@pytest.fixture(scope="module")
def posterior():
    return BayesRandomEffects().fit(bcg())


def test_a_posterior_is_drawn_with_its_own_numbers(posterior):
    layout = bayes_forest_layout(posterior, better="lower", arms=("vaccine", "control"))
    told = dict(layout.summary)
    assert told["Mean effect: estimate"] == posterior.mu.median
    assert (told["New study: low"], told["New study: high"]) == posterior.new_study.ci(0.95)
    studies = [r for r in layout.rows if r.kind == "study"]
    assert [r.marks[1].estimate for r in studies] == list(posterior.shrinkage["mean"])
    curve = np.array(next(r for r in layout.rows if r.kind == "pooled").marks[0].curve)
    assert curve[:, 1] == pytest.approx(posterior.mu.pdf(curve[:, 0]) / posterior.mu.pdf(curve[:, 0]).max())
    assert overlaps(draw_layout(layout).figure) == []


def test_a_posterior_beside_a_classical_result(posterior):
    layout = forest_layout([random(bcg()), posterior])
    names = [r.cells[0].text for r in layout.rows if r.kind == "pooled"]
    assert names == ["Random effects (DL)", "Bayes (τ ~ half-normal(0.5))"]
    assert layout.foot[-1] == "Weights and areas of squares: random effects (DL)"
    assert layout.foot[1].startswith("Heterogeneity, Bayes (τ ~ half-normal(0.5)): τ² = ")
    assert "Q = " in layout.foot[0]
    assert "Q = " not in layout.foot[1]  # it belongs to no model, so it is told once
    assert layout.foot[-2].startswith(
        "Mean effect, Bayes (τ ~ half-normal(0.5)): posterior median with 95% credible"
    )
    assert layout.foot[-2].endswith("probability below the null >0.999")
    alone = forest_layout(posterior)
    assert "pvalue" not in dict(alone.summary)
    assert dict(alone.summary)["pi_low"] == posterior.pi().low


def test_prior_and_posterior_of_a_result(posterior):
    layout = posterior_layout(posterior)
    line, prior = (x for x in layout.plots[1].layers if isinstance(x, Line))
    assert line.y == pytest.approx(posterior.tau.pdf(np.array(line.x)))
    assert [x.name for x in layout.plots[0].layers if isinstance(x, Line)][-2:] == ["posterior", "prior"]
    assert prior.y[0] == pytest.approx(2 * stats.norm.pdf(0, 0, 0.5))  # half-normal(0.5)
    assert overlaps(draw_layout(layout).figure) == []


def test_posteriors_under_each_other_share_axes_and_one_legend(posterior):
    other = BayesRandomEffects(mu=Normal(0, 4), tau=HalfNormal(0.1)).fit(posterior.effects)
    layout = posterior_layout([posterior, other], names=("wide", "narrow"))
    (mean, tau), (mean_2, tau_2) = layout.plots[:2], layout.plots[2:]
    assert (mean.x.low, mean.x.high) == (mean_2.x.low, mean_2.x.high)
    assert (tau.x.low, tau.x.high) == (tau_2.x.low, tau_2.x.high)
    assert mean.x.low == pytest.approx(min(posterior.mu.quantile(0.001), other.mu.quantile(0.001)))
    assert [plot.title for plot in layout.plots] == ["wide", "", "narrow", ""]
    named = [bool([x for x in plot.layers if getattr(x, "name", "")]) for plot in layout.plots]
    assert named == [False, False, True, False]
    assert overlaps(draw_layout(layout).figure) == []
    _, frames, _ = place_plots(layout, Meter(layout.style), 500.0, 400.0)
    assert [frames[0].top, frames[2].top] == [frames[1].top, frames[3].top]
    assert [frames[0].bottom, frames[2].bottom] == [frames[1].bottom, frames[3].bottom]
    with pytest.raises(UsageError, match="must name each of 1 results"):
        posterior_layout(posterior, names=("a", "b"))


def test_tables_of_the_diagnostics_are_drawn_as_they_come():
    es, model = bcg(), RandomEffects()
    fit, table = model.fit(es), influence(model, es)
    layout = influence_layout(table, tau2=fit.tau2)
    assert [r.marks[2].estimate for r in layout.rows] == list(table["cook"])
    assert [r.bold for r in layout.rows] == list(table["influential"])
    assert baujat_layout(baujat(model, es)).points().x == tuple(baujat(model, es)["contribution"])
    assert [r.marks[0].low for r in leave_one_out_layout(leave_one_out(model, es), fit).rows][:-1] == list(
        leave_one_out(model, es)["ci_low"]
    )
    grown = cumulative(model, es, by="precision")
    assert [r.marks[0].high for r in cumulative_layout(grown, measure="RR").rows] == list(grown["ci_high"])
    subsets = gosh(model, es, subsets=200, seed=1)
    assert dict(gosh_layout(subsets, measure="RR").summary)["subsets"] == len(subsets)


def test_funnel_shows_what_was_filled_in_and_adjusted():
    es = bcg()
    filled, adjusted = trim_and_fill(es), pet_peese(es)
    layout = funnel_layout(RandomEffects().fit(es), filled=filled, curves=adjusted)
    added = layout.points("filled in")
    assert len(added.x) == filled.k0 > 0
    assert added.x == tuple(filled.filled.effects.yi[-filled.k0 :])
    lines = {x.name: x for x in layout.layers if isinstance(x, Line) and x.name}
    assert lines["PET"].x[0] == adjusted.pet.limit
    assert lines["PEESE"].x[-1] == pytest.approx(
        adjusted.peese.limit + adjusted.peese.bias * lines["PEESE"].y[-1] ** 2
    )


def test_a_multiverse_is_drawn_with_its_own_choices():
    es = bcg()
    every = [
        Specification({"estimator": t, "interval": c}, es, RandomEffects(tau2=t, ci=c))
        for t in ("DL", "REML", "PM")
        for c in ("Wald", "HKSJ")
    ]
    answers = multiverse(every)
    layout = specification_layout(answers, main=2)
    assert layout.plots[1].y.labels[:3] == ("estimator: DL", "estimator: PM", "estimator: REML")
    (ranges,) = [x for x in layout.plots[0].layers if isinstance(x, Ranges)]
    assert sorted(ranges.low) == sorted(answers.to_frame()["ci_low"])
    with pytest.raises(UsageError, match="needs measure"):
        specification_layout(answers.to_frame(), choices=["estimator"])
