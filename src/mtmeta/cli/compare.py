"""``mtmeta compare``: two extractions of the same trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.audit.compare import Comparison, Disagreement
    from mtmeta.audit.compare_agreement import Agreement

__all__ = ["compare"]


def compare(
    a: Annotated[Path, typer.Argument(help="Records of the first extractor.")],
    b: Annotated[Path, typer.Argument(help="Records of the second extractor.")],
    analyses: Annotated[
        Path | None, typer.Option(help="Analyses in which to show what each disagreement moves.")
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option(help="Decision file to write; what was decided in it before stays.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two extractions: how far they agree, each real disagreement, and what it moves.

    Numbers that differ by rounding agree; free words are not compared. Trials and outcomes are matched by id.

    Example: mtmeta compare extraction-a extraction-b --decisions decisions.yaml
    """
    from dataclasses import asdict

    from mtmeta.audit.compare import compare as compared
    from mtmeta.audit.compare_decisions import decisions_for, dump_decisions, read_decisions
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import AnalysisRun, run_analysis
    from mtmeta.cli.console import note, print_json
    from mtmeta.errors import AnalysisError, ModelError
    from mtmeta.records.files import write_atomic
    from mtmeta.records.folder import read_studies

    first, second = read_studies(a), read_studies(b)
    runs: list[AnalysisRun] = []
    for item in () if analyses is None else read_analyses([analyses]):
        try:
            runs.append(run_analysis(item.analysis, first))
        except (AnalysisError, ModelError) as error:
            note(f"{item.path}: not pooled: {error}")
    found = compared(first, second, runs=runs)
    if decisions is not None:
        before = read_decisions(decisions) if decisions.exists() else ()
        write_atomic(decisions, dump_decisions(decisions_for(found.disagreements, before)))
    if as_json:
        print_json(_plain(asdict(found)))
    else:
        _print(found)


def _plain(value: object) -> object:
    """NaN is not JSON: what cannot be told is null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and value != value else value


def _print(found: Comparison) -> None:
    from mtmeta.cli.console import print_table

    typer.echo(f"{found.trials} trials in both; {found.exact.n} entries, {_share(found.exact)} agree")
    rows = [
        [f.field, f.kind, str(f.exact.n), _share(f.exact), _number(f.chance_corrected)]
        for f in found.fields
        if f.exact.estimate < 1.0
    ]
    if rows:
        typer.echo("")
        print_table(["entry", "kind", "n", "agree", "kappa or ICC"], rows, right=(2,))
    if found.disagreements:
        typer.echo("")
        table = [[d.study, d.field, _shown(d.a), _shown(d.b), _moves(d)] for d in found.disagreements]
        print_table(["trial", "entry", "a", "b", "moves"], table)


def _share(a: Agreement) -> str:
    if a.n == 0:
        return "-"
    return f"{100 * a.estimate:.1f}% [{100 * a.low:.1f}, {100 * a.high:.1f}]"


def _number(a: Agreement) -> str:
    return "-" if a.estimate != a.estimate else f"{a.estimate:.2f} [{a.low:.2f}, {a.high:.2f}]"


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _moves(item: Disagreement) -> str:
    return "; ".join(
        f"{m.analysis}: {m.a.estimate:.2f} [{m.a.ci_low:.2f}, {m.a.ci_high:.2f}] to {m.b.estimate:.2f} "
        f"[{m.b.ci_low:.2f}, {m.b.ci_high:.2f}]"
        for m in item.moves
    )
