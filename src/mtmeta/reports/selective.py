"""The section of a report on what may be missing: funnel plot, tests, and every adjustment side by side."""

from __future__ import annotations

import math

from mtmeta.audit.run import AnalysisRun, model_of
from mtmeta.errors import ModelError, MtmetaError, UsageError
from mtmeta.measures import Interval
from mtmeta.reports.document import (
    Block,
    Cell,
    Column,
    Figure,
    Note,
    Number,
    Paragraph,
    Section,
    Spans,
    Table,
    spans,
)
from mtmeta.reports.locked import tau2_text
from mtmeta.reports.plots import LONGEST, funnel_of, layout_svg
from mtmeta.reports.results import effect_spans
from mtmeta.reports.sections import rows_of
from mtmeta.reports.words import fixed, pvalue

__all__ = ["missing_section"]


def missing_section(run: AnalysisRun) -> Section:
    """Return the bias panel: what has no answer stands there with its reason."""
    name = run.analysis.name
    blocks: list[Block] = [*_funnel(run), *_tests(run), *_panel(run)]
    return Section(f"missing-{name}", "Small-study effects and selective reporting", tuple(blocks))


def _funnel(run: AnalysisRun) -> list[Block]:
    if run.effects.k < 3:
        told = (
            f"A funnel plot of {run.effects.k} {'effect' if run.effects.k == 1 else 'effects'} shows nothing."
        )
        return [Note.of(told, kind="refusal")]
    if run.effects.k > LONGEST:
        return [Note.of(f"{run.effects.k} effects are too many to draw.", kind="refusal")]
    from mtmeta.figures.layout.words import alt_text

    layout = funnel_of(run)
    assert layout is not None
    figure = Figure(
        f"funnel-{run.analysis.name}",
        spans(
            "Funnel plot: each effect against its standard error, the most precise on top. Shades tell the "
            "two-sided p of a single effect against no difference; the dotted line is the pooled estimate."
        ),
        alt_text(layout),
        (("plain", layout_svg(layout)),),
        files=(f"{run.analysis.name}-funnel",),
    )
    return [figure]


def _tests(run: AnalysisRun) -> list[Block]:
    from mtmeta.diagnostics.small_study import begg, egger

    blocks: list[Block] = []
    try:
        test = egger(run.effects)
        blocks.append(
            Paragraph.of(
                f"{test.name} regression on {test.predictor}: slope ",
                Number(fixed(test.bias), test.bias),
                ", t(",
                Number(f"{test.df:g}", test.df),
                ") = ",
                Number(fixed(test.statistic), test.statistic),
                ", ",
                *_p(test.pvalue),
                ".",
            )
        )
    except (ModelError, UsageError) as error:
        blocks.append(Note.of(f"Regression test (Egger): not done. {_sentence(error)}", kind="refusal"))
    if run.effects.k > LONGEST:
        told = f"Rank correlation (Begg): not done for more than {LONGEST} effects."
        return [*blocks, Note.of(told, kind="refusal")]
    try:
        rank = begg(run.effects)
        blocks.append(
            Paragraph.of(
                "Rank correlation (Begg): τ = ",
                Number(fixed(rank.tau), rank.tau),
                ", ",
                *_p(rank.pvalue),
                ".",
            )
        )
    except (ModelError, UsageError) as error:
        blocks.append(Note.of(f"Rank correlation (Begg): not done. {_sentence(error)}", kind="refusal"))
    return blocks


def _p(value: float) -> Spans:
    text = pvalue(value)
    return spans("p " if text.startswith("<") else "p = ", Number(text, value))


def _sentence(error: MtmetaError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _panel(run: AnalysisRun) -> list[Block]:
    from mtmeta.diagnostics.adjust import bias_panel

    name, method = run.analysis.name, run.analysis.model
    if run.effects.k < 3:
        told = "No adjustment for small-study effects can be made from fewer than three effects."
        return [Note.of(told, kind="refusal")]
    alternative = "less" if run.analysis.better == "lower" else "greater"
    try:
        frame = bias_panel(
            run.effects,
            alternative=alternative,  # type: ignore[arg-type]
            model=model_of(method),
            level=method.level,
        )
    except (ModelError, UsageError) as error:
        return [Note.of(f"Bias panel: not made. {_sentence(error)}", kind="refusal")]
    rows = []
    for row in frame.to_dict("records"):
        value, tau2 = float(row["estimate"]), float(row["tau2"])
        ci = Interval(float(row["ci_low"]), float(row["ci_high"]))
        rows.append(
            (
                str(row["method"]),
                Cell(effect_spans(run, value, ci), sort=None if math.isnan(value) else value),
                Number("-") if math.isnan(tau2) else Number(tau2_text(tau2), tau2),
                str(row["note"]).replace("tau2", "τ²"),
            )
        )
    columns = (
        Column("Method"),
        Column(f"{run.analysis.measure} [{100 * method.level:g}% CI]", "number"),
        Column("τ²", "number"),
        Column("What to know"),
    )
    side = "lower" if alternative == "less" else "higher"
    caption = f"The estimate beside every adjustment, if {side} values were favoured in what got published"
    table = Table(f"panel-{name}", caption, columns, rows_of(*rows))
    told = "No row is the right one; look at how far the answers agree (Carter et al. 2019)."
    return [table, Note.of(told)]
