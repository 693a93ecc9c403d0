"""``why``: the chain from the line of a record to the pooled estimate, and its calculation by hand."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_trials import ROUTES, trial
from scipy import special, stats

from mtmeta.audit.analysis import Analysis
from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.errors import AnalysisError, UsageError
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import Study
from mtmeta.reports.why import why

# ---- a pocket calculator that knows nothing of mtmeta ----

_NUMBER = re.compile(r"^−?\d+(\.\d+)?$")
_LINE = re.compile(r"^\s*(?:[A-Za-z]\w* )?= (?P<formula>.+)$")


def small_sample(m: float) -> float:
    return math.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / math.sqrt(m / 2)


TABLES = {
    "sqrt": math.sqrt,
    "ln": math.log,
    "exp": math.exp,
    "abs": abs,
    "max": max,
    "J": small_sample,
    "t": lambda p, df: float(stats.t.ppf(p, df)),
    "z": lambda p: float(stats.norm.ppf(p)),
}


def calculator(formula: str) -> float:
    """Compute a line of digits as printed."""
    text = formula.replace("−", "-").replace("×", "*").replace("^", "**").replace(";", ",")
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    text = re.sub(r"√(\d+(?:\.\d+)?)", r"sqrt(\1)", text).replace("√", "sqrt").replace("²", "**2")
    assert not re.search(r"[^\d\s.+\-*/(),a-zJ]", text), f"no calculator has {text!r}"
    return float(eval(text, {"__builtins__": {}}, TABLES))


def value_of(text: str) -> float:
    return float(text.replace("−", "-"))


def lines_with_results(sheet: str) -> Iterator[tuple[str, str]]:
    """Find every line of digits and the result printed for it, on the same line or the next."""
    lines = sheet.splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        text = re.sub(r"   \S.*$", "", line.strip()) if " = " in line and line.startswith("   ") else ""
        parts = text.split(" = ") if text else []
        if len(parts) == 3 and _NUMBER.match(parts[2]):
            yield parts[1], parts[2]
        match, result = _LINE.match(line), _LINE.match(after)
        if not (match and result and _NUMBER.match(result["formula"])) or _NUMBER.match(match["formula"]):
            continue
        without_functions = re.sub(r"\b(?:exp|ln|max|J|t|z)\(", "(", match["formula"])
        if line.strip().startswith("= ") or not re.search(r"[A-Za-z]", without_functions):
            yield match["formula"], result["formula"]


def check_by_calculator(sheet: str) -> int:
    """Hold every line to its printed digits; tell how many there were."""
    seen = 0
    for formula, result in lines_with_results(sheet):
        got, printed = calculator(formula), value_of(result)
        assert f"{got:.6g}" == f"{printed:.6g}", f"{formula} is {got}, printed {result}"
        seen += 1
    return seen


def numbered_steps(sheet: str) -> int:
    return len(re.findall(r"^\d+\. ", sheet, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def records() -> Studies:
    return read_studies(data_folder("studies"))


@pytest.fixture(scope="module")
def runs(records: Studies) -> dict[str, AnalysisRun]:
    named = read_analyses([data_folder("analyses")])
    return {item.analysis.name: run_analysis(item.analysis, records) for item in named}


# ---- the shipped records ----


def test_every_pooled_trial_of_every_analysis_can_be_computed_again(runs: dict[str, AnalysisRun]) -> None:
    for run in runs.values():
        seen = set()
        for study in dict.fromkeys(run.effects.study):
            chain = why(run, study)
            seen |= set(chain.positions)
            for i in chain.positions:
                assert f"{chain.result.weights[i] * 100:.2f}%" in str(chain)
            if len(chain.rows) == 1:
                (position,) = chain.positions
                assert chain.rows[0].computed.yi == pytest.approx(run.effects.yi[position], rel=1e-12)
                assert chain.rows[0].computed.vi == pytest.approx(run.effects.vi[position], rel=1e-12)
        assert seen == set(range(run.effects.k))


def test_a_pocket_calculator_reproduces_every_line(runs: dict[str, AnalysisRun]) -> None:
    for run in runs.values():
        study = run.effects.study[0]
        sheet = why(run, study).hand()
        assert check_by_calculator(sheet) >= max(
            numbered_steps(sheet) - 2, 5
        )  # but copies of printed numbers
        end = re.search(r"pooled (\S+) \[(\S+), (\S+)\]$", sheet)
        assert end is not None
        for symbol, printed in zip(("mu", "low", "high"), end.groups(), strict=True):
            block = re.search(
                rf"^   {symbol} = .*\n(?:.* = .*\n)*?\s+= (−?[\d.]+)\n(?!\s+=)", sheet + "\n", re.MULTILINE
            )
            assert block is not None
            assert value_of(block[1]) == pytest.approx(value_of(printed), rel=2e-4, abs=2e-5)


def test_the_chain_names_file_and_line(runs: dict[str, AnalysisRun], records: Studies) -> None:
    chain = why(runs["cardiac-stai-mi"], "white-1999")
    row = chain.rows[0]
    lines = Path(row.path).read_text(encoding="utf-8").splitlines()
    assert "id: stai" in lines[row.line - 1]
    text = str(chain)
    for part in ("record", "printed", "source", "route", "formulas", "effect", "weight", "pooled"):
        assert re.search(rf"^{part}\b", text, re.MULTILINE), part
    assert f"{row.path}:{row.line}" in text
    assert "-2.664571" in text
    assert "CD006577.pub3" in text
    assert "SMD -2.66 [-3.65, -1.68]" in text
    assert repr(chain).startswith("Why(white-1999 in cardiac-stai-mi: SMD -2.66")
    assert "\n" not in repr(chain)


def test_what_is_not_pooled_says_why(runs: dict[str, AnalysisRun]) -> None:
    chain = why(runs["cardiac-depression"], "hermele-2005")
    assert chain.rows == ()
    assert chain.weight == 0
    assert "the same trial as stein-2010" in str(chain)
    assert "not pooled" in repr(chain)
    with pytest.raises(UsageError, match="nothing to compute"):
        chain.hand()
    assert chain.to_dict()["pooled"] is False


def test_flags_of_the_record_are_told(runs: dict[str, AnalysisRun]) -> None:
    chain = why(runs["cardiac-anxiety"], "white-1999")
    assert "labels-swapped" in str(chain)
    assert "corrected:" in str(chain)


def test_unknown_trials_get_the_nearest(runs: dict[str, AnalysisRun]) -> None:
    with pytest.raises(UsageError, match="did you mean white-1999"):
        why(runs["cardiac-anxiety"], "whyte-1999")
    with pytest.raises(UsageError, match="does not look at gold-2013"):
        why(runs["cardiac-anxiety"], "gold-2013")


def test_from_an_analysis_its_file_or_its_run(runs: dict[str, AnalysisRun], records: Studies) -> None:
    path = data_folder("analyses") / "cardiac-stai-mi.yaml"
    item = read_analyses([path])[0]
    chains = [
        why(runs["cardiac-stai-mi"], "white-1999"),
        why(path, "white-1999"),
        why(str(path), "white-1999"),
        why(item, "white-1999"),
        why(item.analysis, "white-1999", studies=records),
    ]
    assert len({str(c) for c in chains}) == 1
    with pytest.raises(UsageError, match="studies="):
        why(item.analysis, "white-1999")
    with pytest.raises(UsageError, match="not int"):
        why(7, "white-1999")  # type: ignore[arg-type]


# ---- made-up trials: rows that become one, ratios, models ----


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
        "control": {"n": n + 3, "mean": 8.5, "se": 0.55},
    }


def six() -> list[Study]:
    values = [(10.0, 2.0, 20), (9.1, 2.2, 31), (7.2, 1.9, 18), (8.8, 2.5, 44), (9.9, 3.0, 25), (7.9, 2.1, 29)]
    return [trial({"data": means(*v)}, id=f"made-{i}", label=f"Made {i}") for i, v in enumerate(values, 2001)]


MODELS: list[dict[str, Any]] = [
    {"kind": "common"},
    {"tau2": "DL", "ci": "Wald"},
    {"tau2": "REML", "ci": "HKSJ"},
    {"tau2": "ML", "ci": "HKSJ-floor"},
    {"tau2": "PM", "ci": "auto"},
    {"tau2": "SJ", "ci": "HKSJ", "level": 0.9},
    {"tau2": "REML", "variance": "RevMan"},
    {"tau2": "REML", "variance": "UB"},
    {"tau2": "REML", "variance": "AV"},
    {"tau2": "REML", "variance": "LS2"},
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: " ".join(map(str, m.values())))
@pytest.mark.parametrize("measure", ["SMD", "MD", "ROM", "SMDH", "SMD1"])
def test_every_model_by_hand(model: dict[str, Any], measure: str) -> None:
    if model.get("variance", "LS") != "LS" and measure != "SMD":
        model = {**model, "variance": "LS"}
    chain = why(question(measure, model=model), "made-2003", studies=six())
    sheet = chain.hand()
    assert check_by_calculator(sheet) >= numbered_steps(sheet) - 1
    mean = re.findall(r"^\s+= (−?[\d.]+)$", sheet, re.MULTILINE)
    assert any(value_of(x) == pytest.approx(chain.result.estimate, rel=1e-4) for x in mean)
    if chain.result.tau2 > 0 and model.get("tau2") in ("REML", "ML"):
        found = re.search(r"check = .*\n.*\n\s+= ([\d.]+)", sheet)
        assert found is not None
        assert float(found[1]) == pytest.approx(chain.result.tau2, rel=2e-4)


def test_ratios_are_read_back() -> None:
    def events(a: int, c: int) -> dict[str, Any]:
        return {"kind": "events", "music": {"events": a, "n": 30}, "control": {"events": c, "n": 31}}

    studies = [
        trial({"data": events(*v)}, id=f"made-{i}") for i, v in enumerate([(4, 9), (0, 5), (7, 8)], 2001)
    ]
    for measure in ("OR", "RR", "RD", "PETO"):
        chain = why(question(measure), "made-2002", studies=studies)
        sheet = chain.hand()
        assert check_by_calculator(sheet) > 10
        assert "½" in str(chain)
        if measure != "RD":
            estimate = math.exp(chain.result.estimate)
            assert f"{measure} {estimate:.2f}" in str(chain)
            found = re.search(r"Rmu = exp\(mu\)\n.*\n\s+= ([\d.]+)", sheet)
            assert found is not None
            assert float(found[1]) == pytest.approx(estimate, rel=1e-4)


@pytest.mark.parametrize(("data", "more"), [r[1:] for r in ROUTES], ids=[r[0] for r in ROUTES])
def test_every_route_by_hand(data: dict[str, Any], more: dict[str, Any]) -> None:
    design = {k: v for k, v in more.items() if k == "design"}
    outcome = {"data": data, **{k: v for k, v in more.items() if k != "design"}}
    study = trial(outcome, id="made-2001", label="Made 2001", **design)
    seen = 0
    for measure in ("SMD", "MD", "ROM", "OR", "RR", "RD", "IRR", "HR", "ZCOR"):
        for routes in ({}, {"arms": "split control"}, {"arms": "separate"}, {"quantiles": "Wan"}):
            try:
                asked = question(
                    measure, select={"rule": "separate"}, model={"kind": "common"}, routes=routes
                )
                chain = why(asked, "made-2001", studies=[study])
            except AnalysisError:
                continue
            sheet = chain.hand()
            assert check_by_calculator(sheet) >= 3
            found = re.search(r"effect (\S+), variance (\S+), weight", sheet)
            assert found is not None
            results = [value_of(x) for x in re.findall(r"= (−?[\d.]+)$", sheet, re.MULTILINE)]
            for printed in found.groups():
                exact = value_of(printed.rstrip(","))
                assert any(x == pytest.approx(exact, rel=1e-4, abs=1e-6) for x in results), measure
            seen += 1
    # one group alone is no contrast, and has an effect only as a mean change
    assert seen or data["kind"] == "one group"


def test_rows_that_become_their_mean() -> None:
    two = trial({"data": means(10.0, 2.0, 20)}, {"data": means(9.0, 2.0, 20)}, id="two-2010")
    chain = why(question(select={"rule": "mean", "rho": 0.5}), "two-2010", studies=[two, *six()])
    assert len(chain.rows) == 2
    assert len(chain.positions) == 1
    assert chain.averaged is not None
    sheet = chain.hand()
    assert check_by_calculator(sheet) >= numbered_steps(sheet) - 1
    assert "mean of the rows" in sheet


def test_rows_kept_apart_each_have_their_weight() -> None:
    two = trial({"data": means(10.0, 2.0, 20)}, {"data": means(9.0, 2.0, 20)}, id="two-2010")
    chain = why(question(select={"rule": "separate"}), "two-2010", studies=[two, *six()])
    assert len(chain.positions) == 2
    assert chain.weight == pytest.approx(sum(chain.result.weights[list(chain.positions)]))
    assert str(chain).count("% of the pooled estimate") == 2


# ---- doors ----


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_escapes_whatever_a_record_says() -> None:
    evil = "<script>alert('x')</script><img src=x onerror=y>&"
    outcome = {
        "data": means(10.0, 2.0, 20),
        "instrument": evil,
        "note": evil,
        "source": {"cite": evil, "where": evil},
        "corrected": {"why": evil},
    }
    studies = [
        trial(
            outcome,
            id="evil-2000",
            label=evil,
            flags=[{"about": "outcomes.row-1", "code": "x", "note": evil}],
        )
    ]
    chain = why(question(title=evil), "evil-2000", studies=[*studies, *six()])
    reader = Text()
    reader.feed(chain._repr_html_())
    assert reader.tags == {"table", "caption", "tr", "th", "td", "br"}
    assert reader.text.count("<script>alert('x')</script>") >= 6


def test_why_is_frozen(runs: dict[str, AnalysisRun]) -> None:
    chain = why(runs["cardiac-stai-mi"], "white-1999")
    with pytest.raises(AttributeError):
        chain.rows = ()  # type: ignore[misc]


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
    file = str(data_folder("analyses") / "cardiac-stai-mi.yaml")
    done = mtmeta("why", file, "white-1999", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "white-1999.yaml:" in done.stdout
    told = json.loads(mtmeta("why", file, "white-1999", "--json", cwd=tmp_path).stdout)
    assert {"rows", "effects", "weight", "result", "left_out"} <= set(told)
    assert told["rows"][0]["printed"]["estimate"] == -2.664571
    assert told["rows"][0]["steps"][-1]["value"] == pytest.approx(told["effects"][0]["vi"], rel=1e-9)
    sheet = mtmeta("why", file, "white-1999", "--hand", cwd=tmp_path).stdout
    assert check_by_calculator(sheet) > 10
    wrong = mtmeta("why", file, "whyte-1999", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean" in wrong.stderr
    both = mtmeta("why", file, "white-1999", "--hand", "--json", cwd=tmp_path)
    assert both.returncode == 2
