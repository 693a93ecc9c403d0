"""Each check of the hunter on the smallest record that shows its fault, and on its honest neighbour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mtmeta.audit.checks.integers import grim, grimmer
from mtmeta.audit.checks.references import doi_year, read_retracted
from mtmeta.audit.checks.totals import contradicted_totals, off_centre_pools
from mtmeta.audit.files import read_analyses
from mtmeta.audit.hunt import hunt
from mtmeta.audit.run import run_analysis
from mtmeta.cli.app import app
from mtmeta.errors import UsageError
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder
from mtmeta.records.schema import Study

Record = dict[str, Any]


def arm(n: int, mean: float, sd: float, **more: Any) -> Record:
    return {"n": n, "mean": mean, "sd": sd, **more}


def means(music: Record, control: Record, **more: Any) -> Record:
    return {"kind": "means", "music": music, "control": control, **more}


def outcome(data: Record, **more: Any) -> Record:
    usual = {
        "id": "anxiety",
        "construct": "anxiety",
        "instrument": "STAI-S",
        "time": "post",
        "value": "final",
    }
    return {**usual, "data": data, "source": {}, **more}


def trial(*outcomes: Record, name: str = "a-2000", **more: Any) -> Study:
    plain = {
        "schema": 1,
        "id": name,
        "label": name,
        "citation": {},
        "conditions": ["cardiac"],
        "design": {},
        "population": {},
        "intervention": {},
        "comparator": {},
        "outcomes": list(outcomes),
        **more,
    }
    return Study.model_validate_json(json.dumps(plain))


def codes(*studies: Study) -> set[str]:
    return {f.code for f in hunt(Studies.of(studies))}


def before(mean: float, sd: float) -> Record:
    return {"mean": mean, "sd": sd}


HONEST = means(arm(30, 38.2, 9.8), arm(30, 42.5, 10.4))


def test_an_honest_row_is_silent() -> None:
    assert codes(trial(outcome(HONEST))) == set()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        # SDs 9.8 and 10.4 over √30, with the baseline's SDs beside them
        (
            means(
                arm(30, 38.2, 1.8, baseline=before(44.1, 10.1)),
                arm(30, 42.5, 1.9, baseline=before(44.8, 9.7)),
            ),
            "se-as-sd",
        ),
        (means(arm(30, 38.2, 1.8), arm(30, 42.5, 10.4)), "se-as-sd"),
        (
            means(
                {"n": 30, "mean": 38.2, "se": 9.8, "baseline": before(44.1, 10.1)},
                {"n": 30, "mean": 42.5, "se": 10.4, "baseline": before(44.8, 9.7)},
            ),
            "sd-as-se",
        ),
        (
            means(
                arm(30, 44.1, 10.1, baseline=before(44.1, 10.1)),
                arm(30, 42.5, 9.9, baseline=before(44.8, 9.7)),
            ),
            "baseline-as-outcome",
        ),
        (
            means(
                arm(30, -6.1, 8.1, baseline=before(44.1, 10.1)),
                arm(30, -1.2, 7.9, baseline=before(44.8, 9.7)),
            ),
            "change-as-final",
        ),
        (means(arm(30, 38.2, 9.8), arm(30, 42.5, 10.4), p="<0.0001"), "p-contradicts-values"),
        (means(arm(28, 35.19, 9.8), arm(30, 42.5, 10.4)), "grim"),
    ],
)
def test_a_faulty_row_is_named(data: Record, code: str) -> None:
    assert code in codes(trial(outcome(data)))


@pytest.mark.parametrize(
    ("told", "code"),
    [
        # t = 4.3 / (sqrt((29 * 9.8² + 29 * 10.4²) / 58) * sqrt(2 / 30)) = 1.648 by hand; F = t²
        ({"t": 1.65}, None),
        ({"t": -1.65}, None),
        ({"f": 2.72}, None),
        ({"t": 4.9}, "p-contradicts-values"),
        ({"f": 24.0}, "p-contradicts-values"),
        # the same spreads as standard errors give t = 1.648 / √30 = 0.301
        ({"t": 0.3}, "se-as-sd"),
        ({"f": 0.09}, "se-as-sd"),
    ],
)
def test_a_printed_t_or_f_is_held_against_the_values(told: Record, code: str | None) -> None:
    row = outcome(means(arm(30, 38.2, 9.8), arm(30, 42.5, 10.4), **told))
    assert codes(trial(row)) == (set() if code is None else {code})


def test_an_f_of_three_arms() -> None:
    """F(2, 57) by hand: between 20·(2² + 0² + 2²)/2 = 80, within 16: F 5."""
    arms = [
        {"name": n, "role": role, "n": 20, "mean": m, "sd": 4.0}
        for n, role, m in (("a", "music", 38.0), ("b", "music", 40.0), ("c", "control", 42.0))
    ]
    data = {"kind": "arms", "form": "means", "arms": arms, "rule": "combine"}
    assert codes(trial(outcome({**data, "f": 5.0}))) == set()
    assert codes(trial(outcome({**data, "f": 15.0}))) == {"p-contradicts-values"}


def effect(estimate: float, **more: Any) -> Record:
    usual = {"kind": "effect", "measure": "SMD", "n_music": 50, "n_control": 50, "se": 0.2}
    return {**usual, "estimate": estimate, **more}


def test_an_effect_with_both_se_and_interval_stands_in_its_middle() -> None:
    assert codes(trial(outcome(effect(-0.15, ci_low=-0.54, ci_high=0.24)))) == set()
    assert codes(trial(outcome(effect(0.15, ci_low=-0.54, ci_high=0.24)))) == {"asymmetric-interval"}


def test_a_sign_is_held_against_another_time() -> None:
    def both(post: float, late: float, **more: Any) -> set[str]:
        later = outcome(effect(late), id="later", time="follow-up", **more)
        return codes(trial(outcome(effect(post)), later))

    assert both(-0.45, -0.4) == set()
    assert both(0.38, -0.32) == {"sign-contradicts-report"}
    # no more than chance
    assert both(0.1, -0.1) == set()
    # another comparator is another question
    assert both(0.38, -0.32, comparator="other activity") == set()


def test_the_other_trials_weigh_at_most_ten_times() -> None:
    from mtmeta.audit.checks.outliers import Around
    from mtmeta.audit.checks.signs import turned

    alone = turned(0.3, 0.04, -0.3, 0.04, None)
    # exp(0.18 / (0.08 - 0.04 + 0.04)) by hand
    assert alone == pytest.approx(9.487735836358526)
    assert turned(0.3, 0.04, -0.3, 0.04, Around(9, -3.0, 0.01, 5.0)) == pytest.approx(10.0 * alone)
    assert turned(0.3, 0.04, -0.3, 0.04, Around(9, 0.3, 0.04, 0.0)) < alone


def test_two_bivariate_densities() -> None:
    """The likelihood ratio with others is that of scipy's multivariate normal."""
    from scipy.stats import multivariate_normal

    from mtmeta.audit.checks.outliers import Around
    from mtmeta.audit.checks.signs import turned

    v, w, s2, m, y, b = 0.07, 0.05, 0.09, -0.3, 0.35, -0.25
    c = 0.5 * (v * w) ** 0.5
    law = multivariate_normal([m, m], [[v + s2, c + s2], [c + s2, w + s2 + 0.04]])
    assert turned(y, v, b, w, Around(9, m, s2, 0.0)) == pytest.approx(
        law.pdf([-y, b]) / law.pdf([y, b]), rel=1e-12
    )


def test_one_author_with_the_same_arms_twice() -> None:
    def pair(sizes: tuple[int, int], author: str = "Smith J") -> list[tuple[str, str]]:
        one = trial(
            outcome(means(arm(31, 38.2, 9.8), arm(28, 42.5, 10.4))), citation={"authors": ["Smith J"]}
        )
        two = trial(
            outcome(means(arm(sizes[0], 36.1, 8.3), arm(sizes[1], 39.9, 9.1))),
            name="b-2001",
            citation={"authors": [author]},
        )
        return [(f.code, f.severity) for f in hunt(Studies.of([one, two]))]

    assert pair((31, 28)) == pair((28, 31)) == [("overlapping-samples", "suspect")]
    assert pair((31, 28), "Smyth J") == pair((30, 28)) == []


def test_an_se_is_seen_from_the_other_trials_on_the_scale() -> None:
    others = [
        trial(outcome(means(arm(30, 38.0 + i, 9.5 + i / 5), arm(31, 41.0 + i, 10.1 + i / 7))), name=f"b-{i}")
        for i in range(4)
    ]
    odd = trial(outcome(means(arm(40, 39.0, 1.5), arm(40, 40.1, 1.6))))
    found = [f for f in hunt(Studies.of([odd, *others])) if f.severity == "suspect"]
    assert [(f.code, f.ids[0]) for f in found] == [("se-as-sd", "a-2000/anxiety")]
    assert float(found[0].evidence["likelihood_ratio"]) > 100
    assert found[0].evidence["sd_if_so"] == pytest.approx((1.5 * 1.6) ** 0.5 * 40**0.5)


@pytest.mark.parametrize(
    ("reported", "code"),
    [
        ({"measure": "SMD", "estimate": -0.42}, None),
        ({"measure": "SMD", "estimate": 0.42}, "sign-contradicts-report"),
        ({"measure": "SMD", "estimate": -1.2}, "effect-contradicts-values"),
        ({"measure": "MD", "estimate": -4.3}, None),
        ({"measure": "MD", "estimate": -43.0}, "effect-contradicts-values"),
        ({"measure": "SMD", "estimate": -0.42, "ci_low": -0.93, "ci_high": 0.09}, None),
        ({"measure": "SMD", "estimate": -0.42, "ci_low": -0.70, "ci_high": -0.14}, "n-contradicts-interval"),
    ],
)
def test_the_effect_a_source_computed_is_held_against_its_values(reported: Record, code: str | None) -> None:
    assert codes(trial(outcome(HONEST, reported=reported))) == (set() if code is None else {code})


def interval(estimate: float, low: float, high: float, **more: Any) -> Record:
    usual = {"kind": "interval", "measure": "OR", "n_music": 40, "n_control": 40}
    return outcome(
        {**usual, "estimate": estimate, "ci_low": low, "ci_high": high, **more},
        construct="response",
        instrument=None,
    )


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (interval(2.96, 1.01, 8.67), None),
        (interval(1.09, 0.01, 2.16), "log-as-natural"),
        (interval(2.96, 1.01, 8.67, scale="log"), "natural-as-log"),
        (interval(2.96, 1.01, 5.1), "asymmetric-interval"),
    ],
)
def test_the_scale_of_a_ratio(row: Record, code: str | None) -> None:
    row.pop("instrument")
    assert codes(trial(row)) == (set() if code is None else {code})


def changes(final_sd: float, change_sd: float, final_mean: float) -> Record:
    group = {
        "n": 30,
        "baseline": {"mean": 44.0, "sd": 10.0},
        "final": {"mean": final_mean, "sd": final_sd},
        "change": {"mean": -6.0, "sd": change_sd},
    }
    return {"kind": "changes", "music": group, "control": group | {"n": 31}}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (changes(9.5, 8.0, 38.0), None),
        # |10 − 4| ≤ SD of the change
        (changes(4.0, 3.0, 38.0), "impossible-correlation"),
        (changes(9.5, 25.0, 38.0), "impossible-correlation"),
        (changes(9.5, 8.0, 50.0), "change-does-not-add-up"),
    ],
)
def test_baseline_change_and_final_value_are_of_the_same_people(data: Record, code: str | None) -> None:
    found = codes(trial(outcome(data, value="change")))
    assert code in found if code else not found


def test_people_do_not_come_back() -> None:
    later = outcome(means(arm(40, 37.6, 9.1), arm(41, 41.3, 10.2)), id="later", time="follow-up")
    assert codes(trial(outcome(HONEST), later)) == {"n-grows"}
    assert codes(trial(outcome(HONEST, time="follow-up"), {**later, "time": "post"})) == set()


@pytest.mark.parametrize(
    ("note", "contradicted"),
    [
        ("The difference was in favour of the music group.", False),
        ("The difference was in favour of the control group.", True),
        ("Greater improvement with usual care.", True),
        ("Positive values favour control.", False),
        ("It did not favour the control group.", False),
    ],
)
def test_words_beside_a_number(note: str, contradicted: bool) -> None:
    assert ("sign-contradicts-words" in codes(trial(outcome(HONEST, note=note)))) is contradicted


def test_a_test_says_which_arm_was_lower() -> None:
    data = {
        "kind": "test",
        "statistic": "t",
        "value": 2.5,
        "df": 58,
        "n_music": 30,
        "n_control": 30,
        "p": "0.015",
    }
    told = {**data, "music_is": "lower", "mean_music": 38.0, "mean_control": 42.0}
    assert codes(trial(outcome(told))) == set()
    assert codes(trial(outcome({**told, "music_is": "higher"}))) == {"sign-contradicts-words"}
    assert codes(trial(outcome({**told, "p": "0.20"}))) == {"p-contradicts-values"}


def test_grim_and_grimmer_hold_for_whole_scores() -> None:
    """Every mean and SD of whole scores passes."""
    import numpy as np

    rng = np.random.default_rng(4)
    for _ in range(300):
        x = rng.integers(0, 30, int(rng.integers(3, 60)))
        mean, sd = round(float(x.mean()), 2), round(float(x.std(ddof=1)), 2)
        assert grim(mean, x.size)
        assert sd == 0 or grimmer(mean, sd, x.size)
    assert not grim(5.19, 28)


def test_years_and_withdrawn_works(tmp_path: Path) -> None:
    assert doi_year("10.1016/j.jad.2014.08.035") == 2014
    assert doi_year("10.3928/00989134-20110301-02") == 2011
    assert doi_year("10.1093/jmt/thu014") is None
    cited = {"doi": "10.1016/j.jad.2014.08.035", "title": "Music for the anxious: a randomised trial"}
    late, good = (trial(citation={**cited, "year": y}) for y in (2018, 2014))
    assert codes(late) == {"doi-year"}
    assert codes(good) == set()
    for text in (
        "10.1016/J.JAD.2014.08.035\n",
        "Music for the Anxious — a Randomised Trial\n",
        "Record ID,Title,OriginalPaperDOI,OriginalPaperPubMedID\n1,x,10.1016/j.jad.2014.08.035,0\n",
    ):
        path = tmp_path / "list.csv"
        path.write_text(text, encoding="utf-8")
        found = hunt(Studies.of([good]), retracted=read_retracted(path))
        assert [f.code for f in found] == ["retracted"]
    path.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(UsageError, match="names no work"):
        read_retracted(path)


def test_published_totals_are_added_up() -> None:
    """CD006577 prints n 562 for pain, its trials add up to 630; a suspect unless the analysis file knows."""
    item = read_analyses([data_folder("analyses") / "cardiac-pain.yaml"])[0]
    studies = read_studies(data_folder("studies") / "cardiac")
    (known,) = contradicted_totals([("x.yaml", run_analysis(item.analysis, studies))])
    assert (known.code, known.severity) == ("published-total", "note")
    plain = item.analysis.published[0].model_copy(update={"known_faults": {}})
    bare = item.analysis.model_copy(update={"published": (plain,)})
    (told,) = contradicted_totals([("x.yaml", run_analysis(bare, studies))])
    assert told.severity == "suspect"
    assert told.evidence == {"printed": 562.0, "ours": 630.0}


def test_the_command_tells_cost_and_withdrawn_works(tmp_path: Path) -> None:
    works = tmp_path / "list.txt"
    works.write_text("10.4037/ajcc1999.8.4.220\n", encoding="utf-8")
    folder = str(data_folder("studies") / "cardiac")
    run = CliRunner().invoke(
        app,
        ["check", folder, str(data_folder("analyses")), "--cost", "--retracted", str(works), "--json"],
    )
    found = json.loads(run.stdout)
    assert any(f["code"] == "retracted" for f in found)
    moved = [f["cost"][0]["moves"] for f in found if f["severity"] == "suspect" and f["cost"]]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 0


def test_a_published_pool_off_its_middle_is_told() -> None:
    """CD004517.pub3 prints -1.28 [-3.75, 1.02] ; beside it only -1.31 [-0.36, 2.99] is off centre."""
    items = [i.analysis for i in read_analyses([data_folder("analyses")])]
    bare = [
        a.model_copy(
            update={"published": tuple(p.model_copy(update={"known_faults": {}}) for p in a.published)}
        )
        for a in items
    ]
    found = list(off_centre_pools(("x.yaml", a) for a in bare))
    assert {f.severity for f in found} == {"suspect"}
    assert sorted(f.evidence["estimate"] for f in found) == [-1.31, -1.28]
