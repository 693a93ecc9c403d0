"""LaTeX read as TeX reads it, by its own rules of characters; typeset where a TeX is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from mtmeta.audit.run import AnalysisRun
from mtmeta.reports.build import report_of
from mtmeta.reports.document import Document, numbers_of
from mtmeta.reports.latex import escaped, latex_text
from mtmeta.reports.publish import write_report

PRINTING = {
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"),
    *("textquotedbl", "textquotesingle", "textasciigrave", "ensuremath", "textsuperscript"),
    *("tau", "mu", "rho", "chi", "sigma", "leq", "geq", "times", "surd", "infty"),
    *("leftarrow", "rightarrow", "oplus", "circ"),
}
SIGNS = set("{}$&#%_")


def tokens(text: str) -> list[str]:
    r"""Split into control sequences, and the characters that TeX acts upon: { } & # $ ^ _ ~ %."""
    return re.findall(r"\\(?:[A-Za-z]+|.|\n)|[{}&#$^_~%]", text)


def balanced(found: list[str]) -> bool:
    depth = 0
    for token in found:
        depth += (token == "{") - (token == "}")
        if depth < 0:
            return False
    return depth == 0


def shape(text: str) -> list[str]:
    """What TeX acts upon, without what only prints a character."""
    out, found = [], tokens(text)
    for token in found:
        if token.startswith("\\") and (token[1:] in PRINTING or token[1:] in SIGNS):
            continue
        if token in ("{", "}"):
            continue
        out.append(token)
    assert balanced(found)
    return out


def test_hostile_text_stays_text(hostile: str, everywhere: Callable[[str], Document]) -> None:
    calm = "\n".join(["calm"] * (1 + hostile.count("\n")))  # fixed-width text keeps its lines
    assert shape(latex_text(everywhere(hostile))) == shape(latex_text(everywhere(calm)))


@given(st.text(min_size=1, max_size=60).filter(lambda t: "\n" not in t and "\r" not in t))
@settings(max_examples=200)
def test_any_text_stays_text(everywhere: Callable[[str], Document], text: str) -> None:
    assert shape(latex_text(everywhere(text))) == shape(latex_text(everywhere("calm")))


@given(st.text(max_size=80))
@settings(max_examples=300)
def test_escaped_text_holds_nothing_that_tex_acts_upon(text: str) -> None:
    made = escaped(text)
    assert shape(made) == []
    assert "\n" not in made
    assert "--" not in made
    assert "``" not in made
    assert not re.search(r"(?<!\{)[\[*]", made)  # after \\ they would begin an argument


def test_every_number_of_the_page_stands_in_it(runs: dict[str, AnalysisRun]) -> None:
    document = report_of(list(runs.values()))
    text = latex_text(document)
    for number in numbers_of(document):
        assert escaped(number.text.replace("-", "\N{MINUS SIGN}") if number.text != "-" else "-") in text


def test_environments_are_closed_and_columns_are_counted(runs: dict[str, AnalysisRun]) -> None:
    text = latex_text(report_of(list(runs.values())))
    assert balanced(tokens(text))
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    for columns, body in re.findall(r"\\begin\{longtable\}\{(.*?)\}\n(.*?)\\end\{longtable\}", text, re.S):
        count = len(re.findall(r"[LR]\{", columns))
        for line in body.replace(r"\hline", "").split("\\\\\n"):
            if line.strip() and "endhead" not in line:
                assert len(re.findall(r"(?<!\\)&", line)) == count - 1


TEX = next((name for name in ("lualatex", "xelatex", "pdflatex") if shutil.which(name)), None)


@pytest.mark.skipif(TEX is None, reason="no TeX is installed (lualatex, xelatex or pdflatex)")
def test_tex_typesets_it(runs: dict[str, AnalysisRun], tmp_path: Path) -> None:
    write_report([runs["depression"]], tmp_path, formats=["tex"])
    assert TEX is not None
    done = subprocess.run(
        [TEX, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
