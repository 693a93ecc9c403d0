"""Joint tests of several contrasts (HTZ) against clubSandwich 0.5.8: make_htz.R beside its numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError
from mtmeta.models.regression import MetaRegression
from mtmeta.models.robust import robust

pytestmark = pytest.mark.filterwarnings("ignore:.*Satterthwaite degrees of freedom")
Load = Callable[[str], Any]
SETS = tuple(f"m{m}-n{n}" for m, n in itertools.product((9, 12, 20, 40), (1, 4, 9)))
CONTRASTS = ("all", "slopes", "levels", "mixed")


def test_the_grid_is_complete(load: Load) -> None:
    reference = load("reference/htz.json.gz")
    assert [d["id"] for d in reference["data"]] == list(SETS)
    cells = [(r["id"], r["tau2"]) for r in reference["fits"]]
    assert cells == list(itertools.product(SETS, (0.0, 0.05)))
    assert all(set(r["joint"]) == set(CONTRASTS) for r in reference["fits"])


@pytest.mark.parametrize("name", SETS)
def test_joint_tests_of_clubsandwich(load: Load, name: str) -> None:
    reference = load("reference/htz.json.gz")
    data = next(d for d in reference["data"] if d["id"] == name)
    moderators = {"x": data["x"], "z": data["z"], "g": data["g"]}
    es = EffectSizes.of(data["yi"], data["vi"], moderators=moderators)
    cluster = [f"{c:g}" for c in data["cluster"]]
    for row in (r for r in reference["fits"] if r["id"] == name):
        fit = MetaRegression("x + z + g", tau2=row["tau2"], ci="Wald").fit(es)
        ours = robust(fit, cluster=cluster).coefficients
        assert_allclose(ours.beta, row["coef"], rtol=1e-10, atol=1e-12)
        assert_allclose(ours.se, row["se"], rtol=1e-9)
        assert_allclose(ours.df, row["df"], rtol=1e-8)
        for joint in row["joint"].values():
            rows = np.eye(5)[[int(i) for i in joint["coefs"]]]
            if joint["df2"] <= 0:
                with pytest.raises(ModelError, match="too few clusters"):
                    ours.joint(rows)
                continue
            test = ours.joint(rows)
            assert (test.kind, test.df1) == ("HTZ", joint["df1"])
            assert_allclose(test.df2, joint["df2"], rtol=1e-7)
            assert_allclose([test.statistic, test.pvalue], [joint["f"], joint["p"]], rtol=1e-7, atol=1e-12)
