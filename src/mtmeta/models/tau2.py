"""Estimators of the between-study variance, each for a whole stack at once.

Closed forms are evaluated; ``Q(tau2) = target`` is solved by a Newton iteration that cannot overshoot; the
likelihoods are searched on a grid first, so that every local maximum is seen, and the highest one wins, the
boundary included. None of them can fail to converge, and all are truncated at zero.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args, overload

import numpy as np
from scipy.special import gammaincinv

from mtmeta.errors import ModelError
from mtmeta.measures import check_choice
from mtmeta.models.stack import (
    BoolArray,
    FloatArray,
    IntArray,
    Stack,
    intercept_moments,
    log_determinants,
    moments,
    quadratic_form,
    take,
)

__all__ = [
    "TAU2_ALIASES",
    "TAU2_METHODS",
    "Tau2Method",
    "estimate",
    "likelihood_maximum",
    "log_likelihoods",
    "polish",
    "polish_q",
    "solve_q",
    "tau2_method",
]

Tau2Method = Literal["DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM"]
TAU2_METHODS: tuple[str, ...] = get_args(Tau2Method)
TAU2_ALIASES = {"HO": "HE", "CA": "HE", "VC": "HE", "MP": "PM"}

_STEP = 0.5  # of the grid in log(vmin + tau2); weights are logistic functions of it with unit width
_SHORT = 256  # effects of a row up to which the grid of many rows goes by small matrix products
_ZOOM = 17  # points of a closer look at a place where the score nearly touches zero
_LEVELS = 5
_ROUNDS = 200
_POLISH = 5
_NEAR = 0.1  # of vmin + tau2: a larger step would not be a correction of rounding
_ROUNDING = 2e-15
_ROOT = 1e-13  # of vmin + tau2, below which the error of a root is pressed


def tau2_method(name: object) -> str:
    """Return the estimator that a code or one of its other names in the literature stands for.

    Raises
    ------
    UsageError
        For an unknown name.

    Examples
    --------
    >>> tau2_method("HO")
    'HE'
    """
    if isinstance(name, str) and name in TAU2_ALIASES:
        return TAU2_ALIASES[name]
    return check_choice("tau2", name, TAU2_METHODS)


def estimate(stack: Stack, method: str) -> FloatArray:
    """Estimate tau2 of every row, in units of the stack.

    Parameters
    ----------
    method : {"DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM"}

    Returns
    -------
    ndarray (B,)
        At least 0; 0 where there are no degrees of freedom.

    Notes
    -----
    With Q the weighted residual sum of squares, W the weights 1/v and f = k - p:

    - DL: (Q - f) / tr P (DerSimonian and Laird 1986); DL2: the same moment estimator with weights
      1/(v + tau2_DL) (DerSimonian and Kacker 2007).
    - HE (other names HO, CA, VC): unweighted moments (Hedges and Olkin 1985, ch. 9).
    - HS: (Q - k) / sum W (Hunter and Schmidt 2015); HSk: (Q k/f - k) / sum W (Brannick et al. 2019).
    - SJ: tau0 Q(tau0) / f with tau0 the mean squared deviation of the effects (Sidik and Jonkman 2005).
    - PM (other name MP): Q(tau2) = f (Paule and Mandel 1982); EB is the same root (Morris 1983; Viechtbauer
      2005); PMM: Q(tau2) = median of chi2(f).
    - ML and REML: the global maximum of the (restricted) likelihood over tau2 >= 0.
    """
    free = stack.n - stack.p
    if method == "ML" or method == "REML":
        tau2 = likelihood_maximum(stack, restricted=method == "REML")
    elif method == "PM" or method == "EB":
        tau2 = solve_q(stack, free)
    elif method == "PMM":
        tau2 = solve_q(stack, 2.0 * gammaincinv(0.5 * np.maximum(free, 1.0), 0.5))
    elif method == "DL" or method == "HS" or method == "HSk":
        at0 = moments(stack, np.zeros_like(stack.n))
        positive = np.maximum(free, 1.0)
        if method == "DL":
            tau2 = (at0.q - free) / np.where(free > 0, at0.trace, 1.0)
        elif method == "HS":
            tau2 = (at0.q - stack.n) / at0.w
        else:
            tau2 = (at0.q * (stack.n / positive) - stack.n) / at0.w
    elif method == "HE":
        tau2 = _moment_estimate(stack, np.ones((1, stack.d.shape[1])))
    elif method == "DL2":
        first = estimate(stack, "DL")
        tau2 = _moment_estimate(stack, np.reciprocal(stack.v + first[:, None]))
    elif method == "SJ":
        tau2 = stack.spread * moments(stack, stack.spread).q / np.maximum(free, 1.0)
    else:
        return estimate(stack, tau2_method(method))
    return np.where(free > 0, np.maximum(tau2, 0.0), 0.0)


def _moment_estimate(stack: Stack, weights: FloatArray) -> FloatArray:
    q, trace, trace_v = quadratic_form(stack, weights)
    return (q - trace_v) / np.where(trace > 0.0, trace, 1.0)


def polish(stack: Stack, method: str, tau2: FloatArray, at_zero: Stack) -> FloatArray:
    """Return estimates again, on a stack whose basis was chosen for tau2 near their first values.

    Parameters
    ----------
    tau2 : ndarray (B,)
        The first estimates, in units of the stack.
    at_zero : Stack
        The stack they were made on, right for sums at tau2 = 0.
    """
    if method in ("DL", "HS", "HSk"):
        return tau2
    free = stack.n - stack.p
    if method == "DL2":
        tau2 = _moment_estimate(stack, np.reciprocal(stack.v + estimate(at_zero, "DL")[:, None]))
        return np.where(free > 0, np.maximum(tau2, 0.0), 0.0)
    if method in ("HE", "SJ"):
        return estimate(stack, method)
    if method not in ("ML", "REML"):
        goal = free if method != "PMM" else 2.0 * gammaincinv(0.5 * np.maximum(free, 1.0), 0.5)
        return polish_q(stack, goal, tau2)
    for _ in range(_POLISH):
        now = moments(stack, tau2, derivatives=True)
        minus, minus2 = (now.trace, now.trace2) if method == "REML" else (now.w, now.w2)
        bend = 2.0 * minus * now.qqq - minus2 * now.qq
        step = (now.qq - minus) * now.qq / np.where(bend > 0.0, bend, np.inf)
        tau2 = _corrected(stack, tau2, step)
    return tau2


def polish_q(stack: Stack, target: FloatArray, tau2: FloatArray) -> FloatArray:
    """Return solutions of ``Q(tau2) = target`` again, as :func:`polish` does."""
    for _ in range(_POLISH):
        now = moments(stack, tau2)
        tau2 = _corrected(stack, tau2, now.q * (now.q / target - 1.0) / now.qq)
    return tau2


def _corrected(stack: Stack, tau2: FloatArray, step: FloatArray) -> FloatArray:
    small = np.abs(step) <= _NEAR * (tau2 + stack.vmin)
    return np.where(small, np.maximum(tau2 + step, 0.0), tau2)


def solve_q(stack: Stack, target: FloatArray) -> FloatArray:
    """Solve ``Q(tau2) = target`` on tau2 >= 0, giving 0 where ``Q(0) <= target``.

    ``1/Q`` is concave and increasing in tau2 (Cauchy and Schwarz on y'PPy), so Newton's iteration on it
    climbs from the left to the root and never passes it; its last step leaves a relative error below the
    square of that step.

    Parameters
    ----------
    target : ndarray (B,)
        Positive.

    Returns
    -------
    ndarray (B,)
    """
    tau2 = np.zeros_like(stack.n)
    now = moments(stack, tau2)
    rows = np.flatnonzero((now.q > target) & (stack.n > stack.p))
    if not rows.size:
        return tau2
    part = take(stack, rows)
    goal = target[rows]
    t = np.zeros_like(goal)
    q, qq = now.q[rows], now.qq[rows]
    for _ in range(_ROUNDS):
        step = q * (q / goal - 1.0) / qq
        t = t + np.maximum(step, 0.0)
        done = step <= 1e-8 * (t + part.vmin)
        finished = np.count_nonzero(done)
        if finished:
            tau2[rows[done]] = t[done]
            if finished == len(done):
                return tau2
            left = ~done
            rows, goal, t, part = rows[left], goal[left], t[left], take(part, left)
        now = moments(part, t)
        q, qq = now.q, now.qq
    raise ModelError(f"Q(tau2) = {goal[0]:.6g} was not solved in {_ROUNDS} rounds")


# likelihood ------------------------------------------------------------------------------------------------


def log_likelihoods(
    stack: Stack, tau2: FloatArray, q: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the log-likelihood and the restricted one at tau2, up to the constants of unit and basis."""
    logs, information, _ = log_determinants(stack, tau2)
    ml = -0.5 * (logs + moments(stack, tau2).q)
    return ml, ml - 0.5 * information


def likelihood_maximum(stack: Stack, *, restricted: bool) -> FloatArray:
    """Return the tau2 >= 0 at which the (restricted) likelihood is highest.

    The score is ``y'PPy - tr P`` (for ML ``y'PPy - tr W``), halved. It is negative beyond an upper bound
    that follows from the eigenvalues of P (between 1/(vmax + tau2) and 1/(vmin + tau2)). Below that, all
    its sign changes are found on a grid in log(vmin + tau2), on which it is smooth at unit scale, looked
    at more closely wherever it nearly touches zero; each maximum is refined by Newton's iteration kept in
    its bracket; where there are several, their likelihoods are compared.
    """
    upper = _upper_bound(stack, restricted)
    if len(stack.n) == 1 and stack.design is None and stack.present is None and stack.d.shape[1] <= _SHORT:
        only = _plain_maximum(stack, float(upper[0]), restricted)
        if only is not None:
            return np.array([only])
    grid = _score_grid(stack, upper, restricted)
    rows, low, high, start = _brackets(stack, grid, restricted)
    tau2 = np.zeros_like(stack.n)
    if not rows.size:
        return tau2
    part = stack if len(rows) == len(tau2) == 1 else take(stack, rows)
    root = _refine(part, low, high, start, restricted)
    # a row with one candidate has its answer; with several, or with a boundary maximum too, compare
    boundary = grid.score[:, 0] <= 0.0
    count = np.bincount(rows, minlength=len(tau2)) + boundary
    alone = count[rows] == 1
    tau2[rows[alone]] = root[alone]
    if np.count_nonzero(alone) < len(alone):
        edge = np.flatnonzero(boundary & (count > 1))
        rivals = np.concatenate([rows[~alone], edge])
        values = np.concatenate([root[~alone], np.zeros(len(edge))])
        likelihood = log_likelihoods(take(stack, rivals), values)[int(restricted)]
        order = np.lexsort((-values, likelihood, rivals))
        tau2[rivals[order]] = values[order]  # the last, highest one of each row stays
    return tau2


def _plain_maximum(stack: Stack, upper: float, restricted: bool) -> float | None:
    """Do what :func:`likelihood_maximum` does for one short row whose score falls through zero at most once.

    The same grid, tests and steps in plain numbers, for a batch of one spends its time on calls, not on sums.
    None where the score nearly touches zero or has several roots: then the arrays look closer.
    """
    d, v, vmin = stack.d[0], stack.v[0], float(stack.vmin[0])
    length = math.log1p(upper / vmin)
    cells = max(2, math.ceil(length / _STEP))
    grid = vmin * np.expm1(length * (np.arange(cells + 1) / cells))
    at = intercept_moments(d, np.reciprocal(v + grid[:, None]))
    plus = at.qq
    score = plus - (at.trace if restricted else at.w)
    s, slope = score.tolist(), (np.abs(score) * (grid + vmin)).tolist()
    fall = -1
    dip = s[0] <= 0.0 and s[1] <= 0.0 and 4.0 * slope[1] - slope[2] < 3.0 * slope[0]
    nears = False  # whether the score came nearer to zero in the last cell, on the same side of it
    for i in range(cells):
        if (s[i] > 0.0) == (s[i + 1] > 0.0):
            nearer = slope[i + 1] < slope[i]
            dip = dip or (nears and not nearer)
            nears = nearer
        else:
            nears = False
            if s[i] > 0.0:
                dip = dip or fall >= 0
                fall = i
    if dip or (fall >= 0 and s[0] <= 0.0):
        return None
    if fall < 0:
        return 0.0
    low, high = float(grid[fall]), float(grid[fall + 1])
    above, below = s[fall] * float(plus[fall + 1]), s[fall + 1] * float(plus[fall])
    return _plain_root(stack, low, high, low + above / (above - below) * (high - low), restricted)


def _plain_root(stack: Stack, low: float, high: float, t: float, restricted: bool) -> float:
    """Return what :func:`_refine` does for one row, in plain numbers."""
    d, v, vmin = stack.d[0], stack.v[0], float(stack.vmin[0])
    before = 0.0
    for _ in range(_ROUNDS):
        at = intercept_moments(d, np.reciprocal(v + t), derivatives=True)
        minus, minus2 = (at.trace, at.trace2) if restricted else (at.w, at.w2)
        qq = float(at.qq)
        score = qq - float(minus)
        if score > 0.0:
            low = t
        else:
            high = t
        bend = 2.0 * float(minus) * float(at.qqq) - float(minus2) * qq
        newton = t + score * qq / bend if bend > 0.0 else t
        new = min(max(newton, low), high)
        unit = new + vmin
        closed = False
        outside = bend <= 0.0 or abs(newton - new) > _ROUNDING * unit
        if outside:
            closed = high - low <= _ROUNDING * unit
            new = math.sqrt((vmin + low) * (vmin + high)) - vmin
        step = abs(new - t)
        t = new
        if closed or (not outside and _settled(step, before, unit)):
            return t
        before = step
    raise ModelError(f"the score of the likelihood was not brought to zero in {_ROUNDS} rounds")


class _Grid(NamedTuple):
    """The score, ``plus - minus``, on a grid of tau2 that ascends from 0; all (B, G)."""

    tau2: FloatArray
    plus: FloatArray
    minus: FloatArray
    score: FloatArray


def _score(stack: Stack, tau2: FloatArray, restricted: bool) -> _Grid:
    at = moments(stack, tau2)
    minus = at.trace if restricted else at.w
    return _Grid(tau2, at.qq, minus, at.qq - minus)


def _upper_bound(stack: Stack, restricted: bool) -> FloatArray:
    """Return a tau2 beyond which the score is negative.

    ``y'PPy <= S / (vmin + t)^2`` with S any residual sum of squares, and ``tr P >= (k - p) / (vmax + t)``.
    """
    free = stack.n - stack.p if restricted else stack.n
    s = stack.n * stack.spread if stack.design is None else np.vecdot(stack.d, stack.d)
    s2 = s / np.maximum(free, 1.0)
    bound = 0.5 * (s2 + np.sqrt(s2 * (s2 + 4.0 * (stack.vmax - stack.vmin))))
    # a little beyond it, lest rounding leave the score positive at the end of the grid
    return np.where(stack.n > stack.p, np.maximum(bound * (1.0 + 1e-9) - stack.vmin, 0.0), 0.0)


def _score_grid(stack: Stack, upper: FloatArray, restricted: bool) -> _Grid:
    """Evaluate the score from 0 to `upper`, evenly in log(vmin + tau2)."""
    length = np.log1p(upper / stack.vmin)
    cells = max(2, int(np.ceil(length.max() / _STEP)))
    if len(stack.v) == 1 and len(stack.n) > 1 and stack.present is None and stack.design is None:
        return _shared_grid(stack, float(length.max()), cells, restricted)
    u = length[:, None] * (np.arange(cells + 1) / cells)
    t = stack.vmin[:, None] * np.expm1(u)
    if stack.design is None and 1 < len(stack.n) == len(stack.v) and stack.d.shape[1] <= _SHORT:
        return _row_grid(stack, t, restricted)
    return _score(stack, t, restricted)


def _row_grid(stack: Stack, t: FloatArray, restricted: bool) -> _Grid:
    """Evaluate the score grid of an intercept, whose sums are one small matrix product a row.

    The expanded square loses few digits: with d relative to the most precise effect, of weight w0,
    ``sum w² d² <= 2 sum w² e² + 2 k w0² shift²``, and ``w0² shift²`` is a term of ``sum w² e²``.
    """
    w = stack.v[:, None] + t[:, :, None]
    np.reciprocal(w, out=w)
    d, first = stack.d, w[:, :, 0].copy()
    there = np.ones_like(d) if stack.present is None else stack.present.copy()
    there[:, 0] = 0.0
    rest, wd = np.moveaxis(w @ np.stack([there, d], axis=2), 2, 0)
    w *= w
    sq, wwd, wwdd = np.moveaxis(w @ np.stack([there, d, d * d], axis=2), 2, 0)
    total = first + rest
    shift = wd / total
    plus = wwdd - 2.0 * shift * wwd + shift * shift * (first * first + sq)
    minus = (rest * (first + total) - sq) / total if restricted else total
    return _Grid(t, plus, minus, plus - minus)


def _shared_grid(stack: Stack, length: float, cells: int, restricted: bool) -> _Grid:
    """Evaluate the score grid of rows that share variances by three matrix products.

    Signs are what the grid is for, so the expanded square is accurate enough here.
    """
    t = stack.vmin[0] * np.expm1(np.arange(cells + 1) * (length / cells))
    w = np.reciprocal(stack.v + t[:, None])
    ww = w * w
    total = w.sum(axis=1)
    rest = w[:, 1:].sum(axis=1)
    d = stack.d
    shift = (d @ w.T) / total
    plus = (d * d) @ ww.T - 2.0 * shift * (d @ ww.T) + shift * shift * ww.sum(axis=1)
    minus = total
    if restricted:
        minus = (rest * (w[:, 0] + total) - ww[:, 1:].sum(axis=1)) / total
    shape = plus.shape
    return _Grid(np.broadcast_to(t, shape), plus, np.broadcast_to(minus, shape), plus - minus)


def _brackets(
    stack: Stack, grid: _Grid, restricted: bool
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Return row, lower end, upper end and first guess of every place where the score falls through zero."""
    positive = grid.score > 0.0
    falls = positive[:, :-1] & ~positive[:, 1:]
    rows, cells = np.nonzero(falls)
    found = [_bracket(grid, rows, cells)]
    # where the score, per unit of the log scale, comes near zero and turns back without crossing; at the
    # boundary, where it is negative but its three-point slope points up
    slope = np.abs(grid.score) * (grid.tau2 + stack.vmin[:, None])
    nearer = slope[:, 1:] < slope[:, :-1]
    steady = positive[:, 1:] == positive[:, :-1]
    dips = (nearer & steady)[:, :-1] & (steady & ~nearer)[:, 1:]
    rising = ~positive[:, 0] & steady[:, 0] & (4.0 * slope[:, 1] - slope[:, 2] < 3.0 * slope[:, 0])
    if np.count_nonzero(rising) or np.count_nonzero(dips):
        rows, cells = np.nonzero(dips)
        edge = np.flatnonzero(rising)
        rows = np.concatenate([rows, edge])
        low = grid.tau2[rows, np.concatenate([cells, np.zeros_like(edge)])]
        high = grid.tau2[rows, np.concatenate([cells + 2, np.full_like(edge, 1)])]
        found.extend(_zoom(stack, rows, low, high, restricted))
    if len(found) == 1:
        return found[0]
    rows, low, high, start = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, low, high, start


def _bracket(
    grid: _Grid, rows: IntArray, cells: IntArray
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Return the brackets of some cells, with the secant on ``minus/plus - 1``, nearly linear in tau2."""
    low, high = grid.tau2[rows, cells], grid.tau2[rows, cells + 1]
    # plus > 0 at the lower end, where the score is positive, and score <= 0 at the upper end
    above = grid.score[rows, cells] * grid.plus[rows, cells + 1]
    below = grid.score[rows, cells + 1] * grid.plus[rows, cells]
    return rows, low, high, low + above / (above - below) * (high - low)


def _zoom(
    stack: Stack, rows: IntArray, low: FloatArray, high: FloatArray, restricted: bool
) -> list[tuple[IntArray, FloatArray, FloatArray, FloatArray]]:
    """Look closer, level by level, at places where the score nearly touches zero; return what crosses."""
    found = []
    share = np.arange(_ZOOM) / (_ZOOM - 1)
    for _ in range(_LEVELS):
        part = take(stack, rows)
        base = part.vmin + low
        t = low[:, None] + base[:, None] * np.expm1(np.log((part.vmin + high) / base)[:, None] * share)
        fine = _score(part, t, restricted)
        positive = fine.score > 0.0
        crossed, cells = np.nonzero(positive[:, :-1] & ~positive[:, 1:])
        if crossed.size:
            _, a, b, start = _bracket(fine, crossed, cells)
            found.append((rows[crossed], a, b, start))
        slope = np.abs(fine.score) * (t + part.vmin[:, None])
        nearest = slope.argmin(axis=1)
        again = (positive == positive[:, :1]).all(axis=1)
        if not again.any():
            break
        rows, t, nearest = rows[again], t[again], nearest[again]
        every = np.arange(len(rows))
        low = t[every, np.maximum(nearest - 1, 0)]
        high = t[every, np.minimum(nearest + 1, _ZOOM - 1)]
    return found


@overload
def _settled(step: float, before: float, unit: float) -> bool: ...


@overload
def _settled(step: FloatArray, before: FloatArray, unit: FloatArray) -> BoolArray: ...


def _settled(
    step: float | FloatArray, before: float | FloatArray, unit: float | FloatArray
) -> bool | BoolArray:
    """Whether the error after a Newton step, ``step^2`` times the curvature that the steps show, is small."""
    left = _ROOT * unit
    return (step * step * step <= left * before * before) & (step * step <= left * unit)


def _refine(
    stack: Stack, low: FloatArray, high: FloatArray, start: FloatArray, restricted: bool
) -> FloatArray:
    """Solve score = 0 between `low`, where it is positive, and `high`, where it is not.

    Newton's iteration on ``minus/plus - 1``; a step that leaves the bracket is replaced by its middle in
    log(vmin + tau2). It stops when the error that is left, judged from the last two steps,
    is below 1e-13 of vmin + tau2.
    """
    root = np.empty_like(start)
    rows = np.arange(len(start))
    low, high, t, before = low.copy(), high.copy(), start, np.zeros_like(start)
    for _ in range(_ROUNDS):
        at = moments(stack, t, derivatives=True)
        minus, minus2 = (at.trace, at.trace2) if restricted else (at.w, at.w2)
        score = at.qq - minus
        up = score > 0.0
        np.copyto(low, t, where=up)
        np.copyto(high, t, where=~up)
        bend = 2.0 * minus * at.qqq - minus2 * at.qq
        newton = t + score * at.qq / np.where(bend > 0.0, bend, np.inf)
        # an end of the bracket may be the root itself: a step back onto it, but for rounding, is inside
        new = np.minimum(np.maximum(newton, low), high)
        unit = new + stack.vmin
        outside = (bend <= 0.0) | (np.abs(newton - new) > _ROUNDING * unit)
        if np.count_nonzero(outside):
            closed = high - low <= _ROUNDING * unit
            middle = np.sqrt((stack.vmin + low) * (stack.vmin + high)) - stack.vmin
            np.copyto(new, middle, where=outside)
            step = np.abs(new - t)
            done = closed | (~outside & _settled(step, before, unit))
        else:
            step = np.abs(new - t)
            done = _settled(step, before, unit)
        t, before = new, step
        finished = np.count_nonzero(done)
        if finished:
            if finished == len(root):
                return t
            root[rows[done]] = t[done]
            if finished == len(done):
                return root
            left = ~done
            rows, t, before, low, high = rows[left], t[left], before[left], low[left], high[left]
            stack = take(stack, left)
    raise ModelError(f"the score of the likelihood was not brought to zero in {_ROUNDS} rounds")
