"""Section of a report on what was planned, what is doubted in the trials, and what people decided."""

from __future__ import annotations

from collections.abc import Iterator

from mtmeta.audit.freeze import Frozen, departures
from mtmeta.audit.run import AnalysisRun
from mtmeta.records.schema import Study
from mtmeta.reports.document import Block, Column, Listing, Paragraph, Section, Table, spans
from mtmeta.reports.sections import pooled_studies, rows_of

__all__ = ["plan_section"]


def plan_section(run: AnalysisRun, frozen: Frozen | None = None) -> Section:
    """Return departures from the frozen plan, known doubts about pooled rows, and the answers people gave.

    Parameters
    ----------
    run : AnalysisRun
    frozen : Frozen, optional
        What ``mtmeta freeze`` kept; without it the report says that nothing was frozen.
    """
    name = run.analysis.name
    blocks: list[Block] = [*_plan(run, frozen)]
    doubts = list(_doubts(run))
    if doubts:
        columns = (Column("Trial"), Column("About"), Column("What"), Column("Kind"))
        caption = "Doubts about pooled rows that are known, and how people answered them"
        blocks.append(Table(f"doubts-{name}", caption, columns, rows_of(*doubts)))
    else:
        blocks.append(
            Paragraph.of("No pooled row carries a known doubt, a correction or an answered finding.")
        )
    return Section(f"plan-{name}", "Plan, doubts and decisions", tuple(blocks))


def _plan(run: AnalysisRun, frozen: Frozen | None) -> Iterator[Block]:
    if frozen is None:
        yield Paragraph.of("No plan of this analysis was frozen before the data came in.")
        return
    later = sorted(set(run.effects.study) - set(frozen.known))
    known = len(set(run.effects.study)) - len(later)
    blind = (
        "none of the pooled trials was known then"
        if not known
        else f"{known} of the {known + len(later)} pooled trials were known then"
    )
    yield Paragraph.of(f"The plan was frozen on {frozen.when} (mtmeta {frozen.engine}); {blind}.")
    told = departures(frozen, run.analysis)
    if told:
        yield Paragraph.of("Departures from it:")
        yield Listing(tuple(spans(str(departure)) for departure in told))
    else:
        yield Paragraph.of("The analysis does not depart from it.")


def _doubts(run: AnalysisRun) -> Iterator[tuple[str, str, str, str]]:
    columns = run.effects.columns
    rows: dict[str, set[str]] = {}
    for i, trial in enumerate(run.effects.study):
        own = rows.setdefault(trial, set())
        if columns is not None and "outcome" in columns:
            own.add(str(columns["outcome"].iloc[i]))
    for study in pooled_studies(run):
        yield from _of_study(study, rows[study.id], corrected=run.analysis.today.corrected)


def _of_study(study: Study, outcomes: set[str], *, corrected: bool) -> Iterator[tuple[str, str, str, str]]:
    def concerns(about: str) -> bool:
        return about == "study" or any(f"{about}.".startswith(f"outcomes.{outcome}.") for outcome in outcomes)

    def shown(about: str) -> str:
        return "the trial" if about == "study" else about.removeprefix("outcomes.")

    for flag in study.flags:
        if concerns(flag.about):
            yield study.label, shown(flag.about), flag.note, f"doubt ({flag.code})"
    for answer in study.checked:
        if concerns(answer.about):
            told = f"{answer.why} ({answer.by}, {answer.when})"
            yield study.label, shown(answer.about), told, f"answered ({answer.code})"
    for outcome in study.outcomes:
        if outcome.id in outcomes and outcome.corrected is not None:
            used = "correction, used" if corrected else "correction, not used here"
            yield study.label, outcome.id, outcome.corrected.why, used
