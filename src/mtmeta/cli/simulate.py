"""``mtmeta simulate``: how a method fares with trials like these, and what one more can change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["simulate"]


def simulate(
    analysis: Annotated[Path, typer.Argument(help="Analysis file.")],
    studies: Annotated[
        Path | None, typer.Option(help="Folder of records; beside the analysis by default.")
    ] = None,
    mu: Annotated[
        float | None, typer.Option(help="True mean on the scale of analysis; the estimate by default.")
    ] = None,
    tau2: Annotated[float | None, typer.Option(help="True τ²; the estimate by default.")] = None,
    next_se: Annotated[
        list[float] | None,
        typer.Option("--next-se", help="Standard error of a next trial to try; may be repeated."),
    ] = None,
    replications: Annotated[int, typer.Option(min=1, help="Simulated meta-analyses.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="Who simulates: a Dask scheduler, tcp://host:8786, or so many processes."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulate meta-analyses of trials of these sizes: coverage, power, and what a next trial can change.

    Example: mtmeta simulate analyses/icu-anxiety.yaml --mu 0 --next-se 0.2
    """
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import model_of, run_analysis
    from mtmeta.cli.console import print_json, progress
    from mtmeta.cli.places import project_of
    from mtmeta.diagnostics.chunks import who_works
    from mtmeta.diagnostics.simulation import next_trial, simulate as simulated
    from mtmeta.records.folder import read_studies
    from mtmeta.reports.subsets import simulation_summary, simulation_words

    project = project_of([analysis], studies, None)
    item = read_analyses(project.analyses)[0]
    with progress("reading records") as step:
        run = run_analysis(item.analysis, read_studies(project.studies, progress=step))
    method = item.analysis.model
    model, who = model_of(method), who_works(cluster)
    truth = run.result.estimate if mu is None else mu
    spread = run.result.tau2 if tau2 is None else tau2
    with progress("meta-analyses") as step:
        found = simulated(
            model,
            run.effects.vi,
            mu=truth,
            tau2=spread,
            replications=replications,
            level=method.level,
            seed=seed,
            cluster=who,
            progress=step,
        )
    designs = None
    if next_se:
        with progress("next trials") as step:
            designs = next_trial(
                model,
                run.effects,
                [se * se for se in next_se],
                replications=replications,
                level=method.level,
                seed=seed,
                cluster=who,
                progress=step,
            )
    summary = simulation_summary(run, found, mu=truth, tau2=spread, designs=designs)
    if as_json:
        print_json(summary)
        return
    typer.echo(f"{run.analysis.name}: {run.analysis.title}")
    for line in simulation_words(run, summary):
        typer.echo(line)
