"""Words that several parts of a report share: counts with their nouns, directions, how sure a sentence is."""

from __future__ import annotations

from typing import Literal

from mtmeta.audit.grade import Certainty
from mtmeta.audit.run import AnalysisRun
from mtmeta.measures import Interval

__all__ = [
    "change_word",
    "counted",
    "finding_sentence",
    "includes_no_effect",
    "joined",
    "level_words",
    "people",
    "size_of",
    "turned",
]


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> counted(1, "trial"), counted(12, "trial"), counted(1234, "person", "people")
    ('1 trial', '12 trials', '1234 people')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def people(number: int | None) -> str:
    """Write a number of people, also where it is not known.

    Examples
    --------
    >>> people(1), people(353), people(None)
    ('1 person', '353 people', 'an unknown number of people')
    """
    return "an unknown number of people" if number is None else counted(number, "person", "people")


def joined(words: list[str], last: str = "and") -> str:
    """Join words as a sentence does.

    Examples
    --------
    >>> joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def change_word(effect: float, null: float, better: Literal["lower", "higher"]) -> str:
    """Tell the direction of an effect and whether it is the good one.

    Examples
    --------
    >>> change_word(-0.3, 0.0, "lower"), change_word(0.2, 0.0, "lower")
    ('lower (better)', 'higher (worse)')
    >>> change_word(0.0, 0.0, "higher")
    'the same'
    """
    if effect == null:
        return "the same"
    word = "lower" if effect < null else "higher"
    return f"{word} ({'better' if word == better else 'worse'})"


def includes_no_effect(run: AnalysisRun) -> bool:
    """Whether the 95% interval of the pooled effect includes no effect."""
    return run.result.effects.measure.null in run.result.ci(0.95)


def size_of(run: AnalysisRun, certainty: Certainty) -> Literal["matters", "small", "unknown"]:
    """Tell whether the pooled effect is at least the smallest one that matters.

    "unknown" where nothing is known to hold it against but a convention or no effect.
    """
    cuts = certainty.thresholds
    if not cuts.matter or cuts.origin == "convention":
        return "unknown"
    effect = run.result.estimate
    return "matters" if effect <= cuts.cuts[0] or effect >= cuts.cuts[1] else "small"


def level_words(certainty: Certainty) -> str:
    """Name the level of certainty, as an upper bound where a domain was not judged by anybody.

    Examples
    --------
    >>> from mtmeta.audit.anchors import Thresholds
    >>> from mtmeta.audit.grade import Rating
    >>> cuts = Thresholds((0.0,), (0.0,), "null")
    >>> level_words(Certainty("high", "", (Rating("indirectness", None, "."),), cuts))
    'at most high'
    """
    bound = "at most " if certainty.not_judged and certainty.level != "very low" else ""
    return f"{bound}{certainty.level}"


_SURE = {"high": "", "moderate": "probably ", "low": "may "}
# outcomes whose number is the thing itself; of all others the number is a score of something
_MEASURED = frozenset(
    {
        "heart rate",
        "respiratory rate",
        "systolic pressure",
        "diastolic pressure",
        "mean arterial pressure",
        "oxygen saturation",
        "temperature",
        "cortisol",
        "stress hormones",
        "sedative exposure",
        "opioid use",
        "length of stay",
        "gait velocity",
        "cadence",
        "stride length",
    }
)


def _verb(run: AnalysisRun) -> tuple[str, str]:
    """Return what music does to the outcome, as a verb and a remark behind it."""
    lower = run.result.estimate < run.result.effects.measure.null
    good = lower == (run.analysis.better == "lower")
    constructs = set(run.analysis.select.constructs)
    if constructs and constructs <= _MEASURED:
        return ("lower" if lower else "raise"), ("" if good else " (worse)")
    if run.result.effects.measure.scale == "log":
        return ("improve" if good else "worsen"), ""
    return ("improve" if good else "worsen"), f" ({'lower' if lower else 'higher'} scores)"


def finding_sentence(run: AnalysisRun, certainty: Certainty, *, subject: str = "Music") -> str:
    """Say what was found in the words that GRADE recommends for each level of certainty.

    Statements combine the size of the effect and the certainty: "may" for low, "probably" for moderate,
    nothing for high; at very low certainty only that it is very uncertain (Santesso et al. 2020). A score is
    improved or worsened, since a lower score of sleep quality or functioning may be the better one; what is
    measured itself, such as heart rate, is lowered or raised.
    """
    outcome = run.analysis.question.outcome
    open_ = _open(run, certainty)
    verb, remark = _verb(run)
    level = certainty.level
    if level == "very low":
        small = subject[0].lower() + subject[1:]
        return f"It is very uncertain whether {small} {verb}s {outcome}{remark}{open_}."
    sure, s = _SURE[level], "" if level == "low" else "s"
    if run.result.estimate == run.result.effects.measure.null:
        return f"{subject} {sure}make{s} no difference to {outcome}{open_}."
    size = size_of(run, certainty)
    if size == "small":
        return (
            f"{subject} {sure}make{s} little difference to {outcome}: it {verb}s it{remark} by less than the "
            f"smallest difference that matters to people{open_}."
        )
    amount = ", by an amount that matters to people" if size == "matters" else ""
    return f"{subject} {sure}{verb}{s} {outcome}{remark}{amount}{open_}."


def _open(run: AnalysisRun, certainty: Certainty) -> str:
    if includes_no_effect(run):
        return "; the interval includes no effect"
    cuts = certainty.thresholds
    if size_of(run, certainty) == "matters" and cuts.crossed(run.result.ci(0.95)):
        return "; the interval also holds effects too small to matter"
    if size_of(run, certainty) == "small" and cuts.crossed(run.result.ci(0.95)):
        return "; the interval also holds effects that matter"
    return ""


def turned(interval: Interval, *, turn: bool) -> Interval:
    """Turn the sign of an interval, keeping its ends in order."""
    return Interval(-interval.high, -interval.low) if turn else interval
