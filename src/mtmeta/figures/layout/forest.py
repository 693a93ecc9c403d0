"""A pooled result becomes a forest plot as data."""

from __future__ import annotations

from collections.abc import Sequence

from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import Better
from mtmeta.figures.layout.frame import ColumnLike, Frame, Prediction
from mtmeta.figures.layout.protocols import PooledLike
from mtmeta.figures.layout.table import ForestLayout
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import check_choice, check_level

__all__ = ["forest_layout"]


def forest_layout(
    result: PooledLike | Sequence[PooledLike],
    *,
    left: Sequence[ColumnLike] | None = None,
    right: Sequence[ColumnLike] | None = None,
    sort: str | None = None,
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
    result : pooled result, or several of the same effects
        With several (common beside random effects) the first gives the weights and each its diamond.
    left, right : sequence of str or Column, optional
        Columns on the two sides of the panel; the style's where not given. A str is a known key (study,
        n1, n2, n, m1, sd1, m2, sd2, a, c, events1, events2, effect, estimate, interval, se, weight) or
        the name of any column that the effects carry (``result.effects.columns``).
    sort : str, optional
        "estimate", "weight", "study" or a column's name; "-" before it sorts downwards. Else as given.
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
    """
    results = _results(result)
    check_level(level)
    check_choice("prediction", prediction, ("bar", "shade", "density", "none"))
    frame = Frame.of(results[0], arms=_pair(arms), level=level, style=style_of(style))
    columns = frame.columns(left, right)
    order = frame.order(sort)
    rows = [frame.study_row(i, columns) for i in order]
    for j, fit in enumerate(results):
        rows += frame.pooled_rows(
            fit, columns, prediction=prediction, gap=0.35 if j == 0 else 0.0, several=len(results) > 1
        )
    foot = (*frame.foot(results), *frame.mid_words(mid))
    return frame.finish(
        rows,
        columns,
        results,
        foot=foot,
        better=better,
        mid=mid,
        xlim=xlim,
        prediction=prediction,
        title=title,
    )


def _results(result: PooledLike | Sequence[PooledLike]) -> tuple[PooledLike, ...]:
    results = tuple(result) if isinstance(result, Sequence) else (result,)
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


def _pair(arms: Sequence[str]) -> tuple[str, str]:
    if isinstance(arms, str) or len(arms) != 2:
        raise UsageError(f"arms={arms!r} must be two names, such as ('music', 'control')")
    return (str(arms[0]), str(arms[1]))
