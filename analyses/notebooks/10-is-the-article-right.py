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
# # 10. Is the article right? Claims against evidence
#
# Articles for the public say that music therapy helps with this and that, and cite a review. Such a sentence can be tested:
# say what would make it true, find the trials, pool them, and judge by a rule written *before* looking. The claims below
# are those of one lay article, in our words.

# %%
import pandas as pd

from mtmeta.audit.claims import SIZES, judge, read_claims
from mtmeta.figures import rows_layout
from mtmeta.records.locate import data_folder
from mtmeta.reports.notebook import question, say, show, slide

claims = read_claims(data_folder("analyses") / "claims.yaml")
say("\n".join(f"- **{claim.id}** {claim.says}" for claim in claims.claims))

# %% [markdown]
# ## The rules
#
# Take Δ, the pooled effect in the direction that the claim names.
#
# | verdict | when |
# |---|---|
# | not tested here | no analysis answers it |
# | wrong outcome or population | what was pooled is another outcome, or mostly other people, other music or another comparison than claimed |
# | contradicted | the interval excludes no difference, in the other direction |
# | not supported | the interval includes no difference |
# | too strong | the effect is there, but smaller than claimed, or claimed for every setting while the prediction interval includes no difference, or said more surely than its certainty (GRADE) carries |
# | supported | none of these |
#
# The first that applies is the verdict. A claim of several parts gets its least favourable one; the fine print stands in
# [the claims page](../../docs/claims.md).

# %%
needed = sorted({part.analysis for claim in claims.claims for part in claim.parts if part.analysis})
verdicts = judge(claims, [question(name) for name in needed])
table = pd.DataFrame(
    {
        "claim": [v.id for v in verdicts],
        "verdict": [v.verdict for v in verdicts],
        "parts": [len(v.parts) for v in verdicts],
        "references with a fault": [len(v.references) for v in verdicts],
    }
)
table.style.hide(axis="index")

# %%
counted = table["verdict"].value_counts()
say("Verdicts: " + ", ".join(f"{name} {count}" for name, count in counted.items()) + ".")

# %% [markdown]
# ## Read one closely
#
# Each verdict names the numbers it rests on, and what would change it.


# %%
def read(claim=verdicts[0].id):
    verdict = next(v for v in verdicts if v.id == claim)
    lines = [f"**{verdict.id}: {verdict.verdict}.** {verdict.says}\n"]
    for part in verdict.parts:
        lines.append(f"- *{part.says}*: **{part.verdict}**; {part.because}")
        if "estimate" in part.numbers:
            low, high = part.numbers["ci"]
            lines.append(
                f"  ({part.analysis}: {part.numbers['measure']} {part.numbers['estimate']:.2f} "
                f"[{low:.2f}, {high:.2f}], {part.numbers['k']} trials)"
            )
        lines.append(f"  Would change it: {part.would_change}.")
        lines += [f"  Computed: {line}." for line in part.sensitivity]
    lines += [f"- reference: {line}" for line in verdict.references]
    say("\n".join(lines))


slide(read, claim=[v.id for v in verdicts])

# %% [markdown]
# ## All tested parts in a figure

# %%
rows = [
    {
        "label": part.says,
        "claim": f"{verdict.id}: {verdict.verdict}",
        "estimate": part.numbers["estimate"],
        "ci_low": part.numbers["ci"][0],
        "ci_high": part.numbers["ci"][1],
        "k": part.numbers["k"],
    }
    for verdict in verdicts
    for part in verdict.parts
    if part.numbers.get("measure") == "SMD"
]
show(rows_layout(pd.DataFrame(rows), measure="SMD", columns=("k",), group="claim", head="Statement"))

# %% [markdown]
# ## The references
#
# A wrong reference is a fault of its own: a reader who follows it does not find what the article says.

# %%
faults = [f"- {v.id}: {line}" for v in verdicts for line in v.references]
say("\n".join(dict.fromkeys(faults)) or "none found")

# %% [markdown]
# ## What the rules cannot do
#
# They judge the sentence by the trials that are recorded here: direction, size, prediction interval, and the certainty that
# the rules of GRADE propose. Whether the outcome matters to patients, and whether these people are yours, a person must
# judge. And "not supported" is not "untrue": few trials leave wide intervals.

# %%
say("Sizes that words stand for here: " + ", ".join(f"{word} {size}" for word, size in SIZES.items() if size))

# %% [markdown]
# ## Try
#
# - Which verdicts would change if "large" began at half its size?
# - Write a claim of your own into a copy of `claims.yaml` and judge it: `mtmeta claims my-claims.yaml`.
# - Which claims rest on one trial only? What would you need to know before telling a patient?
