"""The pooling models: edges, choices, words, and that results stay what they are."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import CI_METHODS, CommonEffect, HenmiCopas, IVhet, RandomEffects
from mtmeta.models.predict import PI_RULES
from mtmeta.models.tau2 import TAU2_METHODS

Y = [0.5, -0.2, 0.9, 1.4, 0.1]
V = [0.05, 0.08, 0.02, 0.2, 0.1]
FIVE = EffectSizes.of(Y, V, "SMD", study=["A", "B", "C", "D", "E"])
ONE = EffectSizes.of([0.4], [0.09], "SMD")
TWO = EffectSizes.of([0.2, 1.0], [0.04, 0.09], "SMD")
SAME = EffectSizes.of([0.3] * 4, [0.1, 0.2, 0.3, 0.4], "SMD")
CALM = EffectSizes.of([0.10, 0.11, 0.09, 0.10], [0.04, 0.05, 0.06, 0.05], "SMD")
DOMINATED = EffectSizes.of([0.1, 0.9, 1.2, -0.4], [1e-12, 0.3, 0.4, 0.2], "SMD")


# edges -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau2", TAU2_METHODS)
def test_one_study_is_itself(tau2: str) -> None:
    fit = RandomEffects(tau2=tau2).fit(ONE)
    assert (fit.estimate, fit.tau2, fit.q, fit.i2, fit.h2, fit.q_pvalue) == (0.4, 0.0, 0.0, 0.0, 1.0, 1.0)
    assert fit.se == pytest.approx(0.3, rel=1e-15)
    assert fit.ci_method == "Wald"
    assert "k = 1" in fit.note
    assert fit.weights.tolist() == [1.0]
    for rule in PI_RULES:
        with pytest.raises(ModelError, match="needs at least"):
            fit.pi(method=rule)
    for method in ("QP", "BJ", "J", "BT", "SJ"):
        with pytest.raises(ModelError, match="needs at least 2 studies and there is 1"):
            fit.tau2_ci(method=method)
    assert "k = 1" in repr(fit)


@pytest.mark.parametrize("ci", ["HKSJ", "HKSJ-floor", "IQWiG"])
def test_a_named_method_is_never_replaced(ci: str) -> None:
    with pytest.raises(ModelError, match="needs at least 2 studies"):
        RandomEffects(ci=ci).fit(ONE)
    assert RandomEffects(ci="HKSJ").fit(TWO).ci_method == "HKSJ"
    assert RandomEffects(ci="HKSJ").fit(CALM).ci_method == "HKSJ"


def test_auto_falls_back_to_wald_and_says_so() -> None:
    pair = RandomEffects().fit(TWO)
    assert (pair.ci_method, pair.df) == ("Wald", math.inf)
    assert pair.note == "Wald instead of HKSJ, because k = 2 leaves it no usable degrees of freedom"
    calm = RandomEffects().fit(CALM)
    assert (calm.ci_method, calm.tau2) == ("Wald", 0.0)
    assert calm.note == "Wald instead of HKSJ, because tau2 is 0"
    assert calm.note.split(",")[0] in calm.methods
    full = RandomEffects().fit(FIVE)
    assert (full.ci_method, full.df) == ("HKSJ", 4.0)


def test_prediction_needs_enough_studies_and_random_effects() -> None:
    pair = RandomEffects().fit(TWO)
    for rule in ("V", "HTS", "HK-PR", "bootstrap"):
        with pytest.raises(ModelError, match="needs at least 3 studies and there are 2"):
            pair.pi(method=rule)
    assert pair.pi(method="normal").width > 0.0
    assert pair.pi(method="HK").width > 0.0
    for model in (CommonEffect(), HenmiCopas(), IVhet()):
        with pytest.raises(ModelError, match="says nothing of a new study"):
            model.fit(FIVE).pi()
    # also where their tau2 happens to be 0
    with pytest.raises(ModelError, match="says nothing of a new study"):
        HenmiCopas().fit(CALM).pi()


def test_identical_effects() -> None:
    wald = RandomEffects().fit(SAME)
    assert (wald.estimate, wald.tau2, wald.q, wald.ci_method) == (0.3, 0.0, 0.0, "Wald")
    assert wald.se == pytest.approx(math.sqrt(1 / sum(1 / v for v in SAME.vi)), rel=1e-15)
    assert wald.tau2_ci() == (0.0, 0.0)
    point = RandomEffects(ci="HKSJ").fit(SAME)
    assert (point.se, point.statistic, point.pvalue) == (0.0, math.inf, 0.0)
    assert point.ci() == (0.3, 0.3)
    nothing = RandomEffects(ci="HKSJ").fit(EffectSizes.of([0.0] * 3, [0.1, 0.2, 0.3]))
    assert (nothing.statistic, nothing.pvalue) == (0.0, 1.0)
    assert RandomEffects(ci="HKSJ-floor").fit(SAME).se == pytest.approx(wald.se, rel=1e-15)


def test_one_dominating_study() -> None:
    common = CommonEffect().fit(DOMINATED)
    assert common.estimate == pytest.approx(0.1, abs=1e-11)
    assert 1.0 - common.weights[0] == pytest.approx((1 / 0.3 + 1 / 0.4 + 1 / 0.2) * 1e-12, rel=1e-4)
    for tau2 in TAU2_METHODS:
        fit = RandomEffects(tau2=tau2).fit(DOMINATED)
        assert math.isfinite(fit.estimate)
        assert fit.weights.sum() == pytest.approx(1.0, abs=1e-15)
        assert fit.ci().low < fit.estimate < fit.ci().high


def test_a_given_tau2_is_taken_as_it_is() -> None:
    fit = RandomEffects(tau2=0.05, ci="Wald").fit(FIVE)
    w = 1.0 / (np.array(V) + 0.05)
    assert fit.estimate == pytest.approx(float(np.dot(w, Y) / w.sum()), rel=1e-14)
    assert (fit.tau2, fit.tau2_method) == (0.05, "given")
    assert "given as 0.05" in fit.methods
    with pytest.raises(ModelError, match="estimates tau2"):
        fit.tau2_ci()
    with pytest.raises(ModelError, match="estimates tau2"):
        _ = fit.tau2_se


def test_tau2_zero_gives_the_common_effect() -> None:
    calm, common = RandomEffects().fit(CALM), CommonEffect().fit(CALM)
    assert (calm.estimate, calm.se, calm.ci(), calm.q) == (
        common.estimate,
        common.se,
        common.ci(),
        common.q,
    )


# choices ---------------------------------------------------------------------------------------------------


def test_unknown_choices_are_named() -> None:
    with pytest.raises(UsageError, match="tau2='reml' is not known; use one of 'DL'"):
        RandomEffects(tau2="reml")
    with pytest.raises(UsageError, match="ci='hksj' is not known"):
        RandomEffects(ci="hksj")
    for bad in (-0.1, math.nan, math.inf, True):
        with pytest.raises(UsageError, match="a number not below 0"):
            RandomEffects(tau2=bad)
    with pytest.raises(UsageError, match="use tau2='ML', not 'REML'"):
        RandomEffects(ci="PL")
    with pytest.raises(UsageError, match="tau2='X' is not known"):
        IVhet(tau2="X")
    fit = RandomEffects(tau2="DL").fit(FIVE)
    with pytest.raises(UsageError, match="level=95"):
        fit.ci(95)
    with pytest.raises(UsageError, match="method='riley' is not known"):
        fit.pi(method="riley")
    with pytest.raises(UsageError, match="needs tau2='ML' or 'REML', not 'DL'"):
        fit.tau2_ci(method="PL")
    with pytest.raises(UsageError, match="draws=0 must be a whole number"):
        fit.pi(method="bootstrap", draws=0)
    with pytest.raises(UsageError, match="side='left' is not known"):
        fit.probability_beyond(0.0, side="left")
    with pytest.raises(ModelError, match="two-step estimator DL2"):
        _ = RandomEffects(tau2="DL2").fit(FIVE).tau2_se
    with pytest.raises(ModelError, match="no test statistic"):
        _ = HenmiCopas().fit(FIVE).pvalue


@pytest.mark.parametrize(("other", "code"), [("HO", "HE"), ("CA", "HE"), ("VC", "HE"), ("MP", "PM")])
def test_other_names_of_estimators(other: str, code: str) -> None:
    fit = RandomEffects(tau2=other).fit(FIVE)
    assert fit.tau2 == RandomEffects(tau2=code).fit(FIVE).tau2
    assert fit.tau2_method == code
    assert RandomEffects(tau2=other) == RandomEffects(tau2=code)
    assert IVhet(tau2=other) == IVhet(tau2=code)


def test_the_floor_never_narrows_the_interval() -> None:
    for es in (FIVE, TWO, CALM, SAME):
        plain, floored = RandomEffects(ci="HKSJ").fit(es), RandomEffects(ci="HKSJ-floor").fit(es)
        assert floored.ci().width >= plain.ci().width
        assert floored.pi(method="HK").width >= plain.pi(method="HK").width


def test_i2_from_tau2_and_from_q() -> None:
    fit = RandomEffects().fit(FIVE)
    assert fit.i2 == pytest.approx(100 * fit.tau2 / (fit.tau2 + fit.vt))
    assert fit.i2_q == pytest.approx(100 * (fit.q - 4) / fit.q)
    # DL makes them one: its tau2 is vt (Q - df)/df
    dl = RandomEffects(tau2="DL").fit(FIVE)
    assert dl.i2 == pytest.approx(dl.i2_q, rel=1e-13)
    assert dl.h2 == pytest.approx(dl.q / 4, rel=1e-13)
    low, high = fit.tau2_ci()
    assert fit.i2_ci() == pytest.approx((100 * low / (low + fit.vt), 100 * high / (high + fit.vt)))
    assert fit.h2_ci() == pytest.approx((1 + low / fit.vt, 1 + high / fit.vt))


# results are frozen, inputs untouched ----------------------------------------------------------------------


def test_models_and_results_are_frozen() -> None:
    fit = RandomEffects().fit(FIVE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.estimate = 1.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.model.ci = "Wald"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="read-only"):
        fit.weights[0] = 1.0
    assert fit.effects is FIVE
    assert FIVE.yi.tolist() == Y
    assert RandomEffects() == RandomEffects(tau2="REML", ci="auto")


def test_words() -> None:
    fit = RandomEffects().fit(FIVE)
    low, high = fit.ci()
    text = repr(fit)
    assert "\n" not in text
    assert text.startswith(
        f"RandomEffects (REML, HKSJ): SMD {fit.estimate:.3f} [{low:.3f}, {high:.3f}], k = 5"
    )
    assert "restricted maximum likelihood (Viechtbauer 2005)" in fit.methods
    assert "Hartung and Knapp (2001)" in fit.methods
    page = fit._repr_html_()
    assert page.count("<tr>") == page.count("</tr>")
    assert "Standardised mean difference" in page
    frame = fit.to_frame()
    assert frame.shape[0] == 1
    assert frame.loc[0, "estimate"] == fit.estimate
    assert frame.loc[0, "pi_high"] == fit.pi().high
    assert math.isnan(CommonEffect().fit(FIVE).to_frame().loc[0, "pi_low"])
    assert math.isnan(HenmiCopas().fit(FIVE).to_frame().loc[0, "pvalue"])


@pytest.mark.parametrize("ci", CI_METHODS)
@pytest.mark.parametrize("tau2", TAU2_METHODS)
def test_every_combination_has_words(tau2: str, ci: str) -> None:
    only = {"PL": "ML", "KR": "REML"}.get(ci)
    if only and tau2 != only:
        with pytest.raises(UsageError, match=f"use tau2='{only}'"):
            RandomEffects(tau2=tau2, ci=ci)
        return
    fit = RandomEffects(tau2=tau2, ci=ci).fit(FIVE)
    assert fit.ci().low < fit.estimate < fit.ci().high
    assert 0.0 <= fit.pvalue <= 1.0
    assert fit.methods.endswith((".", ".)"))
    assert fit._repr_html_().startswith("<table>")
    assert fit.to_frame().loc[0, "ci_method"] == fit.ci_method


def test_the_kernel_needs_no_pandas_and_no_statistics_package() -> None:
    code = (
        "import sys, mtmeta.models.kernel; "
        "print([m for m in ('pandas', 'scipy.stats', 'scipy.optimize', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# properties ------------------------------------------------------------------------------------------------

_studies = st.lists(
    st.tuples(st.floats(-3, 3).map(lambda x: round(x, 3)), st.floats(0.01, 2.0).map(lambda x: round(x, 3))),
    min_size=3,
    max_size=10,
)


@settings(max_examples=60)
@given(_studies, st.sampled_from(TAU2_METHODS), st.sampled_from(["Wald", "HKSJ", "HKSJ-floor", "IQWiG"]))
def test_intervals_nest_and_turn_with_the_sign(
    studies: list[tuple[float, float]], tau2: str, ci: str
) -> None:
    y, v = (np.array(x) for x in zip(*studies, strict=True))
    model = RandomEffects(tau2=tau2, ci=ci)
    fit, turned = model.fit(EffectSizes.of(y, v)), model.fit(EffectSizes.of(-y, v))
    low, high = fit.ci()
    assert turned.ci() == pytest.approx((-high, -low), abs=1e-12)
    inner = fit.ci(0.5)
    assert low <= inner.low <= fit.estimate <= inner.high <= high
    assert fit.pi(0.5).low >= fit.pi().low
    assert fit.pi().width >= 2 * fit.se_classic
    assert fit.weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert float(np.dot(fit.weights, y)) == pytest.approx(fit.estimate, abs=1e-12)
    for method in ("QP", "BT", "SJ", "J", "BJ"):
        interval = fit.tau2_ci(method=method)
        assert 0.0 <= interval.low <= interval.high


@settings(max_examples=60)
@given(_studies, st.sampled_from(["QP", "BJ", "J", "BT"]))
def test_intervals_of_tau2_widen_with_the_level(studies: list[tuple[float, float]], method: str) -> None:
    y, v = (np.array(x) for x in zip(*studies, strict=True))
    fit = RandomEffects(tau2="DL").fit(EffectSizes.of(y, v))
    inner, outer = fit.tau2_ci(0.8, method), fit.tau2_ci(0.95, method)
    assert outer.low <= inner.low * (1 + 1e-9)
    assert inner.high <= outer.high * (1 + 1e-9)
