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
# # 8. The multiverse of cardiac anxiety
#
# Between the trials and the pooled number lie choices: which trials, which rows of them, which formula, which model. Each is
# defensible; together they make hundreds of analyses, of which a paper reports one. Do them all, and see what the answer depends
# on. The trials are those of music for anxiety in coronary heart disease (Cochrane review CD006577.pub3).

# %%
import itertools
import warnings

import mtmeta as mt
from mtmeta.errors import MixedScoresWarning
from mtmeta.figures import specification_layout
from mtmeta.reports.notebook import question, records, say, show, slide

FOREST = "CD006577.pub3: Anxiety (all measures) - patient type"
run = question("cardiac-anxiety")

# %% [markdown]
# ## The choices
#
# A choice belongs here if a reasonable reviewer could make it *before* seeing the results. One of them answers a warning that
# mtmeta gives: some trials enter final scores and some changes, whose standard deviations are not comparable (Cochrane
# Handbook, section 10.5.2).

# %%
everyone = run.effects
change = [s for s, kind in zip(everyone.study, everyone.columns["value"], strict=True) if kind == "change"]
therapy = [
    s for s, kind in zip(everyone.study, everyone.columns["category"], strict=True) if kind == "music therapy"
]
small = [s for s, n in zip(everyone.study, everyone.n, strict=True) if n < 30]
TRIALS = {
    "all": {},
    "no change scores": dict.fromkeys(change, "a change score"),
    "music medicine only": dict.fromkeys(therapy, "music therapy"),
    "n of 30 and more": dict.fromkeys(small, "small"),
}
VARIANCE = ("LS", "LS2", "UB", "RevMan")
MODELS = {
    "common": mt.CommonEffect(),
    **{
        f"{tau2}, {ci}": mt.RandomEffects(tau2=tau2, ci=ci)
        for tau2 in ("DL", "PM", "REML", "SJ")
        for ci in ("Wald", "HKSJ")
    },
}
specifications = []
warnings.filterwarnings("ignore", category=MixedScoresWarning)  # said above, and answered by a choice
for (trials, excluded), variance in itertools.product(TRIALS.items(), VARIANCE):
    es = mt.effect_sizes(
        records(),
        condition="cardiac",
        construct="anxiety",
        used_in=FOREST,
        variance=variance,
        exclude=excluded,
    )
    specifications += [
        ({"trials": trials, "variance": variance, "model": name}, es, model) for name, model in MODELS.items()
    ]

universe = mt.multiverse(specifications)
frame = universe.to_frame()
say(f"{len(TRIALS)} × {len(VARIANCE)} × {len(MODELS)} choices: **{len(frame)} analyses**.")

# %% [markdown]
# ## The curve

# %%
main = next(
    i
    for i, (choice, _, _) in enumerate(specifications)
    if choice == {"trials": "all", "variance": "LS", "model": "REML, HKSJ"}
)
show(specification_layout(universe, main=main, title=run.analysis.title))

# %%
shares, vibration = universe.shares(), universe.vibration()
say(
    f"Estimates from {frame['estimate'].min():.2f} to {frame['estimate'].max():.2f}, median {vibration['median']:.2f}. The interval lies "
    f"wholly on the side of music in **{shares['below']:.0%}** of the analyses, holds no difference in {shares['inconclusive']:.0%}, "
    f"and lies on the other side in {shares['above']:.0%}."
)

# %% [markdown]
# ## Which choice moves it?
#
# The share of the variance of the estimates that each choice explains, alone and beyond the others. It says where the discussion
# belongs.

# %%
universe.decomposition().style.format(precision=2)

# %%
alone = universe.decomposition().set_index("choice")["alone"].drop("interactions")
say(f"The estimate depends most on: **{alone.idxmax()}**.")

# %% [markdown]
# The interval is another matter: two analyses with the same estimate may differ in it. Choose a set of trials and a variance, and
# see the models side by side.


# %%
def beside(trials="all", variance="LS"):
    rows = frame[(frame["trials"] == trials) & (frame["variance"] == variance)]
    told = rows[["model", "k", "estimate", "ci_low", "ci_high", "tau2"]].set_index("model").round(2)
    excludes = int((rows["ci_high"] < 0).sum())
    say(
        told.reset_index().pipe(as_markdown)
        + f"\n\n{excludes} of {len(rows)} intervals exclude no difference."
    )


def as_markdown(table):
    head = "| " + " | ".join(table.columns) + " |\n|" + "---|" * len(table.columns) + "\n"
    return head + "\n".join(
        "| " + " | ".join(str(x) for x in row) + " |" for row in table.itertuples(index=False)
    )


slide(beside, trials=list(TRIALS), variance=list(VARIANCE))

# %% [markdown]
# ## What a multiverse does not say
#
# The analyses are not independent, and not equally good: a common effect where I² is large is a poor model, and counting it as
# one of many does not make it better. The share of "significant" ones is no P value and no probability. What the curve shows is
# whether the conclusion *rests* on a choice, and on which.
#
# ## Try
#
# - Add a choice: another correlation, leaving out the largest effect, one row of White's two.
# - Take out what you would not defend. Does the share change?
# - Which set of trials gives the widest interval, and is it the one with the fewest trials?
