"""The sign of a number against the words printed with it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from mtmeta.audit.checks.rows import EffectRow, Suspicion
from mtmeta.effects.select import Row
from mtmeta.records import schema as rec
from mtmeta.records.scales import scale_of

__all__ = ["contradicted_words"]

# "positive favours music" tells the direction of a scale and not a result; neither does a denial
_NOT_RESULT = re.compile(
    r"\b(positive|negative|values?|scores?|direction|not|no|neither|nor|whether|below 0|above 0|[<>] ?0)\b"
    r"[^.;,]{0,25}$"
)
_FOR_MUSIC = re.compile(
    r"(?:favou?rs?|favou?ring|in favou?r of|"
    r"(?:greater|more|larger) (?:improvement|benefit|decrease|reduction) (?:with|in|for|under)|"
    r"(?:improved|did|was|were) (?:more|better) (?:with|in|under)) (?:the )?"
    r"(music|intervention|experimental|treatment|control|usual care|standard care|no music)"
)
_CONTROL = frozenset({"control", "usual care", "standard care", "no music"})


def contradicted_words(row: Row, own: EffectRow | None) -> Iterator[Suspicion]:
    """Hold the sign of an effect, in the direction of its scale, against the words of the source.

    The words are those printed beside the number (``as_printed``, ``reported.printed``, the notes of row and
    data); only plain statements of who did better count. A test says itself which arm was the lower.
    """
    data = row.outcome.data
    if isinstance(data, rec.Test):
        yield from _of_test(row, data)
    better = row.outcome.better or getattr(
        scale_of(row.outcome.instrument, row.outcome.construct_), "better", None
    )
    if own is None or better is None or abs(own.g) < 0.05:
        return
    for text in _texts(row):
        found = _FOR_MUSIC.search(text.lower())
        if found is None or _NOT_RESULT.search(text.lower()[: found.start()]):
            continue
        music_better = found[1] not in _CONTROL
        said = math.copysign(1.0, (1.0 if better == "higher" else -1.0) * (1.0 if music_better else -1.0))
        if said * own.g < 0:
            yield Suspicion(
                "sign-contradicts-words",
                row,
                f"g {own.g:+.2f} where {better} is better, beside the words “{found[0]}”",
                {"g": own.g, "words": found[0]},
                "look up the direction of the scale and the order of the arms",
            )
            return


def _of_test(row: Row, data: rec.Test) -> Iterator[Suspicion]:
    one, two = data.mean_music, data.mean_control
    if one is None or two is None or one == two or data.music_is == "unknown":
        return
    if (data.music_is == "lower") != (one < two):
        yield Suspicion(
            "sign-contradicts-words",
            row,
            f"music is said to be {data.music_is}, and the means are {one:g} with music and {two:g} without",
            {"mean_music": one, "mean_control": two},
            "look up which mean is which arm's",
        )


def _texts(row: Row) -> Iterator[str]:
    outcome = row.outcome
    told = getattr(outcome.data, "as_printed", None), outcome.data.note, outcome.note
    yield from (text for text in told if text)
    if outcome.reported is not None and outcome.reported.printed:
        yield outcome.reported.printed
