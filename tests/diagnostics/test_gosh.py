"""GOSH: every subset by its own fit, metafor's gosh, chunks, samples and names."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mtmeta.diagnostics import gosh as module
from mtmeta.diagnostics.gosh import gosh
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import CommonEffect, HenmiCopas, RandomEffects

Table = Callable[[str], EffectSizes]


def _key(frame: pd.DataFrame) -> np.ndarray:
    return frame.iloc[:, 4:].to_numpy(dtype=int) @ (1 << np.arange(frame.shape[1] - 4))


def test_every_subset_is_its_own_fit(data: Table) -> None:
    es, model = data("sim2"), RandomEffects()
    table = gosh(model, es)
    assert table.columns.tolist() == ["estimate", "tau2", "i2", "k", *"1234567"]
    assert sorted(_key(table)) == list(range(1, 128))
    for row in table.itertuples(index=False):
        fit = model.fit(es.subset(np.array(row[4:], dtype=bool)))
        assert row[3] == fit.k
        np.testing.assert_allclose(row[:3], (fit.estimate, fit.tau2, fit.i2), rtol=1e-9, atol=1e-12)


@pytest.mark.r
def test_metafor(rscript: Callable[..., str], data: Table) -> None:
    es = data("sim6")
    code = f"""suppressMessages({{library(metafor); library(jsonlite)}})
    y <- c({",".join(map(repr, es.yi.tolist()))}); v <- c({",".join(map(repr, es.vi.tolist()))})
    for (m in c("DL", "EE")) {{ g <- gosh(rma(y, v, method = m), progbar = FALSE)
      cat(toJSON(list(res = as.matrix(g$res), incl = g$incl * 1), digits = NA), "\\n") }}"""
    for line, model in zip(rscript(code).splitlines(), (RandomEffects("DL"), CommonEffect()), strict=True):
        want = json.loads(line)
        key = np.array(want["incl"], dtype=int) @ (1 << np.arange(7))
        theirs = np.array(want["res"])[np.argsort(key)]
        ours = gosh(model, es)
        ours = ours.iloc[np.argsort(_key(ours))]
        # columns of metafor: k, QE, I2, H2, tau2, estimate
        for column, name in ((0, "k"), (2, "i2"), (5, "estimate")):
            np.testing.assert_allclose(ours[name], theirs[:, column], rtol=1e-9, atol=1e-9)


def test_chunks_do_not_matter(data: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    es = data("sim1")
    whole = gosh(RandomEffects("DL"), es)
    monkeypatch.setattr(module, "_CHUNK", 100)
    pd.testing.assert_frame_equal(gosh(RandomEffects("DL"), es), whole, rtol=1e-12, atol=1e-14)


def test_samples(data: Table) -> None:
    es = data("sim4")  # 40 studies
    model = RandomEffects("DL")
    table = gosh(model, es, subsets=2000, seed=3)
    pd.testing.assert_frame_equal(table, gosh(model, es, subsets=2000, seed=3))
    pd.testing.assert_frame_equal(table.iloc[:500], gosh(model, es, subsets=500, seed=3))
    assert not table.equals(gosh(model, es, subsets=2000, seed=4))
    assert table["k"].min() >= 1
    assert abs(table["k"].mean() - 20.0) < 0.5  # every subset has the same chance
    small = data("sim2")
    pd.testing.assert_frame_equal(gosh(model, small, subsets=500), gosh(model, small))


def test_other_models_and_repeated_names(data: Table) -> None:
    es = data("sim9").subset([0, 1, 2])
    named = EffectSizes.of(es.yi, es.vi, study=["A", "A", "k"])
    table = gosh(CommonEffect(), named)
    assert table.columns.tolist() == ["estimate", "tau2", "i2", "k", "A", "A (2)", "k (2)"]
    assert table["A"].dtype == bool
    with pytest.raises(ModelError, match="at least 2"):
        gosh(HenmiCopas(), es)  # one study alone has no such interval: said, not skipped


def test_refused(data: Table) -> None:
    with pytest.raises(ModelError, match=r"all subsets of 40 effects.*subsets=1_000_000"):
        gosh(CommonEffect(), data("sim4"))
    with pytest.raises(UsageError):
        gosh(CommonEffect(), data("sim2"), subsets="some")
    for number in (0, 2.5, True):
        with pytest.raises(UsageError, match="number of subsets"):
            gosh(CommonEffect(), data("sim2"), subsets=number)
    with pytest.raises(ModelError, match="at least 2 effects"):
        gosh(CommonEffect(), data("sim2").subset([0]))
