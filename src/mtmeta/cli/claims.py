"""``mtmeta claims``: statements made in prose, held against the pooled numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.audit.claims import ClaimVerdict

__all__ = ["claims"]


def claims(
    file: Annotated[Path | None, typer.Argument(help="Claims file; analyses/claims.yaml by default.")] = None,
    studies: Annotated[Path | None, typer.Option(help="Folder of records.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Give each claim a verdict by written rules, with the numbers, and audit its references.

    Example: mtmeta claims analyses/claims.yaml
    """
    from mtmeta.audit.claims import judge, read_claims
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.console import print_json
    from mtmeta.cli.places import project_of
    from mtmeta.records.folder import read_studies

    path = file or Path("analyses") / "claims.yaml"
    document = read_claims(path)
    project = project_of([path.parent], studies, None)
    records = read_studies(project.studies)
    needed = {p.analysis for c in document.claims for p in c.parts if p.analysis is not None}
    named = [i for i in read_analyses(project.analyses) if i.analysis.name in needed]
    verdicts = judge(document, [run_analysis(i.analysis, records) for i in named])
    if as_json:
        print_json([v.as_dict() for v in verdicts])
        return
    for verdict in verdicts:
        _print(verdict)


def _print(verdict: ClaimVerdict) -> None:
    from mtmeta.measures import Interval
    from mtmeta.reports.words import estimate_ci, interval

    typer.echo(f"{verdict.id}: {verdict.verdict}: {verdict.says}")
    for part in verdict.parts:
        typer.echo(f"  {part.says}: {part.verdict}; {part.because}")
        numbers = part.numbers
        if "estimate" in numbers:
            pi = "" if numbers["pi"] is None else f", 95% PI {interval(Interval(*numbers['pi']))}"
            answer = estimate_ci(numbers["estimate"], Interval(*numbers["ci"]))
            typer.echo(f"    {part.analysis}: {numbers['measure']} {answer}, {numbers['k']} trials{pi}")
        typer.echo(f"    would change it: {part.would_change}")
    for line in verdict.references:
        typer.echo(f"  reference: {line}")
