"""Case deletion of regression and multilevel models against metafor's own refits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mtmeta.diagnostics.deletion import case_deletion
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError
from mtmeta.models.dependent import Multilevel
from mtmeta.models.regression import MetaRegression

SHARP = "control = list(threshold = 1e-12, maxiter = 5000)"


def trials() -> EffectSizes:
    rng = np.random.default_rng(8)
    k = 14
    vi = rng.uniform(0.02, 0.1, k)
    dose = rng.integers(1, 9, k).astype(float)
    yi = rng.normal(0.1 * dose, np.sqrt(vi + 0.05))
    group = ["a", "b"] * 6 + ["b", "c"]
    cluster = [f"t{i // 2}" for i in range(k)]
    return EffectSizes.of(yi, vi, "SMD", moderators={"dose": dose, "group": group}, cluster=cluster)


def _r(es: EffectSizes, code: str) -> str:
    dose = ",".join(map(str, es.moderators["dose"])) if es.moderators is not None else ""
    return f"""suppressMessages({{library(metafor); library(jsonlite)}})
    y <- c({",".join(map(repr, es.yi.tolist()))}); v <- c({",".join(map(repr, es.vi.tolist()))})
    x <- c({dose}); g <- rep(1:{es.k // 2}, each = 2); id <- seq_along(y)
    {code}"""


@pytest.mark.r
@pytest.mark.parametrize(("ci", "test"), [("Wald", "z"), ("HKSJ", "knha")])
def test_regression(rscript: Callable[..., str], ci: Any, test: str) -> None:
    es = trials()
    code = f"""f <- rma(y, v, mods = ~ x, method = "REML", test = "{test}", {SHARP}); i <- influence(f)
    b <- sapply(id, function(j) coef(rma(y, v, mods = ~ x, subset = id != j, {SHARP})))
    cat(toJSON(list(cook = i$inf$cook.d, ratio = i$inf$cov.r, tau2 = i$inf$tau2.del,
      shift = t(coef(f) - b)), digits = NA))"""
    want = json.loads(rscript(_r(es, code)))
    table = case_deletion(MetaRegression("dose", ci=ci), es, by="effect")
    for ours, theirs in (("cook", "cook"), ("cov_ratio", "ratio"), ("tau2", "tau2")):
        np.testing.assert_allclose(table[ours], want[theirs], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(table.filter(like="shift"), want["shift"], rtol=1e-6, atol=1e-8)


@pytest.mark.r
def test_multilevel_by_cluster(rscript: Callable[..., str]) -> None:
    es = trials()  # metafor's optimiser stops at 1e-10 of the likelihood, which is 1e-5 of its place
    code = """fit <- function(keep) rma.mv(y, v, random = ~ 1 | g/id, subset = keep, sparse = FALSE,
      control = list(optimizer = "nlminb", rel.tol = 1e-10))
    f <- fit(rep(TRUE, length(y)))
    d <- lapply(unique(g), function(j) fit(g != j))
    cat(toJSON(list(cook = as.numeric(cooks.distance(f, cluster = g, reestimate = TRUE)),
      ratio = sapply(d, function(m) vcov(m) / vcov(f)), shift = sapply(d, function(m) coef(f) - coef(m))),
      digits = NA))"""
    want = json.loads(rscript(_r(es, code)))
    table = case_deletion(Multilevel(robust=False), es)
    np.testing.assert_allclose(table["cook"], want["cook"], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(table["cov_ratio"], want["ratio"], rtol=1e-4)
    np.testing.assert_allclose(table.filter(like="shift").iloc[:, 0], want["shift"], rtol=1e-4, atol=1e-7)
    assert (table["k"] == es.k - 2).all()


def test_the_only_study_of_a_category_has_no_answer() -> None:
    table = case_deletion(MetaRegression("group"), trials(), by="effect")
    assert table["cook"].isna().tolist() == [False] * 13 + [True]


def test_one_cluster_alone_is_refused() -> None:
    es = EffectSizes.of([0.1, 0.2, 0.3], [0.1, 0.1, 0.1], "SMD", cluster=["a", "a", "a"])
    with pytest.raises(ModelError, match="all effects are of one cluster"):
        case_deletion(Multilevel(), es)
