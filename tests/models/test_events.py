"""Mantel-Haenszel and Peto against metafor, and at their edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mtmeta.errors import EffectError, ModelError, UsageError
from mtmeta.models.events import EventCounts, EventResult, MantelHaenszel, Peto

Load = Callable[[str], Any]

SETS = (
    *(f"k{k}-p{p}-ratio{r}" for k in (2, 5, 12, 30) for p in ("0.03", "0.3") for r in ("0.6", "1.4")),
    "one-study",
    "double-zero",
    "double-full",
    "zero-cells",
    "very-unequal",
    "equal-ratios",
)


def _fit(method: str, measure: str, events: EventCounts, variance: str = "Sato") -> EventResult:
    if method == "Peto":
        return Peto().fit(events)
    return MantelHaenszel(measure, variance=variance).fit(events)


def test_pooled_counts_of_metafor_5(load: Load) -> None:
    reference = load("reference/mantel_haenszel.json")
    assert [(r["method"], r["measure"]) for r in reference["mh"]] == [
        ("MH", "OR"),
        ("MH", "RR"),
        ("MH", "RD"),
        ("Peto", "OR"),
    ]
    rows = reference["bin"]
    events = EventCounts.of(*([r[name] for r in rows] for name in ("ai", "n1i", "ci", "n2i")))
    for row in reference["mh"]:
        fit = _fit(row["method"], row["measure"], events)
        assert fit.estimate == pytest.approx(row["est"], abs=1e-13)
        assert fit.se == pytest.approx(row["se"], rel=1e-12)
        assert fit.ci() == pytest.approx((row["ci_lb"], row["ci_ub"]), abs=1e-13)
        assert fit.q == pytest.approx(row["Q"], rel=1e-12)


def test_the_grid_is_complete(load: Load) -> None:
    made = load("reference/events_generated.json.gz")
    assert {d["id"] for d in made["data"]} == set(SETS)
    cells = {(r["id"], r["method"], r["measure"]) for r in made["fits"]}
    assert cells == {
        (s, m, e) for s in SETS for m, e in (("MH", "OR"), ("MH", "RR"), ("MH", "RD"), ("Peto", "PETO"))
    }


@pytest.mark.parametrize("name", SETS)
def test_pooled_counts_of_metafor_3(load: Load, name: str) -> None:
    made = load("reference/events_generated.json.gz")
    data = next(d for d in made["data"] if d["id"] == name)
    columns = (np.atleast_1d(data[c]) for c in ("a", "n1", "c", "n2"))
    events = EventCounts.of(*columns)
    for row in (r for r in made["fits"] if r["id"] == name):
        fit = _fit(row["method"], row["measure"], events)
        assert fit.estimate == pytest.approx(row["est"], rel=1e-12, abs=1e-13)
        assert fit.se == pytest.approx(row["se"], rel=1e-12)
        assert fit.pvalue == pytest.approx(row["p"], abs=1e-12)
        assert fit.ci() == pytest.approx((row["low"], row["high"]), rel=1e-12, abs=1e-13)
        # one study is its own pooled estimate but for the half event of its row
        assert fit.q == pytest.approx(row["q"], rel=1e-11, abs=1e-12)
        assert fit.effects.k == row["shown"]
        if fit.effects.k > 1:
            assert fit.q_pvalue == pytest.approx(row["q_p"], abs=1e-11)
            assert fit.i2 == pytest.approx(row["i2"], abs=1e-9)
            assert fit.h2 == pytest.approx(row["h2"], rel=1e-11, abs=1e-12)
        if row.get("tarone_p") is not None:
            statistic, df, p = fit.tarone()
            assert statistic == pytest.approx(row["tarone"], rel=1e-9, abs=1e-10)
            assert df == fit.effects.k - 1
            assert p == pytest.approx(row["tarone_p"], abs=1e-10)
        if row.get("se_gr") is not None:
            other = _fit("MH", "RD", events, "GR")
            assert other.estimate == fit.estimate
            assert other.se == pytest.approx(row["se_gr"], rel=1e-12)


def test_studies_without_information() -> None:
    """A trial without events says nothing of a ratio; for the difference it counts."""
    full = EventCounts.of([5, 0, 8], [50, 40, 60], [9, 0, 15], [50, 40, 60], study=["A", "none", "C"])
    without = EventCounts.of([5, 8], [50, 60], [9, 15], [50, 60])
    for model in (MantelHaenszel("OR"), MantelHaenszel("RR"), Peto()):
        one, other = model.fit(full), model.fit(without)
        assert one.estimate == pytest.approx(other.estimate, rel=1e-14)
        assert one.se == pytest.approx(other.se, rel=1e-14)
        assert one.study_weights[1] == 0.0
        assert one.effects.study == ("A", "C")
        assert one.weights.sum() == pytest.approx(1.0, abs=1e-15)
    difference = MantelHaenszel("RD").fit(full)
    assert abs(difference.estimate) < abs(MantelHaenszel("RD").fit(without).estimate)
    assert difference.study_weights.sum() == pytest.approx(1.0, abs=1e-15)
    assert difference.weights.sum() < 1.0


def test_what_cannot_be_estimated_is_said() -> None:
    nothing = EventCounts.of([0, 0], [10, 20], [0, 0], [10, 20])
    for model in (MantelHaenszel("RD"), Peto()):
        with pytest.raises(ModelError, match="no study has both events and people without"):
            model.fit(nothing)
    one_sided = EventCounts.of([0, 0], [10, 20], [3, 2], [10, 20])
    with pytest.raises(ModelError, match="no study has an event in the treatment group"):
        MantelHaenszel("RR").fit(one_sided)
    with pytest.raises(ModelError, match="odds ratio is 0, infinite or undefined"):
        MantelHaenszel("OR").fit(one_sided)
    assert Peto().fit(one_sided).estimate < 0.0
    assert MantelHaenszel("RD").fit(one_sided).estimate < 0.0
    with pytest.raises(ModelError, match="at least 2 studies"):
        MantelHaenszel("OR").fit(EventCounts.of([3], [10], [4], [10])).tarone()
    with pytest.raises(ModelError, match="compares odds ratios"):
        Peto().fit(one_sided).tarone()


def test_counts_are_checked() -> None:
    with pytest.raises(EffectError, match=r"study 'B' \(row 2\).*more events than people"):
        EventCounts.of([3, 30], [10, 20], [1, 1], [10, 10], study=["A", "B"])
    with pytest.raises(EffectError):
        EventCounts.of([3, -1], [10, 20], [1, 1], [10, 10])
    with pytest.raises(EffectError):
        EventCounts.of([3, math.nan], [10, 20], [1, 1], [10, 10])
    with pytest.raises(EffectError):
        EventCounts.of([], [], [], [])
    with pytest.raises(UsageError, match="measure='SMD' is not known; use one of 'OR', 'RR', 'RD'"):
        MantelHaenszel("SMD")
    with pytest.raises(UsageError, match="variance='GR' chooses"):
        MantelHaenszel("OR", variance="GR")
    events = EventCounts.of([3, 4], [10, 20], [1, 1], [10, 10])
    with pytest.raises(ValueError, match="read-only"):
        events.a[0] = 1


def test_words() -> None:
    events = EventCounts.of([12, 5], [60, 50], [20, 9], [58, 52])
    for model, text in (
        (MantelHaenszel("OR"), "Robins, Breslow and Greenland (1986)"),
        (MantelHaenszel("RR"), "Greenland and Robins (1985)"),
        (MantelHaenszel("RD"), "Sato (1989)"),
        (MantelHaenszel("RD", variance="GR"), "Greenland and Robins (1985)"),
        (Peto(), "Yusuf et al. 1985"),
    ):
        fit = model.fit(events)
        assert text in fit.methods
        assert "\n" not in repr(fit)
        assert fit.to_frame().loc[0, "estimate"] == fit.estimate
        assert fit._repr_html_().count("<tr>") == 6


_counts = st.integers(1, 40)


@settings(max_examples=80)
@given(st.lists(st.tuples(_counts, _counts, _counts, _counts), min_size=1, max_size=6))
def test_exchanging_the_groups_turns_the_sign(cells: list[tuple[int, int, int, int]]) -> None:
    a, b, c, d = (np.array(x) for x in zip(*cells, strict=True))
    events, turned = EventCounts.of(a, a + b, c, c + d), EventCounts.of(c, c + d, a, a + b)
    for model in (MantelHaenszel("OR"), MantelHaenszel("RR"), MantelHaenszel("RD"), Peto()):
        one, other = model.fit(events), model.fit(turned)
        assert one.estimate == pytest.approx(-other.estimate, abs=1e-12)
        assert one.se == pytest.approx(other.se, rel=1e-12)
    # exchanging event and no event turns the odds ratio too
    reversed_ = EventCounts.of(b, a + b, d, c + d)
    assert MantelHaenszel("OR").fit(reversed_).estimate == pytest.approx(
        -MantelHaenszel("OR").fit(events).estimate, abs=1e-12
    )


@settings(max_examples=50)
@given(st.tuples(_counts, _counts, _counts, _counts))
def test_one_table_is_its_own_ratio(cells: tuple[int, int, int, int]) -> None:
    a, b, c, d = cells
    events = EventCounts.of([a], [a + b], [c], [c + d])
    assert MantelHaenszel("OR").fit(events).estimate == pytest.approx(math.log(a * d / (b * c)), abs=1e-12)
    assert MantelHaenszel("OR").fit(events).se == pytest.approx(
        math.sqrt(1 / a + 1 / b + 1 / c + 1 / d), rel=1e-12
    )
