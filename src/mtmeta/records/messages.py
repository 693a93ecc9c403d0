"""What pydantic found, said for people: which place, what stands there, what to write instead."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mtmeta.records.forms import REMEDIES, PlacedError

__all__ = ["Place", "explain", "nearest", "quoted"]

Path = tuple[str | int, ...]
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a document an error stands, and what the model allows there.

    Parameters
    ----------
    path : tuple
        Keys and positions from the top, without the labels that unions add.
    value : object
        What stands there.
    types : tuple
        What may stand there: classes, ``Literal`` forms, ``tuple[...]``.
    owner : type or None
        The model whose key the last step is.
    """

    path: Path
    value: Any
    types: tuple[Any, ...]
    owner: type[BaseModel] | None

    @property
    def words(self) -> tuple[str, ...]:
        """Allowed words, if the place takes words of a list."""
        return tuple(
            str(word)
            for option in self.types
            if typing.get_origin(option) is Literal
            for word in typing.get_args(option)
        )

    @property
    def field(self) -> FieldInfo | None:
        """The field of the owner, if the last step is one."""
        return _fields(self.owner).get(str(self.path[-1])) if self.owner and self.path else None


def explain(
    error: ErrorDetails, model: type[BaseModel], value: Any, raw: Callable[[Path], str | None]
) -> list[tuple[Path, str]]:
    """Turn one pydantic error into messages with their paths.

    Parameters
    ----------
    error : ErrorDetails
        One item of ``ValidationError.errors()``.
    model : type
        The model that was read.
    value : object
        The document.
    raw : callable
        Gives the spelling of a number at a path, so that 1.10 is not shown as 1.1.

    Returns
    -------
    list of (path, message)
        More than one only for a :class:`~mtmeta.records.forms.PlacedError`.
    """
    place = _locate(model, value, error["loc"])
    context = error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, PlacedError):
        return [((*place.path, *path), message) for path, message in cause.found]
    kind = error["type"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return [_tag(place, str(context["discriminator"]).strip("'"))]
    if kind == "too_short" and isinstance(place.value, list) and len(place.value) >= context["min_length"]:
        return []  # long enough, but its items are wrong, which pydantic reports too
    if kind in _MESSAGES:
        return [(place.path, _MESSAGES[kind](place, context, raw(place.path)))]
    if kind == "value_error":
        return [(place.path, str(cause))]
    return [
        (place.path, f"{_is(place.value, raw(place.path))}; {error['msg'][:1].lower()}{error['msg'][1:]}")
    ]


def nearest(word: str, words: Iterable[str], most: int = 2) -> list[str]:
    """Return the words nearest to a word, the nearest first; upper case does not count.

    Examples
    --------
    >>> nearest("Cardiac", ["cardiac", "icu", "cancer"], most=1)
    ['cardiac']
    """
    plain = {_bare(w): w for w in words}
    wanted = _bare(word)
    inside = sorted((w for w in plain if f" {w} " in f" {wanted} "), key=len, reverse=True)
    close = difflib.get_close_matches(wanted, plain, n=most, cutoff=0.6)
    return [plain[c] for c in dict.fromkeys([*inside, *close])][:most]


def _bare(word: str) -> str:
    return word.lower().replace("_", " ").replace("-", " ")


def quoted(text: str, most: int = 60) -> str:
    r"""Return text in quotes as one short printable line.

    Examples
    --------
    >>> quoted("a\nb")
    '"a\\nb"'
    """
    short = text if len(text) <= most else text[: most - 1] + "…"
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in short) + '"'


# ---- finding the place -------------------------------------------------------------------------


def _fields(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    if model is None:
        return {}
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _options(annotation: Any) -> tuple[Any, ...]:
    """Spread an annotation into what it allows, without None, ``Annotated`` and unions."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _options(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(o for part in typing.get_args(annotation) for o in _options(part))
    return () if annotation is type(None) else (annotation,)


def _models(options: Iterable[Any]) -> list[type[BaseModel]]:
    return [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]


def _locate(model: type[BaseModel], value: Any, loc: tuple[str | int, ...]) -> Place:
    """Follow pydantic's location through the document, leaving out the labels of unions."""
    place = Place((), value, (model,), None)
    for step in loc:
        place = _step(place, step)
    return place


def _step(place: Place, step: str | int) -> Place:
    models = _models(place.types)
    if isinstance(step, int):
        inside = place.value[step] if _has(place.value, step) else _ABSENT
        options = tuple(o for t in place.types for o in _inner(t))
        return Place((*place.path, step), inside, options, None)
    if len(models) > 1:
        return Place(place.path, place.value, tuple(_chosen(models, step, place.value)), place.owner)
    fields = _fields(models[0]) if models else {}
    if step in fields or _has(place.value, step):
        inside = place.value[step] if _has(place.value, step) else _ABSENT
        options = _options(fields[step].annotation) if step in fields else ()
        if not models:
            options = tuple(o for t in place.types for o in _inner(t))
        return Place((*place.path, step), inside, options, models[0] if models else None)
    return place  # the label of a union's branch, such as "str"


def _has(value: Any, step: str | int) -> bool:
    if isinstance(step, int):
        return isinstance(value, list) and step < len(value)
    return isinstance(value, dict) and step in value


def _inner(option: Any) -> tuple[Any, ...]:
    """Return what a list or mapping type holds."""
    arguments = [a for a in typing.get_args(option) if a is not Ellipsis]
    if typing.get_origin(option) in (dict, Mapping, types.MappingProxyType):
        arguments = arguments[1:]
    return tuple(o for a in arguments for o in _options(a))


def _chosen(models: list[type[BaseModel]], label: str, value: Any) -> list[type[BaseModel]]:
    """Pick the models that a union's label means: by the tag in the document or by name."""
    by_tag = [
        model
        for model in models
        for name, field in _fields(model).items()
        if typing.get_origin(field.annotation) is Literal
        and label in typing.get_args(field.annotation)
        and isinstance(value, dict)
        and value.get(name) == label
    ]
    return by_tag[:1] or [m for m in models if m.__name__ == label] or models[:1]


# ---- the words ---------------------------------------------------------------------------------


def _is(value: Any, raw: str | None = None) -> str:
    """Say what stands there."""
    if value is _ABSENT:
        return "is missing"
    if value is None:
        return "is empty"
    if isinstance(value, bool):
        return f"is {str(value).lower()}"
    if isinstance(value, int | float):
        return f"is {raw or value}"
    if isinstance(value, str):
        return f"is {quoted(value)}"
    return "is a list" if isinstance(value, list) else "is a mapping"


def _or_out(place: Place) -> str:
    """Add that the key may be left out, if it may."""
    field = place.field
    return ", or leave the key out" if field is not None and not field.is_required() else ""


def _words(words: tuple[str, ...], value: Any) -> str:
    close = nearest(value, words) if isinstance(value, str) else []
    hint = f"write {' or '.join(close)}" if close else "write one of the allowed words"
    return f"{hint}; allowed: {', '.join(words)}"


def _missing(place: Place, _context: Any, _raw: str | None) -> str:
    field, models = place.field, _models(place.types)
    if place.words:
        return f"is missing; add it with one of: {', '.join(place.words)}"
    about = f" ({_plain(field.description)})" if field and field.description else ""
    if models:
        return f"is missing; add it{about}; it takes the keys {', '.join(_fields(models[0]))}"
    if place.path and isinstance(place.path[-1], int):
        return "is missing; the list needs one more value"
    sort = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    expected = sort.get(place.types[0], "a list") if place.types else "a value"
    return f"is missing; add it with {expected}{about}"


def _plain(description: str) -> str:
    """Turn a docstring into words for a terminal."""
    return " ".join(description.replace("``", "").rstrip(".").split())


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _extra(place: Place, _context: Any, _raw: str | None) -> str:
    key, fields = str(place.path[-1]), _fields(place.owner)
    if key.isdigit():  # {mean: 9,66} holds the keys mean and 66
        return "is not a key here; was a decimal comma written? a number has a decimal point"
    close = nearest(key, fields, most=1)
    if close:
        return f"is not a key here; write {close[0]}"
    below = [name for name, f in fields.items() for m in _models(_options(f.annotation)) if key in _fields(m)]
    if below:
        return f"is not a key here; it belongs under {below[0]}"
    return f"is not a key here; take it out or use one of: {', '.join(fields)}"


def _number(place: Place, whole: bool, raw: str | None) -> str:
    value, sort = place.value, "a whole number" if whole else "a number"
    if not isinstance(value, str):
        return f"{_is(value, raw)}; write {sort}{_or_out(place)}"
    if re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", value):
        return f"is text {quoted(value)}; write the number {value} without quotes"
    tidy = value.strip().replace("−", "-").replace("–", "-").replace(",", ".").strip("%~≈ ")
    if re.fullmatch(r"[-+]?([0-9]+(\.[0-9]+)?|\.[0-9]+)", tidy):
        return f"is text {quoted(value)}; write {tidy}, with a point and a plain minus and nothing else"
    return f"is text {quoted(value)}; write {sort}{_or_out(place)}"


def _string(place: Place, _context: Any, raw: str | None) -> str:
    if isinstance(place.value, bool | int | float):
        shown = raw or str(place.value).lower()
        sort = "word" if isinstance(place.value, bool) else "number"
        return f'is the {sort} {shown}; put it in quotes: "{shown}"'
    return f"{_is(place.value)}; write text{_or_out(place)}"


def _mapping(place: Place, _context: Any, raw: str | None) -> str:
    models = _models(place.types)
    keys = f" with the keys {', '.join(list(_fields(models[0]))[:8])}" if len(models) == 1 else ""
    return f'{_is(place.value, raw)}; write indented lines "key: value" below it{keys}{_or_out(place)}'


def _list(place: Place, _context: Any, raw: str | None) -> str:
    if isinstance(place.value, str | int | float):
        return f"{_is(place.value, raw)}; write a list: [{raw or place.value}]"
    return f"{_is(place.value, raw)}; write a list: [first, second]{_or_out(place)}"


def _bound(words: str, key: str) -> Callable[[Place, Any, str | None], str]:
    def message(place: Place, context: Any, raw: str | None) -> str:
        limit = context[key]
        shown = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        return f"{_is(place.value, raw)}; write a number {words} {shown}"

    return message


def _literal(place: Place, _context: Any, raw: str | None) -> str:
    if len(place.words) == 1:
        return f"{_is(place.value, raw)}; this version reads {place.words[0]} only"
    return f"{_is(place.value, raw)}; {_words(place.words, place.value)}"


def _tag(place: Place, key: str) -> tuple[Path, str]:
    """Say which kinds there are when a mapping names none of them."""
    words = tuple(
        str(word)
        for model in _models(place.types)
        for word in typing.get_args(_fields(model)[key].annotation)
        if key in _fields(model)
    )
    value = place.value.get(key, _ABSENT) if isinstance(place.value, dict) else place.value
    if value is _ABSENT:
        return (*place.path, key), f"is missing; add it with one of: {', '.join(words)}"
    return (*place.path, key), f"{_is(value)}; {_words(words, value)}"


_MESSAGES: dict[str, Callable[[Place, Any, str | None], str]] = {
    "missing": _missing,
    "extra_forbidden": _extra,
    "literal_error": _literal,
    "string_type": _string,
    "int_type": lambda place, _, raw: _number(place, True, raw),
    "int_from_float": lambda place, _, raw: _number(place, True, raw),
    "float_type": lambda place, _, raw: _number(place, False, raw),
    "bool_type": lambda place, _, raw: f"{_is(place.value, raw)}; write true or false{_or_out(place)}",
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "dict_type": _mapping,
    "tuple_type": _list,
    "list_type": _list,
    "greater_than": _bound("above", "gt"),
    "greater_than_equal": _bound("of at least", "ge"),
    "less_than": _bound("below", "lt"),
    "less_than_equal": _bound("of at most", "le"),
    "string_too_short": lambda place, _, __: f"is empty text; write it{_or_out(place)}",
    "string_too_long": lambda place, c, __: (
        f"holds {len(place.value)} characters; write at most {c['max_length']}"
    ),
    "too_short": lambda place, c, __: (
        f"holds {_items(c['actual_length'])}; list at least {c['min_length']}{_or_out(place)}"
    ),
    "too_long": lambda place, c, __: f"holds {_items(len(place.value))}; list at most {c['max_length']}",
    "string_pattern_mismatch": lambda place, c, __: (
        f"{_is(place.value)}; {REMEDIES.get(c['pattern'], 'write it in the form ' + c['pattern'])}"
    ),
}
