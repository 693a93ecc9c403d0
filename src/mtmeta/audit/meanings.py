"""What each field of an analysis file means, where its place in the schema does not say so."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MEANINGS"]

_DECIDED = {
    "why": "The reason.",
    "by": "Who decided.",
    "when": "The day, as `2026-01-31`.",
}

_SOURCED = {
    "population": "Of whom the number speaks.",
    "source": "Where it stands.",
}

_DOMAIN = "A person's decision on this domain; the rule's proposal where it is absent."

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "": {
        "schema": "Version of the format.",
        "name": "Name of the analysis, the same as the file's without its ending.",
        "title": "Heading of the report and the figures.",
        "question": "The question in words, for the report.",
        "select": "Which rows of which records answer it.",
        "measure": "Effect measure of the answer, as music minus control or music over control.",
        "routes": "What is decided where a source leaves several ways to an effect.",
        "model": "How effects are computed and pooled.",
        "today": "Where today's answer takes other rows than the reviews did.",
        "subgroups": "Groups shown apart, with a test between them.",
        "published": "Pooled figures that reviews printed, to hold ours against.",
        "assumptions": "Numbers from outside of the trials, on which absolute effects rest.",
        "grade": "Decisions of people about the certainty of the evidence.",
        "conclusion": "By what the analysis concludes.",
        "note": "Anything a reader must know; the report prints it at the top.",
    },
    "Question": {
        "population": "Who took part.",
        "intervention": "What was given.",
        "comparator": "What it was compared with.",
        "outcome": "What was measured.",
        "time": "When it was measured.",
    },
    "Select": {
        "conditions": "Conditions of the trials; a trial with one of them matches.",
        "constructs": "What the row measures.",
        "instruments": "Scales, matched whole or up to the first parenthesis or comma, in any case.",
        "times": "Time points of the row.",
        "values": "Kinds of value: final, change, adjusted.",
        "comparators": "Comparators of the row, by type or by class (`inactive`, `active`, `music`).",
        "categories": "Categories of the intervention.",
        "approaches": "Approaches of the intervention.",
        "groups": "Groups of the population, as records name them.",
        "allocations": "Ways of allocation.",
        "used_in": "Forest plots that print the row.",
        "studies": "Ids of trials; all that match where it is absent.",
        "pin": "Trial to the id of the outcome that stands for it.",
        "exclude": "Trial, or `trial/outcome`, to the reason for leaving it out.",
        "rule": "For several rows of one trial: an error that lists them, the first in `prefer`, the latest, "
        "each as a row of its own, or their mean.",
        "rho": "Correlation of a trial's rows, for the rule `mean`.",
        "prefer": "Instruments, outcome ids or time points in falling order, for the rule `prefer`.",
        "corrected": "Take what a person corrected in a record in place of what was printed.",
    },
    "Routes": {"crossover": "Whether crossover trials are taken whole or by their first period."},
    "Method": {
        "kind": "One true effect for all, or effects that vary between trials.",
        "tau2": "Estimator of the variance between trials.",
        "ci": "Interval of the mean; `auto` is HKSJ for more than two trials with τ² above 0, else Wald.",
        "pi": "Rule of the prediction interval.",
        "variance": "Convention for g and the variance of a standardised mean difference.",
        "level": "Level of all intervals.",
    },
    "Today": {
        "exclude": "Trial, or `trial/outcome`, to the reason for leaving it out of today's answer only.",
        "corrected": "Take what a person corrected in a record, in today's answer only.",
    },
    "Subgroups": {
        "by": "The field of the records that makes the groups.",
        "tau2": "Whether each group has a τ² of its own or all share one.",
    },
    "Priors": {
        "outcome": "Type of outcome, for a prior of the heterogeneity that was fitted to many meta-analyses."
    },
    "Published": {
        "review": "The review, such as `CD006577.pub3`.",
        "label": "What the review calls the figure.",
        "source": "Where it was read.",
        "measure": "Effect measure of the figure.",
        "method": "How the review pooled.",
        "ci": "Its interval, digits as printed.",
        "k": "Number of trials it printed.",
        "n": "Number of participants it printed.",
    },
    "Assumptions": {
        "important_difference": "The smallest difference that matters to patients.",
        "control_response": "Share with the event among people without music.",
        "scale": "A scale that readers know, into whose points the answer is turned.",
    },
    "Threshold": {**_SOURCED, "value": "The difference, above 0; both directions count."},
    "ControlResponse": {**_SOURCED, "value": "The share, between 0 and 1."},
    "ScaleSD": {
        **_SOURCED,
        "instrument": "Name of the scale.",
        "sd": "Its standard deviation among such people.",
        "unit": "What its points are called.",
        "range": "Lowest and highest score.",
    },
    "Grade": {
        "start": "Where the rating begins, if not where the rule lets it.",
        "risk_of_bias": _DOMAIN,
        "inconsistency": _DOMAIN,
        "indirectness": f"{_DOMAIN} No rule proposes to rate it down: it is for a person.",
        "imprecision": _DOMAIN,
        "publication_bias": _DOMAIN,
        "up": "A reason to rate up, which no rule proposes.",
    },
    "Decision": _DECIDED,
    "Start": {**_DECIDED, "level": "Certainty with which the rating begins."},
    "Up": {**_DECIDED, "up": "Levels to rate up."},
    "Rule": {"by": "Which interval is held against no difference."},
    "Alternatives": {
        "choices": "The decisions, each with its alternatives.",
        "leave_out": "Combinations that make no sense.",
    },
    "Choice": {
        "choice": "Name of the decision, as figures and tables show it.",
        "alternatives": "What could be done as well.",
    },
    "Impossible": {
        "when": "Names of choices to the options that exclude each other.",
        "why": "The reason.",
    },
    "Alternative": {
        "option": "Name of the option, as figures and tables show it.",
        "why": "Why it is reasonable, or why it is done though it is not.",
        "measure": "Effect measure in place of the analysis'.",
        "select": "Rows: written keys replace the analysis'.",
        "routes": "Ways to an effect: written keys replace the analysis'.",
        "model": "Computation and pooling: written keys replace the analysis'.",
        "today": "Exclusions and corrections: written keys replace the analysis', exclusions are added.",
    },
}
