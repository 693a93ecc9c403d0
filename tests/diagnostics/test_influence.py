"""Leave-one-out, case diagnostics, cumulation and Baujat against metafor 5.1-12 and 3.8-1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as property_of, strategies as st

from mtmeta.diagnostics.influence import baujat, cumulative, influence, leave_one_out
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models import kernel
from mtmeta.models.dependent import Multilevel
from mtmeta.models.pool import CommonEffect, RandomEffects

OPTIMISER = 1e-7
GIVEN = (*(f"sim{i}" for i in (1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 14, 15, 16)), "wild", "dominated")
SETS = (
    "k6", "k10", "k10-biased", "k15-homogeneous", "k20-biased", "k30-null", "k40-biased", "k60",
    "k25-negative", "ties",
)  # fmt: skip
TESTS = {"z": "Wald", "knha": "HKSJ", "adhoc": "HKSJ-floor"}
CELLS = [("EE", "z"), *((m, t) for m in ("DL", "REML") for t in TESTS)]
CASE = (
    "rstudent", "dffits", "cook", "cov_ratio", "tau2_deleted", "q_deleted", "hat", "weight", "dfbetas",
    "influential",
)  # fmt: skip
Table = Callable[[str], EffectSizes]


def _near(got: Any, want: Any, tolerance: float = OPTIMISER) -> None:
    np.testing.assert_allclose(
        np.asarray(got, dtype=float), np.asarray(want, dtype=float), rtol=tolerance, atol=tolerance
    )


def _model(method: str, test: str) -> CommonEffect | RandomEffects:
    return CommonEffect() if method == "EE" else RandomEffects(tau2=method, ci=TESTS[test])


def test_the_grid_is_complete(given: Any, generated: Any) -> None:
    assert set(given("influence")) == set(GIVEN)
    cells = {(r["id"], r["method"], r["test"]) for r in generated["influence"]}
    assert cells == {(s, *cell) for s in SETS for cell in CELLS}
    for row in generated["influence"]:
        assert set(CASE) <= set(row), (row["id"], row["method"], row["test"])


@pytest.mark.parametrize("name", GIVEN)
def test_metafor_5_1(name: str, given: Any, data: Table) -> None:
    want, es = given("influence")[name], data(name)
    model = RandomEffects(ci="Wald")
    cases, out = influence(model, es), leave_one_out(model, es)
    # metafor stops REML at 1e-5 of tau2; its own rounding of the data set's references is of that order
    for ours, theirs in (
        ("rstudent", "rstudent"), ("dffits", "dffits"), ("cook", "cook"), ("cov_ratio", "covr"),
        ("tau2_deleted", "tau2_del"), ("hat", "hat"), ("weight", "weight"),
    ):  # fmt: skip
        _near(cases[ours], want[theirs])
    for ours, theirs in (("estimate", "loo_est"), ("se", "loo_se"), ("tau2", "loo_tau2"), ("i2", "loo_I2")):
        _near(out[ours], want[theirs])
    steps = cumulative(model, es, by=np.arange(es.k))
    _near(steps["estimate"], want["cum_est"])
    _near(steps["tau2"], want["cum_tau2"])


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("method", "test"), CELLS)
def test_by_interval_method(name: str, method: str, test: str, generated: Any, data: Table) -> None:
    want = next(
        r for r in generated["influence"] if (r["id"], r["method"], r["test"]) == (name, method, test)
    )
    model, es = _model(method, test), data(name)
    cases = influence(model, es)
    for column in CASE:
        _near(cases[column], want[column])
    out = leave_one_out(model, es)
    for ours, theirs in (
        ("estimate", "loo"), ("se", "loo_se"), ("ci_low", "loo_low"), ("ci_high", "loo_high"), ("q", "loo_q"),
        ("i2", "loo_i2"), ("h2", "loo_h2"),
    ):  # fmt: skip
        _near(out[ours], want[theirs])
    steps = cumulative(model, es, by=np.arange(es.k))
    # the first step is one study alone: metafor's Hartung-Knapp has no degrees of freedom there
    first = 0 if test == "z" else 1
    for ours, theirs in (
        ("estimate", "cum"), ("se", "cum_se"), ("ci_low", "cum_low"), ("ci_high", "cum_high"),
    ):  # fmt: skip
        _near(steps[ours][first:], want[theirs][first:])
    if test == "z":
        place = baujat(model, es)
        _near(place["contribution"], want["contribution"])
        _near(place["influence"], want["influence"])


def test_clusters_and_studies_go_together(data: Table) -> None:
    es = data("sim1")
    grouped = EffectSizes.of(es.yi, es.vi, study=list("aabbccddee"), cluster=[1, 1, 1, 1, 2, 2, 2, 2, 3, 3])
    model = RandomEffects()
    by_study = leave_one_out(model, grouped, by="study")
    by_cluster = leave_one_out(model, grouped, by="cluster")
    assert by_study["study"].tolist() == list("abcde")
    assert by_cluster["study"].tolist() == ["1", "2", "3"]
    assert by_cluster["k"].tolist() == [6, 6, 8]
    alone = model.fit(grouped.subset(np.arange(4, 10)))
    assert by_cluster["estimate"][0] == pytest.approx(alone.estimate, abs=1e-12)
    assert by_cluster["ci_low"][0] == pytest.approx(alone.ci().low, abs=1e-12)
    with pytest.raises(ModelError, match="all effects are of one cluster"):
        leave_one_out(model, EffectSizes.of(es.yi, es.vi, cluster=["x"] * 10), by="cluster")
    with pytest.raises(UsageError):
        leave_one_out(model, es, by="trial")


def test_any_model_is_refitted_as_it_is(data: Table) -> None:
    es = data("sim4")
    grouped = EffectSizes.of(es.yi, es.vi, cluster=np.arange(40) // 4)
    model = Multilevel(robust=False)
    table = leave_one_out(model, grouped, by="cluster")
    alone = model.fit(grouped.subset(np.arange(4, 40)))
    assert len(table) == 10
    assert table["estimate"][0] == alone.estimate
    assert (table["ci_low"][0], table["ci_high"][0]) == tuple(alone.ci())
    with pytest.raises(UsageError, match="use leave_one_out"):
        influence(model, grouped)
    with pytest.raises(UsageError, match="Baujat"):
        baujat(model, grouped)


def test_cumulation_by_column_precision_and_values(data: Table) -> None:
    es = data("sim6")
    years = [2001, 1999, 2010, 1999, 2005, 1990, 2020]
    dated = EffectSizes.of(es.yi, es.vi, study=list("abcdefg"), columns={"year": years})
    table = cumulative(CommonEffect(), dated)
    assert table["study"].tolist() == list("fbdaecg")  # ties keep their order
    assert table["k"].tolist() == list(range(1, 8))
    pd.testing.assert_frame_equal(table, cumulative(CommonEffect(), dated, by=years))
    assert (
        cumulative(CommonEffect(), dated, by="precision")["study"].iloc[0] == "abcdefg"[int(np.argmin(es.vi))]
    )
    with pytest.raises(UsageError, match="no column 'dose' to cumulate by; use 'precision' or one of year"):
        cumulative(CommonEffect(), dated, by="dose")
    with pytest.raises(UsageError, match="6 values for 7 effects"):
        cumulative(CommonEffect(), dated, by=years[:6])
    with pytest.raises(ModelError, match="missing for c"):
        cumulative(CommonEffect(), dated, by=[1, 2, float("nan"), 4, 5, 6, 7])


def test_too_few() -> None:
    pair = EffectSizes.of([0.1, 0.2], [0.1, 0.1])
    with pytest.raises(ModelError, match="at least 3 effects and there are 2"):
        influence(CommonEffect(), pair)
    with pytest.raises(ModelError, match="at least 2 effects and there is 1"):
        leave_one_out(CommonEffect(), pair.subset([0]))
    assert leave_one_out(RandomEffects(), pair)["tau2"].tolist() == [0.0, 0.0]


@property_of(st.permutations(range(10)))
def test_row_order_does_not_matter(order: list[int]) -> None:
    rng = np.random.default_rng(7)
    es = EffectSizes.of(rng.normal(0.3, 0.5, 10), rng.uniform(0.02, 0.2, 10))
    model = RandomEffects()
    straight = influence(model, es).drop(columns="study").to_numpy(dtype=float)
    mixed = influence(model, es.subset(order)).drop(columns="study").to_numpy(dtype=float)
    np.testing.assert_allclose(mixed, straight[order], rtol=1e-8, atol=1e-10)


def test_refits_are_one_batch_whatever_the_number_of_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit of the kernel for each study would make two hundred slow."""
    calls: list[int] = []
    fit_stack = kernel._fit_stack

    def counted(stack: Any, t: Any) -> Any:
        calls.append(len(t))
        return fit_stack(stack, t)

    monkeypatch.setattr(kernel, "_fit_stack", counted)
    rng = np.random.default_rng(1)
    es = EffectSizes.of(rng.normal(0.3, 0.4, 200), rng.uniform(0.01, 0.3, 200))
    influence(RandomEffects(), es)
    assert max(calls) >= 50
    assert len(calls) <= 10
