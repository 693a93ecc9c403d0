"""``mtmeta init`` and ``mtmeta new``: begin a review, add a trial."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Sequence
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
    if source is None:
        typer.echo("\nno CI workflow: say --from PATH or --from GIT-ADDRESS for one that checks every change")
    typer.echo(f"\nnow: cd {folder} && mtmeta run")


def new(
    study: Annotated[str, typer.Argument(help="Id: surname-year, such as white-1999.")],
    condition: Annotated[str | None, typer.Option(help="Condition, such as cardiac.")] = None,
    construct: Annotated[str | None, typer.Option(help="Outcome, such as anxiety.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Instrument, such as STAI-S.")] = None,
    comparator: Annotated[str | None, typer.Option(help="Comparator, such as usual care.")] = None,
    value: Annotated[str, typer.Option(help="Of means: final, change, adjusted.")] = "unclear",
    music: Annotated[str | None, typer.Option(help="n,mean,sd of the music arm; events,n.")] = None,
    control: Annotated[str | None, typer.Option(help="n,mean,sd of the control arm; events,n.")] = None,
    events: Annotated[bool, typer.Option("--events", help="The arms are events,n.")] = False,
    no_outcome: Annotated[
        bool, typer.Option("--no-outcome", help="A trial without a number that can be used.")
    ] = False,
    reference: Annotated[str | None, typer.Option(help="The report's reference, as it prints.")] = None,
    cite: Annotated[str | None, typer.Option(help="Where the numbers stand: page, table.")] = None,
    studies: Annotated[Path, typer.Option(help="Folder of records.")] = Path("studies"),
) -> None:
    """Write the record of a trial; on a terminal it asks for what no option gives.

    Nothing is written that could not be read back, and no file is overwritten.

    Example: mtmeta new white-1999 --condition cardiac --construct anxiety --music 15,30,5 --control 15,38,6
    """
    from mtmeta.errors import UsageError
    from mtmeta.records import vocabulary as voc
    from mtmeta.records.integrity import integrity_problems
    from mtmeta.records.write import write_study

    # the id names the file, so it is checked before it becomes a path, and before anything is asked
    _study(study, {"conditions": ["other"], "outcomes": []})
    if taken := next(studies.rglob(f"{study}.yaml"), None) if studies.is_dir() else None:
        raise UsageError(
            f"{taken} exists; choose another id (add a letter after the year), or edit that file"
        )
    asked = sys.stdin.isatty()
    needed = {"--condition": condition}
    if not no_outcome:
        needed |= {"--construct": construct, "--music": music, "--control": control}
    if not asked and (lacking := [name for name, given in needed.items() if given is None]):
        raise UsageError(
            f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing; mtmeta new --help has an "
            "example, and --no-outcome makes a record without numbers"
        )
    if reference is None and asked:
        reference = str(typer.prompt("reference (Enter to leave it out)", default="", show_default=False))
    values: dict[str, Any] = {"conditions": [_word("condition", condition, voc.Condition)], "outcomes": []}
    if comparator is not None or asked:
        values["comparator"] = {"type": _word("comparator", comparator, voc.Comparator)}
    if reference:
        values["citation"] = {"text": reference}
    if not no_outcome:
        outcome = _outcome(construct, music, control, events=events)
        outcome["value"] = _word("value", value, voc.ValueKind)
        if instrument is None and asked:
            instrument = str(
                typer.prompt("instrument (Enter to leave it out)", default="", show_default=False)
            )
        outcome |= {"instrument": instrument} if instrument else {}
        outcome["source"] = {"status": "primary", **({"where": cite} if cite else {})}
        values["outcomes"] = [outcome]
    record = _study(study, values)
    folder = studies / record.conditions[0].replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    path = write_study(record, folder)
    _schema(studies)
    typer.echo(str(path))
    for problem in integrity_problems(record):
        typer.echo(f"look again: {problem}", err=True)
    if not reference:
        typer.echo(
            "no reference yet: write it under citation, as text or as authors, title, journal, year", err=True
        )


def _outcome(
    construct: str | None, music: str | None, control: str | None, *, events: bool
) -> dict[str, Any]:
    from mtmeta.records import vocabulary as voc

    chosen = _word("construct", construct, voc.Construct)
    form = "events,n" if events else "n,mean,sd"
    read = _events if events else _arm
    data: dict[str, Any] = {"kind": "events" if events else "means"}
    for name, given in (("music", music), ("control", control)):
        data[name] = _ask(f"{form} of the {name} arm", given, lambda text, name=name: read(name, text))  # type: ignore[misc]
    return {"id": chosen.replace(" ", "-"), "construct": chosen, "time": "post", "data": data}


def _ask(what: str, given: str | None, read: Callable[[str], Any]) -> Any:
    """Read an option; without it ask on a terminal, again where the answer cannot be read."""
    from mtmeta.errors import UsageError

    if given is not None:
        return read(given)
    if not sys.stdin.isatty():
        raise UsageError(f"{what} is missing; give it as an option (mtmeta new --help)")
    while True:
        try:
            return read(str(typer.prompt(what)))
        except UsageError as error:
            typer.echo(str(error), err=True)


def _word(what: str, given: str | None, vocabulary: Any) -> str:
    """Read a word of a vocabulary; a misspelt one is answered by the nearest."""
    words: Sequence[str] = typing.get_args(vocabulary)

    def read(text: str) -> str:
        from mtmeta.errors import UsageError
        from mtmeta.records.messages import nearest

        if text in words:
            return text
        close = nearest(text, words)
        hint = f"did you mean {' or '.join(close)}?" if close else f"write one of: {', '.join(words)}"
        raise UsageError(f"{what}: {text!r} is not a word of the list; {hint}")

    return str(_ask(what, given, read))


def _arm(name: str, text: str) -> dict[str, Any]:
    from mtmeta.errors import UsageError

    try:
        n, mean, sd = text.split(",")
        return {"n": int(n), "mean": float(mean), "sd": float(sd)}
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} is not n,mean,sd such as 15,30.2,5.1") from error


def _events(name: str, text: str) -> dict[str, Any]:
    from mtmeta.errors import UsageError

    try:
        events, n = text.split(",")
        return {"events": int(events), "n": int(n)}
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} is not events,n such as 12,40") from error


def _study(study: str, values: dict[str, Any]) -> Study:
    """Build the record; what the schema refuses is told with the field and what to write instead."""
    from pydantic import ValidationError

    from mtmeta.errors import UsageError
    from mtmeta.records.messages import explain
    from mtmeta.records.schema import Study

    document = {
        "schema": 1,
        "id": study,
        "label": study.replace("-", " ").title(),
        "citation": {},
        "design": {},
        "population": {},
        "intervention": {},
        "comparator": {},
        **values,
    }
    try:
        return Study.model_validate(document)
    except ValidationError as error:
        told = [
            f"{'.'.join(map(str, path))} {message}"
            for item in error.errors(include_url=False, include_input=False)
            for path, message in explain(item, Study, document, lambda _: None)
        ]
        raise UsageError(f"no record can be made of this: {'; '.join(told)}") from error


def _schema(studies: Path) -> None:
    """Put the schema that the record's first line names beside the records, if none is there."""
    from mtmeta.records.files import write_atomic
    from mtmeta.records.locate import data_folder

    path = studies / "study.schema.json"
    if not path.exists():
        write_atomic(path, (data_folder("studies") / path.name).read_text(encoding="utf-8"))
