"""The multiverse of an analysis: every point is the analysis it says it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtmeta.audit.analysis import Analysis
from mtmeta.audit.files import analysis_text, read_analyses
from mtmeta.audit.multiverse import MultiverseRun, point_analysis, points_of, run_multiverse
from mtmeta.audit.run import run_analysis
from mtmeta.errors import AnalysisError, RecordError, UsageError
from mtmeta.figures.layout.base import differences
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.multiverse import joint_test, multiverse_layout, multiverse_summary, multiverse_words

FIGURES = Path(__file__).parents[2] / "figures"


@pytest.fixture(scope="module")
def studies() -> Studies:
    return read_studies(data_folder("studies"))


def shipped(name: str) -> Analysis:
    return read_analyses([data_folder("analyses") / f"{name}.yaml"])[0].analysis


@pytest.fixture(scope="module")
def cardiac(studies: Studies) -> MultiverseRun:
    return run_multiverse(shipped("cardiac-anxiety"), studies)


def written(tmp_path: Path, text: str, name: str = "icu-anxiety") -> Analysis:
    """Give a shipped analysis another `multiverse`."""
    own = (data_folder("analyses") / f"{name}.yaml").read_text(encoding="utf-8")
    path = tmp_path / f"{name}.yaml"
    path.write_text(own + text, encoding="utf-8")
    return read_analyses([path])[0].analysis


def test_the_product_without_what_excludes_itself(cardiac: MultiverseRun) -> None:
    declared = cardiac.analysis.multiverse
    assert declared is not None
    sizes = [len(c.options) for c in declared.choices]
    product = 1
    for size in sizes:
        product *= size
    assert len(cardiac.points) + cardiac.impossible == product
    assert len({tuple(p.choices.values()) for p in cardiac.points}) == len(cardiac.points)
    for item in declared.leave_out:
        assert not any(item.when.items() <= p.choices.items() for p in cardiac.points)
    assert [p.number for p in cardiac.points] == list(range(1, len(cardiac.points) + 1))
    assert all(v == c.main for c, v in zip(declared.choices, cardiac.points[0].choices.values(), strict=True))


@pytest.mark.parametrize("at", [0, 100, 350, 639])
def test_a_point_opened_as_an_analysis_gives_its_numbers(
    cardiac: MultiverseRun, studies: Studies, tmp_path: Path, at: int
) -> None:
    """Through the file: written whole, read again, run as any other analysis."""
    classical = [p.number for p in cardiac.points if all(a is None or a.prior is None for a in p.taken)]
    number = classical[at]
    point = point_analysis(cardiac.analysis, number)
    path = tmp_path / f"{point.name}.yaml"
    path.write_text(analysis_text(point), encoding="utf-8")
    run = run_analysis(read_analyses([path])[0].analysis, studies)
    row = cardiac.main.to_frame().set_index("number").loc[number]
    low, high = run.result.ci(run.analysis.model.level)
    assert run.result.estimate == pytest.approx(row["estimate"], rel=1e-9)
    assert (low, high) == pytest.approx((row["ci_low"], row["ci_high"]), rel=1e-9)
    assert run.effects.k == row["k"]


def test_point_1_is_the_analysis_itself(cardiac: MultiverseRun, studies: Studies) -> None:
    own = run_analysis(cardiac.analysis, studies)
    assert cardiac.main.to_frame()["estimate"].iloc[0] == pytest.approx(own.result.estimate, rel=1e-12)
    assert cardiac.points[0].kind == "equivalent"


def test_kinds_are_those_of_the_least_alternative(cardiac: MultiverseRun) -> None:
    declared = cardiac.analysis.multiverse
    assert declared is not None
    kinds = {(c.choice, a.option): a.kind for c in declared.choices for a in c.alternatives}
    order = ("equivalent", "uncertain", "non-equivalent")
    for point in cardiac.points:
        found = [kinds.get(pair, "equivalent") for pair in point.choices.items()]
        assert point.kind == max(found, key=order.index)


def test_one_point_is_the_review_itself(cardiac: MultiverseRun) -> None:
    """DL, Wald, RevMan's SE give the printed -0.70 [-1.17, -0.22] of CD006577.pub3."""
    wanted = {
        "trials": "the review's forest",
        "scores": "final and change",
        "allocation": "any",
        "the row of g -2.66": "kept",
        "variance of g": "RevMan",
        "estimator": "DL",
        "interval": "Wald",
    }
    (at,) = [i for i, p in enumerate(cardiac.points) if dict(p.choices) == wanted]
    row = cardiac.main.to_frame().iloc[at]
    assert [round(row[x], 2) for x in ("estimate", "ci_low", "ci_high")] == [-0.70, -1.17, -0.22]
    assert row["k"] == 10


def test_a_prior_in_place_of_a_model(cardiac: MultiverseRun, studies: Studies) -> None:
    """The Bayesian line of the analysis, which names the same priors, has the same numbers."""
    run = run_analysis(cardiac.analysis, studies)
    frame = cardiac.main.to_frame().query("`variance of g` == 'LS' and interval == 'HKSJ'")
    for option, line in zip(("half-normal(0.5)", "empirical prior"), run.bayes, strict=True):
        row = frame[frame["estimator"] == option].iloc[0]
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(line.ci), rel=1e-12)
        assert row["estimate"] == pytest.approx(line.estimate, rel=1e-12)
        assert row["pvalue"] != row["pvalue"]  # no test, no p-value
        opened = point_analysis(cardiac.analysis, int(row["number"]))
        assert [p.label for p in opened.bayes] == [line.label]


def test_include_takes_an_exclusion_back(tmp_path: Path, studies: Studies) -> None:
    text = (data_folder("analyses") / "depression.yaml").read_text(encoding="utf-8")
    own = text[: text.index("multiverse:")]
    (tmp_path / "depression.yaml").write_text(
        own + CHOICE.format("hermele", "{option: counted, kind: uncertain, why: x, include: [hermele-2005]}"),
        encoding="utf-8",
    )
    run = run_multiverse(read_analyses([tmp_path / "depression.yaml"])[0].analysis, studies)
    tables = [s.effects.study for s in run.main.answers.specifications]
    assert set(tables[1]) - set(tables[0]) == {"hermele-2005"}
    wrong = CHOICE.format("x", "{option: counted, kind: uncertain, why: x, include: [bolwerk-1990]}")
    (tmp_path / "depression.yaml").write_text(own + wrong, encoding="utf-8")
    with pytest.raises(AnalysisError, match="bolwerk-1990, which the analysis does not exclude"):
        run_multiverse(read_analyses([tmp_path / "depression.yaml"])[0].analysis, studies)


def test_words_are_computed(cardiac: MultiverseRun) -> None:
    words = multiverse_words(cardiac)
    frame = cardiac.main.to_frame()
    assert words[0].startswith("768 analyses from the choices trials (2)")
    assert f"from {frame['estimate'].min():.2f} to {frame['estimate'].max():.2f}" in words[1]
    below = (frame["ci_high"] < 0).mean()
    assert any(w.startswith("Of all analyses") and f"{below:.0%} have a 95% interval" in w for w in words)
    equivalent = frame[frame["kind"] == "equivalent"]
    assert any(w.startswith(f"Of the {len(equivalent)} made of equivalent") for w in words)


def test_summary_is_json_with_every_point(cardiac: MultiverseRun) -> None:
    test = joint_test(cardiac, flips=20, seed=1)
    told = json.loads(json.dumps(multiverse_summary(cardiac, test), allow_nan=False))
    (curve,) = told["curves"]
    assert [p["number"] for p in curve["points"]] == [p.number for p in cardiac.points]
    assert curve["points"][0]["estimate"] == pytest.approx(cardiac.main.to_frame()["estimate"].iloc[0])
    assert told["test"]["flips"] == 21
    assert told["words"] == list(multiverse_words(cardiac, test))


@pytest.mark.parametrize("name", ["cardiac-anxiety", "depression"])
def test_the_committed_curve_follows_from_the_records(studies: Studies, name: str) -> None:
    if not FIGURES.is_dir():
        pytest.skip("the figures are part of the repository, not of the package")
    layout = multiverse_layout(run_multiverse(shipped(name), studies))
    old = json.loads((FIGURES / f"{name}-multiverse.json").read_text(encoding="utf-8"))
    assert differences(old, json.loads(layout.to_json())) == []


CHOICE = "multiverse:\n  choices:\n    - choice: {}\n      main: own\n      alternatives:\n        - {}\n"


@pytest.mark.parametrize(
    ("choice", "alternative", "words"),
    [
        ("rows", "{option: other, kind: uncertain, why: x}", "changes nothing"),
        ("rows", "{option: own, kind: uncertain, why: x, model: {tau2: DL}}", "stands twice"),
        ("rows", "{option: other, kind: unsure, why: x, model: {tau2: DL}}", "non-equivalent"),
        ("rows", "{option: other, kind: uncertain, why: x, model: {level: 0.9}}", "level"),
        ("rows", "{option: other, kind: uncertain, why: x, model: {tau: DL}}", "tau"),
        ("estimate", "{option: other, kind: uncertain, why: x, model: {tau2: DL}}", "column of the answers"),
    ],
)
def test_what_cannot_be_an_alternative(tmp_path: Path, choice: str, alternative: str, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        written(tmp_path, CHOICE.format(choice, alternative))


def test_two_choices_cannot_change_one_field(tmp_path: Path) -> None:
    one = "{option: DL, kind: equivalent, why: x, model: {tau2: DL}}"
    second = "    - choice: again\n      main: own\n      alternatives: [" + one + "]\n"
    with pytest.raises(RecordError, match=r"both change model\.tau2"):
        written(tmp_path, CHOICE.format("estimator", one) + second)


def test_leave_out_names_what_is_there(tmp_path: Path) -> None:
    one = CHOICE.format("estimator", "{option: DL, kind: equivalent, why: x, model: {tau2: DL}}")
    with pytest.raises(RecordError, match="no option 'ML'"):
        written(tmp_path, one + "  leave_out: [{when: {estimator: ML}, why: x}]\n")
    with pytest.raises(RecordError, match="no choice 'est'"):
        written(tmp_path, one + "  leave_out: [{when: {est: DL}, why: x}]\n")
    itself = written(tmp_path, one + "  leave_out: [{when: {estimator: own}, why: x}]\n")
    with pytest.raises(AnalysisError, match="rules out the analysis itself"):
        points_of(itself)


def test_a_point_without_an_answer_is_told(tmp_path: Path, studies: Studies) -> None:
    nothing = "{option: other, kind: uncertain, why: x, select: {constructs: [pain]}}"
    run = run_multiverse(written(tmp_path, CHOICE.format("outcome", nothing)), studies)
    (gone,) = run.not_computed
    assert gone.number == 2
    assert "no row answers the question" in gone.reason
    assert len(run.main.points) == 1
    assert "1 combination has no answer" in multiverse_words(run)[-1]


def test_measures_get_a_curve_each(tmp_path: Path, studies: Studies) -> None:
    other = "{option: mean difference, kind: uncertain, why: x, measure: MD}"
    run = run_multiverse(written(tmp_path, CHOICE.format("scale", other), "dementia-depression"), studies)
    assert list(run.curves) == ["SMD", "MD"]
    assert [p.number for p in run.curves["MD"].points] == [2]


def test_an_analysis_without_alternatives_says_so(studies: Studies) -> None:
    with pytest.raises(AnalysisError, match="declares no alternatives"):
        run_multiverse(shipped("icu-anxiety"), studies)
    with pytest.raises(UsageError, match="no point 769"):
        point_analysis(shipped("cardiac-anxiety"), 769)
