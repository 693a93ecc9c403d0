"""Claims: the shipped ones get the verdict their numbers give, planted ones the right one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mtmeta.audit.claims import Claims, ClaimVerdict, judge, read_claims
from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.errors import AnalysisError
from mtmeta.records.folder import read_studies
from mtmeta.records.locate import data_folder


@pytest.fixture(scope="module")
def runs() -> list[AnalysisRun]:
    studies = read_studies(data_folder("studies"))
    return [run_analysis(item.analysis, studies) for item in read_analyses([data_folder("analyses")])]


@pytest.fixture(scope="module")
def shipped(runs: list[AnalysisRun]) -> dict[str, ClaimVerdict]:
    return {v.id: v for v in judge(read_claims(data_folder("analyses") / "claims.yaml"), runs)}


def test_all_twelve_have_a_verdict_and_say_what_would_change_it(shipped: dict[str, ClaimVerdict]) -> None:
    assert list(shipped) == [f"C{i}" for i in range(1, 13)]
    assert all(part.would_change for v in shipped.values() for part in v.parts)


EXPECTED = {
    "C1": "too strong",
    "C3": "not supported",
    "C4": "not tested here",
    "C5": "not supported",
    "C6": "wrong outcome or population",
    "C7": "too strong",
    "C8": "wrong outcome or population",
    "C11": "not supported",
    "C12": "not tested here",
}


@pytest.mark.parametrize("claim", EXPECTED)
def test_verdicts_follow_from_the_numbers(shipped: dict[str, ClaimVerdict], claim: str) -> None:
    assert shipped[claim].verdict == EXPECTED[claim]


def test_references_are_held_against_what_they_are(shipped: dict[str, ClaimVerdict]) -> None:
    """CD004025.pub3 is Mössler 2011, not Gold 2009, and superseded; CD006577.pub3 is of 2013, not 2011."""
    gold = " ".join(shipped["C5"].references)
    assert "Mössler 2011" in gold
    assert "superseded by Geretsegger 2017" in gold
    assert "of 2013, not 2011" in " ".join(shipped["C3"].references)
    assert "does not test length of stay" in " ".join(shipped["C4"].references)
    assert "does not test cortisol" in " ".join(shipped["C6"].references)
    assert shipped["C1"].references == ()


def planted(**part: Any) -> Claims:
    base = {"says": "x", "construct": "anxiety", "analysis": "icu-anxiety", "would_change": "y", **part}
    document = {
        "schema": 1,
        "source": "made for a test",
        "works": {"w": {"text": "W 2001", "year": 2001, "doi": "10.1000/w", "constructs": ["anxiety"]}},
        "claims": [{"id": "C1", "says": "x", "parts": [base]}],
    }
    return Claims.model_validate(json.loads(json.dumps(document)))


PLANTED = [
    ({}, "supported"),
    ({"effect": "harm"}, "contradicted"),
    ({"size": "large"}, "supported"),
    ({"general": True}, "too strong"),
    ({"analysis": "schizophrenia-sans", "construct": "negative symptoms"}, "not supported"),
    ({"analysis": "depression", "construct": "depression", "size": "moderate"}, "too strong"),
    ({"mismatch": "another population"}, "wrong outcome or population"),
    ({"analysis": None, "why": "no data"}, "not tested here"),
]


@pytest.mark.parametrize(("part", "verdict"), PLANTED, ids=[v for _, v in PLANTED])
def test_planted_claims_get_the_right_verdict(
    runs: list[AnalysisRun], part: dict[str, Any], verdict: str
) -> None:
    (found,) = judge(planted(**part), runs)
    assert found.verdict == verdict


def test_a_claim_on_an_unknown_analysis_is_an_error(runs: list[AnalysisRun]) -> None:
    with pytest.raises(AnalysisError, match="no analysis 'icu-anxeity'"):
        judge(planted(analysis="icu-anxeity"), runs)
    with pytest.raises(AnalysisError, match="has no group 'martian'"):
        judge(planted(analysis="depression", group="martian"), runs)
