"""Run the integrity checks over a set of records."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator

from mtmeta.audit.checks import printed, times, twins
from mtmeta.audit.checks.integers import impossible_means
from mtmeta.audit.checks.outliers import implausible_effects, surroundings
from mtmeta.audit.checks.references import Retracted, doi_year, retraction_of
from mtmeta.audit.checks.rows import EffectRow, Limits, Suspicion, effect_rows
from mtmeta.audit.checks.signs import turned_signs
from mtmeta.audit.checks.spread import spreads_of, suspect_spreads
from mtmeta.audit.checks.totals import contradicted_weights
from mtmeta.audit.checks.words import contradicted_words
from mtmeta.audit.findings import Finding, Severity
from mtmeta.effects.select import Row
from mtmeta.errors import MtmetaWarning
from mtmeta.records.folder import Studies
from mtmeta.records.schema import Study

__all__ = ["Limits", "hunt"]

Step = Callable[[int, int], None]
_DEFAULT = Limits()


def hunt(
    studies: Studies,
    *,
    limits: Limits = _DEFAULT,
    retracted: Retracted | None = None,
    progress: Step | None = None,
) -> list[Finding]:
    """Look for what is suspect in records, within rows, within trials and between trials.

    Parameters
    ----------
    studies : Studies
    limits : Limits
        How strong evidence must be.
    retracted : Retracted, optional
        A list of withdrawn works, as :func:`~mtmeta.audit.checks.references.read_retracted` gives it.
    progress : callable, optional
        Called with the number of trials done and of all.

    Returns
    -------
    list of Finding
        Suspects, each with evidence and remedy. One that the record answers (``checked``) is left out; one
        whose row carries a flag is known and told as a note.

    Examples
    --------
    Hermele 2005 and Stein 2010 of CD006577 are one trial; both records carry the flag.

    >>> from mtmeta.records.locate import example_studies
    >>> [f.ids[:1] for f in hunt(example_studies("cardiac")) if f.code == "duplicate-trial"]
    [('hermele-2005/depression',)]
    """
    with warnings.catch_warnings():
        # the checks compare rows of all kinds on purpose
        warnings.simplefilter("ignore", MtmetaWarning)
        rows = effect_rows(studies)
    found: list[Finding | None] = [_place(studies, s) for s in _suspicions(studies, rows, limits, progress)]
    found += _references(studies, retracted)
    found += contradicted_weights(studies)
    return [finding for finding in found if finding is not None]


def _suspicions(
    studies: Studies, rows: tuple[EffectRow, ...], limits: Limits, progress: Step | None
) -> Iterator[Suspicion]:
    by_study: dict[str, dict[str, EffectRow]] = defaultdict(dict)
    for effect in rows:
        by_study[effect.study.id][effect.outcome.id] = effect
    spreads = spreads_of([Row(study, outcome) for study in studies for outcome in study.outcomes])
    around = surroundings(rows)
    told: set[str] = set()
    for done, study in enumerate(studies, 1):
        own = by_study[study.id]
        of_rows = (*_of_rows(study, own, limits), *suspect_spreads(study, spreads, limits))
        for suspicion in _once(of_rows):
            told.add(_where(suspicion))
            yield suspicion
        yield from twins.two_values(study, own)
        signs = (*twins.opposite_signs(study, own), *turned_signs(study, own, around, limits))
        yield from _once_a_pair(signs)
        yield from twins.same_numbers(study)
        yield from times.growing_n(study)
        if progress is not None and (done % 100 == 0 or done == len(studies)):
            progress(done, len(studies))
    pairs = set()
    for suspicion in (*twins.twin_trials(studies), *twins.same_people(studies)):
        pair = frozenset(where.split("/")[0] for where in (_where(suspicion), *suspicion.others))
        if suspicion.code != "overlapping-samples" or pair not in pairs:
            pairs.add(pair)
            yield suspicion
    for suspicion in implausible_effects(rows, around, limits):
        # a row whose own numbers speak already needs no second voice
        if _where(suspicion) not in told:
            yield suspicion


def _of_rows(study: Study, own: dict[str, EffectRow], limits: Limits) -> Iterator[Suspicion]:
    for outcome in study.outcomes:
        row, effect = Row(study, outcome), own.get(outcome.id)
        yield from printed.contradicted_p(row, limits)
        yield from printed.contradicted_statistic(row, limits)
        yield from printed.off_centre(row)
        yield from contradicted_words(row, effect)
        yield from printed.contradicted_report(row, effect)
        if outcome.data.kind in ("means", "changes"):
            yield from times.baseline_as_outcome(row)
            yield from times.change_as_final(row)
            yield from times.impossible_changes(row)
            yield from impossible_means(row)


def _where(suspicion: Suspicion) -> str:
    return f"{suspicion.row.study.id}/{suspicion.row.outcome.id}"


def _once(suspicions: tuple[Suspicion, ...]) -> Iterator[Suspicion]:
    """Leave out what another check has said of the same row already, or of the same numbers elsewhere.

    An arm that stands in two contrasts of a trial has one mean, and one finding.
    """
    seen: set[tuple[str, str]] = set()
    for suspicion in suspicions:
        whole = suspicion.code in ("grim", "grimmer")
        key = (str(suspicion.evidence) if whole else _where(suspicion), suspicion.code)
        if key not in seen:
            seen.add(key)
            yield suspicion


def _once_a_pair(suspicions: tuple[Suspicion, ...]) -> Iterator[Suspicion]:
    """Leave out what was said of the same two rows already."""
    seen: set[frozenset[str]] = set()
    for suspicion in suspicions:
        pair = frozenset((_where(suspicion), *suspicion.others))
        if pair not in seen:
            seen.add(pair)
            yield suspicion


def _references(studies: Studies, retracted: Retracted | None) -> Iterator[Finding | None]:
    for what, group in twins.doi_twice(studies):
        yield _of_study(
            studies,
            group[0],
            "reference-twice",
            f"{what} stands under {', '.join(s.id for s in group)}",
            "one of them is another paper's, or the trials are one",
            others=tuple(s.id for s in group[1:]),
        )
    for study in studies:
        year = None if study.citation.doi is None else doi_year(study.citation.doi)
        cited = study.citation.year
        if year is not None and cited is not None and abs(year - cited) > 1:
            yield _of_study(
                studies,
                study,
                "doi-year",
                f"the year is {cited}, the DOI {study.citation.doi} tells {year}",
                "look up year and DOI: one of them is another paper's",
            )
        for what in () if retracted is None else retraction_of(study, retracted):
            yield _of_study(
                studies,
                study,
                "retracted",
                f"{what} stands in the list of retracted works",
                "read the notice; leave the trial out, or say under checked why it stays",
                source="Cochrane Handbook 4.4.6 (retracted studies)",
            )


def _of_study(
    studies: Studies,
    study: Study,
    code: str,
    message: str,
    remedy: str,
    *,
    others: tuple[str, ...] = (),
    source: str = "Cochrane Handbook 4.6.2 (several reports of one study)",
) -> Finding | None:
    if any(c.code == code and c.about == "study" for c in study.checked):
        return None
    known = any(f.about == "study" and f.code == code for f in study.flags)
    return Finding(
        code,
        "note" if known else "suspect",
        studies.path_of(study.id),
        studies.line_of(study.id),
        (study.id, *others),
        message + (" (flagged)" if known else ""),
        remedy=remedy,
        source=source,
    )


def _place(studies: Studies, suspicion: Suspicion) -> Finding | None:
    study, outcome = suspicion.row.study, suspicion.row.outcome
    about = f"outcomes.{outcome.id}"
    if any(c.code == suspicion.code and c.about in (about, "study") for c in study.checked):
        return None
    # a flag at the row or at the trial, or at a row of the other trial concerned, says that it is known
    ids = (f"{study.id}/{outcome.id}", *suspicion.others)
    known = any(_flagged(studies, i) for i in ids)
    severity: Severity = "note" if known else suspicion.severity
    return Finding(
        suspicion.code,
        severity,
        studies.path_of(study.id),
        studies.line_of(study.id, outcome.id),
        ids,
        suspicion.message + (" (flagged)" if known else ""),
        suspicion.evidence,
        suspicion.remedy,
        suspicion.source,
    )


def _flagged(studies: Studies, where: str) -> bool:
    study_id, _, outcome_id = where.partition("/")
    return any(f.about in ("study", f"outcomes.{outcome_id}") for f in studies[study_id].flags)
