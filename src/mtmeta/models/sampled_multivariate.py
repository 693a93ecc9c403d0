"""Several outcomes of one study at once, by sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError
from mtmeta.measures import check_choice
from mtmeta.models.bayes_words import default_priors
from mtmeta.models.multivariate import checked_covariance, groups_of, outcomes_of
from mtmeta.models.posterior_draws import Draws
from mtmeta.models.priors_base import FloatArray, Prior
from mtmeta.models.sampled_fit import Sampled, Sampling, draw, row_names
from mtmeta.models.sampled_priors import import_pymc, mean_variable, tau_variable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SampledMultivariate", "SampledMultivariateResult"]

PriorsOf = Prior | Mapping[str, Prior]


@dataclass(frozen=True)
class SampledMultivariate:
    r"""Multivariate normal-normal model by sampling: :math:`y_{io} = \mu_o + u_{io} + e_{io}`.

    Studies are ``es.cluster``; :math:`u_i\sim N(0, G)` over the outcomes of a study with
    :math:`G = \mathrm{diag}(\tau)\,R\,\mathrm{diag}(\tau)`, :math:`e_i\sim N(0, V_i)` with known V. A study
    need not report every outcome.

    Parameters
    ----------
    mu, tau : Prior or mapping of outcome to Prior, optional
        Of each outcome's mean and between-study standard deviation; one for all, or by outcome. Defaults as
        for :class:`~mtmeta.models.bayes.BayesRandomEffects`.
    structure : {"UN", "CS", "DIAG"}
        Of G. UN: a standard deviation for each outcome and any correlations, R ~ LKJ(`lkj`). CS: one standard
        deviation and one correlation, uniform over all that q outcomes may have, -1/(q - 1) to 1. DIAG: no
        correlation.
    lkj : float, default 1
        Density of R proportional to ``det(R)**(lkj - 1)``: 1 is uniform over correlation matrices, more
        pulls towards none.
    outcome : str
        Moderator column that tells the outcomes apart.
    within_rho : float in [0, 1), default 0
        Correlation of the sampling errors of one study's rows, when no covariance is given to :meth:`fit`.
    sampling : Sampling

    Notes
    -----
    True effects are integrated out of the likelihood and drawn afterwards. R is built from partial
    correlations with beta distributions (Lewandowski et al. 2009, J Multivar Anal 100, p. 1994), which makes
    every draw a correlation matrix.

    References
    ----------
    Wei, Y. & Higgins, J. P. T. (2013). Bayesian multivariate meta-analysis with multiple outcomes. Stat Med
    32, 2911-2934.
    Lewandowski, D., Kurowicka, D. & Joe, H. (2009). Generating random correlation matrices based on vines and
    extended onion method. J Multivar Anal 100, 1989-2001.

    Examples
    --------
    ``fit(es, seed=1, covariance=V)`` samples; before, the sentence says with which priors.

    >>> outcomes = {"outcome": ["PD", "AL", "PD", "AL"]}
    >>> es = EffectSizes.of([0.47, -0.32, 0.20, -0.60], [0.0075, 0.0077, 0.0057, 0.0008], "SMD",
    ...                     cluster=list("1122"), moderators=outcomes)
    >>> print(SampledMultivariate().sentence(es))
    Effects on 2 outcomes (AL, PD) in 2 studies were pooled with a Bayesian multivariate model (Wei and
    Higgins 2013), between studies unstructured; priors: mu ~ Normal(0, 2), tau ~ HalfNormal(0.5),
    correlations ~ LKJ(1).
    """

    mu: PriorsOf | None = None
    tau: PriorsOf | None = None
    structure: Literal["UN", "CS", "DIAG"] = "UN"
    lkj: float = 1.0
    outcome: str = "outcome"
    within_rho: float = 0.0
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        check_choice("structure", self.structure, ("UN", "CS", "DIAG"))
        if isinstance(self.lkj, bool) or not isinstance(self.lkj, (int, float)) or not 0 < self.lkj < 1e6:
            raise UsageError(f"lkj={self.lkj!r} must be a number above 0; 1 is uniform")
        rho = self.within_rho
        if isinstance(rho, bool) or not isinstance(rho, (int, float)) or not 0 <= rho < 1:
            raise UsageError(f"within_rho={rho!r} must be a correlation from 0 to below 1, such as 0.6")
        if self.structure == "CS" and isinstance(self.tau, Mapping):
            raise UsageError("structure='CS' has one tau for all outcomes; give tau one prior")

    def levels(self, es: EffectSizes) -> tuple[str, ...]:
        """Outcomes in the order of the result."""
        return outcomes_of(es, self.outcome)[0]

    def priors(self, es: EffectSizes, about: Literal["mu", "tau"]) -> dict[str, Prior]:
        """Return the priors of the means or of tau by outcome, defaults filled in.

        Raises
        ------
        UsageError
            A mapping that lacks an outcome or names one that is not there.
        """
        given, levels = (self.mu if about == "mu" else self.tau), self.levels(es)
        if isinstance(given, Mapping):
            if set(given) != set(levels):
                raise UsageError(
                    f"{about}: priors are given for {sorted(given)}, the outcomes are {sorted(levels)}"
                )
            by_level = {name: given[name] for name in levels}
        else:
            prior = given or default_priors(es.measure)[0 if about == "mu" else 1]
            by_level = dict.fromkeys(levels, prior)
        return {name: p.for_variances(es.vi) if about == "tau" else p for name, p in by_level.items()}

    def sentence(self, es: EffectSizes) -> str:
        """Model and priors in words."""
        levels = self.levels(es)
        words = []
        for about in ("mu", "tau"):
            by_level = self.priors(es, about)
            same = len({repr(p) for p in by_level.values()}) == 1
            told = (
                {about: by_level[levels[0]]} if same else {f"{about} of {n}": p for n, p in by_level.items()}
            )
            words += [f"{name} ~ {p!r}" for name, p in told.items()]
        kind = {
            "UN": ("unstructured", f"correlations ~ LKJ({self.lkj:g})"),
            "CS": ("compound symmetric", f"correlation ~ Uniform({-1 / (len(levels) - 1 or 1):.3g}, 1)"),
            "DIAG": ("uncorrelated", ""),
        }[self.structure]
        return (
            f"Effects on {len(levels)} outcomes ({', '.join(levels)}) in {len(set(es.cluster))} studies were "
            "pooled with a Bayesian multivariate model (Wei and Higgins 2013), between studies "
            f"{kind[0]}; priors: {', '.join([*words, *filter(None, [kind[1]])])}."
        )

    def fit(
        self, es: EffectSizes, seed: int, *, covariance: npt.ArrayLike | None = None
    ) -> SampledMultivariateResult:
        """Sample the posterior.

        Parameters
        ----------
        es : EffectSizes
            With `cluster` (the studies) and the outcome among its moderators.
        seed : int
        covariance : array_like (k, k), optional
            Covariance of the sampling errors, its diagonal `es.vi`, nothing between clusters; see
            :func:`mtmeta.sampling_covariance`.

        Raises
        ------
        ModelError
            A covariance that is not one, or a chain that failed: divergent transitions, R-hat above 1.01,
            fewer than 400 effective draws.
        UsageError
            No such column, one outcome only, PyMC is not installed, or a prior that cannot be sampled.
        """
        plan = Plan.of(self, es, covariance)
        names = ["mu", "tau", "theta", "new_study", *(["rho"] if self.structure != "DIAG" else [])]
        found, model, checks = draw(plan, es, self.sampling, seed, tuple(names))
        kept = tuple(name for name in names if name in ("mu", "tau", "rho"))
        return SampledMultivariateResult(es, self, found, model, checks, seed, plan, kept)


@dataclass(frozen=True, eq=False)
class Plan:
    """A multivariate model with its data's covariance: what builds the PyMC model. Private.

    Attributes
    ----------
    config : SampledMultivariate
    levels : tuple of str, length q
    place : ndarray (k,)
        Outcome of each row.
    groups : tuple of (rows (m, s), covariance of errors (m, s, s))
        Studies with s rows each.
    """

    config: SampledMultivariate
    levels: tuple[str, ...]
    place: npt.NDArray[np.intp]
    groups: tuple[tuple[npt.NDArray[np.intp], FloatArray], ...]

    @classmethod
    def of(cls, config: SampledMultivariate, es: EffectSizes, covariance: npt.ArrayLike | None) -> Plan:
        """Check data and covariance."""
        levels, place = outcomes_of(es, config.outcome)
        if len(levels) < 2:
            raise UsageError(f"there is one outcome, {levels[0]!r}; use BayesRandomEffects, which is exact")
        V = None if covariance is None else checked_covariance(es, covariance)
        return cls(config, levels, place, groups_of(es, V, config.within_rho, 1.0))

    def proper(self, es: EffectSizes) -> bool:
        """Whether the prior is one that predicts data."""
        return all(p.proper for p in self.config.priors(es, "mu").values())

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of outcomes, the later first."""
        return [(i, j) for i in range(len(self.levels)) for j in range(i)]

    def build(self, es: EffectSizes) -> Any:
        """Return the PyMC model."""
        return self._model(import_pymc(), es)[0]

    def _model(self, pm: Any, es: EffectSizes) -> tuple[Any, Any]:
        """Return the PyMC model and the Cholesky root of G in it."""
        config, q = self.config, len(self.levels)
        clusters = sorted(set(es.cluster), key=es.cluster.index)
        coords: dict[str, Any] = {**row_names(es), "outcome": list(self.levels), "cluster": clusters}
        coords["pair"] = [f"{self.levels[j]}, {self.levels[i]}" for i, j in self.pairs]
        stack = pm.math.stack
        with pm.Model(coords=coords) as model:
            means = [mean_variable(pm, f"mu_{n}", p) for n, p in config.priors(es, "mu").items()]
            mu = pm.Deterministic("mu", stack(means), dims="outcome")
            priors = config.priors(es, "tau")
            if config.structure == "CS":
                sds = [tau_variable(pm, "tau_all", next(iter(priors.values())))] * q
            else:
                sds = [tau_variable(pm, f"tau_{n}", p) for n, p in priors.items()]
            tau = pm.Deterministic("tau", stack(sds), dims="outcome")
            root = self._root(pm, tau)
            self._observe(pm, es, mu, pm.math.dot(root, root.T))
        return model, root

    def _between(self, posterior: Any) -> FloatArray:
        """G at every draw, (chain, draw, q, q)."""
        tau = np.asarray(posterior["tau"].values, dtype=np.float64)
        R = np.broadcast_to(np.eye(len(self.levels)), (*tau.shape, len(self.levels))).copy()
        for p, (i, j) in enumerate(self.pairs if self.config.structure != "DIAG" else []):
            R[..., i, j] = R[..., j, i] = posterior["rho"].values[..., p]
        return np.asarray(R * tau[..., :, None] * tau[..., None, :])

    def complete(
        self, es: EffectSizes, posterior: Any, rng: np.random.Generator
    ) -> dict[str, tuple[tuple[str, ...], FloatArray]]:
        """Draw true effects of the rows and of a new study.

        By Matheron's rule: studies are repeated from the model, and corrected by what their data say.
        """
        mu, between = np.asarray(posterior["mu"].values, dtype=np.float64), self._between(posterior)
        root = _root(between)
        clusters = sorted(set(es.cluster), key=es.cluster.index)
        member = np.array([clusters.index(c) for c in es.cluster])
        z = rng.standard_normal((*mu.shape[:2], len(self.levels), len(clusters)))
        u = np.moveaxis(root @ z, -1, -2)[..., member, self.place]
        theta = mu[..., self.place] + u
        for rows, block in self.groups:
            e = _root(block) @ rng.standard_normal((*mu.shape[:2], *rows.shape, 1))
            total = _numbers(self.place[rows], block, between)
            solved = np.linalg.solve(total, (es.yi - theta)[..., rows][..., None] - e)
            theta[..., rows] += ((total - block) @ solved)[..., 0]
        new = mu + (root @ rng.standard_normal((*mu.shape, 1)))[..., 0]
        return {"theta": (("study",), theta), "new_study": (("outcome",), new)}

    def _root(self, pm: Any, tau: Any) -> Any:
        """Cholesky root of G."""
        q, config = len(self.levels), self.config
        if config.structure == "DIAG":
            return pm.math.stack([[tau[i] if i == j else 0.0 * tau[i] for j in range(q)] for i in range(q)])
        one, rows = 1.0 + 0.0 * tau[0], []
        if config.structure == "CS":
            rho = pm.Uniform("rho_all", -1.0 / (q - 1), 1.0)
            pm.Deterministic("rho", rho * np.ones(len(self.pairs)), dims="pair")
        for i in range(q):
            left, row = one, []
            for j in range(i):
                if config.structure == "CS":  # the partial correlation given j others of equal correlation
                    partial = rho / (1.0 + j * rho)
                else:
                    shape = config.lkj + 0.5 * (q - 2 - j)
                    unit = pm.Beta(f"partial_{self.levels[j]}_{self.levels[i]}", shape, shape)
                    partial = 2.0 * unit - 1.0
                row.append(partial * pm.math.sqrt(left))
                left = left * (1.0 - partial**2)
            rows.append([*row, pm.math.sqrt(left), *[0.0 * one] * (q - 1 - i)])
        root = pm.math.stack(rows)
        if config.structure == "UN":
            R = pm.math.dot(root, root.T)
            pm.Deterministic("rho", pm.math.stack([R[i, j] for i, j in self.pairs]), dims="pair")
        return tau[:, None] * root

    def _total(self, rows: npt.NDArray[np.intp], block: FloatArray, G: Any) -> Any:
        o = self.place[rows]
        return block + G[o[:, :, None], o[:, None, :]]

    def _observe(self, pm: Any, es: EffectSizes, mu: Any, G: Any) -> None:
        """Put observed effects into the open model, true effects integrated out."""
        from pytensor.tensor.linalg import cholesky, solve_triangular  # beside PyMC always

        def logp(value: Any, mu: Any, G: Any) -> Any:
            out = -0.5 * es.k * np.log(2 * np.pi)
            for rows, block in self.groups:
                root = cholesky(self._total(rows, block, G))
                r = (value - mu)[rows]
                half = solve_triangular(root, r[..., None], lower=True, b_ndim=2)
                diagonal = root[:, np.arange(rows.shape[1]), np.arange(rows.shape[1])]
                out = out - 0.5 * (half**2).sum() - pm.math.log(diagonal).sum()
            return out

        def draw_rows(mu: Any, G: Any, rng: np.random.Generator, size: Any) -> FloatArray:
            shape = tuple(size) if size is not None else ()
            m = np.broadcast_to(mu, (*shape, es.k))
            between = np.broadcast_to(G, (*shape, *np.shape(G)[-2:]))
            drawn = np.empty((*shape, es.k))
            for rows, block in self.groups:
                root = np.linalg.cholesky(_numbers(self.place[rows], block, between))
                z = rng.standard_normal((*shape, *rows.shape, 1))
                drawn[..., rows] = m[..., rows] + (root @ z)[..., 0]
            return drawn

        pm.CustomDist(
            "y",
            mu[self.place],
            G,
            logp=logp,
            random=draw_rows,
            signature="(k),(q,q)->(k)",
            observed=es.yi,
            dims="study",
        )

    def generative(self, es: EffectSizes) -> tuple[Any, list[str]]:
        """Return the model that draws from the prior, and what to draw."""
        rho = ["rho"] if self.config.structure != "DIAG" else []
        pm = import_pymc()
        model, root = self._model(pm, es)
        with model:
            z = pm.Normal("z", 0.0, 1.0, dims="outcome")
            pm.Deterministic("new_study", model["mu"] + pm.math.dot(root, z), dims="outcome")
        return model, ["mu", "tau", *rho, "new_study", "y"]

    def log_likelihood(self, es: EffectSizes, posterior: Any) -> FloatArray:
        """Log density of all a study reports, its true effects integrated out: (chain, draw, cluster)."""
        mu, between = np.asarray(posterior["mu"].values, dtype=np.float64), self._between(posterior)
        clusters = sorted(set(es.cluster), key=es.cluster.index)
        out = np.empty((*mu.shape[:-1], len(clusters)))
        for rows, block in self.groups:
            total = _numbers(self.place[rows], block, between)
            r = es.yi[rows] - mu[..., self.place[rows]]
            square = (r * np.linalg.solve(total, r[..., None])[..., 0]).sum(axis=-1)
            log_p = -0.5 * (square + np.linalg.slogdet(total)[1] + rows.shape[1] * np.log(2 * np.pi))
            out[..., [clusters.index(es.cluster[i]) for i in rows[:, 0]]] = log_p
        return out


def _numbers(o: npt.NDArray[np.intp], block: FloatArray, between: FloatArray) -> FloatArray:
    """Covariances of the studies of one size, (..., m, s, s)."""
    return np.asarray(block + between[..., o[:, :, None], o[:, None, :]])


def _root(covariance: FloatArray) -> FloatArray:
    """Return A with A A' the covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :])


@dataclass(frozen=True, eq=False, repr=False)
class SampledMultivariateResult(Sampled):
    """Draws from the posterior of a multivariate model. Frozen."""

    @property
    def levels(self) -> tuple[str, ...]:
        """Outcomes."""
        levels: tuple[str, ...] = self._plan.levels
        return levels

    def _place(self, outcome: str) -> int:
        if outcome not in self.levels:
            raise UsageError(f"outcome {outcome!r} is not one of {', '.join(map(repr, self.levels))}")
        return self.levels.index(outcome)

    def mu(self, outcome: str) -> Draws:
        """Return the mean effect on an outcome."""
        return Draws(self._values("mu")[..., self._place(outcome)].ravel())

    def tau(self, outcome: str) -> Draws:
        """Return the between-study standard deviation of an outcome."""
        return Draws(self._values("tau")[..., self._place(outcome)].ravel(), low=0.0)

    def new_study(self, outcome: str) -> Draws:
        """Return the true effect of a new study on an outcome."""
        return Draws(self._values("new_study")[..., self._place(outcome)].ravel())

    def rho(self, first: str, second: str) -> Draws:
        """Return the between-study correlation of two outcomes.

        Raises
        ------
        UsageError
            No such outcome, the same twice, or a model without correlations.
        """
        i, j = sorted((self._place(first), self._place(second)), reverse=True)
        if i == j or self.model.structure == "DIAG":
            why = "the two are the same" if i == j else "structure='DIAG' has none"
            raise UsageError(f"no correlation between {first!r} and {second!r}: {why}")
        return Draws(self._values("rho")[..., self._plan.pairs.index((i, j))].ravel(), low=-1.0, high=1.0)

    def difference(self, first: str, second: str) -> Draws:
        """Return the difference of two outcomes' means, first minus second."""
        means = self._values("mu")
        return Draws((means[..., self._place(first)] - means[..., self._place(second)]).ravel())

    @property
    def shrinkage(self) -> pd.DataFrame:
        """Posterior of every row's effect: study, outcome, mean, sd, low, high (95%, equal tails)."""
        table = super().shrinkage
        table.insert(1, "outcome", [self.levels[i] for i in self._plan.place])
        return table

    def _units(self) -> dict[str, list[str]]:
        cluster = self.data.cluster  # type: ignore[union-attr]
        return {"cluster": sorted(set(cluster), key=cluster.index)}

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return mean, sd, median, low, high and the Monte Carlo error of the mean, one quantity a row."""
        import pandas as pd

        rows = {}
        for name, of in (("mu", self.mu), ("tau", self.tau), ("new_study", self.new_study)):
            for outcome in self.levels:
                rows[f"{name} {outcome}"] = self._summary(of(outcome), f"{name}[{outcome}]", level)
        if self.model.structure != "DIAG":
            for i, j in self._plan.pairs:
                pair = f"{self.levels[j]}, {self.levels[i]}"
                d = self.rho(self.levels[j], self.levels[i])
                rows[f"rho {pair}"] = self._summary(d, f"rho[{pair}]", level)
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        told = []
        for outcome in self.levels:
            d = self.mu(outcome)
            low, high = d.ci(0.95)
            told.append(f"{outcome} {d.median:.3f} [{low:.3f}, {high:.3f}]")
        return f"SampledMultivariateResult(k={self.k}: {', '.join(told)}; seed {self.seed})"
