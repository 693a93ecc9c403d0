"""The allow-list in front of formulaic, and the designs that come out behind it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from numpy.testing import assert_allclose

from mtmeta.errors import MtmetaError, UsageError
from mtmeta.models.formula import design_of, parse

STUDY = [f"study {i + 1}" for i in range(9)]
FRAME = pd.DataFrame(
    {
        "x": [1.0, 2.5, 3.0, 4.5, 6.0, 7.5, 8.0, 9.5, 11.0],
        "z": [3, 1, 4, 1, 5, 9, 2, 6, 5],
        "g": list("aabbccabc"),
        "n": [10, 20, 30, 10, 20, 30, 10, 20, 30],
        "yes": [True, False, True, True, False, False, True, False, True],
    }
)


@pytest.mark.parametrize(
    ("formula", "names"),
    [
        ("x", ["Intercept", "x"]),
        ("~ x + z", ["Intercept", "x", "z"]),
        ("x - 1", ["x"]),
        ("-1 + x", ["x"]),
        ("0 + g", ["g[a]", "g[b]", "g[c]"]),
        ("g", ["Intercept", "g[b]", "g[c]"]),
        ("C(g, base='c')", ["Intercept", "g[a]", "g[b]"]),
        ('C(g, "b")', ["Intercept", "g[a]", "g[c]"]),
        ("C(n)", ["Intercept", "n[20]", "n[30]"]),
        ("yes", ["Intercept", "yes"]),
        ("x:z", ["Intercept", "x:z"]),
        ("x * g", ["Intercept", "x", "g[b]", "g[c]", "x:g[b]", "x:g[c]"]),
        ("(x + z) * yes", ["Intercept", "x", "z", "yes", "x:yes", "z:yes"]),
        ("log(x)", ["Intercept", "log(x)"]),
        ("poly(x, 2)", ["Intercept", "poly(x, degree=2)[1]", "poly(x, degree=2)[2]"]),
        ("cr(x, df=3)", ["Intercept", "cr(x, df=3)[1]", "cr(x, df=3)[2]", "cr(x, df=3)[3]"]),
        ("1", ["Intercept"]),
    ],
)
def test_columns(formula: str, names: list[str]) -> None:
    design = design_of(formula, FRAME, STUDY)
    assert list(design.names) == names
    assert design.matrix.shape == (9, len(names))
    assert_allclose(design.rows(FRAME), design.matrix, rtol=1e-12, atol=1e-12)
    assert sorted(i for columns in design.terms.values() for i in columns) == list(range(len(names)))


@pytest.mark.parametrize(
    ("formula", "token"),
    [
        ("__import__('os')", "__import__ is not a function"),
        ("__import__('os').system('true')", "system.* at character 17 is not allowed"),
        ("eval(x)", "eval is not a function"),
        ("x.real", "'.real' at character 2"),
        ("x[0]", r"'\[0\]' at character 2"),
        ("{x}", r"'\{x\}' at character 1"),
        ("`x`", "'`x`' at character 1"),
        ("x ** 2", r"'\*' stands where a column name should"),
        ("x ^ 2", r"'\^' at character 3"),
        ("x / z", "'/' at character 3"),
        ("x | z", r"'\|' at character 3"),
        ("x % z", "'%' at character 3"),
        ("x; z", "';' at character 2"),
        ("x @ z", "'@' at character 3"),
        ("x = z", "'=' is not expected"),
        ("y ~ x", "'~' is not expected"),
        ("I(x)", "I is not a function"),
        ("np(x)", "np is not a function"),
        ("exp(x)", "exp is not a function"),
        ("log(x + z)", r"'\+' stands where '\)' should"),
        ("log(log(x))", r"log\(\) takes one column, not 'log'"),
        ("C('a')", r"C\(\) takes one column, not \"'a'\""),
        ("C(g, contrasts='x')", r"C\(\) has no argument 'contrasts'"),
        ("C(g, base=1)", "the reference level '1' must stand in quotes"),
        ("bs(x, knots=3)", r"bs\(\) has no argument 'knots'"),
        ("bs(x, df='4')", "takes a whole number from 1 to 50"),
        ("poly(x, 99)", "takes a whole number from 1 to 50"),
        ("poly(x, 2, 3)", r"poly\(\) does not take '3'"),
        ("log(x, 2)", r"log\(\) does not take '2'"),
        ("x + 2", "the number 2 is not allowed"),
        ("x + 1.0", "the number 1.0 is not allowed"),
        ("x z", "'z' is not expected there"),
        ("x +", "it ends where a column name should stand"),
        ("(x", r"it ends where '\)' should stand"),
        ("x)", r"'\)' is not expected"),
        ("lambda", "'lambda' is a word of Python"),
        ("'x'", "stands where a column name should"),
        ("C(g, 'a') + C(g, 'b')", "g has two reference levels, 'a' and 'b'"),
        ("C(x) + log(x)", "'x' is taken both as a category and as a number"),
        ("bs + bs(x, df=4)", "'bs' is both a column and a function"),
        ("(" * 30 + "x" + ")" * 30, "nested too deeply"),
        ("*".join(["x"] * 12), "multiply out to too many terms"),
        ("x" * 3000, "at most 2000 characters"),
        ("", "must be a text such as"),
    ],
)
def test_refused_tokens_are_named(formula: str, token: str) -> None:
    with pytest.raises(UsageError, match=token):
        parse(formula)


def test_a_column_of_a_function_s_name_is_no_way_in() -> None:
    frame = FRAME.assign(log=FRAME["x"], eval=FRAME["z"])
    assert design_of("log + eval", frame, STUDY).names == ("Intercept", "log", "eval")
    with pytest.raises(UsageError, match="'log' is both a column and a function"):
        design_of("log(x) + log", frame, STUDY)


@pytest.mark.parametrize("formula", ["x - x - 1", "0", "-1"])
def test_nothing_left(formula: str) -> None:
    with pytest.raises(UsageError, match="has neither an intercept nor a moderator"):
        design_of(formula, FRAME, STUDY)


def test_nothing_of_the_caller_is_seen() -> None:
    secret = FRAME["x"]  # noqa: F841 - a name formulaic would find in this frame
    with pytest.raises(UsageError, match="uses 'secret', which is not among the moderators"):
        design_of("secret", FRAME, STUDY)


@given(st.text(alphabet="xzg01+-:*()~ ,='\".[]_`{}Clogbs", max_size=25))
@settings(max_examples=300)
def test_any_text_gives_a_design_or_our_error(text: str) -> None:
    try:
        design = design_of(text, FRAME, STUDY)
    except MtmetaError:
        return
    assert np.isfinite(design.matrix).all()
    assert np.linalg.matrix_rank(design.matrix) == design.matrix.shape[1]


def test_categories_keep_their_order() -> None:
    ordered = FRAME.assign(g=pd.Categorical(FRAME["g"], categories=["c", "a", "b", "unused"]))
    assert design_of("g", ordered, STUDY).names == ("Intercept", "g[a]", "g[b]")
    assert design_of("g", ordered, STUDY).levels["g"] == ("c", "a", "b")


def test_numbers_in_an_object_column_are_numbers() -> None:
    loose = FRAME.assign(x=FRAME["x"].astype(object))
    assert_allclose(design_of("x", loose, STUDY).matrix, design_of("x", FRAME, STUDY).matrix)


def test_new_rows_use_the_old_knots() -> None:
    for formula in ("poly(x, 2)", "bs(x, df=4)", "cr(x, df=3)", "log(x)"):
        design = design_of(formula, FRAME, STUDY)
        assert_allclose(design.rows(FRAME.iloc[[4]]), design.matrix[[4]], rtol=1e-10, atol=1e-12)


def test_logarithm_of_nothing() -> None:
    frame = FRAME.assign(x=[0.0, *FRAME["x"][1:]])
    with pytest.raises(MtmetaError, match=r"log\(x\) does not exist for study 1"):
        design_of("log(x)", frame, STUDY)
    with pytest.raises(UsageError, match=r"newdata\['x'\] must be above 0"):
        design_of("log(x)", FRAME, STUDY).rows({"x": [0.0]})
