"""Printing: tables that a terminal fits and a pipe gets whole, progress on a terminal only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import typer

__all__ = ["Step", "note", "print_json", "print_table", "progress"]


def print_json(value: Any) -> None:
    """Print a value as JSON; NaN is refused rather than printed as no JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def note(text: str) -> None:
    """Print a line to standard error."""
    typer.echo(text, err=True)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Print a table: fitted to a terminal, whole and unwrapped in a pipe.

    Parameters
    ----------
    headers : sequence of str
    rows : iterable of sequences of str
    right : iterable of int
        Columns aligned to the right.
    """
    rows = [list(row) for row in rows]
    right = set(right)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for i, header in enumerate(headers):
            table.add_column(header, justify="right" if i in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
        return
    widths = [max(len(r[i]) for r in [list(headers), *rows]) for i in range(len(headers))]
    for row in [list(headers), ["-" * w for w in widths], *rows]:
        cells = [
            c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())


class Step(Protocol):
    """Called after each piece of work with what was done and how much there is."""

    def __call__(self, done: int, total: int) -> None:
        """Report progress."""


@contextmanager
def progress(label: str) -> Iterator[Step]:
    """Show progress, rate and time left on a terminal's standard error; silent in a pipe."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Pieces a second."""

        def render(self, task: Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:,.1f}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield step
