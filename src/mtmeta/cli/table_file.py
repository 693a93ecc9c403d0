"""Anybody's table as a file: what spreadsheets write, read without guessing at what it says."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from mtmeta.errors import EffectError, RecordError

if TYPE_CHECKING:
    import pandas as pd

    from mtmeta.effects.table import EffectSizes

__all__ = ["read_table_file", "repeated"]

_LABELS = ("study", "id", "trial", "author")
_MISSING = {"", "na", "n/a", "nan", "null", "none", ".", "-"}
_DATA = frozenset(
    "yi vi sei m1 sd1 n1 m2 sd2 n2 a c b d n x r x1 t1 x2 t2 t m sd ri ni xi ti".split()  # noqa: SIM905
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_POINTED = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_KINDS = (
    ("GEN", {"yi", "vi"}),
    ("SMD", {"m1", "sd1", "n1", "m2", "sd2", "n2"}),
    ("OR", {"a", "n1", "c", "n2"}),
)


def read_table_file(path: Path, measure: str | None, variance: str = "LS") -> EffectSizes:
    """Read a CSV into an effect table; the columns tell the kind of data where `measure` does not.

    Commas, semicolons or tabs stand between cells; with semicolons a number may have a decimal comma or a
    decimal point.

    Raises
    ------
    RecordError
        A file that is missing, is no such table, lacks the columns, or holds a number that is none; with its
        line and what to do.
    """
    from mtmeta.effects.table import EffectSizes

    lines, between = _cells(path)
    frame = _frame(path, lines, _decimal(lines, between))
    have = set(frame.columns)
    error = next((name for name in ("sei", "se") if name in have), None)
    if "vi" not in have and "yi" in have and error is not None:
        frame = frame.assign(vi=frame[error] ** 2)
        have.add("vi")
    if measure is None:
        measure = _guess(have, path)
    label = next((c for c in _LABELS if c in have), None)
    if label is None:
        frame = frame.assign(study=[f"line {number}" for number, _ in lines[1:]])
        label = "study"
    try:
        return EffectSizes.from_frame(frame, measure=measure, study=label, variance=variance)
    except EffectError as error_:
        row = getattr(error_, "row", None)
        line = 1 if row is None else lines[row + 1][0]
        raise RecordError.at(path, line, "", _helped(str(error_), have)) from error_


def repeated(es: EffectSizes) -> list[str]:
    """Say of each study that stands in several rows that it does, and what to make of it."""
    rows: dict[str, int] = {}
    for name in es.study:
        rows[name] = rows.get(name, 0) + 1
    return [
        f"{name} stands in {count} rows, which are pooled as if they were different trials; if they are not, "
        "keep one, average them, or fit mt.Multilevel in Python"
        for name, count in rows.items()
        if count > 1
    ]


def _helped(message: str, have: set[str]) -> str:
    """Add to a message about columns what to do in a file."""
    if "needs the columns" not in message:
        return message
    if "yi" in have and "vi" not in have:
        return f"{message}; beside yi give the variance as vi, or the standard error as sei"
    return f"{message}; rename them in the first line"


def _cells(path: Path) -> tuple[list[tuple[int, list[str]]], str]:
    """Return each line that is not empty, with its number, the header first, and what separates cells."""
    if not path.is_file():
        raise RecordError.at(path, 0, "", "no such file")
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise RecordError.at(path, 0, "", "is a spreadsheet; save the sheet as CSV and name that file")
    text = _text(path)
    first = text.partition("\n")[0]
    between = next(
        (sign for sign in ("\t", ";") if sign in first and (sign == "\t" or "," not in first)), ","
    )
    reader = csv.reader(StringIO(text, newline=""), delimiter=between, skipinitialspace=True)
    lines: list[tuple[int, list[str]]] = []
    begin = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                lines.append((begin, cells))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise RecordError.at(path, reader.line_num, "", f"cannot be read as CSV: {error}") from error
    if len(lines) < 2:
        told = "is empty" if not lines else "has a header and no rows"
        raise RecordError.at(path, 0, "", f"{told}; write one header line, then one line a trial")
    width = len(lines[0][1])
    for number, cells in lines[1:]:
        if len(cells) > width and any(cells[width:]):
            raise RecordError.at(
                path,
                number,
                "",
                f"has {len(cells)} cells under {width} headings; put a cell that holds {between!r} in quotes",
            )
    _no_line_twice(path, lines)
    return [(number, (cells + [""] * width)[:width]) for number, cells in lines], between


def _decimal(lines: Sequence[tuple[int, list[str]]], between: str) -> str:
    """Return the decimal sign: a comma only where commas separate nothing and no number has a point.

    A number with the other sign is then refused: 1,000 could be one or a thousand.
    """
    cells = [cell for _, row in lines[1:] for cell in row]
    pointed = any(_POINTED.fullmatch(cell) for cell in cells)
    return "." if between == "," or pointed else ","


def _no_line_twice(path: Path, lines: Sequence[tuple[int, list[str]]]) -> None:
    seen: dict[tuple[str, ...], int] = {}
    for number, cells in lines[1:]:
        first = seen.setdefault(tuple(cells), number)
        if first != number and sum(map(bool, cells)) > 2:
            raise RecordError.at(
                path, number, "", f"is line {first} once more, cell by cell; a trial counts once: delete one"
            )


def _text(path: Path) -> str:
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RecordError.at(
            path,
            line,
            "",
            "is not in UTF-8; save the file as 'CSV UTF-8' (spreadsheets offer it by that name)",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _frame(path: Path, lines: Sequence[tuple[int, list[str]]], decimal: str) -> pd.DataFrame:
    import pandas as pd

    names = [name.lower() for name in lines[0][1]]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise RecordError.at(path, lines[0][0], "", f"two columns are called {twice[0]}; rename one")
    columns: dict[str, list[float] | list[str]] = {}
    for i, name in enumerate(names):
        if not name:
            continue
        texts = [cells[i] for _, cells in lines[1:]]
        values = [_number(text, decimal) for text in texts]
        wrong = next((j for j, value in enumerate(values) if value is None), None)
        if wrong is None and name not in _LABELS:
            columns[name] = [value for value in values if value is not None]
        elif wrong is not None and name in _DATA:
            sign = "point" if decimal == "." else "comma"
            raise RecordError.at(
                path,
                lines[wrong + 1][0],
                "",
                f"{name} = {texts[wrong]!r} is not a number; write a decimal {sign} and no sign between "
                "thousands, or leave the cell empty where none is known",
            )
        else:
            columns[name] = texts
    return pd.DataFrame(columns)


def _number(text: str, decimal: str) -> float | None:
    """Read a number with that decimal sign; nan for a missing one, None for what is no number."""
    if text.lower() in _MISSING:
        return float("nan")
    plain = text.replace("\N{MINUS SIGN}", "-")
    if decimal == "," and "." not in plain:
        plain = plain.replace(",", ".")
    return float(plain) if _NUMBER.fullmatch(plain) else None


def _guess(have: set[str], path: Path) -> str:
    for measure, columns in _KINDS:
        if columns <= have:
            return measure
    raise RecordError.at(
        path,
        1,
        "header",
        f"has the columns {', '.join(sorted(have))}; name them yi,vi (or yi,sei) or m1,sd1,n1,m2,sd2,n2 "
        "or a,n1,c,n2",
    )
