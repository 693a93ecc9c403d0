"""README.md is true: its table is what a run gives, its Python runs, its commands and links exist."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def tool(name: str) -> ModuleType:
    """Load a script of tools/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_a_run_gives() -> None:
    assert tool("readme_table").with_table(TEXT) == TEXT, "run python tools/readme_table.py"


def test_speed_is_told_as_it_was_measured() -> None:
    made = tool("benchmark_tables")
    numbers = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    assert made.with_table(TEXT, numbers["cases"]) == TEXT, "run python tools/benchmark_tables.py"
    assert made.document(numbers) == (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")


def test_the_python_example_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert code is not None
    said = re.findall(r"print\((.+)\)\s+# (.+)", code.group(1))
    program = code.group(1).replace('"studies"', repr(str(ROOT / "studies")))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)
    for expression, printed in said:
        if not printed.startswith("the "):
            assert str(eval(expression, names)) == printed
    assert (tmp_path / "icu-anxiety.svg").is_file()


def test_every_command_it_names_exists() -> None:
    from mtmeta.cli.app import app

    known = {c.callback.__name__.rstrip("_") for c in app.registered_commands if c.callback is not None}
    named = set(re.findall(r"^\| `mtmeta ([a-z]+)", TEXT, flags=re.MULTILINE))
    assert named
    assert named <= known


def test_every_file_it_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert [x for x in links if not x.startswith("http") and not (ROOT / x).exists()] == []
