"""Bayesian meta-regression against multivariate normal densities integrated by scipy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.bayes_regression import BayesMetaRegression
from mtmeta.models.priors import (
    Flat,
    HalfCauchy,
    HalfNormal,
    InverseGamma,
    Jeffreys,
    LogNormal,
    Normal,
    StudentT,
)
from mtmeta.models.regression import MetaRegression

TAU = [HalfNormal(0.5), InverseGamma(1.71, 0.4), LogNormal(-2.34, 1.72, on="tau2")]


@pytest.fixture(scope="module")
def es() -> EffectSizes:
    rng = np.random.default_rng(4)
    x = np.array([10.0, 12, 15, 20, 22, 30, 31, 40])
    v = rng.uniform(0.01, 0.1, 8)
    y = 0.8 - 0.02 * x + rng.normal(0, np.sqrt(v + 0.04))
    kind = list("aabbabab")
    return EffectSizes.of(y, v, "SMD", moderators=pd.DataFrame({"dose": x, "kind": kind}))


def integral(f: object) -> float:
    ends = (0.0, 0.02, 0.1, 0.2, 0.4, 0.8, 2.0, 8.0, 60.0, 2000.0)
    return sum(integrate.quad(f, a, b, epsrel=1e-11, epsabs=1e-300)[0] for a, b in pairwise(ends))


@pytest.mark.parametrize("tau", TAU, ids=repr)
def test_normal_priors_by_the_multivariate_normal(es: EffectSizes, tau: object) -> None:
    slope, start = Normal(0.01, 0.05), Normal(0.2, 1.5)
    fit = BayesMetaRegression("dose", slopes=slope, intercept=start, tau=tau).fit(es)
    x = np.column_stack([np.ones(8), es.moderators["dose"]])
    m0, s0 = np.array([0.2, 0.01]), np.diag([1.5**2, 0.05**2])

    def at(t: float) -> tuple[float, np.ndarray, np.ndarray]:
        cov = np.diag(es.vi + t * t) + x @ s0 @ x.T
        gain = s0 @ x.T @ np.linalg.inv(cov)
        density = math.exp(stats.multivariate_normal.logpdf(es.yi, x @ m0, cov)) * tau.pdf(t)
        return density, m0 + gain @ (es.yi - x @ m0), s0 - gain @ x @ s0

    total = integral(lambda t: at(t)[0])
    assert fit.log_marginal == pytest.approx(math.log(total), abs=1e-9)
    for j, name in enumerate(("Intercept", "dose")):
        mean = integral(lambda t, j=j: at(t)[0] * at(t)[1][j]) / total
        second = integral(lambda t, j=j, m=mean: at(t)[0] * (at(t)[2][j, j] + (at(t)[1][j] - m) ** 2)) / total
        d = fit.coefficient(name)
        assert d.mean == pytest.approx(mean, abs=1e-9 * math.sqrt(second))
        assert d.sd == pytest.approx(math.sqrt(second), rel=1e-9)
        below = integral(
            lambda t, j=j: at(t)[0] * stats.norm.cdf(0.02 * (1 - j), at(t)[1][j], math.sqrt(at(t)[2][j, j]))
        )
        assert d.cdf(0.02 * (1 - j)) == pytest.approx(below / total, abs=1e-9)
    row = np.array([1.0, 25.0])
    mean = integral(lambda t: at(t)[0] * (row @ at(t)[1])) / total
    spread = integral(lambda t: at(t)[0] * (row @ at(t)[2] @ row + (row @ at(t)[1] - mean) ** 2)) / total
    shown = fit.predict({"dose": [25.0]}).iloc[0]
    assert (shown["mean"], shown["sd"]) == pytest.approx((mean, math.sqrt(spread)), rel=1e-8)
    assert fit.bayes_factor("dose") == pytest.approx(
        fit.coefficient("dose").pdf(0.0) / slope.pdf(0.0), rel=1e-12
    )


def test_savage_dickey_is_the_ratio_of_marginal_likelihoods(es: EffectSizes) -> None:
    start = Normal(0, 2)
    whole = BayesMetaRegression("dose", slopes=Normal(0, 0.05), intercept=start, tau=HalfNormal(0.5)).fit(es)
    none = BayesRandomEffects(start, HalfNormal(0.5)).fit(es)
    assert whole.bayes_factor("dose") == pytest.approx(
        math.exp(none.log_marginal - whole.log_marginal), rel=1e-9
    )


@pytest.mark.parametrize("mu", [Normal(0, 2), Flat()], ids=repr)
@pytest.mark.parametrize("tau", [*TAU, HalfCauchy(0.3)], ids=repr)
def test_an_intercept_alone_is_the_random_effects_model(es: EffectSizes, mu: object, tau: object) -> None:
    one = BayesMetaRegression("1", intercept=mu, tau=tau).fit(es)
    two = BayesRandomEffects(mu, tau).fit(es)
    d = one.coefficient("Intercept")
    assert d.ci() == pytest.approx(two.mu.ci(), abs=1e-10)
    assert d.mean == pytest.approx(two.mu.mean, abs=1e-11)
    assert d.sd == pytest.approx(two.mu.sd, rel=1e-9)
    assert one.tau.ci() == pytest.approx(two.tau.ci(), rel=1e-9)
    assert one.tau.sd == pytest.approx(two.tau.sd, rel=1e-9)
    new = one.predict({"dose": [1.0]}).iloc[0]
    assert (new["pi_low"], new["pi_high"]) == pytest.approx(two.new_study.ci(), abs=1e-10)
    if mu.proper:
        assert one.log_marginal == pytest.approx(two.log_marginal, abs=1e-11)


def test_flat_priors_lie_close_to_reml(es: EffectSizes) -> None:
    bayes = BayesMetaRegression("dose + kind", intercept=Flat(), tau=Jeffreys()).fit(es)
    reml = MetaRegression("dose + kind").fit(es)
    assert list(bayes.coef.index) == list(reml.coef.index)
    for name in bayes.coef.index:
        gap = abs(bayes.coef.loc[name, "median"] - reml.coef[name])
        assert gap < 0.3 * bayes.coef.loc[name, "sd"]
    with pytest.raises(ModelError, match="no marginal likelihood"):
        _ = bayes.log_marginal
    with pytest.raises(ModelError, match="no Bayes factor of dose"):
        bayes.bayes_factor("dose")


def test_the_unit_of_a_moderator_does_not_matter(es: EffectSizes) -> None:
    one = BayesMetaRegression("dose", intercept=Flat(), tau=HalfNormal(0.5)).fit(es)
    far = es.with_moderators({"dose": 1e6 * es.moderators["dose"].to_numpy()})
    two = BayesMetaRegression("dose", intercept=Flat(), tau=HalfNormal(0.5)).fit(far)
    assert 1e6 * np.array(two.coefficient("dose").ci()) == pytest.approx(
        one.coefficient("dose").ci(), rel=1e-9
    )
    assert two.tau.median == pytest.approx(one.tau.median, rel=1e-9)


def test_moments_that_do_not_exist(es: EffectSizes) -> None:
    few = es.subset([0, 2, 5])
    fit = BayesMetaRegression("dose", intercept=Flat(), tau=HalfCauchy(0.5)).fit(few)
    assert fit.coefficient("dose").sd == math.inf
    assert math.isfinite(fit.coefficient("dose").median)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda es: BayesMetaRegression("dose", slopes=StudentT(3, 0, 1)).fit(es),
            UsageError,
            "Normal or Flat",
        ),
        (lambda es: BayesMetaRegression("dose", slopes={"age": Normal(0, 1)}).fit(es), UsageError, "age"),
        (lambda es: BayesMetaRegression("dose").fit(es).coefficient("kind"), UsageError, "'kind'"),
        (
            lambda es: BayesMetaRegression("dose", intercept=Flat(), tau=Flat()).fit(es.subset([0, 1, 2])),
            ModelError,
            "at least 4 studies",
        ),
        (lambda es: BayesMetaRegression("dose", tau=Normal(0, 1)).fit(es), UsageError, "below 0"),
    ],
)
def test_refusals(es: EffectSizes, make: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(es)


def test_words(es: EffectSizes) -> None:
    fit = BayesMetaRegression("dose + kind", slopes={"dose": Normal(0, 0.1)}).fit(es)
    assert "dose ~ Normal(0, 0.1)" in fit.priors
    assert "Röver and Friede 2023" in fit.methods
    assert "tau" in repr(fit)
    assert "<table" in fit._repr_html_()
    assert fit.coef.loc["dose", "prob_positive"] == fit.coefficient("dose").sf(0.0)
    frame = fit.to_frame(0.9)
    assert list(frame.index) == [*fit.design.names, "tau"]
    assert tuple(frame.loc["tau", ["low", "high"]]) == tuple(fit.tau.ci(0.9))
    assert frame.loc["dose", "high"] == pytest.approx(fit.coefficient("dose").quantile(0.95), rel=1e-12)
