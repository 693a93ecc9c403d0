"""What one trial says at several times: baseline, change and final values, and how many people."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from mtmeta.audit.checks.rows import Arm, Suspicion, arms_of, sizes_of, ulp
from mtmeta.effects.select import Row
from mtmeta.records.schema import Outcome, Study

__all__ = ["baseline_as_outcome", "change_as_final", "growing_n", "impossible_changes"]

_HANDBOOK = "Cochrane Handbook 6.5.2.8 (SD of a change and its correlation)"
_ORDER = ("baseline", "during", "post", "short term", "medium term", "long term", "follow-up")


def baseline_as_outcome(row: Row) -> Iterator[Suspicion]:
    """Find a row whose outcome is its baseline once more, in either arm, or crossed between them."""
    now, before = arms_of(row.outcome), arms_of(row.outcome, "baseline")
    if now is None or before is None:
        return
    same = [
        name
        for name, a, b in zip(("music", "control"), now, before, strict=True)
        if a.mean == b.mean and a.sd == b.sd and _digits(a.mean) + _digits(a.sd) >= 4
    ]
    if same:
        yield Suspicion(
            "baseline-as-outcome",
            row,
            f"{' and '.join(same)}: mean and SD of the outcome are those of the baseline",
            {"arms": " and ".join(same), "mean": now[0].mean if "music" in same else now[1].mean},
            "look up the values at the end; the baseline was probably typed",
        )


def change_as_final(row: Row) -> Iterator[Suspicion]:
    """Find a row of final values that can only be changes: below zero while its baseline is above."""
    now, before = arms_of(row.outcome), arms_of(row.outcome, "baseline")
    if now is None or before is None or row.outcome.value != "final" or row.outcome.data.kind != "means":
        return
    if min(before[0].mean, before[1].mean) > 0 > min(now[0].mean, now[1].mean):
        worst = min(now[0].mean, now[1].mean)
        sd = now[0].sd if now[0].mean == worst else now[1].sd
        if math.isnan(sd) or before[0].mean - before[0].sd > 0:
            yield Suspicion(
                "change-as-final",
                row,
                f"a final mean of {worst:g} after a baseline of {before[0].mean:g}: probably a change",
                {"final": worst, "baseline": before[0].mean},
                "look up whether it is the change from baseline; if so write kind changes",
            )


def impossible_changes(row: Row) -> Iterator[Suspicion]:
    r"""Find baseline, final and change values of one arm that cannot be of the same people.

    :math:`r=(s_b^2+s_f^2-s_c^2)/(2s_bs_f)` must lie between -1 and 1, within the rounding of the three SDs;
    and baseline plus change is the final mean.
    """
    parts = [arms_of(row.outcome, when) for when in ("baseline", "final", "change")]
    if row.outcome.data.kind != "changes" or any(p is None for p in parts):
        return
    for i, name in enumerate(("music", "control")):
        before, final, change = (p[i] for p in parts if p is not None)
        r = _correlation(before, final, change)
        if r is not None:
            yield Suspicion(
                "impossible-correlation",
                row,
                f"{name}: the SDs {before.sd:g}, {final.sd:g} and {change.sd:g} of baseline, final value and "
                f"change imply a correlation of {r:.2f}",
                {"correlation": r, "arm": name},
                "look up the three SDs: one may be an SE, or of other people",
                source=_HANDBOOK,
            )
        gap = before.mean + change.mean - final.mean
        rounding = 0.5 * (ulp(before.mean) + ulp(change.mean) + ulp(final.mean))
        spread = max(before.sd, final.sd) if before.sd == before.sd and final.sd == final.sd else math.nan
        if abs(gap) > rounding + (0.1 * spread if spread == spread else 0.0) + 1e-9:
            turned = abs(before.mean - change.mean - final.mean) <= rounding + 1e-9
            yield Suspicion(
                "change-does-not-add-up",
                row,
                f"{name}: baseline {before.mean:g} and change {change.mean:g} do not give {final.mean:g}"
                + ("; with the sign of the change turned they do" if turned else ""),
                {"gap": gap, "arm": name},
                "look up the three means; a change may be printed as a decrease, or of those who stayed only",
                source=_HANDBOOK,
            )


def _correlation(before: Arm, final: Arm, change: Arm) -> float | None:
    """Return the implied correlation where no rounding makes it possible."""
    sds = (before.sd, final.sd, change.sd)
    if not all(s > 0 for s in sds):
        return None
    low = [s - 0.5 * ulp(s) for s in sds]
    high = [s + 0.5 * ulp(s) for s in sds]
    # |s_b − s_f| ≤ s_c ≤ s_b + s_f, the triangle's inequality
    too_small = high[2] < max(low[0] - high[1], low[1] - high[0])
    too_large = low[2] > high[0] + high[1]
    if not (too_small or too_large):
        return None
    return (sds[0] ** 2 + sds[1] ** 2 - sds[2] ** 2) / (2.0 * sds[0] * sds[1])


def growing_n(study: Study) -> Iterator[Suspicion]:
    """Find a later time with more people than an earlier one, same instrument and same arms."""
    series: dict[tuple[str | None, ...], list[tuple[tuple[float, int], float, Outcome]]] = defaultdict(list)
    for outcome in study.outcomes:
        size, when = _people(outcome), _when(outcome)
        if size is not None and when is not None:
            key = (
                outcome.construct_,
                outcome.instrument,
                outcome.comparator,
                outcome.intervention,
                outcome.subset,
            )
            series[key].append((when, size, outcome))
    for entries in series.values():
        entries.sort(key=lambda e: e[0])
        for (when, size, first), (later, more, second) in pairwise(entries):
            # the two must be told apart by the same measure of time
            if later > when and (when[0] < 0) == (later[0] < 0) and more > size:
                yield Suspicion(
                    "n-grows",
                    Row(study, second),
                    f"{more:g} people at {second.time} after {size:g} at {first.time}",
                    {"earlier": size, "later": more},
                    "look up n at both times; people seldom come back",
                    others=(f"{study.id}/{first.id}",),
                    severity="suspect" if more > 1.1 * size else "note",
                )


def _people(outcome: Outcome) -> float | None:
    arms = arms_of(outcome)
    if arms is not None:
        total = arms[0].n + arms[1].n
        return None if math.isnan(total) else total
    sizes = sizes_of(outcome)
    return None if sizes is None else sum(sizes)


def _when(outcome: Outcome) -> tuple[float, int] | None:
    if outcome.time not in _ORDER:
        return None
    return (-1.0 if outcome.weeks is None else outcome.weeks, _ORDER.index(outcome.time))


def _digits(value: float) -> int:
    if math.isnan(value):
        return 0
    return len(repr(abs(value)).removesuffix(".0").replace(".", "").lstrip("0"))
