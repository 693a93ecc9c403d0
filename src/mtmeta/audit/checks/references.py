"""References: a year that its DOI contradicts, and works that were withdrawn."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtmeta.errors import UsageError
from mtmeta.records.schema import Study

__all__ = ["Retracted", "doi_year", "read_retracted", "retraction_of"]

# Publishers that write the year into the DOI: 10.1016/j.jad.2014.08.035, 10.4037/ajcc1999.8.4.220,
# 10.1111/j.1365-2702.2012.04130.x, 10.3928/00989134-20110301-02
_YEAR = re.compile(r"(?:j\.[a-z0-9-]+\.|/[a-z]+\.?|\.)((?:19|20)\d\d)\.\d{1,2}\.")
_DATE = re.compile(r"-((?:19|20)\d\d)(?:0[1-9]|1[0-2])[0-3]\d-")


def doi_year(doi: str) -> int | None:
    """Return the year that a DOI tells, None where it tells none.

    Examples
    --------
    >>> doi_year("10.4037/ajcc1999.8.4.220"), doi_year("10.1002/14651858.CD006577.pub3")
    (1999, None)
    """
    text = doi.casefold()
    years = {int(m[1]) for m in (_YEAR.search(text), _DATE.search(text)) if m is not None}
    return years.pop() if len(years) == 1 else None


@dataclass(frozen=True, slots=True)
class Retracted:
    """Works that were withdrawn, as a list names them."""

    dois: frozenset[str]
    pmids: frozenset[int]
    titles: frozenset[str]


def read_retracted(path: str | Path) -> Retracted:
    """Read a list of withdrawn works.

    Parameters
    ----------
    path : str or Path
        One DOI, PMID or title a line; or a table (CSV) with columns such as ``OriginalPaperDOI``,
        ``OriginalPaperPubMedID`` and ``Title``, as the Retraction Watch data have them, or ``doi``, ``pmid``
        and ``title``.

    Raises
    ------
    UsageError
        When the file cannot be read or names no work.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); name a list of retracted works"
        ) from error
    first = next(csv.reader(io.StringIO(text)), [])
    names = [cell.strip().casefold() for cell in first]
    columns = [i for i, name in enumerate(names) if name in _COLUMNS]
    entries = (
        [row[i] for row in csv.reader(io.StringIO(text.partition("\n")[2])) for i in columns if i < len(row)]
        if columns
        else [line for line in text.splitlines() if not line.startswith("#")]
    )
    dois, pmids, titles = set(), set(), set()
    for entry in (e.strip() for e in entries):
        doi = re.search(r"10\.\d{4,9}/\S+", entry)
        number = re.fullmatch(r"(?:pmid:?\s*)?(\d+)", entry.casefold())
        if doi:
            dois.add(doi[0].casefold().rstrip(".,;"))
        elif number:
            pmids.add(int(number[1]))
        elif len(_bare(entry)) >= 20:
            titles.add(_bare(entry))
    pmids.discard(0)
    if not (dois or pmids or titles):
        raise UsageError(f"{path}: names no work; write one DOI, PMID or title a line")
    return Retracted(frozenset(dois), frozenset(pmids), frozenset(titles))


_COLUMNS = frozenset({"originalpaperdoi", "originalpaperpubmedid", "title", "doi", "pmid"})


def retraction_of(study: Study, retracted: Retracted) -> Iterator[str]:
    """Yield by what a list names the trial's report: its DOI, its PMID, else its title."""
    cited = study.citation
    if cited.doi is not None and cited.doi.casefold() in retracted.dois:
        yield f"doi {cited.doi}"
    elif cited.pmid is not None and cited.pmid in retracted.pmids:
        yield f"pmid {cited.pmid}"
    elif cited.title is not None and _bare(cited.title) in retracted.titles:
        yield f"title “{cited.title}”"


def _bare(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title.casefold())
    return re.sub(r"[^a-z0-9]+", " ", plain).strip()
