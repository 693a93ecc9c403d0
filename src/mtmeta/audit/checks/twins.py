"""The same numbers twice: one trial under two ids, labels swapped, two values for one result."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any

from mtmeta.audit.checks.rows import EffectRow, Suspicion, arms_of, sizes_of
from mtmeta.effects.select import Row
from mtmeta.records.schema import Outcome, Study

__all__ = ["doi_twice", "opposite_signs", "same_numbers", "same_people", "twin_trials", "two_values"]

# Digits that numbers must carry together before their being equal is no accident
_DIGITS = 8
# More trials than this with the same numbers are each held against the first alone, and more of one surname
# are probably of several people
_MANY = 6


_WORDS = {"note", "p", "t", "f", "as_printed", "n_total", "level", "adjusted_for"}


def _numbers(data: Any) -> dict[str, Any]:
    """Return the numbers of a row's data, without words that may differ."""
    dumped: dict[str, Any] = data.model_dump(exclude_none=True, exclude=_WORDS)
    return dumped


def _leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield float(value)


def _digits(value: float) -> int:
    """Count the significant digits a number was written with."""
    text = repr(abs(value)).removesuffix(".0").replace(".", "").split("e")[0].lstrip("0")
    return len(text.rstrip("0")) if text else 0


def _enough(numbers: dict[str, Any]) -> bool:
    """Whether numbers are written with so many digits that their being equal is no accident."""
    return sum(_digits(x) for x in _leaves(numbers)) >= _DIGITS


def _key(row: Row) -> str:
    """Return a row's numbers as one text."""
    numbers = _numbers(row.outcome.data)
    # which arm is which may be told in one record and not in the other
    sizes = sorted([*_sizes(numbers)])
    for name in ("n_music", "n_control", "n_unordered"):
        numbers.pop(name, None)
    return json.dumps([row.outcome.construct_, numbers, sizes], sort_keys=True)


def _sizes(numbers: dict[str, Any]) -> Iterator[float]:
    for name in ("n_music", "n_control"):
        if name in numbers:
            yield float(numbers[name])
    yield from (float(x) for x in numbers.get("n_unordered", ()))


def twin_trials(studies: Iterable[Study]) -> Iterator[Suspicion]:
    """Find trials that share rows to the last digit: one trial twice, or labels swapped between two."""
    by_key: dict[str, list[Row]] = defaultdict(list)
    for study in studies:
        for outcome in study.outcomes:
            row = Row(study, outcome)
            by_key[_key(row)].append(row)
    pairs: dict[tuple[str, str], list[tuple[Row, Row]]] = defaultdict(list)
    for rows in by_key.values():
        if len(rows) < 2 or not _enough(_numbers(rows[0].outcome.data)):
            continue
        for a, b in combinations(rows, 2) if len(rows) <= _MANY else ((rows[0], r) for r in rows[1:]):
            if a.study.id != b.study.id:
                first, second = (a, b) if a.study.id < b.study.id else (b, a)
                pairs[first.study.id, second.study.id].append((first, second))
    for shared in pairs.values():
        swapped = [pair for pair in shared if _crosses(pair, shared)]
        if swapped:
            yield _swap(swapped)
        rest = [pair for pair in shared if pair not in swapped]
        if rest:
            yield _duplicate(rest)


def _crosses(pair: tuple[Row, Row], shared: list[tuple[Row, Row]]) -> bool:
    """Whether another shared pair is the same two results the other way round.

    Trial A's result in one forest is trial B's in another, and the reverse: the labels of one of the two
    forests were exchanged.
    """
    a, b = pair
    return any(
        other is not pair
        and other[0].outcome.construct_ == a.outcome.construct_
        and set(other[0].outcome.used_in) & set(b.outcome.used_in)
        and set(other[1].outcome.used_in) & set(a.outcome.used_in)
        and not set(a.outcome.used_in) & set(b.outcome.used_in)
        for other in shared
    )


def _swap(pairs: list[tuple[Row, Row]]) -> Suspicion:
    rows = [row for pair in pairs for row in pair]
    a, b = pairs[0]
    return Suspicion(
        "labels-swapped",
        a,
        f"{a.study.id} and {b.study.id} carry each other's {a.outcome.construct_} results in different "
        "forests: in one of them the labels are exchanged",
        {"rows": ", ".join(sorted({r.where for r in rows}))},
        "hold n and values against each trial's report; say in corrected.belongs_to where each row belongs",
        others=tuple(sorted({r.where for r in rows} - {a.where})),
    )


def _duplicate(pairs: list[tuple[Row, Row]]) -> Suspicion:
    a, b = pairs[0]
    rows = sorted({row.where for pair in pairs for row in pair} - {a.where})
    return Suspicion(
        "duplicate-trial",
        a,
        f"{a.study.id} and {b.study.id} share {len(pairs)} result{'s' if len(pairs) > 1 else ''} to the last "
        "digit: one trial under two names, or overlapping samples",
        {"shared_results": float(len(pairs))},
        "compare authors, places, arms and dates; let one of them count",
        others=tuple(rows),
        source="von Elm 2004, JAMA 291:974 (duplicate publication)",
    )


def same_people(studies: Iterable[Study]) -> Iterator[Suspicion]:
    """Find trials of one condition by one first author with the same sizes of both arms.

    Their numbers differ, so that they may report other outcomes or times of the same people. Arms of one and
    the same size are planned often (twenty and twenty): where they are the only match, it is a note.
    """
    groups: dict[tuple[str, str], list[Study]] = defaultdict(list)
    for study in studies:
        author = _first_author(study)
        if author is not None:
            groups[author, study.conditions[0]].append(study)
    for (author, _), found in groups.items():
        for one, two in combinations(found, 2):
            shared = _arm_sizes(one).keys() & _arm_sizes(two).keys()
            if not shared:
                continue
            # of many trials under one surname some have equal arms by chance
            told = (any(a != b for a, b in shared) or len(shared) > 1) and len(found) <= _MANY
            size = max(shared)
            first, second = _arm_sizes(one)[size], _arm_sizes(two)[size]
            yield Suspicion(
                "overlapping-samples",
                Row(one, first),
                f"{one.id} and {two.id}, both of {author.title()}, have arms of {size[0]:g} and {size[1]:g}: "
                "perhaps two reports of the same people",
                {"arms": f"{size[0]:g} and {size[1]:g}"},
                "compare places, dates and registration; let the people count once",
                others=(f"{two.id}/{second.id}",),
                source="von Elm 2004, JAMA 291:974 (duplicate publication)",
                severity="suspect" if told else "note",
            )


def _first_author(study: Study) -> str | None:
    """Return the surname of the first author, without authors that of a label such as ``White 1999``."""
    if study.citation.authors:
        return study.citation.authors[0].split()[0].strip(",").casefold()
    named = re.match(r"(\w[\w'-]+)(?: et al\.?)?,? (?:19|20)\d\d[a-z]?\b", study.label)
    return None if named is None else named[1].casefold()


def _arm_sizes(study: Study) -> dict[tuple[float, float], Outcome]:
    """Return the sizes of both arms, the smaller first, with the first outcome that tells them."""
    found: dict[tuple[float, float], Outcome] = {}
    for outcome in study.outcomes:
        arms = arms_of(outcome)
        sizes = sizes_of(outcome) if arms is None else (arms[0].n, arms[1].n)
        if sizes is not None and min(sizes) > 1:  # NaN is not
            found.setdefault((min(sizes), max(sizes)), outcome)
    return found


def two_values(study: Study, rows: dict[str, EffectRow]) -> Iterator[Suspicion]:
    """Find two different values that one source prints in two forests for one and the same result."""
    for a, b in combinations(study.outcomes, 2):
        same = (
            a.construct_ == b.construct_
            and a.instrument == b.instrument
            and (a.time, a.weeks, a.value) == (b.time, b.weeks, b.value)
            and (a.comparator, a.intervention, a.subset) == (b.comparator, b.intervention, b.subset)
            and a.source.cite == b.source.cite
            and a.source.cite is not None
        )
        apart = bool(a.used_in) and bool(b.used_in) and not set(a.used_in) & set(b.used_in)
        if same and apart and a.id in rows and b.id in rows and rows[a.id].g != rows[b.id].g:
            first = Row(study, a)
            yield Suspicion(
                "two-values",
                first,
                f"{a.source.cite} prints two values for one {a.construct_} result of {study.id}: "
                f"{rows[a.id].g:.2f} ({a.used_in[0]}) and {rows[b.id].g:.2f} ({b.used_in[0]})",
                {"first": rows[a.id].g, "second": rows[b.id].g},
                "look both up in the trial's report; let one count",
                others=(f"{study.id}/{b.id}",),
            )


def opposite_signs(study: Study, rows: dict[str, EffectRow]) -> Iterator[Suspicion]:
    """Find results of one trial on one instrument that contradict each other in sign."""
    values: list[tuple[str, str | None, str, float, float | None]] = []
    for outcome in study.outcomes:
        if outcome.id in rows:
            row = rows[outcome.id]
            values.append((outcome.id, outcome.instrument, outcome.construct_, row.g, row.v))
        elif outcome.reported is not None and outcome.reported.estimate is not None:
            values.append(
                (outcome.id, outcome.instrument, outcome.construct_, outcome.reported.estimate, None)
            )
    for a, b in combinations(values, 2):
        if a[1] is None or (a[1], a[2]) != (b[1], b[2]) or a[3] * b[3] >= 0:
            continue
        if a[4] is not None and b[4] is not None:
            against = abs(a[3] - b[3]) / (a[4] + b[4]) ** 0.5 > 2.5
        else:
            against = min(abs(a[3]), abs(b[3])) > 0.3
        if against:
            yield Suspicion(
                "sign-contradicts-report",
                Row(study, study.outcome(a[0])),
                f"{study.id}, {a[1]}: {a[3]:+.2f} in one place and {b[3]:+.2f} in another",
                {"first": a[3], "second": b[3]},
                "look up the direction the trial reports: of the scale, the order of the arms, the subset",
                others=(f"{study.id}/{b[0]}",),
            )


def same_numbers(study: Study) -> Iterator[Suspicion]:
    """Find two outcomes or time points of one trial with the same numbers to the last digit."""
    if len(study.outcomes) < 2:
        return
    numbers = {outcome.id: _numbers(outcome.data) for outcome in study.outcomes}
    for a, b in combinations(study.outcomes, 2):
        one = numbers[a.id]
        if one != numbers[b.id] or not _enough(one):
            continue
        first, second = Row(study, a), Row(study, b)
        yield Suspicion(
            "same-numbers",
            first,
            f"{a.id} and {b.id} of {study.id} have the same numbers",
            {},
            "one of them was probably copied; look both up",
            others=(second.where,),
        )


def doi_twice(studies: Iterable[Study]) -> Iterator[tuple[str, tuple[Study, ...]]]:
    """Find a DOI or PMID under two trials."""
    seen: dict[str, list[Study]] = defaultdict(list)
    for study in studies:
        if study.citation.doi is not None:
            seen[f"doi {study.citation.doi.casefold()}"].append(study)
        if study.citation.pmid is not None:
            seen[f"pmid {study.citation.pmid}"].append(study)
    for what, found in seen.items():
        if len(found) > 1:
            yield what, tuple(found)
