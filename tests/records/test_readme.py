"""The tables of studies/README.md are those of the records, and text from a record cannot break them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import Study

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("studies_table", ROOT / "tools" / "studies_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_up_to_date(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["--check"]) == 0, "run python tools/studies_table.py"
    assert "up to date" in capsys.readouterr().out
    assert tool.main(["--help"]) == 2


def test_every_trial_stands_under_each_of_its_conditions(tool: ModuleType) -> None:
    folder = data_folder("studies")
    studies = read_studies(folder, root=folder)
    text = tool.tables(studies)
    for study, path in zip(studies, studies.paths, strict=True):
        assert text.count(f"]({path}) |") == len(study.conditions)
    summary = next(line for line in text.splitlines() if line.startswith("| **all** |"))
    cells = [cell.strip() for cell in summary.split("|")]
    assert cells[2] == str(len(studies))
    assert cells[4] == str(sum(len(study.outcomes) for study in studies))


def test_record_text_is_escaped(tool: ModuleType) -> None:
    raw = {key: {} for key in ("citation", "design", "population", "intervention", "comparator")}
    raw |= {"schema": 1, "id": "a", "label": "A|B <script> [x](y) *", "conditions": ["icu"], "outcomes": []}
    line = next(
        x for x in tool.tables(Studies.of([Study.model_validate(raw)])).splitlines() if x.startswith("| [A")
    )
    assert line == r"| [A\|B &lt;script&gt; \[x\](y) \*]() |  |  |  |  |"


def test_text_outside_the_markers_stays(tool: ModuleType) -> None:
    text = f"before\n{tool.BEGIN}\nold\n{tool.END}\nafter\n"
    assert tool.updated(text, "new\n") == f"before\n{tool.BEGIN}\n\nnew\n\n{tool.END}\nafter\n"
    for broken in ("no markers", f"{tool.BEGIN} only", f"{tool.END}\n{tool.BEGIN}", text + text):
        with pytest.raises(ValueError, match="once each"):
            tool.updated(broken, "new")
