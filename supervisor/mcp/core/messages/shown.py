"""Texts of the client in a form that the daemon takes and people read."""

NAME_LENGTH = 100
"""How many characters are shown."""


def shown(text: object) -> str:
    """Return a text of the client in a form that can be shown: on one line, and short. Returns "" for other values."""
    kept = text[:NAME_LENGTH] if isinstance(text, str) else ""
    if not kept.isprintable():
        kept = "".join(letter if letter.isprintable() else "?" for letter in kept)
    return kept.strip()
