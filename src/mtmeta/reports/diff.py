"""What changed between two states of a review: trials, numbers, and whether the conclusion changed."""

from __future__ import annotations

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

__all__ = ["AnalysisDiff", "certainty", "conclusion", "diff", "state_of"]

Locks = dict[str, dict[str, Any]]
Status = Literal["new", "gone", "changed", "same"]


@dataclass(frozen=True, slots=True)
class AnalysisDiff:
    """What became of one question.

    Attributes
    ----------
    name, title : str
    status : {"new", "gone", "changed", "same"}
    verdict : Verdict or None
        Numbers that moved, with their causes; None for a question that is new or gone.
    trials : dict of str to tuple of str
        Trials pooled that were ``added``, ``removed`` or ``corrected`` (their effect is another).
    moved_by : dict of str to float
        Trials whose change moves the estimate, with what each moves alone, largest first.
    conclusion_then, conclusion_now : str or None
        In words, by the analysis' own rule.
    certainty_then, certainty_now : str or None
        By GRADE; None where a lock does not hold it.
    """

    name: str
    title: str
    status: Status
    verdict: Verdict | None
    trials: dict[str, tuple[str, ...]]
    moved_by: dict[str, float]
    conclusion_then: str | None
    conclusion_now: str | None
    certainty_then: str | None
    certainty_now: str | None

    @property
    def conclusion_changed(self) -> bool:
        """Whether the words changed."""
        return _changed_words(self.conclusion_then, self.conclusion_now)

    @property
    def certainty_changed(self) -> bool:
        """Whether the certainty changed."""
        return _changed_words(self.certainty_then, self.certainty_now)

    def as_dict(self) -> dict[str, Any]:
        """Return the difference as plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "status": self.status,
            "conclusion": {
                "then": self.conclusion_then,
                "now": self.conclusion_now,
                "changed": self.conclusion_changed,
            },
            "certainty": {
                "then": self.certainty_then,
                "now": self.certainty_now,
                "changed": self.certainty_changed,
            },
            "trials": {what: list(names) for what, names in self.trials.items()},
            "moved_by": self.moved_by,
            **(
                {}
                if self.verdict is None
                else {k: v for k, v in self.verdict.as_dict().items() if k != "analysis"}
            ),
        }


def _changed_words(then: str | None, now: str | None) -> bool:
    return None not in (then, now) and then != now


def conclusion(lock: Mapping[str, Any]) -> str:
    """Say what an answer concludes, by the analysis' own rule.

    Locks written before there were rules are read by the confidence interval against no difference.
    """
    results = lock["results"]
    if results.get("conclusion"):
        return str(results["conclusion"]["says"])
    null = 1.0 if measure_of(results["measure"]).is_ratio else 0.0
    low, high = results["ci"]
    if low <= null <= high:
        return "no clear difference"
    higher = low > null
    return "favours music" if higher == (results["better"] == "higher") else "favours control"


def certainty(lock: Mapping[str, Any]) -> str | None:
    """Return the certainty of the evidence that a lock holds; None for one written before it was rated."""
    rated = lock["results"].get("certainty")
    return None if not rated else str(rated["level"])


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
        if "not a git repository" in "".join(told):
            raise UsageError(
                "this folder is in no git repository and has no revisions; name two folders or lock files: "
                "mtmeta diff OLD NEW"
            )
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
        one, two = old.get(name), new.get(name)
        title = (two or one or {})["results"]["title"]
        words = (
            None if one is None else conclusion(one),
            None if two is None else conclusion(two),
            None if one is None else certainty(one),
            None if two is None else certainty(two),
        )
        if one is None or two is None:
            status: Status = "new" if one is None else "gone"
            found.append(AnalysisDiff(name, title, status, None, {}, {}, *words))
            continue
        verdict = compare_locks(one, two)
        moved = {} if verdict.holds else _moved_by(one, two)
        same = verdict.holds and not verdict.changes
        trials = _trials(one, two)
        found.append(AnalysisDiff(name, title, "same" if same else "changed", verdict, trials, moved, *words))
    return tuple(found)


def _trials(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Name the trials that came into the pool, left it, or have another effect in it."""

    def effects(lock: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
        found: dict[str, list[tuple[float, float]]] = {}
        for row in lock["results"]["rows"]:
            found.setdefault(row["study"], []).append((row["yi"], row["vi"]))
        return found

    then, now = effects(old), effects(new)
    return {
        "added": tuple(s for s in now if s not in then),
        "removed": tuple(s for s in then if s not in now),
        "corrected": tuple(s for s in now if s in then and then[s] != now[s]),
    }


def _pooled(rows: list[Mapping[str, Any]], measure: str, method: Method) -> float:
    es = EffectSizes.of(
        [r["yi"] for r in rows], [r["vi"] for r in rows], measure, study=[r["study"] for r in rows]
    )
    # the estimate is the same whatever its interval, and some intervals need two trials
    model = model_of(method.model_copy(update={"ci": "Wald"}))
    return measure_of(measure).back(model.fit(es).estimate)


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
