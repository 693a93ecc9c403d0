"""The one bridge from records to the effect table."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mtmeta.effects.continuous import smd_variance
from mtmeta.effects.left import LeftOut
from mtmeta.effects.printed import NoRouteError, Printed, RouteChoices
from mtmeta.effects.routes import routes_of
from mtmeta.effects.select import Query, Row, Selection, select_rows
from mtmeta.effects.shared import SHARED_NAMES, sampling_covariance, shared_columns
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, DataWarning, EffectError, LeftOutWarning, MixedScoresWarning
from mtmeta.measures import Measure, check_choice, measure_of
from mtmeta.records.schema import Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Computed", "computed_rows", "effect_sizes", "effects_of"]

_RAW = ("m1", "sd1", "m2", "sd2", "a", "c", "x1", "t1", "x2", "t2", "r")
CONVENTIONS = ("LS", "LS2", "UB", "AV", "RevMan")


Words = str | Sequence[str] | None


def _tuple(words: Words) -> tuple[str, ...]:
    if words is None:
        return ()
    return (words,) if isinstance(words, str) else tuple(words)


def effect_sizes(
    studies: Iterable[Study],
    *,
    condition: Words = None,
    construct: Words = None,
    instrument: Words = None,
    time: Words = None,
    comparator: Words = None,
    used_in: Words = None,
    measure: Measure | str = "SMD",
    variance: str = "LS",
    pin: Mapping[str, str] | None = None,
    exclude: Mapping[str, str] | None = None,
    rule: str = "raise",
    rho: float = 0.6,
    prefer: Sequence[str] = (),
    corrected: bool = False,
    choices: RouteChoices | None = None,
) -> EffectSizes:
    """Compute the effect of every trial that answers a question.

    Parameters
    ----------
    studies : iterable of Study
        As from ``read_studies``.
    condition, construct, instrument, time, comparator, used_in : str or sequence of str, optional
        What a row must be; nothing asked for matches everything. `comparator` takes a type of the
        vocabulary, or the classes ``inactive``, ``active``, ``music``.
    measure : Measure or str, default "SMD"
        Effect to compute, music minus control on the instrument's own scale (ratios as logarithms).
    variance : {"LS", "LS2", "UB", "AV", "RevMan"}, default "LS"
        Convention for g and the variance of an SMD (see ``smd_variance``); g is recomputed from the
        printed g, its correction and the arm sizes, never from a typed SE alone.
    pin : mapping, optional
        Study id to the outcome id that stands for the trial.
    exclude : mapping, optional
        Study id, or ``study/outcome``, to the reason.
    rule : {"raise", "prefer", "latest", "separate", "mean"}, default "raise"
        For several rows of one trial; ``separate`` keeps each as a row of the same cluster,
        ``mean`` averages them.
    rho : float, default 0.6
        Correlation of a trial's rows, for ``rule="mean"``.
    prefer : sequence of str, optional
        Instruments, outcome ids or time points in falling order, for ``rule="prefer"``.
    corrected : bool, default False
        Take what a person decided (``corrected`` in the record) in place of what was printed.
    choices : RouteChoices, optional
        What is decided where a source leaves several ways to an effect: trials of several arms, a
        correlation that is not printed, P values that are bounds.

    Returns
    -------
    EffectSizes
        One row a trial, in the order of the records; ``columns`` holds label, outcome, instrument,
        route, place and the printed data, ``left_out`` every row that was looked at and not taken.

    Raises
    ------
    AnalysisError
        When several rows of a trial answer and neither pin nor rule decides (they are listed), or
        when none does.

    Warns
    -----
    MixedScoresWarning
        When final, change or adjusted values stand under one SMD.
    LeftOutWarning
        When a row answers the question and is not pooled, because its numbers cannot be true or allow no
        effect. Name it in `exclude` with your reason, or mend its record, and the warning ends.

    Examples
    --------
    State anxiety of ventilated patients, Bradt 2014 (CD006902.pub3): -1.11 [-1.75, -0.47], 5 trials.

    >>> from mtmeta.models.pool import RandomEffects
    >>> from mtmeta.records.locate import example_studies
    >>> es = effect_sizes(example_studies("icu"), construct="anxiety", variance="RevMan",
    ...                   used_in="CD006902.pub3: State Anxiety (change scores)")
    >>> fit = RandomEffects(tau2="DL", ci="Wald").fit(es)
    >>> print(f"{fit.estimate:.2f} [{fit.ci().low:.2f}, {fit.ci().high:.2f}], {es.k} trials")
    -1.11 [-1.75, -0.47], 5 trials
    """
    query = Query(
        conditions=_tuple(condition),
        constructs=_tuple(construct),
        instruments=_tuple(instrument),
        times=_tuple(time),
        comparators=_tuple(comparator),
        used_in=_tuple(used_in),
        pin=dict(pin or {}),
        exclude=dict(exclude or {}),
        rule=rule,
        rho=rho,
        prefer=tuple(prefer),
        corrected=corrected,
    )
    es, left = effects_of(select_rows(studies, query), measure=measure, variance=variance, choices=choices)
    _warn_of_left_out(left, es.measure.code)
    return es


def _warn_of_left_out(left: Sequence[LeftOut], code: str) -> None:
    rows = [item for item in left if item.answers]
    if not rows:
        return
    shown = "".join(f"\n  {item}" for item in rows[:_MOST_TOLD])
    more = f"\n  and {len(rows) - _MOST_TOLD} more" if len(rows) > _MOST_TOLD else ""
    first = f"{rows[0].study}/{rows[0].outcome}"
    warnings.warn(
        f"not in the table, as they give no {code}, though they answer the question:{shown}{more}\nMend the "
        f"record, or say that you leave the row out: exclude={{{first!r}: 'your reason'}}; left_out of the "
        "table lists all that was not taken",
        LeftOutWarning,
        stacklevel=3,
    )


_MOST_TOLD = 10


class Computed(NamedTuple):
    """A row with its route and its effect."""

    row: Row
    printed: Printed
    yi: float
    vi: float


def computed_rows(
    selection: Selection,
    *,
    measure: Measure | str,
    variance: str = "LS",
    choices: RouteChoices | None = None,
) -> tuple[tuple[Computed, ...], tuple[LeftOut, ...]]:
    """Compute the effect of every selected row, before any averaging within trials.

    Parameters
    ----------
    selection, measure, variance, choices
        See :func:`effects_of`.

    Returns
    -------
    rows : tuple of Computed
        Several for a printed row whose arms are kept apart.
    left_out : tuple of LeftOut

    Raises
    ------
    AnalysisError
        When no selected row gives an effect; every reason is listed.
    """
    code = measure_of(measure).code
    check_choice("variance", variance, CONVENTIONS)
    kept: list[tuple[Row, Printed]] = []
    left = list(selection.left_out)
    for row in selection.rows:
        try:
            kept += [(row, printed) for printed in routes_of(row, code, choices or RouteChoices())]
        except NoRouteError as reason:
            left.append(LeftOut(row.study.id, row.outcome.id, str(reason), answers=True))
    if not kept:
        reasons = "".join(f"\n  {x.study}/{x.outcome or '-'}: {x.reason}" for x in left[:20])
        raise AnalysisError(f"no selected row gives an effect as {code}:{reasons}")
    yi, vi = _calculate(kept, code, variance)
    rows = tuple(
        Computed(row, printed, float(y), float(v)) for (row, printed), y, v in zip(kept, yi, vi, strict=True)
    )
    return rows, tuple(left)


def effects_of(
    selection: Selection,
    *,
    measure: Measure | str,
    variance: str = "LS",
    choices: RouteChoices | None = None,
) -> tuple[EffectSizes, tuple[LeftOut, ...]]:
    """Compute the effects of selected rows; rows without a route join what was left out.

    Parameters
    ----------
    selection : Selection
    measure : Measure or str
    variance : {"LS", "LS2", "UB", "AV", "RevMan"}, default "LS"
    choices : RouteChoices, optional

    Returns
    -------
    es : EffectSizes
    left_out : tuple of LeftOut

    Raises
    ------
    AnalysisError
        When no selected row gives an effect; every reason is listed.

    Warns
    -----
    MixedScoresWarning
        When final, change or adjusted values stand under one SMD.
    DataWarning
        When rows of a trial share an arm, which a model of independent rows does not know.
    """
    computed, left = computed_rows(selection, measure=measure, variance=variance, choices=choices)
    kept = [(row, printed) for row, printed, _, _ in computed]
    es = EffectSizes(
        yi=np.array([c.yi for c in computed]),
        vi=np.array([c.vi for c in computed]),
        measure=measure_of(measure),
        study=tuple(row.study.id for row, _ in kept),
        cluster=tuple(row.study.id for row, _ in kept),
        n=_sizes(p.n for _, p in kept),
        n1=_sizes(p.n1 if _arms_told(row) else math.nan for row, p in kept),
        n2=_sizes(p.n2 if _arms_told(row) else math.nan for row, p in kept),
        columns=_columns(kept),
        left_out=left,
    )
    _warn_of_mixed_scores(kept, es.measure.code)
    if selection.mean_rho is not None:
        return _averaged(es, selection.mean_rho), left
    _warn_of_shared_arms(kept)
    return es, left


def _arms_told(row: Row) -> bool:
    """Whether the source tells which size is which arm's; g and its SE do not depend on it."""
    data = row.outcome.data
    return getattr(data, "n_unordered", None) is None or getattr(data, "n_music", None) is not None


def _averaged(es: EffectSizes, rho: float) -> EffectSizes:
    """One row a trial: the mean of its rows, whose errors are correlated by `rho`.

    Variance of a mean of m correlated effects, (Σ v_i + Σ_{i≠j} ρ √(v_i v_j)) / m² (Borenstein et
    al. 2009, Introduction to Meta-Analysis, ch. 24); the covariance of rows that share an arm is known
    and stands in the place of its term.
    """
    names = list(dict.fromkeys(es.study))
    groups = [[i for i, s in enumerate(es.study) if s == name] for name in names]
    if len(groups) == es.k:
        return es
    first = es.subset([g[0] for g in groups])
    covariance = sampling_covariance(es, within_rho=rho)
    yi = np.array([es.yi[g].mean() for g in groups])
    vi = np.array([covariance[np.ix_(g, g)].sum() / len(g) ** 2 for g in groups])
    columns = first.columns
    assert columns is not None
    columns = columns.drop(columns=[name for name in SHARED_NAMES if name in columns])
    columns["route"] = [
        route if len(g) == 1 else f"mean of {len(g)} rows, correlation {rho:g}; {route}"
        for g, route in zip(groups, columns["route"], strict=True)
    ]
    several = np.array([len(g) > 1 for g in groups])
    for name in _RAW:  # the numbers of one row are not those of the mean
        if name in columns:
            columns[name] = columns[name].mask(several)
    assert es.columns is not None
    outcomes = es.columns["outcome"]
    columns["outcome"] = ["+".join(outcomes.iloc[i] for i in g) for g in groups]
    return replace(first, yi=yi, vi=vi, columns=columns)


def _sizes(values: Iterable[float]) -> np.ndarray | None:
    array = np.array(list(values), dtype=float)
    return None if np.isnan(array).all() else array


def _calculate(
    kept: Sequence[tuple[Row, Printed]], code: str, variance: str
) -> tuple[np.ndarray, np.ndarray]:
    """Compute all effects, those of one route together so that conventions see the whole table."""
    yi, vi = np.empty(len(kept)), np.empty(len(kept))
    direct = [i for i, (_, p) in enumerate(kept) if p.effect is not None]
    for i in direct:
        effect = kept[i][1].effect
        assert effect is not None
        yi[i], vi[i] = effect[0], effect[1] ** 2
    rest = [i for i, (_, p) in enumerate(kept) if p.effect is None]
    if rest:
        printed = [kept[i][1] for i in rest]
        try:
            yi[rest], vi[rest] = _by_calculator(printed, code, variance)
        except EffectError as error:
            names = ", ".join(kept[i][0].where for i in rest)
            raise AnalysisError(f"{error} (rows: {names})") from error
    return yi, vi


def _by_calculator(printed: Sequence[Printed], code: str, variance: str) -> tuple[np.ndarray, np.ndarray]:
    if code == "SMD":
        d = [p.d if p.d is not None else _cohen(p.raw) for p in printed]
        n1, n2 = [p.n1 for p in printed], [p.n2 for p in printed]
        return smd_variance(d, n1, n2, variance=variance)  # type: ignore[arg-type]
    import pandas as pd

    es = EffectSizes.from_frame(
        pd.DataFrame([{"study": str(i), **p.raw} for i, p in enumerate(printed)]), measure=code, study="study"
    )
    return es.yi, es.vi


def _cohen(raw: Mapping[str, float]) -> float:
    df1, df2 = raw["n1"] - 1.0, raw["n2"] - 1.0
    sd = math.sqrt((df1 * raw["sd1"] ** 2 + df2 * raw["sd2"] ** 2) / (df1 + df2))
    return (raw["m1"] - raw["m2"]) / sd


def _warn_of_shared_arms(kept: Sequence[tuple[Row, Printed]]) -> None:
    trials = dict.fromkeys(row.study.id for row, printed in kept if printed.shared is not None)
    if trials:
        warnings.warn(
            f"rows of {', '.join(trials)} share an arm, so that they are not independent: fit a Multilevel "
            "model, average them (rule: mean), or combine the arms; sampling_covariance gives the covariance",
            DataWarning,
            stacklevel=4,
        )


def _value_kind(row: Row) -> str:
    """Tell final values from changes, also where only the form of the data tells."""
    data = row.outcome.data
    changes = data.kind == "changes" or getattr(data, "form", None) == "changes"
    return "change" if row.outcome.value == "unclear" and changes else row.outcome.value


def _warn_of_mixed_scores(kept: Sequence[tuple[Row, Printed]], code: str) -> None:
    if not code.startswith("SMD"):
        return
    kinds: dict[str, list[str]] = {}
    for row, _ in kept:
        if (kind := _value_kind(row)) in ("final", "change", "adjusted"):
            kinds.setdefault(kind, []).append(row.study.id)
    if len(kinds) > 1:
        listed = "; ".join(f"{kind}: {', '.join(ids)}" for kind, ids in kinds.items())
        warnings.warn(
            "values of different kinds stand under one SMD, whose standard deviations are not "
            f"comparable (Cochrane Handbook 10.5.2): {listed}",
            MixedScoresWarning,
            stacklevel=4,
        )


def _columns(kept: Sequence[tuple[Row, Printed]]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for row, printed in kept:
        study, outcome = row.study, row.outcome
        rows.append(
            {
                "label": study.label,
                "year": study.citation.year,
                "outcome": outcome.id,
                "instrument": outcome.instrument,
                "time": outcome.time,
                "value": outcome.value,
                "comparator": row.comparator,
                "condition": study.conditions[0],
                "category": study.intervention.category,
                "approach": study.intervention.approach,
                "format": study.intervention.format,
                "delivery": study.intervention.delivery,
                "group": study.population.group or study.conditions[0],
                "sessions": study.intervention.sessions,
                "minutes": study.intervention.minutes_per_session,
                "route": printed.route,
                "notes": "; ".join(printed.notes) or None,
                "standardiser": printed.standardiser or None,
                **shared_columns(printed.shared),
                **{name: printed.raw.get(name) for name in _RAW},
            }
        )
    return pd.DataFrame(rows).dropna(axis="columns", how="all")
