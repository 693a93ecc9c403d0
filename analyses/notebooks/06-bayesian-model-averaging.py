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
# # 6. Bayesian model averaging: anxiety on a ventilator
#
# Is there an effect at all? Is there heterogeneity? The usual way answers by tests and then reports one model as if it had been
# certain from the start. Model averaging keeps both questions open: it takes four models, asks how well each predicted the
# data, and weights their answers by that.
#
# The data are five trials of music for patients on a ventilator (Cochrane review CD006902.pub3).

# %%
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import mtmeta as mt
from mtmeta.reports.notebook import question, say, show, slide

es = question("icu-anxiety").effects
average = mt.BayesModelAverage().fit(es)
average.models.style.format(precision=4)

# %% [markdown]
# Each model starts with the same prior probability. `log_marginal` is the logarithm of how probable the data were under the
# model, averaged over its prior: a model that spreads its bets thin is punished for it, without a further rule.
#
# ## The priors
#
# A model of an effect must say which effects it expects. The defaults were fitted to half of the Cochrane reviews of continuous
# outcomes and tried on the other half (Bartoš 2021, Stat Med 40:6743).

# %%
say("\n".join(f"- {line}" for line in average.priors.splitlines()))

# %% [markdown]
# ## Two questions, two Bayes factors

# %%
for part in ("effect", "heterogeneity"):
    bf = average.inclusion_bf(part)
    words = "for" if bf > 1 else "against"
    say(
        f"**{part}**: the data are {max(bf, 1 / bf):.3g} times as probable with it as without (evidence {words} it); "
        f"posterior probability {average.probability(part):.3f}."
    )

# %% [markdown]
# ## The averaged effect
#
# Two readings: *given that there is an effect* (conditional), or over all models, in which case a lump of probability sits at
# exactly zero. The figure shows the density of the first and the lump of the second.


# %%
def posterior_figure(fit):
    conditional = fit.mu("conditional")
    x = np.linspace(-2.6, 1.0, 300)
    fig = Figure(figsize=(6.5, 2.4), layout="constrained")
    ax = fig.subplots()
    ax.plot(x, fit.probability("effect") * conditional.pdf(x), color="#0072B2", label="mean effect")
    ax.plot(x, fit.mu_prior.pdf(x) * 0.5, color="#7F7F7F", linestyle="--", linewidth=0.9, label="its prior")
    ax.vlines(
        0, 0, 1 - fit.probability("effect"), color="#D55E00", linewidth=4, label="probability of no effect"
    )
    ax.plot(es.yi, np.zeros(es.k), "k|", markersize=12, label="trials")
    ax.set_yticks([])
    ax.set_xlabel("standardised mean difference")
    ax.legend(frameon=False, fontsize=7)
    ax.spines[["top", "right", "left"]].set_visible(False)
    show(fig)


posterior_figure(average)
conditional, averaged = average.mu("conditional"), average.mu("averaged")
low, high = conditional.ci(0.95)
say(
    f"Given an effect: {conditional.mean:.2f} [{low:.2f}, {high:.2f}]. Over all models the mean is {averaged.mean:.2f}. The usual "
    f"random-effects answer is {mt.RandomEffects().fit(es).estimate:.2f}: the prior, which knows that effects are seldom so large, "
    "pulls the Bayesian one towards zero."
)

# %% [markdown]
# ## Turn the priors
#
# How far does the answer rest on the prior? Move its scales. A very wide prior of the effect makes the evidence for an effect
# *weaker*: it bets on effects that do not occur. (That is why a flat prior cannot be used for Bayes factors.)


# %%
def turn(effect_scale=0.43, tau_scale=0.40):
    fit = mt.BayesModelAverage(mu=mt.StudentT(5, 0, effect_scale), tau=mt.InverseGamma(1.71, tau_scale)).fit(
        es
    )
    posterior_figure(fit)
    say(
        f"P(effect) {fit.probability('effect'):.2f}, P(heterogeneity) {fit.probability('heterogeneity'):.2f}, "
        f"effect over all models {fit.mu('averaged').mean:.2f}"
    )


slide(turn, effect_scale=(0.05, 3.0, 0.05), tau_scale=(0.05, 2.0, 0.05))

# %% [markdown]
# ## By topic
#
# Effects are larger in some fields than in others. The same review, with priors of other Cochrane topics:

# %%
rows = []
for topic in ("any", "Common Mental Disorders", "Pain, Palliative and Supportive Care", "Schizophrenia"):
    choice = mt.choose_priors("SMD", topic=topic)
    fit = mt.BayesModelAverage(mu=choice.mu, tau=choice.tau).fit(es)
    rows.append(
        {
            "topic": topic,
            "P(effect)": fit.probability("effect"),
            "P(heterogeneity)": fit.probability("heterogeneity"),
            "averaged effect": fit.mu("averaged").mean,
        }
    )
pd.DataFrame(rows).style.hide(axis="index").format(precision=3)

# %% [markdown]
# ## What it does not do
#
# The average is over effect and heterogeneity only. It knows nothing of publication bias, of the risk of bias in the trials, or
# of the fact that all five rows are change scores. Nor are the numbers sampled: integrals over τ are computed by adaptive
# quadrature, so the answer is the same each time.
#
# ## Try
#
# - Give "no effect" nine times the prior probability of an effect: `mt.BayesModelAverage(weights=(0.45, 0.05, 0.45, 0.05))`.
# - Run it on `question("schizophrenia-gaf").effects`. Is "no evidence of an effect" the same as "evidence of no effect"?
