"""Priors of the mean effect and of heterogeneity, as objects whose scale is explicit.

Every prior of heterogeneity is a prior of the standard deviation tau unless it says ``on="tau2"``.
"""

from __future__ import annotations

from mtmeta.models.priors_base import Prior, Truncated
from mtmeta.models.priors_data import DuMouchel, Jeffreys, UniformShrinkage
from mtmeta.models.priors_mean import Cauchy, Flat, Normal, StudentT, Uniform
from mtmeta.models.priors_positive import (
    HalfCauchy,
    HalfNormal,
    HalfT,
    InverseGamma,
    LogNormal,
    LogStudentT,
    Lomax,
)

__all__ = [
    "Cauchy",
    "DuMouchel",
    "Flat",
    "HalfCauchy",
    "HalfNormal",
    "HalfT",
    "InverseGamma",
    "Jeffreys",
    "LogNormal",
    "LogStudentT",
    "Lomax",
    "Normal",
    "Prior",
    "StudentT",
    "Truncated",
    "Uniform",
    "UniformShrinkage",
]
