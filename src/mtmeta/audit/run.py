"""Run an analysis: select, compute, pool, and hold the answer beside what a review published."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from mtmeta.audit.analysis import Analysis, Method, Published
from mtmeta.audit.bayes import BayesRun, run_bayes
from mtmeta.effects.compute import effects_of
from mtmeta.effects.select import LeftOut, select_rows
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, ModelError, MtmetaWarning
from mtmeta.measures import Interval
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.records.schema import Study

if TYPE_CHECKING:
    from mtmeta.models.pool import PoolResult
    from mtmeta.models.subgroups import SubgroupResult

__all__ = ["AnalysisRun", "PublishedRun", "model_of", "run_analysis", "same_digits"]

Agreement = Literal["agrees", "differs", "not comparable"]


def model_of(method: Method) -> CommonEffect | RandomEffects:
    """Return the model that a method of an analysis file names."""
    if method.kind == "common":
        return CommonEffect()
    return RandomEffects(tau2=method.tau2, ci=method.ci)


def same_digits(printed: str, value: float) -> bool:
    """Whether a value, rounded to as many decimals as were printed, is what was printed.

    Examples
    --------
    Anxiety in Bradt 2013 (CD006577.pub3): SMD -0.70, k 10.

    >>> same_digits("-0.70", -0.6968)
    True
    >>> same_digits("-0.70", -0.6948)
    False
    """
    text = printed.replace("−", "-")
    decimals = len(text.partition(".")[2])
    return f"{round(value, decimals) + 0.0:.{decimals}f}" == f"{float(text) + 0.0:.{decimals}f}"


def participants(es: EffectSizes) -> int | None:
    """Sum of participants, or None when a row does not tell."""
    if es.n is None or np.isnan(es.n).any():
        return None
    return int(es.n.sum())


@dataclass(frozen=True)
class PublishedRun:
    """A published figure and ours by the review's own method."""

    published: Published
    effects: EffectSizes | None
    result: PoolResult | None
    reason: str | None = None
    """Why nothing could be pooled for it."""

    @property
    def k(self) -> int | None:
        """Number of rows we pooled for it."""
        return None if self.effects is None else self.effects.k

    @property
    def n(self) -> int | None:
        """Participants in those rows."""
        return None if self.effects is None else participants(self.effects)

    @cached_property
    def estimate(self) -> float | None:
        """Our estimate on the scale the review printed."""
        if self.result is None:
            return None
        return self.result.effects.measure.back(self.result.estimate)

    @cached_property
    def ci(self) -> Interval | None:
        """Our interval on the scale the review printed."""
        if self.result is None:
            return None
        back = self.result.effects.measure.back
        low, high = self.result.ci(self.published.method.level)
        return Interval(back(low), back(high))

    @property
    def k_agrees(self) -> bool | None:
        """Whether the number of trials is the printed one; None where one is unknown."""
        return _equal(self.published.k, self.k)

    @property
    def n_agrees(self) -> bool | None:
        """Whether the participants add up to the printed number; None where one is unknown."""
        return _equal(self.published.n, self.n)

    @cached_property
    def differences(self) -> tuple[str, ...]:
        """Names of the printed values that ours do not meet."""
        printed = self.published
        wrong = []
        if printed.compare == "numbers" and self.estimate is not None and self.ci is not None:
            if printed.estimate is not None and not same_digits(printed.estimate, self.estimate):
                wrong.append("estimate")
            if printed.ci is not None and not all(map(same_digits, printed.ci, self.ci)):
                wrong.append("ci")
        if self.k_agrees is False:
            wrong.append("k")
        if self.n_agrees is False:
            wrong.append("n")
        return tuple(wrong)

    @property
    def agreement(self) -> Agreement:
        """``agrees`` when every printed value is met that is not known to be wrong."""
        if self.published.compare != "numbers":
            return "not comparable"
        if self.result is None:
            return "differs"
        return "differs" if set(self.differences) - set(self.published.known_faults) else "agrees"


def _equal(printed: int | None, ours: int | None) -> bool | None:
    return None if printed is None or ours is None else printed == ours


@dataclass(frozen=True)
class AnalysisRun:
    """An analysis with its answer."""

    analysis: Analysis
    effects: EffectSizes
    """Rows pooled by the analysis' own model."""
    selected: EffectSizes
    """Rows that answer the question, before the exclusions named under ``today``."""
    result: PoolResult
    published: tuple[PublishedRun, ...]
    left_out: tuple[LeftOut, ...]
    subgroups: SubgroupResult | None = None
    bayes: tuple[BayesRun, ...] = ()
    """The Bayesian answers from the same rows, one for each pair of priors the analysis names."""
    warnings: tuple[str, ...] = ()
    """What the computation warned of, such as scores of different kinds under one SMD."""
    studies: Sequence[Study] = field(default=(), repr=False, compare=False)
    """All records it was run with, of which `why` reads the chain from print to pooled estimate."""

    @property
    def agreement(self) -> Agreement | None:
        """Agreement with the first published figure, the one the analysis is about."""
        return self.published[0].agreement if self.published else None


def run_analysis(analysis: Analysis, studies: Iterable[Study]) -> AnalysisRun:
    """Pool a question and hold it beside what was published.

    Parameters
    ----------
    analysis : Analysis
    studies : iterable of Study
        All records; the analysis selects.

    Returns
    -------
    AnalysisRun

    Raises
    ------
    AnalysisError
        When no row or several rows of a trial answer the question.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MtmetaWarning)
        known = studies if isinstance(studies, Sequence) else list(studies)
        run = _run(analysis, known)
    told = tuple(dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, MtmetaWarning)))
    for other in caught:
        if not issubclass(other.category, MtmetaWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return replace(run, warnings=told)


def _run(analysis: Analysis, studies: Sequence[Study]) -> AnalysisRun:
    selected, left = _effects(analysis, studies, {}, analysis.model)
    effects = selected
    if analysis.today.exclude or analysis.today.corrected:
        effects, left = _effects(
            analysis, studies, analysis.today.exclude, analysis.model, corrected=analysis.today.corrected
        )
    result = model_of(analysis.model).fit(effects)
    try:
        bayes = run_bayes(analysis.bayes, effects, better=analysis.better, level=analysis.model.level)
    except AnalysisError as error:
        raise AnalysisError(f"{analysis.name}: {error}") from error
    return AnalysisRun(
        analysis=analysis,
        effects=effects,
        selected=selected,
        result=result,
        published=tuple(_published(analysis, p, studies) for p in analysis.published),
        left_out=left,
        subgroups=_subgroups(analysis, effects),
        bayes=bayes,
        studies=studies,
    )


def _effects(
    analysis: Analysis,
    studies: Sequence[Study],
    exclude: dict[str, str],
    method: Method,
    *,
    corrected: bool = False,
) -> tuple[EffectSizes, tuple[LeftOut, ...]]:
    select = analysis.select
    if corrected:
        select = select.model_copy(update={"corrected": True})
    try:
        selection = select_rows(studies, select.query(exclude))
        choices = analysis.routes.choices
        return effects_of(selection, measure=analysis.measure, variance=method.variance, choices=choices)
    except AnalysisError as error:
        raise AnalysisError(f"{analysis.name}: {error}") from error


def _published(analysis: Analysis, published: Published, studies: Sequence[Study]) -> PublishedRun:
    select = published.select or analysis.select
    if published.compare == "none" and published.select is None:
        return PublishedRun(published, None, None, published.why)
    try:
        selection = select_rows(studies, select.query())
        # what the review pooled as mean difference can often be rebuilt as SMD only: then the rows
        # are counted, and the pooled SMD stands beside the printed figure without being held to it
        measure = published.measure if published.compare == "numbers" else analysis.measure
        effects, _ = effects_of(
            selection,
            measure=measure,
            variance=published.method.variance,
            choices=analysis.routes.choices,
        )
        result = model_of(published.method).fit(effects)
    except (AnalysisError, ModelError) as error:
        return PublishedRun(published, None, None, str(error))
    return PublishedRun(published, effects, result)


def _subgroups(analysis: Analysis, effects: EffectSizes) -> SubgroupResult | None:
    if analysis.subgroups is None:
        return None
    from mtmeta.models.subgroups import subgroups

    columns = effects.columns
    groups = None if columns is None else [str(g) for g in columns[analysis.subgroups.by]]
    if groups is None or len(set(groups)) < 2:
        return None
    return subgroups(model_of(analysis.model), effects, groups, tau2=analysis.subgroups.tau2)
