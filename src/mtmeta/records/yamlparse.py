"""YAML text into plain values, each with its line; every trap is a problem, none a surprise.

The text is read as YAML 1.2 core would read it, except that whatever a reader of YAML 1.1 would
take for something else (``NO``, ``1:30``, ``012``, ``2020-01-01``) is refused with the two ways to
write it. Anchors, aliases, merge keys, tags and several documents are refused entirely. One pass
over libyaml's events builds the values and their lines; nothing is ever constructed from a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from mtmeta.records.forms import CONTROL
from mtmeta.records.messages import quoted

__all__ = ["Document", "Lines", "parse", "resolve"]

MAX_DEPTH = 40
MAX_VALUES = 200_000
MAX_PROBLEMS = 100

Steps = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Lines:
    """Lines of a mapping or list and of all that stands below it.

    Parameters
    ----------
    line : int
        Line counted from 1.
    below : dict
        By key or position: the line of a scalar, the line and spelling of a number, or ``Lines``.
    """

    line: int
    below: dict[str | int, int | tuple[int, str] | Lines] = field(default_factory=dict)

    def at(self, path: Iterable[str | int]) -> int:
        """Return the line of a path, or of the nearest thing above it that exists."""
        here: int | tuple[int, str] | Lines = self
        for step in path:
            below = here.below.get(step) if isinstance(here, Lines) else None
            if below is None:
                break
            here = below
        if isinstance(here, Lines):
            return here.line
        return here[0] if isinstance(here, tuple) else here

    def raw(self, path: Iterable[str | int]) -> str | None:
        """Return a number as it is spelled in the file, None for anything else."""
        here: int | tuple[int, str] | Lines | None = self
        for step in path:
            here = here.below.get(step) if isinstance(here, Lines) else None
        return here[1] if isinstance(here, tuple) else None


@dataclass(frozen=True, slots=True)
class Document:
    """A text after parsing: plain values, their lines, and what was wrong on the way.

    Parameters
    ----------
    value : object
        Dicts, lists and scalars; None where nothing could be read.
    lines : Lines
        Where each stands.
    problems : tuple of (line, path, message)
        In the order found.
    broken : frozenset
        Paths whose value could not be read, so that later checks say nothing about them.
    """

    value: Any
    lines: Lines
    problems: tuple[tuple[int, Steps, str], ...] = ()
    broken: frozenset[Steps] = frozenset()


# ---- text into values --------------------------------------------------------------------------


class _StopError(Exception):
    """Nothing after this place can be read."""


def parse(text: str) -> Document:
    r"""Parse YAML text into plain values with lines and problems; never raises for what the text holds.

    Examples
    --------
    >>> document = parse("country: NO\nminutes: 1:30\n")
    >>> [(line, path) for line, path, _ in document.problems]
    [(1, ('country',)), (2, ('minutes',))]
    """
    builder = _Builder()
    builder.look_at(text)
    if not builder.unreadable:
        try:
            parser = _Loader(text)
            try:
                builder.run(parser)
            finally:
                parser.dispose()
        except yaml.YAMLError as error:
            builder.syntax(error)
        except _StopError:
            builder.root = None
    value = builder.root
    if not isinstance(value, dict) and not builder.problems:
        if value is None:
            builder.problem(0, (), 'holds nothing; write lines "key: value"')
        else:
            kind = "a list" if isinstance(value, list) else "one value"
            builder.problem(1, (), f'holds {kind} at its top; write lines "key: value"')
    return Document(value, builder.lines, tuple(builder.problems), frozenset(builder.broken))


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is open, with the key that waits for its value."""

    value: dict[str, Any] | list[Any]
    lines: Lines
    steps: Steps
    key: str | None = None
    key_line: int = 0
    discard: bool = False


class _Builder:
    """Build values from events. Private: the one place with state, gone when ``parse`` returns."""

    def __init__(self) -> None:
        self.root: Any = None
        self.lines = Lines(1)
        self.problems: list[tuple[int, Steps, str]] = []
        self.broken: set[Steps] = set()
        self.unreadable = False
        self.stack: list[_Frame] = []
        self.values = 0

    # what went wrong

    def problem(self, line: int, path: Steps, message: str, *, broken: bool = False) -> None:
        self.problems.append((line, path, message))
        if broken:
            self.broken.add(path)
        if len(self.problems) > MAX_PROBLEMS:
            raise _StopError

    def look_at(self, text: str) -> None:
        """Find what makes the text unreadable before parsing: control characters and tabs as indent."""
        found = [(m.start(), m[0]) for m in CONTROL.finditer(text) if m[0] != "\r"]
        for start, character in found[:10]:
            message = f"the control character U+{ord(character):04X} stands here; take it out"
            self.problems.append((_line_of(text, start), (), message))
        self.unreadable = bool(found)
        for match in list(re.finditer(r"(?m)^ *\t[ \t]*(?=[^\s#])", text))[:10]:
            line = _line_of(text, match.end())
            self.problems.append((line, (), "a tab indents this line; indent with spaces"))

    def syntax(self, error: yaml.YAMLError) -> None:
        """Say what the parser stumbled over; a line already reported needs no second message."""
        line, message = _syntax(error)
        if not any(at == line for at, _, _ in self.problems):
            self.problems.append((line, (), message))
        self.root = None

    # where we are

    def path(self) -> Steps:
        """Return the path of the value that comes next."""
        if not self.stack:
            return ()
        top = self.stack[-1]
        if isinstance(top.value, list):
            return (*top.steps, len(top.value))
        return top.steps if top.key is None else (*top.steps, top.key)

    # events

    def run(self, parser: Any) -> None:
        documents = 0
        get_event, scalar_event = parser.get_event, yaml.ScalarEvent  # nine tenths of a file are scalars
        while True:
            event = get_event()
            kind = type(event)
            if kind is scalar_event:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent:
                self.open(event, {})
            elif kind is yaml.SequenceStartEvent:
                self.open(event, [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.stack.pop()
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    line = event.start_mark.line + 1
                    self.problem(line, (), "a second document starts here; keep one document in a file")
                    return
            elif kind is yaml.StreamEndEvent:
                return

    def count(self, line: int) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            self.too_many(line)

    def too_many(self, line: int) -> None:
        self.problem(line, (), f"the file holds more than {MAX_VALUES:,} values; split it")
        raise _StopError

    def open(self, event: Any, value: dict[str, Any] | list[Any]) -> None:
        line = event.start_mark.line + 1
        self.count(line)
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict):
            if top.key is None:
                self.problem(line, self.path(), "a key is a list or a mapping; write the key as one word")
                raise _StopError
            line = top.key_line
        self.properties(event, line)
        if len(self.stack) >= MAX_DEPTH:
            self.problem(line, (), f"nested deeper than {MAX_DEPTH} levels; a file of ours never is")
            raise _StopError
        lines = Lines(line)
        frame = _Frame(value, lines, self.path())
        if top is None:
            self.root, self.lines = value, lines
        else:
            self.place(top, value, lines)
        self.stack.append(frame)

    def scalar(self, event: Any) -> None:
        line, raw, style = event.start_mark.line + 1, event.value, event.style
        self.values += 1
        if self.values > MAX_VALUES:
            self.too_many(line)
        top = self.stack[-1] if self.stack else None
        plain = not style
        if style == '"' and CONTROL.search(raw):
            self.controls(raw, line)
        if top is not None and top.key is None and isinstance(top.value, dict):
            self.key(top, raw, line, plain)
            if event.anchor is not None or event.tag is not None:
                self.properties(event, line)
            return
        if event.anchor is not None or event.tag is not None:
            self.properties(event, line)
        value = raw
        if plain and (not raw or raw[0] in _FIRST):
            value, remedy = resolve(raw)
            if remedy is not None:
                self.problem(line, self.path(), remedy, broken=True)
        if top is None:
            self.root, self.lines = value, Lines(line)
            return
        if top.key is not None:
            line = top.key_line
        self.place(top, value, (line, raw) if type(value) in (int, float) else line)

    def controls(self, raw: str, line: int) -> None:
        """Refuse control characters that double quotes let in as escapes."""
        for found in CONTROL.findall(raw)[:1]:
            message = f"holds the control character U+{ord(found):04X}; take it out"
            self.problem(line, self.path(), message, broken=True)

    def key(self, top: _Frame, raw: str, line: int, plain: bool) -> None:
        """Take a key; a second one of the same name is read past."""
        if plain:
            remedy = _key_remedy(raw)
            if remedy is not None:
                self.problem(line, (*top.steps, raw), remedy, broken=True)
        top.key, top.key_line = raw, line
        top.discard = raw in top.value
        if top.discard:
            message = f"stands twice, first in line {top.lines.at((raw,))}; keep one of them"
            self.problem(line, (*top.steps, raw), message)

    def properties(self, event: Any, line: int) -> None:
        """Refuse anchors and tags."""
        if event.anchor is not None:
            message = (
                f"the anchor &{event.anchor} stands here; write values out in full where they are needed"
            )
            self.problem(line, self.path(), message)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            message = f"the tag {quoted(tag)} stands here; write the plain value without it"
            self.problem(line, self.path(), message, broken=True)

    def alias(self, event: Any) -> None:
        """Refuse an alias; nothing is ever copied, so a bomb of them stays one line each."""
        line = event.start_mark.line + 1
        self.count(line)
        self.problem(
            line, self.path(), f"the alias *{event.anchor} stands here; write the value out", broken=True
        )
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            top.key, top.key_line, top.discard = "*", line, True
        elif top is not None:
            self.place(top, None, line)

    def place(self, top: _Frame, value: Any, lines: int | tuple[int, str] | Lines) -> None:
        """Put a value into the open mapping or list."""
        if isinstance(top.value, list):
            top.lines.below[len(top.value)] = lines
            top.value.append(value)
            return
        if not top.discard and top.key is not None and top.key != "<<":
            top.value[top.key] = value
            top.lines.below[top.key] = lines
        top.key = None


# ---- scalars -----------------------------------------------------------------------------------

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_BASED = re.compile(r"[-+]?0(?:x[0-9a-fA-F_]+|o[0-7_]+|b[01_]+)")
_UNDERSCORED = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?")
_WORDS: dict[str, object] = {"null": None, "~": None, "true": True, "false": False}
_SWITCHES = {"y": "true", "yes": "true", "on": "true", "n": "false", "no": "false", "off": "false"}
_ODD_NUMBERS = frozenset({".inf", "-.inf", "+.inf", ".nan"})
_FIRST = frozenset("0123456789+-.~=yYnNoOtTfF")


def resolve(raw: str) -> tuple[Any, str | None]:
    """Return the value of a plain scalar and, where YAML readers differ about it, what to write instead.

    Examples
    --------
    >>> resolve("12"), resolve("-0.5"), resolve("12 weeks"), resolve("")
    ((12, None), (-0.5, None), ('12 weeks', None), (None, None))
    >>> resolve("NO")[1]
    'is read as false by some readers of YAML; write "NO" in quotes if it is text, or false'
    """
    if not raw:
        return None, None
    if raw[0] not in _FIRST:
        return raw, None
    if raw[0] in "0123456789+-.":
        return _number(raw)
    low = raw.lower()
    if low in _WORDS and raw in (low, low.upper(), low.capitalize()):
        return _WORDS[low], None
    if low in _SWITCHES:
        meaning = _SWITCHES[low]
        return raw, (
            f"is read as {meaning} by some readers of YAML; "
            f'write "{raw}" in quotes if it is text, or {meaning}'
        )
    if raw == "=":
        return raw, 'has a meaning of its own in YAML; write "=" in quotes'
    return raw, None


@lru_cache(maxsize=4096)
def _key_remedy(raw: str) -> str | None:
    """Return what to write instead of a plain key that readers of YAML take for something else.

    The sizes of two arms are called n in every record, so n and y stay keys.
    """
    if raw == "<<":
        return "a merge key; write the keys out in full"
    return None if raw in ("n", "y", "N", "Y") else resolve(raw)[1]


def _number(raw: str) -> tuple[Any, str | None]:
    quote = f'write "{raw}" in quotes if it is text'
    if _INT.fullmatch(raw):
        if len(raw) > 16:
            return raw, f"is larger than any number of ours; {quote}"
        return int(raw), None
    if _OCTAL.fullmatch(raw):
        plain = raw.replace("_", "").lstrip("+-0") or "0"
        sign = "-" if raw[0] == "-" else ""
        return (
            raw,
            f"starts with 0, which some readers of YAML take for octal; write {sign}{plain}, or {quote}",
        )
    if _FLOAT.fullmatch(raw):
        value = float(raw)
        if value in (float("inf"), float("-inf")):
            return raw, f"is larger than any number of ours; {quote}"
        return value, None
    if _SEXAGESIMAL.fullmatch(raw):
        return raw, f"is counted in sixties by some readers of YAML; {quote}, or one plain number"
    if _BASED.fullmatch(raw):
        return raw, f"is a number in another base; write it in decimal digits, or {quote}"
    if "_" in raw and _UNDERSCORED.fullmatch(raw):
        return raw, f"has underscores between digits; write {raw.replace('_', '')}, or {quote}"
    if _DATE.fullmatch(raw):
        return raw, f'is read as a date by some readers of YAML; write "{raw}" in quotes'
    if raw.lower() in _ODD_NUMBERS:
        return raw, "is no finite number; leave the key out if the source prints none"
    return raw, None


# ---- syntax errors -----------------------------------------------------------------------------


def _line_of(text: str, position: int) -> int:
    """Count lines as editors and libyaml do."""
    return len(re.findall(r"\r\n|\r|\n", text[:position])) + 1


_SYNTAX: tuple[tuple[str, str], ...] = (
    (
        "cannot start any token",
        "a text cannot begin with @, ` or %, nor a line with a tab; put the text in quotes",
    ),
    (
        "mapping values are not allowed",
        'a second "key: value" on one line, or a line indented too far; '
        "put text that holds a colon and a space in quotes",
    ),
    (
        "block sequence entries are not allowed",
        'a list item "- …" cannot stand behind its key; begin it on the next line',
    ),
    ("sequence entries are not allowed", "a list item cannot stand here; begin it on the next line"),
    ("found unknown escape character", "a backslash in double quotes; use single quotes"),
    ("did not find expected key", "the line does not fit what stands above; check its indent and quotes"),
    (
        "did not find expected '-' indicator",
        'the line is no list item like those above; check its indent and the "- "',
    ),
    ("expected <block end>", "the line does not fit what stands above; check its indent and quotes"),
    ("could not find expected ':'", 'the line is no "key: value"; check the colon and the space behind it'),
    ("expected <document start>", 'text after the end of the document; take out "..." or what follows'),
    ("directive", "a line that begins with %; take it out"),
    ("incompatible YAML document", "a line that begins with %; take it out"),
    ("expected comment or line break", "text behind > or |; begin it on the next line, indented"),
    ("did not find expected node content", "a closing bracket, comma or line end where a value should stand"),
    ("did not find expected alphabetic", "* or & begins this text; put the text in quotes"),
)


def _syntax(error: yaml.YAMLError) -> tuple[int, str]:
    """Return line and message for what libyaml (or PyYAML's own parser) could not read."""
    problem = str(getattr(error, "problem", None) or error)
    mark = getattr(error, "problem_mark", None)
    opened = getattr(error, "context_mark", None)
    line = mark.line + 1 if mark is not None else 0
    context = str(getattr(error, "context", None) or "")
    if "quoted scalar" in context and "escape" not in problem and opened is not None:
        return opened.line + 1, "a quotation mark opens here and is never closed"
    if (
        "flow" in context
        and opened is not None
        and ("expected ',' or" in problem or "end of stream" in problem)
    ):
        start = opened.line + 1
        return line, f"a bracket opened in line {start} is not closed here; close it or put a comma"
    for words, message in _SYNTAX:
        if words in problem:
            return line, message
    return line, f"YAML cannot be read here: {problem}"
