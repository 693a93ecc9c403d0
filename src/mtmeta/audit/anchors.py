"""What a pooled effect is held against: differences that matter, and the scales of the trials behind it.

Nothing is guessed. A threshold comes from the analysis file, from a paper about the outcome, from the scale
library, or from a convention that is called one; where none applies there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mtmeta.measures import measure_of
from mtmeta.records.scales import Scale, scale_of

if TYPE_CHECKING:
    from mtmeta.audit.run import AnalysisRun
    from mtmeta.measures import Interval
    from mtmeta.records.schema import Outcome, Study

__all__ = ["Thresholds", "common_scale", "pooled_outcomes", "pooled_studies", "thresholds_of"]

Origin = Literal["analysis file", "outcome", "scale library", "convention", "null"]

_STANDARDISED = frozenset({"SMD", "SMDH", "SMD1"})
_RATIOS = frozenset({"OR", "RR", "PETO", "HR", "IRR", "ROM"})
# what matters to people, as an SMD, by construct
_MATTERS: dict[str, tuple[float, str, str]] = {
    "depression": (
        0.24,
        "major depression, a first rough estimate by its authors' own words",
        "Cuijpers 2014",
    ),
}
_APPRECIABLE_SMD = 0.5
_APPRECIABLE_RR = (0.75, 1.25)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Values that an interval is held against, on the scale of analysis. Frozen.

    Attributes
    ----------
    cuts : tuple of float
        Smallest harm and benefit that matter, in rising order; or the null value alone.
    shown : tuple of float
        The same on the scale people read.
    origin : str
        Where they come from; "null" where only the null value is known.
    population, source : str
        Whom they were found in, and who says so.
    """

    cuts: tuple[float, ...]
    shown: tuple[float, ...]
    origin: Origin
    population: str = ""
    source: str = ""

    @property
    def matter(self) -> bool:
        """Whether there is more than the null value to hold an interval against."""
        return len(self.cuts) == 2

    def crossed(self, interval: Interval) -> tuple[int, ...]:
        """Return which cuts lie inside of an interval; an end upon a cut does not cross it.

        Examples
        --------
        >>> from mtmeta.measures import Interval
        >>> Thresholds((-0.24, 0.24), (-0.24, 0.24), "outcome").crossed(Interval(-0.49, -0.09))
        (0,)
        """
        return tuple(i for i, cut in enumerate(self.cuts) if interval.low < cut < interval.high)


def thresholds_of(run: AnalysisRun) -> Thresholds:
    """Return the differences that matter for the outcome of an analysis.

    In this order: what the analysis file assumes; a difference that patients notice, published for the
    outcome (depression: SMD 0.24, Cuijpers 2014) or for the one scale that all trials used (in points, or
    divided by the scale's reference SD); the convention of GRADE for appreciable effects, an SMD of 0.5 or a
    risk ratio of 0.75 and 1.25; the null value alone.
    """
    analysis = run.analysis
    measure = measure_of(analysis.measure)
    given = analysis.assumptions.important_difference
    if given is not None:
        cut = math.log(given.value) if analysis.measure in _RATIOS else given.value
        return _both(cut, run, "analysis file", given.population, given.source)
    scale = common_scale(run)
    if analysis.measure in _STANDARDISED:
        constructs = set(analysis.select.constructs)
        if len(constructs) == 1 and (found := _MATTERS.get(next(iter(constructs)))) is not None:
            return _both(found[0], run, "outcome", found[1], found[2])
        if scale is not None and scale.reference_sd is not None and _points(scale) is not None:
            mid, sd = scale.mid, scale.reference_sd
            assert mid is not None
            assert mid.value is not None
            where = f"{mid.value:g} points over a standard deviation of {sd.sd:g} ({sd.population})"
            return _both(mid.value / sd.sd, run, "scale library", f"{mid.population}; {where}", mid.source)
        return _both(_APPRECIABLE_SMD, run, "convention", "", "KCE process book 5.5.1.2")
    if (
        analysis.measure == "MD"
        and scale is not None
        and _points(scale) is not None
        and scale.mid is not None
    ):
        assert scale.mid.value is not None
        return _both(scale.mid.value, run, "scale library", scale.mid.population, scale.mid.source)
    if analysis.measure == "RR":
        low, high = _APPRECIABLE_RR
        return Thresholds(
            (math.log(low), math.log(high)), (low, high), "convention", "", "GRADE guidelines 6"
        )
    return Thresholds((measure.null,), (measure.back(measure.null),), "null")


def _both(cut: float, run: AnalysisRun, origin: Origin, population: str, source: str) -> Thresholds:
    measure = measure_of(run.analysis.measure)
    cuts = (measure.null - cut, measure.null + cut)
    return Thresholds(cuts, (measure.back(cuts[0]), measure.back(cuts[1])), origin, population, source)


def _points(scale: Scale) -> float | None:
    return None if scale.mid is None else scale.mid.value


def pooled_studies(run: AnalysisRun) -> tuple[Study | None, ...]:
    """Return the record behind each row of the pool, None where the run carries none."""
    known = {study.id: study for study in run.studies}
    return tuple(known.get(name) for name in run.effects.study)


def pooled_outcomes(run: AnalysisRun) -> tuple[Outcome | None, ...]:
    """Return the outcome behind each row of the pool, None where several rows were averaged into one."""
    columns = run.effects.columns
    if columns is None or "outcome" not in columns:
        return (None,) * run.effects.k
    found: list[Outcome | None] = []
    for study, name in zip(pooled_studies(run), columns["outcome"], strict=True):
        match = [] if study is None else [o for o in study.outcomes if o.id == str(name)]
        found.append(match[0] if match else None)
    return tuple(found)


def common_scale(run: AnalysisRun) -> Scale | None:
    """Return the one scale of the library on which every trial of the pool measured, or None."""
    outcomes = pooled_outcomes(run)
    found = [None if o is None else scale_of(o.instrument, o.construct_) for o in outcomes]
    names = {None if s is None else s.id for s in found}
    return found[0] if len(names) == 1 else None
