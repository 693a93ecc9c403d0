"""GOSH: pool every subset of the studies, and see which studies make the clouds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from mtmeta.diagnostics.chunks import Cluster, Progress, in_chunks
from mtmeta.diagnostics.refit import BoolArray, Fittable, FloatArray, batched, refit
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice
from mtmeta.models.compiled import pays

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_STUDIES", "gosh"]

MOST_STUDIES = 20
"""All subsets of more studies than this are refused: 2^20 is a million."""
_CHUNK = 1 << 15  # subsets refitted at a time; also the unit that has its own seed
_VALUES = ("estimate", "tau2", "i2", "k")


def gosh(
    model: Fittable,
    es: EffectSizes,
    *,
    subsets: Literal["all"] | int = "all",
    seed: int = 0,
    cluster: Cluster = None,
    progress: Progress | None = None,
    compiled: bool | None = None,
) -> pd.DataFrame:
    """Pool all subsets of the effects, or a random sample of them.

    Parameters
    ----------
    model : CommonEffect, RandomEffects or another model
        CommonEffect and RandomEffects go through the batched kernel, others are fitted one by one.
    es : EffectSizes of k rows
        At least two.
    subsets : "all" or int
        All ``2^k - 1`` subsets that are not empty, up to k = 20; or so many, each drawn with equal chance
        from all of them, with replacement. As many as there are, or more, means all.
    seed : int, default 0
        Of the random subsets; a longer sample begins with the shorter one.
    cluster : int, str or distributed.Client, optional
        So many processes, or a Dask cluster; the answer is the same bit for bit.
    progress : callable, optional
        Called with the chunks of subsets done and their number.
    compiled : bool, optional
        Whether CommonEffect and RandomEffects go through compiled code (numba, extra ``fast``), which gives
        the same to 1e-12; None: where that is installed here and there are subsets enough to pay for loading
        it (210,000 of 20 effects). Whoever works must have what this process decides for.

    Returns
    -------
    DataFrame
        A row a subset: estimate, tau2, i2 (percent), k (its number of effects), and a boolean column a study,
        named after it (a repeated name gets " (2)", " (3)" ...).

    Raises
    ------
    ModelError
        One effect; all subsets of more than 20.
    UsageError
        A number of subsets below 1, or neither a number nor "all"; compiled code asked for without numba.

    Notes
    -----
    Subsets of one effect have tau2 0, as in metafor's ``gosh``. Work goes in chunks of 32,768 subsets, so
    that memory is that of the answer: 2^20 subsets of 20 studies take about 60 MB.

    References
    ----------
    Olkin, I., Dahabreh, I. J. and Trikalinos, T. A. (2012). Res Synth Methods 3:214-223.

    Examples
    --------
    BCG vaccine: 8,191 subsets; that of all 13 trials has tau2 0.3132 and mean -0.7145 (Viechtbauer 2010, p.
    14).

    >>> from mtmeta.models.pool import RandomEffects
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> table = gosh(RandomEffects(), EffectSizes.of(y, v, "RR"))
    >>> len(table), table.query("k == 13")[["tau2", "estimate"]].round(4).values.tolist()
    (8191, [[0.3132, -0.7145]])
    """
    import pandas as pd

    k = es.k
    if k < 2:
        raise ModelError("GOSH needs at least 2 effects and there is 1")
    pieces = _pieces(k, subsets, seed)
    total = sum(size for _, size, _ in pieces)
    values = np.empty((len(_VALUES), total))
    members = np.empty((k, total), dtype=np.bool_)
    slim = replace(es, columns=None, moderators=None) if batched(model) else es  # less to send
    done = 0
    work = partial(_fit_piece, model, slim, batched(model) and pays(total, k, compiled))
    for piece, answers in zip(
        pieces, in_chunks(work, pieces, cluster=cluster, progress=progress), strict=True
    ):
        rows = slice(done, done + piece[1])
        values[:, rows] = answers
        members[:, rows] = _members(k, piece).T
        done = rows.stop
    columns: dict[str, object] = dict(zip(_VALUES[:3], values, strict=False))
    columns["k"] = values[3].astype(np.int64)
    return pd.DataFrame({**columns, **dict(zip(_unique(es.study), members, strict=True))}, copy=False)


_Piece = tuple[int, int, np.random.SeedSequence | None]
"""First subset, how many, and the seed of a random piece."""


def _pieces(k: int, subsets: str | int, seed: int) -> list[_Piece]:
    total = _how_many(k, subsets)
    every = subsets == "all" or (k <= MOST_STUDIES and int(subsets) >= 2**k - 1)
    starts = range(0, total, _CHUNK)
    sizes = [min(_CHUNK, total - start) for start in starts]
    if every:
        return [(start + 1, size, None) for start, size in zip(starts, sizes, strict=True)]
    seeds = np.random.SeedSequence(seed).spawn(len(starts))
    return list(zip(starts, sizes, seeds, strict=True))


def _members(k: int, piece: _Piece) -> BoolArray:
    """Return who is in the subsets of a piece, (size, k): by binary number, or drawn by the piece's seed."""
    start, size, seed = piece
    if seed is None:
        number = np.arange(start, start + size)
        return (number[:, None] >> np.arange(k) & 1).astype(np.bool_)
    random = np.random.default_rng(seed)
    present = random.random((_CHUNK, k)) < 0.5
    while (empty := np.flatnonzero(~present.any(axis=1))).size:
        present[empty] = random.random((empty.size, k)) < 0.5
    return present[:size]


def _fit_piece(model: Fittable, es: EffectSizes, compiled: bool, piece: _Piece) -> FloatArray:
    """Pool the subsets of a piece: estimate, tau2, i2, k in rows."""
    fits = refit(model, es, _members(es.k, piece), intervals=False, compiled=compiled)
    return np.stack([getattr(fits, name) for name in _VALUES])


def _how_many(k: int, subsets: str | int) -> int:
    if isinstance(subsets, str):
        check_choice("subsets", subsets, ("all",))
        if k > MOST_STUDIES:
            raise ModelError(
                f"all subsets of {k} effects are {2**k - 1:,}, too many; take a sample, such as "
                "subsets=1_000_000"
            )
        return int(2**k - 1)
    if isinstance(subsets, bool) or int(subsets) != subsets or subsets < 1:
        raise UsageError(f"subsets={subsets!r} must be 'all' or a number of subsets, 1 or more")
    return min(int(subsets), 2**k - 1) if k <= MOST_STUDIES else int(subsets)


def _unique(names: tuple[str, ...]) -> list[str]:
    taken = set(_VALUES)
    out = []
    for name in names:
        label, number = name, 2
        while label in taken:
            label, number = f"{name} ({number})", number + 1
        taken.add(label)
        out.append(label)
    return out
