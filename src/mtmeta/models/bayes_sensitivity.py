"""What the choice of priors does: a grid of priors at once, and conflict between prior and data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_level
from mtmeta.models.bayes import BayesRandomEffects, BayesResult
from mtmeta.models.bayes_conditional import Rows, mean_prior
from mtmeta.models.bayes_tau import check_tau_prior
from mtmeta.models.posterior_panels import resolve
from mtmeta.models.priors_base import FloatArray, Prior
from mtmeta.models.quadform import q_distribution, q_statistic

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Conflict", "prior_data_conflict", "prior_sensitivity"]


def prior_sensitivity(
    es: EffectSizes, *, mu: Prior | Sequence[Prior], tau: Prior | Sequence[Prior], level: float = 0.95
) -> pd.DataFrame:
    """Fit the random-effects model with every combination of priors.

    Parameters
    ----------
    es : EffectSizes
    mu, tau : Prior or sequence of Prior
        A sequence of scales, such as ``[HalfNormal(s) for s in (0.1, 0.25, 0.5, 1)]``, gives the data of a
        robustness plot.
    level : float

    Returns
    -------
    DataFrame
        One row a combination: mu_prior, tau_prior, estimate (median of the mean), low, high, pi_low,
        pi_high (a new study), tau, tau_low, tau_high, prob_positive (that the mean is above 0),
        log_marginal, bf_effect (Bayes factor for an effect, against mean 0), bf_heterogeneity (against
        tau 0); the last three are NaN where an improper prior leaves them undefined.

    Raises
    ------
    ModelError
        A combination without a proper posterior.

    Examples
    --------
    Crins et al. (2014): Röver (2020), section 3.4, prints Bayes factors 0.8832 and 0.0037708 of the null
    hypotheses, which are 1.1323 and 265.2 against them.

    >>> from mtmeta.models.priors import HalfCauchy, HalfNormal, Normal
    >>> y = [-2.3097026, -0.4595323, -2.3025851, -1.7578579, -1.2584610, -2.4178959]
    >>> se = [0.5994763, 0.5563956, 0.8803408, 0.4558685, 0.6419962, 1.5288107]
    >>> es = EffectSizes.of(y, np.square(se), "OR")
    >>> table = prior_sensitivity(es, mu=Normal(0, 4), tau=[HalfNormal(0.5), HalfCauchy(0.5)])
    >>> table.loc[0, ["bf_heterogeneity", "bf_effect"]].astype(float).round(4).tolist()
    [1.1323, 265.1944]
    """
    import pandas as pd

    check_level(level)
    mus, taus = ([p] if isinstance(p, Prior) else list(p) for p in (mu, tau))
    if not mus or not taus:
        raise UsageError("prior_sensitivity needs at least one prior of mu and one of tau")
    rows = [_row(BayesRandomEffects(m, t).fit(es), level) for m in mus for t in taus]
    return pd.DataFrame(rows)


def _row(fit: BayesResult, level: float) -> dict[str, object]:
    (low, high), (pi_low, pi_high), (tau_low, tau_high) = (
        d.ci(level) for d in (fit.mu, fit.new_study, fit.tau)
    )
    mu_proper, tau_proper = fit.mu_prior.proper, fit.tau_prior.proper
    return {
        "mu_prior": repr(fit.mu_prior),
        "tau_prior": repr(fit.tau_prior),
        "estimate": fit.mu.median,
        "low": low,
        "high": high,
        "pi_low": pi_low,
        "pi_high": pi_high,
        "tau": fit.tau.median,
        "tau_low": tau_low,
        "tau_high": tau_high,
        "prob_positive": fit.mu.prob(low=0.0),
        "log_marginal": fit.log_marginal if mu_proper and tau_proper else math.nan,
        "bf_effect": 1.0 / fit.bayes_factor(mu=0.0) if mu_proper else math.nan,
        "bf_heterogeneity": 1.0 / fit.bayes_factor(tau=0.0) if tau_proper else math.nan,
    }


@dataclass(frozen=True)
class Conflict:
    """How surprising the data are under the priors: prior predictive probabilities (Box 1980).

    Attributes
    ----------
    mean : float
        Two-sided probability of a common-effect mean at least as far from its prior predictive median.
        NaN for an improper prior of the mean.
    more_heterogeneity, less_heterogeneity : float
        Probability of a Q at least as large, and at most as large, as the observed one. NaN for one study.
    """

    mean: float
    more_heterogeneity: float
    less_heterogeneity: float

    @property
    def found(self) -> bool:
        """Whether one of them is below 0.05 (0.025 for each side of Q)."""
        return self.mean < 0.05 or min(self.more_heterogeneity, self.less_heterogeneity) < 0.025


def prior_data_conflict(es: EffectSizes, *, mu: Prior, tau: Prior) -> Conflict:
    r"""Check whether the data contradict the priors.

    Parameters
    ----------
    es : EffectSizes
    mu, tau : Prior
        The prior of tau must be proper; with a flat one of the mean only Q is checked.

    Returns
    -------
    Conflict

    Raises
    ------
    ModelError
        An improper prior of tau.

    Notes
    -----
    Given tau, the mean with weights 1/v is normal around the prior's mean and Q is a weighted sum of
    chi-squared variables; both are averaged over the prior of tau by quadrature. Box, G. E. P. (1980).
    J R Stat Soc A 143, 383-430.

    Examples
    --------
    Five studies that scatter widely, against a prior that expects no heterogeneity.

    >>> from mtmeta.models.priors import HalfNormal, Normal
    >>> es = EffectSizes.of([-1.0, -0.5, 0.0, 0.6, 1.2], [0.02] * 5)
    >>> prior_data_conflict(es, mu=Normal(0, 2), tau=HalfNormal(0.05)).found
    True
    >>> prior_data_conflict(es, mu=Normal(0, 2), tau=HalfNormal(0.5)).found
    False
    """
    bound = tau.for_variances(es.vi)
    check_tau_prior(bound)
    if not bound.proper:
        raise ModelError(f"tau ~ {tau!r} is improper: it predicts nothing that data could contradict")
    rows = Rows.of(es.yi, es.vi)
    t, weight = _prior_nodes(bound, rows)
    w = 1.0 / rows.v
    mean_p = math.nan
    if mu.proper:
        prior = mean_prior(mu, rows)
        if prior.bounded:
            raise UsageError(f"mu ~ {mu!r}: conflict is checked for priors of the mean without bounds")
        centre = float(np.dot(w, rows.d) / w.sum())
        spread2 = (np.square(w) @ (rows.v[:, None] + np.square(t))) / w.sum() ** 2
        share = np.exp(prior.log_weight)
        sd = np.sqrt(spread2[:, None] + prior.variance)
        below = float(weight @ (special.ndtr((centre - prior.loc) / sd) @ (share / share.sum())))
        mean_p = 2.0 * min(below, 1.0 - below)
    if rows.k < 2:
        return Conflict(mean_p, math.nan, math.nan)
    q = q_statistic(es.yi, w)
    less = float(weight @ q_distribution(q, np.square(t), vi=rows.v, weights=w))
    return Conflict(mean_p, 1.0 - less, less)


def _prior_nodes(prior: Prior, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Nodes of tau with prior probabilities; beyond 1e6 times the data's scale nothing changes any more."""
    scale = math.sqrt(float(rows.v.max())) + float(np.ptp(rows.d))
    floor, ceiling = 1e-6 * math.sqrt(float(rows.v.min())), 1e6 * scale
    low, high = max(prior.support[0], floor), min(prior.support[1], ceiling)
    t, weight = [floor, high], [float(prior.cdf(low)), float(prior.sf(high))]
    if low < high and weight[0] < 1.0 - 1e-12:
        marks = np.log(np.clip(prior.landmarks(), low, high))
        edges = np.unique(np.concatenate([np.linspace(math.log(low), math.log(high), 60), marks]))
        edges = edges[np.concatenate([[True], np.diff(edges) > 1e-12])]
        panels = resolve(prior.log_density_of_log, edges, what="the prior of tau")
        t = [*t, *np.exp(panels.nodes.ravel())]
        weight = [*weight, *(panels.weights.ravel() * (1.0 - weight[0] - weight[1]))]
    kept = np.array(weight) > 1e-14
    return np.array(t)[kept], np.array(weight)[kept] / np.array(weight)[kept].sum()
