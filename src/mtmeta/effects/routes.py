"""From one printed row to what an effect is computed from, by the row's own route.

Every kind of data of a record has its route to a measure, or a reason why there is none. A route is a
sentence that tells how the number came about, with the study's own numbers; it stays with the effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from mtmeta.effects.checks import RowError
from mtmeta.effects.designs import (
    Cells,
    Contrast,
    contrasts_of,
    events_of,
    paired_contrast,
    rule_of,
    shared_smd,
    with_clusters,
)
from mtmeta.effects.printed import Given, NoRouteError, Printed, RouteChoices, Shared, Step
from mtmeta.effects.routes_reported import from_effect, from_test
from mtmeta.effects.select import Row
from mtmeta.effects.spread import ArmNumbers, arm_of, change_arm, pooled_from_p, size_of
from mtmeta.errors import EffectError
from mtmeta.measures import MEASURES
from mtmeta.records import schema as rec

__all__ = ["ASSOCIATION", "EVENTS", "PAIRED", "RATES", "TWO_MEANS", "routes_of"]


def _needing(columns: str) -> frozenset[str]:
    return frozenset(code for code, measure in MEASURES.items() if measure.needs == columns)


TWO_MEANS = _needing("m1 sd1 n1 m2 sd2 n2") | {"VR"}
EVENTS = _needing("a n1 c n2")
RATES = _needing("x1 t1 x2 t2")
PAIRED = _needing("m1 m2 sd1 sd2 n r")
ASSOCIATION = _needing("r n")
_OF_MEANS = frozenset({"ROM", "CVR"})  # ratios, which changes do not have
_DEFAULT = RouteChoices()


def routes_of(row: Row, measure: str, choices: RouteChoices = _DEFAULT) -> tuple[Printed, ...]:
    """Return what the row's effects of a measure are computed from; several where arms are kept apart.

    Parameters
    ----------
    row : Row
    measure : str
        Code of the measure.
    choices : RouteChoices, optional
        What the analysis decides.

    Returns
    -------
    tuple of Printed
        At least one.

    Raises
    ------
    NoRouteError
        With the reason, when no effect of the measure follows from what was printed.
    """
    try:
        found = _ROUTES[row.outcome.data.kind](row, measure, choices)
        found = tuple(with_clusters(printed, row) for printed in found)
    except RowError as error:
        raise NoRouteError(error.told) from error
    except EffectError as error:
        raise NoRouteError(str(error)) from error
    note = _period_note(row)
    if note:
        found = tuple(replace(p, notes=(*p.notes, note)) for p in found)
    return found


def _period_note(row: Row) -> str:
    if row.study.design.unit != "crossover" or row.outcome.data.kind not in (
        "means",
        "changes",
        "events",
        "quartiles",
    ):
        return ""
    if row.outcome.subset is not None and "first period" in row.outcome.subset.casefold():
        return "first period of a crossover trial, as two groups of different people"
    return "crossover trial as if its periods were two groups of different people: the variance is too large"


# ---- means --------------------------------------------------------------------------------

_KIND = {
    "final": "final values",
    "change": "changes",
    "adjusted": "adjusted values",
    "mixed": "values of several kinds",
    "unclear": "values (final or change is not told)",
}
_STANDARDISER = {
    "SMD": "pooled SD of {}",
    "SMDH": "root mean square of both SDs of {}",
    "SMD1": "control arm's SD of {}",
    "SMD1H": "control arm's SD of {}",
}


def _kind_of_values(row: Row) -> str:
    data = row.outcome.data
    changes = data.kind == "changes" or (isinstance(data, rec.Arms) and data.form == "changes")
    return "changes" if changes else _KIND[row.outcome.value]


def _means_only(measure: str, kind: str) -> None:
    if measure not in TWO_MEANS:
        raise NoRouteError(f"{kind} are printed, from which no {measure} follows")


def _two_groups(
    music: ArmNumbers, control: ArmNumbers, row: Row, measure: str, name: str, told: str = ""
) -> Printed:
    """Put two arms side by side, as the calculators of two groups take them."""
    for arm in (music, control):
        if math.isnan(arm.sd):
            raise NoRouteError(f"no SD, SE or interval is printed for the {arm.role} arm")
    values = _kind_of_values(row)
    standardiser = _STANDARDISER.get(measure, "").format(values)
    parts = [
        name,
        *([f"standardised by the {standardiser}"] if standardiser else []),
        *([told] if told else []),
    ]
    names: dict[str, str] = {}
    for arm, i in ((music, "1"), (control, "2")):
        names |= {f"{symbol}{i}": f"{symbol}{arm.i}" for symbol in ("m", "sd", "n") if arm.i != i}
    notes = tuple(dict.fromkeys((*music.notes, *control.notes)))
    if row.outcome.value == "adjusted" and any("SD from" in text for text in (*music.told, *control.told)):
        notes = (*notes, "an SD recovered from the SE of adjusted means is that of residuals, and too small")
    return Printed(
        name=name,
        route="; ".join([*parts, *music.told, *control.told]),
        raw={
            "m1": music.mean,
            "sd1": music.sd,
            "n1": music.n,
            "m2": control.mean,
            "sd2": control.sd,
            "n2": control.n,
        },
        n1=music.n,
        n2=control.n,
        n=music.n + control.n,
        standardiser=standardiser,
        notes=notes,
        given=(*music.given, *control.given),
        steps=(*music.steps, *control.steps),
        names=names,
    )


def _name_of(music: ArmNumbers, control: ArmNumbers, what: str) -> str:
    """Name the route by what the arms needed: printed SDs, or SDs from something else."""
    told = " ".join((*music.told, *control.told))
    for sign, whence in (
        ("SD from SE", "SDs from SEs"),
        ("SD from CI", "SDs from intervals"),
        ("SD of change", "SDs of change from baseline, final values and r"),
        ("SD from P", "an SD from the P value"),
    ):
        if sign in told:
            return f"{what} and {whence}"
    return f"{what} and SDs"


def _from_means(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Means)
    _means_only(measure, "means")
    return (_parallel(data.music, data.control, data.p, row, measure, choices),)


def _parallel(
    music: rec.GroupMeans,
    control: rec.GroupMeans,
    p: str | None,
    row: Row,
    measure: str,
    choices: RouteChoices,
) -> Printed:
    first = arm_of(music, music.n, "music", "1", choices)
    second = arm_of(control, control.n, "control", "2", choices)
    if math.isnan(first.sd) or math.isnan(second.sd):
        first, second = pooled_from_p(first, second, p, choices)
    return _two_groups(first, second, row, measure, _name_of(first, second, "means"))


def _from_changes(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Changes)
    _means_only(measure, "changes from baseline")
    if measure in _OF_MEANS:
        raise NoRouteError(f"changes from baseline have no {MEASURES[measure].label.lower()}")
    music = change_arm(data.music, data.control, "music", "1", choices)
    control = change_arm(data.control, data.music, "control", "2", choices)
    if math.isnan(music.sd) or math.isnan(control.sd):
        music, control = pooled_from_p(music, control, data.p, choices)
    return (_two_groups(music, control, row, measure, _name_of(music, control, "mean changes")),)


def _from_quartiles(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Quartiles)
    _means_only(measure, "medians")
    music = arm_of(data.music, data.music.n, "music", "1", choices)
    control = arm_of(data.control, data.control.n, "control", "2", choices)
    return (_two_groups(music, control, row, measure, f"means and SDs from medians ({choices.quantiles})"),)


# ---- events and rates ---------------------------------------------------------------------


def _events_only(measure: str) -> None:
    if measure not in EVENTS:
        raise NoRouteError(
            f"events are printed, from which no {measure} is computed unless asked for (OR, RR, RD, or an "
            "SMD as OR2DL)"
        )


def _table(cells: Cells, measure: str, name: str) -> Printed:
    raw = cells.raw
    route = "; ".join(part for part in (name, cells.told) if part)
    if raw["a"] == 0 or raw["c"] == 0 or raw["a"] == raw["n1"] or raw["c"] == raw["n2"]:
        route += "; a cell is 0, so ½ is added to all four" if measure in ("OR", "RR", "RD", "PETO") else ""
    return Printed(
        name=name + ("; arms combined" if cells.told == "arms combined" else ""),
        route=route,
        raw=raw,
        n1=raw["n1"],
        n2=raw["n2"],
        n=raw["n1"] + raw["n2"],
        given=cells.given,
        steps=cells.steps,
        names=cells.names,
    )


def _from_events(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Events)
    _events_only(measure)
    given = tuple(
        Given(symbol, float(value), what)
        for symbol, value, what in (
            ("a", data.music.events, "events, music"),
            ("n1", data.music.n, "participants, music"),
            ("c", data.control.events, "events, control"),
            ("n2", data.control.n, "participants, control"),
        )
    )
    raw = {g.symbol: g.value for g in given}
    return (_table(Cells(raw, "", given, (), {}, None), measure, "events"),)


def _from_rates(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Rates)
    if measure not in RATES:
        raise NoRouteError(f"events over time are printed, from which no {measure} follows")
    given = (
        Given("x1", float(data.music.events), "events, music"),
        Given("t1", data.music.time, "person-time, music"),
        Given("x2", float(data.control.events), "events, control"),
        Given("t2", data.control.time, "person-time, control"),
    )
    name = "events over person-time"
    return (Printed(name=name, route=name, raw={g.symbol: g.value for g in given}, given=given),)


# ---- several arms -------------------------------------------------------------------------


def _from_arms(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Arms)
    block = row.where
    if data.form == "events":
        _events_only(measure)
        return tuple(_shared_table(cells, measure, block) for cells in events_of(data, choices))
    _means_only(measure, "medians" if data.form == "quartiles" else data.form)
    if data.form == "changes" and measure in _OF_MEANS:
        raise NoRouteError(f"changes from baseline have no {MEASURES[measure].label.lower()}")
    what = {"means": "means and SDs", "changes": "mean changes and SDs"}.get(
        data.form, f"means and SDs from medians ({choices.quantiles})"
    )
    contrasts = contrasts_of(data, choices)
    suffix = "" if not contrasts[0].told else f"; arms: {rule_of(data, choices)}"
    return tuple(_of_contrast(c, row, measure, what, f"{what}{suffix}", block) for c in contrasts)


def _of_contrast(contrast: Contrast, row: Row, measure: str, what: str, name: str, block: str) -> Printed:
    if contrast.block and measure == "SMD":
        route = f"{what}; standardised by the SD of all arms, pooled; {contrast.told}"
        found = shared_smd(contrast, name, route)
        assert found.shared is not None
        return replace(found, shared=replace(found.shared, block=block))
    found = replace(
        _two_groups(contrast.music, contrast.control, row, measure, what, contrast.told), name=name
    )
    if not contrast.block:
        return found
    if measure != "MD":
        raise NoRouteError(
            f"no covariance of rows that share an arm is known for {measure}; combine the arms"
        )
    m, c = contrast.music, contrast.control
    return replace(found, shared=Shared(block, m.role, c.role, m.sd**2 / m.n, c.sd**2 / c.n))


def _shared_table(cells: Cells, measure: str, block: str) -> Printed:
    found = _table(cells, measure, "events")
    if cells.shared is None:
        return found
    v1, v2 = (
        _arm_variance(cells.raw[e], cells.raw[n], cells.raw, measure) for e, n in (("a", "n1"), ("c", "n2"))
    )
    return replace(
        found, name="events; arms: separate", shared=replace(cells.shared, block=block, v1=v1, v2=v2)
    )


def _arm_variance(events: float, n: float, raw: dict[str, float], measure: str) -> float:
    """Return what one arm adds to the variance of an effect of events."""
    cells = (raw["a"], raw["n1"] - raw["a"], raw["c"], raw["n2"] - raw["c"])
    if 0 in cells:
        raise NoRouteError(
            "no covariance of rows that share an arm is known where a cell is 0; combine the arms"
        )
    if measure == "OR":
        return 1.0 / events + 1.0 / (n - events)
    if measure == "RR":
        return 1.0 / events - 1.0 / n
    if measure == "RD":
        return events / n * (1.0 - events / n) / n
    raise NoRouteError(f"no covariance of rows that share an arm is known for {measure}; combine the arms")


# ---- the rest -----------------------------------------------------------------------------


def _from_correlation(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Correlation)
    if measure not in ASSOCIATION:
        raise NoRouteError(f"a correlation is printed, from which no {measure} is computed unless asked for")
    given = (Given("r", data.r, "correlation"), Given("n", float(data.n), "participants"))
    raw = {g.symbol: g.value for g in given}
    return (Printed(name="correlation", route="correlation", raw=raw, n=float(data.n), given=given),)


def _from_paired(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Paired)
    first = data.first_period
    if choices.crossover == "first period" and first is not None:
        return (_first_period(first, row, measure, choices, "as the analysis asks"),)
    try:
        return (paired_contrast(data, measure, choices, MEASURES[measure].needs),)
    except NoRouteError as reason:
        if first is None or measure not in TWO_MEANS:
            raise
        return (_first_period(first, row, measure, choices, str(reason)),)


def _first_period(first: rec.FirstPeriod, row: Row, measure: str, choices: RouteChoices, why: str) -> Printed:
    _means_only(measure, "means of the first period")
    found = _parallel(first.music, first.control, None, row, measure, choices)
    return replace(
        found,
        name="first period of a crossover trial",
        route=f"first period of a crossover trial; {found.route}",
        notes=(*found.notes, f"first period only ({why})"),
    )


def _from_one_group(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.OneGroup)
    if measure != "MC":
        raise NoRouteError("a change within the music group alone is no contrast with a control")
    if data.change is None:
        raise NoRouteError("the mean change of the music group is not printed")
    name = "mean change within the music group"
    if data.change.se is not None and data.change.mean is not None and data.n is None:
        given = (Given("e", data.change.mean, "mean change"), Given("SE", data.change.se, "standard error"))
        effect = (data.change.mean, data.change.se)
        return (
            Printed(
                name=name, route=name, effect=effect, given=given, steps=(Step("mean change", "y", "e"),)
            ),
        )
    n = size_of(data.n, "music")
    arm = arm_of(data.change, data.n, "music", "1", choices, what="mean change")
    if math.isnan(arm.sd):
        raise NoRouteError("no SD, SE or interval is printed for the change")
    steps = (*arm.steps, Step("mean change", "y", "m1"), Step("standard error", "SE", "sd1 / √n1"))
    effect = (arm.mean, arm.sd / math.sqrt(n))
    route = "; ".join([name, *arm.told])
    return (Printed(name=name, route=route, effect=effect, n=n, given=arm.given, steps=steps),)


def _from_reported(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Effect | rec.IntervalEffect)
    return (from_effect(data, measure),)


def _from_test(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
    data = row.outcome.data
    assert isinstance(data, rec.Test)
    return (from_test(data, measure, choices),)


def _never(reason: str) -> Callable[[Row, str, RouteChoices], tuple[Printed, ...]]:
    def route(row: Row, measure: str, choices: RouteChoices) -> tuple[Printed, ...]:
        raise NoRouteError(reason)

    return route


_ROUTES: dict[str, Callable[[Row, str, RouteChoices], tuple[Printed, ...]]] = {
    "means": _from_means,
    "changes": _from_changes,
    "events": _from_events,
    "rates": _from_rates,
    "effect": _from_reported,
    "interval": _from_reported,
    "test": _from_test,
    "quartiles": _from_quartiles,
    "arms": _from_arms,
    "correlation": _from_correlation,
    "paired": _from_paired,
    "one group": _from_one_group,
    "coefficient": _never("a model coefficient is no plain difference between the arms"),
    "narrative": _never("the source prints no number from which an effect follows"),
}
