"""The scale library: what an instrument measures, which end of it is good, what it can score.

Direction drives labels, claims and one-sided tests and never turns an effect (the design's sign rule); a
range says which printed means cannot be; a reference SD turns an SMD into points; a minimal important
difference says how many points matter. Each fact has its source in ``scales.yaml``; what has none is
left out there and is None here.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mtmeta.records import vocabulary as voc
from mtmeta.records.forms import PlacedError
from mtmeta.records.schema import Model, Number, Slug, Text
from mtmeta.records.yamltext import load_model

__all__ = ["MinimalDifference", "ReferenceSD", "Scale", "scale_of", "scales"]


class ReferenceSD(Model):
    """Standard deviation of a named population, for turning an SMD into points of the scale."""

    sd: Annotated[float, Field(gt=0)]
    population: Text
    source: Text
    seen_at: Text | None = None


class MinimalDifference(Model):
    """Minimal important difference, in points of the scale or as a part of the baseline."""

    value: Annotated[float, Field(gt=0)] | None = None
    """Points of the scale."""
    percent_of_baseline: Annotated[float, Field(gt=0, lt=100)] | None = None
    population: Text
    source: Text
    seen_at: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> MinimalDifference:
        if (self.value is None) == (self.percent_of_baseline is None):
            raise PlacedError([((), "needs either value or percent_of_baseline")])
        return self


class Scale(Model):
    """One instrument of the library."""

    id: Slug
    name: Text
    constructs: Annotated[tuple[voc.Construct, ...], Field(strict=False, min_length=1)]
    """What it measures, in the records' words."""
    better: Literal["lower", "higher"] | None = None
    """Which end is good; None where neither is."""
    range: Annotated[tuple[Number, Number], Field(strict=False)] | None = None
    """Lowest and highest possible score; None where versions differ or nothing bounds it."""
    unit: Text = "points"
    items: Text | None = None
    """Why the range is what it is."""
    aliases: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    """Spellings under which records name it."""
    source: Text
    """The instrument's own paper or manual."""
    seen_at: Text | None = None
    """Page on which range and direction were read; None where the source is cited for its known scoring."""
    reference_sd: ReferenceSD | None = None
    mid: MinimalDifference | None = None
    note: Text | None = None

    @model_validator(mode="after")
    def _rising(self) -> Scale:
        if self.range is not None and self.range[0] >= self.range[1]:
            raise PlacedError([(("range",), "does not rise; write [lowest, highest]")])
        return self


class _Library(Model):
    """The file ``scales.yaml``."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    scales: Annotated[tuple[Scale, ...], Field(strict=False)]


@cache
def scales() -> tuple[Scale, ...]:
    """Return the whole library in the order of its file.

    Examples
    --------
    >>> [scale.id for scale in scales() if scale.mid is not None][:3]
    ['hads-a', 'hads-d', 'bdi-ii']
    """
    path = Path(str(resources.files("mtmeta.records"))) / "scales.yaml"
    return load_model(path, _Library).scales


def scale_of(instrument: str | None, construct: str | None = None) -> Scale | None:
    """Find the scale that a record's instrument names.

    Upper and lower case, spaces and hyphens do not count. A name that several scales share (``VAS``,
    ``mmHg``, ``HADS``) needs the construct. Without an instrument the construct itself is looked up,
    which finds what is measured in one way only (heart rate, cadence). Nothing is guessed: a name
    that the library does not know, or that stays ambiguous, gives None.

    Parameters
    ----------
    instrument : str or None
        ``instrument`` of an outcome.
    construct : str, optional
        ``construct`` of the outcome; a scale that does not measure it is not found.

    Returns
    -------
    Scale or None

    Examples
    --------
    The STAI scores 20 to 80 (Spielberger 1983). On the PANSS, 15.3 points matter (Hermes 2012), on the
    HADS around 1.5 (Puhan 2008).

    >>> scale_of("STAI-S").range
    (20.0, 80.0)
    >>> scale_of("PANSS").mid.value, scale_of("HADS", "anxiety").mid.value
    (15.3, 1.5)
    >>> scale_of("VAS", "pain").id, scale_of("VAS", "anxiety").id, scale_of("VAS")
    ('vas-pain', 'vas-anxiety', None)
    >>> scale_of(None, "oxygen saturation").better
    'higher'
    """
    wanted = instrument if instrument is not None else construct
    if wanted is None:
        return None
    found = [
        scale
        for scale in _by_alias().get(_bare(wanted), ())
        if construct is None or construct in scale.constructs
    ]
    return found[0] if len(found) == 1 else None


@cache
def _by_alias() -> dict[str, tuple[Scale, ...]]:
    found: dict[str, tuple[Scale, ...]] = {}
    for scale in scales():
        for alias in dict.fromkeys(map(_bare, (scale.id, scale.name, *scale.aliases))):
            found[alias] = (*found.get(alias, ()), scale)
    return found


def _bare(name: str) -> str:
    return re.sub(r"[\s\-–_]+", "", name).casefold()
