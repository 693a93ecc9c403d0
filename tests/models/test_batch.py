"""Many meta-analyses at once, and the simulated coverage that rests on them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.models.batch import mean_limits, pool_many, prediction_limits
from mtmeta.models.pool import RandomEffects

ROOT = Path(__file__).resolve().parents[2]


def test_every_row_is_its_own_pool_result() -> None:
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 30, 60)
    present = np.arange(30) < sizes[:, None]
    y, v = rng.normal(0.2, 0.6, present.shape), rng.uniform(0.02, 0.4, present.shape)
    many = pool_many(y, v, present=present, ci="HKSJ", pi="V")
    for i, k in enumerate(sizes):
        es = EffectSizes.of(y[i, :k], v[i, :k])
        if k == 1:
            assert np.isnan(many.ci[:, i]).all()
            assert np.isnan(many.tau2_ci[:, i]).all()
            assert np.isnan(many.pi[:, i]).all()
            continue
        one = RandomEffects(ci="HKSJ").fit(es)
        np.testing.assert_allclose(many.ci[:, i], one.ci(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(many.tau2_ci[:, i], one.tau2_ci(), rtol=1e-10, atol=1e-12)
        if k > 2:
            np.testing.assert_allclose(many.pi[:, i], one.pi(), rtol=1e-10, atol=1e-12)
        for ci in ("Wald", "HKSJ-floor", "auto"):
            expected = RandomEffects(ci=ci).fit(es).ci()
            np.testing.assert_allclose(
                mean_limits(many.fit, 0.95, ci)[:, i], expected, rtol=1e-10, atol=1e-12
            )
        for rule in ("HTS", "normal", "HK", "HK-PR") if k > 2 else ():
            expected = one.pi(0.9, method=rule)
            np.testing.assert_allclose(
                prediction_limits(many.fit, 0.9, rule)[:, i], expected, rtol=1e-10, atol=1e-12
            )


def test_unknown_choices() -> None:
    with pytest.raises(UsageError, match="ci='knha'"):
        pool_many([0.1, 0.2], [0.1, 0.1], ci="knha")
    with pytest.raises(UsageError, match="pi='riley'"):
        pool_many([0.1, 0.2], [0.1, 0.1], pi="riley")


def _simulation() -> ModuleType:
    script = ROOT / "benchmarks" / "coverage_simulation.py"
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("index", [2, 13, 22, 31])
def test_rows_of_the_coverage_table_can_be_made_again(index: int) -> None:
    page = ROOT / "docs" / "validation-coverage.md"
    simulation = _simulation()
    cell = simulation.CELLS[index]
    printed = next(
        line
        for line in page.read_text().splitlines()
        if line.startswith(f"| {cell.k} | {cell.i2}% | {cell.pattern} ")
    )
    found = simulation.simulate(cell, 10_000)
    ours = [float(x) for x in simulation.row_of(cell, found).split("|")[4:-1]]
    # another platform's rounding may move a replication across a limit, not more
    np.testing.assert_allclose(ours, [float(x) for x in printed.split("|")[4:-1]], atol=0.0011)


def test_hksj_holds_its_level_with_equal_variances() -> None:
    simulation = _simulation()
    for k in (3, 10):
        found = simulation.simulate(simulation.Cell(k, 80, "equal"), 10_000)
        assert abs(found["REML HKSJ"] - 0.95) < 4 * 0.0022
        assert abs(found["QP"] - 0.95) < 4 * 0.0022
        assert found["REML Wald"] < found["REML HKSJ"]
