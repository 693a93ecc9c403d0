"""From a record's row to an effect: every kind of data by its own route, or a reason."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from made_trials import trial

from mtmeta.effects.compute import effect_sizes, effects_of
from mtmeta.effects.select import Query, select_rows
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, LeftOutWarning, MixedScoresWarning


def one(data: dict[str, Any], measure: str = "SMD", variance: str = "LS") -> EffectSizes:
    es, _ = effects_of(
        select_rows([trial({"data": data})], Query(constructs=("anxiety",))),
        measure=measure,
        variance=variance,
    )
    return es


def why_not(data: dict[str, Any], measure: str = "SMD") -> str:
    with pytest.raises(AnalysisError) as caught:
        one(data, measure)
    return str(caught.value)


ARMS = {"music": {"n": 20, "mean": 10.0, "sd": 2.0}, "control": {"n": 25, "mean": 8.5, "sd": 3.0}}

# metafor 5.1-12, escalc, to eight digits
BATTERY = [
    ("SMD", "LS", 0.56550915, 0.09355334),
    ("SMD", "UB", 0.56550915, 0.09387594),
    ("SMD", "LS2", 0.56550915, 0.09042011),
    ("MD", "LS", 1.5, 0.56),
    ("ROM", "LS", 0.16102758, 0.00698270),
]


@pytest.mark.parametrize(("measure", "variance", "yi", "vi"), BATTERY)
def test_means_meet_metafor(measure: str, variance: str, yi: float, vi: float) -> None:
    es = one({"kind": "means", **ARMS}, measure, variance)
    assert es.yi[0] == pytest.approx(yi, abs=5e-9)
    assert es.vi[0] == pytest.approx(vi, abs=5e-9)


@pytest.mark.parametrize(
    ("measure", "yi", "vi"),
    [("OR", 1.20397280, 0.37888889), ("RR", 0.87546874, 0.21666667), ("RD", 0.23333333, 0.01262963)],
)
def test_events_meet_metafor(measure: str, yi: float, vi: float) -> None:
    data = {"kind": "events", "music": {"events": 12, "n": 30}, "control": {"events": 5, "n": 30}}
    es = one(data, measure)
    assert es.yi[0] == pytest.approx(yi, abs=5e-9)
    assert es.vi[0] == pytest.approx(vi, abs=5e-9)


def test_the_same_trial_by_every_route_is_the_same_effect() -> None:
    """Means, SE, interval, t, F, P, a printed g and a printed MD all tell one and the same effect."""
    from scipy import stats

    means = one({"kind": "means", **ARMS})
    n1, n2, df = 20, 25, 43
    sd = math.sqrt((19 * 4 + 24 * 9) / df)
    se = sd * math.sqrt(1 / n1 + 1 / n2)
    t = 1.5 / se
    sizes = {"n_music": n1, "n_control": n2}
    by_se = {
        "music": {"n": n1, "mean": 10.0, "se": 2.0 / math.sqrt(n1)},
        "control": {"n": n2, "mean": 8.5, "se": 3.0 / math.sqrt(n2)},
    }
    q1, q2 = stats.t.ppf(0.975, n1 - 1), stats.t.ppf(0.975, n2 - 1)
    by_ci = {
        "music": {
            "n": n1,
            "mean": 10.0,
            "ci_low": 10 - q1 * 2 / math.sqrt(n1),
            "ci_high": 10 + q1 * 2 / math.sqrt(n1),
        },
        "control": {
            "n": n2,
            "mean": 8.5,
            "ci_low": 8.5 - q2 * 3 / math.sqrt(n2),
            "ci_high": 8.5 + q2 * 3 / math.sqrt(n2),
        },
    }
    q = stats.t.ppf(0.975, df)
    p = 2 * stats.t.sf(t, df)
    routes: list[dict[str, Any]] = [
        {"kind": "means", **by_se},
        {"kind": "means", **by_ci},
        {"kind": "test", "statistic": "t", "value": t, "music_is": "higher", **sizes},
        {"kind": "test", "statistic": "t", "value": -t, "music_is": "higher", **sizes},
        {
            "kind": "test",
            "statistic": "F",
            "value": t * t,
            "df1": 1,
            "mean_music": 10.0,
            "mean_control": 8.5,
            **sizes,
        },
        {"kind": "test", "statistic": "p", "p": repr(float(p)), "music_is": "higher", **sizes},
        {
            "kind": "effect",
            "measure": "SMD",
            "estimate": means.yi[0],
            "se": 9.9,
            "correction": "exact",
            **sizes,
        },
        {"kind": "effect", "measure": "SMD", "estimate": 1.5 / sd, "se": 9.9, "correction": "none", **sizes},
        {"kind": "effect", "measure": "MD", "estimate": 1.5, "se": se, **sizes},
        {
            "kind": "interval",
            "measure": "MD",
            "estimate": 1.5,
            "ci_low": 1.5 - q * se,
            "ci_high": 1.5 + q * se,
            **sizes,
        },
    ]
    for data in routes:
        es = one(data)
        assert es.yi[0] == pytest.approx(means.yi[0], rel=1e-12), data
        assert es.vi[0] == pytest.approx(means.vi[0], rel=1e-12), data


def test_a_typed_se_never_overrules_the_convention() -> None:
    sizes = {"n_music": 17, "n_control": 18}
    data = {
        "kind": "effect",
        "measure": "SMD",
        "estimate": -0.94347,
        "se": 0.356504,
        "correction": "exact",
        **sizes,
    }
    printed = one(data)
    assert math.sqrt(printed.vi[0]) == pytest.approx(0.356504, abs=5e-7)
    revman = one(data, variance="RevMan")
    g = -0.94347 / math.exp(math.lgamma(16.5) - math.lgamma(16)) * math.sqrt(16.5) * (1 - 3 / (4 * 35 - 9))
    assert revman.yi[0] == pytest.approx(g, rel=1e-12)
    assert revman.vi[0] == pytest.approx(35 / (17 * 18) + g * g / (2 * (35 - 3.94)), rel=1e-12)


def test_an_smd_of_unknown_correction_or_sizes_is_taken_as_printed() -> None:
    es = one(
        {
            "kind": "interval",
            "measure": "SMD",
            "estimate": -0.78,
            "ci_low": -2.36,
            "ci_high": 0.81,
            "n_total": 11,
        }
    )
    assert es.yi[0] == -0.78
    assert math.sqrt(es.vi[0]) == pytest.approx((0.81 + 2.36) / (2 * 1.959963984540054), rel=1e-12)
    assert es.n is not None
    assert es.n[0] == 11


def test_ratios_are_taken_on_the_log_scale() -> None:
    es = one({"kind": "interval", "measure": "OR", "estimate": 2.96, "ci_low": 1.01, "ci_high": 9.02}, "OR")
    assert es.yi[0] == pytest.approx(math.log(2.96))
    assert math.sqrt(es.vi[0]) == pytest.approx(math.log(9.02 / 1.01) / (2 * 1.959963984540054))


def test_arms_are_combined_as_one_group() -> None:
    """Combining arms equals the mean and SD of the people of both together (Handbook 6.5.2.10)."""
    rng = np.random.default_rng(5)
    a, b, c = (rng.normal(m, s, n) for m, s, n in ((3.0, 1.0, 17), (4.0, 2.0, 12), (2.0, 1.5, 18)))

    def arm(name: str, role: str, x: np.ndarray) -> dict[str, Any]:
        return {"name": name, "role": role, "n": x.size, "mean": float(x.mean()), "sd": float(x.std(ddof=1))}

    arms = [arm("slow", "music", a), arm("own", "music", b), arm("book", "control", c)]
    both = np.concatenate([a, b])
    whole = one(
        {
            "kind": "means",
            "music": {k: v for k, v in arm("", "", both).items() if k in ("n", "mean", "sd")},
            "control": {k: v for k, v in arms[2].items() if k in ("n", "mean", "sd")},
        }
    )
    es = one({"kind": "arms", "form": "means", "arms": arms})
    assert es.yi[0] == pytest.approx(whole.yi[0], rel=1e-12)
    assert es.vi[0] == pytest.approx(whole.vi[0], rel=1e-12)


REASONS = [
    ({"kind": "test", "statistic": "F", "value": 4.74, "groups": 3, "df1": 2, "df": 93}, "compares 3 groups"),
    (
        {"kind": "test", "statistic": "p", "p": "<0.001", "music_is": "lower", "n_music": 9, "n_control": 9},
        "bounds",
    ),
    ({"kind": "test", "statistic": "t", "value": 2.1, "n_music": 9, "n_control": 9}, "sign is unknown"),
    ({"kind": "means", "music": {"n": 28, "mean": 484.4}, "control": {"n": 30, "mean": 618.8}}, "no SD"),
    (
        {"kind": "means", "music": {"mean": 3.1, "sd": 1}, "control": {"mean": 2, "sd": 1}},
        "number of participants",
    ),
    ({"kind": "one group", "change": {"mean": -3.4, "se": 0.6}}, "no contrast"),
    ({"kind": "coefficient", "term": "music x day", "estimate": -0.2}, "coefficient"),
    ({"kind": "narrative", "printed": "no difference"}, "no number"),
    (
        {"kind": "interval", "measure": "MD", "estimate": -1.5, "ci_low": -2.1, "ci_high": -0.9},
        "without the arms' sizes",
    ),
    (
        {"kind": "events", "music": {"events": 1, "n": 9}, "control": {"events": 2, "n": 9}},
        "unless asked for",
    ),
    ({"kind": "effect", "measure": "OR", "estimate": 2.0, "se": 0.3}, "from which no SMD"),
    (
        {"kind": "paired", "n": 10, "music": {"mean": 7.0, "sd": 2.4}, "control": {"mean": 6.5, "sd": 2.2}},
        "no correlation",
    ),
]


@pytest.mark.parametrize(("data", "words"), REASONS, ids=lambda x: x if isinstance(x, str) else x["kind"])
def test_what_gives_no_effect_says_why(data: dict[str, Any], words: str) -> None:
    assert words in why_not(data)


def test_crossover_means_of_the_handbook() -> None:
    """Cochrane Handbook (5.1) 16.4.6.4: MD 0.5; SD of differences 2 gives SE 0.632, r 0.68 gives 0.583."""
    means = {"music": {"mean": 7.0, "sd": 2.38}, "control": {"mean": 6.5, "sd": 2.21}}
    es = one({"kind": "paired", "n": 10, **means, "difference": {"mean": 0.5, "sd": 2.0}}, "MD")
    assert f"{math.sqrt(es.vi[0]):.3f}" == "0.632"
    es = one({"kind": "paired", "n": 10, **means, "r": 0.68}, "MD")
    assert (f"{es.yi[0]:.1f}", f"{math.sqrt(es.vi[0]):.3f}") == ("0.5", "0.583")


def test_several_rows_raise_and_are_listed() -> None:
    study = trial(
        {"data": {"kind": "means", **ARMS}, "instrument": "STAI"},
        {"data": {"kind": "means", **ARMS}, "instrument": "VAS"},
    )
    with pytest.raises(AnalysisError, match=r"2 rows of white-1999.*pin one") as caught:
        effect_sizes([study], construct="anxiety")
    assert "white-1999/row-1" in str(caught.value)
    assert "VAS" in str(caught.value)
    pinned = effect_sizes([study], construct="anxiety", pin={"white-1999": "row-2"})
    preferred = effect_sizes([study], construct="anxiety", rule="prefer", prefer=["vas"])
    for es in (pinned, preferred):
        assert es.columns is not None
        assert es.columns["outcome"].tolist() == ["row-2"]
    assert effect_sizes([study], construct="anxiety", rule="separate").k == 2


def test_the_mean_of_rows_has_the_variance_of_a_correlated_mean() -> None:
    other = {"music": {"n": 20, "mean": 11.0, "sd": 2.5}, "control": {"n": 25, "mean": 8.5, "sd": 3.0}}
    study = trial({"data": {"kind": "means", **ARMS}}, {"data": {"kind": "means", **other}})
    apart = effect_sizes([study], construct="anxiety", rule="separate")
    a, b = apart.vi
    for rho in (0.0, 0.6, 1.0):
        es = effect_sizes([study], construct="anxiety", rule="mean", rho=rho)
        assert es.yi[0] == pytest.approx(apart.yi.mean(), rel=1e-12)
        assert es.vi[0] == pytest.approx((a + b + 2 * rho * math.sqrt(a * b)) / 4, rel=1e-12)


def test_mixed_scores_warn() -> None:
    final = trial({"data": {"kind": "means", **ARMS}, "value": "final"})
    change = trial({"data": {"kind": "means", **ARMS}, "value": "change"}, id="other-2001")
    with pytest.warns(MixedScoresWarning, match=r"final: white-1999; change: other-2001"):
        effect_sizes([final, change], construct="anxiety")
    effect_sizes([final, change], construct="anxiety", measure="MD")


def test_a_row_that_cannot_be_true_is_not_pooled_until_answered() -> None:
    bad = {
        "data": {"kind": "interval", "measure": "SMD", "estimate": -1.31, "ci_low": -0.36, "ci_high": 2.99}
    }
    good = trial({"data": {"kind": "means", **ARMS}}, id="good-2000")
    _, left = effects_of(select_rows([trial(bad), good], Query(constructs=("anxiety",))), measure="SMD")
    assert [x.study for x in left] == ["white-1999"]
    assert "integrity error" in left[0].reason
    code = left[0].reason.split()[2].rstrip(":")
    answer = {
        "code": code,
        "about": "outcomes.row-1",
        "why": "asked the author",
        "by": "A. Person",
        "when": "2026-01-02",
    }
    es, _ = effects_of(
        select_rows([trial(bad, checked=[answer]), good], Query(constructs=("anxiety",))), measure="SMD"
    )
    assert es.k == 2
    fixed = {**bad, "corrected": {"why": "sign", "data": {**bad["data"], "estimate": 1.31}}}
    es, _ = effects_of(
        select_rows([trial(fixed)], Query(constructs=("anxiety",), corrected=True)), measure="SMD"
    )
    assert es.yi[0] == 1.31


def test_a_row_that_answers_and_gives_no_effect_is_told_of() -> None:
    """A warning names row and reason, and the table keeps what it did not take."""
    impossible = trial(
        {"data": {"kind": "interval", "measure": "SMD", "estimate": -1.31, "ci_low": -0.36, "ci_high": 2.99}}
    )
    unsized = trial(
        {"data": {"kind": "means", "music": {"mean": 1.0, "sd": 1.0}, "control": ARMS["control"]}},
        id="none-1999",
    )
    other = trial({"data": {"kind": "means", **ARMS}, "construct": "pain"}, id="pain-2001")
    good = trial({"data": {"kind": "means", **ARMS}}, id="good-2000")
    with pytest.warns(LeftOutWarning) as caught:
        es = effect_sizes([impossible, unsized, other, good], construct="anxiety")
    assert len(caught) == 1
    told = str(caught[0].message)
    assert caught[0].filename == __file__
    assert "white-1999/row-1: integrity error estimate-outside-interval" in told
    assert "none-1999/row-1: the number of participants of the music arm is not printed" in told
    assert "exclude={'white-1999/row-1': 'your reason'}" in told
    assert "pain-2001" not in told
    assert [item.study for item in es.left_out if item.answers] == ["white-1999", "none-1999"]
    assert "2 left out without an effect" in repr(es)
    assert "<li>white-1999/row-1: integrity error" in es._repr_html_()
    assert es.subset([0]).left_out == es.left_out
    reasons = {"white-1999/row-1": "the authors did not answer", "none-1999": "no sizes"}
    said = effect_sizes([impossible, unsized, good], construct="anxiety", exclude=reasons)
    assert said.equals(es)
    assert [item.reason for item in said.left_out] == ["the authors did not answer", "no sizes"]
    assert "left out" not in repr(said)


def test_what_a_person_corrected_is_taken_on_demand() -> None:
    printed = {"kind": "interval", "measure": "SMD", "estimate": -1.31, "ci_low": -0.36, "ci_high": 2.99}
    fixed = {"data": printed, "corrected": {"why": "sign", "data": {**printed, "estimate": 1.31}}}
    assert effect_sizes([trial(fixed)], construct="anxiety", corrected=True).yi[0] == 1.31
    with pytest.raises(AnalysisError, match="corrected: true"):
        effect_sizes([trial(fixed)], construct="anxiety")


def test_a_misspelt_word_gets_the_nearest() -> None:
    study = trial({"data": {"kind": "means", **ARMS}})
    with pytest.raises(AnalysisError, match="did you mean 'white-1999'"):
        effect_sizes([study], construct="anxiety", exclude={"whyte-1999": "gone"})
    with pytest.raises(AnalysisError, match="these trials hold anxiety"):
        effect_sizes([study], construct="pain")
