"""The commands as a shell sees them: output, exit codes, files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtmeta.records.locate import data_folder


def mtmeta(*args: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mtmeta", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})},
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of its own with the records and two analyses."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(data_folder("studies"), root / "studies")
    (root / "analyses").mkdir()
    for name in ("icu-anxiety", "cardiac-pain"):
        shutil.copy(data_folder("analyses") / f"{name}.yaml", root / "analyses")
    return root


def test_run_writes_table_locks_and_figures(project: Path) -> None:
    done = mtmeta("run", cwd=project, env={"COLUMNS": "20"})
    assert done.returncode == 0, done.stderr
    line = next(x for x in done.stdout.splitlines() if x.startswith("icu-anxiety"))
    assert "SMD -1.11 [-1.75, -0.47]" in line
    assert "agrees" in line
    assert "[-3.04, 0.82]" in line
    lock = json.loads((project / "analyses" / "icu-anxiety.lock.json").read_text(encoding="utf-8"))
    assert lock["schema"] == 1
    assert lock["results"]["k"] == 5
    assert set(lock["inputs"]["records"]) == {r["study"] for r in lock["results"]["rows"]}
    for kind, head in (("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
        assert (project / "figures" / f"icu-anxiety.{kind}").read_bytes().startswith(head)
    assert not list(project.rglob("*.part"))


def test_run_json_holds_what_scripts_need(project: Path) -> None:
    done = mtmeta("run", "--json", "--no-draw", cwd=project)
    assert done.returncode == 0, done.stderr
    by_name = {a["name"]: a for a in json.loads(done.stdout)}
    for name in ("icu-anxiety", "cardiac-pain"):
        assert {"name", "k", "n", "estimate", "ci", "pi", "published", "agreement"} <= set(by_name[name])
        assert by_name[name]["agreement"] == "agrees"


def test_the_same_run_writes_the_same_lock(project: Path) -> None:
    lock = project / "analyses" / "cardiac-pain.lock.json"
    mtmeta("run", "--no-draw", "analyses/cardiac-pain.yaml", cwd=project)
    first = lock.read_bytes()
    mtmeta("run", "--no-draw", "analyses/cardiac-pain.yaml", cwd=project)
    assert lock.read_bytes() == first


def test_a_killed_run_leaves_whole_files(project: Path) -> None:
    """kill -9 at many moments: every lock parses, every figure is whole or absent."""
    for delay in (0.6, 0.9, 1.2, 1.5, 1.8):
        run = subprocess.Popen(
            [sys.executable, "-m", "mtmeta", "run"],
            cwd=project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay)
        run.send_signal(signal.SIGKILL)
        run.wait()
        for lock in (project / "analyses").glob("*.lock.json"):
            assert json.loads(lock.read_text(encoding="utf-8"))["schema"] == 1
        for figure in (project / "figures").glob("*.svg"):
            assert figure.read_text(encoding="utf-8").rstrip().endswith("</svg>")
        for figure in (project / "figures").glob("*.pdf"):
            assert figure.read_bytes().rstrip().endswith(b"%%EOF")
        for figure in (project / "figures").glob("*.png"):
            assert figure.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_check_is_fine_with_the_shipped_records(project: Path) -> None:
    done = mtmeta("check", "--json", cwd=project)
    assert done.returncode == 0, done.stdout
    for finding in json.loads(done.stdout):
        assert {"code", "severity", "path", "line", "ids", "message"} <= set(finding)


def test_check_tells_every_problem_of_every_file(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    text = (data_folder("studies") / "cardiac" / "white-1999.yaml").read_text(encoding="utf-8")
    (folder / "white-1999.yaml").write_text(
        text.replace("category: music medicine", "category: music medecine")
    )
    (folder / "other-1999.yaml").write_text(
        text.replace("id: white-1999", "id: other-1999", 1) + "surprise: 1\n"
    )
    done = mtmeta("check", "studies", cwd=tmp_path)
    assert done.returncode == 1
    assert "music medicine" in done.stdout
    assert "surprise" in done.stdout
    assert "white-1999.yaml:" in done.stdout
    assert "other-1999.yaml:" in done.stdout


def test_effects_lists_routes_and_what_was_left_out(project: Path) -> None:
    done = mtmeta("effects", "analyses/icu-anxiety.yaml", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["effects"]) == 5
    assert all("printed SMD" in e["route"] for e in told["effects"])
    assert all(x["reason"] for x in told["left_out"])


def test_pool_takes_a_csv_of_anybodys(tmp_path: Path) -> None:
    """Borenstein et al. 2009, ch. 14, data set 1: DL mean 0.358 [0.152, 0.565], tau2 0.037."""
    (tmp_path / "six.csv").write_text(
        "study,m1,sd1,n1,m2,sd2,n2\n"
        "Carroll,94,22,60,92,20,60\nGrant,98,21,65,92,22,65\nPeck,98,28,40,88,26,40\n"
        "Donat,94,19,200,82,17,200\nStewart,98,21,50,88,22,45\nYoung,96,21,85,92,22,85\n"
    )
    book = ("--tau2", "DL", "--ci", "Wald", "--variance", "LS2")  # the variance of its equation 4.24
    done = mtmeta("pool", "six.csv", *book, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["k"] == 6
    assert told["estimate"] == pytest.approx(0.358229, abs=5e-7)
    assert told["tau2"] == pytest.approx(0.037311, abs=5e-7)
    words = mtmeta("pool", "six.csv", cwd=tmp_path)
    assert "REML" in words.stdout


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["run"], 2, "no folder analyses here"),
        (["check"], 2, "no folder studies"),
        (["pool", "none.csv"], 1, "no such file"),
        (["pool", "book.xlsx"], 1, "save the sheet as CSV"),
        (["pool", "bad.csv"], 1, "name them yi,vi"),
        (["pool", "zero.csv"], 1, "zero.csv:2: study 'A 2001'"),
        (["pool", "missing.csv"], 1, "missing.csv:3: study 'B 2002'"),
        (["pool", "good.csv", "--tau2", "REMLL"], 2, "REMLL"),
        (["pool", "good.csv", "--level", "95"], 2, "0.95"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_newcomers_errors_say_what_to_do(tmp_path: Path, args: list[str], code: int, words: str) -> None:
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    (tmp_path / "bad.csv").write_text("effect,variance\n1,2\n")
    (tmp_path / "zero.csv").write_text("study,yi,vi\nA 2001,0.3,0\n")
    (tmp_path / "missing.csv").write_text("study,yi,vi\nA 2001,0.3,0.1\nB 2002,,0.2\n")
    (tmp_path / "good.csv").write_text("study,yi,vi\nA 2001,0.3,0.1\nB 2002,0.1,0.2\n")
    done = mtmeta(*args, cwd=tmp_path)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert words in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["run", "check", "effects", "pool", "figures"])
def test_help_shows_an_example(tmp_path: Path, command: str) -> None:
    done = mtmeta(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"Example: mtmeta {command}" in done.stdout


def test_figures_draws_what_is_asked_for(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "print"
    done = mtmeta(
        "figures", "analyses/icu-anxiety.yaml", "--format", "pdf", "--out", str(out), "--json", cwd=project
    )
    assert done.returncode == 0, done.stderr
    names = [f"icu-anxiety{part}.{suffix}" for part in ("", "-posterior") for suffix in ("pdf", "json")]
    assert [Path(p).name for p in json.loads(done.stdout)] == names
    assert sorted(p.name for p in out.iterdir()) == sorted(names)


def test_figures_check_tells_what_no_longer_follows(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "print"
    drawn = mtmeta(
        "figures",
        "analyses/icu-anxiety.yaml",
        "--format",
        "svg",
        "--style",
        "jama",
        "--out",
        str(out),
        cwd=project,
    )
    assert drawn.returncode == 0, drawn.stderr
    held = mtmeta("figures", "analyses/icu-anxiety.yaml", "--check", "--out", str(out), cwd=project)
    assert held.returncode == 0, held.stderr
    layout = out / "icu-anxiety.json"
    layout.write_text(
        layout.read_text(encoding="utf-8").replace("State anxiety", "State fear"), encoding="utf-8"
    )
    stale = mtmeta("figures", "analyses/icu-anxiety.yaml", "--check", "--out", str(out), cwd=project)
    assert stale.returncode == 1
    assert "State fear" in stale.stderr


@pytest.mark.parametrize(
    "text", ["Study,YI,sei\nA,0.1,0.2\nB,0.3,0.1\n", "study;yi;vi\nA;0,1;0,04\nB;0,3;0,01\n"]
)
def test_pool_reads_the_ways_people_write_a_csv(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    (tmp_path / "y.csv").write_text("study,yi,vi\nA,0.1,0.04\nB,0.3,0.01\n")
    first, second = (mtmeta("pool", name, "--json", cwd=tmp_path) for name in ("x.csv", "y.csv"))
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["estimate"] == json.loads(second.stdout)["estimate"]


def test_multiverse_shows_words_and_opens_a_point(project: Path, tmp_path: Path) -> None:
    shutil.copy(data_folder("analyses") / "cardiac-anxiety.yaml", project / "analyses")
    name = "analyses/cardiac-anxiety.yaml"
    done = mtmeta("multiverse", name, "--flips", "9", "--out", str(tmp_path), cwd=project)
    assert done.returncode == 0, done.stderr
    assert "768 analyses from the choices" in done.stdout
    assert "(10 random sign flips of 13 trials" in done.stdout
    assert (tmp_path / "cardiac-anxiety-multiverse.svg").read_bytes().startswith(b"<?xml")
    told = json.loads(mtmeta("multiverse", name, "--json", "--no-draw", "--flips", "0", cwd=project).stdout)
    (curve,) = told[0]["curves"]
    opened = mtmeta("multiverse", name, "--open", "17", "--out", "points", cwd=project)
    assert opened.stdout.strip() == str(Path("points") / "cardiac-anxiety-17.yaml")
    ran = mtmeta("run", opened.stdout.strip(), "--studies", "studies", "--no-draw", "--json", cwd=project)
    answer = json.loads(ran.stdout)[0]
    assert answer["estimate"] == pytest.approx(curve["points"][16]["estimate"], rel=1e-9)
    assert answer["ci"] == pytest.approx(curve["points"][16]["ci"], rel=1e-9)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("analyses/icu-anxiety.yaml",), "none of these analyses declares alternatives"),
        (("analyses/cardiac-anxiety.yaml", "--open", "9999"), "points are 1 to 768"),
    ],
)
def test_multiverse_refuses(project: Path, args: tuple[str, ...], words: str) -> None:
    shutil.copy(data_folder("analyses") / "cardiac-anxiety.yaml", project / "analyses")
    done = mtmeta("multiverse", *args, cwd=project)
    assert done.returncode == 2
    assert words in done.stderr


def test_run_on_two_processes_writes_the_same_bytes(tmp_path: Path) -> None:
    """Table, locks and figures, and how an analysis without an answer is told."""
    roots = [tmp_path / "here", tmp_path / "there"]
    for root in roots:
        shutil.copytree(data_folder("studies"), root / "studies")
        (root / "analyses").mkdir()
        for name in ("icu-anxiety", "cardiac-pain", "cardiac-distress", "dementia-anxiety", "insomnia-psqi"):
            shutil.copy(data_folder("analyses") / f"{name}.yaml", root / "analyses")
        text = (root / "analyses" / "icu-anxiety.yaml").read_text(encoding="utf-8")
        lost = text.replace("name: icu-anxiety", "name: a-lost-one").replace(
            "conditions: [icu]", "conditions: [copd]"
        )
        (root / "analyses" / "a-lost-one.yaml").write_text(lost, encoding="utf-8")
    here = mtmeta("run", cwd=roots[0])
    there = mtmeta("run", "--cluster", "2", cwd=roots[1])
    assert here.returncode == there.returncode == 1
    assert "a-lost-one.yaml: " in here.stderr
    assert (there.stdout, there.stderr) == (here.stdout, here.stderr)
    files = [{p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()} for root in roots]
    assert files[0] == files[1]
    assert sum(p.name.endswith(".lock.json") for p in files[0]) == 5
    assert any(p.suffix == ".pdf" for p in files[0])
    nobody = mtmeta("run", "--cluster", "0", cwd=roots[1])
    assert nobody.returncode == 2
    assert "give a number of processes of 1 or more" in nobody.stderr


def test_multiverse_on_two_processes_says_the_same(project: Path) -> None:
    shutil.copy(data_folder("analyses") / "cardiac-anxiety.yaml", project / "analyses")
    args = ("multiverse", "analyses/cardiac-anxiety.yaml", "--no-draw", "--json", "--flips", "300")
    here = mtmeta(*args, cwd=project)
    there = mtmeta(*args, "--cluster", "2", cwd=project)
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout
    assert there.stderr == ""  # a pipe gets no progress
    nobody = mtmeta(*args, "--cluster", "tcp://127.0.0.1:9", cwd=project)
    assert nobody.returncode == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in nobody.stderr
