"""How much of what is in the database a page shows."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes of a page that lists things, whatever is in the database.
MAX_PAGE = 200_000


@dataclass(frozen=True)
class Room:
    """How much of each thing is shown; the rest is told by its number, or its length.

    :ivar value: characters of a value.
    :ivar fields: columns that an update changed.
    :ivar pairs: values in a line about an insert or a delete.
    :ivar columns: columns of a whole row.
    :ivar differences: words or paths of one value that an update changed.
    :ivar around: characters before and after each of them.
    :ivar note: characters of who, in which request, and why.
    :ivar lines: long texts keep their line feeds.
    """

    value: int
    fields: int
    pairs: int
    columns: int
    differences: int
    around: int
    note: int
    lines: bool = False


#: From the room that lists have as a rule to that which they have when they are full of hostile values: the first
#: is taken with which the page is small enough.
ROOMS = (
    Room(value=80, fields=6, pairs=4, columns=60, differences=6, around=40, note=200),
    Room(value=40, fields=4, pairs=2, columns=20, differences=3, around=20, note=80),
    Room(value=16, fields=2, pairs=1, columns=4, differences=1, around=10, note=40),
    Room(value=8, fields=0, pairs=0, columns=0, differences=0, around=0, note=16),
)

#: On the page of one change: what is long is there to be read.
FULL = Room(
    value=1_000_000, fields=1_600, pairs=1_600, columns=1_600, differences=1_000, around=120, note=2_000, lines=True
)
