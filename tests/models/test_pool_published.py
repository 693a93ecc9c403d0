"""Pooled estimates as printed, and examples read from R's data sets where R is there."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtmeta.effects.continuous import standardized_mean_difference
from mtmeta.effects.table import EffectSizes
from mtmeta.models.events import EventCounts, MantelHaenszel, Peto
from mtmeta.models.pool import CommonEffect, HenmiCopas, PoolResult, RandomEffects

AsPrinted = Callable[[float, str], None]
PUBLISHED = json.loads((Path(__file__).parents[1] / "published" / "pool.json").read_text())


def _data(name: str) -> EffectSizes:
    entry = PUBLISHED["data"][name]
    if "arms" in entry:
        arms = np.array(entry["arms"], dtype=float)
        y, v = standardized_mean_difference(*arms.T, variance="LS2")
        return EffectSizes.of(y, v, entry["measure"], n1=arms[:, 2], n2=arms[:, 5])
    return EffectSizes.of([float(x) for x in entry["yi"]], [float(x) for x in entry["vi"]], entry["measure"])


def _model(spec: list[str]) -> CommonEffect | RandomEffects | HenmiCopas:
    if spec[0] == "CommonEffect":
        return CommonEffect()
    return HenmiCopas() if spec[0] == "HenmiCopas" else RandomEffects(tau2=spec[1], ci=spec[2])


def _value(fit: PoolResult, name: str) -> float:
    """A value by its name: ``pi.HTS.low``, ``ci.high``, ``exp estimate``, ``tau2`` ..."""
    if name.startswith("exp "):
        return math.exp(_value(fit, name[4:]))
    head, *rest = name.split(".")
    if not rest:
        return float(getattr(fit, head))
    interval = getattr(fit, head)() if len(rest) == 1 else getattr(fit, head)(method=rest[0])
    return float(getattr(interval, rest[-1]))


@pytest.mark.parametrize(
    ("row", "name"),
    [
        pytest.param(row, name, id=f"{row['data']}-{'-'.join(row['model'])}-{name}")
        for row in PUBLISHED["rows"]
        for name in row["printed"]
    ],
)
def test_printed_values(row: dict[str, Any], name: str, as_printed: AsPrinted) -> None:
    as_printed(_value(_model(row["model"]).fit(_data(row["data"])), name), row["printed"][name])


# data sets of R's metadat, which are not part of this project ----------------------------------------------


_SETS = {
    "bcg counts": "dat.bcg",
    "bcg": "escalc(measure='RR', ai=tpos, bi=tneg, ci=cpos, di=cneg, data=dat.bcg)",
    "teachers": "dat.raudenbush1985",
    "diuretics": (
        "escalc(measure='OR', ai=pre.xti, n1i=pre.nti, ci=pre.xci, n2i=pre.nci, data=dat.collins1985b)"
    ),
    "smoking": "dat.hackshaw1998",
}


def _r(code: str) -> Any:
    """Run R with metafor and return what `answer` holds."""
    script = (
        "suppressMessages({library(metafor); library(jsonlite)})\n"
        f"{code}\ncat(toJSON(answer, digits = I(15), auto_unbox = TRUE))"
    )
    done = subprocess.run(["Rscript", "--vanilla", "-e", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@cache
def _metadat() -> dict[str, dict[str, np.ndarray]]:
    parts = ", ".join(f"`{name}` = as.list(as.data.frame({code}))" for name, code in _SETS.items())
    answer = _r(f"answer <- list({parts})")
    return {name: {c: np.array(v) for c, v in columns.items()} for name, columns in answer.items()}


def _metadat_effects(name: str, measure: str) -> EffectSizes:
    columns = _metadat()[name]
    return EffectSizes.of(columns["yi"], columns["vi"], measure)


@pytest.mark.r
def test_values_that_metafor_prints_before_it_has_converged(as_printed: AsPrinted) -> None:
    """Its Fisher scoring stops when tau2 moves by less than 1e-5, its root searches at 1.2e-4.

    The printed value is metafor's with that rule; with a sharp one metafor's value is ours.
    """
    bcg, teachers = _metadat_effects("bcg", "RR"), _metadat_effects("teachers", "SMD")
    cells = [
        (bcg, "PM", "z", "tau2", "0.318094"),
        (bcg, "EB", "z", "tau2", "0.318069"),
        (_data("borenstein14"), "REML", "z", "tau2", "0.032105"),
        (_data("borenstein14"), "REML", "z", "beta", "0.360385"),
        (teachers, "ML", "z", "zval", "1.6368"),
        (teachers, "ML", "knha", "zval", "1.3110"),
        (teachers, "REML", "knha", "zval", "1.3593"),
        (teachers, "REML", "z", "pi.ub", "0.3711"),
        (teachers, "REML", "z", "ci.lb", "0.005855"),
        (teachers, "REML", "z", "ci.ub", "0.197725"),
        (_metadat_effects("smoking", "OR"), "REML", "z", "beta", "0.218890"),
    ]
    lines = ["answer <- list()", "sharp <- list(threshold = 1e-14, tol = 1e-14, maxiter = 10000)"]
    for es, method, test, what, _ in cells:
        y, v = (",".join(map(repr, x.tolist())) for x in (es.yi, es.vi))
        lines.append(
            f"y <- c({y}); v <- c({v}); answer[[length(answer) + 1]] <- "
            f"sapply(list(list(), sharp), function(control) {{ "
            f"f <- rma(y, v, method='{method}', test='{test}', control=control); "
            "ci <- as.list(confint(f, control=control[-1])$random[1, -1]); "
            f"as.numeric(c(ci, f[c('tau2', 'beta', 'zval')], list(pi.ub = predict(f)$pi.ub))${what}) }})"
        )
    for (es, method, test, what, printed), (default, sharp) in zip(cells, _r("\n".join(lines)), strict=True):
        fit = RandomEffects(tau2=method, ci="Wald" if test == "z" else "HKSJ").fit(es)
        ours = {
            "tau2": fit.tau2,
            "beta": fit.estimate,
            "zval": fit.statistic,
            "pi.ub": fit.pi(method="normal").high,
            "ci.lb": fit.tau2_ci().low,
            "ci.ub": fit.tau2_ci().high,
        }[what]
        as_printed(default, printed)
        assert ours == pytest.approx(sharp, rel=1e-9)


@pytest.mark.r
def test_bcg_engine_values(as_printed: AsPrinted) -> None:
    """Values that need the effects with all their digits."""
    es = _metadat_effects("bcg", "RR")
    printed = {
        "DL": "0.308760",
        "HE": "0.328564",
        "HS": "0.228363",
        "SJ": "0.345516",
        "ML": "0.280028",
    }
    for method, tau2 in printed.items():
        as_printed(RandomEffects(tau2=method).fit(es).tau2, tau2)
    wald = RandomEffects(ci="Wald").fit(es)
    as_printed(wald.statistic, "-3.974448")
    as_printed(wald.q, "152.2330")
    fit = RandomEffects(ci="HKSJ").fit(es)
    for rule, low, high in (
        ("normal", "-1.866692", "0.437628"),
        ("HK", "-1.996017", "0.566952"),
        ("V", "-1.995342", "0.566277"),
        ("HTS", "-2.008376", "0.579311"),
        ("HK-PR", "-2.009058", "0.579993"),
    ):
        as_printed(fit.pi(method=rule).low, low)
        as_printed(fit.pi(method=rule).high, high)
    for value, text in zip(
        (fit.se, fit.statistic, fit.pvalue, *fit.ci()),
        ("0.180792", "-3.952240", "0.001920", "-1.108444", "-0.320621"),
        strict=True,
    ):
        as_printed(value, text)
    for ci, low, high in (("HKSJ-floor", "-1.115211", "-0.316546"), ("HKSJ", "-1.110470", "-0.321287")):
        interval = RandomEffects(tau2="HE", ci=ci).fit(es).ci()
        as_printed(interval.low, low)
        as_printed(interval.high, high)
    as_printed(fit.loglik_reml, "-12.202371")
    as_printed(RandomEffects(tau2="ML").fit(es).loglik, "-12.665076")


@pytest.mark.r
def test_bcg_counts(as_printed: AsPrinted) -> None:
    d = _metadat()["bcg counts"]
    events = EventCounts.of(d["tpos"], d["tpos"] + d["tneg"], d["cpos"], d["cpos"] + d["cneg"])
    for fit, printed in (
        (MantelHaenszel("RR").fit(events), ("0.6353", "0.5881", "0.6862")),
        (Peto().fit(events), ("0.6222", "0.5746", "0.6738")),
    ):
        for value, text in zip((fit.estimate, *fit.ci()), printed, strict=True):
            as_printed(math.exp(value), text)
    as_printed(MantelHaenszel("OR").fit(events).tarone()[0], "171.7567")


@pytest.mark.r
def test_teacher_expectancy(as_printed: AsPrinted) -> None:
    """Raudenbush 2009, Tables 16.2 and 16.3, pp. 301-309."""
    es = _metadat_effects("teachers", "SMD")
    table = {
        "EE": ("0", "0.0604", "0.0365", "1.6553", "0.0515", "1.1733", "-0.0477", "0.1685"),
        "ML": ("0.0126", "0.0777", "0.0475", None, "0.0593", None, "-0.0468", "0.2023"),
        "REML": ("0.0188", "0.0837", "0.0516", "1.6208", "0.0616", None, "-0.0457", "0.2131"),
        "DL": ("0.0259", "0.0893", "0.0558", "1.6009", "0.0636", "1.4050", "-0.0442", "0.2229"),
        "HE": ("0.0804", "0.1143", "0.0792", "1.4432", "0.0711", "1.6078", "-0.0351", "0.2637"),
    }
    for method, printed in table.items():
        tau2 = 0.0 if method == "EE" else method
        wald = RandomEffects(tau2=tau2, ci="Wald").fit(es)
        hksj = RandomEffects(tau2=tau2, ci="HKSJ").fit(es)
        ours = (wald.tau2, wald.estimate, wald.se, wald.statistic, hksj.se, hksj.statistic, *hksj.ci())
        for value, text in zip(ours, printed, strict=True):
            if text is not None:  # see test_values_that_metafor_prints_before_it_has_converged
                as_printed(value, text)
    reml = RandomEffects(ci="Wald").fit(es)
    as_printed(reml.q, "35.8295")
    as_printed(reml.pi(method="normal").low, "-0.2036")
    # profile likelihood: metafor prints 0.105156 with its default tolerance of 1.2e-4
    own = reml.blup()
    as_printed(own["estimate"].min(), "-0.0293")
    as_printed(own["estimate"].max(), "0.2485")
    low, high = reml.tau2_ci(method="PL")
    assert low == 0.0
    assert high == pytest.approx(0.105156, abs=1.2e-4)


@pytest.mark.r
@pytest.mark.parametrize(("ci", "test"), [("Wald", "z"), ("HKSJ", "knha")])
def test_empirical_bayes_estimates(ci: str, test: str) -> None:
    es = _metadat_effects("teachers", "SMD")
    y, v = (",".join(map(repr, x.tolist())) for x in (es.yi, es.vi))
    answer = _r(
        f"f <- rma(c({y}), c({v}), test='{test}', control=list(threshold = 1e-14, maxiter = 10000)); "
        "b <- blup(f); answer <- data.frame(estimate = b$pred, se = b$se, low = b$pi.lb, high = b$pi.ub)"
    )
    ours = RandomEffects(ci=ci).fit(es).blup()
    for column in ("estimate", "se", "low", "high"):
        np.testing.assert_allclose(ours[column], [row[column] for row in answer], rtol=1e-7, atol=1e-9)
    assert tuple(ours["study"]) == es.study


@pytest.mark.r
def test_diuretics(as_printed: AsPrinted) -> None:
    """Viechtbauer 2007, Stat Med 26:37, intervals of tau2 for the diuretics in pre-eclampsia trials."""
    es = _metadat_effects("diuretics", "OR")
    fits = {m: RandomEffects(tau2=m).fit(es) for m in ("DL", "ML", "REML", "SJ")}
    for method, text in (("DL", "0.2297"), ("ML", "0.2386"), ("REML", "0.3008"), ("SJ", "0.4563")):
        as_printed(fits[method].tau2, text)
    for method, kind, low, high in (
        ("DL", "QP", "0.0723", "2.2027"),
        ("REML", "PL", "0.0427", "1.4747"),
        ("ML", "Wald", "0", "0.5782"),
        ("REML", "Wald", "0", "0.7322"),
        ("SJ", "SJ", "0.2082", "1.6748"),
    ):
        interval = fits[method].tau2_ci(method=kind)
        as_printed(interval.low, low)
        as_printed(interval.high, high)
    # printed 0.0266 with metafor's default tolerance; at 1e-13 metafor, too, gives 0.02654
    interval = fits["ML"].tau2_ci(method="PL")
    as_printed(interval.low, "0.02654")
    as_printed(interval.high, "1.1308")
    # printed cut, not rounded: .0481 and 2.3551
    interval = fits["DL"].tau2_ci(method="BT")
    assert [math.floor(x * 1e4) / 1e4 for x in interval] == [0.0481, 2.3551]


@pytest.mark.r
def test_profile_of_bcg() -> None:
    """[0.115239, 0.964666] with metafor's default tolerance of 1.2e-4."""
    low, high = RandomEffects().fit(_metadat_effects("bcg", "RR")).tau2_ci(method="PL")
    assert low == pytest.approx(0.115239, abs=1.2e-4)
    assert high == pytest.approx(0.964666, abs=1.2e-4)


@pytest.mark.r
def test_passive_smoking(as_printed: AsPrinted) -> None:
    """Hackshaw 1998: 37 studies of lung cancer."""
    es = _metadat_effects("smoking", "OR")
    dl, reml = RandomEffects(tau2="DL").fit(es), RandomEffects().fit(es)
    as_printed(dl.estimate, "0.213889")
    as_printed(dl.tau2, "0.017036")
    as_printed(reml.tau2, "0.022395")


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.parametrize("name", ["pool", "events"])
def test_the_committed_references_are_what_the_scripts_write(name: str, tmp_path: Path) -> None:
    reference = Path(__file__).parents[1] / "reference"
    out = tmp_path / "again.json.gz"
    subprocess.run(
        ["Rscript", "--vanilla", str(reference / f"make_{name}.R"), str(out)], check=True, capture_output=True
    )
    kept = json.loads(gzip.decompress((reference / f"{name}_generated.json.gz").read_bytes()))
    again = json.loads(gzip.decompress(out.read_bytes()))
    assert again["data"] == kept["data"]
    if again["versions"] == kept["versions"]:
        assert again == kept
