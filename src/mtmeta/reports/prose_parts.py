"""What sentences about results are made of: numbers with their places, tests, coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mtmeta.errors import ModelError
from mtmeta.measures import Interval, Measure
from mtmeta.models.linear import Coefficients
from mtmeta.reports.document import Inline, Number
from mtmeta.reports.locked import Locked, tau2_text
from mtmeta.reports.words import count, fixed, percent, pvalue

__all__ = [
    "Numbers",
    "Parts",
    "i2_words",
    "label_words",
    "level_words",
    "mean_words",
    "omnibus_words",
    "q_words",
    "statistic_words",
    "terms_words",
]

Parts = list["str | Inline | Iterable[Inline]"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Makes numbers of a text, with their places in a lock where there is one. Frozen.

    Attributes
    ----------
    locked : Locked, optional
    prefix : str
        Path below which the numbers of this result stand in the lock, such as ``today``.
    """

    locked: Locked | None = None
    prefix: str = ""

    def number(self, value: float, write: Callable[[float], str], path: str = "") -> Number:
        """Write a number; an infinite one is written so, and none that is no number is taken."""
        if math.isnan(value):
            raise ModelError(f"a text would say NaN{f' for {path}' if path else ''}; leave the sentence out")
        if math.isinf(value):
            return Number("infinity" if value > 0 else "minus infinity", value)
        at = ""
        if self.locked is not None and path:
            full = f"{self.prefix}/{path}" if self.prefix else path
            at = f"{self.locked.name}/{full}"
        return Number(write(value), value, at)

    def two(self, value: float, path: str = "") -> Number:
        """Write with two decimals."""
        return self.number(value, fixed, path)

    def count(self, value: float, path: str = "") -> Number:
        """Write a count."""
        return self.number(value, count, path)

    def df(self, value: float, path: str = "") -> Number:
        """Write degrees of freedom: whole ones so, others with one decimal."""
        return self.number(value, lambda x: f"{x:.0f}" if x == round(x) else fixed(x, 1), path)

    def tau2(self, value: float, path: str = "") -> Number:
        """Write a variance between studies."""
        return self.number(value, tau2_text, path)

    def p(self, value: float, path: str = "") -> Parts:
        """Write ``p = 0.035`` or ``p < 0.001``."""
        text = pvalue(value)
        below = text.startswith("<")
        number = self.number(value, lambda _: text, path)
        return ["p " if below else "p = ", number]

    def interval(self, ci: Interval, measure: Measure | None, path: str) -> Parts:
        """Write ``low to high`` on the scale people read."""
        low, high = (x if measure is None else measure.back(x) for x in ci)
        return [self.two(low, f"{path}/0"), " to ", self.two(high, f"{path}/1")]


def label_words(measure: Measure) -> str:
    """Return what is estimated, on the scale people read, within a sentence."""
    text = measure.back_label
    return text if text[:2].isupper() else text[0].lower() + text[1:]


def level_words(level: float) -> str:
    """Write a level in percent."""
    return f"{100 * level:g}%"


def statistic_words(n: Numbers, statistic: float, df: float, p: float) -> Parts:
    """Write ``z = ..., p = ...`` or ``t(df) = ..., p = ...``."""
    head: Parts = ["z = "] if math.isinf(df) else ["t(", n.df(df, "df"), ") = "]
    return [*head, n.two(statistic, "statistic"), ", ", *n.p(p, "pvalue")]


def i2_words(result: Any, n: Numbers) -> Parts:
    """Write I² and the test of heterogeneity."""
    return [
        "I² = ",
        n.number(result.i2, percent, "i2"),
        ", Q(",
        n.count(result.q_df),
        ") = ",
        n.two(result.q, "q"),
        ", ",
        *n.p(result.q_pvalue, "q_pvalue"),
    ]


def terms_words(coefficients: Coefficients, level: float, n: Numbers, *, what: str = "Coefficients") -> Parts:
    """Tell every coefficient with its interval and test."""
    frame = coefficients.frame(level)
    parts: Parts = []
    for name, row in frame.iterrows():
        parts += [
            f"{name} ",
            n.two(float(row["estimate"])),
            " (",
            n.two(float(row["ci_low"])),
            " to ",
            n.two(float(row["ci_high"])),
            "; ",
            *statistic_words(n, float(row["statistic"]), float(row["df"]), float(row["pvalue"])),
            ")",
            "; ",
        ]
    return [f"{what} with {level_words(level)} CI, on the scale of analysis: ", *parts[:-1], ". "]


def omnibus_words(name: str, test: Any, n: Numbers) -> Parts:
    """Write the joint test of several coefficients."""
    if math.isinf(test.df2):
        return [f"{name}: Q(", n.df(test.df1), ") = ", n.two(test.statistic), ", ", *n.p(test.pvalue), ". "]
    return [
        f"{name}: F(",
        n.df(test.df1),
        ", ",
        n.df(test.df2),
        ") = ",
        n.two(test.statistic),
        ", ",
        *n.p(test.pvalue),
        ". ",
    ]


def q_words(name: str, q: float, df: int, p: float, n: Numbers) -> Parts:
    """Write ``Q(df) = ..., p = ...``."""
    return [f"{name}(", n.count(df), ") = ", n.two(q), ", ", *n.p(p)]


def mean_words(measure: Measure, estimate: float, ci: Interval, level: float, n: Numbers) -> Parts:
    """Write a mean effect with its interval on the scale people read, the bracket left open for a test."""
    return [
        f"{label_words(measure)} ",
        n.two(measure.back(estimate)),
        f" ({level_words(level)} CI ",
        *n.interval(ci, measure, ""),
        "; ",
    ]
