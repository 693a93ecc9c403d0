"""Egger and kin, Begg, Harbord and Peters: printed values, metafor 5.1-12 and 3.8-1, and what is refused."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given as property_of, strategies as st

from mtmeta.diagnostics.small_study import begg, egger, harbord, peters
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.events import EventCounts
from mtmeta.models.pool import CommonEffect, RandomEffects

CLOSED, OPTIMISER = 1e-10, 1e-7
GIVEN = ("sim1", "sim2", "sim3", "sim4", "sim5", "sim6", "sim8", "sim11", "sim14", "sim15")
SETS = (
    "k6", "k10", "k10-biased", "k15-homogeneous", "k20-biased", "k30-null", "k40-biased", "k60",
    "k25-negative", "ties",
)  # fmt: skip
PRECISION = {"sei": "SE", "vi": "vi", "ni": "ni", "ninv": "ninv", "sqrtni": "sqrtni", "sqrtninv": "n"}
MODELS = (("lm", "t"), ("rma", "z"), ("rma", "knha"))
Table = Callable[[str], EffectSizes]


def _near(got: float, want: float, tolerance: float) -> None:
    assert abs(got - want) <= tolerance * (1.0 + abs(want)), (got, want)


def test_the_grid_is_complete(given: Any, generated: Any) -> None:
    assert set(given("bias")) == set(GIVEN)
    cells = {(r["id"], r["predictor"], r["model"], r["test"]) for r in generated["tests"]}
    assert cells == {(s, p, *m) for s, p, m in itertools.product(SETS, PRECISION, MODELS)}
    assert all(math.isfinite(r["statistic"]) for r in generated["tests"])
    assert {r["id"] for r in generated["ranks"]} == set(SETS)


def test_printed(bcg: EffectSizes) -> None:
    test = egger(bcg)
    assert f"{test.statistic:.4f} {test.df:g} {test.pvalue:.4f}" == "-1.4013 11 0.1887"
    assert (test.name, test.predictor) == ("Egger", "standard error")


@pytest.mark.parametrize("name", GIVEN)
def test_metafor_5_1(name: str, given: Any, data: Table) -> None:
    want, es = given("bias")[name], data(name)
    ols = egger(es, force=True)
    _near(ols.statistic, want["egger_lm_t"], CLOSED)
    _near(ols.pvalue, want["egger_lm_p"], CLOSED)
    _near(ols.limit, want["egger_lm_est"], CLOSED)
    mixed = egger(es, model=RandomEffects("REML", ci="Wald"), force=True)
    _near(mixed.statistic, want["egger_rma_z"], OPTIMISER)
    _near(mixed.pvalue, want["egger_rma_p"], OPTIMISER)
    rank = begg(es, force=True)
    _near(rank.tau, want["rank_tau"], CLOSED)
    _near(rank.pvalue, want["rank_p"], CLOSED)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("predictor", PRECISION)
@pytest.mark.parametrize(("model", "test"), MODELS)
def test_predictors_and_models(
    name: str, predictor: str, model: str, test: str, generated: Any, data: Table
) -> None:
    key = (name, predictor, model, test)
    want = next(r for r in generated["tests"] if (r["id"], r["predictor"], r["model"], r["test"]) == key)
    ci = "Wald" if test == "z" else "HKSJ"
    chosen = None if model == "lm" else RandomEffects("REML", ci=ci)
    got = egger(data(name), precision=PRECISION[predictor], model=chosen, force=True)
    tolerance = CLOSED if model == "lm" else OPTIMISER
    _near(got.statistic, want["statistic"], tolerance)
    _near(got.pvalue, want["p"], tolerance)
    if predictor in ("ni", "sqrtni"):
        assert math.isnan(got.limit)
    else:
        _near(got.limit, want["est"], tolerance)
        low, high = got.limit_ci()
        _near(low, want["low"], tolerance)
        _near(high, want["high"], tolerance)


@pytest.mark.parametrize("name", SETS)
def test_ranks(name: str, generated: Any, data: Table) -> None:
    want = next(r for r in generated["ranks"] if r["id"] == name)
    got = begg(data(name), force=True)
    _near(got.tau, want["tau"], CLOSED)
    _near(got.pvalue, want["p"], CLOSED)
    assert got.exact == (len(set(data(name).vi)) == data(name).k)


@pytest.mark.r
def test_thompson_pustejovsky_harbord_peters(rscript: Callable[..., str], bcg: EffectSizes) -> None:
    """Each is a regression that metafor or lm does: with DL; with 1/n1 + 1/n2; on one-step estimates."""
    code = """
    suppressMessages({library(metafor); library(jsonlite)}); d <- dat.bcg
    n1 <- d$tpos + d$tneg; n2 <- d$cpos + d$cneg
    rr <- escalc("RR", tpos, tneg, cpos, cneg, data = d)
    peto <- escalc("PETO", tpos, tneg, cpos, cneg, data = d)
    or <- escalc("OR", tpos, tneg, cpos, cneg, data = d)
    v <- 1 / n1 + 1 / n2; e <- d$tpos + d$cpos; n <- n1 + n2
    a <- regtest(rma(yi, vi, data = rr, method = "DL"), predictor = "sei")
    b <- regtest(rma(rr$yi, v), model = "lm")
    c <- regtest(rma(yi, vi, data = peto), model = "lm")
    p <- coef(summary(lm(or$yi ~ I(1 / n), weights = e * (n - e) / n)))[2, ]
    cat(toJSON(list(thompson = c(a$zval, a$pval), pustejovsky = c(b$zval, b$pval),
                    harbord = c(c$zval, c$pval),
                    peters = p[3:4]), digits = NA))
    """
    want = json.loads(rscript(code))
    events = EventCounts.of(
        [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27], bcg.n1,
        [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29], bcg.n2,
    )  # fmt: skip
    got = {
        "thompson": egger(bcg, model=RandomEffects("DL", ci="Wald")),
        "pustejovsky": egger(bcg, precision="arms"),
        "harbord": harbord(events),
        "peters": peters(events),
    }
    for name, test in got.items():
        _near(test.statistic, want[name][0], 1e-9)
        _near(test.pvalue, want[name][1], 1e-9)
    assert [t.name for t in got.values()] == ["Egger", "Pustejovsky", "Harbord", "Peters"]


@pytest.mark.r
def test_raudenbush(rscript: Callable[..., str]) -> None:
    """Teacher expectancy: metafor prints z = 2.5261, p = .0115, and 2.5262 once REML has converged."""
    code = """suppressMessages(library(metafor)); d <- dat.raudenbush1985
    r <- regtest(rma(yi, vi, data = d, control = list(threshold = 1e-13)))
    cat(sprintf("%.17g %.17g\n", c(d$yi, r$zval), c(d$vi, r$pval)))"""
    y, v = np.array([line.split() for line in rscript(code).splitlines()], dtype=float).T
    test = egger(EffectSizes.of(y[:-1], v[:-1]), model=RandomEffects(ci="Wald"))
    _near(test.statistic, y[-1], OPTIMISER)
    _near(test.pvalue, v[-1], OPTIMISER)
    assert f"{test.pvalue:.4f}" == "0.0115"
    assert math.isinf(test.df)


@pytest.mark.r
def test_hackshaw(rscript: Callable[..., str]) -> None:
    """As printed: z 2.1055, p .0352 with tau2; t 2.3824 without (metafor's data, read where metafor is)."""
    code = "library(metafor); d <- dat.hackshaw1998; write.table(d[c('yi', 'vi')], col.names=F, row.names=F)"
    y, v = np.array([line.split() for line in rscript(code).splitlines()], dtype=float).T
    es = EffectSizes.of(y, v, "OR")
    mixed = egger(es, precision="SE", model=RandomEffects(ci="Wald"))
    assert f"{mixed.statistic:.4f} {mixed.pvalue:.4f}" == "2.1055 0.0352"
    assert f"{egger(es).statistic:.4f}" == "2.3824"


def test_an_smd_is_tested_by_n(data: Table) -> None:
    es = data("k20-biased")
    smd = EffectSizes.of(es.yi, es.vi, "SMD", n=es.n)
    assert egger(smd).predictor == "1/sqrt(n)"
    assert egger(smd, precision="SE").predictor == "standard error"
    assert egger(EffectSizes.of(es.yi, es.vi, "MD", n=es.n)).predictor == "standard error"
    bare = EffectSizes.of(es.yi, es.vi, "SMD")
    with pytest.raises(UsageError, match=r"SMD needs n for this test.*precision='SE'"):
        egger(bare)
    with pytest.raises(UsageError, match="'ninv' needs n"):
        egger(bare, precision="ninv")
    with pytest.raises(UsageError, match="needs n1 and n2"):
        egger(bare, precision="arms")
    assert 0.0 < egger(bare, precision="SE").pvalue < 1.0
    n = np.array(es.n)
    n[2] = np.nan
    with pytest.raises(UsageError, match="participants is missing for 3"):
        egger(EffectSizes.of(es.yi, es.vi, "SMD", n=n))


def test_below_ten_studies_is_refused_with_the_reason(data: Table) -> None:
    es = data("k6")
    for test in (egger, begg):
        with pytest.raises(ModelError, match=r"6 studies.*Sterne et al\. 2011.*force=True"):
            test(es)
        with pytest.raises(ModelError, match="at least 3 studies and there are 2"):
            test(es.subset([0, 1]), force=True)
    events = EventCounts.of([4, 6, 0], [123, 306, 10], [11, 29, 0], [139, 303, 12])
    for count in (harbord, peters):
        with pytest.raises(ModelError, match="at least 3 studies and there are 2"):
            count(events, force=True)  # the study without events says nothing


def test_equal_precision_has_no_slope() -> None:
    es = EffectSizes.of(np.linspace(0, 1, 12), [0.1] * 12)
    with pytest.raises(ModelError, match="all studies are equally precise"):
        egger(es)
    with pytest.raises(ModelError, match="no order to correlate"):
        begg(es)


def test_wrong_choices(data: Table) -> None:
    es = data("k20-biased")
    with pytest.raises(UsageError):
        egger(es, precision="sei")
    with pytest.raises(UsageError, match="must be RandomEffects or None"):
        egger(es, model=CommonEffect())
    with pytest.raises(UsageError, match="not defined for a regression"):
        egger(es, model=RandomEffects("ML", ci="PL"))


@property_of(st.permutations(range(12)), st.floats(0.01, 100.0), st.sampled_from([-1.0, 1.0]))
def test_order_sign_and_scale(order: list[int], scale: float, sign: float) -> None:
    rng = np.random.default_rng(5)
    y, v = rng.normal(0.3, 0.5, 12), rng.uniform(0.02, 0.2, 12)
    base, rank = egger(EffectSizes.of(y, v)), begg(EffectSizes.of(y, v))
    turned = EffectSizes.of(sign * scale * y[order], scale**2 * v[order])
    assert egger(turned).statistic == pytest.approx(sign * base.statistic, rel=1e-9)
    assert begg(turned).pvalue == pytest.approx(rank.pvalue, rel=1e-12)


def test_words(bcg: EffectSizes) -> None:
    assert repr(egger(bcg)) == (
        "Egger (standard error, weighted least squares): t(11) = -1.401, p = 0.189, k = 13"
    )
    assert "z = " in repr(egger(bcg, model=RandomEffects(ci="Wald")))
    assert begg(bcg)._repr_html_().startswith("<p>Begg")


@pytest.mark.parametrize("test", [harbord, peters])
def test_tests_of_events_say_what_they_need(test: Callable[..., object]) -> None:
    with pytest.raises(UsageError, match="events and people of both groups"):
        test(EffectSizes.of([0.1, 0.3], [0.1, 0.2]), force=True)
