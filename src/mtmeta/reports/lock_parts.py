"""Parts of a lock beside the pooled answer (certainty, subgroups, multiverse …): what moved in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["moved_leaves", "section_changes"]

# compared elsewhere, or told in words there
_ELSEWHERE = frozenset({
    *("name", "title", "measure", "better", "k", "n", "estimate", "ci", "pi", "agreement", "published"),
    *("more_published", "today", "bayes", "rows", "warnings", "left_out"),
})  # fmt: skip
# sentences repeat the numbers; a number that moved is told once
_SENTENCES = frozenset(
    {"why", "start_why", "up_why", "words", "reason", "note", "text", "sentence", "source"}
)
Leaf = float | str | bool | None


def _sections(results: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in results.items() if name not in _ELSEWHERE and value not in (None, [])
    }


def section_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Say which parts one lock has and the other has not: an older lock cannot hold what came later."""
    then, now = _sections(old), _sections(new)
    words = [f"{name}: is new, the lock does not hold it" for name in sorted(now.keys() - then.keys())]
    return (*words, *(f"{name}: is gone" for name in sorted(then.keys() - now.keys())))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Leaf]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            if name not in _SENTENCES:
                yield from _leaves(part, f"{path}: {name}" if path.count(":") == 0 else f"{path} {name}")
    elif isinstance(value, list):
        for i, part in enumerate(value, 1):
            label = part.get("label", part.get("name", i)) if isinstance(part, Mapping) else i
            yield from _leaves(part, f"{path} {label}")
    else:
        yield path, value


def moved_leaves(
    old: Mapping[str, Any], new: Mapping[str, Any], *, rtol: float
) -> Iterator[tuple[str, Leaf, Leaf]]:
    """Yield name, old and new value of what differs in the parts that both locks hold.

    A number or word that only the newer lock has is new there and not moved.
    """
    then, now = _sections(old), _sections(new)
    for name in sorted(then.keys() & now.keys()):
        before, after = dict(_leaves(then[name], name)), dict(_leaves(now[name], name))
        for path in (p for p in before if p in after):
            a, b = before[path], after[path]
            if not _same(a, b, rtol):
                yield path, a, b


def _same(a: Leaf, b: Leaf, rtol: float) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int):
        return abs(a - b) <= rtol * max(abs(a), abs(b), 1e-6)
    return a == b
