"""Studies that a reader can tick off: the data of the page's own arithmetic, and what it says at first."""

from __future__ import annotations

import math
from typing import Any

from mtmeta.audit.run import AnalysisRun, participants
from mtmeta.effects.table import EffectSizes
from mtmeta.measures import Interval, Measure
from mtmeta.models.intervals import critical
from mtmeta.models.pool import PoolResult
from mtmeta.reports.document import Explorer, Note, Paragraph, Section
from mtmeta.reports.locked import tau2_text
from mtmeta.reports.plots import LONGEST
from mtmeta.reports.summary import prediction
from mtmeta.reports.words import count, estimate_ci, fixed, interval, percent, pvalue

__all__ = ["answers", "explorer_section"]

_WIDTH, _SQUARE = 240.0, 12.0
_ESTIMATORS = ("REML", "DL", "PM", "ML", "SJ", "HE")


def answers(result: PoolResult, *, of: int, level: float, pi_method: str) -> dict[str, str]:
    """Say in words what the page says of the same studies; tests hold the page to it.

    Parameters
    ----------
    result : PoolResult
    of : int
        How many effects the analysis has.
    level, pi_method
        Of the intervals.
    """
    measure = result.effects.measure
    pi = prediction(result, level, pi_method) if result.predicts else None
    random = result.tau2_method != "none"
    model = f"random effects, {result.tau2_method}" if random else "common effect"
    return {
        "estimate": estimate_ci(measure.back(result.estimate), _back(measure, result.ci(level))),
        "pi": interval(_back(measure, pi)),
        "p": pvalue(result.pvalue),
        "tau2": tau2_text(result.tau2),
        "i2": percent(result.i2),
        "q": f"{fixed(result.q)} (df {result.q_df}, p {pvalue(result.q_pvalue)})",
        "k": f"{result.k} of {of}",
        "n": count(participants(result.effects)),
        "method": f"{model}, {result.ci_method}",
    }


def _back(measure: Measure, ci: Interval | None) -> Interval | None:
    return None if ci is None else Interval(measure.back(ci.low), measure.back(ci.high))


_TITLES = {
    "estimate": "Pooled [CI]",
    "pi": "Prediction interval",
    "p": "p",
    "tau2": "τ²",
    "i2": "I²",
    "q": "Cochran's Q",
    "k": "Effects",
    "n": "People",
    "method": "Method",
}


def explorer_section(run: AnalysisRun) -> Section:
    """Return the studies with what they weigh, for a reader to take off one by one."""
    name = run.analysis.name
    identity, title = f"explore-{name}", "Leave trials out"
    if run.effects.k > LONGEST:
        told = f"{run.effects.k} effects are too many to tick off in a page; the table of trials lists them."
        return Section(identity, title, (Note.of(told, kind="refusal"),))
    told = (
        "Take a tick off to leave a trial out, or choose another model: the estimate is computed anew in "
        "this page, by the same formulas. Choosing trials after their results are known is no analysis; "
        "this shows how much the answer hangs on each."
    )
    return Section(identity, title, (Paragraph.of(told), Explorer(f"ticks-{name}", _data(run))))


def _data(run: AnalysisRun) -> dict[str, Any]:
    es, method, result = run.effects, run.analysis.model, run.result
    measure = es.measure
    low, high = _axis(es, result, method.level)

    def at(value: float) -> float:
        return round(min(_WIDTH, max(0.0, _WIDTH * (value - low) / (high - low))), 2)

    first = answers(result, of=es.k, level=method.level, pi_method=method.pi)
    most = float(result.weights.max())
    half = critical(method.level)
    labels = _labels(es)
    rows = []
    for i in range(es.k):
        y, v, weight = float(es.yi[i]), float(es.vi[i]), float(result.weights[i])
        side = _SQUARE * math.sqrt(weight / most)
        own = Interval(y - half * math.sqrt(v), y + half * math.sqrt(v))
        n = None if es.n is None or math.isnan(es.n[i]) else float(es.n[i])
        rows.append(
            {
                "label": labels[i],
                "y": y,
                "v": v,
                "n_value": None if n is None else (int(n) if n.is_integer() else n),
                "n": count(n),
                "text": estimate_ci(measure.back(y), _back(measure, own)),
                "weight": f"{fixed(100 * weight, 1)}%",
                "x": at(y),
                "x0": at(own.low),
                "x1": at(own.high),
                "sx": round(at(y) - side / 2, 2),
                "sy": round(8 - side / 2, 2),
                "side": round(side, 2),
            }
        )
    lower = run.analysis.better == "lower"
    return {
        "title": run.analysis.title,
        "measure": run.analysis.measure,
        "scale": measure.scale,
        "null": measure.null,
        "null_x": at(measure.null),
        "level": f"{100 * method.level:g}%",
        "decimals": 2,
        "model": {
            "kind": method.kind,
            "tau2": method.tau2,
            "ci": method.ci,
            "pi": method.pi,
            "level": method.level,
        },
        "estimators": list(dict.fromkeys((method.tau2, *_ESTIMATORS))),
        "axis": [low, high],
        "left": "← favours music" if lower else "← favours comparator",
        "right": "favours comparator →" if lower else "favours music →",
        "answers": [(key, title, first[key]) for key, title in _TITLES.items()],
        "rows": rows,
    }


def _labels(es: EffectSizes) -> list[str]:
    """Names of the rows; the outcome is added where a trial has several."""
    columns = es.columns
    names = list(es.study) if columns is None or "label" not in columns else list(map(str, columns["label"]))
    if len(set(names)) == len(names) or columns is None or "outcome" not in columns:
        return names
    outcomes = list(map(str, columns["outcome"]))
    return [
        f"{name}, {outcome}" if names.count(name) > 1 else name
        for name, outcome in zip(names, outcomes, strict=True)
    ]


def _axis(es: EffectSizes, result: PoolResult, level: float) -> tuple[float, float]:
    """Return the ends of the axis: all estimates, the null, and intervals up to twice their width."""
    half = critical(level) * es.sei
    null = es.measure.null
    inner = float(min(es.yi.min(), null)), float(max(es.yi.max(), null))
    room = max(inner[1] - inner[0], float(result.se), 1e-9)
    low = max(float((es.yi - half).min()), inner[0] - 0.5 * room)
    high = min(float((es.yi + half).max()), inner[1] + 0.5 * room)
    return min(low, null - 0.05 * room), max(high, null + 0.05 * room)
