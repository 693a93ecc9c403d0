"""``mtmeta diff``: what changed between two states of a review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["diff"]


def diff(
    old: Annotated[str, typer.Argument(help="Lock file, project folder, or git revision.")],
    new: Annotated[str, typer.Argument(help="The same; the working folder by default.")] = ".",
    page: Annotated[Path | None, typer.Option("--html", help="Write a page to this file too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell which trials came, went or changed, what that moved, and whether conclusion or certainty changed.

    Example: mtmeta diff v1.0 HEAD
    """
    from mtmeta.cli.console import print_json
    from mtmeta.records.files import write_atomic
    from mtmeta.reports.diff import diff as diff_of, state_of
    from mtmeta.reports.diff_words import diff_html, diff_lines

    project = Path.cwd()
    found = diff_of(state_of(old, project=project), state_of(new, project=project))
    if page is not None:
        write_atomic(page, diff_html(found, old=old, new=new))
    if as_json:
        print_json([item.as_dict() for item in found])
        return
    for item in found:
        if item.status != "same":
            for line in diff_lines(item):
                typer.echo(line)
    same = sum(item.status == "same" for item in found)
    typer.echo(f"{len(found) - same} of {len(found)} questions changed")
