"""Which row of which record answers a question; nothing is left out without a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mtmeta.effects.left import LeftOut
from mtmeta.errors import AnalysisError, UsageError
from mtmeta.records.integrity import blocking
from mtmeta.records.messages import nearest
from mtmeta.records.schema import Outcome, Study
from mtmeta.records.vocabulary import comparator_class

__all__ = ["LeftOut", "Query", "Row", "Selection", "in_scope", "select_rows"]

_RULES = ("raise", "prefer", "latest", "separate", "mean")


@dataclass(frozen=True, slots=True)
class Row:
    """One outcome of one trial."""

    study: Study
    outcome: Outcome

    @property
    def where(self) -> str:
        """The row's address, ``study/outcome``."""
        return f"{self.study.id}/{self.outcome.id}"

    @property
    def comparator(self) -> str:
        """Comparator of the row: its own, else the trial's."""
        return self.outcome.comparator or self.study.comparator.type


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows that answer a question, and what was left out."""

    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...]
    mean_rho: float | None = None
    """Correlation under which several rows of one trial are averaged; None when none are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a row must be to answer a question; an empty field asks for nothing.

    Attributes
    ----------
    conditions, constructs, instruments, times, values, categories, approaches, groups : tuple of str
        A row matches a field when it holds one of its words. `instruments` are matched without
        regard to case, whole or up to the first parenthesis or comma.
    comparators : tuple of str
        Comparator types of the vocabulary, or the classes ``inactive``, ``active``, ``music``.
    used_in : tuple of str
        Names of forests that print the row.
    measures : tuple of str
        Measures of reported effects to take; raw data always match.
    allocations : tuple of str
        ``randomised`` and so on.
    pin : mapping of str to str
        The outcome that stands for a trial: study id to outcome id.
    exclude : mapping of str to str
        Study id, or ``study/outcome``, to the reason for leaving it out.
    rule : {"raise", "prefer", "latest", "separate", "mean"}
        What to do when several rows of a trial match: raise and list them; take the first in
        `prefer`; take the latest (by weeks, then by time point); keep each as a row of its own;
        average them, as correlated by `rho`.
    rho : float in [0, 1], default 0.6
        Correlation of the sampling errors of one trial's rows, for the rule "mean". 1 gives no
        credit for there being several.
    prefer : tuple of str
        Instruments, outcome ids or time points in falling order of preference.
    corrected : bool
        Take what a person decided (``corrected``) in place of what was printed.
    """

    conditions: tuple[str, ...] = ()
    constructs: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    comparators: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    approaches: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    allocations: tuple[str, ...] = ()
    used_in: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    pin: Mapping[str, str] = field(default_factory=dict)
    exclude: Mapping[str, str] = field(default_factory=dict)
    rule: str = "raise"
    rho: float = 0.6
    prefer: tuple[str, ...] = ()
    corrected: bool = False


def _instrument_key(text: str | None) -> str:
    if not text:
        return ""
    for stop in ("(", ",", ":"):
        text = text.split(stop)[0]
    return text.strip().casefold()


def _study_matches(study: Study, query: Query) -> bool:
    return (
        (not query.conditions or bool(set(query.conditions) & set(study.conditions)))
        and (not query.studies or study.id in query.studies)
        and (not query.categories or study.intervention.category in query.categories)
        and (not query.approaches or study.intervention.approach in query.approaches)
        and (not query.groups or study.population.group in query.groups)
        and (not query.allocations or study.design.allocation in query.allocations)
    )


def in_scope(studies: Iterable[Study], query: Query) -> tuple[Study, ...]:
    """Return the studies that meet what a query asks of studies, whatever rows they hold."""
    return tuple(study for study in studies if _study_matches(study, query))


def _comparator_matches(row: Row, wanted: Sequence[str]) -> bool:
    return not wanted or row.comparator in wanted or comparator_class(row.comparator) in wanted


def _instrument_matches(outcome: Outcome, wanted: Sequence[str]) -> bool:
    if not wanted:
        return True
    whole = (outcome.instrument or "").casefold()
    return any(w.casefold() == whole or _instrument_key(w) == _instrument_key(whole) for w in wanted)


def _row_mismatch(row: Row, query: Query) -> str | None:
    """Return why a row of the right construct does not match, or None."""
    outcome = row.outcome
    if not _instrument_matches(outcome, query.instruments):
        return f"instrument {outcome.instrument or 'not stated'}"
    if query.times and outcome.time not in query.times:
        return f"time {outcome.time}"
    if query.values and outcome.value not in query.values:
        return f"value {outcome.value}"
    if not _comparator_matches(row, query.comparators):
        return f"comparator {row.comparator}"
    if query.used_in and not set(query.used_in) & set(outcome.used_in):
        return "not in the forest asked for"
    return None


_TIME_ORDER = ("baseline", "during", "post", "short term", "medium term", "long term", "follow-up")


def _lateness(row: Row) -> tuple[float, int]:
    order = _TIME_ORDER.index(row.outcome.time) if row.outcome.time in _TIME_ORDER else -1
    return (row.outcome.weeks if row.outcome.weeks is not None else -1.0, order)


def _preference(row: Row, prefer: Sequence[str]) -> int:
    outcome = row.outcome
    keys = {_instrument_key(outcome.instrument), outcome.id.casefold(), outcome.time, outcome.value}
    for rank, word in enumerate(prefer):
        if word.casefold() in keys or _instrument_key(word) in keys:
            return rank
    return len(prefer)


def _unknown(words: Iterable[str], known: Iterable[str]) -> str:
    import difflib

    known = sorted(set(known))
    parts = []
    for word in words:
        near = difflib.get_close_matches(word, known, n=2)
        parts.append(f"{word!r}" + (f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""))
    return ", ".join(parts)


def _check_named_studies(studies: Sequence[Study], query: Query) -> None:
    ids = {study.id for study in studies}
    named = {name.split("/")[0] for name in (*query.pin, *query.exclude, *query.studies)}
    if missing := sorted(named - ids):
        raise AnalysisError(f"no record has the id {_unknown(missing, ids)}; correct pin, exclude or studies")
    by_id = {study.id: study for study in studies}
    for study_id, outcome_id in query.pin.items():
        known = {outcome.id for outcome in by_id[study_id].outcomes}
        if outcome_id not in known:
            raise AnalysisError(
                f"{study_id} has no outcome {_unknown([outcome_id], known)}; it has "
                + (", ".join(sorted(known)) or "none")
            )
    for name in query.exclude:
        study_id, _, outcome_id = name.partition("/")
        if outcome_id and outcome_id not in {outcome.id for outcome in by_id[study_id].outcomes}:
            raise AnalysisError(f"exclude names {name}, which is no outcome of {study_id}")


def _blocked(row: Row, *, corrected: bool) -> str | None:
    """Return the integrity error that keeps a row from being pooled, or None."""
    found = blocking(row.study, row.outcome.id, corrected=corrected)
    if not found:
        return None
    hint = (
        "; the record holds a correction, taken with corrected: true (corrected=True in Python)"
        if row.outcome.corrected
        else ""
    )
    return f"integrity error {found[0].code}: {found[0].field} {found[0].message}{hint}"


def _as_corrected(row: Row) -> Row:
    fix = row.outcome.corrected
    if fix is None or fix.data is None:
        return row
    return Row(row.study, row.outcome.model_copy(update={"data": fix.data}))


def _choose(study: Study, rows: list[Row], query: Query) -> tuple[list[Row], list[LeftOut]]:
    """Apply pin or rule where several rows of one trial match."""
    if len(rows) <= 1 or query.rule in ("separate", "mean"):
        return rows, []
    if query.rule == "latest":
        best = max(_lateness(row) for row in rows)
        taken = [row for row in rows if _lateness(row) == best]
    elif query.rule == "prefer":
        first = min(_preference(row, query.prefer) for row in rows)
        taken = [row for row in rows if _preference(row, query.prefer) == first]
    else:
        taken = rows
    if len(taken) > 1:
        lines = "\n".join(
            f"  {row.where}: {row.outcome.construct_}, {row.outcome.instrument or 'no instrument'}, "
            f"{row.outcome.time}, {row.comparator}"
            for row in taken
        )
        raise AnalysisError(
            f"{len(taken)} rows of {study.id} answer the question; pin one (pin: {{{study.id}: "
            f"{taken[0].outcome.id}}}) or name a rule (prefer, latest, separate, mean):\n{lines}"
        )
    dropped = [
        LeftOut(study.id, row.outcome.id, f"another row of the trial was taken ({taken[0].outcome.id})")
        for row in rows
        if row is not taken[0]
    ]
    return taken, dropped


def select_rows(studies: Iterable[Study], query: Query) -> Selection:
    """Select the rows that answer a question.

    Parameters
    ----------
    studies : iterable of Study
    query : Query

    Returns
    -------
    Selection
        Rows in the order of the records, and what was left out with the reason: rows of the right
        construct that fail another condition, rows with an integrity error, exclusions, trials
        without a row.

    Raises
    ------
    AnalysisError
        When several rows of a trial match and neither pin nor rule decides, when a named study or
        outcome does not exist, or when nothing matches.
    """
    if query.rule not in _RULES:
        raise UsageError(f"rule={query.rule!r} is not known; use one of {', '.join(map(repr, _RULES))}")
    if not 0.0 <= query.rho <= 1.0:
        raise UsageError(f"rho={query.rho!r} must lie between 0 and 1")
    studies = list(studies)
    _check_named_studies(studies, query)
    rows: list[Row] = []
    left: list[LeftOut] = []
    for study in studies:
        if not _study_matches(study, query):
            continue
        taken, dropped = _rows_of(study, query)
        rows += taken
        left += dropped
    if not rows:
        raise AnalysisError(_nothing(studies, query, left))
    return Selection(tuple(rows), tuple(left), query.rho if query.rule == "mean" else None)


def _rows_of(study: Study, query: Query) -> tuple[list[Row], list[LeftOut]]:
    if study.id in query.exclude:
        return [], [LeftOut(study.id, None, query.exclude[study.id])]
    pinned = query.pin.get(study.id)
    found: list[Row] = []
    left: list[LeftOut] = []
    for outcome in study.outcomes:
        if query.constructs and outcome.construct_ not in query.constructs:
            continue
        row = Row(study, outcome)
        reason = _row_mismatch(row, query)
        if reason is None and row.where in query.exclude:
            reason = query.exclude[row.where]
        if reason is None and pinned is not None and outcome.id != pinned:
            reason = f"the analysis pins {pinned}"
        if reason is not None:
            left.append(LeftOut(study.id, outcome.id, reason))
        elif (error := _blocked(row, corrected=query.corrected)) is not None:
            left.append(LeftOut(study.id, outcome.id, error, answers=True))
        else:
            found.append(_as_corrected(row) if query.corrected else row)
    if not study.outcomes:
        left.append(LeftOut(study.id, None, "the record holds no outcome with numbers"))
    taken, dropped = _choose(study, found, query)
    return taken, left + dropped


def _nothing(studies: Sequence[Study], query: Query, left: Sequence[LeftOut]) -> str:
    asked = "; ".join(
        f"{name} {', '.join(value)}"
        for name, value in (
            ("condition", query.conditions),
            ("construct", query.constructs),
            ("instrument", query.instruments),
            ("time", query.times),
            ("comparator", query.comparators),
            ("forest", query.used_in),
        )
        if value
    )
    have = sorted({o.construct_ for s in studies if _study_matches(s, query) for o in s.outcomes})
    close = [near for word in query.constructs if word not in have for near in nearest(word, have, most=1)]
    hint = f"; did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
    hint += f"{'' if close else ';'} these trials hold {', '.join(have)}" if have else ""
    if query.used_in:
        forests = {f for s in studies for o in s.outcomes for f in o.used_in}
        hint = f"; nearest forest names: {_unknown(query.used_in, forests)}"
    reasons = "".join(f"\n  {item.study}/{item.outcome or '-'}: {item.reason}" for item in list(left)[:10])
    return f"no row answers the question ({asked or 'no condition given'}){hint}{reasons}"
