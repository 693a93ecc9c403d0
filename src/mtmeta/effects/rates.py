"""Events over person-time: rates of one group, ratio and differences of two."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.binary import ZERO_CELLS, ZeroCells
from mtmeta.effects.checks import FloatArray, columns, require
from mtmeta.errors import UsageError
from mtmeta.measures import check_choice

__all__ = ["incidence_rate", "rate_difference", "rate_ratio", "root_rate_difference"]

_NO_RATE = "has no events, so no estimate exists; choose zero_cells='metafor', or drop the row"


def _policy(zero_cells: str, what: str) -> bool:
    """Whether ½ is added; RevMan has no measure of person-time."""
    check_choice("zero_cells", zero_cells, ZERO_CELLS)
    if zero_cells == "RevMan":
        raise UsageError(f"zero_cells='RevMan' says nothing of {what}; use 'metafor' or 'none'")
    return zero_cells == "metafor"


def _counts(
    x1: npt.ArrayLike, t1: npt.ArrayLike, x2: npt.ArrayLike, t2: npt.ArrayLike, add: bool
) -> tuple[FloatArray, ...]:
    x1, t1, x2, t2 = columns(x1=x1, t1=t1, x2=x2, t2=t2)
    half = np.where((x1 == 0) | (x2 == 0), 0.5, 0.0) if add else 0.0
    return x1 + half, t1, x2 + half, t2


def rate_ratio(
    x1: npt.ArrayLike,
    t1: npt.ArrayLike,
    x2: npt.ArrayLike,
    t2: npt.ArrayLike,
    *,
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Log incidence rate ratio (metafor's IRR).

    Parameters
    ----------
    x1, t1, x2, t2 : array_like of shape (k,)
        Events (not negative) and person-time (above 0) of treatment and control.
    zero_cells : {"metafor", "none"}, default "metafor"
        ½ event to both groups of every row with none in one; or raise.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, negative events, person-time not above 0, an unsolvable zero.
    UsageError
        An unknown choice.

    Notes
    -----
    :math:`\ln\frac{x_1/t_1}{x_2/t_2}`, variance :math:`1/x_1 + 1/x_2` (Rothman et al. 2008, Modern
    Epidemiology, ch. 14).

    Examples
    --------
    >>> yi, vi = rate_ratio(10, 51.8, 17, 110.4)  # metafor 5.1-12
    >>> yi.round(8), vi.round(8)
    (np.float64(0.22609173), np.float64(0.15882353))
    """
    x1, t1, x2, t2 = _counts(x1, t1, x2, t2, _policy(zero_cells, "rates"))
    require(x1 > 0, "x1", x1, _NO_RATE)
    require(x2 > 0, "x2", x2, _NO_RATE)
    return np.log(x1 / t1) - np.log(x2 / t2), 1.0 / x1 + 1.0 / x2


def rate_difference(
    x1: npt.ArrayLike,
    t1: npt.ArrayLike,
    x2: npt.ArrayLike,
    t2: npt.ArrayLike,
    *,
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Incidence rate difference (metafor's IRD).

    Parameters
    ----------
    x1, t1, x2, t2 : array_like of shape (k,)
    zero_cells : {"metafor", "none"}, default "metafor"
        See :func:`rate_ratio`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`rate_ratio`; without ½ only a row without any event raises.

    Notes
    -----
    :math:`x_1/t_1 - x_2/t_2`, variance :math:`x_1/t_1^2 + x_2/t_2^2`.

    Examples
    --------
    >>> yi, vi = rate_difference(10, 51.8, 17, 110.4)  # metafor 5.1-12
    >>> yi.round(8), vi.round(8)
    (np.float64(0.03906469), np.float64(0.00512163))
    """
    x1, t1, x2, t2 = _counts(x1, t1, x2, t2, _policy(zero_cells, "rates"))
    require((x1 > 0) | (x2 > 0), "x1", x1, _NO_RATE)
    return x1 / t1 - x2 / t2, x1 / np.square(t1) + x2 / np.square(t2)


def root_rate_difference(
    x1: npt.ArrayLike, t1: npt.ArrayLike, x2: npt.ArrayLike, t2: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    r"""Difference of square root incidence rates (metafor's IRSD); zeros need no care.

    Parameters
    ----------
    x1, t1, x2, t2 : array_like of shape (k,)
        See :func:`rate_ratio`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        See :func:`rate_ratio`.

    Notes
    -----
    :math:`\sqrt{x_1/t_1} - \sqrt{x_2/t_2}`, variance :math:`1/(4t_1) + 1/(4t_2)`.

    Examples
    --------
    >>> yi, vi = root_rate_difference(4, 1, 1, 1)
    >>> float(yi), float(vi)
    (1.0, 0.5)
    """
    x1, t1, x2, t2 = _counts(x1, t1, x2, t2, False)
    return np.sqrt(x1 / t1) - np.sqrt(x2 / t2), 1.0 / (4.0 * t1) + 1.0 / (4.0 * t2)


def incidence_rate(
    x: npt.ArrayLike,
    t: npt.ArrayLike,
    *,
    scale: Literal["raw", "log", "root"] = "raw",
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Incidence rate of one group (metafor's IR, IRLN, IRS).

    Parameters
    ----------
    x, t : array_like of shape (k,)
        Events and person-time.
    scale : {"raw", "log", "root"}, default "raw"
    zero_cells : {"metafor", "none"}, default "metafor"
        ½ event where there is none, not for the square root; or raise.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`rate_ratio`.

    Notes
    -----
    Variances :math:`x/t^2`, :math:`1/x` and :math:`1/(4t)`.

    Examples
    --------
    >>> yi, vi = incidence_rate(4, 8, scale="log")
    >>> float(yi.round(6)), float(vi)
    (-0.693147, 0.25)
    """
    check_choice("scale", scale, ("raw", "log", "root"))
    add = _policy(zero_cells, "rates") and scale != "root"
    x, t = columns(x=x, t=t)
    x = x + np.where(x == 0, 0.5, 0.0) if add else x
    if scale == "root":
        return np.sqrt(x / t), 1.0 / (4.0 * t)
    require(x > 0, "x", x, _NO_RATE)
    if scale == "log":
        return np.log(x / t), 1.0 / x
    return x / t, x / np.square(t)
