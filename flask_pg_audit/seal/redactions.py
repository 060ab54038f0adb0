"""What ``audit_redaction`` tells of sealed rows from which values were removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection

from ..database.function import Infrastructure
from ..database.render import qualified
from .covered import exists
from .leaves import Key

Steps = Sequence[tuple[bytes, bytes]]

#: By table, as messages name it, and key of the row: the leaves before and after each redaction of it.
Redactions = Mapping[tuple[str, Key], Steps]


class RecordedRedactions(Mapping[tuple[str, Key], Steps]):
    """The steps of each row, in the order in which they were taken.

    A change is known by its two numbers, whatever its table is called now; a row of ``audit_view`` by its one.
    """

    def __init__(self, view_table: str, steps: Mapping[Key, Steps]) -> None:
        self._view_table = view_table
        self._steps = steps

    def __getitem__(self, place: tuple[str, Key]) -> Steps:
        table, key = place
        if len(key) == 1 and table == self._view_table:
            return self._steps[0, key[0]]
        return self._steps[key]

    def __iter__(self) -> Iterator[tuple[str, Key]]:
        return ((self._view_table if key[0] == 0 else "", key) for key in self._steps)

    def __len__(self) -> int:
        return len(self._steps)


def read_redactions(connection: Connection, shared: Infrastructure) -> RecordedRedactions:
    """All of them; none where there is no such table yet."""
    steps: dict[Key, list[tuple[bytes, bytes]]] = {}
    if exists(connection, shared.redaction_table):
        query = (
            "SELECT audit_transaction_id, audit_id, leaf_before, leaf_after "  # noqa: S608 - names are quoted
            f"FROM {qualified(shared.redaction_table)} "
            "WHERE leaf_before IS NOT NULL AND leaf_after IS NOT NULL ORDER BY id"
        )
        rows = connection.exec_driver_sql(query, execution_options={"no_parameters": True})
        for transaction_id, audit_id, before, after in rows:
            steps.setdefault((transaction_id, audit_id), []).append((bytes(before), bytes(after)))
    return RecordedRedactions(shared.view_table.display, steps)


def is_redacted(sealed: bytes, present: bytes | None, steps: Steps) -> bool:
    """Whether redactions lead from the row that was sealed to the one that is there."""
    reached = {sealed}
    for _ in steps:  # in whatever order they are given
        reached |= {after for before, after in steps if before in reached}
    return present in reached
