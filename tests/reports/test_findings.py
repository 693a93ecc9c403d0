"""Absolute effects, summary of findings, GRADE table, tables of trials, and the sheet in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from scipy.stats import norm

from mtmeta.audit.analysis import Assumptions, Decision, Grade
from mtmeta.audit.files import read_analyses
from mtmeta.audit.grade import grade_of
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.records.folder import Studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.absolute import Absolute, absolute_effects, scale_basis
from mtmeta.reports.build import report_of
from mtmeta.reports.document import Block, Listing, Note, Number, Paragraph, Spans, Table, blocks_of, plain
from mtmeta.reports.findings import findings_section, findings_table, grade_table
from mtmeta.reports.locked import Locked, number_at
from mtmeta.reports.phrases import finding_sentence, level_words
from mtmeta.reports.plain import plain_section
from mtmeta.reports.tables import characteristics_table, effects_table, trials_section


@pytest.fixture(scope="module")
def everything(records: Studies) -> list[tuple[AnalysisRun, Locked]]:
    runs = [run_analysis(item.analysis, records) for item in read_analyses([data_folder("analyses")])]
    return [(run, Locked.of(run)) for run in runs]


def by_kind(run: AnalysisRun) -> dict[str, Absolute]:
    return {a.kind: a for a in absolute_effects(run)}


def assuming(run: AnalysisRun, **assumptions: Any) -> AnalysisRun:
    given = Assumptions.model_validate(assumptions)
    return replace(run, analysis=run.analysis.model_copy(update={"assumptions": given}))


def response(value: float) -> dict[str, Any]:
    return {"value": value, "event": "response", "population": "people", "source": "someone"}


def words(blocks: Any) -> str:
    out: list[str] = []
    for block in blocks:
        out += _words(block)
    return "\n".join(out)


def _words(block: Block) -> list[str]:
    if isinstance(block, Paragraph | Note):
        return [plain(block.spans)]
    if isinstance(block, Listing):
        return [plain(item) for item in block.items]
    if isinstance(block, Table):
        return [cell.text for row in block.rows for cell in row.cells]
    return []


def _all_spans(blocks: Any) -> Iterator[Spans]:
    for block in blocks:
        if isinstance(block, Listing):
            yield from block.items
        elif isinstance(block, Paragraph):
            yield block.spans


# ---- absolute effects -------------------------------------------------------------------------------------


def test_superiority_is_the_share_of_pairs(runs: dict[str, AnalysisRun]) -> None:
    run = runs["depression"]
    found = by_kind(run)["superiority"]
    low, high = run.result.ci(0.95)
    expected = [100 * norm.cdf(-x / 2**0.5) for x in (run.result.estimate, high, low)]
    assert [found.value, found.low, found.high] == pytest.approx(expected, abs=1e-10)
    assert found.value > 50


def test_a_scale_where_higher_is_better_is_not_turned(records: Studies) -> None:
    (item,) = read_analyses([data_folder("analyses") / "schizophrenia-gaf.yaml"])
    run = run_analysis(item.analysis, records)
    assert run.result.estimate < 0
    value = by_kind(run)["superiority"].value
    assert value is not None
    assert value < 50


def test_responders_and_nnt_follow_furukawa_and_leucht(runs: dict[str, AnalysisRun]) -> None:
    run = runs["depression"]
    control = run.analysis.assumptions.control_response
    assert control is not None
    found = by_kind(run)
    gain = norm.cdf(-run.result.estimate + norm.ppf(control.value)) - control.value
    assert found["per 100"].value == pytest.approx(100 * gain, abs=1e-10)
    assert found["NNT"].value == pytest.approx(1 / gain, abs=1e-9)
    nnt = found["NNT"]
    assert nnt.low is not None
    assert nnt.high is not None
    assert nnt.low < nnt.value < nnt.high  # type: ignore[operator]
    assert control.source in nnt.assumes
    assert control.population in nnt.assumes


def test_an_nnt_whose_interval_holds_no_effect_runs_through_infinity(runs: dict[str, AnalysisRun]) -> None:
    run = assuming(runs["schizophrenia-panss"], control_response=response(0.3))
    nnt = by_kind(run)["NNT"]
    assert (nnt.low, nnt.high) == (None, None)
    assert re.fullmatch(
        r"\d+ \[from \d+ for one more, through infinity, to \d+ for one fewer\]", plain(nnt.spans)
    )


def test_what_is_not_assumed_is_not_computed_and_says_why(runs: dict[str, AnalysisRun]) -> None:
    for kind in ("per 100", "NNT"):
        found = by_kind(runs["cardiac-anxiety"])[kind]
        assert not found.known
        assert plain(found.spans) == "not computed"
        assert found.assumes == (
            "no share of people who respond without music is given (assumptions: control_response)"
        )
    points = by_kind(runs["cardiac-anxiety"])["points"]
    assert not points.known
    assert "no standard deviation of a scale is given" in points.assumes


def test_points_come_from_the_library_or_the_file(runs: dict[str, AnalysisRun]) -> None:
    run = runs["schizophrenia-panss"]
    found = by_kind(run)["points"]
    assert found.value == pytest.approx(17.6 * run.result.estimate)
    assert "CATIE" in found.assumes
    scale = {"instrument": "Made scale", "sd": 2.0, "population": "people", "source": "someone"}
    given = by_kind(assuming(run, scale=scale))["points"]
    assert given.value == pytest.approx(2 * run.result.estimate)
    assert "by the analysis file (people; someone)" in given.assumes
    assert "points of the Made scale" in given.title


def test_points_may_rest_on_what_the_trials_print(everything: list[tuple[AnalysisRun, Locked]]) -> None:
    run = next(r for r, _ in everything if r.analysis.name == "dementia-anxiety")
    basis = scale_basis(run)
    assert not isinstance(basis, str)
    rows = [o for s in run.studies if s.id in set(run.effects.study) for o in s.outcomes]
    arms = [
        (o.data.control.sd, o.data.control.n)
        for o in rows
        if o.construct_ == "anxiety"
        and o.time == "post"
        and "NPI" in (o.instrument or "")
        and o.data.kind == "means"
        and (o.comparator in (None, "usual care"))
    ]
    pooled = (sum((n - 1) * sd**2 for sd, n in arms) / sum(n - 1 for _, n in arms)) ** 0.5  # type: ignore[operator, misc]
    assert basis.sd == pytest.approx(pooled)
    assert "pooled from the control groups of" in basis.source


@pytest.mark.parametrize("name", ["superiority", "per 100", "NNT", "points"])
def test_every_kind_has_a_number_or_a_reason(everything: list[tuple[AnalysisRun, Locked]], name: str) -> None:
    for run, _ in everything:
        found = by_kind(run)[name]
        text = plain(found.spans)
        assert "nan" not in text
        assert found.known != (text == "not computed")
        assert found.assumes
        if found.low is not None and found.kind != "NNT":
            assert found.low <= found.value <= found.high  # type: ignore[operator]


# ---- summary of findings ----------------------------------------------------------------------------------


def test_findings_of_every_analysis_are_the_locks(everything: list[tuple[AnalysisRun, Locked]]) -> None:
    for run, locked in everything:
        section = findings_section(run, locked)
        text = words(blocks_of((section,)))
        assert "nan" not in re.findall(r"[a-z]+", text)
        assert "None" not in text
        for block in blocks_of((section,)):
            assert isinstance(block, Table | Paragraph | Note)
            if isinstance(block, Table):
                for row in block.rows:
                    for part in (p for cell in row.cells for p in cell.spans):
                        if isinstance(part, Number) and part.at:
                            path = part.at.partition("/")[2]
                            assert part.value == pytest.approx(number_at(locked.results, path))


def test_the_table_of_all_findings_has_a_row_each(everything: list[tuple[AnalysisRun, Locked]]) -> None:
    runs, locks = zip(*everything, strict=True)
    table = findings_table(runs, locks)
    assert len(table.rows) == len(runs)
    assert [row.cells[6].text for row in table.rows] == [level_words(grade_of(r)) for r in runs]


def test_both_the_proposal_and_the_decision_are_shown(runs: dict[str, AnalysisRun]) -> None:
    run = runs["depression"]
    who = {"by": "A. Person", "when": "2026-11-28"}
    wide, fits = Decision(down=2, why="<b>wide</b>", **who), Decision(down=0, why="fits", **who)
    grade = Grade(imprecision=wide, indirectness=fits)
    decided = replace(run, analysis=run.analysis.model_copy(update={"grade": grade}))
    rows = {row.cells[0].text: [c.text for c in row.cells] for row in grade_table(decided).rows}
    assert rows["Imprecision"][1:3] == ["serious (-1)", "very serious (-2)"]
    assert rows["Imprecision"][3].endswith("Decided by A. Person on 2026-11-28: <b>wide</b>")
    assert rows["Indirectness"][1:3] == ["not judged by rule", "not serious"]
    assert rows["Certainty"][1:3] == ["low", "very low"]
    assert "at most" not in rows["Certainty"][3]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "depression",
            "Music may improve depression (lower scores), by an amount that matters to people; the interval "
            "also holds effects too small to matter.",
        ),
        ("icu-heart-rate", "It is very uncertain whether music lowers heart rate."),
        ("cardiac-anxiety", "It is very uncertain whether music improves anxiety (lower scores)."),
    ],
)
def test_sentences_say_what_the_certainty_allows(
    runs: dict[str, AnalysisRun], name: str, sentence: str
) -> None:
    assert finding_sentence(runs[name], grade_of(runs[name])) == sentence


def test_directions_are_words_that_fit_the_scale(everything: list[tuple[AnalysisRun, Locked]]) -> None:
    for run, _ in everything:
        text = finding_sentence(run, grade_of(run))
        good = (run.result.estimate < 0) == (run.analysis.better == "lower")
        assert not (good and ("worse" in text or "worsen" in text)), text
        assert good or "worse" in text, text
        for wrong in ("lowers sleep", "lowers social functioning", "raises depression"):
            assert wrong not in text


# ---- trials -----------------------------------------------------------------------------------------------


def test_every_trial_has_its_row_and_every_effect_its_route(
    everything: list[tuple[AnalysisRun, Locked]],
) -> None:
    for run, locked in everything:
        effects = effects_table(run, locked)
        assert len(effects.rows) == run.effects.k
        assert all(row.cells[-1].text not in ("", "not told") for row in effects.rows)
        shares = [float(row.cells[-2].sort or 0) for row in effects.rows]
        assert sum(shares) == pytest.approx(1, abs=1e-9)
        for i, row in enumerate(effects.rows):
            assert row.cells[7].sort == pytest.approx(run.effects.measure.back(float(run.effects.yi[i])))
        told = characteristics_table(run)
        assert len(told.rows) == len(set(run.effects.study))
        assert all(cell.text for table in (told, effects) for row in table.rows for cell in row.cells)


def test_a_run_without_records_still_has_its_effects(runs: dict[str, AnalysisRun]) -> None:
    run = replace(runs["cardiac-anxiety"], studies=())
    section = trials_section(run, Locked.of(run))
    assert [b.id for b in section.blocks if isinstance(b, Table)] == ["effects-cardiac-anxiety"]
    assert "not assessed 100%" in grade_of(run).rating("risk of bias").why


# ---- in plain words ---------------------------------------------------------------------------------------


def test_the_plain_sheet_of_every_analysis(everything: list[tuple[AnalysisRun, Locked]]) -> None:
    for run, locked in everything:
        section = plain_section(run, locked)
        text = words(section.blocks)
        assert not re.search(r"\b1 (trials|people)\b", text)
        assert "nan" not in re.findall(r"[a-z]+", text.lower())
        assert not re.search(r"\b(should|must|recommend|ask your|talk to)\b", text), text
        assert "It is not advice on any treatment." in text
        numbers = [p for spans_ in _all_spans(section.blocks) for p in spans_ if isinstance(p, Number)]
        assert len(numbers) >= 4
        for number in numbers:
            if number.at:
                path = number.at.partition("/")[2]
                assert number_at(locked.results, path) == number.value


def test_numbers_of_the_sheet_point_to_their_origin(runs: dict[str, AnalysisRun]) -> None:
    run = runs["depression"]
    section = plain_section(run, Locked.of(run), jump="results-depression")
    paragraph = section.blocks[1]
    assert isinstance(paragraph, Paragraph)
    numbers = [p for p in paragraph.spans if isinstance(p, Number)]
    assert [(n.text, n.at, n.jump) for n in numbers] == [
        ("17", "depression/today/k", "results-depression"),
        ("730", "depression/today/n", "results-depression"),
    ]


def test_points_are_told_without_signs(runs: dict[str, AnalysisRun]) -> None:
    text = words(plain_section(runs["schizophrenia-panss"], Locked.of(runs["schizophrenia-panss"])).blocks)
    assert "The average is 16.8 lower with music, which is better" in text
    assert "between 37.3 lower and 3.6 higher" in text


def test_a_report_of_several_analyses_holds_all_of_it(runs: dict[str, AnalysisRun]) -> None:
    document = report_of(list(runs.values()))
    ids = [s.id for section in document.sections for s in (section, *section.sections)]
    for name in runs:
        assert {f"plain-{name}", f"findings-{name}", f"trials-{name}", f"text-{name}"} <= set(ids)
    assert len(document.references) > 40
    assert document.references[0].key.startswith(("method-", "trial-"))
