"""Meta-regression: published numbers, refusals, properties."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from numpy.testing import assert_allclose

from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.compare import average_models, compare_models, likelihood_ratio
from mtmeta.models.pool import RandomEffects
from mtmeta.models.regression import MetaRegression
from mtmeta.models.subgroups import subgroups

Printed = Callable[[float, str], None]

# BCG vaccine trials: tuberculosis cases of vaccinated (a, b) and control (c, d), Viechtbauer 2010, p. 12
_BCG = np.array(
    [
        [4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619],
        [33, 5036, 47, 5761], [180, 1361, 372, 1079], [8, 2537, 10, 619], [505, 87886, 499, 87892],
        [29, 7470, 45, 7232], [17, 1699, 65, 1600], [186, 50448, 141, 27197], [5, 2493, 3, 2338],
        [27, 16886, 29, 17825],
    ],
    dtype=float,
)  # fmt: skip
_ABLAT = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]
_YEAR = [1948, 1949, 1960, 1977, 1973, 1953, 1973, 1980, 1968, 1961, 1974, 1969, 1976]
_ALLOC = ["random"] * 4 + ["alternate"] * 2 + ["random"] * 3 + ["systematic"] * 4


def bcg() -> EffectSizes:
    a, b, c, d = _BCG.T
    yi = np.log(a / (a + b)) - np.log(c / (c + d))
    vi = 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)
    moderators = {"ablat": _ABLAT, "year": _YEAR, "alloc": _ALLOC}
    return EffectSizes.of(yi, vi, "RR", study=[f"trial {i + 1}" for i in range(13)], moderators=moderators)


# published --------------------------------------------------------------------------------------------------


def test_bcg_latitude_and_year(as_printed: Printed) -> None:
    """Viechtbauer 2010, p. 16."""
    fit = MetaRegression("ablat + year", ci="Wald").fit(bcg())
    for value, printed in (
        (fit.tau2, "0.1108"),
        (fit.qe, "28.3251"),
        (fit.qm_pvalue, "0.0022"),
        (fit.coef["ablat"], "-0.0280"),
        (fit.se["ablat"], "0.0102"),
        (fit.coef["year"], "0.0019"),
        (fit.se["year"], "0.0147"),
    ):
        as_printed(value, printed)
    # the paper's Fisher scoring stopped at τ² = 0.11078735 (metafor's default threshold of 1e-5); iterated to
    # 1e-12 metafor 3.8-1 gives τ² = 0.11078470 and QM = 12.20448688
    stopped = MetaRegression("ablat + year", tau2=0.11078735, ci="Wald").fit(bcg())
    as_printed(stopped.qm, "12.2043")
    as_printed(fit.tau2, "0.11078470")
    as_printed(fit.qm, "12.20448688")
    assert fit.qm_df == (2, np.inf)
    assert fit.qe_df == 10


def test_bcg_predicted_risk_ratios(as_printed: Printed) -> None:
    """P. 17: at 10, 30 and 60 degrees in 1970."""
    fit = MetaRegression("ablat + year", ci="Wald").fit(bcg())
    frame = np.exp(fit.predict(pd.DataFrame({"ablat": [10, 30, 60], "year": 1970})))
    rows = [("0.9345", "0.5833", "1.4973"), ("0.5337", "0.4196", "0.6789"), ("0.2303", "0.1209", "0.4386")]
    for row, printed in zip(frame.itertuples(), rows, strict=True):
        for value, text in zip((row.estimate, row.ci_low, row.ci_high), printed, strict=True):
            as_printed(value, text)


def test_bcg_allocation(as_printed: Printed) -> None:
    """Pp. 19 and 20: three groups against random, and latitude beside them under knha."""
    fit = MetaRegression("C(alloc, base='random')", ci="Wald").fit(bcg())
    assert list(fit.coef.index) == ["Intercept", "alloc[alternate]", "alloc[systematic]"]
    for value, printed in (
        (fit.qm, "1.7675"),
        (fit.qm_pvalue, "0.4132"),
        (fit.coef["Intercept"], "-0.9658"),
        (fit.se["Intercept"], "0.2672"),
    ):
        as_printed(value, printed)
    both = MetaRegression("alloc + ablat", ci="HKSJ").fit(bcg())
    test = both.omnibus
    assert (test.kind, test.df1, test.df2) == ("F", 3, 9)
    for value, printed in (
        (both.tau2, "0.1446"),
        (both.qm, "3.4471"),
        (both.qm_pvalue, "0.0650"),
        (both.coef["ablat"], "-0.0273"),
        (both.se["ablat"], "0.0095"),
        (both.statistic["ablat"], "-2.8669"),
        (both.pvalue["ablat"], "0.0186"),
    ):
        as_printed(value, printed)


def test_bcg_likelihood_ratio(as_printed: Printed) -> None:
    """P. 34."""
    full, reduced = (MetaRegression(f, tau2="ML").fit(bcg()) for f in ("ablat", "1"))
    test = likelihood_ratio(full, reduced)
    for value, printed in (
        (test.statistic, "9.9588"),
        (test.pvalue, "0.0016"),
        (full.tau2, "0.0344"),
        (reduced.tau2, "0.2800"),
        (full.aic, "21.3713"),
        (reduced.aic, "29.3302"),
    ):
        as_printed(value, printed)


# behaviour --------------------------------------------------------------------------------------------------


def test_without_moderators_it_is_the_pooled_mean() -> None:
    es = bcg()
    for ci in ("Wald", "HKSJ", "HKSJ-floor", "auto"):
        one, two = MetaRegression("1", ci=ci).fit(es), RandomEffects(ci=ci).fit(es)
        assert one.ci_method == two.ci_method
        assert_allclose(
            [one.coef.iloc[0], one.se.iloc[0], one.tau2, one.i2, one.h2, one.pvalue.iloc[0]],
            [two.estimate, two.se, two.tau2, two.i2, two.h2, two.pvalue],
            rtol=1e-10,
        )
        assert_allclose(one.tau2_ci(), two.tau2_ci(), rtol=1e-9)


def test_two_codings_of_one_model() -> None:
    es = bcg()
    treatment = MetaRegression("alloc").fit(es)
    cells = MetaRegression("0 + alloc").fit(es)
    assert_allclose(treatment.tau2, cells.tau2, rtol=1e-10)
    assert_allclose(treatment.r2, cells.r2, atol=1e-8)
    means = treatment.marginal_means("alloc")
    assert list(means.index) == ["alternate", "random", "systematic"]
    assert_allclose(means["estimate"], cells.coef, rtol=1e-10)
    assert_allclose(means["se"], cells.se, rtol=1e-10)
    pairs = treatment.pairwise("alloc")
    assert list(pairs.index) == ["random − alternate", "systematic − alternate", "systematic − random"]
    assert_allclose(pairs["estimate"].iloc[:2], treatment.coef.iloc[1:], rtol=1e-10)
    assert_allclose(pairs["pvalue"].iloc[:2], treatment.pvalue.iloc[1:], rtol=1e-9)
    holm = treatment.pairwise("alloc", adjust="holm")["pvalue"]
    order = np.argsort(pairs["pvalue"].to_numpy())
    stepped = np.minimum(np.maximum.accumulate(pairs["pvalue"].to_numpy()[order] * [3, 2, 1]), 1)
    assert_allclose(holm.to_numpy()[order], stepped)
    bonferroni = treatment.pairwise("alloc", adjust="bonferroni")["pvalue"]
    assert_allclose(bonferroni, np.minimum(pairs["pvalue"] * 3, 1))


def test_marginal_means_average_the_others() -> None:
    rng = np.random.default_rng(1)
    moderators = {"g": list("aab" * 10), "h": list("uv" * 15), "x": rng.normal(size=30)}
    es = EffectSizes.of(rng.normal(size=30), rng.uniform(0.05, 0.3, 30), moderators=moderators)
    fit = MetaRegression("g * h + x").fit(es)
    mean = float(np.mean(moderators["x"]))
    by_hand = [
        fit.predict({"g": [g, g], "h": ["u", "v"], "x": [mean, mean]})["estimate"].mean() for g in ("a", "b")
    ]
    assert_allclose(fit.marginal_means("g")["estimate"], by_hand, rtol=1e-12)


def test_curve() -> None:
    es = bcg()
    line = MetaRegression("ablat + alloc").fit(es).curve("ablat", points=5)
    assert_allclose(line["ablat"], np.linspace(13, 55, 5))
    fit = MetaRegression("ablat + alloc").fit(es)
    assert_allclose(np.diff(line["estimate"]), fit.coef["ablat"] * 10.5, rtol=1e-9)
    at = fit.predict({"ablat": [13.0] * 3, "alloc": ["alternate", "random", "systematic"]})
    assert_allclose(line["estimate"].iloc[0], at["estimate"].mean(), rtol=1e-12)
    bent = MetaRegression("cr(ablat, df=3)").fit(es)
    curve = bent.curve("ablat", points=5)
    assert_allclose(curve["estimate"], bent.predict({"ablat": curve["ablat"]})["estimate"], rtol=1e-12)
    assert (curve["pi_low"] < curve["ci_low"]).all()
    with pytest.raises(UsageError, match="'alloc' is not a numeric moderator of this model; 'ablat'"):
        fit.curve("alloc")


def test_anova_of_one_column_is_its_own_test() -> None:
    es = bcg()
    for ci in ("Wald", "HKSJ"):
        fit = MetaRegression("ablat + year", ci=ci).fit(es)
        frame = fit.anova()
        assert list(frame.index) == ["ablat", "year"]
        assert_allclose(frame["pvalue"], fit.pvalue.iloc[1:], rtol=1e-9)
        assert_allclose(frame["statistic"], fit.statistic.iloc[1:] ** 2, rtol=1e-9)
        assert_allclose(fit.joint(["ablat", "year"]).pvalue, fit.qm_pvalue, rtol=1e-12)


def test_a_given_tau2() -> None:
    es = bcg()
    estimated = MetaRegression("ablat", ci="Wald").fit(es)
    given_ = MetaRegression("ablat", tau2=estimated.tau2, ci="Wald").fit(es)
    assert_allclose(given_.coef, estimated.coef, rtol=1e-12)
    assert np.isnan(given_.r2)
    assert given_.tau2_method == "given"
    common = MetaRegression("ablat", tau2=0.0, ci="Wald").fit(es)
    x = np.column_stack([np.ones(13), _ABLAT])
    w = 1 / es.vi
    assert_allclose(common.coef, np.linalg.solve((x.T * w) @ x, (x.T * w) @ es.yi), rtol=1e-9)


def test_auto_says_what_it_did() -> None:
    es = EffectSizes.of([0.1, 0.2, 0.3, 0.4], [0.2] * 4, moderators={"x": [1.0, 2.0, 3.0, 4.0]})
    fit = MetaRegression("x").fit(es)
    assert fit.tau2 == 0
    assert fit.ci_method == "Wald"
    assert "HKSJ was not used because τ² is 0" in fit.methods
    assert MetaRegression("x", ci="HKSJ").fit(es).ci_method == "HKSJ"


def test_effects_on_a_line_under_hksj() -> None:
    """The scale factor is 0 there: no division by it, no NaN."""
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    fit = MetaRegression("x", ci="HKSJ").fit(EffectSizes.of(1 + 2 * x, [0.25] * 5, moderators={"x": x}))
    assert_allclose(fit.coef, [1, 2], rtol=1e-12)
    assert fit.tau2 == 0
    assert (fit.se < 1e-12).all()
    assert fit.pvalue["x"] < 1e-12
    frame = fit.to_frame()
    assert not frame.isna().any().any()


def test_compare_models() -> None:
    es = bcg()
    fits = [MetaRegression(f, tau2="ML").fit(es) for f in ("1", "ablat", "ablat + year")]
    frame = compare_models(fits)
    assert frame.index[0] == "ablat"
    assert_allclose(frame["weight"].sum(), 1)
    assert_allclose(frame["weight"], np.exp(-frame["delta"] / 2) / np.exp(-frame["delta"] / 2).sum())
    k, parameters = 13, 3
    assert_allclose(
        frame.loc["ablat", "aicc"],
        frame.loc["ablat", "aic"] + 2 * parameters * (parameters + 1) / (k - parameters - 1),
    )


def test_result_is_readable() -> None:
    fit = MetaRegression("ablat").fit(bcg())
    assert repr(fit).startswith("MetaRegressionResult('ablat', k=13, τ²=0.07")
    assert "<table" in fit._repr_html_()
    assert "Knapp and Hartung (2003)" in fit.methods
    assert list(fit.to_frame().columns)[:5] == ["estimate", "se", "df", "statistic", "pvalue"]
    assert_allclose(fit.weights.sum(), 1)
    assert_allclose(fit.ci()["low"], fit.to_frame()["ci_low"])


# refusals ---------------------------------------------------------------------------------------------------


def small(**moderators: object) -> EffectSizes:
    k = len(next(iter(moderators.values())))  # type: ignore[arg-type]
    study = [f"study {i + 1}" for i in range(k)]
    return EffectSizes.of(np.arange(k) / 10, [0.1] * k, study=study, moderators=moderators)


def test_missing_values_name_the_studies() -> None:
    es = small(x=[1.0, np.nan, 3.0, None, 5.0, 6.0])
    with pytest.raises(ModelError, match=r"moderator 'x' is missing for study 2, study 4; fill it in"):
        MetaRegression("x").fit(es)


def test_collinear_columns_are_named() -> None:
    es = small(x=[1.0, 2, 3, 4, 5, 6], y=[3.0, 5, 7, 9, 11, 13])
    with pytest.raises(ModelError, match=r"the column 'y' .* follows from 'Intercept', 'x'"):
        MetaRegression("x + y").fit(es)
    with pytest.raises(ModelError, match="'x' of the design follows from 'Intercept'"):
        MetaRegression("x").fit(small(x=[2.0] * 5))


def test_too_few_studies() -> None:
    with pytest.raises(
        ModelError, match=r"3 studies cannot carry 3 coefficients \(Intercept, g\[b\], g\[c\]\)"
    ):
        MetaRegression("g").fit(small(g=["a", "b", "c"]))


def test_no_moderators_at_all() -> None:
    with pytest.raises(
        UsageError, match="uses 'x', which is not among the moderators; the effect table has none"
    ):
        MetaRegression("x").fit(EffectSizes.of([0.1, 0.2, 0.3], [0.1] * 3))


def test_one_level_only() -> None:
    with pytest.raises(ModelError, match="moderator 'g' has the one level 'a'"):
        MetaRegression("g").fit(small(g=["a"] * 5))


def test_unknown_choices() -> None:
    with pytest.raises(UsageError, match="tau2='XX' is not known"):
        MetaRegression("x", tau2="XX")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ci='t' is not known"):
        MetaRegression("x", ci="t")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tau2=-1"):
        MetaRegression("x", tau2=-1)


def test_new_data_that_do_not_fit() -> None:
    fit = MetaRegression("alloc + ablat").fit(bcg())
    with pytest.raises(UsageError, match="newdata lacks the column 'alloc'"):
        fit.predict({"ablat": [1]})
    with pytest.raises(UsageError, match="has the level 'coin', which the fit has not seen"):
        fit.predict({"ablat": [1], "alloc": ["coin"]})
    with pytest.raises(UsageError, match=r"newdata\['ablat'\] has missing values"):
        fit.predict({"ablat": [np.nan], "alloc": ["random"]})
    with pytest.raises(UsageError, match="is not a categorical moderator"):
        fit.marginal_means("ablat")
    with pytest.raises(UsageError, match="there is no term 'year'"):
        fit.joint(["year"])


def test_likelihood_ratios_that_make_no_sense() -> None:
    es = bcg()
    reml, ml = MetaRegression("ablat").fit(es), MetaRegression("ablat", tau2="ML").fit(es)
    other = MetaRegression("year", tau2="ML").fit(es)
    with pytest.raises(ModelError, match="tau2='ML', not 'REML'"):
        likelihood_ratio(reml, ml)
    with pytest.raises(ModelError, match="'year' is not a smaller model within 'ablat'"):
        likelihood_ratio(ml, other)
    with pytest.raises(ModelError, match="not fitted to the same effects"):
        likelihood_ratio(ml, MetaRegression("1", tau2="ML").fit(es.subset(np.arange(12))))


# properties -------------------------------------------------------------------------------------------------


@st.composite
def regressions(draw: st.DrawFn) -> EffectSizes:
    k = draw(st.integers(6, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vi = 10 ** rng.uniform(*draw(st.sampled_from([(-2, 0), (-6, 0), (-1, 1)])), k)
    x = rng.normal(size=k)
    yi = rng.normal(0.5 * x, np.sqrt(vi + draw(st.sampled_from([0, 0.1, 10]))))
    g = rng.permutation(np.resize(["a", "b"], k))
    return EffectSizes.of(yi, vi, moderators={"x": x, "g": g})


@given(regressions(), st.integers(0, 1000))
@settings(max_examples=40)
def test_row_order_does_not_matter(es: EffectSizes, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(es.k)
    one, two = (MetaRegression("x + g").fit(e) for e in (es, es.subset(order)))
    assert_allclose(one.coef, two.coef, rtol=1e-7, atol=1e-9)
    assert_allclose(one.tau2, two.tau2, rtol=1e-7, atol=1e-10)


@given(regressions(), st.sampled_from(["REML", "DL", "PM", "ML"]))
@settings(max_examples=40)
def test_effects_scale_and_shift(es: EffectSizes, method: str) -> None:
    model = MetaRegression("x + g", tau2=method, ci="HKSJ")  # type: ignore[arg-type]
    one = model.fit(es)
    x = es.moderators["x"].to_numpy()  # type: ignore[union-attr]
    moved = EffectSizes.of(-2 * es.yi + 3 + x, 4 * es.vi, moderators=es.moderators)
    two = model.fit(moved)
    assert one.tau2 >= 0
    assert_allclose(two.tau2, 4 * one.tau2, rtol=1e-6, atol=1e-9)
    assert_allclose(two.coef, -2 * one.coef + [3, 1, 0], rtol=1e-6, atol=1e-7)
    assert_allclose(two.se, 2 * one.se, rtol=1e-6)


@given(regressions())
@settings(max_examples=30)
def test_subgroups_without_heterogeneity_add_up(es: EffectSizes) -> None:
    """With a given τ² of 0, Q splits into within and between (Borenstein et al. 2009, ch. 19)."""
    both = subgroups(RandomEffects(tau2=0.0, ci="Wald"), es, "g", tau2="common")
    assert_allclose(both.q_between + both.q_within, both.overall.q, rtol=1e-8)
    apart = subgroups(RandomEffects(tau2=0.0, ci="Wald"), es, "g")
    assert_allclose(apart.q_between, both.q_between, rtol=1e-7, atol=1e-9)


RAUDENBUSH = """
suppressMessages(library(metafor)); d <- dat.raudenbush1985
d$weeks <- pmin(d$weeks, 3)
writeLines(jsonlite::toJSON(d[c("yi", "vi", "weeks")], digits = NA))
"""


@pytest.mark.r
def test_teacher_expectancy(rscript: Callable[..., str], as_printed: Printed) -> None:
    """Raudenbush 2009, ch. 16, p. 309, weeks of prior contact capped at 3."""
    rows = json.loads(rscript(RAUDENBUSH))
    weeks = [row["weeks"] for row in rows]
    es = EffectSizes.of([r["yi"] for r in rows], [r["vi"] for r in rows], "SMD", moderators={"weeks": weeks})
    fit = MetaRegression("weeks", ci="Wald").fit(es)
    assert fit.tau2 == 0
    for value, printed in (
        (fit.coef["Intercept"], "0.4072"),
        (fit.coef["weeks"], "-0.1572"),
        (fit.qe, "16.5708"),
        (fit.statistic["Intercept"], "4.678253601"),
        (fit.statistic["weeks"], "-4.388474792"),
    ):
        as_printed(value, printed)
    # those two to 1e-12 by metafor 3.8-1; the printed ones are from a τ² of 6.593347e-07, where it stops by
    # default
    stopped = MetaRegression("weeks", tau2=6.593347351e-07, ci="Wald").fit(es)
    as_printed(stopped.statistic["Intercept"], "4.6782")
    as_printed(stopped.statistic["weeks"], "-4.3884")


AVERAGED = """
suppressMessages(library(metafor)); d <- dat.bcg
d <- escalc("RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = d)
formulas <- c("~ 1", "~ ablat", "~ year", "~ alloc", "~ ablat + year", "~ ablat + alloc", "~ year + alloc",
              "~ ablat + year + alloc")
sharp <- list(threshold = 1e-13, maxiter = 1e5)
fit <- function(f) rma(yi, vi, mods = as.formula(f), data = d, method = "ML", control = sharp)
fits <- lapply(formulas, fit)
aicc <- sapply(fits, function(r) fitstats(r)["AICc:", ])
w <- exp(-(aicc - min(aicc)) / 2); w <- w / sum(w)
terms <- c("intrcpt", "ablat", "year", "allocrandom", "allocsystematic")
get <- function(r, m, t) if (t %in% rownames(r$beta)) m[rownames(r$beta) == t] else 0
out <- t(sapply(terms, function(t) {
  b <- sapply(fits, function(r) get(r, r$beta, t)); s <- sapply(fits, function(r) get(r, r$se, t))
  mean <- sum(w * b); has <- sapply(fits, function(r) t %in% rownames(r$beta))
  c(mean, sqrt(sum(w * (s^2 + (b - mean)^2))), sum(w * has))
}))
told <- c(list(out = unname(out), yi = as.numeric(d$yi), vi = d$vi), d[c("ablat", "year", "alloc")])
cat(jsonlite::toJSON(told, digits = NA))
"""


@pytest.mark.r
def test_average_over_models(rscript: Callable[..., str]) -> None:
    """Akaike weights and averages worked out in R from metafor's eight fits."""
    told = json.loads(rscript(AVERAGED))
    moderators = {name: told[name] for name in ("ablat", "year", "alloc")}
    es = EffectSizes.of(told["yi"], told["vi"], "RR", moderators=moderators)
    formulas = ["1", "ablat", "year", "alloc", "ablat + year", "ablat + alloc", "year + alloc"]
    fits = [MetaRegression(f, tau2="ML", ci="Wald").fit(es) for f in (*formulas, "ablat + year + alloc")]
    ours = average_models(fits).loc[
        ["Intercept", "ablat", "year", "alloc[random]", "alloc[systematic]"],
        ["estimate", "se", "importance"],
    ]
    theirs = np.array(told["out"])
    assert_allclose(ours["importance"], theirs[:, 2], atol=1e-8)
    assert_allclose(ours["estimate"], theirs[:, 0], rtol=1e-5, atol=1e-9)
    assert_allclose(ours["se"], theirs[:, 1], rtol=1e-6)
    with pytest.raises(UsageError, match="occurs twice"):
        average_models([*fits, fits[0]])
