from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from mtmeta.audit.run import AnalysisRun
from mtmeta.records.locate import data_folder
from mtmeta.reports.bayes_table import bayes_factor
from mtmeta.reports.bayes_words import probability
from mtmeta.reports.build import report_of
from mtmeta.reports.document import Document, numbers_of
from mtmeta.reports.html import html_page
from mtmeta.reports.locked import number_at
from mtmeta.reports.words import fixed, minus


class Parsed(HTMLParser):
    """Elements and attributes of a page, and the text of what is drawn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[tuple[str, str]] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        self.data.append((self._inside, data))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def document(runs: dict[str, AnalysisRun]) -> Document:
    return report_of(list(runs.values()))


@pytest.fixture(scope="module")
def page(document: Document) -> str:
    return html_page(document)


def test_every_number_with_a_place_stands_there_in_the_committed_lock(document: Document, page: str) -> None:
    locks = {
        name: json.loads((data_folder("analyses") / f"{name}.lock.json").read_text(encoding="utf-8"))
        for name in ("depression", "schizophrenia-panss", "cardiac-anxiety", "icu-heart-rate")
    }
    found = re.findall(r'<data value="([^"]*)" data-at="([^"]+)">([^<]*)</data>', page)
    placed = [n for n in numbers_of(document) if n.at]
    assert len(found) == len(placed) > 200
    for value, at, shown in found:
        text = unescape(shown)
        name, _, path = at.partition("/")
        locked = number_at(locks[name]["results"], path)
        assert float(value) == pytest.approx(float(locked), rel=1e-9, abs=1e-12)
        if at.endswith(("prob_better", "no_effect", "no_heterogeneity")):
            write = probability if at.endswith("prob_better") else bayes_factor
            assert text == write(float(value))
            continue
        told = re.fullmatch(r"[−<]?(\d+(?:\.\d+)?)%?", text)
        assert told, text
        decimals = len(told[1].partition(".")[2])
        if not text.startswith("<"):
            assert text.rstrip("%").replace("−", "-") == fixed(float(locked), decimals)


def test_each_analysis_tells_its_pooled_estimate_from_the_lock(document: Document) -> None:
    at = {n.at for n in numbers_of(document)}
    for name in ("depression", "schizophrenia-panss", "cardiac-anxiety", "icu-heart-rate"):
        assert {
            f"{name}/today/{key}" for key in ("estimate", "ci/0", "ci/1", "k", "n", "i2", "tau2", "q")
        } <= at


def test_the_policy_allows_this_style_and_this_script_alone(page: str) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.S)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    for text in (style, script):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256-") == 2


def test_nothing_is_fetched_and_nothing_handles_events_inline(page: str) -> None:
    parsed = Parsed(page)
    for tag, attributes in parsed.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in ("src", "href", "xlink:href", "action", "srcset"):
                assert value is not None
                assert re.match(
                    r"#|https://doi\.org/10\.|https://pubmed\.ncbi\.nlm\.nih\.gov/\d+/$|data:image/png;",
                    value,
                )
    assert "@import" not in page
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", page)


def test_ids_stand_once_and_labels_point_to_them(page: str) -> None:
    parsed = Parsed(page)
    ids = [a["id"] for _, a in parsed.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.tags:
        target = attributes.get("aria-labelledby") or (attributes.get("href") or "#main").removeprefix("#")
        if not target.startswith("http"):
            assert target in ids


def test_the_same_runs_give_the_same_page(runs: dict[str, AnalysisRun], page: str) -> None:
    assert html_page(report_of(list(runs.values()))) == page


def test_no_folder_of_this_machine_is_told(page: str) -> None:
    assert str(Path.home()) not in page
    assert str(Path.cwd()) not in page
    assert str(data_folder("studies").parent) not in page
    assert "studies/cardiac/" in page


def test_hostile_text_stays_text(hostile: str, everywhere: Callable[[str], Document]) -> None:
    calm = Parsed(html_page(everywhere("calm")))
    parsed = Parsed(html_page(everywhere(hostile)))
    assert [t for t, _ in parsed.tags] == [t for t, _ in calm.tags]
    assert [sorted(a) for _, a in parsed.tags] == [sorted(a) for _, a in calm.tags]
    shown = "".join(data for inside, data in parsed.data if inside not in ("script", "style"))
    assert shown.count(hostile) >= 8


@given(st.text(min_size=1, max_size=60))
@settings(max_examples=60)
def test_any_text_stays_text(everywhere: Callable[[str], Document], text: str) -> None:
    calm = Parsed(html_page(everywhere("calm")))
    parsed = Parsed(html_page(everywhere(text)))
    assert [(t, sorted(a)) for t, a in parsed.tags] == [(t, sorted(a)) for t, a in calm.tags]


def test_minus_signs() -> None:
    assert minus("-0.48 [-0.61, -0.35]") == "−0.48 [−0.61, −0.35]"
    assert minus("10-12 CD-1 a-1 <-") == "10-12 CD-1 a-1 <-"
