"""What single studies do to the answer: leave-one-out, case diagnostics, cumulation, Baujat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mtmeta.diagnostics.refit import FloatArray, Refits, refit
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.models.result import PoolModel

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["baujat", "cumulative", "influence", "leave_one_out"]


def _several(es: EffectSizes, fewest: int, what: str) -> None:
    if es.k < fewest:
        raise ModelError(
            f"{what} needs at least {fewest} effects and there {'is' if es.k == 1 else 'are'} {es.k}"
        )


def _frame(fits: Refits, extra: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            **extra,
            "estimate": fits.estimate,
            "se": fits.se,
            "ci_low": fits.low,
            "ci_high": fits.high,
            "tau2": fits.tau2,
            "i2": fits.i2,
            "h2": fits.h2,
            "q": fits.q,
            "k": fits.k.astype(int),
        }
    )


def leave_one_out(
    model: PoolModel, es: EffectSizes, *, by: str = "effect", level: float = 0.95
) -> pd.DataFrame:
    """Pool again without each study.

    Parameters
    ----------
    model : CommonEffect, RandomEffects or another model
        Refitted as it is configured; the kernel takes all refits in one batch where it can.
    es : EffectSizes
        At least two rows.
    by : {"effect", "study", "cluster"}, default "effect"
        What is left out together: single rows, or all rows of a study or a cluster.
    level : float, default 0.95

    Returns
    -------
    DataFrame
        One row a deletion: study (what was left out), estimate, se, ci_low, ci_high, tau2, i2 (percent),
        h2, q, k.

    Raises
    ------
    ModelError
        When a deletion would leave no effect.

    References
    ----------
    Viechtbauer, W. and Cheung, M. W.-L. (2010). Res Synth Methods 1:112-125. metafor's ``leave1out``.

    Examples
    --------
    BCG vaccine, REML: without the second trial the mean log relative risk is less than -0.66.

    >>> from mtmeta.models.pool import RandomEffects
    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952, -0.469418,
    ...      -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> table = leave_one_out(RandomEffects(ci="Wald"), EffectSizes.of(y, v, "RR"))
    >>> len(table), list(table.columns[:3])
    (13, ['study', 'estimate', 'se'])
    """
    from mtmeta.measures import check_choice

    check_choice("by", by, ("effect", "study", "cluster"))
    labels = {"effect": None, "study": es.study, "cluster": es.cluster}[by]
    if labels is None:
        names: list[str] = list(es.study)
        present = ~np.eye(es.k, dtype=bool)
    else:
        names = list(dict.fromkeys(labels))
        present = np.array([[label != name for label in labels] for name in names])
    _several(es, 2, "leaving one out")
    if len(names) < 2:
        raise ModelError(f"all effects are of one {by}; leaving it out leaves nothing")
    return _frame(refit(model, es, present, level=level), {"study": names})


def influence(model: PoolModel, es: EffectSizes) -> pd.DataFrame:
    r"""Case diagnostics of every study, with metafor's meanings.

    Parameters
    ----------
    model : CommonEffect or RandomEffects
        With a Wald or Hartung-Knapp interval.
    es : EffectSizes
        At least three rows.

    Returns
    -------
    DataFrame
        One row a study: ``study``; ``rstudent`` externally standardised residual; ``dffits``; ``cook``
        Cook's distance; ``cov_ratio``; ``tau2_deleted`` and ``q_deleted`` without the study; ``hat``;
        ``weight`` in percent; ``dfbetas``; ``influential`` by the rule below.

    Raises
    ------
    ModelError
        Fewer than three effects.
    UsageError
        Another model: use ``leave_one_out``, which refits any model.

    Notes
    -----
    With :math:`\hat\mu_{(i)}`, :math:`\hat\tau^2_{(i)}` and :math:`s_{(i)}` from the fit without study i:

    - rstudent :math:`(y_i-\hat\mu_{(i)})/\sqrt{c_{(i)}(v_i+\hat\tau^2_{(i)})+s_{(i)}^2}`
    - dffits :math:`(\hat\mu-\hat\mu_{(i)})/\sqrt{c_{(i)} h_i(v_i+\hat\tau^2_{(i)})}`, c the factor of Hartung
      and Knapp, 1 for Wald
    - cook :math:`(\hat\mu-\hat\mu_{(i)})^2/s^2`; cov_ratio :math:`s_{(i)}^2/s^2`

    A study counts as influential, as in metafor, when \|dffits\| > 3√(1/(k−1)), or its Cook's distance has a
    lower tail of χ²(1) above 50%, or its hat value is above 3/k, or a dfbetas is above 1.

    References
    ----------
    Viechtbauer, W. and Cheung, M. W.-L. (2010). Res Synth Methods 1:112-125.

    Examples
    --------
    The study with the least variance weighs most.

    >>> from mtmeta.models.pool import CommonEffect
    >>> table = influence(CommonEffect(), EffectSizes.of([0.1, 0.3, 0.9], [0.01, 0.04, 0.04]))
    >>> table["weight"].round(2).tolist()
    [66.67, 16.67, 16.67]
    """
    import pandas as pd
    from scipy.special import chdtr

    if not isinstance(model, (CommonEffect, RandomEffects)):
        raise UsageError(
            f"influence is defined for CommonEffect and RandomEffects, not {type(model).__name__}; "
            "use leave_one_out"
        )
    _several(es, 3, "the influence of single effects")
    k = es.k
    full = refit(model, es, np.ones((1, k), dtype=bool))
    out = refit(model, es, ~np.eye(k, dtype=bool))
    w = 1.0 / (es.vi + full.tau2[0])
    hat = w / w.sum()
    shift = full.estimate[0] - out.estimate
    scale = np.square(out.se / out.se_classic)
    rstudent = (es.yi - out.estimate) / np.sqrt(scale * (es.vi + out.tau2) + np.square(out.se))
    dffits = shift / np.sqrt(scale * hat * (out.tau2 + es.vi))
    cook = np.square(shift) / np.square(full.se[0])
    # the classic variance of the full data's design at the deleted tau2 (metafor's dfbs)
    inner = 1.0 / np.sum(1.0 / (es.vi[None, :] + out.tau2[:, None]), axis=1)
    dfbetas = shift / np.sqrt(scale * inner)
    influential = (
        (np.abs(dffits) > 3.0 * np.sqrt(1.0 / (k - 1)))
        | (chdtr(1, cook) > 0.5)
        | (hat > 3.0 / k)
        | (np.abs(dfbetas) > 1.0)
    )
    return pd.DataFrame(
        {
            "study": list(es.study),
            "rstudent": rstudent,
            "dffits": dffits,
            "cook": cook,
            "cov_ratio": np.square(out.se / full.se[0]),
            "tau2_deleted": out.tau2,
            "q_deleted": out.q,
            "hat": hat,
            "weight": 100.0 * hat,
            "dfbetas": dfbetas,
            "influential": influential,
        }
    )


def _order(es: EffectSizes, by: str | Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    values: Any
    if isinstance(by, str):
        if by == "precision":
            values = es.vi
        else:
            frames = [f for f in (es.moderators, es.columns) if f is not None and by in f.columns]
            if not frames:
                have = sorted(
                    {str(c) for f in (es.moderators, es.columns) if f is not None for c in f.columns}
                )
                raise UsageError(
                    f"there is no column {by!r} to cumulate by; use 'precision' or one of "
                    f"{', '.join(have) or 'none'}"
                )
            values = frames[0][by].to_numpy()
    else:
        values = np.asarray(by)
        if len(values) != es.k:
            raise UsageError(f"by has {len(values)} values for {es.k} effects; give one a row")
    missing = [s for s, x in zip(es.study, values, strict=True) if x is None or x != x]
    if missing:
        raise ModelError(f"{by if isinstance(by, str) else 'by'} is missing for {', '.join(missing)}")
    return np.argsort(values, kind="stable")


def cumulative(
    model: PoolModel,
    es: EffectSizes,
    *,
    by: str | Sequence[Any] | npt.NDArray[Any] = "year",
    level: float = 0.95,
) -> pd.DataFrame:
    """Pool again as each study comes in.

    Parameters
    ----------
    model : CommonEffect, RandomEffects or another model
        HKSJ keeps the classic standard error for the first study alone.
    es : EffectSizes
    by : str or sequence of length k, default "year"
        A column of the effects' moderators or columns, ``"precision"`` (most precise first), or values to
        sort by; ties keep their order.
    level : float, default 0.95

    Returns
    -------
    DataFrame
        One row a step: study (the one that came in), by, estimate, se, ci_low, ci_high, tau2, i2, h2, q, k.

    Raises
    ------
    UsageError, ModelError
        An unknown column; a study without a value.

    Examples
    --------
    >>> from mtmeta.models.pool import CommonEffect
    >>> es = EffectSizes.of([0.4, 0.1], [0.01, 0.01], study=["late", "early"], columns={"year": [2004, 1999]})
    >>> cumulative(CommonEffect(), es)[["study", "estimate"]].round(2).values.tolist()
    [['early', 0.1], ['late', 0.25]]
    """
    order = _order(es, by)
    step = np.empty(es.k, dtype=int)
    step[order] = np.arange(es.k)
    present = step[None, :] <= np.arange(es.k)[:, None]
    fits = refit(model, es, present, level=level)
    return _frame(fits, {"study": [es.study[i] for i in order]})


def baujat(model: PoolModel, es: EffectSizes) -> pd.DataFrame:
    r"""Coordinates of Baujat's plot: who makes the heterogeneity, and who moves the answer.

    Parameters
    ----------
    model : CommonEffect or RandomEffects
    es : EffectSizes
        At least three rows.

    Returns
    -------
    DataFrame
        study; ``contribution`` to Q (of the model's own weights), ``influence``: the squared shift of the
        estimate when the study is left out, over its variance then.

    Notes
    -----
    :math:`x_i=(y_i-\hat\mu)^2/(v_i+\hat\tau^2)`, :math:`y_i=(\hat\mu-\hat\mu_{(i)})^2/s_{(i)}^2`, as in
    metafor's ``baujat``.

    References
    ----------
    Baujat, B. et al. (2002). Stat Med 21:2641-2652.

    Examples
    --------
    >>> from mtmeta.models.pool import CommonEffect
    >>> table = baujat(CommonEffect(), EffectSizes.of([0.1, 0.3, 0.9], [0.01, 0.04, 0.04]))
    >>> table["study"][table["contribution"].idxmax()]
    '3'
    """
    import pandas as pd

    if not isinstance(model, (CommonEffect, RandomEffects)):
        raise UsageError(
            f"Baujat's plot is defined for CommonEffect and RandomEffects, not {type(model).__name__}"
        )
    _several(es, 3, "Baujat's plot")
    full = refit(model, es, np.ones((1, es.k), dtype=bool))
    out = refit(model, es, ~np.eye(es.k, dtype=bool))
    x: FloatArray = np.square(es.yi - full.estimate[0]) / (es.vi + full.tau2[0])
    y: FloatArray = np.square(full.estimate[0] - out.estimate) / np.square(out.se)
    return pd.DataFrame({"study": list(es.study), "contribution": x, "influence": y})
