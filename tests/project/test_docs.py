"""The documents are true: code prints what they show, links lead somewhere, the site builds offline."""

from __future__ import annotations

import html.parser
import importlib.util
import os
import re
import subprocess
import sys
import types
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "studies" / "README.md",
    *sorted(DOCS.glob("*.md")),
]


def tool(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CODE = tool("doc_code")


# ---- code ----


@pytest.mark.slow
@pytest.mark.parametrize("page", CODE.pages(), ids=lambda p: p.stem)
def test_the_code_prints_what_the_page_shows(page: Path) -> None:
    text = page.read_text("utf-8")
    assert CODE.with_outputs(text) == text, f"run python tools/doc_code.py {page.relative_to(ROOT)}"


@pytest.mark.slow
@pytest.mark.r
def test_metafor_prints_what_the_page_shows() -> None:
    text = (DOCS / "coming-from.md").read_text("utf-8")
    assert CODE.with_outputs(text, r=True) == text


def test_metafor_and_mtmeta_print_the_same() -> None:
    text = (DOCS / "coming-from.md").read_text("utf-8")
    shown = [(m[1], m[3]) for m in CODE.FENCE.finditer(text) if m[1] in ("r", "python", "text")]
    r = [after for (kind, _), (_, after) in pairwise(shown) if kind == "r"]
    ours = [after for (kind, _), (_, after) in pairwise(shown) if kind == "python"]
    assert len(r) >= 6
    assert r == ours[: len(r)]


# ---- pages made by tools ----


@pytest.mark.slow
@pytest.mark.parametrize(("name", "argument"), [("format_pages", "--check"), ("validation", "--check")])
def test_the_made_pages_are_as_their_tool_makes_them(name: str, argument: str) -> None:
    assert tool(name).main([argument]) == 0, f"run python tools/{name}.py"


def test_the_index_names_every_document_of_the_navigation() -> None:
    nav = set(
        re.findall(r"^ +- .*: ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), flags=re.MULTILINE)
    )
    index = (DOCS / "index.md").read_text("utf-8")
    assert {"tutorial.md", "methods.md"} <= nav
    assert [name for name in sorted(nav - {"index.md"}) if f"({name})" not in index] == []


# ---- links of the sources ----


def slug(heading: str) -> str:
    """The anchor that GitHub and the site give a heading of plain words."""
    plain = re.sub(r"`|\*|\[([^\]]*)\]\([^)]*\)", lambda m: m[1] or "", heading)
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain.strip().lower()))


@cache
def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(h) for h in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        goal = (page.parent / unquote(name)).resolve() if name else page
        if not goal.exists() or (anchor and goal.suffix == ".md" and anchor not in anchors(goal)):
            broken.append(target)
    assert broken == []


# ---- the site ----


class Links(html.parser.HTMLParser):
    """Addresses that a page refers to, those that it loads, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.refers: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and "href" in given:
            self.refers.append(given["href"])
        if "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next", "alternate"):
            self.loads.append(given.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@cache
def read(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text("utf-8"))
    return links


@pytest.mark.extra
@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_the_site_builds_and_every_link_and_anchor_is_there(site: Path) -> None:
    broken = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for address in read(page).refers + read(page).loads:
            parts = urlsplit(address)
            if parts.scheme or address.startswith("//"):
                continue
            goal = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            goal = goal / "index.html" if goal.is_dir() else goal
            missing = not goal.is_file()
            if missing or (
                parts.fragment
                and goal.suffix == ".html"
                and unquote(parts.fragment) not in read(goal).anchors | {"__tabbed"}
            ):
                broken.append(f"{page.relative_to(site)}: {address}")
    assert broken == []


@pytest.mark.extra
@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    foreign = [
        f"{page.relative_to(site)}: {address}"
        for page in site.rglob("*.html")
        for address in read(page).loads
        if urlsplit(address).netloc
    ]
    assert foreign == []
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\"']+", styles) == []


@pytest.mark.extra
@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_every_public_name_has_its_reference(site: Path) -> None:
    hooks = tool("site_hooks")
    there = {anchor for page in (site / "reference").glob("*.html") for anchor in read(page).anchors}
    wanted = {hooks.home_of(name, module) for name, module in hooks.public_names().items()}
    assert wanted - there == set()
