"""``mtmeta why``: the chain from a trial's record to the pooled estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["why"]


def why(
    analysis: Annotated[Path, typer.Argument(help="Analysis file.")],
    study: Annotated[str, typer.Argument(help="Id of the trial, such as white-1999.")],
    hand: Annotated[
        bool, typer.Option("--hand", help="Write the calculation out, for a pocket calculator.")
    ] = False,
    studies: Annotated[
        Path | None, typer.Option(help="Folder of records; beside the analyses by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show why a trial counts as it does: record, printed values, route, effect, weight, pooled estimate.

    Example: mtmeta why analyses/cardiac-anxiety.yaml white-1992
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.console import print_json
    from mtmeta.cli.places import project_of
    from mtmeta.errors import UsageError
    from mtmeta.records.folder import read_studies
    from mtmeta.reports.why import why as trace

    if hand and as_json:
        raise UsageError("--hand is a text for people; ask for it or for --json")
    project = project_of([analysis], studies, None)
    item = read_analyses(project.analyses)[0]
    chain = trace(run_analysis(item.analysis, read_studies(project.studies)), study)
    if as_json:
        print_json(chain.to_dict())
    else:
        typer.echo(chain.hand() if hand else str(chain))
