"""Hard inputs with moderators and with zero cells: an answer that satisfies its equation, or a named reason.

Without moderators the same is in test_kernel.py, for three-level models in test_dependent.py. The reference
for a regression is modified Gram-Schmidt in extended precision, run twice, which the kernel does not use.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chi2

from mtmeta.errors import ModelError
from mtmeta.models import kernel
from mtmeta.models.events import EventCounts, EventResult, MantelHaenszel, Peto

Array = npt.NDArray[np.float64]
Long = npt.NDArray[np.longdouble]
HardInput = Callable[[np.random.Generator, int], tuple[Array, Array]]
KINDS = 10
METHODS = ("REML", "ML", "PM", "PMM", "DL", "HE", "SJ")


def _design(rng: np.random.Generator, k: int, v: Array) -> tuple[Array, bool]:
    """One to three columns beside the intercept, and whether they were made to depend on one another."""
    p = int(rng.integers(1, 4))
    X = np.column_stack([np.ones(k), rng.normal(size=(k, p))])
    kind = int(rng.integers(6))
    if kind == 1:  # groups, one of them perhaps a single study
        X[:, 1] = rng.random(k) < 0.4
    elif kind == 2:  # years and thousands: columns of quite other scales
        X[:, 1] = np.round(2000 + 10 * X[:, 1])
        X[:, -1] *= 1e6
    elif kind == 3:  # small-study regression
        X[:, 1] = np.sqrt(v)
    elif kind == 4:  # nearly collinear
        X[:, -1] = X[:, 0] + 1e-4 * X[:, -1]
    elif kind == 5:  # collinear
        X[:, -1] = X[:, 0] * rng.choice([0.0, 2.0, -1.0]) if p == 1 else 3.0 - 2.0 * X[:, 1]
    return X, kind == 5


def _gram_schmidt(y: Array, X: Array, v: Array, tau2: Array) -> tuple[Long, Long, Long]:
    """Residual sum of squares, its negative derivative, and log|X'WX| + log|V| at each tau2; long doubles."""
    s = v.astype(np.longdouble)[None, :] + tau2.astype(np.longdouble)[:, None]
    root = 1 / np.sqrt(s)
    basis: list[Long] = []
    logs = np.log(s).sum(axis=1)
    for column in X.astype(np.longdouble).T / np.abs(X).max(axis=0).astype(np.longdouble)[:, None]:
        z = column * root
        for _ in range(2):
            for b in basis:
                z = z - (b * z).sum(axis=1, keepdims=True) * b
        size = np.sqrt((z * z).sum(axis=1))
        logs = logs + 2 * np.log(size)
        basis.append(z / size[:, None])
    e = (y.astype(np.longdouble) - np.longdouble(y[v.argmin()])) * root
    for _ in range(2):
        for b in basis:
            e = e - (b * e).sum(axis=1, keepdims=True) * b
    return (e * e).sum(axis=1), (e * e / s).sum(axis=1), logs


def _check_regression(y: Array, v: Array, X: Array) -> None:
    k, p = X.shape
    low = float(v.min())
    top = 2.0 * float(np.square(y - y.mean()).sum()) + float(v.max())
    grid = np.concatenate([[0.0], low * np.expm1(np.linspace(0.0, math.log1p(top / low), 200))[1:]])
    q, _, logs = _gram_schmidt(y, X, v, grid)
    for method in METHODS:
        fit = kernel.fit(y, v, method=method, design=X)
        values = (fit.tau2, fit.beta, fit.cov, fit.q, fit.rss, fit.vt, fit.loglik, fit.i2, fit.h2, fit.scale)
        assert all(np.isfinite(x).all() for x in values), method
        tau2 = float(fit.tau2[0])
        assert tau2 >= 0.0 if len(y) > p else tau2 == 0.0
        assert (np.diagonal(fit.cov[0]) > 0.0).all()
        found_q, slope, found_logs = (float(x[0]) for x in _gram_schmidt(y, X, v, np.array([tau2])))
        room = 1e-9 * (tau2 + low) * slope + 1e-10 * k
        if method == "REML" and k > p:
            likelihood, found = -(logs + q) / 2, -(found_logs + found_q) / 2
            assert float(likelihood.max()) - found <= 1e-9 * max(1.0, abs(found)), (method, tau2)
        elif method in ("PM", "PMM") and k > p:
            target = k - p if method == "PM" else float(chi2.ppf(0.5, k - p))
            assert found_q - target <= room, (method, tau2)
            assert tau2 == 0.0 or target - found_q <= room, (method, tau2)


def _check_interval(y: Array, v: Array, X: Array) -> None:
    """Both ends of the Q-profile interval solve their equation, or are 0 where Q(0) is below already."""
    free = X.shape[0] - X.shape[1]
    for p in (0.975, 0.025):
        goal = float(chi2.ppf(p, free))
        tau2 = float(kernel.q_profile(y, v, target=[goal], design=X)[0])
        q, slope, _ = (float(x[0]) for x in _gram_schmidt(y, X, v, np.array([tau2])))
        room = 1e-9 * (tau2 + float(v.min())) * slope + 1e-10 * len(y)
        assert q - goal <= room
        assert tau2 == 0.0 or goal - q <= room


def _regressions(hard_input: HardInput, seed: int, kind: int, count: int) -> dict[str, int]:
    rng = np.random.default_rng([seed, kind])
    seen = {"fitted": 0, "refused": 0}
    for _ in range(count):
        y, v = hard_input(rng, kind)
        X, dependent = _design(rng, len(y), v)
        refusal = _refusal(kernel.fit, y, v, design=X)
        if refusal is None:
            assert not dependent
            _check_regression(y, v, X)
            if len(y) > X.shape[1]:
                _check_interval(y, v, X)
            seen["fitted"] += 1
        else:
            assert any(reason in refusal for reason in ("cannot determine", "independent", "zero throughout"))
            seen["refused"] += 1
    return seen


def _refusal(work: Callable[..., object], *args: object, **options: object) -> str | None:
    """The message of the error that some work ends in; errors of use and of Python are not among them."""
    try:
        work(*args, **options)
    except ModelError as error:
        return str(error)
    return None


def test_precise_studies_alike_in_their_moderator(hard_input: HardInput) -> None:
    """Studies of tiny variance and almost equal moderators once cost Q at a large tau2 its fifth digit."""
    rng = np.random.default_rng([17, 1])
    for _ in range(1212):
        y, v = hard_input(rng, 1)
        X, _ = _design(rng, len(y), v)
    _check_regression(y, v, X)
    _check_interval(y, v, X)
    assert kernel.fit(y, v, method="PM", design=X).tau2[0] == pytest.approx(59.02, abs=0.03)


@pytest.mark.parametrize("kind", range(KINDS))
def test_regressions(hard_input: HardInput, kind: int) -> None:
    seen = _regressions(hard_input, 13, kind, 12)
    assert min(seen.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", range(KINDS))
def test_many_regressions(hard_input: HardInput, kind: int) -> None:
    seen = _regressions(hard_input, 17, kind, 250)
    assert min(seen.values()) > 25


# counts ----------------------------------------------------------------------------------------------------


def _counts(rng: np.random.Generator) -> EventCounts:
    """Trials with rare events, none at all, or nothing but events; groups from one person up."""
    k = int(rng.choice([1, 2, 3, 5, 12]))
    n1, n2 = (rng.integers(1, 10 ** int(rng.integers(1, 5)) + 1, k) for _ in range(2))
    risk = rng.choice([0.0, 1e-3, 0.05, 0.5, 0.97, 1.0], size=2)
    return EventCounts.of(rng.binomial(n1, risk[0]), n1, rng.binomial(n2, risk[1]), n2)


def _pooled(events: EventCounts) -> list[EventResult | None]:
    models = [*(MantelHaenszel(measure=m) for m in ("OR", "RR", "RD")), Peto()]
    models.append(MantelHaenszel(measure="RD", variance="GR"))
    refusals = [_refusal(model.fit, events) for model in models]
    assert all(text is None or len(text) > 30 for text in refusals)  # it says why
    return [model.fit(events) if text is None else None for model, text in zip(models, refusals, strict=True)]


def _check_counts(events: EventCounts) -> int:
    answers = 0
    a, n1, c, n2 = events.a, events.n1, events.c, events.n2
    n = n1 + n2
    by_hand = (
        (a * (n2 - c) / n).sum(),
        (c * (n1 - a) / n).sum(),
        (a * n2 / n).sum(),
        (c * n1 / n).sum(),
    )
    for place, result in enumerate(_pooled(events)):
        if result is None:
            continue
        answers += 1
        assert math.isfinite(result.estimate)
        assert result.se >= 0.0
        assert np.isfinite(result.weights).all()
        assert all(math.isfinite(x) for x in (*result.ci(), result.q, result.q_pvalue, result.pvalue))
        if place == 0:
            assert result.estimate == pytest.approx(math.log(by_hand[0] / by_hand[1]), abs=1e-12)
        elif place == 1:
            assert result.estimate == pytest.approx(math.log(by_hand[2] / by_hand[3]), abs=1e-12)
        elif place in (2, 4):
            rd = float((n1 * n2 / n * (a / n1 - c / n2)).sum() / (n1 * n2 / n).sum())
            assert result.estimate == pytest.approx(rd, abs=1e-13)
    return answers


def test_counts() -> None:
    rng = np.random.default_rng(19)
    answers = sum(_check_counts(_counts(rng)) for _ in range(400))
    assert 800 < answers < 2000


@pytest.mark.slow
def test_many_tables_of_counts() -> None:
    rng = np.random.default_rng(23)
    answers = sum(_check_counts(_counts(rng)) for _ in range(5_000))
    assert 10_000 < answers < 25_000
