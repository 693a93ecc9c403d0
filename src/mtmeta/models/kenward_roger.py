"""Kenward and Roger's standard error and degrees of freedom of a pooled mean after REML."""

from __future__ import annotations

import math

import numpy as np

from mtmeta.errors import ModelError
from mtmeta.models.stack import FloatArray

__all__ = ["kenward_roger"]

_FEWEST_DF = 0.1  # below it a quantile of t is a number without meaning (1e12 at 95%)


def kenward_roger(vi: FloatArray, tau2: float) -> tuple[float, float]:
    r"""Return standard error and degrees of freedom of the mean that REML's tau2 gives.

    Parameters
    ----------
    vi : ndarray (k,)
        Sampling variances, at least two.
    tau2 : float
        REML's estimate.

    Returns
    -------
    se : float
    df : float
        Of the t distribution of test and interval.

    Raises
    ------
    ModelError
        One study has nearly all the weight, so that tau2 leaves no usable degrees of freedom.

    Notes
    -----
    With :math:`w_i = 1/(v_i + \tau^2)`, :math:`W_j = \sum w_i^j` and the expected information of
    :math:`\tau^2`, :math:`I = W_2/2 - W_3/W_1 + (W_2/W_1)^2/2`,

    .. math::

        \mathrm{var} = \frac{1}{W_1}\left(1 + \frac{2}{I}\left[\frac{W_3}{W_1} -
        \left(\frac{W_2}{W_1}\right)^2\right]\right), \qquad \nu = \frac{2 I}{(\mathrm{var}\, W_2)^2}.

    The variance is Kenward and Roger's (1997, Biometrics 53, 983). Their degrees of freedom have
    :math:`1/W_1` in the place of var; Partlett and Riley (2017, Stat Med 36, 301), and with them the R
    packages meta and pimeta, take the adjusted variance there too, which gives fewer. This is the latter.

    Examples
    --------
    Equal variances need no adjustment and give k - 1 degrees of freedom.

    >>> se, df = kenward_roger(np.full(5, 0.2), 0.3)
    >>> round(se**2, 12), round(df, 12)
    (0.1, 4.0)
    """
    w = 1.0 / (vi + tau2)
    total = float(w.sum())
    p = w / total
    mean = float(p @ p)
    # sums of terms of one sign: the differences of the formula lose their digits to one dominating study
    spread = float(p @ (p - mean) ** 2)
    rest = p.sum() - p
    first = int(p.argmax())
    rest[first] = np.delete(p, first).sum()
    others = float(p @ p) - p * p
    others[first] = np.square(np.delete(p, first)).sum()
    information = 0.5 * float((p * p * (rest * rest + others)).sum())
    adjusted = 1.0 + 2.0 * spread / information  # of the variance, in units of 1 / W1
    df = 2.0 * information / (adjusted * mean) ** 2
    if not df >= _FEWEST_DF:
        raise ModelError(
            f"Kenward and Roger's interval has {df:.2g} degrees of freedom here, because one study has "
            f"{100.0 * float(p.max()):.3g}% of the weight; use ci='HKSJ' or 'Wald'"
        )
    return math.sqrt(adjusted / total), df
