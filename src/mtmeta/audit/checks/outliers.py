"""Effects far outside the others of their set: what an SE read as an SD looks like from afar."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from mtmeta.audit.checks.rows import EffectRow, Limits, Suspicion

__all__ = ["Around", "distances", "implausible_effects", "quantile_of", "surroundings"]

FloatArray = npt.NDArray[np.float64]

_FEWEST, _MANY = 4, 200
# Larger than 99 of 100 effects of the Cochrane corpus; or further from its set than 95 of 100 are from
# theirs and at the same time larger than 90 of 100
_HUGE, _APART, _LARGE = 0.99, 0.95, 0.9
_DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Around:
    """What the others of its set say about a row.

    Attributes
    ----------
    k : int
        Number of others.
    centre, variance : float
        Their median, and the variance with which a further effect without sampling error lies around it;
        NaN where they are fewer than three.
    distance : float
        Robust distance of the row from them, likewise.
    """

    k: int
    centre: float
    variance: float
    distance: float


def distances(yi: FloatArray, vi: FloatArray) -> FloatArray:
    r"""Robust distance of each effect from the others of its set.

    :math:`z_i=(y_i-m_{(i)})/\sqrt{v_i+s_{(i)}^2+\tilde v_{(i)}/(k-1)}` with the median m and the scaled
    median absolute deviation s of the other effects, and their median variance. The others alone set the
    scale, so that an outlier does not hide itself; in a set of more than 200 one effect moves neither, and
    the medians are those of all.
    """
    centre, variance = _others(yi, vi)
    out: FloatArray = (yi - centre) / np.sqrt(vi + variance)
    return out


def _others(yi: FloatArray, vi: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return for each effect the median of the others and the variance around it."""
    k = len(yi)
    if k > _MANY:
        middle = float(np.median(yi))
        spread = 1.4826 * float(np.median(np.abs(yi - middle)))
        return np.full(k, middle), np.full(k, spread * spread + float(np.median(vi)) / k)
    rest = ~np.eye(k, dtype=bool)
    effects = np.broadcast_to(yi, (k, k))[rest].reshape(k, k - 1)
    variances = np.median(np.broadcast_to(vi, (k, k))[rest].reshape(k, k - 1), axis=1)
    centres = np.median(effects, axis=1)
    spreads = 1.4826 * np.median(np.abs(effects - centres[:, None]), axis=1)
    return centres, spreads**2 + variances / (k - 1)


def surroundings(rows: tuple[EffectRow, ...]) -> dict[tuple[str, str], Around]:
    """Return by trial and outcome what the others of its set say.

    Of fewer than three others only the median is told; of none, nothing.
    """
    sets, where = _sets(rows)
    measured: dict[Key, tuple[FloatArray, FloatArray, FloatArray]] = {}
    at: dict[Key, dict[int, int]] = {}
    found: dict[tuple[str, str], Around] = {}
    for row, key in zip(rows, where, strict=True):
        members = sets[key]
        if key not in measured:
            yi, vi = np.array([m.g for m in members]), np.array([m.v for m in members])
            if len(members) < 2:
                continue
            centres, variances = _others(yi, vi)
            if len(members) < _FEWEST:
                variances = np.full(len(members), math.nan)
            measured[key] = centres, variances, (yi - centres) / np.sqrt(vi + variances)
            at[key] = {id(m): i for i, m in enumerate(members)}
        i = at[key][id(row)]
        centre, variance, distance = (float(x[i]) for x in measured[key])
        found[row.study.id, row.outcome.id] = Around(len(members) - 1, centre, variance, distance)
    return found


@cache
def _corpus() -> tuple[FloatArray, FloatArray, FloatArray]:
    text = (resources.files("mtmeta.audit") / "data" / "cochrane_effects.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines() if line and not line.startswith(("#", "quantile"))]
    table = np.array(rows, dtype=np.float64).T
    return table[0], table[1], table[2]


def quantile_of(what: str, quantile: float) -> float:
    """Return a quantile of |SMD| or of the distance from the set in Cochrane meta-analyses.

    Parameters
    ----------
    what : {"size", "distance"}
    quantile : float
        One that the table holds.

    Examples
    --------
    >>> quantile_of("size", 0.5) < 0.4 < quantile_of("size", 0.95)
    True
    """
    at, size, distance = _corpus()
    return float((size if what == "size" else distance)[np.flatnonzero(at == quantile)[0]])


def implausible_effects(
    rows: tuple[EffectRow, ...],
    around: dict[tuple[str, str], Around],
    limits: Limits = _DEFAULT,
) -> Iterator[Suspicion]:
    """Find effects that stand apart from their set, or are larger than trials ever show.

    The remedy depends on what divides them by: where the effect divided by the square root of the arm size
    falls among the others, an SE was probably read as an SD.
    """
    far = quantile_of("distance", _APART) if limits.apart is None else limits.apart
    large = quantile_of("size", _LARGE) if limits.large is None else limits.large
    largest = quantile_of("size", _HUGE) if limits.huge is None else limits.huge
    for row in rows:
        others = around.get((row.study.id, row.outcome.id))
        apart = others is not None and abs(others.distance) > far
        huge = abs(row.g) > largest
        # in a small set, or one that is wild throughout, only an effect that is large in itself counts
        if huge or (apart and abs(row.g) > large):
            yield _suspicion(row, others, huge)


Key = tuple[str, str]


def _sets(rows: tuple[EffectRow, ...]) -> tuple[dict[Key, list[EffectRow]], list[Key]]:
    """Return the sets, and the one in which each row is compared: its largest forest, else its construct."""
    sets: dict[Key, list[EffectRow]] = {}
    for row in rows:
        for forest in row.outcome.used_in:
            sets.setdefault(("forest", forest), []).append(row)
        sets.setdefault((row.study.conditions[0], row.outcome.construct_), []).append(row)
    where = []
    for row in rows:
        forests = [("forest", f) for f in row.outcome.used_in]
        largest = max(forests, key=lambda f: len(sets[f]), default=None)
        own = (row.study.conditions[0], row.outcome.construct_)
        where.append(largest if largest is not None and len(sets[largest]) >= _FEWEST else own)
    return sets, where


def _suspicion(row: EffectRow, others: Around | None, huge: bool) -> Suspicion:
    centre, z = (math.nan, math.nan) if others is None else (others.centre, others.distance)
    size = row.arm_size
    as_se = row.g / math.sqrt(size) if size else math.nan
    fits = bool(size) and abs(as_se - (0.0 if math.isnan(centre) else centre)) < abs(row.g - centre) / 3.0
    against = "" if math.isnan(centre) else f"; the others of its set lie around {centre:.2f}"
    rarity = (
        f"larger than 99% of effects in Cochrane meta-analyses ({quantile_of('size', _HUGE):.2f})"
        if huge
        else f"further from its set ({abs(z):.1f}) than 95% of effects in Cochrane meta-analyses"
    )
    evidence: dict[str, float | str] = {"g": row.g}
    if not math.isnan(z):
        evidence["distance"] = z
    if not math.isnan(centre):
        evidence["median_of_others"] = centre
    if fits:
        evidence["g_if_sd_is_se"] = as_se
        return Suspicion(
            "se-as-sd",
            row,
            f"g {row.g:.2f} is {rarity}{against}; divided by √n it would be {as_se:.2f}, as if an SE had "
            "been read as an SD",
            evidence,
            "look up whether the printed ± is an SE; if so multiply it by √n",
        )
    return Suspicion(
        "implausible-effect",
        row,
        f"g {row.g:.2f} is {rarity}{against}",
        evidence,
        "look the row up in its source: sign, decimals, SE for SD, baseline for outcome",
    )
