"""A report as files: the page, the same as Markdown and as LaTeX, all written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mtmeta.audit.freeze import Frozen
from mtmeta.audit.run import AnalysisRun
from mtmeta.measures import check_choice
from mtmeta.records.files import write_atomic_set
from mtmeta.reports.build import report_of
from mtmeta.reports.html import html_page
from mtmeta.reports.latex import latex_text
from mtmeta.reports.markdown import markdown_text
from mtmeta.reports.plots import drawn, report_layouts
from mtmeta.reports.references import bibtex, csl_json

__all__ = ["FORMATS", "write_report"]

FORMATS = ("html", "md", "tex")


def write_report(
    runs: Sequence[AnalysisRun],
    out: Path,
    *,
    formats: Sequence[str] = ("html",),
    title: str = "",
    frozen: Mapping[str, Frozen] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Write the report of analyses.

    Parameters
    ----------
    runs : sequence of AnalysisRun
    out : Path
        Folder to write to: ``index.html``; ``report.md`` with its references as CSL in
        ``references.json``; ``report.tex`` with them as BibTeX in ``references.bib``; and below ``figures/``
        what the last two show.
    formats : sequence of {"html", "md", "tex"}
    title, frozen : optional
        See :func:`mtmeta.reports.build.report_of`.
    progress : callable, optional
        Called after each analysis with how many are done and how many there are.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    UsageError
        For an unknown format, before anything is computed, and where nothing can be written; the files of
        an earlier report are then as they were.
    """
    wanted = [check_choice("format", name, FORMATS) for name in dict.fromkeys(formats)]
    document = report_of(runs, title=title, frozen=frozen, progress=progress)
    files: dict[Path, str | bytes] = {}
    if "html" in wanted:
        files[out / "index.html"] = html_page(document)
    if "md" in wanted:
        files[out / "report.md"] = markdown_text(document)
        files[out / "references.json"] = csl_json(document.references)
    if "tex" in wanted:
        files[out / "report.tex"] = latex_text(document)
        files[out / "references.bib"] = bibtex(document.references)
    suffixes = [suffix for name, suffix in (("md", "svg"), ("tex", "pdf")) if name in wanted]
    if suffixes:
        files |= _drawn(runs, out / "figures", suffixes)
    return write_atomic_set(files)


def _drawn(runs: Sequence[AnalysisRun], folder: Path, suffixes: Sequence[str]) -> dict[Path, bytes]:
    """Draw the figures that Markdown and LaTeX point to."""
    from mtmeta.figures.files import render
    from mtmeta.figures.layout.words import alt_text

    files: dict[Path, bytes] = {}
    for run in runs:
        for name, layout, figure in drawn(list(report_layouts(run))):
            for suffix in suffixes:
                files[folder / f"{name}.{suffix}"] = render(figure, suffix, alt=alt_text(layout))
    return files
