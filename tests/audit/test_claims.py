"""Claims: the shipped ones get the verdict their numbers give, planted ones the right one."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mtmeta.audit.claim_rules import Bound, verdict_of
from mtmeta.audit.claims import Claims, ClaimVerdict, judge, read_claims
from mtmeta.audit.files import read_analyses
from mtmeta.audit.gaps import evidence_cells, gap_table
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.cli.app import app
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.records.folder import read_studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.gap_maps import gap_maps


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
    "C2": "too strong",
    "C3": "not supported",
    "C4": "not tested here",
    "C5": "not supported",
    "C6": "wrong outcome or population",
    "C7": "too strong",
    "C8": "wrong outcome or population",
    "C9": "too strong",
    "C10": "not supported",
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
    cancer = " ".join(shipped["C4"].references)
    assert "no result of it on length of stay" in cancer
    assert "is about cardiac, not cancer" in cancer
    dileo = " ".join(shipped["C6"].references)
    assert "no result of it on cortisol" in dileo
    assert "in Cochrane Database of Systematic Reviews, not J Music Ther 51(3):213-257" in dileo
    assert shipped["C1"].references == ()


def test_what_nobody_measured_is_not_tested_here(shipped: dict[str, ClaimVerdict]) -> None:
    """Where no data were found there is no number, whatever the claim says."""
    empty = [part for v in shipped.values() for part in v.parts if part.verdict == "not tested here"]
    assert len(empty) == 12
    assert all(part.numbers == {} and part.because for part in empty)
    cells = {
        (study.conditions[0], outcome.construct_)
        for study in read_studies(data_folder("studies"))
        for outcome in study.outcomes
    }
    assert not {
        c for c in cells if c[0] in ("cancer", "trauma") or c[1] in ("length of stay", "satisfaction")
    }


def test_the_published_figure_stands_beside_ours(shipped: dict[str, ClaimVerdict]) -> None:
    """CD004517.pub3: clinician-rated depression SMD -0.98 [-1.69, -0.27]; it could not be rebuilt."""
    printed = shipped["C1"].parts[0].numbers["published"]
    assert (printed["estimate"], printed["ci"], printed["k"]) == ("-0.98", ["-1.69", "-0.27"], 4)
    assert printed["reproduced"] == "not comparable"


def test_what_would_change_a_verdict_is_computed(shipped: dict[str, ClaimVerdict]) -> None:
    gait = shipped["C10"].parts[0]
    assert gait.verdict == "not supported"
    assert "without Lichun 2011 it would be too strong" in gait.sensitivity
    sans = shipped["C5"].parts[0]
    assert "by the review's own method (common effect, RevMan SE) it would be too strong" in sans.sensitivity


def planted(*, cites: list[dict[str, Any]] | None = None, **part: Any) -> Claims:
    base = {"says": "x", "construct": "respiratory rate", "analysis": "icu-respiratory-rate"}
    document = {
        "schema": 1,
        "source": "made for a test",
        "works": {
            "w": {"text": "W 2001", "year": 2001, "doi": "10.1000/w", "constructs": ["respiratory rate"]},
            "old": {"text": "O 1999", "year": 1999, "doi": "10.1000/o", "superseded_by": "w"},
        },
        "claims": [
            {"id": "C1", "says": "x", "cites": cites or [], "parts": [{**base, "would_change": "y", **part}]}
        ],
    }
    return Claims.model_validate(json.loads(json.dumps(document)))


# respiratory rate in ventilated patients: SMD -0.72 [-0.94, -0.51], prediction [-0.98, -0.47], low certainty
PLANTED = [
    ({}, "supported"),
    ({"general": True}, "supported"),
    ({"size": "moderate"}, "supported"),
    ({"condition": "icu", "comparator": "inactive", "category": "music medicine"}, "supported"),
    ({"effect": "harm"}, "contradicted"),
    ({"size": "large"}, "too strong"),
    ({"clear": True}, "too strong"),
    ({"analysis": "icu-heart-rate", "construct": "heart rate", "general": True}, "too strong"),
    ({"analysis": "icu-anxiety", "construct": "anxiety"}, "too strong"),
    ({"analysis": "depression", "construct": "depression", "size": "moderate"}, "too strong"),
    ({"analysis": "schizophrenia-sans", "construct": "negative symptoms"}, "not supported"),
    ({"construct": "heart rate"}, "wrong outcome or population"),
    ({"condition": "cancer"}, "wrong outcome or population"),
    ({"category": "music therapy"}, "wrong outcome or population"),
    ({"approach": "active"}, "wrong outcome or population"),
    ({"comparator": "active"}, "wrong outcome or population"),
    ({"mismatch": "another population"}, "wrong outcome or population"),
    ({"analysis": None, "why": "no data"}, "not tested here"),
]


@pytest.mark.parametrize(
    ("part", "verdict"), PLANTED, ids=["-".join(map(str, p)) or "plain" for p, _ in PLANTED]
)
def test_planted_claims_get_the_right_verdict(
    runs: list[AnalysisRun], part: dict[str, Any], verdict: str
) -> None:
    (found,) = judge(planted(**part), runs)
    assert found.verdict == verdict
    assert found.parts[0].because


@pytest.mark.parametrize(
    ("cite", "words"),
    [
        ({"work": "w", "given": "W 2001", "year": 2001, "doi": "10.1000/w"}, ()),
        ({"work": "old", "given": "O 1999", "year": 1999}, ("O 1999: superseded by W 2001",)),
        ({"work": "w", "given": "W 2003", "year": 2003}, ("W 2003: is W 2001, of 2001, not 2003",)),
        (
            {"work": "w", "given": "W 2001", "doi": "10.1000/o"},
            ("W 2001: the DOI 10.1000/o is not that of W 2001 (10.1000/w), but that of O 1999",),
        ),
        ({"given": "somebody"}, ("somebody: names no work that could be found",)),
    ],
)
def test_planted_citations_are_audited(
    runs: list[AnalysisRun], cite: dict[str, Any], words: tuple[str, ...]
) -> None:
    (found,) = judge(planted(cites=[cite]), runs)
    assert found.references == words


def several(*parts: dict[str, Any]) -> Claims:
    plain = json.loads(planted().model_dump_json(by_alias=True))
    (only,) = plain["claims"][0]["parts"]
    plain["claims"][0]["parts"] = [{**only, **p} for p in parts]
    return Claims.model_validate(plain)


WHOLE = [
    (({}, {"analysis": None, "why": "no data"}), "too strong"),
    (({}, {"clear": True}), "too strong"),
    (({}, {"effect": "harm"}), "contradicted"),
    (
        (
            {"general": True},
            {"general": True, "construct": "anxiety", "analysis": "dementia-anxiety"},
        ),
        "too strong",
    ),
    (({}, {"construct": "anxiety", "analysis": "dementia-anxiety"}), "not supported"),
    (({"analysis": None, "why": "a"}, {"analysis": None, "why": "b"}), "not tested here"),
]


@pytest.mark.parametrize(("parts", "verdict"), WHOLE, ids=[f"{i}-{v}" for i, (_, v) in enumerate(WHOLE)])
def test_a_claim_of_several_parts(
    runs: list[AnalysisRun], parts: tuple[dict[str, Any], ...], verdict: str
) -> None:
    (found,) = judge(several(*parts), runs)
    assert found.verdict == verdict


def test_trials_left_out_and_added_are_the_pools_made_anew(runs: list[AnalysisRun]) -> None:
    """Nine trials without effect undo anxiety in heart disease, eight do not: refitted here by hand."""
    (found,) = judge(planted(construct="anxiety", analysis="cardiac-anxiety"), runs)
    (line,) = (s for s in found.parts[0].sensitivity if "further trials" in s)
    needed = int(line.split()[0])
    run = next(r for r in runs if r.analysis.name == "cardiac-anxiety")
    for extra, includes in ((needed, True), (needed - 1, False)):
        yi = [*run.effects.yi.tolist(), *[0.0] * extra]
        vi = [*run.effects.vi.tolist(), *[1 / 50 + 1 / 50] * extra]
        low, high = RandomEffects(tau2="REML", ci="auto").fit(EffectSizes.of(yi, vi, "SMD")).ci(0.95)
        assert (low <= 0.0 <= high) is includes
    without = next(s for s in found.parts[0].sensitivity if s.startswith("without "))
    at = run.effects.study.index("bolwerk-1990")
    rest = run.effects.subset([i for i in range(run.effects.k) if i != at])
    assert "Bolwerk 1990" in without
    assert RandomEffects(tau2="REML", ci="auto").fit(rest).ci(0.95).high >= 0.0


def test_a_size_is_said_of_standard_deviations(runs: list[AnalysisRun]) -> None:
    """An odds ratio of 2.5 is 0.505 standard deviations by Chinn 2000; a risk ratio is in none."""
    run = next(r for r in runs if r.analysis.name == "icu-anxiety")
    for measure, size, verdict in (("OR", "moderate", "supported"), ("OR", "large", "too strong")):
        fit = CommonEffect().fit(EffectSizes.of([-math.log(2.5)], [0.01], measure))
        assert verdict_of(Bound(size=size), fit, run, "low")[0] == verdict  # type: ignore[arg-type]
    fit = CommonEffect().fit(EffectSizes.of([-math.log(2.5)], [0.01], "RR"))
    with pytest.raises(AnalysisError, match="is said of standard deviations"):
        verdict_of(Bound(size="large"), fit, run, "low")


def test_the_map_counts_trials_once_a_cell() -> None:
    studies = read_studies(data_folder("studies") / "cardiac")
    cells = evidence_cells(studies)
    assert not cells.duplicated(["study", "condition", "outcome"]).any()
    table = gap_table(studies, by=("condition", "outcome"))
    row = table[(table["condition"] == "cardiac") & (table["outcome"] == "systolic pressure")].iloc[0]
    holding = [s for s in studies if any(o.construct_ == "systolic pressure" for o in s.outcomes)]
    assert row["studies"] == len(holding) == 11
    assert row["certainty"] == "not rated"


def test_the_map_takes_the_certainty_of_the_question_that_pools_a_cell(runs: list[AnalysisRun]) -> None:
    studies = read_studies(data_folder("studies"))
    table = gap_table(studies, runs, by=("condition", "outcome")).set_index(["condition", "outcome"])
    assert table.loc[("cardiac", "systolic pressure"), "certainty"] == "low"
    assert table.loc[("cardiac", "cortisol"), "certainty"] == "not rated"


def test_maps_show_what_claims_name_and_nobody_studied(runs: list[AnalysisRun]) -> None:
    claims = read_claims(data_folder("analyses") / "claims.yaml")
    maps = gap_maps(claims, read_studies(data_folder("studies")), runs)
    across, down = maps["outcome"].x.labels, maps["outcome"].y.labels
    assert {"cancer", "trauma"} <= set(across)
    assert {"length of stay", "satisfaction", "mood", "cortisol"} <= set(down)
    assert "other" not in down
    assert set(maps["approach"].x.labels) >= {"guided imagery and music", "songwriting and lyric analysis"}
    assert {"autism", "parkinson"} <= set(maps["approach"].y.labels)


def test_the_command_draws_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data_folder("analyses").parent)
    result = CliRunner().invoke(app, ["claims", "--map", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert {p.name for p in tmp_path.iterdir()} >= {"gap-map-approach.svg", "gap-map-outcome.pdf"}


def test_claims_of_ones_own_beside_the_analyses_or_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NAME-claims.yaml among analyses it is no analysis; elsewhere it finds them."""
    root = tmp_path / "review"
    shutil.copytree(data_folder("studies") / "icu", root / "studies" / "icu")
    (root / "analyses").mkdir()
    shutil.copy(data_folder("analyses") / "icu-anxiety.yaml", root / "analyses")
    text = planted(construct="anxiety", analysis="icu-anxiety").model_dump_json(
        by_alias=True, exclude_none=True
    )
    (root / "analyses" / "leaflet-claims.yaml").write_text(text, encoding="utf-8")
    (root / "leaflet-claims.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(root)
    for file in ("analyses/leaflet-claims.yaml", "leaflet-claims.yaml"):
        result = CliRunner().invoke(app, ["claims", file])
        assert result.exit_code == 0, result.output
        assert result.output.startswith("C1: too strong: x")
    assert CliRunner().invoke(app, ["run", "--no-draw"]).exit_code == 0


def test_the_page_is_what_a_run_gives() -> None:
    path = data_folder("analyses").parent / "tools" / "claims_page.py"
    if not path.is_file():
        pytest.skip("the tools are not part of the installed package")
    done = subprocess.run([sys.executable, str(path), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_claim_on_an_unknown_analysis_is_an_error(runs: list[AnalysisRun]) -> None:
    with pytest.raises(AnalysisError, match="no analysis 'icu-anxeity'"):
        judge(planted(analysis="icu-anxeity"), runs)
    with pytest.raises(AnalysisError, match="has no group 'martian'"):
        judge(planted(analysis="depression", group="martian"), runs)
