"""What a result says of its mean where it has one: a model without moderators, by its only coefficient."""

from __future__ import annotations

from typing import Protocol

from mtmeta.effects.checks import FloatArray
from mtmeta.errors import ModelError
from mtmeta.measures import Interval
from mtmeta.models.linear import Coefficients, quantile

__all__ = ["OneMean", "single"]


class _Estimated(Protocol):
    """A result with coefficients."""

    @property
    def coefficients(self) -> Coefficients: ...


def single(values: FloatArray) -> float:
    """Return the value of the only coefficient.

    Raises
    ------
    ModelError
        When there are several.
    """
    if len(values) > 1:
        raise ModelError(
            "this model has moderators and so no single mean; read coefficients, or to_frame() for a table"
        )
    return float(values[0])


class OneMean:
    """The mean effect of a result, its test and its interval, all from ``coefficients``."""

    @property
    def estimate(self: _Estimated) -> float:
        """Mean effect; a model with moderators has none and raises ModelError."""
        return single(self.coefficients.beta)

    @property
    def se(self: _Estimated) -> float:
        """Standard error of the mean, robust where the result is."""
        return single(self.coefficients.se)

    @property
    def df(self: _Estimated) -> float:
        """Degrees of freedom of the mean's t; infinite for the normal distribution."""
        return single(self.coefficients.df)

    @property
    def statistic(self: _Estimated) -> float:
        """Mean over its standard error."""
        return single(self.coefficients.statistic)

    @property
    def pvalue(self: _Estimated) -> float:
        """Two-sided p-value of the mean."""
        return single(self.coefficients.pvalue)

    def ci(self: _Estimated, level: float = 0.95) -> Interval:
        """Return the confidence interval of the mean."""
        middle = single(self.coefficients.beta)
        half = single(quantile(level, self.coefficients.df)) * single(self.coefficients.se)
        return Interval(middle - half, middle + half)
