"""Permutation tests: sign flips for a mean, row orders for moderators; all refits in one batch."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models import kernel
from mtmeta.models.linear import ratio
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.models.regression import MetaRegression

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PermutationResult", "permutation_test"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_MOST = 1_000_000
_CHUNK = 4_000_000  # numbers in the largest temporary
# statistics that differ by less are ties, as in metafor's permutest (its comptol, √ machine epsilon)
_TIE = 1.4901161193847656e-08


@dataclass(frozen=True, eq=False, repr=False)
class PermutationResult:
    """A permutation test. Frozen.

    Attributes
    ----------
    model : CommonEffect, RandomEffects or MetaRegression
    effects : EffectSizes
    terms : tuple of str, length p
        Coefficients; ("mean",) without moderators.
    statistic : ndarray of shape (p,)
        Observed statistics.
    pvalues : ndarray of shape (p,)
        Share of the permutations whose statistic is at least as large in size.
    qm, qm_pvalue : float
        The same for the omnibus test of the moderators (of the mean, squared, without any).
    permutations : int
        How many, the observed arrangement among them.
    exact : bool
        Whether they are all there are.
    distribution : ndarray of shape (permutations, p)
        Statistics under permutation.
    """

    model: CommonEffect | RandomEffects | MetaRegression
    effects: EffectSizes
    terms: tuple[str, ...]
    statistic: FloatArray
    pvalues: FloatArray
    qm: float
    qm_pvalue: float
    permutations: int
    exact: bool
    distribution: FloatArray

    def __post_init__(self) -> None:
        for name in ("statistic", "pvalues", "distribution"):
            getattr(self, name).setflags(write=False)

    @property
    def pvalue(self) -> float | pd.Series[float]:
        """P-value of the mean; with moderators those of the coefficients, by term."""
        import pandas as pd

        if not isinstance(self.model, MetaRegression):
            return float(self.pvalues[0])
        return pd.Series(self.pvalues, index=pd.Index(self.terms, name="term"), dtype=float)

    def to_frame(self) -> pd.DataFrame:
        """One row a coefficient: statistic, pvalue."""
        import pandas as pd

        index = pd.Index(self.terms, name="term")
        return pd.DataFrame({"statistic": self.statistic, "pvalue": self.pvalues}, index=index)

    @property
    def methods(self) -> str:
        """What was done, in words with citations, for a methods section."""
        kind = "all" if self.exact else "random"
        what = "orders of the moderators' rows" if isinstance(self.model, MetaRegression) else "sign flips"
        return (
            f"Permutation test over {self.permutations} {kind} {what}, refitting τ² each time "
            "(Higgins and Thompson 2004; Follmann and Proschan 1999); two-sided p-values from the size of "
            "the statistic."
        )

    def __repr__(self) -> str:
        kind = "exact" if self.exact else "sampled"
        body = ", ".join(f"{term} p={p:.4g}" for term, p in zip(self.terms, self.pvalues, strict=True))
        omnibus = f", moderators p={self.qm_pvalue:.4g}" if isinstance(self.model, MetaRegression) else ""
        return f"PermutationResult({kind}, {self.permutations} permutations, {body}{omnibus})"

    def _repr_html_(self) -> str:
        table: str = self.to_frame().to_html(float_format=lambda x: f"{x:.4g}", border=0)
        return f"<p>{html.escape(repr(self))}</p>{table}"


def permutation_test(
    model: CommonEffect | RandomEffects | MetaRegression,
    es: EffectSizes,
    permutations: Literal["exact"] | int = "exact",
    *,
    seed: int | np.random.Generator = 0,
) -> PermutationResult:
    """Test a mean or moderators by permutation.

    Without moderators the signs of the effects are flipped (2^k ways), with moderators the rows of the
    design are reordered among the studies (k! ways, fewer where rows are equal); the model, τ² included,
    is refitted each time. The statistic is the one of the model's `ci`: z for Wald, t for HKSJ; under
    "auto" each permutation follows that rule.

    Parameters
    ----------
    model : CommonEffect, RandomEffects or MetaRegression
    es : EffectSizes
    permutations : "exact" or int
        All of them, or so many in total, drawn at random and the observed one among them (metafor's
        `iter`). Where there are no more than that, all are taken.
    seed : int or Generator
        For drawing.

    Returns
    -------
    PermutationResult

    Raises
    ------
    ModelError
        "exact" with more than 10^6 permutations; the message gives the number and the remedy.
    UsageError
        A model that is neither, or fewer than two permutations.

    Notes
    -----
    Same definition as metafor's ``permutest``: two-sided p-values compare absolute statistics, those
    within 1.5e-8 count as ties. The smallest p-value is 2/2^k for a mean.

    References
    ----------
    Follmann, D. A. & Proschan, M. A. (1999). Biometrics 55, 732–737.
    Higgins, J. P. T. & Thompson, S. G. (2004). Stat Med 23, 1663–1682.

    Examples
    --------
    BCG vaccine: exact p .0015, 12 of 8192 (Viechtbauer 2010, J Stat Softw 36(3), p. 35).

    >>> y = [-0.889311, -1.585389, -1.348073, -1.441551, -0.217547, -0.786116, -1.620898, 0.011952,
    ...      -0.469418, -1.371345, -0.339359, 0.445913, -0.017314]
    >>> v = [0.325585, 0.194581, 0.415368, 0.020010, 0.051210, 0.006906, 0.223017, 0.003962, 0.056434,
    ...      0.073025, 0.012412, 0.532506, 0.071405]
    >>> test = permutation_test(RandomEffects(ci="Wald"), EffectSizes.of(y, v, "RR"))
    >>> print(f"{test.pvalue:.4f} = {round(test.pvalue * 8192)}/{test.permutations}")
    0.0015 = 12/8192
    """
    if permutations != "exact" and (not isinstance(permutations, int) or permutations < 2):
        raise UsageError(f"permutations={permutations!r} must be 'exact' or a whole number of at least 2")
    if isinstance(model, MetaRegression):
        return _reorder(model, es, permutations, seed)
    if isinstance(model, (CommonEffect, RandomEffects)):
        return _flip(model, es, permutations, seed)
    raise UsageError(
        f"permutation_test takes CommonEffect, RandomEffects or MetaRegression, not {type(model).__name__}"
    )


def _total(count: int, permutations: Literal["exact"] | int, k: int) -> tuple[int, bool]:
    """Decide how many permutations to take of `count`, and whether those are all."""
    if permutations != "exact" and permutations < count:
        return permutations, False
    if count > _MOST:
        raise ModelError(
            f"an exact test on {k} effects has {count:.3g} permutations, more than 10^6; "
            "draw some of them with permutations=10_000"
        )
    return count, True


def _statistics(fits: kernel.KernelFit, ci: str, tested: list[int]) -> tuple[FloatArray, FloatArray]:
    """Statistics of the coefficients (B, p), and of all tested ones together, a χ² or F times its df (B,)."""
    scale = np.maximum(fits.scale, 1.0) if ci == "HKSJ-floor" else fits.scale
    if ci == "Wald":
        scale = np.ones_like(fits.scale)
    elif ci == "auto":
        scale = np.where((fits.df > 1) & (fits.tau2 > 0), scale, 1.0)
    z = ratio(fits.beta, fits.se * np.sqrt(scale)[:, None])
    beta = fits.beta[:, tested]
    unit = fits.se[:, tested]
    correlation = fits.cov[:, tested][:, :, tested] / (unit[:, :, None] * unit[:, None, :])
    wald = np.vecdot(beta / unit, np.linalg.solve(correlation, (beta / unit)[..., None])[..., 0])
    return z, ratio(np.maximum(wald, 0.0), scale)


def _share(values: FloatArray, observed: FloatArray) -> FloatArray:
    return np.asarray((values >= observed - _TIE).mean(axis=0))


def _flip(
    model: CommonEffect | RandomEffects,
    es: EffectSizes,
    permutations: Literal["exact"] | int,
    seed: int | np.random.Generator,
) -> PermutationResult:
    ci = "Wald" if isinstance(model, CommonEffect) else model.ci
    if ci in ("IQWiG", "KR", "PL"):
        raise UsageError(
            f"a permutation test has no use for ci={ci!r}; use 'Wald', 'HKSJ', 'HKSJ-floor' or 'auto'"
        )
    model.fit(es)  # refuses what the model refuses, such as HKSJ on one study
    total, exact = _total(2**es.k, permutations, es.k)
    y = es.yi - es.measure.null
    if exact:  # a flip of all signs turns the statistic: half of them tell all
        bits = (np.arange(2 ** (es.k - 1))[:, None] >> np.arange(es.k)) & 1
        signs = (1 - 2 * bits).astype(np.int8)
    else:
        signs = _some_signs(total, es.k, np.random.default_rng(seed))
    tau2 = model.tau2 if isinstance(model, RandomEffects) else 0.0
    step = max(1, _CHUNK // es.k)
    parts = [signs[i : i + step] for i in range(0, len(signs), step)]
    z = np.concatenate([_statistics(_refit(part * y, es.vi, tau2), ci, [0])[0] for part in parts])
    observed = z[0].copy()
    if exact:
        z = np.concatenate([z, -z])
    share = _share(np.abs(z), np.abs(observed))
    square = float(observed[0] ** 2)
    return PermutationResult(model, es, ("mean",), observed, share, square, float(share[0]), total, exact, z)


def _reorder(
    model: MetaRegression,
    es: EffectSizes,
    permutations: Literal["exact"] | int,
    seed: int | np.random.Generator,
) -> PermutationResult:
    fitted = model.fit(es)
    design = fitted.design
    if len(design.names) == 1 and design.has_intercept:
        raise UsageError("the formula has no moderator to permute; use RandomEffects for a test of the mean")
    rows, label = np.unique(design.matrix, axis=0, return_inverse=True)
    label = label.reshape(-1)
    sizes = np.bincount(label)
    count = math.factorial(es.k) // math.prod(math.factorial(int(n)) for n in sizes)
    total, exact = _total(count, permutations, es.k)
    step = max(1, _CHUNK // design.matrix.size)
    rng = np.random.default_rng(seed)
    orders = _all_orders(sizes, step) if exact else _some_orders(label, total - 1, step, rng)
    tested = list(design.tested())
    first_z, first_qm = _fit_orders(model, es, rows[label][None], tested)
    parts = [] if exact else [(first_z, first_qm)]
    parts += [_fit_orders(model, es, rows[order], tested) for order in orders]
    z, qm = (np.concatenate(part) for part in zip(*parts, strict=True))
    return PermutationResult(
        model,
        es,
        design.names,
        first_z[0].copy(),
        _share(np.abs(z), np.abs(first_z[0])),
        fitted.qm,
        float(_share(qm, first_qm[0])),
        total,
        exact,
        z,
    )


def _fit_orders(
    model: MetaRegression, es: EffectSizes, matrices: FloatArray, tested: list[int]
) -> tuple[FloatArray, FloatArray]:
    return _statistics(_refit(es.yi, es.vi, model.tau2, matrices), model.ci, tested)


def _refit(
    y: FloatArray, v: FloatArray, tau2: str | float, design: FloatArray | None = None
) -> kernel.KernelFit:
    if isinstance(tau2, str):
        return kernel.fit(y, v, method=tau2, design=design)
    return kernel.fit(y, v, tau2=tau2, design=design)


def _some_signs(total: int, k: int, rng: np.random.Generator) -> npt.NDArray[np.int8]:
    """Random signs (total, k), those of the data first."""
    signs = rng.choice(np.array([-1, 1], dtype=np.int8), size=(total, k))
    signs[0] = 1
    return signs


def _some_orders(label: IntArray, number: int, step: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Random orders of the labels, `step` at a time, (step, k)."""
    for start in range(0, number, step):
        yield rng.permuted(np.tile(label, (min(step, number - start), 1)), axis=1)


def _all_orders(sizes: IntArray, step: int) -> Iterator[IntArray]:
    """All distinct orders of labels that occur `sizes` times, `step` at a time, (step, k)."""
    k = int(sizes.sum())
    orders = np.zeros((1, k), dtype=np.int16)
    free = np.arange(k)[None, :]
    for group in range(1, len(sizes)):  # label 0 takes what the others leave
        n, left = int(sizes[group]), free.shape[1]
        chosen = np.array(list(combinations(range(left), n)), dtype=np.intp)
        rest = np.array([[i for i in range(left) if i not in set(c)] for c in chosen.tolist()], dtype=np.intp)
        places = free[:, chosen].reshape(-1, n)
        orders = np.repeat(orders, len(chosen), axis=0)
        np.put_along_axis(orders, places, np.int16(group), axis=1)
        free = free[:, rest].reshape(len(places), left - n)
    for start in range(0, len(orders), step):
        yield orders[start : start + step].astype(np.intp)
