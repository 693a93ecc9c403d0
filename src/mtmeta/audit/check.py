"""Findings about records and analysis files: what cannot be read, and what cannot be true."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mtmeta.audit.files import read_analyses
from mtmeta.audit.findings import Finding, Severity
from mtmeta.audit.hunt import hunt
from mtmeta.errors import Problem, RecordError, UsageError
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.integrity import answer_of, integrity_problems
from mtmeta.records.schema import Checked, Study

__all__ = ["Counted", "Finding", "check_paths", "default_paths"]

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
    paths: Iterable[Path], *, progress: Callable[[int, int], None] | None = None
) -> tuple[tuple[Finding, ...], Counted]:
    """Check records and analysis files.

    Returns
    -------
    findings : tuple of Finding
        Errors first, then by place.
    counted : Counted
    """
    findings: list[Finding] = []
    records = analyses = 0
    for path in paths:
        try:
            if _is_analysis(path):
                analyses += len(read_analyses([path]))
            else:
                studies = read_studies(path, progress=progress)
                records += len(studies)
                findings += _integrity(studies)
                findings += hunt(studies)
        except RecordError as error:
            findings += [_unreadable(problem) for problem in error.problems]
    findings.sort(key=lambda f: (_ORDER[f.severity], f.path, f.line, f.code))
    return tuple(findings), Counted(records, analyses)


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
