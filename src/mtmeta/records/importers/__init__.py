"""Files of other programs become records: RevMan, tables, references."""

from __future__ import annotations

from pathlib import Path

from mtmeta.errors import RecordError
from mtmeta.records.importers.draft import Imported
from mtmeta.records.importers.mapping import ImportMap

__all__ = ["ImportMap", "Imported", "import_file", "read_map"]

SUFFIXES = (".rm5", ".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".ris", ".bib", ".nbib")


def read_map(path: str | Path) -> ImportMap:
    """Read a column map (YAML).

    Raises
    ------
    RecordError
        With every problem and its line.
    """
    from mtmeta.records.yamltext import load_model

    return load_model(Path(path), ImportMap)


def import_file(path: str | Path, *, map: ImportMap | str | Path | None = None) -> Imported:
    r"""Read trials from a file of another program.

    Parameters
    ----------
    path : str or Path
        RevMan 5 (``.rm5``); data rows of RevMan Web, a table in the layout of metafor or metapsyTools, or
        any table with a map (``.csv``, ``.tsv``, ``.xlsx``); references (``.ris``, ``.bib``, ``.nbib``).
    map : ImportMap, str or Path, optional
        Which column is what, words of the file and of the vocabulary, and what holds for all rows.

    Returns
    -------
    Imported
        Records that pass their checks, and what could not be read with place and reason.

    Raises
    ------
    RecordError
        A file that is not what its name says, is too large, or hostile.
    UsageError
        A library that is not installed.

    Examples
    --------
    Two trials of Borenstein et al. (2009), ch. 14, data set 1, in metafor's layout.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "six.csv")
    ...     _ = file.write_text("study,m1i,sd1i,n1i,m2i,sd2i,n2i\nCarroll,94,22,60,92,20,60\n"
    ...                         "Grant,98,21,65,92,22,65\n")
    ...     found = import_file(file)
    >>> found
    Imported(2 studies, 2 outcomes, 0 not read)
    >>> found.studies[0].outcomes[0].data.music.mean
    94.0
    """
    file = Path(path)
    settings = map if isinstance(map, ImportMap) else ImportMap() if map is None else read_map(map)
    suffix = file.suffix.lower()
    if suffix == ".rm5":
        from mtmeta.records.importers.revman import import_rm5

        return import_rm5(file, settings)
    if suffix in (".ris", ".bib", ".nbib"):
        from mtmeta.records.importers import references

        readers = {
            ".ris": references.import_ris,
            ".bib": references.import_bibtex,
            ".nbib": references.import_nbib,
        }
        return readers[suffix](file, settings)
    if suffix in (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".ods"):
        from mtmeta.records.importers.mapping import layout_of
        from mtmeta.records.importers.sheets import read_sheet

        sheet = read_sheet(file, settings)
        if layout_of(sheet.header, settings.layout) == "revman":
            from mtmeta.records.importers.revman import import_data_rows

            return import_data_rows(sheet, file, settings)
        from mtmeta.records.importers.table import import_rows

        return import_rows(sheet, file, settings)
    known = ", ".join(SUFFIXES)
    raise RecordError.at(file, 0, "", f"is of a kind that is not read; there are {known}")
