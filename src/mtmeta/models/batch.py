"""Thousands of meta-analyses pooled in one call, with their intervals as arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.measures import check_choice, check_level
from mtmeta.models import kernel
from mtmeta.models.kernel import KernelFit
from mtmeta.models.stack import FloatArray

__all__ = ["Batch", "mean_limits", "pool_many", "prediction_limits"]

_CI = ("Wald", "HKSJ", "HKSJ-floor", "auto")
_PI = ("V", "HTS", "normal", "HK", "HK-PR")


@dataclass(frozen=True, slots=True)
class Batch:
    """Pooled estimates and intervals of B meta-analyses.

    Attributes
    ----------
    fit : KernelFit
        Estimates, tau2, Q and I2.
    ci, pi, tau2_ci : ndarray (2, B)
        Lower and upper limits of mean, new study and tau2; NaN where the number of studies allows none:
        HKSJ of one study, a prediction of fewer than 3, an interval of tau2 of one.
    """

    fit: KernelFit
    ci: FloatArray
    pi: FloatArray
    tau2_ci: FloatArray


def pool_many(
    yi: npt.ArrayLike,
    vi: npt.ArrayLike,
    *,
    present: npt.ArrayLike | None = None,
    method: str = "REML",
    ci: str = "HKSJ",
    pi: str = "V",
    level: float = 0.95,
) -> Batch:
    """Pool the rows of (B, k) arrays by random-effects models.

    Parameters
    ----------
    yi, vi, present, method
        As in :func:`mtmeta.models.kernel.fit`.
    ci : {"HKSJ", "HKSJ-floor", "Wald", "auto"}
    pi : {"V", "HTS", "normal", "HK", "HK-PR"}
    level : float

    Returns
    -------
    Batch

    Raises
    ------
    UsageError
        An unknown choice.
    ModelError
        A row without effects, or variances over 100 orders of magnitude.

    Examples
    --------
    BCG vaccine, log relative risk, HKSJ: -0.7145 [-1.1084, -0.3206] (metafor, ``test="knha"``).

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> many = pool_many(np.stack([y, np.negative(y)]), v)
    >>> many.ci.round(4)
    array([[-1.1084,  0.3206],
           [-0.3206,  1.1084]])
    """
    check_level(level)
    fit = kernel.fit(yi, vi, method=method, present=present)
    tail = 0.5 * (1.0 - level)
    half_df = 0.5 * np.maximum(fit.df, 1.0)
    target = np.stack([2.0 * special.gammaincinv(half_df, p) for p in (1.0 - tail, tail)])
    limits = kernel.q_profile(yi, vi, target=target, present=present)
    limits[:, fit.df < 1.0] = math.nan
    return Batch(fit, mean_limits(fit, level, ci), prediction_limits(fit, level, pi), limits)


def mean_limits(fit: KernelFit, level: float = 0.95, method: str = "HKSJ") -> FloatArray:
    """Return the confidence limits (2, B) of the first coefficient; see :func:`pool_many`."""
    check_choice("ci", method, _CI)
    upper = 0.5 + 0.5 * check_level(level)
    se = fit.se[:, 0]
    wald = float(special.ndtri(upper)) * se
    if method == "Wald":
        half = wald
    else:
        factor = np.maximum(1.0, fit.scale) if method == "HKSJ-floor" else fit.scale
        half = _t(fit.df, upper) * se * np.sqrt(factor)
        if method == "auto":
            half = np.where((fit.k > 2.0) & (fit.tau2 > 0.0), half, wald)
    return np.stack([fit.estimate - half, fit.estimate + half])


def prediction_limits(fit: KernelFit, level: float = 0.95, method: str = "V") -> FloatArray:
    """Return the prediction limits (2, B) for models with an intercept; see :func:`pool_many`."""
    check_choice("pi", method, _PI)
    upper = 0.5 + 0.5 * check_level(level)
    variance = fit.cov[:, 0, 0] * (fit.scale if method in ("HK", "HK-PR") else 1.0)
    df = {"normal": np.full_like(fit.df, math.inf), "HTS": fit.df - 1.0, "HK-PR": fit.df - 1.0}
    half = _t(df.get(method, fit.df), upper) * np.sqrt(fit.tau2 + variance)
    half[fit.k < 3.0] = math.nan
    return np.stack([fit.estimate - half, fit.estimate + half])


def _t(df: FloatArray, p: float) -> FloatArray:
    """Return quantiles of t, of the normal for infinite degrees of freedom, NaN below one degree."""
    usable = np.isfinite(df) & (df >= 1.0)
    t = special.stdtrit(np.where(usable, df, 1.0), p)
    return np.where(usable, t, np.where(np.isinf(df), special.ndtri(p), math.nan))
