"""What the Bayesian answers change against the classical one, in a computed sentence."""

from __future__ import annotations

from mtmeta.audit.bayes import BayesRun
from mtmeta.audit.run import AnalysisRun
from mtmeta.measures import Interval
from mtmeta.reports.words import estimate_ci, fixed

__all__ = ["bayes_sentence", "probability"]

_NONE = "shows no clear difference"


def probability(p: float) -> str:
    """Write a probability in percent, as near to 0 or 100 as one digit can tell.

    Examples
    --------
    >>> probability(0.9645), probability(0.99996), probability(0.0002)
    ('96.5%', 'above 99.9%', 'below 0.1%')
    """
    if p < 0.0005:
        return "below 0.1%"
    if p > 0.9995:
        return "above 99.9%"
    return f"{fixed(100.0 * p, 1)}%"


def bayes_sentence(run: AnalysisRun) -> str:
    """Say in one sentence what the Bayesian answers change; empty where the analysis names no priors.

    Compared are the conclusions that the intervals allow (whom they favour, or no clear difference), the
    widths of the intervals on the scale of analysis, and the probability that music is better.

    Parameters
    ----------
    run : AnalysisRun

    Examples
    --------
    General functioning in schizophrenia, two trials whose effects happen to lie close together: the
    classical heterogeneity is 0, the prior does not take that for certain.

    >>> from mtmeta.audit.files import read_analyses
    >>> from mtmeta.audit.run import run_analysis
    >>> from mtmeta.records.folder import read_studies
    >>> from mtmeta.records.locate import data_folder
    >>> item, = read_analyses([data_folder("analyses") / "schizophrenia-gaf.yaml"])
    >>> print(bayes_sentence(run_analysis(item.analysis, read_studies(data_folder("studies")))))
    Under both priors the interval shows no clear difference as the classical one, -0.19 [-0.56, 0.18],
    does: -0.20 [-0.88, 0.48] under half-normal(0.5) and -0.20 [-0.79, 0.39] under empirical (quality of
    life); the interval is 1.61 to 1.84 times as wide as the classical one; the probability that music is
    better is 21.1% to 23.5%.
    """
    if not run.bayes:
        return ""
    classical = _conclusion(run, run.result.ci(run.analysis.model.level))
    told = [_conclusion(run, b.result.ci(b.level)) for b in run.bayes]
    answers = [f"{estimate_ci(b.estimate, b.ci)} under {b.label}" for b in run.bayes]
    ours = estimate_ci(*_classical(run))
    if len(set(told)) > 1:
        each = [f"{t} ({words})" for t, words in zip(told, answers, strict=True)]
        head = f"The conclusion depends on the prior: the interval {_joined(each)}"
        tail = f"the classical one, {ours}, {classical}"
    elif told[0] == classical:
        head = f"{_under(run)} the interval {told[0]} as the classical one, {ours}, does: {_joined(answers)}"
        tail = ""
    else:
        head = f"The conclusion changes: the classical interval, {ours}, {classical}"
        tail = f"{_under(run).lower()} the interval {told[0]}: {_joined(answers)}"
    parts = [head, tail, _widths(run), _chances(run)]
    return "; ".join(p for p in parts if p) + "."


def _under(run: AnalysisRun) -> str:
    n = len(run.bayes)
    return "Under the prior" if n == 1 else "Under both priors" if n == 2 else f"Under all {n} priors"


def _classical(run: AnalysisRun) -> tuple[float, Interval]:
    back = run.result.effects.measure.back
    low, high = run.result.ci(run.analysis.model.level)
    return back(run.result.estimate), Interval(back(low), back(high))


def _conclusion(run: AnalysisRun, ci: Interval) -> str:
    null = run.effects.measure.null
    if ci.low <= null <= ci.high:
        return _NONE
    return "favours music" if (ci.low > null) == (run.analysis.better == "higher") else "favours control"


def _widths(run: AnalysisRun) -> str:
    low, high = run.result.ci(run.analysis.model.level)
    ratios = [_width(b) / (high - low) for b in run.bayes]
    words = list(dict.fromkeys(fixed(r) for r in (min(ratios), max(ratios))))
    return f"the interval is {' to '.join(words)} times as wide as the classical one"


def _width(one: BayesRun) -> float:
    low, high = one.result.ci(one.level)
    return high - low


def _chances(run: AnalysisRun) -> str:
    chances = [b.prob_better for b in run.bayes]
    words = list(dict.fromkeys(probability(p) for p in (min(chances), max(chances))))
    return f"the probability that music is better is {' to '.join(words)}"


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
