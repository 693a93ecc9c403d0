"""Files of YAML into models: strictly, and with every problem of every file at once."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from mtmeta.errors import Problem, RecordError
from mtmeta.records.messages import explain, quoted
from mtmeta.records.yamlparse import MAX_PROBLEMS, Document, Lines, Steps, parse

__all__ = ["Located", "attempt", "load_many", "load_model", "locate_model", "read_text", "validate"]

MAX_BYTES = 5_000_000

M = TypeVar("M", bound=BaseModel)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Located(Generic[M]):
    """What a file holds, with the place of each of its parts.

    Parameters
    ----------
    value : BaseModel
        The model.
    path : str
        The file as problems name it.
    lines : Lines
        Lines of its parts.
    """

    value: M
    path: str
    lines: Lines

    def line(self, *path: str | int) -> int:
        """Return the line of a part, such as ``line("outcomes", 2)``."""
        return self.lines.at(path)


# ---- files into models -------------------------------------------------------------------------


def load_model(path: str | Path, model: type[M], *, root: str | Path | None = None) -> M:
    """Read a YAML file into a pydantic model, or report everything that is wrong with it.

    Parameters
    ----------
    path : str or Path
        The file.
    model : type
        A pydantic model; strict ones give the better messages.
    root : str or Path, optional
        Folder from which problems name the file; by default the path is named as given.

    Returns
    -------
    BaseModel
        An instance of ``model``.

    Raises
    ------
    RecordError
        With one :class:`~mtmeta.errors.Problem` for each thing wrong, by line.
    """
    return locate_model(path, model, root=root).value


def locate_model(path: str | Path, model: type[M], *, root: str | Path | None = None) -> Located[M]:
    """Read like :func:`load_model` and keep the lines of all parts."""
    (located,) = load_many([path], model, root=root)
    return located


def load_many(
    paths: Iterable[str | Path],
    model: type[M],
    *,
    root: str | Path | None = None,
    progress: Progress | None = None,
) -> tuple[Located[M], ...]:
    """Read many files of one model and report every problem of every file at once.

    Parameters
    ----------
    paths, model, root
        As in :func:`load_model`.
    progress : callable, optional
        Called with the number of files done and their total after each file.

    Raises
    ------
    RecordError
        With the problems in the order of the files and, inside a file, of the lines.
    """
    files = list(paths)
    found: list[Located[M]] = []
    problems: list[Problem] = []
    for done, path in enumerate(files, start=1):
        located = attempt(path, model, name=shown(path, root))
        if isinstance(located, Located):
            found.append(located)
        else:
            problems += located
        if progress is not None:
            progress(done, len(files))
    if problems:
        raise RecordError(problems)
    return tuple(found)


def attempt(path: str | Path, model: type[M], *, name: str) -> Located[M] | list[Problem]:
    """Read one file; return the problems instead of raising them."""
    try:
        text = read_text(path, name=name)
    except RecordError as error:
        return list(error.problems)
    document = parse(text)
    value, problems = validate(document, model, name=name)
    if value is None or problems:
        return problems
    return Located(value, name, document.lines)


def validate(document: Document, model: type[M], *, name: str) -> tuple[M | None, list[Problem]]:
    """Hold a parsed document against a model; all problems, those of the parser included."""
    found = list(document.problems)
    value: M | None = None
    if isinstance(document.value, dict):
        try:
            value = model.model_validate(document.value)
        except ValidationError as error:
            found += _explained(error, document, model)
    unique = dict.fromkeys(sorted(found, key=lambda item: item[0]))
    problems = [Problem(name, line, _dotted(path), text) for line, path, text in unique]
    if len(problems) > MAX_PROBLEMS:
        rest = len(problems) - MAX_PROBLEMS
        problems = [*problems[:MAX_PROBLEMS], Problem(name, 0, "", f"and {rest} more problems")]
    return value, problems


def _dotted(path: Steps) -> str:
    """Join a path; a key from a hostile file cannot break the line or the terminal."""
    return ".".join(quoted(str(step))[1:-1] for step in path)


def _explained(
    error: ValidationError, document: Document, model: type[BaseModel]
) -> list[tuple[int, Steps, str]]:
    """Explain pydantic's errors, several of one place joined, none about what could not be read."""
    by_place: dict[Steps, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False):
        for path, message in explain(item, model, document.value, document.lines.raw):
            if not any(path[: len(broken)] == broken for broken in document.broken):
                by_place.setdefault(path, []).append(message)
    return [
        (document.lines.at(path), path, ", or: ".join(dict.fromkeys(messages)))
        for path, messages in by_place.items()
    ]


def shown(path: str | Path, root: str | Path | None) -> str:
    """Return the name by which problems call a file, on one printable line."""
    name = str(path)
    if root is not None:
        with contextlib.suppress(ValueError):
            name = Path(path).relative_to(root).as_posix()
    return name if name.isprintable() else quoted(name, most=len(name))[1:-1]


# ---- bytes into text ---------------------------------------------------------------------------


def read_text(path: str | Path, *, name: str | None = None) -> str:
    """Read a file as UTF-8, refusing what is no regular file or larger than 5 MB before reading it.

    Raises
    ------
    RecordError
        When the file cannot be read, with the reason, or is not UTF-8, with the line.
    """
    name = str(path) if name is None else name
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise RecordError.at(name, 0, "", "is a folder; name a file")
        if not stat.S_ISREG(status.st_mode):
            raise RecordError.at(name, 0, "", "is no regular file; name a file on the disk")
        size = status.st_size
        if size <= MAX_BYTES:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
            size = max(size, len(data))
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise RecordError.at(name, 0, "", f"cannot be read: {reason[:1].lower()}{reason[1:]}") from error
    if size > MAX_BYTES:
        message = f"holds {size:,} bytes; a record or analysis file holds at most {MAX_BYTES:,}"
        raise RecordError.at(name, 0, "", message)
    return _decoded(data, name)


def _decoded(data: bytes, name: str) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RecordError.at(name, 1, "", "is UTF-16; save it as UTF-8")
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = len(re.findall(rb"\r\n|\r|\n", before)) + 1
        column = error.start - max(before.rfind(b"\n"), before.rfind(b"\r"))
        message = f"byte 0x{data[error.start]:02X} in column {column} is not UTF-8; save the file as UTF-8"
        raise RecordError.at(name, line, "", message) from None
