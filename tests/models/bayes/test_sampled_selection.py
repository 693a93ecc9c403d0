"""The selection model by sampling: against nested sums, integrals of its density, and simulated selection."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.priors import Flat, HalfNormal, Normal
from mtmeta.models.sampled_fit import Sampling
from mtmeta.models.sampled_selection import SampledSelection
from mtmeta.reports.document import plain
from mtmeta.reports.prose import result_sentences

quiet = pytest.mark.filterwarnings("ignore")
FAST = Sampling(draws=1200, tune=800, chains=2, target_accept=0.99, progress=False, cores=1)
LONG = Sampling(draws=2000, tune=1000, chains=4, target_accept=0.99, progress=False, cores=1)
Y = np.array([0.5, 0.6, 0.1, 0.7, 0.45, 0.2, 0.38])
V = np.array([0.04, 0.05, 0.03, 0.1, 0.06, 0.02, 0.03])


class OneDraw:
    """Draws in the shape of a posterior."""

    def __init__(self, values: object) -> None:
        self.values = np.asarray(values, dtype=float)[None, None]


def density(model: SampledSelection, y: float, se: float, mu: float, tau: float, omega: list[float]) -> float:
    """Density of a reported effect, the reported share by the normal distribution between the steps."""
    sd = math.hypot(se, tau)
    ends = [0.0, *model.steps, 1.0]
    reported = 0.0
    for w, (a, b) in zip(omega, pairwise(ends), strict=True):
        if model.alternative == "two-sided":
            high, low = stats.norm.isf(a / 2) * se, stats.norm.isf(b / 2) * se
            pieces = [(low, high), (-high, -low)]
        else:
            high, low = stats.norm.isf(a) * se, stats.norm.isf(b) * se
            pieces = [(low, high)] if model.alternative == "greater" else [(-high, -low)]
        reported += w * sum(np.diff(stats.norm.cdf(piece, mu, sd))[0] for piece in pieces)
    z = y / se
    p = {"greater": stats.norm.sf(z), "less": stats.norm.cdf(z), "two-sided": 2 * stats.norm.sf(abs(z))}
    w = omega[int(np.searchsorted(model.steps, p[model.alternative], side="left"))]
    return float(w * stats.norm.pdf(y, mu, sd) / reported)


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_density_of_a_reported_effect(alternative: str) -> None:
    model = SampledSelection(steps=(0.025, 0.3), alternative=alternative)
    falls, omega = [0.5, 0.3, 0.2], [1.0, 0.5, 0.2]
    at = {"mu": OneDraw(0.1), "tau": OneDraw(0.2), "falls": OneDraw(falls)}

    def ours(y: float) -> float:
        es = EffectSizes.of([y], [0.04], "SMD")
        return float(np.exp(model.log_likelihood(es, at))[0, 0, 0])

    for y in (-0.9, -0.25, 0.02, 0.3, 0.8):
        assert ours(y) == pytest.approx(density(model, y, 0.2, 0.1, 0.2, omega), rel=1e-12)
    p = np.array([0.025, 0.3])
    cuts = 0.2 * stats.norm.isf(p / 2 if alternative == "two-sided" else p)
    ends = sorted({-4.0, 4.0, *cuts, *(-cuts)})
    assert sum(integrate.quad(ours, a, b)[0] for a, b in pairwise(ends)) == pytest.approx(1.0, abs=1e-7)
    # repeated data follow it
    es = EffectSizes.of(np.zeros(2), [0.04, 0.3], "SMD")
    mu, tau, w = np.full((20_000, 2), 0.1), np.full((20_000, 1), 0.2), np.tile(omega, (20_000, 1))
    y = model._reported(es, mu, tau, w, np.random.default_rng(2))
    for j, se in enumerate(es.sei):
        grid = np.linspace(-5, 5, 20_001)
        heights = [density(model, x, float(se), 0.1, 0.2, omega) for x in grid[::20]]
        below = integrate.cumulative_trapezoid(heights, grid[::20], initial=0)
        found = np.searchsorted(np.sort(y[:, j]), grid[::20]) / 20_000
        assert np.abs(found - below).max() < 1.95 / math.sqrt(20_000) + 0.005


@pytest.mark.extra
@quiet
@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_the_model_has_that_density(alternative: str, at_a_point: object) -> None:
    model = SampledSelection(steps=(0.025, 0.3), alternative=alternative, concentration=(1, 2, 3))
    es = EffectSizes.of(Y - 0.3, V, "SMD")
    for seed in (1, 2):
        values, log_y = at_a_point(model.build(es), ["mu", "tau", "falls", "omega"], seed)
        omega = [1.0, *values["omega"]]
        assert omega == pytest.approx(np.cumsum(values["falls"][::-1])[::-1])
        total = sum(
            math.log(density(model, y, math.sqrt(v), float(values["mu"]), float(values["tau"]), omega))
            for y, v in zip(es.yi, es.vi, strict=True)
        )
        assert log_y == pytest.approx(total, abs=1e-9)


def by_sums(steps: tuple[float, float]) -> dict[str, float]:
    """Posterior by sums over mean, tau and two weights: N(0, 1), half-normal(0.5), Dirichlet(1, 1, 1)."""
    m, t = np.linspace(-2.2, 1.6, 191), (np.arange(80) + 0.5) * 0.02
    x, g = np.polynomial.legendre.leggauss(14)
    u, g = (1 + x) / 2, g / 2
    first, second = np.repeat(u, 14), np.repeat(u, 14) * np.tile(u, 14)
    share = 2 * np.repeat(g * u, 14) * np.tile(g, 14)  # uniform where 1 > w2 > w3 > 0, density 2
    weights = np.stack([np.ones_like(first), first, second])
    se = np.sqrt(V)
    sd = np.sqrt(V + t[:, None] ** 2)[None]
    cdf = [np.ones((m.size, t.size, 7))]
    cdf += [stats.norm.cdf(stats.norm.isf(a) * se, m[:, None, None], sd) for a in steps]
    cdf += [np.zeros((m.size, t.size, 7))]
    pieces = np.stack([a - b for a, b in pairwise(cdf)], axis=-1)
    place = np.searchsorted(steps, stats.norm.sf(Y / se), side="left")
    plain = stats.norm.logpdf(Y, m[:, None, None], sd).sum(-1)
    prior = stats.norm.logpdf(m)[:, None] - 2 * t**2
    log_p = (plain + prior)[..., None] - np.log(pieces @ weights).sum(2)
    p = np.exp(log_p - log_p.max()) * share * weights[place].prod(0)
    p /= p.sum()
    mean = p.sum((1, 2)) @ m
    return {
        "mu": float(mean),
        "mu_sd": math.sqrt(p.sum((1, 2)) @ (m - mean) ** 2),
        "tau": float(p.sum((0, 2)) @ t),
        "w2": float(p.sum((0, 1)) @ first),
        "w3": float(p.sum((0, 1)) @ second),
    }


@pytest.mark.extra
@quiet
def test_two_steps_by_sums() -> None:
    steps = (0.025, 0.3)
    # turned round, so that the direction is checked as well
    model = SampledSelection(Normal(0, 1), HalfNormal(0.5), steps=steps, alternative="less", sampling=LONG)
    es = EffectSizes.of(-Y, V, "SMD", study=list("abcdefg"))
    fit = model.fit(es, seed=3)
    expected = by_sums(steps)
    ess = {name: row["ess_bulk"] for name, row in fit.diagnostics_by_name.items()}
    assert abs(-fit.mu.mean - expected["mu"]) < 4.5 * fit.mu.mcse(ess["mu"]) + 1e-3
    assert fit.mu.sd == pytest.approx(expected["mu_sd"], rel=0.1)
    assert abs(fit.tau.mean - expected["tau"]) < 4.5 * fit.tau.mcse(ess["tau"]) + 1e-3
    table = fit.omega
    for name, key in (("p 0.025 to 0.3", "w2"), ("p 0.3 to 1", "w3")):
        assert abs(table.loc[name, "mean"] - expected[key]) < 4.5 * table.loc[name, "mcse"] + 1e-3
    assert table["k"].tolist() == [4, 3, 0]
    assert table.loc["p 0 to 0.025", "mean"] == 1.0
    # given mean and tau, selection by what was observed leaves a true effect's posterior normal
    mu, tau = fit.mu.values[:, None], fit.tau.values[:, None]
    share = tau**2 / (tau**2 + V)
    means = (share * -Y + (1 - share) * mu).mean(0)
    limit = 4.5 * fit.shrinkage["sd"] / math.sqrt(min(ess[f"theta[{s}]"] for s in "abcdefg"))
    assert (np.abs(fit.shrinkage["mean"] - means) < limit).all()
    assert fit.inference_data.posterior["omega"].coords["lower_interval"].values.tolist() == [
        "p 0.025 to 0.3",
        "p 0.3 to 1",
    ]
    assert fit.loo().n_data_points == 7
    assert fit.posterior_predictive().posterior_predictive["y"].shape == (4, 2000, 7)
    drawn = fit.prior_predictive(200)
    assert {"mu", "tau", "omega", "new_study"} <= set(drawn.prior.data_vars)
    assert drawn.prior_predictive["y"].shape == (1, 200, 7)
    assert "low effects favoured" in fit.methods
    said = plain(result_sentences(fit))
    assert f"posterior median {fit.mu.median:.2f} (95% credible interval " in said
    assert f"relative to p 0 to 0.025: p 0.025 to 0.3 {fit.weight(1).median:.2f} (" in said
    with pytest.raises(UsageError, match="from 1 to 2"):
        fit.weight(0)


@pytest.mark.extra
@quiet
def test_simulated_selection_is_found() -> None:
    rng = np.random.default_rng(11)
    y, v = [], []
    while len(y) < 120:
        se = rng.uniform(0.08, 0.4)
        one = rng.normal(0.2, math.hypot(se, 0.15))
        if one / se > stats.norm.isf(0.025) or rng.random() < 0.2:
            y.append(one)
            v.append(se**2)
    es = EffectSizes.of(y, v, "SMD")
    fit = SampledSelection(Normal(0, 1), HalfNormal(0.5), sampling=FAST).fit(es, seed=2)
    naive = BayesRandomEffects(Normal(0, 1), HalfNormal(0.5)).fit(es)
    assert naive.mu.ci(0.99).low > 0.2
    for d, true in ((fit.mu, 0.2), (fit.tau, 0.15), (fit.weight(1), 0.2)):
        low, high = d.ci(0.99)
        assert low < true < high
    assert fit.weight(1).ci(0.99).high < 0.6


def test_what_is_refused() -> None:
    es = EffectSizes.of(Y, V, "SMD")
    for steps in ((), (0.5, 0.025), (0.0,), (1.0,), (math.nan,)):
        with pytest.raises(UsageError, match="ascending"):
            SampledSelection(steps=steps)
    with pytest.raises(UsageError, match="alternative"):
        SampledSelection(alternative="both")
    for concentration in (0, (1, 1, 1), math.inf):
        with pytest.raises(UsageError, match="concentration"):
            SampledSelection(concentration=concentration)
    with pytest.raises(UsageError, match="proper prior of mu"):
        SampledSelection(mu=Flat()).fit(es, seed=1)
