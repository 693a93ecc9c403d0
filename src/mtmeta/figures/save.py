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

from mtmeta.errors import UsageError
from mtmeta.figures.layout.base import Layout
from mtmeta.measures import check_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
}


def save(
    fig: Figure,
    path: str | os.PathLike[str],
    *,
    formats: Sequence[str] | str = ("svg", "pdf", "png"),
    dpi: float = 300,
    outline: bool = False,
    alt: str = "",
    layout: Layout | None = None,
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
    layout : Layout, optional
        Written beside the figure as ``.json``, for ``mtmeta figures --check``.

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
        contents[base.with_name(f"{base.name}.json")] = layout.to_json().encode()
    return write_together(contents)


def render(fig: Figure, name: str, *, dpi: float = 300, outline: bool = False, alt: str = "") -> bytes:
    """Return the bytes of a figure in one format.

    Raises
    ------
    UsageError
        For an unknown format.
    """
    from matplotlib import rc_context

    check_choice("format", name, FORMATS)
    buffer = BytesIO()
    with rc_context({**_RC, "svg.fonttype": "path" if outline else "none"}):
        fig.savefig(buffer, format=name, dpi=dpi, **_options(name, alt))
    data = buffer.getvalue()
    return _accessible(data, alt) if name == "svg" else data


def _options(name: str, alt: str) -> dict[str, Any]:
    if name == "svg":
        return {"metadata": {"Date": None, "Creator": "mtmeta", "Description": alt or None}}
    if name == "pdf":
        told = {"CreationDate": None, "Creator": "mtmeta", "Producer": "mtmeta", "Subject": alt or None}
        return {"metadata": told}
    if name == "png":
        told = {"Software": "mtmeta", **({"Description": alt} if alt else {})}
        return {"metadata": told, "pil_kwargs": {"compress_level": 3}}
    return {"pil_kwargs": {"compression": "tiff_lzw"}}


def _accessible(data: bytes, alt: str) -> bytes:
    """Give an SVG a role and a title, and fonts of the same width where ours is not installed."""
    text = data.decode()
    # Verdana has DejaVu Sans's widths (both derive from Bitstream Vera), so columns stay in place
    text = re.sub(r"(['\"]?)DejaVu Sans\1", "'DejaVu Sans', Verdana, sans-serif", text)
    if alt:
        label = escape(alt, {'"': "&quot;", "\n": " "})
        text = re.sub(r"<svg ", f'<svg role="img" aria-label="{label}" ', text, count=1)
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
