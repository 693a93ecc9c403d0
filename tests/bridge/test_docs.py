"""The page of routes says what the routes do."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from mtmeta.records.schema import Data

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_routes", ROOT / "tools" / "record_routes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(tool: ModuleType) -> None:
    old = (ROOT / "docs" / "record-routes.md").read_text(encoding="utf-8")
    assert tool.page(old) == old, "run python tools/record_routes.py"


def test_every_kind_of_data_stands_in_the_table(tool: ModuleType) -> None:
    union = get_args(Data)[0]
    kinds = {get_args(model.model_fields["kind"].annotation)[0] for model in get_args(union)}
    assert {row[1]["kind"] for row in tool.ROWS} == kinds


def test_the_tool_tells_an_old_page(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "record-routes.md"
    page.write_text(f"# Head\n\n{tool.BEGIN}\nold\n{tool.END}\n", encoding="utf-8")
    monkeypatch.setattr(tool, "PATH", page)
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0
    assert page.read_text(encoding="utf-8").startswith("# Head\n")
    assert tool.main(["--nonsense"]) == 2


def test_the_tool_runs_from_anywhere(tmp_path: Path) -> None:
    script = str(ROOT / "tools" / "record_routes.py")
    done = subprocess.run(
        [sys.executable, script, "--check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
