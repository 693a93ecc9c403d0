"""Files: the same bytes each time, text as text, fonts inside, all or none."""

from __future__ import annotations

import io
import json
import os
import re
import zlib

import numpy as np
import pytest
from drawn import bcg, random
from matplotlib import rcParams
from PIL import Image

from mtmeta.errors import UsageError
from mtmeta.figures import alt_text, forest, forest_layout, save
from mtmeta.figures.draw.forest import draw_forest, forest_axes
from mtmeta.figures.files import render, write_together


def figure():
    return forest(random(bcg()), better="lower", arms=("vaccine", "control")).figure


@pytest.mark.parametrize("name", ["svg", "pdf", "png", "tiff"])
def test_same_bytes_for_the_same_figure(name):
    first, second = (render(figure(), name, dpi=100, alt="x") for _ in range(2))
    assert first == second
    one = figure()
    assert render(one, name, dpi=100) == render(one, name, dpi=100)


def test_settings_are_back_as_they_were():
    before = dict(rcParams)
    render(figure(), "pdf")
    assert dict(rcParams) == before


def test_svg_text_is_text_or_outlines():
    text = render(figure(), "svg", alt='Effects "a" & <b>').decode()
    assert ">Aronson 1948<" in text
    assert "DejaVu Sans', Verdana" in text
    assert 'aria-label="Effects &quot;a&quot; &amp; &lt;b&gt;"' in text
    assert not re.search(r"20\d\d-\d\d-\d\dT", text)
    outlined = render(figure(), "svg", outline=True).decode()
    assert "<text" not in outlined


def test_pdf_embeds_true_type_and_no_date():
    data = render(figure(), "pdf")
    assert b"/CIDFontType2" in data
    assert b"/Type3" not in data
    assert b"CreationDate" not in data
    assert b"/FontFile2" in data


def test_pdf_page_has_the_figures_size():
    fig = figure()
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", render(fig, "pdf"))
    assert [float(v) / 72 for v in box.groups()] == pytest.approx(list(fig.get_size_inches()), abs=1e-4)


@pytest.mark.parametrize("name", ["png", "tiff"])
def test_pixels_have_resolution_and_no_alpha(name):
    fig = figure()
    image = Image.open(io.BytesIO(render(fig, name, dpi=120)))
    assert image.mode in ("RGB", "P")
    assert image.size == tuple(int(s * 120) for s in fig.get_size_inches())
    assert [float(v) for v in image.info["dpi"]] == pytest.approx(
        [120, 120], abs=0.013
    )  # PNG counts whole pixels a metre


def test_palette_keeps_frequent_colours_and_moves_others_little():
    fig = figure()
    exact = np.asarray(Image.open(io.BytesIO(render(fig, "tiff", dpi=120)))).astype(int)
    small = np.asarray(Image.open(io.BytesIO(render(fig, "png", dpi=120))).convert("RGB")).astype(int)
    assert np.abs(exact - small).max() <= 4
    assert (exact[0, 0] == 255).all()
    blue = (exact == [0x00, 0x72, 0xB2]).all(axis=2)
    assert blue.sum() > 100
    assert (small[blue] == [0x00, 0x72, 0xB2]).all()


def test_files_are_written_together(tmp_path):
    layout = forest_layout(random(bcg()))
    fig = draw_forest(layout, forest_axes(layout)).figure
    paths = save(fig, tmp_path / "sub" / "bcg", alt=alt_text(layout), layout=layout)
    assert sorted(p.name for p in paths) == ["bcg.json", "bcg.pdf", "bcg.png", "bcg.svg"]
    assert sorted(p.name for p in (tmp_path / "sub").iterdir()) == sorted(p.name for p in paths)
    assert json.loads((tmp_path / "sub" / "bcg.json").read_text())["k"] == 13
    assert Image.open(tmp_path / "sub" / "bcg.png").text["Description"] == alt_text(layout)
    assert save(fig, tmp_path / "one.svg") == (tmp_path / "one.svg",)


def test_a_fault_leaves_the_old_files(tmp_path, monkeypatch):
    old = tmp_path / "a.svg"
    old.write_text("old")
    with pytest.raises(UsageError, match="'gif'"):
        save(figure(), tmp_path / "a", formats=("svg", "gif"))
    with pytest.raises(UsageError, match="dpi=9"):
        save(figure(), tmp_path / "a", dpi=9)

    def full(handle):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_together({old: b"new", tmp_path / "b.pdf": b"new"})
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    assert old.read_text() == "old"


def test_own_fonts_have_the_glyphs_and_widths_of_matplotlibs():
    from fontTools.ttLib import TTFont
    from matplotlib import get_data_path

    from mtmeta.figures.draw.canvas import OWN

    for path in OWN.values():
        mine, theirs = TTFont(path), TTFont(f"{get_data_path()}/fonts/ttf/{path.name}")
        ours, full = mine.getBestCmap(), theirs.getBestCmap()
        assert set(map(ord, "abcXYZ019.,·–−±≤≥τ²χ½×←→éñøßżŐ�")) <= set(ours)
        assert set(ours) <= set(full)
        assert all(mine["hmtx"][ours[c]][0] == theirs["hmtx"][full[c]][0] for c in ours)


def test_png_is_a_sound_file():
    data = render(figure(), "png", dpi=72)
    at, names = 8, []
    while at < len(data):
        length, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        crc = int.from_bytes(data[at + 8 + length : at + 12 + length])
        assert zlib.crc32(data[at + 4 : at + 8 + length]) == crc
        names.append(name)
        at += 12 + length
    assert b"tIME" not in names
