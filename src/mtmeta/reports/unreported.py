"""Section of a report on the trials in scope that give a question no result: where ROB-ME starts from."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

from mtmeta.audit.missing import STATUS, missing_evidence
from mtmeta.audit.run import AnalysisRun
from mtmeta.reports.document import Block, Cite, Column, Number, Paragraph, Section, Table
from mtmeta.reports.sections import rows_of
from mtmeta.reports.words import count

__all__ = ["unreported_section"]


def unreported_section(run: AnalysisRun) -> Section:
    """Return the trials in scope that are not pooled, by what their records have for this question."""
    name = run.analysis.name
    found = missing_evidence(run)
    gone = found.matrix[found.matrix["status"] != "pooled"]
    blocks: list[Block] = [
        Paragraph.of(
            f"{found.words} ROB-ME ",
            Cite("method-page-2023"),
            " asks of each trial without a result whether the outcome was measured and why the result is "
            "missing. That is a judgement; what follows is what the records hold.",
        )
    ]
    if len(gone):
        rows = []
        for (status, reason), part in gone.groupby(["status", "reason"], sort=False):
            trials = "; ".join(_trial(row) for row in part.to_dict("records"))
            rows.append((str(status), Number(count(len(part)), len(part)), trials, str(reason)))
        rows.sort(key=lambda row: STATUS.index(row[0]))
        columns = (
            Column("What it gives"),
            Column("Trials", "number"),
            Column("Which (people randomised)"),
            Column("What is known"),
        )
        caption = f"Trials in scope that are not pooled: {len(gone)}"
        folded = len(gone) > 12
        blocks.append(Table(f"unreported-trials-{name}", caption, columns, rows_of(*rows), folded=folded))
    return Section(f"unreported-{name}", "Trials without a result", tuple(blocks))


def _trial(row: dict[Hashable, Any]) -> str:
    people = float(row["randomised"])
    return str(row["label"]) if math.isnan(people) else f"{row['label']} ({count(people)})"
