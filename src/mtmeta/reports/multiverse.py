"""What a multiverse shows: its numbers as plain data, and in words that are computed from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mtmeta.audit.multiverse import Curve, MultiverseRun, Point
from mtmeta.diagnostics.chunks import Cluster, Progress
from mtmeta.diagnostics.multiverse import Multiverse
from mtmeta.diagnostics.multiverse_flips import MultiverseTest, multiverse_test
from mtmeta.measures import Interval
from mtmeta.models.words import p_text
from mtmeta.reports.words import back, estimate_ci, fixed, significant

if TYPE_CHECKING:
    from mtmeta.figures.layout.plot import GridLayout

__all__ = [
    "curve_layouts",
    "extremes",
    "joint_test",
    "multiverse_layout",
    "multiverse_summary",
    "multiverse_words",
    "save_multiverse",
]


def joint_test(
    run: MultiverseRun,
    *,
    flips: int = 999,
    seed: int = 0,
    cluster: Cluster = None,
    progress: Progress | None = None,
) -> MultiverseTest:
    """Test the curve on the analysis' own measure, two-sided; see ``multiverse_test``."""
    return multiverse_test(run.main.answers, flips=flips, seed=seed, cluster=cluster, progress=progress)


# words ------------------------------------------------------------------------------------------------------


def multiverse_words(run: MultiverseRun, test: MultiverseTest | None = None) -> tuple[str, ...]:
    """Say what a multiverse shows, a sentence an item, every number computed.

    Parameters
    ----------
    run : MultiverseRun
    test : MultiverseTest, optional
        Of the main curve; its p-values join the words.

    Returns
    -------
    tuple of str
        How many answers and how they spread, on which side of the null, by kind of alternative, which choice
        moves the estimate most, the joint test, and what has no answer. Nothing is called robust or fragile:
        that is the reader's.
    """
    said = [_how_many(run)]
    for code, curve in run.curves.items():
        said += _curve_words(run, code, curve)
    if test is not None:
        said.append(_test_words(test))
    if run.not_computed:
        first = run.not_computed[0]
        how_many = _count(len(run.not_computed), "combination has", "combinations have")
        said.append(f"{how_many} no answer, the first of them because {first.reason.splitlines()[0]}.")
    return tuple(said)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _how_many(run: MultiverseRun) -> str:
    declared = run.analysis.multiverse
    assert declared is not None
    parts = ", ".join(f"{c.choice} ({len(c.options)})" for c in declared.choices)
    ruled = f"; {run.impossible:,} further combinations exclude each other" if run.impossible else ""
    return f"{_count(len(run.points), 'analysis', 'analyses')} from the choices {parts}{ruled}."


def _curve_words(run: MultiverseRun, code: str, curve: Curve) -> list[str]:
    answers, measure = curve.answers, curve.answers.measure
    frame = answers.to_frame()
    spread = answers.vibration()
    low, high = measure.back(frame["estimate"].min()), measure.back(frame["estimate"].max())
    middle = measure.back(spread["median"])
    said = [
        f"{code}: {_count(len(frame), 'estimate', 'estimates')} from {fixed(low)} to {fixed(high)}, median "
        f"{fixed(middle)}; 98% of them lie between {fixed(measure.back(spread['p1']))} and "
        f"{fixed(measure.back(spread['p99']))}, "
        + ("which are on different sides of the null." if spread["janus"] else "on one side of the null.")
    ]
    if curve is run.main:
        first = frame.iloc[0]
        own = estimate_ci(*back(measure, first["estimate"], Interval(first["ci_low"], first["ci_high"])))
        rank = float((frame["estimate"] < first["estimate"]).mean())
        said.append(f"The analysis itself says {own}; {rank:.0%} of the estimates are lower.")
    said.append(_share_words(run, answers, "Of all analyses"))
    for kinds, words in _NESTED:
        some = curve.of_kind(*kinds)
        if some is not None and len(some.specifications) < len(curve.points):
            said.append(_share_words(run, some, f"Of the {len(some.specifications):,} {words}"))
    if len(frame) > 1:
        said.append(_moves(answers))
    return said


_NESTED: tuple[tuple[tuple[Literal["equivalent", "uncertain", "non-equivalent"], ...], str], ...] = (
    (("equivalent",), "made of equivalent alternatives only"),
    (("equivalent", "uncertain"), "without non-equivalent alternatives"),
)


def _share_words(run: MultiverseRun, answers: Multiverse, who: str) -> str:
    shares = answers.shares()
    good, bad = ("below", "above") if run.analysis.better == "lower" else ("above", "below")
    level = f"{100 * answers.level:g}%"
    return (
        f"{who}, {_percent(shares[good])} have a {level} interval wholly on the side of benefit, "
        f"{_percent(shares[bad])} wholly on the side of harm, and {_percent(shares['inconclusive'])} "
        "one that holds the null."
    )


def _percent(share: float) -> str:
    """Write a share as a percentage that is 0 or 100 only when it is exactly that."""
    if 0.0 < share < 0.005:
        return "less than 1%"
    if 0.995 < share < 1.0:
        return "more than 99%"
    return f"{share:.0%}"


def _moves(answers: Multiverse) -> str:
    parts = answers.decomposition().set_index("choice")["alone"]
    parts = parts.dropna()
    if parts.empty:
        return "No choice moves the estimate."
    rest = float(parts.pop("interactions"))
    ranked = parts.sort_values(ascending=False, kind="stable")
    listed = ", ".join(f"{name} {_percent(max(0.0, value))}" for name, value in ranked.items())
    return (
        f"The estimate is moved most by the choice of {ranked.index[0]}; shares of its variance, each choice "
        f"by itself: {listed}; what all choices together do not add up to: {_percent(max(0.0, rest))}."
    )


def _test_words(test: MultiverseTest) -> str:
    how = f"all {test.flips:,}" if test.exact else f"{test.flips:,} random"
    p = test.pvalues
    return (
        "Were every trial's effect as likely above the null as below it, a median estimate so far from it "
        f"would have {p_text(p['median'])}, so large a share of intervals on one side {p_text(p['share'])}, "
        f"and so large a sum of z values {p_text(p['stouffer'])} ({how} sign flips of {test.trials} trials "
        f"through {test.specifications:,} analyses)."
    )


# data -------------------------------------------------------------------------------------------------------


def extremes(curve: Curve) -> list[tuple[str, Point, dict[str, float]]]:
    """Return the first, lowest, median and highest point of a curve with their numbers."""
    frame = curve.answers.to_frame()
    order = frame["estimate"].argsort(kind="stable").to_list()
    found = [
        ("lowest", order[0]),
        ("middle", order[(len(order) - 1) // 2]),
        ("highest", order[-1]),
    ]
    if curve.points[0].number == 1:
        found.insert(0, ("the analysis", 0))
    columns = ("estimate", "ci_low", "ci_high", "tau2", "k")
    return [(name, curve.points[i], {c: float(frame[c].iloc[i]) for c in columns}) for name, i in found]


def multiverse_summary(run: MultiverseRun, test: MultiverseTest | None = None) -> dict[str, Any]:
    """Return a multiverse as plain data: counts, curves with every point, joint test, words.

    Estimates and intervals are on the scale people read, ``se`` and ``tau2`` on the scale of analysis, all
    at 12 significant digits.
    """
    return {
        "name": run.analysis.name,
        "title": run.analysis.title,
        "points": len(run.points),
        "impossible": run.impossible,
        "choices": _choices(run),
        "curves": [_curve(run, code, curve) for code, curve in run.curves.items()],
        "test": None if test is None else _test(test),
        "not_computed": [
            {"number": x.number, "choices": dict(x.choices), "reason": x.reason} for x in run.not_computed
        ],
        "words": list(multiverse_words(run, test)),
        "warnings": list(run.warnings),
    }


def _choices(run: MultiverseRun) -> list[dict[str, Any]]:
    declared = run.analysis.multiverse
    assert declared is not None
    return [
        {
            "choice": c.choice,
            "main": c.main,
            "alternatives": [{"option": a.option, "kind": a.kind, "why": a.why} for a in c.alternatives],
        }
        for c in declared.choices
    ]


def _curve(run: MultiverseRun, code: str, curve: Curve) -> dict[str, Any]:
    answers = curve.answers
    moved = answers.measure.back
    rows = []
    for row in curve.to_frame().to_dict("records"):
        point: dict[str, Any] = {"number": int(row["number"]), "kind": row["kind"]}
        point["choices"] = {c: row[c] for c in answers.choices}
        point["estimate"] = significant(moved(row["estimate"]))
        point["ci"] = [significant(moved(row["ci_low"])), significant(moved(row["ci_high"]))]
        point |= {c: _number(row[c]) for c in ("se", "pvalue", "tau2", "i2")}
        rows.append({**point, "k": int(row["k"])})
    parts = answers.decomposition()
    return {
        "measure": code,
        "level": answers.level,
        "shares": {n: _number(v) for n, v in answers.shares().items()},
        "vibration": {n: v if isinstance(v, bool) else _number(v) for n, v in answers.vibration().items()},
        "decomposition": [
            {"choice": c, "alone": _number(a), "unique": _number(u)}
            for c, a, u in parts.itertuples(index=False)
        ],
        "points": rows,
    }


def _number(value: Any) -> float | None:
    """Return a number at 12 significant digits, None for one that is not there."""
    value = float(value)
    return significant(value) if value - value == 0.0 else None


def _test(test: MultiverseTest) -> dict[str, Any]:
    return {
        "observed": {n: significant(v) for n, v in test.observed.items()},
        "pvalues": {n: significant(v) for n, v in test.pvalues.items()},
        "flips": test.flips,
        "exact": test.exact,
        "trials": test.trials,
        "analyses": test.specifications,
        "alternative": test.alternative,
    }


# figure -----------------------------------------------------------------------------------------------------


def multiverse_layout(run: MultiverseRun, curve: Curve | None = None, *, style: str = "plain") -> GridLayout:
    """Return the specification curve of a measure, the analysis itself marked."""
    from mtmeta.figures.layout.multiverse import specification_layout

    chosen = run.main if curve is None else curve
    return specification_layout(
        chosen.answers,
        main=0 if chosen.points[0].number == 1 else None,
        title=run.analysis.title,
        style=style,  # type: ignore[arg-type]  # checked there
    )


def curve_layouts(run: MultiverseRun) -> Iterator[tuple[str, GridLayout]]:
    """Yield the curve of each measure with the name of its file: a further measure has its code there."""
    for code, curve in run.curves.items():
        suffix = "" if curve is run.main else f"-{code.lower()}"
        yield f"{run.analysis.name}-multiverse{suffix}", multiverse_layout(run, curve)


def save_multiverse(
    run: MultiverseRun, folder: Path, *, formats: tuple[str, ...] = ("svg", "pdf", "png"), dpi: float = 300
) -> tuple[Path, ...]:
    """Draw the specification curve of each measure as ``NAME-multiverse`` with its layout.

    A further measure has its code in the name. All files of a curve are written or none.
    """
    from mtmeta.figures.draw.plot import draw_plot, plot_axes
    from mtmeta.figures.files import save
    from mtmeta.figures.layout.words import alt_text

    written: list[Path] = []
    for name, layout in curve_layouts(run):
        figure = draw_plot(layout, plot_axes(layout)).get_figure(root=True)
        assert figure is not None
        path = folder / name
        written += save(figure, path, formats=formats, dpi=dpi, alt=alt_text(layout), layout=layout)
    return tuple(written)
