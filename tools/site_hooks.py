"""What the site holds beside docs/: the project's own pages, and the reference, made when the site is built.

Loaded by mkdocs (``hooks`` in mkdocs.yml). Links from a page of docs/ to a file of the repository that the site
has under another name are turned to it; links to files that it does not have become plain text.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent

# a file of the repository: its page in the site
PAGES = {
    "README.md": "project/readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "studies/README.md": "project/studies.md",
}
# heads of the reference, and the modules whose public names stand under each
GROUPS = {
    "records": ("Records", ("records.",)),
    "effects": ("Effect sizes", ("measures", "effects.")),
    "models": (
        "Models",
        ("models.pool", "models.events", "models.regression", "models.dependent", "models."),
    ),
    "bayes": ("Bayes", ("models.priors", "models.bayes", "models.empirical_priors", "models.sampled")),
    "diagnostics": ("Diagnostics", ("diagnostics.",)),
    "figures": ("Figures", ("figures",)),
    "reports": ("Reports and audit", ("reports.", "audit.")),
    "errors": ("Errors", ("errors",)),
}


def public_names() -> dict[str, str]:
    """Return the table of public names, read from the source."""
    tree = ast.parse((ROOT / "src" / "mtmeta" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "_NAMES":
            assert node.value is not None
            return dict(ast.literal_eval(node.value))
    raise ValueError("src/mtmeta/__init__.py has no table _NAMES")


def group_of(module: str) -> str:
    """Return the head of the reference under which a module's names stand."""
    found = [
        (len(prefix), key)
        for key, (_, prefixes) in GROUPS.items()
        for prefix in prefixes
        if module.startswith(prefix)
    ]
    return max(found)[1]


def home_of(name: str, module: str) -> str:
    """Return the full path at which a public name is defined: of figures, the module that the package names."""
    if module != "figures":
        return f"mtmeta.{module}.{name}"
    tree = ast.parse((ROOT / "src" / "mtmeta" / "figures" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOME":
            return f"mtmeta.figures.{ast.literal_eval(node.value)[name]}.{name}"
    raise ValueError("src/mtmeta/figures/__init__.py has no table _HOME")


def reference_pages() -> dict[str, str]:
    """Return the pages of the reference: address in the site to Markdown."""
    members: dict[str, list[str]] = {key: [] for key in GROUPS}
    for name, module in public_names().items():
        members[group_of(module)].append(f"::: {home_of(name, module)}")
    pages = {
        f"reference/{key}.md": f"# {GROUPS[key][0]}\n\nAll of these are names of `mtmeta` itself: `import mtmeta as mt`.\n\n"
        + "\n\n".join(entries)
        + "\n"
        for key, entries in members.items()
        if entries
    }
    listed = "\n".join(
        f"- [{GROUPS[key][0]}]({key}.md): "
        + ", ".join(f"`{entry.rsplit('.', 1)[1]}`" for entry in members[key])
        for key in GROUPS
        if members[key]
    )
    pages["reference/index.md"] = (
        "# Python reference\n\nEvery public name, from its docstring: formula, source, and an example that is a "
        f"published number and a test.\n\n{listed}\n"
    )
    pages["reference/command-line.md"] = command_line()
    return pages


def command_line() -> str:
    """Return the page of all commands with their options."""
    import typer.main

    from mtmeta.cli.app import app

    group: Any = typer.main.get_command(app)
    parts = ["# Command line\n\nExit codes: 0 fine, 1 problems found in the data, 2 wrong use.\n"]
    for name, command in group.commands.items():
        arguments = " ".join(
            f"[{p.name.upper()}]" if not p.required else p.name.upper()
            for p in command.params
            if p.param_type_name == "argument"
        )
        about = re.sub(r"\n\s*Example: (.+)", r"\n\nExample: `\1`", (command.help or "").strip())
        parts.append(f"## mtmeta {name}\n\n`mtmeta {name} {arguments}`\n\n{about}\n")
        rows = [
            f"| `{', '.join(p.opts + p.secondary_opts)}` | {(p.help or '').replace('|', chr(92) + '|')} |"
            for p in command.params
            if p.param_type_name == "option"
        ]
        if rows:
            parts.append("| option | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def on_config(config: Any) -> Any:
    """Put documents that the navigation does not name yet at its end, so that none is lost."""
    named = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    rest = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in named)
    if rest:
        config["nav"].append({"More": rest})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the project's pages, the reference and images that pages show."""
    for source, address in PAGES.items():
        files.append(File.generated(config, address, content=(ROOT / source).read_text(encoding="utf-8")))
    for address, text in reference_pages().items():
        files.append(File.generated(config, address, content=text))
    for image in sorted((ROOT / "figures").glob("*.svg")):
        files.append(File.generated(config, f"figures/{image.name}", abs_src_path=str(image)))
    return files


_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links between files of the repository into links of the site."""
    address = page.file.src_uri
    origin = next((source for source, to in PAGES.items() if to == address), f"docs/{address}")
    fences = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        part if part.startswith("```") else _LINK.sub(lambda m: _turned(m, origin, address, files), part)
        for part in fences
    )


def _turned(link: re.Match[str], origin: str, address: str, files: Files) -> str:
    image, text, target, anchor = link[1], link[2], link[3], link[4] or ""
    if not target or re.match(r"[a-z]+:", target):
        return link[0]
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    goal = PAGES.get(inside, inside.removeprefix("docs/") if inside.startswith("docs/") else inside)
    if files.get_file_from_path(goal) is None:
        return text if not image else f"*{text}*"
    return f"{image}[{text}]({posixpath.relpath(goal, posixpath.dirname(address) or '.')}{anchor})"


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Take the roles of docstrings (``:class:`` and the like) out of the reference."""
    return re.sub(r":(?:class|func|meth|attr|mod):\s*(?=<code)", "", output)
