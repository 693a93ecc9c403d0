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
# # 12. Dependent effects: many outcomes, one trial
#
# A trial that measures depression and anxiety, twice each, gives four effects: from the same people, so they are correlated.
# Pool them as if they came from four trials, and that trial counts four times and the interval is too narrow. Pick one by hand,
# and the choice is yours to be blamed for. Here are the honest ways, on trials of music in dementia (Cochrane review
# CD003477.pub5).

# %%
import numpy as np
import pandas as pd

import mtmeta as mt
from mtmeta.figures import rows_layout
from mtmeta.reports.notebook import records, say, show, slide

es = mt.effect_sizes(
    records(),
    condition="dementia",
    construct=["depression", "anxiety"],
    comparator="inactive",
    rule="separate",
)
counts = pd.Series(es.cluster).value_counts()
say(
    f"{es.k} effects of {len(counts)} trials; one trial gives up to {counts.max()}. On all of them lower is better."
)

# %%
es.columns[["label", "outcome"]].assign(effect=es.yi, SE=np.sqrt(es.vi)).style.hide(axis="index").format(
    precision=2
)

# %% [markdown]
# ## Five ways
#
# | way | what it assumes |
# |---|---|
# | all as if independent | wrong; to see what it does |
# | one a trial, averaged | a correlation, only for the variance of the average |
# | three levels | effects scatter between trials and within them; sampling errors are taken for independent |
# | three levels with known correlation (CHE) | sampling errors of one trial correlate by a given ρ |
# | either, with robust errors (CR2) | nothing on the correlation; small-sample degrees of freedom |
#
# Sources: Pustejovsky & Tipton 2022 (Prev Sci 23) for the working model with known correlation; Tipton 2015 (Psychol Methods 20:375)
# for the small-sample correction.

# %%
mean = mt.effect_sizes(
    records(),
    condition="dementia",
    construct=["depression", "anxiety"],
    comparator="inactive",
    rule="mean",
    rho=0.6,
)
ways = {
    "all as if independent": mt.RandomEffects(ci="Wald").fit(mt.EffectSizes.of(es.yi, es.vi, measure=mt.SMD)),
    "one a trial, averaged": mt.RandomEffects().fit(mean),
    "three levels": mt.Multilevel(robust=False).fit(es),
    "three levels, CR2": mt.Multilevel(robust=True).fit(es),
    "CHE, model's own errors": mt.Multilevel(within_rho=0.6, robust=False).fit(es),
    "CHE, CR2": mt.Multilevel(within_rho=0.6, robust=True).fit(es),
}
rows = pd.DataFrame(
    [
        {
            "label": name,
            "estimate": fit.estimate,
            "ci_low": fit.ci().low,
            "ci_high": fit.ci().high,
            "effects": fit.effects.k,
        }
        for name, fit in ways.items()
    ]
)
show(rows_layout(rows, measure="SMD", columns=("effects",), better="lower", head="Way"))

# %%
che = ways["CHE, CR2"]
say(
    f"CHE with CR2: {che.estimate:.2f} [{che.ci().low:.2f}, {che.ci().high:.2f}], {che.df:.1f} degrees of freedom (not "
    f"{es.k - 1}: there are {len(counts)} trials, not {es.k}). SD of effects between trials "
    f"{np.sqrt(che.sigma2_between):.2f}, within trials {np.sqrt(che.sigma2_within):.2f}."
)

# %% [markdown]
# With fewer than four degrees of freedom CR2's P values are not to be trusted: so the R package robumeta says below its tables,
# and mtmeta warns.
#
# ## The correlation that nobody prints
#
# Reports give no correlation between their outcomes. So it is assumed and varied.

# %%
table = mt.rho_sensitivity(mt.Multilevel(robust=True), es, rhos=(0.2, 0.4, 0.6, 0.8))
say(
    f"From ρ = {table['rho'].min():.1f} to {table['rho'].max():.1f} the mean moves from {table['estimate'].iloc[0]:.3f} to "
    f"{table['estimate'].iloc[-1]:.3f}."
)
table[["rho", "estimate", "ci_low", "ci_high", "df", "sigma2_between", "sigma2_within"]].style.hide(
    axis="index"
).format(precision=3)


# %% [markdown]
# ## How wrong is "independent"?
#
# Simulate trials of several correlated outcomes without any effect, and count false alarms at 5%.


# %%
def alarms(outcomes=4, rho=0.6, trials=10, repeats=150):
    rng = np.random.default_rng(2)
    v = np.repeat(4 / rng.integers(30, 90, trials), outcomes)
    cluster = np.repeat(np.arange(trials), outcomes).astype(str)
    found = {"as if independent": 0, "averaged in each trial": 0, "three levels, CR2": 0}
    for _ in range(repeats):
        shared = np.repeat(rng.normal(size=trials), outcomes)
        y = np.sqrt(v) * (np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.normal(size=trials * outcomes))
        made = mt.EffectSizes.of(y, v, measure=mt.SMD, study=cluster)
        plain = mt.EffectSizes.of(y, v, measure=mt.SMD)
        first = v[::outcomes]
        average = mt.EffectSizes.of(
            y.reshape(trials, outcomes).mean(1), first * (1 + (outcomes - 1) * rho) / outcomes, measure=mt.SMD
        )
        found["as if independent"] += mt.RandomEffects(ci="HKSJ").fit(plain).pvalue < 0.05
        found["averaged in each trial"] += mt.RandomEffects(ci="HKSJ").fit(average).pvalue < 0.05
        found["three levels, CR2"] += mt.Multilevel(robust=True).fit(made).pvalue < 0.05
    say(
        f"{trials} trials with {outcomes} outcomes, ρ = {rho}; false alarms in {repeats} meta-analyses: "
        + ", ".join(f"{name} **{100 * count / repeats:.0f}%**" for name, count in found.items())
    )


slide(alarms, outcomes=(1, 8, 1), rho=(0.0, 0.9, 0.1), trials=(5, 30, 5), repeats=[50, 150, 500])

# %% [markdown]
# ## Try
#
# - Keep only the rows at the end of treatment (`time="post"`). What changes: the mean, or only its interval?
# - Ask for a moderator: `mt.Multilevel(within_rho=0.6, formula="anxiety")` with `es.with_moderators(...)`.
# - Which trials lose weight against the independent analysis, and why is that right?
