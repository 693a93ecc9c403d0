"""What a finding costs: every pool that uses a suspect row, without the row and with the row mended."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mtmeta.audit.findings import Cost, Finding, Pooled
from mtmeta.audit.run import AnalysisRun, model_of
from mtmeta.effects.compute import computed_rows
from mtmeta.effects.select import Row, Selection
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, EffectError, ModelError, MtmetaWarning
from mtmeta.models.pool import PoolResult
from mtmeta.records import schema as rec
from mtmeta.records.schema import Outcome, Study

__all__ = ["costs_of", "in_words", "largest_move", "mended", "pooled_of", "row_effect", "with_costs"]

_TURNED = frozenset({"sign-contradicts-report", "sign-contradicts-words"})


def with_costs(findings: Iterable[Finding], runs: Sequence[AnalysisRun]) -> tuple[Finding, ...]:
    """Return the findings with what each of them moves, those that move most first in their severity.

    Parameters
    ----------
    findings : iterable of Finding
    runs : sequence of AnalysisRun
        All analyses, run over the records in which the findings were made.
    """
    told = [replace(f, cost=costs_of(f, runs)) for f in findings]
    order = {"error": 0, "suspect": 1, "note": 2}
    return tuple(sorted(told, key=lambda f: (order[f.severity], -largest_move(f))))


def largest_move(finding: Finding) -> float:
    """Return the largest move of an estimate in standard errors, 0 where nothing was re-pooled."""
    return max((c.moves for c in finding.cost), default=0.0)


def costs_of(finding: Finding, runs: Iterable[AnalysisRun]) -> tuple[Cost, ...]:
    """Re-pool each analysis that uses a row of the finding.

    Parameters
    ----------
    finding : Finding
    runs : iterable of AnalysisRun

    Returns
    -------
    tuple of Cost
        One for each analysis in whose pool the row stands; where today's answer leaves the row out
        already, the pool is that of the rows selected before. Empty where no analysis uses it.

    Notes
    -----
    Mended is what the remedy says: an SE typed as an SD is multiplied by √n, a contradicted sign is turned,
    the scale of a ratio is changed; for other findings there is no number to put in place, and `mended` is
    None. Of a trial that stands twice, the second is left out.
    """
    found = []
    for run in runs:
        for pool, es in (("today", run.effects), ("as selected", run.selected)):
            rows = _rows_at(finding, es)
            if rows.any():
                cost = _cost(finding, run, es, rows, pool)
                if cost is not None:
                    found.append(cost)
                break
    return tuple(found)


def _rows_at(finding: Finding, es: EffectSizes) -> npt.NDArray[np.bool_]:
    """Return which rows of a table the finding is about."""
    outcomes = [""] * es.k if es.columns is None else [str(o) for o in es.columns["outcome"]]
    places = [{f"{s}/{part}" for part in o.split("+")} for s, o in zip(es.study, outcomes, strict=True)]
    ids = {i for i in finding.ids if "/" in i}
    if finding.code == "duplicate-trial":
        # the first keeps its place where both are pooled
        first = finding.ids[0].split("/")[0]
        here = {i.split("/")[0] for i in ids if any(i in p for p in places)}
        ids = {i for i in ids if i.split("/")[0] != first} if len(here) > 1 else set()
    elif finding.code in ("sign-contradicts-report", "n-grows"):
        ids = set(finding.ids[:1])
    return np.array([bool(ids & place) for place in places], dtype=np.bool_)


def _cost(
    finding: Finding, run: AnalysisRun, es: EffectSizes, rows: npt.NDArray[np.bool_], pool: str
) -> Cost | None:
    with warnings.catch_warnings():
        # a pool of two or one with its row left out warns of what it is; the numbers are shown beside
        warnings.simplefilter("ignore", MtmetaWarning)
        before = pooled_of(run, es)
        if before is None:
            return None
        without = pooled_of(run, es.subset(np.flatnonzero(~rows))) if not rows.all() else None
        table = _mended_table(finding, run, es, rows)
        after = None if table is None else pooled_of(run, table)
    moved = [abs(p.estimate - before.estimate) / before.se for p in (without, after) if p is not None]
    return Cost(run.analysis.name, pool, before, without, after, max(moved, default=0.0))


def pooled_of(run: AnalysisRun, es: EffectSizes) -> Pooled | None:
    """Pool a table by the model of an analysis; None where it cannot be."""
    try:
        fit: PoolResult = model_of(run.analysis.model).fit(es)
        low, high = fit.ci(run.analysis.model.level)
    except ModelError:
        return None
    return Pooled(es.k, float(fit.estimate), float(fit.se), float(low), float(high), float(fit.tau2))


def _mended_table(
    finding: Finding, run: AnalysisRun, es: EffectSizes, rows: npt.NDArray[np.bool_]
) -> EffectSizes | None:
    at = np.flatnonzero(rows)
    if len(at) != 1 or es.columns is None or "+" in str(es.columns["outcome"].iloc[at[0]]):
        return None
    yi, vi = es.yi.copy(), es.vi.copy()
    if finding.code in _TURNED:
        yi[at] = -yi[at]
        return replace(es, yi=yi, vi=vi)
    name, outcome_id = es.study[int(at[0])], str(es.columns["outcome"].iloc[at[0]])
    study = next(s for s in run.studies if s.id == name)
    put_right = mended(study.outcome(outcome_id), finding)
    effect = None if put_right is None else row_effect(study, put_right, run)
    if effect is None:
        return None
    yi[at], vi[at] = effect
    return replace(es, yi=yi, vi=vi)


def row_effect(study: Study, outcome: Outcome, run: AnalysisRun) -> tuple[float, float] | None:
    """Return the effect of a row and its variance as an analysis computes them, None where it cannot."""
    method = run.analysis
    try:
        computed, _ = computed_rows(
            Selection((Row(study, outcome),), ()),
            measure=method.measure,
            variance=method.model.variance,
            choices=method.routes.choices,
        )
    except (AnalysisError, EffectError):
        return None
    return (computed[0].yi, computed[0].vi) if len(computed) == 1 else None


def mended(outcome: Outcome, finding: Finding) -> Outcome | None:
    """Return the outcome as the finding's remedy would have it, None where the remedy is no number.

    Examples
    --------
    Systolic pressure of White 1999, g -1.50 in CD006577.pub3 with 15 and 15 people: were the SDs standard
    errors, g would be -1.50 / √15.

    >>> from mtmeta.audit.hunt import hunt
    >>> from mtmeta.records.locate import example_studies
    >>> cardiac = example_studies("cardiac")
    >>> found = next(f for f in hunt(cardiac) if f.ids[0] == "white-1999/systolic-pressure")
    >>> round(mended(cardiac["white-1999"].outcome("systolic-pressure"), found).data.estimate, 2)
    -0.39
    """
    data = outcome.data
    if finding.code in ("log-as-natural", "natural-as-log") and isinstance(data, rec.IntervalEffect):
        scale = "log" if data.scale == "natural" else "natural"
        return outcome.model_copy(update={"data": data.model_copy(update={"scale": scale})})
    if finding.code not in ("se-as-sd", "sd-as-se"):
        return None
    if isinstance(data, rec.Effect) and data.measure == "SMD" and "g_if_sd_is_se" in finding.evidence:
        return _smaller_effect(outcome, data)
    if not isinstance(data, rec.Means | rec.Changes):
        return None
    names = ("sd", "se") if finding.code == "se-as-sd" else ("se", "sd")
    only = finding.evidence.get("arm")
    groups = {
        arm: _moved(getattr(data, arm), *names) for arm in ("music", "control") if only is None or only == arm
    }
    return outcome.model_copy(update={"data": data.model_copy(update=groups)})


def _moved(
    group: rec.GroupMeans | rec.GroupChanges, taken: str, given: str
) -> rec.GroupMeans | rec.GroupChanges:
    """Put an arm's spread under its other name."""
    if isinstance(group, rec.GroupChanges):
        spread = getattr(group.change, taken)
        change = group.change.model_copy(update={taken: None, given: spread})
        return group.model_copy(update={"change": change})
    return group.model_copy(update={taken: None, given: getattr(group, taken)})


def _smaller_effect(outcome: Outcome, data: rec.Effect) -> Outcome | None:
    """Divide a reported SMD by √n, with the standard error of an SMD of that size."""
    sizes = data.n_unordered or (data.n_music, data.n_control)
    if sizes[0] is None or sizes[1] is None:
        return None
    one, two = float(sizes[0]), float(sizes[1])
    g = data.estimate / math.sqrt(2.0 * one * two / (one + two))
    se = math.sqrt(1.0 / one + 1.0 / two + g * g / (2.0 * (one + two)))
    update: dict[str, object] = {"estimate": g, "se": se, "ci_low": None, "ci_high": None}
    return outcome.model_copy(update={"data": data.model_copy(update=update)})


def in_words(cost: Cost) -> str:
    """Return a cost in a line.

    Examples
    --------
    >>> before = Pooled(5, -0.7, 0.2, -1.1, -0.3, 0.1)
    >>> print(in_words(Cost("x", "today", before, Pooled(4, -0.5, 0.2, -0.9, -0.1, 0.05), None, 1.0)))
    x: -0.70 [-1.10, -0.30], τ² 0.100; without it -0.50 [-0.90, -0.10], τ² 0.050
    """
    parts = [f"{cost.analysis}: {_text(cost.before)}"]
    parts.append(
        "without it nothing is left" if cost.without is None else f"without it {_text(cost.without)}"
    )
    if cost.mended is not None:
        parts.append(f"mended {_text(cost.mended)}")
    return "; ".join(parts)


def _text(pooled: Pooled) -> str:
    return f"{pooled.estimate:.2f} [{pooled.ci_low:.2f}, {pooled.ci_high:.2f}], τ² {pooled.tau2:.3f}"
