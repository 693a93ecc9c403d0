"""The 36-model ensemble: against the exact models, brute quadrature, printed output, and itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, special, stats

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.bayes_average import BayesModelAverage
from mtmeta.models.bayes_bias import BIASES, BiasAverageResult, RobustBayesAverage
from mtmeta.models.bias_models import Bias, BiasModel, sample_model
from mtmeta.models.priors import Flat, HalfCauchy, HalfNormal, InverseGamma, Normal

# Bem 2011 as the package RoBMA has it (README, version 3): d and its standard error
BEM_D = np.array([0.25, 0.20, 0.26, 0.23, 0.22, 0.15, 0.09, 0.19, 0.42])
BEM_SE = np.array(
    [
        0.10155048,
        0.08246211,
        0.10323629,
        0.10182427,
        0.10120277,
        0.08210765,
        0.07085372,
        0.10089846,
        0.14752627,
    ]
)
Y = np.array([0.1, 0.35, 0.22, 0.62, 0.05])
V = np.square([0.12, 0.15, 0.11, 0.30, 0.2])


@pytest.fixture(scope="module")
def bem() -> BiasAverageResult:
    # RoBMA: Fisher's z with 1/(n - 3), n from d and its error; priors of mu and tau halved, of PEESE doubled
    n = (BEM_D**2 + 8) / (2 * BEM_SE**2)
    es = EffectSizes.of(np.arcsinh(BEM_D / 2), 1 / (n - 3), "ZCOR")
    return RobustBayesAverage(Normal(0, 0.5), InverseGamma(1, 0.075), peese=HalfCauchy(10)).fit(es)


def test_bem_as_robma_prints_it(bem: BiasAverageResult) -> None:
    """Printed from chains, with cut points by t quantiles of d: both move the third digit."""
    for part, probability, bf in (
        ("effect", 0.324, 0.479),
        ("heterogeneity", 0.125, 0.143),
        ("bias", 0.942, 16.323),
    ):
        assert bem.probability(part) == pytest.approx(probability, abs=0.003)
        assert bem.inclusion_bf(part) == pytest.approx(bf, rel=0.025)
    frame = bem.to_frame()
    assert 2 * frame.loc["mu", "mean"] == pytest.approx(0.037, abs=0.002)
    assert 2 * frame.loc["mu", "median"] == 0.0
    assert 2 * frame.loc["mu", "low"] == pytest.approx(-0.041, abs=0.012)
    assert 2 * frame.loc["mu", "high"] == pytest.approx(0.213, abs=0.006)
    assert 2 * frame.loc["tau", "mean"] == pytest.approx(0.010, abs=0.0011)
    assert 2 * frame.loc["tau", "high"] == pytest.approx(0.113, abs=0.006)
    assert frame.loc["pet", "mean"] == pytest.approx(0.759, rel=0.03)
    assert frame.loc["peese", "mean"] / 2 == pytest.approx(6.183, rel=0.03)
    omega = [1.000, 0.935, 0.780, 0.768, 0.786, 0.801]
    assert bem.omega["mean"].to_numpy() == pytest.approx(omega, abs=0.008)


def test_ensemble_is_the_one_of_the_paper(bem: BiasAverageResult) -> None:
    models = bem.models
    assert len(models) == 36
    assert models["prior"].sum() == pytest.approx(1.0)
    assert models.groupby("bias")["prior"].sum().to_dict() == pytest.approx(
        {bias.name: weight for bias, weight in BIASES}
    )
    assert models["error"].max() < 0.03
    assert models["posterior"].sum() == pytest.approx(1.0)


def test_models_without_bias_are_the_exact_ones() -> None:
    es = EffectSizes.of(Y, V, "SMD")
    mu, tau = Normal(0, 1), InverseGamma(1, 0.15)
    found = RobustBayesAverage().fit(es).models
    exact = BayesModelAverage(mu, tau).fit(es).models.set_index(["effect", "heterogeneity"])
    plain = found[found["bias"] == "none"]
    for row in plain.itertuples():
        log_z = exact.loc[(row.effect, row.heterogeneity), "log_marginal"]
        assert abs(row.log_marginal - log_z) <= 5 * row.error + 1e-10


M = np.linspace(-2.5, 2.5, 201)
T = (np.arange(120) + 0.5) * (2.4 / 120)


def by_plain_sums(bias: Bias, nodes: list, m: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Likelihood at every mean and tau, the bias's parameters summed out: nodes of share, weights, shift."""
    mean, sd = m[:, None, None], np.sqrt(V + t[None, :, None] ** 2)
    total = np.zeros((m.size, t.size))
    if not bias.steps:
        for share, _, shift in nodes:
            total += share * stats.norm.pdf(Y, mean + shift, sd).prod(-1)
        return total
    z = Y / np.sqrt(V)
    p = stats.norm.sf(z) if bias.kind == "one-sided" else 2 * stats.norm.sf(abs(z))
    place = np.searchsorted(bias.steps, p, side="right")
    pieces = []  # probability of each interval of p
    for low_p, high_p in pairwise((0.0, *bias.steps, 1.0)):
        one = 0.0
        for side in (1,) if bias.kind == "one-sided" else (1, -1):
            high, low = (stats.norm.isf(x if bias.kind == "one-sided" else x / 2) for x in (low_p, high_p))
            a, b = sorted((side * low, side * high))
            up = special.ndtr((b * np.sqrt(V) - mean) / sd) if b < np.inf else 1.0
            down = special.ndtr((a * np.sqrt(V) - mean) / sd) if a > -np.inf else 0.0
            one = one + up - down
        pieces.append(one)
    pieces, plain = np.stack(pieces), stats.norm.pdf(Y, mean, sd).prod(-1)
    for share, w, _ in nodes:
        reported = np.tensordot(np.asarray(w), pieces, axes=1).prod(-1)
        total += share * np.asarray(w)[place].prod() * plain / reported
    return total


def brute(bias: Bias, weights: Callable[[object], list], slope: object) -> float:
    """Log marginal likelihood with mu ~ N(0, 1), tau ~ half-normal(0.5) by plain sums over everything."""
    prior = stats.norm.pdf(M)[:, None] * 2 * stats.norm.pdf(T, 0, 0.5) * (5 / 200) * (2.4 / 120)
    return math.log(float((prior * by_plain_sums(bias, weights(slope), M, T)).sum()))


def one_step(_: object) -> list[tuple[float, list[float], float]]:
    x, w = np.polynomial.legendre.leggauss(16)
    return [(b / 2, [1.0, (1 + a) / 2], 0.0) for a, b in zip(x, w, strict=True)]


def two_steps(_: object) -> list[tuple[float, list[float], float]]:
    """Cumulative sums of Dirichlet(1, 1, 1): uniform where 1 > w2 > w3 > 0, density 2."""
    x, w = np.polynomial.legendre.leggauss(10)
    u, g = (1 + x) / 2, w / 2
    return [(2 * g[i] * g[j] * u[i], [1.0, u[i], u[i] * u[j]], 0.0) for i in range(10) for j in range(10)]


def three_steps(_: object) -> list[tuple[float, list[float], float]]:
    """Cumulative sums of Dirichlet(1, 1, 1, 1): uniform where 1 > w2 > w3 > w4 > 0, density 6."""
    x, w = np.polynomial.legendre.leggauss(8)
    u, g = (1 + x) / 2, w / 2
    return [
        (6 * g[i] * g[j] * g[h] * u[i] ** 2 * u[j], [1.0, u[i], u[i] * u[j], u[i] * u[j] * u[h]], 0.0)
        for i in range(8)
        for j in range(8)
        for h in range(8)
    ]


def slopes(kind: object) -> list[tuple[float, None, np.ndarray]]:
    scale, size = (1.0, np.sqrt(V)) if kind == "PET" else (5.0, V)
    x, w = np.polynomial.legendre.leggauss(60)
    angle = (1 + x) * math.pi / 4  # a half-Cauchy variable is scale * tan(angle), angle uniform
    return [(b / 2, None, scale * math.tan(a) * size) for a, b in zip(angle, w, strict=True)]


@pytest.mark.parametrize(
    ("bias", "nodes"),
    [
        (Bias("one-sided", (0.05,)), one_step),
        (Bias("two-sided", (0.05,)), one_step),
        (Bias("one-sided", (0.025, 0.05)), two_steps),
        (Bias("one-sided", (0.05, 0.5)), two_steps),
        (Bias("one-sided", (0.025, 0.05, 0.5)), three_steps),
        (Bias("two-sided", (0.05, 0.1)), two_steps),
        (Bias("PET"), slopes),
        (Bias("PEESE"), slopes),
    ],
    ids=lambda x: x.name if isinstance(x, Bias) else "",
)
def test_marginal_likelihoods_by_plain_sums(bias: Bias, nodes: Callable[[object], list]) -> None:
    slope = {"PET": HalfCauchy(1), "PEESE": HalfCauchy(5)}.get(bias.kind)
    model = BiasModel(Y, V, 1.0, Normal(0, 1), HalfNormal(0.5), bias, slope)
    points = sample_model(model, np.random.default_rng(3), most=0.02)
    assert abs(points.log_z - brute(bias, nodes, bias.kind)) < 5 * points.error + 2e-3


def nodes_of(bias: Bias) -> list:
    if bias.kind in ("PET", "PEESE"):
        return slopes(bias.kind)
    return {0: lambda _: [(1.0, None, 0.0)], 1: one_step, 2: two_steps, 3: three_steps}[len(bias.steps)](0)


@pytest.fixture(scope="module")
def ensemble_by_plain_sums() -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """Probability of 0 and distribution on a grid of the averaged mean and tau; N(0, 1), half-normal(0.5)."""
    m, t = np.linspace(-2.5, 2.5, 401), T
    in_mu, in_tau = np.zeros(m.size), np.zeros(t.size)
    none_mu = none_tau = total = 0.0
    for effect in (False, True):
        for random in (False, True):
            mm, tt = (m if effect else np.zeros(1)), (t if random else np.zeros(1))
            prior = np.ones((mm.size, tt.size))
            if effect:
                prior = prior * stats.norm.pdf(m)[:, None] * (m[1] - m[0])
            if random:
                prior = prior * 2 * stats.norm.pdf(t, 0, 0.5) * (t[1] - t[0])
            for bias, weight in BIASES:
                joint = weight / 4 * prior * by_plain_sums(bias, nodes_of(bias), mm, tt)
                total += joint.sum()
                in_mu += joint.sum(1) if effect else 0.0
                in_tau += joint.sum(0) if random else 0.0
                none_mu += 0.0 if effect else joint.sum()
                none_tau += 0.0 if random else joint.sum()
    return {"mu": (none_mu / total, m, in_mu / total), "tau": (none_tau / total, t, in_tau / total)}


def quantile_by_plain_sums(spike: float, x: np.ndarray, mass: np.ndarray, p: float) -> float:
    """Where the distribution with `spike` at 0 and cells of `mass` around x passes p."""
    half = 0.5 * (x[1] - x[0])
    edges = np.append(x - half, x[-1] + half)
    below = np.concatenate([[0.0], np.cumsum(mass)])
    at_zero = float(np.interp(0.0, edges, below))
    if at_zero <= p <= at_zero + spike:
        return 0.0
    return float(np.interp(p if p < at_zero else p - spike, below, edges))


@pytest.mark.parametrize("of", ["mu", "tau"])
def test_averaged_quantiles_lie_within_their_errors_of_plain_sums(
    ensemble_by_plain_sums: dict[str, tuple[float, np.ndarray, np.ndarray]], of: str
) -> None:
    spike, x, mass = ensemble_by_plain_sums[of]
    fit = RobustBayesAverage(Normal(0, 1), HalfNormal(0.5), accuracy=0.01).fit(EffectSizes.of(Y, V, "SMD"))
    part = "effect" if of == "mu" else "heterogeneity"
    assert abs(1 - fit.probability(part) - spike) < 4.5 * fit.probability_error(part) + 1e-4
    p = np.array([0.01, 0.025, 0.1, 0.25, 0.5, 0.6, 0.75, 0.9, 0.975, 0.99])
    for about, here in (("averaged", spike), ("conditional", 0.0)):
        cells = mass if about == "averaged" else mass / mass.sum()
        expected = np.array([quantile_by_plain_sums(here, x, cells, q) for q in p])
        found = np.asarray(getattr(fit, of)(about).quantile(p))
        error = fit.quantile_error(p, of, about)
        assert np.all(np.abs(found - expected) < 4.5 * error + 1e-3), (about, found - expected, error)
        assert np.all(error < 0.02)
        assert np.all(error[(expected == 0.0) & (found == 0.0)] < 1e-2)
    frame = fit.to_frame()
    told = frame.loc[of, ["low_error", "median_error", "high_error"]].to_numpy(float)
    assert told == pytest.approx(fit.quantile_error([0.025, 0.5, 0.975], of))


@pytest.mark.slow
def test_errors_of_quantiles_are_those_of_repetitions() -> None:
    es = EffectSizes.of(Y, V, "SMD")
    runs = [RobustBayesAverage(seed=i, accuracy=0.1).fit(es) for i in range(12)]
    p = [0.05, 0.9, 0.975]
    spread = np.std([r.mu("conditional").quantile(p) for r in runs], axis=0, ddof=1)
    told = np.sqrt(np.mean([np.square(r.quantile_error(p, about="conditional")) for r in runs], axis=0))
    assert np.all((spread / told > 0.4) & (spread / told < 1.8))
    for wrong in ([0.0], [1.0], [math.nan]):
        with pytest.raises(UsageError, match="between 0 and 1"):
            runs[0].quantile_error(wrong)


@pytest.mark.parametrize("bias", [b for b, _ in BIASES if b.steps], ids=lambda b: b.name)
def test_density_of_a_published_result_is_one(bias: Bias) -> None:
    x = np.array([[0.3, math.log(0.4), *([-0.7] * bias.parameters)]])

    def density(y: float) -> float:
        one = BiasModel(np.array([y]), np.array([0.04]), 1.0, Normal(0, 1), HalfNormal(1), bias, None)
        return math.exp(float(one.log_likelihood(x)[0]))

    cuts = sorted(bias.cuts(np.array([0.2])).ravel())
    ends = [-5.0, *cuts, 5.0]
    total = sum(integrate.quad(density, a, b)[0] for a, b in pairwise(ends))
    assert total == pytest.approx(1.0, abs=1e-7)


def test_weights_are_cumulative_dirichlet() -> None:
    bias = Bias("one-sided", (0.025, 0.05, 0.5))
    model = BiasModel(Y, V, 1.0, None, None, bias, None)
    u = np.random.default_rng(1).random((40_000, 3))
    ours = model.weights(model.from_prior(u))
    theirs = np.cumsum(np.random.default_rng(2).dirichlet(np.ones(4), 40_000), axis=1)[:, ::-1]
    assert ours.mean(0) == pytest.approx([1.0, 0.75, 0.5, 0.25], abs=0.005)
    for j in range(1, 4):
        assert stats.ks_2samp(ours[:, j], theirs[:, j]).pvalue > 1e-3
    assert np.corrcoef(ours[:, 1:].T) == pytest.approx(np.corrcoef(theirs[:, 1:].T), abs=0.02)


def test_reported_errors_are_those_of_repetitions() -> None:
    bias = Bias("one-sided", (0.025, 0.05, 0.5))
    model = BiasModel(Y, V, 1.0, Normal(0, 1), InverseGamma(1, 0.15), bias, None)
    runs = [sample_model(model, np.random.default_rng(i), most=0.05) for i in range(20)]
    spread = np.std([r.log_z for r in runs], ddof=1)
    told = math.sqrt(np.mean([r.error**2 for r in runs]))
    assert 0.5 < spread / told < 2.0


def test_the_other_direction_mirrors() -> None:
    high = RobustBayesAverage(seed=4).fit(EffectSizes.of(Y, V, "SMD"))
    low = RobustBayesAverage(seed=4, alternative="less").fit(EffectSizes.of(-Y, V, "SMD"))
    for part in ("effect", "heterogeneity", "bias"):
        assert low.probability(part) == pytest.approx(
            high.probability(part), abs=4 * (high.probability_error(part) + low.probability_error(part))
        )
    assert low.to_frame().loc["mu", "mean"] == pytest.approx(-high.to_frame().loc["mu", "mean"], abs=0.004)


def test_runs_repeat_and_tell_about_themselves() -> None:
    es = EffectSizes.of(Y, V, "SMD")
    one, two = RobustBayesAverage(seed=5).fit(es), RobustBayesAverage(seed=5).fit(es)
    assert one.models.equals(two.models)
    assert "seed 5" in one.methods
    assert "<table" in one._repr_html_()
    assert "P(bias)" in repr(one)
    d = one.mu("conditional")
    assert d.ci(0.95).low < d.median < d.ci(0.95).high
    assert one.mu().cdf(0.0) - one.mu().cdf(-1e-9) == pytest.approx(1 - one.probability("effect"), abs=1e-3)
    assert one.tau().quantile(0.01) == 0.0


def test_what_is_refused() -> None:
    es = EffectSizes.of(Y, V, "MD")
    with pytest.raises(UsageError, match="default priors"):
        RobustBayesAverage().fit(es)
    with pytest.raises(ModelError, match="improper"):
        RobustBayesAverage(mu=Flat(), tau=HalfNormal(1)).fit(es)
    with pytest.raises(UsageError, match="pet"):
        RobustBayesAverage(pet=Normal(0, 1))
    with pytest.raises(UsageError, match="alternative"):
        RobustBayesAverage(alternative="both")
    with pytest.raises(UsageError, match="seed"):
        RobustBayesAverage(seed=None)
    with pytest.raises(UsageError, match="accuracy"):
        RobustBayesAverage(accuracy=0)
    model = BiasModel(Y, V, 1.0, Normal(0, 1), HalfNormal(1), Bias("one-sided", (0.025, 0.05, 0.5)), None)
    with pytest.raises(ModelError, match=r"standard error of .* \(asked"):
        sample_model(model, np.random.default_rng(1), most=1e-7, doublings=0)
