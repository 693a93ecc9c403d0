"""A lock is held against a rerun: each cause is planted, alone and together, and the words name it."""

from __future__ import annotations

import copy
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mtmeta.audit.analysis import Method
from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import model_of, run_analysis
from mtmeta.cli.app import app
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import RecordError
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.lock import lock_of_run, lock_text
from mtmeta.reports.summary import numbers
from mtmeta.reports.verify import compare_locks, read_lock

FILE = data_folder("analyses") / "icu-anxiety.yaml"


@pytest.fixture(scope="module")
def records() -> Studies:
    return read_studies(data_folder("studies"))


@pytest.fixture(scope="module")
def lock(records: Studies) -> dict[str, Any]:
    item = read_analyses([FILE])[0]
    return json.loads(lock_text(lock_of_run(run_analysis(item.analysis, records), FILE, records)))


def changed(lock: dict[str, Any], *changes: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """An older lock: the lock of today with what was otherwise then."""
    old = copy.deepcopy(lock)
    for change in changes:
        change(old)
    return old


def repooled(old: dict[str, Any], **method: str) -> None:
    """Put the numbers that follow from the rows of a lock, by its method or another, into it."""
    results = old["results"]
    used = Method.model_validate({**results["today"]["method"], **method})
    rows = results["rows"]
    es = EffectSizes.of([r["yi"] for r in rows], [r["vi"] for r in rows], study=[r["study"] for r in rows])
    pooled = numbers(model_of(used).fit(es), level=used.level, pi_method=used.pi)
    results["today"].update({**pooled, "n": results["today"]["n"]}, method=used.model_dump())
    results["bayes"] = []


def another_estimator(old: dict[str, Any]) -> None:
    """The lock was made with DL, whose numbers are recomputed from its rows."""
    repooled(old, tau2="DL")
    old["inputs"]["analysis"]["hash"] = "sha256:then"


def another_engine(old: dict[str, Any]) -> None:
    """The lock was made by a version that gave another tau2."""
    old["versions"]["mtmeta"] = "0.0.9"
    old["results"]["today"]["tau2"] += 0.01
    old["results"]["today"]["estimate"] += 0.002


def another_record(old: dict[str, Any]) -> None:
    """One trial's effect was typed otherwise."""
    row = next(r for r in old["results"]["rows"] if r["study"] == "wong-2001")
    row["yi"] += 0.5
    old["inputs"]["records"]["wong-2001"] = "sha256:then"
    repooled(old)


def test_the_same_is_the_same(lock: dict[str, Any]) -> None:
    verdict = compare_locks(lock, lock)
    assert verdict.holds
    assert verdict.causes == ()
    assert verdict.changes == ()


CAUSES = {"convention": another_estimator, "version": another_engine, "data": another_record}
WORDS = {
    "convention": "convention: tau2 was DL and is REML",
    "version": "version: mtmeta 0.0.9 is now",
    "data": "data: the record of wong-2001 was changed: effect",
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_alone_is_named(lock: dict[str, Any], cause: str) -> None:
    verdict = compare_locks(changed(lock, CAUSES[cause]), lock)
    assert not verdict.holds
    assert verdict.causes == (cause,)
    assert any(c.startswith(WORDS[cause]) for c in verdict.changes)
    for moved in verdict.moved:
        assert set(moved.causes) == {cause}


def test_causes_together_are_told_apart(lock: dict[str, Any]) -> None:
    """Each cause's share adds up to what moved, and equals what it moves alone."""
    old = changed(lock, another_record, another_estimator, another_engine)
    verdict = compare_locks(old, lock)
    assert set(verdict.causes) == {"version", "convention", "data"}
    estimate = next(m for m in verdict.moved if m.name == "estimate")
    assert estimate.new is not None
    assert estimate.old is not None
    assert sum(estimate.causes.values()) == pytest.approx(estimate.new - estimate.old, rel=1e-9)
    assert estimate.causes["version"] == pytest.approx(-0.002, rel=1e-6)


def test_a_number_nobody_changed_is_unexplained(lock: dict[str, Any]) -> None:
    def silently(old: dict[str, Any]) -> None:
        old["results"]["today"]["tau2"] += 0.01

    verdict = compare_locks(changed(lock, silently), lock)
    assert verdict.causes == ("unexplained",)


def without_wong(old: dict[str, Any]) -> None:
    """The lock was made before Wong 2001 came in."""
    old["results"]["rows"] = [r for r in old["results"]["rows"] if r["study"] != "wong-2001"]
    del old["inputs"]["records"]["wong-2001"]
    repooled(old)


def another_question(old: dict[str, Any]) -> None:
    """The analysis file left Wong 2001 out, whose record is what it was."""
    old["results"]["rows"] = [r for r in old["results"]["rows"] if r["study"] != "wong-2001"]
    old["inputs"]["analysis"].update(hash="sha256:then", question="sha256:then")
    repooled(old)


def another_variance(old: dict[str, Any]) -> None:
    """The lock was made with RevMan's variance, which moves every row and no record."""
    for row in old["results"]["rows"]:
        row["vi"] *= 1.02
    old["inputs"]["analysis"]["hash"] = "sha256:then"
    repooled(old, variance="RevMan")


def another_route(old: dict[str, Any]) -> None:
    """The version before computed effects otherwise."""
    for row in old["results"]["rows"]:
        row["yi"] *= 1.01
    old["versions"]["mtmeta"] = "0.0.9"
    repooled(old)


MORE = {
    "came": (without_wong, ("data",), "data: wong-2001 is new"),
    "asked": (another_question, ("question",), "question: what is selected"),
    "variance": (another_variance, ("convention",), "convention: variance was RevMan and is LS"),
    "route": (another_route, ("version",), "version: mtmeta 0.0.9 is now"),
}


@pytest.mark.parametrize("case", MORE)
def test_causes_that_move_rows(lock: dict[str, Any], case: str) -> None:
    change, causes, words = MORE[case]
    verdict = compare_locks(changed(lock, change), lock)
    assert verdict.causes == causes
    assert any(c.startswith(words) for c in verdict.changes)
    estimate = next(m for m in verdict.moved if m.name == "estimate")
    assert isinstance(estimate.new, float)
    assert isinstance(estimate.old, float)
    assert estimate.causes == {causes[0]: pytest.approx(estimate.new - estimate.old, rel=1e-6)}


def test_a_changed_record_and_another_variance_are_told_apart(lock: dict[str, Any]) -> None:
    """Rows of records nobody changed show what the variance moved; the changed record the rest."""
    old = changed(lock, another_variance, another_record)
    old["results"]["today"]["method"]["variance"] = "RevMan"
    verdict = compare_locks(old, lock)
    assert set(verdict.causes) == {"convention", "data"}
    estimate = next(m for m in verdict.moved if m.name == "estimate")
    assert isinstance(estimate.new, float)
    assert isinstance(estimate.old, float)
    assert set(estimate.causes) == {"convention", "data"}
    assert abs(estimate.causes["data"]) > abs(estimate.causes["convention"])
    assert sum(estimate.causes.values()) == pytest.approx(estimate.new - estimate.old, rel=1e-6)


def test_everything_at_once(lock: dict[str, Any]) -> None:
    """A changed record, another estimator and an older engine; each share is what it moves in turn."""
    old = changed(lock, another_record, another_estimator, another_engine)
    verdict = compare_locks(old, lock)
    assert verdict.causes == ("version", "convention", "data")
    for words in WORDS.values():
        assert any(c.startswith(words) for c in verdict.changes)
    for moved in verdict.moved:
        if isinstance(moved.new, float) and isinstance(moved.old, float) and moved.causes:
            assert sum(moved.causes.values()) == pytest.approx(moved.new - moved.old, rel=1e-6, abs=1e-9)


def test_an_older_lock_has_what_came_later_not_moved(lock: dict[str, Any]) -> None:
    """Keys that later versions write are new, whatever they are called."""

    def older(old: dict[str, Any]) -> None:
        for name in ("certainty", "conclusion", "bayes"):
            del old["results"][name]
        del old["inputs"]["analysis"]["question"]

    later = copy.deepcopy(lock)
    later["results"]["multiverse"] = {"median": -1.0, "specifications": 12}
    verdict = compare_locks(changed(lock, older), later)
    assert verdict.holds
    assert {
        "certainty: is new, the lock does not hold it",
        "multiverse: is new, the lock does not hold it",
    } <= set(verdict.changes)


def test_parts_beside_the_answer_are_compared(lock: dict[str, Any]) -> None:
    def rated(old: dict[str, Any]) -> None:
        old["results"]["certainty"]["level"] = "moderate"
        old["results"]["certainty"]["domains"]["imprecision"]["down"] = 0
        old["results"]["certainty"]["domains"]["imprecision"]["why"] = "other words"

    verdict = compare_locks(changed(lock, rated), lock)
    assert not verdict.holds
    assert [(m.name, m.old, m.new) for m in verdict.moved] == [
        ("certainty: level", "moderate", "very low"),
        ("certainty: domains imprecision down", 0, 1),
    ]
    assert verdict.causes == ("unexplained",)


def test_a_figure_beside_a_published_one_that_moved_does_not_hold(lock: dict[str, Any]) -> None:
    def moved(old: dict[str, Any]) -> None:
        old["results"]["published"]["ours"]["estimate"] += 0.01

    verdict = compare_locks(changed(lock, moved), lock)
    assert not verdict.holds
    assert verdict.causes == ("published",)


def test_a_comment_in_the_analysis_file_asks_nothing_else(lock: dict[str, Any]) -> None:
    def comment(old: dict[str, Any]) -> None:
        old["inputs"]["analysis"]["hash"] = "sha256:then"

    verdict = compare_locks(changed(lock, comment), lock)
    assert verdict.holds
    assert verdict.changes == ("the analysis file was changed, in nothing that selects, computes or pools",)


def test_a_trial_that_came_or_went_is_named(lock: dict[str, Any]) -> None:
    assert "data: wong-2001 is new" in compare_locks(changed(lock, without_wong), lock).changes
    assert "data: wong-2001 is gone" in compare_locks(lock, changed(lock, without_wong)).changes


def test_a_comment_in_a_record_moves_nothing(lock: dict[str, Any]) -> None:
    def comment(old: dict[str, Any]) -> None:
        old["inputs"]["records"]["wong-2001"] = "sha256:then"

    verdict = compare_locks(changed(lock, comment), lock)
    assert verdict.holds
    assert verdict.changes == ("data: the record of wong-2001 was changed, not in its effect",)


def test_locks_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    path = tmp_path / "x.lock.json"
    with pytest.raises(RecordError, match="write it with mtmeta run"):
        read_lock(path)
    path.write_text("{")
    with pytest.raises(RecordError, match="is no JSON"):
        read_lock(path)
    path.write_text('{"schema": 99}')
    with pytest.raises(RecordError, match="another version"):
        read_lock(path)


def test_a_lock_names_no_place_and_no_moment(lock: dict[str, Any]) -> None:
    text = json.dumps(lock)
    assert str(data_folder("studies")) not in text
    assert set(lock) == {"schema", "analysis", "versions", "inputs", "results"}
    assert all(v.count(".") <= 2 for v in lock["versions"].values())


# ---- the command ------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "review"
    shutil.copytree(data_folder("studies") / "icu", root / "studies" / "icu")
    (root / "analyses").mkdir()
    shutil.copy(FILE, root / "analyses")
    monkeypatch.chdir(root)
    assert CliRunner().invoke(app, ["run", "--no-draw"]).exit_code == 0
    return root


def change_record(root: Path) -> None:
    path = root / "studies" / "icu" / "wong-2001.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("-1.834072", "-0.834072"), encoding="utf-8")


def change_method(root: Path) -> None:
    path = root / "analyses" / "icu-anxiety.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("tau2: REML", "tau2: DL"), encoding="utf-8")


def change_version(root: Path) -> None:
    """The lock looks as if an older version had written it, which gave another estimate."""
    path = root / "analyses" / "icu-anxiety.lock.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["versions"]["mtmeta"] = "0.0.9"
    document["results"]["today"]["estimate"] += 0.002
    path.write_text(json.dumps(document), encoding="utf-8")


CHANGES = {"data": change_record, "convention": change_method, "version": change_version}
TOLD = {
    "data": "data: the record of wong-2001 was changed: effect -1.834 is now -0.8341",
    "convention": "convention: tau2 was REML and is DL",
    "version": "version: mtmeta 0.0.9 is now",
}


@pytest.mark.parametrize(
    "causes",
    [c for k in (1, 2, 3) for c in itertools.combinations(CHANGES, k)],
    ids=lambda c: " and ".join(c),
)
def test_verify_and_diff_name_each_cause_alone_and_together(project: Path, causes: tuple[str, ...]) -> None:
    for cause in causes:
        CHANGES[cause](project)
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 1
    (line,) = (x for x in result.output.splitlines() if x.startswith("icu-anxiety: moved by "))
    named = set(line.removeprefix("icu-anxiety: moved by ").split(", "))
    # a changed record moves what stands beside the published figure too
    assert named - {"published"} == set(causes)
    compared = CliRunner().invoke(app, ["diff", "analyses/icu-anxiety.lock.json", "."])
    assert compared.exit_code == 0
    for cause, words in TOLD.items():
        assert (words in result.output) is (cause in causes)
        assert (words in compared.output) is (cause in causes)
    assert ("wong-2001 moves the estimate by" in compared.output) is ("data" in causes)
    (verdict,) = json.loads(CliRunner().invoke(app, ["verify", "--json"]).output)
    estimate = next(m for m in verdict["moved"] if m["name"] == "estimate")
    assert set(estimate["causes"]) == set(causes)
    assert sum(estimate["causes"].values()) == pytest.approx(estimate["new"] - estimate["old"], rel=1e-9)
