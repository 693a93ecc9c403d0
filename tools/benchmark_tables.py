"""Write docs/speed.md, docs/speed-growth.png and the speed table of README.md from docs/benchmarks.json.

    python benchmarks/run.py --json docs/benchmarks.json --note "..."    (make bench BENCH="--json ...")
    python tools/benchmark_tables.py [--numbers docs/benchmarks.json] [--out docs]

The numbers are those of the file; nothing is measured here.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PEERS = ("metafor", "PyMARE", "statsmodels", "PyMC")
LINEAR_FROM = {"k": 16_000, "B": 1_000}  # below, the fixed cost of a call still counts
IN_README = ("fit", "cochrane", "permutation", "multilevel", "gosh", "3psm", "bayes", "bayes-bias")
BEGIN, END = "<!-- speed -->", "<!-- /speed -->"
NAMES = {"k": "studies in one meta-analysis", "B": "meta-analyses of 7 studies in one call"}


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            value = seconds / size
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def slope(points: Sequence[Sequence[float]], start: float) -> float:
    """Slope of log time on log size from `start` on: 1 is linear growth."""
    n, t = np.array([point for point in points if point[0] >= start], dtype=float).T
    return float(np.polyfit(np.log(n), np.log(t), 1)[0])


def peer_cell(seconds: Mapping[str, Any], absent: Mapping[str, str], peer: str) -> str:
    """Tell what a peer took and how many times ours that is; its shortest where it has several."""
    ours = next(iter(seconds.values()))["median"]
    found = [one["median"] for name, one in seconds.items() if peer.lower() in name.lower()]
    if found:
        ratio = min(found) / ours
        factor = f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"
        return f"{duration(min(found))} ({factor} ×)"
    return "not measured" if any(peer.lower() in name.lower() for name in absent) else "—"


def table(cases: Mapping[str, Any]) -> list[str]:
    """One row a case."""
    lines = [
        "| what | aim | mtmeta | | CPU | " + " | ".join(PEERS) + " |",
        "|---|--:|--:|---|--:|" + "--:|" * len(PEERS),
    ]
    for case in cases.values():
        ours = next(iter(case["seconds"].values()))
        aim = case["aim"]
        verdict = "" if aim is None else _verdict(aim, ours)
        peers = " | ".join(peer_cell(case["seconds"], case["absent"], peer) for peer in PEERS)
        shown = "" if aim is None else duration(aim)
        busy = "" if ours["cpu"] is None else duration(ours["cpu"])
        lines.append(
            f"| {case['what']} | {shown} | {duration(ours['median'])} | {verdict} | {busy} | {peers} |"
        )
    return lines


def _verdict(aim: float, ours: Mapping[str, Any]) -> str:
    """Judge the wall time; say so where only the CPU time, which other work disturbs less, meets the aim."""
    if ours["median"] <= aim:
        return "met"
    return "met in CPU time" if ours["cpu"] is not None and ours["cpu"] <= aim else "**missed**"


def readme_table(cases: Mapping[str, Any]) -> str:
    """Return the few rows that README.md shows, of the cases that were measured."""
    lines = ["| what | mtmeta | " + " | ".join(PEERS) + " |", "|---|--:|" + "--:|" * len(PEERS)]
    for case in (cases[name] for name in IN_README if name in cases):
        ours = next(iter(case["seconds"].values()))
        peers = " | ".join(peer_cell(case["seconds"], case["absent"], peer) for peer in PEERS)
        lines.append(f"| {case['what']} | {duration(ours['median'])} | {peers} |")
    return "\n".join(lines)


def with_table(text: str, cases: Mapping[str, Any]) -> str:
    """Return README's text with the speed table of these numbers."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{readme_table(cases)}\n\n{END}{rest.split(END)[1]}"


def spreads(cases: Mapping[str, Any]) -> list[str]:
    """Every contender with its rounds."""
    lines = ["| case | contender | median | shortest | longest | rounds |", "|---|---|--:|--:|--:|--:|"]
    for name, case in cases.items():
        for who, t in case["seconds"].items():
            times = " | ".join(duration(t[part]) for part in ("median", "low", "high"))
            lines.append(f"| {name} | {who} | {times} | {t['rounds']} |")
    return lines


def document(numbers: Mapping[str, Any]) -> str:
    """Return the whole page."""
    around = ", ".join(f"{name} {value}" for name, value in numbers["surroundings"].items())
    lines = [
        "# Speed",
        "",
        "Made by `python tools/benchmark_tables.py` from [benchmarks.json](benchmarks.json), which",
        '`make bench BENCH="--json docs/benchmarks.json"` writes. Every contender of a row gets the same',
        "input in the same run, in turns; times are medians of wall time, a factor is the peer's time over",
        "ours, CPU is our least CPU time of a round. A dash: the peer has no such function or was not asked.",
        "statsmodels has no REML and does Paule and Mandel's estimate instead. metafor is timed inside R,",
        "without its start; where it would take minutes it does a part of the work and its time is",
        "multiplied (`benchmarks/engine.py`).",
        "",
        f"Measured with {around}.",
        *([numbers["note"]] if numbers["note"] else []),
        "",
        *table(numbers["cases"]),
        "",
    ]
    if numbers["growth"]:
        lines += ["## Growth", "", "![Time against size, both axes logarithmic](speed-growth.png)", ""]
        lines += [
            "One REML fit of k studies, and B fits of 7 studies in one call: least CPU time of seven rounds.",
            "The slope of log time on log size is 1 where time grows in proportion.",
            "",
            "| size | from | to | slope | time per unit, least to most |",
            "|---|--:|--:|--:|---|",
        ]
        for what, points in numbers["growth"].items():
            start = first_linear(what, points)
            part = [t / n for n, t in points if n >= start]
            lines.append(
                f"| {what}: {NAMES[what]} | {start:,} | {points[-1][0]:,} | {slope(points, start):.2f} | "
                f"{duration(min(part))} to {duration(max(part))} |"
            )
        lines.append("")
    lines += ["## Every contender", "", *spreads(numbers["cases"])]
    return "\n".join(lines) + "\n"


def first_linear(what: str, points: Sequence[Sequence[float]]) -> int:
    """Where the slope is taken from; all of it if the run was small."""
    start = LINEAR_FROM[what]
    return start if sum(n >= start for n, _ in points) >= 3 else int(points[0][0])


def plot(growth: Mapping[str, Sequence[Sequence[float]]], path: Path) -> None:
    """Time against size, log-log, one panel each."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "mtmeta", "axes.spines.top": False}):
        figure, axes = plt.subplots(1, len(growth), figsize=(7.2, 3.3), sharey=True, layout="constrained")
        for ax, (what, points) in zip(np.atleast_1d(axes), growth.items(), strict=True):
            n, t = np.array(points, dtype=float).T
            start = first_linear(what, points)
            exact = slope(points, start)
            level = math.exp(float(np.mean(np.log(t[n >= start]) - np.log(n[n >= start]))))
            ax.spines["right"].set_visible(False)
            ax.loglog(n, level * n, color="0.65", lw=1.0, ls="--", label="in proportion (slope 1)", zorder=1)
            ax.loglog(n, t, "o-", color="#1b6ca8", ms=4, lw=1.2, label="measured", zorder=2)
            ax.set_xlabel(f"{what}: {NAMES[what]}")
            ax.text(
                0.96, 0.06, f"slope {exact:.2f}\nfrom {what} = {start:,}", transform=ax.transAxes, ha="right"
            )
            ax.set_ylim(1e-4, 2.0 * max(t for points in growth.values() for _, t in points))
            ax.grid(color="0.92", lw=0.6)
            ax.set_axisbelow(True)
        first = np.atleast_1d(axes)[0]
        first.set_ylabel("CPU time, seconds")
        first.legend(frameon=False, loc="upper left")
        figure.savefig(path, dpi=160, metadata={"Software": None})
        plt.close(figure)


def main() -> None:
    """Read the numbers, write page and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--numbers", type=Path, default=ROOT / "docs" / "benchmarks.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    asked = parser.parse_args()
    numbers = json.loads(asked.numbers.read_text(encoding="utf-8"))
    (asked.out / "speed.md").write_text(document(numbers), encoding="utf-8")
    if asked.out == ROOT / "docs":
        readme = ROOT / "README.md"
        readme.write_text(with_table(readme.read_text(encoding="utf-8"), numbers["cases"]), encoding="utf-8")
    if numbers["growth"]:
        plot(numbers["growth"], asked.out / "speed-growth.png")


if __name__ == "__main__":
    main()
