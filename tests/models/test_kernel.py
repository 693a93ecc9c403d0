"""The kernel: estimating equations, global maxima, batches, designs, and no accuracy lost to hard inputs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import chi2

from mtmeta.errors import ModelError, UsageError
from mtmeta.models import kernel
from mtmeta.models.stack import moments
from mtmeta.models.stacking import stack_of
from mtmeta.models.tau2 import TAU2_METHODS

Array = npt.NDArray[np.float64]


KINDS = 10
HardInput = Callable[[np.random.Generator, int], tuple[Array, Array]]


def _long(y: Array, v: Array) -> tuple[npt.NDArray[np.longdouble], npt.NDArray[np.longdouble]]:
    """Effects from the most precise one, in extended precision."""
    wide = y.astype(np.longdouble)
    return wide - wide[v.argmin()], v.astype(np.longdouble)


def _reference_loglik(y: Array, v: Array, tau2: Array, restricted: bool) -> npt.NDArray[np.longdouble]:
    d, vv = _long(y, v)
    s = vv[None, :] + tau2.astype(np.longdouble)[:, None]
    w = 1 / s
    total = w.sum(axis=1)
    e = d - (w * d).sum(axis=1)[:, None] / total[:, None]
    value = -np.log(s).sum(axis=1) - (w * e * e).sum(axis=1)
    return (value - np.log(total)) / 2 if restricted else value / 2


def _fine_grid(y: Array, v: Array, points: int) -> Array:
    low = float(v.min())
    top = 2.0 * float(np.square(y - y.mean()).sum()) + float(v.max())
    grid = low * np.expm1(np.linspace(0.0, math.log1p(top / low), points))
    grid[0] = 0.0
    return grid


def _check_likelihood(y: Array, v: Array, tau2: float, method: str, points: int = 400) -> None:
    """No point of a fine grid is better, and the score is zero, or not positive at tau2 = 0."""
    restricted = method == "REML"
    grid = _reference_loglik(y, v, _fine_grid(y, v, points), restricted)
    found = _reference_loglik(y, v, np.array([tau2]), restricted)[0]
    assert float(grid.max() - found) <= 1e-10 * max(1.0, abs(float(found))), (method, tau2)
    stack = stack_of(y, v)
    unit = float(stack.root[0]) ** 2
    at = moments(stack, np.array([tau2 / unit]), derivatives=True)
    minus = float((at.trace if restricted else at.w)[0])
    score = float(at.qq[0]) - minus
    if tau2 == 0.0:
        assert score <= 1e-12 * minus
    else:
        # in units of tau2 + vmin, a Newton step from the root is at the level of rounding
        slope = abs(2.0 * float(at.qqq[0]) - float((at.trace2 if restricted else at.w2)[0]))
        noise = 64 * np.finfo(float).eps * (minus + float(at.qq[0]))
        room = 1e-12 * (tau2 / unit + float(stack.vmin[0])) * slope
        assert abs(score) <= room + noise, (method, tau2, score)


def _check_equation(y: Array, v: Array, tau2: float, method: str) -> None:
    k = len(y)
    target = float(chi2.ppf(0.5, k - 1)) if method == "PMM" else k - 1.0
    d, vv = _long(y, v)
    w = 1 / (vv + np.longdouble(tau2))
    e = d - (w * d).sum() / w.sum()
    q, slope = float((w * e * e).sum()), float((w * w * e * e).sum())
    if tau2 == 0.0:
        assert q <= target * (1.0 + 1e-12)
    else:
        assert abs(q - target) <= 1e-12 * (tau2 + v.min()) * slope + 1e-13 * target * k


def _check_all(y: Array, v: Array) -> None:
    """Every estimator on one input: finite, not negative, and what it claims to be."""
    for method in TAU2_METHODS:
        fit = kernel.fit(y, v, method=method)
        values = (fit.tau2, fit.beta, fit.cov, fit.q, fit.rss, fit.vt, fit.loglik, fit.i2, fit.h2, fit.scale)
        assert all(np.isfinite(x).all() for x in values), method
        assert fit.tau2[0] >= 0.0
        assert fit.cov[0, 0, 0] > 0.0
        if method in ("ML", "REML"):
            _check_likelihood(y, v, float(fit.tau2[0]), method)
        elif method in ("PM", "EB", "PMM"):
            _check_equation(y, v, float(fit.tau2[0]), method)


@pytest.mark.parametrize("kind", range(KINDS))
def test_every_fit_satisfies_its_equation(hard_input: HardInput, kind: int) -> None:
    rng = np.random.default_rng([7, kind])
    for _ in range(40):
        _check_all(*hard_input(rng, kind))


@pytest.mark.slow
@pytest.mark.parametrize("kind", range(KINDS))
def test_every_fit_satisfies_its_equation_on_twenty_thousand_inputs(hard_input: HardInput, kind: int) -> None:
    rng = np.random.default_rng([11, kind])
    for _ in range(2000):
        _check_all(*hard_input(rng, kind))


@pytest.mark.parametrize(
    ("method", "y", "inside"),
    [
        ("ML", [0.4, 1.3, 0.9, -0.7, -1.3], False),
        ("ML", [-1.0, -0.2, -0.2, 0.5, 0.2], True),
        ("REML", [-0.3, -0.5, -1.5, -0.6, 1.2], False),
        ("REML", [0.4, -0.7, -0.1, 0.8, 1.5], True),
    ],
)
def test_the_higher_of_two_maxima_is_found(method: str, y: list[float], inside: bool) -> None:
    """One precise study among vague ones: a maximum at tau2 = 0 and one inside, either the higher."""
    effects, v = np.array(y), np.array([1e-4, 0.3, 0.4, 0.2, 0.5])
    grid = _fine_grid(effects, v, 4000)
    values = _reference_loglik(effects, v, grid, method == "REML")
    rises = np.diff(values) > 0
    assert not rises[0]
    assert int((rises[:-1] & ~rises[1:]).sum()) == 1
    found = float(kernel.fit(effects, v, method=method).tau2[0])
    assert (found > 0.0) == inside
    assert found == pytest.approx(float(grid[int(values.argmax())]), rel=1e-2, abs=1e-12)


def test_roots_have_twelve_digits() -> None:
    """REML, ML and PM against 50 digits of arithmetic."""
    y = ["-0.889311", "-1.585389", "-1.348073", "-1.441551", "-0.217547", "-0.786116"]
    v = ["0.325585", "0.194581", "0.415368", "0.020010", "0.051210", "0.006906"]
    with mpmath.workdps(50):
        yy, vv = [mpmath.mpf(x) for x in y], [mpmath.mpf(x) for x in v]

        def parts(t: mpmath.mpf) -> tuple[mpmath.mpf, ...]:
            w = [1 / (x + t) for x in vv]
            total = mpmath.fsum(w)
            mean = mpmath.fsum(a * b for a, b in zip(w, yy, strict=True)) / total
            e = [x - mean for x in yy]
            q = mpmath.fsum(a * b * b for a, b in zip(w, e, strict=True))
            qq = mpmath.fsum(a * a * b * b for a, b in zip(w, e, strict=True))
            return q, qq, total, mpmath.fsum(a * a for a in w)

        equations = {
            "REML": lambda t: parts(t)[1] - parts(t)[2] + parts(t)[3] / parts(t)[2],
            "ML": lambda t: parts(t)[1] - parts(t)[2],
            "PM": lambda t: parts(t)[0] - 5,
        }
        for method, equation in equations.items():
            ours = float(kernel.fit([float(x) for x in y], [float(x) for x in v], method=method).tau2[0])
            exact = mpmath.findroot(equation, ours)
            assert abs(ours - exact) / exact < 1e-14


def test_moment_estimators_lose_nothing_to_a_dominating_study() -> None:
    """DL, HE and HS against exact rational arithmetic, one variance being 1e-12 of the others."""
    y = [Fraction(1, 10), Fraction(9, 10), Fraction(6, 5), Fraction(-2, 5), Fraction(1, 2)]
    v = [Fraction(1, 10**12), Fraction(3, 10), Fraction(2, 5), Fraction(1, 5), Fraction(1, 2)]
    floats = [float(x) for x in y], [float(x) for x in v]
    y, v = ([Fraction(x) for x in values] for values in floats)  # exactly what the kernel is given
    w = [1 / x for x in v]
    total, k = sum(w), len(y)
    mean = sum(a * b for a, b in zip(w, y, strict=True)) / total
    q = sum(a * (b - mean) ** 2 for a, b in zip(w, y, strict=True))
    dl = (q - (k - 1)) / (total - sum(a * a for a in w) / total)
    centre = sum(y) / k
    he = sum((x - centre) ** 2 for x in y) / (k - 1) - sum(v) / k
    for method, exact in (("DL", dl), ("HE", he), ("HS", (q - k) / total)):
        ours = float(kernel.fit(*floats, method=method).tau2[0])
        assert abs(Fraction(ours) - exact) <= Fraction(1, 10**14) * abs(exact)


# batches ---------------------------------------------------------------------------------------------------


def _same(one: kernel.KernelFit, row: int, other: kernel.KernelFit, tolerance: float = 1e-12) -> None:
    for name in ("tau2", "beta", "cov", "q", "rss", "vt", "loglik", "loglik_reml", "k"):
        a, b = np.asarray(getattr(one, name)[row]), np.asarray(getattr(other, name)[0])
        # tau2 is known to 1e-12 of itself plus the smallest variance
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=1e-13 + tolerance * float(abs(b).max()))


@pytest.mark.parametrize("method", TAU2_METHODS)
def test_a_batch_is_its_single_fits(method: str) -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(0, 1, (40, 9))
    v = rng.uniform(0.05, 0.5, 9)
    shared = kernel.fit(y, v, method=method)
    own = kernel.fit(y, np.broadcast_to(v, y.shape), method=method)
    for i in range(40):
        alone = kernel.fit(y[i], v, method=method)
        _same(shared, i, alone)
        _same(own, i, alone)


@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("kind", range(KINDS))
def test_a_row_alone_is_what_it_is_among_others(hard_input: HardInput, kind: int, method: str) -> None:
    """One short row goes by plain numbers, several by arrays."""
    rng = np.random.default_rng([2611, kind])
    inside = 0
    for _ in range(40):
        y, v = hard_input(rng, kind)
        one, pair = (
            kernel.fit(y, v, method=method),
            kernel.fit(np.stack([y, y]), np.stack([v, v]), method=method),
        )
        _same(one, 0, pair, 1e-11)
        inside += one.tau2[0] > 0.0
    assert inside > 0


@pytest.mark.parametrize("method", TAU2_METHODS)
def test_absent_studies_are_absent(method: str) -> None:
    rng = np.random.default_rng(2)
    y, v = rng.normal(0, 1, 8), rng.uniform(0.05, 0.5, 8)
    present = np.array([list(p) for p in itertools.product([False, True], repeat=8) if sum(p) >= 2])
    fits = kernel.fit(y, v, method=method, present=present)
    for i in range(0, len(present), 5):
        _same(fits, i, kernel.fit(y[present[i]], v[present[i]], method=method))


def test_ragged_rows_cross_chunks() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.integers(2, 60, 1200)
    present = np.arange(60) < sizes[:, None]
    y, v = rng.normal(0, 1, present.shape), rng.uniform(0.05, 0.5, present.shape)
    fits = kernel.fit(np.where(present, y, np.inf), np.where(present, v, -1.0), present=present)
    for i in range(0, 1200, 37):
        _same(fits, i, kernel.fit(y[i, : sizes[i]], v[i, : sizes[i]]))


@pytest.mark.parametrize("method", TAU2_METHODS)
def test_long_rows_go_block_by_block(method: str) -> None:
    """The same sums as those of a design of one column, which are formed at once; some effects absent."""
    rng = np.random.default_rng(31)
    k = 30_001
    v = rng.uniform(0.02, 0.5, (2, k))
    y = rng.normal(0.3, np.sqrt(v + 0.1))
    present = rng.random((2, k)) < 0.9
    for mask in (None, present):
        long = kernel.fit(y, v, method=method, present=mask)
        whole = kernel.fit(y, v, method=method, present=mask, design=np.ones((k, 1)))
        for name in ("tau2", "q", "rss", "vt", "loglik", "loglik_reml"):
            np.testing.assert_allclose(getattr(long, name), getattr(whole, name), rtol=1e-10)
        np.testing.assert_allclose(long.beta, whole.beta, rtol=1e-10)


@pytest.mark.parametrize("method", TAU2_METHODS)
def test_designs_in_batches(method: str) -> None:
    rng = np.random.default_rng(4)
    y, v = rng.normal(0, 1, (25, 10)), rng.uniform(0.05, 0.5, (25, 10))
    X = np.stack(
        [np.column_stack([np.ones(10), rng.normal(size=10), rng.normal(size=10)]) for _ in range(25)]
    )
    present = rng.random((25, 10)) < 0.8
    present[:, :6] = True
    many = kernel.fit(y, v, method=method, design=X, present=present)
    shared = kernel.fit(y, v[0], method=method, design=X[0])
    for i in range(25):
        p = present[i]
        _same(many, i, kernel.fit(y[i, p], v[i, p], method=method, design=X[i, p]), 1e-11)
        _same(shared, i, kernel.fit(y[i], v[0], method=method, design=X[0]), 1e-11)


@pytest.mark.parametrize("method", TAU2_METHODS)
def test_an_intercept_given_as_a_design_is_the_intercept(hard_input: HardInput, method: str) -> None:
    rng = np.random.default_rng(5)
    for kind in range(KINDS):
        y, v = hard_input(rng, kind)
        plain = kernel.fit(y, v, method=method)
        explicit = kernel.fit(y, v, method=method, design=np.full((len(y), 1), 2.0))
        room = 1e-10 * (float(plain.tau2[0]) + float(v.min()))
        assert abs(plain.tau2[0] - explicit.tau2[0]) <= room
        assert 2.0 * explicit.beta[0, 0] == pytest.approx(
            plain.beta[0, 0], abs=1e-9 * float(plain.se[0, 0]), rel=1e-13
        )


def test_coefficients_without_an_intercept_are_weighted_least_squares() -> None:
    rng = np.random.default_rng(6)
    X = rng.normal(size=(12, 3))
    y, v = rng.normal(size=12), rng.uniform(0.05, 0.5, 12)
    fit = kernel.fit(y, v, design=X, tau2=0.1)
    w = np.sqrt(1.0 / (v + 0.1))
    expected, residual, *_ = np.linalg.lstsq(X * w[:, None], y * w, rcond=None)
    np.testing.assert_allclose(fit.beta[0], expected, rtol=1e-12)
    np.testing.assert_allclose(fit.rss[0], residual[0], rtol=1e-12)
    np.testing.assert_allclose(fit.cov[0], np.linalg.inv((X * w[:, None]).T @ (X * w[:, None])), rtol=1e-10)


def test_a_dominating_row_costs_a_regression_no_digits() -> None:
    """Three rows of variance 1e-12 determine three coefficients; the rest decides on tau2."""
    rng = np.random.default_rng(8)
    X = np.column_stack([np.ones(9), rng.normal(size=9), rng.normal(size=9)])
    y = rng.normal(size=9)
    v = np.full(9, 0.3)
    v[[2, 5, 7]] = 1e-12
    fit = kernel.fit(y, v, design=X, tau2=0.0)
    with mpmath.workdps(40):
        W = mpmath.diag([1 / mpmath.mpf(float(a)) for a in v])
        XX, yy = mpmath.matrix(X.tolist()), mpmath.matrix(y.tolist())
        A = XX.T * W * XX
        b = mpmath.lu_solve(A, XX.T * W * yy)
        e = yy - XX * b
        q = (e.T * W * e)[0]
        assert abs(fit.q[0] - q) / q < 1e-12
        assert max(abs(fit.beta[0, i] - b[i]) for i in range(3)) < 1e-12


def test_known_mean() -> None:
    """A design without columns is a known mean of zero: ML then needs no estimate of it."""
    y, v = np.array([0.5, -0.2, 0.9, 1.4]), np.array([0.1, 0.1, 0.1, 0.1])
    fit = kernel.fit(y, v, method="ML", design=np.empty((4, 0)))
    assert fit.tau2[0] == pytest.approx(float((y**2).mean()) - 0.1, rel=1e-12)
    assert fit.beta.shape == (1, 0)


# what is refused -------------------------------------------------------------------------------------------


def test_refusals_name_their_reason() -> None:
    with pytest.raises(UsageError, match="tau2='XX' is not known"):
        kernel.fit([0.1, 0.2], [0.1, 0.1], method="XX")
    with pytest.raises(ModelError, match="2 effects cannot determine 3 coefficients"):
        kernel.fit([0.1, 0.2], [0.1, 0.1], design=np.ones((2, 3)))
    with pytest.raises(ModelError, match="only 1 of them are independent"):
        kernel.fit([0.1, 0.2, 0.3], [0.1, 0.1, 0.2], design=np.ones((3, 2)))
    with pytest.raises(ModelError, match="zero throughout"):
        kernel.fit([0.1, 0.2, 0.3], [0.1, 0.1, 0.2], design=np.array([[1.0, 0.0]] * 3))
    with pytest.raises(ModelError, match="more than 100 orders of magnitude"):
        kernel.fit([0.1, 0.2], [1e-160, 1.0])
    with pytest.raises(ModelError, match="row 1 of the batch"):
        kernel.fit([0.1, 0.2], [0.1, 0.1], present=[[True, True], [False, False]])


def test_as_many_coefficients_as_effects_leave_tau2_at_zero() -> None:
    fit = kernel.fit([0.1, 0.7], [0.1, 0.2], design=[[1.0, 0.0], [1.0, 1.0]])
    assert fit.tau2[0] == 0.0
    np.testing.assert_allclose(fit.beta[0], [0.1, 0.6], rtol=1e-14)
    assert (fit.q[0], fit.h2[0], fit.i2[0], fit.scale[0]) == (0.0, 1.0, 0.0, 1.0)


# properties ------------------------------------------------------------------------------------------------

_effects = st.floats(-5, 5).map(lambda x: round(x, 3))
_variances = st.floats(-9, 3).map(lambda x: float(10.0**x))
_studies = st.lists(st.tuples(_effects, _variances), min_size=2, max_size=12)
_methods = st.sampled_from(TAU2_METHODS)


def _room(v: Array, fit: kernel.KernelFit) -> float:
    return 1e-10 * (float(fit.tau2[0]) + float(v.min()))


@settings(max_examples=150)
@given(_studies, _methods, st.randoms(use_true_random=False))
def test_row_order_does_not_matter(studies: list[tuple[float, float]], method: str, random: object) -> None:
    y, v = (np.array(x) for x in zip(*studies, strict=True))
    order = list(range(len(y)))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = kernel.fit(y, v, method=method), kernel.fit(y[order], v[order], method=method)
    assert abs(one.tau2[0] - other.tau2[0]) <= max(_room(v, one), 1e-9 * float(np.square(y).max()) * 1e-3)


@settings(max_examples=150)
@given(_studies, _methods)
def test_turning_the_sign_turns_the_mean(studies: list[tuple[float, float]], method: str) -> None:
    y, v = (np.array(x) for x in zip(*studies, strict=True))
    one, other = kernel.fit(y, v, method=method), kernel.fit(-y, v, method=method)
    assert one.tau2[0] == other.tau2[0]
    assert one.beta[0, 0] == -other.beta[0, 0]
    assert one.q[0] == other.q[0]


@settings(max_examples=150)
@given(_studies, _methods, st.integers(-30, 30))
def test_a_scale_of_four_changes_no_bit(studies: list[tuple[float, float]], method: str, power: int) -> None:
    y, v = (np.array(x) for x in zip(*studies, strict=True))
    c = 2.0**power
    one, other = kernel.fit(y, v, method=method), kernel.fit(y * c, v * c * c, method=method)
    assert other.tau2[0] == one.tau2[0] * c * c
    assert other.beta[0, 0] == one.beta[0, 0] * c
    assert other.q[0] == one.q[0]


@settings(max_examples=150)
@given(_studies, _methods)
def test_tau2_zero_is_the_common_effect(studies: list[tuple[float, float]], method: str) -> None:
    y, v = (np.array(x) for x in zip(*studies, strict=True))
    fit = kernel.fit(y, v, method=method)
    if fit.tau2[0] == 0.0:
        common = kernel.fit(y, v, tau2=0.0)
        assert fit.beta[0, 0] == common.beta[0, 0]
        assert fit.cov[0, 0, 0] == common.cov[0, 0, 0]
        assert fit.rss[0] == fit.q[0]


@settings(max_examples=100)
@given(st.tuples(_effects, _effects), st.tuples(_variances, _variances))
def test_two_studies_of_equal_variance(effects: tuple[float, float], variances: tuple[float, float]) -> None:
    """DL, HE, PM, EB and REML are then the same number."""
    y, v = np.array(effects), np.full(2, variances[0])
    expected = max(0.0, (y[0] - y[1]) ** 2 / 2 - v[0])
    for method in ("DL", "DL2", "HE", "PM", "EB", "REML"):
        ours = kernel.fit(y, v, method=method).tau2[0]
        assert ours == pytest.approx(expected, rel=1e-12, abs=1e-12 * float(v[0]))
