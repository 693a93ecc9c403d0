from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

import pytest

from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder
from mtmeta.reports.document import (
    Cell,
    Cite,
    Code,
    Column,
    Detail,
    Document,
    Explorer,
    Figure,
    Jump,
    Link,
    Listing,
    Note,
    Number,
    Paragraph,
    Reference,
    Section,
    Span,
    Table,
    TableRow,
    spans,
)

SHOWN = ("depression", "schizophrenia-panss", "cardiac-anxiety", "icu-heart-rate")


@pytest.fixture(scope="session")
def records() -> Studies:
    return read_studies(data_folder("studies"))


@pytest.fixture(scope="session")
def runs(records: Studies) -> dict[str, AnalysisRun]:
    """Four analyses: groups, two trials, published figures with known faults, no published figure."""
    files = [data_folder("analyses") / f"{name}.yaml" for name in SHOWN]
    return {item.analysis.name: run_analysis(item.analysis, records) for item in read_analyses(files)}


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></script><script>alert(1)</script>",
    "{{ 7 * 7 }}{% for x in y %}",
    "javascript:alert(1)",
    "<!-- --> ]]> &lt;b&gt; &#x3c;b>",
    "' onmouseover='alert(1)",
    "\u2028\u2029\u202e\ufeff",
    r"\input{/etc/passwd} \write18{rm} \end{document} }{ %",
    "$x_1$ & 5% # ~ ^ \\",
    '=HYPERLINK("x") +1 @cmd -2',
    "| a | b |\n| --- | --- |\n# head\n- item\n1. one\n> quote\n```",
    "[x](javascript:alert(1)) ![x](https://example.org/x.png) <https://example.org> www.example.org",
    "a\x00b\x1bc\x07",
    "[^1]: *a* **b** __c__ ~~d~~ `e` $f$ \\(g\\) {#id .class}",
]


@pytest.fixture(params=HOSTILE, ids=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def everywhere() -> Callable[[str], Document]:
    """Make a document with a text wherever text of records can stand."""
    return _everywhere


_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


def _everywhere(text: str) -> Document:
    """Put a text wherever text of records can stand."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">'
        '<g id="row-a"><text style="font: 8px x" x="1" y="1">'
        + escape(re.sub(_NOT_XML, "?", text))
        + "</text></g></svg>"
    )
    table = Table(
        "t",
        text,
        (Column(text, note=text), Column("n", "number")),
        (TableRow((Cell.of(text, sort=text), Cell.of(Number(text, 1.0))), detail=(Paragraph.of(text),)),),
        notes=(spans(text),),
        sortable=True,
        filterable=True,
    )
    figure = Figure("f", spans(text), text, (("a", svg),), (Detail("row-a", text, ((text, spans(text)),)),))
    place = dict.fromkeys(("x", "x0", "x1", "sx", "sy", "side"), 1.0)
    rows = [{"label": text, "y": 0.1, "v": 0.1, "n_value": 3, "n": "3", "text": text, "weight": "1", **place}]
    data = {
        **dict.fromkeys(("title", "measure", "left", "right"), text),
        **{"scale": "identity", "null": 0.0, "null_x": 1.0, "level": "95%", "decimals": 2},
        "model": {"kind": "random", "tau2": "REML", "ci": "auto", "pi": "V", "level": 0.95},
        **{"estimators": ["REML"], "axis": [0.0, 1.0], "answers": [("k", text, text)], "rows": rows},
    }
    blocks = (
        Paragraph.of(
            text, Link(text, doi=text), Number(text, 1.0, text), Cite("a"), " ", Span(text, "strong")
        ),
        Paragraph.of(
            Span(text, "emphasis"), " ", Span(text, "code"), Link(text, doi="10.1000/1"), Jump(text, "s")
        ),
        Listing((spans(text),)),
        Note.of(text),
        Code(text, text),
        table,
        figure,
        Explorer("e", data),
    )
    references = (Reference("a", text, spans(text, Link(text, pmid=1))),)
    return Document(text, (Section("s", text, blocks),), references, subtitle=text)
