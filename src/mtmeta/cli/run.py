"""``mtmeta run``: pool every question, beside what was published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mtmeta.audit.analysis import Analysis
    from mtmeta.audit.files import NamedAnalysis
    from mtmeta.audit.run import AnalysisRun, PublishedRun
    from mtmeta.cli.places import Project
    from mtmeta.records.folder import Studies

__all__ = ["HEADERS", "question_row", "run"]

_TOGETHER = 4  # analyses that another process takes at a time
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
    cluster: Annotated[
        str | None,
        typer.Option(help="Who pools and draws: a Dask scheduler, tcp://host:8786, or so many processes."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """Pool every question and show ours beside what was published.

    Writes for each analysis a lock file (all numbers, hashes, versions) and forest plots.

    Example: mtmeta run analyses/cardiac-anxiety.yaml
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.cli.console import note, print_json, print_table, progress
    from mtmeta.cli.places import project_of
    from mtmeta.errors import MtmetaError
    from mtmeta.records.folder import read_studies

    project = project_of(analyses, studies, figures, demo=demo)
    named = read_analyses(project.analyses)
    with progress("reading records") as step:
        records = read_studies(project.studies, progress=step)
    done: list[Answer] = []
    failed: list[str] = []
    with progress("analyses") as step:
        answers = _answers([item.analysis for item in named], records, cluster, draw=draw)
        for i, (item, answer) in enumerate(zip(named, answers, strict=True), 1):
            try:
                if isinstance(answer, str):
                    failed.append(f"{item.path}: {answer}")
                else:
                    _write(answer, item, project, records)
                    done.append(answer)
            except MtmetaError as error:
                failed.append(f"{item.path}: {error}")
            step(i, len(named))
    if as_json:
        print_json([answer.summary for answer in done])
    else:
        if done:
            print_table(HEADERS, [row for answer in done for row in answer.rows], right=(1, 2, 8))
        if draw and done:
            note(f"figures: {project.figures}")
    for line in failed:
        note(line)
    if failed:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is printed and written of one analysis; goes from one process to another."""

    summary: dict[str, Any]
    rows: list[list[str]]
    used: list[str]
    """Trials whose records the lock names."""
    figures: dict[str, bytes]


def _answers(
    analyses: Sequence[Analysis], records: Studies, cluster: str | None, *, draw: bool
) -> Iterator[Answer | str]:
    """Yield the answer of each analysis in their order, or why it has none; no file is written."""
    from mtmeta.diagnostics.chunks import in_chunks, who_works

    who = who_works(cluster)
    # every piece carries the records along: elsewhere some analyses share that cost
    size = 1 if who in (None, 1) else _TOGETHER
    pieces = [analyses[start : start + size] for start in range(0, len(analyses), size)]
    for answers in in_chunks(partial(_answer_piece, records, draw), pieces, cluster=who):
        yield from answers


def _answer_piece(records: Studies, draw: bool, analyses: Sequence[Analysis]) -> list[Answer | str]:
    """Run and draw some analyses; an error becomes its message."""
    from mtmeta.audit.run import run_analysis
    from mtmeta.errors import MtmetaError
    from mtmeta.reports.lock import used_records
    from mtmeta.reports.summary import run_summary

    answers: list[Answer | str] = []
    for analysis in analyses:
        try:
            result = run_analysis(analysis, records)
            figures = _drawn(result) if draw else {}
            answers.append(Answer(run_summary(result), table_rows(result), used_records(result), figures))
        except MtmetaError as error:
            answers.append(str(error))
    return answers


def _drawn(result: AnalysisRun) -> dict[str, bytes]:
    """Draw the figures of an analysis; their files by name."""
    from tempfile import TemporaryDirectory

    from mtmeta.reports.plots import save_figures

    with TemporaryDirectory() as folder:
        written = save_figures(result, Path(folder) / result.analysis.name)
        return {path.name: path.read_bytes() for path in written}


def _write(answer: Answer, item: NamedAnalysis, project: Project, records: Studies) -> None:
    """Write the figures and the lock file of one analysis, each file whole or not at all."""
    from mtmeta.records.files import write_atomic, write_atomic_set
    from mtmeta.reports.lock import lock_document, lock_text

    if answer.figures:
        project.figures.mkdir(parents=True, exist_ok=True)
        write_atomic_set({project.figures / name: content for name, content in answer.figures.items()})
    lock = lock_document(
        item.analysis,
        answer.summary,
        analysis_file=item.path,
        record_files=[(study, records.path_of(study)) for study in answer.used],
    )
    write_atomic(project.lock_of(item.path), lock_text(lock))


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


def table_rows(result: AnalysisRun) -> list[list[str]]:
    """Return the lines of one question: the first for itself, further published figures indented below it."""
    from mtmeta.reports.words import count

    rows = [question_row(result)]
    for more in result.published[1:]:
        k, n = (count(more.k), count(more.n)) if more.result is not None else ("", "")
        rows.append([f"  {more.published.label}", k, n, *_beside(more), "", "", ""])
    if result.subgroups is not None:
        rows += _subgroup_rows(result)
    return rows + _bayes_rows(result)


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
