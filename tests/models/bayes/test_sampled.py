"""Sampled models: against the exact posterior where there is one, and what they refuse."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.events import EventCounts
from mtmeta.models.posterior_draws import Draws
from mtmeta.models.priors import (
    Flat,
    HalfCauchy,
    HalfNormal,
    Jeffreys,
    LogNormal,
    LogStudentT,
    Lomax,
    Normal,
    Prior,
    StudentT,
)
from mtmeta.models.sampled import (
    SampledBinomial,
    SampledRandomEffects,
    SampledThreeLevel,
    Sampling,
    _checked,
)

HAVE = importlib.util.find_spec("pymc") is not None
needs_pymc = pytest.mark.skipif(not HAVE, reason="needs the extra mtmeta[pymc], which is not installed here")
# PyTensor warns at import when there is no BLAS to link, ArviZ of its own next version
quiet = pytest.mark.filterwarnings("ignore")
FAST = Sampling(draws=1000, tune=1000, progress=False)


@pytest.mark.skipif(HAVE, reason="PyMC is installed, so nothing is missing")
def test_without_pymc_one_sentence_says_what_to_install(crins: EffectSizes) -> None:
    with pytest.raises(UsageError, match=r"pip install 'mtmeta\[pymc\]'"):
        SampledRandomEffects(Normal(0, 4), HalfNormal(0.5)).fit(crins, seed=1)


def test_configurations_are_checked(crins: EffectSizes) -> None:
    with pytest.raises(UsageError, match="effects"):
        SampledRandomEffects(effects="laplace")
    with pytest.raises(UsageError, match="draws=10"):
        Sampling(draws=10)
    with pytest.raises(UsageError, match="target_accept"):
        Sampling(target_accept=1.0)
    with pytest.raises(UsageError, match="seed"):
        SampledRandomEffects().fit(crins, seed=None)
    with pytest.raises(ModelError, match="do not tell"):
        SampledThreeLevel(Normal(0, 1)).build(crins)
    with pytest.raises(UsageError, match="whole counts"):
        SampledBinomial().build(EventCounts.of([1.5], [10], [2], [10]))


def test_draws_are_a_distribution() -> None:
    rng = np.random.default_rng(2)
    d = Draws(np.abs(rng.standard_normal(20_000)), low=0.0)
    assert d.median == pytest.approx(0.674, abs=0.02)
    assert d.cdf(1.0) == pytest.approx(0.683, abs=0.01)
    assert d.ci(0.9, kind="shortest")[0] == pytest.approx(0.0, abs=0.01)
    assert d.pdf(0.0) == pytest.approx(math.sqrt(2 / math.pi), rel=0.05)
    assert d.pdf(-0.1) == 0.0
    low, high = d.quantile_error(0.5, 20_000)
    assert low < d.median < high
    assert d.mcse(20_000) == pytest.approx(0.603 / math.sqrt(20_000), rel=0.03)


def apart(fit: object, name: str, exact: object) -> float:
    """Largest difference of a distribution function from the exact one, in its own standard errors."""
    draws = getattr(fit, name).values
    p = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    key = fit.diagnostics_by_name[name]
    ess = min(key["ess_bulk"], key["ess_tail"])
    x = exact.quantile(p)
    return float(np.abs((draws[:, None] <= x).mean(0) - p).max() * math.sqrt(ess / 0.25))


@needs_pymc
@quiet
@pytest.mark.slow
@pytest.mark.parametrize(
    ("mu", "tau"),
    [
        (Normal(0, 4), HalfNormal(0.5)),
        (StudentT(5, 0, 0.43), LogNormal(-2.34, 1.72, on="tau2")),
        (Flat(), LogStudentT(5, -3.85, 1.93, on="tau2")),
        (Normal(0, 1).truncated(high=0), Lomax(2.5, 0.5)),
        (Normal(0, 4), HalfCauchy(0.3, on="tau2")),
    ],
    ids=repr,
)
def test_normal_model_against_the_exact_posterior(crins: EffectSizes, mu: Prior, tau: Prior) -> None:
    exact = BayesRandomEffects(mu, tau).fit(crins)
    fit = SampledRandomEffects(mu, tau, sampling=FAST).fit(crins, seed=7)
    for name in ("mu", "tau", "new_study"):
        assert apart(fit, name, getattr(exact, name)) < 4.5, name
    ours, theirs = fit.shrinkage, exact.shrinkage
    assert ours["study"].tolist() == theirs["study"].tolist()
    assert ours["mean"].to_numpy() == pytest.approx(theirs["mean"].to_numpy(), abs=0.05)
    assert ours["sd"].to_numpy() == pytest.approx(theirs["sd"].to_numpy(), rel=0.12)
    assert fit.inference_data.posterior["theta"].coords["study"].values.tolist() == list(crins.study)


@needs_pymc
@quiet
@pytest.mark.slow
def test_runs_repeat_and_tell_about_themselves(crins: EffectSizes) -> None:
    model = SampledRandomEffects(Normal(0, 4), HalfNormal(0.5), sampling=Sampling(500, 500, progress=False))
    one, two = model.fit(crins, seed=3), model.fit(crins, seed=3)
    assert np.array_equal(one.mu.values, two.mu.values)
    assert not np.array_equal(one.mu.values, model.fit(crins, seed=4).mu.values)
    assert "seed 3" in one.methods
    assert "HalfNormal(0.5)" in one.methods
    assert "<table" in one._repr_html_()
    assert one.loo().elpd_loo < 0
    assert one.prior_predictive(20).prior_predictive["y"].shape[-1] == crins.k
    repeated = one.posterior_predictive().posterior_predictive["y"].values
    assert repeated.shape[-1] == crins.k
    assert {"r_hat", "ess_bulk", "ess_tail"} <= set(one.diagnostics.columns)
    flat = SampledRandomEffects(Flat(), HalfNormal(0.5), sampling=Sampling(500, 500, progress=False))
    with pytest.raises(ModelError, match="predicts nothing"):
        flat.fit(crins, seed=1).prior_predictive()


@needs_pymc
@quiet
@pytest.mark.slow
def test_a_failed_chain_is_an_error(crins: EffectSizes) -> None:
    model = SampledRandomEffects(
        Normal(0, 4), HalfNormal(0.5), sampling=Sampling(100, 100, 2, progress=False)
    )
    with pytest.raises(ModelError, match=r"effective draws|R-hat"):
        model.fit(crins, seed=1)
    import arviz as az

    rng = np.random.default_rng(1)
    stuck = np.stack([rng.normal(size=1000), rng.normal(size=1000) + 5])
    stats = {"diverging": np.zeros((2, 1000), bool)}
    with pytest.raises(ModelError, match="R-hat of mu"):
        _checked(az.from_dict(posterior={"mu": stuck}, sample_stats=stats), ["mu"])
    good = rng.normal(size=(4, 1000))
    torn = {"diverging": np.arange(4000).reshape(4, 1000) == 7}
    with pytest.raises(ModelError, match="1 divergent"):
        _checked(az.from_dict(posterior={"mu": good}, sample_stats=torn), ["mu"])


@needs_pymc
@quiet
@pytest.mark.slow
def test_t_effects_by_quadrature() -> None:
    es = EffectSizes.of([0.1, 0.2, 0.15, 2.4, 0.05], [0.02, 0.03, 0.02, 0.04, 0.02])
    mu, tau = Normal(0, 1), HalfNormal(0.5)
    fit = SampledRandomEffects(mu, tau, effects="t", df=4, sampling=FAST).fit(es, seed=5)
    # brute force on a grid: each study's density is a normal convolved with a t
    m, t = np.linspace(-1.5, 2.5, 401), np.linspace(0.002, 2.5, 250)
    z, g = np.polynomial.hermite_e.hermegauss(80)
    log_l = np.zeros((t.size, m.size))
    for y, v in zip(es.yi, es.vi, strict=True):
        x = (y + math.sqrt(v) * z - m[:, None]) / t[:, None, None]
        const = special.gammaln(2.5) - special.gammaln(2.0) - 0.5 * math.log(4 * math.pi)
        dens = np.exp(const - 2.5 * np.log1p(x**2 / 4)) / t[:, None, None]
        log_l += np.log(dens @ (g / g.sum()))
    post = np.exp(log_l - log_l.max()) * mu.pdf(m) * tau.pdf(t)[:, None]
    post /= post.sum()
    mean = (post.sum(0) * m).sum()
    sd = math.sqrt((post.sum(0) * (m - mean) ** 2).sum())
    mean_t = (post.sum(1) * t).sum()
    assert fit.mu.mean == pytest.approx(mean, abs=5 * fit.mu.mcse(fit.diagnostics_by_name["mu"]["ess_bulk"]))
    assert fit.mu.sd == pytest.approx(sd, rel=0.08)
    assert fit.tau.mean == pytest.approx(
        mean_t, abs=5 * fit.tau.mcse(fit.diagnostics_by_name["tau"]["ess_bulk"]) + 0.003
    )
    # the outlier moves the mean less than with normal effects
    assert fit.mu.mean < BayesRandomEffects(mu, tau).fit(es).mu.mean


@needs_pymc
@quiet
@pytest.mark.slow
def test_three_levels_with_one_variance_near_zero_is_the_two_level_model() -> None:
    es = EffectSizes.of(
        [0.1, 0.5, -0.2, 0.4, 0.8, 0.3],
        [0.03] * 6,
        cluster=["a", "a", "b", "b", "c", "c"],
        study=list("uvwxyz"),
    )
    within = SampledThreeLevel(Normal(0, 1), HalfNormal(1e-4), HalfNormal(0.5), sampling=FAST).fit(es, seed=2)
    exact = BayesRandomEffects(Normal(0, 1), HalfNormal(0.5)).fit(es)
    assert within.mu.mean == pytest.approx(exact.mu.mean, abs=0.02)
    assert within.mu.sd == pytest.approx(exact.mu.sd, rel=0.08)
    assert within.tau_within.mean == pytest.approx(exact.tau.mean, abs=0.025)
    # no heterogeneity within: the two rows of a cluster are one row with half the variance
    between = SampledThreeLevel(Normal(0, 1), HalfNormal(0.5), HalfNormal(1e-4), sampling=FAST).fit(
        es, seed=2
    )
    halves = EffectSizes.of(es.yi.reshape(3, 2).mean(1), [0.015] * 3)
    exact = BayesRandomEffects(Normal(0, 1), HalfNormal(0.5)).fit(halves)
    assert between.mu.mean == pytest.approx(exact.mu.mean, abs=0.02)
    assert between.tau.mean == pytest.approx(exact.tau.mean, abs=0.025)
    assert between.inference_data.posterior["u_unit"].coords["cluster"].values.tolist() == ["a", "b", "c"]


@needs_pymc
@quiet
@pytest.mark.slow
def test_binomial_model_of_one_study_by_quadrature() -> None:
    events = EventCounts.of([0], [12], [4], [15])
    model = SampledBinomial(Normal(0, 2), HalfNormal(0.5), Normal(0, 3), sampling=FAST)
    fit = model.fit(events, seed=4)
    # theta ~ N(0, 4 + tau^2) with tau integrated; then a grid over the two log odds
    t = np.linspace(1e-3, 3, 400)
    theta, alpha = np.linspace(-14, 8, 881), np.linspace(-7, 4, 441)
    weight = HalfNormal(0.5).pdf(t)
    prior = (np.exp(-0.5 * theta[:, None] ** 2 / (4 + t**2)) / np.sqrt(4 + t**2)) @ weight
    like = 12 * np.log(special.expit(-(alpha + theta[:, None])))
    like = like + 4 * np.log(special.expit(alpha)) + 11 * np.log(special.expit(-alpha)) - alpha**2 / 18
    post = prior * np.exp(like).sum(1)
    post /= post.sum()
    mean = (post * theta).sum()
    sd = math.sqrt((post * (theta - mean) ** 2).sum())
    draws = fit.inference_data.posterior["theta"].values.ravel()
    ess = fit.diagnostics_by_name["theta[1]"]["ess_bulk"]
    assert draws.mean() == pytest.approx(mean, abs=5 * sd / math.sqrt(ess))
    assert draws.std() == pytest.approx(sd, rel=0.1)


@needs_pymc
@quiet
@pytest.mark.slow
def test_binomial_model_with_many_events_is_the_normal_one() -> None:
    a, c = np.array([400, 300, 520, 450]), np.array([500, 420, 560, 640])
    n = np.array([2000, 1500, 2500, 2600])
    fit = SampledBinomial(sampling=FAST).fit(EventCounts.of(a, n, c, n), seed=6)
    y = np.log(a / (n - a)) - np.log(c / (n - c))
    v = 1 / a + 1 / (n - a) + 1 / c + 1 / (n - c)
    exact = BayesRandomEffects(Normal(0, 4), HalfNormal(0.5)).fit(EffectSizes.of(y, v, "OR"))
    assert fit.mu.mean == pytest.approx(exact.mu.mean, abs=0.012)
    assert fit.tau.median == pytest.approx(exact.tau.median, abs=0.012)


def test_improper_and_truncated_priors_of_tau_are_left_to_the_exact_model(crins: EffectSizes) -> None:
    pytest.importorskip("pymc", reason="needs the extra mtmeta[pymc], which is not installed here")
    for tau in (Jeffreys(), Flat(), HalfNormal(1).truncated(high=1)):
        with pytest.raises(UsageError, match="exact"):
            SampledRandomEffects(Normal(0, 1), tau).build(crins)
