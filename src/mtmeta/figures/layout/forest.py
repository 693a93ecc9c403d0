"""A pooled result becomes a forest plot as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import Better
from mtmeta.figures.layout.base import headline
from mtmeta.figures.layout.frame import ColumnLike, Frame, Prediction
from mtmeta.figures.layout.lights import RobTable
from mtmeta.figures.layout.protocols import PooledLike, SubgroupLike
from mtmeta.figures.layout.table import Cell, Column, ForestLayout, Row
from mtmeta.figures.layout.words import between_words, heterogeneity_words
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import check_choice, check_level

__all__ = ["forest_layout"]


def forest_layout(
    result: PooledLike | SubgroupLike | Sequence[PooledLike],
    *,
    left: Sequence[ColumnLike] | None = None,
    right: Sequence[ColumnLike] | None = None,
    sort: str | None = None,
    group: str | None = None,
    rob: RobTable | None = None,
    better: Better | None = None,
    arms: tuple[str, str] = ("music", "control"),
    mid: float | Sequence[float] = (),
    xlim: tuple[float, float] | None = None,
    prediction: Prediction = "bar",
    level: float = 0.95,
    title: str = "",
    style: Style | StyleName = "plain",
) -> ForestLayout:
    """Lay out a forest plot: studies, pooled diamond, prediction interval, axis, words.

    Parameters
    ----------
    result : pooled result, result of subgroups, or several results of the same effects
        Subgroups stand under headings with diamonds and heterogeneity of their own and the test between
        them at the foot; weights are those of the overall model, and a group of one study has no diamond.
        With several results (common beside random effects) the first gives the weights and each its diamond.
    left, right : sequence of str or Column, optional
        Columns on the two sides of the panel; the style's where not given. A str is a known key (study,
        n1, n2, n, m1, sd1, m2, sd2, a, c, events1, events2, effect, estimate, interval, se, weight) or
        the name of any column that the effects carry (``result.effects.columns``).
    sort : str, optional
        "estimate", "weight", "study" or a column's name; "-" before it sorts downwards. Else as given.
    group : str, optional
        Column whose values stand as headings over their rows, without pooling them apart: the studies of a
        multilevel model ("cluster"), for example.
    rob : RobTable, optional
        Risk-of-bias lights right of everything, with their legend.
    better : {"lower", "higher"}, optional
        Direction of the scale, from which the sides say whom they favour. Without it the sides say who
        has more, which follows from the sign rule (treatment minus control).
    arms : (str, str)
        What the two arms are called.
    mid : float or sequence of float
        Minimal important difference(s), on the printed scale, signed.
    xlim : (float, float), optional
        Ends of the axis on the printed scale; intervals beyond get arrows.
    prediction : {"bar", "shade", "density", "none"}
        How the prediction interval of a random-effects model with k >= 3 is drawn.
    level : float
        Of all intervals.
    title : str
    style : Style or str

    Returns
    -------
    ForestLayout

    Raises
    ------
    UsageError
        For an unknown column, sort key, style or option.

    Examples
    --------
    BCG vaccine, REML with Wald's interval: a mean relative risk of 0.49 [0.34, 0.70], Q(df = 12) = 152.2330
    (Viechtbauer 2010, J Stat Softw 36(3), pp. 14 and 21).

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.pool import RandomEffects
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
    ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> bcg = RandomEffects(ci="Wald").fit(EffectSizes.of(y, v, "RR"))
    >>> layout = forest_layout(bcg, better="lower", arms=("vaccine", "control"))
    >>> pooled = layout.rows[-2]
    >>> [cell.text for cell in pooled.cells]
    ['Random effects (REML)', '0.49 [0.34, 0.70]', '100.0%']
    >>> layout.foot[0]
    'Heterogeneity: τ² = 0.31, I² = 92%, Q = 152.23 (df = 12, p < 0.001)'
    >>> layout.panels[0].labels, layout.panels[0].favours[0]
    (('0.1', '0.2', '0.5', '1', '2', '5'), 'Favours vaccine')
    """
    check_level(level)
    check_choice("prediction", prediction, ("bar", "shade", "density", "none"))
    grouped = result if isinstance(result, SubgroupLike) else None
    results = (grouped.overall,) if grouped is not None else _results(result)
    frame = Frame.of(results[0], arms=_pair(arms), level=level, style=style_of(style), rob=rob)
    columns = frame.columns(left, right)
    order = frame.order(sort)
    if grouped is not None:
        rows = _subgroup_rows(frame, grouped, columns, order)
    elif group is not None:
        rows = _headed_rows(frame, group, columns, order)
    else:
        rows = [frame.study_row(i, columns) for i in order]
    total = frame.style.total if len(results) == 1 else ""
    for j, fit in enumerate(results):
        gap = 0.35 if j == 0 else 0.0
        own = frame.pooled_rows(fit, columns, prediction=prediction, gap=gap, label=total)
        rows += [_without_weight(row, columns) for row in own] if j else own
    between = between_words(grouped, frame.style) if grouped is not None else ()
    return frame.finish(
        rows,
        columns,
        results,
        foot=(*frame.foot(results), *between, *frame.mid_words(mid)),
        extra=_between_numbers(grouped),
        better=better,
        mid=mid,
        xlim=xlim,
        prediction=prediction,
        title=title,
    )


def _without_weight(row: Row, columns: tuple[Column, ...]) -> Row:
    """Leave the weight of a further result's row free: the weights are the first result's."""
    cells = (Cell() if c.key == "weight" else cell for c, cell in zip(columns, row.cells, strict=True))
    return replace(row, cells=tuple(cells))


def _results(result: PooledLike | SubgroupLike | Sequence[PooledLike]) -> tuple[PooledLike, ...]:
    results: tuple[Any, ...] = tuple(result) if isinstance(result, Sequence) else (result,)
    if not results:
        raise UsageError("no result to draw; give a fitted model, or several of the same effects")
    first = results[0].effects
    for other in results[1:]:
        if other.effects.study != first.study or other.effects.measure != first.measure:
            raise UsageError(
                "results of different effects cannot share the rows of one forest plot; "
                "fit each model on the same EffectSizes, or draw them with compare_layout"
            )
    return results


def _subgroup_rows(
    frame: Frame, result: SubgroupLike, columns: tuple[Column, ...], order: Sequence[int]
) -> list[Row]:
    """Headings, studies, diamonds and heterogeneity of each subgroup."""
    rows: list[Row] = []
    for (name, fit), members in zip(result.groups.items(), members_of(result), strict=True):
        rows.append(Row("heading", 0, text=headline(name), bold=True, gap=0.3 if rows else 0.0))
        rows += [frame.study_row(i, columns, indent=1) for i in order if i in members]
        if len(members) > 1:
            own = frame.pooled_rows(
                fit, columns, prediction="none", label="Subtotal", members=sorted(members), indent=1
            )
            rows += [replace(row, id=name) for row in own]
            rows.append(Row("note", 0, text=heterogeneity_words(fit, frame.style), indent=1, id=name))
    return rows


def members_of(result: SubgroupLike) -> list[set[int]]:
    """Return which rows of the overall effects belong to each group: every row to exactly one."""
    effects = result.overall.effects
    left: dict[tuple[str, float, float], list[int]] = {}
    for i, key in enumerate(zip(effects.study, map(float, effects.yi), map(float, effects.vi), strict=True)):
        left.setdefault(key, []).append(i)
    found = []
    for fit in result.groups.values():
        own = fit.effects
        keys = zip(own.study, map(float, own.yi), map(float, own.vi), strict=True)
        found.append({left[key].pop(0) for key in keys})
    return found


def _headed_rows(frame: Frame, group: str, columns: tuple[Column, ...], order: Sequence[int]) -> list[Row]:
    values = frame.effects.cluster if group == "cluster" else frame.series(group)
    if values is None:
        raise UsageError(f"group={group!r} names no column of these effects; use 'cluster' or a column")
    rows: list[Row] = []
    for name in dict.fromkeys(str(values[i]) for i in order):
        rows.append(Row("heading", 0, text=headline(name), bold=True, gap=0.3 if rows else 0.0))
        rows += [frame.study_row(i, columns, indent=1) for i in order if str(values[i]) == name]
    return rows


def _between_numbers(result: SubgroupLike | None) -> tuple[tuple[str, float], ...]:
    if result is None:
        return ()
    return (
        ("q_between", float(result.q_between)),
        ("df_between", float(result.df_between)),
        ("p_between", float(result.p_between)),
    )


def _pair(arms: Sequence[str]) -> tuple[str, str]:
    if isinstance(arms, str) or len(arms) != 2:
        raise UsageError(f"arms={arms!r} must be two names, such as ('music', 'control')")
    return (str(arms[0]), str(arms[1]))
