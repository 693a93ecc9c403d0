"""Several outcomes of one study at once: their means, and how they vary together between studies."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice, check_level
from mtmeta.models.formula import Design, design_of
from mtmeta.models.linear import Coefficients, JointTest, quantile
from mtmeta.models.profile_structures import components, profile_interval
from mtmeta.models.robust import Working
from mtmeta.models.structures import STRUCTURES, Clusters, Evaluation, Structure, evaluate, maximise

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Multivariate", "MultivariateResult"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Multivariate:
    r"""Multivariate random-effects model: :math:`y_{io} = x_{io}'\beta + u_{io} + e_{io}`.

    Studies are `es.cluster`; :math:`u_i \sim N(0, G)` over the outcomes of a study,
    :math:`e_i \sim N(0, V_i)` with known V.

    Parameters
    ----------
    outcome : str
        Moderator column that tells the outcomes (or time points) apart.
    structure : {"UN", "CS", "AR", "DIAG", "ID"}
        Of G. UN: free variances and correlations. CS: one variance and one correlation. AR: one variance,
        correlations ``rho^|i - j|`` of the sorted levels. DIAG: variances of their own, no correlation.
        ID: one variance, no correlation.
    formula : str, optional
        Fixed effects; a mean of its own for each outcome by default (``"0 + outcome"``).
    within_rho : float in [0, 1), default 0
        Correlation of the sampling errors of one study's rows, when no covariance is given to :meth:`fit`.
    method : {"REML", "ML"}

    Notes
    -----
    metafor's ``rma.mv(yi, V, mods, random = ~ outcome | study, struct)``. Rows of one outcome in one study
    share :math:`u_{io}`. Tests are Wald's, from the normal distribution; :func:`mtmeta.robust` gives CR2.
    G may be singular (a correlation of 1 or -1), as metafor's may.

    References
    ----------
    Berkey, C. S. et al. (1998). Stat Med 17, 2537-2550.
    van Houwelingen, H. C., Arends, L. R. & Stijnen, T. (2002). Stat Med 21, 589-624.

    Examples
    --------
    Periodontal trials of Berkey et al. (1998, p. 2545), ML: AL -.3379 (.0798), PD .3448 (.0495), variances
    .0261 and .0070, correlation .6992, log-likelihood 5.8407.

    >>> y = [0.47, -0.32, 0.20, -0.60, 0.40, -0.12, 0.26, -0.31, 0.56, -0.39]
    >>> blocks = [[0.0075, 0.0030, 0.0077], [0.0057, 0.0009, 0.0008], [0.0021, 0.0007, 0.0014],
    ...           [0.0029, 0.0009, 0.0015], [0.0148, 0.0072, 0.0304]]
    >>> V = np.zeros((10, 10))
    >>> for i, (a, b, c) in enumerate(blocks):
    ...     V[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[a, b], [b, c]]
    >>> outcomes = {"outcome": ["PD", "AL"] * 5}
    >>> es = EffectSizes.of(y, np.diag(V), cluster=list("1122334455"), moderators=outcomes)
    >>> fit = Multivariate(method="ML").fit(es, covariance=V)
    >>> fit.coef.round(4).tolist(), fit.se.round(4).tolist()
    ([-0.3379, 0.3448], [0.0798, 0.0495])
    >>> fit.tau2.round(4).tolist(), round(float(fit.rho.loc["AL", "PD"]), 4), round(fit.loglik, 4)
    ([0.0261, 0.007], 0.6992, 5.8407)
    """

    outcome: str = "outcome"
    structure: Structure = "UN"
    formula: str | None = None
    within_rho: float = 0.0
    method: str = "REML"

    def __post_init__(self) -> None:
        check_choice("structure", self.structure, STRUCTURES)
        check_choice("method", self.method, ("REML", "ML"))
        rho = self.within_rho
        if isinstance(rho, bool) or not isinstance(rho, (int, float)) or not 0 <= rho < 1:
            raise UsageError(f"within_rho={rho!r} must be a correlation from 0 to below 1, such as 0.6")

    def fit(self, es: EffectSizes, *, covariance: npt.ArrayLike | None = None) -> MultivariateResult:
        """Fit the model.

        Parameters
        ----------
        es : EffectSizes
            With `cluster` (the studies) and the outcome among its moderators.
        covariance : array_like (k, k), optional
            Covariance of the sampling errors, its diagonal `es.vi`, nothing between clusters; see
            :func:`mtmeta.sampling_covariance`.

        Raises
        ------
        ModelError
            Fewer rows than coefficients and parameters, an outcome or a pair of outcomes that too few
            studies have, a covariance that is not one.
        UsageError
            No such column, or a covariance of another shape.
        """
        levels, place = outcomes_of(es, self.outcome)
        design = design_of(self.formula or f"0 + C({self.outcome})", _as_text(es, self.outcome), es.study)
        V = None if covariance is None else checked_covariance(es, covariance)
        _require_pairs(es, levels, place, self.structure)
        unit = float(np.sqrt(np.median(es.vi)))
        groups = groups_of(es, V, self.within_rho, unit)
        data = Clusters(es.yi / unit, design.matrix, place, groups, len(levels))
        p = len(design.names)
        if es.k <= p + 1:
            raise ModelError(f"{es.k} rows cannot carry {p} coefficients and variances besides")
        G, at, parameters = maximise(data, self.structure, restricted=self.method == "REML")
        return MultivariateResult(es, self, design, levels, data, V, unit, G, at, parameters)


@dataclass(frozen=True, eq=False, repr=False)
class MultivariateResult:
    """A fitted multivariate model. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : Multivariate
    design : Design
    levels : tuple of str, length q
        Outcomes, in the order of G.
    data : Clusters
        What was fitted, in units of `unit`.
    covariance : ndarray (k, k) or None
        Of the sampling errors, where it was given.
    unit : float
    scaled : ndarray (q, q)
        G in units of ``unit**2``.
    at : Evaluation
    parameters : int
        Of G.
    """

    effects: EffectSizes
    model: Multivariate
    design: Design
    levels: tuple[str, ...]
    data: Clusters = field(repr=False)
    covariance: FloatArray | None = field(repr=False)
    unit: float
    scaled: FloatArray
    at: Evaluation = field(repr=False)
    parameters: int

    @property
    def k(self) -> int:
        """Number of rows."""
        return self.effects.k

    @property
    def clusters(self) -> int:
        """Number of studies."""
        return len(set(self.effects.cluster))

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return len(self.design.names)

    @cached_property
    def coefficients(self) -> Coefficients:
        """Coefficients as arrays with their covariance."""
        return Coefficients(
            self.design.names,
            self.at.beta * self.unit,
            self.at.vcov * self.unit**2,
            np.full(self.p, np.inf),
        )

    @property
    def coef(self) -> pd.Series[float]:
        """Coefficients by term."""
        return self._series(self.coefficients.beta)

    @property
    def se(self) -> pd.Series[float]:
        """Standard errors by term."""
        return self._series(self.coefficients.se)

    @property
    def pvalue(self) -> pd.Series[float]:
        """Two-sided p-values by term."""
        return self._series(self.coefficients.pvalue)

    def _series(self, values: FloatArray) -> pd.Series[float]:
        import pandas as pd

        return pd.Series(values, index=pd.Index(self.design.names, name="term"), dtype=float)

    @property
    def between(self) -> pd.DataFrame:
        """G, the covariance of the outcomes between studies."""
        import pandas as pd

        return pd.DataFrame(self.scaled * self.unit**2, index=self.levels, columns=self.levels)

    @property
    def tau2(self) -> pd.Series[float]:
        """Between-study variances by outcome."""
        import pandas as pd

        return pd.Series(np.diag(self.scaled) * self.unit**2, index=list(self.levels), dtype=float)

    @property
    def rho(self) -> pd.DataFrame:
        """Between-study correlations; 0 beside a variance of 0."""
        import pandas as pd

        sd = np.sqrt(np.diag(self.scaled))
        product = np.outer(sd, sd)
        R = np.divide(self.scaled, product, out=np.zeros_like(product), where=product > 0.0)
        np.fill_diagonal(R, 1.0)
        return pd.DataFrame(R, index=self.levels, columns=self.levels)

    def components_ci(self, level: float = 0.95) -> pd.DataFrame:
        """Return profile-likelihood intervals of what describes G: one row a variance or a correlation.

        Each end is where twice the (restricted) log-likelihood, all else maximised, is chi2(1)'s quantile
        below its maximum (metafor's ``confint``). Variances end at 0 and correlations at -1 and 1 (compound
        symmetry: at ``-1/(q - 1)``) where the likelihood does not exclude those.

        Returns
        -------
        DataFrame
            estimate, low, high; rows ``tau2 OUTCOME`` and ``rho OUTCOME, OUTCOME``, or ``tau2`` and ``rho``
            where a structure has one for all.

        Examples
        --------
        Berkey et al. (1998), by metafor 3.8: [.0083, .1323], [0, .0636] and [-1, 1].

        >>> y = [0.47, -0.32, 0.20, -0.60, 0.40, -0.12, 0.26, -0.31, 0.56, -0.39]
        >>> blocks = [[0.0075, 0.0030, 0.0077], [0.0057, 0.0009, 0.0008], [0.0021, 0.0007, 0.0014],
        ...           [0.0029, 0.0009, 0.0015], [0.0148, 0.0072, 0.0304]]
        >>> V = np.zeros((10, 10))
        >>> for i, (a, b, c) in enumerate(blocks):
        ...     V[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[a, b], [b, c]]
        >>> es = EffectSizes.of(y, np.diag(V), cluster=list("1122334455"),
        ...                     moderators={"outcome": ["PD", "AL"] * 5})
        >>> print(Multivariate(method="ML").fit(es, covariance=V).components_ci().round(4))
                    estimate     low    high
        tau2 AL       0.0261  0.0083  0.1323
        tau2 PD       0.0070  0.0000  0.0636
        rho AL, PD    0.6992 -1.0000  1.0000
        """
        import pandas as pd

        check_level(level)
        restricted = self.model.method == "REML"
        one_for_all = self.model.structure in ("ID", "CS", "AR") or len(self.levels) == 1
        rows = {}
        for part in components(self.model.structure, len(self.levels)):
            interval = profile_interval(
                self.data,
                self.model.structure,
                self.scaled,
                part,
                restricted=restricted,
                best=self.at.value,
                level=level,
            )
            if part.j is None:
                name = "tau2" if one_for_all else f"tau2 {self.levels[part.i]}"
                estimate = float(self.scaled[part.i, part.i]) * self.unit**2
                low, high = interval.low * self.unit**2, interval.high * self.unit**2
            else:
                name = "rho" if one_for_all else f"rho {self.levels[part.i]}, {self.levels[part.j]}"
                estimate = float(self.rho.to_numpy()[part.i, part.j])
                low, high = interval
            rows[name] = {"estimate": estimate, "low": low, "high": high}
        return pd.DataFrame.from_dict(rows, orient="index")

    @property
    def loglik(self) -> float:
        """(Restricted) log-likelihood with all constants."""
        free = self.k - (self.p if self.model.method == "REML" else 0)
        return self.at.value - free * float(np.log(self.unit))

    @property
    def aic(self) -> float:
        """Akaike's criterion; compare fixed effects only under ``method="ML"``."""
        return -2.0 * self.loglik + 2.0 * (self.p + self.parameters)

    @cached_property
    def q(self) -> float:
        """Weighted residual sum of squares without heterogeneity (metafor's QE)."""
        at = evaluate(self.data, np.zeros_like(self.scaled), False)
        total = 0.0
        for rows, V in self.data.groups:
            r = at.residual[rows]
            total += float((r * np.linalg.solve(V, r[..., None])[..., 0]).sum())
        return total

    @property
    def q_df(self) -> int:
        """Degrees of freedom of `q`, k - p."""
        return self.k - self.p

    @property
    def q_pvalue(self) -> float:
        """p-value of `q`."""
        return float(special.chdtrc(self.q_df, self.q))

    @property
    def omnibus(self) -> JointTest:
        """Test that all coefficients (but an intercept) are zero."""
        return self.joint([self.design.names[i] for i in self.design.tested()])

    def joint(self, terms: Sequence[str]) -> JointTest:
        """Test that the named coefficients are all zero."""
        at = [self.coefficients.position(term) for term in terms]
        return self.coefficients.joint(np.eye(self.p)[at])

    def difference(self, first: str, second: str, level: float = 0.95) -> pd.DataFrame:
        """Compare two coefficients, such as the means of two outcomes: estimate, se, pvalue, limits."""
        import pandas as pd

        row = np.zeros((1, self.p))
        row[0, self.coefficients.position(first)] += 1.0
        row[0, self.coefficients.position(second)] -= 1.0
        estimate, se, df = self.coefficients.contrast(row)
        half = quantile(level, df) * se
        test = self.coefficients.joint(row)
        columns = {
            "estimate": estimate,
            "se": se,
            "pvalue": test.pvalue,
            "ci_low": estimate - half,
            "ci_high": estimate + half,
        }
        return pd.DataFrame(columns, index=[f"{first} - {second}"])

    def ci(self, level: float = 0.95) -> pd.DataFrame:
        """Return Wald's intervals of the coefficients: low, high."""
        frame = self.coefficients.frame(level)
        return frame[["ci_low", "ci_high"]].set_axis(["low", "high"], axis=1)

    def predict(self, newdata: pd.DataFrame | Mapping[str, Any], level: float = 0.95) -> pd.DataFrame:
        """Return the mean of each row of `newdata` with its interval: estimate, se, ci_low, ci_high."""
        import pandas as pd

        estimate, se, df = self.coefficients.contrast(self.design.rows(newdata))
        half = quantile(level, df) * se
        columns = {"estimate": estimate, "se": se, "ci_low": estimate - half, "ci_high": estimate + half}
        return pd.DataFrame(columns, index=getattr(newdata, "index", None))

    def working(self) -> Working:
        """Hand the fitted model to cluster-robust inference (:func:`mtmeta.robust`)."""
        label = np.asarray(self.effects.cluster, dtype=object)
        G, o = self.scaled * self.unit**2, self.data.outcome

        def covariance(rows: npt.NDArray[np.intp]) -> FloatArray:
            same = label[rows][:, :, None] == label[rows][:, None, :]
            between = G[o[rows][:, :, None], o[rows][:, None, :]]
            known = _block(self.effects, self.covariance, self.model.within_rho, rows)
            return np.asarray(np.where(same, between + known, 0.0))

        return Working(
            self.design.names,
            self.coefficients.beta,
            self.design.matrix,
            self.at.residual * self.unit,
            self.at.projected / self.unit**2,
            self.coefficients.vcov,
            covariance,
            self.effects.cluster,
        )

    # printing ----------------------------------------------------------------------------------------------

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient: estimate, se, df, statistic, pvalue, limits."""
        return self.coefficients.frame(level)

    @property
    def methods(self) -> str:
        """What was done, in words with citations, for a methods section."""
        structure = {
            "UN": "an unstructured covariance",
            "CS": "compound symmetry",
            "AR": "a first-order autoregressive structure",
            "DIAG": "separate variances without correlation",
            "ID": "one variance without correlation",
        }[self.model.structure]
        return (
            f"Multivariate random-effects model of {self.k} effects on {len(self.levels)} outcomes in "
            f"{self.clusters} studies (Berkey et al. 1998; van Houwelingen et al. 2002), between studies "
            f"with {structure}, estimated by {self.model.method}; Wald tests from the normal distribution."
        )

    def __repr__(self) -> str:
        tau2 = ", ".join(f"{name} {value:.4g}" for name, value in self.tau2.items())
        return (
            f"MultivariateResult({self.model.structure}, {self.model.method}: k={self.k} in {self.clusters} "
            f"studies, {self.p} coefficients, tau2 {tau2})"
        )

    def _repr_html_(self) -> str:
        coefficients: str = self.to_frame().to_html(float_format=lambda x: f"{x:.4g}", border=0)
        between: str = self.between.to_html(float_format=lambda x: f"{x:.4g}", border=0)
        return f"<p>{html.escape(repr(self))}</p>{coefficients}<p>Covariance between studies</p>{between}"


# preparation -----------------------------------------------------------------------------------------------


def outcomes_of(es: EffectSizes, column: str) -> tuple[tuple[str, ...], npt.NDArray[np.intp]]:
    if es.moderators is None or column not in es.moderators.columns:
        raise UsageError(
            f"there is no moderator {column!r} to tell the outcomes apart; give it in moderators, or name "
            "another column with outcome="
        )
    values = es.moderators[column]
    if values.isna().any():
        missing = [name for name, gone in zip(es.study, values.isna(), strict=True) if gone]
        raise ModelError(f"the outcome is missing for {', '.join(missing[:5])}; every row needs one")
    ordered = sorted(set(values.tolist()))
    place = {value: i for i, value in enumerate(ordered)}
    return tuple(str(v) for v in ordered), np.array([place[v] for v in values.tolist()], dtype=np.intp)


def _as_text(es: EffectSizes, column: str) -> pd.DataFrame | None:
    """Return the moderators with the outcome as a label, so that the default formula gives it means."""
    assert es.moderators is not None
    frame = es.moderators.copy()
    frame[column] = [str(value) for value in frame[column]]
    return frame


def _block(es: EffectSizes, V: FloatArray | None, rho: float, rows: npt.NDArray[np.intp]) -> FloatArray:
    """Return the covariances of the sampling errors of groups of rows (g, n), as of one cluster each."""
    if V is not None:
        return np.asarray(V[rows[:, :, None], rows[:, None, :]])
    sd = es.sei[rows]
    block = rho * sd[:, :, None] * sd[:, None, :]
    each = np.arange(rows.shape[1])
    block[:, each, each] = es.vi[rows]
    return np.asarray(block)


def checked_covariance(es: EffectSizes, covariance: npt.ArrayLike) -> FloatArray:
    label = np.asarray(es.cluster, dtype=object)
    same = label[:, None] == label[None, :]
    V = np.array(covariance, dtype=np.float64)
    if V.shape != (es.k, es.k):
        raise UsageError(f"covariance has shape {V.shape}; {es.k} effects need ({es.k}, {es.k})")
    if not np.isfinite(V).all() or not np.allclose(V, V.T, rtol=1e-10, atol=0.0):
        raise ModelError("covariance must be symmetric and finite")
    if not np.allclose(np.diag(V), es.vi, rtol=1e-8, atol=0.0):
        row = int(np.argmax(np.abs(np.diag(V) / es.vi - 1.0)))
        raise ModelError(
            f"{es.study[row]}: the covariance has the variance {V[row, row]:g} where vi is {es.vi[row]:g}; "
            "its diagonal must be vi"
        )
    if V[~same].any():
        i, j = (int(x) for x in np.argwhere(np.where(same, 0.0, V))[0])
        raise ModelError(
            f"{es.study[i]} and {es.study[j]} belong to different clusters and have the covariance "
            f"{V[i, j]:g}; give them one cluster, or 0"
        )
    return V


def groups_of(
    es: EffectSizes, V: FloatArray | None, rho: float, unit: float
) -> tuple[tuple[npt.NDArray[np.intp], FloatArray], ...]:
    _, index = np.unique(np.asarray(es.cluster, dtype=object).astype(str), return_inverse=True)
    order = np.argsort(index, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(index[order])) + 1)
    out = []
    for size in sorted({len(rows) for rows in members}):
        rows = np.stack([rows for rows in members if len(rows) == size]).astype(np.intp)
        block = _block(es, V, rho, rows) / unit**2
        sd = np.sqrt(np.diagonal(block, axis1=1, axis2=2))
        least = np.linalg.eigvalsh(block / (sd[:, :, None] * sd[:, None, :]))[:, 0]
        if least.min() < -1e-10:
            worst = es.study[int(rows[int(least.argmin()), 0])]
            raise ModelError(
                f"the sampling covariance of the cluster of {worst} is not positive semidefinite: its "
                "correlations contradict each other"
            )
        out.append((rows, block))
    return tuple(out)


def _require_pairs(
    es: EffectSizes, levels: tuple[str, ...], place: npt.NDArray[np.intp], structure: str
) -> None:
    """Refuse what no data determine: an outcome of one study, a correlation of which no two studies tell."""
    have: dict[str, set[int]] = {}
    for outcome, label in zip(place.tolist(), es.cluster, strict=True):
        have.setdefault(label, set()).add(outcome)
    studies = [sum(i in own for own in have.values()) for i in range(len(levels))]
    if structure in ("UN", "DIAG"):
        for name, count in zip(levels, studies, strict=True):
            if count < 2:
                raise ModelError(
                    f"outcome {name!r} is reported by one study, which cannot tell its variance between "
                    "studies; leave it out or use structure='CS' or 'ID'"
                )
    if structure == "UN":
        for i, first in enumerate(levels):
            for j in range(i):
                if sum({i, j} <= own for own in have.values()) < 2:
                    raise ModelError(
                        f"fewer than two studies report both {levels[j]!r} and {first!r}: their correlation "
                        "between studies cannot be estimated; use structure='DIAG' or 'CS'"
                    )
