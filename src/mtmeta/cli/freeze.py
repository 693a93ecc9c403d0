"""``mtmeta freeze``: keep the plan of an analysis before data come in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.audit.analysis import Analysis
    from mtmeta.cli.places import Project

__all__ = ["freeze"]


def freeze(
    analyses: Annotated[list[Path], typer.Argument(help="Analysis files.")],
    amend: Annotated[
        str | None, typer.Option(help="Announce a change of a frozen plan, with this reason.")
    ] = None,
    studies: Annotated[Path | None, typer.Option(help="Folder of records; beside the analyses.")] = None,
) -> None:
    """Freeze analyses: question, method, hash and date go into NAME.frozen.json beside each file.

    mtmeta verify and the report then list every departure. The date is this computer's: who must prove it
    commits the file or sends it to a register on that day.

    Example: mtmeta freeze analyses/icu-anxiety.yaml
    """
    from datetime import UTC, datetime

    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.freeze import (
        amend as amended,
        departures,
        freeze as frozen_now,
        frozen_beside,
        frozen_file,
        frozen_text,
    )
    from mtmeta.cli.places import project_of
    from mtmeta.errors import UsageError
    from mtmeta.records.files import write_atomic

    project = project_of(analyses, studies, None)
    today = datetime.now(UTC).date().isoformat()
    for item in read_analyses(project.analyses):
        before = frozen_beside(item.path)
        if before is None and amend is not None:
            raise UsageError(f"{item.analysis.name} is not frozen; freeze it without --amend first")
        if before is not None and amend is None:
            changed = [d for d in departures(before, item.analysis) if d.amended is None]
            if changed:
                told = "; ".join(map(str, changed))
                raise UsageError(
                    f"{item.analysis.name} is frozen since {before.when}, and its plan was changed: {told}. "
                    "Take the change back, or announce it with --amend and the reason"
                )
            typer.echo(f"{item.analysis.name}: frozen since {before.when}, unchanged")
            continue
        if before is None:
            new = frozen_now(item.analysis, when=today, known=_known(item.analysis, project))
            told = f"frozen on {today}; {_blind(len(new.known))}"
        else:
            new = amended(before, item.analysis, when=today, why=amend or "")
            told = f"frozen on {before.when}, amended on {today}"
        write_atomic(frozen_file(item.path), frozen_text(new))
        typer.echo(f"{item.analysis.name}: {told}")


def _blind(known: int) -> str:
    if not known:
        return "no trial answered it yet"
    return f"{known} trial{'s' if known > 1 else ''} answered it already"


def _known(analysis: Analysis, project: Project) -> tuple[str, ...]:
    """Name the trials that answer the question already, whichever of their rows would be taken."""
    from dataclasses import replace

    from mtmeta.effects.select import select_rows
    from mtmeta.errors import AnalysisError
    from mtmeta.records.folder import read_studies, record_files

    files, _ = record_files([project.studies])
    if not files:
        return ()
    query = replace(analysis.select.query(), rule="separate", pin={}, prefer=(), exclude={})
    try:
        rows = select_rows(read_studies(project.studies), query).rows
    except AnalysisError:
        # nothing matches yet, as it should be
        return ()
    return tuple(sorted({row.study.id for row in rows}))
