"""``mtmeta effects``: the effect of every row that answers a question, and how it was computed."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["effects"]


def effects(
    analysis: Annotated[
        Path | None, typer.Argument(help="Analysis file; or give a condition and construct.")
    ] = None,
    studies: Annotated[Path | None, typer.Option(help="Folder of records.")] = None,
    condition: Annotated[str | None, typer.Option(help="Condition, such as cardiac.")] = None,
    construct: Annotated[str | None, typer.Option(help="Outcome, such as anxiety.")] = None,
    measure: Annotated[str, typer.Option(help="Effect measure: SMD, MD, OR, RR, RD ...")] = "SMD",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """List effects with their route from the printed number, and what was left out and why.

    Example: mtmeta effects analyses/cardiac-anxiety.yaml
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.cli.console import print_json
    from mtmeta.cli.places import project_of
    from mtmeta.effects.compute import effects_of
    from mtmeta.effects.select import Query, select_rows
    from mtmeta.errors import UsageError
    from mtmeta.records.folder import read_studies

    variance, choices = "LS", None
    if analysis is not None:
        project = project_of([analysis], studies, None)
        item = read_analyses(project.analyses)[0]
        query = item.analysis.select.query(item.analysis.today.exclude)
        measure, variance = item.analysis.measure, item.analysis.model.variance
        choices = item.analysis.routes.choices
        folder = project.studies
    else:
        if condition is None and construct is None:
            raise UsageError("name an analysis file, or --condition and --construct")
        query = Query(
            conditions=(condition,) if condition else (),
            constructs=(construct,) if construct else (),
            rule="separate",
        )
        folder = studies or Path("studies")
    rows = select_rows(read_studies(folder), query)
    es, left = effects_of(rows, measure=measure, variance=variance, choices=choices)
    frame = es.to_frame()
    columns = [c for c in ("study", "outcome", "yi", "vi", "n1", "n2", "n", "route") if c in frame]
    if as_json:
        print_json(
            {
                "measure": measure,
                "effects": [_plain(row) for row in frame[columns].to_dict("records")],
                "left_out": [{"study": x.study, "outcome": x.outcome, "reason": x.reason} for x in left],
            }
        )
        return
    _print(frame[columns].to_dict("records"), columns, left)


def _plain(row: dict[Hashable, Any]) -> dict[str, Any]:
    # a missing size is null in JSON, which knows no NaN
    return {str(k): None if isinstance(v, float) and v != v else v for k, v in row.items()}


def _print(rows: list[dict[Hashable, Any]], columns: list[str], left: object) -> None:
    from mtmeta.cli.console import print_table
    from mtmeta.effects.select import LeftOut

    def cell(value: object) -> str:
        if isinstance(value, float):
            return "" if value != value else f"{value:.4f}" if value % 1 else f"{value:.0f}"
        return str(value)

    right = [i for i, c in enumerate(columns) if c not in ("study", "outcome", "route")]
    print_table(columns, [[cell(row[c]) for c in columns] for row in rows], right=right)
    assert isinstance(left, tuple)
    if left:
        typer.echo("\nleft out:")
    for item in left:
        if isinstance(item, LeftOut):
            typer.echo(f"  {item.study}{'/' + item.outcome if item.outcome else ''}: {item.reason}")
