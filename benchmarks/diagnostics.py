"""Cases of the diagnostics: influence, selection models, and the multiverse."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import mtmeta as mt
from common import FULL, PATIENCE, Size, peers, simulated
from harness import Case, metafor


def _case(
    name: str, what: str, k: int, ours: Callable[[mt.EffectSizes], object], work: str, aim: float, size: Size
) -> Case:
    """Time ours and metafor's on the same simulated trials; metafor's minutes only when asked for."""
    yi, vi = (values[0] for values in simulated(k))
    table = mt.EffectSizes.of(yi, vi, measure="SMD")
    label = f"metafor {work.split('(')[0]}"
    setup = "res <- rma(yi, vi, method='ML')"
    here, absent = peers({label: ("metafor", lambda: metafor({"yi": yi, "vi": vi}, setup, work, loops=1))})
    if not size.patient and here.pop(label, None):
        absent[label] = PATIENCE
    return Case(name, f"{what}, k = {k}", {"mtmeta": lambda: ours(table), **here}, aim, absent)


def deletion(size: Size) -> Case:
    k = 200 if size.batch == FULL.batch else 20

    def ours(table: mt.EffectSizes) -> object:
        model = mt.RandomEffects("REML")
        return mt.leave_one_out(model, table), mt.influence(model, table)

    return _case("influence", "leave-one-out and influence", k, ours, "influence(res)", 0.05, size)


def _studies(size: Size) -> int:
    return 40 if size.batch == FULL.batch else 12


def step(size: Size) -> Case:
    model = mt.SelectionModel([0.025])
    work = "selmodel(res, type='stepfun', steps=.025, alternative='greater', skiphes=TRUE)"
    return _case("3psm", "three-parameter selection model", _studies(size), model.fit, work, 0.02, size)


def beta(size: Size) -> Case:
    model = mt.SelectionModel(weight="beta")
    work = "selmodel(res, type='beta', alternative='greater', skiphes=TRUE)"
    return _case("beta", "beta selection model", _studies(size), model.fit, work, 0.2, size)


def every_analysis(size: Size) -> Case:
    """5,000 specifications: 125 sets of trials, 10 estimators, 4 intervals; nothing to compare with."""
    count = 125 if size.batch == FULL.batch else 2
    table = mt.EffectSizes.of(*(values[0] for values in simulated(20)), measure="SMD")
    parts = [table.subset([i for i in range(20) if i != j % 20 and i != j // 20]) for j in range(count)]
    estimators = ("DL", "REML", "PM", "ML", "HE", "SJ", "EB", "HS", "HSk", "PMM")

    def ours() -> object:
        found = mt.multiverse(
            ({"trials": str(j), "estimator": t, "interval": ci}, part, mt.RandomEffects(t, ci=ci))
            for (j, part), t, ci in product(
                enumerate(parts), estimators, ("Wald", "HKSJ", "HKSJ-floor", "auto")
            )
        )
        return found.shares(), found.vibration(), found.decomposition()

    what = f"multiverse of {count * 40:,} analyses, its shares and what moves it, k = 20"
    return Case("multiverse", what, {"mtmeta": ours}, 5.0, {})


CASES: dict[str, Callable[[Size], Case]] = {
    "influence": deletion,
    "3psm": step,
    "beta": beta,
    "multiverse": every_analysis,
}
