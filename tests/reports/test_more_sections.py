"""The multiverse and the trials without a result on the page, held against what they are computed from."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mtmeta.audit.missing import STATUS, missing_evidence
from mtmeta.audit.multiverse import MultiverseRun, run_multiverse
from mtmeta.audit.run import AnalysisRun
from mtmeta.reports.document import Cite, Figure, Listing, Note, Number, Section, Table, plain
from mtmeta.reports.multiverse import multiverse_summary
from mtmeta.reports.multiverse_section import multiverse_sections
from mtmeta.reports.publish import write_report
from mtmeta.reports.unreported import unreported_section
from mtmeta.reports.words import minus


@pytest.fixture(scope="module")
def found(runs: dict[str, AnalysisRun]) -> MultiverseRun:
    run = runs["cardiac-anxiety"]
    return run_multiverse(run.analysis, run.studies)


@pytest.fixture(scope="module")
def section(runs: dict[str, AnalysisRun]) -> Section:
    (made,) = multiverse_sections(runs["cardiac-anxiety"])
    return made


def only(section: Section, kind: type) -> list:  # type: ignore[type-arg]  # blocks of any one kind
    return [block for block in section.blocks if isinstance(block, kind)]


def test_only_analyses_that_declare_alternatives_have_a_multiverse(runs: dict[str, AnalysisRun]) -> None:
    assert [bool(multiverse_sections(runs[n])) for n in ("icu-heart-rate", "schizophrenia-panss")] == [
        False,
        False,
    ]


def test_the_multiverse_is_told_in_the_words_of_its_own_command(
    section: Section, found: MultiverseRun
) -> None:
    summary = multiverse_summary(found)
    (words,) = only(section, Listing)
    assert [plain(item) for item in words.items] == [minus(text) for text in summary["words"]]
    notes = only(section, Note)
    assert len(notes) == (1 if found.warnings else 0)
    assert not found.warnings or f"give {len(found.warnings) - 1} more" in plain(notes[0].spans)


def test_the_ends_of_the_curve_are_the_summarys(section: Section, found: MultiverseRun) -> None:
    points = multiverse_summary(found)["curves"][0]["points"]
    estimates = sorted(p["estimate"] for p in points)
    expected = [points[0]["estimate"], estimates[0], estimates[(len(estimates) - 1) // 2], estimates[-1]]
    ends = only(section, Table)[1]
    assert [plain(row.cells[0].spans) for row in ends.rows] == [
        "The analysis",
        "Lowest",
        "In the middle",
        "Highest",
    ]
    for row, value in zip(ends.rows, expected, strict=True):
        number = next(p for p in row.cells[1].spans if isinstance(p, Number))
        assert number.value == pytest.approx(value, rel=1e-11)
        same = [p for p in points if p["estimate"] == pytest.approx(value, rel=1e-11)]
        low, high = re.findall(r"-?\d+\.\d\d", number.text)[1:]
        tau2, k = (next(p for p in row.cells[i].spans if isinstance(p, Number)).value for i in (2, 3))
        assert any(
            p["ci"] == pytest.approx([float(low), float(high)], abs=0.005001)
            and p["k"] == k
            and p["tau2"] == pytest.approx(tau2, rel=1e-11, abs=1e-15)
            for p in same
        )
    assert plain(ends.rows[0].cells[4].spans) == "nothing"


def test_every_alternative_stands_with_its_reason(section: Section, found: MultiverseRun) -> None:
    declared = found.analysis.multiverse
    assert declared is not None
    told = [tuple(plain(cell.spans) for cell in row.cells) for row in only(section, Table)[0].rows]
    assert told == [
        (c.choice, c.main, a.option, a.kind, a.why) for c in declared.choices for a in c.alternatives
    ]


def test_a_multiverse_without_an_answer_is_a_refusal(runs: dict[str, AnalysisRun]) -> None:
    run = runs["cardiac-anxiety"]
    (made,) = multiverse_sections(replace(run, studies=()))
    (note,) = made.blocks
    assert isinstance(note, Note)
    assert note.kind == "refusal"
    assert plain(note.spans).startswith("Not computed: ")


def test_paper_gets_the_curve_as_a_file(
    section: Section, runs: dict[str, AnalysisRun], tmp_path: Path
) -> None:
    (figure,) = only(section, Figure)
    written = write_report([runs["cardiac-anxiety"]], tmp_path, formats=("md", "tex"))
    files = {path.relative_to(tmp_path).as_posix() for path in written}
    assert {f"figures/{figure.files[0]}.svg", f"figures/{figure.files[0]}.pdf"} <= files
    shown = re.findall(r"\((figures/[^)]+)\)", (tmp_path / "report.md").read_text(encoding="utf-8"))
    assert set(shown) <= files
    assert f"figures/{figure.files[0]}.svg" in shown


@pytest.mark.parametrize("name", ["depression", "schizophrenia-panss", "cardiac-anxiety", "icu-heart-rate"])
def test_every_trial_without_a_result_is_named_once(name: str, runs: dict[str, AnalysisRun]) -> None:
    matrix = missing_evidence(runs[name]).matrix
    gone = matrix[matrix["status"] != "pooled"]
    made = unreported_section(runs[name])
    (table,) = only(made, Table)
    rows = [tuple(plain(cell.spans) for cell in row.cells) for row in table.rows]
    assert sum(int(row[1]) for row in rows) == len(gone)
    order = [STATUS.index(row[0]) for row in rows]
    assert order == sorted(order)
    told = sorted((row[0], row[3], trial) for row in rows for trial in row[2].split("; "))
    wanted = sorted(
        (r.status, r.reason, f"{r.label} ({r.randomised:.0f})" if r.randomised == r.randomised else r.label)
        for r in gone.itertuples()
    )
    assert told == wanted
    first = made.blocks[0]
    assert plain(first.spans).startswith(f"Of {len(matrix)} trials in scope: ")  # type: ignore[union-attr]
    assert [p.key for p in first.spans if isinstance(p, Cite)] == ["method-page-2023"]  # type: ignore[union-attr]
