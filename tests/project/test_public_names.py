"""The public names: one table, one stub, both complete, light to import and explained."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mtmeta

PACKAGE = Path(mtmeta.__file__).parent
HEAVY = (
    "scipy",
    "pandas",
    "matplotlib",
    "pydantic",
    "pymc",
    "arviz",
    "numba",
    "yaml",
    "typer",
    "rich",
    "formulaic",
)


def stub() -> dict[str, str]:
    """Return ``{public name: module}`` as ``__init__.pyi`` declares them; its own map to the root."""
    found = {}
    for node in ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, (
                    f"write `{alias.name} as {alias.name}`: else it is not re-exported"
                )
                found[alias.name] = "." * node.level + (node.module or "")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = "mtmeta"
    return found


STUB = {name: module for name, module in stub().items() if not name.startswith("__")}
PUBLIC = sorted(name for name in mtmeta.__all__ if not name.startswith("__"))


def in_a_new_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_table_and_stub_agree() -> None:
    assert sorted(STUB) == PUBLIC


def test_dir_lists_every_public_name() -> None:
    assert set(PUBLIC) <= set(dir(mtmeta))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_what_the_stub_says(name: str) -> None:
    if STUB[name] != "mtmeta":
        module = importlib.import_module(STUB[name], package="mtmeta")
        assert getattr(mtmeta, name) is getattr(module, name)
    else:
        assert hasattr(mtmeta, name)


def test_importing_the_package_is_light() -> None:
    loaded = in_a_new_python(f"import sys, mtmeta; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert loaded == "[]"


def test_the_package_is_the_installed_one() -> None:
    """Not the folder that happens to be the working directory."""
    assert (
        in_a_new_python("import sys; sys.path.remove(''); import mtmeta; print(mtmeta.__name__)") == "mtmeta"
    )


# ---- explanations ----


def sections(documentation: str) -> dict[str, str]:
    """Split a numpydoc docstring into ``{heading: body}``."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", documentation, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def described(section: str) -> set[str]:
    """Names a Parameters or Attributes section explains: ``a, b : type`` at the margin."""
    names: set[str] = set()
    for line in section.splitlines():
        if line and not line[0].isspace():
            names |= {name.strip().lstrip("*") for name in line.split(":")[0].split(",")}
    return names


def callables() -> list[str]:
    """Public functions and classes, save errors, which their one sentence explains."""
    return [
        name
        for name in PUBLIC
        if (inspect.isclass(value := getattr(mtmeta, name)) and not issubclass(value, Exception))
        or inspect.isfunction(value)
    ]


def own_words(value: object) -> str:
    """Return the docstring, with those of a class's own methods: a result shows itself where it is asked."""
    texts = [inspect.getdoc(value) or ""]
    if inspect.isclass(value):
        for name, member in vars(value).items():
            if not name.startswith("_"):
                member = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
                if inspect.isfunction(member) or isinstance(member, property):
                    texts.append(inspect.getdoc(member) or "")
    return "\n".join(texts)


@pytest.mark.parametrize("name", callables())
def test_a_public_thing_explains_every_parameter_and_shows_an_example(name: str) -> None:
    value = getattr(mtmeta, name)
    documentation = inspect.getdoc(value)
    assert documentation, f"{name} has no docstring"
    found = sections(documentation)
    told = described(found.get("Parameters", "") + "\n" + found.get("Attributes", ""))
    for base in value.__mro__[1:] if inspect.isclass(value) else ():
        # what a family of classes has in common is told once, by their base
        if base.__module__.startswith("mtmeta."):
            shared = sections(inspect.getdoc(base) or "")
            told |= described(shared.get("Parameters", "") + "\n" + shared.get("Attributes", ""))
    is_record = hasattr(value, "model_fields")  # its fields are told by the committed JSON Schema
    asked = set() if is_record else {p for p in inspect.signature(value).parameters if not p.startswith("_")}
    assert asked - told == set(), f"{name}: parameters without a word"
    if inspect.isfunction(value) and inspect.signature(value).return_annotation not in (None, "None"):
        assert found.keys() & {"Returns", "Yields"}, f"{name}: what does it return?"
    assert ">>> " in own_words(value), f"{name}: no example"
