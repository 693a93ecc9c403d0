"""CSV and Excel as text: a header, rows, and the line each row stands on."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtmeta.errors import RecordError
from mtmeta.records.importers.mapping import ImportMap
from mtmeta.records.importers.safety import (
    MAX_CELL,
    MAX_COLUMNS,
    MAX_ROWS,
    needed,
    plain,
    read_plain_text,
    refuse_zip_bomb,
)

__all__ = ["Sheet", "read_sheet"]


@dataclass(frozen=True)
class Sheet:
    """A table as text: header, rows, and the line each row stands on."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    decimal: str = "."


def read_sheet(path: Path, settings: ImportMap) -> Sheet:
    """Read a CSV or the sheet of a spreadsheet.

    Raises
    ------
    RecordError
        A file that is none, is too large, or has no header.
    """
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        return _excel(path, settings)
    if path.suffix.lower() in (".xls", ".ods"):
        raise RecordError.at(path, 0, "", "is a spreadsheet of another kind; save it as .xlsx or .csv")
    return _csv(path, settings)


def _csv(path: Path, settings: ImportMap) -> Sheet:
    text = read_plain_text(path)
    head = next((line for line in text.split("\n")[settings.header_row - 1 :] if line.strip()), "")
    marks: tuple[str, ...] = (",", ";", "\t")
    mark: str = settings.delimiter or max(marks, key=lambda m: head.count(m))
    reader = csv.reader(io.StringIO(text), delimiter=mark, strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 0
    try:
        for number, cells in enumerate(reader, 1):
            start, line = line + 1, reader.line_num
            if number < settings.header_row or not any(cell.strip() for cell in cells):
                continue
            if len(rows) >= MAX_ROWS or len(cells) > MAX_COLUMNS:
                raise RecordError.at(
                    path, start, "", f"has more than {MAX_ROWS} rows or {MAX_COLUMNS} columns"
                )
            if not header:
                header = [cell.strip() for cell in cells]
                continue
            rows.append(cells)
            lines.append(start)
    except csv.Error as error:
        raise RecordError.at(path, reader.line_num, "", f"is no CSV from here on ({error})") from error
    if not header:
        raise RecordError.at(path, 1, "header", "is missing; the first line names the columns")
    decimal = settings.decimal or ("," if mark == ";" else ".")
    return Sheet(header, rows, lines, decimal)


def _excel(path: Path, settings: ImportMap) -> Sheet:
    openpyxl = needed("openpyxl", "reading spreadsheets (.xlsx)")
    refuse_zip_bomb(path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except RecordError:
        raise
    except Exception as error:  # openpyxl lets KeyError, ValueError, ParseError and others through
        raise RecordError.at(
            path, 0, "", f"is no spreadsheet that can be read ({plain(str(error), 200)})"
        ) from error
    try:
        return _worksheet(book, path, settings)
    finally:
        book.close()


def _worksheet(book: Any, path: Path, settings: ImportMap) -> Sheet:
    names = list(book.sheetnames)
    name = settings.sheet or (names[0] if names else "")
    if name not in names:
        raise RecordError.at(
            path, 0, "sheet", f"there is no sheet {plain(name)!r}; there are {', '.join(map(plain, names))}"
        )
    sheet = book[name]
    if not hasattr(sheet, "iter_rows"):
        raise RecordError.at(path, 0, "sheet", f"{plain(name)!r} is a chart, not a table")
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        # what the file says of its own size is not believed
        sheet.reset_dimensions()
        for number, cells in enumerate(
            sheet.iter_rows(max_col=MAX_COLUMNS, max_row=MAX_ROWS + 1, values_only=True), 1
        ):
            texts = [_cell(value) for value in cells]
            if number < settings.header_row or not any(texts):
                continue
            if not header:
                header = [text.strip() for text in texts]
                while header and not header[-1]:
                    header.pop()
                continue
            rows.append(texts[: len(header)])
            lines.append(number)
    except RecordError:
        raise
    except Exception as error:  # see above
        raise RecordError.at(
            path, len(lines) + 1, "", f"cannot be read from here on ({plain(str(error), 200)})"
        ) from error
    if not header:
        raise RecordError.at(path, 1, "header", "is missing; the first row names the columns")
    return Sheet(header, rows, lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)[:MAX_CELL]
