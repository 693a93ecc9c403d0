"""Rows of one trial that share an arm: how their sampling errors go together."""

from __future__ import annotations

import math

import numpy as np

from mtmeta.effects.checks import FloatArray
from mtmeta.effects.printed import Shared
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import UsageError

__all__ = ["SHARED_NAMES", "sampling_covariance", "shared_columns"]

SHARED_NAMES = ("shared_row", "arm1", "arm2", "arm1_vi", "arm2_vi", "shared_n")


def shared_columns(shared: Shared | None) -> dict[str, str | float | None]:
    """Return what a row carries along so that its covariance with others can be told."""
    if shared is None:
        return dict.fromkeys(SHARED_NAMES)
    values = (shared.block, shared.arm1, shared.arm2, shared.v1, shared.v2)
    return dict(zip(SHARED_NAMES, (*values, None if math.isnan(shared.total) else shared.total), strict=True))


def sampling_covariance(es: EffectSizes, *, within_rho: float = 0.0) -> FloatArray:
    r"""Return the covariance matrix of the sampling errors of effects.

    Rows that share an arm of a trial (arms kept "separate") have the covariance that follows from the
    arm; other rows of one cluster are correlated by `within_rho`; rows of different clusters are
    independent.

    Parameters
    ----------
    es : EffectSizes
        As from records; effects without shared arms are fine.
    within_rho : float in [0, 1], default 0
        Correlation of other rows of one cluster.

    Returns
    -------
    ndarray of shape (k, k)

    Raises
    ------
    UsageError
        A correlation outside of [0, 1].

    Notes
    -----
    The shared arm's part of the variance: :math:`s^2/n` (MD), :math:`1/a + 1/b` (OR),
    :math:`1/a - 1/n` (RR), :math:`p(1-p)/n` (RD); for an SMD, standardised by one SD of all N people of
    the trial, :math:`1/n + g_i g_j/(2N)` (Gleser & Olkin 2009, in Cooper, Hedges & Valentine, Handbook
    of Research Synthesis, 2nd ed., eq. 19.19), also between rows that share no arm, then without 1/n.

    Examples
    --------
    >>> es = EffectSizes.of([0.4, 0.5, 0.1], [0.04, 0.09, 0.04], cluster=["A", "A", "B"])
    >>> sampling_covariance(es, within_rho=0.5).round(3)
    array([[0.04, 0.03, 0.  ],
           [0.03, 0.09, 0.  ],
           [0.  , 0.  , 0.04]])
    """
    if not 0.0 <= within_rho <= 1.0:
        raise UsageError(f"within_rho={within_rho!r} must be a correlation from 0 to 1")
    cluster = np.array(es.cluster, dtype=object)
    same = cluster[:, None] == cluster[None, :]
    covariance = np.where(same, within_rho * np.outer(es.sei, es.sei), 0.0)
    columns = es.columns
    if columns is not None and "shared_row" in columns:
        _put_shared(
            covariance, es, {name: columns[name].tolist() for name in SHARED_NAMES if name in columns}
        )
    np.fill_diagonal(covariance, es.vi)
    return covariance


def _put_shared(covariance: FloatArray, es: EffectSizes, told: dict[str, list[object]]) -> None:
    blocks = told["shared_row"]
    totals = told.get("shared_n", [None] * es.k)
    for i in range(es.k):
        for j in range(i):
            if not isinstance(blocks[i], str) or blocks[i] != blocks[j]:
                continue
            value = 0.0
            for arm in ("arm1", "arm2"):
                if told[arm][i] == told[arm][j]:
                    value += float(str(told[f"{arm}_vi"][i]))
            total = totals[i]
            if isinstance(total, int | float) and not math.isnan(total):
                value += float(es.yi[i] * es.yi[j] / (2.0 * total))
            covariance[i, j] = covariance[j, i] = value
