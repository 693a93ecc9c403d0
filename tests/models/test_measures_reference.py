"""Every measure, estimator and interval from raw data on, against metafor (make_measures.R), cell by cell.

What the grid holds is read from the package's own lists, so that a new measure, estimator or interval
without a reference is named here.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from mtmeta.effects.frame import RECIPES, REPORTED
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import MEASURES, Interval
from mtmeta.models.pool import CI_METHODS, PoolResult, RandomEffects
from mtmeta.models.predict import PI_RULES
from mtmeta.models.result import Tau2Interval
from mtmeta.models.tau2 import TAU2_METHODS

CLOSED, ROOT, OPTIMISER = 1e-11, 1e-9, 1e-7
TOLERANCE = {"ML": OPTIMISER, "REML": OPTIMISER, "EB": ROOT, "PM": ROOT, "PMM": ROOT}
EFFECT = 1e-10  # metafor's factor J is a difference of two logarithms of gamma functions
FILE = "reference/measures.json.gz"
Load = Callable[[str], Any]

# a mean's interval that an estimator cannot have: the model refuses the pair
REFUSED = {(m, ci) for m in TAU2_METHODS for ci, only in (("PL", "ML"), ("KR", "REML")) if m != only}
# intervals of tau2 and rules of prediction that metafor does not have: where they are held instead
ELSEWHERE = {
    "BJ": "test_pool_intervals: metafor's GENQ weights",
    "J": "test_pool_intervals: metafor's GENQ weights",
    "BT": "test_pool_intervals: Viechtbauer 2007, printed",
    "SJ": "test_pool_intervals: Viechtbauer 2007, printed",
    "bootstrap": "test_pool_intervals: pimeta, printed",
}
SETS = 60


# the grid --------------------------------------------------------------------------------------------------


def _pairs() -> list[tuple[str, str]]:
    """Estimators and intervals of the mean that go together, as the model itself sees it."""
    allowed = []
    for pair in itertools.product(TAU2_METHODS, CI_METHODS):
        try:
            RandomEffects(tau2=pair[0], ci=pair[1])
        except UsageError:
            assert pair in REFUSED, f"{pair} is refused and the test does not know why"
        else:
            allowed.append(pair)
    return allowed


def _wanted() -> set[str]:
    cells = {f"{m} {tau2} {ci}" for (tau2, ci), m in itertools.product(_pairs(), MEASURES)}
    for measure in MEASURES:
        cells |= {f"{measure} {t} PI {rule}" for t in ("DL", "REML") for rule in PI_RULES}
        cells |= {f"{measure} tau2 {kind}" for kind in get_args(Tau2Interval)}
    return {cell for cell in cells if cell.split()[-1] not in ELSEWHERE}


def _there(reference: Any) -> set[str]:
    cells = set()
    for row in reference["pooled"]:
        measure = row["measure"]
        for tau2, fit in row["fits"].items():
            cells |= {f"{measure} {tau2} {ci}" for ci in CI_METHODS if ci in fit and "est" in fit}
            cells |= {f"{measure} {tau2} PI {rule}" for rule in fit.get("pi", {})}
        cells |= {f"{measure} tau2 {kind}" for kind in row["tau2_ci"]}
    return cells


def _missing(reference: Any) -> list[str]:
    return sorted(_wanted() - _there(reference))


def test_the_grid_is_complete(load: Load) -> None:
    reference = load(FILE)
    assert set(MEASURES) == set(RECIPES) | set(REPORTED)
    assert _missing(reference) == []
    used = {row["id"] for row in reference["pooled"]}
    assert used == {d["id"] for d in reference["data"]}
    assert len(used) >= SETS
    for measure in MEASURES:
        assert sum(row["measure"] == measure for row in reference["pooled"]) >= 2, measure


def test_a_cell_without_a_reference_is_named(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = copy.deepcopy(load(FILE))
    for row in reference["pooled"]:
        if row["measure"] == "SMDH":
            del row["fits"]["PM"]["HKSJ"]
    assert _missing(reference) == ["SMDH PM HKSJ"]
    monkeypatch.setitem(MEASURES, "NEW", MEASURES["SMD"])
    assert {cell.split()[0] for cell in _missing(load(FILE))} == {"NEW"}


# every cell ------------------------------------------------------------------------------------------------


def _frame(reference: Any, row: Any) -> pd.DataFrame:
    return pd.DataFrame(next(d["columns"] for d in reference["data"] if d["id"] == row["id"]))


def _close(got: float, want: float, tolerance: float, scale: float, what: str) -> None:
    assert abs(got - want) <= tolerance * scale, (what, got, want)


def _close_both(got: Interval, want: list[float], tolerance: float, scale: float, what: str) -> None:
    for ours, theirs in zip(got, want, strict=True):
        _close(ours, theirs, tolerance, scale, what)


def _check_mean(fit: PoolResult, numbers: list[float], tolerance: float, unit: float, what: str) -> None:
    """Standard error, p-value and limits; of a profile likelihood its limits alone."""
    ours = fit.ci()
    if len(numbers) == 2:
        _close_both(ours, numbers, OPTIMISER, max(unit, ours.width), what)
        return
    _close(fit.se, numbers[0], tolerance, unit, what)
    _close(fit.pvalue, numbers[1], tolerance, 1.0, what)
    _close_both(ours, numbers[2:4], tolerance, max(unit, ours.width), what)


@pytest.mark.parametrize("measure", MEASURES)
def test_metafor(load: Load, measure: str) -> None:
    reference = load(FILE)
    for row in (r for r in reference["pooled"] if r["measure"] == measure):
        es = EffectSizes.from_frame(_frame(reference, row), measure)
        np.testing.assert_allclose(es.yi, row["yi"], rtol=EFFECT, atol=1e-13)
        np.testing.assert_allclose(es.vi, row["vi"], rtol=EFFECT)
        least = float(es.vi.min())
        for tau2, ci in _pairs():
            numbers = row["fits"][tau2]
            if ci not in numbers:
                continue  # of the slow profile the smaller sets only; the grid above asks for each measure
            model = RandomEffects(tau2=tau2, ci=ci)  # type: ignore[arg-type]
            if ci == "KR" and numbers[ci][4] < 0.1:  # degrees of freedom that no t distribution can use
                with pytest.raises(ModelError, match="degrees of freedom"):
                    model.fit(es)
                continue
            fit = model.fit(es)
            what = f"{row['id']} {measure} {tau2} {ci}"
            tolerance = TOLERANCE.get(tau2, CLOSED)
            unit = fit.se_classic + 1e-3 * float(np.abs(es.yi).max())
            if ci == "Wald":
                _close(fit.tau2, numbers["tau2"], tolerance, max(numbers["tau2"], least), what)
                _close(fit.estimate, numbers["est"], tolerance, unit, what)
            _check_mean(fit, numbers[ci], tolerance, unit, what)
            if ci == "HKSJ":
                for rule, limits in numbers.get("pi", {}).items():
                    got = fit.pi(method=rule)
                    _close_both(got, limits, tolerance, max(unit, got.width), f"{what} {rule}")
        _check_tau2(es, row, least)


def _check_tau2(es: EffectSizes, row: Any, least: float) -> None:
    for kind, theirs in row["tau2_ci"].items():
        for tau2, limits in (theirs if isinstance(theirs, dict) else {"DL": theirs}).items():
            ours = RandomEffects(tau2=tau2).fit(es).tau2_ci(method=kind)
            tolerance = ROOT if kind == "QP" else OPTIMISER
            for got, want in zip(ours, limits, strict=True):
                what = f"{row['id']} {row['measure']} tau2 {tau2} {kind}"
                _close(got, want, tolerance, max(want, least), what)
