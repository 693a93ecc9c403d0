"""Subgroups: one pooled effect a group, τ² separate or common, and the test between the groups."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.measures import check_choice
from mtmeta.models import kernel
from mtmeta.models.linear import Coefficients, JointTest
from mtmeta.models.pool import CommonEffect, PoolResult, RandomEffects
from mtmeta.models.result import PoolModel

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SubgroupResult", "subgroups"]

_TAU2 = ("separate", "common")


@dataclass(frozen=True, eq=False, repr=False)
class SubgroupResult:
    """Pooled effects of subgroups. Frozen.

    Attributes
    ----------
    model : CommonEffect, RandomEffects, …
    tau2_mode : str
        "separate" or "common".
    groups : mapping of str to PoolResult
        In order of first appearance.
    overall : PoolResult
        All effects together.
    test : JointTest
        That the groups' true mean effects are equal.
    """

    model: PoolModel
    tau2_mode: str
    groups: Mapping[str, PoolResult]
    overall: PoolResult
    test: JointTest

    @property
    def effects(self) -> EffectSizes:
        """All effects."""
        return self.overall.effects

    @property
    def q_between(self) -> float:
        """Statistic of the test between groups: χ², or F under common τ² with HKSJ."""
        return self.test.statistic

    @property
    def df_between(self) -> float:
        """Its (first) degrees of freedom, groups − 1."""
        return self.test.df1

    @property
    def p_between(self) -> float:
        """P-value of the test between groups."""
        return self.test.pvalue

    @property
    def pvalue(self) -> float:
        """The same as `p_between`."""
        return self.test.pvalue

    @property
    def q_within(self) -> float:
        """Sum of the groups' Q."""
        return float(sum(group.q for group in self.groups.values()))

    def to_frame(self) -> pd.DataFrame:
        """One row a group: that of its result, with the group's name first."""
        import pandas as pd

        frames = [group.to_frame() for group in self.groups.values()]
        return pd.concat(frames, ignore_index=True).set_index(pd.Index(list(self.groups), name="group"))

    @property
    def methods(self) -> str:
        """What was done, in words with citations, for a methods section."""
        how = (
            "a between-study variance of its own in each subgroup; the test between subgroups compares the "
            "pooled effects by their Wald standard errors"
            if self.tau2_mode == "separate"
            else "one between-study variance for all subgroups; the test between subgroups is that of a "
            "meta-regression on them"
        )
        source = "(Borenstein et al. 2009, ch. 19)"
        return f"{len(self.groups)} subgroups with {how} {source}. {self.overall.methods}"

    def __repr__(self) -> str:
        body = "; ".join(f"{name}: {g.estimate:.3g} (k={g.k})" for name, g in self.groups.items())
        return f"SubgroupResult({body}; {self.tau2_mode} τ²; between: {self.test})"

    def _repr_html_(self) -> str:
        table: str = self.to_frame().to_html(float_format=lambda x: f"{x:.4g}", border=0)
        return f"{table}<p>{html.escape(str(self.test))}</p>"


def subgroups(
    model: PoolModel,
    es: EffectSizes,
    groups: str | Sequence[Any] | npt.NDArray[Any],
    *,
    tau2: Literal["separate", "common"] = "separate",
) -> SubgroupResult:
    r"""Pool each subgroup and test whether the groups differ.

    Parameters
    ----------
    model : CommonEffect or RandomEffects
        Fitted to each group; with separate τ² any model that pools.
    es : EffectSizes
    groups : str or sequence of length k
        A column of ``es.moderators``, or a label for each row.
    tau2 : {"separate", "common"}
        "separate": each group estimates its own; the groups' effects are compared by
        :math:`Q_b=\sum_g(\hat\theta_g-\bar\theta)^2/s_g^2\sim\chi^2_{G-1}` with their Wald standard errors.
        "common": τ² is that of a meta-regression on the groups, same estimator, and the test is its
        omnibus test: χ², or F(G − 1, k − G) where `ci` is HKSJ ("auto": when k − G > 1 and τ² > 0).

    Returns
    -------
    SubgroupResult

    Raises
    ------
    ModelError
        A label is missing, there is one group only, or a group too small for the model's interval.
    UsageError
        An unknown column, labels of another length, or common τ² with a model that estimates none.

    References
    ----------
    Borenstein, M. et al. (2009). Introduction to Meta-Analysis, ch. 19.

    Examples
    --------
    BCG vaccine by allocation, common τ²: QM(2) 1.7675, p .4132 (Viechtbauer 2010, J Stat Softw 36(3), p. 19).

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
    ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> alloc = ["random"] * 4 + ["alternate"] * 2 + ["random"] * 3 + ["systematic"] * 4
    >>> fit = subgroups(RandomEffects(ci="Wald"), EffectSizes.of(y, v, "RR"), alloc, tau2="common")
    >>> print(f"{fit.q_between:.4f} {fit.df_between:g} {fit.p_between:.4f}")
    1.7675 2 0.4132
    >>> print(f"{fit.groups['random'].estimate:.4f} {fit.groups['random'].se:.4f}")
    -0.9658 0.2672
    """
    check_choice("tau2", tau2, _TAU2)
    labels = _labels(es, groups)
    names = list(dict.fromkeys(labels))
    if len(names) < 2:
        raise ModelError(f"all effects are in the one group {names[0]!r}; subgroups need at least two")
    index = np.array([names.index(label) for label in labels])
    used: PoolModel = model
    if tau2 == "common":
        if isinstance(model, RandomEffects):
            used, test = _common(model, es, index, len(names))
        elif not isinstance(model, CommonEffect):
            raise UsageError(f"tau2='common' needs RandomEffects or CommonEffect, not {type(model).__name__}")
    fits: dict[str, PoolResult] = {}
    for g, name in enumerate(names):
        try:
            fits[name] = used.fit(es.subset(index == g))
        except ModelError as error:
            raise ModelError(
                f"group {name!r}: {error}; ci='auto' uses Wald where a group is small"
            ) from error
    if tau2 == "separate" or isinstance(model, CommonEffect):
        test = _separate(list(fits.values()))
    return SubgroupResult(model, tau2, MappingProxyType(fits), model.fit(es), test)


def _labels(es: EffectSizes, groups: str | Sequence[Any] | npt.NDArray[Any]) -> list[str]:
    if isinstance(groups, str):
        frame = es.moderators
        if frame is None or groups not in frame.columns:
            have = [] if frame is None else [str(c) for c in frame.columns]
            raise UsageError(f"there is no moderator {groups!r}; the moderators are {have}")
        groups = list(frame[groups])
    values = list(groups)
    if len(values) != es.k:
        raise UsageError(f"groups has {len(values)} labels for {es.k} effects; give one a row")
    missing = [s for s, g in zip(es.study, values, strict=True) if g is None or g != g or str(g) == ""]
    if missing:
        raise ModelError(f"the group is missing for {', '.join(missing[:5])}; name it, or leave them out")
    return [str(g) for g in values]


def _separate(fits: list[PoolResult]) -> JointTest:
    estimate = np.array([fit.estimate for fit in fits])
    w = np.array([1 / _wald_se(fit) ** 2 for fit in fits])
    gap = estimate - np.dot(w / w.sum(), estimate)
    q, df = float(np.dot(w, gap**2)), len(fits) - 1
    return JointTest(q, df, np.inf, float(special.chdtrc(df, q)), "chi2")


def _wald_se(fit: PoolResult) -> float:
    return fit.se_classic if isinstance(fit.model, RandomEffects) else fit.se


def _common(
    model: RandomEffects, es: EffectSizes, index: npt.NDArray[np.intp], groups: int
) -> tuple[RandomEffects, JointTest]:
    """Return the model with the common τ² filled in, and the omnibus test between groups."""
    design = np.eye(groups)[index]
    design[:, 0] = 1.0  # the first group is the reference
    if es.k <= groups:
        raise ModelError(f"{es.k} effects in {groups} groups leave nothing to estimate a common τ² from")
    if isinstance(model.tau2, str):
        fitted = kernel.fit(es.yi, es.vi, method=model.tau2, design=design)
    else:
        fitted = kernel.fit(es.yi, es.vi, design=design, tau2=model.tau2)
    tau2, free = float(fitted.tau2[0]), es.k - groups
    hksj = model.ci in ("HKSJ", "HKSJ-floor") or (model.ci == "auto" and free > 1 and tau2 > 0)
    scale = float(fitted.scale[0]) if hksj else 1.0
    if model.ci == "HKSJ-floor":
        scale = max(scale, 1.0)
    names = tuple(map(str, range(groups)))
    df = np.full(groups, float(free) if hksj else np.inf)
    test = Coefficients(names, fitted.beta[0], fitted.cov[0] * scale, df).joint(np.eye(groups)[1:])
    return replace(model, tau2=tau2), test
