"""What a paper prints instead of what an effect needs: standard deviations, standard errors and sizes.

Every function returns a :class:`Recovered`: the value and its route, a sentence that names the formula and
carries the study's own numbers, so that a reader can redo the sum.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, columns, require
from mtmeta.effects.quantiles import mean_sd_from_quantiles
from mtmeta.effects.recover_groups import (
    CombinedGroup,
    combine_groups,
    pre_post_correlation,
    sd_of_change,
    sd_of_final,
    sizes_from_se,
)
from mtmeta.effects.recovered import Bound, Recovered, recovered
from mtmeta.errors import UsageError
from mtmeta.measures import check_choice, check_level

__all__ = [
    "CombinedGroup",
    "Recovered",
    "combine_groups",
    "mean_sd_from_quantiles",
    "pre_post_correlation",
    "sd_from_f",
    "sd_from_interval",
    "sd_from_p",
    "sd_from_se",
    "sd_from_t",
    "sd_of_change",
    "sd_of_final",
    "se_from_interval",
    "se_from_p",
    "se_from_t",
    "sizes_from_se",
    "t_from_f",
    "t_from_p",
]

Relation = Literal["=", "<", ">"]
_BOUNDS: dict[str, Bound | None] = {"=": None, "<": "lower", ">": "upper"}


def _normal(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + check_level(level) / 2.0))


def _student(level: float, df: FloatArray) -> FloatArray:
    from scipy.special import stdtrit

    return np.asarray(stdtrit(df, 0.5 + check_level(level) / 2.0))


def _interval(low: npt.ArrayLike, high: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    low, high = columns(low=low, high=high)
    require(
        low < high, "low", low, "must lie below the upper limit; check the order and the signs of the limits"
    )
    return low, high


def _degrees(n1: FloatArray, n2: FloatArray | None) -> FloatArray:
    return n1 - 1.0 if n2 is None else n1 + n2 - 2.0


def _groups(n1: npt.ArrayLike, n2: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray | None]:
    if n2 is None:
        return columns(n1=n1)[0], None
    size1, size2 = columns(n1=n1, n2=n2)
    return size1, size2


def sd_from_se(se: npt.ArrayLike, n: npt.ArrayLike) -> Recovered:
    r"""Recover the SD of one group from the standard error of its mean: :math:`SE\sqrt n`.

    Parameters
    ----------
    se : array_like
        Above 0.
    n : array_like
        Size, at least 2.

    Returns
    -------
    Recovered

    Raises
    ------
    RowError
        A missing value, an SE not above 0.

    Notes
    -----
    Cochrane Handbook 6, section 6.5.2.2.

    Examples
    --------
    >>> float(sd_from_se(0.5, 25))
    2.5
    """
    se, n = columns(se=se, n=n)
    return recovered("SD from SE", "{se} × √{n} = {value}", se * np.sqrt(n), se=se, n=n)


def sd_from_interval(
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    quantile: Literal["t", "z"] = "t",
) -> Recovered:
    r"""Recover an SD from a confidence interval of a mean, or of a difference of two means.

    Parameters
    ----------
    low, high : array_like
        Confidence limits, the lower one first.
    n1 : array_like
        Size of the group, or of the first group.
    n2 : array_like, optional
        Size of the second group: the interval is one of a difference, and the SD the pooled one.
    level : float, default 0.95
    quantile : {"t", "z"}, default "t"
        Distribution the paper used; for small groups z, used where t was meant, makes the SD too large.

    Returns
    -------
    Recovered

    Raises
    ------
    RowError
        A missing value, limits in the wrong order.

    Notes
    -----
    :math:`SE = (u - l)/(2q)`, :math:`SD = SE\sqrt n` or :math:`SE/\sqrt{1/n_1 + 1/n_2}` (Cochrane
    Handbook 6, sections 6.5.2.2 and 6.5.2.3).

    Examples
    --------
    >>> round(float(sd_from_interval(-0.98, 0.98, 100, quantile="z")), 2)
    5.0
    """
    check_choice("quantile", quantile, ("t", "z"))
    low, high = _interval(low, high)
    size1, size2 = _groups(n1, n2)
    q = _student(level, _degrees(size1, size2)) if quantile == "t" else np.asarray(_normal(level))
    se = (high - low) / (2.0 * q)
    if size2 is None:
        told = "({high} − {low}) / (2 × {q}) × √{n1} = {value}"
        return recovered("SD from CI", told, se * np.sqrt(size1), high=high, low=low, q=q, n1=size1)
    told = "({high} − {low}) / (2 × {q}) / √(1/{n1} + 1/{n2}) = {value}"
    sd = se / np.sqrt(1.0 / size1 + 1.0 / size2)
    return recovered("SD from CI of a difference", told, sd, high=high, low=low, q=q, n1=size1, n2=size2)


def se_from_interval(
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    *,
    estimate: npt.ArrayLike | None = None,
    level: float = 0.95,
    scale: Literal["natural", "log"] = "natural",
    df: npt.ArrayLike | None = None,
) -> Recovered:
    r"""Recover a standard error from a confidence interval.

    Parameters
    ----------
    low, high : array_like
        Confidence limits as printed; of a ratio the ratios, not their logarithms.
    estimate : array_like, optional
        The estimate as printed; checked to lie within its limits.
    level : float, default 0.95
    scale : {"natural", "log"}, default "natural"
        "log" gives the standard error of the logarithm from limits of a ratio.
    df : array_like, optional
        Degrees of freedom where the interval came from a t distribution.

    Returns
    -------
    Recovered

    Raises
    ------
    RowError
        A missing value, limits in the wrong order or (on the log scale) not above 0, an estimate
        outside of its limits.

    Notes
    -----
    :math:`(u - l)/(2q)`, or :math:`(\ln u - \ln l)/(2q)` (Cochrane Handbook 6, section 6.3.1 and 6.3.2).

    Examples
    --------
    >>> round(float(se_from_interval(0.5, 2.0, scale="log")), 4)
    0.3537
    """
    check_choice("scale", scale, ("natural", "log"))
    low, high = _interval(low, high)
    if scale == "log":
        require(low > 0, "low", low, "a limit of a ratio is above 0; give ratios, not logarithms")
    if estimate is not None:
        value, inner, outer = columns(estimate=estimate, low=low, high=high)
        told = "lies outside of its confidence limits; check estimate, limits and their signs"
        require((inner <= value) & (value <= outer), "estimate", value, told)
    if df is None:
        q = np.asarray(_normal(level))
    else:
        (degrees,) = columns(df=df)
        require(degrees > 0, "df", degrees, "degrees of freedom are above 0")
        q = _student(level, degrees)
    if scale == "log":
        se = (np.log(high) - np.log(low)) / (2.0 * q)
        return recovered(
            "SE from CI, log", "(ln {high} − ln {low}) / (2 × {q}) = {value}", se, high=high, low=low, q=q
        )
    return recovered(
        "SE from CI",
        "({high} − {low}) / (2 × {q}) = {value}",
        (high - low) / (2.0 * q),
        high=high,
        low=low,
        q=q,
    )


def _statistic(t: npt.ArrayLike) -> FloatArray:
    (t,) = columns(statistic=t)
    require(t != 0, "t", t, "a statistic of 0 says nothing of the spread")
    return t


def _effect(estimate: npt.ArrayLike) -> FloatArray:
    (estimate,) = columns(estimate=estimate)
    require(
        estimate != 0, "estimate", estimate, "an estimate of 0 says nothing of the spread, whatever its test"
    )
    return estimate


def se_from_t(estimate: npt.ArrayLike, t: npt.ArrayLike) -> Recovered:
    """Recover the standard error of an estimate from its test statistic: ``|estimate / t|``.

    Parameters
    ----------
    estimate, t : array_like
        Estimate and its t (or z), neither of them 0; signs do not matter.

    Returns
    -------
    Recovered

    Raises
    ------
    RowError
        A missing value, or a 0.

    Examples
    --------
    >>> se_from_t(-3.0, 1.5)
    Recovered(2; SE from t: |-3 / 1.5| = 2)
    """
    estimate, t = columns(estimate=_effect(estimate), statistic=_statistic(t))
    return recovered(
        "SE from t", "|{estimate} / {t}| = {value}", np.abs(estimate / t), estimate=estimate, t=t
    )


def _p_values(p: npt.ArrayLike) -> FloatArray:
    (p,) = columns(p=p)
    told = (
        "a P value lies between 0 and 1; one printed as 0.000 is an inequality: give p=0.0005, relation='<'"
    )
    require((p > 0) & (p <= 1), "p", p, told)
    return p


def t_from_p(
    p: npt.ArrayLike,
    df: npt.ArrayLike | None = None,
    *,
    sign: npt.ArrayLike = 1,
    relation: Relation = "=",
    sides: Literal[1, 2] = 2,
) -> Recovered:
    r"""Recover a test statistic from a P value.

    Parameters
    ----------
    p : array_like
        In (0, 1].
    df : array_like, optional
        Degrees of freedom of the t test; without them the statistic is a z.
    sign : array_like of 1 or -1, default 1
        Direction of the effect, which a two-sided P value does not tell.
    relation : {"=", "<", ">"}, default "="
        "<" for "P < 0.05": the statistic is at least as far from 0 as returned (``bound="lower"`` for
        its size); ">" for "P > 0.05": at most as far.
    sides : {2, 1}, default 2

    Returns
    -------
    Recovered
        `bound` speaks of the size of the statistic.

    Raises
    ------
    RowError
        P outside of (0, 1], a sign that is not 1 or -1.
    UsageError
        An unknown choice.

    Examples
    --------
    Cochrane Handbook 5.1, 7.7.3.3: P 0.008 with 25 and 22 people is t 2.78.

    >>> round(float(t_from_p(0.008, 25 + 22 - 2)), 2)
    2.78
    """
    from scipy.special import ndtri, stdtrit

    check_choice("relation", relation, ("=", "<", ">"))
    if sides not in (1, 2):
        raise UsageError(f"sides={sides!r} is not known; use 1 or 2")
    p, sign = columns(p=_p_values(p), sign=sign)
    require(np.abs(sign) == 1, "sign", sign, "the sign of an effect is 1 or -1")
    tail = p / sides
    bound = _BOUNDS[relation]
    if df is None:
        size = -np.asarray(ndtri(tail))
        told = "size of the quantile of {tail} in the tail of N(0, 1): {value}"
        return recovered("z from P", told, sign * size, bound, tail=tail)
    (degrees,) = columns(df=df)
    require(degrees > 0, "df", degrees, "degrees of freedom are above 0")
    size = -np.asarray(stdtrit(degrees, tail))
    told = "size of the quantile of {tail} in the tail of t({df}): {value}"
    return recovered("t from P", told, sign * size, bound, tail=tail, df=degrees)


def t_from_f(f: npt.ArrayLike, df1: npt.ArrayLike = 1, *, sign: npt.ArrayLike = 1) -> Recovered:
    """Recover the t of two groups from F with one numerator degree of freedom: ``√F``.

    Parameters
    ----------
    f : array_like
        Not negative.
    df1 : array_like, default 1
        Numerator degrees of freedom as printed.
    sign : array_like of 1 or -1, default 1
        Direction of the effect, which F does not tell.

    Returns
    -------
    Recovered

    Raises
    ------
    EffectError
        More than one numerator degree of freedom: such an F compares several groups (or tests an
        interaction) at once; no difference of two of them follows from it.
    RowError
        A missing or negative F, a sign that is not 1 or -1.

    Examples
    --------
    >>> float(t_from_f(4.0))
    2.0
    """
    f, df1, sign = columns(f=f, df1=df1, sign=sign)
    require(f >= 0, "f", f, "an F is not negative")
    require(np.abs(sign) == 1, "sign", sign, "the sign of an effect is 1 or -1")
    told = (
        "F with more than one numerator degree of freedom compares several groups at once; no difference of "
        "two groups follows from it. Use the groups' means, a contrast's t, or ask the authors"
    )
    require(df1 == 1, "df1", df1, told)
    return recovered("t from F", "√{f} = {value}", sign * np.sqrt(f), f=f)


def se_from_p(
    estimate: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    df: npt.ArrayLike | None = None,
    relation: Relation = "=",
    sides: Literal[1, 2] = 2,
) -> Recovered:
    """Recover the standard error of an estimate from its P value.

    Parameters
    ----------
    estimate : array_like
        Not 0; a ratio as its logarithm.
    p, df, relation, sides
        See :func:`t_from_p`.

    Returns
    -------
    Recovered
        For "P < 0.05" an upper bound, for "P > 0.05" a lower bound of the standard error.

    Raises
    ------
    RowError, UsageError
        See :func:`t_from_p`; also an estimate of 0, or P = 1.

    Examples
    --------
    Cochrane Handbook 5.1, 7.7.3.3: a difference of 3.8 with P 0.008 (25 and 22 people) has SE 1.37.

    >>> round(float(se_from_p(3.8, 0.008, df=45)), 2)
    1.37
    """
    estimate = _effect(estimate)
    found = t_from_p(p, df, relation=relation, sides=sides)
    estimate, t, p = columns(estimate=estimate, statistic=np.asarray(found.value), p=_p_values(p))
    require(t > 0, "p", p, "a P value this large says nothing of the spread")
    name = "SE from P" if relation == "=" else f"SE from P {relation} {float(np.ravel(p)[0]):.6g}"
    se = np.abs(estimate) / t
    return recovered(name, "|{estimate}| / {t} = {value}", se, _turned(found.bound), estimate=estimate, t=t)


def _turned(bound: Bound | None) -> Bound | None:
    """Turn a bound of a statistic into one of a spread: large t, small SE."""
    return None if bound is None else "upper" if bound == "lower" else "lower"


def _sd(
    name: str,
    se: FloatArray,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike | None,
    bound: Bound | None,
    told: str,
    **inputs: npt.ArrayLike,
) -> Recovered:
    size1, size2 = _groups(n1, n2)
    if size2 is None:
        return recovered(name, told + " × √{n1} = {value}", se * np.sqrt(size1), bound, n1=size1, **inputs)
    sd = se / np.sqrt(1.0 / size1 + 1.0 / size2)
    return recovered(name, told + " / √(1/{n1} + 1/{n2}) = {value}", sd, bound, n1=size1, n2=size2, **inputs)


def sd_from_t(
    difference: npt.ArrayLike, t: npt.ArrayLike, n1: npt.ArrayLike, n2: npt.ArrayLike | None = None
) -> Recovered:
    r"""Recover an SD from a difference and its t: pooled of two groups, or of a change.

    Parameters
    ----------
    difference, t : array_like
        Mean difference (or mean change) and its t, neither of them 0; signs do not matter.
    n1 : array_like
        Size of the first group, or of the one group that changed.
    n2 : array_like, optional
        Size of the second group.

    Returns
    -------
    Recovered

    Raises
    ------
    RowError
        A missing value, a 0, a group of fewer than 2.

    Notes
    -----
    :math:`SE = |D/t|`; :math:`SD = SE/\sqrt{1/n_1 + 1/n_2}` or :math:`SE\sqrt{n_1}` (Cochrane Handbook
    6, section 6.5.2.3).

    Examples
    --------
    >>> round(float(sd_from_t(3.8, 2.78, 25, 22)), 2)
    4.68
    """
    difference, t = columns(estimate=_effect(difference), statistic=_statistic(t))
    se = np.abs(difference / t)
    return _sd("SD from t", se, n1, n2, None, "|{difference} / {t}|", difference=difference, t=t)


def sd_from_f(
    difference: npt.ArrayLike,
    f: npt.ArrayLike,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    df1: npt.ArrayLike = 1,
) -> Recovered:
    """Recover the pooled SD of two groups from their difference and its F.

    Parameters
    ----------
    difference : array_like
        Mean difference, not 0.
    f : array_like
        F of the comparison of the two groups, above 0.
    n1, n2 : array_like
        Group sizes.
    df1 : array_like, default 1
        Numerator degrees of freedom; more than 1 is refused, see :func:`t_from_f`.

    Returns
    -------
    Recovered

    Raises
    ------
    EffectError
        See :func:`t_from_f` and :func:`sd_from_t`.

    Examples
    --------
    >>> sd_from_f(3.8, 2.78**2, 25, 22).value == sd_from_t(3.8, 2.78, 25, 22).value
    True
    """
    t = np.asarray(t_from_f(f, df1).value)
    difference, t, value = columns(estimate=_effect(difference), statistic=_statistic(t), f=f)
    se = np.abs(difference) / t
    return _sd("SD from F", se, n1, n2, None, "|{difference}| / √{f}", difference=difference, f=value)


def sd_from_p(
    difference: npt.ArrayLike,
    p: npt.ArrayLike,
    n1: npt.ArrayLike,
    n2: npt.ArrayLike | None = None,
    *,
    relation: Relation = "=",
    sides: Literal[1, 2] = 2,
) -> Recovered:
    r"""Recover an SD from a difference and the P value of its t test.

    Parameters
    ----------
    difference : array_like
        Mean difference of two groups, or mean change of one, not 0.
    p : array_like
        In (0, 1).
    n1 : array_like
        Size of the first group, or of the one group that changed.
    n2 : array_like, optional
        Size of the second group.
    relation : {"=", "<", ">"}, default "="
        "<" for "P < 0.05" gives an upper bound of the SD (the effect's size is then a lower bound),
        ">" a lower one. The Handbook allows the limit as a conservative value for "<" only.
    sides : {2, 1}, default 2

    Returns
    -------
    Recovered

    Raises
    ------
    RowError, UsageError
        See :func:`t_from_p` and :func:`sd_from_t`.

    Notes
    -----
    t has :math:`n_1 + n_2 - 2` degrees of freedom, of one group :math:`n_1 - 1`.

    Examples
    --------
    Cochrane Handbook 5.1, 7.7.3.3: SD 4.69, from rounded steps; unrounded it is 4.6835.

    >>> round(float(sd_from_p(3.8, 0.008, 25, 22)), 4)
    4.6835
    >>> sd_from_p(3.8, 0.01, 25, 22, relation="<").bound
    'upper'
    """
    size1, size2 = _groups(n1, n2)
    df = _degrees(size1, size2)
    found = t_from_p(p, df, relation=relation, sides=sides)
    difference, t, p = columns(
        estimate=_effect(difference), statistic=np.asarray(found.value), p=_p_values(p)
    )
    require(t > 0, "p", p, "a P value this large says nothing of the spread")
    told = f"P {relation} {{p}} is t({{df}}) {{t}}; |{{difference}}| / {{t}}"
    se = np.abs(difference) / t
    name = "SD from P"
    return _sd(name, se, size1, size2, _turned(found.bound), told, difference=difference, t=t, p=p, df=df)
