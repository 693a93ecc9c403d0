"""Calculations written out for a student: every line with its numbers, rounded as one writes them down.

Each result is computed from the digits printed above it, so that a pocket calculator gives every line
again; only ``J``, ``t`` and ``z`` come from tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mtmeta.effects.arithmetic import evaluate, fill, number, rounded
from mtmeta.effects.printed import Given, Step
from mtmeta.models.pool import PoolResult

__all__ = ["Sheet", "filled_steps", "ours", "pool_by_hand"]

DIGITS = 6
_CONVERGED = {
    # method: title, formula of tau2 in sums over the studies, term of the sum
    "REML": ("check: with these weights the REML equation gives τ² back, but for rounding", "S / W2 + 1 / W"),
    "ML": ("check: with these weights the ML equation gives τ² back, but for rounding", "S / W2"),
}


class Sheet:
    """Lines of a worked calculation, and the values as far as they are written down."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.values: dict[str, float] = {}
        self._steps = 0

    def say(self, *lines: str) -> None:
        """Add lines of text."""
        self.lines += lines

    def give(self, given: Iterable[Given]) -> None:
        """Write the printed numbers down."""
        listed = list(given)
        width = max((len(f"{g.symbol} = {number(g.value)}") for g in listed), default=0)
        for g in listed:
            self.values[g.symbol] = g.value
            self.lines.append(f"   {f'{g.symbol} = {number(g.value)}':<{width}}   {g.label}")

    def step(self, step: Step) -> float:
        """Write one step: its formula, the formula with numbers, the result."""
        self._steps += 1
        value = rounded(evaluate(step.formula, self.values), DIGITS)
        source = f"   [{step.source}]" if step.source else ""
        self.lines += ["", f"{self._steps}. {step.title}{source}"]
        indent = " " * (len(step.symbol) + 3)
        self.lines.append(f"   {step.symbol} = {step.formula}")
        with_numbers = fill(step.formula, self.values)
        if with_numbers not in (step.formula, number(value)):
            self.lines.append(f"{indent} = {with_numbers}")
        self.lines.append(f"{indent} = {number(value)}")
        self.values[step.symbol] = value
        return value

    def line(self, symbol: str, formula: str, note: str = "") -> float:
        """Write a step of one line."""
        value = rounded(evaluate(formula, self.values), DIGITS)
        text = f"   {symbol} = {fill(formula, self.values)} = {number(value)}"
        self.lines.append(f"{text}   {note}".rstrip())
        self.values[symbol] = value
        return value


def filled_steps(given: Sequence[Given], steps: Sequence[Step]) -> list[tuple[Step, str, float]]:
    """Return each step with its formula filled in and its value, rounded on the way as on a sheet."""
    values = {g.symbol: g.value for g in given}
    done = []
    for step in steps:
        text = fill(step.formula, values)
        values[step.symbol] = rounded(evaluate(step.formula, values), DIGITS)
        done.append((step, text, values[step.symbol]))
    return done


def _sum(terms: Iterable[str]) -> str:
    return " + ".join(terms)


def pool_by_hand(sheet: Sheet, result: PoolResult, labels: Sequence[str], *, level: float) -> None:
    """Write the pooled estimate out: weights, mean, standard error, interval.

    Parameters
    ----------
    sheet : Sheet
        Receives the lines.
    result : PoolResult
        Of a common or random-effects model with a Wald or HKSJ interval.
    labels : sequence of str
        Names of the rows.
    level : float
        Of the interval.
    """
    k = result.k
    sheet.say("", f"Pooling {k} effects: {result.methods}", "", "Effects and their variances:")
    effects = [
        Given(f"y{i}", rounded(float(y), DIGITS), f"effect, {label}")
        for i, (y, label) in enumerate(zip(result.effects.yi, labels, strict=True), 1)
    ]
    variances = [
        Given(f"v{i}", rounded(float(v), DIGITS), f"variance, {label}")
        for i, (v, label) in enumerate(zip(result.effects.vi, labels, strict=True), 1)
    ]
    sheet.give([g for pair in zip(effects, variances, strict=True) for g in pair])
    rows = range(1, k + 1)
    if result.tau2_method != "none":
        _tau2(sheet, result, rows)
    sheet.say(
        "", "Weights, 1 / variance" + (" with τ² added to each variance:" if "tau2" in sheet.values else ":")
    )
    for i in rows:
        sheet.line(f"w{i}", f"1 / (v{i} + tau2)" if "tau2" in sheet.values else f"1 / v{i}")
    sheet.step(Step("sum of the weights", "W", _sum(f"w{i}" for i in rows)))
    sheet.step(Step("pooled effect", "mu", f"({_sum(f'w{i} × y{i}' for i in rows)}) / W"))
    _check_tau2(sheet, result, rows)
    _interval(sheet, result, rows, level)


def _tau2(sheet: Sheet, result: PoolResult, rows: range) -> None:
    """Compute DL's τ², or write down the one that an iteration found."""
    if result.tau2_method == "DL" and result.k > 1:
        sheet.say("", "Variance between studies, τ², by DerSimonian and Laird, from weights 1 / variance:")
        for i in rows:
            sheet.line(f"f{i}", f"1 / v{i}")
        sheet.step(Step("sum of these weights", "F", _sum(f"f{i}" for i in rows)))
        sheet.step(Step("mean with these weights", "m", f"({_sum(f'f{i} × y{i}' for i in rows)}) / F"))
        sheet.step(Step("Cochran's Q", "Q", _sum(f"f{i} × (y{i} − m)²" for i in rows)))
        sheet.step(Step("scale", "C", f"F − ({_sum(f'f{i}²' for i in rows)}) / F"))
        sheet.step(
            Step(
                "variance between studies, τ²",
                "tau2",
                f"max(0; (Q − {result.k - 1}) / C)",
                "DerSimonian & Laird 1986",
            )
        )
        return
    value = rounded(result.tau2, DIGITS)
    how = "given" if result.tau2_method == "given" else f"{result.tau2_method}, found by iteration"
    sheet.say("", "Variance between studies:")
    sheet.give([Given("tau2", value, f"τ² ({how})")])


def _check_tau2(sheet: Sheet, result: PoolResult, rows: range) -> None:
    """Show that the iterated τ² solves its equation."""
    if result.tau2 <= 0:
        return
    if result.tau2_method in _CONVERGED:
        title, formula = _CONVERGED[result.tau2_method]
        sheet.step(Step("sum of the squared weights", "W2", _sum(f"w{i}²" for i in rows)))
        sheet.step(
            Step("sum of w² × ((y − mean)² − v)", "S", _sum(f"w{i}² × ((y{i} − mu)² − v{i})" for i in rows))
        )
        sheet.step(Step(title, "check", formula, "Viechtbauer 2005"))
    elif result.tau2_method in ("PM", "EB"):
        title = f"check: with the right τ² this sum is k − 1 = {result.k - 1}, but for rounding"
        sheet.step(Step(title, "check", _sum(f"w{i} × (y{i} − mu)²" for i in rows), "Paule & Mandel 1982"))


def _interval(sheet: Sheet, result: PoolResult, rows: range, level: float) -> None:
    tail = number(rounded(0.5 + level / 2.0, 12))
    if result.ci_method.startswith(("HKSJ", "IQWiG")):
        factor = f"({_sum(f'w{i} × (y{i} − mu)²' for i in rows)}) / {result.k - 1}"
        if "floor" in result.ci_method:
            factor = f"max(1; {factor})"
        sheet.step(Step("Hartung-Knapp factor", "H", factor, "Knapp & Hartung 2003"))
        sheet.step(Step("standard error (Hartung-Knapp)", "SEmu", "√(H / W)", "Knapp & Hartung 2003"))
        sheet.step(
            Step(
                f"quantile of t with {result.k - 1} degrees of freedom (table)",
                "q",
                f"t({tail}; {result.k - 1})",
            )
        )
    else:
        sheet.step(Step("standard error", "SEmu", "√(1 / W)"))
        sheet.step(Step("quantile of the normal distribution (table)", "q", f"z({tail})"))
    percent = f"{level:.0%}" if (level * 100) % 1 == 0 else f"{level * 100:g}%"
    sheet.step(Step(f"lower end of the {percent} interval", "low", "mu − q × SEmu"))
    sheet.step(Step("upper end", "high", "mu + q × SEmu"))
    if result.effects.measure.is_ratio:
        for symbol, title in (("mu", "pooled ratio"), ("low", "its lower end"), ("high", "its upper end")):
            sheet.step(Step(title, f"R{symbol}", f"exp({symbol})"))


def ours(value: float) -> str:
    """Write a value of mtmeta's own, for comparison; never a negative zero."""
    return number(rounded(value + 0.0, DIGITS)) if math.isfinite(value) else str(value)
