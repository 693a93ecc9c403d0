"""A question answered by the exact Bayesian model under the priors its analysis names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mtmeta.audit.priors import Priors
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import AnalysisError, ModelError, UsageError
from mtmeta.measures import Interval
from mtmeta.models.bayes import BayesRandomEffects, BayesResult

__all__ = ["BayesRun", "run_bayes"]


@dataclass(frozen=True)
class BayesRun:
    """The answer under one pair of priors."""

    priors: Priors
    """As the analysis file has them."""
    result: BayesResult
    better: Literal["lower", "higher"]
    level: float

    @property
    def label(self) -> str:
        """A few words for tables, such as ``half-normal(0.5)``."""
        return self.priors.label

    @property
    def words(self) -> str:
        """Both priors with their sources, in a sentence's part."""
        return ", ".join(self.result.priors.split("\n"))

    @property
    def estimate(self) -> float:
        """Posterior median of the mean effect, on the scale people read."""
        return self.result.effects.measure.back(self.result.estimate)

    @cached_property
    def ci(self) -> Interval:
        """Credible interval of the mean effect, on the scale people read."""
        return self._moved(self.result.ci(self.level))

    @cached_property
    def pi(self) -> Interval:
        """Interval of the true effect of a new study, on the scale people read."""
        return self._moved(self.result.pi(self.level))

    @cached_property
    def prob_better(self) -> float:
        """Probability that the mean effect lies on the side that is good for the patient."""
        mu, null = self.result.mu, self.result.effects.measure.null
        return mu.prob(high=null) if self.better == "lower" else mu.prob(low=null)

    def _moved(self, ci: Interval) -> Interval:
        back = self.result.effects.measure.back
        return Interval(back(ci.low), back(ci.high))


def run_bayes(
    priors: tuple[Priors, ...],
    effects: EffectSizes,
    *,
    better: Literal["lower", "higher"],
    level: float,
) -> tuple[BayesRun, ...]:
    """Fit the random-effects model under each pair of priors.

    Raises
    ------
    AnalysisError
        Priors under which there is no posterior.
    """
    runs = []
    for one in priors:
        try:
            mu, tau = one.of(effects.measure)
            result = BayesRandomEffects(mu=mu, tau=tau).fit(effects)
        except (ModelError, UsageError) as error:
            raise AnalysisError(f"priors {one.label}: {error}") from error
        runs.append(BayesRun(one, result, better, level))
    return tuple(runs)
