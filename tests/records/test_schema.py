"""The exported JSON Schema is the schema's, says yes to what reading takes and no to what it refuses."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from mtmeta.audit.analysis import json_schema as analysis_schema
from mtmeta.audit.meanings import MEANINGS as ANALYSIS_MEANINGS
from mtmeta.records.folder import read_studies
from mtmeta.records.locate import data_folder
from mtmeta.records.meanings import MEANINGS
from mtmeta.records.schema import Study, json_schema
from mtmeta.records.write import dump_study

TOOLS = Path(__file__).parents[2] / "tools"
BAD = Path(__file__).parent / "bad"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads((data_folder("studies") / "study.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_committed_file_is_the_schema() -> None:
    text = (data_folder("studies") / "study.schema.json").read_text(encoding="utf-8")
    assert text == tool("study_schema").schema_text(), "run python tools/study_schema.py"
    assert json.loads(text) == json_schema()


def test_it_takes_every_shipped_record(validator: Any) -> None:
    for study in read_studies(data_folder("studies")):
        validator.validate(yaml.safe_load(dump_study(study)))


@pytest.mark.parametrize(
    "name",
    [
        *("unknown-key", "missing-citation", "missing-kind", "unknown-kind", "unknown-condition"),
        *("number-in-quotes", "text-without-quotes", "half-a-person", "count-below-zero", "id-with-capital"),
        *("word-where-a-list-stands", "text-where-a-mapping-stands", "newer-schema", "no-condition"),
        *("three-unordered-sizes", "unknown-tool", "doi-with-address", "label-left-empty"),
    ],
)
def test_it_refuses_what_reading_refuses(validator: Any, name: str) -> None:
    raw = yaml.safe_load((BAD / f"{name}.yaml").read_text(encoding="utf-8"))
    assert not validator.is_valid(raw)


def test_a_study_cannot_be_changed() -> None:
    study = read_studies(data_folder("studies") / "cardiac")[0]
    with pytest.raises(ValueError, match="frozen"):
        study.label = "other"  # type: ignore[misc]


def test_an_outcome_is_found_by_its_id() -> None:
    study = read_studies(data_folder("studies") / "cardiac")["white-1999"]
    outcome = study.outcomes[0]
    assert study.outcome(outcome.id) is outcome
    with pytest.raises(KeyError):
        study.outcome("nothing")
    assert isinstance(study, Study)


def unexplained(schema: dict[str, Any], meanings: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Name keys without a meaning, and meanings of models that are not there."""
    models = {"": schema, **schema["$defs"]}
    empty = [
        f"{name}.{key}"
        for name, model in models.items()
        for key, field in model.get("properties", {}).items()
        if len(field.get("description", "").strip()) < 8
    ]
    return empty + [f"no model {name}" for name in meanings if name not in models]


def test_every_key_says_what_it_means() -> None:
    assert unexplained(json_schema(), MEANINGS) == []
    assert unexplained(analysis_schema(), ANALYSIS_MEANINGS) == []


@pytest.mark.parametrize("page", ["record-format.md", "analysis-format.md"])
def test_no_meaning_is_empty_on_its_page(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert [line for line in rows if re.search(r"\|\s*(Default: `[^`]*`\.)?\s*\|$", line)] == []
