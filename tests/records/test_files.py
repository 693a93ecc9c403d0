"""Old files or new files, never half ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtmeta.errors import UsageError
from mtmeta.records.files import write_atomic, write_atomic_set


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "new" / "a.txt", "τ² –\n")
    assert path.read_bytes() == "τ² –\n".encode()
    write_atomic(path, b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_permissions_stay_and_new_files_are_readable(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        path = write_atomic(tmp_path / "a.txt", "1")
        assert path.stat().st_mode & 0o777 == 0o644
        path.chmod(0o600)
        write_atomic(path, "2")
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    write_atomic(link, "new")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"


def test_a_set_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("old", encoding="utf-8")
    (tmp_path / "c.txt").mkdir()
    with pytest.raises(UsageError, match=r"cannot write .*c\.txt: it is a folder"):
        write_atomic_set({first: "new", second: "new", tmp_path / "c.txt": "new"})
    assert first.read_text(encoding="utf-8") == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "c.txt"]
    assert write_atomic_set({first: "new", second: b"new"}) == (first, second)
    assert first.read_text(encoding="utf-8") == second.read_text(encoding="utf-8") == "new"


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"cannot write .*file/a\.txt: .*; choose a place"):
        write_atomic(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(UsageError, match=r"cannot write"):
        write_atomic(tmp_path / ("n" * 300), "x")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_atomic(tmp_path / "a.txt", "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_atomic(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL of POSIX")
def test_killed_at_any_moment_it_leaves_a_whole_file(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom mtmeta.records.files import write_atomic\n"
        "print('ready', flush=True)\n"
        "while True:\n    for c in 'ab':\n        write_atomic(sys.argv[1], c * 3_000_000)\n"
    )
    path = write_atomic(tmp_path / "x.txt", "a" * 3_000_000)
    for wait in (0.02, 0.05, 0.11):
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        content = path.read_bytes()
        assert content in (b"a" * 3_000_000, b"b" * 3_000_000)
