"""Results in sentences, for every kind of model: each number carries its value, each method its citation.

:func:`result_sentences` takes any result of :mod:`mtmeta.models` and writes what a results section says of
it; :func:`method_sentences` takes over the result's own ``methods`` text and puts citations where it names
works. The paragraphs of a whole analysis are in :mod:`mtmeta.reports.prose_analysis`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mtmeta.errors import ModelError
from mtmeta.measures import Interval
from mtmeta.models.bayes import BayesResult
from mtmeta.models.bayes_average import ModelAverageResult
from mtmeta.models.bayes_bias import BiasAverageResult
from mtmeta.models.bayes_regression import BayesRegressionResult
from mtmeta.models.crossed import CrossedResult
from mtmeta.models.dependent import MultilevelResult
from mtmeta.models.events import EventResult
from mtmeta.models.exact import ExactResult
from mtmeta.models.glmm import CountsResult
from mtmeta.models.location_scale import LocationScaleResult
from mtmeta.models.multivariate import MultivariateResult
from mtmeta.models.permutation import PermutationResult
from mtmeta.models.regression import MetaRegressionResult
from mtmeta.models.result import PoolResult
from mtmeta.models.robust import RobustResult
from mtmeta.models.sampled_fit import SampledResult
from mtmeta.models.sampled_multivariate import SampledMultivariateResult
from mtmeta.models.sampled_regression import SampledRegressionResult
from mtmeta.models.sampled_selection import SampledSelectionResult
from mtmeta.models.subgroups import SubgroupResult
from mtmeta.models.wild import WildBootstrap
from mtmeta.reports import prose_bayes, prose_coefficients
from mtmeta.reports.document import Spans, spans
from mtmeta.reports.prose_parts import Numbers, Parts, i2_words, label_words, level_words, statistic_words
from mtmeta.reports.references import cited

__all__ = ["Numbers", "Parts", "method_sentences", "result_sentences"]


def method_sentences(result: Any) -> Spans:
    """Return a result's own ``methods`` text, with citations where it names works of the list.

    Examples
    --------
    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.pool import RandomEffects
    >>> from mtmeta.reports.document import plain
    >>> es = EffectSizes.of([0.1, 0.3, 0.6], [0.02, 0.03, 0.02], "SMD")
    >>> print(plain(method_sentences(RandomEffects(tau2="DL", ci="Wald").fit(es))))
    Effects were pooled with the random-effects model; the between-study variance was estimated by the method
    of [method-dersimonian-1986]. The interval and the test of the pooled effect use normal quantiles (Wald).
    """
    return cited(result.methods)


def result_sentences(
    result: Any, *, level: float = 0.95, pi: str = "V", numbers: Numbers | None = None
) -> Spans:
    """Say what a result found.

    Parameters
    ----------
    result : result of any model of mtmeta
        Pooled (common, random, fixed weights), Mantel-Haenszel and Peto, models of counts, the exact odds
        ratio, subgroups, meta-regression, location-scale, multilevel, crossed, multivariate, cluster-robust,
        wild bootstrap, permutation, Bayesian (random effects, regression, averaged, averaged over models of
        bias, sampled).
    level : float, default 0.95
        Of all intervals.
    pi : str, default "V"
        Rule of the prediction interval of a pooled result.
    numbers : Numbers, optional
        Where the numbers stand in a lock.

    Returns
    -------
    tuple of Inline

    Raises
    ------
    ModelError
        A kind of result this does not know.

    Examples
    --------
    BCG vaccine, REML with HKSJ: relative risk 0.49 (0.33 to 0.73), Q 152.23 (Viechtbauer 2010, J Stat Softw
    36(3)).

    >>> from mtmeta.effects.table import EffectSizes
    >>> from mtmeta.models.pool import RandomEffects
    >>> from mtmeta.reports.document import plain
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> print(plain(result_sentences(RandomEffects().fit(EffectSizes.of(y, v, "RR")))))
    13 effects were pooled: risk ratio 0.49 (95% CI 0.33 to 0.73; t(12) = -3.95, p = 0.002). ...
    """
    for kind, write in _WRITERS:
        if isinstance(result, kind):
            return spans(*write(result, level, pi, numbers or Numbers()))
    raise ModelError(f"no sentences are known for a {type(result).__name__}")


# ---- pooled ---------------------------------------------------------------------------------------


def _pooled(result: PoolResult, level: float, pi: str, n: Numbers) -> Parts:
    measure = result.effects.measure
    back = measure.back
    parts: Parts = [
        n.count(result.k, "k"),
        " effect was pooled: " if result.k == 1 else " effects were pooled: ",
        f"{label_words(measure)} ",
        n.two(back(result.estimate), "estimate"),
        f" ({level_words(level)} CI ",
        *n.interval(result.ci(level), measure, "ci"),
        "; ",
        *statistic_words(n, result.statistic, result.df, result.pvalue),
        "). ",
    ]
    if result.k > 1:
        parts += _heterogeneity(result, level, n)
    return [*parts, *_prediction(result, level, pi, n)]


def _heterogeneity(result: PoolResult, level: float, n: Numbers) -> Parts:
    parts: Parts = ["Heterogeneity: "]
    if result.tau2_method != "none":
        parts += ["tau² = ", n.tau2(result.tau2, "tau2")]
        try:
            low, high = result.tau2_ci(level, method="QP")
            parts += [
                f" ({level_words(level)} CI ",
                n.tau2(low, "tau2_ci/0"),
                " to ",
                n.tau2(high, "tau2_ci/1"),
                ")",
            ]
        except ModelError:
            pass  # a given tau2 has no interval; the sentence goes without
        parts.append(", ")
    return [*parts, *i2_words(result, n), ". "]


def _prediction(result: PoolResult, level: float, pi: str, n: Numbers) -> Parts:
    if not result.predicts:
        return []
    try:
        interval = result.pi(level, method=pi)  # type: ignore[arg-type]  # checked there
    except ModelError:
        return ["There are too few effects for a prediction interval. "]
    return [
        f"The {level_words(level)} prediction interval runs from ",
        *n.interval(interval, result.effects.measure, "pi"),
        ". ",
    ]


def _events(result: EventResult, level: float, pi: str, n: Numbers) -> Parts:
    measure = result.measure
    return [
        n.count(result.k, "k"),
        " study was pooled: " if result.k == 1 else " studies were pooled: ",
        f"{label_words(measure)} ",
        n.two(measure.back(result.estimate), "estimate"),
        f" ({level_words(level)} CI ",
        *n.interval(result.ci(level), measure, "ci"),
        "; ",
        *statistic_words(n, result.statistic, math.inf, result.pvalue),
        "). ",
        *(["Heterogeneity: ", *i2_words(result, n), ". "] if result.q_df > 0 else []),
    ]


def _exact(result: ExactResult, level: float, pi: str, n: Numbers) -> Parts:
    return [
        n.count(result.k),
        " study was pooled: " if result.k == 1 else " studies were pooled: ",
        "odds ratio ",
        n.two(result.odds_ratio),
        f" (exact {level_words(level)} CI ",
        *_exact_ends(result.ci(level), n),
        "; exact ",
        *n.p(result.pvalue),
        "). ",
    ]


def _exact_ends(ci: Interval, n: Numbers) -> Parts:
    low, high = math.exp(ci.low), math.exp(ci.high) if ci.high < 700 else math.inf
    return [n.two(low), " to ", n.two(high)]


def _counts(result: CountsResult, level: float, pi: str, n: Numbers) -> Parts:
    measure = result.measure
    parts: Parts = [
        n.count(result.k),
        " study was pooled: " if result.k == 1 else " studies were pooled: ",
        f"{label_words(measure)} ",
        n.two(measure.back(result.estimate)),
        f" ({level_words(level)} CI ",
        *n.interval(result.ci(level), measure, ""),
        "; ",
        *statistic_words(n, result.statistic, math.inf, result.pvalue),
        "). ",
    ]
    if not result.model.random:
        return parts
    low, high = result.tau2_ci(level)
    return [
        *parts,
        "Heterogeneity: tau² = ",
        n.tau2(result.tau2),
        f" (profile {level_words(level)} CI ",
        n.tau2(low),
        " to ",
        n.tau2(high),
        "). ",
        f"The {level_words(level)} prediction interval runs from ",
        *n.interval(result.pi(level), measure, ""),
        ". ",
    ]


def _groups(result: SubgroupResult, level: float, pi: str, n: Numbers) -> Parts:
    parts: Parts = []
    for name, group in result.groups.items():
        measure = group.effects.measure
        parts += [
            f"{name}: ",
            n.two(measure.back(group.estimate)),
            f" ({level_words(level)} CI ",
            *n.interval(group.ci(level), measure, ""),
            "; ",
            n.count(group.k),
            " effect)" if group.k == 1 else " effects)",
            "; ",
        ]
    return [
        "In groups: ",
        *parts[:-1],
        ". The test between groups gave Q(",
        n.count(result.df_between),
        ") = ",
        n.two(result.q_between),
        ", ",
        *n.p(result.pvalue),
        ". ",
    ]


_WRITERS: tuple[tuple[type, Callable[[Any, float, str, Numbers], Parts]], ...] = (
    (PoolResult, _pooled),
    (EventResult, _events),
    (ExactResult, _exact),
    (CountsResult, _counts),
    (SubgroupResult, _groups),
    (MetaRegressionResult, prose_coefficients.regression),
    (LocationScaleResult, prose_coefficients.location_scale),
    (MultilevelResult, prose_coefficients.multilevel),
    (CrossedResult, prose_coefficients.crossed),
    (MultivariateResult, prose_coefficients.multivariate),
    (RobustResult, prose_coefficients.robust),
    (WildBootstrap, prose_coefficients.wild),
    (PermutationResult, prose_coefficients.permutation),
    (BayesResult, prose_bayes.bayes),
    (ModelAverageResult, prose_bayes.averaged),
    (BiasAverageResult, prose_bayes.bias_averaged),
    (BayesRegressionResult, prose_bayes.regression),
    (SampledSelectionResult, prose_bayes.sampled_selection),
    (SampledResult, prose_bayes.sampled),
    (SampledMultivariateResult, prose_bayes.sampled_multivariate),
    (SampledRegressionResult, prose_bayes.sampled_regression),
)
