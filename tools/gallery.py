# ruff: noqa: D102, D103 - each builder is named after its figure
"""Draw docs/gallery/*.png and write docs/gallery.md from the shipped records.

Run ``python tools/gallery.py [NAME ...]``: all figures, or those named, and the page. ``--check`` draws
nothing: it lays every figure out again and ends with 1 if the page (its captions and descriptions hold the
numbers drawn) is not what the records give, or an image is missing or named nowhere.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mtmeta.audit.files import read_analyses
from mtmeta.audit.run import AnalysisRun, run_analysis
from mtmeta.diagnostics.adjust import pet_peese
from mtmeta.diagnostics.gosh import gosh
from mtmeta.diagnostics.influence import baujat, cumulative, influence, leave_one_out
from mtmeta.diagnostics.multiverse import multiverse
from mtmeta.diagnostics.selection import SelectionModel
from mtmeta.diagnostics.trim_fill import trim_and_fill
from mtmeta.effects.table import EffectSizes
from mtmeta.figures import (
    STYLES,
    RobTable,
    alt_text,
    baujat_layout,
    bayes_forest_layout,
    bubble_layout,
    caption,
    caterpillar_layout,
    compare_layout,
    cumulative_layout,
    drapery_layout,
    draw_layout,
    forest_layout,
    funnel_layout,
    gap_map_layout,
    gosh_layout,
    influence_layout,
    labbe_layout,
    leave_one_out_layout,
    orchard_layout,
    p_curve_layout,
    posterior_layout,
    prisma_layout,
    radial_layout,
    rainforest_layout,
    rob_summary_layout,
    rows_layout,
    specification_layout,
    tau2_profile_layout,
    traffic_light_layout,
)
from mtmeta.figures.api import AnyLayout
from mtmeta.figures.files import render, write_together
from mtmeta.figures.layout.protocols import PooledLike
from mtmeta.models.bayes import BayesRandomEffects, BayesResult
from mtmeta.models.dependent import Multilevel
from mtmeta.models.intervals import two_sided
from mtmeta.models.pool import CommonEffect, PoolResult, RandomEffects
from mtmeta.models.priors import HalfNormal, Normal
from mtmeta.models.regression import MetaRegression
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.schema import Study

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gallery.md"
FOLDER = ROOT / "docs" / "gallery"
DPI = 160
COLOURS = 128
STYLED = "cardiac-heart-rate"
SMALL_STUDY = "preoperative-stai"

HEAD = """\
# Gallery

Every figure below is drawn from the trials in `studies/` by `python tools/gallery.py` (the L'Abbé plot alone
from a printed table, because no two of our trials record the same event). Captions, and the
descriptions for readers who do not see the images, come from the figures themselves and hold the numbers
drawn. Images are 160 dpi with few colours to keep the repository small; `mtmeta figures` writes PDF, SVG,
TIFF and PNG for print. Our forest [beside others](figures-beside-peers.md).
"""

FOOT = """\
## Not shown

- Dose-response curve (`dose_response_layout`): no trial recorded here compares several doses.
- Flow diagram of a whole search: the records hold trials, not the counts of a search. The one above counts
  what the records do hold.
"""


BAYES_NOTE = "Priors: mean normal (0, 2), heterogeneity tau half-normal (0.5)."
SELECTION_NOTE = (
    "Three-parameter model: effects that favour music with a one-sided p below 0.025 are reported with "
    "another chance than the rest. Thirteen trials say little about that chance."
)
# events and size of the vaccinated and of the controls (Viechtbauer 2010, J Stat Softw 36(3), p. 12)
BCG = (
    "4 6 3 62 33 180 8 505 29 17 186 5 27",
    "123 306 231 13598 5069 1541 2545 88391 7499 1716 50634 2498 16913",
    "11 29 11 248 47 372 10 499 45 65 141 3 29",
    "139 303 220 12867 5808 1451 629 88391 7277 1665 27338 2341 17854",
)


@dataclass(frozen=True)
class Source:
    """Records and the answers of their analyses, computed when first asked for."""

    @cached_property
    def studies(self) -> Studies:
        return read_studies(ROOT / "studies")

    @cached_property
    def by_id(self) -> dict[str, Study]:
        return {study.id: study for study in self.studies}

    @cache  # noqa: B019 - one source a process
    def run(self, name: str) -> AnalysisRun:
        (named,) = read_analyses([ROOT / "analyses" / f"{name}.yaml"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `mtmeta run` tells them; a figure repeats its analysis
            return run_analysis(named.analysis, self.studies)

    def named(self, name: str) -> EffectSizes:
        """Return the effects with labels for names, which is what diagnostics print."""
        effects = self.run(name).effects
        assert effects.columns is not None
        return replace(effects, study=tuple(effects.columns["label"]))

    def fit(self, name: str) -> PoolResult:
        return self.run(name).result.model.fit(self.named(name))


@dataclass(frozen=True)
class Entry:
    """One figure of the gallery."""

    heading: str
    build: Callable[[Source], AnyLayout]
    note: str = ""
    width: float | None = None


# ---- forests ----


def styled(style: str) -> Callable[[Source], AnyLayout]:
    def build(source: Source) -> AnyLayout:
        run = source.run(STYLED)
        return forest_layout(run.result, better=run.analysis.better, title=run.analysis.title, style=style)  # type: ignore[arg-type]

    return build


def subgroup_forest(source: Source) -> AnyLayout:
    run = source.run("depression")
    assert run.subgroups is not None
    return forest_layout(run.subgroups, better="lower", title=run.analysis.title)


def two_models(source: Source) -> AnyLayout:
    run = source.run("icu-anxiety")
    fits = [CommonEffect().fit(run.effects), run.result]
    return forest_layout(fits, better="lower", mid=-0.5, prediction="density", title=run.analysis.title)


def with_lights(source: Source) -> AnyLayout:
    run = source.run("cardiac-anxiety")
    return forest_layout(
        run.result, better="lower", rob=lights(source, label=False), title=run.analysis.title
    )


def cumulative_forest(source: Source) -> AnyLayout:
    run = source.run(STYLED)
    table = cumulative(run.result.model, source.named(STYLED), by="year")
    return cumulative_layout(
        table, measure=run.effects.measure, better="lower", title=f"{run.analysis.title}, by year"
    )


def leave_one_out_forest(source: Source) -> AnyLayout:
    run = source.run(STYLED)
    table = leave_one_out(run.result.model, source.named(STYLED))
    return leave_one_out_layout(table, run.result, better="lower", title=run.analysis.title)


PUBLISHED = (
    "cardiac-anxiety",
    "cardiac-pain",
    "schizophrenia-sans",
    "schizophrenia-sdss",
    "dementia-depression",
)
SHOWN = ("as printed", "ours, the review's method", "ours today")


def published_beside_ours(source: Source) -> AnyLayout:
    rows: list[dict[str, object]] = []
    for name in PUBLISHED:
        run = source.run(name)
        there = run.published[0]
        assert there.published.estimate is not None
        assert there.published.ci is not None
        assert there.result is not None
        printed = [float(text) for text in (there.published.estimate, *there.published.ci)]
        answers = [
            (SHOWN[0], printed[0], printed[1], printed[2], there.published.k),
            (SHOWN[1], there.result.estimate, *there.result.ci(), there.result.k),
            (SHOWN[2], run.result.estimate, *run.result.ci(), run.result.k),
        ]
        keys = ("label", "estimate", "ci_low", "ci_high", "k")
        rows += [{"question": run.analysis.title, **dict(zip(keys, a, strict=True))} for a in answers]
    return rows_layout(
        pd.DataFrame(rows),
        measure="SMD",
        columns=("k",),
        group="question",
        diamonds=SHOWN,
        head="Result",
        title="Published beside ours",
    )


def models_compared(source: Source) -> AnyLayout:
    effects = source.named(STYLED)
    fits = {
        "Common effect": CommonEffect().fit(effects),
        "REML, HKSJ": RandomEffects(tau2="REML", ci="HKSJ").fit(effects),
    }
    return compare_layout(fits, better="lower", title=source.run(STYLED).analysis.title)


def multilevel_forest(source: Source) -> AnyLayout:
    """Every psychological outcome of each trial, the outcomes of a trial under its name."""
    parts = [(name, source.named(f"cardiac-{name}")) for name in ("anxiety", "depression", "distress")]
    rows = [
        (study, name, float(y), float(v))
        for name, es in parts
        for study, y, v in zip(es.study, es.yi, es.vi, strict=True)
    ]
    rows.sort(key=lambda r: r[0])
    table = pd.DataFrame(rows, columns=["trial", "label", "y", "v"])
    effects = EffectSizes.of(
        table["y"], table["v"], "SMD", study=list(table["trial"]), columns=table[["label"]]
    )
    fit = Multilevel(robust=True).fit(effects)
    title = "Anxiety, depression and distress in coronary heart disease"
    return forest_layout(fit, group="cluster", better="lower", title=title)


def bayes_forest(source: Source) -> AnyLayout:
    title = source.run("icu-anxiety").analysis.title
    return bayes_forest_layout(bayes(source, "icu-anxiety"), better="lower", title=title)


def bayes_densities(source: Source) -> AnyLayout:
    return posterior_layout(bayes(source, "icu-anxiety"), title=source.run("icu-anxiety").analysis.title)


def bayes_beside(source: Source) -> AnyLayout:
    fits: dict[str, PooledLike] = {
        "REML, HKSJ": RandomEffects(tau2="REML", ci="HKSJ").fit(source.named("icu-anxiety")),
        "Bayesian": bayes(source, "icu-anxiety"),
    }
    return compare_layout(fits, better="lower", title=source.run("icu-anxiety").analysis.title)


@cache
def bayes(source: Source, name: str) -> BayesResult:
    return BayesRandomEffects(mu=Normal(0, 2), tau=HalfNormal(0.5)).fit(source.named(name))


def labbe(source: Source) -> AnyLayout:
    """Colditz's trials of BCG vaccine, as printed in Viechtbauer 2010, J Stat Softw 36(3), p. 12."""
    a, n1, c, n2 = (list(map(int, line.split())) for line in BCG)
    effects = EffectSizes.from_frame(
        pd.DataFrame({"a": a, "n1": n1, "c": c, "n2": n2, "study": [f"Trial {i + 1}" for i in range(13)]}),
        measure="RR",
        study="study",
    )
    fit = RandomEffects().fit(effects)
    return labbe_layout(
        effects, estimate=fit.estimate, arms=("vaccine", "control"), title="BCG vaccine against tuberculosis"
    )


# ---- small studies ----


def filled_funnel(source: Source) -> AnyLayout:
    fit = source.fit(SMALL_STUDY)
    filled = trim_and_fill(fit.effects)
    title = source.run(SMALL_STUDY).analysis.title
    return funnel_layout(fit, contours=(0.1, 0.05, 0.01), filled=filled, title=title)


def pet_peese_funnel(source: Source) -> AnyLayout:
    fit = source.fit(SMALL_STUDY)
    title = source.run(SMALL_STUDY).analysis.title
    return funnel_layout(
        fit, curves=pet_peese(fit.effects), power=fit.estimate, labels="outside", title=title
    )


def selection_funnel(source: Source) -> AnyLayout:
    fit = source.fit(SMALL_STUDY)
    title = source.run(SMALL_STUDY).analysis.title
    selected = SelectionModel(alternative="less").fit(fit.effects)
    return funnel_layout(fit, curves=selected, labels="outside", title=title)


def p_curve(source: Source) -> AnyLayout:
    effects = source.named(SMALL_STUDY)
    pvalues = [two_sided(float(z)) for z in effects.yi / effects.sei]
    return p_curve_layout(pvalues, title=source.run(SMALL_STUDY).analysis.title)


# ---- heterogeneity and influence ----


def baujat_plot(source: Source) -> AnyLayout:
    run = source.run(STYLED)
    return baujat_layout(baujat(run.result.model, source.named(STYLED)), title=run.analysis.title)


def influence_panel(source: Source) -> AnyLayout:
    run = source.run(STYLED)
    table = influence(run.result.model, source.named(STYLED))
    return influence_layout(table, tau2=run.result.tau2, title=run.analysis.title)


def gosh_plot(source: Source) -> AnyLayout:
    run = source.run(STYLED)
    table = gosh(run.result.model, source.named(STYLED))
    return gosh_layout(table, measure=run.effects.measure, title=run.analysis.title)


def gosh_split(source: Source) -> AnyLayout:
    run = source.run("cardiac-anxiety")
    effects = source.named("cardiac-anxiety")
    table = baujat(run.result.model, effects)
    heaviest = str(table["study"].iloc[int(table["contribution"].argmax())])
    return gosh_layout(
        gosh(run.result.model, effects), measure="SMD", study=heaviest, title=run.analysis.title
    )


def tau2_profile(source: Source) -> AnyLayout:
    run = source.run(STYLED)
    fit, y, v = run.result, run.effects.yi, run.effects.vi
    limits = fit.tau2_ci(method="PL")

    def restricted(tau2: float) -> float:
        w = 1.0 / (v + tau2)
        mean = (w @ y) / w.sum()
        logs = np.log(w).sum() - np.log(w.sum()) - (len(y) - 1) * np.log(2 * np.pi)
        return float(0.5 * (logs - w @ (y - mean) ** 2))

    grid = np.linspace(0.0, 1.25 * limits.high, 201)
    table = pd.DataFrame({"tau2": grid, "loglik": [restricted(float(t)) for t in grid]})
    return tau2_profile_layout(table, estimate=fit.tau2, interval=limits, title=run.analysis.title)


# ---- all effects at once ----


def caterpillar(source: Source) -> AnyLayout:
    return caterpillar_layout(source.fit("depression"), title=source.run("depression").analysis.title)


def radial(source: Source) -> AnyLayout:
    return radial_layout(source.fit(STYLED), labels="outside", title=source.run(STYLED).analysis.title)


def drapery(source: Source) -> AnyLayout:
    return drapery_layout(source.fit(STYLED), title=source.run(STYLED).analysis.title)


def rainforest(source: Source) -> AnyLayout:
    return rainforest_layout(source.fit(STYLED), title=source.run(STYLED).analysis.title)


def orchard(source: Source) -> AnyLayout:
    run = source.run("depression")
    assert run.subgroups is not None
    groups = [""] * run.effects.k
    for name, fit in run.subgroups.groups.items():
        for study in fit.effects.study:
            groups[run.effects.study.index(study)] = name
    return orchard_layout(run.effects, list(run.subgroups.groups.items()), groups, title=run.analysis.title)


# ---- moderators and choices ----


def bubble(source: Source) -> AnyLayout:
    run, named = source.run(STYLED), source.named(STYLED)
    assert named.columns is not None
    effects = replace(named, moderators=named.columns[["year"]].astype(float))
    line = MetaRegression("year").fit(effects).curve("year")
    return bubble_layout(effects, "year", line, labels=True, x_label="Year", title=run.analysis.title)


def specification_curve(source: Source) -> AnyLayout:
    run = source.run("cardiac-anxiety")
    largest = int(np.argmax(np.abs(run.effects.yi)))
    assert run.effects.columns is not None
    name = run.effects.columns["label"].iloc[largest]
    others = run.effects.subset(np.arange(run.effects.k) != largest)
    rows = {"all": run.effects, f"without {name}": others}
    named = [
        (
            {"records": kept, "τ²": tau2, "interval": ci},
            effects,
            RandomEffects(tau2=tau2, ci=ci),
        )
        for kept, effects in rows.items()
        for tau2 in ("DL", "PM", "REML", "ML", "SJ", "HE")
        for ci in ("Wald", "HKSJ")
    ]
    main = next(
        i for i, (choice, _, _) in enumerate(named) if list(choice.values()) == ["all", "REML", "HKSJ"]
    )
    return specification_layout(multiverse(named), main=main, title=run.analysis.title)


# ---- the evidence ----


def gap_map(source: Source) -> AnyLayout:
    people: Counter[tuple[str, str]] = Counter()
    trials: Counter[tuple[str, str]] = Counter()
    for study in source.studies:
        for condition in study.conditions:
            cell = (condition, study.intervention.approach)
            trials[cell] += 1
            people[cell] += participants(study)
    rows = [
        {
            "condition": c,
            "approach": a,
            "studies": trials[c, a],
            "participants": people[c, a],
            "certainty": "not rated",
        }
        for c, a in trials
    ]
    conditions = sorted({c for c, _ in trials})
    order = [*sorted({a for _, a in trials} - {"unclear"}), "unclear"]
    title = "Trials recorded, by condition and approach"
    return gap_map_layout(pd.DataFrame(rows), row_order=conditions, column_order=order, title=title)


def participants(study: Study) -> int:
    """Return how many were randomised, else the most that any outcome tells of, else 0."""
    told = [study.design.n_randomised] if study.design.n_randomised else []
    for outcome in study.outcomes if not told else ():
        data = outcome.data.model_dump()
        arms = [data.get("n_total"), sum(x for x in (data.get("n_unordered") or ()) if x)]
        arms.append(
            sum(
                n
                for side in ("music", "control")
                if isinstance(data.get(side), dict) and (n := data[side].get("n"))
            )
        )
        told += [int(n) for n in arms if n]
    return max(told, default=0)


def lights(source: Source, *, label: bool = True) -> RobTable:
    """Return the judgements of CD006577.pub3, the review of trials in coronary heart disease."""
    found = {}
    for study in source.studies:
        rob = study.risk_of_bias
        if "cardiac" in study.conditions and rob is not None and rob.tool == "RoB 1":
            found[study.label if label else study.id] = rob.model_dump(
                exclude={"tool", "judged_by", "note"}, exclude_none=True
            )
    return RobTable.of(found, tool="RoB 1")


def traffic_light(source: Source) -> AnyLayout:
    return traffic_light_layout(lights(source), title="Risk of bias in trials in coronary heart disease")


def rob_summary(source: Source) -> AnyLayout:
    return rob_summary_layout(lights(source), title="Risk of bias in trials in coronary heart disease")


def flow(source: Source) -> AnyLayout:
    run = source.run("cardiac-anxiety")
    recorded = [study for study in source.studies if "cardiac" in study.conditions]
    pooled, selected = set(run.effects.study), set(run.selected.study)
    anxious = {s.id for s in recorded if any(o.construct_ == "anxiety" for o in s.outcomes)}
    reasons = {
        "No outcome of anxiety recorded": len({s.id for s in recorded} - anxious),
        "Anxiety recorded, not in the review's forest": len(anxious - selected),
        "The same trial as another": len(selected - pooled),
    }
    return prisma_layout(
        {
            "assessed": len(recorded),
            "reports_excluded": {reason: n for reason, n in reasons.items() if n},
            "included": len(pooled),
        },
        labels={
            "assessed": "Trials recorded for the condition",
            "reports_excluded": "Trials not pooled:",
            "included": "Trials pooled",
        },
        title="From records to the pooled estimate: anxiety in coronary heart disease",
    )


ENTRIES: dict[str, Entry] = {
    **{f"forest-{style}": Entry(f"Forest, style `{style}`", styled(style)) for style in STYLES},
    "forest-subgroups": Entry("Forest with subgroups", subgroup_forest),
    "forest-two-models": Entry(
        "Two models, a minimally important difference, the prediction as a density", two_models
    ),
    "forest-risk-of-bias": Entry("Forest with risk-of-bias lights", with_lights),
    "forest-cumulative": Entry("Cumulative forest", cumulative_forest),
    "forest-leave-one-out": Entry("Leave-one-out forest", leave_one_out_forest),
    "published-beside-ours": Entry("Published beside ours", published_beside_ours),
    "models": Entry("Several models of one question", models_compared),
    "forest-multilevel": Entry(
        "Multilevel model, rows under their trials",
        multilevel_forest,
        "Made for this page: no review pooled these three outcomes together.",
    ),
    "forest-bayes": Entry("Bayesian forest: shrinkage, posterior densities", bayes_forest, BAYES_NOTE),
    "prior-posterior": Entry("Prior and posterior", bayes_densities, BAYES_NOTE),
    "classical-beside-bayesian": Entry("Classical beside Bayesian", bayes_beside, BAYES_NOTE),
    "funnel": Entry("Funnel: contours, trim and fill", filled_funnel),
    "funnel-pet-peese": Entry("Funnel: PET-PEESE, power", pet_peese_funnel),
    "funnel-selection": Entry("Funnel: selection model", selection_funnel, SELECTION_NOTE),
    "p-curve": Entry("p-curve", p_curve, "p-values are two-sided, of the standardised differences."),
    "baujat": Entry("Baujat", baujat_plot),
    "influence": Entry("Influence", influence_panel),
    "gosh": Entry("GOSH, density", gosh_plot),
    "gosh-split": Entry(
        "GOSH, with and without one trial", gosh_split, "The trial is the one that adds most to Q."
    ),
    "tau2-profile": Entry("Profile of τ²", tau2_profile),
    "caterpillar": Entry("Caterpillar", caterpillar),
    "radial": Entry("Radial", radial),
    "drapery": Entry("Drapery", drapery),
    "labbe": Entry(
        "L'Abbé",
        labbe,
        "Thirteen trials of BCG vaccine, counts from Viechtbauer 2010, J Stat Softw 36(3), p. 12.",
    ),
    "rainforest": Entry("Rainforest", rainforest),
    "orchard": Entry("Orchard", orchard),
    "bubble": Entry(
        "Bubble: meta-regression on the year",
        bubble,
        "Too few trials tell their number of sessions for a regression on it (4 of 17 on depression).",
    ),
    "specification": Entry("Specification curve", specification_curve),
    "gap-map": Entry(
        "Evidence gap map",
        gap_map,
        "Participants are those randomised where the record tells, else the most any outcome tells of; a "
        "trial in two conditions counts in both; no certainty of evidence is recorded, so none is coloured.",
    ),
    "risk-of-bias": Entry("Risk of bias, each trial", traffic_light),
    "risk-of-bias-summary": Entry("Risk of bias, summary", rob_summary),
    "flow": Entry(
        "Flow of trials",
        flow,
        "The boxes of a PRISMA 2020 diagram for which the records hold counts, under names of their own.",
    ),
}


def image(entry: Entry, layout: AnyLayout) -> bytes:
    """Return the figure as a PNG with few colours."""
    from PIL import Image

    figure = draw_layout(layout, width=entry.width).get_figure(root=True)
    assert figure is not None
    whole = Image.open(io.BytesIO(render(figure, "png", dpi=DPI))).convert("RGB")
    small = io.BytesIO()
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "png", optimize=True, dpi=(DPI, DPI))
    return small.getvalue()


def page(layouts: dict[str, AnyLayout]) -> str:
    """Return docs/gallery.md."""
    parts = [HEAD]
    for name, entry in ENTRIES.items():
        alt = alt_text(layouts[name]).replace("[", "(").replace("]", ")")
        parts += [f"## {entry.heading}\n", f"![{alt}](gallery/{name}.png)\n", f"{caption(layouts[name])}\n"]
        parts += [f"{entry.note}\n"] if entry.note else []
    return "\n".join([*parts, FOOT])


def problems(text: str) -> list[str]:
    """Say what on disk is not as it should be."""
    found = [] if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text else ["docs/gallery.md is old"]
    have = {path.stem for path in FOLDER.glob("*.png")}
    found += [f"docs/gallery/{name}.png is missing" for name in sorted(ENTRIES.keys() - have)]
    return found + [f"docs/gallery/{name}.png belongs to no figure" for name in sorted(have - ENTRIES.keys())]


def main(arguments: list[str]) -> int:
    """Draw, or with ``--check`` compare."""
    chosen = [name for name in arguments if name != "--check"]
    if unknown := sorted(set(chosen) - ENTRIES.keys()):
        sys.stdout.write(f"no figure is called {', '.join(unknown)}\n")
        return 2
    source = Source()
    layouts = {name: entry.build(source) for name, entry in ENTRIES.items()}
    text = page(layouts)
    if "--check" in arguments:
        found = problems(text)
        sys.stdout.write("\n".join(found) + "\n" if found else "the gallery is as the records give it\n")
        return 1 if found else 0
    images = {FOLDER / f"{name}.png": image(ENTRIES[name], layouts[name]) for name in chosen or ENTRIES}
    write_together({**images, PAGE: text.encode()})
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
