"""Multiverse: each row is its own fit; shares, vibration and decomposition against R's quantile and lm."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from mtmeta.diagnostics.multiverse import Multiverse, Specification, multiverse
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models import kernel
from mtmeta.models.pool import CommonEffect, HenmiCopas, RandomEffects

Table = Callable[[str], EffectSizes]
TAU2 = ("DL", "REML", "PM", "ML")
CI = ("Wald", "HKSJ", "HKSJ-floor", "auto")


def _grid(es: EffectSizes) -> Iterator[Specification]:
    subsets = {
        "all": np.arange(es.k),
        "without the first": np.arange(1, es.k),
        "large": np.flatnonzero(es.vi < 0.1),
    }
    for (rows, which), tau2, ci in itertools.product(subsets.items(), TAU2, CI):
        yield Specification(
            {"studies": rows, "estimator": tau2, "interval": ci}, es.subset(which), RandomEffects(tau2, ci=ci)
        )
    for rows, which in subsets.items():
        for model, name in ((CommonEffect(), "common"), (HenmiCopas(), "HC")):
            yield Specification(
                {"studies": rows, "estimator": name, "interval": "own"}, es.subset(which), model
            )


@pytest.fixture(scope="module")
def found(data: Table) -> Multiverse:
    return multiverse(_grid(data("sim5")))


def test_each_row_is_its_own_fit(found: Multiverse) -> None:
    table = found.to_frame()
    assert len(table) == 3 * (16 + 2)
    assert table.columns.tolist() == [
        "studies", "estimator", "interval", "estimate", "se", "ci_low", "ci_high", "pvalue", "tau2",
        "i2", "k",
    ]  # fmt: skip
    for one, row in zip(found.specifications, table.to_dict("records"), strict=True):
        fit = one.model.fit(one.effects)
        low, high = fit.ci()
        want = {
            "estimate": fit.estimate,
            "se": fit.se,
            "ci_low": low,
            "ci_high": high,
            "i2": fit.i2,
            "k": fit.k,
        }
        for name, value in want.items():
            assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-12), (one.choices, name)
        if not isinstance(one.model, HenmiCopas):  # which gives no test
            assert row["pvalue"] == pytest.approx(fit.pvalue, rel=1e-7, abs=1e-14)


def test_shares(found: Multiverse) -> None:
    table, shares = found.to_frame(), found.shares()
    assert shares["above"] == np.mean(table["ci_low"] > 0)
    assert shares["below"] == 0.0
    assert shares["above"] + shares["below"] + shares["inconclusive"] == pytest.approx(1.0)
    assert shares["positive"] == 1.0


@pytest.mark.r
def test_vibration_and_decomposition(rscript: Callable[..., str], found: Multiverse) -> None:
    """R's quantile (type 7) and the R squared of lm with and without each factor."""
    table = found.to_frame()
    code = """suppressMessages(library(jsonlite)); d <- fromJSON(readLines(file("stdin")))
    r2 <- function(f) summary(lm(f, d))$r.squared
    full <- r2(estimate ~ studies + estimator + interval)
    cat(toJSON(list(estimate = quantile(d$estimate, c(.01, .5, .99)),
      p = quantile(-log10(d$pvalue), c(.01, .99), na.rm = TRUE),
      alone = c(r2(estimate ~ studies), r2(estimate ~ estimator), r2(estimate ~ interval)),
      unique = full - c(r2(estimate ~ estimator + interval), r2(estimate ~ studies + interval),
                        r2(estimate ~ studies + estimator)), full = full), digits = NA))"""
    data = table[["studies", "estimator", "interval", "estimate", "pvalue"]].to_json(
        orient="records", double_precision=15
    )
    want = json.loads(rscript(code, stdin=data + "\n"))
    vibration, parts = found.vibration(), found.decomposition()
    np.testing.assert_allclose([vibration[n] for n in ("p1", "median", "p99")], want["estimate"], rtol=1e-9)
    assert vibration["relative"] == pytest.approx(want["estimate"][2] - want["estimate"][0], abs=1e-9)
    assert vibration["log10_p"] == pytest.approx(want["p"][1] - want["p"][0], rel=1e-6)
    assert vibration["janus"] is False
    np.testing.assert_allclose(parts["alone"][:3], want["alone"], atol=1e-8)
    np.testing.assert_allclose(parts["unique"][:3], want["unique"], atol=1e-8)
    assert parts["alone"].iloc[3] == pytest.approx(1.0 - want["full"][0], abs=1e-8)


def test_a_full_grid_adds_up(data: Table) -> None:
    grid = [s for s in _grid(data("sim5")) if isinstance(s.model, RandomEffects)]
    parts = multiverse(grid).decomposition().set_index("choice")
    np.testing.assert_allclose(parts["alone"], parts["unique"], atol=1e-10)
    assert parts["alone"].sum() == pytest.approx(1.0)
    assert parts["alone"]["interval"] == pytest.approx(0.0, abs=1e-12)  # an interval moves no estimate


def test_ratios_and_one_answer() -> None:
    es = EffectSizes.of([-0.2, 0.1, 0.3], [0.05, 0.04, 0.06], "OR")
    both = multiverse(
        [({"sign": "as it is"}, es, CommonEffect()), ({"sign": "turned"}, _turn(es), CommonEffect())]
    )
    vibration = both.vibration()
    assert vibration["relative"] == pytest.approx(np.exp(vibration["p99"] - vibration["p1"]))
    assert vibration["janus"] is True
    same = multiverse([({"a": "x"}, es, CommonEffect()), ({"a": "y"}, es, CommonEffect())])
    assert same.decomposition()["alone"].isna().all()
    assert "Multiverse of 2 analyses: OR" in repr(same)


def _turn(es: EffectSizes) -> EffectSizes:
    return EffectSizes.of(-es.yi, es.vi, "OR")


def test_order_of_specifications(data: Table) -> None:
    grid = list(_grid(data("sim5")))
    straight, mixed = multiverse(grid).to_frame(), multiverse(grid[::-1]).to_frame()
    np.testing.assert_allclose(straight["estimate"], mixed["estimate"][::-1], rtol=1e-12)


def test_refused(data: Table) -> None:
    es = data("sim9")
    with pytest.raises(UsageError, match="at least one specification"):
        multiverse([])
    with pytest.raises(UsageError, match="all must name the same choices"):
        multiverse([({"a": "1"}, es, CommonEffect()), ({"b": "1"}, es, CommonEffect())])
    with pytest.raises(UsageError, match="is on OR and the first on GEN"):
        multiverse([({"a": "1"}, es, CommonEffect()), ({"a": "2"}, _turn(es), CommonEffect())])
    with pytest.raises(UsageError, match="cannot be named k"):
        multiverse([({"k": "1"}, es, CommonEffect())])
    one = es.subset([0])
    with pytest.raises(ModelError, match="the specification a=1: "):
        multiverse([({"a": "1"}, one, HenmiCopas())])


def test_five_thousand_specifications_are_few_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    es = EffectSizes.of(rng.normal(0.3, 0.4, 20), rng.uniform(0.01, 0.3, 20))
    tables = {str(i): es.subset(rng.permutation(20)[: rng.integers(10, 21)]) for i in range(313)}
    grid: list[Any] = [
        ({"studies": i, "estimator": t, "interval": c}, table, RandomEffects(t, ci=c))
        for (i, table), t, c in itertools.product(tables.items(), TAU2, CI)
    ]
    calls: list[int] = []
    fit_stack = kernel._fit_stack

    def counted(stack: Any, t: Any) -> Any:
        calls.append(len(t))
        return fit_stack(stack, t)

    monkeypatch.setattr(kernel, "_fit_stack", counted)
    found = multiverse(grid)
    found.decomposition()
    assert len(found.to_frame()) == 5008
    assert len(calls) <= 20  # many specifications go into one batch
