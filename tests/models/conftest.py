"""Reference numbers for the models, and how close a value has to be to a printed one."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[np.float64]
TESTS = Path(__file__).resolve().parents[1]
_NAMES = {
    "id",
    "method",
    "type",
    "measure",
    "mods",
    "R",
    "metafor",
    "jsonlite",
    "methods",
    "intervals",
    "why",
    "clubSandwich",
    "model",
    "struct",
    "terms",
    "formula",
    "outcome",
    "scale",
    "lme4",
    "BiasedUrn",
    "g",
    "family",
    "what",
    "sign",
    "metadat",
}


def _numbers(value: Any, key: str = "") -> Any:
    """Numbers are written as strings of 17 digits; names stay strings."""
    if key in _NAMES:
        return value
    if isinstance(value, dict):
        return {name: _numbers(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    return float(value) if isinstance(value, str) else value


@cache
def _load(name: str) -> Any:
    path = TESTS / name
    if path.suffix == ".gz":
        with gzip.open(path, "rt") as file:
            return _numbers(json.load(file))
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def load() -> Callable[[str], Any]:
    """Read a file of references below tests/."""
    return _load


@pytest.fixture(scope="session")
def as_printed() -> Callable[[float, str], None]:
    """Assert that a value, rounded, is the printed one: half a unit in the last digit is allowed."""

    def check(value: float, printed: str) -> None:
        number = Decimal(printed)
        unit = Decimal(1).scaleb(int(number.as_tuple().exponent))
        assert abs(Decimal(float(value)) - number) <= unit / 2 + Decimal("1e-13"), (value, printed)

    return check


def _hard_input(rng: np.random.Generator, kind: int) -> tuple[Array, Array]:
    """One meta-analysis of a kind that makes programs fail."""
    k = int(rng.choice([2, 2, 3, 4, 5, 8, 13, 30]))
    if kind == 0:  # ordinary
        v = rng.uniform(0.01, 0.5, k)
        return rng.normal(0.3, np.sqrt(v + rng.choice([0.0, 0.05, 1.0]))), v
    if kind == 1:  # variances over 12 orders, effects on a scale of their own
        v = 10.0 ** rng.uniform(-9, 3, k)
        return rng.normal(0, 1, k) * 10.0 ** rng.uniform(-6, 3), v
    if kind == 2:  # variances over 12 orders, homogeneous
        v = 10.0 ** rng.uniform(-9, 3, k)
        return rng.normal(0, np.sqrt(v)), v
    if kind == 3:  # ties, also in the effects
        return np.round(rng.normal(0, 0.5, k), 1), np.full(k, rng.choice([0.01, 0.1, 0.5]))
    if kind == 4:  # one dominating study
        v = rng.uniform(0.1, 1, k)
        v[rng.integers(k)] = 10.0 ** rng.uniform(-12, -3)
        return rng.normal(0, 1, k), v
    if kind == 5:  # a few scales of precision
        v = 10.0 ** rng.choice([-8.0, -4.0, 0.0], k)
        return rng.normal(0, np.sqrt(v) * rng.choice([0.3, 1.0, 3.0])), v
    if kind == 6:  # effects that grow with their errors
        v = 10.0 ** rng.uniform(-6, 0, k)
        return rng.normal(0, v ** rng.uniform(0, 0.5)), v
    if kind == 7:  # huge tau2, or effects far from zero
        v = rng.uniform(0.01, 0.5, k)
        return rng.normal(10.0 ** rng.integers(0, 6), 10.0 ** rng.uniform(0, 6), k), v
    if kind == 8:  # all equal, or all but one
        y = np.full(k, round(float(rng.normal()), 1))
        y[-1] += rng.choice([0.0, 1e-9, 1.0])
        return y, rng.uniform(0.01, 0.5, k)
    v = np.full(k, 0.1)  # tau2 right at the boundary
    y = np.resize([-1.0, 1.0], k) * math.sqrt(0.1 * (1.0 + rng.choice([-1e-9, 0.0, 1e-9])))
    return y, v


@pytest.fixture(scope="session")
def hard_input() -> Callable[[np.random.Generator, int], tuple[Array, Array]]:
    """Draw effects and variances of one of ten kinds that make programs fail."""
    return _hard_input
