"""Summarise how far effects lie from the others of their meta-analysis in a corpus of Cochrane reviews.

Run ``python tools/cochrane_summary.py CORPUS.csv.gz`` where the corpus has the columns analysis_id, smd, se
(44,005 standardised mean differences in 6,053 meta-analyses, from
github:jasp-stats/jaspCochraneMetaAnalyses@3a903cd, R/resources/database.RDS). Only quantiles are kept, in
src/mtmeta/audit/data/cochrane_effects.csv; the corpus is not part of mtmeta.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from mtmeta.audit.checks.outliers import distances

OUT = Path(__file__).parent.parent / "src" / "mtmeta" / "audit" / "data" / "cochrane_effects.csv"
TAIL = (0.5, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def main(arguments: list[str]) -> int:
    """Write the quantiles."""
    if len(arguments) != 1:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    corpus = pd.read_csv(arguments[0])
    corpus = corpus[corpus["se"] > 0]
    sets = [g for _, g in corpus.groupby("analysis_id") if len(g) >= 4]
    apart = np.concatenate([distances(g["smd"].to_numpy(), g["se"].to_numpy() ** 2) for g in sets])
    size = corpus["smd"].abs().to_numpy()
    table = pd.DataFrame(
        {
            "quantile": TAIL,
            "absolute_smd": np.quantile(size, TAIL).round(4),
            "distance": np.quantile(np.abs(apart), TAIL).round(4),
        }
    )
    head = (
        "# source: github:jasp-stats/jaspCochraneMetaAnalyses@3a903cd R/resources/database.RDS; "
        f"{len(corpus)} effects, {corpus['analysis_id'].nunique()} meta-analyses; distances: {len(apart)} "
        f"effects in {len(sets)} meta-analyses of four and more\n"
    )
    OUT.write_text(head + table.to_csv(index=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
