from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest
from hypothesis import given, settings, strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mtmeta.audit.run import AnalysisRun
from mtmeta.reports.build import report_of
from mtmeta.reports.document import Document, numbers_of
from mtmeta.reports.markdown import escaped, markdown_text
from mtmeta.reports.words import minus

OURS = re.compile(r'<a id="[a-z0-9-]+">|</a>|<code>|</code>|<!-- -->')


def read(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def shape(tokens: list[Token]) -> list[tuple[str, str]]:
    """Kinds of tokens in order, without the text of any."""
    out = []
    for token in tokens:
        if token.type != "text" and token.content != "<!-- -->":
            out.append((token.type, token.tag))
        if token.type in ("html_inline", "html_block"):
            assert OURS.fullmatch(token.content.strip()), token.content
        out += shape(token.children or [])
    return out


def links(tokens: list[Token]) -> list[str]:
    out = [str(v) for t in tokens for k, v in (t.attrs or {}).items() if k in ("href", "src")]
    return out + [link for t in tokens for link in links(t.children or [])]


def test_hostile_text_stays_text(hostile: str, everywhere: Callable[[str], Document]) -> None:
    calm, found = read(markdown_text(everywhere("calm"))), read(markdown_text(everywhere(hostile)))
    assert shape(found) == shape(calm)
    assert links(found) == links(calm)


@given(st.text(min_size=1, max_size=60).filter(lambda t: t.strip()))
@settings(max_examples=200)
def test_any_text_stays_text(everywhere: Callable[[str], Document], text: str) -> None:
    calm, found = read(markdown_text(everywhere("calm"))), read(markdown_text(everywhere(text)))
    assert links(found) == links(calm)
    kinds = [
        kind for kind, _ in shape(found) if kind not in ("em_open", "em_close", "strong_open", "strong_close")
    ]
    assert kinds == [
        kind for kind, _ in shape(calm) if kind not in ("em_open", "em_close", "strong_open", "strong_close")
    ]


@given(st.text(max_size=80))
@settings(max_examples=300)
def test_escaped_text_reads_as_it_was(text: str) -> None:
    made = read(escaped(text))
    shown = "".join(child.content for t in made for child in (t.children or []) if child.type == "text")
    controls = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
    flat = re.sub(r"\s+", " ", re.sub(controls, "\ufffd", text)).strip()
    assert unescape(shown).strip() == unescape(flat).strip()


def test_every_number_of_the_page_stands_in_it(runs: dict[str, AnalysisRun]) -> None:
    document = report_of(list(runs.values()))
    text = markdown_text(document).replace("\\", "")
    for number in numbers_of(document):
        assert minus(number.text).replace("<", "&lt;") in text


def test_the_tables_of_a_report_are_tables(runs: dict[str, AnalysisRun]) -> None:
    from mtmeta.reports.document import Table, blocks_of

    document = report_of([runs["depression"]])
    tables = [block for block in blocks_of(document.sections) if isinstance(block, Table)]
    found = read(markdown_text(document))
    assert sum(t.type == "table_open" for t in found) == len(tables)
    rows = sum(len(table.rows) + 1 for table in tables)
    assert sum(t.type == "tr_open" for t in found) == rows


@pytest.mark.parametrize(
    ("text", "out"), [("-1", r"\-1"), ("3. x", r"3\. x"), ("2.5", "2.5"), ("# a", r"\# a")]
)
def test_a_line_does_not_begin_with_a_mark(text: str, out: str) -> None:
    assert escaped(text) == out
