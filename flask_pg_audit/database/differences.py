"""Where the live tables and their histories contradict each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

ROW_WITHOUT_HISTORY = "row-without-history"
HISTORY_WITHOUT_ROW = "history-without-row"
COLUMN_DIFFERS = "column-differs"
TRANSACTION_WITHOUT_CHANGES = "transaction-without-changes"
CHANGE_WITHOUT_TRANSACTION = "change-without-transaction"

#: What each kind of difference means; the documentation lists the same.
MEANING = {
    ROW_WITHOUT_HISTORY: "the row is there, and according to its history it is not",
    HISTORY_WITHOUT_ROW: "according to its history the row is there, and it is not",
    COLUMN_DIFFERS: "the row is not as its last image",
    TRANSACTION_WITHOUT_CHANGES: "every change of the transaction was deleted from the history",
    CHANGE_WITHOUT_TRANSACTION: "the row of audit_transaction was deleted",
}

#: What ``--repair`` mends: writing the image that is missing. Nobody can know what was deleted.
REPAIRABLE = frozenset({ROW_WITHOUT_HISTORY, HISTORY_WITHOUT_ROW, COLUMN_DIFFERS})

#: Characters of a value that are shown.
SHOWN = 80


@dataclass(frozen=True)
class ColumnDifference:
    """A column whose value is not the recorded one.

    :ivar recorded: the value in the last image, as PostgreSQL writes it, at most 80 characters and ``…``; ``None`` for
        NULL.
    :ivar live: the value in the table, likewise.
    """

    name: str
    recorded: str | None
    live: str | None

    def __str__(self) -> str:
        return f"{self.name} is {_text(self.live)} and was recorded as {_text(self.recorded)}"


def _text(value: str | None) -> str:
    return "null" if value is None else repr(value)


@dataclass(frozen=True)
class Difference:
    """One contradiction.

    :ivar kind: ``row-without-history`` and so on; stable.
    :ivar table: the audited table; ``audit_transaction`` for a transaction without changes.
    :ivar key: the row's primary key by column, as PostgreSQL writes it; a transaction's id for the two kinds that are
        about transactions.
    :ivar columns: for ``column-differs``.
    """

    kind: str
    table: str
    key: Mapping[str, str]
    columns: tuple[ColumnDifference, ...] = ()

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value}" for name, value in self.key.items())
        columns = f": {'; '.join(map(str, self.columns))}" if self.columns else ""
        return f"{self.kind}: {self.table} ({' '.join(key.split())}){columns}"


@dataclass(frozen=True)
class Verified:
    """What was found of one table, or of ``audit_transaction``.

    :ivar rows: how many live rows were compared; ``None`` where none were to be, of ``audit_transaction`` say.
    :ivar counts: how many differences of each kind there were; those that were not are left out.
    :ivar differences: the first of each kind, in the order of their keys.
    :ivar repaired: how many rows were written into the history by ``repair``.
    :ivar skipped: why the table could not be verified; ``None`` where it was.
    """

    table: str
    rows: int | None
    counts: Mapping[str, int]
    differences: tuple[Difference, ...]
    repaired: int = 0
    skipped: str | None = None

    def left(self, repair: bool) -> int:
        """How many differences there still are, after a run that was to ``repair`` or was not."""
        return sum(count for kind, count in self.counts.items() if not (repair and kind in REPAIRABLE))


@dataclass
class Tally:
    """Collects what is found of one table: all of it counted, the first ``limit`` of each kind kept."""

    table: str
    limit: int
    rows: int | None = None
    repaired: int = 0
    skipped: str | None = None
    _counts: Counter[str] = field(default_factory=Counter)
    _kept: dict[str, list[Difference]] = field(default_factory=lambda: defaultdict(list))

    def room(self, kind: str) -> int:
        """How many differences of ``kind`` are still to be kept."""
        return max(self.limit - len(self._kept[kind]), 0)

    def count(self, kind: str, count: int) -> None:
        self._counts[kind] += count

    def keep(self, difference: Difference) -> None:
        """Keep it if there is room."""
        if self.room(difference.kind):
            self._kept[difference.kind].append(difference)

    def result(self) -> Verified:
        kept = tuple(difference for kind in MEANING for difference in self._kept[kind])
        counts = {kind: self._counts[kind] for kind in MEANING if self._counts[kind]}
        return Verified(self.table, self.rows, counts, kept, self.repaired, self.skipped)
