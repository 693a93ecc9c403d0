"""A small share of the benchmark of planted errors: shares found and false alarms hold."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mtmeta.audit.hunt import Limits

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def planted() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hunt_planted", ROOT / "benchmarks" / "hunt_planted.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hunt_planted"] = module
    spec.loader.exec_module(module)
    return module


def test_planted_errors_are_found_and_clean_rows_left_alone(planted: ModuleType) -> None:
    """Nine of ten plants that something printed can give away; at most 3 alarms per 100 clean rows."""
    rng = np.random.default_rng(20)
    results = [planted.batch(kind, rng, Limits(), 150) for kind in [*planted.KINDS, "duplicated row"]]
    detectable = [p for found, _, _ in results for p in found if p.redundant]
    alarms, rows = sum(r[1] for r in results), sum(r[2] for r in results)
    assert len(detectable) >= 45
    assert sum(p.found for p in detectable) >= 0.9 * len(detectable)
    assert 100 * alarms <= 3 * rows


def test_more_evidence_asked_for_means_fewer_findings(planted: ModuleType) -> None:
    counts = []
    for factor in (0.3, 1.0, 3.0):
        rng = np.random.default_rng(21)
        clean = [planted.clean_trial(rng, i) for i in range(120)]
        dirty, _ = planted.plant("se for sd", rng, clean)
        counts.append(len(planted.alarms(dirty, planted.loosened(factor))))
    assert counts[0] > counts[1] >= counts[2]
