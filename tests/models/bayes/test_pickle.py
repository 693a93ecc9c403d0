"""Bayesian results survive pickling with every number, as a cluster or a cache asks of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtmeta.effects.table import EffectSizes
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.bayes_average import BayesModelAverage
from mtmeta.models.bayes_bias import RobustBayesAverage
from mtmeta.models.bayes_regression import BayesMetaRegression
from mtmeta.models.priors import Cauchy, DuMouchel, HalfCauchy, HalfNormal, Jeffreys, Lomax, Normal
from mtmeta.models.regression import MetaRegression

ES = EffectSizes.of(
    [-0.9, -0.4, -1.3, -0.7, -0.2],
    np.square([0.6, 0.5, 0.8, 0.4, 0.6]),
    "SMD",
    moderators=pd.DataFrame({"x": [1.0, 2, 3, 4, 6], "kind": list("aabbb")}),
)


@pytest.mark.parametrize(
    ("mu", "tau"),
    [
        (Normal(0, 2), HalfNormal(0.5)),
        (Cauchy(0, 1), HalfCauchy(0.5)),
        (Normal(0, 1).truncated(high=0), Lomax(2, 1)),
        (None, DuMouchel()),
        (None, Jeffreys()),
        (None, HalfNormal(0.5).truncated(high=1)),
    ],
    ids=repr,
)
def test_random_effects(mu: Any, tau: Any) -> None:
    fit = BayesRandomEffects(mu, tau).fit(ES)
    for used in (False, True):  # distributions that were asked for before do not hinder
        again = pickle.loads(pickle.dumps(fit))
        assert (
            again.mu.quantile([0.025, 0.5, 0.975]).tolist() == fit.mu.quantile([0.025, 0.5, 0.975]).tolist()
        )
        assert again.tau.ci(0.95, kind="shortest") == fit.tau.ci(0.95, kind="shortest"), used
        assert again.new_study.mean == fit.new_study.mean
        assert again.theta(2).sd == fit.theta(2).sd
        assert again.shrinkage.equals(fit.shrinkage)
        assert again.log_bayes_factor(mu=0) == fit.log_bayes_factor(mu=0)
        assert repr(again) == repr(fit)
        assert again.methods == fit.methods


@pytest.mark.parametrize(
    "fit",
    [
        lambda: BayesModelAverage().fit(ES),
        lambda: RobustBayesAverage(accuracy=0.1).fit(ES),
        lambda: BayesMetaRegression("x + C(kind)").fit(ES),
        lambda: MetaRegression("x").fit(ES),
        lambda: MetaRegression("1").fit(ES),
    ],
    ids=["four models", "36 models", "Bayesian regression", "regression", "intercept"],
)
def test_averages_and_regressions(fit: Callable[[], Any]) -> None:
    result = fit()
    first = repr(result), result.to_frame() if hasattr(result, "to_frame") else result.coef
    again = pickle.loads(pickle.dumps(result))
    assert repr(again) == first[0]
    assert (again.to_frame() if hasattr(again, "to_frame") else again.coef).equals(first[1])
    if hasattr(result, "design") and "x" in result.design.names:
        new = {"x": [2.5], "kind": ["b"]}
        assert again.predict(new).equals(result.predict(new))
