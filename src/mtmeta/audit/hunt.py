"""Run the integrity checks over a set of records."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator

from mtmeta.audit.checks import printed, twins
from mtmeta.audit.checks.outliers import implausible_effects
from mtmeta.audit.checks.rows import EffectRow, Suspicion, effect_rows
from mtmeta.audit.findings import Finding, Severity
from mtmeta.effects.select import Row
from mtmeta.errors import MtmetaWarning
from mtmeta.records.folder import Studies

__all__ = ["hunt"]


def hunt(studies: Studies) -> list[Finding]:
    """Look for what is suspect in records, within rows, within trials and between trials.

    Parameters
    ----------
    studies : Studies

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
    [('hermele-2005/anxiety',)]
    """
    with warnings.catch_warnings():
        # the checks compare rows of all kinds on purpose
        warnings.simplefilter("ignore", MtmetaWarning)
        rows = effect_rows(studies)
    found: list[Finding | None] = [_place(studies, s) for s in _suspicions(studies, rows)]
    found += [
        Finding(
            "reference-twice",
            "suspect",
            studies.path_of(group[0].id),
            studies.line_of(group[0].id),
            tuple(s.id for s in group),
            f"{what} stands under {', '.join(s.id for s in group)}",
            remedy="one of them is another paper's, or the trials are one",
        )
        for what, group in twins.doi_twice(studies)
    ]
    return [finding for finding in found if finding is not None]


def _suspicions(studies: Studies, rows: tuple[EffectRow, ...]) -> Iterator[Suspicion]:
    by_study: dict[str, dict[str, EffectRow]] = defaultdict(dict)
    for effect in rows:
        by_study[effect.study.id][effect.outcome.id] = effect
    told: set[str] = set()
    for study in studies:
        for outcome in study.outcomes:
            for suspicion in (
                *printed.contradicted_p(Row(study, outcome)),
                *printed.off_centre(Row(study, outcome)),
            ):
                told.add(f"{study.id}/{outcome.id}")
                yield suspicion
        yield from twins.two_values(study, by_study[study.id])
        yield from twins.opposite_signs(study, by_study[study.id])
        yield from twins.same_numbers(study)
    yield from twins.twin_trials(studies)
    for suspicion in implausible_effects(rows):
        # a row whose printed P speaks already needs no second voice
        if f"{suspicion.row.study.id}/{suspicion.row.outcome.id}" not in told:
            yield suspicion


def _place(studies: Studies, suspicion: Suspicion) -> Finding | None:
    study, outcome = suspicion.row.study, suspicion.row.outcome
    about = f"outcomes.{outcome.id}"
    if any(c.code == suspicion.code and c.about in (about, "study") for c in study.checked):
        return None
    # a flag at the row or at the trial, or at a row of the other trial concerned, says that it is known
    ids = (f"{study.id}/{outcome.id}", *suspicion.others)
    known = any(_flagged(studies, i) for i in ids)
    severity: Severity = "note" if known else "suspect"
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
