"""The report of analyses, put together: one section an analysis, then what all of them share."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from mtmeta.audit.freeze import Frozen
from mtmeta.audit.grade import Certainty, grade_of
from mtmeta.audit.run import AnalysisRun
from mtmeta.errors import UsageError
from mtmeta.reports.bayes_table import bayes_section
from mtmeta.reports.document import (
    Block,
    Cell,
    Code,
    Column,
    Document,
    Jump,
    Listing,
    Number,
    Paragraph,
    Section,
    Span,
    Table,
    TableRow,
    spans,
)
from mtmeta.reports.explorer import explorer_section
from mtmeta.reports.findings import findings_section, findings_table
from mtmeta.reports.locked import Locked
from mtmeta.reports.multiverse_section import multiverse_sections
from mtmeta.reports.plain import plain_section
from mtmeta.reports.plan import plan_section
from mtmeta.reports.prose_analysis import prose_section
from mtmeta.reports.references import cited_references
from mtmeta.reports.results import results_section, sensitivity_section
from mtmeta.reports.sections import (
    answer_blocks,
    bias_section,
    flow_section,
    forest_section,
    question_section,
)
from mtmeta.reports.selective import missing_section
from mtmeta.reports.tables import trials_section
from mtmeta.reports.unreported import unreported_section
from mtmeta.reports.words import count

__all__ = ["report_of"]

_PACKAGES = ("numpy", "scipy", "pandas", "pydantic", "PyYAML", "matplotlib", "formulaic", "Jinja2")


def report_of(
    runs: Sequence[AnalysisRun],
    *,
    title: str = "",
    frozen: Mapping[str, Frozen] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Document:
    """Put the report of one or several analyses together.

    Parameters
    ----------
    runs : sequence of AnalysisRun
        What :func:`mtmeta.audit.run.run_analysis` gave.
    title : str, optional
        Of the report; the title of a single analysis by default.
    frozen : dict of str to Frozen, optional
        Frozen plans by the name of the analysis; the report lists every departure.
    progress : callable, optional
        Called after each analysis with how many are done and how many there are.

    Returns
    -------
    Document
        Content alone; :func:`mtmeta.reports.html.html_page` and its neighbours write it.

    Raises
    ------
    UsageError
        When there is no analysis.
    """
    if not runs:
        raise UsageError("there is no analysis to report; run at least one")
    sections: list[Section] = []
    locks = [Locked.of(run) for run in runs]
    rated = [grade_of(run) for run in runs]
    for done, (run, locked, certainty) in enumerate(zip(runs, locks, rated, strict=True), 1):
        sections.append(_analysis(run, locked, certainty, (frozen or {}).get(run.analysis.name)))
        if progress is not None:
            progress(done, len(runs))
    if len(runs) > 1:
        findings = findings_table(runs, locks, certainties=rated, jump="findings-")
        sections.insert(0, _overview(runs, locks))
        sections.insert(1, Section("all-findings", "Summary of findings", (findings,)))
    sections += [_data_section(runs), _version_section()]
    chosen = title or (runs[0].analysis.title if len(runs) == 1 else f"{len(runs)} questions, pooled")
    return Document(
        chosen,
        tuple(sections),
        cited_references(sections, {s.id: s for run in runs for s in run.studies}.values()),
        subtitle="Every number on this page is computed from what sources printed, and can be traced back.",
    )


def _analysis(run: AnalysisRun, locked: Locked, certainty: Certainty, frozen: Frozen | None) -> Section:
    parts = (
        question_section(run),
        plain_section(run, locked, certainty=certainty, jump=f"results-{run.analysis.name}"),
        findings_section(run, locked, certainty=certainty),
        flow_section(run, locked),
        trials_section(run, locked),
        bias_section(run),
        forest_section(run),
        results_section(run, locked),
        bayes_section(run, locked),
        explorer_section(run),
        sensitivity_section(run),
        *multiverse_sections(run),
        missing_section(run),
        unreported_section(run),
        plan_section(run, frozen),
        prose_section(run, locked, certainty=certainty),
    )
    return Section(
        f"analysis-{run.analysis.name}", run.analysis.title, answer_blocks(run, locked), tuple(parts)
    )


# ---- what all share -------------------------------------------------------------------------------


def _overview(runs: Sequence[AnalysisRun], locks: Sequence[Locked]) -> Section:
    rows = []
    for run, locked in zip(runs, locks, strict=True):
        identity = f"analysis-{run.analysis.name}"
        rows.append(
            TableRow(
                (
                    Cell.of(Jump(run.analysis.title, identity), sort=run.analysis.title),
                    Cell.of(locked.count("today/k")),
                    Cell.of(locked.count("today/n")),
                    Cell(spans(f"{run.analysis.measure} ", *locked.estimate()), sort=locked.get("estimate")),
                    Cell(locked.interval("today/pi"), sort=(locked.get("today/pi") or [None])[0]),
                    Cell.of(locked.percent("today/i2")),
                    Cell.of("lower" if run.analysis.better == "lower" else "higher"),
                    Cell.of(run.agreement or "nothing published found"),
                )
            )
        )
    columns = (
        Column("Question"),
        Column("Effects", "number"),
        Column("People", "number"),
        Column("Pooled [CI]", "number"),
        Column("Prediction interval", "number"),
        Column("I²", "number"),
        Column("Better"),
        Column("Beside the published figure"),
    )
    table = Table("questions", "All questions", columns, tuple(rows), sortable=True, filterable=True)
    return Section("overview", "Overview", (table,))


def _data_section(runs: Sequence[AnalysisRun]) -> Section:
    from mtmeta.reports.sections import pooled_studies

    studies = {study.id for run in runs for study in pooled_studies(run)}
    number = Number(count(len(studies)), float(len(studies)))
    items = [
        spans(
            "Records: one YAML file a trial below ",
            Span("studies/", "code"),
            ", each number with its source.",
        ),
        spans("Questions and models: one YAML file each in ", Span("analyses/", "code"), "."),
        spans(
            "Results: beside each question a lock file (",
            Span(".lock.json", "code"),
            ") with every number at 12 significant digits, the hashes of all inputs and versions. ",
            Span("mtmeta verify", "code"),
            " tells whether they still hold, ",
            Span("mtmeta diff", "code"),
            " what moved.",
        ),
        spans(
            "One trial from print to pooled estimate: ",
            Span("mtmeta why ANALYSIS STUDY", "code"),
            ", and ",
            Span("--hand", "code"),
            " for the whole calculation.",
        ),
    ]
    told = Paragraph(
        spans(
            "The trials pooled here are ",
            number,
            ". This page is made by ",
            Span("mtmeta report", "code"),
            ".",
        )
    )
    return Section("availability", "Data and code", (told, Listing(tuple(items))))


def _version_section() -> Section:
    lines = [f"mtmeta {version('mtmeta')}", f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            lines.append(f"{package} (not installed as a package)")
    blocks: tuple[Block, ...] = (Code("\n".join(lines)),)
    return Section("versions", "Versions", blocks)
