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
# # 1. From a paper to an effect size
#
# A trial report prints two means, two standard deviations and two group sizes. A meta-analysis needs one number a
# trial: how far the groups lie apart, in units that trials on different scales share. Here you compute that number
# for a real trial, first by hand, then by code, and see what happens when a standard error is read as a standard
# deviation.
#
# The trial is Lin 2011, music for people with dementia. Its numbers stand in the Cochrane review
# CD003477.pub5; the record holds them as printed, with the place they were read.
#
# Run the cells from the top (Shift+Enter). No sentence below holds a number that is typed: cells compute them.

# %%
import math

import numpy as np
from matplotlib.figure import Figure

import mtmeta as mt
from mtmeta.reports.notebook import question, records, say, show, slide

trial = records()["lin-2011"]
outcome = next(o for o in trial.outcomes if o.construct_ == "depression" and o.time == "post")
music, control = outcome.data.music, outcome.data.control

say(
    f"""
**{trial.label}**, {outcome.construct_} {outcome.time_as_printed} (lower is better):

| | people | mean | SD |
|---|---:|---:|---:|
| music | {music.n} | {music.mean} | {music.sd} |
| control | {control.n} | {control.mean} | {control.sd} |

Source: {outcome.source.cite}, {outcome.source.where}.
"""
)

# %% [markdown]
# ## By hand
#
# 1. The **mean difference**: music minus control, in points of the scale.
# 2. The **pooled SD**: how far people of one group typically lie apart. Each group's variance counts by its degrees of
#    freedom.
# 3. **d**: the mean difference divided by the pooled SD. It has no unit any more.
# 4. **J**: d is a little too large in small samples; Hedges' factor takes that back. `g = J d`.
# 5. The **variance** of g: how much g would scatter if the trial were repeated.

# %%
difference = music.mean - control.mean
df = music.n + control.n - 2
pooled_sd = math.sqrt(((music.n - 1) * music.sd**2 + (control.n - 1) * control.sd**2) / df)
d = difference / pooled_sd
J = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
g = J * d
v = 1 / music.n + 1 / control.n + g**2 / (2 * (music.n + control.n))

say(
    f"""
| step | value |
|---|---:|
| mean difference | {difference:.3f} points |
| pooled SD | {pooled_sd:.4f} points |
| d | {d:.4f} |
| J | {J:.4f} |
| **g** | **{g:.4f}** |
| standard error of g, √v | {math.sqrt(v):.4f} |
"""
)

# %% [markdown]
# Sources: Hedges 1981 (J Educ Stat 6:107) for J; Hedges 1982 (Psychol Bull 92:490), eq. 8, for the variance; the
# Cochrane Handbook, version 6, section 6.5.2.3, for the pooled SD.
#
# ## By code
#
# One call does the same, and `mt.effect_sizes` does it for every trial of a question.

# %%
y, var = mt.standardized_mean_difference(
    music.mean, music.sd, music.n, control.mean, control.sd, control.n, variance="LS"
)
assert abs(float(y) - g) < 1e-12
assert abs(float(var) - v) < 1e-12
say(f"mtmeta says g = {float(y):.4f}, SE {math.sqrt(float(var)):.4f}: the same as by hand.")

# %% [markdown]
# Does it agree with what the review printed? The review's program computes J and the variance by slightly different
# formulas (`variance="RevMan"`), so the last digit may depend on the convention, never the meaning.

# %%
printed = outcome.reported
low_high = f" [{printed.ci_low:.2f}, {printed.ci_high:.2f}]" if printed.ci_low is not None else ""
revman, revman_v = mt.standardized_mean_difference(
    music.mean, music.sd, music.n, control.mean, control.sd, control.n, variance="RevMan"
)
half = 1.959964 * math.sqrt(float(revman_v))
say(
    f"The review prints **{printed.estimate:.2f}{low_high}**; by RevMan's formulas we get "
    f"**{float(revman):.2f} [{float(revman) - half:.2f}, {float(revman) + half:.2f}]**."
)

# %% [markdown]
# ## What the number means
#
# g is a distance between two hills: the people with music and the people without. Move the slider and watch how much
# the hills overlap. The sentence under the figure says what share of the control group has a lower score than the
# average person with music (Cohen's U3, here for the lower tail).


# %%
def hills(effect=g):
    x = np.linspace(-4, 5, 400)
    fig = Figure(figsize=(6.5, 2.4), layout="constrained")
    ax = fig.subplots()
    for centre, colour, name in ((0.0, "#595959", "control"), (effect, "#0072B2", "music")):
        density = np.exp(-((x - centre) ** 2) / 2) / math.sqrt(2 * math.pi)
        ax.fill_between(x, density, color=colour, alpha=0.35, linewidth=0)
        ax.plot(x, density, color=colour, label=name)
        ax.axvline(centre, color=colour, linewidth=0.8)
    ax.set_yticks([])
    ax.set_xlabel("score, in standard deviations from the control group's mean")
    ax.legend(frameon=False, loc="upper right")
    ax.spines[["top", "right", "left"]].set_visible(False)
    show(fig)
    below = 0.5 * (1 + math.erf(effect / math.sqrt(2)))
    say(f"g = {effect:.2f}: {below:.0%} of the control group score lower than the average person with music.")


slide(hills, effect=(-2.0, 2.0, 0.05))

# %% [markdown]
# ## The commonest slip: an SE read as an SD
#
# Reports print "mean (SD)" or "mean (SE)", and sometimes do not say which. SE = SD / √n, so an SE taken for an SD makes
# the effect √n times too large. Choose what the printed ± was, and see what the same trial would then seem to show.


# %%
def slip(printed="SD, as it is"):
    wrong = printed != "SD, as it is"
    sd1 = music.sd / math.sqrt(music.n) if wrong else music.sd
    sd2 = control.sd / math.sqrt(control.n) if wrong else control.sd
    seen, seen_v = mt.standardized_mean_difference(music.mean, sd1, music.n, control.mean, sd2, control.n)
    say(
        f"SDs entered: {sd1:.2f} and {sd2:.2f}. Effect: g = **{float(seen):.2f}** "
        f"(SE {math.sqrt(float(seen_v)):.2f}), that is {float(seen) / g:.1f} times the true one."
    )


slide(slip, printed=["SD, as it is", "SE, and read as an SD"])

# %% [markdown]
# `mtmeta check` looks for this slip in every record: effects that no trial of the kind can have, and P values that the
# printed values cannot give. Notebook 7 lets you look yourself.
#
# ## The way of this number to the pooled answer
#
# `mt.why` (on the command line `mtmeta why dementia-depression lin-2011`) traces it from the line of the record to
# the pooled estimate.

# %%
print(mt.why(question("dementia-depression"), "lin-2011"))

# %% [markdown]
# ## Try
#
# - Take another trial of `records()` whose data are means, and compute its g by hand.
# - What if the group sizes were ten times as large? Which of g and its SE changes?
# - In which direction is "better" here? Look at `outcome.better`, and say in words what the sign of g tells.
