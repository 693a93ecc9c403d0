"""Write docs/claims.md, and draw its evidence gap maps, from a run of the shipped analyses.

Run ``python tools/claims_page.py``; ``--check`` draws nothing, tells whether the committed page is what a run
gives, and ends with 1 if it is not.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mtmeta.audit.claims import Claims, ClaimVerdict, PartVerdict, judge, read_claims
from mtmeta.audit.files import read_analyses
from mtmeta.audit.gaps import evidence_cells
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.figures import alt_text, draw_layout
from mtmeta.figures.files import render, write_together
from mtmeta.measures import Interval
from mtmeta.records.files import write_atomic
from mtmeta.records.folder import Studies, read_studies
from mtmeta.reports.gap_maps import all_approaches, all_conditions, gap_maps
from mtmeta.reports.words import estimate_ci, interval

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "claims.md"
MAPS = {"approach": "claims-approach.png", "outcome": "claims-outcome.png"}
DPI = 160

HEAD = """\
# What a lay article claims, and what the trials here show

A lay article on music therapy and mental health makes the twelve statements below, told in our words.
`mtmeta claims` holds each against the pooled trials by written rules and audits its references;
`python tools/claims_page.py` writes this page from a run. It is about the statements, not about whether music
helps: "not tested here" means that no trial in `studies/` can tell.

## The rules

{rules}
A statement of one's own stands in a file `NAME-claims.yaml` like this, and `mtmeta claims FILE` judges it:

```yaml
schema: 1
source: a leaflet
works: {{}}
claims:
  - id: C1
    says: Music calms ventilated patients.
    parts:
      - says: lowers anxiety
        construct: anxiety          # what was measured
        condition: icu              # whom it is about
        comparator: inactive        # against what
        analysis: icu-anxiety       # the question that tests it; without one, `why` nothing does
        clear: false                # "clearly", "much": needs moderate certainty
        general: true               # said of every setting: the prediction interval counts
        would_change: a prediction interval without zero
```

Certainty is what the rules of [GRADE](grade.md) propose; no person has judged these questions yet, and
whether people, music and comparison are the right ones (indirectness) is judged by no rule, so that the
certainty shown is an upper bound. What would change a verdict is computed where it can be: each trial is left
out in turn, the review's own method is tried where it reproduces the printed figure, and trials of 100 people
that found no difference are added until the interval includes none.

## The verdicts

"""


def _rules() -> str:
    """Return the rules as the module that applies them tells them."""
    import mtmeta.audit.claims as module

    text = str(module.__doc__).partition("\n\n")[2].strip()
    return text.replace("``", "`") + "\n"


def _trials(k: int) -> str:
    return "1 trial" if k == 1 else f"{k} trials"


def _answer(part: PartVerdict) -> list[str]:
    numbers = part.numbers
    lines = []
    if "estimate" in numbers:
        told = [f"{numbers['measure']} {estimate_ci(numbers['estimate'], Interval(*numbers['ci']))}"]
        told.append(_trials(numbers["k"]))
        if numbers["pi"] is not None:
            told.append(f"95% prediction interval {interval(Interval(*numbers['pi']))}")
        if numbers["certainty"] is not None:
            told.append(f"{numbers['certainty']} certainty")
        lines.append(f"`{part.analysis}`: {', '.join(told)}.")
        printed = numbers["published"]
        if printed is not None:
            limits = "" if printed["ci"] is None else f" [{', '.join(printed['ci'])}]"
            label = printed["label"].removeprefix(f"{printed['review']} ")
            figure = f"{printed['measure']} {printed['estimate']}{limits}".replace("−", "-")
            lines.append(f"Beside it {printed['review']}, {label}: {figure}.")
    for name, group in numbers.get("groups", {}).items():
        told = [f"{group['measure']} {estimate_ci(group['estimate'], Interval(*group['ci']))}"]
        lines.append(f"{name.capitalize()}: {told[0]}, {_trials(group['k'])}.")
    return lines


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return text[:1].upper() + text[1:] + "."


def _claim(verdict: ClaimVerdict) -> list[str]:
    lines = [f"### {verdict.id}: {verdict.verdict}", "", f"> {verdict.says}", ""]
    for part in verdict.parts:
        lines.append(f"- **{part.says}: {part.verdict}.** {_sentence(part.because)}")
        lines += [f"  {line}" for line in _answer(part)]
        if part.note is not None:
            lines.append(f"  {_sentence(part.note)}")
        computed = [_sentence(line) for line in part.sensitivity]
        lines.append(f"  *What would change it*: {' '.join([_sentence(part.would_change), *computed])}")
    if verdict.references:
        lines += ["", "References:", ""]
        lines += [f"- {line}" for line in verdict.references]
    return [*lines, ""]


def _summary(verdicts: tuple[ClaimVerdict, ...]) -> list[str]:
    lines = ["| claim | verdict | its parts |", "|---|---|---|"]
    for v in verdicts:
        parts = "; ".join(f"{p.says}: {p.verdict}" for p in v.parts)
        lines.append(f"| [{v.id}](#{v.id.lower()}-{v.verdict.replace(' ', '-')}) | {v.verdict} | {parts} |")
    return [*lines, ""]


def _plain(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")


def _cells(studies: Studies) -> list[str]:
    """List the three-way map as a table: outcomes a condition and approach, with trials."""
    cells = evidence_cells(studies)
    lines = ["| condition | approach | outcomes, with trials |", "|---|---|---|"]
    for condition in all_conditions():
        own = cells[cells["condition"] == condition]
        if own.empty:
            lines.append(f"| {condition} | – | none |")
        for approach in all_approaches():
            part = own[own["approach"] == approach]
            if part.empty:
                continue
            counts = part.groupby("outcome")["study"].nunique()
            ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
            told = ", ".join(f"{name} {number}" for name, number in ordered)
            lines.append(f"| {condition} | {approach} | {told} |")
    return [*lines, ""]


def page(claims: Claims, studies: Studies, runs: list[AnalysisRun]) -> str:
    """Return the page."""
    verdicts = judge(claims, runs)
    drawn = gap_maps(claims, studies, runs)
    lines = _summary(verdicts)
    for verdict in verdicts:
        lines += _claim(verdict)
    lines += [
        "## Where trials are, and where not",
        "",
        "Circles hold the number of trials with a result in `studies/`, empty cells none. A trial of two",
        "conditions stands under both. In the second map colour is the certainty of the question that pools",
        "the cell (white: not pooled by itself). It shows the outcomes that the article names or ten trials",
        "measured, and of the conditions without any trial those that the article names.",
        "",
        *(f"![{_plain(alt_text(drawn[name]))}]({file})\n" for name, file in MAPS.items()),
        "Condition × approach × outcome, as numbers of trials:",
        "",
        *_cells(studies),
    ]
    return HEAD.format(rules=_rules()) + "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    studies = read_studies(ROOT / "studies")
    runs = [run_analysis(item.analysis, studies) for item in read_analyses([ROOT / "analyses"])]
    claims = read_claims(ROOT / "analyses" / "claims.yaml")
    text = page(claims, studies, runs)
    if "--check" in arguments:
        missing = [file for file in MAPS.values() if not (PAGE.parent / file).is_file()]
        held = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        if missing or not held:
            sys.stderr.write("docs/claims.md is not what a run gives; run python tools/claims_page.py\n")
            return 1
        return 0
    drawn = {}
    for name, layout in gap_maps(claims, studies, runs).items():
        figure = draw_layout(layout).get_figure(root=True)
        assert figure is not None
        drawn[PAGE.parent / MAPS[name]] = render(figure, "png", dpi=DPI)
    write_together(drawn)
    write_atomic(PAGE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
