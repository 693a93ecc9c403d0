"""Subgroups: published, refusals, what figures and reports read."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import CommonEffect, IVhet, RandomEffects
from mtmeta.models.regression import MetaRegression
from mtmeta.models.subgroups import subgroups

_Y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
      -1.371345, -0.339359, 0.445913, -0.017314]  # fmt: skip
_V = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434, 0.073025,
      0.012412, 0.532506, 0.071405]  # fmt: skip
_ALLOC = ["random"] * 4 + ["alternate"] * 2 + ["random"] * 3 + ["systematic"] * 4


def bcg() -> EffectSizes:
    return EffectSizes.of(_Y, _V, "RR", moderators={"alloc": _ALLOC})


@pytest.mark.parametrize("ci", ["Wald", "HKSJ", "auto"])
def test_common_tau2_is_the_regression(ci: str) -> None:
    fit = subgroups(RandomEffects(ci=ci), bcg(), "alloc", tau2="common")  # type: ignore[arg-type]
    reg = MetaRegression("alloc", ci=ci).fit(bcg())  # type: ignore[arg-type]
    assert_allclose([fit.q_between, fit.p_between], [reg.qm, reg.qm_pvalue], rtol=1e-9)
    assert fit.test.df2 == reg.qm_df[1]
    assert {g.tau2 for g in fit.groups.values()} == {reg.tau2}
    means = MetaRegression("alloc", ci="Wald").fit(bcg()).marginal_means("alloc")
    for name, group in fit.groups.items():
        assert_allclose(group.estimate, means.loc[name, "estimate"], rtol=1e-9)


def test_separate_fits_are_those_of_the_groups() -> None:
    es = bcg()
    fit = subgroups(RandomEffects(), es, _ALLOC)
    assert list(fit.groups) == ["random", "alternate", "systematic"]
    for name, group in fit.groups.items():
        alone = RandomEffects().fit(es.subset(np.array(_ALLOC) == name))
        assert (group.estimate, group.se, group.tau2, group.ci_method) == (
            alone.estimate, alone.se, alone.tau2, alone.ci_method,
        )  # fmt: skip
    assert fit.overall.estimate == RandomEffects().fit(es).estimate
    assert fit.df_between == 2
    assert fit.pvalue == fit.p_between == fit.test.pvalue


def test_common_effects_split_q() -> None:
    fit = subgroups(CommonEffect(), bcg(), "alloc")
    assert_allclose(fit.q_between + fit.q_within, fit.overall.q, rtol=1e-10)
    again = subgroups(CommonEffect(), bcg(), "alloc", tau2="common")
    assert again.q_between == fit.q_between


def test_a_group_of_one() -> None:
    groups = ["a"] * 6 + ["b"] * 6 + ["c"]
    fit = subgroups(RandomEffects(), bcg(), groups)
    assert fit.groups["c"].k == 1
    assert fit.groups["c"].ci_method == "Wald"
    with pytest.raises(ModelError, match=r"group 'c': .*ci='auto' uses Wald where a group is small"):
        subgroups(RandomEffects(ci="HKSJ"), bcg(), groups)


def test_groups_cannot_be_changed() -> None:
    fit = subgroups(RandomEffects(), bcg(), "alloc")
    with pytest.raises(TypeError):
        fit.groups["new"] = fit.overall  # type: ignore[index]


def test_refusals() -> None:
    es = bcg()
    with pytest.raises(UsageError, match="there is no moderator 'sex'; the moderators are"):
        subgroups(RandomEffects(), es, "sex")
    with pytest.raises(UsageError, match="groups has 2 labels for 13 effects"):
        subgroups(RandomEffects(), es, ["a", "b"])
    with pytest.raises(ModelError, match="all effects are in the one group 'a'"):
        subgroups(RandomEffects(), es, ["a"] * 13)
    with pytest.raises(ModelError, match="the group is missing for 2; name it"):
        subgroups(RandomEffects(), es, ["a", None, *"aaaaabbbbbb"])
    with pytest.raises(UsageError, match="tau2='common' needs RandomEffects or CommonEffect, not IVhet"):
        subgroups(IVhet(), es, "alloc", tau2="common")
    with pytest.raises(UsageError, match="tau2='pooled' is not known"):
        subgroups(RandomEffects(), es, "alloc", tau2="pooled")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="13 effects in 13 groups leave nothing"):
        subgroups(RandomEffects(), es, list("abcdefghijklm"), tau2="common")


def test_result_is_readable() -> None:
    fit = subgroups(RandomEffects(), bcg(), "alloc")
    assert repr(fit).startswith("SubgroupResult(random: ")
    assert "separate τ²; between: χ²(2)" in repr(fit)
    assert list(fit.to_frame().index) == ["random", "alternate", "systematic"]
    assert "3 subgroups with a between-study variance of its own" in fit.methods
    assert "<table" in fit._repr_html_()
    assert "one between-study variance" in subgroups(RandomEffects(), bcg(), "alloc", tau2="common").methods
