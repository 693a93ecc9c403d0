"""Commands on a real Dask scheduler with two workers: the same bytes, also when one is killed in mid-run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from mtmeta.records.locate import data_folder

pytestmark = pytest.mark.xdist_group("cluster")  # its processes start once


class Running(Protocol):
    """What tests/conftest.py starts: a scheduler and its workers."""

    address: str
    workers: list[subprocess.Popen[bytes]]

    def start_worker(self) -> None:
        """Start one more."""


@pytest.fixture(scope="module")
def cluster(
    running: Callable[[Path], AbstractContextManager[Running]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    pytest.importorskip("distributed", reason="the extra mtmeta[cluster] is not installed")
    with running(tmp_path_factory.mktemp("cluster")) as one:
        yield one


def project(root: Path, copies: int = 1) -> Path:
    """A project with the shipped records and analyses, the latter so many times."""
    shutil.copytree(data_folder("studies"), root / "studies")
    (root / "analyses").mkdir(parents=True)
    for path in sorted(data_folder("analyses").glob("*.yaml")):
        if path.stem == "claims":
            continue
        text = path.read_text(encoding="utf-8")
        for i in range(copies):
            name = f"{path.stem}-{i}" if i else path.stem
            named = re.sub(r"^name: .*$", f"name: {name}", text, flags=re.MULTILINE)
            (root / "analyses" / f"{name}.yaml").write_text(named, encoding="utf-8")
    return root


@contextlib.contextmanager
def started(*args: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mtmeta", *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def mtmeta(*args: str, cwd: Path) -> tuple[int, str, str]:
    with started(*args, cwd=cwd) as process:
        out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def state(dask_scheduler: Any) -> tuple[int, int, str | None]:
    """Pieces done, pieces there are, and a worker that has one at hand; runs in the scheduler."""
    pieces = [task for key, task in dask_scheduler.tasks.items() if str(key).startswith("_call")]
    done = sum(task.state == "memory" for task in pieces)
    busy = [worker.name for worker in dask_scheduler.workers.values() if worker.processing]
    return done, len(pieces), busy[0] if busy else None


def kill_a_busy_worker(one: Running, process: subprocess.Popen[str]) -> tuple[int, int]:
    """Kill a worker while it works, after the first piece is done and before the last one is."""
    from distributed import Client

    with Client(one.address, set_as_default=False) as client:
        end = time.monotonic() + 240
        while time.monotonic() < end:
            done, total, busy = client.run_on_scheduler(state)
            if busy is not None and 0 < done < total:
                pid = client.run(os.getpid)[_address_of(client, busy)]
                worker = next(w for w in one.workers if w.pid == pid)
                worker.kill()
                worker.wait()
                return done, total
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
    raise AssertionError("no worker was seen at work")


def _address_of(client: Any, name: str) -> str:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    address: str = next(address for address, told in workers.items() if told["name"] == name)
    return address


JOBS = {
    "run": ("run", "--no-draw"),
    "gosh": ("gosh", "analyses/depression.yaml", "--no-draw", "--json"),
    "multiverse": ("multiverse", "analyses/cardiac-anxiety.yaml", "--no-draw", "--json", "--flips", "3000"),
    "simulate": (
        "simulate",
        "analyses/depression.yaml",
        "--json",
        "--replications",
        "60000",
        "--next-se",
        "0.2",
    ),
}


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("job", JOBS)
def test_a_worker_killed_in_mid_run_costs_nothing(job: str, cluster: Running, tmp_path: Path) -> None:
    here, there = (project(tmp_path / name, copies=3 if job == "run" else 1) for name in ("here", "there"))
    alone = mtmeta(*JOBS[job], cwd=here)
    assert alone[0] == 0, alone[2]
    with started(*JOBS[job], "--cluster", cluster.address, cwd=there) as process:
        done, total = kill_a_busy_worker(cluster, process)
        out, err = process.communicate(timeout=300)
    cluster.start_worker()
    assert 0 < done < total
    assert (process.returncode, out, err) == alone
    assert files(there) == files(here)
    if job == "run":
        assert sum(name.endswith(".lock.json") for name in files(there)) == 3 * 39


def test_gosh_and_simulate_say_what_they_found(tmp_path: Path) -> None:
    root = project(tmp_path / "p")
    code, out, err = mtmeta("gosh", "icu-anxiety", "--out", "figures", cwd=root)
    assert code == 0, err
    assert "31 subsets of 5 trials: median SMD " in out
    assert "The trial that moves the median most is " in out
    assert (root / "figures" / "icu-anxiety-gosh.svg").read_bytes().startswith(b"<?xml")
    code, out, err = mtmeta("simulate", "icu-anxiety", "--mu", "0", "--next-se", "0.2", cwd=root)
    assert (code, err) == (0, "")
    assert "10,000 simulated meta-analyses of 5 trials of these sizes, with a true SMD of 0.00" in out
    assert "After one more trial with a standard error of 0.200" in out


@pytest.mark.parametrize("command", JOBS)
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nonsense", "give a number of processes, the address of a scheduler such as 'tcp://host:8786'"),
        ("tcp://127.0.0.1:9", "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_a_wrong_address_is_one_sentence(command: str, address: str, words: str, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra mtmeta[cluster] is not installed")
    root = project(tmp_path / "p")
    code, out, err = mtmeta(*JOBS[command], "--cluster", address, cwd=root)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize("cluster_option", [(), ("--cluster", "2")])
def test_a_terminal_sees_rate_and_time_left(cluster_option: tuple[str, ...], tmp_path: Path) -> None:
    root = project(tmp_path / "p")
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mtmeta", *JOBS["simulate"], *cluster_option],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"},
    )
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):  # the terminal's end, once the program has closed it
        while part := os.read(master, 4096):
            seen += part
    os.close(master)
    assert process.wait(120) == 0
    text = seen.decode()
    assert re.search(r"meta-analyses .*\d+/60 +[\d,.]+/s +\d:\d\d:\d\d", text), text[-2000:]
