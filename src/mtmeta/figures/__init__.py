"""Figures: a result becomes a layout (data), a layout becomes ink.

The names below are loaded when first used, so that layouts and styles never load matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtmeta.figures.api import draw_layout, forest, funnel
    from mtmeta.figures.files import save
    from mtmeta.figures.layout.base import differences
    from mtmeta.figures.layout.curves import dose_response_layout, p_curve_layout, tau2_profile_layout
    from mtmeta.figures.layout.flow import FlowBox, prisma_layout
    from mtmeta.figures.layout.forest import forest_layout
    from mtmeta.figures.layout.funnel import funnel_layout
    from mtmeta.figures.layout.influence import baujat_layout, gosh_layout, influence_layout
    from mtmeta.figures.layout.lights import RobTable
    from mtmeta.figures.layout.multiverse import specification_layout
    from mtmeta.figures.layout.overview import gap_map_layout, rob_summary_layout, traffic_light_layout
    from mtmeta.figures.layout.pages import forest_pages
    from mtmeta.figures.layout.posterior import (
        bayes_forest_layout,
        posterior_layout,
        prior_posterior_layout,
        shrinkage_layout,
    )
    from mtmeta.figures.layout.precision import (
        caterpillar_layout,
        drapery_layout,
        labbe_layout,
        orchard_layout,
        radial_layout,
        rainforest_layout,
    )
    from mtmeta.figures.layout.regression import bubble_layout
    from mtmeta.figures.layout.rows import (
        compare_layout,
        cumulative_layout,
        leave_one_out_layout,
        rows_layout,
    )
    from mtmeta.figures.layout.table import Column, ForestLayout
    from mtmeta.figures.layout.words import alt_text, caption
    from mtmeta.figures.style import STYLES, Style

__all__ = [
    "STYLES",
    "Column",
    "FlowBox",
    "ForestLayout",
    "RobTable",
    "Style",
    "alt_text",
    "baujat_layout",
    "bayes_forest_layout",
    "bubble_layout",
    "caption",
    "caterpillar_layout",
    "compare_layout",
    "cumulative_layout",
    "differences",
    "dose_response_layout",
    "drapery_layout",
    "draw_layout",
    "forest",
    "forest_layout",
    "forest_pages",
    "funnel",
    "funnel_layout",
    "gap_map_layout",
    "gosh_layout",
    "influence_layout",
    "labbe_layout",
    "leave_one_out_layout",
    "orchard_layout",
    "p_curve_layout",
    "posterior_layout",
    "prior_posterior_layout",
    "prisma_layout",
    "radial_layout",
    "rainforest_layout",
    "rob_summary_layout",
    "rows_layout",
    "save",
    "shrinkage_layout",
    "specification_layout",
    "tau2_profile_layout",
    "traffic_light_layout",
]

_HOME = {
    "Column": "layout.table",
    "FlowBox": "layout.flow",
    "ForestLayout": "layout.table",
    "RobTable": "layout.lights",
    "STYLES": "style",
    "Style": "style",
    "alt_text": "layout.words",
    "baujat_layout": "layout.influence",
    "bayes_forest_layout": "layout.posterior",
    "bubble_layout": "layout.regression",
    "caption": "layout.words",
    "caterpillar_layout": "layout.precision",
    "compare_layout": "layout.rows",
    "cumulative_layout": "layout.rows",
    "differences": "layout.base",
    "dose_response_layout": "layout.curves",
    "drapery_layout": "layout.precision",
    "draw_layout": "api",
    "forest": "api",
    "forest_layout": "layout.forest",
    "forest_pages": "layout.pages",
    "funnel": "api",
    "funnel_layout": "layout.funnel",
    "gap_map_layout": "layout.overview",
    "gosh_layout": "layout.influence",
    "influence_layout": "layout.influence",
    "labbe_layout": "layout.precision",
    "leave_one_out_layout": "layout.rows",
    "orchard_layout": "layout.precision",
    "p_curve_layout": "layout.curves",
    "posterior_layout": "layout.posterior",
    "prior_posterior_layout": "layout.posterior",
    "prisma_layout": "layout.flow",
    "radial_layout": "layout.precision",
    "rainforest_layout": "layout.precision",
    "rob_summary_layout": "layout.overview",
    "rows_layout": "layout.rows",
    "save": "files",
    "shrinkage_layout": "layout.posterior",
    "specification_layout": "layout.multiverse",
    "tau2_profile_layout": "layout.curves",
    "traffic_light_layout": "layout.overview",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
