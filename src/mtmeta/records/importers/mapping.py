"""Column maps: which column of a table is what, in the layouts of the field and in anybody's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mtmeta.records import vocabulary as voc
from mtmeta.records.schema import Model, Text

__all__ = ["LAYOUTS", "ROLES", "ImportMap", "Layout", "layout_of"]

Layout = Literal["mtmeta", "metafor", "metapsy", "revman"]

ROLES: dict[str, str] = {
    "study": "label of the trial, such as White 1999; rows with the same label are one trial",
    "id": "id of the trial, where it differs from what the label gives",
    "year": "year of publication",
    "author": "first author, where no column holds the label",
    "condition": "condition of the vocabulary",
    "group": "short name of the population",
    "n_randomised": "people randomised",
    "doi": "DOI of the report",
    "outcome": "name of the outcome",
    "construct": "outcome of the vocabulary",
    "instrument": "scale or unit",
    "better": "lower or higher: which end of the scale is good",
    "time": "time point of the vocabulary",
    "weeks": "weeks after the start",
    "value": "final, change or adjusted",
    "comparator": "comparator of the vocabulary",
    "intervention": "music arm, where several are told apart",
    "subset": "part of the trial",
    "m1": "mean, music", "sd1": "SD, music", "se1": "standard error, music", "n1": "participants, music",
    "m2": "mean, control", "sd2": "SD, control", "se2": "standard error, control",
    "n2": "participants, control",
    "change1": "mean change, music", "sdchange1": "its SD", "nchange1": "participants, music",
    "change2": "mean change, control", "sdchange2": "its SD", "nchange2": "participants, control",
    "median1": "median, music", "q1_1": "lower quartile, music", "q3_1": "upper quartile, music",
    "median2": "median, control", "q1_2": "lower quartile, control", "q3_2": "upper quartile, control",
    "a": "events, music", "b": "no event, music", "c": "events, control", "d": "no event, control",
    "x1": "events, music (with person-time)", "t1": "person-time, music",
    "x2": "events, control (with person-time)", "t2": "person-time, control",
    "measure": "effect measure: SMD, MD, OR ...",
    "yi": "effect on the scale of analysis (ratios as logarithms)",
    "vi": "its sampling variance", "sei": "its standard error",
    "estimate": "effect as printed (ratios as ratios)", "ci_low": "lower limit", "ci_high": "upper limit",
    "correction": "correction behind an SMD: exact, approximate, none",
    "variance": "convention of its variance: LS, RevMan ...",
    "n_total": "participants in all",
    "r": "correlation", "n": "participants of a correlation",
    "t": "t of the two groups", "f": "F of the two groups", "p": "P value",
    "direction": "lower or higher: whether music's value was the lower",
    "used_in": "forests that print the row, parted by |",
    "cite": "source of the number", "where": "place in the source", "note": "anything else",
}  # fmt: skip
"""What a column can be, and what that is."""

_METAFOR: dict[str, tuple[str, ...]] = {
    "study": ("study", "trial", "slab"),
    "author": ("author", "authors"),
    "year": ("year",),
    "m1": ("m1i",), "sd1": ("sd1i",), "n1": ("n1i",), "m2": ("m2i",), "sd2": ("sd2i",), "n2": ("n2i",),
    "a": ("ai", "tpos"), "b": ("bi", "tneg"), "c": ("ci", "cpos"), "d": ("di", "cneg"),
    "x1": ("x1i",), "t1": ("t1i",), "x2": ("x2i",), "t2": ("t2i",),
    "yi": ("yi",), "vi": ("vi",), "sei": ("sei",),
    "r": ("ri",), "n": ("ni",), "t": ("ti",), "f": ("fi",), "p": ("pi",),
}  # fmt: skip
_METAPSY: dict[str, tuple[str, ...]] = {
    "study": ("study",), "year": ("year",), "doi": ("doi",),
    "intervention": ("multi_arm1",), "comparator": ("condition_arm2",),
    "instrument": ("instrument",), "time": ("time",), "weeks": ("time_weeks",), "outcome": ("outcome_type",),
    "m1": ("mean_arm1",), "sd1": ("sd_arm1",), "n1": ("n_arm1",),
    "m2": ("mean_arm2",), "sd2": ("sd_arm2",), "n2": ("n_arm2",),
    "change1": ("mean_change_arm1",), "sdchange1": ("sd_change_arm1",), "nchange1": ("n_change_arm1",),
    "change2": ("mean_change_arm2",), "sdchange2": ("sd_change_arm2",), "nchange2": ("n_change_arm2",),
    "a": ("event_arm1",), "c": ("event_arm2",), "total1": ("totaln_arm1",), "total2": ("totaln_arm2",),
    "g": ("precalc_g",), "g_se": ("precalc_g_se",),
    "log_rr": ("precalc_log_rr",), "log_rr_se": ("precalc_log_rr_se",),
}  # fmt: skip
LAYOUTS: dict[str, dict[str, tuple[str, ...]]] = {
    "mtmeta": {role: (role,) for role in ROLES},
    "metafor": _METAFOR,
    "metapsy": _METAPSY,
}
_REVMAN = {"study", "experimental n", "control n", "analysis name"}


class _Defaults(Model):
    """What a file does not tell and is the same for all its rows."""

    condition: voc.Condition | None = None
    construct_: Annotated[voc.Construct | None, Field(alias="construct")] = None
    instrument: Text | None = None
    time: voc.TimePoint | None = None
    value: voc.ValueKind | None = None
    comparator: voc.Comparator | None = None
    better: Literal["lower", "higher"] | None = None
    measure: voc.EffectMeasure | None = None
    correction: voc.Correction | None = None
    variance: voc.VarianceConvention | None = None
    allocation: voc.Allocation | None = None
    group: Text | None = None
    review: Text | None = None
    """Review the file belongs to, such as CD006577.pub3."""
    cite: Text | None = None


class _Values(Model):
    """Words of the file and the words of the vocabulary that they stand for."""

    construct_: Annotated[dict[str, voc.Construct], Field(alias="construct", default_factory=dict)]
    comparator: dict[str, voc.Comparator] = Field(default_factory=dict)
    time: dict[str, voc.TimePoint] = Field(default_factory=dict)
    value: dict[str, voc.ValueKind] = Field(default_factory=dict)
    condition: dict[str, voc.Condition] = Field(default_factory=dict)


class ImportMap(Model):
    """How a file becomes records: ``--map map.yaml``."""

    layout: Layout | None = None
    """Layout of the table; by default the one whose columns it has."""
    columns: dict[str, Text] = Field(default_factory=dict)
    """Our name of a column to the file's, such as ``m1: Mean (music)``."""
    values: _Values = Field(default_factory=lambda: _Values.model_validate({}))
    defaults: _Defaults = Field(default_factory=_Defaults)
    sheet: Text | None = None
    """Sheet of a spreadsheet; the first by default."""
    header_row: Annotated[int, Field(ge=1, le=1000)] = 1
    delimiter: Literal[",", ";", "\t"] | None = None
    decimal: Literal[".", ","] | None = None

    @model_validator(mode="after")
    def _known(self) -> ImportMap:
        unknown = [role for role in self.columns if role not in ROLES]
        if unknown:
            import difflib

            near = difflib.get_close_matches(unknown[0], ROLES, n=2)
            hint = f" (did you mean {' or '.join(near)}?)" if near else ""
            raise ValueError(
                f"columns: no column is called {unknown[0]!r} here{hint}; there are {', '.join(ROLES)}"
            )
        return self


def layout_of(header: list[str], wanted: Layout | None) -> str | None:
    """Return the layout whose columns a header has, or None.

    Examples
    --------
    >>> layout_of(["author", "year", "m1i", "sd1i", "n1i", "m2i", "sd2i", "n2i"], None)
    'metafor'
    >>> layout_of(["study", "condition_arm1", "mean_arm1", "sd_arm1"], None)
    'metapsy'
    """
    if wanted is not None:
        return wanted
    folded = {name.strip().casefold() for name in header}
    if folded >= _REVMAN:
        return "revman"
    if any(name.endswith(("_arm1", "_arm2")) for name in folded):
        return "metapsy"
    metafor = {
        alias
        for role, names in _METAFOR.items()
        if role not in ("study", "author", "year")
        for alias in names
    }
    own = set(ROLES) - {"study", "author", "year", "yi", "vi", "sei"}
    if folded & metafor - {"yi", "vi", "sei"}:
        return "metafor"
    if folded & own or {"yi"} <= folded:
        return "mtmeta"
    return None


def columns_of(header: list[str], layout: str | None, own: dict[str, str]) -> dict[str, int]:
    """Return the position of each known column; the map's own names win over the layout's."""
    folded: dict[str, int] = {}
    for position, name in enumerate(header):
        folded.setdefault(name.strip().casefold(), position)
    found: dict[str, int] = {}
    for role, names in LAYOUTS.get(layout or "", {}).items():
        for name in names:
            if name in folded:
                found.setdefault(role, folded[name])
    for role, name in own.items():
        if name.strip().casefold() in folded:
            found[role] = folded[name.strip().casefold()]
    return found


def study_defaults(settings: _Defaults) -> dict[str, Any]:
    """Return the study's part of the defaults."""
    out: dict[str, Any] = {}
    if settings.condition is not None:
        out["conditions"] = [settings.condition]
    if settings.comparator is not None:
        out["comparator"] = {"type": settings.comparator}
    if settings.allocation is not None:
        out["design"] = {"allocation": settings.allocation}
    if settings.group is not None:
        out["population"] = {"group": settings.group}
    if settings.review is not None:
        out["reviews"] = [settings.review]
    return out
