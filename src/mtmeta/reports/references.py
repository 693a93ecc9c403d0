"""References: of the methods, from a checked list; of the trials, from their records. Nothing is looked up.

The list of methods (``data/methods.json``) holds works whose authors, title, year, journal and DOI were read
in stored copies of other bibliographies or publishers' pages in November 2026; a DOI that was not read there
is left out. What methods texts name beyond it stays plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any

from mtmeta.records.schema import Citation, Study
from mtmeta.reports.document import (
    Cite,
    Inline,
    Link,
    Reference,
    Section,
    Span,
    Spans,
    cites_of,
    doi_address,
    pmid_address,
    spans,
)

__all__ = [
    "bibtex",
    "cited",
    "cited_references",
    "csl_json",
    "key_of_trial",
    "method_reference",
    "method_references",
    "trial_reference",
]

_PREFIX = "method-"
_INITIALS = re.compile(r"[A-ZÄÖÜÅØÆÉ]{1,4}(?:-[A-Z]{1,2})?")
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


# ---- works ----------------------------------------------------------------------------------------


@cache
def method_references() -> tuple[Reference, ...]:
    """Return all references of methods, by key.

    Examples
    --------
    >>> [r.label for r in method_references() if "Hartung" in r.label]
    ['Hartung and Knapp 2001', 'Knapp and Hartung 2003']
    """
    return tuple(_method(item) for item in _items())


@cache
def _items() -> list[dict[str, Any]]:
    path = resources.files("mtmeta.reports").joinpath("data/methods.json")
    items: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return items


def method_reference(name: str) -> Reference:
    """Return the reference of a method by its name in the list, such as ``viechtbauer-2005``.

    Raises
    ------
    KeyError
        Where the list has none of that name.
    """
    return {r.key: r for r in method_references()}[_PREFIX + name]


def _method(item: dict[str, Any]) -> Reference:
    csl = {
        "id": _PREFIX + item["key"],
        "type": item["type"],
        "title": item["title"],
        "author": _authors(item["authors"]),
        "issued": {"date-parts": [[item["year"]]]},
        "container-title": item.get("journal"),
        "publisher": item.get("publisher"),
        "volume": item.get("volume"),
        "issue": item.get("issue"),
        "page": item.get("pages"),
        "DOI": item.get("doi"),
    }
    filled = {name: value for name, value in csl.items() if value is not None}
    return Reference(filled["id"], item["label"], _printed(filled, item["authors"]), filled)


def key_of_trial(study: Study) -> str:
    """Return the key under which a trial is cited."""
    return f"trial-{study.id}"


def trial_reference(study: Study) -> Reference:
    """Return the reference of a trial from the citation of its record.

    Parts that the record does not know are left out; a DOI or PubMed number becomes a link only where it has
    the form of one.
    """
    citation = study.citation
    csl: dict[str, Any] = {
        "id": key_of_trial(study),
        "type": "article-journal",
        "title": citation.title,
        "author": _authors(citation.authors) or None,
        "issued": None if citation.year is None else {"date-parts": [[citation.year]]},
        "container-title": citation.journal,
        "volume": citation.volume,
        "issue": citation.issue,
        "page": citation.pages,
        "DOI": citation.doi if doi_address(citation.doi) else None,
        "PMID": str(citation.pmid) if pmid_address(citation.pmid) else None,
        "number": citation.registration,
    }
    filled = {name: value for name, value in csl.items() if value is not None}
    if citation.title is None and citation.text is not None:
        filled["title"] = citation.text
    return Reference(filled["id"], study.label, _trial(study, citation, filled), filled)


def _trial(study: Study, citation: Citation, csl: dict[str, Any]) -> Spans:
    if citation.title is None:
        told = citation.text
        if told is None or told.strip().casefold() == study.label.casefold():
            told = f"{study.label}: the record holds no full reference"
        return spans(f"{told.rstrip('.')}.", *_links(csl))
    return _printed(csl, citation.authors)


def _authors(names: Iterable[str]) -> list[dict[str, str]]:
    out: list[dict[str, str]] = []
    for name in names:
        if name.strip().rstrip(".") in ("et al", "others"):
            out.append({"literal": "et al."})
            continue
        family, _, given = name.rpartition(" ")
        if family and _INITIALS.fullmatch(given):
            out.append({"family": family, "given": given})
        else:
            out.append({"literal": name})
    return out


def _printed(csl: dict[str, Any], authors: Sequence[str]) -> Spans:
    """Write an entry like Vancouver: authors, title, journal, year;volume(issue):pages, and links."""
    named = [a for a in authors if a.strip().rstrip(".") not in ("et al", "others")]
    more = len(named) > 6 or len(named) < len(authors)
    who = ", ".join([*named[:6], *(["et al"] if more else [])])
    year = csl["issued"]["date-parts"][0][0] if "issued" in csl else None
    parts: list[str | Inline] = []
    if who:
        parts.append(f"{who}. ")
    title = str(csl["title"]).rstrip(".")
    parts.append(title if title.endswith(("?", "!")) else f"{title}.")
    place = csl.get("container-title") or csl.get("publisher")
    if place:
        parts += [" ", Span(str(place).rstrip("."), "emphasis"), "."]
    if year is not None:
        parts.append(f" {year}{_pages(csl)}.")
    return spans(*parts, *_links(csl))


def _pages(csl: dict[str, Any]) -> str:
    volume, issue, page = (csl.get(name) for name in ("volume", "issue", "page"))
    where = "" if volume is None else f";{volume}" + ("" if issue is None else f"({issue})")
    if page is None:
        return where
    return f"{where}:{page}" if where else f", {page}"


def _links(csl: dict[str, Any]) -> list[str | Inline]:
    out: list[str | Inline] = []
    if "DOI" in csl:
        out += [" ", Link(f"doi:{csl['DOI']}", doi=csl["DOI"])]
    if "PMID" in csl:
        out += [" ", Link(f"PMID {csl['PMID']}", pmid=int(csl["PMID"]))]
    return out


# ---- citations in text ----------------------------------------------------------------------------


@cache
def _names() -> tuple[re.Pattern[str], dict[str, str]]:
    """Return one pattern for all works as texts name them, and the key of each name without brackets."""
    keys: dict[str, str] = {}
    for item in _items():
        found = re.fullmatch(r"(.+) (\d{4})(?: \(\d\))?", item["label"])
        assert found is not None, item["label"]
        if item["label"].endswith(")"):  # one of several works of the same names and year
            continue
        who, year = found[1].removesuffix(" et al."), found[2]
        for name in (f"{who} {year}", f"{who} et al. {year}", *item.get("aliases", ())):
            keys[name] = _PREFIX + item["key"]
    options = sorted(keys, key=len, reverse=True)
    parts = [rf"{re.escape(o[:-5])} (?:{o[-4:]}|\({o[-4:]}\))" for o in options]
    return re.compile("|".join(parts)), keys


def cited(text: str) -> Spans:
    """Put citations where a text names works of the list, such as ``Viechtbauer 2005``.

    Examples
    --------
    >>> cited("tau² by restricted maximum likelihood (Viechtbauer 2005).")[1]
    Cite(key='method-viechtbauer-2005')
    >>> cited("of DerSimonian and Laird (1986); Nobody 1999")[1:]
    (Cite(key='method-dersimonian-1986'), Span(text='; Nobody 1999', style='plain'))
    """
    pattern, keys = _names()
    parts: list[str | Inline] = []
    end = 0
    for found in pattern.finditer(text):
        parts += [text[end : found.start()], Cite(keys[found[0].replace("(", "").replace(")", "")])]
        end = found.end()
    return spans(*parts, text[end:])


def cited_references(sections: Sequence[Section], studies: Iterable[Study]) -> tuple[Reference, ...]:
    """Return the references that sections cite, in the order of their first citation.

    Parameters
    ----------
    sections : sequence of Section
    studies : iterable of Study
        Trials that may be cited.
    """
    known = {r.key: r for r in method_references()}
    known |= {key_of_trial(study): trial_reference(study) for study in studies}
    return tuple(known[key] for key in dict.fromkeys(cites_of(sections)) if key in known)


# ---- files ----------------------------------------------------------------------------------------


def csl_json(references: Iterable[Reference]) -> str:
    """Write references as CSL-JSON, which Zotero, pandoc and others read."""
    return json.dumps([dict(r.csl) for r in references], indent=1, ensure_ascii=False) + "\n"


_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': "''",
}
_BIBTEX = {"article-journal": "article", "book": "book", "chapter": "incollection"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in " ".join(str(text).split()))


def bibtex(references: Iterable[Reference]) -> str:
    """Write references as BibTeX; every sign that TeX reads as a command is escaped.

    Examples
    --------
    >>> print(bibtex([method_reference("hedges-1981")]))
    @article{method-hedges-1981,
      author = {Hedges, LV},
      title = {{Distribution theory for Glass's estimator of effect size and related estimators}},
      journal = {J Educ Stat},
      year = {1981},
      volume = {6},
      number = {2},
      pages = {107--128},
      doi = {10.3102/10769986006002107}
    }
    <BLANKLINE>
    """
    return "\n".join(_entry(r) for r in references)


def _entry(reference: Reference) -> str:
    csl = reference.csl
    kind = _BIBTEX.get(str(csl.get("type")), "misc")
    place = "booktitle" if kind == "incollection" else "journal"
    issued = csl.get("issued")
    fields = {
        "author": " and ".join(_bib_author(a) for a in csl.get("author", ())),
        "title": f"{{{_tex(csl.get('title', reference.label))}}}",
        place: _tex(csl.get("container-title", "")),
        "publisher": _tex(csl.get("publisher", "")),
        "year": "" if issued is None else str(issued["date-parts"][0][0]),
        "volume": _tex(csl.get("volume", "")),
        "number": _tex(csl.get("issue", "")),
        "pages": re.sub(r"(?<=\d)[-–](?=\w)", "--", _tex(csl.get("page", ""))),
        "doi": _tex(csl.get("DOI", "")),
        "pmid": _tex(csl.get("PMID", "")),
    }
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    return f"@{kind}{{{reference.key},\n{lines}\n}}\n"


def _bib_author(author: dict[str, str]) -> str:
    if author.get("literal") == "et al.":
        return "others"
    if "literal" in author:
        return f"{{{_tex(author['literal'])}}}"
    return f"{_tex(author['family'])}, {_tex(author['given'])}"
