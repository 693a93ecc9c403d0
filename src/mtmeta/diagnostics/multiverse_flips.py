"""Is a whole specification curve more than chance? Sign flips of the trials, the same in every analysis."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.diagnostics.chunks import Cluster, Progress, in_chunks
from mtmeta.diagnostics.multiverse import Multiverse
from mtmeta.diagnostics.refit import FloatArray, answers, batched
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice
from mtmeta.models import kernel
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.models.words import p_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MultiverseTest", "multiverse_test"]

IntArray = npt.NDArray[np.intp]
Direction = Literal["two-sided", "greater", "less"]
STATISTICS = ("median", "share", "stouffer")
_CHUNK = 128  # flips a chunk, the unit that has its own seed
_MOST = 1 << 16  # all flips are counted up to so many
# statistics that differ by less are ties, as in metafor's permutest (its comptol, √ machine epsilon)
_TIE = 1.4901161193847656e-08


@dataclass(frozen=True, slots=True, eq=False)
class MultiverseTest:
    """A joint test of all specifications. Frozen.

    Attributes
    ----------
    observed, pvalues : dict of str to float
        By statistic: ``median``, the median estimate's distance from the null; ``share``, the share of
        specifications whose interval excludes the null on the side it does so more often; ``stouffer``, the
        sum of the specifications' z divided by the root of their number. With a direction, each counts in
        that direction only.
    flips : int
        How many arrangements, the observed one among them.
    exact : bool
        Whether they are all there are.
    trials : int
        How many trials had their signs flipped.
    specifications : int
        How many took part; models that are not pooled in batches do not.
    alternative : str
    """

    observed: dict[str, float]
    pvalues: dict[str, float]
    flips: int
    exact: bool
    trials: int
    specifications: int
    alternative: str

    def to_frame(self) -> pd.DataFrame:
        """Return a row a statistic: observed and pvalue."""
        import pandas as pd

        return pd.DataFrame(
            {"observed": list(self.observed.values()), "pvalue": list(self.pvalues.values())},
            index=pd.Index(STATISTICS, name="statistic"),
        )

    def __repr__(self) -> str:
        body = ", ".join(f"{name} {p_text(p)}" for name, p in self.pvalues.items())
        return (
            f"MultiverseTest({body}; {self.flips:,} {'exact' if self.exact else 'sampled'} sign flips of "
            f"{self.trials} trials, {self.specifications:,} analyses)"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def multiverse_test(
    found: Multiverse,
    *,
    flips: Literal["exact"] | int = 999,
    alternative: Direction = "two-sided",
    seed: int = 0,
    cluster: Cluster = None,
    progress: Progress | None = None,
) -> MultiverseTest:
    r"""Test all specifications of a question at once by flipping the signs of the trials.

    Parameters
    ----------
    found : Multiverse
    flips : int or "exact", default 999
        Random flips beside the observed arrangement; all :math:`2^m` of m trials where there are no more than
        asked for, or for "exact" (up to 2^16).
    alternative : {"two-sided", "greater", "less"}
    seed : int, default 0
        Of random flips; a longer sample begins with the shorter one.
    cluster : int, str or distributed.Client, optional
        So many processes, or a Dask cluster; the answer is the same bit for bit.
    progress : callable, optional
        Called with the chunks of flips done and their number.

    Returns
    -------
    MultiverseTest

    Raises
    ------
    UsageError
        An unknown choice, or a number of flips below 1.
    ModelError
        No specification can be refitted in batches; "exact" with more than 16 trials.

    Notes
    -----
    Under the hypothesis that each trial's effect is as likely to lie above the null as the same distance
    below it, all sign vectors :math:`s\in\{-1,1\}^m` are equally likely. Each flips
    :math:`y_i\to\theta_0+s_{t(i)}(y_i-\theta_0)` for every row of trial t in every specification, all of
    which are fitted again, tau2 included. The p-value is the share of arrangements whose statistic is at
    least as large as observed, the observed one counted.

    The hypothesis allows heterogeneity, but not effects that are 0 on average and skewed. Specifications are
    not independent; the test needs no independence because the same flips go through all of them. With m
    trials no p-value is below :math:`2^{-m}` (two-sided :math:`2^{1-m}`).

    References
    ----------
    Simonsohn, U., Simmons, J. P. and Nelson, L. D. (2020). Specification curve analysis. Nat Hum Behav
    4:1208-1214: the three statistics. Follmann, D. A. and Proschan, M. A. (1999). Biometrics 55:732-737: sign
    flips in meta-analysis.

    Examples
    --------
    BCG vaccine, one specification: the exact permutation test's 12/8192 = 0.00146 (Viechtbauer 2010, p. 35)
    is that of the statistic z.

    >>> from mtmeta.diagnostics.multiverse import multiverse
    >>> from mtmeta.effects.table import EffectSizes
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> one = multiverse([({"model": "REML"}, EffectSizes.of(y, v, "RR"), RandomEffects(ci="Wald"))])
    >>> round(multiverse_test(one, flips="exact").pvalues["stouffer"], 8)
    0.00146484
    """
    check_choice("alternative", alternative, ("two-sided", "greater", "less"))
    units, trials = _units(found)
    if not units:
        raise ModelError(
            "no specification is pooled by CommonEffect or RandomEffects, so that none can be refitted often"
        )
    task = _Task(tuple(units.values()), found.measure.null, found.level, alternative)
    m = len(trials)
    wanted = _how_many(flips, m)
    observed = task.statistics(np.ones((1, m)))[:, 0]
    edge = observed - _TIE * np.maximum(1.0, np.abs(observed))
    pieces = _pieces(m, wanted, seed)
    reached = np.zeros(len(STATISTICS), dtype=np.int64)
    for part in in_chunks(partial(_reached, task, m, edge), pieces, cluster=cluster, progress=progress):
        reached += part
    exact = wanted is None
    total = 2**m if wanted is None else wanted + 1
    pvalues = (reached + (0 if exact else 1)) / total
    return MultiverseTest(
        observed=dict(zip(STATISTICS, observed.tolist(), strict=True)),
        pvalues=dict(zip(STATISTICS, pvalues.tolist(), strict=True)),
        flips=total,
        exact=exact,
        trials=m,
        specifications=task.count,
        alternative=alternative,
    )


# inside -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    """Specifications that share their effects and their tau2: one fit serves them all."""

    yi: FloatArray
    vi: FloatArray
    trial: IntArray
    tau2: str | float
    models: dict[CommonEffect | RandomEffects, int]
    """How many specifications use each model."""


def _units(found: Multiverse) -> tuple[dict[tuple[int, str | float], _Unit], dict[str, int]]:
    """Collect the units, and number the trials."""
    units: dict[tuple[int, str | float], _Unit] = {}
    trials: dict[str, int] = {}
    for one in found.specifications:
        model, es = one.model, one.effects
        if not batched(model):
            continue
        tau2 = model.tau2 if isinstance(model, RandomEffects) else 0.0
        key = (id(es), tau2)
        if key not in units:
            at = np.array([trials.setdefault(c, len(trials)) for c in es.cluster], dtype=np.intp)
            units[key] = _Unit(es.yi, es.vi, at, tau2, {})
        models = units[key].models
        models[model] = models.get(model, 0) + 1
    return units, trials


def _how_many(flips: str | int, trials: int) -> int | None:
    """Return the number of random flips; None for all."""
    if isinstance(flips, str):
        check_choice("flips", flips, ("exact",))
        if 2**trials > _MOST:
            raise ModelError(
                f"all sign flips of {trials} trials are {2**trials:,}, too many for every analysis; ask for "
                "a number of random ones, such as flips=9999"
            )
        return None
    if isinstance(flips, bool) or int(flips) != flips or flips < 1:
        raise UsageError(f"flips={flips!r} must be 'exact' or a number of flips, 1 or more")
    return None if 2**trials <= int(flips) + 1 else int(flips)


_Piece = tuple[int, int, np.random.SeedSequence | None]


def _pieces(m: int, flips: int | None, seed: int) -> list[_Piece]:
    """Cut the flips; a random piece has a seed of its own, so that it can be made anywhere."""
    total = 2**m if flips is None else flips
    starts = range(0, total, _CHUNK)
    sizes = [min(_CHUNK, total - start) for start in starts]
    if flips is None:
        return [(start, size, None) for start, size in zip(starts, sizes, strict=True)]
    seeds = np.random.SeedSequence(seed).spawn(len(starts))
    return list(zip(starts, sizes, seeds, strict=True))


def _signs(m: int, piece: _Piece) -> FloatArray:
    start, size, seed = piece
    if seed is None:
        number = np.arange(start, start + size)
        return (1.0 - 2.0 * (number[:, None] >> np.arange(m) & 1)).astype(np.float64)
    drawn = np.random.default_rng(seed).integers(0, 2, size=(_CHUNK, m))[:size]
    return (1.0 - 2.0 * drawn).astype(np.float64)


def _reached(task: _Task, m: int, edge: FloatArray, piece: _Piece) -> IntArray:
    """Count, for each statistic, the flips of a piece that reach the observed value."""
    found = task.statistics(_signs(m, piece))
    return np.asarray((found >= edge[:, None]).sum(axis=1), dtype=np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """All that a worker needs to know."""

    units: tuple[_Unit, ...]
    null: float
    level: float
    alternative: str

    @property
    def count(self) -> int:
        return sum(times for unit in self.units for times in unit.models.values())

    def statistics(self, signs: FloatArray) -> FloatArray:
        """Compute the three statistics of each row of signs, (3, F)."""
        null, count = self.null, self.count
        gaps = np.empty((count, len(signs)))
        above, below, total = (np.zeros(len(signs)) for _ in range(3))
        done = 0
        for unit in self.units:
            y = null + signs[:, unit.trial] * (unit.yi - null)
            if isinstance(unit.tau2, str):
                fits = kernel.fit(y, unit.vi, method=unit.tau2)
            else:
                fits = kernel.fit(y, unit.vi, tau2=np.full(len(signs), float(unit.tau2)))
            for model, times in unit.models.items():
                got = answers(model, fits, level=self.level)
                gap = got.estimate - null
                gaps[done : done + times] = gap
                done += times
                above += times * (got.low > null)
                below += times * (got.high < null)
                total += times * _normal(gap, got.se, got.df)
        middle, stouffer = np.median(gaps, axis=0), total / math.sqrt(count)
        if self.alternative == "greater":
            return np.stack([middle, above / count, stouffer])
        if self.alternative == "less":
            return np.stack([-middle, below / count, -stouffer])
        return np.stack([np.abs(middle), np.maximum(above, below) / count, np.abs(stouffer)])


def _normal(gap: FloatArray, se: FloatArray, df: FloatArray) -> FloatArray:
    """Turn t into the z of the same p-value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(se > 0.0, gap / se, np.copysign(np.inf, gap))
    infinite = np.isinf(df)
    lower = special.stdtr(np.where(infinite, 1.0, df), -np.abs(t))
    z = np.where(infinite, np.abs(t), -special.ndtri(np.maximum(lower, 1e-300)))
    return np.array(np.copysign(np.minimum(z, 37.0), gap))
