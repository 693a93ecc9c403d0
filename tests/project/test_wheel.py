"""The wheel does the main job alone: outside the tree, with what it declares and no more."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.wheel, pytest.mark.xdist_group("wheel")]


def run(*command: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


def declared(wheel: Path) -> set[str]:
    """Names of what the wheel requires, and what that requires in turn."""
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(inside).decode("utf-8")
    todo = re.findall(r"^Requires-Dist: (.+)$", text, flags=re.MULTILINE)
    found: set[str] = set()
    while todo:
        requirement = Requirement(todo.pop())
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        todo += metadata.requires(name) or []
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel, and with links to exactly the packages it declares: no network."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    for name in sorted(declared(wheel)):
        distribution = metadata.distribution(name)
        here = Path(str(distribution.locate_file("")))
        entries = {
            file.parts[0] for file in distribution.files or () if file.parts[0] not in {"..", "__pycache__"}
        }
        for entry in entries:
            if not (packages / entry).exists():
                (packages / entry).symlink_to(here / entry)
    run(
        folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=folder
    )
    return folder / "bin"


@pytest.fixture
def outside(environment: Path, tmp_path: Path) -> Path:
    where = run(environment / "python", "-c", "import mtmeta; print(mtmeta.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(environment.parent), "this is not the wheel's copy"
    return tmp_path


def test_it_carries_the_package_the_records_and_the_licence_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        information = {name.split("/", 1)[1] for name in archive.namelist() if ".dist-info/" in name}
    source = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src/mtmeta").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    data = {
        f"mtmeta/_data/{path.relative_to(ROOT)}"
        for folder in ("studies", "analyses")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    assert {"mtmeta/py.typed", "mtmeta/__init__.pyi"} <= names
    assert names == source | data
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= information


def test_the_command_line_answers(environment: Path, outside: Path) -> None:
    assert "mtmeta" in run(environment / "mtmeta", "--help", cwd=outside)
    version = re.search(
        r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), flags=re.MULTILINE
    )
    assert version is not None
    assert version[1] in run(environment / "mtmeta", "--version", cwd=outside)


def test_the_main_job_runs_on_the_shipped_records(environment: Path, outside: Path) -> None:
    answer = json.loads(run(environment / "mtmeta", "run", "--demo", "--json", cwd=outside))
    names = {path.stem for path in (ROOT / "analyses").glob("*.yaml") if path.name != "claims.yaml"}
    assert {analysis["name"] for analysis in answer} == names
    drawn = {path.name for path in (outside / "mtmeta-demo").iterdir()}
    for name in names:
        assert {f"{name}.svg", f"{name}.pdf", f"{name}.png", f"{name}.lock.json"} <= drawn


def test_the_example_records_are_there(environment: Path, outside: Path) -> None:
    code = "import mtmeta as mt; print(len(mt.example_studies('cardiac')))"
    records = len(list((ROOT / "studies/cardiac").glob("*.yaml")))
    assert int(run(environment / "python", "-c", code, cwd=outside)) >= records > 0


def test_every_public_name_resolves(environment: Path, outside: Path) -> None:
    code = "import mtmeta as mt; print(all(hasattr(mt, name) for name in mt.__all__))"
    assert run(environment / "python", "-W", "error", "-c", code, cwd=outside).strip() == "True"
