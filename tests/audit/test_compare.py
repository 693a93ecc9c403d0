"""Two extractors: agreement against published examples, real disagreements, decisions and agreed records."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mtmeta.audit.compare import Comparison, Disagreement, changed, compare, same_number
from mtmeta.audit.compare_agreement import exact_agreement, icc, kappa
from mtmeta.audit.compare_decisions import decisions_for, dump_decisions, read_decisions, reconcile
from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import run_analysis
from mtmeta.cli.app import app
from mtmeta.errors import RecordError
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import Study
from mtmeta.records.write import write_study

# Cohen 1960, Educ Psychol Meas 20:37, table 1: two psychiatrists, 200 patients; kappa .49
COHEN = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]
# Shrout & Fleiss 1979, Psychol Bull 86:420, table 2
JUDGED = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def raters(table: list[list[int]]) -> tuple[list[int], list[int]]:
    pairs = [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]
    return [i for i, _ in pairs], [j for _, j in pairs]


def test_kappa_is_cohens() -> None:
    found = kappa(*raters(COHEN))
    # p_o .70, p_e .41
    assert found.estimate == pytest.approx(0.29 / 0.59, abs=1e-12)


def test_the_interval_of_kappa_is_the_delta_methods() -> None:
    """A second route: the gradient of kappa in the cell probabilities, by differences."""
    p = np.array(COHEN, dtype=float) / 200.0

    def value(cells: np.ndarray) -> float:
        q = cells.reshape(3, 3) / cells.sum()
        expected = float(q.sum(axis=1) @ q.sum(axis=0))
        return (float(np.trace(q)) - expected) / (1.0 - expected)

    step = 1e-6
    flat = p.ravel()
    gradient = np.array([(value(flat + step * e) - value(flat - step * e)) / (2 * step) for e in np.eye(9)])
    variance = (flat @ gradient**2 - (flat @ gradient) ** 2) / 200.0
    found = kappa(*raters(COHEN))
    assert (found.high - found.low) / 2.0 == pytest.approx(1.959963984540054 * math.sqrt(variance), rel=1e-7)


def test_icc_is_shrout_and_fleiss() -> None:
    """Shrout & Fleiss, table 4: ICC(2,1) = .29; R's psych::ICC prints 0.29 [0.019, 0.76] for these data."""
    found = icc(JUDGED)
    assert f"{found.estimate:.2f}" == "0.29"
    assert (f"{found.low:.3f}", f"{found.high:.2f}") == ("0.019", "0.76")


def test_edges_of_agreement() -> None:
    assert math.isnan(kappa(["a"] * 4, ["a"] * 4).estimate)
    assert kappa(["a", "b"], ["a", "b"]).estimate == 1.0
    assert icc([[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]]).low == 1.0
    assert math.isnan(icc([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]).estimate)
    assert math.isnan(exact_agreement(0, 0).estimate)
    assert exact_agreement(10, 10).high == 1.0 > exact_agreement(10, 10).low


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [(3.5, 3.46, True), (3.5, 3.44, False), (12.0, 12.4, True), (15, 16, False), (-0.7, 0.7, False)],
)
def test_rounding_is_no_disagreement(a: float, b: float, same: bool) -> None:
    assert same_number(a, b) is same is same_number(b, a)


@pytest.fixture(scope="module")
def one() -> Studies:
    return read_studies(data_folder("studies") / "dementia")


@pytest.fixture(scope="module")
def two(one: Studies) -> Studies:
    """The same, with an SD, a category, a rounding and a note changed, a trial and an outcome missing."""
    out = []
    for study in one:
        if study.id == "vink-2013":
            continue
        new = study
        if study.id == "ceccato-2012":
            row = study.outcome("depression").data
            assert row.kind == "means"
            assert row.music.mean is not None
            assert row.music.sd is not None
            new = changed(new, "outcomes.depression.data.music.sd", 2.0 * row.music.sd)
            new = changed(new, "intervention.approach", "active")
        if study.id == "cooke-2010":
            new = new.model_copy(update={"note": "another note"})
        if study.id == "raglio-2015":
            new = new.model_copy(update={"outcomes": new.outcomes[:-1]})
        out.append(new)
    return Studies.of(out)


@pytest.fixture(scope="module")
def found(one: Studies, two: Studies) -> Comparison:
    item = read_analyses([data_folder("analyses") / "dementia-depression.yaml"])[0]
    return compare(one, two, runs=[run_analysis(item.analysis, one)])


def test_only_real_disagreements_are_listed(found: Comparison, one: Studies) -> None:
    listed = {(d.study, d.field) for d in found.disagreements}
    assert listed == {
        ("vink-2013", "record"),
        ("raglio-2015", f"outcomes.{one['raglio-2015'].outcomes[-1].id}"),
        ("ceccato-2012", "outcomes.depression.data.music.sd"),
        ("ceccato-2012", "intervention.approach"),
    }
    assert found.exact.n - round(found.exact.estimate * found.exact.n) == 2


def test_what_a_disagreement_moves(found: Comparison) -> None:
    first = found.disagreements[0]
    assert first.field == "outcomes.depression.data.music.sd"
    (move,) = first.moves
    assert move.analysis == "dementia-depression"
    assert move.a.estimate != move.b.estimate
    assert first.largest_move > 0
    assert all(not d.moves for d in found.disagreements[1:])


def decided(found: Comparison, take: str) -> list[Any]:
    return [
        d.model_copy(update={"take": take, "by": "A. Person", "when": "2026-01-02", "why": "read the report"})
        for d in decisions_for(found.disagreements)
    ]


def test_undecided_is_refused_and_decided_is_taken(found: Comparison, one: Studies, two: Studies) -> None:
    with pytest.raises(RecordError, match="is not decided"):
        reconcile(one, two, decisions_for(found.disagreements))
    assert reconcile(one, two, decided(found, "a")) == tuple(one)
    agreed = Studies.of(reconcile(one, two, decided(found, "b")))
    assert not compare(agreed, two).disagreements
    with pytest.raises(RecordError, match="is no disagreement"):
        reconcile(one, one, decided(found, "a"))


def test_a_third_value_may_hold(found: Comparison, one: Studies, two: Studies) -> None:
    decisions = [
        d.model_copy(update={"take": "value", "value": 4.25}) if d.field.endswith("music.sd") else d
        for d in decided(found, "a")
    ]
    agreed = Studies.of(reconcile(one, two, decisions))
    data = agreed["ceccato-2012"].outcome("depression").data
    assert data.kind == "means"
    assert data.music.sd == 4.25


def test_the_finer_of_two_roundings_is_kept(one: Studies) -> None:
    def with_mean(value: float) -> Study:
        return changed(one["ceccato-2012"], "outcomes.depression.data.music.mean", value)

    agreed = reconcile(Studies.of([with_mean(3.5)]), Studies.of([with_mean(3.46)]), ())
    data = agreed[0].outcome("depression").data
    assert data.kind == "means"
    assert data.music.mean == 3.46


def test_a_decision_file_keeps_what_was_decided(found: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "decisions.yaml"
    before = decided(found, "b")
    path.write_text(dump_decisions(before), encoding="utf-8")
    assert list(read_decisions(path)) == before
    again = decisions_for(found.disagreements, read_decisions(path))
    assert list(again) == before
    other = Disagreement("ceccato-2012", "intervention.approach", "category", "active", "mixed")
    (fresh,) = decisions_for([other], read_decisions(path))
    assert not fresh.decided


def test_the_commands(one: Studies, two: Studies, found: Comparison, tmp_path: Path) -> None:
    for name, studies in (("a", one), ("b", two)):
        for study in studies:
            write_study(study, tmp_path / name / "dementia")
    a, b, file = str(tmp_path / "a"), str(tmp_path / "b"), tmp_path / "decisions.yaml"
    run = CliRunner().invoke(app, ["compare", a, b, "--decisions", str(file), "--json"])
    assert run.exit_code == 0
    assert len(json.loads(run.stdout)["disagreements"]) == 4
    assert len(read_decisions(file)) == 4
    assert CliRunner().invoke(app, ["compare", a, b]).stdout.count("ceccato-2012") == 2
    out = str(tmp_path / "agreed")
    assert CliRunner().invoke(app, ["reconcile", a, b, str(file), "--out", out]).exit_code != 0
    file.write_text(dump_decisions(decided(found, "a")), encoding="utf-8")
    assert CliRunner().invoke(app, ["reconcile", a, b, str(file), "--out", out]).exit_code == 0
    assert tuple(read_studies(out)) == tuple(one)
