"""What is shown of a calculation is what was calculated; every printed row has its effect or a reason."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from made_trials import row

from mtmeta.effects.arithmetic import evaluate, fill, names_in, number, rounded
from mtmeta.effects.compute import CONVENTIONS, Computed, computed_rows
from mtmeta.effects.printed import NoRouteError, RouteChoices
from mtmeta.effects.routes import EVENTS, PAIRED, RATES, TWO_MEANS, routes_of
from mtmeta.effects.select import Query, Row, Selection, select_rows
from mtmeta.effects.worked import FORMULAS, mean_of_rows, values_of, worked_effect
from mtmeta.errors import AnalysisError, UsageError
from mtmeta.records.locate import example_studies

# ---- arithmetic ----


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("1 + 2 × 3", 7),
        ("(1 + 2) × 3", 9),
        ("7 − 2 − 1", 4),
        ("8 / 4 / 2", 1),
        ("−2²", -4),
        ("(−2)²", 4),
        ("√16²", 16),
        ("√(9 + 16)", 5),
        ("|3 − 5| × 2", 4),
        ("2 × |−3|", 6),
        ("2^3", 8),
        ("4^0.5", 2),
        ("ln(exp(1.5))", 1.5),
        ("max(1; 2)", 2),
        ("a / (a + b)", 0.25),
        ("J(10)", 0.9227456),
        ("t(0.975; 10)", 2.2281389),
        ("z(0.975)", 1.9599640),
    ],
)
def test_formulas_follow_the_rules_of_school(formula: str, value: float) -> None:
    assert evaluate(formula, {"a": 1.0, "b": 3.0}) == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize(
    "formula", ["", "1 +", "(1", "1 2", "a b", "x", "1 % 2", "import os", "ln()", "|1", "__a__(1)"]
)
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises((UsageError, TypeError)):
        evaluate(formula, {"a": 1.0, "b": 3.0})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_in_full(value: float) -> None:
    text = number(value)
    assert "e" not in text
    assert float(text.replace("−", "-")) == value


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=3, max_size=3))
def test_filling_numbers_in_does_not_change_the_value(values: list[float]) -> None:
    formula = "(a − b)² + |c| × a"
    named = dict(zip("abc", values, strict=True))
    assert evaluate(fill(formula, named), {}) == evaluate(formula, named)


def test_names_are_found_without_functions() -> None:
    assert names_in("t(1 − p / 2; n1 + n2 − 2) × √n1") == ("p", "n1", "n2")
    assert rounded(-0.0001234567) == -0.000123457


# ---- every chain is its calculator ----

ROUTES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "means",
        {
            "kind": "means",
            "music": {"n": 20, "mean": 10, "sd": 2},
            "control": {"n": 25, "mean": 8.5, "sd": 3},
        },
        {},
    ),
    (
        "SE",
        {
            "kind": "means",
            "music": {"n": 20, "mean": 10, "se": 0.4},
            "control": {"n": 25, "mean": 8.5, "se": 0.6},
        },
        {},
    ),
    (
        "interval of a mean",
        {
            "kind": "means",
            "music": {"n": 20, "mean": 10, "ci_low": 9, "ci_high": 11},
            "control": {"n": 25, "mean": 8.5, "ci_low": 7, "ci_high": 10},
        },
        {},
    ),
    (
        "P of means",
        {"kind": "means", "p": "0.008", "music": {"n": 25, "mean": 3.8}, "control": {"n": 22, "mean": 1}},
        {},
    ),
    (
        "quartiles",
        {
            "kind": "quartiles",
            "music": {"n": 40, "median": 8, "q1": 5, "q3": 12},
            "control": {"n": 41, "median": 7, "q1": 5, "q3": 11},
        },
        {},
    ),
    (
        "range",
        {
            "kind": "quartiles",
            "music": {"n": 40, "median": 8, "min": 1, "max": 19},
            "control": {"n": 9, "median": 7, "min": 2, "max": 11},
        },
        {},
    ),
    (
        "five numbers",
        {
            "kind": "quartiles",
            "music": {"n": 40, "median": 8, "q1": 5, "q3": 12, "min": 1, "max": 19},
            "control": {"n": 41, "median": 7, "q1": 5, "q3": 11, "min": 2, "max": 18},
        },
        {},
    ),
    (
        "changes by r",
        {
            "kind": "changes",
            "music": {
                "n": 20,
                "change": {},
                "baseline": {"mean": 9, "sd": 6.4},
                "final": {"mean": 7, "sd": 7.1},
                "r": 0.7,
            },
            "control": {"n": 22, "change": {"mean": -1, "sd": 4.2}},
        },
        {},
    ),
    (
        "arms",
        {
            "kind": "arms",
            "form": "means",
            "arms": [
                {"name": "a", "role": "music", "n": 22, "mean": 7.87, "sd": 4.24},
                {"name": "b", "role": "music", "n": 19, "mean": 4.35, "se": 0.8},
                {"name": "c", "role": "control", "n": 25, "mean": 9.32, "sd": 4.5},
            ],
        },
        {},
    ),
    (
        "clusters",
        {
            "kind": "means",
            "music": {"n": 20, "mean": 10, "sd": 2},
            "control": {"n": 25, "mean": 8.5, "se": 0.6},
        },
        {"design": {"unit": "cluster", "icc": 0.05, "mean_cluster_size": 11}},
    ),
    (
        "t",
        {
            "kind": "test",
            "statistic": "t",
            "value": -2.1,
            "music_is": "lower",
            "mean_music": 4,
            "mean_control": 5.5,
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "F",
        {
            "kind": "test",
            "statistic": "F",
            "value": 4.4,
            "mean_music": 4,
            "mean_control": 5.5,
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "P",
        {
            "kind": "test",
            "statistic": "p",
            "p": "0.04",
            "mean_music": 4,
            "mean_control": 5.5,
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "g",
        {
            "kind": "effect",
            "measure": "SMD",
            "estimate": -0.9,
            "se": 0.3,
            "correction": "exact",
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "approximate g",
        {
            "kind": "effect",
            "measure": "SMD",
            "estimate": -0.9,
            "se": 0.3,
            "correction": "approximate",
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "d",
        {
            "kind": "effect",
            "measure": "SMD",
            "estimate": -0.9,
            "se": 0.3,
            "correction": "none",
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "g with clusters",
        {
            "kind": "effect",
            "measure": "SMD",
            "estimate": -0.9,
            "se": 0.3,
            "correction": "exact",
            "n_music": 20,
            "n_control": 25,
        },
        {"design_effect": 1.5, "clusters": "not allowed for"},
    ),
    (
        "interval of g",
        {"kind": "interval", "measure": "SMD", "estimate": -0.78, "ci_low": -2.36, "ci_high": 0.81},
        {},
    ),
    (
        "MD and SE",
        {"kind": "effect", "measure": "MD", "estimate": -1.5, "se": 0.6, "n_music": 20, "n_control": 25},
        {},
    ),
    (
        "MD and interval",
        {
            "kind": "interval",
            "measure": "MD",
            "estimate": -1.5,
            "ci_low": -2.9,
            "ci_high": -0.1,
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "MD with clusters",
        {"kind": "interval", "measure": "MD", "estimate": -1.5, "ci_low": -2.9, "ci_high": -0.1},
        {"design_effect": 1.5, "clusters": "not allowed for"},
    ),
    (
        "OR and interval",
        {"kind": "interval", "measure": "OR", "estimate": 2.96, "ci_low": 1.01, "ci_high": 9.02},
        {},
    ),
    ("log HR", {"kind": "effect", "measure": "HR", "estimate": -0.4, "se": 0.2, "scale": "log"}, {}),
    ("events", {"kind": "events", "music": {"events": 12, "n": 30}, "control": {"events": 5, "n": 30}}, {}),
    ("no events", {"kind": "events", "music": {"events": 0, "n": 20}, "control": {"events": 4, "n": 22}}, {}),
    (
        "events with clusters",
        {"kind": "events", "music": {"events": 12, "n": 30}, "control": {"events": 5, "n": 30}},
        {"design_effect": 1.3},
    ),
    (
        "events of arms",
        {
            "kind": "arms",
            "form": "events",
            "arms": [
                {"name": "a", "role": "music", "n": 40, "events": 10},
                {"name": "b", "role": "control", "n": 44, "events": 14},
                {"name": "c", "role": "control", "n": 38, "events": 20},
            ],
        },
        {},
    ),
    (
        "rates",
        {"kind": "rates", "music": {"events": 4, "time": 120}, "control": {"events": 9, "time": 110}},
        {},
    ),
    (
        "no event in time",
        {"kind": "rates", "music": {"events": 0, "time": 120}, "control": {"events": 9, "time": 110}},
        {},
    ),
    ("r", {"kind": "correlation", "r": 0.35, "n": 50}, {}),
    (
        "crossover",
        {
            "kind": "paired",
            "n": 10,
            "music": {"mean": 7, "sd": 2.38},
            "control": {"mean": 6.5, "sd": 2.21},
            "r": 0.68,
        },
        {},
    ),
    (
        "crossover by SE",
        {
            "kind": "paired",
            "n": 10,
            "music": {"mean": 7, "se": 0.75},
            "control": {"mean": 6.5, "se": 0.7},
            "r": 0.68,
        },
        {},
    ),
    (
        "crossover differences",
        {
            "kind": "paired",
            "n": 10,
            "music": {"mean": 7, "sd": 2.38},
            "control": {"mean": 6.5, "sd": 2.21},
            "difference": {"mean": 0.5, "se": 0.58},
        },
        {},
    ),
    (
        "crossover interval",
        {
            "kind": "paired",
            "n": 10,
            "music": {},
            "control": {},
            "difference": {"mean": 0.5, "ci_low": -0.8, "ci_high": 1.8},
        },
        {},
    ),
    (
        "crossover P",
        {"kind": "paired", "n": 10, "music": {"mean": 7}, "control": {"mean": 6.5}, "p": "0.21"},
        {},
    ),
    (
        "crossover with clusters",
        {
            "kind": "paired",
            "n": 30,
            "music": {"mean": 7, "sd": 2.38},
            "control": {"mean": 6.5, "sd": 2.21},
            "r": 0.68,
        },
        {"design_effect": 1.2},
    ),
    (
        "one group",
        {"kind": "one group", "n": 52, "change": {"mean": -3.7, "ci_low": -4.7, "ci_high": -2.6}},
        {},
    ),
    ("one group SE", {"kind": "one group", "change": {"mean": -3.4, "se": 0.6}}, {}),
]
CHOICES = [
    RouteChoices(),
    RouteChoices(arms="split control"),
    RouteChoices(arms="separate"),
    RouteChoices(quantiles="Wan"),
    RouteChoices(quantiles="QE"),
]


def chains(one: Row, measure: str, choices: RouteChoices) -> list[tuple[str, Computed]]:
    """Effects of one row under all conventions."""
    done = []
    for variance in CONVENTIONS if measure == "SMD" else ("LS",):
        try:
            rows, _ = computed_rows(
                Selection((one,), ()), measure=measure, variance=variance, choices=choices
            )
        except AnalysisError:
            return []
        done += [(variance, computed) for computed in rows]
    return done


@pytest.mark.parametrize(("data", "more"), [r[1:] for r in ROUTES], ids=[r[0] for r in ROUTES])
def test_what_is_shown_is_what_is_computed(data: dict[str, Any], more: dict[str, Any]) -> None:
    one, seen = row(data, **more), 0
    for choices in CHOICES:
        for measure in ("SMD", *FORMULAS, "HR"):
            for variance, computed in chains(one, measure, choices):
                g = computed.yi if variance == "AV" else None  # of a single row the mean is its own
                worked = worked_effect(computed.printed, measure, variance, mean_g=g)
                assert worked is not None
                if choices.arms is not None and variance == "AV":
                    continue  # several rows: their mean is not theirs
                values = values_of(worked)
                assert values[worked.effect] == pytest.approx(computed.yi, rel=1e-9, abs=1e-12), measure
                assert values[worked.variance] == pytest.approx(computed.vi, rel=1e-9), (measure, variance)
                symbols = [g.symbol for g in worked.given]
                assert len(symbols) == len(set(symbols)), "a number is given twice"
                used = {name for step in worked.steps for name in names_in(step.formula)}
                # QE fits by a search, without formula; the SD of all arms needs arms that are not compared
                if measure == "SMD" and choices.quantiles != "QE" and choices.arms != "separate":
                    assert set(symbols) <= used | {"n", "n1", "n2"}, "a number is given and not used"
                seen += 1
    assert seen, "no measure has an effect here"


def test_the_mean_of_rows_is_the_one_computed() -> None:
    y, v = [0.3, 0.5, 0.2], [0.04, 0.05, 0.06]
    covariance = np.diag(v) + 0.02 * (1 - np.eye(3))
    values = values_of(mean_of_rows(list(zip(y, v, strict=True)), covariance.tolist()))
    assert values["y"] == pytest.approx(np.mean(y), rel=1e-12)
    assert values["v"] == pytest.approx(covariance.sum() / 9, rel=1e-12)


# ---- all records ----

SENSIBLE = ("SMD", "MD", "OR", "RR", "RD", "IRR", "ZCOR", "MC")
# by the first sensible measure that the row gives; a change of the records changes the counts
WITHOUT = {
    "compares 3 groups": 2,
    "number of participants": 12,
    "coefficient": 3,
    "no number from which": 2,
    "no SD, SE or interval": 3,
    "only bounds it": 1,
    "sign is unknown": 2,
    "mean change of the music group": 1,
}


def every_row() -> list[Row]:
    return [Row(study, outcome) for study in example_studies() for outcome in study.outcomes]


def test_every_printed_row_has_an_effect_or_a_reason() -> None:
    reasons: list[str] = []
    names: Counter[str] = Counter()
    for one in every_row():
        told: list[str] = []
        for measure in SENSIBLE:
            try:
                found = routes_of(one, measure)
            except NoRouteError as reason:
                told.append(str(reason))
                continue
            rows, _ = computed_rows(Selection((one,), ()), measure=measure)
            assert len(rows) == len(found)
            for computed in rows:
                assert math.isfinite(computed.yi)
                assert 0 < computed.vi < math.inf
                assert computed.printed.route.startswith(computed.printed.name.split(";")[0][:12])
            if len(told) == SENSIBLE.index(measure):
                names[f"{measure}: {rows[0].printed.name}"] += 1
        assert all(len(text) > 15 for text in told)
        if len(told) == len(SENSIBLE):
            reasons.append(" | ".join(told))
    counted = {words: sum(words in text for text in reasons) for words in WITHOUT}
    assert counted == WITHOUT
    assert len(reasons) == sum(WITHOUT.values())
    assert sum(names.values()) + len(reasons) == len(every_row())


def test_every_effect_of_the_records_is_worked_out_to_the_same_number() -> None:
    for one in every_row():
        for measure in SENSIBLE:
            for _, computed in chains(one, measure, RouteChoices())[:1]:
                worked = worked_effect(computed.printed, measure)
                assert worked is not None
                values = values_of(worked)
                assert values[worked.effect] == pytest.approx(computed.yi, rel=1e-9, abs=1e-12)
                assert values[worked.variance] == pytest.approx(computed.vi, rel=1e-9)


def test_measures_are_sorted_by_the_data_they_need() -> None:
    assert {"MD", "SMD", "SMDH", "SMD1", "ROM", "CVR", "VR"} <= TWO_MEANS
    assert {"OR", "RR", "RD", "PETO"} <= EVENTS
    assert {"MC", "SMCC", "SMCR"} <= PAIRED
    assert "IRR" in RATES


def test_select_and_compute_agree_on_the_rows_of_a_question() -> None:
    studies = example_studies("icu")
    query = Query(constructs=("anxiety",), used_in=("CD006902.pub3: State Anxiety (change scores)",))
    rows, left = computed_rows(select_rows(studies, query), measure="SMD")
    assert len(rows) == 5
    assert all(item.reason for item in left)
