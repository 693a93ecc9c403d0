"""Plant known errors in clean trials; count how many the integrity checks find, and how often they cry wolf.

Run ``python benchmarks/hunt_planted.py [--batches 12] [--seed 1] [--roc 2]``. Each batch is 250 simulated
trials on scales of whole scores, in forests of ten, means and SDs to one decimal (60%) or two, with what
reports print beside a result at random: a P value (half of them), the baseline (half), a second time point (a
third), the effect that the review computed (a third), words on the direction (a fifth). One kind of error is
planted in one trial of twenty. A plant counts as found when an error or a suspect names its row. The
thresholds are the product's; nothing here tunes them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from mtmeta.audit.check import findings_of
from mtmeta.audit.checks.outliers import quantile_of
from mtmeta.audit.hunt import Limits
from mtmeta.records.folder import Studies, read_studies
from mtmeta.records.schema import Study

Record = dict[str, Any]
Generator = np.random.Generator

# instrument, construct, range, mean and SD that trials on it typically show
SCALES = (
    ("STAI-S", "anxiety", (20, 80), 42.0, 10.5),
    ("BDI", "depression", (0, 63), 18.0, 8.0),
    ("HAM-D", "depression", (0, 52), 16.0, 6.0),
    ("CSDD", "depression", (0, 38), 11.0, 5.0),
    ("PSQI", "sleep quality", (0, 21), 10.0, 3.2),
)
TRIALS, SHARE, FOREST = 250, 20, 10


@dataclass(frozen=True)
class Plant:
    """One planted error: where, how large the true effect and the trial are, what could give it away."""

    kind: str
    where: str
    g: float
    n: int
    redundant: bool
    found: bool


# ---- clean trials ----


def _scores(rng: Generator, n: int, mean: float, sd: float, limits: tuple[int, int]) -> np.ndarray:
    return np.clip(np.round(rng.normal(mean, sd, n)), *limits)


def _summary(x: np.ndarray, digits: int) -> Record:
    return {"mean": round(float(x.mean()), digits), "sd": round(float(x.std(ddof=1)), digits)}


def _p(a: np.ndarray, b: np.ndarray) -> str:
    p = float(stats.ttest_ind(a, b).pvalue)
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.01 else f"{p:.2f}"


def _means(a: np.ndarray, b: np.ndarray, digits: int) -> Record:
    return {
        "kind": "means",
        "music": {"n": int(a.size), **_summary(a, digits)},
        "control": {"n": int(b.size), **_summary(b, digits)},
    }


def hedges(data: Record) -> float:
    """g of a row of means."""
    one, two = data["music"], data["control"]
    n1, n2 = one["n"], two["n"]
    sd = math.sqrt(((n1 - 1) * one["sd"] ** 2 + (n2 - 1) * two["sd"] ** 2) / (n1 + n2 - 2))
    return float((one["mean"] - two["mean"]) / sd * (1 - 3 / (4 * (n1 + n2) - 9)))


def _outcome(name: str, scale: tuple[Any, ...], time: str, data: Record, forest: str) -> Record:
    return {
        "id": name,
        "construct": scale[1],
        "instrument": scale[0],
        "better": "lower",
        "time": time,
        "value": "final",
        "data": data,
        "used_in": [forest],
        "source": {"cite": f"report of {forest}"},
    }


def clean_trial(rng: Generator, i: int) -> Record:
    """One simulated trial whose numbers all agree."""
    scale = SCALES[(i // FOREST) % len(SCALES)]
    _, _, limits, mean, sd = scale
    forest = f"made {i // FOREST}"
    mean, sd = mean * rng.lognormal(0, 0.12), sd * rng.lognormal(0, 0.2)
    n1, n2 = (int(np.clip(rng.lognormal(math.log(28), 0.5), 8, 200)) for _ in range(2))
    d = rng.normal(-0.4, 0.3)
    before = [_scores(rng, n, mean, sd, limits) for n in (n1, n2)]
    r = rng.uniform(0.3, 0.7)

    def later(shift: float) -> tuple[np.ndarray, np.ndarray]:
        drawn = []
        for x, move in zip(before, (shift, 0.0), strict=True):
            noise = rng.normal(0, sd * math.sqrt(1 - r * r), x.size)
            drawn.append(np.clip(np.round(mean - 0.1 * sd + r * (x - mean) + noise + move * sd), *limits))
        return drawn[0], drawn[1]

    a, b = later(d)
    digits = 1 if rng.random() < 0.6 else 2
    data = _means(a, b, digits)
    if rng.random() < 0.5:
        data["p"] = _p(a, b)
    if rng.random() < 0.5:
        for arm, x in zip(("music", "control"), before, strict=True):
            data[arm]["baseline"] = _summary(x, digits)
    outcomes = [_outcome("post", scale, "post", data, forest)]
    if rng.random() < 1 / 3:
        g = hedges(data)
        outcomes[0]["reported"] = {"measure": "SMD", "estimate": round(g, 2)}
    if rng.random() < 0.2 and abs(hedges(data)) > 0.1:
        side = "the music" if hedges(data) < 0 else "the control"
        outcomes[0]["note"] = f"The difference was in favour of {side} group."
    if rng.random() < 1 / 3:
        stay = [max(6, int(n * rng.uniform(0.8, 1.0))) for n in (n1, n2)]
        c, e = later(0.7 * d)
        outcomes.append(
            _outcome(
                "later", scale, "follow-up", _means(c[: stay[0]], e[: stay[1]], digits), f"{forest} later"
            )
        )
    return _record(f"made-{i:04d}", outcomes, n1 + n2 + int(rng.integers(0, 6)))


def clean_ratio(rng: Generator, i: int) -> Record:
    """One simulated trial with an odds ratio and its interval."""
    n = int(np.clip(rng.lognormal(math.log(40), 0.5), 15, 300))
    log_or, se = rng.normal(-0.4, 0.5), math.sqrt(4 / (0.2 * n) + 4 / (0.3 * n)) / 1.5
    data = {
        "kind": "interval",
        "measure": "OR",
        **{
            k: round(math.exp(log_or + z * se), 2)
            for k, z in (("estimate", 0.0), ("ci_low", -1.96), ("ci_high", 1.96))
        },
        "n_music": n,
        "n_control": n,
    }
    outcome = _outcome("response", ("count", "response"), "post", data, f"ratios {i // FOREST}")
    outcome.pop("instrument")
    return _record(f"ratio-{i:04d}", [outcome], 2 * n)


def _record(name: str, outcomes: list[Record], randomised: int) -> Record:
    return {
        "schema": 1,
        "id": name,
        "label": name,
        "citation": {},
        "conditions": ["cardiac"],
        "design": {"unit": "parallel", "n_randomised": randomised},
        "population": {},
        "intervention": {},
        "comparator": {"type": "usual care"},
        "outcomes": outcomes,
    }


def dementia_trials() -> list[Record]:
    """Trials with arms of the shipped dementia records, without flags: real rows, as a review prints them."""
    out = []
    for study in read_studies(Path(__file__).resolve().parents[1] / "studies" / "dementia"):
        plain = json.loads(study.model_dump_json(by_alias=True, exclude_none=True))
        plain["outcomes"] = [
            o
            for o in plain["outcomes"]
            if o["data"]["kind"] == "means" and all("sd" in o["data"][a] for a in ("music", "control"))
        ]
        plain["flags"], plain["checked"] = [], []
        if plain["outcomes"]:
            out.append(plain)
    return out


# ---- errors ----


def _se_for_sd(rng: Generator, row: Record) -> None:
    for arm in ("music", "control"):
        group = row["data"][arm]
        group["sd"] = round(group["sd"] / math.sqrt(group["n"]), 2) or 0.01


def _swapped_arms(rng: Generator, row: Record) -> None:
    one, two = row["data"]["music"], row["data"]["control"]
    for key in ("mean", "sd"):
        one[key], two[key] = two[key], one[key]


def _sign_flip(rng: Generator, row: Record) -> None:
    """The row becomes a reported effect with its interval; the sign of the estimate is lost."""
    data = row["data"]
    g, n1, n2 = hedges(data), data["music"]["n"], data["control"]["n"]
    se = math.sqrt(1 / n1 + 1 / n2 + g * g / (2 * (n1 + n2)))
    row["data"] = {
        "kind": "effect",
        "measure": "SMD",
        "estimate": round(-g, 2),
        "se": round(se, 3),
        "n_music": n1,
        "n_control": n2,
    }
    if rng.random() < 0.5:
        row["data"] |= {"ci_low": round(g - 1.96 * se, 2), "ci_high": round(g + 1.96 * se, 2)}


def _decimal_slip(rng: Generator, row: Record) -> None:
    group = row["data"][("music", "control")[int(rng.integers(2))]]
    key = ("mean", "sd")[int(rng.integers(2))]
    group[key] = round(group[key] * (10.0 if rng.random() < 0.5 else 0.1), 2) or 0.1


def _baseline_for_outcome(rng: Generator, row: Record) -> None:
    for arm in ("music", "control"):
        group = row["data"][arm]
        before = group.get("baseline") or {
            "mean": round(group["mean"] + rng.normal(0, 0.15) * group["sd"], 2),
            "sd": round(group["sd"] * rng.lognormal(0, 0.1), 2),
        }
        group["mean"], group["sd"] = before["mean"], before["sd"]


def _wrong_n(rng: Generator, row: Record) -> None:
    group = row["data"][("music", "control")[int(rng.integers(2))]]
    digits = str(group["n"])
    turned = int(digits[::-1]) if len(set(digits)) > 1 and digits[-1] != "0" else group["n"] + 10
    group["n"] = turned if turned > 2 else group["n"] + 10


def _log_scale(rng: Generator, row: Record) -> None:
    data = row["data"]
    for key in ("estimate", "ci_low", "ci_high"):
        data[key] = round(math.log(data[key]), 2)


KINDS: dict[str, Callable[[Generator, Record], None]] = {
    "se for sd": _se_for_sd,
    "sign flip": _sign_flip,
    "swapped arms": _swapped_arms,
    "decimal slip": _decimal_slip,
    "baseline for outcome": _baseline_for_outcome,
    "wrong n": _wrong_n,
    "log scale": _log_scale,
}


def _redundant(kind: str, trial: Record) -> bool:
    """Whether something printed can give the error away: a P value, a second view of the row, a twin."""
    row = trial["outcomes"][0]
    data, again = row["data"], len(trial["outcomes"]) > 1
    baseline = "baseline" in data.get("music", {})
    p, told, words = "p" in data, "reported" in row, "note" in row
    if kind in ("duplicated row", "log scale", "se for sd"):
        return True  # the twin, the interval, the other trials on the scale
    return {
        "sign flip": "ci_low" in data or told or words or again,
        "swapped arms": told or words or again,
        "decimal slip": p or told or again or baseline,
        "baseline for outcome": baseline or p or told,
        "wrong n": p or "n_randomised" in trial["design"] or "ci_low" in row.get("reported", {}),
    }[kind]


# ---- a batch ----


def plant(
    kind: str, rng: Generator, trials: list[Record], share: int = SHARE
) -> tuple[list[Record], list[tuple[str, float, int, bool]]]:
    """Plant one kind of error in one trial of twenty; return the trials and what was planted."""
    chosen = rng.choice(len(trials), max(1, len(trials) // share), replace=False)
    out, planted = list(trials), []
    for c in chosen:
        trial = json.loads(json.dumps(trials[c]))
        row = trial["outcomes"][0]
        data = row["data"]
        sizes = (
            (data["music"]["n"], data["control"]["n"]) if data["kind"] == "means" else (data["n_music"],) * 2
        )
        g = hedges(data) if data["kind"] == "means" else math.log(data["estimate"]) * math.sqrt(3) / math.pi
        where = f"{trial['id']}/{row['id']}"
        if kind == "duplicated row":
            trial["id"] = trial["label"] = f"{trial['id']}-again"
            out.append(trial)
        else:
            KINDS[kind](rng, row)
            out[c] = trial
        planted.append((where, g, sum(sizes), _redundant(kind, trial)))
    return out, planted


def loosened(factor: float) -> Limits:
    """Limits that ask for more (above 1) or less (below 1) evidence than the product's."""
    usual = Limits()
    return Limits(
        gap=usual.gap * factor,
        ratio=usual.ratio**factor,
        turned=usual.turned**factor,
        apart=quantile_of("distance", 0.95) * factor,
        large=quantile_of("size", 0.9) * factor,
        huge=quantile_of("size", 0.99) * factor,
    )


def alarms(trials: Iterable[Record], limits: Limits) -> set[str]:
    """Rows that an error or a suspect names."""
    studies = Studies.of(Study.model_validate_json(json.dumps(t)) for t in trials)
    return {
        i for f in findings_of(studies, limits=limits) if f.severity in ("error", "suspect") for i in f.ids
    }


def batch(kind: str, rng: Generator, limits: Limits, trials: int = TRIALS) -> tuple[list[Plant], int, int]:
    """Plants of one batch, false alarms and clean rows of its trials before anything was planted."""
    make = clean_ratio if kind == "log scale" else clean_trial
    clean = [make(rng, i) for i in range(trials)]
    before = alarms(clean, limits)
    rows = sum(len(t["outcomes"]) for t in clean)
    dirty, planted = plant(kind, rng, clean)
    after = alarms(dirty, limits)
    plants = [Plant(kind, w, g, n, redundant, w in after) for w, g, n, redundant in planted]
    return plants, len(before), rows


# ---- report ----


def _share(plants: list[Plant]) -> str:
    return (
        f"{100 * sum(p.found for p in plants) / len(plants):5.0f}% of {len(plants):<4}"
        if plants
        else f"{'-':>12}"
    )


def _table(plants: list[Plant]) -> list[str]:
    columns: dict[str, Callable[[Plant], bool]] = {
        "all": lambda p: True,
        "with redundancy": lambda p: p.redundant,
        "without": lambda p: not p.redundant,
        "|g| < 0.2": lambda p: abs(p.g) < 0.2,
        "0.2-0.5": lambda p: 0.2 <= abs(p.g) < 0.5,
        "> 0.5": lambda p: abs(p.g) >= 0.5,
        "n < 40": lambda p: p.n < 40,
        "40-79": lambda p: 40 <= p.n < 80,
        "80 +": lambda p: p.n >= 80,
    }
    lines = [f"{'':22}" + "".join(f"{name:>16}" for name in columns)]
    for kind in dict.fromkeys(p.kind for p in plants):
        of_kind = [p for p in plants if p.kind == kind]
        cells = [_share([p for p in of_kind if chosen(p)]) for chosen in columns.values()]
        lines.append(f"{kind:22}" + "".join(f"{cell:>16}" for cell in cells))
    return lines


def main(arguments: list[str]) -> int:
    """Print shares found, false alarms and the ROC."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--roc", type=int, default=2, help="batches a kind and threshold; 0 leaves it out")
    asked = parser.parse_args(arguments)
    kinds = [*KINDS, "duplicated row"]
    out = sys.stdout
    plants: list[Plant] = []
    false = rows = 0
    rng = np.random.default_rng(asked.seed)
    for kind in kinds:
        for _ in range(asked.batches):
            found, wrong, clean = batch(kind, rng, Limits())
            plants += found
            false, rows = false + wrong, rows + clean
    out.write("Share of planted errors found, simulated trials\n" + "\n".join(_table(plants)) + "\n")
    out.write(f"False alarms: {false} of {rows} clean rows, {100 * false / rows:.2f} per 100\n\n")

    real = dementia_trials()
    before = alarms(real, Limits())
    out.write(
        f"Dementia arms as printed: {len(before)} rows of {sum(len(t['outcomes']) for t in real)} named\n"
    )
    planted: list[Plant] = []
    for kind in (k for k in kinds if k != "log scale"):
        for _ in range(asked.batches):
            dirty, where = plant(kind, rng, real, 8)
            after = alarms(dirty, Limits())
            planted += [
                Plant(kind, w, g, n, redundant, w in after) for w, g, n, redundant in where if w not in before
            ]
    out.write("Share found when planted in the dementia arms (rows that were not named before)\n")
    out.write("\n".join(_table(planted)) + "\n\n")

    if asked.roc:
        out.write(
            "ROC over all kinds: threshold factor, share found, with redundancy, false alarms per 100\n"
        )
        for factor in (0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0):
            rng = np.random.default_rng(asked.seed + 1)
            results = [batch(kind, rng, loosened(factor)) for kind in kinds for _ in range(asked.roc)]
            every = [p for found, _, _ in results for p in found]
            wrong, clean = sum(r[1] for r in results), sum(r[2] for r in results)
            redundant = [p for p in every if p.redundant]
            out.write(f"{factor:6.2f} {_share(every)} {_share(redundant)} {100 * wrong / clean:6.2f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
