"""Standard deviations of changes, groups taken together, and sizes, each with its route."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, columns, require
from mtmeta.effects.recovered import Recovered, recovered
from mtmeta.errors import EffectError
from mtmeta.measures import check_choice

__all__ = [
    "CombinedGroup",
    "combine_groups",
    "pre_post_correlation",
    "sd_of_change",
    "sd_of_final",
    "sizes_from_se",
]


def pre_post_correlation(
    sd_before: npt.ArrayLike, sd_after: npt.ArrayLike, sd_change: npt.ArrayLike
) -> Recovered:
    r"""Recover the correlation of two measurements of the same people from three standard deviations.

    Parameters
    ----------
    sd_before, sd_after, sd_change : array_like
        Standard deviations of both measurements and of the change, above 0.

    Returns
    -------
    Recovered

    Raises
    ------
    RowError
        A missing value, an SD not above 0, or SDs that no correlation in [-1, 1] can make.

    Notes
    -----
    :math:`(s_b^2 + s_a^2 - s_c^2)/(2 s_b s_a)` (Cochrane Handbook 6, section 6.5.2.8).

    Examples
    --------
    Cochrane Handbook 5.1, 16.1.3.2: 0.78 in the treated, 0.82 in the control group.

    >>> pre_post_correlation([6.4, 7.0], [7.1, 6.9], [4.5, 4.2]).value.round(2)
    array([0.78, 0.82])
    """
    before, after, change = columns(sd_before=sd_before, sd_after=sd_after, sd_change=sd_change)
    for name, sd in (("sd_before", before), ("sd_after", after), ("sd_change", change)):
        require(sd > 0, name, sd, "a standard deviation is above 0")
    r = (np.square(before) + np.square(after) - np.square(change)) / (2.0 * before * after)
    told = "no correlation makes this SD of change from both SDs; is one of them a standard error?"
    require(np.abs(r) <= 1, "sd_change", change, told)
    formula = "({before}² + {after}² − {change}²) / (2 × {before} × {after}) = {value}"
    return recovered("r from SDs", formula, r, before=before, after=after, change=change)


def _correlated(r: npt.ArrayLike, **sds: npt.ArrayLike) -> tuple[FloatArray, ...]:
    found = columns(events=False, **sds, r=r)
    for name, sd in zip(sds, found, strict=False):
        require(sd > 0, name, sd, "a standard deviation is above 0")
    require(np.abs(found[-1]) <= 1, "r", found[-1], "a correlation lies between -1 and 1")
    return found


def sd_of_change(sd_before: npt.ArrayLike, sd_after: npt.ArrayLike, r: npt.ArrayLike) -> Recovered:
    r"""Recover the SD of a change from both standard deviations and their correlation.

    Parameters
    ----------
    sd_before, sd_after : array_like
        Standard deviations, above 0.
    r : array_like
        Correlation of both measurements, printed, recovered (:func:`pre_post_correlation`) or assumed.

    Returns
    -------
    Recovered

    Raises
    ------
    RowError
        A missing value, an SD not above 0, r outside of [-1, 1], an SD of change of 0.

    Notes
    -----
    :math:`\sqrt{s_b^2 + s_a^2 - 2 r s_b s_a}` (Cochrane Handbook 6, section 6.5.2.8).

    Examples
    --------
    Cochrane Handbook 5.1, 16.4.6.4: 2.38, 2.21 and r 0.68 give 1.8426.

    >>> round(float(sd_of_change(2.38, 2.21, 0.68)), 4)
    1.8426
    """
    before, after, r = _correlated(r, sd_before=sd_before, sd_after=sd_after)
    variance = np.square(before - after) + 2.0 * (1.0 - r) * before * after
    require(variance > 0, "r", r, "equal SDs with r = 1 leave no spread of the change")
    formula = "√({before}² + {after}² − 2 × {r} × {before} × {after}) = {value}"
    return recovered("SD of change", formula, np.sqrt(variance), before=before, after=after, r=r)


def sd_of_final(sd_before: npt.ArrayLike, sd_change: npt.ArrayLike, r: npt.ArrayLike) -> Recovered:
    r"""Recover the SD of final values from those of baseline and change, and the correlation.

    Parameters
    ----------
    sd_before, sd_change : array_like
        Standard deviations of baseline values and of the change, above 0.
    r : array_like
        Correlation of baseline and final values.

    Returns
    -------
    Recovered

    Raises
    ------
    RowError
        A missing value, an SD not above 0, r outside of [-1, 1]; or no single solution: with a change
        that varies less than the baseline two final SDs fit equally well, or none.

    Notes
    -----
    The positive root of :math:`s_a^2 - 2 r s_b s_a + s_b^2 - s_c^2 = 0`.

    Examples
    --------
    >>> round(float(sd_of_final(2.0, 2.5, 0.5)), 4)
    2.8028
    """
    before, change, r = _correlated(r, sd_before=sd_before, sd_change=sd_change)
    told = "varies less than the baseline: no single SD of final values follows; recover it another way"
    require((change > before) | ((change == before) & (r > 0)), "sd_change", change, told)
    root = np.sqrt(np.maximum(np.square(change) - (1.0 - np.square(r)) * np.square(before), 0.0))
    formula = "{r} × {before} + √({change}² − (1 − {r}²) × {before}²) = {value}"
    return recovered("SD of final values", formula, r * before + root, r=r, before=before, change=change)


class CombinedGroup(NamedTuple):
    """One group made of several: mean, standard deviation and size, each with its route."""

    mean: Recovered
    sd: Recovered
    n: Recovered


def combine_groups(m: npt.ArrayLike, sd: npt.ArrayLike, n: npt.ArrayLike) -> CombinedGroup:
    r"""Combine groups into one: its mean, standard deviation and size.

    Parameters
    ----------
    m, sd, n : array_like of shape (groups,)
        Means, standard deviations (above 0) and sizes (at least 2) of two or more groups.

    Returns
    -------
    CombinedGroup

    Raises
    ------
    EffectError
        Fewer than two groups, a missing value, an SD not above 0.

    Notes
    -----
    :math:`\bar m = \sum n_i m_i/N`,
    :math:`s^2 = \left(\sum (n_i-1)s_i^2 + \sum n_i (m_i - \bar m)^2\right)/(N-1)`: the formula of the
    Cochrane Handbook 6, Table 6.5.a, for any number of groups; it gives what all people together would
    have given, not a pooled SD.

    Examples
    --------
    >>> both = combine_groups([10.0, 12.0], [2.0, 2.0], [5, 5])
    >>> float(both.mean), round(float(both.sd), 6), float(both.n)
    (11.0, 2.160247, 10.0)
    """
    m, sd, n = (np.atleast_1d(a) for a in columns(m=m, sd=sd, n=n))
    if m.ndim != 1 or m.size < 2:
        raise EffectError(f"combining takes two or more groups of one trial; got shape {m.shape}")
    total = np.sum(n)
    mean = np.sum(n * m) / total
    spread = np.sqrt((np.sum((n - 1.0) * np.square(sd)) + np.sum(n * np.square(m - mean))) / (total - 1.0))
    told = " and ".join(f"{a:.6g} ({b:.6g}), n {c:.6g}" for a, b, c in zip(m, sd, n, strict=True))
    name = "groups combined"
    return CombinedGroup(
        recovered(name, told + " have the mean {value}", mean),
        recovered(name, told + " have the SD {value}", spread),
        recovered(name, " + ".join(f"{c:.6g}" for c in n) + " = {value}", total),
    )


def sizes_from_se(
    g: float,
    se: float,
    n: float | None = None,
    *,
    variance: Literal["LS", "RevMan"] = "LS",
    tolerance: float = 0.01,
) -> Recovered:
    r"""Recover group sizes from a standardised mean difference and its standard error.

    Parameters
    ----------
    g, se : float
        Corrected standardised mean difference and its standard error, as printed.
    n : float, optional
        People in all. Without it both groups are taken to be equal, and the route says so.
    variance : {"LS", "RevMan"}, default "LS"
        Formula the standard error came from; see :func:`~mtmeta.effects.continuous.smd_variance`.
    tolerance : float, default 0.01
        Relative error of the standard error that rounding in print may make.

    Returns
    -------
    Recovered
        Two sizes, the larger one first: which arm is which does not follow, and does not matter to g
        and its standard error.

    Raises
    ------
    EffectError
        No two whole sizes give this standard error within the tolerance.

    Notes
    -----
    :math:`N/(n_1 n_2)` is what is left of the variance after the part of g; with N known that is a
    quadratic equation. Of the whole sizes around its root the one with the nearest SE is returned.

    Examples
    --------
    White 1999 in CD006577: g -2.6646 with SE 0.5017 of 30 people are 15 and 15.

    >>> sizes_from_se(-2.6646, 0.5017, 30).value
    array([15., 15.])
    """
    check_choice("variance", variance, ("LS", "RevMan"))
    columns(g=g, se=se)
    if n is None:
        total = max(4.0, 2.0 * round((4.0 + g * g / 2.0) / se**2 / 2.0))
        if variance == "RevMan":
            near = total + 2.0 * np.arange(-3, 4)
            near = near[near >= 4]
            total = float(near[np.argmin(np.abs(_se_of(g, near / 2, near / 2, variance) - se))])
    else:
        total = float(n)
        if not total >= 4:
            raise EffectError(f"n = {total:g}: two groups of at least 2 people are needed")
    small = np.arange(2.0, np.floor(total / 2.0) + 1.0) if n is not None else np.array([total / 2.0])
    found = _se_of(g, small, total - small, variance)
    best = int(np.argmin(np.abs(found - se)))
    if abs(found[best] / se - 1.0) > tolerance:
        raise EffectError(
            f"no two groups of {total:g} people give g {g:.6g} a standard error of {se:.6g} (nearest: "
            f"{found[best]:.6g} with {total - small[best]:g} and {small[best]:g}); is it another formula, or "
            "an SE adjusted for something?"
        )
    value = np.array([total - small[best], small[best]])
    what = f"of {total:g} people" if n is not None else "equal groups assumed,"
    route = f"sizes from SE: {what} {value[0]:g} and {value[1]:g} give g {g:.6g} an SE of {found[best]:.6g}"
    return Recovered(value, (route, route))


def _se_of(g: float, n1: FloatArray, n2: FloatArray, variance: str) -> FloatArray:
    total = n1 + n2
    less = 3.94 if variance == "RevMan" else 0.0
    return np.sqrt(total / (n1 * n2) + g * g / (2.0 * (total - less)))
