"""``mtmeta export``: the effect table of an analysis for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.audit.run import AnalysisRun

__all__ = ["export"]

FORMATS = ("csv", "xlsx", "r", "revman")


def export(
    analysis: Annotated[Path, typer.Argument(help="Analysis file.")],
    to: Annotated[
        str, typer.Option("--to", help="csv, xlsx, r (script for metafor) or revman (data rows).")
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option(help="File, or folder for revman; - prints. By default the analysis' name.")
    ] = None,
    studies: Annotated[
        Path | None, typer.Option(help="Folder of records; beside the analyses by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write the effect table of an analysis: CSV, Excel, an R script for metafor, or RevMan's data rows.

    Example: mtmeta export analyses/icu-anxiety.yaml --to r
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.places import project_of
    from mtmeta.errors import UsageError
    from mtmeta.measures import check_choice
    from mtmeta.records.files import write_atomic_set
    from mtmeta.records.folder import read_studies

    check_choice("--to", to, FORMATS)
    project = project_of([analysis], studies, None)
    item = read_analyses(project.analyses)[0]
    run = run_analysis(item.analysis, read_studies(project.studies))
    files = contents(run, to, None if out is None or str(out) == "-" else out)
    if out is not None and str(out) == "-":
        (content,) = files.values() if len(files) == 1 else ("",)
        if not isinstance(content, str) or not content:
            raise UsageError(f"--out - prints csv and r; name a file for {to}")
        typer.echo(content, nl=False)
        return
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise UsageError(f"{', '.join(there)} is there already; name another with --out, or add --force")
    for path in write_atomic_set(files):
        typer.echo(str(path))


def contents(run: AnalysisRun, to: str, out: Path | None) -> dict[Path, str | bytes]:
    """Return the files of an export and what they hold."""
    from mtmeta.reports import export as formats

    if to == "revman":
        folder = out or Path()
        return {folder / name: text for name, text in formats.to_revman(run).items()}
    suffix = {"csv": ".csv", "xlsx": ".xlsx", "r": ".R"}[to]
    path = out or Path(f"{run.analysis.name}{suffix}")
    if to == "xlsx":
        return {path: formats.to_xlsx(run)}
    return {path: formats.to_csv(run) if to == "csv" else formats.to_r(run)}
