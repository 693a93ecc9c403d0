"""A folder of records as one frozen sequence of studies."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

from mtmeta.errors import Problem, RecordError, UsageError
from mtmeta.records.messages import nearest, quoted
from mtmeta.records.schema import Study
from mtmeta.records.yamlparse import parse
from mtmeta.records.yamltext import Progress, read_text, shown, validate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Studies", "StudyPlace", "read_studies", "read_study", "record_files"]

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class StudyPlace:
    """Where a study and its outcomes stand.

    Parameters
    ----------
    path : str
        The file as problems name it; empty for a study made in Python.
    line : int
        Line of the study's id.
    outcomes : tuple of (str, int)
        Id and line of each outcome.
    """

    path: str
    line: int = 0
    outcomes: tuple[tuple[str, int], ...] = ()


_COLUMNS = (
    "id",
    "label",
    "conditions",
    "year",
    "n_randomised",
    "category",
    "comparator",
    "outcomes",
    "flags",
    "path",
)


@dataclass(frozen=True)
class Studies(Sequence[Study]):
    """Studies in order of their ids, with the file and line each was read from.

    Behaves like a tuple: ``len``, iteration, position and slice; a text index is an id. Whoever has
    studies made in Python wraps them with :meth:`of`.

    Parameters
    ----------
    studies : tuple of Study
        The records, each id once.
    places : tuple of StudyPlace
        One for each.

    Examples
    --------
    >>> from mtmeta.records.locate import example_studies
    >>> studies = example_studies("cardiac")
    >>> studies["white-1999"].label
    'White 1999'
    """

    studies: tuple[Study, ...]
    places: tuple[StudyPlace, ...]

    @classmethod
    def of(cls, studies: Iterable[Study]) -> Studies:
        """Wrap studies made in Python.

        Raises
        ------
        UsageError
            When an id stands twice.
        """
        ordered = sorted(studies, key=lambda study: study.id)
        for before, after in itertools.pairwise(ordered):
            if before.id == after.id:
                raise UsageError(f"two studies have the id {after.id}; give each its own")
        return cls(tuple(ordered), tuple(StudyPlace("") for _ in ordered))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {study.id: position for position, study in enumerate(self.studies)}

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return tuple(study.id for study in self.studies)

    @property
    def paths(self) -> tuple[str, ...]:
        """Files in the order of the studies."""
        return tuple(place.path for place in self.places)

    def __len__(self) -> int:
        return len(self.studies)

    def __iter__(self) -> Iterator[Study]:
        return iter(self.studies)

    def __contains__(self, item: object) -> bool:
        return item in self._positions if isinstance(item, str) else item in self.studies

    @overload
    def __getitem__(self, index: int | str) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> Studies: ...
    def __getitem__(self, index: int | str | slice) -> Study | Studies:
        if isinstance(index, slice):
            return Studies(self.studies[index], self.places[index])
        return self.studies[self._position(index) if isinstance(index, str) else index]

    def _position(self, study_id: str) -> int:
        if study_id not in self._positions:
            close = nearest(study_id, self._positions)
            raise KeyError(f"no study {study_id}" + (f"; nearest: {', '.join(close)}" if close else ""))
        return self._positions[study_id]

    def filter(self, keep: Callable[[Study], bool]) -> Studies:
        """Return the studies for which ``keep`` is true, with their places."""
        kept = [(study, place) for study, place in zip(self.studies, self.places, strict=True) if keep(study)]
        return Studies(tuple(study for study, _ in kept), tuple(place for _, place in kept))

    def of_condition(self, condition: str) -> Studies:
        """Return the studies of a condition, also those that belong to others too."""
        return self.filter(lambda study: condition in study.conditions)

    def path_of(self, study_id: str) -> str:
        """Return the file of a study, empty if it was made in Python.

        Raises
        ------
        KeyError
            When there is no such study.
        """
        return self.places[self._position(study_id)].path

    def line_of(self, study_id: str, outcome_id: str | None = None) -> int:
        """Return the line of a study's id or of one of its outcomes, 0 if it was made in Python.

        Raises
        ------
        KeyError
            When there is no such study or outcome.
        """
        place = self.places[self._position(study_id)]
        if outcome_id is None:
            return place.line
        self[study_id].outcome(outcome_id)
        return dict(place.outcomes).get(outcome_id, 0)

    def where(self, study_id: str, outcome_id: str | None = None) -> str:
        """Return ``path:line`` of a study or outcome; the id alone if the study was made in Python."""
        path, line = self.path_of(study_id), self.line_of(study_id, outcome_id)
        return f"{path}:{line}" if path else study_id

    def to_frame(self) -> pd.DataFrame:
        """Return one row a study.

        Returns
        -------
        pandas.DataFrame
            Columns ``id label conditions year n_randomised category comparator outcomes flags path``.
        """
        import pandas as pd

        rows = [
            {
                "id": study.id,
                "label": study.label,
                "conditions": ", ".join(study.conditions),
                "year": study.citation.year,
                "n_randomised": study.design.n_randomised,
                "category": study.intervention.category,
                "comparator": study.comparator.type,
                "outcomes": len(study.outcomes),
                "flags": len(study.flags),
                "path": place.path,
            }
            for study, place in zip(self.studies, self.places, strict=True)
        ]
        return pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"year": "Int64", "n_randomised": "Int64"})

    def __repr__(self) -> str:
        outcomes = sum(len(study.outcomes) for study in self.studies)
        return f"Studies({len(self)} studies, {outcomes} outcomes)"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>" + self.to_frame().to_html(index=False, na_rep="", max_rows=60)


def read_study(path: str | Path) -> Study:
    """Read one record.

    Parameters
    ----------
    path : str or Path
        The file, named ``<id>.yaml``.

    Returns
    -------
    Study
        The record, frozen.

    Raises
    ------
    RecordError
        With every problem of the file.

    Examples
    --------
    >>> from mtmeta.records.locate import data_folder
    >>> read_study(data_folder("studies") / "cardiac" / "white-1999.yaml").citation.year
    1999
    """
    if not os.path.lexists(path):
        raise RecordError.at(path, 0, "", "does not exist; name a record's file")
    entry = _read(Path(path), str(path))
    if entry.study is None or entry.problems:
        raise RecordError(entry.problems)
    return entry.study


def read_studies(
    paths: str | Path | Iterable[str | Path],
    *,
    root: str | Path | None = None,
    progress: Progress | None = None,
) -> Studies:
    """Read all records of a folder, or of several, and report every problem of every file at once.

    Parameters
    ----------
    paths : path or iterable of paths
        Folders, read with all that stands below them, and files. See :func:`record_files` for which
        files of a folder are read.
    root : path, optional
        Folder from which problems and places name files; by default as given.
    progress : callable, optional
        Called as ``progress(done, total)`` after each file; the library itself prints nothing.

    Returns
    -------
    Studies
        In order of ids.

    Raises
    ------
    RecordError
        With all problems, file by file, line by line: syntax, types, unknown keys and words, an id that
        differs from its file name, an id that two files have, a folder without records. What can be
        represented but cannot be true loads (see :mod:`mtmeta.records.integrity`).

    Examples
    --------
    >>> from mtmeta.records.locate import data_folder
    >>> studies = read_studies(data_folder("studies") / "cardiac")
    >>> studies["white-1999"].conditions
    ('cardiac',)
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    files, problems = record_files(given, root=root)
    entries: dict[str, _Entry] = {}
    for done, path in enumerate(files, start=1):
        entry = _read(path, shown(path, root))
        problems += entry.problems
        if entry.id in entries:
            other = entries[entry.id].place
            message = f"{entry.id} is also the id of {other.path}:{other.line}; give each trial its own id"
            problems.append(Problem(entry.place.path, entry.place.line, "id", message))
        elif entry.id:
            entries[entry.id] = entry
        if progress is not None:
            progress(done, len(files))
    if problems:
        raise RecordError(problems)
    read = [(entry.study, entry.place) for _, entry in sorted(entries.items()) if entry.study is not None]
    return Studies(tuple(study for study, _ in read), tuple(place for _, place in read))


@dataclass(frozen=True, slots=True)
class _Entry:
    """What came of one file."""

    id: str
    study: Study | None
    place: StudyPlace
    problems: list[Problem]


def _read(path: Path, name: str) -> _Entry:
    """Read one record and hold its id against its file name."""
    try:
        document = parse(read_text(path, name=name))
    except RecordError as error:
        return _Entry("", None, StudyPlace(name), list(error.problems))
    study, problems = validate(document, Study, name=name)
    given = document.value.get("id") if isinstance(document.value, dict) else None
    line = document.lines.at(["id"])
    outcomes: tuple[tuple[str, int], ...] = ()
    if study is not None:
        outcomes = tuple((o.id, document.lines.at(["outcomes", i])) for i, o in enumerate(study.outcomes))
    if isinstance(given, str) and given != path.stem:
        message = f"is {quoted(given)} but the file is {path.name}; make the two the same"
        problems = sorted([*problems, Problem(name, line, "id", message)], key=lambda p: p.line)
    return _Entry(given if isinstance(given, str) else "", study, StudyPlace(name, line, outcomes), problems)


def record_files(
    paths: Iterable[str | Path], *, root: str | Path | None = None
) -> tuple[list[Path], list[Problem]]:
    """List the record files below some paths, each once, in order.

    Of a folder all files that end in ``.yaml`` or ``.yml`` are read, at any depth. Left out are hidden
    files and folders (their name begins with a dot, as those of editors and of interrupted writes do),
    and with the ending also backups such as ``x.yaml~``, ``x.yaml.bak`` and ``#x.yaml#``. A symbolic
    link to a file is followed while the file stands in the folder that is read; a link that leads out
    of it is a problem, since a record from elsewhere is not under the same hands. Links to folders are
    not entered, so no loop can catch the reader. A file or folder named by the caller is followed
    wherever it leads.

    Returns
    -------
    tuple of (list of Path, list of Problem)
        Problems are: a path that does not exist, a folder without records, a link that leads nowhere
        or out of the folder.
    """
    files: dict[str, Path] = {}
    problems: list[Problem] = []
    for given in paths:
        path = Path(given)
        name = shown(path, root)
        if path.is_dir():
            found, faults = _below(path, root)
            if not found and not faults:
                message = "holds no records; name a folder with files <id>.yaml, such as studies"
                faults = [Problem(name, 0, "", message)]
            problems += faults
        elif os.path.lexists(path):
            found = [path]
        else:
            problems.append(Problem(name, 0, "", "does not exist; name a folder of records, such as studies"))
            continue
        for file in found:
            files.setdefault(os.path.realpath(file), file)
    return list(files.values()), problems


def _below(folder: Path, root: str | Path | None) -> tuple[list[Path], list[Problem]]:
    found: list[Path] = []
    problems: list[Problem] = []
    inside = os.path.realpath(folder) + os.sep

    def refuse(error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        problems.append(Problem(shown(error.filename or folder, root), 0, "", f"cannot be read: {reason}"))

    for at, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or not name.lower().endswith(SUFFIXES):
                continue
            path = Path(at, name)
            if path.is_symlink() and not os.path.realpath(path).startswith(inside):
                message = f"is a link out of {shown(folder, root)}; put the file itself here"
                problems.append(Problem(shown(path, root), 0, "", message))
            else:
                found.append(path)
    return found, problems
