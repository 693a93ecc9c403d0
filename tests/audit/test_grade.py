"""GRADE: each rule at its bounds, on made-up trials; a person's decision wins; shipped analyses hold."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from mtmeta.audit.analysis import Analysis
from mtmeta.audit.files import read_analyses
from mtmeta.audit.grade import DOMAINS, grade_of
from mtmeta.audit.grade_rules import bias_shares, overall_bias
from mtmeta.audit.information import information_size, information_size_events
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.errors import UsageError
from mtmeta.records.folder import read_studies
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import RoB1, RoB2, RobinsI, Study

LOW = {
    "tool": "RoB 2",
    "randomisation": "low",
    "deviations": "low",
    "missing_data": "low",
    "measurement": "low",
    "reported_result": "low",
    "overall": "low",
}


def made(
    effects: list[float],
    *,
    n: int = 100,
    measure: str = "SMD",
    construct: str = "anxiety",
    instrument: str | None = None,
    bias: Any = LOW,
    allocation: str = "randomised",
    better: str = "lower",
    se: float | list[float] | None = None,
    **analysis: Any,
) -> AnalysisRun:
    """A run over made-up trials with these effects, of n people in each arm."""
    studies = []
    for i, effect in enumerate(effects):
        own = se[i] if isinstance(se, list) else se
        data = {
            "kind": "effect",
            "measure": measure,
            "estimate": math.log(effect) if measure in ("RR", "OR") else effect,
            "scale": "log" if measure in ("RR", "OR") else "natural",
            "se": own or math.sqrt(2 / n + effect**2 / (4 * n)),
            "correction": "exact",
            "variance": "LS",
            "n_music": n if own is None else max(2, round(2 / own**2)),
            "n_control": n if own is None else max(2, round(2 / own**2)),
        }
        outcome = {"id": "row", "construct": construct, "source": {}, "data": data}
        if instrument:
            outcome["instrument"] = instrument
        studies.append(
            Study.model_validate(
                {
                    "schema": 1,
                    "id": f"made-{i}",
                    "label": f"Made {i}",
                    "citation": {"year": 2000 + i % 50},
                    "conditions": ["cardiac"],
                    "design": {"allocation": allocation},
                    "population": {},
                    "intervention": {},
                    "comparator": {"type": "usual care"},
                    "outcomes": [outcome],
                    **({} if bias is None else {"risk_of_bias": bias}),
                }
            )
        )
    question = dict.fromkeys(("population", "intervention", "comparator", "outcome", "time"), "made")
    return run_analysis(
        Analysis.model_validate(
            {
                "schema": 1,
                "name": "made",
                "title": "Made",
                "question": question,
                "select": {"constructs": [construct]},
                "measure": measure,
                "better": better,
                **analysis,
            }
        ),
        studies,
    )


def down(run: AnalysisRun, domain: Any) -> int | None:
    return grade_of(run).rating(domain).proposed


@pytest.mark.parametrize(
    ("size", "printed"),
    [
        (information_size_events(0.2), 1810.73155593),
        (information_size_events(0.4), 711.88562531),
    ],
)
def test_information_size_of_events_is_that_of_r(size: float, printed: float) -> None:
    """R 4: 2 * power.prop.test(p1, p2 = 0.75 * p1, power = 0.8)$n (found by root, to about 1e-4)."""
    assert size == pytest.approx(printed, abs=2e-3)


def test_information_size_of_means_is_near_that_by_t() -> None:
    """R 4: 2 * power.t.test(delta = 0.2, power = 0.8)$n is 786.81; the normal approximation is 2 below."""
    assert 784.5 < information_size() < 786.82
    with pytest.raises(UsageError, match="above 0"):
        information_size(0)
    with pytest.raises(UsageError, match="between 0 and 1"):
        information_size_events(1.0)


@pytest.mark.parametrize(
    ("judged", "level", "high"),
    [
        (None, "not assessed", ()),
        (RoB1(tool="RoB 1"), "not assessed", ()),
        (RoB1(tool="RoB 1", random_sequence="low", allocation_concealment="low"), "unclear", ()),
        (
            RoB1(tool="RoB 1", random_sequence="low", blinding_outcome="low", incomplete_outcome="low"),
            "low",
            (),
        ),
        (
            RoB1(tool="RoB 1", blinding_participants="high", blinding_outcome_subjective="high"),
            "high",
            ("blinding",),
        ),
        (
            RoB1(tool="RoB 1", random_sequence="high", incomplete_outcome="high", other="low"),
            "high",
            ("allocation", "incomplete outcome data"),
        ),
        (RoB2(tool="RoB 2", overall="some concerns"), "unclear", ()),
        (RoB2(tool="RoB 2", missing_data="high", measurement="low"), "high", ("missing data",)),
        (RoB2(tool="RoB 2", missing_data="low"), "unclear", ()),
        (RobinsI(tool="ROBINS-I", confounding="critical", overall="critical"), "high", ("confounding",)),
    ],
)
def test_a_trial_is_summed_up_by_its_worst_domain(judged: Any, level: str, high: tuple[str, ...]) -> None:
    assert overall_bias(judged) == (level, high)


def test_risk_of_bias_by_weight() -> None:
    effects = [-0.3] * 6
    assert down(made(effects), "risk of bias") == 0
    assert down(made(effects, bias=None), "risk of bias") == 1
    assert down(made(effects, bias=None, allocation="unclear"), "risk of bias") == 2
    twice = {"tool": "RoB 2", "randomisation": "high", "missing_data": "high", "overall": "high"}
    assert down(made(effects, bias=twice), "risk of bias") == 2
    blind = {"tool": "RoB 1", "blinding_participants": "high"}
    rating = grade_of(made(effects, bias=blind)).rating("risk of bias")
    assert rating.proposed == 1
    assert "100% is high by blinding alone" in rating.why


def test_shares_of_bias_add_up_to_the_weight() -> None:
    run = made([-0.3, -0.1, 0.2])
    share = bias_shares(tuple(run.studies), run.result.weights)
    assert sum(share[k] for k in ("low", "unclear", "high", "not assessed")) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("effects", "n", "expected", "words"),
    [
        # [-0.65, -0.55], 5 x 400 people: on one side of -0.5, enough people
        ([-0.6] * 5, 400, 0, "crosses neither"),
        # the same by fewer people than 785, and by fewer than 30% of them
        ([-1.0] * 5, 70, 1, "fewer"),
        ([-1.6] * 5, 20, 2, "far fewer"),
        # around -0.5
        ([-0.5] * 5, 400, 1, "effects that matter and effects that do not"),
        # a small effect that is precise answers the question: it does not matter
        ([-0.1] * 5, 400, 0, "crosses neither"),
        # both ends matter, one for better and one for worse
        ([-1.5, 1.5, 0.0], 400, 2, "matter in both directions"),
    ],
)
def test_imprecision_by_interval_and_size(effects: list[float], n: int, expected: int, words: str) -> None:
    rating = grade_of(made(effects, n=n)).rating("imprecision")
    assert rating.proposed == expected
    assert words in rating.why


def test_what_matters_comes_from_file_outcome_scale_or_convention() -> None:
    effects = [-0.3, -0.2, -0.4]
    asked = {"important_difference": {"value": 0.3, "population": "people", "source": "someone"}}
    assert grade_of(made(effects, assumptions=asked)).thresholds.shown == (-0.3, 0.3)
    depression = grade_of(made(effects, construct="depression")).thresholds
    assert (depression.shown, depression.source) == ((-0.24, 0.24), "Cuijpers 2014")
    panss = grade_of(made(effects, construct="general symptoms", instrument="PANSS")).thresholds
    assert panss.shown[1] == pytest.approx(15.3 / 17.6)
    assert panss.origin == "scale library"
    assert grade_of(made(effects)).thresholds.origin == "convention"


def test_a_ratio_is_held_against_ratios() -> None:
    run = made([0.7, 0.72, 0.68, 0.71, 0.69], measure="RR", se=0.02)
    cuts = grade_of(run).thresholds
    assert cuts.shown == (0.75, 1.25)
    assert cuts.cuts == pytest.approx((math.log(0.75), math.log(1.25)))
    rating = grade_of(run).rating("imprecision")
    assert rating.proposed == 0
    assert "No optimal information size follows without an assumed risk" in rating.why
    given = {"control_response": {"value": 0.2, "event": "falls", "population": "p", "source": "s"}}
    assert (
        "1811"
        in grade_of(made([0.7] * 5, measure="RR", se=0.02, assumptions=given)).rating("imprecision").why
    )
    with pytest.raises(ValueError, match="give it above 1"):
        made(
            [0.7] * 3,
            measure="RR",
            se=0.1,
            assumptions={"important_difference": {"value": 0.8, "population": "p", "source": "s"}},
        )


def test_an_odds_ratio_without_a_difference_that_matters_is_held_against_no_effect() -> None:
    run = made([0.9, 1.2, 0.8, 1.1, 1.05], measure="OR", se=0.2)
    assert grade_of(run).thresholds.origin == "null"
    assert down(run, "imprecision") == 1


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ([-0.3] * 6, 0),  # no more than chance
        ([-1.2, -1.1, -1.7, -1.4, -1.6, -1.0], 0),  # they differ in size and all matter
        ([-0.7, -0.6, -1.3, -0.95, -1.4, -0.35, -0.9], 1),  # some new trials' effects would not matter
        ([-2.0, 1.5, -1.0, 0.8, -1.5, 0.2], 2),  # both ways
        ([-0.3, -0.9], 1),  # two trials
        ([-0.8, 0.8], 2),  # two trials that contradict each other
        ([-0.3], 0),
    ],
)
def test_inconsistency_by_prediction_interval_or_few_trials(effects: list[float], expected: int) -> None:
    assert down(made(effects, n=200), "inconsistency") == expected


def test_little_heterogeneity_is_not_rated_down_for_reaching_a_threshold() -> None:
    run = made([-0.5, -0.55, -0.75, -0.95, -0.65, -0.66], n=90)
    assert 0 < run.result.i2 < 40
    assert down(run, "inconsistency") == 0


def test_publication_bias_is_not_tested_below_ten_trials() -> None:
    rating = grade_of(made([-0.3] * 9)).rating("publication bias")
    assert rating.proposed == 0
    assert "9 trials (fewer than 10)" in rating.why


def test_trials_of_one_size_cannot_tell_asymmetry_and_are_still_rated() -> None:
    rating = grade_of(made([-0.3, -0.5, -0.1] * 4, n=40)).rating("publication bias")
    assert rating.proposed == 0
    assert rating.why.startswith("Not tested: all studies are equally precise")
    assert rating.why.endswith("Not rated down for it.")


@pytest.mark.parametrize("kind", ["common", "random"])
@pytest.mark.parametrize("k", [1, 2, 3, 12])
def test_any_number_of_trials_under_either_model_is_rated(kind: str, k: int) -> None:
    certainty = grade_of(made([-0.4] * k, model={"kind": kind}))
    assert all(r.why for r in certainty.ratings)


@pytest.mark.parametrize(("sign", "expected"), [(1, 1), (-1, 0)])
def test_small_favourable_trials_are_suspected_in_the_direction_of_benefit(sign: int, expected: int) -> None:
    se = [0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45]
    effects = [sign * (-0.05 - 2.2 * s + 0.03 * (-1) ** i) for i, s in enumerate(se)]
    rating = grade_of(made(effects, se=se)).rating("publication bias")
    assert rating.proposed == expected
    assert ("suspected" in rating.why) == bool(expected)


def test_rating_begins_low_for_other_studies_and_asks_where_nothing_is_told() -> None:
    assert grade_of(made([-0.3] * 6, allocation="non-randomised")).start == "low"
    unknown = grade_of(made([-0.3] * 6, allocation="unclear"))
    assert unknown.start == "high"
    assert "a person should confirm" in unknown.start_why


def test_a_persons_decision_wins_and_both_are_kept() -> None:
    who = {"by": "A. Person", "when": "2026-11-28"}
    plain = grade_of(made([-0.6] * 6, n=400))
    assert (plain.proposed, plain.decided, plain.level) == ("high", None, "high")
    assert plain.not_judged == ("indirectness",)
    certainty = grade_of(
        made(
            [-0.6] * 6,
            n=400,
            grade={
                "indirectness": {"down": 1, "why": "others", **who},
                "imprecision": {"down": 2, "why": "<b>wide</b>", **who},
            },
        )
    )
    assert (certainty.proposed, certainty.decided, certainty.level) == ("high", "very low", "very low")
    assert certainty.not_judged == ()
    rating = certainty.rating("imprecision")
    assert (rating.proposed, rating.decided, rating.down, rating.reason) == (0, 2, 2, "<b>wide</b>")
    assert rating.words == "very serious"
    raised = grade_of(made([-0.6] * 6, n=400, bias=None, grade={"up": {"up": 1, "why": "large", **who}}))
    assert (raised.proposed, raised.level) == ("moderate", "high")
    started = grade_of(made([-0.6] * 6, n=400, grade={"start": {"level": "low", "why": "odd", **who}}))
    assert (started.proposed, started.level, started.start_why) == ("high", "low", "odd")


@pytest.mark.parametrize(
    "grade",
    [
        {"imprecision": {"down": 4, "why": "x", "by": "y", "when": "2026-11-28"}},
        {"imprecision": {"down": 1, "why": "x", "by": "y", "when": "today"}},
        {"imprecision": {"down": 1, "by": "y", "when": "2026-11-28"}},
        {"precision": {"down": 1, "why": "x", "by": "y", "when": "2026-11-28"}},
    ],
)
def test_a_decision_needs_its_reason_name_and_day(grade: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="grade"):
        made([-0.3] * 3, grade=grade)


@pytest.fixture(scope="module")
def shipped() -> list[AnalysisRun]:
    studies = read_studies(data_folder("studies"))
    return [run_analysis(item.analysis, studies) for item in read_analyses([data_folder("analyses")])]


def test_every_shipped_analysis_is_rated_with_reasons(shipped: list[AnalysisRun]) -> None:
    assert len(shipped) >= 39
    for run in shipped:
        certainty = grade_of(run)
        assert [r.domain for r in certainty.ratings] == list(DOMAINS)
        text = json.dumps(certainty.as_dict(), allow_nan=False)
        assert "nan" not in re.findall(r"[a-z]+", text)
        assert "-0.00" not in text
        assert all(r.why.endswith(".") for r in certainty.ratings)
        assert not re.search(r"\b1 (trials|people|degrees)\b", text)


def test_the_depression_question_as_it_stands_today(shipped: list[AnalysisRun]) -> None:
    run = next(r for r in shipped if r.analysis.name == "depression")
    certainty = grade_of(run)
    low, high = run.result.ci()
    why = certainty.rating("imprecision").why
    assert f"{low:.2f} to {high:.2f}" in why
    assert "0.24 either way" in why
    assert certainty.rating("imprecision").proposed == 1
    assert certainty.rating("publication bias").proposed == 0
