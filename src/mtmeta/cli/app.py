"""The Typer application: one file a command, each imported by name only."""

from __future__ import annotations

import typer

from mtmeta.cli.check import check
from mtmeta.cli.claims import claims
from mtmeta.cli.compare import compare
from mtmeta.cli.demo import demo
from mtmeta.cli.diff import diff
from mtmeta.cli.echo import echo
from mtmeta.cli.effects import effects
from mtmeta.cli.export import export
from mtmeta.cli.figures import figures
from mtmeta.cli.freeze import freeze
from mtmeta.cli.gosh import gosh
from mtmeta.cli.import_ import import_
from mtmeta.cli.init import init, new
from mtmeta.cli.multiverse import multiverse
from mtmeta.cli.pool import pool
from mtmeta.cli.reconcile import reconcile
from mtmeta.cli.report import report
from mtmeta.cli.run import run
from mtmeta.cli.simulate import simulate
from mtmeta.cli.verify import verify
from mtmeta.cli.why import why

app = typer.Typer(
    name="mtmeta",
    help="Meta-analysis from the printed number to the published figure.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"mtmeta {version('mtmeta')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and leave.", callback=_version, is_eager=True
    ),
) -> None:
    """Meta-analysis from the printed number to the published figure."""


# one line each that fits beside the names in 80 columns
for command, told in (
    (demo, "A tour in a minute; nothing is written."),
    (init, "Begin a review: two real records, a question, what they need."),
    (new, "Write the record of a trial, from options or answers."),
    (run, "Pool every question, ours beside what was published."),
    (check, "Read all files, then hunt for what cannot be right."),
    (effects, "List effects with their routes, and what was left out."),
    (pool, "Pool an analysis file, or anybody's CSV."),
    (multiverse, "Every answer that an analysis' declared alternatives give."),
    (gosh, "Pool all subsets of a question's trials."),
    (simulate, "Coverage, bias and power with trials of these sizes."),
    (figures, "Draw the figures of analyses, in any style and format."),
    (report, "One page of all analyses, without network; Markdown, LaTeX."),
    (freeze, "Keep a question and its method with date, before its data."),
    (verify, "Run everything again; which locked number moved, and why."),
    (claims, "Verdicts on statements in prose, by written rules."),
    (diff, "What changed between two states, and which trial moved it."),
    (echo, "What metafor, statsmodels or RevMan would print."),
    (why, "The way of one trial from the page to the pooled estimate."),
    (export, "The effect table as CSV, Excel, R script or RevMan rows."),
    (compare, "How far two extractions agree, and what it moves."),
    (reconcile, "Write the records on which two extractors agreed."),
    (import_, "RevMan, CSV, Excel and reference files into records."),
):
    app.command(command.__name__.rstrip("_"), short_help=told)(command)
