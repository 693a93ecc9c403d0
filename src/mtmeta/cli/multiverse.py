"""``mtmeta multiverse``: every reasonable analysis of a question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.audit.analysis import Analysis
    from mtmeta.audit.multiverse import Curve, MultiverseRun
    from mtmeta.cli.console import Step
    from mtmeta.diagnostics.multiverse_flips import MultiverseTest

__all__ = ["multiverse"]


def multiverse(
    analyses: Annotated[
        list[Path] | None,
        typer.Argument(help="Analysis files or folders; all of analyses/ that declare one by default."),
    ] = None,
    studies: Annotated[
        Path | None, typer.Option(help="Folder of records; beside the analyses by default.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--out", help="Folder for figures; figures/ by default.")
    ] = None,
    draw: Annotated[bool, typer.Option(help="Draw the specification curve.")] = True,
    flips: Annotated[
        int, typer.Option(min=0, help="Random sign flips of the joint test; 0 leaves it out.")
    ] = 999,
    seed: Annotated[int, typer.Option(min=0, help="Of the random sign flips.")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Who does the sign flips: a Dask scheduler, tcp://host:8786, or so many processes."
        ),
    ] = None,
    open_: Annotated[
        int | None,
        typer.Option("--open", min=1, help="Write this point as an analysis file of its own, and stop."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every point and every number.")] = False,
) -> None:
    """Answer a question in every way its file declares, and show what moves the answer.

    The alternatives stand under multiverse: in the analysis file. Point 1 is the analysis itself.

    Example: mtmeta multiverse analyses/cardiac-anxiety.yaml --open 12
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.multiverse import run_multiverse
    from mtmeta.cli.console import note, print_json, progress
    from mtmeta.cli.places import project_of
    from mtmeta.diagnostics.chunks import who_works
    from mtmeta.errors import AnalysisError, ModelError, UsageError
    from mtmeta.records.folder import read_studies
    from mtmeta.reports.multiverse import multiverse_summary, save_multiverse

    who = who_works(cluster)
    project = project_of(analyses, studies, figures)
    named = read_analyses(project.analyses)
    chosen = [item for item in named if item.analysis.multiverse is not None]
    if not chosen:
        raise UsageError(
            "none of these analyses declares alternatives; write them under multiverse: in its file"
        )
    if open_ is not None:
        if len(chosen) != 1:
            raise UsageError("--open needs one analysis; name its file")
        typer.echo(str(_write_point(chosen[0].analysis, open_, figures or Path())))
        return
    with progress("reading records") as step:
        records = read_studies(project.studies, progress=step)
    done: list[tuple[MultiverseRun, MultiverseTest | None]] = []
    failed: list[str] = []
    for item in chosen:
        try:
            run = run_multiverse(item.analysis, records)
            with progress(f"{item.analysis.name}: sign flips") as step:
                test = _test(run, flips, seed, who, step)
            if draw:
                save_multiverse(run, project.figures)
            done.append((run, test))
        except (AnalysisError, ModelError) as error:
            failed.append(f"{item.path}: {error}")
    if as_json:
        print_json([multiverse_summary(run, test) for run, test in done])
    else:
        for run, test in done:
            _print(run, test)
        if draw and done:
            note(f"figures: {project.figures}")
    for line in failed:
        note(line)
    if failed:
        raise typer.Exit(1)


def _test(
    run: MultiverseRun, flips: int, seed: int, cluster: int | str | None, step: Step
) -> MultiverseTest | None:
    from mtmeta.reports.multiverse import joint_test

    if not flips:
        return None
    return joint_test(run, flips=flips, seed=seed, cluster=cluster, progress=step)


def _write_point(analysis: Analysis, number: int, folder: Path) -> Path:
    from mtmeta.audit.files import analysis_text
    from mtmeta.audit.multiverse import point_analysis
    from mtmeta.records.files import write_atomic

    point = point_analysis(analysis, number)
    path = folder / f"{point.name}.yaml"
    write_atomic(path, analysis_text(point))
    return path


def _print(run: MultiverseRun, test: MultiverseTest | None) -> None:
    from mtmeta.reports.multiverse import multiverse_words

    typer.echo(f"{run.analysis.name}: {run.analysis.title}")
    typer.echo("")
    for line in multiverse_words(run, test):
        typer.echo(line)
    for code, curve in run.curves.items():
        typer.echo("")
        _print_points(code, curve)
    typer.echo("")


def _print_points(code: str, curve: Curve) -> None:
    from mtmeta.cli.console import print_table
    from mtmeta.measures import Interval
    from mtmeta.reports.multiverse import extremes
    from mtmeta.reports.words import back, count, estimate_ci

    names = curve.answers.choices
    rows = []
    for name, point, value in extremes(curve):
        ci = Interval(value["ci_low"], value["ci_high"])
        text = estimate_ci(*back(curve.answers.measure, value["estimate"], ci))
        options = [point.choices[c] for c in names]
        rows.append([name, str(point.number), text, count(value["k"]), point.kind, *options])
    print_table(["point", "no.", code, "k", "kind", *names], rows, right=(1, 3))
