"""What a finding costs: each number is the pool made anew from the changed rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mtmeta.audit.checks.rows import sizes_of
from mtmeta.audit.cost import costs_of, in_words, mended, with_costs
from mtmeta.audit.files import read_analyses
from mtmeta.audit.findings import Finding
from mtmeta.audit.hunt import hunt
from mtmeta.audit.run import AnalysisRun, model_of, run_analysis
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder


@pytest.fixture(scope="module")
def studies() -> Studies:
    return read_studies(data_folder("studies") / "cardiac")


@pytest.fixture(scope="module")
def run(studies: Studies) -> AnalysisRun:
    item = read_analyses([data_folder("analyses") / "cardiac-heart-rate.yaml"])[0]
    return run_analysis(item.analysis, studies)


@pytest.fixture(scope="module")
def finding(studies: Studies) -> Finding:
    (found,) = (f for f in hunt(studies) if f.ids[0] == "winters-2005/heart-rate")
    return found


def test_without_and_mended_are_the_pools_made_anew(
    run: AnalysisRun, finding: Finding, studies: Studies
) -> None:
    (cost,) = costs_of(finding, [run])
    es, model = run.effects, model_of(run.analysis.model)
    at = es.study.index("winters-2005")
    rest = model.fit(es.subset([i for i in range(es.k) if i != at]))
    assert cost.pool == "today"
    assert cost.before.estimate == run.result.estimate
    assert cost.without is not None
    assert (cost.without.estimate, cost.without.tau2) == (rest.estimate, rest.tau2)
    # mended by hand: the printed g over √n, with the variance of an SMD of that size
    sizes = sizes_of(studies["winters-2005"].outcome("heart-rate"))
    assert sizes is not None
    n1, n2 = sizes
    n = 2.0 * n1 * n2 / (n1 + n2)
    yi, vi = es.yi.copy(), es.vi.copy()
    yi[at] = es.yi[at] / np.sqrt(n)
    vi[at] = 1.0 / n1 + 1.0 / n2 + yi[at] ** 2 / (2.0 * (n1 + n2))
    by_hand = model.fit(replace(es, yi=yi, vi=vi))
    assert cost.mended is not None
    # the correction of g is undone and done again with the printed digits
    assert cost.mended.estimate == pytest.approx(by_hand.estimate, abs=2e-3)
    assert cost.moves == max(
        abs(p.estimate - cost.before.estimate) / cost.before.se for p in (cost.without, cost.mended)
    )
    assert in_words(cost).startswith("cardiac-heart-rate: ")


def test_a_turned_sign_is_turned_back(run: AnalysisRun, finding: Finding) -> None:
    turned = replace(finding, code="sign-contradicts-report")
    (cost,) = costs_of(turned, [run])
    yi = run.effects.yi.copy()
    at = run.effects.study.index("winters-2005")
    yi[at] = -yi[at]
    assert cost.mended is not None
    fit = model_of(run.analysis.model).fit(replace(run.effects, yi=yi))
    assert cost.mended.estimate == fit.estimate


def test_what_no_pool_uses_costs_nothing(run: AnalysisRun, finding: Finding) -> None:
    assert costs_of(replace(finding, ids=("nobody-2000/heart-rate",)), [run]) == ()


def test_the_second_of_two_twins_is_left_out(run: AnalysisRun, finding: Finding) -> None:
    one, two = run.effects.study[0], run.effects.study[1]
    columns = run.effects.columns
    assert columns is not None
    ids = (f"{one}/{columns['outcome'].iloc[0]}", f"{two}/{columns['outcome'].iloc[1]}")
    (cost,) = costs_of(replace(finding, code="duplicate-trial", ids=ids), [run])
    rest = model_of(run.analysis.model).fit(run.effects.subset([i for i in range(run.effects.k) if i != 1]))
    assert cost.without is not None
    assert cost.without.estimate == rest.estimate


def test_findings_that_move_most_stand_first(run: AnalysisRun, finding: Finding) -> None:
    idle = replace(finding, ids=("nobody-2000/x",))
    note = replace(finding, severity="note")
    assert [f.ids[0] for f in with_costs([idle, note, finding], [run])] == [
        finding.ids[0],
        idle.ids[0],
        finding.ids[0],
    ]


def test_an_se_under_its_own_name(studies: Studies, finding: Finding) -> None:
    """Raw means: the spread moves from sd to se, for the arm concerned only where one is."""
    dementia = read_studies(data_folder("studies") / "dementia")
    row = dementia["narme-2014"].outcome("depression")
    found = mended(row, replace(finding, evidence={"arm": "music"}))
    assert found is not None
    assert (found.data.music.sd, found.data.music.se) == (None, row.data.music.sd)  # type: ignore[union-attr]
    assert found.data.control == row.data.control  # type: ignore[union-attr]
    assert mended(row, replace(finding, code="implausible-effect")) is None
