"""Analyses with priors: what the file may say, what the run answers, and the sentence about it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from mtmeta.audit.bayes import run_bayes
from mtmeta.audit.files import read_analyses
from mtmeta.audit.priors import Priors, read_prior
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, RecordError, UsageError
from mtmeta.measures import measure_of
from mtmeta.models.priors import Flat, HalfNormal, InverseGamma, LogNormal, LogStudentT, Normal, StudentT
from mtmeta.records.folder import read_studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.bayes_numbers import bayes_numbers
from mtmeta.reports.bayes_words import bayes_sentence
from mtmeta.reports.lock import lock_of_run, lock_text
from mtmeta.reports.plots import forest_of, posterior_of, save_figures, stale_figures
from mtmeta.reports.verify import compare_locks

BAYESIAN = [
    "cardiac-anxiety",
    "depression",
    "icu-anxiety",
    "schizophrenia-gaf",
    "schizophrenia-panss",
    "schizophrenia-sans",
    "schizophrenia-sans-short-term",
    "schizophrenia-sdss",
]


@pytest.fixture(scope="module")
def runs() -> dict[str, AnalysisRun]:
    studies = read_studies(data_folder("studies"))
    files = [data_folder("analyses") / f"{name}.yaml" for name in BAYESIAN]
    return {item.analysis.name: run_analysis(item.analysis, studies) for item in read_analyses(files)}


@pytest.mark.parametrize("name", BAYESIAN)
def test_answers_are_those_of_quadrature_in_the_plane(runs: dict[str, AnalysisRun], name: str) -> None:
    """Half-normal(0.5), N(0, 2): mean of mu and tau by another route, scipy's over tau on closed forms."""
    run = runs[name]
    one = run.bayes[0]
    assert one.label == "half-normal(0.5)"
    y, v = run.effects.yi, run.effects.vi

    def given_tau(t: float) -> tuple[float, float]:
        cov = np.diag(v + t * t) + 4.0  # mu ~ N(0, 2^2) integrated out: a plain multivariate normal
        density = stats.multivariate_normal(np.zeros(y.size), cov).pdf(y) * 2 * stats.norm.pdf(t, 0, 0.5)
        return float(density), float(4.0 * np.linalg.solve(cov, y).sum())

    def whole(power: int, mean: bool) -> float:
        def f(t: float) -> float:
            density, m = given_tau(t)
            return 1e6 * density * t**power * (m if mean else 1.0)

        return float(integrate.quad(f, 0, 6, epsabs=0, epsrel=1e-11, limit=400)[0])

    total = whole(0, False)
    assert one.result.mu.mean == pytest.approx(whole(0, True) / total, rel=1e-8)
    assert one.result.tau.mean == pytest.approx(whole(1, False) / total, rel=1e-8)
    assert one.result.log_marginal == pytest.approx(np.log(total / 1e6), abs=1e-8)


def test_priors_are_named_with_their_sources(runs: dict[str, AnalysisRun]) -> None:
    half, empirical = runs["schizophrenia-panss"].bayes
    assert "tau ~ HalfNormal(0.5) (Röver et al. 2021" in half.words
    assert empirical.label == "empirical (mental health)"
    assert 'LogStudentT(5, -3.85, 1.93, on="tau2") (Rhodes, Turner, Higgins 2015' in empirical.words


def test_two_trials_that_agree_do_not_prove_homogeneity(runs: dict[str, AnalysisRun]) -> None:
    run = runs["schizophrenia-gaf"]
    assert run.result.tau2 == 0.0
    assert all(b.ci.high - b.ci.low > 1.5 * (0.18 + 0.56) for b in run.bayes)


def test_text_of_priors() -> None:
    assert read_prior("half-normal(0.5)") == HalfNormal(0.5)
    assert read_prior("log-normal(-2.34, 1.72) on tau2") == LogNormal(-2.34, 1.72, on="tau2")
    assert read_prior("student-t(5, 0, 0.43)") == StudentT(5, 0, 0.43)
    assert read_prior("flat") == Flat()
    for text, word in {
        "half-normal": "takes sd",
        "half-normal(0.5, 1)": "takes sd",
        "half-normal(-1)": "above 0",
        "gaussian(0, 1)": "no family",
        "__import__('os')": "not a prior",
    }.items():
        with pytest.raises(UsageError, match=word):
            read_prior(text)


def test_priors_of_a_measure() -> None:
    smd, log_or, md = (measure_of(code) for code in ("SMD", "OR", "MD"))
    assert Priors().of(smd) == (Normal(0, 2), HalfNormal(0.5))
    assert Priors(outcome="mental health").of(smd)[1] == LogStudentT(5, -3.85, 1.93, on="tau2")
    assert Priors(outcome="mental health").of(log_or)[1] == LogNormal(-2.34, 1.72, on="tau2")
    assert Priors(topic="Schizophrenia").of(smd) == (StudentT(4, 0, 0.29), InverseGamma(1.60, 0.27))
    own = Priors(tau="half-normal(4)", mu="normal(0, 20)", source="points of the scale")
    assert [p.source for p in own.of(md)] == ["points of the scale"] * 2
    assert own.label == "half-normal(4); normal(0, 20)"
    with pytest.raises(UsageError, match="no default priors"):
        Priors().of(md)
    with pytest.raises(UsageError, match="source"):
        Priors(tau="half-normal(0.3)").of(smd)


FILE = """schema: 1
name: one
title: One
question: {population: p, intervention: i, comparator: c, outcome: o, time: t}
select: {conditions: [cardiac]}
measure: SMD
better: lower
bayes:
  - outcome: pain
  - BAD
"""


@pytest.mark.parametrize(
    ("bad", "where", "message"),
    [
        ("tau: half-normal", "bayes.1.tau", "takes sd"),
        ("tau: half-normal(0.3)", "bayes.1", "say with source"),
        ("{tau: half-normal(0.5), topic: Schizophrenia}", "bayes.1.tau", "give one of outcome, topic"),
        ("topic: Astrology", "bayes.1.topic", "'Schizophrenia'"),
        ("outcome: mortality", "bayes.1", "no standardised mean differences"),
        ("outcome: pain", "bayes.1", "stands twice"),
        ("outcome: mental", "bayes.1.outcome", "mental health"),
        ("taux: half-normal(0.5)", "bayes.1.taux", "tau"),
    ],
)
def test_a_bad_prior_is_told_with_file_and_line(tmp_path: Path, bad: str, where: str, message: str) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(FILE.replace("BAD", bad), encoding="utf-8")
    with pytest.raises(RecordError, match=message) as caught:
        read_analyses([path])
    assert f"{path}:10: {where}: " in str(caught.value)


def test_a_posterior_that_does_not_exist_is_told_with_its_prior() -> None:
    es = EffectSizes.of([0.1], [0.02], "SMD")
    priors = Priors(tau="flat", mu="flat", source="none")
    with pytest.raises(AnalysisError, match="flat; flat"):
        run_bayes((priors,), es, better="lower", level=0.95)


# ---- the lock -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lock(runs: dict[str, AnalysisRun]) -> dict[str, Any]:
    name = "schizophrenia-panss"
    path = data_folder("analyses") / f"{name}.yaml"
    records = read_studies(data_folder("studies"))
    document: dict[str, Any] = json.loads(lock_text(lock_of_run(runs[name], path, records)))
    return document


def test_the_shipped_lock_holds(lock: dict[str, Any]) -> None:
    old = json.loads((data_folder("analyses") / "schizophrenia-panss.lock.json").read_text(encoding="utf-8"))
    assert compare_locks(old, lock).holds
    assert [a["label"] for a in old["results"]["bayes"]] == ["half-normal(0.5)", "empirical (mental health)"]


def test_a_moved_bayesian_number_is_found_and_its_cause_named(lock: dict[str, Any]) -> None:
    old = copy.deepcopy(lock)
    old["results"]["bayes"][0]["tau"] += 1e-6
    old["versions"]["mtmeta"] = "0.0.9"
    verdict = compare_locks(old, lock)
    assert [m.name for m in verdict.moved] == ["Bayes half-normal(0.5): tau"]
    assert verdict.moved[0].causes == {"version": pytest.approx(-1e-6, rel=1e-3)}
    assert verdict.causes == ("version",)


def test_another_prior_under_the_same_name_is_a_convention(lock: dict[str, Any]) -> None:
    old = copy.deepcopy(lock)
    was = run_bayes(
        (Priors(outcome="pain"),),
        EffectSizes.of(
            [r["yi"] for r in lock["results"]["rows"]], [r["vi"] for r in lock["results"]["rows"]], "SMD"
        ),
        better="lower",
        level=0.95,
    )[0]
    old["results"]["bayes"][1] = {**bayes_numbers(was), "label": "empirical (mental health)"}
    verdict = compare_locks(old, lock)
    assert verdict.causes == ("convention",)
    assert {m.name.partition(":")[0] for m in verdict.moved} == {"Bayes empirical (mental health)"}
    assert any(c.startswith("convention: prior of tau in Bayes empirical") for c in verdict.changes)


def test_a_lock_without_bayesian_answers_still_holds(lock: dict[str, Any]) -> None:
    old = copy.deepcopy(lock)
    del old["results"]["bayes"]
    verdict = compare_locks(old, lock)
    assert verdict.holds
    assert "question: Bayes half-normal(0.5) is new" in verdict.changes


# ---- the sentence -------------------------------------------------------------------------


def test_sentences(runs: dict[str, AnalysisRun]) -> None:
    same = bayes_sentence(runs["icu-anxiety"])
    assert same.startswith(
        "Under both priors the interval favours music as the classical one, -1.11 [-1.97, "
    )
    assert "0.70 to 0.73 times as wide" in same
    depends = bayes_sentence(runs["schizophrenia-sans-short-term"])
    assert depends.startswith(
        "The conclusion depends on the prior: the interval shows no clear difference (-0.46 [-0.91, 0.03] "
        "under half-normal(0.5)) and favours music (-0.47 [-0.83, -0.07] under empirical (mental health))"
    )


def test_a_conclusion_that_changes_is_said_first(runs: dict[str, AnalysisRun]) -> None:
    run = runs["schizophrenia-sans-short-term"]
    one = bayes_sentence(replace(run, bayes=run.bayes[1:]))
    assert one.startswith(
        "The conclusion changes: the classical interval, -0.45 [-1.03, 0.12], shows no clear"
    )
    assert "under the prior the interval favours music: -0.47 [-0.83, -0.07]" in one
    assert bayes_sentence(replace(run, bayes=())) == ""


# ---- the figures --------------------------------------------------------------------------


def test_the_forest_shows_both_answers_and_the_posterior_has_its_own_figure(
    runs: dict[str, AnalysisRun], tmp_path: Path
) -> None:
    run = runs["schizophrenia-gaf"]
    names = [row.cells[0].text for row in forest_of(run).rows if row.kind == "pooled"]
    assert names[1:] == ["Bayes (τ ~ half-normal(0.5))", "Bayes (τ² ~ log-t(5, −3.02, 2.27))"]
    grid = posterior_of(run)
    assert grid is not None
    assert [plot.title for plot in grid.plots] == [
        "τ ~ half-normal(0.5)",
        "",
        "τ² ~ log-t(5, −3.02, 2.27)",
        "",
    ]
    assert posterior_of(replace(run, bayes=())) is None
    written = save_figures(run, tmp_path / "gaf", formats=("svg",))
    assert [p.name for p in written] == ["gaf.svg", "gaf.json", "gaf-posterior.svg", "gaf-posterior.json"]
    assert stale_figures(run, tmp_path / "gaf") == []
    assert any("mtmeta figures" in line for line in stale_figures(run, tmp_path / "other"))
    (tmp_path / "gaf-page-2.json").write_text("{}", encoding="utf-8")
    assert [line for line in stale_figures(run, tmp_path / "gaf") if "no longer has" in line]
    (tmp_path / "gaf-page-2.json").unlink()
    assert stale_figures(replace(run, bayes=run.bayes[:1]), tmp_path / "gaf") != []
