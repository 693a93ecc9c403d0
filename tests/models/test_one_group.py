"""Models of one group's counts against metafor's rma.glmm and R's integrate (make_one_group.R)."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, special

from mtmeta.errors import EffectError, ModelError, UsageError
from mtmeta.models import counts_likelihood as lik
from mtmeta.models.one_group import GroupCounts, OneGroupModel

REFERENCE = json.loads((Path(__file__).resolve().parents[1] / "reference" / "one_group.json").read_text())
SETS = {d["id"]: d for d in REFERENCE["data"]}
PEOPLE = ("pritz1997", "debruin2009", "hannum2020", "common", "rare", "small", "same")
TIME = ("nielweise2008", "hart1999", "dense", "seldom")


def _counts(name: str) -> GroupCounts:
    d = SETS[name]
    return GroupCounts.of(d["x"], n=d["n"]) if "n" in d else GroupCounts.of(d["x"], t=d["t"])


def test_the_grid_is_complete() -> None:
    assert {(r["id"], r["method"]) for r in REFERENCE["fits"]} == set(
        itertools.product((*PEOPLE, *TIME), ("EE", "ML"))
    )
    assert all(("n" in SETS[name]) == (name in PEOPLE) for name in SETS)


@pytest.mark.parametrize("row", REFERENCE["fits"], ids=lambda r: f"{r['id']}-{r['method']}")
def test_metafor(row: dict[str, Any]) -> None:
    fit = OneGroupModel(random=row["method"] == "ML").fit(_counts(row["id"]))
    assert fit.measure.code == ("PLO" if row["id"] in PEOPLE else "IRLN")
    # R's own integral at metafor's parameters, and ours there
    theirs = lik.integrate(fit.likelihood, row["est"], math.sqrt(row["tau2"]), None)
    assert_allclose(theirs.value, row["loglik"], rtol=1e-10)
    # lme4 stops early: no likelihood of ours is lower
    assert -1e-13 * abs(fit.loglik) - 1e-11 <= fit.loglik - row["loglik"] < 1e-5
    assert_allclose(fit.estimate, row["est"], atol=2e-3 * fit.se)
    assert_allclose(fit.tau2, row["tau2"], rtol=2e-3, atol=1e-8)
    assert_allclose(fit.se, row["se"], rtol=1e-3)
    assert_allclose(fit.ci(), row["ci"], atol=3e-3 * fit.se)


def _by_quadrature(g: Callable[[float], float], theta: float, tau: float) -> float:
    z = np.linspace(-12.0, 12.0, 4001)
    heights = np.array([g(theta + tau * x) - 0.5 * x * x for x in z])
    top = heights.max()
    parts = [
        integrate.quad(lambda x: math.exp(g(theta + tau * x) - 0.5 * x * x - top), a, a + 0.5, epsrel=1e-13)[
            0
        ]
        for a in np.arange(-13.0, 13.0, 0.5)
    ]
    return float(top + math.log(sum(parts)) - 0.5 * math.log(2.0 * math.pi))


@pytest.mark.parametrize("tau", [0.3, 1.0, 3.0, 9.0])
@pytest.mark.parametrize(("x", "n"), [(0, 20), (0, 400), (3, 25), (30, 60), (12, 12)])
def test_integrals_of_proportions(tau: float, x: int, n: int) -> None:
    """A count of 0 or n leaves one side of the integrand flat, which a large tau makes wide."""

    def g(u: float) -> float:
        return math.log(math.comb(n, x)) + x * u - n * float(np.logaddexp(0.0, u))

    one = lik.Binomial(np.array([float(x)]), np.array([float(n)]), np.zeros(1))
    assert_allclose(
        lik.integrate(one, -2.0, tau, None).value, _by_quadrature(g, -2.0, tau), atol=2e-12, rtol=1e-12
    )


@pytest.mark.parametrize("tau", [0.3, 1.0, 3.0, 9.0])
@pytest.mark.parametrize(("x", "t"), [(0, 50.0), (4, 200.0), (90, 400.0)])
def test_integrals_of_rates(tau: float, x: int, t: float) -> None:
    def g(u: float) -> float:
        return x * (u + math.log(t)) - t * math.exp(min(u, 600.0)) - float(special.gammaln(x + 1))

    one = lik.Poisson(np.array([float(x)]), np.array([t]))
    at = lik.integrate(one, -2.0, tau, None)
    assert_allclose(at.value, _by_quadrature(g, -2.0, tau), atol=1e-11, rtol=1e-11)
    h = 1e-4
    for i, d in enumerate(((h, 0.0), (0.0, h))):
        up, down = (lik.integrate(one, -2.0 + s * d[0], tau + s * d[1], None) for s in (1, -1))
        assert_allclose(at.gradient[0, i], (up.value - down.value) / (2 * h), rtol=1e-6, atol=1e-7)


def _hard_counts(rng: np.random.Generator, people: bool) -> GroupCounts:
    """Two to thirty studies of one to 100,000, rare or common events, up to a hundredfold heterogeneity."""
    k = int(rng.choice([2, 3, 5, 12, 30]))
    u = rng.normal(
        rng.normal(rng.choice([-7.0, -4.0, -2.0, 0.0, 3.0]), 0.5), rng.choice([0.0, 0.3, 1.0, 3.0]), k
    )
    if people:
        n = rng.integers(1, 10 ** int(rng.integers(1, 6)), k, endpoint=True)
        return GroupCounts.of(rng.binomial(n, special.expit(u)), n=n)
    t = 10.0 ** rng.uniform(0.0, 5.0, k)
    return GroupCounts.of(rng.poisson(np.minimum(t * np.exp(u), 1e8)), t=t)


def _check_hard(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    fitted, refused = 0, []
    for i in range(count):
        counts = _hard_counts(rng, people=bool(i % 2))
        try:
            fit = OneGroupModel().fit(counts)
        except ModelError as error:
            if counts.x.any() and (counts.n is None or bool((counts.x < counts.n).any())):
                refused.append(str(error))
            continue
        fitted += 1
        assert all(math.isfinite(x) for x in (fit.estimate, fit.se, fit.tau2, fit.loglik, fit.pvalue))
        for tau in (0.0, 0.03, 0.3, 1.0, 3.0):  # no point of the profile is higher
            other = lik.at_tau(fit.likelihood, tau, fit.best).at.value
            assert other <= fit.loglik + 1e-9 * max(1.0, abs(fit.loglik)), (i, tau)
        slope = float(fit.best.at.gradient[:, 0].sum())
        assert abs(slope) < 1e-6 * max(1.0, float(-fit.best.at.hessian[:, 0, 0].sum()))
    assert fitted > 0.85 * count
    assert all("no finite estimate" in why for why in refused), refused


def test_hard_counts() -> None:
    _check_hard(3, 40)


@pytest.mark.slow
def test_many_hard_counts() -> None:
    _check_hard(4, 1000)


def test_zeros_are_ordinary_data() -> None:
    fit = OneGroupModel().fit(GroupCounts.of([0, 3, 5, 2, 9, 1], n=[20, 25, 31, 40, 38, 12]))
    assert fit.informative == fit.k == 6
    low, high = fit.tau2_ci()
    assert 0.0 <= low <= fit.tau2 < high < math.inf
    assert fit.pi().low < fit.ci().low
    for end in (0.02, fit.tau2 + 0.1):
        assert lik.at_tau(fit.likelihood, math.sqrt(end)).at.value <= fit.loglik


def test_complement_turns_the_sign() -> None:
    x, n = np.array([0, 3, 5, 2, 9, 1]), np.array([20, 25, 31, 40, 38, 12])
    one, two = (OneGroupModel().fit(GroupCounts.of(a, n=n)) for a in (x, n - x))
    assert_allclose([one.estimate, one.tau2], [-two.estimate, two.tau2], rtol=1e-8)


def test_what_cannot_be_estimated_is_said() -> None:
    with pytest.raises(ModelError, match="no study has an event"):
        OneGroupModel().fit(GroupCounts.of([0, 0], n=[10, 20]))
    with pytest.raises(ModelError, match="everybody has the event"):
        OneGroupModel().fit(GroupCounts.of([10, 20], n=[10, 20]))
    with pytest.raises(ModelError, match="use random=False"):
        OneGroupModel().fit(GroupCounts.of([3], t=[10]))
    with pytest.raises(ModelError, match="no finite estimate"):
        OneGroupModel().fit(GroupCounts.of([0, 50], n=[50, 50]))
    with pytest.raises(UsageError, match="one of them"):
        GroupCounts.of([1, 2])
    with pytest.raises(UsageError, match="one of them"):
        GroupCounts.of([1, 2], n=[3, 4], t=[1, 1])
    with pytest.raises(EffectError, match=r"Lee 2001.*more events than people"):
        GroupCounts.of([1, 9], n=[3, 4], study=["Kim 1999", "Lee 2001"])
    with pytest.raises(EffectError, match="t = 0: person-time"):
        GroupCounts.of([1, 9], t=[3, 0])


def test_words() -> None:
    fit = OneGroupModel().fit(_counts("pritz1997"))
    assert "binomial likelihood" in fit.methods
    assert "log odds normal between studies" in fit.methods
    assert fit.to_frame()["model"].tolist() == ["OneGroupModel one group"]
    assert "Log odds" in fit._repr_html_()
    rate = OneGroupModel(random=False).fit(_counts("dense"))
    assert repr(rate).startswith("OneGroupModel: log rate -0.833")
    assert "Poisson likelihood" in rate.methods
    assert "one log rate common to all studies" in rate.methods
    assert repr(_counts("dense")).startswith("GroupCounts(k=9")
