"""Four-model averaging and prior sensitivity, against brute force and the laws of probability."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.bayes_average import BayesModelAverage
from mtmeta.models.bayes_sensitivity import prior_data_conflict, prior_sensitivity
from mtmeta.models.priors import (
    Cauchy,
    DuMouchel,
    Flat,
    HalfCauchy,
    HalfNormal,
    InverseGamma,
    Jeffreys,
    Normal,
    Prior,
    StudentT,
)

MU = [Normal(0, 1), StudentT(5, 0, 0.43), Cauchy(0, 0.707), Normal(0, 1).truncated(low=0)]


@pytest.fixture(scope="module")
def es() -> EffectSizes:
    return EffectSizes.of([0.1, 0.35, 0.05, 0.6], [0.02, 0.03, 0.05, 0.04], "SMD")


def likelihood(es: EffectSizes, mu: float, tau: float) -> float:
    return float(np.exp(stats.norm.logpdf(es.yi, mu, np.sqrt(es.vi + tau**2)).sum()))


@pytest.mark.parametrize("mu", MU, ids=repr)
def test_marginal_likelihoods_by_plain_quadrature(es: EffectSizes, mu: Prior) -> None:
    tau = InverseGamma(1.71, 0.4)
    got = BayesModelAverage(mu, tau).fit(es).models["log_marginal"]
    low = max(-6.0, mu.support[0])

    def over_mu(t: float) -> float:
        f = integrate.quad(
            lambda m: likelihood(es, m, t) * mu.pdf(m), low, 6, points=[0.1, 0.3], epsrel=1e-11, limit=200
        )
        return f[0]

    def over_tau(f: object) -> float:
        ends = (1e-3, 0.05, 0.2, 0.6, 2.0, 20.0, 1e3)
        pieces = (
            integrate.quad(lambda t: f(t) * tau.pdf(t), a, b, epsrel=1e-10)[0] for a, b in pairwise(ends)
        )
        return sum(pieces)

    want = [likelihood(es, 0, 0), over_mu(0.0), over_tau(lambda t: likelihood(es, 0, t)), over_tau(over_mu)]
    # beyond |mean| of 6 the heavy priors hold what cannot be seen here: likelihood below exp(-500)
    assert np.exp(got.to_numpy()) == pytest.approx(want, rel=1e-7)


def test_probabilities_and_inclusion(es: EffectSizes) -> None:
    weights = (0.4, 0.3, 0.2, 0.1)
    fit = BayesModelAverage(Normal(0, 1), HalfNormal(0.5), weights).fit(es)
    post = np.exp(fit.models["log_marginal"].to_numpy()) * np.array(weights)
    post = post / post.sum()
    assert fit.probabilities == pytest.approx(post, rel=1e-12)
    odds = (post[1] + post[3]) / (post[0] + post[2]) / (0.4 / 0.6)
    assert fit.inclusion_bf("effect") == pytest.approx(odds, rel=1e-12)
    odds = (post[2] + post[3]) / (post[0] + post[1]) / (0.3 / 0.7)
    assert fit.inclusion_bf("heterogeneity") == pytest.approx(odds, rel=1e-12)
    assert fit.probability("effect") == pytest.approx(post[1] + post[3])


@pytest.mark.parametrize("mu", MU, ids=repr)
def test_posteriors_are_mixtures(es: EffectSizes, mu: Prior) -> None:
    fit = BayesModelAverage(mu, HalfCauchy(0.3)).fit(es)
    p = fit.probabilities
    random = BayesRandomEffects(mu, HalfCauchy(0.3)).fit(es)
    common = BayesRandomEffects(mu, HalfNormal(1e-12)).fit(es)
    for x in (-0.1, 0.0, 0.2, 0.5):
        inner = (p[1] * common.mu.cdf(x) + p[3] * random.mu.cdf(x)) / (p[1] + p[3])
        assert fit.mu("conditional").cdf(x) == pytest.approx(inner, abs=1e-9)
        whole = (p[1] + p[3]) * inner + (p[0] + p[2]) * (x >= 0)
        assert fit.mu().cdf(x) == pytest.approx(whole, abs=1e-9)
        assert fit.mu().sf(x) == pytest.approx(1 - whole, abs=1e-9)
    mean = (p[1] * common.mu.mean + p[3] * random.mu.mean) / (p[1] + p[3])
    assert fit.mu("conditional").mean == pytest.approx(mean, abs=1e-9)
    assert fit.mu().mean == pytest.approx((p[1] + p[3]) * mean, abs=1e-9)
    draws = fit.mu().sample(20_000, 3)
    assert (draws == 0).mean() == pytest.approx(p[0] + p[2], abs=0.02)
    assert draws.mean() == pytest.approx(fit.mu().mean, abs=0.01)
    assert draws.std() == pytest.approx(fit.mu().sd, rel=0.03)
    for d in (fit.mu("conditional"), fit.tau("conditional"), fit.new_study):
        q = np.array([1e-5, 0.02, 0.4, 0.5, 0.8, 0.999])
        x = d.quantile(q)
        jump = d.cdf(x) - d.cdf(x - 1e-12) > 1e-6
        assert d.cdf(x)[~jump] == pytest.approx(q[~jump], abs=1e-9)


def test_a_point_of_probability_in_quantiles(es: EffectSizes) -> None:
    fit = BayesModelAverage(Normal(0, 1), HalfNormal(0.5)).fit(es)
    d, inner = fit.mu(), fit.mu("conditional")
    spike = fit.probabilities[0] + fit.probabilities[2]
    below = (1 - spike) * inner.cdf(0.0)
    assert d.quantile(below * 0.5) == pytest.approx(inner.quantile(below * 0.5 / (1 - spike)), rel=1e-12)
    assert d.quantile(below + 0.5 * spike) == 0.0
    assert d.quantile(0.999) == pytest.approx(inner.quantile((0.999 - spike) / (1 - spike)), rel=1e-10)
    assert d.mode == 0.0
    low, high = d.ci(0.95)
    assert d.cdf(high) - d.cdf(low) == pytest.approx(0.95, abs=spike if low == 0 or high == 0 else 1e-9)
    with pytest.raises(UsageError, match="shortest"):
        d.ci(0.95, kind="shortest")
    tau = fit.tau()
    assert tau.cdf(0.0) == pytest.approx(fit.probabilities[0] + fit.probabilities[1])
    assert tau.quantile(0.01) == 0.0


def test_refusals(es: EffectSizes) -> None:
    with pytest.raises(ModelError, match="mu ~ Flat"):
        BayesModelAverage(Flat(), HalfNormal(0.5)).fit(es)
    with pytest.raises(ModelError, match="improper"):
        BayesModelAverage(Normal(0, 1), Jeffreys()).fit(es)
    with pytest.raises(UsageError, match="sum to 1"):
        BayesModelAverage(Normal(0, 1), HalfNormal(0.5), (1, 1, 1, 1))
    with pytest.raises(UsageError, match="are for SMD"):
        BayesModelAverage().fit(EffectSizes.of([0.1, 0.2], [0.1, 0.1], "OR"))
    certain = BayesModelAverage(Normal(0, 1), HalfNormal(0.5), (0, 0, 0, 1)).fit(es)
    with pytest.raises(ModelError, match="no Bayes factor"):
        certain.inclusion_bf("effect")
    alone = BayesRandomEffects(Normal(0, 1), HalfNormal(0.5)).fit(es)
    assert certain.mu().ci() == pytest.approx(alone.mu.ci(), abs=1e-12)


def test_words(es: EffectSizes) -> None:
    fit = BayesModelAverage().fit(es)
    assert "Bartoš et al. 2021" in fit.methods
    assert "P(effect)" in repr(fit)
    assert "<table" in fit._repr_html_()
    frame = fit.to_frame()
    assert list(frame.index) == ["effect", "heterogeneity"]
    assert frame.loc["effect", "averaged_mean"] == fit.mu().mean


def test_sensitivity_is_many_fits(es: EffectSizes) -> None:
    mus, taus = [Normal(0, 1), Flat()], [HalfNormal(0.1), HalfNormal(0.5), DuMouchel()]
    table = prior_sensitivity(es, mu=mus, tau=taus)
    assert len(table) == 6
    for i, row in table.iterrows():
        fit = BayesRandomEffects(mus[i // 3], taus[i % 3]).fit(es)
        assert (row["low"], row["high"]) == pytest.approx(fit.mu.ci(), rel=1e-12)
        assert row["tau"] == fit.tau.median
        assert row["prob_positive"] == fit.mu.sf(0.0)
        assert row["bf_heterogeneity"] == pytest.approx(1 / fit.bayes_factor(tau=0))
    assert table["log_marginal"].isna().tolist() == [False] * 3 + [True] * 3
    with pytest.raises(UsageError, match="at least one"):
        prior_sensitivity(es, mu=[], tau=taus)


def test_conflict_by_simulation() -> None:
    es = EffectSizes.of([-0.4, 0.1, 0.6, 0.2], [0.02, 0.05, 0.03, 0.1])
    mu, tau = StudentT(4, 0.0, 0.2), HalfNormal(0.3)
    found = prior_data_conflict(es, mu=mu, tau=tau)
    rng = np.random.default_rng(5)
    n = 40_000
    centre, t = mu.sample(n, rng), tau.sample(n, rng)
    y = centre[:, None] + np.sqrt(es.vi + t[:, None] ** 2) * rng.standard_normal((n, 4))
    w = 1 / es.vi
    means = y @ w / w.sum()
    q = ((y - means[:, None]) ** 2 * w).sum(1)
    mean = es.yi @ w / w.sum()
    observed = ((es.yi - mean) ** 2 * w).sum()
    error = 4 * 0.5 / math.sqrt(n)
    below = (means < mean).mean()
    assert found.mean == pytest.approx(2 * min(below, 1 - below), abs=2 * error)
    assert found.more_heterogeneity == pytest.approx((q > observed).mean(), abs=error)
    assert found.more_heterogeneity + found.less_heterogeneity == pytest.approx(1.0)


def test_conflict_edges() -> None:
    es = EffectSizes.of([0.3], [0.1])
    alone = prior_data_conflict(es, mu=Normal(0, 1), tau=HalfNormal(0.5))
    assert math.isnan(alone.more_heterogeneity)
    assert not alone.found
    flat = prior_data_conflict(EffectSizes.of([0.3, 0.1], [0.1, 0.2]), mu=Flat(), tau=HalfNormal(0.5))
    assert math.isnan(flat.mean)
    with pytest.raises(ModelError, match="improper"):
        prior_data_conflict(es, mu=Normal(0, 1), tau=Jeffreys())
    far = prior_data_conflict(
        EffectSizes.of([5.0, 5.1], [0.01, 0.01]), mu=Normal(0, 0.5), tau=HalfNormal(0.1)
    )
    assert far.mean < 1e-10
    assert far.found
