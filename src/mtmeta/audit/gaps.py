"""Where trials are and where not: condition × approach × outcome, for evidence gap maps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mtmeta.audit.grade import Level, grade_of
from mtmeta.audit.run import AnalysisRun
from mtmeta.effects.select import Row
from mtmeta.records.schema import Outcome, Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["evidence_cells", "gap_table"]

_LEVELS: tuple[Level, ...] = ("very low", "low", "moderate", "high")


def evidence_cells(studies: Iterable[Study]) -> pd.DataFrame:
    """List what was studied: a row for each trial, condition and outcome with something printed.

    Returns
    -------
    DataFrame
        ``study condition approach category outcome participants``. A trial of two conditions stands under
        both; a trial with an outcome at several times once. Participants are those of its largest row, else
        those randomised; 0 where neither is known.

    Examples
    --------
    >>> from mtmeta.records.locate import example_studies
    >>> cells = evidence_cells(example_studies("insomnia"))
    >>> cells[["condition", "outcome"]].drop_duplicates().to_numpy().tolist()
    [['insomnia', 'sleep quality']]
    """
    import pandas as pd

    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for study in studies:
        for outcome in study.outcomes:
            people = _people(study, outcome)
            for condition in study.conditions:
                cell = found.setdefault(
                    (study.id, condition, outcome.construct_),
                    {
                        "study": study.id,
                        "condition": condition,
                        "approach": study.intervention.approach,
                        "category": study.intervention.category,
                        "outcome": outcome.construct_,
                        "participants": 0,
                    },
                )
                cell["participants"] = max(cell["participants"], people)
    names = ["study", "condition", "approach", "category", "outcome", "participants"]
    return pd.DataFrame(list(found.values()), columns=names)


def _people(study: Study, outcome: Outcome) -> int:
    from mtmeta.audit.checks.rows import arms_of, sizes_of

    row = Row(study, outcome)
    arms = arms_of(row.outcome)
    sizes = sizes_of(outcome) if arms is None else (arms[0].n, arms[1].n)
    if sizes is not None and sum(sizes) == sum(sizes):
        return int(sum(sizes))
    total = getattr(outcome.data, "n_total", None) or study.design.n_randomised
    return int(total or 0)


def gap_table(
    studies: Iterable[Study],
    runs: Iterable[AnalysisRun] = (),
    *,
    by: tuple[str, str] = ("condition", "approach"),
) -> pd.DataFrame:
    """Count trials and participants a cell, for :func:`~mtmeta.figures.gap_map_layout`.

    Parameters
    ----------
    studies : iterable of Study
    runs : iterable of AnalysisRun
        Analyses, whose certainty colours a cell of condition and outcome; of several the best.
    by : tuple of two names
        Columns of :func:`evidence_cells` that make the cells.

    Returns
    -------
    DataFrame
        The two names, ``studies``, ``participants`` and ``certainty`` ("not rated" where no analysis pools
        the cell).
    """
    import pandas as pd

    cells = evidence_cells(studies)
    rated = _rated(runs) if set(by) == {"condition", "outcome"} else {}
    rows = []
    for key, group in cells.groupby(list(by), sort=False):
        names = dict(zip(by, map(str, key), strict=True))
        level = rated.get((names.get("condition", ""), names.get("outcome", "")), "not rated")
        people = int(group.groupby("study")["participants"].max().sum())
        rows.append(
            {**names, "studies": group["study"].nunique(), "participants": people, "certainty": level}
        )
    return pd.DataFrame(rows, columns=[*by, "studies", "participants", "certainty"])


def _rated(runs: Iterable[AnalysisRun]) -> dict[tuple[str, str], Level]:
    found: dict[tuple[str, str], Level] = {}
    for run in runs:
        level = grade_of(run).level
        for condition in run.analysis.select.conditions:
            for construct in run.analysis.select.constructs:
                key = (condition, construct)
                if key not in found or _LEVELS.index(level) > _LEVELS.index(found[key]):
                    found[key] = level
    return found
