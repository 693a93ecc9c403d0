"""Two groups measured on a ratio scale: ratio of means, of variation, of standard deviations."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, columns, require
from mtmeta.measures import check_choice

__all__ = ["ratio_of_means", "variability_ratio", "variation_ratio"]


def _squared_cv(m: FloatArray, sd: FloatArray, n: FloatArray) -> FloatArray:
    """Squared coefficient of variation over n: the sampling variance of a log mean."""
    return np.square(sd / m) / n


def _same_sign(m1: FloatArray, m2: FloatArray) -> None:
    remedy = "a ratio needs means that are not 0 and have one sign; use SMD or MD"
    require(m1 != 0, "m1", m1, remedy)
    require(m1 * m2 > 0, "m2", m2, remedy)


def ratio_of_means(
    m1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    variance: Literal["LS", "AV"] = "LS",
    bias_correction: bool = True,
) -> tuple[FloatArray, FloatArray]:
    r"""Log ratio of two means (log response ratio, metafor's ROM).

    Parameters
    ----------
    m1, sd1, n1, m2, sd2, n2 : array_like of shape (k,)
        Means of one sign and not 0, standard deviations above 0, sizes at least 2.
    variance : {"LS", "AV"}, default "LS"
        From each row's own coefficients of variation, or from their means weighted by size.
    bias_correction : bool, default True
        metafor 5.1 corrects, 3.8 does not.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        Means of different sign or 0; see also :func:`standardized_mean_difference`.
    UsageError
        An unknown choice.

    Notes
    -----
    :math:`\ln(m_1/m_2) + \frac12(v_1 - v_2)` with :math:`v_i = s_i^2/(n_i m_i^2)`, variance
    :math:`v_1 + v_2` (Hedges, Gurevitch & Curtis 1999, Ecology 80, eq. 1; Lajeunesse 2015, Ecology
    96, eqs. 8 and 9).

    Examples
    --------
    >>> yi, vi = ratio_of_means(10, 2, 20, 8.5, 3, 25)
    >>> yi.round(8), vi.round(8)
    (np.float64(0.16102758), np.float64(0.0069827))
    """
    check_choice("variance", variance, ("LS", "AV"))
    m1, sd1, n1, m2, sd2, n2 = columns(m1=m1, sd1=sd1, n1=n1, m2=m2, sd2=sd2, n2=n2)
    _same_sign(m1, m2)
    v1, v2 = _squared_cv(m1, sd1, n1), _squared_cv(m2, sd2, n2)
    yi = np.log(m1 / m2) + ((v1 - v2) / 2.0 if bias_correction else 0.0)
    if variance == "AV":
        mean1, mean2 = np.sum(n1 * sd1 / m1) / np.sum(n1), np.sum(n2 * sd2 / m2) / np.sum(n2)
        return yi, np.square(mean1) / n1 + np.square(mean2) / n2
    return yi, v1 + v2


def variation_ratio(
    m1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    r"""Log ratio of two coefficients of variation (metafor's CVR).

    Parameters
    ----------
    m1, sd1, n1, m2, sd2, n2 : array_like of shape (k,)
        See :func:`ratio_of_means`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        See :func:`ratio_of_means`.

    Notes
    -----
    With :math:`v_i = s_i^2/(n_i m_i^2)`: :math:`\ln\frac{s_1/m_1}{s_2/m_2} +
    \frac{1}{2(n_1-1)} - \frac{1}{2(n_2-1)} - \frac12(v_1 - v_2)`, variance
    :math:`v_1 + v_2 + \frac{1}{2(n_1-1)} + \frac{1}{2(n_2-1)}` (Nakagawa et al. 2015, Methods Ecol
    Evol 6, eqs. 11 and 12, without the covariance of mean and SD). The last term of the effect is
    in metafor 5.1, not in 3.8.

    Examples
    --------
    >>> yi, _ = variation_ratio(13.33, 4.74, 25, 8.38, 4.45, 52)  # metafor 5.1-12
    >>> yi.round(8)
    np.float64(-0.38982421)
    """
    m1, sd1, n1, m2, sd2, n2 = columns(m1=m1, sd1=sd1, n1=n1, m2=m2, sd2=sd2, n2=n2)
    _same_sign(m1, m2)
    v1, v2 = _squared_cv(m1, sd1, n1), _squared_cv(m2, sd2, n2)
    yi, vi = variability_ratio(sd1, n1, sd2, n2)
    return yi - np.log(m1 / m2) - (v1 - v2) / 2.0, vi + v1 + v2


def variability_ratio(
    sd1: npt.ArrayLike, n1: npt.ArrayLike, sd2: npt.ArrayLike, n2: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    r"""Log ratio of two standard deviations (metafor's VR).

    Parameters
    ----------
    sd1, n1, sd2, n2 : array_like of shape (k,)
        Standard deviations above 0, sizes at least 2.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, an SD not above 0, a group of fewer than 2.

    Notes
    -----
    :math:`\ln(s_1/s_2) + \frac{1}{2(n_1-1)} - \frac{1}{2(n_2-1)}`, variance
    :math:`\frac{1}{2(n_1-1)} + \frac{1}{2(n_2-1)}` (Nakagawa et al. 2015, eqs. 8 and 9).

    Examples
    --------
    >>> yi, vi = variability_ratio(4.74, 25, 4.45, 52)  # metafor 5.1-12
    >>> yi.round(8), vi.round(8)
    (np.float64(0.07416245), np.float64(0.03063725))
    """
    sd1, n1, sd2, n2 = columns(sd1=sd1, n1=n1, sd2=sd2, n2=n2)
    half1, half2 = 1.0 / (2.0 * (n1 - 1.0)), 1.0 / (2.0 * (n2 - 1.0))
    return np.log(sd1 / sd2) + half1 - half2, half1 + half2
