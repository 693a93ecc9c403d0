"""Meta-regression with many moderators, whose coefficients share a prior that shrinks them, by sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.measures import check_choice, check_level
from mtmeta.models.bayes_words import default_priors
from mtmeta.models.formula import Design, design_of
from mtmeta.models.posterior_draws import Draws
from mtmeta.models.priors import HalfCauchy, Normal
from mtmeta.models.priors_base import FloatArray, Prior
from mtmeta.models.sampled_fit import Sampled, Sampling, draw, row_names
from mtmeta.models.sampled_priors import import_pymc, tau_variable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SampledMetaRegression", "SampledRegressionResult"]

Shrinkage = Literal["horseshoe", "double-exponential", "normal"]


@dataclass(frozen=True)
class SampledMetaRegression:
    r"""Meta-regression whose slopes shrink towards 0: :math:`y_i\sim N(x_i'\beta, v_i + \tau^2)`.

    Slopes are normal with scales of their own, :math:`\beta_j\sim N(0, s_j^2)`, and a scale :math:`g` common
    to all:

    - "horseshoe" (regularised): :math:`s_j^2 = g^2\lambda_j^2 c^2/(c^2 + g^2\lambda_j^2)`,
      :math:`\lambda_j\sim C^+(0, 1)`, :math:`c^2\sim\mathrm{InvGamma}(\nu/2, \nu s^2/2)` with the slab's
      scale s and degrees of freedom :math:`\nu`: most slopes are nearly 0, a few are left as they are;
    - "double-exponential" (the lasso's prior): :math:`s_j^2 = 2g^2 e_j`, :math:`e_j\sim\mathrm{Exp}(1)`;
    - "normal" (ridge): :math:`s_j = g`.

    Parameters
    ----------
    formula : str
        As for :class:`~mtmeta.models.regression.MetaRegression`, with an intercept.
    shrinkage : {"horseshoe", "double-exponential", "normal"}
    scale : Prior or float, default HalfCauchy(1)
        Of g; a number fixes it.
    slab_scale, slab_df : float, default 2 and 4
        Of the horseshoe's slab.
    intercept : Prior, optional
        Normal; of the mean effect of the average study. By default the measure's prior of the mean.
    tau : Prior, optional
        As for :class:`~mtmeta.models.bayes.BayesRandomEffects`.
    standardise : bool, default True
        Moderators are centred and divided by their standard deviation (n - 1) before, so that one scale
        suits all. Coefficients are told in the moderators' own units; the Intercept is where they are 0.
    sampling : Sampling

    Notes
    -----
    Coefficients are integrated out of the likelihood and drawn afterwards from their normal distributions,
    which leaves none of the funnels that such priors are known for. The defaults are those of R's pema
    (``hs``: global scale 1, slab of scale 2 with 4 df; ``lasso`` there has a prior of the inverse scale).
    For one to three moderators with plain normal priors use
    :class:`~mtmeta.models.bayes_regression.BayesMetaRegression`, which is exact.

    References
    ----------
    Piironen, J. & Vehtari, A. (2017). Sparsity information and regularization in the horseshoe and other
    shrinkage priors. Electron J Stat 11, 5018-5051.
    Park, T. & Casella, G. (2008). The Bayesian lasso. J Am Stat Assoc 103, 681-686.
    Van Lissa, C. J., van Erp, S. & Clapper, E.-B. (2023). Selecting relevant moderators with Bayesian
    regularized meta-regression. Res Synth Methods 14, 301-322.

    Examples
    --------
    ``fit(es, seed=1)`` samples; before, the sentence says with which priors.

    >>> import pandas as pd
    >>> es = EffectSizes.of([0.1, 0.2, 0.4, 0.3], [0.02, 0.03, 0.02, 0.04], "SMD",
    ...                     moderators=pd.DataFrame({"dose": [1, 2, 4, 3]}))
    >>> print(SampledMetaRegression("dose").sentence(es))
    Effects were related to 'dose' by Bayesian random-effects meta-regression with a regularised horseshoe
    prior (Piironen and Vehtari 2017; global scale ~ HalfCauchy(1), slab of scale 2 with 4 df) of the slopes
    of standardised moderators; mean effect of the average study ~ Normal(0, 2), tau ~ HalfNormal(0.5).
    """

    formula: str
    shrinkage: Shrinkage = "horseshoe"
    scale: Prior | float = field(default_factory=lambda: HalfCauchy(1))
    slab_scale: float = 2.0
    slab_df: float = 4.0
    intercept: Prior | None = None
    tau: Prior | None = None
    standardise: bool = True
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        check_choice("shrinkage", self.shrinkage, ("horseshoe", "double-exponential", "normal"))
        for name in ("slab_scale", "slab_df", *(() if isinstance(self.scale, Prior) else ("scale",))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e12:
                raise UsageError(f"{name}={value!r} must be a number above 0")
        if self.intercept is not None and not isinstance(self.intercept, Normal):
            raise UsageError(f"intercept={self.intercept!r} must be Normal, such as Normal(0, 2)")

    def intercept_of(self, es: EffectSizes) -> Normal:
        """Prior of the average study's mean effect, the default filled in."""
        prior = self.intercept or default_priors(es.measure)[0]
        if not isinstance(prior, Normal):
            raise UsageError(f"intercept={prior!r} must be Normal, such as Normal(0, 2)")
        return prior

    def tau_of(self, es: EffectSizes) -> Prior:
        """Prior of tau, the default filled in and what it takes from the data put in."""
        return (self.tau or default_priors(es.measure)[1]).for_variances(es.vi)

    def sentence(self, es: EffectSizes) -> str:
        """Model and priors in words."""
        scale = f"~ {self.scale!r}" if isinstance(self.scale, Prior) else f"{self.scale:g}"
        kind = {
            "horseshoe": "a regularised horseshoe prior (Piironen and Vehtari 2017; global scale "
            f"{scale}, slab of scale {self.slab_scale:g} with {self.slab_df:g} df)",
            "double-exponential": f"a double-exponential prior (Park and Casella 2008; scale {scale})",
            "normal": f"a normal prior (scale {scale})",
        }[self.shrinkage]
        return (
            f"Effects were related to {self.formula!r} by Bayesian random-effects meta-regression with {kind}"
            f" of the slopes{' of standardised moderators' if self.standardise else ''}; mean effect of the "
            f"{'average ' if self.standardise else 'reference '}study ~ {self.intercept_of(es)!r}, tau ~ "
            f"{self.tau_of(es)!r}."
        )

    def fit(self, es: EffectSizes, seed: int) -> SampledRegressionResult:
        """Sample the posterior.

        Raises
        ------
        ModelError
            A chain failed: divergent transitions, R-hat above 1.01, fewer than 400 effective draws.
        UsageError
            A formula that is not allowed or has no intercept, PyMC is not installed, or a prior that cannot
            be sampled.
        """
        plan = Plan.of(self, es)
        names = ("coef", "tau", *(("scale",) if isinstance(self.scale, Prior) else ()), "theta")
        found, model, checks = draw(plan, es, self.sampling, seed, names)
        return SampledRegressionResult(es, self, found, model, checks, seed, plan, names[:-1])


@dataclass(frozen=True, eq=False)
class Plan:
    """A regression with its design: what builds the PyMC model. Private.

    Attributes
    ----------
    config : SampledMetaRegression
    design : Design
    X : ndarray (k, p)
        Columns as they are shrunk, the constant first.
    back : ndarray (p, p)
        Turns their coefficients into those of the design.
    """

    config: SampledMetaRegression
    design: Design
    X: FloatArray
    back: FloatArray

    @classmethod
    def of(cls, config: SampledMetaRegression, es: EffectSizes) -> Plan:
        """Build and standardise the design."""
        design = design_of(config.formula, es.moderators, es.study)
        p = len(design.names)
        if design.terms.get("Intercept") != (0,) or p < 2:
            raise UsageError(
                f"formula {config.formula!r} must have an intercept and at least one moderator: slopes are "
                "shrunk towards the mean effect"
            )
        X, back = design.matrix, np.eye(p)
        if config.standardise:
            centre, unit = X[:, 1:].mean(axis=0), X[:, 1:].std(axis=0, ddof=1)
            X = np.column_stack([X[:, 0], (X[:, 1:] - centre) / unit])
            back = np.diag(np.concatenate([[1.0], 1.0 / unit]))
            back[0, 1:] = -centre / unit
        return cls(config, design, X, back)

    def proper(self, es: EffectSizes) -> bool:
        """Whether the prior is one that predicts data."""
        return True

    def build(self, es: EffectSizes) -> Any:
        """Return the PyMC model."""
        pm = import_pymc()
        prior, names = self.config.intercept_of(es), list(self.design.names)
        with pm.Model(coords={**row_names(es), "coefficient": names, "slope": names[1:]}) as model:
            tau = tau_variable(pm, "tau", self.config.tau_of(es))
            sds = pm.Deterministic("slope_sd", self._scales(pm), dims="slope")
            self._observe(pm, es, tau, pm.math.concatenate([[prior.sd], sds]))
        return model

    def _start(self, es: EffectSizes) -> FloatArray:
        """Prior means of the coefficients."""
        start = np.zeros(len(self.design.names))
        start[0] = self.config.intercept_of(es).mean
        return start

    def complete(
        self, es: EffectSizes, posterior: Any, rng: np.random.Generator
    ) -> dict[str, tuple[tuple[str, ...], FloatArray]]:
        """Draw the coefficients and true effects, normal given scales and tau."""
        tau, slopes = (np.asarray(posterior[n].values, dtype=np.float64) for n in ("tau", "slope_sd"))
        first = np.full((*tau.shape, 1), self.config.intercept_of(es).sd)
        sds, start = np.concatenate([first, slopes], axis=-1), self._start(es)
        w = 1.0 / (es.vi + np.square(tau)[..., None])
        # in units of its scale a coefficient is N(M^-1 b, M^-1)
        M = (
            np.eye(len(start))
            + sds[..., :, None] * ((self.X.T * w[..., None, :]) @ self.X) * sds[..., None, :]
        )
        b = sds * ((w * (es.yi - self.X @ start)) @ self.X)
        root = np.linalg.cholesky(M)
        half = np.linalg.solve(root, b[..., None]) + rng.standard_normal((*b.shape, 1))
        beta = start + sds * np.linalg.solve(np.swapaxes(root, -1, -2), half)[..., 0]
        share = np.square(tau)[..., None] * w
        noise = np.sqrt(es.vi * share) * rng.standard_normal(w.shape)
        theta = share * es.yi + (1 - share) * (beta @ self.X.T) + noise
        return {"coef": (("coefficient",), beta @ self.back.T), "theta": (("study",), theta)}

    def _scales(self, pm: Any) -> Any:
        """Put the priors of the slopes' standard deviations into the open model, (p - 1,)."""
        config, p = self.config, self.X.shape[1] - 1
        g = tau_variable(pm, "scale", config.scale) if isinstance(config.scale, Prior) else config.scale
        if config.shrinkage == "normal":
            return pm.math.stack([g + 0.0] * p)
        if config.shrinkage == "double-exponential":
            return g * pm.math.sqrt(2.0 * pm.Exponential("local", 1.0, dims="slope"))
        wide = g * pm.HalfCauchy("local", 1.0, dims="slope")
        half = 0.5 * config.slab_df
        slab = pm.math.sqrt(pm.InverseGamma("slab2", alpha=half, beta=half * config.slab_scale**2))
        return wide / pm.math.sqrt(1.0 + (wide / slab) ** 2)

    def _observe(self, pm: Any, es: EffectSizes, tau: Any, sds: Any) -> None:
        """Put observed effects into the open model, coefficients and true effects integrated out."""
        from pytensor.tensor.linalg import cholesky, solve_triangular  # beside PyMC always

        def logp(value: Any, start: Any, tau: Any, sds: Any) -> Any:
            w, off = 1.0 / (es.vi + tau**2), value - start
            root = cholesky(_information(pm, self.X, w, sds))
            b = sds * pm.math.dot(self.X.T, w * off)
            half = solve_triangular(root, b, lower=True, b_ndim=1)
            square = (w * off**2).sum() - (half**2).sum()
            log_det = 2.0 * pm.math.log(root[np.arange(len(self.back)), np.arange(len(self.back))]).sum()
            return -0.5 * (square + log_det - pm.math.log(w / (2 * np.pi)).sum())

        def draw_rows(start: Any, tau: Any, sds: Any, rng: np.random.Generator, size: Any) -> FloatArray:
            shape = tuple(size) if size is not None else ()
            spread = np.broadcast_to(sds, (*shape, self.X.shape[1]))
            t = np.broadcast_to(tau, shape)[..., None]
            mean = start + (spread * rng.standard_normal(spread.shape)) @ self.X.T
            return np.asarray(mean + np.sqrt(es.vi + np.square(t)) * rng.standard_normal(mean.shape))

        pm.CustomDist(
            "y",
            self.X @ self._start(es),
            tau,
            sds,
            logp=logp,
            random=draw_rows,
            signature="(k),(),(p)->(k)",
            observed=es.yi,
            dims="study",
        )

    def generative(self, es: EffectSizes) -> tuple[Any, list[str]]:
        """Return the model in the order data arise, which draws from the prior; and what to draw."""
        pm = import_pymc()
        prior, names = self.config.intercept_of(es), list(self.design.names)
        with pm.Model(coords={**row_names(es), "coefficient": names, "slope": names[1:]}) as model:
            tau = tau_variable(pm, "tau", self.config.tau_of(es))
            slopes = pm.Normal("standard", 0.0, 1.0, dims="slope") * self._scales(pm)
            beta = pm.math.concatenate([[pm.Normal("average", prior.mean, prior.sd)], slopes])
            pm.Deterministic("coef", pm.math.dot(self.back, beta), dims="coefficient")
            theta = pm.Normal("theta", pm.math.dot(self.X, beta), tau, dims="study")
            pm.Normal("y", theta, es.sei, observed=es.yi, dims="study")
        return model, ["coef", "tau", "theta", "y"]

    def log_likelihood(self, es: EffectSizes, posterior: Any) -> FloatArray:
        """Log density of each effect given the coefficients, its true effect integrated out."""
        tau = np.asarray(posterior["tau"].values, dtype=np.float64)[..., None]
        mean = np.asarray(posterior["coef"].values, dtype=np.float64) @ self.design.matrix.T
        total = es.vi + np.square(tau)
        return np.asarray(-0.5 * (np.square(es.yi - mean) / total + np.log(2 * np.pi * total)))


def _information(pm: Any, X: FloatArray, w: Any, sds: Any) -> Any:
    """``I + S X'WX S``, which stays well conditioned where scales come near 0."""
    return np.eye(X.shape[1]) + sds[:, None] * pm.math.dot(X.T * w, X) * sds


@dataclass(frozen=True, eq=False, repr=False)
class SampledRegressionResult(Sampled):
    """Draws from the posterior of a meta-regression with shrunk slopes. Frozen."""

    @property
    def names(self) -> tuple[str, ...]:
        """Coefficients."""
        names: tuple[str, ...] = self._plan.design.names
        return names

    @property
    def tau(self) -> Draws:
        """Between-study standard deviation that the moderators leave."""
        return Draws(self._values("tau").ravel(), low=0.0)

    @property
    def scale(self) -> Draws:
        """Scale of shrinkage common to all slopes.

        Raises
        ------
        UsageError
            It was given as a number.
        """
        if "scale" not in self._names:
            raise UsageError(f"the scale of shrinkage was fixed at {self.model.scale:g}")
        return Draws(self._values("scale").ravel(), low=0.0)

    def coefficient(self, name: str) -> Draws:
        """Return the posterior of one coefficient, in the moderator's own unit.

        Raises
        ------
        UsageError
            No such column of the design.
        """
        if name not in self.names:
            raise UsageError(f"coefficient {name!r} is not one of {', '.join(map(repr, self.names))}")
        return Draws(self._values("coef")[..., self.names.index(name)].ravel())

    @property
    def coef(self) -> pd.DataFrame:
        """Posterior of the coefficients with 95% intervals; see :meth:`coef_at`."""
        return self.coef_at()

    def coef_at(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, sd, median, low, high, mcse and prob_positive of every coefficient."""
        import pandas as pd

        rows = {}
        for name in self.names:
            d = self.coefficient(name)
            rows[name] = {
                **self._summary(d, f"coef[{name}]", check_level(level)),
                "prob_positive": d.prob(low=0.0),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def predict(
        self, newdata: pd.DataFrame | Mapping[str, Any], level: float = 0.95, seed: int | None = None
    ) -> pd.DataFrame:
        """Predict the expected effect and a new study's effect: mean, sd, low, high, pi_low, pi_high.

        Parameters
        ----------
        newdata : DataFrame or mapping of columns
            The moderators of the formula; n rows.
        level : float
        seed : int, optional
            Of the draws of new studies; that of the fit by default.

        Raises
        ------
        UsageError
            A column is missing, or a level the fit has not seen.
        """
        import pandas as pd

        check_level(level)
        beta = self._values("coef").reshape(-1, len(self.names))
        rng = np.random.default_rng(self.seed if seed is None else seed)
        out = []
        for row in self._plan.design.rows(newdata):
            mean = beta @ row
            d, new = Draws(mean), Draws(mean + self.tau.values * rng.standard_normal(mean.size))
            (low, high), (pi_low, pi_high) = d.ci(level), new.ci(level)
            out.append(
                {"mean": d.mean, "sd": d.sd, "low": low, "high": high, "pi_low": pi_low, "pi_high": pi_high}
            )
        return pd.DataFrame(out, index=getattr(newdata, "index", None))

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, sd, median, low, high and the Monte Carlo error of the mean, one quantity a row."""
        import pandas as pd

        rows = {name: self._summary(self.coefficient(name), f"coef[{name}]", level) for name in self.names}
        rows["tau"] = self._summary(self.tau, "tau", level)
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {self.coefficient(name).median:.4g}" for name in self.names)
        return (
            f"SampledRegressionResult(k={self.k}, {self.model.formula!r}: {told}, tau {self.tau.median:.3f}; "
            f"seed {self.seed})"
        )
