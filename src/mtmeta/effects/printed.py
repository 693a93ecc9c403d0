"""What a row's effect is computed from, and how it was had from what a source printed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from mtmeta.errors import MtmetaError, UsageError
from mtmeta.measures import check_choice

__all__ = ["Given", "NoRouteError", "Printed", "RouteChoices", "Shared", "Step"]

ArmsRule = Literal["combine", "split control", "separate"]


class NoRouteError(MtmetaError):
    """No effect of the measure asked for follows from the row; the message says why."""


@dataclass(frozen=True, slots=True)
class Given:
    """A number that stands in the record.

    Parameters
    ----------
    symbol : str
        Its name in the formulas of the steps, such as ``sd1``.
    value : float
    label : str
        What it is, in words.
    """

    symbol: str
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a calculation.

    Parameters
    ----------
    title : str
        What is computed, in words.
    symbol : str
        Name of the result in later formulas.
    formula : str
        See :mod:`mtmeta.effects.arithmetic`; its names are those of givens and earlier steps.
    source : str
        Where the formula stands.
    """

    title: str
    symbol: str
    formula: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """What rows of one trial that share an arm need to know of each other.

    Parameters
    ----------
    block : str
        The printed row they come from.
    arm1, arm2 : str
        Names of the arms compared.
    v1, v2 : float
        Variance that each arm contributes.
    total : float
        People of all arms where one SD standardises all rows, else NaN.
    """

    block: str
    arm1: str
    arm2: str
    v1: float
    v2: float
    total: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChoices:
    """What the analysis decides where a source leaves several ways to an effect.

    Parameters
    ----------
    arms : {"combine", "split control", "separate"}, optional
        Several music or control arms: taken together as one group each; as one row a pair of arms
        with the people of a shared arm divided among its rows; or as one row a pair of arms with
        everybody in each, whose covariance :func:`~mtmeta.effects.shared.sampling_covariance`
        gives. By default what the record says (``data.rule``), else "combine".
    r : float or (float, float), optional
        Correlation of two measurements of the same people where none is printed and none follows
        from SDs. A range stands for not knowing: its middle is used, and the note tells the standard
        error at both ends.
    quantiles : {"Luo", "Wan", "QE", "BC"}, default "Luo"
        Mean and SD from medians, see :func:`~mtmeta.effects.quantiles.mean_sd_from_quantiles`.
    bounds : bool, default False
        Take "P < 0.05" as P = 0.05, the smallest effect it allows, where nothing better is printed.
        "P > 0.05" is never taken.
    crossover : {"paired", "first period"}, default "paired"
        Which data of a crossover trial to take where a record holds both.

    Raises
    ------
    UsageError
        An unknown choice, a correlation outside of [-1, 1], a range in the wrong order.

    Examples
    --------
    Khan 2020 randomised to two kinds of music and to audiobooks: by default one contrast of 34 and 18
    people; kept apart, two of 17 and 18.

    >>> from mtmeta.effects.routes import routes_of
    >>> from mtmeta.effects.select import Row
    >>> from mtmeta.records.locate import example_studies
    >>> study = example_studies("icu")["khan-2020-ddm-pilot"]
    >>> row = Row(study, study.outcome("heart-rate"))
    >>> [(p.n1, p.n2) for p in routes_of(row, "MD")]
    [(34.0, 18.0)]
    >>> [(p.n1, p.n2) for p in routes_of(row, "MD", RouteChoices(arms="separate"))]
    [(17.0, 18.0), (17.0, 18.0)]
    """

    arms: ArmsRule | None = None
    r: float | tuple[float, float] | None = None
    quantiles: Literal["Luo", "Wan", "QE", "BC"] = "Luo"
    bounds: bool = False
    crossover: Literal["paired", "first period"] = "paired"

    def __post_init__(self) -> None:
        if self.arms is not None:
            check_choice("arms", self.arms, ("combine", "split control", "separate"))
        check_choice("quantiles", self.quantiles, ("Luo", "Wan", "QE", "BC"))
        check_choice("crossover", self.crossover, ("paired", "first period"))
        ends = self.r if isinstance(self.r, tuple) else () if self.r is None else (self.r, self.r)
        if ends and not (len(ends) == 2 and -1.0 <= ends[0] <= ends[1] <= 1.0):
            raise UsageError(
                f"r={self.r!r} must be a correlation from -1 to 1, or a range such as (0.3, 0.7)"
            )


@dataclass(frozen=True, slots=True)
class Printed:
    """What an effect is computed from.

    Exactly one of `raw` (columns of a calculator), `d` (an uncorrected standardised difference) and
    `effect` (estimate and standard error as they stand) is given.

    Parameters
    ----------
    name : str
        The route in a few words, the same for all rows that go it.
    route : str
        The route in full, with what was recovered on the way and the study's own numbers.
    raw, d, effect
        See above.
    correction : str or None
        Small-sample correction that a printed SMD has had; its value is the given ``gp``.
    n1, n2, n : float
        Sizes that enter the effect, effective ones in a cluster trial.
    standardiser : str
        SD behind a standardised effect; empty for others.
    notes : tuple of str
        Assumptions and doubts.
    given, steps
        The printed numbers and what was computed from them until the effect's own formula begins.
    names : dict
        Symbols to write for those of the effect's formula, such as ``ne1`` for ``n1``.
    shared : Shared or None
        Set where rows of the trial share an arm.
    """

    name: str
    route: str = ""
    raw: dict[str, float] = field(default_factory=dict)
    d: float | None = None
    effect: tuple[float, float] | None = None
    correction: str | None = None
    n1: float = math.nan
    n2: float = math.nan
    n: float = math.nan
    standardiser: str = ""
    notes: tuple[str, ...] = ()
    given: tuple[Given, ...] = ()
    steps: tuple[Step, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    shared: Shared | None = None
