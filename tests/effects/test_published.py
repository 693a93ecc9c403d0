"""Printed values, kept as strings; half a unit in the last digit is allowed."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtmeta.effects import convert
from mtmeta.effects.recover import (
    mean_sd_from_quantiles,
    pre_post_correlation,
    sd_from_p,
    sd_of_change,
    se_from_p,
    t_from_p,
)
from mtmeta.effects.reported import smd_from_d, smd_from_p, smd_from_reported, smd_from_t
from mtmeta.effects.table import EffectSizes

Printed = Callable[[float, str], None]
REFERENCE = Path(__file__).resolve().parents[1] / "reference"


# ---- Borenstein, Hedges, Higgins & Rothstein 2009 --------------------------------------------------


@pytest.mark.parametrize(
    ("variance", "printed"), [("LS2", "0.041143"), ("LS", "0.041755"), ("UB", "0.041823")]
)
def test_borenstein_chapter_4(as_printed: Printed, variance: str, printed: str) -> None:
    df = pd.DataFrame({"m1": [103], "sd1": [5.5], "n1": [50], "m2": [100], "sd2": [4.5], "n2": [50]})
    es = EffectSizes.from_frame(df, "SMD", variance=variance)
    as_printed(es.yi[0], "0.592440")
    as_printed(es.vi[0], printed)


CHAPTER_14 = pd.DataFrame(
    [
        ("Carroll", 94, 22, 60, 92, 20, 60),
        ("Grant", 98, 21, 65, 92, 22, 65),
        ("Peck", 98, 28, 40, 88, 26, 40),
        ("Donat", 94, 19, 200, 82, 17, 200),
        ("Stewart", 98, 21, 50, 88, 22, 45),
        ("Young", 96, 21, 85, 92, 22, 85),
    ],
    columns=["study", "m1", "sd1", "n1", "m2", "sd2", "n2"],
)


def test_borenstein_chapter_14(as_printed: Printed) -> None:
    es = EffectSizes.from_frame(CHAPTER_14, "SMD")
    printed = (".094524", ".277356", ".366544", ".664385", ".461806", ".185164")
    for value, text in zip(es.yi, printed, strict=True):
        as_printed(value, text)


def test_borenstein_chapter_14_fixed_effect(as_printed: Printed) -> None:
    """The printed mean and its standard error come from LS2 variances."""
    es = EffectSizes.from_frame(CHAPTER_14, "SMD", variance="LS2")
    w = 1 / es.vi
    mean = float(np.sum(w * es.yi) / np.sum(w))
    as_printed(mean, "0.414269")
    as_printed(float(np.sum(w) ** -0.5), "0.063990")
    as_printed(float(np.sum(w * (es.yi - mean) ** 2)), "12.0033")


# ---- RevMan's own numbers ----------------------------------------------------------------------------


def test_revman_prints_these_effects_and_limits(as_printed: Printed) -> None:
    with (REFERENCE / "revman_arms.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert len(rows) == 52
    df = pd.DataFrame(rows)
    numeric = df[["m1", "sd1", "n1", "m2", "sd2", "n2"]].astype(float).assign(study=df["study"])
    es = EffectSizes.from_frame(numeric, "SMD", variance="RevMan")
    z = 1.959963984540054
    for i, row in enumerate(rows):
        as_printed(es.yi[i], row["smd"])
        as_printed(es.yi[i] - z * es.sei[i], row["low"])
        as_printed(es.yi[i] + z * es.sei[i], row["high"])


def test_a_reported_exact_g_restated_for_revman_is_what_revman_makes_of_the_arms() -> None:
    exact = EffectSizes.from_frame(CHAPTER_14, "SMD")
    revman = EffectSizes.from_frame(CHAPTER_14, "SMD", variance="RevMan")
    yi, vi = smd_from_reported(exact.yi, exact.n1, exact.n2, correction_from="exact", convention="RevMan")
    np.testing.assert_allclose(yi, revman.yi, rtol=1e-13)
    np.testing.assert_allclose(vi, revman.vi, rtol=1e-13)


# ---- Cochrane Handbook worked examples -----------------------------------------------------------------


def test_handbook_crossover(as_printed: Printed) -> None:
    df = pd.DataFrame({"m1": [7.0], "m2": [6.5], "sd1": [2.38], "sd2": [2.21], "n": [10], "r": [0.68]})
    change = EffectSizes.from_frame(df, "MC")
    as_printed(change.yi[0], "0.5")
    as_printed(change.sei[0], "0.583")
    as_printed(float(sd_of_change(2.38, 2.21, 0.68)), "1.8426")
    as_printed(2 / np.sqrt(10), "0.632")  # with an SD of the differences of 2
    # the Handbook's SMD divides by the root mean square of both SDs, without a correction for bias
    smd = 0.5 / np.sqrt((2.38**2 + 2.21**2) / 2)
    as_printed(smd, "0.218")
    as_printed(np.sqrt((1 / 10 + smd**2 / 20) * 2 * (1 - 0.68)), "0.256")


def test_handbook_sd_from_a_p_value(as_printed: Printed) -> None:
    as_printed(float(t_from_p(0.008, 45)), "2.78")
    as_printed(float(t_from_p(0.008, 45)), "2.7755")
    as_printed(float(se_from_p(3.8, 0.008, df=45)), "1.37")
    as_printed(float(se_from_p(3.8, 0.008, df=45)), "1.3691")
    sd = sd_from_p(3.8, 0.008, 25, 22)
    as_printed(float(sd), "4.6835")
    assert float(sd) == pytest.approx(4.69, abs=0.01)  # the Handbook goes on with rounded steps
    assert sd.route == "SD from P: P = 0.008 is t(45) 2.77555; |3.8| / 2.77555 / √(1/25 + 1/22) = 4.68347"


def test_handbook_correlation_from_change_scores(as_printed: Printed) -> None:
    as_printed(float(pre_post_correlation(6.4, 7.1, 4.5)), "0.78")
    as_printed(float(pre_post_correlation(7.0, 6.9, 4.2)), "0.82")


# ---- the battery: metafor 5.1-12, eight digits ----------------------------------------------------------

TWO = pd.DataFrame({"m1": [10], "sd1": [2], "n1": [20], "m2": [8.5], "sd2": [3], "n2": [25]})
PAIR = pd.DataFrame({"m1": [12], "m2": [10], "sd1": [3], "sd2": [3.5], "n": [30], "r": [0.6]})
CELLS = pd.DataFrame({"a": [12], "n1": [30], "c": [5], "n2": [30]})
ZERO = pd.DataFrame({"a": [0], "n1": [20], "c": [4], "n2": [20]})
CORR = pd.DataFrame({"r": [0.35], "n": [50]})
SHARE = pd.DataFrame({"x": [7], "n": [40]})

BATTERY = [
    (TWO, "SMD", "LS", ".56550915", ".09355334"),
    (TWO, "SMD", "UB", ".56550915", ".09387594"),
    (TWO, "SMD", "LS2", ".56550915", ".09042011"),
    (TWO, "SMDH", "LS", ".57801639", ".09424945"),
    (TWO, "SMD1", "LS", ".48418262", ".09468866"),
    (TWO, "MD", "LS", "1.5", ".56"),
    (TWO, "ROM", "LS", ".16102758", ".00698270"),
    (TWO, "D2ORL", "LS", "1.04405483", ".30819980"),
    (TWO, "RBIS", "LS", ".35321675", None),
    (TWO, "RPB", "LS", ".28082798", None),
    (PAIR, "SMCC", "LS", ".66225486", ".04064302"),
    (PAIR, "SMCR", "LS", ".64924999", ".03369209"),
    (PAIR, "SMCRH", "LS", ".64924999", ".04040944"),
    (PAIR, "SMCRP", "LS", ".60270724", ".03078357"),
    (PAIR, "MC", "LS", "2", ".28833333"),
    (CELLS, "OR", "LS", "1.20397280", ".37888889"),
    (CELLS, "RR", "LS", ".87546874", ".21666667"),
    (CELLS, "RD", "LS", ".23333333", ".01262963"),
    (CELLS, "OR2DN", "LS", ".72968049", None),
    (CELLS, "OR2DL", "LS", ".66378500", None),
    (CELLS, "PBIT", "LS", ".71407446", None),
    (ZERO, "OR", "LS", "-2.41428908", "2.33160877"),
    (CORR, "ZCOR", "LS", ".36544375", ".02127660"),
    (CORR, "COR", "LS", ".35", ".01571441"),
    (SHARE, "PLO", "LS", "-1.55059741", None),
    (SHARE, "PFT", "LS", ".44174183", None),
]


@pytest.mark.parametrize(("frame", "measure", "variance", "yi", "vi"), BATTERY, ids=lambda x: str(x)[:6])
def test_effect_size_battery(
    as_printed: Printed, frame: pd.DataFrame, measure: str, variance: str, yi: str, vi: str | None
) -> None:
    es = EffectSizes.from_frame(frame, measure, variance=variance)
    as_printed(es.yi[0], yi)
    if vi is not None:
        as_printed(es.vi[0], vi)


def test_effect_size_battery_from_other_statistics(as_printed: Printed) -> None:
    as_printed(smd_from_d(0.5, 20, 25)[0], ".49121948")
    as_printed(smd_from_t(2.1, 20, 25)[0], ".61893654")
    as_printed(smd_from_p(0.04, 20, 25, sign=1)[0], ".62422392")
    found = mean_sd_from_quantiles(8, 40, q1=5, q3=12)
    as_printed(float(found.mean), "8.354875")
    as_printed(float(found.sd), "5.3825093")


def test_morris_2008_table_1(as_printed: Printed) -> None:
    """Organ Res Methods 11, p. 368: the first column of effects, each group by its own SD."""
    from mtmeta.effects.paired import pre_post_control

    yi, _ = pre_post_control(
        [30.6, 23.5, 0.5, 53.4, 35.6],
        [38.5, 26.8, 0.7, 75.9, 36.0],
        [15.0, 3.1, 0.1, 14.5, 4.7],
        [20, 50, 9, 10, 14],
        [23.1, 24.9, 0.6, 55.7, 34.8],
        [19.7, 25.3, 0.6, 60.7, 33.4],
        [13.8, 4.1, 0.2, 17.3, 3.1],
        [20, 42, 9, 11, 14],
        r=[0.47, 0.64, 0.77, 0.89, 0.44],
        standardizer="separate",
    )
    for value, text in zip(yi, ("0.74", "0.95", "1.81", "1.15", "0.51"), strict=True):
        as_printed(value, text)


def test_cohen_u3(as_printed: Printed) -> None:
    """Cohen 1988, Table 2.2.1."""
    for d, share in ((0.2, "57.9"), (0.5, "69.1"), (0.8, "78.8"), (1.0, "84.1")):
        as_printed(100 * float(convert.cohen_u3(d)), share)
