"""What changed between two states: planted trials and corrections are named with what they move."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from mtmeta.errors import UsageError
from mtmeta.records.locate import data_folder
from mtmeta.reports.diff import certainty, conclusion, diff, state_of
from mtmeta.reports.diff_words import diff_html, diff_lines


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "review"
    shutil.copytree(data_folder("studies") / "icu", root / "studies" / "icu")
    (root / "analyses").mkdir()
    shutil.copy(data_folder("analyses") / "icu-anxiety.yaml", root / "analyses")
    return root


def git(root: Path, *args: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(root), *who, *args], check=True, capture_output=True)


def test_nothing_changed(project: Path) -> None:
    state = state_of(str(project), project=project)
    (only,) = diff(state, state)
    assert (only.status, only.moved_by, only.conclusion_changed) == ("same", {}, False)
    assert "Nothing changed" in diff_html(diff(state, state), old="a", new="b")


def test_a_correction_is_named_with_what_it_moves(project: Path) -> None:
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    record = project / "studies" / "icu" / "wong-2001.yaml"
    record.write_text(record.read_text(encoding="utf-8").replace("-1.834072", "-0.834072"), encoding="utf-8")
    (item,) = diff(state_of("HEAD", project=project), state_of(str(project), project=project))
    assert item.status == "changed"
    assert list(item.moved_by) == ["wong-2001"]
    assert item.verdict is not None
    assert item.verdict.causes == ("data", "published")
    estimate = next(m for m in item.verdict.moved if m.name == "estimate")
    assert estimate.new is not None
    assert estimate.old is not None
    assert item.moved_by["wong-2001"] == pytest.approx(estimate.new - estimate.old, rel=1e-9)


def test_a_trial_that_went_changes_the_conclusion(project: Path) -> None:
    before = state_of(str(project), project=project)
    analysis = project / "analyses" / "icu-anxiety.yaml"
    text = analysis.read_text(encoding="utf-8")
    analysis.write_text(
        text.replace(
            "measure: SMD\nbetter",
            "  exclude:\n    chlan-1997-1998: a test\n    han-2010: a test\nmeasure: SMD\nbetter",
            1,
        ),
        encoding="utf-8",
    )
    (item,) = diff(before, state_of(str(project), project=project))
    assert {"chlan-1997-1998", "han-2010"} <= set(item.moved_by)
    assert item.conclusion_then == "favours music"
    assert item.conclusion_changed == (item.conclusion_now != "favours music")
    page = diff_html((item,), old="<script>", new="now")
    assert "<script>" not in page
    assert "han-2010" in page


def test_certainty_and_corrections_are_told(project: Path) -> None:
    """A person's rating and a corrected effect change certainty and estimate, and the words name them."""
    before = state_of(str(project), project=project)
    analysis = project / "analyses" / "icu-anxiety.yaml"
    rated = "grade:\n" + "".join(
        f"  {domain}: {{down: 0, why: a test, by: A. Person, when: '2026-01-02'}}\n"
        for domain in ("risk_of_bias", "inconsistency", "indirectness", "imprecision", "publication_bias")
    )
    analysis.write_text(analysis.read_text(encoding="utf-8") + rated, encoding="utf-8")
    record = project / "studies" / "icu" / "wong-2001.yaml"
    record.write_text(record.read_text(encoding="utf-8").replace("-1.834072", "-0.834072"), encoding="utf-8")
    (item,) = diff(before, state_of(str(project), project=project))
    assert (item.certainty_then, item.certainty_now) == ("very low", "high")
    assert item.certainty_changed
    assert item.trials == {"added": (), "removed": (), "corrected": ("wong-2001",)}
    lines = list(diff_lines(item))
    assert "  certainty: very low became high" in lines
    assert "  corrected: wong-2001" in lines
    assert any(line.startswith("  wong-2001 moves the estimate by +") for line in lines)
    page = diff_html((item,), old="then", new="now")
    assert "very low → high" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_escapes_what_records_say(project: Path) -> None:
    state = state_of(str(project), project=project)
    evil = json.loads(json.dumps(state))
    evil["icu-anxiety"]["results"]["title"] = "<script>alert(1)</script>"
    evil["icu-anxiety"]["results"]["rows"][0]["study"] = "<img src=x>"
    evil["icu-anxiety"]["results"]["today"]["estimate"] += 0.1
    page = diff_html(diff(state, evil), old="a", new="b")
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_a_lock_from_before_ratings_has_no_certainty(project: Path) -> None:
    state = state_of(str(project), project=project)
    old = json.loads(json.dumps(state))
    for name in ("certainty", "conclusion", "bayes"):
        del old["icu-anxiety"]["results"][name]
    assert certainty(old["icu-anxiety"]) is None
    (item,) = diff(old, state)
    assert item.certainty_then is None
    assert not item.certainty_changed
    assert item.conclusion_then == item.conclusion_now == "favours music"
    assert item.verdict is not None
    assert item.verdict.holds


def test_one_of_two_trials_that_came_is_told_under_any_interval(project: Path) -> None:
    """HKSJ needs two trials; what the second of them moves does not."""
    state = state_of(str(project), project=project)
    new = json.loads(json.dumps(state))
    results = new["icu-anxiety"]["results"]
    results["rows"] = results["rows"][:2]
    results["today"]["method"]["ci"] = "HKSJ"
    old = json.loads(json.dumps(new))
    old["icu-anxiety"]["results"]["rows"] = results["rows"][:1]
    old["icu-anxiety"]["results"]["today"]["estimate"] = results["rows"][0]["yi"]
    (item,) = diff(old, new)
    assert list(item.moved_by) == [results["rows"][1]["study"]]
    assert item.trials["added"] == (results["rows"][1]["study"],)


def test_new_and_gone_questions(project: Path) -> None:
    state = state_of(str(project), project=project)
    assert [d.status for d in diff({}, state)] == ["new"]
    assert [d.status for d in diff(state, {})] == ["gone"]


def test_conclusions_follow_the_direction_of_the_scale() -> None:
    def lock(ci: list[float], better: str, measure: str = "SMD") -> dict[str, object]:
        return {"results": {"measure": measure, "ci": ci, "better": better}}

    assert conclusion(lock([-1.0, -0.2], "lower")) == "favours music"
    assert conclusion(lock([-1.0, -0.2], "higher")) == "favours control"
    assert conclusion(lock([-1.0, 0.2], "lower")) == "no clear difference"
    assert conclusion(lock([0.5, 0.9], "lower", "RR")) == "favours music"
    assert conclusion(lock([0.5, 1.9], "lower", "RR")) == "no clear difference"


def test_a_place_that_is_none_says_what_would_be(project: Path) -> None:
    with pytest.raises(UsageError, match="git"):
        state_of("no-such-revision", project=project)
    with pytest.raises(UsageError, match="is no revision"):
        state_of("--output=x", project=project)
    with pytest.raises(UsageError, match="no folders analyses and studies"):
        state_of(str(project / "studies"), project=project)


def test_lock_files_are_states_too(project: Path) -> None:
    state = state_of(str(project), project=project)
    path = project / "old.lock.json"
    path.write_text(json.dumps(state["icu-anxiety"]))
    (item,) = diff(state_of(str(path), project=project), state)
    assert item.status == "same"
