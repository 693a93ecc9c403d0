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
