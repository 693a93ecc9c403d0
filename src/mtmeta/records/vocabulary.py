"""The words a record may use. Each is a ``Literal``, so the schema, the JSON Schema and mypy know them."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "Allocation",
    "Approach",
    "Category",
    "Comparator",
    "ComparatorClass",
    "Condition",
    "Construct",
    "Correction",
    "Delivery",
    "EffectMeasure",
    "Format",
    "MusicChosenBy",
    "Phase",
    "Provider",
    "Setting",
    "SourceStatus",
    "Technique",
    "TimePoint",
    "Unit",
    "ValueKind",
    "VarianceConvention",
    "comparator_class",
]

Condition = Literal[
    "depression",
    "anxiety",
    "trauma",
    "schizophrenia",
    "dementia",
    "cardiac",
    "icu",
    "preoperative",
    "insomnia",
    "brain injury",
    "stroke",
    "parkinson",
    "autism",
    "cancer",
    "chronic pain",
    "diabetes",
    "fibromyalgia",
    "copd",
    "substance use",
    "other",
]

Allocation = Literal["randomised", "quasi-randomised", "non-randomised", "unclear"]
Unit = Literal["parallel", "crossover", "cluster", "factorial", "within-subject", "unclear"]

Category = Literal["music therapy", "music medicine", "other music intervention", "unclear"]
Approach = Literal[
    "active",
    "receptive",
    "neurologic",
    "guided imagery and music",
    "songwriting and lyric analysis",
    "mixed",
    "unclear",
]
Technique = Literal[
    "rhythmic auditory stimulation",
    "patterned sensory enhancement",
    "musical speech stimulation",
    "improvisation",
    "singing",
    "instrument playing",
    "music listening",
    "music-assisted relaxation",
    "music and imagery",
    "songwriting",
    "lyric analysis",
    "song discussion",
    "reminiscence",
    "movement to music",
    "drumming",
    "background music",
]
Delivery = Literal["live", "recorded", "online", "mixed", "unclear"]
Format = Literal["individual", "group", "mixed", "unclear"]
Provider = Literal[
    "music therapist",
    "music therapist in training",
    "musician",
    "nurse",
    "other staff",
    "researcher",
    "self-administered",
    "mixed",
    "unclear",
]
Setting = Literal[
    "hospital",
    "intensive care",
    "operating theatre",
    "psychiatric hospital",
    "clinic",
    "rehabilitation",
    "nursing home",
    "community",
    "home",
    "school",
    "prison",
    "online",
    "mixed",
    "unclear",
]
MusicChosenBy = Literal[
    "participant", "participant from a selection", "researcher", "therapist", "mixed", "unclear"
]
Phase = Literal["assessment", "goal setting", "activity", "reflection", "tools for daily life"]

Comparator = Literal[
    # inactive: what people get anyway
    "usual care",
    "no music",
    "rest",
    "headphones without music",
    "sham",
    "wait list",
    "usual care or no music",
    # active
    "other activity",
    "psychological therapy",
    "relaxation",
    "drug",
    "music-free version of the activity",
    "mixed",
    # music against music
    "other music",
    # nothing compared, or not told
    "none",
    "unclear",
]
ComparatorClass = Literal["inactive", "active", "music", "none", "unclear"]

_CLASS: dict[str, ComparatorClass] = {
    "usual care": "inactive",
    "no music": "inactive",
    "rest": "inactive",
    "headphones without music": "inactive",
    "sham": "inactive",
    "wait list": "inactive",
    "usual care or no music": "inactive",
    "music-free version of the activity": "inactive",
    "other activity": "active",
    "psychological therapy": "active",
    "relaxation": "active",
    "drug": "active",
    "mixed": "active",
    "other music": "music",
    "none": "none",
    "unclear": "unclear",
}


def comparator_class(comparator: str) -> ComparatorClass:
    """Tell whether a comparator is inactive, active or itself music.

    Examples
    --------
    >>> comparator_class("wait list")
    'inactive'
    """
    return _CLASS[comparator]


Construct = Literal[
    "anxiety",
    "trait anxiety",
    "depression",
    "distress",
    "mood",
    "stress",
    "relaxation",
    "pain",
    "respiratory discomfort",
    "heart rate",
    "respiratory rate",
    "systolic pressure",
    "diastolic pressure",
    "mean arterial pressure",
    "oxygen saturation",
    "temperature",
    "cortisol",
    "stress hormones",
    "sedation",
    "sedative exposure",
    "opioid use",
    "delirium",
    "mortality",
    "length of stay",
    "weaning",
    "intubation",
    "sleep quality",
    "satisfaction",
    "negative symptoms",
    "positive symptoms",
    "general symptoms",
    "global state",
    "functioning",
    "social functioning",
    "quality of life",
    "well-being",
    "self-esteem",
    "communication",
    "response",
    "leaving the study early",
    "obsessive-compulsive symptoms",
    "behaviour problems",
    "agitation",
    "social behaviour",
    "cognition",
    "attention",
    "memory",
    "gait velocity",
    "cadence",
    "stride length",
    "gait symmetry",
    "upper extremity function",
    "range of motion",
    "speech",
    "balance",
    "other",
]

TimePoint = Literal[
    "baseline", "during", "post", "short term", "medium term", "long term", "follow-up", "mixed", "unclear"
]
ValueKind = Literal["final", "change", "adjusted", "mixed", "unclear"]
Correction = Literal["exact", "approximate", "none", "unknown"]
VarianceConvention = Literal["LS", "LS2", "UB", "AV", "RevMan", "unknown"]
EffectMeasure = Literal[
    "MD", "SMD", "SMDH", "SMD1", "ROM", "OR", "RR", "RD", "PETO", "HR", "IRR", "COR", "ZCOR"
]
SourceStatus = Literal["primary", "secondary", "computed", "inferred"]
