"""The compiled path beside the numpy path: hard inputs, every estimator, every shape, threads, the switch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from mtmeta.diagnostics import gosh as gosh_module
from mtmeta.diagnostics.gosh import gosh
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models import compiled, kernel
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.models.tau2 import TAU2_METHODS

Array = npt.NDArray[np.float64]
HardInput = Callable[[np.random.Generator, int], tuple[Array, Array]]
KINDS = 10
FIELDS = ("beta", "cov", "q", "rss", "vt", "loglik", "loglik_reml", "k")


def same(a: kernel.KernelFit, b: kernel.KernelFit, vmin: Array | float) -> None:
    """Hold tau2 to 1e-12 of itself and the smallest variance, and what follows from it to the same."""
    assert (np.abs(a.tau2 - b.tau2) <= 1e-12 * (a.tau2 + vmin)).all()
    se = np.sqrt(a.cov[:, 0, 0])
    assert (np.abs(a.estimate - b.estimate) <= 1e-12 * (np.abs(a.estimate) + se)).all()
    for name in FIELDS[1:]:
        left, right = getattr(a, name), getattr(b, name)
        assert left.shape == right.shape
        # log-likelihoods are differences of larger sums
        np.testing.assert_allclose(left, right, rtol=1e-11, atol=1e-11 if "log" in name else 0.0)
    assert b.p == 1


def both(*args: Any, vmin: Array | float, **options: Any) -> kernel.KernelFit:
    plain = kernel.fit(*args, compiled=False, **options)
    same(plain, kernel.fit(*args, compiled=True, **options), vmin)
    return plain


def hard(hard_input: HardInput, seed: int, kind: int, count: int) -> None:
    rng = np.random.default_rng([seed, kind])
    for _ in range(count):
        y, v = hard_input(rng, kind)
        for method in TAU2_METHODS:
            both(y, v, method=method, vmin=v.min())


@pytest.mark.extra
@pytest.mark.parametrize("kind", range(KINDS))
def test_hard_inputs(hard_input: HardInput, kind: int) -> None:
    hard(hard_input, 7, kind, 40)


@pytest.mark.extra
@pytest.mark.slow
@pytest.mark.parametrize("kind", range(KINDS))
def test_three_thousand_hard_inputs(hard_input: HardInput, kind: int) -> None:
    hard(hard_input, 11, kind, 300)  # with 2000 of each kind it has been run once


@pytest.mark.extra
@pytest.mark.parametrize("method", TAU2_METHODS)
def test_every_subset_of_hard_sets(hard_input: HardInput, method: str) -> None:
    """Subsets of one effect too: tau2 0."""
    rng = np.random.default_rng(23)
    for kind in range(KINDS):
        y, v = hard_input(rng, kind)
        y, v = y[:9], v[:9]
        present = (np.arange(1, 2 ** len(y))[:, None] >> np.arange(len(y)) & 1).astype(bool)
        vmin = np.where(present, v, np.inf).min(axis=1)
        both(y, v, present=present, method=method, vmin=vmin)


@pytest.mark.extra
def test_shapes() -> None:
    rng = np.random.default_rng(1)
    y, v = rng.normal(0, 1, (40, 9)), rng.uniform(0.05, 0.5, (40, 9))
    mask = rng.random((40, 9)) < 0.7
    mask[:, 0] = True
    for options in ({}, {"method": "ML"}, {"tau2": 0.0}, {"tau2": rng.uniform(0, 1, 40)}):
        both(y, v, vmin=v.min(axis=1), **options)
        both(y, v[0], vmin=v[0].min(), **options)
        both(y[0], v, vmin=v.min(axis=1), **options)
        both(y[0], v, present=mask, vmin=v.min(), **options)
        both(y.T.copy().T, v, present=mask[0], vmin=v.min(), **options)
        both(y, v[::1, ::-1], present=mask, vmin=v.min(), **options)
    assert kernel.fit(y[0], v[0], compiled=True).tau2.shape == (1,)


@pytest.mark.extra
@pytest.mark.parametrize(
    ("method", "y", "inside"),
    [
        ("ML", [0.4, 1.3, 0.9, -0.7, -1.3], False),
        ("ML", [-1.0, -0.2, -0.2, 0.5, 0.2], True),
        ("REML", [-0.3, -0.5, -1.5, -0.6, 1.2], False),
        ("REML", [0.4, -0.7, -0.1, 0.8, 1.5], True),
    ],
)
def test_the_higher_of_two_maxima(method: str, y: list[float], inside: bool) -> None:
    v = np.array([1e-4, 0.3, 0.4, 0.2, 0.5])
    plain = both(y, v, method=method, vmin=1e-4)
    assert (plain.tau2[0] > 0.0) == inside


@pytest.mark.extra
def test_no_answer_is_told_as_without_it() -> None:
    for y, v, present in (
        ([0.1, 0.2], [1e-70, 1e50], None),
        ([0.1, 1e80], [0.1, 0.1], None),
        ([0.1, 0.2], [0.1, 0.1], [[True, False], [False, False]]),
    ):
        told = []
        for choice in (False, True):
            with pytest.raises(ModelError) as error:
                kernel.fit(y, v, present=present, compiled=choice)
            told.append(str(error.value))
        assert told[0] == told[1]


@pytest.mark.extra
def test_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_SHARE", 500)
    rng = np.random.default_rng(4)
    y, v = rng.normal(0, 1, 14), rng.uniform(0.01, 0.5, 14)
    present = rng.random((5001, 14)) < 0.5
    present[:, 3] = True
    one = compiled.fit_compiled(y, v, present, rows=5001, method="REML", threads=1)
    assert one is not None
    for threads in (2, 3, 7, None):
        other = compiled.fit_compiled(y, v, present, rows=5001, method="REML", threads=threads)
        assert other is not None
        assert one.tobytes() == other.tobytes()
    alone = [
        compiled.fit_compiled(y, v, present[b], rows=1, method="REML") for b in range(5)
    ]  # nor do neighbours
    assert np.concatenate([x for x in alone if x is not None], axis=1).tobytes() == one[:, :5].tobytes()


@pytest.mark.extra
@pytest.mark.parametrize("model", [RandomEffects("REML"), RandomEffects("PM", ci="HKSJ"), CommonEffect()])
def test_gosh(model: RandomEffects | CommonEffect, monkeypatch: pytest.MonkeyPatch) -> None:
    """All subsets of 13, both ways; and in several processes, each of them both ways."""
    rng = np.random.default_rng(9)
    vi = rng.uniform(0.01, 0.3, 13)
    es = EffectSizes.of(rng.normal(0.2, np.sqrt(vi + 0.05)), vi, "SMD")
    plain, fast = (gosh(model, es, compiled=choice) for choice in (False, True))
    room = 1e-12 * (plain["tau2"] + vi.min())
    assert ((plain["tau2"] - fast["tau2"]).abs() <= room).all()
    pd.testing.assert_frame_equal(plain, fast, rtol=1e-11, atol=1e-13)
    monkeypatch.setattr(gosh_module, "_CHUNK", 1000)
    pd.testing.assert_frame_equal(fast, gosh(model, es, compiled=True, cluster=2), check_exact=True)


@pytest.mark.extra
def test_large_questions_take_it_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled.pays(1 << 20, 20)
    assert not compiled.pays(1 << 13, 13)
    assert compiled.pays(1, 2, True)
    assert not compiled.pays(1 << 20, 20, False)
    assert not compiled.pays(1 << 20, 10_000, True)
    monkeypatch.setenv(compiled.SWITCH, "0")
    assert not compiled.pays(1 << 20, 20)
    monkeypatch.setenv(compiled.SWITCH, "1")
    monkeypatch.setattr(compiled, "_ENOUGH", 1000)
    es = EffectSizes.of(np.linspace(-1, 1, 8), np.linspace(0.1, 0.9, 8), "SMD")
    pd.testing.assert_frame_equal(
        gosh(RandomEffects(), es), gosh(RandomEffects(), es, compiled=True), check_exact=True
    )


@pytest.mark.extra
def test_code_that_cannot_be_kept_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the package's folder nor the user's can be written: numba refuses to cache."""
    rows = importlib.import_module("mtmeta.models.compiled_rows")
    real, asked = rows.njit, []

    def refusing(**options: Any) -> Any:
        asked.append(options.get("cache", False))
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(rows, "njit", refusing)
    assert rows._outer(_double)(2.0) == 4.0
    assert asked == [True, False]


def _double(x: float) -> float:
    return 2.0 * x


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    assert not compiled.available()
    assert not compiled.pays(1 << 20, 20)
    with pytest.raises(UsageError, match=r"pip install numba"):
        kernel.fit([0.1, 0.2], [0.1, 0.1], compiled=True)
    es = EffectSizes.of([0.1, 0.2, 0.4], [0.1] * 3, "SMD")
    with pytest.raises(UsageError, match=r"pip install numba"):
        gosh(RandomEffects(), es, compiled=True)


class Mean:
    """A model of someone else's."""

    def fit(self, es: EffectSizes) -> Any:
        class Result:
            estimate, se, k = float(es.yi.mean()), 1.0, es.k

            def ci(self, level: float) -> tuple[float, float]:
                return -1.0, 1.0

        return Result()


def test_models_fitted_one_by_one_do_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that the kernel does not refit in batches has no compiled way."""
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    es = EffectSizes.of([0.1, 0.2, 0.4], [0.1] * 3, "SMD")
    assert len(gosh(Mean(), es, compiled=True)) == 7
