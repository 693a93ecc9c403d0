"""Bayesian meta-regression, exactly: given tau the coefficients are normal, and tau is integrated out."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_level
from mtmeta.models.bayes_tau import Axis, TauIntegral, check_tau_prior, integrate_tau, require_proper
from mtmeta.models.bayes_words import default_priors, prior_text
from mtmeta.models.formula import Design, design_of
from mtmeta.models.posterior import NormalMixture
from mtmeta.models.posterior_tau import TauDistribution
from mtmeta.models.priors import Flat, Normal
from mtmeta.models.priors_base import FloatArray, Prior

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BayesMetaRegression", "BayesRegressionResult"]

_LOG_2PI = math.log(2.0 * math.pi)
_CONDITION = 1e12  # of the scaled information, beyond which its inverse keeps too few digits


@dataclass(frozen=True)
class BayesMetaRegression:
    r"""Normal-normal model with moderators: :math:`\theta_i\sim N(x_i'\beta, \tau^2)`.

    Parameters
    ----------
    formula : str
        As for :class:`~mtmeta.models.regression.MetaRegression`, such as "dose + C(design)".
    slopes : Prior or mapping of str to Prior, optional
        Normal or Flat, for all coefficients but the intercept, or by name of the design's column. Flat by
        default: the unit of a moderator is its own.
    intercept : Prior, optional
        Normal or Flat; by default the measure's prior of the mean.
    tau : Prior, optional
        As for :class:`~mtmeta.models.bayes.BayesRandomEffects`.

    Notes
    -----
    Accurate for a few moderators; the information matrix is refused where its condition number leaves too
    few digits. bayesmeta calls this model ``bmr`` (Röver and Friede 2023, Comput Methods Programs Biomed
    229, 107303).

    Examples
    --------
    BCG vaccine, log relative risk by absolute latitude: metafor's REML gives -0.0291 (0.0072); flat priors
    of the coefficients come close, with a little more uncertainty.

    >>> import pandas as pd
    >>> from mtmeta.models.priors import HalfNormal
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> ablat = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]
    >>> es = EffectSizes.of(y, v, "RR", moderators=pd.DataFrame({"ablat": ablat}))
    >>> fit = BayesMetaRegression("ablat", intercept=Flat(), tau=HalfNormal(0.5)).fit(es)
    >>> fit.coef.loc["ablat", ["mean", "sd"]].round(3).tolist()
    [-0.029, 0.008]
    """

    formula: str
    slopes: Prior | Mapping[str, Prior] | None = None
    intercept: Prior | None = None
    tau: Prior | None = None

    def fit(self, es: EffectSizes) -> BayesRegressionResult:
        """Compute the posterior.

        Raises
        ------
        ModelError
            A posterior that is not proper, an information matrix without enough digits, or an integral that
            cannot be vouched for.
        UsageError
            A formula that is not allowed, an unknown coefficient, a prior that is neither Normal nor Flat.
        """
        design = design_of(self.formula, es.moderators, es.study)
        priors = self._priors(design, es)
        tau = self.tau or default_priors(es.measure)[1]
        bound = tau.for_variances(es.vi)
        check_tau_prior(bound)
        model = _Given.of(es, design.matrix, priors)
        lost = sum(not p.proper for p in priors)
        require_proper(bound, es.k, lost, f"{lost} flat coefficients")
        post = integrate_tau(bound, model.log_likelihood, model.axis(lost))
        return BayesRegressionResult(es, self, design, priors, tau, model, post)

    def _priors(self, design: Design, es: EffectSizes) -> tuple[Prior, ...]:
        slopes = self.slopes if self.slopes is not None else Flat()
        constant = design.terms.get("Intercept", ())
        if isinstance(slopes, Mapping) and (unknown := set(slopes) - set(design.names)):
            raise UsageError(
                f"slopes: {sorted(unknown)} are not among the columns {', '.join(map(repr, design.names))}"
            )
        out: list[Prior] = []
        for j, name in enumerate(design.names):
            if j in constant:
                prior = self.intercept or default_priors(es.measure)[0]
            else:
                prior = slopes.get(name, Flat()) if isinstance(slopes, Mapping) else slopes
            if not isinstance(prior, (Normal, Flat)) or prior.on != "tau":
                raise UsageError(
                    f"{name} ~ {prior!r}: coefficients take Normal or Flat priors, for which all is exact"
                )
            out.append(prior)
        return tuple(out)


@dataclass(frozen=True, eq=False)
class _Given:
    """The model given tau, with effects shifted by the most precise one where there is an intercept."""

    y: FloatArray
    v: FloatArray
    x: FloatArray
    centre: FloatArray  # prior means, (p,)
    weight: FloatArray  # prior precisions, 0 for flat, (p,)

    @classmethod
    def of(cls, es: EffectSizes, matrix: FloatArray, priors: tuple[Prior, ...]) -> _Given:
        centre = np.array([p.mean if isinstance(p, Normal) else 0.0 for p in priors])
        weight = np.array([1.0 / p.sd**2 if isinstance(p, Normal) else 0.0 for p in priors])
        return cls(es.yi, es.vi, matrix, centre, weight)

    def at(self, tau: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log likelihood (T,), mean (T, p) and covariance (T, p, p) of the coefficients at each tau."""
        total = self.v + np.square(tau)[:, None]
        w = 1.0 / total
        information = np.einsum("tk,ki,kj->tij", w, self.x, self.x) + np.diag(self.weight)
        scale = 1.0 / np.sqrt(np.einsum("tii->ti", information))
        scaled = information * scale[:, :, None] * scale[:, None, :]
        if float(np.linalg.cond(scaled).max()) > _CONDITION:
            raise ModelError(
                "the moderators are too nearly collinear for the precision of the studies; centre or drop one"
            )
        covariance = np.linalg.inv(scaled) * scale[:, :, None] * scale[:, None, :]
        right = (w * self.y) @ self.x + self.weight * self.centre
        beta = np.einsum("tij,tj->ti", covariance, right)
        # one step of refinement: what the first solution misses, solved for again
        miss = (w * (self.y - beta @ self.x.T)) @ self.x + self.weight * (self.centre - beta)
        beta = beta + np.einsum("tij,tj->ti", covariance, miss)
        q = (w * np.square(self.y - beta @ self.x.T)).sum(axis=1)
        q = q + np.square(beta - self.centre) @ self.weight
        proper = self.weight > 0.0
        log_det = np.linalg.slogdet(scaled)[1] - 2.0 * np.log(scale).sum(axis=1)
        log_l = -0.5 * (np.log(total).sum(axis=1) + q + log_det)
        log_l += 0.5 * float(np.log(self.weight[proper]).sum())
        log_l += 0.5 * _LOG_2PI * (np.count_nonzero(~proper) - self.y.size)
        return log_l, beta, covariance

    def log_likelihood(self, tau: FloatArray) -> FloatArray:
        """Log likelihood at each tau, (T,)."""
        return self.at(tau)[0]

    def axis(self, lost: int) -> Axis:
        """Return what the data say of the axis of tau."""
        zero = np.zeros(1)
        beta = self.at(zero)[1][0]
        q = float((np.square(self.y - self.x @ beta) / self.v).sum())
        q += float(np.square(beta - self.centre) @ self.weight)
        return Axis(
            scale=math.sqrt(float(np.median(self.v))),
            flat_below=0.5 * math.log(1e-17 * float(self.v.min()) / (self.y.size + q + 1.0)),
            fall=float(self.y.size - lost),
            marks=np.sqrt(np.sort(self.v)[[0, self.v.size // 2, -1]]),
        )


@dataclass(frozen=True, eq=False, repr=False)
class BayesRegressionResult:
    """The posterior of a Bayesian meta-regression. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : BayesMetaRegression
    design : Design
    coefficient_priors : tuple of Prior
        By column of the design.
    tau_prior : Prior
    """

    effects: EffectSizes
    model: BayesMetaRegression
    design: Design
    coefficient_priors: tuple[Prior, ...]
    tau_prior: Prior
    _given: _Given = field(repr=False)
    _post: TauIntegral = field(repr=False)

    def __getstate__(self) -> dict[str, object]:
        """Pickle what was computed by :meth:`fit`; distributions are made again from it when asked for."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def k(self) -> int:
        """Number of effects."""
        return self.effects.k

    @cached_property
    def tau(self) -> TauDistribution:
        """Between-study standard deviation that the moderators leave."""
        return TauDistribution(self._post)

    @cached_property
    def _nodes(self) -> tuple[FloatArray, FloatArray]:
        return self._given.at(self._post.tau)[1:]

    def _combination(self, row: FloatArray, *, new: bool = False) -> NormalMixture:
        """Distribution of ``row @ coefficients``, or of a new study's effect there."""
        beta, covariance = self._nodes
        centre = beta @ row
        spread = np.einsum("i,tij,j->t", row, covariance, row)
        w, tau = self._post.weight, self._post.tau
        mean = float(w @ centre)
        extra = np.square(tau) if new else 0.0
        flat = any(not p.proper for p in self.coefficient_priors)
        if not (flat or new):
            moments = None
        else:
            moments = (
                mean if self._post.tail.has_moment(1.0) else math.nan,
                self._far_sd(row, mean, new=new) if self._post.tail.has_moment(2.0) else math.inf,
            )
        return NormalMixture(w, centre, np.sqrt(spread + extra), moments=moments)

    def _far_sd(self, row: FloatArray, mean: float, *, new: bool) -> float:
        def variance(log_tau: FloatArray) -> FloatArray:
            tau = np.exp(log_tau)
            _, beta, covariance = self._given.at(tau)
            own = np.einsum("i,tij,j->t", row, covariance, row) + np.square(beta @ row - mean)
            return np.asarray(own + np.square(tau) if new else own)

        if self._post.light:
            return math.sqrt(float(self._post.every_weight @ variance(self._post.every_log_tau)))
        return math.sqrt(self._post.expect(lambda log_tau: np.log(variance(log_tau))))

    def coefficient(self, name: str) -> NormalMixture:
        """Return the posterior of one coefficient.

        Raises
        ------
        UsageError
            No such column of the design.
        """
        if name not in self.design.names:
            raise UsageError(f"coefficient {name!r} is not one of {', '.join(map(repr, self.design.names))}")
        return self._combination(np.eye(len(self.design.names))[self.design.names.index(name)])

    def coef_at(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, sd, median, low, high and prob_positive of every coefficient."""
        import pandas as pd

        check_level(level)
        rows = {}
        for name in self.design.names:
            d = self.coefficient(name)
            low, high = d.ci(level)
            rows[name] = {
                "mean": d.mean,
                "sd": d.sd,
                "median": d.median,
                "low": low,
                "high": high,
                "prob_positive": d.prob(low=0.0),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    @property
    def coef(self) -> pd.DataFrame:
        """Posterior of the coefficients with 95% intervals; see :meth:`coef_at`."""
        return self.coef_at()

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, sd, median, low and high of every coefficient and of tau, one a row."""
        frame = self.coef_at(level).drop(columns="prob_positive")
        low, high = self.tau.ci(level)
        frame.loc["tau"] = [self.tau.mean, self.tau.sd, self.tau.median, low, high]
        return frame

    def bayes_factor(self, name: str) -> float:
        """Return the Bayes factor in favour of a coefficient of 0 (Savage and Dickey's density ratio).

        Raises
        ------
        ModelError
            Its prior is flat.
        """
        d = self.coefficient(name)
        prior = self.coefficient_priors[self.design.names.index(name)]
        if not prior.proper:
            raise ModelError(f"no Bayes factor of {name}: with the flat prior it would be arbitrary")
        return float(d.pdf(0.0)) / float(prior.pdf(0.0))

    @property
    def log_marginal(self) -> float:
        """Logarithm of the marginal likelihood.

        Raises
        ------
        ModelError
            With an improper prior there is none.
        """
        for name, prior in zip(
            (*self.design.names, "tau"), (*self.coefficient_priors, self.tau_prior), strict=True
        ):
            if not prior.proper:
                raise ModelError(
                    f"with {name} ~ {prior!r}, an improper prior, there is no marginal likelihood"
                )
        return self._post.log_integral

    def predict(self, newdata: pd.DataFrame | Mapping[str, Any], level: float = 0.95) -> pd.DataFrame:
        """Predict the expected effect and a new study's effect.

        Parameters
        ----------
        newdata : DataFrame or mapping of columns
            The moderators of the formula; n rows.
        level : float

        Returns
        -------
        DataFrame of n rows
            mean, sd, low, high of the expected effect; pi_low, pi_high of a new study's.

        Raises
        ------
        UsageError
            A column is missing, or a level the fit has not seen.
        """
        import pandas as pd

        check_level(level)
        out = []
        for row in self.design.rows(newdata):
            d, new = self._combination(row), self._combination(row, new=True)
            (low, high), (pi_low, pi_high) = d.ci(level), new.ci(level)
            out.append(
                {"mean": d.mean, "sd": d.sd, "low": low, "high": high, "pi_low": pi_low, "pi_high": pi_high}
            )
        return pd.DataFrame(out, index=getattr(newdata, "index", None))

    @property
    def priors(self) -> str:
        """The priors with their sources, one a line."""
        lines = [prior_text(n, p, p) for n, p in zip(self.design.names, self.coefficient_priors, strict=True)]
        return "\n".join([*lines, prior_text("tau", self.tau_prior, self._post.prior)])

    @property
    def methods(self) -> str:
        """What was done, in sentences for a methods section."""
        return (
            f"Effects were related to {self.model.formula!r} by Bayesian random-effects meta-regression "
            "(Röver and Friede 2023, Comput Methods Programs Biomed 229, 107303); priors: "
            f"{', '.join(self.priors.splitlines())}. The posterior was computed by adaptive quadrature over "
            "tau, without sampling; intervals are credible intervals with equal tails."
        )

    def __repr__(self) -> str:
        return (
            f"BayesRegressionResult({self.effects.measure.code}, k={self.k}, {self.model.formula!r}: "
            + ", ".join(f"{n} {self.coefficient(n).median:.4g}" for n in self.design.names)
            + f", tau {self.tau.median:.4f})"
        )

    def _repr_html_(self) -> str:
        table = self.coef.to_html(float_format=lambda x: f"{x:.4f}", border=0)
        return f"<p>{html.escape(self.priors).replace(chr(10), '<br>')}</p>{table}"
