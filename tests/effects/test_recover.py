"""What papers print in the place of an SD: values against R's own distributions, routes, and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtmeta.effects import recover
from mtmeta.effects.paired import pre_post_control
from mtmeta.effects.quantiles import MeanSD
from mtmeta.effects.recover import Recovered
from mtmeta.errors import EffectError, MtmetaError, UsageError

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
R: dict[str, Any] = json.loads((REFERENCE / "escalc_recover.json").read_text())
ROOT = 1e-9  # quantiles of t are roots


def _columns(name: str) -> dict[str, np.ndarray]:
    return {key: np.array(values, dtype=float) for key, values in R[name].items()}


# ---- values ---------------------------------------------------------------------------------------------


def test_statistics_and_sds_from_p_values() -> None:
    c = _columns("p_values")
    df = c["n1"] + c["n2"] - 2
    np.testing.assert_allclose(recover.t_from_p(c["p"], df).value, c["t"], rtol=ROOT)
    np.testing.assert_allclose(recover.t_from_p(c["p"], df, sides=1).value, c["one_sided"], rtol=ROOT)
    np.testing.assert_allclose(recover.t_from_p(c["p"], sign=-1).value, -c["z"], rtol=ROOT)
    np.testing.assert_allclose(recover.se_from_p(c["md"], c["p"], df=df).value, c["se"], rtol=ROOT)
    np.testing.assert_allclose(recover.sd_from_p(c["md"], c["p"], c["n1"], c["n2"]).value, c["sd"], rtol=ROOT)
    np.testing.assert_allclose(recover.sd_from_p(c["md"], c["p"], c["n1"]).value, c["sd_one"], rtol=ROOT)


def test_sds_and_ses_from_intervals() -> None:
    c = _columns("intervals")
    for level in (0.9, 0.95, 0.99):
        row = c["level"] == level
        low, high, n1, n2 = (c[name][row] for name in ("low", "high", "n1", "n2"))
        pairs = [
            (recover.sd_from_interval(low, high, n1, level=level), "t_one"),
            (recover.sd_from_interval(low, high, n1, level=level, quantile="z"), "z_one"),
            (recover.sd_from_interval(low, high, n1, n2, level=level), "t_two"),
            (recover.se_from_interval(low, high, level=level), "se"),
        ]
        for found, name in pairs:
            np.testing.assert_allclose(found.value, c[name][row], rtol=ROOT)
    ratios = _columns("ratios")
    found = recover.se_from_interval(ratios["low"], ratios["high"], scale="log")
    np.testing.assert_allclose(found.value, ratios["se"], rtol=1e-12)


def test_groups_combined_are_all_people_together() -> None:
    for group in R["groups"]:
        found = recover.combine_groups(group["m"], group["sd"], group["n"])
        assert float(found.mean) == pytest.approx(group["mean_all"][0], rel=1e-12)
        assert float(found.sd) == pytest.approx(group["sd_all"][0], rel=1e-12)
        assert float(found.n) == sum(group["n"])


def test_the_correlation_is_that_of_the_people() -> None:
    c = _columns("pre_post")
    r = recover.pre_post_correlation(c["before"], c["after"], c["change"])
    np.testing.assert_allclose(r.value, c["r"], rtol=1e-12)
    np.testing.assert_allclose(
        recover.sd_of_change(c["before"], c["after"], c["r"]).value, c["change"], rtol=1e-12
    )


def _summary(i: int) -> dict[str, float]:
    names = {"low": "minimum", "q1": "q1", "median": "median", "q3": "q3", "high": "maximum", "n": "n"}
    return {names[key]: values[i] for key, values in R["summaries"].items() if values[i] is not None}


def _from(i: int, method: Any) -> MeanSD:
    return recover.mean_sd_from_quantiles(**_summary(i), method=method)  # type: ignore[arg-type]


ROWS = range(len(R["summaries"]["n"]))


@pytest.mark.parametrize("i", ROWS)
def test_luo_wan_and_shi(i: int) -> None:
    closed = R["closed"]
    found = _from(i, "Luo")
    assert float(found.mean) == pytest.approx(closed["luo"][i], rel=1e-12)
    assert float(found.sd) == pytest.approx(closed["shi_sd"][i], rel=1e-12)
    assert float(_from(i, "Wan").sd) == pytest.approx(closed["wan_sd"][i], rel=1e-12)


@pytest.mark.parametrize("i", ROWS)
def test_quantile_estimation_finds_the_nearest_distribution(i: int) -> None:
    reference, found = R["qe"][i], _from(i, "QE")
    assert reference["name"] in str(found.mean.route)
    assert float(found.mean) == pytest.approx(reference["mean"], rel=1e-6)  # a Nelder-Mead search in R
    assert float(found.sd) == pytest.approx(reference["sd"], rel=1e-6)


@pytest.mark.parametrize("i", ROWS)
def test_box_cox(i: int) -> None:
    if R["box_cox"]["power"][i] is None:
        with pytest.raises(EffectError, match=r"Box-Cox needs quantiles above 0"):
            _from(i, "BC")
        return
    found = _from(i, "BC")
    assert f"power {R['box_cox']['power'][i]:.4g}" in str(found.sd.route)
    assert float(found.mean) == pytest.approx(R["box_cox"]["mean"][i], rel=1e-6)  # optimize in R
    assert float(found.sd) == pytest.approx(R["box_cox"]["sd"][i], rel=1e-6)


def test_wan_means_are_those_of_the_paper() -> None:
    """Wan et al. 2014, eqs. 3, 11 and 14, which are weighted means of what is printed."""
    assert float(recover.mean_sd_from_quantiles(4, 50, minimum=2, maximum=9, method="Wan").mean) == 4.75
    assert float(recover.mean_sd_from_quantiles(4, 50, q1=3, q3=8, method="Wan").mean) == 5.0
    all_five = recover.mean_sd_from_quantiles(4, 50, minimum=2, q1=3, q3=8, maximum=10, method="Wan")
    assert float(all_five.mean) == (2 + 6 + 8 + 16 + 10) / 8


def test_quantiles_of_arrays_are_those_of_the_rows() -> None:
    for method in ("Luo", "Wan", "QE", "BC"):
        both = recover.mean_sd_from_quantiles([8, 20], [40, 60], q1=[5, 12], q3=[12, 31], method=method)  # type: ignore[arg-type]
        rows = [
            recover.mean_sd_from_quantiles(8, 40, q1=5, q3=12, method=method),  # type: ignore[arg-type]
            recover.mean_sd_from_quantiles(20, 60, q1=12, q3=31, method=method),  # type: ignore[arg-type]
        ]
        np.testing.assert_allclose(both.mean.value, [float(r.mean) for r in rows], rtol=1e-14)
        assert both.sd.route == tuple(r.sd.route for r in rows)


@pytest.mark.parametrize(("factor", "shift"), [(100.0, 0.0), (0.001, 0.0), (1.0, 50.0)])
def test_units_do_not_matter(factor: float, shift: float) -> None:
    """Scaling what is printed scales mean and SD; the normal-based methods follow a shift too."""
    methods = ("Luo", "Wan", "QE", "BC") if shift == 0 else ("Luo", "Wan")
    for method in methods:
        one = recover.mean_sd_from_quantiles(30, 75, q1=22, q3=35, minimum=10, maximum=48, method=method)  # type: ignore[arg-type]
        printed = {
            k: v * factor + shift for k, v in {"q1": 22, "q3": 35, "minimum": 10, "maximum": 48}.items()
        }
        two = recover.mean_sd_from_quantiles(30 * factor + shift, 75, **printed, method=method)  # type: ignore[arg-type]
        assert float(two.mean) == pytest.approx(float(one.mean) * factor + shift, rel=1e-7)
        assert float(two.sd) == pytest.approx(float(one.sd) * factor, rel=1e-7)


def test_quantile_estimation_gives_back_the_distribution_the_quantiles_are_of() -> None:
    from scipy import stats

    p = np.array([0.25, 0.5, 0.75])
    for law, name in (
        (stats.norm(-3, 2), "normal"),
        (stats.lognorm(0.7, scale=12), "log-normal"),
        (stats.gamma(2.5, scale=4), "gamma"),
        (stats.weibull_min(1.6, scale=9), "Weibull"),
    ):
        q1, median, q3 = law.ppf(p)
        found = recover.mean_sd_from_quantiles(median, 50, q1=q1, q3=q3, method="QE")
        assert name in str(found.mean.route)
        assert float(found.mean) == pytest.approx(law.mean(), rel=1e-6)
        assert float(found.sd) == pytest.approx(law.std(), rel=1e-6)


def test_a_beta_distribution_is_found_between_0_and_1() -> None:
    from scipy import stats

    law = stats.beta(0.8, 2.0)
    q1, median, q3 = law.ppf([0.25, 0.5, 0.75])
    found = recover.mean_sd_from_quantiles(median, 50, q1=q1, q3=q3, method="QE")
    assert "beta" in str(found.mean.route)
    assert float(found.mean) == pytest.approx(law.mean(), rel=1e-5)


def test_pre_post_control_is_morris_and_becker() -> None:
    c = _columns("morris")
    data = [c[name] for name in ("pre1", "post1", "sd1", "n1", "pre2", "post2", "sd2", "n2")]
    yi, vi = pre_post_control(*data, r=c["r"], standardizer="separate")  # type: ignore[call-arg]
    np.testing.assert_allclose(yi, c["ppc1"], rtol=1e-10)
    np.testing.assert_allclose(vi, c["v_ppc1"], rtol=1e-10)
    yi, vi = pre_post_control(*data, r=c["r"])  # type: ignore[call-arg]
    np.testing.assert_allclose(yi, c["ppc2"], rtol=1e-10)
    np.testing.assert_allclose(vi, c["v_ppc2"], rtol=1e-10)
    _, exact = pre_post_control(*data, r=c["r"], variance="Morris")  # type: ignore[call-arg]
    np.testing.assert_allclose(exact, c["v_morris"], rtol=1e-10)


# ---- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variance", ["LS", "RevMan"])
@pytest.mark.parametrize(("n1", "n2"), [(15, 15), (27, 20), (60, 12), (8, 9), (2, 2)])
@pytest.mark.parametrize("g", [0.0, 0.35, -2.6646])
def test_sizes_from_what_was_computed_from_them(variance: Any, n1: int, n2: int, g: float) -> None:
    total = n1 + n2
    less = 3.94 if variance == "RevMan" else 0.0
    se = round(float(np.sqrt(total / (n1 * n2) + g**2 / (2 * (total - less)))), 4)
    assert recover.sizes_from_se(g, se, total, variance=variance).value.tolist() == [max(n1, n2), min(n1, n2)]  # type: ignore[union-attr]
    if n1 == n2:
        found = recover.sizes_from_se(g, se, variance=variance)
        assert found.value.tolist() == [n1, n2]  # type: ignore[union-attr]
        assert "equal groups assumed" in found.route[0]


# ---- routes, bounds, refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "route"),
    [
        (lambda: recover.sd_from_se(0.5, 25), "SD from SE: 0.5 × √25 = 2.5"),
        (lambda: recover.se_from_t(3, -1.5), "SE from t: |3 / -1.5| = 2"),
        (lambda: recover.t_from_f(4), "t from F: √4 = 2"),
        (lambda: recover.sd_from_t(3, 2, 8, 8), "SD from t: |3 / 2| / √(1/8 + 1/8) = 3"),
        (lambda: recover.sd_from_f(3, 4, 8, 8), "SD from F: |3| / √4 / √(1/8 + 1/8) = 3"),
        (lambda: recover.sd_from_t(3, 2, 16), "SD from t: |3 / 2| × √16 = 6"),
        (
            lambda: recover.sd_from_interval(-1.959963984540054, 1.959963984540054, 4, quantile="z"),
            "SD from CI: (1.95996 − -1.95996) / (2 × 1.95996) × √4 = 2",
        ),
        (
            lambda: recover.se_from_interval(1, np.exp(2 * 1.959963984540054), scale="log"),
            "SE from CI, log: (ln 50.3968 − ln 1) / (2 × 1.95996) = 1",
        ),
        (
            lambda: recover.sd_of_change(3, 4, 0),
            "SD of change: √(3² + 4² − 2 × 0 × 3 × 4) = 5",
        ),
    ],
)
def test_a_route_is_a_sum_a_reader_can_redo(found: Callable[[], Recovered], route: str) -> None:
    assert found().route == route


def test_an_array_has_a_route_a_row() -> None:
    found = recover.sd_from_se([0.5, 1.0], 25)
    assert found.route == ("SD from SE: 0.5 × √25 = 2.5", "SD from SE: 1 × √25 = 5")
    assert "2 values" in repr(found)
    with pytest.raises(ValueError, match=r"read-only"):
        found.value[0] = 3  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        found.route = ()  # type: ignore[misc]


def test_an_inequality_gives_a_bound() -> None:
    """P < 0.01: t at least so large, so the spread at most so large; P > 0.05 the other way."""
    assert recover.t_from_p(0.01, 40, relation="<").bound == "lower"
    assert recover.se_from_p(2, 0.01, df=40, relation="<").bound == "upper"
    below = recover.sd_from_p(2, 0.01, 20, 22, relation="<")
    assert below.bound == "upper"
    assert "P < 0.01" in str(below.route)
    assert "upper bound" in repr(below)
    assert float(recover.sd_from_p(2, 0.004, 20, 22)) < float(below)
    above = recover.sd_from_p(2, 0.05, 20, 22, relation=">")
    assert above.bound == "lower"
    assert float(recover.sd_from_p(2, 0.4, 20, 22)) > float(above)
    assert recover.sd_from_p(2, 0.01, 20, 22).bound is None


def test_an_f_of_several_groups_is_refused_with_the_reason() -> None:
    for call in (lambda: recover.t_from_f(4.2, 2), lambda: recover.sd_from_f(3, 4.2, 10, 10, df1=2)):
        with pytest.raises(EffectError, match=r"compares several groups at once; no difference of two"):
            call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: recover.sd_from_se(-1, 20), r"se = -1: a standard error is above 0"),
        (lambda: recover.sd_from_se(1, 1), r"n = 1"),
        (lambda: recover.se_from_interval(2, 1), r"low = 2: must lie below"),
        (lambda: recover.se_from_interval(-1, 1, scale="log"), r"low = -1: a limit of a ratio is above 0"),
        (lambda: recover.se_from_interval(1, 2, estimate=-1.31), r"estimate = -1.31: lies outside"),
        (lambda: recover.se_from_interval(1, 2, df=0), r"df = 0"),
        (lambda: recover.se_from_t(0, 2), r"estimate = 0: .*says nothing of the spread"),
        (lambda: recover.se_from_t(2, 0), r"t = 0: a statistic of 0"),
        (lambda: recover.t_from_p(0, 20), r"p = 0: .*relation='<'"),
        (lambda: recover.t_from_p(1.2, 20), r"p = 1.2"),
        (lambda: recover.t_from_p(0.2, 20, sign=0), r"sign = 0"),
        (lambda: recover.t_from_p(0.2, 0), r"df = 0"),
        (lambda: recover.se_from_p(2, 1.0, df=20), r"p = 1: a P value this large"),
        (lambda: recover.sd_from_p(2, 1.0, 20, 20), r"p = 1: a P value this large"),
        (lambda: recover.t_from_f(-1), r"f = -1"),
        (lambda: recover.t_from_f(1, sign=2), r"sign = 2"),
        (lambda: recover.pre_post_correlation(1, 1, 3), r"sd_change = 3: .*is one of them a standard error"),
        (lambda: recover.pre_post_correlation(0, 1, 1), r"sd_before = 0"),
        (lambda: recover.sd_of_change(1, 1, 1), r"r = 1: equal SDs with r = 1"),
        (lambda: recover.sd_of_change(1, 1, 2), r"r = 2"),
        (lambda: recover.sd_of_final(2, 1, 0.9), r"sd_change = 1: varies less than the baseline"),
        (lambda: recover.combine_groups(1, 1, 10), r"two or more groups"),
        (lambda: recover.combine_groups([1, 2], [1, 0], [5, 5]), r"row 2: sd = 0"),
        (lambda: recover.sizes_from_se(0.5, 0.3, 3), r"two groups of at least 2"),
        (lambda: recover.sizes_from_se(0.5, 0.1, 40), r"no two groups of 40 people"),
        (lambda: recover.sizes_from_se(0.5, -0.1, 40), r"se = -0.1"),
        (lambda: recover.mean_sd_from_quantiles(8, 40, q1=9, q3=12), r"q1 = 9: quantiles out of order"),
        (lambda: recover.mean_sd_from_quantiles(8, 40, q1=8, q3=8), r"q1 = 8: all quantiles are the same"),
        (
            lambda: recover.mean_sd_from_quantiles(8, 40, q1=8, q3=8, minimum=1, maximum=9),
            r"q1 = 8: both quartiles are the same",
        ),
        (lambda: recover.mean_sd_from_quantiles(8, 2, q1=5, q3=12), r"n = 2: quantiles of fewer than 3"),
        (lambda: recover.mean_sd_from_quantiles(np.nan, 20, q1=5, q3=12), r"median = nan"),
    ],
)
def test_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(EffectError, match=words):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: recover.t_from_p(0.1, 20, relation="<="),  # type: ignore[arg-type]
        lambda: recover.t_from_p(0.1, 20, sides=3),  # type: ignore[arg-type]
        lambda: recover.sd_from_interval(1, 2, 20, quantile="normal"),  # type: ignore[arg-type]
        lambda: recover.se_from_interval(1, 2, level=95),
        lambda: recover.se_from_interval(1, 2, scale="ln"),  # type: ignore[arg-type]
        lambda: recover.mean_sd_from_quantiles(8, 40, q1=5),
        lambda: recover.mean_sd_from_quantiles(8, 40),
        lambda: recover.mean_sd_from_quantiles(8, 40, q1=5, q3=12, method="luo"),  # type: ignore[arg-type]
        lambda: recover.sizes_from_se(1, 1, 20, variance="UB"),  # type: ignore[arg-type]
    ],
)
def test_wrong_use(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        call()


def test_all_errors_are_ours() -> None:
    assert issubclass(EffectError, MtmetaError)
    assert issubclass(EffectError, ValueError)


@pytest.mark.r
def test_the_committed_reference_is_what_the_script_makes(rscript: Any, tmp_path: Path) -> None:
    rscript(REFERENCE / "make_escalc_recover.R", str(tmp_path / "again.json"))
    again = json.loads((tmp_path / "again.json").read_text())
    assert again.keys() == R.keys()
    for name in ("p_values", "intervals", "ratios", "morris", "closed", "box_cox", "meaning"):
        for column, values in R[name].items():
            np.testing.assert_allclose(
                np.array(again[name][column], float), np.array(values, float), rtol=1e-7, atol=1e-12
            )
