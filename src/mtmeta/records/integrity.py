"""What a record says and what cannot be true: found here, answered by a person, not pooled until then.

Reading refuses only what cannot be represented. A standard deviation of 0, an estimate outside its
own interval or more events than people can be represented, and sources do print them; the record
keeps them as printed. This module finds them from the record alone, without statistics, so that no
such row is pooled before somebody has looked: the answer is a ``corrected:`` value or an entry under
``checked:``, and both show in reports. What is merely implausible is for the audit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel

from mtmeta.records.scales import scale_of
from mtmeta.records.schema import Checked, Corrected, Outcome, Study

__all__ = ["CODES", "Finding", "answer_of", "blocking", "integrity_problems", "unanswered"]

CODES: dict[str, str] = {
    "interval-reversed": "the lower limit of an interval lies above the upper one",
    "interval-without-width": "both limits of an interval are the same number",
    "estimate-outside-interval": "an estimate or mean lies outside its own interval",
    "ratio-not-positive": "an odds ratio, risk ratio, hazard ratio or ratio of means is 0 or less",
    "estimate-impossible": "a risk difference or correlation lies outside -1 to 1",
    "sd-not-positive": "a standard deviation is 0 or less",
    "se-not-positive": "a standard error is 0 or less",
    "n-zero": "a group of nobody",
    "n-too-small": "a standard deviation of fewer than two people",
    "n-total-differs": "the total is not the sum of the groups",
    "n-unordered-reversed": "the larger group stands first where the smaller should",
    "n-above-randomised": "more people analysed than randomised",
    "events-above-n": "more events than people",
    "quartiles-out-of-order": "minimum, quartiles, median and maximum do not rise",
    "statistic-impossible": "an F or chi-squared below 0, or a P value outside 0 to 1",
    "score-outside-range": "a mean, median or SD that the instrument's range does not allow",
}
"""Each finding's code, which ``checked:`` answers by, and what it means."""

Severity = Literal["error", "warning"]
_RATIOS = frozenset({"OR", "RR", "HR", "IRR", "ROM", "PETO"})
_BOUNDED = frozenset({"RD", "COR"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a record that cannot be true.

    Parameters
    ----------
    code : str
        One of :data:`CODES`.
    severity : {"error", "warning"}
        ``error`` where an effect would be computed from it, so that the row is not pooled until
        answered; ``warning`` where it stands beside (what the source itself computed, the study's arms)
        or rests on knowledge from outside the record (the range of the instrument).
    study : str
        Id of the study.
    about : str
        ``study`` or ``outcomes.<id>``, as ``checked:`` and ``flags:`` name it.
    field : str
        Dotted place below that, such as ``data.music.sd``.
    message : str
        What cannot be true, with the numbers.

    Examples
    --------
    >>> print(Finding("sd-not-positive", "error", "a-2000", "outcomes.pain", "data.music.sd", "is 0"))
    a-2000 outcomes.pain data.music.sd: is 0 [sd-not-positive]
    """

    code: str
    severity: Severity
    study: str
    about: str
    field: str
    message: str

    @property
    def outcome(self) -> str | None:
        """Id of the outcome, None where the study is meant."""
        return self.about.removeprefix("outcomes.") if self.about != "study" else None

    def __str__(self) -> str:
        return f"{self.study} {self.about} {self.field}: {self.message} [{self.code}]"


def integrity_problems(study: Study) -> tuple[Finding, ...]:
    """Find everything in a record that cannot be true, answered or not.

    Printed values and what a person put in their place (``corrected.data``) are both checked.

    Parameters
    ----------
    study : Study
        The record.

    Returns
    -------
    tuple of Finding
        In the order of the record.

    Examples
    --------
    CD004517.pub3 prints the quality of life in Atiwannapat 2016 as -1.31 with an interval from -0.36 to
    2.99: the sign contradicts the interval, and the record's correction answers it.

    >>> from mtmeta.records.locate import example_studies
    >>> study = example_studies("depression")["atiwannapat-2016"]
    >>> for finding in integrity_problems(study):
    ...     print(finding)
    atiwannapat-2016 outcomes.quality-of-life data.estimate: -1.31 lies outside -0.36 to 2.99
    [estimate-outside-interval]
    >>> unanswered(study, integrity_problems(study))
    ()
    """
    found: list[Finding] = []
    for field, code, message in _arms(study):
        found.append(Finding(code, "warning", study.id, "study", field, message))
    for outcome in study.outcomes:
        about = f"outcomes.{outcome.id}"
        for field, code, message in _outcome(outcome, study):
            outside = field.startswith("reported") or code == "score-outside-range"
            severity: Severity = "warning" if outside else "error"
            found.append(Finding(code, severity, study.id, about, field, message))
    return tuple(found)


def answer_of(study: Study, finding: Finding) -> Checked | Corrected | None:
    """Return the record's answer to a finding, if it has one.

    Anything is answered by an entry under ``checked`` with the finding's code that is about the same
    outcome (or a place inside it), or the study; a printed value also by the ``corrected.data`` that a
    person put beside it.
    """
    place = f"{finding.about}.{finding.field}."
    for answer in study.checked:
        if answer.code == finding.code and place.startswith(f"{answer.about}."):
            return answer
    if finding.outcome is not None and finding.field.split(".")[0] == "data":
        corrected = study.outcome(finding.outcome).corrected
        if corrected is not None and corrected.data is not None:
            return corrected
    return None


def unanswered(study: Study, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Leave out the findings that the record answers (see :func:`answer_of`)."""
    return tuple(finding for finding in findings if answer_of(study, finding) is None)


def blocking(study: Study, outcome_id: str, *, corrected: bool = False) -> tuple[Finding, ...]:
    """Return what keeps an outcome from being pooled: the errors nobody has answered under ``checked``.

    Parameters
    ----------
    study : Study
        The record.
    outcome_id : str
        The outcome.
    corrected : bool
        Whether the analysis takes ``corrected.data`` in place of the printed values: only what is
        taken is held against itself, so a mistaken correction blocks itself and not the printed row.

    Examples
    --------
    >>> from mtmeta.records.locate import example_studies
    >>> study = example_studies("depression")["atiwannapat-2016"]
    >>> [finding.code for finding in blocking(study, "quality-of-life")]
    ['estimate-outside-interval']
    >>> blocking(study, "quality-of-life", corrected=True)
    ()
    """
    fix = study.outcome(outcome_id).corrected
    taken = "corrected" if corrected and fix is not None and fix.data is not None else "data"
    return tuple(
        finding
        for finding in integrity_problems(study)
        if finding.severity == "error"
        and finding.outcome == outcome_id
        and finding.field.split(".")[0] == taken
        and not isinstance(answer_of(study, finding), Checked)
    )


# ---- walking a record --------------------------------------------------------------------------

_Fault = tuple[str, str, str]  # field, code, message


def _outcome(outcome: Outcome, study: Study) -> Iterator[_Fault]:
    printed: list[tuple[str, BaseModel]] = [("data", outcome.data)]
    if outcome.corrected is not None and outcome.corrected.data is not None:
        printed.append(("corrected.data", outcome.corrected.data))
    for name, data in printed:
        for path, node in _nodes(data, name):
            for suffix, code, message in _node(node):
                yield f"{path}{suffix}", code, message
        for code, message in _randomised(data, study):
            yield name, code, message
        scale = scale_of(outcome.instrument, outcome.construct_)
        if scale is not None and scale.range is not None:
            for path, node in _nodes(data, name):
                for suffix, message in _scores(path, node, outcome.value, scale.range):
                    yield f"{path}{suffix}", "score-outside-range", message
    if outcome.reported is not None:
        for suffix, code, message in _node(outcome.reported):
            yield f"reported{suffix}", code, message


def _nodes(model: BaseModel, path: str) -> Iterator[tuple[str, BaseModel]]:
    """Yield a model and all models below it with their paths."""
    yield path, model
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _nodes(value, f"{path}.{name}")
        elif isinstance(value, tuple):
            for position, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from _nodes(item, f"{path}.{name}.{position}")


def _node(node: BaseModel) -> Iterator[_Fault]:
    """Hold what stands in one mapping against itself."""
    values = {name: getattr(node, name) for name in type(node).model_fields}
    yield from _interval(values)
    yield from _spread(values)
    yield from _sizes(values)
    yield from _order(values)
    yield from _statistic(values)


def _shown(number: float) -> str:
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)


def _interval(values: dict[str, object]) -> Iterator[_Fault]:
    low, high = values.get("ci_low"), values.get("ci_high")
    name = "estimate" if "estimate" in values else "mean"
    point = values.get(name)
    if isinstance(low, float) and isinstance(high, float):
        if low > high:
            yield ".ci_low", "interval-reversed", f"{_shown(low)} lies above the upper limit {_shown(high)}"
        elif low == high:
            yield ".ci_low", "interval-without-width", f"both limits are {_shown(low)}"
        if isinstance(point, float) and not min(low, high) <= point <= max(low, high):
            place = f"{_shown(min(low, high))} to {_shown(max(low, high))}"
            yield f".{name}", "estimate-outside-interval", f"{_shown(point)} lies outside {place}"
    measure = values.get("measure")
    if not isinstance(measure, str) or values.get("scale") == "log":
        return
    for key in ("estimate", "ci_low", "ci_high"):
        value = values.get(key)
        if not isinstance(value, float):
            continue
        if measure in _RATIOS and value <= 0:
            yield f".{key}", "ratio-not-positive", f"{measure} of {_shown(value)}"
        if measure in _BOUNDED and key == "estimate" and abs(value) > 1:
            yield f".{key}", "estimate-impossible", f"{measure} of {_shown(value)}"


def _spread(values: dict[str, object]) -> Iterator[_Fault]:
    for key, code in (("sd", "sd-not-positive"), ("se", "se-not-positive")):
        value = values.get(key)
        if isinstance(value, float) and value <= 0:
            yield f".{key}", code, f"{key.upper()} of {_shown(value)}"
    sd, n = values.get("sd"), values.get("n")
    if isinstance(sd, float) and n == 1:
        yield ".n", "n-too-small", "one person has no SD"


def _sizes(values: dict[str, object]) -> Iterator[_Fault]:
    for key in ("n", "n_music", "n_control", "n_total"):
        if values.get(key) == 0:
            yield f".{key}", "n-zero", "0 people"
    unordered = values.get("n_unordered")
    total, music, control = values.get("n_total"), values.get("n_music"), values.get("n_control")
    if isinstance(unordered, tuple):
        if 0 in unordered:
            yield ".n_unordered", "n-zero", "0 people"
        if unordered[0] > unordered[1]:
            yield ".n_unordered", "n-unordered-reversed", f"{unordered[0]} stands before {unordered[1]}"
        if isinstance(total, int) and total != sum(unordered):
            yield ".n_total", "n-total-differs", f"{total} is not {unordered[0]} + {unordered[1]}"
    if isinstance(music, int) and isinstance(control, int):
        if isinstance(total, int) and total != music + control:
            yield ".n_total", "n-total-differs", f"{total} is not {music} + {control}"
        if isinstance(unordered, tuple) and sorted(unordered) != sorted((music, control)):
            message = f"{unordered[0]} and {unordered[1]} are not {music} and {control}"
            yield ".n_unordered", "n-total-differs", message
    events, n = values.get("events"), values.get("n")
    if isinstance(events, int) and isinstance(n, int) and events > n:
        yield ".events", "events-above-n", f"{events} events among {n} people"


def _order(values: dict[str, object]) -> Iterator[_Fault]:
    names = ("min", "q1", "median", "q3", "max")
    printed = [(name, value) for name in names if isinstance(value := values.get(name), float)]
    for (left, low), (right, high) in pairwise(printed):
        if low > high:
            message = f"{left} {_shown(low)} lies above {right} {_shown(high)}"
            yield f".{right}", "quartiles-out-of-order", message


def _statistic(values: dict[str, object]) -> Iterator[_Fault]:
    kind, value = values.get("statistic"), values.get("value")
    if isinstance(value, float):
        if kind in ("F", "chi2") and value < 0:
            yield ".value", "statistic-impossible", f"{kind} of {_shown(value)}"
        if kind == "p" and not 0 <= value <= 1:
            yield ".value", "statistic-impossible", f"P of {_shown(value)}"
    printed = values.get("p")
    number = re.fullmatch(r"[<>=≤≥ ]*([0-9]*\.?[0-9]+)", printed) if isinstance(printed, str) else None
    if number and float(number[1]) > 1:
        yield ".p", "statistic-impossible", f"P of {printed}"


# ---- scores ------------------------------------------------------------------------------------


def _scores(path: str, node: BaseModel, value: str, limits: tuple[float, float]) -> Iterator[tuple[str, str]]:
    """Hold final and baseline scores against the instrument's range; changes may leave it."""
    place = path.rsplit(".", 1)[-1]
    if not (place in ("baseline", "final", "before", "after") or (value == "final" and place != "change")):
        return
    low, high = limits
    shown = f"{_shown(low)} to {_shown(high)}"
    values = vars(node)
    for name in ("mean", "median", "q1", "q3", "min", "max"):
        score = values.get(name)
        if isinstance(score, float) and not low <= score <= high:
            yield f".{name}", f"{_shown(score)} lies outside the scale's {shown}"
    sd, n = values.get("sd"), values.get("n")
    if isinstance(sd, float):
        # Half of the people at either end give the largest SD there can be.
        largest = (
            (high - low) / 2 * (math.sqrt(n / (n - 1)) if isinstance(n, int) and n > 1 else math.sqrt(2))
        )
        if sd > largest:
            yield ".sd", f"an SD of {_shown(sd)} is more than a scale of {shown} allows ({largest:.3g})"


# ---- people ------------------------------------------------------------------------------------


def _arms(study: Study) -> Iterator[_Fault]:
    randomised = 0
    for position, arm in enumerate(study.arms):
        randomised += arm.n_randomised or 0
        if arm.n_randomised is not None and (arm.n_analysed or 0) > arm.n_randomised:
            message = f"{arm.n_analysed} analysed of {arm.n_randomised} randomised"
            yield f"arms.{position}.n_analysed", "n-above-randomised", message
    total = study.design.n_randomised
    if total is not None and randomised > total and study.design.unit != "crossover":
        message = f"the arms hold {randomised}, the trial {total}"
        yield "design.n_randomised", "n-above-randomised", message


def _randomised(data: BaseModel, study: Study) -> Iterator[tuple[str, str]]:
    """Hold the people of a row against those randomised; clusters and crossovers count them otherwise."""
    total = study.design.n_randomised
    if total is None or study.design.unit in ("cluster", "crossover", "within-subject"):
        return
    sizes = _people(data)
    if sum(sizes) > total:
        how = " + ".join(map(str, sizes)) if len(sizes) > 1 else str(sum(sizes))
        yield "n-above-randomised", f"{how} analysed of {total} randomised"


def _people(data: BaseModel) -> list[int]:
    """List the sizes of the groups a row compares, as far as printed."""
    values = {name: getattr(data, name) for name in type(data).model_fields}
    if "arms" in values:
        return [arm.n or 0 for arm in values["arms"]]
    groups = [values.get("n_music"), values.get("n_control")]
    groups += [getattr(values.get(key), "n", None) for key in ("music", "control")]
    if not any(groups):
        groups = list(values.get("n_unordered") or [values.get("n_total"), values.get("n")])
    return [size for size in groups if size]
