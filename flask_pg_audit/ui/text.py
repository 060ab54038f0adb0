"""Making text safe to look at."""

from __future__ import annotations

import unicodedata


def visible(text: str) -> str:
    """Replace what would change how a line reads without being seen: control, bidirectional and unassigned characters.

    Line feeds and tabs stay. ``"a\\u202eb"`` becomes ``"a⟨U+202E⟩b"``.
    """
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cn", "Co", "Zl", "Zp"):
        return character
    return f"⟨U+{ord(character):04X}⟩"
