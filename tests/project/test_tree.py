"""What the repository may hold: no place or host of one machine, locks with hashes, modules of one idea."""

from __future__ import annotations

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("run", "dev", "all", "lock")

# Spelled with brackets so that this file passes its own test.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+)/",
    "a folder outside the repository": r"\.\./share[d]",
    "a package registry's host": r"py[p]i\.(org|io)|python[h]osted|deb\.debi[a]n|np[m]js\.|anacond[a]\.",
    "an install of ours from an index": r"pip3? install (-\S+ )*mtmet[a]\b",
    "a merge left half done": r"^(<{7}|>{7}) ",
}


@cache
def tracked() -> tuple[Path, ...]:
    """Files under version control and files about to be."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listing.returncode != 0:
        pytest.skip(
            "not a git checkout, so which files belong to it is unknown: " + listing.stderr.decode().strip()
        )
    names = [name for name in listing.stdout.decode().split("\0") if name]
    return tuple(path for name in names if (path := ROOT / name).is_file())


def text_of(path: Path) -> str | None:
    data = path.read_bytes()
    return None if b"\0" in data else data.decode("utf-8", errors="replace")


def hits(pattern: str, paths: tuple[Path, ...]) -> list[str]:
    found: list[str] = []
    for path in paths:
        if (text := text_of(path)) is not None:
            found += [
                f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}"
                for match in re.finditer(pattern, text, flags=re.MULTILINE)
            ]
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    assert hits(FORBIDDEN[what], tracked()) == []


@pytest.mark.parametrize(
    ("what", "planted"),
    [
        ("a path of one machine", "see /wor" + "k/data.csv"),
        ("a path of one machine", "open('/hom" + "e/ann/x')"),
        ("a folder outside the repository", "cp ../share" + "d/x ."),
        ("a package registry's host", "https://py" + "pi.org/simple"),
        ("an install of ours from an index", "pip install -U mtmet" + "a"),
        ("a merge left half done", "<" * 7 + " HEAD"),
    ],
)
def test_the_patterns_find_what_they_look_for(what: str, planted: str) -> None:
    assert re.search(FORBIDDEN[what], planted, flags=re.MULTILINE)


def test_every_text_file_is_utf8_with_unix_lines_and_ends_in_one_newline() -> None:
    wrong = []
    for path in tracked():
        data = path.read_bytes()
        if (
            not data or b"\0" in data or path.is_relative_to(ROOT / "tests/records/bad")
        ):  # one fault each there
            continue
        data.decode("utf-8")
        if b"\r" in data or not data.endswith(b"\n") or data.endswith(b"\n\n"):
            wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_a_module_is_one_idea() -> None:
    """At most 650 lines: about 600 is the house rule, and past it a module is two ideas."""
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for path in tracked()
        if path.suffix == ".py" and path.is_relative_to(ROOT / "src")
    }
    assert {name: lines for name, lines in lengths.items() if lines > 650} == {}


# ---- locks ----


def pins(name: str) -> dict[str, str]:
    """Return ``{package: version}`` of a lock; each pin exact, hashed and the only one of its package."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    found = {}
    for entry in entries:
        head, *hashes = [line.strip().rstrip("\\").strip() for line in entry.split("\n")]
        match = re.fullmatch(r"([a-z0-9][a-z0-9._-]*)==(\S+)( ; .+)?", head)
        assert match, f"{name}.txt: {head!r} is not an exact pin"
        assert hashes, f"{name}.txt: {head} has no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), (
            f"{name}.txt: {head}"
        )
        assert match[1] not in found, f"{name}.txt: {match[1]} is pinned twice"
        found[match[1]] = match[2]
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_package_with_hashes_and_names_no_host(name: str) -> None:
    assert pins(name)
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_the_locks_are_resolved_together() -> None:
    everything, dev, run = pins("all"), pins("dev"), pins("run")
    assert run.items() <= dev.items() <= everything.items()


def test_the_locks_cover_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    run, everything = pins("run"), pins("all")

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=!~;\[ ]", requirement)[0].lower() for requirement in requirements}

    assert names(project["project"]["dependencies"]) <= run.keys()
    assert names(project["build-system"]["requires"]) <= run.keys()
    for extra, requirements in project["project"]["optional-dependencies"].items():
        assert names(requirements) <= everything.keys(), extra


def test_one_version_in_every_place() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    cited = re.search(
        r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert cited is not None
    assert cited[1] == version
