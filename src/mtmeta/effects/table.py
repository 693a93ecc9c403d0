"""The effect table: the only thing a model sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mtmeta.errors import EffectError
from mtmeta.measures import Measure, measure_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EffectSizes"]

FloatArray = npt.NDArray[np.float64]


def _frozen(values: npt.ArrayLike) -> FloatArray:
    array = np.array(values, dtype=np.float64, copy=True)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class EffectSizes:
    """Effect sizes and their sampling variances, one row an effect. Frozen.

    Use :meth:`of` for arrays and :meth:`from_frame` for raw data; the constructor takes
    checked values only.

    Attributes
    ----------
    yi, vi : ndarray of shape (k,)
        Effects on the scale of `measure` (treatment minus control), and sampling variances > 0.
    measure : Measure
    study, cluster : tuple of str, length k
    n, n1, n2 : ndarray of shape (k,) or None
        Participants in all and by arm (1 treatment, 2 control).
    moderators : DataFrame of k rows or None
    columns : DataFrame of k rows
        Labels and data that results pass on to tables and figures; models never look inside.
    """

    yi: FloatArray
    vi: FloatArray
    measure: Measure
    study: tuple[str, ...]
    cluster: tuple[str, ...]
    n: FloatArray | None = None
    n1: FloatArray | None = None
    n2: FloatArray | None = None
    moderators: pd.DataFrame | None = None
    columns: pd.DataFrame | None = field(default=None, repr=False)
