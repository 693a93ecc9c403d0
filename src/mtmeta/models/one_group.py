"""Random-effects models of one group's counts: a proportion or a rate without effect sizes or variances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import RowError, columns, frozen, labels, require, rows_of
from mtmeta.errors import EffectError, ModelError, UsageError
from mtmeta.measures import MEASURES
from mtmeta.models import counts_likelihood as lik
from mtmeta.models.counts_likelihood import Likelihood
from mtmeta.models.glmm import CountsResult
from mtmeta.models.stack import FloatArray

__all__ = ["GroupCounts", "OneGroupModel"]


@dataclass(frozen=True, eq=False)
class GroupCounts:
    """Events in one group, of people or in person-time, one row a study. Frozen; made by :meth:`of`.

    Attributes
    ----------
    x : ndarray (k,)
        Events.
    n : ndarray (k,) or None
        People.
    t : ndarray (k,) or None
        Person-time.
    study : tuple of str
    """

    x: FloatArray
    n: FloatArray | None
    t: FloatArray | None
    study: tuple[str, ...]

    @classmethod
    def of(
        cls,
        x: npt.ArrayLike,
        *,
        n: npt.ArrayLike | None = None,
        t: npt.ArrayLike | None = None,
        study: Sequence[Any] | npt.ArrayLike | None = None,
    ) -> GroupCounts:
        """Check counts and keep them.

        Parameters
        ----------
        x : array_like (k,)
            Events, at least 0.
        n : array_like (k,), optional
            People, at least `x` and above 0: for a proportion.
        t : array_like (k,), optional
            Person-time, above 0: for a rate. One of `n` and `t` is given.
        study : sequence of length k, optional
            Labels; "1" to "k" by default.

        Raises
        ------
        UsageError
            Both or none of `n` and `t`.
        EffectError
            A missing or impossible number, unequal lengths; study and value are named.

        Examples
        --------
        >>> GroupCounts.of([1, 5], n=[5, 5])
        GroupCounts(k=2, 6 events in 10 people)
        """
        k = rows_of(x)
        names = tuple(str(i + 1) for i in range(k)) if study is None else labels("study", study, k)
        try:
            if n is not None and t is None:
                x, n = (np.atleast_1d(a) for a in columns(events=True, x=x, n=n))
                return cls(x, n, None, names)
            if t is not None and n is None:
                x, t = (np.atleast_1d(a) for a in columns(events=True, x=x, t=t))
                return cls(x, None, t, names)
        except RowError as error:
            raise error.named(names) from None
        raise UsageError("give n (people, for a proportion) or t (person-time, for a rate), one of them")

    def __post_init__(self) -> None:
        if not self.study:
            raise EffectError("no counts: the table has no rows; give at least one study")
        for name in ("x", "n", "t"):
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != (self.k,):
                raise EffectError(f"{name} has {values.size} rows for {self.k} studies; give one a study")
            if name == "x":
                require(values >= 0.0, name, values, "events must not be negative", self.study)
            else:
                what = "people" if name == "n" else "person-time"
                require(values > 0.0, name, values, f"{what} must be above 0", self.study)
            object.__setattr__(self, name, frozen(values))
        if self.n is not None:
            require(self.x <= self.n, "x", self.x, "there are more events than people", self.study)

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.study)

    def __repr__(self) -> str:
        if self.n is not None:
            return f"GroupCounts(k={self.k}, {self.x.sum():g} events in {self.n.sum():g} people)"
        assert self.t is not None
        return f"GroupCounts(k={self.k}, {self.x.sum():g} events in {self.t.sum():g} units of time)"


@dataclass(frozen=True)
class OneGroupModel:
    r"""Generalised linear mixed model of one group: log odds or log rates, normal between studies.

    ``x_i ~ Bin(n_i, p_i)`` with ``logit p_i ~ N(theta, tau2)``, or ``x_i ~ Poisson(t_i r_i)`` with
    ``log r_i ~ N(theta, tau2)``; theta and tau2 by maximum likelihood, with the integral over each study's
    own value done to machine accuracy. Studies without events, or with nothing else, are ordinary data;
    nothing is added to them (metafor's ``rma.glmm(measure = "PLO")`` and ``"IRLN"``).

    Parameters
    ----------
    random : bool
        Whether tau2 is estimated; False holds it at 0 (metafor's ``method="EE"``: logistic and Poisson
        regression with an intercept alone).

    Notes
    -----
    theta is the log odds (log rate) of the median study; ``fit.measure.back(fit.estimate)`` is its proportion
    (rate). The mean of the studies' proportions lies nearer to one half.

    References
    ----------
    Stijnen, T., Hamza, T. H. & Ozdemir, P. (2010). Stat Med 29, 3046-3067, section 3.

    Examples
    --------
    Recurrence after the use of hypervolaemic therapy in 14 studies, Pritz et al. (1997), as metadat has them;
    metafor 3.8 with lme4: 1.3766 (0.2884) [0.8114, 1.9418], tau2 0.5893.

    >>> improved = [16, 10, 4, 43, 10, 25, 13, 12, 22, 4, 5, 18, 58, 6]
    >>> treated = [17, 12, 8, 58, 10, 42, 14, 12, 41, 5, 6, 23, 68, 10]
    >>> fit = OneGroupModel().fit(GroupCounts.of(improved, n=treated))
    >>> fit
    OneGroupModel: log odds 1.377 [0.811, 1.942], k = 14, tau2 = 0.589
    >>> round(fit.measure.back(fit.estimate), 3)
    0.798
    """

    random: bool = True

    @property
    def kind(self) -> Literal["one group"]:
        """Code of the likelihood, for tables."""
        return "one group"

    def fit(self, counts: GroupCounts) -> CountsResult:
        """Pool the counts.

        Raises
        ------
        ModelError
            No finite estimate: no events in all studies (or nothing else), or counts that do not limit tau2;
            fewer than two studies for tau2.
        """
        if not counts.x.any():
            raise ModelError("no study has an event: the log of the proportion or rate is minus infinity")
        if counts.n is not None and (counts.x == counts.n).all():
            raise ModelError("everybody has the event in all studies: the log odds are infinite")
        if self.random and counts.k < 2:
            raise ModelError("tau2 needs at least 2 studies and there is 1; use random=False")
        likelihood: Likelihood
        if counts.n is not None:
            likelihood, measure = lik.Binomial(counts.x, counts.n, np.zeros(counts.k)), "PLO"
        else:
            assert counts.t is not None
            likelihood, measure = lik.Poisson(counts.x, counts.t), "IRLN"
        best = lik.maximise(likelihood) if self.random else lik.at_tau(likelihood, 0.0)
        return CountsResult(counts, self, MEASURES[measure], counts.k, likelihood, best)
