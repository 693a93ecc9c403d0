"""Risk-of-bias judgements as lights: tools, domains, signs and colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtmeta.errors import UsageError
from mtmeta.figures.layout.table import Light
from mtmeta.measures import check_choice

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TOOLS", "RobTable"]

# Judgement: sign, colour, words, rank from good to bad. Okabe and Ito's hues with different luminance, and a
# sign in each, so that neither colour blindness nor grey print loses the judgement.
JUDGEMENTS: dict[str, tuple[str, str, str, int]] = {
    "low": ("+", "#5FBF8F", "Low", 0),
    "some concerns": ("−", "#F5E27A", "Some concerns", 2),
    "unclear": ("?", "#F5E27A", "Unclear", 2),
    "moderate": ("−", "#F5E27A", "Moderate", 2),
    "serious": ("×", "#F0A35E", "Serious", 3),
    "high": ("×", "#E0705A", "High", 4),
    "critical": ("!", "#C9503C", "Critical", 5),
    "no information": ("?", "#BDBDBD", "No information", 6),
}

# Domains as the tools name them, in their order: RoB 1 (Higgins 2011, BMJ 343:d5928), RoB 2 (Sterne 2019,
# BMJ 366:l4898), ROBINS-I (Sterne 2016, BMJ 355:i4919), ROBINS-I V2 (riskofbias.info, draft of November 2025:
# domains 2 and 3 changed places, deviations from intervention no longer stand alone).
TOOLS: dict[str, tuple[tuple[str, str], ...]] = {
    "RoB 1": (
        ("random_sequence", "Random sequence generation"),
        ("allocation_concealment", "Allocation concealment"),
        ("blinding_participants", "Blinding of participants and personnel"),
        ("blinding_outcome", "Blinding of outcome assessment"),
        ("blinding_outcome_subjective", "Blinding of outcome assessment (subjective)"),
        ("blinding_outcome_objective", "Blinding of outcome assessment (objective)"),
        ("incomplete_outcome", "Incomplete outcome data"),
        ("selective_reporting", "Selective reporting"),
        ("other", "Other bias"),
    ),
    "RoB 2": (
        ("randomisation", "Randomisation process"),
        ("deviations", "Deviations from intended interventions"),
        ("missing_data", "Missing outcome data"),
        ("measurement", "Measurement of the outcome"),
        ("reported_result", "Selection of the reported result"),
        ("overall", "Overall"),
    ),
    "ROBINS-I": (
        ("confounding", "Confounding"),
        ("selection", "Selection of participants"),
        ("classification", "Classification of interventions"),
        ("deviations", "Deviations from intended interventions"),
        ("missing_data", "Missing data"),
        ("measurement", "Measurement of outcomes"),
        ("reported_result", "Selection of the reported result"),
        ("overall", "Overall"),
    ),
    "ROBINS-I V2": (
        ("confounding", "Confounding"),
        ("classification", "Classification of interventions"),
        ("selection", "Selection of participants"),
        ("missing_data", "Missing data"),
        ("measurement", "Measurement of the outcome"),
        ("reported_result", "Selection of the reported result"),
        ("overall", "Overall"),
    ),
}
_ALLOWED = {
    "RoB 1": ("low", "unclear", "high"),
    "RoB 2": ("low", "some concerns", "high"),
    "ROBINS-I": ("low", "moderate", "serious", "critical", "no information"),
    "ROBINS-I V2": ("low", "moderate", "serious", "critical", "no information"),
}


@dataclass(frozen=True)
class RobTable:
    """Judgements of one tool, a row a study. Frozen; use :meth:`of`.

    Attributes
    ----------
    tool : str
    studies : tuple of str
    domains : tuple of str
        Keys of the domains that somebody judged, in the tool's order.
    judgements : tuple of tuple of str
        One row a study, one entry a domain, empty where not judged.
    """

    tool: str
    studies: tuple[str, ...]
    domains: tuple[str, ...]
    judgements: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls,
        data: pd.DataFrame | Mapping[str, Mapping[str, Any]],
        *,
        tool: str,
    ) -> RobTable:
        """Build the table from a frame (index studies, columns domains) or a mapping of mappings.

        Parameters
        ----------
        data : DataFrame or mapping of study to mapping of domain to judgement
        tool : {"RoB 1", "RoB 2", "ROBINS-I", "ROBINS-I V2"}

        Raises
        ------
        UsageError
            For an unknown tool, domain or judgement; the message names study, domain and what is allowed.

        Examples
        --------
        >>> RobTable.of({"White 1999": {"random_sequence": "low", "other": "high"}}, tool="RoB 1").domains
        ('random_sequence', 'other')
        """
        check_choice("tool", tool, tuple(TOOLS))
        rows: Mapping[Any, Any] = data if isinstance(data, Mapping) else data.T.to_dict()
        keys = [key for key, _ in TOOLS[tool]]
        table: dict[str, dict[str, str]] = {}
        for study, given in rows.items():
            table[str(study)] = {}
            for domain, value in given.items():
                word = _word(value)
                if not word:
                    continue
                if domain not in keys:
                    raise UsageError(f"{study}: {tool} has no domain {domain!r}; it has {', '.join(keys)}")
                if word not in _ALLOWED[tool]:
                    allowed = ", ".join(_ALLOWED[tool])
                    raise UsageError(f"{study}, {domain}: {value!r} is no judgement of {tool}; use {allowed}")
                table[str(study)][str(domain)] = word
        used = tuple(k for k in keys if any(k in row for row in table.values()))
        return cls(
            tool, tuple(table), used, tuple(tuple(row.get(k, "") for k in used) for row in table.values())
        )

    def heads(self) -> tuple[str, ...]:
        """Return short heads of the domains: D1, D2 … as the tool numbers them; letters for RoB 1."""
        keys = [key for key, _ in TOOLS[self.tool]]
        if self.tool == "RoB 1":
            return tuple("ABCDEFGHI"[i] for i in range(len(self.domains)))
        return tuple("All" if k == "overall" else f"D{keys.index(k) + 1}" for k in self.domains)

    def names(self) -> tuple[str, ...]:
        """Return the full names of the domains."""
        words = dict(TOOLS[self.tool])
        return tuple(words[k] for k in self.domains)

    def lights(self, study: str) -> tuple[Light, ...]:
        """Return a study's lights, one a domain, without sign where not judged; () if unknown."""
        if study not in self.studies:
            return ()
        row = self.judgements[self.studies.index(study)]
        return tuple(_light(domain, word) for domain, word in zip(self.domains, row, strict=True))

    def legend(self) -> tuple[tuple[str, str, str], ...]:
        """Return sign, colour and words of each judgement that occurs, from good to bad."""
        found = {word for row in self.judgements for word in row if word}
        ordered = sorted(found, key=lambda w: JUDGEMENTS[w][3])
        return tuple((JUDGEMENTS[w][0], JUDGEMENTS[w][1], JUDGEMENTS[w][2]) for w in ordered)

    def key(self) -> str:
        """Return the line that says what the heads mean."""
        pairs = zip(self.heads(), self.names(), strict=True)
        said = "; ".join(f"{head} {name[:1].lower()}{name[1:]}" for head, name in pairs if head != "All")
        return f"Risk of bias ({self.tool}): {said}"


def _word(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).strip().lower()


def _light(domain: str, word: str) -> Light:
    sign, colour = JUDGEMENTS[word][:2] if word else ("", "")
    return Light(domain, word, sign, colour)


def tally(table: RobTable, weights: Sequence[float] | None = None) -> tuple[tuple[float, ...], ...]:
    """Return shares of each judgement (in the legend's order) a domain, of the studies judged.

    Parameters
    ----------
    table : RobTable
    weights : sequence of float, optional
        Of the studies; equal by default.
    """
    order = [words.lower() for _, _, words in table.legend()]
    given = [1.0] * len(table.studies) if weights is None else [float(w) for w in weights]
    if len(given) != len(table.studies):
        raise UsageError(f"{len(given)} weights for {len(table.studies)} studies; give one a study")
    shares = []
    for j in range(len(table.domains)):
        sums = [
            math.fsum(w for w, row in zip(given, table.judgements, strict=True) if row[j] == word)
            for word in order
        ]
        total = math.fsum(sums)
        shares.append(tuple(s / total for s in sums))
    return tuple(shares)
