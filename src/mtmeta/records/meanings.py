"""What each field of a record means, where the schema does not say so: for editors and documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["MEANINGS", "described"]

_INTERVAL = {
    "ci_low": "Lower end of the confidence interval, as printed.",
    "ci_high": "Upper end of the confidence interval, as printed.",
}

_SPREAD = {
    "mean": "Mean, as printed.",
    "sd": "Standard deviation, as printed.",
    "se": "Standard error of the mean, as printed.",
    **_INTERVAL,
}

_QUARTILES = {
    "median": "Median, as printed.",
    "q1": "First quartile (25th centile), as printed.",
    "q3": "Third quartile (75th centile), as printed.",
}

_SIZES = {
    "n": "People whose values are counted, as printed; not those randomised.",
    "n_music": "People of the music arm whose values are counted.",
    "n_control": "People of the control arm whose values are counted.",
    "n_total": "People of both arms, where only the sum is printed.",
}

_BIAS = {
    "tool": "The tool by which it was judged; decides which keys stand beside it.",
    "judged_by": "Who judged: the review, such as `CD006902.pub3`, or a person.",
    "note": "Anything to know about the judgements.",
    "overall": "Overall judgement.",
}

_EFFECT = {
    **_SIZES,
    **_INTERVAL,
    "measure": "The printed effect measure, such as `SMD`.",
    "level": "Level of the printed interval.",
    "adjusted_for": "What an adjusted estimate is adjusted for.",
    "se": "Standard error, as printed.",
}

_ARMS = {"music": "The arm with music.", "control": "The arm it is compared with."}

_DATA = {
    "kind": "The form of what was printed; decides which keys stand beside it.",
    "note": "Anything to know about these numbers.",
}

_ARM = {
    "name": "Name of the arm, as the source has it.",
    "role": "Whether the arm counts as music, as control, or not at all.",
}

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "": {
        "schema": "Version of the format.",
        "id": "The file's name without its ending: surname and year, a letter after the year where needed.",
        "citation": "The report of the trial.",
        "conditions": "What the participants have or undergo; the first names the folder.",
        "design": "How the trial was made.",
        "population": "Who took part.",
        "intervention": "The music, and how it was given.",
        "comparator": "What music was compared with.",
        "arms": "The arms of the trial, where there are more than two or their sizes are known.",
        "risk_of_bias": "Judgements of the risk of bias, by one tool.",
        "outcomes": "The results; an empty list where the trial gives no number.",
        "flags": "Known faults and doubts.",
        "checked": "Answers of a person to findings of the integrity checks.",
        "note": "Anything else to know about the trial.",
    },
    "Citation": {
        "authors": "Surname and initials of each author, in the order of print.",
        "title": "Title of the work.",
        "journal": "Journal or series, abbreviated or in full.",
        "year": "Year of publication.",
        "volume": "Volume, as text.",
        "issue": "Issue within the volume.",
        "pages": "First and last page, or article number.",
        "doi": "The DOI alone, without an address before it.",
        "pmid": "PubMed's number of the work.",
        "note": "Anything to know about the reference.",
    },
    "Design": {
        "allocation": "How people came into their arm.",
        "unit": "What was allocated, and whether people met one arm or several.",
        "arms": "Number of arms.",
        "n_randomised": "People randomised, of all arms.",
        "countries": "Two-letter codes; `'NO'` in quotes, which YAML would read as false.",
    },
    "Population": {
        "description": "The participants in a few words.",
        "mean_age": "Mean age in years, of all participants.",
        "female_percent": "Share of women among the participants, in percent.",
    },
    "Intervention": {
        "category": "Music therapy (a therapist, a process) or music medicine (music offered by staff).",
        "category_basis": "Whether the source states the category or the extractor inferred it.",
        "approach": "Whether people made music, listened, or followed one of the named methods.",
        "techniques": "What was done with music.",
        "delivery": "Live, recorded or online music.",
        "format": "One person or a group.",
        "provider": "Who gave it.",
        "setting": "Where it was given.",
        "music_chosen_by": "Who chose the music.",
        "sessions": "Number of sessions planned.",
        "minutes_per_session": "Length of a session in minutes.",
        "weeks": "Length of the whole in weeks.",
        "sessions_per_week": "Sessions a week.",
        "phases": "Parts of the process that the source describes.",
        "music": "The music itself: pieces, style, tempo.",
        "description": "The intervention in a few words.",
    },
    "ComparatorInfo": {
        "type": "Kind of comparator; an outcome may name another.",
        "description": "The comparator in a few words.",
    },
    "Arm": {
        **_ARM,
        "n_randomised": "People randomised to the arm.",
        "n_analysed": "People of the arm in the main analysis.",
    },
    "RoB1": {
        **_BIAS,
        "random_sequence": "Random sequence generation.",
        "allocation_concealment": "Allocation concealment.",
        "blinding_participants": "Blinding of participants and personnel.",
        "blinding_outcome": "Blinding of outcome assessment, of all outcomes.",
        "blinding_outcome_subjective": "Blinding of outcome assessment, of subjective outcomes.",
        "blinding_outcome_objective": "Blinding of outcome assessment, of objective outcomes.",
        "incomplete_outcome": "Incomplete outcome data.",
        "selective_reporting": "Selective reporting.",
        "other": "Other sources of bias.",
    },
    "RoB2": {
        **_BIAS,
        "randomisation": "Bias arising from the randomisation process.",
        "deviations": "Bias due to deviations from intended interventions.",
        "missing_data": "Bias due to missing outcome data.",
        "measurement": "Bias in measurement of the outcome.",
        "reported_result": "Bias in selection of the reported result.",
    },
    "RobinsI": {
        **_BIAS,
        "confounding": "Bias due to confounding.",
        "selection": "Bias in selection of participants into the study.",
        "classification": "Bias in classification of interventions.",
        "deviations": "Bias due to deviations from intended interventions.",
        "missing_data": "Bias due to missing data.",
        "measurement": "Bias in measurement of the outcome.",
        "reported_result": "Bias in selection of the reported result.",
    },
    "NotAssessed": _BIAS,
    "Outcome": {
        "id": "Name of the row within the record; pins, exclusions and flags point to it.",
        "construct": "What is measured, in a word of the vocabulary; questions select by it.",
        "instrument": "The scale or device, as the source names it.",
        "time": "When it was measured, in a word of the vocabulary.",
        "weeks": "The same in weeks, where the source tells.",
        "time_as_printed": "The time in the source's words.",
        "value": "Whether values are final ones, changes from baseline, or adjusted for it.",
        "data": "The printed numbers, in the form in which they were printed.",
        "reported": "What the source itself computed from them, to hold ours against.",
        "used_in": "Names of the forest plots that print the row.",
        "source": "Where the numbers stand.",
        "corrected": "What a person put right; the printed numbers stay in `data`.",
        "note": "Anything else to know about the row.",
    },
    "MeanSD": _SPREAD,
    "GroupMeans": {**_SPREAD, "n": _SIZES["n"], "baseline": "The arm before the intervention."},
    "GroupChanges": {
        "n": _SIZES["n"],
        "change": "Change from baseline; a fall is negative.",
        "baseline": "The arm before the intervention.",
        "final": "The arm at the time of the outcome.",
    },
    "GroupEvents": {"events": "People with the event.", "n": "People who could have had it."},
    "GroupRate": {
        "events": "Number of events.",
        "time": "Person-time over which they were counted, in one unit.",
    },
    "GroupQuartiles": {
        **_QUARTILES,
        "n": _SIZES["n"],
        "min": "Lowest value, as printed.",
        "max": "Highest value, as printed.",
    },
    "Means": {**_DATA, **_ARMS},
    "Changes": {**_DATA, **_ARMS},
    "Events": {**_DATA, **_ARMS},
    "Rates": {**_DATA, **_ARMS},
    "Quartiles": {**_DATA, **_ARMS},
    "Effect": {**_DATA, **_EFFECT},
    "IntervalEffect": {**_DATA, **_EFFECT},
    "Test": {
        **_DATA,
        **_SIZES,
        "statistic": "Which statistic was printed; `p` where only a P value was.",
        "value": "The statistic, as printed; absent where only P was.",
        "df": "Degrees of freedom, as printed; of an F those of its denominator.",
        "groups": "Number of groups compared.",
        "mean_music": "Mean of the music arm, where printed; gives the sign.",
        "mean_control": "Mean of the control arm, where printed; gives the sign.",
    },
    "FirstPeriod": _ARMS,
    "Paired": {
        **_DATA,
        "n": "People who were measured both with and without music.",
        "music": "With music.",
        "control": "With the control condition.",
        "difference": "Mean and spread of each person's difference, music minus control.",
        "first_period": "The first period alone, where printed.",
    },
    "OneGroup": {
        **_DATA,
        "n": _SIZES["n"],
        "change": "Change from before to after; a fall is negative.",
        "before": "Before the intervention.",
        "after": "After the intervention.",
    },
    "Correlation": {**_DATA, "r": "The correlation, as printed.", "n": "People or pairs behind it."},
    "Coefficient": {
        **_DATA,
        **_INTERVAL,
        "term": "What the coefficient belongs to, such as `group by time`.",
        "estimate": "The coefficient, as printed.",
        "se": "Its standard error, as printed.",
        "n_total": "People in the model.",
    },
    "ArmValues": {
        **_ARM,
        **_SPREAD,
        **_QUARTILES,
        "n": _SIZES["n"],
        "events": "People of the arm with the event.",
    },
    "Arms": {
        **_DATA,
        "form": "What the arms hold; decides which of their keys are needed.",
        "arms": "The arms, each with its numbers.",
    },
    "Narrative": {**_DATA, "printed": "What the source says, in its words or in short."},
    "Source": {"certainty": "How sure it is that the number was read and placed rightly, and why."},
    "Reported": {
        **_INTERVAL,
        "measure": "The measure of what the source computed.",
        "estimate": "The estimate it printed.",
        "se": "The standard error it printed.",
        "level": "Level of its interval.",
        "weight_percent": "Weight of the row in the source's forest plot, in percent.",
        "convention": "Formula of the source's standard error, where known.",
        "printed": "The same in the source's characters, where digits or signs matter.",
    },
    "Corrected": {
        "why": "The reason, with its evidence.",
        "by": "Who decided.",
        "data": "The numbers to take instead, in any form that `data` has.",
    },
    "Flag": {
        "code": "Kind of fault, in lower case with hyphens, such as `se-as-sd`.",
        "note": "What is wrong or doubtful, and how one knows.",
    },
    "Checked": {
        "code": "Code of the finding that is answered, as `mtmeta check` prints it.",
        "about": "`study`, or `outcomes.<id>` with the outcome's id.",
        "why": "Why the value stands all the same.",
        "by": "Who looked.",
        "when": "The day, as `2026-01-31`.",
    },
}


def described(schema: dict[str, Any], meanings: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Give every key of a JSON Schema that says nothing of itself its meaning.

    Parameters
    ----------
    schema : dict
        As pydantic makes it; changed in place and returned.
    meanings : mapping
        Name of the model (empty for the file itself) to its keys' meanings.
    """
    for name, model in (("", schema), *schema.get("$defs", {}).items()):
        for key, field in model.get("properties", {}).items():
            if "description" not in field and key in meanings.get(name, {}):
                field["description"] = meanings[name][key]
    return schema
