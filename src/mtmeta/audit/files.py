"""Find and read analysis files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mtmeta.audit.analysis import Analysis
from mtmeta.errors import Problem, RecordError

__all__ = ["NamedAnalysis", "analysis_text", "read_analyses"]


def is_claims(path: Path) -> bool:
    """Whether a file holds claims, by its name: ``claims.yaml`` or ``NAME-claims.yaml``."""
    return path.name == "claims.yaml" or path.name.endswith((".claims.yaml", "-claims.yaml"))


class NamedAnalysis(tuple[Path, Analysis]):
    """An analysis and the file it was read from."""

    __slots__ = ()

    @property
    def path(self) -> Path:
        """The file."""
        return self[0]

    @property
    def analysis(self) -> Analysis:
        """The analysis."""
        return self[1]


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    problems: list[Problem] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.glob("*.yaml") if not is_claims(p))
        elif path.is_file():
            found.append(path)
        else:
            problems.append(
                Problem(str(path), 0, "", "no such file; name an analysis file such as analyses/x.yaml")
            )
    if problems:
        raise RecordError(problems)
    return found


def read_analyses(paths: Iterable[str | Path]) -> tuple[NamedAnalysis, ...]:
    """Read analysis files, or all of a folder; every problem of every file is reported at once.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, or folders of ``*.yaml`` files; ``claims.yaml`` and ``NAME-claims.yaml`` are another kind of
        file and skipped.

    Raises
    ------
    RecordError
        With every problem as ``path:line: field: what is wrong and what to write instead``.
    """
    from mtmeta.records.yamltext import load_model

    files = _files(Path(p) for p in paths)
    if not files:
        raise RecordError([Problem(", ".join(map(str, paths)), 0, "", "no analysis file (*.yaml) here")])
    read: list[NamedAnalysis] = []
    problems: list[Problem] = []
    for path in files:
        try:
            analysis = load_model(path, Analysis)
        except RecordError as error:
            problems += error.problems
            continue
        if analysis.name != path.stem:
            problems.append(
                Problem(
                    str(path), 1, "name", f"is {analysis.name!r}; write {path.stem!r}, as the file is called"
                )
            )
        read.append(NamedAnalysis((path, analysis)))
    if problems:
        raise RecordError(problems)
    return tuple(read)


def analysis_text(analysis: Analysis) -> str:
    """Write an analysis as the text of its file: what is not the default, in the order of the schema.

    Examples
    --------
    >>> from mtmeta.records.locate import data_folder
    >>> own = read_analyses([data_folder("analyses") / "icu-anxiety.yaml"])[0].analysis
    >>> print(analysis_text(own).splitlines()[1])
    name: icu-anxiety
    """
    import yaml

    data = analysis.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
