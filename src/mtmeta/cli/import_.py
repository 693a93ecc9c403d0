"""``mtmeta import``: files of other programs become records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mtmeta.records.importers import Imported
    from mtmeta.records.schema import Study

__all__ = ["import_"]


def import_(
    file: Annotated[
        Path,
        typer.Argument(help="RevMan (.rm5, data rows), table (.csv, .xlsx), references (.ris, .bib, .nbib)."),
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder of records.")],
    map: Annotated[
        Path | None, typer.Option("--map", help="Column map (YAML): columns, values, defaults.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over records that are there.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be written, and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Turn a file of another program into records that pass `mtmeta check`; list what could not be read.

    Records that are there already are left as they are, unless --force is given. Ends with 1 when something
    could not be read or was left.

    Example: mtmeta import review.rm5 --to studies
    """
    from mtmeta.cli.console import print_json
    from mtmeta.errors import RecordError
    from mtmeta.records.files import write_atomic_set
    from mtmeta.records.importers import import_file

    found = import_file(file, map=map)
    if not found.studies and not found.not_read:
        raise RecordError.at(file, 0, "", "holds no trial")
    files, kept = planned(found.studies, to, force=force)
    if files and not dry_run:
        write_atomic_set({path: text for path, (_, text) in files.items()})
    if as_json:
        print_json(summary(found, files, kept, dry_run=dry_run))
    else:
        _print(found, files, kept, dry_run=dry_run)
    if found.not_read or kept:
        raise typer.Exit(1)


def planned(
    studies: tuple[Study, ...], to: Path, *, force: bool
) -> tuple[dict[Path, tuple[Study, str]], dict[str, Path]]:
    """Return the files to be written, and the records that are there already and are left."""
    from mtmeta.records.importers.draft import slug
    from mtmeta.records.write import dump_study

    there = (
        {path.stem: path for path in sorted(to.rglob("*.y*ml")) if path.suffix in (".yaml", ".yml")}
        if to.is_dir()
        else {}
    )
    files: dict[Path, tuple[Study, str]] = {}
    kept: dict[str, Path] = {}
    for study in studies:
        path = there.get(study.id)
        if path is not None and not force:
            kept[study.id] = path
            continue
        files[path or to / slug(study.conditions[0]) / f"{study.id}.yaml"] = (study, dump_study(study))
    return files, kept


def summary(
    found: Imported, files: dict[Path, tuple[Study, str]], kept: dict[str, Path], *, dry_run: bool
) -> dict[str, Any]:
    """Return what happened as plain data."""
    return {
        "written": [] if dry_run else [str(path) for path in files],
        "planned": [str(path) for path in files] if dry_run else [],
        "records": len(found.studies),
        "outcomes": sum(len(s.outcomes) for s in found.studies),
        "kept": [{"id": study, "path": str(path)} for study, path in kept.items()],
        "not_read": [
            {"path": p.path, "line": p.line, "field": p.field, "message": p.message} for p in found.not_read
        ],
    }


def _print(
    found: Imported, files: dict[Path, tuple[Study, str]], kept: dict[str, Path], *, dry_run: bool
) -> None:
    from mtmeta.cli.console import print_table

    if files:
        rows = [[str(path), study.label, str(len(study.outcomes))] for path, (study, _) in files.items()]
        print_table(("would write" if dry_run else "record", "trial", "outcomes"), rows, right=(2,))
    for study, path in kept.items():
        typer.echo(f"left as it is: {path} ({study}); --force writes over it")
    for problem in found.not_read:
        typer.echo(f"not read: {problem}")
    what = "would be written" if dry_run else "written"
    typer.echo(f"{len(files)} records {what}, {len(kept)} left, {len(found.not_read)} things not read")
