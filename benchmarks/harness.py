"""Time ourselves beside our peers: same inputs, same run, rounds that take turns; medians and ratios.

A contender is a callable of no arguments that does the work and is timed here, or a `Measured` one that
measures itself and returns seconds: processes and R.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """A contender that measures itself: `call` returns seconds of one piece of work."""

    call: Callable[[], float]


Contender = Callable[[], object] | Measured


@dataclass(frozen=True)
class Case:
    """One thing timed: ours first, then the peers; `aim` in seconds, if the project set one."""

    name: str
    what: str
    contenders: Mapping[str, Contender]
    aim: float | None = None
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """Median seconds of one contender, the spread of its rounds, and how many rounds there were.

    `cpu` is the least CPU time of a round, which other work on the machine disturbs less; None for processes.
    """

    median: float
    low: float
    high: float
    rounds: int
    cpu: float | None = None


def _loops(call: Callable[[], object], at_least: float) -> int:
    """How often to repeat `call` so that one round takes `at_least` seconds; also the warm-up."""
    call()
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-9)
    return max(1, round(at_least / once))


def measure(case: Case, *, rounds: int, budget: float) -> dict[str, Timing]:
    """Let the contenders take turns for `rounds` rounds, fewer for one that has used `budget` seconds."""
    loops = {
        name: 1 if isinstance(who, Measured) else _loops(who, 0.02 if rounds > 1 else 0.0)
        for name, who in case.contenders.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in case.contenders}
    cpu: dict[str, list[float]] = {name: [] for name in case.contenders}
    spent = dict.fromkeys(case.contenders, 0.0)
    for _ in range(rounds):
        for name, who in case.contenders.items():
            if seconds[name] and spent[name] > budget:
                continue
            start = time.perf_counter()
            if isinstance(who, Measured):
                seconds[name].append(who.call())
            else:
                busy = time.process_time()
                for _ in range(loops[name]):
                    who()
                seconds[name].append((time.perf_counter() - start) / loops[name])
                cpu[name].append((time.process_time() - busy) / loops[name])
            spent[name] += time.perf_counter() - start
    return {
        name: Timing(
            statistics.median(values), min(values), max(values), len(values), min(cpu[name], default=None)
        )
        for name, values in seconds.items()
    }


# ---- contenders that are processes ----


def process(*command: str, minus: tuple[str, ...] = (), folder: Path = ROOT) -> Measured:
    """Time a whole process; `minus` is a second one whose time is taken off (Python's own start)."""

    def seconds(what: tuple[str, ...]) -> float:
        start = time.perf_counter()
        done = subprocess.run(what, capture_output=True, text=True, check=False, cwd=folder)
        spent = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"{' '.join(what)} ended with {done.returncode}:\n{done.stderr}")
        return spent

    return Measured(lambda: seconds(command) - (seconds(minus) if minus else 0.0))


def python(code: str, *, beyond_start: bool = True) -> Measured:
    """Time Python code in a process of its own, as a rule beyond what an empty one takes."""
    return process(sys.executable, "-c", code, minus=(sys.executable, "-c", "pass") if beyond_start else ())


@cache
def r_packages() -> dict[str, str]:
    """Versions of R and metafor, empty where they are not installed."""
    if shutil.which("Rscript") is None:
        return {}
    ask = 'suppressMessages(library(metafor)); cat(format(getRversion()), format(packageVersion("metafor")))'
    done = subprocess.run(["Rscript", "--vanilla", "-e", ask], capture_output=True, text=True, check=False)
    return {} if done.returncode else dict(zip(("R", "metafor"), done.stdout.split(), strict=True))


def metafor(data: Mapping[str, Iterable[float]], setup: str, work: str, *, loops: int) -> Measured:
    """Time `work` inside R, once warmed up: R's own start, loading and reading `data` are left out."""

    def seconds() -> float:
        with tempfile.TemporaryDirectory() as folder:
            reads = []
            for name, values in data.items():
                path = Path(folder) / f"{name}.txt"
                path.write_text("\n".join(repr(float(value)) for value in values), encoding="utf-8")
                reads.append(f"{name} <- scan('{path.as_posix()}', quiet=TRUE)")
            script = Path(folder) / "time.R"
            script.write_text(
                "\n".join(
                    [
                        "suppressMessages(library(metafor))",
                        *reads,
                        setup,
                        f"work <- function() {{ {work} }}",
                        "invisible(work())",
                        f"start <- proc.time()[[3]]; for (i in seq_len({loops})) work()",
                        f"cat((proc.time()[[3]] - start) / {loops})",
                    ]
                ),
                encoding="utf-8",
            )
            done = subprocess.run(
                ["Rscript", "--vanilla", str(script)], capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise RuntimeError(f"R failed:\n{done.stderr}")
        return float(done.stdout)

    return Measured(seconds)


# ---- telling ----


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def version(package: str) -> str | None:
    """Version of an installed package, None where it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Name of the processor, as Linux tells it; else the kind of machine."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def surroundings() -> dict[str, str]:
    """Say what the times were measured on and with."""
    packages = {
        name: version(name) or "not installed"
        for name in ("mtmeta", "numpy", "scipy", "statsmodels", "pymare", "pymc")
    }
    return {
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        **packages,
        **(r_packages() or {"R with metafor": "not installed"}),
    }


def tell(case: Case, timings: Mapping[str, Timing]) -> None:
    """Print one case: each contender's median and how many times as long as ours it takes."""
    print(f"\n{case.name}: {case.what}")
    first = next(iter(timings.values())).median
    for place, (name, timing) in enumerate(timings.items()):
        spread = f"{duration(timing.low)} to {duration(timing.high)}, {timing.rounds} rounds"
        if timing.cpu is not None:
            spread += f"; CPU {duration(timing.cpu)}"
        if place:
            note = f"{timing.median / first:.3g} × ours"
        else:
            note = (
                ""
                if case.aim is None
                else f"aim {duration(case.aim)}: {'met' if first <= case.aim else 'MISSED'}"
            )
        print(f"  {name:<38}{duration(timing.median):>10}  {note:<20}({spread})")
    for name, why in case.absent.items():
        print(f"  {name:<38}{'—':>10}  {why}")


Growth = Mapping[str, Sequence[tuple[int, float]]]


def write_json(
    path: Path, results: Sequence[tuple[Case, Mapping[str, Timing]]], *, growth: Growth, note: str
) -> None:
    """Keep the numbers, for the document of speed and for comparison with another run."""
    told = {
        case.name: {
            "what": case.what,
            "aim": case.aim,
            "seconds": {
                name: {
                    "median": t.median,
                    "low": t.low,
                    "high": t.high,
                    "rounds": t.rounds,
                    "cpu": t.cpu,
                }
                for name, t in times.items()
            },
            "absent": dict(case.absent),
        }
        for case, times in results
    }
    content = {
        "schema": 2,
        "note": note,
        "surroundings": surroundings(),
        "cases": told,
        "growth": {what: [list(point) for point in points] for what, points in growth.items()},
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
