"""All defensible analyses of one question at once: the specification curve and what moves it."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from mtmeta.diagnostics.chunks import Cluster, in_chunks
from mtmeta.diagnostics.refit import Fittable, FloatArray, Refits, answers, batched, single
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Measure, check_level
from mtmeta.models import kernel
from mtmeta.models.pool import CommonEffect, RandomEffects

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Multiverse", "Specification", "multiverse"]


@dataclass(frozen=True, eq=False)
class Specification:
    """One defensible analysis: what was chosen, and the ready effects and model that follow from it.

    Attributes
    ----------
    choices : mapping of str to str
        Name of each choice and the option taken; the same names in all specifications.
    effects : EffectSizes
    model : CommonEffect, RandomEffects, BayesRandomEffects or another with such a result
    """

    choices: Mapping[str, str]
    effects: EffectSizes
    model: Fittable


@dataclass(frozen=True, eq=False)
class Multiverse:
    """The answers of all specifications. Frozen.

    Attributes
    ----------
    specifications : tuple of Specification
        In the order given, which is the order of the rows; each can be fitted again alone.
    choices : tuple of str
    measure : Measure
    level : float
        Of the intervals.
    """

    specifications: tuple[Specification, ...]
    choices: tuple[str, ...]
    measure: Measure
    level: float
    _frame: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return a row a specification: its choices, estimate, se, ci_low, ci_high, pvalue, tau2, i2, k.

        ``pvalue`` is NaN where a model has no test; a Bayesian estimate is the posterior median, its interval
        credible.
        """
        return self._frame.copy()

    def where(self, rows: Sequence[int]) -> Multiverse:
        """Return the multiverse of some of the specifications, by their positions."""
        if not len(rows):
            raise UsageError("a multiverse needs at least one specification and no position is given")
        some = tuple(self.specifications[i] for i in rows)
        frame = self._frame.iloc[list(rows)].reset_index(drop=True)
        return Multiverse(some, self.choices, self.measure, self.level, frame)

    def shares(self) -> pd.Series:
        """Return the share of specifications by conclusion.

        Returns
        -------
        Series
            ``above`` and ``below``: the interval lies on that side of the null; ``inconclusive``: it holds
            the null. They sum to 1. ``positive``: the estimate is above the null, whatever its interval.
        """
        import pandas as pd

        null, f = self.measure.null, self._frame
        above, below = float((f["ci_low"] > null).mean()), float((f["ci_high"] < null).mean())
        return pd.Series(
            {
                "above": above,
                "below": below,
                "inconclusive": 1.0 - above - below,
                "positive": float((f["estimate"] > null).mean()),
            }
        )

    def vibration(self) -> pd.Series:
        """Return how far estimates and p-values vibrate.

        Returns
        -------
        Series
            ``p1``, ``median``, ``p99``: percentiles of the estimates; ``relative``: p99 - p1, and for ratios
            exp of it (the relative hazard ratio of the paper); ``log10_p``: the difference of those
            percentiles of -log10(p), over models that give a p-value; ``janus``: whether p1 and p99 lie on
            different sides of the null.

        References
        ----------
        Patel, C. J., Burford, B. and Ioannidis, J. P. A. (2015). J Clin Epidemiol 68:1046-1058.
        """
        import pandas as pd

        p1, median, p99 = np.percentile(self._frame["estimate"], [1, 50, 99])
        logs = -np.log10(np.maximum(self._frame["pvalue"].dropna().to_numpy(), 1e-300))
        low, high = np.percentile(logs, [1, 99]) if len(logs) else (math.nan, math.nan)
        null = self.measure.null
        return pd.Series(
            {
                "p1": p1,
                "median": median,
                "p99": p99,
                "relative": math.exp(p99 - p1) if self.measure.is_ratio else p99 - p1,
                "log10_p": high - low,
                "janus": bool((p1 - null) * (p99 - null) < 0.0),
            },
            dtype=object,
        )

    def decomposition(self) -> pd.DataFrame:
        """Return which choice moves the estimate: shares of the variance of the estimates.

        Returns
        -------
        DataFrame
            A row a choice: ``alone``, the share explained by this choice by itself (R² of its means), and
            ``unique``, the share lost when it is left out of the model of all main effects. Both agree in a
            full grid; what all main effects leave (interactions) stands in the last row, "interactions". NaN
            when all estimates are equal.
        """
        import pandas as pd

        y = self._frame["estimate"].to_numpy(dtype=np.float64)
        centred = y - y.mean()
        total = float(centred @ centred)
        columns = {c: self._dummies(c) for c in self.choices}
        design = np.column_stack([np.ones(len(y)), *columns.values()])
        widths = [1, *(x.shape[1] for x in columns.values())]
        starts = np.cumsum([0, *widths])
        blocks = {c: np.arange(starts[i + 1], starts[i + 2]) for i, c in enumerate(self.choices)}
        gram, moment = design.T @ design, design.T @ centred

        def explained(names: Sequence[str]) -> float:
            if total <= 0.0:
                return math.nan
            at = np.concatenate([[0], *(blocks[c] for c in names)]).astype(np.intp)
            beta = np.linalg.lstsq(gram[np.ix_(at, at)], moment[at], rcond=None)[0]
            rest = centred - design[:, at] @ beta
            return 1.0 - float(rest @ rest) / total

        full = explained(self.choices)
        rows = []
        for choice in self.choices:
            others = [c for c in self.choices if c != choice]
            rows.append((choice, explained([choice]), full - explained(others)))
        rows.append(("interactions", 1.0 - full, 1.0 - full))
        return pd.DataFrame(rows, columns=["choice", "alone", "unique"])

    def _dummies(self, choice: str) -> FloatArray:
        values = self._frame[choice].to_numpy()
        options = list(dict.fromkeys(values))[1:]
        return np.column_stack([np.zeros((len(values), 0)), *(values == o for o in options)]).astype(
            np.float64
        )

    def __repr__(self) -> str:
        shares, f = self.shares(), self._frame["estimate"]
        return (
            f"Multiverse of {len(f):,} analyses: {self.measure.code} {f.min():.3f} to {f.max():.3f}, "
            f"median {f.median():.3f}; interval above the null {shares['above']:.0%}, below "
            f"{shares['below']:.0%}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def multiverse(
    specifications: Iterable[Specification | tuple[Mapping[str, str], EffectSizes, Fittable]],
    *,
    level: float = 0.95,
    cluster: Cluster = None,
) -> Multiverse:
    """Fit all specifications of a question.

    Parameters
    ----------
    specifications : iterable of Specification, or of (choices, effects, model)
        Ready pairs of effects and model with the choices that led to them. Common-effect and random-effects
        models go through the kernel in one batch per estimator of tau2, others are fitted one by one.
    level : float, default 0.95
        Of the intervals.
    cluster : int, str or distributed.Client, optional
        So many processes, or a Dask cluster; the answer is the same bit for bit. It pays where models are
        fitted one by one, such as Bayesian ones.

    Returns
    -------
    Multiverse

    Raises
    ------
    UsageError
        No specification, different names of choices, different measures (give each its own multiverse).

    References
    ----------
    Simonsohn, U., Simmons, J. P. and Nelson, L. D. (2020). Nat Hum Behav 4:1208-1214. Voracek, M.,
    Kossmeier, M. and Tran, U. S. (2019). Z Psychol 227:64-82.

    Examples
    --------
    Teacher expectancy, Raudenbush (2009), p. 302: common effect 0.0604, DL 0.0893, REML 0.0837.

    >>> from mtmeta.models.pool import CommonEffect
    >>> y = [.03, .12, -.14, 1.18, .26, -.06, -.02, -.32, .27, .80, .54, .18, -.02, .23, -.18, -.06, .30, .07,
    ...      -.07]
    >>> v = [.0156, .0216, .0279, .1391, .1362, .0106, .0106, .0484, .0269, .0630, .0912, .0497, .0835, .0841,
    ...      .0253, .0279, .0193, .0088, .0303]
    >>> es = EffectSizes.of(y, v, "SMD")
    >>> models = {"EE": CommonEffect(), "DL": RandomEffects("DL"), "REML": RandomEffects("REML")}
    >>> found = multiverse(({"model": name}, es, model) for name, model in models.items())
    >>> found.to_frame()["estimate"].round(4).tolist()
    [0.0604, 0.0893, 0.0837]
    """
    import pandas as pd

    check_level(level)
    all_of_them = tuple(s if isinstance(s, Specification) else Specification(*s) for s in specifications)
    choices, measure = _agree(all_of_them)
    fits = _fit(all_of_them, level, cluster)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs((fits.estimate - measure.null) / fits.se)
    normal = np.isinf(fits.df)
    df = np.where(normal, 1.0, fits.df)
    frame = pd.DataFrame(
        {
            **{c: [s.choices[c] for s in all_of_them] for c in choices},
            "estimate": fits.estimate,
            "se": fits.se,
            "ci_low": fits.low,
            "ci_high": fits.high,
            "pvalue": np.where(normal, 2.0 * special.ndtr(-statistic), 2.0 * special.stdtr(df, -statistic)),
            "tau2": fits.tau2,
            "i2": fits.i2,
            "k": fits.k.astype(np.int64),
        }
    )
    return Multiverse(all_of_them, choices, measure, level, frame)


# inside -----------------------------------------------------------------------------------------------------


def _agree(specifications: tuple[Specification, ...]) -> tuple[tuple[str, ...], Measure]:
    if not specifications:
        raise UsageError("a multiverse needs at least one specification and there is none")
    first = specifications[0]
    names = tuple(first.choices)
    reserved = {"estimate", "se", "ci_low", "ci_high", "pvalue", "tau2", "i2", "k"} & set(names)
    if reserved:
        taken = ", ".join(sorted(reserved))
        raise UsageError(f"a choice cannot be named {taken}: that is a column of the answers")
    for i, one in enumerate(specifications):
        if set(one.choices) != set(names):
            raise UsageError(
                f"specification {i + 1} has the choices {', '.join(one.choices)} and the first has "
                f"{', '.join(names)}; all must name the same choices"
            )
        if one.effects.measure != first.effects.measure:
            raise UsageError(
                f"specification {i + 1} is on {one.effects.measure.code} and the first on "
                f"{first.effects.measure.code}; estimates on different scales share no curve: make two"
            )
    return names, first.effects.measure


_ROWS = 2048  # specifications of one model that are fitted together; also what other processes take
_SINGLES = 8  # the same for models that are fitted one by one


@dataclass(frozen=True, slots=True)
class _Piece:
    """Specifications fitted at one place: one model with effects and variances, or each with its own."""

    at: tuple[int, ...]
    model: CommonEffect | RandomEffects | None
    data: tuple[tuple[FloatArray, FloatArray], ...]
    singles: tuple[Specification, ...]


def _fit(specifications: tuple[Specification, ...], level: float, cluster: Cluster) -> Refits:
    """Fit in one batch per estimator of tau2 and model, the others one by one."""
    groups: dict[CommonEffect | RandomEffects, list[int]] = {}
    alone: list[int] = []
    for i, one in enumerate(specifications):
        if batched(one.model):
            groups.setdefault(one.model, []).append(i)
        else:
            alone.append(i)
    pieces = [_Piece(at, None, (), tuple(specifications[i] for i in at)) for at in _parts(alone, _SINGLES)]
    for model, rows in groups.items():
        for at in _parts(rows, _ROWS):
            tables = (specifications[i].effects for i in at)
            pieces.append(_Piece(at, model, tuple((es.yi, es.vi) for es in tables), ()))
    names = tuple(Refits.__dataclass_fields__)
    out = {name: np.empty(len(specifications)) for name in names}
    for piece, got in zip(
        pieces, in_chunks(partial(_fit_piece, level), pieces, cluster=cluster), strict=True
    ):
        for name in names:
            out[name][list(piece.at)] = getattr(got, name)
    return Refits(**out)


def _parts(rows: list[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(rows[start : start + size]) for start in range(0, len(rows), size)]


def _fit_piece(level: float, piece: _Piece) -> Refits:
    if piece.model is not None:
        return answers(piece.model, _batch(piece.model, piece.data), level=level)
    names = tuple(Refits.__dataclass_fields__)
    out = {name: np.empty(len(piece.singles)) for name in names}
    for i, one in enumerate(piece.singles):
        try:
            result = one.model.fit(one.effects)
        except ModelError as why:
            said = ", ".join(f"{c}={o}" for c, o in one.choices.items())
            raise ModelError(f"the specification {said}: {why}") from why
        for name, value in single(result, level=level).items():
            out[name][i] = value
        if not _tests(result):
            out["df"][i] = math.nan  # then its p-value is
    return Refits(**out)


def _tests(result: Any) -> bool:
    """Whether a result has a test: a Bayesian one has none, nor has Henmi and Copas'."""
    try:
        return not math.isnan(getattr(result, "pvalue", 0.0))
    except ModelError:
        return False


def _batch(
    model: CommonEffect | RandomEffects, data: Sequence[tuple[FloatArray, FloatArray]]
) -> kernel.KernelFit:
    k = max(len(yi) for yi, _ in data)
    y, v = np.zeros((len(data), k)), np.ones((len(data), k))
    present = np.zeros((len(data), k), dtype=np.bool_)
    for i, (yi, vi) in enumerate(data):
        n = len(yi)
        y[i, :n], v[i, :n], present[i, :n] = yi, vi, True
    if isinstance(model, RandomEffects) and isinstance(model.tau2, str):
        return kernel.fit(y, v, method=model.tau2, present=present)
    given = float(model.tau2) if isinstance(model, RandomEffects) else 0.0
    return kernel.fit(y, v, tau2=given, present=present)
