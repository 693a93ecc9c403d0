"""LaTeX read as TeX reads it, by its own rules of characters; typeset where a TeX is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings, strategies as st

from mtmeta.audit.run import AnalysisRun
from mtmeta.reports.build import report_of
from mtmeta.reports.document import Cell, Column, Document, Section, Table, TableRow, numbers_of
from mtmeta.reports.html import html_page
from mtmeta.reports.latex import escaped, latex_text
from mtmeta.reports.latex_tables import arranged, set_width
from mtmeta.reports.markdown import markdown_text
from mtmeta.reports.publish import write_report


@pytest.fixture(scope="module")
def several(runs: dict[str, AnalysisRun]) -> Document:
    """Four analyses in one document."""
    return report_of(list(runs.values()))


PRINTING = {
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"),
    *("textquotedbl", "textquotesingle", "textasciigrave", "ensuremath", "textsuperscript"),
    *("leq", "geq", "times", "surd", "infty", "approx", "neq"),
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda"),
    *("mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
    *("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega"),
    *("leftarrow", "rightarrow", "oplus", "circ"),
}
LYING = {"allowbreak", "small", "footnotesize", "scriptsize"}
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
    """What TeX acts upon, without what only prints a character or follows from the length of a text."""
    text = re.sub(r"\\(begin|end)\{landscape\}\n", "", text)
    out, found = [], tokens(text)
    for token in found:
        if token.startswith("\\") and (token[1:] in PRINTING | LYING or token[1:] in SIGNS):
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


def test_every_number_of_the_page_stands_in_it(several: Document) -> None:
    text = latex_text(several).replace(",~", ", ")
    for number in numbers_of(several):
        assert escaped(number.text.replace("-", "\N{MINUS SIGN}") if number.text != "-" else "-") in text


def test_environments_are_closed_and_columns_are_counted(several: Document) -> None:
    text = latex_text(several)
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
        caption, *lines = re.split(r"\\\\(?:\*|\[3pt\])?\n", body)
        assert caption.startswith(rf"\multicolumn{{{count}}}")
        for line in lines:
            if re.sub(r"\\(end\w+|\w+rule)|\s", "", line):
                assert len(re.findall(r"(?<!\\)&", line)) == count - 1


def table_of(*columns: tuple[str, Literal["text", "number"], str], rows: int = 1) -> Table:
    row = TableRow(tuple(Cell.of(text) for _, _, text in columns))
    return Table("t", "A caption", tuple(Column(title, kind) for title, kind, _ in columns), (row,) * rows)


def test_a_narrow_table_stands_upright_and_is_as_wide_as_its_words() -> None:
    lying = arranged(table_of(("Trial", "text", "White 1999"), ("SMD", "number", "-0.48")))
    assert (lying.landscape, lying.size) == (False, "small")
    assert lying.widths[0] == pytest.approx(set_width("White 1999", 10.0))
    assert lying.total == pytest.approx(sum(lying.widths) + 8.0)


def test_many_columns_of_long_words_lie_on_a_page_on_its_side() -> None:
    lying = arranged(table_of(*[("Randomised", "text", "uninterrupted rest")] * 9))
    assert lying.landscape
    assert min(lying.widths) > set_width("Randomised", 8.5, bold=True)
    assert 472 < lying.total <= 719


def test_a_sentence_takes_what_a_number_leaves() -> None:
    lying = arranged(
        table_of(("SMD [95% CI]", "number", "-0.48 [-0.71, -0.25]"), ("Why", "text", "word " * 80))
    )
    assert not lying.landscape
    assert lying.widths[1] > 300
    assert lying.total == pytest.approx(472.0)
    assert lying.widths[0] > set_width("[\N{MINUS SIGN}0.71, \N{MINUS SIGN}0.25]", 9.0)


def test_more_columns_than_any_page_holds_share_the_line() -> None:
    lying = arranged(table_of(*[("Randomisation", "text", "uninterrupted")] * 30))
    assert lying.landscape
    assert lying.total == pytest.approx(719.0)


def test_an_interval_stays_on_one_line_and_a_long_word_may_break() -> None:
    table = table_of(
        ("SMD", "number", "-0.48 [-0.71, -0.25]"), ("File", "text", "studies/cardiac/white-1999.yaml")
    )
    text = latex_text(Document("d", (Section("s", "S", (table,)),)))
    assert r"{[}\ensuremath{-}0.71,~\ensuremath{-}0.25{]}" in text
    assert r"studies/\allowbreak{}cardiac/\allowbreak{}white-1999.\allowbreak{}yaml" in text


def test_trials_to_tick_off_are_on_no_paper(runs: dict[str, AnalysisRun]) -> None:
    document = report_of([runs["schizophrenia-panss"]])
    assert "Take a tick off" in html_page(document)
    for text in (latex_text(document), markdown_text(document)):
        assert "Take a tick off" not in text
        assert "Leave trials out" not in text


def test_each_analysis_of_several_begins_a_page(several: Document, runs: dict[str, AnalysisRun]) -> None:
    text, one = latex_text(several), latex_text(report_of([runs["schizophrenia-panss"]]))
    assert text.count(r"\clearpage") == len(runs) + 1
    assert r"\tableofcontents" in text
    assert r"\clearpage" not in one
    assert r"\tableofcontents" not in one


TEX = next((name for name in ("pdflatex", "lualatex", "xelatex") if shutil.which(name)), None)
typeset = pytest.mark.skipif(TEX is None, reason="no TeX is installed (pdflatex, lualatex or xelatex)")


def log_of(folder: Path) -> str:
    """Typeset report.tex and return what TeX noted; any error of TeX fails."""
    assert TEX is not None
    done = subprocess.run(
        [TEX, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    return (folder / "report.log").read_text(encoding="utf-8", errors="replace")


@typeset
@pytest.mark.slow
def test_tex_typesets_it_and_nothing_sticks_out(runs: dict[str, AnalysisRun], tmp_path: Path) -> None:
    write_report(list(runs.values()), tmp_path, formats=["tex"])
    log = log_of(tmp_path)
    assert "Missing character" not in log
    # 2 mm: in a paragraph TeX may leave a word in the margin; in a table it would run over the next column
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \((\d+\.\d+)pt", log)]
    assert max(wide, default=0.0) < 6.0


@typeset
@pytest.mark.slow
def test_tex_typesets_hostile_text(
    hostile: str, everywhere: Callable[[str], Document], tmp_path: Path
) -> None:
    (tmp_path / "report.tex").write_text(latex_text(everywhere(hostile)), encoding="utf-8")
    log_of(tmp_path)


@typeset
@pytest.mark.slow
def test_tex_typesets_greek_and_letters_of_europe(
    everywhere: Callable[[str], Document], tmp_path: Path
) -> None:
    words = "αβγδεζηθικλμνξπρστυφχψω ΓΔΘΛΞΠΣΦΨΩ "
    words += "ÅåÄäÖöØøÆæÇçÑñŁłŐőŠšŽžĞğİı ½ × ± ≤ ≥ ≈ ≠ √ ∞ → ← € § † “a” ‘b’ – —"
    (tmp_path / "report.tex").write_text(latex_text(everywhere(words)), encoding="utf-8")
    assert "Missing character" not in log_of(tmp_path)
