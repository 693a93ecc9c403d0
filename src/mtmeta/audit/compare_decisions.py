"""The decision file: who decided what where two extractors differ, and the records that follow from it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mtmeta.audit.checks.rows import ulp
from mtmeta.audit.compare import Disagreement, changed, compare, fields_of
from mtmeta.errors import Problem, RecordError
from mtmeta.records.folder import Studies
from mtmeta.records.schema import Model, Study, Text

__all__ = ["Decision", "Decisions", "decisions_for", "dump_decisions", "read_decisions", "reconcile"]

Value = float | int | bool | Text | None


class Decision(Model):
    """One disagreement and, once somebody has looked, what holds."""

    study: Text
    field: Text
    a: Value = None
    b: Value = None
    take: Literal["a", "b", "value"] | None = None
    """None until it is decided."""
    value: Value = None
    """What holds where neither extractor was right."""
    by: Text | None = None
    when: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    why: Text | None = None

    @property
    def decided(self) -> bool:
        """Whether it says what holds, by whom, when and why."""
        return None not in (self.take, self.by, self.when, self.why)

    @property
    def agreed(self) -> Value:
        """What holds."""
        return self.a if self.take == "a" else self.b if self.take == "b" else self.value


class Decisions(Model):
    """A decision file."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    decisions: Annotated[tuple[Decision, ...], Field(strict=False)]


def decisions_for(found: Iterable[Disagreement], before: Iterable[Decision] = ()) -> tuple[Decision, ...]:
    """Return an entry for each disagreement; one decided before stays, if both values are still the same."""
    known = {(d.study, d.field): d for d in before}
    out = []
    for item in found:
        old = known.get((item.study, item.field))
        same = old is not None and (old.a, old.b) == (item.a, item.b)
        out.append(
            old
            if old is not None and same
            else Decision(study=item.study, field=item.field, a=item.a, b=item.b)
        )
    return tuple(out)


def dump_decisions(decisions: Iterable[Decision]) -> str:
    """Return the text of a decision file."""
    import yaml

    head = (
        "# Where two extractions differ. For each entry write take: a, b or value (with value: below it),\n"
        "# by, when (YYYY-MM-DD) and why; then mtmeta reconcile writes the agreed records.\n"
    )
    entries = [
        {key: value for key, value in d.model_dump().items() if key != "value" or value is not None}
        for d in decisions
    ]
    return head + yaml.safe_dump(
        {"schema": 1, "decisions": entries}, sort_keys=False, allow_unicode=True, width=110
    )


def read_decisions(path: str | Path) -> tuple[Decision, ...]:
    """Read a decision file.

    Raises
    ------
    RecordError
        With every problem, by path and line.
    """
    from mtmeta.records.yamltext import load_model

    return load_model(Path(path), Decisions).decisions


def reconcile(a: Studies, b: Studies, decisions: Iterable[Decision], *, path: str = "") -> tuple[Study, ...]:
    """Return the agreed records: A's, with what was decided put in place.

    Where two numbers agree but for rounding, the one with more digits is taken. Words that are not compared
    are A's.

    Parameters
    ----------
    a, b : Studies
    decisions : iterable of Decision
    path : str
        The decision file, for messages.

    Raises
    ------
    RecordError
        When a disagreement is not decided, a decision is about none, or a record cannot hold it.
    """
    told = {(d.study, d.field): d for d in decisions}
    found = compare(a, b).disagreements
    problems = [
        Problem(
            path, 0, f"{d.study} {d.field}", f"is not decided (a: {d.a}, b: {d.b}); write take, by, when, why"
        )
        for d in found
        if not _fits(told.get((d.study, d.field)), d)
    ]
    open_ones = {(d.study, d.field) for d in found}
    problems += [
        Problem(
            path, 0, f"{study} {field}", "is no disagreement of these records; leave it out or compare anew"
        )
        for study, field in told
        if (study, field) not in open_ones
    ]
    if problems:
        raise RecordError(problems)
    mine, theirs = set(a.ids), set(b.ids)
    out = []
    for name in sorted(mine | theirs):
        of_study = [told[d.study, d.field] for d in found if d.study == name]
        whole = next((d for d in of_study if d.field == "record"), None)
        if whole is not None:
            if whole.agreed == "present":
                out.append(a[name] if name in mine else b[name])
            continue
        out.append(_agreed(a[name], b[name], of_study))
    return tuple(out)


def _fits(decision: Decision | None, found: Disagreement) -> bool:
    return decision is not None and decision.decided and (decision.a, decision.b) == (found.a, found.b)


def _agreed(one: Study, two: Study, decisions: list[Decision]) -> Study:
    study = _finer(one, two)
    for decision in decisions:
        parts = decision.field.split(".")
        if parts[0] == "outcomes" and len(parts) == 2:
            study = _with_outcome(study, two, parts[1], keep=decision.agreed == "present")
        else:
            study = changed(study, decision.field, decision.agreed)
    return study


def _finer(one: Study, two: Study) -> Study:
    """Take the number with more digits where both agree but for rounding."""
    first, second = fields_of(one), fields_of(two)
    for field, x in first.items():
        y = second.get(field)
        numbers = isinstance(x, float) and isinstance(y, float)
        if numbers and x != y and ulp(float(y)) < ulp(float(x)):  # type: ignore[arg-type]
            from mtmeta.audit.compare import same_number

            if same_number(float(x), float(y)):  # type: ignore[arg-type]
                one = changed(one, field, y)
    return one


def _with_outcome(study: Study, other: Study, name: str, *, keep: bool) -> Study:
    rest = tuple(o for o in study.outcomes if o.id != name)
    if not keep:
        return study.model_copy(update={"outcomes": rest})
    if len(rest) < len(study.outcomes):
        return study
    return study.model_copy(update={"outcomes": (*rest, other.outcome(name))})
