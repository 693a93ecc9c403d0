"""From one family of effects to another, and from an effect to something a reader can picture.

Conversions between families take and return ``(yi, vi)``; the variance is carried over by the delta
method. Illustrations (:func:`cohen_u3`, :func:`common_language`, …) turn one value into another, so that
the ends of an interval are converted like its middle.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, columns, require
from mtmeta.errors import UsageError
from mtmeta.measures import check_choice

__all__ = [
    "cohen_u3",
    "common_language",
    "correlation_from_smd",
    "hazard_ratio",
    "hazard_ratio_from_logrank",
    "log_odds_ratio_from_smd",
    "number_needed_to_treat",
    "response_rates",
    "scale_points",
    "smd_from_correlation",
    "smd_from_log_odds_ratio",
]

Distribution = Literal["logistic", "normal"]
_FACTORS = {"logistic": np.pi / np.sqrt(3.0), "normal": 1.65}


def _yi_vi(yi: npt.ArrayLike, vi: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    yi, vi = columns(yi=yi, vi=vi)
    require(vi > 0, "vi", vi, "a sampling variance must be above 0")
    return yi, vi


def log_odds_ratio_from_smd(
    yi: npt.ArrayLike, vi: npt.ArrayLike, *, distribution: Distribution = "logistic"
) -> tuple[FloatArray, FloatArray]:
    r"""Log odds ratio that corresponds to a standardised mean difference (D2ORL, D2ORN).

    Parameters
    ----------
    yi, vi : array_like of shape (k,)
        Standardised mean differences and variances. metafor converts d, not Hedges' g.
    distribution : {"logistic", "normal"}, default "logistic"
        Outcome assumed behind the cut: the factor is :math:`\pi/\sqrt3 = 1.8138` (Hasselblad &
        Hedges 1995, Psychol Bull 117, p. 170) or 1.65 (Cox & Snell 1989).

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        A missing value, a variance not above 0, an unknown choice.

    Examples
    --------
    >>> from mtmeta.effects.continuous import standardized_mean_difference
    >>> d = standardized_mean_difference(10, 2, 20, 8.5, 3, 25, correction="none")
    >>> yi, vi = log_odds_ratio_from_smd(*d)
    >>> yi.round(8), vi.round(8)
    (np.float64(1.04405483), np.float64(0.3081998))
    """
    factor = _FACTORS[check_choice("distribution", distribution, tuple(_FACTORS))]
    yi, vi = _yi_vi(yi, vi)
    return factor * yi, factor**2 * vi


def smd_from_log_odds_ratio(
    yi: npt.ArrayLike, vi: npt.ArrayLike, *, distribution: Distribution = "logistic"
) -> tuple[FloatArray, FloatArray]:
    """Standardised mean difference that corresponds to a log odds ratio (OR2DL, OR2DN).

    Parameters
    ----------
    yi, vi : array_like of shape (k,)
        Log odds ratios and variances.
    distribution : {"logistic", "normal"}, default "logistic"
        See :func:`log_odds_ratio_from_smd`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`log_odds_ratio_from_smd`.

    Examples
    --------
    >>> from mtmeta.effects.binary import odds_ratio
    >>> smd_from_log_odds_ratio(*odds_ratio(12, 30, 5, 30))[0].round(8)
    np.float64(0.663785)
    >>> smd_from_log_odds_ratio(*odds_ratio(12, 30, 5, 30), distribution="normal")[0].round(8)
    np.float64(0.72968049)
    """
    factor = _FACTORS[check_choice("distribution", distribution, tuple(_FACTORS))]
    yi, vi = _yi_vi(yi, vi)
    return yi / factor, vi / factor**2


def smd_from_correlation(r: npt.ArrayLike, vi: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    r"""Standardised mean difference of two equal groups that corresponds to a correlation.

    Parameters
    ----------
    r, vi : array_like of shape (k,)
        Correlations strictly between -1 and 1, and their variances.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, r outside of (-1, 1), a variance not above 0.

    Notes
    -----
    :math:`d = 2r/\sqrt{1-r^2}`, :math:`4v/(1-r^2)^3` (Borenstein et al. 2009, eqs. 7.5 and 7.6).

    Examples
    --------
    >>> yi, vi = smd_from_correlation(0.6, 0.01)
    >>> float(yi.round(12)), float(vi.round(12))
    (1.5, 0.152587890625)
    """
    r, vi = columns(r=r, vi=vi)
    require(np.abs(r) < 1, "r", r, "a correlation to convert lies strictly between -1 and 1")
    require(vi > 0, "vi", vi, "a sampling variance must be above 0")
    rest = 1.0 - np.square(r)
    return 2.0 * r / np.sqrt(rest), 4.0 * vi / rest**3


def correlation_from_smd(
    yi: npt.ArrayLike, vi: npt.ArrayLike, *, n1: npt.ArrayLike = 1.0, n2: npt.ArrayLike = 1.0
) -> tuple[FloatArray, FloatArray]:
    r"""Correlation that corresponds to a standardised mean difference.

    Parameters
    ----------
    yi, vi : array_like of shape (k,)
        Standardised mean differences and variances.
    n1, n2 : array_like of shape (k,), default equal groups
        Group sizes; only their ratio counts.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, a variance or size not above 0.

    Notes
    -----
    :math:`r = d/\sqrt{d^2 + a}`, :math:`a^2 v/(d^2 + a)^3`, :math:`a = (n_1+n_2)^2/(n_1n_2)`
    (Borenstein et al. 2009, eqs. 7.7 to 7.9).

    Examples
    --------
    The way back from r 0.6 with variance 0.01:

    >>> yi, vi = correlation_from_smd(1.5, 0.152587890625)
    >>> float(yi.round(12)), float(vi.round(12))
    (0.6, 0.01)
    """
    yi, vi, size1, size2 = columns(yi=yi, vi=vi, size1=n1, size2=n2)
    require(vi > 0, "vi", vi, "a sampling variance must be above 0")
    require(size1 > 0, "n1", size1, "a group has participants")
    require(size2 > 0, "n2", size2, "a group has participants")
    a = np.square(size1 + size2) / (size1 * size2)
    whole = np.square(yi) + a
    return yi / np.sqrt(whole), np.square(a) * vi / whole**3


def cohen_u3(d: npt.ArrayLike) -> FloatArray:
    r"""Share of the control group that the average treated person lies above: :math:`\Phi(d)`.

    Parameters
    ----------
    d : array_like
        Standardised mean difference. Where lower scores are better, turn its sign first, or read
        the result as the share of controls that lies below.

    Returns
    -------
    ndarray
        Between 0 and 1; normal outcomes of equal SD assumed (Cohen 1988, p. 23).

    Raises
    ------
    RowError
        A missing value.

    Examples
    --------
    Cohen (1988), Table 2.2.1: U3 is 69.1 % at d 0.5 and 78.8 % at d 0.8.

    >>> cohen_u3([0.5, 0.8]).round(3)
    array([0.691, 0.788])
    """
    from scipy.special import ndtr

    (d,) = columns(d=d)
    return np.asarray(ndtr(d))[()]


def common_language(d: npt.ArrayLike) -> FloatArray:
    r"""Probability that a treated person scores above a control: :math:`\Phi(d/\sqrt2)`.

    Parameters
    ----------
    d : array_like
        Standardised mean difference.

    Returns
    -------
    ndarray
        Between 0 and 1; normal outcomes of equal SD assumed (McGraw & Wong 1992, Psychol Bull 111,
        p. 361). Also called probability of superiority, and area under the curve.

    Raises
    ------
    RowError
        A missing value.

    Examples
    --------
    >>> common_language(0.0)
    np.float64(0.5)
    """
    from scipy.special import ndtr

    (d,) = columns(d=d)
    return np.asarray(ndtr(d / np.sqrt(2.0)))[()]


def response_rates(d: npt.ArrayLike, control_rate: npt.ArrayLike) -> FloatArray:
    r"""Share of responders under treatment, given a mean difference and the share under control.

    Parameters
    ----------
    d : array_like
        Standardised mean difference in the direction of benefit.
    control_rate : array_like
        Share of responders (or of any event beyond a cut on the scale) in the control group, in (0, 1).

    Returns
    -------
    ndarray
        :math:`\Phi(d + \Phi^{-1}(p_c))`, normal outcomes of equal SD assumed (Furukawa & Leucht
        2011, PLoS ONE 6, e19070).

    Raises
    ------
    RowError
        A missing value, a share outside of (0, 1).

    Examples
    --------
    >>> response_rates(0.5, 0.2).round(4)
    np.float64(0.3663)
    """
    from scipy.special import ndtr, ndtri

    d, rate = columns(d=d, control_rate=control_rate)
    require(
        (rate > 0) & (rate < 1),
        "control_rate",
        rate,
        "a share of responders lies between 0 and 1, such as 0.2",
    )
    return np.asarray(ndtr(d + ndtri(rate)))[()]


def number_needed_to_treat(d: npt.ArrayLike, control_rate: npt.ArrayLike) -> FloatArray:
    r"""People to treat for one more responder: 1 / (treated rate − control rate).

    Parameters
    ----------
    d : array_like
        Standardised mean difference in the direction of benefit.
    control_rate : array_like
        Share of responders in the control group, in (0, 1). There is no NNT without one: any that is
        printed assumes one.

    Returns
    -------
    ndarray
        Negative for harm (number needed to harm), infinite at d = 0. The NNT of an interval that
        contains 0 runs through infinity, not through 0.

    Raises
    ------
    RowError
        A missing value, a share outside of (0, 1).

    Notes
    -----
    Furukawa & Leucht (2011); see :func:`response_rates`.

    Examples
    --------
    >>> number_needed_to_treat(0.5, 0.2).round(1)
    np.float64(6.0)
    """
    treated = response_rates(d, control_rate)
    gain = np.asarray(treated - np.asarray(control_rate, dtype=np.float64))
    nil = np.broadcast_to(np.asarray(d, dtype=np.float64) == 0, gain.shape)
    return np.where(nil, np.inf, 1.0 / np.where(nil | (gain == 0), 1.0, gain))[()]


def scale_points(d: npt.ArrayLike, sd: npt.ArrayLike) -> FloatArray:
    """Standardised mean difference in points of a scale with a known SD: ``d * sd``.

    Parameters
    ----------
    d : array_like
        Standardised mean difference, or an end of its interval.
    sd : array_like
        Standard deviation of the scale among comparable people, above 0. Name its source: the result
        is as good as this number.

    Returns
    -------
    ndarray

    Raises
    ------
    RowError
        A missing value, an SD not above 0.

    Notes
    -----
    Cochrane Handbook 6, section 15.5.3.2.

    Examples
    --------
    >>> float(scale_points(-0.5, 10))
    -5.0
    """
    d, sd = columns(d=d, sd=sd)
    return d * sd


def hazard_ratio(
    ratio: npt.ArrayLike,
    *,
    low: npt.ArrayLike | None = None,
    high: npt.ArrayLike | None = None,
    p: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[FloatArray, FloatArray]:
    r"""Log hazard ratio and variance from the printed ratio and its interval or P value.

    Parameters
    ----------
    ratio : array_like of shape (k,)
        Hazard ratio as printed, above 0; not its logarithm.
    low, high : array_like of shape (k,), optional
        Confidence limits as printed.
    p : array_like of shape (k,), optional
        Exact two-sided P value of a Wald or log-rank test, in (0, 1), instead of an interval.
    level : float, default 0.95
        Confidence level of the limits.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value; a ratio not above 0 or outside of its limits.
    UsageError
        Neither interval nor P value, or both.

    Notes
    -----
    :math:`(\ln u - \ln l)/(2z)`, or :math:`|\ln HR|/z_p` (Parmar et al. 1998, Stat Med 17, p. 2815;
    Tierney et al. 2007, Trials 8, 16, eqs. 7 and 8). Rounded limits leave the estimate off the
    middle; it is kept as printed.

    Examples
    --------
    >>> yi, vi = hazard_ratio(0.8, low=0.6, high=1.066667)
    >>> yi.round(4), float(np.sqrt(vi).round(4))
    (np.float64(-0.2231), 0.1468)
    """
    from mtmeta.effects.recover import se_from_interval, se_from_p

    (ratio,) = columns(hazard_ratio=ratio)
    require(ratio > 0, "hazard_ratio", ratio, "a hazard ratio is above 0; give the ratio, not its logarithm")
    interval = low is not None and high is not None
    if interval == (p is not None) or (low is None) != (high is None):
        raise UsageError("give either low and high, or p")
    if interval and low is not None and high is not None:
        found = se_from_interval(low, high, estimate=ratio, level=level, scale="log")
    else:
        found = se_from_p(np.log(ratio), p if p is not None else np.nan)
    return np.log(ratio), np.square(np.asarray(found.value))[()]


def hazard_ratio_from_logrank(
    observed: npt.ArrayLike, expected: npt.ArrayLike, variance: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    r"""Log hazard ratio from a log-rank test: :math:`(O - E)/V` with variance :math:`1/V`.

    Parameters
    ----------
    observed, expected : array_like of shape (k,)
        Events observed and expected in the treatment group.
    variance : array_like of shape (k,)
        Variance of the log-rank statistic, above 0. Where it is not printed, ``D n1 n2 / N²`` of D
        events in all stands for it.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, a variance not above 0.

    Notes
    -----
    Parmar et al. (1998), eqs. 3 and 4.

    Examples
    --------
    >>> yi, vi = hazard_ratio_from_logrank(30, 40, 20)
    >>> float(yi), float(vi)
    (-0.5, 0.05)
    """
    observed, expected, v = columns(observed=observed, expected=expected, variance=variance)
    require(v > 0, "variance", v, "the variance of a log-rank statistic is above 0")
    return (observed - expected) / v, 1.0 / v
