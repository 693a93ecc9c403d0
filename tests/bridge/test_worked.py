"""What is shown of a calculation is what was calculated; every printed row has its effect or a reason."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from made_trials import ROUTES, row

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
