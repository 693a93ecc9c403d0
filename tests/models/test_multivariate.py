"""Multivariate models against metafor 3.8-1, clubSandwich 0.5.8 (make_multivariate.R), Berkey (1998)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.dependent import Multilevel
from mtmeta.models.multivariate import Multivariate, MultivariateResult
from mtmeta.models.pool import RandomEffects
from mtmeta.models.profile_structures import Component, _held, _highest, _starts, components
from mtmeta.models.robust import robust
from mtmeta.models.structures import _covariance, evaluate

pytestmark = pytest.mark.filterwarnings("ignore:.*Satterthwaite degrees of freedom")
Load = Callable[[str], Any]
Printed = Callable[[float, str], None]
SETS = {"two": 2, "twogaps": 2, "three": 3, "four": 4, "weak": 2}
FORMULAS = {"~ 0 + outcome": None, "~ 0 + outcome + x": "0 + C(outcome) + x"}


def _cells() -> set[tuple[str, str, str, str]]:
    cells = set(itertools.product(SETS, ("UN", "CS", "AR", "DIAG", "ID"), ("REML", "ML"), FORMULAS))
    left_out = {("AR", 2), ("UN", 4)}
    return {c for c in cells if (c[1], SETS[c[0]]) not in left_out}


def _table(reference: Any, name: str) -> tuple[EffectSizes, float]:
    d = next(d for d in reference["data"] if d["id"] == name)
    es = EffectSizes.of(
        d["yi"],
        d["vi"],
        cluster=[f"{c:03g}" for c in d["study"]],
        moderators={"outcome": d["outcome"], "x": d["x"]},
    )
    return es, d["known"]


def test_the_grid_is_complete(load: Load) -> None:
    reference = load("reference/multivariate.json.gz")
    have = [(r["id"], r["struct"], r["method"], r["formula"]) for r in reference["fits"]]
    assert set(have) == _cells()
    assert len(have) == len(_cells())
    assert all("cr2" in r for r in reference["fits"] if r["method"] == "REML")


def _between(row: dict[str, Any]) -> np.ndarray:
    return np.array([row["G"][f"V{i + 1}"] for i in range(SETS[row["id"]])]).T


def _possible(row: dict[str, Any]) -> bool:
    """Whether metafor's G is a covariance at all: its correlations are bounded one by one only."""
    return bool(np.linalg.eigvalsh(_between(row))[0] >= -1e-9)


def test_metafor_s_impossible_covariances(load: Load) -> None:
    found = [
        (r["id"], r["struct"], r["method"])
        for r in load("reference/multivariate.json.gz")["fits"]
        if not _possible(r)
    ]
    assert found == [("three", "UN", "ML")] * 2


@pytest.mark.parametrize("name", SETS)
def test_metafor(load: Load, name: str) -> None:
    reference = load("reference/multivariate.json.gz")
    es, rho = _table(reference, name)
    for row in (r for r in reference["fits"] if r["id"] == name):
        restricted = row["method"] == "REML"
        model = Multivariate(
            structure=row["struct"],
            formula=FORMULAS[row["formula"]],
            within_rho=rho,
            method=row["method"],
        )
        fit = model.fit(es)
        assert np.linalg.eigvalsh(fit.between)[0] >= -1e-12
        if not _possible(row):
            continue
        assert fit.loglik >= row["loglik"] - 1e-9, (row["struct"], row["method"])
        assert_allclose(fit.loglik, row["loglik"], atol=1e-5)
        assert_allclose(fit.q, row["qe"], rtol=1e-9)
        G = _between(row)
        assert_allclose(fit.between, G, atol=2e-3 * float(np.diag(G).max()) + 3e-5)
        assert_allclose(fit.coef, row["coef"], atol=1e-3 * max(row["se"]))
        # nothing of an optimiser is left at metafor's own G
        theirs = evaluate(fit.data, G / fit.unit**2, restricted)
        assert_allclose(theirs.beta * fit.unit, row["coef"], rtol=1e-7, atol=1e-9)
        assert_allclose(np.sqrt(np.diag(theirs.vcov)) * fit.unit, row["se"], rtol=1e-7)
        free = es.k - (len(row["coef"]) if restricted else 0)
        assert_allclose(theirs.value - free * math.log(fit.unit), row["loglik"], rtol=1e-9, atol=1e-8)
        if restricted:
            ours = robust(fit).coefficients
            assert_allclose(ours.se, row["cr2"]["se"], rtol=3e-3)
            assert_allclose(ours.df, row["cr2"]["df"], rtol=1e-2)


# Berkey et al. 1998 ----------------------------------------------------------------------------------------

_Y = [0.47, -0.32, 0.20, -0.60, 0.40, -0.12, 0.26, -0.31, 0.56, -0.39]
_V = [
    [0.0075, 0.0030, 0.0077],
    [0.0057, 0.0009, 0.0008],
    [0.0021, 0.0007, 0.0014],
    [0.0029, 0.0009, 0.0015],
    [0.0148, 0.0072, 0.0304],
]
_YEAR = [1983, 1982, 1979, 1987, 1988]


def berkey() -> tuple[EffectSizes, np.ndarray]:
    V = np.zeros((10, 10))
    for i, (a, b, c) in enumerate(_V):
        V[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[a, b], [b, c]]
    year = np.repeat(np.array(_YEAR) - 1983, 2)
    moderators = {"outcome": ["PD", "AL"] * 5, "year": year}
    return EffectSizes.of(_Y, np.diag(V), cluster=list("1122334455"), moderators=moderators), V


@pytest.mark.parametrize(
    ("method", "printed"),
    [
        ("ML", ["-0.3379", "0.3448", "0.0261", "0.0070", "0.6992"]),
        ("REML", ["-0.3392", "0.3534", "0.0327", "0.0117", "0.6088"]),
    ],
)
def test_berkey(as_printed: Printed, method: str, printed: list[str]) -> None:
    """Berkey et al. (1998), Stat Med 17, p. 2545."""
    es, V = berkey()
    fit = Multivariate(method=method).fit(es, covariance=V)
    values = [*fit.coef, *fit.tau2, float(fit.rho.loc["AL", "PD"])]
    for value, text in zip(values, printed, strict=True):
        as_printed(value, text)
    if method == "ML":
        as_printed(fit.loglik, "5.8407")
        for value, text in zip(fit.se, ("0.0798", "0.0495"), strict=True):
            as_printed(value, text)


def test_berkey_with_year(as_printed: Printed) -> None:
    es, V = berkey()
    fit = Multivariate(formula="0 + C(outcome) + C(outcome):year", method="ML").fit(es, covariance=V)
    printed = ("-0.3351", "0.3479", "-0.0108", "0.0010", "0.0250", "0.0080", "0.6587")
    for value, text in zip([*fit.coef, *fit.tau2, float(fit.rho.loc["AL", "PD"])], printed, strict=True):
        as_printed(value, text)


# second routes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", ["UN", "CS", "AR", "DIAG", "ID"])
@pytest.mark.parametrize("restricted", [True, False])
def test_the_gradient_is_that_of_a_dense_likelihood(load: Load, structure: str, restricted: bool) -> None:
    es, rho = _table(load("reference/multivariate.json.gz"), "three")
    fit = Multivariate(structure=structure, within_rho=rho, formula="0 + C(outcome) + x").fit(es)
    rng = np.random.default_rng(5)
    phi = rng.uniform(0.4, 1.2, fit.parameters)
    X, unit = fit.design.matrix, fit.unit
    place = fit.data.outcome
    same = np.array([[a == b for a in es.cluster] for b in es.cluster])
    V = np.where(same, rho * np.outer(es.sei, es.sei), 0.0) / unit**2
    np.fill_diagonal(V, es.vi / unit**2)

    def dense(phi: np.ndarray) -> float:
        G, _ = _covariance(structure, 3, phi)
        M = V + np.where(same, G[place[:, None], place[None, :]], 0.0)
        inverse = np.linalg.inv(M)
        A = X.T @ inverse @ X
        r = es.yi / unit - X @ np.linalg.solve(A, X.T @ inverse @ (es.yi / unit))
        value = -0.5 * (es.k * math.log(2 * math.pi) + np.linalg.slogdet(M)[1] + r @ inverse @ r)
        if restricted:
            gram = np.linalg.slogdet(X.T @ X)[1]
            value += 0.5 * (X.shape[1] * math.log(2 * math.pi) - np.linalg.slogdet(A)[1] + gram)
        return float(value)

    G, d = _covariance(structure, 3, phi)
    at = evaluate(fit.data, G, restricted)
    assert_allclose(at.value, dense(phi), rtol=1e-12)
    gradient = 0.5 * np.einsum("nab,ab->n", d, at.slope)
    h = 1e-5
    numeric = [(dense(phi + e) - dense(phi - e)) / (2 * h) for e in h * np.eye(len(phi))]
    assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6)


def test_compound_symmetry_of_one_mean_is_the_three_level_model(load: Load) -> None:
    """One row an outcome: CS has variance between + within and covariance between of the clusters."""
    es, _ = _table(load("reference/multivariate.json.gz"), "four")
    cs = Multivariate(structure="CS", formula="1").fit(es)
    three = Multilevel(robust=False).fit(es)
    assert_allclose(cs.tau2, three.tau2, rtol=1e-6)
    assert_allclose(cs.between.iloc[0, 1], three.sigma2_between, rtol=1e-5, atol=1e-8)
    assert_allclose([cs.coef.iloc[0], cs.se.iloc[0]], [three.estimate, three.se], rtol=1e-7)
    assert_allclose(cs.loglik, three.loglik, rtol=1e-9)


def test_scale_and_order(load: Load) -> None:
    es, V = berkey()
    fit = Multivariate().fit(es, covariance=V)
    turned = EffectSizes.of(
        100 * es.yi[::-1], 1e4 * es.vi[::-1], cluster=es.cluster[::-1], moderators=es.moderators[::-1]
    )
    other = Multivariate().fit(turned, covariance=1e4 * V[::-1, ::-1])
    assert_allclose(other.coef, 100 * fit.coef, rtol=1e-6)
    assert_allclose(other.between, 1e4 * fit.between, rtol=1e-5)
    assert_allclose(other.loglik, fit.loglik - 8 * math.log(100), rtol=1e-8)


# profile intervals of the covariance between studies ------------------------------------------------------

_PROFILE = "reference/multivariate_profile.json"


def _profiled() -> set[tuple[str, str, str, str, int]]:
    cells = set()
    for name, structure in itertools.product(SETS, ("UN", "CS", "AR", "DIAG", "ID")):
        if (structure == "AR" and SETS[name] == 2) or (structure == "UN" and SETS[name] > 2):
            continue
        for method in ("REML", "ML") if name == "two" else ("REML",):
            seen = {"tau2": 0, "rho": 0}
            for part in components(structure, SETS[name]):
                what = "tau2" if part.j is None else "rho"
                seen[what] += 1
                cells.add((name, structure, method, what, seen[what]))
    return cells


def test_the_grid_of_intervals_is_complete(load: Load) -> None:
    reference = load(_PROFILE)
    rows = [*reference["intervals"], *reference["why"]]
    assert {(r["id"], r["struct"], r["method"], r["what"], r["at"]) for r in rows} == _profiled()
    assert len(reference["why"]) <= 2, reference["why"]
    # where its optimiser stops on the way metafor gives no limit
    ends = [r[end] for r in reference["intervals"] for end in ("low", "high")]
    assert len(ends) == 98
    assert sum(end is None for end in ends) == 9


def _reached(fit: MultivariateResult, part: Component, value: float) -> float:
    """The likelihood with one number of G held, all else at its best."""
    structure = fit.model.structure
    covariance, size = _held(structure, fit.data.q, part, value)
    starts = _starts(structure, part, fit.scaled, size, [])
    return _highest(fit.data, covariance, starts, fit.model.method == "REML")[0]


@pytest.mark.parametrize("name", SETS)
def test_intervals_of_metafor(load: Load, name: str) -> None:
    """Ours are theirs, or wider because the likelihood at their end is higher than their optimiser found."""
    es, rho = _table(load("reference/multivariate.json.gz"), name)
    rows = [r for r in load(_PROFILE)["intervals"] if r["id"] == name]
    for structure, method in sorted({(r["struct"], r["method"]) for r in rows}):
        fit = Multivariate(structure=structure, method=method, within_rho=rho).fit(es)
        ours = fit.components_ci()
        parts = components(structure, SETS[name])
        cut = fit.at.value - 0.5 * 3.841458820694124 - 1e-8
        for row in (r for r in rows if (r["struct"], r["method"]) == (structure, method)):
            kind = [p for p in parts if (p.j is None) == (row["what"] == "tau2")]
            part = kind[int(row["at"]) - 1]
            low, high = ours.iloc[parts.index(part)][["low", "high"]]
            scale = 1.0 if part.j is not None else max(high, 1e-3)
            unit = 1.0 if part.j is not None else fit.unit**2
            for got, want, sign in ((low, row["low"], 1.0), (high, row["high"], -1.0)):
                if want is not None and abs(got - want) > 1e-4 * scale:
                    assert sign * (want - got) > 0.0, (row, got)
                    assert _reached(fit, part, want / unit) >= cut, (row, got)


@pytest.mark.parametrize(
    ("structure", "q"), [("UN", 3), ("CS", 3), ("AR", 4), ("DIAG", 3), ("UN", 2), ("CS", 2)]
)
def test_held_numbers_are_held(structure: str, q: int) -> None:
    rng = np.random.default_rng(8)
    for part in components(structure, q):
        value = 0.37
        covariance, size = _held(structure, q, part, value)
        phi = rng.uniform(0.3, 1.1, size)
        G, d = covariance(phi)
        sd = np.sqrt(np.diag(G))
        held = G[part.i, part.i] if part.j is None else G[part.i, part.j] / (sd[part.i] * sd[part.j])
        assert_allclose(held, value, rtol=1e-12)
        assert np.linalg.eigvalsh(G)[0] > -1e-12
        h = 1e-6
        for n, step in enumerate(h * np.eye(size)):
            numeric = (covariance(phi + step)[0] - covariance(phi - step)[0]) / (2.0 * h)
            assert_allclose(d[n], numeric, atol=1e-8)


def test_interval_of_one_outcome_is_that_of_the_pooled_model() -> None:
    es = EffectSizes.of(
        [0.1, 0.9, -0.4, 0.6, 1.4, 0.2],
        [0.1, 0.05, 0.2, 0.1, 0.15, 0.08],
        cluster=list("abcdef"),
        moderators={"outcome": ["x"] * 6},
    )
    low, high = RandomEffects(tau2="REML").fit(es).tau2_ci(method="PL")
    ours = Multivariate(structure="ID", formula="1").fit(es).components_ci()
    assert ours.index.tolist() == ["tau2"]
    assert_allclose(ours.loc["tau2", ["low", "high"]].to_numpy(), [low, high], rtol=1e-6, atol=1e-9)


def test_intervals_follow_the_names_of_the_outcomes() -> None:
    es, V = berkey()
    turned = EffectSizes.of(
        es.yi,
        es.vi,
        cluster=es.cluster,
        moderators={"outcome": ["a PD" if o == "PD" else "b AL" for o in es.moderators["outcome"]]},  # type: ignore[index]
    )
    one, two = (Multivariate().fit(e, covariance=V).components_ci(0.9) for e in (es, turned))
    assert one.index.tolist() == ["tau2 AL", "tau2 PD", "rho AL, PD"]
    assert_allclose(one.loc["tau2 AL"], two.loc["tau2 b AL"], rtol=1e-5, atol=1e-8)
    assert_allclose(one.loc["rho AL, PD"], two.loc["rho a PD, b AL"], rtol=1e-5)


def test_many_rows_need_no_square_of_them() -> None:
    """40,000 rows: a k x k matrix would have 12.8 GB."""
    rng = np.random.default_rng(1)
    m = 20_000
    vi = rng.uniform(0.05, 0.2, 2 * m)
    y = rng.normal(0.0, np.sqrt(vi)) + np.repeat(rng.normal(0.3, 0.2, m), 2)
    es = EffectSizes.of(y, vi, cluster=np.repeat(np.arange(m), 2), moderators={"outcome": ["a", "b"] * m})
    fit = Multivariate(structure="CS", within_rho=0.0).fit(es)
    assert fit.covariance is None
    assert fit.tau2.iloc[0] == pytest.approx(0.04, abs=0.003)
    assert fit.coef.to_numpy() == pytest.approx([0.3, 0.3], abs=0.01)
    assert robust(fit).coefficients.se[0] == pytest.approx(fit.se.iloc[0], rel=0.05)


# edges and words -------------------------------------------------------------------------------------------


def test_what_cannot_be_fitted_is_said() -> None:
    es, V = berkey()
    with pytest.raises(UsageError, match="no moderator 'endpoint'"):
        Multivariate(outcome="endpoint").fit(es)
    with pytest.raises(UsageError, match="structure='XX' is not known"):
        Multivariate(structure="XX")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"need \(10, 10\)"):
        Multivariate().fit(es, covariance=V[:5, :5])
    far = V.copy()
    far[0, 9] = far[9, 0] = 0.001
    with pytest.raises(ModelError, match="different clusters"):
        Multivariate().fit(es, covariance=far)
    with pytest.raises(ModelError, match="diagonal must be vi"):
        Multivariate().fit(es, covariance=2 * V)
    wrong = V.copy()
    wrong[0, 1] = wrong[1, 0] = 0.05
    with pytest.raises(ModelError, match="contradict each other"):
        Multivariate().fit(es, covariance=wrong)
    apart = EffectSizes.of(_Y, np.diag(V), cluster=list("abcdefghij"), moderators=es.moderators)
    with pytest.raises(ModelError, match="fewer than two studies report both 'AL' and 'PD'"):
        Multivariate().fit(apart)
    lone = EffectSizes.of(
        _Y, np.diag(V), cluster=es.cluster, moderators={"outcome": ["PD", "AL"] * 4 + ["PD", "QL"]}
    )
    with pytest.raises(ModelError, match="'QL' is reported by one study"):
        Multivariate().fit(lone)


def test_words() -> None:
    es, V = berkey()
    fit = Multivariate().fit(es, covariance=V)
    assert repr(fit).startswith("MultivariateResult(UN, REML: k=10 in 5 studies, 2 coefficients")
    assert "Berkey et al. 1998" in fit.methods
    assert "<table" in fit._repr_html_()
    assert fit.omnibus.df1 == 2
    assert fit.predict({"outcome": ["AL", "PD"]})["estimate"].tolist() == pytest.approx(fit.coef.tolist())
    names = list(fit.coef.index)
    gap = fit.difference(names[1], names[0])
    assert gap["estimate"].iloc[0] == pytest.approx(fit.coef.iloc[1] - fit.coef.iloc[0])
    assert list(fit.ci().columns) == ["low", "high"]
    assert fit.aic == pytest.approx(-2 * fit.loglik + 10)
