"""Methods and results of an analysis as paragraphs of a paper, made from what was run."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from typing import Any

from mtmeta.audit.grade import Certainty, grade_of
from mtmeta.audit.run import AnalysisRun
from mtmeta.diagnostics.small_study import FEWEST
from mtmeta.reports.bayes_words import probability
from mtmeta.reports.document import Block, Cite, Number, Paragraph, Section, spans
from mtmeta.reports.locked import Locked
from mtmeta.reports.phrases import change_word, finding_sentence, level_words
from mtmeta.reports.prose import Numbers, Parts, method_sentences, result_sentences
from mtmeta.reports.references import cited
from mtmeta.reports.words import fixed

__all__ = ["methods_paragraphs", "methods_section", "prose_section", "results_paragraphs"]

_VARIANCES = {
    "LS": "with its large-sample variance",
    "LS2": "with the variance of Borenstein et al. 2009 (the square of the correction times that of d)",
    "UB": "with the unbiased variance",
    "AV": "with the variance at the average effect",
    "RevMan": "with the standard error of RevMan",
}
_PREDICTIONS: dict[str, tuple[str, str]] = {
    "V": ("t with k - 1 degrees of freedom and the classic standard error", "method-veroniki-2019"),
    "HTS": ("t with k - 2 degrees of freedom", "method-higgins-2009"),
    "normal": ("normal quantiles", ""),
    "HK": ("t with k - 1 degrees of freedom and the standard error of Hartung and Knapp", ""),
    "HK-PR": ("t with k - 2 degrees of freedom and the standard error of Hartung and Knapp", ""),
}
_RULES = {
    "raise": "one row a trial answered the question",
    "prefer": "where several rows of a trial answered, the one on the preferred scale was taken",
    "latest": "where several rows of a trial answered, the latest was taken",
    "separate": "where several rows of a trial answered, each was kept",
    "mean": "where several rows of a trial answered, they were averaged",
}


def prose_section(run: AnalysisRun, locked: Locked, *, certainty: Certainty | None = None) -> Section:
    """Return methods and results in paragraphs, for a paper to take over."""
    name = run.analysis.name
    rated = grade_of(run) if certainty is None else certainty
    return Section(
        f"text-{name}",
        "Text for the paper",
        (),
        (
            Section(f"text-methods-{name}", "Methods", methods_paragraphs(run, rated)),
            Section(f"text-results-{name}", "Results", results_paragraphs(run, locked, rated)),
        ),
    )


def methods_section(run: AnalysisRun) -> Section:
    """Return the methods alone."""
    return Section(f"text-methods-{run.analysis.name}", "Methods", methods_paragraphs(run, grade_of(run)))


# ---- methods --------------------------------------------------------------------------------------


def methods_paragraphs(run: AnalysisRun, certainty: Certainty) -> tuple[Block, ...]:
    """Tell question, selection, effects, models, certainty and software."""
    made = (_asked(run), _effects(run), _models(run), _certainty(certainty), _software())
    return tuple(Paragraph(spans(*parts)) for parts in made if parts)


def _asked(run: AnalysisRun) -> Parts:
    question, select = run.analysis.question, run.analysis.select
    parts: Parts = [
        f"Population: {question.population}. Intervention: {question.intervention}. "
        f"Comparator: {question.comparator}. Outcome: {question.outcome}. Time: {question.time}. "
        f"Trials were selected from records of what their sources print; {_RULES[select.rule]}. "
    ]
    out = {**select.exclude, **run.analysis.today.exclude}
    if out:
        labels = {s.id: s.label for s in run.studies}
        told = [f"{labels.get(key.split('/')[0], key)} ({why})" for key, why in out.items()]
        parts.append(f"Left out by decision: {'; '.join(told)}. ")
    return parts


def _effects(run: AnalysisRun) -> Parts:
    analysis = run.analysis
    parts: Parts = []
    if analysis.measure == "SMD":
        parts += [
            "Effects are standardised mean differences with small-sample correction, Hedges' g (",
            Cite("method-hedges-1981"),
            f"), {_VARIANCES[analysis.model.variance]}, music minus comparator; ",
        ]
    else:
        label = run.effects.measure.label.lower()
        parts.append(f"The effect measure is the {label}, music against comparator; ")
    parts.append(f"{analysis.better} values are better. ")
    columns = run.effects.columns
    if columns is not None and "route" in columns:
        routes = Counter(str(r).split(";")[0] for r in columns["route"])
        parts.append("They were computed from ")
        told: Parts = []
        for i, (route, times) in enumerate(routes.most_common()):
            told += ["; from " if i else "", f"{route} (", Number(str(times), times), " of "]
            told += [Number(str(run.effects.k), run.effects.k), ")"]
        parts += [*told, ". "]
    return [*parts, *_kinds_of_values(run)]


def _kinds_of_values(run: AnalysisRun) -> Parts:
    """Own up to final and change scores under one standardised mean difference."""
    columns = run.effects.columns
    if columns is None or "value" not in columns or run.analysis.measure not in ("SMD", "SMDH", "SMD1"):
        return []
    kinds = Counter(str(v) for v in columns["value"])
    if kinds["final"] == 0 or kinds["change"] == 0:
        return []
    return [
        "Final values (",
        Number(str(kinds["final"]), kinds["final"]),
        ") and changes (",
        Number(str(kinds["change"]), kinds["change"]),
        ") stand under one standardised mean difference, against which the Cochrane Handbook advises "
        "(10.5.2). ",
    ]


def _models(run: AnalysisRun) -> Parts:
    analysis, result = run.analysis, run.result
    parts: Parts = [*method_sentences(result), " "]
    if result.tau2_method not in ("none", "given"):
        parts += ["The interval of tau² is the Q-profile one (", Cite("method-viechtbauer-2007"), "). "]
    if result.predicts and result.k >= 3:
        how, key = _PREDICTIONS[analysis.model.pi]
        parts.append(f"The prediction interval uses {how}")
        parts += [" (", Cite(key), "). "] if key else [". "]
    parts += ["I² is that of ", Cite("method-higgins-2002"), ". "]
    if run.subgroups is not None:
        own = run.subgroups.methods.removesuffix(run.subgroups.overall.methods).strip()
        parts += ["Effects were also pooled in ", *cited(own), " "]
    for i, one in enumerate(run.bayes):
        if i == 0:
            parts += [*method_sentences(one.result), " "]
        else:
            parts += ["The same with other priors: ", *cited(one.words), ". "]
    if result.k >= FEWEST:
        precision = "1/sqrt(n)" if run.effects.measure.code.startswith("SMD") else "the standard error"
        key = "method-pustejovsky-2019" if precision != "the standard error" else "method-egger-1997"
        parts += [
            f"Small-study effects were tested by regression on {precision} (",
            Cite(key),
            ") and by a selection model with one step (",
            Cite("method-vevea-1995"),
            "). ",
        ]
    else:
        parts += [
            f"Small-study effects were not tested, because fewer than {FEWEST} effects cannot tell them from "
            "chance (",
            Cite("method-sterne-2011"),
            "). ",
        ]
    return parts


def _certainty(certainty: Certainty) -> Parts:
    who = (
        "proposed by rules from the numbers, and not yet decided by a person"
        if certainty.decided is None
        else "proposed by rules from the numbers, and decided by a person where the table says so"
    )
    cuts = certainty.thresholds
    parts: Parts = ["Certainty was rated by GRADE (", Cite("method-schunemann-2019"), f"), {who}. "]
    if cuts.matter:
        shown = [Number(fixed(x), x) for x in cuts.shown]
        convention = cuts.origin == "convention"
        kind = "an effect taken for appreciable" if convention else "the smallest that matters"
        parts += [f"Intervals were held against {kind}: ", shown[0], " and ", shown[1], " ("]
        parts += [*cited(cuts.source), f"; {cuts.population}" if cuts.population else "", "). "]
    return parts


def _software() -> Parts:
    packages = ", ".join(f"{p} {version(p)}" for p in ("numpy", "scipy"))
    return [f"Computed with mtmeta {version('mtmeta')} ({packages}); every number stands in a lock file. "]


# ---- results --------------------------------------------------------------------------------------


def results_paragraphs(run: AnalysisRun, locked: Locked, certainty: Certainty) -> tuple[Block, ...]:
    """Tell what was found: the trials, the pooled effect, groups, Bayesian answers, the published figure."""
    made = (
        _trials(run, locked),
        _found(run, locked, certainty),
        _groups(run),
        _bayes(run, locked),
        _beside(run, locked),
    )
    return tuple(Paragraph(spans(*parts)) for parts in made if parts)


def _trials(run: AnalysisRun, locked: Locked) -> Parts:
    trials = len(set(run.effects.study))
    parts: Parts = [Number(f"{trials}", trials), " trial" if trials == 1 else " trials"]
    n = locked.get("today/n")
    if n is not None:
        parts += [", with ", Number(f"{n}", n, f"{locked.name}/today/n"), " people in all,"]
    parts.append(" gave ")
    if run.effects.k == trials:
        parts.append("one effect. " if trials == 1 else "one effect each. ")
    else:
        parts += [Number(f"{run.effects.k}", run.effects.k), " effects. "]
    left = {x.study for x in run.left_out} - set(run.effects.study)
    if left:
        parts += [Number(f"{len(left)}", len(left)), " trial" if len(left) == 1 else " trials"]
        parts.append(" of the records gave none; the reasons are listed in the flow. ")
    return parts


def _found(run: AnalysisRun, locked: Locked, certainty: Certainty) -> Parts:
    method = run.analysis.model
    result = run.result
    word = change_word(result.estimate, result.effects.measure.null, run.analysis.better)
    said = result_sentences(result, level=method.level, pi=method.pi, numbers=Numbers(locked, "today"))
    points = "The pooled effect points neither way. "
    if word != "the same":
        points = f"The pooled effect points to {word} values with music. "
    return [
        *said,
        points,
        f"{finding_sentence(run, certainty)} ",
        f"Certainty of the evidence: {level_words(certainty)}. ",
    ]


def _groups(run: AnalysisRun) -> Parts:
    if run.subgroups is None or run.analysis.subgroups is None:
        return []
    said = result_sentences(run.subgroups, level=run.analysis.model.level)
    by = {"group": "population", "value": "kind of value"}.get(
        run.analysis.subgroups.by, run.analysis.subgroups.by
    )
    return [
        *said,
        f"Groups ({by}) are of whole trials: a difference between them may be due to anything else in which "
        "the trials differ. ",
    ]


def _bayes(run: AnalysisRun, locked: Locked) -> Parts:
    parts: Parts = []
    for i, one in enumerate(run.bayes):
        numbers = Numbers(locked, f"bayes/{i}")
        parts += [f"Under {one.label}: ", *result_sentences(one.result, level=one.level, numbers=numbers)]
        chance = numbers.number(one.prob_better, probability, "prob_better")
        parts += ["The probability that music is better than the comparator is ", chance, ". "]
    return parts


def _beside(run: AnalysisRun, locked: Locked) -> Parts:
    told: list[Any] = []
    for i, item in enumerate(run.published):
        printed = item.published
        if printed.compare == "none" or printed.estimate is None or item.result is None:
            continue
        at = "published" if i == 0 else f"more_published/{i - 1}"
        limits = "" if printed.ci is None else f" ({printed.ci[0]} to {printed.ci[1]})"
        told += [
            f"{printed.review} printed {printed.measure} {printed.estimate}{limits} for {printed.label}; by "
            f"its own method ({printed.method.words}) the rows here give ",
            *locked.estimate(f"{at}/ours"),
            {"agrees": ", which agrees. ", "differs": ", which differs. "}.get(
                item.agreement, ", not held to it. "
            ),
        ]
    return told
