"""RevMan: the XML of RevMan 5 (``.rm5``) and the data rows (CSV) that RevMan Web and Cochrane offer."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from mtmeta.errors import Problem, RecordError
from mtmeta.records.importers.draft import (
    Draft,
    Imported,
    OutcomeDraft,
    comparator_of,
    construct_of,
    slug,
    studies_of,
    year_of,
)
from mtmeta.records.importers.mapping import ImportMap, study_defaults
from mtmeta.records.importers.safety import plain, read_plain_text, read_xml
from mtmeta.records.importers.sheets import Sheet

__all__ = ["import_data_rows", "import_rm5"]

_MEASURES = {
    "md": "MD", "mean difference": "MD", "mean difference (fixed)": "MD",
    "smd": "SMD", "std. mean difference": "SMD", "standardised mean difference": "SMD",
    "standardized mean difference": "SMD",
    "or": "OR", "odds ratio": "OR", "odds ratio (non-event)": "OR",
    "rr": "RR", "risk ratio": "RR", "risk ratio (non-event)": "RR", "relative risk": "RR",
    "rd": "RD", "risk difference": "RD",
    "peto_or": "PETO", "peto odds ratio": "PETO",
    "hr": "HR", "hazard ratio": "HR", "rate ratio": "IRR",
}  # fmt: skip
_RATIOS = frozenset({"OR", "RR", "HR", "IRR", "PETO"})
_KINDS = ("CONT", "DICH", "IV", "IPD")


@dataclass(frozen=True)
class _Analysis:
    """What holds for all rows of one forest."""

    number: str
    name: str
    comparison: str
    measure: str | None
    log: bool
    level: float
    music: str
    control: str
    review: str
    file: str
    note: str = ""


@dataclass(frozen=True)
class _Values:
    """One row of a forest; texts as they stand, None where nothing stands."""

    line: int
    kind: str
    subgroup: str
    texts: Mapping[str, str | None]

    def number(self, name: str) -> float | None:
        text = self.texts.get(name)
        if text is None or not text.strip():
            return None
        try:
            value = float(text.replace(",", "").replace("−", "-"))
        except ValueError:
            return None
        return value if value == value and abs(value) != float("inf") else None

    def count(self, name: str) -> int | float | None:
        value = self.number(name)
        return int(value) if value is not None and value == int(value) else value


def _group(values: _Values, i: str, names: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, name in names.items():
        value = values.count(f"{name}{i}") if key in ("n", "events") else values.number(f"{name}{i}")
        if value is not None:
            found[key] = value
    return found


def _data(values: _Values, analysis: _Analysis) -> dict[str, Any]:
    if values.kind == "CONT":
        names = {"n": "n", "mean": "mean", "sd": "sd"}
        return {"kind": "means", "music": _group(values, "1", names), "control": _group(values, "2", names)}
    if values.kind == "DICH":
        names = {"events": "events", "n": "n"}
        return {"kind": "events", "music": _group(values, "1", names), "control": _group(values, "2", names)}
    sizes = {key: values.count(name) for key, name in (("n_music", "n1"), ("n_control", "n2"))}
    people = {k: v for k, v in sizes.items() if v} if all(sizes.values()) else {}
    if values.kind == "IPD":
        expected, spread = values.number("oe"), values.number("var")
        if expected is None or not spread or spread <= 0:
            return {"kind": "effect", "measure": analysis.measure or "HR", "estimate": None, "se": None}
        told = f"observed minus expected {values.texts.get('oe')}, variance {values.texts.get('var')}"
        return {
            "kind": "effect", "measure": analysis.measure or "HR", "scale": "log",
            "estimate": expected / spread, "se": spread**-0.5, "as_printed": told, **people,
        }  # fmt: skip
    measure = analysis.measure
    data: dict[str, Any] = {
        "kind": "effect",
        "measure": measure,
        "estimate": values.number("estimate"),
        "se": values.number("se"),
        **people,
    }
    if measure in _RATIOS and analysis.log:
        data["scale"] = "log"
    return data


def _reported(values: _Values, analysis: _Analysis) -> dict[str, Any] | None:
    effect = values.number("effect")
    if effect is None or analysis.measure is None or values.kind not in ("CONT", "DICH"):
        return None
    found: dict[str, Any] = {"measure": analysis.measure, "estimate": effect, "convention": "RevMan"}
    for key, name in (("ci_low", "low"), ("ci_high", "high"), ("weight_percent", "weight")):
        value = values.number(name)
        if value is not None:
            found[key] = value
    if not 0 <= found.get("weight_percent", 0) <= 100:
        del found["weight_percent"]
    if analysis.level != 0.95:
        found["level"] = analysis.level
    return found


def _outcome(values: _Values, analysis: _Analysis, settings: ImportMap) -> OutcomeDraft:
    defaults, words = settings.defaults, settings.values
    name = analysis.name or f"analysis {analysis.number}"
    full = f"{name} - {values.subgroup}" if values.subgroup else name
    construct = construct_of(name, words.construct_)
    if construct == "other":
        construct = construct_of(values.subgroup, words.construct_)
    if construct == "other" and defaults.construct_ is not None:
        construct = defaults.construct_
    time = next(
        (
            t
            for t in ("short term", "medium term", "long term", "follow-up")
            if t in full.casefold().replace("-term", " term")
        ),
        None,
    )
    comparator = comparator_of(analysis.control, words.comparator)
    fields: dict[str, Any] = {
        "id": slug(name),
        "construct": construct,
        "label": full,
        "instrument": defaults.instrument,
        "better": defaults.better,
        "time": words.time.get(values.subgroup) or time or defaults.time,
        "value": defaults.value,
        "comparator": None if comparator == "unclear" else comparator,
        "data": _data(values, analysis),
        "reported": _reported(values, analysis),
        "used_in": [plain(f"{analysis.review}: {full}" if analysis.review else full)],
        "source": {
            "cite": defaults.cite or analysis.review or analysis.file,
            "where": plain(
                f"analysis {analysis.number}, {analysis.comparison}"
                if analysis.comparison
                else f"analysis {analysis.number}"
            ),
            "via": analysis.file,
            "status": "secondary",
        },
        "note": "; ".join(part for part in (analysis.note, values.texts.get("note") or "") if part) or None,
    }
    return OutcomeDraft(values.line, full, fields)


# ---- RevMan 5 -------------------------------------------------------------------------------------


def _text(element: Element | None, tag: str = "") -> str:
    found = element if element is None or not tag else element.find(tag)
    if found is None:
        return ""
    paragraphs = found.findall(".//P") or [found]
    return plain(" ".join("".join(p.itertext()) for p in paragraphs))


def unescaped(identifier: str) -> str:
    """Return a RevMan identifier with its ``_x0020_`` read and its prefix taken off.

    Examples
    --------
    >>> unescaped("STD-G_x00f3_mez_x002d_Gallego-2021")
    'Gómez-Gallego-2021'
    """
    text = re.sub(r"_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), identifier)
    return plain(text.removeprefix("STD-"))


def import_rm5(path: Path, settings: ImportMap) -> Imported:
    """Read the included studies of a RevMan 5 file: references, risk of bias, and every row of every forest.

    Raises
    ------
    RecordError
        For a file that is no review of RevMan.
    """
    root = read_xml(path)
    if root.tag != "COCHRANE_REVIEW":
        raise RecordError.at(
            path, 0, "", f"is XML but no review of RevMan 5: it begins with {plain(root.tag, 60)!r}"
        )
    review = settings.defaults.review or root.get("CD_NUMBER") or root.get("REVIEW_NO") or ""
    problems: list[Problem] = []
    drafts = {
        unescaped(s.get("ID", "")): _study(s, review) for s in root.iterfind(".//INCLUDED_STUDIES/STUDY")
    }
    _characteristics(root, drafts)
    _risk_of_bias(root, drafts, review)
    for study, outcome in _rm5_rows(root, path, review, settings, problems):
        if study not in drafts:
            problems.append(
                Problem(str(path), 0, study, f"stands in {outcome.name} but not among the included studies")
            )
            continue
        drafts[study].outcomes.append(outcome)
    found = studies_of(drafts.values(), path=str(path), defaults=study_defaults(settings.defaults))
    return Imported(found.studies, (*problems, *found.not_read))


def _study(element: Element, review: str) -> Draft:
    label = plain(element.get("NAME", "")) or unescaped(element.get("ID", "")).replace("-", " ")
    references = element.findall("REFERENCE")
    main = next((r for r in references if r.get("PRIMARY") == "YES"), references[0] if references else None)
    citation = _citation(main)
    citation.setdefault("year", year_of(element.get("YEAR", "")) or year_of(label))
    fields: dict[str, Any] = {"citation": {k: v for k, v in citation.items() if v}}
    if review:
        fields["reviews"] = [plain(review)]
    return Draft(label, 0, "", fields)


def _citation(reference: Element | None) -> dict[str, Any]:
    if reference is None:
        return {}
    found: dict[str, Any] = {
        "authors": [a.strip() for a in re.split(r",|;", _text(reference, "AU")) if a.strip()],
        "title": _text(reference, "TI"),
        "journal": _text(reference, "SO"),
        "year": year_of(_text(reference, "YR")),
        "volume": _text(reference, "VL"),
        "issue": _text(reference, "NO"),
        "pages": _text(reference, "PG"),
    }
    for identifier in reference.iterfind(".//IDENTIFIER"):
        value = plain(identifier.get("VALUE", ""))
        doi = re.search(r"10\.\d{4,9}/\S+", value)
        if identifier.get("TYPE") == "DOI" and doi:
            found["doi"] = doi[0]
        if identifier.get("TYPE") in ("PUBMED", "MEDLINE") and value.isdigit() and 0 < int(value) <= 10**9:
            found["pmid"] = int(value)
    return {k: v for k, v in found.items() if v}


def _characteristics(root: Element, drafts: dict[str, Draft]) -> None:
    for element in root.iterfind(".//INCLUDED_CHAR"):
        draft = drafts.get(unescaped(element.get("STUDY_ID", "")))
        if draft is None:
            continue
        for tag, part, key in (
            ("CHAR_METHODS", "design", "as_printed"),
            ("CHAR_PARTICIPANTS", "population", "description"),
            ("CHAR_INTERVENTIONS", "intervention", "description"),
        ):
            text = _text(element, tag)
            if text:
                draft.fields.setdefault(part, {})[key] = text
        notes = _text(element, "CHAR_NOTES")
        if notes:
            draft.fields["note"] = notes


_DOMAINS = {
    "random sequence": "random_sequence",
    "sequence generation": "random_sequence",
    "allocation concealment": "allocation_concealment",
    "blinding of participants": "blinding_participants",
    "blinding of outcome": "blinding_outcome",
    "incomplete outcome": "incomplete_outcome",
    "selective": "selective_reporting",
    "other": "other",
}
_JUDGEMENTS = {"YES": "low", "NO": "high", "UNKNOWN": "unclear"}


def _risk_of_bias(root: Element, drafts: dict[str, Draft], review: str) -> None:
    """Read RoB 1: RevMan's YES is low risk, NO high, UNKNOWN unclear."""
    for item in root.iterfind(".//QUALITY_ITEM"):
        name = _text(item, "NAME").casefold()
        domain = next((field for words, field in _DOMAINS.items() if words in name), None)
        if domain is None:
            continue
        for entry in item.iterfind(".//QUALITY_ITEM_DATA_ENTRY"):
            draft = drafts.get(unescaped(entry.get("STUDY_ID", "")))
            judgement = _JUDGEMENTS.get(entry.get("RESULT", ""))
            if draft is None or judgement is None:
                continue
            bias = draft.fields.setdefault("risk_of_bias", {"tool": "RoB 1"})
            if review:
                bias["judged_by"] = plain(review)
            bias.setdefault(domain, judgement)


_ATTRIBUTES = {
    "mean1": "MEAN_1", "sd1": "SD_1", "n1": "TOTAL_1", "mean2": "MEAN_2", "sd2": "SD_2", "n2": "TOTAL_2",
    "events1": "EVENTS_1", "events2": "EVENTS_2", "estimate": "ESTIMATE", "se": "SE",
    "oe": "O_E", "var": "VAR",
    "effect": "EFFECT_SIZE", "low": "CI_START", "high": "CI_END", "weight": "WEIGHT",
}  # fmt: skip


def _rm5_rows(
    root: Element, path: Path, review: str, settings: ImportMap, problems: list[Problem]
) -> Iterator[tuple[str, OutcomeDraft]]:
    for comparison in root.iterfind(".//COMPARISON"):
        for outcome in comparison:
            kind = outcome.tag.removesuffix("_OUTCOME")
            if outcome.tag == "OTHER_OUTCOME":
                told = f"{_text(outcome, 'NAME')}: a table of text, from which no effect follows"
                problems.append(Problem(str(path), 0, outcome.get("ID", ""), told))
            if kind not in _KINDS or not outcome.tag.endswith("_OUTCOME"):
                continue
            analysis = _rm5_analysis(outcome, comparison, path, review)
            groups = outcome.findall(f"{kind}_SUBGROUP")
            for group in groups or [outcome]:
                name = _text(group, "NAME") if groups else ""
                for element in group.findall(f"{kind}_DATA"):
                    texts = {ours: element.get(theirs) for ours, theirs in _ATTRIBUTES.items()}
                    if texts["estimate"] is None and kind == "IV":
                        texts["estimate"] = element.get("EFFECT_SIZE")
                    texts["note"] = _text(element, "FOOTNOTE") or None
                    study = unescaped(element.get("STUDY_ID", ""))
                    yield study, _outcome(_Values(0, kind, name, texts), analysis, settings)


def _rm5_analysis(outcome: Element, comparison: Element, path: Path, review: str) -> _Analysis:
    measure = outcome.get("EFFECT_MEASURE") or _text(outcome, "EFFECT_MEASURE")
    level = outcome.get("CI_STUDY", "95")
    number = outcome.get("NO", "")
    return _Analysis(
        number=plain(f"{comparison.get('NO', '')}.{number}".strip(".")),
        name=_text(outcome, "NAME"),
        comparison=_text(comparison, "NAME"),
        measure=_MEASURES.get(measure.casefold()),
        log=outcome.get("LOG_DATA", "YES") != "NO",
        level=float(level) / 100.0 if re.fullmatch(r"\d\d(\.\d+)?", level) else 0.95,
        music=_text(outcome, "GROUP_LABEL_1"),
        control=_text(outcome, "GROUP_LABEL_2"),
        review=plain(review),
        file=plain(path.name, 200),
        note="RevMan swapped events and non-events" if outcome.get("SWAP_EVENTS", "NO") == "YES" else "",
    )


# ---- RevMan Web -----------------------------------------------------------------------------------

_COLUMNS = {
    "mean1": "experimental mean", "sd1": "experimental sd", "n1": "experimental n",
    "events1": "experimental cases",
    "mean2": "control mean", "sd2": "control sd", "n2": "control n", "events2": "control cases",
    "estimate": "giv mean", "se": "giv se", "oe": "o-e", "var": "variance",
    "effect": "mean", "low": "ci start", "high": "ci end", "weight": "weight", "note": "footnotes",
}  # fmt: skip


def import_data_rows(sheet: Sheet, path: Path, settings: ImportMap) -> Imported:
    """Read data rows; measures stand in the package's settings file, read where it lies beside them.

    The settings file is the one called like the data rows with ``overall-estimates-and-settings`` in the
    place of ``data-rows`` (Cochrane data package, versions 1 and 2).
    """
    header = {name.strip().casefold(): i for i, name in enumerate(sheet.header)}
    analyses = _settings_beside(path)
    review = settings.defaults.review or (m[0] if (m := re.match(r"CD\d{6}(\.pub\d+)?", path.name)) else "")
    problems: list[Problem] = []
    drafts: dict[str, Draft] = {}
    for cells, line in zip(sheet.rows, sheet.lines, strict=True):
        texts = {name: plain(cells[i]) if i < len(cells) else "" for name, i in header.items()}
        label, year = texts.get("study", ""), texts.get("study year", "")
        if not label:
            problems.append(Problem(str(path), line, "study", "names no trial"))
            continue
        key = (texts.get("analysis group", ""), texts.get("analysis number", ""))
        analysis = _web_analysis(texts, analyses.get(key, {}), path, review, settings)
        values = _web_values(texts, line)
        if values is None:
            problems.append(
                Problem(str(path), line, label, "holds neither arms nor an effect with its standard error")
            )
            continue
        if values.kind == "IV" and analysis.measure is None:
            problems.append(
                Problem(
                    str(path),
                    line,
                    label,
                    "the effect measure is not told; name it in the map (defaults: {measure: ...})",
                )
            )
            continue
        known = year_of(year) or year_of(label)
        fields: dict[str, Any] = {"citation": {"year": known} if known else {}}
        if review:
            fields["reviews"] = [review]
        draft = drafts.setdefault(
            label, Draft(label if year_of(label) or not year else f"{label} {year}", line, "", fields)
        )
        draft.outcomes.append(_outcome(values, analysis, settings))
    found = studies_of(drafts.values(), path=str(path), defaults=study_defaults(settings.defaults))
    return Imported(found.studies, tuple(sorted([*problems, *found.not_read], key=lambda p: p.line)))


def _web_values(texts: Mapping[str, str], line: int) -> _Values | None:
    found = {name: texts.get(column) or None for name, column in _COLUMNS.items()}
    subgroup = texts.get("subgroup", "")
    for kind, needed in (
        ("CONT", ("mean1", "mean2")),
        ("DICH", ("events1", "events2")),
        ("IV", ("estimate", "se")),
        ("IPD", ("oe", "var")),
    ):
        if all(found[name] is not None for name in needed):
            return _Values(line, kind, subgroup, found)
    return None


def _web_analysis(
    texts: Mapping[str, str], told: Mapping[str, str], path: Path, review: str, settings: ImportMap
) -> _Analysis:
    measure = _MEASURES.get(told.get("effect measure", "").casefold()) or settings.defaults.measure
    group, number = texts.get("analysis group", ""), texts.get("analysis number", "")
    return _Analysis(
        number=f"{group}.{number}".strip("."),
        name=told.get("analysis name") or texts.get("analysis name", ""),
        comparison=told.get("analysis group name", ""),
        measure=measure,
        log=told.get("log-scale data", "TRUE").upper() != "FALSE",
        level=0.95,
        music=told.get("experimental group label", ""),
        control=told.get("control group label", ""),
        review=review,
        file=plain(path.name, 200),
        note="RevMan swapped events and non-events"
        if told.get("swap event and non-event", "").upper() == "TRUE"
        else "",
    )


def _settings_beside(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    beside = path.with_name(path.name.replace("data-rows", "overall-estimates-and-settings"))
    if beside == path or not beside.is_file():
        return {}
    reader = csv.reader(io.StringIO(read_plain_text(beside)), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise RecordError.at(beside, reader.line_num, "", f"is no CSV from here on ({error})") from error
    header = [plain(name).casefold() for name in rows[0]] if rows else []
    found = {}
    for cells in rows[1:]:
        told = dict(zip(header, map(plain, cells), strict=False))
        found[told.get("analysis group", ""), told.get("analysis number", "")] = told
    return found
