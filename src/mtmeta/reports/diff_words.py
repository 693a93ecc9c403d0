"""What changed between two states of a review, as lines of text and as one page without script."""

from __future__ import annotations

import html
from collections.abc import Iterator

from mtmeta.reports.diff import AnalysisDiff
from mtmeta.reports.verify import Moved, shown

__all__ = ["diff_html", "diff_lines"]

# the numbers of an answer that people read; all others stand in --json
_READ = ("k", "n", "estimate", "ci low", "ci high", "pi low", "pi high", "tau2", "i2")
_NAMES = {
    "k": "trials (k)",
    "n": "participants (n)",
    "estimate": "estimate",
    "ci low": "interval, lower end",
    "ci high": "interval, upper end",
    "pi low": "prediction interval, lower end",
    "pi high": "prediction interval, upper end",
    "tau2": "variance between trials (τ²)",
    "i2": "I², %",
}


def _read(item: AnalysisDiff) -> tuple[Moved, ...]:
    return () if item.verdict is None else tuple(m for m in item.verdict.moved if m.name in _READ)


def _headline(item: AnalysisDiff) -> Iterator[str]:
    """Say first what matters most: the conclusion, then the certainty."""
    if item.conclusion_changed:
        yield f"conclusion: {item.conclusion_then} became {item.conclusion_now}"
    elif item.verdict is not None:
        yield f"conclusion: {item.conclusion_now}, as before"
    else:
        yield f"conclusion: {item.conclusion_now or item.conclusion_then}"
    if item.certainty_changed:
        yield f"certainty: {item.certainty_then} became {item.certainty_now}"
    elif item.certainty_now is not None and item.certainty_then is not None:
        yield f"certainty: {item.certainty_now}, as before"
    elif item.certainty_now is not None:
        yield f"certainty: {item.certainty_now}"


def diff_lines(item: AnalysisDiff) -> Iterator[str]:
    """Yield the lines of one question."""
    yield f"{item.name}: {item.status}"
    for line in _headline(item):
        yield f"  {line}"
    for what, names in item.trials.items():
        if names:
            yield f"  {what}: {', '.join(names)}"
    if item.verdict is not None:
        if item.verdict.causes:
            yield f"  moved by: {', '.join(item.verdict.causes)}"
        for change in item.verdict.changes:
            yield f"  {change}"
    for moved in _read(item):
        yield f"  {moved.name}: {shown(moved.old)} is now {shown(moved.new)}"
    for study, by in item.moved_by.items():
        yield f"  {study} moves the estimate by {by:+.3g}"


# ---- as a page ----------------------------------------------------------------------------

_STYLE = """
:root{--ink:#1b1b1b;--soft:#595959;--line:#d0d0d0;--ground:#fff;--mark:#8a3b00}
@media (prefers-color-scheme:dark){
:root{--ink:#e8e8e8;--soft:#a8a8a8;--line:#444;--ground:#151515;--mark:#ffb37a}}
body{font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:56rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}
h2{font-size:1.15rem;margin:2.2rem 0 .2rem;border-top:1px solid var(--line);padding-top:1rem}
h3{font-size:1rem;margin:1rem 0 .2rem}
p{margin:.3rem 0}.soft{color:var(--soft)}.mark{color:var(--mark);font-weight:600}
table{border-collapse:collapse;margin:.3rem 0 .8rem}
th,td{padding:.2rem 1.4rem .2rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}ul{margin:.2rem 0;padding-left:1.2rem}
a{color:inherit}
@media print{h2{break-after:avoid}table{break-inside:avoid}}
"""


def diff_html(differences: tuple[AnalysisDiff, ...], *, old: str, new: str) -> str:
    """Return the differences as one page without script; all text is escaped."""
    e = html.escape
    changed = [item for item in differences if item.status != "same"]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">",
        f"<title>{e(old)} to {e(new)}</title>",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>What changed from {e(old)} to {e(new)}</h1>",
    ]
    if not changed:
        parts.append(f"<p>Nothing changed in {len(differences)} questions.</p>")
    else:
        parts.append(f"<p>{len(changed)} of {len(differences)} questions changed.</p>")
        parts.append(_overview(changed))
        parts += [_section(item) for item in changed]
    return "\n".join([*parts, "</body></html>\n"])


def _overview(changed: list[AnalysisDiff]) -> str:
    """One line a question: what it concludes, how certain, how many trials came and went."""
    e = html.escape
    rows = []
    for item in changed:
        trials = ", ".join(f"{len(names)} {what}" for what, names in item.trials.items() if names)
        rows.append(
            f'<tr><td><a href="#{e(item.name, quote=True)}">{e(item.title)}</a></td><td>{item.status}</td>'
            f"<td>{_then_now(item.conclusion_then, item.conclusion_now)}</td>"
            f"<td>{_then_now(item.certainty_then, item.certainty_now)}</td><td>{e(trials) or '–'}</td></tr>"
        )
    head = "<tr><th>question</th><th></th><th>conclusion</th><th>certainty</th><th>trials</th></tr>"
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _then_now(then: str | None, now: str | None) -> str:
    if then is None or now is None or then == now:
        return html.escape(now or then or "–")
    return f'<span class="mark">{html.escape(then)} → {html.escape(now)}</span>'


def _section(item: AnalysisDiff) -> str:
    e = html.escape
    parts = [
        f'<h2 id="{e(item.name, quote=True)}">{e(item.title)}</h2>',
        f'<p class="soft">{e(item.name)}: {item.status}'
        + (f"; moved by {e(', '.join(item.verdict.causes))}" if item.verdict and item.verdict.causes else "")
        + "</p>",
    ]
    marked = (item.conclusion_changed, item.certainty_changed)
    for line, mark in zip(_headline(item), (*marked, False), strict=False):
        parts.append(f'<p class="mark">{e(line)}</p>' if mark else f"<p>{e(line)}</p>")
    if numbers := _read(item):
        rows = "".join(
            f'<tr><td>{_NAMES[m.name]}</td><td class="n">{e(shown(m.old))}</td>'
            f'<td class="n">{e(shown(m.new))}</td><td>{e(_shares(m))}</td></tr>'
            for m in numbers
        )
        parts.append(
            '<h3>The answer</h3><div class="wide"><table><tr><th></th><th class="n">then</th>'
            f'<th class="n">now</th><th>moved by</th></tr>{rows}</table></div>'
        )
    if item.moved_by:
        what = {name: word for word, names in item.trials.items() for name in names}
        rows = "".join(
            f'<tr><td>{e(study)}</td><td>{what.get(study, "")}</td><td class="n">{by:+.3g}</td></tr>'
            for study, by in item.moved_by.items()
        )
        parts.append(
            '<h3>Trials that move it</h3><div class="wide"><table><tr><th>trial</th><th></th>'
            f'<th class="n">moves the estimate by</th></tr>{rows}</table></div>'
        )
    if item.verdict is not None and item.verdict.changes:
        lines = "".join(f"<li>{e(change)}</li>" for change in item.verdict.changes)
        parts.append(f"<h3>What was changed</h3><ul>{lines}</ul>")
    return "\n".join(parts)


def _shares(moved: Moved) -> str:
    return ", ".join(f"{cause} {by:+.3g}" for cause, by in moved.causes.items() if by)
