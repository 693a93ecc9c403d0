"""Selection models: effects reported with a probability that depends on their p-value."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy import special

from mtmeta.diagnostics.refit import FloatArray
from mtmeta.diagnostics.selection_targets import smooth_target, starts, step_target
from mtmeta.diagnostics.weighted import Optimum, Weighted, cells, maximise
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, check_choice, check_level
from mtmeta.models import kernel
from mtmeta.models.formula import design_of
from mtmeta.models.intervals import critical, two_sided
from mtmeta.models.words import p_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PUniformStar", "SelectionModel", "SelectionResult"]

Alternative = Literal["greater", "less", "two-sided"]
Weight = Literal["step", "beta", "half-normal", "negative-exponential", "logistic", "power"]
_ALTERNATIVES: tuple[str, ...] = get_args(Alternative)
_WEIGHTS: tuple[str, ...] = get_args(Weight)


@dataclass(frozen=True, eq=False)
class SelectionResult:
    """Fit of a selection model. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : SelectionModel or PUniformStar
    estimate, se : float
        Mean effect of all studies, reported or not, and its standard error (inverse Hessian, or by cluster).
    tau2, tau2_se : float
        Between-study variance; its standard error is NaN where tau2 is 0 or given.
    delta, delta_se : ndarray
        Parameters of the weight function. For steps the relative chance to be reported of each interval of p,
        the first fixed at 1 (standard error NaN). Empty for p-uniform*.
    lrt, lrt_df, lrt_pvalue : float, int, float
        Likelihood ratio test of no selection; NaN and 0 for p-uniform*, which has no parameter of selection,
        and where effects of a cluster depend on each other.
    loglik : float
        Log-likelihood with all constants; for p-uniform* conditional on which effects are significant.
    counts : tuple of int
        Effects in each interval of p; empty for smooth weight functions.
    unadjusted : float
        Estimate by maximum likelihood without selection.
    names : tuple of str
        Columns of the mean; ("Intercept",) without moderators. `estimate` is the first coefficient.
    coefficients, cov : ndarray (p,), (p, p)
        Coefficients of the mean and their covariance (inverse Hessian, or the sandwich by cluster); empty
        for p-uniform*.
    clusters : int
        Number of clusters of a robust fit; 0 otherwise.
    """

    effects: EffectSizes
    model: SelectionModel | PUniformStar
    estimate: float
    se: float
    tau2: float
    tau2_se: float
    delta: FloatArray
    delta_se: FloatArray
    lrt: float
    lrt_df: int
    lrt_pvalue: float
    loglik: float
    counts: tuple[int, ...]
    unadjusted: float
    names: tuple[str, ...] = ("Intercept",)
    coefficients: FloatArray = field(default_factory=lambda: np.zeros(0))
    cov: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    clusters: int = 0

    @property
    def coef(self) -> pd.Series[float]:
        """Coefficients of the mean, by name."""
        import pandas as pd

        return pd.Series(self.coefficients, index=list(self.names))

    @property
    def coef_se(self) -> pd.Series[float]:
        """Standard errors of the coefficients, by name."""
        import pandas as pd

        return pd.Series(np.sqrt(np.diagonal(self.cov)), index=list(self.names))

    @property
    def k(self) -> int:
        """Number of effects."""
        return self.effects.k

    @property
    def tau(self) -> float:
        """Between-study standard deviation."""
        return math.sqrt(self.tau2)

    @property
    def statistic(self) -> float:
        """Wald statistic of the mean against the measure's null."""
        return (self.estimate - self.effects.measure.null) / self.se

    @property
    def pvalue(self) -> float:
        """Two-sided p-value of `statistic`."""
        return two_sided(self.statistic)

    def ci(self, level: float = 0.95) -> Interval:
        """Wald interval of the mean."""
        half = critical(check_level(level)) * self.se
        return Interval(self.estimate - half, self.estimate + half)

    def expected(self, se: FloatArray | Sequence[float]) -> FloatArray:
        r"""Return the mean of the effects that are reported, at standard errors: the curve selection leaves.

        With :math:`t^2=s^2+\tau^2` and cut points of p turned into cut points of the effect, every interval
        :math:`(l,u)` has the mass :math:`\Phi(u')-\Phi(l')` and the first moment :math:`\mu` times it plus
        :math:`t(\varphi(l')-\varphi(u'))`, where :math:`x'=(x-\mu)/t`; both are weighted with `delta`
        (the weighted density of Hedges 1992, p. 248, integrated).

        Parameters
        ----------
        se : array of standard errors, 0 or more

        Returns
        -------
        ndarray
            On the scale of analysis; `estimate` where nothing is selected.

        Raises
        ------
        UsageError
            A model without steps, or with moderators.

        Examples
        --------
        All significant effects are reported and none of the others: the mean of a truncated normal.

        >>> es = EffectSizes.of([0.1, 0.5, 0.7, 0.45, 0.2, 0.8, 0.62, 0.3], [0.05] * 8)
        >>> fit = SelectionModel().fit(es)
        >>> bool((fit.expected([0.1, 0.3]) >= fit.estimate).all())
        True
        """
        steps = getattr(self.model, "steps", None)
        if steps is None or getattr(self.model, "weight", "step") != "step":
            raise UsageError(f"{self.model} has no steps; the curve is computed for weight='step' only")
        if len(self.names) > 1:
            raise UsageError(f"{self.model} has moderators: there is no one curve of what is reported")
        s = np.atleast_1d(np.asarray(se, dtype=np.float64))
        sides = self.model.alternative
        mu = -self.estimate if sides == "less" else self.estimate
        tails = np.asarray(steps) / 2.0 if sides == "two-sided" else np.asarray(steps)
        cuts = s[:, None] * -special.ndtri(tails)
        edges = [np.full(len(s), np.inf), *cuts.T]
        delta = list(self.delta)
        pieces = [(edges[j + 1], edges[j], delta[j]) for j in range(len(steps))]
        if sides == "two-sided":
            pieces += [(-high, -low, weight) for low, high, weight in pieces]
            pieces.append((-edges[-1], edges[-1], delta[-1]))
        else:
            pieces.append((np.full(len(s), -np.inf), edges[-1], delta[-1]))
        t = np.maximum(np.hypot(s, self.tau), 1e-12)
        mass, moment = np.zeros(len(s)), np.zeros(len(s))
        for low, high, weight in pieces:
            a, b = (low - mu) / t, (high - mu) / t
            share = special.ndtr(b) - special.ndtr(a)
            bells = (np.exp(-(x**2) / 2.0) / math.sqrt(2.0 * math.pi) for x in (a, b))
            mass += weight * share
            moment += weight * (mu * share + t * (next(bells) - next(bells)))
        return (-1.0 if sides == "less" else 1.0) * moment / mass

    def __repr__(self) -> str:
        low, high = self.ci()
        test = f", LRT {p_text(self.lrt_pvalue)}" if self.lrt_df else ""
        return (
            f"{self.model}: {self.effects.measure.code} {self.estimate:.3f} [{low:.3f}, {high:.3f}], "
            f"tau2 = {self.tau2:.3f}{test}, k = {self.k}, without selection {self.unadjusted:.3f}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


@dataclass(frozen=True)
class SelectionModel:
    r"""Random-effects model of effects that were reported with a chance depending on their p-value.

    Parameters
    ----------
    steps : sequence of float, optional
        Cut points of p, rising, between 0 and 1, for ``weight="step"``: ``[0.025]`` (the default) is the
        three-parameter model (3PSM), ``[0.025, 0.5]`` the four-parameter one; any others will do. A p-value
        at a cut point belongs below it. For ``weight="beta"`` two cut points between which the weight
        follows the beta function and beyond which it stays as it is there (Citkowicz et al. 2026), such as
        ``[0.025, 0.975]``; by default 1e-5 and 1 - 1e-5.
    tau2 : "ML" or float
        Estimated by maximum likelihood, or given; 0 is the common-effect model.
    alternative : {"greater", "less", "two-sided"}
        Which p-values matter: one-sided for positive effects, one-sided for negative effects (scales where
        less is better), or two-sided. Not said, it is "greater", and effects that are mostly negative are
        refused.
    weight : {"step", "beta", "half-normal", "negative-exponential", "logistic", "power"}
        Chance of being reported, relative: steps (Hedges 1992; Vevea and Hedges 1995);
        :math:`p^{\delta_1-1}(1-p)^{\delta_2-1}` (Citkowicz and Vevea 2017); :math:`\exp(-\delta p^2)`;
        :math:`\exp(-\delta p)`; :math:`2/(1+\exp(\delta p))`; :math:`(1-p)^\delta` (Preston et al. 2004).
    moderators : str, optional
        Formula of the mean, such as ``"x1 + x2"``, of columns of the effects' moderators.
    robust : bool, default False
        Standard errors by cluster (`es.cluster`) for effects that depend on each other: the sandwich
        :math:`H^{-1}(\sum_c g_cg_c^\top)H^{-1}` of the clusters' scores, without small-sample correction. The
        estimates stay; they describe the distribution of single effects.

    Raises
    ------
    UsageError
        Unknown choices; steps outside (0, 1), not rising, or given for a smooth weight function other than
        two of beta; a smooth weight function of two-sided p-values.

    Notes
    -----
    Reported effects have the density :math:`w(p(y,v_i))\,N(y;\mu,v_i+\tau^2)/A_i`, with
    :math:`A_i=\int w(p(y,v_i))\,N(y;\mu,v_i+\tau^2)\,dy`: in closed form for steps, by 160 Gauss-Legendre
    nodes and exact tails else. Newton steps with exact derivatives start from a dozen points at once. p is
    kept within [1e-5, 1 - 1e-5] for beta and 1 - p above 1e-5 for power, as in metafor. metafor's
    ``selmodel`` bounds delta at 100 and works with log(tau2), so that it stops at 1e-6 where tau2 is 0 here.

    An interval of p without an effect raises, where metafor stops at a bound of delta.

    Selection models assume that the chance depends on p alone. With few studies the mean is estimated from
    the shape of a truncated distribution: expect wide intervals, and none where an interval of p is empty.
    Robust intervals are too narrow with few clusters; Pustejovsky et al. (2025) ask for 30 and more.

    References
    ----------
    Hedges, L. V. (1992). Stat Sci 7:246-255. Vevea, J. L. and Hedges, L. V. (1995). Psychometrika 60:419-435.
    Citkowicz, M. and Vevea, J. L. (2017). Psychol Methods 22:28-41. Preston, C., Ashby, D. and Smyth, R.
    (2004). J Eval Clin Pract 10:313-322. Pustejovsky, J. E., Citkowicz, M. and Joshi, M. (2025). Estimation
    and inference for step-function selection models in meta-analysis with dependent effects (preprint,
    doi:10.31222/osf.io/qg5x6_v1). Citkowicz, M., Pustejovsky, J. E. and Joshi, M. (2026). Estimating
    beta-function selection models in meta-analysis with dependent effects (doi:10.31222/osf.io/wjpxk_v1).

    Examples
    --------
    BCG vaccine, significant protection favoured: mean -0.6206 (0.2613), delta 0.6355, LRT 0.2425 (metafor).

    >>> from mtmeta.effects.binary import risk_ratio
    >>> y, v = risk_ratio(
    ...     [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27],
    ...     [123, 306, 231, 13598, 5069, 1541, 2545, 88391, 7499, 1716, 50634, 2498, 16913],
    ...     [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29],
    ...     [139, 303, 220, 12867, 5808, 1451, 629, 88391, 7277, 1665, 27338, 2341, 17854])
    >>> fit = SelectionModel(alternative="less").fit(EffectSizes.of(y, v, "RR"))
    >>> print(f"{fit.estimate:.4f} ({fit.se:.4f}), delta {fit.delta[1]:.4f}, LRT {fit.lrt:.4f}")
    -0.6206 (0.2613), delta 0.6355, LRT 0.2425
    """

    steps: Sequence[float] | None = None
    tau2: Literal["ML"] | float = "ML"
    alternative: Alternative | None = None
    weight: Weight = "step"
    moderators: str | None = None
    robust: bool = False

    def __post_init__(self) -> None:
        if self.alternative is not None:
            check_choice("alternative", self.alternative, _ALTERNATIVES)
        check_choice("weight", self.weight, _WEIGHTS)
        _check_tau2(self.tau2)
        if self.weight != "step":
            if self.alternative == "two-sided":
                raise UsageError(
                    f"weight={self.weight!r} needs a direction; use alternative='greater' or 'less'"
                )
            if self.steps is None:
                return
            if self.weight != "beta":
                raise UsageError(
                    f"steps={self.steps!r} belongs to weight='step' or 'beta', not to {self.weight!r}"
                )
            if len(self.steps) != 2:
                raise UsageError(
                    f"steps={self.steps!r} must be the two ends of a beta weight, such as [0.025, 0.975]"
                )
        cuts = (0.025,) if self.steps is None else tuple(float(s) for s in self.steps)
        if self.weight == "step" and cuts and cuts[-1] == 1.0:
            cuts = cuts[:-1]
        if not cuts or any(not 0.0 < s < 1.0 for s in cuts) or list(cuts) != sorted(set(cuts)):
            raise UsageError(
                f"steps={self.steps!r} must be rising numbers between 0 and 1, such as [0.025, 0.5]"
            )
        object.__setattr__(self, "steps", cuts)

    def __str__(self) -> str:
        cuts = ", ".join(f"{s:g}" for s in self.steps or ())
        what = f"steps {cuts}" if self.weight == "step" else self.weight + (f" within {cuts}" if cuts else "")
        told = [what, self.alternative or "greater"]
        told += [self.moderators] if self.moderators is not None else []
        told += ["by cluster"] if self.robust else []
        return f"SelectionModel ({'; '.join(told)})"

    def fit(self, es: EffectSizes) -> SelectionResult:
        """Fit by maximum likelihood.

        Raises
        ------
        ModelError
            An interval of p without an effect, a likelihood without a maximum, fewer effects than parameters,
            or for a robust fit not more clusters than parameters.
        UsageError
            No `alternative` and effects that are mostly negative.
        """
        if self.alternative is None:
            _positive(es)
            return replace(self, alternative="greater").fit(es)
        scale = float(np.median(es.sei))
        sign = -1.0 if self.alternative == "less" else 1.0
        y, v = sign * es.yi / scale, es.vi / scale**2
        counts: tuple[int, ...] = ()
        if self.weight == "step":
            two_sided = self.alternative == "two-sided"
            target, counts, lower = step_target(y, v, self.steps or (), two_sided=two_sided)
        else:
            target, lower = smooth_target(y, v, self.weight, self.steps)
        design = None if self.moderators is None else design_of(self.moderators, es.moderators, es.study)
        turn = np.eye(1)
        if design is not None:
            # columns of equal length, at right angles: parameters of order one whatever the moderators' units
            q, r = np.linalg.qr(design.matrix)
            target = replace(target, design=q * math.sqrt(es.k))
            turn = np.linalg.inv(r) * math.sqrt(es.k)
        p = target.p
        parameters = p + 1 + target.basis.shape[0]
        if es.k < parameters:
            raise ModelError(
                f"{self} has {parameters} parameters and there are {es.k} effects; use fewer steps"
                + ("" if design is None else " or moderators")
            )
        if 0 in counts:
            raise ModelError(_empty(counts, self.steps or ()))
        start, fixed = _start(self.tau2, scale, parameters, p)
        lower = np.concatenate([np.full(p - 1, -np.inf), lower])
        best = maximise(target, starts(target, start), lower=lower, fixed=fixed, what=str(self))
        if self.robust:
            best = _sandwich(target, best, es.cluster, str(self))
        plain = _plain(y, v, self.tau2, scale, target.design)
        names = ("Intercept",) if design is None else design.names
        return self._result(es, best, plain=plain, scale=scale, counts=counts, names=names, turn=turn)

    def _result(
        self,
        es: EffectSizes,
        best: Optimum,
        *,
        plain: kernel.KernelFit,
        scale: float,
        counts: tuple[int, ...],
        names: tuple[str, ...],
        turn: FloatArray,
    ) -> SelectionResult:
        sign, p = -1.0 if self.alternative == "less" else 1.0, len(names)
        theta, spread = best.x[p + 1 :], np.sqrt(np.diagonal(best.cov))
        coefficients = sign * scale * (turn @ best.x[:p])
        cov = scale**2 * (turn @ best.cov[:p, :p] @ turn.T)
        df = len(theta)
        if self.weight == "step":
            delta = np.concatenate([[1.0], np.exp(theta)])
            delta_se = np.concatenate([[math.nan], np.exp(theta) * spread[p + 1 :]])
        else:
            delta = theta + 1.0 if self.weight == "beta" else theta.copy()
            delta_se = np.where(best.free[p + 1 :], spread[p + 1 :], math.nan)
        if self.robust:
            lrt, df = math.nan, 0
        else:
            lrt = max(0.0, 2.0 * (best.value - float(plain.loglik[0])))
        return SelectionResult(
            effects=es,
            model=self,
            estimate=float(coefficients[0]),
            se=math.sqrt(float(cov[0, 0])),
            tau2=float(best.x[p]) * scale**2,
            tau2_se=float(spread[p]) * scale**2 if best.free[p] else math.nan,
            delta=delta,
            delta_se=delta_se,
            lrt=lrt,
            lrt_df=df,
            lrt_pvalue=float(special.chdtrc(df, lrt)) if df else math.nan,
            loglik=best.value - es.k * math.log(scale),
            counts=counts,
            unadjusted=sign * scale * float(turn[0] @ plain.beta[0]),
            names=names,
            coefficients=coefficients,
            cov=cov,
            clusters=len(set(es.cluster)) if self.robust else 0,
        )


@dataclass(frozen=True)
class PUniformStar:
    r"""p-uniform*: maximum likelihood given which effects are significant.

    Parameters
    ----------
    alternative : {"greater", "less"}
        Direction in which effects are significant. Not said, it is "greater", and effects that are mostly
        negative are refused.
    alpha : float, default 0.05
        Two-sided level; an effect counts as significant when z in that direction is above the quantile
        1 - alpha/2.

    Raises
    ------
    UsageError
        An unknown alternative, alpha outside (0, 1).

    Notes
    -----
    The density of a significant effect is divided by its chance to be significant, that of another one by its
    chance not to be, so that no weight is estimated. With equal sampling variances it is the three-parameter
    selection model with the cut point alpha/2; else nearly so (Pustejovsky 2026).

    References
    ----------
    van Aert, R. C. M. and van Assen, M. A. L. M. (2026). Correcting for publication bias in a meta-analysis
    with the p-uniform* method. Psychon Bull Rev 33. Pustejovsky, J. E. (2026). p-uniform* is a
    three-parameter selection model (note).

    Examples
    --------
    Equal variances: the same estimate as the three-parameter model.

    >>> es = EffectSizes.of([0.1, 0.5, 0.7, 0.45, 0.2, 0.8, 0.62, 0.3], [0.05] * 8)
    >>> star, steps = PUniformStar().fit(es), SelectionModel().fit(es)
    >>> abs(star.estimate - steps.estimate) < 1e-8
    True
    """

    alternative: Literal["greater", "less"] | None = None
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if self.alternative is not None:
            check_choice("alternative", self.alternative, ("greater", "less"))
        if not 0.0 < self.alpha < 1.0:
            raise UsageError(f"alpha={self.alpha!r} must lie between 0 and 1, such as 0.05")

    def __str__(self) -> str:
        return f"PUniformStar ({self.alternative or 'greater'})"

    def fit(self, es: EffectSizes) -> SelectionResult:
        """Fit by maximum likelihood; `counts` are the significant effects and the others.

        Raises
        ------
        ModelError
            No significant effect, no other one, or a likelihood without a maximum.
        UsageError
            No `alternative` and effects that are mostly negative.
        """
        if self.alternative is None:
            _positive(es)
            return replace(self, alternative="greater").fit(es)
        scale = float(np.median(es.sei))
        sign = -1.0 if self.alternative == "less" else 1.0
        y, v = sign * es.yi / scale, es.vi / scale**2
        cuts = (np.sqrt(v) * -special.ndtri(self.alpha / 2.0))[:, None]
        own = np.where(y > cuts[:, 0], 0, 1)
        counts = (int(np.sum(own == 0)), int(np.sum(own == 1)))
        if 0 in counts:
            raise ModelError(_empty(counts, (self.alpha / 2.0,)))
        none = np.zeros((0, 2))
        target = Weighted(y, v, partial(cells, cuts), none, np.zeros((es.k, 0)), own)
        start, fixed = _start("ML", scale, 2)
        lower = np.array([-np.inf, 0.0])
        best = maximise(target, starts(target, start), lower=lower, fixed=fixed, what=str(self))
        spread = np.sqrt(np.diagonal(best.cov))
        plain = _plain(y, v, "ML", scale)
        empty = np.zeros(0)
        return SelectionResult(
            effects=es,
            model=self,
            estimate=sign * float(best.x[0]) * scale,
            se=float(spread[0]) * scale,
            tau2=float(best.x[1]) * scale**2,
            tau2_se=float(spread[1]) * scale**2 if best.free[1] else math.nan,
            delta=empty,
            delta_se=empty,
            lrt=math.nan,
            lrt_df=0,
            lrt_pvalue=math.nan,
            loglik=best.value - es.k * math.log(scale),
            counts=counts,
            unadjusted=sign * float(plain.estimate[0]) * scale,
        )


# inside -----------------------------------------------------------------------------------------------------


def _check_tau2(tau2: str | float) -> None:
    if isinstance(tau2, str):
        check_choice("tau2", tau2, ("ML",))
    elif isinstance(tau2, bool) or not 0.0 <= float(tau2) < math.inf:
        raise UsageError(f"tau2={tau2!r} must be 'ML' or a number not below 0")


def _positive(es: EffectSizes) -> None:
    """Refuse to take a direction as read that the effects speak against."""
    mean = float(kernel.fit(es.yi, es.vi, method="ML").estimate[0])
    if mean < es.measure.null:
        raise UsageError(
            f"the mean of these effects is {mean:.3g}, and which results selection favours was not said: "
            "alternative='less' where lower is better, alternative='greater' where higher is"
        )


def _sandwich(target: Weighted, best: Optimum, cluster: Sequence[str], what: str) -> Optimum:
    """Replace the covariance by the sandwich of the clusters' scores."""
    groups, at = np.unique(np.array(cluster, dtype=object), return_inverse=True)
    free = int(best.free.sum())
    if len(groups) <= free:
        raise ModelError(
            f"{what} has {free} free parameters and there are {len(groups)} clusters; errors by cluster need "
            "more clusters than that, and are too small with fewer than 30"
        )
    scores = np.zeros((len(groups), len(best.x)))
    np.add.at(scores, at, target.scores(best.x))
    half = scores @ best.cov  # 0 for parameters that are held
    return replace(best, cov=half.T @ half)


def _plain(
    y: FloatArray, v: FloatArray, tau2: str | float, scale: float, design: FloatArray | None = None
) -> kernel.KernelFit:
    """Fit the same model without selection."""
    if isinstance(tau2, str):
        return kernel.fit(y, v, method="ML", design=design)
    return kernel.fit(y, v, tau2=float(tau2) / scale**2, design=design)


def _empty(counts: tuple[int, ...], steps: Sequence[float]) -> str:
    ends = [0.0, *steps, 1.0]
    holes = [f"{ends[i]:g} to {ends[i + 1]:g}" for i, n in enumerate(counts) if n == 0]
    return (
        f"no effect has a p-value from {' or from '.join(holes)}, so that its chance to be reported cannot "
        "be estimated; use other steps, the other alternative, or a smooth weight function"
    )


def _start(tau2: str | float, scale: float, parameters: int, p: int = 1) -> tuple[float | None, np.ndarray]:
    fixed = np.zeros(parameters, dtype=bool)
    if isinstance(tau2, str):
        return None, fixed
    fixed[p] = True
    return float(tau2) / scale**2, fixed
