"""Checks on columns of numbers whose messages name the study, the value and the remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from mtmeta.errors import EffectError

__all__ = ["FloatArray", "frozen", "labels", "numbers", "require", "rows_of"]

FloatArray = npt.NDArray[np.float64]


def frozen(values: npt.ArrayLike) -> FloatArray:
    """Copy values into a read-only float64 array."""
    array = np.array(values, dtype=np.float64, copy=True)
    array.setflags(write=False)
    return array


def _where(study: Sequence[str] | None, row: int) -> str:
    known = study is not None and row < len(study)
    return f"study {study[row]!r} (row {row + 1})" if known and study is not None else f"row {row + 1}"


def _more(count: int) -> str:
    return "" if count == 0 else f" ({count} more {'row' if count == 1 else 'rows'} likewise)"


def require(
    ok: npt.NDArray[np.bool_],
    name: str,
    values: Sequence[Any] | FloatArray,
    study: Sequence[str] | None,
    remedy: str,
) -> None:
    """Raise for the first row that is not `ok`, with its study and its value.

    Parameters
    ----------
    ok : ndarray of bool, shape (k,)
    name : str
        Column the values stand in.
    values : sequence of length k
    study : sequence of str or None
        Labels of the rows; without them the row number alone is named.
    remedy : str
        What is wrong and what to write instead.

    Raises
    ------
    EffectError
        When any row is not `ok`.
    """
    if bool(np.all(ok)):
        return
    bad = np.flatnonzero(~np.asarray(ok))
    row = int(bad[0])
    value = values[row]
    shown = f"{float(value):.10g}" if isinstance(value, Real) else repr(value)
    raise EffectError(f"{_where(study, row)}: {name} = {shown}: {remedy}{_more(bad.size - 1)}")


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
        require(~np.isinf(result), name, result, study, "must be finite")
    else:
        require(~np.isnan(result), name, result, study, f"is missing; {missing}")
        require(np.isfinite(result), name, result, study, "must be finite")
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
        require(ok, name, values, study, _text_remedy(values[row]))
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
