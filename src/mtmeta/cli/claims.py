"""``mtmeta claims``: statements made in prose, held against the pooled numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.audit.claims import Claims, ClaimVerdict
    from mtmeta.cli.places import Project
    from mtmeta.records.folder import Studies

__all__ = ["claims"]


def claims(
    file: Annotated[Path | None, typer.Argument(help="Claims file; analyses/claims.yaml by default.")] = None,
    analyses: Annotated[
        Path | None, typer.Option(help="Folder of the analyses that test them; beside the file by default.")
    ] = None,
    studies: Annotated[Path | None, typer.Option(help="Folder of records.")] = None,
    maps: Annotated[
        Path | None, typer.Option("--map", help="Folder for evidence gap maps: where trials are and are not.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Give each claim a verdict by written rules, with the numbers, and audit its references.

    Example: mtmeta claims analyses/claims.yaml
    """
    from mtmeta.audit.claims import judge, read_claims
    from mtmeta.audit.files import is_claims, read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.console import print_json
    from mtmeta.cli.places import project_of
    from mtmeta.errors import UsageError
    from mtmeta.records.folder import read_studies

    path = file or Path("analyses") / "claims.yaml"
    if file is None and not path.exists():
        raise UsageError(f"there is no {path} here; docs/claims.md shows how to write one, or name yours")
    document = read_claims(path)
    beside = any(p != path and not is_claims(p) for p in path.parent.glob("*.yaml"))
    project = project_of([analyses or (path.parent if beside else Path("analyses"))], studies, None)
    records = read_studies(project.studies)
    if maps is not None:
        _draw(document, records, project, maps)
    needed = {p.analysis for c in document.claims for p in c.parts if p.analysis is not None}
    named = [i for i in read_analyses(project.analyses) if i.analysis.name in needed]
    verdicts = judge(document, [run_analysis(i.analysis, records) for i in named])
    if as_json:
        print_json([v.as_dict() for v in verdicts])
        return
    for verdict in verdicts:
        _print(verdict)


def _draw(document: Claims, records: Studies, project: Project, folder: Path) -> None:
    """Draw both evidence gap maps."""
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.console import note
    from mtmeta.figures import alt_text, draw_layout, save
    from mtmeta.reports.gap_maps import gap_maps

    runs = [run_analysis(item.analysis, records) for item in read_analyses(project.analyses)]
    for name, layout in gap_maps(document, records, runs).items():
        figure = draw_layout(layout).get_figure(root=True)
        assert figure is not None
        for path in save(figure, folder / f"gap-map-{name}", alt=alt_text(layout)):
            note(str(path))


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
            rated = "" if numbers["certainty"] is None else f", {numbers['certainty']} certainty"
            typer.echo(
                f"    {part.analysis}: {numbers['measure']} {answer}, {numbers['k']} trials{pi}{rated}"
            )
            if (printed := numbers["published"]) is not None:
                ci = "" if printed["ci"] is None else f" [{', '.join(printed['ci'])}]"
                figure = f"{printed['measure']} {printed['estimate']}{ci}"
                typer.echo(f"    beside: {printed['review']}, {printed['label']}: {figure}")
        for name, group in numbers.get("groups", {}).items():
            answer = estimate_ci(group["estimate"], Interval(*group["ci"]))
            typer.echo(f"    {name}: {group['measure']} {answer}, {group['k']} trials")
        if part.note is not None:
            typer.echo(f"    note: {part.note}")
        for line in part.sensitivity:
            typer.echo(f"    {line}")
        typer.echo(f"    would change it: {part.would_change}")
    for line in verdict.references:
        typer.echo(f"  reference: {line}")
