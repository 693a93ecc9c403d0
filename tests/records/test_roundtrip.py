"""Writing and reading give the same record back; reading never raises anything but RecordError."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings, strategies as st

from mtmeta.errors import RecordError
from mtmeta.records.folder import read_studies, read_study
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import Study
from mtmeta.records.write import dump_study, write_study
from mtmeta.records.yamlparse import parse
from mtmeta.records.yamltext import validate

_spec = importlib.util.spec_from_file_location("strategies", Path(__file__).parent / "strategies.py")
assert _spec is not None
assert _spec.loader is not None
strategies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(strategies)

# A failing record is worth its long repr.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
SLOW_DATA = [HealthCheck.too_slow, HealthCheck.data_too_large]
BASE = (Path(__file__).parent / "bad" / "id-not-the-file-name.yaml").read_text(encoding="utf-8")


def read_back(text: str) -> Study:
    study, problems = validate(parse(text), Study, name="x.yaml")
    assert problems == []
    assert study is not None
    return study


@settings(suppress_health_check=SLOW_DATA, deadline=None, max_examples=150)
@given(strategies.STUDIES)
def test_what_is_written_is_read_back(study: Study) -> None:
    text = dump_study(study)
    assert read_back(text) == study
    assert dump_study(read_back(text)) == text


@settings(suppress_health_check=SLOW_DATA, deadline=None, max_examples=60)
@given(strategies.STUDIES)
def test_another_reader_of_yaml_sees_the_same(study: Study) -> None:
    """PyYAML resolves scalars by YAML 1.1: nothing we write may mean something else there."""
    assert Study.model_validate(yaml.safe_load(dump_study(study))) == study


@given(strategies.TEXT)
def test_any_text_survives(text: str) -> None:
    raw = {**yaml.safe_load(BASE), "id": "x", "note": text, "reviews": [text, "b"]}
    study = Study.model_validate(raw)
    assert read_back(dump_study(study)) == study


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e-7)
@example(-0.0)
@example(1e15)
@example(5e-324)
@example(123456.789e300)
def test_any_number_survives(number: float) -> None:
    raw = yaml.safe_load(BASE)
    raw["outcomes"][0]["data"]["control"]["mean"] = number
    study = Study.model_validate(raw)
    text = dump_study(study)
    assert read_back(text).outcomes[0].data.control.mean == number
    assert yaml.safe_load(text)["outcomes"][0]["data"]["control"]["mean"] == number


def never_raises_anything_else(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_bytes(data)
        try:
            read_studies(folder)
        except RecordError as error:
            problems = error.problems
        else:
            return
        assert problems
        assert all("\n" not in str(problem) for problem in problems)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    never_raises_anything_else(data)


YAML_PIECES = st.sampled_from(
    [
        *(
            "a",
            "1",
            ": ",
            ":",
            "- ",
            "\n",
            "\n  ",
            "\n    ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "? ",
            "&x ",
            "*x",
            "<<",
        ),
        *(
            "!!map ",
            "!x ",
            "|\n",
            ">-\n",
            "'",
            '"',
            "#",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "\t",
            "~",
            "NO",
            "1:3",
        ),
        *(
            "schema: 1\n",
            "id: x\n",
            "outcomes:\n",
            "  - id: a\n",
            "    data: {kind: means}\n",
            "\r\n",
            "\\",
            "é",
        ),
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(YAML_PIECES, max_size=40).map("".join))
@example("? [a]\n: b\n")
@example("? {a: b}\n")
@example("- &a [*a, *a]")
@example("*a : b")
@example("&a *b")
@example("!!binary x: 1")
@example("{")
@example("a: 'b")
def test_any_yaml(text: str) -> None:
    never_raises_anything_else(text.encode())


@settings(deadline=None, max_examples=200)
@given(st.integers(0, len(BASE)), st.integers(0, 30), YAML_PIECES | st.text(max_size=5))
def test_any_slip_of_the_hand(start: int, length: int, instead: str) -> None:
    """A valid record with one place overwritten."""
    text = BASE[:start] + instead + BASE[start + length :]
    never_raises_anything_else(text.encode("utf-8", "surrogatepass"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [("id",), ("citation",), ("citation", "authors"), ("design", "arms"), ("outcomes",), ("outcomes", 0)]
PATHS += [
    ("outcomes", 0, "data"),
    ("outcomes", 0, "data", "kind"),
    ("outcomes", 0, "data", "music"),
    ("flags",),
]


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(PATHS), JSON)
def test_any_value_anywhere(path: tuple[str | int, ...], value: object) -> None:
    raw = yaml.safe_load(BASE)
    here = raw
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    never_raises_anything_else(yaml.safe_dump(raw, allow_unicode=True).encode())


def test_shipped_records_stand_as_the_writer_writes_them() -> None:
    """Comment lines apart, each is the canonical text: one order, one form, nothing that is a default."""
    studies = read_studies(data_folder("studies"))
    assert len(studies) > 100
    for study, path in zip(studies, studies.paths, strict=True):
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        assert lines[0] == "# yaml-language-server: $schema=../study.schema.json", path
        assert dump_study(study, schema=None).splitlines() == [
            line for line in lines if not line.lstrip().startswith("#")
        ], path


def test_a_written_study_is_in_its_file(tmp_path: Path) -> None:
    study = read_study(data_folder("studies") / "cardiac" / "white-1999.yaml")
    path = write_study(study, tmp_path / "cardiac")
    assert path == tmp_path / "cardiac" / "white-1999.yaml"
    assert read_study(path) == study
