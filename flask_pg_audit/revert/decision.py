"""Deciding what is written to each row of a table, and what stands in the way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import AuditConfigError, Conflict
from ..history.position import Position
from .comparison import Comparison
from .live import LiveTable
from .supplied import Supplied
from .target import ANYTHING, RowWrite
from .versions import VersionColumn, set_by_every_update

#: Replaced by the values, which are read when they are needed.
CHANGED = "it was changed since"
GONE = "the row is not there any more"
MASKED = "the history has it masked, so that its value is not known: choose other columns, or supply values"
AGAIN = "there is a row with this key again"

#: What ``force`` writes over.
FORCEABLE = frozenset({CHANGED, GONE, AGAIN})


@dataclass(frozen=True)
class Write:
    """What is done to one row, whose image is ``comparison.target.wanted``."""

    comparison: Comparison
    operation: str
    columns: tuple[str, ...]

    def row(self, table: LiveTable) -> RowWrite:
        """What is told to the caller."""
        key = self.comparison.key if self.operation == "D" else self.comparison.new_key
        return RowWrite(table.name, key, self.operation, self.columns)


@dataclass(frozen=True)
class Rules:
    """How to decide for the rows of one table.

    :ivar columns: those that may be written; ``None`` for all.
    :ivar force: write over what differs.
    :ivar supplied: what rows get that are inserted, besides what is in the history.
    """

    table: LiveTable
    columns: frozenset[str] | None
    force: bool
    version: VersionColumn | None
    supplied: Supplied

    def decide(self, compared: Comparison) -> Write | list[Conflict] | None:
        """What to write, ``None`` if nothing is to be done, or why it cannot be."""
        if compared.target.unknown is not None:
            return [self._conflict(compared, compared.target.unknown)]
        if compared.target.wanted is None:
            return self._decide_delete(compared)
        return self._decide_update(compared) if compared.exists else self._decide_insert(compared)

    def _decide_delete(self, compared: Comparison) -> Write | list[Conflict] | None:
        if not compared.exists:
            is_expected = self.force or compared.target.expected is ANYTHING
            return None if is_expected else [self._conflict(compared, GONE)]
        if self.columns is not None:
            return [self._conflict(compared, "the row did not exist then, so its columns have no value to go back to")]
        return self._differences(compared, compared.modified) or Write(compared, "D", ())

    def _decide_update(self, compared: Comparison) -> Write | list[Conflict] | None:
        expected = compared.target.expected
        if expected is None and not self.force:
            return [self._conflict(compared, AGAIN)]
        relevant = self._allowed(compared.undone if isinstance(expected, Position) else compared.missing)
        conflicts = self._masked(compared, compared.masked & relevant)
        conflicts += self._differences(compared, compared.modified & relevant)
        if conflicts:
            return conflicts
        columns = self._in_order(relevant & compared.missing)
        return Write(compared, "U", columns) if columns else None

    def _decide_insert(self, compared: Comparison) -> Write | list[Conflict]:
        if isinstance(compared.target.expected, Position) and not self.force:
            return [self._conflict(compared, GONE)]
        if self.columns is not None:
            return [self._conflict(compared, "the row is not there, and cannot come back with some of its columns")]
        recorded = frozenset(self.table.written) - compared.unrecorded
        counted = {self.version.name} if self.version is not None and self.version.next is not None else set()
        supplied = self.supplied.given(self.table).keys()
        if unknown := (compared.masked & recorded) - supplied:
            return self._masked(compared, unknown)
        recorded -= compared.masked
        lacking = self.supplied.lacking(self.table, recorded | counted)
        if lacking:
            reason = f"NOT NULL, without a default, and not in the history: give values={{{lacking[0]!r}: …}}"
            return [self._conflict(compared, reason, name) for name in lacking]
        return Write(compared, "I", self._in_order(recorded))

    def _allowed(self, names: frozenset[str]) -> frozenset[str]:
        """Without what no update may set: identity columns, and the version, which goes on instead."""
        chosen = names if self.columns is None else names & self.columns
        fixed = {name for name in chosen if self.table.columns[name].is_identity}
        return chosen - fixed - ({self.version.name} if self.version is not None else set())

    def _differences(self, compared: Comparison, names: frozenset[str]) -> list[Conflict]:
        if self.force or not isinstance(compared.target.expected, Position):
            return []
        changing = set_by_every_update(self.table.recorded.table)
        version = {self.version.name} if self.version is not None else set()
        return [self._conflict(compared, CHANGED, name) for name in self._in_order(names - changing - version)]

    def _masked(self, compared: Comparison, names: frozenset[str]) -> list[Conflict]:
        return [self._conflict(compared, MASKED, name) for name in self._in_order(names)]

    def _in_order(self, names: Collection[str]) -> tuple[str, ...]:
        return tuple(name for name in self.table.written if name in names)

    def _conflict(self, compared: Comparison, reason: str, column: str | None = None) -> Conflict:
        return Conflict(self.table.name, compared.key, column, None, None, reason)


def check_columns(columns: Iterable[str] | None, tables: Iterable[LiveTable]) -> frozenset[str] | None:
    """The columns that a caller chose.

    :raises AuditConfigError: a table has no such column in its history, or cannot be given a value for it.
    """
    if columns is None:
        return None
    chosen = frozenset([columns] if isinstance(columns, str) else columns)
    for table in tables:
        for name in sorted(chosen):
            table.recorded.column(name)
            if name not in table.written:
                raise AuditConfigError(
                    f'the column {name!r} of "{table.name}" cannot be brought back: it is generated from others, or '
                    "the table does not have it any more"
                )
    return chosen


def with_values(
    conflicts: Iterable[Conflict], expected: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterable[Conflict]:
    """The conflicts of one row with the values that differ."""
    for conflict in conflicts:
        if conflict.column is None or conflict.reason != CHANGED:
            yield conflict
        else:
            was, is_ = expected[conflict.column], found[conflict.column]
            reason = f"the change left {was!r}, and now it is {is_!r}"
            yield Conflict(conflict.table, conflict.key, conflict.column, was, is_, reason)
