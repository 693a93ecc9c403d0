"""The scale library: sourced, unambiguous where a record names an instrument, agreeing with the records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mtmeta.errors import RecordError
from mtmeta.records.folder import read_studies
from mtmeta.records.locate import data_folder
from mtmeta.records.scales import _Library, scale_of, scales
from mtmeta.records.yamltext import load_model

ASKED = [
    *("BDI", "BDI-II", "HAM-D", "MADRS", "HADS-A", "HADS-D", "GDS", "CSDD", "PHQ-9", "STAI-S", "STAI-T"),
    *(
        "VAS anxiety",
        "VAS pain",
        "NRS",
        "POMS",
        "PANSS",
        "SANS",
        "SAPS",
        "BPRS",
        "GAF",
        "SDSS",
        "PSQI",
        "ISI",
    ),
    *("NPI", "CMAI", "heart rate", "systolic pressure", "diastolic pressure", "mean arterial pressure"),
    *("respiratory rate", "SpO2", "cortisol"),
]


@pytest.mark.parametrize("name", ASKED)
def test_each_scale_asked_for_is_there(name: str) -> None:
    scale = scale_of(name)
    assert scale is not None
    assert scale.source
    assert scale.better in ("lower", "higher")


def test_ids_are_unique_and_names_with_constructs_unambiguous() -> None:
    ids = [scale.id for scale in scales()]
    assert len(set(ids)) == len(ids)
    for scale in scales():
        for name in (scale.id, scale.name, *scale.aliases):
            for construct in scale.constructs:
                assert scale_of(name, construct) is scale, (name, construct)


def test_spelling_does_not_count() -> None:
    assert scale_of("stai s") is scale_of("STAI-S") is scale_of("Stai–S")
    assert scale_of("montgomery åsberg depression rating scale") is scale_of("MADRS")


def test_nothing_is_guessed() -> None:
    assert scale_of("HADS") is None
    assert scale_of("HADS", "pain") is None
    assert scale_of("mmHg") is None
    assert scale_of("mmHg", "systolic pressure") is scale_of("SBP")
    assert scale_of("a scale of our own") is None
    assert scale_of("") is None
    assert scale_of(None) is None
    assert scale_of(None, "anxiety") is None
    assert scale_of(None, "heart rate") is scale_of("bpm")


def test_a_range_is_what_its_items_say() -> None:
    """Items times points: 20 items scored 1 to 4 give 20 to 80."""
    checked = 0
    for scale in scales():
        match = re.match(r"(\d+) items? scored (\d+) to (\d+)", scale.items or "")
        if match and scale.range is not None:
            count, low, high = map(int, match.groups())
            assert scale.range == (count * low, count * high), scale.id
            checked += 1
    assert checked >= 20


def test_a_difference_that_matters_fits_into_the_range() -> None:
    for scale in scales():
        if scale.mid is not None and scale.mid.value is not None and scale.range is not None:
            assert scale.mid.value < (scale.range[1] - scale.range[0]) / 4, scale.id


def test_records_and_library_agree_on_the_good_end() -> None:
    known = 0
    for study in read_studies(data_folder("studies")):
        for outcome in study.outcomes:
            scale = scale_of(outcome.instrument, outcome.construct_)
            if scale is not None and scale.better is not None:
                known += 1
                assert outcome.better in (None, scale.better), (study.id, outcome.id, scale.id)
    assert known > 250


def test_a_wrong_library_is_refused_with_its_line(tmp_path: Path) -> None:
    text = """\
schema: 1
scales:
  - id: a
    name: A
    constructs: [anxiety]
    range: [80, 20]
    aliases: [A]
    source: somebody
  - id: b
    name: B
    constructs: [anxiety]
    aliases: [B]
    source: somebody
    mid: {population: all, source: somebody}
"""
    path = tmp_path / "scales.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError) as caught:
        load_model(path, _Library, root=tmp_path)
    assert [str(problem) for problem in caught.value.problems] == [
        "scales.yaml:6: scales.0.range: does not rise; write [lowest, highest]",
        "scales.yaml:14: scales.1.mid: needs either value or percent_of_baseline",
    ]
