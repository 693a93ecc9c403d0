"""Small stand-ins with the result protocol, so that figures are tested without an estimator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mtmeta.effects.table import EffectSizes
from mtmeta.measures import Interval


@dataclass(frozen=True)
class CommonEffect:
    pass


@dataclass(frozen=True)
class RandomEffects:
    tau2: str = "DL"


@dataclass(frozen=True)
class Fit:
    """Common effect or DerSimonian-Laird with Wald intervals, by the textbook formulae."""

    effects: EffectSizes
    model: object

    @property
    def k(self):
        return len(self.effects.study)

    @property
    def _w0(self):
        return 1 / self.effects.vi

    @property
    def q(self):
        w, y = self._w0, self.effects.yi
        return float(np.sum(w * (y - np.sum(w * y) / np.sum(w)) ** 2))

    @property
    def q_df(self):
        return self.k - 1

    @property
    def q_pvalue(self):
        return float(stats.chi2.sf(self.q, self.q_df)) if self.k > 1 else math.nan

    @property
    def tau2(self):
        if isinstance(self.model, CommonEffect) or self.k < 2:
            return 0.0
        w = self._w0
        return max(0.0, (self.q - self.q_df) / (w.sum() - (w**2).sum() / w.sum()))

    @property
    def i2(self):
        return max(0.0, 100 * (self.q - self.q_df) / self.q) if self.q > 0 else 0.0

    @property
    def weights(self):
        w = 1 / (self.effects.vi + self.tau2)
        return w / w.sum()

    @property
    def estimate(self):
        return float(np.sum(self.weights * self.effects.yi))

    @property
    def se(self):
        return float(np.sum(1 / (self.effects.vi + self.tau2)) ** -0.5)

    @property
    def df(self):
        return math.inf

    @property
    def statistic(self):
        return self.estimate / self.se

    @property
    def pvalue(self):
        return float(2 * stats.norm.sf(abs(self.statistic)))

    @property
    def ci_method(self):
        return "Wald"

    def ci(self, level=0.95):
        z = stats.norm.ppf(0.5 + level / 2)
        return Interval(self.estimate - z * self.se, self.estimate + z * self.se)

    def pi(self, level=0.95, method="V"):
        t = stats.t.ppf(0.5 + level / 2, self.k - 1)
        half = t * math.sqrt(self.tau2 + self.se**2)
        return Interval(self.estimate - half, self.estimate + half)


def common(effects):
    return Fit(effects, CommonEffect())


def random(effects):
    return Fit(effects, RandomEffects())


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
