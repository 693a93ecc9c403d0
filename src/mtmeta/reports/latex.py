r"""A report as LaTeX, one file for LuaLaTeX, XeLaTeX or pdfLaTeX with packages that every distribution has.

Every character of a record that TeX would act upon is written as the command that prints it; what is beyond
ASCII stays as it is (UTF-8). A record can neither begin a command, nor end a group, nor read a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from unicodedata import lookup

from mtmeta.reports.document import (
    Block,
    Cite,
    Code,
    Column,
    Document,
    Figure,
    Inline,
    Jump,
    Link,
    Listing,
    Note,
    Number,
    Paragraph,
    Section,
    Spans,
    Table,
)
from mtmeta.reports.latex_tables import GAP, arranged, breakable
from mtmeta.reports.words import minus
from mtmeta.reports.written import CONTROL, SPACE, labels_of, printed_rows, sections_on_paper

__all__ = ["latex_text"]

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "--": r"-{}-{}",  # two of them are no dash
    ",,": r",{},{}",
    "[": r"{[}",  # after \\ or \item it would begin an argument
    "]": r"{]}",
    "*": r"{*}",
    "\N{MINUS SIGN}": r"\ensuremath{-}",
    "\N{SUPERSCRIPT TWO}": r"\textsuperscript{2}",
    "\N{LESS-THAN OR EQUAL TO}": r"\ensuremath{\leq}",
    "\N{GREATER-THAN OR EQUAL TO}": r"\ensuremath{\geq}",
    "\N{MULTIPLICATION SIGN}": r"\ensuremath{\times}",
    "\N{SQUARE ROOT}": r"\ensuremath{\surd}",
    "\N{ALMOST EQUAL TO}": r"\ensuremath{\approx}",
    "\N{NOT EQUAL TO}": r"\ensuremath{\neq}",
    "\N{N-ARY SUMMATION}": r"\ensuremath{\Sigma}",
    "\N{INFINITY}": r"\ensuremath{\infty}",
    "\N{LEFTWARDS ARROW}": r"\ensuremath{\leftarrow}",
    "\N{RIGHTWARDS ARROW}": r"\ensuremath{\rightarrow}",
    "\N{CIRCLED PLUS}": r"\ensuremath{\oplus}",
    "\N{WHITE CIRCLE}": r"\ensuremath{\circ}",
}
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon "
    "phi chi psi omega"
)
_COMMANDS |= {
    lookup(f"GREEK SMALL LETTER {name.replace('lambda', 'lamda').upper()}"): rf"\ensuremath{{\{name}}}"
    for name in _GREEK.split()
} | {
    lookup(
        f"GREEK CAPITAL LETTER {name.replace('lambda', 'lamda').upper()}"
    ): rf"\ensuremath{{\{name.title()}}}"
    for name in ["gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "phi", "psi", "omega"]
}
_HEADED = re.compile(r"(?m)^(\\(?:sub)*section\{.*\}\\hypertarget\{[a-z0-9-]+\}\{\}\n)\\begin\{landscape\}\n")
_INTERVAL = re.compile(r"\{\[\}.*?\{\]\}")
_WORDS = re.compile(r"\s+|\S+")
_ACTIVE = re.compile("|".join(map(re.escape, _COMMANDS)))
_LEVELS = ("section", "subsection", "subsubsection", "paragraph")
_KINDS = {"note": "", "warning": r"\textbf{Warning:} ", "refusal": r"\textbf{Not done:} "}

_HEAD = r"""\documentclass[11pt,a4paper]{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[utf8]{inputenc}
  \usepackage[T1]{fontenc}
  \IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\else
  \usepackage{fontspec}
\fi
\usepackage{textcomp}
\usepackage{amssymb}
\usepackage[margin=22mm]{geometry}
\usepackage{graphicx}
\usepackage{array}
\usepackage{booktabs}
\usepackage{longtable}
\usepackage{pdflscape}
\usepackage[hidelinks]{hyperref}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\setlength{\emergencystretch}{3em}
\setlength{\LTleft}{0pt}
\setlength{\LTpre}{10pt}
\setlength{\LTpost}{6pt}
\setcounter{tocdepth}{1}
\newcolumntype{L}[1]{>{\raggedright\arraybackslash}p{#1}}
\newcolumntype{R}[1]{>{\raggedleft\arraybackslash}p{#1}}
\makeatletter % a figure keeps its size, unless it is larger than the page
\newcommand{\figurewidth}{\ifdim\Gin@nat@width>\linewidth\linewidth\else\Gin@nat@width\fi}
\newcommand{\figureheight}{\ifdim\Gin@nat@height>0.85\textheight 0.85\textheight\else\Gin@nat@height\fi}
\newcommand{\together}{% a heading goes to the next page with what it heads
  \par\penalty-100\begingroup\dimen@\pagegoal\advance\dimen@-\pagetotal
  \ifdim\dimen@<9\baselineskip\vfil\break\fi\endgroup}
\makeatother
"""


def latex_text(document: Document) -> str:
    """Write a document as LaTeX.

    Figures are ``figures/NAME.pdf``, which :func:`mtmeta.reports.publish.write_report` writes beside. What
    only a page can do (trials to tick off) is left out. Letters beyond Latin need LuaLaTeX or XeLaTeX.
    """
    labels = labels_of(document)
    sections = sections_on_paper(document.sections)
    out = [_HEAD, f"\\title{{{escaped(document.title)}}}", r"\author{}", r"\date{}"]
    out += [r"\begin{document}", r"\maketitle"]
    if document.subtitle:
        out.append(escaped(document.subtitle) + "\n")
    several = sum(bool(section.sections) for section in sections) > 1
    if several:
        out.append(r"{\setlength{\parskip}{0pt}\tableofcontents}")
    for i, section in enumerate(sections):
        if several and i and (section.sections or sections[i - 1].sections):
            out.append(r"\clearpage")  # each analysis begins a page, and so does what follows the last
        out += _section(section, 0, labels)
    if document.references:
        out += [r"\section*{References}", r"\begin{enumerate}\raggedright"]
        out += [
            f"\\item \\hypertarget{{ref-{entry.key}}}{{}}{_inline(entry.spans, labels)}"
            for entry in document.references
        ]
        out.append(r"\end{enumerate}")
    out.append(r"\end{document}")
    return _turned("\n".join(out)) + "\n"


def _turned(text: str) -> str:
    """Let neighbours share a page on its side, with the heading above the first of them."""
    text = _HEADED.sub(r"\\begin{landscape}\n\1", text)
    return text.replace("\n\\end{landscape}\n\\begin{landscape}\n", "\n")


def escaped(text: str) -> str:
    r"""Return text that TeX prints as it stands, on one line.

    Examples
    --------
    >>> print(escaped(r"\input{x} 5% & $a_1$"))
    \textbackslash{}input\{x\} 5\% \& \$a\_1\$
    """
    flat = SPACE.sub(" ", CONTROL.sub("?", text))
    return _ACTIVE.sub(lambda found: _COMMANDS[found[0]], flat)


def _inline(parts: Spans, labels: Mapping[str, str]) -> str:
    return "".join(_one(part, labels) for part in parts)


def _cell(parts: Spans, column: Column, labels: Mapping[str, str]) -> str:
    """Write a cell: a long word may end a line between its parts, an interval stays on one."""
    text = "".join(_one(part, labels, write=_broken) for part in parts)
    return (
        _INTERVAL.sub(lambda found: found[0].replace(", ", ",~"), text) if column.kind == "number" else text
    )


def _broken(text: str) -> str:
    return "".join(r"\allowbreak{}".join(map(escaped, breakable(word))) for word in _WORDS.findall(text))


def _one(part: Inline, labels: Mapping[str, str], write: Callable[[str], str] = escaped) -> str:
    if isinstance(part, Cite):
        return f"\\hyperlink{{ref-{part.key}}}{{{write(labels[part.key])}}}"
    text = write(part.text)
    if isinstance(part, Number):
        number = write(minus(part.text))
        return f"\\hyperlink{{{part.jump}}}{{{number}}}" if part.jump else number
    if isinstance(part, Jump):
        return f"\\hyperlink{{{part.target}}}{{{text}}}"
    if isinstance(part, Link):
        return f"\\href{{{_address(part.address)}}}{{{text}}}" if part.address else text
    style = {"strong": "textbf", "emphasis": "emph", "code": "texttt"}.get(part.style)
    return f"\\{style}{{{text}}}" if style else text


def _address(address: str) -> str:
    """Write an address, which holds none of TeX's signs but these."""
    return address.replace("%", r"\%").replace("#", r"\#").replace("_", r"\_")


# ---- blocks ---------------------------------------------------------------------------------------


def _section(section: Section, level: int, labels: Mapping[str, str]) -> Iterator[str]:
    command = _LEVELS[min(level, len(_LEVELS) - 1)]
    yield r"\together"
    yield f"\\{command}{{{escaped(section.title)}}}\\hypertarget{{{section.id}}}{{}}"
    for block in section.blocks:
        yield from _block(block, labels)
    for inner in section.sections:
        yield from _section(inner, level + 1, labels)


def _block(block: Block, labels: Mapping[str, str]) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield _inline(block.spans, labels) + "\n"
    elif isinstance(block, Listing):
        kind = "enumerate" if block.ordered else "itemize"
        items = (f"\\item {{}}{_inline(item, labels)}" for item in block.items)
        if block.items:
            yield "\n".join((f"\\begin{{{kind}}}", *items, f"\\end{{{kind}}}"))
    elif isinstance(block, Note):
        yield f"\\begin{{quote}}\n{_KINDS[block.kind]}{_inline(block.spans, labels)}\n\\end{{quote}}"
    elif isinstance(block, Code):
        if block.title:
            yield escaped(block.title) + ":\n"
        lines = block.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        body = "\\\\\n".join(rf"\mbox{{}}{_spaced(line)}" for line in lines)
        yield f"{{\\small\\ttfamily\\raggedright\n{body}\\par}}\n"
    elif isinstance(block, Table):
        yield from _table(block, labels)
    elif isinstance(block, Figure):
        yield f"\\hypertarget{{{block.id}}}{{}}"
        size = r"width=\figurewidth,height=\figureheight,keepaspectratio"
        for file in block.files:
            yield rf"\includegraphics[{size}]{{figures/{file}.pdf}}\par"
        if block.files:
            yield r"\nopagebreak"
        yield f"{{\\small {_inline(block.caption, labels)}\\par}}\n"


def _spaced(line: str) -> str:
    """Write a line of fixed width with all its spaces."""
    return re.sub(r"^ | (?= )", "~", CONTROL.sub("?", line.expandtabs()))


def _table(table: Table, labels: Mapping[str, str]) -> Iterator[str]:
    lying = arranged(table)
    columns = "".join(
        f"{'R' if column.kind == 'number' else 'L'}{{{width:.1f}pt}}"
        for column, width in zip(table.columns, lying.widths, strict=True)
    )
    many = len(table.columns)
    head = " & ".join(f"\\textbf{{{_broken(column.title)}}}" for column in table.columns)
    caption = f"\\normalsize\\hypertarget{{{table.id}}}{{}}\\textbf{{{escaped(table.caption)}}}"
    if lying.landscape:
        yield r"\begin{landscape}"
    yield f"{{\\{lying.size}\\setlength{{\\tabcolsep}}{{{GAP:g}pt}}\\renewcommand{{\\arraystretch}}{{1.1}}"
    yield f"\\begin{{longtable}}{{@{{}}{columns}@{{}}}}"
    yield f"\\multicolumn{{{many}}}{{@{{}}L{{{lying.total:.1f}pt}}@{{}}}}{{{caption}}} \\\\[3pt]"
    yield f"\\toprule\n{head} \\\\\n\\midrule\n\\endfirsthead"
    yield f"\\toprule\n{head} \\\\\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot"
    for i, (row, printed) in enumerate(zip(table.rows, printed_rows(table), strict=True)):
        cells = [_cell(spans, column, labels) for spans, column in zip(printed, table.columns, strict=True)]
        if row.id:
            cells[0] = f"\\hypertarget{{{row.id}}}{{}}{cells[0]}"
        yield " & ".join(f"\\textbf{{{cell}}}" if row.head else cell for cell in cells) + (
            r" \\*" if i == 0 or len(table.rows) - 3 <= i < len(table.rows) - 1 else r" \\"
        )
    yield "\\end{longtable}}"
    for row in table.rows:
        for block in row.detail:
            yield from _block(block, labels)
    for note in table.notes:
        yield f"{{\\small {_inline(note, labels)}\\par}}\n"
    if lying.landscape:
        yield r"\end{landscape}"
