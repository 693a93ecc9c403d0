"""What an analysis concludes, by the rule that its file names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mtmeta.errors import ModelError

if TYPE_CHECKING:
    from mtmeta.audit.run import AnalysisRun

__all__ = ["Conclusion", "conclude"]

Conclusion = Literal[
    "favours music",
    "favours control",
    "favours music, perhaps by less than matters",
    "favours control, perhaps by less than matters",
    "no difference that matters",
    "no clear difference",
    "too few trials to predict",
]


def conclude(run: AnalysisRun) -> Conclusion:
    """Say what an answer concludes, by the analysis' own rule (``conclusion:``).

    By default the confidence interval is held against no difference: it lies on one side, or it shows no
    clear difference. With ``by: prediction interval`` the effect in a new trial's setting is held against it.
    With ``matters: true`` the same interval is held against the smallest differences that matter too (see
    :func:`~mtmeta.audit.anchors.thresholds_of`); where none is known, no difference stands alone.

    Examples
    --------
    Bradt 2014 (CD006902.pub3), anxiety in ventilated patients:

    >>> from mtmeta.audit.files import read_analyses
    >>> from mtmeta.audit.run import run_analysis
    >>> from mtmeta.records.folder import read_studies
    >>> from mtmeta.records.locate import data_folder
    >>> (item,) = read_analyses([data_folder("analyses") / "icu-anxiety.yaml"])
    >>> conclude(run_analysis(item.analysis, read_studies(data_folder("studies") / "icu")))
    'favours music'
    """
    from mtmeta.audit.anchors import thresholds_of

    rule, model = run.analysis.conclusion, run.analysis.model
    if rule.by == "interval":
        low, high = run.result.ci(model.level)
    else:
        try:
            low, high = run.result.pi(model.level, method=model.pi)
        except ModelError:
            return "too few trials to predict"
    null = run.result.effects.measure.null
    cuts = thresholds_of(run)
    harm, benefit = cuts.cuts if rule.matters and cuts.matter else (null, null)
    if low > null or high < null:
        music = (low > null) == (run.analysis.better == "higher")
        beyond = low > benefit if low > null else high < harm
        if beyond:
            return "favours music" if music else "favours control"
        if harm <= low and high <= benefit:
            return "no difference that matters"
        return (
            "favours music, perhaps by less than matters"
            if music
            else "favours control, perhaps by less than matters"
        )
    if harm < benefit and harm <= low and high <= benefit:
        return "no difference that matters"
    return "no clear difference"
