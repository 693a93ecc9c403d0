"""Figures: a result becomes a layout (data), a layout becomes ink.

The names below are loaded when first used, so that layouts and styles never load matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtmeta.figures.api import forest, funnel
    from mtmeta.figures.files import save
    from mtmeta.figures.layout.forest import forest_layout
    from mtmeta.figures.layout.funnel import funnel_layout
    from mtmeta.figures.layout.table import Column, ForestLayout
    from mtmeta.figures.layout.words import alt_text, caption
    from mtmeta.figures.style import STYLES, Style

__all__ = [
    "STYLES",
    "Column",
    "ForestLayout",
    "Style",
    "alt_text",
    "caption",
    "forest",
    "forest_layout",
    "funnel",
    "funnel_layout",
    "save",
]

_HOME = {
    "STYLES": "style",
    "Column": "layout.table",
    "ForestLayout": "layout.table",
    "Style": "style",
    "alt_text": "layout.words",
    "caption": "layout.words",
    "forest": "api",
    "forest_layout": "layout.forest",
    "funnel": "api",
    "funnel_layout": "layout.funnel",
    "save": "files",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
