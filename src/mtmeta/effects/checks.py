"""Checks on columns of numbers whose messages name the study, the value and the remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from mtmeta.errors import EffectError, UsageError

__all__ = [
    "FloatArray",
    "RowError",
    "check_variance",
    "columns",
    "frozen",
    "labels",
    "numbers",
    "require",
    "rows_of",
]

FloatArray = npt.NDArray[np.float64]


def frozen(values: npt.ArrayLike) -> FloatArray:
    """Copy values into a read-only float64 array."""
    array = np.array(values, dtype=np.float64, copy=True)
    array.setflags(write=False)
    return array


class RowError(EffectError):
    """A value in one row that cannot stand; :meth:`named` adds the label of its study.

    Parameters
    ----------
    row : int
        Row counted from 0.
    told : str
        What is wrong and what to write instead.
    study : str or None
        Label of the row.
    """

    def __init__(self, row: int, told: str, study: str | None = None) -> None:
        self.row, self.told = row, told
        where = f"row {row + 1}" if study is None else f"study {study!r} (row {row + 1})"
        super().__init__(f"{where}: {told}")

    def named(self, study: Sequence[str]) -> RowError:
        """Return the same error with the study of its row."""
        return RowError(self.row, self.told, study[self.row]) if self.row < len(study) else self

    def __reduce__(self) -> tuple[Any, ...]:
        return RowError, (self.row, self.told)


def require(
    ok: npt.ArrayLike,
    name: str,
    values: Sequence[Any] | FloatArray,
    remedy: str,
    study: Sequence[str] | None = None,
) -> None:
    """Raise for the first row that is not `ok`, with its study and its value.

    Parameters
    ----------
    ok : array_like of bool, shape (k,)
    name : str
        Column the values stand in.
    values : sequence of length k
    remedy : str
        What is wrong and what to write instead.
    study : sequence of str, optional
        Labels of the rows; without them the row number alone is named.

    Raises
    ------
    RowError
        When any row is not `ok`; an :class:`~mtmeta.errors.EffectError`.
    """
    mask = np.ravel(np.asarray(ok, dtype=np.bool_))
    if bool(mask.all()):
        return
    bad = np.flatnonzero(~mask)
    row = int(bad[0])
    value: Any = np.ravel(values)[row] if isinstance(values, np.ndarray) else values[row]
    shown = f"{float(value):.10g}" if _is_number(value) else repr(value)
    others = bad.size - 1
    more = f" ({others} more {'row' if others == 1 else 'rows'} likewise)" if others else ""
    error = RowError(row, f"{name} = {shown}: {remedy}{more}")
    raise error if study is None else error.named(study)


def _text_remedy(value: Any) -> str:
    if (
        isinstance(value, str)
        and value.strip().replace(",", ".", 1).replace(".", "", 1).lstrip("+-").isdigit()
    ):
        if "," in value:
            return "is text with a decimal comma; write a number with a decimal point"
        return "is text; turn the column into numbers first, such as with pandas.to_numeric"
    return "is not a number"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def numbers(
    name: str,
    values: Any,
    study: Sequence[str] | None = None,
    *,
    missing: str | None = "fill it in or leave the row out",
) -> FloatArray:
    """Return `values` as a one-dimensional float64 array (a fresh copy).

    Text is refused even where Python could read it as a number: a column of text comes from a
    file with one cell that is not a number, and that cell should be looked at.

    Parameters
    ----------
    name : str
        What the values are called in a message.
    values : array_like of shape (k,), or a scalar
    study : sequence of str or None
        Labels for messages.
    missing : str or None
        Remedy in the message on a missing or infinite value; None allows missing values (NaN).

    Raises
    ------
    EffectError
        Not one-dimensional; text, booleans, dates; missing or infinite values.
    """
    array = np.atleast_1d(_plain(values))
    if array.ndim != 1:
        raise EffectError(f"{name} has shape {array.shape}; give one number a row, shape (k,)")
    if array.dtype.kind not in "fiu":
        array = _from_objects(name, array, study)
    result = array.astype(np.float64)
    if missing is None:
        require(~np.isinf(result), name, result, "must be finite", study)
    else:
        require(~np.isnan(result), name, result, f"is missing; {missing}", study)
        require(np.isfinite(result), name, result, "must be finite", study)
    return result


def rows_of(values: Any) -> int:
    """Return how many rows `values` has; a scalar has one."""
    return int(np.atleast_1d(_plain(values)).shape[0])


def _plain(values: Any) -> npt.NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray):
        masked: Any = values.astype(np.float64)
        return np.asarray(masked.filled(np.nan))
    if hasattr(values, "to_numpy"):  # a pandas Series keeps None and pd.NA as objects
        return np.asarray(values.to_numpy())
    if isinstance(values, (list, tuple)) and any(isinstance(v, str) or v is None for v in values):
        objects = np.empty(len(values), dtype=object)  # else numpy turns the numbers into text too
        objects[:] = values
        return objects
    try:
        return np.asarray(values)
    except ValueError as error:
        raise EffectError(f"rows of unequal length: give one number a row ({error})") from error


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in {"NAType", "NaTType"} or value is np.ma.masked


def _from_objects(name: str, array: npt.NDArray[Any], study: Sequence[str] | None) -> FloatArray:
    values = [math.nan if _is_missing(v) else v for v in array.tolist()]
    ok = np.array([_is_number(v) for v in values], dtype=bool)
    for row in np.flatnonzero(~ok):
        require(ok, name, values, _text_remedy(values[row]), study)
    return np.array([float(v) for v in values], dtype=np.float64)


def labels(name: str, values: Any, k: int) -> tuple[str, ...]:
    """Return `values` as `k` labels without blanks around them.

    Raises
    ------
    EffectError
        Another length than `k`, or a label that is missing or empty.
    """
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise EffectError(f"{name}={values!r} must be one label a row, {k} in all")
    result = tuple(_label(v) for v in values)
    if len(result) != k:
        raise EffectError(f"{name} has {len(result)} labels for {k} effects; give one a row")
    for row, text in enumerate(result):
        if not text:
            raise EffectError(f"row {row + 1}: {name} is empty; every effect needs the name of its {name}")
    return result


def _label(value: Any) -> str:
    if _is_missing(value) or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def check_variance(value: str, allowed: tuple[str, ...], measure: str) -> str:
    """Return `value` when `measure` has such a sampling variance.

    Raises
    ------
    UsageError
        With the choices that exist.
    """
    if value in allowed:
        return value
    choices = ", ".join(map(repr, allowed))
    raise UsageError(f"variance={value!r} does not exist for {measure}; use {choices}")


_RULES: dict[str, tuple[str, float, str]] = {
    "sd": (
        ">",
        0.0,
        "a standard deviation is above 0; recover it from an SE, interval or test, or leave the row out",
    ),
    "n": (">=", 2.0, "a group of at least 2 is needed for a standard deviation"),
    "size": (">=", 1.0, "a group has at least 1 participant"),
    "events": (">=", 0.0, "a number of events cannot be negative"),
    "time": (">", 0.0, "person-time is above 0"),
    "se": (">", 0.0, "a standard error is above 0"),
}
_KINDS = {
    "sd": "sd", "sd1": "sd", "sd2": "sd", "n": "n", "n1": "n", "n2": "n",
    "a": "events", "c": "events", "x": "events", "x1": "events", "x2": "events",
    "t": "time", "t1": "time", "t2": "time", "se": "se",
}  # fmt: skip


def columns(*, events: bool = False, **values: npt.ArrayLike) -> tuple[FloatArray, ...]:
    """Return the columns as float64 arrays of one shape, checked by their names.

    Standard deviations, standard errors and person-times are above 0, groups of at least two
    (with `events`: one), counts not negative, everything finite.

    Raises
    ------
    RowError
        Naming the row, the column, the value and the remedy.
    EffectError
        Columns of shapes that do not fit each other.
    """
    arrays = [np.asarray(_plain(v)) for v in values.values()]
    for i, (name, array) in enumerate(zip(values, arrays, strict=True)):
        arrays[i] = array if array.dtype == np.float64 else numbers(name, array.ravel()).reshape(array.shape)
    try:
        shaped = np.broadcast_arrays(*arrays)
    except ValueError:
        sizes = ", ".join(f"{name} {a.shape}" for name, a in zip(values, arrays, strict=True))
        raise EffectError(f"columns of different lengths: {sizes}; give one value a row in each") from None
    for name, array in zip(values, shaped, strict=True):
        require(np.isfinite(array), name, array, "is missing or infinite; fill it in or leave the row out")
        kind = _KINDS.get(name)
        if kind is not None:
            sign, low, remedy = _RULES["size" if events and kind == "n" else kind]
            require(array > low if sign == ">" else array >= low, name, array, remedy)
    return tuple(shaped)
