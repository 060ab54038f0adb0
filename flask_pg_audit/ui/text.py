"""Making text safe to look at."""

from __future__ import annotations

import functools
import re
import unicodedata

#: Most text is nothing but these, and is not looked at character by character.
_HARMLESS = r"\n\t\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff"
_SUSPECT = re.compile(f"[^{_HARMLESS}]")

_EDGE = re.compile(r"^\s+|\s+\Z")
_SPACES = str.maketrans({" ": "␣", "\t": "⇥", "\n": "↵\n"})


def visible(text: str) -> str:
    """Replace what would change how a line reads without being seen: control, bidirectional and unassigned characters.

    Line feeds and tabs stay. ``"a\\u202eb"`` becomes ``"a⟨U+202E⟩b"``.
    """
    return _SUSPECT.sub(lambda found: _visible(found.group()), text)


@functools.lru_cache(maxsize=1024)
def _visible(character: str) -> str:
    if unicodedata.category(character) not in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"):
        return character
    return f"⟨U+{ord(character):04X}⟩"


def visible_edges(text: str) -> str:
    """Show spaces and line feeds at the beginning and at the end, where nobody would see them: ``"a "`` is ``"a␣"``."""
    return _EDGE.sub(lambda found: found.group().translate(_SPACES), text)
