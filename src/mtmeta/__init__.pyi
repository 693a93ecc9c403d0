from mtmeta.diagnostics.adjust import bias_panel as bias_panel, pet_peese as pet_peese
from mtmeta.diagnostics.deletion import case_deletion as case_deletion
from mtmeta.diagnostics.excess import excess_significance as excess_significance, fail_safe_n as fail_safe_n
from mtmeta.diagnostics.gosh import gosh as gosh
from mtmeta.diagnostics.gosh_clusters import gosh_clusters as gosh_clusters
from mtmeta.diagnostics.influence import (
    baujat as baujat,
    cumulative as cumulative,
    influence as influence,
    leave_one_out as leave_one_out,
)
from mtmeta.diagnostics.least_squares import (
    unrestricted_wls as unrestricted_wls,
    waap as waap,
    worst_case as worst_case,
)
from mtmeta.diagnostics.multiverse import multiverse as multiverse
from mtmeta.diagnostics.multiverse_flips import multiverse_test as multiverse_test
from mtmeta.diagnostics.selection import PUniformStar as PUniformStar, SelectionModel as SelectionModel
from mtmeta.diagnostics.simulation import next_trial as next_trial, simulate as simulate
from mtmeta.diagnostics.small_study import begg as begg, egger as egger, harbord as harbord, peters as peters
from mtmeta.diagnostics.trim_fill import trim_and_fill as trim_and_fill
from mtmeta.effects.association import (
    biserial as biserial,
    correlation as correlation,
    correlation_from_t as correlation_from_t,
    fisher_z as fisher_z,
    point_biserial as point_biserial,
)
from mtmeta.effects.binary import (
    arcsine_difference as arcsine_difference,
    odds_ratio as odds_ratio,
    peto_odds_ratio as peto_odds_ratio,
    phi_coefficient as phi_coefficient,
    probit_difference as probit_difference,
    risk_difference as risk_difference,
    risk_ratio as risk_ratio,
    yule_q as yule_q,
)
from mtmeta.effects.compute import effect_sizes as effect_sizes
from mtmeta.effects.continuous import (
    glass_delta as glass_delta,
    hedges_correction as hedges_correction,
    heteroscedastic_smd as heteroscedastic_smd,
    mean_difference as mean_difference,
    single_mean as single_mean,
    smd_variance as smd_variance,
    standardized_mean_difference as standardized_mean_difference,
)
from mtmeta.effects.convert import (
    cohen_u3 as cohen_u3,
    common_language as common_language,
    correlation_from_smd as correlation_from_smd,
    hazard_ratio as hazard_ratio,
    hazard_ratio_from_logrank as hazard_ratio_from_logrank,
    log_odds_ratio_from_smd as log_odds_ratio_from_smd,
    number_needed_to_treat as number_needed_to_treat,
    response_rates as response_rates,
    scale_points as scale_points,
    smd_from_correlation as smd_from_correlation,
    smd_from_log_odds_ratio as smd_from_log_odds_ratio,
)
from mtmeta.effects.paired import (
    mean_change as mean_change,
    paired_ratio_of_means as paired_ratio_of_means,
    pre_post_control as pre_post_control,
    standardized_mean_change as standardized_mean_change,
)
from mtmeta.effects.printed import RouteChoices as RouteChoices
from mtmeta.effects.proportions import freeman_tukey_back as freeman_tukey_back, proportion as proportion
from mtmeta.effects.rates import (
    incidence_rate as incidence_rate,
    rate_difference as rate_difference,
    rate_ratio as rate_ratio,
    root_rate_difference as root_rate_difference,
)
from mtmeta.effects.ratios import (
    ratio_of_means as ratio_of_means,
    variability_ratio as variability_ratio,
    variation_ratio as variation_ratio,
)
from mtmeta.effects.recover import (
    Recovered as Recovered,
    combine_groups as combine_groups,
    mean_sd_from_quantiles as mean_sd_from_quantiles,
    pre_post_correlation as pre_post_correlation,
    sd_from_f as sd_from_f,
    sd_from_interval as sd_from_interval,
    sd_from_p as sd_from_p,
    sd_from_se as sd_from_se,
    sd_from_t as sd_from_t,
    sd_of_change as sd_of_change,
    sd_of_final as sd_of_final,
    se_from_interval as se_from_interval,
    se_from_p as se_from_p,
    se_from_t as se_from_t,
    sizes_from_se as sizes_from_se,
    t_from_f as t_from_f,
    t_from_p as t_from_p,
)
from mtmeta.effects.reported import (
    smd_from_d as smd_from_d,
    smd_from_p as smd_from_p,
    smd_from_reported as smd_from_reported,
    smd_from_t as smd_from_t,
)
from mtmeta.effects.shared import sampling_covariance as sampling_covariance
from mtmeta.effects.table import EffectSizes as EffectSizes
from mtmeta.errors import (
    EffectError as EffectError,
    ModelError as ModelError,
    MtmetaError as MtmetaError,
    RecordError as RecordError,
    UsageError as UsageError,
)
from mtmeta.figures import (
    STYLES as STYLES,
    RobTable as RobTable,
    forest as forest,
    forest_layout as forest_layout,
    funnel as funnel,
    funnel_layout as funnel_layout,
    prisma_layout as prisma_layout,
    rows_layout as rows_layout,
    save as save,
)
from mtmeta.measures import Interval as Interval, Measure as Measure
from mtmeta.models.bayes import BayesRandomEffects as BayesRandomEffects, BayesResult as BayesResult
from mtmeta.models.bayes_average import BayesModelAverage as BayesModelAverage
from mtmeta.models.bayes_bias import RobustBayesAverage as RobustBayesAverage
from mtmeta.models.bayes_regression import BayesMetaRegression as BayesMetaRegression
from mtmeta.models.bayes_sensitivity import (
    prior_data_conflict as prior_data_conflict,
    prior_sensitivity as prior_sensitivity,
)
from mtmeta.models.compare import (
    average_models as average_models,
    compare_models as compare_models,
    likelihood_ratio as likelihood_ratio,
)
from mtmeta.models.crossed import Crossed as Crossed
from mtmeta.models.dependent import Multilevel as Multilevel, rho_sensitivity as rho_sensitivity
from mtmeta.models.empirical_priors import (
    choose_priors as choose_priors,
    empirical_prior as empirical_prior,
    empirical_priors_table as empirical_priors_table,
)
from mtmeta.models.events import EventCounts as EventCounts, MantelHaenszel as MantelHaenszel, Peto as Peto
from mtmeta.models.exact import ExactOddsRatio as ExactOddsRatio
from mtmeta.models.glmm import CountsModel as CountsModel, RateCounts as RateCounts
from mtmeta.models.location_scale import LocationScale as LocationScale
from mtmeta.models.multivariate import Multivariate as Multivariate
from mtmeta.models.one_group import GroupCounts as GroupCounts, OneGroupModel as OneGroupModel
from mtmeta.models.permutation import permutation_test as permutation_test
from mtmeta.models.pool import (
    CommonEffect as CommonEffect,
    HenmiCopas as HenmiCopas,
    IVhet as IVhet,
    PoolResult as PoolResult,
    RandomEffects as RandomEffects,
)
from mtmeta.models.priors import (
    Cauchy as Cauchy,
    DuMouchel as DuMouchel,
    Flat as Flat,
    HalfCauchy as HalfCauchy,
    HalfNormal as HalfNormal,
    HalfT as HalfT,
    InverseGamma as InverseGamma,
    Jeffreys as Jeffreys,
    LogNormal as LogNormal,
    LogStudentT as LogStudentT,
    Lomax as Lomax,
    Normal as Normal,
    StudentT as StudentT,
    Truncated as Truncated,
    Uniform as Uniform,
    UniformShrinkage as UniformShrinkage,
)
from mtmeta.models.regression import MetaRegression as MetaRegression
from mtmeta.models.robust import robust as robust
from mtmeta.models.sampled import (
    SampledRandomEffects as SampledRandomEffects,
    SampledThreeLevel as SampledThreeLevel,
)
from mtmeta.models.sampled_events import (
    SampledBinomial as SampledBinomial,
    SampledPoisson as SampledPoisson,
)
from mtmeta.models.sampled_fit import Sampling as Sampling
from mtmeta.models.sampled_multivariate import SampledMultivariate as SampledMultivariate
from mtmeta.models.sampled_regression import SampledMetaRegression as SampledMetaRegression
from mtmeta.models.sampled_selection import SampledSelection as SampledSelection
from mtmeta.models.subgroups import subgroups as subgroups
from mtmeta.models.wild import wild_bootstrap as wild_bootstrap
from mtmeta.records.folder import Studies as Studies, read_studies as read_studies, read_study as read_study
from mtmeta.records.importers import import_file as import_file
from mtmeta.records.integrity import integrity_problems as integrity_problems
from mtmeta.records.locate import example_studies as example_studies
from mtmeta.records.scales import scale_of as scale_of
from mtmeta.records.schema import Study as Study
from mtmeta.records.write import write_study as write_study
from mtmeta.reports.why import why as why

__all__: list[str]
__version__: str

AS: Measure
COR: Measure
CVR: Measure
D2ORL: Measure
D2ORN: Measure
GEN: Measure
HR: Measure
IR: Measure
IRD: Measure
IRLN: Measure
IRR: Measure
IRS: Measure
IRSD: Measure
MC: Measure
MD: Measure
MN: Measure
OR: Measure
OR2DL: Measure
OR2DN: Measure
PAS: Measure
PBIT: Measure
PETO: Measure
PFT: Measure
PHI: Measure
PLN: Measure
PLO: Measure
PR: Measure
RBIS: Measure
RD: Measure
ROM: Measure
ROMC: Measure
RPB: Measure
RR: Measure
SMCC: Measure
SMCR: Measure
SMCRH: Measure
SMCRP: Measure
SMD: Measure
SMD1: Measure
SMD1H: Measure
SMDH: Measure
VR: Measure
YUQ: Measure
ZCOR: Measure
