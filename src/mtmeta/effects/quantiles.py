"""Mean and standard deviation from medians, quartiles and ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, columns, require
from mtmeta.effects.recovered import Recovered
from mtmeta.errors import UsageError
from mtmeta.measures import check_choice

__all__ = ["MeanSD", "mean_sd_from_quantiles"]

Method = Literal["Luo", "Wan", "QE", "BC"]


class MeanSD(NamedTuple):
    """Mean and standard deviation, each with its route."""

    mean: Recovered
    sd: Recovered


class _Summary(NamedTuple):
    """What is printed: the known ones of minimum, quartiles, median, maximum; sizes; which they are."""

    low: FloatArray | None
    q1: FloatArray | None
    median: FloatArray
    q3: FloatArray | None
    high: FloatArray | None
    n: FloatArray

    @property
    def known(self) -> list[FloatArray]:
        """Quantiles in ascending order."""
        return [q for q in self[:5] if q is not None]

    def with_quantiles(self, q: FloatArray, n: FloatArray) -> _Summary:
        """Return a summary of the same form with other quantiles, in ascending order."""
        last = len(q) - 1
        inner = 1 if self.low is not None else 0
        quartiles = self.q1 is not None
        return _Summary(
            q[0] if inner else None,
            q[inner] if quartiles else None,
            q[last // 2],
            q[last - inner] if quartiles else None,
            q[last] if inner else None,
            n,
        )


def mean_sd_from_quantiles(
    median: npt.ArrayLike,
    n: npt.ArrayLike,
    *,
    q1: npt.ArrayLike | None = None,
    q3: npt.ArrayLike | None = None,
    minimum: npt.ArrayLike | None = None,
    maximum: npt.ArrayLike | None = None,
    method: Method = "Luo",
) -> MeanSD:
    r"""Recover a mean and an SD from a median with quartiles, with the range, or with both.

    Parameters
    ----------
    median : array_like
    n : array_like
        Size, at least 3.
    q1, q3, minimum, maximum : array_like, optional
        Quartiles, range, or both pairs.
    method : {"Luo", "Wan", "QE", "BC"}, default "Luo"
        "Luo": mean of Luo et al. 2018 (Stat Methods Med Res 27, eqs. 7, 11, 15), SD of Wan et al. 2014
        (BMC Med Res Methodol 14, 135, eqs. 9 and 16), with all five numbers that of Shi et al. 2020
        (Res Synth Methods 11, eq. 10): metafor's default ``conv.fivenum``. "Wan": the means and SDs
        of Wan et al. Both assume a normal outcome. "QE" and "BC" do not (McGrath et al. 2020, Stat
        Methods Med Res 29, p. 2520): quantile estimation takes the normal, log-normal, gamma, beta
        or Weibull distribution whose quantiles are nearest; Box-Cox transforms to symmetry first.

    Returns
    -------
    MeanSD
        The route of QE names the distribution, that of BC the power.

    Raises
    ------
    RowError
        A missing value, quantiles out of order or all the same, n below 3; for BC a quantile that is
        not above 0.
    UsageError
        Neither quartiles nor range, or one of a pair.

    Notes
    -----
    A paper that prints a median often does so because the outcome is skewed, and then the normal-based
    values are off; compare methods, and mark the row. QE is the least-squares fit of McGrath et al.
    with probabilities 1/n and 1 − 1/n for the range; here every family is fitted in one bounded
    dimension (scale and location solved), where ``estmeansd`` runs a bounded quasi-Newton search from
    one start with SDs capped at 50. BC integrates the back-transformed, symmetrically cut normal
    distribution; ``estmeansd`` simulates it.

    Examples
    --------
    >>> found = mean_sd_from_quantiles(8, 40, q1=5, q3=12)
    >>> round(float(found.mean), 6), round(float(found.sd), 7)
    (8.354875, 5.3825093)
    """
    check_choice("method", method, ("Luo", "Wan", "QE", "BC"))
    s = _summary(median, n, q1, q3, minimum, maximum)
    if method == "BC":
        lowest = "q1" if s.low is None else "minimum"
        require(s.known[0] > 0, lowest, s.known[0], "Box-Cox needs quantiles above 0; use 'QE' or 'Luo'")
    if method in ("Luo", "Wan"):
        mean, sd = (_luo_mean(s) if method == "Luo" else _wan_mean(s)), _normal_sd(s, shi=method == "Luo")
        names = ("Luo 2018", "Wan 2014" if method == "Wan" or len(s.known) < 5 else "Shi 2020")
        names = ("Wan 2014", "Wan 2014") if method == "Wan" else names
        notes = [""] * s.median.size
    else:
        mean, sd, notes = _by_row(s, _quantile_estimation if method == "QE" else _box_cox)
        names = (f"{method}, McGrath 2020",) * 2
    return MeanSD(
        _with_route("mean", names[0], s, np.asarray(mean), notes),
        _with_route("SD", names[1], s, np.asarray(sd), notes),
    )


def _summary(
    median: npt.ArrayLike,
    n: npt.ArrayLike,
    q1: npt.ArrayLike | None,
    q3: npt.ArrayLike | None,
    minimum: npt.ArrayLike | None,
    maximum: npt.ArrayLike | None,
) -> _Summary:
    if (q1 is None) != (q3 is None) or (minimum is None) != (maximum is None):
        raise UsageError(
            "give both quartiles (q1, q3), both ends of the range (minimum, maximum), or all four"
        )
    if q1 is None and minimum is None:
        raise UsageError(
            "a median alone tells no spread; give quartiles (q1, q3) or the range (minimum, maximum)"
        )
    given = {"minimum": minimum, "q1": q1, "median": median, "q3": q3, "maximum": maximum}
    present = {name: values for name, values in given.items() if values is not None}
    *found, size = columns(**present, n=n)  # type: ignore[arg-type]
    require(size >= 3, "n", size, "quantiles of fewer than 3 people tell no mean")
    for (name, below), above in zip(list(zip(present, found, strict=True)), found[1:], strict=False):
        require(below <= above, name, below, "quantiles out of order; check minimum, q1, median, q3, maximum")
    require(
        found[0] < found[-1], next(iter(present)), found[0], "all quantiles are the same: no spread follows"
    )
    named = dict(zip(present, found, strict=True))
    if q1 is not None:
        require(
            named["q1"] < named["q3"], "q1", named["q1"], "both quartiles are the same: no spread follows"
        )
    return _Summary(
        named.get("minimum"), named.get("q1"), named["median"], named.get("q3"), named.get("maximum"), size
    )


def _with_route(what: str, name: str, s: _Summary, value: FloatArray, notes: list[str]) -> Recovered:
    parts = zip(("minimum", "q1", "median", "q3", "maximum"), s[:5], strict=True)
    known = [(label, np.ravel(q)) for label, q in parts if q is not None]
    size, flat = np.ravel(s.n), np.ravel(value)
    text = tuple(
        f"{what} from quantiles ({name}): "
        + ", ".join(f"{label} {q[i]:.6g}" for label, q in known)
        + f" of {size[i]:.6g} people{notes[i]} give {flat[i]:.6g}"
        for i in range(flat.size)
    )
    return Recovered(value if value.ndim else float(value), text if value.ndim else text[0])


def _luo_mean(s: _Summary) -> FloatArray:
    m, n = s.median, s.n
    if s.q1 is not None and s.q3 is not None and s.low is not None and s.high is not None:
        ends, middle = 2.2 / (2.2 + n**0.75), 0.7 - 0.72 / n**0.55
        return ends * (s.low + s.high) / 2.0 + middle * (s.q1 + s.q3) / 2.0 + (1.0 - ends - middle) * m
    if s.q1 is not None and s.q3 is not None:
        w = 0.7 + 0.39 / n
        return w * (s.q1 + s.q3) / 2.0 + (1.0 - w) * m
    w = 4.0 / (4.0 + n**0.75)
    return w * (s.known[0] + s.known[-1]) / 2.0 + (1.0 - w) * m


def _wan_mean(s: _Summary) -> FloatArray:
    m = s.median
    if s.q1 is not None and s.q3 is not None and s.low is not None and s.high is not None:
        return (s.low + 2.0 * s.q1 + 2.0 * m + 2.0 * s.q3 + s.high) / 8.0
    if s.q1 is not None and s.q3 is not None:
        return (s.q1 + m + s.q3) / 3.0
    return (s.known[0] + 2.0 * m + s.known[-1]) / 4.0


def _normal_sd(s: _Summary, *, shi: bool) -> FloatArray:
    from scipy.special import ndtri

    n = s.n
    of_range = np.asarray(ndtri((n - 0.375) / (n + 0.25)))
    of_quartiles = np.asarray(ndtri((0.75 * n - 0.125) / (n + 0.25)))
    if s.q1 is None or s.q3 is None:
        return (s.known[-1] - s.known[0]) / (2.0 * of_range)
    if s.low is None or s.high is None:
        return (s.q3 - s.q1) / (2.0 * of_quartiles)
    if shi:
        first, second = (2.0 + 0.14 * n**0.6) * of_range, (2.0 + 2.0 / (0.07 * n**0.6)) * of_quartiles
    else:
        first, second = 4.0 * of_range, 4.0 * of_quartiles
    sd: FloatArray = (s.high - s.low) / first + (s.q3 - s.q1) / second
    return sd


def _by_row(
    s: _Summary, fit: Callable[[FloatArray, FloatArray, _Summary], tuple[float, float, str]]
) -> tuple[FloatArray, FloatArray, list[str]]:
    shape, size = s.median.shape, np.ravel(s.n)
    quantiles = np.stack([np.ravel(q) for q in s.known], axis=1)
    found = []
    for row, n in zip(quantiles, size, strict=True):
        one = s.with_quantiles(row, np.asarray(n))
        found.append(fit(row, _probabilities(one), one))
    mean, sd, notes = zip(*found, strict=True)
    return np.reshape(mean, shape), np.reshape(sd, shape), list(notes)


def _probabilities(s: _Summary) -> FloatArray:
    n = float(s.n)
    quartiles = [0.25, 0.5, 0.75] if s.q1 is not None else [0.5]
    ends = ([1.0 / n], [1.0 - 1.0 / n]) if s.low is not None else ([], [])
    return np.array([*ends[0], *quartiles, *ends[1]])


class _Fit(NamedTuple):
    """Sum of squared distances, mean and SD of a fitted distribution, and its name."""

    distance: float
    mean: float
    sd: float
    name: str


def _quantile_estimation(q: FloatArray, p: FloatArray, s: _Summary) -> tuple[float, float, str]:
    fits = [_fit_normal(q, p)]
    if q[0] > 0:
        fits += [_fit_scaled(q, p, *family) for family in _families()]
        if q[-1] < 1:
            fits.append(_fit_beta(q, p, fits[0]))
    best = min(fits, key=lambda fit: fit.distance)
    return best.mean, best.sd, f", {best.name},"


def _fit_normal(q: FloatArray, p: FloatArray) -> _Fit:
    from scipy.special import ndtri

    z = ndtri(p)  # symmetric about 0: location and scale are a regression of q on z
    centre = z - z.mean()
    sd = float(centre @ q / (centre @ centre))
    mean = float(q.mean() - sd * z.mean())
    return _Fit(float(np.sum((mean + sd * z - q) ** 2)), mean, sd, "normal")


def _families() -> list[
    tuple[str, Callable[[float, FloatArray], FloatArray], Callable[[float], tuple[float, float]]]
]:
    """Families with a free scale: quantiles, and mean and SD, for scale 1 and the logarithm of a shape."""
    from scipy.special import gammaincinv, gammaln, ndtri

    def weibull(k: float) -> tuple[float, float]:
        mean = np.exp(gammaln(1.0 + np.exp(-k)))
        return float(mean), float(np.sqrt(max(np.exp(gammaln(1.0 + 2.0 * np.exp(-k))) - mean**2, 0.0)))

    def log_normal(k: float) -> tuple[float, float]:
        variance = np.exp(2.0 * k)
        mean = np.exp(variance / 2.0)
        return float(mean), float(mean * np.sqrt(np.expm1(variance)))

    return [
        ("log-normal", lambda k, p: np.exp(np.exp(k) * ndtri(p)), log_normal),
        (
            "gamma",
            lambda k, p: np.asarray(gammaincinv(np.exp(k), p)),
            lambda k: (float(np.exp(k)), float(np.exp(k / 2))),
        ),
        ("Weibull", lambda k, p: (-np.log1p(-p)) ** np.exp(-k), weibull),
    ]


_LOG_SHAPES = {"log-normal": (-7.0, 1.2), "gamma": (-2.5, 14.0), "Weibull": (-1.2, 7.0)}


def _fit_scaled(
    q: FloatArray,
    p: FloatArray,
    name: str,
    quantile: Callable[[float, FloatArray], FloatArray],
    moments: Callable[[float], tuple[float, float]],
) -> _Fit:
    from scipy.optimize import minimize_scalar

    def scale(k: float) -> tuple[float, FloatArray]:
        u = quantile(k, p)
        return float(u @ q / (u @ u)), u

    def distance(k: float) -> float:
        size, u = scale(k)
        return float(np.sum((size * u - q) ** 2))

    low, high = _LOG_SHAPES[name]
    grid = np.linspace(low, high, 121)
    at = int(np.argmin([distance(k) for k in grid]))
    ends = (grid[max(at - 1, 0)], grid[min(at + 1, grid.size - 1)])
    k = float(minimize_scalar(distance, bounds=ends, method="bounded", options={"xatol": 1e-12}).x)
    size, _ = scale(k)
    mean, sd = moments(k)
    return _Fit(distance(k), size * mean, size * sd, name)


def _fit_beta(q: FloatArray, p: FloatArray, start: _Fit) -> _Fit:
    from scipy.optimize import minimize
    from scipy.special import betaincinv

    def distance(logs: FloatArray) -> float:
        a, b = np.exp(np.clip(logs, -5.0, 12.0))
        return float(np.sum((betaincinv(a, b, p) - q) ** 2))

    mean = float(np.clip(start.mean, 1e-3, 1.0 - 1e-3))
    both = max(mean * (1.0 - mean) / start.sd**2 - 1.0, 0.1)
    first = np.log([mean * both, (1.0 - mean) * both])
    options = {"xatol": 1e-11, "fatol": 1e-24, "maxiter": 4000, "maxfev": 4000}
    best: Any = minimize(distance, first, method="Nelder-Mead", options=options)
    a, b = np.exp(np.clip(best.x, -5.0, 12.0))
    total = a + b
    return _Fit(float(best.fun), float(a / total), float(np.sqrt(a * b / (total + 1.0)) / total), "beta")


def _box_cox(q: FloatArray, p: FloatArray, s: _Summary) -> tuple[float, float, str]:
    require(
        q > 0, "quantile", q, "a Box-Cox transformation needs quantiles above 0; use method='QE' or 'Luo'"
    )
    unit = float(s.median)  # a power transformation of values around 1 cannot overflow
    power = _symmetric_power(q / unit)
    y = np.log(q / unit) if power == 0 else np.expm1(power * np.log(q / unit)) / power
    transformed = s.with_quantiles(y, s.n)
    location, scale = float(_luo_mean(transformed)), float(_normal_sd(transformed, shi=False))
    note = f", Box-Cox power {power:.4g},"
    if power == 0:
        mean = np.exp(location + scale**2 / 2.0)
        return float(unit * mean), float(unit * mean * np.sqrt(np.expm1(scale**2))), note
    mean, sd = _back_moments(location, scale, power)
    return unit * mean, unit * sd, note


def _symmetric_power(q: FloatArray) -> float:
    """Power in [0, 3] that makes the quantiles most symmetric about their median."""
    from scipy.optimize import brentq, minimize_scalar

    middle = q.size // 2
    pairs = [(np.log(q[i]), np.log(q[-1 - i])) for i in range(middle)]
    if any(low == 0 or high == 0 for low, high in pairs):  # a quantile equal to the median: no finite power
        return 0.0 if all(high > 0 for _, high in pairs) else 3.0

    def skew(power: float, low: float, high: float) -> float:
        if power == 0:
            return float(np.log(high / -low))
        return float(np.log(np.expm1(power * high) / -np.expm1(power * low)))

    if len(pairs) == 1:  # skewness grows with the power
        low, high = pairs[0]
        if skew(0.0, low, high) >= 0:
            return 0.0
        return (
            3.0 if skew(3.0, low, high) <= 0 else float(brentq(skew, 0.0, 3.0, args=(low, high), xtol=1e-14))
        )

    def distance(power: float) -> float:
        return float(sum(np.expm1(skew(power, low, high)) ** 2 for low, high in pairs))

    best = minimize_scalar(distance, bounds=(-2.0, 3.0), method="bounded", options={"xatol": 1e-12})
    return max(0.0, float(best.x))


def _back_moments(location: float, scale: float, power: float) -> tuple[float, float]:
    """Mean and SD of the back-transformed normal, cut where the transformation ends and as far above."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    reach = min(location + 1.0 / power, 12.0 * scale)  # beyond 12 SD nothing is left
    x = reach * nodes
    density = weights * np.exp(-((x / scale) ** 2) / 2.0)
    value = np.exp(np.log1p(np.maximum(power * (location + x), -1.0 + 1e-16)) / power)
    total = density.sum()
    mean = float(density @ value / total)
    return mean, float(np.sqrt(density @ (value - mean) ** 2 / total))
