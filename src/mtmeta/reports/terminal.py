"""A forest plot in characters, for a terminal, a mail or a log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mtmeta.measures import Interval
from mtmeta.reports.words import estimate_ci

if TYPE_CHECKING:
    from mtmeta.models.pool import PoolResult

__all__ = ["forest_text"]


def forest_text(result: PoolResult, *, width: int = 78, level: float = 0.95) -> str:
    """Return the forest plot of a pooled result as text.

    Parameters
    ----------
    result : PoolResult
    width : int, default 78
        Characters of a line; at least 60.
    level : float, default 0.95
        Of the intervals.

    Returns
    -------
    str
        One line an effect, then the pooled one; ``■`` an estimate, ``◆`` the pooled one, ``|`` no effect, and
        ``<`` or ``>`` where an interval leaves the panel.

    Examples
    --------
    BCG vaccine, 13 trials: relative risk 0.49 [0.34, 0.70] (Viechtbauer 2010, J Stat Softw 36(3), p. 21).

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.pool import RandomEffects
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> text = forest_text(RandomEffects(ci="Wald").fit(EffectSizes.of(y, v, measure="RR")), width=60)
    >>> print(text.splitlines()[-1])
    pooled, k = 13           ├─◆─┤ │           0.49 [0.34, 0.70]
    """
    es = result.effects
    back, null = es.measure.back, 0.0
    labels = [
        str(x) for x in (es.study if es.columns is None or "label" not in es.columns else es.columns["label"])
    ]
    q = _quantile(level)
    rows = [
        (name, float(y), y - q * v**0.5, y + q * v**0.5, "■")
        for name, y, v in zip(labels, es.yi, es.vi, strict=True)
    ]
    ci = result.ci(level)
    rows.append((f"pooled, k = {es.k}", result.estimate, ci.low, ci.high, "◆"))
    told = [estimate_ci(back(y), Interval(back(low), back(high))) for _, y, low, high, _ in rows]
    name_width = min(26, max(len(row[0]) for row in rows))
    panel = max(15, width - name_width - max(map(len, told)) - 4)
    low, high = _limits([row[1:4] for row in rows], null)

    def column(x: float) -> int:
        return round((x - low) / (high - low) * (panel - 1))

    lines = []
    for (name, y, lower, upper, mark), text in zip(rows, told, strict=True):
        cells = [" "] * panel
        first, last = max(0, column(lower)), min(panel - 1, column(upper))
        for i in range(first, last + 1):
            cells[i] = "─"
        if 0 <= column(null) < panel:
            cells[column(null)] = "┼" if first <= column(null) <= last else "│"
        cells[first] = "<" if column(lower) < 0 else "├"
        cells[last] = ">" if column(upper) > panel - 1 else "┤"
        cells[min(panel - 1, max(0, column(y)))] = mark
        lines.append(
            f"{_short(name, name_width):<{name_width}}  {''.join(cells)}  {text:>{max(map(len, told))}}"
        )
    return "\n".join(lines)


def _quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def _limits(rows: list[tuple[float, float, float]], null: float) -> tuple[float, float]:
    """Return a panel that holds every estimate, twice as wide as their range."""
    ys = [row[0] for row in rows]
    spread = max(max(ys) - min(ys), 2 * min(high - low for _, low, high in rows), math.ulp(1.0))
    middle = (max(ys) + min(ys)) / 2
    low = max(min(row[1] for row in rows), middle - spread)
    high = min(max(row[2] for row in rows), middle + spread)
    return min(low, null), max(high, null)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
