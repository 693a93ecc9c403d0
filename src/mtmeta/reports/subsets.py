"""All subsets of the trials of a question, and simulated repeats of it: numbers to words and plain data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mtmeta.audit.run import AnalysisRun
from mtmeta.diagnostics.simulation import Simulation
from mtmeta.reports.words import back, count, fixed, percent, significant

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "save_subsets",
    "simulation_summary",
    "simulation_words",
    "subsets_summary",
    "subsets_words",
]

_QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)


def subsets_summary(run: AnalysisRun, table: pd.DataFrame) -> dict[str, Any]:
    """Tell what all subsets of an analysis say.

    Parameters
    ----------
    run : AnalysisRun
    table : DataFrame
        From :func:`mtmeta.diagnostics.gosh.gosh`.

    Returns
    -------
    dict
        ``name title subsets trials``; ``quantiles`` of estimate (on the scale people read), tau2 and I2;
        ``below`` the share of subsets whose estimate is below the null; ``trials_with_without``, a trial
        each, the medians with it and without it, largest difference first. Numbers at 12 digits.
    """
    measure = run.effects.measure
    estimates = table["estimate"].to_numpy()
    names = list(table.columns[4:])
    moved = []
    for name in names:
        inside = table[name].to_numpy()
        pair = [_median(estimates[inside]), _median(estimates[~inside])]
        i2 = [_median(table["i2"].to_numpy()[x]) for x in (inside, ~inside)]
        moved.append((name, pair, i2))
    moved.sort(key=lambda row: (-abs(row[1][0] - row[1][1]), row[0]))
    return {
        "name": run.analysis.name,
        "title": run.analysis.title,
        "measure": measure.code,
        "subsets": len(table),
        "trials": len(names),
        "quantiles": {
            "share": list(_QUANTILES),
            "estimate": [significant(float(measure.back(x))) for x in np.quantile(estimates, _QUANTILES)],
            "tau2": [significant(float(x)) for x in np.quantile(table["tau2"], _QUANTILES)],
            "i2": [significant(float(x)) for x in np.quantile(table["i2"], _QUANTILES)],
        },
        "below": significant(float(np.mean(estimates < measure.null))),
        "trials_with_without": [
            {
                "study": name,
                "estimate": [significant(float(measure.back(x))) for x in pair],
                "i2": [significant(x) for x in i2],
            }
            for name, pair, i2 in moved
        ],
    }


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


def subsets_words(summary: dict[str, Any]) -> tuple[str, ...]:
    """Say it, a sentence an item."""
    q = summary["quantiles"]
    low, _, middle, _, high = q["estimate"]
    first = summary["trials_with_without"][0]
    return (
        f"{summary['subsets']:,} subsets of {count(summary['trials'])} trials: median {summary['measure']} "
        f"{fixed(middle)}, 95% of them from {fixed(low)} to {fixed(high)}; median I² {percent(q['i2'][2])}.",
        f"{percent(100 * summary['below'])} of the estimates lie below the null.",
        f"The trial that moves the median most is {first['study']}: {fixed(first['estimate'][0])} with it, "
        f"{fixed(first['estimate'][1])} without.",
    )


def save_subsets(
    run: AnalysisRun,
    table: pd.DataFrame,
    folder: Path,
    *,
    formats: tuple[str, ...] = ("svg", "pdf", "png"),
    dpi: float = 300,
) -> tuple[Path, ...]:
    """Draw the GOSH plot as ``NAME-gosh`` with its layout; all files or none."""
    from mtmeta.figures.draw.plot import draw_plot, plot_axes
    from mtmeta.figures.files import save
    from mtmeta.figures.layout.influence import gosh_layout
    from mtmeta.figures.layout.words import alt_text

    layout = gosh_layout(table, measure=run.effects.measure, title=run.analysis.title)
    figure = draw_plot(layout, plot_axes(layout)).get_figure(root=True)
    assert figure is not None
    path = folder / f"{run.analysis.name}-gosh"
    return tuple(save(figure, path, formats=formats, dpi=dpi, alt=alt_text(layout), layout=layout))


def simulation_summary(
    run: AnalysisRun, found: Simulation, *, mu: float, tau2: float, designs: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Return a simulation, and what a next trial could do, as plain data at 12 digits."""
    parts = ("coverage", "coverage_se", "rejected", "bias", "rmse", "width", "tau2_bias")
    return {
        "name": run.analysis.name,
        "title": run.analysis.title,
        "measure": run.effects.measure.code,
        "trials": run.effects.k,
        "truth": {"mu": significant(mu), "tau2": significant(tau2)},
        "level": run.analysis.model.level,
        "replications": found.replications,
        **{name: significant(getattr(found, name)) for name in parts},
        "next": []
        if designs is None
        else [
            {
                "se": significant(float(row["vi"]) ** 0.5),
                **{name: significant(float(row[name])) for name in ("conclusive", "own", "width")},
                "now": bool(row["now"]),
            }
            for row in designs.to_dict("records")
        ],
    }


def simulation_words(run: AnalysisRun, summary: dict[str, Any]) -> tuple[str, ...]:
    """Say it, a sentence an item."""
    measure = run.effects.measure
    truth, _ = back(measure, summary["truth"]["mu"], None)
    level = f"{100 * summary['level']:g}%"
    said = [
        f"{summary['replications']:,} simulated meta-analyses of {count(summary['trials'])} trials of these "
        f"sizes, with a true {measure.code} of {fixed(truth)} and τ² {fixed(summary['truth']['tau2'], 3)}:",
        f"the {level} interval holds the truth in {_percent(summary['coverage'])} "
        f"(simulation error {_percent(summary['coverage_se'])}), and excludes the null in "
        f"{_percent(summary['rejected'])}.",
    ]
    said.extend(
        f"After one more trial with a standard error of {fixed(row['se'], 3)}, whose true effect is drawn "
        f"from what the trials predict, the interval excludes the null in {_percent(row['conclusive'])}; "
        f"that trial's own does in {_percent(row['own'])}; today's {'does' if row['now'] else 'does not'}."
        for row in summary["next"]
    )
    return tuple(said)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
