"""The page of one change, with its values in full: as much as a browser can show."""

from __future__ import annotations

from dataclasses import dataclass

from ..history.excerpts import Excerpt, read_excerpts
from ..history.position import Position
from .viewer import Reading

#: Characters of a value when all columns are shown, of all of them together, and of a value on its own. What is longer
#: than that is for the export.
MOST_OF_ONE, MOST_OF_ALL, FULL_LENGTH = 20_000, 1_000_000, 1_000_000

#: Characters of a value that are searched for the first difference: 10 MB, which takes the server a second.
DEPTH = 10_000_000


@dataclass(frozen=True)
class ChangePage:
    """A change, and what is shown of it.

    :ivar column: the one column that is shown, as long as it is; ``None`` for all of them.
    """

    change: Excerpt
    column: str | None


def read_change_page(reading: Reading, table_key: str, place: Position, column: str | None) -> ChangePage | None:
    """The change at ``place``; ``None`` when there is none to be seen, or no such column."""
    table = reading.table(table_key)
    if table is None or (column is not None and column not in table.column_names):
        return None
    length = FULL_LENGTH if column else max(1_000, min(MOST_OF_ONE, MOST_OF_ALL // (len(table.columns) or 1)))
    found = read_excerpts(
        reading.connection, reading.tables, [(table_key, place)], length, depth=DEPTH, only=column, digests=True
    )
    return ChangePage(found[0], column) if found else None
