"""docs/bayes.md: its tables are what is computed now, its Python runs, its analysis keys are read."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from mtmeta.audit.priors import Priors
from mtmeta.measures import measure_of

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "bayes.md").read_text(encoding="utf-8")


def test_tables_are_computed() -> None:
    spec = importlib.util.spec_from_file_location("bayes_tables", ROOT / "tools" / "bayes_tables.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.filled(PAGE) == PAGE, "run python tools/bayes_tables.py"


def test_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert capsys.readouterr().out == ""
    assert "LogStudentT" in repr(names["choice"])


def test_priors_of_the_example_are_read() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for one in yaml.safe_load(text)["bayes"]:
        Priors.model_validate(one).of(measure_of("SMD"))
