"""Findings about records and analysis files: what cannot be read, and what cannot be true."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mtmeta.audit.checks.references import Retracted
from mtmeta.audit.checks.totals import contradicted_totals, off_centre_pools
from mtmeta.audit.cost import largest_move, with_costs
from mtmeta.audit.files import NamedAnalysis, read_analyses
from mtmeta.audit.findings import Finding, Severity
from mtmeta.audit.hunt import Limits, hunt
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.errors import MtmetaError, Problem, RecordError, UsageError
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.integrity import answer_of, integrity_problems
from mtmeta.records.schema import Checked, Study

__all__ = ["Counted", "Finding", "check_paths", "default_paths", "findings_of"]

_DEFAULT = Limits()

_ORDER = {"error": 0, "suspect": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Counted:
    """How much was checked."""

    records: int
    analyses: int


def default_paths() -> list[Path]:
    """Return ``studies`` and ``analyses`` of the working folder, as far as they exist.

    Raises
    ------
    UsageError
        When there is neither.
    """
    found = [p for p in (Path("studies"), Path("analyses")) if p.is_dir()]
    if not found:
        raise UsageError("there is no folder studies or analyses here; name what to check")
    return found


def _is_analysis(path: Path) -> bool:
    if path.is_dir():
        return path.name == "analyses"
    return path.parent.name == "analyses"


def check_paths(
    paths: Iterable[Path],
    *,
    retracted: Retracted | None = None,
    cost: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[Finding, ...], Counted]:
    """Check records and analysis files.

    Where both are given, the numbers of trials and participants that reviews print are held against the
    records.

    Parameters
    ----------
    paths : iterable of Path
        Files and folders of records; a folder ``analyses``, or files in one.
    retracted : Retracted, optional
        Works that were withdrawn.
    cost : bool
        Whether to re-pool every analysis that uses a suspect row, and order the findings by what they move.
    progress : callable, optional
        Called with the records read and of all.

    Returns
    -------
    findings : tuple of Finding
        Errors first, then by place.
    counted : Counted
    """
    findings: list[Finding] = []
    named: list[NamedAnalysis] = []
    folders: list[Studies] = []
    for path in paths:
        try:
            if _is_analysis(path):
                named += read_analyses([path])
            else:
                studies = read_studies(path, progress=progress)
                folders.append(studies)
                findings += findings_of(studies, retracted=retracted, progress=progress)
        except RecordError as error:
            findings += [_unreadable(problem) for problem in error.problems]
    findings += off_centre_pools((str(item.path), item.analysis) for item in named)
    if named and len(folders) == 1:
        runs = _runs(named, folders[0])
        findings += contradicted_totals(runs)
        if cost:
            findings = list(with_costs(findings, [run for _, run in runs]))
    findings.sort(key=lambda f: (_ORDER[f.severity], -largest_move(f), f.path, f.line, f.code))
    return tuple(findings), Counted(sum(map(len, folders)), len(named))


def findings_of(
    studies: Studies,
    *,
    limits: Limits = _DEFAULT,
    retracted: Retracted | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Find in records what cannot be and what is suspect.

    Parameters
    ----------
    studies : Studies
    limits : Limits
        How strong evidence must be.
    retracted : Retracted, optional
    progress : callable, optional
        Called with the trials done and of all.
    """
    return _integrity(studies) + hunt(studies, limits=limits, retracted=retracted, progress=progress)


def _runs(named: list[NamedAnalysis], studies: Studies) -> list[tuple[str, AnalysisRun]]:
    runs = []
    for item in named:
        try:
            runs.append((str(item.path), run_analysis(item.analysis, studies)))
        except MtmetaError:
            # an analysis that these records cannot answer has no totals; `mtmeta run` tells why
            continue
    return runs


def _unreadable(problem: Problem) -> Finding:
    message = f"{problem.field}: {problem.message}" if problem.field else problem.message
    return Finding("unreadable", "error", problem.path, problem.line, (), message)


def _flagged(study: Study, outcome: str | None) -> bool:
    return any(f.about == "study" or f.about == f"outcomes.{outcome}" for f in study.flags)


def _integrity(studies: Studies) -> list[Finding]:
    found = []
    for study in studies:
        for problem in integrity_problems(study):
            answer = answer_of(study, problem)
            if isinstance(answer, Checked):
                continue
            # a person has decided what the value should be, or has flagged the row: known, no longer
            # open; a flagged row stays out of every pool until it is answered
            corrected, flagged = answer is not None, _flagged(study, problem.outcome)
            known = problem.severity == "warning" or corrected or flagged
            severity: Severity = "note" if known else "error"
            if problem.code == "score-outside-range" and not corrected and not flagged:
                # it rests on the library's range, not on the record alone
                severity = "suspect"
            kept = flagged and not corrected and problem.severity == "error"
            told = " (flagged; not pooled)" if kept else ""
            name = study.id if problem.outcome is None else f"{study.id}/{problem.outcome}"
            found.append(
                Finding(
                    problem.code,
                    severity,
                    str(studies.path_of(study.id)),
                    studies.line_of(study.id, problem.outcome),
                    (name,),
                    f"{problem.field}: {problem.message}{told}",
                )
            )
    return found
