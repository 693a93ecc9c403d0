"""What holds for every test: no network, one thread a process, and R or Chromium only where they are."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")  # before numpy: two workers share two cores
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def _no_network(event: str, args: tuple[object, ...]) -> None:
    if event != "socket.connect" or not isinstance(args[1], tuple):
        return
    host = str(args[1][0])
    if not (host.startswith("127.") or host in {"::1", "localhost"}):
        raise PermissionError(f"tests need no network, but this one connects to {args[1]}")


sys.addaudithook(_no_network)


@cache
def _missing_r() -> str:
    """Why tests that need R cannot run here; empty when they can."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return "needs R: there is no Rscript on the path"
    probe = subprocess.run(
        [rscript, "--vanilla", "-e", "library(metafor); library(jsonlite)"],
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        ""
        if probe.returncode == 0
        else "needs R's metafor and jsonlite: " + probe.stderr.strip().splitlines()[-1]
    )


@cache
def _missing_chromium() -> str:
    return "" if shutil.which("chromium") else "needs Chromium: there is no chromium on the path"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, and say why."""
    for marker, missing in (("r", _missing_r), ("browser", _missing_chromium)):
        if item.get_closest_marker(marker) is not None and (reason := missing()):
            pytest.skip(reason)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def rscript() -> Callable[..., str]:
    """Run R code (or a script by its path) with arguments; give back what it prints. Mark the test ``r``."""

    def run(code: str | Path, *args: str, stdin: str = "") -> str:
        what = [str(code)] if isinstance(code, Path) else ["-e", code]
        done = subprocess.run(
            ["Rscript", "--vanilla", *what, *args], input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"R failed:\n{done.stderr}"
        return done.stdout

    return run


@dataclass
class Running:
    """A scheduler and its workers, each a process of its own."""

    folder: Path
    scheduler: subprocess.Popen[bytes]
    address: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self) -> None:
        """Start one more worker, and wait until there are as many as run here."""
        from distributed import Client

        loopback = ("--host", "127.0.0.1", "--no-dashboard", "--nthreads", "1", "--no-nanny")
        log = self.folder / f"w{len(self.workers)}.log"
        args = (self.address, *loopback, "--local-directory", str(self.folder))
        self.workers.append(_started("worker", *args, log=log))
        alive = sum(worker.poll() is None for worker in self.workers)
        with Client(self.address, set_as_default=False, timeout=60) as client:
            client.wait_for_workers(alive, timeout=120)


def _started(*args: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *args], stdout=out, stderr=subprocess.STDOUT, env={**os.environ}
        )


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[Running]:
    """Start `dask scheduler` and two `dask worker` on loopback; end all of them."""
    where = folder / "scheduler.json"
    loopback = ("--host", "127.0.0.1", "--no-dashboard", "--port", "0", "--scheduler-file", str(where))
    scheduler = _started("scheduler", *loopback, log=folder / "s.log")
    one = Running(folder, scheduler)
    try:
        one.address = _address(where, folder)
        for _ in range(2):
            one.start_worker()
        yield one
    finally:
        for process in (*one.workers, scheduler):
            _ended(process)


def _address(where: Path, folder: Path) -> str:
    """Wait until the scheduler has said where it listens."""
    end = time.monotonic() + 120
    while not where.is_file() or not where.read_text(encoding="utf-8").strip():
        assert time.monotonic() < end, (folder / "s.log").read_text(encoding="utf-8")
        time.sleep(0.1)
    address: str = json.loads(where.read_text(encoding="utf-8"))["address"]
    return address


@pytest.fixture(scope="session")
def running() -> Callable[[Path], contextlib.AbstractContextManager[Running]]:
    """Run a Dask cluster of two workers on loopback, with its files in a folder."""
    return _running
