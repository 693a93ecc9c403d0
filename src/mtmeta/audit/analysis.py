"""Analysis files: one pooled question each, and what a review published about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mtmeta.audit.meanings import MEANINGS
from mtmeta.audit.priors import Priors
from mtmeta.effects.printed import RouteChoices
from mtmeta.effects.select import Query
from mtmeta.errors import UsageError
from mtmeta.measures import measure_of
from mtmeta.records import vocabulary as voc
from mtmeta.records.forms import DATE, PlacedError
from mtmeta.records.meanings import described
from mtmeta.records.schema import Level, Model, Number, Slug, Text

__all__ = [
    "Alternative",
    "Alternatives",
    "Analysis",
    "Assumptions",
    "Choice",
    "Decision",
    "Grade",
    "Kind",
    "Method",
    "Published",
    "Question",
    "Routes",
    "Rule",
    "Select",
    "Subgroups",
    "json_schema",
]

Digits = Annotated[str, Field(pattern=r"^[-−]?\d+(\.\d+)?$", max_length=20)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]
Comparators = Annotated[
    tuple[voc.Comparator | Literal["inactive", "active", "music"], ...], Field(strict=False)
]
Reasons = dict[Annotated[str, Field(pattern=r"^[a-z0-9-]+(/[a-z0-9-]+)?$")], Text]


class Question(Model):
    """The question in words."""

    population: Text
    intervention: Text
    comparator: Text
    outcome: Text
    time: Text


class Select(Model):
    """Which rows of which records answer the question (see ``mtmeta.effects.select.Query``)."""

    conditions: Annotated[tuple[voc.Condition, ...], Field(strict=False)] = ()
    constructs: Annotated[tuple[voc.Construct, ...], Field(strict=False)] = ()
    instruments: Texts = ()
    times: Annotated[tuple[voc.TimePoint, ...], Field(strict=False)] = ()
    values: Annotated[tuple[voc.ValueKind, ...], Field(strict=False)] = ()
    comparators: Comparators = ()
    categories: Annotated[tuple[voc.Category, ...], Field(strict=False)] = ()
    approaches: Annotated[tuple[voc.Approach, ...], Field(strict=False)] = ()
    groups: Texts = ()
    allocations: Annotated[tuple[voc.Allocation, ...], Field(strict=False)] = ()
    used_in: Texts = ()
    studies: Annotated[tuple[Slug, ...], Field(strict=False)] = ()
    pin: dict[Slug, Slug] = Field(default_factory=dict)
    exclude: Reasons = Field(default_factory=dict)
    rule: Literal["raise", "prefer", "latest", "separate", "mean"] = "raise"
    rho: Annotated[float, Field(ge=0, le=1)] = 0.6
    prefer: Texts = ()
    corrected: bool = False

    def query(self, extra: dict[str, str] | None = None) -> Query:
        """Return the query, with further exclusions."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        values["exclude"] = {**self.exclude, **(extra or {})}
        return Query(**values)


class Routes(Model):
    """What is decided where a source leaves several ways to an effect (see ``RouteChoices``)."""

    arms: Literal["combine", "split control", "separate"] | None = None
    """Several music or control arms; by default what the record says, else combine."""
    r: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Correlation of two measurements of the same people where none is printed and none follows."""
    r_range: Annotated[tuple[float, float], Field(strict=False)] | None = None
    """A range in its place; the middle is used, and notes tell the standard error at both ends."""
    quantiles: Literal["Luo", "Wan", "QE", "BC"] = "Luo"
    """Mean and SD from medians."""
    bounds: bool = False
    """Take P < 0.05 as P = 0.05 where nothing better is printed."""
    crossover: Literal["paired", "first period"] = "paired"

    @model_validator(mode="after")
    def _possible(self) -> Routes:
        if self.r is not None and self.r_range is not None:
            raise ValueError("r_range: give r or a range, not both")
        if self.r_range is not None and not -1 <= self.r_range[0] <= self.r_range[1] <= 1:
            raise ValueError("r_range: give the lower end first, both between -1 and 1")
        return self

    @property
    def choices(self) -> RouteChoices:
        """The same for the routes."""
        return RouteChoices(
            arms=self.arms,
            r=self.r if self.r_range is None else self.r_range,
            quantiles=self.quantiles,
            bounds=self.bounds,
            crossover=self.crossover,
        )


class Method(Model):
    """How effects are computed and pooled."""

    kind: Literal["common", "random"] = "random"
    tau2: Literal["DL", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM"] = "REML"
    ci: Literal["auto", "Wald", "HKSJ", "HKSJ-floor"] = "auto"
    pi: Literal["V", "HTS", "normal", "HK", "HK-PR"] = "V"
    variance: Literal["LS", "LS2", "UB", "AV", "RevMan"] = "LS"
    level: Level = Field(default_factory=lambda: 0.95)

    @property
    def words(self) -> str:
        """The method in a few words, such as ``random effects, DL, Wald, RevMan SE``."""
        parts = ["common effect"] if self.kind == "common" else ["random effects", self.tau2, self.ci]
        if self.variance != "LS":
            parts.append(f"{self.variance} SE")
        return ", ".join(parts)


class Published(Model):
    """One pooled figure as a review printed it; digits are kept as printed."""

    review: Text
    label: Text
    source: Text
    measure: voc.EffectMeasure
    method: Method
    estimate: Digits | None = None
    """Absent where only the numbers of trials and participants were found."""
    ci: Annotated[tuple[Digits, Digits], Field(strict=False)] | None = None
    k: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    compare: Literal["numbers", "k and n", "none"]
    """numbers: estimate, interval, k and n must agree to the printed digit; k and n: the review
    pooled something that cannot be rebuilt from what is at hand; none: shown beside ours only."""
    why: Text | None = None
    """Why it is not compared in full."""
    known_faults: dict[Literal["estimate", "ci", "k", "n"], Text] = Field(default_factory=dict)
    """Printed values that cannot be right, with the reason; they do not count against agreement."""
    select: Select | None = None
    """The rows the review pooled, where they differ from the question's."""
    group: Text | None = None
    """The subgroup of the analysis this figure belongs beside."""

    @model_validator(mode="after")
    def _reason(self) -> Published:
        if self.compare != "numbers" and self.why is None:
            raise ValueError("why: say why the figure is not compared in full")
        if self.compare == "numbers" and self.estimate is None:
            raise ValueError("estimate: numbers can be compared only where an estimate is printed")
        return self


class Subgroups(Model):
    """Groups shown apart, with a test between them."""

    by: Literal["category", "approach", "group", "comparator", "condition", "format", "delivery", "value"]
    tau2: Literal["separate", "common"] = "separate"


class Today(Model):
    """What our own answer does differently from the reviews' sets of rows."""

    exclude: Reasons = Field(default_factory=dict)
    corrected: bool = False


class Decision(Model):
    """What a person decided about one domain of GRADE; it wins over the rule's proposal, and both show."""

    down: Annotated[int, Field(ge=0, le=3)]
    """Levels to rate down: 0 not serious, 1 serious, 2 very serious, 3 extremely serious."""
    why: Text
    by: Text
    when: Annotated[str, Field(pattern=DATE)]


class Start(Model):
    """Where a person lets the rating begin, against the rule (high for randomised, low for other trials)."""

    level: Literal["high", "low"]
    why: Text
    by: Text
    when: Annotated[str, Field(pattern=DATE)]


class Up(Model):
    """Rating up, which no rule proposes: a large effect, a dose-response gradient, opposing confounding."""

    up: Annotated[int, Field(ge=1, le=2)]
    why: Text
    by: Text
    when: Annotated[str, Field(pattern=DATE)]


class Grade(Model):
    """Decisions of people about the certainty of the evidence (GRADE)."""

    start: Start | None = None
    risk_of_bias: Decision | None = None
    inconsistency: Decision | None = None
    indirectness: Decision | None = None
    imprecision: Decision | None = None
    publication_bias: Decision | None = None
    up: Up | None = None


class Threshold(Model):
    """Minimal important difference on the scale people read: an SMD, points, or a ratio above 1."""

    value: Annotated[float, Field(gt=0)]
    population: Text
    source: Text


class ControlResponse(Model):
    """Share of people without music who have the event, or respond, from which counts per 100 follow."""

    value: Annotated[float, Field(gt=0, lt=1)]
    event: Text
    """What is counted, such as ``response (half the symptoms gone)``."""
    population: Text
    source: Text


class ScaleSD(Model):
    """Standard deviation by which an SMD is turned into points of a scale that readers know."""

    instrument: Text
    sd: Annotated[float, Field(gt=0)]
    unit: Text = "points"
    range: Annotated[tuple[Number, Number], Field(strict=False)] | None = None
    population: Text
    source: Text


class Assumptions(Model):
    """Numbers from outside of the trials on which absolute effects rest; printed wherever they are used."""

    important_difference: Threshold | None = None
    control_response: ControlResponse | None = None
    scale: ScaleSD | None = None


class Rule(Model):
    """By what an analysis concludes (see ``mtmeta.audit.conclusion``)."""

    by: Literal["interval", "prediction interval"] = "interval"
    matters: bool = False
    """Whether the interval is held against the smallest differences that matter, and not only none."""


Kind = Literal["equivalent", "non-equivalent", "uncertain"]


class Alternative(Model):
    """Another way to answer the question; only what it changes is written.

    Fields of `select`, `routes`, `model` and `today` that are written replace those of the analysis; entries
    of `pin` and `exclude` are added to its own, and `include` takes exclusions back.
    """

    option: Text
    kind: Kind
    """Beside what the analysis does: as good (equivalent), worse though often done (non-equivalent), or not
    known to be either (uncertain)."""
    why: Text
    measure: voc.EffectMeasure | None = None
    select: Select | None = None
    routes: Routes | None = None
    model: Method | None = None
    today: Today | None = None
    prior: Priors | None = None
    """Answer by the Bayesian random-effects model under these priors in place of `model`."""
    include: Annotated[tuple[Slug, ...], Field(strict=False)] = ()
    """Trials that the analysis excludes and this alternative takes in."""

    @property
    def changes(self) -> frozenset[str]:
        """Dotted names of the fields it changes."""
        found = {"measure"} if self.measure is not None else set()
        for name in ("select", "routes", "model", "today"):
            part = getattr(self, name)
            if part is not None:
                found |= {f"{name}.{field}" for field in part.model_fields_set}
        found |= {"prior"} if self.prior is not None else set()
        return frozenset(found | ({"include"} if self.include else set()))

    @model_validator(mode="after")
    def _something(self) -> Alternative:
        if not self.changes:
            raise ValueError(
                "option: changes nothing; write what it does otherwise, such as model: {tau2: DL}"
            )
        if self.prior is not None and self.model is not None:
            raise ValueError("prior: stands in place of model; give one of them")
        if self.model is not None and "level" in self.model.model_fields_set:
            raise ValueError("model: the level of intervals is no choice; all answers share the analysis'")
        return self


class Choice(Model):
    """One decision of an analysis: what it does itself, and what could be done as well."""

    choice: Text
    main: Text
    """What the analysis itself does, in words."""
    alternatives: Annotated[tuple[Alternative, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Choice:
        names = [self.main, *(a.option for a in self.alternatives)]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"alternatives: {twice[0]!r} stands twice; give each option a name of its own")
        return self

    @property
    def options(self) -> tuple[str, ...]:
        """All options, the analysis' own first."""
        return (self.main, *(a.option for a in self.alternatives))


class Impossible(Model):
    """Options that exclude each other."""

    when: dict[Text, Text]
    why: Text


class Alternatives(Model):
    """All choices that could reasonably have been made otherwise; their product is the multiverse."""

    choices: Annotated[tuple[Choice, ...], Field(strict=False, min_length=1)]
    leave_out: Annotated[tuple[Impossible, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Alternatives:
        by_name = {c.choice: c for c in self.choices}
        if len(by_name) < len(self.choices):
            raise ValueError("choices: a choice stands twice; give each a name of its own")
        if reserved := _RESERVED & set(by_name):
            raise ValueError(f"choices: {', '.join(sorted(reserved))} is a column of the answers; rename it")
        for item in self.leave_out:
            for name, option in item.when.items():
                if name not in by_name:
                    raise ValueError(f"leave_out: there is no choice {name!r}; write {_listed(by_name)}")
                if option not in by_name[name].options:
                    options = _listed(by_name[name].options)
                    raise ValueError(f"leave_out: {name} has no option {option!r}; write {options}")
        owner: dict[str, str] = {}
        for one in self.choices:
            for field in frozenset().union(*(a.changes for a in one.alternatives)) - _ADDED:
                if owner.setdefault(field, one.choice) != one.choice:
                    raise ValueError(
                        f"choices: {owner[field]!r} and {one.choice!r} both change {field}, and one would "
                        "undo the other; make them one choice"
                    )
        return self


_RESERVED = frozenset(
    {"number", "kind", "measure", "estimate", "se", "ci_low", "ci_high", "pvalue", "tau2", "i2", "k"}
)
_ADDED = frozenset({"select.pin", "select.exclude", "today.exclude", "include"})


def _listed(names: Iterable[str]) -> str:
    return " or ".join(map(repr, names))


class Analysis(Model):
    """One pooled question."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    name: Slug
    title: Text
    question: Question
    select: Select
    measure: voc.EffectMeasure
    better: Literal["lower", "higher"]
    """Which direction of the outcome is good for the patient; labels only, effects are never turned."""
    routes: Routes = Field(default_factory=Routes)
    model: Method = Field(default_factory=Method)
    today: Today = Field(default_factory=Today)
    subgroups: Subgroups | None = None
    bayes: Annotated[tuple[Priors, ...], Field(strict=False)] = ()
    """Priors under which the question is also answered by the Bayesian random-effects model."""
    published: Annotated[tuple[Published, ...], Field(strict=False)] = ()
    assumptions: Assumptions = Field(default_factory=Assumptions)
    grade: Grade = Field(default_factory=Grade)
    conclusion: Rule = Field(default_factory=Rule)
    multiverse: Alternatives | None = None
    """Reasonable alternatives to what this file does; see ``mtmeta multiverse``."""
    note: Text | None = None

    @model_validator(mode="after")
    def _priors(self) -> Analysis:
        wrong: list[tuple[tuple[str | int, ...], str]] = []
        seen: set[str] = set()
        for i, priors in enumerate(self.bayes):
            if priors.label in seen:
                wrong.append((("bayes", i), f"{priors.label} stands twice; write each pair of priors once"))
            seen.add(priors.label)
            try:
                priors.of(measure_of(self.measure))
            except UsageError as error:
                wrong.append((("bayes", i), str(error)))
        if wrong:
            raise PlacedError(wrong)
        return self

    @model_validator(mode="after")
    def _measured(self) -> Analysis:
        given = self.assumptions.important_difference
        if (
            given is not None
            and self.measure in ("OR", "RR", "PETO", "HR", "IRR", "ROM")
            and given.value <= 1
        ):
            raise PlacedError(
                [
                    (
                        ("assumptions", "important_difference", "value"),
                        f"is {given.value:g}, and {self.measure} is a ratio; give it above 1, such as 1.25",
                    )
                ]
            )
        return self


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of an analysis file, for editors."""
    schema = described(Analysis.model_json_schema(by_alias=True), MEANINGS)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "mtmeta analysis file, version 1"
    return schema
