"""Sections of a report on what came out: the pooled estimate, what was published, other ways to pool."""

from __future__ import annotations

import math
from typing import Any, Literal

from mtmeta.audit.run import AnalysisRun, model_of
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval
from mtmeta.models.pool import CommonEffect, PoolResult, RandomEffects
from mtmeta.models.tau2 import Tau2Method
from mtmeta.reports.document import (
    Block,
    Cell,
    Column,
    Note,
    Number,
    Paragraph,
    Section,
    Span,
    Spans,
    Table,
    TableRow,
    Tone,
    spans,
)
from mtmeta.reports.locked import Locked, tau2_text
from mtmeta.reports.plots import LONGEST
from mtmeta.reports.sections import rows_of
from mtmeta.reports.summary import prediction
from mtmeta.reports.words import count, fixed, percent

__all__ = ["effect_spans", "results_section", "sensitivity_section"]

_AGREEMENT: dict[str, Tone] = {"agrees": "good", "differs": "poor"}
_CIS: tuple[Literal["HKSJ", "HKSJ-floor", "Wald"], ...] = ("HKSJ", "HKSJ-floor", "Wald")
_ESTIMATORS: tuple[Tau2Method, ...] = ("REML", "DL", "PM", "ML", "SJ", "HE")


def effect_spans(run: AnalysisRun, value: float, ci: Interval | None) -> Spans:
    """Write an effect and its interval, given on the scale of analysis, on the scale people read."""
    if math.isnan(value):
        return spans(Number("-"))
    back = run.effects.measure.back

    def one(x: float) -> Number:
        return Number(fixed(back(x)), back(x))

    if ci is None:
        return spans(one(value))
    return spans(one(value), " ", "[", one(ci.low), ", ", one(ci.high), "]")


def interval_cell(run: AnalysisRun, ci: Interval | None) -> Cell:
    """Return a cell with an interval on the scale people read; a dash for none."""
    if ci is None:
        return Cell.of(Number("-"))
    back = run.effects.measure.back
    low, high = back(ci.low), back(ci.high)
    return Cell.of("[", Number(fixed(low), low), ", ", Number(fixed(high), high), "]", sort=low)


# ---- results --------------------------------------------------------------------------------------


def results_section(run: AnalysisRun, locked: Locked) -> Section:
    """Return the pooled estimate with all that belongs to it, groups, and what was published beside it."""
    name = run.analysis.name
    blocks: list[Block] = [_pooled_table(run, locked)]
    if run.result.note:
        blocks.append(Note.of(f"Interval: {run.result.note.replace('tau2', 'τ²')}."))
    if run.subgroups is not None:
        blocks.append(_group_table(run, locked))
        blocks.append(
            Note.of(
                "Groups are of whole trials: a difference between them is a comparison between trials, not "
                "within them, and may be due to anything else in which the trials differ."
            )
        )
    if run.published:
        blocks += _published_blocks(run, locked)
    else:
        blocks.append(Paragraph.of("No published figure for this question was found to hold ours against."))
    return Section(f"results-{name}", "Results", tuple(blocks))


def _pooled_table(run: AnalysisRun, locked: Locked) -> Table:
    method = run.analysis.model
    level = f"{100 * method.level:g}%"
    df = locked.get("today/df")
    test: tuple[Any, ...] = (
        "t(" if df is not None else "z = ",
        *((locked.plain("today/df", 0), ") = ") if df is not None else ()),
        locked.plain("today/statistic"),
        ", ",
        *locked.p("today/pvalue"),
    )
    rows: list[tuple[Any, ...]] = [
        ("Effects pooled", locked.count("today/k")),
        ("People", locked.count("today/n")),
        (f"{run.analysis.measure} [{level} CI]", locked.estimate("today")),
        ("Interval by", run.result.ci_method),
        ("Test against no difference", test),
        (f"{level} prediction interval", locked.interval("today/pi")),
    ]
    if method.kind == "random":
        tau2 = spans(locked.tau2("today/tau2"))
        if locked.get("today/tau2_ci") is not None:
            pair = (locked.tau2("today/tau2_ci/0"), ", ", locked.tau2("today/tau2_ci/1"))
            tau2 = spans(*tau2, f" [{level} CI ", *pair, "]")
        rows.append((f"Between-study variance τ² ({method.tau2})", tau2))
    q: tuple[Any, ...] = (locked.plain("today/q"), ", ", *locked.p("today/q_pvalue"))
    rows += [("I²", locked.percent("today/i2")), ("Cochran's Q", q)]
    return Table(
        f"pooled-{run.analysis.name}",
        f"Pooled estimate: {method.words}",
        (Column("Quantity"), Column("Value", "number")),
        rows_of(*rows),
    )


def _group_table(run: AnalysisRun, locked: Locked) -> Table:
    assert run.analysis.subgroups is not None
    by = run.analysis.subgroups.by
    rows = []
    for group in locked.get("subgroups/groups"):
        at = f"subgroups/groups/{group}"
        if "/" in group:  # a group's name may hold the sign that parts a path
            values = locked.get("subgroups/groups")[group]
            own = Locked(locked.name, values)
            rows.append(_group_row(group, Locked("", own.results), ""))
        else:
            rows.append(_group_row(group, locked, at))
    between = (
        "Test between groups: Q = ",
        locked.plain("subgroups/q_between"),
        ", df ",
        locked.plain("subgroups/df", 0),
        ", ",
        *locked.p("subgroups/pvalue"),
    )
    columns = (
        Column(by.capitalize()),
        Column("Effects", "number"),
        Column("People", "number"),
        Column(f"{run.analysis.measure} [CI]", "number"),
        Column("Prediction interval", "number"),
        Column("τ²", "number"),
        Column("I²", "number"),
    )
    name = run.analysis.name
    return Table(
        f"groups-{name}",
        "Groups of trials" if by == "group" else f"Groups by {by}",
        columns,
        rows_of(*rows),
        (spans(*between),),
        sortable=True,
    )


def _group_row(group: str, locked: Locked, at: str) -> tuple[Any, ...]:
    head = f"{at}/" if at else ""
    cells = [
        group,
        locked.count(f"{head}k"),
        locked.count(f"{head}n"),
        Cell(locked.estimate(at), sort=locked.get(f"{head}estimate")),
        Cell(locked.interval(f"{head}pi")),
        *((locked.tau2(f"{head}tau2"), locked.percent(f"{head}i2")) if locked.get(f"{head}k") > 1 else "--"),
    ]
    if at:
        return tuple(cells)
    return tuple(_unplaced(cell) for cell in cells)


def _unplaced(cell: Any) -> Any:
    """Take the place in the lock from numbers whose path cannot be told."""
    if isinstance(cell, Number):
        return Number(cell.text, cell.value)
    if isinstance(cell, Cell):
        return Cell(tuple(_unplaced(part) for part in cell.spans), cell.sort, cell.tone)
    return cell


# ---- published ------------------------------------------------------------------------------------


def _published_blocks(run: AnalysisRun, locked: Locked) -> list[Block]:
    name = run.analysis.name
    rows, told = [], []
    for i, item in enumerate(run.published):
        at = "published" if i == 0 else f"more_published/{i - 1}"
        printed = item.published
        text: Any = Span("k and n only")
        if printed.estimate is not None:
            limits = "" if printed.ci is None else f" [{', '.join(printed.ci)}]"
            text = f"{printed.measure} {printed.estimate}{limits}"
        ours: Spans = spans("-")
        if item.result is not None:
            ours = spans(f"{item.result.effects.measure.code} ", *locked.estimate(f"{at}/ours"))
        rows.append(
            TableRow(
                (
                    Cell.of(f"{printed.review}: {printed.label}"),
                    Cell.of(text),
                    Cell(ours),
                    Cell.of(_both(printed.k, item.k)),
                    Cell.of(_both(printed.n, item.n)),
                    Cell.of(item.agreement, tone=_AGREEMENT.get(item.agreement, "unknown")),
                )
            )
        )
        why = printed.why or item.reason
        if why:
            told.append(spans(f"{printed.label}: {why}"))
        told += [
            spans(f"{printed.label}: the printed {what} cannot be right: {fault}")
            for what, fault in printed.known_faults.items()
        ]
    columns = (
        Column("Published figure"),
        Column("As printed", "number"),
        Column("Ours, by the review's method", "number"),
        Column("Trials, printed / ours", "number"),
        Column("People, printed / ours", "number"),
        Column("Agreement"),
    )
    table = Table(
        f"published-{name}", "Published figures, and ours by the review's own method", columns, tuple(rows)
    )
    from mtmeta.reports.document import Listing

    unique = tuple(dict.fromkeys(told))
    return [table, *([Listing(unique)] if unique else [])]


def _both(printed: int | None, ours: int | None) -> str:
    return " / ".join("-" if value is None else count(value) for value in (printed, ours))


# ---- sensitivity ----------------------------------------------------------------------------------


def sensitivity_section(run: AnalysisRun) -> Section:
    """Return the estimate by other models and intervals, and without each trial."""
    name = run.analysis.name
    if run.effects.k < 2:
        only = Note.of("One effect is pooled: there is nothing to vary.", kind="refusal")
        return Section(f"sensitivity-{name}", "Sensitivity", (only,))
    blocks: list[Block] = [*_model_table(run), *_without_each(run)]
    return Section(f"sensitivity-{name}", "Sensitivity", tuple(blocks))


def _model_table(run: AnalysisRun) -> tuple[Block, ...]:
    """Pool by each estimator, with each interval of the mean; the analysis' own model is marked."""
    method, es = run.analysis.model, run.effects
    estimators = dict.fromkeys((*((method.tau2,) if method.kind == "random" else ()), *_ESTIMATORS))
    fits: list[tuple[str, tuple[PoolResult | None, ...]]] = [
        (f"random effects, {tau2}", tuple(RandomEffects(tau2=tau2, ci=ci).fit(es) for ci in _CIS))
        for tau2 in estimators
    ]
    fits.append(("common effect", (None, None, CommonEffect().fit(es))))
    own = "common effect" if method.kind == "common" else f"random effects, {method.tau2}"
    rows: list[tuple[Any, ...]] = []
    for model, parts in fits:
        fit = next(part for part in reversed(parts) if part is not None)
        value = run.effects.measure.back(fit.estimate)
        rows.append(
            (
                Cell.of(Span(f"{model} (this analysis)", "strong") if model == own else model, sort=model),
                Number(fixed(value), value),
                *(interval_cell(run, part.ci(method.level) if part else None) for part in parts),
                interval_cell(run, prediction(fit, method.level, method.pi) if fit.predicts else None),
                Number(tau2_text(fit.tau2), fit.tau2),
                Number(percent(fit.i2), fit.i2),
            )
        )
    level = f"{100 * method.level:g}% CI"
    columns = (
        Column("Model"),
        Column(run.analysis.measure, "number"),
        *(Column(f"{level}, {ci}", "number") for ci in _CIS),
        Column("Prediction interval", "number"),
        Column("τ²", "number"),
        Column("I²", "number"),
    )
    table = Table(
        f"models-{run.analysis.name}",
        "The same effects by other models",
        columns,
        rows_of(*rows),
        sortable=True,
    )
    return _spread(run, [part for _, parts in fits for part in parts if part is not None]), table


def _spread(run: AnalysisRun, fits: list[PoolResult]) -> Paragraph:
    """Say how far the answers lie apart and how often they exclude no difference."""
    measure, level = run.effects.measure, run.analysis.model.level
    low, high = (measure.back(end([f.estimate for f in fits])) for end in (min, max))
    excluded = sum(measure.null not in f.ci(level) for f in fits)
    return Paragraph.of(
        "Over ",
        Number(count(len(fits)), float(len(fits))),
        " combinations of model and interval the estimate runs from ",
        Number(fixed(low), low),
        " to ",
        Number(fixed(high), high),
        "; the interval excludes no difference in ",
        Number(count(excluded), float(excluded)),
        " of them.",
    )


def _without_each(run: AnalysisRun) -> list[Block]:
    from mtmeta.diagnostics.influence import leave_one_out

    name, method = run.analysis.name, run.analysis.model
    if run.effects.k > LONGEST:
        told = f"Leaving out one trial at a time is not done for more than {LONGEST} effects."
        return [Note.of(told, kind="refusal")]
    try:
        frame = leave_one_out(model_of(method), run.effects, by="study", level=method.level)
    except (ModelError, UsageError) as error:
        return [Note.of(f"Leaving out one trial at a time: {error}.", kind="refusal")]
    labels = {study.id: study.label for study in run.studies}
    rows = []
    for row in frame.to_dict("records"):
        ci = Interval(float(row["ci_low"]), float(row["ci_high"]))
        rows.append(
            (
                labels.get(str(row["study"]), str(row["study"])),
                Number(count(row["k"]), float(row["k"])),
                Cell(effect_spans(run, float(row["estimate"]), ci), sort=float(row["estimate"])),
                Number(tau2_text(float(row["tau2"])), float(row["tau2"])),
                Number(percent(float(row["i2"])), float(row["i2"])),
            )
        )
    columns = (
        Column("Without"),
        Column("Effects left", "number"),
        Column(f"{run.analysis.measure} [{100 * method.level:g}% CI]", "number"),
        Column("τ²", "number"),
        Column("I²", "number"),
    )
    caption = f"Without one trial at a time ({method.words})"
    return [Table(f"without-{name}", caption, columns, rows_of(*rows), sortable=True)]
