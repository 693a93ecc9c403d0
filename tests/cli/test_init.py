"""A new review runs at once; a new record is read back; nothing is overwritten unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def mtmeta(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mtmeta", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )


def test_a_new_review_runs_at_once(tmp_path: Path) -> None:
    done = mtmeta("init", "my-review", "--from", "../mt meta", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    root = tmp_path / "my-review"
    assert "pip install '../mt meta'" in (root / ".github" / "workflows" / "review.yml").read_text()
    checked = mtmeta("check", cwd=root)
    assert checked.returncode == 0, checked.stdout
    run = mtmeta("run", "--json", cwd=root)
    assert run.returncode == 0, run.stderr
    (answer,) = json.loads(run.stdout)
    assert answer["k"] == 2
    assert (root / "figures" / "example.svg").is_file()
    verified = mtmeta("verify", cwd=root)
    assert verified.returncode == 0
    assert "1 of 1 lock files hold" in verified.stdout


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    done = mtmeta("init", "mine", cwd=tmp_path)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert (tmp_path / "mine" / "README.md").read_text() == "mine"
    assert list((tmp_path / "mine").iterdir()) == [tmp_path / "mine" / "README.md"]


def test_a_new_record_can_be_read_back(tmp_path: Path) -> None:
    options = (
        "--condition",
        "cardiac",
        "--construct",
        "anxiety",
        "--music",
        "15,30.2,5",
        "--control",
        "15,38,6.5",
    )
    done = mtmeta("new", "someone-2001", *options, "--instrument", "STAI-S", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "studies" / "cardiac" / "someone-2001.yaml"
    assert "mean: 30.2" in path.read_text()
    assert mtmeta("check", "studies", cwd=tmp_path).returncode == 0
    again = mtmeta("new", "someone-2001", *options, cwd=tmp_path)
    assert again.returncode == 2
    assert "exists" in again.stderr


def test_a_record_that_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    base = ("--construct", "anxiety", "--control", "15,38,6")
    for options, words in (
        ((*base, "--condition", "cardiack", "--music", "15,30,5"), "condition"),
        ((*base, "--condition", "cardiac", "--music", "15,30"), "n,mean,sd"),
        ((*base, "--music", "15,30,5"), "condition is missing"),
    ):
        done = mtmeta("new", "someone-2001", *options, cwd=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr
    assert not (tmp_path / "studies").exists()
