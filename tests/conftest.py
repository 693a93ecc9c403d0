"""What holds for every test: no network, one thread a process, and R or Chromium only where they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
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
