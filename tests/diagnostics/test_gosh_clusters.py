"""Clusters of GOSH: a planted study is found by all three methods; Cramér's V is scipy's."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association

from mtmeta.diagnostics.gosh import gosh
from mtmeta.diagnostics.gosh_clusters import gosh_clusters
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import RandomEffects


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Eleven trials around 0.2, and one at 2.5 that is as precise."""
    rng = np.random.default_rng(7)
    yi = np.r_[rng.normal(0.2, 0.1, 11), 2.5]
    es = EffectSizes.of(yi, np.full(12, 0.02), "SMD", study=[*"abcdefghijk", "planted"])
    return gosh(RandomEffects("DL"), es)


@pytest.mark.parametrize(
    ("method", "options"),
    [("k-means", {"clusters": 2}), ("DBSCAN", {"eps": 0.3}), ("mixture", {"clusters": 2}), ("mixture", {})],
)
def test_the_planted_study_drives_the_clusters(
    table: pd.DataFrame, method: Any, options: dict[str, Any]
) -> None:
    found = gosh_clusters(table, method, **options)
    assert found.studies["study"].iloc[0] == "planted"
    assert found.studies["association"].iloc[0] > 0.9
    assert found.studies["association"].iloc[1] < 0.5
    assert len(found.clusters) >= 2
    assert found.clusters["estimate"].is_monotonic_increasing
    assert "told apart most by planted" in repr(found)


@pytest.mark.parametrize("method", ["k-means", "DBSCAN", "mixture"])
def test_association_is_scipys(table: pd.DataFrame, method: Any) -> None:
    found = gosh_clusters(table, method)
    clear = found.labels >= 0
    part = table.iloc[found.rows[clear]]
    for row in found.studies.itertuples():
        counts = pd.crosstab(part[row.study], found.labels[clear]).to_numpy()
        want = association(counts, method="cramer") if counts.shape[0] == 2 else 0.0
        assert row.association == pytest.approx(want, abs=1e-12)
        shares = [part[row.study][found.labels[clear] == c].mean() for c in found.clusters["cluster"]]
        assert [row[3 + c] for c in found.clusters["cluster"]] == pytest.approx(shares)


def test_subsets_of_one_study_take_no_part(table: pd.DataFrame) -> None:
    found = gosh_clusters(table)
    assert len(found.rows) == 2**12 - 1 - 12
    assert (table["k"].iloc[found.rows] > 1).all()


def test_a_large_table_is_sampled_with_a_seed(table: pd.DataFrame) -> None:
    one, again, other = (gosh_clusters(table, most=500, seed=s) for s in (1, 1, 2))
    assert len(one.rows) == 500
    assert np.array_equal(one.rows, again.rows)
    assert np.array_equal(one.labels, again.labels)
    assert not np.array_equal(one.rows, other.rows)


def test_without_heterogeneity_the_mixture_needs_no_study() -> None:
    """Six equal trials but for chance: no study tells the clusters apart as the planted one does."""
    rng = np.random.default_rng(3)
    es = EffectSizes.of(rng.normal(0.2, 0.02, 10), np.full(10, 0.05), "SMD")
    found = gosh_clusters(gosh(RandomEffects("DL"), es), "mixture")
    assert found.studies["association"].iloc[0] < 0.8


def test_refusals(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="method"):
        gosh_clusters(table, "ward")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="2 or more"):
        gosh_clusters(table, clusters=1)
    with pytest.raises(UsageError, match="the table that gosh gives"):
        gosh_clusters(table[["estimate", "k"]])
    alike = table.assign(estimate=0.5)
    with pytest.raises(ModelError, match="nothing to cluster"):
        gosh_clusters(alike)
    real = builtins.__import__

    def absent(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError, match=r"pip install scikit-learn"):
        gosh_clusters(table)
