from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.cli import main
from mtmeta.errors import UsageError
from mtmeta.records.folder import Studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.locked import number_at
from mtmeta.reports.publish import write_report

ANALYSIS = str(data_folder("analyses") / "schizophrenia-panss.yaml")


def test_the_command_writes_the_page_and_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leave:
        main(["report", ANALYSIS, "--out", str(tmp_path / "out"), "--json"])
    assert leave.value.code == 0
    written = json.loads(capsys.readouterr().out)
    assert written == [str(tmp_path / "out" / "index.html")]
    page = Path(written[0]).read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "General symptoms (PANSS) in schizophrenia" in page
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["index.html"]


def test_an_unknown_format_is_refused_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leave:
        main(["report", ANALYSIS, "--out", str(tmp_path / "out"), "--format", "html,docx"])
    assert leave.value.code == 2
    assert "use html, md, tex" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_analysis_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no analysis to report"):
        write_report([], tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_analysis_that_fails_leaves_the_old_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(ANALYSIS).read_text(encoding="utf-8").replace("medium term]", "follow-up]")
    (tmp_path / "schizophrenia-panss.yaml").write_text(text, encoding="utf-8")
    old = tmp_path / "out" / "index.html"
    old.parent.mkdir()
    old.write_text("old", encoding="utf-8")
    folder = ["--studies", str(data_folder("studies")), "--out", str(old.parent)]
    with pytest.raises(SystemExit) as leave:
        main(["report", str(tmp_path / "schizophrenia-panss.yaml"), *folder])
    assert leave.value.code == 1
    assert "no row answers the question" in capsys.readouterr().err
    assert old.read_text(encoding="utf-8") == "old"


def test_a_place_that_cannot_be_written_is_told(runs: dict[str, AnalysisRun], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot write"):
        write_report([runs["schizophrenia-panss"]], tmp_path / "file")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
@pytest.mark.slow
def test_a_killed_run_leaves_the_old_page(tmp_path: Path) -> None:
    """Kill the command at ten moments from its start to its end; the page is the old or the new one."""
    old = tmp_path / "index.html"
    old.write_text("old", encoding="utf-8")
    command = [sys.executable, "-m", "mtmeta", "report", ANALYSIS, "--out", str(tmp_path)]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole, new = time.monotonic() - started, old.read_bytes()
    seen = set()
    for share in (0.1, 0.5, 0.8, 0.9, 0.95, 1.0, 1.05, 1.2):
        old.write_text("old", encoding="utf-8")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(share * whole)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        found = old.read_bytes()
        assert found in (b"old", new)
        seen.add(found == new)
    assert False in seen


@pytest.mark.slow
def test_the_page_of_all_analyses_equals_the_locks_and_is_below_five_megabytes(
    records: Studies, tmp_path: Path
) -> None:
    named = read_analyses([data_folder("analyses")])
    runs = [run_analysis(item.analysis, records) for item in named]
    (page,) = write_report(runs, tmp_path)
    assert page.stat().st_size < 5_000_000
    locks = {
        item.analysis.name: json.loads(item.path.with_suffix(".lock.json").read_text(encoding="utf-8"))
        for item in named
    }
    found = re.findall(r'<data value="([^"]*)" data-at="([^"]+)">', page.read_text(encoding="utf-8"))
    assert {at.partition("/")[0] for _, at in found} == set(locks)
    assert len(found) > 3000
    for value, at in found:
        name, _, path = at.partition("/")
        locked = float(number_at(locks[name]["results"], path))
        assert float(value) == pytest.approx(locked, rel=1e-9, abs=1e-12), at
