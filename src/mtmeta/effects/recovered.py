"""A value that was not printed, together with the way it was had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, frozen

__all__ = ["Bound", "Recovered", "recovered"]

Bound = Literal["lower", "upper"]


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """A value that was not printed, and how it was had.

    Parameters
    ----------
    value : float or ndarray
        Read-only.
    route : str or tuple of str
        One sentence a value: the formula's name, a colon, the sum with the numbers filled in.
    bound : {"lower", "upper"} or None
        Set where only a limit follows, as from "P < 0.05": the true value lies at or above (below) it.

    Examples
    --------
    >>> recovered("SD from SE", "{se} × √{n} = {value}", 2.5, se=0.5, n=25)
    Recovered(2.5; SD from SE: 0.5 × √25 = 2.5)
    """

    value: float | FloatArray
    route: str | tuple[str, ...]
    bound: Bound | None = None

    def __post_init__(self) -> None:
        array = frozen(self.value)
        object.__setattr__(self, "value", array if array.ndim else float(array))

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        if isinstance(self.value, float):
            flag = f"; {self.bound} bound" if self.bound else ""
            return f"Recovered({self.value:.6g}{flag}; {self.route})"
        return f"Recovered({np.size(self.value)} values; {self.route[0]} …)"


def recovered(
    name: str, template: str, value: npt.ArrayLike, bound: Bound | None = None, **inputs: npt.ArrayLike
) -> Recovered:
    """Build a :class:`Recovered` whose route is `template` with every row's numbers filled in."""
    arrays = np.broadcast_arrays(np.asarray(value, dtype=np.float64), *inputs.values())
    result = arrays[0]
    rows = zip(*(a.ravel().tolist() for a in arrays), strict=True)
    keys = ("value", *inputs)
    text = tuple(
        f"{name}: " + template.format(**{k: f"{v:.6g}" for k, v in zip(keys, row, strict=True)})
        for row in rows
    )
    return Recovered(result if result.ndim else float(result), text if result.ndim else text[0], bound)
