"""Echoes are held against the tools: metafor through R, statsmodels in Python, Cochrane's figures."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mtmeta.audit.analysis import Today
from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, UsageError
from mtmeta.models.pool import RandomEffects
from mtmeta.records.folder import read_studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.echo import echo, iterated_tau2, metafor_text, statsmodels_rows


@pytest.fixture(scope="module")
def runs() -> dict[str, AnalysisRun]:
    studies = read_studies(data_folder("studies"))
    named = read_analyses([data_folder("analyses")])
    return {item.analysis.name: run_analysis(item.analysis, studies) for item in named}


BCG_Y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
         -1.371345, -0.339359, 0.445913, -0.017314]  # fmt: skip
BCG_V = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434, 0.073025,
         0.012412, 0.532506, 0.071405]  # fmt: skip


def test_metafor_prints_bcg_as_in_the_paper() -> None:
    """Viechtbauer 2010, J Stat Softw 36(3), p. 14."""
    text = metafor_text(RandomEffects(ci="Wald").fit(EffectSizes.of(BCG_Y, BCG_V, "RR")))
    for printed in (
        "Random-Effects Model (k = 13; tau^2 estimator: REML)",
        "0.3132 (SE = 0.1664)",
        "92.22%",
        "12.86",
        "Q(df = 12) = 152.2",
        ", p-val < .0001",
        "-0.7145  0.1798",
        "<.0001  -1.0669  -0.3622  ***",
    ):
        assert printed in text


@pytest.mark.r
def test_metafor_prints_the_same_for_every_analysis(runs: dict[str, AnalysisRun], tmp_path: Path) -> None:
    """Every printed digit of ``print(rma(yi, vi))``, by the metafor that is installed."""
    data = {
        name: {"yi": run.effects.yi.tolist(), "vi": run.effects.vi.tolist()} for name, run in runs.items()
    }
    (tmp_path / "data.json").write_text(json.dumps(data))
    program = (
        "suppressMessages(library(metafor)); d <- jsonlite::fromJSON('data.json');"
        "for (n in names(d)) { cat('##', n, '\\n'); print(rma(d[[n]]$yi, d[[n]]$vi), signif.legend=FALSE) }"
    )
    done = subprocess.run(
        ["Rscript", "-e", program], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=True
    )
    printed = {}
    for block in done.stdout.split("## ")[1:]:
        name, _, text = block.partition("\n")
        printed[name.strip()] = text.split("---")[0].split()
    for name, run in runs.items():
        assert echo(run, "metafor").text.split() == printed[name], name


def test_statsmodels_gives_the_same_for_every_analysis(runs: dict[str, AnalysisRun]) -> None:
    from statsmodels.stats.meta_analysis import combine_effects

    for name, run in runs.items():
        es = run.effects
        result = combine_effects(np.array(es.yi), np.array(es.vi))
        assert iterated_tau2(es.yi, es.vi) == pytest.approx(result.tau2, rel=1e-9, abs=1e-12), name
        frame = result.summary_frame()
        for row, values in statsmodels_rows(es):
            assert values == pytest.approx(
                frame.loc[row, ["eff", "sd_eff", "ci_low", "ci_upp"]].tolist(), rel=1e-9
            )


def test_revman_prints_every_reproduced_cochrane_figure(runs: dict[str, AnalysisRun]) -> None:
    seen = 0
    for run in runs.values():
        if run.agreement != "agrees":
            continue
        printed = run.published[0].published
        assert printed.ci is not None
        assert echo(run, "revman").text.endswith(f"{printed.estimate} [{', '.join(printed.ci)}]")
        seen += 1
    assert seen == 9


def test_what_differs_is_said(runs: dict[str, AnalysisRun]) -> None:
    told = echo(runs["icu-anxiety"], "metafor").differences
    assert "interval: Wald here, HKSJ in the analysis" in told
    run = runs["cardiac-anxiety"]
    without = run.analysis.model_copy(update={"today": Today(exclude={"hermele-2005": "to see it told"})})
    told = echo(run_analysis(without, run.studies), "revman").differences
    assert any("hermele-2005" in line for line in told)


def test_no_echo_of_a_tool_that_cannot_be_checked(runs: dict[str, AnalysisRun]) -> None:
    with pytest.raises(UsageError, match="CMA"):
        echo(runs["icu-anxiety"], "CMA")  # type: ignore[arg-type]
    with pytest.raises(AnalysisError, match="cannot be checked"):
        echo(runs["icu-heart-rate"], "revman")
