"""Reading files that somebody else made: how large they may be, and what is refused unread.

Limits are far above what reviews need (the largest RevMan files have some 20 megabytes) and far below
what would stop a machine.
"""

from __future__ import annotations

import codecs
import importlib
import zipfile
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from mtmeta.errors import RecordError, UsageError

__all__ = [
    "MAX_BYTES",
    "MAX_CELL",
    "MAX_COLUMNS",
    "MAX_ROWS",
    "needed",
    "plain",
    "read_bytes",
    "read_plain_text",
    "read_xml",
    "refuse_zip_bomb",
]

MAX_BYTES = 64 * 2**20
MAX_ROWS = 100_000
MAX_COLUMNS = 500
MAX_CELL = 20_000
_MAX_DEPTH = 100
_MAX_ELEMENTS = 1_000_000
_MAX_UNZIPPED = 256 * 2**20
_MAX_PARTS = 2_000
_MAX_RATIO = 200  # of one part; spreadsheets reach 20, a bomb has 1,000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def needed(module: str, what: str) -> Any:
    """Import a library of the extra ``exchange``.

    Raises
    ------
    UsageError
        When it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise UsageError(
            f"{what} needs {package}; install the extra with python -m pip install '.[exchange]' in the "
            "folder of mtmeta, the one with pyproject.toml"
        ) from error


def read_bytes(path: Path) -> bytes:
    """Read a file of at most 64 megabytes.

    Raises
    ------
    RecordError
        A missing file, a folder, a file that cannot be read or is too large.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise RecordError.at(path, 0, "", "is no file")
        if size > MAX_BYTES:
            mega = MAX_BYTES // 2**20
            raise RecordError.at(
                path, 0, "", f"has {size // 2**20} megabytes; at most {mega} are read, split the file"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise RecordError.at(path, 0, "", "no such file") from error
    except OSError as error:
        raise RecordError.at(
            path, 0, "", f"cannot be read: {(error.strerror or str(error)).lower()}"
        ) from error


def read_plain_text(path: Path) -> str:
    """Read text in UTF-8 (or UTF-16 with its mark) with any line ends.

    Raises
    ------
    RecordError
        See :func:`read_bytes`; also text in another encoding.
    """
    raw = read_bytes(path)
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise RecordError.at(path, line, "", "is not in UTF-8; save the file again as UTF-8") from error


def read_xml(path: Path) -> Element:
    """Read XML without a document type, entities, or elements nested or repeated beyond all use.

    Raises
    ------
    RecordError
        With the line, for what is no such XML.
    """
    etree = needed("defusedxml.ElementTree", "reading RevMan files (.rm5)")
    common = needed("defusedxml.common", "reading RevMan files (.rm5)")
    import io

    raw = read_bytes(path)
    depth = count = 0
    root: Element | None = None
    try:
        for event, element in etree.iterparse(io.BytesIO(raw), events=("start", "end"), forbid_dtd=True):
            if event == "end":
                depth -= 1
                continue
            root = element if root is None else root
            depth, count = depth + 1, count + 1
            if depth > _MAX_DEPTH or count > _MAX_ELEMENTS:
                told = "nested too deeply" if depth > _MAX_DEPTH else "too many"
                raise RecordError.at(path, 0, "", f"its elements are {told}; this is no file of RevMan")
    except common.DefusedXmlException as error:
        raise RecordError.at(
            path, 0, "", "declares a document type or entities, which files of RevMan do not; it is not read"
        ) from error
    except etree.ParseError as error:
        line = getattr(error, "position", (0, 0))[0]
        raise RecordError.at(path, line, "", f"is no well-formed XML ({error})") from error
    if root is None:
        raise RecordError.at(path, 0, "", "is empty")
    return root


def refuse_zip_bomb(path: Path) -> None:
    """Look at the parts of a zipped file (as .xlsx is one) before anything unpacks it.

    Raises
    ------
    RecordError
        No zip file, too many or too large parts, parts that unpack to far more than they hold, or XML with
        a document type.
    """
    read_bytes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if len(parts) > _MAX_PARTS or sum(p.file_size for p in parts) > _MAX_UNZIPPED:
                raise RecordError.at(path, 0, "", "unpacks to more than a spreadsheet holds; it is not read")
            for part in parts:
                if part.file_size > 2**20 and part.file_size > _MAX_RATIO * max(part.compress_size, 1):
                    raise RecordError.at(
                        path,
                        0,
                        "",
                        f"its part {plain(part.filename)} is packed as a zip bomb is; it is not read",
                    )
                if part.filename.lower().endswith((".xml", ".rels", ".vml")):
                    with archive.open(part) as stream:
                        head = stream.read(4096)
                    if b"<!DOCTYPE" in head.upper() or b"<!ENTITY" in head.upper() or b"<\0!\0" in head:
                        raise RecordError.at(
                            path, 0, "", "declares a document type or entities; it is not read"
                        )
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise RecordError.at(
            path, 0, "", f"is no spreadsheet that can be unpacked ({plain(str(error))})"
        ) from error


def plain(text: str, limit: int = 4000) -> str:
    r"""Return text that a record may hold: no control characters, single blanks, not too long.

    A cell that a spreadsheet would take for a formula is exported with a leading apostrophe (see
    ``docs/exchange.md``); it is taken off again here.

    Examples
    --------
    >>> plain("  White\x00  1999 "), plain("'=SUM(A1)"), plain("'tis")
    ('White 1999', '=SUM(A1)', "'tis")
    """
    from mtmeta.records.forms import CONTROL

    if text[:1] == "'" and text[1:2] in _FORMULA and text[1:2]:
        text = text[1:]
    text = " ".join(CONTROL.sub(" ", text.replace("\n", " ").replace("\t", " ").replace("\r", " ")).split())
    # lone surrogates cannot be written to a file
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= limit else text[: limit - 2].rstrip() + " …"
