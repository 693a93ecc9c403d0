"""``mtmeta echo``: what another tool would print for an analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["echo"]


def echo(
    analysis: Annotated[Path, typer.Argument(help="Analysis file.")],
    tool: Annotated[str, typer.Option("--as", help="metafor, revman or statsmodels.")] = "metafor",
    studies: Annotated[Path | None, typer.Option(help="Folder of records.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what another tool would print by its defaults, and which convention differs.

    Example: mtmeta echo analyses/icu-anxiety.yaml --as metafor
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.console import print_json
    from mtmeta.cli.places import project_of
    from mtmeta.records.folder import read_studies
    from mtmeta.reports.echo import echo as echo_of

    project = project_of([analysis], studies, None)
    item = read_analyses(project.analyses)[0]
    result = echo_of(run_analysis(item.analysis, read_studies(project.studies)), tool)  # type: ignore[arg-type]
    if as_json:
        print_json({"tool": result.tool, "text": result.text, "differences": list(result.differences)})
        return
    typer.echo(result.text)
    typer.echo("")
    for line in result.differences:
        typer.echo(f"- {line}")
