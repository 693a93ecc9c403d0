"""Data that the tests of figures draw."""

from __future__ import annotations

import numpy as np

from mtmeta.effects.table import EffectSizes
from mtmeta.models.pool import CommonEffect, RandomEffects


def common(effects):
    return CommonEffect().fit(effects)


def random(effects):
    return RandomEffects(tau2="DL", ci="Wald").fit(effects)


# Viechtbauer 2010, J Stat Softw 36(3), p. 12: BCG vaccine against tuberculosis, log relative risk
BCG_Y = (-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898)
BCG_Y += (0.011952, -0.469418, -1.371345, -0.339359, 0.445913, -0.017314)
BCG_V = (0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017)
BCG_V += (0.003962, 0.056434, 0.073025, 0.012412, 0.532506, 0.071405)
BCG_STUDY = (
    "Aronson 1948",
    "Ferguson & Simes 1949",
    "Rosenthal et al 1960",
    "Hart & Sutherland 1977",
    "Frimodt-Moller et al 1973",
    "Stein & Aronson 1953",
    "Vandiviere et al 1973",
    "TPT Madras 1980",
    "Coetzee & Berjak 1968",
    "Rosenthal et al 1961",
    "Comstock et al 1974",
    "Comstock & Webster 1969",
    "Comstock et al 1976",
)


def bcg():
    return EffectSizes.of(BCG_Y, BCG_V, "RR", study=BCG_STUDY)


def many(k, *, seed=0, measure="SMD"):
    """Generated effects with sample sizes and a year; some labels long."""
    rng = np.random.default_rng(seed)
    n1 = rng.integers(8, 120, k).astype(float)
    n2 = rng.integers(8, 120, k).astype(float)
    yi = rng.normal(-0.4, 0.45, k)
    vi = 1 / n1 + 1 / n2 + yi**2 / (2 * (n1 + n2))
    study = [f"Author{i:03d} {1990 + i % 35}" for i in range(k)]
    if k > 3:
        study[1] = (
            "Hernández-Ruiz, García & van der Straten-Waillet for the MUSIC-ICU Collaborative Group 2019"
        )
    return EffectSizes.of(yi, vi, measure, study=study, n1=n1, n2=n2)
