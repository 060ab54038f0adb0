"""The page of one change, with its values in full: as much as a browser can show."""

from __future__ import annotations

from ..history.excerpts import Excerpt, read_excerpts
from ..history.position import Position
from .viewer import Reading

#: Characters of one value. What is longer is for the export.
FULL_LENGTH = 1_000_000


def read_change(reading: Reading, table_key: str, place: Position) -> Excerpt | None:
    """The change at ``place``; ``None`` when there is none to be seen."""
    found = read_excerpts(reading.connection, reading.tables, [(table_key, place)], FULL_LENGTH)
    return found[0] if found else None
