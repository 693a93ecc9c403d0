"""Sections of a report on what was asked and what went in: question, flow, risk of bias, forest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from mtmeta.audit.run import AnalysisRun
from mtmeta.errors import MtmetaError
from mtmeta.figures.layout.lights import JUDGEMENTS, TOOLS
from mtmeta.records.schema import Study
from mtmeta.reports.document import (
    Block,
    Cell,
    Column,
    Detail,
    Figure,
    Note,
    Number,
    Paragraph,
    Section,
    Span,
    Table,
    TableRow,
    Tone,
    spans,
)
from mtmeta.reports.locked import Locked
from mtmeta.reports.plots import LONGEST, forest_files, forest_of, layout_svg
from mtmeta.reports.words import count

__all__ = [
    "answer_blocks",
    "bias_section",
    "flow_section",
    "forest_section",
    "place_of",
    "pooled_studies",
    "question_section",
    "readable",
    "rows_of",
]

STYLES = ("plain", "cochrane", "jama")


def rows_of(*rows: Iterable[Any]) -> tuple[TableRow, ...]:
    """Make rows of a table from strings, spans, numbers and cells."""
    return tuple(TableRow(tuple(_cell(value) for value in row)) for row in rows)


def _cell(value: Any) -> Cell:
    if isinstance(value, Cell):
        return value
    return Cell.of(*value) if isinstance(value, tuple) else Cell.of(value)


def pooled_studies(run: AnalysisRun) -> list[Study]:
    """Return the records of the trials that are pooled, in the order of the effects."""
    known = {study.id: study for study in run.studies}
    return [known[name] for name in dict.fromkeys(run.effects.study) if name in known]


def place_of(path: str, line: int) -> str:
    """Return where a record stands, from the folder of the records on: no folder of a machine is told.

    Examples
    --------
    >>> place_of("/some/where/studies/cardiac/white-1999.yaml", 12)
    'studies/cardiac/white-1999.yaml:12'
    """
    parts = PurePath(path).parts
    last = max((i for i, part in enumerate(parts) if part == "studies"), default=len(parts) - 1)
    return f"{'/'.join(parts[last:])}:{line}" if path else "a record made in Python"


# ---- question and answer --------------------------------------------------------------------------


def answer_blocks(run: AnalysisRun, locked: Locked) -> tuple[Block, ...]:
    """Tell the answer in one paragraph, then what must be known about it."""
    analysis = run.analysis
    level = f"{100 * analysis.model.level:g}%"
    lower = "lower is better" if analysis.better == "lower" else "higher is better"
    effects = locked.get("today/k")
    trials = len(set(run.effects.study))
    what = "trials" if effects == trials else f"effects of {trials} trials"
    parts: list[Any] = [
        Span(f"{analysis.measure} ", "strong"),
        *locked.estimate("today"),
        f" ({level} CI), ",
        locked.count("today/k"),
        f" {'trial' if effects == 1 else what}, ",
        locked.count("today/n"),
        f" people; {lower}. ",
    ]
    if locked.get("today/pi") is None:
        parts.append("No prediction interval: ")
        parts.append(
            "a common-effect model says nothing of a new trial."
            if analysis.model.kind == "common"
            else "it needs at least three trials."
        )
    else:
        parts += [f"{level} prediction interval ", *locked.interval("today/pi"), ". "]
    out: list[Block] = [Paragraph(spans(*parts))]
    out += [Note.of(readable(text, run), kind="warning") for text in run.warnings]
    if analysis.note:
        out.append(Note.of(analysis.note))
    return tuple(out)


def readable(text: str, run: AnalysisRun) -> str:
    """Make a warning a sentence, with trials by the names that readers know."""
    pooled = set(run.effects.study)
    labels = {study.id: study.label for study in run.studies if study.id in pooled}
    named = re.sub(r"[a-z0-9]+(?:-[a-z0-9]+)+", lambda found: labels.get(found[0], found[0]), text)
    return f"{named[:1].upper()}{named[1:].rstrip('.')}."


def question_section(run: AnalysisRun) -> Section:
    """Return the question in its parts."""
    analysis, question = run.analysis, run.analysis.question
    rows = rows_of(
        ("Population", question.population),
        ("Intervention", question.intervention),
        ("Comparator", question.comparator),
        ("Outcome", f"{question.outcome} ({analysis.better} is better)"),
        ("Time", question.time),
        ("Effect measure", f"{run.effects.measure.label} ({analysis.measure}), music minus comparator"),
        ("Model", analysis.model.words),
    )
    table = Table(
        f"asked-{analysis.name}",
        "What is asked, and how it is answered",
        (Column("Part"), Column("In this analysis")),
        rows,
    )
    return Section(f"question-{analysis.name}", "Question", (table,))


# ---- flow -----------------------------------------------------------------------------------------


def flow_section(run: AnalysisRun, locked: Locked) -> Section:
    """Return the way from the trials looked at to those pooled, with every reason on it."""
    name = run.analysis.name
    pooled = list(dict.fromkeys(run.effects.study))
    pooled_set = set(pooled)
    out = [item for item in run.left_out if item.study not in pooled_set]
    trials_out = len({item.study for item in out})
    looked = len(pooled) + trials_out
    steps = rows_of(
        ("Trials whose records were looked at", Number(count(looked), looked)),
        ("Trials of which no row is pooled", Number(count(trials_out), trials_out)),
        ("Trials pooled", Number(count(len(pooled)), len(pooled))),
        ("Effects pooled", locked.count("today/k")),
        ("People in them", locked.count("today/n")),
    )
    blocks: list[Block] = [
        Paragraph.of(
            "The records hold trials that reviews had already found; how many reports were searched and "
            "screened for them is not recorded, so the flow begins at the records."
        ),
        Table(
            f"steps-{name}",
            "From the records to the pooled estimate",
            (Column("Step"), Column("Count", "number")),
            steps,
        ),
    ]
    if run.left_out:
        labels = {study.id: study.label for study in run.studies}
        reasons = Counter(item.reason for item in run.left_out)
        summed = rows_of(*((reason, Number(count(times), times)) for reason, times in reasons.most_common()))
        blocks.append(
            Table(
                f"reasons-{name}",
                "Why rows are left out",
                (Column("Reason"), Column("Rows", "number")),
                summed,
                sortable=True,
                folded=len(summed) > 12,
            )
        )
        caption = f"All {len(run.left_out)} rows left out, one by one"
        left = rows_of(
            *((labels.get(x.study, x.study), x.outcome or "the whole trial", x.reason) for x in run.left_out)
        )
        columns = (Column("Trial"), Column("Outcome in its record"), Column("Reason"))
        blocks.append(
            Table(
                f"left-{name}", caption, columns, left, sortable=True, filterable=True, folded=len(left) > 6
            )
        )
    else:
        blocks.append(Paragraph.of("Nothing that was looked at is left out."))
    return Section(f"flow-{name}", "Flow of trials", tuple(blocks))


# ---- risk of bias ---------------------------------------------------------------------------------

_TONES: tuple[tuple[int, Tone], ...] = ((0, "good"), (2, "fair"), (9, "poor"))


def _tone(judgement: str) -> Tone:
    if judgement in ("", "no information"):
        return "unknown"
    rank = JUDGEMENTS[judgement][3]
    return next(tone for most, tone in _TONES if rank <= most)


def bias_section(run: AnalysisRun) -> Section:
    """Return the judgements on risk of bias, a table for each tool."""
    name = run.analysis.name
    studies = pooled_studies(run)
    blocks: list[Block] = []
    for position, (tool, domains) in enumerate(TOOLS.items()):
        judged = [s for s in studies if s.risk_of_bias is not None and s.risk_of_bias.tool == tool]
        if judged:
            blocks.append(_bias_table(f"rob-{name}-{position}", tool, domains, judged))
    without = [s for s in studies if s.risk_of_bias is None or s.risk_of_bias.tool == "not assessed"]
    if without:
        blocks.append(
            Note.of(
                f"No judgement is held for {len(without)} of {len(studies)} trials: ",
                "; ".join(s.label for s in without),
                ". Nothing is assumed about them.",
                kind="warning",
            )
        )
    return Section(f"rob-{name}", "Risk of bias", tuple(blocks))


def _bias_table(name: str, tool: str, domains: Iterable[tuple[str, str]], studies: list[Study]) -> Table:
    used = [(key, title) for key, title in domains if any(getattr(s.risk_of_bias, key) for s in studies)]
    rows = []
    for study in studies:
        cells = [Cell.of(study.label)]
        for key, _ in used:
            judgement = getattr(study.risk_of_bias, key) or ""
            cells.append(Cell.of(judgement or "not judged", tone=_tone(judgement)))
        told = study.risk_of_bias.judged_by if study.risk_of_bias is not None else None
        cells.append(Cell.of(told or "not stated"))
        rows.append(TableRow(tuple(cells)))
    columns = (Column("Trial"), *(Column(title) for _, title in used), Column("Judged by"))
    caption = f"Risk of bias, {tool}, as judged by the source named"
    missing = [title for key, title in domains if (key, title) not in used]
    notes = (spans(f"No judgement is held on: {'; '.join(missing)}."),) if missing else ()
    return Table(name, caption, columns, tuple(rows), notes, sortable=True, filterable=len(rows) > 8)


# ---- forest ---------------------------------------------------------------------------------------


def forest_section(run: AnalysisRun, *, styles: Iterable[str] = STYLES) -> Section:
    """Return the forest plot, and behind each row its way back to what a source printed."""
    analysis = run.analysis
    identity, title = f"forest-{analysis.name}", "Forest plot"
    if run.effects.k > LONGEST:
        told = f"{run.effects.k} effects are too many for a forest plot that can be read; "
        return Section(identity, title, (Note.of(told, "the table of trials lists them.", kind="refusal"),))
    from mtmeta.figures.layout.words import alt_text, caption

    drawings, first = [], None
    for style in styles:
        layout = forest_of(run, style=style)
        first = layout if first is None else first
        drawings.append((style, layout_svg(layout)))
    assert first is not None
    details = _details(run, [row.id for row in first.rows if row.kind == "study"])
    figure = Figure(
        f"plot-{analysis.name}",
        spans(caption(first)),
        alt_text(first),
        tuple(drawings),
        details,
        files=tuple(name for name, _ in forest_files(first, analysis.name)),
    )
    return Section(identity, title, (figure,))


def _details(run: AnalysisRun, names: list[str]) -> tuple[Detail, ...]:
    """Find for each row of the plot what stands behind it; the second row of a trial has "-2" at its end."""
    if not run.studies:
        return ()
    by_name = _names(run)
    return tuple(_detail(run, by_name[name], name) for name in names if name in by_name)


def _names(run: AnalysisRun) -> Mapping[str, str]:
    """Map the name of each row to its trial, as the layout names them."""
    from mtmeta.figures.layout.table import Row, numbered

    rows = numbered([Row("study", 0, id=study) for study in run.effects.study])
    return {row.id: study for row, study in zip(rows, run.effects.study, strict=True)}


def _detail(run: AnalysisRun, study: str, name: str) -> Detail:
    from mtmeta.reports.why import route_lines, why

    try:
        chain = why(run, study)
    except MtmetaError as error:
        return Detail(name, study, (("not traced", spans(str(error))),))
    pairs = [(part, spans(text)) for part, text in route_lines(chain, place_of)]
    reference = chain.study.citation
    if reference.doi or reference.pmid:
        from mtmeta.reports.document import Link

        text = f"doi:{reference.doi}" if reference.doi else f"PMID {reference.pmid}"
        pairs.append(("report", spans(Link(text, doi=reference.doi, pmid=reference.pmid))))
    return Detail(name, chain.study.label, tuple(pairs))
