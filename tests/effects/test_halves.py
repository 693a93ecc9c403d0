"""One half is added where the calculators add it, and nowhere without a word."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtmeta.effects.frame import RECIPES
from mtmeta.effects.halves import COLUMN, halved
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import DataWarning, MtmetaError
from mtmeta.measures import MEASURES
from mtmeta.models.pool import RandomEffects
from mtmeta.models.regression import MetaRegression

FAMILIES = {
    "a n1 c n2": {
        "a": [0, 3, 5, 20, 0, 20, 2, 0],
        "n1": [20, 20, 9, 20, 10, 20, 30, 25],
        "c": [4, 5, 0, 3, 0, 20, 30, 25],
        "n2": [20, 20, 9, 20, 10, 20, 30, 25],
    },
    "x n": {"x": [0, 3, 20], "n": [20, 20, 20]},
    "x t": {"x": [0, 3, 5], "t": [20.5, 20, 9]},
    "x1 t1 x2 t2": {"x1": [0, 3, 5, 0], "t1": [20, 20, 9, 4], "x2": [4, 5, 0, 0], "t2": [20, 20, 9, 7]},
}


@pytest.mark.parametrize("code", [c for c in RECIPES if MEASURES[c].needs in FAMILIES])
@pytest.mark.parametrize("zero_cells", ["metafor", "RevMan"])
def test_flags_are_what_the_calculators_do(code: str, zero_cells: str) -> None:
    """A row alone, with and without the rule: it differs, or has no value without, just where flagged."""
    family = FAMILIES[MEASURES[code].needs]
    if zero_cells == "RevMan" and "a" not in family:
        pytest.skip("RevMan has no rule for one group or rates")
    data = {name: np.array(values, dtype=float) for name, values in family.items()}
    flags = halved(code, data, zero_cells)
    for i in range(len(data[next(iter(data))])):
        row = {name: values[i : i + 1] for name, values in data.items()}
        try:
            plain = np.array(RECIPES[code].compute(row, "LS", "none"))
        except MtmetaError:
            plain = None
        try:
            ruled = np.array(RECIPES[code].compute(row, "LS", zero_cells))
        except MtmetaError:  # a measure without any value there, such as phi without events
            assert flags is None
            continue
        if np.isnan(ruled).any():  # left out by RevMan's rule: nothing is added
            assert flags is not None
            assert not flags[i]
            continue
        changed = plain is None or not np.array_equal(plain, ruled)
        assert changed == (flags is not None and bool(flags[i])), (code, i)


def test_rows_without_events_are_left_out_of_converted_odds_ratios_too() -> None:
    df = pd.DataFrame({"a": [0, 3, 5], "n1": [20, 30, 40], "c": [0, 6, 9], "n2": [20, 30, 40]})
    with pytest.warns(DataWarning, match="not estimable"):
        es = EffectSizes.from_frame(df, "OR2DL", zero_cells="RevMan")
    assert es.k == 2
    np.testing.assert_array_equal(es.yi, EffectSizes.from_frame(df.iloc[1:], "OR2DL").yi)


def test_the_result_says_it() -> None:
    df = pd.DataFrame({"study": ["Kim", "Lee", "Ode"], "a": [0, 3, 5], "n1": [20, 30, 40], "c": [4, 6, 9]})
    df = df.assign(n2=df["n1"], x=[1.0, 2.0, 4.0])
    es = EffectSizes.from_frame(df, "OR", moderators="x")
    assert es.half_added == ("Kim",)
    assert es.columns is not None
    assert es.columns[COLUMN].tolist() == [True, False, False]
    said = "One half was added to the counts of 1 of 3 studies (Kim), of which one is 0."
    assert RandomEffects().fit(es).methods.endswith(said)
    assert MetaRegression("x", tau2="DL").fit(es).methods.endswith(said)
    whole = EffectSizes.from_frame(df.iloc[1:], "OR")
    assert whole.half_added == ()
    assert whole.columns is not None
    assert COLUMN not in whole.columns
    assert "half" not in RandomEffects().fit(whole).methods
    assert EffectSizes.of([0.1, 0.2], [0.1, 0.2]).half_added == ()
