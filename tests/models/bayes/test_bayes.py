"""The Bayesian random-effects model: properties, second routes to the same number, edges, refusals."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import integrate, stats

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.pool import CommonEffect
from mtmeta.models.priors import (
    Cauchy,
    DuMouchel,
    Flat,
    HalfCauchy,
    HalfNormal,
    HalfT,
    InverseGamma,
    Jeffreys,
    LogNormal,
    LogStudentT,
    Lomax,
    Normal,
    Prior,
    StudentT,
    Uniform,
    UniformShrinkage,
)

RHODES = LogStudentT(5, -3.85, 1.93, on="tau2")
TAU_PRIORS = [
    HalfNormal(0.5),
    HalfCauchy(0.5),
    RHODES,
    LogNormal(-2.34, 1.72, on="tau2"),
    InverseGamma(1.71, 0.4),
    Uniform(0, 4),
    Lomax(1, 0.3),
    UniformShrinkage(),
    HalfNormal(1).truncated(0.2, 0.6),
]
MU_PRIORS = [Normal(0, 2), Flat(), StudentT(5, 0, 0.43), Normal(0, 1).truncated(low=0), Uniform(-1, 1)]


def table(k: int, seed: int, spread: float = 0.3) -> EffectSizes:
    rng = np.random.default_rng(seed)
    v = rng.uniform(0.01, 0.2, k)
    return EffectSizes.of(rng.normal(0.2, np.sqrt(v + spread**2)), v, "SMD")


effects = st.integers(2, 6).flatmap(
    lambda k: st.tuples(
        st.lists(st.floats(-3, 3), min_size=k, max_size=k),
        st.lists(st.floats(0.01, 2), min_size=k, max_size=k),
    )
)


def close(a: object, b: object, tolerance: float = 1e-9) -> None:
    assert np.asarray(a, float) == pytest.approx(np.asarray(b, float), abs=tolerance, rel=tolerance)


# -- invariance ------------------------------------------------------------------------------------


@given(data=effects)
@settings(max_examples=25)
def test_rows_may_stand_in_any_order(data: tuple[list[float], list[float]]) -> None:
    y, v = (np.array(part) for part in data)
    model = BayesRandomEffects(Normal(0, 2), HalfNormal(0.5))
    one, two = model.fit(EffectSizes.of(y, v)), model.fit(EffectSizes.of(y[::-1], v[::-1]))
    close(one.mu.ci(), two.mu.ci())
    close(one.tau.ci(), two.tau.ci())
    close(one.log_marginal, two.log_marginal)
    close(one.shrinkage["mean"], two.shrinkage["mean"][::-1])


@given(data=effects)
@settings(max_examples=25)
def test_a_sign_flip_mirrors_the_effect(data: tuple[list[float], list[float]]) -> None:
    y, v = (np.array(part) for part in data)
    model = BayesRandomEffects(StudentT(5, 0, 0.43), InverseGamma(1.71, 0.4))
    one, two = model.fit(EffectSizes.of(y, v)), model.fit(EffectSizes.of(-y, v))
    close(one.mu.ci(0.9), [-x for x in two.mu.ci(0.9)][::-1])
    close(one.mu.cdf(0.1), two.mu.sf(-0.1))
    close(one.tau.median, two.tau.median)
    close(one.log_marginal, two.log_marginal)


@given(data=effects, scale=st.floats(1e-4, 1e4))
@settings(max_examples=25)
def test_scaling_data_and_priors_scales_everything(
    data: tuple[list[float], list[float]], scale: float
) -> None:
    y, v = (np.array(part) for part in data)
    one = BayesRandomEffects(Normal(0.1, 2), HalfCauchy(0.5)).fit(EffectSizes.of(y, v))
    two = BayesRandomEffects(Normal(0.1 * scale, 2 * scale), HalfCauchy(0.5 * scale)).fit(
        EffectSizes.of(scale * y, scale**2 * v)
    )
    close(np.array(two.mu.ci()) / scale, one.mu.ci(), 1e-8)
    close(np.array(two.new_study.ci()) / scale, one.new_study.ci(), 1e-8)
    close(np.array(two.tau.ci()) / scale, one.tau.ci(), 1e-8)
    close(two.log_marginal + len(y) * math.log(scale), one.log_marginal, 1e-8)


@given(data=effects)
@settings(max_examples=25)
def test_distributions_are_distributions(data: tuple[list[float], list[float]]) -> None:
    fit = BayesRandomEffects(Normal(0, 2), RHODES).fit(EffectSizes.of(*data))
    p = np.array([1e-6, 0.01, 0.3, 0.5, 0.77, 0.999])
    for d in (fit.mu, fit.tau, fit.new_study, fit.theta(0)):
        x = d.quantile(p)
        assert (np.diff(x) > 0).all()
        close(d.cdf(x), p)
        close(d.sf(x), 1 - p)
        low, high = d.ci(0.9)
        assert d.prob(low, high) == pytest.approx(0.9, abs=1e-10)
        short = d.ci(0.9, kind="shortest")
        assert d.prob(*short) == pytest.approx(0.9, abs=1e-9)
        assert short.width <= (high - low) * (1 + 1e-9)
    assert fit.tau.ci()[0] >= 0


# -- second routes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", TAU_PRIORS, ids=repr)
@pytest.mark.parametrize("mu", MU_PRIORS, ids=repr)
def test_densities_integrate_to_probabilities(mu: Prior, tau: Prior) -> None:
    fit = BayesRandomEffects(mu, tau).fit(table(5, 3))
    for d in (fit.mu, fit.tau, fit.new_study, fit.theta(2), fit.i2_posterior):
        a, b = d.quantile([0.05, 0.9])
        area, _ = integrate.quad(d.pdf, a, b, epsabs=1e-12, epsrel=1e-11, limit=200)
        assert area == pytest.approx(0.85, abs=1e-9)


@pytest.mark.parametrize("tau", TAU_PRIORS, ids=repr)
def test_moments_are_those_of_the_density(tau: Prior) -> None:
    fit = BayesRandomEffects(StudentT(5, 0, 0.43), tau).fit(table(6, 5))
    for d in (fit.mu, fit.tau, fit.new_study):
        low, high = d.quantile([1e-15, 0.5]), d.support[1]
        # pieces, for scipy's rule to see the peak; the tail beyond in the logarithm
        ends = [float(low[0]), *d.quantile([0.01, 0.2, 0.5, 0.8, 0.99]), float(d.quantile(1 - 1e-6))]
        mean = sum(
            integrate.quad(lambda x, d=d: x * d.pdf(x), a, b, epsrel=1e-11)[0] for a, b in pairwise(ends)
        )
        top = min(high, 1e6)
        mean += (
            integrate.quad(
                lambda u, d=d: math.exp(2 * u) * d.pdf(math.exp(u)),
                math.log(ends[-1]),
                math.log(top),
                epsrel=1e-9,
            )[0]
            if ends[-1] < top
            else 0.0
        )
        assert d.mean == pytest.approx(mean, rel=2e-7)


@pytest.mark.parametrize("mu", [m for m in MU_PRIORS if m.proper], ids=repr)
def test_bayes_factor_of_a_point_is_the_savage_dickey_ratio(mu: Prior) -> None:
    fit = BayesRandomEffects(mu, HalfNormal(0.5)).fit(table(5, 8))
    for value in (0.05, 0.4):
        ratio = fit.mu.pdf(value) / mu.pdf(value)
        assert fit.bayes_factor(mu=value) == pytest.approx(ratio, rel=1e-8)
    for value in (0.0, 0.3):
        ratio = fit.tau.pdf(value) / HalfNormal(0.5).pdf(value)
        assert fit.bayes_factor(tau=value) == pytest.approx(ratio, rel=1e-8)


def test_bayes_factor_of_both() -> None:
    es = table(5, 8)
    fit = BayesRandomEffects(Normal(0, 2), HalfNormal(0.5)).fit(es)
    direct = stats.norm.logpdf(es.yi, 0.1, np.sqrt(es.vi + 0.2**2)).sum() - fit.log_marginal
    assert fit.log_bayes_factor(mu=0.1, tau=0.2) == pytest.approx(direct, abs=1e-11)


def test_a_spike_at_zero_is_the_common_effect_model() -> None:
    es = table(7, 2)
    fit, pooled = BayesRandomEffects(Flat(), HalfNormal(1e-9)).fit(es), CommonEffect().fit(es)
    close(fit.mu.mean, pooled.estimate, 1e-12)
    close(fit.mu.ci(), pooled.ci(), 1e-12)
    close(fit.shrinkage["mean"], np.full(7, pooled.estimate), 1e-12)
    assert fit.bayes_factor(tau=0) == pytest.approx(1.0, abs=1e-12)


def test_a_t_prior_with_many_degrees_of_freedom_is_normal() -> None:
    es = table(4, 1)
    one = BayesRandomEffects(Normal(0.1, 0.5), HalfNormal(0.5)).fit(es)
    two = BayesRandomEffects(StudentT(1e7, 0.1, 0.5), HalfNormal(0.5)).fit(es)
    close(two.mu.ci(), one.mu.ci(), 1e-6)
    close(two.log_marginal, one.log_marginal, 1e-6)
    cauchy = BayesRandomEffects(Cauchy(0.1, 0.5), HalfNormal(0.5)).fit(es)
    t1 = BayesRandomEffects(StudentT(1, 0.1, 0.5), HalfNormal(0.5)).fit(es)
    close(cauchy.new_study.ci(), t1.new_study.ci(), 1e-12)


@pytest.mark.parametrize("mu", [Normal(0.1, 0.5), StudentT(3, 0.1, 0.3), Flat()], ids=repr)
def test_truncation_far_out_changes_nothing_and_near_in_conditions(mu: Prior) -> None:
    es = table(4, 1)
    whole = BayesRandomEffects(mu, HalfNormal(0.5)).fit(es)
    wide = BayesRandomEffects(mu.truncated(-1e6, 1e6), HalfNormal(0.5)).fit(es)
    close(wide.mu.ci(), whole.mu.ci(), 1e-8)
    close(wide.new_study.ci(), whole.new_study.ci(), 1e-8)
    close(wide.shrinkage["sd"], whole.shrinkage["sd"], 1e-8)
    # conditioning on a positive mean afterwards is the same as a prior that is positive
    half = BayesRandomEffects(mu.truncated(low=0), HalfNormal(0.5)).fit(es)
    above = whole.mu.sf(0.0)
    close(half.mu.cdf(0.3), whole.mu.prob(0.0, 0.3) / above, 1e-9)
    if mu.proper:
        gain = math.log(above) - math.log(mu.sf(0.0))
        close(half.log_marginal, whole.log_marginal + gain, 1e-9)


def test_new_study_and_studies_by_sampling() -> None:
    es = table(5, 4)
    fit = BayesRandomEffects(Normal(0, 2), HalfNormal(0.5)).fit(es)
    rng = np.random.default_rng(11)
    tau = fit.tau.sample(40_000, rng)
    w = 1 / (es.vi + tau[:, None] ** 2)
    s2 = 1 / (w.sum(1) + 1 / 4)
    mu = (w @ es.yi) * s2 + np.sqrt(s2) * rng.standard_normal(tau.size)
    new = mu + tau * rng.standard_normal(tau.size)
    b = tau**2 / (tau**2 + es.vi[1])
    theta = b * es.yi[1] + (1 - b) * mu + np.sqrt(es.vi[1] * b) * rng.standard_normal(tau.size)
    for draws, d in ((mu, fit.mu), (new, fit.new_study), (theta, fit.theta(1))):
        assert stats.kstest(draws, d.cdf).pvalue > 0.005
    miss = ((es.yi - mu[:, None]) ** 2 / (es.vi + tau[:, None] ** 2)).sum(1)
    p = stats.chi2.sf(miss, es.k)
    assert fit.predictive_pvalue() == pytest.approx(p.mean(), abs=5 * p.std() / math.sqrt(p.size))
    assert fit.weights == pytest.approx((w * s2[:, None]).mean(0) / (w * s2[:, None]).mean(0).sum(), abs=2e-3)
    assert fit.prior_weight == pytest.approx(1 - (w * s2[:, None]).sum(1).mean(), abs=2e-3)


def test_i2_follows_tau() -> None:
    es = table(6, 4)
    fit = BayesRandomEffects(Normal(0, 2), HalfNormal(0.5)).fit(es)
    w = 1 / es.vi
    typical = (es.k - 1) * w.sum() / (w.sum() ** 2 - (w**2).sum())
    tau = fit.tau.median
    assert fit.i2 == pytest.approx(100 * tau**2 / (tau**2 + typical), rel=1e-12)
    assert fit.i2_posterior.cdf(100 * 0.04 / (0.04 + typical)) == pytest.approx(fit.tau.cdf(0.2), rel=1e-12)
    assert 0 < fit.i2_posterior.mean < 100


# -- edges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", TAU_PRIORS, ids=repr)
def test_one_study_with_a_flat_mean_gives_back_the_prior_of_tau(tau: Prior) -> None:
    es = EffectSizes.of([0.4], [0.04])
    fit = BayesRandomEffects(Flat(), tau).fit(es)
    bound = tau.for_variances(es.vi)
    p = [0.001, 0.3, 0.9, 0.9999]
    close(fit.tau.quantile(p), bound.quantile(p), 1e-9)
    assert fit.mu.median == pytest.approx(0.4, abs=1e-12)


def test_moments_that_do_not_exist_are_not_invented() -> None:
    es = EffectSizes.of([0.4], [0.04])
    fit = BayesRandomEffects(Flat(), HalfCauchy(0.5)).fit(es)
    assert math.isnan(fit.mu.mean)
    assert fit.mu.sd == fit.tau.mean == fit.tau.sd == fit.new_study.sd == math.inf
    two = BayesRandomEffects(Flat(), HalfCauchy(0.5)).fit(EffectSizes.of([0.4, 0.1], [0.04, 0.1]))
    assert math.isfinite(two.mu.mean)
    assert two.mu.sd == math.inf
    assert math.isfinite(two.mu.ci(0.999).width)


def test_moment_at_the_edge_of_existence() -> None:
    # log-t prior, one study, proper mean: E(tau) is finite by a logarithm to the sixth power only
    from mpmath import mp, mpf, quad

    mp.dps = 20
    fit = BayesRandomEffects(Normal(0, 2), RHODES).fit(EffectSizes.of([0.4], [0.04]))

    def density(x: mpf, order: int) -> mpf:
        z = (2 * x + mpf("3.85")) / mpf("1.93")
        t = mp.gamma(3) / mp.gamma(mpf(5) / 2) / mp.sqrt(5 * mp.pi) * (1 + z * z / 5) ** -3
        total = mpf("4.04") + mp.exp(2 * x)
        return t * mp.exp(-mpf("0.16") / total / 2 + order * x) / mp.sqrt(total)

    ends = [-3000, -300, -30, -10, -5, -2, 0, 2, 5, 10, 30, 300, 3000, 30000, mp.inf]
    mean = quad(lambda x: density(x, 1), ends) / quad(lambda x: density(x, 0), ends)
    assert fit.tau.mean == pytest.approx(float(mean), rel=1e-9)
    assert fit.tau.sd == math.inf


@pytest.mark.parametrize(
    "tau", [HalfNormal(1e-8), HalfNormal(1e8), LogNormal(-3, 1e-4), InverseGamma(1e4, 2e3)]
)
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_spikes_against_data_of_any_scale(tau: Prior, scale: float) -> None:
    es = table(4, 9)
    fit = BayesRandomEffects(Normal(0, 2 * scale), tau).fit(EffectSizes.of(scale * es.yi, scale**2 * es.vi))
    assert math.isfinite(fit.log_marginal)
    # tau's own first moment by another route: the mean is that of the quantile function
    x, g = np.polynomial.legendre.leggauss(400)
    u = 0.5 * (1 + np.tanh(3 * np.sinh(2.2 * x)))
    du = 0.5 * 3 * 2.2 * np.cosh(2.2 * x) / np.cosh(3 * np.sinh(2.2 * x)) ** 2
    inside = (u > 1e-14) & (u < 1 - 1e-14)
    mean = np.sum((g * du)[inside] * fit.tau.quantile(u[inside]))
    assert fit.tau.mean == pytest.approx(mean, rel=1e-6)


def test_twelve_orders_of_magnitude_of_standard_errors() -> None:
    se = 10.0 ** np.arange(-6, 7)
    fit = BayesRandomEffects(Flat(), HalfCauchy(1.0)).fit(EffectSizes.of(np.sin(np.arange(13)), se**2))
    for d in (fit.mu, fit.tau, fit.new_study):
        p = np.array([0.01, 0.5, 0.99])
        close(d.cdf(d.quantile(p)), p)


def test_many_studies() -> None:
    es = table(2000, 12)
    fit = BayesRandomEffects(Flat(), Flat()).fit(es)
    assert fit.tau.mean == pytest.approx(0.3, abs=0.02)
    assert fit.mu.sd == pytest.approx(np.sqrt(1 / (1 / (es.vi + fit.tau.mean**2)).sum()), rel=1e-3)


def test_two_modes() -> None:
    # a narrow prior of the mean far from precise studies: tau is either small or as large as the conflict
    es = EffectSizes.of([3.0, 3.02, 2.98], [1e-4] * 3)
    fit = BayesRandomEffects(Normal(0, 0.7), HalfT(2, 0.05)).fit(es)
    x = np.linspace(1e-4, 6, 200_001)
    area = np.trapezoid(fit.tau.pdf(x), x)
    assert area == pytest.approx(fit.tau.prob(1e-4, 6), abs=1e-8)
    mode = x[fit.tau.pdf(x).argmax()]
    assert fit.tau.mode == pytest.approx(mode, abs=6e-5)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "mu", "tau", "needed"),
    [
        (2, Flat(), Flat(), 3),
        (1, Normal(0, 1), Flat(), 2),
        (1, Flat(), Jeffreys(), 2),
        (3, Flat(), Flat(on="tau2"), 4),
    ],
)
def test_improper_posteriors(k: int, mu: Prior, tau: Prior, needed: int) -> None:
    with pytest.raises(ModelError, match=f"at least {needed} studies"):
        BayesRandomEffects(mu, tau).fit(table(k, 1))
    assert math.isfinite(BayesRandomEffects(mu, tau).fit(table(needed, 1)).tau.median)


def test_evidence_needs_proper_priors() -> None:
    es = table(5, 1)
    flat = BayesRandomEffects(Flat(), HalfNormal(0.5)).fit(es)
    with pytest.raises(ModelError, match="mu ~ Flat"):
        _ = flat.log_marginal
    with pytest.raises(ModelError, match="no Bayes factor of mu"):
        flat.bayes_factor(mu=0)
    # the constant of the flat prior cancels
    limit = BayesRandomEffects(Normal(0, 1e7), HalfNormal(0.5)).fit(es)
    assert flat.bayes_factor(tau=0) == pytest.approx(limit.bayes_factor(tau=0), rel=1e-9)
    jeffreys = BayesRandomEffects(Normal(0, 1), Jeffreys()).fit(es)
    with pytest.raises(ModelError, match="tau ~ Jeffreys"):
        _ = jeffreys.log_marginal
    with pytest.raises(ModelError, match="no Bayes factor of tau"):
        jeffreys.bayes_factor(tau=0)
    assert jeffreys.bayes_factor(mu=0) == pytest.approx(
        jeffreys.mu.pdf(0.0) / Normal(0, 1).pdf(0.0), rel=1e-9
    )


@pytest.mark.parametrize(
    ("mu", "tau", "words"),
    [
        (HalfNormal(1), HalfNormal(1), "not a prior of the mean"),
        (Normal(0, 1, on="tau2"), HalfNormal(1), "priors of heterogeneity"),
        (Normal(0, 1), Normal(0, 1), "values below 0"),
        (Normal(0, 1), Uniform(-1, 1), "values below 0"),
    ],
)
def test_priors_in_the_wrong_place(mu: Prior, tau: Prior, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        BayesRandomEffects(mu, tau).fit(table(4, 1))


def test_calls_that_are_wrong() -> None:
    with pytest.raises(UsageError, match="not a prior"):
        BayesRandomEffects(tau=0.5)
    with pytest.raises(UsageError, match="measure MD"):
        BayesRandomEffects().fit(EffectSizes.of([3.0, 4.0], [1.0, 2.0], "MD"))
    fit = BayesRandomEffects(Normal(0, 1), DuMouchel()).fit(
        EffectSizes.of([0.1, 0.2, 0.3], [0.1, 0.1, 0.1], study=["A", "A", "B"])
    )
    with pytest.raises(UsageError, match=r"stands in rows \[0, 1\]"):
        fit.theta("A")
    with pytest.raises(UsageError, match="not among"):
        fit.theta("C")
    with pytest.raises(UsageError, match="row from 0 to 2"):
        fit.theta(3)
    assert fit.theta("B").mean == fit.theta(2).mean
    with pytest.raises(UsageError, match="which hypothesis"):
        fit.bayes_factor()
    with pytest.raises(UsageError, match="level"):
        fit.mu.ci(95)
    with pytest.raises(UsageError, match="kind"):
        fit.mu.ci(0.95, kind="hpd")


# -- words -----------------------------------------------------------------------------------------


def test_defaults_are_said() -> None:
    fit = BayesRandomEffects().fit(table(4, 1))
    assert fit.mu_prior == Normal(0, 2)
    assert fit.tau_prior == HalfNormal(0.5)
    assert "Röver et al. 2021" in fit.methods
    assert "HalfNormal(0.5)" in repr(fit)
    ratio = BayesRandomEffects().fit(EffectSizes.of([0.1, 0.4], [0.1, 0.2], "OR"))
    assert ratio.mu_prior == Normal(0, 4)
    bound = BayesRandomEffects(Flat(), DuMouchel()).fit(EffectSizes.of([0.1, 0.4], [0.04, 0.04]))
    assert "here Lomax(1, 0.2)" in bound.priors
    assert "<table" in fit._repr_html_()


def test_the_face_of_a_pooled_result() -> None:
    es = table(5, 1)
    fit = BayesRandomEffects().fit(es)
    assert fit.estimate == fit.mu.median
    assert fit.ci() == fit.mu.ci()
    assert fit.pi() == fit.new_study.ci()
    assert isinstance(fit.tau2_ci(), Interval)
    assert fit.tau2 == pytest.approx(fit.tau.median**2)
    assert fit.weights.sum() == pytest.approx(1.0)
    assert not fit.weights.flags.writeable
    assert fit.q == pytest.approx(CommonEffect().fit(es).q)
    assert math.isnan(fit.pvalue)
    assert list(fit.shrinkage.columns) == ["study", "mean", "sd", "low", "high"]
    mine = fit.shrinkage
    mine.loc[0, "mean"] = 99.0
    assert fit.shrinkage.loc[0, "mean"] < 9
    assert fit.prob_beyond(-0.24) == fit.mu.cdf(-0.24)
    assert fit.prob_beyond(0.24, of="new_study") == fit.new_study.sf(0.24)
    with pytest.raises(AttributeError):
        fit.k = 3
