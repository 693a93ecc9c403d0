"""What changed between two states of a review: trials, numbers, and whether the conclusion changed."""

from __future__ import annotations

import html
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mtmeta.audit.analysis import Method
from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import model_of, run_analysis
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, UsageError
from mtmeta.measures import measure_of
from mtmeta.records.folder import read_studies
from mtmeta.reports.lock import lock_of_run
from mtmeta.reports.verify import Verdict, compare_locks, read_lock

__all__ = ["AnalysisDiff", "conclusion", "diff", "diff_html", "state_of"]

Locks = dict[str, dict[str, Any]]
Status = Literal["new", "gone", "changed", "same"]


@dataclass(frozen=True, slots=True)
class AnalysisDiff:
    """What became of one question.

    Attributes
    ----------
    name : str
    status : {"new", "gone", "changed", "same"}
    verdict : Verdict or None
        Numbers that moved, with their causes; None for a question that is new or gone.
    moved_by : dict of str to float
        Trials whose change moves the estimate, with what each moves alone, largest first.
    conclusion_then, conclusion_now : str or None
        In words, by the interval against no difference.
    """

    name: str
    status: Status
    verdict: Verdict | None
    moved_by: dict[str, float]
    conclusion_then: str | None
    conclusion_now: str | None

    @property
    def conclusion_changed(self) -> bool:
        """Whether the words changed."""
        return (
            None not in (self.conclusion_then, self.conclusion_now)
            and self.conclusion_then != self.conclusion_now
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the difference as plain data."""
        return {
            "name": self.name,
            "status": self.status,
            "conclusion": {
                "then": self.conclusion_then,
                "now": self.conclusion_now,
                "changed": self.conclusion_changed,
            },
            "moved_by": self.moved_by,
            **(
                {}
                if self.verdict is None
                else {k: v for k, v in self.verdict.as_dict().items() if k != "analysis"}
            ),
        }


def conclusion(lock: Mapping[str, Any]) -> str:
    """Say what an answer concludes: whom its interval favours, or that it shows no clear difference."""
    results = lock["results"]
    null = 1.0 if measure_of(results["measure"]).is_ratio else 0.0
    low, high = results["ci"]
    if low <= null <= high:
        return "no clear difference"
    higher = low > null
    return "favours music" if higher == (results["better"] == "higher") else "favours control"


# ---- the two states -----------------------------------------------------------------------


def state_of(where: str, *, project: Path) -> Locks:
    """Return the answers of a state: a lock file, a project folder, or a git revision of `project`.

    Parameters
    ----------
    where : str
        Path of a lock file; path of a folder with ``analyses`` and ``studies``; or a revision.
    project : Path
        Folder of the project, for revisions.

    Raises
    ------
    UsageError
        For what is none of these.
    """
    path = Path(where)
    if path.is_file():
        lock = read_lock(path)
        return {lock["analysis"]: lock}
    if path.is_dir():
        return _run_folder(path)
    with tempfile.TemporaryDirectory(prefix="mtmeta-diff-") as folder:
        _check_out(where, project, Path(folder))
        return _run_folder(Path(folder))


def _run_folder(root: Path) -> Locks:
    analyses, studies = root / "analyses", root / "studies"
    if not analyses.is_dir() or not studies.is_dir():
        raise UsageError(
            f"{root} has no folders analyses and studies; name a project, a lock file or a git revision"
        )
    records = read_studies(studies)
    locks = {}
    for item in read_analyses([analyses]):
        try:
            run = run_analysis(item.analysis, records)
        except AnalysisError:
            # a question that its records could not answer has no answer to compare
            continue
        locks[item.analysis.name] = lock_of_run(run, item.path, records)
    return locks


def _git(project: Path, *args: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(project), *args], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise UsageError("git is not installed; compare folders or lock files") from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(f"git {args[0]}: {told[-1] if told else 'failed'}")
    return done.stdout


def _check_out(revision: str, project: Path, folder: Path) -> None:
    """Write the studies and analyses of a revision into a folder."""
    if revision.startswith("-"):
        raise UsageError(f"{revision!r} is no revision")
    top = Path(_git(project, "rev-parse", "--show-toplevel").decode().strip())
    inside = project.resolve().relative_to(top.resolve()).as_posix()
    prefix = "" if inside == "." else f"{inside}/"
    archive = _git(
        top, "archive", "--format=tar", f"{revision}:{prefix}" if prefix else revision, "studies", "analyses"
    )
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


# ---- the difference -----------------------------------------------------------------------


def diff(old: Locks, new: Locks) -> tuple[AnalysisDiff, ...]:
    """Compare two states question by question.

    Parameters
    ----------
    old, new : dict of str to lock document
        As from :func:`state_of`.

    Returns
    -------
    tuple of AnalysisDiff
        In order of name.
    """
    found = []
    for name in sorted({*old, *new}):
        if name not in old:
            found.append(AnalysisDiff(name, "new", None, {}, None, conclusion(new[name])))
        elif name not in new:
            found.append(AnalysisDiff(name, "gone", None, {}, conclusion(old[name]), None))
        else:
            found.append(_changed(name, old[name], new[name]))
    return tuple(found)


def _changed(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> AnalysisDiff:
    verdict = compare_locks(old, new)
    moved = {} if verdict.holds else _moved_by(old, new)
    status: Status = "same" if verdict.holds and not verdict.changes else "changed"
    return AnalysisDiff(name, status, verdict, moved, conclusion(old), conclusion(new))


def _pooled(rows: list[Mapping[str, Any]], measure: str, method: Method) -> float:
    es = EffectSizes.of(
        [r["yi"] for r in rows], [r["vi"] for r in rows], measure, study=[r["study"] for r in rows]
    )
    return measure_of(measure).back(model_of(method).fit(es).estimate)


def _moved_by(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, float]:
    """Tell what each changed trial moves: the answer of today without that trial's change."""
    measure = new["results"]["measure"]
    method = Method.model_validate(new["results"]["today"]["method"])
    then: dict[str, list[Mapping[str, Any]]] = {}
    for row in old["results"]["rows"]:
        then.setdefault(row["study"], []).append(row)
    rows: list[Mapping[str, Any]] = new["results"]["rows"]
    now = _pooled(rows, measure, method)
    told = {}
    for study in sorted({r["study"] for r in rows} | set(then)):
        mine = [(r["yi"], r["vi"]) for r in rows if r["study"] == study]
        theirs = [(r["yi"], r["vi"]) for r in then.get(study, [])]
        if mine == theirs:
            continue
        reverted = [r for r in rows if r["study"] != study] + then.get(study, [])
        if reverted:
            told[study] = now - _pooled(reverted, measure, method)
    return dict(sorted(told.items(), key=lambda item: -abs(item[1])))


# ---- as a page ----------------------------------------------------------------------------


def diff_html(differences: tuple[AnalysisDiff, ...], *, old: str, new: str) -> str:
    """Return the differences as one small page without script; all text is escaped."""
    e = html.escape
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">",
        f"<title>{e(old)} to {e(new)}</title>",
        "<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}"
        "@media (prefers-color-scheme:dark){body{background:#111;color:#eee}}</style></head><body>",
        f"<h1>{e(old)} to {e(new)}</h1>",
    ]
    for item in differences:
        if item.status == "same":
            continue
        parts.append(f"<h2>{e(item.name)}: {item.status}</h2><ul>")
        if item.conclusion_changed:
            parts.append(
                f"<li><strong>{e(str(item.conclusion_then))}</strong> became "
                f"<strong>{e(str(item.conclusion_now))}</strong></li>"
            )
        if item.verdict is not None:
            parts += [f"<li>{e(change)}</li>" for change in item.verdict.changes]
        parts += [
            f"<li>{e(study)} moves the estimate by {by:+.3g}</li>" for study, by in item.moved_by.items()
        ]
        parts.append("</ul>")
        if item.verdict is not None and item.verdict.moved:
            rows = "".join(
                f"<tr><td>{e(m.name)}</td><td>{_cell(m.old)}</td><td>{_cell(m.new)}</td></tr>"
                for m in item.verdict.moved
            )
            parts.append(f"<table><tr><th>number</th><th>then</th><th>now</th></tr>{rows}</table>")
    if all(item.status == "same" for item in differences):
        parts.append("<p>Nothing changed.</p>")
    return "\n".join([*parts, "</body></html>\n"])


def _cell(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
