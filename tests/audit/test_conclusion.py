"""Conclusions by an analysis' own rule, from intervals that are known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mtmeta.audit.analysis import Analysis
from mtmeta.audit.conclusion import conclude
from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import run_analysis
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder


@pytest.fixture(scope="module")
def studies() -> Studies:
    return read_studies(data_folder("studies") / "icu")


def asked(name: str, **more: Any) -> Analysis:
    item = read_analyses([data_folder("analyses") / f"{name}.yaml"])[0].analysis
    plain = json.loads(item.model_dump_json(by_alias=True, exclude_defaults=True))
    return Analysis.model_validate_json(json.dumps({**plain, **more}))


def important(value: float) -> dict[str, Any]:
    return {"important_difference": {"value": value, "population": "made", "source": "a test"}}


CASES: list[tuple[dict[str, Any], str]] = [
    # -1.11 [-1.97, -0.25], prediction [-3.04, 0.82], lower is better
    ({}, "favours music"),
    ({"better": "higher"}, "favours control"),
    ({"conclusion": {"by": "prediction interval"}}, "no clear difference"),
    ({"conclusion": {"matters": True}, "assumptions": important(0.2)}, "favours music"),
    (
        {"conclusion": {"matters": True}, "assumptions": important(0.3)},
        "favours music, perhaps by less than matters",
    ),
    (
        {"conclusion": {"matters": True}, "assumptions": important(0.3), "better": "higher"},
        "favours control, perhaps by less than matters",
    ),
    ({"conclusion": {"matters": True}, "assumptions": important(2.0)}, "no difference that matters"),
    (
        {"conclusion": {"by": "prediction interval", "matters": True}, "assumptions": important(4.0)},
        "no difference that matters",
    ),
]


@pytest.mark.parametrize(("more", "says"), CASES, ids=[f"{i}-{s}" for i, (_, s) in enumerate(CASES)])
def test_the_rule_decides(studies: Studies, more: dict[str, Any], says: str) -> None:
    assert conclude(run_analysis(asked("icu-anxiety", **more), studies)) == says


def test_two_trials_predict_nothing() -> None:
    records = read_studies(data_folder("studies") / "schizophrenia")
    rule = {"by": "prediction interval"}
    # V's rule has k - 1 degrees of freedom, HTS' k - 2
    model = {"kind": "random", "tau2": "REML", "ci": "auto", "pi": "HTS"}
    run = run_analysis(asked("schizophrenia-sdss", conclusion=rule, model=model), records)
    assert run.result.effects.k == 2
    assert conclude(run) == "too few trials to predict"
