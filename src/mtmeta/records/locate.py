"""The one way to the records and analyses that mtmeta brings along, installed or in the repository."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mtmeta.errors import UsageError
from mtmeta.measures import check_choice

if TYPE_CHECKING:
    from mtmeta.records.folder import Studies

__all__ = ["data_folder", "example_studies"]

Data = Literal["studies", "analyses"]


def data_folder(which: Data) -> Path:
    """Return the folder of the shipped records or analyses.

    A wheel carries them inside the package; in the repository they stand at its root, where people
    edit them.

    Parameters
    ----------
    which : {"studies", "analyses"}
        Which data.

    Raises
    ------
    UsageError
        For another name, or when the installation lacks them.

    Examples
    --------
    >>> data_folder("studies").name
    'studies'
    """
    check_choice("which", which, ("studies", "analyses"))
    package = Path(str(resources.files("mtmeta.records"))).parent
    shipped = package / "_data" / which
    if shipped.is_dir():
        return shipped
    for folder in package.parents:
        if (folder / "pyproject.toml").is_file() and (folder / "src" / "mtmeta").is_dir():
            if (folder / which).is_dir():
                return folder / which
            break
    raise UsageError(f"this installation of mtmeta lacks its {which}; install it again")


def example_studies(condition: str | None = None) -> Studies:
    """Read the records that mtmeta brings along.

    Parameters
    ----------
    condition : str, optional
        Only the trials of this condition, such as ``"cardiac"``.

    Returns
    -------
    Studies
        In the order of their ids.

    Raises
    ------
    UsageError
        For a condition without records, naming those there are.

    Examples
    --------
    >>> example_studies("icu")["wong-2001"].conditions
    ('icu',)
    """
    from mtmeta.records.folder import read_studies

    studies = read_studies(data_folder("studies"))
    if condition is None:
        return studies
    chosen = studies.of_condition(condition)
    if not chosen:
        known = sorted({word for study in studies for word in study.conditions})
        raise UsageError(f"no shipped record has the condition {condition!r}; there are: {', '.join(known)}")
    return chosen
