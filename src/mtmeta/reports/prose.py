"""Results in sentences, for every kind of model: each number carries its value, each method its citation.

:func:`result_sentences` takes any result of :mod:`mtmeta.models` and writes what a results section says of
it; :func:`method_sentences` takes over the result's own ``methods`` text and puts citations where it names
works. The paragraphs of a whole analysis are in :mod:`mtmeta.reports.prose_analysis`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mtmeta.errors import ModelError
from mtmeta.measures import Interval, Measure
from mtmeta.models.bayes import BayesResult
from mtmeta.models.bayes_average import ModelAverageResult
from mtmeta.models.bayes_regression import BayesRegressionResult
from mtmeta.models.dependent import MultilevelResult
from mtmeta.models.events import EventResult
from mtmeta.models.exact import ExactResult
from mtmeta.models.glmm import CountsResult
from mtmeta.models.linear import Coefficients
from mtmeta.models.permutation import PermutationResult
from mtmeta.models.regression import MetaRegressionResult
from mtmeta.models.result import PoolResult
from mtmeta.models.robust import RobustResult
from mtmeta.models.subgroups import SubgroupResult
from mtmeta.reports.bayes_words import probability
from mtmeta.reports.document import Inline, Number, Spans, spans
from mtmeta.reports.locked import Locked, tau2_text
from mtmeta.reports.references import cited
from mtmeta.reports.words import count, fixed, percent, pvalue

__all__ = ["Numbers", "method_sentences", "result_sentences"]

Parts = list["str | Inline | Iterable[Inline]"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Makes numbers of a text, with their places in a lock where there is one. Frozen.

    Attributes
    ----------
    locked : Locked, optional
    prefix : str
        Path below which the numbers of this result stand in the lock, such as ``today``.
    """

    locked: Locked | None = None
    prefix: str = ""

    def number(self, value: float, write: Callable[[float], str], path: str = "") -> Number:
        """Write a number; an infinite one is written so, and none that is no number is taken."""
        if math.isnan(value):
            raise ModelError(f"a text would say NaN{f' for {path}' if path else ''}; leave the sentence out")
        if math.isinf(value):
            return Number("infinity" if value > 0 else "minus infinity", value)
        at = ""
        if self.locked is not None and path:
            full = f"{self.prefix}/{path}" if self.prefix else path
            at = f"{self.locked.name}/{full}"
        return Number(write(value), value, at)

    def two(self, value: float, path: str = "") -> Number:
        """Write with two decimals."""
        return self.number(value, fixed, path)

    def count(self, value: float, path: str = "") -> Number:
        """Write a count."""
        return self.number(value, count, path)

    def df(self, value: float, path: str = "") -> Number:
        """Write degrees of freedom: whole ones so, others with one decimal."""
        return self.number(value, lambda x: f"{x:.0f}" if x == round(x) else fixed(x, 1), path)

    def tau2(self, value: float, path: str = "") -> Number:
        """Write a variance between studies."""
        return self.number(value, tau2_text, path)

    def p(self, value: float, path: str = "") -> Parts:
        """Write ``p = 0.035`` or ``p < 0.001``."""
        text = pvalue(value)
        below = text.startswith("<")
        number = self.number(value, lambda _: text, path)
        return ["p " if below else "p = ", number]

    def interval(self, ci: Interval, measure: Measure | None, path: str) -> Parts:
        """Write ``low to high`` on the scale people read."""
        low, high = (x if measure is None else measure.back(x) for x in ci)
        return [self.two(low, f"{path}/0"), " to ", self.two(high, f"{path}/1")]


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
        ratio, subgroups, meta-regression, multilevel, cluster-robust, permutation, Bayesian (random effects,
        regression, averaged).
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


def _label(measure: Measure) -> str:
    text = measure.back_label
    return text if text[:2].isupper() else text[0].lower() + text[1:]


def _level(level: float) -> str:
    return f"{100 * level:g}%"


def _test(n: Numbers, statistic: float, df: float, p: float) -> Parts:
    head: Parts = ["z = "] if math.isinf(df) else ["t(", n.df(df, "df"), ") = "]
    return [*head, n.two(statistic, "statistic"), ", ", *n.p(p, "pvalue")]


def _pooled(result: PoolResult, level: float, pi: str, n: Numbers) -> Parts:
    measure = result.effects.measure
    back = measure.back
    parts: Parts = [
        n.count(result.k, "k"),
        " effect was pooled: " if result.k == 1 else " effects were pooled: ",
        f"{_label(measure)} ",
        n.two(back(result.estimate), "estimate"),
        f" ({_level(level)} CI ",
        *n.interval(result.ci(level), measure, "ci"),
        "; ",
        *_test(n, result.statistic, result.df, result.pvalue),
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
                f" ({_level(level)} CI ",
                n.tau2(low, "tau2_ci/0"),
                " to ",
                n.tau2(high, "tau2_ci/1"),
                ")",
            ]
        except ModelError:
            pass  # a given tau2 has no interval; the sentence goes without
        parts.append(", ")
    return [*parts, *_i2_q(result, n), ". "]


def _i2_q(result: Any, n: Numbers) -> Parts:
    return [
        "I² = ",
        n.number(result.i2, percent, "i2"),
        ", Q(",
        n.count(result.q_df),
        ") = ",
        n.two(result.q, "q"),
        ", ",
        *n.p(result.q_pvalue, "q_pvalue"),
    ]


def _prediction(result: PoolResult, level: float, pi: str, n: Numbers) -> Parts:
    if not result.predicts:
        return []
    try:
        interval = result.pi(level, method=pi)  # type: ignore[arg-type]  # checked there
    except ModelError:
        return ["There are too few effects for a prediction interval. "]
    return [
        f"The {_level(level)} prediction interval runs from ",
        *n.interval(interval, result.effects.measure, "pi"),
        ". ",
    ]


def _events(result: EventResult, level: float, pi: str, n: Numbers) -> Parts:
    measure = result.measure
    return [
        n.count(result.k, "k"),
        " study was pooled: " if result.k == 1 else " studies were pooled: ",
        f"{_label(measure)} ",
        n.two(measure.back(result.estimate), "estimate"),
        f" ({_level(level)} CI ",
        *n.interval(result.ci(level), measure, "ci"),
        "; ",
        *_test(n, result.statistic, math.inf, result.pvalue),
        "). ",
        *(["Heterogeneity: ", *_i2_q(result, n), ". "] if result.q_df > 0 else []),
    ]


def _exact(result: ExactResult, level: float, pi: str, n: Numbers) -> Parts:
    return [
        n.count(result.k),
        " study was pooled: " if result.k == 1 else " studies were pooled: ",
        "odds ratio ",
        n.two(result.odds_ratio),
        f" (exact {_level(level)} CI ",
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
        f"{_label(measure)} ",
        n.two(measure.back(result.estimate)),
        f" ({_level(level)} CI ",
        *n.interval(result.ci(level), measure, ""),
        "; ",
        *_test(n, result.statistic, math.inf, result.pvalue),
        "). ",
    ]
    if not result.model.random:
        return parts
    low, high = result.tau2_ci(level)
    return [
        *parts,
        "Heterogeneity: tau² = ",
        n.tau2(result.tau2),
        f" (profile {_level(level)} CI ",
        n.tau2(low),
        " to ",
        n.tau2(high),
        "). ",
        f"The {_level(level)} prediction interval runs from ",
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
            f" ({_level(level)} CI ",
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


# ---- coefficients ---------------------------------------------------------------------------------


def _terms(coefficients: Coefficients, level: float, n: Numbers) -> Parts:
    frame = coefficients.frame(level)
    parts: Parts = []
    for name, row in frame.iterrows():
        parts += [
            f"{name} ",
            n.two(float(row["estimate"])),
            " (",
            n.two(float(row["ci_low"])),
            " to ",
            n.two(float(row["ci_high"])),
            "; ",
            *_test(n, float(row["statistic"]), float(row["df"]), float(row["pvalue"])),
            ")",
            "; ",
        ]
    return [f"Coefficients with {_level(level)} CI, on the scale of analysis: ", *parts[:-1], ". "]


def _regression(result: MetaRegressionResult, level: float, pi: str, n: Numbers) -> Parts:
    parts: Parts = [n.count(result.k), " effects. ", *_terms(result.coefficients, level, n)]
    if any(term != "Intercept" for term in result.design.terms):
        parts += _omnibus("Test of the moderators", result.omnibus, n)
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


def _omnibus(name: str, test: Any, n: Numbers) -> Parts:
    if math.isinf(test.df2):
        return [f"{name}: Q(", n.df(test.df1), ") = ", n.two(test.statistic), ", ", *n.p(test.pvalue), ". "]
    return [
        f"{name}: F(",
        n.df(test.df1),
        ", ",
        n.df(test.df2),
        ") = ",
        n.two(test.statistic),
        ", ",
        *n.p(test.pvalue),
        ". ",
    ]


def _multilevel(result: MultilevelResult, level: float, pi: str, n: Numbers) -> Parts:
    parts: Parts = [
        n.count(result.k),
        " effects in ",
        n.count(result.clusters),
        " clusters. ",
    ]
    if result.p == 1:
        measure = result.effects.measure
        parts += [
            f"Mean {_label(measure)} ",
            n.two(measure.back(result.estimate)),
            f" ({_level(level)} CI ",
            *n.interval(result.ci(level), measure, ""),
            "; ",
            *_test(n, result.statistic, result.df, result.pvalue),
            "). ",
        ]
    else:
        parts += _terms(result.coefficients, level, n)
        parts += _omnibus("Test of the moderators", result.omnibus, n)
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
            f"The {_level(level)} prediction interval runs from ",
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


def _robust(result: RobustResult, level: float, pi: str, n: Numbers) -> Parts:
    return [
        n.count(len(result.effects.study)),
        " effects in ",
        n.count(result.clusters),
        " clusters. ",
        *_terms(result.coefficients, level, n),
    ]


def _permutation(result: PermutationResult, level: float, pi: str, n: Numbers) -> Parts:
    parts: Parts = []
    for name, statistic, p in zip(result.terms, result.statistic, result.pvalues, strict=True):
        parts += [f"{name}: statistic ", n.two(float(statistic)), ", ", *n.p(float(p)), "; "]
    kind = "all" if result.exact else "random"
    return [f"Over {kind} ", n.count(result.permutations), " permutations: ", *parts[:-1], ". "]


# ---- Bayesian -------------------------------------------------------------------------------------


def _bayes(result: BayesResult, level: float, pi: str, n: Numbers) -> Parts:
    measure = result.effects.measure
    low, high = result.tau.ci(level)
    return [
        n.count(result.k, "k"),
        f" effects: {_label(measure)}, posterior median ",
        n.two(measure.back(result.estimate), "estimate"),
        f" ({_level(level)} credible interval ",
        *n.interval(result.ci(level), measure, "ci"),
        "). Heterogeneity: tau ",
        n.two(result.tau.median, "tau"),
        " (",
        n.two(low, "tau_ci/0"),
        " to ",
        n.two(high, "tau_ci/1"),
        f"). The true effect of a new study lies with {_level(level)} probability between ",
        n.two(measure.back(result.pi(level).low), "pi/0"),
        " and ",
        n.two(measure.back(result.pi(level).high), "pi/1"),
        ". ",
    ]


def _averaged(result: ModelAverageResult, level: float, pi: str, n: Numbers) -> Parts:
    measure = result.effects.measure
    low, high = result.mu("averaged").ci(level)
    return [
        "Probability of an effect ",
        n.number(result.probability("effect"), probability),
        ", of heterogeneity ",
        n.number(result.probability("heterogeneity"), probability),
        f". Averaged over the models, {_label(measure)} ",
        n.two(measure.back(result.mu("averaged").median)),
        f" ({_level(level)} credible interval ",
        n.two(measure.back(low)),
        " to ",
        n.two(measure.back(high)),
        "). ",
    ]


def _bayes_regression(result: BayesRegressionResult, level: float, pi: str, n: Numbers) -> Parts:
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
    head = f" effects. Posterior medians with {_level(level)} credible intervals, on the scale of analysis: "
    return [n.count(result.k), head, *parts[:-1], "; tau ", n.two(result.tau.median), ". "]


_WRITERS: tuple[tuple[type, Callable[[Any, float, str, Numbers], Parts]], ...] = (
    (PoolResult, _pooled),
    (EventResult, _events),
    (ExactResult, _exact),
    (CountsResult, _counts),
    (SubgroupResult, _groups),
    (MetaRegressionResult, _regression),
    (MultilevelResult, _multilevel),
    (RobustResult, _robust),
    (PermutationResult, _permutation),
    (BayesResult, _bayes),
    (ModelAverageResult, _averaged),
    (BayesRegressionResult, _bayes_regression),
)
