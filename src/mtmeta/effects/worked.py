"""The formulas of effects as a reader writes them, row by row, from the printed number to the variance.

What stands here is evaluated (:mod:`mtmeta.effects.arithmetic`), and a test holds every chain to the
calculator whose words it gives, for every measure and convention.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mtmeta.effects.arithmetic import evaluate, names_in
from mtmeta.effects.printed import Given, Printed, Step

__all__ = ["FORMULAS", "Worked", "formulas_of", "mean_of_rows", "values_of", "worked_effect"]

_LS = "Hedges 1982, Psychol Bull 92, eq. 8"
_J = Step(
    "small-sample factor (gamma functions; from a table)",
    "J",
    "J(n1 + n2 − 2)",
    "Hedges & Olkin 1985, p. 104",
)
_J_APPROXIMATE = Step(
    "small-sample factor, RevMan's", "J", "1 − 3 / (4 × (n1 + n2) − 9)", "Deeks & Higgins 2010"
)
_POOLED = Step(
    "pooled SD",
    "sp",
    "√(((n1 − 1) × sd1² + (n2 − 1) × sd2²) / (n1 + n2 − 2))",
    "Cochrane Handbook 6, 6.5.2.3",
)
_D = Step("standardised difference", "d", "(m1 − m2) / sp")
_G = Step("Hedges' g", "g", "J × d", "Hedges 1981, J Educ Stat 6")
_SMD_VARIANCE = {
    "LS": Step("variance (LS)", "v", "1 / n1 + 1 / n2 + g² / (2 × (n1 + n2))", _LS),
    "LS2": Step(
        "variance (LS2)",
        "v",
        "J² × (1 / n1 + 1 / n2 + d² / (2 × (n1 + n2)))",
        "Borenstein et al. 2009, eqs. 4.20 and 4.24",
    ),
    "UB": Step(
        "variance (UB, unbiased)",
        "v",
        "1 / n1 + 1 / n2 + (1 − (n1 + n2 − 4) / ((n1 + n2 − 2) × J²)) × g²",
        "Hedges 1983, Psychol Bull 93, eq. 9",
    ),
    "AV": Step(
        "variance (AV: with the mean of all rows' g, weighted by size)",
        "v",
        "1 / n1 + 1 / n2 + gmean² / (2 × (n1 + n2))",
    ),
    "RevMan": Step(
        "variance (RevMan)", "v", "1 / n1 + 1 / n2 + g² / (2 × (n1 + n2 − 3.94))", "Deeks & Higgins 2010"
    ),
}
_HALVES = (
    Step("½ added, a cell is 0: events, music", "A", "a + 0.5"),
    Step("no event, music", "B", "n1 − a + 0.5"),
    Step("events, control", "C", "c + 0.5"),
    Step("no event, control", "D", "n2 − c + 0.5"),
)
_CELLS = (
    Step("events, music", "A", "a"),
    Step("no event, music", "B", "n1 − a"),
    Step("events, control", "C", "c"),
    Step("no event, control", "D", "n2 − c"),
)

FORMULAS: dict[str, tuple[Step, ...]] = {
    "MD": (
        Step("mean difference", "MD", "m1 − m2"),
        Step("variance", "v", "sd1² / n1 + sd2² / n2"),
    ),
    "SMDH": (
        _J,
        Step("mean of both squared SDs", "s2", "(sd1² + sd2²) / 2", "Bonett 2008"),
        Step("standardised difference, corrected", "g", "J × (m1 − m2) / √s2", "Bonett 2008"),
        Step(
            "variance",
            "v",
            "g² / (8 × s2²) × (sd1^4 / (n1 − 1) + sd2^4 / (n2 − 1))"
            " + (sd1² / (n1 − 1) + sd2² / (n2 − 1)) / s2",
            "Bonett 2008, Psychol Methods 13, eq. 8",
        ),
    ),
    "SMD1": (
        Step("small-sample factor (gamma functions; from a table)", "J", "J(n2 − 1)"),
        Step("difference over the control arm's SD, corrected", "g", "J × (m1 − m2) / sd2", "Glass 1976"),
        Step("variance (LS)", "v", "1 / n1 + 1 / n2 + g² / (2 × n2)", _LS),
    ),
    "ROM": (
        Step("squared coefficient of variation over n, music", "cv1", "sd1² / (n1 × m1²)"),
        Step("the same, control", "cv2", "sd2² / (n2 × m2²)"),
        Step(
            "log ratio of means, corrected",
            "y",
            "ln(m1 / m2) + (cv1 − cv2) / 2",
            "Lajeunesse 2015, Ecology 96, eq. 8",
        ),
        Step("variance", "v", "cv1 + cv2", "Hedges, Gurevitch & Curtis 1999"),
    ),
    "OR": (
        Step("log odds ratio", "y", "ln(A × D / (B × C))"),
        Step("variance", "v", "1 / A + 1 / B + 1 / C + 1 / D"),
    ),
    "RR": (
        Step("log risk ratio", "y", "ln(A / (A + B) / (C / (C + D)))"),
        Step("variance", "v", "1 / A − 1 / (A + B) + 1 / C − 1 / (C + D)"),
    ),
    "RD": (
        Step("risk, music", "p1", "A / (A + B)"),
        Step("risk, control", "p2", "C / (C + D)"),
        Step("risk difference", "RD", "p1 − p2"),
        Step("variance", "v", "p1 × (1 − p1) / (A + B) + p2 × (1 − p2) / (C + D)"),
    ),
    "PETO": (
        Step("participants", "N", "A + B + C + D"),
        Step("events expected, music", "E", "(A + C) × (A + B) / N"),
        Step(
            "hypergeometric variance",
            "V",
            "(A + B) × (C + D) × (A + C) × (B + D) / (N² × (N − 1))",
            "Yusuf et al. 1985",
        ),
        Step("log odds ratio by Peto's method", "y", "(A − E) / V", "Yusuf et al. 1985"),
        Step("variance", "v", "1 / V", "Yusuf et al. 1985"),
    ),
    "IRR": (
        Step("log rate ratio", "y", "ln(x1 / t1 / (x2 / t2))"),
        Step("variance", "v", "1 / x1 + 1 / x2"),
    ),
    "COR": (
        Step("correlation", "y", "r"),
        Step("variance", "v", "(1 − r²)² / (n − 1)"),
    ),
    "ZCOR": (
        Step("Fisher's z", "y", "ln((1 + r) / (1 − r)) / 2"),
        Step("variance", "v", "1 / (n − 3)"),
    ),
    "MC": (
        Step("mean change", "y", "m1 − m2"),
        Step("variance", "v", "(sd1² + sd2² − 2 × r × sd1 × sd2) / n"),
    ),
}
_REPORTED = (Step("variance", "v", "SE²"),)


@dataclass(frozen=True, slots=True)
class Worked:
    """A calculation from printed numbers to an effect and its variance.

    Parameters
    ----------
    given : tuple of Given
    steps : tuple of Step
    effect, variance : str
        Symbols of the results.
    """

    given: tuple[Given, ...]
    steps: tuple[Step, ...]
    effect: str
    variance: str


def formulas_of(measure: str, variance: str = "LS") -> tuple[Step, ...]:
    """Return the formulas of a measure from the columns of its calculator, as docs and tables print them.

    Examples
    --------
    >>> [step.formula for step in formulas_of("MD")]
    ['m1 − m2', 'sd1² / n1 + sd2² / n2']
    """
    if measure == "SMD":
        return (_POOLED, _D, *_smd(variance))
    return FORMULAS.get(measure, ())


def _smd(variance: str) -> tuple[Step, ...]:
    return (_J_APPROXIMATE if variance == "RevMan" else _J, _G, _SMD_VARIANCE[variance])


def _printed_g(printed: Printed, variance: str) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Restate a printed g; untouched where its correction and its sizes are those of the convention.

    Returns the steps with the people the source counted, and those with effective sizes.
    """
    own = "approximate" if variance == "RevMan" else "exact"
    j, final = _J_APPROXIMATE if own == "approximate" else _J, _SMD_VARIANCE[variance]
    if printed.correction == "none":
        return (Step("standardised difference, as printed", "d", "gp"),), (j, _G, final)
    if printed.correction == own and "n1" not in printed.names:
        needed = [j] if "J" in names_in(final.formula) or "d" in names_in(final.formula) else []
        back = [Step("before correction", "d", "gp / J")] if "d" in names_in(final.formula) else []
        return (*needed, *back, Step("Hedges' g, as printed", "g", "gp")), (final,)
    theirs = _J if printed.correction == "exact" else _J_APPROXIMATE
    undone = (
        replace(theirs, title=f"the source's {theirs.title}", symbol="Js"),
        Step("before their correction", "d", "gp / Js"),
    )
    return undone, (j, _G, final)


def worked_effect(
    printed: Printed, measure: str, variance: str = "LS", *, mean_g: float | None = None
) -> Worked | None:
    """Return the whole calculation of one effect, or None for a measure whose formulas are not spelt out.

    Parameters
    ----------
    printed : Printed
    measure : str
    variance : {"LS", "LS2", "UB", "AV", "RevMan"}, default "LS"
    mean_g : float, optional
        For "AV": the mean of all rows' g, weighted by size.
    """
    given, steps = printed.given, printed.steps
    chain: tuple[Step, ...]
    before: tuple[Step, ...] = ()
    if printed.effect is not None:
        chain = _REPORTED
    elif measure == "SMD" and printed.correction is not None:
        before, chain = _printed_g(printed, variance)
    elif measure == "SMD":
        chain = _smd(variance) if printed.d is not None else (_POOLED, _D, *_smd(variance))
    else:
        chain = _of_columns(printed, measure)
    if not chain:
        return None
    if measure == "SMD" and printed.effect is None and variance == "AV":
        given = (
            *given,
            Given("gmean", math.nan if mean_g is None else mean_g, "mean g of all rows, weighted by size"),
        )
    renamed = (*before, *(_rename(step, printed.names) for step in chain))
    effect = "y" if printed.effect is not None else _symbol((*before, *chain))
    return Worked(given, (*steps, *renamed), effect, "v")


def _of_columns(printed: Printed, measure: str) -> tuple[Step, ...]:
    chain = FORMULAS.get(measure, ())
    raw = printed.raw
    if measure in ("OR", "RR", "RD", "PETO"):
        cells = (raw["a"], raw["n1"] - raw["a"], raw["c"], raw["n2"] - raw["c"])
        return (*(_HALVES if 0 in cells else _CELLS), *chain)
    if measure == "IRR" and 0 in (raw["x1"], raw["x2"]):
        halves = {"x1": "X1", "x2": "X2"}
        added = tuple(Step("½ added, no event in an arm", h, f"{x} + 0.5") for x, h in halves.items())
        return (*added, *(_rename(step, halves) for step in chain))
    return chain


def _symbol(chain: Sequence[Step]) -> str:
    return chain[-2].symbol


def _rename(step: Step, names: Mapping[str, str]) -> Step:
    if not names:
        return step
    # ² counts as part of a word for \b, so the edges are spelt out
    pattern = r"(?<![A-Za-z0-9_])(?:" + "|".join(map(re.escape, names)) + r")(?![A-Za-z0-9_])"
    return replace(step, formula=re.sub(pattern, lambda match: names[match[0]], step.formula))


def mean_of_rows(values: Sequence[tuple[float, float]], covariance: Sequence[Sequence[float]]) -> Worked:
    """Return the calculation of the mean of several rows of one trial, whose errors go together.

    Parameters
    ----------
    values : sequence of (effect, variance)
    covariance : nested sequence
        Of the rows' sampling errors.
    """
    m = len(values)
    given: list[Given] = []
    pairs: list[str] = []
    for i, (effect, variance) in enumerate(values, 1):
        given += [Given(f"y{i}", effect, f"effect, row {i}"), Given(f"v{i}", variance, f"variance, row {i}")]
        for j in range(1, i):
            given.append(
                Given(f"c{j}_{i}", float(covariance[j - 1][i - 1]), f"covariance of rows {j} and {i}")
            )
            pairs.append(f"c{j}_{i}")
    effects = " + ".join(f"y{i}" for i in range(1, m + 1))
    variances = " + ".join(f"v{i}" for i in range(1, m + 1))
    steps = (
        Step("mean of the rows", "y", f"({effects}) / {m}"),
        Step(
            "its variance",
            "v",
            f"({variances} + 2 × ({' + '.join(pairs)})) / {m}²",
            "Borenstein et al. 2009, ch. 24",
        ),
    )
    return Worked(tuple(given), steps, "y", "v")


def values_of(worked: Worked) -> dict[str, float]:
    """Return the value of every symbol of a calculation, nothing rounded on the way.

    Examples
    --------
    A log hazard ratio of 0.40 and its standard error 0.2.

    >>> steps = (Step("log", "y", "ln(e)"), Step("variance", "v", "SE²"))
    >>> done = Worked((Given("e", 0.4, "HR"), Given("SE", 0.2, "SE")), steps, "y", "v")
    >>> round(values_of(done)["y"], 4)
    -0.9163
    """
    values = {g.symbol: g.value for g in worked.given}
    for step in worked.steps:
        values[step.symbol] = evaluate(step.formula, values)
    return values
