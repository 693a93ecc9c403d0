"""A lock is held against a rerun: each cause is planted, alone and together, and the words name it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import run_analysis
from mtmeta.errors import RecordError
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.lock import lock_of_run, lock_text
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


def another_estimator(old: dict[str, Any]) -> None:
    """The lock was made with DL, whose numbers are recomputed from its rows."""
    from mtmeta.audit.analysis import Method
    from mtmeta.reports.verify import _refit

    method = {**old["results"]["today"]["method"], "tau2": "DL"}
    old["results"]["today"].update(_refit(old, Method.model_validate(method)), method=method)
    old["inputs"]["analysis"]["hash"] = "sha256:then"


def another_engine(old: dict[str, Any]) -> None:
    """The lock was made by a version that gave another tau2."""
    old["versions"]["mtmeta"] = "0.0.9"
    old["results"]["today"]["tau2"] += 0.01
    old["results"]["today"]["estimate"] += 0.002


def another_record(old: dict[str, Any]) -> None:
    """One trial's effect was typed otherwise."""
    from mtmeta.audit.analysis import Method
    from mtmeta.reports.verify import _refit

    row = next(r for r in old["results"]["rows"] if r["study"] == "wong-2001")
    row["yi"] += 0.5
    old["inputs"]["records"]["wong-2001"] = "sha256:then"
    method = old["results"]["today"]["method"]
    old["results"]["today"].update(_refit(old, Method.model_validate(method)), method=method)


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


def test_a_trial_that_came_or_went_is_named(lock: dict[str, Any]) -> None:
    def without(old: dict[str, Any]) -> None:
        old["results"]["rows"] = [r for r in old["results"]["rows"] if r["study"] != "wong-2001"]
        del old["inputs"]["records"]["wong-2001"]
        old["results"]["today"]["estimate"] += 0.1

    assert "data: wong-2001 is new" in compare_locks(changed(lock, without), lock).changes


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
