"""Simulation-based calibration: the committed results, and a share of them made again."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[3]
REPORT = json.loads((ROOT / "docs" / "bayes_calibration.json").read_text(encoding="utf-8"))


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "bayes_calibration", ROOT / "tools" / "bayes_calibration.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_ranks_are_uniform() -> None:
    designs = REPORT["designs"]
    assert len(designs) == 8
    worst = []
    for design in designs:
        for name, counts in design["counts"].items():
            assert sum(counts) == REPORT["replications"] >= 1000
            worst.append(stats.chisquare(counts).pvalue)
            assert worst[-1] == pytest.approx(design["chi2_pvalue"][name], abs=1e-4)
            worst.append(design["ks_pvalue"][name])
    # 64 tests: the smallest p-value of uniform ranks is below this once in 200 such tables
    assert min(worst) > 0.005 / len(worst)


def test_committed_inclusion_probabilities_are_met() -> None:
    average = REPORT["average"]
    for part in ("effect", "heterogeneity"):
        assert abs(average[f"{part}_z"][0]) < 3
        for said, true, n in zip(*(average[f"{part}_{x}"] for x in ("said", "true", "n")), strict=True):
            assert abs(said - true) < 4 * np.sqrt(said * (1 - said) / n)


@pytest.mark.slow
@pytest.mark.parametrize("design", range(8))
def test_ranks_again(design: int) -> None:
    tool = script()
    mu, tau, k = tool.DESIGNS[design]
    committed = REPORT["designs"][design]
    assert (committed["mu"], committed["tau"], committed["k"]) == (mu, tau, k)
    found = tool.ranks(mu, tau, k, 60, seed=20_000 + design)
    for values in found.values():
        assert stats.kstest(values, "uniform").pvalue > 1e-4
