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


for command in (
    demo,
    init,
    new,
    run,
    check,
    effects,
    pool,
    multiverse,
    gosh,
    simulate,
    figures,
    report,
    freeze,
    verify,
    claims,
    diff,
    echo,
    why,
    export,
    compare,
    reconcile,
):
    app.command()(command)
app.command("import")(import_)
