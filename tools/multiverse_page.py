"""Write into docs/multiverse.md what the multiverses of the shipped analyses say.

Run ``python tools/multiverse_page.py`` after a change of the records or of those analyses; ``--check`` only
tells whether the page is up to date, and ends with 1 if it is not.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from mtmeta.audit.files import read_analyses
from mtmeta.audit.multiverse import run_multiverse
from mtmeta.records.files import write_atomic
from mtmeta.records.folder import read_studies
from mtmeta.reports.multiverse import joint_test, multiverse_words

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "multiverse.md"
BLOCK = re.compile(r"(<!-- words: ([a-z-]+) -->\n)(.*?)(<!-- end -->\n)", flags=re.DOTALL)


def page_text() -> str:
    """Return the page with its words computed anew."""
    studies = read_studies(ROOT / "studies")

    def words(match: re.Match[str]) -> str:
        analysis = read_analyses([ROOT / "analyses" / f"{match[2]}.yaml"])[0].analysis
        run = run_multiverse(analysis, studies)
        lines = "".join(f"- {line}\n" for line in multiverse_words(run, joint_test(run)))
        return f"{match[1]}\n{lines}\n{match[4]}"

    return BLOCK.sub(words, PAGE.read_text(encoding="utf-8"))


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` compare it."""
    text = page_text()
    if arguments == ["--check"]:
        same = PAGE.read_text(encoding="utf-8") == text
        sys.stdout.write(f"{PAGE.name} is {'up to date' if same else 'old: run tools/multiverse_page.py'}\n")
        return 0 if same else 1
    write_atomic(PAGE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
