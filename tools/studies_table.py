"""Write the tables of studies/README.md: what the records hold, by condition and by trial.

Run ``python tools/studies_table.py`` after a change of the records. The tables stand between two marker
lines; everything else in the file is left as it is. ``--check`` only tells whether they are up to date, and
ends with 1 if they are not.
"""

from __future__ import annotations

import html
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mtmeta.records.files import write_atomic
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.schema import Study

FOLDER = Path(__file__).parent.parent / "studies"
README = FOLDER / "README.md"
BEGIN = "<!-- tables: written by tools/studies_table.py, do not edit by hand -->"
END = "<!-- end of tables -->"
OWN = "the trial's report"


def tables(studies: Studies) -> str:
    """Return both tables as Markdown."""
    conditions = sorted({condition for study in studies for condition in study.conditions})
    lines = [
        "| condition | trials | without outcomes | outcomes | outcomes by source | flags |",
        "|---|---:|---:|---:|---|---|",
    ]
    lines += [_summary(condition, studies.of_condition(condition)) for condition in conditions]
    lines.append(_summary("**all**", studies))
    lines += [
        "",
        "A trial of several conditions counts in each of them, and once in the last row.",
        "",
    ]
    for condition in conditions:
        chosen = studies.of_condition(condition)
        lines += [
            f"<details><summary>{condition}: {_count(len(chosen), 'trial')}</summary>",
            "",
            "| record | randomised | outcomes | sources | flags |",
            "|---|---:|---|---|---|",
            *(_row(study, path) for study, path in zip(chosen, chosen.paths, strict=True)),
            "",
            "</details>",
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _summary(name: str, studies: Studies) -> str:
    outcomes = [outcome for study in studies for outcome in study.outcomes]
    cells = [
        name,
        str(len(studies)),
        str(sum(not study.outcomes for study in studies)),
        str(len(outcomes)),
        _counted(outcome.source.cite or OWN for outcome in outcomes),
        _counted(flag.code for study in studies for flag in study.flags),
    ]
    return f"| {' | '.join(cells)} |"


def _row(study: Study, path: str) -> str:
    cells = [
        f"[{_cell(study.label)}]({path})",
        "" if study.design.n_randomised is None else str(study.design.n_randomised),
        _counted(outcome.construct_ for outcome in study.outcomes),
        _counted((outcome.source.cite or OWN for outcome in study.outcomes), numbers=False),
        _counted(flag.code for flag in study.flags),
    ]
    return f"| {' | '.join(cells)} |"


def _counted(words: Iterable[str], *, numbers: bool = True) -> str:
    """List words with how often each stands, the most frequent first."""
    counts = sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{_cell(word)} {n}" if numbers and n > 1 else _cell(word) for word, n in counts)


def _cell(text: str) -> str:
    """Make record text safe inside a table cell."""
    escaped = html.escape(text, quote=False)
    return "".join(f"\\{c}" if c in "|[]*_`\\" else c for c in escaped)


def _count(number: int, word: str) -> str:
    return f"1 {word}" if number == 1 else f"{number} {word}s"


def updated(text: str, new: str) -> str:
    """Put new tables between the markers of a text.

    Raises
    ------
    ValueError
        When the markers do not stand there once each, in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError(f"{README.name} must hold the lines {BEGIN} and {END} once each")
    return f"{before}{BEGIN}\n\n{new}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write the tables, or with ``--check`` compare them."""
    if arguments not in ([], ["--check"]):
        sys.stdout.write(f"{__doc__}\n")
        return 2
    old = README.read_text(encoding="utf-8")
    new = updated(old, tables(read_studies(FOLDER, root=FOLDER)))
    if arguments:
        state = "up to date" if old == new else "old: run python tools/studies_table.py"
        sys.stdout.write(f"the tables of {README.name} are {state}\n")
        return 0 if old == new else 1
    write_atomic(README, new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
