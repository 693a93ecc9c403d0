"""What must hold whatever the numbers: signs, scales, order, round trips, and no silent NaN."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from mtmeta.effects import recover
from mtmeta.effects.binary import odds_ratio, peto_odds_ratio, risk_difference, risk_ratio
from mtmeta.effects.continuous import mean_difference, standardized_mean_difference
from mtmeta.effects.frame import RECIPES
from mtmeta.effects.proportions import freeman_tukey_back
from mtmeta.effects.table import EffectSizes
from mtmeta.measures import MEASURES

many = settings(max_examples=150)  # drawn over some forty measures
few = settings(max_examples=40)
K = st.shared(st.integers(1, 8), key="k")


def column(low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    return K.flatmap(lambda k: hnp.arrays(np.float64, k, elements=st.floats(low, high)))


def counts(low: int, high: int) -> st.SearchStrategy[np.ndarray]:
    return K.flatmap(lambda k: hnp.arrays(np.int64, k, elements=st.integers(low, high))).map(
        lambda a: a.astype(float)
    )


@st.composite
def raw(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Columns for every measure: plausible, and with zero cells."""
    n1, n2 = draw(counts(5, 400)), draw(counts(5, 400))
    n = draw(counts(5, 400))
    data = {name: draw(column(0.5, 100)) for name in ("m1", "m2", "m")}
    data |= {name: draw(column(0.05, 50)) for name in ("sd1", "sd2", "sd")}
    data |= {"n1": n1, "n2": n2, "n": n, "r": draw(column(-0.95, 0.95))}
    share = [draw(column(0, 1)) for _ in range(3)]
    data |= {"a": np.floor(share[0] * n1), "c": np.floor(share[1] * n2), "x": np.floor(share[2] * n)}
    data |= {name: draw(counts(0, 60)) for name in ("x1", "x2")}
    data |= {name: draw(column(1, 1000)) for name in ("t", "t1", "t2")}
    return data


def _usable(code: str, data: dict[str, np.ndarray]) -> None:
    if code == "PHI":
        a, n1, c, n2 = (data[name] for name in ("a", "n1", "c", "n2"))
        assume(
            not np.any((a + c == 0) | (a + c == n1 + n2) | ((a == 0) & (c == n2)) | ((a == n1) & (c == 0)))
        )


SWAP = {"m1": "m2", "sd1": "sd2", "n1": "n2", "a": "c", "x1": "x2", "t1": "t2"}
SWAPPED = {**SWAP, **{v: k for k, v in SWAP.items()}}
# the standardising SD belongs to one of the two
ONE_SIDED = {"SMD1", "SMD1H", "SMCR", "SMCRH"}
TWO_SIDED = [
    code for code in RECIPES if set(MEASURES[code].needs.split()) & set(SWAPPED) and code not in ONE_SIDED
]


@many
@given(code=st.sampled_from(TWO_SIDED), data=raw())
def test_swapping_the_arms_turns_the_sign(code: str, data: dict[str, np.ndarray]) -> None:
    _usable(code, data)
    swapped = {SWAPPED.get(name, name): values for name, values in data.items()}
    for variance in RECIPES[code].variances:
        one = EffectSizes.from_frame(pd.DataFrame(data), code, variance=variance)
        two = EffectSizes.from_frame(pd.DataFrame(swapped), code, variance=variance)
        np.testing.assert_allclose(two.yi, -one.yi, rtol=1e-9, atol=1e-12 * (1 + np.abs(one.yi).max()))
        np.testing.assert_allclose(two.vi, one.vi, rtol=1e-9)


@many
@given(code=st.sampled_from(sorted(RECIPES)), data=raw())
def test_no_measure_gives_nan_or_a_variance_that_is_none(code: str, data: dict[str, np.ndarray]) -> None:
    """Numpy warnings are errors here."""
    _usable(code, data)
    for variance in RECIPES[code].variances:
        es = EffectSizes.from_frame(pd.DataFrame(data), code, variance=variance)
        assert np.isfinite(es.yi).all()
        assert (es.vi > 0).all()


@many
@given(code=st.sampled_from(sorted(RECIPES)), data=raw(), seed=st.integers(0, 2**16))
def test_the_order_of_rows_does_not_matter(code: str, data: dict[str, np.ndarray], seed: int) -> None:
    _usable(code, data)
    frame = pd.DataFrame(data)
    order = np.random.default_rng(seed).permutation(len(frame))
    one = EffectSizes.from_frame(frame, code).subset(order)
    two = EffectSizes.from_frame(frame.iloc[order], code)
    np.testing.assert_allclose(two.yi, one.yi, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(two.vi, one.vi, rtol=1e-13)


@few
@given(data=raw(), factor=st.floats(0.01, 100))
def test_units_change_a_mean_difference_and_leave_an_smd(data: dict[str, np.ndarray], factor: float) -> None:
    scaled = {
        name: values * factor if name in {"m1", "m2", "sd1", "sd2"} else values
        for name, values in data.items()
    }
    for code in ("SMD", "SMDH", "SMD1", "ROM", "CVR", "VR"):
        one = EffectSizes.from_frame(pd.DataFrame(data), code)
        two = EffectSizes.from_frame(pd.DataFrame(scaled), code)
        np.testing.assert_allclose(two.yi, one.yi, rtol=1e-9, atol=1e-12 * (1 + np.abs(one.yi).max()))
        np.testing.assert_allclose(two.vi, one.vi, rtol=1e-9)
    one, two = (EffectSizes.from_frame(pd.DataFrame(d), "MD") for d in (data, scaled))
    np.testing.assert_allclose(two.yi, one.yi * factor, rtol=1e-9, atol=1e-12 * factor)
    np.testing.assert_allclose(two.vi, one.vi * factor**2, rtol=1e-9)


@few
@given(data=raw(), shift=st.floats(-1000, 1000))
def test_where_a_scale_begins_does_not_matter_to_differences(
    data: dict[str, np.ndarray], shift: float
) -> None:
    moved = {**data, "m1": data["m1"] + shift, "m2": data["m2"] + shift}
    for code in ("MD", "SMD"):
        one, two = (EffectSizes.from_frame(pd.DataFrame(d), code) for d in (data, moved))
        np.testing.assert_allclose(two.yi, one.yi, rtol=1e-8, atol=1e-8)


@few
@given(data=raw())
def test_the_variances_of_an_smd_lie_close_together_in_large_trials(data: dict[str, np.ndarray]) -> None:
    big = {**data, "n1": data["n1"] + 5000, "n2": data["n2"] + 5000}
    plain = EffectSizes.from_frame(pd.DataFrame(big), "SMD")
    for variance in ("LS2", "UB", "RevMan"):
        other = EffectSizes.from_frame(pd.DataFrame(big), "SMD", variance=variance)
        np.testing.assert_allclose(other.vi, plain.vi, rtol=2e-3)
        np.testing.assert_allclose(other.yi, plain.yi, rtol=1e-6, atol=1e-12)


@few
@given(data=raw())
def test_events_and_non_events_mirror_each_other(data: dict[str, np.ndarray]) -> None:
    """Counting those without the event turns the sign of odds ratio, Peto and risk difference."""
    a, n1, c, n2 = (data[name] for name in ("a", "n1", "c", "n2"))
    for function in (odds_ratio, risk_difference, peto_odds_ratio):
        one, two = function(a, n1, c, n2), function(n1 - a, n1, n2 - c, n2)
        np.testing.assert_allclose(two[0], -one[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(two[1], one[1], rtol=1e-9)


@few
@given(data=raw())
def test_revman_and_metafor_agree_where_no_cell_is_zero(data: dict[str, np.ndarray]) -> None:
    a, n1, c, n2 = (data[name] for name in ("a", "n1", "c", "n2"))
    inner = (np.clip(a, 1, n1 - 1), n1, np.clip(c, 1, n2 - 1), n2)
    for function in (odds_ratio, risk_ratio, risk_difference, peto_odds_ratio):
        np.testing.assert_array_equal(function(*inner), function(*inner, zero_cells="RevMan"))
        np.testing.assert_array_equal(function(*inner), function(*inner, zero_cells="none"))


# ---- an SD recovered from what was computed from it is that SD ---------------------------------------------

SD, SIZE = st.floats(0.01, 1000), st.integers(2, 500)


@given(sd=SD, n=SIZE, mean=st.floats(-100, 100), level=st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_sd_of_one_group(sd: float, n: int, mean: float, level: float) -> None:
    from scipy.special import ndtri, stdtrit

    se = sd / np.sqrt(n)
    assert float(recover.sd_from_se(se, n)) == pytest.approx(sd, rel=1e-12)
    for quantile, q in (("t", stdtrit(n - 1, 0.5 + level / 2)), ("z", ndtri(0.5 + level / 2))):
        found = recover.sd_from_interval(mean - q * se, mean + q * se, n, level=level, quantile=quantile)  # type: ignore[arg-type]
        # limits around 100 with an SE of 0.0005 keep ten digits of their difference
        assert float(found) == pytest.approx(sd, rel=1e-9 + 1e-13 * 200 / se)


@given(sd=SD, n1=SIZE, n2=SIZE, d=st.floats(0.05, 4), sign=st.sampled_from([-1, 1]))
def test_pooled_sd_of_two_groups(sd: float, n1: int, n2: int, d: float, sign: int) -> None:
    from scipy.special import stdtr

    assume(n1 + n2 > 2)
    difference = sign * d * sd
    se = sd * np.sqrt(1 / n1 + 1 / n2)
    t, df = difference / se, n1 + n2 - 2
    assert float(recover.sd_from_t(difference, t, n1, n2)) == pytest.approx(sd, rel=1e-12)
    assert float(recover.sd_from_f(difference, t**2, n1, n2)) == pytest.approx(sd, rel=1e-12)
    p = 2 * float(stdtr(df, -abs(t)))
    assume(p > 1e-200)
    assert float(recover.sd_from_p(difference, p, n1, n2)) == pytest.approx(sd, rel=1e-8)
    _, vi = mean_difference(difference, sd, n1, 0.0, sd, n2, variance="HO")
    assert float(recover.sd_from_t(difference, difference / np.sqrt(vi), n1, n2)) == pytest.approx(
        sd, rel=1e-11
    )


@given(before=SD, after=SD, r=st.floats(-0.99, 0.99))
def test_changes_and_back(before: float, after: float, r: float) -> None:
    assume(0.05 < before / after < 20)
    change = float(recover.sd_of_change(before, after, r))
    assert float(recover.pre_post_correlation(before, after, change)) == pytest.approx(r, abs=1e-10)
    if change > before:
        assert float(recover.sd_of_final(before, change, r)) == pytest.approx(after, rel=1e-6)


@given(
    groups=st.lists(
        st.tuples(st.floats(-50, 50), st.floats(0.1, 20), st.integers(2, 200)), min_size=3, max_size=6
    )
)
def test_groups_combine_in_any_order_and_grouping(groups: list[tuple[float, float, int]]) -> None:
    m, sd, n = (np.array(part, dtype=float) for part in zip(*groups, strict=True))
    whole = recover.combine_groups(m, sd, n)
    first = recover.combine_groups(m[:2], sd[:2], n[:2])
    stepwise = recover.combine_groups(
        [float(first.mean), *m[2:]], [float(first.sd), *sd[2:]], [float(first.n), *n[2:]]
    )
    back = recover.combine_groups(m[::-1], sd[::-1], n[::-1])
    for other in (stepwise, back):
        assert float(other.mean) == pytest.approx(float(whole.mean), rel=1e-9, abs=1e-9)
        assert float(other.sd) == pytest.approx(float(whole.sd), rel=1e-9)


@given(g=st.floats(-3, 3), n1=st.integers(3, 80), n2=st.integers(3, 80))
def test_sizes_from_an_unrounded_standard_error(g: float, n1: int, n2: int) -> None:
    total = n1 + n2
    se = float(np.sqrt(total / (n1 * n2) + g**2 / (2 * total)))
    found = recover.sizes_from_se(g, se, total, tolerance=1e-9)
    assert sorted(found.value.tolist()) == sorted([n1, n2])  # type: ignore[union-attr]


@given(n=st.integers(1, 500), data=st.data())
def test_freeman_tukey_goes_back(n: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, n))
    es = EffectSizes.from_frame(pd.DataFrame({"x": [x], "n": [n]}), "PFT")
    assert float(freeman_tukey_back(es.yi[0], n)) == pytest.approx(x / n, abs=1e-7)


@few
@given(data=raw())
def test_calculators_leave_their_arguments_alone(data: dict[str, np.ndarray]) -> None:
    before = {name: values.copy() for name, values in data.items()}
    for code in RECIPES:
        if code != "PHI":
            RECIPES[code].compute(data, "LS", "metafor")
    for name, values in data.items():
        np.testing.assert_array_equal(values, before[name])


def test_scalars_give_scalars_and_shapes_are_kept() -> None:
    yi, vi = standardized_mean_difference(10, 2, 20, 8.5, 3, 25)
    assert np.ndim(yi) == np.ndim(vi) == 0
    yi, vi = standardized_mean_difference(np.full((2, 3), 10.0), 2, 20, 8.5, 3, [25, 26, 27])
    assert yi.shape == vi.shape == (2, 3)
    yi, vi = odds_ratio([[3], [4]], 20, [5, 6], 20)
    assert yi.shape == (2, 2)
