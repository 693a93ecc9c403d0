"""Standardised mean differences from what is printed in their place: d, t, P value, or another g."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, columns
from mtmeta.effects.continuous import Correction, SmdVariance, hedges_correction, smd_variance
from mtmeta.effects.recover import t_from_p

__all__ = ["smd_from_d", "smd_from_p", "smd_from_reported", "smd_from_t"]


def smd_from_d(
    d: npt.ArrayLike,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    variance: SmdVariance = "LS",
    correction: Correction | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Hedges' g and its variance from Cohen's d (pooled SD, not yet corrected).

    Parameters
    ----------
    d : array_like of shape (k,)
    n1, n2 : array_like of shape (k,)
        Group sizes, at least 2.
    variance, correction
        See :func:`~mtmeta.effects.continuous.smd_variance`, of which this is another name.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`~mtmeta.effects.continuous.smd_variance`.

    Examples
    --------
    >>> smd_from_d(0.5, 20, 25)[0].round(8)
    np.float64(0.49121948)
    """
    return smd_variance(d, n1, n2, variance=variance, correction=correction)


def smd_from_t(
    t: npt.ArrayLike,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    variance: SmdVariance = "LS",
    correction: Correction | None = None,
) -> tuple[FloatArray, FloatArray]:
    r"""Hedges' g and its variance from the t of two independent groups.

    Parameters
    ----------
    t : array_like of shape (k,)
        Student's t with pooled variance, signed as the effect. A t of an adjusted analysis, or of the
        same people twice, is none of this kind.
    n1, n2 : array_like of shape (k,)
        Group sizes, at least 2.
    variance, correction
        See :func:`~mtmeta.effects.continuous.smd_variance`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`~mtmeta.effects.continuous.smd_variance`.

    Notes
    -----
    :math:`d = t\sqrt{1/n_1 + 1/n_2}`.

    Examples
    --------
    >>> smd_from_t(2.1, 20, 25)[0].round(8)
    np.float64(0.61893654)
    """
    t, n1, n2 = columns(statistic=t, n1=n1, n2=n2)
    return smd_variance(t * np.sqrt(1.0 / n1 + 1.0 / n2), n1, n2, variance=variance, correction=correction)


def smd_from_p(
    p: npt.ArrayLike,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    sign: npt.ArrayLike,
    sides: Literal[1, 2] = 2,
    variance: SmdVariance = "LS",
    correction: Correction | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Hedges' g and its variance from the exact P value of a t test of two independent groups.

    Parameters
    ----------
    p : array_like of shape (k,)
        In (0, 1]. Not for "P < 0.05"; see :func:`~mtmeta.effects.recover.t_from_p` for a bound.
    n1, n2 : array_like of shape (k,)
        Group sizes, at least 2.
    sign : array_like of 1 or -1
        Direction of the effect, which a two-sided P value does not tell.
    sides : {2, 1}, default 2
    variance, correction
        See :func:`~mtmeta.effects.continuous.smd_variance`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`~mtmeta.effects.recover.t_from_p`.

    Examples
    --------
    >>> smd_from_p(0.04, 20, 25, sign=1)[0].round(8)
    np.float64(0.62422392)
    """
    n1, n2 = columns(n1=n1, n2=n2)
    t = np.asarray(t_from_p(p, n1 + n2 - 2.0, sign=sign, sides=sides).value)
    return smd_from_t(t, n1, n2, variance=variance, correction=correction)


def smd_from_reported(
    g: npt.ArrayLike,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    correction_from: Correction,
    convention: SmdVariance = "LS",
) -> tuple[FloatArray, FloatArray]:
    r"""Restate a printed standardised mean difference under a named convention.

    Parameters
    ----------
    g : array_like of shape (k,)
        As printed.
    n1, n2 : array_like of shape (k,)
        Group sizes, at least 2.
    correction_from : {"exact", "approximate", "none"}
        Correction that the printed value has had: "none" for Cohen's d.
    convention : {"LS", "LS2", "UB", "AV", "RevMan"}, default "LS"
        Correction and variance to restate it with: approximate for RevMan, exact for all others.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`~mtmeta.effects.continuous.smd_variance`.

    Notes
    -----
    :math:`d = g/J_{from}`, then g and its variance anew. The printed standard error is not used: it was
    rounded, and came from another formula.

    Examples
    --------
    White 1999 in CD006577: g -2.6646 (exact) of 15 and 15 people; its LS standard error is 0.5017.

    >>> yi, vi = smd_from_reported(-2.6646, 15, 15, correction_from="exact", convention="LS")
    >>> round(float(yi), 4), round(float(vi) ** 0.5, 4)
    (-2.6646, 0.5017)
    """
    g, n1, n2 = columns(g=g, n1=n1, n2=n2)
    d = g / hedges_correction(n1 + n2 - 2.0, correction=correction_from)
    return smd_variance(d, n1, n2, variance=convention)
