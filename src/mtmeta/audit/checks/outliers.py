"""Effects far outside the others of their set: what an SE read as an SD looks like from afar."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from mtmeta.audit.checks.rows import EffectRow, Limits, Suspicion

__all__ = ["distances", "implausible_effects", "quantile_of"]

FloatArray = npt.NDArray[np.float64]

_FEWEST, _MANY = 4, 200
# Larger than 99 of 100 effects of the Cochrane corpus; or further from its set than 95 of 100 are from
# theirs and at the same time larger than 90 of 100
_HUGE, _APART, _LARGE = 0.99, 0.95, 0.9
_DEFAULT = Limits()


def distances(yi: FloatArray, vi: FloatArray) -> FloatArray:
    r"""Robust distance of each effect from the others of its set.

    :math:`z_i=(y_i-m_{(i)})/\sqrt{v_i+s_{(i)}^2+\tilde v_{(i)}/(k-1)}` with the median m and the scaled
    median absolute deviation s of the other effects, and their median variance. The others alone set the
    scale, so that an outlier does not hide itself; in a set of more than 200 one effect moves neither, and
    the medians are those of all.
    """
    k = len(yi)
    if k > _MANY:
        centre = float(np.median(yi))
        spread = 1.4826 * float(np.median(np.abs(yi - centre)))
        whole: FloatArray = (yi - centre) / np.sqrt(vi + spread * spread + float(np.median(vi)) / k)
        return whole
    out = np.empty(k)
    for i in range(k):
        others, variances = np.delete(yi, i), np.delete(vi, i)
        centre = float(np.median(others))
        spread = 1.4826 * float(np.median(np.abs(others - centre)))
        scale = math.sqrt(float(vi[i]) + spread * spread + float(np.median(variances)) / (k - 1))
        out[i] = (yi[i] - centre) / scale
    return out


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


def implausible_effects(rows: tuple[EffectRow, ...], limits: Limits = _DEFAULT) -> Iterator[Suspicion]:
    """Find effects that stand apart from their set, or are larger than trials ever show.

    The remedy depends on what divides them by: where the effect divided by the square root of the arm size
    falls among the others, an SE was probably read as an SD.
    """
    sets, where = _sets(rows)
    far = quantile_of("distance", _APART) if limits.apart is None else limits.apart
    large = quantile_of("size", _LARGE) if limits.large is None else limits.large
    largest = quantile_of("size", _HUGE) if limits.huge is None else limits.huge
    measured: dict[Key, tuple[FloatArray, FloatArray]] = {}
    position = {key: {id(m): i for i, m in enumerate(members)} for key, members in sets.items()}
    for row, key in zip(rows, where, strict=True):
        members = sets[key]
        if key not in measured:
            yi, vi = np.array([m.g for m in members]), np.array([m.v for m in members])
            measured[key] = yi, distances(yi, vi) if len(members) >= _FEWEST else np.full(len(yi), math.nan)
        yi, z = measured[key]
        i = position[key][id(row)]
        apart = abs(z[i]) > far
        huge = abs(row.g) > largest
        # in a small set, or one that is wild throughout, only an effect that is large in itself counts
        if huge or (apart and abs(row.g) > large):
            yield _suspicion(row, np.delete(yi, i), float(z[i]), huge)


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


def _suspicion(row: EffectRow, others: FloatArray, z: float, huge: bool) -> Suspicion:
    centre = float(np.median(others)) if len(others) else math.nan
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
