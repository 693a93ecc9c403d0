"""What a report says of the plan, of known doubts, and of the answers people gave."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mtmeta.audit.files import read_analyses
from mtmeta.audit.freeze import Frozen, freeze
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import Study
from mtmeta.reports.build import report_of
from mtmeta.reports.document import plain
from mtmeta.reports.html import html_page
from mtmeta.reports.plan import plan_section


def run_of(name: str, records: Studies) -> AnalysisRun:
    item = read_analyses([data_folder("analyses") / f"{name}.yaml"])[0]
    return run_analysis(item.analysis, records)


@pytest.fixture(scope="module")
def records() -> Studies:
    return read_studies(data_folder("studies") / "cardiac")


def words(run: AnalysisRun, frozen: Frozen | None = None) -> str:
    return html_page(report_of([run], frozen=None if frozen is None else {run.analysis.name: frozen}))


def test_departures_stand_in_the_report(records: Studies) -> None:
    run = run_of("cardiac-systolic-pressure", records)
    planned = run.analysis.model_copy(update={"better": "higher"})
    frozen = freeze(planned, when="2026-01-31", known=run.effects.study[:2])
    page = words(run, frozen)
    assert "The plan was frozen on 2026-01-31" in page
    assert "2 of the 11 pooled trials were known then" in page
    assert "better: higher was planned, lower was done" in page
    assert "does not depart from it" in words(run, freeze(run.analysis, when="2026-01-31"))
    assert "none of the pooled trials was known then" in words(run, freeze(run.analysis, when="2026-01-31"))
    assert "No plan of this analysis was frozen" in words(run)


def test_doubts_and_answers_stand_in_the_report(records: Studies) -> None:
    """White 1999, systolic pressure, is flagged; an answer to a finding shows with name and day."""
    answer = {
        "code": "se-as-sd",
        "about": "outcomes.systolic-pressure",
        "why": "asked the author, who says <SD>",
        "by": "A. Person",
        "when": "2026-01-02",
    }

    def answered(study: Study) -> Study:
        plain_study: dict[str, Any] = json.loads(study.model_dump_json(by_alias=True, exclude_none=True))
        return Study.model_validate_json(json.dumps({**plain_study, "checked": [answer]}))

    changed = Studies.of(answered(s) if s.id == "white-1999" else s for s in records)
    page = words(run_of("cardiac-systolic-pressure", changed))
    assert "asked the author, who says &lt;SD&gt; (A. Person, 2026-01-02)" in page
    assert "answered (se-as-sd)" in page
    assert "doubt (se-as-sd)" in page


def test_only_pooled_rows_are_spoken_of(records: Studies) -> None:
    """A doubt about another outcome of a pooled trial stays out."""
    section = plan_section(run_of("cardiac-depression", records))
    (paragraph, *_) = section.blocks
    assert "No plan" in plain(paragraph.spans)  # type: ignore[union-attr]
    assert "systolic-pressure" not in repr(section)
