"""``mtmeta check``: whether records and analyses can be read, and what they say can be true."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["check"]


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Records or analyses; studies/ and analyses/ by default.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Suspects fail the check too.")] = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Re-pool what uses a suspect row: without it, and mended.")
    ] = False,
    retracted: Annotated[
        Path | None,
        typer.Option(
            help="List of retracted works: one DOI, PMID or title a line, or Retraction Watch's CSV."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings as JSON.")] = False,
) -> None:
    """Check records and analysis files; every problem of every file is told at once.

    Records of one folder and the analyses beside them are checked together by default: then the k and n
    that reviews print are held against the records too.

    Example: mtmeta check --cost
    """
    from mtmeta.audit.check import check_paths, default_paths
    from mtmeta.audit.checks.references import read_retracted
    from mtmeta.audit.cost import in_words
    from mtmeta.cli.console import print_json, progress

    works = None if retracted is None else read_retracted(retracted)
    with progress("checking") as step:
        findings, counted = check_paths(paths or default_paths(), retracted=works, cost=cost, progress=step)
    if as_json:
        print_json([f.as_dict() for f in findings])
    else:
        for finding in findings:
            typer.echo(str(finding))
            for moved in finding.cost:
                typer.echo(f"    {in_words(moved)}")
        typer.echo(summary(findings, counted))
    failing = {"error", "suspect"} if strict else {"error"}
    if any(f.severity in failing for f in findings):
        raise typer.Exit(1)


def summary(findings: object, counted: object) -> str:
    """Say in a line what was checked and found."""
    from collections import Counter

    from mtmeta.audit.check import Counted, Finding

    assert isinstance(findings, tuple)
    assert isinstance(counted, Counted)
    tally = Counter(f.severity for f in findings if isinstance(f, Finding))
    found = ", ".join(
        f"{tally[s]} {s}{'s' if tally[s] != 1 else ''}" for s in ("error", "suspect", "note") if tally[s]
    )
    if not counted.records and any(isinstance(f, Finding) and f.code == "unreadable" for f in findings):
        return f"{found}; the records are checked against each other once every file can be read"
    records = f"{counted.records} record{'' if counted.records == 1 else 's'}"
    analyses = f"{counted.analyses} {'analysis' if counted.analyses == 1 else 'analyses'}"
    return f"{records}, {analyses}: {found or 'no findings'}"
