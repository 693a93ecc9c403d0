"""Sampled models: against the exact posterior where there is one, and what they refuse."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.events import EventCounts
from mtmeta.models.glmm import RateCounts
from mtmeta.models.posterior_draws import Draws
from mtmeta.models.priors import (
    Flat,
    HalfNormal,
    Jeffreys,
    LogNormal,
    LogStudentT,
    Lomax,
    Normal,
    Prior,
    StudentT,
)
from mtmeta.models.sampled import SampledRandomEffects, SampledThreeLevel
from mtmeta.models.sampled_events import SampledBinomial, SampledPoisson
from mtmeta.models.sampled_fit import SampledResult, Sampling, checked
from mtmeta.models.sampled_likelihood import binomial_arms, log_likelihood_of_arms, poisson_arms

HAVE = importlib.util.find_spec("pymc") is not None
# PyTensor warns at import when there is no BLAS to link, ArviZ of its own next version
quiet = pytest.mark.filterwarnings("ignore")
FAST = Sampling(draws=1000, tune=1000, progress=False, cores=1)


@pytest.mark.skipif(HAVE, reason="PyMC is installed, so nothing is missing")
def test_without_pymc_one_sentence_says_what_to_install(crins: EffectSizes) -> None:
    with pytest.raises(UsageError, match=r"pip install pymc arviz"):
        SampledRandomEffects(Normal(0, 4), HalfNormal(0.5)).fit(crins, seed=1)


def test_configurations_arechecked(crins: EffectSizes) -> None:
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
    with pytest.raises(UsageError, match="whole counts"):
        SampledPoisson().build(RateCounts.of([1.5], [10], [2], [10]))


def test_the_fastest_sampler_that_is_installed_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for installed, used in (((), "pymc"), (("numpyro",), "numpyro"), (("numpyro", "nutpie"), "nutpie")):
        have = dict.fromkeys(installed, True)
        monkeypatch.setattr("mtmeta.models.sampled_fit.find_spec", have.get)
        assert Sampling().engine == used
        assert Sampling(sampler="pymc").engine == "pymc"


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


def apart(fit: SampledResult, name: str, exact: object) -> float:
    """Largest difference of a distribution function from the exact one, in its own standard errors."""
    draws = getattr(fit, name).values
    p = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    key = fit.diagnostics_by_name[name]
    ess = min(key["ess_bulk"], key["ess_tail"])
    x = exact.quantile(p)
    return float(np.abs((draws[:, None] <= x).mean(0) - p).max() * math.sqrt(ess / 0.25))


@pytest.mark.extra
@quiet
@pytest.mark.parametrize(
    ("mu", "tau", "sampler"),
    [
        (Normal(0, 4), HalfNormal(0.5), "pymc"),
        (Normal(0, 4), HalfNormal(0.5), "nutpie"),
        (StudentT(5, 0, 0.43), LogNormal(-2.34, 1.72, on="tau2"), "auto"),
        (Flat(), LogStudentT(5, -3.85, 1.93, on="tau2"), "auto"),
        (Normal(0, 1).truncated(high=0), Lomax(2.5, 0.5), "auto"),
    ],
    ids=repr,
)
def test_normal_model_against_the_exact_posterior(
    crins: EffectSizes, mu: Prior, tau: Prior, sampler: str
) -> None:
    if sampler == "nutpie":
        pytest.importorskip("nutpie", reason="nutpie comes with requirements/all.txt")
    exact = BayesRandomEffects(mu, tau).fit(crins)
    how = replace(FAST, sampler=sampler)
    fit = SampledRandomEffects(mu, tau, sampling=how).fit(crins, seed=7)
    assert how.engine in fit.methods.lower()
    for name in ("mu", "tau", "new_study"):
        assert apart(fit, name, getattr(exact, name)) < 4.5, name
    ours, theirs = fit.shrinkage, exact.shrinkage
    assert ours["study"].tolist() == theirs["study"].tolist()
    for i, row in enumerate(theirs.itertuples()):
        ess = fit.diagnostics_by_name[f"theta[{row.study}]"]["ess_bulk"]
        assert abs(ours["mean"][i] - row.mean) < 4.5 * row.sd / math.sqrt(ess), row.study
        assert ours["sd"][i] == pytest.approx(row.sd, rel=0.12)
    import arviz as az

    assert isinstance(fit.inference_data, az.InferenceData)
    assert fit.inference_data.posterior.sizes["draw"] == FAST.draws
    assert fit.inference_data.posterior["theta"].coords["study"].values.tolist() == list(crins.study)


def exact_loo(es: EffectSizes) -> float:
    """Sum of log densities of each effect given the others, from refits of the exact model."""
    total = 0.0
    for i in range(es.k):
        rest = [j for j in range(es.k) if j != i]
        fit = BayesRandomEffects(Normal(0, 4), HalfNormal(0.5)).fit(
            EffectSizes.of(es.yi[rest], es.vi[rest], "OR")
        )
        whole = BayesRandomEffects(Normal(0, 4), HalfNormal(0.5)).fit(es)
        total += whole.log_marginal - fit.log_marginal
    return total


@pytest.mark.extra
@quiet
def test_runs_repeat_and_tell_about_themselves(crins: EffectSizes) -> None:
    short = Sampling(500, 500, progress=False, cores=1)
    model = SampledRandomEffects(Normal(0, 4), HalfNormal(0.5), sampling=short)
    one, two = model.fit(crins, seed=3), model.fit(crins, seed=3)
    assert np.array_equal(one.mu.values, two.mu.values)
    assert not np.array_equal(one.mu.values, model.fit(crins, seed=4).mu.values)
    assert "seed 3" in one.methods
    assert "HalfNormal(0.5)" in one.methods
    assert "<table" in one._repr_html_()
    assert one.loo().elpd_loo == pytest.approx(exact_loo(crins), abs=0.15)
    assert one.prior_predictive(20).prior_predictive["y"].shape[-1] == crins.k
    repeated = one.posterior_predictive().posterior_predictive["y"].values
    assert repeated.shape[-1] == crins.k
    assert {"r_hat", "ess_bulk", "ess_tail"} <= set(one.diagnostics.columns)
    flat = SampledRandomEffects(Flat(), HalfNormal(0.5), sampling=short)
    with pytest.raises(ModelError, match="predicts nothing"):
        flat.fit(crins, seed=1).prior_predictive()


@pytest.mark.extra
@quiet
def test_a_failed_chain_is_an_error(crins: EffectSizes) -> None:
    model = SampledRandomEffects(
        Normal(0, 4), HalfNormal(0.5), sampling=Sampling(100, 100, 2, progress=False, cores=1)
    )
    with pytest.raises(ModelError, match=r"effective draws|R-hat"):
        model.fit(crins, seed=1)
    import arviz as az

    rng = np.random.default_rng(1)
    stuck = np.stack([rng.normal(size=1000), rng.normal(size=1000) + 5])
    whole = {"diverging": np.zeros((2, 1000), bool)}
    with pytest.raises(ModelError, match="R-hat of mu"):
        checked(az.from_dict(posterior={"mu": stuck}, sample_stats=whole), ["mu"])
    good = rng.normal(size=(4, 1000))
    torn = {"diverging": np.arange(4000).reshape(4, 1000) == 7}
    with pytest.raises(ModelError, match="1 divergent"):
        checked(az.from_dict(posterior={"mu": good}, sample_stats=torn), ["mu"])


@pytest.mark.extra
@quiet
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


THREE = EffectSizes.of(
    [0.1, 0.5, -0.2, 0.4, 0.8, 0.3],
    [0.03, 0.05, 0.02, 0.04, 0.03, 0.06],
    cluster=["a", "a", "b", "b", "b", "c"],
    study=list("uvwxyz"),
)


def three_level_grid() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means of mu given both tau, and the posterior of both, on a grid: N(0, 1), half-normal(0.5) twice."""
    t = np.linspace(0.005, 2.5, 250)
    same = np.equal.outer(THREE.cluster, THREE.cluster)
    log_p, mean = np.empty((t.size, t.size)), np.empty((t.size, t.size))
    for i, b in enumerate(t):
        cov = np.diag(THREE.vi) + b**2 * same + 1.0 + np.square(t)[:, None, None] * np.eye(THREE.k)
        solved = np.linalg.solve(cov, np.broadcast_to(THREE.yi[:, None], (t.size, THREE.k, 1)))[..., 0]
        log_p[i] = -0.5 * (solved @ THREE.yi + np.linalg.slogdet(cov)[1]) - 2 * (b**2 + t**2)
        mean[i] = solved.sum(1)
    p = np.exp(log_p - log_p.max())
    return t, t, p / p.sum(), mean


@pytest.mark.extra
@quiet
def test_three_levels_by_quadrature() -> None:
    model = SampledThreeLevel(Normal(0, 1), HalfNormal(0.5), HalfNormal(0.5), sampling=FAST)
    fit = model.fit(THREE, seed=2)
    b, w, p, mean = three_level_grid()
    ess = {name: row["ess_bulk"] for name, row in fit.diagnostics_by_name.items()}
    assert abs(fit.mu.mean - (p * mean).sum()) < 4.5 * fit.mu.mcse(ess["mu"])
    assert abs(fit.tau.mean - (p.sum(1) * b).sum()) < 4.5 * fit.tau.mcse(ess["tau_between"]) + 1e-3
    assert (
        abs(fit.tau_within.mean - (p.sum(0) * w).sum()) < 4.5 * fit.tau_within.mcse(ess["tau_within"]) + 1e-3
    )
    assert fit.inference_data.posterior["u"].coords["cluster"].values.tolist() == ["a", "b", "c"]
    # density of each row given the others: the same from the whole covariance matrix
    draw = {
        n: float(fit.inference_data.posterior[n].values[0, 0]) for n in ("mu", "tau_between", "tau_within")
    }
    same = np.equal.outer(THREE.cluster, THREE.cluster)
    cov = np.diag(THREE.vi + draw["tau_within"] ** 2) + draw["tau_between"] ** 2 * same
    inverse = np.linalg.inv(cov)
    off = inverse @ (THREE.yi - draw["mu"]) / np.diag(inverse)
    expected = stats.norm.logpdf(off, 0, 1 / np.sqrt(np.diag(inverse)))
    assert model.log_likelihood(THREE, fit.inference_data.posterior)[0, 0] == pytest.approx(
        expected, abs=1e-10
    )
    repeated = fit.posterior_predictive().posterior_predictive["y"].values
    assert repeated.shape == (4, 1000, 6)
    assert fit.prior_predictive(50).prior_predictive["y"].shape[-1] == 6


@pytest.mark.extra
@quiet
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


def by_grid(log_l: np.ndarray, m: np.ndarray, t: np.ndarray) -> tuple[float, float, float]:
    """Posterior means of mu and tau and the sd of mu on a grid: N(0, 4), half-normal(0.5)."""
    log_p = log_l - m[:, None] ** 2 / 32 - 2 * t**2
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean = (p.sum(1) * m).sum()
    return mean, (p.sum(0) * t).sum(), math.sqrt((p.sum(1) * (m - mean) ** 2).sum())


def agrees(fit: SampledResult, expected: tuple[float, float, float]) -> None:
    ess = {name: fit.diagnostics_by_name[name]["ess_bulk"] for name in ("mu", "tau")}
    assert abs(fit.mu.mean - expected[0]) < 4.5 * fit.mu.mcse(ess["mu"])
    assert abs(fit.tau.mean - expected[1]) < 4.5 * fit.tau.mcse(ess["tau"]) + 1e-3
    assert fit.mu.sd == pytest.approx(expected[2], rel=0.1)


M, T = np.linspace(-7, 4, 221), np.linspace(0.005, 2.5, 200)
U, W = np.polynomial.hermite_e.hermegauss(60)


@pytest.mark.extra
@quiet
def test_poisson_model_by_the_counts_given_their_sums() -> None:
    x1, t1 = np.array([0, 1, 3, 0]), np.array([12.0, 20, 40, 30])
    x2, t2 = np.array([4, 3, 3, 5]), np.array([15.0, 22, 38, 30])
    fit = SampledPoisson(baseline=Flat(), sampling=FAST).fit(RateCounts.of(x1, t1, x2, t2), seed=3)
    # a flat log rate leaves the binomial distribution of x1 among x1 + x2
    theta = M[:, None, None] + T[:, None] * U
    log_l = np.zeros((M.size, T.size))
    for i in range(4):
        at = theta + math.log(t1[i] / t2[i])
        like = x1[i] * special.log_expit(at) + x2[i] * special.log_expit(-at)
        log_l += np.log(np.exp(like) @ (W / W.sum()))
    agrees(fit, by_grid(log_l, M, T))
    with pytest.raises(ModelError, match="proper baseline"):
        fit.loo()


@pytest.mark.extra
@quiet
def test_binomial_model_by_quadrature() -> None:
    a, n1 = np.array([0, 1, 3, 0]), np.array([12, 20, 40, 30])
    c, n2 = np.array([4, 3, 3, 5]), np.array([15, 22, 38, 30])
    fit = SampledBinomial(baseline=Normal(-1, 1.5), sampling=FAST).fit(EventCounts.of(a, n1, c, n2), seed=3)
    grid = np.linspace(-22, 18, 801)  # of theta: the baseline summed out on a grid of its own
    alpha = np.linspace(-9, 7, 641)
    theta = M[:, None, None] + T[:, None] * U
    log_l = np.zeros((M.size, T.size))
    for i in range(4):
        at = alpha + grid[:, None]
        like = a[i] * special.log_expit(at) + (n1[i] - a[i]) * special.log_expit(-at)
        like = like + c[i] * special.log_expit(alpha) + (n2[i] - c[i]) * special.log_expit(-alpha)
        one = np.log(np.exp(like - (alpha + 1) ** 2 / 4.5).sum(1))
        log_l += special.logsumexp(np.interp(theta, grid, one), axis=2, b=W / W.sum())
    agrees(fit, by_grid(log_l, M, T))
    assert fit.loo().elpd_loo < 0
    assert set(fit.prior_predictive(20).prior_predictive.data_vars) == {"a", "c"}
    assert set(fit.posterior_predictive().posterior_predictive.data_vars) == {"a", "c"}
    assert fit.inference_data.posterior["theta"].coords["study"].values.tolist() == ["1", "2", "3", "4"]


@pytest.mark.extra
@quiet
def test_binomial_model_with_many_events_is_the_normal_one() -> None:
    a, c = np.array([400, 300, 520, 450]), np.array([500, 420, 560, 640])
    n = np.array([2000, 1500, 2500, 2600])
    fit = SampledBinomial(sampling=FAST).fit(EventCounts.of(a, n, c, n), seed=6)
    y = np.log(a / (n - a)) - np.log(c / (n - c))
    v = 1 / a + 1 / (n - a) + 1 / c + 1 / (n - c)
    exact = BayesRandomEffects(Normal(0, 4), HalfNormal(0.5)).fit(EffectSizes.of(y, v, "OR"))
    assert fit.mu.mean == pytest.approx(exact.mu.mean, abs=0.012)
    assert fit.tau.median == pytest.approx(exact.tau.median, abs=0.012)


@pytest.mark.parametrize("kind", ["binomial", "poisson"])
def test_likelihood_of_a_study_without_its_own_effects(kind: str) -> None:
    x, n = np.array([0.0, 40.0]), np.array([12.0, 90.0])
    z, m = np.array([3.0, 31.0]), np.array([15.0, 80.0])
    arms = (binomial_arms if kind == "binomial" else poisson_arms)(x, n, z, m)
    mu, tau = np.array([-1.0, 0.3]), np.array([0.02, 1.7])
    found = log_likelihood_of_arms(arms, Normal(-1, 2), mu, tau)
    log = stats.binom.logpmf if kind == "binomial" else lambda k, t, r: stats.poisson.logpmf(k, t * r)
    scale = special.expit if kind == "binomial" else np.exp
    u = np.linspace(-8, 8, 401)[:, None]
    for i in range(2):
        alpha = arms.middle[i] + np.linspace(-11, 8, 2401)
        control = log(z[i], m[i], scale(alpha)) - (alpha + 1) ** 2 / 8
        for j in range(2):
            treated = log(x[i], n[i], scale(alpha + mu[j] + tau[j] * u))
            heights = np.exp(treated + control - u**2 / 2) / (4 * math.pi)
            direct = heights.sum() * (16 / 400) * (19 / 2400)
            assert found[j, i] == pytest.approx(math.log(direct), abs=1e-6)
    with pytest.raises(ModelError, match="without ends"):
        log_likelihood_of_arms(arms, Normal(0, 1).truncated(high=3), mu, tau)


@quiet
def test_improper_and_truncated_priors_of_tau_are_left_to_the_exact_model(crins: EffectSizes) -> None:
    pytest.importorskip("pymc", reason="needs the extra mtmeta[pymc], which is not installed here")
    for tau in (Jeffreys(), Flat(), HalfNormal(1).truncated(high=1)):
        with pytest.raises(UsageError, match="exact"):
            SampledRandomEffects(Normal(0, 1), tau).build(crins)
