"""What the benchmark modules share: how much work, which peers are here, simulated trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from harness import Contender, r_packages, version

SEED = 20261123
NO_R = "R with metafor is not installed"
PATIENCE = "takes minutes: ask with --patient"


@dataclass(frozen=True)
class Size:
    """How much work: `full` for times that mean something, `smoke` to see that every case runs."""

    arms: int
    batch: int
    studies: int
    r_loops: int
    patient: bool = False


FULL = Size(arms=1_000_000, batch=6_034, studies=4_000, r_loops=50)
SMOKE = Size(arms=1_000, batch=20, studies=60, r_loops=1, patient=True)


def peers(
    contenders: Mapping[str, tuple[str, Callable[[], Contender]]],
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Split ``{label: (package, maker)}`` into those whose package is here and why the others are not."""
    here: dict[str, Contender] = {}
    absent: dict[str, str] = {}
    for label, (package, make) in contenders.items():
        if package == "metafor" and not r_packages():
            absent[label] = NO_R
        elif package != "metafor" and version(package) is None:
            absent[label] = f"{package} is not installed (make bench installs it)"
        else:
            here[label] = make()
    return here, absent


def simulated(k: int, *, batch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Effects and variances as in trials of 20 to 200 people: SMDs around 0.3, tau 0.3; shape (batch, k)."""
    rng = np.random.default_rng(SEED)
    n = rng.integers(10, 101, size=(batch, k))
    vi = 2 / n + 0.01
    return rng.normal(0.3, np.sqrt(0.09 + vi)), vi
