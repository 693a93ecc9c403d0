"""Made-up trials for tests: plain dictionaries completed to records."""

from __future__ import annotations

from typing import Any

from mtmeta.effects.compute import effects_of
from mtmeta.effects.printed import Printed, RouteChoices
from mtmeta.effects.routes import routes_of
from mtmeta.effects.select import Query, Row, select_rows
from mtmeta.effects.table import EffectSizes
from mtmeta.records.schema import Study


def trial(*outcomes: dict[str, Any], id: str = "white-1999", **fields: Any) -> Study:
    """A trial of these outcomes; each is completed with what the schema needs."""
    filled = [
        {"id": f"row-{i}", "construct": "anxiety", "source": {"cite": "made for a test"}, **o}
        for i, o in enumerate(outcomes, 1)
    ]
    base: dict[str, Any] = {
        "schema": 1,
        "id": id,
        "label": id.replace("-", " ").title(),
        "citation": {"year": 1999},
        "conditions": ["cardiac"],
        "design": {},
        "population": {},
        "intervention": {},
        "comparator": {"type": "usual care"},
        "outcomes": filled,
    }
    return Study.model_validate({**base, **fields})


def row(data: dict[str, Any], *, design: dict[str, Any] | None = None, **outcome: Any) -> Row:
    """The one row of a made-up trial."""
    study = trial({"data": data, **outcome}, design=design or {})
    return Row(study, study.outcomes[0])


def routes(
    data: dict[str, Any], measure: str = "SMD", choices: RouteChoices | None = None, **more: Any
) -> tuple[Printed, ...]:
    """The routes of one row."""
    return routes_of(row(data, **more), measure, choices or RouteChoices())


def effect(
    data: dict[str, Any],
    measure: str = "SMD",
    variance: str = "LS",
    choices: RouteChoices | None = None,
    **more: Any,
) -> EffectSizes:
    """The effects of one row."""
    selection = select_rows([row(data, **more).study], Query(constructs=("anxiety",)))
    return effects_of(selection, measure=measure, variance=variance, choices=choices)[0]


# every kind of data by which some measure has an effect: name, data, what else the trial says
ROUTES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "means",
        {
            "kind": "means",
            "music": {"n": 20, "mean": 10, "sd": 2},
            "control": {"n": 25, "mean": 8.5, "sd": 3},
        },
        {},
    ),
    (
        "SE",
        {
            "kind": "means",
            "music": {"n": 20, "mean": 10, "se": 0.4},
            "control": {"n": 25, "mean": 8.5, "se": 0.6},
        },
        {},
    ),
    (
        "interval of a mean",
        {
            "kind": "means",
            "music": {"n": 20, "mean": 10, "ci_low": 9, "ci_high": 11},
            "control": {"n": 25, "mean": 8.5, "ci_low": 7, "ci_high": 10},
        },
        {},
    ),
    (
        "P of means",
        {"kind": "means", "p": "0.008", "music": {"n": 25, "mean": 3.8}, "control": {"n": 22, "mean": 1}},
        {},
    ),
    (
        "quartiles",
        {
            "kind": "quartiles",
            "music": {"n": 40, "median": 8, "q1": 5, "q3": 12},
            "control": {"n": 41, "median": 7, "q1": 5, "q3": 11},
        },
        {},
    ),
    (
        "range",
        {
            "kind": "quartiles",
            "music": {"n": 40, "median": 8, "min": 1, "max": 19},
            "control": {"n": 9, "median": 7, "min": 2, "max": 11},
        },
        {},
    ),
    (
        "five numbers",
        {
            "kind": "quartiles",
            "music": {"n": 40, "median": 8, "q1": 5, "q3": 12, "min": 1, "max": 19},
            "control": {"n": 41, "median": 7, "q1": 5, "q3": 11, "min": 2, "max": 18},
        },
        {},
    ),
    (
        "changes by r",
        {
            "kind": "changes",
            "music": {
                "n": 20,
                "change": {},
                "baseline": {"mean": 9, "sd": 6.4},
                "final": {"mean": 7, "sd": 7.1},
                "r": 0.7,
            },
            "control": {"n": 22, "change": {"mean": -1, "sd": 4.2}},
        },
        {},
    ),
    (
        "arms",
        {
            "kind": "arms",
            "form": "means",
            "arms": [
                {"name": "a", "role": "music", "n": 22, "mean": 7.87, "sd": 4.24},
                {"name": "b", "role": "music", "n": 19, "mean": 4.35, "se": 0.8},
                {"name": "c", "role": "control", "n": 25, "mean": 9.32, "sd": 4.5},
            ],
        },
        {},
    ),
    (
        "clusters",
        {
            "kind": "means",
            "music": {"n": 20, "mean": 10, "sd": 2},
            "control": {"n": 25, "mean": 8.5, "se": 0.6},
        },
        {"design": {"unit": "cluster", "icc": 0.05, "mean_cluster_size": 11}},
    ),
    (
        "t",
        {
            "kind": "test",
            "statistic": "t",
            "value": -2.1,
            "music_is": "lower",
            "mean_music": 4,
            "mean_control": 5.5,
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "F",
        {
            "kind": "test",
            "statistic": "F",
            "value": 4.4,
            "mean_music": 4,
            "mean_control": 5.5,
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "P",
        {
            "kind": "test",
            "statistic": "p",
            "p": "0.04",
            "mean_music": 4,
            "mean_control": 5.5,
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "g",
        {
            "kind": "effect",
            "measure": "SMD",
            "estimate": -0.9,
            "se": 0.3,
            "correction": "exact",
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "approximate g",
        {
            "kind": "effect",
            "measure": "SMD",
            "estimate": -0.9,
            "se": 0.3,
            "correction": "approximate",
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "d",
        {
            "kind": "effect",
            "measure": "SMD",
            "estimate": -0.9,
            "se": 0.3,
            "correction": "none",
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "g with clusters",
        {
            "kind": "effect",
            "measure": "SMD",
            "estimate": -0.9,
            "se": 0.3,
            "correction": "exact",
            "n_music": 20,
            "n_control": 25,
        },
        {"design_effect": 1.5, "clusters": "not allowed for"},
    ),
    (
        "interval of g",
        {"kind": "interval", "measure": "SMD", "estimate": -0.78, "ci_low": -2.36, "ci_high": 0.81},
        {},
    ),
    (
        "MD and SE",
        {"kind": "effect", "measure": "MD", "estimate": -1.5, "se": 0.6, "n_music": 20, "n_control": 25},
        {},
    ),
    (
        "MD and interval",
        {
            "kind": "interval",
            "measure": "MD",
            "estimate": -1.5,
            "ci_low": -2.9,
            "ci_high": -0.1,
            "n_music": 20,
            "n_control": 25,
        },
        {},
    ),
    (
        "MD with clusters",
        {"kind": "interval", "measure": "MD", "estimate": -1.5, "ci_low": -2.9, "ci_high": -0.1},
        {"design_effect": 1.5, "clusters": "not allowed for"},
    ),
    (
        "OR and interval",
        {"kind": "interval", "measure": "OR", "estimate": 2.96, "ci_low": 1.01, "ci_high": 9.02},
        {},
    ),
    ("log HR", {"kind": "effect", "measure": "HR", "estimate": -0.4, "se": 0.2, "scale": "log"}, {}),
    ("events", {"kind": "events", "music": {"events": 12, "n": 30}, "control": {"events": 5, "n": 30}}, {}),
    ("no events", {"kind": "events", "music": {"events": 0, "n": 20}, "control": {"events": 4, "n": 22}}, {}),
    (
        "events with clusters",
        {"kind": "events", "music": {"events": 12, "n": 30}, "control": {"events": 5, "n": 30}},
        {"design_effect": 1.3},
    ),
    (
        "events of arms",
        {
            "kind": "arms",
            "form": "events",
            "arms": [
                {"name": "a", "role": "music", "n": 40, "events": 10},
                {"name": "b", "role": "control", "n": 44, "events": 14},
                {"name": "c", "role": "control", "n": 38, "events": 20},
            ],
        },
        {},
    ),
    (
        "rates",
        {"kind": "rates", "music": {"events": 4, "time": 120}, "control": {"events": 9, "time": 110}},
        {},
    ),
    (
        "no event in time",
        {"kind": "rates", "music": {"events": 0, "time": 120}, "control": {"events": 9, "time": 110}},
        {},
    ),
    ("r", {"kind": "correlation", "r": 0.35, "n": 50}, {}),
    (
        "crossover",
        {
            "kind": "paired",
            "n": 10,
            "music": {"mean": 7, "sd": 2.38},
            "control": {"mean": 6.5, "sd": 2.21},
            "r": 0.68,
        },
        {},
    ),
    (
        "crossover by SE",
        {
            "kind": "paired",
            "n": 10,
            "music": {"mean": 7, "se": 0.75},
            "control": {"mean": 6.5, "se": 0.7},
            "r": 0.68,
        },
        {},
    ),
    (
        "crossover differences",
        {
            "kind": "paired",
            "n": 10,
            "music": {"mean": 7, "sd": 2.38},
            "control": {"mean": 6.5, "sd": 2.21},
            "difference": {"mean": 0.5, "se": 0.58},
        },
        {},
    ),
    (
        "crossover interval",
        {
            "kind": "paired",
            "n": 10,
            "music": {},
            "control": {},
            "difference": {"mean": 0.5, "ci_low": -0.8, "ci_high": 1.8},
        },
        {},
    ),
    (
        "crossover P",
        {"kind": "paired", "n": 10, "music": {"mean": 7}, "control": {"mean": 6.5}, "p": "0.21"},
        {},
    ),
    (
        "crossover with clusters",
        {
            "kind": "paired",
            "n": 30,
            "music": {"mean": 7, "sd": 2.38},
            "control": {"mean": 6.5, "sd": 2.21},
            "r": 0.68,
        },
        {"design_effect": 1.2},
    ),
    (
        "one group",
        {"kind": "one group", "n": 52, "change": {"mean": -3.7, "ci_low": -4.7, "ci_high": -2.6}},
        {},
    ),
    ("one group SE", {"kind": "one group", "change": {"mean": -3.4, "se": 0.6}}, {}),
]
