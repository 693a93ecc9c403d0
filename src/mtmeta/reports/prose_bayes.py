"""Sentences about Bayesian results: exact, averaged over models, regressed, sampled."""

from __future__ import annotations

from mtmeta.effects.table import EffectSizes
from mtmeta.measures import Measure
from mtmeta.models.bayes import BayesResult
from mtmeta.models.bayes_average import ModelAverageResult
from mtmeta.models.bayes_bias import BiasAverageResult, Part
from mtmeta.models.bayes_regression import BayesRegressionResult
from mtmeta.models.posterior import Distribution
from mtmeta.models.sampled import SampledRandomEffects, SampledThreeLevel
from mtmeta.models.sampled_fit import Sampled, SampledResult
from mtmeta.models.sampled_multivariate import SampledMultivariateResult
from mtmeta.models.sampled_regression import SampledRegressionResult
from mtmeta.models.sampled_selection import SampledSelectionResult
from mtmeta.reports.bayes_words import probability
from mtmeta.reports.prose_parts import Numbers, Parts, label_words, level_words
from mtmeta.reports.words import fixed

__all__ = [
    "averaged",
    "bayes",
    "bias_averaged",
    "regression",
    "sampled",
    "sampled_multivariate",
    "sampled_regression",
    "sampled_selection",
]

_BIAS_PARTS: tuple[Part, ...] = ("effect", "heterogeneity", "bias")


def bayes(result: BayesResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell mean, heterogeneity and a new study of the random-effects model."""
    measure = result.effects.measure
    low, high = result.tau.ci(level)
    return [
        n.count(result.k, "k"),
        f" effects: {label_words(measure)}, posterior median ",
        n.two(measure.back(result.estimate), "estimate"),
        f" ({level_words(level)} credible interval ",
        *n.interval(result.ci(level), measure, "ci"),
        "). Heterogeneity: tau ",
        n.two(result.tau.median, "tau"),
        " (",
        n.two(low, "tau_ci/0"),
        " to ",
        n.two(high, "tau_ci/1"),
        f"). The true effect of a new study lies with {level_words(level)} probability between ",
        n.two(measure.back(result.pi(level).low), "pi/0"),
        " and ",
        n.two(measure.back(result.pi(level).high), "pi/1"),
        ". ",
    ]


def averaged(result: ModelAverageResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell the probabilities of effect and heterogeneity, and the averaged mean."""
    measure = result.effects.measure
    low, high = result.mu("averaged").ci(level)
    return [
        "Probability of an effect ",
        n.number(result.probability("effect"), probability),
        ", of heterogeneity ",
        n.number(result.probability("heterogeneity"), probability),
        f". Averaged over the models, {label_words(measure)} ",
        n.two(measure.back(result.mu("averaged").median)),
        f" ({level_words(level)} credible interval ",
        n.two(measure.back(low)),
        " to ",
        n.two(measure.back(high)),
        "). ",
    ]


def regression(
    result: BayesRegressionResult | SampledRegressionResult, level: float, pi: str, n: Numbers
) -> Parts:
    """Tell the posterior of every coefficient."""
    parts: Parts = []
    for name, row in result.coef_at(level).iterrows():
        parts += [
            f"{name} ",
            n.two(float(row["median"])),
            " (",
            n.two(float(row["low"])),
            " to ",
            n.two(float(row["high"])),
            ", positive with probability ",
            n.number(float(row["prob_positive"]), probability),
            ")",
            "; ",
        ]
    at = level_words(level)
    head = f" effects. Posterior medians with {at} credible intervals, on the scale of analysis: "
    return [n.count(result.k), head, *parts[:-1], "; tau ", n.two(result.tau.median), ". "]


def _mean_and_tau(mu: Distribution, tau: Distribution, measure: Measure, level: float, n: Numbers) -> Parts:
    """Tell median and interval of a mean and of its heterogeneity."""
    low, high = tau.ci(level)
    return [
        n.two(measure.back(mu.median)),
        f" ({level_words(level)} credible interval ",
        *n.interval(mu.ci(level), measure, ""),
        "), tau ",
        n.two(tau.median),
        " (",
        n.two(low),
        " to ",
        n.two(high),
        "). ",
    ]


def bias_averaged(result: BiasAverageResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell the probabilities of effect, heterogeneity and bias with their error, and the averaged answers."""
    measure = result.effects.measure
    mu, tau = result.mu(), result.tau()
    error = 100.0 * max(result.probability_error(part) for part in _BIAS_PARTS)
    parts: Parts = [n.count(result.effects.k), " effects. Probability of an effect "]
    for part, words in zip(_BIAS_PARTS, (", of heterogeneity ", ", of publication bias ", ""), strict=True):
        parts += [n.number(result.probability(part), probability), words]
    return [
        *parts,
        " (standard errors of the integration at most ",
        n.two(error),
        f" percentage points). Averaged over the models, {label_words(measure)}, posterior median ",
        *_mean_and_tau(mu, tau, measure, level, n),
    ]


def sampled(result: SampledResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell mean, heterogeneity on each level, a new study, and how well the chains agree."""
    measure, model = result.measure, result.model
    if isinstance(model, SampledThreeLevel):
        taus = {"tau between clusters": result.tau, "within clusters": result.tau_within}
    elif isinstance(model, SampledRandomEffects) and model.effects == "t":
        taus = {"scale of the t distribution": result.tau}
    else:
        taus = {"tau": result.tau}
    spread: Parts = []
    for name, d in taus.items():
        low, high = d.ci(level)
        spread += [f"{name} ", n.two(d.median), " (", n.two(low), " to ", n.two(high), ")", ", "]
    what = "effects" if isinstance(result.data, EffectSizes) else "studies"
    return [
        n.count(result.data.k),
        f" {what}: {label_words(measure)}, posterior median ",
        n.two(measure.back(result.mu.median)),
        f" ({level_words(level)} credible interval ",
        *n.interval(result.mu.ci(level), measure, ""),
        "). Heterogeneity: ",
        *spread[:-1],
        f". The true effect of a new study lies with {level_words(level)} probability between ",
        n.two(measure.back(result.new_study.ci(level).low)),
        " and ",
        n.two(measure.back(result.new_study.ci(level).high)),
        ". ",
        *_chains(result, n),
    ]


def _chains(result: Sampled, n: Numbers) -> Parts:
    checks = result.diagnostics
    return [
        "The largest R-hat is ",
        n.number(float(checks["r_hat"].max()), lambda x: fixed(x, 3)),
        " and the smallest effective sample size ",
        n.count(float(checks[["ess_bulk", "ess_tail"]].to_numpy().min())),
        ". ",
    ]


def sampled_selection(result: SampledSelectionResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell what :func:`sampled` does of all studies, reported or not, and how selection weighs them."""
    weights: Parts = []
    for j, name in enumerate(result.model.intervals[1:], start=1):
        d = result.weight(j)
        low, high = d.ci(level)
        weights += [f"{name} ", n.two(d.median), " (", n.two(low), " to ", n.two(high), ")", ", "]
    return [
        *sampled(result, level, pi, n),
        f"Probability to be reported, relative to {result.model.intervals[0]}: ",
        *weights[:-1],
        ". ",
    ]


def sampled_multivariate(result: SampledMultivariateResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell every outcome's mean and heterogeneity, and how outcomes vary together between studies."""
    measure = result.measure
    parts: Parts = [n.count(result.k), f" effects: {label_words(measure)}. "]
    for outcome in result.levels:
        mu, tau = result.mu(outcome), result.tau(outcome)
        parts += [
            f"{outcome}: posterior median ",
            *_mean_and_tau(mu, tau, measure, level, n),
        ]
    if result.model.structure != "DIAG":
        for i, first in enumerate(result.levels):
            for second in result.levels[i + 1 :]:
                d = result.rho(first, second)
                low, high = d.ci(level)
                parts += [f"Correlation of {first} and {second} between studies ", n.two(d.median), " ("]
                parts += [n.two(low), " to ", n.two(high), "). "]
    return [*parts, *_chains(result, n)]


def sampled_regression(result: SampledRegressionResult, level: float, pi: str, n: Numbers) -> Parts:
    """Tell the posterior of every coefficient, and how well the chains agree."""
    return [*regression(result, level, pi, n), *_chains(result, n)]
