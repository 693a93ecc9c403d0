"""Every measure and variance against metafor: 5.1-12 at 1e-10, and thousands of cases against 3.8-1."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtmeta.effects import paired, ratios
from mtmeta.effects.binary import ZERO_CELLS
from mtmeta.effects.continuous import hedges_correction
from mtmeta.effects.frame import RECIPES, REPORTED
from mtmeta.effects.proportions import freeman_tukey_back
from mtmeta.effects.table import EffectSizes
from mtmeta.measures import MEASURES

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
RTOL = 1e-10  # issue 4; metafor's own lgamma difference costs it up to 1e-12


def _load(name: str) -> Any:
    path = REFERENCE / name
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_text())


NEW, OLD = _load("escalc.json"), _load("escalc_3_8.json.gz")
NEW_CELLS = {(case["measure"], case.get("vtype", "LS")) for case in NEW["escalc"]}

# where 3.8-1 has another formula than 5.1-12; docs/differences.md
NO_BIAS_CORRECTION = {"ROM", "ROMC"}  # 5.1 adds a correction of the effect; the function can leave it out
ONLY_VARIANCE = {"CVR"}  # 5.1 adds a term to the effect
TIMES_J2 = {
    "SMDH": lambda f: f["n1"] + f["n2"] - 2,
    "SMCRH": lambda f: f["n"] - 1,
}  # 3.8 has J² in the variance
ONLY_EFFECT = {"SMD1H"}  # 5.1 divides by n - 1, 3.8 by n
OLD_CELLS = {(case["measure"], case["vtype"]) for case in OLD["cases"]}

# what no version of metafor at hand computes: the test that covers it
COVERED_ELSEWHERE = {
    ("SMD", "RevMan"): "test_published.test_revman_prints_these_effects_and_limits",
    ("SMD1H", "LS"): "test_simulation.test_variances_are_those_of_repeated_samples (its effect: here)",
    ("SMCRP", "LS"): "test_published.test_effect_size_battery",
}


def _frames() -> dict[str, pd.DataFrame]:
    means = pd.DataFrame(NEW["cont"]).rename(columns=lambda c: c[:-1])
    events = pd.DataFrame(NEW["bin"]).rename(columns={"ai": "a", "n1i": "n1", "ci": "c", "n2i": "n2"})
    pairs = means.rename(columns={"n1": "n"}).assign(r=NEW["pre_post_r"])
    frames = (
        means,
        events,
        pairs[["m1", "m2", "sd1", "sd2", "n", "r"]],
        pd.DataFrame({"r": NEW["ri"], "n": NEW["ni"]}),
        pd.DataFrame({"x": events.a, "n": events.n1}),
        pd.DataFrame(NEW["rate"]),
    )
    return {
        code: min(
            (frame for frame in frames if set(MEASURES[code].needs.split()) <= set(frame.columns)),
            key=lambda frame: len(frame.columns),
        )
        for code, _ in NEW_CELLS
    }


@pytest.mark.parametrize("case", NEW["escalc"], ids=lambda c: f"{c['measure']}-{c.get('vtype', 'default')}")
def test_metafor_5_1(case: dict[str, Any]) -> None:
    es = EffectSizes.from_frame(_frames()[case["measure"]], case["measure"], variance=case.get("vtype", "LS"))
    np.testing.assert_allclose(es.yi, case["yi"], rtol=RTOL, atol=1e-300)
    np.testing.assert_allclose(es.vi, case["vi"], rtol=RTOL)


def _old(case: dict[str, Any], families: dict[str, Any]) -> tuple[Any, Any, Any, Any, dict[str, np.ndarray]]:
    columns = {name: np.array(values, dtype=float) for name, values in families[case["family"]].items()}
    yi = np.array(case["yi"], dtype=float)
    vi = np.array(case["vi"], dtype=float)
    code = case["measure"]
    zero = case.get("zero_cells", "metafor")
    if code in NO_BIAS_CORRECTION:
        function = ratios.ratio_of_means if code == "ROM" else paired.paired_ratio_of_means
        more = {"variance": case["vtype"]} if code == "ROM" else {}
        y, v = function(*(columns[c] for c in MEASURES[code].needs.split()), bias_correction=False, **more)
    else:
        y, v = RECIPES[code].compute(columns, case["vtype"], zero)
    return y, v, yi, vi, columns


def _check_old(case: dict[str, Any], families: dict[str, Any]) -> None:
    y, v, yi, vi, columns = _old(case, families)
    code = case["measure"]
    if code in TIMES_J2:
        v = v * hedges_correction(TIMES_J2[code](columns)) ** 2
    if code not in ONLY_VARIANCE:
        np.testing.assert_allclose(y, yi, rtol=RTOL, atol=1e-13)  # an effect of exactly 0 is 1e-17 there
    if code not in ONLY_EFFECT:
        np.testing.assert_allclose(v, vi, rtol=RTOL)


@pytest.mark.parametrize(
    "case",
    OLD["cases"],
    ids=lambda c: f"{c['measure']}-{c['vtype']}-{c.get('zero_cells', 'metafor')}-{c['family']}",
)
def test_metafor_3_8(case: dict[str, Any]) -> None:
    _check_old(case, OLD["families"])


def test_there_are_thousands_of_cases() -> None:
    assert sum(len(case["yi"]) for case in OLD["cases"]) > 5000


def test_the_way_back_from_freeman_tukey_is_metafors() -> None:
    single = OLD["families"]["single"]
    es = EffectSizes.from_frame(pd.DataFrame(single), "PFT")
    np.testing.assert_allclose(freeman_tukey_back(es.yi, single["n"]), OLD["ipft"], rtol=1e-9, atol=1e-9)


def test_every_cell_of_the_grid_has_a_reference() -> None:
    """Name every (measure, variance) there is; a new one needs a reference or a named test."""
    cells = {(code, variance) for code, recipe in RECIPES.items() for variance in recipe.variances}
    assert cells == NEW_CELLS | OLD_CELLS | set(COVERED_ELSEWHERE)


def test_every_measure_has_a_recipe() -> None:
    assert set(MEASURES) == set(RECIPES) | set(REPORTED)


@pytest.mark.parametrize("name", sorted(set(COVERED_ELSEWHERE.values())))
def test_the_named_test_exists(name: str) -> None:
    module, function = name.split(" ")[0].split(".")
    spec = importlib.util.spec_from_file_location(module, Path(__file__).with_name(f"{module}.py"))
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    assert callable(getattr(loaded, function))


def test_zero_cell_policies_are_all_compared() -> None:
    assert {case.get("zero_cells", "metafor") for case in OLD["cases"]} == set(ZERO_CELLS)


@pytest.mark.r
def test_the_committed_reference_is_what_the_script_makes(rscript: Any, tmp_path: Path) -> None:
    rscript(REFERENCE / "make_escalc.R", str(tmp_path / "again.json.gz"))
    again = json.loads(gzip.decompress((tmp_path / "again.json.gz").read_bytes()))
    assert again["families"] == OLD["families"]
    for new, old in zip(again["cases"], OLD["cases"], strict=True):
        assert {k: v for k, v in new.items() if k not in ("yi", "vi")} == {
            k: v for k, v in old.items() if k not in ("yi", "vi")
        }
        np.testing.assert_allclose(
            np.array(new["yi"], float), np.array(old["yi"], float), rtol=1e-13, atol=1e-15
        )


@pytest.mark.r
@pytest.mark.parametrize("seed", [1, 2])
def test_fresh_cases_agree_with_the_metafor_installed_here(rscript: Any, tmp_path: Path, seed: int) -> None:
    rscript(REFERENCE / "make_escalc.R", str(tmp_path / "fresh.json.gz"), str(seed))
    fresh = json.loads(gzip.decompress((tmp_path / "fresh.json.gz").read_bytes()))
    assert fresh["made_with"]["seed"] == seed
    for case in fresh["cases"]:
        _check_old(case, fresh["families"])
