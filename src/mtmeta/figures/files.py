"""Figures as files: the same bytes for the same figure, all formats or none."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

from mtmeta.errors import UsageError
from mtmeta.figures.layout.base import as_json
from mtmeta.figures.layout.words import AnyLayout, document
from mtmeta.measures import check_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

__all__ = ["FORMATS", "render", "save", "write_together"]

FORMATS = ("svg", "pdf", "png", "tiff")

# Nothing of the moment or the machine: no dates, one salt for ids, TrueType in PDF and PostScript.
_RC: dict[Any, Any] = {
    "svg.hashsalt": "mtmeta",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "pdf.compression": 6,
    "path.simplify": False,
    "savefig.bbox": None,
    "savefig.pad_inches": 0.0,
    "savefig.facecolor": "auto",
    "savefig.edgecolor": "auto",
    "savefig.transparent": False,
    "svg.image_inline": True,
    "svg.id": None,
    # outlines as designed: the widths that were measured, the same in pixels as in vectors
    "text.hinting": "no_hinting",
}


def save(
    fig: Figure,
    path: str | os.PathLike[str],
    *,
    formats: Sequence[str] | str = ("svg", "pdf", "png"),
    dpi: float = 300,
    outline: bool = False,
    alt: str = "",
    layout: AnyLayout | None = None,
) -> tuple[Path, ...]:
    """Write a figure in several formats: reproducible bytes, and no half-written file at any moment.

    Parameters
    ----------
    fig : Figure
    path : path
        Without suffix (a known suffix names the only format). Folders are made.
    formats : sequence of {"svg", "pdf", "png", "tiff"}
    dpi : float
        Of the pixel formats; journals ask for 300 to 1,200.
    outline : bool
        Turn the text of an SVG into outlines; else text stays text that can be searched and edited.
    alt : str
        Alternative text, written into the file's description.
    layout : ForestLayout, PlotLayout, GridLayout or FlowLayout, optional
        Written beside the figure as ``.json`` with its alternative text and caption, for
        ``mtmeta figures --check``.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    UsageError
        For an unknown format or an impossible resolution, before anything is written.

    Notes
    -----
    PDF embeds TrueType fonts (type 42). Files are written beside their place and moved over it, so
    that an interruption leaves old files or new ones. Matplotlib's settings are changed inside this
    call only.

    Examples
    --------
    >>> import tempfile
    >>> from matplotlib.figure import Figure
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save(Figure(), f"{folder}/empty", formats=("svg", "png"))]
    ['empty.svg', 'empty.png']
    """
    base = Path(path)
    if base.suffix.lower().lstrip(".") in FORMATS:
        base, formats = base.with_suffix(""), (base.suffix.lower().lstrip("."),)
    names = [
        check_choice("formats", f, FORMATS) for f in ((formats,) if isinstance(formats, str) else formats)
    ]
    if not 10 <= dpi <= 2400:
        raise UsageError(f"dpi={dpi!r} must lie between 10 and 2400; journals ask for 300 to 1200")
    contents = {
        base.with_name(f"{base.name}.{name}"): render(fig, name, dpi=dpi, outline=outline, alt=alt)
        for name in dict.fromkeys(names)
    }
    if layout is not None:
        contents[base.with_name(f"{base.name}.json")] = as_json(document(layout)).encode()
    return write_together(contents)


def render(
    fig: Figure, name: str, *, dpi: float = 300, outline: bool = False, alt: str = "", prefix: str = ""
) -> bytes:
    """Return the bytes of a figure in one format.

    Parameters
    ----------
    fig : Figure
    name : {"svg", "pdf", "png", "tiff"}
    dpi, outline, alt
        See :func:`save`.
    prefix : str
        Before every ``id`` of an SVG, so that several figures can stand in one page. Each row of a forest
        plot is a group: ``<g id="row-white-1999">``, and ``pooled``, ``prediction``, ``group-…`` (a
        heading); the names stand in the layout, as ``Row.id``.

    Raises
    ------
    UsageError
        For an unknown format.
    """
    from matplotlib import rc_context

    check_choice("format", name, FORMATS)
    buffer = BytesIO()
    told: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": "mtmeta", "Description": alt or None},
        "pdf": {"CreationDate": None, "Creator": "mtmeta", "Producer": "mtmeta", "Subject": alt or None},
    }
    with rc_context({**_RC, "svg.fonttype": "path" if outline else "none"}):
        if name in told:
            fig.savefig(buffer, format=name, dpi=dpi, metadata=told[name])
        else:
            fig.savefig(buffer, format="rgba", dpi=dpi)
    data = buffer.getvalue()
    if name == "svg":
        return _accessible(data, alt, prefix)
    return data if name == "pdf" else _pixels(data, fig, name, dpi, alt)


def _pixels(rgba: bytes, fig: Figure, name: str, dpi: float, alt: str) -> bytes:
    """Pack pixels without an alpha channel, which journals refuse in TIFF and nobody needs in PNG."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    width = int(fig.get_figwidth() * dpi)
    width += len(rgba) % (4 * width) != 0  # a product that is a whole number but for its last bit
    image = Image.frombuffer("RGBA", (width, len(rgba) // (4 * width)), rgba, "raw", "RGBA", 0, 1)
    buffer = BytesIO()
    if name == "tiff":
        image.convert("RGB").save(buffer, "tiff", compression="tiff_lzw", dpi=(dpi, dpi))
        return buffer.getvalue()
    info = PngInfo()
    info.add_text("Software", "mtmeta")
    if alt:
        info.add_itxt("Description", alt)
    _few_colours(image).save(buffer, "png", dpi=(dpi, dpi), pnginfo=info, compress_level=6)
    return buffer.getvalue()


def _few_colours(image: Image.Image) -> Image.Image:
    """Give the image a palette of 256 colours, a third of the size.

    Frequent colours stay exactly as they are; shades of smoothed edges move by at most 4 of 255. Where
    256 colours are not enough for that (gradients), the image stays in full colour.
    """
    from pandas import factorize
    from PIL import Image

    pixels = np.asarray(image.convert("RGBX")).view(np.uint32)[:, :, 0]
    paper = pixels[0, 0]
    inked = pixels != paper
    index, found = factorize(pixels[inked])  # by hashing: several times faster than np.unique
    counts = np.bincount(index, minlength=len(found))
    if len(found) > 4096:
        return image.convert("RGB")
    rgb = found.view(np.uint8).reshape(-1, 4)[:, :3].astype(np.int16)
    shades = np.zeros((256, 3), np.int16)
    shades[0] = np.array([paper]).view(np.uint8)[:3]
    place, used = np.empty(len(found), np.uint8), 1
    for i in np.lexsort((found, -counts)):
        far = np.abs(shades[:used] - rgb[i]).max(axis=1)
        place[i] = far.argmin()
        if far[place[i]] > 4:
            if used == 256:
                return image.convert("RGB")
            shades[used] = rgb[i]
            place[i] = used
            used += 1
    cells = np.zeros(pixels.shape, np.uint8)
    cells[inked] = place[index]
    small = Image.fromarray(cells, "P")
    small.putpalette(shades[:used].astype(np.uint8).tobytes(), "RGB")
    return small


def _accessible(data: bytes, alt: str, prefix: str) -> bytes:
    """Give an SVG a role and a title, and fonts of the same width where ours is not installed."""
    text = data.decode()
    if prefix:
        if not re.fullmatch(r"[A-Za-z][\w.-]*", prefix):
            raise UsageError(
                f"prefix={prefix!r} must begin with a letter and hold letters, digits, - _ . only"
            )
        text = re.sub(r'( id="| xlink:href="#|url\(#)', rf"\1{prefix}", text)
    # Verdana has DejaVu Sans's widths (both derive from Bitstream Vera), so columns stay in place
    text = re.sub(r"(['\"]?)DejaVu Sans\1", "'DejaVu Sans', Verdana, sans-serif", text)
    if alt:
        label = escape(alt, {'"': "&quot;", "\n": " "})
        text = text.replace(
            "<svg ", f'<svg role="img" aria-label="{label}" ', 1
        )  # no pattern: the label may hold backslashes
    return text.encode()


def write_together(contents: dict[Path, bytes]) -> tuple[Path, ...]:
    """Write files beside their places, then move all of them over; on any fault none is touched."""
    staged: list[tuple[Path, Path]] = []
    try:
        for target, data in contents.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
            staged.append((Path(beside), target))
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(beside, 0o666 & ~_umask())
        for part, target in staged:
            os.replace(part, target)
    finally:
        for part, _ in staged:
            part.unlink(missing_ok=True)
    return tuple(contents)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
