"""The effect table for other programs, and the way back: the same effects."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from made_trials import trial

from mtmeta.audit.analysis import Analysis, Method
from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.effects.compute import computed_rows
from mtmeta.effects.select import Query, select_rows
from mtmeta.errors import UsageError
from mtmeta.records.folder import read_studies
from mtmeta.records.importers import import_file
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import Study
from mtmeta.reports import export


@pytest.fixture(scope="module")
def runs() -> dict[str, AnalysisRun]:
    records = read_studies(data_folder("studies"))
    named = read_analyses([data_folder("analyses")])
    return {item.analysis.name: run_analysis(item.analysis, records) for item in named}


def question(measure: str = "SMD", *, select: dict[str, Any] | None = None, **more: Any) -> Analysis:
    base: dict[str, Any] = {
        "schema": 1,
        "name": "made-up",
        "title": "a made-up question",
        "question": dict.fromkeys(("population", "intervention", "comparator", "outcome", "time"), "made up"),
        "select": {"constructs": ["anxiety"], **(select or {})},
        "measure": measure,
        "better": "lower",
    }
    return Analysis.model_validate({**base, **more})


def means(m: float, sd: float, n: int) -> dict[str, Any]:
    return {
        "kind": "means",
        "music": {"n": n, "mean": m, "sd": sd},
        "control": {"n": n + 3, "mean": 8.5, "sd": 2.5},
    }


def events(a: int, c: int) -> dict[str, Any]:
    return {"kind": "events", "music": {"events": a, "n": 30}, "control": {"events": c, "n": 31}}


def six() -> list[Study]:
    values = [(10.0, 2.0, 20), (9.1, 2.2, 31), (7.2, 1.9, 18), (8.8, 2.5, 44), (9.9, 3.0, 25), (7.9, 2.1, 29)]
    return [trial({"data": means(*v)}, id=f"made-{i}", label=f"Made {i}") for i, v in enumerate(values, 2001)]


def every_kind() -> list[Study]:
    """Trials whose effects come by all routes that have one for an SMD."""
    sizes = {"n_music": 20, "n_control": 25}
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"data": means(10.0, 2.0, 20)}, {}),
        (
            {
                "data": {
                    "kind": "effect",
                    "measure": "SMD",
                    "estimate": -0.9,
                    "se": 0.3,
                    "correction": "exact",
                    **sizes,
                }
            },
            {},
        ),
        (
            {
                "data": {
                    "kind": "effect",
                    "measure": "SMD",
                    "estimate": -0.9,
                    "se": 0.3,
                    "correction": "none",
                    **sizes,
                }
            },
            {},
        ),
        (
            {
                "data": {
                    "kind": "interval",
                    "measure": "SMD",
                    "estimate": -0.78,
                    "ci_low": -2.36,
                    "ci_high": 0.81,
                }
            },
            {},
        ),
        (
            {
                "data": {
                    "kind": "interval",
                    "measure": "MD",
                    "estimate": -1.5,
                    "ci_low": -2.9,
                    "ci_high": -0.1,
                    **sizes,
                }
            },
            {},
        ),
        ({"data": {"kind": "test", "statistic": "t", "value": -2.1, "music_is": "lower", **sizes}}, {}),
        ({"data": means(9.0, 2.0, 20), "design_effect": 1.7}, {"design": {"unit": "cluster"}}),
        (
            {
                "data": {
                    "kind": "paired",
                    "n": 10,
                    "music": {"mean": 7, "sd": 2.38},
                    "control": {"mean": 6.5, "sd": 2.21},
                    "r": 0.68,
                }
            },
            {"design": {"unit": "crossover"}},
        ),
    ]
    return [trial(o, id=f"kind-{i}", label=f"Kind {i}", **more) for i, (o, more) in enumerate(rows, 2001)]


# ---- and back ----


def effects_again(found: Any, run: AnalysisRun) -> dict[str, tuple[float, float]]:
    """Effects of imported records by the run's own measure and convention."""
    select = select_rows(found.studies, Query(rule="separate"))
    rows, left = computed_rows(select, measure=run.analysis.measure, variance=run.analysis.model.variance)
    assert [x for x in left if x.outcome] == []
    return {c.row.study.id: (c.yi, c.vi) for c in rows}


def same(run: AnalysisRun, back: dict[str, tuple[float, float]], rel: float = 1e-13) -> None:
    assert set(back) == set(run.effects.study)
    for i, study in enumerate(run.effects.study):
        assert back[study][0] == pytest.approx(run.effects.yi[i], rel=rel, abs=1e-15), study
        assert back[study][1] == pytest.approx(run.effects.vi[i], rel=rel), study


@pytest.mark.parametrize("form", ["csv", "xlsx", "revman"])
def test_every_analysis_there_and_back(runs: dict[str, AnalysisRun], tmp_path: Path, form: str) -> None:
    for name, run in runs.items():
        assert len(set(run.effects.study)) == run.effects.k
        if form == "revman":
            for file, text in export.to_revman(run).items():
                (tmp_path / file).write_text(text, encoding="utf-8")
            path = tmp_path / f"{name}-data-rows.csv"
        else:
            path = tmp_path / f"{name}.{form}"
            path.write_bytes(export.to_csv(run).encode() if form == "csv" else export.to_xlsx(run))
        found = import_file(path)
        assert found.not_read == ()
        back = effects_again(found, run)
        if form == "revman":  # it carries labels and no ids
            labels = {c.label: c.id for c in run.studies if c.id in run.effects.study}
            ids = {s.id: labels[s.label] for s in found.studies}
            back = {ids[k]: v for k, v in back.items()}
        same(run, back)


@pytest.mark.parametrize("variance", ["LS", "LS2", "UB", "RevMan"])
@pytest.mark.parametrize("form", ["csv", "revman"])
def test_every_route_there_and_back(tmp_path: Path, variance: str, form: str) -> None:
    run = run_analysis(question(model={"variance": variance}), every_kind())
    assert run.effects.k == len(every_kind())
    if form == "csv":
        (tmp_path / "t.csv").write_text(export.to_csv(run), encoding="utf-8")
        found = import_file(tmp_path / "t.csv")
    else:
        for file, text in export.to_revman(run).items():
            (tmp_path / file).write_text(text, encoding="utf-8")
        found = import_file(tmp_path / "made-up-data-rows.csv")
    assert found.not_read == ()
    same(run, effects_again(found, run), rel=1e-12)


@pytest.mark.parametrize("measure", ["OR", "RR", "RD", "PETO"])
def test_events_there_and_back(tmp_path: Path, measure: str) -> None:
    counts = [(4, 9), (0, 5), (7, 8)]
    studies = [
        trial({"data": events(*v)}, id=f"made-{i}", label=f"Made {i}") for i, v in enumerate(counts, 2001)
    ]
    run = run_analysis(question(measure), studies)
    (tmp_path / "t.csv").write_text(export.to_csv(run), encoding="utf-8")
    found = import_file(tmp_path / "t.csv")
    assert {s.outcomes[0].data.kind for s in found.studies} == {"events"}
    same(run, effects_again(found, run))
    for file, text in export.to_revman(run).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    same(run, effects_again(import_file(tmp_path / "made-up-data-rows.csv"), run))


def test_a_mean_of_rows_goes_as_its_effect(tmp_path: Path) -> None:
    two = trial(
        {"data": means(10.0, 2.0, 20)}, {"data": means(9.0, 2.0, 20)}, id="two-2010", label="Two 2010"
    )
    run = run_analysis(question(select={"rule": "mean"}), [two, *six()])
    row = next(r for r in export.effect_rows(run) if r["id"] == "two-2010")
    assert row["m1"] is None
    assert row["correction"] == "unknown"
    (tmp_path / "t.csv").write_text(export.to_csv(run), encoding="utf-8")
    same(run, effects_again(import_file(tmp_path / "t.csv"), run))


# ---- spreadsheets ----

EVIL = [
    '=HYPERLINK("http://x","y")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "＝1+1",
    "'=1",
    "=cmd|' /C calc'!A0",
]


def evil_run() -> AnalysisRun:
    studies = [
        trial(
            {
                "data": means(10.0, 2.0 + i, 20),
                "instrument": text,
                "source": {"cite": text, "where": text},
                "used_in": [text],
            },
            id=f"evil-{i}",
            label=text,
        )
        for i, text in enumerate(EVIL)
    ]
    return run_analysis(question(title=EVIL[0]), studies)


def test_no_cell_of_a_csv_is_a_formula() -> None:
    rows = list(csv.reader(io.StringIO(export.to_csv(evil_run()))))
    head = rows[0]
    for row in rows[1:]:
        for name, cell in zip(head, row, strict=True):
            if cell[:1] in tuple("=+-@\t\r＝"):
                assert name in ("yi", "weight") or float(cell) < 0
        assert row[head.index("study")].startswith("'")


def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path: Path) -> None:
    import openpyxl

    (tmp_path / "t.xlsx").write_bytes(export.to_xlsx(evil_run()))
    with zipfile.ZipFile(tmp_path / "t.xlsx") as archive:
        sheets = [archive.read(n) for n in archive.namelist() if n.startswith("xl/worksheets/")]
    assert all(b"<f>" not in sheet and b"<f " not in sheet for sheet in sheets)
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx")["effects"]
    assert {c.data_type for row in sheet.iter_rows(min_row=2) for c in row if isinstance(c.value, str)} == {
        "s"
    }
    assert [row[1].value for row in sheet.iter_rows(min_row=2)] == EVIL


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_formulas_come_back_as_the_text_they_were(tmp_path: Path, form: str) -> None:
    run = evil_run()
    path = tmp_path / f"t.{form}"
    path.write_bytes(export.to_csv(run).encode() if form == "csv" else export.to_xlsx(run))
    found = import_file(path)
    told = [s.outcomes[0].instrument for s in found.studies]
    assert told[:2] == EVIL[:2]
    same(run, effects_again(found, run))


def test_the_table_says_where_each_effect_comes_from(runs: dict[str, AnalysisRun]) -> None:
    rows = export.effect_rows(runs["cardiac-stai-mi"])
    assert [set(row) for row in rows] == [set(export.COLUMNS)] * len(rows)
    white = next(row for row in rows if row["id"] == "white-1999")
    assert white["route"] == "printed SMD (exact correction) and arm sizes"
    assert (white["yi"], white["n1"], white["correction"]) == (-2.664571, 15, "exact")
    assert sum(float(str(row["weight"])) for row in rows) == pytest.approx(1)


# ---- R ----


def scripted(run: AnalysisRun, rscript: Callable[..., str], tmp_path: Path) -> np.ndarray[Any, Any]:
    path = tmp_path / f"{run.analysis.name}.R"
    path.write_text(export.to_r(run), encoding="utf-8")
    told = rscript(path)
    line = next(x for x in told.splitlines() if x.startswith("metafor:"))
    return np.array([float(x) for x in line.split()[1:]])


@pytest.mark.r
def test_metafor_reproduces_every_analysis(
    runs: dict[str, AnalysisRun], rscript: Callable[..., str], tmp_path: Path
) -> None:
    """One R for all scripts; each stops by itself where metafor's estimate is not ours."""
    together = ""
    for name, run in runs.items():
        (tmp_path / f"{name}.R").write_text(export.to_r(run), encoding="utf-8")
        together += f'source("{tmp_path}/{name}.R", local = new.env())\n'
    (tmp_path / "all.R").write_text(together, encoding="utf-8")
    told = rscript(tmp_path / "all.R")
    found = re.findall(r"^metafor: (.*)$", told, re.MULTILINE)
    assert len(found) == len(runs)
    for line, run in zip(found, runs.values(), strict=True):
        values = [float(x) for x in line.split()]
        low, high = run.result.ci(run.analysis.model.level)
        assert values == pytest.approx([run.result.estimate, run.result.tau2, low, high], rel=1e-6, abs=1e-6)


@pytest.mark.r
def test_metafor_has_every_method(rscript: Callable[..., str], tmp_path: Path) -> None:
    fields = Method.model_fields
    together, expected = "", []
    for kind in ("common", "random"):
        for tau2 in get_args(fields["tau2"].annotation):
            for ci in ("Wald", "HKSJ", "HKSJ-floor"):
                if kind == "common" and (tau2, ci) != ("REML", "Wald"):
                    continue
                model = {"kind": kind, "tau2": tau2, "ci": ci, "level": 0.9}
                run = run_analysis(question(model=model), six())
                path = tmp_path / f"{kind}-{tau2}-{ci}.R"
                path.write_text(export.to_r(run), encoding="utf-8")
                together += f'source("{path}", local = new.env())\n'
                expected.append([run.result.estimate, run.result.tau2, *run.result.ci(0.9)])
    (tmp_path / "all.R").write_text(together, encoding="utf-8")
    found = re.findall(r"^metafor: (.*)$", rscript(tmp_path / "all.R"), re.MULTILINE)
    got = np.array([[float(x) for x in line.split()] for line in found])
    assert got == pytest.approx(np.array(expected), rel=1e-6, abs=1e-7)


@pytest.mark.r
def test_a_script_stops_where_numbers_were_changed(rscript: Callable[..., str], tmp_path: Path) -> None:
    run = run_analysis(question(), six())
    text = export.to_r(run)
    (tmp_path / "t.R").write_text(text, encoding="utf-8")
    rscript(tmp_path / "t.R")
    first = f"{run.effects.yi[0]:.17g}"
    assert first in text
    (tmp_path / "t.R").write_text(text.replace(first, "0.9", 1), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"not (all )?TRUE"):
        rscript(tmp_path / "t.R")


@pytest.mark.r
def test_text_of_records_is_never_code_of_r(rscript: Callable[..., str], tmp_path: Path) -> None:
    labels = [
        '"); quit(status = 7); c("',
        "back\\slash",
        "\\u0041",
        "Möller 音楽 🎵",
        "new\nline",
        "`x`",
        "#'}",
        "%s %d",
    ]
    studies = [
        trial({"data": means(10.0, 2.0 + i, 20)}, id=f"evil-{i}", label=label)
        for i, label in enumerate(labels)
    ]
    run = run_analysis(question(title='x\nquit(status = 8)\n# "'), studies)
    assert export.to_r(run).isascii()
    values = scripted(run, rscript, tmp_path)
    assert values[0] == pytest.approx(run.result.estimate, rel=1e-6)
    path = tmp_path / "made-up.R"
    run_it = f'e <- new.env(); invisible(capture.output(source("{path}", local = e)))'
    told = rscript(f'{run_it}; for (x in e$dat$study) cat(utf8ToInt(x), "\\n")')
    read = ["".join(chr(int(code)) for code in line.split()) for line in told.splitlines()]
    assert read == [label.replace("\n", " ") for label in labels]


def test_an_interval_metafor_does_not_have_is_refused(runs: dict[str, AnalysisRun]) -> None:
    from dataclasses import replace

    from mtmeta.models.pool import RandomEffects

    run = runs["cardiac-anxiety"]
    other = replace(run, result=RandomEffects(tau2="ML", ci="PL").fit(run.effects))
    with pytest.raises(UsageError, match="no interval 'PL'"):
        export.to_r(other)


# ---- the command ----


def mtmeta(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mtmeta", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "analyses").mkdir()
    shutil.copy(data_folder("analyses") / "icu-anxiety.yaml", tmp_path / "analyses")
    shutil.copytree(data_folder("studies") / "icu", tmp_path / "studies")
    file = "analyses/icu-anxiety.yaml"
    for to, names in (
        ("csv", ["icu-anxiety.csv"]),
        ("xlsx", ["icu-anxiety.xlsx"]),
        ("r", ["icu-anxiety.R"]),
        ("revman", ["icu-anxiety-data-rows.csv", "icu-anxiety-overall-estimates-and-settings.csv"]),
    ):
        done = mtmeta("export", file, "--to", to, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == names
        assert all((tmp_path / name).stat().st_size > 100 for name in names)
    again = mtmeta("export", file, "--to", "csv", cwd=tmp_path)
    assert again.returncode == 2
    assert "--force" in again.stderr
    printed = mtmeta("export", file, "--to", "csv", "--out", "-", cwd=tmp_path)
    assert printed.stdout == (tmp_path / "icu-anxiety.csv").read_text(encoding="utf-8")
    assert mtmeta("export", file, "--to", "spss", cwd=tmp_path).returncode == 2
    back = mtmeta("import", "icu-anxiety.csv", "--to", "again", cwd=tmp_path)
    assert back.returncode == 0, back.stdout
    assert mtmeta("check", "again", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("measure", ["SMD", "MD", "OR"])
def test_all_records_there_and_back(tmp_path: Path, measure: str) -> None:
    """Every row that has an effect of the measure, whatever question it belongs to."""
    run = run_analysis(
        question(measure, select={"rule": "separate", "constructs": []}), read_studies(data_folder("studies"))
    )
    (tmp_path / "t.csv").write_text(export.to_csv(run), encoding="utf-8")
    found = import_file(tmp_path / "t.csv")
    assert found.not_read == ()
    rows, left = computed_rows(select_rows(found.studies, Query(rule="separate")), measure=measure)
    assert left == ()
    assert run.effects.columns is not None
    names = list(zip(run.effects.study, run.effects.columns["outcome"], strict=True))
    back = {(c.row.study.id, c.row.outcome.id): (c.yi, c.vi) for c in rows}
    assert set(back) == set(names)
    for name, y, v in zip(names, run.effects.yi, run.effects.vi, strict=True):
        assert back[name] == (pytest.approx(y, rel=1e-13), pytest.approx(v, rel=1e-13)), name
