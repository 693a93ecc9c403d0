"""Tables of trials: what they were, and what each gave to the pool by which route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mtmeta.audit.anchors import pooled_outcomes
from mtmeta.audit.run import AnalysisRun
from mtmeta.measures import Interval
from mtmeta.models.intervals import critical
from mtmeta.records.schema import Outcome, Study
from mtmeta.reports.document import Cell, Cite, Column, Number, Section, Table, TableRow, spans
from mtmeta.reports.locked import Locked
from mtmeta.reports.references import key_of_trial
from mtmeta.reports.words import count, fixed

__all__ = ["characteristics_table", "effects_table", "trials_section"]

_UNTOLD = "not told"
_TOLD = ("time", "value", "comparator", "route")


def trials_section(run: AnalysisRun, locked: Locked) -> Section:
    """Return the trials of an analysis: their characteristics, and their effects with routes."""
    tables = [effects_table(run, locked)]
    if run.studies:
        tables.insert(0, characteristics_table(run))
    return Section(f"trials-{run.analysis.name}", "The trials", tuple(tables))


# ---- characteristics ------------------------------------------------------------------------------


def characteristics_table(run: AnalysisRun) -> Table:
    """Return design, people, music and comparator of each trial, as its record tells them.

    What a record does not tell is called so; nothing is filled in.
    """
    known = {study.id: study for study in run.studies}
    pooled = [known[name] for name in dict.fromkeys(run.effects.study) if name in known]
    outcomes = dict(zip(run.effects.study, pooled_outcomes(run), strict=True))
    rows = [_characteristics(study, outcomes.get(study.id)) for study in pooled]
    columns = (
        Column("Trial"),
        Column("Year", "number"),
        Column("Country"),
        Column("Design"),
        Column("Randomised", "number", "People randomised, of all arms."),
        Column("People"),
        Column("Age", "number", "Mean, in years."),
        Column("Women", "number", "In percent."),
        Column("Music"),
        Column("Dose"),
        Column("Comparator"),
        Column("Measured with"),
    )
    caption = "Characteristics of the trials, as their records tell them"
    return Table(
        f"characteristics-{run.analysis.name}",
        caption,
        columns,
        tuple(rows),
        sortable=True,
        filterable=len(rows) > 8,
    )


def _characteristics(study: Study, outcome: Outcome | None) -> TableRow:
    design, population = study.design, study.population
    told, group = population.description, population.group
    if told is not None and group is not None and group.casefold() in told.casefold():
        group = None
    people = "; ".join(_told(told, group)) or _UNTOLD
    comparator = study.comparator
    return TableRow(
        (
            Cell.of(Cite(key_of_trial(study)), sort=study.label),
            _number(study.citation.year, 0),
            Cell.of(", ".join(design.countries) or _UNTOLD),
            Cell.of(", ".join(_told(design.allocation, design.unit)) or _UNTOLD),
            _number(design.n_randomised, 0),
            Cell.of(people),
            _number(population.mean_age, 1),
            _number(population.female_percent, 0),
            Cell.of(_music(study)),
            Cell.of(_dose(study)),
            Cell.of("; ".join(_told(comparator.type, comparator.description)) or _UNTOLD),
            Cell.of(_UNTOLD if outcome is None or outcome.instrument is None else outcome.instrument),
        )
    )


def _told(*texts: str | None) -> list[str]:
    return list(dict.fromkeys(t for t in texts if t and t != "unclear"))


def _number(value: float | None, decimals: int) -> Cell:
    if value is None:
        return Cell.of(_UNTOLD)
    text = f"{value:.0f}" if decimals == 0 else f"{value:.{decimals}f}".removesuffix(".0")
    return Cell.of(Number(text, float(value)))


def _music(study: Study) -> str:
    music = study.intervention
    words = _told(music.category, music.approach, music.delivery, music.format)
    words += list(music.techniques)
    if music.provider != "unclear":
        words.append(f"by {music.provider}")
    if music.music_chosen_by != "unclear":
        words.append(f"chosen by {music.music_chosen_by}")
    return ", ".join(dict.fromkeys(words)) or _UNTOLD


def _dose(study: Study) -> str:
    music = study.intervention
    if music.dose_as_printed is not None:
        return music.dose_as_printed
    parts = []
    for value, one, many in (
        (music.sessions, "session", "sessions"),
        (music.minutes_per_session, "minute each", "minutes each"),
        (music.sessions_per_week, "a week", "a week"),
        (music.weeks, "week", "weeks"),
    ):
        if value is not None:
            parts.append(f"{value:g} {one if value == 1 else many}")
    return ", ".join(parts) or _UNTOLD


# ---- effects --------------------------------------------------------------------------------------


def effects_table(run: AnalysisRun, locked: Locked) -> Table:
    """Return the effect of each row of the pool, its weight, and the route from print to effect."""
    labels = {study.id: study for study in run.studies}
    frame = run.effects.columns
    columns = {} if frame is None else {name: frame[name].tolist() for name in _TOLD if name in frame}
    sizes = run.effects.n, run.effects.n1, run.effects.n2
    rows = []
    for i, name in enumerate(run.effects.study):
        study = labels.get(name)
        head = Cell.of(name) if study is None else Cell.of(Cite(key_of_trial(study)), sort=study.label)
        told = [_column(columns, key, i) for key in _TOLD[:3]]
        rows.append(
            TableRow(
                (
                    head,
                    *(Cell.of(text) for text in told),
                    *(_size(values, i) for values in sizes),
                    _effect(run, locked, i),
                    _weight(locked, i),
                    Cell.of(_column(columns, "route", i)),
                )
            )
        )
    heads = (
        Column("Trial"),
        Column("Time"),
        Column("Kind of value"),
        Column("Comparator"),
        Column("People", "number"),
        Column("With music", "number"),
        Column("Comparator", "number"),
        Column(f"{run.analysis.measure} [{100 * run.analysis.model.level:g}% CI]", "number"),
        Column("Weight", "number"),
        Column("Route from the printed number"),
    )
    return Table(
        f"effects-{run.analysis.name}",
        "Effects of the trials, music minus comparator",
        heads,
        tuple(rows),
        sortable=True,
        filterable=len(rows) > 8,
    )


def _column(columns: Mapping[str, Sequence[Any]], name: str, i: int) -> str:
    value = columns[name][i] if name in columns else None
    text = "" if value is None or (isinstance(value, float) and np.isnan(value)) else str(value)
    return _UNTOLD if text in ("", "unclear") else text


def _size(sizes: npt.NDArray[np.float64] | None, i: int) -> Cell:
    value = None if sizes is None else float(sizes[i])
    if value is None or np.isnan(value):
        return Cell.of("?")
    return Cell.of(Number(count(value), value))


def _effect(run: AnalysisRun, locked: Locked, i: int) -> Cell:
    es, measure = run.effects, run.effects.measure
    half = critical(run.analysis.model.level) * float(np.sqrt(es.vi[i]))
    ci = Interval(float(es.yi[i]) - half, float(es.yi[i]) + half)
    value, low, high = (measure.back(x) for x in (float(es.yi[i]), *ci))
    # a lock keeps the effect on the scale of analysis: what is shown of a ratio does not stand there
    at = f"{locked.name}/rows/{i}/yi" if measure.scale == "identity" else ""
    middle = Number(fixed(value), value, at)
    return Cell(
        spans(middle, " [", Number(fixed(low), low), ", ", Number(fixed(high), high), "]"), sort=value
    )


def _weight(locked: Locked, i: int) -> Cell:
    share = float(locked.get(f"rows/{i}/weight"))
    return Cell.of(Number(f"{fixed(100 * share, 1)}%", 100 * share), sort=share)
