"""Write the table of README.md between its markers from a run of the shipped analyses.

Run ``python tools/readme_table.py``; ``--check`` only tells whether the committed table is what a run gives,
and ends with 1 if it is not.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import run_analysis
from mtmeta.cli.run import HEADERS, question_row
from mtmeta.records.files import write_atomic
from mtmeta.records.folder import read_studies

ROOT = Path(__file__).parent.parent
PATH = ROOT / "README.md"
BEGIN, END = "<!-- table -->", "<!-- /table -->"
SHOWN = (
    "cardiac-anxiety",
    "cardiac-pain",
    "cardiac-heart-rate",
    "icu-anxiety",
    "schizophrenia-sans",
    "dementia-depression",
    "preoperative-stai",
    "insomnia-psqi",
)


def table_text() -> str:
    """Return the table as Markdown."""
    studies = read_studies(ROOT / "studies")
    named = read_analyses([ROOT / "analyses" / f"{name}.yaml" for name in SHOWN])
    rows = [question_row(run_analysis(item.analysis, studies)) for item in named]
    lines = [HEADERS, ["---"] * len(HEADERS), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def with_table(text: str) -> str:
    """Return README's text with the table of today."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table_text()}\n\n{END}{rest.split(END)[1]}"


def main(arguments: list[str]) -> int:
    """Write the table, or with ``--check`` compare it."""
    old = PATH.read_text(encoding="utf-8")
    new = with_table(old)
    if arguments == ["--check"]:
        sys.stdout.write(f"README.md's table is {'as a run gives it' if old == new else 'old'}\n")
        return 0 if old == new else 1
    if arguments:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    write_atomic(PATH, new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
