"""Two extractions of the same trials: how far they agree, where they do not, and what that moves."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from mtmeta.audit.checks.rows import ulp
from mtmeta.audit.compare_agreement import Agreement, exact_agreement, icc, kappa
from mtmeta.audit.cost import pooled_of, row_effect
from mtmeta.audit.findings import Pooled
from mtmeta.audit.run import AnalysisRun
from mtmeta.errors import RecordError
from mtmeta.records.folder import Studies
from mtmeta.records.schema import Outcome, Study

__all__ = ["Comparison", "Disagreement", "FieldAgreement", "Move", "compare", "fields_of", "same_number"]

Value = float | int | str | bool | None
Kind = Literal["number", "category", "presence"]

# Words in which two people may differ and mean the same; they are not compared
_FREE = re.compile(
    r"(^|\.)(note|text|description|title|authors|journal|as_printed|dose_as_printed|time_as_printed|printed|why"
    r"|certainty|via|where|judged_by|music|label|sources|population\.group|adjusted_for|name|seen_at|by"
    r"|reviews|used_in|cite)(\.\d+)?$"
)
_SKIPPED = ("flags", "checked", "schema", "id", "sources")


@dataclass(frozen=True, slots=True)
class Move:
    """The pooled estimate of an analysis with A's value, and with B's in its place."""

    analysis: str
    a: Pooled
    b: Pooled


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One entry on which two extractors differ.

    Attributes
    ----------
    study : str
    field : str
        Dotted place in the record, outcomes by their id: ``outcomes.anxiety.data.music.sd``. ``record`` where
        only one has the trial, ``outcomes.<id>`` where only one has the outcome.
    kind : {"number", "category", "presence"}
    a, b : float, str, bool or None
        None where it was not extracted.
    moves : tuple of Move
        One for each analysis that pools the row.
    """

    study: str
    field: str
    kind: Kind
    a: Value
    b: Value
    moves: tuple[Move, ...] = ()

    @property
    def largest_move(self) -> float:
        """Largest move of an estimate, in standard errors."""
        return max((abs(m.b.estimate - m.a.estimate) / m.a.se for m in self.moves), default=0.0)


@dataclass(frozen=True, slots=True)
class FieldAgreement:
    """Agreement on one kind of entry over all trials."""

    field: str
    kind: Kind
    exact: Agreement
    chance_corrected: Agreement
    """Cohen's kappa for categories, ICC(A,1) for numbers."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two extractors agree on and what not."""

    trials: int
    exact: Agreement
    fields: tuple[FieldAgreement, ...]
    disagreements: tuple[Disagreement, ...]


def same_number(a: float, b: float) -> bool:
    """Whether two numbers differ by no more than rounding to the coarser one's last digit.

    Examples
    --------
    >>> same_number(3.5, 3.46), same_number(3.5, 3.56), same_number(15, 16)
    (True, False, False)
    """
    return abs(a - b) <= 0.5 * max(ulp(float(a)), ulp(float(b))) + 1e-12 * max(abs(a), abs(b))


def fields_of(study: Study) -> dict[str, Value]:
    """Return the entries of a record that can be compared, by their dotted place."""
    plain = json.loads(study.model_dump_json(by_alias=True, exclude_none=True))
    found: dict[str, Value] = {}
    for key, value in plain.items():
        if key in _SKIPPED:
            continue
        if key == "outcomes":
            for outcome in value:
                found.update(_leaves(outcome, f"outcomes.{outcome['id']}"))
        else:
            found.update(_leaves(value, key))
    return {k: v for k, v in found.items() if not _FREE.search(k) and not k.endswith(".id")}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}")
    elif isinstance(value, list):
        if all(isinstance(part, str) for part in value):
            yield path, ", ".join(sorted(value))
        else:
            for i, part in enumerate(value):
                yield from _leaves(part, f"{path}.{i}")
    else:
        yield path, value


def compare(a: Studies, b: Studies, *, runs: Sequence[AnalysisRun] = ()) -> Comparison:
    """Hold two extractions of the same trials against each other.

    Trials and outcomes are matched by their ids. Free words (notes, descriptions, places) are not compared;
    numbers that differ by rounding agree.

    Parameters
    ----------
    a, b : Studies
    runs : sequence of AnalysisRun
        Analyses run over `a`; each disagreement is told with what it moves in them.

    Returns
    -------
    Comparison
        Disagreements that move most stand first.

    Examples
    --------
    >>> from mtmeta.records.locate import example_studies
    >>> icu = example_studies("icu")
    >>> found = compare(icu, icu)
    >>> found.exact.estimate, found.disagreements
    (1.0, ())
    """
    found: list[Disagreement] = []
    pairs: dict[str, list[tuple[Value, Value]]] = defaultdict(list)
    mine, theirs = set(a.ids), set(b.ids)
    common = sorted(mine & theirs)
    for only, name in [(i, "a") for i in sorted(mine - theirs)] + [(i, "b") for i in sorted(theirs - mine)]:
        found.append(_presence(only, "record", name))
    for name in common:
        found += _of_trial(a[name], b[name], pairs)
    moved = [replace(d, moves=tuple(_moves(d, a[d.study], runs))) if d.study in mine else d for d in found]
    moved.sort(key=lambda d: (-d.largest_move, d.study, d.field))
    everything = [_agrees(x, y) for entries in pairs.values() for x, y in entries]
    return Comparison(
        len(common),
        exact_agreement(sum(everything), len(everything)),
        tuple(_field(name, entries) for name, entries in sorted(pairs.items())),
        tuple(moved),
    )


def _presence(study: str, field: str, who: str) -> Disagreement:
    values = ("present", "absent") if who == "a" else ("absent", "present")
    return Disagreement(study, field, "presence", *values)


def _of_trial(one: Study, two: Study, pairs: dict[str, list[tuple[Value, Value]]]) -> Iterator[Disagreement]:
    mine, theirs = {o.id for o in one.outcomes}, {o.id for o in two.outcomes}
    for outcome in sorted(mine ^ theirs):
        yield _presence(one.id, f"outcomes.{outcome}", "a" if outcome in mine else "b")
    lone = tuple(f"outcomes.{o}." for o in mine ^ theirs)
    first, second = fields_of(one), fields_of(two)
    for field in dict.fromkeys([*first, *second]):
        if field.startswith(lone) and lone:
            continue
        x, y = first.get(field), second.get(field)
        pairs[_pattern(field)].append((x, y))
        if not _agrees(x, y):
            yield Disagreement(one.id, field, _kind([x, y]), x, y)


def _pattern(field: str) -> str:
    """Name of a field over all trials: without the outcome's id."""
    return re.sub(r"^outcomes\.[^.]+\.", "outcomes.", field)


def _number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _agrees(x: Value, y: Value) -> bool:
    if _number(x) and _number(y):
        return same_number(float(x), float(y))  # type: ignore[arg-type]
    return x == y


def _kind(values: Sequence[Value]) -> Kind:
    return "number" if all(v is None or _number(v) for v in values) else "category"


def _field(name: str, entries: list[tuple[Value, Value]]) -> FieldAgreement:
    agreed = exact_agreement(sum(_agrees(x, y) for x, y in entries), len(entries))
    kind = _kind([v for pair in entries for v in pair])
    if kind == "category":
        return FieldAgreement(
            name, kind, agreed, kappa([str(x) for x, _ in entries], [str(y) for _, y in entries])
        )
    both = [(float(x), float(y)) for x, y in entries if _number(x) and _number(y)]  # type: ignore[arg-type]
    return FieldAgreement(name, kind, agreed, icc(np.array(both).reshape(-1, 2)))


# ---- what a disagreement moves ----


def changed(study: Study, field: str, value: Value) -> Study:
    """Return a record with one entry changed, or left out for None.

    Raises
    ------
    RecordError
        When the record cannot hold the value there.
    """
    from pydantic import ValidationError

    from mtmeta.errors import Problem

    plain = json.loads(study.model_dump_json(by_alias=True, exclude_none=True))
    parts = field.split(".")
    node: Any = plain
    if parts[0] == "outcomes":
        node = next(o for o in plain["outcomes"] if o["id"] == parts[1])
        parts = parts[2:]
    for part in parts[:-1]:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    last: Any = int(parts[-1]) if isinstance(node, list) else parts[-1]
    if isinstance(node, dict) and isinstance(node.get(last), list) and isinstance(value, str):
        value = value.split(", ")  # type: ignore[assignment]
    if value is None and isinstance(node, dict):
        node.pop(last, None)
    else:
        node[last] = value
    try:
        return Study.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        text = "; ".join(e["msg"] for e in error.errors())
        raise RecordError([Problem(study.id, 0, field, f"cannot be {value!r}: {text}")]) from error


def _moves(item: Disagreement, study: Study, runs: Sequence[AnalysisRun]) -> Iterator[Move]:
    parts = item.field.split(".")
    if item.kind == "presence" or parts[0] != "outcomes" or parts[2] != "data":
        return
    users = [(run, at) for run in runs if (at := _at(run, study.id, parts[1])) is not None]
    if not users:
        return
    try:
        other: Outcome = changed(study, item.field, item.b).outcome(parts[1])
    except RecordError:
        # a value that fits the other record only together with further entries has no pool of its own
        return
    for run, at in users:
        effect = row_effect(study, other, run)
        before = pooled_of(run, run.effects)
        if effect is None or before is None:
            continue
        yi, vi = run.effects.yi.copy(), run.effects.vi.copy()
        yi[at], vi[at] = effect
        after = pooled_of(run, replace(run.effects, yi=yi, vi=vi))
        if after is not None:
            yield Move(run.analysis.name, before, after)


def _at(run: AnalysisRun, study: str, outcome: str) -> int | None:
    if run.effects.columns is None:
        return None
    names = [str(o) for o in run.effects.columns["outcome"]]
    return next((i for i, s in enumerate(run.effects.study) if s == study and names[i] == outcome), None)
