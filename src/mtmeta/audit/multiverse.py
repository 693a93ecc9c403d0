"""The multiverse of an analysis: every combination of its declared alternatives, from the records up."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mtmeta.audit.analysis import Alternative, Analysis, Choice, Kind, Method, Routes, Select, Today
from mtmeta.audit.run import model_of
from mtmeta.diagnostics.multiverse import Multiverse, Specification, multiverse
from mtmeta.diagnostics.refit import Fittable
from mtmeta.effects.compute import effects_of
from mtmeta.effects.select import Selection, select_rows
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, MtmetaWarning, UsageError
from mtmeta.measures import measure_of
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.records.schema import Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Curve", "MultiverseRun", "NotComputed", "Point", "point_analysis", "points_of", "run_multiverse"]

_Part = TypeVar("_Part", Select, Routes, Method, Today)
_RANK: dict[Kind, int] = {"equivalent": 0, "uncertain": 1, "non-equivalent": 2}


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of options.

    Attributes
    ----------
    number : int
        From 1, which is the analysis itself, in the order of the product.
    choices : mapping of str to str
    kind : {"equivalent", "uncertain", "non-equivalent"}
        The least of its alternatives: one that is not equivalent makes the whole so.
    """

    number: int
    choices: Mapping[str, str]
    kind: Kind
    taken: tuple[Alternative | None, ...]


@dataclass(frozen=True, slots=True)
class NotComputed:
    """A combination without an answer, and why."""

    number: int
    choices: Mapping[str, str]
    reason: str


@dataclass(frozen=True, slots=True)
class Curve:
    """The answers on one measure; estimates on different measures share no curve."""

    points: tuple[Point, ...]
    answers: Multiverse

    def to_frame(self) -> pd.DataFrame:
        """Return a row a point: number, kind, its choices and its answer."""
        frame = self.answers.to_frame()
        frame.insert(0, "number", [p.number for p in self.points])
        frame.insert(1, "kind", [p.kind for p in self.points])
        return frame

    def of_kind(self, *kinds: Kind) -> Multiverse | None:
        """Return the answers of the points of these kinds, None when there is none."""
        rows = [i for i, p in enumerate(self.points) if p.kind in kinds]
        return self.answers.where(rows) if rows else None


@dataclass(frozen=True, eq=False)
class MultiverseRun:
    """All answers to a question.

    Attributes
    ----------
    analysis : Analysis
    points : tuple of Point
        All combinations that can be, those without an answer too.
    curves : mapping of measure code to Curve
        The analysis' own measure first.
    not_computed : tuple of NotComputed
    impossible : int
        Combinations that the analysis rules out (``leave_out``).
    warnings : tuple of str
    """

    analysis: Analysis
    points: tuple[Point, ...]
    curves: Mapping[str, Curve]
    not_computed: tuple[NotComputed, ...]
    impossible: int
    warnings: tuple[str, ...]

    @property
    def main(self) -> Curve:
        """The curve on the analysis' own measure."""
        return next(iter(self.curves.values()))


def points_of(analysis: Analysis) -> tuple[tuple[Point, ...], int]:
    """Build the product of an analysis' alternatives.

    Returns
    -------
    points : tuple of Point
        The analysis itself first.
    impossible : int
        How many combinations were left out because their options exclude each other.

    Raises
    ------
    AnalysisError
        The analysis declares no alternatives.
    """
    declared = analysis.multiverse
    if declared is None:
        raise AnalysisError(
            f"{analysis.name} declares no alternatives; write them under multiverse: in its file "
            "(docs/multiverse.md shows how)"
        )
    axes = [_axis(one) for one in declared.choices]
    points: list[Point] = []
    impossible = 0
    for combination in itertools.product(*axes):
        choices = {c.choice: name for c, (name, _) in zip(declared.choices, combination, strict=True)}
        if any(item.when.items() <= choices.items() for item in declared.leave_out):
            impossible += 1
            continue
        taken = tuple(alternative for _, alternative in combination)
        kinds = [a.kind for a in taken if a is not None]
        kind: Kind = max(kinds, key=_RANK.__getitem__) if kinds else "equivalent"
        points.append(Point(len(points) + 1, choices, kind, taken))
    if not points or any(a is not None for a in points[0].taken):
        raise AnalysisError(f"{analysis.name}: leave_out rules out the analysis itself; correct it")
    return tuple(points), impossible


def _axis(choice: Choice) -> list[tuple[str, Alternative | None]]:
    return [(choice.main, None), *((a.option, a) for a in choice.alternatives)]


def point_analysis(analysis: Analysis, number: int) -> Analysis:
    """Return a point of the multiverse as an analysis of its own.

    Parameters
    ----------
    analysis : Analysis
        With a multiverse.
    number : int
        Of the point, from 1.

    Raises
    ------
    UsageError
        No such point.

    Notes
    -----
    A point under priors is an analysis whose Bayesian line (``bayes:``) is the point.

    Examples
    --------
    >>> from mtmeta.audit.files import read_analyses
    >>> from mtmeta.records.locate import data_folder
    >>> own = read_analyses([data_folder("analyses") / "depression.yaml"])[0].analysis
    >>> point_analysis(own, 2).name
    'depression-2'
    """
    points, _ = points_of(analysis)
    if not 1 <= number <= len(points):
        raise UsageError(f"{analysis.name} has no point {number}; its points are 1 to {len(points):,}")
    point = points[number - 1]
    altered = _altered(analysis, point.taken)
    said = "; ".join(f"{c}: {o}" for c, o in point.choices.items())
    return altered.model_copy(
        update={
            "name": f"{analysis.name}-{number}",
            "multiverse": None,
            "note": f"Point {number} of the multiverse of {analysis.name}: {said}.",
        }
    )


def run_multiverse(analysis: Analysis, studies: Iterable[Study]) -> MultiverseRun:
    """Answer a question in every declared way.

    Parameters
    ----------
    analysis : Analysis
        With a multiverse.
    studies : iterable of Study
        All records; each combination selects.

    Returns
    -------
    MultiverseRun

    Raises
    ------
    AnalysisError
        No alternatives declared, or the analysis itself has no answer. Another combination without an
        answer stands in `not_computed` with its reason.

    Notes
    -----
    Effects are computed once for each combination of the choices that move them (rows, routes, measure,
    convention) and pooled in one batch for each estimator.
    """
    points, impossible = points_of(analysis)
    records = studies if isinstance(studies, Sequence) else list(studies)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MtmetaWarning)
        by_measure, failed = _specifications(analysis, points, records)
    told = []
    for w in caught:
        if issubclass(w.category, MtmetaWarning):
            told.append(str(w.message))
        else:
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
    if failed and failed[0].number == 1:
        raise AnalysisError(f"{analysis.name}: {failed[0].reason}")
    curves = {
        code: Curve(tuple(p for p, _ in pairs), multiverse((s for _, s in pairs), level=analysis.model.level))
        for code, pairs in by_measure.items()
    }
    return MultiverseRun(analysis, points, curves, tuple(failed), impossible, tuple(dict.fromkeys(told)))


# inside -----------------------------------------------------------------------------------------------------


def _specifications(
    analysis: Analysis, points: Sequence[Point], records: Sequence[Study]
) -> tuple[dict[str, list[tuple[Point, Specification]]], list[NotComputed]]:
    read = _Reader(records)
    found: dict[str, list[tuple[Point, Specification]]] = {}
    failed: list[NotComputed] = []
    for point in points:
        altered = _altered(analysis, point.taken)
        table = read(point, altered)
        if isinstance(table, str):
            failed.append(NotComputed(point.number, point.choices, table))
            continue
        pair = (point, Specification(point.choices, table, _model(point, altered)))
        found.setdefault(altered.measure, []).append(pair)
    return found, failed


_Key = tuple[int | None, ...]


class _Reader:
    """Rows and effects of the points, each read once for all points that share them."""

    def __init__(self, records: Sequence[Study]) -> None:
        self._records = records
        self._rows: dict[_Key, Selection | str] = {}
        self._tables: dict[_Key, EffectSizes | str] = {}

    def __call__(self, point: Point, altered: Analysis) -> EffectSizes | str:
        """Return the effects of a point, or why there are none."""
        key = _key(point, _NO_EFFECT)
        if key not in self._tables:
            try:
                self._tables[key] = self._effects(point, altered)
            except AnalysisError as why:
                self._tables[key] = str(why)
        return self._tables[key]

    def _effects(self, point: Point, altered: Analysis) -> EffectSizes | str:
        rows = self._selected(point, altered)
        if isinstance(rows, str):
            return rows
        variance, choices = altered.model.variance, altered.routes.choices
        es, _ = effects_of(rows, measure=altered.measure, variance=variance, choices=choices)
        return es

    def _selected(self, point: Point, altered: Analysis) -> Selection | str:
        key = _key(point, _NO_EFFECT | _NO_ROW)
        if key not in self._rows:
            select, today = altered.select, altered.today
            if today.corrected:
                select = select.model_copy(update={"corrected": True})
            try:
                self._rows[key] = select_rows(self._records, select.query(today.exclude))
            except AnalysisError as why:
                self._rows[key] = str(why)
        return self._rows[key]


def _model(point: Point, altered: Analysis) -> Fittable:
    priors = [a.prior for a in point.taken if a is not None and a.prior is not None]
    if not priors:
        return model_of(altered.model)
    mu, tau = priors[0].of(measure_of(altered.measure))
    return BayesRandomEffects(mu=mu, tau=tau)


_NO_EFFECT = frozenset({"prior", "model.kind", "model.tau2", "model.ci", "model.pi"})
_NO_ROW = frozenset({"measure", "model.variance", *(f"routes.{name}" for name in Routes.model_fields)})


def _key(point: Point, without: frozenset[str]) -> _Key:
    """Return what a point takes, apart from alternatives that change nothing but these fields."""
    return tuple(id(a) if a is not None and a.changes - without else None for a in point.taken)


def _altered(analysis: Analysis, taken: Iterable[Alternative | None]) -> Analysis:
    """Return the analysis with the fields that alternatives write."""
    parts: dict[str, object] = {}
    select, routes, model, today = analysis.select, analysis.routes, analysis.model, analysis.today
    for one in taken:
        if one is None:
            continue
        if one.measure is not None:
            parts["measure"] = one.measure
        if one.prior is not None:
            parts["bayes"] = (one.prior,)
        if one.select is not None:
            select = _merged(select, one.select)
        if one.routes is not None:
            routes = _merged(routes, one.routes)
        if one.model is not None:
            model = _merged(model, one.model)
        if one.today is not None:
            today = _merged(today, one.today)
        if one.include:
            select, today = _included(select, today, one.include)
    return analysis.model_copy(
        update={**parts, "select": select, "routes": routes, "model": model, "today": today}
    )


def _merged(base: _Part, change: _Part) -> _Part:
    written: dict[str, object] = {}
    if isinstance(change, Routes):  # a correlation and a range of it stand in each other's place
        written = {"r": None, "r_range": None} if {"r", "r_range"} & change.model_fields_set else {}
    for name in change.model_fields_set:
        value = getattr(change, name)
        own = getattr(base, name)
        written[name] = {**own, **value} if isinstance(value, dict) else value
    return base.model_copy(update=written)


def _included(select: Select, today: Today, names: Iterable[str]) -> tuple[Select, Today]:
    back = set(names)
    unknown = back - set(select.exclude) - set(today.exclude)
    if unknown:
        raise AnalysisError(
            f"include names {', '.join(sorted(unknown))}, which the analysis does not exclude"
        )
    kept, now = ({k: v for k, v in part.exclude.items() if k not in back} for part in (select, today))
    return select.model_copy(update={"exclude": kept}), today.model_copy(update={"exclude": now})
