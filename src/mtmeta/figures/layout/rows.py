"""Forest plots of ready rows: cumulative, leave-one-out, published beside ours, several results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import Better, axis_panel, favours_words, normal_quantile
from mtmeta.figures.layout.base import capital, count, headline, interval_parts, number, p_value, percent
from mtmeta.figures.layout.frame import Frame, readable
from mtmeta.figures.layout.protocols import PooledLike, is_bayesian, model_words, short_name, shown
from mtmeta.figures.layout.table import Cell, Column, ForestLayout, Mark, Panel, Row, numbered
from mtmeta.figures.layout.words import level_words
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import Measure, check_level, measure_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare_layout", "cumulative_layout", "leave_one_out_layout", "rows_layout"]

_LOW, _HIGH = ("ci_low", "low", "lower"), ("ci_high", "high", "upper")
_HEADS = {"tau2": "τ²", "i2": "I²", "k": "k", "n": "n", "pvalue": "P", "source": "Source"}


def rows_layout(
    data: pd.DataFrame,
    *,
    measure: Measure | str,
    label: str = "label",
    columns: Sequence[str] = (),
    group: str | None = None,
    diamonds: Sequence[str] = (),
    better: Better | None = None,
    arms: tuple[str, str] = ("music", "control"),
    reference: float | None = None,
    xlim: tuple[float, float] | None = None,
    level: float = 0.95,
    head: str = "",
    foot: Sequence[str] = (),
    title: str = "",
    style: Style | StyleName = "plain",
) -> ForestLayout:
    """Lay out a forest plot of estimates that stand ready in a table: one row each, no pooling.

    Parameters
    ----------
    data : DataFrame
        Columns `label`, ``estimate`` and either ``ci_low`` and ``ci_high`` (also ``low``/``high``) or
        ``se``, from which Wald limits are taken; on the scale of analysis.
    measure : Measure or str
    label : str
        Column of row labels.
    columns : sequence of str
        Further columns to print on the left; tau2, i2, k, n and pvalue are formatted as such.
    group : str, optional
        Column whose values stand as headings.
    diamonds : sequence of str
        Labels of rows drawn as diamonds (published and pooled results).
    better, arms
        As in :func:`forest_layout`.
    reference : float, optional
        A dotted line, on the scale of analysis.
    xlim : (float, float), optional
        Ends of the axis on the printed scale.
    level, head, foot, title, style
        Level of the intervals; heading of the labels; lines under the plot.

    Returns
    -------
    ForestLayout

    Raises
    ------
    UsageError
        For a table without these columns or rows.

    Examples
    --------
    Music for people with coronary heart disease, anxiety: SMD -0.70 [-1.17, -0.22], 10 trials (Bradt 2013,
    Cochrane CD006577).

    >>> import pandas as pd
    >>> printed = {"label": ["CD006577"], "estimate": [-0.70], "low": [-1.17], "high": [-0.22], "k": [10]}
    >>> layout = rows_layout(pd.DataFrame(printed), measure="SMD", columns=("k",), diamonds=("CD006577",))
    >>> [cell.text for cell in layout.rows[0].cells]
    ['CD006577', '10', '−0.70 [−1.17, −0.22]']
    """
    kind = measure_of(measure)
    look = readable(style_of(style), kind)
    check_level(level)
    records = _records(data, label, level)
    specs = _columns(columns, data, kind, look, level, head or capital(label))
    named = set(map(str, diamonds))
    mixed = any(r["label"] not in named for r in records)  # where all is pooled, nothing need stand out
    rows: list[Row] = []
    last: str | None = None
    for i, record in enumerate(records):
        if group is not None:
            value = str(data[group].iloc[i])
            if value != last:
                rows.append(Row("heading", 0, text=headline(value), bold=True, gap=0.3 if rows else 0.0))
                last = value
        pooled = record["label"] in named
        shape = "diamond" if pooled else "dot"
        mark = Mark(0, shape, record["estimate"], record["low"], record["high"])  # type: ignore[arg-type]
        cells = tuple(_cell(c, record, data, i, kind, look) for c in specs)
        indent = 0 if group is None else 1
        rows.append(
            Row(
                "pooled" if pooled else "study",
                0,
                cells,
                marks=(mark,),
                bold=pooled and look.bold_pooled and mixed,
                indent=indent,
                id=record["label"],
            )
        )
    panel = axis_panel(
        [m for r in rows for m in r.marks],
        measure=kind,
        style=look,
        xlim=xlim,
        pooled=() if reference is None else (float(reference),),
        favours=favours_words(kind, better, arms, look),
    )
    return ForestLayout(
        figure="forest plot of results",
        measure=kind.code,
        k=len(records),
        participants=math.nan,
        columns=specs,
        rows=numbered(rows),
        panels=(panel,),
        foot=tuple(foot),
        level=level,
        title=title,
        style=look,
    )


def _records(data: pd.DataFrame, label: str, level: float) -> list[dict[str, Any]]:
    have = [str(c) for c in data.columns]
    low, high = (next((c for c in names if c in have), "") for names in (_LOW, _HIGH))
    for need, found in ((label, label in have), ("estimate", "estimate" in have)):
        if not found:
            raise UsageError(f"the table has no column {need!r}; it has {', '.join(have)}")
    if not (low and high) and "se" not in have:
        raise UsageError("the table needs ci_low and ci_high, or se, beside the estimates")
    if not len(data):
        raise UsageError("the table has no rows; there is nothing to draw")
    z = normal_quantile(level)
    records = []
    for i in range(len(data)):
        point = float(data["estimate"].iloc[i])
        if low and high:
            ends = (float(data[low].iloc[i]), float(data[high].iloc[i]))
        else:
            half = z * float(data["se"].iloc[i])
            ends = (point - half, point + half)
        records.append(
            {"label": str(data[label].iloc[i]), "estimate": point, "low": ends[0], "high": ends[1]}
        )
    return records


def _columns(
    keys: Sequence[str], data: pd.DataFrame, measure: Measure, style: Style, level: float, head: str
) -> tuple[Column, ...]:
    missing = [k for k in keys if k not in data.columns]
    if missing:
        raise UsageError(
            f"the table has no column {missing[0]!r}; it has {', '.join(map(str, data.columns))}"
        )
    before, _, after = style.interval
    effect = f"{short_name(measure)} {before or '('}{level_words(level, style)}{after or ')'}"
    text = {k: any(isinstance(v, str) for v in data[k]) for k in keys}
    own = [
        Column(k, _HEADS.get(k, capital(k.replace("_", " "))), align="left" if text[k] else "right")
        for k in keys
    ]
    last = Column("effect", effect, side="right" if "effect" in style.right else "left")
    return (Column("study", head, align="left"), *own, last)


def _cell(
    column: Column, record: Mapping[str, Any], data: pd.DataFrame, i: int, measure: Measure, style: Style
) -> Cell:
    if column.key == "study":
        return Cell((record["label"],))
    if column.key == "effect":
        back = shown(measure)
        values = tuple(back(record[k]) for k in ("estimate", "low", "high"))
        point = number(values[0], style)
        return Cell((f"{point} " if point else "", *interval_parts(values[1], values[2], style)), values)
    value = data[column.key].iloc[i]
    if isinstance(value, str) or value is None:
        return Cell((value or "",))
    plain = float(value)
    if math.isnan(plain):
        return Cell(("",))
    if column.key == "tau2":
        most = max((abs(float(v)) for v in data[column.key] if v == v), default=0.0)
        places = (
            style.decimals if most == 0 else max(style.decimals, min(5, 1 - math.floor(math.log10(most))))
        )
        return Cell((number(plain, style, decimals=places),), (plain,))
    if column.key == "i2":
        return Cell((percent(plain, style, decimals=style.i2_decimals),), (plain,))
    if column.key == "pvalue":
        return Cell((p_value(plain, style).removeprefix(style.p_letter).lstrip(" ="),), (plain,))
    whole = all(float(v).is_integer() for v in data[column.key] if v == v)
    return Cell((count(plain, style) if whole else number(plain, style),), (plain,))


def cumulative_layout(
    data: pd.DataFrame,
    *,
    measure: Measure | str,
    label: str = "study",
    columns: Sequence[str] = ("k",),
    better: Better | None = None,
    arms: tuple[str, str] = ("music", "control"),
    level: float = 0.95,
    title: str = "",
    style: Style | StyleName = "plain",
) -> ForestLayout:
    """Lay out a cumulative meta-analysis: the pooled estimate as each study joins.

    Parameters
    ----------
    data : DataFrame
        As the cumulative analysis gives it: a row as each study joins, ``estimate``, limits or ``se``.
    measure, label, columns, better, arms, level, title, style
        As in :func:`rows_layout`.
    """
    have = tuple(c for c in columns if c in data.columns)
    frame = data.assign(**{label: [f"+ {v}" if i else str(v) for i, v in enumerate(data[label])]})
    layout = rows_layout(
        frame,
        measure=measure,
        label=label,
        columns=have,
        better=better,
        arms=arms,
        reference=float(data["estimate"].iloc[-1]) if len(data) else None,
        level=level,
        head="Study added",
        foot=(*_wald_words(data, level, style_of(style)), "Dotted line: estimate with all studies"),
        title=title,
        style=style,
    )
    return replace(layout, figure="cumulative forest plot")


def leave_one_out_layout(
    data: pd.DataFrame,
    overall: PooledLike,
    *,
    label: str = "study",
    columns: Sequence[str] = ("tau2", "i2"),
    sort: bool = False,
    better: Better | None = None,
    arms: tuple[str, str] = ("music", "control"),
    level: float = 0.95,
    title: str = "",
    style: Style | StyleName = "plain",
) -> ForestLayout:
    """Lay out a leave-one-out analysis: the pooled estimate without each study, and with all.

    Parameters
    ----------
    data : DataFrame
        Columns `label`, ``estimate``, limits or ``se``, and what else is to be printed.
    overall : pooled result
        Of all studies.
    sort : bool
        By the estimate.
    label, columns, better, arms, level, title, style
        As in :func:`rows_layout`.
    """
    import pandas as pd

    frame = data.sort_values("estimate", kind="stable") if sort else data
    low, high = overall.ci(level)
    all_words = f"All studies, {model_words(overall)[:1].lower()}{model_words(overall)[1:]}"
    records = _records(frame, label, level)
    kept = [c for c in columns if c in frame.columns]
    table = pd.DataFrame({k: [r[k] for r in records] for k in ("label", "estimate", "low", "high")})
    for c in kept:
        table[c] = list(frame[c])
    last: dict[str, Any] = {"label": all_words, "estimate": overall.estimate, "low": low, "high": high}
    last |= {c: getattr(overall, c) for c in kept if hasattr(overall, c)}
    table = pd.concat([table, pd.DataFrame([last])], ignore_index=True)
    layout = rows_layout(
        table,
        measure=overall.effects.measure,
        label="label",
        columns=kept,
        diamonds=(all_words,),
        better=better,
        arms=arms,
        reference=overall.estimate,
        level=level,
        head="Study left out",
        foot=_wald_words(data, level, style_of(style)),
        title=title,
        style=style,
    )
    return replace(layout, figure="leave-one-out forest plot", k=len(frame))


def _wald_words(data: pd.DataFrame, level: float, style: Style) -> tuple[str, ...]:
    if any(c in data.columns for c in _LOW):
        return ()
    z = number(normal_quantile(level), style)
    return (f"Intervals: estimate ± {z} standard errors",)


def compare_layout(
    results: Mapping[str, PooledLike],
    *,
    better: Better | None = None,
    arms: tuple[str, str] = ("music", "control"),
    level: float = 0.95,
    title: str = "",
    style: Style | StyleName = "plain",
) -> ForestLayout:
    """Lay out several results side by side: one panel each, studies matched by name.

    Parameters
    ----------
    results : mapping of str to pooled result
        Name of each panel and its result; of one measure. A study that a result lacks leaves its place free.
    better, arms, level, title, style
        As in :func:`forest_layout`.

    Raises
    ------
    UsageError
        For fewer than two results, different measures, or a study that stands twice in one result.
    """
    look = style_of(style)
    if len(results) < 2:
        raise UsageError("compare_layout draws two results or more; forest_layout draws one")
    frames = {n: Frame.of(r, arms=arms, level=check_level(level), style=look) for n, r in results.items()}
    measures = {f.measure.code for f in frames.values()}
    if len(measures) > 1:
        raise UsageError(f"results of different measures ({', '.join(sorted(measures))}) share no axis")
    for name, frame in frames.items():
        double = [s for s in frame.effects.study if frame.effects.study.count(s) > 1]
        if double:
            raise UsageError(f"{name}: {double[0]} stands twice, so its rows cannot be matched by name")
    studies = list(dict.fromkeys(s for f in frames.values() for s in f.effects.study))
    measure = next(iter(frames.values())).measure
    columns = (
        Column("study", "Study", align="left"),
        *(
            Column(f"effect {n}", f"{short_name(measure)} [{_kind(r, level, look)}]", group=n, side="right")
            for n, r in results.items()
        ),
    )
    rows = [_matched(study, frames) for study in studies]
    rows.append(_pooled_row(results, frames, look))
    panels = tuple(
        _own_panel(j, n, rows, measure, look, results, better, arms) for j, n in enumerate(results)
    )
    placed = numbered(rows)
    numbers = [(f"{n}: {k}", float(v)) for n, r in results.items() for k, v in _three(r, level)]
    return ForestLayout(
        figure="forest plots side by side",
        measure=measure.code,
        k=len(studies),
        participants=math.nan,
        columns=columns,
        rows=placed,
        panels=_one_axis(panels),
        foot=tuple(_model_line(n, r, level, look) for n, r in results.items()),
        summary=tuple(numbers),
        model="; ".join(dict.fromkeys(model_words(r) for r in results.values())),
        level=level,
        title=title,
        style=look,
    )


def _kind(result: PooledLike, level: float, style: Style) -> str:
    """Name the interval: credible for a posterior."""
    words = level_words(level, style)
    return words.replace("CI", "CrI") if is_bayesian(result) else words


def _model_line(name: str, result: PooledLike, level: float, style: Style) -> str:
    """Say by which model and interval a panel was pooled; a panel called as its model is not named twice."""
    percent_words = level_words(level, style, interval=False)
    how = (
        f"{percent_words} credible interval"
        if is_bayesian(result)
        else f"{level_words(level, style)} by {result.ci_method}"
    )
    words = model_words(result)
    return f"{words}: {how}" if words.casefold() == name.casefold() else f"{name}: {words}, {how}"


def _three(result: PooledLike, level: float) -> tuple[tuple[str, float], ...]:
    low, high = result.ci(level)
    return (("estimate", result.estimate), ("low", low), ("high", high))


def _matched(study: str, frames: Mapping[str, Frame]) -> Row:
    cells, marks = [Cell((study,))], []
    for j, frame in enumerate(frames.values()):
        if study not in frame.effects.study:
            cells.append(Cell())
            continue
        i = frame.effects.study.index(study)
        low, high = frame.study_interval(i)
        y = float(frame.effects.yi[i])
        cells.append(frame.effect_cell(Column("effect"), y, low, high))
        marks.append(Mark(j, "square", y, low, high, share=frame.weights[i] / max(frame.weights)))
    return Row("study", 0, tuple(cells), marks=tuple(marks), id=study)


def _pooled_row(results: Mapping[str, PooledLike], frames: Mapping[str, Frame], style: Style) -> Row:
    cells, marks = [Cell((style.total or "Pooled",))], []
    for j, (name, result) in enumerate(results.items()):
        low, high = result.ci(frames[name].level)
        cells.append(frames[name].effect_cell(Column("effect"), float(result.estimate), low, high))
        marks.append(Mark(j, "diamond", float(result.estimate), float(low), float(high)))
    return Row("pooled", 0, tuple(cells), marks=tuple(marks), bold=style.bold_pooled, gap=0.35)


def _own_panel(
    j: int,
    name: str,
    rows: Sequence[Row],
    measure: Measure,
    style: Style,
    results: Mapping[str, PooledLike],
    better: Better | None,
    arms: tuple[str, str],
) -> Panel:
    marks = [m for r in rows for m in r.marks]  # of all panels, so that all have one axis
    return axis_panel(
        marks,
        measure=measure,
        style=style,
        pooled=(float(results[name].estimate),),
        favours=favours_words(measure, better, arms, style),
        header=name,
    )


def _one_axis(panels: tuple[Panel, ...]) -> tuple[Panel, ...]:
    """Give all panels the limits that hold every pooled line."""
    low, high = min(p.low for p in panels), max(p.high for p in panels)
    return tuple(replace(p, low=low, high=high) for p in panels)
