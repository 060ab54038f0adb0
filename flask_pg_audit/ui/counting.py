"""Counting for those who see a part: what they do not see takes time as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..history.activity import (
    Actors,
    Amount,
    TableActivity,
    count_changes,
    read_change_actors,
    read_table_activity,
)
from ..history.budget import Budget
from ..history.recorded import RecordedTable
from .viewer import Reading, Viewer

_T = TypeVar("_T")

#: Rows that are looked at when there is no time for all, for each of the things that are counted.
MAX_LOOKED_AT = 15_000


@dataclass
class Counting:
    """The counts of one page.

    With a scope nobody knows how far apart the rows are that somebody sees. What there is no time for is counted among
    so many rows as there is time for.

    :ivar is_rough: that was so.
    """

    viewer: Viewer
    reading: Reading
    is_rough: bool = False
    _budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        seconds = self.viewer.state.config.search_seconds
        self._budget = Budget(None if self.viewer.sees_everything else seconds)

    def changes(self, tables: Sequence[RecordedTable], first_ids: Sequence[int], cap: int) -> list[Amount]:
        """As :func:`count_changes`."""
        parts = len(tables) * (len(first_ids) - 1)
        connection = self.reading.connection
        return self._count(0.3, parts, lambda look_at: count_changes(connection, tables, first_ids, cap, look_at))

    def tables(self, tables: Sequence[RecordedTable], first_id: int | None, cap: int) -> list[TableActivity]:
        """As :func:`read_table_activity`."""
        connection = self.reading.connection
        return self._count(
            0.3, len(tables), lambda look_at: read_table_activity(connection, tables, first_id, cap, look_at)
        )

    def actors(self, tables: Sequence[RecordedTable], first_id: int | None, limit: int, top: int) -> Actors:
        """As :func:`read_change_actors`."""
        connection = self.reading.connection
        return self._count(
            0.5, len(tables), lambda look_at: read_change_actors(connection, tables, first_id, limit, top, look_at)
        )

    def _count(self, share: float, parts: int, count: Callable[[int | None], _T]) -> _T:
        exact = self._budget.part(share).attempt(self.reading.connection, lambda: count(None))
        if exact is not None:
            return exact
        self.is_rough = True
        return count(max(10, MAX_LOOKED_AT // max(parts, 1)))
