"""Priors that others have fitted to many meta-analyses, and one fitted by us; chosen by type of outcome."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal, cast

from mtmeta.errors import UsageError
from mtmeta.measures import Measure, check_choice, measure_of
from mtmeta.models.bayes_words import default_priors
from mtmeta.models.priors import InverseGamma, LogNormal, LogStudentT, Lomax, StudentT
from mtmeta.models.priors_base import On, Prior

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcome", "PriorChoice", "PriorSet", "choose_priors", "empirical_prior", "empirical_priors_table"]

PriorSet = Literal["rhodes", "turner", "bartos", "corpus"]
_SETS = ("rhodes", "turner", "bartos", "corpus")
_SOURCES = {
    "rhodes": "Rhodes, Turner, Higgins 2015, J Clin Epidemiol 68, 52",
    "turner": "Turner et al. 2015, Stat Med 34, 984, Table IV",
    "bartos": "Bartoš et al. 2021, Stat Med 40, 6743",
    "corpus": "mtmeta, fitted to standardised mean differences of 6,034 Cochrane meta-analyses",
}
Outcome = Literal[
    "any",
    "mental health",
    "pain",
    "quality of life",
    "physical health",
    "signs or symptoms",
    "biological markers",
    "resource use",
    "obstetric",
    "adverse events",
    "mortality",
    "withdrawals",
    "subjective",
]
_GENERAL = "general physical health, adverse events, pain, quality of life or functioning"
# outcome: its name in Rhodes (standardised mean differences) and in Turner (log odds ratios)
_OUTCOMES: dict[str, tuple[str, str]] = {
    "any": ("any", "any"),
    "mental health": ("mental health", "mental health"),
    "pain": (_GENERAL, "pain"),
    "quality of life": (_GENERAL, "quality of life or functioning"),
    "physical health": (_GENERAL, "general physical health"),
    "signs or symptoms": ("signs or symptoms, infection or onset of new disease", "signs or symptoms"),
    "biological markers": ("biological markers", "biological markers"),
    "resource use": ("resource use, hospital stay or process", "resource use, hospital stay or process"),
    "obstetric": ("obstetric outcomes", "obstetric outcomes"),
    "adverse events": (_GENERAL, "adverse events"),
    "mortality": ("", "all-cause mortality"),
    "withdrawals": ("", "withdrawals or drop-outs"),
    "subjective": ("various subjective outcomes", "various subjective outcomes"),
}
_ANY_DRUG_FREE = "non-pharmacological (any)"


def empirical_priors_table() -> pd.DataFrame:
    """Return the whole table, one prior a row.

    Returns
    -------
    DataFrame

    Notes
    -----
    Columns: set ("rhodes", "turner", "bartos", "corpus"), measure, setting (outcome or Cochrane topic),
    comparison, area, about ("tau" or "mu"), family, on ("tau" or "tau2"), df_or_shape, loc, scale, note.
    Numbers of Rhodes and Turner as in the R package bayesmeta 3.4 (``RhodesEtAlPrior``,
    ``TurnerEtAlPrior``), of Bartoš as in BayesTools (``prior_informed``).

    Examples
    --------
    >>> table = empirical_priors_table()
    >>> table.groupby("set").size()[["bartos", "rhodes", "turner"]].tolist()
    [94, 73, 81]
    """
    import pandas as pd

    return pd.read_csv(io.StringIO(_text()), keep_default_na=True, dtype={"note": str}).fillna({"note": ""})


@cache
def _text() -> str:
    return resources.files("mtmeta.models").joinpath("data/empirical_priors.csv").read_text(encoding="utf-8")


def empirical_prior(
    set: PriorSet,
    setting: str = "any",
    *,
    comparison: str | None = None,
    area: str | None = None,
    about: Literal["tau", "mu"] = "tau",
) -> Prior:
    """Return one prior of the table.

    Parameters
    ----------
    set : {"rhodes", "turner", "bartos", "corpus"}
        Rhodes 2015 and "corpus" are for standardised mean differences, Turner 2015 for log odds ratios,
        Bartoš 2021 (by Cochrane topic, effect and heterogeneity) for standardised mean differences.
    setting : str
        Outcome type or Cochrane topic as the table has it; "any" for all together.
    comparison : str, optional
        Such as "non-pharmacological vs control" (Turner) or "non-pharmacological (any)" (Rhodes).
    area : str, optional
        Rhodes: "other" (default), "respiratory" or "cancer".
    about : {"tau", "mu"}
        Heterogeneity, or the mean effect (Bartoš and corpus only).

    Returns
    -------
    Prior
        Its `source` names paper and row; results print it.

    Raises
    ------
    UsageError
        No such row; the message lists what there is.

    Examples
    --------
    Rhodes et al. 2015, mental health, non-pharmacological; and Bartoš et al. 2021, all of Cochrane.

    >>> empirical_prior("rhodes", "mental health", comparison="non-pharmacological (any)")
    LogStudentT(5, -3.85, 1.93, on="tau2")
    >>> empirical_prior("bartos"), empirical_prior("bartos", about="mu")
    (InverseGamma(1.71, 0.4), StudentT(5, 0, 0.43))
    """
    check_choice("set", set, _SETS)
    check_choice("about", about, ("tau", "mu"))
    return _row_of(set, setting, comparison, area, about)


@cache
def _row_of(set: str, setting: str, comparison: str | None, area: str | None, about: str) -> Prior:
    table = empirical_priors_table()
    table = table[(table["set"] == set) & (table["about"] == about)]
    wanted = {"setting": setting, "comparison": comparison, "area": area}
    if set == "rhodes" and setting != "any" and area is None:
        wanted["area"] = "other"
    for column, value in wanted.items():
        have = sorted(table[column].unique())
        if value is None and len(have) == 1:
            continue
        if value not in have:
            raise UsageError(
                f"{column}={value!r}: the {set} priors of {about} have {', '.join(map(repr, have)) or 'none'}"
            )
        table = table[table[column] == value]
    row = table.iloc[0]
    family, on = str(row["family"]), cast(On, str(row["on"]))
    a, loc, scale = (float(row[c]) for c in ("df_or_shape", "loc", "scale"))
    named = [str(row[c]) for c in ("setting", "comparison", "area") if str(row[c]) != "any"]
    where = "; ".join([_SOURCES[set], *named, *([str(row["note"])] if row["note"] else [])])
    source = where if named or set == "corpus" else f"{where}; all outcomes"
    return _build(family, a, loc, scale, on, source)


def _build(family: str, a: float, loc: float, scale: float, on: On, source: str) -> Prior:
    if family == "LogStudentT":
        return LogStudentT(a, loc, scale, on=on, source=source)
    if family == "LogNormal":
        return LogNormal(loc, scale, on=on, source=source)
    if family == "InverseGamma":
        return InverseGamma(a, scale, on=on, source=source)
    if family == "Lomax":
        return Lomax(a, scale, on=on, source=source)
    if family == "StudentT":
        return StudentT(a, loc, scale, source=source)
    raise UsageError(f"the table of priors has an unknown family {family!r}")


@dataclass(frozen=True)
class PriorChoice:
    """Priors chosen by type of outcome, and why.

    Attributes
    ----------
    mu, tau : Prior
    why : str
        One sentence; also what is printed.
    """

    mu: Prior
    tau: Prior
    why: str

    def __repr__(self) -> str:
        return f"mu ~ {self.mu!r}, tau ~ {self.tau!r}: {self.why}"


def choose_priors(
    measure: Measure | str,
    outcome: Outcome = "any",
    *,
    comparison: str = "non-pharmacological vs control",
    topic: str | None = None,
) -> PriorChoice:
    """Choose empirical priors by measure and type of outcome.

    Parameters
    ----------
    measure : Measure or str
        SMD (Rhodes 2015, or Bartoš 2021 with a `topic`), OR (Turner 2015).
    outcome : str
        Type of outcome; "any" for the general prior.
    comparison : str
        Pharmacological or not, as Turner names it: "pharmacological vs control", "pharmacological vs
        pharmacological", "non-pharmacological vs control", "non-pharmacological vs pharmacological",
        "non-pharmacological vs non-pharmacological".
    topic : str, optional
        A Cochrane topic such as "Common Mental Disorders", "Dementia and Cognitive Improvement" or
        "Schizophrenia": both priors of Bartoš et al. 2021 for it ("any" for all topics).

    Returns
    -------
    PriorChoice
        Without a topic the prior of the mean is the weakly informative default.

    Raises
    ------
    UsageError
        A measure for which nobody has fitted priors, or an unknown outcome, comparison or topic.

    Examples
    --------
    >>> choice = choose_priors("SMD", "mental health")
    >>> choice.tau.quantile([0.5, 0.025, 0.975]).round(3)  # printed: 0.146 [0.012, 1.743]
    array([0.146, 0.012, 1.743])
    >>> choose_priors("OR", "mental health").tau
    LogNormal(-2.34, 1.72, on="tau2")
    """
    kind = measure_of(measure)
    check_choice("outcome", outcome, tuple(_OUTCOMES))
    turner = empirical_priors_table().query("set == 'turner' and comparison != 'any'")["comparison"].unique()
    check_choice("comparison", comparison, tuple(turner))
    if topic is not None:
        if kind.code != "SMD":
            raise UsageError(f"topic={topic!r}: the priors by Cochrane topic are for SMD, not {kind.code}")
        tau, mu = (empirical_prior("bartos", topic, about=about) for about in ("tau", "mu"))
        return PriorChoice(mu, tau, f"both by Cochrane topic ({tau.source})")
    if kind.code == "SMD":
        setting = _OUTCOMES[outcome][0]
        if not setting:
            raise UsageError(
                f"outcome={outcome!r}: Rhodes et al. have no standardised mean differences of it"
            )
        of = _ANY_DRUG_FREE if comparison.startswith("non-") else comparison
        tau = empirical_prior("rhodes", setting, comparison="any" if setting == "any" else of, area=None)
    elif kind.code == "OR":
        setting = _OUTCOMES[outcome][1]
        tau = empirical_prior("turner", setting, comparison="any" if setting == "any" else comparison)
    else:
        raise UsageError(
            f"measure {kind.code}: empirical priors were fitted for SMD and OR only; give priors, or leave "
            "them out for the default of this measure"
        )
    mu, _ = default_priors(kind)
    why = f"heterogeneity by outcome ({tau.source}); mean {mu.source}"
    return PriorChoice(replace(mu), tau, why)
