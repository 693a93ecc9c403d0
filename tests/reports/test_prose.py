"""The prose is read back: every number in a sentence is parsed and held against the result it is about."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
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
from mtmeta.models.bayes_regression import BayesMetaRegression
from mtmeta.models.dependent import Multilevel
from mtmeta.models.events import EventCounts, MantelHaenszel, Peto
from mtmeta.models.exact import ExactOddsRatio
from mtmeta.models.glmm import CountsModel
from mtmeta.models.permutation import permutation_test
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.models.regression import MetaRegression
from mtmeta.models.robust import robust
from mtmeta.models.subgroups import subgroups
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
