from mtmeta.effects.compute import effect_sizes as effect_sizes
from mtmeta.effects.continuous import (
    mean_difference as mean_difference,
    standardized_mean_difference as standardized_mean_difference,
)
from mtmeta.effects.table import EffectSizes as EffectSizes
from mtmeta.errors import (
    EffectError as EffectError,
    ModelError as ModelError,
    MtmetaError as MtmetaError,
    RecordError as RecordError,
    UsageError as UsageError,
)
from mtmeta.figures import forest as forest, funnel as funnel, save as save
from mtmeta.measures import Interval as Interval, Measure as Measure
from mtmeta.models.compare import compare_models as compare_models, likelihood_ratio as likelihood_ratio
from mtmeta.models.dependent import Multilevel as Multilevel, rho_sensitivity as rho_sensitivity
from mtmeta.models.events import EventCounts as EventCounts, MantelHaenszel as MantelHaenszel, Peto as Peto
from mtmeta.models.permutation import permutation_test as permutation_test
from mtmeta.models.pool import (
    CommonEffect as CommonEffect,
    HenmiCopas as HenmiCopas,
    IVhet as IVhet,
    PoolResult as PoolResult,
    RandomEffects as RandomEffects,
)
from mtmeta.models.regression import MetaRegression as MetaRegression
from mtmeta.models.robust import robust as robust
from mtmeta.models.subgroups import subgroups as subgroups
from mtmeta.records.folder import Studies as Studies, read_studies as read_studies, read_study as read_study
from mtmeta.records.locate import example_studies as example_studies
from mtmeta.records.schema import Study as Study
from mtmeta.records.write import write_study as write_study

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
