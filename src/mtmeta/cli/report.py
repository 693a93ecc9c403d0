"""``mtmeta report``: the page of one or all analyses, from the question to the references."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.audit.freeze import Frozen
    from mtmeta.audit.run import AnalysisRun

__all__ = ["report"]


def report(
    analyses: Annotated[
        list[Path] | None, typer.Argument(help="Analysis files or folders; all of analyses/ by default.")
    ] = None,
    studies: Annotated[
        Path | None, typer.Option(help="Folder of records; beside the analyses by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to; report/ beside the analyses by default.")
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="html, md, tex; several with commas.")] = "html",
    title: Annotated[str, typer.Option(help="Title of the report.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the files written as JSON.")] = False,
) -> None:
    """Write the report: one page that needs no network, and the same as Markdown and LaTeX.

    Question, flow, trials, risk of bias, forest plots with the way back to each printed number, results,
    sensitivity, and what may be missing. Nothing is written when an analysis fails.

    Example: mtmeta report analyses/icu-anxiety.yaml --out icu --format html,md,tex
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.freeze import frozen_beside
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.console import note, print_json, progress
    from mtmeta.cli.places import project_of
    from mtmeta.errors import MtmetaError
    from mtmeta.records.folder import read_studies
    from mtmeta.reports.publish import FORMATS, write_report

    chosen = tuple(f.strip() for f in formats.split(",") if f.strip())
    unknown = [f for f in chosen if f not in FORMATS]
    if unknown or not chosen:
        from mtmeta.errors import UsageError

        raise UsageError(f"--format {formats!r} is not known; use {', '.join(FORMATS)}")
    project = project_of(analyses, studies, None)
    named = read_analyses(project.analyses)
    records = read_studies(project.studies)
    runs: list[AnalysisRun] = []
    plans: dict[str, Frozen] = {}
    failed: list[str] = []
    with progress("analyses") as step:
        for i, item in enumerate(named, 1):
            try:
                runs.append(run_analysis(item.analysis, records))
                if (plan := frozen_beside(item.path)) is not None:
                    plans[item.analysis.name] = plan
            except MtmetaError as error:
                failed.append(f"{item.path}: {error}")
            step(i, len(named))
    if not failed:
        folder = out or project.figures.parent / "report"
        with progress("report") as step:
            written = write_report(runs, folder, formats=chosen, title=title, frozen=plans, progress=step)
        if as_json:
            print_json([str(path) for path in written])
        else:
            for path in written:
                typer.echo(str(path))
    for line in failed:
        note(line)
    if failed:
        raise typer.Exit(1)
