"""The integrity hunter: known faults of the shipped records are found unaided, and nothing is hard-wired."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mtmeta.audit.findings import Finding
from mtmeta.audit.hunt import hunt
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.integrity import integrity_problems
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import Study

# what a person found in these records (studies/README.md): trial, code
KNOWN = [
    ("hermele-2005", "duplicate-trial"),
    ("white-1992", "labels-swapped"),
    ("white-1999", "se-as-sd"),
    ("nilsson-2009a", "two-values"),
    ("gold-2013", "sign-contradicts-report"),
    ("mao-2013", "se-as-sd"),
    ("khan-2020-ddm-pilot", "se-as-sd"),
    ("mirbagher-ajorpaz-2014", "p-contradicts-values"),
    ("lichun-2011", "se-as-sd"),
    ("allen-2001", "se-as-sd"),
    ("chang-1996", "se-as-sd"),
    ("kim-2012b", "se-as-sd"),
]


def bare(study: Study, **changes: Any) -> Study:
    """Return a record without flags, corrections and answers."""
    plain = study.model_dump(by_alias=True, exclude_none=True, exclude={"flags", "checked"})
    for outcome in plain["outcomes"]:
        outcome.pop("corrected", None)
    return Study.model_validate(json.loads(json.dumps({**plain, **changes})))


@pytest.fixture(scope="module")
def as_printed() -> Studies:
    return Studies.of(bare(s) for s in read_studies(data_folder("studies")))


@pytest.fixture(scope="module")
def findings(as_printed: Studies) -> list[Finding]:
    return hunt(as_printed)


def trials(finding: Finding) -> set[str]:
    return {i.split("/")[0] for i in finding.ids}


@pytest.mark.parametrize(("trial", "code"), KNOWN)
def test_known_faults_are_found_unaided(findings: list[Finding], trial: str, code: str) -> None:
    found = [f for f in findings if f.code == code and trial in trials(f)]
    assert found
    assert all(f.severity == "suspect" and f.remedy and f.source for f in found)


def test_the_contradicted_sign_is_an_error(as_printed: Studies) -> None:
    codes = {p.code for p in integrity_problems(as_printed["atiwannapat-2016"]) if p.severity == "error"}
    assert "estimate-outside-interval" in codes


def test_suspects_stay_few(as_printed: Studies, findings: list[Finding]) -> None:
    """At most 90 errors and suspects in all records."""
    errors = [p for s in as_printed for p in integrity_problems(s) if p.severity == "error"]
    assert len(errors) + len(findings) <= 90


def test_nothing_is_hard_wired_to_names_or_units(as_printed: Studies, findings: list[Finding]) -> None:
    """Renamed trials in another unit of measurement give the same findings."""
    new = {s.id: f"trial-{i}" for i, s in enumerate(as_printed)}

    def other_unit(data: dict[str, Any]) -> None:
        for name, value in list(data.items()):
            if isinstance(value, dict):
                other_unit(value)
            elif isinstance(value, list):
                for part in value:
                    if isinstance(part, dict):
                        other_unit(part)
            elif (
                name in ("mean", "sd", "se", "ci_low", "ci_high", "median", "q1", "q3") and value is not None
            ):
                data[name] = value * 4.0

    renamed = []
    for study in as_printed:
        plain = json.loads(study.model_dump_json(by_alias=True, exclude_none=True))
        plain["id"] = new[study.id]
        plain["label"] = new[study.id]
        for outcome in plain["outcomes"]:
            if outcome["data"]["kind"] in ("means", "changes", "arms", "quartiles"):
                other_unit(outcome["data"])
        renamed.append(Study.model_validate(plain))
    again = hunt(Studies.of(renamed))
    # whole scores times four are other whole scores: GRIM is the one check that a unit must move
    unit = ("grim", "grimmer")
    before = sorted((f.code, *sorted(new[t] for t in trials(f))) for f in findings if f.code not in unit)
    assert sorted((f.code, *sorted(trials(f))) for f in again if f.code not in unit) == before


def test_flags_make_it_known_and_answers_silence_it() -> None:
    studies = read_studies(data_folder("studies"))
    told = [f for f in hunt(studies) if "hermele-2005" in trials(f)]
    assert {f.severity for f in told} == {"note"}
    code, about = told[0].code, f"outcomes.{told[0].ids[0].split('/')[1]}"
    answer = {"code": code, "about": about, "why": "asked", "by": "A. Person", "when": "2026-01-02"}
    answered = [s if s.id != "hermele-2005" else bare(s, checked=[answer]) for s in studies]
    assert not [
        f for f in hunt(Studies.of(answered)) if f.code == code and f.ids[0].startswith("hermele-2005")
    ]


def test_clean_trials_raise_no_alarm() -> None:
    """Fifty simulated trials with honest P values: at most three false alarms per hundred rows."""
    import numpy as np
    from scipy import stats

    rng = np.random.default_rng(11)
    studies = []
    for i in range(100):
        n1, n2 = rng.integers(12, 60, 2)
        a, b = rng.normal(50 - rng.normal(3, 2), 10, n1), rng.normal(50, 10, n2)
        p = float(stats.ttest_ind(a, b).pvalue)
        means = {
            arm: {"n": int(x.size), "mean": round(float(x.mean()), 1), "sd": round(float(x.std(ddof=1)), 1)}
            for arm, x in (("music", a), ("control", b))
        }
        data = {"kind": "means", **means, "p": f"{p:.2f}" if p >= 0.01 else "<0.01"}
        studies.append(
            Study.model_validate(
                {
                    "schema": 1,
                    "id": f"made-{i}",
                    "label": f"Made {i}",
                    "citation": {},
                    "conditions": ["cardiac"],
                    "design": {},
                    "population": {},
                    "intervention": {},
                    "comparator": {},
                    "outcomes": [{"id": "anxiety", "construct": "anxiety", "data": data, "source": {}}],
                }
            )
        )
    assert len(hunt(Studies.of(studies))) <= 3
