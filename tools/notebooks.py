"""Write the notebooks (.ipynb) of analyses/notebooks from their percent scripts (.py).

Run ``python tools/notebooks.py``: every notebook anew, outputs cleared, the same bytes for the same script.
``--check`` only tells which are old and ends with 1 if any is. ``--run FOLDER [NAME ...]`` executes them and
writes each with its outputs, and its images apart, into a folder, to be looked at.
"""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "analyses" / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def scripts() -> list[Path]:
    """Return the percent scripts in order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def notebook_of(script: Path) -> nbformat.NotebookNode:
    """Make the notebook of a script: no outputs, cells named by their place."""
    notebook = jupytext.read(script, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(
        {
            "jupytext": {"formats": "ipynb,py:percent"},
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for i, cell in enumerate(notebook.cells, 1):
        cell["id"] = f"cell-{i:02d}"
    return notebook


def text_of(script: Path) -> str:
    """Return the notebook of a script as its file holds it."""
    return nbformat.writes(notebook_of(script)) + "\n"


def execute(script: Path, *, folder: Path, timeout: int = 300) -> nbformat.NotebookNode:
    """Run a notebook with a working folder; an error of a cell is raised."""
    notebook = notebook_of(script)
    NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def errors_in_widgets(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the errors that a control swallowed: a slider shows a traceback where a cell would fail."""
    states = notebook.metadata.get("widgets", {})
    found = []
    for view in states.values():
        for model in view.get("state", {}).values():
            outputs = model.get("state", {}).get("outputs", [])
            found += [f"{o['ename']}: {o['evalue']}" for o in outputs if o.get("output_type") == "error"]
    return found


def images(notebook: nbformat.NotebookNode) -> list[bytes]:
    """Return the images shown, those under sliders too."""
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    for view in notebook.metadata.get("widgets", {}).values():
        for model in view.get("state", {}).values():
            outputs += model.get("state", {}).get("outputs", [])
    return [base64.b64decode(o["data"]["image/png"]) for o in outputs if "image/png" in o.get("data", {})]


def _look(folder: Path, names: list[str]) -> None:
    for script in scripts():
        if names and not any(name in script.stem for name in names):
            continue
        begun = time.perf_counter()
        notebook = execute(script, folder=folder)
        seconds = time.perf_counter() - begun
        nbformat.write(notebook, folder / f"{script.stem}.ipynb")
        for i, image in enumerate(images(notebook), 1):
            (folder / f"{script.stem}-{i}.png").write_bytes(image)
        said = [
            o["data"].get("text/markdown") or o["data"].get("text/plain", "")
            for cell in notebook.cells
            if cell.cell_type == "code"
            for o in cell.outputs
            if "data" in o
        ]
        streams = [
            o["text"] for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "text" in o
        ]
        (folder / f"{script.stem}.txt").write_text("\n\n".join(said + streams), encoding="utf-8")
        sys.stdout.write(f"{script.stem}: {seconds:.1f} s {errors_in_widgets(notebook) or ''}\n")


def main(arguments: list[str]) -> int:
    """Write, check or run the notebooks."""
    if arguments[:1] == ["--run"] and len(arguments) > 1:
        folder = Path(arguments[1])
        folder.mkdir(parents=True, exist_ok=True)
        _look(folder, arguments[2:])
        return 0
    if arguments not in ([], ["--check"]):
        sys.stdout.write(f"{__doc__}\n")
        return 2
    old = []
    for script in scripts():
        path, text = script.with_suffix(".ipynb"), text_of(script)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        old.append(script.stem)
        if not arguments:
            path.write_text(text, encoding="utf-8")
    verb = "old" if arguments else "written"
    sys.stdout.write(f"{verb}: {', '.join(old) or 'none'}\n")
    return 1 if arguments and old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
