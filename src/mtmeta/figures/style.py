"""How figures look, as data: one frozen `Style` a house, and the sizes journals ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mtmeta.errors import UsageError
from mtmeta.measures import check_choice

__all__ = ["STYLES", "Style", "StyleName", "mm_to_inch", "style_of", "width_of"]

StyleName = Literal["plain", "cochrane", "jama", "bmj", "lancet", "nature", "apa", "dark", "slides"]
Width = Literal["single", "one-and-half", "double"]

# Okabe & Ito 2008, "Color universal design": the hues that stay apart in every common colour blindness
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Everything that a house style fixes; change one with :func:`dataclasses.replace`.

    Attributes
    ----------
    name : str
    font : tuple of str
        Families in order of preference; glyphs the first lacks are taken from the next.
    size, leading : float
        Text size in points, and row height in multiples of it.
    smallest : float
        Text size in points below which columns are wrapped no further and the page is too narrow.
    decimals : int
        Of effects and data; `weight_decimals` and `i2_decimals` of percentages.
    weight_sign : bool
        Whether each weight has its percent sign (else the header says so).
    decimal_mark, thousands, minus, list_mark : str
        The decimal point (Lancet: a middle dot), what groups counts of five digits and more, the minus
        sign, and what parts statistics in a line.
    interval : tuple of str
        What stands before, between and after the limits.
    p_letter, p_space, p_leading_zero, p_decimals, p_floor
        How a P value is spelled and below which value it is "<".
    spelling : {"British", "American"}
        favours or favors, standardised or standardized.
    left, right : tuple of str
        Columns of a forest plot on the two sides of the panel. A column without data is left out.
    favours : {"below", "above"}
        Where the directions stand.
    heterogeneity : {"foot", "row"}
        Under the whole plot, or in the pooled row's own place.
    headers : tuple of (str, str)
        Column headers that differ from the usual ones.
    total : str
        Label of the pooled row; empty for the model's own name.
    terms : tuple of str
        How the between-study variance, Cochran's statistic and its share are called.
    paper, ink, muted, rule, square, square_edge, whisker, diamond, diamond_edge, prediction, null, band
        Colours. `band` tints every other row when not empty.
    palette : tuple of str
        Colours of further series, subgroups or panels in order.
    line, hairline : float
        Widths of whiskers and rules in points.
    rules : tuple of str
        Which horizontal rules are drawn: "top", "head", "foot".
    bold_head, bold_pooled : bool
    panel : float
        Natural width of the effect panel in multiples of the text size.
    label : float
        Width at which study labels are wrapped, in multiples of the text size.
    marks : float
        Side of the largest square in multiples of the text size.
    caps : float
        Height of interval caps in multiples of the text size; 0 for none.
    widths : tuple of float
        Single, one-and-a-half and double column in millimetres.
    """

    name: str = "plain"
    font: tuple[str, ...] = ("DejaVu Sans",)
    size: float = 8.0
    leading: float = 1.7
    smallest: float = 5.0
    decimals: int = 2
    weight_decimals: int = 1
    weight_sign: bool = True
    i2_decimals: int = 0
    decimal_mark: str = "."
    thousands: str = ","
    minus: str = "\N{MINUS SIGN}"
    list_mark: str = ", "
    interval: tuple[str, str, str] = ("[", ", ", "]")
    p_letter: str = "p"
    p_space: bool = True
    p_leading_zero: bool = True
    p_decimals: int = 3
    p_floor: float = 0.001
    spelling: Literal["British", "American"] = "British"
    left: tuple[str, ...] = ("study", "n1", "n2", "n")
    right: tuple[str, ...] = ("effect", "weight")
    favours: Literal["below", "above"] = "below"
    heterogeneity: Literal["foot", "row"] = "foot"
    headers: tuple[tuple[str, str], ...] = ()
    total: str = ""
    terms: tuple[str, str, str] = ("\N{GREEK SMALL LETTER TAU}²", "Q", "I²")
    paper: str = "#FFFFFF"
    ink: str = "#000000"
    muted: str = "#595959"
    rule: str = "#000000"
    square: str = "#4D4D4D"
    square_edge: str = "#4D4D4D"
    whisker: str = "#000000"
    diamond: str = BLUE
    diamond_edge: str = BLUE
    prediction: str = VERMILLION
    null: str = "#7F7F7F"
    band: str = ""
    palette: tuple[str, ...] = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
    line: float = 0.9
    hairline: float = 0.5
    rules: tuple[str, ...] = ("head",)
    bold_head: bool = True
    bold_pooled: bool = True
    panel: float = 22.0
    label: float = 22.0
    marks: float = 1.1
    caps: float = 0.0
    widths: tuple[float, float, float] = (84.0, 129.0, 174.0)


_ARM_DATA = ("a", "m1", "sd1", "n1", "c", "m2", "sd2", "n2")

_PLAIN = Style()
_COCHRANE = Style(
    name="cochrane",
    interval=("[", ", ", "]"),
    p_letter="P",
    p_floor=0.00001,
    p_decimals=2,
    left=("study", *_ARM_DATA, "n", "weight", "effect"),
    right=("rob",),
    headers=(("study", "Study or subgroup"), ("n1", "Total"), ("n2", "Total")),
    total="Total",
    terms=("Tau²", "Chi²", "I²"),
    list_mark="; ",
    square="#2E7D32",
    square_edge="#2E7D32",
    diamond="#000000",
    diamond_edge="#000000",
    prediction="#4D4D4D",
    null="#000000",
    rules=("head",),
    panel=20.0,
    marks=1.05,
    widths=(84.0, 127.0, 174.0),
)

# JAMA: Instructions for Authors (No. for counts, P in capitals without a leading zero, "to" between limits)
_JAMA = replace(
    _PLAIN,
    name="jama",
    interval=("(", " to ", ")"),
    list_mark="; ",
    p_letter="P",
    p_space=True,
    p_leading_zero=False,
    p_decimals=2,
    spelling="American",
    left=("study", "events1", "n1", "events2", "n2", "n"),
    right=("effect", "weight"),
    headers=(
        ("study", "Source"),
        ("n1", "No."),
        ("n2", "No."),
        ("n", "No."),
        ("events1", "No./total"),
        ("events2", "No./total"),
        ("weight", "Weight, %"),
    ),
    thousands="\N{THIN SPACE}",
    weight_sign=False,
    favours="above",
    square="#1A476F",
    square_edge="#1A476F",
    diamond="#1A476F",
    diamond_edge="#1A476F",
    prediction="#8C8C8C",
    band="#F1F4F7",
    rules=("top", "head", "foot"),
    bold_pooled=True,
    widths=(86.0, 127.0, 178.0),
)
# BMJ: house style (P in capitals, "to" between limits, data in columns left of the panel, weights in percent)
_BMJ = replace(
    _PLAIN,
    name="bmj",
    interval=("(", " to ", ")"),
    p_letter="P",
    p_space=False,
    p_decimals=2,
    left=("study", "events1", "n1", "events2", "n2", "n"),
    right=("weight", "effect"),
    headers=(
        ("n1", "No"),
        ("n2", "No"),
        ("n", "No"),
        ("events1", "No/total"),
        ("events2", "No/total"),
        ("weight", "Weight (%)"),
    ),
    thousands="\N{THIN SPACE}",
    weight_sign=False,
    square="#2A6EBB",
    square_edge="#2A6EBB",
    diamond="#2A6EBB",
    diamond_edge="#2A6EBB",
    prediction="#CD202C",
    rules=("head", "foot"),
    widths=(84.0, 128.0, 178.0),
)
# The Lancet: formatting guidelines (middle dot for the decimal point, en dash between limits, small p)
_LANCET = replace(
    _PLAIN,
    name="lancet",
    decimal_mark="\N{MIDDLE DOT}",
    thousands="\N{THIN SPACE}",
    interval=("(", "\N{EN DASH}", ")"),
    p_space=False,
    p_decimals=4,
    p_floor=0.0001,
    left=("study", "events1", "n1", "events2", "n2", "n"),
    right=("effect", "weight"),
    square="#00468B",
    square_edge="#00468B",
    diamond="#00468B",
    diamond_edge="#00468B",
    prediction="#ED0000",
    rules=("top", "head", "foot"),
    widths=(75.0, 107.0, 154.0),
)
# Nature: 5 to 7 pt sans serif, panels without bold text, columns of 89 and 183 mm
_NATURE = replace(
    _PLAIN,
    name="nature",
    size=7.0,
    interval=("(", " to ", ")"),
    p_letter="P",
    bold_head=False,
    bold_pooled=False,
    line=0.75,
    hairline=0.5,
    marks=0.95,
    widths=(89.0, 120.0, 183.0),
)
# APA 7: brackets around limits, no leading zero where a number cannot exceed 1, rules above and below
_APA = replace(
    _PLAIN,
    name="apa",
    size=9.0,
    p_leading_zero=False,
    spelling="American",
    square="#000000",
    square_edge="#000000",
    diamond="#000000",
    diamond_edge="#000000",
    prediction="#7F7F7F",
    palette=("#000000", "#7F7F7F", "#4D4D4D", "#A6A6A6", "#262626", "#BFBFBF"),
    rules=("top", "head", "foot"),
    bold_head=False,
    bold_pooled=False,
    caps=0.5,
    widths=(85.0, 127.0, 165.0),
)
_DARK = replace(
    _PLAIN,
    name="dark",
    paper="#14181D",
    ink="#F2F2F2",
    muted="#A9B1BA",
    rule="#A9B1BA",
    square="#C9D1D9",
    square_edge="#C9D1D9",
    whisker="#C9D1D9",
    diamond=SKY,
    diamond_edge=SKY,
    prediction=ORANGE,
    null="#7D8590",
    palette=(SKY, ORANGE, "#3FC79A", "#E4A0C4", YELLOW, "#FF8552"),
)
_SLIDES = replace(
    _PLAIN,
    name="slides",
    size=14.0,
    smallest=10.0,
    leading=1.55,
    line=1.8,
    hairline=1.0,
    left=("study",),
    right=("effect",),
    panel=20.0,
    label=18.0,
    marks=1.15,
    widths=(160.0, 240.0, 320.0),
)

STYLES: dict[str, Style] = {
    s.name: s for s in (_PLAIN, _COCHRANE, _JAMA, _BMJ, _LANCET, _NATURE, _APA, _DARK, _SLIDES)
}


def style_of(style: Style | str) -> Style:
    """Return the style for a name, or the style itself.

    Raises
    ------
    UsageError
        For an unknown name.

    Examples
    --------
    >>> style_of("cochrane").p_letter
    'P'
    """
    if isinstance(style, Style):
        return style
    return STYLES[check_choice("style", style, tuple(STYLES))]


def mm_to_inch(mm: float) -> float:
    """Millimetres to inches (1 inch is 25.4 mm)."""
    return mm / 25.4


def width_of(width: float | Width | None, style: Style) -> float | None:
    """Page width in inches for millimetres or for a column name of the style's journal.

    Raises
    ------
    UsageError
        For an unknown column name, or a width that is not a positive number.

    Examples
    --------
    >>> round(width_of("double", style_of("cochrane")) * 25.4)
    174
    """
    if width is None:
        return None
    if isinstance(width, str):
        names = ("single", "one-and-half", "double")
        return mm_to_inch(style.widths[names.index(check_choice("width", width, names))])
    if not width > 0:
        raise UsageError(f"width={width!r} must be a number of millimetres above 0, or 'single' or 'double'")
    return mm_to_inch(float(width))


def scaled(style: Style, factor: float) -> Style:
    """Return the style with text and lines `factor` times as large."""
    return replace(
        style, size=style.size * factor, line=style.line * factor, hairline=style.hairline * factor
    )
