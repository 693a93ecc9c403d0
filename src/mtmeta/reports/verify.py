"""Hold an analysis against its lock file: which numbers moved, by how much, and why.

The lock keeps each row's effect and each record's hash, so that causes can be told apart by refitting: the
old rows with the old method show what the engine's version moved; with the new method, what the convention
moved; the effects of records that nobody changed, what computing them anew moved; then rows come and go; what
is left the changed records moved.
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
from mtmeta.reports.lock_parts import moved_leaves, section_changes
from mtmeta.reports.summary import numbers

__all__ = ["Moved", "Verdict", "compare_locks", "read_lock", "shown"]

Cause = Literal["version", "convention", "data", "question", "published", "unexplained"]
_CAUSES: tuple[Cause, ...] = ("version", "convention", "data", "question", "published", "unexplained")

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
    old, new : float, str or None
        A word where a rating moved, such as the certainty.
    causes : dict of str to float
        What each cause moved it by; their sum is ``new - old`` where both are numbers. Empty for what no
        refit can split: ratings, subgroups.
    """

    name: str
    old: float | str | None
    new: float | str | None
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
        return not self.moved and "published" not in self.causes

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data."""
        return {
            "analysis": self.analysis,
            "holds": self.holds,
            "causes": list(self.causes),
            "changes": list(self.changes),
            "moved": [asdict(m) for m in self.moved],
        }


def shown(value: float | str | None) -> str:
    """Write an old or new value for people.

    Examples
    --------
    >>> shown(-0.28997369), shown(17.0), shown("very low"), shown(None)
    ('-0.289974', '17', 'very low', 'none')
    """
    return "none" if value is None else value if isinstance(value, str) else f"{value:.6g}"


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


def _refit(rows: list[Mapping[str, Any]], measure: str, method: Method) -> tuple[EffectSizes, dict[str, Any]]:
    """Pool rows that a lock keeps, by a method, with the engine of today."""
    es = EffectSizes.of(
        [r["yi"] for r in rows], [r["vi"] for r in rows], measure, study=[r["study"] for r in rows]
    )
    return es, numbers(model_of(method).fit(es), level=method.level, pi_method=method.pi)


def _answers(
    rows: list[Mapping[str, Any]], n: int | None, asked: Mapping[str, Any], method: Method
) -> dict[str, float | None]:
    """Every compared number from some rows, by a method and the measure and priors of a lock."""
    results = asked["results"]
    es, pooled = _refit(rows, results["measure"], method)
    bayes = bayes_refit(es, results.get("bayes") or [], better=results["better"])
    return {**dict(_flat({**pooled, "n": n})), **bayes}


def compare_locks(old: Mapping[str, Any], new: Mapping[str, Any], *, rtol: float = 1e-8) -> Verdict:
    """Tell what moved between two locks of one analysis, and why.

    Parts that only the newer lock holds (an answer or a rating that came with a later version) are new and
    not moved.

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
    changed = _changes(old, new, then, now)
    moved = []
    if any(not _same(before[name], after[name], rtol) for name in before):
        steps = _steps(old, new, (then, now), changed, (before, after))
        for name, value in before.items():
            if not _same(value, after[name], rtol):
                moved.append(Moved(name, value, after[name], _causes(name, steps, rtol)))
    causes = list(dict.fromkeys(part for m in moved for cause in m.causes for part in cause.split(" or ")))
    beside = [Moved(*leaf, {}) for leaf in moved_leaves(old["results"], new["results"], rtol=rtol)]
    if beside and not moved:
        causes += sorted(changed.kinds) or ["unexplained"]
    published, figures_moved = _published(old, new, rtol)
    if figures_moved:
        causes.append("published")
    sections = section_changes(old["results"], new["results"])
    words = (*changed.words, *sections, *published)
    ordered = tuple(cause for cause in _CAUSES if cause in causes)
    return Verdict(new["analysis"], (*moved, *beside), words, ordered)


@dataclass(frozen=True, slots=True)
class _Changed:
    """What differs between the inputs of two locks."""

    words: tuple[str, ...]
    kinds: frozenset[str]
    effects: str
    """What moves the effects of records that nobody changed."""
    rows: str
    """What lets rows come and go."""
    records: frozenset[str]
    """Trials whose record is the same in both."""


_Answers = Mapping[str, float | None]
_Step = tuple[str, _Answers, _Answers]


def _steps(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    methods: tuple[Method, Method],
    changed: _Changed,
    ends: tuple[_Answers, _Answers],
) -> list[_Step]:
    """Walk from the old answer to the new one, one cause at a time.

    The old rows by the old method and today's engine; by today's method; with the effects that today gives
    for records nobody changed; with the rows that came and without those that went; with the changed records.
    """
    then, now = methods
    before, after = ends
    one, two = old["results"]["rows"], new["results"]["rows"]
    in_both = {r["study"] for r in one} & {r["study"] for r in two}
    same = changed.records & in_both
    effects = [*(r for r in one if r["study"] not in same), *(r for r in two if r["study"] in same)]
    come = [r for r in two if r["study"] not in in_both]
    rows = [*(r for r in effects if r["study"] in in_both), *come]
    went = {r["study"] for r in one} - in_both
    n_old, n_new = old["results"]["today"]["n"], new["results"]["today"]["n"]
    engine_cause = "version" if "version" in changed.kinds else "unexplained"
    try:
        engine = _answers(one, n_old, old, then)
        method = _answers(one, n_old, new, now)
        effect = _answers(effects, n_old, new, now)
        pooled = _answers(rows, n_new if come or went else n_old, new, now)
    except (ModelError, AnalysisError):
        # the old rows cannot be pooled by today's method, so that the shares cannot be told
        return [(" or ".join(sorted(changed.kinds)) or "unexplained", before, after)]
    return [
        (engine_cause, before, engine),
        ("convention", engine, method),
        (changed.effects, method, effect),
        (changed.rows, effect, pooled),
        ("data" if "data" in changed.kinds else engine_cause, pooled, after),
    ]


def _causes(name: str, steps: list[_Step], rtol: float) -> dict[str, float]:
    told: dict[str, float] = {}
    for cause, a, b in steps:
        first, second = a.get(name), b.get(name)
        if first is None or second is None:
            if first is not second:
                told.setdefault(cause, 0.0)
        elif not _same(first, second, rtol):
            told[cause] = told.get(cause, 0.0) + second - first
    return told


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], then: Method, now: Method) -> _Changed:
    words: list[str] = []
    kinds: set[str] = set()
    for package, version in new["versions"].items():
        if (was := old["versions"].get(package)) != version:
            words.append(f"version: {package} {was} is now {version}")
            kinds.add("version")
    for field, value in now.model_dump().items():
        if (was := getattr(then, field)) != value:
            words.append(f"convention: {field} was {was} and is {value}")
            kinds.add("convention")
    records_then, records_now = old["inputs"]["records"], new["inputs"]["records"]
    both = set(records_now) & set(records_then)
    words += [f"data: {study} is new" for study in sorted(set(records_now) - both)]
    words += [f"data: {study} is gone" for study in sorted(set(records_then) - both)]
    same = frozenset(study for study in both if records_then[study] == records_now[study])
    for study in sorted(both - same):
        words.append(f"data: the record of {study} was changed{_row_change(study, old, new)}")
    if len(same) < len(set(records_now) | set(records_then)):
        kinds.add("data")
    for change in prior_changes(old["results"], new["results"]):
        words.append(change)
        if change.startswith("convention:"):
            # an answer under further priors is asked beside the others and moves none of them
            kinds.add("convention")
    asked = _question_changed(old, new, conventions=then != now)
    words += asked
    if any(word.startswith("question") for word in asked):
        kinds.add("question")
    rows = (
        "data or question" if {"data", "question"} <= kinds else "question" if "question" in kinds else "data"
    )
    fallback = "version" if "version" in kinds else "unexplained"
    effects = (
        "convention" if then.variance != now.variance else "question" if "question" in kinds else fallback
    )
    return _Changed(tuple(words), frozenset(kinds), effects, rows, same)


def _question_changed(old: Mapping[str, Any], new: Mapping[str, Any], *, conventions: bool) -> list[str]:
    """Say whether the analysis file asks for other rows or effects; locks before 0.1 tell only its hash."""
    then, now = old["inputs"]["analysis"], new["inputs"]["analysis"]
    if then["hash"] == now["hash"]:
        return []
    if "question" not in then or "question" not in now:
        return ["question: the analysis file was changed"]
    if then["question"] != now["question"]:
        return ["question: what is selected, computed or left out was changed in the analysis file"]
    return (
        [] if conventions else ["the analysis file was changed, in nothing that selects, computes or pools"]
    )


def _row_change(study: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    def row(lock: Mapping[str, Any]) -> dict[str, Any] | None:
        return next((r for r in lock["results"]["rows"] if r["study"] == study), None)

    a, b = row(old), row(new)
    if a is None or b is None:
        return "" if a is b else "; it is no longer pooled" if b is None else "; it is pooled now"
    if (a["yi"], a["vi"]) == (b["yi"], b["vi"]):
        return ", not in its effect"
    return f": effect {a['yi']:.4g} is now {b['yi']:.4g}, variance {a['vi']:.4g} is now {b['vi']:.4g}"


def _published(old: Mapping[str, Any], new: Mapping[str, Any], rtol: float) -> tuple[tuple[str, ...], bool]:
    """Say what moved in the figures held beside published ones, and whether anything did."""

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
    moved = bool(words)
    words += [f"published: {label} is new" for label in sorted(set(after) - set(before))]
    words += [f"published: {label} is gone" for label in sorted(set(before) - set(after))]
    return tuple(words), moved
