"""What another tool would print for an analysis by its own defaults, and which convention differs.

Only what was checked against the tool's real output is echoed: metafor's ``rma(yi, vi)`` (as Debian's 3.8-1
prints it), statsmodels' ``combine_effects`` (0.15), the pooled line of Cochrane's forest plots (RevMan 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.audit.run import AnalysisRun, PublishedRun
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError
from mtmeta.measures import check_choice
from mtmeta.models.intervals import tau2_standard_error
from mtmeta.models.pool import RandomEffects
from mtmeta.models.result import PoolResult

__all__ = ["TOOLS", "Echo", "echo"]

Tool = Literal["metafor", "revman", "statsmodels"]
TOOLS = ("metafor", "revman", "statsmodels")
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Echo:
    """The text a tool prints, and how its conventions differ from the analysis' own."""

    tool: str
    text: str
    differences: tuple[str, ...]


def echo(run: AnalysisRun, tool: Tool) -> Echo:
    """Print an analysis as another tool would by its defaults.

    Parameters
    ----------
    run : AnalysisRun
    tool : {"metafor", "revman", "statsmodels"}

    Returns
    -------
    Echo

    Raises
    ------
    UsageError
        For another tool: none is echoed that could not be checked.
    AnalysisError
        ``revman`` where no review's rows are at hand.
    """
    check_choice("tool", tool, TOOLS)
    if tool == "metafor":
        return _metafor(run)
    if tool == "statsmodels":
        return _statsmodels(run)
    return _revman(run)


def _common(run: AnalysisRun, *, ci: str) -> list[str]:
    """Say what differs from the analysis' own model."""
    method = run.analysis.model
    told = []
    if method.kind == "random" and run.result.ci_method != ci:
        told.append(f"interval: {ci} here, {run.result.ci_method} in the analysis")
    if method.variance != "LS" and run.analysis.measure.startswith("SMD"):
        told.append(f"variance of the SMD: LS here, {method.variance} in the analysis")
    return told


# ---- metafor ------------------------------------------------------------------------------


def _digits(value: float) -> str:
    return "0" if value == 0 else f"{value:.4f}"


def _p(value: float, *, equals: bool) -> str:
    if value < 0.0001:
        return "< .0001" if equals else "<.0001"
    return f"= {value:.4f}" if equals else f"{value:.4f}"


def _stars(p: float) -> str:
    return next(
        (mark for limit, mark in ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, ".")) if p < limit), ""
    )


def scored_tau2(yi: FloatArray, vi: FloatArray) -> float:
    """REML estimate of tau2 as metafor iterates it: Fisher scoring from Hedges' estimate, to a step of 1e-5.

    Where the maximum is at zero the iteration halves its steps and stops a little above, which shows in print
    as 0.0000; where it is not, the digits printed are those of the maximum.
    """
    k = len(yi)
    tau2 = max(0.0, float(np.var(yi, ddof=1) - vi.mean()))
    for _ in range(100):
        w = 1.0 / (vi + tau2)
        total = w.sum()
        residual = w * (yi - np.dot(w, yi) / total)
        trace = total - np.dot(w, w) / total
        trace2 = np.dot(w, w) - 2.0 * (w**3).sum() / total + (np.dot(w, w) / total) ** 2
        step = float((np.dot(residual, residual) - trace) / trace2) if k > 1 else 0.0
        while tau2 + step < 0.0:
            step /= 2.0
        tau2 += step
        if abs(step) <= 1e-5:
            break
    return tau2


def metafor_text(fit: PoolResult) -> str:
    """Return what metafor prints for ``rma(yi, vi)``, given the REML fit with a Wald interval."""
    low, high = fit.ci(0.95)
    se_tau2 = tau2_standard_error(fit.effects.yi, fit.effects.vi, method="REML", tau2=fit.tau2)
    names = ("estimate", "se", "zval", "pval", "ci.lb", "ci.ub")
    cells = (
        f"{fit.estimate:.4f}",
        f"{fit.se:.4f}",
        f"{fit.statistic:.4f}",
        _p(fit.pvalue, equals=False),
        f"{low:.4f}",
        f"{high:.4f}",
    )
    widths = [max(len(n), len(c)) for n, c in zip(names, cells, strict=True)]
    head = "  ".join(n.rjust(w) for n, w in zip(names, widths, strict=True))
    line = "  ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))
    p = fit.q_pvalue
    return "\n".join(
        [
            f"Random-Effects Model (k = {fit.k}; tau^2 estimator: REML)",
            "",
            f"tau^2 (estimated amount of total heterogeneity): {_digits(fit.tau2)} (SE = {_digits(se_tau2)})",
            f"tau (square root of estimated tau^2 value):      {_digits(fit.tau)}",
            f"I^2 (total heterogeneity / total variability):   {fit.i2:.2f}%",
            f"H^2 (total variability / sampling variability):  {fit.h2:.2f}",
            "",
            "Test for Heterogeneity:",
            f"Q(df = {fit.q_df}) = {fit.q:.4f}, p-val {_p(p, equals=True)}",
            "",
            "Model Results:",
            "",
            head,
            f"{line}  {_stars(fit.pvalue)}".rstrip(),
        ]
    )


def _metafor(run: AnalysisRun) -> Echo:
    es = _with_default_variance(run)
    fit = RandomEffects(tau2=scored_tau2(es.yi, es.vi), ci="Wald").fit(es)
    told = _common(run, ci="Wald")
    if run.analysis.model.kind == "common":
        told.append("model: random effects here, common effect in the analysis")
    elif run.analysis.model.tau2 != "REML":
        told.append(f"tau2: REML here, {run.analysis.model.tau2} in the analysis")
    told.append("prediction interval: none is printed; predict() uses normal quantiles")
    return Echo("metafor", metafor_text(fit), tuple(told))


def _with_default_variance(run: AnalysisRun) -> EffectSizes:
    """Effects under the tools' default convention; recomputed where the analysis has another."""
    if run.analysis.model.variance == "LS":
        return run.effects
    raise AnalysisError(
        f"{run.analysis.name} computes SMDs by {run.analysis.model.variance}; other tools start from LS. "
        "Set model.variance to LS to see what they print"
    )


# ---- statsmodels --------------------------------------------------------------------------


def iterated_tau2(yi: FloatArray, vi: FloatArray) -> float:
    """Paule and Mandel's tau2 as statsmodels iterates it: from 0, stopping at 1e-5 of the equation.

    DerSimonian and Kacker 2007, Contemp Clin Trials 28:105, section 8. A start below the root that overshoots
    gives 0 there, which ours does not.
    """
    tau2, k = 0.0, len(yi)
    for _ in range(50):
        w = 1.0 / (vi + tau2)
        squares = np.square(yi - np.dot(w, yi) / w.sum())
        equation = float(np.dot(w, squares)) - (k - 1)
        if equation < 0:
            return 0.0
        if abs(equation) <= 1e-5:
            break
        tau2 += equation / float(np.dot(np.square(w), squares))
    return tau2


def statsmodels_rows(es: EffectSizes) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Return the pooled rows of ``combine_effects(yi, vi).summary_frame()``: eff, sd_eff, ci_low, ci_upp."""
    tau2 = iterated_tau2(es.yi, es.vi)
    rows = []
    scaled = []
    for name, given in (("fixed effect", 0.0), ("random effect", tau2)):
        w = 1.0 / (es.vi + given)
        mean = float(np.dot(w, es.yi) / w.sum())
        se = float(1.0 / np.sqrt(w.sum()))
        factor = float(np.dot(w, np.square(es.yi - mean)) / (es.k - 1))
        rows.append((name, _limits(mean, se)))
        scaled.append((f"{name} wls", _limits(mean, se * factor**0.5)))
    return rows + scaled


def _limits(mean: float, se: float) -> tuple[float, float, float, float]:
    half = 1.959963984540054 * se
    return mean, se, mean - half, mean + half


def _statsmodels(run: AnalysisRun) -> Echo:
    es = _with_default_variance(run)
    if es.k < 2:
        raise AnalysisError(f"{run.analysis.name} pools one trial; statsmodels combines two and more")
    names = ("eff", "sd_eff", "ci_low", "ci_upp")
    lines = [" " * 17 + "".join(n.rjust(10) for n in names)]
    lines += [f"{name:<17}" + "".join(f"{v:10.6f}" for v in values) for name, values in statsmodels_rows(es)]
    told = [
        "tau2: Paule-Mandel, iterated, here; "
        + (
            f"{run.analysis.model.tau2} in the analysis"
            if run.analysis.model.kind == "random"
            else "none in the analysis"
        ),
        *_common(run, ci="Wald"),
        "the wls rows scale the standard error as Hartung and Knapp do but keep normal quantiles",
        "prediction interval: none is printed",
    ]
    return Echo("statsmodels", "\n".join(lines), tuple(told))


# ---- RevMan -------------------------------------------------------------------------------


def _revman(run: AnalysisRun) -> Echo:
    published = next(
        (p for p in run.published if p.result is not None and p.published.compare == "numbers"), None
    )
    if published is None:
        raise AnalysisError(
            f"{run.analysis.name} has no figure of a review whose rows are at hand; what RevMan prints "
            "cannot be checked"
        )
    return Echo("revman", revman_line(published), tuple(_revman_differences(run, published)))


def revman_line(published: PublishedRun) -> str:
    """Return the pooled line of a RevMan forest plot: total, estimate and interval to two decimals."""
    assert published.estimate is not None
    assert published.ci is not None
    low, high = published.ci
    n = "" if published.n is None else f" {published.n} participants,"
    return f"Total (95% CI){n} {published.k} studies: {_two(published.estimate)} [{_two(low)}, {_two(high)}]"


def _two(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"


def _revman_differences(run: AnalysisRun, published: PublishedRun) -> list[str]:
    theirs, ours = published.published.method, run.analysis.model
    told = [f"model: {theirs.words} in the review, {ours.words} in the analysis"]
    if theirs.variance == "RevMan":
        told.append("SMD: approximate correction and RevMan's SE in the review, exact and LS in the analysis")
    if run.analysis.today.exclude:
        told.append("rows: the analysis leaves out " + ", ".join(sorted(run.analysis.today.exclude)))
    return told
