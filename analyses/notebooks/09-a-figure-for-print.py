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
# # 9. Reproduce a Cochrane figure, ready for print
#
# A forest plot in a review is data, a model and a style. Here you rebuild one of CD006577.pub3 (music for anxiety in
# coronary heart disease), check it digit by digit, and write it in the formats and widths that journals ask for.

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

import mtmeta as mt
from mtmeta.figures import STYLES, alt_text, caption, draw_layout, forest_layout
from mtmeta.reports.notebook import question, say, show, slide

run = question("cardiac-anxiety")
beside = run.published[0]
said = beside.published
say(
    f"Printed by {said.review}: {said.measure} {said.estimate} [{', '.join(said.ci)}], {said.k} trials, {said.n} "
    f"people ({said.source}).\n\nOurs by the review's method (DerSimonian–Laird, Wald, RevMan's formula for the "
    f"variance): {beside.estimate:.2f} [{beside.ci.low:.2f}, {beside.ci.high:.2f}], {beside.k} trials, {beside.n} people: "
    f"**{beside.agreement}**."
)

# %% [markdown]
# ## The figure, in Cochrane's style

# %%
layout = forest_layout(beside.result, style="cochrane", better="lower", title=run.analysis.title)
show(layout, width=174)

# %% [markdown]
# The layout is data: every text and every mark with its position, before any ink. So a test can hold a figure against its
# numbers, and two figures can be compared without looking at pixels. It also writes its own caption and its description
# for readers who do not see the image.

# %%
say(f"> {caption(layout)}\n\n*Description:* {alt_text(layout)}")

# %% [markdown]
# ## Styles and widths
#
# A style fixes what a house fixes: type, columns, how intervals and P values are spelled, colours, column widths. Choose.


# %%
def dress(style="jama", width="double", prediction="bar"):
    chosen = forest_layout(
        run.result, style=style, better="lower", prediction=prediction, title=run.analysis.title
    )
    ax = draw_layout(chosen, width=width)
    show(ax)
    millimetres = 25.4 * ax.figure.get_size_inches()[0]
    say(f"style {style}, {width} column: {millimetres:.0f} mm wide")


slide(
    dress,
    style=sorted(STYLES),
    width=["single", "one-and-half", "double"],
    prediction=["bar", "shade", "density", "none"],
)

# %% [markdown]
# Change one thing of a style with `dataclasses.replace`: it is a frozen value.

# %%
own = replace(
    STYLES["plain"],
    size=9.0,
    diamond="#009E73",
    diamond_edge="#009E73",
    square="#000000",
    square_edge="#000000",
)
show(mt.forest(run.result, style=own, better="lower", width=160))

# %% [markdown]
# ## Files for the journal
#
# `mt.save` writes every format from the same layout, fonts embedded, with the same bytes each time on one machine. On the
# command line: `mtmeta figures analyses/cardiac-anxiety.yaml --style jama --width double --format pdf,tiff --dpi 600`.

# %%
with tempfile.TemporaryDirectory() as folder:
    ax = mt.forest(run.result, style="jama", better="lower", width="double")
    mt.save(ax.figure, f"{folder}/figure-1", formats=("pdf", "svg", "tiff", "png"), dpi=600)
    sizes = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
say(
    "| file | kB |\n|---|---:|\n"
    + "\n".join(f"| {name} | {size / 1024:.0f} |" for name, size in sizes.items())
)

# %% [markdown]
# ## Ours today, beside the review's
#
# The review's method is one of several. With REML and Hartung–Knapp the interval is another one; a reader deserves both.

# %%
show(forest_layout(run.result, better="lower", title="Today's defaults"))

# %% [markdown]
# ## Try
#
# - Draw the same plot for a slide: `style="slides"`.
# - Sort by effect or by year: `sort="effect"`, `sort="year"`.
# - Mark a difference that patients would notice: `mid=-0.5`.
