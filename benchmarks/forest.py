"""Time one forest of k = 30 to PDF, ours and statsmodels' plot_forest: ``python benchmarks/forest.py``."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from statsmodels.stats.meta_analysis import combine_effects

import mtmeta as mt
from mtmeta.figures.files import render

ROUNDS = 7


def median_seconds(call: Callable[[], object]) -> float:
    """Return the median of several calls after one to warm up."""
    call()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


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
        sys.stdout.write(f"{name:25} {median_seconds(call):.3f} s (aim for ours: 0.5 s)\n")


if __name__ == "__main__":
    main()
