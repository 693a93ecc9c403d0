"""``mtmeta demo``: what the toolkit does, in a minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer

__all__ = ["demo"]

PAUSES = (0.0, 9.0, 9.0, 9.0, 9.0, 9.0)  # seconds before each part on a terminal


def demo(
    fast: Annotated[bool, typer.Option("--fast", help="No pauses on a terminal.")] = False,
) -> None:
    """Show in a minute what the toolkit does, on the shipped records; nothing is written.

    Example: mtmeta demo
    """
    on_terminal = sys.stdout.isatty()
    for pause, (title, text) in zip(PAUSES, _parts(), strict=True):
        if on_terminal and not fast:
            time.sleep(pause)
        typer.secho(title, bold=on_terminal)
        typer.echo(f"\n{text}\n")


def _parts() -> Iterator[tuple[str, str]]:
    from mtmeta.audit.check import findings_of
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.records.locate import data_folder, example_studies
    from mtmeta.reports.terminal import forest_text
    from mtmeta.reports.why import why
    from mtmeta.reports.words import estimate_ci, interval

    studies = example_studies()
    conditions = sorted({word for study in studies for word in study.conditions})
    path = studies.path_of("wong-2001")
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "data:")
    yield (
        f"1. Records: {len(studies)} trials, each a file of what its source printed",
        f"Conditions: {', '.join(conditions)}.\nIn the file of Wong 2001, for one outcome:\n\n"
        + "\n".join(lines[start - 6 : start + 8]),
    )
    (item,) = read_analyses([data_folder("analyses") / "icu-anxiety.yaml"])
    run = run_analysis(item.analysis, studies)
    yield "2. A question, pooled: anxiety in ventilated patients", forest_text(run.result)
    (beside,) = run.published
    said = beside.published
    limits = f" [{', '.join(said.ci)}]" if said.ci else ""
    today = run.result.pi(item.analysis.model.level, item.analysis.model.pi)
    yield (
        "3. Beside what was published",
        f"printed by {said.review}: {said.measure} {said.estimate}{limits}, k {said.k}, n {said.n}\n"
        f"ours, by its method:    {said.measure} {estimate_ci(beside.estimate, beside.ci)}, "
        f"k {beside.k}, n {beside.n}: {beside.agreement}\n"
        f"ours, by today's:       {said.measure} {estimate_ci(run.result.estimate, run.result.ci())}; "
        f"a new trial's effect: {interval(today)}",
    )
    chain = str(why(run, "wong-2001")).splitlines()
    shown = [
        line
        for line in chain
        if line.startswith(("record", "route", "formulas", "effect", "weight", "pooled", "      "))
    ]
    kept = [line for line in shown if "via:" not in line and "certainty" not in line and "doubts" not in line]
    yield "4. Every number can be traced: why Wong 2001 counts as it does", "\n".join(kept)
    cardiac = studies.of_condition("cardiac")
    suspects = [f for f in findings_of(cardiac) if f.severity in ("error", "suspect")][:3]
    yield (
        "5. The checks look for what cannot be right: three of the findings in the cardiac trials",
        "\n".join(f"{f.code}: {', '.join(f.ids)}: {f.message}" for f in suspects),
    )
    yield (
        "6. Now you",
        "mtmeta init my-review      your own review, with two records to copy from\n"
        "mtmeta pool trials.csv     your own table, without records\n"
        "mtmeta run --demo          all the questions and their forest plots into ./mtmeta-demo",
    )
