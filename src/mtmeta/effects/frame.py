"""From columns of raw data to effects: one recipe for every measure code, metafor's meaning of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mtmeta.effects import association, binary, continuous, convert, paired, proportions, rates, ratios
from mtmeta.effects.checks import FloatArray, RowError, check_variance, labels, numbers
from mtmeta.effects.halves import COLUMN, halved
from mtmeta.errors import DataWarning, EffectError, UsageError
from mtmeta.measures import Measure, check_choice

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RECIPES", "Computed", "effects_of_frame"]

Data = dict[str, FloatArray]
Effects = tuple[FloatArray, FloatArray]


class Computed(NamedTuple):
    """What a frame gives: effects, sizes, labels, and the columns that are passed on."""

    yi: FloatArray
    vi: FloatArray
    study: tuple[str, ...]
    cluster: tuple[str, ...]
    n: FloatArray | None
    n1: FloatArray | None
    n2: FloatArray | None
    moderators: pd.DataFrame | None
    columns: pd.DataFrame | None
    reported: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a measure is computed from its columns.

    Parameters
    ----------
    compute : callable
        ``(columns, variance, zero_cells) -> (yi, vi)``.
    variances : tuple of str
        Variance choices that exist; the first is what "LS" stands for.
    """

    compute: Callable[[Data, Any, Any], Effects]
    variances: tuple[str, ...] = ("LS",)


def _two(d: Data) -> tuple[FloatArray, ...]:
    return d["m1"], d["sd1"], d["n1"], d["m2"], d["sd2"], d["n2"]


def _cells(d: Data) -> tuple[FloatArray, ...]:
    return d["a"], d["n1"], d["c"], d["n2"]


def _pair(d: Data) -> tuple[FloatArray, ...]:
    return d["m1"], d["m2"], d["sd1"], d["sd2"], d["n"], d["r"]


def _times(d: Data) -> tuple[FloatArray, ...]:
    return d["x1"], d["t1"], d["x2"], d["t2"]


def _smc(standardizer: Any) -> Callable[[Data, Any, Any], Effects]:
    def compute(d: Data, v: Any, z: Any) -> Effects:
        return paired.standardized_mean_change(*_pair(d), standardizer=standardizer, variance=v)

    return compute


def _share(scale: Any) -> Callable[[Data, Any, Any], Effects]:
    def compute(d: Data, v: Any, z: Any) -> Effects:
        return proportions.proportion(d["x"], d["n"], scale=scale, variance=v, zero_cells=z)

    return compute


def _rate(scale: Any) -> Callable[[Data, Any, Any], Effects]:
    def compute(d: Data, v: Any, z: Any) -> Effects:
        return rates.incidence_rate(d["x"], d["t"], scale=scale, zero_cells=z)

    return compute


def _smd_of_events(d: Data, zero_cells: Any, distribution: Any) -> Effects:
    """Convert odds ratios; rows that RevMan's rule leaves without one stay NaN."""
    log_or, variance = binary.odds_ratio(*_cells(d), zero_cells=zero_cells)
    known = ~np.isnan(log_or)
    yi, vi = np.full_like(log_or, np.nan), np.full_like(log_or, np.nan)
    yi[known], vi[known] = convert.smd_from_log_odds_ratio(
        log_or[known], variance[known], distribution=distribution
    )
    return yi, vi


def _d(d: Data) -> Effects:
    return continuous.standardized_mean_difference(*_two(d), correction="none")


RECIPES: dict[str, Recipe] = {
    "MD": Recipe(lambda d, v, z: continuous.mean_difference(*_two(d), variance=v), ("LS", "UB", "HO")),
    "SMD": Recipe(
        lambda d, v, z: continuous.standardized_mean_difference(*_two(d), variance=v),
        ("LS", "LS2", "UB", "AV", "RevMan"),
    ),
    "SMDH": Recipe(lambda d, v, z: continuous.heteroscedastic_smd(*_two(d))),
    "SMD1": Recipe(lambda d, v, z: continuous.glass_delta(*_two(d), variance=v), ("LS", "LS2", "UB", "AV")),
    "SMD1H": Recipe(lambda d, v, z: continuous.glass_delta(*_two(d), heteroscedastic=True)),
    "ROM": Recipe(lambda d, v, z: ratios.ratio_of_means(*_two(d), variance=v), ("LS", "AV")),
    "CVR": Recipe(lambda d, v, z: ratios.variation_ratio(*_two(d))),
    "VR": Recipe(lambda d, v, z: ratios.variability_ratio(d["sd1"], d["n1"], d["sd2"], d["n2"])),
    "OR": Recipe(lambda d, v, z: binary.odds_ratio(*_cells(d), zero_cells=z)),
    "RR": Recipe(lambda d, v, z: binary.risk_ratio(*_cells(d), zero_cells=z)),
    "RD": Recipe(
        lambda d, v, z: binary.risk_difference(*_cells(d), variance=v, zero_cells=z), ("LS", "UB", "AV")
    ),
    "PETO": Recipe(lambda d, v, z: binary.peto_odds_ratio(*_cells(d), zero_cells=z)),
    "AS": Recipe(lambda d, v, z: binary.arcsine_difference(*_cells(d))),
    "PHI": Recipe(lambda d, v, z: binary.phi_coefficient(*_cells(d), variance=v), ("LS", "ST", "CS")),
    "YUQ": Recipe(lambda d, v, z: binary.yule_q(*_cells(d), zero_cells=z)),
    "PBIT": Recipe(lambda d, v, z: binary.probit_difference(*_cells(d), zero_cells=z)),
    "OR2DL": Recipe(lambda d, v, z: _smd_of_events(d, z, "logistic")),
    "OR2DN": Recipe(lambda d, v, z: _smd_of_events(d, z, "normal")),
    "D2ORL": Recipe(lambda d, v, z: convert.log_odds_ratio_from_smd(*_d(d))),
    "D2ORN": Recipe(lambda d, v, z: convert.log_odds_ratio_from_smd(*_d(d), distribution="normal")),
    "RPB": Recipe(lambda d, v, z: association.point_biserial(*_two(d), variance=v), ("LS", "ST", "CS")),
    "RBIS": Recipe(lambda d, v, z: association.biserial(*_two(d))),
    "IRR": Recipe(lambda d, v, z: rates.rate_ratio(*_times(d), zero_cells=z)),
    "IRD": Recipe(lambda d, v, z: rates.rate_difference(*_times(d), zero_cells=z)),
    "IRSD": Recipe(lambda d, v, z: rates.root_rate_difference(*_times(d))),
    "MC": Recipe(lambda d, v, z: paired.mean_change(*_pair(d))),
    "SMCC": Recipe(_smc("change"), ("LS", "LS2")),
    "SMCR": Recipe(_smc("first"), ("LS", "LS2")),
    "SMCRH": Recipe(_smc("first heteroscedastic")),
    "SMCRP": Recipe(_smc("pooled")),
    "ROMC": Recipe(lambda d, v, z: paired.paired_ratio_of_means(*_pair(d))),
    "MN": Recipe(lambda d, v, z: continuous.single_mean(d["m"], d["sd"], d["n"])),
    "PR": Recipe(_share("raw"), ("LS", "UB", "AV")),
    "PLO": Recipe(_share("logit"), ("LS", "AV")),
    "PLN": Recipe(_share("log"), ("LS", "AV")),
    "PAS": Recipe(_share("arcsine root")),
    "PFT": Recipe(_share("Freeman-Tukey")),
    "IR": Recipe(_rate("raw")),
    "IRLN": Recipe(_rate("log")),
    "IRS": Recipe(_rate("root")),
    "COR": Recipe(lambda d, v, z: association.correlation(d["r"], d["n"], variance=v), ("LS", "AV")),
    "ZCOR": Recipe(lambda d, v, z: association.fisher_z(d["r"], d["n"])),
}
REPORTED = ("GEN", "HR")  # known by an effect and its variance alone
_REMEDY = "fill it in, recover it from what is printed (mtmeta.effects.recover), or leave the row out"


def _nearest(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    folded = {k.lower(): k for k in known}
    close = [folded[k] for k in get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)]
    return f" (is it {close[0]!r}?)" if close else ""


def _pick(df: pd.DataFrame, role: str, name: object) -> Any:
    names = [str(c) for c in df.columns]
    if name not in df.columns:
        raise EffectError(
            f"{role}: no column {name!r}{_nearest(str(name), names)}; the columns are: {_names(df)}"
        )
    column = df[name]
    if column.ndim != 1:
        raise EffectError(f"{role}: the column {name!r} stands more than once; rename one of them")
    return column


def _numeric(df: pd.DataFrame, name: str, study: tuple[str, ...]) -> FloatArray:
    return numbers(name, _pick(df, "data", name), study, missing=_REMEDY)


def _given(df: pd.DataFrame, study: tuple[str, ...]) -> Effects:
    yi = _numeric(df, "yi", study)
    if "vi" in df.columns:
        return yi, _numeric(df, "vi", study)
    return yi, np.square(_numeric(df, "sei", study))


def _effects(
    df: pd.DataFrame, measure: Measure, study: tuple[str, ...], variance: str, zero_cells: str
) -> tuple[Effects, npt.NDArray[np.bool_] | None, bool]:
    """Effects and variances, where one half was added, and whether they were reported and not computed."""
    recipe = RECIPES.get(measure.code)
    if variance != "LS":
        allowed = ("LS",) if recipe is None else recipe.variances
        check_variance(variance, allowed, measure.code)
    check_choice("zero_cells", zero_cells, binary.ZERO_CELLS)
    reported = "yi" in df.columns and ("vi" in df.columns or "sei" in df.columns)
    needs = measure.needs.split()
    missing = [name for name in needs if name not in df.columns]
    if recipe is None or (missing and reported):
        if not reported:
            raise EffectError(
                f"{measure.code} needs the columns yi and vi (or sei); the columns are: {_names(df)}"
            )
        return _given(df, study), None, True
    if missing:
        hint = _nearest(missing[0], [str(c) for c in df.columns if c not in needs])
        raise EffectError(
            f"{measure.code} needs the columns {' '.join(needs)} (or yi and vi); missing: {' '.join(missing)}"
            f"{hint}; the columns are: {_names(df)}"
        )
    data = {name: _numeric(df, name, study) for name in needs}
    if zero_cells == "RevMan" and not {"a", "c"} <= set(needs):
        zero_cells = "metafor"  # RevMan knows zero cells of 2×2 tables only
    try:
        return recipe.compute(data, variance, zero_cells), halved(measure.code, data, zero_cells), False
    except RowError as error:
        raise error.named(study) from None


def _names(df: pd.DataFrame) -> str:
    return ", ".join(str(c) for c in df.columns)


def _size(df: pd.DataFrame, name: str, study: tuple[str, ...]) -> FloatArray | None:
    if name not in df.columns:
        return None
    return numbers(name, _pick(df, "data", name), study, missing=None)


def _moderators(df: pd.DataFrame, wanted: Any) -> tuple[pd.DataFrame | None, list[Any]]:
    import pandas as pd

    if wanted is None:
        return None, []
    if isinstance(wanted, pd.DataFrame):
        return wanted, []
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    picked = pd.DataFrame({name: _pick(df, "moderators", name) for name in names})
    return picked.reset_index(drop=True), names


def _estimable(yi: FloatArray, vi: FloatArray, study: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Rows with an estimate; warn of the others, which only RevMan's zero-cell rule makes."""
    keep = ~np.isnan(yi) & ~np.isnan(vi)
    if not keep.all():
        out = [name for name, ok in zip(study, keep, strict=True) if not ok]
        why = "no events, or only events, in both groups: not estimable by RevMan's zero-cell rule"
        what = f"left out ({why}): {', '.join(out)}"
        if not keep.any():
            raise EffectError(f"no row is left: {what}")
        warnings.warn(what, DataWarning, stacklevel=4)
    return keep


def effects_of_frame(
    df: Any,
    measure: Measure,
    study: str | None,
    variance: str,
    zero_cells: str,
    cluster: str | None,
    moderators: Any,
) -> Computed:
    """Compute what :meth:`mtmeta.effects.table.EffectSizes.from_frame` documents."""
    import pandas as pd

    if not isinstance(df, pd.DataFrame):
        raise UsageError(f"from_frame takes a pandas DataFrame, not {type(df).__name__}")
    if df.empty:
        raise EffectError("the data frame has no rows")
    k = len(df)
    named = study is not None and (study in df.columns or study != "study")
    names = labels("study", _pick(df, "study", study), k) if named else tuple(str(i + 1) for i in range(k))
    groups = names if cluster is None else labels("cluster", _pick(df, "cluster", cluster), k)
    frame, used = _moderators(df, moderators)
    if frame is not None and len(frame) != k:
        raise EffectError(f"moderators has {len(frame)} rows for {k} effects; give one a row")
    (yi, vi), half, reported = _effects(df, measure, names, variance, zero_cells)
    keep = _estimable(yi, vi, names)
    n, n1, n2 = (
        None if size is None else size[keep] for size in (_size(df, c, names) for c in ("n", "n1", "n2"))
    )
    drop = {study, cluster, "yi", "vi", "sei", *used}
    rest = df[[c for c in df.columns if c not in drop]].reset_index(drop=True)
    if half is not None and (half & keep).any():
        rest = rest.assign(**{COLUMN: half})
    return Computed(
        yi=yi[keep],
        vi=vi[keep],
        study=tuple(s for s, ok in zip(names, keep, strict=True) if ok),
        cluster=tuple(s for s, ok in zip(groups, keep, strict=True) if ok),
        n=n,
        n1=n1,
        n2=n2,
        moderators=None if frame is None else frame[keep],
        columns=rest[keep] if len(rest.columns) else None,
        reported=reported,
    )
