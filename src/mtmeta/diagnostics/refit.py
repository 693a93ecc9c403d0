"""Refit a model to many subsets of its effects: through the kernel in one batch, else one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.measures import check_level
from mtmeta.models import kernel
from mtmeta.models.pool import CommonEffect, RandomEffects

__all__ = ["BoolArray", "Fittable", "FloatArray", "Refits", "answers", "batched", "refit", "single"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Fittable(Protocol):
    """A model: ``fit`` gives a result with estimate, se, k and ``ci(level)``, and whatever else it knows."""

    def fit(self, es: EffectSizes) -> Any:
        """Fit the effects."""


_BATCHED = ("auto", "Wald", "HKSJ", "HKSJ-floor")


@dataclass(frozen=True, slots=True)
class Refits:
    """Pooled answers of B subsets; plain arrays of length B."""

    estimate: FloatArray
    se: FloatArray
    """Standard error of the model's own interval method."""
    se_classic: FloatArray
    df: FloatArray
    tau2: FloatArray
    i2: FloatArray
    h2: FloatArray
    q: FloatArray
    k: FloatArray
    low: FloatArray
    """Ends of the model's own interval at the level asked for."""
    high: FloatArray


def batched(model: Fittable) -> TypeGuard[CommonEffect | RandomEffects]:
    """Return whether the kernel can refit the model in one batch."""
    return isinstance(model, CommonEffect) or (isinstance(model, RandomEffects) and model.ci in _BATCHED)


def refit(
    model: Fittable,
    es: EffectSizes,
    present: BoolArray,
    *,
    level: float = 0.95,
    intervals: bool = True,
    compiled: bool | None = None,
) -> Refits:
    """Fit `model` to subsets of the effects.

    Parameters
    ----------
    model : CommonEffect, RandomEffects or any model whose result has estimate, se and k
    es : EffectSizes of k rows
    present : ndarray of bool, shape (B, k)
        One subset a row, none of them empty.
    level : float, default 0.95
        Of the intervals.
    intervals : bool, default True
        Whether they are wanted; without, their ends are NaN for models that go in batches.
    compiled : bool, optional
        Whether such batches go through compiled code, see :func:`mtmeta.models.kernel.fit`.

    Returns
    -------
    Refits
    """
    if not batched(model):
        return _one_by_one(model, es, present, level)
    if isinstance(model, RandomEffects) and isinstance(model.tau2, str):
        fits = kernel.fit(es.yi, es.vi, method=model.tau2, present=present, compiled=compiled)
    else:
        given = float(model.tau2) if isinstance(model, RandomEffects) else 0.0
        fits = kernel.fit(es.yi, es.vi, tau2=np.full(len(present), given), present=present, compiled=compiled)
    return answers(model, fits, level=level if intervals else None)


def answers(
    model: CommonEffect | RandomEffects, fits: kernel.KernelFit, *, level: float | None = 0.95
) -> Refits:
    """Turn fits of the kernel into the answers that `model` would give of each; no level, no intervals."""
    classic = fits.se[:, 0]
    se, df = _inference(model, fits, classic)
    common = isinstance(model, CommonEffect)
    half = np.full_like(se, math.nan) if level is None else _quantile(df, level) * se
    return Refits(
        estimate=fits.estimate,
        se=se,
        se_classic=classic,
        df=df,
        tau2=fits.tau2,
        i2=_i2_of_q(fits) if common else fits.i2,
        h2=np.where(fits.df > 0, fits.q / np.maximum(fits.df, 1.0), 1.0) if common else fits.h2,
        q=fits.q,
        k=fits.k,
        low=fits.estimate - half,
        high=fits.estimate + half,
    )


def _quantile(df: FloatArray, level: float) -> FloatArray:
    p = 0.5 + 0.5 * check_level(level)
    infinite = np.isinf(df)
    return np.array(np.where(infinite, special.ndtri(p), special.stdtrit(np.where(infinite, 1.0, df), p)))


def _i2_of_q(fits: kernel.KernelFit) -> FloatArray:
    excess = np.maximum(fits.q - fits.df, 0.0)
    return 100.0 * np.divide(excess, fits.q, out=np.zeros_like(excess), where=fits.q > 0)


def _inference(model: Fittable, fits: kernel.KernelFit, classic: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return standard error and degrees of freedom by the model's interval method, subset by subset."""
    ci = model.ci if isinstance(model, RandomEffects) else "Wald"
    infinite = np.full_like(classic, np.inf)
    if ci == "Wald":
        return classic, infinite
    scale = fits.scale
    if ci == "HKSJ-floor":
        scale = np.maximum(scale, 1.0)
    adjusted = classic * np.sqrt(scale)
    # one effect has no degrees of freedom left: its subset keeps the classic standard error
    use = fits.df > 0
    if ci == "auto":
        use = (fits.k > 2) & (fits.tau2 > 0)
    return np.where(use, adjusted, classic), np.where(use, fits.df, np.inf)


def single(result: Any, *, level: float = 0.95) -> dict[str, float]:
    """Read the answer of one result; what a model does not know is NaN, and no df means a normal quantile."""
    known = {name: float(getattr(result, name)) for name in ("estimate", "se", "k")}
    optional = {
        name: float(getattr(result, name, math.nan)) for name in ("se_classic", "tau2", "i2", "h2", "q")
    }
    low, high = result.ci(level)
    return {**known, **optional, "df": float(getattr(result, "df", math.inf)), "low": low, "high": high}


def _one_by_one(model: Fittable, es: EffectSizes, present: BoolArray, level: float) -> Refits:
    names = tuple(Refits.__dataclass_fields__)
    out = {name: np.empty(len(present)) for name in names}
    for b, mask in enumerate(present):
        for name, value in single(model.fit(es.subset(mask)), level=level).items():
            out[name][b] = value
    return Refits(**out)
