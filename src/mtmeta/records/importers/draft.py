"""From what a file says, row by row, to records that can be read and checked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import ValidationError

from mtmeta.errors import Problem
from mtmeta.records import vocabulary as voc
from mtmeta.records.importers.safety import plain
from mtmeta.records.integrity import integrity_problems
from mtmeta.records.schema import Outcome, Study

__all__ = [
    "Draft",
    "Imported",
    "OutcomeDraft",
    "comparator_of",
    "construct_of",
    "slug",
    "studies_of",
    "word_of",
]


@dataclass
class OutcomeDraft:
    """One row of a file: where it stands, and the fields of an outcome."""

    line: int
    name: str
    fields: dict[str, Any]


@dataclass
class Draft:
    """One trial of a file, as far as it is told."""

    label: str
    line: int = 0
    id: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    outcomes: list[OutcomeDraft] = field(default_factory=list)


@dataclass(frozen=True)
class Imported:
    """What was read from a file.

    Parameters
    ----------
    studies : tuple of Study
        In the order of the file; each can be read again and passes the integrity checks.
    not_read : tuple of Problem
        What could not be read, with its place and the reason.
    """

    studies: tuple[Study, ...]
    not_read: tuple[Problem, ...]

    def __repr__(self) -> str:
        outcomes = sum(len(s.outcomes) for s in self.studies)
        return f"Imported({len(self.studies)} studies, {outcomes} outcomes, {len(self.not_read)} not read)"


# ---- words ------------------------------------------------------------------------------------


def slug(text: str, limit: int = 60) -> str:
    """Return text as an id: lower-case letters and digits, parted by single hyphens.

    Examples
    --------
    >>> slug("Gómez-Gallego 2021"), slug("Mößler 2012 (pilot)")
    ('gomez-gallego-2021', 'mossler-2012-pilot')
    """
    text = text.replace("ß", "ss").replace("ø", "o").replace("Ø", "O").replace("æ", "ae").replace("ł", "l")
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:limit].strip("-")


def word_of(text: str, words: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """Return the word of a vocabulary that a text is, or that stands for it among `synonyms`."""
    folded = plain(text).casefold()
    for key, word in (synonyms or {}).items():
        if key.casefold() == folded:
            return word
    return next((word for word in words if word.casefold() == folded), None)


def construct_of(name: str, synonyms: Mapping[str, str] | None = None) -> str:
    """Return the construct that a name tells, by its longest word of the vocabulary, else ``other``.

    Examples
    --------
    >>> construct_of("State anxiety (STAI), change scores"), construct_of("Knee flexion")
    ('anxiety', 'other')
    """
    folded = f" {re.sub(r'[^a-z0-9]+', ' ', plain(name).casefold())} "
    for key, word in (synonyms or {}).items():
        if f" {re.sub(r'[^a-z0-9]+', ' ', key.casefold()).strip()} " in folded:
            return word
    known = [word for word in get_args(voc.Construct) if word != "other"]
    told = [word for word in known if f" {word.replace('-', ' ')} " in folded]
    return max(told, key=len) if told else "other"


_COMPARATORS = {
    "standard care": "usual care",
    "care as usual": "usual care",
    "treatment as usual": "usual care",
    "tau": "usual care",
    "cau": "usual care",
    "waitlist": "wait list",
    "waiting list": "wait list",
    "wait-list": "wait list",
    "wl": "wait list",
    "wlc": "wait list",
}


def comparator_of(text: str, synonyms: Mapping[str, str] | None = None) -> str:
    """Return the comparator type that a text names, else ``unclear``.

    Examples
    --------
    >>> comparator_of("Standard care"), comparator_of("wait list"), comparator_of("book reading")
    ('usual care', 'wait list', 'unclear')
    """
    return word_of(text, get_args(voc.Comparator), {**_COMPARATORS, **(synonyms or {})}) or "unclear"


def year_of(text: str) -> int | None:
    """Return the first year in a text, of 1900 to 2100."""
    found = re.search(r"(?<!\d)(19\d\d|20\d\d|2100)(?!\d)", text)
    return int(found[1]) if found else None


# ---- to records -------------------------------------------------------------------------------


def studies_of(drafts: Iterable[Draft], *, path: str, defaults: Mapping[str, Any]) -> Imported:
    """Build records of drafts; what a record cannot hold is told, and no row is dropped in silence.

    A row that cannot be true (an SD of 0, more events than people) becomes a ``narrative`` that holds what
    the file says, so that the record passes its checks and nothing is pooled from it.

    Parameters
    ----------
    drafts : iterable of Draft
    path : str
        The file, for problems.
    defaults : mapping
        Fields of a study that the file does not tell: ``conditions``, ``comparator`` and so on.
    """
    problems: list[Problem] = []
    studies: list[Study] = []
    used: set[str] = set()
    for draft in drafts:
        study = _study(draft, path, defaults, used, problems)
        if study is not None:
            studies.append(study)
            used.add(study.id)
    return Imported(tuple(studies), tuple(problems))


def _study(
    draft: Draft, path: str, defaults: Mapping[str, Any], used: set[str], problems: list[Problem]
) -> Study | None:
    base: dict[str, Any] = {
        "schema": 1,
        "id": _fresh(draft.id or slug(draft.label) or "trial", used),
        "label": plain(draft.label) or "unnamed",
        "citation": {},
        "conditions": ["other"],
        "design": {},
        "population": {},
        "intervention": {},
        "comparator": {},
        "outcomes": [],
    }
    for source in (defaults, draft.fields):
        for key, value in source.items():
            base[key] = {**base[key], **value} if isinstance(base.get(key), dict) else value
    base["outcomes"] = _outcomes(draft, path, problems)
    try:
        study = Study.model_validate(base)
    except ValidationError as error:
        problems.append(Problem(path, draft.line, draft.label, _first(error)))
        return None
    return _checked(study, draft, path, problems)


def _first(error: ValidationError) -> str:
    told = error.errors()[0]
    place = ".".join(str(p) for p in told["loc"])
    return f"{place}: {told['msg'].lower()}" if place else told["msg"].lower()


def _fresh(wanted: str, used: set[str]) -> str:
    if wanted not in used:
        return wanted
    letters = "bcdefghijklmnopqrstuvwxyz"
    for end in (*letters, *(f"-{i}" for i in range(27, 10_000))):
        name = f"{wanted}{end}" if wanted[-1:].isdigit() and end in letters else f"{wanted}-{end.strip('-')}"
        if name not in used:
            return name
    return f"{wanted}-more"


def _outcomes(draft: Draft, path: str, problems: list[Problem]) -> list[Outcome]:
    """Validate outcomes one by one; equal rows of several forests become one that names them all."""
    kept: list[Outcome] = []
    used: set[str] = set()
    for row in draft.outcomes:
        name = slug(row.fields.get("id") or row.name) or "outcome"
        fields = {"label": plain(row.name) or None, **row.fields, "id": name}
        try:
            outcome = Outcome.model_validate({k: v for k, v in fields.items() if v is not None})
        except ValidationError as error:
            problems.append(
                Problem(path, row.line, f"{draft.label}, {row.name}", f"{_first(error)}; kept as text")
            )
            outcome = _narrative(fields)
        twin = next((i for i, other in enumerate(kept) if _same(other, outcome)), None)
        if twin is not None:
            both = tuple(dict.fromkeys((*kept[twin].used_in, *outcome.used_in)))
            kept[twin] = kept[twin].model_copy(update={"used_in": both})
            continue
        fresh = _fresh(outcome.id, used)
        used.add(fresh)
        kept.append(outcome.model_copy(update={"id": fresh}))
    return kept


_OWN = ("label", "instrument", "time", "weeks", "value", "comparator", "intervention", "subset", "data")


def _same(a: Outcome, b: Outcome) -> bool:
    return all(getattr(a, name) == getattr(b, name) for name in _OWN)


def _told(data: Any) -> str:
    if isinstance(data, Mapping):
        return ", ".join(f"{k} {_told(v)}" for k, v in data.items() if v is not None)
    if isinstance(data, list | tuple):
        return "; ".join(_told(v) for v in data)
    return plain(str(data), 300)


def _narrative(fields: Mapping[str, Any]) -> Outcome:
    """Keep what a row says as text, where its numbers cannot stand as numbers."""
    data = fields.get("data", {})
    text = plain(f"in the file: {_told(data)}")
    keep = {key: fields[key] for key in ("id", "label", "used_in", "source") if fields.get(key) is not None}
    construct = fields.get("construct", "other")
    known = construct if construct in get_args(voc.Construct) else "other"
    return Outcome.model_validate(
        {"construct": known, **keep, "data": {"kind": "narrative", "printed": text}}
    )


def _checked(study: Study, draft: Draft, path: str, problems: list[Problem]) -> Study:
    """Turn rows that cannot be true into text, so that the record passes its checks."""
    faults: dict[str, str] = {}
    for finding in integrity_problems(study):
        if finding.severity == "error" and finding.outcome is not None:
            faults.setdefault(finding.outcome, f"{finding.message} ({finding.code})")
    if not faults:
        return study
    lines = {slug(row.fields.get("id") or row.name): row.line for row in draft.outcomes}
    outcomes = []
    for outcome in study.outcomes:
        if outcome.id not in faults:
            outcomes.append(outcome)
            continue
        line = lines.get(outcome.id, draft.line)
        problems.append(
            Problem(
                path,
                line,
                f"{draft.label}, {outcome.label or outcome.id}",
                f"{faults[outcome.id]}; kept as text",
            )
        )
        raw = outcome.model_dump(mode="python", by_alias=True, exclude_none=True)
        data = outcome.data.model_dump(mode="json", exclude_defaults=True)
        outcomes.append(_narrative({**raw, "data": {"kind": outcome.data.kind, **data}}))
    return study.model_copy(update={"outcomes": tuple(outcomes)})
