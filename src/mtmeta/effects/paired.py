"""The same people twice: mean changes, standardised in every way in use, and against a control group.

Effects are ``m1 - m2``; the standardising SD of the "first" kind is `sd1`, as in metafor. A change from
baseline standardised by the baseline SD is therefore given as ``m1 = after, m2 = before, sd1 = SD before,
sd2 = SD after``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, check_variance, columns, require
from mtmeta.effects.continuous import Correction, hedges_correction
from mtmeta.measures import check_choice

__all__ = ["mean_change", "paired_ratio_of_means", "pre_post_control", "standardized_mean_change"]

Standardizer = Literal["change", "first", "first heteroscedastic", "pooled"]


def _paired(
    m1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd1: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n: npt.ArrayLike,
    r: npt.ArrayLike,
) -> tuple[FloatArray, ...]:
    m1, m2, sd1, sd2, n, r = columns(m1=m1, m2=m2, sd1=sd1, sd2=sd2, n=n, r=r)
    require(np.abs(r) <= 1, "r", r, "the correlation of both measurements lies between -1 and 1")
    return m1, m2, sd1, sd2, n, r


def _change_variance(sd1: FloatArray, sd2: FloatArray, r: FloatArray) -> FloatArray:
    """Variance of a difference, written so that r = 1 with equal SDs gives exactly 0."""
    return np.square(sd1 - sd2) + 2.0 * (1.0 - r) * sd1 * sd2


def mean_change(
    m1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd1: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n: npt.ArrayLike,
    r: npt.ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    r"""Mean difference of two measurements of the same people (metafor's MC), also of a crossover.

    Parameters
    ----------
    m1, m2, sd1, sd2 : array_like of shape (k,)
        Means and standard deviations (above 0) of both measurements.
    n : array_like of shape (k,)
        People, at least 2.
    r : array_like of shape (k,)
        Correlation of both measurements.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, an SD not above 0, r outside of [-1, 1].

    Notes
    -----
    :math:`m_1 - m_2`, variance :math:`(s_1^2 + s_2^2 - 2 r s_1 s_2)/n`.

    Examples
    --------
    Cochrane Handbook 5.1, 16.4.6.4: ten people, 7.0 (2.38) and 6.5 (2.21), r 0.68: SE 0.583.

    >>> yi, vi = mean_change(7.0, 6.5, 2.38, 2.21, 10, 0.68)
    >>> float(yi), round(float(vi) ** 0.5, 3)
    (0.5, 0.583)
    """
    m1, m2, sd1, sd2, n, r = _paired(m1, m2, sd1, sd2, n, r)
    return m1 - m2, _change_variance(sd1, sd2, r) / n


def standardized_mean_change(
    m1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd1: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n: npt.ArrayLike,
    r: npt.ArrayLike,
    *,
    standardizer: Standardizer = "first",
    variance: Literal["LS", "LS2"] = "LS",
    correction: Correction = "exact",
) -> tuple[FloatArray, FloatArray]:
    r"""Standardised mean change of the same people (metafor's SMCC, SMCR, SMCRH, SMCRP).

    Parameters
    ----------
    m1, m2, sd1, sd2, n, r : array_like of shape (k,)
        See :func:`mean_change`; at least 3 people, for "pooled" 2.
    standardizer : {"change", "first", "first heteroscedastic", "pooled"}, default "first"
        The SD of the change (SMCC), `sd1` (SMCR; SMCRH allows the SDs to differ), or the root mean
        square of both (SMCRP). Values of different standardisers are not comparable: an SD of change
        is smaller than an SD of people when r > 0.5.
    variance : {"LS", "LS2"}, default "LS"
        "LS2" for "change" and "first" only.
    correction : {"exact", "approximate", "none"}, default "exact"
        With ``n - 1`` degrees of freedom, for "pooled" with ``2(n - 1)/(1 + r²)``.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        See :func:`mean_change`; for "change" also an SD of change of 0.
    UsageError
        An unknown choice.

    Notes
    -----
    Variances ("LS"), with :math:`s_d` the SD of the change and :math:`s_p^2 = (s_1^2 + s_2^2)/2`:

    =====  ==================================================  ===========================================
    SMCC   :math:`1/n + g^2/(2n)`                               Gibbons et al. 1993, J Educ Stat 18
    SMCR   :math:`2(1-r)/n + g^2/(2n)`                          Becker 1988, Br J Math Stat Psychol 41, eq. 13
    SMCRH  :math:`s_d^2/(s_1^2(n-1)) + g^2/(2(n-1))`            Bonett 2008, Psychol Methods 13, eq. 13
    SMCRP  :math:`2(1-r)/n + g^2(1+r^2)/(4n)`                   after Cousineau 2020, Quant Methods Psychol 16
    =====  ==================================================  ===========================================

    "LS2" puts d in the place of g and multiplies by :math:`J^2`. Borenstein et al. (2009), eq. 4.28,
    multiply the whole bracket of SMCR by 2(1 − r), which metafor and mtmeta do not.

    Examples
    --------
    >>> data = (12, 10, 3, 3.5, 30, 0.6)
    >>> [float(standardized_mean_change(*data, standardizer=s)[0].round(8)) for s in ("change", "first")]
    [0.66225486, 0.64924999]
    """
    check_choice("standardizer", standardizer, ("change", "first", "first heteroscedastic", "pooled"))
    both = ("LS", "LS2") if standardizer in ("change", "first") else ("LS",)
    check_variance(variance, both, f"standardizer={standardizer!r}")
    m1, m2, sd1, sd2, n, r = _paired(m1, m2, sd1, sd2, n, r)
    pooled = standardizer == "pooled"
    require(
        n >= (2 if pooled else 3), "n", n, "too few people for a standardised change: at least 3 are needed"
    )
    j = hedges_correction(2.0 * (n - 1.0) / (1.0 + r**2) if pooled else n - 1.0, correction=correction)
    change = _change_variance(sd1, sd2, r)
    if standardizer == "change":
        require(change > 0, "r", r, "the SD of the change is 0 with this correlation and equal SDs")
        sd, lead = np.sqrt(change), 1.0 / n
    else:
        sd = np.sqrt((np.square(sd1) + np.square(sd2)) / 2.0) if pooled else sd1
        lead = 2.0 * (1.0 - r) / n
    d = (m1 - m2) / sd
    g = j * d
    if standardizer == "first heteroscedastic":
        return g, change / (np.square(sd1) * (n - 1.0)) + np.square(g) / (2.0 * (n - 1.0))
    if pooled:
        return g, lead + np.square(g) * (1.0 + np.square(r)) / (4.0 * n)
    if variance == "LS2":
        return g, np.square(j) * (lead + np.square(d) / (2.0 * n))
    return g, lead + np.square(g) / (2.0 * n)


def paired_ratio_of_means(
    m1: npt.ArrayLike,
    m2: npt.ArrayLike,
    sd1: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n: npt.ArrayLike,
    r: npt.ArrayLike,
    *,
    bias_correction: bool = True,
) -> tuple[FloatArray, FloatArray]:
    r"""Log ratio of two means of the same people (metafor's ROMC).

    Parameters
    ----------
    m1, m2, sd1, sd2, n, r : array_like of shape (k,)
        See :func:`mean_change`; means of one sign and not 0.
    bias_correction : bool, default True
        metafor 5.1 corrects, 3.8 does not.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        See :func:`mean_change`; also means of different sign or 0.

    Notes
    -----
    With :math:`c_i = s_i/m_i`: :math:`\ln(m_1/m_2) + (c_1^2 - c_2^2)/(2n)`, variance
    :math:`(c_1^2 + c_2^2 - 2 r c_1 c_2)/n` (Lajeunesse 2011, Ecology 92, eq. 6).

    Examples
    --------
    >>> yi, vi = paired_ratio_of_means(13.33, 8.38, 4.74, 4.45, 25, 0.45)  # metafor 5.1-12
    >>> yi.round(8), vi.round(8)
    (np.float64(0.46105831), np.float64(0.00953952))
    """
    m1, m2, sd1, sd2, n, r = _paired(m1, m2, sd1, sd2, n, r)
    remedy = "a ratio needs means that are not 0 and have one sign; use a mean change"
    require(m1 != 0, "m1", m1, remedy)
    require(m1 * m2 > 0, "m2", m2, remedy)
    c1, c2 = np.abs(sd1 / m1), np.abs(sd2 / m2)
    yi = np.log(m1 / m2)
    if bias_correction:
        yi = yi + (np.square(c1) - np.square(c2)) / (2.0 * n)
    return yi, _change_variance(c1, c2, r) / n


def pre_post_control(
    pre1: npt.ArrayLike,
    post1: npt.ArrayLike,
    sd1: npt.ArrayLike,
    n1: npt.ArrayLike,
    pre2: npt.ArrayLike,
    post2: npt.ArrayLike,
    sd2: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    r: npt.ArrayLike,
    standardizer: Literal["pooled", "separate"] = "pooled",
    variance: Literal["LS", "Morris"] = "LS",
) -> tuple[FloatArray, FloatArray]:
    r"""Difference of two groups in their change, standardised by baseline SDs (dppc1, dppc2).

    Parameters
    ----------
    pre1, post1, pre2, post2 : array_like of shape (k,)
        Means before and after in the treatment (1) and the control group (2).
    sd1, sd2 : array_like of shape (k,)
        Standard deviations of the baseline values, above 0.
    n1, n2 : array_like of shape (k,)
        People with both values, at least 3.
    r : array_like of shape (k,)
        Correlation of both values within a group. Where no paper prints it, it can be recovered
        from an SD of change (:func:`~mtmeta.effects.recover.pre_post_correlation`), or be varied
        over a range: the effect does not depend on it, only its variance.
    standardizer : {"pooled", "separate"}, default "pooled"
        One SD pooled over the groups (d_ppc2), or each group's own (d_ppc1).
    variance : {"LS", "Morris"}, default "LS"
        Large-sample variance, or Morris' exact one (pooled SD only).

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, an SD not above 0, r outside of [-1, 1], too few people.
    UsageError
        An unknown choice.

    Notes
    -----
    Pooled, with :math:`N = n_1 + n_2`, :math:`J` for N − 2 degrees of freedom and
    :math:`a = 1/n_1 + 1/n_2`: :math:`g = J\,\frac{\Delta_1 - \Delta_2}{s_{pre}}`, variance "LS"
    :math:`2(1-r)a + g^2/(2N)`; "Morris" :math:`2J^2(1-r)a\frac{N-2}{N-4}
    \left(1 + \frac{g^2}{2(1-r)a}\right) - g^2` (Morris 2008, Organ Res Methods 11, eqs. 8 and 16).
    Separate: each group's change over its SD, corrected with :math:`n_i - 1` degrees of freedom;
    variances :math:`2(1-r)/n_i + g_i^2/(2n_i)` add up (Becker 1988).

    Examples
    --------
    Morris (2008), study 1 of Carlson and Schmidt: d_ppc2 0.77.

    >>> yi, _ = pre_post_control(30.6, 38.5, 15.0, 20, 23.1, 19.7, 13.8, 20, r=0.47)
    >>> yi.round(2)
    np.float64(0.77)
    """
    check_choice("standardizer", standardizer, ("pooled", "separate"))
    allowed = ("LS", "Morris") if standardizer == "pooled" else ("LS",)
    check_variance(variance, allowed, f"standardizer={standardizer!r}")
    pre1, post1, sd1, n1, pre2, post2, sd2, n2, r = columns(
        pre1=pre1, post1=post1, sd1=sd1, n1=n1, pre2=pre2, post2=post2, sd2=sd2, n2=n2, r=r
    )
    require(np.abs(r) <= 1, "r", r, "the correlation of both measurements lies between -1 and 1")
    require(n1 >= 3, "n1", n1, "too few people for a standardised change: at least 3 are needed")
    require(n2 >= 3, "n2", n2, "too few people for a standardised change: at least 3 are needed")
    if standardizer == "separate":
        g1 = hedges_correction(n1 - 1.0) * (post1 - pre1) / sd1
        g2 = hedges_correction(n2 - 1.0) * (post2 - pre2) / sd2
        own = np.square(g1) / (2.0 * n1) + np.square(g2) / (2.0 * n2)
        return g1 - g2, 2.0 * (1.0 - r) * (1.0 / n1 + 1.0 / n2) + own
    total = n1 + n2
    sd = np.sqrt(((n1 - 1.0) * np.square(sd1) + (n2 - 1.0) * np.square(sd2)) / (total - 2.0))
    j = hedges_correction(total - 2.0)
    g = j * ((post1 - pre1) - (post2 - pre2)) / sd
    lead = 2.0 * (1.0 - r) * (1.0 / n1 + 1.0 / n2)
    if variance == "Morris":
        return g, np.square(j) * (total - 2.0) / (total - 4.0) * (lead + np.square(g)) - np.square(g)
    return g, lead + np.square(g) / (2.0 * total)
