"""An SE typed as an SD, seen from the SDs around it: other arm, baseline, other times, other trials."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mtmeta.audit.checks.rows import Arm, Limits, Suspicion, arms_of
from mtmeta.effects.select import Row
from mtmeta.records.scales import scale_of
from mtmeta.records.schema import Outcome, Study

__all__ = ["Spreads", "spreads_of", "suspect_spreads"]

_DEFAULT = Limits()
# Standard deviation of log SD beyond sampling error. Between the arms of one row: 0.38 in the 51 rows of
# CD003477.pub5, which are what clean rows look like. Between the times of one arm at most as much; between
# populations more, unless the trials at hand show how much.
_BETWEEN_ARMS, _BETWEEN_TIMES, _BETWEEN_TRIALS = 0.38, 0.38, 0.45
_FEWEST_TRIALS, _MANY = 3, 200


@dataclass(frozen=True, slots=True)
class Spreads:
    """SDs of one instrument and kind of value: trial and log SD, one entry a row.

    In more than `_MANY` rows one trial moves neither median, and those of all stand for those of the others.
    """

    trials: tuple[str, ...]
    logs: tuple[float, ...]
    whole: tuple[float, float, int]
    """Median, scaled median absolute deviation and number of trials of all."""

    def others(self, trial: str) -> tuple[float, float, int] | None:
        """Return median, spread and number of the other trials; None where there is none."""
        if len(self.logs) > _MANY:
            return self.whole
        rest = [(t, x) for t, x in zip(self.trials, self.logs, strict=True) if t != trial]
        return _middle([t for t, _ in rest], [x for _, x in rest]) if rest else None


def _middle(trials: list[str], logs: list[float]) -> tuple[float, float, int]:
    values = np.array(logs)
    centre = float(np.median(values))
    return centre, 1.4826 * float(np.median(np.abs(values - centre))), len(set(trials))


Key = tuple[str, str]


def _instrument(outcome: Outcome) -> str | None:
    scale = scale_of(outcome.instrument, outcome.construct_)
    if scale is not None:
        # one name for several units (mmHg and kPa) has no SD of its own
        return scale.id if scale.range is not None or scale.reference_sd is not None else None
    return None if outcome.instrument is None else f"{outcome.construct_}: {outcome.instrument.casefold()}"


def _kind(outcome: Outcome) -> str:
    return "change" if outcome.data.kind == "changes" or outcome.value == "change" else "final"


def _log_sd(arms: tuple[Arm, Arm] | None) -> tuple[float, float] | None:
    """Return the mean log SD of two arms and its sampling variance; an SE is made an SD first."""
    if arms is None:
        return None
    logs, variances = [], []
    for arm in arms:
        sd = arm.sd if arm.sd > 0 else arm.se * math.sqrt(arm.n) if arm.se > 0 and arm.n > 1 else math.nan
        if math.isnan(sd) or math.isnan(arm.n) or arm.n < 3:
            return None
        logs.append(math.log(sd))
        variances.append(0.5 / (arm.n - 1.0))
    return sum(logs) / 2.0, sum(variances) / 4.0


def spreads_of(rows: list[Row]) -> dict[Key, Spreads]:
    """Collect the SDs of each instrument over all trials."""
    found: dict[Key, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        name, spread = _instrument(row.outcome), _log_sd(arms_of(row.outcome))
        if name is not None and spread is not None:
            found[name, _kind(row.outcome)].append((row.study.id, spread[0]))
    out = {}
    for key, entries in found.items():
        trials, logs = [t for t, _ in entries], [x for _, x in entries]
        out[key] = Spreads(tuple(trials), tuple(logs), _middle(trials, logs))
    return out


@dataclass(frozen=True, slots=True)
class _Reference:
    log_sd: float
    variance: float
    words: str


def suspect_spreads(
    study: Study, spreads: dict[Key, Spreads], limits: Limits = _DEFAULT
) -> Iterator[Suspicion]:
    r"""Hold each SD against those around it, as an SD and as an SE.

    With the log SD x, a reference c of variance V (its own sampling error, ours, and the spread between
    trials, times or arms) and arms of n, the likelihood ratio of "it is an SE" against "it is an SD" is
    :math:`\exp\{[(x-c)^2-(x+\tfrac12\log n-c)^2]/2V\}`. It is told where it exceeds the limit and the value
    read as an SE falls within 2.5 standard deviations of the reference.
    """
    for outcome in study.outcomes:
        arms = arms_of(outcome)
        whole = _log_sd(arms)
        if arms is None or whole is None:
            continue
        row = Row(study, outcome)
        size = 2.0 / (1.0 / arms[0].n + 1.0 / arms[1].n)
        typed_se = not arms[0].sd > 0
        found = [
            hit
            for reference in _references(row, spreads)
            if (hit := _judged(row, whole, size, reference, limits, typed_se=typed_se)) is not None
        ]
        if found:
            yield max(found, key=lambda s: float(s.evidence["likelihood_ratio"]))
        elif not typed_se:
            yield from _one_arm(row, arms, limits)


def _judged(
    row: Row,
    whole: tuple[float, float],
    size: float,
    reference: _Reference,
    limits: Limits,
    *,
    typed_se: bool,
) -> Suspicion | None:
    x, variance = whole[0], whole[1] + reference.variance
    # an SE taken for an SD is too small by √n; an SD taken for an SE was made too large by √n
    step = -0.5 * math.log(size) if typed_se else 0.5 * math.log(size)
    z, z_other = (
        (x - reference.log_sd) / math.sqrt(variance),
        (x + step - reference.log_sd) / math.sqrt(variance),
    )
    ratio = math.exp(min((z * z - z_other * z_other) / 2.0, 700.0))
    if ratio < limits.ratio:
        return None
    evidence: dict[str, float | str] = {
        "sd": math.exp(x),
        "reference_sd": math.exp(reference.log_sd),
        "likelihood_ratio": ratio,
    }
    if abs(z_other) <= 2.5:
        code, what = ("sd-as-se", "SE") if typed_se else ("se-as-sd", "SD")
        evidence["sd_if_so"] = math.exp(x + step)
        return Suspicion(
            code,
            row,
            f"an SD of {math.exp(x):.3g} beside {math.exp(reference.log_sd):.3g} ({reference.words}); were "
            f"the printed {what} an {'SD' if typed_se else 'SE'}, it would be {math.exp(x + step):.3g} "
            f"(likelihood ratio {ratio:.2g})",
            evidence,
            f"look up whether the printed ± is an {'SD' if typed_se else 'SE'}; if so write "
            f"{'sd instead of se' if typed_se else 'se instead of sd'}",
        )
    return None


def _references(row: Row, spreads: dict[Key, Spreads]) -> Iterator[_Reference]:
    outcome, kind = row.outcome, _kind(row.outcome)
    before = _log_sd(arms_of(outcome, "baseline"))
    if before is not None and kind == "final":
        yield _Reference(before[0], before[1] + _BETWEEN_TIMES**2 / 2.0, "at baseline")
    name = _instrument(outcome)
    if name is None:
        return
    for other in row.study.outcomes:
        spread_there = _log_sd(arms_of(other)) if other is not outcome else None
        if spread_there is not None and (_instrument(other), _kind(other)) == (name, kind):
            words = f"{other.id} of the same trial"
            yield _Reference(spread_there[0], spread_there[1] + _BETWEEN_TIMES**2 / 2.0, words)
    scale = scale_of(outcome.instrument, outcome.construct_)
    if scale is not None and scale.reference_sd is not None and kind == "final":
        yield _Reference(math.log(scale.reference_sd.sd), _BETWEEN_TRIALS**2, scale.reference_sd.population)
    known = spreads.get((name, kind))
    if known is None:
        return
    others = known.others(row.study.id)
    if others is not None and others[2] >= _FEWEST_TRIALS:
        centre, spread, trials = others
        variance = max(spread, _BETWEEN_TRIALS) ** 2 * (1.0 + 1.0 / trials)
        yield _Reference(centre, variance, f"median of {trials} other trials on that scale")


def _one_arm(row: Row, arms: tuple[Arm, Arm], limits: Limits) -> Iterator[Suspicion]:
    """Find a row in which one arm's SD is to the other's as an SE to an SD."""
    ordered = sorted(arms, key=lambda a: a.sd)
    small, large = ordered
    if not small.sd > 0 or not large.sd > 0:
        return
    variance = _BETWEEN_ARMS**2 + 0.5 / (small.n - 1.0) + 0.5 / (large.n - 1.0)
    x = math.log(small.sd / large.sd)
    z, z_se = x / math.sqrt(variance), (x + 0.5 * math.log(small.n)) / math.sqrt(variance)
    ratio = math.exp(min((z * z - z_se * z_se) / 2.0, 700.0))
    if ratio >= limits.ratio and abs(z_se) <= 2.5:
        yield Suspicion(
            "se-as-sd",
            row,
            f"SDs of {arms[0].sd:g} and {arms[1].sd:g}: one of them is as much smaller as an SE would be "
            f"(likelihood ratio {ratio:.2g})",
            {
                "smaller": small.sd,
                "larger": large.sd,
                "likelihood_ratio": ratio,
                "arm": "music" if small is arms[0] else "control",
            },
            "look up whether one arm's ± is an SE; if so write se instead of sd for that arm",
        )
