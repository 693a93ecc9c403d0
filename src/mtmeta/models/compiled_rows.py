"""Intercept-only meta-analyses fitted row by row in machine code, by the steps of :mod:`mtmeta.models.tau2`.

Only :mod:`mtmeta.models.compiled` imports this module, and only where numba is installed. All functions stand
in this one file, so that the cache on disk knows when any of them has changed. Sums are taken in the order of
the effects and rows share nothing: a row's answer depends neither on its neighbours nor on threads. Nothing
is reordered or contracted by the compiler (no ``fastmath``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeVar, cast

import numpy as np
from numba import njit

from mtmeta.models.stack import BoolArray, FloatArray

__all__ = ["METHODS", "VALUES", "fit_rows"]

METHODS: Final = ("", "DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "Q")
"""What the number of a method stands for; the first is a given tau2, the last the root of Q = target."""
VALUES: Final = 9
"""Answers a row: tau2, mean, its variance, Q, residual sum at tau2, vt, two log-likelihoods, k."""

_GIVEN, _DL, _DL2, _HE, _HS, _HSK, _SJ, _ML, _REML, _Q = range(len(METHODS))
_STEP = 0.5
_ZOOM = 17
_LEVELS = 5
_ROUNDS = 200
_ROUNDING = 2e-15
_ROOT = 1e-13
_WIDEST = 1e100
_CELLS = 1 << 10  # of a grid over 100 orders of magnitude, and many to spare
_LOG_2PI = 1.8378770664093453
_NAN: Final = math.nan

Function = TypeVar("Function", bound=Callable[..., object])


def _inner(function: Function) -> Function:
    """Compile a function that only compiled code calls, without the doors that others would need."""
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast(Function, njit(nogil=True, error_model="numpy", **options)(function))


def _outer(function: Function) -> Function:
    """Compile a function and keep its code on disk: beside the module, else in the user's own cache.

    numba keeps no code, and says so by a RuntimeError, where neither place can be written.
    """
    try:
        return cast(Function, njit(nogil=True, error_model="numpy", cache=True)(function))
    except RuntimeError:
        return cast(Function, njit(nogil=True, error_model="numpy")(function))


@_inner
def _sums(
    d: FloatArray, v: FloatArray, w: FloatArray, n: int, t: float
) -> tuple[float, float, float, float, float, float, float]:
    """Return q, qq, tr P, tr W, tr WW, the shift and the weights of all but the first effect; fill `w`."""
    w[0] = 1.0 / (v[0] + t)
    rest = sq = wd = 0.0
    for i in range(1, n):
        x = 1.0 / (v[i] + t)
        w[i] = x
        rest += x
        sq += x * x
        wd += x * d[i]
    total = w[0] + rest
    shift = wd / total
    q = qq = 0.0
    for i in range(n):
        e = d[i] - shift
        z = w[i] * e
        q += z * e
        qq += z * z
    trace = (rest * (w[0] + total) - sq) / total
    return q, qq, trace, total, w[0] * w[0] + sq, shift, rest


@_inner
def _score(
    d: FloatArray, v: FloatArray, w: FloatArray, n: int, t: float, restricted: bool
) -> tuple[float, float]:
    """Return the two sides of the score at t, whose difference it is."""
    _, qq, trace, total, _, _, _ = _sums(d, v, w, n, t)
    return qq, trace if restricted else total


@_inner
def _newton(
    d: FloatArray, v: FloatArray, w: FloatArray, n: int, t: float, restricted: bool
) -> tuple[float, float]:
    """Return the score at t, and Newton's step on ``minus/plus - 1``; no step (NaN) where that bends back."""
    _, qq, trace, total, squares, shift, rest = _sums(d, v, w, n, t)
    cube = wz = 0.0
    for i in range(n):
        wz += w[i] * (w[i] * (d[i] - shift))
        if i > 0:
            cube += w[i] * w[i] * w[i]
    back = wz / total
    qqq = 0.0
    for i in range(n):
        f = w[i] * (d[i] - shift) - back
        qqq += w[i] * f * f
    if restricted:
        first = w[0] * w[0]
        sq = squares - first
        r = rest / total
        minus = trace
        minus2 = first * r * r + sq - 2.0 * cube / total + (2.0 * first + sq) * sq / (total * total)
    else:
        minus, minus2 = total, squares
    score = qq - minus
    bend = 2.0 * minus * qqq - minus2 * qq
    return score, score * qq / bend if bend > 0.0 else _NAN


@_inner
def _refine(
    d: FloatArray,
    v: FloatArray,
    w: FloatArray,
    n: int,
    low: float,
    high: float,
    start: float,
    restricted: bool,
) -> float:
    """Solve score = 0 in a bracket as :func:`mtmeta.models.tau2._refine` does; NaN if that does not end."""
    t, before = start, 0.0
    vmin = v[0]
    for _ in range(_ROUNDS):
        score, step = _newton(d, v, w, n, t, restricted)
        if score > 0.0:
            low = t
        else:
            high = t
        newton = t + (0.0 if math.isnan(step) else step)
        new = min(max(newton, low), high)
        unit = new + vmin
        size = abs(new - t)
        if math.isnan(step) or abs(newton - new) > _ROUNDING * unit:
            if high - low <= _ROUNDING * unit:
                new = math.sqrt((vmin + low) * (vmin + high)) - vmin
                return float(new)
            new = math.sqrt((vmin + low) * (vmin + high)) - vmin
            before = abs(new - t)
        else:
            left = _ROOT * unit
            if size * size * size <= left * before * before and size * size <= left * unit:
                return new
            before = size
        t = new
    return _NAN


@_inner
def _likelihood(d: FloatArray, v: FloatArray, w: FloatArray, n: int, t: float, restricted: bool) -> float:
    q, _, _, total, _, _, _ = _sums(d, v, w, n, t)
    logs = 0.0
    for i in range(n):
        logs += math.log(v[i] + t)
    value = -0.5 * (logs + q)
    return value - 0.5 * math.log(total) if restricted else value


@_inner
def _secant(low: float, high: float, plus: FloatArray, score: FloatArray, c: int) -> float:
    """Return the first guess in cell c of a grid: the secant on ``minus/plus - 1``."""
    above = score[c] * plus[c + 1]
    below = score[c + 1] * plus[c]
    return float(low + above / (above - below) * (high - low))


@_inner
def _zoom(
    d: FloatArray,
    v: FloatArray,
    w: FloatArray,
    n: int,
    low: float,
    high: float,
    restricted: bool,
    found: FloatArray,
    count: int,
) -> int:
    """Look closer, level by level, where the score nearly touches zero; add the roots found."""
    t, plus, score = np.empty(_ZOOM), np.empty(_ZOOM), np.empty(_ZOOM)
    for _ in range(_LEVELS):
        base = v[0] + low
        span = math.log((v[0] + high) / base)
        nearest, least, same = 0, math.inf, True
        for g in range(_ZOOM):
            t[g] = low + base * math.expm1(span * (g / (_ZOOM - 1)))
            plus[g], minus = _score(d, v, w, n, t[g], restricted)
            score[g] = plus[g] - minus
            slope = abs(score[g]) * (t[g] + v[0])
            if slope < least:
                nearest, least = g, slope
            same = same and (score[g] > 0.0) == (score[0] > 0.0)
        for g in range(_ZOOM - 1):
            if score[g] > 0.0 and not score[g + 1] > 0.0 and count < len(found):
                start = _secant(t[g], t[g + 1], plus, score, g)
                found[count] = _refine(d, v, w, n, t[g], t[g + 1], start, restricted)
                count += 1
        if not same:
            break
        low, high = t[max(nearest - 1, 0)], t[min(nearest + 1, _ZOOM - 1)]
    return count


@_inner
def _highest(
    d: FloatArray,
    v: FloatArray,
    w: FloatArray,
    n: int,
    vmax: float,
    spread: float,
    restricted: bool,
    grid: FloatArray,
) -> float:
    """Return the tau2 at which the likelihood is highest, as :func:`mtmeta.models.tau2.likelihood_maximum`.

    `grid` is room for tau2, the positive side, the score, its size on the log scale, and the roots found.
    """
    vmin = v[0]
    s2 = n * spread / max(n - 1.0 if restricted else float(n), 1.0)
    bound = 0.5 * (s2 + math.sqrt(s2 * (s2 + 4.0 * (vmax - vmin))))
    upper = max(bound * (1.0 + 1e-9) - vmin, 0.0)
    length = math.log1p(upper / vmin)
    cells = max(2, math.ceil(length / _STEP))
    if not cells < _CELLS:
        return _NAN
    t, plus, score, slope, found = grid
    for g in range(cells + 1):
        t[g] = vmin * math.expm1(length * (g / cells))
        plus[g], minus = _score(d, v, w, n, t[g], restricted)
        score[g] = plus[g] - minus
        slope[g] = abs(score[g]) * (t[g] + vmin)
    count = 0
    if not score[0] > 0.0:
        found[0] = 0.0
        count = 1
    for c in range(cells):
        here, there = score[c] > 0.0, score[c + 1] > 0.0
        if here and not there and count < _CELLS:
            start = _secant(t[c], t[c + 1], plus, score, c)
            found[count] = _refine(d, v, w, n, t[c], t[c + 1], start, restricted)
            count += 1
        steady = c + 2 <= cells and here == there and there == (score[c + 2] > 0.0)
        if steady and slope[c + 1] < slope[c] and not slope[c + 2] < slope[c + 1]:
            count = _zoom(d, v, w, n, t[c], t[c + 2], restricted, found, count)
    if not score[0] > 0.0 and not score[1] > 0.0 and 4.0 * slope[1] - slope[2] < 3.0 * slope[0]:
        count = _zoom(d, v, w, n, t[0], t[1], restricted, found, count)
    if count == 0:
        return 0.0
    best = float(found[0])
    if count > 1:
        top = _likelihood(d, v, w, n, best, restricted)
        for c in range(1, count):
            value = _likelihood(d, v, w, n, found[c], restricted)
            if math.isnan(found[c]) or value > top or (value == top and found[c] < best):
                best, top = float(found[c]), value
    return best


@_inner
def _solve_q(d: FloatArray, v: FloatArray, w: FloatArray, n: int, target: float) -> float:
    """Solve Q(tau2) = target as :func:`mtmeta.models.tau2.solve_q` does; NaN if that does not end."""
    q, qq, _, _, _, _, _ = _sums(d, v, w, n, 0.0)
    if not q > target:
        return 0.0
    t = 0.0
    for _ in range(_ROUNDS):
        step = q * (q / target - 1.0) / qq
        t += max(step, 0.0)
        if step <= 1e-8 * (t + v[0]):
            return t
        q, qq, _, _, _, _, _ = _sums(d, v, w, n, t)
    return _NAN


@_inner
def _weighted(d: FloatArray, v: FloatArray, w: FloatArray, n: int) -> float:
    """Return the moment estimate with the weights `w`, see :func:`mtmeta.models.stack.quadratic_form`."""
    rest = wd = 0.0
    for i in range(n):
        rest += w[i] if i > 0 else 0.0
        wd += w[i] * d[i]
    total = w[0] + rest
    shift = wd / total
    q = trace = trace_v = 0.0
    for i in range(n):
        free = w[i] * (rest if i == 0 else total - w[i]) / total
        trace += free
        trace_v += free * v[i]
        e = d[i] - shift
        q += w[i] * e * e
    return (q - trace_v) / (trace if trace > 0.0 else 1.0)


@_inner
def _estimate(
    d: FloatArray,
    v: FloatArray,
    w: FloatArray,
    n: int,
    vmax: float,
    spread: float,
    method: int,
    target: float,
    grid: FloatArray,
) -> float:
    """Return tau2 of one row by the numbered method, in units of the row; NaN where it was not found."""
    if n < 2:
        return 0.0
    if method in (_ML, _REML):
        return _highest(d, v, w, n, vmax, spread, method == _REML, grid)
    if method == _Q:
        return _solve_q(d, v, w, n, target)
    free = n - 1.0
    if method == _SJ:
        tau2 = spread * _sums(d, v, w, n, spread)[0] / free
    elif method == _HE:
        for i in range(n):
            w[i] = 1.0
        tau2 = _weighted(d, v, w, n)
    else:
        q, _, trace, total, _, _, _ = _sums(d, v, w, n, 0.0)
        if method == _HS:
            tau2 = (q - n) / total
        elif method == _HSK:
            tau2 = (q * (n / free) - n) / total
        else:
            tau2 = (q - free) / trace
        if method == _DL2:
            first = max(tau2, 0.0)
            for i in range(n):
                w[i] = 1.0 / (v[i] + first)
            tau2 = _weighted(d, v, w, n)
    return max(tau2, 0.0)


@_inner
def _prepare(
    yi: FloatArray, vi: FloatArray, present: BoolArray, d: FloatArray, v: FloatArray
) -> tuple[int, float, float, float, float]:
    """Bring the effects of one row to `d` and `v` as a stack does: n, origin, root, largest v, spread.

    No effect, or more than 100 orders of magnitude, is n = 0.
    """
    n = 0
    pivot = 0
    for i in range(len(present)):
        if present[i]:
            d[n], v[n] = yi[i], vi[i]
            if v[n] < v[pivot]:
                pivot = n
            n += 1
    if n == 0:
        return 0, _NAN, _NAN, _NAN, _NAN
    d[0], d[pivot] = d[pivot], d[0]
    v[0], v[pivot] = v[pivot], v[0]
    origin, vmin = d[0], v[0]
    vmax, reach, mean = vmin, 0.0, 0.0
    for i in range(n):
        d[i] -= origin
        vmax = max(vmax, v[i])
        reach = max(reach, abs(d[i]))
        mean += d[i]
    if not (vmax <= _WIDEST * vmin and reach <= math.sqrt(_WIDEST) * math.sqrt(vmin)):
        return 0, _NAN, _NAN, _NAN, _NAN
    mean /= n
    root = math.ldexp(1.0, math.frexp(vmin)[1] // 2)
    unit = root * root
    spread = 0.0
    for i in range(n):
        centred = (d[i] - mean) / root
        spread += centred * centred
        d[i] /= root
        v[i] /= unit
    return n, origin, root, vmax / unit, spread / n


@_outer
def fit_rows(
    yi: FloatArray,
    vi: FloatArray,
    present: BoolArray,
    given: FloatArray,
    targets: FloatArray,
    method: int,
    start: int,
    stop: int,
    out: FloatArray,
) -> bool:
    """Fit the rows from `start` to before `stop` into the columns of `out`; False if one has no answer.

    `yi`, `vi`, `present` and `given` have one row for each meta-analysis, or one for all; `targets` a value
    of Q for each number of effects.
    """
    k = present.shape[1]
    d, v, w = np.empty(k), np.empty(k), np.empty(k)
    grid = np.empty((5, _CELLS))
    for b in range(start, stop):
        n, origin, root, vmax, spread = _prepare(
            yi[b if len(yi) > 1 else 0],
            vi[b if len(vi) > 1 else 0],
            present[b if len(present) > 1 else 0],
            d,
            v,
        )
        if n == 0:
            return False
        unit = root * root
        if method == _GIVEN:
            t = given[b if len(given) > 1 else 0] / unit
        else:
            t = _estimate(d, v, w, n, vmax, spread, method, targets[n], grid)
        if not math.isfinite(t):
            return False
        q, _, trace, total, _, shift, _ = _sums(d, v, w, n, 0.0)
        rss = q
        if t > 0.0:
            rss, _, _, total, _, shift, _ = _sums(d, v, w, n, t)
        logs = 0.0
        for i in range(n):
            logs += math.log(v[i] + t)
        log_unit = math.log(unit)
        ml = -0.5 * (n * _LOG_2PI + logs + n * log_unit + rss)
        out[0, b] = t * unit
        out[1, b] = origin + root * shift
        out[2, b] = 1.0 / total * unit
        out[3, b] = q
        out[4, b] = rss
        out[5, b] = unit * (n - 1.0) / (trace if n > 1 else 1.0)
        out[6, b] = ml
        out[7, b] = ml + 0.5 * (_LOG_2PI + log_unit - math.log(total) + math.log(n))
        out[8, b] = n
    return True
