"""Priors as PyMC variables."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from mtmeta.errors import UsageError
from mtmeta.models.priors import (
    Cauchy,
    Flat,
    HalfCauchy,
    HalfNormal,
    HalfT,
    InverseGamma,
    LogNormal,
    LogStudentT,
    Lomax,
    Normal,
    StudentT,
    Uniform,
)
from mtmeta.models.priors_base import Prior, Truncated

__all__ = ["import_pymc", "log_density", "mean_variable", "tau_variable"]


def import_pymc() -> Any:
    """Import PyMC, which is optional.

    Raises
    ------
    UsageError
        It is not installed.
    """
    try:
        import pymc
    except ImportError as missing:
        raise UsageError(
            "sampled models need PyMC, which is not installed: python -m pip install pymc arviz"
        ) from missing
    return pymc


def mean_variable(pm: Any, name: str, prior: Prior, dims: str | None = None) -> Any:
    """Return a PyMC variable with a prior of a value of either sign."""
    if prior.on != "tau":
        raise UsageError(f'{name} ~ {prior!r}: on="tau2" is for priors of heterogeneity')
    if isinstance(prior, Flat):
        return pm.Flat(name, dims=dims)
    if isinstance(prior, Truncated) and prior.proper:
        low, high = prior.support
        return pm.Truncated(name, _plain(pm, prior.prior), lower=low, upper=high, dims=dims)
    return _plain(pm, prior, name, dims)


def log_density(pm: Any, prior: Prior, value: Any) -> Any:
    """Return the log density of a prior of a mean at a PyMC variable; 0 for the flat one."""
    if isinstance(prior, Flat):
        return 0.0 * value
    if isinstance(prior, Truncated) and prior.proper:
        low, high = prior.support
        return pm.logp(pm.Truncated.dist(_plain(pm, prior.prior), lower=low, upper=high), value)
    return pm.logp(_plain(pm, prior), value)


def _plain(pm: Any, prior: Prior, name: str | None = None, dims: str | None = None) -> Any:
    made: tuple[Any, dict[str, float]]
    if isinstance(prior, Normal):
        made = pm.Normal, {"mu": prior.mean, "sigma": prior.sd}
    elif isinstance(prior, StudentT):
        made = pm.StudentT, {"nu": prior.df, "mu": prior.loc, "sigma": prior.scale}
    elif isinstance(prior, Cauchy):
        made = pm.Cauchy, {"alpha": prior.loc, "beta": prior.scale}
    elif isinstance(prior, Uniform):
        made = pm.Uniform, {"lower": prior.low, "upper": prior.high}
    else:
        raise UsageError(f"{prior!r} is not a prior of a mean; use Normal, StudentT, Cauchy, Uniform or Flat")
    kind, values = made
    return kind.dist(**values) if name is None else kind(name, **values, dims=dims)


def tau_variable(pm: Any, name: str, prior: Prior) -> Any:
    """Return a PyMC variable with a prior of heterogeneity, on the scale of tau.

    Raises
    ------
    UsageError
        Improper priors and truncated ones: compute them with the exact model.
    """
    build = _FAMILIES.get(type(prior))
    if build is None or not prior.proper:
        raise UsageError(
            f"{name} ~ {prior!r} cannot be sampled: improper and truncated priors of tau are for the exact "
            f"model; here use one of {', '.join(sorted(kind.__name__ for kind in _FAMILIES))}"
        )
    if prior.on == "tau":
        return build(pm, name, prior)
    return pm.Deterministic(name, pm.math.sqrt(build(pm, f"{name}2", prior)))


def _lomax(pm: Any, name: str, p: Any) -> Any:
    # (1 + x/scale)**-shape is the probability of a unit exponential beyond shape*log(1 + x/scale)
    unit = pm.Exponential(f"{name}_unit", 1.0)
    expm1 = import_module("pytensor.tensor").expm1
    return pm.Deterministic(name, p.scale * expm1(unit / p.shape))


def _log_student(pm: Any, name: str, p: Any) -> Any:
    log = pm.StudentT(f"{name}_log", nu=p.df, mu=p.loc, sigma=p.scale)
    return pm.Deterministic(name, pm.math.exp(log))


_FAMILIES: dict[type[Prior], Callable[[Any, str, Any], Any]] = {
    HalfNormal: lambda pm, name, p: pm.HalfNormal(name, sigma=p.sd),
    HalfT: lambda pm, name, p: pm.HalfStudentT(name, nu=p.df, sigma=p.scale),
    HalfCauchy: lambda pm, name, p: pm.HalfCauchy(name, beta=p.scale),
    Uniform: lambda pm, name, p: pm.Uniform(name, lower=p.low, upper=p.high),
    LogNormal: lambda pm, name, p: pm.LogNormal(name, mu=p.mean, sigma=p.sd),
    InverseGamma: lambda pm, name, p: pm.InverseGamma(name, alpha=p.shape, beta=p.scale),
    Lomax: _lomax,
    LogStudentT: _log_student,
}
