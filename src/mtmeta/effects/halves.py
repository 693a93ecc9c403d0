"""Where one half is added to counts, so that nobody has to guess: the rules of the calculators, as flags."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mtmeta.effects.binary import half_added
from mtmeta.effects.checks import FloatArray

__all__ = ["COLUMN", "halved"]

COLUMN = "half_added"  # of the table's columns, where any row has it
_TABLES = {
    "OR": "OR",
    "RR": "RR",
    "RD": "RD",
    "PETO": "PETO",
    "YUQ": "OR",
    "PBIT": "PBIT",
    "OR2DL": "OR",
    "OR2DN": "OR",
}


def halved(code: str, data: Mapping[str, FloatArray], zero_cells: str) -> npt.NDArray[np.bool_] | None:
    """Return the rows to whose counts the measure `code` adds one half, None for measures that add nothing.

    Parameters
    ----------
    code : str
        Of the measure.
    data : mapping of str to ndarray (k,)
        The columns it is computed from.
    zero_cells : {"metafor", "RevMan", "none"}

    Examples
    --------
    >>> cells = {"a": [0, 3], "n1": [20, 20], "c": [4, 5], "n2": [20, 20]}
    >>> halved("OR", {name: np.array(x, float) for name, x in cells.items()}, "metafor").tolist()
    [True, False]
    """
    if code in _TABLES:
        cells = (data[name] for name in ("a", "n1", "c", "n2"))
        return half_added(*cells, measure=_TABLES[code], zero_cells=zero_cells)
    if code in ("PR", "PLO", "PLN"):
        zero = (data["x"] == 0) | (data["x"] == data["n"])
    elif code in ("IRR", "IRD"):
        zero = (data["x1"] == 0) | (data["x2"] == 0)
    elif code in ("IR", "IRLN"):
        zero = data["x"] == 0
    else:
        return None
    return np.asarray(zero & (zero_cells == "metafor"))
