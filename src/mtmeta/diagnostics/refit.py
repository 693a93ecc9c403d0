"""Refit a model to many subsets of its effects: through the kernel in one batch, else one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from mtmeta.effects.table import EffectSizes
from mtmeta.models import kernel
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.models.result import PoolModel

__all__ = ["BoolArray", "FloatArray", "Refits", "answers", "batched", "refit"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

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


def batched(model: PoolModel) -> TypeGuard[CommonEffect | RandomEffects]:
    """Return whether the kernel can refit the model in one batch."""
    return isinstance(model, CommonEffect) or (isinstance(model, RandomEffects) and model.ci in _BATCHED)


def refit(model: PoolModel, es: EffectSizes, present: BoolArray) -> Refits:
    """Fit `model` to subsets of the effects.

    Parameters
    ----------
    model : CommonEffect, RandomEffects or any model whose result has estimate, se, df, tau2, i2, h2, q
    es : EffectSizes of k rows
    present : ndarray of bool, shape (B, k)
        One subset a row, none of them empty.

    Returns
    -------
    Refits
    """
    if not batched(model):
        return _one_by_one(model, es, present)
    if isinstance(model, RandomEffects) and isinstance(model.tau2, str):
        fits = kernel.fit(es.yi, es.vi, method=model.tau2, present=present)
    else:
        given = float(model.tau2) if isinstance(model, RandomEffects) else 0.0
        fits = kernel.fit(es.yi, es.vi, tau2=np.full(len(present), given), present=present)
    return answers(model, fits)


def answers(model: CommonEffect | RandomEffects, fits: kernel.KernelFit) -> Refits:
    """Turn fits of the kernel into the answers that `model` would give of each."""
    classic = fits.se[:, 0]
    se, df = _inference(model, fits, classic)
    common = isinstance(model, CommonEffect)
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
    )


def _i2_of_q(fits: kernel.KernelFit) -> FloatArray:
    excess = np.maximum(fits.q - fits.df, 0.0)
    return 100.0 * np.divide(excess, fits.q, out=np.zeros_like(excess), where=fits.q > 0)


def _inference(
    model: PoolModel, fits: kernel.KernelFit, classic: FloatArray
) -> tuple[FloatArray, FloatArray]:
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


def _one_by_one(model: PoolModel, es: EffectSizes, present: BoolArray) -> Refits:
    names = ("estimate", "se", "se_classic", "df", "tau2", "i2", "h2", "q", "k")
    rows = np.empty((len(names), len(present)))
    for b, mask in enumerate(present):
        result = model.fit(es.subset(mask))
        rows[:, b] = [float(getattr(result, name)) for name in names]
    return Refits(*(rows[names.index(f)] for f in Refits.__dataclass_fields__))
