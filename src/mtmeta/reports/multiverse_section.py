"""Section of a report on the multiverse of an analysis: words, alternatives, the curve and its ends."""

from __future__ import annotations

from mtmeta.audit.multiverse import Curve, MultiverseRun, run_multiverse
from mtmeta.audit.run import AnalysisRun
from mtmeta.errors import MtmetaError
from mtmeta.measures import Interval
from mtmeta.reports.document import (
    Block,
    Cell,
    Cite,
    Column,
    Figure,
    Listing,
    Note,
    Number,
    Paragraph,
    Section,
    Table,
    spans,
)
from mtmeta.reports.locked import tau2_text
from mtmeta.reports.multiverse import curve_layouts, extremes, multiverse_words
from mtmeta.reports.plots import layout_svg
from mtmeta.reports.sections import readable, rows_of
from mtmeta.reports.words import back, count, estimate_ci, minus

__all__ = ["multiverse_sections"]

_NAMES = {"the analysis": "The analysis", "lowest": "Lowest", "middle": "In the middle", "highest": "Highest"}


def multiverse_sections(run: AnalysisRun) -> tuple[Section, ...]:
    """Return the section on every reasonable analysis; none where the analysis declares no alternatives.

    All combinations are computed here, which takes seconds for thousands of them. What has no answer at all
    stands there with its reason.
    """
    if run.analysis.multiverse is None:
        return ()
    try:
        found = run_multiverse(run.analysis, run.studies)
    except MtmetaError as error:
        blocks: tuple[Block, ...] = (Note.of(f"Not computed: {error}", kind="refusal"),)
    else:
        blocks = (*_told(found, run), _choices(found), *_curves(found))
    return (Section(f"multiverse-{run.analysis.name}", "Every reasonable analysis", blocks),)


def _told(found: MultiverseRun, run: AnalysisRun) -> list[Block]:
    intro = Paragraph.of(
        "The file of this analysis declares, for each choice that could have been made otherwise, the "
        "alternatives and why; here is the answer of every combination, as a specification curve ",
        Cite("method-simonsohn-2020"),
        ".",
    )
    return [
        intro,
        Listing(tuple(spans(minus(words)) for words in multiverse_words(found))),
        *_warned(found, run),
    ]


def _warned(found: MultiverseRun, run: AnalysisRun) -> list[Block]:
    """Return one note: combinations of trials warn of the same thing over and over."""
    if not found.warnings:
        return []
    more = len(found.warnings) - 1
    told = f" Other combinations give {more} more {'warning' if more == 1 else 'warnings'}."
    return [Note.of(readable(found.warnings[0], run) + (told if more else ""), kind="warning")]


def _choices(found: MultiverseRun) -> Table:
    declared = found.analysis.multiverse
    assert declared is not None
    rows = rows_of(
        *(
            (choice.choice, choice.main, one.option, one.kind, one.why)
            for choice in declared.choices
            for one in choice.alternatives
        )
    )
    columns = (
        Column("Choice"),
        Column("In the analysis"),
        Column("Alternative"),
        Column("Kind"),
        Column("Why"),
    )
    caption = "What could have been done otherwise, and why"
    return Table(f"alternatives-{found.analysis.name}", caption, columns, rows, folded=len(rows) > 6)


def _curves(found: MultiverseRun) -> list[Block]:
    from mtmeta.figures.layout.words import alt_text

    blocks: list[Block] = []
    for (code, curve), (file, layout) in zip(found.curves.items(), curve_layouts(found), strict=True):
        caption = (
            f"Specification curve ({code}): estimates of all analyses in their order with their intervals, "
            "above the choices that they made; the diamond is the analysis itself."
        )
        blocks += [
            _ends(found, code, curve),
            Figure(
                f"curve-{code.lower()}-{found.analysis.name}",
                spans(caption),
                alt_text(layout),
                (("plain", layout_svg(layout)),),
                files=(file,),
            ),
        ]
    return blocks


def _ends(found: MultiverseRun, code: str, curve: Curve) -> Table:
    declared = found.analysis.multiverse
    assert declared is not None
    main = {choice.choice: choice.main for choice in declared.choices}
    measure = curve.answers.measure
    rows = []
    for name, point, numbers in extremes(curve):
        value, ci = back(measure, numbers["estimate"], Interval(numbers["ci_low"], numbers["ci_high"]))
        changed = [f"{c}: {option}" for c, option in point.choices.items() if option != main[c]]
        rows.append(
            (
                _NAMES[name],
                Cell.of(Number(estimate_ci(value, ci), value)),
                Number(tau2_text(numbers["tau2"]), numbers["tau2"]),
                Number(count(numbers["k"]), numbers["k"]),
                "; ".join(changed) or "nothing",
            )
        )
    columns = (
        Column("Estimate"),
        Column(f"{code} [{100 * curve.answers.level:g}% CI]", "number"),
        Column("τ²", "number"),
        Column("Effects", "number"),
        Column("What it does otherwise than the analysis"),
    )
    name = f"ends-{code.lower()}-{found.analysis.name}"
    return Table(name, "The ends of the curve", columns, rows_of(*rows))
