"""Averaging over four models: an effect or none, heterogeneity or none. Exact."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice
from mtmeta.models import bayes_quantities as quantities
from mtmeta.models.bayes_conditional import Rows, mean_prior, point
from mtmeta.models.bayes_engine import KnownTau, TauPosterior, integrate
from mtmeta.models.bayes_words import prior_text
from mtmeta.models.empirical_priors import empirical_prior
from mtmeta.models.posterior import Distribution
from mtmeta.models.posterior_blend import Spiked, blend
from mtmeta.models.posterior_tau import TauDistribution
from mtmeta.models.priors_base import FloatArray, Prior

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BayesModelAverage", "ModelAverageResult"]

MODELS = ("no effect, common", "effect, common", "no effect, random", "effect, random")
About = Literal["averaged", "conditional"]


@dataclass(frozen=True)
class BayesModelAverage:
    """Bayesian model averaging over four models: effect × heterogeneity.

    The models are: no effect and one common effect; an effect, common to all; no mean effect and
    heterogeneity; a mean effect and heterogeneity.

    Parameters
    ----------
    mu : Prior, optional
        Prior of the mean where there is an effect; proper. By default that of all Cochrane reviews for
        standardised mean differences, StudentT(5, 0, 0.43) (Bartoš et al. 2021).
    tau : Prior, optional
        Prior of tau where there is heterogeneity; proper. By default InverseGamma(1.71, 0.40), likewise.
    weights : tuple of 4 floats
        Prior probabilities of the models in the order above.

    Notes
    -----
    Marginal likelihoods are integrals over tau by adaptive quadrature, closed forms at tau = 0. The
    inclusion Bayes factor is posterior over prior odds of the models that include a part, as in metaBMA
    and RoBMA, which sample.

    References
    ----------
    Gronau, Q. F., Heck, D. W., Berkhout, S. W., Haaf, J. M. & Wagenmakers, E.-J. (2021). A primer on
    Bayesian model-averaged meta-analysis. Adv Methods Pract Psychol Sci 4(3).

    Examples
    --------
    Crins et al. (2014) with the priors of Röver (2020): the paper prints Bayes factors of tau = 0 and
    mu = 0, 0.8832 and 0.0037708, each against the model of row 4.

    >>> from mtmeta.models.priors import HalfNormal, Normal
    >>> y = [-2.3097026, -0.4595323, -2.3025851, -1.7578579, -1.2584610, -2.4178959]
    >>> se = [0.5994763, 0.5563956, 0.8803408, 0.4558685, 0.6419962, 1.5288107]
    >>> es = EffectSizes.of(y, np.square(se), "OR")
    >>> bma = BayesModelAverage(mu=Normal(0, 4), tau=HalfNormal(0.5)).fit(es)
    >>> log_m = bma.models["log_marginal"]
    >>> [round(math.exp(log_m.iloc[i] - log_m.iloc[3]), 5) for i in (1, 2)]
    [0.88319, 0.00377]
    """

    mu: Prior | None = None
    tau: Prior | None = None
    weights: tuple[float, float, float, float] = (0.25, 0.25, 0.25, 0.25)

    def __post_init__(self) -> None:
        w = self.weights
        if len(w) != 4 or not all(math.isfinite(a) and a >= 0 for a in w) or abs(sum(w) - 1.0) > 1e-9:
            raise UsageError(f"weights={w!r} must be four probabilities that sum to 1")
        for name in ("mu", "tau"):
            prior = getattr(self, name)
            if prior is not None and not isinstance(prior, Prior):
                raise UsageError(f"{name}={prior!r} is not a prior; write an object such as Normal(0, 1)")

    def fit(self, es: EffectSizes) -> ModelAverageResult:
        """Compute marginal likelihoods and posteriors of the four models.

        Raises
        ------
        ModelError
            An improper prior: the models could not be compared.
        UsageError
            A measure other than SMD without priors.
        """
        mu, tau = self.mu, self.tau
        if mu is None or tau is None:
            if es.measure.code != "SMD":
                raise UsageError(
                    f"the default priors are for SMD; give mu= and tau= for measure {es.measure.code}"
                )
            mu, tau = mu or empirical_prior("bartos", about="mu"), tau or empirical_prior("bartos")
        bound = tau.for_variances(es.vi)
        for name, prior in (("mu", mu), ("tau", bound)):
            if not prior.proper:
                raise ModelError(
                    f"{name} ~ {prior!r} is improper: models cannot be compared with it; give a proper prior"
                )
        rows = Rows.of(es.yi, es.vi)
        free, null = mean_prior(mu, rows), point(0.0, rows.shift)
        known = (KnownTau(rows, null, 0.0), KnownTau(rows, free, 0.0))
        random = (integrate(rows, null, bound), integrate(rows, free, bound))
        return ModelAverageResult(es, self, mu, tau, known, random)


@dataclass(frozen=True, eq=False, repr=False)
class ModelAverageResult:
    """Four models, their probabilities, and posteriors averaged over them. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : BayesModelAverage
    mu_prior, tau_prior : Prior
        As they were used, defaults filled in.
    """

    effects: EffectSizes
    model: BayesModelAverage
    mu_prior: Prior
    tau_prior: Prior
    _known: tuple[KnownTau, KnownTau] = field(repr=False)
    _random: tuple[TauPosterior, TauPosterior] = field(repr=False)

    def __getstate__(self) -> dict[str, object]:
        """Pickle what was computed by :meth:`fit`; distributions are made again from it when asked for."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def log_marginals(self) -> tuple[float, float, float, float]:
        """Log marginal likelihoods in the order of :attr:`models`."""
        (a, b), (c, d) = self._known, self._random
        return a.log_integral, b.log_integral, c.log_integral, d.log_integral

    @cached_property
    def probabilities(self) -> tuple[float, float, float, float]:
        """Posterior probabilities of the models in the order of :attr:`models`."""
        height = self._log_evidence
        share = np.exp(height - height.max())
        a, b, c, d = (float(x) for x in share / share.sum())
        return a, b, c, d

    @property
    def models(self) -> pd.DataFrame:
        """One row a model: effect, heterogeneity, prior, log_marginal, posterior."""
        import pandas as pd

        return pd.DataFrame(
            {
                "effect": [False, True, False, True],
                "heterogeneity": [False, False, True, True],
                "prior": list(self.model.weights),
                "log_marginal": list(self.log_marginals),
                "posterior": list(self.probabilities),
            },
            index=list(MODELS),
        )

    def probability(self, part: Literal["effect", "heterogeneity"]) -> float:
        """Posterior probability of an effect or of heterogeneity."""
        return float(sum(self.probabilities[i] for i in self._including(part)))

    def inclusion_bf(self, part: Literal["effect", "heterogeneity"]) -> float:
        """Return the inclusion Bayes factor: posterior over prior odds of an effect or of heterogeneity.

        Raises
        ------
        ModelError
            The prior probability of having it, or of not having it, is 0.
        """
        including = self._including(part)
        without = [i for i in range(4) if i not in including]
        log_w = self._log_evidence
        prior = [sum(self.model.weights[i] for i in rows) for rows in (including, without)]
        if min(prior) == 0.0:
            raise ModelError(f"the models have prior probability {prior[0]:g} of {part}: no Bayes factor")
        log_odds = float(np.logaddexp.reduce(log_w[including]) - np.logaddexp.reduce(log_w[without]))
        return math.exp(min(log_odds - math.log(prior[0] / prior[1]), 709.0))

    @cached_property
    def _log_evidence(self) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.array(self.model.weights)) + np.array(self.log_marginals))

    def _including(self, part: str) -> list[int]:
        check_choice("part", part, ("effect", "heterogeneity"))
        return [1, 3] if part == "effect" else [2, 3]

    # posteriors ---------------------------------------------------------------------------------------------

    def mu(self, about: About = "averaged") -> Distribution:
        """Return the posterior of the mean effect.

        Parameters
        ----------
        about : {"averaged", "conditional"}
            Over all models, with probability at 0; or given that there is an effect.
        """
        check_choice("about", about, ("averaged", "conditional"))
        return self._mu[about]

    def tau(self, about: About = "averaged") -> Distribution:
        """Return the posterior of tau, averaged over all models or given that there is heterogeneity."""
        check_choice("about", about, ("averaged", "conditional"))
        return self._tau[about]

    @cached_property
    def new_study(self) -> Distribution:
        """True effect of a new study, averaged over all models."""
        p = self.probabilities
        parts = [quantities.mean_effect(self._known[1]), *(quantities.new_study(r) for r in self._random)]
        return _spiked(p[0], blend(p[1:], parts)) if p[0] < 1.0 else parts[0]

    @cached_property
    def _mu(self) -> dict[str, Distribution]:
        p = self.probabilities
        parts = [quantities.mean_effect(self._known[1]), quantities.mean_effect(self._random[1])]
        weights = [p[1], p[3]] if p[1] + p[3] > 0.0 else [0.5, 0.5]
        conditional = blend(weights, parts)
        return {"conditional": conditional, "averaged": _spiked(p[0] + p[2], conditional)}

    @cached_property
    def _tau(self) -> dict[str, Distribution]:
        p = self.probabilities
        weights = [p[2], p[3]] if p[2] + p[3] > 0.0 else [0.5, 0.5]
        conditional = blend(weights, [TauDistribution(r) for r in self._random])
        return {"conditional": conditional, "averaged": _spiked(p[0] + p[1], conditional)}

    # words --------------------------------------------------------------------------------------------------

    @property
    def priors(self) -> str:
        """The priors with their sources, one a line."""
        bound = self._random[1].prior
        return "\n".join(
            [prior_text("mu", self.mu_prior, self.mu_prior), prior_text("tau", self.tau_prior, bound)]
        )

    @property
    def methods(self) -> str:
        """What was done, in sentences for a methods section."""
        mu, tau = self.priors.split("\n")
        return (
            "Four Bayesian models (an effect or none, heterogeneity or none) were averaged (Gronau et al. "
            "2021, Adv Methods Pract Psychol Sci 4(3)) with prior probabilities "
            f"{_listed(self.model.weights)}; priors: {mu}, {tau}. Marginal likelihoods were computed by "
            "adaptive quadrature, without sampling."
        )

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return probability, inclusion_bf, averaged and conditional summaries of either part."""
        import pandas as pd

        rows: dict[str, dict[str, float]] = {}
        for part, of in (("effect", self.mu), ("heterogeneity", self.tau)):
            row = {"probability": self.probability(part), "inclusion_bf": self.inclusion_bf(part)}  # type: ignore[arg-type]
            for about in ("averaged", "conditional"):
                d = of(about)
                low, high = d.ci(level)
                row |= {
                    f"{about}_mean": d.mean,
                    f"{about}_median": d.median,
                    f"{about}_low": low,
                    f"{about}_high": high,
                }
            rows[part] = row
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        d = self.mu("averaged")
        return (
            f"ModelAverageResult({self.effects.measure.code}, k={self.effects.k}: P(effect) "
            f"{self.probability('effect'):.3f}, P(heterogeneity) {self.probability('heterogeneity'):.3f}, "
            f"averaged effect {d.mean:.4f}; mu ~ {self.mu_prior!r}, tau ~ {self.tau_prior!r})"
        )

    def _repr_html_(self) -> str:
        table = self.models.to_html(float_format=lambda x: f"{x:.4f}", border=0)
        return f"<p>{html.escape(self.priors).replace(chr(10), '<br>')}</p>{table}"


def _spiked(probability: float, rest: Distribution) -> Distribution:
    return Spiked(min(probability, 1.0 - 1e-16), 0.0, rest) if probability > 0.0 else rest


def _listed(weights: tuple[float, ...]) -> str:
    return ", ".join(f"{w:g}" for w in weights)
