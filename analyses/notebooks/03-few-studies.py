# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Few studies: Wald, Hartung–Knapp, Bayes
#
# Most meta-analyses have few trials. Then the textbook interval (estimate plus or minus a normal quantile times the
# standard error, "Wald") is too narrow: it takes τ² for known, while two or three trials can hardly tell it. Two
# remedies are at hand: Hartung and Knapp's interval, which may be very wide, and Bayes with a prior for τ, which says
# what trials of this kind usually show.
#
# The data are four questions of one Cochrane review of music therapy in schizophrenia (CD004025.pub4), each resting on
# few trials. The review itself pooled with a common effect.

# %%
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import norm, t

import mtmeta as mt
from mtmeta.figures import rows_layout
from mtmeta.models.batch import pool_many
from mtmeta.reports.notebook import question, say, show, slide

names = {
    "schizophrenia-sans": "Negative symptoms (SANS)",
    "schizophrenia-panss": "General symptoms (PANSS)",
    "schizophrenia-gaf": "Functioning (GAF)",
    "schizophrenia-sdss": "Social functioning (SDSS)",
}
runs = {name: question(name) for name in names}
say(
    "| question | trials | people | printed | ours, by the review's method |\n|---|---:|---:|---|---|\n"
    + "\n".join(
        f"| {names[name]} | {run.effects.k} | {run.effects.n.sum():.0f} "
        f"| {run.published[0].published.estimate} [{', '.join(run.published[0].published.ci)}] "
        f"| {run.published[0].estimate:.2f} [{run.published[0].ci.low:.2f}, {run.published[0].ci.high:.2f}] |"
        for name, run in runs.items()
    )
)

# %% [markdown]
# ## Five answers to each question

# %%
WAYS = (
    "common effect",
    "random, Wald",
    "random, HKSJ",
    "random, HKSJ with floor",
    "Bayes, τ ~ half-normal(0.5)",
)


def answers(es):
    yield WAYS[0], mt.CommonEffect().fit(es)
    for way, ci in zip(WAYS[1:4], ("Wald", "HKSJ", "HKSJ-floor"), strict=True):
        yield way, mt.RandomEffects(tau2="REML", ci=ci).fit(es)


rows = []
for name, run in runs.items():
    for way, fit in answers(run.effects):
        rows.append(
            {
                "label": way,
                "question": f"{names[name]}, k = {fit.k}",
                "estimate": fit.estimate,
                "ci_low": fit.ci().low,
                "ci_high": fit.ci().high,
            }
        )
    posterior = mt.BayesRandomEffects(mu=mt.Normal(0, 2), tau=mt.HalfNormal(0.5)).fit(run.effects)
    low, high = posterior.mu.ci(0.95, kind="central")
    rows.append(
        {
            "label": WAYS[4],
            "question": f"{names[name]}, k = {run.effects.k}",
            "estimate": posterior.mu.median,
            "ci_low": low,
            "ci_high": high,
        }
    )
table = pd.DataFrame(rows)
show(rows_layout(table, measure="SMD", group="question", diamonds=WAYS, xlim=(-3, 2), head="Method"))

# %%
widths = table.assign(width=table.ci_high - table.ci_low).pivot(
    index="question", columns="label", values="width"
)
widths[list(WAYS)].round(2)

# %% [markdown]
# The last line of each block is an interval of another kind: given the prior, the mean lies in it with 95% probability.
#
# - Where the trials disagree, Wald's interval claims more than they can tell.
# - Hartung–Knapp multiplies the standard error by the trials' own scatter and uses the t distribution with k − 1 degrees
#   of freedom. With two trials there is a single degree of freedom, and its quantile is enormous (next cell).
# - Where the trials agree by luck, Hartung–Knapp can be *narrower* than Wald: the floor takes the wider of the two.

# %%
say(
    "quantiles of 97.5%: "
    + ", ".join(f"k = {k}: {t.ppf(0.975, k - 1):.2f}" for k in (2, 3, 4, 5, 10, 20))
    + f"; normal: {norm.ppf(0.975):.2f}"
)

# %% [markdown]
# ## How often does each interval hold the truth?
#
# Do not believe, simulate: draw `k` trials from a known mean and τ, build both intervals, and count how often they hold
# the mean. Move k and τ.


# %%
def coverage(k=3, tau=0.4, repeats=2000):
    rng = np.random.default_rng(1)
    n = rng.integers(15, 60, size=(repeats, k))
    v = 2 / n
    y = rng.normal(0.0, np.sqrt(v + tau**2))
    held = {ci: pool_many(y, v, method="REML", ci=ci).ci for ci in ("Wald", "HKSJ")}
    say(
        f"k = {k}, τ = {tau}: of {repeats} meta-analyses, 95% intervals held the mean in "
        + ", ".join(
            f"**{100 * np.mean((ci[0] <= 0) & (ci[1] >= 0)):.1f}%** ({name})" for name, ci in held.items()
        )
    )


slide(coverage, k=(2, 12, 1), tau=(0.0, 1.0, 0.1), repeats=[500, 2000, 10000])

# %% [markdown]
# ## What a prior does
#
# The prior of τ is a statement before the data: the half-normal prior, by its scale, holds τ in a range that is held to be
# plausible. How to choose such a weak prior: Röver 2021, Res Synth Methods 12:448. Move the scale and watch the posterior of
# the mean. With few trials the prior matters: report it, and how far the answer moves with it.


# %%
def prior(scale=0.5, name="schizophrenia-sans"):
    es = runs[name].effects
    posterior = mt.BayesRandomEffects(mu=mt.Normal(0, 2), tau=mt.HalfNormal(scale)).fit(es)
    x = np.linspace(-2.5, 1.5, 250)
    fig = Figure(figsize=(6.5, 2.3), layout="constrained")
    ax = fig.subplots()
    ax.plot(x, posterior.mu.pdf(x), color="#0072B2", label="mean effect")
    ax.plot(x, posterior.new_study.pdf(x), color="#D55E00", label="effect of a new trial")
    ax.plot(es.yi, np.zeros(es.k), "k|", markersize=12, label="trials")
    ax.axvline(0, color="#7F7F7F", linewidth=0.6)
    ax.set_yticks([])
    ax.set_xlabel("standardised mean difference")
    ax.legend(frameon=False, fontsize=7)
    ax.spines[["top", "right", "left"]].set_visible(False)
    show(fig)
    low, high = posterior.mu.ci(0.95, kind="central")
    helps, new = posterior.mu.cdf(0.0), posterior.new_study.cdf(0.0)
    if runs[name].analysis.better == "higher":
        helps, new = 1 - helps, 1 - new
    say(
        f"{names[name]}, where {runs[name].analysis.better} is better: mean {posterior.mu.median:.2f} "
        f"[{low:.2f}, {high:.2f}]; probability that music helps on average: {helps:.0%}; in a new trial: {new:.0%}"
    )


slide(prior, scale=(0.05, 2.0, 0.05), name=list(names))

# %% [markdown]
# ## Empirical priors
#
# The prior need not be invented: thousands of Cochrane meta-analyses tell how large effects and τ usually are for a topic.
# `mt.choose_priors` picks them from published tables and says which row it took.

# %%
choice = mt.choose_priors("SMD", topic="Schizophrenia")
es = runs["schizophrenia-sans"].effects
informed = mt.BayesRandomEffects(mu=choice.mu, tau=choice.tau).fit(es)
low, high = informed.mu.ci(0.95, kind="central")
say(
    f"`{choice.mu!r}` for the mean, `{choice.tau!r}` for τ: {choice.why}.\n\n"
    f"{names['schizophrenia-sans']}: mean {informed.mu.median:.2f} [{low:.2f}, {high:.2f}]."
)

# %% [markdown]
# ## Try
#
# - At which k does Wald's coverage reach what Hartung–Knapp's has at k = 3?
# - Set τ to zero in the simulation. Which interval is too wide now, and why is that the safer fault?
# - Which of the four questions moves most with the prior of τ? Look at how far its trials lie apart.
