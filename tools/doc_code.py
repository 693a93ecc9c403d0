"""Run the code of the documents and keep what they print true.

Run ``python tools/doc_code.py [PAGE ...]``: all pages, or those named; ``--check`` only tells which are old, and
ends with 1 if any is; ``--r`` runs the blocks of R too, which need Rscript with metafor.

In docs/*.md, in order and in one working folder a page:

- a block ``csv title="trials.csv"`` (or ``yaml title=...``) is written to that file;
- a block ``python`` is run, all of a page in one namespace;
- a block ``console`` holds lines ``$ mtmeta ...`` and below each what it prints; a line of ``...`` stands for what is
  not shown;
- a block ``r`` is run by Rscript, each alone, metafor loaded;
- a block ``text`` straight after ``python`` or ``r`` holds what that block prints.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w+)?([^\n]*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Return the documents that hold code."""
    return [
        path
        for path in sorted(DOCS.glob("*.md"))
        if re.search(r"^```(python|console|r)\b", path.read_text("utf-8"), re.M)
    ]


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run_command(line: str) -> str:
    """Run one ``mtmeta`` command in this process; return what it prints on both streams."""
    from mtmeta.cli import main

    words = shlex.split(line)
    if words[0] == "cd":
        os.chdir(words[1])
        return ""
    if words[0] != "mtmeta":
        raise ValueError(f"documents show mtmeta and cd only, not {line!r}")
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
        main(words[1:])
    return out.getvalue()


def run_r(program: str) -> str:
    """Run a program of R; return what it prints."""
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", "suppressPackageStartupMessages(library(metafor))", "-e", program],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"R failed:\n{done.stderr}")
    return done.stdout


def _shown(old: list[str], printed: str) -> list[str]:
    """Return what is printed, cut where the document cuts it: its first lines before a line of dots, its last after."""
    lines = [line.rstrip() for line in printed.rstrip("\n").splitlines()]
    if "..." not in old:
        return lines
    cut = old.index("...")
    tail = len(old) - cut - 1
    return [*lines[:cut], "...", *(lines[len(lines) - tail :] if tail else [])]


def _console(body: str) -> str:
    out: list[str] = []
    parts = re.split(r"^\$ (.+)$", body, flags=re.MULTILINE)[1:]
    for line, printed in zip(parts[::2], parts[1::2], strict=True):
        old = printed.strip("\n").splitlines()
        out += [f"$ {line}", *_shown(old, run_command(line))]
    return "\n".join(out) + "\n"


def with_outputs(text: str, *, r: bool = False) -> str:
    """Return a page with what its code prints today."""
    names: dict[str, object] = {"__name__": "__page__"}
    printed = ""
    last: str | None = None
    with tempfile.TemporaryDirectory() as folder, _inside(Path(folder)), warnings.catch_warnings():
        warnings.simplefilter("ignore")

        def one(block: re.Match[str]) -> str:
            nonlocal printed, last
            kind, options, body = block[1] or "", block[2], block[3]
            title = re.search(r'title="([^"]+)"', options)
            before, last = last, kind
            if title:
                Path(title[1]).write_text(body, encoding="utf-8")
            elif kind == "python":
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    exec(compile(body, "page", "exec"), names)
                printed = out.getvalue()
            elif kind == "console":
                body = _console(body)
            elif kind == "r" and r:
                printed = run_r(body)
            elif kind == "text" and (before == "python" or (before == "r" and r)):
                body = "\n".join(_shown(body.splitlines(), printed)) + "\n"
            return f"```{kind}{options}\n{body}```"

        return FENCE.sub(one, text)


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them."""
    known = {"--check", "--r"}
    flags, named = set(arguments) & known, [a for a in arguments if a not in known]
    if any(a.startswith("--") for a in named):
        sys.stdout.write(f"{__doc__}\n")
        return 2
    old = []
    for path in [Path(name).resolve() for name in named] or pages():
        text = path.read_text(encoding="utf-8")
        new = with_outputs(text, r="--r" in flags)
        if new != text:
            old.append(path.name)
            if "--check" not in flags:
                path.write_text(new, encoding="utf-8")
    sys.stdout.write(f"{'old' if '--check' in flags else 'written'}: {', '.join(old) or 'none'}\n")
    return 1 if "--check" in flags and old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
