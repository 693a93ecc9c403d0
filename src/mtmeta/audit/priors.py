"""Priors as an analysis file writes them: text that is read by a table, never run as code."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, model_validator

from mtmeta.errors import UsageError
from mtmeta.measures import Measure
from mtmeta.models import priors as families
from mtmeta.models.empirical_priors import Outcome, choose_priors, empirical_prior
from mtmeta.models.priors_base import Prior
from mtmeta.records.forms import PlacedError
from mtmeta.records.schema import Model, Text

__all__ = ["Priors", "read_prior"]

_NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
_FORM = rf"^[a-z-]+(?:\({_NUMBER}(?:, ?{_NUMBER})*\))?(?: on tau2)?$"
_FAMILIES: dict[str, type[Prior]] = {
    "normal": families.Normal,
    "student-t": families.StudentT,
    "cauchy": families.Cauchy,
    "flat": families.Flat,
    "uniform": families.Uniform,
    "half-normal": families.HalfNormal,
    "half-t": families.HalfT,
    "half-cauchy": families.HalfCauchy,
    "log-normal": families.LogNormal,
    "log-student-t": families.LogStudentT,
    "inverse-gamma": families.InverseGamma,
    "lomax": families.Lomax,
}
PriorText = Annotated[str, Field(pattern=_FORM, max_length=80)]


def read_prior(text: str, *, source: str = "") -> Prior:
    """Read a prior such as ``half-normal(0.5)`` or ``log-normal(-2.34, 1.72) on tau2``.

    Parameters
    ----------
    text : str
        Name of the family and its parameters in the order of the class of that name; `` on tau2`` where
        they describe tau squared.
    source : str
        Where the numbers come from.

    Raises
    ------
    UsageError
        An unknown family, or parameters it does not take.

    Examples
    --------
    >>> read_prior("half-normal(0.5)"), read_prior("log-normal(-2.34, 1.72) on tau2")
    (HalfNormal(0.5), LogNormal(-2.34, 1.72, on="tau2"))
    """
    if not re.fullmatch(_FORM, text):
        raise UsageError(f"{text!r} is not a prior; write one such as half-normal(0.5)")
    named, _, on = text.partition(" on ")
    name, _, inside = named.rstrip(")").partition("(")
    family = _FAMILIES.get(name)
    if family is None:
        raise UsageError(f"{name!r} is no family of priors; use one of {', '.join(_FAMILIES)}")
    numbers = [float(n) for n in inside.split(",")] if inside else []
    wanted = [f for f in family.__dataclass_fields__.values() if not f.kw_only]
    if len(numbers) != len(wanted):
        takes = ", ".join(f.name for f in wanted) or "no numbers"
        raise UsageError(f"{text!r}: {name} takes {takes}")
    build: Any = family
    prior: Prior = build(*numbers, on=on or "tau", source=source)
    return prior


class Priors(Model):
    """One pair of priors: of the mean effect and of the heterogeneity.

    Either `outcome` (heterogeneity by type of outcome: Rhodes 2015 for SMD, Turner 2015 for OR), or
    `topic` (both priors by Cochrane topic, Bartoš 2021), or `tau` in its own words, or none of them for
    the weakly informative defaults of the measure.
    """

    outcome: Outcome | None = None
    comparison: Text = "non-pharmacological vs control"
    """For `outcome`: the kind of comparison, as Turner names it."""
    topic: Text | None = None
    """Cochrane topic, such as Schizophrenia."""
    tau: PriorText | None = None
    """Such as half-normal(0.5); of tau squared with `` on tau2`` behind it."""
    mu: PriorText | None = None
    """Such as normal(0, 2); by default that of the measure, with `topic` that of the topic."""
    source: Text | None = None
    """Where `tau` and `mu` come from; needed unless they are the defaults of the measure."""

    @model_validator(mode="after")
    def _one_kind(self) -> Priors:
        wrong: list[tuple[tuple[str], str]] = []
        given = [name for name in ("outcome", "topic", "tau") if getattr(self, name) is not None]
        if len(given) > 1:
            wrong.append(((given[-1],), f"stands beside {given[0]}; give one of outcome, topic and tau"))
        for name in ("tau", "mu", "topic"):
            text = getattr(self, name)
            try:
                if text is not None and name == "topic":
                    empirical_prior("bartos", text)
                elif text is not None:
                    read_prior(text)
            except UsageError as error:
                wrong.append(((name,), str(error)))
        if wrong:
            raise PlacedError(wrong)
        return self

    @property
    def label(self) -> str:
        """A few words for tables, such as ``half-normal(0.5)`` or ``empirical (mental health)``."""
        words = "default"
        if self.tau is not None:
            words = self.tau
        elif self.outcome is not None:
            words = f"empirical ({self.outcome})"
        elif self.topic is not None:
            words = f"topic ({self.topic})"
        return words if self.mu is None else f"{words}; {self.mu}"

    def of(self, measure: Measure) -> tuple[Prior, Prior]:
        """Return the priors of mean and tau for effects of a measure, each with its source.

        Raises
        ------
        UsageError
            A measure for which such priors do not exist, or numbers without a source.
        """
        from mtmeta.models.bayes_words import default_priors

        mu = tau = None
        if self.outcome is not None or self.topic is not None:
            choice = choose_priors(
                measure, self.outcome or "any", comparison=self.comparison, topic=self.topic
            )
            mu, tau = choice.mu, choice.tau
        if mu is None or tau is None:
            try:
                mu, tau = default_priors(measure)
            except UsageError:
                if self.mu is None or self.tau is None:
                    raise
        mu = self._own("mu", self.mu, mu)
        return mu, self._own("tau", self.tau, tau)

    def _own(self, name: str, text: str | None, default: Prior | None) -> Prior:
        if text is None:
            assert default is not None
            return default
        prior = read_prior(text, source=self.source or "")
        if default is not None and prior == default:
            return default
        if self.source is None:
            raise UsageError(f"{name}: {text} is no default; say with source where its numbers come from")
        return prior
