"""The effect table: what it refuses, and that nothing changes it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mtmeta.measures as measures
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import DataWarning, EffectError, UsageError


def table() -> EffectSizes:
    return EffectSizes.of(
        [0.1, -0.2, 0.3],
        [0.01, 0.02, 0.03],
        "MD",
        study=["Ann 2001", "Bob 2002", "Bob 2002"],
        n1=[10, 20, np.nan],
        n2=[11, 21, 31],
        moderators={"year": [2001, 2002, 2002]},
        columns=pd.DataFrame({"label": ["<b>", "q", "r"]}),
    )


def test_defaults() -> None:
    es = EffectSizes.of([1.0, 2.0], [0.5, 0.25])
    assert es.measure is measures.MEASURES["GEN"]
    assert es.study == ("1", "2")
    assert es.cluster == es.study
    assert es.n is None
    assert es.moderators is None
    assert es.columns is None
    assert es.k == len(es) == 2
    np.testing.assert_allclose(es.sei, [0.5**0.5, 0.5])


def test_a_measure_is_taken_as_object_or_code() -> None:
    assert EffectSizes.of([1], [1], measures.MEASURES["OR"]).equals(EffectSizes.of([1], [1], "OR"))
    with pytest.raises(UsageError, match=r"'Odds' is not known"):
        EffectSizes.of([1], [1], "Odds")


def test_sizes_add_up_and_may_be_unknown() -> None:
    es = table()
    assert es.n is not None
    np.testing.assert_array_equal(es.n, [21, 41, np.nan])
    assert EffectSizes.of([1, 2], [1, 1], n=[np.nan, np.nan]).n is None
    assert EffectSizes.of([1, 2], [1, 1], n=[50, 60], n1=[20, 30], n2=[20, 30]).n.tolist() == [50, 60]  # type: ignore[union-attr]


def test_labels_are_text_however_they_come() -> None:
    es = EffectSizes.of([1, 2, 3], [1, 1, 1], study=[1.0, " x ", 7], cluster=pd.Series(["a", "a", "b"]))
    assert es.study == ("1", "x", "7")
    assert es.cluster == ("a", "a", "b")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"yi": [], "vi": []}, "no rows"),
        ({"yi": [1, 2], "vi": [1]}, "vi has 1 rows for 2 studies"),
        (
            {"yi": [1, 2], "vi": [1, -0.5], "study": ["A", "B"]},
            r"study 'B' \(row 2\): vi = -0.5: .*vi = se\*\*2",
        ),
        ({"yi": [1, 2], "vi": [1, 0]}, "vi = 0: a sampling variance must be above 0"),
        ({"yi": ["0,5", 2], "vi": [1, 1], "study": ["A", "B"]}, "study 'A' .*decimal comma"),
        ({"yi": [1, "2"], "vi": [1, 1]}, "'2': is text; .*to_numeric"),
        ({"yi": [1, None], "vi": [1, 1], "study": ["A", "B"]}, "study 'B' .*yi = nan: is missing"),
        ({"yi": pd.Series([1, pd.NA]), "vi": [1, 1]}, "yi = nan: is missing"),
        ({"yi": [1, 2], "vi": [1, np.inf]}, "vi = inf: must be finite"),
        ({"yi": [True, False], "vi": [1, 1]}, "is not a number"),
        ({"yi": [[1, 2]], "vi": [1]}, "one number a row"),
        ({"yi": [[1], [1, 2]], "vi": [1, 1]}, "rows of unequal length"),
        ({"yi": [1, 2], "vi": [1, 1], "study": ["a", " "]}, "row 2: study is empty"),
        ({"yi": [1, 2], "vi": [1, 1], "study": ["a"]}, "study has 1 labels for 2"),
        ({"yi": [1, 2], "vi": [1, 1], "study": "ab"}, "one label a row"),
        ({"yi": [1, 2], "vi": [1, 1], "cluster": [1]}, "cluster has 1 labels"),
        ({"yi": [1, 2], "vi": [1, 1], "n": [0, 10]}, "n = 0: a group has participants"),
        ({"yi": [1, 2], "vi": [1, 1], "n": [np.inf, 10]}, "n = inf"),
        ({"yi": [1, 2], "vi": [1, 1], "n1": [1, 2, 3], "n2": [1, 2]}, "n1 has 3 rows"),
        ({"yi": [1, 2], "vi": [1, 1], "moderators": {"x": [1]}}, "moderators has 1 rows for 2"),
        ({"yi": [1, 2], "vi": [1, 1], "moderators": {"x": [1], "y": [1, 2]}}, "moderators cannot be read"),
        ({"yi": [1, 2], "vi": [1, 1], "moderators": [1, 2]}, "a DataFrame or a mapping"),
    ],
)
def test_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(EffectError, match=words):
        EffectSizes.of(**arguments)


def test_every_bad_row_is_counted() -> None:
    with pytest.raises(EffectError, match=r"study '2' .*\(2 more rows likewise\)"):
        EffectSizes.of([1, 2, 3, 4], [1, 0, 0, 0])


def test_moderators_in_another_order_are_refused() -> None:
    frame = pd.DataFrame({"x": [1, 2]}, index=["B", "A"])
    with pytest.raises(EffectError, match=r"in another order"):
        EffectSizes.of([1, 2], [1, 1], study=["A", "B"], moderators=frame)
    right = EffectSizes.of([1, 2], [1, 1], study=["A", "B"], moderators=frame.loc[["A", "B"]])
    assert right.moderators is not None
    assert right.moderators["x"].tolist() == [2, 1]


def test_nothing_changes_a_table() -> None:
    es = table()
    with pytest.raises(ValueError, match=r"read-only"):
        es.yi[0] = 3
    with pytest.raises(ValueError, match=r"read-only"):
        es.sei[0] = 3
    with pytest.raises(FrozenInstanceError):
        es.yi = np.zeros(3)  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        es.columns = None  # type: ignore[misc]
    frame = es.columns
    assert frame is not None
    frame["label"] = "changed"
    assert es.columns is not None
    assert es.columns["label"].tolist() == ["<b>", "q", "r"]


def test_a_table_does_not_change_with_what_it_was_made_of() -> None:
    yi, frame = np.array([1.0, 2.0]), pd.DataFrame({"x": [1, 2]})
    es = EffectSizes.of(yi, [1, 1], moderators=frame)
    yi[0], frame.loc[0, "x"] = 9, 9
    assert es.yi.tolist() == [1, 2]
    assert es.moderators is not None
    assert es.moderators["x"].tolist() == [1, 2]
    assert yi.flags.writeable


def test_the_constructor_checks_and_freezes_too() -> None:
    kind = measures.MEASURES["MD"]
    es = EffectSizes(np.array([1.0]), np.array([2.0]), kind, ("A",), ("A",))
    assert not es.yi.flags.writeable
    with pytest.raises(EffectError, match=r"study 'A'.*vi = 0"):
        EffectSizes(np.array([1.0]), np.array([0.0]), kind, ("A",), ("A",))
    with pytest.raises(EffectError, match=r"no rows"):
        EffectSizes(np.array([]), np.array([]), kind, (), ())
    with pytest.raises(UsageError, match=r"must be a Measure"):
        EffectSizes(np.array([1.0]), np.array([2.0]), "MD", ("A",), ("A",))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"tuples"):
        EffectSizes(np.array([1.0]), np.array([2.0]), kind, ["A"], ("A",))  # type: ignore[arg-type]
    with pytest.raises(EffectError, match=r"vi = -1"):
        replace(es, vi=np.array([-1.0]))


def test_pickle_and_copy_give_the_same_frozen_table() -> None:
    es = table()
    for other in (pickle.loads(pickle.dumps(es)), copy.deepcopy(es), copy.copy(es)):
        assert other.equals(es)
        assert not other.yi.flags.writeable
        assert not other.n.flags.writeable


def test_equality_is_by_content() -> None:
    es = table()
    assert es.equals(table())
    assert not es.equals(es.subset([0, 1]))
    assert not es.equals(replace(es, yi=es.yi + 1e-15))
    assert not es.equals(replace(es, measure=measures.MEASURES["SMD"]))
    assert not es.equals(es.with_moderators(None))
    assert not es.equals(es.with_moderators({"year": [2001, 2002, 2003]}))
    assert not es.equals("table")


def test_subset() -> None:
    es = table()
    assert es.subset(es.yi > 0).study == ("Ann 2001", "Bob 2002")
    chosen = es.subset([2, 0, -1])
    assert chosen.yi.tolist() == [0.3, 0.1, 0.3]
    assert chosen.moderators is not None
    assert chosen.moderators["year"].tolist() == [2002, 2001, 2002]
    assert chosen.columns is not None
    assert chosen.columns["label"].tolist() == ["r", "<b>", "r"]
    assert es.subset([2]).n is None
    for rows, words in (
        ([], "empty"),
        ([False] * 3, "empty"),
        ([True], "mask of shape"),
        ([3], "row 3 is outside"),
        ([0.5], "booleans or row numbers"),
        (["Ann 2001"], "booleans or row numbers"),
    ):
        with pytest.raises(EffectError, match=words):
            es.subset(rows)


def test_to_frame() -> None:
    frame = table().to_frame()
    assert list(frame.columns) == ["study", "measure", "yi", "vi", "sei", "n", "n1", "n2", "year", "label"]
    clustered = EffectSizes.of([1], [1], cluster=["c"], columns={"yi": ["other"]}).to_frame()
    assert list(clustered.columns) == ["study", "cluster", "measure", "yi", "vi", "sei"]


def test_a_frame_of_effects_goes_back_in() -> None:
    es = table()
    again = EffectSizes.from_frame(es.to_frame().drop(columns="sei"), "MD", moderators=["year"])
    np.testing.assert_array_equal(again.yi, es.yi)
    np.testing.assert_array_equal(again.vi, es.vi)
    assert again.study == es.study
    assert again.n is not None
    np.testing.assert_array_equal(again.n, es.n)


def test_repr_is_one_line_and_html_is_escaped() -> None:
    es = table()
    assert repr(es) == "EffectSizes(MD, k=3, studies=2, yi -0.2 to 0.3)"
    assert repr(EffectSizes.of([1], [1], n=[30])) == "EffectSizes(GEN, k=1, yi 1, n=30)"
    assert "&lt;b&gt;" in es._repr_html_()
    assert "<b>" not in es._repr_html_()


def test_standard_errors_given_as_variances_are_noticed() -> None:
    n = np.array([20, 50])
    se = np.sqrt(2 / n)
    with pytest.warns(DataWarning, match=r"look like standard errors"):
        EffectSizes.of([0.1, 0.2], se, "SMD", n1=n, n2=n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EffectSizes.of([0.1, 0.2], se**2, "SMD", n1=n, n2=n)
        EffectSizes.of([0.1, 0.2], se, "MD", n1=n, n2=n)
        EffectSizes.of([0.1], [1.0], "SMD", n1=[2], n2=[2])  # variance and standard error are the same
    reported = pd.DataFrame({"yi": [0.1, 0.2], "vi": se, "n1": n, "n2": n})
    with pytest.warns(DataWarning, match=r"look like standard errors"):
        EffectSizes.from_frame(reported, "SMD")


def test_the_table_loads_neither_pandas_nor_scipy() -> None:
    code = (
        "import sys; from mtmeta.effects.table import EffectSizes; EffectSizes.of([1, 2], [1, 1]);"
        "print([m for m in ('pandas', 'scipy', 'matplotlib', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
