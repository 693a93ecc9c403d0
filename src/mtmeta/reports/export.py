"""The effect table of an analysis for other programs: CSV, Excel, R for metafor, RevMan's data rows.

Text from records is never a formula to a spreadsheet: in CSV a cell that begins as formulas do gets a leading
apostrophe, in Excel it is stored as text (see ``docs/exchange.md``).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mtmeta.audit.run import AnalysisRun
from mtmeta.effects.compute import Computed
from mtmeta.errors import UsageError
from mtmeta.measures import Measure
from mtmeta.models.pool import PoolResult
from mtmeta.reports.rows import grouped
from mtmeta.reports.summary import numbers

__all__ = ["COLUMNS", "effect_rows", "to_csv", "to_r", "to_revman", "to_xlsx"]

_RAW = ("m1", "sd1", "n1", "m2", "sd2", "n2", "a", "c", "x1", "t1", "x2", "t2", "r", "n")
COLUMNS = (
    *("id", "study", "year", "condition", "outcome", "construct", "instrument", "better", "time", "weeks"),
    *("value", "comparator", "measure", *_RAW, "n_total", "yi", "vi", "sei", "correction", "variance"),
    *("weight", "route", "note", "cite", "where", "used_in"),
)
"""Columns of the table; ``mtmeta import`` reads them again."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
Cell = str | float | int | None


def effect_rows(run: AnalysisRun) -> list[dict[str, Cell]]:
    """Return the effect table of a run, one dictionary a row with the keys of :data:`COLUMNS`.

    Raw data stand where the effect was computed from them; an effect restated from a printed one stands with
    its correction, so that reading the table again gives the same effects.
    """
    es, result = run.effects, run.result
    rows = []
    for i, group in enumerate(grouped(run)):
        head = _head(group, es.measure)
        vi = float(es.vi[i])
        sizes = {name: _size(values[i]) for name in ("n1", "n2") if (values := getattr(es, name)) is not None}
        total = None if es.n is None else _size(es.n[i])
        raw: Mapping[str, Cell] = {**_raw_of(group[0])} if len(group) == 1 else {}
        head |= {
            **dict.fromkeys(_RAW),
            **sizes,
            **raw,
            "n_total": total,
            "yi": float(es.yi[i]),
            "vi": vi,
            "sei": math.sqrt(vi),
            "correction": _correction(group, run),
            "variance": run.analysis.model.variance if es.measure.code == "SMD" else None,
            "weight": float(result.weights[i]),
            "route": "; ".join(dict.fromkeys(c.printed.route for c in group)),
        }
        rows.append({name: head.get(name) for name in COLUMNS})
    return rows


def _size(value: float) -> Cell:
    if math.isnan(value):
        return None
    return int(value) if float(value).is_integer() else float(value)


def _raw_of(computed: Computed) -> dict[str, Cell]:
    printed = computed.printed
    if printed.shared is not None:  # its effect is not the one that its two arms alone would give
        return {}
    whole = ("n1", "n2", "a", "c", "x1", "x2", "n")
    raw = {k: (_size(v) if k in whole else v) for k, v in printed.raw.items()}
    return {k: v for k, v in raw.items() if k in _RAW}


def _correction(group: Sequence[Computed], run: AnalysisRun) -> str | None:
    if run.effects.measure.code != "SMD":
        return None
    if len(group) > 1 or group[0].printed.effect is not None:
        return "unknown"
    return "approximate" if run.analysis.model.variance == "RevMan" else "exact"


def _head(group: Sequence[Computed], measure: Measure) -> dict[str, Cell]:
    study, outcome = group[0].row.study, group[0].row.outcome
    return {
        "id": study.id,
        "study": study.label,
        "year": study.citation.year,
        "condition": study.conditions[0],
        "outcome": "+".join(dict.fromkeys(c.row.outcome.id for c in group)),
        "construct": outcome.construct_,
        "instrument": outcome.instrument,
        "better": outcome.better,
        "time": outcome.time,
        "weeks": outcome.weeks,
        "value": outcome.value,
        "comparator": group[0].row.comparator,
        "measure": measure.code,
        "note": "; ".join(dict.fromkeys(n for c in group for n in c.printed.notes)) or None,
        "cite": outcome.source.cite,
        "where": outcome.source.where,
        "used_in": "|".join(outcome.used_in) or None,
    }


# ---- CSV and Excel --------------------------------------------------------------------------------


def safe(value: Cell) -> Cell:
    """Return a cell that no spreadsheet takes for a formula: text that begins as one gets an apostrophe.

    Examples
    --------
    >>> safe("=1+1"), safe(-0.7), safe("White 1999")
    ("'=1+1", -0.7, 'White 1999')
    """
    if isinstance(value, str) and (value.startswith(_FORMULA) or re.match(r"'[=+\-@＝＋－＠]", value)):
        return f"'{value}"
    return value


def _text(cell: Cell) -> str:
    value = safe(cell)
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Cell]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_text(row.get(name)) for name in columns])
    return stream.getvalue()


def to_csv(run: AnalysisRun) -> str:
    """Return the effect table as CSV, numbers with all their digits.

    Parameters
    ----------
    run : AnalysisRun

    Returns
    -------
    str
    """
    return _csv_text(COLUMNS, effect_rows(run))


def to_xlsx(run: AnalysisRun) -> bytes:
    """Return the effect table as an Excel file, with a second sheet for the pooled numbers.

    Parameters
    ----------
    run : AnalysisRun

    Raises
    ------
    UsageError
        When openpyxl is not installed.
    """
    from mtmeta.records.importers.safety import needed

    openpyxl = needed("openpyxl", "writing spreadsheets (.xlsx)")
    cells = needed("openpyxl.cell", "writing spreadsheets (.xlsx)")
    book = openpyxl.Workbook(write_only=True)
    pooled = _pooled(run)
    sheets: list[tuple[str, Sequence[str], list[dict[str, Cell]]]] = [
        ("effects", COLUMNS, effect_rows(run)),
        ("pooled", ("quantity", "value"), [{"quantity": k, "value": v} for k, v in pooled.items()]),
    ]
    for title, columns, rows in sheets:
        sheet = book.create_sheet(title)
        sheet.append(list(columns))
        for row in rows:
            line = []
            for name in columns:
                cell = cells.WriteOnlyCell(sheet, value=_without_controls(row.get(name)))
                if isinstance(row.get(name), str):
                    cell.data_type = "s"  # text, whatever it begins with
                line.append(cell)
            sheet.append(line)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _without_controls(value: Cell) -> Cell:
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", " ", value)[:32_000] if isinstance(value, str) else value


def _pooled(run: AnalysisRun) -> dict[str, Cell]:
    method = run.analysis.model
    found: dict[str, Any] = numbers(run.result, level=method.level, pi_method=method.pi)
    flat: dict[str, Cell] = {
        "analysis": run.analysis.name,
        "measure": run.effects.measure.code,
        "model": method.words,
    }
    for key, value in found.items():
        if isinstance(value, list):
            flat |= {f"{key}_low": value[0], f"{key}_high": value[1]}
        else:
            flat[key] = value
    return flat


# ---- R --------------------------------------------------------------------------------------------

_TEST = {"Wald": "z", "HKSJ": "knha", "HKSJ-floor": "adhoc"}


def _r_string(text: str) -> str:
    out = []
    for character in text:
        code = ord(character)
        if character in '"\\':
            out.append("\\" + character)
        elif 32 <= code < 127:
            out.append(character)
        elif code >= 160 and not 0xD800 <= code <= 0xDFFF:
            out.append(f"\\U{code:08x}")
        else:
            out.append(" ")
    return '"' + "".join(out) + '"'


def _r_comment(text: str) -> str:
    return "".join(c if 32 <= ord(c) < 127 else " " if ord(c) < 160 else "?" for c in text)


def _r_number(value: float | None) -> str:
    return "NA" if value is None else f"{value:.17g}"


def _r_vector(name: str, items: Sequence[str]) -> str:
    lines = [f"  {name} = c("]
    line = "   "
    for i, item in enumerate(items):
        part = f" {item}{',' if i < len(items) - 1 else ''}"
        if len(line) + len(part) > 100:
            lines.append(line)
            line = "   "
        line += part
    return "\n".join([*lines, line, "  )"])


def _rma(result: PoolResult, level: float) -> str:
    """Return the call of metafor that is the run's model."""
    if result.ci_method not in _TEST:
        raise UsageError(
            f"metafor has no interval {result.ci_method!r} in rma(); choose Wald, HKSJ or HKSJ-floor"
        )
    common = result.tau2_method == "none"
    method = "EE" if common else result.tau2_method
    parts = [
        "yi, vi",
        "data = dat",
        "slab = study",
        f'method = "{method}"',
        f'test = "{_TEST[result.ci_method]}"',
    ]
    parts.append(f"level = {level * 100:g}")
    if result.tau2_method in ("ML", "REML", "EB"):
        parts.append("control = list(threshold = 1e-10, maxiter = 10000)")
    if result.tau2_method in ("PM", "PMM"):
        parts.append("control = list(tol = 1e-13, maxiter = 10000)")
    return f"res <- rma({', '.join(parts)})"


def to_r(run: AnalysisRun) -> str:
    """Return an R script that pools the effects with metafor and stops where its estimate is not ours.

    Parameters
    ----------
    run : AnalysisRun

    Raises
    ------
    UsageError
        For an interval that metafor's ``rma`` does not have.
    """
    rows, result, measure = effect_rows(run), run.result, run.effects.measure
    level = run.analysis.model.level
    ci = result.ci(level)
    raw = [n for n in _RAW if all(isinstance(row[n], int | float) for row in rows)]
    columns = [_r_vector("study", [_r_string(str(row["study"])) for row in rows])]
    for name in ("yi", "vi", *raw):
        values = [row[name] for row in rows]
        columns.append(
            _r_vector(name, [_r_number(float(v) if isinstance(v, int | float) else None) for v in values])
        )
    back = "exp" if measure.scale == "log" else "transf.ztor" if measure.scale == "fisher z" else ""
    lines = [
        f"# {_r_comment(run.analysis.title)} ({run.analysis.name})",
        f"# {measure.code}, {_r_comment(run.analysis.model.words)}; effects by mtmeta, one row a trial",
        "suppressMessages(library(metafor))",
        "",
        "dat <- data.frame(",
        ",\n".join(columns),
        ")",
        "",
        _rma(result, level),
        "print(res)",
        *([f"print(predict(res, transf = {back}))"] if back else []),
        "",
        "# the same by mtmeta",
        f"ours <- c(estimate = {_r_number(result.estimate)}, tau2 = {_r_number(result.tau2)}, "
        f"low = {_r_number(ci.low)}, high = {_r_number(ci.high)})",
        "theirs <- c(unname(coef(res)), res$tau2, res$ci.lb, res$ci.ub)",
        'cat("metafor:", sprintf("%.12g", theirs), "\\n")',
        'cat("mtmeta: ", sprintf("%.12g", ours), "\\n")',
        "stopifnot(all(abs(theirs - ours) <= 1e-6 * pmax(1, abs(ours))))",
    ]
    return "\n".join(lines) + "\n"


# ---- RevMan ---------------------------------------------------------------------------------------

_ANALYSIS = ("Analysis group", "Analysis number", "Analysis name")
_DATA_ROWS = (
    *_ANALYSIS,
    *("Subgroup", "Applicability", "Study", "Study year", "GIV Mean", "GIV SE"),
    *("Experimental mean", "Experimental SD", "Experimental cases", "Experimental N"),
    *("Control mean", "Control SD", "Control cases", "Control N"),
    *("O-E", "Variance", "Weight", "Mean", "CI start", "CI end", "Footnotes"),
)
_SETTINGS = (
    *_ANALYSIS,
    *(
        "Analysis group name",
        "Data type",
        "Log-scale data",
        "Experimental group label",
        "Control group label",
    ),
    *("Statistical method", "Effect measure", "Analysis model", "Study CI", "Estimate CI"),
)
_NAMES = {
    "SMD": "Std. Mean Difference",
    "MD": "Mean Difference",
    "OR": "Odds Ratio",
    "RR": "Risk Ratio",
    "RD": "Risk Difference",
    "PETO": "Peto Odds Ratio",
    "HR": "Hazard Ratio",
    "IRR": "Rate Ratio",
}


def to_revman(run: AnalysisRun) -> dict[str, str]:
    """Return the rows in the form of Cochrane's data package: data rows, and settings beside them.

    Parameters
    ----------
    run : AnalysisRun

    Returns
    -------
    dict
        Name of each file and its text.

    Raises
    ------
    UsageError
        For a measure that RevMan does not have.
    """
    code = run.effects.measure.code
    if code not in _NAMES:
        raise UsageError(f"RevMan has no measure {code}; export to csv")
    first: dict[str, Cell] = {"Analysis group": 1, "Analysis number": 1, "Analysis name": run.analysis.title}
    rows = [{**first, **_data_row(row, code)} for row in effect_rows(run)]
    method, level = run.analysis.model, f"{run.analysis.model.level:.0%}"
    arms = all(row.get("Experimental N") is not None and row.get("GIV Mean") is None for row in rows)
    settings: dict[str, Cell] = {
        **first,
        "Analysis group name": run.analysis.question.comparator,
        "Data type": "Arm level" if arms else "Contrast level",
        "Log-scale data": "TRUE" if run.effects.measure.is_ratio else "FALSE",
        "Experimental group label": run.analysis.question.intervention,
        "Control group label": run.analysis.question.comparator,
        "Statistical method": "Inverse Variance",
        "Effect measure": _NAMES[code],
        "Analysis model": "Fixed effect" if method.kind == "common" else "Random effects",
        "Study CI": level,
        "Estimate CI": level,
    }
    name = run.analysis.name
    return {
        f"{name}-data-rows.csv": _csv_text(_DATA_ROWS, rows),
        f"{name}-overall-estimates-and-settings.csv": _csv_text(_SETTINGS, [settings]),
    }


def _data_row(row: Mapping[str, Cell], code: str) -> dict[str, Cell]:
    """Give arms where the effect is theirs and sizes are whole; else the effect with its standard error."""
    found: dict[str, Cell] = {
        "Study": row["study"],
        "Study year": row["year"],
        "Weight": 100.0 * float(row["weight"] or 0.0),
        "Footnotes": row["note"],
    }
    whole = isinstance(row["n1"], int) and isinstance(row["n2"], int)
    if whole and row["m1"] is not None and code in ("SMD", "MD"):
        names = (
            ("Experimental mean", "m1"),
            ("Experimental SD", "sd1"),
            ("Control mean", "m2"),
            ("Control SD", "sd2"),
        )
        return {**found, **{n: row[k] for n, k in names}, "Experimental N": row["n1"], "Control N": row["n2"]}
    if whole and isinstance(row["a"], int) and isinstance(row["c"], int):
        cases = {"Experimental cases": row["a"], "Control cases": row["c"]}
        return {**found, **cases, "Experimental N": row["n1"], "Control N": row["n2"]}
    effect = {"GIV Mean": row["yi"], "GIV SE": row["sei"]}
    return {**found, **effect, **({"Experimental N": row["n1"], "Control N": row["n2"]} if whole else {})}
