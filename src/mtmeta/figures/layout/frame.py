"""The effects of a forest plot written out: what stands in each column of each row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.figures.layout.axes import Better, axis_panel, favours_words, normal_quantile, several, t_curve
from mtmeta.figures.layout.base import capital, count, interval_parts, number, percent
from mtmeta.figures.layout.lights import RobTable
from mtmeta.figures.layout.protocols import (
    PooledLike,
    is_bayesian,
    is_random,
    model_words,
    predicts,
    short_name,
    shown,
)
from mtmeta.figures.layout.table import Cell, Column, ForestLayout, Mark, Row, numbered
from mtmeta.figures.layout.words import heterogeneity_words, level_words, overall_words, tested
from mtmeta.figures.style import Style
from mtmeta.measures import Measure

__all__ = ["ColumnLike", "Frame", "Prediction", "lower", "summary_numbers"]

Prediction = Literal["bar", "shade", "density", "none"]
ColumnLike = str | Column

_ARM = {"a": 0, "m1": 0, "sd1": 0, "n1": 0, "events1": 0, "c": 1, "m2": 1, "sd2": 1, "n2": 1, "events2": 1}
_HEADS = {
    "study": "Study",
    "a": "Events",
    "c": "Events",
    "events1": "n/N",
    "events2": "n/N",
    "m1": "Mean",
    "m2": "Mean",
    "sd1": "SD",
    "sd2": "SD",
    "n1": "n",
    "n2": "n",
    "n": "n",
    "weight": "Weight",
    "se": "SE",
}
_COUNTS = ("n", "n1", "n2", "a", "c")


def readable(style: Style, measure: Measure) -> Style:
    """Return the style with "to" between limits where a dash could stand beside a minus sign."""
    before, between, after = style.interval
    if between in ("–", "-") and not measure.is_ratio:
        return replace(style, interval=(before, " to ", after))
    return style


def lower(text: str) -> str:
    """Return a model's name as inside a sentence: names of people keep their capitals."""
    plain = text.startswith(("Random", "Common", "Multilevel"))
    return text[:1].lower() + text[1:] if plain else text


@dataclass(frozen=True)
class Frame:
    """The effects of one plot with everything needed to write them: measure, weights, style."""

    effects: EffectSizes
    measure: Measure
    weights: tuple[float, ...]
    arms: tuple[str, str]
    level: float
    style: Style
    rob: RobTable | None = None
    tables: tuple[Any, ...] = ()
    _known: dict[str, Sequence[Any] | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        result: PooledLike,
        *,
        arms: tuple[str, str],
        level: float,
        style: Style,
        rob: RobTable | None = None,
    ) -> Frame:
        """Take the effects and weights of a result."""
        effects = result.effects
        weights = tuple(float(w) for w in np.asarray(result.weights, dtype=np.float64))
        tables = tuple(t for t in (effects.columns, effects.moderators) if t is not None)
        look = readable(style, effects.measure)
        return cls(effects, effects.measure, weights, arms, level, look, rob, tables)

    # ---- data -------------------------------------------------------------------------------

    def series(self, key: str) -> Sequence[Any] | None:
        """Values of a column over the studies; None where the effects do not carry it."""
        if key not in self._known:
            self._known[key] = self._series(key)
        return self._known[key]

    def _series(self, key: str) -> Sequence[Any] | None:
        effects = self.effects
        if key in ("n", "n1", "n2") and getattr(effects, key) is not None:
            return [float(v) for v in getattr(effects, key)]
        if key == "weight":
            return [100.0 * w for w in self.weights]
        if key == "study":
            labels = self._carried("label")
            return [str(s) for s in (labels if labels is not None else effects.study)]
        if key in ("effect", "estimate", "interval"):
            return [float(v) for v in effects.yi]
        if key == "se":
            return [math.sqrt(float(v)) for v in effects.vi]
        if key in ("events1", "events2"):
            events, total = ("a", "n1") if key == "events1" else ("c", "n2")
            top, bottom = self._carried(events), self.series(total)
            return None if top is None or bottom is None else list(zip(top, bottom, strict=True))
        return self._carried(key)

    def _carried(self, key: str) -> list[Any] | None:
        return next((list(t[key]) for t in self.tables if key in t.columns), None)

    def order(self, sort: str | None) -> list[int]:
        """Row order for a sort key."""
        rows = list(range(len(self.effects.study)))
        if sort is None:
            return rows
        key, downwards = sort.removeprefix("-"), sort.startswith("-")
        values = self.series(key)
        if values is None:
            raise UsageError(f"sort={sort!r} names no column; use estimate, weight, study{self._also()}")
        return sorted(rows, key=lambda i: _sortable(values[i]), reverse=downwards)

    def _also(self) -> str:
        carried = [str(c) for t in self.tables for c in t.columns]
        return f" or {', '.join(dict.fromkeys(carried))}" if carried else ""

    # ---- columns ----------------------------------------------------------------------------

    def columns(
        self, left: Sequence[ColumnLike] | None, right: Sequence[ColumnLike] | None
    ) -> tuple[Column, ...]:
        """Columns with headers, groups and sides; the style's own lose what has no data."""
        made: list[Column] = []
        for side, given, usual in (("left", left, self.style.left), ("right", right, self.style.right)):
            wanted = self._usual(usual) if given is None else tuple(given)
            made += [replace(self._column(c), side=side) for c in wanted]  # type: ignore[arg-type]
        keys = [c.key for c in made]
        double = sorted({k for k in keys if keys.count(k) > 1})
        if double:
            raise UsageError(f"column {double[0]!r} is asked for twice; name it on one side only")
        return tuple(made)

    def _usual(self, keys: Sequence[str]) -> tuple[str, ...]:
        present = [k for k in keys if self.series(k) is not None]
        both = "n1" in present and "n2" in present and not self._arms_unknown()
        fractions = "events1" in present and "events2" in present
        drop = {"n"} if both else {"n1", "n2"}
        return tuple(k for k in present if k not in (drop | ({"n1", "n2"} if fractions else set())))

    def _arms_unknown(self) -> bool:
        """Whether a source tells the participants of both arms together only."""
        n1, n2, n = self.effects.n1, self.effects.n2, self.effects.n
        if n1 is None or n2 is None or n is None:
            return False
        return bool((np.isnan(n1) | np.isnan(n2)).any() and not np.isnan(n).any())

    def _column(self, column: ColumnLike) -> Column:
        spec = column if isinstance(column, Column) else Column(column)
        values = self.series(spec.key)
        if values is None:
            raise UsageError(
                f"column {spec.key!r} is not among the data of these effects; use study, n, n1, n2, effect, "
                f"weight{self._also()}"
            )
        group = spec.group or (capital(self.arms[_ARM[spec.key]]) if spec.key in _ARM else "")
        text = spec.key == "study" or any(isinstance(v, str) for v in values)
        align = "left" if text and not isinstance(column, Column) else spec.align
        return replace(spec, header=spec.header or self._header(spec.key), group=group, align=align)

    def _header(self, key: str) -> str:
        named = dict(self.style.headers)
        if key in named:
            return named[key]
        if key in ("effect", "estimate"):
            name = short_name(self.measure)
            return f"{name} {self._bracketed()}" if key == "effect" else name
        if key == "interval":
            return level_words(self.level, self.style)
        return _HEADS.get(key, capital(key.replace("_", " ")))

    def _bracketed(self) -> str:
        before, _, after = self.style.interval
        return f"{before or '('}{level_words(self.level, self.style)}{after or ')'}"

    # ---- rows -------------------------------------------------------------------------------

    def cell(self, column: Column, i: int) -> Cell:
        """Return what one study has in one column."""
        key, style = column.key, self.style
        if key in ("effect", "estimate", "interval"):
            low, high = self.study_interval(i)
            return self.effect_cell(column, float(self.effects.yi[i]), low, high)
        values = self.series(key)
        assert values is not None  # columns() has checked
        value = values[i]
        if key == "weight":
            return self.weight_cell(value)
        if key in ("events1", "events2"):
            top, bottom = float(value[0]), float(value[1])
            return Cell((f"{count(top, style)}/", count(bottom, style)), (top, bottom))
        if isinstance(value, str) or value is None:
            return Cell((value or "",))
        plain = float(value)
        if math.isnan(plain):
            return Cell(("",))
        whole = key in _COUNTS or (column.decimals is None and all(_whole(v) for v in values))
        if whole and column.decimals is None:
            return Cell((count(plain, style),), (plain,))
        return Cell((number(plain, style, decimals=column.decimals),), (plain,))

    def weight_cell(self, value: float) -> Cell:
        """Return a weight in percent, with its sign where the style wants it in each row."""
        style = self.style
        bare = number(value, style, decimals=style.weight_decimals)
        return Cell((percent(value, style) if style.weight_sign else bare,), (value,))

    def effect_cell(self, column: Column, estimate: float, low: float, high: float) -> Cell:
        """Estimate and limits on the printed scale, as the style writes them."""
        back, style, d = shown(self.measure), self.style, column.decimals
        values = tuple(back(x) for x in (estimate, low, high))
        point = number(values[0], style, decimals=d)
        limits = interval_parts(values[1], values[2], style, decimals=d)
        if column.key == "estimate":
            return Cell((point,), values[:1])
        if column.key == "interval":
            return Cell(limits, values[1:])
        return Cell((f"{point} " if point else "", *limits), values)

    def study_interval(self, i: int) -> tuple[float, float]:
        """Wald limits of one study on the scale of analysis."""
        y, half = (
            float(self.effects.yi[i]),
            normal_quantile(self.level) * math.sqrt(float(self.effects.vi[i])),
        )
        return (y - half, y + half)

    def study_row(self, i: int, columns: Sequence[Column], *, indent: int = 0) -> Row:
        """One study."""
        low, high = self.study_interval(i)
        share = self.weights[i] / max(self.weights)
        mark = Mark(0, "square", float(self.effects.yi[i]), low, high, share=share)
        lights = self.rob.lights(self.effects.study[i]) if self.rob is not None else ()
        cells = tuple(self.cell(c, i) for c in columns)
        return Row("study", 0, cells, marks=(mark,), lights=lights, indent=indent, id=self.effects.study[i])

    def pooled_rows(
        self,
        fit: PooledLike,
        columns: Sequence[Column],
        *,
        prediction: Prediction = "bar",
        gap: float = 0.0,
        label: str = "",
        members: Sequence[int] | None = None,
        indent: int = 0,
    ) -> list[Row]:
        """Return the diamond's row and, where there is one, the prediction interval's.

        `members` are the positions of the fit's effects among those of the plot (all by default).
        """
        low, high = (float(x) for x in fit.ci(self.level))
        mark = Mark(0, "diamond", float(fit.estimate), low, high)
        own = range(len(self.effects.study)) if members is None else members
        cells = [self.summary_cell(c, fit, label or model_words(fit), own) for c in columns]
        bold = self.style.bold_pooled
        rows = [Row("pooled", 0, tuple(cells), marks=(mark,), bold=bold, gap=gap, indent=indent)]
        if prediction in ("bar", "shade", "density") and predicts(fit):
            rows.append(self.prediction_row(fit, columns, prediction))
        return rows

    def summary_cell(self, column: Column, fit: PooledLike, words: str, members: Sequence[int]) -> Cell:
        """Return what a pooled row has in one column: sums of people, events and weight, the estimate."""
        if column.key == "study":
            return Cell((words,))
        if column.key in ("effect", "estimate", "interval"):
            low, high = (float(x) for x in fit.ci(self.level))
            return self.effect_cell(column, float(fit.estimate), low, high)
        if column.key == "weight":
            total = 100.0 * math.fsum(self.weights[i] for i in members)
            return self.weight_cell(total)
        if column.key not in _COUNTS and column.key not in ("events1", "events2"):
            return Cell()
        values = self.series(column.key)
        assert values is not None  # columns() has checked
        own = [values[i] for i in members]
        if column.key in ("events1", "events2"):
            top, bottom = (math.fsum(float(v[j]) for v in own) for j in (0, 1))
            return Cell((f"{count(top, self.style)}/", count(bottom, self.style)), (top, bottom))
        total = math.fsum(float(v) for v in own)
        return Cell() if math.isnan(total) else Cell((count(total, self.style),), (total,))

    def prediction_row(self, fit: PooledLike, columns: Sequence[Column], how: Prediction) -> Row:
        """Row of the prediction interval: no point, two limits."""
        low, high = (float(x) for x in fit.pi(self.level))
        back = shown(self.measure)
        label = f"{level_words(self.level, self.style, interval=False)} prediction interval"
        cells = []
        for c in columns:
            if c.key == "study":
                cells.append(Cell((label,)))
            elif c.key in ("effect", "interval"):
                limits = interval_parts(back(low), back(high), self.style, decimals=c.decimals)
                lead = ("",) if c.key == "effect" else ()
                cells.append(Cell((*lead, *limits), (back(low), back(high))))
            else:
                cells.append(Cell())
        shape: Literal["bar", "density", "none"] = "bar" if how == "bar" else "none"
        curve: tuple[tuple[float, float], ...] = ()
        if how == "density":
            shape, curve = "density", t_curve(float(fit.estimate), low, high, self.level, fit.effects.k - 1)
        mark = Mark(0, shape, float(fit.estimate), low, high, curve=curve)
        return Row("prediction", 0, tuple(cells), marks=(mark,))

    # ---- words and axis ---------------------------------------------------------------------

    def foot(self, results: Sequence[PooledLike]) -> tuple[str, ...]:
        """Heterogeneity and test of each result; with several, each says which model it is."""
        several_fits = len(results) > 1
        random = [fit for fit in results if is_random(fit)]
        lines: list[str] = []
        for j, fit in enumerate(random or results[:1]):
            words = heterogeneity_words(fit, self.style, statistic=j == 0 or not is_bayesian(fit))
            lines.append(words.replace(":", f", {lower(model_words(fit))}:", 1) if len(random) > 1 else words)
        for fit in results:
            words = overall_words(fit, self.style, level=self.level)
            lines.append(words.replace(":", f", {lower(model_words(fit))}:", 1) if several_fits else words)
        weighed = any(key == "weight" for key in (*self.style.left, *self.style.right))
        if several_fits and weighed:
            lines.append(f"Weights and areas of squares: {lower(model_words(results[0]))}")
        idle = results[0].k - len(self.effects.study)
        if idle:
            lines.append(f"Without events and without weight: {idle} {'study' if idle == 1 else 'studies'}")
        return tuple(dict.fromkeys(lines))

    def mid_words(self, mid: float | Sequence[float]) -> tuple[str, ...]:
        """Say what the dashed line is."""
        values = several(mid)
        shown_values = " and ".join(number(float(v), self.style) for v in values)
        name = "difference" if len(values) == 1 else "differences"
        return (f"Dashed line: minimal important {name} {shown_values}",) if values else ()

    def finish(
        self,
        rows: Sequence[Row],
        columns: tuple[Column, ...],
        results: Sequence[PooledLike],
        *,
        foot: tuple[str, ...],
        extra: tuple[tuple[str, float], ...] = (),
        better: Better | None,
        mid: float | Sequence[float],
        xlim: tuple[float, float] | None,
        prediction: Prediction,
        title: str,
    ) -> ForestLayout:
        """Give rows their numbers, make the axis and put the layout together."""
        placed = numbered(rows)
        main = results[0]
        shade: tuple[float, ...] = ()
        if prediction == "shade" and predicts(main):
            shade = tuple(float(x) for x in main.pi(self.level))
        panel = axis_panel(
            [m for r in placed for m in r.marks],
            measure=self.measure,
            style=self.style,
            xlim=xlim,
            mid=mid,
            pooled=(float(main.estimate),),
            shade=shade,
            favours=favours_words(self.measure, better, self.arms, self.style),
        )
        sizes = self.effects.n
        return ForestLayout(
            measure=self.measure.code,
            k=len(self.effects.study),
            participants=float(np.sum(sizes)) if sizes is not None else math.nan,
            columns=columns,
            rows=placed,
            panels=(panel,),
            foot=foot if self.rob is None else (*foot, self.rob.key()),
            domains=() if self.rob is None else self.rob.heads(),
            legend=() if self.rob is None else self.rob.legend(),
            summary=(*summary_numbers(main, self.level), *extra),
            model=model_words(main),
            ci_method=main.ci_method,
            level=self.level,
            title=title,
            style=self.style,
        )


def summary_numbers(fit: PooledLike, level: float) -> tuple[tuple[str, float], ...]:
    """Return the pooled numbers a figure shows, by name, on the scale of analysis."""
    low, high = fit.ci(level)
    pairs = [("estimate", fit.estimate), ("low", low), ("high", high), ("se", fit.se)]
    if predicts(fit):
        pi_low, pi_high = fit.pi(level)
        pairs += [("pi_low", pi_low), ("pi_high", pi_high)]
    pairs += [
        ("tau2", fit.tau2),
        ("i2", fit.i2),
        ("q", fit.q),
        ("q_df", fit.q_df),
        ("q_pvalue", fit.q_pvalue),
    ]
    if tested(fit):
        pairs += [("statistic", fit.statistic), ("df", fit.df), ("pvalue", fit.pvalue)]
    return tuple((name, float(value)) for name, value in pairs)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) or (
        isinstance(value, (float, np.floating)) and (math.isnan(value) or float(value).is_integer())
    )


def _sortable(value: Any) -> tuple[int, float, str]:
    if isinstance(value, str):
        return (1, 0.0, value.casefold())
    if isinstance(value, tuple):
        return (0, float(value[0]), "")
    if value is None or math.isnan(float(value)):
        return (2, 0.0, "")
    return (0, float(value), "")
