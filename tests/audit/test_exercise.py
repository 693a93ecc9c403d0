"""The learners' exercise: as many errors as asked, findable, graded without giving the answer."""

from __future__ import annotations

import pytest

from mtmeta.audit.check import findings_of
from mtmeta.audit.exercise import KINDS, Exercise
from mtmeta.errors import UsageError

SEEDS = range(25)


@pytest.mark.parametrize("seed", SEEDS)
def test_twelve_trials_with_as_many_errors_as_asked(seed: int) -> None:
    exercise = Exercise(seed=seed, errors=1 + seed % 5)
    assert len(exercise.table()) == len(exercise.studies) == 12
    assert len(set(exercise._answers.values())) == exercise.errors
    assert exercise.grade(exercise._answers).solved
    assert exercise.grade({}).missing == exercise.errors


def test_the_integrity_checks_find_what_was_planted_and_nothing_else() -> None:
    planted = found = 0
    for seed in SEEDS:
        exercise = Exercise(seed=seed)
        findings = [f for f in findings_of(exercise.studies) if f.severity in ("error", "suspect")]
        named = {name.split("/")[0] for f in findings for name in f.ids}
        assert named <= set(exercise._answers), seed
        planted += len(exercise._answers)
        found += len(named)
    assert found >= 0.9 * planted


def test_the_grader_hints_and_does_not_tell() -> None:
    exercise = Exercise(seed=3)
    for study in exercise.table().index:
        for kind in KINDS:
            told = str(exercise.grade({study: kind}))
            other = exercise._answers.get(study)
            assert other == kind or other is None or other not in told
        for more in range(3):
            assert not any(kind in exercise.hint(study, more) for kind in KINDS)
    clean = next(study for study in exercise.table().index if study not in exercise._answers)
    assert "nothing was planted" in str(exercise.grade({clean: "wrong n"}))
    assert not exercise.grade({**exercise._answers, clean: "wrong n"}).solved


def test_a_seed_is_an_exercise() -> None:
    assert Exercise(seed=5).table().equals(Exercise(seed=5).table())
    assert not Exercise(seed=5).table().equals(Exercise(seed=6).table())


def test_wrong_use_is_told() -> None:
    exercise = Exercise(seed=1)
    with pytest.raises(UsageError, match="did you mean 'wrong n'"):
        exercise.grade({"trial-a": "wrong N"})
    with pytest.raises(UsageError, match="trial-a to trial-l"):
        exercise.hint("trial-z")
    with pytest.raises(UsageError, match="1 to 5"):
        Exercise(seed=1, errors=6)
