from __future__ import annotations

import re

import pytest

from mtmeta.errors import UsageError
from mtmeta.reports.svg import Inks, embedded, in_the_dark

HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 20">'
)


def made(body: str, inks: Inks | None = None) -> str:
    return embedded(f"{HEAD}{body}</svg>", "fig", "a label", inks or Inks())


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        '<g onload="alert(1)"><path d="M 0 0" onclick="x"/></g>',
        '<a href="https://example.org"><text x="1" y="1">t</text></a>',
        '<use xlink:href="https://example.org/x.svg#a"/>',
        '<image href="https://example.org/x.png"/>',
        '<image href="data:image/svg+xml;base64,AAAA"/>',
        "<foreignObject><body/></foreignObject>",
        '<animate attributeName="href" to="javascript:alert(1)"/>',
        "<style>*{background:url(https://example.org)}</style>",
        '<path d="M 0 0" style="fill: url(https://example.org)"/>',
        '<path d="M 0 0" style="fill: red; behavior: url(x)"/>',
        '<path d="M 0 0" fill="&quot;/&gt;&lt;script&gt;"/>',
        '<path d="javascript:alert(1)"/>',
        '<path d="M 0 0" clip-path="url(https://example.org#a)"/>',
        '<set attributeName="onclick" to="x"/>',
    ],
)
def test_what_is_not_known_is_left_out(body: str) -> None:
    inks = Inks()
    out = made(body, inks) + inks.css()
    for word in (
        "script",
        "onload",
        "onclick",
        "https:",
        "javascript",
        "example.org",
        "behavior",
        "style=",
        "foreign",
        "<a",
    ):
        assert word not in out.replace("http://www.w3.org", "").replace(' aria-label="a label"', "")


def test_ids_are_the_figures_own() -> None:
    out = made(
        '<defs><clipPath id="p1"><rect x="0" y="0" width="5" height="5"/></clipPath></defs>'
        '<path d="M 1 1" clip-path="url(#p1)"/><path id="m1" d="M 0 0"/>'
        '<use xlink:href="#m1" x="1" y="2"/>'
    )
    assert 'id="fig-p1"' in out
    assert 'clip-path="url(#fig-p1)"' in out
    assert 'href="#fig-m1"' in out


def test_rows_keep_their_name() -> None:
    out = made('<g id="row-white-1999"><path d="M 0 0 L 1 1"/></g><g id="pooled"><path d="M 0 0"/></g>')
    assert '<g data-row="row-white-1999">' in out
    assert "pooled" not in out
    assert 'role="group"' in out
    assert 'role="img"' in made('<path d="M 0 0"/>')


def test_styles_become_classes_and_colours_properties() -> None:
    inks = Inks()
    out = made('<path d="M 0 0" style="fill: #ffffff"/><path d="M 1 1" style="fill: #ffffff"/>', inks)
    assert out.count('class="s0"') == 2
    assert ".s0{fill:var(--cffffff)}" in inks.css()
    assert "--cffffff:#ffffff" in inks.css()
    assert f"--cffffff:{in_the_dark('#ffffff')}" in inks.css()


def test_numbers_are_cut_to_hundredths() -> None:
    assert 'd="M1.23 -.5L3 0"' in made('<path d="M 1.234567 -0.501234 L 3.000001 0.0001"/>')


BOX = '<path d="M {0} 0 L {1} 0 L {1} 5 L {0} 5 z" style="{2}"/>'


def test_upright_rectangles_are_written_by_their_sides() -> None:
    assert 'd="M1 0H2V5H1z"' in made(BOX.format(1, 2, ""))
    for other in ("M 1 0 L 2 0 L 2 5 L 1 4 z", "M 1 0 L 2 1 L 2 5 L 1 5 z", "M 1 0 L 2 0 L 2.5 5 L 1 5 z"):
        assert "H" not in made(f'<path d="{other}"/>')


def test_rectangles_of_one_class_in_a_row_become_one_path() -> None:
    red, blue = "fill: #ff0000", "fill: #0000ff"
    out = made("".join(BOX.format(i, i + 1, red if i < 3 else blue) for i in range(5)))
    assert re.findall(r'<path d="([^"]*)"', out) == [
        "M0 0H1V5H0zM1 0H2V5H1zM2 0H3V5H2z",
        "M3 0H4V5H3zM4 0H5V5H4z",
    ]
    between = made(BOX.format(0, 1, red) + "<text>a</text>" + BOX.format(1, 2, red))
    assert re.findall(r"<(path|text)", between) == ["path", "text", "path"]


@pytest.mark.parametrize("style", ["fill: #ff0000; fill-opacity: 0.5", "opacity: 0.5", "fill-rule: evenodd"])
def test_rectangles_that_shine_through_stay_apart(style: str) -> None:
    assert made(BOX.format(0, 1, style) + BOX.format(0, 1, style)).count("<path") == 2
    key, value = style.rsplit("; ", 1)[-1].split(": ")
    one = f'<path d="M 0 0 L 1 0 L 1 5 L 0 5 z" fill="#ff0000" {key}="{value}"/>'
    assert made(one + one).count("<path") == 2


def test_rectangles_that_run_the_other_way_stay_apart() -> None:
    assert made(BOX.format(0, 2, "fill: #ff0000") + BOX.format(1, 0, "fill: #ff0000")).count("<path") == 2


def test_text_is_escaped_once() -> None:
    assert "<text>a &lt;b&gt; &amp; c</text>" in made("<text>a &lt;b&gt; &amp; c</text>")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no svg", "not an SVG"),
        ("<html/>", "not an SVG but html"),
        (
            f'<!DOCTYPE svg [<!ENTITY a "b">]>{HEAD}&a;</svg>',
            "entities",
        ),
        ('<svg xmlns="http://www.w3.org/2000/svg"/>', "viewBox"),
        ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1"/>', "viewBox"),
    ],
)
def test_what_is_no_svg_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        embedded(text, "fig", "x", Inks())


@pytest.mark.parametrize(
    "colour", ["#000000", "#ffffff", "#0072b2", "#d55e00", "#4d4d4d", "#7f7f7f", "#e69f00", "#f2f2f2"]
)
def test_ink_on_a_dark_page_can_be_told_from_the_paper(colour: str) -> None:
    def light(text: str) -> float:
        parts = [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    made_dark = in_the_dark(colour)
    assert re.fullmatch("#[0-9a-f]{6}", made_dark)
    contrast = (light(made_dark) + 0.05) / (light("#14171a") + 0.05)
    on_white = 1.05 / (light(colour) + 0.05)
    if on_white >= 3:  # what can be read on white can be read in the dark
        assert contrast >= 3
