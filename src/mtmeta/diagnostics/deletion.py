"""Case deletion for models with coefficients: regression, and models of dependent effects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from mtmeta.diagnostics.refit import FloatArray
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError
from mtmeta.measures import check_choice
from mtmeta.models.dependent import Multilevel, MultilevelResult
from mtmeta.models.regression import MetaRegression, MetaRegressionResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["case_deletion"]


def case_deletion(
    model: MetaRegression | Multilevel,
    es: EffectSizes,
    *,
    by: Literal["effect", "study", "cluster"] = "cluster",
) -> pd.DataFrame:
    r"""Fit a regression or multilevel model again without each effect, study or cluster.

    Parameters
    ----------
    model : MetaRegression or Multilevel
    es : EffectSizes
    by : {"effect", "study", "cluster"}, default "cluster"
        What is left out together.

    Returns
    -------
    DataFrame
        A row a deletion: ``study`` (what was left out), ``cook``, ``cov_ratio``, ``tau2`` without it, ``k``
        left, and by how much each coefficient is higher with it than without it (``shift NAME``). NaN where
        the model cannot be fitted without it, such as the only study of a category.

    Raises
    ------
    ModelError
        Everything is of one study or cluster.

    Notes
    -----
    With coefficients b and their covariance V as the model's tests use them:
    :math:`D=(b-b_{(i)})'V^{-1}(b-b_{(i)})`, :math:`|V_{(i)}|/|V|`, as in metafor's ``cooks.distance`` and
    ``influence``.

    References
    ----------
    Viechtbauer, W. and Cheung, M. W.-L. (2010). Res Synth Methods 1:112-125.

    Examples
    --------
    >>> es = EffectSizes.of([0.1, 0.2, 0.4, 0.3, 0.9], [0.02, 0.03, 0.02, 0.04, 0.05], "SMD",
    ...                     moderators={"dose": [1, 2, 3, 4, 5]})
    >>> table = case_deletion(MetaRegression("dose"), es)
    >>> table["study"][table["cook"].idxmax()]
    '5'
    """
    import pandas as pd

    check_choice("by", by, ("effect", "study", "cluster"))
    labels = {"effect": [str(i) for i in range(es.k)], "study": es.study, "cluster": es.cluster}[by]
    groups = list(dict.fromkeys(labels))
    if len(groups) < 2:
        raise ModelError(f"all effects are of one {by}; leaving it out leaves nothing")
    full = model.fit(es)
    beta, vcov = full.coefficients.beta, full.coefficients.vcov
    names = list(full.design.names)
    rows = []
    for group in groups:
        keep = np.flatnonzero([label != group for label in labels])
        name = es.study[int(group)] if by == "effect" else group
        rows.append((name, *_without(model, es, keep, beta, vcov, names)))
    columns = ["study", "cook", "cov_ratio", "tau2", "k", *(f"shift {n}" for n in names)]
    return pd.DataFrame(rows, columns=columns)


def _without(
    model: MetaRegression | Multilevel,
    es: EffectSizes,
    keep: np.ndarray,
    beta: FloatArray,
    vcov: FloatArray,
    names: list[str],
) -> tuple[float, ...]:
    nothing = (math.nan, math.nan, math.nan, len(keep), *(math.nan,) * len(names))
    try:
        part: MetaRegressionResult | MultilevelResult = model.fit(es.subset(keep))
    except ModelError:
        return nothing
    if list(part.design.names) != names:  # a category went with its only study
        return nothing
    shift = beta - part.coefficients.beta
    cook = float(shift @ np.linalg.solve(vcov, shift))
    ratio = float(np.linalg.det(part.coefficients.vcov) / np.linalg.det(vcov))
    return (cook, ratio, part.tau2, len(keep), *shift.tolist())
