"""Two groups and an event: odds ratio, risk ratio, risk difference and their relatives.

Every function takes events and sizes, ``a`` of ``n1`` (treatment) and ``c`` of ``n2`` (control), as
arrays or scalars, and returns ``(yi, vi)``: effects (ratios as logarithms) and sampling variances.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, columns, require
from mtmeta.measures import check_choice

__all__ = [
    "ZeroCells",
    "arcsine_difference",
    "odds_ratio",
    "peto_odds_ratio",
    "phi_coefficient",
    "probit_difference",
    "risk_difference",
    "risk_ratio",
    "yule_q",
]

ZeroCells = Literal["metafor", "RevMan", "none"]
ZERO_CELLS = ("metafor", "RevMan", "none")

_NO_ESTIMATE = (
    "has a zero cell, so no estimate exists; choose zero_cells='metafor' or 'RevMan', or drop the row"
)


class _Table(NamedTuple):
    """Cells of the 2×2 tables: events and no events, treated and control; rows that cannot be estimated."""

    a: FloatArray
    b: FloatArray
    c: FloatArray
    d: FloatArray
    undefined: npt.NDArray[np.bool_]


def _tables(
    a: npt.ArrayLike, n1: npt.ArrayLike, c: npt.ArrayLike, n2: npt.ArrayLike, measure: str, zero_cells: str
) -> _Table:
    check_choice("zero_cells", zero_cells, ZERO_CELLS)
    a, n1, c, n2 = columns(events=True, a=a, n1=n1, c=c, n2=n2)
    require(a <= n1, "a", a, "more events than people in the treatment group; check a and n1")
    require(c <= n2, "c", c, "more events than people in the control group; check c and n2")
    b, d = n1 - a, n2 - c
    any_zero = (a == 0) | (b == 0) | (c == 0) | (d == 0)
    empty = ((a == 0) & (c == 0)) | ((b == 0) & (d == 0))
    flat = ((a == 0) | (b == 0)) & ((c == 0) | (d == 0))
    # where effect or standard error cannot be computed
    unsolvable = {"RR": (a == 0) | (c == 0) | ((b == 0) & (d == 0)), "RD": flat, "PETO": empty}.get(
        measure, any_zero
    )
    undefined = np.zeros_like(any_zero)
    if zero_cells == "none":
        require(~unsolvable, "a", a, _NO_ESTIMATE)
        add = undefined
    elif zero_cells == "metafor":
        add = any_zero
    else:
        undefined = empty & (measure != "RD")
        add = unsolvable & ~undefined & (measure != "PETO")
    half = np.where(add, 0.5, 0.0)
    return _Table(a + half, b + half, c + half, d + half, undefined)


def half_added(
    a: npt.ArrayLike, n1: npt.ArrayLike, c: npt.ArrayLike, n2: npt.ArrayLike, *, measure: str, zero_cells: str
) -> npt.NDArray[np.bool_]:
    """Return the rows of 2×2 tables to whose cells the rule `zero_cells` adds one half for `measure`.

    Examples
    --------
    >>> half_added([0, 0, 2], [9, 9, 9], [3, 0, 1], [9, 9, 9], measure="RR", zero_cells="RevMan").tolist()
    [True, False, False]
    """
    return np.asarray(_tables(a, n1, c, n2, measure, zero_cells).a > np.asarray(a, dtype=np.float64))


def _defined(t: _Table) -> tuple[FloatArray, ...]:
    """Cells with a harmless 1 in the rows that are set to NaN afterwards."""
    return tuple(np.where(t.undefined, 1.0, cell) for cell in t[:4])


def _blank(t: _Table, yi: FloatArray, vi: FloatArray) -> tuple[FloatArray, FloatArray]:
    if not np.any(t.undefined):
        return yi[()], vi[()]
    return np.where(t.undefined, np.nan, yi)[()], np.where(t.undefined, np.nan, vi)[()]


def odds_ratio(
    a: npt.ArrayLike,
    n1: npt.ArrayLike,
    c: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Log odds ratio.

    Parameters
    ----------
    a, n1, c, n2 : array_like of shape (k,)
        Events and sizes of treatment and control; counts need not be whole (adjusted for a design
        effect), ``0 <= a <= n1``.
    zero_cells : {"metafor", "RevMan", "none"}, default "metafor"
        metafor adds ½ to all four cells of every row with a zero cell. RevMan adds ½ only where
        effect or standard error could not be computed otherwise, and gives no estimate when both
        groups have no events or only events: such rows are NaN here, and ``EffectSizes.from_frame``
        leaves them out with a warning that names them. "none" adds nothing and raises where that
        leaves no estimate.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        A missing value, negative events, more events than people, an unsolvable zero cell.
    UsageError
        An unknown choice.

    Notes
    -----
    :math:`\ln(ad/(bc))`, variance :math:`1/a + 1/b + 1/c + 1/d` with b, d those without event.
    RevMan's rule: Deeks & Higgins 2010, Statistical algorithms in Review Manager 5, p. 2.

    Examples
    --------
    >>> yi, vi = odds_ratio(12, 30, 5, 30)
    >>> yi.round(8), vi.round(8)
    (np.float64(1.2039728), np.float64(0.37888889))
    >>> odds_ratio(0, 20, 4, 20)[0].round(8)  # ½ to each cell
    np.float64(-2.41428908)
    """
    t = _tables(a, n1, c, n2, "OR", zero_cells)
    ta, tb, tc, td = _defined(t)
    return _blank(t, np.log(ta / tb) - np.log(tc / td), 1.0 / ta + 1.0 / tb + 1.0 / tc + 1.0 / td)


def risk_ratio(
    a: npt.ArrayLike,
    n1: npt.ArrayLike,
    c: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Log risk ratio.

    Parameters
    ----------
    a, n1, c, n2 : array_like of shape (k,)
        See :func:`odds_ratio`.
    zero_cells : {"metafor", "RevMan", "none"}, default "metafor"
        See :func:`odds_ratio`. Without events in one group a risk ratio does not exist; with events
        in everybody of one group it does, so that RevMan's rule adds nothing there.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`odds_ratio`.

    Notes
    -----
    :math:`\ln\frac{a/n_1}{c/n_2}`, variance :math:`1/a - 1/n_1 + 1/c - 1/n_2`.

    Examples
    --------
    BCG vaccine, Aronson 1948: -0.889311 with variance 0.325585 (Viechtbauer 2010, J Stat Softw 36(3)).

    >>> yi, vi = risk_ratio(4, 123, 11, 139)
    >>> yi.round(6), vi.round(6)
    (np.float64(-0.889311), np.float64(0.325585))
    """
    t = _tables(a, n1, c, n2, "RR", zero_cells)
    ta, tb, tc, td = _defined(t)
    size1, size2 = ta + tb, tc + td
    yi = np.log(ta / size1) - np.log(tc / size2)
    # b/(a n) is 1/a - 1/n without the loss of digits
    return _blank(t, yi, tb / (ta * size1) + td / (tc * size2))


def risk_difference(
    a: npt.ArrayLike,
    n1: npt.ArrayLike,
    c: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    variance: Literal["LS", "UB", "AV"] = "LS",
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Risk difference.

    Parameters
    ----------
    a, n1, c, n2 : array_like of shape (k,)
        See :func:`odds_ratio`.
    variance : {"LS", "UB", "AV"}, default "LS"
        ``p(1-p)/n`` of each group; the same over ``n - 1``; with the mean proportions of all rows.
    zero_cells : {"metafor", "RevMan", "none"}, default "metafor"
        See :func:`odds_ratio`. RevMan's rule adds ½ only where both groups have no events or only
        events, as nothing else makes the standard error 0.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`odds_ratio`.

    Examples
    --------
    >>> yi, vi = risk_difference(12, 30, 5, 30)
    >>> yi.round(8), vi.round(8)
    (np.float64(0.23333333), np.float64(0.01262963))
    """
    check_choice("variance", variance, ("LS", "UB", "AV"))
    t = _tables(a, n1, c, n2, "RD", zero_cells)
    size1, size2 = t.a + t.b, t.c + t.d
    p1, p2 = t.a / size1, t.c / size2
    if variance == "AV":
        q1, q2 = np.sum(t.a) / np.sum(size1), np.sum(t.c) / np.sum(size2)
        return (p1 - p2)[()], (q1 * (1.0 - q1) / size1 + q2 * (1.0 - q2) / size2)[()]
    less = 1.0 if variance == "UB" else 0.0
    require(size1 > less, "n1", size1, "variance='UB' needs a group of at least 2")
    require(size2 > less, "n2", size2, "variance='UB' needs a group of at least 2")
    return (p1 - p2)[()], (p1 * (t.b / size1) / (size1 - less) + p2 * (t.d / size2) / (size2 - less))[()]


def peto_odds_ratio(
    a: npt.ArrayLike,
    n1: npt.ArrayLike,
    c: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Log odds ratio by Peto's one-step method.

    Parameters
    ----------
    a, n1, c, n2 : array_like of shape (k,)
        See :func:`odds_ratio`.
    zero_cells : {"metafor", "RevMan", "none"}, default "metafor"
        metafor's ``escalc`` adds ½ here too, though the method needs it only when nobody or
        everybody has an event; RevMan never adds anything and gives no estimate there (NaN).

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`odds_ratio`.

    Notes
    -----
    :math:`(a - E)/V` with variance :math:`1/V`, :math:`E = n_1 m/N`,
    :math:`V = n_1 n_2 m (N-m) / (N^2 (N-1))`, m events among N people (Yusuf et al. 1985, Prog
    Cardiovasc Dis 27, p. 335).

    Examples
    --------
    >>> peto_odds_ratio(6, 19, 24, 56)[0].round(8)  # metafor 5.1-12
    np.float64(-0.46365915)
    """
    t = _tables(a, n1, c, n2, "PETO", zero_cells)
    ta, tb, tc, td = _defined(t)
    size1, size2 = ta + tb, tc + td
    total, events = size1 + size2, ta + tc
    v = events * (tb + td) * (size1 / total) * (size2 / total) / (total - 1.0)
    return _blank(t, (ta - events * size1 / total) / v, 1.0 / v)


def arcsine_difference(
    a: npt.ArrayLike, n1: npt.ArrayLike, c: npt.ArrayLike, n2: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    r"""Difference of arcsine square root proportions (metafor's AS); zero cells need no care.

    Parameters
    ----------
    a, n1, c, n2 : array_like of shape (k,)
        See :func:`odds_ratio`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        See :func:`odds_ratio`.

    Notes
    -----
    :math:`\arcsin\sqrt{a/n_1} - \arcsin\sqrt{c/n_2}`, variance :math:`1/(4n_1) + 1/(4n_2)` (Rücker et
    al. 2009, Stat Med 28, p. 721).

    Examples
    --------
    >>> arcsine_difference(6, 19, 24, 56)[0].round(8)  # metafor 5.1-12
    np.float64(-0.11698123)
    """
    a, n1, c, n2 = columns(events=True, a=a, n1=n1, c=c, n2=n2)
    require(a <= n1, "a", a, "more events than people in the treatment group; check a and n1")
    require(c <= n2, "c", c, "more events than people in the control group; check c and n2")
    yi = np.arcsin(np.sqrt(a / n1)) - np.arcsin(np.sqrt(c / n2))
    return yi, 1.0 / (4.0 * n1) + 1.0 / (4.0 * n2)


def phi_coefficient(
    a: npt.ArrayLike,
    n1: npt.ArrayLike,
    c: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    variance: Literal["LS", "ST", "CS"] = "LS",
) -> tuple[FloatArray, FloatArray]:
    r"""Phi coefficient: the correlation of group and event.

    Parameters
    ----------
    a, n1, c, n2 : array_like of shape (k,)
        See :func:`odds_ratio`. Events in nobody or everybody leave it undefined.
    variance : {"LS", "ST", "CS"}, default "LS"
        For one sample of N people ("CS", which "LS" stands for, as in metafor), or for group sizes
        fixed by design ("ST").

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError
        See :func:`odds_ratio`; also where nobody or everybody has the event, or exactly one group.

    Notes
    -----
    "CS" is Yule (1912, J R Stat Soc 75, p. 603). "ST" is the delta method for two independent
    binomials: with :math:`\phi = (p_1 - p_2)\sqrt{w_1 w_2}/\sqrt{\bar p \bar q}`,
    :math:`w_i = n_i/N`, :math:`\bar p = w_1p_1 + w_2p_2`.

    Examples
    --------
    >>> phi_coefficient(6, 19, 24, 56)[0].round(8)  # metafor 5.1-12
    np.float64(-0.10012523)
    """
    check_choice("variance", variance, ("LS", "ST", "CS"))
    a, n1, c, n2 = columns(events=True, a=a, n1=n1, c=c, n2=n2)
    require(a <= n1, "a", a, "more events than people in the treatment group; check a and n1")
    require(c <= n2, "c", c, "more events than people in the control group; check c and n2")
    none_or_all = (a + c == 0) | (a + c == n1 + n2)
    require(~none_or_all, "a", a, "nobody or everybody has the event: phi is undefined; drop the row")
    perfect = ((a == 0) & (c == n2)) | ((a == n1) & (c == 0))
    require(~perfect, "a", a, "group and event are the same: phi is ±1 and has no variance; drop the row")
    total = n1 + n2
    p1, p2, w1, w2 = a / n1, c / n2, n1 / total, n2 / total
    p = (a + c) / total
    q = 1.0 - p
    phi = (p1 - p2) * np.sqrt(w1 * w2 / (p * q))
    if variance != "ST":
        group, event = w1 - w2, p - q
        skew = phi * (1.0 + phi**2 / 2.0) * group * event / np.sqrt(w1 * w2 * p * q)
        spread = 0.75 * phi**2 * (group**2 / (w1 * w2) + event**2 / (p * q))
        return phi, (1.0 - phi**2 + skew - spread) / total
    slope = (p1 - p2) * (1.0 - 2.0 * p) / (2.0 * p * q)  # of -ln sqrt(pq) by p, times the difference
    scale = w1 * w2 / (p * q)
    v1, v2 = p1 * (1.0 - p1) / n1, p2 * (1.0 - p2) / n2
    return phi, scale * (np.square(1.0 - w1 * slope) * v1 + np.square(1.0 + w2 * slope) * v2)


def yule_q(
    a: npt.ArrayLike,
    n1: npt.ArrayLike,
    c: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Yule's Q, ``(OR - 1)/(OR + 1)``.

    Parameters
    ----------
    a, n1, c, n2 : array_like of shape (k,)
    zero_cells : {"metafor", "RevMan", "none"}, default "metafor"
        See :func:`odds_ratio`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`odds_ratio`.

    Notes
    -----
    Variance :math:`\frac14(1 - Q^2)^2(1/a + 1/b + 1/c + 1/d)` (Yule 1900, Philos Trans A 194, p. 285).

    Examples
    --------
    >>> yule_q(6, 19, 24, 56)[0].round(8)  # metafor 5.1-12
    np.float64(-0.23809524)
    """
    log_or, vi = odds_ratio(a, n1, c, n2, zero_cells=zero_cells)
    q = np.tanh(log_or / 2.0)
    return q, 0.25 * np.square(1.0 - np.square(q)) * vi


def probit_difference(
    a: npt.ArrayLike,
    n1: npt.ArrayLike,
    c: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    zero_cells: ZeroCells = "metafor",
) -> tuple[FloatArray, FloatArray]:
    r"""Difference of probits: an SMD from a dichotomised normal outcome (metafor's PBIT).

    Parameters
    ----------
    a, n1, c, n2 : array_like of shape (k,)
    zero_cells : {"metafor", "RevMan", "none"}, default "metafor"
        See :func:`odds_ratio`.

    Returns
    -------
    yi, vi : ndarray of shape (k,)

    Raises
    ------
    RowError, UsageError
        See :func:`odds_ratio`.

    Notes
    -----
    :math:`z_1 - z_2` with :math:`z = \Phi^{-1}(p)`, variance
    :math:`\sum 2\pi p(1-p)e^{z^2}/n` (Sánchez-Meca et al. 2003, Psychol Methods 8, eqs. 18 and 19).

    Examples
    --------
    >>> probit_difference(12, 30, 5, 30)[0].round(8)
    np.float64(0.71407446)
    """
    from scipy.special import ndtri

    t = _tables(a, n1, c, n2, "PBIT", zero_cells)
    ta, tb, tc, td = _defined(t)
    size1, size2 = ta + tb, tc + td
    p1, p2 = ta / size1, tc / size2
    z1, z2 = ndtri(p1), ndtri(p2)
    v1 = 2.0 * np.pi * p1 * (tb / size1) * np.exp(np.square(z1)) / size1
    v2 = 2.0 * np.pi * p2 * (td / size2) * np.exp(np.square(z2)) / size2
    return _blank(t, z1 - z2, v1 + v2)
