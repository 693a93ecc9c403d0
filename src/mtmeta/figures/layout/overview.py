"""Pictures of a whole review: evidence gap map, risk-of-bias table and summary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtmeta.figures.layout.base import count, percent
from mtmeta.figures.layout.lights import RobTable, tally
from mtmeta.figures.layout.plot import (
    Axis,
    Cells,
    Layer,
    PlotLayout,
    Points,
    floats,
    named_axis,
    need_columns,
)
from mtmeta.figures.layout.table import Cell, Column, ForestLayout, Row, numbered
from mtmeta.figures.style import Style, StyleName, style_of
from mtmeta.measures import check_choice

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CERTAINTY", "gap_map_layout", "rob_summary_layout", "traffic_light_layout"]

# GRADE's four levels from sure to unsure, and what was never rated; dark to light, which grey print keeps
CERTAINTY: dict[str, str] = {
    "high": "#08519C",
    "moderate": "#3182BD",
    "low": "#85B8DC",
    "very low": "#D0E2F2",
    "not rated": "#FFFFFF",
}


def gap_map_layout(
    data: pd.DataFrame,
    *,
    rows: str = "condition",
    columns: str = "approach",
    size: str = "participants",
    studies: str = "studies",
    certainty: str = "certainty",
    row_order: Sequence[str] = (),
    column_order: Sequence[str] = (),
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out an evidence gap map: a circle a cell, its area by participants, its colour by certainty.

    Parameters
    ----------
    data : DataFrame
        A row a cell that has evidence; cells that do not occur stay empty, which is what the map is for.
    rows, columns, size, studies, certainty : str
        Columns of the table: what stands down and across, participants, number of studies (printed in the
        circle), and GRADE certainty ("high" to "very low", "not rated").
    row_order, column_order : sequence of str
        Orders; names without evidence are kept, so that gaps show. Else in order of appearance.
    title, style
        As everywhere.

    Raises
    ------
    UsageError
        For a table without these columns or rows, or an unknown certainty.
    """
    need_columns(data, rows, columns, size, studies, certainty)
    look = style_of(style)
    down = tuple(dict.fromkeys([*row_order, *(str(v) for v in data[rows])]))
    across = tuple(dict.fromkeys([*column_order, *(str(v) for v in data[columns])]))
    biggest = max(floats(data[size]))
    layers: list[Layer] = []
    for level, tone in CERTAINTY.items():
        part = data[[str(v).lower() == level for v in data[certainty]]]
        if len(part):
            layers.append(
                Points(
                    tuple(float(across.index(str(v))) for v in part[columns]),
                    tuple(float(down.index(str(v))) for v in part[rows]),
                    area=tuple(3.2 + 16.0 * v / biggest for v in floats(part[size])),
                    tone=tone,
                    name=f"{level} certainty" if level != "not rated" else level,
                    inner=tuple(count(v, look) for v in floats(part[studies])),
                    rim=True,
                )
            )
    for value in data[certainty]:
        check_choice("certainty", str(value).lower(), tuple(CERTAINTY))
    people = count(biggest, look)
    return PlotLayout(
        figure="evidence gap map",
        x=named_axis(across, grid=True),
        y=named_axis(down, flip=True, grid=True),
        layers=tuple(layers),
        summary=(("cells", float(len(down) * len(across))), ("cells with evidence", float(len(data)))),
        title=title,
        foot=(f"Numbers: studies. Areas grow with participants; the largest circle has {people}",),
        width=16.0 + 9.0 * len(across),
        height=6.0 + 4.6 * len(down),
        style=look,
    )


def traffic_light_layout(
    table: RobTable, *, title: str = "", style: Style | StyleName = "plain"
) -> ForestLayout:
    """Lay out the judgements of each study, a light a domain.

    Parameters
    ----------
    table : RobTable
    title, style
        As everywhere.
    """
    look = style_of(style)
    rows = [
        Row("study", i, (Cell((study,)),), lights=table.lights(study), id=study)
        for i, study in enumerate(table.studies)
    ]
    return ForestLayout(
        figure="risk of bias",
        measure="GEN",
        k=len(rows),
        participants=math.nan,
        columns=(Column("study", "Study", align="left"),),
        rows=numbered(rows),
        panels=(),
        foot=(table.key(),),
        domains=table.heads(),
        legend=table.legend(),
        title=title,
        style=look,
    )


def rob_summary_layout(
    table: RobTable,
    *,
    weights: Sequence[float] | None = None,
    title: str = "",
    style: Style | StyleName = "plain",
) -> PlotLayout:
    """Lay out the share of studies with each judgement, a bar a domain.

    Parameters
    ----------
    table : RobTable
    weights : sequence of float, optional
        Of the studies, such as their weights in the pooled estimate; each counts the same by default.
    title, style
        As everywhere.
    """
    look = style_of(style)
    shares = tally(table, weights)
    layers: list[Layer] = []
    for i, (sign, tone, words) in enumerate(table.legend()):
        left = tuple(100.0 * math.fsum(row[:i]) for row in shares)
        right = tuple(100.0 * math.fsum(row[: i + 1]) for row in shares)
        places = tuple(float(j) for j in range(len(shares)))
        text = tuple(percent(100.0 * row[i], look, decimals=0) if row[i] > 0 else "" for row in shares)
        some = [j for j, row in enumerate(shares) if row[i] > 0]
        layers.append(
            Cells(
                tuple(left[j] for j in some),
                tuple(right[j] for j in some),
                tuple(places[j] + 0.36 for j in some),
                tuple(places[j] - 0.36 for j in some),
                (1.0,) * len(some),
                tone=tone,
                text=tuple(text[j] for j in some),
                edge=True,
                name=f"{words} ({sign})",
            )
        )
    judged = "studies weighted" if weights is not None else "studies"
    ticks = (0.0, 25.0, 50.0, 75.0, 100.0)
    return PlotLayout(
        figure="risk of bias summary",
        x=Axis(
            0.0, 100.0, ticks, ticks, tuple(percent(t, look, decimals=0) for t in ticks), f"Share of {judged}"
        ),
        y=named_axis(table.names(), flip=True),
        layers=tuple(layers),
        summary=(("studies", float(len(table.studies))),),
        title=title,
        foot=(f"{table.tool}, {len(table.studies)} studies",),
        width=58.0,
        height=5.5 + 2.3 * len(table.domains),
        style=look,
    )
