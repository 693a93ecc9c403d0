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
# # 11. Dose and response: do more sessions help more?
#
# Everyone asks it. The question looks like a regression of effects on the number of sessions. Here you do that regression on
# real trials of music for anxiety, and then see why its answer is worth little: most reports do not say how many sessions
# there were, and trials with many sessions differ from the others in everything else too.

# %%
import warnings
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

import mtmeta as mt
from mtmeta.errors import LeftOutWarning, MixedScoresWarning
from mtmeta.figures import bubble_layout
from mtmeta.reports.notebook import records, say, show, slide

# final and change scores stand together here (see the column "value"), and what gives no effect is listed below
warnings.filterwarnings("ignore", category=MixedScoresWarning)
warnings.filterwarnings("ignore", category=LeftOutWarning)
everyone = mt.effect_sizes(records(), construct="anxiety", comparator="inactive", rule="mean")
told = everyone.columns["sessions"].notna().to_numpy()
es = everyone.subset(told)
es = replace(es, study=tuple(es.columns["label"])).with_moderators(
    {"sessions": es.columns["sessions"].astype(float)}
)
say(
    f"Of {everyone.k} trials with an anxiety outcome against no music or usual care, only **{es.k}** tell the number of "
    f"sessions: from {es.columns['sessions'].min():.0f} to {es.columns['sessions'].max():.0f}. Left out, because what was "
    "printed gives no effect: "
    + ", ".join(str(row).split(":")[0] for row in everyone.left_out if row.answers)
    + "."
)

# %%
table = es.columns[["label", "condition", "sessions", "category", "value"]].assign(effect=es.yi.round(2))
table.sort_values("sessions").style.hide(axis="index").format(precision=2)

# %% [markdown]
# ## Which trials tell?
#
# If the ones that tell differ from the ones that do not, the regression speaks for neither.

# %%
rest = everyone.subset(~told)
one, two = mt.RandomEffects().fit(es), mt.RandomEffects().fit(rest)
say(
    f"Mean effect of trials that tell: {one.estimate:.2f} [{one.ci().low:.2f}, {one.ci().high:.2f}]; of those that do not: "
    f"{two.estimate:.2f} [{two.ci().low:.2f}, {two.ci().high:.2f}]."
)

# %% [markdown]
# ## A straight line

# %%
line = mt.MetaRegression("sessions").fit(es)
show(
    bubble_layout(
        es, "sessions", line.curve("sessions"), labels=True, x_label="Sessions", title="Anxiety by sessions"
    )
)
low, high = line.ci().loc["sessions"]
say(
    f"Slope {line.coef['sessions']:.3f} a session [{low:.3f}, {high:.3f}], P = {line.pvalue['sessions']:.2f}; "
    f"τ² goes from {one.tau2:.2f} to {line.tau2:.2f}."
)

# %% [markdown]
# ## Other shapes
#
# Twice as many sessions may help equally more whether from one to two or from six to twelve: that is a line in log(sessions). A
# spline lets the curve bend where it likes, and pays for it with degrees of freedom. Choose a shape.

# %%
SHAPES = {
    "line": "sessions",
    "logarithm": "log(sessions)",
    "quadratic": "poly(sessions, 2)",
    "spline": "cr(sessions, df=3)",
}


def shape(of="line"):
    fit = mt.MetaRegression(SHAPES[of]).fit(es)
    show(
        bubble_layout(es, "sessions", fit.curve("sessions"), x_label="Sessions", title=f"{of}: {SHAPES[of]}")
    )
    say(f"test of the curve: P = {fit.qm_pvalue:.2f}; residual I² {fit.i2:.0f}%; AIC by ML: {aic[of]:.1f}")


aic = {name: mt.MetaRegression(formula, tau2="ML", ci="Wald").fit(es).aic for name, formula in SHAPES.items()}
slide(shape, of=list(SHAPES))

# %% [markdown]
# ## A P value without assumptions
#
# The tests above take the scatter for normal and τ² for known well enough. The permutation test asks instead: if the numbers of
# sessions were dealt at random to the trials, how often would the slope look at least as strong?

# %%
test = mt.permutation_test(mt.MetaRegression("sessions"), es, 5000, seed=1)
say(
    f"Of {test.permutations} random deals, {100 * test.pvalue['sessions']:.0f}% gave a slope at least as strong."
)

# %% [markdown]
# ## Why "between trials" is not "within trials"
#
# Nobody was randomised to a number of sessions. Below, in a made world, sessions do nothing *within* any setting, yet settings
# where people are iller give more sessions and have larger effects. Raise the confounding and watch the line that a regression
# over all trials finds; the truth is flat.


# %%
def confounded(strength=0.6, trials=30):
    rng = np.random.default_rng(5)
    setting = rng.integers(0, 3, trials)
    sessions = np.clip(rng.normal(2 + 5 * setting, 1.5, trials), 1, None)
    v = rng.uniform(0.03, 0.12, trials)
    y = -0.2 - strength * setting + rng.normal(0, np.sqrt(v + 0.02))
    made = mt.EffectSizes.of(
        y, v, measure=mt.SMD, moderators={"sessions": sessions, "setting": setting.astype(float)}
    )
    raw = mt.MetaRegression("sessions").fit(made)
    adjusted = mt.MetaRegression("sessions + setting").fit(made)
    fig = Figure(figsize=(5.6, 2.9), layout="constrained")
    ax = fig.subplots()
    for level, colour in enumerate(("#0072B2", "#D55E00", "#009E73")):
        ax.plot(
            sessions[setting == level],
            y[setting == level],
            "o",
            color=colour,
            markersize=4,
            label=f"setting {level + 1}",
        )
    x = np.linspace(sessions.min(), sessions.max(), 50)
    ax.plot(x, raw.coef["Intercept"] + raw.coef["sessions"] * x, color="black", label="regression over all")
    ax.set_xlabel("sessions")
    ax.set_ylabel("effect")
    ax.legend(frameon=False, fontsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    show(fig)
    say(
        f"slope over all {raw.coef['sessions']:.3f} (P {raw.pvalue['sessions']:.1g}); "
        f"with the setting in the model {adjusted.coef['sessions']:.3f} (P {adjusted.pvalue['sessions']:.2f}); truth: none"
    )


slide(confounded, strength=(0.0, 1.2, 0.1), trials=(10, 60, 5))

# %% [markdown]
# What would answer the question: trials that randomise people to different numbers of sessions. None of the trials recorded here
# does.
#
# ## Try
#
# - Add `condition` to the model: `mt.MetaRegression("sessions + C(condition)")` with both moderators. What happens, and why?
# - How many trials would you need to see a true slope of this size? Simulate.
# - Which single trial carries the slope? `mt.leave_one_out(mt.MetaRegression("sessions"), es)` may refuse; then loop.
