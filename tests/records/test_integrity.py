"""What cannot be true is found, each kind at its place; what can be is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from mtmeta.records.folder import read_studies
from mtmeta.records.integrity import CODES, answer_of, blocking, integrity_problems, unanswered
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import Study


def study(data: dict[str, Any], *, outcome: dict[str, Any] | None = None, **more: Any) -> Study:
    raw = {
        **{"schema": 1, "id": "a-2000", "label": "A 2000", "conditions": ["cardiac"]},
        **{key: {} for key in ("citation", "design", "population", "intervention", "comparator")},
        "outcomes": [{"id": "x", "construct": "pain", "source": {}, "data": data, **(outcome or {})}],
        **more,
    }
    return Study.model_validate(raw)


def found(of: Study) -> list[tuple[str, str]]:
    return [(finding.field, finding.code) for finding in integrity_problems(of)]


def means(**music: Any) -> dict[str, Any]:
    return {
        "kind": "means",
        "music": {"n": 15, "mean": 30.1, "sd": 8, **music},
        "control": {"n": 15, "mean": 35, "sd": 9.5},
    }


def effect(**values: Any) -> dict[str, Any]:
    return {"kind": "effect", "measure": "SMD", "estimate": -0.5, "se": 0.4, **values}


def events(a: int, n: int) -> dict[str, Any]:
    return {"kind": "events", "music": {"events": a, "n": n}, "control": {"events": 0, "n": 10}}


def quartiles(**music: Any) -> dict[str, Any]:
    return {"kind": "quartiles", "music": music, "control": {"median": 5, "q1": 3, "q3": 8, "n": 9}}


def statistic(name: str, value: float, **more: Any) -> dict[str, Any]:
    return {"kind": "test", "statistic": name, "value": value, **more}


FALSE: list[tuple[dict[str, Any], str, str]] = [
    (effect(ci_low=-0.4, ci_high=0.9), "data.estimate", "estimate-outside-interval"),
    (effect(ci_low=-2, ci_high=-0.6), "data.estimate", "estimate-outside-interval"),
    (effect(ci_low=0.3, ci_high=-1.3), "data.ci_low", "interval-reversed"),
    (effect(ci_low=-0.5, ci_high=-0.5), "data.ci_low", "interval-without-width"),
    (effect(se=0), "data.se", "se-not-positive"),
    (effect(se=-0.1), "data.se", "se-not-positive"),
    (effect(n_music=0), "data.n_music", "n-zero"),
    (effect(n_control=0), "data.n_control", "n-zero"),
    (effect(n_total=0), "data.n_total", "n-zero"),
    (effect(n_unordered=[0, 15]), "data.n_unordered", "n-zero"),
    (effect(n_unordered=[16, 15]), "data.n_unordered", "n-unordered-reversed"),
    (effect(n_unordered=[15, 16], n_total=30), "data.n_total", "n-total-differs"),
    (effect(n_music=15, n_control=16, n_total=32), "data.n_total", "n-total-differs"),
    (effect(n_music=15, n_control=16, n_unordered=[15, 15]), "data.n_unordered", "n-total-differs"),
    (effect(measure="OR", estimate=-0.5), "data.estimate", "ratio-not-positive"),
    (effect(measure="RR", estimate=0), "data.estimate", "ratio-not-positive"),
    (effect(measure="OR", estimate=0.5, ci_low=-0.1, ci_high=2), "data.ci_low", "ratio-not-positive"),
    (effect(measure="RD", estimate=1.5), "data.estimate", "estimate-impossible"),
    (effect(measure="COR", estimate=-1.01), "data.estimate", "estimate-impossible"),
    (effect(p="1.2"), "data.p", "statistic-impossible"),
    (means(sd=0), "data.music.sd", "sd-not-positive"),
    (means(sd=-8), "data.music.sd", "sd-not-positive"),
    (means(se=0), "data.music.se", "se-not-positive"),
    (means(n=0), "data.music.n", "n-zero"),
    (means(n=1), "data.music.n", "n-too-small"),
    (means(ci_low=31, ci_high=35), "data.music.mean", "estimate-outside-interval"),
    (means(baseline={"mean": 40, "sd": 0}), "data.music.baseline.sd", "sd-not-positive"),
    (events(11, 10), "data.music.events", "events-above-n"),
    (events(0, 0), "data.music.n", "n-zero"),
    (quartiles(median=5, q1=6), "data.music.median", "quartiles-out-of-order"),
    (quartiles(median=5, q3=4), "data.music.q3", "quartiles-out-of-order"),
    (quartiles(min=5, max=4), "data.music.max", "quartiles-out-of-order"),
    (quartiles(q1=2, median=3, q3=4, max=3.5), "data.music.max", "quartiles-out-of-order"),
    (statistic("F", -4.7), "data.value", "statistic-impossible"),
    (statistic("chi2", -0.1), "data.value", "statistic-impossible"),
    (statistic("p", 1.01), "data.value", "statistic-impossible"),
    (statistic("p", -0.01), "data.value", "statistic-impossible"),
    (
        {
            "kind": "arms",
            "form": "events",
            "arms": [{"name": "a", "role": "music", "events": 3, "n": 2}, {"name": "b", "role": "control"}],
        },
        "data.arms.0.events",
        "events-above-n",
    ),
    (
        {"kind": "changes", "music": {"n": 9, "change": {"mean": -3, "sd": 0}}, "control": {"change": {}}},
        "data.music.change.sd",
        "sd-not-positive",
    ),
    (
        {"kind": "coefficient", "term": "slope", "estimate": 3, "ci_low": -1, "ci_high": 2},
        "data.estimate",
        "estimate-outside-interval",
    ),
    ({"kind": "correlation", "r": 0.2, "n": 0}, "data.n", "n-zero"),
]


@pytest.mark.parametrize(("data", "field", "code"), FALSE)
def test_false_rows_are_found(data: dict[str, Any], field: str, code: str) -> None:
    assert found(study(data)) == [(field, code)]
    (finding,) = integrity_problems(study(data))
    assert finding.severity == "error"
    assert finding.about == "outcomes.x"
    assert finding.outcome == "x"


TRUE = [
    *(effect(), effect(ci_low=-0.5, ci_high=0.3), effect(n_unordered=[15, 16], n_total=31)),
    *(
        effect(measure="OR", estimate=-0.5, scale="log"),
        effect(measure="RD", estimate=-1),
        effect(p="<0.001"),
    ),
    *(effect(measure="MD", estimate=-50), effect(p="not significant"), effect(p="1")),
    *(means(), means(n=None), means(ci_low=30.1, ci_high=35), events(10, 10), events(0, 10)),
    *(quartiles(median=5, q1=5, q3=5), quartiles(q1=1, q3=2), statistic("t", -3.2), statistic("p", 0)),
    *({"kind": "narrative", "printed": "no difference"}, {"kind": "correlation", "r": -1, "n": 12}),
]


@pytest.mark.parametrize("data", TRUE)
def test_true_rows_are_left_alone(data: dict[str, Any]) -> None:
    assert found(study(data)) == []


def test_every_code_is_met() -> None:
    rows = {code for _, _, code in FALSE}
    assert rows | {"n-above-randomised", "score-outside-range"} == set(CODES)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (means(mean=7.1), []),
        (means(mean=11), ["data.music.mean"]),
        (means(mean=-1), ["data.music.mean"]),
        (means(sd=6), ["data.music.sd"]),
        (means(baseline={"mean": 12, "sd": 1}), ["data.music.baseline.mean"]),
        (quartiles(median=11, q1=5, q3=12), ["data.music.median", "data.music.q3"]),
    ],
)
def test_scores_outside_the_range_of_their_scale(data: dict[str, Any], fields: list[str]) -> None:
    """A numerical rating scale of pain runs from 0 to 10."""
    fit = {"kind": "means", "control": {"n": 15, "mean": 5, "sd": 2}}
    if data["kind"] == "means":
        data = {**data, **fit, "music": {"n": 15, "mean": 4, "sd": 2, **_given(data)}}
    of_scale = {"construct": "pain", "instrument": "NRS 0-10", "value": "final"}
    findings = integrity_problems(study(data, outcome=of_scale))
    assert [finding.field for finding in findings] == fields
    assert {finding.severity for finding in findings} <= {"warning"}
    assert found(study(data, outcome={**of_scale, "instrument": "a scale of our own"})) == []


def _given(data: dict[str, Any]) -> dict[str, Any]:
    """Keep of the first arm what a row above sets."""
    usual = means()["music"]
    return {key: value for key, value in data["music"].items() if usual.get(key) != value}


def test_changes_may_leave_the_range() -> None:
    data = {"kind": "changes", "music": {"n": 9, "change": {"mean": -3, "sd": 2}}, "control": {"change": {}}}
    of_scale = {"instrument": "NRS 0-10", "value": "final"}
    assert found(study(data, outcome=of_scale)) == []
    final = means(mean=-3, sd=2)
    final["control"] = {"mean": -1}
    assert found(study(final, outcome={"instrument": "NRS 0-10", "value": "change"})) == []


@pytest.mark.parametrize(
    "data",
    [
        effect(n_music=20, n_control=21),
        effect(n_unordered=[20, 21]),
        effect(n_total=41),
        means(n=26),
        {"kind": "arms", "form": "means", "arms": [{"name": "a", "role": "music", "n": 41}] * 2},
    ],
)
def test_more_people_than_randomised(data: dict[str, Any]) -> None:
    trial = study(data, design={"n_randomised": 40})
    assert found(trial) == [("data", "n-above-randomised")]
    for unit in ("crossover", "cluster", "within-subject"):
        assert found(study(data, design={"n_randomised": 40, "unit": unit})) == []


def test_arms_are_held_against_the_trial() -> None:
    arms = [{"name": "m", "role": "music", "n_randomised": 20, "n_analysed": 21}]
    arms += [{"name": "c", "role": "control", "n_randomised": 21}]
    trial = study(effect(), design={"n_randomised": 40}, arms=arms)
    findings = integrity_problems(trial)
    assert [(f.about, f.field, f.code, f.severity) for f in findings] == [
        ("study", "arms.0.n_analysed", "n-above-randomised", "warning"),
        ("study", "design.n_randomised", "n-above-randomised", "warning"),
    ]
    assert findings[0].outcome is None


def test_what_the_source_computed_is_a_warning() -> None:
    reported = {"measure": "SMD", "estimate": -0.5, "ci_low": 0.1, "ci_high": 0.9}
    (finding,) = integrity_problems(study(means(), outcome={"reported": reported}))
    assert (finding.field, finding.severity) == ("reported.estimate", "warning")


def test_an_answer_silences_its_code_and_place_only() -> None:
    false = means(sd=0, n=0)
    answer = {"code": "sd-not-positive", "about": "outcomes.x", "why": "all scored 0", "by": "AB"}
    trial = study(false, checked=[{**answer, "when": "2026-11-23"}])
    findings = integrity_problems(trial)
    assert [finding.code for finding in findings] == ["sd-not-positive", "n-zero"]
    assert [finding.code for finding in unanswered(trial, findings)] == ["n-zero"]
    assert answer_of(trial, findings[0]) == trial.checked[0]
    elsewhere = study(false, checked=[{**answer, "about": "outcomes.x.data.control", "when": "2026-11-23"}])
    assert len(unanswered(elsewhere, integrity_problems(elsewhere))) == 2
    exactly = study(false, checked=[{**answer, "about": "outcomes.x.data.music", "when": "2026-11-23"}])
    assert len(unanswered(exactly, integrity_problems(exactly))) == 1


def test_a_correction_answers_the_printed_value_and_is_checked_itself() -> None:
    good = study(means(sd=0), outcome={"corrected": {"why": "SD of the paper", "data": means()}})
    assert found(good) == [("data.music.sd", "sd-not-positive")]
    assert unanswered(good, integrity_problems(good)) == ()
    still_bad = study(means(sd=0), outcome={"corrected": {"why": "guess", "data": means(sd=-1)}})
    (left,) = unanswered(still_bad, integrity_problems(still_bad))
    assert left.field == "corrected.data.music.sd"
    moved = study(means(sd=0), outcome={"corrected": {"why": "swapped", "belongs_to": "b-2001"}})
    assert len(unanswered(moved, integrity_problems(moved))) == 1


def test_only_what_is_taken_can_block() -> None:
    def codes(of: Study, **options: bool) -> list[str]:
        return [finding.field for finding in blocking(of, "x", **options)]

    good = study(means(sd=0), outcome={"corrected": {"why": "SD of the paper", "data": means()}})
    assert codes(good) == ["data.music.sd"]
    assert codes(good, corrected=True) == []
    bad = study(means(), outcome={"corrected": {"why": "guess", "data": means(n=0)}})
    assert codes(bad) == []
    assert codes(bad, corrected=True) == ["corrected.data.music.n"]
    moved = study(means(sd=0), outcome={"corrected": {"why": "swapped", "belongs_to": "b-2001"}})
    assert codes(moved, corrected=True) == ["data.music.sd"]
    answer = {"code": "sd-not-positive", "about": "outcomes.x", "why": "all scored 0", "by": "AB"}
    answered = study(means(sd=0), checked=[{**answer, "when": "2026-11-23"}])
    assert codes(answered) == []
    reported = {"measure": "SMD", "estimate": -0.5, "ci_low": 0.1, "ci_high": 0.9}
    assert codes(study(means(), outcome={"reported": reported})) == []


def test_shipped_records_carry_a_flag_for_what_cannot_be_true() -> None:
    """Found unaided, and said where the record is read."""
    studies = read_studies(data_folder("studies"))
    findings = [finding for each in studies for finding in integrity_problems(each)]
    assert {(f.study, f.code) for f in findings} >= {
        ("atiwannapat-2016", "estimate-outside-interval"),
        ("allen-2001", "n-above-randomised"),
        ("svansdottir-2006", "score-outside-range"),
    }
    for finding in findings:
        flagged = {flag.about for flag in studies[finding.study].flags}
        assert flagged & {finding.about, "study"}, str(finding)
