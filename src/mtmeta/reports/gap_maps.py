"""Evidence gap maps beside claims: where trials are, and where not."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence

from mtmeta.audit.claims import Claims
from mtmeta.audit.gaps import gap_table
from mtmeta.audit.run import AnalysisRun
from mtmeta.figures.layout.overview import gap_map_layout
from mtmeta.figures.layout.plot import PlotLayout
from mtmeta.records import vocabulary as voc
from mtmeta.records.schema import Study

__all__ = ["all_approaches", "all_conditions", "gap_maps"]

# claims with this instead of an outcome name none
_NO_OUTCOME = "other"


def all_conditions() -> tuple[str, ...]:
    """Return the conditions of the vocabulary, those without a trial included."""
    return tuple(sorted(c for c in typing.get_args(voc.Condition) if c != "other"))


def all_approaches() -> tuple[str, ...]:
    """Return the approaches of the vocabulary, what is not told last."""
    names = typing.get_args(voc.Approach)
    return (*(a for a in names if a != "unclear"), "unclear")


def gap_maps(
    claims: Claims, studies: Sequence[Study], runs: Iterable[AnalysisRun], *, at_least: int = 10
) -> dict[str, PlotLayout]:
    """Lay out two maps: condition × approach, and condition × outcome.

    Parameters
    ----------
    claims : Claims
        Their outcomes and conditions stand in the second map even where no trial is.
    studies : sequence of Study
    runs : iterable of AnalysisRun
        Their certainty colours the cells they pool.
    at_least : int
        Trials from which an outcome that no claim names is shown too.

    Returns
    -------
    dict of str to PlotLayout
        ``approach`` and ``outcome``.
    """
    parts = [part for claim in claims.claims for part in claim.parts]
    table = gap_table(studies, runs, by=("condition", "outcome"))
    totals = table.groupby("outcome")["studies"].sum()
    named = {p.construct_ for p in parts} - {_NO_OUTCOME}
    often = {str(outcome) for outcome, k in totals.items() if k >= at_least}
    rows = sorted(named | often)
    shown = table[table["outcome"].isin(rows)]
    columns = sorted({*map(str, shown["condition"]), *(p.condition for p in parts if p.condition)})
    return {
        "approach": gap_map_layout(
            gap_table(studies),
            row_order=all_conditions(),
            column_order=all_approaches(),
            title="Trials with a result, by condition and approach",
        ),
        "outcome": gap_map_layout(
            shown,
            rows="outcome",
            columns="condition",
            row_order=rows,
            column_order=columns,
            title="Trials with a result, by condition and outcome",
        ),
    }
