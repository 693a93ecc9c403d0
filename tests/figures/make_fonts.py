"""Cut matplotlib's DejaVu Sans down to what figures set, without layout tables: run by hand.

Shaping a label with the full font's tables takes five times as long, and embedding it in a PDF
takes most of a second. Outlines, widths and names stay those of DejaVu Sans; text with any other
character is set in the full font.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib
from fontTools import subset

RANGES = (
    (0x20, 0x7E),  # Latin
    (0xA0, 0x17F),  # Latin-1 and extended A
    (0x218, 0x21B),  # Romanian
    (0x391, 0x3C9),  # Greek
    (0x2007, 0x200A),  # spaces of fixed width
    (0x2010, 0x2027),  # dashes, quotation marks, bullets
    (0x2030, 0x203A),
    (0x2070, 0x209C),  # superscripts and subscripts
    (0x2190, 0x2195),  # arrows
    (0x2206, 0x221E),  # mathematical operators
    (0x2248, 0x2265),
    (0x25A0, 0x25CF),  # geometric shapes
    (0x2713, 0x2718),  # ticks and crosses
    (0xFFFD, 0xFFFD),
)
HERE = Path(__file__).parents[2] / "src" / "mtmeta" / "figures" / "fonts"


def main() -> None:
    source = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in ("DejaVuSans", "DejaVuSans-Bold"):
        options = subset.Options(
            hinting=False, glyph_names=True, layout_features=[], notdef_outline=True, name_IDs=["*"]
        )
        options.drop_tables += ["GSUB", "GPOS", "GDEF", "kern", "FFTM", "gasp", "DSIG"]
        font = subset.load_font(str(source / f"{name}.ttf"), options)
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=[c for first, last in RANGES for c in range(first, last + 1)])
        cutter.subset(font)
        subset.save_font(font, str(HERE / f"{name}.ttf"), options)
    shutil.copy(source / "LICENSE_DEJAVU", HERE / "LICENSE_DEJAVU")


if __name__ == "__main__":
    main()
