"""Summary of findings: the pooled effect in absolute terms, how certain it is, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtmeta.audit.grade import Certainty, Rating, grade_of
from mtmeta.audit.run import AnalysisRun
from mtmeta.reports.absolute import Absolute, absolute_effects
from mtmeta.reports.document import (
    Block,
    Cell,
    Cite,
    Column,
    Jump,
    Note,
    Paragraph,
    Section,
    Spans,
    Table,
    TableRow,
    Tone,
    spans,
)
from mtmeta.reports.locked import Locked
from mtmeta.reports.phrases import counted, finding_sentence, joined, level_words
from mtmeta.reports.references import cited

__all__ = ["findings_section", "findings_table", "grade_table"]

_TONES: dict[str, Tone] = {"high": "good", "moderate": "good", "low": "fair", "very low": "poor"}
_SOURCES = {
    "risk of bias": "method-guyatt-2011-bias",
    "inconsistency": "method-guyatt-2011-inconsistency",
    "imprecision": "method-zeng-2022",
    "publication bias": "method-guyatt-2011-publication",
}


def findings_section(run: AnalysisRun, locked: Locked, *, certainty: Certainty | None = None) -> Section:
    """Return the summary of findings of one analysis: the sentence, absolute effects, and GRADE's reasons."""
    name = run.analysis.name
    rated = grade_of(run) if certainty is None else certainty
    blocks: tuple[Block, ...] = (
        Paragraph.of(finding_sentence(run, rated)),
        _absolute_table(run, locked, rated),
        grade_table(run, rated),
        *_certainty_notes(rated),
    )
    return Section(f"findings-{name}", "Summary of findings", blocks)


def findings_table(
    runs: Sequence[AnalysisRun],
    locks: Sequence[Locked],
    *,
    certainties: Sequence[Certainty] | None = None,
    jump: str = "",
) -> Table:
    """Return one row an analysis: trials, people, effect, absolute effects, certainty.

    Parameters
    ----------
    runs, locks : sequences of equal length
    certainties : sequence of Certainty, optional
        What :func:`mtmeta.audit.grade.grade_of` gave, where it is at hand.
    jump : str
        Beginning of the id of the section that a row points to, such as ``findings-``; empty for no jump.
    """
    rows = []
    rated = [grade_of(run) for run in runs] if certainties is None else certainties
    for run, locked, certainty in zip(runs, locks, rated, strict=True):
        effects = {a.kind: a for a in absolute_effects(run)}
        title = run.analysis.title
        rows.append(
            TableRow(
                (
                    Cell.of(Jump(title, f"{jump}{run.analysis.name}") if jump else title, sort=title),
                    Cell.of(locked.count("today/k")),
                    Cell.of(locked.count("today/n")),
                    Cell(
                        spans(f"{run.analysis.measure} ", *locked.estimate("today")),
                        sort=locked.get("today/estimate"),
                    ),
                    _known_cell(effects["superiority"]),
                    _known_cell(effects["points"]),
                    _certainty_cell(certainty),
                    Cell.of(finding_sentence(run, certainty)),
                )
            )
        )
    columns = (
        Column("Question"),
        Column("Effects", "number"),
        Column("People", "number"),
        Column("Pooled [CI]", "number"),
        Column("Better in 100 pairs", "number", "One person with music and one without; 50 is chance."),
        Column("Points of a scale", "number"),
        Column("Certainty", "text", "GRADE; proposed by rules where nobody decided."),
        Column("What was found"),
    )
    return Table("findings", "Summary of findings", columns, tuple(rows), sortable=True, filterable=True)


def _known_cell(effect: Absolute) -> Cell:
    return Cell(effect.spans, sort=effect.value) if effect.known else Cell.of("-")


def _certainty_cell(certainty: Certainty) -> Cell:
    order = ("very low", "low", "moderate", "high").index(certainty.level)
    return Cell.of(level_words(certainty), sort=float(order), tone=_TONES[certainty.level])


# ---- absolute effects -----------------------------------------------------------------------------


def _absolute_table(run: AnalysisRun, locked: Locked, certainty: Certainty) -> Table:
    name = run.analysis.name
    rows = [
        _row("Trials", spans(locked.count("today/k"), _effects_of(run), locked.count("today/n")), ""),
        _row(f"{run.analysis.measure} [95% CI]", _estimate(run, locked), _direction(run)),
    ]
    rows += [_row(a.title, a.spans, a.assumes) for a in absolute_effects(run)]
    rows.append(
        TableRow((Cell.of("Certainty (GRADE)"), _certainty_cell(certainty), Cell.of(_who(certainty))))
    )
    return Table(
        f"sof-{name}",
        f"Summary of findings: {run.analysis.question.outcome}",
        (Column("In terms of"), Column("Music against the comparator", "number"), Column("Rests on")),
        tuple(rows),
        (
            spans(
                "Probability of superiority: ",
                Cite("method-mcgraw-1992"),
                "; responders and number needed to treat from a standardised difference: ",
                Cite("method-furukawa-2011"),
                ". Intervals carry the uncertainty of the pooled effect, not that of what they rest on.",
            ),
        ),
    )


def _row(title: str, value: Spans, rests: str) -> TableRow:
    return TableRow((Cell.of(title), Cell(value), Cell.of(rests)))


def _effects_of(run: AnalysisRun) -> str:
    effects, trials = run.effects.k, len(set(run.effects.study))
    word = "trial" if effects == 1 else "trials"
    return f" {word}, people: " if effects == trials else f" effects of {counted(trials, 'trial')}, people: "


def _estimate(run: AnalysisRun, locked: Locked) -> Spans:
    if run.analysis.model.level == 0.95:
        return locked.estimate("today")
    from mtmeta.reports.results import effect_spans

    return effect_spans(run, run.result.estimate, run.result.ci(0.95))


def _direction(run: AnalysisRun) -> str:
    return f"music minus comparator; {run.analysis.better} is better"


# ---- GRADE ----------------------------------------------------------------------------------------


def grade_table(run: AnalysisRun, certainty: Certainty | None = None) -> Table:
    """Return the five domains of GRADE: what the rule proposes, what a person decided, and why."""
    found = grade_of(run) if certainty is None else certainty
    start = TableRow(
        (
            Cell.of("Begins"),
            Cell.of(found.start_proposed),
            Cell.of(found.start if found.start_decided else "-"),
            Cell.of(found.start_why),
        )
    )
    rows = [start, *(_domain(r) for r in found.ratings)]
    if found.up:
        rows.append(_four("Rated up", "-", f"{counted(found.up, 'level')} up", found.up_why))
    rows.append(
        TableRow(
            (
                Cell.of("Certainty"),
                Cell.of(found.proposed, tone=_TONES[found.proposed]),
                Cell.of(found.decided or "-", tone=_TONES[found.decided] if found.decided else ""),
                Cell.of(level_words(found), tone=_TONES[found.level]),
            ),
        )
    )
    columns = (
        Column("Domain"),
        Column("Proposed by rule"),
        Column("Decided by a person"),
        Column("Why"),
    )
    return Table(
        f"grade-{run.analysis.name}",
        "Certainty of the evidence (GRADE)",
        columns,
        tuple(rows),
        (
            spans(
                "Approach: ",
                Cite("method-schunemann-2019"),
                ", ",
                Cite("method-balshem-2011"),
                ". The rules propose; a decision in the analysis file wins.",
            ),
        ),
    )


def _four(*texts: Any) -> TableRow:
    return TableRow(tuple(Cell.of(t) for t in texts))


def _domain(rating: Rating) -> TableRow:
    proposed = "not judged by rule" if rating.proposed is None else _down(rating.proposed, rating.domain)
    decided = "-" if rating.decided is None else _down(rating.decided, rating.domain)
    why: list[Any] = [*cited(rating.why)]
    source = _SOURCES.get(rating.domain)
    if source is not None:
        why += [" (", Cite(source), ")"]
    if rating.decided is not None:
        why.append(f" Decided by {rating.by} on {rating.when}: {rating.reason}")
    return TableRow((Cell.of(rating.domain.capitalize()), Cell.of(proposed), Cell.of(decided), Cell.of(*why)))


def _down(levels: int, domain: str) -> str:
    if domain == "publication bias" and levels < 2:
        return "suspected (-1)" if levels else "undetected"
    words = {0: "not serious", 1: "serious", 2: "very serious", 3: "extremely serious"}[levels]
    return words if levels == 0 else f"{words} (-{levels})"


def _who(certainty: Certainty) -> str:
    if certainty.decided is None:
        told = "proposed by rules; nobody has decided"
    else:
        told = "decided by a person where the table below says so, by rules elsewhere"
    if certainty.not_judged:
        told += f"; {joined(list(certainty.not_judged))} not judged"
    return told


def _certainty_notes(certainty: Certainty) -> tuple[Block, ...]:
    if not certainty.not_judged:
        return ()
    who = f"Nobody has judged {joined(list(certainty.not_judged))}"
    if certainty.level == "very low":
        return (Note.of(f"{who}; the certainty is very low without it."),)
    return (
        Note.of(
            f"{who}: the certainty can only be lower than what stands here, unless somebody rates it up. "
            "Decisions are written under grade: in the analysis file."
        ),
    )
