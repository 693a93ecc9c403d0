"""The section of a report with the Bayesian answers beside the classical one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mtmeta.audit.run import AnalysisRun
from mtmeta.reports.bayes_words import bayes_sentence, probability
from mtmeta.reports.document import Cell, Column, Figure, Note, Paragraph, Section, Table, spans
from mtmeta.reports.locked import Locked
from mtmeta.reports.plots import layout_svg, posterior_of
from mtmeta.reports.sections import rows_of
from mtmeta.reports.words import fixed

__all__ = ["bayes_factor", "bayes_section"]


def bayes_factor(log_bf: float) -> str:
    """Write a Bayes factor from its natural logarithm, whichever way it points.

    Examples
    --------
    >>> bayes_factor(0.0), bayes_factor(-1.326), bayes_factor(25.0)
    ('1.00', '0.27', 'above 1000')
    """
    if abs(log_bf) > math.log(1000.0):
        return "above 1000" if log_bf > 0 else "below 0.001"
    return fixed(math.exp(log_bf), 2 if log_bf > math.log(0.1) else 3)


def bayes_section(run: AnalysisRun, locked: Locked) -> Section:
    """Return the posteriors under each pair of priors that the analysis names."""
    name = run.analysis.name
    identity, title = f"bayes-{name}", "Bayesian results"
    if not run.bayes:
        told = "The analysis file names no priors (bayes:), so that no Bayesian answer is given."
        return Section(identity, title, (Note.of(told),))
    level = f"{100 * run.bayes[0].level:g}%"
    rows: list[tuple[Any, ...]] = [
        ("classical", Cell(locked.estimate()), Cell(locked.interval("today/pi")), "-", "-", "-", "-")
    ]
    for i in range(len(run.bayes)):
        at = f"bayes/{i}"
        tau = spans(
            locked.plain(f"{at}/tau"), " [", locked.plain(f"{at}/tau_ci/0"), ", ",
            locked.plain(f"{at}/tau_ci/1"), "]",
        )  # fmt: skip
        rows.append(
            (
                locked.get(f"{at}/label"),
                Cell(locked.estimate(at)),
                Cell(locked.interval(f"{at}/pi")),
                Cell(tau),
                locked.number(f"{at}/prob_better", probability),
                locked.number(f"{at}/log_bf_no_effect", bayes_factor),
                locked.number(f"{at}/log_bf_no_heterogeneity", bayes_factor),
            )
        )
    columns = (
        Column("Prior of τ"),
        Column(f"{run.analysis.measure}, median [{level} interval]", "number"),
        Column(f"Effect of a new trial, {level}", "number"),
        Column("τ, median [interval]", "number"),
        Column("Probability that music is better", "number"),
        Column("Bayes factor for no effect", "number"),
        Column("Bayes factor for τ = 0", "number"),
    )
    notes = tuple(spans(f"{b.label}: {b.words}.") for b in run.bayes)
    notes += (
        spans(
            "Intervals have equal tails. A Bayes factor above 1 speaks for the hypothesis named; it hangs on "
            "the width of the prior."
        ),
    )
    caption = "Posteriors under the priors that the analysis names, beside the classical answer"
    table = Table(f"posteriors-{name}", caption, columns, rows_of(*rows), notes)
    return Section(identity, title, (Paragraph.of(bayes_sentence(run)), table, *_figure(run)))


def _figure(run: AnalysisRun) -> Iterator[Figure]:
    from mtmeta.figures.layout.words import alt_text

    layout = posterior_of(run)
    if layout is not None:
        name = run.analysis.name
        words = spans(
            "Prior and posterior of the mean and of τ, a row for each pair of priors. How far the two differ "
            "is what the trials add."
        )
        drawn = (("plain", layout_svg(layout)),)
        yield Figure(f"curves-{name}", words, alt_text(layout), drawn, files=(f"{name}-posterior",))
