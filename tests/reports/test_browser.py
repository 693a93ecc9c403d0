"""The page in Chromium: its arithmetic, its controls by mouse and by keyboard, its policy, its print."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtmeta.audit.run import AnalysisRun
from mtmeta.errors import ModelError
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.reports.build import report_of
from mtmeta.reports.explorer import answers
from mtmeta.reports.html import html_page
from mtmeta.reports.words import fixed, minus

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def file(runs: dict[str, AnalysisRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(html_page(report_of(list(runs.values()))), encoding="utf-8")
    return path


class Opened:
    """A page that remembers what its console said and what it asked the network for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def show(self, identity: str) -> Any:
        """Scroll to a part, wait until it is set up, and return it."""
        self.page.evaluate("id => document.getElementById(id).scrollIntoView()", identity)
        # not wait_for_function: it polls with eval, which the page's policy forbids
        self.page.locator(f"main > section:is(#{identity}, :has(#{identity})) .tools").first.wait_for(
            state="attached"
        )
        return self.page.locator(f"#{identity}")


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Opened]:
    it = Opened(browser, file)
    yield it
    it.context.close()
    assert it.said == []
    assert [url for url in it.asked if not url.startswith(("file:", "data:"))] == []


# ---- arithmetic -----------------------------------------------------------------------------------


def fit(run: AnalysisRun, mask: np.ndarray[Any, Any], kind: str, tau2: str, ci: str) -> Any:
    es = run.effects.subset(mask)
    model = CommonEffect() if kind == "common" else RandomEffects(tau2=tau2, ci=ci)  # type: ignore[arg-type]
    return model.fit(es)


def test_random_subsets_are_pooled_as_python_pools_them(opened: Opened, runs: dict[str, AnalysisRun]) -> None:
    rng = np.random.default_rng(20)
    cases, expected = [], []
    for name, run in runs.items():
        es = run.effects
        for _ in range(150):
            mask = rng.random(es.k) < rng.uniform(0.2, 1.0)
            kind = str(rng.choice(["common", "random", "random", "random"]))
            tau2 = str(rng.choice(["REML", "DL", "PM", "ML", "SJ", "HE", "EB", "HS", "HSk", "PMM"]))
            ci = str(rng.choice(["auto", "HKSJ", "HKSJ-floor", "Wald"]))
            pi = str(rng.choice(["V", "HTS", "normal", "HK", "HK-PR"]))
            if not mask.any() or (mask.sum() < 2 and ci in ("HKSJ", "HKSJ-floor")):
                continue
            result = fit(run, mask, kind, tau2, ci)
            try:
                predicted = list(result.pi(0.95, method=pi)) if kind == "random" else None
            except ModelError:
                predicted = None
            model = {"kind": kind, "tau2": tau2, "ci": ci, "pi": pi, "level": 0.95, "null": 0.0}
            cases.append([list(es.yi[mask]), list(es.vi[mask]), model])
            expected.append((name, mask, model, result, predicted))
    found = opened.page.evaluate("cases => cases.map(([y, v, m]) => window.mtmeta.pool(y, v, m))", cases)
    assert len(found) > 500
    for got, (name, mask, model, result, predicted) in zip(found, expected, strict=True):
        where = f"{name} {np.flatnonzero(mask).tolist()} {model}"
        numbers = {
            "estimate": result.estimate,
            "se": result.se,
            "tau2": result.tau2,
            "i2": result.i2,
            "q": result.q,
            "pvalue": result.pvalue,
            "qPvalue": result.q_pvalue,
        }
        for key, value in numbers.items():
            assert got[key] == pytest.approx(value, rel=1e-9, abs=1e-11), f"{key}: {where}"
        assert got["ci"] == pytest.approx(list(result.ci(0.95)), rel=1e-9, abs=1e-11), where
        assert got["weights"] == pytest.approx(result.weights.tolist(), rel=1e-9), where
        assert got["ciMethod"] == result.ci_method, where
        assert (got["pi"] is None) == (predicted is None), where
        if predicted is not None:
            assert got["pi"] == pytest.approx(predicted, rel=1e-9, abs=1e-11), where


def test_numbers_are_rounded_as_python_rounds_them(opened: Opened) -> None:
    rng = np.random.default_rng(4)
    values = [
        *rng.normal(0, 30, 500).tolist(),
        0.125,
        0.375,
        -0.125,
        2.5,
        -0.0,
        -0.001,
        0.005,
        1.005,
        0.0,
        1e6,
    ]
    pairs = [(value, decimals) for value in values for decimals in (0, 1, 2, 3)]
    found = opened.page.evaluate("pairs => pairs.map(([x, d]) => window.mtmeta.fixed(x, d))", pairs)
    assert found == [fixed(value, decimals) for value, decimals in pairs]


@pytest.mark.parametrize("name", ["depression", "schizophrenia-panss", "cardiac-anxiety", "icu-heart-rate"])
def test_ticking_shows_what_python_says(opened: Opened, runs: dict[str, AnalysisRun], name: str) -> None:
    run, rng = runs[name], np.random.default_rng(7)
    box = opened.show(f"ticks-{name}")
    ticks = box.locator("input[type=checkbox]")
    assert ticks.count() == run.effects.k
    kind, interval = box.locator("select").nth(0), box.locator("select").nth(1)
    mask = np.ones(run.effects.k, dtype=bool)
    for step in range(8):
        i = int(rng.integers(run.effects.k))
        if mask.sum() > 1 or not mask[i]:
            ticks.nth(i).click()
            mask[i] = not mask[i]
        chosen = ("REML", "DL", "common", "PM")[step % 4]
        kind.select_option(chosen)
        ci = "Wald" if chosen == "common" or mask.sum() < 2 else ("auto", "HKSJ", "HKSJ-floor")[step % 3]
        if chosen != "common":
            interval.select_option(ci)
        result = fit(run, mask, "common" if chosen == "common" else "random", chosen, ci)
        said = answers(result, of=run.effects.k, level=0.95, pi_method="V")
        for key, text in said.items():
            assert box.locator(f"dd[data-answer={key}]").inner_text() == minus(text), (key, step)
        status = f"SMD {said['estimate']}, {said['k']} studies"
        assert box.locator(".answer").inner_text() == minus(status)
        shares = [fixed(100 * w, 1) + "%" for w in result.weights]
        shown = box.locator("[data-weight]").all_inner_texts()
        assert [text for text, is_in in zip(shown, mask, strict=True) if is_in] == shares
        assert {text for text, is_in in zip(shown, mask, strict=True) if not is_in} <= {"-"}
    box.get_by_role("button", name="None").click()
    assert box.locator(".answer").inner_text() == "Nothing is pooled: no study is ticked."
    assert box.locator("dd[data-answer=estimate]").inner_text() == "-"
    box.get_by_role("button", name="As analysed").click()
    first = answers(run.result, of=run.effects.k, level=0.95, pi_method="V")
    assert box.locator("dd[data-answer=estimate]").inner_text() == minus(first["estimate"])
    assert box.locator("dd[data-answer=method]").inner_text() == first["method"]


def test_one_study_with_hartung_and_knapp_is_refused_with_the_reason(opened: Opened) -> None:
    box = opened.show("ticks-schizophrenia-panss")
    box.locator("select").nth(1).select_option("HKSJ")
    box.locator("input[type=checkbox]").first.click()
    assert box.locator(".answer").inner_text() == (
        "Nothing is pooled: the interval HKSJ needs at least 2 studies and there is 1."
    )


# ---- tables ---------------------------------------------------------------------------------------


def test_tables_sort_by_number_and_by_word(opened: Opened) -> None:
    box = opened.show("without-depression")
    heads = box.locator("th button.sort")
    heads.nth(2).click()
    column = "tr => Number(tr.cells[2].dataset.sort)"
    values = box.evaluate(f"box => [...box.querySelectorAll('tbody tr')].map({column})")
    assert values == sorted(values)
    assert box.locator("thead th").nth(2).get_attribute("aria-sort") == "ascending"
    heads.nth(2).press("Enter")
    values = box.evaluate(f"box => [...box.querySelectorAll('tbody tr')].map({column})")
    assert values == sorted(values, reverse=True)
    heads.nth(0).click()
    words = box.locator("tbody th").all_inner_texts()
    assert words == sorted(words, key=lambda w: w.lower().replace("ó", "o"))
    assert box.locator("thead th").nth(2).get_attribute("aria-sort") is None


def test_tables_filter(opened: Opened) -> None:
    box = opened.show("questions")
    field = box.get_by_label("Filter")
    field.fill("heart ICU")
    assert box.locator("tbody tr:visible").count() == 1
    assert box.locator(".told").inner_text() == "1 of 4 rows"
    field.fill("")
    assert box.locator("tbody tr:visible").count() == 4


def test_tables_are_copied_with_tabs_and_without_formulas(opened: Opened) -> None:
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    box = opened.show("groups-depression")
    box.evaluate("box => { box.querySelector('tbody th').textContent = '=HYPERLINK(1)'; }")
    box.get_by_role("button", name="Copy table").click()
    box.locator(".told:not(:empty)").wait_for(state="attached")
    text = opened.page.evaluate("navigator.clipboard.readText()")
    lines = text.splitlines()
    assert lines[0].split("\t")[:3] == ["Group", "Effects", "People"]
    assert lines[1].startswith("'=HYPERLINK(1)\t9\t441\t-0.22 [-0.43, 0.00]\t")
    assert {line.count("\t") for line in lines} == {6}


# ---- figures --------------------------------------------------------------------------------------


def test_a_row_tells_where_it_comes_from(opened: Opened) -> None:
    figure = opened.show("plot-cardiac-anxiety")
    card = opened.page.locator("#card")
    row = figure.locator("[data-row=row-white-1999]")
    assert card.is_hidden()
    row.hover()
    assert card.is_visible()
    text = card.inner_text()
    assert "White 1999" in text
    assert "studies/cardiac/white-1999.yaml:" in text
    assert "CD006577" in text
    opened.page.mouse.move(5, 5)
    assert card.is_hidden()
    row.click()
    opened.page.mouse.move(5, 5)
    assert card.is_visible()
    opened.page.keyboard.press("Escape")
    assert card.is_hidden()


def test_rows_are_reached_by_keyboard(opened: Opened) -> None:
    figure = opened.show("plot-cardiac-anxiety")
    rows = figure.locator(".canvas [data-row][role=button]")
    assert rows.count() == figure.locator(".route").count() > 5
    assert figure.locator(".canvas [tabindex='0']").count() == 1
    rows.first.focus()
    opened.page.keyboard.press("ArrowDown")
    opened.page.keyboard.press("ArrowDown")
    assert opened.page.evaluate("document.activeElement.dataset.row") == rows.nth(2).get_attribute("data-row")
    opened.page.keyboard.press("Enter")
    card = opened.page.locator("#card")
    assert rows.nth(2).get_attribute("aria-label").split(":")[0] in card.inner_text()
    opened.page.keyboard.press("Escape")
    assert card.is_hidden()
    assert opened.page.evaluate("document.activeElement.dataset.row") == rows.nth(2).get_attribute("data-row")


def test_a_tap_on_a_phone_tells_the_row(browser: Any, file: Path) -> None:
    it = Opened(browser, file, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    figure = it.show("plot-depression")
    figure.locator("[data-row=row-baker-2022]").tap()
    assert "Baker 2022" in it.page.locator("#card").inner_text()
    it.page.locator("#card button").tap()
    assert it.page.locator("#card").is_hidden()
    wide = it.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390  # tables and figures scroll inside, the page does not
    assert it.said == []
    it.context.close()


def test_styles_switch_and_figures_enlarge(opened: Opened) -> None:
    figure = opened.show("plot-depression")
    canvas = figure.locator(".canvas")
    before = canvas.inner_html()
    figure.locator("select").select_option("jama")
    assert canvas.get_attribute("data-style") == "jama"
    assert canvas.inner_html() != before
    assert canvas.locator("[data-row][role=button]").count() == 17
    small = canvas.locator("svg").bounding_box()["width"]
    for _ in range(4):
        figure.get_by_role("button", name="Enlarge the figure").click()
    assert canvas.locator("svg").bounding_box()["width"] > 1.5 * small
    figure.get_by_role("button", name="Figure at its own size").click()
    assert canvas.locator("svg").bounding_box()["width"] == pytest.approx(small, abs=1)
    figure.locator("select").select_option("plain")
    assert canvas.locator("[data-row][role=button]").count() == 17


# ---- reaching everything --------------------------------------------------------------------------


def test_tab_reaches_every_control(browser: Any, runs: dict[str, AnalysisRun], tmp_path: Path) -> None:
    path = tmp_path / "one.html"
    path.write_text(html_page(report_of([runs["schizophrenia-panss"]])), encoding="utf-8")
    it = Opened(browser, path)
    it.page.locator(".tools").first.wait_for(state="attached")
    it.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    it.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    wanted = it.page.evaluate(
        """() => {
        const all = [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
            .filter(e => e.checkVisibility() && !e.disabled);
        all.forEach((e, i) => { e.dataset.n = i; });
        return all.length; }"""
    )
    it.page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    seen: set[str] = set()
    for _ in range(wanted + 5):
        it.page.keyboard.press("Tab")
        found = it.page.evaluate("document.activeElement.dataset.n ?? ''")
        if found:
            seen.add(found)
    missing = sorted(set(map(str, range(wanted))) - seen, key=int)
    told = it.page.evaluate(
        "n => n.map(i => document.querySelector(`[data-n='${i}']`).outerHTML.slice(0, 90))", missing
    )
    assert not missing, told
    assert wanted > 60
    it.context.close()


def test_the_skip_link_comes_first_and_leads_to_the_content(opened: Opened) -> None:
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("document.activeElement.id") == "main"


def test_every_control_has_a_name(opened: Opened) -> None:
    for name in ("overview", "analysis-depression", "analysis-icu-heart-rate"):
        opened.show(name)
    nameless = opened.page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, [role=button], figure svg')]
            .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))
            .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    assert opened.page.locator("main").count() == 1
    levels = opened.page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


# ---- policy, print, colours -----------------------------------------------------------------------


def test_planted_script_does_not_run(browser: Any, file: Path, tmp_path: Path) -> None:
    """Were a fault in escaping to let markup through, the policy would still stop it."""
    page = file.read_text(encoding="utf-8")
    planted = (
        "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>"
        "<img src='https://example.org/x.png'><p style='color: red' id='styled'>x</p>"
        "<a id='link' href='javascript:window.ran=3'>x</a></main>"
    )
    path = tmp_path / "planted.html"
    path.write_text(page.replace("</main>", planted), encoding="utf-8")
    it = Opened(browser, path)
    it.page.evaluate("document.getElementById('link').click()")
    it.page.wait_for_timeout(200)
    assert it.page.evaluate("window.ran") is None
    assert it.page.evaluate("getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"
    refused = [line for line in it.said if "Content Security Policy" in line]
    assert len(refused) >= 4
    assert it.page.evaluate("typeof window.mtmeta.pool") == "function"  # its own script ran
    it.context.close()


def test_paper_has_no_controls_and_everything_folded_is_open(opened: Opened) -> None:
    opened.show("ticks-depression")
    opened.page.emulate_media(media="print")
    for selector in (".tools", ".explorer", "nav.contents", ".skip", "#card", ".routes"):
        assert opened.page.locator(selector).first.is_hidden(), selector
    assert (
        opened.page.locator("#left-depression tbody tr").first.evaluate(
            "e => e.getBoundingClientRect().height"
        )
        > 0
    )
    pdf = opened.page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert 10 < pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") + pdf.count(b"/Type /Page/") < 80


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_both_schemes(browser: Any, file: Path, scheme: str) -> None:
    it = Opened(browser, file, color_scheme=scheme)
    it.show("plot-depression")
    contrasts = it.page.evaluate(
        """() => {
        const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const light = (c) => {
            const l = c.map(x => x / 255).map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
            return .2126 * l[0] + .7152 * l[1] + .0722 * l[2]; };
        const paper = (e) => { for (; e; e = e.parentElement) { const b = getComputedStyle(e).backgroundColor;
            if (!/, 0\\)$/.test(b) && b !== 'transparent') return rgb(b); } return [255, 255, 255]; };
        const out = [];
        const read = 'p, td, th, a, dt, dd, summary, caption, button, h1, h2, h3, text';
        for (const e of document.querySelectorAll(read)) {
            if (!e.textContent.trim() || !e.checkVisibility()) continue;
            const style = getComputedStyle(e);
            const ink = rgb(e.tagName === 'text' ? style.fill : style.color);
            const a = light(ink), b = light(paper(e));
            const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            out.push([contrast, e.tagName, e.textContent.trim().slice(0, 30)]);
        }
        return out; }"""
    )
    assert len(contrasts) > 500
    worst = min(contrasts)
    assert worst[0] >= 4.5, worst  # WCAG 2.1, 1.4.3
    dark = it.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == ("rgb(20, 23, 26)" if scheme == "dark" else "rgb(255, 255, 255)")
    assert it.said == []
    it.context.close()


def test_the_page_says_how_long_it_took_to_open(browser: Any, file: Path, capsys: Any) -> None:
    """Measured and printed, never asserted: times are no matter of tests."""
    started = time.perf_counter()
    it = Opened(browser, file)
    spent = it.page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    with capsys.disabled():
        print(f"\nopened {os.path.getsize(file) / 1e6:.2f} MB: load event at {spent:.0f} ms, "
              f"{time.perf_counter() - started:.2f} s with the new context")  # fmt: skip
    assert it.said == []
    it.context.close()


def test_without_script_the_page_still_tells_everything(browser: Any, file: Path) -> None:
    it = Opened(browser, file, java_script_enabled=False)
    assert it.page.locator(".tick").first.is_hidden()
    assert it.page.locator("dd[data-answer=estimate]").first.inner_text().startswith("−0.29")
    it.page.locator(".routes summary").first.click()
    it.context.close()
