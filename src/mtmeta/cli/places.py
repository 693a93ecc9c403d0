"""Where a project keeps its records, analyses and figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mtmeta.errors import UsageError

__all__ = ["Project", "project_of"]


@dataclass(frozen=True, slots=True)
class Project:
    """Folders of a project, and the analysis files asked for."""

    analyses: tuple[Path, ...]
    studies: Path
    figures: Path
    locks: Path | None = None
    """Folder for lock files; beside each analysis file when None."""

    def lock_of(self, analysis_file: Path) -> Path:
        """Path of the lock of an analysis file."""
        folder = self.locks or analysis_file.parent
        return folder / f"{analysis_file.stem}.lock.json"


def project_of(
    analyses: list[Path] | None, studies: Path | None, figures: Path | None, *, demo: bool = False
) -> Project:
    """Find the folders: those named, else beside the analyses, else in the working folder.

    Raises
    ------
    UsageError
        When a folder that is needed does not exist; the message says where it was looked for.
    """
    if demo:
        from mtmeta.records.locate import data_folder

        out = figures or Path("mtmeta-demo")
        return Project((data_folder("analyses"),), data_folder("studies"), out, out)
    files = tuple(map(_file, analyses)) if analyses else (Path("analyses"),)
    if not analyses and not files[0].is_dir():
        inside = " (this is the folder analyses itself; go one up)" if Path.cwd().name == "analyses" else ""
        raise UsageError(
            f"there is no folder analyses here{inside}; go to the project's folder, name an analysis file, "
            "begin a review with mtmeta init FOLDER, or try the shipped records with mtmeta run --demo"
        )
    base = files[0] if files[0].is_dir() else files[0].parent
    root = base.parent if base.name == "analyses" else base
    found = studies or root / "studies"
    if not found.exists():
        raise UsageError(
            f"there is no folder {found} with records; name it with --studies, or go to the project's folder"
        )
    return Project(files, found, figures or root / "figures")


def _file(given: Path) -> Path:
    """Return the file of an analysis named by its path, or by its name alone.

    Raises
    ------
    UsageError
        When there is none; the nearest names are told.
    """
    if given.exists():
        return given
    folder = given.parent if given.suffix in (".yaml", ".yml") or len(given.parts) > 1 else Path("analyses")
    if not given.suffix and (folder / f"{given.name}.yaml").is_file():
        return folder / f"{given.name}.yaml"
    from mtmeta.records.messages import nearest

    names = sorted(path.stem for path in folder.glob("*.yaml")) if folder.is_dir() else []
    if not names:
        raise UsageError(
            f"there is no analysis {given}, and no analyses in {folder} either; go to the project's folder"
        )
    close = nearest(given.stem, names) or names[:3]
    raise UsageError(
        f"there is no analysis {given}; did you mean {' or '.join(str(folder / f'{n}.yaml') for n in close)}?"
    )
