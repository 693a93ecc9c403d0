"""What a newcomer gets wrong is answered by one sentence that says what to do."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from mtmeta.cli import main

HERE = Path(__file__).resolve().parents[2]


def run(*args: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(list(args))
    code = ended.value.code
    return (0 if code is None else int(code)), out.getvalue(), err.getvalue()


@pytest.fixture
def review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run("init", "review")[0] == 0
    monkeypatch.chdir(tmp_path / "review")
    return tmp_path / "review"


def one_sentence(text: str) -> str:
    (line,) = text.strip().splitlines()
    assert "Traceback" not in line
    return line


@pytest.mark.parametrize("command", ["run", "verify", "figures"])
def test_wrong_folder(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(command)
    assert code == 2
    assert "there is no folder analyses here" in one_sentence(err)
    assert "mtmeta init FOLDER" in err


def test_inside_the_folder_of_analyses(review: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(review / "analyses")
    code, _, err = run("run")
    assert code == 2
    assert "go one up" in one_sentence(err)


def test_no_records(review: Path) -> None:
    for path in (review / "studies").rglob("*.yaml"):
        path.unlink()
    code, _, err = run("run")
    assert code == 1
    assert "holds no records" in one_sentence(err)


def test_a_folder_without_studies(review: Path) -> None:
    (review / "studies").rename(review / "trials")
    code, _, err = run("run")
    assert code == 2
    assert "name it with --studies" in one_sentence(err)
    assert run("run", "--studies", "trials")[0] == 0


def test_misspelt_construct_in_a_question(review: Path) -> None:
    path = review / "analyses" / "example.yaml"
    path.write_text(
        path.read_text("utf-8").replace("constructs: [depression]", "constructs: [depresion]"), "utf-8"
    )
    code, _, err = run("run")
    assert code == 1
    assert 'example.yaml:13: select.constructs.0: is "depresion"; write depression' in one_sentence(err)


def test_misspelt_construct_in_python() -> None:
    import mtmeta as mt

    with pytest.raises(mt.MtmetaError, match="did you mean anxiety\\?"):
        mt.effect_sizes(mt.example_studies(), condition="cardiac", construct="anxeity")


def test_misspelt_construct_in_a_new_record(review: Path) -> None:
    arms = ("--music", "15,30,5", "--control", "15,38,6", "--condition", "cardiac")
    code, _, err = run("new", "someone-2001", "--construct", "anxeity", *arms)
    assert code == 2
    assert "did you mean anxiety" in one_sentence(err)


def test_excel_instead_of_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trials.xlsx").write_bytes(b"PK\x03\x04")
    code, _, err = run("pool", "trials.xlsx")
    assert code == 1
    assert "save the sheet as CSV" in one_sentence(err)


def test_a_csv_whose_columns_are_called_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trials.csv").write_text("study,effect,variance\nA,1,2\n", "utf-8")
    code, _, err = run("pool", "trials.csv")
    assert code == 1
    assert "name them yi,vi" in one_sentence(err)


def test_an_analysis_that_does_not_exist(review: Path) -> None:
    for command in (["run"], ["effects"], ["figures"], ["pool"]):
        code, _, err = run(*command, "analyses/exampel.yaml")
        assert code == 2, command
        assert "did you mean analyses/example.yaml?" in one_sentence(err)
    code, _, err = run("why", "exampel", "ceccato-2012")
    assert code == 2
    assert "did you mean analyses/example.yaml?" in one_sentence(err)


def test_an_analysis_by_its_name_alone(review: Path) -> None:
    code, out, _ = run("why", "example", "ceccato-2012")
    assert code == 0
    assert out.startswith("Ceccato 2012 in example")


def test_a_trial_that_does_not_exist(review: Path) -> None:
    code, _, err = run("why", "example", "cecato-2012")
    assert code == 2
    assert "did you mean ceccato-2012?" in one_sentence(err)


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    version = namedtuple("version", "major minor micro releaselevel serial")(3, 10, 12, "final", 0)
    monkeypatch.setattr(sys, "version_info", version)
    code, _, err = run("--version")
    assert code == 2
    assert "needs Python 3.11 or newer and this is 3.10" in one_sentence(err)


def test_a_missing_extra(review: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (review / "trials.xlsx").write_bytes(b"PK\x03\x04")
    code, _, err = run("import", "trials.xlsx", "--to", "studies")
    assert code in (1, 2)
    assert "[exchange]" in one_sentence(err)


# ---- init, new, demo ----


def test_schemas_are_hinted_to_editors(review: Path) -> None:
    settings = json.loads((review / ".vscode" / "settings.json").read_text("utf-8"))
    for schema in settings["yaml.schemas"]:
        assert (review / schema).is_file()
    for path in [*(review / "studies").rglob("*.yaml"), *(review / "analyses").glob("*.yaml")]:
        hint = re.match(r"# yaml-language-server: \$schema=(.+)", path.read_text("utf-8"))
        assert hint is not None, path
        assert (path.parent / hint[1]).is_file(), path


@pytest.mark.parametrize(
    ("given", "installed"),
    [
        ("https://example.org/us/mtmeta.git", "git+https://example.org/us/mtmeta.git"),
        ("git@example.org:us/mtmeta.git", "git+ssh://git@example.org/us/mtmeta.git"),
        ("../my tools/mtmeta", "'../my tools/mtmeta'"),
        ("./it's: here # now", "'./it'\"'\"'s: here # now'"),
    ],
)
def test_the_workflow_installs_from_where_the_user_says(given: str, installed: str, tmp_path: Path) -> None:
    import yaml

    assert run("init", str(tmp_path / "mine"), "--from", given)[0] == 0
    text = (tmp_path / "mine/.github/workflows/review.yml").read_text("utf-8")
    steps = yaml.safe_load(text)["jobs"]["check"]["steps"]
    assert [s["run"].strip() for s in steps if "run" in s] == [
        f"python -m pip install {installed}",
        "mtmeta check",
        "mtmeta verify",
    ]


@pytest.mark.parametrize("given", ["mtmeta", "", "a\nb/"])
def test_a_name_that_a_package_index_would_be_asked_for_is_refused(given: str, tmp_path: Path) -> None:
    code, _, err = run("init", str(tmp_path / "mine"), "--from", given)
    assert code == 2
    assert "--from" in one_sentence(err)
    assert not (tmp_path / "mine").exists()


def test_new_writes_events_and_trials_without_numbers(review: Path) -> None:
    events = ("--events", "--construct", "delirium", "--music", "4,20", "--control", "9,21")
    assert run("new", "someone-2001", "--condition", "icu", *events, "--reference", "A report.")[0] == 0
    means = ("--construct", "anxiety", "--music", "4,20,3", "--control", "9,21,3", "--value", "finall")
    assert "did you mean final?" in run("new", "third-2003", "--condition", "icu", *means)[2]
    assert run("new", "other-2002", "--condition", "icu", "--no-outcome")[0] == 0
    assert run("check")[0] == 0
    text = (review / "studies/icu/someone-2001.yaml").read_text("utf-8")
    assert "kind: events" in text
    assert "A report." in text


@pytest.mark.parametrize("name", ["../outside", "White 1999", "a/b"])
def test_new_makes_no_file_of_a_name_that_is_no_id(name: str, review: Path) -> None:
    before = sorted(review.parent.rglob("*"))
    code, _, err = run("new", name, "--condition", "icu", "--no-outcome")
    assert code == 2
    assert "id" in one_sentence(err)
    assert sorted(review.parent.rglob("*")) == before


def test_new_finds_the_record_in_any_folder(review: Path) -> None:
    code, _, err = run("new", "ceccato-2012", "--condition", "icu", "--no-outcome")
    assert code == 2
    assert "dementia/ceccato-2012.yaml exists" in one_sentence(err)


def test_new_says_what_cannot_be_true(review: Path) -> None:
    arms = ("--events", "--construct", "delirium", "--music", "24,20", "--control", "9,21")
    code, _, err = run("new", "someone-2001", "--condition", "icu", *arms)
    assert code == 0
    assert "look again" in err


def test_the_tour_is_plain_and_quick_in_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("demo")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "agrees" in out
    assert re.search(r"pooled, k = 5 .*◆.* -1\.11 \[-1\.97, -0\.25\]", out)
    assert list(tmp_path.iterdir()) == []


def test_the_tour_takes_a_minute_on_a_terminal() -> None:
    from mtmeta.cli.demo import PAUSES

    assert 30 <= sum(PAUSES) <= 55
