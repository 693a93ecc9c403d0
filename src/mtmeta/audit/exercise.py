"""An exercise for learners: made trials with planted errors, and a grader that hints and does not tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.records.folder import Studies
from mtmeta.records.messages import nearest
from mtmeta.records.schema import Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Exercise", "Feedback"]

Kind = Literal["SE read as SD", "arms swapped", "decimal slip", "wrong n", "same trial twice"]
KINDS: tuple[Kind, ...] = ("SE read as SD", "arms swapped", "decimal slip", "wrong n", "same trial twice")

# three hints a kind, each nearer than the one before; none names the fault
_HINTS: dict[Kind, tuple[str, str, str]] = {
    "SE read as SD": (
        "compare what is printed as ± with the other trials on this scale",
        "multiply the SDs by the root of the arm's size; do they look familiar now?",
        "compute t from the means and SDs: which P would it give, and which is printed?",
    ),
    "arms swapped": (
        "read the sentence of the report beside the numbers",
        "which arm has the lower mean, and which does the report say did better?",
        "exchange two columns in your mind: do words and numbers agree then?",
    ),
    "decimal slip": (
        "which values can a score on this scale take at all?",
        "look at the sizes of means and SDs one by one",
        "move a decimal point",
    ),
    "wrong n": (
        "compare people analysed with people randomised",
        "can more people be analysed than were randomised?",
        "read the digits of each n from right to left",
    ),
    "same trial twice": (
        "compare the rows with each other, not with the scale",
        "how probable is it that two trials agree in every digit?",
        "look for two reports of one study",
    ),
}
_LOW, _HIGH = 20, 80  # range of the state scale of the STAI, on which the trials are made


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the grader says."""

    right: tuple[str, ...]
    """Trials whose fault was named rightly."""
    wrong: Mapping[str, str]
    """Trial to what is said of the guess, without the answer."""
    missing: int
    """Planted errors not named yet."""

    @property
    def solved(self) -> bool:
        """Whether all was found and nothing else accused."""
        return not self.wrong and not self.missing

    def __str__(self) -> str:
        lines = [f"{study}: right" for study in self.right]
        lines += [f"{study}: {text}" for study, text in self.wrong.items()]
        lines.append("all found" if self.solved else f"still to be found: {self.missing}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Exercise:
    """Twelve made trials of one scale, some with an error of extraction.

    The trials are simulated, not real; the errors are those that are found when extractions are checked.

    Parameters
    ----------
    seed : int
        Each seed is another exercise.
    errors : int, default 4
        How many are planted, each of another kind; 1 to 5.

    Examples
    --------
    >>> exercise = Exercise(seed=1)
    >>> len(exercise.table()), exercise.grade({}).missing
    (12, 4)
    >>> print(exercise.grade({"trial-a": "arms swaped"}))
    Traceback (most recent call last):
    ...
    mtmeta.errors.UsageError: 'arms swaped' is no kind of error here; did you mean 'arms swapped'?
    """

    seed: int
    errors: int = 4
    _answers: Mapping[str, Kind] = field(init=False, repr=False, compare=False)
    _documents: tuple[dict[str, Any], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.errors <= len(KINDS):
            raise UsageError(f"errors={self.errors}: plant 1 to {len(KINDS)}")
        rng = np.random.default_rng(self.seed)
        trials = [_trial(rng, i) for i in range(11 if self.errors == len(KINDS) else 12)]
        kinds = [KINDS[i] for i in rng.choice(len(KINDS), self.errors, replace=False)]
        places = rng.choice(len(trials), self.errors, replace=False)
        answers: dict[str, Kind] = {}
        if "same trial twice" in kinds and len(trials) == 12:
            trials.pop(next(i for i in range(11, -1, -1) if i not in places))
            places = np.array([min(int(p), len(trials) - 1) for p in _distinct(places, len(trials))])
        for kind, place in zip(kinds, places, strict=True):
            if kind == "same trial twice":
                again = _again(trials[place])
                trials.append(again)
                answers[again["id"]] = kind
            else:
                _PLANT[kind](rng, trials[place])
            answers[trials[place]["id"]] = kind
        order = rng.permutation(len(trials))
        names = {trials[i]["id"]: f"trial-{chr(97 + n)}" for n, i in enumerate(order)}
        documents = []
        for i in order:
            name = names[trials[i]["id"]]
            documents.append({**trials[i], "id": name, "label": name.replace("-", " ").title()})
        object.__setattr__(self, "_documents", tuple(documents))
        object.__setattr__(self, "_answers", {names[old]: kind for old, kind in answers.items()})

    @cached_property
    def studies(self) -> Studies:
        """The trials as records, so that the integrity checks can be run on them."""
        return Studies.of(Study.model_validate(document) for document in self._documents)

    def table(self) -> pd.DataFrame:
        """Return the extraction sheet: what was typed from each report, and what the report says."""
        import pandas as pd

        rows = []
        for document in self._documents:
            data = document["outcomes"][0]["data"]
            arms = {
                f"{name} {arm}": data[arm][name]
                for arm in ("music", "control")
                for name in ("n", "mean", "sd")
            }
            rows.append(
                {
                    "trial": document["id"],
                    "randomised": document["design"]["n_randomised"],
                    **arms,
                    "P": data["p"],
                    "the report says": document["outcomes"][0]["note"],
                }
            )
        return pd.DataFrame(rows).set_index("trial")

    def grade(self, guesses: Mapping[str, str]) -> Feedback:
        """Say which guesses are right, and of the others only whether there is something to find.

        Parameters
        ----------
        guesses : mapping
            Trial to kind of error; for a trial recorded twice one of the two is enough.

        Raises
        ------
        UsageError
            An unknown trial or kind.
        """
        right, wrong = [], {}
        for study, kind in guesses.items():
            self._known(study)
            if kind not in KINDS:
                close = nearest(kind, KINDS, most=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(KINDS)}"
                raise UsageError(f"{kind!r} is no kind of error here; {hint}")
            if self._answers.get(study) == kind:
                right.append(study)
            elif study in self._answers:
                wrong[study] = "something is wrong here, but not this"
            else:
                wrong[study] = "nothing was planted here; chance makes odd trials too"
        found = {self._answers[study] for study in right}
        return Feedback(tuple(right), wrong, len(set(self._answers.values()) - found))

    def hint(self, study: str, more: int = 0) -> str:
        """Return a hint on a trial; `more` of 1 and 2 come nearer.

        Raises
        ------
        UsageError
            An unknown trial.
        """
        self._known(study)
        kind = self._answers.get(study)
        if kind is None:
            return "compare it with the others: what exactly is odd, and how odd would chance make it?"
        return _HINTS[kind][min(max(more, 0), 2)]

    def _known(self, study: str) -> None:
        names = [document["id"] for document in self._documents]
        if study not in names:
            raise UsageError(f"there is no {study!r}; the trials are {names[0]} to {names[-1]}")


def _distinct(places: Any, count: int) -> list[int]:
    """Keep the places apart after one trial was taken out."""
    out: list[int] = []
    for place in places:
        free = [i for i in range(count) if i not in out]
        out.append(int(place) if int(place) in free else free[-1])
    return out


def _trial(rng: np.random.Generator, i: int) -> dict[str, Any]:
    """Simulate a trial on whole scores of the scale; what is printed follows from the scores."""
    from scipy import stats

    mean, sd = 43 + rng.normal(0, 3), 10 * rng.lognormal(0, 0.12)
    n1, n2 = (int(rng.integers(14, 60)) for _ in range(2))
    shift = -abs(rng.normal(0.55, 0.15)) * sd
    music, control = (
        np.clip(np.round(rng.normal(mean + move, sd, n)), _LOW, _HIGH) for n, move in ((n1, shift), (n2, 0.0))
    )
    p = float(stats.ttest_ind(music, control).pvalue)
    better = "music" if music.mean() < control.mean() else "control"
    return {
        "schema": 1,
        "id": f"made-{i}",
        "label": f"Made {i}",
        "citation": {"text": "a made trial, for teaching"},
        "conditions": ["preoperative"],
        "design": {
            "allocation": "randomised",
            "unit": "parallel",
            "n_randomised": n1 + n2 + int(rng.integers(0, 4)),
        },
        "population": {},
        "intervention": {},
        "comparator": {"type": "usual care"},
        "outcomes": [
            {
                "id": "anxiety",
                "construct": "anxiety",
                "instrument": "STAI-S",
                "better": "lower",
                "time": "post",
                "value": "final",
                "data": {
                    "kind": "means",
                    "music": _summary(music),
                    "control": _summary(control),
                    "p": "<0.001" if p < 0.001 else f"{p:.3f}",
                },
                "used_in": ["a made forest"],
                "source": {"cite": "a made report"},
                "note": f"The difference was in favour of the {better} group.",
            }
        ],
    }


def _summary(x: Any) -> dict[str, Any]:
    return {"n": int(x.size), "mean": round(float(x.mean()), 1), "sd": round(float(x.std(ddof=1)), 1)}


def _arms(trial: dict[str, Any]) -> list[dict[str, Any]]:
    data = trial["outcomes"][0]["data"]
    return [data["music"], data["control"]]


def _se_for_sd(rng: np.random.Generator, trial: dict[str, Any]) -> None:
    for arm in _arms(trial):
        arm["sd"] = round(arm["sd"] / math.sqrt(arm["n"]), 1)


def _swap(rng: np.random.Generator, trial: dict[str, Any]) -> None:
    one, two = _arms(trial)
    for key in ("mean", "sd"):
        one[key], two[key] = two[key], one[key]


def _slip(rng: np.random.Generator, trial: dict[str, Any]) -> None:
    arm = _arms(trial)[int(rng.integers(2))]
    key, factor = (("mean", 0.1), ("sd", 10.0), ("sd", 0.1))[int(rng.integers(3))]
    arm[key] = round(arm[key] * factor, 1)


def _wrong_n(rng: np.random.Generator, trial: dict[str, Any]) -> None:
    """Turn the digits of an n so that it grows; where no turning does, put a digit's slip of 30 in."""
    for arm in _arms(trial):
        turned = int(str(arm["n"])[::-1])
        if turned >= arm["n"] + 9:
            arm["n"] = turned
            return
    _arms(trial)[0]["n"] += 30


_PLANT = {"SE read as SD": _se_for_sd, "arms swapped": _swap, "decimal slip": _slip, "wrong n": _wrong_n}


def _again(trial: dict[str, Any]) -> dict[str, Any]:
    """Copy a trial under another name, as a second report of the same study would be entered."""
    outcome = {**trial["outcomes"][0], "data": {**trial["outcomes"][0]["data"]}}
    for arm in ("music", "control"):
        outcome["data"][arm] = dict(outcome["data"][arm])
    return {**trial, "id": f"{trial['id']}-again", "outcomes": [outcome]}
