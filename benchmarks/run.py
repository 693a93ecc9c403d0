"""Benchmarks: `make bench`, or `.venv/bin/python benchmarks/run.py [--smoke] [--json FILE] [NAME ...]`.

Every case gives the same input to us and to each peer that is installed, in turns, and prints medians and how
many times as long as ours a peer takes. Input is simulated from a fixed seed. Nothing here is a test: a busy
machine gives other times, and only ratios within one run compare.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import bayes
import diagnostics
import engine
import mtmeta as mt
from common import FULL, SEED, SMOKE, Size, peers
from harness import (
    ROOT,
    Case,
    Contender,
    Measured,
    Timing,
    duration,
    measure,
    metafor,
    process,
    python,
    surroundings,
    tell,
    write_json,
)

PROGRAM = Path(sys.executable).with_name("mtmeta")


# ---- starting ----


def starting(size: Size) -> Case:
    here, absent = peers(
        {
            "import statsmodels' meta-analysis": (
                "statsmodels",
                lambda: python("import statsmodels.stats.meta_analysis"),
            ),
            "import pymare": ("pymare", lambda: python("import pymare")),
        }
    )
    return Case(
        "import",
        "import, beyond Python's own start",
        {"import mtmeta": python("import mtmeta"), **here},
        0.15,
        absent,
    )


def helping(size: Size) -> Case:
    program = Path(sys.executable).with_name("mtmeta")
    return Case(
        "help", "mtmeta --help, the whole process", {"mtmeta --help": process(str(program), "--help")}, 0.4
    )


# ---- records ----


def reading(size: Size) -> Case:
    import yaml

    files = sorted((ROOT / "studies").rglob("*.yaml"))
    texts = [path.read_bytes() for path in files]

    def parse_only() -> None:
        for text in texts:
            yaml.load(text, Loader=yaml.CSafeLoader)

    return Case(
        "records",
        f"reading and checking all {len(files)} records (aim: 2 ms each)",
        {
            "mt.read_studies": lambda: mt.read_studies(ROOT / "studies"),
            "PyYAML's C parser, no checks": parse_only,
        },
        0.002 * len(files),
    )


# ---- effect sizes ----


def arms(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(SEED)
    return {
        "m1": rng.normal(10, 1, count),
        "sd1": rng.uniform(1, 4, count),
        "n1": rng.integers(10, 200, count).astype(float),
        "m2": rng.normal(9, 1, count),
        "sd2": rng.uniform(1, 4, count),
        "n2": rng.integers(10, 200, count).astype(float),
    }


def effects(size: Size) -> Case:
    data = arms(size.arms)
    m1, sd1, n1, m2, sd2, n2 = data.values()

    def statsmodels() -> Contender:
        from statsmodels.stats.meta_analysis import effectsize_smd

        return lambda: effectsize_smd(m1, sd1, n1, m2, sd2, n2)

    work = "escalc('SMD', m1i=m1, sd1i=sd1, n1i=n1, m2i=m2, sd2i=sd2, n2i=n2)"
    here, absent = peers(
        {
            "statsmodels effectsize_smd": ("statsmodels", statsmodels),
            "metafor escalc": ("metafor", lambda: metafor(data, "", work, loops=1)),
        }
    )

    def ours() -> object:
        return mt.standardized_mean_difference(m1, sd1, n1, m2, sd2, n2)

    return Case("smd", f"{size.arms:,} standardised mean differences", {"mtmeta": ours, **here}, None, absent)


# ---- the main job ----


def everything(size: Size) -> Case:
    """On a copy: a benchmark changes no file of the repository."""
    questions = len(list((ROOT / "analyses").glob("*.yaml")))

    def seconds() -> float:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("studies", "analyses"):
                shutil.copytree(ROOT / name, Path(folder) / name)
            return process(str(PROGRAM), "run", folder=Path(folder)).call()

    return Case(
        "run", f"mtmeta run: {questions} questions, locks, figures", {"mtmeta run": Measured(seconds)}, 30.0
    )


CASES: dict[str, Callable[[Size], Case]] = {
    "import": starting,
    "help": helping,
    "records": reading,
    "smd": effects,
    **engine.CASES,
    **bayes.CASES,
    **diagnostics.CASES,
    "run": everything,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"cases to run, all by default: {', '.join(CASES)}"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="every case once with little work: does it run at all?"
    )
    parser.add_argument("--patient", action="store_true", help="also peers that take minutes")
    parser.add_argument("--growth", action="store_true", help="time against k and B too, if cases are named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write medians and surroundings to FILE")
    parser.add_argument("--note", default="", help="what a reader of that file should know of this run")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.names) - CASES.keys()):
        parser.error(f"no case is called {', '.join(unknown)}; there are {', '.join(CASES)}")
    size = SMOKE if asked.smoke else replace(FULL, patient=asked.patient)
    print(", ".join(f"{name} {value}" for name, value in surroundings().items()))
    results: list[tuple[Case, dict[str, Timing]]] = []
    for name in asked.names or CASES:
        case = CASES[name](size)
        results.append((case, measure(case, rounds=1 if asked.smoke else 11, budget=20.0)))
        tell(*results[-1])
    growth = engine.growth(size) if not asked.names or asked.growth else {}
    for what, points in growth.items():
        print(f"\ngrowth, {what}: " + ", ".join(f"{n:,} {duration(t)}" for n, t in points))
    if asked.json:
        write_json(asked.json, results, growth=growth, note=asked.note)


if __name__ == "__main__":
    main()
