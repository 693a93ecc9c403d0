"""Hold an analysis against its lock file: which numbers moved, by how much, and why.

The lock keeps each row's effect, so that causes can be told apart by refitting: the old rows with
the old method show what the engine's version moved; the old rows with the new method show what the
convention moved; what is left the data moved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mtmeta.audit.analysis import Method
from mtmeta.audit.run import model_of
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, ModelError, RecordError
from mtmeta.reports.bayes_numbers import bayes_refit, flat_bayes, prior_changes
from mtmeta.reports.lock import LOCK_SCHEMA
from mtmeta.reports.summary import numbers

__all__ = ["Moved", "Verdict", "compare_locks", "read_lock"]

Cause = Literal["version", "convention", "data", "published", "question", "unexplained"]

# numbers of the pooled answer that are compared; the rest of a lock explains them
ANSWER = (
    "k",
    "n",
    "estimate",
    "ci",
    "pi",
    "se",
    "df",
    "pvalue",
    "tau2",
    "tau2_ci",
    "i2",
    "h2",
    "q",
    "q_pvalue",
)


@dataclass(frozen=True, slots=True)
class Moved:
    """One number that is no longer what the lock says.

    Attributes
    ----------
    name : str
        Such as ``estimate`` or ``ci low``.
    old, new : float or None
    causes : dict of str to float
        What each cause moved it by; their sum is ``new - old`` where both are numbers.
    """

    name: str
    old: float | None
    new: float | None
    causes: dict[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one lock file."""

    analysis: str
    moved: tuple[Moved, ...]
    changes: tuple[str, ...]
    """What differs between the inputs, conventions and versions then and now, in words."""
    causes: tuple[Cause, ...]

    @property
    def holds(self) -> bool:
        """Whether every number is still what the lock says, within the tolerance."""
        return not self.moved

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data."""
        return {
            "analysis": self.analysis,
            "holds": self.holds,
            "causes": list(self.causes),
            "changes": list(self.changes),
            "moved": [asdict(m) for m in self.moved],
        }


def read_lock(path: Path) -> dict[str, Any]:
    """Read a lock file.

    Raises
    ------
    RecordError
        When it is missing, no JSON, or of a schema this version does not know.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecordError.at(path, 0, "", "there is no lock file; write it with mtmeta run") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        line = getattr(error, "lineno", 0)
        raise RecordError.at(
            path, line, "", f"is no JSON ({error}); write it again with mtmeta run"
        ) from error
    if not isinstance(document, dict) or document.get("schema") != LOCK_SCHEMA:
        raise RecordError.at(
            path, 1, "schema", f"is not {LOCK_SCHEMA}; this lock was written by another version of mtmeta"
        )
    return document


def _flat(answer: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for name in ANSWER:
        value = answer.get(name)
        if isinstance(value, list):
            yield f"{name} low", value[0]
            yield f"{name} high", value[1]
        elif name in ("ci", "pi", "tau2_ci"):
            yield f"{name} low", None
            yield f"{name} high", None
        else:
            yield name, value


def _same(a: float | None, b: float | None, rtol: float) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= rtol * max(abs(a), abs(b), 1e-6)


def _rows(lock: Mapping[str, Any]) -> EffectSizes:
    rows = lock["results"]["rows"]
    return EffectSizes.of(
        [r["yi"] for r in rows],
        [r["vi"] for r in rows],
        lock["results"]["measure"],
        study=[r["study"] for r in rows],
    )


def _refit(lock: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Pool the rows a lock keeps, by a method, with the engine of today."""
    answer = numbers(model_of(method).fit(_rows(lock)), level=method.level, pi_method=method.pi)
    answer["n"] = lock["results"]["today"]["n"]
    return answer


def _answers(lock: Mapping[str, Any], asked: Mapping[str, Any], method: Method) -> dict[str, float | None]:
    """Every compared number from the rows of one lock, by a method and the priors another asks for."""
    results = asked["results"]
    bayes = bayes_refit(_rows(lock), results.get("bayes") or [], better=results["better"])
    return {**dict(_flat(_refit(lock, method))), **bayes}


def compare_locks(old: Mapping[str, Any], new: Mapping[str, Any], *, rtol: float = 1e-8) -> Verdict:
    """Tell what moved between two locks of one analysis, and why.

    Parameters
    ----------
    old, new : dict
        Lock documents.
    rtol : float, default 1e-8
        Relative difference below which a number has not moved.

    Returns
    -------
    Verdict
    """
    before, after = (
        {**dict(_flat(lock["results"]["today"])), **flat_bayes(lock["results"])} for lock in (old, new)
    )
    before = {name: value for name, value in before.items() if name in after}
    then = Method.model_validate(old["results"]["today"]["method"])
    now = Method.model_validate(new["results"]["today"]["method"])
    changes, kinds = _changes(old, new, then, now)
    moved = []
    if any(not _same(before[name], after[name], rtol) for name in before):
        try:
            engine = _answers(old, old, then)
            convention = _answers(old, new, now)
        except (ModelError, AnalysisError):
            engine = convention = before
        steps = {"version": (before, engine), "convention": (engine, convention), "data": (convention, after)}
        for name, value in before.items():
            if not _same(value, after[name], rtol):
                moved.append(Moved(name, value, after[name], _causes(name, steps, rtol)))
    causes = _kinds(moved, kinds)
    published = _published(old, new, rtol)
    if published:
        causes = (*causes, "published")
    return Verdict(new["analysis"], tuple(moved), (*changes, *published), causes)


def _causes(
    name: str, steps: Mapping[str, tuple[Mapping[str, float | None], Mapping[str, float | None]]], rtol: float
) -> dict[str, float]:
    told = {}
    for cause, (a, b) in steps.items():
        first, second = a[name], b[name]
        if first is None or second is None:
            if first is not second:
                told[cause] = float("inf") if second is not None else float("-inf")
        elif not _same(first, second, rtol):
            told[cause] = second - first
    return {k: v if abs(v) != float("inf") else 0.0 for k, v in told.items()}


def _kinds(moved: list[Moved], changed: frozenset[str]) -> tuple[Cause, ...]:
    """Name the causes: a refit that moved a number, and something that was really changed."""
    seen = {cause for m in moved for cause in m.causes}
    out: list[Cause] = []
    if "version" in seen:
        out.append("version" if "version" in changed else "unexplained")
    if "convention" in seen or ("convention" in changed and "data" in seen and "variance" in changed):
        out.append("convention")
    if "data" in seen:
        if "data" in changed:
            out.append("data")
        elif "question" in changed:
            out.append("question")
        if not {"data", "question", "variance"} & changed:
            out.append("version" if "version" in changed else "unexplained")
    return tuple(dict.fromkeys(out))


def _changes(
    old: Mapping[str, Any], new: Mapping[str, Any], then: Method, now: Method
) -> tuple[tuple[str, ...], frozenset[str]]:
    words: list[str] = []
    kinds: set[str] = set()
    for package, version in new["versions"].items():
        if (was := old["versions"].get(package)) != version:
            words.append(f"version: {package} {was} is now {version}")
            kinds.add("version")
    for field, value in now.model_dump().items():
        if (was := getattr(then, field)) != value:
            words.append(f"convention: {field} was {was} and is {value}")
            kinds |= {"convention", "variance"} if field == "variance" else {"convention"}
    records_then, records_now = old["inputs"]["records"], new["inputs"]["records"]
    for study in sorted(set(records_now) - set(records_then)):
        words.append(f"data: {study} is new")
        kinds.add("data")
    for study in sorted(set(records_then) - set(records_now)):
        words.append(f"data: {study} is gone")
        kinds.add("data")
    for study in sorted(set(records_then) & set(records_now)):
        if records_then[study] != records_now[study]:
            words.append(f"data: the record of {study} was changed{_row_change(study, old, new)}")
            kinds.add("data")
    for change in prior_changes(old["results"], new["results"]):
        words.append(change)
        kinds.add(change.partition(":")[0])
    if old["inputs"]["analysis"]["hash"] != new["inputs"]["analysis"]["hash"]:
        words.append("question: the analysis file was changed")
        kinds.add("question")
    return tuple(words), frozenset(kinds)


def _row_change(study: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    def row(lock: Mapping[str, Any]) -> dict[str, Any] | None:
        return next((r for r in lock["results"]["rows"] if r["study"] == study), None)

    a, b = row(old), row(new)
    if a is None or b is None:
        return "" if a is b else "; it is no longer pooled" if b is None else "; it is pooled now"
    if (a["yi"], a["vi"]) == (b["yi"], b["vi"]):
        return ", not in its effect"
    return f": effect {a['yi']:.4g} is now {b['yi']:.4g}, variance {a['vi']:.4g} is now {b['vi']:.4g}"


def _published(old: Mapping[str, Any], new: Mapping[str, Any], rtol: float) -> tuple[str, ...]:
    """Say what moved in the figures held beside published ones."""

    def figures(lock: Mapping[str, Any]) -> dict[str, Any]:
        results = lock["results"]
        return {p["label"]: p for p in [results["published"], *results["more_published"]] if p is not None}

    before, after = figures(old), figures(new)
    words = []
    for label in sorted(set(before) & set(after)):
        a, b = before[label], after[label]
        if a["agreement"] != b["agreement"]:
            words.append(f"published: {label} {a['agreement']} before, {b['agreement']} now")
        elif a["ours"] is not None and b["ours"] is not None:
            was, now = a["ours"]["estimate"], b["ours"]["estimate"]
            if not _same(was, now, rtol):
                words.append(f"published: ours beside {label} was {was:.6g} and is {now:.6g}")
    words += [f"published: {label} is new" for label in sorted(set(after) - set(before))]
    words += [f"published: {label} is gone" for label in sorted(set(before) - set(after))]
    return tuple(words)
