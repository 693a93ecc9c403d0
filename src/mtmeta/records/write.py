"""Writing a record: one canonical YAML text for one record, tidy enough to be read and edited by people."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mtmeta.records.files import write_atomic
from mtmeta.records.schema import Study

__all__ = ["dump_study", "write_study"]

WIDTH = 110
FLOW_WIDTH = 100

# What a reader of YAML 1.1 or 1.2 takes for something else than text.
_NOT_TEXT = re.compile(
    r"""(?xi)
      ~ | null | y | n | yes | no | on | off | true | false | = | <<
    | [-+]? (?: 0b[01_]+ | 0x[0-9a-f_]+ | 0o[0-7_]+ | [0-9][0-9_]* (?: :[0-5]?[0-9] )* (?: \.[0-9_]* )? )
    | [-+]? (?: [0-9][0-9_]* \.? [0-9_]* | \.[0-9_]+ ) (?: e[-+]?[0-9]+ )?
    | [-+]? \.inf | \.nan
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} (?: [Tt\ ].* )?
    """
)
_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@`")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def write_study(study: Study, folder: str | Path, *, schema: str = "../study.schema.json") -> Path:
    """Write a record to ``<folder>/<id>.yaml``, whole or not at all.

    Parameters
    ----------
    study : Study
        The record.
    folder : str or Path
        Folder of its main condition, such as ``studies/cardiac``; made if missing.
    schema : str
        Where editors find the JSON Schema, as seen from the file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        When the place cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from mtmeta.records.locate import example_studies
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_study(example_studies()["white-1999"], folder).name
    'white-1999.yaml'
    """
    return write_atomic(Path(folder) / f"{study.id}.yaml", dump_study(study, schema=schema))


def dump_study(study: Study, *, schema: str | None = "../study.schema.json") -> str:
    r"""Return the canonical YAML text of a record.

    Keys stand in the schema's order; what equals its default is left out; short mappings and lists
    of plain values stand on one line; text is quoted only where YAML 1.1 or 1.2 would take it for
    something else; long text is folded at 110 columns. Reading the text gives an equal record.

    Parameters
    ----------
    study : Study
        The record.
    schema : str or None
        Path of the JSON Schema as seen from the file, for the first line, by which editors check and
        complete while typing; None leaves the line out.

    Examples
    --------
    >>> study = Study.model_validate({
    ...     "schema": 1, "id": "white-1999", "label": "White 1999", "citation": {"year": 1999},
    ...     "conditions": ["cardiac"], "design": {"allocation": "randomised", "countries": ["NO"]},
    ...     "population": {}, "intervention": {"delivery": "recorded", "sessions": 1}, "comparator": {},
    ...     "outcomes": []})
    >>> print(dump_study(study), end="")
    # yaml-language-server: $schema=../study.schema.json
    schema: 1
    id: white-1999
    label: White 1999
    citation: {year: 1999}
    conditions: [cardiac]
    design: {allocation: randomised, countries: ["NO"]}
    population: {}
    intervention: {delivery: recorded, sessions: 1}
    comparator: {}
    outcomes: []
    """
    head = [] if schema is None else [f"# yaml-language-server: $schema={schema}"]
    return "\n".join([*head, *_mapping(_plain(study), 0)]) + "\n"


# ---- from models to plain values ---------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Turn models into dicts in canonical order without what equals its default."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        out: dict[str, Any] = {}
        for name in _order(tuple(fields)):
            field, item = fields[name], getattr(value, name)
            if field.is_required() or item != field.get_default(call_default_factory=True):
                out[field.alias or name] = _plain(item)
        return out
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _order(names: tuple[str, ...]) -> list[str]:
    """Order the fields of a model: kind, n, the effect and its interval lead; P value and notes close.

    Inherited fields come first in a model, which is not how people write a row.
    """
    first = ["kind", "tool", "name", "role", "n"]
    if "estimate" in names and "id" not in names:
        first = ["kind", "measure", "term", "estimate", "se", "ci_low", "ci_high", "level"]
    last = ["p", "judged_by", "note"] if "kind" in names or "tool" in names else []
    middle = [name for name in names if name not in first and name not in last]
    return [n for n in first if n in names] + middle + [n for n in last if n in names]


# ---- from plain values to lines ----------------------------------------------------------------


def _mapping(mapping: dict[str, Any], indent: int) -> list[str]:
    lines: list[str] = []
    for key, value in mapping.items():
        lines += _entry(f"{' ' * indent}{key}:", value, indent)
    return lines


def _entry(lead: str, value: Any, indent: int) -> list[str]:
    """Write a value behind ``key:`` or ``-``: on the same line where it fits, below it otherwise."""
    if isinstance(value, str):
        return _text(lead, value, indent + 2)
    flow = _flow(value)
    if flow is not None and (len(lead) + 1 + len(flow) < FLOW_WIDTH or not isinstance(value, dict | list)):
        return [f"{lead} {flow}"]
    if isinstance(value, dict):
        if not lead.endswith("-"):
            return [lead, *_mapping(value, indent + 2)]
        first, *rest = _mapping(value, indent + 2)
        return [f"{lead} {first.lstrip(' ')}", *rest]
    lines = [lead]
    for item in value:
        lines += _entry(f"{' ' * (indent + 2)}-", item, indent + 2)
    return lines


def _flow(value: Any, depth: int = 0) -> str | None:
    """Return the one-line form of a scalar or a leaf (mapping or list of scalars), None if it has none."""
    if isinstance(value, dict):
        if depth:
            return None
        parts = [(key, _flow(item, depth + 1)) for key, item in value.items()]
        if any(part is None for _, part in parts):
            return None
        return "{" + ", ".join(f"{key}: {part}" for key, part in parts) + "}"
    if isinstance(value, list):
        items = [_flow(item, depth + 1) for item in value]
        if any(isinstance(item, dict | list) for item in value) or any(item is None for item in items):
            return None
        return "[" + ", ".join(str(item) for item in items) + "]"
    if isinstance(value, str):
        hard = len(value) > 80 or any(c in value for c in ",[]{}:?#\\\n\t") or _UNPRINTABLE.search(value)
        return None if hard else _scalar_text(value)
    return _number(value)


def _number(value: Any) -> str:
    """Write a number so that YAML 1.1 and 1.2 read it back as it is; whole floats without a point."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    number = float(value)
    if number.is_integer() and abs(number) < 1e15 and str(number)[0:2] != "-0":
        return str(int(number))
    text = repr(number)
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    if -20 <= int(exponent) < 16:
        return format(Decimal(text), "f")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent):+d}"


def _text(lead: str, text: str, indent: int) -> list[str]:
    """Write text behind its key: plain, quoted, folded or as a block."""
    pad = " " * indent
    odd = _UNPRINTABLE.search(text) or "\t" in text
    if "\n" in text and not odd:
        rows = text.split("\n")
        if rows[0] and rows[-1] and all(r == r.rstrip(" ") for r in rows) and not rows[0].startswith(" "):
            return [f"{lead} |-", *(pad + row if row else "" for row in rows)]
    line = f"{lead} {_scalar_text(text)}"
    words = text.split(" ")
    if len(line) > WIDTH and len(words) > 1 and all(words) and not odd and "\n" not in text:
        return [f"{lead} >-", *_fold(words, pad)]
    return [line]


def _fold(words: list[str], pad: str) -> list[str]:
    lines = [pad + words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= WIDTH:
            lines[-1] += " " + word
        else:
            lines.append(pad + word)
    return lines


def _scalar_text(text: str) -> str:
    """Return text plain where YAML allows it, quoted where it does not."""
    if _UNPRINTABLE.search(text) or "\n" in text or "\t" in text:
        return '"' + "".join(_escape(c) for c in text) + '"'
    plain = (
        text
        and text == text.strip(" ")
        and text[0] not in _INDICATORS
        and not _NOT_TEXT.fullmatch(text)
        and ": " not in text
        and " #" not in text
        and not text.endswith(":")
        and not text.startswith(("...", "---"))
    )
    if plain:
        return text
    if '"' in text or "\\" in text:
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\u{ord(character):04x}" if _UNPRINTABLE.match(character) else character
