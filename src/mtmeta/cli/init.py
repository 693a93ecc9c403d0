"""``mtmeta init`` and ``mtmeta new``: begin a review, add a trial."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mtmeta.records.schema import Study

__all__ = ["init", "new"]


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="Path or git address of mtmeta, for a CI workflow (it is on no package index)."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of the same name.")] = False,
) -> None:
    """Begin a review: two real records, a question, and all that makes them run.

    Example: mtmeta init my-review
    """
    from mtmeta.reports.project import new_project

    for path in new_project(folder, source=source, force=force):
        typer.echo(str(path))
    typer.echo(f"\nnow: cd {folder} && mtmeta run")


def new(
    study: Annotated[str, typer.Argument(help="Id: surname-year, such as white-1999.")],
    condition: Annotated[str | None, typer.Option(help="Condition, such as cardiac.")] = None,
    construct: Annotated[str | None, typer.Option(help="Outcome, such as anxiety.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Instrument, such as STAI-S.")] = None,
    music: Annotated[str | None, typer.Option(help="n,mean,sd of the music arm.")] = None,
    control: Annotated[str | None, typer.Option(help="n,mean,sd of the control arm.")] = None,
    cite: Annotated[str | None, typer.Option(help="Where the numbers stand: page, table.")] = None,
    studies: Annotated[Path, typer.Option(help="Folder of records.")] = Path("studies"),
) -> None:
    """Write the record of a trial with one outcome; asks on a terminal for what no option gives.

    Nothing is written that could not be read back, and no file is overwritten.

    Example: mtmeta new white-1999 --condition cardiac --construct anxiety --music 15,30,5 --control 15,38,6
    """
    from mtmeta.errors import UsageError
    from mtmeta.records.write import write_study

    values: dict[str, Any] = {
        "condition": _ask("condition", condition),
        "construct": _ask("construct", construct),
        "music": _arm("music", _ask("n,mean,sd of the music arm", music)),
        "control": _arm("control", _ask("n,mean,sd of the control arm", control)),
    }
    record = _study(study, values, instrument, cite)
    folder = studies / values["condition"].replace(" ", "-")
    path = folder / f"{study}.yaml"
    if path.exists():
        raise UsageError(f"{path} exists; choose another id (add a letter after the year), or edit that file")
    folder.mkdir(parents=True, exist_ok=True)
    typer.echo(str(write_study(record, folder)))


def _ask(what: str, given: str | None) -> str:
    from mtmeta.errors import UsageError

    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise UsageError(f"{what} is missing; give it as an option (mtmeta new --help)")
    return str(typer.prompt(what))


def _arm(name: str, text: str) -> dict[str, Any]:
    from mtmeta.errors import UsageError

    parts = [p.strip() for p in text.split(",")]
    try:
        n, mean, sd = int(parts[0]), float(parts[1]), float(parts[2])
    except (ValueError, IndexError) as error:
        raise UsageError(f"{name}: {text!r} is not n,mean,sd such as 15,30.2,5.1") from error
    return {"n": n, "mean": mean, "sd": sd}


def _study(study: str, values: dict[str, Any], instrument: str | None, cite: str | None) -> Study:
    """Build the record; what the schema refuses is told with the field and what to write instead."""
    from pydantic import ValidationError

    from mtmeta.errors import UsageError
    from mtmeta.records.schema import Study

    outcome: dict[str, Any] = {
        "id": values["construct"].replace(" ", "-"),
        "construct": values["construct"],
        "time": "post",
        "data": {"kind": "means", "music": values["music"], "control": values["control"]},
        "source": {"status": "primary", **({"where": cite} if cite else {})},
    }
    if instrument:
        outcome["instrument"] = instrument
    document = {
        "schema": 1,
        "id": study,
        "label": study.replace("-", " ").title(),
        "citation": {"text": "write the reference here"},
        "conditions": [values["condition"]],
        "design": {},
        "population": {},
        "intervention": {},
        "comparator": {"type": "unclear"},
        "outcomes": [outcome],
    }
    try:
        return Study.model_validate(document)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"no record can be made of this: {told}") from error
