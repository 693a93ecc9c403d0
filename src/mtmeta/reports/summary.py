"""A run as plain data: for ``--json``, for lock files and for the table."""

from __future__ import annotations

from typing import Any

from mtmeta.audit.conclusion import conclude
from mtmeta.audit.grade import grade_of
from mtmeta.audit.run import AnalysisRun, PublishedRun, participants
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError
from mtmeta.measures import Interval, Measure
from mtmeta.models.pool import PoolResult
from mtmeta.reports.bayes_numbers import bayes_numbers
from mtmeta.reports.words import significant

__all__ = ["numbers", "run_summary"]


def _pair(ci: Interval | None) -> list[float] | None:
    return None if ci is None else [significant(ci.low), significant(ci.high)]


def _moved(measure: Measure, ci: Interval) -> Interval:
    return Interval(measure.back(ci.low), measure.back(ci.high))


def prediction(result: PoolResult, level: float, method: str) -> Interval | None:
    """Prediction interval, or None where the rule has no degrees of freedom for so few studies."""
    try:
        return result.pi(level, method=method)  # type: ignore[arg-type]  # checked there
    except ModelError:
        return None


def tau2_interval(result: PoolResult, level: float) -> Interval | None:
    """Q-profile interval of the heterogeneity variance; None for a common effect or one study."""
    try:
        return result.tau2_ci(level, method="QP")
    except ModelError:
        return None


def numbers(result: PoolResult, *, level: float = 0.95, pi_method: str = "V") -> dict[str, Any]:
    """All numbers of a pooled result at 12 significant digits.

    Estimate, interval and prediction interval are on the scale people read (ratios, not their
    logarithms); ``se``, ``tau2`` and its interval are on the scale of analysis.
    """
    measure = result.effects.measure
    pi = prediction(result, level, pi_method)
    return {
        "k": result.effects.k,
        "n": participants(result.effects),
        "estimate": significant(measure.back(result.estimate)),
        "ci": _pair(_moved(measure, result.ci(level))),
        "level": level,
        "ci_method": result.ci_method,
        "pi": None if pi is None else _pair(_moved(measure, pi)),
        "pi_method": None if pi is None else pi_method,
        "se": significant(result.se),
        "statistic": significant(result.statistic),
        "df": None if result.df == float("inf") else significant(result.df),
        "pvalue": significant(result.pvalue),
        "tau2": significant(result.tau2),
        "tau2_ci": _pair(tau2_interval(result, level)),
        "i2": significant(result.i2),
        "h2": significant(result.h2),
        "q": significant(result.q),
        "q_pvalue": significant(result.q_pvalue),
    }


def _published(run: PublishedRun) -> dict[str, Any]:
    printed = run.published
    return {
        "review": printed.review,
        "label": printed.label,
        "group": printed.group,
        "measure": printed.measure,
        "method": printed.method.words,
        "estimate": None if printed.estimate is None else float(printed.estimate.replace("−", "-")),
        "ci": None if printed.ci is None else [float(x.replace("−", "-")) for x in printed.ci],
        "printed": {"estimate": printed.estimate, "ci": None if printed.ci is None else list(printed.ci)},
        "k": printed.k,
        "n": printed.n,
        "compared": printed.compare,
        "why": printed.why or run.reason,
        "agreement": run.agreement,
        "k_agrees": run.k_agrees,
        "n_agrees": run.n_agrees,
        "differences": list(run.differences),
        "known_faults": dict(printed.known_faults),
        "ours": None
        if run.result is None
        else {
            "measure": run.result.effects.measure.code,
            **numbers(run.result, level=printed.method.level, pi_method=printed.method.pi),
        },
    }


def _rows(es: EffectSizes, result: PoolResult) -> list[dict[str, Any]]:
    columns = es.columns
    out = []
    for i, study in enumerate(es.study):
        row: dict[str, Any] = {"study": study}
        if columns is not None:
            row |= {name: columns[name].iloc[i] for name in ("outcome", "route") if name in columns}
        row |= {
            "yi": significant(float(es.yi[i])),
            "vi": significant(float(es.vi[i])),
            "weight": significant(float(result.weights[i])),
        }
        out.append(row)
    return out


def run_summary(run: AnalysisRun) -> dict[str, Any]:
    """One analysis as an object: its answer, the published figures, what was left out.

    ``k`` and ``n`` count the rows that answer the question; ``estimate``, ``ci`` and ``pi`` are
    today's model, whose own ``k`` and ``n`` stand under ``today`` and differ where the analysis
    excludes a row with a reason.
    """
    method = run.analysis.model
    today = numbers(run.result, level=method.level, pi_method=method.pi)
    published = [_published(p) for p in run.published]
    return {
        "name": run.analysis.name,
        "title": run.analysis.title,
        "measure": run.analysis.measure,
        "better": run.analysis.better,
        "k": run.selected.k,
        "n": participants(run.selected),
        "estimate": today["estimate"],
        "ci": today["ci"],
        "pi": today["pi"],
        "agreement": run.agreement,
        "published": published[0] if published else None,
        "more_published": published[1:],
        "today": {
            "model": method.words,
            "method": method.model_dump(),
            **today,
            "excluded": dict(run.analysis.today.exclude),
        },
        "conclusion": {**run.analysis.conclusion.model_dump(), "says": conclude(run)},
        "certainty": grade_of(run).as_dict(),
        "subgroups": _subgroups(run),
        "bayes": [bayes_numbers(b) for b in run.bayes],
        "rows": _rows(run.effects, run.result),
        "warnings": list(run.warnings),
        "left_out": [{"study": x.study, "outcome": x.outcome, "reason": x.reason} for x in run.left_out],
    }


def _subgroups(run: AnalysisRun) -> dict[str, Any] | None:
    result = run.subgroups
    if result is None or run.analysis.subgroups is None:
        return None
    method = run.analysis.model
    return {
        "by": run.analysis.subgroups.by,
        "groups": {
            name: numbers(group, level=method.level, pi_method=method.pi)
            for name, group in result.groups.items()
        },
        "q_between": significant(result.q_between),
        "df": result.df_between,
        "pvalue": significant(result.pvalue),
    }
