"""Random effects of several groupings that cross each other: studies and instruments, trials and raters."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.optimize import brentq, minimize

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import Interval, check_choice, check_level
from mtmeta.models.formula import Design, design_of
from mtmeta.models.linear import Coefficients, JointTest, quantile
from mtmeta.models.one_mean import single
from mtmeta.models.robust import Working

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Crossed", "CrossedResult"]

FloatArray = npt.NDArray[np.float64]

_STARTS = (0.5, 0.15, 1.2)  # standard deviations of all components, in units of the residual spread
_GONE = 1e-6  # a standard deviation below this, in the same units, is tried at 0
_ROUNDS = 30


@dataclass(frozen=True)
class Crossed:
    r"""Crossed random effects: :math:`y_i = x_i'\beta + \sum_j u_{j,g_j(i)} + w_i + e_i`.

    Parameters
    ----------
    groupings : sequence of str
        Moderator columns, each giving rows of one level a shared random effect; "cluster" and "study" are
        those of the effect table.
    rows : bool
        Whether every row has an effect of its own besides (metafor's ``~ 1 | row``).
    formula : str, optional
        Moderators, as for :class:`mtmeta.MetaRegression`.
    method : {"REML", "ML"}

    Notes
    -----
    metafor's ``rma.mv(yi, vi, random = list(~ 1 | a, ~ 1 | b, ~ 1 | row))``. Sampling errors are independent.
    The covariance is inverted through a matrix of the size of the number of levels, never of k x k. Tests are
    Wald's, from the normal distribution; :func:`mtmeta.robust` gives CR2 where clusters hold whole groupings.
    A variance whose score at 0 is not positive is 0 exactly.

    Examples
    --------
    Four trials, each rated with up to three instruments.

    >>> y = [0.31, 0.52, 0.20, 0.75, 0.90, 0.12, 0.28, 0.05, 0.44, 0.61]
    >>> moderators = {"trial": list("aaabbcccdd"), "scale": list("xyzxyxyzxy")}
    >>> es = EffectSizes.of(y, [0.02] * 10, moderators=moderators)
    >>> Crossed(("trial", "scale"), rows=False).fit(es)
    CrossedResult(REML: k=10, estimate=0.4363 [0.142, 0.73], σ² trial 0.06307, scale 0.01339)
    """

    groupings: Sequence[str]
    rows: bool = True
    formula: str | None = None
    method: str = "REML"

    def __post_init__(self) -> None:
        check_choice("method", self.method, ("REML", "ML"))
        if isinstance(self.groupings, str) or not self.groupings:
            raise UsageError(
                f"groupings={self.groupings!r} must be names of columns, such as ('trial', 'scale')"
            )
        object.__setattr__(self, "groupings", tuple(self.groupings))
        if len(set(self.groupings)) < len(self.groupings):
            raise UsageError(f"groupings={self.groupings!r} names a column twice")

    def fit(self, es: EffectSizes) -> CrossedResult:
        """Fit the model.

        Raises
        ------
        UsageError
            A grouping that is no column.
        ModelError
            A grouping with one level, or a level for every row, or two that are the same; too few rows.
        """
        labels = [_labels(es, name) for name in self.groupings]
        _require_apart(self.groupings, labels, es.k)
        design = design_of(self.formula or "1", es.moderators, es.study)
        if es.k <= len(design.names) + len(labels):
            raise ModelError(f"{es.k} rows cannot carry {len(design.names)} coefficients and the variances")
        unit = float(np.median(es.vi))
        problem = _Problem.of(es, design.matrix, labels, unit, self.rows, self.method == "REML")
        return CrossedResult(es, self, design, unit, problem, problem.maximise())


@dataclass(frozen=True, eq=False)
class _Problem:
    """The likelihood of the standard deviations, coefficients at their best, in units of `unit`."""

    y: FloatArray
    v: FloatArray
    x: FloatArray
    z: FloatArray
    owner: npt.NDArray[np.intp]
    rows: bool
    restricted: bool

    @classmethod
    def of(
        cls,
        es: EffectSizes,
        x: FloatArray,
        labels: list[npt.NDArray[np.intp]],
        unit: float,
        rows: bool,
        restricted: bool,
    ) -> _Problem:
        """Put the indicators of all levels of all groupings beside each other."""
        z = np.concatenate([np.eye(int(index.max()) + 1)[index] for index in labels], axis=1)
        owner = np.concatenate([np.full(int(index.max()) + 1, j) for j, index in enumerate(labels)])
        return cls(es.yi / math.sqrt(unit), es.vi / unit, x, z, owner.astype(np.intp), rows, restricted)

    @property
    def number(self) -> int:
        """Number of variances."""
        return int(self.owner.max()) + 1 + self.rows

    def at(self, sd: FloatArray) -> tuple[float, FloatArray, FloatArray, FloatArray]:
        """Return log-likelihood, its slopes in the variances, beta and its covariance."""
        k, p = self.x.shape
        s = sd[self.owner]
        inverse = 1.0 / (self.v + (sd[-1] ** 2 if self.rows else 0.0))
        zd = self.z * inverse[:, None]
        S = zd.T @ self.z
        K = np.linalg.inv(np.eye(len(s)) + s[:, None] * S * s)
        K = s[:, None] * K * s

        def solve(a: FloatArray) -> FloatArray:
            weighted = inverse[:, None] * a
            return np.asarray(weighted - zd @ (K @ (self.z.T @ weighted)))

        mx = solve(self.x)
        information = self.x.T @ mx
        vcov = np.asarray(np.linalg.inv(information), dtype=np.float64)
        beta = vcov @ (mx.T @ self.y)
        r = self.y - self.x @ beta
        u = solve(r[:, None])[:, 0]
        log_k = float(np.linalg.slogdet(np.eye(len(s)) + s[:, None] * S * s)[1])
        value = -0.5 * (k * math.log(2 * math.pi) - float(np.log(inverse).sum()) + log_k + float(r @ u))
        mz = S - S @ K @ S  # Z' M^-1 Z
        trace = np.diag(mz).copy()
        own = float(inverse.sum() - np.einsum("ij,ji->", K, zd.T @ zd))
        if self.restricted:
            size = np.linalg.slogdet(information)[1] - np.linalg.slogdet(self.x.T @ self.x)[1]
            value += 0.5 * (p * math.log(2 * math.pi) - float(size))
            zx = self.z.T @ mx
            trace -= np.einsum("qp,pr,qr->q", zx, vcov, zx)
            own -= float(np.einsum("ip,pr,ir->", mx, vcov, mx))
        pull = np.square(self.z.T @ u) - trace
        slopes: FloatArray = np.bincount(self.owner, weights=pull).astype(np.float64)
        if self.rows:
            slopes = np.append(slopes, float(u @ u) - own)
        return float(value), 0.5 * slopes, beta, vcov

    def maximise(self, held: int | None = None, value: float = 0.0) -> FloatArray:
        """Return the standard deviations at which the likelihood is highest, one of them held if asked."""
        free = np.array([j != held for j in range(self.number)])

        def full(part: FloatArray) -> FloatArray:
            sd = np.full(self.number, value)
            sd[free] = part
            return sd

        def negative(part: FloatArray) -> tuple[float, FloatArray]:
            sd = full(part)
            height, slopes, _, _ = self.at(sd)
            return -height, -(2.0 * sd * slopes)[free]

        if not free.any():
            return full(np.empty(0))
        residual = self.y - self.x @ np.linalg.lstsq(self.x, self.y, rcond=None)[0]
        spread = max(float(np.sqrt(np.mean(residual**2))), 0.1)
        found = [
            minimize(negative, np.full(int(free.sum()), spread * size), jac=True, method="BFGS")
            for size in _STARTS
        ]
        sd = full(np.abs(min(found, key=lambda one: float(one.fun)).x))
        small = free & (sd < math.sqrt(_GONE) * spread)
        if small.any():  # a flat top at 0: take 0 where the likelihood does not rise from it
            zero = np.where(small, 0.0, sd)
            if self.at(zero)[0] >= self.at(sd)[0] - 1e-9:
                sd = zero
        return self._sharpen(sd, free & (sd > 0.0))

    def _sharpen(self, sd: FloatArray, free: npt.NDArray[np.bool_]) -> FloatArray:
        """Take Newton's steps in the variances that are not 0, with differences of the exact slopes."""
        theta = sd**2
        at = np.flatnonzero(free)
        for _ in range(_ROUNDS):
            if not at.size:
                break
            slopes = self.at(np.sqrt(theta))[1][at]
            h = 1e-5 * theta[at]
            columns = []
            for j, step in zip(at, h, strict=True):
                up, down = theta.copy(), theta.copy()
                up[j] += step
                down[j] -= step
                columns.append((self.at(np.sqrt(up))[1] - self.at(np.sqrt(down))[1])[at] / (2.0 * step))
            hessian = np.array(columns)
            hessian = 0.5 * (hessian + hessian.T)
            scale = theta[at]
            if np.linalg.eigvalsh(hessian * scale[:, None] * scale)[-1] >= 0.0:
                break
            move = -np.linalg.solve(hessian, slopes)
            if (theta[at] + move <= 0.0).any():
                break
            theta[at] += move
            if np.abs(move / theta[at]).max() < 1e-11:
                break
        return np.sqrt(theta)


@dataclass(frozen=True, eq=False, repr=False)
class CrossedResult:
    """A fitted model of crossed random effects. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : Crossed
    design : Design
    unit : float
        Median sampling variance.
    problem : object
        The likelihood in these units.
    sd : ndarray
        Standard deviations in these units: the groupings, then the rows.
    """

    effects: EffectSizes
    model: Crossed
    design: Design
    unit: float
    problem: _Problem = field(repr=False)
    sd: FloatArray

    @property
    def k(self) -> int:
        """Number of rows."""
        return self.effects.k

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return len(self.design.names)

    @property
    def sigma2(self) -> pd.Series[float]:
        """Variances by grouping, and of the rows."""
        import pandas as pd

        return pd.Series(self.sd**2 * self.unit, index=list(self._names), dtype=float)

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.model.groupings, *(["row"] if self.model.rows else []))

    @cached_property
    def coefficients(self) -> Coefficients:
        """Coefficients as arrays with their covariance."""
        _, _, beta, vcov = self.problem.at(self.sd)
        return Coefficients(
            self.design.names, beta * math.sqrt(self.unit), vcov * self.unit, np.full(self.p, np.inf)
        )

    @property
    def coef(self) -> pd.Series[float]:
        """Coefficients by term."""
        return self._series(self.coefficients.beta)

    @property
    def pvalue(self) -> pd.Series[float]:
        """Two-sided p-values by term."""
        return self._series(self.coefficients.pvalue)

    def _series(self, values: FloatArray) -> pd.Series[float]:
        import pandas as pd

        return pd.Series(values, index=pd.Index(self.design.names, name="term"), dtype=float)

    @property
    def estimate(self) -> float:
        """The mean of a model without moderators."""
        return single(self.coefficients.beta)

    @property
    def se(self) -> float:
        """Its standard error."""
        return single(self.coefficients.se)

    def ci(self, level: float = 0.95) -> Interval:
        """Return Wald's interval of the mean."""
        half = single(quantile(level, np.full(1, np.inf))) * self.se
        return Interval(self.estimate - half, self.estimate + half)

    def sigma2_ci(self, component: str, level: float = 0.95) -> Interval:
        """Return the profile-likelihood interval of one variance, the others maximised at every value.

        Raises
        ------
        UsageError
            A component that is not there.
        """
        if component not in self._names:
            raise UsageError(f"there is no component {component!r}; there are {', '.join(self._names)}")
        at = self._names.index(component)
        drop = 0.5 * float(special.chdtri(1, 1.0 - check_level(level)))
        top = self.problem.at(self.sd)[0]

        def short(sd: float) -> float:
            return top - drop - self.problem.at(self.problem.maximise(at, sd))[0]

        centre = float(self.sd[at])
        low = 0.0
        if centre > 0.0 and short(0.0) > 0.0:
            low = float(brentq(short, 0.0, centre, xtol=1e-10))
        base, high = centre, max(2.0 * centre, 0.5)
        while short(high) < 0.0:
            base, high = high, 2.0 * high
        return Interval(low**2 * self.unit, float(brentq(short, base, high, xtol=1e-10)) ** 2 * self.unit)

    @property
    def loglik(self) -> float:
        """(Restricted) log-likelihood with all constants."""
        free = self.k - (self.p if self.model.method == "REML" else 0)
        return self.problem.at(self.sd)[0] - 0.5 * free * math.log(self.unit)

    @property
    def aic(self) -> float:
        """Akaike's criterion; compare moderators only under ``method="ML"``."""
        return -2.0 * self.loglik + 2.0 * (self.p + len(self.sd))

    @cached_property
    def q(self) -> float:
        """Weighted residual sum of squares without random effects (metafor's QE)."""
        beta = self.problem.at(np.zeros_like(self.sd))[2]
        return float(np.sum((self.problem.y - self.problem.x @ beta) ** 2 / self.problem.v))

    @property
    def q_pvalue(self) -> float:
        """p-value of `q` on k - p degrees of freedom."""
        return float(special.chdtrc(self.k - self.p, self.q))

    @property
    def omnibus(self) -> JointTest:
        """Test that all coefficients but the intercept are zero."""
        return self.coefficients.joint(np.eye(self.p)[list(self.design.tested())])

    def predict(self, newdata: pd.DataFrame | Mapping[str, Any], level: float = 0.95) -> pd.DataFrame:
        """Return the mean of each row of `newdata` with its interval: estimate, se, ci_low, ci_high."""
        import pandas as pd

        estimate, se, df = self.coefficients.contrast(self.design.rows(newdata))
        half = quantile(level, df) * se
        columns = {"estimate": estimate, "se": se, "ci_low": estimate - half, "ci_high": estimate + half}
        return pd.DataFrame(columns, index=getattr(newdata, "index", None))

    def working(self) -> Working:
        """Hand the model to cluster-robust inference (:func:`mtmeta.robust`).

        Rows that no chain of shared levels connects are independent in the model; a cluster has to hold all
        rows of such a chain, so that its groupings cross within it and not beyond it.

        Raises
        ------
        ModelError
            All rows are connected: there are no independent clusters.
        """
        z, v = self.problem.z, self.problem.v * self.unit
        groups = _connected(z)
        members = [np.flatnonzero(groups == g) for g in range(int(groups.max()) + 1)]
        if len(members) < 2:
            raise ModelError(
                "the groupings connect all rows, so that no clusters are independent of each other; robust "
                "errors need clusters that hold whole groupings"
            )
        s2 = np.square(self.sd[self.problem.owner]) * self.unit
        own = float(self.sd[-1] ** 2) * self.unit if self.model.rows else 0.0

        def covariance(rows: npt.NDArray[np.intp]) -> FloatArray:
            part = z[rows]
            return np.asarray(
                (part * s2) @ part.swapaxes(-1, -2) + (v[rows] + own)[..., None] * np.eye(rows.shape[1])
            )

        x = self.problem.x
        projected = np.empty_like(x)
        for at in members:
            projected[at] = np.linalg.solve(covariance(at[None])[0], x[at])
        fitted = self.coefficients
        residual = self.effects.yi - x @ fitted.beta
        names = tuple(str(g) for g in groups)
        return Working(self.design.names, fitted.beta, x, residual, projected, fitted.vcov, covariance, names)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient, with the variances beside it."""
        frame = self.coefficients.frame(level)
        for name, value in self.sigma2.items():
            frame[f"sigma2_{name}"] = value
        return frame

    @property
    def methods(self) -> str:
        """What was done, in words with citations, for a methods section."""
        own = " and of every row" if self.model.rows else ""
        on = f" on {self.model.formula}" if self.model.formula else ""
        return (
            f"Model of {self.k} effects ({self.effects.measure.label}){on} with crossed random effects of "
            f"{' and '.join(self.model.groupings)}{own} (Fernández-Castilla et al. 2019), variances by "
            f"{self.model.method}; Wald tests from the normal distribution."
        )

    def __repr__(self) -> str:
        variances = ", ".join(f"{name} {value:.4g}" for name, value in self.sigma2.items())
        if self.p > 1:
            middle = f"{self.model.formula!r} with {self.p} coefficients"
        else:
            low, high = self.ci()
            middle = f"estimate={self.estimate:.4g} [{low:.3g}, {high:.3g}]"
        return f"CrossedResult({self.model.method}: k={self.k}, {middle}, σ² {variances})"

    def _repr_html_(self) -> str:
        table: str = self.coefficients.frame().to_html(float_format=lambda x: f"{x:.4g}", border=0)
        return f"<p>{html.escape(repr(self))}</p>{table}"


def _connected(z: FloatArray) -> npt.NDArray[np.intp]:
    """Give the rows that shared levels connect one number."""
    from scipy import sparse

    k, levels = z.shape
    links = sparse.csr_matrix(z)
    graph = sparse.bmat([[None, links], [links.T, sparse.csr_matrix((levels, levels))]])
    label = sparse.csgraph.connected_components(graph, directed=False)[1][:k]
    return np.asarray(np.unique(label, return_inverse=True)[1]).reshape(-1).astype(np.intp)


def _labels(es: EffectSizes, name: str) -> npt.NDArray[np.intp]:
    if es.moderators is not None and name in es.moderators.columns:
        values = es.moderators[name]
        if values.isna().any():
            missing = [s for s, gone in zip(es.study, values.isna(), strict=True) if gone]
            raise ModelError(f"{name!r} is missing for {', '.join(missing[:5])}; every row needs a level")
        labels = [str(value) for value in values]
    elif name in ("cluster", "study"):
        labels = list(getattr(es, name))
    else:
        raise UsageError(f"there is no moderator {name!r} to group by; give it in moderators")
    return np.asarray(
        np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)[1]
    ).reshape(-1)


def _require_apart(names: Sequence[str], labels: list[npt.NDArray[np.intp]], k: int) -> None:
    """Refuse groupings that no data tell apart from each other, from the mean, or from the rows."""
    for i, (name, index) in enumerate(zip(names, labels, strict=True)):
        levels = int(index.max()) + 1
        if levels == 1:
            raise ModelError(f"all rows have one level of {name!r}: it has no variance to estimate")
        if levels == k:
            raise ModelError(f"every row has a level of {name!r} of its own; that is what rows=True is for")
        for other, second in zip(names[:i], labels[:i], strict=True):
            pairs = len(set(zip(index.tolist(), second.tolist(), strict=True)))
            if pairs == levels == int(second.max()) + 1:
                raise ModelError(f"{other!r} and {name!r} group the rows in the same way; leave one out")
