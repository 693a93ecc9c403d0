"""Reference numbers and how close a computed value has to be to a printed one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

REFERENCE = Path(__file__).resolve().parents[1] / "reference"


def load(name: str) -> Any:
    path = REFERENCE / name
    if path.suffix == ".gz":
        with gzip.open(path, "rt") as file:
            return json.load(file)
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def as_printed() -> Callable[[float, str], None]:
    """Assert that a value, rounded, is the printed one: half a unit in the last digit is allowed."""

    def check(value: float, printed: str) -> None:
        number = Decimal(printed)
        unit = Decimal(1).scaleb(int(number.as_tuple().exponent))
        assert abs(Decimal(float(value)) - number) <= unit / 2 + Decimal("1e-13"), (value, printed)

    return check
