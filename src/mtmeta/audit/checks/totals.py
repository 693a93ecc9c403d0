"""Published numbers of trials and participants against what the records add up to."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator

from mtmeta.audit.analysis import Analysis
from mtmeta.audit.findings import Finding, Severity
from mtmeta.audit.run import AnalysisRun
from mtmeta.records.folder import Studies

__all__ = ["contradicted_totals", "contradicted_weights", "off_centre_pools"]

_LOGGED = frozenset({"OR", "RR", "HR", "IRR", "PETO", "ROM"})

_SOURCE = "Cochrane Handbook 14.1.6 (summary of findings: participants and studies)"


def contradicted_totals(runs: Iterable[tuple[str, AnalysisRun]]) -> Iterator[Finding]:
    """Hold the k and n that reviews print against the sums of the rows pooled for them.

    Parameters
    ----------
    runs : iterable of (str, AnalysisRun)
        Path of each analysis file and its run.

    Yields
    ------
    Finding
        A note where the analysis file names the printed number a known fault.
    """
    for path, run in runs:
        for item in run.published:
            printed = item.published
            for what, said, ours, agrees in (
                ("k", printed.k, item.k, item.k_agrees),
                ("n", printed.n, item.n, item.n_agrees),
            ):
                if agrees is not False or said is None or ours is None or item.effects is None:
                    continue
                known = (what in printed.known_faults) or (
                    printed.compare != "numbers" and printed.why is not None
                )
                severity: Severity = "note" if known else "suspect"
                unit = "trials" if what == "k" else "participants"
                yield Finding(
                    "published-total",
                    severity,
                    path,
                    0,
                    tuple(dict.fromkeys(str(s) for s in item.effects.study)),
                    f"{printed.label}: {said} {unit} are printed, the rows add up to {ours}"
                    + (" (known)" if known else ""),
                    {"printed": float(said), "ours": float(ours)},
                    "count the forest's rows; a trial may be missing, twice, or other people than printed",
                    _SOURCE,
                )


def off_centre_pools(analyses: Iterable[tuple[str, Analysis]]) -> Iterator[Finding]:
    """Find published pooled estimates that are not in the middle of their interval, rounding allowed for.

    The interval of a pooled estimate is the estimate plus and minus the same, for ratios on the log scale.
    """
    for path, analysis in analyses:
        for printed in analysis.published:
            if printed.estimate is None or printed.ci is None:
                continue
            digits = [d.replace("−", "-") for d in (printed.estimate, *printed.ci)]
            estimate, low, high = (float(d) for d in digits)
            units = [0.5 * 10.0 ** -len(d.partition(".")[2]) for d in digits]
            if printed.measure in _LOGGED:
                if min(estimate, low, high) <= 0:
                    continue
                units = [u / x for u, x in zip(units, (estimate, low, high), strict=True)]
                estimate, low, high = math.log(estimate), math.log(low), math.log(high)
            gap = abs(estimate - (low + high) / 2.0)
            if gap <= units[0] + (units[1] + units[2]) / 2.0 + 1e-9:
                continue
            known = bool({"estimate", "ci"} & set(printed.known_faults))
            yield Finding(
                "published-off-centre",
                "note" if known else "suspect",
                path,
                0,
                (analysis.name,),
                f"{printed.label}: {printed.estimate} is not in the middle of [{', '.join(printed.ci)}]"
                + (" (known)" if known else ""),
                {"estimate": float(digits[0]), "ci_low": float(digits[1]), "ci_high": float(digits[2])},
                "look the three up; a digit may be lost, or the interval is of another kind",
                _SOURCE,
            )


def contradicted_weights(studies: Studies) -> Iterator[Finding]:
    """Hold the weights printed in a forest against 100 percent, where every row of it carries one."""
    forests: dict[str, list[tuple[str, str, float | None]]] = defaultdict(list)
    for study in studies:
        for outcome in study.outcomes:
            told = outcome.reported
            weight = None if told is None else told.weight_percent
            for forest in outcome.used_in:
                forests[forest].append((study.id, outcome.id, weight))
    for forest, rows in forests.items():
        weights = [w for _, _, w in rows if w is not None]
        if len(rows) < 2 or len(weights) < len(rows) or abs(sum(weights) - 100.0) <= 0.05 * len(rows) + 0.01:
            continue
        first = rows[0]
        yield Finding(
            "weights-do-not-add-up",
            "suspect" if sum(weights) > 100.0 else "note",
            studies.path_of(first[0]),
            studies.line_of(first[0], first[1]),
            tuple(f"{s}/{o}" for s, o, _ in rows),
            f"{forest}: the printed weights add up to {sum(weights):.1f}%",
            {"sum": sum(weights)},
            "a row of the forest is missing, twice, or stands in another subgroup",
            _SOURCE,
        )
