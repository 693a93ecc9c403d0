"""Lock files: every number of an analysis, the hashes of its inputs and the versions behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mtmeta.audit.analysis import Analysis
from mtmeta.audit.run import AnalysisRun
from mtmeta.records.folder import Studies
from mtmeta.reports.summary import run_summary

__all__ = ["LOCK_SCHEMA", "lock_document", "lock_of_run", "lock_text", "used_records"]

LOCK_SCHEMA = 1


def _digest(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _versions() -> dict[str, str]:
    """Versions behind the numbers, other packages' without the patch level, which shall not move a lock."""
    minor = {package: ".".join(version(package).split(".")[:2]) for package in ("numpy", "scipy")}
    return {"mtmeta": version("mtmeta"), **minor}


def _question(analysis: Analysis) -> str:
    """Hash what decides which rows are pooled and how their effects are computed, and no comment or title."""
    parts = analysis.model_dump(
        mode="json", by_alias=True, include={"select", "routes", "measure", "today"}, exclude_defaults=True
    )
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def lock_document(
    analysis: Analysis,
    summary: dict[str, Any],
    *,
    analysis_file: Path,
    record_files: Iterable[tuple[str, str | Path]],
) -> dict[str, Any]:
    """Build the lock of one analysis.

    Parameters
    ----------
    analysis : Analysis
    summary : dict
        Its answer, :func:`mtmeta.reports.summary.run_summary`.
    analysis_file : Path
    record_files : iterable of (study id, Path)
        Files of the trials whose rows were selected.

    Returns
    -------
    dict
        ``schema``, ``analysis``, ``versions``, ``inputs`` (hashes) and ``results``; no time, no
        platform, no absolute path.
    """
    return {
        "schema": LOCK_SCHEMA,
        "analysis": analysis.name,
        "versions": dict(_versions()),
        "inputs": {
            "analysis": {
                "file": analysis_file.name,
                "hash": _digest(analysis_file),
                "question": _question(analysis),
            },
            "records": {study: _digest(Path(path)) for study, path in sorted(record_files)},
        },
        "results": summary,
    }


def lock_of_run(run: AnalysisRun, analysis_file: Path, records: Studies) -> dict[str, Any]:
    """Build the lock of an analysis with the records that were read for it."""
    files = [(study, records.path_of(study)) for study in used_records(run)]
    return lock_document(run.analysis, run_summary(run), analysis_file=analysis_file, record_files=files)


def used_records(run: AnalysisRun) -> list[str]:
    """Return the trials whose records the numbers of a run come from."""
    published = {s for p in run.published if p.effects is not None for s in p.effects.study}
    return sorted(set(run.selected.study) | published)


def lock_text(document: dict[str, Any]) -> str:
    """Write a lock document as JSON text, in one order, with a final newline."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
