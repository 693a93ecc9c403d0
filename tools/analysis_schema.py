"""Write analyses/analysis.schema.json, the JSON Schema by which editors check and complete analysis files.

Run ``python tools/analysis_schema.py`` after a change of the schema; ``--check`` only tells whether the
committed file is the schema's, and ends with 1 if it is not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mtmeta.audit.analysis import json_schema
from mtmeta.records.files import write_atomic

PATH = Path(__file__).parent.parent / "analyses" / "analysis.schema.json"


def schema_text() -> str:
    """Return the JSON Schema as it stands in the file."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` compare it."""
    if arguments == ["--check"]:
        same = PATH.is_file() and PATH.read_text(encoding="utf-8") == schema_text()
        sys.stdout.write(
            f"{PATH.name} is {'up to date' if same else 'old: run python tools/analysis_schema.py'}\n"
        )
        return 0 if same else 1
    if arguments:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    write_atomic(PATH, schema_text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
