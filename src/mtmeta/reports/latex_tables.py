"""How a table lies on paper: its direction, its size of type, and a width for each column.

TeX lets a word stick out of a column that is too narrow for it, over the next one. So widths are found
before: no column is narrower than its longest word, and what is left of the line goes to those with most to
say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mtmeta.reports.document import Column, Table
from mtmeta.reports.words import minus

__all__ = ["GAP", "Arrangement", "arranged", "breakable", "kept_together", "set_width"]

GAP = 4.0
"""Points on either side of a column (``tabcolsep``)."""

_PORTRAIT, _LANDSCAPE = 472.0, 719.0
"""Points in a line of A4 with margins of 22 mm: 166 mm and 253 mm."""

_LONGEST_WORD = 18
_RIBBON = 4, 100.0
_TALLEST = 14

_CHOICES = (
    (False, "small", 10.0),
    (False, "footnotesize", 9.25),
    (True, "footnotesize", 9.25),
    (True, "scriptsize", 8.5),
)
"""Direction, and command of type in a document set in 11 points; the first that fits is taken.

The number is twice the width of a digit in points: types made for 9 and 8 points are a little wider than
those for 10 made smaller (cmr10, cmr9, cmr8).
"""

# Advance widths of Computer Modern Roman in thousandths of its size, in classes, from its metrics (cmr10.tfm)
_CLASSES = {
    " '`,.:;!|il": 278,
    "jIft()[]r-": 392,
    "sJzcve": 444,
    "abdghknopquxy0123456789/*": 540,
    "wCDEFGHKLNPRTUVXYZABQSO&": 740,
    "mM%MW\N{MINUS SIGN}+=<>~@\N{EM DASH}": 850,
}
_ADVANCE = {letter: width for letters, width in _CLASSES.items() for letter in letters}
_OTHER = 600
_BOLD = 1.2
_BREAKS = re.compile(r"[^\s-]*-|[^\s-]+")
_BREAK_AFTER = re.compile(r"(?<=[/_.:=,;+)])(?=\w)")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Direction, size of type (a command of LaTeX) and the columns' widths in points."""

    landscape: bool
    size: str
    widths: tuple[float, ...]

    @property
    def total(self) -> float:
        """Width of the whole table in points."""
        return sum(self.widths) + 2 * GAP * (len(self.widths) - 1)


def set_width(text: str, points: float, *, bold: bool = False) -> float:
    """Return about how wide a line of text is in Computer Modern, in points; rather too much than too little.

    Examples
    --------
    >>> round(set_width("The quick brown fox jumps over the lazy dog.", 10.0))  # TeX: 201.2
    202
    """
    thousandths = sum(_ADVANCE.get(letter, _OTHER) for letter in text)
    return thousandths / 1000.0 * points * (_BOLD if bold else 1.0)


def breakable(word: str) -> tuple[str, ...]:
    """Split a word that no column could hold into parts after which a line may end.

    Examples
    --------
    >>> breakable("reference"), breakable("10.4037/ajcc1999.8.4.220")
    (('reference',), ('10.', '4037/', 'ajcc1999.', '8.', '4.', '220'))
    """
    if len(word) <= _LONGEST_WORD:
        return (word,)
    parts = [part for part in _BREAK_AFTER.split(word) if part]
    return tuple(part[i : i + 12] for part in parts for i in range(0, len(part), 12))


def kept_together(text: str) -> str:
    r"""Return a number as it is printed, with spaces where a line may end: not within an interval.

    Examples
    --------
    >>> kept_together("-1.11 [-1.97, -0.25]").split(" ")
    ['−1.11', '[−1.97,\xa0−0.25]']
    """
    return re.sub(r",\s+(?=[^\s\[\]]+\])", ",\N{NO-BREAK SPACE}", re.sub(r"[ \t\n]+", " ", minus(text)))


def arranged(table: Table) -> Arrangement:
    """Find the largest type, upright page first, in which every word fits and no cell becomes a ribbon.

    Where even the smallest type on a page on its side is too large, columns share that line by their longest
    words.
    """
    fitting: Arrangement | None = None
    for landscape, size, points in _CHOICES:
        room = (_LANDSCAPE if landscape else _PORTRAIT) - 2 * GAP * (len(table.columns) - 1)
        least, natural = _needs(table, points)
        if sum(least) > room:
            continue
        widths = _shared(table.caption, least, natural, room)
        fitting = Arrangement(landscape, size, widths)
        if _reads_well(table, widths, points):
            break
    if fitting is not None:
        return fitting
    landscape, size, points = _CHOICES[-1]
    least, _ = _needs(table, points)
    room = _LANDSCAPE - 2 * GAP * (len(table.columns) - 1)
    return Arrangement(landscape, size, tuple(room * width / sum(least) for width in least))


def _needs(table: Table, points: float) -> tuple[list[float], list[float]]:
    """Width of the longest word, and of the longest cell on one line, of each column."""
    least, natural = [], []
    for column, texts in zip(table.columns, _columns(table), strict=True):
        head = [set_width(word, points, bold=True) for word in _words(column.title, column)]
        words = [set_width(word, points, bold=bold) for text, bold in texts for word in _words(text, column)]
        lines = [set_width(text, points, bold=bold) for text, bold in texts]
        lines.append(set_width(column.title, points, bold=True))
        least.append(max((*head, *words, points)))
        natural.append(max((*lines, least[-1])))
    return least, natural


def _columns(table: Table) -> Iterator[list[tuple[str, bool]]]:
    """Yield the texts of each column, and whether each is bold."""
    for i in range(len(table.columns)):
        number = table.columns[i].kind == "number"
        texts = (row.cells[i].text for row in table.rows)
        heads = (row.head for row in table.rows)
        yield list(zip((minus(text) for text in texts) if number else texts, heads, strict=True))


def _words(text: str, column: Column) -> Iterator[str]:
    """Yield what stays on one line: words, and in a column of numbers an interval in its brackets."""
    if column.kind == "number":
        yield from (found for word in kept_together(text).split(" ") for found in breakable(word))
        return
    for found in _BREAKS.findall(text):
        yield from breakable(found)


def _shared(caption: str, least: list[float], natural: list[float], room: float) -> tuple[float, ...]:
    """Share the line: what each needs, and of the rest what each could use."""
    if sum(natural) <= room:
        wanted = min(set_width(caption, 10.0, bold=True), room) - sum(natural)
        return (*natural[:-1], natural[-1] + max(wanted, 0.0))
    spare = (room - sum(least)) / (sum(natural) - sum(least))
    return tuple(low + (high - low) * spare for low, high in zip(least, natural, strict=True))


def _reads_well(table: Table, widths: tuple[float, ...], points: float) -> bool:
    """Tell whether no cell is a ribbon, of many lines in a narrow column, nor very tall."""
    lines, narrow = _RIBBON
    for column, texts, width in zip(table.columns, _columns(table), widths, strict=True):
        for text, bold in texts:
            tall = _lines(text, column, width, points, bold=bold)
            if tall > _TALLEST or (tall > lines and width < narrow):
                return False
    return True


def _lines(text: str, column: Column, width: float, points: float, *, bold: bool) -> int:
    """Fill lines with words, as TeX does where the right edge is ragged."""
    space, lines, filled = set_width(" ", points), 1, 0.0
    for word in _words(text, column):
        wide = set_width(word, points, bold=bold)
        if filled and filled + space + wide > width + 0.1:
            lines, filled = lines + 1, wide
        else:
            filled += wide + (space if filled else 0.0)
    return lines
