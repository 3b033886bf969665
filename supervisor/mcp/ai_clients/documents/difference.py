"""The lines that an edit changes, as a unified diff without context: other entries may have secrets."""

from collections.abc import Callable, Sequence

Hide = Callable[[str], str]
"""Takes lines of a document, and returns them for people: without the values of other entries."""


def unified(old: str, new: str, name: str, hide: Hide) -> list[str]:
    """Return the lines of the diff. Returns none if nothing has changed."""
    before, after = old.split("\n"), new.split("\n")
    if before == after:
        return []
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    removed, added = before[start : len(before) - end], after[start : len(after) - end]
    if end == 0:
        # Nothing follows the last line end, so there is no line.
        removed, added = _without_empty_end(removed), _without_empty_end(added)
    lines = [f"--- {name}", f"+++ {name}", f"@@ -{_range(start, removed)} +{_range(start, added)} @@"]
    for sign, changed in (("-", removed), ("+", added)):
        shown = hide("\n".join(changed)).split("\n") if changed else []
        lines += [sign + line.rstrip("\r") for line in shown]
    return lines


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the number of lines that two texts have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    return next((number for number, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _without_empty_end(lines: list[str]) -> list[str]:
    return lines[:-1] if lines and not lines[-1] else lines


def _range(start: int, lines: Sequence[str]) -> str:
    first = start + 1 if lines else start
    return f"{first}" if len(lines) == 1 else f"{first},{len(lines)}"
