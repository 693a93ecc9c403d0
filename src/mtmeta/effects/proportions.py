"""Proportions of one group, raw and transformed, and the way back from the double arcsine."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.binary import ZERO_CELLS, ZeroCells
from mtmeta.effects.checks import FloatArray, check_variance, columns, require
from mtmeta.errors import EffectError, UsageError
from mtmeta.measures import check_choice

__all__ = ["freeman_tukey_back", "proportion"]

ProportionScale = Literal["raw", "logit", "log", "arcsine root", "Freeman-Tukey"]
_SCALES = ("raw", "logit", "log", "arcsine root", "Freeman-Tukey")
_NO_ESTIMATE = "leaves no {what} with nobody or everybody; choose zero_cells='metafor' or another scale"


def proportion(
    x: npt.ArrayLike,
    n: npt.ArrayLike,
    *,
    scale: ProportionScale = "raw",
    variance: Literal["LS", "UB", "AV"] = "LS",
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Proportion of one group (metafor's PR, PLO, PLN, PAS, PFT).

    Parameters
    ----------
    x, n : array_like of shape (k,)
        Events and size, ``0 <= x <= n``.
    scale : {"raw", "logit", "log", "arcsine root", "Freeman-Tukey"}, default "raw"
    variance : {"LS", "UB", "AV"}, default "LS"
        "AV" puts the mean proportion of all rows into the variance (raw, logit, log); "UB" divides
        by ``n - 1`` (raw).
    zero_cells : {"metafor", "none"}, default "metafor"
        ½ to events and non-events of every row where one of them is 0 (raw, logit, log), or raise
        where that leaves no estimate.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, negative events, more events than people, an unsolvable zero.
    UsageError
        An unknown choice, or a variance that the scale does not have.

    Notes
    -----
    With :math:`p = x/n`: ``p``, :math:`p(1-p)/n`; :math:`\ln\frac{p}{1-p}`,
    :math:`\frac1x + \frac1{n-x}`; :math:`\ln p`, :math:`\frac1x - \frac1n`;
    :math:`\arcsin\sqrt p`, :math:`\frac1{4n}`; Freeman-Tukey
    :math:`\frac12\left(\arcsin\sqrt{\tfrac{x}{n+1}} + \arcsin\sqrt{\tfrac{x+1}{n+1}}\right)`,
    :math:`\frac1{4n+2}` (Freeman & Tukey 1950, Ann Math Stat 21, p. 607).

    Examples
    --------
    >>> proportion(7, 40, scale="logit")[0].round(8)
    np.float64(-1.55059741)
    >>> proportion(7, 40, scale="Freeman-Tukey")[0].round(8)
    np.float64(0.44174183)
    """
    check_choice("scale", scale, _SCALES)
    check_choice("zero_cells", zero_cells, ZERO_CELLS)
    if zero_cells == "RevMan":
        raise UsageError("zero_cells='RevMan' says nothing of one group; use 'metafor' or 'none'")
    allowed = {"raw": ("LS", "UB", "AV"), "logit": ("LS", "AV"), "log": ("LS", "AV")}.get(scale, ("LS",))
    check_variance(variance, allowed, f"scale={scale!r}")
    x, n = columns(events=True, x=x, n=n)
    require(x <= n, "x", x, "more events than people; check x and n")
    if scale == "arcsine root":
        return np.arcsin(np.sqrt(x / n)), 1.0 / (4.0 * n)
    if scale == "Freeman-Tukey":
        both = np.arcsin(np.sqrt(x / (n + 1.0))) + np.arcsin(np.sqrt((x + 1.0) / (n + 1.0)))
        return both / 2.0, 1.0 / (4.0 * n + 2.0)
    return _with_zero_cells(x, n, scale, variance, zero_cells)


def _with_zero_cells(
    x: FloatArray, n: FloatArray, scale: str, variance: str, zero_cells: str
) -> tuple[FloatArray, FloatArray]:
    half = np.where((x == 0) | (x == n), 0.5, 0.0) if zero_cells == "metafor" else 0.0
    what = {"raw": "variance", "logit": "log odds", "log": "log proportion"}[scale]
    x, rest = x + half, n - x + half
    n = x + rest
    solvable = (x > 0) & (rest > 0)
    require(solvable, "x", x, _NO_ESTIMATE.format(what=what))
    p, q = x / n, rest / n
    mean = np.sum(x) / np.sum(n)
    if scale == "raw":
        if variance == "AV":
            return p, mean * (1.0 - mean) / n
        less = 1.0 if variance == "UB" else 0.0
        require(n > less, "n", n, "variance='UB' needs a group of at least 2")
        return p, p * q / (n - less)
    if variance == "AV":
        x, rest = mean * n, (1.0 - mean) * n
    if scale == "logit":
        return np.log(p / q), 1.0 / x + 1.0 / rest
    return np.log(p), rest / (x * n)


def freeman_tukey_back(yi: npt.ArrayLike, n: npt.ArrayLike) -> FloatArray:
    r"""Take a Freeman-Tukey value back to a proportion.

    Parameters
    ----------
    yi : array_like
        Double arcsine values: effects of single studies, a pooled mean or a limit.
    n : array_like
        For a study its size. For a pooled value the sizes of all studies in the last axis give the
        harmonic mean ``len(n) / sum(1/n)``; pass that one number.

    Returns
    -------
    ndarray
        Proportions. A value beyond what 0 or `n` events give is 0 or 1.

    Raises
    ------
    EffectError
        A missing value or a size not above 0.

    Notes
    -----
    With :math:`t = 2y`: :math:`\frac12\left(1 - \mathrm{sgn}(\cos t)
    \sqrt{1 - (\sin t + (\sin t - 1/\sin t)/n)^2}\right)` (Miller 1978, Am Stat 32, p. 138). The
    inverse depends on one n for several studies, which can mislead when sizes differ widely
    (Schwarzer et al. 2019, Res Synth Methods 10, p. 476): compare with the log odds.

    Examples
    --------
    >>> y, _ = proportion(7, 40, scale="Freeman-Tukey")
    >>> freeman_tukey_back(y, 40).round(12)
    np.float64(0.175)
    """
    y, size = np.asarray(yi, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if not (np.all(np.isfinite(y)) and np.all(np.isfinite(size)) and np.all(size > 0)):
        raise EffectError("the way back from Freeman-Tukey needs finite values and sizes above 0")
    try:
        y, size = np.broadcast_arrays(y, size)
    except ValueError:
        raise EffectError(f"yi {y.shape} and n {size.shape} do not fit; give one n, or one a value") from None
    none = np.arcsin(np.sqrt(1.0 / (size + 1.0))) / 2.0  # 0 events; n events lie at pi/2 minus this
    inside = np.clip(y, none, np.pi / 2.0 - none)
    sine = np.sin(2.0 * inside)
    root = np.sqrt(np.clip(1.0 - np.square(sine + (sine - 1.0 / sine) / size), 0.0, 1.0))
    p = 0.5 * (1.0 - np.sign(np.cos(2.0 * inside)) * root)
    return np.where(y <= none, 0.0, np.where(y >= np.pi / 2.0 - none, 1.0, p))[()]
