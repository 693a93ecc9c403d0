"""Several outcomes by sampling: against the exact model, a grid, and normal densities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.priors import Flat, HalfNormal, Normal
from mtmeta.models.sampled_fit import Sampling
from mtmeta.models.sampled_multivariate import Plan, SampledMultivariate
from mtmeta.reports.document import plain
from mtmeta.reports.prose import result_sentences

quiet = pytest.mark.filterwarnings("ignore")
FAST = Sampling(draws=1200, tune=800, chains=2, progress=False, cores=1)

# Berkey et al. 1998, p. 2545; the last trial here without its second outcome
Y = np.array([0.47, -0.32, 0.20, -0.60, 0.40, -0.12, 0.26, -0.31, 0.56])
BLOCKS = [
    [0.0075, 0.0030, 0.0077],
    [0.0057, 0.0009, 0.0008],
    [0.0021, 0.0007, 0.0014],
    [0.0029, 0.0009, 0.0015],
]
V = np.diag([0.0] * 8 + [0.0148])
for i, (a, b, c) in enumerate(BLOCKS):
    V[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[a, b], [b, c]]
OUTCOME = ["PD", "AL"] * 4 + ["PD"]
BERKEY = EffectSizes.of(
    Y,
    np.diag(V),
    "SMD",
    study=[f"{c}{o}" for c, o in zip("112233445", OUTCOME, strict=True)],
    cluster=list("112233445"),
    moderators={"outcome": OUTCOME},
)
PLACE = np.array([["AL", "PD"].index(o) for o in OUTCOME])
SAME = np.equal.outer(BERKEY.cluster, BERKEY.cluster)


def three_outcomes() -> tuple[EffectSizes, np.ndarray]:
    """Ten rows on three outcomes, one study with an outcome twice, another with one only."""
    rng = np.random.default_rng(3)
    outcome, cluster = list("abcabbccab"), list("1112223455")
    v = rng.uniform(0.02, 0.1, 10)
    same = np.equal.outer(cluster, cluster)
    cov = np.where(same, 0.4 * np.sqrt(np.outer(v, v)), 0.0)
    np.fill_diagonal(cov, v)
    es = EffectSizes.of(rng.normal(0, 0.4, 10), v, "SMD", cluster=cluster, moderators={"outcome": outcome})
    return es, cov


@pytest.mark.extra
@quiet
@pytest.mark.parametrize("structure", ["UN", "CS", "DIAG"])
def test_likelihood_is_that_of_the_whole_covariance(structure: str, at_a_point: object) -> None:
    es, cov = three_outcomes()
    model = SampledMultivariate(structure=structure)
    plan = Plan.of(model, es, cov)
    names = ["mu", "tau", *(["rho"] if structure != "DIAG" else [])]
    place = np.array(["abc".index(o) for o in "abcabbccab"])
    same = np.equal.outer(es.cluster, es.cluster)
    for seed in (1, 2, 3):
        values, log_y = at_a_point(plan.build(es), names, seed)
        R = np.eye(3)
        if structure != "DIAG":
            for r, (i, j) in zip(values["rho"], ((1, 0), (2, 0), (2, 1)), strict=True):
                R[i, j] = R[j, i] = r
        if structure == "CS":
            assert np.ptp(values["rho"]) == 0.0
            assert np.ptp(values["tau"]) == 0.0
        G = R * np.outer(values["tau"], values["tau"])
        total = cov + np.where(same, G[place[:, None], place], 0.0)
        expected = stats.multivariate_normal.logpdf(es.yi, values["mu"][place], total)
        assert log_y == pytest.approx(expected, abs=1e-9)
        draws = {name: OneDraw(value) for name, value in values.items()}
        assert plan.log_likelihood(es, draws).sum() == pytest.approx(expected, abs=1e-9)


class OneDraw:
    """One draw in the shape of a posterior."""

    def __init__(self, value: np.ndarray) -> None:
        self.values = np.asarray(value)[None, None]


@pytest.mark.extra
@quiet
def test_correlations_have_the_marginals_of_lkj() -> None:
    es, cov = three_outcomes()
    import pymc as pm

    for lkj in (1.0, 3.0):
        model, names = Plan.of(SampledMultivariate(lkj=lkj), es, cov).generative(es)
        with model:
            found = pm.sample_prior_predictive(2000, var_names=[*names], random_seed=4)
        rho = found.prior["rho"].values.reshape(-1, 3)
        shape = lkj + 3 / 2 - 1  # Lewandowski et al. 2009, p. 1998
        for j in range(3):
            assert stats.kstest((rho[:, j] + 1) / 2, stats.beta(shape, shape).cdf).pvalue > 1e-3
    assert found.prior_predictive["y"].shape == (1, 2000, 10)
    y = found.prior_predictive["y"].values[0]
    new, tau = found.prior["new_study"].values[0], found.prior["tau"].values[0]
    # N(0, 2) means, half-normal(0.5) tau: variances of data and new effects
    assert y[:, 0].var() == pytest.approx(4 + 0.25 + es.vi[0], rel=0.15)
    assert ((new - found.prior["mu"].values[0]) / tau).std() == pytest.approx(1.0, rel=0.05)


@pytest.mark.extra
@quiet
def test_independent_outcomes_are_two_exact_models() -> None:
    mu, tau = Normal(0, 1), HalfNormal(0.5)
    model = SampledMultivariate(mu, tau, structure="DIAG", sampling=FAST)
    fit = model.fit(BERKEY, seed=3)
    for o in ("AL", "PD"):
        rows = [i for i, name in enumerate(OUTCOME) if name == o]
        exact = BayesRandomEffects(mu, tau).fit(EffectSizes.of(Y[rows], BERKEY.vi[rows], "SMD"))
        p = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
        for name in ("mu", "tau", "new_study"):
            d, key = getattr(fit, name)(o), fit.diagnostics_by_name[f"{name}[{o}]"]
            ess = min(key["ess_bulk"], key["ess_tail"])
            x = getattr(exact, name).quantile(p)
            apart = np.abs((d.values[:, None] <= x).mean(0) - p).max() * math.sqrt(ess / 0.25)
            assert apart < 4.5, (name, o)
        ours = fit.shrinkage.iloc[rows]
        for mean, sd, row in zip(ours["mean"], ours["sd"], exact.shrinkage.itertuples(), strict=True):
            assert abs(mean - row.mean) < 4.5 * row.sd / math.sqrt(400)
            assert sd == pytest.approx(row.sd, rel=0.12)
    with pytest.raises(UsageError, match="structure='DIAG' has none"):
        fit.rho("AL", "PD")


def by_grid() -> dict[str, np.ndarray]:
    """Posterior means by a sum over both tau and the correlation: N(0, 1), half-normal(0.5), uniform."""
    t = (np.arange(44) + 0.5) * (1.3 / 44)
    r = -1 + (np.arange(40) + 0.5) / 20
    al, pd_, rho = (x.ravel() for x in np.meshgrid(t, t, r, indexing="ij"))
    tau = np.stack([al, pd_], axis=1)
    R = np.where(PLACE[:, None] == PLACE, 1.0, rho[:, None, None])
    G = np.where(SAME, tau[:, PLACE][:, :, None] * tau[:, PLACE][:, None, :] * R, 0.0)
    X = np.eye(2)[PLACE]
    total = V + G + X @ X.T  # the means integrated out
    solved = np.linalg.solve(total, np.broadcast_to(Y[:, None], (rho.size, 9, 1)))[..., 0]
    log_p = -0.5 * (solved @ Y + np.linalg.slogdet(total)[1]) - 2 * (al**2 + pd_**2)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mu = solved @ X
    return {
        "mu": p @ mu,
        "tau": p @ tau,
        "rho": np.array([p @ rho]),
        "rho_sd": np.array([math.sqrt(p @ rho**2 - (p @ rho) ** 2)]),
        "theta": p @ (((total - V) @ solved[..., None])[..., 0]),
    }


@pytest.mark.extra
@quiet
def test_correlated_outcomes_by_a_grid() -> None:
    model = SampledMultivariate(Normal(0, 1), HalfNormal(0.5), sampling=FAST)
    fit = model.fit(BERKEY, seed=5, covariance=V)
    expected = by_grid()
    ess = {name: row["ess_bulk"] for name, row in fit.diagnostics_by_name.items()}
    for j, o in enumerate(("AL", "PD")):
        for name in ("mu", "tau"):
            d = getattr(fit, name)(o)
            assert abs(d.mean - expected[name][j]) < 4.5 * d.mcse(ess[f"{name}[{o}]"]) + 1e-3, (name, o)
    rho = fit.rho("PD", "AL")
    assert abs(rho.mean - expected["rho"][0]) < 4.5 * rho.mcse(ess["rho[AL, PD]"]) + 1e-3
    assert rho.sd == pytest.approx(expected["rho_sd"][0], rel=0.1)
    table = fit.shrinkage
    assert table["outcome"].tolist() == OUTCOME
    assert table["study"].tolist() == list(BERKEY.study)
    limit = 4.5 * table["sd"] / np.sqrt([ess[f"theta[{name}]"] for name in BERKEY.study]) + 1e-3
    assert (np.abs(table["mean"] - expected["theta"]) < limit).all()
    # results and their words
    d = fit.difference("PD", "AL")
    assert d.mean == pytest.approx(fit.mu("PD").mean - fit.mu("AL").mean, abs=1e-12)
    assert "LKJ(1)" in fit.methods
    said = plain(result_sentences(fit))
    assert f"PD: posterior median {fit.mu('PD').median:.2f} (95% credible interval " in said
    assert f"Correlation of AL and PD between studies {rho.median:.2f} (" in said
    assert list(fit.to_frame().index) == [
        *(f"{n} {o}" for n in ("mu", "tau", "new_study") for o in ("AL", "PD")),
        "rho AL, PD",
    ]
    posterior = fit.inference_data.posterior
    assert posterior["mu"].coords["outcome"].values.tolist() == ["AL", "PD"]
    assert posterior["theta"].coords["study"].values.tolist() == list(BERKEY.study)
    loo = fit.loo()
    assert loo.n_data_points == 5
    assert fit.posterior_predictive().posterior_predictive["y"].shape == (2, 1200, 9)
    with pytest.raises(UsageError, match="not one of 'AL', 'PD'"):
        fit.mu("CAL")


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="structure"):
        SampledMultivariate(structure="AR")
    with pytest.raises(UsageError, match="lkj"):
        SampledMultivariate(lkj=0)
    with pytest.raises(UsageError, match="within_rho"):
        SampledMultivariate(within_rho=1)
    with pytest.raises(UsageError, match="one tau for all"):
        SampledMultivariate(tau={"a": HalfNormal(1)}, structure="CS")
    with pytest.raises(UsageError, match="no moderator 'outcome'"):
        SampledMultivariate().fit(EffectSizes.of([1, 2], [1, 1]), seed=1)
    one = EffectSizes.of([1, 2], [1, 1], "SMD", moderators={"outcome": ["a", "a"]})
    with pytest.raises(UsageError, match="one outcome, 'a'; use BayesRandomEffects"):
        SampledMultivariate().fit(one, seed=1)
    with pytest.raises(UsageError, match=r"priors are given for \['AL'\]"):
        SampledMultivariate(mu={"AL": Normal(0, 1)}).sentence(BERKEY)
    with pytest.raises(ModelError, match="diagonal must be vi"):
        SampledMultivariate().fit(BERKEY, seed=1, covariance=2 * V)
    by = SampledMultivariate(mu={"AL": Normal(0, 1), "PD": Flat()}, structure="CS").sentence(BERKEY)
    assert "mu of AL ~ Normal(0, 1), mu of PD ~ Flat()" in by
    assert "correlation ~ Uniform(-1, 1)" in by
