"""Data that the tests of the Bayesian models share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mtmeta.effects.table import EffectSizes

# Crins et al. 2014, log odds ratios and standard errors as printed in Röver 2020, J Stat Softw 93(6)
CRINS_Y = [-2.3097026, -0.4595323, -2.3025851, -1.7578579, -1.2584610, -2.4178959]
CRINS_SE = [0.5994763, 0.5563956, 0.8803408, 0.4558685, 0.6419962, 1.5288107]
CRINS_STUDY = ["Heffron", "Gibelli", "Schuller", "Ganschow", "Spada", "Gras"]


@pytest.fixture(scope="session")
def crins() -> EffectSizes:
    return EffectSizes.of(CRINS_Y, np.square(CRINS_SE), "OR", study=CRINS_STUDY)


@pytest.fixture(scope="session")
def at_a_point() -> Callable[[Any, list[str], int], tuple[dict[str, np.ndarray], float]]:
    """Return parameters and the log likelihood of ``y`` of a PyMC model at a random point, not compiled."""

    def evaluate(model: Any, names: list[str], seed: int) -> tuple[dict[str, np.ndarray], float]:
        rng = np.random.default_rng(seed)
        point = {k: v + rng.normal(0, 0.7, np.shape(v)) for k, v in model.initial_point().items()}
        values = model.replace_rvs_by_values([model[name] for name in names])
        outs = [*values, model.logp(vars=[model["y"]])]
        found = model.compile_fn(outs, inputs=model.value_vars, mode="FAST_COMPILE")(point)
        return dict(zip(names, found[:-1], strict=True)), float(found[-1])

    return evaluate
