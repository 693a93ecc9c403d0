"""GRIM and GRIMMER: means and SDs that no set of whole scores can have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from mtmeta.audit.checks.rows import Arm, Suspicion, arms_of, ulp
from mtmeta.effects.select import Row
from mtmeta.records.scales import scale_of
from mtmeta.records.schema import Outcome

__all__ = ["grim", "grimmer", "impossible_means"]

_SOURCE = (
    "Brown & Heathers 2017, Soc Psychol Personal Sci 8:363 (GRIM); Anaya 2016, PeerJ Preprints 4:e2400v1"
)
_WHOLE = re.compile(r"items?,? scored|yes or no|true or false|one rating|statements|frequency \d")


def _whole_scores(outcome: Outcome) -> bool:
    """Whether the library says that the instrument is a sum of whole scores."""
    scale = scale_of(outcome.instrument, outcome.construct_)
    return scale is not None and scale.items is not None and _WHOLE.search(scale.items) is not None


def grim(mean: float, n: int) -> bool:
    """Whether a mean, to its printed digits, can be that of n whole numbers.

    Examples
    --------
    Brown & Heathers 2017, p. 364: no 28 whole scores have the mean 5.19.

    >>> grim(5.19, 28), grim(5.18, 28)
    (False, True)
    """
    # printed digits round either way at a half, and some programs cut
    half = 0.5 * ulp(mean) + 1e-9
    return math.floor((mean + half) * n) >= math.ceil((mean - half) * n)


def grimmer(mean: float, sd: float, n: int) -> bool:
    """Whether mean and SD, to their printed digits, can be those of n whole numbers.

    The sum of squares of whole numbers is whole, and odd exactly when their sum is.

    Examples
    --------
    The scores 1, 2, 2, 3, 5 have mean 2.6 and SD 1.52.

    >>> grimmer(2.6, 1.52, 5), grimmer(2.6, 1.55, 5)
    (True, False)
    """
    half, half_sd = 0.5 * ulp(mean) + 1e-9, 0.5 * ulp(sd) + 1e-9
    for total in range(math.ceil((mean - half) * n), math.floor((mean + half) * n) + 1):
        for divisor in (n - 1, n):
            low = divisor * max(sd - half_sd, 0.0) ** 2 + total * total / n
            high = divisor * (sd + half_sd) ** 2 + total * total / n
            first = math.ceil(low - 1e-9)
            if any(s % 2 == total % 2 for s in range(first, min(math.floor(high + 1e-9), first + 1) + 1)):
                return True
    return False


def impossible_means(row: Row) -> Iterator[Suspicion]:
    """Find means, then SDs, that no whole scores of so many people have.

    Only where the scale library says that scores are whole, and n is small enough for the printed digits to
    tell (n below one unit of the last digit's inverse). A digit lost from a trailing zero only blinds it.
    """
    arms = arms_of(row.outcome)
    if arms is None or row.outcome.value != "final" or not _whole_scores(row.outcome):
        return
    for name, arm in zip(("music", "control"), arms, strict=True):
        found = _of_arm(row, name, arm)
        if found is not None:
            yield found


def _of_arm(row: Row, name: str, arm: Arm) -> Suspicion | None:
    if math.isnan(arm.mean) or math.isnan(arm.n) or arm.n < 2 or arm.n * ulp(arm.mean) >= 1.0:
        return None
    n = int(arm.n)
    evidence: dict[str, float | str] = {"mean": arm.mean, "n": arm.n, "arm": name}
    if not grim(arm.mean, n):
        near = round(arm.mean * n) / n
        return Suspicion(
            "grim",
            row,
            f"{name}: no {n} whole scores have the mean {arm.mean:g}; the nearest is {near:.4g}",
            {**evidence, "nearest": near},
            "look up mean and n: a digit, people missing at this time, or scores put in for missing ones",
            source=_SOURCE,
        )
    if arm.sd > 0 and not grimmer(arm.mean, arm.sd, n):
        return Suspicion(
            "grimmer",
            row,
            f"{name}: no {n} whole scores have the mean {arm.mean:g} and the SD {arm.sd:g}",
            {**evidence, "sd": arm.sd},
            "look up mean, SD and n: a digit, people missing at this time, or scores put in for missing ones",
            source=_SOURCE,
        )
    return None
