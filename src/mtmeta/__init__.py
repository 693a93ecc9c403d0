"""Meta-analysis from the printed number to the published figure, every step traceable.

The public names are loaded when first used, so that ``import mtmeta`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES: dict[str, str] = {
    "Interval": "measures",
    "Measure": "measures",
    # records
    "Study": "records.schema",
    "Studies": "records.folder",
    "read_studies": "records.folder",
    "read_study": "records.folder",
    "write_study": "records.write",
    "example_studies": "records.locate",
    # effects
    "EffectSizes": "effects.table",
    "effect_sizes": "effects.compute",
    "mean_difference": "effects.continuous",
    "standardized_mean_difference": "effects.continuous",
    # models
    "CommonEffect": "models.pool",
    "RandomEffects": "models.pool",
    "HenmiCopas": "models.pool",
    "IVhet": "models.pool",
    "PoolResult": "models.pool",
    "EventCounts": "models.events",
    "MantelHaenszel": "models.events",
    "Peto": "models.events",
    "MetaRegression": "models.regression",
    "Multilevel": "models.dependent",
    "compare_models": "models.compare",
    "likelihood_ratio": "models.compare",
    "permutation_test": "models.permutation",
    "rho_sensitivity": "models.dependent",
    "robust": "models.robust",
    "subgroups": "models.subgroups",
    # figures
    "forest": "figures",
    "funnel": "figures",
    "save": "figures",
    # errors
    "EffectError": "errors",
    "ModelError": "errors",
    "MtmetaError": "errors",
    "RecordError": "errors",
    "UsageError": "errors",
}
_MEASURES = [
    "AS",
    "COR",
    "CVR",
    "D2ORL",
    "D2ORN",
    "GEN",
    "HR",
    "IR",
    "IRD",
    "IRLN",
    "IRR",
    "IRS",
    "IRSD",
    "MC",
    "MD",
    "MN",
    "OR",
    "OR2DL",
    "OR2DN",
    "PAS",
    "PBIT",
    "PETO",
    "PFT",
    "PHI",
    "PLN",
    "PLO",
    "PR",
    "RBIS",
    "RD",
    "ROM",
    "ROMC",
    "RPB",
    "RR",
    "SMCC",
    "SMCR",
    "SMCRH",
    "SMCRP",
    "SMD",
    "SMD1",
    "SMD1H",
    "SMDH",
    "VR",
    "YUQ",
    "ZCOR",
]

__all__ = sorted([*_NAMES, *_MEASURES])


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(import_module(f"mtmeta.{_NAMES[name]}"), name)
    elif name in _MEASURES:
        value = import_module("mtmeta.measures").MEASURES[name]
    elif name == "__version__":
        value = import_module("importlib.metadata").version("mtmeta")
    else:
        raise AttributeError(f"module 'mtmeta' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
