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
# # 5. Bias and selection: anxiety before surgery
#
# Small trials without a clear result are printed less often. If that happened here, the small trials that we see show
# larger effects than the large ones, and the mean is too good. Several methods look for this and try to take it back.
# None is right in every situation: look at all, and never at a single adjusted number.
#
# The trials measure state anxiety (STAI) before surgery, with and without music (Cochrane review CD006908.pub2).

# %%
import numpy as np
from matplotlib.figure import Figure

import mtmeta as mt
from mtmeta.figures import funnel_layout, p_curve_layout, rows_layout
from mtmeta.models.intervals import two_sided
from mtmeta.reports.notebook import question, say, show, slide

run = question("preoperative-stai")
es, fit = run.effects, run.result
say(
    f"{es.k} trials, {es.n.sum():.0f} people: {fit.estimate:.2f} [{fit.ci().low:.2f}, {fit.ci().high:.2f}], "
    f"I² = {fit.i2:.0f}%."
)

# %% [markdown]
# ## The funnel
#
# Effects against standard errors, the precise trials on top. Without bias and without heterogeneity 95% of the points lie
# between the lines, on both sides alike. The shades mark where a trial alone is significant at 10%, 5% and 1%: if only
# significant trials are printed, points crowd into the shades and a corner stays empty.

# %%
show(funnel_layout(fit, contours=(0.1, 0.05, 0.01), title=run.analysis.title))

# %% [markdown]
# ## How selection bends a funnel
#
# Here a world is made: true mean, true τ, and a probability that a trial without a significant result is printed. The open
# points are the trials that nobody sees. Move the probability from 1 to 0.


# %%
def selection(printed_if_not_significant=0.2, true_mean=-0.3, tau=0.2):
    rng = np.random.default_rng(3)
    n = rng.integers(12, 110, size=60)
    se = np.sqrt(4 / n + true_mean**2 / (2 * n))
    y = rng.normal(true_mean, np.sqrt(se**2 + tau**2))
    seen = (y / se < -1.96) | (rng.random(60) < printed_if_not_significant)
    fig = Figure(figsize=(5.6, 3.0), layout="constrained")
    ax = fig.subplots()
    ax.plot(y[seen], se[seen], "o", color="#0072B2", markersize=4, label="printed")
    ax.plot(y[~seen], se[~seen], "o", color="#7F7F7F", markersize=4, fillstyle="none", label="never seen")
    ax.axvline(true_mean, color="black", linewidth=0.8, label="truth")
    both = mt.RandomEffects().fit(mt.EffectSizes.of(y[seen], se[seen] ** 2, measure=mt.SMD))
    ax.axvline(both.estimate, color="#D55E00", linewidth=1.2, label="mean of what is printed")
    ax.invert_yaxis()
    ax.set_xlabel("standardised mean difference")
    ax.set_ylabel("standard error")
    ax.legend(frameon=False, fontsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    show(fig)
    say(f"{seen.sum()} of {len(y)} printed; truth {true_mean}, mean of the printed {both.estimate:.2f}.")


slide(selection, printed_if_not_significant=(0.0, 1.0, 0.1), true_mean=(-0.8, 0.0, 0.1), tau=(0.0, 0.6, 0.1))

# %% [markdown]
# ## Tests of asymmetry
#
# Egger's regression with the standard error gives false alarms for standardised mean differences, because the SE of an
# SMD contains the SMD (Pustejovsky & Rodgers 2019, Res Synth Methods 10:57). So mtmeta takes precision from the sample
# size, and refuses below ten trials unless forced (Sterne 2011, BMJ 343:d4002).

# %%
egger, begg = mt.egger(es), mt.begg(es)
say(f"Egger's regression on 1/√n: P = {egger.pvalue:.2f}. Begg's rank correlation: P = {begg.pvalue:.2f}.")

# %% [markdown]
# A large P value does not mean "no bias": with so few trials the tests find only gross asymmetry.
#
# ## Five ways to adjust

# %%
panel = mt.bias_panel(es, alternative="less")
told = panel.dropna(subset=["estimate"]).rename(columns={"method": "label"})
show(rows_layout(told, measure="SMD", better="lower", head="Method", reference=fit.estimate))
panel[["method", "estimate", "ci_low", "ci_high", "note"]].round(2).style.hide(axis="index")

# %%
spread = told["estimate"].max() - told["estimate"].min()
say(f"The answers lie {spread:.2f} apart; the unadjusted mean is {fit.estimate:.2f}.")

# %% [markdown]
# - **Trim and fill** mirrors the trials that seem to lack a partner. It takes asymmetry for bias, whatever its cause.
# - **PET-PEESE** draws the line through the funnel to a trial without error. It leans on few small trials.
# - The **selection model** gives trials with P above a limit a smaller chance to be seen, and estimates that chance.
# - **p-uniform\*** asks how results are spread among the significant ones, and among the others, each given its group.
#
# In simulations none of them did best in every situation (Carter 2019, Adv Methods Pract Psychol Sci 2:115). Each makes an
# assumption that cannot be checked with these data. The notes of the table say where a method was strained.

# %%
filled = mt.trim_and_fill(es)
show(funnel_layout(fit, filled=filled, title="With the trials that trim and fill adds"))

# %%
lines = mt.pet_peese(es)
show(funnel_layout(fit, curves=lines, title="PET and PEESE"))

# %% [markdown]
# ## The p-curve
#
# If music did nothing, significant P values would be spread evenly below 5%; if it does something, small ones are more
# frequent.

# %%
pvalues = [two_sided(float(z)) for z in es.yi / np.sqrt(es.vi)]
show(p_curve_layout(pvalues, title=run.analysis.title))

# %% [markdown]
# ## How bad could it be?
#
# Do not estimate the selection: suppose the strongest. Call a trial *affirmative* if it is significant in favour of music.
# The likelier affirmative trials are to be printed than the others, the nearer the corrected mean comes to the mean of the
# others alone (Mathur & VanderWeele 2020, J R Stat Soc C 69:1091). That is a bound, no estimate: if the others alone still
# favour music, then selection of this kind, however strong, does not explain all of the effect. What counts as significant is
# a choice; move the level.


# %%
def bound(level=0.05):
    worst = mt.worst_case(es, alternative="less", alpha=level)
    low, high = worst.ci()
    say(
        f"{worst.affirmative} of {es.k} trials are affirmative. The other {worst.nonaffirmative} alone give "
        f"**{worst.estimate:.3f}** [{low:.3f}, {high:.3f}] instead of {fit.estimate:.3f}."
    )


slide(bound, level=(0.01, 0.2, 0.01))

# %% [markdown]
# ## Try
#
# - In the made world, set the true mean to zero and the probability to zero. What would a reviewer conclude?
# - Raise τ in the made world. Can you still see the selection in the funnel?
# - Read `help(mt.SelectionModel)`: what happens with `steps=[0.025, 0.5]` here, and why does it refuse?
