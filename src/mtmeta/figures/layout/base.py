"""What all layouts share: numbers as words, a JSON form, and the comparison of two such forms."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from mtmeta.figures.style import Style

__all__ = [
    "Layout",
    "as_json",
    "capital",
    "count",
    "differences",
    "headline",
    "interval_parts",
    "number",
    "p_value",
    "percent",
    "to_plain",
]

SIGNIFICANT = 12  # digits a layout's JSON keeps, as lock files do


class Layout:
    """Base of frozen layouts: gives them a JSON form and nothing else."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the layout as plain lists, dicts, strings and numbers."""
        plain = to_plain(self)
        assert isinstance(plain, dict)
        return {"layout": type(self).__name__, **plain}

    def to_json(self) -> str:
        """Return the layout as JSON text with sorted keys; numbers keep 12 significant digits."""
        return as_json(self.to_dict())


def as_json(plain: Mapping[str, Any]) -> str:
    """Return plain data as JSON text: keys sorted, nothing that is not JSON."""
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def capital(text: str) -> str:
    """Return text with its first letter raised, the rest untouched."""
    return text[:1].upper() + text[1:]


def headline(text: str) -> str:
    """Return a group's name as a heading: with a capital where it begins with a plain word.

    Examples
    --------
    >>> [headline(text) for text in ("music therapy", "COPD", "mRNA", "mg a day", "65 and older")]
    ['Music therapy', 'COPD', 'mRNA', 'mg a day', '65 and older']
    """
    first = re.match(r"[^\W\d_]{3,}(?=[\s,;/-]|$)", text)
    return capital(text) if first is not None and first[0].islower() else text


def to_plain(value: Any) -> Any:
    """Turn dataclasses, tuples and numpy scalars into what JSON can hold; non-finite numbers into text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, Sequence):
        return [to_plain(v) for v in value]
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    return int(number) if isinstance(value, int) else float(f"{number:.{SIGNIFICANT}g}")


def differences(old: Any, new: Any, *, rtol: float = 1e-9, atol: float = 1e-9) -> list[str]:
    """Say where two layouts (as plain data) differ; empty when they draw the same figure.

    Parameters
    ----------
    old, new
        What :meth:`Layout.to_dict` or ``json.loads`` returns.
    rtol, atol : float
        Numbers closer than ``atol + rtol * |old|`` are the same.

    Examples
    --------
    >>> differences({"k": 9, "x": [1.0, 2.0]}, {"k": 9, "x": [1.0, 2.5]})
    ['x.1: 2.0 is now 2.5']
    """
    return list(_walk(old, new, "", rtol, atol))


def _walk(old: Any, new: Any, path: str, rtol: float, atol: float) -> Iterator[str]:
    def at(key: object) -> str:
        return f"{path}.{key}" if path else str(key)

    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(set(old) | set(new)):
            if key not in new or key not in old:
                yield f"{at(key)}: {'is gone' if key in old else 'is new'}"
            else:
                yield from _walk(old[key], new[key], at(key), rtol, atol)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{path}: {len(old)} entries are now {len(new)}"
        for i, (a, b) in enumerate(zip(old, new, strict=False)):
            yield from _walk(a, b, at(i), rtol, atol)
    elif _is_number(old) and _is_number(new):
        if abs(old - new) > atol + rtol * abs(old):
            yield f"{path}: {old} is now {new}"
    elif old != new:
        yield f"{path}: {old!r} is now {new!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value: float, style: Style, *, decimals: int | None = None) -> str:
    """Return a number as the style prints it: its decimal mark, its minus, no minus before a rounded zero.

    Examples
    --------
    >>> number(-0.7145, Style())
    '−0.71'
    >>> number(-0.001, Style(decimal_mark="·"))
    '0·00'
    """
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else f"{style.minus}\N{INFINITY}"
    digits = style.decimals if decimals is None else decimals
    text = f"{abs(value):.{digits}f}"
    negative = value < 0 and text.strip("0.") != ""
    return (style.minus if negative else "") + text.replace(".", style.decimal_mark)


def count(value: float, style: Style) -> str:
    """Return a count: whole numbers without decimals, shared controls (a half participant) with one.

    Examples
    --------
    >>> count(1139.0, Style()), count(22.5, Style()), count(191064, Style())
    ('1139', '22.5', '191,064')
    """
    if value is None or math.isnan(value):
        return ""
    text = number(value, style, decimals=0 if abs(value - round(value)) < 1e-9 else 1)
    return text if abs(value) < 10_000 else f"{round(value):,}".replace(",", style.thousands)


def percent(value: float, style: Style, *, decimals: int | None = None) -> str:
    """Return a percentage (0 to 100) with its sign."""
    text = number(value, style, decimals=style.weight_decimals if decimals is None else decimals)
    return f"{text}%" if text else ""


def interval_parts(low: float, high: float, style: Style, *, decimals: int | None = None) -> tuple[str, str]:
    """Return the two limits as the style writes them; joined they are the whole interval.

    Examples
    --------
    >>> interval_parts(-1.0669, -0.3622, Style())
    ('[−1.07, ', '−0.36]')
    """
    before, between, after = style.interval
    lower, upper = number(low, style, decimals=decimals), number(high, style, decimals=decimals)
    if not lower or not upper:
        return ("", "")
    if between in ("–", "-") and style.minus in lower + upper:
        between = " to "  # a dash beside a minus cannot be read
    return (f"{before}{lower}{between}", f"{upper}{after}")


def p_value(value: float, style: Style) -> str:
    """Return a P value with its letter and sign, as the style spells it.

    Examples
    --------
    >>> p_value(0.0307, Style())
    'p = 0.031'
    >>> p_value(1e-9, Style(p_letter="P", p_space=False, p_leading_zero=False))
    'P<.001'
    """
    if value is None or math.isnan(value):
        return ""
    small = value < style.p_floor
    digits = max(style.p_decimals, math.ceil(-math.log10(style.p_floor)) if small else 0)
    text = f"{style.p_floor if small else value:.{digits}f}"
    if not small and float(text) == 0.0 and value > 0:
        text = f"{value:.{math.ceil(-math.log10(value))}f}"
    if float(text) >= 1.0 and value < 1.0:
        text, sign = f"{1 - 10**-digits:.{digits}f}", ">"
    else:
        sign = "<" if small else "="
    if not style.p_leading_zero:
        text = text.removeprefix("0")
    gap = " " if style.p_space else ""
    return f"{style.p_letter}{gap}{sign}{gap}{text.replace('.', style.decimal_mark)}"
