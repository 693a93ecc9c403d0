"""Sentences about coefficients: regression, several levels, crossed effects, outcomes, robust tests."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from mtmeta.measures import Interval, Measure
from mtmeta.models.crossed import CrossedResult
from mtmeta.models.dependent import MultilevelResult
from mtmeta.models.linear import Coefficients
from mtmeta.models.location_scale import LocationScaleResult
from mtmeta.models.multivariate import MultivariateResult
from mtmeta.models.permutation import PermutationResult
from mtmeta.models.regression import MetaRegressionResult
from mtmeta.models.robust import RobustResult
from mtmeta.models.wild import WildBootstrap
from mtmeta.reports.prose_parts import (
    Numbers,
    Parts,
    label_words,
    level_words,
    mean_words,
    omnibus_words,
    q_words,
    statistic_words,
    terms_words,
)
from mtmeta.reports.words import percent

__all__ = [
    "crossed",
    "location_scale",
    "multilevel",
    "multivariate",
    "permutation",
    "regression",
    "robust",
    "wild",
]


def regression(result: MetaRegressionResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell coefficients, their joint test and what heterogeneity is left."""
    parts: Parts = [n.count(result.k), " effects. ", *terms_words(result.coefficients, level, n)]
    if any(term != "Intercept" for term in result.design.terms):
        parts += omnibus_words("Test of the moderators", result.omnibus, n)
    parts += ["Residual tau² = ", n.tau2(result.tau2)]
    if math.isfinite(result.r2):
        parts += [", R² = ", n.number(result.r2, percent)]
    return [
        *parts,
        ", QE(",
        n.count(result.k - result.p),
        ") = ",
        n.two(result.qe),
        ", ",
        *n.p(result.qe_pvalue),
        ". ",
    ]


def multilevel(result: MultilevelResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell mean or coefficients, variances on both levels and what a new effect may be."""
    parts: Parts = [
        n.count(result.k),
        " effects in ",
        n.count(result.clusters),
        " clusters. ",
    ]
    if result.p == 1:
        measure = result.effects.measure
        parts += [
            f"Mean {label_words(measure)} ",
            n.two(measure.back(result.estimate)),
            f" ({level_words(level)} CI ",
            *n.interval(result.ci(level), measure, ""),
            "; ",
            *statistic_words(n, result.statistic, result.df, result.pvalue),
            "). ",
        ]
    else:
        parts += terms_words(result.coefficients, level, n)
        parts += omnibus_words("Test of the moderators", result.omnibus, n)
    parts += [
        "Variance between clusters ",
        n.tau2(result.sigma2_between),
        ", within clusters ",
        n.tau2(result.sigma2_within),
        "; I² = ",
        n.number(result.i2, percent),
        ". ",
    ]
    if result.p == 1:
        parts += [
            f"The {level_words(level)} prediction interval runs from ",
            *n.interval(result.pi(level), result.effects.measure, ""),
            ". ",
        ]
    low_df = [float(d) for d in result.coefficients.df if d < 4]
    if low_df:
        parts += [
            "With fewer than ",
            n.count(4),
            " degrees of freedom (",
            n.df(min(low_df)),
            ") the robust test is not to be trusted. ",
        ]
    return parts


def robust(result: RobustResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell the coefficients with cluster-robust tests."""
    return [
        n.count(len(result.effects.study)),
        " effects in ",
        n.count(result.clusters),
        " clusters. ",
        *terms_words(result.coefficients, level, n),
    ]


def permutation(result: PermutationResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell the permutation tests of the terms."""
    parts: Parts = []
    for name, statistic, p in zip(result.terms, result.statistic, result.pvalues, strict=True):
        parts += [f"{name}: statistic ", n.two(float(statistic)), ", ", *n.p(float(p)), "; "]
    kind = "all" if result.exact else "random"
    return [f"Over {kind} ", n.count(result.permutations), " permutations: ", *parts[:-1], ". "]


def wild(result: WildBootstrap, level: float, pi: str, n: Numbers) -> Parts:
    """Tell the test and the flips it rests on."""
    kind = "all" if result.exact else "random"
    return [
        f"{' and '.join(result.terms)}: cluster-robust F = ",
        n.two(result.statistic),
        ", ",
        *n.p(result.pvalue),
        f" over {kind} ",
        n.count(result.draws),
        " sign flips of ",
        n.count(result.clusters),
        " clusters. ",
    ]


def location_scale(result: LocationScaleResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell mean and heterogeneity, each with its coefficients, and how far tau² reaches."""
    parts: Parts = [n.count(result.k), " effects. "]
    if tuple(result.location.terms) == ("Intercept",):
        parts += ["Mean ", *_single(result.coefficients, result.effects.measure, level, n)]
    else:
        parts += terms_words(result.coefficients, level, n, what="Coefficients of the mean")
        parts += omnibus_words("Test of the moderators of the mean", result.omnibus, n)
    parts += terms_words(result.scale_coefficients, level, n, what="Coefficients of log tau²")
    tau2 = result.tau2
    if tuple(result.scale.terms) == ("Intercept",):
        return [*parts, "For every effect tau² = ", n.tau2(float(tau2[0])), ". "]
    parts += omnibus_words("Test of the moderators of the heterogeneity", result.scale_omnibus, n)
    return [
        *parts,
        "Over the effects tau² runs from ",
        n.tau2(float(tau2.min())),
        " to ",
        n.tau2(float(tau2.max())),
        ". ",
    ]


def crossed(result: CrossedResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell mean or coefficients, and the variance of each grouping."""
    sizes = np.bincount(result.problem.owner)
    groups: Parts = []
    for name, size in zip(result.model.groupings, sizes, strict=True):
        groups += [f"{name} (", n.count(float(size)), " levels)", " and "]
    parts: Parts = [n.count(result.k), " effects grouped by ", *groups[:-1], ". "]
    if result.p == 1:
        parts += ["Mean ", *_single(result.coefficients, result.effects.measure, level, n)]
    else:
        parts += terms_words(result.coefficients, level, n)
        parts += omnibus_words("Test of the moderators", result.omnibus, n)
    parts.append("Variances: ")
    for component, value in result.sigma2.items():
        parts += [f"{component} ", n.tau2(float(value)), ", "]
    df = result.k - result.p
    return [*parts[:-1], "; ", *q_words("QE", result.q, df, result.q_pvalue, n), ". "]


def multivariate(result: MultivariateResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell the mean of each outcome or the coefficients, and how outcomes vary together between studies."""
    parts: Parts = [
        n.count(result.k),
        " effects on ",
        n.count(len(result.levels)),
        " outcomes in ",
        n.count(result.clusters),
        " studies. ",
    ]
    if result.model.formula is None:
        parts += _means(result, level, n)
        parts += omnibus_words("Test that all means are null", result.omnibus, n)
    else:
        parts += terms_words(result.coefficients, level, n)
        what = "moderators" if "Intercept" in result.design.terms else "coefficients"
        parts += omnibus_words(f"Test of the {what}", result.omnibus, n)
    return [
        *parts,
        *_together(result, n),
        "; ",
        *q_words("QE", result.q, result.q_df, result.q_pvalue, n),
        ". ",
    ]


def _single(coefficients: Coefficients, measure: Measure, level: float, n: Numbers, at: int = 0) -> Parts:
    """Write one coefficient that is a mean: with interval and test, on the scale people read."""
    row = coefficients.frame(level).iloc[at]
    ci = Interval(float(row["ci_low"]), float(row["ci_high"]))
    return [
        *mean_words(measure, float(row["estimate"]), ci, level, n),
        *statistic_words(n, float(row["statistic"]), float(row["df"]), float(row["pvalue"])),
        "). ",
    ]


def _means(result: MultivariateResult, level: float, n: Numbers) -> Parts:
    parts: Parts = []
    for i, name in enumerate(result.levels):
        parts += [f"{name}: ", *_single(result.coefficients, result.effects.measure, level, n, i)]
    return parts


def _together(result: MultivariateResult, n: Numbers) -> Parts:
    tau2 = result.tau2
    structure = result.model.structure
    if structure in ("UN", "DIAG"):
        parts: Parts = ["Between studies tau² is "]
        for name, value in tau2.items():
            parts += [n.tau2(float(value)), f" for {name}", ", "]
        parts = parts[:-1]
    else:
        parts = ["Between studies tau² is ", n.tau2(float(tau2.iloc[0])), " for every outcome"]
    if structure in ("DIAG", "ID"):
        return [*parts, ", without correlation"]
    if structure in ("CS", "AR"):
        which = "between any two" if structure == "CS" else "between neighbours"
        pairs = [(result.levels[0], result.levels[1], which)]
    else:
        pairs = [(a, b, f"of {a} and {b}") for a, b in combinations(result.levels, 2)]
    rho = result.rho.to_numpy(dtype=np.float64)
    at = {name: i for i, name in enumerate(result.levels)}
    for a, b, words in pairs:
        # beside a variance of 0 there is no correlation to tell
        if min(tau2[a], tau2[b]) > 1e-10 * result.unit**2:
            parts += [f", correlation {words} ", n.two(float(rho[at[a], at[b]]))]
    return parts
