"""The prose is read back: every number in a sentence is parsed and held against the result it is about."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import DataWarning, ModelError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.bayes_average import BayesModelAverage
from mtmeta.models.bayes_bias import RobustBayesAverage
from mtmeta.models.bayes_regression import BayesMetaRegression
from mtmeta.models.crossed import Crossed
from mtmeta.models.dependent import Multilevel
from mtmeta.models.events import EventCounts, MantelHaenszel, Peto
from mtmeta.models.exact import ExactOddsRatio
from mtmeta.models.glmm import CountsModel, RateCounts
from mtmeta.models.location_scale import LocationScale
from mtmeta.models.multivariate import Multivariate
from mtmeta.models.permutation import permutation_test
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.models.priors import HalfNormal, Normal
from mtmeta.models.regression import MetaRegression
from mtmeta.models.robust import robust
from mtmeta.models.sampled import SampledRandomEffects, SampledThreeLevel
from mtmeta.models.sampled_events import SampledBinomial, SampledPoisson
from mtmeta.models.sampled_fit import SampledResult, Sampling
from mtmeta.models.subgroups import subgroups
from mtmeta.models.wild import wild_bootstrap
from mtmeta.records.folder import Studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.document import Cite, Number, Paragraph, Span, Spans, blocks_of, plain
from mtmeta.reports.locked import Locked, number_at
from mtmeta.reports.prose import Numbers, method_sentences, result_sentences
from mtmeta.reports.prose_analysis import prose_section
from mtmeta.reports.references import method_references

Y = [-0.889, -1.585, -1.348, -1.442, -0.218, -0.786, -1.621, 0.012, -0.469, -1.371, -0.339, 0.446, -0.017]
V = [0.326, 0.195, 0.415, 0.020, 0.051, 0.007, 0.223, 0.004, 0.056, 0.073, 0.012, 0.533, 0.071]
X = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]
BCG = EffectSizes.of(Y, V, "RR", cluster=list("aabbccddeeffg"), moderators=pd.DataFrame({"x": X}))
SMD = EffectSizes.of(Y, V, "SMD", cluster=list("aabbccddeeffg"), moderators=pd.DataFrame({"x": X}))
RATES = RateCounts.of([12, 7, 0, 22], [120, 90, 41, 300], [20, 9, 3, 31], [118, 95, 44, 280])
EVENTS = EventCounts.of([4, 6, 3, 62], [123, 306, 231, 13598], [11, 29, 11, 248], [139, 303, 220, 12867])

# what stands before a number and is no letter, digit or point; commas at thousands
_NUMBER = re.compile(r"(?<![\w.,])-?\d[\d,]*(?:\.\d+)?(?![\w])")


def read(text: str) -> list[str]:
    """Every number of a text, but levels of intervals."""
    return [
        n.rstrip(",")
        for n in _NUMBER.findall(re.sub(r"\b95% (CI|credible|prediction|probability)", "", text))
    ]


def same(printed: str, value: float) -> bool:
    digits = printed.replace(",", "")
    decimals = len(digits.partition(".")[2])
    return abs(float(digits) - value) <= 0.5 * 10.0**-decimals * (1 + 1e-9)


def held(said: Spans, expected: Iterable[float]) -> None:
    text = plain(said)
    printed, wanted = read(text), list(expected)
    assert len(printed) == len(wanted), (printed, wanted, text)
    for number, value in zip(printed, wanted, strict=True):
        assert same(number, value) or (value < 0.0005 and number == "0.001"), (number, value, text)
    assert "nan" not in text.lower()
    assert "-0.00 " not in text
    assert "  " not in text


def _p(result: Any) -> list[float]:
    return [result.statistic, result.pvalue]


def _pool(fit: Any, pi: str = "V") -> list[float]:
    """Numbers of the sentences about a pooled result, in their order."""
    back = fit.effects.measure.back
    out = [fit.k, back(fit.estimate), *map(back, fit.ci())]
    out += [] if math.isinf(fit.df) else [fit.df]
    out += _p(fit)
    if fit.tau2_method != "none":
        out.append(fit.tau2)
        if fit.tau2_method != "given":
            out += list(fit.tau2_ci())
    out += [fit.i2, fit.q_df, fit.q, fit.q_pvalue]
    return out + (list(map(back, fit.pi(method=pi))) if fit.predicts else [])


@pytest.mark.parametrize("tau2", ["DL", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM", 0.1])
@pytest.mark.parametrize("ci", ["Wald", "HKSJ", "HKSJ-floor", "auto"])
@pytest.mark.parametrize("es", [BCG, SMD], ids=["RR", "SMD"])
def test_random_effects_are_read_back(tau2: Any, ci: Any, es: EffectSizes) -> None:
    fit = RandomEffects(tau2=tau2, ci=ci).fit(es)
    held(result_sentences(fit), _pool(fit))


@pytest.mark.parametrize("pi", ["V", "HTS", "normal", "HK", "HK-PR"])
def test_every_prediction_interval_is_read_back(pi: Any) -> None:
    fit = RandomEffects().fit(BCG)
    held(result_sentences(fit, pi=pi), _pool(fit, pi))


@pytest.mark.parametrize("es", [BCG, SMD], ids=["RR", "SMD"])
def test_a_common_effect_predicts_nothing(es: EffectSizes) -> None:
    fit = CommonEffect().fit(es)
    said = result_sentences(fit)
    held(said, _pool(fit))
    assert "prediction" not in plain(said)


def test_one_and_two_effects_are_told_in_the_singular_and_without_what_they_cannot_give() -> None:
    one = RandomEffects().fit(EffectSizes.of([0.3], [0.04], "SMD"))
    text = plain(result_sentences(one))
    assert text.startswith("1 effect was pooled: ")
    assert "Heterogeneity" not in text
    held(result_sentences(one), [1, one.estimate, *one.ci(), *_p(one)])
    two = RandomEffects().fit(EffectSizes.of([0.3, 0.5], [0.04, 0.03], "SMD"))
    assert "too few effects for a prediction interval" in plain(result_sentences(two))


@pytest.mark.parametrize(
    "model", [MantelHaenszel("OR"), MantelHaenszel("RR"), MantelHaenszel("RD"), Peto()], ids=str
)
def test_mantel_haenszel_and_peto_are_read_back(model: Any) -> None:
    fit = model.fit(EVENTS)
    back = fit.measure.back
    expected = [fit.k, back(fit.estimate), *map(back, fit.ci()), *_p(fit)]
    held(result_sentences(fit), [*expected, fit.i2, fit.q_df, fit.q, fit.q_pvalue])


def test_models_of_counts_and_the_exact_odds_ratio_are_read_back() -> None:
    for model in (CountsModel("CM.EL"), CountsModel("UM.FS", random=False)):
        fit = model.fit(EVENTS)
        expected = [fit.k, math.exp(fit.estimate), *map(math.exp, fit.ci()), *_p(fit)]
        if model.random:
            expected += [fit.tau2, *fit.tau2_ci(), *map(math.exp, fit.pi())]
        held(result_sentences(fit), expected)
    exact = ExactOddsRatio().fit(EVENTS)
    held(result_sentences(exact), [exact.k, exact.odds_ratio, *map(math.exp, exact.ci()), exact.pvalue])
    none = ExactOddsRatio().fit(EventCounts.of([0, 0], [10, 10], [3, 4], [10, 10]))
    assert "odds ratio 0.00 (exact 95% CI 0.00 to " in plain(result_sentences(none))
    all_ = ExactOddsRatio().fit(EventCounts.of([3, 4], [10, 10], [0, 0], [10, 10]))
    assert "odds ratio infinity (exact" in plain(result_sentences(all_))


@pytest.mark.parametrize("tau2", ["separate", "common"])
def test_subgroups_are_read_back(tau2: Any) -> None:
    groups = ["low" if x < 30 else "high" for x in X]
    fit = subgroups(RandomEffects(), BCG, groups, tau2=tau2)
    expected: list[float] = []
    for group in fit.groups.values():
        back = group.effects.measure.back
        expected += [back(group.estimate), *map(back, group.ci()), group.k]
    held(result_sentences(fit), [*expected, fit.df_between, fit.q_between, fit.pvalue])


def _terms(frame: pd.DataFrame) -> list[float]:
    out: list[float] = []
    for _, row in frame.iterrows():
        out += [row["estimate"], row["ci_low"], row["ci_high"]]
        out += [] if math.isinf(row["df"]) else [row["df"]]
        out += [row["statistic"], row["pvalue"]]
    return out


def _omnibus(test: Any) -> list[float]:
    dfs = [test.df1] if math.isinf(test.df2) else [test.df1, test.df2]
    return [*dfs, test.statistic, test.pvalue]


@pytest.mark.parametrize("ci", ["Wald", "HKSJ", "auto"])
def test_regression_is_read_back(ci: Any) -> None:
    fit = MetaRegression("x", ci=ci).fit(BCG)
    expected = [fit.k, *_terms(fit.to_frame()), *_omnibus(fit.omnibus), fit.tau2, fit.r2, fit.k - fit.p]
    held(result_sentences(fit), [*expected, fit.qe, fit.qe_pvalue])


@pytest.mark.parametrize("rho", [None, 0.6])
@pytest.mark.parametrize("wald", [False, True])
@pytest.mark.parametrize("es", [BCG, SMD], ids=["RR", "SMD"])
def test_multilevel_with_cr2_is_read_back(rho: float | None, wald: bool, es: EffectSizes) -> None:
    fit = Multilevel(within_rho=rho, robust=not wald).fit(es)
    back = es.measure.back
    expected = [fit.k, fit.clusters, back(fit.estimate), *map(back, fit.ci())]
    expected += [] if math.isinf(fit.df) else [fit.df]
    expected += [*_p(fit), fit.sigma2_between, fit.sigma2_within, fit.i2, *map(back, fit.pi())]
    expected += [4, fit.df] if fit.df < 4 else []
    held(result_sentences(fit), expected)


def test_multilevel_with_moderators_is_read_back() -> None:
    with pytest.warns(DataWarning, match="Satterthwaite"):
        fit = Multilevel(formula="x").fit(BCG)
    expected = [fit.k, fit.clusters, *_terms(fit.coefficients.frame()), *_omnibus(fit.omnibus)]
    expected += [fit.sigma2_between, fit.sigma2_within, fit.i2]
    low = [d for d in fit.coefficients.df if d < 4]
    held(result_sentences(fit), [*expected, *([4, min(low)] if low else [])])


def test_robust_and_permutation_are_read_back() -> None:
    fit = robust(RandomEffects().fit(BCG))
    held(result_sentences(fit), [len(Y), fit.clusters, *_terms(fit.to_frame())])
    permuted = permutation_test(RandomEffects(), BCG)
    held(
        result_sentences(permuted),
        [permuted.permutations, float(permuted.statistic[0]), float(permuted.pvalues[0])],
    )


@pytest.mark.parametrize("es", [BCG, SMD], ids=["RR", "SMD"])
def test_bayesian_answers_are_read_back(es: EffectSizes) -> None:
    fit = BayesRandomEffects().fit(es)
    back = es.measure.back
    tau = fit.tau
    expected = [fit.k, back(fit.estimate), *map(back, fit.ci()), tau.median, *tau.ci(), *map(back, fit.pi())]
    held(result_sentences(fit), expected)


def test_averaged_and_regressed_bayesian_answers_are_read_back() -> None:
    fit = BayesModelAverage().fit(SMD)
    text = plain(result_sentences(fit))
    chances = re.findall(r"(?:above |below )?[\d.]+%(?! credible)", text)
    for chance, part in zip(chances, ("effect", "heterogeneity"), strict=True):
        number = float(chance.strip("%").split()[-1])
        value = 100 * fit.probability(part)  # type: ignore[arg-type]
        assert (
            value > number
            if "above" in chance
            else value < number
            if "below" in chance
            else (abs(value - number) <= 0.05)
        )
    printed = read(text.split("Averaged")[1])
    mu = fit.mu("averaged")
    assert all(same(n, v) for n, v in zip(printed, [mu.median, *mu.ci()], strict=True))
    reg = BayesMetaRegression("x").fit(SMD)
    frame = reg.coef_at(0.95)
    text = plain(result_sentences(reg))
    for name, row in frame.iterrows():
        found = re.search(rf"{name} (\S+) \((\S+) to (\S+), positive", text)
        assert found is not None, (name, text)
        assert all(same(n, row[c]) for n, c in zip(found.groups(), ("median", "low", "high"), strict=True))


def _mean(frame: pd.DataFrame, at: int, es: EffectSizes) -> list[float]:
    """Numbers of a mean told on the scale people read, from its row of a table."""
    row, back = frame.iloc[at], es.measure.back
    return [*(back(float(row[c])) for c in ("estimate", "ci_low", "ci_high")), *_p(row)]


def _two_outcomes(measure: str) -> tuple[EffectSizes, np.ndarray]:
    """Five trials of two outcomes (Berkey et al. 1998), with the year of each."""
    y = [0.47, -0.32, 0.20, -0.60, 0.40, -0.12, 0.26, -0.31, 0.56, -0.39]
    blocks = ((75, 30, 77), (57, 9, 8), (21, 7, 14), (29, 9, 15), (148, 72, 304))
    V = np.zeros((10, 10))
    for i, (a, b, c) in enumerate(blocks):
        V[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = np.array([[a, b], [b, c]]) * 1e-4
    moderators = {"outcome": ["PD", "AL"] * 5, "year": [9, 9, 2, 2, 3, 3, 7, 7, 8, 8]}
    return EffectSizes.of(y, np.diag(V), measure, cluster=list("1122334455"), moderators=moderators), V


@pytest.mark.parametrize("structure", ["UN", "CS", "AR", "DIAG", "ID"])
@pytest.mark.parametrize("measure", ["MD", "RR"])
def test_several_outcomes_are_read_back(structure: Any, measure: str) -> None:
    es, V = _two_outcomes(measure)
    fit = Multivariate(structure=structure).fit(es, covariance=V)
    expected: list[float] = [fit.k, 2, fit.clusters]
    for at in range(2):
        expected += _mean(fit.to_frame(), at, es)
    expected += _omnibus(fit.omnibus)
    expected += list(fit.tau2) if structure in ("UN", "DIAG") else [fit.tau2["AL"]]
    expected += [] if structure in ("DIAG", "ID") else [fit.rho.loc["AL", "PD"]]
    held(result_sentences(fit), [*expected, fit.q_df, fit.q, fit.q_pvalue])
    assert plain(result_sentences(fit)).index("AL: ") < plain(result_sentences(fit)).index("PD: ")


@pytest.mark.parametrize(
    ("formula", "tested"), [("0 + C(outcome) + year", "coefficients"), ("year", "moderators")]
)
def test_several_outcomes_with_moderators_are_read_back(formula: str, tested: str) -> None:
    es, V = _two_outcomes("MD")
    fit = Multivariate(formula=formula).fit(es, covariance=V)
    expected = [fit.k, 2, fit.clusters, *_terms(fit.to_frame()), *_omnibus(fit.omnibus), *fit.tau2]
    said = result_sentences(fit)
    held(said, [*expected, fit.rho.loc["AL", "PD"], fit.q_df, fit.q, fit.q_pvalue])
    assert f"Test of the {tested}: Q(" in plain(said)


def test_no_correlation_is_told_beside_a_variance_of_zero() -> None:
    es, V = _two_outcomes("MD")
    same = EffectSizes.of(
        [0.3, -0.32, 0.3, -0.60, 0.3, -0.12, 0.3, -0.31, 0.3, -0.39],
        es.vi,
        "MD",
        cluster=es.cluster,
        moderators=es.moderators,
    )
    fit = Multivariate(structure="UN").fit(same, covariance=np.diag(np.diag(V)))
    text = plain(result_sentences(fit))
    assert fit.tau2["PD"] < 1e-12
    assert "correlation" not in text
    assert "0 for PD" in text


CROSSED = EffectSizes.of(
    [0.31, 0.52, 0.20, 0.75, 0.90, 0.12, 0.28, 0.05, 0.44, 0.61],
    [0.02] * 10,
    "OR",
    moderators={"trial": list("aaabbcccdd"), "scale": list("xyzxyxyzxy"), "dose": list(range(10))},
)


@pytest.mark.parametrize("rows", [False, True])
def test_crossed_effects_are_read_back(rows: bool) -> None:
    fit = Crossed(("trial", "scale"), rows=rows).fit(CROSSED)
    expected = [fit.k, 4, 3, *_mean(fit.coefficients.frame(), 0, CROSSED), *fit.sigma2]
    held(result_sentences(fit), [*expected, fit.k - 1, fit.q, fit.q_pvalue])
    fit = Crossed(("trial", "scale"), rows=rows, formula="dose").fit(CROSSED)
    expected = [fit.k, 4, 3, *_terms(fit.coefficients.frame()), *_omnibus(fit.omnibus), *fit.sigma2]
    held(result_sentences(fit), [*expected, fit.k - 2, fit.q, fit.q_pvalue])


@pytest.mark.parametrize("es", [BCG, SMD], ids=["RR", "SMD"])
@pytest.mark.parametrize(("scale", "formula"), [("x", "1"), ("1", "x"), ("x", "x")])
def test_location_and_scale_are_read_back(es: EffectSizes, scale: str, formula: str) -> None:
    fit = LocationScale(scale, formula).fit(es)
    mean = fit.coefficients.frame()
    expected: list[float] = [fit.k]
    expected += _mean(mean, 0, es) if formula == "1" else [*_terms(mean), *_omnibus(fit.omnibus)]
    expected += _terms(fit.scale_coefficients.frame())
    if scale == "1":
        expected += [fit.tau2[0]]
    else:
        expected += [*_omnibus(fit.scale_omnibus), fit.tau2.min(), fit.tau2.max()]
    held(result_sentences(fit), expected)


@pytest.mark.parametrize("draws", ["auto", 50])
def test_the_wild_bootstrap_is_read_back(draws: Any) -> None:
    test = wild_bootstrap(MetaRegression("x").fit(BCG), draws=draws)
    said = result_sentences(test)
    held(said, [test.statistic, test.pvalue, test.draws, test.clusters])
    assert test.exact == ("over all" in plain(said))
    assert test.exact != ("over random" in plain(said))


def test_the_average_over_models_of_bias_is_read_back() -> None:
    fit = RobustBayesAverage(alternative="less").fit(SMD)
    text = plain(result_sentences(fit))
    head, _, tail = text.partition(" (standard errors")
    chances = re.findall(r"(above |below )?([\d.]+)%", head)
    parts: tuple[Any, ...] = ("effect", "heterogeneity", "bias")
    assert len(chances) == 3
    for (side, number), part in zip(chances, parts, strict=True):
        value = 100 * fit.probability(part)
        if side:
            assert (value > float(number)) == (side == "above ")
        else:
            assert abs(value - float(number)) <= 0.05
    error = 100 * max(fit.probability_error(part) for part in parts)
    mu, tau = fit.mu(), fit.tau()
    expected = [error, mu.median, *mu.ci(), tau.median, *tau.ci()]
    for number, value in zip(read(tail), expected, strict=True):
        assert same(number, value), (number, value, tail)
    assert text.startswith(f"{len(Y)} effects. Probability of an effect ")


# PyTensor warns at import when there is no BLAS to link, ArviZ of its own next version
@pytest.mark.extra
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["normal", "t", "three levels", "binomial", "Poisson"])
def test_sampled_answers_are_read_back(kind: str) -> None:
    pytest.importorskip("pymc", reason="PyMC comes with requirements/all.txt")
    how = Sampling(draws=600, tune=600, chains=4, cores=1, progress=False, sampler="pymc")
    prior = Normal(0, 2)
    fits: dict[str, Callable[[], SampledResult]] = {
        "normal": lambda: SampledRandomEffects(prior, sampling=how).fit(SMD, seed=1),
        "t": lambda: SampledRandomEffects(prior, HalfNormal(1), effects="t", sampling=how).fit(BCG, seed=1),
        "three levels": lambda: SampledThreeLevel(prior, sampling=how).fit(SMD, seed=1),
        "binomial": lambda: SampledBinomial(sampling=how).fit(EVENTS, seed=1),
        "Poisson": lambda: SampledPoisson(sampling=how).fit(RATES, seed=1),
    }
    fit = fits[kind]()
    back = {"t": math.exp, "binomial": math.exp, "Poisson": math.exp}.get(kind, float)
    label = {"t": "risk ratio", "binomial": "odds ratio", "Poisson": "incidence rate ratio"}
    k = {"binomial": 4, "Poisson": 4}.get(kind, len(Y))
    expected = [k, back(fit.mu.median), *map(back, fit.mu.ci()), fit.tau.median, *fit.tau.ci()]
    expected += [fit.tau_within.median, *fit.tau_within.ci()] if kind == "three levels" else []
    expected += list(map(back, fit.new_study.ci()))
    checks = fit.diagnostics
    expected += [checks["r_hat"].max(), min(checks["ess_bulk"].min(), checks["ess_tail"].min())]
    said = result_sentences(fit)
    held(said, expected)
    assert f": {label.get(kind, 'standardised mean difference')}, posterior median " in plain(said)
    assert ("scale of the t distribution" in plain(said)) == (kind == "t")
    methods = [p.key for p in method_sentences(fit) if isinstance(p, Cite)]
    assert methods[-2:] == ["method-hoffman-2014", "method-vehtari-2021"]
    assert ("method-smith-1995" in methods) == (kind == "binomial")


def test_an_unknown_result_and_a_nan_are_refused() -> None:
    with pytest.raises(ModelError, match="no sentences are known for a dict"):
        result_sentences({})
    with pytest.raises(ModelError, match="NaN for estimate"):
        Numbers().two(math.nan, "estimate")
    assert Numbers().two(math.inf).text == "infinity"


MODELS: list[Any] = [
    *(RandomEffects(tau2=t).fit(BCG) for t in ("DL", "SJ", "ML", "REML", "EB", "PM")),  # type: ignore[arg-type]
    RandomEffects(ci="HKSJ-floor").fit(BCG),
    CommonEffect().fit(BCG),
    MantelHaenszel("OR").fit(EVENTS),
    MantelHaenszel("RR").fit(EVENTS),
    Peto().fit(EVENTS),
    Multilevel(within_rho=0.6).fit(BCG),
    Multilevel().fit(BCG),
    robust(RandomEffects().fit(BCG)),
    BayesRandomEffects().fit(SMD),
    RobustBayesAverage(alternative="less").fit(SMD),
    LocationScale("x").fit(BCG),
    Crossed(("trial", "scale")).fit(CROSSED),
    Multivariate(structure="ID").fit(_two_outcomes("MD")[0]),
    wild_bootstrap(MetaRegression("x").fit(BCG)),
]


@pytest.mark.parametrize("result", MODELS, ids=lambda r: type(r).__name__)
def test_methods_texts_keep_their_words_and_cite_what_they_name(result: Any) -> None:
    said = method_sentences(result)
    labels = {r.key: r.label for r in method_references()}
    back = "".join(labels[p.key] if isinstance(p, Cite) else p.text for p in said)
    letters = re.compile(r"[^a-zà-ž0-9]|\bet al\b")
    assert letters.sub("", back.lower()) == letters.sub("", result.methods.lower())
    years = re.findall(r"[A-Z]\w+ \(?(?:19|20)\d\d", "".join(p.text for p in said if isinstance(p, Span)))
    assert years == [], years
    plain_models = isinstance(result, type(CommonEffect().fit(BCG))) and result.tau2_method == "none"
    assert plain_models or any(isinstance(p, Cite) for p in said)


# ---- whole analyses ---------------------------------------------------------------------------------------


def _said(run: AnalysisRun, locked: Locked) -> list[Paragraph]:
    section = prose_section(run, locked)
    return [b for b in blocks_of((section,)) if isinstance(b, Paragraph)]


@pytest.fixture(scope="module")
def everything(records: Studies) -> list[tuple[AnalysisRun, Locked]]:
    runs = [run_analysis(item.analysis, records) for item in read_analyses([data_folder("analyses")])]
    return [(run, Locked.of(run)) for run in runs]


def test_every_number_of_every_analysis_is_the_locks(everything: list[tuple[AnalysisRun, Locked]]) -> None:
    assert len(everything) >= 39
    for run, locked in everything:
        numbers = [p for b in _said(run, locked) for p in b.spans if isinstance(p, Number)]
        assert len(numbers) > 15
        for number in numbers:
            if number.at:
                name, _, path = number.at.partition("/")
                assert name == run.analysis.name
                assert number.value == pytest.approx(number_at(locked.results, path), rel=1e-11)
            assert number.value is not None
            text = number.text.removeprefix("above ").removeprefix("below ")
            if "%" in text and "." in text:
                continue  # a probability, which bayes_words tests
            value = number.value
            assert value < 0.0005 if text == "<0.001" else same(text.rstrip("%"), value), number


def test_no_number_of_the_results_stands_outside_of_what_was_computed(
    everything: list[tuple[AnalysisRun, Locked]],
) -> None:
    """Digits in plain spans are only levels, names of reviews, what reviews printed, priors, and sections."""
    for run, locked in everything:
        results = prose_section(run, locked).sections[1]
        for block in results.blocks:
            assert isinstance(block, Paragraph)
            for part in block.spans:
                if not isinstance(part, Span):
                    continue
                text = part.text
                for known in (
                    "95%",
                    *(b.label for b in run.bayes),
                    *(g for g in (run.subgroups.groups if run.subgroups else ())),
                    run.analysis.question.outcome,
                    *(p.published.label for p in run.published),
                    *(p.published.review for p in run.published),
                    *(p.published.estimate or "" for p in run.published),
                    *(x for p in run.published for x in (p.published.ci or ())),
                ):
                    if known:
                        text = text.replace(known, "")
                assert not re.search(r"\d", text), (run.analysis.name, part.text)


def test_the_text_of_every_analysis_reads_well(everything: list[tuple[AnalysisRun, Locked]]) -> None:
    for run, locked in everything:
        text = "\n".join(plain(b.spans) for b in _said(run, locked))
        assert "nan" not in re.findall(r"[a-z]+", text.lower())
        assert not re.search(r"\b1 (trials|effects|people|studies)\b", text), text
        assert "None" not in text
        assert not re.search(r"-0\.00\b|\.\.(?!\.)| ,|  ", text), text
        word = "lower" if run.result.estimate < 0 else "higher"
        good = "better" if word == run.analysis.better else "worse"
        assert f"points to {word} ({good}) values" in text


def test_hostile_text_passes_through_as_data(runs: dict[str, AnalysisRun]) -> None:
    evil = "<script>alert(1)</script> \\input{x} {{7*7}}"
    run = runs["cardiac-anxiety"]
    question = run.analysis.question.model_copy(update={"outcome": evil, "population": evil})
    from dataclasses import replace

    changed = replace(run, analysis=run.analysis.model_copy(update={"question": question}))
    text = "\n".join(plain(b.spans) for b in _said(changed, Locked.of(changed)))
    assert text.count(evil) >= 2


def test_final_and_change_scores_under_one_smd_are_owned_up_to(runs: dict[str, AnalysisRun]) -> None:
    run = runs["depression"]
    assert run.effects.columns is not None
    kinds = list(run.effects.columns["value"])
    text = plain(prose_section(run, Locked.of(run)).sections[0].blocks[1].spans)  # type: ignore[union-attr]
    assert f"Final values ({kinds.count('final')}) and changes ({kinds.count('change')})" in text


def test_weights_are_not_needed() -> None:
    """The texts are pure: the same result twice gives the same text, and nothing is changed."""
    fit = RandomEffects().fit(BCG)
    before = np.array(fit.effects.yi)
    assert result_sentences(fit) == result_sentences(fit)
    assert np.array_equal(before, fit.effects.yi)
