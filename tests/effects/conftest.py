"""How close a computed value has to be to a printed one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest


@pytest.fixture(scope="session")
def as_printed() -> Callable[[float, str], None]:
    """Assert that a value, rounded, is the printed one: half a unit in the last digit is allowed."""

    def check(value: float, printed: str) -> None:
        number = Decimal(printed)
        unit = Decimal(1).scaleb(int(number.as_tuple().exponent))
        assert abs(Decimal(float(value)) - number) <= unit / 2 + Decimal("1e-13"), (value, printed)

    return check
