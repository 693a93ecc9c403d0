"""Reference numbers for the diagnostics: metafor 5.1-12 (given) and 3.8-1 with base R (make_bias.R)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mtmeta.effects.table import EffectSizes

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
_NAMES = {
    "id", "method", "test", "model", "predictor", "estimator", "side", "on", "alternative", "R", "metafor",
    "jsonlite", "why",
}  # fmt: skip


def _numbers(value: Any, key: str = "") -> Any:
    """Turn the strings of 17 digits into numbers; names stay strings."""
    if key in _NAMES:
        return value
    if isinstance(value, dict):
        return {name: _numbers(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    return float(value) if isinstance(value, str) else value


@cache
def _generated() -> Any:
    with gzip.open(REFERENCE / "bias_generated.json.gz", "rt") as file:
        return _numbers(json.load(file))


@cache
def _given(name: str) -> Any:
    return json.loads((REFERENCE / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def generated() -> Any:
    """What make_bias.R wrote."""
    return _generated()


@pytest.fixture(scope="session")
def given() -> Callable[[str], Any]:
    """Rows of metafor 5.1-12 by data set: "bias" or "influence"."""
    return lambda name: {row["id"]: row for row in _given(name)[name]}


@pytest.fixture(scope="session")
def data() -> Callable[[str], EffectSizes]:
    """Effects by data set, of pool.json or of make_bias.R."""
    sets = {d["id"]: d for d in [*_given("pool")["data"], *_generated()["data"]]}

    def table(name: str) -> EffectSizes:
        one = sets[name]
        return EffectSizes.of(one["yi"], one["vi"], n=one.get("ni"))

    return table


@pytest.fixture(scope="session")
def bcg() -> EffectSizes:
    """BCG vaccine, log relative risks of the 2x2 tables (Viechtbauer 2010, J Stat Softw 36(3), p. 12)."""
    from mtmeta.effects.binary import risk_ratio

    a = [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27]
    b = [119, 300, 228, 13536, 5036, 1361, 2537, 87886, 7470, 1699, 50448, 2493, 16886]
    c = [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29]
    d = [128, 274, 209, 12619, 5761, 1079, 619, 87892, 7232, 1600, 27197, 2338, 17825]
    n1 = [x + y for x, y in zip(a, b, strict=True)]
    n2 = [x + y for x, y in zip(c, d, strict=True)]
    y, v = risk_ratio(a, n1, c, n2)
    return EffectSizes.of(y, v, "RR", n1=n1, n2=n2)
