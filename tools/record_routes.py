"""Write the tables of docs/record-routes.md: which kinds of data give which effects, by which formulas.

Run ``python tools/record_routes.py`` after a change of routes or formulas. The tables are made by sending a
made-up row of every kind through the routes themselves; they stand between two marker lines, and everything
else in the file is left as it is. ``--check`` only tells whether they are up to date, and ends with 1 if not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mtmeta.effects.printed import NoRouteError, Printed, RouteChoices, Step
from mtmeta.effects.routes import routes_of
from mtmeta.effects.select import Row
from mtmeta.effects.worked import formulas_of
from mtmeta.measures import MEASURES
from mtmeta.records.files import write_atomic
from mtmeta.records.schema import Study

PATH = Path(__file__).parent.parent / "docs" / "record-routes.md"
BEGIN = "<!-- tables: written by tools/record_routes.py, do not edit by hand -->"
END = "<!-- end of tables -->"
COLUMNS = ("SMD", "MD", "ROM", "OR", "RR", "RD", "IRR", "ZCOR", "MC")
EXPLAINED = ("SMD", "MD", "SMDH", "SMD1", "ROM", "OR", "RR", "RD", "PETO", "IRR", "ZCOR", "COR")
CONVENTIONS = ("LS", "LS2", "UB", "AV", "RevMan")

_SIZES = {"n_music": 20, "n_control": 25}
_ARM = {"n": 20, "mean": 10.0, "sd": 2.0}
_CONTROL = {"n": 25, "mean": 8.5, "sd": 3.0}
_CHANGE = {"baseline": {"mean": 9.0, "sd": 6.4}, "final": {"mean": 7.0, "sd": 7.1}}
_MEDIAN = {"n": 40, "median": 8.0, "q1": 5.0, "q3": 12.0}
_RANGE = {"n": 40, "median": 8.0, "min": 1.0, "max": 19.0}


def _means(music: dict[str, Any], control: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "means", "music": music, "control": control, **more}


def _arms(form: str, **values: Any) -> dict[str, Any]:
    arms = [("slow", "music"), ("own", "music"), ("rest", "control")]
    return {
        "kind": "arms",
        "form": form,
        "arms": [{"name": n, "role": r, "n": 20, **values} for n, r in arms],
    }


def _paired(**more: Any) -> dict[str, Any]:
    return {
        "kind": "paired",
        "n": 10,
        "music": {"mean": 7.0, "sd": 2.38},
        "control": {"mean": 6.5, "sd": 2.21},
        **more,
    }


def _test(**more: Any) -> dict[str, Any]:
    return {"kind": "test", "music_is": "lower", **_SIZES, **more}


_CLUSTER = {"unit": "cluster", "icc": 0.05, "mean_cluster_size": 11}
ROWS: list[tuple[Any, ...]] = [
    ("means: SDs", _means(_ARM, _CONTROL)),
    ("means: SEs", _means({"n": 20, "mean": 10.0, "se": 0.4}, {"n": 25, "mean": 8.5, "se": 0.6})),
    (
        "means: 95% intervals",
        _means(
            {"n": 20, "mean": 10.0, "ci_low": 9.0, "ci_high": 11.0},
            {"n": 25, "mean": 8.5, "ci_low": 7.0, "ci_high": 10.0},
        ),
    ),
    ("means: P value, no SD", _means({"n": 20, "mean": 10.0}, {"n": 25, "mean": 8.5}, p="0.008")),
    ("means: P < 0.05, no SD", _means({"n": 20, "mean": 10.0}, {"n": 25, "mean": 8.5}, p="<0.05")),
    ("means: no n", _means({"mean": 10.0, "sd": 2.0}, {"mean": 8.5, "sd": 3.0})),
    ("means: clusters, ICC", _means(_ARM, _CONTROL), RouteChoices(), {"design": _CLUSTER}),
    (
        "changes: SDs of change",
        {
            "kind": "changes",
            "music": {"n": 20, "change": {"mean": -3.0, "sd": 4.5}},
            "control": {"n": 25, "change": {"mean": -1.0, "sd": 4.2}},
        },
    ),
    (
        "changes: baseline, final, r",
        {
            "kind": "changes",
            "music": {"n": 20, "change": {}, **_CHANGE, "r": 0.7},
            "control": {"n": 25, "change": {}, **_CHANGE, "r": 0.7},
        },
    ),
    ("quartiles", {"kind": "quartiles", "music": _MEDIAN, "control": {**_MEDIAN, "median": 7.0}}),
    ("quartiles: range", {"kind": "quartiles", "music": _RANGE, "control": {**_RANGE, "median": 7.0}}),
    ("events", {"kind": "events", "music": {"events": 12, "n": 30}, "control": {"events": 5, "n": 30}}),
    (
        "rates",
        {"kind": "rates", "music": {"events": 4, "time": 120.0}, "control": {"events": 9, "time": 110.0}},
    ),
    (
        "effect: SMD, sizes, correction",
        {"kind": "effect", "measure": "SMD", "estimate": -0.9, "se": 0.3, "correction": "exact", **_SIZES},
    ),
    ("effect: SMD and SE alone", {"kind": "effect", "measure": "SMD", "estimate": -0.9, "se": 0.3}),
    (
        "interval: SMD",
        {"kind": "interval", "measure": "SMD", "estimate": -0.78, "ci_low": -2.36, "ci_high": 0.81},
    ),
    (
        "interval: MD and sizes",
        {"kind": "interval", "measure": "MD", "estimate": -1.5, "ci_low": -2.9, "ci_high": -0.1, **_SIZES},
    ),
    (
        "interval: MD, adjusted",
        {
            "kind": "interval",
            "measure": "MD",
            "estimate": -1.5,
            "ci_low": -2.9,
            "ci_high": -0.1,
            "adjusted_for": "baseline",
            **_SIZES,
        },
    ),
    (
        "interval: OR",
        {"kind": "interval", "measure": "OR", "estimate": 2.96, "ci_low": 1.01, "ci_high": 9.02},
    ),
    ("test: t", _test(statistic="t", value=-2.1)),
    ("test: t and means", _test(statistic="t", value=-2.1, mean_music=4.0, mean_control=5.5)),
    ("test: F of two groups", _test(statistic="F", value=4.4, df1=1.0)),
    ("test: F of three groups", _test(statistic="F", value=4.7, df1=2.0, groups=3)),
    ("test: P value", _test(statistic="p", p="0.04")),
    ("test: P < 0.05", _test(statistic="p", p="<0.05")),
    ("test: P < 0.05, bounds: true", _test(statistic="p", p="<0.05"), RouteChoices(bounds=True), {}),
    ("arms: combine (default)", _arms("means", mean=10.0, sd=2.0)),
    ("arms: split control", _arms("means", mean=10.0, sd=2.0), RouteChoices(arms="split control"), {}),
    ("arms: separate", _arms("means", mean=10.0, sd=2.0), RouteChoices(arms="separate"), {}),
    ("arms: events, combine", _arms("events", events=7)),
    ("arms: events, separate", _arms("events", events=7), RouteChoices(arms="separate"), {}),
    ("paired: r", _paired(r=0.68)),
    ("paired: SD of differences", _paired(difference={"mean": 0.5, "sd": 2.0})),
    ("paired: no r", _paired()),
    ("correlation", {"kind": "correlation", "r": 0.35, "n": 50}),
    ("one group", {"kind": "one group", "n": 52, "change": {"mean": -3.7, "sd": 3.0}}),
    ("coefficient", {"kind": "coefficient", "term": "music × day", "estimate": -0.2}),
    ("narrative", {"kind": "narrative", "printed": "no difference"}),
]


def row_of(data: dict[str, Any], more: dict[str, Any]) -> Row:
    """Return the only row of a made-up trial."""
    outcome = {"id": "row", "construct": "anxiety", "source": {}, "value": "final", "data": data}
    study = Study.model_validate(
        {
            "schema": 1,
            "id": "made-up",
            "label": "Made-up",
            "citation": {},
            "conditions": ["other"],
            "design": {},
            "population": {},
            "intervention": {},
            "comparator": {},
            "outcomes": [outcome],
            **more,
        }
    )
    return Row(study, study.outcomes[0])


def _route(data: dict[str, Any], measure: str, choices: RouteChoices, more: dict[str, Any]) -> Printed | str:
    try:
        return routes_of(row_of(data, more), measure, choices)[0]
    except NoRouteError as reason:
        return str(reason)


def tables() -> str:
    """Return all tables as Markdown."""
    found = [
        (name, {measure: _route(data, measure, *(rest or (RouteChoices(), {}))) for measure in COLUMNS})
        for name, data, *rest in ROWS
    ]
    lines = ["### Which data give which effect", "", f"| printed | {' | '.join(COLUMNS)} |"]
    lines.append("|---|" + ":-:|" * len(COLUMNS))
    for name, routes in found:
        cells = ["yes" if isinstance(routes[m], Printed) else "" for m in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "### By which formulas", ""]
    lines += [
        "From the printed numbers to what the measure's own formula takes. Marks: 1 music, 2 control, "
        "a b c arms; s the share of an arm, e an effective size.",
        "",
        "| printed | route | formulas |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {_words(routes)} | {_steps(routes)} |" for name, routes in found]
    lines += ["", "### Formulas of the effects", "", "| measure | formulas |", "|---|---|"]
    for code in EXPLAINED:
        if code == "SMD":
            lines += [f"| SMD, {v} | {_formulas(formulas_of('SMD', v))} |" for v in CONVENTIONS]
        else:
            lines.append(f"| {code}: {MEASURES[code].label} | {_formulas(formulas_of(code))} |")
    return "\n".join(lines) + "\n"


def _ways(routes: dict[str, Printed | str]) -> list[tuple[list[str], Printed]]:
    """Return the different ways among the measures of a row, each with its measures."""
    found: list[tuple[list[str], Printed]] = []
    for measure, route in routes.items():
        if isinstance(route, str):
            continue
        twin = next((w for w in found if (w[1].name, w[1].steps) == (route.name, route.steps)), None)
        if twin is None:
            found.append(([measure], route))
        else:
            twin[0].append(measure)
    return found


def _words(routes: dict[str, Printed | str]) -> str:
    ways = _ways(routes)
    if not ways:
        return _cell(f"none: {routes['SMD']}")
    said = [f"{', '.join(measures)}: {route.name}" for measures, route in ways]
    standardisers = {r.standardiser for _, r in ways if r.standardiser}
    return _cell("<br>".join([*said, *(f"(SMD by the {s})" for s in sorted(standardisers))]))


def _steps(routes: dict[str, Printed | str]) -> str:
    ways = _ways(routes)
    if len(ways) < 2:
        return _formulas(ways[0][1].steps) if ways else ""
    parts = [f"{', '.join(measures)}:<br>{_formulas(route.steps)}" for measures, route in ways if route.steps]
    return "<br>".join(parts)


def _formulas(steps: tuple[Step, ...]) -> str:
    said: list[str] = []
    for step in steps:
        formula = f"`{step.symbol} = {step.formula}`" + (f" ({step.source})" if step.source else "")
        if formula not in said:
            said.append(formula)
    return _cell("<br>".join(said))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def page(old: str) -> str:
    """Return the page with its tables written anew."""
    head, _, rest = old.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Write the tables, or with ``--check`` compare them."""
    old = PATH.read_text(encoding="utf-8")
    if arguments == ["--check"]:
        same = page(old) == old
        sys.stdout.write(
            f"{PATH.name} is {'up to date' if same else 'old: run python tools/record_routes.py'}\n"
        )
        return 0 if same else 1
    if arguments:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    write_atomic(PATH, page(old))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
