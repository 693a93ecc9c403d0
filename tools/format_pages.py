"""Write docs/record-format.md and docs/analysis-format.md: every key of a record and of an analysis, from the schemas.

Run ``python tools/format_pages.py`` after a change of a schema; ``--check`` only tells whether the committed
pages are the schemas', and ends with 1 if not.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mtmeta.records.files import write_atomic

ROOT = Path(__file__).parent.parent
Schema = dict[str, Any]

RECORD = (
    ROOT / "studies" / "study.schema.json",
    ROOT / "docs" / "record-format.md",
    """\
# The record of a trial: every field

A record is a YAML file `<id>.yaml` in the folder of its main condition. It holds what a source printed, under the
source's own label and in the source's own form. [How to read and write one](../studies/README.md);
[which data give which effect](record-routes.md); this page is made from the schema by which files are checked
(`python tools/format_pages.py`).

Keys may stand in any order. A key that is not listed is refused, with the nearest one named. What can be written down
but cannot be true (an SD of 0, more events than people) loads, is found by `mtmeta check`, and is not pooled until it
is answered.
""",
)
ANALYSIS = (
    ROOT / "analyses" / "analysis.schema.json",
    ROOT / "docs" / "analysis-format.md",
    """\
# An analysis file: every field

One pooled question is a YAML file in `analyses/`; its `name` is the file's. `mtmeta run` answers it, writes its lock
file, and draws its forest plot. This page is made from the schema by which files are checked
(`python tools/format_pages.py`).
""",
)


def page_text(source: Path, head: str) -> str:
    """Return the page of a schema as Markdown."""
    schema: Schema = json.loads(source.read_text(encoding="utf-8"))
    definitions: dict[str, Schema] = schema.get("$defs", {})
    models = {name: d for name, d in definitions.items() if "properties" in d}
    order = _order(schema, models)
    parts = [head, f"## The file\n\n{_table(schema, models)}"]
    for name in order:
        about = _plain(models[name].get("description", ""))
        parts.append(f"## {name}\n\n{about}\n\n{_table(models[name], models)}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _order(schema: Schema, models: dict[str, Schema]) -> list[str]:
    """Models in the order in which the file leads to them."""
    found: list[str] = []

    def follow(node: object) -> None:
        if isinstance(node, dict):
            reference = str(node.get("$ref", "")).rpartition("/")[2]
            if reference in models and reference not in found:
                found.append(reference)
            for key, value in node.items():
                if key not in ("$defs", "mapping"):
                    follow(value)
        elif isinstance(node, list):
            for value in node:
                follow(value)

    follow(schema)
    for name in found:  # grows while it is walked through
        follow(models[name])
    return found


def _table(model: Schema, models: dict[str, Schema]) -> str:
    required = set(model.get("required", []))
    rows = []
    for key, field in model["properties"].items():
        about = _plain(field.get("description", ""))
        default = field.get("default")
        if default not in (None, [], {}, "") and key not in required:
            about = f"{about} Default: `{json.dumps(default, ensure_ascii=False)}`.".strip()
        need = "yes" if key in required else ""
        rows.append(f"| `{key}` | {_sort(field, models)} | {need} | {about} |")
    return "| key | what it takes | required | meaning |\n|---|---|---|---|\n" + "\n".join(rows)


def _sort(field: Schema, models: dict[str, Schema]) -> str:
    """Say what a key takes."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in models else name
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " · ".join(f"`{word}`" for word in field["enum"])
    for several in ("anyOf", "oneOf"):
        if several in field:
            options = [_sort(o, models) for o in field[several] if o.get("type") != "null"]
            return ", or ".join(dict.fromkeys(options))
    kind = field.get("type")
    if kind == "array":
        if "prefixItems" in field:
            return "list of " + " and ".join(_sort(i, models) for i in field["prefixItems"])
        return f"list of {_sort(field.get('items', {}), models)}"
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"mapping to {_sort(inner, models)}" if isinstance(inner, dict) else "mapping"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return words.get(str(kind), "anything") + _limits(field)


def _limits(field: Schema) -> str:
    bounds = [
        f"{sign} {field[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in field
    ]
    return f" {', '.join(bounds)}" if bounds else ""


def _plain(text: str) -> str:
    """Turn a docstring into one cell of a table."""
    joined = " ".join(text.split()).replace("``", "`").replace("|", "\\|")
    return re.sub(r"<(\w+)>", r"\\<\1\\>", joined)


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them."""
    if arguments not in ([], ["--check"]):
        sys.stdout.write(f"{__doc__}\n")
        return 2
    old = []
    for source, page, head in (RECORD, ANALYSIS):
        text = page_text(source, head)
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            old.append(page.name)
            if not arguments:
                write_atomic(page, text)
    sys.stdout.write(f"{'old' if arguments else 'written'}: {', '.join(old) or 'none'}\n")
    return 1 if arguments and old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
