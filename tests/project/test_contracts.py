"""The import contracts hold, and each is shown to bite: an import planted in a copy must break it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]

# contract, the module that sins, its sin. Layers: every layer looks at the one above it.
LAYERS = [name.strip("()") for name in CONTRACTS[0]["layers"]]
PLANTED = [
    *(
        pytest.param("layers", lower, f"import mtmeta.{upper}", id=f"{lower} looks up at {upper}")
        for upper, lower in pairwise(LAYERS)
    ),
    pytest.param("layers", "models", "from mtmeta.audit import thing", id="models look up three layers"),
    pytest.param("layers", "stray", "", id="a new module has no layer"),
    pytest.param("acyclic", "effects.table", "import mtmeta.effects.compute", id="a cycle inside effects"),
    pytest.param("root", "reports", "import mtmeta", id="import the root"),
    pytest.param("root", "figures", "from mtmeta import forest", id="import a public name from the root"),
    pytest.param("root", "models", "from .. import SMD", id="import a public name relatively"),
    pytest.param(
        "root", "models", "def late():\n    from mtmeta import SMD", id="import the root inside a function"
    ),
    pytest.param("models", "models", "import pydantic", id="models import pydantic"),
    pytest.param("models", "models", "import matplotlib.pyplot as plt", id="models import matplotlib"),
    pytest.param("models", "models", "from mtmeta.records import schema", id="models import records"),
    pytest.param(
        "models", "diagnostics", "import mtmeta.effects.compute", id="diagnostics import the bridge"
    ),
    pytest.param("models", "measures", "import yaml", id="models import yaml by way of measures"),
    pytest.param("files", "models", "from pathlib import Path", id="models import pathlib"),
    pytest.param("files", "effects.table", "import csv", id="the effect table imports csv"),
    pytest.param("calculators", "effects.continuous", "import pandas", id="a calculator imports pandas"),
    pytest.param(
        "calculators", "effects.binary", "import mtmeta.effects.table", id="a calculator imports the table"
    ),
    pytest.param(
        "calculators", "effects.recover", "import mtmeta.records.schema", id="a calculator imports records"
    ),
    pytest.param(
        "calculators", "effects.new", "import mtmeta.records.schema", id="a new module of effects does"
    ),
    pytest.param("layout", "figures.layout", "import matplotlib.ticker", id="a layout imports matplotlib"),
    pytest.param("layout", "figures.layout", "import mtmeta.figures.draw", id="a layout imports the drawing"),
]


def lint(project: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    chosen = [part for name in contracts for part in ("--contract", name)]
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache", *chosen],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source tree alone, without compiled files, to be spoiled."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_tree_as_it_stands_keeps_every_contract(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in done.stdout


@pytest.mark.parametrize(("contract", "module", "sin"), PLANTED)
def test_a_planted_violation_breaks_its_contract(copy: Path, contract: str, module: str, sin: str) -> None:
    base = copy / "src" / "mtmeta" / module.replace(".", "/")
    sinner = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    with sinner.open("a", encoding="utf-8") as stream:
        stream.write(f"\n{sin}\n")
    done = lint(copy, contract)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Contracts: 0 kept, 1 broken." in done.stdout, done.stdout + done.stderr


def test_every_contract_has_a_planted_violation() -> None:
    assert {contract["id"] for contract in CONTRACTS} == {case.values[0] for case in PLANTED}
