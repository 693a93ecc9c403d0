"""Write docs/validation.md: how far mtmeta's numbers agree with what others computed and printed.

Run ``python tools/validation.py``: pools every shipped question beside the published figure, and every cell of
the reference made with metafor, and gathers the pages on coverage, calibration, planted errors and speed.
``--check`` only tells whether the committed page is what that gives, and ends with 1 if it is not.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import run_analysis
from mtmeta.effects.table import EffectSizes
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.records.files import write_atomic
from mtmeta.records.folder import read_studies

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "validation.md"
REFERENCE = ROOT / "tests" / "reference" / "pool.json"

HEAD = """\
# Validation in one page

Made by `python tools/validation.py`; a test holds it to what the code gives. Four kinds of evidence: numbers that reviews
printed, numbers that another program computes, simulation with a known truth, and errors planted on purpose.
"""
MORE = (
    (
        "validation-coverage.md",
        "Coverage by simulation",
        "how often intervals and prediction intervals hold their target, 10,000 meta-analyses a cell",
    ),
    (
        "integrity.md",
        "Integrity checks",
        "how many planted errors are found, and how often clean rows are accused",
    ),
    ("coming-from.md", "Coming from other tools", "the same calls in R and here, run side by side by a test"),
    ("differences.md", "Deliberate differences", "where numbers differ from other programs, and why"),
    ("models.md", "Models", "what each model was checked against"),
    ("diagnostics.md", "Diagnostics", "what each diagnostic was checked against"),
    ("speed.md", "Speed", "times beside peers, and how they grow"),
)
PIN = {"z": "Wald", "knha": "HKSJ", "adhoc": "HKSJ-floor"}


def published_table() -> str:
    """Return each published figure beside ours by the review's own method."""
    studies = read_studies(ROOT / "studies")
    rows, counts = [], defaultdict(int)
    for item in read_analyses([ROOT / "analyses"]):
        for beside in run_analysis(item.analysis, studies).published:
            printed = beside.published
            if printed.estimate is None or printed.compare != "numbers" or beside.result is None:
                continue
            assert beside.estimate is not None
            assert beside.ci is not None
            counts[beside.agreement] += 1
            limits = "" if printed.ci is None else f" [{', '.join(printed.ci)}]"
            ours = f"{beside.estimate:.2f} [{beside.ci.low:.2f}, {beside.ci.high:.2f}]"
            rows.append(
                f"| {printed.label} | {printed.measure} | {printed.estimate}{limits} | {ours} | {beside.k} | {beside.agreement} |"
            )
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return (
        f"## What reviews printed\n\nEvery published figure whose rows are at hand in the form in which the review pooled them: {told}.\n\n"
        "| figure | measure | printed | ours, the review's method | k | |\n|---|---|---|---|---:|---|\n"
        + "\n".join(rows)
    )


def reference_table() -> str:
    """Return the largest difference from metafor of each estimator over all data sets."""
    reference: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))
    data = {d["id"]: d for d in reference["data"]}
    worst: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    cells: dict[str, int] = defaultdict(int)
    for row in reference["pool"]:
        if row["test"] not in PIN or (row["method"] in ("FE", "EE") and row["test"] != "z"):
            continue
        name = "common effect" if row["method"] in ("FE", "EE") else row["method"]
        y, v = data[row["id"]]["yi"], data[row["id"]]["vi"]
        model = (
            CommonEffect()
            if name == "common effect"
            else RandomEffects(tau2=row["method"], ci=PIN[row["test"]])
        )
        fit = model.fit(EffectSizes.of(y, v, "GEN"))
        cells[name] += 1
        low, high = fit.ci()
        for what, ours, theirs in (
            ("mean", fit.estimate, row["est"]),
            ("SE", fit.se, row["se"]),
            ("interval", max(low, high, key=abs), max(row["ci_lb"], row["ci_ub"], key=abs)),
            ("tau2", fit.tau2, row["tau2"]),
        ):
            if theirs is not None:
                worst[name][what] = max(worst[name][what], abs(ours - theirs) / max(1.0, abs(theirs)))
    rows = [
        f"| {name} | {cells[name]} | "
        + " | ".join(_power(worst[name][w]) for w in ("mean", "SE", "interval", "tau2"))
        + " |"
        for name in worst
    ]
    return (
        f"## What metafor {reference['metafor']} computes\n\n"
        f"Largest difference over {len(data)} data sets (simulated and published) and all interval methods, relative where the number "
        "is above 1. Iterated estimators are limited by where metafor stops; ours are converged (see "
        "[differences](differences.md)). The tests hold more: effect sizes, moderators, three levels, bias, influence.\n\n"
        "| estimator | cells | mean | SE | interval | τ² |\n|---|---:|---|---|---|---|\n" + "\n".join(rows)
    )


def _power(value: float) -> str:
    """Say below which of a few steps a difference lies, so that the last bits of a platform do not show."""
    return next(f"below 1e-{step}" for step in (12, 9, 6, 3, 0) if value < 10.0**-step)


def page_text() -> str:
    """Return the whole page."""
    more = "\n".join(f"- [{title}]({name}): {about}" for name, title, about in MORE)
    calibration = ""
    if (PAGE.parent / "bayes_calibration.png").is_file():
        calibration = (
            "## Simulation-based calibration of the Bayesian model\n\n![Ranks of the true values among posterior draws: flat where the "
            "posterior is right](bayes_calibration.png)\n\nMade by `python tools/bayes_calibration.py`."
        )
    parts = [HEAD, published_table(), reference_table(), calibration, f"## More\n\n{more}"]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` compare it."""
    if arguments not in ([], ["--check"]):
        sys.stdout.write(f"{__doc__}\n")
        return 2
    text = page_text()
    old = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text
    if arguments:
        sys.stdout.write(f"{PAGE.name} is {'old: run python tools/validation.py' if old else 'up to date'}\n")
        return int(old)
    write_atomic(PAGE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
