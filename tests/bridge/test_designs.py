"""Trials that are not two parallel groups: several arms, crossovers, changes, clusters, bounds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_trials import effect, routes, trial

from mtmeta.effects.compute import effects_of
from mtmeta.effects.printed import NoRouteError, RouteChoices
from mtmeta.effects.select import Query, select_rows
from mtmeta.effects.shared import sampling_covariance
from mtmeta.errors import DataWarning, MixedScoresWarning, UsageError

MEANS = {"music": {"n": 20, "mean": 10.0, "sd": 2.0}, "control": {"n": 25, "mean": 8.5, "sd": 3.0}}
ARMS: list[dict[str, Any]] = [
    {"name": "own music", "role": "music", "n": 22, "mean": 7.87, "sd": 4.24},
    {"name": "slow music", "role": "music", "n": 19, "mean": 4.35, "sd": 3.3},
    {"name": "rest", "role": "control", "n": 25, "mean": 9.32, "sd": 4.5},
]
EVENT_ARMS: list[dict[str, Any]] = [
    {"name": "own music", "role": "music", "n": 40, "events": 10},
    {"name": "slow music", "role": "music", "n": 44, "events": 14},
    {"name": "rest", "role": "control", "n": 38, "events": 20},
]


def arms(**more: Any) -> dict[str, Any]:
    return {"kind": "arms", "form": "means", "arms": ARMS, **more}


# ---- several arms ----


def test_combining_is_the_default_and_is_said() -> None:
    (printed,) = routes(arms())
    assert "arms combined" in printed.route
    assert printed.n1 == 41


def test_the_analysis_overrules_the_record() -> None:
    assert len(routes(arms(rule="separate"), "MD")) == 2
    assert len(routes(arms(rule="separate"), "MD", RouteChoices(arms="combine"))) == 1


def test_a_split_control_keeps_its_mean_and_sd_and_divides_its_people() -> None:
    """Cochrane Handbook 23.3.4; nobody counts twice."""
    first, second = routes(arms(), "SMD", RouteChoices(arms="split control"))
    assert (first.n1, second.n1) == (22, 19)
    assert first.n2 + second.n2 == 25
    assert all(p.raw["m2"] == 9.32 and p.raw["sd2"] == 4.5 for p in (first, second))
    events = routes(
        {"kind": "arms", "form": "events", "arms": EVENT_ARMS}, "OR", RouteChoices(arms="split control")
    )
    assert [p.raw["c"] for p in events] == [10, 10]
    assert [p.raw["n2"] for p in events] == [19, 19]


def test_separate_rows_have_the_covariance_of_gleser_and_olkin() -> None:
    """g by one SD of all N people; variance 1/n1 + 1/n2 + g²/(2N), covariance 1/n2 + g g'/(2N)."""
    with pytest.warns(DataWarning, match="share an arm"):
        es = effect(arms(), choices=RouteChoices(arms="separate"))
    sizes, sds = np.array([22, 19, 25]), np.array([4.24, 3.3, 4.5])
    sd = math.sqrt(float(((sizes - 1) * sds**2).sum()) / (66 - 3))
    j = math.exp(math.lgamma(31.5) - math.lgamma(31)) / math.sqrt(31.5)
    g = j * (np.array([7.87, 4.35]) - 9.32) / sd
    assert es.yi == pytest.approx(g, rel=1e-12)
    expected = 1 / 25 + np.outer(g, g) / (2 * 66) + np.diag([1 / 22, 1 / 19])
    assert sampling_covariance(es) == pytest.approx(expected, rel=1e-12)


@pytest.mark.r
def test_separate_rows_meet_metafor(rscript: Any) -> None:
    """The covariance as metafor's own page of Gleser and Olkin (2009) computes it, and rma.mv with it."""
    told = rscript(Path(__file__).with_name("shared_control.R"))
    values = np.array([float(x) for x in told.split()])
    with pytest.warns(DataWarning):
        es = effect(arms(), choices=RouteChoices(arms="separate"))
    covariance = sampling_covariance(es)
    assert es.yi == pytest.approx(values[:2], rel=1e-12)
    assert covariance.ravel() == pytest.approx(values[2:6], rel=1e-12)
    weights = np.linalg.solve(covariance, np.ones(2))
    assert weights @ es.yi / weights.sum() == pytest.approx(values[6], rel=1e-9)
    assert math.sqrt(1 / weights.sum()) == pytest.approx(values[7], rel=1e-9)


@pytest.mark.parametrize(
    ("measure", "shared"),
    [("OR", 1 / 20 + 1 / 18), ("RR", 1 / 20 - 1 / 38), ("RD", 20 / 38 * 18 / 38 / 38)],
)
def test_rows_of_events_share_the_control_arms_variance(measure: str, shared: float) -> None:
    data = {"kind": "arms", "form": "events", "arms": EVENT_ARMS}
    with pytest.warns(DataWarning):
        es = effect(data, measure, choices=RouteChoices(arms="separate"))
    covariance = sampling_covariance(es)
    assert covariance[0, 1] == pytest.approx(shared, rel=1e-12)
    assert np.diag(covariance) == pytest.approx(es.vi, rel=1e-12)


def test_the_mean_of_separate_rows_takes_their_known_covariance() -> None:
    study = trial({"data": arms()})
    query = Query(constructs=("anxiety",), rule="mean", rho=0.99)
    es, _ = effects_of(select_rows([study], query), measure="MD", choices=RouteChoices(arms="separate"))
    v = (4.24**2 / 22 + 3.3**2 / 19 + 2 * 4.5**2 / 25 + 2 * 4.5**2 / 25) / 4
    assert es.k == 1
    assert es.yi[0] == pytest.approx((7.87 + 4.35) / 2 - 9.32, rel=1e-12)
    assert es.vi[0] == pytest.approx(v, rel=1e-12)


def test_a_covariance_that_is_not_known_is_not_made_up() -> None:
    with pytest.raises(NoRouteError, match="no covariance"):
        routes(arms(), "ROM", RouteChoices(arms="separate"))


def test_medians_of_several_arms_are_recovered_arm_by_arm() -> None:
    data = [
        {"name": "a", "role": "music", "n": 17, "median": 2.0, "q1": 1.0, "q3": 6.0},
        {"name": "b", "role": "music", "n": 17, "median": 3.0, "q1": 1.0, "q3": 6.0},
        {"name": "c", "role": "control", "n": 18, "median": 2.0, "q1": 0.0, "q3": 3.0},
    ]
    (printed,) = routes({"kind": "arms", "form": "quartiles", "arms": data})
    assert printed.n1 == 34
    assert "Luo 2018" in printed.route


# ---- crossover ----

CROSSOVER = {
    "kind": "paired",
    "n": 10,
    "music": {"mean": 7.0, "sd": 2.38},
    "control": {"mean": 6.5, "sd": 2.21},
}


def test_crossover_smd_of_the_handbook() -> None:
    """Handbook 5.1, 16.4.6.4: SMD 0.218 with SE 0.256."""
    es = effect({**CROSSOVER, "r": 0.68})
    assert (f"{es.yi[0]:.3f}", f"{math.sqrt(es.vi[0]):.3f}") == ("0.218", "0.256")
    assert es.columns is not None
    assert es.columns["standardiser"][0] == "SD of people, both periods pooled"


def test_r_is_recovered_from_the_sd_of_differences() -> None:
    """SD of differences 1.8426 is r 0.68 (FIELD, Handbook 16.4.6.4)."""
    by_r = effect({**CROSSOVER, "r": 0.68})
    by_sd = effect({**CROSSOVER, "difference": {"mean": 0.5, "sd": 1.8426}})
    assert by_sd.vi[0] == pytest.approx(by_r.vi[0], rel=1e-4)
    se, n = 1.8426 / math.sqrt(10), 10
    from scipy import stats

    half = stats.t.ppf(0.975, 9) * se
    p = 2 * stats.t.sf(0.5 / se, 9)
    for more in (
        {"difference": {"mean": 0.5, "se": se}},
        {"difference": {"mean": 0.5, "ci_low": 0.5 - half, "ci_high": 0.5 + half}},
        {"p": f"{p:.17f}"},
    ):
        es = effect({**CROSSOVER, **more}, "MD")
        assert es.vi[0] * n == pytest.approx(1.8426**2, rel=1e-9)
        assert effect({**CROSSOVER, **more}).vi[0] == pytest.approx(by_sd.vi[0], rel=1e-9)


def test_a_declared_range_of_r_becomes_a_band() -> None:
    (printed,) = routes({**CROSSOVER, "r_range": [0.5, 0.8]})
    low, high = (effect({**CROSSOVER, "r": r}) for r in (0.8, 0.5))
    assert printed.effect is not None
    assert math.sqrt(low.vi[0]) < printed.effect[1] < math.sqrt(high.vi[0])
    told = " ".join(printed.notes)
    assert f"{math.sqrt(low.vi[0]):.3g}" in told
    assert f"{math.sqrt(high.vi[0]):.3g}" in told
    assert routes(CROSSOVER, "SMD", RouteChoices(r=(0.5, 0.8)))[0].effect == printed.effect
    with pytest.raises(UsageError, match="range"):
        RouteChoices(r=(0.8, 0.5))


def test_the_first_period_stands_in_where_pairs_cannot_be_had() -> None:
    first = {"music": {"n": 5, "mean": 7.2, "sd": 2.0}, "control": {"n": 5, "mean": 6.3, "sd": 2.2}}
    (asked,) = routes(
        {**CROSSOVER, "r": 0.68, "first_period": first}, "SMD", RouteChoices(crossover="first period")
    )
    (needed,) = routes({**CROSSOVER, "first_period": first})
    assert asked.raw == needed.raw
    assert asked.raw["m1"] == 7.2
    assert "no correlation" in " ".join(needed.notes)


def test_periods_taken_for_parallel_groups_are_noted() -> None:
    (printed,) = routes({"kind": "means", **MEANS}, design={"unit": "crossover"})
    assert "variance is too large" in " ".join(printed.notes)
    (printed,) = routes({"kind": "means", **MEANS}, design={"unit": "crossover"}, subset="first period")
    assert "different people" in " ".join(printed.notes)
    assert "too large" not in " ".join(printed.notes)


# ---- changes ----


def changes(**control: Any) -> dict[str, Any]:
    music = {
        "n": 20,
        "change": {"mean": -3.0},
        "baseline": {"mean": 10.0, "sd": 6.4},
        "final": {"mean": 7.0, "sd": 7.1},
    }
    return {
        "kind": "changes",
        "music": music,
        "control": {"n": 25, "change": {"mean": -1.0, "sd": 4.2}, **control},
    }


def test_sd_of_change_from_the_other_arms_correlation() -> None:
    """Handbook 5.1, 16.1.3.2: 7.0, 6.9 and 4.2 are r 0.82."""
    (printed,) = routes(changes(baseline={"sd": 7.0}, final={"sd": 6.9}), "MD")
    r = (7.0**2 + 6.9**2 - 4.2**2) / (2 * 7.0 * 6.9)
    assert round(r, 2) == 0.82
    assert printed.raw["sd1"] == pytest.approx(math.sqrt(6.4**2 + 7.1**2 - 2 * r * 6.4 * 7.1), rel=1e-12)
    assert "of the other arm" in " ".join(printed.notes)


def test_an_assumed_correlation_is_noted_with_its_band() -> None:
    with pytest.raises(NoRouteError, match="declare r_range"):
        routes(changes(), "MD")
    (printed,) = routes(changes(), "MD", RouteChoices(r=(0.4, 0.8)))
    (middle,) = routes(changes(), "MD", RouteChoices(r=0.6))
    assert printed.raw["sd1"] == pytest.approx(middle.raw["sd1"], rel=1e-12)
    assert "over that range" in " ".join(printed.notes)


def test_a_mean_change_follows_from_both_means() -> None:
    data = changes()
    data["music"]["change"] = {"sd": 4.5}
    (printed,) = routes(data, "MD")
    assert printed.raw["m1"] == -3.0


def test_changes_and_final_values_under_one_smd_warn() -> None:
    change = {
        "kind": "changes",
        "music": {"n": 9, "change": {"mean": 1, "sd": 1}},
        "control": {"n": 9, "change": {"mean": 0, "sd": 1}},
    }
    studies = [
        trial({"data": {"kind": "means", **MEANS}, "value": "final"}),
        trial({"data": change}, id="other-2001"),
    ]
    with pytest.warns(MixedScoresWarning):
        effects_of(select_rows(studies, Query(constructs=("anxiety",))), measure="SMD")


# ---- clusters ----

CLUSTER = {"unit": "cluster", "icc": 0.05, "mean_cluster_size": 11}  # design effect 1.5


def test_sizes_are_divided_by_the_design_effect() -> None:
    plain, clustered = (
        effect({"kind": "means", **MEANS}, "MD"),
        effect({"kind": "means", **MEANS}, "MD", design=CLUSTER),
    )
    assert clustered.yi[0] == plain.yi[0]
    assert clustered.vi[0] == pytest.approx(1.5 * plain.vi[0], rel=1e-12)
    by_hand = effect({"kind": "means", **MEANS}, "MD", design={"unit": "cluster"}, design_effect=1.5)
    assert by_hand.vi[0] == pytest.approx(clustered.vi[0], rel=1e-12)


def test_effective_events_keep_their_proportion() -> None:
    data = {"kind": "events", "music": {"events": 12, "n": 30}, "control": {"events": 6, "n": 30}}
    plain, clustered = effect(data, "OR"), effect(data, "OR", design=CLUSTER)
    assert clustered.yi[0] == pytest.approx(plain.yi[0], rel=1e-12)
    assert clustered.vi[0] == pytest.approx(1.5 * plain.vi[0], rel=1e-12)


def test_a_design_effect_is_never_applied_twice() -> None:
    plain = effect({"kind": "means", **MEANS})
    told = effect({"kind": "means", **MEANS}, design=CLUSTER, clusters="allowed for", design_effect=1.5)
    assert told.vi[0] == plain.vi[0]
    assert told.columns is not None
    assert "allowed for" in told.columns["route"][0]


def test_a_printed_effect_is_inflated_only_where_the_record_says_so() -> None:
    data = {"kind": "interval", "measure": "MD", "estimate": -3.0, "ci_low": -4.79, "ci_high": -1.21}
    plain = effect(data, "MD")
    (untold,) = routes(data, "MD", design=CLUSTER)
    assert untold.effect == (plain.yi[0], pytest.approx(math.sqrt(plain.vi[0])))
    assert "not told" in " ".join(untold.notes)
    said = effect(data, "MD", design=CLUSTER, clusters="not allowed for")
    assert said.vi[0] == pytest.approx(1.5 * plain.vi[0], rel=1e-12)


def test_clusters_nobody_counts_are_noted() -> None:
    (printed,) = routes({"kind": "means", **MEANS}, design={"unit": "cluster"})
    assert "without ICC" in " ".join(printed.notes)


# ---- bounds ----


@pytest.mark.parametrize("p", ["<0.05", "< .05", "P<0.05", "≤0.05"])
def test_a_bound_is_told_and_not_pooled(p: str) -> None:
    data = {"kind": "test", "statistic": "p", "p": p, "music_is": "lower", "n_music": 20, "n_control": 25}
    with pytest.raises(NoRouteError, match=r"bounds the effect.*at least 0\.61"):
        routes(data)
    (printed,) = routes(data, "SMD", RouteChoices(bounds=True))
    assert printed.d is not None
    assert printed.d == pytest.approx(routes({**data, "p": "0.05"})[0].d, rel=1e-12)
    assert "bound" in " ".join(printed.notes)


def test_not_significant_is_never_an_effect() -> None:
    data = {
        "kind": "test",
        "statistic": "p",
        "p": ">0.05",
        "music_is": "lower",
        "n_music": 20,
        "n_control": 25,
    }
    with pytest.raises(NoRouteError, match="at most"):
        routes(data, "SMD", RouteChoices(bounds=True))


def test_an_sd_from_the_p_value_of_the_handbook() -> None:
    """Handbook 5.1, 7.7.3.3: difference 3.8, n 25 and 22, P 0.008: SE 1.37, SD 4.69 (not rounded: 4.6835)."""
    data = {"kind": "means", "p": "0.008", "music": {"n": 25, "mean": 3.8}, "control": {"n": 22, "mean": 0.0}}
    (printed,) = routes(data, "MD")
    assert printed.raw["sd1"] == pytest.approx(4.6835, abs=5e-5)
    assert math.sqrt(effect(data, "MD").vi[0]) == pytest.approx(1.3691, abs=5e-5)
    with pytest.raises(NoRouteError, match="only bounds it: SD at most"):
        routes({**data, "p": "<0.01"})
    bound = routes({**data, "p": "<0.008"}, "MD", RouteChoices(bounds=True))[0]
    assert bound.raw == printed.raw


def test_a_test_with_means_gives_a_mean_difference() -> None:
    data = {
        "kind": "test",
        "statistic": "t",
        "value": 2.78,
        "mean_music": 3.8,
        "mean_control": 0.0,
        "n_music": 25,
        "n_control": 22,
    }
    es = effect(data, "MD")
    assert (es.yi[0], f"{math.sqrt(es.vi[0]):.2f}") == (3.8, "1.37")
