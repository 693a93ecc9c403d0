"""References: RIS, BibTeX and PubMed's format become records without outcomes, to be filled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtmeta.errors import Problem, RecordError
from mtmeta.records.importers.draft import Draft, Imported, slug, studies_of, year_of
from mtmeta.records.importers.mapping import ImportMap, study_defaults
from mtmeta.records.importers.safety import needed, plain, read_plain_text

__all__ = ["import_bibtex", "import_nbib", "import_ris"]

_MAX_ENTRY = 64 * 2**10  # bibtexparser takes seconds for more; a reference has some hundred letters
_MAX_BIBTEX = 8 * 2**20


@dataclass(frozen=True)
class _Reference:
    line: int
    fields: Mapping[str, Any]


def _name(text: str) -> str:
    """Return an author as surname and initials; a group's name, and what is no name of this form, as it is.

    >>> _name("White, Jill M."), _name("White JM"), _name("{WHO Study Group}")
    ('White JM', 'White JM', 'WHO Study Group')
    """
    if text.startswith("{") and text.endswith("}"):
        return plain(text.strip("{}"))
    text = plain(text.replace("{", "").replace("}", ""))
    if "," not in text:
        return text
    surname, _, given = text.partition(",")
    initials = "".join(part[0].upper() for part in re.split(r"[\s.\-]+", given.strip()) if part)
    return f"{surname.strip()} {initials}".strip()


def _citation(found: Mapping[str, Any]) -> dict[str, Any]:
    doi = re.search(r"10\.\d{4,9}/\S+", str(found.get("doi") or ""))
    pmid = re.search(r"\d+", str(found.get("pmid") or ""))
    citation: dict[str, Any] = {
        "authors": [name for a in found.get("authors", []) if (name := _name(a))],
        "title": plain(str(found.get("title") or "")).rstrip("."),
        "journal": plain(str(found.get("journal") or "")),
        "year": year_of(str(found.get("year") or "")),
        "volume": plain(str(found.get("volume") or "")),
        "issue": plain(str(found.get("issue") or "")),
        "pages": plain(str(found.get("pages") or "")),
        "doi": doi[0].rstrip(".,;") if doi else None,
        "pmid": int(pmid[0]) if pmid and 0 < int(pmid[0]) <= 10**9 else None,
    }
    return {k: v for k, v in citation.items() if v}


def _imported(
    references: Iterator[_Reference], path: Path, settings: ImportMap, problems: list[Problem]
) -> Imported:
    drafts: list[Draft] = []
    seen: dict[str, int] = {}
    for reference in references:
        citation = _citation(reference.fields)
        if not citation.get("title") and not citation.get("authors"):
            problems.append(Problem(str(path), reference.line, "", "names neither author nor title"))
            continue
        keys = [f"doi {citation['doi'].casefold()}"] if "doi" in citation else []
        keys += [f"pmid {citation['pmid']}"] if "pmid" in citation else []
        keys += (
            [f"title {slug(citation['title'], 300)} {citation.get('year')}"] if "title" in citation else []
        )
        twin = next((seen[key] for key in keys if key in seen), None)
        if twin is not None:
            told = f"is the same work as the one on line {twin}"
            problems.append(Problem(str(path), reference.line, citation.get("title", ""), told))
            continue
        seen |= dict.fromkeys(keys, reference.line)
        first = citation["authors"][0] if citation.get("authors") else citation["title"].split()[0]
        surname = re.sub(r" [A-Z]{1,4}$", "", first)
        label = f"{surname} {citation['year']}" if "year" in citation else surname
        drafts.append(Draft(label, reference.line, slug(label), {"citation": citation}))
    found = studies_of(drafts, path=str(path), defaults=study_defaults(settings.defaults))
    return Imported(found.studies, tuple(sorted([*problems, *found.not_read], key=lambda p: p.line)))


# ---- RIS ------------------------------------------------------------------------------------------


def import_ris(path: Path, settings: ImportMap) -> Imported:
    """Read references in RIS.

    Raises
    ------
    RecordError
        A file without a reference.
    """
    rispy = needed("rispy", "reading references in RIS")
    text = read_plain_text(path)
    problems: list[Problem] = []
    starts = [i for i, line in enumerate(text.split("\n"), 1) if re.match(r"TY  ?- ", line)]
    if not starts:
        raise RecordError.at(path, 1, "", "holds no reference in RIS (each begins with 'TY  - ')")

    def references() -> Iterator[_Reference]:
        lines = text.split("\n")
        for start, end in zip(starts, [*starts[1:], len(lines) + 1], strict=True):
            part = "\n".join(lines[start - 1 : end - 1])
            try:
                entries = rispy.loads(part + "\n")
            except (ValueError, KeyError, IndexError, TypeError, OSError) as error:
                problems.append(Problem(str(path), start, "", f"cannot be read ({plain(str(error), 200)})"))
                continue
            if len(entries) != 1:
                problems.append(Problem(str(path), start, "", "is not closed by a line 'ER  - '"))
                continue
            yield _Reference(start, _ris_fields(entries[0]))

    return _imported(references(), path, settings, problems)


def _ris_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    def first(*names: str) -> Any:
        return next((entry[name] for name in names if entry.get(name)), None)

    start, end = first("start_page"), first("end_page")
    return {
        "authors": first("authors", "first_authors") or [],
        "title": first("title", "primary_title", "translated_title"),
        "journal": first(
            "journal_name", "secondary_title", "alternate_title3", "alternate_title2", "alternate_title1"
        ),
        "year": first("year", "publication_year", "date"),
        "volume": first("volume"),
        "issue": first("number", "issue"),
        "pages": f"{start}-{end}" if start and end and start != end else start,
        "doi": first("doi"),
        "pmid": first("pubmed_id", "accession_number")
        if str(first("accession_number") or "").isdigit()
        else None,
    }


# ---- PubMed ---------------------------------------------------------------------------------------


def import_nbib(path: Path, settings: ImportMap) -> Imported:
    """Read references as PubMed saves them (``.nbib``, MEDLINE tags).

    Raises
    ------
    RecordError
        A file without a reference.
    """
    text = read_plain_text(path)
    if not re.search(r"^PMID- ", text, re.MULTILINE):
        raise RecordError.at(path, 1, "", "holds no reference of PubMed (each begins with 'PMID- ')")
    return _imported(_nbib_entries(text), path, settings, [])


def _nbib_entries(text: str) -> Iterator[_Reference]:
    entry: dict[str, list[str]] = {}
    tag, start = "", 0
    for number, line in enumerate([*text.split("\n"), "PMID- end"], 1):
        match = re.match(r"([A-Z]{2,4}) {0,2}- (.*)", line)
        if match and match[1] == "PMID":
            if entry:
                yield _Reference(start, _nbib_fields(entry))
            entry, start = {}, number
        if match:
            tag = match[1]
            entry.setdefault(tag, []).append(match[2])
        elif line.startswith("      ") and tag in entry:
            entry[tag][-1] += " " + line.strip()


def _nbib_fields(entry: Mapping[str, list[str]]) -> dict[str, Any]:
    def first(tag: str) -> str:
        return entry.get(tag, [""])[0]

    ids = [value for tag in ("LID", "AID") for value in entry.get(tag, []) if value.endswith("[doi]")]
    return {
        "authors": entry.get("AU", []) or [f"{{{name}}}" for name in entry.get("CN", [])],
        "title": first("TI"),
        "journal": first("TA") or first("JT"),
        "year": first("DP"),
        "volume": first("VI"),
        "issue": first("IP"),
        "pages": first("PG"),
        "doi": ids[0].removesuffix("[doi]") if ids else None,
        "pmid": first("PMID"),
    }


# ---- BibTeX ---------------------------------------------------------------------------------------


def import_bibtex(path: Path, settings: ImportMap) -> Imported:
    """Read references in BibTeX, entry by entry.

    Raises
    ------
    RecordError
        A file without an entry, or of more than 8 megabytes.
    """
    bibtexparser = needed("bibtexparser", "reading references in BibTeX")
    bparser = needed("bibtexparser.bparser", "reading references in BibTeX")
    text = read_plain_text(path)
    if len(text) > _MAX_BIBTEX:
        raise RecordError.at(
            path, 0, "", f"has more than {_MAX_BIBTEX // 2**20} megabytes of references; split the file"
        )
    starts = [m.start() for m in re.finditer(r"^[ \t]*@[A-Za-z]+[ \t]*[{(]", text, re.MULTILINE)]
    if not starts:
        raise RecordError.at(path, 1, "", "holds no entry of BibTeX (each begins with '@article{')")
    problems: list[Problem] = []
    strings: dict[str, str] = {}

    def references() -> Iterator[_Reference]:
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            line, chunk = text.count("\n", 0, start) + 1, text[start:end]
            told = ""
            if len(chunk) > _MAX_ENTRY:
                told = "is longer than any reference; it is not read"
            else:
                # expressions such as a # a # a are not multiplied out, which a hostile file counts on
                parser = bparser.BibTexParser(interpolate_strings=False, ignore_nonstandard_types=False)
                try:
                    database = bibtexparser.loads(chunk, parser=parser)
                except (RecursionError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
                    told, database = f"cannot be read ({type(error).__name__})", None
            if told:
                problems.append(Problem(str(path), line, "", told))
                continue
            strings.update({k: v for k, v in database.strings.items() if isinstance(v, str)})
            if not database.entries:
                if not re.match(r"\s*@(string|comment|preamble)", chunk, re.IGNORECASE):
                    problems.append(Problem(str(path), line, "", "is no whole entry; are its braces closed?"))
                continue
            yield _Reference(line, _bibtex_fields(database.entries[0], strings))

    return _imported(references(), path, settings, problems)


def _surname_first(name: str) -> str:
    """Turn BibTeX's ``Jill M. White`` into ``White, Jill M.``; names in braces are groups and stay."""
    name = name.strip()
    if "," in name or " " not in name or name.startswith("{"):
        return name
    given, _, surname = name.rpartition(" ")
    return f"{surname}, {given}"


def _bibtex_fields(entry: Mapping[str, Any], strings: Mapping[str, str]) -> dict[str, Any]:
    latex = needed("bibtexparser.latexenc", "reading references in BibTeX")

    def text(name: str) -> str:
        value = entry.get(name, "")
        if not isinstance(value, str):
            parts = getattr(value, "expr", [value])
            value = "".join(p if isinstance(p, str) else strings.get(p.name.lower(), p.name) for p in parts)
        return str(latex.latex_to_unicode(value[:_MAX_ENTRY]))

    raw = entry.get("author", "")
    names = [_surname_first(n) for n in re.split(r"\s+and\s+", raw)] if isinstance(raw, str) else []
    return {
        "authors": [
            str(latex.latex_to_unicode(n)) if not n.startswith("{") else n for n in names if n.strip()
        ],
        "title": text("title").replace("{", "").replace("}", ""),
        "journal": text("journal") or text("journaltitle"),
        "year": text("year") or text("date"),
        "volume": text("volume"),
        "issue": text("number") or text("issue"),
        "pages": text("pages").replace("--", "-"),
        "doi": text("doi"),
        "pmid": text("pmid"),
    }
