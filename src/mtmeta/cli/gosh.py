"""``mtmeta gosh``: pool every subset of the trials of a question."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["gosh"]

_MANY = 100_000


def gosh(
    analyses: Annotated[list[Path], typer.Argument(help="Analysis files.")],
    studies: Annotated[
        Path | None, typer.Option(help="Folder of records; beside the analyses by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for figures; figures/ by default.")
    ] = None,
    draw: Annotated[bool, typer.Option(help="Draw the GOSH plot.")] = True,
    subsets: Annotated[
        int | None,
        typer.Option(min=1, help="So many random subsets; by default all up to 20 trials, 100,000 above."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random subsets.")] = 0,
    cluster: Annotated[
        str | None, typer.Option(help="Who pools: a Dask scheduler, tcp://host:8786, or so many processes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pool all subsets of the trials of a question, and tell which trial moves them.

    Example: mtmeta gosh analyses/cardiac-anxiety.yaml
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import model_of, run_analysis
    from mtmeta.cli.console import note, print_json, progress
    from mtmeta.cli.places import project_of
    from mtmeta.diagnostics.chunks import who_works
    from mtmeta.diagnostics.gosh import MOST_STUDIES, gosh as all_subsets
    from mtmeta.errors import AnalysisError, ModelError
    from mtmeta.records.folder import read_studies
    from mtmeta.reports.subsets import save_subsets, subsets_summary, subsets_words

    project = project_of(analyses, studies, out)
    named = read_analyses(project.analyses)
    with progress("reading records") as step:
        records = read_studies(project.studies, progress=step)
    told: list[dict[str, Any]] = []
    failed: list[str] = []
    for item in named:
        try:
            run = run_analysis(item.analysis, records)
            with progress(f"{item.analysis.name}: subsets") as step:
                table = all_subsets(
                    model_of(item.analysis.model),
                    run.effects,
                    subsets=subsets or ("all" if run.effects.k <= MOST_STUDIES else _MANY),
                    seed=seed,
                    cluster=who_works(cluster),
                    progress=step,
                )
            if draw:
                save_subsets(run, table, project.figures)
            told.append(subsets_summary(run, table))
        except (AnalysisError, ModelError) as error:
            failed.append(f"{item.path}: {error}")
    if as_json:
        print_json(told)
    else:
        for summary in told:
            typer.echo(f"{summary['name']}: {summary['title']}")
            for line in subsets_words(summary):
                typer.echo(line)
            typer.echo("")
        if draw and told:
            note(f"figures: {project.figures}")
    for line in failed:
        note(line)
    if failed:
        raise typer.Exit(1)
