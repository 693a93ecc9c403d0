"""Averaging over 36 models: effect × heterogeneity × nine ways of publication bias (RoBMA-PSMA)."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice, check_level
from mtmeta.models.bias_models import INTERVALS, Bias, BiasModel, Points, sample_model
from mtmeta.models.posterior import Distribution
from mtmeta.models.posterior_blend import Spiked
from mtmeta.models.posterior_draws import Draws
from mtmeta.models.priors import HalfCauchy, InverseGamma, Normal
from mtmeta.models.priors_base import FloatArray, Prior

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BiasAverageResult", "RobustBayesAverage"]

# RoBMA's defaults: bias or none 1/2 each; given bias, 1/2 over six weight functions, PET and PEESE 1/4 each
BIASES: tuple[tuple[Bias, float], ...] = (
    (Bias("none"), 1 / 2),
    (Bias("two-sided", (0.05,)), 1 / 24),
    (Bias("two-sided", (0.05, 0.1)), 1 / 24),
    (Bias("one-sided", (0.05,)), 1 / 24),
    (Bias("one-sided", (0.025, 0.05)), 1 / 24),
    (Bias("one-sided", (0.05, 0.5)), 1 / 24),
    (Bias("one-sided", (0.025, 0.05, 0.5)), 1 / 24),
    (Bias("PET"), 1 / 8),
    (Bias("PEESE"), 1 / 8),
)
Part = Literal["effect", "heterogeneity", "bias"]
_DRAWS = 20_000  # that stand for a posterior; their own error is far below that of the integration


@dataclass(frozen=True)
class RobustBayesAverage:
    r"""Robust Bayesian meta-analysis: 36 models averaged, without chains.

    Two (mean effect or none) × two (heterogeneity or none) × nine: no bias; six weight functions on p, two
    two-sided (steps .05; .05, .10) and four one-sided (.05; .025, .05; .05, .5; .025, .05, .5), whose weights
    fall by a cumulative Dirichlet(1, ..., 1) prior; PET and PEESE, which let the mean rise with the standard
    error or its square.

    Parameters
    ----------
    mu : Prior, default Normal(0, 1)
        Of the mean where there is an effect.
    tau : Prior, default InverseGamma(1, 0.15)
        Of tau where there is heterogeneity.
    pet, peese : Prior, default HalfCauchy(1), HalfCauchy(5)
        Of the slopes.
    alternative : {"greater", "less"}
        The direction that selection favours; "less" for scales where lower is better.
    seed : int
        Of the scrambled point sets.
    accuracy : float, default 0.03
        Largest standard error of a log marginal likelihood; else a ModelError.

    Notes
    -----
    Marginal likelihoods are integrals over two to five dimensions by importance sampling: scrambled Sobol
    points from a t distribution fitted to the posterior, mixed with the prior. Eight independent sets give
    the standard errors, which the result reports. RoBMA runs a Markov chain and bridge sampling a model.

    Priors are those of RoBMA for Cohen's d and are used on the scale of the effects. RoBMA itself transforms
    d to Fisher's z first and rescales the priors (mean and tau by 1/2, PEESE by 2); p-values are normal here
    (effect over standard error).

    References
    ----------
    Bartoš, F., Maier, M., Wagenmakers, E.-J., Doucouliagos, H. & Stanley, T. D. (2023). Robust Bayesian
    meta-analysis: model-averaging across complementary publication bias adjustment methods. Res Synth
    Methods 14, 99-116.

    Examples
    --------
    Bem (2011), on Fisher's z as RoBMA has it; its README prints for effect, heterogeneity and bias the
    posterior probabilities 0.324, 0.125 and 0.942 and the mean 0.037 (of d).

    >>> d = np.array([0.25, 0.20, 0.26, 0.23, 0.22, 0.15, 0.09, 0.19, 0.42])
    >>> se = np.array([0.10155048, 0.08246211, 0.10323629, 0.10182427, 0.10120277, 0.08210765, 0.07085372,
    ...                0.10089846, 0.14752627])
    >>> n = (d**2 + 8) / (2 * se**2)
    >>> es = EffectSizes.of(np.arcsinh(d / 2), 1 / (n - 3), "ZCOR")
    >>> fit = RobustBayesAverage(Normal(0, 0.5), InverseGamma(1, 0.075), peese=HalfCauchy(10)).fit(es)
    >>> printed = {"effect": 0.324, "heterogeneity": 0.125, "bias": 0.942}
    >>> all(abs(fit.probability(part) - p) < 0.003 for part, p in printed.items())
    True
    """

    mu: Prior | None = None
    tau: Prior | None = None
    pet: Prior = field(default_factory=lambda: HalfCauchy(1))
    peese: Prior = field(default_factory=lambda: HalfCauchy(5))
    alternative: Literal["greater", "less"] = "greater"
    seed: int = 0
    accuracy: float = 0.03

    def __post_init__(self) -> None:
        check_choice("alternative", self.alternative, ("greater", "less"))
        for name in ("mu", "tau", "pet", "peese"):
            prior = getattr(self, name)
            if prior is not None and not isinstance(prior, Prior):
                raise UsageError(f"{name}={prior!r} is not a prior; write an object such as Normal(0, 1)")
        for name in ("pet", "peese"):
            if getattr(self, name).support[0] < 0.0:
                raise UsageError(f"{name}={getattr(self, name)!r} must be a prior of values above 0")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise UsageError(f"seed={self.seed!r} must be a whole number, so that the run can be repeated")
        if not 1e-4 <= self.accuracy <= 0.2:
            raise UsageError(f"accuracy={self.accuracy!r} must lie between 0.0001 and 0.2")

    def fit(self, es: EffectSizes) -> BiasAverageResult:
        """Compute marginal likelihoods and posteriors of the 36 models.

        Raises
        ------
        ModelError
            An improper prior, or a marginal likelihood that stays less accurate than asked.
        UsageError
            A measure other than SMD without priors.
        """
        mu, tau = self.mu, self.tau
        if (mu is None or tau is None) and es.measure.code != "SMD":
            raise UsageError(
                f"the default priors are for SMD; give mu= and tau= for measure {es.measure.code}"
            )
        mu, tau = mu or Normal(0, 1), tau or InverseGamma(1, 0.15)
        bound = tau.for_variances(es.vi)
        slopes = {"PET": self.pet, "PEESE": self.peese}
        for name, prior in (("mu", mu), ("tau", bound), ("pet", self.pet), ("peese", self.peese)):
            if not prior.proper:
                raise ModelError(f"{name} ~ {prior!r} is improper: models cannot be compared with it")
        if bound.support[0] < 0.0:
            raise UsageError(f"tau ~ {tau!r} must be a prior of values above 0")
        sign = 1.0 if self.alternative == "greater" else -1.0
        rng = np.random.default_rng(self.seed)
        models, points = [], []
        for effect in (False, True):
            for random in (False, True):
                for bias, weight in BIASES:
                    model = BiasModel(
                        y=sign * es.yi,
                        v=es.vi,
                        sign=sign,
                        mu=mu if effect else None,
                        tau=bound if random else None,
                        bias=bias,
                        slope=slopes.get(bias.kind),
                    )
                    models.append((effect, random, bias, weight / 4))
                    points.append(sample_model(model, rng, most=self.accuracy))
        return BiasAverageResult(es, self, mu, tau, tuple(models), tuple(points))


@dataclass(frozen=True, eq=False, repr=False)
class BiasAverageResult:
    """Thirty-six models, their probabilities with errors, and posteriors averaged over them. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : RobustBayesAverage
    mu_prior, tau_prior : Prior
        As they were used, defaults filled in.
    """

    effects: EffectSizes
    model: RobustBayesAverage
    mu_prior: Prior
    tau_prior: Prior
    _models: tuple[tuple[bool, bool, Bias, float], ...] = field(repr=False)
    _points: tuple[Points, ...] = field(repr=False)

    @cached_property
    def _shares(self) -> FloatArray:
        """Posterior probabilities of the models in every repeat, (R, 36)."""
        prior = np.array([m[3] for m in self._models])
        log_z = np.stack([p.log_z_each for p in self._points], axis=1)
        height = np.exp(log_z - log_z.max(axis=1, keepdims=True)) * prior
        return np.asarray(height / height.sum(axis=1, keepdims=True))

    @cached_property
    def probabilities(self) -> FloatArray:
        """Posterior probabilities of the models in the order of :attr:`models`, (36,)."""
        prior = np.array([m[3] for m in self._models])
        log_z = np.array([p.log_z for p in self._points])
        height = np.exp(log_z - log_z.max()) * prior
        share: FloatArray = height / height.sum()
        share.setflags(write=False)
        return share

    @property
    def models(self) -> pd.DataFrame:
        """One row a model: effect, heterogeneity, bias, prior, log_marginal, error (its SE), posterior."""
        import pandas as pd

        return pd.DataFrame(
            {
                "effect": [m[0] for m in self._models],
                "heterogeneity": [m[1] for m in self._models],
                "bias": [m[2].name for m in self._models],
                "prior": [m[3] for m in self._models],
                "log_marginal": [p.log_z for p in self._points],
                "error": [p.error for p in self._points],
                "posterior": self.probabilities,
            }
        )

    def _including(self, part: Part) -> npt.NDArray[np.bool_]:
        check_choice("part", part, ("effect", "heterogeneity", "bias"))
        of = {"effect": 0, "heterogeneity": 1}
        if part == "bias":
            return np.array([m[2].kind != "none" for m in self._models])
        return np.array([m[of[part]] for m in self._models])

    def probability(self, part: Part) -> float:
        """Posterior probability of an effect, of heterogeneity, of bias."""
        return float(self.probabilities[self._including(part)].sum())

    def probability_error(self, part: Part) -> float:
        """Return the standard error of :meth:`probability` by the integration, from the repeats."""
        each = self._shares[:, self._including(part)].sum(axis=1)
        return float(each.std(ddof=1) / math.sqrt(each.size))

    def inclusion_bf(self, part: Part) -> float:
        """Return the inclusion Bayes factor: posterior over prior odds; both prior odds are 1 here."""
        including = self._including(part)
        log_w = np.log([m[3] for m in self._models]) + np.array([p.log_z for p in self._points])
        log_odds = np.logaddexp.reduce(log_w[including]) - np.logaddexp.reduce(log_w[~including])
        return math.exp(min(float(log_odds), 709.0))

    # posteriors ---------------------------------------------------------------------------------------------

    def _mean(self, name: str, which: npt.NDArray[np.bool_] | None = None) -> tuple[float, float]:
        """Posterior mean of a quantity over models, and its standard error."""
        shares = self._shares if which is None else self._shares * which
        shares = shares / shares.sum(axis=1, keepdims=True)
        inner = np.stack([(p.weight * getattr(p, name)).sum(axis=1) for p in self._points], axis=1)
        each = (shares * inner).sum(axis=1)
        return float(each.mean()), float(each.std(ddof=1) / math.sqrt(each.size))

    def _distribution(self, name: str, which: npt.NDArray[np.bool_], *, low: float = -math.inf) -> Draws:
        """Draws from the models of a selection, by systematic resampling of the weighted points."""
        shares = self._shares * which
        shares = shares / shares.sum()
        kept = np.flatnonzero(which)
        values = np.concatenate([getattr(self._points[m], name).ravel() for m in kept])
        weights = np.concatenate([(self._points[m].weight * shares[:, m, None]).ravel() for m in kept])
        order = np.argsort(values, kind="stable")
        edges = np.cumsum(weights[order])
        at = (np.arange(_DRAWS) + 0.5) / _DRAWS * edges[-1]
        return Draws(values[order][np.searchsorted(edges, at)], low=low)

    def mu(self, about: Literal["averaged", "conditional"] = "averaged") -> Distribution:
        """Return the mean effect, averaged over all models (with probability at 0), or given an effect."""
        return self._part("mu", "effect", about, -math.inf)

    def tau(self, about: Literal["averaged", "conditional"] = "averaged") -> Distribution:
        """Return tau, averaged over all models (with probability at 0), or given heterogeneity."""
        return self._part("tau", "heterogeneity", about, 0.0)

    def _part(self, name: str, part: Part, about: str, low: float) -> Distribution:
        check_choice("about", about, ("averaged", "conditional"))
        conditional = self._distribution(name, self._including(part), low=low)
        if about == "conditional":
            return conditional
        return Spiked(min(1.0 - self.probability(part), 1.0 - 1e-16), 0.0, conditional)

    def quantile_error(
        self,
        p: npt.ArrayLike,
        of: Literal["mu", "tau"] = "mu",
        about: Literal["averaged", "conditional"] = "averaged",
    ) -> FloatArray:
        """Return the standard errors of quantiles of :meth:`mu` or :meth:`tau` by the integration.

        The distribution function at each quantile is computed from every repeat on its own; its standard
        error, with half a step of the 20,000 draws added, is carried over to the quantile: the larger
        distance to the quantiles that far below and above. A quantile that stays at 0, where models without
        the part put their probability, has the error 0.

        Parameters
        ----------
        p : array_like of numbers in (0, 1)
        of : {"mu", "tau"}
        about : {"averaged", "conditional"}

        Returns
        -------
        ndarray of the shape of p
        """
        check_choice("of", of, ("mu", "tau"))
        at = np.asarray(p, dtype=np.float64)
        if not bool(np.all((at > 0.0) & (at < 1.0))):
            raise UsageError(f"p={p!r} must lie between 0 and 1")
        d = self.mu(about) if of == "mu" else self.tau(about)
        quantiles = np.atleast_1d(d.quantile(at.ravel()))
        part: Part = "effect" if of == "mu" else "heterogeneity"
        which = self._including(part) if about == "conditional" else np.ones(len(self._models), bool)
        shares = self._shares * which
        shares = shares / shares.sum(axis=1, keepdims=True)
        below = np.zeros((len(shares), quantiles.size))
        for m in np.flatnonzero(which):
            values, weight = getattr(self._points[m], of), self._points[m].weight
            under = [np.where(values <= q, weight, 0.0).sum(axis=1) for q in quantiles]
            below += shares[:, m, None] * np.stack(under, axis=1)
        spread = below.std(axis=0, ddof=1) / math.sqrt(len(below)) + 0.5 / _DRAWS
        low = d.quantile(np.maximum(at.ravel() - spread, 0.5 / _DRAWS))
        high = d.quantile(np.minimum(at.ravel() + spread, 1.0 - 0.5 / _DRAWS))
        return np.asarray(np.maximum(quantiles - low, high - quantiles).reshape(at.shape))

    @property
    def omega(self) -> pd.DataFrame:
        """Relative probability of publication by interval of one-sided p: mean over all models, its error."""
        import pandas as pd

        inner = np.stack([np.einsum("rs,rsj->rj", p.weight, p.omega) for p in self._points], axis=1)
        each = np.einsum("rm,rmj->rj", self._shares, inner)
        ends = (0.0, *INTERVALS, 1.0)
        return pd.DataFrame(
            {"mean": each.mean(axis=0), "error": each.std(axis=0, ddof=1) / math.sqrt(len(each))},
            index=[f"p {a:g} to {b:g}" for a, b in pairwise(ends)],
        )

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, median, low, high of mu and tau over all models, with the errors of integration.

        Columns ``error``, ``median_error``, ``low_error`` and ``high_error`` are standard errors, those of
        quantiles as in :meth:`quantile_error`.
        """
        import pandas as pd

        tail = 0.5 * (1.0 - check_level(level))
        rows: dict[str, dict[str, float]] = {}
        about: dict[Literal["mu", "tau"], Distribution] = {"mu": self.mu(), "tau": self.tau()}
        for name, d in about.items():
            mean, error = self._mean(name)
            low, high = d.ci(level)
            errors = self.quantile_error([0.5, tail, 1.0 - tail], name)
            values = {"mean": mean, "error": error, "median": d.median, "low": low, "high": high}
            names = ("median_error", "low_error", "high_error")
            rows[name] = values | dict(zip(names, errors.tolist(), strict=True))
        for slope in ("pet", "peese"):
            mean, error = self._mean(slope)
            rows[slope] = {"mean": mean, "error": error}
        return pd.DataFrame.from_dict(rows, orient="index")

    # words --------------------------------------------------------------------------------------------------

    @property
    def methods(self) -> str:
        """What was done, in sentences for a methods section."""
        m = self.model
        favoured = "high" if m.alternative == "greater" else "low"
        return (
            "Thirty-six models (an effect or none, heterogeneity or none, no bias, six weight functions, PET "
            "or PEESE) were averaged as in RoBMA-PSMA (Bartoš et al. 2023); "
            f"priors: mu ~ {self.mu_prior!r}, tau ~ {self.tau_prior!r}, PET ~ {m.pet!r}, PEESE ~ "
            f"{m.peese!r}, weights cumulative Dirichlet with parameters 1; effect, heterogeneity and bias "
            f"have prior probability 1/2 each; selection favours {favoured} values. Marginal "
            "likelihoods were computed by importance sampling with Sobol points (seed "
            f"{m.seed}); their standard errors are at most {max(p.error for p in self._points):.2g}."
        )

    def __repr__(self) -> str:
        mean, error = self._mean("mu")
        told = ", ".join(
            f"P({part}) {self.probability(part):.3f} ± {self.probability_error(part):.3f}"
            for part in ("effect", "heterogeneity", "bias")
        )
        return f"BiasAverageResult(k={self.effects.k}: {told}; averaged effect {mean:.4f} ± {error:.4f})"

    def _repr_html_(self) -> str:
        table = self.models.to_html(float_format=lambda x: f"{x:.4f}", border=0)
        return f"<p>{html.escape(self.methods)}</p>{table}"
