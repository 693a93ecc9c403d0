"""Formulas as people write them, ``√(a² + b²)``: evaluated, and shown with the numbers filled in.

The formula that a reader sees is the formula that is evaluated, so a worked calculation cannot say one
thing and do another. Knows numbers, names, ``+ − × / ^ ² √ ( ) |x|`` and the functions ``ln exp max`` and,
with the arguments parted by a semicolon, the table values ``J(df)``, ``t(p; df)`` and ``z(p)``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from mtmeta.errors import UsageError

__all__ = ["TABLES", "evaluate", "fill", "names_in", "number", "rounded"]

TABLES = frozenset({"J", "t", "z"})
"""Functions whose values a reader looks up: small-sample factor, quantiles of t and of the normal."""

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([A-Za-zτμ_][A-Za-z0-9_]*)|([-+−×*/^²√();|]))")
_MINUS = ("−", "-")
_TIMES = ("×", "*", "/")


def _j(df: float) -> float:
    from mtmeta.effects.continuous import hedges_correction

    return float(hedges_correction(df))


def _t(p: float, df: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, p))


def _z(p: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(p))


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "ln": math.log,
    "exp": math.exp,
    "max": max,
    "J": _j,
    "t": _t,
    "z": _z,
}


def _tokens(formula: str) -> list[str]:
    found, at, text = [], 0, formula.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise UsageError(f"{formula!r} holds {text[at:].strip()[:1]!r}, which no formula here has")
        found.append(match[0].strip())
        at = match.end()
    return found


class _Reader:
    """Recursive descent over the tokens of one formula; a step down the grammar a method."""

    def __init__(self, formula: str, values: Mapping[str, float]) -> None:
        self.formula, self.values = formula, values
        self.tokens, self.at = _tokens(formula), 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if not token or (wanted is not None and token != wanted):
            raise UsageError(f"{self.formula!r} is no whole formula: {wanted or 'a value'} is missing")
        self.at += 1
        return token

    def whole(self) -> float:
        value = self.sum()
        if self.peek():
            raise UsageError(f"{self.formula!r} is no formula: {self.peek()!r} does not belong there")
        return value

    def sum(self) -> float:
        value = self.product()
        while self.peek() in ("+", *_MINUS):
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def product(self) -> float:
        value = self.signed()
        while self.peek() in _TIMES:
            value = value / self.signed() if self.take() == "/" else value * self.signed()
        return value

    def signed(self) -> float:
        if self.peek() in _MINUS:
            self.take()
            return -self.signed()
        return self.power()

    def power(self) -> float:
        value = self.atom()
        while self.peek() in ("²", "^"):
            value = value**2 if self.take() == "²" else value ** self.signed()
        return value

    def atom(self) -> float:
        token = self.take()
        if token == "(":
            value = self.sum()
            self.take(")")
            return value
        if token == "|":
            value = abs(self.sum())
            self.take("|")
            return value
        if token == "√":
            return math.sqrt(self.atom())
        if token[0].isdigit():
            return float(token)
        if self.peek() == "(" and token in _FUNCTIONS:
            return self.call(token)
        if token in self.values:
            return float(self.values[token])
        raise UsageError(f"{token!r} in {self.formula!r} is not known")

    def call(self, name: str) -> float:
        self.take("(")
        arguments = [self.sum()]
        while self.peek() == ";":
            self.take()
            arguments.append(self.sum())
        self.take(")")
        return float(_FUNCTIONS[name](*arguments))


def evaluate(formula: str, values: Mapping[str, float]) -> float:
    """Return the value of a formula.

    Parameters
    ----------
    formula : str
    values : mapping of str to float
        A value for each name in it.

    Raises
    ------
    UsageError
        What is no formula, or a name without a value.

    Examples
    --------
    Borenstein et al. (2009), ch. 4: two groups of 50 with SDs 5.5 and 4.5 have the pooled SD 5.0249.

    >>> given = {"n1": 50, "n2": 50, "sd1": 5.5, "sd2": 4.5}
    >>> round(evaluate("√(((n1 − 1) × sd1² + (n2 − 1) × sd2²) / (n1 + n2 − 2))", given), 4)
    5.0249
    """
    return _Reader(formula, values).whole()


def names_in(formula: str) -> tuple[str, ...]:
    """Return the names in a formula, each once, in order, without its functions.

    Examples
    --------
    >>> names_in("ln(a / b) + a")
    ('a', 'b')
    """
    tokens = _tokens(formula)
    found = [
        token
        for token, after in zip(tokens, [*tokens[1:], ""], strict=True)
        if not token[0].isdigit() and token[0].isidentifier() and not (after == "(" and token in _FUNCTIONS)
    ]
    return tuple(dict.fromkeys(found))


def fill(formula: str, values: Mapping[str, float]) -> str:
    """Return a formula with numbers in the place of its names; negative ones stand in parentheses.

    Examples
    --------
    >>> fill("(m1 − m2) / sd", {"m1": -1.5, "m2": 2, "sd": 0.5})
    '((−1.5) − 2) / 0.5'
    """

    def replace(match: re.Match[str]) -> str:
        name = match[0]
        if name in _FUNCTIONS and formula[match.end() : match.end() + 1] == "(":
            return name
        if name not in values:
            raise UsageError(f"{name!r} in {formula!r} is not known")
        text = number(values[name])
        return f"({text})" if text.startswith("−") else text

    if formula in values:  # a name alone needs no parentheses
        return number(values[formula])
    return re.sub(r"[A-Za-zτμ_][A-Za-z0-9_]*", replace, formula)


def number(value: float) -> str:
    """Write a number in full: as many digits as it has, no exponent, a real minus sign.

    Examples
    --------
    >>> number(-0.5), number(20.0), number(1.2e-7)
    ('−0.5', '20', '0.00000012')
    """
    if not math.isfinite(value):
        raise UsageError(f"{value} has no digits to write")
    text = format(Decimal(repr(float(value))), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return ("−" + text[1:] if text.startswith("-") else text) if text not in ("-0", "") else "0"


def rounded(value: float, digits: int = 6) -> float:
    """Round to significant digits, as a reader writes a result down before going on with it.

    Examples
    --------
    >>> rounded(5.02493781056)
    5.02494
    >>> rounded(0.000123456789)
    0.000123457
    """
    return float(f"{value:.{digits}g}")
