"""Trim and fill: how many studies seem to be missing on one side, and what pooling them back gives."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from mtmeta.diagnostics.refit import FloatArray
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, check_choice
from mtmeta.models import kernel
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.models.result import PoolModel, PoolResult

__all__ = ["TrimFill", "trim_and_fill"]

Estimator = Literal["L0", "R0", "Q0"]
Side = Literal["auto", "left", "right"]
_ESTIMATORS: tuple[str, ...] = get_args(Estimator)
_SIDES: tuple[str, ...] = get_args(Side)


@dataclass(frozen=True, eq=False)
class TrimFill:
    """Result of trim and fill. Frozen.

    Attributes
    ----------
    k0 : int
        Estimated number of missing studies.
    k0_se : float
        Its standard error.
    k0_pvalue : float
        Of no missing study, for estimator "R0"; NaN for the others, which have no such test.
    side : str
        Where studies are missing: "left" (small effects) or "right".
    estimator : str
    original : PoolResult
        The model fitted to the studies there are.
    filled : PoolResult
        The same model fitted to them and the `k0` mirror images, which come last and are called "Filled 1"
        ...
    """

    k0: int
    k0_se: float
    k0_pvalue: float
    side: str
    estimator: str
    original: PoolResult
    filled: PoolResult

    @property
    def estimate(self) -> float:
        """Pooled effect after filling."""
        return self.filled.estimate

    @property
    def se(self) -> float:
        """Standard error after filling."""
        return self.filled.se

    def ci(self, level: float = 0.95) -> Interval:
        """Interval after filling."""
        return self.filled.ci(level)

    def __repr__(self) -> str:
        low, high = self.ci()
        return (
            f"Trim and fill ({self.estimator}): {self.k0} missing on the {self.side}, "
            f"{self.original.estimate:.3f} becomes {self.estimate:.3f} [{low:.3f}, {high:.3f}]"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def trim_and_fill(
    es: EffectSizes,
    *,
    model: PoolModel | None = None,
    estimator: Estimator = "L0",
    side: Side = "auto",
) -> TrimFill:
    r"""Estimate how many studies are missing on one side of the funnel, and fill in their mirror images.

    Parameters
    ----------
    es : EffectSizes
        At least three rows.
    model : CommonEffect, RandomEffects or another model, optional
        Locates the centre and pools the filled data; ``RandomEffects()`` by default. The number of missing
        studies depends on it: the BCG data have 4 under a common effect and 1 with REML.
    estimator : {"L0", "R0", "Q0"}, default "L0"
        Of the number of missing studies.
    side : {"auto", "left", "right"}
        Where studies are missing; "auto" takes the right when small studies have smaller effects (a negative
        slope on the standard error), else the left.

    Returns
    -------
    TrimFill

    Raises
    ------
    ModelError
        Fewer than three effects; an estimator without value or without a fixed point on these data.
    UsageError
        A model without one mean, such as a regression.

    Notes
    -----
    With the effects turned so that studies are missing on the left, the ranks of
    :math:`|y_i-\hat\mu_{\text{trimmed}}|`, the sum S of the ranks of positive deviations, and :math:`\gamma`
    the largest rank of a negative one:

    - R0 :math:`=k-\gamma-1`
    - L0 :math:`=(4S-k(k+1))/(2k-1)`
    - Q0 :math:`=k-1/2-\sqrt{2k^2-4S+1/4}`

    rounded, not below 0; the k0 largest effects are trimmed, the centre located again, until k0 stands still.
    The method assumes that asymmetry is suppression of the most extreme effects; under heterogeneity it
    adjusts where nothing is missing, and under real selection too little (Peters et al. 2007, Stat Med
    26:4544). It is a picture of sensitivity, no corrected estimate.

    References
    ----------
    Duval, S. J. and Tweedie, R. L. (2000). J Am Stat Assoc 95:89-98; Biometrics 56:455-463. metafor's
    ``trimfill``.

    Examples
    --------
    BCG vaccine under a common effect: 4 missing on the right, -0.2910 (0.0383), Q = 262.7316
    (Viechtbauer 2010, J Stat Softw 36(3), pp. 31-32).

    >>> from mtmeta.effects.binary import risk_ratio
    >>> y, v = risk_ratio(
    ...     [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27],
    ...     [123, 306, 231, 13598, 5069, 1541, 2545, 88391, 7499, 1716, 50634, 2498, 16913],
    ...     [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29],
    ...     [139, 303, 220, 12867, 5808, 1451, 629, 88391, 7277, 1665, 27338, 2341, 17854])
    >>> found = trim_and_fill(EffectSizes.of(y, v, "RR"), model=CommonEffect())
    >>> print(f"{found.k0} {found.side}: {found.estimate:.4f} ({found.se:.4f}), Q = {found.filled.q:.4f}")
    4 right: -0.2910 (0.0383), Q = 262.7316
    """
    check_choice("estimator", estimator, _ESTIMATORS)
    check_choice("side", side, _SIDES)
    if es.k < 3:
        raise ModelError(
            f"trim and fill needs at least 3 effects and there {'is' if es.k == 1 else 'are'} {es.k}"
        )
    chosen: PoolModel = RandomEffects() if model is None else model
    original = chosen.fit(es)
    if not hasattr(original, "estimate"):
        raise UsageError(
            f"{type(chosen).__name__} has no one mean to mirror effects at; use a model without moderators"
        )
    on = side
    if side == "auto":
        on = "right" if _slope(chosen, es) < 0.0 else "left"
    sign = -1.0 if on == "right" else 1.0
    order = np.argsort(sign * es.yi, kind="stable")
    sorted_es = es.subset(order)
    k0, spread, centre = _missing(chosen, sorted_es, sign, estimator)
    filled = original if k0 == 0 else chosen.fit(_fill(es, order[es.k - k0 :], centre))
    return TrimFill(
        k0=k0,
        k0_se=spread,
        k0_pvalue=0.5 ** (k0 + 1) if estimator == "R0" else math.nan,
        side=on,
        estimator=estimator,
        original=original,
        filled=filled,
    )


def _missing(model: PoolModel, es: EffectSizes, sign: float, estimator: str) -> tuple[int, float, float]:
    """Trim until k0 stands still; k0, its standard error and the centre. `es` is sorted by ``sign * yi``."""
    k, k0 = es.k, 0
    seen: list[int] = []
    while True:
        seen.append(k0)
        centre = _centre(model, es, k - k0)
        raw = _estimate(sign * (es.yi - centre), estimator)
        if not math.isfinite(raw):
            raise ModelError(
                f"the estimator {estimator} has no value on these effects (all large deviations are on one "
                "side); use estimator='L0' or 'R0'"
            )
        found = max(0, round(raw))
        if found > k - 1:
            raise ModelError(f"the estimator {estimator} asks to trim all {k} effects; use another estimator")
        if found == k0:
            return k0, _standard_error(raw, k, estimator), centre
        if found in seen:
            turn = ", ".join(map(str, [*seen[seen.index(found) :], found]))
            raise ModelError(
                f"the estimator {estimator} does not settle: the number of missing studies goes {turn} and "
                "round again; use another estimator"
            )
        k0 = found


def _centre(model: PoolModel, es: EffectSizes, keep: int) -> float:
    if isinstance(model, RandomEffects) and isinstance(model.tau2, str):
        return float(kernel.fit(es.yi[:keep], es.vi[:keep], method=model.tau2).estimate[0])
    if isinstance(model, (CommonEffect, RandomEffects)):
        tau2 = float(model.tau2) if isinstance(model, RandomEffects) else 0.0
        return float(kernel.fit(es.yi[:keep], es.vi[:keep], tau2=tau2).estimate[0])
    return float(model.fit(es.subset(np.arange(keep))).estimate)


def _ranks(deviation: FloatArray) -> FloatArray:
    """Signed ranks of absolute deviations; ties keep the order of the effects."""
    ranks = np.empty(len(deviation))
    ranks[np.argsort(np.abs(deviation), kind="stable")] = np.arange(1, len(deviation) + 1)
    return np.sign(deviation) * ranks


def _estimate(deviation: FloatArray, estimator: str) -> float:
    """Return the estimator before rounding; NaN where it has no value."""
    signed, k = _ranks(deviation), len(deviation)
    if estimator == "R0":
        return k - float(np.max(-signed[signed < 0.0], initial=0.0)) - 1.0
    s = float(signed[signed > 0.0].sum())
    if estimator == "L0":
        return (4.0 * s - k * (k + 1)) / (2 * k - 1)
    under = 2.0 * k * k - 4.0 * s + 0.25
    return k - 0.5 - math.sqrt(under) if under > 0.0 else math.nan


def _standard_error(k0: float, k: int, estimator: str) -> float:
    """Asymptotic standard error at the unrounded k0."""
    if estimator == "R0":
        return math.sqrt(2.0 * max(0.0, k0) + 2.0)
    variance = k * (k + 1) * (2 * k + 1) + 10 * k0**3 + 27 * k0**2 + 17 * k0
    variance += -18 * k * k0**2 - 18 * k * k0 + 6 * k * k * k0
    root = math.sqrt(max(0.0, variance / 24.0))
    if estimator == "L0":
        return 4.0 * root / (2 * k - 1)
    return 2.0 * root / math.sqrt((k - 0.5) ** 2 - k0 * (2 * k - k0 - 1))


def _slope(model: PoolModel, es: EffectSizes) -> float:
    """Slope on the standard error under the model's own tau2; its sign says where studies are missing."""
    se = es.sei
    if np.ptp(se) <= 1e-12 * float(se.max()):
        raise ModelError(
            "all effects have the same standard error, so that the side with missing studies cannot be "
            "found; say side='left' or side='right'"
        )
    design = np.column_stack([np.ones(es.k), se])
    if isinstance(model, RandomEffects) and isinstance(model.tau2, str):
        return float(kernel.fit(es.yi, es.vi, method=model.tau2, design=design).beta[0, 1])
    tau2 = float(model.tau2) if isinstance(model, RandomEffects) else 0.0
    return float(kernel.fit(es.yi, es.vi, tau2=tau2, design=design).beta[0, 1])


def _fill(es: EffectSizes, rows: np.ndarray[tuple[int], np.dtype[np.intp]], centre: float) -> EffectSizes:
    """Append the mirror images of `rows`."""
    both = es.subset(np.concatenate([np.arange(es.k), rows]))
    names = tuple(f"Filled {i + 1}" for i in range(len(rows)))
    yi = np.concatenate([es.yi, 2.0 * centre - es.yi[rows]])
    return replace(both, yi=yi, study=(*es.study, *names), cluster=(*es.cluster, *names))
