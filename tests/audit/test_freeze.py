"""A frozen plan: what departs from it is told, what was announced carries its reason, an edit is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mtmeta.audit.analysis import Analysis
from mtmeta.audit.files import read_analyses
from mtmeta.audit.freeze import (
    amend,
    departures,
    freeze,
    frozen_beside,
    frozen_file,
    frozen_text,
    plan_of,
    read_frozen,
)
from mtmeta.cli.app import app
from mtmeta.errors import RecordError, UsageError
from mtmeta.records.locate import data_folder


@pytest.fixture
def analysis() -> Analysis:
    return read_analyses([data_folder("analyses") / "icu-anxiety.yaml"])[0].analysis


def other(analysis: Analysis, **changes: Any) -> Analysis:
    """The analysis file with other entries; dotted names as ``model__tau2``."""
    plain = json.loads(analysis.model_dump_json(by_alias=True, exclude_defaults=True))
    for name, value in changes.items():
        *path, last = name.split("__")
        place = plain
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return Analysis.model_validate_json(json.dumps(plain))


DEPARTED = [
    ({"model__tau2": "DL"}, "model.tau2: REML was planned, DL was done"),
    ({"select__times": ["post"]}, 'select.times: nothing was planned, ["post"] was done'),
    (
        {"today__exclude": {"wong-2001": "seen"}},
        "today.exclude.wong-2001: nothing was planned, seen was done",
    ),
    ({"better": "higher"}, "better: lower was planned, higher was done"),
    ({"question__outcome": "fear"}, "was planned, fear was done"),
]


@pytest.mark.parametrize(("changes", "words"), DEPARTED, ids=[next(iter(c)) for c, _ in DEPARTED])
def test_every_departure_is_told(analysis: Analysis, changes: dict[str, Any], words: str) -> None:
    told = departures(freeze(analysis, when="2026-01-31"), other(analysis, **changes))
    assert len(told) == 1
    assert words in str(told[0])
    assert told[0].amended is None


def test_what_may_come_later_is_no_departure(analysis: Analysis) -> None:
    frozen = freeze(analysis, when="2026-01-31")
    later = analysis.model_copy(update={"published": (), "note": "read twice"})
    assert departures(frozen, later) == ()


def test_departures_together(analysis: Analysis) -> None:
    done = other(analysis, model__tau2="DL", model__ci="Wald", better="higher")
    told = departures(freeze(analysis, when="2026-01-31"), done)
    assert [d.field for d in told] == ["better", "model.tau2", "model.ci"]


def test_a_part_that_later_versions_know_departs_only_where_it_says_something(analysis: Analysis) -> None:
    """A plan frozen before a key existed: its default is no departure, a value is."""
    frozen = freeze(analysis, when="2026-01-31")
    plan = json.loads(json.dumps(frozen.plan))
    del plan["model"]["pi"]
    old = type(frozen)(frozen.name, frozen.when, frozen.engine, plan)
    assert departures(old, analysis) == departures(old, other(analysis)) == ()
    assert [d.field for d in departures(old, other(analysis, model__pi="HTS"))] == ["model.pi"]


def test_an_amendment_carries_its_reason(analysis: Analysis) -> None:
    frozen = freeze(analysis, when="2026-01-31")
    once = other(analysis, model__tau2="DL")
    amended = amend(frozen, once, when="2026-02-01", why="the reviewers asked")
    (told,) = departures(amended, once)
    assert told.amended is not None
    assert "(amended 2026-02-01: the reviewers asked)" in str(told)
    # what was changed after it is not announced
    twice = other(once, model__ci="Wald")
    assert [(d.field, d.amended is None) for d in departures(amended, twice)] == [
        ("model.tau2", False),
        ("model.ci", True),
    ]
    with pytest.raises(UsageError, match="nothing to amend"):
        amend(amended, once, when="2026-03-01", why="again")
    with pytest.raises(UsageError, match="needs its reason"):
        amend(amended, twice, when="2026-03-01", why=" ")


def test_files_come_back_as_they_were_and_edits_are_found(analysis: Analysis, tmp_path: Path) -> None:
    frozen = freeze(analysis, when="2026-01-31", known=["wong-2001", "han-2010"])
    frozen = amend(frozen, other(analysis, model__tau2="DL"), when="2026-02-01", why="asked")
    path = tmp_path / "icu-anxiety.frozen.json"
    path.write_text(frozen_text(frozen), encoding="utf-8")
    assert read_frozen(path) == frozen
    for old, place in (('"tau2": "REML"', "plan"), ('"tau2": "DL"', "amendments.0.plan")):
        path.write_text(frozen_text(frozen).replace(old, '"tau2": "PM"'), encoding="utf-8")
        with pytest.raises(RecordError, match="edited after it was frozen") as told:
            read_frozen(path)
        assert told.value.problems[0].field == place
    for broken in ("{", "[]", "{}", '{"schema": 9}'):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(RecordError):
            read_frozen(path)


def test_another_analysis_is_refused(analysis: Analysis) -> None:
    with pytest.raises(UsageError, match="and not that of"):
        departures(freeze(analysis, when="2026-01-31"), other(analysis, name="another"))


def test_every_part_of_an_analysis_file_is_planned_or_named_as_coming_later() -> None:
    """A key that is added to the schema lands in the plan unless somebody says that it comes later."""
    later = {"schema_", "published", "note", "grade"}
    item = read_analyses([data_folder("analyses") / "depression.yaml"])[0].analysis
    assert set(plan_of(item)) == set(Analysis.model_fields) - later


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "review"
    shutil.copytree(data_folder("studies") / "icu", root / "studies" / "icu")
    (root / "analyses").mkdir()
    shutil.copy(data_folder("analyses") / "icu-anxiety.yaml", root / "analyses")
    monkeypatch.chdir(root)
    return root


def call(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.output


def test_the_commands(project: Path) -> None:
    file = project / "analyses" / "icu-anxiety.yaml"
    assert "5 trials answered it already" in call("freeze", str(file))
    frozen = frozen_beside(file)
    assert frozen is not None
    assert "wong-2001" in frozen.known
    assert "unchanged" in call("freeze", str(file))
    call("run", "--no-draw")
    assert "no departure" in call("verify")
    file.write_text(file.read_text(encoding="utf-8").replace("tau2: REML", "tau2: DL"), encoding="utf-8")
    result = CliRunner().invoke(app, ["freeze", str(file)])
    assert isinstance(result.exception, UsageError)
    assert "announce it with --amend" in str(result.exception)
    call("run", "--no-draw")
    told = call("verify")
    assert "1 departure from the plan" in told
    assert "model.tau2: REML was planned, DL was done" in told
    call("freeze", str(file), "--amend", "the register asked for it")
    (item,) = json.loads(call("verify", "--json"))
    assert item["frozen"]["departures"][0]["amended"]["why"] == "the register asked for it"


def test_a_plan_without_records_is_blind(project: Path) -> None:
    shutil.rmtree(project / "studies" / "icu")
    assert "no trial answered it yet" in call("freeze", "analyses/icu-anxiety.yaml")
    assert frozen_file(project / "analyses" / "icu-anxiety.yaml").is_file()
