from __future__ import annotations

import pytest

from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.locate import data_folder

SHOWN = ("depression", "schizophrenia-panss", "cardiac-anxiety", "icu-heart-rate")


@pytest.fixture(scope="session")
def records() -> Studies:
    return read_studies(data_folder("studies"))


@pytest.fixture(scope="session")
def runs(records: Studies) -> dict[str, AnalysisRun]:
    """Four analyses: groups, two trials, published figures with known faults, no published figure."""
    files = [data_folder("analyses") / f"{name}.yaml" for name in SHOWN]
    return {item.analysis.name: run_analysis(item.analysis, records) for item in read_analyses(files)}
