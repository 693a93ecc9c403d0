"""Meta-analysis from the printed number to the published figure, every step traceable.

The public names are loaded when first used, so that ``import mtmeta`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES: dict[str, str] = {
    # measures
    "Interval": "measures",
    "Measure": "measures",
    # records
    "Study": "records.schema",
    "Studies": "records.folder",
    "read_studies": "records.folder",
    "read_study": "records.folder",
    "write_study": "records.write",
    "example_studies": "records.locate",
    "scale_of": "records.scales",
    "integrity_problems": "records.integrity",
    # effects
    "EffectSizes": "effects.table",
    "effect_sizes": "effects.compute",
    "mean_difference": "effects.continuous",
    "standardized_mean_difference": "effects.continuous",
    "glass_delta": "effects.continuous",
    "hedges_correction": "effects.continuous",
    "heteroscedastic_smd": "effects.continuous",
    "single_mean": "effects.continuous",
    "smd_variance": "effects.continuous",
    "ratio_of_means": "effects.ratios",
    "variability_ratio": "effects.ratios",
    "variation_ratio": "effects.ratios",
    "arcsine_difference": "effects.binary",
    "odds_ratio": "effects.binary",
    "peto_odds_ratio": "effects.binary",
    "phi_coefficient": "effects.binary",
    "probit_difference": "effects.binary",
    "risk_difference": "effects.binary",
    "risk_ratio": "effects.binary",
    "yule_q": "effects.binary",
    "incidence_rate": "effects.rates",
    "rate_difference": "effects.rates",
    "rate_ratio": "effects.rates",
    "root_rate_difference": "effects.rates",
    "freeman_tukey_back": "effects.proportions",
    "proportion": "effects.proportions",
    "biserial": "effects.association",
    "correlation": "effects.association",
    "correlation_from_t": "effects.association",
    "fisher_z": "effects.association",
    "point_biserial": "effects.association",
    "mean_change": "effects.paired",
    "paired_ratio_of_means": "effects.paired",
    "pre_post_control": "effects.paired",
    "standardized_mean_change": "effects.paired",
    "smd_from_d": "effects.reported",
    "smd_from_p": "effects.reported",
    "smd_from_reported": "effects.reported",
    "smd_from_t": "effects.reported",
    "cohen_u3": "effects.convert",
    "common_language": "effects.convert",
    "correlation_from_smd": "effects.convert",
    "hazard_ratio": "effects.convert",
    "hazard_ratio_from_logrank": "effects.convert",
    "log_odds_ratio_from_smd": "effects.convert",
    "number_needed_to_treat": "effects.convert",
    "response_rates": "effects.convert",
    "scale_points": "effects.convert",
    "smd_from_correlation": "effects.convert",
    "smd_from_log_odds_ratio": "effects.convert",
    "Recovered": "effects.recover",
    "combine_groups": "effects.recover",
    "mean_sd_from_quantiles": "effects.recover",
    "pre_post_correlation": "effects.recover",
    "sd_from_f": "effects.recover",
    "sd_from_interval": "effects.recover",
    "sd_from_p": "effects.recover",
    "sd_from_se": "effects.recover",
    "sd_from_t": "effects.recover",
    "sd_of_change": "effects.recover",
    "sd_of_final": "effects.recover",
    "se_from_interval": "effects.recover",
    "se_from_p": "effects.recover",
    "se_from_t": "effects.recover",
    "sizes_from_se": "effects.recover",
    "t_from_f": "effects.recover",
    "t_from_p": "effects.recover",
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
    # diagnostics
    "baujat": "diagnostics.influence",
    "cumulative": "diagnostics.influence",
    "influence": "diagnostics.influence",
    "leave_one_out": "diagnostics.influence",
    "begg": "diagnostics.small_study",
    "egger": "diagnostics.small_study",
    "harbord": "diagnostics.small_study",
    "peters": "diagnostics.small_study",
    "trim_and_fill": "diagnostics.trim_fill",
    "PUniformStar": "diagnostics.selection",
    "SelectionModel": "diagnostics.selection",
    "gosh": "diagnostics.gosh",
    "multiverse": "diagnostics.multiverse",
    "bias_panel": "diagnostics.adjust",
    "pet_peese": "diagnostics.adjust",
    # figures
    "forest": "figures",
    "funnel": "figures",
    "save": "figures",
    "STYLES": "figures",
    "RobTable": "figures",
    "forest_layout": "figures",
    "funnel_layout": "figures",
    "prisma_layout": "figures",
    "rows_layout": "figures",
    # reports
    "why": "reports.why",
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
