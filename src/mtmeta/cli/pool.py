"""``mtmeta pool``: pool an analysis file, or a CSV of anybody's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mtmeta.models.pool import PoolResult

__all__ = ["pool"]


def pool(
    source: Annotated[Path, typer.Argument(help="Analysis file, or CSV with yi,vi or raw data in columns.")],
    measure: Annotated[
        str | None, typer.Option(help="Effect measure of a CSV: SMD, MD, OR, RR, RD, GEN ...")
    ] = None,
    model: Annotated[str, typer.Option(help="random or common.")] = "random",
    tau2: Annotated[str, typer.Option(help="Heterogeneity estimator: DL, PM, REML, ML ...")] = "REML",
    ci: Annotated[str, typer.Option(help="auto, Wald, HKSJ or HKSJ-floor.")] = "auto",
    variance: Annotated[
        str, typer.Option(help="Convention of an SMD's variance: LS, LS2, UB, AV or RevMan.")
    ] = "LS",
    pi: Annotated[str, typer.Option(help="Prediction rule: V, HTS, normal, HK or HK-PR.")] = "V",
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    studies: Annotated[Path | None, typer.Option(help="Folder of records, for an analysis file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pool one set of effects and print everything about it.

    A CSV holds one row a trial: study and yi,vi; or m1,sd1,n1,m2,sd2,n2 (two groups); or
    a,n1,c,n2 (events).

    Example: mtmeta pool trials.csv --measure SMD --tau2 REML
    """
    from mtmeta.cli.console import note, print_json
    from mtmeta.cli.table_file import read_table_file, repeated
    from mtmeta.measures import check_choice, check_level
    from mtmeta.models.pool import CommonEffect, RandomEffects
    from mtmeta.reports.summary import numbers

    check_choice("model", model, ("random", "common"))
    check_level(level)
    if source.suffix in (".yaml", ".yml") or (not source.suffix and not source.exists()):
        result, level, pi = _analysis(source, studies)
    else:
        es = read_table_file(source, measure, variance)
        for line in repeated(es):
            note(line)
        chosen = CommonEffect() if model == "common" else RandomEffects(tau2=tau2, ci=ci)  # type: ignore[arg-type]  # checked there
        result = chosen.fit(es)
    if as_json:
        print_json({"measure": result.effects.measure.code, **numbers(result, level=level, pi_method=pi)})
        return
    _print(result, level, pi)


def _analysis(path: Path, studies: Path | None) -> tuple[PoolResult, float, str]:
    from mtmeta.audit.files import read_analyses
    from mtmeta.audit.run import run_analysis
    from mtmeta.cli.places import project_of
    from mtmeta.records.folder import read_studies

    project = project_of([path], studies, None)
    item = read_analyses(project.analyses)[0]
    method = item.analysis.model
    return run_analysis(item.analysis, read_studies(project.studies)).result, method.level, method.pi


def _print(result: PoolResult, level: float, pi: str) -> None:
    from mtmeta.cli.console import print_table
    from mtmeta.measures import Interval
    from mtmeta.reports.summary import numbers
    from mtmeta.reports.words import estimate_ci, fixed, interval, percent, pvalue

    values = numbers(result, level=level, pi_method=pi)
    measure = result.effects.measure
    label = f"{level:.0%}" if (level * 100) % 1 == 0 else f"{level * 100:g}%"
    tau2 = getattr(result.model, "tau2", None)
    rows = [
        ["model", "common effect" if tau2 is None else f"random effects, τ² by {tau2}"],
        [
            f"{measure.back_label} ({measure.code})",
            estimate_ci(values["estimate"], Interval(*values["ci"]), 4),
        ],
        ["P value", pvalue(values["pvalue"])],
        [f"{label} interval by", values["ci_method"]],
        [
            f"{label} prediction interval",
            interval(None if values["pi"] is None else Interval(*values["pi"]), 4),
        ],
        ["studies, participants", f"{values['k']}, {'?' if values['n'] is None else values['n']}"],
        [
            "τ² [Q-profile]",
            f"{fixed(values['tau2'], 4)} "
            + interval(None if values["tau2_ci"] is None else Interval(*values["tau2_ci"]), 4),
        ],
        ["I², H²", f"{percent(values['i2'])}, {fixed(values['h2'])}"],
        ["Q, P", f"{fixed(values['q'])}, {pvalue(values['q_pvalue'])}"],
    ]
    print_table(("quantity", "value"), rows)
    typer.echo("")
    typer.echo(result.methods)
