"""Whole reports of made-up records: any text that a record may hold, very many trials, next to none."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from mtmeta.audit.analysis import Analysis
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.records.folder import Studies
from mtmeta.records.schema import Study
from mtmeta.reports.build import report_of
from mtmeta.reports.html import html_page
from mtmeta.reports.latex import latex_text
from mtmeta.reports.markdown import markdown_text
from mtmeta.reports.publish import write_report

MARKUP = [
    "<script>alert(1)</script>",
    "</td></tr></table><img src=x onerror=alert(1)>",
    "\\input{x}\\end{document}%",
    "=1+1",
    "| a | [b](javascript:x) `c` **d**",
    "{{ 7 * 7 }} {% raw %}",
    "\"'&<>]]>--",
    "٣ עברית 漢字 🎵 e\u0301",
]
text = st.one_of(
    st.sampled_from(MARKUP),
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40),
)


def trial(i: int, estimate: float, se: float, words: Callable[[], str]) -> Study:
    return Study.model_validate(
        {
            "schema": 1,
            "id": f"made-{i}",
            "label": words(),
            "citation": {"authors": [words()], "title": words(), "journal": words(), "year": 2000},
            "conditions": ["cardiac"],
            "design": {"allocation": "randomised", "unit": "parallel", "as_printed": words()},
            "population": {"description": words(), "group": words()},
            "intervention": {"category": "music medicine", "description": words(), "music": words()},
            "comparator": {"type": "usual care", "description": words()},
            "risk_of_bias": {"tool": "RoB 1", "random_sequence": "low", "judged_by": words()},
            "outcomes": [
                {
                    "id": "anxiety",
                    "construct": "anxiety",
                    "instrument": words(),
                    "better": "lower",
                    "time": "post",
                    "value": "final",
                    "data": {"kind": "effect", "measure": "SMD", "estimate": estimate, "se": se,
                             "n_music": 20, "n_control": 20, "as_printed": words()},
                    "source": {"cite": words(), "where": words()},
                    "note": words(),
                }
            ],
            "flags": [{"about": "outcomes.anxiety", "code": "doubt", "note": words()}],
        }
    )  # fmt: skip


def question(words: Callable[[], str], **more: Any) -> Analysis:
    parts = ("population", "intervention", "comparator", "outcome", "time")
    return Analysis.model_validate(
        {
            "schema": 1,
            "name": "made-up",
            "title": words(),
            "question": {part: words() for part in parts},
            "select": {"constructs": ["anxiety"]},
            "measure": "SMD",
            "better": "lower",
            "note": words(),
            **more,
        }
    )


def made(k: int, words: Callable[[], str], **more: Any) -> AnalysisRun:
    rng = np.random.default_rng(k)
    trials = [trial(i, float(rng.normal(-0.3, 0.4)), float(rng.uniform(0.3, 0.4)), words) for i in range(k)]
    return run_analysis(question(words, **more), Studies.of(trials))


def handlers(page: str) -> list[str]:
    """Attributes that are no text but handle events."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(name for name, _ in attrs if name.startswith("on"))

    Reader().feed(page)
    return found


def tags(page: str) -> list[str]:
    return re.findall(r"<(?!!--)/?[a-zA-Z][\w-]*", page)


# letters that no installed font has are told by a warning and drawn as a sign for them; the page has the text
@pytest.mark.filterwarnings(
    "ignore:no font of this system:mtmeta.errors.DataWarning", "ignore:Glyph:UserWarning"
)
@given(st.data())
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
def test_records_with_any_text_make_the_page_that_calm_ones_make(data: st.DataObject) -> None:
    def words() -> str:
        return data.draw(text)

    more = {"subgroups": {"by": "condition"}}
    hostile, calm = made(4, words, **more), made(4, lambda: "calm", **more)
    page = html_page(report_of([hostile]))
    assert "<script>alert" not in page
    assert page.count("<script") == 2
    assert not handlers(page)
    assert 0.8 < len(tags(page)) / len(tags(html_page(report_of([calm])))) < 1.2
    markdown_text(report_of([hostile]))
    latex = latex_text(report_of([hostile]))
    assert "\\input{x}" not in latex
    assert latex.count("\\end{document}") == 1


@pytest.mark.parametrize("k", [1, 2, 3])
def test_few_trials_make_a_report_that_says_what_cannot_be_done(k: int) -> None:
    page = html_page(report_of([made(k, lambda: "calm")]))
    assert "nan" not in re.sub(r"<script>.*?</script>", "", page, flags=re.S).lower().replace("finance", "")
    assert 'class="note refusal"' in page


def test_a_title_with_backslashes_is_drawn_as_it_stands() -> None:
    """Found by the test above: the label of a figure went through the replacement of a pattern."""
    page = html_page(report_of([made(3, lambda: r"\input{x} \1 \g<0>")]))
    assert r'aria-label="Forest plot, \input{x} \1 \g&lt;0&gt;' in page


def test_a_trial_without_numbers_stands_in_the_flow() -> None:
    words = lambda: "calm"  # noqa: E731
    silent = trial(9, 0.0, 0.3, words).model_copy(
        update={"outcomes": (), "flags": (), "label": "Silent 1999"}
    )
    run = run_analysis(question(words), Studies.of([trial(1, -0.2, 0.3, words), silent]))
    page = html_page(report_of([run]))
    assert "Silent 1999" in page
    assert "the record holds no outcome with numbers" in page


@pytest.mark.slow
def test_ten_thousand_trials(tmp_path: Path) -> None:
    numbers = iter(range(10**9))
    run = made(10_000, lambda: f"words {next(numbers)} <b>")
    files = write_report([run], tmp_path, formats=["html", "md", "tex"])
    page = files[0].read_text(encoding="utf-8")
    assert "10000 effects are too many for a forest plot" in page
    assert page.count('<th scope="row"') > 10_000
    assert "<b>" not in page
    assert [f.suffix for f in files] == [".html", ".md", ".json", ".tex", ".bib"]
