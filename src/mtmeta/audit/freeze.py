"""Preregistration: an analysis file is frozen before data come in, and every departure from it is told.

What is frozen is the plan: the question, what is selected, how effects are computed, the model, priors,
subgroups, and every other part of the analysis file that decides an answer. What may come later is left out:
published figures to stand beside, GRADE judgements, notes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtmeta.audit.analysis import Analysis
from mtmeta.errors import RecordError, UsageError

__all__ = [
    "Amendment",
    "Departure",
    "Frozen",
    "amend",
    "departures",
    "freeze",
    "frozen_beside",
    "frozen_file",
    "frozen_text",
    "plan_of",
    "read_frozen",
]

_SCHEMA = 1
_LATER = {"schema_", "published", "note", "grade"}

Plan = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change of plan that was announced: when, why, and the plan from then on."""

    when: str
    why: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen analysis.

    Attributes
    ----------
    name : str
    when : str
        The day it was frozen.
    engine : str
        Version of mtmeta that froze it.
    plan : dict
    known : tuple of str
        Trials whose rows answered the question already: it was not blind to those.
    amendments : tuple of Amendment
    """

    name: str
    when: str
    engine: str
    plan: Plan
    known: tuple[str, ...] = ()
    amendments: tuple[Amendment, ...] = ()


@dataclass(frozen=True, slots=True)
class Departure:
    """One part of the plan that is no longer what was frozen.

    Attributes
    ----------
    field : str
        Its dotted name in the analysis file.
    planned, done : str
        The values then and now; ``nothing`` where it was or is absent.
    amended : Amendment or None
        The first amendment that announced it.
    """

    field: str
    planned: str
    done: str
    amended: Amendment | None = None

    def __str__(self) -> str:
        told = f" (amended {self.amended.when}: {self.amended.why})" if self.amended else ""
        return f"{self.field}: {self.planned} was planned, {self.done} was done{told}"

    def as_dict(self) -> dict[str, Any]:
        """Return the departure as plain data."""
        amended = None if self.amended is None else {"when": self.amended.when, "why": self.amended.why}
        return {"field": self.field, "planned": self.planned, "done": self.done, "amended": amended}


# ---- the plan -----------------------------------------------------------------------------


def plan_of(analysis: Analysis) -> dict[str, Any]:
    """Return what of an analysis is planned: all that decides its answer, defaults written out."""
    return analysis.model_dump(mode="json", by_alias=True, exclude=_LATER)


def _hash(plan: Plan) -> str:
    text = json.dumps(plan, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def freeze(analysis: Analysis, *, when: str, known: Sequence[str] = ()) -> Frozen:
    """Freeze an analysis.

    Parameters
    ----------
    analysis : Analysis
    when : str
        The day, as ``2026-01-31``.
    known : sequence of str
        Trials that answer the question already.
    """
    from importlib.metadata import version

    return Frozen(analysis.name, when, version("mtmeta"), plan_of(analysis), tuple(sorted(set(known))))


def amend(frozen: Frozen, analysis: Analysis, *, when: str, why: str) -> Frozen:
    """Announce a change of plan, with its day and its reason; what was frozen before stays.

    Raises
    ------
    UsageError
        When nothing of the plan was changed, or no reason is given.
    """
    if not why.strip():
        raise UsageError("an amendment needs its reason")
    plan = plan_of(analysis)
    if not _differences(_last(frozen), analysis):
        raise UsageError(f"{frozen.name}: nothing of its plan was changed; there is nothing to amend")
    amendment = Amendment(when, why.strip(), plan)
    return Frozen(
        frozen.name, frozen.when, frozen.engine, frozen.plan, frozen.known, (*frozen.amendments, amendment)
    )


def _last(frozen: Frozen) -> Plan:
    return frozen.amendments[-1].plan if frozen.amendments else frozen.plan


# ---- departures ---------------------------------------------------------------------------


def departures(frozen: Frozen, analysis: Analysis) -> tuple[Departure, ...]:
    """List every departure of an analysis from what was frozen, in the order of the file.

    A part of the file that mtmeta did not know when the plan was frozen is a departure only where it says
    something.

    Raises
    ------
    UsageError
        When the frozen plan is another analysis'.

    Examples
    --------
    >>> from mtmeta.audit.files import read_analyses
    >>> from mtmeta.records.locate import data_folder
    >>> (item,) = read_analyses([data_folder("analyses") / "icu-anxiety.yaml"])
    >>> frozen = freeze(item.analysis, when="2026-01-31")
    >>> departures(frozen, item.analysis)
    ()
    """
    if frozen.name != analysis.name:
        raise UsageError(f"the plan of {frozen.name} was frozen, and not that of {analysis.name}")
    found = []
    for field, planned, done in _differences(frozen.plan, analysis):
        announced = next(
            (a for a in frozen.amendments if dict(_leaves(a.plan)).get(field, _ABSENT) == done), None
        )
        found.append(Departure(field, _shown(planned), _shown(done), announced))
    return tuple(found)


_ABSENT = object()


def _differences(plan: Plan, analysis: Analysis) -> list[tuple[str, Any, Any]]:
    then, now = dict(_leaves(plan)), dict(_leaves(plan_of(analysis)))
    said = dict(
        _leaves(analysis.model_dump(mode="json", by_alias=True, exclude=_LATER, exclude_defaults=True))
    )
    fields = [*now, *(field for field in then if field not in now)]
    return [
        (field, then.get(field, _ABSENT), now.get(field, _ABSENT))
        for field in fields
        if (then[field] != now.get(field, _ABSENT) if field in then else field in said)
    ]


def _leaves(value: Plan, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values; a list is one value, and so is a mapping with nothing in it."""
    for name, part in value.items():
        where = f"{path}.{name}" if path else str(name)
        if isinstance(part, Mapping) and part:
            yield from _leaves(part, where)
        elif part not in (None, [], {}):
            yield where, part


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# ---- files --------------------------------------------------------------------------------


def frozen_file(analysis_file: Path) -> Path:
    """Return where the frozen plan of an analysis file stands: beside it."""
    return analysis_file.with_name(f"{analysis_file.stem}.frozen.json")


def frozen_beside(analysis_file: Path) -> Frozen | None:
    """Read the frozen plan beside an analysis file; None where there is none."""
    path = frozen_file(analysis_file)
    return read_frozen(path) if path.exists() else None


def frozen_text(frozen: Frozen) -> str:
    """Write a frozen analysis as JSON, each plan with its hash."""
    document = {
        "schema": _SCHEMA,
        "analysis": frozen.name,
        "frozen": frozen.when,
        "mtmeta": frozen.engine,
        "hash": _hash(frozen.plan),
        "known": list(frozen.known),
        "plan": frozen.plan,
        "amendments": [
            {"when": a.when, "why": a.why, "hash": _hash(a.plan), "plan": a.plan} for a in frozen.amendments
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_frozen(path: Path) -> Frozen:
    """Read a frozen analysis, and hold each plan against its hash.

    Raises
    ------
    RecordError
        When it cannot be read, or a plan was edited after it was frozen.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != _SCHEMA:
            raise RecordError.at(path, 1, "schema", f"is not {_SCHEMA}; another version of mtmeta wrote it")
        amendments = tuple(Amendment(a["when"], a["why"], a["plan"]) for a in document["amendments"])
        frozen = Frozen(
            document["analysis"],
            document["frozen"],
            document["mtmeta"],
            document["plan"],
            tuple(document["known"]),
            amendments,
        )
        hashes = [document["hash"], *(a["hash"] for a in document["amendments"])]
    except OSError as error:
        raise RecordError.at(path, 0, "", f"cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise RecordError.at(
            path, getattr(error, "lineno", 0), "", "is no frozen analysis as mtmeta freeze writes it"
        ) from error
    for at, (plan, told) in enumerate(zip((frozen.plan, *(a.plan for a in amendments)), hashes, strict=True)):
        if _hash(plan) != told:
            where = "plan" if at == 0 else f"amendments.{at - 1}.plan"
            raise RecordError.at(
                path,
                0,
                where,
                "was edited after it was frozen (its hash is another); take the file back from where it was "
                "first kept, and announce changes with mtmeta freeze --amend",
            )
    return frozen
