"""Time one forest of k = 30 to PDF, ours and statsmodels' plot_forest, and all figures of the analyses.

``python benchmarks/forest.py`` prints seconds of processor time, the least of several rounds, so that a busy
machine changes them little.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from statsmodels.stats.meta_analysis import combine_effects

import mtmeta as mt
from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import run_analysis
from mtmeta.figures.files import render
from mtmeta.records.folder import read_studies
from mtmeta.reports.plots import save_figures

ROOT = Path(__file__).parent.parent


def least_seconds(call: Callable[[], object], *, rounds: int = 7) -> float:
    """Return the least processor time of several calls after one to warm up."""
    call()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def all_figures() -> tuple[int, float]:
    """Draw every figure of the analyses as SVG, PDF and PNG: how many, and the processor time of drawing."""
    records = read_studies(ROOT / "studies")
    named = read_analyses([ROOT / "analyses"])
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # `mtmeta run` tells them
        runs = [(n.analysis.name, run_analysis(n.analysis, records)) for n in named]
        start = time.process_time()
        written = [path for name, run in runs for path in save_figures(run, Path(folder) / name)]
        spent = time.process_time() - start
    return (sum(path.suffix == ".pdf" for path in written), spent)


def main() -> None:
    """Time both on the same simulated effects."""
    rng = np.random.default_rng(20261123)
    vi = 2 / rng.integers(10, 101, size=30) + 0.01
    yi = rng.normal(0.3, np.sqrt(0.09 + vi))
    names = [f"Trial {i}" for i in range(1, 31)]
    fit = mt.RandomEffects().fit(mt.EffectSizes.of(yi, vi, measure="SMD", study=names))
    peer = combine_effects(yi, vi, method_re="iterated", row_names=names)

    def ours() -> bytes:
        figure = mt.forest(fit).get_figure(root=True)
        assert figure is not None
        return render(figure, "pdf")

    def theirs() -> None:
        figure = Figure(figsize=(7, 9))
        peer.plot_forest(ax=figure.subplots()).savefig(io.BytesIO(), format="pdf")

    for name, call in (("mtmeta", ours), ("statsmodels plot_forest", theirs)):
        sys.stdout.write(f"{name:25} {least_seconds(call):.3f} s (aim for ours: 0.5 s)\n")
    count, spent = all_figures()
    sys.stdout.write(f"{count} figures of analyses/, three formats: {spent:.1f} s (aim: 20 s)\n")


if __name__ == "__main__":
    main()
