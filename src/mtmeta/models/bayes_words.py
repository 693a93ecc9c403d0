"""Defaults of the Bayesian models, and sentences that name the priors with their sources."""

from __future__ import annotations

from mtmeta.errors import UsageError
from mtmeta.measures import Measure
from mtmeta.models.priors import DuMouchel, HalfNormal, Jeffreys, Normal, UniformShrinkage
from mtmeta.models.priors_base import Prior

__all__ = ["default_priors", "methods_text", "prior_text"]

_ROEVER_TAU = "Röver et al. 2021, weakly informative for standardised mean differences and log ratios"
_ROEVER_MU = "Röver 2020, J Stat Softw 93(6), for log odds ratios"
_OURS_MU = "weakly informative: 95% within 3.9 standard deviations of 0"
_STANDARDISED = ("SMD", "SMDH", "SMD1", "SMD1H", "SMCC", "SMCR", "SMCRH", "SMCRP", "OR2DL", "OR2DN", "PBIT")
_LOG_RATIOS = ("OR", "PETO", "RR", "HR", "IRR", "D2ORL", "D2ORN")
_NAMED: dict[type[Prior], str] = {
    DuMouchel: "DuMouchel and Normand 2000",
    UniformShrinkage: "Daniels 1999",
    Jeffreys: "Jeffreys' prior, improper",
}


def default_priors(measure: Measure) -> tuple[Prior, Prior]:
    """Return the priors of mean and tau for a measure whose scale is known.

    Raises
    ------
    UsageError
        A measure in units of its own: no prior fits all of them.
    """
    if measure.code in _STANDARDISED:
        return Normal(0, 2, source=_OURS_MU), HalfNormal(0.5, source=_ROEVER_TAU)
    if measure.code in _LOG_RATIOS:
        return Normal(0, 4, source=_ROEVER_MU), HalfNormal(0.5, source=_ROEVER_TAU)
    raise UsageError(
        f"measure {measure.code} ({measure.label}) has no default priors, because its scale is that of the "
        "data; give mu= and tau=, such as Flat() and HalfNormal(...) with a scale in units of the effects"
    )


def prior_text(name: str, prior: Prior, bound: Prior) -> str:
    """Return ``name ~ prior (source)``, with what a prior takes from the data."""
    words = f"{name} ~ {prior!r}"
    notes = [prior.source or _NAMED.get(type(prior), "")]
    if type(bound) is not type(prior):
        notes.append(f"here {bound!r}" if bound.proper else "")
    text = "; ".join(note for note in notes if note)
    return f"{words} ({text})" if text else words


def methods_text(mu: str, tau: str) -> str:
    """Return sentences that a methods section can take over.

    Examples
    --------
    >>> print(methods_text("mu ~ Normal(0, 2)", "tau ~ HalfNormal(0.5)"))
    Effects were pooled with the Bayesian normal-normal hierarchical model (Röver 2020, J Stat Softw
    93(6)); priors: mu ~ Normal(0, 2), tau ~ HalfNormal(0.5). ...
    """
    return (
        "Effects were pooled with the Bayesian normal-normal hierarchical model (Röver 2020, J Stat Softw "
        f"93(6)); priors: {mu}, {tau}. The posterior was computed by adaptive quadrature over tau, without "
        "sampling; intervals are credible intervals with equal tails unless called shortest."
    )
