"""The public names and how they are called: a contract that outside checks rely on."""

from __future__ import annotations

import pandas as pd
import pytest

import mtmeta as mt

Y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898,
     0.011952, -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]  # fmt: skip
V = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017,
     0.003962, 0.056434, 0.073025, 0.012412, 0.532506, 0.071405]  # fmt: skip
ABLAT = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]


@pytest.fixture(scope="module")
def bcg() -> mt.EffectSizes:
    """BCG vaccine, log relative risks (Viechtbauer 2010, J Stat Softw 36(3))."""
    return mt.EffectSizes.of(Y, V, measure=mt.RR, moderators=pd.DataFrame({"ablat": ABLAT}))


def test_measures_come_as_objects_and_as_codes() -> None:
    a, b = mt.EffectSizes.of(Y, V, measure="RR"), mt.EffectSizes.of(Y, V, measure=mt.RR)
    assert a.equals(b)


def test_every_measure_is_a_public_name() -> None:
    from mtmeta.measures import MEASURES

    assert {name for name in dir(mt) if isinstance(getattr(mt, name), mt.Measure)} == set(MEASURES)


def test_random_effects_gives_all_that_is_promised(bcg: mt.EffectSizes) -> None:
    fit = mt.RandomEffects(tau2="REML", ci="auto").fit(bcg)
    for name in ("estimate", "se", "df", "statistic", "pvalue", "tau2", "i2", "h2", "q", "q_pvalue"):
        assert isinstance(float(getattr(fit, name)), float)
    assert f"{fit.estimate:.4f} {fit.tau2:.4f} {fit.i2:.2f} {fit.h2:.2f}" == "-0.7145 0.3132 92.22 12.86"
    assert fit.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert fit.ci_method == "HKSJ"
    low, high = fit.ci(0.95)
    assert (round(low, 6), round(high, 6)) == (-1.108444, -0.320621)
    low, high = fit.tau2_ci(0.95, method="QP")
    assert (f"{low:.4f}", f"{high:.4f}") == ("0.1197", "1.1115")
    printed = {
        "V": (-1.995342, 0.566277),
        "HTS": (-2.008376, 0.579311),
        "normal": (-1.866692, 0.437628),
        "HK": (-1.996017, 0.566952),
        "HK-PR": (-2.009058, 0.579993),
    }
    for rule, (low, high) in printed.items():
        assert fit.pi(0.95, method=rule) == pytest.approx((low, high), abs=5e-6)


@pytest.mark.parametrize("tau2", ["DL", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM"])
@pytest.mark.parametrize("ci", ["auto", "Wald", "HKSJ", "HKSJ-floor"])
def test_every_named_choice_fits(bcg: mt.EffectSizes, tau2: str, ci: str) -> None:
    fit = mt.RandomEffects(tau2=tau2, ci=ci).fit(bcg)
    assert fit.ci().low < fit.estimate < fit.ci().high


def test_common_effect_and_events(bcg: mt.EffectSizes) -> None:
    assert mt.CommonEffect().fit(bcg).tau2 == 0
    events = mt.EventCounts.of([4, 6, 3], [123, 306, 231], [11, 29, 11], [139, 303, 220])
    for result in (mt.MantelHaenszel(measure=mt.OR).fit(events), mt.Peto().fit(events)):
        assert result.ci().low < result.estimate < result.ci().high


def test_meta_regression(bcg: mt.EffectSizes) -> None:
    """alloc-free part of p. 16: ablat alone, REML."""
    reg = mt.MetaRegression("ablat", tau2="REML", ci="Wald").fit(bcg)
    assert list(reg.coef.index)[-1] == "ablat"
    assert reg.se["ablat"] > 0
    assert 0 < reg.pvalue["ablat"] < 1
    for name in ("tau2", "r2", "qm", "qe"):
        assert float(getattr(reg, name)) >= 0


def test_multilevel_and_permutation(bcg: mt.EffectSizes) -> None:
    es = mt.EffectSizes.of(
        Y, V, measure="RR", cluster=["a", "a", "b", "b", "c", "c", "d", "d", "e", "e", "f", "f", "g"]
    )
    fit = mt.Multilevel(within_rho=0.6, robust=True).fit(es)
    assert fit.sigma2_between >= 0
    assert fit.sigma2_within >= 0
    result = mt.permutation_test(mt.RandomEffects(), bcg, permutations="exact")
    assert result.pvalue == pytest.approx(12 / 8192)


def test_from_frame_is_the_one_door() -> None:
    frame = pd.DataFrame(
        {
            "study": ["A", "B"],
            "m1": [10, 9],
            "sd1": [2, 2],
            "n1": [20, 30],
            "m2": [8.5, 8],
            "sd2": [3, 2],
            "n2": [25, 30],
        }
    )
    es = mt.EffectSizes.from_frame(frame, measure="SMD", study="study", variance="LS", zero_cells="metafor")
    y, v = mt.standardized_mean_difference(10, 2, 20, 8.5, 3, 25, variance="LS")
    assert es.yi[0] == y
    assert es.vi[0] == v


def test_forest_and_save(bcg: mt.EffectSizes, tmp_path) -> None:  # type: ignore[no-untyped-def]
    ax = mt.forest(mt.RandomEffects().fit(bcg), ax=None)
    mt.save(ax.figure, tmp_path / "bcg")
    assert {p.suffix for p in tmp_path.iterdir()} == {".svg", ".pdf", ".png"}
    mt.funnel(mt.RandomEffects().fit(bcg), ax=None)


def test_the_example_of_the_design_asks_which_row() -> None:
    """Cardiac anxiety has trials with several anxiety rows: they are listed, none is guessed."""
    with pytest.raises(mt.MtmetaError, match="pin one"):
        mt.effect_sizes(mt.example_studies(), condition="cardiac", construct="anxiety", measure=mt.SMD)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'forrest'"):
        _ = mt.forrest  # type: ignore[attr-defined]


def test_the_bayesian_model_as_promised() -> None:
    """Crins 2014 in bayesmeta's paper (JSS 93(6), sections 3.1 to 3.4), against adaptive quadrature."""
    y = [-2.3097026, -0.4595323, -2.3025851, -1.7578579, -1.2584610, -2.4178959]
    s = [0.5994763, 0.5563956, 0.8803408, 0.4558685, 0.6419962, 1.5288107]
    es = mt.EffectSizes.of(y, [x * x for x in s], measure=mt.OR)
    pst = mt.BayesRandomEffects(mu=mt.Normal(0, 4), tau=mt.HalfNormal(0.5)).fit(es)
    assert pst.log_marginal == pytest.approx(-9.632820156, abs=1e-8)
    assert pst.mu.mean == pytest.approx(-1.5764253967, abs=1e-8)
    assert pst.mu.sd == pytest.approx(0.3293681548, abs=1e-8)
    assert pst.tau.mean == pytest.approx(0.3810561975, abs=1e-8)
    assert pst.tau.median == pytest.approx(0.3445023, abs=5e-4)
    assert pst.new_study.median == pytest.approx(-1.5701653, abs=5e-4)
    low, high = pst.mu.ci(0.95, kind="central")
    assert low < pst.mu.median < high
    assert pst.mu.cdf(0.0) > 0.999
    assert list(pst.shrinkage.columns) == ["study", "mean", "sd", "low", "high"]
    mt.LogNormal(-2.34, 1.72, on="tau2")
