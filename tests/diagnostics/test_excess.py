"""Excess significance, fail-safe N, least squares and the worst case, against metafor and lm."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mtmeta.diagnostics.excess import excess_significance, fail_safe_n
from mtmeta.diagnostics.least_squares import unrestricted_wls, waap, worst_case
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import RandomEffects

Table = Callable[[str], EffectSizes]
SETS = ("sim1", "sim2", "sim3", "sim4", "sim5", "sim6", "sim8", "sim11", "sim14", "sim15")


@pytest.mark.parametrize("name", SETS)
def test_metafor_5_1(name: str, given: Any, data: Table) -> None:
    """`fsn` (Rosenthal) and the counts of `tes` for the common effect."""
    want, es = given("bias")[name], data(name)
    assert fail_safe_n(es) == want["fsn"]
    assert excess_significance(es).observed == want["tes_O"]


def _r(es: EffectSizes, code: str) -> str:
    return f"""suppressMessages({{library(metafor); library(jsonlite)}})
    y <- c({",".join(map(repr, es.yi.tolist()))}); v <- c({",".join(map(repr, es.vi.tolist()))})
    {code}"""


@pytest.mark.r
@pytest.mark.parametrize("name", ["sim2", "k6", "k10", "ties", "k20-biased", "k25-negative"])
def test_metafor_live(rscript: Callable[..., str], name: str, data: Table) -> None:
    es = data(name)  # metafor's exact test runs through all 2^k outcomes
    code = """out <- list()
    for (a in c("two.sided", "greater", "less")) for (t in c("exact"[length(y) < 12], "chi2")) {
      e <- tes(y, v, alternative = a, test = t, find.lim = FALSE)
      out[[paste(a, t)]] <- c(e$O, e$E, e$pval) }
    out$fsn <- c(fsn(y, v)$fsnum, fsn(y, v, type = "Rosenberg")$fsnum, fsn(y, v, type = "Orwin")$fsnum)
    cat(toJSON(out, digits = NA))"""
    want = json.loads(rscript(_r(es, code)))
    methods: tuple[Any, ...] = ("Rosenthal", "Rosenberg", "Orwin")
    assert [fail_safe_n(es, method=m) for m in methods] == want.pop("fsn")
    for cell, numbers in want.items():
        side, test = cell.replace("two.sided", "two-sided").split()
        one = excess_significance(es, alternative=side, test=test)  # type: ignore[arg-type]
        np.testing.assert_allclose([one.observed, one.expected, one.pvalue], numbers, rtol=1e-9, err_msg=cell)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_power_under_heterogeneity_by_quadrature(alternative: Any, data: Table) -> None:
    """metafor integrates the same to 1e-5 of it; here the chance of each true effect times its density."""
    from scipy.integrate import quad
    from scipy.stats import norm

    es, model = data("k20-biased"), RandomEffects("DL")
    fit = model.fit(es)
    found = excess_significance(es, model=model, alternative=alternative)
    cut = norm.isf(0.025 if alternative == "two-sided" else 0.05)

    def chance(theta: float, se: float) -> float:
        upper, lower = norm.sf(cut - theta / se), norm.cdf(-cut - theta / se)
        return float({"greater": upper, "less": lower}.get(alternative, upper + lower))

    sd = fit.tau2**0.5
    ends = fit.estimate - 12 * sd, fit.estimate + 12 * sd
    for se, power in zip(es.sei, found.power, strict=True):

        def density(theta: float, se: float = se) -> float:
            return chance(theta, se) * float(norm.pdf(theta, fit.estimate, sd))

        assert power == pytest.approx(quad(density, *ends, epsabs=1e-13, limit=200)[0], abs=1e-10)


@pytest.mark.r
@pytest.mark.parametrize("name", ["sim4", "k10", "k40-biased", "k60", "k25-negative"])
def test_least_squares_is_lm(rscript: Callable[..., str], name: str, data: Table) -> None:
    es = data(name)
    code = """s <- function(use) { m <- summary(lm(y ~ 1, weights = 1 / v, subset = use))
      c(coef(m)[1, c(1, 2, 4)], sum(use)) }
    all <- s(rep(TRUE, length(y))); use <- sqrt(v) <= abs(all[1]) / 2.8
    cat(toJSON(list(all = all, waap = if (sum(use) > 1) s(use) else all, powered = sum(use)), digits = NA))"""
    want = json.loads(rscript(_r(es, code)))
    for ours, theirs in ((unrestricted_wls(es), want["all"]), (waap(es), want["waap"])):
        got = [ours.estimate, ours.se, ours.pvalue, ours.k]
        np.testing.assert_allclose(got, theirs, rtol=1e-9, atol=1e-14)
    assert waap(es).powered == want["powered"][0]


@pytest.mark.r
@pytest.mark.parametrize(
    ("name", "side"), [("k20-biased", "greater"), ("k25-negative", "less"), ("k60", "greater")]
)
def test_the_worst_case_is_the_fit_of_the_others(
    rscript: Callable[..., str], name: str, side: Any, data: Table
) -> None:
    es = data(name)
    sign = "-" if side == "greater" else ""
    code = f"""keep <- pnorm({sign}y / sqrt(v)) > .025; f <- rma(y, v, subset = keep, method = "DL")
    cat(toJSON(c(sum(keep), f$beta, f$ci.lb, f$ci.ub), digits = NA))"""
    want = json.loads(rscript(_r(es, code)))
    found = worst_case(es, alternative=side, model=RandomEffects("DL", ci="Wald"))
    got = [found.nonaffirmative, found.estimate, *found.ci()]
    np.testing.assert_allclose(got, want, rtol=1e-9)
    assert abs(found.estimate) < abs(RandomEffects("DL").fit(es).estimate)


def test_turning_the_effects_turns_the_tests(data: Table) -> None:
    es = data("k20-biased")
    turned = EffectSizes.of(-es.yi, es.vi)
    one = excess_significance(es, alternative="greater")
    assert one.pvalue == pytest.approx(excess_significance(turned, alternative="less").pvalue, rel=1e-12)
    assert worst_case(es, alternative="greater").estimate == pytest.approx(
        -worst_case(turned, alternative="less").estimate, rel=1e-9
    )
    assert fail_safe_n(es) == fail_safe_n(turned)


def test_exact_is_the_binomial_of_equal_powers() -> None:
    from scipy.stats import binom

    es = EffectSizes.of([0.5, 0.1, 0.6, 0.2, 0.55], np.full(5, 0.04), "MD")
    found = excess_significance(es)
    assert found.pvalue == pytest.approx(binom.sf(found.observed - 1, 5, found.power[0]), rel=1e-12)


def test_refusals(data: Table) -> None:
    es = data("sim2")
    with pytest.raises(UsageError, match="alpha"):
        excess_significance(es, alpha=1.0)
    with pytest.raises(UsageError, match="belongs to method='Orwin'"):
        fail_safe_n(es, target=0.1)
    with pytest.raises(UsageError, match="between null and the mean"):
        fail_safe_n(EffectSizes.of([0.4, 0.6], [0.1, 0.1], "MD"), method="Orwin", target=0.9)
    with pytest.raises(ModelError, match="exactly null"):
        fail_safe_n(EffectSizes.of([0.4, -0.4], [0.1, 0.1], "MD"), method="Orwin")
    with pytest.raises(ModelError, match="all studies are affirmative"):
        worst_case(EffectSizes.of([1.0, 1.0], [0.01, 0.01], "MD"), alternative="greater")
    with pytest.raises(ModelError, match="at least 2"):
        unrestricted_wls(EffectSizes.of([1.0], [0.1], "MD"))
