"""PET, PEESE and the panel: metafor's lm fits, the choice, the marks of failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mtmeta.diagnostics.adjust import bias_panel, pet_peese
from mtmeta.diagnostics.least_squares import waap
from mtmeta.diagnostics.selection import SelectionModel
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import CommonEffect

GIVEN = ("sim1", "sim2", "sim3", "sim4", "sim5", "sim6", "sim8", "sim11", "sim14", "sim15")
Table = Callable[[str], EffectSizes]


@pytest.mark.parametrize("name", GIVEN)
def test_against_lm(name: str, given: Any, data: Table) -> None:
    """coef(summary(lm(...))): intercept, slope, their standard errors, t and p."""
    want, found = given("bias")[name], pet_peese(data(name))
    for test, row in ((found.pet, want["pet"]), (found.peese, want["peese"])):
        got = (test.limit, test.bias, test.limit_se, test.bias_se, test.statistic, test.pvalue)
        expected = (row[0], row[1], row[2], row[3], row[5], row[7])
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)
    significant = want["pet"][6] < 0.10
    assert found.chosen == ("PEESE" if significant else "PET")
    assert found.estimate == (found.peese if significant else found.pet).limit


def test_the_level_decides(data: Table) -> None:
    es = data("sim4")  # PET's intercept has p = 0.0136
    assert pet_peese(es).chosen == "PEESE"
    assert pet_peese(es, alpha=0.01).chosen == "PET"
    low, high = pet_peese(es).ci()
    assert low < pet_peese(es).estimate < high
    assert repr(pet_peese(es)).startswith("PET 0.377, PEESE 0.344; PET-PEESE takes PEESE")


def test_marks_of_failure(data: Table) -> None:
    assert "10 studies, fewer than 20" in pet_peese(data("sim1")).failures
    assert any("I² is" in mark for mark in pet_peese(data("sim3")).failures)
    assert any("no study has the power" in mark for mark in pet_peese(data("sim3")).failures)
    assert any("opposite sign" in mark for mark in pet_peese(data("sim15")).failures)
    es = data("sim4")
    assert not any("contains the effect" in mark for mark in pet_peese(es).failures)
    smd = EffectSizes.of(es.yi, es.vi, "SMD")
    assert any("contains the effect" in mark for mark in pet_peese(smd).failures)


def test_panel(bcg: EffectSizes, data: Table) -> None:
    table = bias_panel(bcg, alternative="less")
    assert table.columns.tolist() == ["method", "estimate", "se", "ci_low", "ci_high", "tau2", "note"]
    assert table["method"].tolist() == [
        "unadjusted", "trim and fill (L0)", "PET", "PEESE", "WAAP-WLS", "selection model (0.025)",
        "selection model (0.025, 0.5)", "selection model (beta)", "p-uniform*",
    ]  # fmt: skip
    by_name = table.set_index("method")
    assert by_name.loc["WAAP-WLS", "estimate"] == waap(bcg).estimate
    assert f"{waap(bcg).powered} of 13 studies have 80% power" in by_name.loc["WAAP-WLS", "note"]
    beta = SelectionModel(alternative="less", weight="beta").fit(bcg)
    assert by_name.loc["selection model (beta)", "estimate"] == beta.estimate
    row = table.set_index("method").loc["selection model (0.025)"]
    fit = SelectionModel(alternative="less").fit(bcg)
    assert (row["estimate"], row["ci_low"]) == (fit.estimate, fit.ci().low)
    null = bias_panel(data("sim8").subset([0, 3, 4, 5, 10]), alternative="greater", model=CommonEffect())
    failed = null.set_index("method").loc["selection model (0.025)"]
    assert np.isnan(failed["estimate"])
    assert failed["note"].startswith("no answer: no effect has a p-value from 0 to 0.025")
    with pytest.raises(UsageError):
        bias_panel(bcg, alternative="two-sided")


def test_refused() -> None:
    with pytest.raises(UsageError, match="alpha"):
        pet_peese(EffectSizes.of([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]), alpha=10)
    with pytest.raises(ModelError, match="at least 3 effects"):
        pet_peese(EffectSizes.of([0.1, 0.2], [0.1, 0.2]))
    with pytest.raises(ModelError, match="equally precise"):
        pet_peese(EffectSizes.of([0.1, 0.2, 0.3], [0.1, 0.1, 0.1]))
