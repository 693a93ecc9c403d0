"""The shipped analyses: every published figure that can be met is met, by the review's own method."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis, same_digits
from mtmeta.errors import AnalysisError, RecordError
from mtmeta.records.folder import read_studies
from mtmeta.records.locate import data_folder

# Printed in the reviews: estimate, interval, trials, participants (None: known to be misprinted)
REPRODUCED = {
    "cardiac-anxiety": ("-0.70", ("-1.17", "-0.22"), 10, 353),
    "cardiac-pain": ("-0.43", ("-0.80", "-0.05"), 8, None),
    "icu-anxiety": ("-1.11", ("-1.75", "-0.47"), 5, 288),
    "schizophrenia-sans": ("-0.55", ("-0.87", "-0.24"), 3, 177),
    "schizophrenia-panss": ("-0.97", ("-1.31", "-0.63"), 2, 159),
    "schizophrenia-gaf": ("-0.19", ("-0.56", "0.18"), 2, 118),
    "schizophrenia-sdss": ("-0.72", ("-1.04", "-0.40"), 2, 160),
    "dementia-depression": ("-0.23", ("-0.42", "-0.04"), 9, 441),
    "dementia-anxiety": ("-0.15", ("-0.39", "0.09"), 7, 282),
}
# Reviews that pooled mean differences: trials and participants of their pools
COUNTED = {
    "preoperative-stai": (13, 896),
    "insomnia-psqi": (5, 264),
    "brain-injury-gait-velocity": (9, 268),
    "cardiac-heart-rate": (13, 828),
    "cardiac-respiratory-rate": (7, 442),
    "cardiac-systolic-pressure": (11, 775),
    "cardiac-distress": (5, 228),
    "cardiac-stai-mi": (6, 243),
}


@pytest.fixture(scope="module")
def runs() -> dict[str, AnalysisRun]:
    studies = read_studies(data_folder("studies"))
    return {
        item.analysis.name: run_analysis(item.analysis, studies)
        for item in read_analyses([data_folder("analyses")])
    }


@pytest.mark.parametrize("name", REPRODUCED)
def test_published_estimates_reproduce_to_the_printed_digit(runs: dict[str, AnalysisRun], name: str) -> None:
    estimate, ci, k, n = REPRODUCED[name]
    run = runs[name].published[0]
    assert run.estimate is not None
    assert run.ci is not None
    assert same_digits(estimate, run.estimate)
    assert same_digits(ci[0], run.ci.low)
    assert same_digits(ci[1], run.ci.high)
    assert run.k == k
    assert n is None or run.n == n
    assert runs[name].agreement == "agrees"


@pytest.mark.parametrize("name", COUNTED)
def test_rows_and_participants_are_those_of_the_review(runs: dict[str, AnalysisRun], name: str) -> None:
    run = runs[name].published[0]
    assert (run.k, run.n) == COUNTED[name]
    assert run.agreement == "not comparable"


def test_pain_in_cd006577_is_told_to_misprint_n(runs: dict[str, AnalysisRun]) -> None:
    run = runs["cardiac-pain"].published[0]
    assert run.differences == ("n",)
    assert (run.n, run.published.n) == (630, 562)
    assert run.agreement == "agrees"


def test_icu_anxiety_by_todays_method(runs: dict[str, AnalysisRun]) -> None:
    """REML with t(k-1) predicts [-3.04, 0.82]; DL with HKSJ gives [-1.97, -0.25] (see studies/README)."""
    from mtmeta.models.pool import RandomEffects

    today = runs["icu-anxiety"].result
    low, high = today.pi(method="V")
    assert (f"{low:.2f}", f"{high:.2f}") == ("-3.04", "0.82")
    published = runs["icu-anxiety"].published[0]
    assert published.effects is not None
    low, high = RandomEffects(tau2="DL", ci="HKSJ").fit(published.effects).ci()
    assert (f"{low:.2f}", f"{high:.2f}") == ("-1.97", "-0.25")


def test_a_common_effect_hid_what_random_effects_show(runs: dict[str, AnalysisRun]) -> None:
    """SANS with DerSimonian-Laird: -0.50 [-1.43, 0.42]."""
    from mtmeta.models.pool import RandomEffects

    published = runs["schizophrenia-sans"].published[0]
    assert published.effects is not None
    fit = RandomEffects(tau2="DL", ci="Wald").fit(published.effects)
    assert (f"{fit.estimate:.2f}", f"{fit.ci().low:.2f}", f"{fit.ci().high:.2f}") == (
        "-0.50",
        "-1.43",
        "0.42",
    )


def test_one_trial_under_two_names_counts_once(runs: dict[str, AnalysisRun]) -> None:
    for name in ("cardiac-distress", "cardiac-depression", "depression"):
        assert "hermele-2005" not in runs[name].effects.study
        assert any(x.study == "hermele-2005" for x in runs[name].left_out)
    # Stein 2010, its other name, has no anxiety row: here it must not be left out
    assert {"hermele-2005", "stein-2010"} & set(runs["cardiac-anxiety"].effects.study) == {"hermele-2005"}


def test_depression_has_one_row_a_trial_and_leaves_nothing_out_in_silence(
    runs: dict[str, AnalysisRun],
) -> None:
    run = runs["depression"]
    assert len(set(run.effects.study)) == run.effects.k
    reasons = {(x.study, x.reason) for x in run.left_out}
    assert any(s == "erkkila-2011" and "arms' sizes" in r for s, r in reasons)
    assert any(s == "werner-2017" and "comparator" in r for s, r in reasons)
    assert len(run.published) == 12
    assert run.subgroups is not None
    assert {"psychiatric", "dementia", "cardiac", "COPD", "nursing home"} <= set(run.subgroups.groups)


def test_music_against_music_is_in_no_depression_question(runs: dict[str, AnalysisRun]) -> None:
    for name in ("depression", "depression-active-comparators"):
        run = runs[name]
        assert run.effects.columns is not None
        assert "other music" not in set(run.effects.columns["comparator"])


def test_analysis_files_are_read_strictly(tmp_path: Path) -> None:
    good = (data_folder("analyses") / "icu-anxiety.yaml").read_text(encoding="utf-8")
    folder = tmp_path / "analyses"
    folder.mkdir()
    (folder / "icu-anxiety.yaml").write_text(
        good.replace("measure: SMD\nbetter", "mesure: SMD\nbetter"), encoding="utf-8"
    )
    (folder / "other.yaml").write_text(good, encoding="utf-8")
    with pytest.raises(RecordError) as caught:
        read_analyses([folder])
    text = str(caught.value)
    assert "measure" in text
    assert "mesure" in text
    assert "write 'other'" in text


def test_a_question_without_rows_says_what_there_is(runs: dict[str, AnalysisRun]) -> None:
    analysis = runs["icu-anxiety"].analysis
    lost = analysis.model_copy(
        update={"select": analysis.select.model_copy(update={"used_in": ("CD006902: Anxiety",)})}
    )
    with pytest.raises(AnalysisError, match="icu-anxiety: no row answers"):
        run_analysis(lost, read_studies(data_folder("studies")))


def test_the_json_schema_is_the_one_of_the_code() -> None:
    import json

    from mtmeta.audit.analysis import json_schema

    text = (data_folder("analyses") / "analysis.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(json.dumps(json_schema())), "run python tools/analysis_schema.py"


def test_shipped_analyses_satisfy_the_json_schema() -> None:
    import json

    import jsonschema
    import yaml

    schema = json.loads((data_folder("analyses") / "analysis.schema.json").read_text(encoding="utf-8"))
    for path in sorted(data_folder("analyses").glob("*.yaml")):
        if path.name == "claims.yaml":
            continue
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)
        assert path.read_text(encoding="utf-8").startswith(
            "# yaml-language-server: $schema=analysis.schema.json"
        )


def test_sizes_that_no_source_assigns_are_no_arms(runs: dict[str, AnalysisRun]) -> None:
    """Schou 2008 is known by 13 and 14 people, not by which of them had music."""
    es = runs["cardiac-anxiety"].selected
    i = es.study.index("schou-2008")
    assert es.n1 is not None
    assert es.n2 is not None
    assert es.n is not None
    assert es.n1[i] != es.n1[i]
    assert es.n2[i] != es.n2[i]
    assert es.n[i] == 27
