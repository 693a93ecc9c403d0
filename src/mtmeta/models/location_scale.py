"""Meta-regression of the mean and of the heterogeneity at once."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError
from mtmeta.measures import check_choice
from mtmeta.models import kernel
from mtmeta.models.formula import Design, design_of
from mtmeta.models.linear import Coefficients, JointTest, quantile

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LocationScale", "LocationScaleResult"]

FloatArray = npt.NDArray[np.float64]

_FARTHEST = 30.0  # |log tau2|, in units of the median variance, beyond which there is no maximum
_ROUNDS = 30


@dataclass(frozen=True)
class LocationScale:
    r"""Location-scale model: moderators of the mean and of the heterogeneity.

    :math:`y_i \sim N(x_i'\beta,\; v_i + \tau_i^2)` with :math:`\log\tau_i^2 = z_i'\alpha`.

    Parameters
    ----------
    scale : str
        Moderators of the heterogeneity, a formula as for :class:`mtmeta.MetaRegression`.
    formula : str
        Moderators of the mean; "1", one mean, by default.
    method : {"REML", "ML"}

    Notes
    -----
    metafor's ``rma(yi, vi, mods, scale)``. Standard errors of alpha come from the observed information, those
    of beta from the weights at the estimates; tests are Wald's.

    References
    ----------
    Viechtbauer, W. & López-López, J. A. (2022). Res Synth Methods 13, 697-715.

    Examples
    --------
    BCG vaccine, heterogeneity by latitude, ML; metafor 3.8-1 gives -1.4269 and 0.0047.

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
    ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> ablat = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]
    >>> es = EffectSizes.of(y, v, "RR", moderators={"ablat": ablat})
    >>> LocationScale("ablat", method="ML").fit(es)
    LocationScaleResult(ML: k=13, 1 coefficients of the mean, log tau2: Intercept -1.43, ablat 0.00465)
    """

    scale: str
    formula: str = "1"
    method: str = "REML"

    def __post_init__(self) -> None:
        check_choice("method", self.method, ("REML", "ML"))

    def fit(self, es: EffectSizes) -> LocationScaleResult:
        """Fit the model.

        Raises
        ------
        ModelError
            Too few effects, collinear moderators, or a likelihood that rises until some tau2 is 0 or
            infinite: then the model has no estimate.
        UsageError
            A formula that is not allowed.
        """
        location = design_of(self.formula, es.moderators, es.study)
        scale = design_of(self.scale, es.moderators, es.study)
        p, q = len(location.names), len(scale.names)
        if es.k <= p + q:
            raise ModelError(f"{es.k} effects cannot carry {p} coefficients of the mean and {q} of log tau2")
        # without a constant in its design log tau2 is not free to change with the unit
        constant = np.ones(es.k)
        found = scale.matrix @ np.linalg.lstsq(scale.matrix, constant, rcond=None)[0]
        unit = float(np.median(es.vi)) if np.allclose(found, constant, rtol=0.0, atol=1e-9) else 1.0
        problem = _Problem(
            es.yi / math.sqrt(unit), es.vi / unit, location.matrix, scale.matrix, self.method == "REML"
        )
        alpha, information = problem.maximise()
        return LocationScaleResult(es, self, location, scale, unit, problem, alpha, information)


@dataclass(frozen=True, eq=False)
class _Problem:
    """The likelihood of alpha, beta at its best; everything in units of the median variance."""

    y: FloatArray
    v: FloatArray
    x: FloatArray
    z: FloatArray
    restricted: bool

    def at(self, alpha: FloatArray) -> tuple[float, FloatArray, FloatArray, FloatArray]:
        """Return log-likelihood, its gradient, beta and its covariance."""
        k, p = self.x.shape
        tau2 = np.exp(np.clip(self.z @ alpha, -700.0, 700.0))
        w = 1.0 / (self.v + tau2)
        wx = self.x * w[:, None]
        information = self.x.T @ wx
        vcov: FloatArray = np.asarray(np.linalg.inv(information), dtype=np.float64)
        beta = vcov @ (wx.T @ self.y)
        r = self.y - self.x @ beta
        value = -0.5 * (k * math.log(2.0 * math.pi) - float(np.log(w).sum()) + float(w @ r**2))
        trace = w
        if self.restricted:
            trace = w - np.einsum("ip,pq,iq->i", wx, vcov, wx)
            size = np.linalg.slogdet(information)[1] - np.linalg.slogdet(self.x.T @ self.x)[1]
            value += 0.5 * (p * math.log(2.0 * math.pi) - float(size))
        gradient = 0.5 * self.z.T @ (tau2 * (w * w * r * r - trace))
        return float(value), gradient, beta, vcov

    def maximise(self) -> tuple[FloatArray, FloatArray]:
        """Return the alpha of the highest likelihood found from several starts, and its information."""

        def negative(alpha: FloatArray) -> tuple[float, FloatArray]:
            value, gradient, _, _ = self.at(alpha)
            return -value, -gradient

        common = float(kernel.fit(self.y, self.v, design=self.x).tau2[0])
        found = []
        for level in (max(common, 0.05), 0.3 * max(common, 0.05), 4.0 * max(common, 0.05)):
            # a constant log tau2 as near as the design of the scale allows
            start = np.linalg.lstsq(self.z, np.full(len(self.y), math.log(level)), rcond=None)[0]
            found.append(minimize(negative, start, jac=True, method="BFGS"))
        alpha = np.asarray(min(found, key=lambda one: float(one.fun)).x)
        for _ in range(_ROUNDS):
            gradient, information = self.at(alpha)[1], self._information(alpha)
            values = np.linalg.eigvalsh(information)
            if np.abs(self.z @ alpha).max() > _FARTHEST or values[0] <= 1e-10 * max(values[-1], 1e-300):
                raise ModelError(
                    "the likelihood rises until tau2 is 0 or infinite for some of the effects, so the scale "
                    "coefficients have no estimate; use fewer moderators of the scale, or none"
                )
            step = np.linalg.solve(information, gradient)
            alpha = alpha + step
            if np.abs(self.z @ step).max() < 1e-11:
                break
        return alpha, self._information(alpha)

    def _information(self, alpha: FloatArray) -> FloatArray:
        """Return minus the Hessian, by central differences of the exact gradient."""
        scale = 1e-4 / np.maximum(np.abs(self.z).max(axis=0), 1e-300)
        columns = [
            (self.at(alpha - e)[1] - self.at(alpha + e)[1]) / (2.0 * h)
            for h, e in zip(scale, np.diag(scale), strict=True)
        ]
        matrix: FloatArray = np.array(columns, dtype=np.float64)
        return np.asarray(0.5 * (matrix + matrix.T))


@dataclass(frozen=True, eq=False, repr=False)
class LocationScaleResult:
    """A fitted location-scale model. Frozen.

    Attributes
    ----------
    effects : EffectSizes
    model : LocationScale
    location, scale : Design
        Of the mean and of log tau2.
    unit : float
        Median sampling variance.
    problem : object
        The likelihood in these units.
    raw_alpha : ndarray (q,)
        Coefficients of log tau2 in these units.
    information : ndarray (q, q)
        Observed information of alpha.
    """

    effects: EffectSizes
    model: LocationScale
    location: Design
    scale: Design
    unit: float
    problem: _Problem = field(repr=False)
    raw_alpha: FloatArray
    information: FloatArray = field(repr=False)

    @property
    def k(self) -> int:
        """Number of effects."""
        return self.effects.k

    @cached_property
    def coefficients(self) -> Coefficients:
        """Coefficients of the mean with their covariance at the estimated variances."""
        _, _, beta, vcov = self.problem.at(self.raw_alpha)
        names = self.location.names
        return Coefficients(names, beta * math.sqrt(self.unit), vcov * self.unit, np.full(len(names), np.inf))

    @cached_property
    def scale_coefficients(self) -> Coefficients:
        """Coefficients of log tau2 with their covariance."""
        shift = np.linalg.lstsq(self.problem.z, np.full(self.k, math.log(self.unit)), rcond=None)[0]
        names = self.scale.names
        return Coefficients(
            names,
            self.raw_alpha + shift,
            np.asarray(np.linalg.inv(self.information), dtype=np.float64),
            np.full(len(names), np.inf),
        )

    @property
    def coef(self) -> pd.Series[float]:
        """Coefficients of the mean by term."""
        return _series(self.coefficients.names, self.coefficients.beta)

    @property
    def se(self) -> pd.Series[float]:
        """Their standard errors."""
        return _series(self.coefficients.names, self.coefficients.se)

    @property
    def alpha(self) -> pd.Series[float]:
        """Coefficients of log tau2 by term."""
        return _series(self.scale_coefficients.names, self.scale_coefficients.beta)

    @property
    def alpha_se(self) -> pd.Series[float]:
        """Their standard errors."""
        return _series(self.scale_coefficients.names, self.scale_coefficients.se)

    @property
    def tau2(self) -> FloatArray:
        """Between-study variance at the moderators of each effect, (k,)."""
        return np.asarray(self.unit * np.exp(self.problem.z @ self.raw_alpha))

    @property
    def loglik(self) -> float:
        """(Restricted) log-likelihood with all constants."""
        free = self.k - (len(self.location.names) if self.model.method == "REML" else 0)
        return self.problem.at(self.raw_alpha)[0] - 0.5 * free * math.log(self.unit)

    @property
    def aic(self) -> float:
        """Akaike's criterion; compare moderators of the mean only under ``method="ML"``."""
        return -2.0 * self.loglik + 2.0 * (len(self.location.names) + len(self.scale.names))

    @property
    def omnibus(self) -> JointTest:
        """Test of the moderators of the mean."""
        return self.coefficients.joint(np.eye(len(self.location.names))[list(self.location.tested())])

    @property
    def scale_omnibus(self) -> JointTest:
        """Test of the moderators of the heterogeneity."""
        return self.scale_coefficients.joint(np.eye(len(self.scale.names))[list(self.scale.tested())])

    def predict(self, newdata: pd.DataFrame | Mapping[str, Any], level: float = 0.95) -> pd.DataFrame:
        """Return mean and heterogeneity for new moderators.

        Columns: estimate, se, ci_low, ci_high, tau2, pi_low, pi_high; the prediction limits are normal and
        take tau2 as known.
        """
        import pandas as pd

        estimate, se, df = self.coefficients.contrast(self.location.rows(newdata))
        tau2 = np.exp(self.scale.rows(newdata) @ self.scale_coefficients.beta)
        t = quantile(level, df)
        reach = t * np.sqrt(tau2 + se**2)
        columns = {
            "estimate": estimate,
            "se": se,
            "ci_low": estimate - t * se,
            "ci_high": estimate + t * se,
            "tau2": tau2,
            "pi_low": estimate - reach,
            "pi_high": estimate + reach,
        }
        return pd.DataFrame(columns, index=getattr(newdata, "index", None))

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient; the first level of the index says whether of the mean or of log tau2."""
        import pandas as pd

        parts = {"mean": self.coefficients.frame(level), "log tau2": self.scale_coefficients.frame(level)}
        return pd.concat(parts, names=["part", "term"])

    @property
    def methods(self) -> str:
        """What was done, in words with citations, for a methods section."""
        return (
            f"Location-scale model of {self.k} effects ({self.effects.measure.label}) with mean "
            f"{self.model.formula!r} and log tau2 {self.model.scale!r}, estimated by {self.model.method} "
            "(Viechtbauer and López-López 2022); Wald tests from the normal distribution."
        )

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {value:.3g}" for name, value in self.alpha.items())
        return (
            f"LocationScaleResult({self.model.method}: k={self.k}, {len(self.location.names)} coefficients "
            f"of the mean, log tau2: {told})"
        )

    def _repr_html_(self) -> str:
        table: str = self.to_frame().to_html(float_format=lambda x: f"{x:.4g}", border=0)
        return f"<p>{html.escape(repr(self))}</p>{table}"


def _series(names: tuple[str, ...], values: FloatArray) -> pd.Series[float]:
    import pandas as pd

    return pd.Series(values, index=pd.Index(names, name="term"), dtype=float)
