"""The table of empirical priors: printed medians and intervals, the chooser, our own fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.empirical_priors import choose_priors, empirical_prior, empirical_priors_table
from mtmeta.models.priors import InverseGamma, LogNormal, LogStudentT, Normal, StudentT

OURS = Path(__file__).resolve().parents[3] / "docs" / "bayes_empirical_prior.json"
ANY_DRUG_FREE = "non-pharmacological (any)"
CONTROL = "non-pharmacological vs control"
GENERAL = "general physical health, adverse events, pain, quality of life or functioning"
SIGNS = "signs or symptoms, infection or onset of new disease"
# tau: median [95%], as the papers' parameters give them
PRINTED = [
    ("rhodes", "mental health", ANY_DRUG_FREE, ("0.146", "0.012", "1.743")),
    ("rhodes", "various subjective outcomes", ANY_DRUG_FREE, ("0.270", "0.012", "5.975")),
    ("rhodes", GENERAL, ANY_DRUG_FREE, ("0.221", "0.012", "4.086")),
    ("rhodes", SIGNS, ANY_DRUG_FREE, ("0.239", "0.012", "4.781")),
    ("rhodes", "any", None, ("0.179", "0.006", "4.997")),
    ("turner", "mental health", CONTROL, ("0.310", "0.058", "1.675")),
    ("turner", "any", None, ("0.278", None, None)),
]


@pytest.mark.parametrize(("source", "setting", "comparison", "printed"), PRINTED)
def test_printed_quantiles(source: str, setting: str, comparison: str | None, printed: tuple) -> None:
    prior = empirical_prior(source, setting, comparison=comparison)
    for p, text in zip((0.5, 0.025, 0.975), printed, strict=True):
        if text is not None:
            # the parameters have two decimals, which moves the upper quantile of a log-t by its last digit
            assert prior.quantile(p) == pytest.approx(float(text), abs=6e-4)


def test_printed_parameters() -> None:
    def topic(name: str) -> tuple:
        return empirical_prior("bartos", name, about="mu"), empirical_prior("bartos", name)

    assert topic("any") == (StudentT(5, 0, 0.43), InverseGamma(1.71, 0.40))
    assert topic("Common Mental Disorders") == (StudentT(5, 0, 0.55), InverseGamma(1.62, 0.45))
    assert topic("Dementia and Cognitive Improvement") == (StudentT(5, 0, 0.45), InverseGamma(1.71, 0.44))
    developmental = topic("Developmental, Psychosocial and Learning Problems")
    assert developmental == (StudentT(5, 0, 0.18), InverseGamma(1.43, 0.12))
    assert topic("Schizophrenia") == (StudentT(4, 0, 0.29), InverseGamma(1.60, 0.27))
    assert topic("Pain, Palliative and Supportive Care") == (StudentT(5, 0, 0.43), InverseGamma(1.69, 0.42))
    assert empirical_prior("turner") == LogNormal(-2.56, 1.74, on="tau2")
    assert empirical_prior("rhodes") == LogStudentT(5, -3.44, 2.59, on="tau2")


def test_the_table_is_whole() -> None:
    table = empirical_priors_table()
    assert table.groupby("set").size().to_dict() == {"bartos": 94, "corpus": 2, "rhodes": 73, "turner": 81}
    assert not table.duplicated(["set", "setting", "comparison", "area", "about"]).any()
    assert set(table["on"]) == {"tau", "tau2"}
    assert (table["scale"] > 0).all()
    for row in table.itertuples():
        prior = empirical_prior(
            row.set, row.setting, comparison=row.comparison, area=row.area, about=row.about
        )
        assert prior.proper
        if row.about == "tau":
            assert 0.04 < prior.quantile(0.5) < 1.2
    # the two scales are not mixed up: log-normal and log-t speak of tau squared, the inverse gamma of tau
    assert set(table[table["family"] == "InverseGamma"]["on"]) == {"tau"}
    assert set(table[table["family"].str.startswith("Log")]["on"]) == {"tau2"}


def test_the_row_that_breaks_its_table_says_so() -> None:
    prior = empirical_prior("rhodes", "mental health", comparison=ANY_DRUG_FREE)
    assert "-2.85" in prior.source


def test_chooser_names_its_choice() -> None:
    choice = choose_priors("SMD", "mental health")
    assert choice.tau == LogStudentT(5, -3.85, 1.93, on="tau2")
    assert choice.mu == Normal(0, 2)
    assert "Rhodes" in choice.why
    assert "Rhodes" in repr(choice)
    fit = BayesRandomEffects(choice.mu, choice.tau).fit(EffectSizes.of([-0.5, -0.7], [0.05, 0.04], "SMD"))
    assert "Rhodes, Turner, Higgins 2015" in fit.methods
    assert choose_priors("OR", "pain").tau == LogNormal(-2.05, 1.71, on="tau2")
    assert choose_priors("SMD", topic="Schizophrenia").mu == StudentT(4, 0, 0.29)
    assert choose_priors("SMD", "pain", comparison="pharmacological vs control").tau == LogStudentT(
        5, -3.16, 2.50, on="tau2"
    )
    assert choose_priors("SMD").tau == empirical_prior("rhodes")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: choose_priors("MD"), "SMD and OR only"),
        (lambda: choose_priors("SMD", "mood"), "outcome='mood'"),
        (lambda: choose_priors("SMD", "mortality"), "no standardised mean differences"),
        (lambda: choose_priors("OR", topic="Heart"), "are for SMD"),
        (lambda: choose_priors("SMD", topic="Music"), "setting='Music'"),
        (lambda: empirical_prior("turner", "pain"), "comparison=None"),
        (lambda: empirical_prior("turner", about="mu"), "have none"),
        (lambda: empirical_prior("davey"), "set='davey'"),
    ],
)
def test_refusals(call: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()


def test_our_own_prior_is_the_committed_fit() -> None:
    report = json.loads(OURS.read_text(encoding="utf-8"))
    best = report["tau"][0]
    assert best["family"] == "Lomax on tau"
    assert all(best["log_likelihood"] >= other["log_likelihood"] for other in report["tau"])
    prior = empirical_prior("corpus")
    assert prior.shape == pytest.approx(best["parameters"]["shape"]["estimate"], abs=5e-4)
    assert prior.scale == pytest.approx(best["parameters"]["scale"]["estimate"], abs=5e-5)
    assert prior.quantile(0.5) == pytest.approx(best["tau_quantiles"]["0.5"]["estimate"], rel=1e-3)
    effect = empirical_prior("corpus", about="mu")
    assert effect.df == pytest.approx(report["mu"]["parameters"]["df"]["estimate"], abs=6e-4)
    assert effect.scale == pytest.approx(report["mu"]["parameters"]["scale"]["estimate"], abs=5e-5)
