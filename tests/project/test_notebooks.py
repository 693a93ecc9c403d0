"""The notebooks are their scripts, hold no outputs and no typed results, and run."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "analyses" / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
SECONDS = 60

# What prose may hold: years, sections, volumes and pages of citations, DOIs, code, levels of confidence.
CITATION = re.compile(
    r"`[^`]*`|CD\d+(\.pub\d+)?|10\.\d{4,}/\S+|sections? [\d.]+|eqs?\. [\d.a-e]+|BMJ \d+:d\d+|"
    r"\b[A-Z][A-Za-z]+( [A-Z][A-Za-z]*)* \d+(\(\d+\))?(:\d+)?|\b(19|20)\d\d\b|95%|"
    r"\b(1|5|10)%|version 6|[Nn]otebook \d+|k = 3"
)


def cells(script: Path) -> list[tuple[str, str]]:
    """Kind and text of each cell of a percent script."""
    parts = re.split(r"^# %%(.*)\n", script.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return [
        ("markdown" if "[markdown]" in head else "code", body)
        for head, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def prose(script: Path) -> list[str]:
    """Markdown, and the typed parts of sentences that code shows."""
    found = []
    for kind, body in cells(script):
        if kind == "markdown":
            found += [re.sub(r"^# ?", "", line) for line in body.splitlines()]
            continue
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                found += [
                    part.value
                    for argument in node.args
                    for part in ast.walk(argument)
                    if isinstance(part, ast.Constant)
                    and isinstance(part.value, str)
                    and not _format(part, argument)
                ]
    return found


def _format(part: ast.Constant, inside: ast.AST) -> bool:
    """Whether a constant is a format, such as .2f, and no text."""
    specs = [n.format_spec for n in ast.walk(inside) if isinstance(n, ast.FormattedValue) and n.format_spec]
    return any(part is piece for spec in specs for piece in ast.walk(spec))


def results_in(text: str) -> list[str]:
    """Numbers that look like a result: decimals, percentages, k = 5, P = 0.03."""
    bare = CITATION.sub("", text)
    return re.findall(r"\d+\.\d+|\d+ ?%|\b[knPpgd] ?[=<] ?\d+|[−-]\d+", bare)


def tool() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks_tool", ROOT / "tools" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_notebooks_of_the_course_are_there() -> None:
    numbers = [int(path.name[:2]) for path in SCRIPTS]
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(range(1, 13))
    assert {p.stem for p in SCRIPTS} == {p.stem for p in FOLDER.glob("*.ipynb")}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_outputs_are_cleared(script: Path) -> None:
    notebook = json.loads(script.with_suffix(".ipynb").read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_no_result_is_typed_into_prose(script: Path) -> None:
    typed = [(found, text) for text in prose(script) for found in results_in(text)]
    assert typed == []


@pytest.mark.parametrize(
    "text", ["The mean is -0.71.", "I² was 81%.", "with k = 5 trials", "P < 0.05 here", "fell by −2 points"]
)
def test_a_typed_result_would_be_found(text: str) -> None:
    assert results_in(text)


@pytest.mark.extra
@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_the_notebook_is_its_script(script: Path) -> None:
    assert script.with_suffix(".ipynb").read_text("utf-8") == tool().text_of(script), (
        "run python tools/notebooks.py"
    )


@pytest.mark.extra
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_the_notebook_runs(script: Path, tmp_path: Path) -> None:
    notebooks = tool()
    done = notebooks.execute(script, folder=tmp_path, timeout=SECONDS)
    assert notebooks.errors_in_widgets(done) == []
    assert list(tmp_path.iterdir()) == [], "a notebook leaves no files"
    assert notebooks.images(done), "no figure"
