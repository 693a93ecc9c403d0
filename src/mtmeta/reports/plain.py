"""A sheet for patients and families: what was asked, found, and how sure it is, in computed sentences.

Every number is linked to its origin. The sheet gives no advice, and where certainty is very low it says so
before any number.
"""

from __future__ import annotations

from mtmeta.audit.grade import Certainty, grade_of
from mtmeta.audit.run import AnalysisRun
from mtmeta.reports.absolute import Absolute, absolute_effects
from mtmeta.reports.document import Block, Listing, Number, Paragraph, Section, Span, Spans, spans
from mtmeta.reports.locked import Locked
from mtmeta.reports.phrases import finding_sentence
from mtmeta.reports.prose import Parts
from mtmeta.reports.words import fixed

__all__ = ["plain_section"]

# GRADE's own meaning of the four levels (Balshem et al. 2011), in our words
_SURE = {
    "high": "The evidence is strong: the true effect is very likely close to what stands here.",
    "moderate": "The evidence is fairly strong: the true effect is probably close to what stands here, but "
    "it may also be quite different.",
    "low": "The evidence is weak: the true effect may be quite different from what stands here.",
    "very low": "The evidence is very weak: the true effect is probably quite different from what is here.",
}
_WHY = {
    "risk of bias": "the trials were done in ways that can mislead, or it is not known how they were done",
    "inconsistency": "the trials disagree with each other",
    "indirectness": "the people, the music or the comparison in the trials are not quite those asked about",
    "imprecision": "too few people took part to tell precisely",
    "publication bias": "there are signs that trials with other results were not published",
}


def plain_section(
    run: AnalysisRun, locked: Locked, *, certainty: Certainty | None = None, jump: str = ""
) -> Section:
    """Return the sheet of one analysis.

    Parameters
    ----------
    run : AnalysisRun
    locked : Locked
    certainty : Certainty, optional
        What :func:`mtmeta.audit.grade.grade_of` gave, where it is at hand.
    jump : str
        Id of the section that numbers point to; empty for none.
    """
    rated = grade_of(run) if certainty is None else certainty
    made: list[tuple[str, Parts]] = [
        ("The question. ", _question(run)),
        ("The trials. ", _trials(run, locked, jump)),
        ("What was found. ", [_found(run, rated)]),
    ]
    blocks: list[Block] = [Paragraph(spans(Span(head, "strong"), *parts)) for head, parts in made]
    numbers = _numbers(run, jump)
    if numbers:
        before = "In numbers:"
        if rated.level == "very low":
            before = "What the trials gave together, in numbers that may well be wrong:"
        blocks += [Paragraph.of(before), Listing(tuple(numbers))]
    blocks.append(Paragraph(spans(Span("How sure this is. ", "strong"), *_sure(rated))))
    blocks.append(Paragraph.of("This sheet tells what trials found. It is not advice on any treatment."))
    return Section(f"plain-{run.analysis.name}", "In plain words", tuple(blocks))


def _question(run: AnalysisRun) -> Parts:
    q = run.analysis.question
    return [
        f"Who: {q.population}. What was tried: {q.intervention}. Compared with: {q.comparator}. "
        f"What was measured: {q.outcome} ({run.analysis.better} is better). When: {q.time}."
    ]


def _trials(run: AnalysisRun, locked: Locked, jump: str) -> Parts:
    trials = len(set(run.effects.study))
    at = f"{locked.name}/today/k" if run.effects.k == trials else ""
    parts: Parts = [Number(f"{trials}", trials, at, jump)]
    parts.append(" trial could be used" if trials == 1 else " trials could be put together")
    n = locked.get("today/n")
    if n is not None:
        parts += [", with ", Number(f"{n}", n, f"{locked.name}/today/n", jump)]
        return [*parts, " person in all." if n == 1 else " people in all."]
    return [*parts, "; how many people took part is not known of all of them."]


def _found(run: AnalysisRun, certainty: Certainty) -> str:
    said = finding_sentence(run, certainty)
    for technical, plainly in (
        ("; the interval includes no effect.", ". It may also make no difference at all."),
        (
            "; the interval also holds effects too small to matter.",
            ". The true difference may also be too small to matter.",
        ),
        (
            "; the interval also holds effects that matter.",
            ". The true difference may also be large enough to matter.",
        ),
    ):
        said = said.replace(technical, plainly)
    return said


def _numbers(run: AnalysisRun, jump: str) -> list[Spans]:
    effects = {a.kind: a for a in absolute_effects(run)}
    out: list[Spans] = []
    points = effects["points"]
    if points.known:
        out.append(_points(run, points, jump))
    pairs = effects["superiority"]
    if pairs.known:
        value, low, high = _three(pairs, 0, jump)
        out.append(
            spans(
                "Take 100 pairs of people, one with music and one without. In about ",
                value,
                " of the pairs the person with music is better off (likely between ",
                low,
                " and ",
                high,
                "). If music made no difference it would be 50.",
            )
        )
    more = effects["per 100"]
    if more.known:
        out.append(_responders(run, more, jump))
    return out


def _three(effect: Absolute, decimals: int, jump: str) -> tuple[Number, Number, Number]:
    assert effect.value is not None
    assert effect.low is not None
    assert effect.high is not None
    one, two, three = (
        Number(fixed(x, decimals), x, jump=jump) for x in (effect.value, effect.low, effect.high)
    )
    return one, two, three


def _points(run: AnalysisRun, effect: Absolute, jump: str) -> Spans:
    value, low, high = _three(effect, 1, jump)
    assert value.value is not None
    if value.text.lstrip("-") == "0.0":
        head: Parts = ["With and without music the average is the same to a tenth"]
    else:
        good = (value.value < 0) == (run.analysis.better == "lower")
        head = ["The average is ", *_sided(value), f" with music, which is {'better' if good else 'worse'}"]
    where = effect.title[0].lower() + effect.title[1:]
    return spans(
        *head,
        f", {where} (the true difference is likely between ",
        *_sided(low),
        " and ",
        *_sided(high),
        f"; it rests on {effect.assumes}).",
    )


def _sided(number: Number) -> Parts:
    """Write a difference without its sign, in words."""
    assert number.value is not None
    text = number.text.lstrip("-")
    if float(text) == 0:
        return ["no difference"]
    size = Number(text, abs(number.value), jump=number.jump)
    return [size, " lower" if number.value < 0 else " higher"]


def _responders(run: AnalysisRun, effect: Absolute, jump: str) -> Spans:
    given = run.analysis.assumptions.control_response
    assert given is not None
    value, low, high = _three(effect, 0, jump)
    control = 100 * given.value
    shares = [control + x for x in (value.value or 0, low.value or 0, high.value or 0)]
    with_music, least, most = (Number(fixed(x, 0), x, jump=jump) for x in shares)
    return spans(
        f"{given.event[0].upper()}{given.event[1:]}: if ",
        Number(fixed(control, 0), control),
        f" of 100 people without music reach it (an assumption, from {given.population}; {given.source}), "
        "then with music about ",
        with_music,
        " of 100 do (likely between ",
        least,
        " and ",
        most,
        ").",
    )


def _sure(certainty: Certainty) -> Parts:
    parts: Parts = [f"{_SURE[certainty.level]} "]
    reasons = [_WHY[r.domain] for r in certainty.ratings if r.down > 0]
    if certainty.start == "low":
        reasons.insert(0, "people were not assigned to music by chance")
    if reasons:
        parts.append(f"Why: {'; '.join(reasons)}. ")
    if certainty.decided is None:
        parts.append("This rating was made by rules from the numbers; no person has confirmed it. ")
    if "indirectness" in certainty.not_judged and certainty.level != "very low":
        parts.append(
            "Nobody has judged yet whether the people, the music and the comparison in the trials are those "
            "asked about, so that the evidence may be weaker still. "
        )
    return parts
