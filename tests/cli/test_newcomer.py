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


TABLE = """study,m1,sd1,n1,m2,sd2,n2
Smith 2001,10.2,3.1,20,12.0,3.3,21
Jones 2005,11.0,2.9,35,12.1,3.0,33
Lee 2010,9.5,3.5,15,11.2,3.1,16
"""
TENTHS = re.compile(r"(\d)\.(\d)")
READ = {
    "commas": TABLE.encode(),
    "byte order mark": b"\xef\xbb\xbf" + TABLE.encode(),
    "utf-16, as spreadsheets write Unicode text": TABLE.replace(",", "\t").encode("utf-16"),
    "tabs": TABLE.replace(",", "\t").encode(),
    "semicolons": TABLE.replace(",", ";").encode(),
    "semicolons and decimal commas": TENTHS.sub(r"\1,\2", TABLE.replace(",", ";")).encode(),
    "Windows ends of lines, spaces, an empty line": TABLE.replace(",", " , ")
    .replace("\n", "\r\n\r\n")
    .encode(),
    "capitals in the header": TABLE.replace("study,m1,sd1", "Study,M1,SD1").encode(),
    "a column of words and an empty one": TABLE.replace("\n", ",low,\n")
    .replace("n2,low,", "n2,risk,", 1)
    .encode(),
}


@pytest.mark.parametrize("how", READ)
def test_tables_as_spreadsheets_write_them(how: str, tmp_path: Path) -> None:
    """The same three trials, whatever stands between cells; the estimate is metafor's (3.8, escalc, rma)."""
    (tmp_path / "t.csv").write_bytes(READ[how])
    code, out, err = run("pool", str(tmp_path / "t.csv"), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["estimate"] == pytest.approx(-0.4508, abs=5e-5)
    assert json.loads(out)["k"] == 3


REFUSED = {
    "text": (TABLE.replace("2.9", "abc"), "t.csv:3: sd1 = 'abc' is not a number"),
    "thousands": (TABLE.replace("11.0", '"1,100"'), "t.csv:3: m1 = '1,100' is not a number"),
    "both decimal signs": (
        TABLE.replace(",", ";").replace("2.9", "2,9"),
        "t.csv:3: sd1 = '2,9' is not a number",
    ),
    "missing": (TABLE.replace("2.9", "NA"), "t.csv:3: study 'Jones 2005' (row 2): sd1 = nan: is missing"),
    "negative SD": (TABLE.replace("2.9", "-2.9"), "t.csv:3: study 'Jones 2005' (row 2): sd1 = -2.9"),
    "a line twice": (TABLE + TABLE.splitlines()[3], "t.csv:5: is line 4 once more, cell by cell"),
    "a cell too many": (TABLE.replace("33\n", "33,9\n"), "t.csv:3: has 8 cells under 7 headings"),
    "a column twice": (TABLE.replace("sd1", "m1"), "t.csv:1: two columns are called m1"),
    "other names": (TABLE.replace("sd1", "SD 1"), "missing: sd1 (is it 'sd 1'?)"),
    "an interval beside yi": ("study,yi,lower,upper\nA,1,0,2\nB,1,0,3\n", "the standard error as sei"),
    "nothing": ("", "t.csv: is empty; write one header line"),
    "a header alone": (TABLE.splitlines()[0], "t.csv: has a header and no rows"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_table_with_a_mistake_is_answered_by_its_line(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text, said = REFUSED[what]
    Path("t.csv").write_text(text, "utf-8")
    code, out, err = run("pool", "t.csv", "--measure", "SMD")
    assert (code, out) == (1, "")
    assert said in one_sentence(err)


def test_a_table_in_another_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_bytes(TABLE.replace("Jones", "Müller").encode("latin-1"))
    code, _, err = run("pool", "t.csv")
    assert code == 1
    assert one_sentence(err).startswith("t.csv:3: is not in UTF-8; save the file as 'CSV UTF-8'")


def test_a_standard_error_by_either_name_and_a_study_in_two_rows(tmp_path: Path) -> None:
    for name in ("se", "sei"):
        (tmp_path / "t.csv").write_text(f"study,yi,{name}\nA,0.1,0.2\nA,0.3,0.1\n", "utf-8")
        code, out, err = run("pool", str(tmp_path / "t.csv"), "--measure", "SMD", "--json")
        assert code == 0
        assert json.loads(out)["estimate"] == pytest.approx(0.26, abs=1e-12)  # (0.1/0.04 + 0.3/0.01) / 125
        assert one_sentence(err).startswith("A stands in 2 rows, which are pooled as if they were different")


def test_commands_that_miss_their_file_say_what_to_do(review: Path) -> None:
    code, _, err = run("claims")
    assert code == 2
    assert "there is no analyses/claims.yaml here; docs/claims.md shows how to write one" in one_sentence(err)
    code, _, err = run("diff", "HEAD")
    assert code == 2
    assert "in no git repository and has no revisions; name two folders" in one_sentence(err)
    code, out, _ = run("pool", "example")
    assert code == 0
    assert "0.0500 [-0.3531, 0.4530]" in out
    code, _, err = run("new", "smith-2020")
    assert code == 2
    assert "--condition, --construct, --music, --control are missing" in one_sentence(err)


def test_a_decimal_comma_in_a_record(review: Path) -> None:
    path = review / "studies" / "dementia" / "ceccato-2012.yaml"
    path.write_text(path.read_text("utf-8").replace("mean: 9.66", "mean: 9,66"), "utf-8")
    code, out, _ = run("check")
    assert code == 1
    first, last = out.strip().splitlines()
    assert "ceccato-2012.yaml:31:" in first
    assert "was a decimal comma written?" in first
    assert last == "1 error; the records are checked against each other once every file can be read"


def test_a_question_without_an_answer_prints_no_empty_table(review: Path) -> None:
    path = review / "analyses" / "example.yaml"
    path.write_text(path.read_text("utf-8").replace("measure: SMD", "measure: OR"), "utf-8")
    code, out, err = run("run")
    assert (code, out) == (1, "")
    assert "no selected row gives an effect as OR" in err


def test_no_line_of_the_help_is_cut() -> None:
    _, out, _ = run("--help")
    assert "..." not in out.partition("Commands:")[2]
    assert len([line for line in out.splitlines() if re.match(r"  [a-z]+  ", line)]) >= 22


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
