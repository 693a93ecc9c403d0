"""Reference numbers for the models, and how close a value has to be to a printed one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

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
