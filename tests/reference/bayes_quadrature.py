"""Make bayes_quadrature.json: posteriors of the normal-normal model by brute force, in 80-bit numbers.

Nothing of mtmeta is used. Priors and likelihood are written out here once more; log(tau) is cut into some
thousand panels without any adaptive choice, and where the prior of the mean is not normal the mean is
integrated numerically too. Everything is computed twice, by rules of 12 and of 16 points on every panel, and
what differs is stored as ``agreement``. A dozen cases are computed a third time by mpmath with 20 digits.

    python tests/reference/bayes_quadrature.py            # writes the file next to itself; takes some minutes
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
from scipy import special

R = np.longdouble
Array = np.ndarray
LOG_2PI = np.log(R(2) * R("3.14159265358979323846264338327950288"))


def simulated(k: int, tau: float) -> tuple[list[float], list[float]]:
    """Effects that no generator's version can change: quantiles in a shuffled order."""
    y, se = [], []
    for i in range(k):
        a, b = (0.5 + i * 0.6180339887498949) % 1.0, (0.5 + i * 0.7548776662466927) % 1.0
        s = 0.1 + 0.3 * b
        y.append(round(0.25 + math.hypot(s, tau) * float(special.ndtri(0.001 + 0.998 * a)), 6))
        se.append(round(s, 6))
    return y, se


DATA: dict[str, tuple[list[float], list[float]]] = {
    "crins": (
        [-2.3097026, -0.4595323, -2.3025851, -1.7578579, -1.2584610, -2.4178959],
        [0.5994763, 0.5563956, 0.8803408, 0.4558685, 0.6419962, 1.5288107],
    ),
    "one study": ([0.4], [0.2]),
    "two studies": ([0.1, 0.9], [0.2, 0.25]),
    "homogeneous": ([0.3, 0.3, 0.3, 0.3], [0.1, 0.2, 0.3, 0.15]),
    "outlier": ([0.1, 0.2, 0.15, 3.4, 0.05], [0.1, 0.15, 0.12, 0.2, 0.1]),
    "two camps": ([-1.0, -1.02, -0.98, 1.0, 1.03, 0.97], [0.05, 0.05, 0.06, 0.05, 0.04, 0.05]),
    "eight orders": ([0.5, 0.50003, 0.7, -0.4, 20.0], [1e-6, 1e-4, 1e-2, 1.0, 100.0]),
    "tiny errors": ([3.00001, 3.00002, 2.99998], [1e-5, 2e-5, 1.5e-5]),
    "huge errors": ([150.0, -900.0, 40.0, 2000.0], [800.0, 500.0, 900.0, 1500.0]),
    "k 40": simulated(40, 0.3),
    "k 500": simulated(500, 0.15),
}
MU: dict[str, tuple[str, tuple[float, ...]]] = {
    "Normal(0, 4)": ("normal", (0, 4)),
    "Normal(0, 0.3)": ("normal", (0, 0.3)),
    "Flat()": ("flat", ()),
    "StudentT(5, 0, 0.43)": ("t", (5, 0, 0.43)),
    "Cauchy(0, 0.7)": ("t", (1, 0, 0.7)),
    "Normal(0, 1).truncated(0, inf)": ("cut normal", (0, 1)),
    "Uniform(-1, 1)": ("uniform", (-1, 1)),
}
TAU: dict[str, tuple[str, tuple[float, ...]]] = {
    "HalfNormal(0.5)": ("halfnormal", (0.5,)),
    "HalfNormal(1e-06)": ("halfnormal", (1e-6,)),
    "HalfCauchy(0.5)": ("halft", (1, 0.5)),
    "HalfT(4, 0.3)": ("halft", (4, 0.3)),
    "Uniform(0, 4)": ("uniform", (0, 4)),
    'LogNormal(-2.34, 1.72, on="tau2")': ("lognormal2", (-2.34, 1.72)),
    "LogNormal(-2, 0.001)": ("lognormal", (-2, 0.001)),
    'LogStudentT(5, -3.85, 1.93, on="tau2")': ("logt2", (5, -3.85, 1.93)),
    "InverseGamma(1.71, 0.4)": ("invgamma", (1.71, 0.4)),
    "Lomax(1, 0.3)": ("lomax", (1, 0.3)),
    "Jeffreys()": ("jeffreys", ()),
    "DuMouchel()": ("dumouchel", ()),
    "UniformShrinkage()": ("shrinkage", ()),
    "Flat()": ("flat", ()),
    "HalfNormal(1).truncated(0.2, 0.6)": ("cut halfnormal", (1, 0.2, 0.6)),
}
IMPROPER = ("Flat()", "Jeffreys()")
CASES = [
    *((d, "Normal(0, 4)", t) for d in DATA for t in TAU if t not in IMPROPER),
    *((d, "Flat()", t) for d in DATA for t in ("HalfNormal(0.5)", "UniformShrinkage()", *IMPROPER)),
    *((d, "Normal(0, 0.3)", t) for d in DATA for t in ("HalfNormal(0.5)", "HalfCauchy(0.5)")),
    *(
        (d, m, t)
        for d in ("crins", "one study", "two studies", "outlier", "k 40", "two camps")
        for m in MU
        if MU[m][0] not in ("normal", "flat")
        for t in ("HalfNormal(0.5)", "InverseGamma(1.71, 0.4)")
    ),
]


def t_log(z: Array, df: float) -> Array:
    const = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - math.log(df * math.pi) / 2
    exact = mp.loggamma((mp.mpf(df) + 1) / 2) - mp.loggamma(mp.mpf(df) / 2) - mp.log(df * mp.pi) / 2
    assert abs(const - exact) < 1e-14
    return R(mp.nstr(exact, 22)) - (R(df) + 1) / 2 * np.log1p(z * z / R(df))


Spec = tuple[str, tuple[float, ...]]


def log_prior(kind: str, par: tuple[float, ...], v: Array) -> Callable[[Array], Array]:
    """Log density of x = log(tau)."""
    p = [R(repr(a)) for a in par]
    harmonic = R(v.size) / np.sum(1 / v)
    gamma = R(mp.nstr(mp.loggamma(mp.mpf(repr(par[0]))), 22)) if kind == "invgamma" else R(0)
    whole = R(1)
    if kind == "cut halfnormal":
        low, high = (mp.mpf(repr(a)) / mp.sqrt(2) for a in par[1:])
        whole = R(mp.nstr(mp.erf(high) - mp.erf(low), 22))
    table: dict[str, Callable[[Array], Array]] = {
        "halfnormal": lambda x: x + np.log(R(2)) - LOG_2PI / 2 - np.log(p[0]) - (np.exp(x) / p[0]) ** 2 / 2,
        "cut halfnormal": lambda x: x + np.log(R(2)) - LOG_2PI / 2 - np.exp(2 * x) / 2 - np.log(whole),
        "halft": lambda x: x + np.log(R(2)) - np.log(p[1]) + t_log(np.exp(x) / p[1], par[0]),
        "uniform": lambda x: x - np.log(p[1] - p[0]),
        "lognormal": lambda x: -(((x - p[0]) / p[1]) ** 2) / 2 - np.log(p[1]) - LOG_2PI / 2,
        "lognormal2": lambda x: np.log(R(2)) - ((2 * x - p[0]) / p[1]) ** 2 / 2 - np.log(p[1]) - LOG_2PI / 2,
        "logt2": lambda x: np.log(R(2)) + t_log((2 * x - p[1]) / p[2], par[0]) - np.log(p[2]),
        "invgamma": lambda x: p[0] * np.log(p[1]) - gamma - p[0] * x - p[1] * np.exp(-x),
        "lomax": lambda x: x + np.log(p[0] / p[1]) - (p[0] + 1) * np.log1p(np.exp(x) / p[1]),
        "dumouchel": lambda x: x + np.log(harmonic) / 2 - 2 * np.log(np.sqrt(harmonic) + np.exp(x)),
        "shrinkage": lambda x: 2 * x + np.log(2 * harmonic) - 2 * np.log(harmonic + np.exp(2 * x)),
        "jeffreys": lambda x: x + np.log(np.sum((np.exp(x) / (v[:, None] + np.exp(2 * x))) ** 2, axis=0)) / 2,
        "flat": lambda x: x,
    }
    return table[kind]


def reach(kind: str, par: tuple[float, ...]) -> tuple[float, float]:
    if kind == "uniform":
        return -300.0, math.log(par[1])
    if kind == "cut halfnormal":
        return math.log(par[1]), math.log(par[2])
    return (-20000.0, 300.0) if kind == "logt2" else (-300.0, 300.0)


def rule(edges: Array, n: int) -> tuple[Array, Array]:
    x, g = np.polynomial.legendre.leggauss(n)
    a, b = edges[:-1, None].astype(R), edges[1:, None].astype(R)
    return ((a + b) / 2 + (b - a) / 2 * x).ravel(), ((b - a) / 2 * g).ravel()


class Model:
    """At each log(tau): log likelihood with the mean integrated out, and moments given tau."""

    def __init__(self, y: list[float], se: list[float], mu: tuple[str, tuple[float, ...]], n: int) -> None:
        self.y, self.v = np.array([R(repr(a)) for a in y]), np.array([R(repr(a)) for a in se]) ** 2
        self.kind, self.par = mu[0], [R(repr(a)) for a in mu[1]]
        self.df = mu[1][0] if mu[0] == "t" else 0.0
        self.n = n

    def at(self, x: Array) -> tuple[Array, ...]:
        """Log likelihood; E(mu), var(mu), P(mu < y_1), as arrays."""
        size = 400 if self.par and self.kind not in ("normal",) else max(1, 2_000_000 // self.y.size)
        parts = [self._at(x[i : i + size]) for i in range(0, x.size, size)]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _at(self, x: Array) -> tuple[Array, ...]:
        # below -60 the likelihood does not change; this keeps tau squared within the range of numbers
        t2 = np.exp(2 * np.maximum(x, -60))[:, None]
        w = 1 / (self.v + t2)
        big = w.sum(axis=1)
        # relative to the first effect, which keeps digits
        d = self.y - self.y[0]
        m = (w * d).sum(axis=1) / big
        base = (
            np.log(w).sum(axis=1) / 2
            - R(self.y.size) * LOG_2PI / 2
            - (w * (d - m[:, None]) ** 2).sum(axis=1) / 2
        )
        if self.kind == "flat":
            log_l, e1, var = base + (LOG_2PI - np.log(big)) / 2, m, 1 / big
        elif self.kind == "normal":
            loc, s2 = self.par[0] - self.y[0], self.par[1] ** 2
            log_l = base - np.log1p(big * s2) / 2 - (m - loc) ** 2 * big / (1 + big * s2) / 2
            var = 1 / (big + 1 / s2)
            e1 = (m * big + loc / s2) * var
        else:
            return self._numeric(base, m, big)
        below = special.ndtr((-e1 / np.sqrt(var)).astype(float)).astype(R)
        return log_l, e1 + self.y[0], var, below

    def _numeric(self, base: Array, m: Array, big: Array) -> tuple[Array, ...]:
        """Integrate over the mean: panels around the likelihood's peak and around the prior's."""
        s, y0 = 1 / np.sqrt(big), self.y[0]
        low, high, whole = R(-np.inf), R(np.inf), R(1)
        if self.kind == "uniform":
            low, high = self.par[0] - y0, self.par[1] - y0
            centre, scale = (low + high) / 2, (high - low) / 2
        elif self.kind == "t":
            centre, scale = self.par[1] - y0, self.par[2]
        else:
            centre, scale = self.par[0] - y0, self.par[1]
            low, whole = centre, R(1) / 2  # cut at its own centre
        steps = np.array([0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 13, 17, 25, 40], dtype=R)
        steps = np.concatenate([-steps[:0:-1], steps])
        far = np.array([0, 0.3, 0.7, 1, 1.5, 2, 3, 5, 8, 15, 40, 150, 600, 3e3, 2e4, 2e5, 3e6, 1e8], dtype=R)
        far = np.concatenate([-far[:0:-1], far])
        edges = np.concatenate(
            [
                m[:, None] + s[:, None] * steps,
                np.broadcast_to(centre + scale * far, (m.size, far.size)),
                np.zeros((m.size, 1)),
            ],
            axis=1,
        )
        edges = np.sort(np.clip(edges, low, high), axis=1)
        x, g = np.polynomial.legendre.leggauss(self.n)
        a, b = edges[:, :-1, None], edges[:, 1:, None]
        u = ((a + b) / 2 + (b - a) / 2 * x).reshape(m.size, -1)
        weight = ((b - a) / 2 * g).reshape(m.size, -1)
        z = (u - centre) / scale
        if self.kind == "uniform":
            log_p = np.full(u.shape, -np.log(high - low))
        elif self.kind == "t":
            log_p = t_log(z, self.df) - np.log(scale)
        else:
            log_p = -z * z / 2 - LOG_2PI / 2 - np.log(scale) - np.log(whole)
        log_f = log_p - ((u - m[:, None]) / s[:, None]) ** 2 / 2
        top = log_f.max(axis=1)
        f = weight * np.exp(log_f - top[:, None])
        total = f.sum(axis=1)
        e1 = (f * u).sum(axis=1) / total
        var = (f * (u - e1[:, None]) ** 2).sum(axis=1) / total
        below = np.where(u < 0, f, 0).sum(axis=1) / total
        return base + top + np.log(total), e1 + y0, var, below


def peak(
    log_f: Callable[[Array], Array], low: float, high: float, prior: tuple[str, tuple[float, ...]]
) -> float:
    grid = np.linspace(max(low, -45), min(high, 30), 4002)[1:-1].astype(R)
    if prior[0] == "lognormal":
        grid = np.sort(np.concatenate([grid, prior[1][0] + prior[1][1] * np.linspace(-40, 40, 801)]))
    for _ in range(12):
        h = log_f(grid)
        i = int(h.argmax())
        grid = np.linspace(grid[max(i - 1, 0)], grid[min(i + 1, grid.size - 1)], 33)
    return float(grid[16])


def posterior(data: str, mu: str, tau: str, n: int) -> dict[str, R]:
    model = Model(*DATA[data], MU[mu], n)
    prior = log_prior(*TAU[tau], model.v)
    low, high = reach(*TAU[tau])

    def log_f(x: Array) -> Array:
        return prior(x) + model.at(x)[0]

    mode = peak(log_f, low, high, TAU[tau])
    near = np.array([mode - 1e-3, mode, mode + 1e-3], dtype=R)
    inside = (near > low) & (near < high)
    bend = float(-np.diff(log_f(near), 2)[0] / 1e-6) if inside.all() else 1.0
    width = 1 / math.sqrt(bend) if bend > 1 else 1.0
    step = 0.05 if MU[mu][0] in ("normal", "flat") else 0.2
    outward = np.concatenate([np.geomspace(0.5, 40, 60), np.geomspace(41, 20500, 120)])
    edges = np.concatenate(
        [
            np.arange(-30, 20, step),
            outward,
            -outward,
            mode + width * np.linspace(-45, 45, 361),
            [mode, low, high],
        ]
    )
    edges = np.unique(edges[(edges >= low) & (edges <= high)])
    x, g = rule(edges, n)
    log_l, e1, var, p1 = model.at(x)
    height = prior(x) + log_l
    top = height.max()
    e = g * np.exp(height - top)
    total = e.sum()
    t = np.exp(np.where(x > -60, x, -60))

    def mean(values: Array) -> R:
        return (e * values).sum() / total

    y0, v0 = model.y[0], model.v[0]
    share = t**2 / (t**2 + v0)
    mu1 = mean(e1)
    th = share * y0 + (1 - share) * e1
    th1 = mean(th)
    t1 = mean(t)
    with np.errstate(over="ignore"):
        return {
            "log_marginal": np.log(total) + top,
            "mu_mean": mu1,
            "mu_sd": np.sqrt(mean(var + (e1 - mu1) ** 2)),
            "mu_below_first": mean(p1),
            "new_sd": np.sqrt(mean(var + t**2 + (e1 - mu1) ** 2)),
            "theta_mean": th1,
            "theta_sd": np.sqrt(mean((th - th1) ** 2 + (1 - share) ** 2 * var + v0 * share)),
            "tau_mean": t1,
            "tau_sd": np.sqrt(mean((t - t1) ** 2)),
            "tau_cut": np.exp(R(mode)),
            "tau_below_cut": np.where(x < R(mode), e, 0).sum() / total,
        }


def exists(name: str, k: int, mu: tuple[str, tuple[float, ...]], tau: tuple[str, tuple[float, ...]]) -> bool:
    """Whether a moment exists with room to spare, by the power with which the posterior's density falls."""
    powers = {"halft": (tau[1] or (0,))[0] + 1, "invgamma": 2.71, "lomax": 2, "logt2": 1, "jeffreys": 1}
    powers |= {"dumouchel": 2, "shrinkage": 3, "flat": 0}
    power = powers.get(tau[0], math.inf)
    fall = {"flat": 0.0, "t": mu[1][0] + 1.0 if mu[1] else 0.0}.get(mu[0], math.inf)
    tau_tail = power + k - (mu[0] == "flat")
    mean_tail = fall + power + k - 1
    tail = {
        "mu_mean": mean_tail - 1,
        "mu_sd": mean_tail - 2,
        "tau_mean": tau_tail - 1,
        "tau_sd": tau_tail - 2,
    }
    tail["new_sd"] = min(mean_tail, tau_tail) - 2
    return tail.get(name, math.inf) > 1.2


def proper(k: int, mu: str, tau: str) -> bool:
    n = k - (mu == "Flat()")
    return not ((tau == "Flat()" and n < 2) or (tau == "Jeffreys()" and n < 1))


def by_mpmath(data: str, mu: str, tau: str) -> dict[str, str]:
    """The log marginal likelihood and the mean of tau once more, by mpmath's tanh-sinh rule."""
    mp.mp.dps = 20
    y, se = DATA[data]
    y, v = [mp.mpf(repr(a)) for a in y], [mp.mpf(repr(a)) ** 2 for a in se]
    loc, s2 = (mp.mpf(repr(a)) for a in MU[mu][1])
    s2 = s2**2
    prior = log_prior(*TAU[tau], np.array([R(repr(a)) for a in DATA[data][1]]) ** 2)

    def f(x: mp.mpf, order: int) -> mp.mpf:
        t2 = mp.exp(2 * x)
        w = [1 / (a + t2) for a in v]
        big = mp.fsum(w)
        m = mp.fsum(a * b for a, b in zip(w, y, strict=True)) / big
        q = mp.fsum(a * (b - m) ** 2 for a, b in zip(w, y, strict=True))
        log_l = mp.fsum(mp.log(a / 2 / mp.pi) for a in w) / 2 - q / 2
        log_l -= mp.log(1 + big * s2) / 2 + (m - loc) ** 2 * big / (1 + big * s2) / 2
        density = mp.mpf(str(prior(np.array([R(mp.nstr(x, 22))]))[0]))
        return mp.exp(log_l + density + order * x)

    low, high = (mp.mpf(repr(e)) for e in reach(*TAU[tau]))
    if TAU[tau][0] in ("uniform", "cut halfnormal"):
        low, high = (mp.log(mp.mpf(repr(e))) if e else low for e in TAU[tau][1][-2:])
    ends = [-2000, -200, -60, -20, -8, -5, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 5, 9, 20, 60]
    ends = [low, *(e for e in ends if low < e < high), min(high, mp.mpf(100))]
    total, first = (mp.quad(lambda x, r=r: f(x, r), ends, maxdegree=7) for r in (0, 1))
    return {"log_marginal": mp.nstr(mp.log(total), 17), "tau_mean": mp.nstr(first / total, 17)}


def main() -> None:
    cases = []
    for data, mu, tau in CASES:
        k = len(DATA[data][0])
        if not proper(k, mu, tau):
            continue
        one, two = posterior(data, mu, tau, 16), posterior(data, mu, tau, 12)
        values, worst = {}, R(0)
        for name, value in one.items():
            skip = name == "log_marginal" and (mu in IMPROPER or tau in IMPROPER)
            if not skip and exists(name, k, MU[mu], TAU[tau]):
                values[name] = float(value)
                worst = max(worst, abs(value - two[name]) / abs(value))
        case = {"data": data, "mu": mu, "tau": tau, "agreement": float(f"{worst:.1e}"), **values}
        if (
            data == "two studies"
            and mu == "Normal(0, 4)"
            and tau not in ("LogNormal(-2, 0.001)", "HalfNormal(1e-06)")
        ):
            case["mpmath"] = by_mpmath(data, mu, tau)
        cases.append(case)
        print(data, mu, tau, f"{worst:.1e}", case.get("mpmath", ""), values.get("log_marginal"), flush=True)
    out = {
        "made_by": "tests/reference/bayes_quadrature.py",
        "numpy": np.__version__,
        "mpmath": mp.__version__,
        "epsilon": float(np.finfo(R).eps),
        "data": {name: {"yi": y, "sei": se} for name, (y, se) in DATA.items()},
        "cases": cases,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
