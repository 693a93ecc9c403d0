"""``mtmeta verify``: whether the lock files still hold, and what moved them if not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mtmeta.reports.verify import Verdict

__all__ = ["verify"]


def verify(
    analyses: Annotated[
        list[Path] | None, typer.Argument(help="Analysis files or folders; all of analyses/ by default.")
    ] = None,
    studies: Annotated[Path | None, typer.Option(help="Folder of records; beside the analyses.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the analyses again and hold them against their lock files, without writing anything.

    Every number that moved is told with what moved it: data, convention, or version. Of an analysis that was
    frozen every departure from its plan is told; a departure is no failure, an edited plan is.

    Example: mtmeta verify analyses/icu-anxiety.yaml
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.freeze import departures, frozen_beside
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.console import note, print_json, progress
    from mtmeta.cli.places import project_of
    from mtmeta.errors import MtmetaError
    from mtmeta.records.folder import read_studies
    from mtmeta.reports.lock import lock_of_run
    from mtmeta.reports.verify import compare_locks, read_lock

    project = project_of(analyses, studies, None)
    named = read_analyses(project.analyses)
    records = read_studies(project.studies)
    verdicts: list[Verdict] = []
    frozen: dict[str, dict[str, Any]] = {}
    failed: list[str] = []
    with progress("verifying") as step:
        for i, item in enumerate(named, 1):
            try:
                if (plan := frozen_beside(item.path)) is not None:
                    told = [d.as_dict() | {"words": str(d)} for d in departures(plan, item.analysis)]
                    frozen[item.analysis.name] = {
                        "when": plan.when,
                        "known": list(plan.known),
                        "departures": told,
                    }
                old = read_lock(project.lock_of(item.path))
                new = lock_of_run(run_analysis(item.analysis, records), item.path, records)
                verdicts.append(compare_locks(old, new))
            except MtmetaError as error:
                failed.append(f"{item.path}: {error}")
            step(i, len(named))
    if as_json:
        print_json([v.as_dict() | {"frozen": frozen.get(v.analysis)} for v in verdicts])
    else:
        for verdict in verdicts:
            _print(verdict)
            _print_frozen(frozen.get(verdict.analysis))
        holding = sum(v.holds for v in verdicts)
        typer.echo(f"{holding} of {len(named)} lock files hold")
    for line in failed:
        note(line)
    if failed or not all(v.holds for v in verdicts):
        raise typer.Exit(1)


def _print_frozen(frozen: dict[str, Any] | None) -> None:
    if frozen is None:
        return
    number = len(frozen["departures"])
    departed = f"{number} departure{'s' if number > 1 else ''} from the plan" if number else "no departure"
    typer.echo(f"  frozen on {frozen['when']}: {departed}")
    for departure in frozen["departures"]:
        typer.echo(f"    {departure['words']}")


def _print(verdict: Verdict) -> None:
    from mtmeta.reports.verify import shown

    if verdict.holds:
        typer.echo(f"{verdict.analysis}: holds" + (" (inputs changed)" if verdict.changes else ""))
    else:
        typer.echo(f"{verdict.analysis}: moved by {', '.join(verdict.causes) or 'nothing that was found'}")
    for change in verdict.changes:
        typer.echo(f"  {change}")
    for moved in verdict.moved:
        parts = ", ".join(f"{cause} {by:+.4g}" for cause, by in moved.causes.items() if by)
        typer.echo(
            f"  {moved.name}: {shown(moved.old)} is now {shown(moved.new)}" + (f" ({parts})" if parts else "")
        )
