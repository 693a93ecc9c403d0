"""Estimates adjusted for small-study effects: PET, PEESE, and all adjustments side by side."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mtmeta.diagnostics.least_squares import waap
from mtmeta.diagnostics.selection import PUniformStar, SelectionModel
from mtmeta.diagnostics.small_study import RegressionTest, regress
from mtmeta.diagnostics.trim_fill import trim_and_fill
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, check_choice
from mtmeta.models.intervals import two_sided
from mtmeta.models.pool import RandomEffects
from mtmeta.models.result import PoolModel

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PetPeese", "bias_panel", "pet_peese"]

Direction = Literal["greater", "less"]


@dataclass(frozen=True, slots=True)
class PetPeese:
    """Precision-effect test and estimate. Frozen.

    Attributes
    ----------
    pet : RegressionTest
        Regression on the standard error; its `limit` is PET's estimate, `bias` Egger's slope.
    peese : RegressionTest
        Regression on the sampling variance; its `limit` is PEESE's estimate.
    chosen : str
        "PEESE" when PET's estimate differs from the null at the level asked for, else "PET".
    failures : tuple of str
        Conditions under which the method is known to fail and which these effects meet; empty when none is
        met.
    """

    pet: RegressionTest
    peese: RegressionTest
    chosen: str
    failures: tuple[str, ...]

    @property
    def estimate(self) -> float:
        """The estimate chosen."""
        return self._one.limit

    @property
    def se(self) -> float:
        """Its standard error, which knows nothing of the choice."""
        return self._one.limit_se

    def ci(self, level: float = 0.95) -> Interval:
        """Interval of the estimate chosen, t(k - 2)."""
        return self._one.limit_ci(level)

    @property
    def _one(self) -> RegressionTest:
        return self.peese if self.chosen == "PEESE" else self.pet

    def __repr__(self) -> str:
        low, high = self.ci()
        marks = f"; {len(self.failures)} marks of failure" if self.failures else ""
        return (
            f"PET {self.pet.limit:.3f}, PEESE {self.peese.limit:.3f}; PET-PEESE takes {self.chosen} "
            f"[{low:.3f}, {high:.3f}], k = {self.pet.k}{marks}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def pet_peese(es: EffectSizes, *, alpha: float = 0.10) -> PetPeese:
    r"""Extrapolate the effects to a study without sampling error (Stanley and Doucouliagos).

    Parameters
    ----------
    es : EffectSizes of k rows
        At least three, of different precision.
    alpha : float, default 0.10
        Two-sided level at which PET's estimate must differ from the null for PEESE to be taken: 0.10 in
        Stanley (2017), JASP and the R package PublicationBiasBenchmark.

    Returns
    -------
    PetPeese

    Raises
    ------
    ModelError
        Fewer than three effects, or all equally precise.
    UsageError
        alpha outside (0, 1).

    Notes
    -----
    PET is the intercept of :math:`y_i=\beta_0+\beta_1 s_i+e_i`, PEESE that of
    :math:`y_i=\beta_0+\beta_1 s_i^2+e_i`, both with weights :math:`1/s_i^2` and a multiplicative dispersion,
    t(k - 2). They fail, often badly, with fewer than 20 studies, with I² above 80%, and where all studies are
    small (Stanley 2017); with standardised mean differences, whose standard error contains the effect
    (Pustejovsky and Rodgers 2019); and they can turn the sign. Each such condition that is met stands in
    `failures`.

    References
    ----------
    Stanley, T. D. and Doucouliagos, H. (2014). Res Synth Methods 5:60-78. Stanley, T. D. (2017). Soc Psychol
    Personal Sci 8:581-591.

    Examples
    --------
    Teacher expectancy (Raudenbush 2009): PET -0.1790 with slope 1.6243, PEESE -0.0524.

    >>> y = [.03, .12, -.14, 1.18, .26, -.06, -.02, -.32, .27, .80, .54, .18, -.02, .23, -.18, -.06, .30, .07,
    ...      -.07]
    >>> v = [.0156, .0216, .0279, .1391, .1362, .0106, .0106, .0484, .0269, .0630, .0912, .0497, .0835, .0841,
    ...      .0253, .0279, .0193, .0088, .0303]
    >>> found = pet_peese(EffectSizes.of(y, v, "SMD"))
    >>> print(f"{found.pet.limit:.4f} {found.pet.bias:.4f} {found.peese.limit:.4f}")
    -0.1790 1.6243 -0.0524
    """
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha={alpha!r} must lie between 0 and 1, such as 0.10")
    if es.k < 3:
        raise ModelError(
            f"PET-PEESE needs at least 3 effects and there {'is' if es.k == 1 else 'are'} {es.k}"
        )
    pet = regress("PET", es.yi, es.vi, es.sei, chosen="SE", model=None)
    peese = regress("PEESE", es.yi, es.vi, es.vi, chosen="vi", model=None)
    null = es.measure.null
    gap = pet.limit - null
    pvalue = two_sided(gap / pet.limit_se if pet.limit_se > 0.0 else math.inf, pet.df)
    chosen = "PEESE" if pvalue < alpha else "PET"
    taken = peese if chosen == "PEESE" else pet
    return PetPeese(pet, peese, chosen, _failures(es, taken.limit - null))


def _failures(es: EffectSizes, gap: float) -> tuple[str, ...]:
    pooled = RandomEffects(ci="Wald").fit(es)
    marks = []
    if es.k < 20:
        marks.append(f"{es.k} studies, fewer than 20")
    if pooled.i2 > 80.0:
        marks.append(f"I² is {pooled.i2:.0f}%, above 80%")
    # no study with 80% power (two-sided 5%) for the pooled effect: 2.8 standard errors
    least = float(es.sei.min())
    if 2.8 * least > abs(pooled.estimate - es.measure.null):
        marks.append("no study has the power to find the pooled effect: the line is extrapolated far")
    if es.measure.code.startswith(("SMD", "SMC")):
        marks.append("the standard error of a standardised mean difference contains the effect")
    if gap * (pooled.estimate - es.measure.null) < 0.0:
        marks.append("the adjusted estimate has the opposite sign of the pooled one")
    return tuple(marks)


def bias_panel(
    es: EffectSizes, *, alternative: Direction, model: PoolModel | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Show the pooled effect beside every adjustment for small-study effects and selection.

    Parameters
    ----------
    es : EffectSizes
    alternative : {"greater", "less"}
        Direction in which results are thought to be favoured: "less" on scales where lower is better. There
        is no default, because the answer depends on it.
    model : PoolModel, optional
        Of the unadjusted row and of trim and fill; ``RandomEffects()`` by default.
    level : float, default 0.95
        Of all intervals.

    Returns
    -------
    DataFrame
        A row a method, always in the same order: method, estimate, se, ci_low, ci_high, tau2, note. A method
        that has no answer on these effects has NaN and says why in `note`; known marks of failure stand
        there, too.

    Notes
    -----
    No row is the right one: in simulations none did best in every situation (Carter et al. 2019, Adv Methods
    Pract Psychol Sci 2:115-144). Look at how far the answers agree.

    Examples
    --------
    >>> from mtmeta.effects.binary import risk_ratio
    >>> y, v = risk_ratio(
    ...     [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27],
    ...     [123, 306, 231, 13598, 5069, 1541, 2545, 88391, 7499, 1716, 50634, 2498, 16913],
    ...     [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29],
    ...     [139, 303, 220, 12867, 5808, 1451, 629, 88391, 7277, 1665, 27338, 2341, 17854])
    >>> table = bias_panel(EffectSizes.of(y, v, "RR"), alternative="less")
    >>> table.set_index("method")["estimate"].round(4)[["unadjusted", "selection model (0.025)"]].tolist()
    [-0.7145, -0.6206]
    """
    import pandas as pd

    check_choice("alternative", alternative, ("greater", "less"))
    chosen: PoolModel = RandomEffects() if model is None else model
    side: Literal["left", "right"] = "left" if alternative == "greater" else "right"
    rows: list[tuple[str, Callable[[], _Answer]]] = [
        ("unadjusted", lambda: _pooled(chosen, es, level)),
        ("trim and fill (L0)", lambda: _filled(chosen, es, side, level)),
        ("PET", lambda: _limit(pet_peese(es).pet, level, pet_peese(es).failures)),
        ("PEESE", lambda: _limit(pet_peese(es).peese, level, pet_peese(es).failures)),
        ("WAAP-WLS", lambda: _powered(es, level)),
        ("selection model (0.025)", lambda: _selected(SelectionModel(alternative=alternative), es, level)),
        (
            "selection model (0.025, 0.5)",
            lambda: _selected(SelectionModel([0.025, 0.5], alternative=alternative), es, level),
        ),
        (
            "selection model (beta)",
            lambda: _selected(SelectionModel(alternative=alternative, weight="beta"), es, level),
        ),
        ("p-uniform*", lambda: _selected(PUniformStar(alternative=alternative), es, level)),
    ]
    out = []
    for name, answer in rows:
        try:
            values = answer()
        except ModelError as why:  # a method without an answer is a row with its reason, not a missing row
            values = (math.nan, math.nan, math.nan, math.nan, math.nan, f"no answer: {why}")
        out.append((name, *values))
    return pd.DataFrame(out, columns=["method", "estimate", "se", "ci_low", "ci_high", "tau2", "note"])


_Answer = tuple[float, float, float, float, float, str]


def _pooled(model: PoolModel, es: EffectSizes, level: float) -> _Answer:
    fit = model.fit(es)
    return fit.estimate, fit.se, *fit.ci(level), fit.tau2, fit.note


def _filled(model: PoolModel, es: EffectSizes, side: Literal["left", "right"], level: float) -> _Answer:
    found = trim_and_fill(es, model=model, side=side)
    note = f"{found.k0} filled in on the {side}"
    return found.estimate, found.se, *found.ci(level), found.filled.tau2, note


def _limit(test: RegressionTest, level: float, failures: tuple[str, ...]) -> _Answer:
    return test.limit, test.limit_se, *test.limit_ci(level), math.nan, "; ".join(failures)


def _powered(es: EffectSizes, level: float) -> _Answer:
    found = waap(es)
    note = f"{found.powered} of {es.k} studies have 80% power for the mean of all, and are used"
    if found.used == "all":
        note = f"{found.powered} of {es.k} studies have 80% power: too few, all are used, nothing is adjusted"
    return found.estimate, found.se, *found.ci(level), math.nan, note


def _selected(model: SelectionModel | PUniformStar, es: EffectSizes, level: float) -> _Answer:
    fit = model.fit(es)
    note = f"effects by interval of p: {', '.join(map(str, fit.counts))}" if fit.counts else ""
    return fit.estimate, fit.se, *fit.ci(level), fit.tau2, note
