r"""A report as LaTeX, one file for LuaLaTeX, XeLaTeX or pdfLaTeX with packages that every distribution has.

Every character of a record that TeX would act upon is written as the command that prints it; what is beyond
ASCII stays as it is (UTF-8). A record can neither begin a command, nor end a group, nor read a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mtmeta.reports.document import (
    Block,
    Cite,
    Code,
    Document,
    Explorer,
    Figure,
    Inline,
    Jump,
    Link,
    Listing,
    Note,
    Number,
    Paragraph,
    Section,
    Span,
    Spans,
    Table,
)
from mtmeta.reports.words import minus

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
    "\N{GREEK SMALL LETTER TAU}": r"\ensuremath{\tau}",
    "\N{GREEK SMALL LETTER MU}": r"\ensuremath{\mu}",
    "\N{GREEK SMALL LETTER RHO}": r"\ensuremath{\rho}",
    "\N{GREEK SMALL LETTER CHI}": r"\ensuremath{\chi}",
    "\N{GREEK SMALL LETTER SIGMA}": r"\ensuremath{\sigma}",
    "\N{SUPERSCRIPT TWO}": r"\textsuperscript{2}",
    "\N{LESS-THAN OR EQUAL TO}": r"\ensuremath{\leq}",
    "\N{GREATER-THAN OR EQUAL TO}": r"\ensuremath{\geq}",
    "\N{MULTIPLICATION SIGN}": r"\ensuremath{\times}",
    "\N{SQUARE ROOT}": r"\ensuremath{\surd}",
    "\N{INFINITY}": r"\ensuremath{\infty}",
    "\N{LEFTWARDS ARROW}": r"\ensuremath{\leftarrow}",
    "\N{RIGHTWARDS ARROW}": r"\ensuremath{\rightarrow}",
    "\N{CIRCLED PLUS}": r"\ensuremath{\oplus}",
    "\N{WHITE CIRCLE}": r"\ensuremath{\circ}",
}
_ACTIVE = re.compile("|".join(map(re.escape, _COMMANDS)))
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SPACE = re.compile(r"\s+")
_LEVELS = ("section", "subsection", "subsubsection", "paragraph")
_KINDS = {"note": "", "warning": r"\textbf{Warning:} ", "refusal": r"\textbf{Not done:} "}

_HEAD = r"""\documentclass[11pt,a4paper]{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[utf8]{inputenc}
  \usepackage[T1]{fontenc}
\else
  \usepackage{fontspec}
\fi
\usepackage{textcomp}
\usepackage{amssymb}
\usepackage[margin=22mm]{geometry}
\usepackage{graphicx}
\usepackage{array}
\usepackage{longtable}
\usepackage[hidelinks]{hyperref}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\setlength{\emergencystretch}{3em}
\newcolumntype{L}[1]{>{\raggedright\arraybackslash}p{#1}}
\newcolumntype{R}[1]{>{\raggedleft\arraybackslash}p{#1}}
"""


def latex_text(document: Document) -> str:
    """Write a document as LaTeX.

    Figures are ``figures/NAME.pdf``, which :func:`mtmeta.reports.publish.write_report` writes beside. What
    only a page can do (trials to tick off) is left out. Letters beyond Latin need LuaLaTeX or XeLaTeX.
    """
    labels = {entry.key: entry.label for entry in document.references}
    out = [_HEAD, f"\\title{{{escaped(document.title)}}}", r"\author{}", r"\date{}"]
    out += [r"\begin{document}", r"\maketitle"]
    if document.subtitle:
        out.append(escaped(document.subtitle) + "\n")
    for section in document.sections:
        out += _section(section, 0, labels)
    if document.references:
        out += [r"\section*{References}", r"\begin{enumerate}"]
        out += [
            f"\\item \\hypertarget{{ref-{entry.key}}}{{}}{_inline(entry.spans, labels)}"
            for entry in document.references
        ]
        out.append(r"\end{enumerate}")
    out.append(r"\end{document}")
    return "\n".join(out) + "\n"


def escaped(text: str) -> str:
    r"""Return text that TeX prints as it stands, on one line.

    Examples
    --------
    >>> print(escaped(r"\input{x} 5% & $a_1$"))
    \textbackslash{}input\{x\} 5\% \& \$a\_1\$
    """
    flat = _SPACE.sub(" ", _CONTROL.sub("?", text))
    return _ACTIVE.sub(lambda found: _COMMANDS[found[0]], flat)


def _inline(parts: Spans, labels: Mapping[str, str]) -> str:
    return "".join(_one(part, labels) for part in parts)


def _one(part: Inline, labels: Mapping[str, str]) -> str:
    if isinstance(part, Cite):
        return f"\\hyperlink{{ref-{part.key}}}{{{escaped(labels[part.key])}}}"
    text = escaped(part.text)
    if isinstance(part, Number):
        number = escaped(minus(part.text))
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
    if level == 0:
        yield r"\clearpage"
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
        body = "\\\\\n".join(rf"\mbox{{}}{escaped(line)}" for line in lines)
        yield f"{{\\small\\ttfamily\\raggedright\n{body}\\par}}\n"
    elif isinstance(block, Table):
        yield from _table(block, labels)
    elif isinstance(block, Figure):
        yield f"\\hypertarget{{{block.id}}}{{}}"
        if block.file:
            size = r"width=\linewidth,height=0.85\textheight,keepaspectratio"
            yield rf"\includegraphics[{size}]{{figures/{block.file}.pdf}}"
        yield f"\n{{\\small {_inline(block.caption, labels)}}}\n"
    elif isinstance(block, Explorer):
        return


def _table(table: Table, labels: Mapping[str, str]) -> Iterator[str]:
    widths = _widths(table)
    columns = "".join(
        f"{'R' if column.kind == 'number' else 'L'}{{{width:.3f}\\linewidth}}"
        for column, width in zip(table.columns, widths, strict=True)
    )
    head = " & ".join(f"\\textbf{{{escaped(column.title)}}}" for column in table.columns)
    yield f"\\hypertarget{{{table.id}}}{{}}\\textbf{{{escaped(table.caption)}}}"
    yield f"{{\\small\\setlength{{\\tabcolsep}}{{3pt}}\n\\begin{{longtable}}{{{columns}}}"
    yield f"\\hline\n{head} \\\\\n\\hline\n\\endhead"
    for row in table.rows:
        cells = [
            _inline(tuple(map(_signed, cell.spans)) if column.kind == "number" else cell.spans, labels)
            for cell, column in zip(row.cells, table.columns, strict=True)
        ]
        if row.id:
            cells[0] = f"\\hypertarget{{{row.id}}}{{}}{cells[0]}"
        yield " & ".join(f"\\textbf{{{cell}}}" if row.head else cell for cell in cells) + r" \\"
    yield "\\hline\n\\end{longtable}}"
    for row in table.rows:
        for block in row.detail:
            yield from _block(block, labels)
    for note in table.notes:
        yield f"{{\\small {_inline(note, labels)}}}\n"


def _signed(part: Inline) -> Inline:
    return Span(minus(part.text), part.style) if isinstance(part, Span) else part


def _widths(table: Table) -> list[float]:
    """Share the line among the columns by what stands in them; no column gets less than a twentieth."""
    wanted = []
    for i, column in enumerate(table.columns):
        lengths = [len(row.cells[i].text) for row in table.rows]
        longest = max(lengths, default=0)
        wanted.append(min(max(len(column.title) * 0.7, longest, 4.0), 40.0))
    room = 0.97 - 0.02 * len(wanted)
    least = room / (2.0 * len(wanted))
    total = sum(wanted)
    return [
        max(least, room * w / total) * room / sum(max(least, room * x / total) for x in wanted)
        for w in wanted
    ]
