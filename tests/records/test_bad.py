"""Every fault is reported at its line, under its field, with what to write instead.

``bad/`` holds one fault a file, named by it, and ``bad/expected.txt`` what reading says about each, word by
word (lists of allowed words and keys are cut off there, since they grow).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mtmeta.errors import RecordError
from mtmeta.records.folder import read_studies

BAD = Path(__file__).parent / "bad"
FILES = sorted(path.name for path in BAD.glob("*.yaml"))
EXPECTED = (BAD / "expected.txt").read_text(encoding="utf-8").splitlines()


def expected(name: str) -> list[str]:
    return [line for line in EXPECTED if line.startswith((f"{name}:", f"{name} "))]


def problems(name: str) -> list[str]:
    with pytest.raises(RecordError) as caught:
        read_studies(BAD / name, root=BAD)
    return [str(problem) for problem in caught.value.problems]


def test_there_are_many_and_each_is_expected() -> None:
    assert len(FILES) >= 45
    assert {line.split(":")[0] for line in EXPECTED} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_fault_is_reported(name: str) -> None:
    said, wanted = problems(name), expected(name)
    assert len(said) == len(wanted), said
    for line, begin in zip(said, wanted, strict=True):
        assert line.startswith(begin)


def test_every_problem_of_every_file_at_once() -> None:
    with pytest.raises(RecordError) as caught:
        read_studies(BAD, root=BAD)
    said = {str(problem) for problem in caught.value.problems}
    assert len(said) >= len(EXPECTED)
    for line in EXPECTED:
        assert any(problem.startswith(line) for problem in said), line


def test_files_are_reported_in_order_and_lines_within_them() -> None:
    with pytest.raises(RecordError) as caught:
        read_studies(BAD, root=BAD)
    places = [(problem.path, problem.line) for problem in caught.value.problems]
    assert places == sorted(places)


def test_several_faults_of_one_file_are_all_said(tmp_path: Path) -> None:
    good = (BAD / "unknown-key.yaml").read_text(encoding="utf-8").replace("id: unknown-key", "id: x")
    text = good.replace("[US]", "[NO]").replace("mean: 35", 'mean: "35"').replace("cardiac", "heart")
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError) as caught:
        read_studies(tmp_path)
    assert [(p.line, p.field) for p in caught.value.problems] == [
        (5, "conditions.0"),
        (6, "design.countries.0"),
        (11, "intervention.sesions"),
        (22, "outcomes.0.data.control.mean"),
    ]


def test_a_thousand_faults_do_not_flood(tmp_path: Path) -> None:
    text = (BAD / "unknown-key.yaml").read_text(encoding="utf-8").replace("id: unknown-key", "id: x")
    text = text.replace("[cardiac]", "[" + ", ".join(["heart"] * 1000) + "]")
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError) as caught:
        read_studies(tmp_path)
    assert len(caught.value.problems) == 101
    assert str(caught.value.problems[-1]).endswith("and 901 more problems")
