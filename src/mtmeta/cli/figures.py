"""``mtmeta figures``: draw what the analyses draw, again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["figures"]


def figures(
    analyses: Annotated[
        list[Path] | None, typer.Argument(help="Analysis files; all of analyses/ by default.")
    ] = None,
    studies: Annotated[Path | None, typer.Option(help="Folder of records.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to; figures/ by default.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="svg, pdf, png, tiff; several with commas.")
    ] = "svg,pdf,png",
    dpi: Annotated[int, typer.Option(min=50, max=2400, help="Resolution of png and tiff.")] = 300,
    style: Annotated[str, typer.Option(help="Style of the figure, such as plain or cochrane.")] = "plain",
    width: Annotated[
        str | None, typer.Option(help="Of the page: millimetres, or single, one-and-half, double.")
    ] = None,
    outline: Annotated[
        bool, typer.Option("--outline", help="Turn the text of an SVG into outlines.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Draw nothing; tell which figure no longer follows from its data.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the files written as JSON.")] = False,
) -> None:
    """Draw the forest plots of analyses and, where they name priors, prior and posterior.

    A forest of more than 50 rows becomes a file a page: NAME-page-1, NAME-page-2 and so on.

    Example: mtmeta figures analyses/icu-anxiety.yaml --format pdf,png --dpi 600
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.console import note, print_json, progress
    from mtmeta.cli.places import project_of
    from mtmeta.errors import MtmetaError
    from mtmeta.records.folder import read_studies
    from mtmeta.reports.plots import save_figures, stale_figures

    project = project_of(analyses, studies, out)
    chosen = tuple(f.strip() for f in formats.split(",") if f.strip())
    named = read_analyses(project.analyses)
    records = read_studies(project.studies)
    written: list[Path] = []
    failed: list[str] = []
    with progress("figures") as step:
        for i, item in enumerate(named, 1):
            target = project.figures / item.analysis.name
            try:
                result = run_analysis(item.analysis, records)
                if check:
                    failed += [f"{target}: {line}" for line in stale_figures(result, target)]
                else:
                    written += save_figures(
                        result,
                        target,
                        formats=chosen,
                        dpi=dpi,
                        style=style,
                        width=_width(width),
                        outline=outline,
                    )
            except MtmetaError as error:
                failed.append(f"{item.path}: {error}")
            step(i, len(named))
    if as_json:
        print_json([str(p) for p in written])
    else:
        for path in written:
            typer.echo(str(path))
    for line in failed:
        note(line)
    if failed:
        raise typer.Exit(1)


def _width(text: str | None) -> float | str | None:
    """Return millimetres as a number, a column's name as it is."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
