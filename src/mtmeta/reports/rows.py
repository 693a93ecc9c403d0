"""The rows of a run with their routes, computed again by the very choices of the run."""

from __future__ import annotations

from mtmeta.audit.run import AnalysisRun
from mtmeta.effects.compute import Computed, computed_rows
from mtmeta.effects.select import select_rows
from mtmeta.errors import UsageError

__all__ = ["computed_of", "grouped"]


def computed_of(run: AnalysisRun) -> tuple[tuple[Computed, ...], float | None]:
    """Return the computed rows of a run, and the correlation under which rows of a trial are averaged.

    Raises
    ------
    UsageError
        When the run does not carry its records.
    """
    if not run.studies:
        raise UsageError("the run carries no records; run the analysis with run_analysis(analysis, studies)")
    analysis = run.analysis
    select = analysis.select
    if analysis.today.corrected:
        select = select.model_copy(update={"corrected": True})
    selection = select_rows(run.studies, select.query(analysis.today.exclude))
    computed, _ = computed_rows(
        selection,
        measure=analysis.measure,
        variance=analysis.model.variance,
        choices=analysis.routes.choices,
    )
    return computed, selection.mean_rho


def grouped(run: AnalysisRun) -> list[tuple[Computed, ...]]:
    """Return the computed rows behind each row of the effect table."""
    computed, rho = computed_of(run)
    if rho is None:
        return [(c,) for c in computed]
    return [
        tuple(c for c in computed if c.row.study.id == study) for study in dict.fromkeys(run.effects.study)
    ]
