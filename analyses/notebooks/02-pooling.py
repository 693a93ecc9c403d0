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
# # 2. Pooling: what the weights are, and what τ² does
#
# A meta-analysis is a weighted average. The question is only: which weights? The **common-effect** model says that all
# trials estimate one and the same effect, so that the precise ones should count most. The **random-effects** model says
# that each trial has an effect of its own, scattered around a mean with variance τ². Here you see both on five real
# trials of music for anxious patients on a ventilator (Cochrane review CD006902.pub3), and drag one of them around.

# %%
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import mtmeta as mt
from mtmeta.figures import forest_layout
from mtmeta.reports.notebook import question, say, show, slide

run = question("icu-anxiety")
es = run.effects
labels = list(es.columns["label"])
common = mt.CommonEffect().fit(es)
random = mt.RandomEffects(tau2="REML").fit(es)
show(forest_layout([common, random], better="lower", title=run.analysis.title))

# %% [markdown]
# ## The weights by hand
#
# Common effect: `w = 1 / v`. Random effects: `w = 1 / (v + τ²)`. A trial's share is its weight over the sum.

# %%
w_common = 1 / es.vi
w_random = 1 / (es.vi + random.tau2)
mean_common = (w_common * es.yi).sum() / w_common.sum()
mean_random = (w_random * es.yi).sum() / w_random.sum()
assert abs(mean_common - common.estimate) < 1e-12
assert abs(mean_random - random.estimate) < 1e-12

table = pd.DataFrame(
    {
        "effect": es.yi,
        "SE": np.sqrt(es.vi),
        "common %": 100 * w_common / w_common.sum(),
        "random %": 100 * w_random / w_random.sum(),
    },
    index=labels,
).round(2)
table

# %%
largest = int(np.argmax(w_common))
say(
    f"{labels[largest]} is the most precise trial. It has {100 * common.weights[largest]:.0f}% of the weight under the "
    f"common effect and {100 * random.weights[largest]:.0f}% under random effects: τ² = {random.tau2:.2f} is added to "
    f"every variance, which makes them more alike. The mean moves from {common.estimate:.2f} to "
    f"{random.estimate:.2f}, and its standard error from {common.se:.2f} to {random.se:.2f}."
)

# %% [markdown]
# ## Drag a trial
#
# Move one trial's effect. Watch three things: the two means, τ², and the weights. When the moved trial comes to lie among
# the others, τ² shrinks and the two models agree; when it leaves them, τ² grows and every weight becomes more equal,
# also those of trials that did not move.


# %%
def drag(trial=labels[largest], to=float(es.yi[largest])):
    y = es.yi.copy()
    y[labels.index(trial)] = to
    moved = mt.EffectSizes.of(y, es.vi, measure=mt.SMD, study=labels)
    one, two = mt.CommonEffect().fit(moved), mt.RandomEffects(ci="Wald").fit(moved)
    fig = Figure(figsize=(7.2, 2.7), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=(3, 2), sharey=True)
    rows = np.arange(len(labels))[::-1]
    left.errorbar(y, rows, xerr=1.96 * np.sqrt(es.vi), fmt="s", color="#4D4D4D", markersize=4, linewidth=0.9)
    left.axvline(0, color="#7F7F7F", linewidth=0.6)
    for fit, colour, name in ((one, "#D55E00", "common"), (two, "#0072B2", "random")):
        left.axvline(fit.estimate, color=colour, label=name)
    left.set_yticks(rows, labels)
    left.set_xlim(-3.2, 2.2)
    left.set_xlabel("standardised mean difference")
    left.legend(frameon=False, fontsize=7, loc="lower right")
    right.barh(rows + 0.18, 100 * one.weights, height=0.34, color="#D55E00")
    right.barh(rows - 0.18, 100 * two.weights, height=0.34, color="#0072B2")
    right.set_xlabel("weight, %")
    right.set_xlim(0, 60)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    show(fig)
    say(
        f"common {one.estimate:.2f} (SE {one.se:.2f}); random {two.estimate:.2f} (SE {two.se:.2f}); "
        f"τ² = {two.tau2:.3f}, I² = {two.i2:.0f}%"
    )


slide(drag, trial=labels, to=(-3.0, 2.0, 0.1))

# %% [markdown]
# ## How τ² is found
#
# τ² is itself an estimate, and estimators differ. REML maximises the restricted likelihood (Viechtbauer 2005); the
# DerSimonian–Laird formula (1986) is the one most reviews used. With five trials the interval of τ² is wide, whatever
# the estimator.

# %%
rows = []
for method in ("DL", "PM", "REML", "ML", "SJ", "HE", "HS", "EB"):
    fit = mt.RandomEffects(tau2=method, ci="HKSJ").fit(es)
    rows.append(
        {
            "estimator": method,
            "τ²": fit.tau2,
            "mean": fit.estimate,
            "low": fit.ci().low,
            "high": fit.ci().high,
        }
    )
estimators = pd.DataFrame(rows).set_index("estimator")
estimators.round(3)

# %%
around = random.tau2_ci(0.95)
say(
    f"The estimates of τ² reach from {estimators['τ²'].min():.2f} to {estimators['τ²'].max():.2f}; the 95% Q-profile "
    f"interval reaches from {around.low:.2f} to {around.high:.2f}. The mean moves by "
    f"{estimators['mean'].max() - estimators['mean'].min():.3f} between estimators."
)

# %% [markdown]
# ## Which model?
#
# The models answer different questions. Common effect: what is the effect *if it is the same everywhere*? Random effects:
# what is the mean of the effects, *and how far do they scatter*? The second asks for more, so its interval is wider. To
# choose the model by whether a test of heterogeneity is significant is advised against (Cochrane Handbook, version 6,
# section 10.10.4.1): with few trials the test misses much.
#
# ## Try
#
# - Move a trial until τ² is exactly zero. What do the weights do?
# - Can you move a single trial so that the two means have different signs?
# - `mt.RandomEffects(tau2="REML", ci="HKSJ")` gives another interval than Wald. Notebook 3 is about that.
