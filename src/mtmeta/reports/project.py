"""The files of a new review, which run at once."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from mtmeta.errors import UsageError
from mtmeta.records.files import write_atomic
from mtmeta.records.locate import data_folder

__all__ = ["EXAMPLES", "install_source", "new_project"]

EXAMPLES = ("dementia/ceccato-2012.yaml", "dementia/giovagnoli-2018.yaml")

_ANALYSIS = """\
# yaml-language-server: $schema=analysis.schema.json
# One pooled question. Change the words and what is selected; `mtmeta run` does the rest.
schema: 1
name: example
title: Depression in people with dementia
question:
  population: people with dementia
  intervention: music-based therapeutic interventions
  comparator: usual care
  outcome: depression
  time: end of treatment
select:
  constructs: [depression]
  times: [post]
  comparators: [inactive]
measure: SMD
better: lower
model: {kind: random, tau2: REML, ci: auto, pi: V}
note: Two real trials of CD003477.pub5 to begin with; replace them by yours.
"""

_README = """\
# {name}

A review with mtmeta: one YAML record a trial in `studies/`, one YAML question a file in
`analyses/`.

```sh
mtmeta check     # every problem of every record, with file, line and what to write instead
mtmeta run       # pools every question, writes lock files and forest plots
mtmeta verify    # do the locked numbers still hold, and if not, why
```

The two records are real trials to copy from; `mtmeta new surname-year` asks for what a record needs. Editors
that read `.vscode/settings.json` or a file's first line complete and check keys and words while you type.

When you have your own records: delete the two examples, write your question into `analyses/example.yaml`
(rename the file and its `name:` together), and keep the lock files under version control.
"""

_IGNORE = (
    "# what mtmeta leaves behind when it is killed while writing\n.*.tmp\n.*.part\n__pycache__/\n.venv/\n"
)

_PRECOMMIT = """\
repos:
  - repo: local
    hooks:
      - id: mtmeta-check
        name: mtmeta check
        entry: mtmeta check
        language: system
        pass_filenames: false
      - id: mtmeta-verify
        name: mtmeta verify
        entry: mtmeta verify
        language: system
        pass_filenames: false
        files: ^(studies|analyses)/
"""

# by the YAML extension of VS Code and what reads its settings; other editors read the first line of each file
_EDITOR = {
    "yaml.schemas": {
        "studies/study.schema.json": "studies/**/*.yaml",
        "analyses/analysis.schema.json": "analyses/*.yaml",
    }
}

_WORKFLOW = """\
# Checks every change: records and analyses can be read, and the locked numbers still hold.
name: review
on: [push, pull_request]
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {{python-version: "3.11"}}
      - run: |
          python -m pip install {source}
      - run: mtmeta check
      - run: mtmeta verify
"""


def install_source(source: str) -> str:
    """Return what pip installs mtmeta from, for a path or a git address as people give it.

    Raises
    ------
    UsageError
        When the text is neither; a bare name would be looked up in a package index, where another package may
        stand under it.

    Examples
    --------
    >>> install_source("https://example.org/us/mtmeta.git")
    'git+https://example.org/us/mtmeta.git'
    >>> install_source("git@example.org:us/mtmeta.git")
    'git+ssh://git@example.org/us/mtmeta.git'
    >>> install_source("../mtmeta")
    '../mtmeta'
    """
    text = source.strip()
    if not text or not text.isprintable():
        raise UsageError(
            f"{source!r} is no path and no git address; give --from what mtmeta is installed from"
        )
    if secure_shell := re.fullmatch(r"(\w+@[\w.-]+):(?!/)(.+)", text):
        return f"git+ssh://{secure_shell[1]}/{secure_shell[2]}"
    if re.match(r"(https?|ssh)://", text):
        return text if text.endswith((".whl", ".tar.gz", ".zip")) else f"git+{text}"
    if text.startswith("git+") or "/" in text or "\\" in text or text in (".", ".."):
        return text
    raise UsageError(
        f"{text!r} names no place; mtmeta is on no package index: give --from a path with a slash, such as "
        f"./{text}, or a git address such as https://example.org/us/mtmeta.git"
    )


def _files(root: Path, source: str | None) -> dict[Path, str]:
    studies, analyses = data_folder("studies"), data_folder("analyses")
    files = {
        root / "README.md": _README.format(name=root.resolve().name),
        root / ".gitignore": _IGNORE,
        root / ".pre-commit-config.yaml": _PRECOMMIT,
        root / ".vscode" / "settings.json": json.dumps(_EDITOR, indent=2) + "\n",
        root / "analyses" / "example.yaml": _ANALYSIS,
        root / "analyses" / "analysis.schema.json": (analyses / "analysis.schema.json").read_text(
            encoding="utf-8"
        ),
        root / "studies" / "study.schema.json": (studies / "study.schema.json").read_text(encoding="utf-8"),
    }
    for example in EXAMPLES:
        lines = (studies / example).read_text(encoding="utf-8").splitlines(keepends=True)
        # a weight is the review's, in a forest of which only two trials come along
        kept = [line for line in lines if not line.lstrip().startswith("weight_percent:")]
        files[root / "studies" / example] = "".join(kept)
    if source is not None:
        files[root / ".github" / "workflows" / "review.yml"] = _WORKFLOW.format(
            source=shlex.quote(install_source(source))
        )
    return files


def new_project(root: Path, *, source: str | None = None, force: bool = False) -> tuple[Path, ...]:
    """Write a review that runs at once.

    Parameters
    ----------
    root : Path
        Folder to make.
    source : str, optional
        Path or git address from which a CI workflow installs mtmeta; without it no workflow is written, since
        mtmeta is on no package index.
    force : bool
        Overwrite files of the same name.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    UsageError
        When a file is in the way and `force` is not given, or `source` is no place; nothing is written then.
    """
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file; name a folder")
    files = _files(root, source)
    in_the_way = [path for path in files if path.exists()]
    if in_the_way and not force:
        listed = ", ".join(str(p) for p in in_the_way[:5])
        raise UsageError(f"{listed} would be overwritten; name another folder, or say --force")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    return tuple(files)
