"""A page in points: text that is measured before it is set, and ink gathered into few artists."""

from __future__ import annotations

import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.artist import Artist
from matplotlib.collections import Collection, LineCollection, PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from mtmeta.errors import DataWarning
from mtmeta.figures.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase

__all__ = ["Canvas", "Meter", "box_of", "new_axes"]

Point = tuple[float, float]
# DejaVu Sans cut to what figures set (tests/figures/make_fonts.py): shaped and embedded several times faster
_FONTS = Path(__file__).parents[1] / "fonts"
OWN = {False: _FONTS / "DejaVuSans.ttf", True: _FONTS / "DejaVuSans-Bold.ttf"}
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# a line may end at a space, but not within "p < 0.05" or "D1 randomisation"
_BREAK = re.compile(r"(?<![=<>])(?<!D\d) (?![=<>])")
_CONTROL = dict.fromkeys((*range(32), 127), " ") | {ord("\N{SOFT HYPHEN}"): ""}


def new_axes(width: float, height: float, style: Style) -> Axes:
    """One ax filling a new page of `width` × `height` inches.

    A plain ``Figure`` outside pyplot, so that nothing global changes; only where the user works
    interactively with pyplot already (a notebook) is the figure pyplot's, so that it is shown.
    """
    import sys

    import matplotlib

    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and matplotlib.is_interactive():
        figure = pyplot.figure(figsize=(width, height), facecolor=style.paper)
    else:
        figure = Figure(figsize=(width, height), facecolor=style.paper)
    return figure.add_axes((0.0, 0.0, 1.0, 1.0))  # type: ignore[no-any-return]


def box_of(ax: Axes) -> tuple[float, float]:
    """Width and height in points of the place an ax has on its page."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    box = ax.get_window_extent()
    return (float(box.width) * 72.0 / figure.dpi, float(box.height) * 72.0 / figure.dpi)


@lru_cache(maxsize=64)
def _font_path(family: str) -> str | None:
    try:
        return str(fontManager.findfont(FontProperties(family=[family]), fallback_to_default=False))
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _glyphs(path: str) -> frozenset[int]:
    return frozenset(get_font(path).get_charmap())


@lru_cache(maxsize=2)
def _advances(path: str) -> dict[str, float]:
    """Advance of every character of one of our own fonts in multiples of the size; they do not kern."""
    font = get_font(path)
    em = float(font.units_per_EM)
    return {
        chr(c): font.load_char(c, LoadFlags.NO_SCALE).horiAdvance / em for c in sorted(font.get_charmap())
    }


@lru_cache(maxsize=1024)
def _system_family(char: str) -> str | None:
    """Return a font of this system that has the character: the first by name, so always the same."""
    for name, path in sorted({(e.name, e.fname) for e in fontManager.ttflist if e.style == "normal"}):
        # "Last Resort" has a picture of a missing glyph for every character there is
        if not name.startswith("Last Resort") and ord(char) in _glyphs(path):
            return name
    return None


class Meter:
    """Measures text in a style's fonts without a renderer, in points.

    Widths are those of unhinted outlines, which every vector format uses and from which a raster
    at any resolution differs by less than the room left between columns.
    """

    def __init__(self, style: Style) -> None:
        self.style = style
        self._families = [f for f in style.font if _font_path(f)] or ["DejaVu Sans"]
        self._known = frozenset().union(*(_glyphs(str(_font_path(f))) for f in self._families))
        self._own = self._families[0] == "DejaVu Sans"
        self._cache: dict[tuple[str, bool], float] = {}
        self._missing: dict[str, str] = {}

    def clean(self, text: str) -> str:
        """Return text as it can be set: control characters are spaces, a glyph no font has is replaced."""
        text = text.translate(_CONTROL)
        for char in text:
            if ord(char) not in self._known and not _system_family(char) and not _invisible(char):
                self._missing[char] = ""
                text = text.replace(char, REPLACEMENT)
        return text

    def report(self) -> None:
        """Warn once of the glyphs that no font has, by their names."""
        if self._missing:
            names = ", ".join(f"{c!r} ({unicodedata.name(c, f'U+{ord(c):04X}')})" for c in self._missing)
            warnings.warn(
                f"no font of this system has {names}; they are drawn as {REPLACEMENT}. Install a font that "
                "has them (such as Noto Sans) or name one in Style.font",
                DataWarning,
                stacklevel=3,
            )
            self._missing.clear()

    def font(self, text: str, size: float, *, bold: bool = False) -> FontProperties:
        """Font for a text: our cut of DejaVu Sans where it will do, else the style's, then the system's."""
        weight = "bold" if bold else "normal"
        if self._own and _glyphs(str(OWN[bold])).issuperset(map(ord, text)):
            return FontProperties(family=self._families[:1], fname=str(OWN[bold]), size=size, weight=weight)
        more = {_system_family(c) for c in text if ord(c) not in self._known} - {None}
        return FontProperties(
            family=[*self._families, *sorted(f for f in more if f)], size=size, weight=weight
        )

    def width(self, text: str, size: float, *, bold: bool = False) -> float:
        """Width of one line in points."""
        key = (text, bold)
        if key not in self._cache:
            self._cache[key] = self._unit(text, bold=bold)
        return self._cache[key] * size

    def _unit(self, text: str, *, bold: bool) -> float:
        if self._own:
            advances = _advances(str(OWN[bold]))
            widths = [advances.get(c, -1.0) for c in text]
            if min(widths, default=0.0) >= 0.0:
                return sum(widths)
        font = self.font(text, 100.0, bold=bold)
        return float(text_to_path.get_text_width_height_descent(text, font, False)[0]) / 100.0

    def wrap(self, text: str, size: float, limit: float, *, bold: bool = False) -> tuple[str, ...]:
        """Break a text at spaces, and a word that is too long inside, to lines of at most `limit`."""
        if self.width(text, size, bold=bold) <= limit:
            return (text,)
        lines, line = [], ""
        for word in self._pieces(text, size, limit, bold=bold):
            trial = f"{line} {word}" if line else word
            if line and self.width(trial, size, bold=bold) > limit:
                lines.append(line)
                line = word
            else:
                line = trial
        return (*lines, line)

    def _pieces(self, text: str, size: float, limit: float, *, bold: bool) -> Iterable[str]:
        for word in _BREAK.split(text):
            rest = word
            while len(rest) > 1 and self.width(rest, size, bold=bold) > limit:
                cut = max(1, int(len(rest) * limit / self.width(rest, size, bold=bold)))
                while cut > 1 and self.width(rest[:cut], size, bold=bold) > limit:
                    cut -= 1
                yield rest[:cut]
                rest = rest[cut:]
            yield rest


def _invisible(char: str) -> bool:
    return unicodedata.category(char) in ("Cf", "Zs", "Mn")


_BEFORE = {"left": 0.0, "center": 0.5, "right": 1.0}


class Label(Text):
    """One line of plain text whose width is known, set without being laid out again for each format."""

    def __init__(self, x: float, y: float, text: str, *, width: float, **properties: Any) -> None:
        super().__init__(x, y, text, parse_math=False, usetex=False, clip_on=False, **properties)
        self._as_made: tuple[str, FontProperties, str, float] = (
            text,
            properties["fontproperties"],
            properties["ha"],
            width,
        )

    def set_clip_path(self, path: Any, transform: Any = None) -> None:
        """Do nothing: a label is never clipped."""

    def draw(self, renderer: RendererBase) -> None:
        """Set the line at its own anchor; if it was changed since it was made, as any text."""
        text, font, align, width = self._as_made
        plain = (
            self.get_text() == text
            and self.get_fontproperties() == font
            and self.get_horizontalalignment() == align
        )
        if not plain or self.get_path_effects() or self.get_bbox_patch() is not None:
            super().draw(renderer)
            return
        if not self.get_visible():
            return
        renderer.open_group("text", self.get_gid())
        x, y = (float(v) for v in self.get_transform().transform(self.get_unitless_position()))
        back = _BEFORE[align] * float(renderer.points_to_pixels(width))  # type: ignore[arg-type]
        turn = math.radians(self.get_rotation())
        x, y = x - back * math.cos(turn), y - back * math.sin(turn)
        if renderer.flipy():
            y = renderer.get_canvas_width_height()[1] - y
        gc = renderer.new_gc()
        gc.set_foreground(to_rgba(self.get_color()), isRGBA=True)
        gc.set_url(self.get_url())
        renderer.draw_text(gc, x, y, text, font, self.get_rotation(), mtext=self)
        gc.restore()
        renderer.close_group("text")
        self.stale = False


class _Edge(Artist):
    """Opens a group of the output when it is drawn, or closes the last one where it has no name."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self._name = name
        self.set_in_layout(False)

    def draw(self, renderer: RendererBase) -> None:
        """Tell the renderer; only that of SVG writes groups."""
        if self._name:
            renderer.open_group(self._name, gid=self._name)
        else:
            renderer.close_group(self._name)


@dataclass
class Canvas:
    """Gathers ink in points from the top left corner and puts it on an ax as few artists.

    Attributes
    ----------
    ax : Axes
    width, height : float
        Of the page in points.
    x_of, y_of : callable
        From points to the ax's data, so that users may add to the plot in its own units.
    """

    ax: Axes
    meter: Meter
    width: float
    height: float
    x_of: Callable[[float], float] = lambda x: x
    y_of: Callable[[float], float] = lambda y: y
    _lines: dict[tuple[Any, ...], list[list[Point]]] = field(default_factory=dict)
    _shapes: dict[tuple[Any, ...], list[list[Point]]] = field(default_factory=dict)
    _texts: list[Text] | None = None

    @contextmanager
    def group(self, name: str, *, z: float = 3.0) -> Iterator[None]:
        """Keep what is inked inside together, at one depth: an SVG has it in ``<g id="name">``.

        Within the group ink lies in the order of its own depths, text on top.
        """
        outer = (self._lines, self._shapes)
        self._lines, self._shapes, self._texts = {}, {}, []
        yield
        inked = sorted(self._collections(), key=lambda artist: artist.get_zorder())
        for artist in (_Edge(name), *inked, *self._texts, _Edge()):
            artist.set_zorder(z)
            self._add(artist)
        (self._lines, self._shapes), self._texts = outer, None

    def _add(self, artist: Artist) -> None:
        if isinstance(artist, Collection):
            self.ax.add_collection(artist, autolim=False)
        else:
            self.ax.add_artist(artist)

    def line(
        self, points: Sequence[Point], *, colour: str, width: float, dash: Any = "solid", z: float = 2.0
    ) -> None:
        """Add a line through points."""
        self._lines.setdefault((z, colour, width, dash), []).append(
            [(self.x_of(x), self.y_of(y)) for x, y in points]
        )

    def shape(
        self,
        points: Sequence[Point],
        *,
        face: str,
        edge: str = "none",
        width: float = 0.0,
        alpha: float | None = None,
        z: float = 3.0,
    ) -> None:
        """Add a filled polygon."""
        key = (z, face, edge, width, alpha)
        self._shapes.setdefault(key, []).append([(self.x_of(x), self.y_of(y)) for x, y in points])

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        align: Literal["left", "right", "centre"] = "left",
        bold: bool = False,
        colour: str | None = None,
        turn: float = 0.0,
    ) -> None:
        """One line of text with its baseline at `y`; never read as markup."""
        if not text:
            return
        artist = Label(
            self.x_of(x),
            self.y_of(y),
            text,
            width=self.meter.width(text, size, bold=bold),
            fontproperties=self.meter.font(text, size, bold=bold),
            color=colour or self.meter.style.ink,
            ha="center" if align == "centre" else align,
            va="baseline",
            rotation=turn,
            rotation_mode="anchor",
            zorder=5.0,
        )
        if self._texts is None:
            self.ax.add_artist(artist)
        else:
            self._texts.append(artist)

    def flush(self) -> None:
        """Put lines and shapes on the ax, one artist for each kind of ink, and tell what could not be set."""
        self.meter.report()
        for artist in self._collections():
            self._add(artist)

    def _collections(self) -> Iterator[Collection]:
        for (z, colour, width, dash), segments in self._lines.items():
            yield LineCollection(
                segments,
                colors=colour,
                linewidths=width,
                linestyles=dash,
                capstyle="butt",
                zorder=z,
                antialiaseds=True,
                clip_on=False,
            )
        for (z, face, edge, width, alpha), polygons in self._shapes.items():
            yield PolyCollection(
                polygons,
                facecolors=face,
                edgecolors=edge,
                linewidths=width,
                alpha=alpha,
                zorder=z,
                antialiaseds=True,
                clip_on=False,
            )

    def claim(self, low: float, high: float) -> None:
        """Make the ax a page of points: no frame, y downwards, x in its data units between low and high."""
        ax = self.ax
        ax.set_axis_off()
        ax.set_facecolor(self.meter.style.paper)
        ax.set_autoscale_on(False)
        ax.set_xscale("linear")
        ax.set_yscale("linear")
        ax.set_xlim(low, high)
        ax.set_ylim(self.y_of(self.height), self.y_of(0.0))
