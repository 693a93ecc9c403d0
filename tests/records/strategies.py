"""Arbitrary valid records, built from the schema itself: a field added there is tested without a change."""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Any, Literal

import annotated_types as at
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mtmeta.records.forms import CONTROL, DATE, DOI, SLUG
from mtmeta.records.schema import Study

# Texts that some reader of YAML takes for something else, or that need care in quotes or blocks.
TRAPS = [
    *("NO", "yes", "off", "y", "null", "~", "true", "1:30", "012", "0o14", "0x1F", "1e5", "1_000", ".5", "-"),
    *("2020-01-01", ".inf", ".NaN", "=", "<<", "---", "...", "<0.001", "0.03", "+5", "*a", "&a", "!x", "%x"),
    *("@x", "`x`", "a: b", "a:", "a #b", "#a", "- a", "? a", ": a", "[a", "{a", "a, b", "a]b", "'a'", '"a"'),
    *("a'b\"c", "back\\slash", " a", "a ", "a  b", "a\nb", "a\n\nb", "\na", "a\n", "a\n b", " a\nb", "a \nb"),
    *("tab\there", "τ² – 95 % Konfidenzintervall", "音楽", "🎵", "\u00a0", "é" * 130, "word " * 60 + "end"),
    *("a  b " * 40 + "c", "x" * 300, "long line " * 20 + "\nsecond " * 3 + "end", "https://doi.org/10.1/x#y"),
]
_CHARACTERS = st.characters(codec="utf-8").filter(lambda c: not CONTROL.search(c) and c != "\r")
TEXT = st.sampled_from(TRAPS) | st.text(_CHARACTERS, min_size=1, max_size=60)
_WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
SLUGS = st.lists(_WORD, min_size=1, max_size=4).map("-".join) | st.sampled_from(["no", "012", "1", "null"])
FORMS = {
    SLUG: SLUGS,
    DOI: _WORD.map(lambda word: f"10.1234/{word}(95)<1:2>#x"),
    DATE: st.dates().map(str),
}


def _metadata(parts: typing.Iterable[Any]) -> list[Any]:
    """Flatten the constraints of pydantic's Field and of annotated_types into one list."""
    return [m for part in parts for m in (part.metadata if isinstance(part, FieldInfo) else [part])]


def _limit(constraints: list[Any], name: str) -> Any:
    return next((getattr(c, name) for c in constraints if getattr(c, name, None) is not None), None)


def _number(kind: type, constraints: list[Any]) -> st.SearchStrategy[Any]:
    low, high = _limit(constraints, "ge"), _limit(constraints, "le")
    above, below = _limit(constraints, "gt"), _limit(constraints, "lt")
    if kind is int:
        return st.integers(low, high)
    small = st.floats(
        low if low is not None else above,
        high if high is not None else below,
        exclude_min=above is not None,
        exclude_max=below is not None,
        allow_nan=False,
        allow_infinity=False,
    )
    if above is not None or below is not None:
        return small
    least = 0 if low is None else int(low)
    return small | st.integers(least, least + 1).map(float)


def of(annotation: Any, constraints: list[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for one annotation with its constraints."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return of(arguments[0], [*_metadata(arguments[1:]), *constraints])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([of(argument, []) for argument in arguments])
    if annotation is type(None):
        return st.none()
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            least = next((c.min_length for c in constraints if isinstance(c, at.MinLen)), 0)
            return st.lists(of(arguments[0], []), min_size=least, max_size=least + 2)
        return st.tuples(*(of(argument, []) for argument in arguments)).map(list)
    if annotation is str:
        pattern = _limit(constraints, "pattern")
        return FORMS[pattern] if pattern else TEXT
    if annotation in (int, float):
        return _number(annotation, constraints)
    assert issubclass(annotation, BaseModel), annotation
    return model(annotation)


@st.composite
def model(draw: st.DrawFn, kind: type[BaseModel]) -> dict[str, Any]:
    """Draw the plain form of a model: required keys always, others sometimes."""
    return draw(_fields(kind))  # behind a function: the schema spelled out is too long for a repr


@cache
def _fields(kind: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {field.alias or name: field for name, field in kind.model_fields.items()}
    made = {
        name: st.deferred(lambda f=field: of(f.annotation, list(f.metadata)))
        for name, field in fields.items()
    }
    required = {name: made[name] for name, field in fields.items() if field.is_required()}
    optional = {name: made[name] for name in fields if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def _consistent(raw: dict[str, Any]) -> Study:
    """Make ids unique and flags point at something, the two things that single fields cannot know."""
    for position, outcome in enumerate(raw["outcomes"]):
        outcome["id"] = f"{outcome['id'][:60]}-{position}"
    targets = ["study", *(f"outcomes.{outcome['id']}" for outcome in raw["outcomes"])]
    for key in ("flags", "checked"):
        for position, entry in enumerate(raw.get(key, ())):
            entry["about"] = targets[position % len(targets)]
    return Study.model_validate(raw)


STUDIES: st.SearchStrategy[Study] = model(Study).map(_consistent)
