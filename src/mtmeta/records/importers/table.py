"""A row of columns becomes an outcome of a trial."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mtmeta.errors import Problem, RecordError
from mtmeta.records import vocabulary as voc
from mtmeta.records.importers.draft import (
    Draft,
    Imported,
    OutcomeDraft,
    comparator_of,
    construct_of,
    slug,
    studies_of,
    word_of,
    year_of,
)
from mtmeta.records.importers.mapping import ROLES, ImportMap, columns_of, layout_of, study_defaults
from mtmeta.records.importers.safety import plain
from mtmeta.records.importers.sheets import Sheet

__all__ = ["import_rows"]

_MISSING = {"", "na", "n/a", "nan", "none", "null", ".", "-", "–", "?"}


# ---- a row --------------------------------------------------------------------------------------


class _NotReadError(Exception):
    """A row that cannot be read, with the reason."""


@dataclass(frozen=True)
class _Row:
    cells: Sequence[str]
    at: dict[str, int]
    decimal: str

    def text(self, role: str) -> str:
        position = self.at.get(role, -1)
        if not 0 <= position < len(self.cells):
            return ""
        value = plain(self.cells[position])
        return "" if value.casefold() in _MISSING else value

    def number(self, role: str) -> float | None:
        text = self.text(role)
        if not text:
            return None
        cleaned = text.replace("−", "-").replace("\u00a0", "").replace(" ", "")
        if self.decimal == "," and re.fullmatch(r"[-+]?\d+,\d+", cleaned):
            cleaned = cleaned.replace(",", ".")
        try:
            value = float(cleaned)
        except ValueError:
            raise _NotReadError(f"{role}: {text!r} is no number") from None
        if not math.isfinite(value):
            raise _NotReadError(f"{role}: {text!r} is no number that can be")
        return value

    def count(self, role: str) -> int | None:
        value = self.number(role)
        if value is None:
            return None
        if value != int(value) or value < 0:
            raise _NotReadError(f"{role}: {self.text(role)} is no number of people")
        return int(value)

    def has(self, *roles: str) -> bool:
        return all(self.text(role) for role in roles)


def import_rows(sheet: Sheet, path: Path, settings: ImportMap) -> Imported:
    """Read trials from a table, one row an outcome.

    Raises
    ------
    RecordError
        A header without the columns of any layout.
    """
    layout = layout_of(sheet.header, settings.layout)
    at = columns_of(sheet.header, layout or "mtmeta", dict(settings.columns))
    _check_columns(sheet, at, path, settings)
    problems: list[Problem] = []
    drafts: dict[str, Draft] = {}
    for cells, line in zip(sheet.rows, sheet.lines, strict=True):
        row = _Row(cells, at, sheet.decimal)
        label = _label(row)
        if not label:
            problems.append(Problem(str(path), line, "study", "names no trial"))
            continue
        try:
            outcome = _outcome(row, line, settings, path)
        except _NotReadError as reason:
            problems.append(Problem(str(path), line, label, str(reason)))
            continue
        key = row.text("id") or label
        draft = drafts.setdefault(key, _draft(row, label, line, settings))
        draft.outcomes.append(outcome)
    found = studies_of(drafts.values(), path=str(path), defaults=study_defaults(settings.defaults))
    return Imported(found.studies, tuple(sorted([*problems, *found.not_read], key=lambda p: p.line)))


def _check_columns(sheet: Sheet, at: dict[str, int], path: Path, settings: ImportMap) -> None:
    header = {name.strip().casefold() for name in sheet.header}
    absent = [name for name in settings.columns.values() if name.strip().casefold() not in header]
    named = ", ".join(plain(name, 60) for name in sheet.header[:40])
    if absent:
        raise RecordError.at(path, 1, "header", f"has no column {absent[0]!r}; its columns are {named}")
    if "study" not in at and "author" not in at:
        raise RecordError.at(
            path,
            1,
            "header",
            f"has no column that names the trial; map one (columns: {{study: ...}}); there are {named}",
        )
    if not {"m1", "change1", "a", "x1", "median1", "yi", "estimate", "g", "log_rr", "r", "t", "f", "p"} & set(
        at
    ):
        raise RecordError.at(
            path,
            1,
            "header",
            f"has the columns {named}; no layout knows them. Name them in a map (--map), columns: {{m1: ..., "
            f"sd1: ..., n1: ...}} with the names {', '.join(list(ROLES)[18:50])} ...",
        )


def _label(row: _Row) -> str:
    label = row.text("study")
    author, year = row.text("author"), row.text("year")
    if author and (not label or label.isdigit()):
        surname = re.split(r",| et al| and | & ", author)[0].strip()
        return f"{surname} {year}".strip()
    if label and year and year not in label:
        return f"{label} {year}"
    return label.replace(", ", " ") if re.fullmatch(r"[^,]+, (19|20)\d\d[a-z]?", label) else label


def _draft(row: _Row, label: str, line: int, settings: ImportMap) -> Draft:
    year = year_of(row.text("year")) or year_of(label)
    fields: dict[str, Any] = {"citation": {"year": year} if year else {}}
    doi = re.search(r"10\.\d{4,9}/\S+", row.text("doi"))
    if doi:
        fields["citation"]["doi"] = doi[0]
    condition = word_of(row.text("condition"), get_args(voc.Condition), settings.values.condition)
    if condition is not None:
        fields["conditions"] = [condition]
    if row.text("group"):
        fields["population"] = {"group": row.text("group")}
    people = row.text("n_randomised")
    if people.isdigit() and len(people) < 10:
        fields["design"] = {"n_randomised": int(people)}
    own = row.text("id")
    return Draft(label, line, slug(own) if own else "", fields)


def _outcome(row: _Row, line: int, settings: ImportMap, path: Path) -> OutcomeDraft:
    told, defaults, values = [], settings.defaults, settings.values
    name = (
        row.text("outcome")
        or row.text("instrument")
        or row.text("construct")
        or defaults.construct_
        or "outcome"
    )
    construct = (
        word_of(row.text("construct"), get_args(voc.Construct), values.construct_)
        or defaults.construct_
        or construct_of(f"{row.text('construct')} {name} {row.text('instrument')}", values.construct_)
    )
    fields: dict[str, Any] = {"construct": construct, "id": slug(name) or "outcome"}
    if row.text("outcome"):
        fields["label"] = row.text("outcome")
    for role, words in (("time", get_args(voc.TimePoint)), ("value", get_args(voc.ValueKind))):
        synonyms = {"fu": "follow-up", "followup": "follow-up"} if role == "time" else {}
        text = row.text(role)
        word = word_of(text, words, {**synonyms, **getattr(values, role)}) or getattr(defaults, role)
        fields[role] = word
        if text and word is None:
            told.append(f"{role}: {text}")
    text = row.text("comparator")
    comparator = comparator_of(text, values.comparator) if text else None
    fields["comparator"] = comparator if comparator != "unclear" else None
    if comparator == "unclear" and text.casefold() != "unclear":
        told.append(f"comparator: {text}")
    for role in ("instrument", "intervention", "subset"):
        fields[role] = row.text(role) or getattr(defaults, role, None)
    fields["better"] = word_of(row.text("better"), ("lower", "higher")) or defaults.better
    fields["weeks"] = row.number("weeks") if re.match(r"\d", row.text("weeks")) else None
    fields["used_in"] = [part.strip() for part in row.text("used_in").split("|") if part.strip()]
    source = {
        "cite": row.text("cite") or defaults.cite or defaults.review,
        "where": row.text("where") or f"{plain(path.name, 200)}, line {line}",
        "status": "secondary",
    }
    fields["source"] = {k: v for k, v in source.items() if v}
    note = "; ".join([*([row.text("note")] if row.text("note") else []), *told])
    fields["note"] = note or None
    fields["data"] = _data(row, settings)
    if fields["data"]["kind"] == "changes" and fields["value"] is None:
        fields["value"] = "change"
    return OutcomeDraft(line, name, fields)


# ---- its numbers ----------------------------------------------------------------------------------


def _group(row: _Row, i: str, names: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, role in names.items():
        value = row.count(f"{role}{i}") if key == "n" else row.number(f"{role}{i}")
        if value is not None:
            found[key] = value
    return found


def _data(row: _Row, settings: ImportMap) -> dict[str, Any]:
    """Return the data of a row: the first kind whose columns it fills."""
    reasons: list[str] = []
    for reader in (_means, _changes, _events, _rates, _medians, _effect, _correlation, _test):
        try:
            data = reader(row, settings)
        except _NotReadError as reason:
            reasons.append(str(reason))
            continue
        if data is not None:
            return data
    raise _NotReadError("; ".join(dict.fromkeys(reasons)) or "holds no numbers of any known kind")


def _means(row: _Row, settings: ImportMap) -> dict[str, Any] | None:
    if not row.has("m1", "m2"):
        return None
    names = {"n": "n", "mean": "m", "sd": "sd", "se": "se"}
    return {"kind": "means", "music": _group(row, "1", names), "control": _group(row, "2", names), **_p(row)}


def _changes(row: _Row, settings: ImportMap) -> dict[str, Any] | None:
    if not row.has("change1", "change2"):
        return None
    data: dict[str, Any] = {"kind": "changes"}
    for arm, i in (("music", "1"), ("control", "2")):
        change = _group(row, i, {"mean": "change", "sd": "sdchange"})
        n = row.count(f"nchange{i}")
        n = row.count(f"n{i}") if n is None else n
        data[arm] = {"change": change, **({} if n is None else {"n": n})}
    return {**data, **_p(row)}


def _events(row: _Row, settings: ImportMap) -> dict[str, Any] | None:
    if not row.has("a", "c"):
        return None
    data: dict[str, Any] = {"kind": "events"}
    for arm, events, others, i in (("music", "a", "b", "1"), ("control", "c", "d", "2")):
        count, without = row.count(events), row.count(others)
        n = row.count(f"total{i}")
        n = row.count(f"n{i}") if n is None else n
        if n is None and count is not None and without is not None:
            n = count + without
        if n is None:
            raise _NotReadError(f"events are given without the number of participants of the {arm} arm")
        data[arm] = {"events": count, "n": n}
    return {**data, **_p(row)}


def _rates(row: _Row, settings: ImportMap) -> dict[str, Any] | None:
    if not row.has("x1", "t1", "x2", "t2"):
        return None
    music, control = ({"events": row.count(f"x{i}"), "time": row.number(f"t{i}")} for i in "12")
    return {"kind": "rates", "music": music, "control": control, **_p(row)}


def _medians(row: _Row, settings: ImportMap) -> dict[str, Any] | None:
    if not row.has("median1", "median2"):
        return None
    data: dict[str, Any] = {"kind": "quartiles"}
    for arm, i in (("music", "1"), ("control", "2")):
        values = {"n": row.count(f"n{i}"), "median": row.number(f"median{i}")}
        values |= {"q1": row.number(f"q1_{i}"), "q3": row.number(f"q3_{i}")}
        data[arm] = {k: v for k, v in values.items() if v is not None}
    return {**data, **_p(row)}


_RATIOS = ("OR", "RR", "HR", "IRR", "ROM", "PETO")


def _effect(row: _Row, settings: ImportMap) -> dict[str, Any] | None:
    if row.has("g", "g_se"):
        data = {
            "measure": "SMD",
            "estimate": row.number("g"),
            "se": row.number("g_se"),
            "correction": "exact",
        }
        return {"kind": "effect", **data, **_sizes(row)}
    if row.has("log_rr", "log_rr_se"):
        data = {
            "measure": "RR",
            "estimate": row.number("log_rr"),
            "se": row.number("log_rr_se"),
            "scale": "log",
        }
        return {"kind": "effect", **data, **_sizes(row)}
    analysed = row.number("yi")
    estimate = row.number("estimate") if analysed is None else analysed
    if estimate is None:
        return None
    measure = row.text("measure").upper() or settings.defaults.measure
    if measure is None:
        raise _NotReadError(
            "an effect is given without its measure; name it in the map (defaults: {measure: SMD})"
        )
    if measure not in get_args(voc.EffectMeasure):
        raise _NotReadError(
            f"measure {measure!r} is not known to records: {', '.join(get_args(voc.EffectMeasure))}"
        )
    data = {"measure": measure, "estimate": estimate}
    if measure in _RATIOS and analysed is not None:
        data["scale"] = "log"
    if measure == "SMD":
        correction = word_of(row.text("correction"), get_args(voc.Correction)) or settings.defaults.correction
        convention = (
            word_of(row.text("variance"), get_args(voc.VarianceConvention)) or settings.defaults.variance
        )
        data |= {"correction": correction or "unknown", "variance": convention or "unknown"}
    return {**_spread(row, data), **_sizes(row), **_p(row)}


def _spread(row: _Row, data: dict[str, Any]) -> dict[str, Any]:
    se, vi = row.number("sei"), row.number("vi")
    if se is None and vi is not None:
        if vi <= 0:
            raise _NotReadError(f"vi: {row.text('vi')} is no variance")
        se = math.sqrt(vi)
    limits = {key: row.number(key) for key in ("ci_low", "ci_high")}
    if se is not None:
        return {"kind": "effect", **data, "se": se, **{k: v for k, v in limits.items() if v is not None}}
    if None in limits.values():
        raise _NotReadError("an effect is given without variance, standard error or interval")
    return {"kind": "interval", **data, **limits}


def _sizes(row: _Row) -> dict[str, Any]:
    """Return sizes as far as they are whole; effective sizes of clusters are not, and stay out."""
    found = {}
    for key, role in (("n_music", "n1"), ("n_control", "n2"), ("n_total", "n_total")):
        value = row.number(role)
        if value is not None and value == int(value) and value > 0:
            found[key] = int(value)
    if len({"n_music", "n_control"} & set(found)) == 1:
        found.pop("n_music", None)
        found.pop("n_control", None)
    if {"n_music", "n_control"} <= set(found):
        found["n_total"] = found["n_music"] + found["n_control"]
    return found


def _correlation(row: _Row, settings: ImportMap) -> dict[str, Any] | None:
    if not row.has("r", "n"):
        return None
    return {"kind": "correlation", "r": row.number("r"), "n": row.count("n")}


def _test(row: _Row, settings: ImportMap) -> dict[str, Any] | None:
    statistic = next((s for s in ("t", "f") if row.text(s)), None)
    if statistic is None and not row.text("p"):
        return None
    data: dict[str, Any] = {
        "kind": "test",
        "statistic": {"t": "t", "f": "F", None: "p"}[statistic],
        **_p(row),
    }
    if statistic is not None:
        data["value"] = row.number(statistic)
    direction = word_of(row.text("direction"), ("lower", "higher"))
    if direction is None and statistic == "t" and data["value"]:
        direction = "lower" if data["value"] < 0 else "higher"
    sizes = _sizes(row)
    sizes.pop("n_total", None)
    return {**data, "music_is": direction or "unknown", **sizes}


def _p(row: _Row) -> dict[str, str]:
    return {"p": row.text("p")} if row.text("p") else {}
