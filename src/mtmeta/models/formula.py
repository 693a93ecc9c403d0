"""Formulas for moderators: an allow-list parser first, formulaic afterwards.

Formulas may come from files, and formulaic evaluates Python. So a text is cut into tokens here, every
token is checked, and only what this module itself writes again from the accepted tokens reaches formulaic.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mtmeta.errors import ModelError, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Design", "Formula", "design_of", "parse"]

FloatArray = npt.NDArray[np.float64]

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[^\W\d]\w*)|(?P<number>\d+(?:\.\d+)?)|(?P<text>\"[^\"\\\n]*\"|'[^'\\\n]*')|(?P<sign>[-+:*(),=~]))"
)
_CALLS: dict[str, tuple[str, ...]] = {
    "C": ("base",),
    "bs": ("df", "degree"),
    "cr": ("df",),
    "poly": ("degree",),
    "log": (),
}
_LONGEST = 2000
_PRODUCTS = 8
_ALLOWED = "column names, + : * - ( ), 0 and 1, and C bs cr poly log of one column"


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that passed the allow-list.

    Attributes
    ----------
    text : str
        As it was given.
    canonical : str
        What formulaic sees.
    columns : tuple of str
        Columns it uses, in order of appearance.
    base : dict of str to str
        Reference levels, by column.
    factors : frozenset of str
        Columns taken as categories whatever their type, because ``C()`` stands around them.
    logs : frozenset of str
        Columns whose logarithm is taken.
    """

    text: str
    canonical: str
    columns: tuple[str, ...]
    base: Mapping[str, str]
    factors: frozenset[str]
    logs: frozenset[str]


def parse(text: str) -> Formula:
    """Check a formula token by token.

    Parameters
    ----------
    text : str
        Such as ``"alloc + ablat"``, ``"C(alloc, base='random') * year"`` or ``"poly(dose, 2)"``; a
        leading ``~`` is allowed.

    Raises
    ------
    UsageError
        Naming the first token that is not allowed, and where it stands.

    Examples
    --------
    >>> parse("C(alloc, base='random') + ablat").columns
    ('alloc', 'ablat')
    >>> parse("__import__('os')")
    Traceback (most recent call last):
    ...
    mtmeta.errors.UsageError: formula "__import__('os')": __import__ is not a function a formula may \
call; allowed are column names, + : * - ( ), 0 and 1, and C bs cr poly log of one column
    """
    return _Parser(text).formula()


class _Parser:
    """Recursive descent over the tokens; writes the canonical text as it goes."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not text.strip():
            raise UsageError(
                f"formula={text!r} must be a text such as 'x1 + x2'; '1' stands for no moderator"
            )
        if len(text) > _LONGEST:
            raise UsageError(f"a formula has at most {_LONGEST} characters; this one has {len(text)}")
        self.text = text
        self.tokens = list(self._cut(text))
        self.at = 0
        self.columns: dict[str, None] = {}
        self.base: dict[str, str] = {}
        self.factors: set[str] = set()
        self.logs: set[str] = set()
        self.numbers: set[str] = set()
        self.called: set[str] = set()

    def _cut(self, text: str) -> Sequence[tuple[str, str]]:
        out, place = [], 0
        end = len(text.rstrip())
        while place < end:
            found = _TOKEN.match(text, place)
            if found is None:
                token = text[place:].split()[0][:20]
                raise self._wrong(f"{token!r} at character {text.index(token, place) + 1} is not allowed")
            out.append((found.lastgroup or "", found[found.lastgroup or 0]))
            place = found.end()
        return out

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f'formula "{self.text}": {what}; allowed are {_ALLOWED}')

    def _peek(self, *signs: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at] in [("sign", s) for s in signs]

    def _next(self, wanted: str) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self._wrong(f"it ends where {wanted} should stand")
        self.at += 1
        return self.tokens[self.at - 1]

    def _expect(self, sign: str, after: str) -> None:
        kind, token = self._next(f"{sign!r}")
        if (kind, token) != ("sign", sign):
            raise self._wrong(f"{token!r} stands where {sign!r} should, after {after}")

    def formula(self) -> Formula:
        if self._peek("~"):
            self.at += 1
        canonical = self._sum(0)
        if self.at < len(self.tokens):
            raise self._wrong(f"{self.tokens[self.at][1]!r} is not expected there")
        if canonical.count("*") > _PRODUCTS:
            raise self._wrong(f"more than {_PRODUCTS} '*' multiply out to too many terms")
        both = sorted(self.factors & self.numbers)
        if both:
            raise self._wrong(f"{both[0]!r} is taken both as a category and as a number")
        clash = sorted(self.called & set(self.columns))
        if clash:
            raise self._wrong(f"{clash[0]!r} is both a column and a function; rename the column")
        return Formula(
            self.text,
            canonical,
            tuple(self.columns),
            self.base,
            frozenset(self.factors),
            frozenset(self.logs),
        )

    def _sum(self, depth: int) -> str:
        if depth > 20:
            raise self._wrong("its brackets are nested too deeply")
        sign = "-" if self._peek("-") else ""
        if self._peek("-", "+"):
            self.at += 1
        parts = [sign + self._product(depth)]
        while self._peek("+", "-"):
            operator = self._next("+")[1]
            parts.append(f"{operator} {self._product(depth)}")
        return " ".join(parts)

    def _product(self, depth: int) -> str:
        parts = [self._factor(depth)]
        while self._peek(":", "*"):
            operator = self._next(":")[1]
            parts.append(f"{operator} {self._factor(depth)}")
        return " ".join(parts)

    def _factor(self, depth: int) -> str:
        kind, token = self._next("a column name")
        if (kind, token) == ("sign", "("):
            inner = self._sum(depth + 1)
            self._expect(")", inner)
            return f"({inner})"
        if kind == "number":
            if token not in ("0", "1"):
                raise self._wrong(f"the number {token} is not allowed; only 0 and 1 (the intercept) are")
            return token
        if kind != "name":
            raise self._wrong(f"{token!r} stands where a column name should")
        return self._call(token) if self._peek("(") else self._column(token)

    def _column(self, name: str) -> str:
        if keyword.iskeyword(name):
            raise self._wrong(f"{name!r} is a word of Python; rename the column")
        self.columns[name] = None
        return name

    def _call(self, function: str) -> str:
        if function not in _CALLS:
            raise self._wrong(f"{function} is not a function a formula may call")
        self.called.add(function)
        self._expect("(", function)
        kind, column = self._next("a column name")
        if kind != "name" or self._peek("("):
            raise self._wrong(f"{function}() takes one column, not {column!r}")
        self._column(column)
        arguments: dict[str, str] = {}
        while self._peek(","):
            self.at += 1
            self._argument(function, column, arguments)
        self._expect(")", f"{function}({column}")
        if function == "C":  # the column becomes a category before formulaic sees it
            self.factors.add(column)
            return column
        self.numbers.add(column)
        if function == "log":
            self.logs.add(column)
        elif function == "cr":
            arguments["constraints"] = "'center'"
        return f"{function}({', '.join([column, *(f'{n}={v}' for n, v in arguments.items())])})"

    def _argument(self, function: str, column: str, arguments: dict[str, str]) -> None:
        kind, token = self._next("a number")
        names = _CALLS[function]
        name = next((n for n in names if n not in arguments), "")
        if kind == "name":
            if token not in names:
                raise self._wrong(f"{function}() has no argument {token!r}")
            name = token
            self._expect("=", name)
            kind, token = self._next("a value")
        if not name or name in arguments:
            raise self._wrong(f"{function}() does not take {token!r}")
        if name == "base":
            if kind != "text":
                raise self._wrong(f"the reference level {token!r} must stand in quotes")
            level = token[1:-1]
            if self.base.setdefault(column, level) != level:
                raise self._wrong(f"{column} has two reference levels, {self.base[column]!r} and {level!r}")
            return
        if kind != "number" or not token.isdigit() or not 1 <= int(token) <= 50:
            raise self._wrong(f"{function}({name}=…) takes a whole number from 1 to 50, not {token!r}")
        arguments[name] = token


@dataclass(frozen=True, eq=False)
class Design:
    """A design matrix and the means to build the same columns for new data.

    Attributes
    ----------
    formula : Formula
    names : tuple of str, length p
        Columns of the matrix.
    matrix : ndarray of shape (k, p)
        Of full column rank.
    terms : dict of str to tuple of int
        Columns of each term of the formula; the intercept stands under "Intercept".
    levels : dict of str to tuple of str
        Levels of each categorical column, the reference first.
    means : dict of str to float
        Mean of each numeric column.
    """

    formula: Formula
    names: tuple[str, ...]
    matrix: FloatArray
    terms: Mapping[str, tuple[int, ...]]
    levels: Mapping[str, tuple[str, ...]]
    means: Mapping[str, float]
    _build: Callable[[pd.DataFrame], FloatArray] = field(repr=False)

    @property
    def has_intercept(self) -> bool:
        """Whether the first column is the constant."""
        return "Intercept" in self.terms

    def tested(self) -> tuple[int, ...]:
        """Columns of the omnibus test: all but the intercept."""
        rest = tuple(i for i in range(len(self.names)) if i not in self.terms.get("Intercept", ()))
        return rest or tuple(range(len(self.names)))

    def rows(self, newdata: pd.DataFrame | Mapping[str, Any]) -> FloatArray:
        """Design rows for new data, with the knots and codings of the fitted data; shape (n, p).

        Raises
        ------
        UsageError
            A column is missing, has a missing value, or a level the fit has not seen.
        """
        import pandas as pd

        frame = newdata if isinstance(newdata, pd.DataFrame) else pd.DataFrame(dict(newdata))
        absent = [name for name in self.formula.columns if name not in frame.columns]
        if absent:
            raise UsageError(f"newdata lacks the column {absent[0]!r} of the formula {self.formula.text!r}")
        ready: dict[str, Any] = {}
        for name in self.formula.columns:
            values = frame[name]
            if values.isna().any():
                raise UsageError(f"newdata[{name!r}] has missing values; every row needs one")
            if name in self.levels:
                texts = [_text(value) for value in values]
                unknown = sorted(set(texts) - set(self.levels[name]))
                if unknown:
                    raise UsageError(
                        f"newdata[{name!r}] has the level {unknown[0]!r}, which the fit has not seen; its "
                        f"levels are {', '.join(map(repr, self.levels[name]))}"
                    )
                ready[name] = pd.Categorical(texts, categories=list(self.levels[name]))
            else:
                numbers = _numeric(name, values)
                ready[name] = numbers
                if name in self.formula.logs and (numbers <= 0).any():
                    raise UsageError(
                        f"newdata[{name!r}] must be above 0, because the formula takes its logarithm"
                    )
        if not ready:
            return np.ones((len(frame), 1))
        return self._build(pd.DataFrame(ready))


def design_of(formula: str, moderators: pd.DataFrame | None, study: Sequence[str]) -> Design:
    """Build the design matrix of a formula.

    Parameters
    ----------
    formula : str
    moderators : DataFrame of k rows or None
    study : sequence of str, length k
        Names for messages.

    Raises
    ------
    UsageError
        A token that is not allowed, or a column that does not exist.
    ModelError
        Missing values (the studies are named), a column that others already determine, a moderator
        with one level only, or the logarithm of a value that is not positive.
    """
    parsed = parse(formula)
    frame, levels = _prepared(parsed, moderators, study)
    if not parsed.columns:
        if parsed.canonical.replace(" ", "") not in ("1", "0+1"):
            raise UsageError(f"formula {formula!r} has neither an intercept nor a moderator")
        ones = np.ones((len(study), 1))
        return Design(parsed, ("Intercept",), ones, {"Intercept": (0,)}, {}, {}, _constant)
    from formulaic import Formula as FormulaicFormula
    from formulaic.errors import FormulaicError

    try:
        built = FormulaicFormula(parsed.canonical).get_model_matrix(frame, context={})
    except (FormulaicError, ValueError) as error:
        raise ModelError(f"formula {formula!r} cannot be evaluated: {error}") from error
    spec = built.model_spec
    names = tuple(_plain(name) for name in spec.column_names)
    matrix = np.asarray(built, dtype=np.float64)
    if not names:
        raise UsageError(f"formula {formula!r} has neither an intercept nor a moderator")
    _require_rank(matrix, names)

    terms = {
        "Intercept" if str(term) == "1" else _plain(str(term)): tuple(int(i) for i in where)
        for term, where in spec.term_indices.items()
    }
    means = {name: float(frame[name].mean()) for name in parsed.columns if name not in levels}
    return Design(parsed, names, matrix, terms, levels, means, partial(_columns, spec))


def _constant(new: pd.DataFrame) -> FloatArray:
    return np.ones((len(new), 1))


def _columns(spec: Any, new: pd.DataFrame) -> FloatArray:
    return np.asarray(spec.get_model_matrix(new), dtype=np.float64)


def _plain(name: str) -> str:
    """``alloc[T.random]`` is called ``alloc[random]``; splines and polynomials keep their call."""
    return name.replace(", constraints='center'", "").replace("[T.", "[")


def _text(value: Any) -> str:
    number = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value)) if number else str(value)


def _numeric(name: str, values: pd.Series[Any]) -> FloatArray:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"newdata[{name!r}] must hold numbers, as in the fit") from None
    if not np.isfinite(numbers).all():
        raise UsageError(f"newdata[{name!r}] must hold finite numbers")
    return numbers


def _named(study: Sequence[str], mask: npt.NDArray[np.bool_]) -> str:
    found = [study[int(i)] for i in np.flatnonzero(mask)]
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


def _prepared(
    parsed: Formula, moderators: pd.DataFrame | None, study: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    """Prepare the columns in use: numbers as float64, all else as categories, the reference first."""
    import pandas as pd

    frame: dict[str, Any] = {}
    levels: dict[str, tuple[str, ...]] = {}
    have = [] if moderators is None else [str(name) for name in moderators.columns]
    for name in parsed.columns:
        if moderators is None or name not in have:
            known = f"they are {', '.join(map(repr, have))}" if have else "the effect table has none"
            raise UsageError(f"the formula uses {name!r}, which is not among the moderators; {known}")
        values = moderators[name]
        absent = np.asarray(values.isna())
        if absent.any():
            raise ModelError(
                f"moderator {name!r} is missing for {_named(study, absent)}; fill it in, or leave these "
                "studies out with EffectSizes.subset"
            )
        numeric = pd.api.types.is_numeric_dtype(values) or all(
            isinstance(value, (int, float, np.number)) for value in values
        )
        if numeric and name not in parsed.factors:
            frame[name] = np.asarray(values, dtype=np.float64)
            _require_numbers(name, frame[name], name in parsed.logs, study)
        else:
            levels[name] = _levels(name, values, parsed.base.get(name))
            frame[name] = pd.Categorical([_text(value) for value in values], categories=list(levels[name]))
    return pd.DataFrame(frame), levels


def _require_numbers(name: str, values: FloatArray, log: bool, study: Sequence[str]) -> None:
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise ModelError(f"moderator {name!r} is not finite for {_named(study, wrong)}")
    if log and (values <= 0).any():
        raise ModelError(
            f"log({name}) does not exist for {_named(study, values <= 0)}: the value is not above 0"
        )


def _levels(name: str, values: pd.Series[Any], base: str | None) -> tuple[str, ...]:
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        present = set(values)
        order = [_text(level) for level in values.cat.categories if level in present]
    else:
        distinct = set(values)
        numbers = all(isinstance(value, (int, float, np.number)) for value in distinct)
        order = [_text(v) for v in (sorted(distinct) if numbers else sorted(distinct, key=str))]
    if len(order) < 2:
        raise ModelError(f"moderator {name!r} has the one level {order[0]!r}; leave it out")
    if base is not None:
        if base not in order:
            raise UsageError(
                f"{base!r} is not a level of {name!r}; its levels are {', '.join(map(repr, order))}"
            )
        order = [base, *(level for level in order if level != base)]
    return tuple(order)


def _require_rank(matrix: FloatArray, names: tuple[str, ...]) -> None:
    """Refuse a column that the ones before it determine, and name them."""
    norms = np.sqrt((matrix**2).sum(0))
    for j, name in enumerate(names):
        if norms[j] == 0:
            raise ModelError(f"the column {name!r} of the design is zero throughout; leave it out")
        if j == 0:
            continue
        before = matrix[:, :j] / norms[:j]
        target = matrix[:, j] / norms[j]
        weights = np.linalg.lstsq(before, target, rcond=None)[0]
        if np.abs(target - before @ weights).max() <= 1e-7:
            others = [names[i] for i in np.flatnonzero(np.abs(weights) > 1e-6)]
            raise ModelError(
                f"the column {name!r} of the design follows from "
                f"{', '.join(map(repr, others))}; leave one out"
            )
