"""Which trials in the scope of a question give it no result: what ROB-ME's matrix of results starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmeta.audit.run import AnalysisRun
from mtmeta.effects.select import in_scope, select_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STATUS", "MissingEvidence", "missing_evidence"]

STATUS = ("pooled", "left out", "no usable result", "not recorded")


@dataclass(frozen=True, eq=False)
class MissingEvidence:
    """Trials of a question by what they give it. Frozen.

    Attributes
    ----------
    matrix : DataFrame
        A row a trial in scope: study, label, randomised (NaN if unknown), status and reason. The status is
        ``pooled``; ``left out`` (another row, time or comparator than asked for, or excluded with a reason);
        ``no usable result`` (the record holds no numbers at all, or none from which an effect follows); or
        ``not recorded`` (the record has numbers, but none of this outcome).
    """

    matrix: pd.DataFrame

    @property
    def words(self) -> str:
        """One sentence with the counts."""
        counts = self.matrix["status"].value_counts()
        parts = ", ".join(f"{int(counts.get(s, 0))} {s}" for s in STATUS)
        gone = self.matrix[self.matrix["status"].isin(STATUS[2:])]
        known = gone["randomised"].dropna()
        people = (
            f"{int(known.sum())} people were randomised in {len(known)} of the {len(gone)} without a result"
        )
        return f"Of {len(self.matrix)} trials in scope: {parts}; {people}."


def missing_evidence(run: AnalysisRun) -> MissingEvidence:
    """List every trial in the scope of a question with what it gives, for ROB-ME.

    Parameters
    ----------
    run : AnalysisRun

    Returns
    -------
    MissingEvidence

    Notes
    -----
    The scope is what an analysis asks of trials (conditions, categories, approaches, groups, allocation,
    studies), not of rows. ROB-ME asks of each trial without a result whether the outcome was measured and why
    the result is missing; records know what sources printed, so that this judgement, and the search for
    further trials, is left to people.

    References
    ----------
    Page, M. J. et al. (2023). ROB-ME: a tool for assessing risk of bias due to missing evidence in systematic
    reviews with meta-analysis. BMJ 383:e076754.

    Examples
    --------
    >>> from mtmeta.audit.files import read_analyses
    >>> from mtmeta.audit.run import run_analysis
    >>> from mtmeta.records.folder import read_studies
    >>> from mtmeta.records.locate import data_folder
    >>> own = read_analyses([data_folder("analyses") / "icu-anxiety.yaml"])[0].analysis
    >>> found = missing_evidence(run_analysis(own, read_studies(data_folder("studies"))))
    >>> int((found.matrix["status"] == "pooled").sum())
    5
    """
    import pandas as pd

    reasons: dict[str, list[str]] = {}
    for item in run.left_out:
        reasons.setdefault(item.study, []).append(item.reason)
    pooled = set(run.effects.study)
    query = run.analysis.select.query(run.analysis.today.exclude)
    # rows that answer the question, whether or not an effect follows from their numbers
    answered = {row.study.id for row in select_rows(run.studies, query).rows}
    rows = []
    for study in in_scope(run.studies, query):
        told = [] if study.id in pooled else list(dict.fromkeys(reasons.get(study.id, [])))
        if study.id in pooled:
            status = "pooled"
        elif study.id in answered or not study.outcomes:
            status = "no usable result"
        else:
            status = "left out" if told else "not recorded"
        rows.append((study.id, study.label, study.design.n_randomised, status, "; ".join(told)))
    columns = ["study", "label", "randomised", "status", "reason"]
    return MissingEvidence(pd.DataFrame(rows, columns=columns).astype({"randomised": float}))
