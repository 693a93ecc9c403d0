"""Trials without a result: each in one place, none lost."""

from __future__ import annotations

import pytest

from mtmeta.audit.files import read_analyses
from mtmeta.audit.missing import MissingEvidence, missing_evidence
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.records.folder import read_studies
from mtmeta.records.locate import data_folder


@pytest.fixture(scope="module")
def run() -> AnalysisRun:
    analysis = read_analyses([data_folder("analyses") / "depression.yaml"])[0].analysis
    return run_analysis(analysis, read_studies(data_folder("studies")))


@pytest.fixture(scope="module")
def found(run: AnalysisRun) -> MissingEvidence:
    return missing_evidence(run)


def test_every_trial_in_scope_stands_once(run: AnalysisRun, found: MissingEvidence) -> None:
    """The question asks nothing of trials, so that all records are in its scope."""
    assert sorted(found.matrix["study"]) == sorted(s.id for s in run.studies)
    assert set(found.matrix["study"][found.matrix["status"] == "pooled"]) == set(run.effects.study)


@pytest.mark.parametrize(
    ("study", "status", "reason"),
    [
        ("five-element-2014", "pooled", ""),
        ("erkkila-2011", "no usable result", "without the arms' sizes"),  # a mean difference alone
        ("fancourt-2016", "no usable result", "no contrast with a control"),
        ("zerhusen-1995", "no usable result", "no outcome with numbers"),
        ("cooke-2010", "left out", "comparator other activity"),
        ("hermele-2005", "left out", "the same trial as stein-2010"),
        ("thaut-1997", "not recorded", ""),  # gait, no depression
    ],
)
def test_where_a_trial_stands(found: MissingEvidence, study: str, status: str, reason: str) -> None:
    row = found.matrix.set_index("study").loc[study]
    assert row["status"] == status
    assert reason in row["reason"]
    assert bool(row["reason"]) == bool(reason)


def test_words_count_the_matrix(found: MissingEvidence) -> None:
    counts = found.matrix["status"].value_counts()
    assert found.words.startswith(
        f"Of {len(found.matrix)} trials in scope: {counts['pooled']} pooled, {counts['left out']} left out"
    )


def test_the_scope_is_what_is_asked_of_trials() -> None:
    analysis = read_analyses([data_folder("analyses") / "icu-anxiety.yaml"])[0].analysis
    studies = read_studies(data_folder("studies"))
    matrix = missing_evidence(run_analysis(analysis, studies)).matrix
    wanted = set(analysis.select.conditions)
    assert set(matrix["study"]) == {s.id for s in studies if wanted & set(s.conditions)}
