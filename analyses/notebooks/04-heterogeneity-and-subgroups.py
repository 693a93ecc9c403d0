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
# # 4. Heterogeneity, prediction, subgroups: music therapy against music medicine
#
# A mean is not the whole answer. How far do the effects of trials lie apart? What would the next trial find? And does the
# kind of intervention explain it: **music therapy**, where a trained therapist works with the person, or **music
# medicine**, where staff play recorded music? The trials treat anxiety in coronary heart disease (Cochrane review
# CD006577.pub3).

# %%
import math

import numpy as np
from matplotlib.figure import Figure

import mtmeta as mt
from mtmeta.figures import forest_layout, orchard_layout
from mtmeta.reports.notebook import question, say, show, slide

run = question("cardiac-anxiety")
es, fit = run.effects, run.result
show(forest_layout(fit, better="lower", title=run.analysis.title))

# %% [markdown]
# ## Four ways to say "they differ"
#
# - **Q** compares the scatter with what chance within trials would give; its test is weak with few trials.
# - **I²** is the share of the scatter that is not chance, in percent. It grows when trials get larger, with the same
#   differences between them: it is no measure of how far effects lie apart.
# - **τ** is: the standard deviation of the true effects, in the effect's own unit.
# - The **prediction interval** says where the effect of a further trial of this kind would lie.

# %%
around, predicted = fit.tau2_ci(0.95), fit.pi(0.95)
say(
    f"Q = {fit.q:.1f} on {fit.k - 1} degrees of freedom (P {fit.q_pvalue:.1g}); I² = {fit.i2:.0f}%; "
    f"τ = {math.sqrt(fit.tau2):.2f}, 95% interval {math.sqrt(around.low):.2f} to {math.sqrt(around.high):.2f}; "
    f"mean {fit.estimate:.2f} [{fit.ci().low:.2f}, {fit.ci().high:.2f}]; "
    f"a further trial: [{predicted.low:.2f}, {predicted.high:.2f}]."
)

# %% [markdown]
# The mean may be well away from zero while the prediction interval holds zero: then music helps on average, and in some
# places it may not help. Both are true, and only both together are honest.
#
# ## τ and what it means for places
#
# If true effects scatter normally with SD τ around the mean, which share of places has an effect in favour of music, and
# which share a large one? Move τ. The mean is held fixed.


# %%
def places(tau=math.sqrt(fit.tau2), threshold=-0.5):
    x = np.linspace(-4, 2.5, 500)
    density = np.exp(-(((x - fit.estimate) / tau) ** 2) / 2) / (tau * math.sqrt(2 * math.pi))
    fig = Figure(figsize=(6.5, 2.2), layout="constrained")
    ax = fig.subplots()
    ax.fill_between(x, density, where=x < 0, color="#0072B2", alpha=0.3, linewidth=0, label="favours music")
    ax.fill_between(
        x, density, where=x < threshold, color="#0072B2", alpha=0.4, linewidth=0, label="beyond the threshold"
    )
    ax.fill_between(
        x, density, where=x >= 0, color="#D55E00", alpha=0.4, linewidth=0, label="favours control"
    )
    ax.plot(es.yi, np.zeros(es.k), "k|", markersize=12)
    ax.set_yticks([])
    ax.set_xlabel("true effect of a place (marks: the trials)")
    ax.legend(frameon=False, fontsize=7)
    ax.spines[["top", "right", "left"]].set_visible(False)
    show(fig)

    def share(limit):
        return 0.5 * (1 + math.erf((limit - fit.estimate) / (tau * math.sqrt(2))))

    say(
        f"τ = {tau:.2f}: {share(0):.0%} of places favour music; {share(threshold):.0%} have an effect beyond {threshold}."
    )


slide(places, tau=(0.05, 1.5, 0.05), threshold=(-1.0, 0.0, 0.1))

# %% [markdown]
# ## Subgroups
#
# Each trial falls into one group, so this is a comparison *between* trials: nobody was randomised to the kind of
# intervention. Trials of the two kinds also differ in patients, places and scales.

# %%
groups = run.subgroups
show(forest_layout(groups, better="lower", title="By kind of intervention"))

# %%
parts = "; ".join(
    f"{name}: {part.estimate:.2f} [{part.ci().low:.2f}, {part.ci().high:.2f}], {part.k} trials"
    for name, part in groups.groups.items()
)
say(
    f"{parts}. Test of the difference: χ² = {groups.q_between:.2f}, {groups.df_between:.0f} degree of freedom, "
    f"P = {groups.pvalue:.2f}."
)

# %% [markdown]
# That one group's interval holds zero and the other's does not is **no** evidence of a difference: the test between
# groups is. And that the test finds none is no evidence of equality, when one group has two or three trials.
#
# ### One τ² or two
#
# A group of two trials cannot tell its own τ². Sharing one τ² over the groups borrows strength; it assumes that the groups
# scatter alike.

# %%
kind = list(es.columns["category"])
shared = mt.subgroups(mt.RandomEffects(), es, kind, tau2="common")
show(orchard_layout(es, list(shared.groups.items()), kind, title="One τ² for both groups"))
say(f"With one τ²: P = {shared.pvalue:.2f} for the difference.")

# %% [markdown]
# ## The same question in depression
#
# Another set of trials, the same comparison.

# %%
other = question("depression-by-category")
say(
    "; ".join(
        f"{name}: {part.estimate:.2f} [{part.ci().low:.2f}, {part.ci().high:.2f}], {part.k} trials"
        for name, part in other.subgroups.groups.items()
    )
    + f". Difference: P = {other.subgroups.pvalue:.2f}."
)

# %% [markdown]
# ## How many chance findings?
#
# Split the trials at random into two groups of the same sizes, many times: how large a difference does chance give? The
# permutation test asks just that.

# %%
named = mt.EffectSizes.of(
    es.yi,
    es.vi,
    measure=mt.SMD,
    study=es.study,
    moderators={"therapy": [float(k == "music therapy") for k in kind]},
)
test = mt.permutation_test(mt.MetaRegression("therapy"), named, "exact")
say(
    f"Of {test.permutations} arrangements of the groups over the trials, {100 * test.pvalue['therapy']:.0f}% give a "
    f"difference at least as large (in t) as the one seen."
)

# %% [markdown]
# ## Try
#
# - `fit.pi(0.95, method="HTS")` is another rule. Which is wider, and why? (`help(fit.pi)`)
# - Group the trials by `es.columns["approach"]` instead. How many groupings could you try before one is "significant"?
