"""One door for raw data: what each error names, zero cells, and what is passed on."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtmeta.effects.frame import RECIPES
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import DataWarning, EffectError, UsageError
from mtmeta.measures import MEASURES

MEANS = pd.DataFrame(
    {
        "study": ["Ann 2001", "Bob 2002"],
        "m1": [10.0, 9.0],
        "sd1": [2.0, 2.5],
        "n1": [20, 30],
        "m2": [8.5, 9.5],
        "sd2": [3.0, 2.5],
        "n2": [25, 28],
        "year": [2001, 2002],
        "site": ["x", "y"],
    }
)
EVENTS = pd.DataFrame(
    {
        "study": ["none", "one", "some", "all", "full"],
        "a": [0, 0, 3, 20, 20],
        "n1": 20,
        "c": [0, 4, 5, 20, 5],
        "n2": 20,
    }
)


def test_columns_and_moderators_are_passed_on() -> None:
    es = EffectSizes.from_frame(MEANS, moderators=["year"], cluster="site")
    assert es.study == ("Ann 2001", "Bob 2002")
    assert es.cluster == ("x", "y")
    assert es.moderators is not None
    assert list(es.moderators.columns) == ["year"]
    assert es.columns is not None
    assert list(es.columns.columns) == ["m1", "sd1", "n1", "m2", "sd2", "n2"]
    assert es.n is not None
    assert es.n.tolist() == [45, 58]


def test_moderators_as_one_name_or_as_a_frame() -> None:
    one = EffectSizes.from_frame(MEANS, moderators="year")
    two = EffectSizes.from_frame(MEANS, moderators=MEANS[["year"]])
    assert one.moderators is not None
    assert two.moderators is not None
    assert one.moderators.equals(two.moderators)


def test_the_frame_is_not_changed() -> None:
    before = MEANS.copy()
    EffectSizes.from_frame(MEANS, moderators="year")
    assert MEANS.equals(before)


def test_an_index_that_is_not_a_range_does_no_harm() -> None:
    shuffled = MEANS.set_index(pd.Index(["Bob 2002", "Ann 2001"]))
    es = EffectSizes.from_frame(shuffled, moderators="year")
    assert es.moderators is not None
    assert es.moderators["year"].tolist() == [2001, 2002]


def test_without_a_study_column_rows_are_numbered() -> None:
    assert EffectSizes.from_frame(MEANS.drop(columns="study")).study == ("1", "2")
    assert EffectSizes.from_frame(MEANS, study=None).study == ("1", "2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"sd1": [2.0, 0.0]},
            r"study 'Bob 2002' \(row 2\): sd1 = 0: a standard deviation is above 0; recover",
        ),
        ({"sd1": [2.0, -1.0]}, "'Bob 2002'.*sd1 = -1"),
        ({"n2": [25, 1]}, "'Bob 2002'.*n2 = 1: a group of at least 2"),
        ({"m1": [np.nan, 1.0]}, "'Ann 2001'.*m1 = nan: is missing; fill it in, recover it"),
        ({"m1": ["9,5", "7"]}, "'Ann 2001'.*m1 = '9,5'.*decimal comma"),
        ({"m1": ["n.r.", 7]}, "'Ann 2001'.*m1 = 'n.r.': is not a number"),
        ({"n1": [np.inf, 7]}, "'Ann 2001'.*n1 = inf"),
        ({"n1": [0, 7]}, "'Ann 2001'.*n1 = 0"),
        ({"study": ["Ann 2001", None]}, "row 2: study is empty"),
    ],
)
def test_a_bad_value_names_study_column_value_and_remedy(change: dict[str, Any], words: str) -> None:
    with pytest.raises(EffectError, match=words):
        EffectSizes.from_frame(MEANS.assign(**change))


@pytest.mark.parametrize(
    ("measure", "frame", "words"),
    [
        ("ROM", MEANS.assign(m1=[-1.0, 9.0]), "'Ann 2001'.*m2 = 8.5: .*one sign"),
        ("CVR", MEANS.assign(m1=[0.0, 9.0]), "'Ann 2001'.*m1 = 0"),
        ("SMD1", MEANS.assign(n2=[25, 2]), "'Bob 2002'.*n2 = 2: the group that gives the SD"),
        ("OR", EVENTS.assign(a=[21, 0, 0, 0, 0]), "'none'.*a = 21: more events than people"),
        ("OR", EVENTS.assign(c=[0, 0, 0, 0, -1]), "'full'.*c = -1: a number of events cannot be negative"),
        ("PHI", EVENTS, "'none'.*phi is undefined"),
        ("COR", pd.DataFrame({"study": ["A"], "r": [1.0], "n": [20]}), "'A'.*r = 1: a perfect correlation"),
        ("COR", pd.DataFrame({"study": ["A"], "r": [1.2], "n": [20]}), "'A'.*r = 1.2: .*between -1 and 1"),
        ("ZCOR", pd.DataFrame({"study": ["A"], "r": [0.2], "n": [3]}), "'A'.*n = 3: .*more than 3"),
        ("IRR", pd.DataFrame({"x1": [1], "t1": [0.0], "x2": [1], "t2": [1.0]}), "t1 = 0: person-time"),
        (
            "SMCC",
            pd.DataFrame({"m1": [1.0], "m2": [2.0], "sd1": [1.0], "sd2": [1.0], "n": [9], "r": [1.0]}),
            "r = 1: the SD of the change is 0",
        ),
        (
            "SMCR",
            pd.DataFrame({"m1": [1.0], "m2": [2.0], "sd1": [1.0], "sd2": [1.0], "n": [9], "r": [-2.0]}),
            "r = -2: the correlation",
        ),
        ("PR", pd.DataFrame({"x": [5], "n": [4]}), "x = 5: more events than people"),
    ],
)
def test_what_a_measure_cannot_have(measure: str, frame: pd.DataFrame, words: str) -> None:
    with pytest.raises(EffectError, match=words):
        EffectSizes.from_frame(frame, measure)


def test_a_missing_column_is_named_with_the_nearest_one() -> None:
    with pytest.raises(EffectError, match=r"SMD needs the columns m1 sd1.*missing: sd2 \(is it 'SD2'\?\)"):
        EffectSizes.from_frame(MEANS.rename(columns={"sd2": "SD2"}))
    with pytest.raises(EffectError, match=r"study: no column 'trial'"):
        EffectSizes.from_frame(MEANS, study="trial")
    with pytest.raises(EffectError, match=r"moderators: no column 'yaer' \(is it 'year'\?\)"):
        EffectSizes.from_frame(MEANS, moderators=["yaer"])
    with pytest.raises(EffectError, match=r"HR needs the columns yi and vi"):
        EffectSizes.from_frame(MEANS, "HR")


def test_a_column_that_stands_twice_is_refused() -> None:
    doubled = pd.concat([MEANS, MEANS[["m1"]]], axis=1)
    with pytest.raises(EffectError, match=r"'m1' stands more than once"):
        EffectSizes.from_frame(doubled)


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"variance='CS' does not exist for SMD; use 'LS', 'LS2'"):
        EffectSizes.from_frame(MEANS, variance="CS")
    with pytest.raises(UsageError, match=r"zero_cells='add' is not known"):
        EffectSizes.from_frame(EVENTS, "OR", zero_cells="add")
    with pytest.raises(UsageError, match=r"takes a pandas DataFrame, not list"):
        EffectSizes.from_frame([1, 2])  # type: ignore[arg-type]
    with pytest.raises(EffectError, match=r"has no rows"):
        EffectSizes.from_frame(MEANS.iloc[:0])
    with pytest.raises(UsageError, match=r"variance='RevMan' does not exist for ROM"):
        EffectSizes.from_frame(MEANS, "ROM", variance="RevMan")


def test_reported_effects_are_taken_as_they_stand() -> None:
    df = pd.DataFrame(
        {"study": ["A", "B"], "yi": [0.1, 0.2], "sei": [0.1, 0.2], "n1": [10, 20], "n2": [10, 20]}
    )
    es = EffectSizes.from_frame(df, "SMD")
    np.testing.assert_allclose(es.vi, [0.01, 0.04])
    assert es.n is not None
    assert es.n.tolist() == [20, 40]
    assert EffectSizes.from_frame(df.assign(vi=[1, 2]), "HR").vi.tolist() == [1, 2]


# ---- zero cells -----------------------------------------------------------------------------------


def test_metafor_adds_a_half_to_every_row_with_a_zero_cell() -> None:
    es = EffectSizes.from_frame(EVENTS, "OR")
    assert es.k == 5
    half = EVENTS.assign(a=EVENTS.a + 0.5, c=EVENTS.c + 0.5, n1=21, n2=21)
    np.testing.assert_array_equal(es.yi[[0, 1, 3, 4]], EffectSizes.from_frame(half, "OR").yi[[0, 1, 3, 4]])


def test_revman_leaves_out_what_cannot_be_estimated_and_says_so() -> None:
    with pytest.warns(DataWarning, match=r"left out \(no events.*\): none, all"):
        es = EffectSizes.from_frame(EVENTS, "OR", zero_cells="RevMan")
    assert es.study == ("one", "some", "full")
    with pytest.raises(EffectError, match=r"no row is left"):
        EffectSizes.from_frame(EVENTS.iloc[[0, 3]], "RR", zero_cells="RevMan")


def test_revman_adds_a_half_only_where_nothing_could_be_computed() -> None:
    """A risk ratio with events in everybody of one group exists, and so does a risk difference."""
    row = EVENTS.iloc[[4]]
    ratio = EffectSizes.from_frame(row, "RR", zero_cells="RevMan")
    assert ratio.yi[0] == pytest.approx(np.log(1 / 0.25), rel=1e-14)
    assert ratio.vi[0] == pytest.approx(1 / 20 - 1 / 20 + 1 / 5 - 1 / 20, rel=1e-14)
    difference = EffectSizes.from_frame(EVENTS, "RD", zero_cells="RevMan")
    assert difference.k == 5
    assert difference.yi[1] == -0.2
    assert difference.vi[0] == pytest.approx(2 * 0.5 * 20.5 / 21**3, rel=1e-14)


def test_without_a_policy_a_zero_cell_raises() -> None:
    with pytest.raises(EffectError, match=r"'none'.*zero cell.*zero_cells='metafor'"):
        EffectSizes.from_frame(EVENTS, "OR", zero_cells="none")
    kept = EffectSizes.from_frame(EVENTS.iloc[[2]], "OR", zero_cells="none")
    assert kept.equals(EffectSizes.from_frame(EVENTS.iloc[[2]], "OR"))


def test_revmans_rule_speaks_of_tables_only() -> None:
    shares = pd.DataFrame({"x": [0, 3], "n": [10, 10]})
    same = EffectSizes.from_frame(shares, "PLO", zero_cells="RevMan")
    assert same.equals(EffectSizes.from_frame(shares, "PLO"))


@pytest.mark.parametrize("code", sorted(RECIPES))
def test_every_measure_goes_through_without_a_warning(code: str) -> None:
    plain = {
        "m1": [10.0, 9.0], "sd1": [2.0, 2.5], "n1": [20, 30], "m2": [8.0, 9.5], "sd2": [3.0, 2.0],
        "n2": [25, 30],
    }  # fmt: skip
    plain |= {"m": [4.0, 5.0], "sd": [1.0, 2.0], "n": [30, 40], "r": [0.5, -0.2], "a": [3, 9], "c": [5, 2]}
    plain |= {
        "x": [3, 9],
        "t": [20.0, 30.0],
        "x1": [3, 9],
        "t1": [20.0, 30.0],
        "x2": [5, 2],
        "t2": [22.0, 31.0],
    }
    frame = pd.DataFrame(plain)[MEASURES[code].needs.split()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for variance in RECIPES[code].variances:
            es = EffectSizes.from_frame(frame, code, variance=variance)
            assert np.isfinite(es.yi).all()
            assert (es.vi > 0).all()
            assert es.measure is MEASURES[code]
