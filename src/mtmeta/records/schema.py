"""Study schema, version 1: what a record may say and in which form.

A record holds what a source printed, under the source's own label and in its own form. The
models here are frozen and strict and know no other keys; they refuse what cannot be
represented (types, unknown keys, vocabulary). What can be represented but cannot be true loads
and is left to the integrity checks.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from mtmeta.records import vocabulary as voc
from mtmeta.records.forms import DATE, DOI, SLUG, PlacedError, no_control_characters
from mtmeta.records.meanings import MEANINGS, described

__all__ = ["SCHEMA_VERSION", "Outcome", "Study", "json_schema"]

SCHEMA_VERSION = 1

Slug = Annotated[str, Field(pattern=SLUG, max_length=80)]
Text = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(no_control_characters)]
Doi = Annotated[str, Field(pattern=DOI, max_length=200), AfterValidator(no_control_characters)]
Pmid = Annotated[int, Field(ge=1, le=10**9)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Level = Annotated[float, Field(gt=0, lt=1)]
R = Annotated[float, Field(ge=-1, le=1)]
RRange = Annotated[tuple[R, R], Field(strict=False)]


def _default_level() -> float:
    return 0.95


class Model(BaseModel):
    """Base of the schema: frozen, strict, no unknown keys, no NaN."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Citation(Model):
    """The work that reports the trial, as far as the source names it."""

    text: Text | None = None
    """The reference as the source gives it."""
    authors: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    title: Text | None = None
    journal: Text | None = None
    year: Annotated[int, Field(ge=1900, le=2100)] | None = None
    volume: Text | None = None
    issue: Text | None = None
    pages: Text | None = None
    doi: Doi | None = None
    pmid: Pmid | None = None
    registration: Text | None = None
    """Trial register number."""
    note: Text | None = None


class Design(Model):
    """How the trial was made."""

    allocation: voc.Allocation = "unclear"
    unit: voc.Unit = "unclear"
    arms: Annotated[int, Field(ge=1, le=50)] | None = None
    n_randomised: Count | None = None
    countries: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    icc: Annotated[float, Field(ge=0, le=1)] | None = None
    """Cluster trials: correlation of people of one cluster (ICC), for all outcomes."""
    mean_cluster_size: Annotated[float, Field(ge=1)] | None = None
    """Cluster trials: people in a cluster, on average."""
    as_printed: Text | None = None
    """The design in the source's words, where they say more."""


class Population(Model):
    """Who took part."""

    description: Text | None = None
    mean_age: Annotated[float, Field(ge=0, le=120)] | None = None
    female_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    group: Text | None = None
    """Short name under which analyses group trials, such as ``psychiatric`` or ``nursing home``."""


class Intervention(Model):
    """The music intervention."""

    category: voc.Category = "unclear"
    category_basis: Literal["stated", "inferred"] | None = None
    approach: voc.Approach = "unclear"
    techniques: Annotated[tuple[voc.Technique, ...], Field(strict=False)] = ()
    delivery: voc.Delivery = "unclear"
    format: voc.Format = "unclear"
    provider: voc.Provider = "unclear"
    setting: voc.Setting = "unclear"
    music_chosen_by: voc.MusicChosenBy = "unclear"
    sessions: Annotated[float, Field(gt=0)] | None = None
    minutes_per_session: Annotated[float, Field(gt=0)] | None = None
    weeks: Annotated[float, Field(gt=0)] | None = None
    sessions_per_week: Annotated[float, Field(gt=0)] | None = None
    phases: Annotated[tuple[voc.Phase, ...], Field(strict=False)] = ()
    music: Text | None = None
    description: Text | None = None
    dose_as_printed: Text | None = None
    """Sessions, minutes, frequency in the source's words where no single number holds them."""


class ComparatorInfo(Model):
    """What music was compared with."""

    type: voc.Comparator = "unclear"
    description: Text | None = None


class Arm(Model):
    """One arm of the trial."""

    name: Text
    role: Literal["music", "control", "not used"]
    n_randomised: Count | None = None
    n_analysed: Count | None = None


# ---- risk of bias -------------------------------------------------------------------------

Rob1Judgement = Literal["low", "unclear", "high"]
Rob2Judgement = Literal["low", "some concerns", "high"]
RobinsJudgement = Literal["low", "moderate", "serious", "critical", "no information"]


class _Bias(Model):
    judged_by: Text | None = None
    note: Text | None = None


class RoB1(_Bias):
    """Cochrane risk of bias tool, version 1 (2008, 2011)."""

    tool: Literal["RoB 1"]
    random_sequence: Rob1Judgement | None = None
    allocation_concealment: Rob1Judgement | None = None
    blinding_participants: Rob1Judgement | None = None
    blinding_outcome: Rob1Judgement | None = None
    blinding_outcome_subjective: Rob1Judgement | None = None
    blinding_outcome_objective: Rob1Judgement | None = None
    incomplete_outcome: Rob1Judgement | None = None
    selective_reporting: Rob1Judgement | None = None
    other: Rob1Judgement | None = None


class RoB2(_Bias):
    """RoB 2 (2019)."""

    tool: Literal["RoB 2"]
    randomisation: Rob2Judgement | None = None
    deviations: Rob2Judgement | None = None
    missing_data: Rob2Judgement | None = None
    measurement: Rob2Judgement | None = None
    reported_result: Rob2Judgement | None = None
    overall: Rob2Judgement | None = None


class RobinsI(_Bias):
    """ROBINS-I (2016) and its second version (2025)."""

    tool: Literal["ROBINS-I", "ROBINS-I V2"]
    confounding: RobinsJudgement | None = None
    selection: RobinsJudgement | None = None
    classification: RobinsJudgement | None = None
    deviations: RobinsJudgement | None = None
    missing_data: RobinsJudgement | None = None
    measurement: RobinsJudgement | None = None
    reported_result: RobinsJudgement | None = None
    overall: RobinsJudgement | None = None


class NotAssessed(_Bias):
    """Nobody whose judgement we hold has assessed it; what was read stands in the note."""

    tool: Literal["not assessed"]


RiskOfBias = Annotated[RoB1 | RoB2 | RobinsI | NotAssessed, Field(discriminator="tool")]

# ---- what was printed ---------------------------------------------------------------------


class MeanSD(Model):
    """A mean with whatever measure of spread was printed."""

    mean: Number | None = None
    sd: Number | None = None
    se: Number | None = None
    ci_low: Number | None = None
    ci_high: Number | None = None


class GroupMeans(MeanSD):
    """One arm's mean at the time of the outcome."""

    n: Count | None = None
    baseline: MeanSD | None = None


class GroupChanges(Model):
    """One arm's change from baseline, with baseline and final where printed."""

    n: Count | None = None
    change: MeanSD
    baseline: MeanSD | None = None
    final: MeanSD | None = None
    r: R | None = None
    """Correlation of baseline and final values, where printed."""
    r_range: RRange | None = None
    """Range in which the extractor takes the correlation to lie where it is not printed."""


class GroupEvents(Model):
    """Events among participants of one arm."""

    events: Count
    n: Count


class GroupRate(Model):
    """Events over person-time of one arm."""

    events: Count
    time: Annotated[float, Field(gt=0)]


class GroupQuartiles(Model):
    """Median and what was printed around it."""

    n: Count | None = None
    median: Number | None = None
    q1: Number | None = None
    q3: Number | None = None
    min: Number | None = None
    max: Number | None = None


class _Data(Model):
    p: Text | None = None
    """The P value as printed, such as ``0.03`` or ``<0.001``."""
    note: Text | None = None


class _Values(_Data):
    t: Number | None = None
    """The t printed beside the values, with whatever sign; only its size is compared."""
    f: Annotated[float, Field(ge=0)] | None = None
    """The F of all groups printed beside the values."""


class Means(_Values):
    """Means and SDs (or SE, or interval) of two arms."""

    kind: Literal["means"]
    music: GroupMeans
    control: GroupMeans


class Changes(_Values):
    """Changes from baseline of two arms."""

    kind: Literal["changes"]
    music: GroupChanges
    control: GroupChanges


class Events(_Data):
    """Events of two arms."""

    kind: Literal["events"]
    music: GroupEvents
    control: GroupEvents


class Rates(_Data):
    """Events over person-time of two arms."""

    kind: Literal["rates"]
    music: GroupRate
    control: GroupRate


class _Reported(_Data):
    measure: voc.EffectMeasure
    estimate: Number
    """Music minus control (or music over control), as printed; ratios on their natural scale."""
    level: Level = Field(default_factory=_default_level)
    correction: voc.Correction = "unknown"
    """Small-sample correction behind a printed SMD."""
    variance: voc.VarianceConvention = "unknown"
    """Convention of the printed SE."""
    scale: Literal["natural", "log"] = "natural"
    """``log`` where the source printed the logarithm of a ratio."""
    n_music: Count | None = None
    n_control: Count | None = None
    n_unordered: Annotated[tuple[Count, Count], Field(strict=False)] | None = None
    """Both arm sizes where the source does not tell which arm is which, the smaller first."""
    n_total: Count | None = None
    adjusted_for: Text | None = None
    as_printed: Text | None = None
    """The source's own words or digits where sign or form was turned."""


class Effect(_Reported):
    """An effect with its standard error; the interval too where printed."""

    kind: Literal["effect"]
    se: Number
    ci_low: Number | None = None
    ci_high: Number | None = None


class IntervalEffect(_Reported):
    """An effect with a confidence interval and no standard error."""

    kind: Literal["interval"]
    ci_low: Number
    ci_high: Number


class Test(_Data):
    """A test statistic or a P value with the direction of the difference."""

    kind: Literal["test"]
    statistic: Literal["t", "F", "z", "chi2", "p"]
    value: Number | None = None
    df: Annotated[float, Field(gt=0)] | None = None
    df1: Annotated[float, Field(gt=0)] | None = None
    """Numerator degrees of freedom of an F; above 1 no two-group effect follows."""
    groups: Annotated[int, Field(ge=1, le=100)] = 2
    n_music: Count | None = None
    n_control: Count | None = None
    music_is: Literal["lower", "higher", "unknown"] = "unknown"
    """Whether music's value was the lower or the higher; gives the sign where the statistic has none."""
    mean_music: Number | None = None
    mean_control: Number | None = None


class Quartiles(_Data):
    """Medians with quartiles or range of two arms."""

    kind: Literal["quartiles"]
    music: GroupQuartiles
    control: GroupQuartiles


class FirstPeriod(Model):
    """The first period of a crossover trial alone: two groups of different people."""

    music: GroupMeans
    control: GroupMeans


class Paired(_Data):
    """The same people with music and with control (crossover)."""

    kind: Literal["paired"]
    n: Count
    music: MeanSD
    control: MeanSD
    difference: MeanSD | None = None
    r: R | None = None
    """Correlation of both measurements, where printed."""
    r_range: RRange | None = None
    """Range in which the extractor takes the correlation to lie where it is not printed."""
    first_period: FirstPeriod | None = None


class OneGroup(_Data):
    """A change within the music group alone: no contrast with a control follows from it."""

    kind: Literal["one group"]
    n: Count | None = None
    change: MeanSD | None = None
    before: MeanSD | None = None
    after: MeanSD | None = None


class Correlation(_Data):
    """A correlation."""

    kind: Literal["correlation"]
    r: R
    n: Count


class Coefficient(_Data):
    """A regression coefficient that is not a plain difference between arms."""

    kind: Literal["coefficient"]
    term: Text
    estimate: Number
    se: Number | None = None
    ci_low: Number | None = None
    ci_high: Number | None = None
    n_total: Count | None = None


class ArmValues(Model):
    """What was printed for one of several arms."""

    name: Text
    role: Literal["music", "control", "not used"]
    n: Count | None = None
    mean: Number | None = None
    sd: Number | None = None
    se: Number | None = None
    median: Number | None = None
    q1: Number | None = None
    q3: Number | None = None
    events: Count | None = None


class Arms(_Values):
    """Three or more arms side by side; the record says which are music and which control."""

    kind: Literal["arms"]
    form: Literal["means", "changes", "events", "quartiles"]
    arms: Annotated[tuple[ArmValues, ...], Field(strict=False, min_length=2)]
    rule: Literal["combine", "split control", "separate"] | None = None
    """How several music or control arms become one contrast; the analysis may say otherwise."""


class Narrative(_Data):
    """A result from which no number for pooling follows; kept so that nothing is dropped in silence."""

    kind: Literal["narrative"]
    printed: Text


Data = Annotated[
    Means
    | Changes
    | Events
    | Rates
    | Effect
    | IntervalEffect
    | Test
    | Quartiles
    | Paired
    | OneGroup
    | Correlation
    | Coefficient
    | Arms
    | Narrative,
    Field(discriminator="kind"),
]


class Source(Model):
    """Where a number stands."""

    cite: Text | None = None
    """Work that prints the number, such as ``CD006577.pub3``; the trial's own report if absent."""
    where: Text | None = None
    """Page, table, figure or data row."""
    via: Text | None = None
    """Copy through which it was read."""
    status: voc.SourceStatus = "secondary"
    """primary: the trial's report; secondary: a review or data set that quotes it; computed: by us
    from printed numbers; inferred: that the number belongs here is our reading."""
    certainty: Text | None = None


class Reported(Model):
    """What the source computed from the row, kept to hold ours against."""

    measure: voc.EffectMeasure
    estimate: Number | None = None
    se: Number | None = None
    ci_low: Number | None = None
    ci_high: Number | None = None
    level: Level = Field(default_factory=_default_level)
    weight_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    convention: voc.VarianceConvention = "unknown"
    printed: Text | None = None


class Corrected(Model):
    """What a person decided to put right; the printed value stays above it."""

    why: Text
    by: Text | None = None
    data: Data | None = None
    belongs_to: Slug | None = None
    """Id of the trial to which the row belongs."""


class Outcome(Model):
    """One result of the trial, however many forests print it."""

    id: Slug
    construct_: Annotated[voc.Construct, Field(alias="construct")]
    label: Text | None = None
    """The outcome under the source's own name."""
    instrument: Text | None = None
    better: Literal["lower", "higher"] | None = None
    """Which end of the scale is good."""
    time: voc.TimePoint = "unclear"
    weeks: Annotated[float, Field(ge=0)] | None = None
    time_as_printed: Text | None = None
    value: voc.ValueKind = "unclear"
    comparator: voc.Comparator | None = None
    """Only where it differs from the trial's."""
    intervention: Text | None = None
    """Only where several music arms are told apart."""
    subset: Text | None = None
    """Only where part of the trial is meant."""
    clusters: Literal["allowed for", "not allowed for"] | None = None
    """Cluster trials: whether the printed sizes or the printed standard error allow for the clusters
    already; then they are not divided once more."""
    design_effect: Annotated[float, Field(ge=1)] | None = None
    """Cluster trials: factor of the variance, where printed; else 1 + (mean_cluster_size − 1) × icc."""
    data: Data
    reported: Reported | None = None
    used_in: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    source: Source
    corrected: Corrected | None = None
    note: Text | None = None


class Flag(Model):
    """A known fault or doubt, said where the record is read."""

    about: Text
    """``study``, or ``outcomes.<id>`` with the outcome's id."""
    code: Slug
    note: Text


class Checked(Model):
    """An answer to a finding of the integrity checks, which silences it and shows in reports."""

    code: Slug
    about: Text
    why: Text
    by: Text
    when: Annotated[str, Field(pattern=DATE)]


class Study(Model):
    """One trial."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    id: Slug
    label: Text
    """Short name for forests, such as ``White 1999``."""
    citation: Citation
    conditions: Annotated[tuple[voc.Condition, ...], Field(strict=False, min_length=1)]
    reviews: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """Reviews that include the trial."""
    design: Design
    population: Population
    intervention: Intervention
    comparator: ComparatorInfo
    arms: Annotated[tuple[Arm, ...], Field(strict=False)] = ()
    risk_of_bias: RiskOfBias | None = None
    outcomes: Annotated[tuple[Outcome, ...], Field(strict=False)]
    flags: Annotated[tuple[Flag, ...], Field(strict=False)] = ()
    checked: Annotated[tuple[Checked, ...], Field(strict=False)] = ()
    sources: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """Pages on which the trial's description was seen."""
    note: Text | None = None

    @model_validator(mode="after")
    def _unique(self) -> Study:
        found: list[tuple[tuple[str | int, ...], str]] = []
        seen: set[str] = set()
        for position, outcome in enumerate(self.outcomes):
            if outcome.id in seen:
                message = f"{outcome.id} stands twice; give each outcome its own id"
                found.append((("outcomes", position, "id"), message))
            seen.add(outcome.id)
        known = ", ".join(sorted(seen)) or "(the record has no outcomes)"
        pointers: tuple[tuple[str, tuple[Flag | Checked, ...]], ...] = (
            ("flags", self.flags),
            ("checked", self.checked),
        )
        for key, entries in pointers:
            for position, entry in enumerate(entries):
                target = entry.about.removeprefix("outcomes.").split(".")[0]
                if entry.about != "study" and not (entry.about.startswith("outcomes.") and target in seen):
                    message = (
                        f"names no outcome: {entry.about}; write study, or outcomes.<id> with one of {known}"
                    )
                    found.append(((key, position, "about"), message))
        if found:
            raise PlacedError(found)
        return self

    def outcome(self, outcome_id: str) -> Outcome:
        """Return the outcome of that id.

        Raises
        ------
        KeyError
            When the record has none.

        Examples
        --------
        >>> from mtmeta.records.locate import example_studies
        >>> example_studies()["white-1999"].outcome("heart-rate").data.kind
        'effect'
        """
        for outcome in self.outcomes:
            if outcome.id == outcome_id:
                return outcome
        raise KeyError(outcome_id)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a record, for editors."""
    schema = described(Study.model_json_schema(by_alias=True), MEANINGS)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "mtmeta study record, version 1"
    return schema
