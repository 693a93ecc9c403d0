"""Absolute effects: what a pooled effect is in people, in points of a scale, and what each number assumes.

Nothing is assumed in silence. A number that needs a risk without music, or a scale's standard deviation, is
shown only where the scale library, the analysis file or the trials themselves give one; otherwise the reason
stands in its place.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from mtmeta.audit.anchors import common_scale, pooled_outcomes
from mtmeta.audit.run import AnalysisRun
from mtmeta.effects.convert import common_language, response_rates, scale_points
from mtmeta.measures import Interval
from mtmeta.records.scales import scale_of
from mtmeta.records.schema import Means
from mtmeta.reports.document import Number, Spans, spans
from mtmeta.reports.phrases import joined, turned
from mtmeta.reports.words import fixed

__all__ = ["Absolute", "ScaleBasis", "absolute_effects", "scale_basis"]

_STANDARDISED = ("SMD", "SMDH", "SMD1")
_FEWEST_WITH_SD, _LEAST_WEIGHT = 2, 0.25

_NEEDED = "Number needed to treat for one more"

Kind = Literal["superiority", "per 100", "NNT", "points"]


@dataclass(frozen=True, slots=True)
class Absolute:
    """One absolute effect. Frozen.

    Attributes
    ----------
    kind : str
        "superiority" (CLES), "per 100", "NNT" or "points".
    title : str
    spans : tuple
        The number with its interval; ``not computed`` where there is none.
    value, low, high : float or None
        At full precision; None without a number. An NNT whose interval runs through infinity has no ends.
    assumes : str
        What the number rests on besides the pooled effect, or why there is none.
    """

    kind: Kind
    title: str
    spans: Spans
    value: float | None = None
    low: float | None = None
    high: float | None = None
    assumes: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a number."""
        return self.value is not None


@dataclass(frozen=True, slots=True)
class ScaleBasis:
    """A scale and the standard deviation by which an SMD becomes points of it. Frozen."""

    instrument: str
    sd: float
    unit: str
    range: tuple[float, float] | None
    source: str


def absolute_effects(run: AnalysisRun) -> tuple[Absolute, ...]:
    """Return the pooled effect in the ways people can picture, each with a 95% interval or a reason.

    Notes
    -----
    Probability of superiority: McGraw and Wong 1992; responders and NNT from an SMD: Furukawa and Leucht
    2011; points: SMD times a standard deviation (Cochrane Handbook 6, section 15.5.3.2).
    """
    return (_superiority(run), *_people(run), _points(run))


def _benefit(run: AnalysisRun) -> tuple[float, Interval]:
    """Return the standardised effect and its interval in the direction of benefit."""
    turn = run.analysis.better == "lower"
    effect = -run.result.estimate if turn else run.result.estimate
    return effect, turned(run.result.ci(0.95), turn=turn)


def _no(kind: Kind, title: str, why: str) -> Absolute:
    return Absolute(kind, title, spans("not computed"), assumes=why)


# ---- probability of superiority -------------------------------------------------------------------


def _superiority(run: AnalysisRun) -> Absolute:
    title = "Of 100 pairs of people, one with music and one without: the one with music does better in"
    if run.analysis.measure not in _STANDARDISED:
        return _no("superiority", title, "it follows from standardised mean differences only")
    effect, ci = _benefit(run)
    value, low, high = (100 * float(common_language(x)) for x in (effect, *ci))
    return Absolute(
        "superiority",
        title,
        _interval(value, low, high, 0),
        value,
        low,
        high,
        "normally distributed outcomes of equal spread; 50 is chance",
    )


def _interval(value: float, low: float, high: float, decimals: int) -> Spans:
    one, two, three = (Number(fixed(x, decimals), x) for x in (value, low, high))
    return spans(one, " [", two, ", ", three, "]")


# ---- people ---------------------------------------------------------------------------------------


def _people(run: AnalysisRun) -> tuple[Absolute, Absolute]:
    given = run.analysis.assumptions.control_response
    event = "" if given is None else f": {given.event}"
    title = f"Of 100 people, more with music than without{event}"
    if given is None:
        why = "no share of people who respond without music is given (assumptions: control_response)"
        return _no("per 100", title, why), _no("NNT", _NEEDED, why)
    rates = _rates(run, given.value)
    if isinstance(rates, str):
        return _no("per 100", title, rates), _no("NNT", _NEEDED, rates)
    more = [100 * (r - given.value) for r in rates]
    low, high = min(more[1:]), max(more[1:])
    assumes = (
        f"{fixed(100 * given.value, 0)} of 100 without music ({given.event}; {given.population}; "
        f"{given.source})"
    )
    return (
        Absolute("per 100", title, _interval(more[0], low, high, 0), more[0], low, high, assumes),
        _needed(more[0], low, high, assumes),
    )


def _rates(run: AnalysisRun, control: float) -> tuple[float, float, float] | str:
    """Return the shares with music at the estimate and at both ends, or why there are none."""
    measure = run.analysis.measure
    if measure in _STANDARDISED:
        effect, ci = _benefit(run)
        one, two, three = (float(response_rates(x, control)) for x in (effect, *ci))
        return one, two, three
    back = run.result.effects.measure.back
    effects = [back(x) for x in (run.result.estimate, *run.result.ci(0.95))]
    if measure in ("OR", "PETO"):
        odds = control / (1 - control)
        one, two, three = (odds * x / (1 + odds * x) for x in effects)
    elif measure == "RR":
        one, two, three = (control * x for x in effects)
    elif measure == "RD":
        one, two, three = (control + x for x in effects)
    else:
        return f"a share of people does not follow from {measure}"
    if not all(0 <= x <= 1 for x in (one, two, three)):
        return f"with {fixed(100 * control, 0)} of 100 without music the interval leaves 0 to 100"
    return one, two, three


def _needed(more: float, low: float, high: float, assumes: str) -> Absolute:
    title = _NEEDED
    if more == 0:
        return Absolute("NNT", title, spans("no finite number: the difference is 0"), assumes=assumes)
    head = (_one(more), "" if more > 0 else " for one fewer")
    if low <= 0 <= high:
        ends = (" [from ", _one(high), " for one more, through infinity, to ", _one(low), " for one fewer]")
        return Absolute("NNT", title, spans(*head, *ends), 100 / more, assumes=assumes)
    first, last = sorted((abs(100 / low), abs(100 / high)))
    limits = (" [", Number(fixed(first, 0), first), ", ", Number(fixed(last, 0), last), "]")
    return Absolute("NNT", title, spans(*head, *limits), 100 / more, first, last, assumes)


def _one(more: float) -> Number:
    """Return how many people one more (or one fewer) of so many in 100 is."""
    return Number("infinity") if more == 0 else Number(fixed(abs(100 / more), 0), abs(100 / more))


# ---- points ---------------------------------------------------------------------------------------


def scale_basis(run: AnalysisRun) -> ScaleBasis | str:
    """Return the scale on which an SMD is shown in points, or why there is none.

    In this order: ``assumptions: scale`` of the analysis file; the one scale of the library that all trials
    used, by its reference SD; a scale of the library for which at least two trials, with a quarter of the
    weight or more, print the standard deviations of their control groups, pooled.
    """
    given = run.analysis.assumptions.scale
    if given is not None:
        return ScaleBasis(
            given.instrument,
            given.sd,
            given.unit,
            given.range,
            f"SD {given.sd:g} by the analysis file ({given.population}; {given.source})",
        )
    scale = common_scale(run)
    if scale is not None and scale.reference_sd is not None:
        reference = scale.reference_sd
        return ScaleBasis(
            scale.name,
            reference.sd,
            scale.unit,
            scale.range,
            f"SD {reference.sd:g} ({reference.population}; {reference.source})",
        )
    return _printed_sds(run)


def _printed_sds(run: AnalysisRun) -> ScaleBasis | str:
    found: dict[str, list[tuple[str, float, int]]] = defaultdict(list)
    weight: dict[str, float] = defaultdict(float)
    for i, (study, outcome) in enumerate(zip(run.effects.study, pooled_outcomes(run), strict=True)):
        if outcome is None or not isinstance(outcome.data, Means):
            continue
        scale = scale_of(outcome.instrument, outcome.construct_)
        arm = outcome.data.control
        if scale is not None and arm.sd is not None and arm.sd > 0 and arm.n is not None and arm.n > 1:
            found[scale.id].append((study, arm.sd, arm.n))
            weight[scale.id] += float(run.result.weights[i])
    enough = {
        name: rows
        for name, rows in found.items()
        if len(rows) >= _FEWEST_WITH_SD and weight[name] >= _LEAST_WEIGHT
    }
    if not enough:
        return (
            "no standard deviation of a scale is given (assumptions: scale), the scale library has none for "
            "a scale that all trials used, and no scale has its standard deviation printed by two trials "
            "with a quarter of the weight"
        )
    name = max(enough, key=lambda key: (sum(n for _, _, n in enough[key]), key))
    rows = enough[name]
    sd = math.sqrt(sum((n - 1) * s**2 for _, s, n in rows) / sum(n - 1 for _, _, n in rows))
    chosen = scale_of(name)
    assert chosen is not None
    labels = {study.id: study.label for study in run.studies}
    trials = joined([labels.get(study, study) for study, _, _ in rows])
    return ScaleBasis(
        chosen.name,
        sd,
        chosen.unit,
        chosen.range,
        f"SD {fixed(sd, 1)}, pooled from the control groups of {trials}",
    )


def _points(run: AnalysisRun) -> Absolute:
    title = "In points of a scale"
    ci = run.result.ci(0.95)
    if run.analysis.measure == "MD":
        scale = common_scale(run)
        unit = "units of the outcome" if scale is None else f"{scale.unit} of the {scale.name}"
        values = (run.result.estimate, *ci)
        return Absolute("points", f"In {unit}", _interval(*values, 1), *values, assumes="none: as measured")
    if run.analysis.measure not in _STANDARDISED:
        return _no("points", title, "the outcome is not a score")
    basis = scale_basis(run)
    if isinstance(basis, str):
        return _no("points", title, basis)
    value, low, high = (float(scale_points(x, basis.sd)) for x in (run.result.estimate, *ci))
    where = "" if basis.range is None else f", which runs from {basis.range[0]:g} to {basis.range[1]:g}"
    return Absolute(
        "points",
        f"In {basis.unit} of the {basis.instrument}{where}",
        _interval(value, low, high, 1),
        value,
        low,
        high,
        basis.source,
    )
