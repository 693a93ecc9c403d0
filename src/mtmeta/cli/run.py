"""``mtmeta run``: pool every question, beside what was published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.audit.files import NamedAnalysis
    from mtmeta.audit.run import AnalysisRun, PublishedRun
    from mtmeta.cli.places import Project
    from mtmeta.records.folder import Studies

__all__ = ["HEADERS", "question_row", "run"]

HEADERS = [
    "question",
    "k",
    "n",
    "ours, review's method",
    "published",
    "agreement",
    "ours, today",
    "95% PI",
    "I²",
]


def run(
    analyses: Annotated[
        list[Path] | None, typer.Argument(help="Analysis files or folders; all of analyses/ by default.")
    ] = None,
    studies: Annotated[
        Path | None, typer.Option(help="Folder of records; beside the analyses by default.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for figures; beside the analyses by default.")
    ] = None,
    draw: Annotated[bool, typer.Option(help="Draw forest plots.")] = True,
    demo: Annotated[
        bool, typer.Option("--demo", help="Use the shipped records; write to ./mtmeta-demo.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """Pool every question and show ours beside what was published.

    Writes for each analysis a lock file (all numbers, hashes, versions) and forest plots.

    Example: mtmeta run analyses/cardiac-anxiety.yaml
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.console import note, print_json, progress
    from mtmeta.cli.places import project_of
    from mtmeta.errors import MtmetaError
    from mtmeta.records.folder import read_studies
    from mtmeta.reports.summary import run_summary

    project = project_of(analyses, studies, figures, demo=demo)
    named = read_analyses(project.analyses)
    with progress("reading records") as step:
        records = read_studies(project.studies, progress=step)
    done: list[AnalysisRun] = []
    failed: list[str] = []
    with progress("analyses") as step:
        for i, item in enumerate(named, 1):
            try:
                result = run_analysis(item.analysis, records)
                write_outputs(result, item, project, records, draw=draw)
                done.append(result)
            except MtmetaError as error:
                failed.append(f"{item.path}: {error}")
            step(i, len(named))
    if as_json:
        print_json([run_summary(r) for r in done])
    else:
        print_runs(done)
        if draw and done:
            note(f"figures: {project.figures}")
    for line in failed:
        note(line)
    if failed:
        raise typer.Exit(1)


def write_outputs(
    result: AnalysisRun, item: NamedAnalysis, project: Project, records: Studies, *, draw: bool
) -> None:
    """Write the lock file and the forest plots of one analysis, each file whole or not at all."""
    from mtmeta.records.files import write_atomic
    from mtmeta.reports.lock import lock_of_run, lock_text

    if draw:
        from mtmeta.reports.plots import save_figures

        save_figures(result, project.figures / result.analysis.name)
    write_atomic(project.lock_of(item.path), lock_text(lock_of_run(result, item.path, records)))


def _today(result: AnalysisRun) -> list[str]:
    from mtmeta.reports.summary import numbers
    from mtmeta.reports.words import count, estimate_ci, interval, percent

    method = result.analysis.model
    ours = numbers(result.result, level=method.level, pi_method=method.pi)
    from mtmeta.measures import Interval

    pi = None if ours["pi"] is None else Interval(*ours["pi"])
    changed = "" if ours["k"] == result.selected.k else f" (k {count(ours['k'])})"
    return [
        estimate_ci(ours["estimate"], Interval(*ours["ci"])) + changed,
        interval(pi),
        percent(ours["i2"]),
    ]


def _beside(item: PublishedRun) -> list[str]:
    printed = item.published
    if printed.estimate is None:
        text = "(k and n only)"
    else:
        limits = "" if printed.ci is None else f" [{', '.join(printed.ci)}]"
        text = f"{printed.measure} {printed.estimate}{limits}"
    return [_ours(item), text, _agreement(item)]


def _ours(item: PublishedRun) -> str:
    from mtmeta.reports.words import estimate_ci

    if item.result is None:
        return "-"
    return f"{item.result.effects.measure.code} {estimate_ci(item.estimate, item.ci)}"


def _agreement(item: PublishedRun) -> str:
    printed = item.published
    if printed.compare == "none":
        return "not comparable"
    parts: list[str] = [item.agreement]
    for name, agrees, value, ours in (
        ("k", item.k_agrees, printed.k, item.k),
        ("n", item.n_agrees, printed.n, item.n),
    ):
        if agrees is False:
            parts.append(f"{name} printed {value}, ours {ours}")
        elif agrees and item.agreement == "not comparable":
            parts.append(f"{name} agrees")
    return "; ".join(parts)


def question_row(result: AnalysisRun) -> list[str]:
    """Return the line of one question, as the table prints it."""
    from mtmeta.audit.run import participants
    from mtmeta.reports.words import count

    beside = _beside(result.published[0]) if result.published else ["-", "-", "-"]
    head = [result.analysis.name, count(result.selected.k), count(participants(result.selected))]
    return [*head, *beside, *_today(result)]


def print_runs(runs: list[AnalysisRun]) -> None:
    """Print the table: one line a question, further published figures indented below it."""
    from mtmeta.cli.console import print_table
    from mtmeta.reports.words import count

    rows: list[list[str]] = []
    for result in runs:
        rows.append(question_row(result))
        for more in result.published[1:]:
            k, n = (count(more.k), count(more.n)) if more.result is not None else ("", "")
            rows.append([f"  {more.published.label}", k, n, *_beside(more), "", "", ""])
        if result.subgroups is not None:
            rows += _subgroup_rows(result)
        rows += _bayes_rows(result)
    print_table(HEADERS, rows, right=(1, 2, 8))


def _subgroup_rows(result: AnalysisRun) -> list[list[str]]:
    from mtmeta.audit.run import participants
    from mtmeta.reports.words import count, estimate_ci, percent, pvalue

    groups = result.subgroups
    assert groups is not None
    rows = []
    for name, group in groups.groups.items():
        back = group.effects.measure.back
        ci = group.ci(result.analysis.model.level)
        text = estimate_ci(back(group.estimate), type(ci)(back(ci.low), back(ci.high)))
        k, n = count(group.effects.k), count(participants(group.effects))
        rows.append([f"  - {name}", k, n, "", "", "", text, "", percent(group.i2)])
    rows.append([f"  - between groups: p {pvalue(groups.pvalue)}", "", "", "", "", "", "", "", ""])
    return rows


def _bayes_rows(result: AnalysisRun) -> list[list[str]]:
    from mtmeta.reports.words import estimate_ci, interval, percent

    return [
        [
            f"  - Bayes, {one.label}",
            *[""] * 5,
            estimate_ci(one.estimate, one.ci),
            interval(one.pi),
            percent(one.result.i2),
        ]
        for one in result.bayes
    ]
