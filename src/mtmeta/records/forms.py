"""Forms that text in a file must have, with the words that help when it has not; errors with a place."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["DATE", "DOI", "REMEDIES", "SLUG", "PlacedError", "no_control_characters"]

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
DOI = r"^10\.\d{4,9}/\S+$"
DATE = r"^\d{4}-\d\d-\d\d$"

REMEDIES: dict[str, str] = {
    SLUG: "write lower-case letters, digits and single hyphens, such as white-1999",
    DOI: "write the DOI alone, such as 10.4037/ajcc1999.8.4.220, without an address before it",
    DATE: 'write year-month-day in quotes, such as "2026-11-23"',
}
"""What to write instead, by the pattern that did not match."""

# C0 and C1 controls but tab and line feed; line and paragraph separators; marks that turn the direction of
# what follows, so that an editor shows another text than the one read; byte order mark; non-characters.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


def no_control_characters(text: str) -> str:
    """Return the text, or refuse it if it holds characters that no page prints.

    Raises
    ------
    ValueError
        Naming the first such character.
    """
    found = CONTROL.search(text)
    if found:
        raise ValueError(f"holds the control character U+{ord(found[0]):04X}; take it out")
    return text


class PlacedError(ValueError):
    """What a model's own check found, each at its place inside the model.

    A validator raises it so that the reader can name the line of the very entry.

    Parameters
    ----------
    found : iterable of (tuple, str)
        Path from the model on, such as ``("outcomes", 2, "id")``, and the message.
    """

    def __init__(self, found: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(message for _, message in self.found))
