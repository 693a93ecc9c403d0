"""A selection model by sampling: effects reported with a probability that falls with their p-value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.measures import check_choice
from mtmeta.models.bayes_words import default_priors
from mtmeta.models.posterior_draws import Draws
from mtmeta.models.priors_base import FloatArray, Prior
from mtmeta.models.sampled_fit import SampledResult, Sampling, draw, row_names
from mtmeta.models.sampled_priors import import_pymc, mean_variable, tau_variable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SampledSelection", "SampledSelectionResult"]

Alternative = Literal["greater", "less", "two-sided"]


@dataclass(frozen=True)
class SampledSelection:
    r"""Random-effects model of effects that were selected by their p-value, by sampling.

    Before selection :math:`y_i\sim N(\mu, v_i + \tau^2)`. A result with p between the steps
    :math:`a_{j-1}` and :math:`a_j` is reported with the probability :math:`\omega_j` relative to the most
    significant, so that what is reported has the density :math:`\omega(p_i)\,N(y_i; \mu, v_i + \tau^2)/A_i`
    with :math:`A_i = \sum_j \omega_j P(a_{j-1} < p \le a_j)`.

    Parameters
    ----------
    mu, tau : Prior, optional
        As for :class:`~mtmeta.models.bayes.BayesRandomEffects`, with the same defaults. The prior of mu must
        be proper: where almost all may be unreported, data alone do not bound it.
    steps : sequence of float in (0, 1)
        p-values at which the probability falls, ascending.
    alternative : {"greater", "less", "two-sided"}
        Direction that p favours; "less" for scales where lower is better.
    concentration : float or sequence of float, default 1
        Of the Dirichlet prior of the falls of the weights (one more than steps, the first at the first step,
        the last what is left for the least significant): the weights fall from 1 by a cumulative
        Dirichlet distribution, as in RoBMA. 1 makes the weights below the first the order statistics of
        uniform numbers.
    sampling : Sampling

    Notes
    -----
    p comes from the normal distribution, effect over standard error. The likelihood is that of
    :class:`~mtmeta.diagnostics.selection.SelectionModel` with falling weights; ``mu``, ``tau`` and
    ``new_study`` speak of all studies, reported or not.

    References
    ----------
    Vevea, J. L. & Hedges, L. V. (1995). A general linear model for estimating effect size in the presence of
    publication bias. Psychometrika 60, 419-435.
    Maier, M., Bartoš, F. & Wagenmakers, E.-J. (2023). Robust Bayesian meta-analysis: addressing publication
    bias with model-averaging. Psychol Methods 28, 107-122.

    Examples
    --------
    ``fit(es, seed=1)`` samples; before, the sentence says with which priors.

    >>> es = EffectSizes.of([0.5, 0.6, 0.1, 0.7], [0.04, 0.05, 0.03, 0.1], "SMD")
    >>> print(SampledSelection(steps=(0.025, 0.5)).sentence(es))
    Effects were pooled with a Bayesian selection model (Vevea and Hedges 1995) whose weights fall at
    one-sided p of .025, .5 (high effects favoured); priors: mu ~ Normal(0, 2), tau ~ HalfNormal(0.5), weights
    cumulative Dirichlet(1, 1, 1).
    """

    mu: Prior | None = None
    tau: Prior | None = None
    steps: Sequence[float] = (0.025,)
    alternative: Alternative = "greater"
    concentration: float | Sequence[float] = 1.0
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        check_choice("alternative", self.alternative, ("greater", "less", "two-sided"))
        a = np.asarray(self.steps, dtype=np.float64)
        if a.ndim != 1 or not a.size or not ((a > 0) & (a < 1)).all() or (np.diff(a) <= 0).any():
            raise UsageError(
                f"steps={self.steps!r} must be p-values between 0 and 1, ascending, such as (0.025, 0.5)"
            )
        c = np.asarray(self.concentration, dtype=np.float64)
        if not (c > 0).all() or not np.isfinite(c).all() or c.shape not in ((), (a.size + 1,)):
            raise UsageError(
                f"concentration={self.concentration!r} must be above 0: one number, or {a.size + 1} for "
                f"{a.size} steps"
            )

    def mu_of(self, es: EffectSizes) -> Prior:
        """Prior of the mean, the default filled in."""
        return self.mu or default_priors(es.measure)[0]

    def tau_of(self, es: EffectSizes) -> Prior:
        """Prior of tau, the default filled in and what it takes from the data put in."""
        return (self.tau or default_priors(es.measure)[1]).for_variances(es.vi)

    @property
    def _falls(self) -> FloatArray:
        return np.broadcast_to(np.asarray(self.concentration, dtype=np.float64), len(self.steps) + 1)

    @property
    def intervals(self) -> tuple[str, ...]:
        """Names of the intervals of p, from the most significant."""
        return tuple(f"p {a:g} to {b:g}" for a, b in pairwise((0.0, *self.steps, 1.0)))

    def sentence(self, es: EffectSizes) -> str:
        """Model and priors in words."""
        side = "two-sided" if self.alternative == "two-sided" else "one-sided"
        favoured = {"greater": " (high effects favoured)", "less": " (low effects favoured)"}
        return (
            "Effects were pooled with a Bayesian selection model (Vevea and Hedges 1995) whose weights fall "
            f"at {side} p of {', '.join(f'{a:g}'.removeprefix('0') for a in self.steps)}"
            f"{favoured.get(self.alternative, '')}; priors: mu ~ {self.mu_of(es)!r}, tau ~ "
            f"{self.tau_of(es)!r}, weights cumulative Dirichlet({', '.join(f'{c:g}' for c in self._falls)})."
        )

    def proper(self, es: EffectSizes) -> bool:
        """Whether the prior is one that predicts data."""
        return self.mu_of(es).proper

    def _cuts(self, es: EffectSizes) -> FloatArray:
        """Effects at the steps, (m, k), of the side that is favoured."""
        a = np.asarray(self.steps, dtype=np.float64)
        z = -special.ndtri(a / 2 if self.alternative == "two-sided" else a)
        return np.asarray(z[:, None] * es.sei)

    @property
    def _sides(self) -> tuple[float, ...]:
        """Signs of the effects whose small p values are favoured."""
        return {"greater": (1.0,), "less": (-1.0,), "two-sided": (1.0, -1.0)}[self.alternative]

    def interval_of(self, es: EffectSizes) -> npt.NDArray[np.intp]:
        """Return the interval of p of every effect, 0 the most significant."""
        y = np.abs(es.yi) if self.alternative == "two-sided" else self._sides[0] * es.yi
        return np.asarray((y < self._cuts(es)).sum(axis=0), dtype=np.intp)

    def build(self, es: EffectSizes) -> Any:
        """Return the PyMC model.

        Raises
        ------
        UsageError
            PyMC is not installed, a flat prior of mu, or a prior that cannot be sampled.
        """
        self._require_proper(es)
        pm = import_pymc()
        coords = {"interval": list(self.intervals), "lower_interval": list(self.intervals[1:])}
        with pm.Model(coords={**row_names(es), **coords}) as model:
            mu = mean_variable(pm, "mu", self.mu_of(es))
            tau = tau_variable(pm, "tau", self.tau_of(es))
            falls = pm.Dirichlet("falls", a=np.array(self._falls), dims="interval")
            # weights as sums of the falls below, so that no small one is a difference
            below = np.triu(np.ones((len(self.intervals),) * 2))
            omega = pm.math.dot(below, falls)
            pm.Deterministic("omega", omega[1:], dims="lower_interval")  # the first is 1
            self._observe(pm, es, mu, tau, omega, falls)
        return model

    def complete(
        self, es: EffectSizes, posterior: Any, rng: np.random.Generator
    ) -> dict[str, tuple[tuple[str, ...], FloatArray]]:
        """Draw the true effects, which selection by the observed ones leaves normal, and a new study's."""
        mu, tau = (np.asarray(posterior[n].values, dtype=np.float64)[..., None] for n in ("mu", "tau"))
        share = np.square(tau) / (np.square(tau) + es.vi)
        z = rng.standard_normal((*mu.shape[:-1], es.k))
        theta = share * es.yi + (1 - share) * mu + np.sqrt(es.vi * share) * z
        new = (mu + tau * rng.standard_normal(mu.shape))[..., 0]
        return {"theta": (("study",), theta), "new_study": ((), new)}

    def _observe(self, pm: Any, es: EffectSizes, mu: Any, tau: Any, omega: Any, falls: Any) -> None:
        cuts, sides, place = self._cuts(es), self._sides, self.interval_of(es)

        def logp(value: Any, mu: Any, tau: Any, omega: Any, falls: Any) -> Any:
            sd = pm.math.sqrt(es.vi + tau**2)
            beyond = sum(0.5 * pm.math.erfc((cuts - s * mu) / (np.sqrt(2.0) * sd)) for s in sides)
            reported = falls[-1] + pm.math.dot(falls[:-1], beyond)
            plain = -0.5 * ((value - mu) / sd) ** 2 - pm.math.log(sd) - 0.5 * np.log(2 * np.pi)
            return (plain + pm.math.log(omega[place]) - pm.math.log(reported)).sum()

        def draw_rows(
            mu: Any, tau: Any, omega: Any, falls: Any, rng: np.random.Generator, size: Any
        ) -> FloatArray:
            shape = tuple(size) if size is not None else ()
            m, t = np.broadcast_to(mu, (*shape, es.k)), np.broadcast_to(tau, shape)[..., None]
            w = np.broadcast_to(omega, (*shape, len(self.steps) + 1))
            return self._reported(es, m, t, w, rng)

        pm.CustomDist(
            "y",
            mu * np.ones(es.k),
            tau,
            omega,
            falls,
            logp=logp,
            random=draw_rows,
            signature="(k),(),(j),(j)->(k)",
            observed=es.yi,
            dims="study",
        )

    def _reported(
        self, es: EffectSizes, mu: FloatArray, tau: FloatArray, omega: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Draw reported effects (..., k): an interval by its probability, then a place in it."""
        cuts = self._cuts(es)
        sd = np.sqrt(es.vi + np.square(tau))
        low = np.full(es.k, -np.inf)
        if self.alternative == "two-sided":
            edges = np.stack([low, *(-cuts), *cuts[::-1], -low])
            m = len(self.steps)
            weight = omega[..., [*range(m + 1), *range(m - 1, -1, -1)]]
        elif self.alternative == "greater":
            edges, weight = np.stack([low, *cuts[::-1], -low]), omega[..., ::-1]
        else:
            edges, weight = np.stack([low, *(-cuts), -low]), omega
        z = (np.moveaxis(np.broadcast_to(edges, (*sd.shape[:-1], *edges.shape)), -2, 0) - mu) / sd
        upper = np.where(
            z[:-1] > 0,
            special.ndtr(-z[:-1]) - special.ndtr(-z[1:]),
            special.ndtr(z[1:]) - special.ndtr(z[:-1]),
        )
        mass = np.moveaxis(weight, -1, 0)[..., None] * upper
        total = np.cumsum(mass, axis=0)
        u = rng.random(total.shape[1:]) * total[-1]
        which = np.minimum((total < u).sum(axis=0), len(mass) - 1)[None]
        a, b = (np.take_along_axis(x, which, axis=0)[0] for x in (z[:-1], z[1:]))
        v = rng.random(a.shape)
        turned = np.where(a > 0, -1.0, 1.0)  # in the upper tail by its mirror image, which keeps digits
        p, q = special.ndtr(turned * a), special.ndtr(turned * b)
        return np.asarray(mu + sd * turned * special.ndtri(p + v * (q - p)))

    def generative(self, es: EffectSizes) -> tuple[Any, list[str]]:
        """Return the model that draws from the prior, and what to draw."""
        pm = import_pymc()
        with self.build(es) as model:
            pm.Normal("new_study", model["mu"], model["tau"])
        return model, ["mu", "tau", "omega", "new_study", "y"]

    def log_likelihood(self, es: EffectSizes, posterior: Any) -> FloatArray:
        """Log density of each reported effect, its true effect integrated out: (chain, draw, study)."""
        mu, tau = (np.asarray(posterior[n].values, dtype=np.float64)[..., None] for n in ("mu", "tau"))
        falls = np.asarray(posterior["falls"].values, dtype=np.float64)
        omega = np.cumsum(falls[..., ::-1], axis=-1)[..., ::-1]
        sd = np.sqrt(es.vi + np.square(tau))
        reported = falls[..., -1:]
        for j, cut in enumerate(self._cuts(es)):
            for side in self._sides:
                reported = reported + falls[..., j, None] * special.ndtr((side * mu - cut) / sd)
        plain = -0.5 * np.square((es.yi - mu) / sd) - np.log(sd) - 0.5 * np.log(2 * np.pi)
        return np.asarray(plain + np.log(omega[..., self.interval_of(es)]) - np.log(reported))

    def _require_proper(self, es: EffectSizes) -> None:
        if not self.mu_of(es).proper:
            raise UsageError(
                "a selection model needs a proper prior of mu: with few reported results the data do not "
                "bound the mean of all; use Normal(0, 2) for standardised differences"
            )

    def fit(self, es: EffectSizes, seed: int) -> SampledSelectionResult:
        """Sample the posterior.

        Raises
        ------
        ModelError
            A chain failed: divergent transitions, R-hat above 1.01, fewer than 400 effective draws.
        UsageError
            PyMC is not installed, a flat prior of mu, or a prior that cannot be sampled.
        """
        self._require_proper(es)
        names = ("mu", "tau", "falls", "omega", "theta", "new_study")
        found, model, checks = draw(self, es, self.sampling, seed, names)
        return SampledSelectionResult(es, self, found, model, checks, seed, self, ("mu", "tau"))


@dataclass(frozen=True, eq=False, repr=False)
class SampledSelectionResult(SampledResult):
    """Draws from the posterior of a selection model. Frozen.

    As :class:`SampledResult`, and the weights. ``mu``, ``tau`` and ``new_study`` speak of all studies,
    reported or not.
    """

    def weight(self, interval: int) -> Draws:
        """Return the probability to be reported in an interval of p, relative to the first (interval 0).

        Raises
        ------
        UsageError
            No such interval; the first has the weight 1.
        """
        names = self.model.intervals
        if isinstance(interval, bool) or not 1 <= interval < len(names):
            raise UsageError(f"interval={interval!r} must be a number from 1 to {len(names) - 1}")
        return Draws(self._values("omega")[..., interval - 1].ravel(), low=0.0, high=1.0)

    @property
    def omega(self) -> pd.DataFrame:
        """One row an interval of p: k (effects there); mean, sd, median, low, high, mcse of its weight."""
        import pandas as pd

        place = self.model.interval_of(self.data)
        one = {"mean": 1.0, "sd": 0.0, "median": 1.0, "low": 1.0, "high": 1.0, "mcse": 0.0}
        rows: dict[str, dict[str, float]] = {}
        for j, name in enumerate(self.model.intervals):
            about = one if j == 0 else self._summary(self.weight(j), f"omega[{name}]", 0.95)
            rows[name] = {"k": int((place == j).sum()), **about}
        return pd.DataFrame.from_dict(rows, orient="index")
