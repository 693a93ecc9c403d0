"""A figure's SVG made fit to stand inside a page: rebuilt from an allow-list, in the page's own colours.

Nothing of the file is passed on as it is. Elements and attributes that are not known are left out, every
value must have a known form, ids get the figure's name before them, and the styles written into elements
become classes of one stylesheet, since a strict content-security policy lets no style attribute in.
"""

from __future__ import annotations

import colorsys
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from html import escape

from mtmeta.errors import UsageError

__all__ = ["Inks", "embedded"]

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_ELEMENTS = frozenset(
    {"svg", "g", "path", "text", "tspan", "defs", "clipPath", "rect", "circle", "line", "polygon", "polyline",
     "use", "image"}
)  # fmt: skip
_GEOMETRY = frozenset(
    {"d", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "dx", "dy", "width", "height",
     "points", "transform", "viewBox"}
)  # fmt: skip
_PAINT = frozenset(
    {"fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-dashoffset", "stroke-linejoin",
     "stroke-linecap", "stroke-miterlimit", "opacity", "fill-opacity", "stroke-opacity", "font", "font-size",
     "font-family", "font-weight", "font-style", "text-anchor", "fill-rule", "clip-rule"}
)  # fmt: skip
_PLAIN = re.compile(r"[-\w\s.,()+#]*", re.ASCII)
_VALUE = re.compile(r"[-\w\s.,%#'/]*", re.ASCII)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_LOCAL = re.compile(r"url\(#([\w.-]+)\)", re.ASCII)
_PIXELS = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]+")
_DECIMALS = re.compile(r"-?\d*\.\d+(?:e-?\d+)?")
_NO_TURN = re.compile(r"rotate\(-?0(?:\.0+)?[\s,\d.-]*\)")
_AROUND = re.compile(r" ?([MLHVCSQTAZmlhvcsqtaz]) ?")
_UPRIGHT = re.compile(r"M(\S+) (\S+?)L(\S+) \2L\3 (\S+?)L\1 \4z")
_BOX = re.compile(r'<path d="(M([-\d.]+) ([-\d.]+)H([-\d.]+)V([-\d.]+)H[-\d.]+z)(" class="s\d+"/>)')
_NOT_JOINED = re.compile("opacity|fill-rule")
_ROW = re.compile(r"row-[\w.-]+", re.ASCII)


class Inks:
    """The classes and colours that the figures of one page share.

    Each set of properties becomes one class, each colour one custom property with a value for light and one
    for dark pages.
    """

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}
        self._colours: dict[str, None] = {}

    def class_of(self, properties: Mapping[str, str]) -> str:
        """Return the name of the class with these properties, which have been checked."""
        text = ";".join(f"{name}:{self._inked(value)}" for name, value in sorted(properties.items()))
        return self._classes.setdefault(text, f"s{len(self._classes)}")

    def _inked(self, value: str) -> str:
        def named(match: re.Match[str]) -> str:
            colour = match[0].lower()
            self._colours[colour] = None
            return f"var(--c{colour[1:]})"

        return _COLOUR.sub(named, value)

    def css(self) -> str:
        """Return the stylesheet: colours for light and for dark, then the classes."""
        light = "".join(f"--c{c[1:]}:{c};" for c in self._colours)
        dark = "".join(f"--c{c[1:]}:{in_the_dark(c)};" for c in self._colours)
        rules = "".join(f".{name}{{{text}}}" for text, name in self._classes.items())
        return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{rules}"


def in_the_dark(colour: str) -> str:
    """Return what a colour becomes on a dark page: greys change ends, hues stay and are lightened.

    Examples
    --------
    >>> in_the_dark("#ffffff"), in_the_dark("#000000")
    ('#14171a', '#e8eaed')
    """
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, full = colorsys.rgb_to_hls(red, green, blue)
    paper, ink = (0x14, 0x17, 0x1A), (0xE8, 0xEA, 0xED)
    if full < 0.12 or light > 0.97 or light < 0.03:
        mixed = tuple(round(i + (p - i) * light) for p, i in zip(paper, ink, strict=True))
        return "#{:02x}{:02x}{:02x}".format(*mixed)
    # a tint of the paper stays a tint, a strong colour gets light enough to be seen
    lifted = 0.25 if light > 0.85 else max(light, 0.6)
    made = colorsys.hls_to_rgb(hue, lifted, min(full, 0.75))
    return "#{:02x}{:02x}{:02x}".format(*(round(255 * part) for part in made))


def embedded(svg: str, name: str, label: str, inks: Inks) -> str:
    """Rebuild an SVG for a page.

    Parameters
    ----------
    svg : str
        A whole SVG file, such as matplotlib writes.
    name : str
        Put before every id, so that several figures can stand in one page.
    label : str
        What a screen reader says.
    inks : Inks
        Takes the styles.

    Returns
    -------
    str
        An ``svg`` element without style, script, event handler or address. Groups whose id begins with
        ``row-`` keep it in ``data-row``.

    Raises
    ------
    UsageError
        When the text is no SVG, or declares entities.
    """
    if "<!ENTITY" in svg.upper():
        raise UsageError(f"figure {name}: an SVG with entities is not taken into a page")
    try:
        root = ET.fromstring(svg)
    except ET.ParseError as error:
        raise UsageError(f"figure {name}: not an SVG ({error})") from error
    if root.tag != f"{_SVG}svg":
        raise UsageError(f"figure {name}: not an SVG but {root.tag}")
    body = "".join(_children(root, name, inks))
    box = root.get("viewBox", "")
    if _PLAIN.fullmatch(box) is None or len(box.split()) != 4:
        raise UsageError(f"figure {name}: an SVG without a viewBox cannot be scaled to the page")
    width, height = (f"{float(part) * 4 / 3:.0f}" for part in box.split()[2:])  # points to pixels
    head = f'<svg class="drawn" viewBox="{_rounded(box)}" width="{width}" height="{height}"'
    role = "group" if " data-row=" in body else "img"  # what stands in an image cannot be reached
    return f'{head} role="{role}" aria-label="{escape(label)}">{body}</svg>'


def _rounded(text: str) -> str:
    """Cut numbers to hundredths of a point, which nobody sees and half of the bytes are."""

    def short(match: re.Match[str]) -> str:
        return f"{float(match[0]):.2f}".rstrip("0").rstrip(".").replace("-0.", "-.").removeprefix("0") or "0"

    return " ".join(_DECIMALS.sub(short, text).split())


def _path(text: str) -> str:
    """Write a rounded path without idle blanks, and the sides of an upright rectangle as such."""
    return _UPRIGHT.sub(r"M\1 \2H\3V\4H\1z", _AROUND.sub(r"\1", text))


def _children(parent: ET.Element, name: str, inks: Inks) -> Iterator[str]:
    """Yield the children's markup; opaque rectangles of one class that follow each other become one path."""
    joined = ""
    last: tuple[str, bool] | None = None  # end of the open path, and which way its rectangles run
    for child in parent:
        tag = child.tag.removeprefix(_SVG) if isinstance(child.tag, str) else ""
        if tag not in _ELEMENTS or tag == "svg":
            continue
        text = _element(child, tag, name, inks)
        box = None if _NOT_JOINED.search(f"{child.keys()} {child.get('style', '')}") else _BOX.fullmatch(text)
        if box is not None:
            x, y, across, down = (float(part) for part in box.groups()[1:5])
            kind = (box[6], (across > x) == (down > y))
            if kind == last:
                joined += box[1]
                continue
        if last is not None:
            yield joined + last[0]
        joined, last = ("", None) if box is None else (f'<path d="{box[1]}', kind)
        if box is None:
            yield text
    if last is not None:
        yield joined + last[0]


def _element(element: ET.Element, tag: str, name: str, inks: Inks) -> str:
    attributes = _attributes(element, tag, name, inks)
    if attributes is None:
        return ""
    body = "".join(_children(element, name, inks))
    if tag in ("text", "tspan"):
        body = escape(element.text or "", quote=False) + body
    if tag in ("g", "defs", "clipPath") and not body:
        return ""
    if tag == "g" and not attributes:
        return body
    inner = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{tag}{inner}>{body}</{tag}>" if body else f"<{tag}{inner}/>"


def _attributes(element: ET.Element, tag: str, name: str, inks: Inks) -> dict[str, str] | None:
    """Return what may stay of an element's attributes, None where the element cannot stay without them."""
    out: dict[str, str] = {}
    paint = dict(_declared(element.get("style", "")))
    for key, value in element.attrib.items():
        if key in _GEOMETRY and _PLAIN.fullmatch(value):
            kept = _NO_TURN.sub("", _rounded(value)).strip()
            kept = _path(kept) if key == "d" else kept
            if kept:
                out[key] = kept
        elif key in _PAINT and _VALUE.fullmatch(value):
            paint.setdefault(key, value)
        elif key == "clip-path" and (local := _LOCAL.fullmatch(value)):
            out[key] = f"url(#{name}-{local[1]})"
    if paint:
        out["class"] = inks.class_of(paint)
    identity = element.get("id", "")
    if tag == "g" and _ROW.fullmatch(identity):
        out["data-row"] = identity
    elif tag != "g" and identity and _PLAIN.fullmatch(identity) and " " not in identity:
        out["id"] = f"{name}-{identity}"
    if tag in ("use", "image"):
        target = element.get(_XLINK) or element.get("href") or ""
        if tag == "use" and re.fullmatch(r"#[\w.-]+", target, re.ASCII):
            out["href"] = f"#{name}-{target[1:]}"
        elif tag == "image" and _PIXELS.fullmatch(target):
            out["href"] = "".join(target.split())
        else:
            return None
    return out


def _declared(style: str) -> Iterator[tuple[str, str]]:
    for part in style.split(";"):
        key, _, value = part.partition(":")
        key, value = key.strip(), value.strip()
        if key in _PAINT and value and _VALUE.fullmatch(value):
            yield key, value
