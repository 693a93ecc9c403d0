"""Files that are either the old ones or the new ones, never half of one."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from mtmeta.errors import UsageError

__all__ = ["write_atomic", "write_atomic_set"]


def write_atomic(path: str | Path, content: str | bytes) -> Path:
    r"""Write a file so that whoever looks, at any moment, finds the old one or the new one.

    The content goes to a hidden file beside the target, is flushed to the disk, and takes the
    target's name in one step. Text is UTF-8 with the line ends it has. A symbolic link stays and
    the file behind it is replaced; an existing file keeps its permissions.

    Parameters
    ----------
    path : str or Path
        Target; its folder is made if missing.
    content : str or bytes
        What the file holds afterwards.

    Returns
    -------
    Path
        The target as given.

    Raises
    ------
    UsageError
        When the place cannot be written, with the system's reason.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_atomic(f"{folder}/new/white-1999.yaml", "schema: 1\n")
    ...     file.read_text(), [p.name for p in file.parent.iterdir()]
    ('schema: 1\n', ['white-1999.yaml'])
    """
    write_atomic_set({Path(path): content})
    return Path(path)


def write_atomic_set(files: Mapping[Path, str | bytes]) -> tuple[Path, ...]:
    """Write several files that belong together: all of them, or, if one cannot be written, none.

    Every content is on the disk under a hidden name before the first target is touched, so a full
    disk, a missing permission or a wrong path leaves all targets as they were. Only then the names
    change, one quick step each: a machine that loses power right between two of them may keep old
    and new files side by side, each of them whole.

    Parameters
    ----------
    files : mapping of Path to str or bytes
        Target and content.

    Returns
    -------
    tuple of Path
        The targets in the order given.

    Raises
    ------
    UsageError
        When a place cannot be written; no target was changed.
    """
    staged: list[tuple[Path, Path]] = []
    current: Path | None = None
    try:
        for current, content in files.items():
            target = Path(os.path.realpath(current))
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                raise IsADirectoryError("it is a folder")
            temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.tmp")
            staged.append((temporary, target))
            _write_through(temporary, target, content.encode() if isinstance(content, str) else content)
        for temporary, current in staged:
            os.replace(temporary, current)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"cannot write {current}: {reason}; choose a place that can be written") from error
    finally:
        for temporary, _ in staged:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    for folder in {target.parent for _, target in staged}:
        _flush_folder(folder)
    return tuple(files)


def _write_through(temporary: Path, target: Path, content: bytes) -> None:
    """Write and flush the temporary file with the permissions the target has or would get."""
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        os.chmod(temporary, target.stat().st_mode & 0o777)


def _flush_folder(folder: Path) -> None:
    """Make the new names last; systems that cannot flush a folder (Windows) do without."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
