"""``mtmeta reconcile``: the agreed records of two extractions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["reconcile"]


def reconcile(
    a: Annotated[Path, typer.Argument(help="Records of the first extractor.")],
    b: Annotated[Path, typer.Argument(help="Records of the second extractor.")],
    decisions: Annotated[Path, typer.Argument(help="Decision file, as mtmeta compare writes it.")],
    out: Annotated[Path, typer.Option(help="Folder for the agreed records.")] = Path("studies"),
) -> None:
    """Write the records on which two extractors agreed; every disagreement must be decided.

    Example: mtmeta reconcile extraction-a extraction-b decisions.yaml --out studies
    """
    from mtmeta.audit.compare_decisions import read_decisions, reconcile as reconciled
    from mtmeta.errors import UsageError
    from mtmeta.records.files import write_atomic_set
    from mtmeta.records.folder import read_studies
    from mtmeta.records.write import dump_study

    if out.resolve() in (a.resolve(), b.resolve()):
        raise UsageError(f"{out} holds an extraction; name another folder with --out")
    agreed = reconciled(read_studies(a), read_studies(b), read_decisions(decisions), path=str(decisions))
    files = {out / s.conditions[0] / f"{s.id}.yaml": dump_study(s) for s in agreed}
    write_atomic_set(files)
    typer.echo(f"{len(files)} records written to {out}")
