"""Priors: densities against quadrature, quantiles against probabilities, change of variables, refusals."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import integrate, stats

from mtmeta.errors import UsageError
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

PROPER = [
    Normal(0.3, 2),
    StudentT(5, 0, 0.43),
    StudentT(0.7, 1, 2),
    Cauchy(0, 0.7),
    HalfNormal(0.5),
    HalfNormal(0.5, on="tau2"),
    HalfT(4, 0.5),
    HalfT(0.8, 0.5),
    HalfCauchy(0.5),
    Uniform(0, 4),
    Uniform(0.5, 4, on="tau2"),
    LogNormal(-2.34, 1.72, on="tau2"),
    LogNormal(-1, 0.3),
    LogStudentT(5, -3.85, 1.93, on="tau2"),
    InverseGamma(1.71, 0.4),
    InverseGamma(1, 0.15, on="tau2"),
    Lomax(1, 0.5),
    Lomax(2.5, 0.04, on="tau2"),
    HalfNormal(0.5).truncated(0.1, 2),
    StudentT(3, 0.35, 0.102).truncated(low=0),
    Normal(0, 1).truncated(low=5),
    Normal(0, 1).truncated(high=-5),
    LogNormal(-1, 1, on="tau2").truncated(0.1, 0.3),
]
POSITIVE = [p for p in PROPER if p.support[0] >= 0]


@pytest.mark.parametrize("prior", PROPER, ids=repr)
def test_density_integrates_to_probability(prior: Prior) -> None:
    a, b = prior.quantile([0.2, 0.7])
    area, _ = integrate.quad(prior.pdf, a, b, epsabs=1e-14, epsrel=1e-12)
    assert area == pytest.approx(0.5, abs=1e-11)


@pytest.mark.parametrize("prior", PROPER, ids=repr)
def test_quantiles_invert_probabilities(prior: Prior) -> None:
    p = np.array([1e-6, 0.01, 0.3, 0.5, 0.9])
    assert prior.cdf(prior.quantile(p)) == pytest.approx(p, rel=1e-10)
    assert prior.sf(prior.upper_quantile(p)) == pytest.approx(p, rel=1e-10)
    assert prior.cdf(prior.quantile(p)) + prior.sf(prior.quantile(p)) == pytest.approx(1.0, abs=1e-14)
    low, high = prior.support
    assert prior.quantile(0.0) == low
    assert prior.quantile(1.0) == high
    assert prior.pdf(low - 1.0) == 0.0


@pytest.mark.parametrize("prior", POSITIVE, ids=repr)
def test_density_of_the_logarithm(prior: Prior) -> None:
    x = prior.quantile([0.01, 0.4, 0.99])
    assert prior.log_density_of_log(np.log(x)) == pytest.approx(prior.logpdf(x) + np.log(x), abs=1e-12)
    with np.errstate(all="raise"):
        far = prior.log_density_of_log(np.array([-345.0, 345.0]))
    assert not np.isnan(far).any()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Normal(0.3, 2), stats.norm(0.3, 2)),
        (StudentT(5, 1, 0.43), stats.t(5, 1, 0.43)),
        (Cauchy(1, 0.7), stats.cauchy(1, 0.7)),
        (HalfNormal(0.5), stats.halfnorm(scale=0.5)),
        (HalfCauchy(0.5), stats.halfcauchy(scale=0.5)),
        (Uniform(1, 4), stats.uniform(1, 3)),
        (LogNormal(-2, 1.5), stats.lognorm(1.5, scale=math.exp(-2))),
        (InverseGamma(1.71, 0.4), stats.invgamma(1.71, scale=0.4)),
        (Lomax(1.5, 0.5), stats.lomax(1.5, scale=0.5)),
        (Normal(0, 1).truncated(-0.5, 2), stats.truncnorm(-0.5, 2)),
    ],
    ids=lambda x: repr(x) if isinstance(x, Prior) else "scipy",
)
def test_families_against_scipy(ours: Prior, theirs: stats.rv_frozen) -> None:
    x = theirs.ppf([0.001, 0.2, 0.6, 0.999])
    assert ours.logpdf(x) == pytest.approx(theirs.logpdf(x), abs=1e-12)
    assert ours.cdf(x) == pytest.approx(theirs.cdf(x), abs=1e-13)
    assert ours.sf(x) == pytest.approx(theirs.sf(x), rel=1e-10)


def test_far_tails_keep_their_digits() -> None:
    assert Cauchy(0, 1).cdf(-1e12) == pytest.approx(float(mp.atan(mp.mpf(10) ** -12) / mp.pi), rel=1e-14)
    assert HalfCauchy(1).sf(1e12) == pytest.approx(2e-12 / math.pi, rel=1e-12)
    assert Normal(0, 1).truncated(low=9).sf(9.5) == pytest.approx(
        float(mp.ncdf(-9.5) / mp.ncdf(-9)), rel=1e-12
    )
    assert InverseGamma(2, 1).cdf(0.01) == pytest.approx(float(mp.gammainc(2, 100) / mp.gamma(2)), rel=1e-12)


@given(scale=st.floats(0.01, 100), x=st.floats(1e-3, 1e3))
def test_on_tau2_is_the_exact_change_of_variables(scale: float, x: float) -> None:
    # tau squared half-Cauchy: P(tau <= x) is that of the square
    assert HalfCauchy(scale, on="tau2").cdf(x) == pytest.approx(HalfCauchy(scale).cdf(x * x), rel=1e-13)
    assert HalfCauchy(scale, on="tau2").logpdf(x) == pytest.approx(
        HalfCauchy(scale).logpdf(x * x) + math.log(2 * x), abs=1e-12
    )
    # a log-normal tau squared is a log-normal tau of half the parameters
    one, two = LogNormal(math.log(scale), 1.2, on="tau2"), LogNormal(0.5 * math.log(scale), 0.6)
    assert one.logpdf(x) == pytest.approx(two.logpdf(x), abs=1e-11)


def test_same_family_by_another_name() -> None:
    x = np.array([0.01, 0.3, 2.0, 50.0])
    assert HalfT(1, 0.4).logpdf(x) == pytest.approx(HalfCauchy(0.4).logpdf(x), abs=1e-13)
    assert StudentT(1, 0.2, 0.4).cdf(x) == pytest.approx(Cauchy(0.2, 0.4).cdf(x), abs=1e-14)
    assert Normal(0, 0.5).truncated(low=0).cdf(x) == pytest.approx(HalfNormal(0.5).cdf(x), abs=1e-14)


def test_priors_of_the_data() -> None:
    v = np.array([0.04, 0.09, 0.5])
    harmonic = 3 / np.sum(1 / v)
    assert DuMouchel().for_variances(v).quantile(0.5) == pytest.approx(math.sqrt(harmonic), rel=1e-13)
    bound = UniformShrinkage().for_variances(v)
    # the shrinkage s0^2/(s0^2 + tau^2) is uniform
    tau = bound.quantile([0.1, 0.5, 0.8])
    assert harmonic / (harmonic + tau**2) == pytest.approx([0.9, 0.5, 0.2], rel=1e-12)
    jeffreys = Jeffreys().for_variances(v)
    assert not jeffreys.proper
    for t in (1e-3, 0.2, 30.0):
        assert jeffreys.pdf(t) == pytest.approx(math.sqrt(np.sum((t / (v + t * t)) ** 2)), rel=1e-12)
    with pytest.raises(UsageError, match="for_variances"):
        DuMouchel().pdf(0.3)


def test_sampling_follows_the_distribution() -> None:
    prior = InverseGamma(1.71, 0.4)
    draws = prior.sample(4000, seed=1)
    assert stats.kstest(draws, prior.cdf).pvalue > 0.01
    assert np.array_equal(draws, prior.sample(4000, seed=1))


def test_repr_equality_and_source() -> None:
    assert repr(LogNormal(-2.34, 1.72, on="tau2")) == 'LogNormal(-2.34, 1.72, on="tau2")'
    assert HalfNormal(0.5) == HalfNormal(0.5, source="a paper")
    assert HalfNormal(0.5) != HalfNormal(0.5, on="tau2")
    assert len({HalfNormal(0.5), HalfNormal(0.5, source="x"), HalfNormal(1)}) == 2
    assert Flat().truncated(-1, 1) == Uniform(-1, 1)
    assert not Flat().truncated(low=0).proper


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Normal(0, 0), "sd=0 must be a number above 0"),
        (lambda: Normal("0", 1), "mean='0' must be a finite number"),
        (lambda: HalfNormal(math.inf), "sd=inf"),
        (lambda: HalfNormal(0.5, on="tau^2"), "'tau', 'tau2'"),
        (lambda: Uniform(1, 1), "low=1 must be below high=1"),
        (lambda: Uniform(-1, 1, on="tau2"), "tau squared is not"),
        (lambda: Normal(0, 1).truncated(3, 2), "nothing of"),
        (lambda: HalfNormal(1).truncated(high=-1), "nothing of"),
        (lambda: Normal(0, 1).truncated(50, 51), "no probability"),
        (lambda: Normal(0, 1).truncated(low=0).truncated(high=1), "both ends at once"),
        (lambda: Flat().cdf(0.0), "improper"),
        (lambda: HalfNormal(0.5).quantile(1.5), "between 0 and 1"),
        (lambda: DuMouchel(on="tau2"), "takes no on="),
        (lambda: UniformShrinkage().for_variances([0.1, -1]), "above 0"),
    ],
)
def test_refusals_name_prior_and_remedy(make: object, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(").replace("^", r"\^")):
        make()
