"""The Bayesian random-effects model, exactly: no chains, no Monte Carlo error."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, check_choice, check_level
from mtmeta.models import bayes_quantities as quantities
from mtmeta.models.bayes_conditional import Rows, given, log_likelihood, point
from mtmeta.models.bayes_engine import TauPosterior, integrate
from mtmeta.models.bayes_words import default_priors, methods_text, prior_text
from mtmeta.models.posterior import CiKind, Distribution, central_intervals
from mtmeta.models.posterior_tau import Mapped, TauDistribution, i2_distribution
from mtmeta.models.priors import Flat
from mtmeta.models.priors_base import FloatArray, Prior

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BayesRandomEffects", "BayesResult"]


@dataclass(frozen=True)
class BayesRandomEffects:
    r"""Normal-normal hierarchical model with priors of the mean effect and of heterogeneity.

    Parameters
    ----------
    mu : Prior, optional
        Normal, StudentT, Cauchy, Uniform or Flat, each also truncated. By default Normal(0, 2) for
        standardised mean differences and Normal(0, 4) for log ratios; other measures need one.
    tau : Prior, optional
        Any prior of a value above 0, of tau unless it says ``on="tau2"``. By default HalfNormal(0.5) for
        these measures.

    Notes
    -----
    :math:`y_i\sim N(\theta_i, v_i)`, :math:`\theta_i\sim N(\mu, \tau^2)`. Given tau all posteriors are
    normal; tau is integrated out by adaptive Gauss-Legendre quadrature on a transformed axis until the
    error is below 1e-12 of the whole, or a ModelError says that it cannot be. A t prior of the mean is
    a scale mixture of normals, integrated along. bayesmeta uses a grid in tau whose error is up to 5e-4 in
    its printed examples.

    Flat priors are allowed where the posterior is proper. The model takes effects as independent.

    References
    ----------
    Röver, C. (2020). Bayesian random-effects meta-analysis using the bayesmeta R package. J Stat Softw
    93(6), 1-51.
    Röver, C. et al. (2021). On weakly informative prior distributions for the heterogeneity parameter in
    Bayesian random-effects meta-analysis. Res Synth Methods 12, 448-474.

    Examples
    --------
    Crins et al. (2014), log odds ratios of acute rejection (Röver 2020, section 3): the paper prints the
    mean -1.576 and the median of tau 0.345.

    >>> from mtmeta.models.priors import HalfNormal, Normal
    >>> y = [-2.3097026, -0.4595323, -2.3025851, -1.7578579, -1.2584610, -2.4178959]
    >>> se = [0.5994763, 0.5563956, 0.8803408, 0.4558685, 0.6419962, 1.5288107]
    >>> es = EffectSizes.of(y, np.square(se), "OR", study=["Heffron", "Gibelli", "Schuller",
    ...                                                    "Ganschow", "Spada", "Gras"])
    >>> pst = BayesRandomEffects(mu=Normal(0, 4), tau=HalfNormal(0.5)).fit(es)
    >>> round(pst.mu.mean, 3), round(pst.tau.median, 3)
    (-1.576, 0.345)
    >>> pst.mu.ci(0.95, kind="shortest")
    Interval(low=-2.2307..., high=-0.9266...)
    >>> print(pst.shrinkage.round(2).iloc[:2].to_string(index=False))
      study  mean   sd   low  high
    Heffron -1.78 0.42 -2.71 -1.04
    Gibelli -1.23 0.45 -1.99 -0.24
    """

    mu: Prior | None = None
    tau: Prior | None = None

    def __post_init__(self) -> None:
        for name in ("mu", "tau"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Prior):
                raise UsageError(
                    f"{name}={value!r} is not a prior; write an object such as Normal(0, 2), HalfNormal(0.5)"
                )

    def fit(self, es: EffectSizes) -> BayesResult:
        """Compute the posterior.

        Raises
        ------
        ModelError
            A posterior that is not proper (the message says how many studies it takes), or an integral
            that cannot be vouched for.
        UsageError
            A prior that does not suit its parameter, or a measure without default priors.
        """
        mu, tau = self.mu, self.tau
        if mu is None or tau is None:
            defaults = default_priors(es.measure)
            mu, tau = mu or defaults[0], tau or defaults[1]
        rows = Rows.of(es.yi, es.vi)
        post = integrate(rows, mu, tau.for_variances(es.vi))
        return BayesResult(es, self, mu, tau, post)


@cache
def _index(*names: str) -> pd.Index:
    """Return an index of these names; made once, for pandas takes longer over it than over the numbers."""
    import pandas as pd

    return pd.Index(names)


@dataclass(frozen=True, eq=False, repr=False)
class BayesResult:
    """The posterior of a Bayesian random-effects model. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : BayesRandomEffects
        As it was asked for.
    mu_prior, tau_prior : Prior
        As they were used, defaults filled in.

    Notes
    -----
    The members ``estimate`` to ``weights`` give this result the face of a pooled one, for figures and
    tables: the estimate is the posterior median, its error the posterior standard deviation, and there is
    no test.
    """

    effects: EffectSizes
    model: BayesRandomEffects
    mu_prior: Prior
    tau_prior: Prior
    _post: TauPosterior = field(repr=False)

    def __getstate__(self) -> dict[str, object]:
        """Pickle what was computed by :meth:`fit`; distributions are made again from it when asked for."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    # distributions ------------------------------------------------------------------------------------------

    @cached_property
    def mu(self) -> Distribution:
        """Mean effect."""
        return quantities.mean_effect(self._post)

    @cached_property
    def tau(self) -> TauDistribution:
        """Between-study standard deviation."""
        return TauDistribution(self._post)

    @cached_property
    def new_study(self) -> Distribution:
        """True effect of a new study."""
        return quantities.new_study(self._post)

    @cached_property
    def i2_posterior(self) -> Mapped:
        """I squared in percent, from tau and the typical sampling variance.

        Raises
        ------
        ModelError
            One study.
        """
        return i2_distribution(self.tau, self._post.rows.v)

    def theta(self, study: str | int) -> Distribution:
        """Return the distribution of one study's true effect.

        Parameters
        ----------
        study : str or int
            Its label, or its row from 0 where a label stands more than once.

        Raises
        ------
        UsageError
            No such study, or several.
        """
        if isinstance(study, str):
            rows = [i for i, name in enumerate(self.effects.study) if name == study]
            if len(rows) != 1:
                what = f"stands in rows {rows}" if rows else "is not among the studies"
                raise UsageError(f"study={study!r} {what}; give the number of its row, from 0")
            return quantities.study_effect(self._post, rows[0])
        if isinstance(study, bool) or not 0 <= study < self.k:
            raise UsageError(f"study={study!r} must be a label or a row from 0 to {self.k - 1}")
        return quantities.study_effect(self._post, int(study))

    def shrinkage_at(self, level: float = 0.95) -> pd.DataFrame:
        """Return the posterior of every study's effect: study, mean, sd, low, high (equal tails)."""
        import pandas as pd

        table = quantities.shrinkage_table(self._post, check_level(level))
        values = np.stack([np.zeros(self.k), *table.values()], axis=1)
        frame = pd.DataFrame(values, columns=_index("study", *table))
        frame.isetitem(0, list(self.effects.study))
        return frame

    @property
    def shrinkage(self) -> pd.DataFrame:
        """Posterior of every study's effect with 95% intervals; see :meth:`shrinkage_at`."""
        return self._shrinkage.copy()

    @cached_property
    def _shrinkage(self) -> pd.DataFrame:
        return self.shrinkage_at(0.95)

    # evidence -----------------------------------------------------------------------------------------------

    @property
    def log_marginal(self) -> float:
        """Logarithm of the marginal likelihood.

        Raises
        ------
        ModelError
            With an improper prior there is none.
        """
        for name, prior in (("mu", self.mu_prior), ("tau", self.tau_prior)):
            if not prior.proper:
                raise ModelError(
                    f"with {name} ~ {prior!r}, an improper prior, there is no marginal likelihood; give "
                    f"{name} a proper prior"
                )
        return self._post.log_integral

    def bayes_factor(self, *, mu: float | None = None, tau: float | None = None) -> float:
        """Return the Bayes factor in favour of a fixed mean, a fixed tau, or both, against this model.

        Parameters
        ----------
        mu, tau : float, optional
            The value under the hypothesis, such as ``mu=0``; at least one.

        Returns
        -------
        float
            Marginal likelihood under the hypothesis over that of this model; below 1 speaks against the
            hypothesis.

        Raises
        ------
        ModelError
            The prior of a fixed parameter is improper.

        Examples
        --------
        Röver (2020), section 3.4: Bayes factors of tau = 0 and mu = 0 for Crins et al.: 0.8832, 0.0037708.

        >>> from mtmeta.models.priors import HalfNormal, Normal
        >>> y = [-2.3097026, -0.4595323, -2.3025851, -1.7578579, -1.2584610, -2.4178959]
        >>> se = [0.5994763, 0.5563956, 0.8803408, 0.4558685, 0.6419962, 1.5288107]
        >>> pst = BayesRandomEffects(Normal(0, 4), HalfNormal(0.5)).fit(EffectSizes.of(y, np.square(se)))
        >>> round(pst.bayes_factor(tau=0), 4), round(pst.bayes_factor(mu=0), 5)
        (0.8832, 0.00377)
        """
        return math.exp(min(self.log_bayes_factor(mu=mu, tau=tau), 709.0))

    def log_bayes_factor(self, *, mu: float | None = None, tau: float | None = None) -> float:
        """Return the natural logarithm of :meth:`bayes_factor`."""
        if mu is None and tau is None:
            raise UsageError("say which hypothesis: mu=0, tau=0, or both")
        post, rows = self._post, self._post.rows
        for name, value, prior in (("mu", mu, self.mu_prior), ("tau", tau, self.tau_prior)):
            if value is not None and not math.isfinite(value):
                raise UsageError(f"{name}={value!r} must be a number")
            if value is not None and not prior.proper:
                raise ModelError(
                    f"no Bayes factor of {name}: with the improper prior {prior!r} it would be arbitrary"
                )
        if tau is not None and tau < 0:
            raise UsageError(f"tau={tau!r} must not be below 0")
        if mu is not None and tau is not None:
            fixed = log_likelihood(rows, np.array([mu - rows.shift]), np.array([tau]))
            return float(fixed[0]) - post.log_integral
        if mu is not None:
            known = integrate(rows, point(mu, rows.shift), post.prior, like=post)
            return known.log_integral - post.log_integral
        return float(given(rows, post.mean, np.array([tau])).log_likelihood[0]) - post.log_integral

    def prob_beyond(self, threshold: float, of: Literal["mu", "new_study"] = "mu") -> float:
        """Probability of an effect beyond a threshold, on its side of zero.

        Parameters
        ----------
        threshold : float
            On the scale of analysis, such as a smallest important difference of -0.24: below 0 it is the
            probability of a smaller value, otherwise of a larger one.
        of : {"mu", "new_study"}
        """
        check_choice("of", of, ("mu", "new_study"))
        about = self.mu if of == "mu" else self.new_study
        return about.prob(high=threshold) if threshold < 0 else about.prob(low=threshold)

    def predictive_pvalue(self) -> float:
        r"""Posterior predictive p-value of the model as a whole.

        Probability that a repetition of the studies would lie further from the model than these do, by
        :math:`\sum (y_i - \mu)^2/(v_i + \tau^2)` (Gelman, Meng and Stern 1996, Stat Sinica 6, p. 733).
        Values near 0 say that effects scatter more than the model with its prior can explain.
        """
        return quantities.discrepancy_pvalue(self._post)

    @property
    def modes(self) -> pd.DataFrame:
        """Maxima of likelihood and posterior: index "ML joint" … "MAP marginal", columns tau, mu.

        "joint" maximises over both at once, "marginal" one with the other integrated out (for the
        likelihood over its prior, as bayesmeta does; NaN where that integral does not exist).
        """
        import pandas as pd

        joint = {name: (tau, mu) for name, tau, mu in quantities.modes(self._post, self.mu_prior)}
        rows = {
            "ML joint": joint["ML"],
            "ML marginal": self._marginal_ml(),
            "MAP joint": joint["MAP"],
            "MAP marginal": (self.tau.mode, self.mu.mode),
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["tau", "mu"])

    def _marginal_ml(self) -> tuple[float, float]:
        post = self._post
        tau = quantities.marginal_ml_tau(post)
        try:
            flat = integrate(post.rows, Flat(), post.prior)
        except ModelError:  # one or two studies and an improper prior of tau
            return tau, math.nan
        return tau, quantities.mean_effect(flat).mode

    # the face of a pooled result ----------------------------------------------------------------------------

    @property
    def k(self) -> int:
        """Number of effects."""
        return self.effects.k

    @property
    def estimate(self) -> float:
        """Posterior median of the mean effect."""
        return self.mu.median

    @property
    def se(self) -> float:
        """Posterior standard deviation of the mean effect."""
        return self.mu.sd

    @property
    def df(self) -> float:
        """Infinite: nothing here is a t statistic."""
        return math.inf

    @property
    def statistic(self) -> float:
        """NaN: there is no test; see :meth:`bayes_factor` and ``mu.prob``."""
        return math.nan

    @property
    def pvalue(self) -> float:
        """NaN: there is no test; see :meth:`bayes_factor` and ``mu.prob``."""
        return math.nan

    @property
    def tau2(self) -> float:
        """Square of the posterior median of tau, which is the posterior median of tau squared."""
        return self.tau.median**2

    @property
    def i2(self) -> float:
        """Posterior median of I squared in percent; 0 for one study."""
        return self.i2_posterior.median if self.k > 1 else 0.0

    @property
    def h2(self) -> float:
        """``1/(1 - I squared)`` at the posterior median."""
        return 1.0 / (1.0 - self.i2 / 100.0)

    @property
    def q(self) -> float:
        """Cochran's Q."""
        w, d = 1.0 / self._post.rows.v, self._post.rows.d
        return float(np.dot(w, np.square(d - np.dot(w, d) / w.sum())))

    @property
    def q_df(self) -> int:
        """Degrees of freedom of Q, k - 1."""
        return self.k - 1

    @property
    def q_pvalue(self) -> float:
        """p-value of Q; 1 for one study."""
        return float(special.chdtrc(self.q_df, self.q)) if self.q_df else 1.0

    @property
    def weights(self) -> FloatArray:
        """Posterior mean of each study's weight in the mean effect, (k,), scaled to sum to 1."""
        w = quantities.study_weights(self._post)
        share: FloatArray = w / w.sum()
        share.setflags(write=False)
        return share

    @property
    def prior_weight(self) -> float:
        """Posterior mean of the weight that the prior has in the mean effect; 0 for a flat prior."""
        return max(0.0, 1.0 - float(quantities.study_weights(self._post).sum()))

    @property
    def ci_method(self) -> str:
        """The kind of interval that :meth:`ci` gives."""
        return "credible"

    def ci(self, level: float = 0.95, kind: CiKind = "central") -> Interval:
        """Return the credible interval of the mean effect."""
        return self.mu.ci(level, kind)

    def pi(self, level: float = 0.95, kind: CiKind = "central") -> Interval:
        """Return the prediction interval: where the true effect of a new study lies."""
        return self.new_study.ci(level, kind)

    def tau2_ci(self, level: float = 0.95, kind: CiKind = "central") -> Interval:
        """Return the credible interval of tau, squared."""
        low, high = self.tau.ci(level, kind)
        return Interval(low**2, high**2)

    # words --------------------------------------------------------------------------------------------------

    @property
    def priors(self) -> str:
        """The priors with their sources, one a line."""
        bound = self._post.prior
        return "\n".join(
            [prior_text("mu", self.mu_prior, self.mu_prior), prior_text("tau", self.tau_prior, bound)]
        )

    @property
    def methods(self) -> str:
        """What was done, in sentences for a methods section."""
        mu, tau = self.priors.split("\n")
        return methods_text(mu, tau)

    def to_frame(self, level: float = 0.95, kind: CiKind = "central") -> pd.DataFrame:
        """Return mean, sd, median, mode, low, high of mu, tau and new_study, one a row."""
        import pandas as pd

        names = ("mu", "tau", "new_study")
        about: list[Distribution] = [self.mu, self.tau, self.new_study]
        intervals = (
            central_intervals(about, level) if kind == "central" else [d.ci(level, kind) for d in about]
        )
        rows = [[d.mean, d.sd, d.median, d.mode, *ends] for d, ends in zip(about, intervals, strict=True)]
        columns = _index("mean", "sd", "median", "mode", "low", "high")
        return pd.DataFrame(np.array(rows), index=_index(*names), columns=columns)

    def __repr__(self) -> str:
        low, high = self.ci(0.95)
        return (
            f"BayesResult({self.effects.measure.code}, k={self.k}: {self.estimate:.4f} "
            f"[{low:.4f}, {high:.4f}], tau {self.tau.median:.4f}; "
            f"mu ~ {self.mu_prior!r}, tau ~ {self.tau_prior!r})"
        )

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(float_format=lambda x: f"{x:.4f}", border=0)
        return f"<p>{html.escape(self.priors).replace(chr(10), '<br>')}</p>{table}"
