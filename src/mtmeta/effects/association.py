"""Correlations: Pearson, Fisher's z, and point-biserial and biserial from two groups."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, columns, require
from mtmeta.effects.continuous import standardized_mean_difference
from mtmeta.measures import check_choice

__all__ = ["biserial", "correlation", "correlation_from_t", "fisher_z", "point_biserial"]


def _r_n(r: npt.ArrayLike, n: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    r, n = columns(r=r, n=n)
    require(np.abs(r) <= 1, "r", r, "a correlation lies between -1 and 1")
    require(np.abs(r) < 1, "r", r, "a perfect correlation has no sampling variance; check the printed value")
    require(n > 3, "n", n, "a correlation needs more than 3 people for its variance")
    return r, n


def correlation(
    r: npt.ArrayLike, n: npt.ArrayLike, *, variance: Literal["LS", "AV"] = "LS"
) -> tuple[FloatArray, FloatArray]:
    r"""Pearson correlation and its large-sample variance (metafor's COR).

    Parameters
    ----------
    r : array_like of shape (k,)
        Strictly between -1 and 1.
    n : array_like of shape (k,)
        Sizes above 3.
    variance : {"LS", "AV"}, default "LS"
        :math:`(1-r^2)^2/(n-1)` with each row's r, or with the mean r weighted by n.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, r outside of (-1, 1), too few people.
    UsageError
        An unknown choice.

    Examples
    --------
    >>> correlation(0.35, 50)[1].round(8)
    np.float64(0.01571441)
    """
    check_choice("variance", variance, ("LS", "AV"))
    r, n = _r_n(r, n)
    use = np.sum(n * r) / np.sum(n) if variance == "AV" else r
    return r + 0.0, np.square(1.0 - np.square(use)) / (n - 1.0)


def fisher_z(r: npt.ArrayLike, n: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    r"""Fisher's z of a correlation: ``atanh(r)`` with variance ``1/(n - 3)`` (metafor's ZCOR).

    Parameters
    ----------
    r, n : array_like of shape (k,)
        See :func:`correlation`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        See :func:`correlation`.

    Examples
    --------
    >>> yi, vi = fisher_z(0.35, 50)
    >>> yi.round(8), vi.round(8)
    (np.float64(0.36544375), np.float64(0.0212766))
    """
    r, n = _r_n(r, n)
    return np.arctanh(r), 1.0 / (n - 3.0)


def correlation_from_t(t: npt.ArrayLike, df: npt.ArrayLike) -> FloatArray:
    """Correlation whose test against 0 gave `t`: ``t / sqrt(t² + df)``.

    Parameters
    ----------
    t : array_like
    df : array_like
        Degrees of freedom, ``n - 2``, above 0.

    Returns
    -------
    ndarray

    Raises
    ------
    RowError
        A missing value or df not above 0.

    Examples
    --------
    >>> correlation_from_t(2.0, 96)
    np.float64(0.2)
    """
    value, df = columns(statistic=t, df=df)
    require(df > 0, "df", df, "degrees of freedom are above 0")
    return value / np.sqrt(np.square(value) + df)


def _point_biserial(
    m1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
) -> tuple[FloatArray, ...]:
    d, _ = standardized_mean_difference(m1, sd1, n1, m2, sd2, n2, correction="none")
    n1, n2 = columns(n1=n1, n2=n2)
    h = (n1 + n2 - 2.0) * (1.0 / n1 + 1.0 / n2)
    return d, h, d / np.sqrt(np.square(d) + h), n1, n2


def point_biserial(
    m1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    variance: Literal["LS", "ST", "CS"] = "LS",
) -> tuple[FloatArray, FloatArray]:
    r"""Point-biserial correlation of group and outcome (metafor's RPB).

    Parameters
    ----------
    m1, sd1, n1, m2, sd2, n2 : array_like of shape (k,)
        See :func:`~mtmeta.effects.continuous.standardized_mean_difference`.
    variance : {"LS", "ST", "CS"}, default "LS"
        For group sizes fixed by design ("ST", which "LS" stands for), or for one sample in which
        they came out by chance ("CS").

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`~mtmeta.effects.continuous.standardized_mean_difference`.

    Notes
    -----
    :math:`d/\sqrt{d^2 + h}`, :math:`h = (N-2)(1/n_1 + 1/n_2)`; "ST" is the delta method, "CS" Tate
    (1954, Ann Math Stat 25, p. 603).

    Examples
    --------
    >>> point_biserial(10, 2, 20, 8.5, 3, 25)[0].round(8)
    np.float64(0.28082798)
    """
    check_choice("variance", variance, ("LS", "ST", "CS"))
    d, h, r, n1, n2 = _point_biserial(m1, sd1, n1, m2, sd2, n2)
    total = n1 + n2
    if variance == "CS":
        lead = np.square(1.0 - np.square(r))
        return r, lead * (total * r**2 / (4.0 * n1 * n2) + (2.0 - 3.0 * r**2) / (2.0 * total))
    base = 1.0 / n1 + 1.0 / n2 + np.square(d) / (2.0 * total)
    return r, np.square(h) / (h + np.square(d)) ** 3 * base


def biserial(
    m1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    r"""Biserial correlation: groups made by cutting a normal variable (metafor's RBIS).

    Parameters
    ----------
    m1, sd1, n1, m2, sd2, n2 : array_like of shape (k,)
        See :func:`~mtmeta.effects.continuous.standardized_mean_difference`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)
        The correlation may lie outside of [-1, 1], as in metafor; the variance takes it at ±1 then.

    Raises
    ------
    RowError
        See :func:`~mtmeta.effects.continuous.standardized_mean_difference`.

    Notes
    -----
    :math:`r_b = r_{pb}\sqrt{pq}/f(z)`, :math:`p = n_1/N`, :math:`q = 1 - p`, z the normal quantile
    that leaves p above, f the normal density. Variance by Soper (1914, Biometrika 10, p. 384).

    Examples
    --------
    >>> biserial(10, 2, 20, 8.5, 3, 25)[0].round(8)
    np.float64(0.35321675)
    """
    from scipy.special import ndtri

    _, _, r, n1, n2 = _point_biserial(m1, sd1, n1, m2, sd2, n2)
    total = n1 + n2
    p, q = n1 / total, n2 / total
    z = -ndtri(p)
    density = np.exp(-np.square(z) / 2.0) / np.sqrt(2.0 * np.pi)
    y = np.sqrt(p * q) / density * r
    c = np.clip(y, -1.0, 1.0)
    middle = 1.5 + (1.0 - p * z / density) * (1.0 + q * z / density)
    return y, (p * q / np.square(density) - middle * np.square(c) + c**4) / (total - 1.0)
