"""How far two extractors agree: share, kappa, intraclass correlation, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtmeta.errors import UsageError
from mtmeta.measures import check_level

__all__ = ["Agreement", "exact_agreement", "icc", "kappa"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """An estimate of agreement with its interval; NaN where the data cannot tell."""

    estimate: float
    low: float
    high: float
    n: int


def _normal(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + check_level(level) / 2.0))


def exact_agreement(agreed: int, n: int, *, level: float = 0.95) -> Agreement:
    """Share of equal entries with Wilson's interval.

    Parameters
    ----------
    agreed, n : int
    level : float, default 0.95

    References
    ----------
    Wilson EB. J Am Stat Assoc 1927;22:209. Newcombe RG. Stat Med 1998;17:857, table I.

    Examples
    --------
    Newcombe 1998, table I, method 3: 81 of 263, 0.2553 to 0.3662.

    >>> a = exact_agreement(81, 263)
    >>> round(a.low, 4), round(a.high, 4)
    (0.2553, 0.3662)
    """
    if n == 0:
        return Agreement(math.nan, math.nan, math.nan, 0)
    z, p = _normal(level), agreed / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return Agreement(p, 0.0 if agreed == 0 else low, 1.0 if agreed == n else high, n)


def kappa(a: Sequence[Hashable], b: Sequence[Hashable], *, level: float = 0.95) -> Agreement:
    r"""Cohen's kappa of two raters, with the large-sample interval.

    :math:`\kappa=(p_o-p_e)/(1-p_e)`; its variance is that of Fleiss, Cohen and Everitt (1969), eq. 14, which
    holds where kappa is not 0. Limits are kept within -1 and 1.

    Parameters
    ----------
    a, b : sequence
        The raters' categories of the same things.
    level : float, default 0.95

    Returns
    -------
    Agreement
        NaN where both raters use one and the same category throughout.

    References
    ----------
    Cohen J. Educ Psychol Meas 1960;20:37. Fleiss JL, Cohen J, Everitt BS. Psychol Bull 1969;72:323.

    Examples
    --------
    Cohen 1960, p. 45, table 1: 200 people, kappa 0.49.

    >>> table = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]
    >>> pairs = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    >>> round(kappa([i for i, _ in pairs], [j for _, j in pairs]).estimate, 2)
    0.49
    """
    _same_length(a, b)
    n = len(a)
    names = list(dict.fromkeys([*a, *b]))
    if n == 0 or len(names) < 2:
        return Agreement(math.nan, math.nan, math.nan, n)
    at = {name: i for i, name in enumerate(names)}
    p = np.zeros((len(names), len(names)))
    for x, y in zip(a, b, strict=True):
        p[at[x], at[y]] += 1.0 / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, expected = float(np.trace(p)), float(rows @ columns)
    estimate = (observed - expected) / (1.0 - expected)
    on = np.diag(p) * (1.0 - (rows + columns) * (1.0 - estimate)) ** 2
    off = p * (columns[:, None] + rows[None, :]) ** 2
    spread = float(on.sum() + (1.0 - estimate) ** 2 * (off.sum() - np.trace(off)))
    variance = (spread - (estimate - expected * (1.0 - estimate)) ** 2) / (n * (1.0 - expected) ** 2)
    half = _normal(level) * math.sqrt(max(variance, 0.0))
    return Agreement(estimate, max(estimate - half, -1.0), min(estimate + half, 1.0), n)


def icc(values: npt.ArrayLike, *, level: float = 0.95) -> Agreement:
    """Intraclass correlation ICC(A,1): absolute agreement of single raters, two-way random effects.

    Parameters
    ----------
    values : array_like, shape (n, k)
        One row a number extracted, one column a rater.
    level : float, default 0.95

    Returns
    -------
    Agreement
        NaN for fewer than three rows, or where all numbers are the same.

    References
    ----------
    Shrout PE, Fleiss JL. Psychol Bull 1979;86:420 (their ICC(2,1)). McGraw KO, Wong SP. Psychol Methods
    1996;1:30, table 4 and, for the interval, table 7.

    Examples
    --------
    Shrout & Fleiss 1979, tables 2 and 4: six targets, four judges, ICC(2,1) = .29.

    >>> judged = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> round(icc(judged).estimate, 2)
    0.29
    """
    from scipy.special import fdtri

    x = np.asarray(values, dtype=np.float64)
    check_level(level)
    n, k = x.shape
    if n < 3 or np.ptp(x) == 0.0:
        return Agreement(math.nan, math.nan, math.nan, n)
    rows, columns, whole = x.mean(axis=1), x.mean(axis=0), float(x.mean())
    msr = k * float(((rows - whole) ** 2).sum()) / (n - 1)
    msc = n * float(((columns - whole) ** 2).sum()) / (k - 1)
    rest = x - rows[:, None] - columns[None, :] + whole
    mse = float((rest**2).sum()) / ((n - 1) * (k - 1))
    estimate = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    if mse <= 1e-24 * max(msr, msc) and msc <= 1e-24 * msr:
        return Agreement(1.0, 1.0, 1.0, n)
    a = k * estimate / (n * (1.0 - estimate))
    b = 1.0 + k * estimate * (n - 1) / (n * (1.0 - estimate))
    df = (a * msc + b * mse) ** 2 / ((a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1)))
    upper = 0.5 + level / 2.0
    f_low, f_high = float(fdtri(n - 1, df, upper)), float(fdtri(df, n - 1, upper))
    pooled = k * msc + (k * n - k - n) * mse
    low = n * (msr - f_low * mse) / (f_low * pooled + n * msr)
    high = n * (f_high * msr - mse) / (pooled + n * f_high * msr)
    return Agreement(estimate, low, high, n)


def _same_length(a: Sequence[Hashable], b: Sequence[Hashable]) -> None:
    if len(a) != len(b):
        raise UsageError(f"two raters judged {len(a)} and {len(b)} things; give both for the same things")
