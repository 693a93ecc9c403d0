"""Why a trial counts as it does: the chain from the line of its record to the pooled estimate."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtmeta.audit.analysis import Analysis
from mtmeta.audit.files import NamedAnalysis, read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.effects.compute import Computed
from mtmeta.effects.printed import Given, Step
from mtmeta.effects.select import LeftOut, Row
from mtmeta.effects.shared import sampling_covariance
from mtmeta.effects.worked import Worked, mean_of_rows, values_of, worked_effect
from mtmeta.errors import UsageError
from mtmeta.measures import Interval, Measure
from mtmeta.models.pool import PoolResult
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.schema import Study
from mtmeta.reports.hand import Sheet, filled_steps, ours, pool_by_hand
from mtmeta.reports.rows import computed_of
from mtmeta.reports.summary import numbers
from mtmeta.reports.words import estimate_ci, fixed, significant

__all__ = ["Why", "WhyRow", "route_lines", "why"]


@dataclass(frozen=True, slots=True)
class WhyRow:
    """One printed row of the trial on its way to an effect.

    Attributes
    ----------
    row : Row
    path : str
        File of the record; empty for a study made in Python.
    line : int
        Line of the outcome in it; 0 for a study made in Python.
    computed : Computed
        Route, effect and variance.
    worked : Worked or None
        The calculation; None for measures whose formulas are not spelt out.
    """

    row: Row
    path: str
    line: int
    computed: Computed
    worked: Worked | None

    @property
    def where(self) -> str:
        """The place, ``path:line``, or the outcome's name."""
        return f"{self.path}:{self.line}" if self.path else self.row.where

    @property
    def what(self) -> str:
        """The outcome in words."""
        outcome = self.row.outcome
        parts = (
            outcome.construct_,
            outcome.instrument,
            outcome.time,
            outcome.value,
            f"against {self.row.comparator}",
        )
        return ", ".join(part for part in parts if part)

    @property
    def printed(self) -> dict[str, Any]:
        """What the source printed, as the record holds it."""
        data = self.row.outcome.data
        return {"kind": data.kind, **data.model_dump(mode="json", exclude_defaults=True, exclude_none=True)}

    @property
    def source(self) -> dict[str, str]:
        """Where the numbers stand."""
        source = self.row.outcome.source
        given = source.model_dump(mode="json", exclude_none=True)
        return {"cite": "the trial's own report", **given}

    @property
    def doubts(self) -> tuple[str, ...]:
        """Flags, corrections and notes of the record, and assumptions of the route."""
        study, outcome = self.row.study, self.row.outcome
        about = f"outcomes.{outcome.id}"
        flags = [
            f"{f.code}: {f.note}" for f in study.flags if f.about.startswith(about) or f.about == "study"
        ]
        answers = [
            f"checked {c.code}: {c.why} ({c.by}, {c.when})"
            for c in study.checked
            if c.about.startswith(about)
        ]
        fixes = [f"corrected: {outcome.corrected.why}"] if outcome.corrected is not None else []
        notes = [outcome.note] if outcome.note else []
        return (*flags, *answers, *fixes, *notes, *self.computed.printed.notes)


@dataclass(frozen=True, eq=False, repr=False)
class Why:
    """The chain from a trial's record to the pooled estimate. Frozen.

    ``print`` it for the chain, :meth:`hand` for the calculation in full.

    Attributes
    ----------
    analysis : Analysis
    study : Study
    rows : tuple of WhyRow
        Rows of the trial that are pooled; none when the trial is left out.
    left_out : tuple of LeftOut
        Its rows that are not, with the reasons.
    result : PoolResult
    positions : tuple of int
        Rows of the effect table that are the trial's.
    averaged : Worked or None
        How several rows became one, where they did.
    """

    analysis: Analysis
    study: Study
    rows: tuple[WhyRow, ...]
    left_out: tuple[LeftOut, ...]
    result: PoolResult
    positions: tuple[int, ...]
    averaged: Worked | None = None

    @property
    def measure(self) -> Measure:
        """What is pooled."""
        return self.result.effects.measure

    @property
    def weight(self) -> float:
        """Share of the trial in the pooled estimate, 0 when it is left out."""
        return float(sum(self.result.weights[i] for i in self.positions))

    # words -------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return "\n".join(line.rstrip() for line in _chain(self))

    def __repr__(self) -> str:
        if not self.rows:
            return f"Why({self.study.id} in {self.analysis.name}: not pooled; {self.left_out[0].reason})"
        effect = "; ".join(_effect_text(self, i) for i in self.positions)
        share = f"{100 * self.weight:.1f}% of {_pooled_text(self)}"
        return f"Why({self.study.id} in {self.analysis.name}: {effect}; {share})"

    def _repr_html_(self) -> str:
        rows = []
        for part in _parts(self):
            cells = "<br>".join(html.escape(line) for line in part.lines)
            rows.append(f"<tr><th>{html.escape(part.name)}</th><td>{cells}</td></tr>")
        return f"<table><caption>{html.escape(_title(self))}</caption>{''.join(rows)}</table>"

    def hand(self) -> str:
        """Return the whole calculation, line by line with its numbers, for a pocket calculator.

        Raises
        ------
        UsageError
            When the trial is not pooled, or its effect's formulas are not spelt out.
        """
        return _by_hand(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the chain as plain data, as ``mtmeta why --json`` prints it."""
        level = self.analysis.model.level
        return {
            "analysis": self.analysis.name,
            "study": self.study.id,
            "label": self.study.label,
            "measure": self.measure.code,
            "pooled": bool(self.rows),
            "rows": [_row_dict(row) for row in self.rows],
            "effects": [_effect_dict(self, i) for i in self.positions],
            "weight": significant(self.weight),
            "result": numbers(self.result, level=level, pi_method=self.analysis.model.pi),
            "left_out": [{"outcome": x.outcome, "reason": x.reason} for x in self.left_out],
        }


def why(
    run_or_analysis: AnalysisRun | Analysis | NamedAnalysis | str | Path,
    study: str,
    *,
    studies: Iterable[Study] | None = None,
) -> Why:
    """Trace a trial from the line of its record to the pooled estimate.

    Parameters
    ----------
    run_or_analysis : AnalysisRun, Analysis, NamedAnalysis, str or Path
        An analysis that was run, one to be run, or its file.
    study : str
        Id of the trial.
    studies : iterable of Study, optional
        Records; by default those of the run, or the folder ``studies`` beside the file's.

    Returns
    -------
    Why
        ``print`` shows the chain; ``hand()`` the calculation; ``to_dict()`` plain data.

    Raises
    ------
    UsageError
        When the question does not look at such a trial; the nearest ids are named.
    RecordError, AnalysisError
        When files cannot be read or the question cannot be answered.

    Examples
    --------
    State anxiety in White 1999: g -2.66 with SE 0.50 in the forest of CD006577.pub3.

    >>> from mtmeta.records.locate import data_folder
    >>> chain = why(data_folder("analyses") / "cardiac-stai-mi.yaml", "white-1999")
    >>> row = chain.rows[0]
    >>> print(f"{row.computed.yi:.2f} (SE {row.computed.vi ** 0.5:.2f}) {row.computed.printed.route}")
    -2.66 (SE 0.50) printed SMD (exact correction) and arm sizes
    """
    run = _run_of(run_or_analysis, studies)
    known = _folder(run.studies)
    if study not in known.ids:
        raise UsageError(f"there is no record {study!r}{_nearest(study, known.ids)}")
    left = tuple(item for item in run.left_out if item.study == study)
    rows, averaged = _rows(run, known, study)
    if not rows and not left:
        looked = sorted({*run.effects.study, *(item.study for item in run.left_out)})
        raise UsageError(f"{run.analysis.name} does not look at {study}; its trials are {', '.join(looked)}")
    positions = tuple(i for i, name in enumerate(run.effects.study) if name == study)
    return Why(run.analysis, known[study], rows, left, run.result, positions, averaged)


def _run_of(source: object, studies: Iterable[Study] | None) -> AnalysisRun:
    if isinstance(source, AnalysisRun):
        return source if studies is None else run_analysis(source.analysis, _folder(studies))
    if isinstance(source, str | Path):
        source = read_analyses([source])[0]
    if isinstance(source, NamedAnalysis):
        if studies is None:
            base = source.path.parent
            studies = read_studies((base.parent if base.name == "analyses" else base) / "studies")
        source = source.analysis
    if not isinstance(source, Analysis):
        raise UsageError(f"why takes an analysis, its file or its run, not {type(source).__name__}")
    if studies is None:
        raise UsageError("an analysis without its file needs studies=, such as read_studies('studies')")
    return run_analysis(source, _folder(studies))


def _folder(studies: Iterable[Study]) -> Studies:
    return studies if isinstance(studies, Studies) else Studies.of(studies)


def _nearest(study: str, ids: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(study, ids, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _rows(run: AnalysisRun, known: Studies, study: str) -> tuple[tuple[WhyRow, ...], Worked | None]:
    """Find the trial's rows and what they become."""
    analysis = run.analysis
    computed, rho = computed_of(run)
    mean_g = _mean_g(computed) if analysis.model.variance == "AV" and analysis.measure == "SMD" else None
    rows = tuple(
        WhyRow(
            c.row,
            known.path_of(study),
            known.line_of(study, c.row.outcome.id),
            c,
            worked_effect(c.printed, analysis.measure, analysis.model.variance, mean_g=mean_g),
        )
        for c in computed
        if c.row.study.id == study
    )
    if rho is None or len(rows) < 2:
        return rows, None
    return rows, _averaging(rows, run, rho)


def _mean_g(computed: Sequence[Computed]) -> float:
    by_size = [(c.printed.n1 + c.printed.n2, c.yi) for c in computed if c.printed.effect is None]
    total = sum(n for n, _ in by_size)
    return sum(n * g for n, g in by_size) / total if total else math.nan


def _averaging(rows: tuple[WhyRow, ...], run: AnalysisRun, rho: float) -> Worked:
    from mtmeta.effects.shared import shared_columns
    from mtmeta.effects.table import EffectSizes

    es = EffectSizes.of(
        [r.computed.yi for r in rows],
        [r.computed.vi for r in rows],
        run.effects.measure,
        cluster=["one"] * len(rows),
        columns={
            name: [shared_columns(r.computed.printed.shared)[name] for r in rows]
            for name in shared_columns(None)
        },
    )
    covariance = np.asarray(sampling_covariance(es, within_rho=rho))
    return mean_of_rows([(r.computed.yi, r.computed.vi) for r in rows], covariance.tolist())


# ---- words ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    lines: tuple[str, ...]


def _title(chain: Why) -> str:
    return f"{chain.study.label} in {chain.analysis.name}: {chain.analysis.title}"


def _read(chain: Why, value: float) -> float:
    return chain.measure.back(value)


def _own_interval(chain: Why, i: int) -> Interval:
    from mtmeta.models.intervals import critical

    es, level = chain.result.effects, chain.analysis.model.level
    half = critical(level) * math.sqrt(float(es.vi[i]))
    return Interval(_read(chain, float(es.yi[i]) - half), _read(chain, float(es.yi[i]) + half))


def _effect_text(chain: Why, i: int) -> str:
    value = _read(chain, float(chain.result.effects.yi[i]))
    return f"{chain.measure.code} {estimate_ci(value, _own_interval(chain, i))}"


def _pooled_text(chain: Why) -> str:
    ci = chain.result.ci(chain.analysis.model.level)
    moved = Interval(_read(chain, ci.low), _read(chain, ci.high))
    return f"{chain.measure.code} {estimate_ci(_read(chain, chain.result.estimate), moved)}"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_flat(v)}" for k, v in value.items())
    if isinstance(value, list):
        return "; ".join(_flat(v) for v in value)
    return str(value)


def _parts(chain: Why) -> list[_Part]:
    parts: list[_Part] = []
    for row in chain.rows:
        parts += _row_parts(row)
    if chain.averaged is not None:
        parts.append(_Part("mean", tuple(_formula_lines(chain.averaged))))
    parts += [_Part("left out", (f"{x.outcome or 'the trial'}: {x.reason}",)) for x in chain.left_out]
    for i in chain.positions:
        parts += [_effect_part(chain, i), _weight_part(chain, i)]
    method = chain.analysis.model.words
    own = f"{_pooled_text(chain)}, k = {chain.result.k}, {method}, interval by {chain.result.ci_method}"
    parts.append(_Part("pooled", (own,)))
    return parts


def _row_parts(row: WhyRow) -> list[_Part]:
    data = row.printed
    printed = [f"{k}: {_flat(v)}" for k, v in data.items()]
    source = row.source
    told = (source.pop("cite"), *(f"{k}: {v}" for k, v in source.items()))
    parts = [
        _Part("record", (f"{row.where} (outcome {row.row.outcome.id})",)),
        _Part("outcome", (row.what,)),
        _Part("printed", tuple(printed)),
        _Part("source", told),
    ]
    if row.doubts:
        parts.append(_Part("doubts", row.doubts))
    parts.append(_Part("route", tuple(row.computed.printed.route.split("; "))))
    if row.worked is not None:
        parts.append(_Part("formulas", tuple(_formula_lines(row.worked))))
    return parts


def _formula_lines(worked: Worked) -> list[str]:
    lines = []
    for step, text, value in filled_steps(worked.given, worked.steps):
        end = ours(value)
        middle = "" if text in (end, step.formula) else f" = {text}"
        lines.append(f"{step.symbol} = {step.formula}{middle} = {end}")
    return lines


def _effect_part(chain: Why, i: int) -> _Part:
    es = chain.result.effects
    v = float(es.vi[i])
    log = f" (log scale {fixed(float(es.yi[i]), 4)})" if chain.measure.is_ratio else ""
    text = f"{_effect_text(chain, i)}{log}, variance {ours(v)}, SE {ours(math.sqrt(v))}"
    return _Part("effect", (text,))


def _weight_part(chain: Why, i: int) -> _Part:
    result = chain.result
    v, tau2 = float(result.effects.vi[i]), result.weighted_by
    w = 1.0 / (v + tau2)
    total = float(np.sum(1.0 / (result.effects.vi + tau2)))
    formula = f"1 / ({ours(v)} + {ours(tau2)})" if tau2 else f"1 / {ours(v)}"
    share = 100.0 * float(result.weights[i])
    text = f"{share:.2f}% of the pooled estimate: {formula} = {ours(w)} of {ours(total)} in all"
    return _Part("weight", (text + (f"; τ² = {ours(tau2)}" if tau2 else ""),))


def _chain(chain: Why) -> list[str]:
    lines = [_title(chain), ""]
    for part in _parts(chain):
        first, *rest = part.lines
        lines.append(f"{part.name:<10}{first}")
        lines += [f"{'':<10}{line}" for line in rest]
    return lines


def route_lines(chain: Why, place: Callable[[str, int], str]) -> Iterator[tuple[str, str]]:
    """Yield the chain line by line as (what, words), without the pooled estimate.

    Parameters
    ----------
    chain : Why
    place : callable
        Turns path and line of a record into the words for it.
    """
    rows = iter(chain.rows)
    for part in _parts(chain):
        lines = part.lines
        if part.name == "pooled":
            continue
        if part.name == "record":
            row = next(rows)
            lines = (f"{place(row.path, row.line)} (outcome {row.row.outcome.id})",)
        for line in lines:
            yield part.name, line


# ---- the calculation ----------------------------------------------------------------------------


def _by_hand(chain: Why) -> str:
    if not chain.rows:
        raise UsageError(
            f"{chain.study.id} is not pooled ({chain.left_out[0].reason}); there is nothing to compute"
        )
    sheet = Sheet()
    sheet.say(_title(chain), "")
    sheet.say(
        "Each line is computed from the digits printed above it, rounded to six; J, t and z come from tables."
    )
    for row in chain.rows:
        _row_by_hand(sheet, row)
    if chain.averaged is not None:
        sheet.say("", "Several rows of the trial become their mean:")
        _work(sheet, chain.averaged)
    names = _labels(chain)
    pool_by_hand(sheet, chain.result, names, level=chain.analysis.model.level)
    i = chain.positions[0]
    es, ci = chain.result.effects, chain.result.ci(chain.analysis.model.level)
    sheet.say(
        "",
        "By mtmeta, without rounding on the way: "
        f"effect {ours(float(es.yi[i]))}, variance {ours(float(es.vi[i]))}, "
        f"weight {ours(100 * chain.weight)}%, pooled {ours(chain.result.estimate)} "
        f"[{ours(ci.low)}, {ours(ci.high)}]",
    )
    return "\n".join(sheet.lines)


def _labels(chain: Why) -> list[str]:
    columns = chain.result.effects.columns
    if columns is not None and "label" in columns:
        return [str(label) for label in columns["label"]]
    return list(chain.result.effects.study)


def _row_by_hand(sheet: Sheet, row: WhyRow) -> None:
    if row.worked is None:
        raise UsageError(
            f"the formulas of this measure are not spelt out; {row.row.where} was computed by mtmeta.effects"
        )
    sheet.say("", f"Printed for {row.what} ({row.where}):")
    _work(sheet, row.worked)


def _work(sheet: Sheet, worked: Worked) -> None:
    sheet.give([g for g in worked.given if not math.isnan(g.value)])
    for step in worked.steps:
        sheet.step(step)


# ---- plain data ---------------------------------------------------------------------------------


def _given_dict(given: Given) -> dict[str, Any]:
    return {"symbol": given.symbol, "value": given.value, "label": given.label}


def _step_dict(step: Step, text: str, value: float) -> dict[str, Any]:
    return {
        "symbol": step.symbol,
        "title": step.title,
        "formula": step.formula,
        "filled": text,
        "value": value,
        "source": step.source or None,
    }


def _row_dict(row: WhyRow) -> dict[str, Any]:
    computed, worked = row.computed, row.worked
    exact = values_of(worked) if worked is not None else {}
    return {
        "outcome": row.row.outcome.id,
        "path": row.path,
        "line": row.line,
        "what": row.what,
        "printed": row.printed,
        "source": row.source,
        "doubts": list(row.doubts),
        "route": computed.printed.route,
        "standardiser": computed.printed.standardiser or None,
        "given": [] if worked is None else [_given_dict(g) for g in worked.given],
        "steps": []
        if worked is None
        else [
            _step_dict(step, text, significant(exact[step.symbol]))
            for step, text, _ in filled_steps(worked.given, worked.steps)
        ],
        "yi": significant(computed.yi),
        "vi": significant(computed.vi),
    }


def _effect_dict(chain: Why, i: int) -> dict[str, Any]:
    es = chain.result.effects
    low, high = _own_interval(chain, i)
    return {
        "yi": significant(float(es.yi[i])),
        "vi": significant(float(es.vi[i])),
        "estimate": significant(_read(chain, float(es.yi[i]))),
        "ci": [significant(low), significant(high)],
        "weight": significant(float(chain.result.weights[i])),
    }
