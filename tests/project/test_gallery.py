"""The gallery: every image it names exists, is drawn by its tool, and every link leads somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
TOOL = DOCS.parent / "tools" / "gallery.py"
LINK = re.compile(r"\]\(([^)\s]+)\)")


def entries() -> set[str]:
    """Names of figures in the tool, read without running it; styled forests are named by their style."""
    from mtmeta.figures.style import STYLES

    for node in ast.walk(ast.parse(TOOL.read_text(encoding="utf-8"))):
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "ENTRIES":
            assert isinstance(node.value, ast.Dict)
            named = {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
            return named | {f"forest-{style}" for style in STYLES}
    raise AssertionError("tools/gallery.py has no ENTRIES")


def images() -> list[str]:
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    return re.findall(r"^!\[[^\]]{20,}\]\(gallery/([\w-]+)\.png\)$", text, flags=re.MULTILINE)


def test_page_tool_and_folder_hold_the_same_images() -> None:
    assert len(images()) == len(set(images()))
    assert set(images()) == entries() == {path.stem for path in (DOCS / "gallery").glob("*.png")}


def test_images_are_png_and_small() -> None:
    for path in (DOCS / "gallery").glob("*.png"):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size < 120_000, path.name


@pytest.mark.parametrize("name", ["gallery.md", "figures-beside-peers.md"])
def test_links_lead_somewhere(name: str) -> None:
    links = LINK.findall((DOCS / name).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if "://" not in link and not (DOCS / link.split("#")[0]).is_file()] == []
