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
# # 7. Find the planted errors
#
# Whoever computes the effects of published meta-analyses again cannot reproduce many of them (Maassen 2020, PLoS One
# 15:e0233107). Errors often leave a trace in what stands beside the number: another trial, the P value, the sentence of the
# report. Below is an extraction sheet of twelve trials of music before surgery, all with the state scale of the STAI (scores
# from 20 to 80, lower is better). **The trials are made, not real**; the errors are of the real kinds. Find them.

# %%
import numpy as np
from scipy import stats

import mtmeta as mt
from mtmeta.audit.check import findings_of
from mtmeta.audit.exercise import KINDS, Exercise
from mtmeta.figures import forest_layout
from mtmeta.reports.notebook import say, show, slide

exercise = Exercise(seed=2026)
say(f"{exercise.errors} errors are planted, each of another kind: " + ", ".join(KINDS) + ".")
sheet = exercise.table()
sheet

# %% [markdown]
# ## Look first
#
# Draw the effects. Which trial would you ask about? Remember that an odd trial may be right: chance and real differences make odd
# trials too. So look for a *second* trace before you accuse.

# %%
NAMES = {
    "mean music": "m1",
    "sd music": "sd1",
    "n music": "n1",
    "mean control": "m2",
    "sd control": "sd2",
    "n control": "n2",
}
table = sheet.rename(columns=NAMES).reset_index()
es = mt.EffectSizes.from_frame(table, measure="SMD", study="trial")
show(forest_layout(mt.RandomEffects().fit(es), better="lower", title="As extracted"))

# %% [markdown]
# ## Tools
#
# `recompute` gives the P value that means, SDs and group sizes imply (a t test), beside the printed one, and shows what an SD would
# be if the printed value were an SE.


# %%
def recompute(trial=sheet.index[0]):
    row = sheet.loc[trial]
    p = stats.ttest_ind_from_stats(
        row["mean music"],
        row["sd music"],
        row["n music"],
        row["mean control"],
        row["sd control"],
        row["n control"],
    ).pvalue
    say(
        f"{trial}: P from the values {p:.3g}, printed {row['P']}; analysed {row['n music'] + row['n control']}, randomised "
        f"{row['randomised']}; SDs if the printed ones were SEs: {row['sd music'] * np.sqrt(row['n music']):.1f} and "
        f"{row['sd control'] * np.sqrt(row['n control']):.1f}. The report says: {row['the report says']}"
    )


slide(recompute, trial=list(sheet.index))

# %% [markdown]
# ## Your answers
#
# Write them into the dictionary, run the cell, and read what the grader says. It tells what is right; of the rest it tells only
# whether there is something to find. For a hint call `exercise.hint("trial-a")`; `exercise.hint("trial-a", 1)` and `2` come nearer.

# %%
answers = {
    # "trial-a": "wrong n",
}
print(exercise.grade(answers))

# %%
print(exercise.hint("trial-a"))

# %% [markdown]
# ## What did it cost?
#
# Leave out the trials that you accused and pool again. An error of extraction matters by what it moves.

# %%
accused = list(answers)
cleaned = es.subset(~table["trial"].isin(accused).to_numpy())
before, after = mt.RandomEffects().fit(es), mt.RandomEffects().fit(cleaned)
say(
    f"As extracted {before.estimate:.2f} [{before.ci().low:.2f}, {before.ci().high:.2f}], I² {before.i2:.0f}%; without what you "
    f"accused ({len(accused)} trials) {after.estimate:.2f} [{after.ci().low:.2f}, {after.ci().high:.2f}], I² {after.i2:.0f}%."
)

# %% [markdown]
# ## When you have searched yourself: what do the integrity checks see?
#
# `mtmeta check` does this on every record. Set `searched = True`. Its findings are evidence, not verdicts: each says what contradicts
# what, and you decide.

# %%
searched = False
findings = [f for f in findings_of(exercise.studies) if f.severity in ("error", "suspect")]
if searched:
    say("\n".join(f"- {', '.join(f.ids)}: **{f.code}**: {f.message}" for f in findings))
else:
    say(f"The checks have {len(findings)} findings, hidden until you set `searched = True`.")

# %% [markdown]
# ## Again
#
# Each seed is another sheet: `Exercise(seed=7, errors=5)`. Real sheets are in `studies/`: run `mtmeta check` there, and read how
# the known faults were found and answered (`flags` and `checked` in the records).
