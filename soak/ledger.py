"""What was committed, written down by who committed it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: The ledger's columns in the database; ``stamp`` is the one that the row has, or had when it was deleted.
COLUMNS = """
    client integer, number integer, ordinal integer, tbl text, operation text,
    id bigint, amount integer, note text, stamp text, username text, actor_id text
"""


@dataclass(frozen=True)
class Change:
    """A change of one row.

    :ivar table: what the table is for.
    :ivar operation: ``I``, ``U`` or ``D``.
    :ivar stamp: written with the row, and with no other: it tells which change an image is of.
    """

    table: str
    operation: str
    id: int
    amount: int
    note: str | None
    stamp: str


class Ledger:
    """A client's, in a file of its own: a run of a million changes takes no memory."""

    def __init__(self, path: Path, client: int) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._client = client
        self.transactions = 0
        self.changes = 0

    def add(self, number: int, changes: Iterable[Change], username: str | None, actor_id: str | None) -> None:
        """A transaction that was committed."""
        self.transactions += 1
        for ordinal, one in enumerate(changes):
            image = (one.table, one.operation, one.id, one.amount, one.note, one.stamp)
            self._rows.writerow((self._client, number, ordinal, *image, username, actor_id))
            self.changes += 1

    def flush(self) -> None:
        """All of it so far is in the file then."""
        self._file.flush()

    def close(self) -> None:
        """All of it is in the file then."""
        self._file.close()


def read_rows(path: Path) -> Iterator[dict[str, str | None]]:
    """What is in a ledger, by column."""
    names = [definition.split()[0] for definition in COLUMNS.split(",")]
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            # No value of ours is the empty text.
            yield {name: value or None for name, value in zip(names, row, strict=True)}
