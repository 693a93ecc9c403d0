"""Two groups measured on a scale: mean difference and standardised mean differences.

Every function takes arrays (or scalars) of one length, group 1 (treatment) minus group 2 (control),
and returns ``(yi, vi)``: effects and sampling variances.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, check_variance, columns, require
from mtmeta.errors import UsageError
from mtmeta.measures import check_choice

__all__ = [
    "Correction",
    "glass_delta",
    "hedges_correction",
    "heteroscedastic_smd",
    "mean_difference",
    "single_mean",
    "smd_variance",
    "standardized_mean_difference",
]

Correction = Literal["exact", "approximate", "none"]
SmdVariance = Literal["LS", "LS2", "UB", "AV", "RevMan"]

_CORRECTIONS = ("exact", "approximate", "none")
_SMD_VARIANCES = ("LS", "LS2", "UB", "AV", "RevMan")
_SERIES_FROM = 24.0  # df from which the asymptotic series is exact to double precision
# whole df below that: J(0) and J(1) do not exist and are never read
_TABLE = np.array(
    [np.nan, np.nan]
    + [math.exp(math.lgamma(m / 2) - math.lgamma((m - 1) / 2)) / math.sqrt(m / 2) for m in range(2, 24)]
)


def hedges_correction(df: npt.ArrayLike, *, correction: Correction = "exact") -> FloatArray:
    r"""Factor that takes the small-sample bias out of a standardised mean difference.

    Parameters
    ----------
    df : array_like
        Degrees of freedom of the standard deviation (``n1 + n2 - 2`` for a pooled one), above 1.
    correction : {"exact", "approximate", "none"}, default "exact"
        Hedges' gamma-function form, his approximation, or 1.

    Returns
    -------
    ndarray
        Same shape as `df`, in (0, 1].

    Raises
    ------
    RowError
        ``df <= 1``: the mean of the effect does not exist.
    UsageError
        An unknown `correction`.

    Notes
    -----
    Exact: :math:`J = \Gamma(m/2) / (\sqrt{m/2}\,\Gamma((m-1)/2))`; approximate:
    :math:`1 - 3/(4m - 1)`, which is ``1 - 3/(4N - 9)`` for two groups (Hedges 1981, J Educ Stat
    6:107-128; Hedges & Olkin 1985, Statistical Methods for Meta-Analysis, p. 104; Borenstein et al. 2009,
    Introduction to Meta-Analysis, p. 27). metafor and meta use the exact form; RevMan and esc the
    approximation. From ``m = 24`` on the logarithm of the ratio is summed as an asymptotic series:
    the difference of two log-gamma values loses one digit for every tenfold `m`.

    Examples
    --------
    >>> hedges_correction([10, 98]).round(6)
    array([0.922746, 0.992324])
    >>> hedges_correction(98, correction="approximate").round(6)
    np.float64(0.992327)
    """
    check_choice("correction", correction, _CORRECTIONS)
    m = np.asarray(df, dtype=np.float64)
    require(
        m > 1, "df", m, "the small-sample correction needs more than 1 degree of freedom; add participants"
    )
    if correction == "none":
        return np.ones_like(m)[()]
    if correction == "approximate":
        return np.asarray(1.0 - 3.0 / (4.0 * m - 1.0))[()]
    half = (np.maximum(m, _SERIES_FROM) - 1.0) / 2.0
    y = 1.0 / np.square(half)
    log_series = y * (17 / 14336 + y * (-31 / 18432 + y * (691 / 180224)))
    log_series = (-1 / 8 + y * (1 / 192 + y * (-1 / 640 + log_series))) / half
    ratio = np.asarray(np.sqrt((m - 1.0) / m) * np.exp(log_series))
    small = m < _SERIES_FROM
    if np.any(small):
        few = m[small]
        whole = few == np.floor(few)
        exact = _TABLE[np.where(whole, few, 2.0).astype(np.intp)]
        if not np.all(whole):
            from scipy.special import gammaln

            part = (few[~whole] - 1.0) / 2.0
            exact[~whole] = np.exp(gammaln(part + 0.5) - gammaln(part)) / np.sqrt(part + 0.5)
        ratio[small] = exact
    return ratio[()]


def smd_variance(
    d: npt.ArrayLike,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    variance: SmdVariance = "LS",
    correction: Correction | None = None,
) -> tuple[FloatArray, FloatArray]:
    r"""Hedges' g and its sampling variance from an uncorrected d with pooled SD.

    Parameters
    ----------
    d : array_like of shape (k,)
        Mean difference divided by the pooled standard deviation, not yet corrected for bias.
    n1, n2 : array_like of shape (k,)
        Group sizes, at least 2.
    variance : {"LS", "LS2", "UB", "AV", "RevMan"}, default "LS"
        See Notes.
    correction : {"exact", "approximate", "none"}, optional
        By default the one that belongs to `variance`: approximate for RevMan, exact for all others.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A group of fewer than 2; a missing value.
    UsageError
        An unknown choice, or "UB" without the exact correction.

    Notes
    -----
    With :math:`N = n_1 + n_2`, :math:`m = N - 2`, :math:`g = Jd` and :math:`a = 1/n_1 + 1/n_2`:

    ======  =========================================  ==============================================
    LS      :math:`a + g^2/(2N)`                        Hedges 1982, Psychol Bull 92, eq. 8; metafor's default
    LS2     :math:`J^2 (a + d^2/(2N))`                  Borenstein et al. 2009, eqs. 4.20 and 4.24
    UB      :math:`a + (1 - (m-2)/(m J^2))\,g^2`        unbiased; Hedges 1983, Psychol Bull 93, eq. 9
    AV      :math:`a + \bar g^2/(2N)`                   :math:`\bar g` the mean of all rows weighted by N
    RevMan  :math:`N/(n_1 n_2) + g^2/(2(N - 3.94))`     Deeks & Higgins 2010, with the approximate J
    ======  =========================================  ==============================================

    AV takes the rows it is given as one meta-analysis.

    Examples
    --------
    d = 0.5 with 20 and 25 people is g = 0.49121948 in metafor 5.1.

    >>> smd_variance(0.5, 20, 25)[0].round(8)
    np.float64(0.49121948)
    """
    check_choice("variance", variance, _SMD_VARIANCES)
    if correction is None:
        correction = "approximate" if variance == "RevMan" else "exact"
    if variance == "UB" and correction != "exact":
        raise UsageError(f"variance='UB' is unbiased only for the exact correction, not for {correction!r}")
    d, n1, n2 = columns(d=d, n1=n1, n2=n2)
    total = n1 + n2
    j = hedges_correction(total - 2.0, correction=correction)
    g = j * d
    base = 1.0 / n1 + 1.0 / n2
    if variance == "LS":
        return g, base + np.square(g) / (2.0 * total)
    if variance == "LS2":
        return g, np.square(j) * (base + np.square(d) / (2.0 * total))
    if variance == "UB":
        m = total - 2.0
        return g, base + (1.0 - (m - 2.0) / (m * np.square(j))) * np.square(g)
    if variance == "AV":
        mean = np.sum(total * g) / np.sum(total)
        return g, base + mean**2 / (2.0 * total)
    return g, base + np.square(g) / (2.0 * (total - 3.94))


def _pooled_sd(sd1: FloatArray, n1: FloatArray, sd2: FloatArray, n2: FloatArray) -> FloatArray:
    return np.sqrt(((n1 - 1.0) * np.square(sd1) + (n2 - 1.0) * np.square(sd2)) / (n1 + n2 - 2.0))


def standardized_mean_difference(
    m1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    variance: SmdVariance = "LS",
    correction: Correction | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Standardised mean difference of two groups with the pooled SD (Hedges' g).

    Parameters
    ----------
    m1, sd1, n1, m2, sd2, n2 : array_like of shape (k,)
        Means, standard deviations (above 0) and sizes (at least 2) of treatment and control.
        Sizes need not be whole: effective sizes of cluster trials are not.
    variance : {"LS", "LS2", "UB", "AV", "RevMan"}, default "LS"
        See :func:`smd_variance`.
    correction : {"exact", "approximate", "none"}, optional
        "exact" is Hedges' g with gamma functions, "none" Cohen's d. By default the one that belongs
        to `variance`: approximate for RevMan, exact for all others.

    Returns
    -------
    yi, vi : ndarray of shape (k,)
        Scalars for scalars.

    Raises
    ------
    RowError
        A missing value, an SD not above 0, a group of fewer than 2: row, column, value and remedy.
    UsageError
        An unknown choice.

    Notes
    -----
    ``variance="LS"`` is metafor's ``escalc(measure="SMD")``, ``"RevMan"`` what Cochrane reviews
    print; they differ in the second digit for trials of ten a group. See ``docs/differences.md``.

    Examples
    --------
    Borenstein et al. (2009), ch. 14, data set 1: Carroll and Grant.

    >>> yi, vi = standardized_mean_difference([94, 98], [22, 21], [60, 65], [92, 92], [20, 22], [60, 65])
    >>> yi.round(6)
    array([0.094524, 0.277356])

    Chapter 4: the textbook's variance 0.0411 is LS2.

    >>> standardized_mean_difference(103, 5.5, 50, 100, 4.5, 50, variance="LS2")[1].round(6)
    np.float64(0.041143)
    """
    m1, sd1, n1, m2, sd2, n2 = columns(m1=m1, sd1=sd1, n1=n1, m2=m2, sd2=sd2, n2=n2)
    d = (m1 - m2) / _pooled_sd(sd1, n1, sd2, n2)
    return smd_variance(d, n1, n2, variance=variance, correction=correction)


def mean_difference(
    m1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    variance: Literal["LS", "UB", "HO"] = "LS",
) -> tuple[FloatArray, FloatArray]:
    """Mean difference of two groups, in the units of the scale.

    Parameters
    ----------
    m1, sd1, n1, m2, sd2, n2 : array_like of shape (k,)
        See :func:`standardized_mean_difference`.
    variance : {"LS", "UB", "HO"}, default "LS"
        "LS" and "UB" are ``sd1²/n1 + sd2²/n2``, which is unbiased; "HO" pools the SDs.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`standardized_mean_difference`.

    Examples
    --------
    >>> yi, vi = mean_difference(10, 2, 20, 8.5, 3, 25)
    >>> float(yi), float(vi)
    (1.5, 0.56)
    """
    check_choice("variance", variance, ("LS", "UB", "HO"))
    m1, sd1, n1, m2, sd2, n2 = columns(m1=m1, sd1=sd1, n1=n1, m2=m2, sd2=sd2, n2=n2)
    if variance == "HO":
        return m1 - m2, np.square(_pooled_sd(sd1, n1, sd2, n2)) * (1.0 / n1 + 1.0 / n2)
    return m1 - m2, np.square(sd1) / n1 + np.square(sd2) / n2


def heteroscedastic_smd(
    m1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    correction: Correction = "exact",
) -> tuple[FloatArray, FloatArray]:
    r"""Mean difference divided by the root mean square of both SDs (metafor's SMDH).

    Parameters
    ----------
    m1, sd1, n1, m2, sd2, n2 : array_like of shape (k,)
        See :func:`standardized_mean_difference`.
    correction : {"exact", "approximate", "none"}, default "exact"
        With ``n1 + n2 - 2`` degrees of freedom.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`standardized_mean_difference`.

    Notes
    -----
    :math:`s^2 = (s_1^2 + s_2^2)/2`, variance
    :math:`\frac{g^2}{8 s^4}\left(\frac{s_1^4}{n_1-1}+\frac{s_2^4}{n_2-1}\right) +
    \frac{1}{s^2}\left(\frac{s_1^2}{n_1-1}+\frac{s_2^2}{n_2-1}\right)` (Bonett 2008, Psychol Methods
    13, eq. 8, with the corrected effect plugged in, as metafor 5.1 does; 3.8 multiplied
    the variance by :math:`J^2`).

    Examples
    --------
    >>> yi, vi = heteroscedastic_smd(10, 2, 20, 8.5, 3, 25)
    >>> yi.round(8), vi.round(8)
    (np.float64(0.57801639), np.float64(0.09424945))
    """
    m1, sd1, n1, m2, sd2, n2 = columns(m1=m1, sd1=sd1, n1=n1, m2=m2, sd2=sd2, n2=n2)
    v1, v2 = np.square(sd1), np.square(sd2)
    s2 = (v1 + v2) / 2.0
    g = hedges_correction(n1 + n2 - 2.0, correction=correction) * (m1 - m2) / np.sqrt(s2)
    spread = np.square(g) / (8.0 * np.square(s2)) * (np.square(v1) / (n1 - 1.0) + np.square(v2) / (n2 - 1.0))
    return g, spread + (v1 / (n1 - 1.0) + v2 / (n2 - 1.0)) / s2


def glass_delta(
    m1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    standardizer: Literal["control", "treatment"] = "control",
    heteroscedastic: bool = False,
    variance: Literal["LS", "LS2", "UB", "AV"] = "LS",
    correction: Correction = "exact",
) -> tuple[FloatArray, FloatArray]:
    r"""Glass' delta: mean difference divided by the SD of one group (metafor's SMD1, SMD1H).

    Parameters
    ----------
    m1, sd1, n1, m2, sd2, n2 : array_like of shape (k,)
        See :func:`standardized_mean_difference`; the group that gives the SD has at least 3.
    standardizer : {"control", "treatment"}, default "control"
        Whose SD: group 2 or group 1.
    heteroscedastic : bool, default False
        Allow the groups to have different SDs (SMD1H); then `variance` is "LS".
    variance : {"LS", "LS2", "UB", "AV"}, default "LS"
        As for :func:`smd_variance`, with the size of the standardising group in the place of N.
    correction : {"exact", "approximate", "none"}, default "exact"
        With :math:`n_s - 1` degrees of freedom.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`standardized_mean_difference`.

    Notes
    -----
    Heteroscedastic variance, with s the standardising and o the other group:
    :math:`\frac{s_o^2/s_s^2}{n_o-1} + \frac{1}{n_s-1} + \frac{g^2}{2(n_s-1)}` (Bonett 2008, Psychol
    Methods 13, eq. 12).

    Examples
    --------
    >>> yi, vi = glass_delta(10, 2, 20, 8.5, 3, 25)
    >>> yi.round(8), vi.round(8)
    (np.float64(0.48418262), np.float64(0.09468866))
    """
    check_choice("standardizer", standardizer, ("control", "treatment"))
    check_variance(variance, ("LS",) if heteroscedastic else ("LS", "LS2", "UB", "AV"), "Glass' delta")
    if variance == "UB" and correction != "exact":
        raise UsageError(f"variance='UB' is unbiased only for the exact correction, not for {correction!r}")
    m1, sd1, n1, m2, sd2, n2 = columns(m1=m1, sd1=sd1, n1=n1, m2=m2, sd2=sd2, n2=n2)
    sd, n, other_sd, other_n = (sd2, n2, sd1, n1) if standardizer == "control" else (sd1, n1, sd2, n2)
    require(
        n > 2, "n2" if standardizer == "control" else "n1", n, "the group that gives the SD needs at least 3"
    )
    m = n - 1.0
    j = hedges_correction(m, correction=correction)
    d = (m1 - m2) / sd
    g = j * d
    if heteroscedastic:
        return g, np.square(other_sd / sd) / (other_n - 1.0) + 1.0 / m + np.square(g) / (2.0 * m)
    base = 1.0 / n1 + 1.0 / n2
    if variance == "LS2":
        return g, np.square(j) * (base + np.square(d) / (2.0 * n))
    if variance == "UB":
        return g, base + (1.0 - (m - 2.0) / (m * np.square(j))) * np.square(g)
    size = n1 + n2
    square = np.square(np.sum(size * g) / np.sum(size)) if variance == "AV" else np.square(g)
    return g, base + square / (2.0 * n)


def single_mean(m: npt.ArrayLike, sd: npt.ArrayLike, n: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Mean of one group and its variance ``sd²/n`` (metafor's MN).

    Parameters
    ----------
    m, sd, n : array_like of shape (k,)
        Mean, standard deviation (above 0), size (at least 2).

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, an SD not above 0, a group of fewer than 2.

    Examples
    --------
    >>> yi, vi = single_mean(10, 2, 20)
    >>> float(yi), float(vi)
    (10.0, 0.2)
    """
    m, sd, n = columns(m=m, sd=sd, n=n)
    return m + 0.0, np.square(sd) / n
