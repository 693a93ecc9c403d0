"""A report as one HTML page: no network, no other file, and no script but its own.

The content-security policy allows one stylesheet and one script, each by the hash of its text. Jinja2 escapes
every string; the only markup that passes is that of figures, which :mod:`mtmeta.reports.svg` rebuilds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mtmeta.reports.document import Document, Explorer, Figure, blocks_of
from mtmeta.reports.svg import Inks, embedded
from mtmeta.reports.words import minus

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["html_page"]


def html_page(document: Document, *, progress: Callable[[int, int], None] | None = None) -> str:
    """Write a document as an HTML page.

    Parameters
    ----------
    document : Document
    progress : callable, optional
        Called after each figure with how many are done and how many there are.

    Returns
    -------
    str
        The whole page. The same document gives the same text.
    """
    from markupsafe import Markup

    inks = Inks()
    figures = [block for block in blocks_of(document.sections) if isinstance(block, Figure)]
    drawn: dict[str, list[tuple[str, Markup]]] = {}
    for done, figure in enumerate(figures, 1):
        drawn[figure.id] = [
            (style, Markup(embedded(svg, f"{figure.id}-{style}", figure.alt, inks)))
            for style, svg in figure.svgs
        ]
        if progress is not None:
            progress(done, len(figures))
    explorers = {
        block.id: _needed(block.data) for block in blocks_of(document.sections) if isinstance(block, Explorer)
    }
    style = _part("style.css") + inks.css()
    script = f'"use strict";\n{_part("pool.js")}{_part("page.js")}'
    template = _environment().get_template("page.html")
    return template.render(
        document=document,
        drawn=drawn,
        labels={entry.key: entry.label for entry in document.references},
        explorers=Markup(_json(explorers)),
        style=Markup(style),
        script=Markup(script),
        policy=policy_of(style, script),
    )


def policy_of(style: str, script: str) -> str:
    """Return the content-security policy under which this style and this script run and nothing else."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(value: Any) -> str:
    """Write JSON that cannot end the element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _needed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of an explorer's data what is already drawn in the page."""
    rows = [{key: row[key] for key in ("y", "v", "n_value", "x")} for row in data["rows"]]
    renamed = [{"n" if key == "n_value" else key: value for key, value in row.items()} for row in rows]
    kept = ("measure", "scale", "null", "model", "decimals", "axis", "estimators")
    return {**{key: data[key] for key in kept}, "rows": renamed}


# ---- templates ------------------------------------------------------------------------------------


@cache
def _part(name: str) -> str:
    return (files("mtmeta.reports") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_part),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "kind": lambda value: type(value).__name__,
        "minus": minus,
        "plain_number": _plain_number,
        "plain_sort": _plain_sort,
    }
    environment.filters.update(filters)
    return environment


def _plain_number(value: float | None) -> str:
    """Write a number so that reading it gives the same number."""
    if value is None or not math.isfinite(value):
        return ""
    return repr(value)


def _plain_sort(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return _plain_number(value)
