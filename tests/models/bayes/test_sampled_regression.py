"""Shrunk slopes by sampling: against the exact model, sums over the priors, and normal densities."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.models.bayes_regression import BayesMetaRegression
from mtmeta.models.priors import Cauchy, HalfNormal, Normal
from mtmeta.models.sampled_fit import Sampling
from mtmeta.models.sampled_regression import Plan, SampledMetaRegression, SampledRegressionResult
from mtmeta.reports.document import plain
from mtmeta.reports.prose import result_sentences

quiet = pytest.mark.filterwarnings("ignore")
FAST = Sampling(draws=1200, tune=800, chains=2, progress=False, cores=1)
# BCG vaccine, log relative risk, absolute latitude and year (Colditz et al. 1994, as in metafor's dat.bcg)
BCG_Y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418]
BCG_Y += [-1.371345, -0.339359, 0.445913, -0.017314]
BCG_V = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434, 0.073025]
BCG_V += [0.012412, 0.532506, 0.071405]
BCG = pd.DataFrame(
    {
        "ablat": [44.0, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33],
        "year": [1948.0, 1949, 1960, 1977, 1973, 1953, 1973, 1980, 1968, 1961, 1974, 1969, 1976],
    }
)
ES = EffectSizes.of(BCG_Y, BCG_V, "RR", moderators=BCG)
STANDARD = (BCG - BCG.mean()) / BCG.std()


@pytest.mark.extra
@quiet
@pytest.mark.parametrize("shrinkage", ["horseshoe", "double-exponential", "normal"])
def test_likelihood_is_that_of_the_whole_covariance(shrinkage: str, at_a_point: object) -> None:
    model = SampledMetaRegression("ablat + year", shrinkage, intercept=Normal(-0.5, 2), tau=HalfNormal(0.5))
    plan = Plan.of(model, ES)
    X = np.column_stack([np.ones(13), STANDARD])
    for seed in (1, 2):
        values, log_y = at_a_point(plan.build(ES), ["tau", "scale", "slope_sd"], seed)
        S = np.diag([4.0, *np.square(values["slope_sd"])])
        total = np.diag(ES.vi + values["tau"] ** 2) + X @ S @ X.T
        expected = stats.multivariate_normal.logpdf(ES.yi, np.full(13, -0.5), total)
        assert log_y == pytest.approx(expected, abs=1e-8)
        if shrinkage == "normal":
            assert values["slope_sd"] == pytest.approx(np.full(2, values["scale"]))


@pytest.mark.extra
@quiet
def test_fixed_normal_scale_is_the_exact_model() -> None:
    prior = {"intercept": Normal(0, 2), "tau": HalfNormal(0.5)}
    standard = EffectSizes.of(BCG_Y, BCG_V, "RR", moderators=STANDARD)
    exact = BayesMetaRegression("ablat + year", slopes=Normal(0, 0.3), **prior).fit(standard)
    model = SampledMetaRegression("ablat + year", "normal", scale=0.3, sampling=FAST, **prior)
    fit = model.fit(ES, seed=4)
    p = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    ess = {name: min(r["ess_bulk"], r["ess_tail"]) for name, r in fit.diagnostics_by_name.items()}

    def apart(draws: np.ndarray, d: object, effective: float) -> float:
        x = d.quantile(p)
        return float(np.abs((draws[:, None] <= x).mean(0) - p).max() * math.sqrt(effective / 0.25))

    for name in ("ablat", "year"):
        draws = fit.coefficient(name).values * BCG[name].std()
        assert apart(draws, exact.coefficient(name), ess[f"coef[{name}]"]) < 4.5, name
    at_mean = fit.inference_data.posterior["coef"].values.reshape(-1, 3) @ [1.0, *BCG.mean()]
    assert apart(at_mean, exact.coefficient("Intercept"), ess["coef[ablat]"]) < 4.5
    assert apart(fit.tau.values, exact.tau, ess["tau"]) < 4.5
    new = {"ablat": [20.0, 50.0], "year": [1960.0, 1970.0]}
    ours = fit.predict(new)
    theirs = exact.predict((pd.DataFrame(new) - BCG.mean()) / BCG.std())
    assert ours["mean"].to_numpy() == pytest.approx(theirs["mean"].to_numpy(), abs=0.05)
    for column in ("low", "high", "pi_low", "pi_high"):
        assert ours[column].to_numpy() == pytest.approx(theirs[column].to_numpy(), abs=0.12), column
    with pytest.raises(UsageError, match=r"fixed at 0\.3"):
        _ = fit.scale
    # a study's effect: N(x'beta, tau^2) shrunk, its mean averaged over the exact posterior's nodes
    assert fit.shrinkage["sd"].lt(np.sqrt(ES.vi) + 1e-6).all()
    assert fit.loo().n_data_points == 13
    assert fit.posterior_predictive().posterior_predictive["y"].shape == (2, 1200, 13)
    assert set(fit.prior_predictive(20).prior.data_vars) >= {"coef", "tau", "theta"}
    assert fit.inference_data.posterior["coef"].coords["coefficient"].values.tolist() == [
        "Intercept",
        "ablat",
        "year",
    ]
    assert "scale 0.3" in fit.methods
    assert "<table" in fit._repr_html_()


Z = STANDARD["ablat"].to_numpy()
CELLS = np.concatenate([-np.geomspace(1.6, 1e-4, 120), [0.0], np.geomspace(1e-4, 1.6, 120)])
T = (np.arange(100) + 0.5) * 0.02


def by_sums(prior: np.ndarray) -> dict[str, float]:
    """Posterior of slope and tau from the prior of each cell of the slope; the intercept N(0, 2) is gone."""
    slope = 0.5 * (CELLS[1:] + CELLS[:-1])
    log_p = np.empty((slope.size, T.size))
    for j, t in enumerate(T):
        total = np.diag(ES.vi + t**2) + 4.0
        r = ES.yi[:, None] - Z[:, None] * slope
        log_p[:, j] = -0.5 * ((r * np.linalg.solve(total, r)).sum(0) + np.linalg.slogdet(total)[1]) - 2 * t**2
    p = np.exp(log_p - log_p.max()) * prior[:, None]
    p /= p.sum()
    mean = float(p.sum(1) @ slope)
    small = np.abs(slope) < 0.1
    return {
        "mean": mean,
        "sd": math.sqrt(float(p.sum(1) @ np.square(slope - mean))),
        "small": float(p.sum(1)[small].sum()),
        "tau": float(p.sum(0) @ T),
    }


def agrees(fit: SampledRegressionResult, expected: dict[str, float]) -> None:
    ess = {name: row["ess_bulk"] for name, row in fit.diagnostics_by_name.items()}
    draws = fit.coefficient("ablat").values * BCG["ablat"].std()
    n = ess["coef[ablat]"]
    assert abs(draws.mean() - expected["mean"]) < 4.5 * draws.std() / math.sqrt(n) + 1e-3
    assert draws.std() == pytest.approx(expected["sd"], rel=0.1)
    assert abs((np.abs(draws) < 0.1).mean() - expected["small"]) < 4.5 * 0.5 / math.sqrt(n)
    assert abs(fit.tau.mean - expected["tau"]) < 4.5 * fit.tau.mcse(ess["tau"]) + 1e-3


@pytest.mark.extra
@quiet
def test_double_exponential_by_sums() -> None:
    def below(x: float) -> float:
        return integrate.quad(
            lambda g: stats.laplace.cdf(x, scale=g) * 2 * stats.norm.pdf(g, 0, 0.3), 0, 3, points=[abs(x)]
        )[0]

    prior = np.diff([below(x) for x in CELLS])
    model = SampledMetaRegression(
        "ablat",
        "double-exponential",
        HalfNormal(0.3),
        intercept=Normal(0, 2),
        tau=HalfNormal(0.5),
        sampling=FAST,
    )
    agrees(model.fit(ES, seed=6), by_sums(prior))


@pytest.mark.extra
@quiet
def test_horseshoe_by_sums() -> None:
    # midpoints of equal shares of global scale, local scale and slab
    u = (np.arange(40) + 0.5) / 40
    g, local = stats.halfnorm.ppf(u, scale=0.3), np.tan(0.5 * math.pi * (np.arange(200) + 0.5) / 200)
    slab = np.sqrt(stats.invgamma.ppf((np.arange(20) + 0.5) / 20, 2, scale=2 * 0.5**2))
    wide = (g[:, None] * local)[..., None]
    sds = (slab * wide / np.sqrt(slab**2 + wide**2)).ravel()
    below = np.array([special.ndtr(x / sds).mean() for x in CELLS])
    model = SampledMetaRegression(
        "ablat",
        scale=HalfNormal(0.3),
        slab_scale=0.5,
        intercept=Normal(0, 2),
        tau=HalfNormal(0.5),
        sampling=FAST,
    )
    fit = model.fit(ES, seed=8)
    agrees(fit, by_sums(np.diff(below)))
    assert fit.scale.median > 0
    assert "regularised horseshoe" in fit.methods
    said = plain(result_sentences(fit))
    assert f"; tau {fit.tau.median:.2f}. The largest R-hat is " in said
    assert "ablat " in said


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="shrinkage"):
        SampledMetaRegression("ablat", "elastic")
    with pytest.raises(UsageError, match="scale=0"):
        SampledMetaRegression("ablat", scale=0)
    with pytest.raises(UsageError, match="slab_df"):
        SampledMetaRegression("ablat", slab_df=-1)
    with pytest.raises(UsageError, match="must be Normal"):
        SampledMetaRegression("ablat", intercept=Cauchy(0, 1))
    for formula in ("0 + ablat", "1"):
        with pytest.raises(UsageError, match="intercept and at least one moderator"):
            SampledMetaRegression(formula).fit(ES, seed=1)
    with pytest.raises(UsageError, match="seed"):
        SampledMetaRegression("ablat").fit(ES, seed=None)
