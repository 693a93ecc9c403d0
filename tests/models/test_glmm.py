"""Models of counts against metafor's rma.glmm and R's mantelhaen.test (make_glmm.R), and quadrature."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, special

from mtmeta.errors import EffectError, ModelError, UsageError
from mtmeta.models import counts_likelihood as lik
from mtmeta.models.events import EventCounts
from mtmeta.models.exact import ExactOddsRatio
from mtmeta.models.glmm import CountsModel, RateCounts

Load = Callable[[str], Any]
COUNTS = ("bcg", "nielweise2007", "common", "rare", "rare2", "spread", "none", "few")
RATES = ("nielweise2008", "many", "dense")


def _counts(load: Load, name: str) -> EventCounts | RateCounts:
    reference = load("reference/glmm.json.gz")
    for d in reference["counts"]:
        if d["id"] == name:
            return EventCounts.of(d["a"], d["n1"], d["c"], d["n2"])
    d = next(d for d in reference["rates"] if d["id"] == name)
    return RateCounts.of(d["x1"], d["t1"], d["x2"], d["t2"])


def _rows(load: Load, name: str, method: str) -> list[dict[str, Any]]:
    fits = load("reference/glmm.json.gz")["fits"]
    return [row for row in fits if row["id"] == name and row["method"] == method]


def test_the_grid_is_complete(load: Load) -> None:
    reference = load("reference/glmm.json.gz")
    cells = {(r["id"], r["model"], r["method"]) for r in [*reference["fits"], *reference["why"]]}
    wanted = set(itertools.product(COUNTS, ("CM.EL", "CM.AL", "UM.FS"), ("EE", "ML")))
    assert cells == wanted | set(itertools.product(RATES, ("CM.EL", "UM.FS"), ("EE", "ML")))
    assert len(reference["why"]) <= 6, reference["why"]
    assert {(r["id"], r["level"]) for r in reference["exact"]} == set(itertools.product(COUNTS, (0.95, 0.9)))


@pytest.mark.parametrize("name", [*COUNTS, *RATES])
def test_one_common_ratio(load: Load, name: str) -> None:
    """No integral is in the way: logistic and Poisson regression, and Fisher's noncentral distribution."""
    counts = _counts(load, name)
    rows = _rows(load, name, "EE")
    assert rows
    for row in rows:
        fit = CountsModel(row["model"], random=False).fit(counts)
        assert fit.tau2 == 0.0
        assert_allclose(fit.loglik, row["loglik"], rtol=1e-9)
        assert_allclose(fit.estimate, row["est"], atol=3e-6)
        assert_allclose(fit.se, row["se"], rtol=2e-5)


@pytest.mark.parametrize("name", [*COUNTS, *RATES])
def test_random_effects(load: Load, name: str) -> None:
    counts = _counts(load, name)
    rows = _rows(load, name, "ML")
    assert rows
    for row in rows:
        fit = CountsModel(row["model"]).fit(counts)
        # theirs stops early: ours lies no lower at its own parameters than at theirs
        theirs = lik.at_tau(fit.likelihood, math.sqrt(row["tau2"]), fit.best)
        assert -1e-11 <= fit.loglik - theirs.at.value < 1e-4
        exact = row["model"] == "CM.EL" and row["measure"] == "OR"
        if exact:  # glmer leaves constants out where it integrates with many nodes
            assert_allclose(theirs.at.value, row["loglik"], rtol=1e-7)
        assert_allclose(theirs.theta, row["est"], atol=2e-3 * fit.se)
        assert_allclose(fit.estimate, row["est"], atol=2e-3 * fit.se)
        assert_allclose(fit.tau2, row["tau2"], rtol=2e-3, atol=1e-4)
        if row["tau2"] > 1e-3:
            assert_allclose(fit.se, row["se"], rtol=1e-3)
            if row["se_tau2"] is not None:
                assert_allclose(fit.tau2_se, row["se_tau2"], rtol=2e-3)


@pytest.mark.parametrize("name", COUNTS)
def test_exact_odds_ratios(load: Load, name: str) -> None:
    counts = _counts(load, name)
    assert isinstance(counts, EventCounts)
    fit = ExactOddsRatio().fit(counts)
    for row in (r for r in load("reference/glmm.json.gz")["exact"] if r["id"] == name):
        # R's roots are those of uniroot, good to 1.2e-4 of its own scale
        assert_allclose(fit.odds_ratio, row["est"], rtol=3e-4)
        assert_allclose(np.exp(fit.ci(row["level"])), row["ci"], rtol=3e-4)
        assert_allclose(fit.pvalue, row["p"], rtol=1e-8)


# second routes ---------------------------------------------------------------------------------------------


def _log_integral(g: Callable[[float], float], theta: float, tau: float) -> float:
    """Log of the mean of exp g over the normal, by adaptive quadrature around the highest point."""
    z = np.linspace(-12.0, 12.0, 4001)
    heights = np.array([g(theta + tau * x) - 0.5 * x * x for x in z])
    top, at = heights.max(), z[heights.argmax()]

    def f(x: float) -> float:
        return math.exp(g(theta + tau * x) - 0.5 * x * x - top)

    parts = [
        integrate.quad(f, low, high, epsabs=1e-14, epsrel=1e-13, limit=500)[0]
        for low, high in ((at - 14.0, at - 1.0), (at - 1.0, at), (at, at + 1.0), (at + 1.0, at + 14.0))
    ]
    return top + math.log(sum(parts)) - 0.5 * math.log(2.0 * math.pi)


@pytest.mark.parametrize("tau", [0.1, 0.7, 3.0])
@pytest.mark.parametrize(("a", "n1", "c", "n2"), [(3, 20, 7, 25), (0, 15, 4, 30), (9, 9, 2, 12)])
def test_integrals(tau: float, a: int, n1: int, c: int, n2: int) -> None:
    theta, base = -0.4, -0.8
    counts = [np.array([float(x)]) for x in (a, n1, c, n2)]
    m = a + c
    tables = [(s, math.comb(n1, s) * math.comb(n2, m - s)) for s in range(max(0, m - n2), min(m, n1) + 1)]

    def exact(u: float) -> float:
        logs = np.array([math.log(ways) + s * u for s, ways in tables])
        own = math.log(math.comb(n1, a) * math.comb(n2, c)) + a * u
        return own - float(special.logsumexp(logs))

    def binomials(u: float) -> float:
        total = 0.0
        for x, n, eta in ((a, n1, base + u / 2), (c, n2, base - u / 2)):
            total += math.log(math.comb(n, x)) + x * eta - n * math.log1p(math.exp(eta))
        return total

    for likelihood, baseline, g in (
        (lik.Hypergeometric.of(*counts), None, exact),
        (lik.TwoBinomials(*counts), np.array([base]), binomials),
    ):
        at = lik.integrate(likelihood, theta, tau, baseline)
        assert_allclose(at.value, _log_integral(g, theta, tau), rtol=1e-11, atol=1e-11)
        # derivatives by central differences of the same integral
        h = 1e-4
        for i, d in enumerate(((h, 0.0), (0.0, h))):
            up, down = (
                lik.integrate(likelihood, theta + s * d[0], tau + s * d[1], baseline) for s in (1, -1)
            )
            assert_allclose(at.gradient[0, i], (up.value - down.value) / (2 * h), rtol=1e-6, atol=1e-7)
            assert_allclose(
                at.hessian[0, i, :2], (up.gradient - down.gradient)[0, :2] / (2 * h), rtol=1e-5, atol=1e-6
            )


def test_the_maximum_is_one(load: Load) -> None:
    for name, kind in itertools.product(("common", "rare2", "spread"), ("CM.EL", "UM.FS")):
        fit = CountsModel(kind).fit(_counts(load, name))
        for step, shift in itertools.product((-0.02, 0.0, 0.02), (-0.02, 0.02)):
            tau = max(fit.tau + shift, 0.0)
            other = lik.at_tau(fit.likelihood, tau, fit.best)
            moved = lik.integrate(fit.likelihood, other.theta + step, tau, other.baseline)
            assert moved.value <= fit.loglik + 1e-12
        assert abs(fit.best.at.gradient[:, 0].sum()) < 1e-8
        assert abs(fit.best.pull) * fit.tau < 1e-7


def test_the_interval_of_tau2_solves_its_equation(load: Load) -> None:
    fit = CountsModel("CM.AL").fit(_counts(load, "bcg"))
    low, high = fit.tau2_ci(0.9)
    drop = 0.5 * special.chdtri(1, 0.1)
    assert 0.0 < low < fit.tau2 < high
    for end in (low, high):
        value = lik.at_tau(fit.likelihood, math.sqrt(end)).at.value
        assert_allclose(fit.loglik - value, drop, rtol=1e-7)


def test_rates_given_their_total_are_the_poisson_model_without_heterogeneity(load: Load) -> None:
    """With tau 0 the conditional binomial and the Poisson with free baselines have the same maximum."""
    for name in RATES:
        one, two = (CountsModel(k, random=False).fit(_counts(load, name)) for k in ("CM.EL", "UM.FS"))
        assert_allclose([one.estimate, one.se], [two.estimate, two.se], rtol=1e-9)


def test_turning_the_groups_turns_the_sign(load: Load) -> None:
    e = _counts(load, "rare")
    assert isinstance(e, EventCounts)
    turned = EventCounts.of(e.c, e.n2, e.a, e.n1)
    for kind in ("CM.EL", "CM.AL", "UM.FS"):
        one, two = CountsModel(kind).fit(e), CountsModel(kind).fit(turned)
        assert_allclose([one.estimate, one.tau2], [-two.estimate, two.tau2], rtol=1e-8, atol=1e-10)
    assert_allclose(ExactOddsRatio().fit(e).estimate, -ExactOddsRatio().fit(turned).estimate, rtol=1e-10)


# edges and words -------------------------------------------------------------------------------------------


def test_what_cannot_be_estimated_is_said() -> None:
    none = EventCounts.of([0, 0], [10, 20], [3, 2], [10, 20])
    with pytest.raises(ModelError, match="treatment group, which has no events"):
        CountsModel().fit(none)
    with pytest.raises(ModelError, match="nothing can be estimated"):
        CountsModel().fit(EventCounts.of([0], [10], [0], [10]))
    with pytest.raises(ModelError, match="at least 2 studies"):
        CountsModel().fit(EventCounts.of([1, 0], [10, 10], [2, 0], [10, 10]))
    with pytest.raises(ModelError, match="no finite estimate"):
        CountsModel("CM.AL").fit(EventCounts.of([0, 60], [100, 100], [60, 0], [100, 100]))
    with pytest.raises(EffectError, match="whole numbers"):
        CountsModel().fit(EventCounts.of([1.5, 2], [10, 10], [2, 1], [10, 10]))
    with pytest.raises(UsageError, match=r"for rates kind='CM\.EL' is exact"):
        CountsModel("CM.AL").fit(RateCounts.of([1, 2], [10, 10], [2, 1], [10, 10]))
    with pytest.raises(UsageError, match=r"kind='UM\.XX' is not known"):
        CountsModel("UM.XX")  # type: ignore[arg-type]
    with pytest.raises(EffectError, match="t1"):
        RateCounts.of([1, 2], [10, 0], [2, 1], [10, 10])


def test_exact_at_the_ends() -> None:
    fit = ExactOddsRatio().fit(EventCounts.of([0, 0], [10, 20], [3, 2], [10, 20]))
    assert fit.estimate == -math.inf
    assert fit.ci().low == -math.inf

    def totals(theta: float) -> np.ndarray:
        p = np.ones(1)
        for n, m in ((10, 3), (20, 2)):
            ways = [math.comb(n, s) * math.comb(n, m - s) * math.exp(s * theta) for s in range(m + 1)]
            p = np.convolve(p, np.array(ways) / sum(ways))
        return p

    # at the upper limit the observed total, the smallest there is, has probability 0.025
    assert_allclose(totals(fit.ci().high)[0], 0.025, rtol=1e-9)
    at_one = totals(0.0)
    assert_allclose(fit.pvalue, at_one[at_one <= at_one[0] * (1 + 1e-7)].sum(), rtol=1e-10)


def test_words(load: Load) -> None:
    fit = CountsModel("CM.EL").fit(
        EventCounts.of([0, 2, 0, 3], [20, 30, 5, 40], [4, 5, 0, 9], [16, 30, 5, 40])
    )
    assert "1 of 4 studies say nothing" in fit.methods
    assert "van Houwelingen" in fit.methods
    assert fit.to_frame().shape == (1, 13)
    assert "<table" in fit._repr_html_()
    assert repr(fit).startswith("CountsModel (CM.EL): log OR")
    fixed = CountsModel("UM.FS", random=False).fit(_counts(load, "few"))
    with pytest.raises(ModelError, match="nothing of a new study"):
        fixed.pi()
    with pytest.raises(ModelError, match="no interval of tau2"):
        fixed.tau2_ci()
    low, high = fit.pi()
    assert low < fit.ci().low < fit.ci().high < high or fit.tau2 == 0.0
    assert "Mehta" in ExactOddsRatio().fit(fit.counts).methods  # type: ignore[arg-type]


# hard inputs -----------------------------------------------------------------------------------------------


def _hard_counts(rng: np.random.Generator) -> EventCounts:
    """Few or many trials, rare or ordinary events, no heterogeneity or a great deal."""
    k = int(rng.choice([2, 3, 5, 12]))
    n1, n2 = (rng.integers(5, 10 ** int(rng.integers(1, 3)) + 6, k) for _ in range(2))
    base = rng.normal(rng.choice([-5.0, -3.0, -1.0, 0.5]), 0.7, k)
    effect = rng.normal(rng.choice([-2.0, 0.0, 0.7]), rng.choice([0.0, 0.3, 2.0]), k)
    a, c = (rng.binomial(n, special.expit(x)) for n, x in ((n1, base + effect), (n2, base)))
    return EventCounts.of(a, n1, c, n2)


def _check_hard(rng: np.random.Generator, count: int) -> dict[str, int]:
    seen = {"fitted": 0, "refused": 0}
    for _ in range(count):
        events = _hard_counts(rng)
        for kind in ("CM.EL", "CM.AL", "UM.FS"):
            try:
                fit = CountsModel(kind).fit(events)
            except ModelError:
                seen["refused"] += 1
                continue
            seen["fitted"] += 1
            assert all(math.isfinite(x) for x in (fit.estimate, fit.se, fit.tau2, fit.loglik, fit.pvalue))
            scale = max(1.0, abs(fit.loglik))
            for tau in (0.0, 0.03, 0.3, 1.0, 3.0):  # no point of the profile is higher
                assert lik.at_tau(fit.likelihood, tau, fit.best).at.value <= fit.loglik + 1e-9 * scale
            assert abs(fit.best.at.gradient[:, 0].sum()) < 1e-6
            assert fit.best.pull <= 1e-7 if fit.tau == 0.0 else abs(fit.best.pull * fit.tau) < 1e-6
    return seen


def test_hard_counts() -> None:
    seen = _check_hard(np.random.default_rng(29), 20)
    assert seen["fitted"] > 20
    assert seen["refused"] > 0


@pytest.mark.slow
def test_many_hard_counts() -> None:
    seen = _check_hard(np.random.default_rng(31), 200)
    assert seen["fitted"] > 280
