"""``mtmeta diff``: what changed between two states of a review."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.reports.diff import AnalysisDiff

__all__ = ["diff"]


def diff(
    old: Annotated[str, typer.Argument(help="Lock file, project folder, or git revision.")],
    new: Annotated[str, typer.Argument(help="The same; the working folder by default.")] = ".",
    page: Annotated[Path | None, typer.Option("--html", help="Write a page to this file too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell which trials came, went or changed, what that moved, and whether the conclusion changed.

    Example: mtmeta diff v1.0 HEAD
    """
    from mtmeta.cli.console import print_json
    from mtmeta.records.files import write_atomic
    from mtmeta.reports.diff import diff as diff_of, diff_html, state_of

    project = Path.cwd()
    found = diff_of(state_of(old, project=project), state_of(new, project=project))
    if page is not None:
        write_atomic(page, diff_html(found, old=old, new=new))
    if as_json:
        print_json([item.as_dict() for item in found])
        return
    for item in found:
        if item.status != "same":
            _print(item)
    same = sum(item.status == "same" for item in found)
    typer.echo(f"{len(found) - same} of {len(found)} questions changed")


def _print(item: AnalysisDiff) -> None:
    typer.echo(f"{item.name}: {item.status}")
    if item.conclusion_changed:
        typer.echo(f"  conclusion: {item.conclusion_then} became {item.conclusion_now}")
    if item.verdict is not None:
        for change in item.verdict.changes:
            typer.echo(f"  {change}")
        for moved in item.verdict.moved:
            if moved.name in ("k", "n", "estimate", "ci low", "ci high", "tau2", "pi low", "pi high"):
                typer.echo(f"  {moved.name}: {_text(moved.old)} is now {_text(moved.new)}")
    for study, by in item.moved_by.items():
        typer.echo(f"  {study} moves the estimate by {by:+.3g}")


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
