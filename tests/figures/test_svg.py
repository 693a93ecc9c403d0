"""The structure of an SVG: a group a row, under a name that does not move."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from drawn import bcg, many, random

from mtmeta.errors import UsageError
from mtmeta.figures import forest_layout
from mtmeta.figures.draw.forest import draw_forest, forest_axes
from mtmeta.figures.files import render
from mtmeta.figures.layout.table import Row, numbered

GROUP = "{http://www.w3.org/2000/svg}g"
TEXT = "{http://www.w3.org/2000/svg}text"


def tree(layout, **options):
    figure = draw_forest(layout, forest_axes(layout)).figure
    return ElementTree.fromstring(render(figure, "svg", **options))


@pytest.mark.parametrize("style", ["plain", "jama", "cochrane"])
def test_each_row_is_a_group_with_its_text(style):
    layout = forest_layout(random(many(5)), style=style)
    groups = {g.get("id"): g for g in tree(layout).iter(GROUP)}
    assert layout.rows[0].id == "row-author000-1990"
    assert [r.id for r in layout.rows][-2:] == ["pooled", "prediction"]
    for row in layout.rows:
        said = " ".join(t.text for t in groups[row.id].iter(TEXT))
        assert row.cells[layout.column("effect")].parts[-1] in said
        marks = [g for g in groups[row.id] if "Collection" in g.get("id")]
        assert len(marks) >= 1


def test_a_row_keeps_its_name_when_others_go():
    fit, few = random(bcg()), random(bcg().subset(np.arange(13) > 3))
    names = {r.cells[0].text: r.id for r in forest_layout(fit).rows}
    for row in forest_layout(few).rows:
        assert row.id == names[row.cells[0].text]


def test_names_are_unique_and_safe():
    rows = [Row("study", 0, id=s) for s in ("a b", "A-b", '"><script>', "", "$x$ 1999", "音楽 2001")]
    assert [
        r.id for r in numbered([*rows, Row("heading", 0, text="No music"), Row("note", 0, text="x")])
    ] == [
        "row-a-b",
        "row-a-b-2",
        "row-script",
        "row",
        "row-x-1999",
        "row-音楽-2001",
        "group-no-music",
        "note",
    ]


def test_prefix_keeps_figures_of_one_page_apart():
    layout = forest_layout(random(many(3)))
    ids = [e.get("id") for e in tree(layout, prefix="icu-").iter() if e.get("id")]
    assert "icu-row-author000-1990" in ids
    assert all(i.startswith("icu-") for i in ids)
    figure = draw_forest(layout, forest_axes(layout)).figure
    text = render(figure, "svg", prefix="icu-").decode()
    asked = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text)
    assert {a or b for a, b in asked} <= set(ids)
    with pytest.raises(UsageError, match="must begin with a letter"):
        render(figure, "svg", prefix='"')
